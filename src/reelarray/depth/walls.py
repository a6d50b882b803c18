"""Slanted walls: a background that rises outside the floor, for animals that rear against a bucket (experimental)."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

SHIFT = (-2.0, 2.0)  # px along x and y, from the middle of the bucket to that of the ellipse
REACH = 67.0  # px, beyond the coordinates of the middle
TURN = math.pi / 24  # rad
HIGHEST, LEVEL = 0.98, 0.81  # the weight is HIGHEST - r**2, and flat where that exceeds LEVEL
BLUR, SIGMA = 7, 7.0  # px, of the Gaussian


def graduate(background: np.ndarray, floor: np.ndarray, true_depth: float, *, widen: float = 0.0) -> np.ndarray:
    """Background with walls that rise evenly outside the floor: (y, x) mm -> (y, x) mm.

    Outside the floor stands the weight clip(0.98 - r**2, 0, 0.81), scaled so that its highest value is `true_depth`,
    with r = 1 on an ellipse round the middle of the floor; then all is blurred. Pixels without a return on the floor
    stay 0. Heights above such a background are measured from `true_depth` where it is nearer than that, and a frame
    nearer still.

    Parameters
    ----------
    background : depths, mm; 0 where there is none
    floor : pixels of the floor (bool) before the arena was widened
    true_depth : of the floor, mm
    widen : px by which the ellipse is larger

    >>> floor = np.hypot(*np.ogrid[-40:40, -40:40]) < 20
    >>> graduate(np.full((80, 80), 700.0), floor, 700.0).round()[40, [40, 79]].tolist()
    [700.0, 700.0]
    """
    rows, columns = np.nonzero(floor)
    x0, y0 = (columns.min() + columns.max()) / 2 + SHIFT[0], (rows.min() + rows.max()) / 2 + SHIFT[1]
    y, x = np.ogrid[: background.shape[0], : background.shape[1]]
    along = math.cos(TURN) * (x - x0) + math.sin(TURN) * (y - y0)
    across = math.cos(TURN) * (y - y0) - math.sin(TURN) * (x - x0)
    squared = (along / (x0 + REACH + widen)) ** 2 + (across / (y0 + REACH + widen)) ** 2
    slanted = np.clip(HIGHEST - squared, 0, LEVEL) * (true_depth / LEVEL)
    raised = np.where(floor, background, slanted)
    known = np.where(floor, background > 0, True).astype(float)
    how = {"sigma": SIGMA, "radius": BLUR // 2, "mode": "mirror"}
    weight = ndimage.gaussian_filter(known, **how)
    blurred = ndimage.gaussian_filter(raised * known, **how) / np.maximum(weight, np.finfo(float).tiny)
    return np.where(known > 0, blurred, 0.0)
