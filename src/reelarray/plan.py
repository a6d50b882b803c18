"""Plans: which windows, or cells of windows, each block of a result is made of, and how many rows a block has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .table import MEBI, MONTH, SourceTable
from .windows import Run, WindowPlan
from .work import Work

SMALL_BLOCK = 2**18  # samples
CELL_BLOCK = 64 * MEBI  # samples behind one block of cells: a fraction of a second of work
LONG_BLOCK = 1024 * MEBI  # the same where there are very many: seconds of work, and files that are worth opening
MANY_BLOCKS = 512
LARGEST_BLOCK = 64 * MEBI  # bytes of one block of results


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
    """What one block needs of a table: the ranges of files, and its windows in them; `work` is what it does there."""

    def __init__(self, table: SourceTable, plan: Plan, work: Work) -> None:
        self.table, self.plan, self.work = table, plan, work

    @property
    def edges(self) -> np.ndarray:
        """Rows of the result between blocks."""
        return self.plan.edges

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


class RowValues:
    """What one block needs of numbers that stand beside the rows of an array."""

    def __init__(self, values: np.ndarray, row_edges: np.ndarray) -> None:
        self.values, self.row_edges = values, row_edges

    def __call__(self, block: int) -> np.ndarray:
        return self.values[self.row_edges[block] : self.row_edges[block + 1]]


def block_rows(work: Work, plan: WindowPlan, ranges: Any, trailing: tuple[int, ...], seconds: float) -> int:
    """Rows of one block of results: a power of two of windows (or cells) for the samples that a task should read."""
    values = int(np.prod(trailing, dtype=np.int64))
    if ranges is None:
        samples = (16 if seconds > MONTH else 4) * MEBI // max(1, values)
        rows = samples * work.windows.rows // work.windows.hop
    else:
        cells = len(ranges[0])
        each = plan.size * work.windows.hop * values // max(1, cells)
        rows = max(CELL_BLOCK // max(1, each), min(LONG_BLOCK // max(1, each), cells // MANY_BLOCKS))
        # Some blocks for every worker, even of a short recording, but none that is less work than to send it.
        rows = min(rows, max(-(-cells // 32), SMALL_BLOCK // max(1, each)))
    rows = min(max(1, rows), max(1, LARGEST_BLOCK // max(1, work.row_bytes(trailing))))
    return 1 << (int(rows).bit_length() - 1)
