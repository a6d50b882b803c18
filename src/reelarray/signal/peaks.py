"""The highest peak of spectra: its frequency, its width, and the band that most of the power is in."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from ..errors import RecordingError
from ..recordings import describe
from .bands import Bins, check_spectra, over_frequency

# ---- kernels ---------------------------------------------------------------------------------------------------------


def peaks(rows: np.ndarray, *, centres: np.ndarray, step: float, interpolate: bool) -> np.ndarray:
    """(..., frequency) -> (...) Hz of the highest bin, or of a parabola through its logarithm and those beside it."""
    highest, found = _highest(rows)
    frequency = centres[highest]
    if interpolate:
        last = rows.shape[-1] - 1
        inner = np.clip(highest, 1, last - 1)
        a, b, c = (_at(rows, inner + k) for k in (-1, 0, 1))
        whole = (highest == inner) & (a > 0) & (c > 0) & np.isfinite(b)
        a, b, c = (np.log(np.where(whole, values, 1.0)) for values in (a, b, c))
        bend = a - 2 * b + c
        bent = bend < 0
        frequency = frequency + np.where(bent, 0.5 * (a - c) / np.where(bent, bend, 1.0), 0.0) * step
    return np.where(found, frequency, np.nan)


def widths(rows: np.ndarray, *, step: float, ratio: float) -> np.ndarray:
    """(..., frequency) -> (...) Hz between where power falls to `ratio` of the peak, on its left and on its right."""
    highest, found = _highest(rows)
    level = np.where(found, _at(rows, highest), 0.0) * ratio
    bins, size = np.arange(rows.shape[-1]), rows.shape[-1]
    low = rows <= level[..., np.newaxis]
    before, behind = low & (bins < highest[..., np.newaxis]), low & (bins > highest[..., np.newaxis])
    found &= before.any(axis=-1) & behind.any(axis=-1)
    left, right = size - 1 - before[..., ::-1].argmax(axis=-1), behind.argmax(axis=-1)
    rising = _crossing(rows, left, np.minimum(left + 1, size - 1), level, found)
    falling = _crossing(rows, right, np.maximum(right - 1, 0), level, found)
    return np.where(found, (right - falling - left - rising) * step, np.nan)


def occupied(rows: np.ndarray, *, left: np.ndarray, right: np.ndarray, outside: float) -> np.ndarray:
    """(..., frequency) -> (...) Hz between where `outside` of the power lies below, and where as much lies above."""
    rows = np.where(np.isfinite(rows).all(axis=-1, keepdims=True), rows, 0.0)
    total = np.cumsum(rows, axis=-1, dtype=np.float64)
    power = total[..., -1]
    low = _quantile(rows, total, power * outside, left, right)
    high = _quantile(rows, total, power * (1 - outside), left, right)
    return np.where((power > 0) & np.isfinite(power), high - low, np.nan)


def _highest(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(number of the highest bin, whether there is one): none of zeros, nor beside values that are none."""
    highest = np.argmax(rows, axis=-1)
    value = _at(rows, highest)
    return highest, (value > 0) & np.isfinite(value)


def _at(rows: np.ndarray, bins: np.ndarray) -> np.ndarray:
    return np.take_along_axis(rows, bins[..., np.newaxis], axis=-1)[..., 0].astype(np.float64)


def _crossing(
    rows: np.ndarray, below: np.ndarray, above: np.ndarray, level: np.ndarray, found: np.ndarray
) -> np.ndarray:
    """Part of a bin from the one below a level to where a straight line to the next, above it, meets the level."""
    low, high = (np.where(found, _at(rows, bins), edge) for bins, edge in ((below, 0.0), (above, 1.0)))
    return np.where(found, (level - low) / (high - low), 0.0)


def _quantile(rows: np.ndarray, total: np.ndarray, part: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Hz below which a part of the power lies, evenly spread inside each bin."""
    bins = np.minimum((total < part[..., np.newaxis]).sum(axis=-1), rows.shape[-1] - 1)
    inside = _at(rows, bins)
    missing = part - (_at(total, bins) - inside)
    share = np.clip(np.where(inside > 0, missing, 0.0) / np.where(inside > 0, inside, 1.0), 0, 1)
    return left[bins] + share * (right - left)[bins]


# ---- public functions ------------------------------------------------------------------------------------------------


def peak_frequency(x: xr.DataArray, *, interpolate: bool = True) -> xr.DataArray:
    """Frequency of the highest peak: (..., frequency) [a power] -> (...) [Hz], absolute, float64.

    A parabola through the logarithms of the highest bin and its neighbours, whose top is that of any Gaussian peak
    (Gasior & Gonzalez 2004, CERN-AB-2004-023 BDI). Of a tone it is right to within 0.017 bins with a Hann, 0.007 with a
    Blackman window. A peak in the first or last bin, or beside a bin without power, is where that bin is; NaN where
    all is zero, or anything is NaN.

    Parameters
    ----------
    x : spectra, of one band where there are several (`select_band`); lazy ones give a lazy result, block by block
    interpolate : False for the centre of the highest bin

    Raises
    ------
    RecordingError : no spectra, or levels in dB

    >>> from reelarray import recording, spectrogram
    >>> x = recording(np.exp(2j * np.pi * 8.25 * np.arange(64) / 64), rate=64, coords={"center_frequency": 1000.0})
    >>> peak_frequency(spectrogram(x, nfft=64)).values.round(1)
    array([1008.3])
    """
    x = check_spectra(x)
    bins = Bins.of(x)
    between = bool(interpolate) and len(bins.centres) > 2
    kernel = partial(peaks, centres=bins.centres, step=bins.step, interpolate=between)
    out = _in_hertz(over_frequency(x, kernel, np.float64, "peak_frequency"), "frequency of the highest peak")
    return describe(out, interpolated=between)


def width(x: xr.DataArray, *, drop_db: float = 3.0) -> xr.DataArray:
    """Width of the highest peak: (..., frequency) [a power] -> (...) [Hz], float64.

    The distance between the frequencies on both sides of the highest bin at which power has first fallen by `drop_db`,
    on straight lines between bins. NaN where it does not fall so far inside the spectra.

    Parameters
    ----------
    x : spectra, of one band where there are several peaks (`select_band`)
    drop_db : dB below the highest bin

    Raises
    ------
    RecordingError : no spectra, levels in dB, or a drop that is not above 0

    >>> from reelarray import recording, power_spectrum
    >>> x = recording(np.exp(2j * np.pi * 8 * np.arange(64) / 64), rate=64)
    >>> width(power_spectrum(x, nfft=64), drop_db=10 * np.log10(2)).item().__round__(3)  # Hann: 1, 1/4, 0 of the peak
    1.333
    """
    x = check_spectra(x)
    if isinstance(drop_db, bool) or not isinstance(drop_db, int | float) or not 0 < drop_db < np.inf:
        raise RecordingError(f"drop_db={drop_db!r} was given; dB above 0 were expected, such as 3")
    kernel = partial(widths, step=Bins.of(x).step, ratio=10 ** (-drop_db / 10))
    out = over_frequency(x, kernel, np.float64, "width")
    return describe(_in_hertz(out, "width of the highest peak"), drop_db=float(drop_db))


def occupied_bandwidth(x: xr.DataArray, *, fraction: float = 0.99) -> xr.DataArray:
    """Width of the band that a part of the power is in: (..., frequency) [a power] -> (...) [Hz], float64.

    Below its lower edge and above its upper edge lies (1 - fraction) / 2 of the power each (ITU-R SM.328, section
    1.15); inside a bin power is spread evenly. Noise counts: select the band first (`select_band`).

    Parameters
    ----------
    x : spectra
    fraction : of the power, inside

    Raises
    ------
    RecordingError : no spectra, levels in dB, or a fraction that is none

    >>> from reelarray import recording, power_spectrum
    >>> x = recording(np.eye(1, 64)[0] + 0j, rate=64)  # an impulse: all frequencies alike
    >>> occupied_bandwidth(power_spectrum(x, nfft=64, window="boxcar"), fraction=0.5).item().__round__(3)
    32.0
    """
    x = check_spectra(x)
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 < fraction < 1:
        raise RecordingError(f"fraction={fraction!r} was given; a number between 0 and 1 was expected, such as 0.99")
    bins = Bins.of(x)
    kernel = partial(occupied, left=bins.left, right=bins.right, outside=(1 - fraction) / 2)
    out = over_frequency(x, kernel, np.float64, "occupied_bandwidth")
    return describe(_in_hertz(out, "occupied bandwidth"), fraction=float(fraction))


def _in_hertz(x: xr.DataArray, long_name: str) -> xr.DataArray:
    gone: dict[str, Any] = dict.fromkeys(("standard_name", "amplitude", "scaling", "noise_bandwidth"))
    return describe(x, units="Hz", long_name=long_name, **gone)
