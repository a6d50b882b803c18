"""TOML of what recipes hold: tables of text, numbers, bools, and lists and inline tables of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_WIDTH = 100  # of a line with a list; longer ones get a line for each element


def table(head: str, values: Mapping[str, Any]) -> str:
    """A table under its head.

    >>> print(table("[[step]]", {"use": "power_spectrum", "every": "60s", "nfft": 512}))
    [[step]]
    use = "power_spectrum"
    every = "60s"
    nfft = 512
    """
    return "\n".join([head, *(f"{key(name)} = {value(each)}" for name, each in values.items())])


def key(name: str) -> str:
    """A key, quoted where it has to be."""
    return name if _BARE.fullmatch(name) else _text(name)


def value(given: Any) -> str:
    """A value, in line.

    >>> value([1, 2.0, True, "a\\n", {"time": 60}, float("inf")])
    '[1, 2.0, true, "a\\\\n", {time = 60}, inf]'
    """
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, int):
        return str(given)
    if isinstance(given, float):
        return repr(given) if math.isfinite(given) else str(given)
    if isinstance(given, str):
        return _text(given)
    if isinstance(given, Mapping):
        return "{" + ", ".join(f"{key(str(name))} = {value(each)}" for name, each in given.items()) + "}"
    if isinstance(given, list | tuple):
        parts = [value(each) for each in given]
        line = f"[{', '.join(parts)}]"
        return line if len(line) <= _WIDTH else "[\n" + "".join(f"  {part},\n" for part in parts) + "]"
    raise TypeError(f"a {type(given).__name__} has no place in a recipe")


def _text(text: str) -> str:
    """A basic string: JSON escapes what TOML does, but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
