"""Levels of a picture: decibels or the values themselves, and the limits of their colours."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from ..decibels import is_decibel
from ..errors import RecordingError
from ..signal.levels import to_decibel

LevelScale = Literal["dB", "linear"]
PERCENTILES = (2.0, 99.5)  # a few loud bins and a few deep ones do not set the colours of all


def levels(made: xr.DataArray, scale: LevelScale, reference: Any) -> xr.DataArray:
    """Values as they are shown: power as dB re `reference`, or as it is; dB as dB."""
    decibel = is_decibel(str(made.attrs.get("units", "")))
    if scale not in ("dB", "linear"):
        raise RecordingError(f"scale={scale!r} was given; 'dB' or 'linear' was expected")
    if decibel and scale == "linear":
        raise RecordingError(f"scale='linear' was given with levels in {made.attrs['units']!r}; power was expected")
    if reference is not None and (decibel or scale == "linear"):
        told = f"levels that have one: {made.attrs['units']!r}" if decibel else "scale='linear', which has none"
        raise RecordingError(f"reference={reference!r} was given with {told}")
    if decibel or scale == "linear":
        return made
    return to_decibel(made, reference=reference, quantity="power")


def colour_limits(
    values: np.ndarray,
    scale: LevelScale,
    vmin: float | None,
    vmax: float | None,
    percentiles: tuple[float, float] = PERCENTILES,
) -> tuple[float, float]:
    """Colour limits: robust percentiles; of dB outwards to multiples of 5 dB (1 dB where the range is small)."""
    first, last = _percentiles(percentiles)
    finite = values[np.isfinite(values)]
    low, high = (0.0, 1.0) if not finite.size else map(float, np.percentile(finite, (first, last)))
    step = 5.0 if high - low > 15 else 1.0
    if scale == "linear":
        step = 10.0 ** np.floor(np.log10(high - low)) / 10 if high > low else abs(high) or 1.0
    low = np.floor(low / step) * step if vmin is None else float(vmin)
    high = np.ceil(high / step) * step if vmax is None else float(vmax)
    if low >= high and vmin is not None and vmax is not None:
        raise RecordingError(f"vmin={vmin}, vmax={vmax}: a lower and a higher level in dB were expected")
    if low >= high:
        low, high = (low, low + step) if vmax is None else (high - step, high)
    return float(low), float(high)


def _percentiles(given: Any) -> tuple[float, float]:
    try:
        low, high = map(float, given)
    except (TypeError, ValueError):
        low = high = -1.0
    if not 0 <= low < high <= 100:
        raise RecordingError(f"percentiles={given!r} was given; a lower and a higher one, such as (5, 99.9), expected")
    return low, high
