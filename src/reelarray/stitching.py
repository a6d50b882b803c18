"""Clocks end to end: one after the other, with their gaps filled, or with small gaps closed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .clock import KNOT_FIELDS, SampleClock
from .errors import ClockError
from .exact import NANOSECONDS, ints, lowest, multiply_divide


def fill_clock(clock: SampleClock) -> tuple[SampleClock, np.ndarray]:
    """The clock with rows in its gaps, and for each stretch how many rows now stand before it.

    A gap becomes its length in rows, rounded; the labels of the new rows run linearly across it, all others stay.
    """
    if not clock.gaps:
        return clock, np.zeros(len(clock.first), np.int64)
    missing, rest = multiply_divide(
        _gap_lengths(clock) * 2, clock.row_rate.numerator, 2 * NANOSECONDS * clock.row_rate.denominator
    )
    missing = np.maximum(missing + (rest >= NANOSECONDS * clock.row_rate.denominator), 0)
    return _bridged(clock, np.ones(clock.gaps, bool), missing), np.append(0, missing)


def join_within(clock: SampleClock, tolerance: int) -> SampleClock:
    """The same labels, with every gap of at most `tolerance` ns no longer a gap: windows span it."""
    if not clock.gaps:
        return clock
    return _bridged(clock, _gap_lengths(clock) <= tolerance, np.zeros(clock.gaps, np.int64))


def _gap_lengths(clock: SampleClock) -> np.ndarray:
    ahead = clock.offset + (clock.stops - clock.first) * clock.step  # the position after each stretch's last row
    return clock._first_labels[1:] - clock.times(np.arange(len(clock.first)), ahead)[:-1]


def _bridged(clock: SampleClock, joined: np.ndarray, missing: np.ndarray) -> SampleClock:
    """Stretches s and s + 1 as one where `joined[s]`, with `missing[s]` new rows between them."""
    if clock.parts != 1:
        return _bridged(clock.in_whole_samples(), joined, missing)
    ahead = clock.offset + (clock.stops - clock.first) * clock.step
    between = np.where(joined, ahead[:-1] + missing * clock.step - clock.offset[1:], 0)
    moved = np.append(0, np.cumsum(between))
    alone = np.append(True, ~joined)
    moved -= moved[np.maximum.accumulate(np.where(alone, np.arange(len(moved)), 0))]  # each new stretch from its own 0
    stretch = np.repeat(np.arange(len(clock.first)), np.diff(clock.knots_from))
    table = {name: getattr(clock, name) for name in KNOT_FIELDS}
    table["position"] = table["position"] + moved[stretch]
    table["since"] = table["since"] + moved[stretch]
    heads = clock.knots_from[1:-1]
    # From its first row on, a stretch keeps its own lines; knots before that row rule nothing any more.
    begins = np.append(0, np.where(joined, clock.offset[1:] + moved[1:], 0))
    table["since"] = np.maximum(table["since"], begins[stretch])
    some = missing > 0
    since = ahead[:-1] + moved[:-1]
    new = {
        "position": since,
        "since": since,
        "length": missing * clock.step,
        "time": clock.times(np.arange(len(clock.first)), ahead)[:-1],
        "period": np.stack(lowest(_gap_lengths(clock), np.maximum(missing * clock.step, 1)), axis=-1),
        "source": np.full(len(heads), None),
    }
    for name, values in table.items():
        if values is not None:
            table[name] = np.insert(values, heads[some], new[name][some], axis=0)
    rows_before = np.append(0, np.cumsum(missing))
    knots_before = np.append(0, np.cumsum(some))
    return clock.replace(
        size=clock.size + int(missing.sum()),
        first=ints((clock.first + rows_before)[alone]),
        offset=ints(clock.offset[alone]),
        knots_from=ints(np.append((clock.knots_from[:-1] + knots_before)[alone], len(table["time"]))),
        **table,
    )


def concat_clocks(clocks: Iterable[SampleClock]) -> SampleClock:
    """One clock after the other. Rows that go on exactly where the clock before ended are one stretch with it."""
    clocks = list(clocks)
    clocks = [c for c in clocks if c.size] or clocks[:1]
    if len(clocks) == 1:
        return clocks[0]
    parts = int(np.lcm.reduce([c.parts for c in clocks]))
    clocks = [c.in_parts(parts) for c in clocks]
    head = clocks[0]
    for other in clocks[1:]:
        if other.absolute != head.absolute:
            raise ClockError(
                "of one recording the start is known, of another it is not: times since an unknown start cannot "
                "follow UTC times; give it one (start= or timestamp= on opening, ra.recording(..., start=))"
            )
        for name in ("rate", "step", "lead", "span"):
            if getattr(other, name) != getattr(head, name):
                raise ClockError(
                    f"clocks with {name} {getattr(head, name)} and {getattr(other, name)} cannot follow each other "
                    "on one time axis: bring them to one rate first, or keep them apart"
                )
    tables: dict[str, list[np.ndarray]] = {name: [] for name in ("first", "offset", "counts", *KNOT_FIELDS)}
    size, carried, previous = 0, 0, clocks[0].slice(0, 0)
    for clock in clocks:
        follows = _goes_on(clock, previous)
        goes_on, drop, counts = follows is not None, 0, np.diff(clock.knots_from)
        moved: dict[str, Any] = {name: getattr(clock, name) for name in KNOT_FIELDS}
        if follows is not None:
            carried, drop = carried + follows[0], follows[1]  # carried to the end of this clock's first stretch
            for name in ("position", "since"):
                moved[name] = moved[name].copy()
                moved[name][: counts[0]] += carried
            counts = counts.copy()
            tables["counts"][-1] = tables["counts"][-1].copy()
            tables["counts"][-1][-1] += counts[0] - drop
        tables["first"].append(clock.first[goes_on:] + size)
        tables["offset"].append(clock.offset[goes_on:])
        if len(counts) > goes_on:
            tables["counts"].append(counts[goes_on:])
            carried = 0
        moved["source"] = np.full(len(clock.time), None) if clock.source is None else clock.source
        for name in KNOT_FIELDS:
            tables[name].append(moved[name][drop:])
        size, previous = size + clock.size, clock
    merged: dict[str, Any] = {name: np.concatenate(pieces) for name, pieces in tables.items()}
    merged["knots_from"] = ints(np.append(0, np.cumsum(merged.pop("counts"))))
    if all(name is None for name in merged["source"]):
        merged["source"] = None
    clock = head.replace(size=size, **merged)
    clock.check_order()
    return clock.reduced()


def _goes_on(clock: SampleClock, previous: SampleClock) -> tuple[int, int] | None:
    """Where a clock goes on exactly where `previous` ends: samples to add to its positions, and how many of its knots
    `previous` has.

    None where it does not go on.
    """
    if not clock.size or not previous.size:
        return None
    last = len(previous.first) - 1
    ahead = previous.offset[last] + (previous.size - previous.first[last]) * previous.step
    shift, rest = divmod(int(ahead - clock.offset[0]), clock.parts)
    mine = clock.position[0] + shift
    if rest or clock.since[0] != clock.position[0]:
        return None
    end = len(previous.position)
    shared = previous.knots_from[last] + np.searchsorted(previous.position[previous.knots_from[last] :], mine)
    if shared < end:
        count = int(min(end - shared, clock.knots_from[1]))
        for name in ("position", "time", "period"):
            add = shift if name == "position" else 0
            theirs = getattr(previous, name)[shared : shared + count]
            if not np.array_equal(getattr(clock, name)[:count] + add, theirs):
                return None
        return shift, count
    if mine < previous.position[-1] + previous.length[-1]:
        return None
    predicted = previous.times(np.array([last]), np.array([mine * clock.parts]))[0]
    return (shift, 0) if predicted == clock.time[0] else None
