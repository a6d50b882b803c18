"""Types of options: a value as it comes from YAML or a caller, to the one form that it has here."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

MODELS = (".onnx", ".npz")
FLIPS = ("motion", "shape")
_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def whole(value: Any) -> int:
    """An int, or a float that is one; no flag, no text."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise ValueError
    if value != int(value):
        raise ValueError
    return int(value)


def at_least(lowest: int) -> Callable[[Any], int]:
    """Whole numbers from `lowest` on."""

    def check(value: Any) -> int:
        if whole(value) < lowest:
            raise ValueError
        return whole(value)

    return check


def number(value: Any) -> float:
    """A finite number; no flag, no text."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise ValueError
    if not math.isfinite(value):
        raise ValueError
    return float(value)


def positive(value: Any) -> float:
    if number(value) <= 0:
        raise ValueError
    return number(value)


def flag(value: Any) -> bool:
    """A bool, or one of the words that YAML 1.1 takes for one."""
    if isinstance(value, str):
        value = _WORDS.get(value.lower())
    if not isinstance(value, bool | np.bool_):
        raise ValueError
    return bool(value)


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return str(value)


def path(value: Any) -> str:
    found = os.fspath(value)
    if not isinstance(found, str) or not found:
        raise ValueError
    return found


def several(each: Callable[[Any], Any], count: int | None = None) -> Callable[[Any], tuple[Any, ...]]:
    """A list of `count` values of one type."""

    def check(value: Any) -> tuple[Any, ...]:
        if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray):
            raise ValueError
        if count is not None and len(value) != count:
            raise ValueError
        return tuple(each(item) for item in value)

    return check


def one_or_several(each: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    """A list of values of one type, or one of them."""

    def check(value: Any) -> tuple[Any, ...]:
        found = several(each)(value) if isinstance(value, Sequence | np.ndarray) else (each(value),)
        if not found:
            raise ValueError
        return found

    return check


def or_none(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """None, and the empty text that files keep for it, are None."""
    return lambda value: None if value is None or (isinstance(value, str) and value == "") else check(value)


def or_auto(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: "auto" if isinstance(value, str) and value == "auto" else check(value)


def odd(value: Any) -> int:
    """A size from 1 on, made odd."""
    return at_least(1)(value) | 1


def median(value: Any) -> int:
    """0, or an odd size: even ones become odd."""
    found = at_least(0)(value)
    return found | 1 if found else 0


def span(value: Any) -> tuple[float, float]:
    low, high = several(number, 2)(value)
    if not low < high:
        raise ValueError
    return low, high


def indices(value: Any) -> int | tuple[int, ...]:
    """One index, or several of which the first that exists is meant."""
    found = one_or_several(at_least(0))(value)
    return found[0] if len(found) == 1 else found


def intrinsics(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not {"fx", "fy"} <= set(value) <= {"fx", "fy", "cx", "cy", "dist"}:
        raise ValueError
    found: dict[str, Any] = {
        name: number(value[name]) for name in ("fx", "fy", "cx", "cy") if value.get(name) is not None
    }
    if "fx" not in found or "fy" not in found or min(found["fx"], found["fy"]) <= 0:
        raise ValueError
    if value.get("dist") is not None:
        found["dist"] = several(number)(value["dist"])
    return found


def compat(value: Any) -> bool | str:
    return "strict" if isinstance(value, str) and value == "strict" else flag(value)


def verbosity(value: Any) -> int:
    return int(value) if isinstance(value, bool) else at_least(0)(value)


def flip(value: Any) -> Any:
    """The name of a method, the file of a model, or a function."""
    if callable(value):
        return value
    found = path(value)
    if found not in FLIPS and not found.lower().endswith(MODELS):
        raise ValueError
    return found


count, size = at_least(0), at_least(1)

# kind -> what it makes of a value (ValueError or TypeError: it cannot), and what is expected in words
KINDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "flag": (flag, "true or false"),
    "text": (text, "text"),
    "text or none": (or_none(text), "text, or nothing"),
    "text or number": (lambda value: value if isinstance(value, str) else at_least(0)(value), "a name or a number"),
    "texts": (one_or_several(text), "a list of texts"),
    "path or none": (or_none(path), "a path, or nothing"),
    "count": (count, "a whole number from 0"),
    "count or none": (or_none(count), "a whole number from 0, or nothing"),
    "size": (size, "a whole number from 1"),
    "size or none": (or_none(size), "a whole number from 1, or nothing"),
    "odd count": (median, "an odd number, or 0 for none"),
    "odd size": (odd, "an odd number from 1"),
    "two counts": (several(count, 2), "two whole numbers from 0"),
    "two sizes": (several(size, 2), "two whole numbers from 1, such as [9, 9]"),
    "two sizes or none": (or_none(several(size, 2)), "two whole numbers from 1, such as [80, 80], or nothing"),
    "medians": (one_or_several(median), "odd numbers, or 0 for none, such as [3]"),
    "number": (number, "a number"),
    "positive number": (positive, "a number above 0"),
    "number or auto": (or_auto(positive), "a number above 0, or auto"),
    "two numbers": (several(number, 2), "two numbers"),
    "three numbers or none": (or_none(several(number, 3)), "three numbers, or nothing"),
    "range or auto": (or_auto(span), "two rising numbers such as [650, 750], or auto"),
    "indices": (indices, "a whole number from 0, or a list of them"),
    "intrinsics": (or_none(intrinsics), "{fx: , fy: , cx: , cy: , dist: } in px, cx, cy and dist optional, or nothing"),
    "compat": (compat, "true, false or strict"),
    "verbosity": (verbosity, "a whole number from 0"),
    "flip": (or_none(flip), f"one of {', '.join(FLIPS)}, a function, a file {' or '.join(MODELS)}, or nothing"),
    "anything": (lambda value: value, "anything"),
}
