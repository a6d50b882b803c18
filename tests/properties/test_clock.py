"""The clock against brute force: labels of random rates, segments, slices and windows in Python integers."""

from __future__ import annotations

import itertools
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reelarray.clock import SampleClock
from reelarray.errors import ClockError
from reelarray.exact import exact_rate, multiply_divide
from reelarray.stitching import concat_clocks, fill_clock, join_within

RATES = [
    Fraction(44100),
    Fraction(48000000, 1001),
    Fraction(1_500_000),
    Fraction(1, 10),
    Fraction(48000),
    Fraction(7, 3),
]


@st.composite
def segment_tables(draw, most=6, longest=40):
    """(rate, starts, lengths, joined) of a plausible deployment with drifting joins and gaps."""
    rate = draw(st.sampled_from(RATES))
    period = 1e9 / float(rate)
    lengths = draw(st.lists(st.integers(1, longest), min_size=1, max_size=most))
    starts, joined = [draw(st.integers(0, 2**60))], [False]
    for length in lengths[:-1]:
        join = draw(st.booleans())
        span = length * period
        if join:
            drift = draw(st.integers(-int(0.3 * period), int(0.3 * period)))
            after = max(int(span) + drift, length)
        else:
            after = int(span + draw(st.floats(1, 5)) * period) + 1
        starts.append(starts[-1] + after)
        joined.append(join)
    return rate, starts, lengths, joined


def brute_force(rate, starts, lengths, joined):
    """[(label, stretch)] in exact fractions."""
    rows, stretch = [], -1
    for k, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        stretch += not joined[k]
        follows = k + 1 < len(starts) and joined[k + 1]
        period = Fraction(starts[k + 1] - start, length) if follows else Fraction(10**9) / rate
        rows += [(start + (i * period).__floor__(), stretch) for i in range(length)]
    return rows


def exact_time(table, stretch, position):
    """Time of a position (Fraction of samples) in a stretch, in exact fractions."""
    rate, starts, lengths, joined = table
    s, origin, found = -1, 0, None
    for k, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        if not joined[k]:
            s, origin = s + 1, 0
        if s == stretch and position >= origin:
            follows = k + 1 < len(starts) and joined[k + 1]
            period = Fraction(starts[k + 1] - start, length) if follows else Fraction(10**9) / rate
            found = start + ((position - origin) * period).__floor__()
        origin += length
    return found


slices = st.tuples(st.integers(0, 60), st.integers(0, 120), st.integers(1, 7))


@given(segment_tables())
def test_labels_are_the_rule_and_strictly_increase(table):
    clock = SampleClock.of_segments(table[1], table[2], table[0], joined=table[3])
    labels = clock.labels(np.arange(clock.size))
    assert labels.tolist() == [label for label, _ in brute_force(*table)]
    assert (np.diff(labels) > 0).all()


@given(segment_tables(), st.lists(slices, min_size=1, max_size=3))
def test_any_chain_of_slices_keeps_labels_and_stretches(table, cuts):
    clock = SampleClock.of_segments(table[1], table[2], table[0], joined=table[3])
    rows = brute_force(*table)
    for start, stop, step in cuts:
        start, stop = min(start, clock.size), min(stop, clock.size)
        clock, rows = clock.slice(start, stop, step), rows[start:stop:step]
    assert clock.labels(np.arange(clock.size)).tolist() == [label for label, _ in rows]
    stretches = [s for _, s in rows]
    assert (clock.stops - clock.first).tolist() == [n for n in np.bincount(np.array(stretches, int)) if n]


@given(segment_tables(), st.integers(1, 12), st.integers(1, 12))
def test_windows_are_labelled_at_their_exact_centre(table, length, hop):
    clock = SampleClock.of_segments(table[1], table[2], table[0], joined=table[3])
    windows = clock.windows(length, hop)
    stretches = np.bincount([s for _, s in brute_force(*table)])
    expected = [
        exact_time(table, s, Fraction(k * hop) + Fraction(length, 2))
        for s, n in enumerate(stretches)
        for k in range(max(0, (n - length) // hop + 1))
    ]
    assert windows.labels(np.arange(windows.size)).tolist() == expected
    firsts = [
        exact_time(table, s, Fraction(k * hop))
        for s, n in enumerate(stretches)
        for k in range(max(0, (n - length) // hop + 1))
    ]
    assert windows.begins(np.arange(windows.size)).tolist() == firsts
    assert windows.row_rate == table[0] / hop


@given(segment_tables(), st.integers(1, 9), st.integers(1, 9), slices)
def test_slicing_and_transforming_commute(table, length, hop, cut):
    """windows(x)[a:b:c] has the labels that windows(x[a * hop : ...])[::c] has, inside one stretch."""
    clock = SampleClock.of_segments(table[1], table[2], table[0], joined=table[3])
    windows = clock.windows(length, hop)
    start, stop, step = min(cut[0], windows.size), min(cut[1], windows.size), cut[2]
    late = windows.slice(start, stop, step)
    expected = windows.labels(np.arange(windows.size))[start:stop:step]
    assert late.labels(np.arange(late.size)).tolist() == expected.tolist()
    for s, (first, end) in enumerate(zip(windows.first, windows.stops, strict=True)):
        origin = int(clock.first[np.searchsorted(clock._first_labels, windows.begins(first), "right") - 1])
        samples = clock.slice(origin + (end - first - 1) // 2 * hop, origin + (end - first - 1) * hop + length)
        early = samples.windows(length, hop)
        again = windows.slice(int(first) + (int(end) - int(first) - 1) // 2, int(end))
        assert early == again, s
        assert early.labels(np.arange(early.size)).tolist() == again.labels(np.arange(again.size)).tolist()


@given(segment_tables(), st.integers(1, 5), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3))
def test_windows_of_windows_lie_between_their_rows(table, length, hop, more, more_hop):
    clock = SampleClock.of_segments(table[1], table[2], table[0], joined=table[3]).windows(length, hop)
    twice = clock.windows(more, more_hop, label="mean")
    labels = clock.labels(np.arange(clock.size))
    firsts = np.concatenate(
        [np.arange(f, e - more + 1, more_hop) for f, e in zip(clock.first, clock.stops, strict=True)] or [np.zeros(0)]
    ).astype(int)
    got = twice.labels(np.arange(twice.size))
    assert len(got) == len(firsts)
    assert (got >= labels[firsts]).all()
    assert (got <= labels[firsts + more - 1]).all()
    assert twice.begins(np.arange(twice.size)).tolist() == clock.begins(firsts).tolist()


@given(segment_tables(), st.lists(slices, max_size=2), st.lists(st.integers(-100, 2**61), max_size=5))
def test_search_is_exact(table, cuts, extra):
    clock = SampleClock.of_segments(table[1], table[2], table[0], joined=table[3])
    for start, stop, step in cuts:
        clock = clock.slice(min(start, clock.size), min(stop, clock.size), step)
    labels = clock.labels(np.arange(clock.size))
    asked = np.concatenate([labels, labels - 1, labels + 1, extra]).astype(np.int64)
    assert clock.count_until(asked).tolist() == np.searchsorted(labels, asked, "right").tolist()


@given(segment_tables(), st.lists(st.sets(st.integers(0, 80)), min_size=1, max_size=2), st.integers(0, 5), slices)
def test_any_increasing_picks_keep_their_labels(table, picks, length, cut):
    clock = SampleClock.of_segments(table[1], table[2], table[0], joined=table[3])
    if length:
        clock = clock.windows(length, 2)
    labels = clock.labels(np.arange(clock.size))
    for rows in picks:
        rows = np.array(sorted(r for r in rows if r < clock.size), np.int64)
        clock, labels = clock.take(rows), labels[rows]
        assert clock.labels(np.arange(clock.size)).tolist() == labels.tolist()
        assert clock.count_until(labels).tolist() == list(range(1, len(labels) + 1))
    start, stop, step = min(cut[0], clock.size), min(cut[1], clock.size), cut[2]
    part = clock.slice(start, stop, step)
    assert part.labels(np.arange(part.size)).tolist() == labels[start:stop:step].tolist()


@given(segment_tables(), st.lists(st.integers(0, 200), max_size=4), st.integers(1, 4), st.integers(0, 9))
def test_cutting_and_concatenating_gives_the_same_clock(table, cuts, hop, length):
    clock = SampleClock.of_segments(table[1], table[2], table[0], joined=table[3])
    if length:
        clock = clock.windows(length, hop)
    edges = sorted({0, clock.size, *(min(c, clock.size) for c in cuts)})
    pieces = [clock.slice(a, b) for a, b in itertools.pairwise(edges)] or [clock]
    again = concat_clocks(pieces)
    assert again == clock
    assert again.first.tolist() == clock.first.tolist()
    assert again.labels(np.arange(again.size)).tolist() == clock.labels(np.arange(clock.size)).tolist()


@given(segment_tables(), st.integers(0, 6), st.integers(1, 4))
def test_filled_gaps_keep_every_label_and_stay_in_order(table, length, hop):
    clock = SampleClock.of_segments(table[1], table[2], table[0], joined=table[3])
    if length:
        clock = clock.windows(length, hop)
    filled, before = fill_clock(clock)
    labels = filled.labels(np.arange(filled.size))
    assert (np.diff(labels) > 0).all()
    assert filled.size == clock.size + before.sum()
    rows = np.arange(clock.size) + np.repeat(np.cumsum(before), clock.stops - clock.first)
    assert labels[rows].tolist() == clock.labels(np.arange(clock.size)).tolist()
    assert filled.gaps == 0
    spacing = np.diff(labels) * float(filled.row_rate) / 1e9
    assert (spacing < 2.001).all(), "a gap is filled to within half a row"


@given(segment_tables())
def test_pickle_and_equality(table):
    clock = SampleClock.of_segments(table[1], table[2], table[0], joined=table[3])
    assert pickle.loads(pickle.dumps(clock)) == clock
    assert clock != clock.slice(0, clock.size - 1)
    later = SampleClock.of_segments([t + 1 for t in table[1]], table[2], table[0], joined=table[3])
    assert clock != later


@given(
    st.integers(-(2**50), 2**50),
    st.integers(1, 2**44),
    st.sampled_from([3, 441, 2**31 - 1, 2**40 + 7, 2**45 + 3, 2**50 + 1]),
)
def test_multiply_divide_is_exact(value, numerator, denominator):
    if abs(value * numerator // denominator) >= 2**62:
        value %= 1000
    quotient, rest = multiply_divide([value], [numerator], [denominator])
    assert (int(quotient[0]), int(rest[0])) == divmod(value * numerator, denominator)


@pytest.mark.parametrize("rate", RATES)
def test_the_rule_holds_after_1e12_samples(rate):
    start = 1_600_000_000 * 10**9
    clock = SampleClock.regular(10**12 + 5, rate if rate > 1000 else rate * 10**5, start)
    rows = np.array([0, 1, 10**12 - 1, 10**12, 10**12 + 4])
    assert clock.labels(rows).tolist() == [
        start + int(n) * 10**9 * clock.rate.denominator // clock.rate.numerator for n in rows
    ]


def test_rates():
    assert exact_rate(48000 / 1.001) == Fraction(48000000, 1001)
    assert exact_rate(0.1) == Fraction(1, 10)
    assert exact_rate(np.int32(44100)) == 44100
    for bad in (0, -1, float("nan"), float("inf"), "fast", True, None):
        with pytest.raises(ClockError, match="rate="):
            exact_rate(bad)


def test_stretches_out_of_order_name_both():
    with pytest.raises(ClockError, match="before stretch 0 ends"):
        SampleClock.of_segments([0, 10**9], [96000, 10], 48000)
    with pytest.raises(ClockError, match="joined, time would go back"):
        SampleClock.of_segments([0, 5], [96000, 10], 48000, joined=[False, True], source=["a.wav", "b.wav"])


@example(  # the first row of the last stretch is ruled by its second file
    (RATES[0], [0, 45352, 90704, 136056, 589571, 612246], [1, 1, 1, 19, 1, 3], [False] * 5 + [True]), 4, 4.0
)
@given(segment_tables(), st.integers(0, 5), st.floats(0, 6))
def test_joining_gaps_keeps_every_label(table, length, periods):
    clock = SampleClock.of_segments(table[1], table[2], table[0], joined=table[3])
    if length:
        clock = clock.windows(length, 1)
    tolerance = int(periods * 1e9 / float(table[0]))
    joined = join_within(clock, tolerance)
    labels = clock.labels(np.arange(clock.size))
    assert joined.labels(np.arange(joined.size)).tolist() == labels.tolist()
    expected = [0]
    for s in range(1, len(clock.first)):
        ahead = clock.offset[s - 1] + (clock.first[s] - clock.first[s - 1]) * clock.step
        gap = labels[clock.first[s]] - clock.times(np.array([s - 1]), np.array([ahead]))[0]
        expected += [int(clock.first[s])] if gap > tolerance else []
    assert joined.first.tolist() == (expected if clock.size else [])
