"""Whether a value fits an annotation, and what one says in the words of a recipe."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from inspect import Parameter, signature
from os import PathLike
from typing import Any, Literal

_NAMES: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    Fraction: "a number",
    str: "text",
    bool: "true or false",
    PathLike: "a path",
}


def keywords_of(function: Callable[..., Any]) -> dict[str, Any]:
    """What a function says of its keywords; `Any` of those that it says nothing of, or nothing that can be found out.

    >>> def double(x, *, factor: float = 2.0, note="none"): ...
    >>> keywords_of(double)
    {'factor': <class 'float'>, 'note': typing.Any}
    """
    parameters = list(signature(function).parameters.values())
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        hints = {}
    kinds = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return {p.name: hints.get(p.name, Any) for p in parameters[1:] if p.kind in kinds}


def required(function: Callable[..., Any]) -> list[str]:
    """Keywords that a function cannot do without."""
    kinds = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    parameters = list(signature(function).parameters.values())[1:]
    return [p.name for p in parameters if p.kind in kinds and p.default is Parameter.empty]


def takes_any(function: Callable[..., Any]) -> bool:
    """Whether a function has ``**keywords``."""
    return any(p.kind == Parameter.VAR_KEYWORD for p in signature(function).parameters.values())


def fits(value: Any, annotation: Any) -> bool:
    """Whether a value of a recipe is one that an annotation allows; what cannot be told fits.

    >>> fits(1, float), fits(True, int), fits("mean", Literal["mean", "median"]), fits((1, 2), Sequence[int] | None)
    (True, False, True, True)
    """
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, each) for each in inner)
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in inner)
    if origin is tuple:
        if not isinstance(value, tuple) or not inner:
            return isinstance(value, tuple)
        if inner[-1] is Ellipsis:
            return all(fits(each, inner[0]) for each in value)
        return len(value) == len(inner) and all(map(fits, value, inner))
    plain = origin or annotation
    if not isinstance(plain, type):
        return True
    if plain in (bool, str):
        return isinstance(value, plain)
    if plain in (int, float, Fraction):
        return not isinstance(value, bool) and isinstance(value, int if plain is int else (int, float))
    if plain is types.NoneType:
        return False
    if plain is PathLike:
        return isinstance(value, str)
    if plain in (Sequence, Iterable, list):
        return isinstance(value, tuple) and all(fits(each, inner[0]) for each in value if inner)
    if plain in (Mapping, dict):
        return isinstance(value, Mapping)
    return True


def expected(annotation: Any) -> str:
    """What an annotation allows, in words.

    >>> expected(float | None), expected(Literal["mean", "median"]), expected(int | Sequence[int])
    ('a number', "'mean' or 'median'", 'a whole number or a list')
    """
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        parts = [expected(each) for each in inner if each is not types.NoneType]
        return " or ".join(dict.fromkeys(parts))
    if origin is Literal:
        return " or ".join("false" if each is False else "true" if each is True else repr(each) for each in inner)
    if origin is tuple and inner and inner[-1] is not Ellipsis:
        return f"a list of {len(inner)}"
    plain = origin or annotation
    if plain in (tuple, Sequence, Iterable, list):
        return "a list"
    if plain in (Mapping, dict):
        return "a table"
    return _NAMES.get(plain, getattr(plain, "__name__", str(plain)))
