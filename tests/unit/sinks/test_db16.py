"""db16: at most 0.005 dB off, with silence and missing values kept apart."""

from __future__ import annotations

import warnings

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import reelarray as ra
from reelarray.decibels import is_power, reference_of
from reelarray.sinks.levels import decibel_codes

POWERS = st.one_of(
    st.floats(1e-32, 1e32, width=64),
    st.sampled_from([0.0, -0.0, -1.0, np.nan, np.inf, -np.inf, 5e-324, 1e-45, 1.7e308]),
)


@settings(max_examples=300, deadline=None)
@given(
    power=hnp.arrays(np.float64, hnp.array_shapes(max_dims=3, max_side=40), elements=POWERS),
    reference=st.sampled_from([1.0, 1e-12, 4e-10]),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_levels_are_at_most_half_a_step_off(power, reference, dtype):
    with np.errstate(over="ignore"):
        power = power.astype(dtype)
        power = np.where(power / reference > 10**32.7, power.dtype.type(1), power)  # refused: below
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        codes = decibel_codes(power, reference=reference)
    assert codes.dtype == np.int16
    assert codes.shape == power.shape
    missing, silent = np.isnan(power), power <= 0
    assert (codes[missing] == -32768).all()
    assert (codes[silent] == -32767).all()
    assert (codes[~missing] > -32768).all()
    rest = ~missing & ~silent
    with np.errstate(divide="ignore", over="ignore"):
        wanted = 10 * np.log10(power[rest].astype(np.float64) / reference)
    inside = np.abs(wanted) <= 327.67
    assert (np.abs(codes[rest] * 0.01 - wanted)[inside] <= 0.005 + 1e-9).all()
    assert (codes[rest][wanted < -327.675] == -32767).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("bad", "largest"), [([np.inf], "inf"), ([1e25, 1e26, 0.0, np.nan], "380.00")])
def test_what_no_level_stands_for_is_refused(tmp_path, bad, largest, dtype):
    power = np.concatenate([np.full(20_000, 0.5), bad, np.full(20_000, 2.0)]).astype(dtype)
    over = int((power > 1e24).sum())
    message = f"^{over} of {power.size:,} values .* the largest at {largest} dB.*encoding=None"
    with pytest.raises(ra.RecordingError, match=message):
        decibel_codes(power, reference=1e-12)
    x = ra.recording(da.from_array(power, chunks=10_000), rate=1, units="Pa2")
    with pytest.raises(ra.RecordingError, match=f"^{over} of 10,000 values"):
        ra.write_zarr(x, tmp_path / "a.zarr", encoding="db16")
    assert decibel_codes(np.array([10**20.767], dtype), reference=1e-12) == 32767


def test_any_layout_in_memory_gives_the_same_codes():
    power = np.random.default_rng(0).random((50, 700, 3)).astype("f4")
    codes = decibel_codes(power, reference=1.0)
    assert (decibel_codes(power[::2], reference=1.0) == codes[::2]).all()
    assert (decibel_codes(power.transpose(2, 0, 1), reference=1.0) == codes.transpose(2, 0, 1)).all()
    assert decibel_codes(power[:0], reference=1.0).shape == (0, 700, 3)


def test_readers_see_levels(tmp_path):
    power = np.array([[1e-12, 0.0], [np.nan, 2.5e-9], [1.0, 1e-50]])
    attrs = {"long_name": "power spectral density", "comment": "north"}
    x = ra.recording(da.from_array(power, chunks=2), rate=1, dims=("frequency",), units="Pa2 Hz-1", attrs=attrs)
    ra.write_zarr(x, tmp_path / "a.zarr", encoding="db16")
    with xr.open_zarr(tmp_path / "a.zarr") as plain:
        seen = plain["values"]
        assert seen.encoding["dtype"] == np.int16
        np.testing.assert_allclose(seen.values, [[0, -327.67], [np.nan, 33.98], [120, -327.67]], rtol=1e-15)
        assert seen.attrs["units"] == "dB re 1 uPa2 Hz-1"
        assert seen.attrs["long_name"] == ra.to_decibel(x).attrs["long_name"]
        assert seen.attrs["linear_units"] == "Pa2 Hz-1"
        assert seen.attrs["comment"].startswith("north; -327.67 dB stands for")
        again = ra.open_zarr(tmp_path / "a.zarr")
        assert again.values.tobytes() == seen.values.tobytes()
        assert again.attrs == seen.attrs


@pytest.mark.parametrize(
    ("units", "long_name", "dtype", "message"),
    [
        ("dB re 1 uPa2", "power spectral density level", "float32", "decibels already"),
        ("dB", "", "float32", "decibels already"),
        ("Pa", "samples", "float32", "levels of a power"),
        ("1", "samples", "float32", "levels of a power"),
        ("m s-2", "", "float32", "levels of a power"),
        ("Pa2", "", "int16", "levels of a power"),
        ("Pa2", "", "complex64", "levels of a power"),
    ],
)
def test_what_is_no_power_is_refused(tmp_path, units, long_name, dtype, message):
    x = ra.recording(np.ones(4, dtype), rate=1, units=units, attrs={"long_name": long_name})
    with pytest.raises(ra.CalibrationError, match=message):
        ra.write_zarr(x, tmp_path / "a.zarr", encoding="db16")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("units", ["Pa2 Hz-1", "Pa2", "V2 Hz-1", "uPa2", "(m s-1)2 Hz-1", "Hz-1", "1"])
def test_references_are_those_of_to_decibel(units):
    x = ra.recording([1.0, 2.0], rate=1, units=units, attrs={"long_name": "power spectrum"})
    assert is_power(units, "power spectrum")
    reference, text = reference_of(units)
    levels = ra.to_decibel(x)
    assert levels.attrs["units"] == text
    np.testing.assert_allclose(decibel_codes(x.values, reference=reference) * 0.01, levels.values, atol=0.00501)


def test_decibels_have_no_reference():
    with pytest.raises(ra.CalibrationError, match="already"):
        reference_of("dB re 1 V2")
