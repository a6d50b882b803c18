"""Levels: formulas, references, units, and what happens to zeros."""

from __future__ import annotations

import warnings

import deployments
import numpy as np
import pytest
import xarray as xr

import reelarray as ra
from reelarray.decibels import Scale


def powers(values: object, units: str, **attrs: object) -> xr.DataArray:
    return ra.recording(np.asarray(values), rate=1, units=units, attrs=attrs)


@pytest.mark.parametrize(
    ("units", "long_name", "level", "of_two"),
    [
        ("Pa2 Hz-1", "", "dB re 1 uPa2 Hz-1", 123.0103),
        ("Pa2", "", "dB re 1 uPa2", 123.0103),
        ("uPa2 Hz-1", "", "dB re 1 uPa2 Hz-1", 3.0103),
        ("Pa", "", "dB re 1 uPa", 126.0206),
        ("V2 Hz-1", "", "dB re 1 V2 Hz-1", 3.0103),
        ("(m s-1)2 Hz-1", "", "dB re 1 (m s-1)2 Hz-1", 3.0103),
        ("m s-2", "", "dB re 1 m s-2", 6.0206),
        ("Pa2 s", "", "dB re 1 uPa2 s", 123.0103),
        ("V s", "", "dB re 1 V s", 6.0206),
        ("W Hz-1", "", "dB re 1 W Hz-1", 3.0103),
        ("Hz-1", "", "dB re 1 Hz-1", 3.0103),
        ("1", "power spectrum", "dB re 1", 3.0103),
        ("1", "", "dB re 1", 6.0206),
        ("V Hz-0.5", "", "dB re 1 V Hz-0.5", 6.0206),
    ],
)
def test_units_say_whether_it_is_a_power_and_what_it_is_referred_to(
    units: str, long_name: str, level: str, of_two: float
) -> None:
    y = ra.to_decibel(powers([2.0], units, long_name=long_name))
    assert y.attrs["units"] == level
    assert y.item() == pytest.approx(of_two, abs=1e-4)


def test_references() -> None:
    air = ra.to_decibel(powers([4e-10], "Pa2 Hz-1"), reference=20e-6)
    assert (air.attrs["units"], air.attrs["reference"]) == ("dB re (20 uPa)2 Hz-1", 20e-6)
    assert air.attrs["reference_units"] == "Pa"
    assert air.item() == pytest.approx(0, abs=1e-9)
    assert ra.to_decibel(powers([1.0], "Pa"), reference=20e-6).attrs["units"] == "dB re 20 uPa"
    assert ra.to_decibel(powers([1.0], "Pa2"), reference=1).attrs["units"] == "dB re 1 Pa2"
    assert ra.to_decibel(powers([1.0], "V2"), reference=0.5).attrs["units"] == "dB re (0.5 V)2"
    assert ra.to_decibel(powers([0.25], "1"), reference=0.5, quantity="power").values == pytest.approx([0])
    assert Scale.of("1", "power spectrum").units(0.5) == "dB re (0.5)2"


def test_the_word_of_the_caller_counts() -> None:
    assert ra.to_decibel(powers([100.0], "1"), quantity="power").item() == pytest.approx(20)
    assert ra.to_decibel(powers([100.0], "Pa2"), quantity="amplitude").item() == pytest.approx(40)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zeros_negatives_and_nan(dtype: str) -> None:
    x = powers(np.array([0, -0.0, -3, np.nan, np.inf, 1e-12, 1], dtype), "Pa2 Hz-1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = ra.to_decibel(x)
        floored = ra.to_decibel(x, floor=-20.0)
    assert y.dtype == floored.dtype == dtype
    low = -np.inf
    np.testing.assert_allclose(y, [low, low, low, np.nan, np.inf, 0, 120], atol=1e-5)
    np.testing.assert_allclose(floored, [-20, -20, -20, np.nan, np.inf, 0, 120], atol=1e-5)


def test_samples_of_either_sign_integers_and_complex() -> None:
    np.testing.assert_allclose(ra.to_decibel(powers([-0.1, 0.1], "1")), [-20, -20])
    assert ra.to_decibel(powers(np.array([1000], "i2"), "1")).dtype == np.float32
    assert ra.to_decibel(powers(np.array([-(2**31)], "i4"), "1")).item() == pytest.approx(186.64, abs=0.01)
    y = ra.to_decibel(powers(np.array([3 + 4j, 0, 1e-30j], "c8"), "V"))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, [13.9794, -np.inf, -600], rtol=1e-6)


def test_of_a_spectrum_without_time() -> None:
    x = ra.recording(np.cos(np.pi * np.arange(4096) / 4), rate=8000, units="Pa")
    y = ra.to_decibel(ra.power_spectrum(x, nfft=64, scaling="spectrum"))
    assert y.dims == ("frequency",)
    assert y.sel(frequency=1000).item() == pytest.approx(120 - 3.0103, abs=1e-4)
    assert y.attrs["long_name"] == "power spectrum level"


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "complex64"])
@pytest.mark.parametrize("sizes", [(1,), (7,), (64, 3, 17)])
def test_no_chunking_changes_a_bit(dtype: str, sizes: tuple) -> None:
    rng = np.random.default_rng(0)
    x = powers((rng.lognormal(size=(300, 5)) * 100).astype(dtype), "Pa2" if dtype != "complex64" else "Pa")
    x[5:9] = 0
    lazy = ra.to_decibel(deployments.chunked(x, *sizes), floor=-300)
    assert lazy.chunks is not None
    eager = ra.to_decibel(x, floor=-300)
    deployments.identical(lazy.compute(), eager)
    deployments.identical(ra.to_decibel(x[::3], floor=-300), eager[::3])  # nor does how it lies in memory


def test_what_is_refused() -> None:
    with pytest.raises(ra.RecordingError, match="levels"):
        ra.to_decibel(ra.to_decibel(powers([1.0], "Pa2")))
    with pytest.raises(ra.RecordingError, match="reference"):
        ra.to_decibel(powers([1.0], "Pa2"), reference=0)
    with pytest.raises(ra.RecordingError, match="can hold"):
        ra.to_decibel(powers(np.ones(1, "f4"), "Pa2"), reference=1e-25)
    with pytest.raises(ra.RecordingError, match="quantity"):
        ra.to_decibel(powers([1.0], "Pa2"), quantity="loudness")
    with pytest.raises(ra.RecordingError, match="floor"):
        ra.to_decibel(powers([1.0], "Pa2"), floor=float("nan"))
    with pytest.raises(ra.RecordingError, match="DataArray"):
        ra.to_decibel(np.ones(3))
    with pytest.raises(ra.CalibrationError, match="spectrum"):
        ra.to_decibel(powers([1.0], "Hz-1", calibrated=False, normalization="zscore"))
