"""Cells: which windows are averaged together, by the wall clock or by number, and how the averages are labelled."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import pandas as pd

from .clock import SampleClock
from .errors import RecordingError
from .exact import NANOSECONDS

Remainder = Literal["drop", "keep"]

MOST_CELLS = 2**26  # a second a cell for two years; more would be gigabytes before the first is computed


@dataclass(frozen=True, eq=False)
class Cells:
    """Cell c is made of the windows [begin[c], end[c]).

    `clock` labels the cells and bounds them; `effort` is the seconds of recorded samples that windows of the recording
    cover inside those bounds.
    """

    begin: np.ndarray
    end: np.ndarray
    clock: SampleClock
    effort: np.ndarray

    @property
    def count(self) -> np.ndarray:
        """Windows in each cell."""
        return self.end - self.begin

    def where(self, keep: np.ndarray) -> Cells:
        """Some of the cells; where others are left out, the clock has gaps."""
        clock = self.clock.take(np.flatnonzero(keep))
        return Cells(self.begin[keep], self.end[keep], clock, self.effort[keep])

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum of a value of each window, over the windows of each cell."""
        total = np.append(0, np.cumsum(values))
        return total[self.end] - total[self.begin]


def parse_every(every: Any) -> int:
    """A span such as "60s", "1h", a timedelta -> ns."""
    if isinstance(every, bool | int | float | np.number):
        raise RecordingError(
            f"every={every!r}: a span such as '60s' was expected (or, in averages, a whole number of rows)"
        )
    if isinstance(every, str) and not any(letter.isalpha() for letter in every):  # pandas takes it as nanoseconds
        raise RecordingError(f"every={every!r} has no unit of time: '60s', '1h', '1D' or the like was expected")
    try:
        span = int(pd.Timedelta(every).as_unit("ns").value)
    except (ValueError, TypeError, OverflowError) as error:
        raise RecordingError(f"every={every!r} is not a span of time ({error}); e.g. '60s', '1h', '1D'") from None
    if span <= 0:
        raise RecordingError(f"every={every!r}: a span above zero was expected, such as '60s'")
    return span


def wall_clock(windows: SampleClock, every: int, min_fraction: float = 0.0) -> Cells:
    """Windows by the wall-clock bin, floor(t / every) since 1970 in UTC, that holds their first sample.

    A bin in which no window begins makes no cell but a gap in the clock. Cells with less than `min_fraction` of their
    span in real samples are left out.
    """
    if not 0 <= min_fraction <= 1:
        raise RecordingError(f"min_fraction={min_fraction!r} was given; a fraction from 0 to 1 was expected")
    firsts = windows.replace(offset=windows.offset - windows.lead, lead=0)  # labels each window at its first sample
    low = firsts.labels(windows.first) // every
    high = firsts.labels(windows.stops - 1) // every
    per_stretch = high - low + 1
    if per_stretch.sum() > MOST_CELLS:
        raise RecordingError(
            f"a span of {every / NANOSECONDS:g} s would make {per_stretch.sum():,} cells of {windows.size:,} rows; up "
            f"to {MOST_CELLS:,} were expected: pass a longer span, or select a part first"
        )
    total = np.repeat(low, per_stretch) + np.arange(per_stretch.sum())
    bins = np.unique(total - np.repeat(np.cumsum(per_stretch) - per_stretch, per_stretch))
    begin = firsts.count_until(bins * every - 1)
    end = firsts.count_until((bins + 1) * every - 1)
    length = ((windows.stops - windows.first - 1) * windows.step + windows.span) // windows.parts
    covered = firsts.replace(
        step=windows.parts, span=windows.parts, first=np.cumsum(length) - length, size=int(length.sum())
    )
    samples = covered.count_until((bins + 1) * every - 1) - covered.count_until(bins * every - 1)
    effort = samples / float(windows.rate)
    keep = (end > begin) & (effort >= min_fraction * every / NANOSECONDS)
    bins = bins[keep]
    alone = np.append(True, np.diff(bins) > 1)[: len(bins)]
    heads = np.flatnonzero(alone)
    clock = SampleClock.of_segments(
        bins[heads] * every,
        np.diff(np.append(heads, len(bins))),
        Fraction(NANOSECONDS, every),
        absolute=windows.absolute,
    )
    return Cells(begin[keep], end[keep], clock, effort[keep])


def by_span(windows: SampleClock, every: Any, min_fraction: float = 0.0) -> Cells:
    """Windows by the wall clock, for a span such as "60s"; all of them as one cell for None."""
    return everything(windows) if every is None else wall_clock(windows, parse_every(every), min_fraction)


def by_number(windows: SampleClock, every: int, remainder: Remainder = "drop") -> Cells:
    """Each `every` windows in a row of a stretch, labelled at the mean of their times.

    Windows left over at the end of a stretch make no cell, or with "keep" a shorter one: labelled, and bounded, as a
    whole one that begins there, so that the cells of a stretch stay evenly spaced.
    """
    rows = windows.stops - windows.first
    counts = rows // every if remainder == "drop" else -(-rows // every)
    if (total := int(counts.sum())) > MOST_CELLS:
        raise RecordingError(
            f"every={every} would make {total:,} groups of {windows.size:,} rows; up to {MOST_CELLS:,} were expected: "
            "pass a larger number, or select a part first"
        )
    number = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    begin = np.repeat(windows.first, counts) + number * every
    end = np.minimum(begin + every, np.repeat(windows.stops, counts))
    effort = ((end - begin - 1) * windows.step + windows.span) / windows.parts / float(windows.rate)
    return Cells(begin, end, number_clock(windows, every, remainder), effort)


def number_clock(windows: SampleClock, every: int, remainder: Remainder = "drop") -> SampleClock:
    """The clock of the cells of `by_number`."""
    if remainder == "keep":  # stretches as long as their cells
        rows = -(-(windows.stops - windows.first) // every) * every
        windows = windows.replace(first=np.cumsum(rows) - rows, size=int(rows.sum()))
    return windows.windows(every, every, "mean")


def check_number(every: Any, remainder: str, min_fraction: float) -> int | None:
    """`every` where it is a number of rows, None where it is a span; with either, only its own options."""
    if remainder not in ("drop", "keep"):
        raise RecordingError(f"remainder={remainder!r} was given; 'drop' or 'keep' was expected")
    if isinstance(every, bool) or not isinstance(every, int | np.integer):
        if remainder != "drop":
            raise RecordingError(
                f"remainder={remainder!r} was given with every={every!r}: it belongs to a number of rows"
            )
        return None
    if every < 1:
        raise RecordingError(f"every={every}: 1 row or more was expected")
    if min_fraction:
        raise RecordingError(
            f"min_fraction={min_fraction!r} was given with every={every}, a number of rows: it belongs to spans such "
            "as '60s'; remainder= says what becomes of rows left over"
        )
    return int(every)


def by_every(windows: SampleClock, every: Any, min_fraction: float = 0.0, remainder: Remainder = "drop") -> Cells:
    """Windows by number for a whole number, by the wall clock for a span, all of them as one cell for None."""
    number = check_number(every, remainder, min_fraction)
    return by_span(windows, every, min_fraction) if number is None else by_number(windows, number, remainder)


def everything(windows: SampleClock) -> Cells:
    """All windows as one cell, labelled at the first sample."""
    if not windows.size:
        raise RecordingError("no window fits: the recording is shorter than a window, so there is nothing to average")
    firsts = windows.replace(offset=windows.offset - windows.lead, lead=0)
    covered = (windows.stops - windows.first - 1) * windows.step + windows.span
    effort = np.array([float(covered.sum() / windows.parts / windows.rate)])
    start = int(firsts.labels(0))
    took = windows.times(np.array([len(windows.first) - 1]), firsts.offset[-1:] + covered[-1:])[0] - start
    clock = SampleClock.regular(1, Fraction(NANOSECONDS, max(1, int(took))), start, absolute=windows.absolute)
    return Cells(np.zeros(1, np.int64), np.array([windows.size]), clock, effort)
