"""A Gaussian over place and height that follows the animal from frame to frame, past cables, reflections and hands.

Pixels count as much as they are likely under it, so that what is near the animal but not of its height, or of its
height but far away, does not pull. Positions are columns and rows within the box of the arena, heights in mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..signal.engines import choose
from . import trackersteps
from .trackerlikelihood import PARAMETERS, crop_likelihood, likely, log_likelihood
from .trackerstart import FIRST, Init, largest_object, moments, pixels_of, start, unseen

__all__ = [
    "FIRST",
    "PARAMETERS",
    "Tracker",
    "crop_likelihood",
    "fit",
    "fit_alone",
    "likely",
    "log_likelihood",
    "start",
    "unseen",
]


@dataclass(frozen=True)
class Tracker:
    """How an animal is followed.

    Parameters
    ----------
    minimum, maximum : mm; heights between them, exclusive, may be the animal's
    threshold : log-likelihood, under the Gaussian of the frame before, that pixels have to exceed
    segment : whether only the largest object of these pixels counts, with its holes
    mode : what the first fit sees, see `start`
    blend_mean, blend_cov : share of the Gaussian before in the new one, 0 to below 1
    engine : "numba", or "scipy" for plain NumPy; the one installed unless given
    """

    minimum: float = 10
    maximum: float = 120
    threshold: float = -100.0
    segment: bool = True
    mode: Init = "raw"
    blend_mean: float = 0.0
    blend_cov: float = 0.0
    engine: str | None = None


def fit(
    heights: np.ndarray, cleaned: np.ndarray, state: np.ndarray | None, options: Tracker
) -> tuple[np.ndarray, np.ndarray]:
    """Follow the animal through a block: (n, h, w) [mm], twice -> (n,) PARAMETERS, and the state after the block.

    A recursion: given the state that the block before left, the numbers are the same, to the bit, wherever the frames
    are cut. Both engines take the same steps in the same order; they differ only where Python's `math.exp` and the
    compiled one do, by rounding (equal to the bit with the same C library).

    In each frame the pixels of `cleaned` between the heights whose log-likelihood under the Gaussian before exceeds the
    threshold, of which the largest 8-connected object with its holes, are weighted by their density, which gives mean
    and covariance (to which 30 px^2 and mm^2 are added), 2 to 15 times, until the sum of their log-likelihoods gains
    between nothing and a quarter of what it was. Pixels are looked for within the box round the ellipsoid of the
    threshold only: no other can exceed it, so that the result is that of the whole picture. Where fewer than 10 are
    found the animal is looked for anew: the largest object that is left of the cleaned frame by an opening, then of the
    frame before cleaning, and a fit from there; then all pixels between the heights, of either. Where there is nothing
    either, the Gaussian is that of the frame before, and `held` says so; before an animal was seen it is NaN.

    Parameters
    ----------
    heights : before cleaning
    cleaned : after cleaning
    state : what `start` or the block before gave; None is `unseen`
    options : how

    >>> frames = np.zeros((3, 60, 60))
    >>> frames[:, 20:41, 25:36] = 40
    >>> params, state = fit(frames, frames, None, Tracker())
    >>> params["mean"].round(6).tolist()[2], params["held"].tolist(), bool(state["held"])
    ([30.0, 30.0, 40.0], [False, False, False], False)
    """
    steps = _steps(options.engine)
    limits = float(options.minimum), float(options.maximum), float(options.threshold)
    blend = float(options.blend_mean), float(options.blend_cov)
    before = unseen() if state is None else np.asarray(state, PARAMETERS).reshape(()).copy()  # one row is a state too
    params = np.zeros(len(cleaned), PARAMETERS)
    k = 0
    while k < len(cleaned):
        if not np.isnan(before["mean"][0]):
            rest = len(cleaned) - k
            means, covs = np.empty((rest, 3)), np.empty((rest, 3, 3))
            mean, cov = np.array(before["mean"]), np.array(before["cov"])
            done = steps.follow(
                np.ascontiguousarray(cleaned[k:]), mean, cov, limits, options.segment, blend, means, covs
            )
            params["mean"][k : k + done], params["cov"][k : k + done] = means[:done], covs[:done]
            if done:
                before, k = _of(params, k + done - 1), k + done
            if k == len(cleaned):
                break
        params[k] = _anew(heights[k], cleaned[k], before, limits, steps)
        before, k = _of(params, k), k + 1
    return params, before


def fit_alone(
    heights: np.ndarray, cleaned: np.ndarray, options: Tracker, *, lead: int = 0, trail: int = 0
) -> np.ndarray:
    """Follow the animal through a block on its own: (lead + n + trail, h, w) [mm], twice -> (n,) PARAMETERS.

    The `lead` frames before the block warm the tracker up from a start of its own, so that blocks do not wait for each
    other. An approximation: the state at the first frame is that of a tracker of so many frames, not that of all.
    """
    stop = len(cleaned) - trail
    state = start(cleaned[: min(FIRST, stop)], options.minimum, options.maximum, mode=options.mode)
    return fit(heights[:stop], cleaned[:stop], state, options)[0][lead:]


def _anew(
    heights: np.ndarray, cleaned: np.ndarray, before: np.ndarray, limits: tuple[float, float, float], steps: Any
) -> np.ndarray:
    """The Gaussian of a frame whose animal is not where it was: () PARAMETERS."""
    found = before.copy()
    lowest, highest, _ = limits
    pixels = largest_object(cleaned, lowest, highest)
    if pixels is None:
        pixels = largest_object(heights, lowest, highest)
    if pixels is None:
        pixels = pixels_of(cleaned, (cleaned > lowest) & (cleaned < highest))
    if pixels is None:
        pixels = pixels_of(heights, (heights > lowest) & (heights < highest))
    found["held"] = pixels is None
    if pixels is not None:
        found["mean"], found["cov"] = steps.improve(*pixels, *moments(*pixels))
    return found


def _of(params: np.ndarray, k: int) -> np.ndarray:
    """One frame's Gaussian, in memory of its own: np.array(params[k]) would share that of the block."""
    return params[k : k + 1].reshape(()).copy()


def _steps(engine: str | None) -> Any:
    if choose(engine) == "scipy":
        return trackersteps
    from . import trackercompiled

    return trackercompiled
