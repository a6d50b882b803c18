"""How the two halves of an animal differ along its axis: numbers that change sign when its crop is turned round."""

from __future__ import annotations

import logging

import numpy as np

log = logging.getLogger(__name__)

MEASURES = 4  # see asymmetry
TIME = 0.5  # seconds in which a body looks the same: so many frames say one thing
LEAST = 0.2  # of the covariance of measures: that of a body that always looks the same would be 0
MOST = 2.0  # log odds of one such time, at most: a body that lies oddly is no proof


def asymmetry(crops: np.ndarray) -> np.ndarray:
    """Where along the axis an animal is high and wide: heights (n, h, w) -> (n, MEASURES) float64, NaN for empty crops.

    How far ahead of its middle it is high, and how far ahead it is wide (both in standard deviations of its length);
    the skewness of its area, and of its volume. Sums are of integers, so that a crop turned by 180 degrees has exactly
    the negative numbers.

    >>> crop = np.array([[[0, 9, 1, 1, 0], [0, 9, 0, 0, 0]]], np.uint8)
    >>> asymmetry(crop).round(2).tolist(), asymmetry(crop[:, ::-1, ::-1]).round(2).tolist()
    ([[-0.72, -0.3, 0.49, 3.17]], [[0.72, 0.3, -0.49, -3.17]])
    """
    crops = np.asarray(crops)
    place = 2 * np.arange(crops.shape[-1], dtype=np.int64) - (crops.shape[-1] - 1)  # from the middle, in half pixels
    powers = place[:, None] ** np.arange(4)
    wide = np.count_nonzero(crops, axis=1).astype(np.int64)
    high = crops.sum(1, dtype=np.int64)
    area, volume, spread = (values @ powers for values in (wide, high, wide * wide))
    with np.errstate(invalid="ignore", divide="ignore"):  # empty crops
        middle, deviation, area_skew = _shape(area)
        volume_middle, _, volume_skew = _shape(volume)
        ahead = (volume_middle - middle) / deviation
        wider = (spread[:, 1] / spread[:, 0] - middle) / deviation
    return np.stack([ahead, wider, area_skew, volume_skew], axis=-1)


def _shape(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, standard deviation and skewness, of sums of place^0 .. place^3: (n, 4) -> (n,) each."""
    mean, second, third = (sums[:, power] / sums[:, 0] for power in (1, 2, 3))
    deviation = np.sqrt(second - mean * mean)
    skew = (third - 3 * mean * second + 2 * mean * mean * mean) / (deviation * deviation * deviation)
    return mean, deviation, skew


def shape_odds(measures: np.ndarray, odds: np.ndarray, flipped: np.ndarray, rate: float) -> np.ndarray:
    """How much the shape speaks for the head being where the angle points: (n, k), (n,), (n,) -> (n,) log odds.

    What a head looks like is taken from the recording itself: from the frames in which the animal moves, and motion
    says where its head is. Without any such frame the shape says nothing.

    Parameters
    ----------
    measures : `asymmetry` of crops that are turned to the angle
    odds, flipped : what motion says of each frame, and of its bout (`bouts.likeliest`)
    rate : frames a second

    Notes
    -----
    Fisher's linear discriminant of two classes that mirror each other: 2 mean . covariance^-1 . measures.
    """
    out = np.zeros(len(measures))
    good = np.isfinite(measures).all(1)
    weight = np.where(good, np.abs(odds), 0.0)
    if not weight.any():
        log.warning("no frame with an animal that moves: which end of it is the head cannot be told from its shape")
        return out
    signed = np.where(flipped[:, None], -measures, measures)[good]
    weight = weight[good] / weight.sum()
    mean = (weight[:, None] * signed).sum(0)
    apart = signed - mean
    covariance = (apart * weight[:, None]).T @ apart
    covariance += LEAST * np.diag((weight[:, None] * signed * signed).sum(0) + 1e-9)
    direction = 2 * np.linalg.solve(covariance, mean)
    out[good] = np.clip(measures[good] @ direction, -MOST, MOST) / max(1.0, TIME * rate)
    return out
