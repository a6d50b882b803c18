"""Bands of spectra: which bins, and how much power."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import reelarray as ra
from reelarray.recordings import clock
from reelarray.signal.bands import Bins, channel_power, select_band
from reelarray.signal.multitaper import multitaper_spectrogram
from reelarray.signal.powers import to_watts

RATE, CENTER = 1000.0, 1e6


def complex_noise(size: int = 4096) -> xr.DataArray:
    rng = np.random.default_rng(2)
    values = rng.normal(size=size) + 1j * rng.normal(size=size)
    return ra.recording(values, rate=RATE, units="V", coords={"center_frequency": CENTER})


def real_noise(size: int = 4096) -> xr.DataArray:
    return ra.recording(np.random.default_rng(2).normal(size=size) + 2, rate=RATE, units="V")


# ---- select_band -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nfft", [100, 101])
def test_bins_whose_centre_lies_in_the_band(nfft: int) -> None:
    s = ra.spectrogram(complex_noise(), nfft=nfft)
    for low, high in [(-50.0, 50.0), (0.0, 10.0), (12.0, 38.9), (-500, 500)]:
        own = select_band(s, low=CENTER + low, high=CENTER + high)
        exact = s.frequency - CENTER
        inside = (exact >= low - 1e-6) & (exact <= high + 1e-6)
        xr.testing.assert_identical(own, s[:, inside.values])
        middle = CENTER + (low + high) / 2
        xr.testing.assert_identical(own, select_band(s, center=middle, span=high - low))
    assert select_band(s, low=CENTER).frequency[0] == CENTER
    assert select_band(s, high=CENTER).frequency[-1] == CENTER
    assert clock(select_band(s, low=CENTER)) == clock(s)
    assert s.sizes["frequency"] == nfft


def test_selecting_is_lazy_and_takes_any_spectra() -> None:
    s = ra.spectrogram(complex_noise().chunk(time=500), nfft=100)
    assert isinstance(select_band(s, low=CENTER).data, da.Array)
    np.testing.assert_array_equal(select_band(s, low=CENTER), s.sel(frequency=slice(CENTER, None)))
    alone = ra.power_spectrum(complex_noise(), nfft=100)
    assert select_band(ra.to_decibel(alone), center=CENTER, span=40).sizes == {"frequency": 5}
    assert select_band(alone.isel(frequency=[40]), low=0).sizes == {"frequency": 1}


@pytest.mark.parametrize(
    ("band", "message"),
    [
        ({}, "nothing was given"),
        ({"low": 1.0, "span": 2.0}, "low= and high="),
        ({"center": 1.0}, "low= and high="),
        ({"low": 2.0, "high": 2.0}, "low < high"),
        ({"low": float("nan")}, "finite"),
        ({"low": "1 MHz"}, "finite"),
        ({"low": True}, "finite"),
        ({"center": CENTER, "span": 0}, "above 0"),
        ({"center": 0, "span": 100}, "no bin"),
        ({"low": CENTER + 1, "high": CENTER + 9}, "no bin"),
    ],
)
def test_bands_that_are_none(band: dict, message: str) -> None:
    with pytest.raises(ra.RecordingError, match=message):
        select_band(ra.spectrogram(complex_noise(), nfft=100), **band)


@pytest.mark.parametrize("wrong", [np.zeros(3), ra.recording([1.0], rate=1), xr.DataArray([1.0], dims="frequency")])
def test_what_has_no_frequencies_is_refused(wrong: Any) -> None:
    for function in (select_band, channel_power):
        with pytest.raises(ra.RecordingError, match="spectra with their frequencies"):
            function(wrong, low=0)


# ---- channel_power ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scaling", ["density", "spectrum"])
@pytest.mark.parametrize("window", ["boxcar", "hann"])
@pytest.mark.parametrize("nfft", [64, 63])
@pytest.mark.parametrize("make", [real_noise, complex_noise])
def test_all_of_the_band_is_the_mean_square(make: Any, nfft: int, window: str, scaling: str) -> None:
    """Parseval, of each window; half of the Nyquist bin of complex samples lies at either end."""
    x = make()
    settings = {"nfft": nfft, "hop": nfft, "window": window, "scaling": scaling, "dtype": "float64"}
    s = ra.spectrogram(x, **settings)
    own = channel_power(s)
    taper = np.ones(nfft) if window == "boxcar" else 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(nfft) / nfft)
    frames = x.values[: len(own) * nfft].reshape(-1, nfft) * taper
    np.testing.assert_allclose(own, (abs(frames) ** 2).mean(-1) / (taper**2).mean(), rtol=1e-9)
    assert own.attrs["units"] == "V2"
    low, high = (0.0, RATE / 2) if make is real_noise else (CENTER - RATE / 2, CENTER + RATE / 2)
    np.testing.assert_allclose(channel_power(s, low=low, high=high), own, rtol=1e-12)


@pytest.mark.parametrize("make", [real_noise, complex_noise])
@pytest.mark.parametrize("nfft", [64, 63])
def test_adjacent_bands_add_up(make: Any, nfft: int) -> None:
    s = ra.spectrogram(make(), nfft=nfft, dtype="float64")
    low, high = (0.0, RATE / 2) if make is real_noise else (CENTER - RATE / 2, CENTER + RATE / 2)
    edges = [low, *(low + np.array([3.0, 3.5, 100.0, 123.4, 260.0, 491.0])), high]
    parts = sum(channel_power(s, low=a, high=b) for a, b in pairwise(edges))
    np.testing.assert_allclose(parts, channel_power(s), rtol=1e-12)


@pytest.mark.parametrize("nfft", [64, 63])
def test_no_bin_counts_twice(nfft: int) -> None:
    """From the edge of the first bin on there is room for one period; beyond it power of the other end comes again."""
    s = ra.spectrogram(complex_noise(), nfft=nfft, dtype="float64")
    left, step = Bins.of(s).left[0], RATE / nfft
    np.testing.assert_allclose(channel_power(s, low=left, high=left + RATE), channel_power(s), rtol=1e-12)
    beyond = [(left, left + RATE + 0.5 * step)]
    if nfft == 64:
        with pytest.raises(ra.RecordingError, match="more than the 1000 Hz that the spectra repeat"):
            channel_power(s, low=left, high=CENTER + RATE / 2)
    else:
        beyond.append((CENTER, CENTER + RATE / 2 + step / 2))
    for low, high in beyond:
        with pytest.raises(ra.RecordingError):
            channel_power(s, low=low, high=high)


def test_bins_count_by_the_part_of_them_that_is_inside() -> None:
    values = xr.DataArray(
        [1.0, 2.0, 4.0, 8.0],
        dims="frequency",
        coords={"frequency": [10.0, 20.0, 30.0, 40.0]},
        attrs={"units": "W Hz-1"},
    )
    for low, high, expected in [
        (5, 45, 150),
        (15, 25, 20),
        (10, 20, 5 + 10),
        (18, 19, 2),
        (24, 26, 2 + 4),
        (44, 45, 8),
    ]:
        own = channel_power(values, low=low, high=high)
        assert own.item() == pytest.approx(expected)
        assert own.attrs["units"] == "W"
        assert own.attrs["band"] == [low, high]
    assert channel_power(values, low=20).item() == pytest.approx(10 + 40 + 80)
    for low, high in [(0, 20), (30, 46)]:
        with pytest.raises(ra.RecordingError, match="the spectra hold 5 to 45 Hz"):
            channel_power(values, low=low, high=high)


def test_one_sided_ends_are_half_as_wide() -> None:
    s = ra.spectrogram(real_noise(), nfft=64)
    bins = Bins.of(s)
    assert (bins.left[0], bins.right[-1]) == (0, RATE / 2)
    assert Bins.of(select_band(s, low=10)).left[0] > 0
    assert Bins.of(select_band(s, low=10)).right[-1] == RATE / 2
    two = Bins.of(ra.spectrogram(ra.recording(np.ones(64) + 0j, rate=64), nfft=64)[:, 32:])  # from 0 Hz on
    assert two.left[0] == -0.5


def test_of_a_tone_in_watts() -> None:
    tone = 10 * np.exp(2j * np.pi * 0.1 * np.arange(4096))
    x = ra.recording(tone.astype("c8"), rate=RATE, units="V", coords={"center_frequency": CENTER}).chunk(time=700)
    for s in (
        ra.spectrogram(x, nfft=256),
        ra.spectrogram(x, nfft=256, scaling="spectrum"),
        multitaper_spectrogram(x, nfft=256),
        multitaper_spectrogram(x, nfft=256, scaling="spectrum"),
    ):
        volts = channel_power(s, center=CENTER + 100, span=60)
        assert isinstance(volts.data, da.Array)
        assert (volts.dims, volts.dtype, volts.attrs["units"]) == (("time",), np.float32, "V2")
        assert clock(volts) == clock(s)
        np.testing.assert_allclose(volts, 100, rtol=1e-3)
        np.testing.assert_allclose(to_watts(volts), 1, rtol=1e-3)
        np.testing.assert_allclose(channel_power(to_watts(s), center=CENTER + 100, span=60), 1, rtol=1e-3)
        dbm = ra.to_decibel(to_watts(volts), reference="1 mW")
        np.testing.assert_allclose(dbm, 30, atol=0.01)


def test_what_has_no_power_in_a_band() -> None:
    s = ra.spectrogram(complex_noise(), nfft=100)
    with pytest.raises(ra.RecordingError, match="levels"):
        channel_power(ra.to_decibel(s))
    with pytest.raises(ra.RecordingError, match="raw"):
        channel_power(ra.spectrogram(complex_noise(), nfft=100, scaling="raw"))
    with pytest.raises(ra.RecordingError, match="two at least"):
        channel_power(s[:, :1], low=CENTER)
    with pytest.raises(ra.RecordingError, match="evenly spaced"):
        channel_power(s[:, [0, 1, 5]])
    with pytest.raises(ra.RecordingError, match="evenly spaced"):
        channel_power(s[:, ::-1])
    with pytest.raises(ra.RecordingError, match=r"chunk\(frequency=-1\)"):
        channel_power(s.chunk(frequency=30))
    with pytest.raises(ra.RecordingError, match="dtype"):
        channel_power(ra.stft(complex_noise(), nfft=100))
