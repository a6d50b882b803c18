"""What a task does with its samples: windows in batches, a kernel on each batch, rows or merged cells out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, cast, runtime_checkable

import numpy as np

from .merging import LEAF, Merge, Shape, Tree
from .windows import Run, Windows

Kernel = Callable[[np.ndarray, np.ndarray], None]
HopsKernel = Callable[[np.ndarray, np.ndarray, int], None]  # and the number of the first window in its stretch
Read = Callable[[int, int], np.ndarray]
Taper = np.ndarray | Callable[[], np.ndarray] | None  # or what makes it, where its values are much to send

# Bytes of frames that a kernel sees at once. They stay in cache, and where NumPy's steps give up the interpreter's lock
# many times a batch, a larger one lets threads wait for each other more rarely.
BATCH, COMPILED_BATCH = 2**21, 2**20
# FFTs run across frames, four or eight at once twice as fast, unless those leave the cache: (frames, bytes of them).
TOGETHER = ((8, 2**22), (4, 2**23))
PORTION = 2**20  # samples read at once


@runtime_checkable
class StraightKernel(Protocol):
    """A compiled kernel: from samples straight to results, making its frames itself."""

    def straight(self, work: Work, channels: int, windows: int) -> Callable[[np.ndarray, int, np.ndarray], None]:
        """What one task calls for its windows, ``make(samples, first, out)``, with buffers that it uses again.

        Samples (channels, n) as they are read, or with `work.pairs` (channels, 2 n), I and Q in turn, from window
        number `first` on -> out (windows, ..., *shape).
        """
        ...


@dataclass(frozen=True)
class Work:
    """What a task does with its windows: the same for every block, and all that results depend on but the samples.

    Counts are multiplied by `factors`, each in turn, before anything else; or by `gain`, a power of two, together with
    the taper. With `pairs` counts come as I and Q, an axis of 2 behind the others, and make complex frames. With
    `parts` a row of the result is the state of a part of a cell, to be combined with others.
    """

    kernel: Kernel | StraightKernel
    windows: Windows
    shape: Shape
    dtype: str
    frames: str
    taper: Taper = None
    prepare: Callable[[np.ndarray], None] | None = None
    merge: Merge | None = None
    parts: bool = False
    hops: bool = False
    factors: tuple[float, ...] = ()
    gain: float = 1.0
    pairs: bool = False

    @property
    def compiled(self) -> bool:
        return isinstance(self.kernel, StraightKernel)

    def tapering(self) -> np.ndarray | None:
        """What frames are multiplied by."""
        taper = self.taper() if callable(self.taper) else self.taper
        return taper if taper is None or self.gain == 1.0 else taper * self.gain

    def made(self, trailing: Shape) -> tuple[Shape, np.dtype]:
        """Shape and dtype of one row of the result."""
        shape, dtype = (*trailing, *self.shape), np.dtype(self.dtype)
        if self.merge is None:
            return shape, dtype
        return self.merge.state(shape, dtype) if self.parts else self.merge.result(shape, dtype)

    def row_bytes(self, trailing: Shape) -> int:
        shape, dtype = self.made(trailing)
        return dtype.itemsize * int(np.prod(shape, dtype=np.int64))

    def empty(self, rows: int, trailing: Shape) -> np.ndarray:
        shape, dtype = self.made(trailing)
        return np.empty((rows, *shape), dtype)

    def batch(self, trailing: Shape, windows: int) -> int:
        """Windows in a batch, of so many in all."""
        channels = max(1, int(np.prod(trailing, dtype=np.int64)))
        frame = max(1, self.windows.length * np.dtype(self.frames).itemsize)
        fewest = next((frames for frames, most in TOGETHER if frames * frame <= most), 1)
        large = (COMPILED_BATCH if self.compiled else BATCH) // (frame * channels)
        if large > 8:
            large -= large % 8  # those left over would be transformed one by one
        return max(1, min(windows, max(-(-fewest // channels), large)))


@lru_cache(maxsize=1)
def keep_memory() -> None:
    """Have the C library keep what tasks free, for the next task, instead of giving it back to the system.

    glibc does so up to the size of the largest piece that it has seen freed, and gives back anything larger at once;
    pages that come back are cleared first, which takes a fifth of the time of a task. (Dask's nannies switch that off:
    see docs/performance.md.) No page of this piece is ever touched.
    """
    np.empty(31 * 2**20, np.uint8)  # the largest that it learns from is 32 MiB


def _portions(
    work: Work, read: Read, runs: Sequence[Run], trailing: Shape, least: int
) -> Iterator[tuple[np.ndarray, int]]:
    """Samples (n, *trailing) of all runs, some at a time, and the number of windows in them."""
    length, hop = work.windows.length, work.windows.hop
    portion = max(1, PORTION // max(1, int(np.prod(trailing, dtype=np.int64))) // max(hop, length))
    if hop <= length:  # else the samples between windows would be read for the sake of a whole batch
        portion = max(portion, least)
    for run in runs:
        for first in range(0, run.count, portion):
            count = min(portion, run.count - first)
            start = run.start + first * hop
            wanted = (count - 1) * hop + length
            samples = read(start, min(start + wanted, run.stop))
            if len(samples) < wanted:  # only a ragged end, which is filled up with 0
                padded = np.zeros((wanted, *samples.shape[1:]), samples.dtype)
                padded[: len(samples)] = samples
                samples = padded
            yield samples, count


def batches(work: Work, read: Read, runs: Sequence[Run], trailing: Shape) -> Iterator[np.ndarray]:
    """Frames (windows, *trailing, length) of all runs in order, tapered, in one buffer that is used again and again."""
    most = work.batch(trailing, sum(run.count for run in runs))
    buffer = np.empty((most, *trailing, work.windows.length), work.frames)
    real = as_parts(buffer)
    taper, filled = work.tapering(), 0
    if taper is not None and taper.dtype.kind != "c":
        taper = np.repeat(taper, real.shape[-1] // buffer.shape[-1])
    for samples, count in _portions(work, read, runs, trailing, most):
        frames = _frames(samples, count, work.windows, work.pairs)
        done = 0
        while done < count:
            some = min(most - filled, count - done)
            into, parts = buffer[filled : filled + some], real[filled : filled + some]
            np.copyto(parts if work.pairs else into, frames[done : done + some], casting="same_kind")
            for factor in work.factors:
                parts *= factor
            if work.prepare is not None:
                work.prepare(into)
            if taper is not None and taper.dtype.kind == "c":
                into *= taper
            elif taper is not None:
                parts *= taper
            filled, done = filled + some, done + some
            if filled == most:
                yield buffer
                filled = 0
    if filled:
        yield buffer[:filled]


def as_parts(array: np.ndarray) -> np.ndarray:
    """Complex numbers (..., n) as their parts in turn, (..., 2 n), in the same memory; real ones as they are."""
    return array.view(array.real.dtype) if array.dtype.kind == "c" else array


def _along(samples: np.ndarray, pairs: bool) -> np.ndarray:
    """Samples (n, *trailing) -> (*trailing, n), in a row; pairs (n, *trailing, 2) -> (*trailing, 2 n)."""
    if not pairs:
        return np.ascontiguousarray(np.moveaxis(samples, 0, -1))
    along = np.ascontiguousarray(np.moveaxis(samples, 0, -2))
    return along.reshape(*along.shape[:-2], -1)


def _frames(samples: np.ndarray, count: int, windows: Windows, pairs: bool) -> np.ndarray:
    """Samples (n, *trailing) -> a view of frames (count, *trailing, length); of pairs (count, *trailing, 2 length)."""
    if windows.length == 1 and not pairs:
        return samples[:: windows.hop][:count, ..., np.newaxis]
    along, width = _along(samples, pairs), 2 if pairs else 1
    step = along.strides[-1]
    return np.lib.stride_tricks.as_strided(
        along,
        (count, *along.shape[:-1], width * windows.length),
        (width * windows.hop * step, *along.strides[:-1], step),
        writeable=False,
    )


def _results(
    work: Work, read: Read, runs: Sequence[Run], trailing: Shape, out: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Results (windows, *trailing, *shape) of all windows in order, batch by batch: in `out`, or in one buffer."""
    total = sum(run.count for run in runs)
    most = work.batch(trailing, total)
    rows = np.empty((most, *trailing, *work.shape), work.dtype) if out is None else out
    at = 0
    if isinstance(work.kernel, StraightKernel):
        make = work.kernel.straight(work, int(np.prod(trailing, dtype=np.int64)), total)
        for samples, count in _portions(work, read, runs, trailing, most):
            along = _along(samples, work.pairs)
            along = along.reshape(-1, along.shape[-1])
            step = most if out is None else count  # into the result with one call for all samples at hand
            for done in range(0, count, step):
                some = min(step, count - done)
                made = rows[at : at + some]
                make(along, done, made)
                yield made
                at += 0 if out is None else some
        return
    for batch in batches(work, read, runs, trailing):
        made = rows[at : at + len(batch)]
        work.kernel(batch, made)
        yield made
        at += 0 if out is None else len(batch)


def windows_block(work: Work, read: Read, runs: Sequence[Run], trailing: Shape) -> np.ndarray:
    """Results of all windows of the runs: (windows, *trailing, *shape)."""
    out = work.empty(sum(run.count for run in runs), trailing)
    for _ in _results(work, read, runs, trailing, out):
        pass
    return out


def hops_block(work: Work, read: Read, runs: Sequence[Run], part: Sequence[int], trailing: Shape) -> np.ndarray:
    """Results of windows that give the rows of a hop each, end to end: (rows, *trailing), without those of others."""
    skip, rows = part or (0, 0)
    kernel, pace = cast(HopsKernel, work.kernel), work.windows.pace
    assert pace is not None
    out, at = work.empty(rows, trailing), -skip
    for run in runs:
        left, number = int(pace.count(np.array(run.stop - run.start))), run.number
        for batch in batches(work, read, [run], trailing):
            made = np.empty((*batch.shape[:-1], work.windows.rows), work.dtype)
            kernel(batch, made, number)
            along = np.moveaxis(made, -1, 1).reshape(-1, *trailing)[:left]
            low, high = max(at, 0), min(at + len(along), rows)
            out[low:high] = along[low - at : high - at]
            at, left, number = at + len(along), left - len(along), number + len(batch)
    return out


def cells_block(work: Work, read: Read, runs: Sequence[Run], counts: Sequence[int], trailing: Shape) -> np.ndarray:
    """Results merged by cells of `counts` windows: (cells, *trailing, *shape), and what axes the merge adds."""
    merge = work.merge
    assert merge is not None
    out = work.empty(len(counts), trailing)
    gather = merge.gather((*trailing, *work.shape), np.dtype(work.dtype), work.compiled)
    leaf = LEAF if merge.divisible else max(counts, default=1)
    tree, cell, gathered, in_leaf = Tree(merge.combine), 0, 0, 0
    for rows in _results(work, read, runs, trailing):
        done = 0
        while done < len(rows):
            some = min(len(rows) - done, counts[cell] - gathered, leaf - in_leaf)
            gather(rows[done : done + some])
            done, gathered, in_leaf = done + some, gathered + some, in_leaf + some
            if in_leaf == leaf or gathered == counts[cell]:
                tree.add(gather.take())
                in_leaf = 0
            if gathered == counts[cell]:
                state = tree.take()
                out[cell] = state if work.parts else merge.finish(state, counts[cell])
                cell, gathered = cell + 1, 0
    return out
