"""The clock inside xarray: every operation against the same array with an ordinary pandas index."""

from __future__ import annotations

import datetime
import html
import pickle

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xarray.core.indexes import PandasIndex

import reelarray as ra
from reelarray import timeindex
from reelarray.clock import SampleClock
from reelarray.errors import ClockError
from reelarray.recordings import clock as clock_of
from reelarray.recordings import label
from reelarray.timeindex import ClockIndex, ClockVariable, time_bounds

START = 1_646_092_800 * 10**9  # 2022-03-01
SECOND = 10**9


def pair(clock: SampleClock, dims: tuple[str, ...] = (), seed: int = 0) -> tuple[xr.DataArray, xr.DataArray]:
    """The same values with our clock and with its labels in a pandas index."""
    values = np.random.default_rng(seed).normal(size=(clock.size, *(2 for _ in dims)))
    ours = label(values, clock, dims=dims, attrs={"units": "V"}, name="x")
    times = clock.labels(np.arange(clock.size)).view("M8[ns]" if clock.absolute else "m8[ns]")
    plain = xr.DataArray(values, dims=("time", *dims), coords={"time": times}, attrs={"units": "V"}, name="x")
    return ours, plain


def deployment(*, absolute: bool = True, drift: int = 0) -> SampleClock:
    """0 to 10 s, joined 10 to 20 s, and after a gap 70 to 77.5 s, at 4 Hz."""
    begin = START if absolute else 0
    starts = [begin, begin + 10 * SECOND + drift, begin + 70 * SECOND]
    return SampleClock.of_segments(starts, [40, 40, 30], 4, joined=[False, True, False], absolute=absolute)


CLOCKS = {
    "datetimes": deployment(),
    "times since an unknown start": deployment(absolute=False),
    "a drifting recorder": deployment(drift=1_234_567),
    "window centres": deployment().windows(8, 3),
    "every third sample": deployment().slice(1, 105, 3),
}


def assert_same(ours, plain) -> None:
    """Equal values, labels, dtypes, names, attributes, and which coordinates there are."""
    if isinstance(plain, xr.Dataset):
        assert set(ours.variables) == set(plain.variables)
        assert ours.attrs == plain.attrs
        for name in plain.variables:
            assert_same(ours[name], plain[name])
    elif isinstance(plain, xr.DataArray):
        assert ours.dims == plain.dims
        assert ours.dtype == plain.dtype
        assert ours.name == plain.name
        assert ours.attrs == plain.attrs
        np.testing.assert_array_equal(ours.values, plain.values)
        assert set(ours.coords) == set(plain.coords)
        for name in plain.coords:
            assert ours[name].dims == plain[name].dims
            assert ours[name].dtype == plain[name].dtype
            np.testing.assert_array_equal(ours[name].values, plain[name].values)
    elif isinstance(plain, pd.Series):
        pd.testing.assert_series_equal(ours, plain, check_freq=False)
    elif isinstance(plain, pd.DataFrame):
        pd.testing.assert_frame_equal(ours, plain, check_freq=False)
    elif isinstance(plain, list | tuple):
        assert len(ours) == len(plain)
        for mine, theirs in zip(ours, plain, strict=True):
            assert_same(mine, theirs)
    else:
        assert ours == plain


def t(x: xr.DataArray, row: int) -> np.ndarray:
    return x["time"].values[row]


MS = np.timedelta64(1, "ms")

POSITIONS = {
    "slice": lambda x: x.isel(time=slice(3, 50)),
    "slice with a stride": lambda x: x.isel(time=slice(3, 50, 2)),
    "slice of a slice": lambda x: x[5:60][::3][2:9],
    "slice to the end": lambda x: x.isel(time=slice(-7, None)),
    "slice backwards": lambda x: x.isel(time=slice(None, None, -1)),
    "empty slice": lambda x: x.isel(time=slice(9, 9)),
    "slice the wrong way round": lambda x: x.isel(time=slice(9, 3)),
    "slice beyond the end": lambda x: x.isel(time=slice(5, 10**9)),
    "one": lambda x: x.isel(time=5),
    "the last": lambda x: x.isel(time=-1),
    "an array of one": lambda x: x.isel(time=[3]),
    "increasing picks": lambda x: x.isel(time=[3, 4, 5, 9, 20]),
    "decreasing picks": lambda x: x.isel(time=[9, 4, 2]),
    "repeated picks": lambda x: x.isel(time=[3, 1, 1]),
    "no picks": lambda x: x.isel(time=np.zeros(0, int)),
    "picks from the end": lambda x: x.isel(time=[-3, -2]),
    "a mask": lambda x: x.isel(time=np.arange(x.sizes["time"]) % 3 == 0),
    "a mask of the values": lambda x: x[x > 0],
    "points": lambda x: x.isel(time=xr.DataArray([3, 1], dims="p", coords={"p": ["a", "b"]})),
    "a field of points": lambda x: x.isel(time=xr.DataArray([[3, 1], [1, 2]], dims=("a", "b"))),
    "an indexer along time": lambda x: x.isel(time=xr.DataArray([2, 7], dims="time")),
    "ellipsis": lambda x: x[..., 3:9],
    "head, tail and thin": lambda x: [x.head(time=3), x.tail(time=3), x.thin(time=4)],
    "iteration": lambda x: list(x[:3]),
    "drop by position": lambda x: x.drop_isel(time=[0, 5]),
    "drop by label": lambda x: x.drop_sel(time=x["time"].values[:3]),
}

LABELS = {
    "slice": lambda x: x.sel(time=slice(t(x, 4), t(x, 20))),
    "slice from between samples": lambda x: x.sel(time=slice(t(x, 4) + MS, t(x, 20) - MS)),
    "slice into a gap": lambda x: x.sel(time=slice(t(x, 4), t(x, -1) - np.timedelta64(20, "s"))),
    "open slices": lambda x: [
        x.sel(time=slice(None, t(x, 4))),
        x.sel(time=slice(t(x, 4), None)),
        x.sel(time=slice(None)),
    ],
    "slice with a stride": lambda x: x.sel(time=slice(t(x, 4), t(x, 20), 3)),
    "slice the wrong way round": lambda x: x.sel(time=slice(t(x, 20), t(x, 4))),
    "slice before the start": lambda x: x.sel(time=slice(t(x, 0) - 9 * MS, t(x, 0) - MS)),
    "slice after the end": lambda x: x.sel(time=slice(t(x, -1) + MS, None)),
    "one": lambda x: x.sel(time=t(x, 7)),
    "one, nearest": lambda x: x.sel(time=t(x, 7) + 20 * MS, method="nearest"),
    "nearest far before and far behind": lambda x: x.sel(
        time=[t(x, 0) - np.timedelta64(9, "D"), t(x, -1) + np.timedelta64(9, "D")], method="nearest"
    ),
    "before": lambda x: x.sel(time=t(x, 7) + 20 * MS, method="ffill"),
    "after": lambda x: x.sel(time=t(x, 7) + 20 * MS, method="bfill"),
    "pad and backfill": lambda x: [x.sel(time=t(x, 7), method="pad"), x.sel(time=t(x, 7), method="backfill")],
    "within a tolerance": lambda x: x.sel(time=t(x, 7) + 20 * MS, method="nearest", tolerance="30ms"),
    "within a tolerance as a number": lambda x: x.sel(time=t(x, 7) + MS, method="nearest", tolerance=30 * MS),
    "several": lambda x: x.sel(time=[t(x, 3), t(x, 9), t(x, 4)]),
    "several, nearest": lambda x: x.sel(time=x["time"].values[[9, 3]] + MS, method="nearest"),
    "none": lambda x: x.sel(time=x["time"].values[:0]),
    "points": lambda x: x.sel(time=xr.DataArray([t(x, 3), t(x, 9)], dims="p", coords={"p": [1, 2]})),
    "points of a Variable": lambda x: x.sel(time=xr.Variable("p", [t(x, 3), t(x, 9)])),
    "a field of points": lambda x: x.sel(time=xr.DataArray(x["time"].values[:4].reshape(2, 2), dims=("a", "b"))),
    "a scalar array": lambda x: x.sel(time=xr.DataArray(t(x, 3))),
    "times of another recording": lambda x: x.sel(time=x["time"][3:9:2]),
    "a pandas index": lambda x: x.sel(time=x.get_index("time")[2:5]),
    "loc": lambda x: x.loc[t(x, 3) : t(x, 9)],
    "loc of two": lambda x: x.loc[{"time": [t(x, 3), t(x, 9)]}],
    "of a Dataset": lambda x: x.to_dataset().sel(time=slice(t(x, 4), t(x, 20))),
}

WHOLE = {
    "arithmetic": lambda x: x * 2 + x / 3 - x.mean("time"),
    "arithmetic of parts": lambda x: x[:30] + x[10:50],
    "arithmetic of disjoint parts": lambda x: x[:10] + x[20:30],
    "a function of arrays": lambda x: xr.apply_ufunc(np.abs, x),
    "equality": lambda x: [x.equals(x.copy()), x.identical(x.copy(deep=True)), x.equals(x[1:]), x.broadcast_equals(x)],
    "inner alignment": lambda x: xr.align(x[:60], x[30:], join="inner"),
    "outer alignment": lambda x: xr.align(x[:60], x[30:], join="outer"),
    "left alignment": lambda x: xr.align(x[:60], x[30:], join="left"),
    "right alignment": lambda x: xr.align(x[:60], x[30:], join="right"),
    "exact alignment of the same": lambda x: xr.align(x, x * 2, join="exact"),
    "merge": lambda x: xr.merge([x, (x * 2).rename("y")], join="exact", compat="override"),
    "merge of parts": lambda x: xr.merge([x, x[5:20].rename("y")], join="outer", compat="override"),
    "broadcast": lambda x: xr.broadcast(x, xr.DataArray([1, 2], dims="q")),
    "combine_first": lambda x: x[:30].combine_first(x),
    "reindex_like a part": lambda x: x.reindex_like(x[3:9]),
    "interp_like a part": lambda x: x.interp_like(x[3:9]),
    "interp": lambda x: x.interp(time=[t(x, 3) + MS, t(x, 9)]),
    "concat of parts": lambda x: xr.concat([x[:15], x[15:20], x[20:]], "time", join="outer"),
    "concat of parts with a hole": lambda x: xr.concat([x[:15], x[20:]], "time"),
    "concat along a new dimension": lambda x: xr.concat([x, x * 2], "run"),
    "combine by coordinates": lambda x: xr.combine_by_coords([x[8:].to_dataset(), x[:8].to_dataset()]),
    "copy": lambda x: [x.copy(), x.copy(deep=True), x.copy(data=x.values * 2)],
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "rename the dimension": lambda x: x.rename(time="t"),
    "rename the array": lambda x: x.rename("z"),
    "rename and select": lambda x: x.rename(time="t").sel(t=slice(t(x, 3), t(x, 9))).rename(t="time"),
    "swap dimensions": lambda x: x.assign_coords(n=("time", np.arange(x.sizes["time"]))).swap_dims(time="n"),
    "other labels": lambda x: x.assign_coords(time=np.arange(x.sizes["time"])),
    "labels with attributes": lambda x: x.assign_coords(time=x["time"].assign_attrs(note="UTC")),
    "a new dimension": lambda x: x.expand_dims(a=[1, 2]).transpose("time", "a"),
    "stack and unstack": lambda x: x.expand_dims(a=[1, 2]).stack(z=("a", "time")).unstack("z"),
    "squeeze": lambda x: x[[3]].squeeze(),
    "to a Dataset": lambda x: x.to_dataset(),
    "to a Series": lambda x: x.to_series(),
    "to pandas": lambda x: x.to_pandas(),
    "to a DataFrame": lambda x: x.to_dataframe(),
    "to a dictionary": lambda x: x.to_dict()["coords"]["time"]["data"],
    "to an index": lambda x: list(x.indexes["time"]),
    "without labels": lambda x: [
        x.drop_vars("time"),
        x.reset_index("time", drop=True),
    ],
    "labels as an ordinary coordinate": lambda x: x.reset_index("time"),
    "labels themselves": lambda x: [x["time"], x["time"].min(), x["time"].diff("time"), x["time"] - x["time"][0]],
    "comparisons of labels": lambda x: [x["time"] > t(x, 5), x["time"] == t(x, 5)],
    "where": lambda x: x.where(x["time"] > t(x, 5)),
    "where, dropped": lambda x: x.where((x["time"] > t(x, 5)) & (x["time"] < t(x, 20)), drop=True),
    "where of the values, dropped": lambda x: x.where(x > 0, drop=True),
    "assignment by label": lambda x: assigned(x.copy()),
    "rolling": lambda x: [x.rolling(time=5).mean(), x.rolling(time=4, center=True).construct("w")],
    "coarsen": lambda x: x.coarsen(time=5, boundary="trim").mean(),
    "diff, shift and roll": lambda x: [
        x.diff("time"),
        x.shift(time=3),
        x.roll(time=3),
        x.roll(time=3, roll_coords=True),
    ],
    "pad": lambda x: x.pad(time=2),
    "differentiate": lambda x: x.differentiate("time", datetime_unit="s"),
    "integrate": lambda x: [x.integrate("time", "s"), x.cumulative_integrate("time", "s")],
    "sort": lambda x: [x.sortby("time"), x.sortby("time", ascending=False), x.sortby(x)],
    "drop missing": lambda x: x.where(x > 0).dropna("time"),
    "fill missing": lambda x: [x.where(x > 0).fillna(0), x.where(x > 0).interpolate_na("time")],
    "extremes": lambda x: [x.idxmax("time"), x.argmin("time")],
    "reductions": lambda x: [x.quantile(0.3, "time"), x.cumsum("time"), x.weighted(x**2).mean("time"), x.dot(x)],
    "fit": lambda x: x.polyfit("time", 1)["polyfit_coefficients"],
    "duplicates": lambda x: x.drop_duplicates("time"),
    "load and compute": lambda x: [x.load(), x.compute(), x["time"].load(), x["time"].compute()],
    "type": lambda x: [x.astype("f4"), xr.ones_like(x), x.as_numpy()],
}

CALENDAR = {
    "resample": lambda x: [x.resample(time="5s").mean(), x.resample(time="1min", label="right").count()],
    "resample and map": lambda x: x.resample(time="20s").map(lambda part: part - part.mean()),
    "group by": lambda x: [x.groupby("time.minute").mean(), x.groupby("time.second").max()],
    "group by and map": lambda x: x.groupby("time.minute").map(lambda part: part - part.mean()),
    "group by floor": lambda x: x.groupby(x["time"].dt.floor("5s")).mean(),
    "group by bins": lambda x: x.groupby_bins(
        "time", pd.date_range("2022-03-01", "2022-03-01T00:02", periods=4, unit="ns"), labels=[1, 2, 3]
    ).mean(),
    "dt": lambda x: [x["time"].dt.second, x["time"].dt.floor("5s"), x["time"].dt.strftime("%H:%M:%S")],
}


def assigned(x: xr.DataArray) -> xr.DataArray:
    x.loc[{"time": slice(t(x, 3), t(x, 9))}] = 0.0
    return x


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("operation", POSITIONS)
def test_selection_by_position_is_that_of_pandas(operation, clock):
    ours, plain = pair(CLOCKS[clock])
    assert_same(POSITIONS[operation](ours), POSITIONS[operation](plain))


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("operation", LABELS)
def test_selection_by_label_is_that_of_pandas(operation, clock):
    ours, plain = pair(CLOCKS[clock])
    assert_same(LABELS[operation](ours), LABELS[operation](plain))


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("operation", WHOLE)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_operations_of_xarray_give_what_they_give_with_pandas(operation, clock):
    ours, plain = pair(CLOCKS[clock])
    assert_same(WHOLE[operation](ours), WHOLE[operation](plain))


@pytest.mark.parametrize("clock", [name for name in CLOCKS if CLOCKS[name].absolute])
@pytest.mark.parametrize("operation", CALENDAR)
def test_calendar_operations_give_what_they_give_with_pandas(operation, clock):
    ours, plain = pair(CLOCKS[clock])
    assert_same(CALENDAR[operation](ours), CALENDAR[operation](plain))


@pytest.mark.parametrize("operation", ["slice with a stride", "decreasing picks", "a mask", "empty slice"])
def test_chunked_recordings_select_the_same(operation):
    ours, plain = pair(deployment(), ("channel",))
    lazy = POSITIONS[operation](ours.chunk(time=7))
    assert lazy.chunks is not None
    assert_same(lazy.compute(), POSITIONS[operation](plain))


def test_map_blocks_keeps_the_labels_of_each_block():
    ours, plain = pair(deployment())
    lazy = ours.chunk(time=20)
    assert_same(xr.map_blocks(lambda block: block * 2, lazy, template=lazy).compute(), plain * 2)


# ---- what stays a clock ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operation",
    [
        "slice", "slice with a stride", "slice of a slice", "empty slice", "increasing picks", "a mask", "no picks",
        "head, tail and thin",
    ],
)  # fmt: skip
def test_increasing_selections_keep_the_clock(operation):
    made = POSITIONS[operation](pair(deployment())[0])
    for x in made if isinstance(made, list) else [made]:
        assert isinstance(x.xindexes["time"], ClockIndex)
        assert ra.rate(x) in (4, 2, 1, ra.rate(x))
        assert isinstance(x["time"].variable, ClockVariable)


@pytest.mark.parametrize(
    "operation",
    ["arithmetic", "copy", "pickle", "concat of parts", "concat of parts with a hole", "merge", "load and compute"],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_operations_on_whole_arrays_keep_the_clock(operation):
    made = WHOLE[operation](pair(deployment())[0])
    for x in made if isinstance(made, list) else [made]:
        assert isinstance(x.xindexes["time"], ClockIndex)


def test_picks_that_go_back_get_an_ordinary_index():
    ours, _ = pair(deployment())
    assert isinstance(ours.isel(time=[3, 1]).xindexes["time"], PandasIndex)


def test_the_rate_follows_strides_and_not_the_labels():
    x = ra.recording(np.zeros(1000), rate=44100, start="2022-03-01")
    assert [ra.rate(x), ra.rate(x[::2]), ra.rate(x[5:].isel(time=slice(0, 90, 3))[::7])] == [44100, 22050, 2100]


def test_picks_with_a_hole_have_a_gap_where_the_hole_is():
    ours, _ = pair(deployment())
    picked = ours.isel(time=[3, 4, 5, 9, 10, 85])
    assert (clock_of(picked).stops - clock_of(picked).first).tolist() == [3, 2, 1]


def test_concat_of_what_was_cut_is_the_clock_again():
    ours, _ = pair(deployment(drift=999))
    again = xr.concat([ours[:13], ours[13:41], ours[41:95], ours[95:]], "time")
    assert clock_of(again) == clock_of(ours)
    assert again.identical(ours)


def test_concat_out_of_order_names_the_way_out():
    ours, _ = pair(deployment())
    with pytest.raises(ClockError, match=r"put them in order of time \(ra.join does\)"):
        xr.concat([ours[50:], ours[:50]], "time")
    assert_same(ra.join([ours[50:], ours[:50]]), ours)


def test_arrays_of_both_kinds_of_index_work_together_where_labels_are_equal():
    ours, plain = pair(deployment())
    assert_same(ours + plain, plain + plain)
    assert_same(ours.where(plain > 0), plain.where(plain > 0))


def test_arrays_of_both_kinds_of_index_with_other_labels_say_how_to_make_them_one_kind():
    ours, plain = pair(deployment())
    with pytest.raises(xr.AlignmentError, match=r"x.assign_coords\(time=x.get_index\('time'\)\)"):
        ours + plain[3:9]
    ordinary = ours.assign_coords(time=ours.get_index("time"))
    assert_same(ordinary + plain[3:9], plain + plain[3:9])
    near = t(plain, [3, 9]) + MS
    assert_same(ordinary.reindex(time=near, method="nearest"), plain.reindex(time=near, method="nearest"))


def test_exact_alignment_refuses_a_shift_of_one_nanosecond():
    ours, _ = pair(deployment())
    later, _ = pair(SampleClock.of_segments([START + 1], [110], 4))
    same, _ = pair(SampleClock.of_segments([START], [110], 4))
    with pytest.raises(xr.AlignmentError):
        xr.align(same, later, join="exact")
    assert xr.align(ours, ours * 2, join="exact")[1].identical(ours * 2)


@pytest.mark.parametrize("clock", CLOCKS)
def test_tokens_are_those_of_the_clock(clock):
    x, _ = pair(CLOCKS[clock])
    y, _ = pair(CLOCKS[clock])
    assert dask.base.tokenize(x) == dask.base.tokenize(y)
    assert dask.base.tokenize(x["time"].variable) == dask.base.tokenize(y["time"].variable)
    assert dask.base.tokenize(x["time"].variable) != dask.base.tokenize(y[1:]["time"].variable)


# ---- what a label may be ---------------------------------------------------------------------------------------------

UTC = datetime.UTC
PARIS = datetime.timezone(datetime.timedelta(hours=1))
TIMES = [
    "2022-03-01T00:00:05", "2022-03-01T00:00:05.25", "2022-03-01T00:00:05.250", "2022-03-01T00:00:05.3",
    "2022-03-01T00:00:05.125",
    "2022-03-01T00:00:05.250000000", "2022-03-01T00:00:05.250000001", "2022-03-01T00", "2022-03-01 00:01", "2022-03-01",
    "2022-03", "2022", "20220301", "Mar 1 2022", "2021", "2023-01-01", "2022-02-28", "2022-03-01T00:00:30",
    np.datetime64("2022-03-01T00:00:05"), np.datetime64("2022-03-01T00:00:05.250"), np.datetime64("2022-03-01"),
    np.datetime64("2022-03-01T00:00:05.3"), np.datetime64("2022-03-01T00:00:05", "s"), np.datetime64(5, "Y"),
    pd.Timestamp("2022-03-01T00:00:05.25"), pd.Timestamp("2022-03-01T00:00:05.26"),
    datetime.datetime(2022, 3, 1, 0, 0, 5), datetime.datetime(2022, 3, 1, 0, 0, 5, 1),
]  # fmt: skip
ELAPSED = [
    "5s", "5.25s", "5.125s", "5250ms", "5.3s", "0 days 00:00:05", "1 min", "00:01:10", "1 day", "30s",
    np.timedelta64(5, "s"), np.timedelta64(5250, "ms"), np.timedelta64(5300, "ms"), np.timedelta64(5250000000, "ns"),
    pd.Timedelta("5.25s"), datetime.timedelta(seconds=5), datetime.timedelta(milliseconds=5300),
]  # fmt: skip
ASKED = {
    "as it is": lambda x, label: x.sel(time=label),
    "nearest": lambda x, label: x.sel(time=label, method="nearest"),
    "ffill": lambda x, label: x.sel(time=label, method="ffill"),
    "bfill": lambda x, label: x.sel(time=label, method="bfill"),
    "with a tolerance": lambda x, label: x.sel(time=label, method="nearest", tolerance="20ms"),
    "from": lambda x, label: x.sel(time=slice(label, None)),
    "to": lambda x, label: x.sel(time=slice(None, label)),
    "in a list": lambda x, label: x.sel(time=[label]),
    "in a list, nearest": lambda x, label: x.sel(time=[label], method="nearest"),
    "in an array": lambda x, label: x.sel(time=xr.DataArray(label)),
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("absolute", [True, False])
def test_a_label_means_what_it_means_to_pandas(asked, absolute):
    ours, plain = pair(deployment(absolute=absolute))
    for time in TIMES if absolute else ELAPSED:
        try:
            expected = ASKED[asked](plain, time)
        except KeyError:
            with pytest.raises(KeyError):
                ASKED[asked](ours, time)
        else:
            assert_same(ASKED[asked](ours, time), expected)


@pytest.mark.parametrize(
    "time",
    [
        "2022-03-01T00:00:05.25Z",
        "2022-03-01T02:00:05.25+02:00",
        "2022-02-28T19:00:05.250-05:00",
        pd.Timestamp("2022-03-01T00:00:05.25", tz="UTC"),
        pd.Timestamp("2022-03-01T01:00:05.25", tz="Europe/Paris"),
        datetime.datetime(2022, 3, 1, 0, 0, 5, 250000, tzinfo=UTC),
        datetime.datetime(2022, 3, 1, 1, 0, 5, 250000, tzinfo=PARIS),
    ],
)
def test_times_with_a_zone_are_converted_to_utc(time):
    ours, plain = pair(deployment())
    assert_same(ours.sel(time=time), plain[21])
    assert_same(ours.sel(time=[time]), plain[[21]])
    assert_same(ours.sel(time=slice(time, time)), plain[21:22])
    assert_same(ours.sel(time=time, method="nearest", tolerance="1ms"), plain[21])


def test_a_partial_string_with_a_zone_covers_its_own_period():
    ours, plain = pair(deployment())
    assert_same(ours.sel(time="2022-03-01T01:01+01:00"), plain.sel(time="2022-03-01T00:01"))
    assert_same(ours.sel(time="2022-03-01T00:00:05Z"), plain.sel(time="2022-03-01T00:00:05"))
    assert_same(ours.sel(time=slice(None, "2022-03-01T00:00:05Z")), plain.sel(time=slice(None, "2022-03-01T00:00:05")))


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        (5, TypeError, "time=5 was given, a UTC time, such as '2022-03-01T12:00', was expected, not a number"),
        (5.5, TypeError, "not a number"),
        (True, TypeError, "not a number"),
        ([5, 6], TypeError, "times of dtype int64 were given"),
        ("yesterday-ish", KeyError, "time='yesterday-ish' was given, a UTC time"),
        ("", KeyError, "time='' was given"),
        (None, KeyError, "time=None was given"),
        (pd.NaT, KeyError, "not a time"),
        (np.datetime64("NaT", "ns"), KeyError, "not a time"),
        ([np.datetime64("NaT", "ns")], KeyError, "1 of 1 times are not a time"),
        (np.timedelta64(5, "s"), KeyError, "a UTC time"),
        ([np.timedelta64(5, "s")], TypeError, "timedelta64"),
    ],
)
@pytest.mark.parametrize("method", [None, "nearest"])
def test_what_is_no_time_is_named_with_what_was_expected(given, error, told, method):
    ours, _ = pair(deployment())
    with pytest.raises(error, match=told.replace("(", r"\(")):
        ours.sel(time=given, method=method)


def test_what_is_no_elapsed_time_is_named_with_what_was_expected():
    ours, _ = pair(deployment(absolute=False))
    for junk in ("junk", None, "", pd.NaT, "2022-03-01"):
        with pytest.raises(KeyError, match="a time since the start, '90s', was expected"):
            ours.sel(time=junk, method="nearest")
    with pytest.raises(TypeError, match="'90s', was expected, not a number"):
        ours.sel(time=5)


def test_a_time_between_samples_says_so_and_what_there_is():
    ours, _ = pair(deployment())
    with pytest.raises(KeyError) as caught:
        ours.sel(time="2022-03-01T00:00:05.3")
    text = str(caught.value)
    assert "no sample at 2022-03-01T00:00:05.3" in text
    assert "pass method='nearest'" in text
    assert "runs from 2022-03-01T00:00:00 to 2022-03-01T00:01:17.25 with 1 gap" in text
    with pytest.raises(KeyError, match=r"runs from 0 s to 77\.25 s with 1 gap"):
        pair(deployment(absolute=False))[0].sel(time="5.3s")
    with pytest.raises(KeyError, match="has no samples"):
        ours[:0].sel(time="2022-03-01T00:00:05.3")


def test_a_method_does_not_go_with_a_slice_and_must_be_known():
    ours, _ = pair(deployment())
    with pytest.raises(ClockError, match=r"method='nearest'"):
        ours.sel(time=slice("2022", None), method="nearest")
    with pytest.raises(ValueError, match=r"method='closest'.*'nearest'"):
        ours.sel(time="2022-03-01", method="closest")


def test_positions_out_of_bounds_are_an_index_error():
    ours, _ = pair(deployment())
    for rows in ([110], [-111], 110):
        with pytest.raises(IndexError):
            ours.isel(time=rows)


def test_a_partial_string_reaches_the_last_nanosecond_of_its_period():
    ours, plain = pair(SampleClock.of_segments([START + 999_999_500], [4], 10**9))
    assert ours.sel(time="2022-03-01T00:00:00").sizes["time"] == 4
    assert_same(ours.sel(time=slice(None, "2022-03-01T00:00")), plain.sel(time=slice(None, "2022-03-01T00:00")))


def test_the_nearest_of_two_samples_as_near_is_the_later_as_in_pandas():
    ours, plain = pair(deployment())
    middle = np.datetime64("2022-03-01T00:00:05.125")
    assert ours.sel(time=middle, method="nearest").item() == plain.sel(time=middle, method="nearest").item()
    assert ours.sel(time=middle, method="nearest")["time"].values == np.datetime64("2022-03-01T00:00:05.25")


def test_a_second_without_samples_inside_a_gap_is_empty_and_outside_an_error():
    ours, _ = pair(deployment())
    assert ours.sel(time="2022-03-01T00:00:30").sizes["time"] == 0
    for outside in ("2022-02-28", "2022-03-01T00:02"):
        with pytest.raises(KeyError, match=f"no sample in '{outside}'; the recording runs from"):
            ours.sel(time=outside)


@st.composite
def clocks(draw):
    """A small deployment with joins, gaps and drift, sliced, or its windows."""
    rate = draw(st.sampled_from([1, 4, 1000, 44100, 48000]))
    lengths = draw(st.lists(st.integers(1, 12), min_size=1, max_size=4))
    begin = draw(st.sampled_from([0, START, START + 1, START + 123_456_789]))
    starts, joined = [begin], [False]
    for length in lengths[:-1]:
        joined.append(draw(st.booleans()))
        extra = draw(st.sampled_from([0, 0, 1, 999, 10**6])) if joined[-1] else draw(st.integers(1, 90 * 10**9))
        starts.append(starts[-1] + length * 10**9 // rate + 1 + extra)
    absolute = draw(st.booleans())
    clock = SampleClock.of_segments(starts, lengths, rate, joined=joined, absolute=absolute)
    for _ in range(draw(st.integers(0, 2))):
        low = draw(st.integers(0, clock.size))
        clock = clock.slice(low, draw(st.integers(low, clock.size)), draw(st.integers(1, 3)))
    return clock.windows(draw(st.integers(1, 4)), draw(st.integers(1, 4))) if draw(st.booleans()) else clock


@st.composite
def asked_times(draw, clock):
    """A time on, near, between or beyond the labels, in one of the forms that users write."""
    labels = clock.labels(np.arange(clock.size)) if clock.size else np.array([START])
    ns = int(labels[draw(st.integers(0, len(labels) - 1))])
    ns += draw(st.sampled_from([0, 0, 1, -1, 10**5, 10**9, -(10**9), 40 * 10**9, -(10**13), 10**13]))
    if not clock.absolute:
        return draw(
            st.sampled_from([np.timedelta64(ns, "ns"), pd.Timedelta(ns, "ns"), np.timedelta64(ns // 10**9, "s")])
        )
    stamp = pd.Timestamp(max(ns, 0), unit="ns")
    text = str(np.datetime64(stamp.value, "ns"))
    forms = [np.datetime64(stamp.value, "ns"), stamp, np.datetime64(stamp.value // 10**9, "s")]
    return draw(st.sampled_from([*forms, *(text[:n] for n in (10, 13, 16, 19, 23, 26, 29))]))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), clocks())
def test_random_slices_select_what_pandas_selects(data, clock):
    ours, plain = pair(clock)
    ends = [data.draw(st.none() | asked_times(clock)) for _ in range(2)]
    assert_same(ours.sel(time=slice(*ends)), plain.sel(time=slice(*ends)))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), clocks(), st.sampled_from([None, "nearest", "ffill", "bfill"]))
def test_random_times_select_what_pandas_selects(data, clock, method):
    ours, plain = pair(clock)
    time = data.draw(asked_times(clock))
    for each in (time, [time, time]):
        try:
            expected = plain.sel(time=each, method=method)
        except (KeyError, ValueError):  # xarray: an empty index takes no method
            with pytest.raises(KeyError):
                ours.sel(time=each, method=method)
        else:
            assert_same(ours.sel(time=each, method=method), expected)


# ---- averages: what each row is made of ------------------------------------------------------------------------------


def averages() -> xr.DataArray:
    return ra.average(pair(deployment(drift=77))[0], every="3s")


def plain_averages() -> xr.DataArray:
    x = averages()
    coords = {"time": x["time"].values, **{n: x[n].variable for n in ("count", "effort")}}
    return xr.DataArray(x.values, dims="time", coords=coords, attrs=x.attrs, name=x.name)


@pytest.mark.parametrize("operation", [*POSITIONS, *LABELS, *WHOLE, *CALENDAR])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_averages_go_through_xarray_as_ordinary_arrays_do(operation):
    """Coordinates of two dimensions would make half of these operations fail; see `ClockIndex`."""
    function = {**POSITIONS, **LABELS, **WHOLE, **CALENDAR}[operation]
    try:
        expected = function(plain_averages())
    except IndexError:
        with pytest.raises(IndexError):
            function(averages())
    else:
        assert_same(function(averages()), expected)


def test_bounds_of_an_average_are_its_bins_also_after_selection():
    x = averages()
    every = np.timedelta64(3, "s")
    for part in (x, x[2:], x[[0, 1, 4]], x.sel(time=slice("2022-03-01T00:00:07", None))):
        bounds = time_bounds(clock_of(part))
        assert bounds.tolist() == np.stack([part["time"].values, part["time"].values + every], axis=-1).tolist()
        assert part.xindexes["time"].bounds == "time_bounds"


def test_bounds_of_a_spectrogram_are_its_windows():
    x = ra.recording(np.zeros(64), rate=4, start="2022-03-01")
    bounds = time_bounds(clock_of(ra.spectrogram(x, nfft=8, hop=4)))
    assert bounds[:2].astype(str).tolist() == [
        ["2022-03-01T00:00:00.000000000", "2022-03-01T00:00:02.000000000"],
        ["2022-03-01T00:00:01.000000000", "2022-03-01T00:00:03.000000000"],
    ]


# ---- a year ----------------------------------------------------------------------------------------------------------


def year(files: int = 8760) -> xr.DataArray:
    """Hourly files of 3590 s at 48 kHz: 1.5e12 samples, each file after a gap of 10 s."""
    frames = 3590 * 48000
    starts = START + np.arange(files) * 3600 * SECOND
    names = [f"/deployment/{k:05d}.wav" for k in range(files)]
    clock = SampleClock.of_segments(starts, np.full(files, frames), 48000, source=names)
    data = da.zeros((clock.size,), dtype="float32", chunks=(frames * 24,))
    return label(data, clock, attrs={"units": "Pa"}, name="samples")


@pytest.fixture
def computed(monkeypatch):
    """How many labels were computed, in a list of one number."""
    total = [0]
    real = timeindex.materialise

    def counting(clock, rows=None):
        total[0] += clock.size if rows is None else np.size(rows)
        return real(clock, rows)

    monkeypatch.setattr(timeindex, "materialise", counting)
    return total


JUNE = np.datetime64("2022-06-01")
A_DAY = 86400 // 3600 * 3590 * 48000
LAZY = {
    "slice by position": (lambda x: x[10**9 : 10**12 : 7], None),
    "slice by text": (lambda x: x.sel(time=slice("2022-06-01", "2022-06-01")), A_DAY),
    "a day as a partial string": (lambda x: x.sel(time="2022-06-01"), A_DAY),
    "slice by numbers": (lambda x: x.sel(time=slice(JUNE, JUNE + np.timedelta64(1, "D"))), A_DAY + 1),
    "one time": (lambda x: x.sel(time="2022-06-01T10:00:00.000000000"), None),
    "nearest": (lambda x: x.sel(time="2022-06-01T10:59:59.9", method="nearest"), None),
    "some times": (lambda x: x.sel(time=["2022-06-01T10:00", "2022-07-01T10:00"]), 2),
    "points": (lambda x: x.sel(time=xr.DataArray(["2022-06-01T10:00", "2022-07-01T10:00"], dims="p")), None),
    "picks": (lambda x: x.isel(time=[5, 10**12]), 2),
    "arithmetic": (lambda x: x * 2 + x, None),
    "exact alignment": (lambda x: xr.align(x, x * 2, join="exact")[0], None),
    "Dataset of two": (lambda x: xr.Dataset({"a": x, "b": x * 2})["b"], None),
    "merge": (lambda x: xr.merge([x, (x * 2).rename("b")], join="exact", compat="override")["b"], None),
    "rolling": (lambda x: x[: 3 * 10**8].rolling(time=5).mean(), 3 * 10**8),
    "chunk": (lambda x: x.chunk(time=10**11), None),
    "copy": (lambda x: x.copy(deep=True), None),
    "rename": (lambda x: x.rename(time="t").rename(t="time"), None),
    "transpose": (lambda x: x.expand_dims("a").transpose("time", "a"), None),
    "pickle": (lambda x: pickle.loads(pickle.dumps(x)), None),
    "join": (lambda x: ra.join([x.sel(time=slice("2022-06-02", "2022-06-03")), x.sel(time="2022-06-01")]), 3 * A_DAY),
    "persist": (lambda x: x[: 10**6].persist(), 10**6),
    "load": (lambda x: x[: 10**6].load(), 10**6),
    "spectrogram": (lambda x: ra.spectrogram(x.sel(time="2022-06-01"), nfft=1024), None),
    "averages of a day": (lambda x: ra.power_spectrum(x.sel(time="2022-06-01"), every="60s"), 1440),
}  # fmt: skip


@pytest.mark.parametrize("operation", LAZY)
def test_a_year_is_worked_with_without_its_labels(operation, computed):
    function, size = LAZY[operation]
    made = function(year())
    assert computed[0] <= 2, "at most the labels that were selected"
    if size is not None:
        assert made.sizes["time"] == size
    if "time" in made.dims:
        assert isinstance(made.xindexes["time"], ClockIndex)


def test_concat_and_equality_of_years_compute_no_label(computed):
    x, y = year(), year()
    assert x["time"].variable.equals(y["time"].variable)
    assert x.xindexes["time"].equals(y.xindexes["time"])
    assert not x["time"].variable.equals(y[1:]["time"].variable)
    assert dask.base.tokenize(x) == dask.base.tokenize(y)
    months = [x.sel(time=f"2022-{month:02d}") for month in (4, 5, 6)]
    index = ClockIndex.concat([m.xindexes["time"] for m in months], "time")
    assert index.clock == clock_of(x.sel(time=slice("2022-04", "2022-06")))
    assert x["time"].load().size == x["time"].chunk().size == x.sizes["time"]
    assert computed == [0]


def test_a_year_prints_and_pickles_small(computed):
    x = year()
    assert len(repr(x)) < 1500
    assert len(html.unescape(x._repr_html_())) < 30_000
    assert len(repr(x.xindexes["time"])) < 400
    assert len(repr(x.to_dataset())) < 1500
    assert "8760 segments, 8759 gaps" in repr(clock_of(x))
    assert computed[0] < 100, "the labels that are shown"
    assert len(pickle.dumps(clock_of(x))) < 2**20
    bare = label(x.data, clock_of(x).replace(source=None))
    assert len(pickle.dumps(bare["time"].variable)) < 700_000


MATERIALISING = {
    "values": lambda x: x["time"].values,
    "resample": lambda x: x.resample(time="1D").mean(),
    "group by": lambda x: x.groupby("time.hour").mean(),
    "dt": lambda x: x["time"].dt.hour,
    "comparison": lambda x: x["time"] > np.datetime64("2022-06-01"),
    "where": lambda x: x.where(x["time"] > np.datetime64("2022-06-01")),
    "coarsen": lambda x: x[: 2 * 10**9].coarsen(time=10).mean(),
    "an index of pandas": lambda x: x.indexes["time"],
    "a Series": lambda x: x.to_series(),
    "interpolation": lambda x: x.interp(time=["2022-06-01T00:00:01"]),
    "inner alignment": lambda x: xr.align(x, x[1:], join="inner"),
    "backwards": lambda x: x[::-1],
    "sorting": lambda x: x.sortby("time", ascending=False),
    "bounds": lambda x: time_bounds(clock_of(x)),
}


@pytest.mark.parametrize("operation", MATERIALISING)
def test_what_needs_a_years_labels_names_the_ways_out(operation):
    with pytest.raises(ClockError) as caught:
        MATERIALISING[operation](year())
    for way in ("ra.average", ".sel(time=slice(begin, end))", "ra.forget_clock"):
        assert way in str(caught.value)
    assert "time labels (" in str(caught.value)


def test_the_ways_out_work():
    x = year()
    assert ra.forget_clock(x).coarsen(time=x.sizes["time"] // 8).mean().sizes["time"] == 8
    assert ra.forget_clock(ra.average(x[: 10**6], every="1s")).coords.keys() == {"count", "effort"}
    assert ra.average(x.sel(time="2022-06-01"), every="1h")["time"].dt.hour.values.tolist() == list(range(24))


def test_labels_below_the_limit_are_computed_in_batches(monkeypatch):
    asked = []
    real = SampleClock.labels
    monkeypatch.setattr(SampleClock, "labels", lambda self, rows: asked.append(np.size(rows)) or real(self, rows))
    x = ra.recording(np.zeros(3 * 2**20 + 5, "int8"), rate=1000, start="2022-03-01")
    assert x["time"].values[-1] == np.datetime64("2022-03-01") + np.timedelta64(3 * 2**20 + 4, "ms")
    assert max(asked) <= 2**20
