"""Where an animal is, how it lies and how large it is: moments of the pixels of its mask."""

from __future__ import annotations

import numpy as np

from .records import FEATURES


def features(mask: np.ndarray) -> np.ndarray:
    """Masks (n, y, x) -> (n,) of FEATURES: position, main axis and its length, NaN for an empty mask; no flags.

    With the moments m and the central moments mu of the pixels: position (m10, m01) / m00, orientation
    -1/2 atan2(2 mu11, mu20 - mu02), and axes 2 sqrt2 sqrt((mu20 + mu02 +- sqrt(4 mu11^2 + (mu20 - mu02)^2)) / m00).

    >>> found = features(np.ones((1, 3, 5), bool))[0]
    >>> [round(float(found[name]), 3) for name in ("x", "y", "orientation", "major", "minor")]
    [2.0, 1.0, 0.0, 5.657, 3.266]
    """
    return from_sums(sums(mask))


def sums(mask: np.ndarray) -> np.ndarray:
    """Masks (n, y, x) -> (n, 6) int64: how many pixels, and the sums of their x, y, x^2, x y and y^2."""
    out = np.empty((len(mask), 6), "i8")
    for frame, made in zip(mask, out, strict=True):
        y, x = np.nonzero(frame)
        made[:] = len(x), x.sum(), y.sum(), x @ x, x @ y, y @ y
    return out


def from_sums(sums: np.ndarray) -> np.ndarray:
    """Sums of pixels (n, 6) -> (n,) of FEATURES. Integers until the last steps, so that an engine changes no bit."""
    count, sx, sy, sxx, sxy, syy = sums.T
    out = np.zeros(len(sums), FEATURES)
    with np.errstate(invalid="ignore", divide="ignore"):
        out["x"], out["y"] = sx / count, sy / count
    # m00 times the central moments; below 2^63 for arenas of up to 1700 x 1700 pixels.
    xx, xy, yy = count * sxx - sx * sx, count * sxy - sx * sy, count * syy - sy * sy
    orientation = -0.5 * np.arctan2(2.0 * xy, (xx - yy).astype("f8")) + 0.0  # and no -0.0
    out["orientation"] = np.where(orientation <= -np.pi / 2, np.pi / 2, orientation)
    across = np.hypot(2.0 * xy, (xx - yy).astype("f8"))
    with np.errstate(invalid="ignore", divide="ignore"):
        for name, total in ("major", xx + yy + across), ("minor", np.maximum(xx + yy - across, 0)):
            out[name] = 2 * np.sqrt(2.0) * np.sqrt(total) / count
    out["orientation"][count == 0] = np.nan
    return out
