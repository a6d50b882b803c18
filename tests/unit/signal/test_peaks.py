"""Peaks of spectra: frequency and width by closed forms."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import reelarray as ra
from reelarray.recordings import clock
from reelarray.signal.bands import select_band
from reelarray.signal.peaks import occupied_bandwidth, peak_frequency, width

RATE, CENTER, NFFT = 1e6, 244_778_900.0, 256
STEP = RATE / NFFT


def tone(offset: float, frames: int = 3, **more: float) -> xr.DataArray:
    """A tone so many bins above the centre."""
    n = np.arange(frames * NFFT)
    return ra.recording(np.exp(2j * np.pi * offset * n / NFFT), rate=RATE, coords={"center_frequency": CENTER})


def spectra(rows: object, low: float = 0.0, step: float = 1.0) -> xr.DataArray:
    rows = np.atleast_2d(np.asarray(rows, float))
    frequency = ("frequency", low + step * np.arange(rows.shape[1]), {"units": "Hz"})
    return ra.recording(rows, rate=1, units="W", dims=("frequency",), coords={"frequency": frequency})


@pytest.mark.parametrize(("window", "within"), [("hann", 0.017), ("blackman", 0.007), ("boxcar", 0.17)])
def test_tones_between_bins(window: str, within: float) -> None:
    for offset in (-100.5, -3.2, 0.0, 0.49, 17.31, 90.77):
        s = ra.spectrogram(tone(offset), nfft=NFFT, window=window, dtype="float64")
        found = peak_frequency(s)
        assert (found.dims, found.dtype, found.attrs["units"]) == (("time",), np.float64, "Hz")
        assert clock(found) == clock(s)
        assert (abs(found - CENTER - offset * STEP) <= within * STEP).all()
        nearest = peak_frequency(s, interpolate=False)
        assert (abs(nearest - CENTER - offset * STEP) <= 0.5001 * STEP).all()
        assert nearest.isin(s.frequency).all()
        assert (found.attrs["interpolated"], nearest.attrs["interpolated"]) == (True, False)


def test_a_gaussian_peak_is_found_exactly() -> None:
    f = np.arange(200.0)
    for middle, sigma in ((80.3, 4.0), (100.0, 1.0), (31.49, 20.0)):
        s = spectra(np.exp(-((f - middle) ** 2) / (2 * sigma**2)))
        assert peak_frequency(s).item() == pytest.approx(middle, abs=1e-9)
        fine = width(s, drop_db=10 * np.log10(2)).item()
        assert fine == pytest.approx(
            2 * sigma * np.sqrt(2 * np.log(2)), rel=0.05 / sigma
        )  # straight lines between bins
    inside = select_band(s, low=20, high=190)
    assert peak_frequency(inside).item() == pytest.approx(31.49, abs=1e-9)


def test_peaks_at_the_edges_beside_nothing_and_none() -> None:
    rows = [[9, 2, 1, 1], [1, 1, 2, 9], [0, 5, 0, 0], [0, 0, 0, 0], [1, np.nan, 2, 1], [2, 2, 2, 2], [1, 4, 4, 1]]
    found = peak_frequency(spectra(rows)).values
    np.testing.assert_allclose(found, [0, 3, 1, np.nan, np.nan, 0, 1.5])
    assert peak_frequency(spectra([[3, 1]])).item() == 0
    assert peak_frequency(spectra([[3, 1]])).attrs["interpolated"] is False
    assert peak_frequency(spectra([[3, 1, 1]])).attrs["interpolated"] is True


@pytest.mark.filterwarnings("error")
def test_infinite_values_make_no_peak_and_no_noise() -> None:
    rows = [
        [1, np.inf, 1, 1],
        [np.inf, np.inf, 1, np.inf],
        [1, np.inf, -np.inf, 1],
        [np.nan, 1, np.inf, 2],
        [1, 4, 1, 0],
    ]
    for function in (peak_frequency, width, occupied_bandwidth):
        found = function(spectra(rows)).values
        assert np.isnan(found[:4]).all()
        assert found[4] > 0


def test_widths_are_frequencies_on_lines_between_bins() -> None:
    """A triangle of slope 1 falls to half its height halfway down, on both sides; a lopsided one on each in its way."""
    triangle = np.maximum(0, 10 - abs(np.arange(40.0) - 20))
    half = 10 * np.log10(2)
    assert width(spectra(triangle), drop_db=half).item() == pytest.approx(10)
    assert width(spectra(triangle, step=2.5), drop_db=half).item() == pytest.approx(25)
    assert width(spectra(triangle), drop_db=10).item() == pytest.approx(18)
    assert width(spectra([0, 0, 8, 6, 4, 2, 0]), drop_db=half).item() == pytest.approx(0.5 + 2)
    rows = [[8, 8, 1, 0], [0, 1, 8, 8], [0, 0, 0, 0], [1, 8, np.nan, 1], [5, 5, 5, 5], [3, 8, 3, 9]]
    assert np.isnan(width(spectra(rows))).all()
    two = width(spectra([0, 9, 0, 0, 10, 0]), drop_db=half)  # the first below on each side of the highest
    assert two.item() == pytest.approx(1)
    assert (two.attrs["units"], two.attrs["drop_db"]) == ("Hz", half)


def test_width_of_a_window() -> None:
    """3 dB bandwidths of windows: Harris 1978, table 1 (in bins, of a periodogram interpolated finely)."""
    n = 64
    for window, expected in (("boxcar", 0.89), ("hann", 1.44), ("hamming", 1.30)):
        x = ra.recording(np.ones(n) + 0j, rate=n)
        s = ra.spectrogram(x, nfft=64 * n, window_length=n, window=window, dtype="float64")
        assert width(s).item() == pytest.approx(expected, abs=0.012)


def test_occupied_bandwidth_of_closed_forms() -> None:
    flat = spectra(np.ones(100), low=0.5)
    assert occupied_bandwidth(flat, fraction=0.9).item() == pytest.approx(90)
    assert occupied_bandwidth(flat).item() == pytest.approx(99)
    one = spectra([0, 0, 5, 0, 0])
    assert occupied_bandwidth(one, fraction=0.99).item() == pytest.approx(0.99)
    assert np.isnan(occupied_bandwidth(spectra([[0, 0, 0], [1, np.nan, 1]]))).all()
    gauss = spectra(np.exp(-((np.arange(2000.0) - 1000) ** 2) / (2 * 50.0**2)))
    assert occupied_bandwidth(gauss, fraction=0.6826894921).item() == pytest.approx(100, rel=1e-3)


def test_all_of_them_are_lazy_block_by_block() -> None:
    x = tone(17.3, frames=40).astype("complex64")
    s, lazy = ra.spectrogram(x, nfft=NFFT), ra.spectrogram(x.chunk(time=1000), nfft=NFFT)
    for function in (peak_frequency, width, occupied_bandwidth):
        made = function(lazy)
        assert isinstance(made.data, da.Array)
        assert made.chunks == lazy.chunks[:1]
        assert made.values.tobytes() == function(s).values.tobytes()
    channels = s.expand_dims(channel=2, axis=1)
    np.testing.assert_array_equal(peak_frequency(channels)[:, 1], peak_frequency(s))
    assert width(s[0]).ndim == 0


@pytest.mark.parametrize("function", [peak_frequency, width, occupied_bandwidth])
def test_what_has_no_peak(function) -> None:
    s = ra.spectrogram(tone(0), nfft=NFFT)
    with pytest.raises(ra.RecordingError, match="levels"):
        function(ra.to_decibel(s))
    with pytest.raises(ra.RecordingError, match="spectra with their frequencies"):
        function(tone(0))
    with pytest.raises(ra.RecordingError, match=r"chunk\(frequency=-1\)"):
        function(s.chunk(frequency=100))


@pytest.mark.parametrize("drop", [0, -3, float("nan"), float("inf"), True, "3 dB"])
def test_drops_that_are_none(drop: object) -> None:
    with pytest.raises(ra.RecordingError, match="drop_db"):
        width(ra.spectrogram(tone(0), nfft=NFFT), drop_db=drop)


@pytest.mark.parametrize("fraction", [0, 1, 99, float("nan"), True])
def test_fractions_that_are_none(fraction: object) -> None:
    with pytest.raises(ra.RecordingError, match="fraction"):
        occupied_bandwidth(ra.spectrogram(tone(0), nfft=NFFT), fraction=fraction)
