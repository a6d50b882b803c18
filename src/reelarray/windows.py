"""Windows and cells: which rows each window and each averaging cell is made of, planned in integers only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Windows:
    """Windows of `length` rows every `hop` rows of each stretch; none spans a gap.

    With `ragged`, the last window of a stretch may reach past its end, so that every row is the first row of a hop:
    what block filters need, whose windows overlap by what they cut off.
    """

    length: int
    hop: int
    ragged: bool = False

    def plan(self, starts: np.ndarray, stops: np.ndarray) -> WindowPlan:
        """Windows of the stretches [start, stop) of an array's rows."""
        starts, stops = np.asarray(starts, np.int64), np.asarray(stops, np.int64)
        rows = stops - starts
        counts = np.where(rows >= self.length, (rows - self.length) // self.hop + 1, 0)
        if self.ragged:  # outputs are rows - (length - hop), `hop` from each window
            counts = np.maximum(-(-(rows - self.length + self.hop) // self.hop), 0)
        keep = counts > 0
        return WindowPlan(self, starts[keep], stops[keep], np.append(0, np.cumsum(counts[keep])))


@dataclass(frozen=True)
class Run:
    """`count` windows in a row of one stretch; the first starts at row `start`, and rows end at `stop`."""

    start: int
    count: int
    stop: int


@dataclass(frozen=True)
class WindowPlan:
    """All windows of an array, in order: window k of stretch s is number ``first[s] + k``."""

    windows: Windows
    starts: np.ndarray
    stops: np.ndarray
    first: np.ndarray

    @property
    def size(self) -> int:
        return int(self.first[-1])

    def begin(self, window: np.ndarray) -> np.ndarray:
        """The first row of each window."""
        stretch = np.searchsorted(self.first, window, "right") - 1
        return self.starts[stretch] + (window - self.first[stretch]) * self.windows.hop

    def until(self, row: np.ndarray) -> np.ndarray:
        """The number of windows whose first row lies before each row: who owns a window is who owns its first row."""
        if not len(self.starts):
            return np.zeros(np.shape(row), np.int64)
        row = np.asarray(row, np.int64)
        stretch = np.maximum(np.searchsorted(self.starts, row, "left") - 1, 0)
        inside = np.maximum(-(-(row - self.starts[stretch]) // self.windows.hop), 0)
        return self.first[stretch] + np.minimum(inside, self.first[stretch + 1] - self.first[stretch])

    def runs(self, low: int, high: int) -> list[Run]:
        """Windows [low, high) as runs, each inside one stretch."""
        if high <= low:
            return []
        begin = int(np.searchsorted(self.first, low, "right")) - 1
        end = int(np.searchsorted(self.first, high, "left"))
        found = []
        for s in range(begin, end):
            a, b = max(low, int(self.first[s])), min(high, int(self.first[s + 1]))
            start = int(self.starts[s]) + (a - int(self.first[s])) * self.windows.hop
            stop = min(start + (b - a - 1) * self.windows.hop + self.windows.length, int(self.stops[s]))
            found.append(Run(start, b - a, stop))
        return found

    @cached_property
    def _outputs(self) -> np.ndarray:
        kept = self.windows.length - self.windows.hop
        return np.append(0, np.cumsum(self.stops - self.starts - kept))

    def gives(self, output: int) -> int:
        """The ragged window that gives an output row."""
        stretch = int(np.searchsorted(self._outputs, output, "right")) - 1
        return int(self.first[stretch]) + (output - int(self._outputs[stretch])) // self.windows.hop

    def outputs(self, window: np.ndarray) -> np.ndarray:
        """Ragged windows give `hop` rows each, the last of a stretch what is left: rows before each window."""
        window = np.asarray(window, np.int64)
        stretch = np.minimum(np.searchsorted(self.first, window, "right") - 1, len(self.starts) - 1)
        if not len(self.starts):
            return np.zeros(window.shape, np.int64)
        rows = self._outputs[stretch] + (window - self.first[stretch]) * self.windows.hop
        return np.where(window >= self.size, self._outputs[-1], rows)


def even_blocks(size: int, block: int) -> np.ndarray:
    """Edges of blocks of `block` items, the last one shorter: 0, block, 2 block, ..., size."""
    return np.append(np.arange(0, size, max(1, block)), size) if size else np.zeros(1, np.int64)


def leaves(edges: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut each cell [edges[c], edges[c + 1]) every `most` rows from its own start: (finer edges, leaves a cell)."""
    counts = -(-np.diff(edges) // most)
    begin = np.repeat(edges[:-1], counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.append(begin + within * most, edges[-1]), counts
