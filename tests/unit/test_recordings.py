"""What a recording is: made from arrays, joined, described, and refused where it is none."""

from __future__ import annotations

import datetime
import itertools
import pickle
from fractions import Fraction

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import reelarray as ra
from reelarray.clock import SampleClock
from reelarray.errors import ClockError, RecordingError
from reelarray.recordings import clock as clock_of
from reelarray.recordings import describe, label

START = 1_646_092_800 * 10**9  # 2022-03-01


def times(x: xr.DataArray) -> list[str]:
    return x["time"].values.astype(str).tolist()


# ---- ra.recording ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start",
    [
        "2022-03-01T12:00:00",
        "2022-03-01 12:00",
        "2022-03-01T14:00:00+02:00",
        np.datetime64("2022-03-01T12:00"),
        pd.Timestamp("2022-03-01T13:00", tz="Europe/Paris"),
        datetime.datetime(2022, 3, 1, 12),
        datetime.datetime(2022, 3, 1, 12, tzinfo=datetime.UTC),
    ],
)
def test_a_start_is_utc_and_an_offset_is_converted(start):
    x = ra.recording([1.0, 2.0], rate=2, start=start)
    assert times(x) == ["2022-03-01T12:00:00.000000000", "2022-03-01T12:00:00.500000000"]


def test_without_a_start_times_count_from_zero():
    x = ra.recording([1.0, 2.0], rate=2)
    assert x["time"].dtype == "timedelta64[ns]"
    assert x["time"].values.astype(int).tolist() == [0, 500_000_000]


@pytest.mark.parametrize(
    ("rate", "exact"),
    [
        (44100, 44100),
        (44100.0, 44100),
        ("48000", 48000),
        (48000 / 1.001, Fraction(48000000, 1001)),
        (Fraction(1, 60), Fraction(1, 60)),
    ],
)
def test_rates_are_exact(rate, exact):
    x = ra.recording(np.zeros(4), rate=rate)
    assert ra.rate(x) == exact
    assert isinstance(ra.rate(x), Fraction)


@pytest.mark.parametrize("rate", [0, -5, np.nan, np.inf, "fast", None, True])
def test_impossible_rates_are_named(rate):
    with pytest.raises(ClockError, match="rate="):
        ra.recording([1.0], rate=rate)


@pytest.mark.parametrize("start", ["yesterday-ish", "", pd.NaT, "2022-02-30", object()])
def test_impossible_starts_are_named(start):
    with pytest.raises(ClockError, match=r"is not a time.*'2022-03-01T12:00:00'"):
        ra.recording([1.0], rate=1, start=start)


def test_a_rate_above_a_gigahertz_is_refused():
    with pytest.raises(ClockError, match="above 1 GHz"):
        ra.recording([1.0, 2.0], rate=2e9)


@pytest.mark.parametrize(
    ("shape", "dims", "expected"),
    [
        ((5,), None, ("time",)),
        ((5, 2), None, ("time", "channel")),
        ((5, 2, 3), None, ("time", "y", "x")),
        ((5, 2), ["frequency"], ("time", "frequency")),
        ((5, 2, 3, 4), ["a", "b", "c"], ("time", "a", "b", "c")),
    ],
)
def test_axes_are_named(shape, dims, expected):
    assert ra.recording(np.zeros(shape), rate=1, dims=dims).dims == expected


@pytest.mark.parametrize(("shape", "dims"), [((), None), ((5, 2), ["a", "b"]), ((1, 1, 1, 1), None)])
def test_axes_that_do_not_fit_are_refused(shape, dims):
    with pytest.raises(RecordingError, match=r"axes|single number"):
        ra.recording(np.zeros(shape), rate=1, dims=dims)


def test_a_lazy_array_stays_lazy_and_keeps_its_own_name_out():
    x = ra.recording(
        da.zeros(10**6, chunks=1000), rate=1, units="Pa", attrs={"instrument": "SM4"}, coords={"site": "A"}
    )
    assert x.chunks is not None
    assert x.name is None
    assert x.attrs == {"units": "Pa", "instrument": "SM4"}
    assert x["site"].item() == "A"


# ---- check_recording -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error", "told"),
    [
        (np.zeros(3), RecordingError, "ndarray was given"),
        (xr.DataArray(np.zeros(3), dims="x"), RecordingError, r"use ra\.recording"),
        (xr.DataArray(np.zeros(3), dims="time"), ClockError, r"give it one with ra\.recording"),
        (
            xr.DataArray(np.zeros(2), dims="time", coords={"time": pd.to_datetime(["2022", "2023"])}),
            ClockError,
            r"give it one with ra\.recording",
        ),
        (
            ra.recording([1, 2], rate=1).to_dataset(name="hydrophone"),
            RecordingError,
            "pick one of its arrays: hydrophone",
        ),
        (ra.recording(np.zeros((2, 2)), rate=1).transpose(), RecordingError, r"x\.transpose\('time', \.\.\.\)"),
        (ra.recording(np.array(["a"]), rate=1), RecordingError, "numbers were expected"),
        (ra.recording(np.array([True]), rate=1), RecordingError, "numbers were expected"),
    ],
)
def test_what_is_no_recording_says_why_and_what_to_do(wrong, error, told):
    with pytest.raises(error, match=told):
        ra.check_recording(wrong)


def test_real_and_complex_are_told_apart():
    real, iq = ra.recording([1.0], rate=1), ra.recording([1j], rate=1)
    assert ra.check_recording(real, real=True) is real
    assert ra.check_recording(iq, real=False) is iq
    with pytest.raises(RecordingError, match="complex128 were given; real"):
        ra.check_recording(iq, real=True)
    with pytest.raises(RecordingError, match="float64 were given; complex"):
        ra.check_recording(real, real=False)


def test_describe_sets_and_removes_attributes():
    x = ra.recording([1.0], rate=1, units="Pa", attrs={"gain": 3})
    assert describe(x**2, units="Pa2", gain=None).attrs == {"units": "Pa2"}
    assert x.attrs == {"units": "Pa", "gain": 3}


# ---- segments --------------------------------------------------------------------------------------------------------


def test_segments_tell_joins_drift_and_sources():
    starts = [START, START + 10 * 10**9 + 5_000_000, START + 60 * 10**9]
    clock = SampleClock.of_segments(starts, [40, 40, 30], 4, joined=[False, True, False], source=["a", "b", "c"])
    table = ra.segments(label(np.zeros(110), clock))
    assert table["start"].astype("int64").tolist() == starts
    assert table["stop"].astype("int64").tolist() == [starts[1], starts[1] + 10**10, starts[2] + 75 * 10**8]
    assert table["seconds"].tolist() == [10.0, 10.0, 7.5]
    assert table["samples"].tolist() == [40, 40, 30]
    assert table["joined"].tolist() == [False, True, False]
    assert table["drift"].tolist() == pytest.approx([0.005, 0, 0], abs=1e-12)
    assert table["source"].tolist() == ["a", "b", "c"]


def test_segments_of_a_slice_are_those_it_touches():
    clock = SampleClock.of_segments(
        [START, START + 10**10, START + 6 * 10**10], [40, 40, 30], 4, joined=[False, True, False]
    )
    x = label(np.zeros(110), clock)
    assert ra.segments(x[50:90])["samples"].tolist() == [30, 10]
    assert ra.segments(x[:40])["samples"].tolist() == [40]
    assert ra.segments(x[:0]).empty
    assert ra.segments(x[::4])["samples"].tolist() == [10, 10, 8]
    assert ra.segments(x[::4])["seconds"].tolist() == [10, 10, 8]


def test_a_measured_clock_gives_its_nominal_rate_and_one_segment():
    stamps = np.datetime64("2022-03-01T00:00:00") + np.array([0, 34, 67]).astype("timedelta64[ms]")
    x = xr.DataArray(np.zeros(3), dims="time", coords={"time": stamps}, attrs={"rate": 30})
    assert ra.rate(x) == 30
    assert ra.segments(x)["samples"].tolist() == [3]


# ---- join ------------------------------------------------------------------------------------------------------------


def test_join_sorts_and_keeps_the_gap():
    a = ra.recording([1, 2], rate=1, start="2022-03-01T00:00:00")
    b = ra.recording([3, 4], rate=1, start="2022-03-01T00:01:00")
    x = ra.join([b, a])
    assert x.values.tolist() == [1, 2, 3, 4]
    assert clock_of(x).gaps == 1
    assert x.sel(time="2022-03-01T00:01:01").item() == 4


def test_join_of_what_follows_exactly_is_one_stretch():
    a = ra.recording([1, 2], rate=1, start="2022-03-01T00:00:00")
    b = ra.recording([3, 4], rate=1, start="2022-03-01T00:00:02")
    assert clock_of(ra.join([a, b])).gaps == 0
    assert ra.average(ra.join([a, b]), every=4).values.tolist() == [2.5]


def test_join_within_a_tolerance_spans_a_small_gap_and_keeps_every_label():
    a = ra.recording([1, 2], rate=1, start="2022-03-01T00:00:00")
    b = ra.recording([3, 4], rate=1, start="2022-03-01T00:00:02.3")
    apart, joined = ra.join([a, b]), ra.join([a, b], tolerance=0.5)
    assert (clock_of(apart).gaps, clock_of(joined).gaps) == (1, 0)
    assert times(apart) == times(joined)
    assert ra.average(joined, every=4).values.tolist() == [2.5]


@given(st.lists(st.integers(0, 300), max_size=6), st.randoms())
def test_join_of_any_cuts_in_any_order_is_the_recording_again(cuts, random):
    clock = SampleClock.of_segments([START, START + 10**11], [150, 150], 3, source=["a", "b"])
    x = label(np.arange(300.0), clock, attrs={"units": "V"}, name="x")
    edges = sorted({0, 300, *cuts})
    parts = [x[a:b] for a, b in itertools.pairwise(edges)]
    random.shuffle(parts)
    again = ra.join(parts)
    assert again.identical(x)
    assert ra.segments(again).equals(ra.segments(x))


def test_join_of_many_lazy_recordings_computes_nothing_and_keeps_chunks():
    def refuse(block):
        raise AssertionError("computed while joining")

    data = da.zeros(1000, chunks=100).map_blocks(refuse, meta=np.zeros(0))
    parts = [
        ra.recording(data, rate=1000, start=np.datetime64("2022-03-01") + np.timedelta64(10 * k, "s"))
        for k in range(50)
    ]
    x = ra.join(parts)
    assert x.sizes["time"] == 50_000
    assert clock_of(x).gaps == 49
    assert x.chunks == ((100,) * 500,)


@pytest.mark.parametrize(
    ("other", "error", "told"),
    [
        (ra.recording([1.0], rate=2, start="2023"), ClockError, "clocks with rate 1 and 2 cannot follow"),
        (ra.recording([1.0], rate=1), ClockError, "of one recording the start is known"),
        (ra.recording([[1.0]], rate=1, start="2023"), RecordingError, "cannot be joined"),
        (ra.recording([1.0], rate=1, start="2023", units="Pa"), RecordingError, "units 'V' and 'Pa' cannot be joined"),
        (
            ra.recording([1.0], rate=1, start="2022-03-01T00:00:01", units="V"),
            ClockError,
            r"before stretch 0 ends at.*overlap=",
        ),
        (ra.recording([1.0], rate=1, start="2023", units="V", coords={"site": "B"}), RecordingError, "'site' differs"),
    ],
)
def test_what_cannot_be_joined_says_why(other, error, told):
    x = ra.recording([1.0, 2.0, 3.0], rate=1, start="2022-03-01", units="V", coords={"site": "A"})
    other = other if "units" in told else other.assign_attrs(units="V")
    with pytest.raises(error, match=told):
        ra.join([x, other])


def test_join_of_nothing_says_so():
    with pytest.raises(RecordingError, match="no recordings were given"):
        ra.join([])


def test_join_leaves_out_empty_parts():
    x = ra.recording([1.0, 2.0], rate=1, start="2022-03-01")
    assert ra.join([x[:0], x, x[2:]]).identical(x)
    assert ra.join([x[:0]]).sizes["time"] == 0


def test_spectrograms_join_too():
    x = ra.recording(np.random.default_rng(0).normal(size=400), rate=100, start="2022-03-01", units="V")
    s = ra.spectrogram(x, nfft=16, hop=8)
    assert ra.join([s[20:], s[:20]]).identical(s)


# ---- forget_clock, accessor ------------------------------------------------------------------------------------------


def test_forget_clock_leaves_positions():
    x = ra.recording(np.zeros((4, 2)), rate=1, start="2022-03-01", coords={"site": "A"})
    forgotten = ra.forget_clock(x)
    assert set(forgotten.coords) == {"site"}
    assert forgotten.dims == ("time", "channel")


def test_the_accessor_has_the_functions_with_their_signatures():
    x = ra.recording([0.0] * 8, rate=4)
    assert x.reel.rate() == 4
    assert x.reel.segments().equals(ra.segments(x))
    assert "tolerance" not in ra.rate.__doc__
    assert x.reel.fill_gaps.__name__ == "fill_gaps"
    assert pickle.loads(pickle.dumps(x)).reel.rate() == 4


def test_a_time_without_a_date_or_a_number_is_refused():
    x = ra.recording(np.zeros(8), rate=1, start="2022-03-01")
    for time in ("13:00", 3600, 12.5, np.int64(7), True):
        with pytest.raises(ClockError, match="2022-03-01T12:00:00"):
            ra.recording(np.zeros(8), rate=1, start=time)
    assert ra.recording(np.zeros(8), rate=1, start="20220301T0000").equals(x)


def test_join_keeps_what_goes_with_each_row_and_only_what_all_agree_on():
    a = ra.average(ra.recording(np.arange(8.0), rate=1, start="2022-03-01", attrs={"site": "A", "depth": 5}), "2s")
    b = ra.average(ra.recording(np.arange(4.0), rate=1, start="2022-03-02", attrs={"site": "B", "depth": 5}), "2s")
    both = ra.join([b, a])
    assert both["count"].values.tolist() == [2] * 6
    assert both["effort"].values.tolist() == [2.0] * 6
    assert both.attrs["depth"] == 5
    assert "site" not in both.attrs
    assert ra.time_bounds(both).shape == (6, 2)
    with pytest.raises(RecordingError, match="dtypes"):
        ra.join([a, b.astype("float32")])
