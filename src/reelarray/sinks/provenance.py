"""What an array is: parameters, clock, coordinates and inputs; equal for equal results, whatever their chunks."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from dask.blockwise import Blockwise

from .. import graph
from ..errors import RecordingError
from ..table import GAP, SourceTable
from ..timeindex import ClockIndex
from . import clocktable

RESULT_VERSION = 1  # raised when a transform comes to give other numbers for the same parameters
_ROW = ("name", "bytes", "modified_ns", "start", "samples")
_OPAQUE = ("inputs", "values", "clock")  # hashes

_TOKEN = re.compile(r"-(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$")
# Layers that read, cut or put together: how many there are depends on chunks, and values do not depend on them.
_NO_STEP = re.compile(r"(read|getitem|rechunk.*|concatenate|blocks|shifted|overlap|trim|.*-(head|ahead|partial))$")

Inputs = list[list[Any]]


def identity(x: xr.DataArray, name: str, dtype: Any, encoding: str | None) -> tuple[dict[str, Any], Inputs]:
    """(what an array is, as JSON values; the rows of the files it comes from).

    Files count by name (from their common folder on), size, time of change, range and calibration. Values in memory
    count themselves. Of other lazy arrays only the parameters, clock and coordinates are known. What was done between
    files and array counts by the names of the steps ("mul", "sqrt"), not by the constants in them.
    """
    tables = {_digest(table): table for table in _tables(x)}  # each once, however many steps read it
    inputs = [row for table in tables.values() for row in _rows(table)]
    known: dict[str, Any] = {
        "name": name,
        "dims": list(map(str, x.dims)),
        "shape": list(x.shape),
        "dtype": str(np.dtype(dtype)),
        "made_in": str(x.dtype),  # an encoding hides it
        "encoding": encoding,
        "result_version": RESULT_VERSION,
        "attrs": plain(dict(x.attrs)),
        "coords": {str(n): _coord(c) for n, c in sorted(x.coords.items(), key=lambda item: str(item[0]))},
        "inputs": sorted(tables) or None,
    }
    if tables:
        known["steps"] = _steps(x.data)
    if not hasattr(x.data, "dask"):
        known["values"] = _hash(np.asarray(x.data))
    return known, inputs


def fingerprint(known: Mapping[str, Any]) -> str:
    """sha256 of an identity in canonical JSON."""
    return hashlib.sha256(json.dumps(known, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def is_known(known: Mapping[str, Any]) -> bool:
    """Whether an identity tells all that the values depend on, but arithmetic of the caller's own."""
    return known.get("inputs") is not None or "values" in known


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two identities: "hop: 256 there, 512 now"."""
    old, new = _flat(before), _flat(now)
    found = []
    for key in sorted({*old, *new}):
        a, b = old.get(key), new.get(key)
        if a != b:
            short = len(str(a)) + len(str(b)) < 200 and not key.endswith(_OPAQUE)
            found.append(f"{key}: {a!r} there, {b!r} now" if short else f"{key} differ")
    return found


def changed_inputs(before: Inputs, now: Inputs) -> str | None:
    """The first file that differs between two lists of inputs, and how."""
    for old, new in zip(before, now, strict=False):
        if old != new:
            how = [f"{k} {a} there, {b} now" for k, a, b in zip(_ROW[1:], old[1:], new[1:], strict=True) if a != b]
            return f"{old[0]}: {', '.join(how)}" if old[0] == new[0] else f"{old[0]} there, {new[0]} now"
    if len(before) != len(now):
        return f"{len(before)} ranges of files there, {len(now)} now"
    return None


def replaced_files(x: xr.DataArray, before: Inputs) -> set[str] | None:
    """Paths of the files that were replaced since a list of inputs was made, each by one with as many samples.

    None where more than that changed: other files, or other parts of them.
    """
    found = set()
    tables = list({_digest(table): table for table in _tables(x)}.values())
    paths = [str(path) for table in tables for path in table.path[table.kind != GAP]]
    now = [row for table in tables for row in _rows(table)]
    if len(now) != len(before):
        return None
    for path, old, new in zip(paths, before, now, strict=True):
        same = [o == n for o, n in zip(old, new, strict=True)]
        if not (same[0] and all(same[3:])):
            return None
        if not all(same):
            found.add(path)
    return found


def plain(value: Any, where: str = "attribute") -> Any:
    """A JSON value: NumPy scalars and arrays become numbers and lists.

    >>> plain({"rate": np.float32(0.5), "shape": (1, np.int64(2))})
    {'rate': 0.5, 'shape': [1, 2]}
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(k): plain(v, f"{where} {k!r}") for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v, where) for v in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise RecordingError(
        f"{where} is a {type(value).__name__}, which no file can keep; text, numbers and lists of them were expected: "
        "x.assign_attrs(...) sets another value, x.drop_attrs() leaves all out"
    )


def _tables(x: xr.DataArray) -> list[SourceTable]:
    own = graph.rows(x.data)
    return graph.sources(x.data) if own is None else [own]


def _steps(array: Any) -> list[str]:
    """Names of the layers of a graph, inputs before what is made of them; the same in any chunks and process."""
    layers, needs = array.dask.layers, array.dask.dependencies
    made: dict[str, str] = {}  # a hash of what stands behind each layer
    inputs: dict[str, list[str]] = {}
    steps: dict[str, str] = {}
    for name in array.dask._toposort_layers():
        layer = layers[name]
        if isinstance(layer, Blockwise):
            own = [
                str(n) for n, axes in layer.indices if axes is not None and n in needs[name]
            ]  # as arguments stand: a - b is not b - a
        else:
            own = sorted(needs[name], key=made.__getitem__)
        inputs[name] = list({made[n]: n for n in own}.values())
        step, hashes = _TOKEN.sub("", name), [made[n] for n in inputs[name]]
        if _NO_STEP.match(step):
            made[name] = hashes[0] if len(hashes) == 1 else _hash(np.array(hashes, str))
        else:
            made[name], steps[name] = _hash(np.array([step, *hashes])), step
    found: dict[str, str] = {}  # each step once, by its hash
    left: list[tuple[str, bool]] = [(array.name, False)]
    seen: set[str] = set()
    while left:
        name, ready = left.pop()
        if ready:
            if name in steps:
                found.setdefault(made[name], steps[name])
        elif name not in seen:
            seen.add(name)
            left += [(name, True), *((n, False) for n in reversed(inputs[name]))]
    return list(found.values())


def _rows(table: SourceTable) -> Inputs:
    of_files = np.flatnonzero(table.kind != GAP)
    names = _names([str(p) for p in table.path[of_files]])
    columns = (a[of_files].tolist() for a in (table.bytes, table.modified, table.start, np.diff(table.first)))
    return [list(row) for row in zip(names, *columns, strict=True)]


def _names(paths: Sequence[str]) -> list[str]:
    """Paths from their common folder on, so that a folder may move."""
    whole = [path.replace(os.sep, "/") for path in paths]
    low, high = min(whole, default=""), max(whole, default="")
    same = next((k for k, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    folder = low[:same].rfind("/") + 1
    return [path[folder:] for path in whole]


def _digest(table: SourceTable) -> str:
    known = [*map(repr, table.kinds), "gap"]  # GAP, -1, is the last
    kinds = [known[k] for k in table.kind.tolist()]
    rest = [table.shape, table.dtype, table.calibrated, table.gains, table.channels, table.fill, kinds]
    spans = np.ascontiguousarray(np.stack([table.frames, np.diff(table.first)]), "<i8")
    whole = hashlib.sha256(json.dumps([rest, _rows(table)], default=repr).encode())
    whole.update(spans.tobytes())
    return whole.hexdigest()


def _coord(coord: xr.DataArray) -> Any:
    index = coord.xindexes.get(coord.name)
    attrs = plain(dict(coord.attrs), f"attribute of coordinate {coord.name!r}:")
    if isinstance(index, ClockIndex):
        own = index.clock
        if coord.name != index.name:
            return {"attrs": attrs}  # the bounds follow from the clock
        kind = "datetime64[ns]" if own.absolute else "timedelta64[ns]"
        ends = own.labels(np.array([0, own.size - 1])).view(kind).astype(str).tolist() if own.size else []
        return {"rows": own.size, "from_to": ends, "clock": clocktable.digest(own), "attrs": attrs}
    return {"dims": list(map(str, coord.dims)), "values": _hash(coord.values), "attrs": attrs}


def _hash(values: np.ndarray) -> str:
    if values.dtype.kind in "OUST":
        return hashlib.sha256(json.dumps([str(v) for v in values.ravel()]).encode()).hexdigest()
    return hashlib.sha256(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data).hexdigest()


def _flat(known: Mapping[str, Any]) -> dict[str, Any]:
    flat = {k: v for k, v in known.items() if k not in ("attrs", "coords")}
    flat |= {f"{name} {key}": v for name, coord in known.get("coords", {}).items() for key, v in coord.items()}
    return flat | dict(known.get("attrs", {}))
