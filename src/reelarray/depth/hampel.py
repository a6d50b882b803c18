"""Outliers among the frames around them, replaced: Hampel's filter."""

from __future__ import annotations

from typing import Any

import numpy as np

from .medians import spread_about

NORMAL = 1.4826  # standard deviations of a normal distribution in its median absolute deviation: 1 / 0.6745


def hampel(
    values: np.ndarray,
    span: int,
    sigma: float = 3.0,
    *,
    borders: Any = (),
    lead: int = 0,
    trail: int = 0,
    compat: bool = False,
) -> np.ndarray:
    """Values far from the median of the frames around them become that median: (n,) [u] -> (n - lead - trail,) [u].

    Parameters
    ----------
    values : of each frame; NaN stays NaN and is left out of medians. Angles have to be unwrapped
    span : frames of a window, odd; 0 changes nothing
    sigma : how far from the median is an outlier, in standard deviations
    borders : frames that nothing before is seen from, and that are not seen from before (`borders.borders`)
    lead, trail : frames at each end that are only there to be seen, up to span // 2
    compat : the test of the existing tool, which adds the median itself to the threshold and so lets outliers of up
        to twice the value pass

    Notes
    -----
    m and s are the median of the window and the median distance from it; v is replaced where
    ``|v - m| > sigma * 1.4826 * s`` (Hampel 1974; Davies & Gather 1993). compat: where ``|v - m| > m + sigma * s``.

    >>> hampel(np.array([1.0, 1.1, 9.0, 1.2, 1.1]), 5).tolist()
    [1.0, 1.1, 1.1, 1.2, 1.1]
    """
    values = np.asarray(values, float)
    own = values[lead : len(values) - trail]
    if not span:
        return own.copy()
    middle, spread = spread_about(values, span, borders=borders, lead=lead, trail=trail)
    most = middle + sigma * spread if compat else (sigma * NORMAL) * spread
    return np.where(np.abs(own - middle) > most, middle, own)
