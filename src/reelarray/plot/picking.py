"""Runs of rows of a lazy array, without the work for the rows between them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .. import graph
from ..lift import Plan, TablePart, from_sources
from ..table import MEBI
from ..windows import even_blocks
from ..work import Work

SPARSE = 4  # below a quarter of the rows, windows of files are made one by one; above, whole blocks cost less


def only_runs(data: Any, begin: np.ndarray, end: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray]:
    """An array that holds the runs of rows [begin, end) of `data` and little else, and where the runs stand in it.

    Runs are in order, and may overlap. Of windows that are made from files, only those asked for are made, from the
    samples that they need; of any other Dask array, the blocks that hold a row asked for remain.
    """
    if not len(begin) or not hasattr(data, "dask"):
        return data, begin, end
    if int((end - begin).sum()) * SPARSE < end[-1] - begin[0] and (found := _windows_of_files(data)) is not None:
        rows = np.unique(np.concatenate([np.arange(a, b) for a, b in zip(begin, end, strict=True)]))
        stands = np.searchsorted(rows, begin)
        return _made_of(*found, rows), stands, stands + end - begin
    edges = np.append(0, np.cumsum(data.chunks[0]))
    wanted = np.zeros(len(edges) - 1, bool)
    first, last = np.searchsorted(edges, begin, "right") - 1, np.searchsorted(edges, end, "left")
    for a, b in zip(first.tolist(), last.tolist(), strict=True):
        wanted[a:b] = True
    if wanted.all():
        return data, begin, end
    left_out = np.append(0, np.cumsum(np.where(wanted, 0, np.diff(edges))))
    return data.blocks[np.flatnonzero(wanted)], begin - left_out[first], end - left_out[first]


def _made_of(work: Work, plan: Plan, part: TablePart, before: int, rows: np.ndarray) -> Any:
    """Rows of an array of windows (or of cells) as an array of their own."""
    rows = rows + before
    if plan.cells is None:
        work, ranges = replace(work, merge="mean"), (rows, rows + 1)  # the mean of one window is that window
    else:
        ranges = plan.cells[0][rows], plan.cells[1][rows]
    each = int((ranges[1] - ranges[0]).max(initial=1)) * max(work.windows.length, work.windows.hop)
    edges = even_blocks(len(rows), max(1, MEBI // each))
    return from_sources(work, part.table, Plan(plan.windows, edges, ranges), "pick")


def _windows_of_files(data: Any) -> tuple[Work, Plan, TablePart, int] | None:
    """How an array is made of files, where one task does it, also after slices in time: and the rows before it."""
    name, before = data.name, 0
    layer = data.dask.layers.get(name)
    while layer is not None and name.startswith("getitem"):
        found = _slice_of(dict(layer))
        if found is None:
            return None
        name, block, start = found
        before += start
        layer = data.dask.layers.get(name)
        if block:
            if (pieces := _pieces(layer)) is None:
                return None
            before += sum(pieces.chunks[0][:block])
    pieces = _pieces(layer)
    part = pieces.piece if pieces is not None else None
    work = getattr(getattr(layer, "task", None), "kwargs", {}).get("work")
    if not isinstance(part, TablePart) or not isinstance(work, Work):
        return None
    if work.hops or work.merge == "sum":  # rows that are not windows or cells of them
        return None
    return work, part.plan, part, before


def _pieces(layer: Any) -> graph.Pieces | None:
    """What the blocks of a layer are made of, where each is made of one piece."""
    arguments = list(getattr(layer, "io_deps", {}).values())
    if len(arguments) == len(getattr(layer, "indices", ())) == 1 and isinstance(arguments[0], graph.Pieces):
        return arguments[0]
    return None


def _slice_of(tasks: dict[Any, Any]) -> tuple[str, int, int] | None:
    """The array that a slice in time is of, the block in which it begins, and the row of that block."""
    first = None
    for key, task in tasks.items():
        cut: tuple[Any, ...] = ()
        if hasattr(task, "target"):
            origin = task.target
        elif getattr(getattr(task, "func", None), "__name__", "") == "getitem":  # the operator's, or dask's own
            origin, cut = task.args[0].key, task.args[1]
        else:
            return None
        if any(key[2:]) or any(not isinstance(c, slice) or c.step not in (None, 1) for c in cut):
            return None
        if any(c != slice(None) for c in cut[1:]) or (cut and (cut[0].start or 0) < 0):
            return None
        if key[1] == 0:
            first = origin[0], int(origin[1]), int(cut[0].start or 0) if cut else 0
    return first
