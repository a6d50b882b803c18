"""The sample clock: exact, piecewise-regular sample times that take kilobytes however many samples they label.

A clock labels `size` rows. Rows lie on *stretches*: runs of samples without a gap. Inside a stretch the rows stand
`step` samples apart, and *knots* (one a file, as a rule) tie sample positions to time: knot k says that position
`position[k]` was taken at `time[k]` ns and that from there each sample takes `period[k]` ns, an exact ratio. Where one
file is joined to the next, its period is what makes its samples run linearly to the start of the next one, so that the
drift of a recorder neither adds up nor makes time go back; the last file of a stretch runs at the nominal rate.

**Rounding rule.** The label of a row at position p after knot k is ``time[k] + floor((p - position[k]) * period[k])``
in integer nanoseconds, computed exactly: there is no floating point on the way, so the rule holds after 1e12 samples as
after the first.

Slices, strides, hops and window centres change the first row and the offset of each stretch, and the common step;
never a knot. That is why slicing and transforming commute, labels included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

import numpy as np

from .errors import ClockError
from .exact import NANOSECONDS, exact_rate, ints, lowest, multiply_divide

KNOT_FIELDS = ("position", "length", "time", "period", "since", "source")


@dataclass(frozen=True, eq=False)
class SampleClock:
    """Times of `size` rows, as an integer table. Build one with `SampleClock.regular` or `SampleClock.of_segments`.

    Parameters
    ----------
    rate : nominal samples a second
    parts : positions and steps below count in samples / `parts` (1 for samples, 2 where a centre falls between two)
    step : rows stand this far apart
    lead : a row's label stands this far after the first sample that the row is made of
    span : a row is made of this much
    size : number of rows
    absolute : labels are UTC times (since 1970), not times since an unknown start
    first, offset : for each stretch, its first row and that row's position
    knots_from : for each stretch, its first knot; one more entry at the end
    position, length, time, period : for each knot, its position in samples, its samples, its ns, and ns a sample as
        (numerator, denominator)
    since : for each knot, the position from which it rules: `position`, but where a gap was filled
    source : for each knot, the name of what it was read from, or None
    """

    rate: Fraction
    parts: int
    step: int
    lead: int
    span: int
    size: int
    absolute: bool
    first: np.ndarray
    offset: np.ndarray
    knots_from: np.ndarray
    position: np.ndarray
    length: np.ndarray
    time: np.ndarray
    period: np.ndarray
    since: np.ndarray
    source: np.ndarray | None = None

    # ---- making one ----------------------------------------------------------------------------------------------

    @classmethod
    def regular(cls, size: int, rate: Any, start: int = 0, *, absolute: bool = True) -> SampleClock:
        """`size` samples without a gap, the first at `start` ns."""
        return cls.of_segments([start], [size], rate, absolute=absolute)

    @classmethod
    def of_segments(
        cls,
        starts: Any,
        lengths: Any,
        rate: Any,
        *,
        joined: Any = None,
        source: Sequence[str] | np.ndarray | None = None,
        absolute: bool = True,
    ) -> SampleClock:
        """Segments of `lengths` samples that start at `starts` ns; `joined[k]` says that k follows k - 1 without a gap.

        Labels of a segment that the next one is joined to run linearly to the start of the next.
        """
        rate = exact_rate(rate)
        starts, lengths = np.array(starts, np.int64, ndmin=1), np.array(lengths, np.int64, ndmin=1)
        joined = np.zeros(len(starts), bool) if joined is None else np.array(joined, bool, ndmin=1)
        names = None if source is None else np.array(source, object, ndmin=1)
        if not len(starts) == len(lengths) == len(joined):
            raise ClockError(
                f"{len(starts)} starts, {len(lengths)} lengths and {len(joined)} joins do not belong together"
            )
        if (lengths < 0).any():
            raise ClockError(f"segment {int(np.argmin(lengths))} has {int(lengths.min())} samples")
        keep = lengths > 0
        if not keep.all():  # an empty segment carries nothing, but a stretch goes on across it
            broken = np.cumsum(~joined)[keep]
            joined = np.append(False, np.diff(broken) == 0)[: keep.sum()]
            starts, lengths = starts[keep], lengths[keep]
            names = None if names is None else names[keep]
        if len(joined):
            joined[0] = False
        nominal = NANOSECONDS / rate
        if nominal < 1:
            raise ClockError(f"rate {rate} is above 1 GHz: labels of whole nanoseconds could not tell samples apart")
        period = np.empty((len(starts), 2), np.int64)
        period[:] = nominal.numerator, nominal.denominator
        before = np.flatnonzero(joined) - 1
        if len(before):
            took = starts[before + 1] - starts[before]
            if (took < lengths[before]).any():
                k = int(before[np.argmax(took < lengths[before])])
                label = [str(np.datetime64(int(t), "ns")) for t in starts[k : k + 2]]
                named = f" ({names[k]}, {names[k + 1]})" if names is not None else ""
                raise ClockError(
                    f"segment {k + 1} starts at {label[1]}, segment {k} at {label[0]} with {lengths[k]} samples"
                    f"{named}: joined, time would go back; use a smaller tolerance, or choose overlap="
                )
            common = np.gcd(took, lengths[before])
            period[before, 0], period[before, 1] = took // common, lengths[before] // common
        start_row = np.cumsum(lengths) - lengths
        heads = np.flatnonzero(~joined)
        position = ints(start_row - start_row[heads][np.cumsum(~joined) - 1])
        clock = cls(
            rate=rate,
            parts=1,
            step=1,
            lead=0,
            span=1,
            size=int(lengths.sum()),
            absolute=absolute,
            first=ints(start_row[heads]),
            offset=ints(np.zeros(len(heads))),
            knots_from=ints(np.append(heads, len(starts))),
            position=position,
            length=ints(lengths),
            time=ints(starts),
            period=period,
            since=position,
            source=names,
        )
        clock.check_order()
        return clock

    def check_order(self) -> None:
        """Raise `ClockError` where a stretch begins before the one before it ends."""
        if len(self.first) > 1:
            begin, end = self.labels(self.first[1:]), self.labels(self.first[1:] - 1)
            if (begin <= end).any():
                s = int(np.argmax(begin <= end))
                raise ClockError(
                    f"stretch {s + 1} starts at {self.text(begin[s])}, before stretch {s} ends at "
                    f"{self.text(end[s])}: put them in order of time (ra.join does), or where files overlap choose "
                    "overlap='first' or 'last'"
                )

    def replace(self, **changes: Any) -> SampleClock:
        """The same clock with other fields."""
        return type(self)(**{f.name: changes.get(f.name, getattr(self, f.name)) for f in fields(self)})

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}  # without what is cached

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    # ---- stretches and positions -----------------------------------------------------------------------------------

    @property
    def stops(self) -> np.ndarray:
        """For each stretch, one past its last row."""
        return np.append(self.first[1:], self.size) if len(self.first) else self.first

    @property
    def row_rate(self) -> Fraction:
        """Rows a second, nominally."""
        return self.rate * self.parts / self.step

    @property
    def gaps(self) -> int:
        """Number of gaps between the stretches."""
        return max(0, len(self.first) - 1)

    @cached_property
    def _base(self) -> np.ndarray:
        """Where each stretch begins on one axis of positions that puts all stretches end to end."""
        ends = self.offset + (self.stops - self.first) * self.step + self.span
        ends = np.maximum(ends, self.since[self.knots_from[1:] - 1] * self.parts) + self.parts
        return np.append(0, np.cumsum(ends))

    @cached_property
    def _keys(self) -> np.ndarray:
        stretch = np.repeat(np.arange(len(self.first)), np.diff(self.knots_from))
        return self._base[stretch] + self.since * self.parts

    @cached_property
    def _since_times(self) -> np.ndarray:
        whole, _ = multiply_divide(self.since - self.position, self.period[:, 0], self.period[:, 1])
        return self.time + whole

    @cached_property
    def _first_labels(self) -> np.ndarray:
        return self.labels(self.first)

    @cached_property
    def _last_labels(self) -> np.ndarray:
        return self.labels(self.stops - 1)

    def positions(self, rows: Any) -> tuple[np.ndarray, np.ndarray]:
        """rows -> (stretch, position), position in samples / parts from the origin of the stretch."""
        rows = np.asarray(rows, np.int64)
        stretch = np.searchsorted(self.first, rows, "right") - 1
        return stretch, self.offset[stretch] + (rows - self.first[stretch]) * self.step

    def times(self, stretch: np.ndarray, position: np.ndarray) -> np.ndarray:
        """ns of positions, in samples / parts, of stretches: the rounding rule."""
        return self._exact(stretch, position)[0]

    def _exact(self, stretch: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The whole ns of positions, what the floor left over (numerator of a ratio), and the knot of each."""
        base = self._base
        key = np.minimum(base[stretch] + position, base[stretch + 1] - 1)
        knot = np.searchsorted(self._keys, key, "right") - 1
        knot = np.maximum(knot, self.knots_from[stretch])
        whole, rest = multiply_divide(
            position - self.position[knot] * self.parts, self.period[knot, 0], self.period[knot, 1] * self.parts
        )
        return self.time[knot] + whole, rest, knot

    def labels(self, rows: Any) -> np.ndarray:
        """rows (int64, any shape) -> ns (int64, same shape)."""
        rows = np.asarray(rows, np.int64)
        if not rows.size:
            return np.zeros(rows.shape, np.int64)
        return self.times(*self.positions(rows))

    def begins(self, rows: Any) -> np.ndarray:
        """rows -> ns of the first sample that each row is made of."""
        rows = np.asarray(rows, np.int64)
        if not rows.size:
            return np.zeros(rows.shape, np.int64)
        stretch, position = self.positions(rows)
        return self.times(stretch, position - self.lead)

    def count_until(self, time: Any) -> np.ndarray:
        """ns -> number of rows whose label is at or before it: exact, a binary search."""
        time = np.asarray(time, np.int64)
        if not self.size:
            return np.zeros(time.shape, np.int64)
        stretch = np.searchsorted(self._first_labels, time, "right") - 1
        before, stretch = stretch < 0, np.maximum(stretch, 0)
        within = np.clip(time, self._first_labels[stretch], self._last_labels[stretch])
        knot, high = self.knots_from[stretch], self.knots_from[stretch + 1] - 1
        while (knot < high).any():  # a bisection in each stretch: the knots of different stretches may overlap
            middle = (knot + high + 1) // 2
            reached = self._since_times[middle] <= within
            knot, high = np.where(reached, middle, knot), np.where(reached, high, middle - 1)
        # The last position whose floored time is at or before t lies ceil((t + 1) / period) - 1 after the knot.
        reach, rest = multiply_divide(
            within - self.time[knot] + 1, self.period[knot, 1] * self.parts, self.period[knot, 0]
        )
        reach = self.position[knot] * self.parts + reach - (rest == 0)
        following = np.minimum(knot + 1, len(self.since) - 1)
        ends = np.where(knot + 1 < self.knots_from[stretch + 1], self.since[following] * self.parts, 2**62)
        reach = np.minimum(reach, ends - 1)
        rows = self.first[stretch] + (reach - self.offset[stretch]) // self.step
        rows = np.clip(rows, self.first[stretch] - 1, self.stops[stretch] - 1)
        return np.where(before, 0, rows + 1)

    # ---- closed under: slices, windows, joining ----------------------------------------------------------------------

    def slice(self, start: int, stop: int, step: int = 1) -> SampleClock:
        """Rows start, start + step, ... below stop (0 <= start, stop <= size, step >= 1)."""
        count = max(0, -(-(stop - start) // step))
        ahead = np.maximum(-(-(self.first - start) // step), 0)  # the first new row on or after each stretch's start
        behind = np.minimum(-(-(self.stops - start) // step), count)
        keep = behind > ahead
        stands_alone = self.lead == 0 and self.span == self.step  # then a row still stands for the time to the next
        return self.with_stretches(
            np.flatnonzero(keep),
            first=ahead[keep],
            offset=(self.offset + (start + ahead * step - self.first) * self.step)[keep],
            step=self.step * step,
            span=self.span * step if stands_alone else self.span,
            size=int(count),
        )

    def take(self, rows: np.ndarray) -> SampleClock:
        """Rows in any increasing choice; where one is left out, a gap begins."""
        rows = np.asarray(rows, np.int64)
        stretch, position = self.positions(rows)
        begins = np.flatnonzero(np.append(True, (np.diff(rows) != 1) | (np.diff(stretch) != 0)))[: len(rows)]
        return self.with_stretches(stretch[begins], first=begins, offset=position[begins], size=len(rows))

    def windows(self, length: int, hop: int, label: Literal["centre", "mean"] = "centre") -> SampleClock:
        """The clock of windows of `length` rows every `hop` rows of each stretch: none spans a gap.

        Labelled at the centre of what the window is made of (for audio, `length` / 2 samples after its first), or at
        the mean of its rows' labels.
        """
        twice = self.replace(
            parts=self.parts * 2,
            step=self.step * 2,
            lead=self.lead * 2,
            span=self.span * 2,
            offset=self.offset * 2,
        )
        made_of = (length - 1) * twice.step + twice.span
        lead = made_of // 2 if label == "centre" else twice.lead + (length - 1) * twice.step // 2
        counts = np.maximum((self.stops - self.first - length) // hop + 1, 0)
        keep = counts > 0
        firsts = np.cumsum(counts) - counts
        return twice.with_stretches(
            np.flatnonzero(keep),
            first=firsts[keep],
            offset=(twice.offset - twice.lead + lead)[keep],
            step=twice.step * hop,
            lead=lead,
            span=made_of,
            size=int(counts.sum()),
        ).reduced()

    def with_stretches(self, stretch: np.ndarray, **changes: Any) -> SampleClock:
        """Some of the stretches, with their new rows, and no more knots than those need."""
        clock = self.replace(**changes)
        stops = np.append(clock.first[1:], clock.size) if len(clock.first) else clock.first
        low = clock.offset - clock.lead
        # up to where a next row would be: a clock that goes on there must find the files that no row is made of
        high = clock.offset + (stops - clock.first - 1) * clock.step - clock.lead + max(clock.span, clock.step)
        base = self._base[stretch]
        start = np.maximum(np.searchsorted(self._keys, base + low, "right") - 1, self.knots_from[stretch])
        stop = np.minimum(np.searchsorted(self._keys, base + high, "left"), self.knots_from[stretch + 1])
        stop = np.maximum(stop, start + 1)
        counts = stop - start
        knots_from = np.append(0, np.cumsum(counts))
        knots = np.arange(knots_from[-1]) + np.repeat(start - knots_from[:-1], counts)
        if np.array_equal(knots, np.arange(len(self.position))):
            knots = slice(None)  # type: ignore[assignment]
        return clock.replace(
            first=ints(clock.first),
            offset=ints(clock.offset),
            knots_from=ints(knots_from),
            **{name: None if (a := getattr(self, name)) is None else a[knots] for name in KNOT_FIELDS},
        )

    def in_whole_samples(self) -> SampleClock:
        """The same clock counted in samples `parts` times as short, so that every row stands on a whole one."""
        period = np.stack(lowest(self.period[:, 0], self.period[:, 1] * self.parts), axis=-1)
        finer = {name: getattr(self, name) * self.parts for name in ("position", "since", "length")}
        return self.replace(rate=self.rate * self.parts, parts=1, period=period, **finer)

    def reduced(self) -> SampleClock:
        """The same clock with the fewest parts of a sample."""
        common = int(np.gcd.reduce([self.parts, self.step, self.lead, self.span, *np.unique(self.offset).tolist()]))
        if common == 1:
            return self
        return self.replace(
            parts=self.parts // common,
            step=self.step // common,
            lead=self.lead // common,
            span=self.span // common,
            offset=ints(self.offset // common),
        )

    def in_parts(self, parts: int) -> SampleClock:
        """The same clock counted in samples / `parts`, a multiple of its own."""
        factor = parts // self.parts
        if factor == 1:
            return self
        return self.replace(
            parts=parts,
            step=self.step * factor,
            lead=self.lead * factor,
            span=self.span * factor,
            offset=ints(self.offset * factor),
        )

    # ---- being compared and shown ------------------------------------------------------------------------------------

    def _canonical(self) -> tuple[np.ndarray, ...]:
        """First row, whole ns, rest and period of each run of rows on one straight line: equal for equal labels."""
        stretch = np.repeat(np.arange(len(self.first)), np.diff(self.knots_from))
        rows = self.first[stretch] - ((self.offset[stretch] - self.since * self.parts) // self.step)
        rows = np.clip(rows, self.first[stretch], self.stops[stretch])
        rows = rows[np.append(rows[1:] != rows[:-1], True) & (rows < self.stops[stretch])] if len(rows) else rows
        whole, rest, knot = self._exact(*self.positions(rows)) if len(rows) else (rows, rows, rows)
        below = self.period[knot, 1] * self.parts
        lines = (whole, *lowest(rest, below), *lowest(self.period[knot, 0] * self.step, below))
        if len(rows) < 2:
            return (rows, *lines)
        # Where the line before would be at this row: a line that only goes on is not a new line.
        ahead = self.positions(rows[1:] - 1)[1] + self.step - self.position[knot[:-1]] * self.parts
        expected, left = multiply_divide(ahead, self.period[knot[:-1], 0], below[:-1])
        goes_on = expected + self.time[knot[:-1]] == whole[1:]
        for mine, theirs in zip(lowest(left, below[:-1]), lines[1:3], strict=True):
            goes_on &= mine == theirs[1:]
        goes_on &= (lines[3][1:] == lines[3][:-1]) & (lines[4][1:] == lines[4][:-1])
        keep = np.append(True, ~goes_on)
        return (rows[keep], *(line[keep] for line in lines))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SampleClock):
            return NotImplemented
        if self is other:
            return True
        if (self.size, self.absolute) != (other.size, other.absolute):
            return False
        mine, theirs = self._canonical(), other._canonical()
        return all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        state = self.__getstate__()
        return tuple(
            value.tobytes() if isinstance(value, np.ndarray) and value.dtype != object else str(value)
            for name, value in state.items()
            if name != "source"
        )

    def text(self, label: Any) -> str:
        """ns as text to show: a UTC time, or seconds since the start."""
        text = str(np.datetime64(int(label), "ns")) if self.absolute else f"{int(label) / NANOSECONDS:.9f}"
        return text.rstrip("0").rstrip(".") + ("" if self.absolute else " s")

    def __repr__(self) -> str:
        if not self.size:
            return f"SampleClock(0 rows, {float(self.row_rate):g} Hz)"
        gaps = f"{self.gaps} gap{'' if self.gaps == 1 else 's'}"
        low, high = self.text(self.labels(0)), self.text(self.labels(self.size - 1))
        table = f"{len(self.time)} segments, {gaps}"
        return f"SampleClock({self.size} rows, {float(self.row_rate):g} Hz, {table}, {low} to {high})"
