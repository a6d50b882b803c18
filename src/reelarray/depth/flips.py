"""Which way an animal faces: the half turn that its main axis leaves open, for whole recordings."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .borders import MAX_GAP
from .bouts import change_odds, likeliest, motion_odds
from .classifiers import Classifier, classifier
from .medians import running_median
from .shapes import shape_odds

SPAN = 51  # frames whose probabilities decide together
METHODS = ("motion", "shape")


def flip_method(flip: Any, crop_size: tuple[int, int]) -> str | Classifier | None:
    """What an extraction has to do for a `flip=` of users: None, "motion", "shape", or a function of crops to ask.

    Parameters
    ----------
    flip : None, "motion" (`flips_by_motion`), "shape" (`flips_by_shape`), a function of crops, or the path of an .onnx
        or .npz file (`classifiers.classifier`)
    crop_size : rows and columns of crops

    Raises
    ------
    RecipeError, RecordingError, FormatError, MissingPackage : as `classifiers.classifier` does

    >>> flip_method("motion", (80, 80))
    'motion'
    """
    if flip is None or (isinstance(flip, str | os.PathLike) and os.fspath(flip) == ""):
        return None
    if isinstance(flip, str) and flip in METHODS:
        return flip
    return classifier(flip, crop_size)


def median_probability(
    p: np.ndarray, span: int = SPAN, *, borders: Any = (), lead: int = 0, trail: int = 0
) -> np.ndarray:
    """Median over time of what a classifier says: (n,) -> (n - lead - trail,); NaN (no animal) is left out.

    `p` is of crops at the unwrapped angle, which never jumps: only then do frames around one say the same thing.
    Windows are shorter at the ends and at `borders`.

    >>> median_probability(np.array([0.9, 0.1, 0.8, np.nan, 0.9]), 3).tolist()
    [0.5, 0.8, 0.45, 0.8500000000000001, 0.9]
    """
    return running_median(p, span, borders=borders, lead=lead, trail=trail)


def flips_of(p: np.ndarray) -> np.ndarray:
    """Whether to turn each frame by 180 degrees: probabilities (n,) -> (n,) bool. Where nothing is known: no.

    >>> flips_of(np.array([0.2, 0.5, 0.6, np.nan])).tolist()
    [False, False, True, False]
    """
    return np.asarray(p) > 0.5


def flips_by_motion(
    x: np.ndarray,
    y: np.ndarray,
    angle: np.ndarray,
    major: np.ndarray,
    minor: np.ndarray,
    *,
    times_ms: np.ndarray | None,
    rate: float,
    max_gap: float = MAX_GAP,
) -> np.ndarray:
    """Whether the animal faces against its unwrapped angle, as it walks head first: (n,) each -> (n,) bool.

    Of a whole recording: motion in one place decides for all the time that the axis can be followed. See `bouts`.

    Parameters
    ----------
    x, y : position, px; NaN where nothing was found, as in all features
    angle : unwrapped orientation, rad
    major, minor : lengths of the axes, px
    times_ms : when each frame was taken, ms; None: at a constant `rate`
    rate : frames a second, nominal
    max_gap : frame periods across which displacement says nothing

    >>> x = np.arange(60.0)  # to the right, and the axis points to the left
    >>> flips_by_motion(x, 0 * x, 0 * x + np.pi, 0 * x + 60, 0 * x + 30, times_ms=None, rate=30).all()
    np.True_
    """
    odds = motion_odds(x, y, angle, major, times_ms=times_ms, rate=rate, max_gap=max_gap)
    return likeliest(odds, change_odds(angle, major, minor, times_ms=times_ms, rate=rate))


def flips_by_shape(
    measures: np.ndarray,
    half_turns: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    angle: np.ndarray,
    major: np.ndarray,
    minor: np.ndarray,
    *,
    times_ms: np.ndarray | None,
    rate: float,
    max_gap: float = MAX_GAP,
) -> np.ndarray:
    """As `flips_by_motion`, where the shape of the body speaks too: it tells an animal that rests after it was lost.

    What the head looks like is taken from frames of the same recording in which the animal moves.

    Parameters
    ----------
    measures : `shapes.asymmetry` of the cleaned crops, (n, k)
    half_turns : of each frame (`unwrapping.unwrap`), where crops were made before; zeros where they were turned already
    others : as for `flips_by_motion`
    """
    odds = motion_odds(x, y, angle, major, times_ms=times_ms, rate=rate, max_gap=max_gap)
    change = change_odds(angle, major, minor, times_ms=times_ms, rate=rate)
    turned = np.where((np.asarray(half_turns) & 1)[:, None] == 1, -measures, measures)
    return likeliest(odds + shape_odds(turned, odds, likeliest(odds, change), rate), change)
