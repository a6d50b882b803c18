"""Files end to end: which samples of each count, and which follow each other without a gap."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import numpy as np
import pandas as pd

from .catalog.tolerance import Tolerance
from .errors import ClockError
from .exact import NANOSECONDS
from .source import long_steps

log = logging.getLogger(__name__)

Overlap = Literal["error", "first", "last"]
NAT = np.iinfo(np.int64).min
_NONE: Mapping[int, np.ndarray] = {}


@dataclass(frozen=True, eq=False)
class Files:
    """Files in order of start, or the parts of files in which time jumps: ns, frames, and what joins them.

    Each is `frames` frames of row `row`, from frame `skip`; one that is `apart` comes after a jump and joins nothing.
    Of files whose frames were timed one by one each frame is a part.
    """

    path: np.ndarray
    row: np.ndarray
    skip: np.ndarray
    start: np.ndarray
    frames: np.ndarray
    apart: np.ndarray
    rate: Fraction
    tolerance: Tolerance
    absolute: bool

    @classmethod
    def of(cls, rows: pd.DataFrame, tolerance: float | None, measured: Mapping[int, np.ndarray] = _NONE) -> Files:
        """Files of the rows of a catalog; `measured` has ms of each frame of some of them."""
        start = rows["start"].to_numpy().astype("datetime64[ns]").view(np.int64)
        absolute = bool((start != NAT).all())
        start = start if absolute else np.zeros(len(start), np.int64)
        rate = Fraction(str(rows["exact_rate"].iloc[0]))
        within = Tolerance.of(tolerance, start, [rate])
        if (np.diff(start) < 0).any():
            raise ClockError("the files of this catalog are not in order of time: catalog.sort_values('start')")
        cuts, gaps = rows["breaks"].to_numpy(object).copy(), []
        for k, ms in measured.items():
            cuts[k] = np.column_stack([np.arange(1, len(ms)), np.rint((ms[1:] - ms[0]) * 1e6).astype(np.int64)])
            gaps += [(k, frame) for frame in long_steps(ms).tolist()]
        row, skip, since, frames = _parts(rows["samples"].to_numpy(np.int64), cuts)
        apart = (skip > 0) & ~np.isin(row, list(measured))
        first = np.searchsorted(row, np.arange(len(rows)))
        apart[[first[k] + frame for k, frame in gaps]] = True
        start = start[row] + since
        order = np.argsort(start, kind="stable")  # a file may have recorded in a pause of another
        row, skip, start, frames = row[order], skip[order], start[order], frames[order]
        path = rows["path"].to_numpy(object)[row]
        return cls(path, row, skip, start, frames, apart[order], rate, within, absolute)

    def duration(self, frames: np.ndarray) -> np.ndarray:
        """Frames -> ns at the nominal rate, rounded."""
        numerator = NANOSECONDS * self.rate.denominator
        whole, rest = np.divmod(frames, self.rate.numerator)
        return whole * numerator + (rest * numerator + self.rate.numerator // 2) // self.rate.numerator

    def slack(self, frames: np.ndarray) -> np.ndarray:
        """ns that the file after one of `frames` may start before its end and still be joined to it."""
        return self.tolerance.overlap(self.duration(frames))


def _parts(samples: np.ndarray, cuts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Row, first frame, ns since the first of the file, and frames of each part: a part is what lies between breaks."""
    count = np.fromiter((1 + len(each) for each in cuts), np.int64, len(cuts))
    row = np.repeat(np.arange(len(samples)), count)
    skip, since = np.zeros(len(row), np.int64), np.zeros(len(row), np.int64)
    first = np.cumsum(count) - count
    for k in np.flatnonzero(count > 1).tolist():
        at = slice(first[k] + 1, first[k] + count[k])
        skip[at], since[at] = np.array(cuts[k], np.int64).T
    stop = np.append(skip[1:], 0)
    stop[first + count - 1] = samples
    return row, skip, since, stop - skip


@dataclass(frozen=True, eq=False)
class Pieces:
    """`count` frames of file `row`, from frame `skip`, that start at `start` ns; joined to the piece before or not."""

    row: np.ndarray
    skip: np.ndarray
    count: np.ndarray
    start: np.ndarray
    joined: np.ndarray


def join_files(files: Files, overlap: str) -> Pieces:
    """What is used of each file, and which ones are joined to the one before."""
    row, skip, count = np.arange(len(files.start)), np.zeros(len(files.start), np.int64), files.frames.copy()
    start = files.start.copy()
    apart = start[1:] - (start[:-1] + files.duration(count[:-1]))
    follows = (files.row[1:] == files.row[:-1]) & (files.skip[1:] == files.skip[:-1] + files.frames[:-1])
    over = (apart < -files.slack(count[:-1])) & ~follows  # what was timed frame by frame is in order
    if over.any():
        if overlap == "error":
            raise ClockError(_overlap_text(files, apart, np.flatnonzero(over)))
        row, skip, count, start = _cut_overlaps(files, first=overlap == "first")
        apart = start[1:] - (start[:-1] + files.duration(count[:-1]))
    lasts = files.duration(count)
    near = (apart >= -files.tolerance.ns) & (apart <= files.tolerance.gap(lasts[:-1], lasts[1:]))
    own, at = files.row[row], files.skip[row] + skip
    # A jump is one between parts of a file, not of two; all others of its parts follow each other, at their own times.
    within = np.append(False, (own[1:] == own[:-1]) & (at[1:] == at[:-1] + count[:-1]))[: len(row)]
    joined = np.where(within, ~files.apart[row] | (skip > 0), np.append(False, near)[: len(row)])
    return Pieces(files.row[row], files.skip[row] + skip, count, start, joined)


def _overlap_text(files: Files, apart: np.ndarray, over: np.ndarray) -> str:
    k, others = int(over[0]), len(over) - 1
    more = f" (and {others} more overlap the one before)" if others else ""
    same = files.start[k] == files.start[k + 1]
    how = "starts at the same time as" if same else f"starts {-apart[k] / NANOSECONDS:.3f} s before the end of"
    little = -apart[k] <= files.duration(files.frames[k]) // 2
    join = f"tolerance={math.ceil(-apart[k] / 10**6) / 1000:.3f} to treat them as joined, " if little else ""
    return (
        f"{files.path[k + 1]} {how} {files.path[k]}{more}; pass overlap='first' or 'last' to choose whose samples "
        f"count, {join}or exclude= one"
    )


@dataclass(frozen=True)
class _Span:
    """`count` frames of file `row`, from frame `skip`, of which the first stands at `start` ns."""

    row: int
    skip: int
    count: int
    start: int

    def end(self, files: Files) -> int:
        return self.start + int(files.duration(np.array(self.count)))

    def before(self, time: int, files: Files) -> _Span:
        """What ends at or before a time."""
        over = max(0, _frames_up(self.end(files) - time, files.rate))
        return replace(self, count=max(0, self.count - over))

    def after(self, time: int, files: Files) -> _Span:
        """What begins at or after a time."""
        skip = min(self.count, max(0, _frames_up(time - self.start, files.rate)))
        start = self.start + int(files.duration(np.array(skip)))
        return _Span(self.row, self.skip + skip, self.count - skip, start)


def _frames_up(ns: int, rate: Fraction) -> int:
    return int(-(-ns * rate // NANOSECONDS))


def _cut_overlaps(files: Files, *, first: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Keep the samples of the first, or of the last, file wherever files overlap; what only one file has is kept."""
    kept: list[_Span] = []  # in order of time, without overlaps
    for k, (start, frames) in enumerate(zip(files.start.tolist(), files.frames.tolist(), strict=True)):
        new = _Span(k, 0, frames, start)
        shared: list[_Span] = []
        while kept and start - kept[-1].end(files) < -int(files.slack(np.array(kept[-1].count))):
            shared.insert(0, kept.pop())
        if first:
            pieces = [*shared, new.after(shared[-1].end(files), files) if shared else new]
        else:
            end = new.end(files)
            pieces = [*(s.before(start, files) for s in shared), new, *(s.after(end, files) for s in shared)]
        kept += [span for span in pieces if span.count]
    used = {int(files.row[span.row]) for span in kept}
    for path in dict.fromkeys(files.path[k] for k, row in enumerate(files.row.tolist()) if row not in used):
        log.warning("%s is left out: other files have all its time, and overlap= prefers them", path)
    columns = np.array([(s.row, s.skip, s.count, s.start) for s in kept], np.int64).T
    return columns[0], columns[1], columns[2], columns[3]
