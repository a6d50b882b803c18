"""Files end to end: which samples of each count, and which files follow each other without a gap."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import pandas as pd

from .clock import NANOSECONDS
from .errors import ClockError

log = logging.getLogger(__name__)

Overlap = Literal["error", "first", "last"]
NAT = np.iinfo(np.int64).min


@dataclass(frozen=True, eq=False)
class Files:
    """Files in order of start: ns, frames, and what joins them."""

    path: np.ndarray
    start: np.ndarray
    frames: np.ndarray
    rate: Fraction
    tolerance: int
    absolute: bool

    @classmethod
    def of(cls, rows: pd.DataFrame, tolerance: float | None) -> Files:
        start = rows["start"].to_numpy().astype("datetime64[ns]").view(np.int64)
        absolute = bool((start != NAT).all())
        start = start if absolute else np.zeros(len(start), np.int64)
        rate = Fraction(str(rows["exact_rate"].iloc[0]))
        if tolerance is not None and not tolerance >= 0:
            raise ClockError(f"tolerance={tolerance!r} was given; seconds, 0 or more, were expected")
        one_sample = -(-NANOSECONDS * rate.denominator // rate.numerator)
        own = NANOSECONDS if not (start % NANOSECONDS).any() else one_sample
        within = own if tolerance is None else round(tolerance * NANOSECONDS)
        return cls(rows["path"].to_numpy(object), start, rows["samples"].to_numpy(np.int64), rate, within, absolute)

    def duration(self, frames: np.ndarray) -> np.ndarray:
        """Frames -> ns at the nominal rate, rounded."""
        numerator = NANOSECONDS * self.rate.denominator
        whole, rest = np.divmod(frames, self.rate.numerator)
        return whole * numerator + (rest * numerator + self.rate.numerator // 2) // self.rate.numerator


@dataclass(frozen=True, eq=False)
class Pieces:
    row: np.ndarray
    skip: np.ndarray
    count: np.ndarray
    start: np.ndarray
    joined: np.ndarray


def join_files(files: Files, overlap: str) -> Pieces:
    """What is used of each file, and which ones are joined to the one before."""
    if (np.diff(files.start) < 0).any():
        raise ClockError("the files of this catalog are not in order of time: catalog.sort_values('start')")
    row, skip, count = np.arange(len(files.start)), np.zeros(len(files.start), np.int64), files.frames.copy()
    start = files.start.copy()
    apart = start[1:] - (start[:-1] + files.duration(count[:-1]))
    if (apart < -files.tolerance).any():
        if overlap == "error":
            raise ClockError(_overlap_text(files, apart))
        row, skip, count, start = _cut_overlaps(files, first=overlap == "first")
        apart = start[1:] - (start[:-1] + files.duration(count[:-1]))
    joined = np.append(False, np.abs(apart) <= files.tolerance)[: len(row)]
    return Pieces(row, skip, count, start, joined)


def _overlap_text(files: Files, apart: np.ndarray) -> str:
    k = int(np.argmin(apart >= -files.tolerance))
    others = int((apart < -files.tolerance).sum()) - 1
    more = f" (and {others} more files overlap)" if others else ""
    same = files.start[k] == files.start[k + 1]
    how = "starts at the same time as" if same else f"starts {-apart[k] / NANOSECONDS:.3f} s before the end of"
    return (
        f"{files.path[k + 1]} {how} {files.path[k]}{more}; pass overlap='first' or 'last' to choose whose samples "
        f"count, tolerance={-apart[k] / NANOSECONDS:.3f} to treat them as joined, or exclude= one"
    )


def _cut_overlaps(files: Files, *, first: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Keep the samples of the first, or of the last, file wherever files overlap; a file that has none left goes."""
    kept: list[list[int]] = []  # row, skip, count, start
    for k, (start, frames) in enumerate(zip(files.start.tolist(), files.frames.tolist(), strict=True)):
        piece = [k, 0, frames, start]
        while kept:
            before = kept[-1]
            end = before[3] + int(files.duration(np.array(before[2])))
            if piece[3] - end >= -files.tolerance:
                break
            shared = int(-((piece[3] - end) * files.rate // NANOSECONDS))  # samples, rounded up
            if first:
                piece[1], piece[2] = shared, piece[2] - shared
                piece[3] += int(files.duration(np.array(shared)))
                break
            if before[2] > shared:
                before[2] -= shared
                break
            kept.pop()
        if piece[2] > 0:
            kept.append(piece)
        else:
            log.warning("%s lies wholly within %s and is left out", files.path[k], files.path[kept[-1][0]])
    columns = np.array(kept, np.int64).T
    return columns[0], columns[1], columns[2], columns[3]
