"""Work and its plan as Dask layers: the only place where windows of an array become tasks.

The plan starts from the result: blocks of results are uniform, so that they are whole Zarr chunks, and each lists the
samples that it needs, over any number of files and gaps. An array that reads from files becomes one task a block; of
any other Dask array each block is joined by the first rows of the blocks after it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize

from . import graph
from .ahead import look_ahead
from .clock import SampleClock
from .errors import RecordingError
from .merging import FAN, LEAF, Median
from .plan import CELL_BLOCK, LARGEST_BLOCK, ArrayPart, Plan, RowValues, TablePart, block_rows
from .table import SourceTable
from .windows import Run, WindowPlan, even_blocks, leaves
from .work import Read, Work, cells_block, hops_block, keep_memory, windows_block

LARGEST_STATE = 2**31  # bytes of what one cell keeps while it is gathered


# ---- tasks -----------------------------------------------------------------------------------------------------------


def _block(work: Work, read: Read, runs: Sequence[Run], counts: Sequence[int], trailing: tuple[int, ...]) -> np.ndarray:
    keep_memory()
    if work.hops:
        return hops_block(work, read, runs, counts, trailing)
    if work.merge is None:
        return windows_block(work, read, runs, trailing)
    return cells_block(work, read, runs, counts, trailing)


def _from_table(part: tuple[SourceTable, int, list[Run], list[int]], work: Work) -> np.ndarray:
    table, base, runs, counts = part
    work, table = _on_counts(work, table)
    trailing = table.shape[:-1] if work.pairs else table.shape
    return _block(work, lambda a, b: table.read(a - base, b - base), runs, counts, trailing)


def _on_counts(work: Work, table: SourceTable) -> tuple[Work, SourceTable]:
    """The same work on counts as they are stored: values are made in the frames, while these are in cache."""
    stored = table.stored() if np.dtype(work.frames) == np.dtype(table.dtype) else None
    if stored is None:
        return work, table
    counts, factors = stored
    work = replace(work, pairs=counts.pairs)
    powers_of_two = all(math.frexp(factor)[0] == 0.5 for factor in factors)  # exact, wherever they are multiplied
    if work.taper is not None and work.prepare is None and powers_of_two:
        return replace(work, gain=math.prod(factors)), counts
    return replace(work, factors=factors), counts


def _from_rows(own: np.ndarray, ahead: Any, part: tuple[int, list[Run], list[int]], work: Work) -> np.ndarray:
    base, runs, counts = part
    rows = own if ahead is None else np.concatenate([own, ahead])
    return _block(work, lambda a, b: rows[a - base : b - base], runs, counts, own.shape[1:])


# ---- layers ----------------------------------------------------------------------------------------------------------


def windows_of_files(data: Any) -> tuple[TablePart, int] | None:
    """How an array is made of files, where one task does it, also after slices in time; and the rows before it.

    None for rows that are not windows or cells of them, and for any other array.
    """
    found = graph.origin(data)
    if found is None or found.picked or not isinstance(found.piece, TablePart):
        return None
    work = found.piece.work
    return None if work.hops or work.parts else (found.piece, int(found.edges[0]))


def made_of(
    work: Work, data: Any, plan: WindowPlan, clock: SampleClock, ranges: Any, block: int | None, name: str
) -> Any:
    """The data of the result: an array in memory for one in memory, else a lazy one."""
    table = data.table if isinstance(data, TablePart) else graph.rows(data)
    trailing = tuple(int(n) for n in (data.shape[1:] if table is None else table.shape))
    size = plan.size if ranges is None else len(ranges[0])
    if work.hops:
        size = int(plan.outputs(np.array(plan.size)))
    most = 0 if ranges is None else int((ranges[1] - ranges[0]).max(initial=0))
    _check_state(work, most, trailing)
    if table is None and not isinstance(data, da.Array):
        data = np.asarray(data)
        whole = Plan(plan, np.array([0, size]), ranges, work.hops)
        return _block(work, lambda a, b: data[a:b], *whole.part(0), trailing)
    values = max(1, math.prod(trailing))
    if (
        work.merge is not None
        and work.merge.divisible
        and most > LEAF
        and most * work.windows.hop * values > CELL_BLOCK
    ):
        return _by_leaves(work, data, table, plan, ranges, trailing, name)
    if table is None:
        return _from_any_array(work, data, Plan(plan, np.zeros(1), ranges, work.hops), name)
    rows = block or block_rows(work, plan, ranges, trailing, float(clock.size / clock.row_rate))
    return from_sources(work, table, Plan(plan, even_blocks(size, rows), ranges, work.hops), name)


def _check_state(work: Work, most: int, trailing: tuple[int, ...]) -> None:
    if work.merge is None or not most:
        return
    shape, dtype = work.merge.state((*trailing, *work.shape), np.dtype(work.dtype))
    needed = dtype.itemsize * math.prod(shape) * (1 if work.merge.divisible else most)
    if needed > LARGEST_STATE:
        raise RecordingError(
            f"the median of {most:,} spectra keeps all of them in memory ({needed / 2**30:.1f} GiB); pass a shorter "
            "every=, or average='mean'"
            if isinstance(work.merge, Median)
            else f"each cell would keep {needed / 2**30:.1f} GiB in memory: pass a smaller nfft, wider bins, or fewer "
            "channels"
        )


def from_sources(work: Work, table: SourceTable, plan: Plan, name: str) -> da.Array:
    """Blocks of a plan, each made by one task from the files of a table."""
    sizes = np.diff(plan.edges) if len(plan.edges) > 1 else np.zeros(1, np.int64)
    if len(plan.edges) == 1:
        plan = replace(plan, edges=np.zeros(2, np.int64))
    shape, dtype = work.made(table.shape)
    chunks = (tuple(sizes.tolist()), *((n,) for n in shape))
    ranges = None if plan.cells is None else [a.tobytes() for a in plan.cells]
    token = tokenize(
        work, table, plan.windows.starts.tobytes(), plan.windows.stops.tobytes(), plan.edges.tobytes(), ranges
    )
    part = TablePart(table, plan, work)
    return graph.from_blocks(f"{name}-{token}", _from_table, part, chunks, dtype, work=work)


def _by_leaves(
    work: Work,
    data: Any,
    table: SourceTable | None,
    plan: WindowPlan,
    ranges: Any,
    trailing: tuple[int, ...],
    name: str,
) -> da.Array:
    """Cells too long for one task: the states of their leaves, combined in the tree of `merging.Tree`, finished."""
    fine, counts = zip(*(leaves(np.array(r), LEAF) for r in zip(*ranges, strict=True)), strict=True)
    begin = np.concatenate([edges[:-1] for edges in fine])
    end = np.concatenate([edges[1:] for edges in fine])
    of = np.append(0, np.cumsum(np.concatenate(counts)))  # cell c is the leaves [of[c], of[c + 1])
    parts, values = replace(work, parts=True), max(1, math.prod(trailing))
    each = min(CELL_BLOCK // (LEAF * work.windows.hop * values), LARGEST_BLOCK // max(1, parts.row_bytes(trailing)))
    each = max(1, each)  # leaves of one task, which never makes those of two cells
    if table is not None:
        states = from_sources(parts, table, Plan(plan, leaves(of, each)[0], (begin, end)), f"{name}-part")
    else:
        states = _from_any_array(parts, data, Plan(plan, np.zeros(1), (begin, end)), f"{name}-part")
    axes = len(table.shape) if table is not None else data.ndim - 1
    while True:
        edges, groups = leaves(of, FAN)
        last = int(groups.max()) == 1
        shape, dtype = (work if last else parts).made(())
        windows = (ranges[1] - ranges[0]).tolist() if last else [0] * (len(edges) - 1)
        states = graph.of_ranges(
            f"{name if last else f'{name}-combine'}-{tokenize(states.name, edges, last)}",
            partial(_combined, work=work),
            states,
            (edges[:-1], edges[1:]),
            windows,
            np.ones(len(edges) - 1, np.int64),
            dtype,
            (*states.chunks[1 : 1 + axes], *((n,) for n in shape)),
        )
        if last:
            return states
        of = np.append(0, np.cumsum(groups))


def _combined(states: np.ndarray, count: int, work: Work) -> np.ndarray:
    """States in order -> one, finished where it is that of all `count` windows of a cell: (1, ...)."""
    assert work.merge is not None
    state = states[0] if len(states) == 1 else work.merge.combine(states)
    if count:
        state = work.merge.finish(state, count).astype(work.made(())[1], copy=False)
    return state[np.newaxis]


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
    shape, dtype = work.made(())
    new = {data.ndim + k: n for k, n in enumerate(shape)}
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
        dtype=dtype,
        meta=np.empty((0,) * (data.ndim + len(new)), dtype),
        new_axes=new,
        adjust_chunks={0: sizes},
        align_arrays=False,
        work=work,
    )
    some = np.flatnonzero(sizes)
    # A block without rows goes: in arrays of one row dask takes it for that row, and repeats it in arithmetic.
    return out if len(some) == len(sizes) else out.blocks[some if len(some) else [0]]


def beside_rows(
    kernel: Callable[[np.ndarray, np.ndarray], np.ndarray], data: da.Array, values: np.ndarray, dtype: Any, name: str
) -> da.Array:
    """Blocks of ``kernel(rows, numbers)``, with the number that stands beside each row."""
    axes, rows = tuple(range(data.ndim)), np.append(0, np.cumsum(data.chunks[0]))
    return da.blockwise(
        kernel,
        axes,
        data,
        axes,
        graph.Pieces((data.chunks[0],), RowValues(values, rows), tokenize(values)),
        axes[:1],
        name=f"{name}-{tokenize(data.name, values, kernel)}",
        dtype=dtype,
        meta=np.empty((0,) * data.ndim, dtype),
        align_arrays=False,
    )
