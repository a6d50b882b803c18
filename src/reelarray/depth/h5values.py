"""Plain values as HDF5 datasets, and back: text, numbers, lists, nothing, groups of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import h5py
import numpy as np

from .yamlfiles import plain

TEXT = h5py.string_dtype("utf-8")
_LONGEST = 2**63  # of an int64


def write_values(group: h5py.Group, values: Mapping[str, Any]) -> None:
    """A mapping as datasets of a group: None is an empty float32, a dict a group, what has no type JSON text.

    >>> with h5py.File("values", "w", driver="core", backing_store=False) as file:
    ...     write_values(file, {"name": "mouse", "size": [512, 424], "rate": None})
    ...     read_values(file)
    {'name': 'mouse', 'rate': None, 'size': [512, 424]}
    """
    for key, value in sorted(plain(values).items()):  # equal values are equal bytes
        name = free_name(group, key)
        if isinstance(value, dict):
            write_values(group.create_group(name), value)
        elif value is None:
            group.create_dataset(name, data=h5py.Empty("f4"))
        else:
            write_value(group, name, value)


def write_value(group: h5py.Group, name: str, value: Any) -> h5py.Dataset:
    """One plain value, not None, as a dataset."""
    if isinstance(value, str):
        return group.create_dataset(name, data=_text(value), dtype=TEXT)
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return group.create_dataset(name, data=[_text(item) for item in value], dtype=TEXT)
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):  # a list of lists of different lengths
        array = np.asarray(None)
    if array.dtype.kind in "biuf" and not isinstance(value, dict) and _alike(value):
        return group.create_dataset(name, data=array)
    return group.create_dataset(name, data=_text(json.dumps(value)), dtype=TEXT)


def read_values(group: h5py.Group, *, longest: int | None = None, without: Collection[str] = ()) -> dict[str, Any]:
    """All below a group as plain values: bytes are decoded, empty datasets are None, groups dicts.

    Left out are arrays of more than `longest` values, and all of the names `without`.
    """
    out: dict[str, Any] = {}
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            if name in without:
                continue
            out[name] = read_values(item, longest=longest, without=without)
        elif name not in without and (longest is None or item.size is None or item.size <= longest):
            out[name] = read_value(item)
    return out


def read_value(dataset: h5py.Dataset) -> Any:
    """A dataset as a plain value; strings may be stored as bytes or as text."""
    found = dataset[()]
    if isinstance(found, h5py.Empty):
        return None
    if isinstance(found, np.ndarray) and found.dtype.kind in "OS":
        return [plain(item) for item in found.tolist()]
    return plain(found)


def free_name(group: h5py.Group, key: str) -> str:
    """A name for a key: "/" would begin a group, and two keys never share a dataset."""
    name = _text(key).replace("/", "_") or "_"
    name = "_" if name == "." else name
    while name in group:
        name += "_"
    return name


def _alike(value: Any) -> bool:
    """Flags and numbers mixed, or ints that a float would round, keep their types as JSON only."""
    items = list(_flat(value))
    return len({isinstance(item, bool) for item in items}) <= 1 and all(
        isinstance(item, bool | float) or -_LONGEST <= item < _LONGEST for item in items
    )


def _flat(value: Any) -> Any:
    if isinstance(value, list):
        for item in value:
            yield from _flat(item)
    else:
        yield value


def _text(text: str) -> str:
    """HDF5 ends a text at a NUL, and stores UTF-8 only."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
