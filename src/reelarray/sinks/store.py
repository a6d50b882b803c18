"""A store before its first block: metadata, coordinates, clock and journal, there all at once or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec

from .. import __version__
from ..clock import SampleClock
from ..timeindex import ClockIndex, time_bounds
from . import clocktable, faults
from .encode import Encoding, cf_coordinate
from .files import AtomicStore, sync_folder, write_whole
from .journal import FOLDER, NAME, Journal, OutputExists, OutputHeld, hold
from .layout import Layout
from .provenance import Inputs, changed_inputs, differences, fingerprint, is_known, plain

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
    identity: dict[str, Any]
    inputs: Inputs


class Store:
    """A store on a local disk that this process holds: its journal, and the folder of its run's temporary files."""

    def __init__(self, path: Path, journal: Journal) -> None:
        self.path, self.journal = path, journal
        self.temporary = path / FOLDER / f"run-{uuid4().hex}"

    def begin(self) -> None:
        """Remove what a killed run left behind, and make a place for this run's temporary files."""
        _remove_runs(self.path / FOLDER)
        self.temporary.mkdir()

    def close(self) -> None:
        """Take away the temporary files, and with them every straggler's way to write, and let go."""
        try:
            _remove_runs(self.path / FOLDER)
        finally:
            self.journal.close()


def _remove_runs(folder: Path) -> None:
    for run in folder.glob("run-*"):
        dead = run.with_name(f"dead-{run.name[4:]}")
        run.rename(dead)  # who still knows the old name finds nothing there
    for dead in folder.glob("dead-*"):
        faults.checkpoint("before removing temporary files")
        shutil.rmtree(dead)


def open_or_create(path: Path, skeleton: Skeleton, *, overwrite: bool) -> Store:
    """The store of an array, held: the one that is there if it is this array's, else a new one.

    Raises
    ------
    OutputHeld : another process is writing it
    OutputExists : something else is there, or a store of another array, and `overwrite` is not set; or, whether set or
        not, a folder that is no Zarr store
    """
    while True:
        replace = not _is_free(path)
        old = _open(path, skeleton, overwrite) if replace else None
        same = old is not None and old.journal.header.get("fingerprint") == fingerprint(skeleton.identity)
        if old is not None and same and (is_known(skeleton.identity) or not overwrite):
            _tidy(path)
            return old
        try:
            return _create(path, skeleton, replace)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise  # else somebody else made it first: look at theirs
        finally:
            if old is not None:
                old.journal.close()


def _is_free(path: Path) -> bool:
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def _open(path: Path, skeleton: Skeleton, overwrite: bool) -> Store | None:
    """What is at a path, held; None where it has no journal but may be replaced."""
    if not (path / FOLDER / NAME).is_file():
        if overwrite and path.is_dir() and any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray")):
            return None
        kind = "a folder" if path.is_dir() else "a file"
        also = "" if not path.is_dir() else ", or overwrite=True if it is a Zarr store to be replaced"
        raise OutputExists(f"{path} is {kind} that write_zarr did not make; choose another path, remove it{also}")
    try:
        journal = Journal.open(path / FOLDER / NAME)
    except OutputExists:
        if not overwrite:
            raise
        return None
    store = Store(path, journal)
    if not overwrite and journal.header.get("fingerprint") != fingerprint(skeleton.identity):
        journal.close()
        raise OutputExists(_what_differs(path, journal.header, skeleton))
    return store


def _what_differs(path: Path, header: Mapping[str, Any], skeleton: Skeleton) -> str:
    found = differences(header.get("identity", {}), skeleton.identity)
    with suppress(OSError, ValueError):
        before = [json.loads(line) for line in (path / FOLDER / INPUTS).read_text("utf-8").splitlines()]
        changed = changed_inputs(before, skeleton.inputs)
        found = [f for f in found if f != "inputs differ"] + ([f"input {changed}"] if changed else [])
    return (
        f"{path} holds another array ({'; '.join(found) or 'of unknown origin'}); pass overwrite=True to replace it, "
        "or choose another path"
    )


# ---- making one ------------------------------------------------------------------------------------------------------


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.reelarray-partial")


def _trash(path: Path) -> Path:
    return path.with_name(f".{path.name}.reelarray-replaced")


def _tidy(path: Path) -> None:
    """Remove what a killed attempt to replace the store left beside it."""
    if _trash(path).exists():
        shutil.rmtree(_trash(path))
    if _partial(path).exists():
        with suppress(OutputHeld), hold(_partial(path) / FOLDER / NAME):
            shutil.rmtree(_partial(path))


def _create(path: Path, skeleton: Skeleton, replace: bool) -> Store:
    """Build beside the path, under a lock, and rename into place."""
    partial, trash = _partial(path), _trash(path)
    (partial / FOLDER).mkdir(parents=True, exist_ok=True)
    file = hold(partial / FOLDER / NAME)
    try:
        for leftover in (*partial.iterdir(), *(partial / FOLDER).iterdir()):
            if leftover not in (partial / FOLDER, partial / FOLDER / NAME):
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        if trash.exists():
            shutil.rmtree(trash)
        header = {
            "fingerprint": fingerprint(skeleton.identity),
            "identity": skeleton.identity,
            "grid": skeleton.layout.grid,
        }
        store = Store(path, Journal.create(file, header))
        temporary = partial / FOLDER / store.temporary.name
        temporary.mkdir()
        _build(partial, temporary, skeleton)
        shutil.rmtree(temporary)
        for folder in (partial, *(f for f in partial.rglob("*") if f.is_dir())):
            sync_folder(folder)
        faults.checkpoint("before renaming the store")
        if replace:
            os.rename(path, trash)
            faults.checkpoint("between the old store and the new")
        os.rename(partial, path)  # onto an empty folder at most
        sync_folder(path.parent)
        faults.checkpoint("after renaming the store")
        if trash.exists():
            shutil.rmtree(trash)
    except BaseException:
        with suppress(OSError):
            shutil.rmtree(partial)
        file.close()
        raise
    return store


def _build(root: Path, temporary: Path, skeleton: Skeleton) -> None:
    x, name, layout = skeleton.x, skeleton.name, skeleton.layout
    group = zarr.create_group(AtomicStore(root, temporary=temporary), attributes=_root_attrs(skeleton))
    group.create_group(FOLDER)  # so that nothing in the store is unknown to Zarr
    own = clock_index(x)
    labelled = own is None or own.clock.size <= MOST_LABELS
    bounds = own is not None and own.bounds
    beside = [str(n) for n in x.coords if n not in x.dims and n != bounds]
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
        **_OPTIONS,
    )
    coords = {n: c.variable for n, c in x.coords.items() if not isinstance(x.xindexes.get(n), ClockIndex)}
    if own is not None and labelled:
        coords[own.name] = x.coords[own.name].variable
        if bounds:
            coords[bounds] = xr.Variable((own.dim, "bound"), time_bounds(own.clock))
    for key, coord in coords.items():
        extra: dict[str, Any] = {}
        if own is not None and key == own.name:
            extra = {"standard_name": "time", "axis": "T"} | ({"bounds": str(bounds)} if bounds else {})
        _write_coord(group, str(key), coord, extra)
    if own is not None:
        kept = plain(dict(x.coords[own.name].attrs))
        names = {"name": str(own.name), "bounds": None if own.bounds is None else str(own.bounds), "attrs": kept}
        _write_clock(group, own.clock, names)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in skeleton.inputs)
    write_whole(root / FOLDER / INPUTS, lines.encode(), temporary / INPUTS)
    _consolidate(root, temporary)


_OPTIONS: dict[str, Any] = {
    "compressors": BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"),  # fastest and smallest of section 5
    "chunk_key_encoding": {"name": "default", "separator": "."},  # one folder an array, not one folder a chunk
    "config": {"write_empty_chunks": True},
}


def clock_index(x: xr.DataArray) -> ClockIndex | None:
    """The index of a recording's time axis, where a clock makes it."""
    return next((i for i in x.xindexes.values() if isinstance(i, ClockIndex)), None)


def _root_attrs(skeleton: Skeleton) -> dict[str, Any]:
    names = list(dict.fromkeys(row[0] for row in skeleton.inputs))
    some = names if len(names) <= MOST_NAMED else [names[0], f"... {len(names) - 2} files ...", names[-1]]
    own = clock_index(skeleton.x)
    beside = (
        {"coordinates": str(own.bounds)} if own is not None and own.bounds and own.clock.size <= MOST_LABELS else {}
    )
    return beside | {
        "Conventions": "CF-1.11",
        "title": str(skeleton.x.attrs.get("long_name", skeleton.name)),
        "software": f"reelarray {__version__}",
        "inputs": some,
        "reelarray_variable": skeleton.name,
        "reelarray_fingerprint": fingerprint(skeleton.identity),
    }


def _write_coord(group: zarr.Group, name: str, coord: xr.Variable, extra: Mapping[str, Any]) -> None:
    values, attrs = cf_coordinate(name, np.asarray(coord.values), plain(dict(coord.attrs), f"attribute of {name!r}:"))
    _write_array(group, name, values, [str(d) for d in coord.dims], {**extra, **attrs})


def _write_array(group: zarr.Group, name: str, values: np.ndarray, dims: list[str], attrs: Mapping[str, Any]) -> None:
    text = values.dtype == object
    options = {k: v for k, v in _OPTIONS.items() if not (text and k == "compressors")}
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=tuple(max(1, min(n, COORD_CHUNK)) for n in values.shape),
        dtype=str if text else values.dtype,
        attributes=dict(attrs),
        dimension_names=dims,
        **options,
    )
    if values.size:
        array[...] = values


def _write_clock(group: zarr.Group, clock: SampleClock, names: Mapping[str, Any]) -> None:
    attrs, stretches, knots = clocktable.to_tables(clock)
    sub = group.create_group(CLOCK, attributes={**attrs, "coordinate": dict(names)})
    columns = {"stretches": (stretches, clocktable.STRETCHES), "knots": (knots, clocktable.KNOTS)}
    for key, (table, titles) in columns.items():
        dims = [key.removesuffix("es" if key == "stretches" else "s"), "column" if key == "knots" else "stretch_column"]
        _write_array(sub, key, table, dims, {"columns": list(titles)})
    if clock.source is not None:
        source = np.array(["" if s is None else str(s) for s in clock.source], object)
        _write_array(sub, "source", source, ["knot"], {"long_name": "file that the knot was read from"})


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
