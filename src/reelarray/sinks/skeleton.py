"""All of a store but its blocks: metadata, coordinates, the clock, and what it was made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from .. import __version__
from ..clock import SampleClock
from ..timeindex import ClockIndex, time_bounds
from . import clocktable
from .compression import compressor
from .encode import Encoding, cf_coordinate
from .files import AtomicStore, write_whole
from .journal import FOLDER
from .layout import Layout
from .provenance import Inputs, plain

MOST_LABELS = 10**7  # above, the clock table stands alone
COORD_CHUNK = 2**20  # labels
INPUTS = "inputs.jsonl"
CLOCK = "clock"
MOST_NAMED = 100  # inputs in the attributes; all are in the list beside the journal


@dataclass(frozen=True)
class Skeleton:
    """All of a store but its blocks."""

    x: xr.DataArray
    name: str
    encoding: Encoding
    layout: Layout
    compression: str | None
    identity: dict[str, Any]
    inputs: Inputs

    @property
    def clock(self) -> ClockIndex | None:
        """The index of the time axis, where a clock makes it."""
        return next((i for i in self.x.xindexes.values() if isinstance(i, ClockIndex)), None)

    def labels(self) -> dict[str, xr.Variable]:
        """What the clock says as plain variables, labels and their bounds: nothing where they are too many."""
        own = self.clock
        if own is None or own.clock.size > MOST_LABELS:
            return {}
        found = {str(own.name): self.x.coords[own.name].variable}
        if own.bounds is not None:
            found[str(own.bounds)] = xr.Variable((own.dim, "bound"), time_bounds(own.clock))
        return found


def build(root: Path, temporary: Path, skeleton: Skeleton) -> None:
    """Write a skeleton into an empty folder."""
    x, name, layout = skeleton.x, skeleton.name, skeleton.layout
    own, labels = skeleton.clock, skeleton.labels()
    group = zarr.create_group(AtomicStore(root, temporary=temporary), attributes=_root_attrs(skeleton, labels))
    group.create_group(FOLDER)  # so that nothing in the store is unknown to Zarr
    others = {str(n): c.variable for n, c in x.coords.items() if not isinstance(x.xindexes.get(n), ClockIndex)}
    beside = [name for name in others if name not in x.dims]
    attrs = {**plain(dict(x.attrs)), **skeleton.encoding.attrs}
    if beside:
        attrs["coordinates"] = " ".join(sorted(beside))
    group.create_array(
        name,
        shape=layout.shape,
        chunks=layout.chunks,
        shards=layout.shards,
        dtype=skeleton.encoding.dtype,
        fill_value=skeleton.encoding.fill,
        attributes=attrs,
        dimension_names=[str(d) for d in x.dims],
        compressors=compressor(skeleton.compression),
        **_OPTIONS,
    )
    for key, coord in others.items():
        _write_coord(group, key, coord)
    if own is not None:
        extra = {"standard_name": "time", "axis": "T"} | ({} if own.bounds is None else {"bounds": str(own.bounds)})
        for key, coord in labels.items():
            _write_coord(group, key, coord, **(extra if key == own.name else {}))
        names = {"name": str(own.name), "bounds": None if own.bounds is None else str(own.bounds)}
        _write_clock(group, own.clock, {**names, "attrs": plain(dict(x.coords[own.name].attrs))})
    write_inputs(root, skeleton, temporary / INPUTS)
    _consolidate(root, temporary)


def write_inputs(root: Path, skeleton: Skeleton, temporary: Path) -> None:
    """Write the list of all input files, one JSON line each."""
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in skeleton.inputs)
    write_whole(root / FOLDER / INPUTS, lines.encode(), temporary)


_OPTIONS: dict[str, Any] = {
    "chunk_key_encoding": {"name": "default", "separator": "."},  # one folder an array, not one folder a chunk
    "config": {"write_empty_chunks": True},
}


def _root_attrs(skeleton: Skeleton, labels: Mapping[str, Any]) -> dict[str, Any]:
    names = list(dict.fromkeys(row[0] for row in skeleton.inputs))
    some = names if len(names) <= MOST_NAMED else [names[0], f"... {len(names) - 2} files ...", names[-1]]
    bounds = [name for name in labels if name not in skeleton.x.coords]
    return {
        **({"coordinates": " ".join(bounds)} if bounds else {}),
        "Conventions": "CF-1.11",
        "title": str(skeleton.x.attrs.get("long_name", skeleton.name)),
        "software": f"reelarray {__version__}",
        "inputs": some,
        "reelarray_variable": skeleton.name,
    }


def _write_coord(group: zarr.Group, name: str, coord: xr.Variable, **extra: str) -> None:
    values, attrs = cf_coordinate(name, np.asarray(coord.values), plain(dict(coord.attrs), f"attribute of {name!r}:"))
    _write_array(group, name, values, [str(d) for d in coord.dims], {**extra, **attrs})


def _write_array(group: zarr.Group, name: str, values: np.ndarray, dims: list[str], attrs: Mapping[str, Any]) -> None:
    text = values.dtype == object
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=tuple(max(1, min(n, COORD_CHUNK)) for n in values.shape),
        dtype=str if text else values.dtype,
        attributes=dict(attrs),
        dimension_names=dims,
        compressors="auto" if text else compressor(None),
        **_OPTIONS,
    )
    if values.size:
        array[...] = values


def _write_clock(group: zarr.Group, clock: SampleClock, names: Mapping[str, Any]) -> None:
    attrs, stretches, knots = clocktable.to_tables(clock)
    sub = group.create_group(CLOCK, attributes={**attrs, "coordinate": dict(names)})
    _write_array(sub, "stretches", stretches, ["stretch", "of_stretch"], {"columns": list(clocktable.STRETCHES)})
    _write_array(sub, "knots", knots, ["knot", "of_knot"], {"columns": list(clocktable.KNOTS)})
    if clock.source is not None:
        text = json.dumps([None if s is None else str(s) for s in clock.source], ensure_ascii=False)
        attrs = {"long_name": "file that each knot was read from: a JSON list in UTF-8"}
        _write_array(sub, "source", np.frombuffer(text.encode(), np.uint8), ["byte"], attrs)


def _consolidate(root: Path, temporary: Path) -> None:
    """Copy all metadata into the root's, as Zarr readers expect it, so that opening reads one file."""
    document = json.loads((root / "zarr.json").read_text("utf-8"))
    members = {
        file.parent.relative_to(root).as_posix(): json.loads(file.read_text("utf-8"))
        for file in sorted(root.rglob("zarr.json"))
        if file.parent != root
    }
    document["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": members}
    write_whole(root / "zarr.json", json.dumps(document, indent=2).encode(), temporary / "zarr.json")
