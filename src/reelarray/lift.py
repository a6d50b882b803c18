"""From kernels to graphs: the only place where a function of a batch of windows becomes a lazy array.

The plan starts from the result: blocks of results are uniform, so that they are whole Zarr chunks, and each lists the
samples that it needs, over any number of files and gaps. An array that reads from files becomes one task a block; of
any other Dask array each block is joined by the first rows of the blocks after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask._task_spec import Alias, Task
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from . import graph
from .cells import Cells
from .clock import SampleClock
from .errors import RecordingError
from .recordings import clock as clock_of
from .recordings import label
from .table import MEBI, MONTH, SourceTable
from .windows import Run, WindowPlan, Windows, even_blocks, leaves

Kernel = Callable[[np.ndarray, np.ndarray], None]
Read = Callable[[int, int], np.ndarray]

BATCH = MEBI  # bytes of frames a kernel sees at once: they stay in cache, and threads rarely wait for each other
FEWEST = 8  # FFTs run across frames; fewer than 4 at once run half as fast
PORTION = 2 * MEBI  # samples read at once
LEAF = 65536  # windows summed one by one; sums of so many are then summed one by one: the order of every mean
CELL_BLOCK = 64 * MEBI  # samples behind one block of cells: a fraction of a second of work
LARGEST_BLOCK = 64 * MEBI  # bytes of one block of results
LARGEST_MEDIAN = 2**31  # bytes of the spectra behind one median


@dataclass(frozen=True)
class Work:
    """What a task does with its windows: the same for every block, and all that results depend on but the samples."""

    kernel: Kernel
    windows: Windows
    shape: tuple[int, ...]
    dtype: str
    frames: str
    taper: np.ndarray | None = None
    prepare: Callable[[np.ndarray], None] | None = None
    merge: str | None = None
    hops: bool = False

    @property
    def sums(self) -> str:
        """dtype of sums, wide enough that their order is all that matters."""
        return "complex128" if np.dtype(self.dtype).kind == "c" else "float64"

    @property
    def made(self) -> str:
        """dtype of what a task makes."""
        return self.sums if self.merge == "sum" else self.dtype

    def result(self, rows: int, trailing: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        return np.empty((rows, *trailing, *self.shape), self.made if dtype is None else dtype)


# ---- inside a task ---------------------------------------------------------------------------------------------------


def batches(work: Work, read: Read, runs: Sequence[Run], trailing: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Frames (windows, *trailing, length) of all runs in order, tapered, in one buffer that is used again and again."""
    length, hop = work.windows.length, work.windows.hop
    each = length * int(np.prod(trailing, dtype=np.int64))
    most = max(FEWEST, BATCH // (each * np.dtype(work.frames).itemsize))
    most = min(most, sum(run.count for run in runs)) or 1
    portion = max(most, PORTION // max(1, each // length) // hop)
    buffer = np.empty((most, *trailing, length), work.frames)
    filled = 0
    for run in runs:
        for first in range(0, run.count, portion):
            count = min(portion, run.count - first)
            start = run.start + first * hop
            wanted = (count - 1) * hop + length
            frames = _frames(read(start, min(start + wanted, run.stop)), wanted, count, work)
            done = 0
            while done < count:
                some = min(most - filled, count - done)
                into, these = buffer[filled : filled + some], frames[done : done + some]
                if work.prepare is not None:
                    np.copyto(into, these)
                    work.prepare(into)
                    these = into
                if work.taper is None:
                    if these is not into:
                        np.copyto(into, these)
                else:
                    np.multiply(these, work.taper, out=into)
                filled, done = filled + some, done + some
                if filled == most:
                    yield buffer
                    filled = 0
    if filled:
        yield buffer[:filled]


def _frames(samples: np.ndarray, wanted: int, count: int, work: Work) -> np.ndarray:
    """Samples (n, *trailing) -> a view of frames (count, *trailing, length); only a ragged end is filled up, with 0."""
    samples = samples.astype(work.frames, copy=False)
    if len(samples) < wanted:
        padded = np.zeros((wanted, *samples.shape[1:]), work.frames)
        padded[: len(samples)] = samples
        samples = padded
    if work.windows.length == 1:
        return samples[:: work.windows.hop][:count, ..., np.newaxis]
    along = np.ascontiguousarray(np.moveaxis(samples, 0, -1))
    step = along.strides[-1]
    return np.lib.stride_tricks.as_strided(
        along,
        (count, *along.shape[:-1], work.windows.length),
        (work.windows.hop * step, *along.strides[:-1], step),
        writeable=False,
    )


def windows_block(work: Work, read: Read, runs: Sequence[Run], trailing: tuple[int, ...]) -> np.ndarray:
    """Results of all windows of the runs: (windows, *trailing, *shape)."""
    out = work.result(sum(run.count for run in runs), trailing)
    done = 0
    for batch in batches(work, read, runs, trailing):
        work.kernel(batch, out[done : done + len(batch)])
        done += len(batch)
    return out


def hops_block(
    work: Work, read: Read, runs: Sequence[Run], part: Sequence[int], trailing: tuple[int, ...]
) -> np.ndarray:
    """Results of windows that give `hop` rows each, end to end: (rows, *trailing), without the first and last few."""
    skip, rows = part or (0, 0)
    out, at = work.result(rows, trailing), -skip
    for run in runs:
        left = run.stop - run.start - (work.windows.length - work.windows.hop)
        for batch in batches(work, read, [run], trailing):
            made = np.empty((*batch.shape[:-1], work.windows.hop), work.dtype)
            work.kernel(batch, made)
            along = np.moveaxis(made, -1, 1).reshape(-1, *trailing)[:left]
            low, high = max(at, 0), min(at + len(along), rows)
            out[low:high] = along[low - at : high - at]
            at, left = at + len(along), left - len(along)
    return out


def cells_block(
    work: Work, read: Read, runs: Sequence[Run], counts: Sequence[int], trailing: tuple[int, ...]
) -> np.ndarray:
    """Results merged by cells of `counts` windows: (cells, *trailing, *shape)."""
    sums = work.merge == "sum"
    out = work.result(len(counts), trailing)
    add = _Median() if work.merge == "median" else Sums(out.shape[1:], work.sums)
    cell, left = 0, counts[0] if counts else 0
    rows = None
    for batch in batches(work, read, runs, trailing):
        if rows is None:
            rows = work.result(len(batch), trailing, work.dtype)
        work.kernel(batch, rows[: len(batch)])
        done = 0
        while done < len(batch):
            some = min(left, len(batch) - done)
            add(rows[done : done + some])
            done, left = done + some, left - some
            if not left:
                out[cell] = add.finish() if sums or work.merge == "median" else add.finish() / counts[cell]
                cell += 1
                left = counts[cell] if cell < len(counts) else 0
    return out


class Sums:
    """Sums rows one by one in float64, in order: the result cannot depend on how the rows arrived.

    After `LEAF` rows the sum so far is put aside, and the sums put aside are themselves summed one by one, so that a
    cell may also be summed leaf by leaf in many tasks.
    """

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        self.shape, self.rows, self.dtype = shape, 0, dtype
        self.total: np.ndarray | None = None
        self.partial = np.zeros(int(np.prod(shape, dtype=np.int64)), dtype)
        self.buffer = np.zeros((1, self.partial.size), dtype)

    def __call__(self, rows: np.ndarray) -> None:
        while len(rows):
            some = min(LEAF - self.rows, len(rows))
            self._add(rows[:some].reshape(some, -1))
            rows, self.rows = rows[some:], self.rows + some
            if self.rows == LEAF:
                self._put_aside()

    def _add(self, rows: np.ndarray) -> None:
        if len(self.buffer) <= len(rows):
            self.buffer = np.empty((len(rows) + 1, self.partial.size), self.dtype)
        stacked = self.buffer[: len(rows) + 1]
        stacked[0] = self.partial
        stacked[1:] = rows
        if self.partial.size > 1:
            np.add.reduce(stacked, axis=0, out=self.partial)  # along the first axis NumPy adds row after row
        else:
            self.partial[0] = np.add.accumulate(stacked[:, 0])[-1]  # a single column it would add in pairs

    def _put_aside(self) -> None:
        self.total = self.partial.copy() if self.total is None else self.total + self.partial
        self.partial[:] = 0
        self.rows = 0

    def finish(self) -> np.ndarray:
        if self.rows or self.total is None:
            self._put_aside()
        total, self.total = self.total, None
        return np.reshape(total, self.shape)  # type: ignore[arg-type]


class _Median:
    """Keeps the rows of a cell: their median, over the bias that it has for exponential variables, as Welch's."""

    def __init__(self) -> None:
        self.rows: list[np.ndarray] = []

    def __call__(self, rows: np.ndarray) -> None:
        self.rows.append(rows.copy())

    def finish(self) -> np.ndarray:
        rows, self.rows = np.concatenate(self.rows), []
        return np.median(rows.astype(np.float64), axis=0) / median_bias(len(rows))


def median_bias(count: int) -> float:
    """Expected median of `count` unit exponential variables: Allen et al. 2012, Phys. Rev. D 85, 122006, appendix B.

    >>> median_bias(1), round(median_bias(3), 6)
    (1.0, 0.833333)
    """
    k = np.arange(2, count, 2)
    return float(1 + np.sum(1 / (k + 1) - 1 / k))


# ---- the graph -------------------------------------------------------------------------------------------------------


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
    return _block(work, lambda a, b: table.read(a - base, b - base), runs, counts, table.shape)


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
    return clock._with_stretches(
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
    return _from_sources(work, table, Plan(plan, edges, ranges, work.hops), name)


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


def _from_sources(work: Work, table: SourceTable, plan: Plan, name: str) -> da.Array:
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
    summing = Work(**{**work.__dict__, "merge": "sum"})
    if table is not None:
        sums = _from_sources(summing, table, Plan(plan, np.arange(len(begin) + 1), (begin, end)), f"{name}-sum")
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


# ---- any other Dask array --------------------------------------------------------------------------------------------


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
    ahead = _look_ahead(data, halo, name)
    axes = tuple(range(data.ndim))
    new = {data.ndim + k: n for k, n in enumerate(work.shape)}
    sizes = tuple(np.diff(owned).tolist())
    part = graph.Pieces((sizes,), ArrayPart(plan, edges))
    token = tokenize(
        data.name, work, owned.tobytes(), None if plan.cells is None else [a.tobytes() for a in plan.cells]
    )
    return da.blockwise(
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


def _look_ahead(data: da.Array, halo: int, name: str) -> da.Array | None:
    """For each block the `halo` rows after it, in as many doublings as there are blocks to look across."""
    sizes = np.array(data.chunks[0], np.int64)
    if not halo or len(sizes) < 2:
        return None
    have = np.minimum(sizes, halo)
    heads = _trimmed(data, None, [(int(n), 0) for n in have], f"{name}-head")
    after = np.append(np.cumsum(sizes[::-1])[::-1], 0)
    reach = 1
    while (have < np.minimum(halo, after[:-1])).any():
        further = np.append(have[reach:], np.zeros(reach, np.int64))
        more = np.minimum(further, halo - have)
        parts = [(int(a), int(b)) for a, b in zip(have, more, strict=True)]
        heads = _trimmed(heads, _shifted(heads, reach), parts, f"{name}-head")
        have, reach = have + more, reach * 2
    return _trimmed(_shifted(heads, 1), None, [(int(n), 0) for n in np.append(have[1:], 0)], f"{name}-ahead", only=True)


def _trimmed(a: da.Array, b: da.Array | None, parts: list[tuple[int, int]], name: str, only: bool = False) -> da.Array:
    """The first rows of each block of a, then the first rows of the same block of b."""
    if only and all(n == size for (n, _), size in zip(parts[:-1], a.chunks[0][:-1], strict=True)) and parts[-1][0]:
        return a
    axes = tuple(range(a.ndim))
    sizes = tuple(sum(p) for p in parts)
    pieces = graph.Pieces((sizes,), parts.__getitem__)
    return da.blockwise(
        _trim,
        axes,
        a,
        axes,
        *((None, None) if b is None else (b, axes)),
        pieces,
        axes[:1],
        name=f"{name}-{tokenize(a.name, None if b is None else b.name, parts)}",
        dtype=a.dtype,
        meta=np.empty((0,) * a.ndim, a.dtype),
        adjust_chunks={0: sizes},
        align_arrays=False,
    )


def _trim(a: np.ndarray, b: Any, part: tuple[int, int]) -> np.ndarray:
    return a[: part[0]] if b is None else np.concatenate([a[: part[0]], b[: part[1]]])


def _shifted(a: da.Array, by: int) -> da.Array:
    """Block k of the result is block k + by of a; behind the last stand blocks of one row that nobody uses.

    (Not `da.concatenate`, which leaves empty blocks out, and all later ones would move up.)
    """
    count = a.numblocks[0]
    by = min(by, count)
    name = f"shifted-{tokenize(a.name, by)}"
    tasks: dict[Any, Any] = {}
    for k in range(count):
        for rest in product(*(range(n) for n in a.numblocks[1:])):
            key: Any = (name, k, *rest)
            behind: Any = (a.name, k + by, *rest)
            shape = (1, *(sizes[b] for sizes, b in zip(a.chunks[1:], rest, strict=True)))
            tasks[key] = Alias(key, behind) if k + by < count else Task(key, np.zeros, shape, a.dtype)
    layers = HighLevelGraph.from_collections(name, tasks, dependencies=[a])  # type: ignore[list-item]
    return da.Array(layers, name, ((*a.chunks[0][by:], *(1,) * by), *a.chunks[1:]), meta=a._meta)
