"""Windows and cells: which rows each window and each averaging cell is made of, planned in integers only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Pace:
    """The rows that filters give of a stretch: `up` new ones for every `down` of its own.

    Number m stands m * down / up rows after the first row of the stretch, and is made of rows up to `after` past the
    one that stands there or just before. Those before number `first` would need rows from before the stretch.
    """

    first: int
    after: int
    up: int = 1
    down: int = 1

    def count(self, rows: np.ndarray) -> np.ndarray:
        """How many new rows stretches of so many rows give."""
        return np.maximum(((np.asarray(rows, np.int64) - self.after) * self.up - 1) // self.down + 1 - self.first, 0)


@dataclass(frozen=True)
class Windows:
    """Windows of `length` rows every `hop` rows of each stretch; none spans a gap.

    With a `pace`, each window gives not one row but those of a hop, and the last window of a stretch may reach past its
    end: what block filters need, whose windows overlap by what they cut off.
    """

    length: int
    hop: int
    pace: Pace | None = None

    @property
    def rows(self) -> int:
        """New rows of each window."""
        return 1 if self.pace is None else self.hop * self.pace.up // self.pace.down

    def plan(self, starts: np.ndarray, stops: np.ndarray) -> WindowPlan:
        """Windows of the stretches [start, stop) of an array's rows."""
        starts, stops = np.asarray(starts, np.int64), np.asarray(stops, np.int64)
        rows = stops - starts
        if self.pace is None:
            counts = np.where(rows >= self.length, (rows - self.length) // self.hop + 1, 0)
        else:
            counts = -(-self.pace.count(rows) // self.rows)
        keep = counts > 0
        return WindowPlan(self, starts[keep], stops[keep], np.append(0, np.cumsum(counts[keep])))


@dataclass(frozen=True)
class Run:
    """`count` windows in a row of one stretch; the first starts at row `start`, and rows end at `stop`.

    The first is window `number` of its stretch.
    """

    start: int
    count: int
    stop: int
    number: int = 0


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
            found.append(Run(start, b - a, stop, a - int(self.first[s])))
        return found

    @cached_property
    def _outputs(self) -> np.ndarray:
        assert self.windows.pace is not None
        return np.append(0, np.cumsum(self.windows.pace.count(self.stops - self.starts)))

    def gives(self, output: int) -> int:
        """The window that gives a row, where windows give those of a hop."""
        stretch = int(np.searchsorted(self._outputs, output, "right")) - 1
        return int(self.first[stretch]) + (output - int(self._outputs[stretch])) // self.windows.rows

    def outputs(self, window: np.ndarray) -> np.ndarray:
        """Windows that give the rows of a hop, the last of a stretch what is left: rows before each window."""
        window = np.asarray(window, np.int64)
        stretch = np.minimum(np.searchsorted(self.first, window, "right") - 1, len(self.starts) - 1)
        if not len(self.starts):
            return np.zeros(window.shape, np.int64)
        rows = self._outputs[stretch] + (window - self.first[stretch]) * self.windows.rows
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
