"""Gaussians over place and height: how likely a pixel is one of the animal's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

# One frame's Gaussian over column (px), row (px) of the box of the arena, and height (mm). NaN before an animal was
# seen; `held` where nothing was found in the frame and the Gaussian is that of the one before.
PARAMETERS = np.dtype([("mean", "f8", (3,)), ("cov", "f8", (3, 3)), ("held", "?")])
_LOG_TURN = 1.5 * math.log(2 * math.pi)


def factor(cov):  # type: ignore[no-untyped-def]
    """(3, 3), positive definite -> its Cholesky factor L with the diagonal inverted, row by row, and log N at the mean.

    Plain scalars: the compiled engine compiles this very function, so that both take the same steps.
    """
    a = math.sqrt(cov[0, 0])
    b = cov[1, 0] / a
    c = math.sqrt(cov[1, 1] - b * b)
    d = cov[2, 0] / a
    e = (cov[2, 1] - d * b) / c
    f = math.sqrt(cov[2, 2] - d * d - e * e)
    return 1.0 / a, b, 1.0 / c, d, e, 1.0 / f, -_LOG_TURN - math.log(a * c * f)


def levels(x: Any, y: Any, h: Any, mean: np.ndarray, factors: tuple[float, ...]) -> Any:
    """log N at columns x, rows y and heights h, which broadcast."""
    a, b, c, d, e, f, top = factors
    u = (x - mean[0]) * a
    v = ((y - mean[1]) - b * u) * c
    w = ((h - mean[2]) - d * u - e * v) * f
    return top - 0.5 * (u * u + v * v + w * w)


def reach(mean, cov, top, threshold, rows, columns):  # type: ignore[no-untyped-def]
    """Rows and columns (y0, y1, x0, x1), half open, outside which log N is at most `threshold` at any height.

    log N > threshold means a squared distance below r^2 = 2 (log N at the mean - threshold), in units of the
    Gaussian; such an ellipsoid ends at mean +- r sqrt(variance) along each axis. One pixel more covers rounding.
    """
    squared = 2.0 * (top - threshold)
    if not squared > 0.0:
        return 0, 0, 0, 0
    across = math.sqrt(squared * cov[0, 0]) + 1.0
    down = math.sqrt(squared * cov[1, 1]) + 1.0
    # Limits first: a Gaussian may be wider than what an integer holds.
    x0 = int(min(max(mean[0] - across, 0.0), float(columns)))
    x1 = int(min(max(mean[0] + across + 1.0, 0.0), float(columns)))
    y0 = int(min(max(mean[1] - down, 0.0), float(rows)))
    y1 = int(min(max(mean[1] + down + 1.0, 0.0), float(rows)))
    return y0, y1, x0, x1


def log_likelihood(params: np.ndarray, heights: np.ndarray, *, dtype: Any = np.float32) -> np.ndarray:
    """log N of every pixel under the Gaussian of its frame: (n,) PARAMETERS, (n, h, w) [mm] -> (n, h, w).

    -inf in frames before an animal was seen.

    >>> params = np.zeros(1, PARAMETERS)
    >>> params["mean"], params["cov"] = (1, 0, 40), np.eye(3)
    >>> log_likelihood(params, np.array([[[40, 40, 41]]])).round(3)
    array([[[-3.257, -2.757, -3.757]]], dtype=float32)
    """
    out = np.empty(heights.shape, dtype)
    y, x = np.ogrid[: heights.shape[1], : heights.shape[2]]
    for given, picture, made in zip(params, heights, out, strict=True):
        if math.isnan(given["mean"][0]):
            made[:] = -math.inf
        else:
            made[:] = levels(x, y, picture.astype(float), given["mean"], factor(given["cov"]))
    return out


def likely(params: np.ndarray, heights: np.ndarray, minimum: float, threshold: float) -> np.ndarray:
    """Pixels above `minimum` with log N above `threshold`: (n,) PARAMETERS, (n, h, w) [mm] -> (n, h, w) bool.

    What ``(log_likelihood(..., dtype=float) > threshold) & (heights > minimum)`` gives, to the bit, evaluated only
    within `reach` and at pixels that are high enough.
    """
    out = np.zeros(heights.shape, bool)
    rows, columns = heights.shape[1:]
    for given, picture, made in zip(params, heights, out, strict=True):
        if math.isnan(given["mean"][0]):
            continue
        factors = factor(given["cov"])
        y0, y1, x0, x1 = reach(given["mean"], given["cov"], factors[-1], threshold, rows, columns)
        part = picture[y0:y1, x0:x1]
        y, x = np.nonzero(part > minimum)
        level = levels(x + x0, y + y0, part[y, x].astype(float), given["mean"], factors)
        made[y0:y1, x0:x1][y, x] = level > threshold
    return out


def crop_likelihood(
    params: np.ndarray,
    orientation: np.ndarray,
    heights: np.ndarray,
    minimum: float,
    clip: float,
    *,
    rotate: bool = True,
    compat: bool = False,
) -> np.ndarray:
    """log N of the pixels of crops: (n,) PARAMETERS, (n,) [rad], (n, h, w) [mm] -> (n, h, w) float32.

    The Gaussian stands in the middle of the crop, turned as the crop is. Pixels lower than `minimum`, those less
    likely than `clip`, and crops of frames in which nothing was found, are `clip`.

    Parameters
    ----------
    orientation : of the main axis in each frame, mathematical sense, NaN where nothing was found
    heights : crops of the cleaned heights
    rotate : whether the crops are turned so that the main axis lies along their rows
    compat : the Gaussian keeps its direction and stands at pixel (w // 2, h // 2), as moseq2-extract stores it

    >>> params = np.zeros(1, PARAMETERS)
    >>> params["mean"], params["cov"] = (9, 9, 40), np.diag([1, 4, 1])  # longer down the picture
    >>> crop_likelihood(params, np.array([np.pi / 2]), np.full((1, 3, 3), 40), 10, -100)[0, 1].round(2)
    array([-3.57, -3.45, -3.57], dtype=float32)
    """
    rows, columns = heights.shape[1:]
    out = np.full(heights.shape, clip, np.float32)
    y, x = np.ogrid[:rows, :columns]
    centre = (columns // 2, rows // 2) if compat else ((columns - 1) / 2, (rows - 1) / 2)
    for given, angle, picture, made in zip(params, orientation, heights, out, strict=True):
        if math.isnan(given["mean"][0]) or math.isnan(angle):
            continue
        cov = turned(given["cov"], angle) if rotate and not compat else given["cov"]
        level = levels(x - centre[0], y - centre[1], picture.astype(float), _centred(given["mean"]), factor(cov))
        made[:] = np.where((picture < minimum) | (level < clip), clip, level)
    return out


def turned(cov: np.ndarray, angle: float) -> np.ndarray:
    """Covariance in the coordinates of a crop whose rows lie along the axis `angle`, (cos, -sin) in the picture."""
    cos, sin = math.cos(angle), math.sin(angle)
    axes = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])  # columns: along the crop's x, y and height
    turned = axes.T @ cov @ axes
    return (turned + turned.T) / 2


def _centred(mean: np.ndarray) -> np.ndarray:
    return np.array([0.0, 0.0, mean[2]])
