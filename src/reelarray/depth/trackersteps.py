"""One step of the tracker in NumPy: which pixels a Gaussian is fitted to, and the fit."""

from __future__ import annotations

import math

import numpy as np

from .trackerlikelihood import factor, levels, reach
from .trackerstart import FEWEST, largest_filled, pixels_of

SPREAD = (
    30.0  # px^2 and mm^2 that a fit adds to each variance, so that the Gaussian does not shrink to the densest spot
)
ENOUGH = 0.25  # a gain of less than this share of the log-likelihood ends a fit
STEPS = 15  # of one fit, at most


def follow(
    cleaned: np.ndarray,
    mean: np.ndarray,
    cov: np.ndarray,
    limits: tuple[float, float, float],
    segment: bool,
    blend: tuple[float, float],
    means: np.ndarray,
    covs: np.ndarray,
) -> int:
    """Fit frame after frame from `mean`, `cov` on into means (n, 3), covs (n, 3, 3); how many frames had enough pixels.

    `limits` are the lowest and the highest height (mm), exclusive, and the log-likelihood that pixels have to exceed.
    """
    for k, picture in enumerate(cleaned):
        pixels = _candidates(picture, mean, cov, limits, segment)
        if pixels is None:
            return k
        x, y, h = pixels
        new_mean, new_cov = improve(x, y, h, mean, cov)
        mean, cov = _blended(new_mean, mean, blend[0]), _blended(new_cov, cov, blend[1])
        means[k], covs[k] = mean, cov
    return len(cleaned)


def _candidates(
    picture: np.ndarray, mean: np.ndarray, cov: np.ndarray, limits: tuple[float, float, float], segment: bool
) -> tuple[np.ndarray, ...] | None:
    factors = factor(cov)
    y0, y1, x0, x1 = reach(mean, cov, factors[-1], limits[2], *picture.shape)
    part = picture[y0:y1, x0:x1]
    inside = (part > limits[0]) & (part < limits[1])
    y, x = np.nonzero(inside)
    found = np.zeros(part.shape, bool)
    found[y, x] = levels(x + float(x0), y + float(y0), part[y, x].astype(float), mean, factors) > limits[2]
    if np.count_nonzero(found) < FEWEST:
        return None
    if (pixels := pixels_of(part, largest_filled(found) & inside if segment else found)) is None:
        return None
    x, y, h = pixels
    return x + x0, y + y0, h


def improve(
    x: np.ndarray, y: np.ndarray, h: np.ndarray, mean: np.ndarray, cov: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The Gaussian of pixels that count as much as they are likely, again and again: mean (3,) and covariance (3, 3).

    A weighted scatter has no negative eigenvalue, so that with `SPREAD` added it is positive definite as it is. Sums
    run pixel by pixel and exponentials are those of the C library, as in the compiled engine.
    """
    level = levels(x, y, h, mean, factor(cov))
    before = math.inf  # a gain is one over the step before: there are two steps at least
    for _ in range(STEPS):
        highest = level.max()
        weight = np.array([math.exp(each) for each in (level - highest).tolist()])
        whole = _total(weight)
        mean = np.array([_total(weight * x) / whole, _total(weight * y) / whole, _total(weight * h) / whole])
        u, v, w = x - mean[0], y - mean[1], h - mean[2]
        xx, yx, yy = _total(weight * u * u) / whole, _total(weight * v * u) / whole, _total(weight * v * v) / whole
        hx, hy, hh = _total(weight * w * u) / whole, _total(weight * w * v) / whole, _total(weight * w * w) / whole
        cov = np.array([[xx + SPREAD, yx, hx], [yx, yy + SPREAD, hy], [hx, hy, hh + SPREAD]])
        level = levels(x, y, h, mean, factor(cov))
        now = _total(level)
        if 0.0 <= now - before < ENOUGH * abs(before):
            break
        before = now
    return mean, cov


def _total(values: np.ndarray) -> float:
    """The sum, one after the other: NumPy's own adds pairs."""
    return float(np.add.accumulate(values)[-1])


def _blended(new: np.ndarray, old: np.ndarray, share: float) -> np.ndarray:
    return new if share == 0.0 else (1.0 - share) * new + share * old
