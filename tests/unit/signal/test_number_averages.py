"""Averages by number: which rows, which labels, what is left over, and that it is one task from files."""

from __future__ import annotations

from pathlib import Path

import dask
import deployments
import numpy as np
import pytest
import xarray as xr
from dask._task_spec import Alias, DataNode

import reelarray as ra
from reelarray.cells import by_number, number_clock
from reelarray.clock import SampleClock
from reelarray.recordings import clock, label
from reelarray.signal import reduce

START = 1_600_000_000 * 10**9


def of(values: object, *lengths: int, rate: int = 100, units: str = "V2") -> xr.DataArray:
    """Rows in stretches of these lengths, 10 s apart."""
    values = np.asarray(values)
    starts = START + np.arange(len(lengths)) * 10**10
    own = SampleClock.of_segments(starts, lengths, rate)
    return label(values, own, dims=("channel",) * (values.ndim - 1), attrs={"units": units})


def noise(rows: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(3).exponential(size=(rows, *shape))


def tasks(x: xr.DataArray) -> list:
    graph = dict(dask.optimize(x.data)[0].__dask_graph__())
    return [task for task in graph.values() if not isinstance(task, Alias | DataNode)]


@pytest.mark.parametrize("width", [1, 40])
@pytest.mark.parametrize("every", [1, 2, 7, 50, 51, 120])
def test_groups_live_inside_stretches(every: int, width: int) -> None:
    lengths = [50, 3, 120, 7]
    values = noise(sum(lengths), width)
    x = of(values, *lengths)
    parts = np.split(values, np.cumsum(lengths)[:-1])
    times = np.split(clock(x).labels(np.arange(len(values))), np.cumsum(lengths)[:-1])
    whole = [p[k : k + every] for p in parts for k in range(0, len(p) - every + 1, every)]
    dropped = ra.average(x, every)
    assert dropped.shape == (len(whole), width)
    if whole:
        expected = [np.add.accumulate(g)[-1] / every for g in whole]
        np.testing.assert_array_equal(dropped, expected)
        labels = [t[k : k + every] for t in times for k in range(0, len(t) - every + 1, every)]
        middles = [sum(map(int, g)) / every for g in labels]
        assert abs(dropped.time.values.astype("i8") - np.array(middles)).max() <= 1  # whole nanoseconds
    assert "count" not in dropped.coords
    groups = [p[k : k + every] for p in parts for k in range(0, len(p), every)]
    kept = ra.average(x, every, remainder="keep")
    np.testing.assert_array_equal(kept, [np.add.accumulate(g)[-1] / len(g) for g in groups])
    assert kept["count"].values.tolist() == [len(g) for g in groups]
    np.testing.assert_allclose(kept["effort"], [len(g) / 100 for g in groups])
    assert ra.rate(kept) * every == 100
    assert clock(kept).gaps == 3
    begins = [t[k] for t in times for k in range(0, len(t), every)]
    assert ra.time_bounds(kept)[:, 0].values.astype("i8").tolist() == begins
    same = np.isin(kept.time.values, dropped.time.values)
    np.testing.assert_array_equal(kept.values[same], dropped.values)


def test_the_clock_stays_small() -> None:
    x = of(np.zeros(10**6), 10**6 - 1, 1, rate=10**6)
    for remainder in ("drop", "keep"):
        own = clock(ra.average(x, 3, remainder=remainder))
        assert len(own.first) == len(own.time) <= 2
        assert own.size == 333_333 + (remainder == "keep")


def test_summing_side_by_side_and_cell_by_cell_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    for dtype in ("f4", "f8", "i2", "c8"):
        values = (noise(1000, 3) * 100 - 50).astype(dtype)
        values[:20] = -0.0
        x = of(values, 600, 400)
        monkeypatch.setattr(reduce, "FEW", (100, 10**6))
        one = ra.average(x, 9)
        monkeypatch.setattr(reduce, "FEW", (0, 0))
        deployments.identical(one, ra.average(x, 9))
        assert one.xindexes["time"].bounds == "time_bounds"
        monkeypatch.undo()


def test_spectra_of_files_are_averaged_in_the_task_that_makes_them(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).integers(-3000, 3000, 40_000).astype("i2")
    x = deployments.on_disk(tmp_path, counts, [12_000, 8_000, 20_000], [False, True, False])
    s = ra.spectrogram(x, nfft=64, hop=32, block=100)
    for remainder in ("drop", "keep"):
        for block in (None, 7):
            a = ra.average(s, 10, remainder=remainder, block=block)
            assert len(tasks(a)) == a.data.npartitions
            assert a.data.name.startswith("average-")
            memory = ra.average(ra.spectrogram(x.compute(), nfft=64, hop=32), 10, remainder=remainder)
            deployments.identical(a.compute(), memory)
            direct = ra.power_spectrum(x, nfft=64, hop=32, every=10, remainder=remainder, block=block)
            assert len(tasks(direct)) == direct.data.npartitions
            deployments.identical(direct.compute().rename(None), memory.rename(None))
    later = ra.average(s[13:-5], 10)
    assert len(tasks(later)) == later.data.npartitions
    deployments.identical(later.compute(), ra.average(s.compute()[13:-5], 10))


def test_averages_of_averages_weigh_rows_by_what_they_are_made_of() -> None:
    values = noise(103)
    x = of(values, 50, 53)
    twice = ra.average(ra.average(x, 7, remainder="keep"), 100, remainder="keep")
    np.testing.assert_allclose(twice, [values[:50].mean(), values[50:].mean()])
    assert twice["count"].values.tolist() == [50, 53]
    np.testing.assert_allclose(twice["effort"], [0.5, 0.53])
    whole = ra.average(ra.average(x, 7, remainder="keep"), "1D")
    np.testing.assert_allclose(whole, [values.mean()])
    seconds = ra.average(x, "130ms")  # of 13 and of fewer rows
    again = ra.average(seconds, 2)
    weights = seconds["count"].values
    np.testing.assert_allclose(again[0], (seconds.values[:2] * weights[:2]).sum() / weights[:2].sum())
    assert again["count"][0] == weights[:2].sum()


@pytest.mark.parametrize("every", [6, "70ms"])
def test_largest_least_and_median(every: object) -> None:
    values = noise(100, 20)
    x = of(values, 60, 40)
    begin = by_number(clock(x), 6).begin if every == 6 else None
    for kind, function in (("max", np.max), ("min", np.min)):
        own = ra.average(x, every, kind=kind)
        if begin is not None:
            np.testing.assert_array_equal(own, [function(values[k : k + 6], axis=0) for k in begin])
        assert own.attrs["average"].startswith(f"{kind} ")
        lazy = ra.average(deployments.chunked(x, 7, 3), every, kind=kind)
        deployments.identical(lazy.compute(), own)
        coarse = ra.average(own, 3, kind=kind)
        np.testing.assert_array_equal(coarse[0], function(own.values[:3], axis=0))
    if begin is not None:
        from reelarray.merging import median_bias

        median = ra.average(x, 6, kind="median")
        expected = [np.median(values[k : k + 6], axis=0) / median_bias(6) for k in begin]
        np.testing.assert_allclose(median, expected)


def test_power_spectra_hold_the_largest() -> None:
    x = ra.recording(np.random.default_rng(0).normal(size=4000), rate=1000, units="V")
    s = ra.spectrogram(x, nfft=64)
    np.testing.assert_array_equal(ra.power_spectrum(x, nfft=64, average="max"), s.max("time"))
    np.testing.assert_array_equal(ra.power_spectrum(x, nfft=64, average="min"), s.min("time"))
    by_time = ra.power_spectrum(x, nfft=64, average="max", every="1s")
    deployments.identical(by_time.rename(None), ra.average(s, "1s", kind="max").rename(None))


def test_of_infinite_and_missing_values() -> None:
    values = noise(40)
    values[3], values[11], values[22] = np.nan, np.inf, -0.0
    x = of(values, 40)
    assert np.isnan(ra.average(x, 10).values).tolist() == [True, False, False, False]
    largest = ra.average(x, 10, kind="max").values
    assert np.isnan(largest[0])
    assert largest[1] == np.inf
    negative = of(np.array([-0.0, 0.0, -0.0, -0.0]), 4)
    assert not np.signbit(ra.average(negative, 2, kind="max")).any()


def test_nothing_is_left() -> None:
    x = of(noise(10), 4, 6)
    assert ra.average(x, 7).sizes["time"] == 0
    assert ra.average(x, 7, remainder="keep").sizes["time"] == 2
    empty = of(np.zeros((0, 20)))
    for remainder in ("drop", "keep"):
        assert ra.average(empty, 7, remainder=remainder).shape == (0, 20)
    assert number_clock(clock(x), 7, "keep").size == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every": 0}, "every=0"),
        ({"every": -1}, "every=-1"),
        ({"every": True}, "every=True"),
        ({"every": 2.0}, "whole number of rows"),
        ({"every": 2, "remainder": "pad"}, "'drop' or 'keep'"),
        ({"every": "1s", "remainder": "keep"}, "belongs to a number"),
        ({"every": 2, "min_fraction": 0.5}, "belongs to spans"),
        ({"every": 2, "kind": "mode"}, "'mean', 'median', 'max', 'min'"),
    ],
)
def test_what_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(ra.RecordingError, match=message):
        ra.average(of(noise(10), 10), **settings)
    if "kind" not in settings:
        with pytest.raises(ra.RecordingError, match=message):
            ra.power_spectrum(of(noise(10), 10), nfft=2, **settings)


def test_what_has_no_order_or_no_bias_is_refused() -> None:
    with pytest.raises(ra.RecordingError, match="complex"):
        ra.average(of(noise(10) + 0j, 10), 2, kind="max")
    with pytest.raises(ra.RecordingError, match="powers were expected"):
        ra.average(of(noise(10), 10, units="Pa"), 2, kind="median")
    with pytest.raises(ra.RecordingError, match="median of averages"):
        ra.average(ra.average(of(noise(10), 10), 2, remainder="keep"), 2, kind="median")
    levels = ra.to_decibel(of(noise(10), 10))
    for kind in ("mean", "median"):
        with pytest.raises(ra.RecordingError, match="mean of decibels"):
            ra.average(levels, 2, kind=kind)
    assert ra.average(levels, 2, kind="max").sizes["time"] == 5  # the level of the largest is the largest level
    with pytest.raises(ra.RecordingError, match="groups"):
        by_number(SampleClock.regular(2**40, 1000), 2)
