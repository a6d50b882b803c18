"""Cells of the wall clock against a loop over windows and samples."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reelarray as ra
from reelarray.cells import everything, parse_every, wall_clock
from reelarray.clock import SampleClock
from reelarray.errors import RecordingError

START = 1_646_092_800 * 10**9


@st.composite
def samples(draw):
    """A clock of samples with gaps, joins and drift."""
    rate = draw(st.sampled_from([1, 7, 10, 1000]))
    lengths = draw(st.lists(st.integers(1, 30), min_size=1, max_size=4))
    starts, joined = [draw(st.sampled_from([0, START, START + 123_456_789, -(10**9)]))], [False]
    for length in lengths[:-1]:
        joined.append(draw(st.booleans()))
        most = length * 10**9 // rate // 20 if joined[-1] else 100 * 10**9 // rate
        starts.append(starts[-1] + length * 10**9 // rate + 1 + draw(st.integers(0, most)))
    return SampleClock.of_segments(starts, lengths, rate, joined=joined)


def brute_force(clock, length, hop, every):
    """{bin: [windows, samples]}: a window belongs to the bin of its first sample, a sample to that of its own time.

    Samples count that a window covers.
    """
    labels = clock.labels(np.arange(clock.size)).tolist()
    bins: dict[int, list[int]] = {}
    for first, stop in zip(clock.first.tolist(), clock.stops.tolist(), strict=True):
        begins = range(first, stop - length + 1, hop)
        for row in begins:
            bins.setdefault(labels[row] // every, [0, 0])[0] += 1
        for row in range(first, begins[-1] + length) if len(begins) else ():
            bins.setdefault(labels[row] // every, [0, 0])[1] += 1
    return bins


@settings(max_examples=300, deadline=None)
@given(samples(), st.integers(1, 8), st.integers(1, 10), st.sampled_from([1, 3, 60]), st.sampled_from([0, 0.3, 0.9]))
def test_cells_are_what_a_loop_over_labels_counts(clock, length, hop, seconds, min_fraction):
    every = seconds * 10**9 // (100 if clock.rate == 1000 else 1)
    hop = min(hop, length)  # effort counts samples that windows cover; with longer hops some lie between windows
    windows = clock.windows(length, hop)
    cells = wall_clock(windows, every, min_fraction)
    expected = {
        number: (count, covered)
        for number, (count, covered) in sorted(brute_force(clock, length, hop, every).items())
        if count and covered / float(clock.rate) >= min_fraction * every / 1e9
    }
    assert (cells.clock.labels(np.arange(cells.clock.size)) // every).tolist() == list(expected)
    assert (cells.clock.labels(np.arange(cells.clock.size)) % every == 0).all()
    assert cells.count.tolist() == [count for count, _ in expected.values()]
    assert cells.effort.tolist() == [covered / float(clock.rate) for _, covered in expected.values()]
    begins = windows.begins(np.arange(windows.size)) // every
    for number, low, high in zip(expected, cells.begin, cells.end, strict=True):
        assert np.flatnonzero(begins == number).tolist() == list(range(low, high))


@given(samples(), st.integers(1, 4))
def test_a_cell_clock_has_a_gap_where_bins_are_missing(clock, seconds):
    cells = wall_clock(clock, seconds * 10**9)
    labels = cells.clock.labels(np.arange(cells.clock.size))
    assert cells.clock.gaps == (np.diff(labels) > seconds * 10**9).sum()
    assert cells.clock.rate * seconds == 1


def test_one_cell_may_cover_several_files_and_a_gap():
    clock = SampleClock.of_segments([START, START + 20 * 10**9, START + 30 * 10**9], [10, 10, 40], 1)
    cells = wall_clock(clock, 60 * 10**9)
    assert cells.count.tolist() == [50, 10]
    assert cells.effort.tolist() == [50.0, 10.0]
    assert cells.clock.gaps == 0


def test_everything_is_one_cell_over_all_gaps():
    clock = SampleClock.of_segments([START + 5, START + 20 * 10**9], [10, 10], 1).windows(4, 2)
    cells = everything(clock)
    assert (cells.begin.tolist(), cells.end.tolist()) == ([0], [8])
    assert cells.effort.tolist() == [20.0]
    assert cells.clock.labels(np.arange(1)).tolist() == [START + 5]


def test_everything_of_nothing_says_so():
    with pytest.raises(RecordingError, match="no window fits"):
        everything(SampleClock.regular(3, 1).windows(8, 4))


def test_min_fraction_leaves_mostly_empty_cells_out():
    x = ra.recording(np.ones(100), rate=1, start="2022-03-01T00:00:50")
    assert ra.average(x, every="60s")["effort"].values.tolist() == [10, 60, 30]
    assert ra.average(x, every="60s", min_fraction=0.5)["effort"].values.tolist() == [60, 30]
    assert ra.average(x, every="60s", min_fraction=0.6)["count"].values.tolist() == [60]
    assert ra.average(x, every="60s", min_fraction=1.0)["count"].values.tolist() == [60]


@pytest.mark.parametrize(
    ("given_span", "ns"),
    [("60s", 60 * 10**9), ("1h", 3600 * 10**9), ("1D", 86400 * 10**9), (pd.Timedelta("5ms"), 5 * 10**6)],
)
def test_spans(given_span, ns):
    assert parse_every(given_span) == ns


@pytest.mark.parametrize("wrong", [60, 60.0, True, "minute-ish", "-60s", "0s", None, object()])
def test_what_is_no_span_is_named(wrong):
    with pytest.raises(RecordingError, match="every="):
        parse_every(wrong)


def test_averages_of_averages_weigh_rows_by_what_they_are_made_of():
    import xarray as xr

    quiet, loud = np.zeros(6000), np.ones(100)
    x = ra.recording(np.concatenate([quiet, loud]), rate=100, start="2022-03-01")
    spectra = ra.spectrogram(x, nfft=8)
    minutes = ra.average(spectra, "60s")
    assert minutes["count"].values.tolist() == [1500, 24]
    hour, direct = ra.average(minutes, "1h"), ra.average(spectra, "1h")
    xr.testing.assert_allclose(hour, direct)
    assert hour["count"].values.tolist() == direct["count"].values.tolist() == [1524]
    assert hour["effort"].values.tolist() == direct["effort"].values.tolist() == [61.0]
    lazy = ra.average(minutes.chunk(time=1), "1h")
    assert lazy.values.tobytes() == hour.values.tobytes()
    filled = ra.fill_gaps(ra.join([minutes, ra.average(ra.spectrogram(_later(x), nfft=8), "60s")]))
    assert np.isnan(filled.values).any()
    again = ra.average(filled, "1h")
    assert np.isfinite(again.values).all()
    assert again["count"].values.tolist() == [3048]
    assert ra.average(filled, "1h", min_fraction=0.5).sizes["time"] == 0


def _later(x):
    return ra.recording(x.values, rate=100, start="2022-03-01T00:30")


def test_spans_without_a_unit_and_means_of_decibels_are_refused():
    x = ra.recording(np.ones(100), rate=10, start="2022-03-01", units="Pa")
    for every in ("60", " 5 ", 60.0):
        with pytest.raises(RecordingError, match="60s"):
            ra.power_spectrum(x, nfft=8, every=every)
    with pytest.raises(RecordingError, match="longer span"):
        ra.average(x, "1ns")
    with pytest.raises(RecordingError, match="average the power"):
        ra.average(ra.to_decibel(ra.spectrogram(x, nfft=8)), "5s")


def test_a_fraction_lies_between_0_and_1():
    x = ra.recording(np.ones(100), rate=10, start="2022-03-01")
    for fraction in (7, -0.1, float("nan")):
        with pytest.raises(RecordingError, match="from 0 to 1"):
            ra.average(x, "5s", min_fraction=fraction)
