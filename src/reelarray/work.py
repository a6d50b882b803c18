"""What a task does with its samples: windows in batches, a kernel on each batch, rows or merged cells out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .windows import Run, Windows

Kernel = Callable[[np.ndarray, np.ndarray], None]
Read = Callable[[int, int], np.ndarray]

BATCH = 2**20  # bytes of frames a kernel sees at once: they stay in cache, and threads rarely wait for each other
FEWEST = 8  # FFTs run across frames; fewer than 4 at once run half as fast
PORTION = 2**20  # samples read at once
LEAF = 65536  # windows summed one by one; sums of so many are then summed one by one: the order of every mean


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
    factors: tuple[float, ...] = ()

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
                into = buffer[filled : filled + some]
                np.copyto(into, frames[done : done + some], casting="same_kind")
                for factor in work.factors:
                    into *= factor
                if work.prepare is not None:
                    work.prepare(into)
                if work.taper is not None:
                    into *= work.taper
                filled, done = filled + some, done + some
                if filled == most:
                    yield buffer
                    filled = 0
    if filled:
        yield buffer[:filled]


def _frames(samples: np.ndarray, wanted: int, count: int, work: Work) -> np.ndarray:
    """Samples (n, *trailing) -> a view of frames (count, *trailing, length); only a ragged end is filled up, with 0."""
    if len(samples) < wanted:
        padded = np.zeros((wanted, *samples.shape[1:]), samples.dtype)
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
