"""Zarr stores: write an array block by block, each once, whatever interrupts it; and read it back, clock and all."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from ..driving import Policy
from ..errors import FormatError, RecordingError
from ..recordings import label
from . import clocktable
from .compression import compressor
from .encode import encoding_of
from .journal import FOLDER, read_header, read_records
from .layout import Layout, Sizes
from .running import Output, Written
from .skeleton import CLOCK
from .store import in_place

_TOKEN = re.compile(r"-[0-9a-f]{32}$")  # xarray names an array after Dask's where it has no name
READ_BLOCK = 32 * 2**20  # bytes of one block of what open_zarr returns


def write_zarr(
    x: xr.DataArray,
    path: str | os.PathLike[str],
    *,
    encoding: str | None = None,
    step: float | None = None,
    keep_bits: int | None = None,
    compression: str | None = None,
    chunk: Sizes = None,
    shard: Sizes = None,
    name: str | None = None,
    overwrite: bool = False,
    verify: bool = False,
    wait: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Write an array to a Zarr store (format 3), block by block: (time, ...) [u] -> a folder that xarray opens.

    Each block is written by the task that computes it, with the scheduler in use: threads, or the cluster of the active
    `distributed.Client`. What is in place is noted in a journal inside the store. Interrupted in any way and called
    again, only missing blocks are computed, and the store ends the same to the bit.

    Coordinates, attributes, the clock (group `clock`), the software version and the input files go with it; `time` is
    an ordinary CF coordinate up to 10 million rows, and made by the clock above (`ra.open_zarr`).

    Parameters
    ----------
    x : any array; blocks must be of one size along each dimension, the last one shorter
    path : folder of the store on a local or mounted disk; made, with its parents
    encoding : None writes values as they are; "float32" rounds to float32; "db16" keeps a power as levels in 16 bits,
        which readers see as dB: at most half a step off; NaN stays NaN, zero reads -32767 steps (-327.67 dB)
    step : of "db16" in dB: 0.01 unless given. Steps of 0.1 take 1/2 to 3/4 of the space, those of 0.5 1/4 to 3/5: no
        more than levels in 8 bits would, and without their narrow range
    keep_bits : round floats to so many bits of mantissa: 10 (at most 0.05 % off, 0.002 dB) take half the space of all
        23 of float32, 7 (0.4 %) a third; every reader sees ordinary floats
    compression : "lz4" unless given; "zstd" is some percent smaller, a fifth or more where steps are coarse, and
        written at half to three quarters of the speed; "none". Both shuffle bits first
    chunk, shard : rows of a Zarr chunk, and of a shard of chunks in one file, or sizes by dimension; a block must be
        whole ones. Unless given there are no shards, and a chunk is a block of up to 4 MiB, or part of one: then blocks
        are cut along their other dimensions first, so that who reads a year of one frequency reads few others. (A store
        that is completed keeps its chunks and compression)
    name : of the variable; that of x, or "values", unless given
    overwrite : replace a store of another array. One of the same files and parameters is completed as ever; one whose
        values have no known origin is written anew
    verify : read the blocks that are in place, and write again those that are not as they were written
    wait : seconds to wait for another process that writes the store
    progress : called here with (blocks in place, blocks in all), first with what was there

    What an array is, is told by its attributes, coordinates, clock, shape, and the names, sizes and times of change of
    the files it is made of; or by its values, in memory. Arithmetic of your own shows by its steps, not by their
    constants (`x * 2` is not `x`, but passes for `x * 3`): give those an attribute. For a lazy array that comes from
    anywhere else you vouch: call again with the same one.

    Raises
    ------
    ChunkError : blocks that are not whole chunks; the message names sizes
    OutputExists : the path holds something else, or another array (the message says what differs)
    OutputHeld : another process is writing there
    Unwritable : no space, no permission, ...; what is in place stays noted, no more
    RecordingError, CalibrationError : what cannot be stored; "db16" of what is no power, or above 32767 steps
    Exception : the first that a block raises

    >>> import tempfile
    >>> from reelarray import recording, spectrogram
    >>> x = recording(np.zeros(4096, "f4"), rate=4096, start="2022-03-01", units="Pa")
    >>> folder = tempfile.mkdtemp() + "/quiet.zarr"
    >>> write_zarr(spectrogram(x, nfft=1024), folder, encoding="db16").done
    1
    >>> quiet = open_zarr(folder)
    >>> quiet.attrs["units"], quiet.values.max().round(2)
    ('dB re 1 uPa2 Hz-1', np.float64(-327.67))
    """
    how: dict[str, Any] = {"encoding": encoding, "step": step, "keep_bits": keep_bits, "compression": compression}
    output = output_of(x, path, chunk=chunk, shard=shard, name=name, **how)

    def beat(state: Written) -> None:
        if progress is not None and (told[0] is None or state.done != told[0]):
            told[0] = state.done
            progress(state.skipped + state.done, state.total)

    told: list[int | None] = [None]
    once = Policy(retries=0, on_error="raise")
    return output.write(once, overwrite=overwrite, verify=verify, retry_failed=True, wait=wait, beat=beat)


def output_of(
    x: xr.DataArray,
    path: str | os.PathLike[str],
    *,
    encoding: str | None = None,
    step: float | None = None,
    keep_bits: int | None = None,
    compression: str | None = None,
    chunk: Sizes = None,
    shard: Sizes = None,
    name: str | None = None,
) -> Output:
    """An array and the store that it would go to, checked; nothing is touched. Takes and raises what `write_zarr` does.

    >>> from reelarray import recording, spectrogram
    >>> x = recording(np.zeros(4096, "f4"), rate=4096, units="Pa")
    >>> output_of(spectrogram(x), "nowhere/quiet.zarr").look().skipped
    0
    """
    if not isinstance(x, xr.DataArray) or not x.ndim:
        raise RecordingError(
            f"a {type(x).__name__} without dimensions was given; an xarray.DataArray with one or more was expected"
        )
    target = _local(path)
    name = _name(x, name)
    stored = encoding_of(x, encoding, step=step, keep_bits=keep_bits)
    compressor(compression)
    return Output(x, target, name, stored, chunk=chunk, shard=shard, compression=compression)


def _name(x: xr.DataArray, name: str | None) -> str:
    own = "" if x.name is None or _TOKEN.search(str(x.name)) else str(x.name)
    found = name or own or "values"
    taken = [n for n in (found, *map(str, x.coords)) if n == CLOCK or n.startswith(".") or "/" in n]
    if taken or found in x.coords:
        raise RecordingError(
            f"the name {(taken or [found])[0]!r} is taken in the store or by a coordinate: pass name=, or x.rename(...)"
        )
    return found


def _local(path: str | os.PathLike[str]) -> Path:
    text = os.fspath(path)
    if "://" in text and not text.startswith("file://"):
        raise RecordingError(
            f"{text}: stores are written to local or mounted disks, where a journal can be kept; write to a folder and "
            "copy it there"
        )
    return Path(text.removeprefix("file://")).resolve()


def open_zarr(path: str | os.PathLike[str], *, name: str | None = None, chunks: Any = None) -> xr.DataArray:
    """Open a store that `write_zarr` made: a lazy array with its clock, coordinates and attributes.

    Values are those that xarray reads, bit for bit; levels stay levels ("db16"). Warns where blocks are missing yet:
    they read NaN, or zero in integers.

    Parameters
    ----------
    path : folder, or URL for fsspec
    name : of the variable, where other tools have added some
    chunks : as for `xarray.open_zarr`; whole rows in blocks of some 32 MiB unless given

    Raises
    ------
    FormatError : a store that `write_zarr` did not make
    FileNotFoundError : nothing there
    """
    text = os.fspath(path)
    try:
        group = zarr.open_group(text, mode="r")
    except zarr.errors.GroupNotFoundError:
        kind = FormatError if os.path.exists(text) else FileNotFoundError
        raise kind(
            f"{text} is no Zarr store (looked for from {os.getcwd()}): pass the folder that ra.write_zarr made; "
            "recordings are opened by ra.open_recordings"
        ) from None
    found = name or group.attrs.get("reelarray_variable")
    if not isinstance(found, str) or found not in group:
        raise FormatError(
            f"{text} has no {f'variable {found!r}' if found else 'mark of write_zarr'}: open it with xr.open_zarr; it "
            f"holds {', '.join(map(repr, sorted(group.array_keys()))) or 'nothing'}"
        )
    own, coordinate = _clock(group[CLOCK]) if CLOCK in group else (None, {})  # type: ignore[arg-type]
    array: Any = group[found]
    if chunks is None:
        chunks = _read_blocks(array)
    made = [n for n in (coordinate.get("name"), coordinate.get("bounds")) if n]
    with warnings.catch_warnings():  # xarray counts the chunks of the last block as split
        warnings.filterwarnings("ignore", "The specified chunks separate the stored chunks")
        stored = xr.open_zarr(text, chunks=chunks, drop_variables=made)[found]
    _warn_if_incomplete(text, Layout(array.shape, array.chunks, array.shards))
    coords = {n: _text(c.variable.load()) for n, c in stored.coords.items()}
    if own is None:
        return xr.DataArray(stored.variable, coords=coords, name=found)
    bounds, dims = bool(coordinate["bounds"]), stored.dims[1:]
    out = label(stored.data, own, dims=dims, coords=coords, attrs=stored.attrs, name=found, bounds=bounds)
    out.coords[coordinate["name"]].attrs.update(coordinate["attrs"])
    return out


def _read_blocks(array: Any) -> dict[str, int]:
    """Whole rows of whole chunks (or shards), some 32 MiB of them as they are read: scaled integers as float64."""
    dims, rows = array.metadata.dimension_names, (array.shards or array.chunks)[0]
    itemsize = 8 if "scale_factor" in array.attrs else array.dtype.itemsize
    each = itemsize * int(np.prod(array.shape[1:], dtype=np.int64)) * rows
    return {dims[0]: max(1, READ_BLOCK // max(1, each)) * rows, **dict.fromkeys(dims[1:], -1)}


def _text(variable: xr.Variable) -> xr.Variable:
    """Text as NumPy's own, so that it looks and pickles as before."""
    if variable.dtype.kind in "OT":
        return xr.Variable(variable.dims, np.array(variable.values.tolist(), str), variable.attrs)
    return variable


def _clock(group: zarr.Group) -> tuple[Any, Mapping[str, Any]]:
    attrs = dict(group.attrs)
    stretches, knots = (np.asarray(group[key][...]) for key in ("stretches", "knots"))  # type: ignore[index]
    source = None
    if "source" in group:
        text = np.asarray(group["source"][...]).tobytes()  # type: ignore[index]
        source = np.array(json.loads(text), object)
    return clocktable.from_tables(attrs, stretches, knots, source), attrs["coordinate"]  # type: ignore[return-value,arg-type]


def _warn_if_incomplete(path: str, laid: Layout) -> None:
    folder = Path(path) / FOLDER
    if "://" in path or not (header := read_header(folder)):
        return
    grid = in_place(header, read_records(folder), laid)
    if not grid.all():
        warnings.warn(
            f"{path}: {int(grid.sum())} of {grid.size} chunks are written; the rest reads as missing. Call write_zarr "
            "again to complete it",
            stacklevel=3,
        )
