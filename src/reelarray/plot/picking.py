"""Runs of rows of a lazy array, without the work for the rows between them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..layers import from_sources, windows_of_files
from ..merging import Mean
from ..plan import Plan, TablePart
from ..table import MEBI
from ..windows import even_blocks

SPARSE = 4  # below a quarter of the rows, windows of files are made one by one; above, whole blocks cost less


def only_runs(data: Any, begin: np.ndarray, end: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray]:
    """An array that holds the runs of rows [begin, end) of `data` and little else, and where the runs stand in it.

    Runs are in order, and may overlap. Of windows that are made from files, only those asked for are made, from the
    samples that they need; of any other Dask array, the blocks that hold a row asked for remain.
    """
    if not len(begin) or not hasattr(data, "dask"):
        return data, begin, end
    if int((end - begin).sum()) * SPARSE < end[-1] - begin[0] and (found := windows_of_files(data)) is not None:
        part, before = found
        rows = np.unique(np.concatenate([np.arange(a, b) for a, b in zip(begin, end, strict=True)]))
        stands = np.searchsorted(rows, begin)
        return _made_of(part, rows + before), stands, stands + end - begin
    edges = np.append(0, np.cumsum(data.chunks[0]))
    wanted = np.zeros(len(edges) - 1, bool)
    first, last = np.searchsorted(edges, begin, "right") - 1, np.searchsorted(edges, end, "left")
    for a, b in zip(first.tolist(), last.tolist(), strict=True):
        wanted[a:b] = True
    if wanted.all():
        return data, begin, end
    left_out = np.append(0, np.cumsum(np.where(wanted, 0, np.diff(edges))))
    return data.blocks[np.flatnonzero(wanted)], begin - left_out[first], end - left_out[first]


def _made_of(part: TablePart, rows: np.ndarray) -> Any:
    """Rows of an array of windows (or of cells) as an array of their own."""
    work, plan = part.work, part.plan
    if plan.cells is None:
        work, ranges = replace(work, merge=Mean()), (rows, rows + 1)  # the mean of one window is that window
    else:
        ranges = plan.cells[0][rows], plan.cells[1][rows]
    each = int((ranges[1] - ranges[0]).max(initial=1)) * max(work.windows.length, work.windows.hop)
    edges = even_blocks(len(rows), max(1, MEBI // each))
    return from_sources(work, part.table, Plan(plan.windows, edges, ranges), "pick")
