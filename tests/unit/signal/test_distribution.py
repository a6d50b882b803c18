"""Distributions of levels, against NumPy's quantiles and histograms of the levels themselves."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import reelarray as ra
from reelarray.errors import RecordingError
from reelarray.signal.levelbins import Bins, Counts, code_table, order_levels
from reelarray.work import LEAF

EDGE = 0.0022  # dB to which edges between bins of powers are kept


def powers(count: int = 4000, seed: int = 0) -> xr.DataArray:
    values = np.random.default_rng(seed).exponential(size=(count, 5)) * 10.0 ** np.arange(-2, 3)
    x = ra.recording(values.astype(np.float32), rate=100, start="2024-01-01T00:00:00", units="Pa2 Hz-1")
    return x.rename(channel="frequency").drop_vars("frequency", errors="ignore")


def levels(x: xr.DataArray) -> np.ndarray:
    return 10 * np.log10(x.values.astype(np.float64) / 1e-12)


def test_counts_are_those_of_a_histogram():
    x = powers()
    found = ra.level_distribution(x, step=0.5, low=80, high=150)
    assert found.dims == ("frequency", "level")
    assert found.dtype == np.int64
    assert (found.sum("level") == len(x)).all()
    assert found["level"].attrs["units"] == "dB re 1 uPa2 Hz-1"
    edges = 80 + 0.5 * np.arange(141)
    for k in range(5):
        exact = levels(x)[:, k]
        sure = np.histogram(exact, edges)[0]
        near = np.array([np.sum(np.abs(exact - edge) < EDGE) for edge in edges])
        assert np.all(np.abs(found.values[k, 1:-1] - sure) <= near[:-1] + near[1:])
        assert abs(int(found.values[k, 0]) - np.sum(exact < 80)) <= near[0]
        assert abs(int(found.values[k, -1]) - np.sum(exact >= 150)) <= near[-1]


@pytest.mark.parametrize("step", [0.05, 0.1, 0.5])
def test_quantiles_are_within_half_a_step_of_those_of_numpy(step):
    x, wanted = powers(), (0.0, 0.01, 0.05, 0.5, 0.7321, 0.95, 1.0)
    found = ra.level_quantiles(x, wanted, step=step)
    exact = np.quantile(levels(x), wanted, axis=0).T
    assert np.abs(found.values - exact).max() <= step / 2 + EDGE + 2e-5
    assert found["quantile"].values.tolist() == list(wanted)
    np.testing.assert_allclose(found["exceedance"], 1 - np.array(wanted))
    assert found.attrs["units"] == "dB re 1 uPa2 Hz-1"


def test_quantiles_by_time_are_those_of_each_minute():
    x = powers(20_000)
    found = ra.level_quantiles(x, (0.1, 0.9), every="60s")
    assert found.dims == ("time", "frequency", "quantile")
    assert found["count"].values.tolist() == [6000, 6000, 6000, 2000]
    for k in range(4):
        exact = np.quantile(levels(x)[6000 * k : 6000 * (k + 1)], (0.1, 0.9), axis=0).T
        assert np.abs(found.values[k] - exact).max() <= 0.05 + EDGE + 2e-5


def test_quantiles_of_a_sum_of_distributions_are_those_of_all():
    x = powers(20_000)
    by_minute = ra.level_distribution(x, every="60s")
    merged = ra.level_quantiles(by_minute.sum("time", keep_attrs=True))
    np.testing.assert_array_equal(merged.values, ra.level_quantiles(x).values)
    assert merged.attrs["units"] == "dB re 1 uPa2 Hz-1"
    lazy = ra.level_quantiles(by_minute.chunk(time=1))
    assert lazy.chunks is not None
    np.testing.assert_array_equal(lazy.values, ra.level_quantiles(x, every="60s").values)


def test_densities_add_up_to_one():
    x = powers()
    counts = ra.level_distribution(x, step=0.5, low=90, high=150)
    for step in (None, 1.0, 5.0):
        density = ra.probability_density(counts, step=step)
        width = step or 0.5
        outside = (counts.isel(level=0) + counts.isel(level=-1)) / len(x)
        np.testing.assert_allclose((density.sum("level") * width + outside).values, 1, rtol=1e-12)
        assert density["level"].values[0] == 90 + width / 2
    constant = xr.full_like(x, 1e-3)
    density = ra.probability_density(ra.level_distribution(constant, step=0.5, low=80, high=150))
    assert density.values.max() == 2.0
    assert (density.values > 0).sum() == 5


def test_silence_loudness_and_missing_values_are_not_lost():
    values = np.array([0.0, 1e-45, 1e-30, 1.0, 3e38, np.inf, np.nan, 1.0], np.float32)
    x = ra.recording(values, rate=1, units="V2")
    found = ra.level_distribution(x, step=10, low=-105, high=105)
    assert int(found.sum()) == 7
    assert int(found.sel(level=-np.inf)) == 3
    assert int(found.sel(level=np.inf)) == 2
    assert int(found.sel(level=0)) == 2
    low, middle, high = ra.level_quantiles(x, (0, 0.5, 1), step=10, low=-105, high=105).values
    assert (low, middle, high) == (-np.inf, 0, np.inf)
    nothing = ra.recording(np.full(4, np.nan, np.float32), rate=1, units="V2")
    assert np.isnan(ra.level_quantiles(nothing).values).all()
    assert np.isnan(ra.probability_density(ra.level_distribution(nothing)).values).all()


def test_levels_in_decibels_are_binned_as_they_are():
    x = powers()
    own = ra.level_distribution(x, step=1)
    of_levels = ra.level_distribution(ra.to_decibel(x.astype(np.float64)), step=1)
    moved = np.abs(np.cumsum(own.values - of_levels.values, axis=-1)).max()
    assert moved <= 0.01 * len(x)  # values nearer than 0.0022 dB to an edge
    assert of_levels["level"].attrs == own["level"].attrs


@pytest.mark.parametrize("stored", [0.01, 0.1])
@pytest.mark.parametrize("step", [0.1, 0.2, 0.5])
def test_stored_levels_on_the_edges_of_bins_make_no_comb(stored, step):
    """As many steps of the store in each bin, whatever rounding does to the levels."""
    grid = np.arange(round(80 / stored), round(110 / stored)) * stored
    x = ra.recording(grid, rate=1, units="dB re 1 uPa2 Hz-1")
    inside = ra.level_distribution(x, step=step, low=80, high=110).values[1:-1]
    assert set(inside.tolist()) == {round(step / stored)}


@settings(max_examples=200, deadline=None)
@given(
    arrays.arrays(np.float32, 30, elements=st.floats(0, 2.0**127, width=32)),
    st.sampled_from([0.05, 0.1, 1.0, 7.0]),
    st.sampled_from([1.0, 1e-12, 400e-12]),
)
def test_any_power_falls_into_its_bin(values, step, one):
    bins = Bins(-350.0, step, round(770 / step / 7) * 7, one)
    with np.errstate(divide="ignore"):
        exact = (10 * np.log10(values.astype(np.float64) / one) + 350) / step + 1
    codes = bins.codes(values)
    margin, exact = EDGE / step, np.where(np.isfinite(exact), exact, 0)
    normal = (values >= np.finfo(np.float32).tiny) & (exact > 1) & (exact < bins.count)
    assert np.all(np.abs(codes - (np.floor(exact)))[normal] <= (np.abs(exact - np.round(exact)) < margin)[normal])
    assert np.all(codes[values == 0] == 0)
    assert code_table(bins).max() == bins.count + 2


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.floats(0, 1))
def test_quantiles_of_counts_are_those_of_the_values(values, quantile):
    counts = np.bincount(values, minlength=31)
    found = order_levels(counts, np.arange(31.0), (quantile,))
    np.testing.assert_allclose(found, [np.quantile(values, quantile)], rtol=1e-6, atol=1e-5)


def test_counts_of_parts_add_beyond_32_bits():
    merge = Counts(Bins(0.0, 1.0, 3, 1.0))
    states = np.full((3, 1, 6), 2**31 - 1, np.int32)
    assert merge.combine(states)[0, 0] == 3 * (2**31 - 1)
    assert LEAF < 2**31


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step": 0}, "step=0 was given"),
        ({"step": -1}, "step=-1 was given"),
        ({"step": "0.1"}, "step='0.1' was given"),
        ({"reference": "1 uPa"}, "reference='1 uPa' was given"),
        ({"step": 0.3, "low": 0, "high": 1}, "whole number of bins"),
        ({"low": 10, "high": 10}, "whole number of bins"),
        ({"step": 0.001}, "1 to 65,532"),
        ({"reference": 0}, "above 0"),
        ({"every": 60}, "a span"),
    ],
)
def test_bins_that_are_none_are_told(settings, message):
    with pytest.raises(RecordingError, match=message):
        ra.level_distribution(powers(), **settings)


def test_what_has_no_levels_is_told():
    samples = ra.recording([0.0, 1.0], rate=1, units="V")
    with pytest.raises(RecordingError, match=r"units 'V'.*ra.spectrogram"):
        ra.level_distribution(samples)
    with pytest.raises(RecordingError, match=r"0\.95, not 95"):
        ra.level_quantiles(powers(), 95)
    with pytest.raises(RecordingError, match=r"ra\.level_distribution"):
        ra.probability_density(powers())
    with pytest.raises(RecordingError, match="leaves none over"):
        ra.probability_density(ra.level_distribution(powers(), step=1, low=0, high=100), step=3)
    with pytest.raises(RecordingError, match="which have one"):
        ra.level_distribution(ra.to_decibel(powers()), reference=1.0)
    with pytest.raises(RecordingError, match="every=, step=, min_fraction= was given with a distribution"):
        ra.level_quantiles(ra.level_distribution(powers()), every="1s", step=1, min_fraction=0.5)
    with pytest.raises(RecordingError, match=r"'95%' was given"):
        ra.level_quantiles(powers(), "95%")
    wide = ra.recording(np.zeros((2, 40_000), np.float32), rate=1, units="V2")
    with pytest.raises(RecordingError, match="GiB in memory"):
        ra.level_distribution(wide, step=0.01)


def test_quantiles_of_other_bins_do_not_complete_a_store(tmp_path):
    x = powers().chunk(time=500)
    ra.write_zarr(ra.level_quantiles(x, every="10s", block=1), tmp_path / "q.zarr")
    for other in ({"step": 10}, {"low": 0, "high": 100}):
        with pytest.raises(OSError, match=r"step|low"):
            ra.write_zarr(ra.level_quantiles(x, every="10s", block=1, **other), tmp_path / "q.zarr")
    counted = ra.level_quantiles(ra.level_distribution(x, low=0, high=100))
    assert (counted.attrs["low"], counted.attrs["high"], counted.attrs["step"]) == (0, 100, 0.1)


def test_filled_rows_of_a_distribution_have_no_quantiles_and_leave_others_theirs():
    x = xr.concat([powers(300), powers(300).assign_coords(time=powers(300)["time"] + np.timedelta64(9, "s"))], "time")
    x = ra.recording(x.values, rate=100, start="2024-01-01", units="Pa2 Hz-1")
    own = ra.level_distribution(x, every="1s").astype(float)
    filled = own.copy(data=np.where(np.arange(len(own))[:, None, None] == 2, np.nan, own.values))
    with_gap, without = ra.level_quantiles(filled).values, ra.level_quantiles(own).values
    assert np.isnan(with_gap[2]).all()
    np.testing.assert_array_equal(np.delete(with_gap, 2, axis=0), np.delete(without, 2, axis=0))


def test_a_quantile_between_silence_and_a_level_is_silence():
    x = ra.recording([0.0, 0.0, 1.0, 1.0], rate=1, units="V2")
    assert ra.level_quantiles(x, (0.25, 0.5, 0.75)).values.tolist()[:2] == [-np.inf, -np.inf]


def test_levels_cut_into_chunks_are_told():
    with pytest.raises(RecordingError, match=r"level=-1"):
        ra.level_quantiles(ra.level_distribution(powers()).chunk(level=100))
