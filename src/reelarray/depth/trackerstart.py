"""Where a tracker begins: the largest object of a picture of heights, and the Gaussian of its pixels."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import ndimage

from .cleaning import dilate, element, ellipse, erode
from .components import largest_components
from .trackerlikelihood import PARAMETERS

Init = Literal["raw", "min", "med"]
FIRST = 10  # frames that "min" and "med" are taken over
FEWEST = 10  # pixels: a Gaussian over three dimensions has nine numbers
# Whole pixels and millimetres cannot tell smaller deviations: the variance of rounding. Of a flat object, or one of a
# single row, the Gaussian would have no width.
SMALLEST = 1 / 12
_TAIL = element(ellipse(9, 9))  # what a tail, a cable or noise does not hold


def start(cleaned: np.ndarray, minimum: float, maximum: float, *, mode: Init = "raw") -> np.ndarray:
    """The state of a tracker before the first frame, from the first frames: (n, h, w) [mm] -> () PARAMETERS.

    Parameters
    ----------
    cleaned : the first frames of a recording, at least one; no more than 10 are looked at
    minimum, maximum : mm; heights between them may be the animal's
    mode : "raw", the first frame; "min" or "med", the lowest or the median height of each pixel in the first 10

    Returns
    -------
    PARAMETERS : of the pixels of the largest object that an opening with an ellipse of 9 x 9 px leaves, holes filled;
        NaN, as of an animal not seen yet, where there is none

    >>> cleaned = np.zeros((1, 40, 40))
    >>> cleaned[0, 10:31, 15:26] = 40
    >>> start(cleaned, 10, 100)["mean"].tolist()
    [20.0, 20.0, 40.0]
    """
    first = cleaned[:FIRST]
    if mode == "raw" or not len(first):
        picture = first[0] if len(first) else np.zeros(cleaned.shape[1:])
    else:
        picture = first.min(axis=0) if mode == "min" else np.median(first, axis=0)
    state = unseen()
    if (pixels := largest_object(picture, minimum, maximum)) is not None:
        state["mean"], state["cov"] = moments(*pixels)
        state["held"] = False
    return state


def unseen() -> np.ndarray:
    """The state before an animal was seen: () PARAMETERS of NaN."""
    state = np.zeros((), PARAMETERS)
    state["mean"], state["cov"], state["held"] = np.nan, np.nan, True
    return state


def largest_object(picture: np.ndarray, minimum: float, maximum: float) -> tuple[np.ndarray, ...] | None:
    """Columns, rows and heights, float64, of the pixels of the largest object that an opening leaves, or None."""
    inside = (picture > minimum) & (picture < maximum)
    if np.count_nonzero(inside) < FEWEST:
        return None
    opened = dilate(erode(inside.view("u1"), _TAIL), _TAIL).view(bool)
    return pixels_of(picture, largest_filled(opened) & inside)


def largest_filled(mask: np.ndarray) -> np.ndarray:
    """The object of most pixels, 8-connected, the first in raster order among equals, with its holes: (h, w) bool."""
    largest, _ = largest_components(mask[None])
    return ndimage.binary_fill_holes(largest[0])


def pixels_of(picture: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, ...] | None:
    """Columns, rows and heights, float64, of the pixels of a mask, or None where they are too few."""
    y, x = np.nonzero(mask)
    if len(x) < FEWEST:
        return None
    return x.astype(float), y.astype(float), picture[y, x].astype(float)


def moments(x: np.ndarray, y: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (3,) and covariance (3, 3) of pixels, the latter made positive definite.

    The nearest matrix, in the Frobenius norm, with no variance below `SMALLEST` along any direction: eigenvalues below
    become it (Higham 1988, Computing a nearest symmetric positive semidefinite matrix, theorem 2.1).
    """
    points = np.stack([x, y, h])
    mean = points.mean(axis=1)
    away = points - mean[:, None]
    values, vectors = np.linalg.eigh(away @ away.T / len(x))
    cov = vectors * np.maximum(values, SMALLEST) @ vectors.T
    return mean, (cov + cov.T) / 2
