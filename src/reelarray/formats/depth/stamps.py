"""When each frame was taken, by the camera's clock: files of times, what is wrong with them, gaps and the rate."""

from __future__ import annotations

import logging
import os
from contextlib import closing
from fractions import Fraction
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from ...errors import ClockError, FormatError
from ...exact import NANOSECONDS
from ...source import long_steps
from ..ranges import HeaderBytes, is_remote
from .session import beside

log = logging.getLogger(__name__)

FILES = {"depth_ts.txt": 1.0, "timestamps.csv": 1000.0}  # ms of one unit, in the order they are looked for
OnMismatch = Literal["error", "trim", "ignore"]
_SIMPLE, _ROUGH = 0.001, 0.01  # of a rate: as near as this it is the number that it was set to; of few frames at most
_HOLE = 5  # periods: of longer holes nobody knows whether whole frames are missing
_LONGEST = 1e12  # ms: no camera has counted for thirty years, and ns of more do not fit


def find_stamps(folder: str) -> str | None:
    """The file of times in a folder: `depth_ts.txt` (ms), else `timestamps.csv` (s); None where there is none."""
    for name in FILES:
        path = os.path.join(folder, name)
        if beside(path) is not None if is_remote(path) else os.path.isfile(path):
            return path
    return None


def read_stamps(path: str) -> np.ndarray:
    """A file of times -> (frames) float64 ms, of the first number of each line; read-only.

    Numbers are apart by blanks, tabs or commas; seconds in files that end in .csv, else ms. Blank lines count for
    nothing, and so does a first line without a number, which names the columns.

    Raises `FormatError` naming the line where another one has no time, `FileNotFoundError`.
    """
    if is_remote(path):
        with closing(HeaderBytes(path)) as file:
            return _parsed(path, file.get(0, file.size))
    status = os.stat(path)
    return _read(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _read(path: str, size: int, modified_ns: int) -> np.ndarray:
    """Kept, as opening needs the same times several times over."""
    with open(path, "rb") as file:
        return _parsed(path, file.read())


def _parsed(path: str, content: bytes) -> np.ndarray:
    unit = 1000.0 if path.lower().endswith(".csv") else 1.0
    lines = content.decode("utf-8-sig", "replace").replace(",", " ").splitlines()
    values: list[float] = []
    named = False  # whether the line that names the columns was there
    for number, line in enumerate(lines, 1):
        first = line.split(None, 1)[:1]
        if not first:
            continue
        try:
            values.append(float(first[0]))
        except ValueError:
            if values or named:
                raise FormatError(
                    f"{path}, line {number}: {line[:40]!r} was found, a time in {'s' if unit > 1 else 'ms'} was "
                    "expected; correct that line, or move the file away to have times of a constant rate"
                ) from None
            named = True
    ms = np.array(values, np.float64) * unit
    if not (np.abs(ms) < _LONGEST).all():
        frame = int(np.argmin(np.abs(ms) < _LONGEST))
        raise FormatError(
            f"{path}: the time of frame {frame} is {ms[frame]:g} ms, finite times of less than thirty years were "
            f"expected; correct it{' (times in .csv files are seconds)' if unit > 1 else ''}"
        )
    ms.setflags(write=False)
    return ms


def check_on_mismatch(path: str, on_mismatch: str) -> None:
    if on_mismatch not in get_args(OnMismatch):
        raise FormatError(
            f"{path}: on_mismatch={on_mismatch!r} was given; one of {', '.join(get_args(OnMismatch))} was expected"
        )


def fit_frames(path: str, said_by: str, times: int, frames: int, on_mismatch: str) -> tuple[int, tuple[str, ...]]:
    """How many frames there are of a file with `frames` of them and so many `times`, and flags.

    "trim" takes those that have both; "ignore" takes all frames. Frames and times are counted from the first one on.

    Raises
    ------
    FormatError : the numbers differ, and `on_mismatch` is "error"
    """
    if times == frames:
        return frames, ()
    told = f"{said_by} has {times:,} times, {path} has {frames:,} frames"
    if not times and on_mismatch != "ignore":
        raise FormatError(f"{told}: no frame is left; move that file away to have times of a constant rate")
    if on_mismatch == "error":
        raise FormatError(
            f"{told}; one for each was expected, and it is not known which belong together. If they begin together, "
            f"pass on_mismatch='trim' for the first {min(times, frames):,} frames, or 'ignore' for all {frames:,} "
            "(those without a time follow at the usual distance)"
        )
    log.warning("%s; on_mismatch=%r: they are taken to begin together", told, on_mismatch)
    return min(times, frames) if on_mismatch == "trim" else frames, ("times_differ",)


def fit_times(said_by: str, ms: np.ndarray, frames: int) -> np.ndarray | None:
    """Times of exactly the first `frames` frames: (times) -> (frames) ms, increasing.

    Frames behind the last time follow at the median distance; None where there are not two times to tell it.

    Raises
    ------
    ClockError : a time that is not later than the one before

    >>> fit_times("x.txt", np.array([0.0, 40.0, 80.0]), 5)
    array([  0.,  40.,  80., 120., 160.])
    """
    ms = ms[:frames]
    check_increasing(said_by, ms)
    if len(ms) < frames:
        if len(ms) < 2:
            return None
        more = np.arange(1, frames - len(ms) + 1) * float(np.median(np.diff(ms)))
        ms = np.append(ms, ms[-1] + more)
    return ms


def check_increasing(said_by: str, ms: np.ndarray) -> None:
    """Raise `ClockError` that names the first frame whose time, in ns, is not later than that of the one before."""
    back = np.flatnonzero(np.diff(_ns(ms)) <= 0)
    if len(back):
        k = int(back[0])
        how = "goes back from" if ms[k + 1] < ms[k] else "is the same as"
        others = f" (and {len(back) - 1:,} more such steps)" if len(back) > 1 else ""
        raise ClockError(
            f"{said_by}: the time of frame {k + 1}, {float(ms[k + 1])!r} ms, {how} that of frame {k}, {float(ms[k])!r} "
            f"ms{others}; later times were expected: correct the file, or pass timestamps=False to have times of a "
            "constant rate"
        )


def gaps(ms: np.ndarray) -> tuple[tuple[int, int], ...]:
    """(frame, ns since the first one) of the frames that come after a step of more than 1.5 times the median.

    >>> gaps(np.array([5.0, 38.0, 72.0, 138.0, 171.0]))
    ((3, 133000000),)
    """
    after = long_steps(ms)
    return tuple(zip(after.tolist(), _ns(ms)[after].tolist(), strict=True))


def nominal_rate(ms: np.ndarray, usual: Fraction) -> Fraction:
    """Frames a second: (frames) ms -> Hz; a whole number where the times are within 0.1 % of it, or their jitter is.

    Of the mean period: each step counts as so many as it is nearest to. (The median of whole ms, 33, 33, 34, is none.)
    It is `usual` for a single frame.

    >>> nominal_rate(np.array([0.0, 33.0, 67.0, 100.0, 166.0, 200.0]), Fraction(30))
    Fraction(30, 1)
    """
    steps = np.diff(ms)
    if not len(steps):
        return usual
    periods = np.rint(steps / np.median(steps))
    near = periods <= _HOLE
    count, span = float(periods[near].sum()), float(steps[near].sum())
    rate = 1000 * count / span
    jitter = float(np.std(steps[near] - periods[near] * (span / count)))
    simple = Fraction(round(rate)) if rate >= 1 else Fraction(1, round(1 / rate))
    if abs(rate - simple) <= float(simple) * max(_SIMPLE, min(_ROUGH, 2 * jitter / span)):
        return simple
    return Fraction(f"{rate:.6g}")  # more digits than the jitter of a camera leaves


def _ns(ms: np.ndarray) -> np.ndarray:
    """ns since the first frame, as labels of the recording count them."""
    return np.rint((ms - ms[:1]) * (NANOSECONDS / 1000)).astype(np.int64)
