"""Filled gaps against rows laid out one by one, in memory, lazy, and from files."""

from __future__ import annotations

from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import reelarray as ra
from reelarray import gaps, graph
from reelarray.clock import SampleClock
from reelarray.errors import ChunkError, RecordingError
from reelarray.recordings import clock as clock_of
from reelarray.recordings import label
from reelarray.stitching import fill_clock

START = 1_646_092_800 * 10**9


@st.composite
def deployments(draw):
    """Three stretches of samples, or of windows."""
    rate = draw(st.sampled_from([1, 10, 1000]))
    lengths = draw(st.lists(st.integers(1, 25), min_size=1, max_size=4))
    starts = [START]
    for length in lengths[:-1]:
        starts.append(starts[-1] + length * 10**9 // rate + draw(st.integers(1, 20 * 10**9 // rate)))
    return SampleClock.of_segments(starts, lengths, rate)


def brute_force(values, clock, value):
    """Rows and labels with each gap as round(gap * rate) rows of `value`."""
    labels = clock.labels(np.arange(clock.size)).tolist()
    rows, times = [], []
    for first, stop in zip(clock.first.tolist(), clock.stops.tolist(), strict=True):
        if rows:
            due = times[-1] + 10**9 / float(clock.row_rate)
            missing = int((labels[first] - due) * float(clock.row_rate) / 1e9 + 0.5)
            rows += [np.full(values.shape[1:], value)] * missing
            times += [None] * missing
        rows += list(values[first:stop])
        times += labels[first:stop]
    return np.array(rows, values.dtype), times


@settings(max_examples=200, deadline=None)
@given(deployments(), st.sampled_from([np.nan, 0.0, -3.5]), st.sampled_from([(), (2,)]), st.integers(1, 30))
def test_a_gap_becomes_its_length_in_rows_and_recorded_labels_stay(clock, value, trailing, chunk):
    values = np.random.default_rng(clock.size).normal(size=(clock.size, *trailing))
    x = label(values, clock, dims=("channel",) * len(trailing), attrs={"units": "V"}, name="x")
    expected, times = brute_force(values, clock, value)
    filled = ra.fill_gaps(x, value)
    np.testing.assert_array_equal(filled.values, expected)
    got = filled["time"].values.astype(np.int64)
    assert [b for a, b in zip(times, got.tolist(), strict=True) if a is not None] == [a for a in times if a is not None]
    assert (np.diff(got) > 0).all()
    assert clock_of(filled).gaps == 0
    added = {"gaps_filled_with": repr(value)} if clock.gaps else {}
    assert (filled.attrs, filled.name) == ({**x.attrs, **added}, x.name)
    lazy = ra.fill_gaps(x.chunk(time=chunk), value)
    assert lazy.chunks is not None
    with dask.config.set(scheduler="sync"):
        assert lazy.compute().identical(filled)


def test_a_recording_without_gaps_is_the_same_array():
    x = ra.recording(np.zeros(5), rate=1, start="2022-03-01")
    assert ra.fill_gaps(x) is x


def test_a_gap_of_less_than_half_a_row_is_joined():
    clock = SampleClock.of_segments([START, START + 10 * 10**9 + 4 * 10**8], [10, 10], 1)
    x = label(np.ones(20), clock, attrs={"units": "V"})
    assert clock_of(x).gaps == 1
    filled = ra.fill_gaps(x)
    assert clock_of(filled).gaps == 0
    assert filled["time"].values.tolist() == x["time"].values.tolist()
    assert ra.average(filled, every=20).values.tolist() == [1.0]


def test_slices_of_filled_recordings_and_filled_slices_agree():
    clock = SampleClock.of_segments([START, START + 20 * 10**9], [10, 10], 1)
    x = label(np.arange(20.0), clock, attrs={"units": "V"})
    span = slice("2022-03-01T00:00:05", "2022-03-01T00:00:25")
    assert ra.fill_gaps(x).sel(time=span).identical(ra.fill_gaps(x.sel(time=span)))


def test_every_window_that_touches_a_gap_is_nan_and_no_other():
    clock = SampleClock.of_segments([START, START + 100 * 10**9], [64, 64], 1)
    x = label(np.random.default_rng(0).normal(size=128), clock, attrs={"units": "V"})
    s = ra.spectrogram(ra.fill_gaps(x), nfft=16, hop=8)
    begins = np.arange(s.sizes["time"]) * 8
    touches = (begins + 16 > 64) & (begins < 100)
    assert np.isnan(s.values).any(axis=1).tolist() == touches.tolist()
    assert np.isnan(s.values).all(axis=1).tolist() == touches.tolist()


def test_filled_averages_have_no_windows_and_no_effort_in_gaps():
    clock = SampleClock.of_segments([START, START + 40 * 10**9], [10, 10], 1)
    x = label(np.ones(20), clock, attrs={"units": "V"})
    m = ra.fill_gaps(ra.average(x, every="10s"))
    assert m["count"].values.tolist() == [10, 0, 0, 0, 10]
    assert m["effort"].values.tolist() == [10, 0, 0, 0, 10]
    assert np.isnan(m.values).tolist() == [False, True, True, True, False]
    assert m["time"].values.astype("M8[s]").astype(str).tolist() == [f"2022-03-01T00:00:{10 * k:02d}" for k in range(5)]
    assert m.xindexes["time"].bounds == "time_bounds"


@pytest.mark.parametrize("value", [np.nan, 0.5, 40_000, np.inf])
def test_integers_need_a_value_that_they_can_hold(value):
    clock = SampleClock.of_segments([START, START + 40 * 10**9], [10, 10], 1)
    x = label(np.ones(20, np.int16), clock, attrs={"units": "1"})
    with pytest.raises(RecordingError, match=r"does not fit int16 samples; pass a whole number, such as 0"):
        ra.fill_gaps(x, value)
    assert ra.fill_gaps(x, -7).values[10:40].tolist() == [-7] * 30


def test_a_gap_too_long_for_one_block_names_the_way_out(monkeypatch):
    monkeypatch.setattr(gaps, "LARGEST_BLOCK", 1000)
    clock = SampleClock.of_segments([START, START + 4000 * 10**9], [10, 10], 1)
    x = label(da.ones(20, chunks=5), clock, attrs={"units": "V"})
    with pytest.raises(ChunkError, match=r"fill the recording before the transform.*average first"):
        ra.fill_gaps(x)


# ---- from files ------------------------------------------------------------------------------------------------------


@pytest.fixture
def filled_files(tmp_path: Path):
    from scipy.io import wavfile

    counts = np.random.default_rng(3).integers(-999, 999, (4, 1000)).astype(np.int16)
    for k, second in enumerate((0, 1, 5, 6)):
        wavfile.write(tmp_path / f"20220301_00000{second}.wav", 1000, counts[k])
    return ra.open_recordings(tmp_path, cache=False), counts


def test_filled_files_still_read_straight_from_files(filled_files):
    x, counts = filled_files
    filled = ra.fill_gaps(x)
    table = graph.rows(filled)
    assert table is not None
    assert filled.sizes["time"] == 7000
    assert len(filled.data.dask.layers) == 1
    values = filled.values
    np.testing.assert_array_equal(values[:2000], (counts[:2].ravel() / 32768).astype("f4"))
    assert np.isnan(values[2000:5000]).all()
    np.testing.assert_array_equal(values[5000:], (counts[2:].ravel() / 32768).astype("f4"))
    np.testing.assert_array_equal(filled[1990:5010].values, values[1990:5010])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 4000), st.tuples(st.integers(0, 7000), st.integers(0, 7000)).map(sorted), st.integers(1, 64))
def test_spectrograms_of_filled_files_are_those_of_filled_arrays(filled_files, chunk, cut, block):
    x, _ = filled_files
    memory = ra.fill_gaps(x.compute())
    low, high = cut[0], max(cut[1], min(cut[0] + 64, 7000))
    low = min(low, high - 64)
    eager = ra.spectrogram(memory[low:high], nfft=64, hop=24)
    lazy = ra.spectrogram(ra.fill_gaps(x)[low:high], nfft=64, hop=24, block=block)
    foreign = ra.spectrogram(memory[low:high].chunk(time=chunk), nfft=64, hop=24)
    with dask.config.set(scheduler="sync"):
        assert lazy.values.tobytes() == eager.values.tobytes() == foreign.values.tobytes()


def test_filling_many_gaps_of_a_year_makes_one_layer_and_few_bytes():
    size = 8760
    starts = START + np.arange(size) * 3600 * 10**9
    clock = SampleClock.of_segments(starts, np.full(size, 3590 * 48000), 48000)
    filled, before = fill_clock(clock)
    assert filled.size == 8759 * 3600 * 48000 + 3590 * 48000
    assert before.sum() == 8759 * 10 * 48000
    rows = np.array([3590 * 48000 - 1, 3590 * 48000, 3600 * 48000 - 1, 3600 * 48000])
    expected = [START + int(r) * 10**9 // 48000 for r in rows]
    assert filled.labels(rows).tolist() == expected
