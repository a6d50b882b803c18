"""Keywords as a value: what a table of a recipe says, unchangeable and equal by what it says."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..errors import RecipeError


class Keywords(Mapping[str, Any]):
    """A mapping of names to text, numbers, bools, tuples and mappings of them, that cannot be changed.

    Equal to another that says the same in any order; 1, 1.0 and True differ.

    >>> a = Keywords({"nfft": 512, "quantile": [0.5, 0.9]})
    >>> a["quantile"], a == Keywords({"quantile": (0.5, 0.9), "nfft": 512}), a == Keywords({"nfft": 512.0})
    ((0.5, 0.9), True, False)
    """

    __slots__ = ("_canonical", "_values")

    def __init__(self, values: Mapping[str, Any] = {}) -> None:
        self._values = {str(name): _frozen(value, str(name)) for name, value in values.items()}
        self._canonical = json.dumps(self.plain(), sort_keys=True)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keywords) and self._canonical == other._canonical

    def __hash__(self) -> int:
        return hash(self._canonical)

    def __repr__(self) -> str:
        return f"Keywords({self.plain()})"

    def __reduce__(self) -> tuple[type[Keywords], tuple[dict[str, Any]]]:
        return Keywords, (self.plain(),)

    def plain(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {name: _plain(value) for name, value in self._values.items()}


def _frozen(value: Any, name: str) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, datetime.date | datetime.datetime | datetime.time):  # a datetime is a date, too
        return value.isoformat()
    if isinstance(value, Mapping):
        return Keywords(value)
    if isinstance(value, list | tuple):
        return tuple(_frozen(each, name) for each in value)
    if isinstance(value, str | bool | int | float):
        return value
    raise RecipeError(
        f"{name}={value!r}: a {type(value).__name__} was given; text, numbers, true or false, times, and lists or "
        "tables of them can be written in a recipe" + ("; leave out what should be None" if value is None else "")
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Keywords):
        return value.plain()
    return [_plain(each) for each in value] if isinstance(value, tuple) else value
