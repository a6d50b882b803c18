"""Filling gaps: one regular time axis where that is wanted."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize

from . import graph
from .errors import ChunkError, RecordingError
from .recordings import check_recording, clock, label
from .stitching import fill_clock
from .timeindex import ClockIndex

LARGEST_BLOCK = 2**31  # bytes


def fill_gaps(x: xr.DataArray, value: Any = np.nan) -> xr.DataArray:
    """The same recording with rows of `value` in its gaps: (time, ...) -> (longer time, ...), same units.

    A gap becomes its length times the rate, rounded, in rows; the labels of recorded rows stay, those of the new ones
    run linearly across the gap. Windows span filled gaps: those that touch a NaN are NaN. Of averages, `count` and
    `effort` are 0 in filled rows; averages made afterwards count filled samples as recorded ones. Filled samples are
    made where they are used and take no time to make.

    Parameters
    ----------
    x : a recording; integer samples need a whole `value`
    value : what to fill with

    Raises
    ------
    RecordingError : a value that the dtype cannot hold
    ChunkError : filled rows that would not fit one block; fill before the transform, or average first

    >>> from reelarray import join, recording
    >>> a, b = recording([1.0, 2.0], rate=1, start="2022-03-01"), recording([3.0], rate=1, start="2022-03-01T00:00:04")
    >>> fill_gaps(join([a, b]), 0).values
    array([1., 2., 0., 0., 3.])
    """
    x = check_recording(x)
    if not clock(x).gaps:
        return x
    filled, before = fill_clock(clock(x))
    if x.dtype.kind in "iu" and not (np.isfinite(value) and value == int(value) and _holds(x.dtype, int(value))):
        raise RecordingError(f"value={value!r} does not fit {x.dtype} samples; pass a whole number, such as 0")
    some = before > 0
    at, count = clock(x).first[some], before[some]
    coords = {}
    for name, coord in x.coords.items():
        if name not in ("time", "time_bounds"):
            coords[name] = coord if "time" not in coord.dims else _insert_coord(coord, at, count)
    bounds = isinstance(x.xindexes["time"], ClockIndex) and x.xindexes["time"].bounds is not None
    data = _fill(x.data, at, count, value) if len(at) else x.data  # less than half a row missing: only joined
    attrs = {**x.attrs, "gaps_filled_with": repr(value)}
    return label(data, filled, dims=x.dims[1:], coords=coords, attrs=attrs, name=x.name, bounds=bounds)


def _fill(data: Any, at: np.ndarray, count: np.ndarray, value: Any) -> Any:
    if not isinstance(data, da.Array):
        return _insert(np.asarray(data), list(zip(at.tolist(), count.tolist(), strict=True)), value)
    table = graph.rows(data)
    if table is None:
        return _insert_blocks(data, at, count, value)
    return graph.read_array(table.inserted(at, count, float(value)), max(data.chunks[0]))


def _holds(dtype: np.dtype, value: int) -> bool:
    return bool(np.iinfo(dtype).min <= value <= np.iinfo(dtype).max)


def _insert(rows: np.ndarray, gaps: list[tuple[int, int]], value: Any) -> np.ndarray:
    """rows with `count` rows of value before row `at`, for each gap (at, count) in order."""
    out = np.empty((len(rows) + sum(count for _, count in gaps), *rows.shape[1:]), rows.dtype)
    done = moved = 0
    for at, count in gaps:
        out[done + moved : at + moved] = rows[done:at]
        out[at + moved : at + moved + count] = value
        done, moved = at, moved + count
    out[done + moved :] = rows[done:]
    return out


def _insert_coord(coord: xr.DataArray, at: np.ndarray, count: np.ndarray) -> xr.Variable:
    axis = coord.dims.index("time")
    values = np.moveaxis(coord.values, axis, 0)
    fill = np.nan if values.dtype.kind == "f" and coord.name != "effort" else 0
    filled = _insert(values, list(zip(at.tolist(), count.tolist(), strict=True)), fill)
    return xr.Variable(coord.dims, np.moveaxis(filled, 0, axis), coord.attrs)


def _insert_blocks(data: da.Array, at: np.ndarray, count: np.ndarray, value: Any) -> da.Array:
    """Each block with the gaps before its own rows."""
    edges = np.append(0, np.cumsum(data.chunks[0]))
    owner = np.searchsorted(edges, at, "right") - 1
    gaps: list[list[tuple[int, int]]] = [[] for _ in data.chunks[0]]
    for block, row, rows in zip(owner.tolist(), at.tolist(), count.tolist(), strict=True):
        gaps[block].append((row - int(edges[block]), rows))
    sizes = tuple(size + sum(n for _, n in g) for size, g in zip(data.chunks[0], gaps, strict=True))
    largest = max(sizes) * int(np.prod([max(c) for c in data.chunks[1:]], dtype=np.int64)) * data.dtype.itemsize
    if largest > LARGEST_BLOCK:
        raise ChunkError(
            f"a gap would make a block of {largest / 2**30:.1f} GiB; at most {LARGEST_BLOCK / 2**30:.0f} GiB were "
            "expected: fill the recording before the transform (ra.fill_gaps(x)), or average first (ra.average)"
        )
    axes = tuple(range(data.ndim))
    name = f"fill-gaps-{tokenize(data.name, at.tobytes(), count.tobytes(), value)}"
    filled = da.blockwise(
        _insert,
        axes,
        data,
        axes,
        graph.Pieces((sizes,), gaps.__getitem__, name),
        axes[:1],
        name=name,
        dtype=data.dtype,
        meta=np.empty((0,) * data.ndim, data.dtype),
        adjust_chunks={0: sizes},
        align_arrays=False,
        value=value,
    )
    return filled.rechunk({0: max(data.chunks[0])})  # blocks of one size again: stores want them so
