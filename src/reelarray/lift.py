"""From kernels to graphs: the only place where a function of a batch of windows becomes a lazy array.

The plan starts from the result: blocks of results are uniform, so that they are whole Zarr chunks, and each lists the
samples that it needs, over any number of files and gaps. An array that reads from files becomes one task a block; of
any other Dask array each block is joined by the first rows of the blocks after it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize

from . import graph
from .ahead import look_ahead
from .cells import Cells
from .clock import SampleClock
from .errors import RecordingError
from .recordings import clock as clock_of
from .recordings import label
from .table import MEBI, MONTH, SourceTable
from .windows import Run, WindowPlan, Windows, even_blocks, leaves
from .work import LEAF, Kernel, Read, Work, cells_block, hops_block, windows_block

CELL_BLOCK = 64 * MEBI  # samples behind one block of cells: a fraction of a second of work
LARGEST_BLOCK = 64 * MEBI  # bytes of one block of results
LARGEST_MEDIAN = 2**31  # bytes of the spectra behind one median


@dataclass(frozen=True, eq=False)
class Plan:
    """Which windows, or cells of windows, each block of a result is made of.

    `edges` are rows of the result: a row is a window, a cell, or with `hops` one of the rows that a window gives.
    """

    windows: WindowPlan
    edges: np.ndarray
    cells: tuple[np.ndarray, np.ndarray] | None = None
    hops: bool = False

    def part(self, block: int) -> tuple[list[Run], list[int]]:
        low, high = int(self.edges[block]), int(self.edges[block + 1])
        if self.hops and high > low:
            first, last = self.windows.gives(low), self.windows.gives(high - 1)
            return self.windows.runs(first, last + 1), [low - int(self.windows.outputs(np.array(first))), high - low]
        if self.cells is None or high <= low:
            return self.windows.runs(low, high), []
        begin, end = (a[low:high] for a in self.cells)
        breaks = np.flatnonzero(np.append(True, begin[1:] != end[:-1]))
        runs = []
        for a, b in zip(breaks, np.append(breaks[1:], len(begin)), strict=True):
            runs += self.windows.runs(int(begin[a]), int(end[b - 1]))
        return runs, (end - begin).tolist()


class TablePart:
    """What one block needs of a table: the ranges of files, and its windows in them."""

    def __init__(self, table: SourceTable, plan: Plan) -> None:
        self.table, self.plan = table, plan

    def __call__(self, block: int) -> tuple[SourceTable, int, list[Run], list[int]]:
        runs, counts = self.plan.part(block)
        start = runs[0].start if runs else 0
        return self.table.select(start, runs[-1].stop if runs else 0), start, runs, counts


class ArrayPart:
    """What one block of any other array needs: where its rows stand, and its windows in them."""

    def __init__(self, plan: Plan, row_edges: np.ndarray) -> None:
        self.plan, self.row_edges = plan, row_edges

    def __call__(self, block: int) -> tuple[int, list[Run], list[int]]:
        return (int(self.row_edges[block]), *self.plan.part(block))


def _block(work: Work, read: Read, runs: Sequence[Run], counts: Sequence[int], trailing: tuple[int, ...]) -> np.ndarray:
    if work.hops:
        return hops_block(work, read, runs, counts, trailing)
    if work.merge is None:
        return windows_block(work, read, runs, trailing)
    return cells_block(work, read, runs, counts, trailing)


def _from_table(part: tuple[SourceTable, int, list[Run], list[int]], work: Work) -> np.ndarray:
    table, base, runs, counts = part
    work, table = _on_counts(work, table)
    return _block(work, lambda a, b: table.read(a - base, b - base), runs, counts, table.shape)


def _on_counts(work: Work, table: SourceTable) -> tuple[Work, SourceTable]:
    """The same work on counts as they are stored: values are made in the frames, while these are in cache."""
    stored = table.stored() if np.dtype(work.frames) == np.dtype(table.dtype) else None
    if stored is None:
        return work, table
    counts, factors = stored
    if work.taper is not None and all(math.frexp(factor)[0] == 0.5 for factor in factors):  # powers of two: exact
        return replace(work, taper=work.taper * math.prod(factors)), counts
    return replace(work, factors=factors), counts


def _from_rows(own: np.ndarray, ahead: Any, part: tuple[int, list[Run], list[int]], work: Work) -> np.ndarray:
    base, runs, counts = part
    rows = own if ahead is None else np.concatenate([own, ahead])
    return _block(work, lambda a, b: rows[a - base : b - base], runs, counts, own.shape[1:])


def lift_windows(
    kernel: Kernel,
    x: xr.DataArray,
    windows: Windows,
    *,
    dtype: Any,
    frames: Any = None,
    taper: np.ndarray | None = None,
    prepare: Callable[[np.ndarray], None] | None = None,
    new_dims: Mapping[str, Any] | None = None,
    cells: Cells | None = None,
    merge: str = "mean",
    label_at: Any = "centre",
    block: int | None = None,
    name: str,
) -> xr.DataArray:
    """Apply a kernel to every window: (time, ...) -> (time, ..., *new_dims), one row a window, or one a cell.

    Parameters
    ----------
    kernel : called as ``kernel(batch, out)`` with frames (windows, ..., length), tapered, and fills out
        (windows, ..., *new); it must treat every window alike, wherever it stands in the batch
    x : a recording, in memory or lazy
    windows : length and hop in rows
    dtype, frames : of results, and of the frames that the kernel gets (that of x unless given)
    taper, prepare : frames are prepared in place, then multiplied by the taper (length,)
    new_dims : name -> coordinate values of each dimension that the kernel makes
    cells, merge : merge the windows of each cell by "mean" or "median"; rows are then cells
    block : rows of one block of the result; chosen for about 4 Mi samples unless given
    name : prefix of the tasks, as the dashboard shows it
    """
    if windows.length < 1 or windows.hop < 1:
        raise RecordingError(f"windows of {windows.length} rows every {windows.hop}: both must be 1 or more")
    if block is not None and block < 1:
        raise RecordingError(f"block={block}: blocks of 1 row or more were expected")
    clock = clock_of(x)
    new_dims = dict(new_dims or {})
    out_clock = cells.clock if cells is not None else clock.windows(windows.length, windows.hop, label_at)
    work = Work(
        kernel=kernel,
        windows=windows,
        shape=tuple(len(v) for v in new_dims.values()),
        dtype=str(np.dtype(dtype)),
        frames=str(np.dtype(x.dtype if frames is None else frames)),
        taper=taper,
        prepare=prepare,
        merge=None if cells is None else merge,
    )
    plan = windows.plan(clock.first, clock.stops)
    data = lift_data(work, x.data, plan, clock, cells, block, name)
    coords = {n: c for n, c in x.coords.items() if "time" not in c.dims and n not in new_dims}
    dims = (*x.dims[1:], *new_dims)
    return label(data, out_clock, dims=dims, coords={**coords, **new_dims}, attrs=x.attrs, bounds=cells is not None)


def lift_filter(
    kernel: Kernel, x: xr.DataArray, windows: Windows, *, dtype: Any, frames: Any, block: int | None = None, name: str
) -> xr.DataArray:
    """Apply a kernel that makes `hop` new rows of each window: (time, ...) -> (time, ...), at the rows' own times.

    Of each stretch the first and last (length - hop) / 2 rows have no result: a row is made of as many rows before it
    as after it.

    Parameters
    ----------
    kernel : called as ``kernel(batch, out)`` with frames (windows, ..., length), fills out (windows, ..., hop); the
        last frame of a stretch is filled up with zeros, and what they make is cut off
    x : a recording, in memory or lazy
    windows : length and hop in rows
    dtype, frames : of results, and of the frames that the kernel gets
    block : rows of one block of the result; chosen for about 4 Mi samples unless given
    name : prefix of the tasks, as the dashboard shows it
    """
    if block is not None and block < 1:
        raise RecordingError(f"block={block}: blocks of 1 row or more were expected")
    clock, margin = clock_of(x), (windows.length - windows.hop) // 2
    work = Work(
        kernel=kernel,
        windows=replace(windows, ragged=True),
        shape=(),
        dtype=str(np.dtype(dtype)),
        frames=str(np.dtype(frames)),
        hops=True,
    )
    plan = work.windows.plan(clock.first, clock.stops)
    data = lift_data(work, x.data, plan, clock, None, block, name)
    coords = {n: c for n, c in x.coords.items() if "time" not in c.dims}
    return label(data, _without_ends(clock, margin), dims=x.dims[1:], coords=coords, attrs=x.attrs)


def _without_ends(clock: SampleClock, rows: int) -> SampleClock:
    """The clock without the first and last rows of each stretch."""
    counts = np.maximum(clock.stops - clock.first - 2 * rows, 0)
    keep = counts > 0
    return clock.with_stretches(
        np.flatnonzero(keep),
        first=(np.cumsum(counts) - counts)[keep],
        offset=(clock.offset + rows * clock.step)[keep],
        size=int(counts.sum()),
    )


def lift_data(
    work: Work, data: Any, plan: WindowPlan, clock: SampleClock, cells: Cells | None, block: int | None, name: str
) -> Any:
    """The data of the result: an array in memory for one in memory, else a lazy one."""
    ranges = None if cells is None else (cells.begin, cells.end)
    size = plan.size if cells is None else len(cells.begin)
    if work.hops:
        size = int(plan.outputs(np.array(plan.size)))
    trailing = tuple(int(n) for n in data.shape[1:])
    if ranges is not None and work.merge == "median":
        _check_median(work, int((ranges[1] - ranges[0]).max(initial=0)), trailing)
    if not isinstance(data, da.Array):
        data = np.asarray(data)
        whole = Plan(plan, np.array([0, size]), ranges, work.hops)
        return _block(work, lambda a, b: data[a:b], *whole.part(0), trailing)
    table = graph.rows(data)
    if ranges is not None and work.merge == "mean":
        most = int((ranges[1] - ranges[0]).max(initial=0))
        if most > LEAF and most * work.windows.hop > CELL_BLOCK:
            return _leaf_by_leaf(work, data, table, plan, ranges, name)
    if table is None:
        return _from_any_array(work, data, Plan(plan, np.zeros(1), ranges, work.hops), name)
    rows = block or block_rows(work, plan, ranges, trailing, float(clock.size / clock.row_rate))
    edges = even_blocks(size, rows)
    return from_sources(work, table, Plan(plan, edges, ranges, work.hops), name)


def block_rows(work: Work, plan: WindowPlan, ranges: Any, trailing: tuple[int, ...], seconds: float) -> int:
    """Rows of one block of results: a power of two of windows (or cells) for the samples that a task should read."""
    values = int(np.prod(trailing, dtype=np.int64))
    row_bytes = work.result(1, trailing).nbytes
    if ranges is None:
        samples = (16 if seconds > MONTH else 4) * MEBI // max(1, values)
        rows = samples if work.hops else samples // work.windows.hop
    else:
        cells = len(ranges[0])
        each = plan.size * work.windows.hop * values // max(1, cells)
        rows = min(CELL_BLOCK // max(1, each), -(-cells // 16))  # some blocks for every worker, even of a short one
    rows = min(max(1, rows), max(1, LARGEST_BLOCK // max(1, row_bytes)))
    return 1 << (int(rows).bit_length() - 1)


def from_sources(work: Work, table: SourceTable, plan: Plan, name: str) -> da.Array:
    sizes = np.diff(plan.edges) if len(plan.edges) > 1 else np.zeros(1, np.int64)
    if len(plan.edges) == 1:
        plan = replace(plan, edges=np.zeros(2, np.int64))
    chunks = (tuple(sizes.tolist()), *((n,) for n in (*table.shape, *work.shape)))
    ranges = None if plan.cells is None else [a.tobytes() for a in plan.cells]
    token = tokenize(
        work, table, plan.windows.starts.tobytes(), plan.windows.stops.tobytes(), plan.edges.tobytes(), ranges
    )
    return graph.from_blocks(f"{name}-{token}", _from_table, TablePart(table, plan), chunks, work.made, work=work)


def _check_median(work: Work, most: int, trailing: tuple[int, ...]) -> None:
    needed = most * work.result(1, trailing).nbytes
    if needed > LARGEST_MEDIAN:
        raise RecordingError(
            f"the median of {most:,} spectra keeps all of them in memory ({needed / 2**30:.1f} GiB); pass a shorter "
            "every=, or average='mean'"
        )


def _leaf_by_leaf(
    work: Work, data: da.Array, table: SourceTable | None, plan: WindowPlan, ranges: Any, name: str
) -> Any:
    """Means of cells too long for one task: sums of `LEAF` windows each, then their sum, in the order of `Sums`."""
    fine, counts = zip(*(leaves(np.array(r), LEAF) for r in zip(*ranges, strict=True)), strict=True)
    begin = np.concatenate([edges[:-1] for edges in fine])
    end = np.concatenate([edges[1:] for edges in fine])
    each = max(1, CELL_BLOCK // (LEAF * work.windows.hop))  # leaves of one task, which never makes those of two cells
    blocks, _ = leaves(np.append(0, np.cumsum(counts)), each)
    summing = Work(**{**work.__dict__, "merge": "sum"})
    if table is not None:
        sums = from_sources(summing, table, Plan(plan, blocks, (begin, end)), f"{name}-sum")
    else:
        sums = _from_any_array(summing, data, Plan(plan, np.zeros(1), (begin, end)), f"{name}-sum")
    sums = sums.rechunk({0: tuple(int(c[0]) for c in counts), **dict.fromkeys(range(1, sums.ndim), -1)})
    windows = (ranges[1] - ranges[0]).tolist()
    meta = np.empty((0,) * sums.ndim, work.dtype)
    axes = tuple(range(sums.ndim))
    token = tokenize(sums.name, windows)
    part = graph.Pieces(((1,) * len(windows),), windows.__getitem__)
    return da.blockwise(
        _mean_of_sums,
        axes,
        sums,
        axes,
        part,
        axes[:1],
        name=f"{name}-{token}",
        dtype=work.dtype,
        meta=meta,
        adjust_chunks={0: (1,) * len(windows)},
        align_arrays=False,
        to=work.dtype,
    )


def _mean_of_sums(sums: np.ndarray, windows: int, to: str) -> np.ndarray:
    total = sums[0].copy()
    for row in sums[1:]:
        total += row
    return (total / windows).astype(to)[np.newaxis]


def _from_any_array(work: Work, data: da.Array, plan: Plan, name: str) -> da.Array:
    """Blocks follow the input's: each makes the windows (or cells) that begin in it, and looks ahead for their rest."""
    edges = np.append(0, np.cumsum(data.chunks[0]))
    if plan.cells is None:
        owned = plan.windows.until(edges)
        owned = plan.windows.outputs(owned) if work.hops else owned
    else:
        first_rows = plan.windows.begin(plan.cells[0]) if len(plan.cells[0]) else np.zeros(0, np.int64)
        owned = np.searchsorted(first_rows, edges, "left")
    plan = replace(plan, edges=owned)
    needs = [runs[-1].stop if (runs := plan.part(k)[0]) else 0 for k in range(len(edges) - 1)]
    halo = int(np.maximum(np.array(needs, np.int64) - edges[1:], 0).max(initial=0))
    ahead = look_ahead(data, halo, name)
    axes = tuple(range(data.ndim))
    new = {data.ndim + k: n for k, n in enumerate(work.shape)}
    sizes = tuple(np.diff(owned).tolist())
    part = graph.Pieces((sizes,), ArrayPart(plan, edges))
    ranges = None if plan.cells is None else [a.tobytes() for a in plan.cells]
    stretches = plan.windows.starts.tobytes(), plan.windows.stops.tobytes()
    token = tokenize(data.name, work, *stretches, owned.tobytes(), ranges)
    out = da.blockwise(
        _from_rows,
        (*axes, *new),
        data,
        axes,
        *((None, None) if ahead is None else (ahead, axes)),
        part,
        axes[:1],
        name=f"{name}-{token}",
        dtype=work.made,
        meta=np.empty((0,) * (data.ndim + len(new)), work.made),
        new_axes=new,
        adjust_chunks={0: sizes},
        align_arrays=False,
        work=work,
    )
    some = np.flatnonzero(sizes)
    # A block without rows goes: in arrays of one row dask takes it for that row, and repeats it in arithmetic.
    return out if len(some) == len(sizes) else out.blocks[some if len(some) else [0]]
