"""What is known of one frame: features of the animal, and its crops, as records of a NumPy array."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag
from typing import Any

import numpy as np

from .cleaning import Cleaning

Box = tuple[int, int, int, int]  # rows [y0, y1) and columns [x0, x1) of the full frame


class Seen(IntFlag):
    """What is odd in a frame."""

    EMPTY = 1  # no pixel of the arena has a return
    MISSING = 2  # nothing was found: features are NaN, crops 0
    EDGE = 4  # the animal touches the border of the arena
    SEVERAL = 8  # a second object has at least half the area of the first
    HIGH = 16  # more than a hundredth of the arena is above the largest height
    HELD = 32  # the tracker found nothing and kept what it had


SHARE_HIGH = 0.01  # of the pixels of the arena
SHARE_SECOND = 0.5  # of the area of the largest object

# Position (px, column and row of the crop of the arena), main axis (rad, mathematical sense: y points down, so that
# its direction in the image is -orientation; modulo pi, in (-pi/2, pi/2]), lengths of both axes (px). NaN: nothing
# was found.
FEATURES = np.dtype(
    [("x", "f8"), ("y", "f8"), ("orientation", "f8"), ("major", "f8"), ("minor", "f8"), ("flags", "u1")]
)


@dataclass(frozen=True, eq=False)
class Arena:
    """What tells the animal from the floor, within the bounding box of the arena: arrays (h, w).

    `floor` is the depth of the empty scene, rounded down to mm (int16; 0 where it is not known), `inside` the arena.
    `wall` is the depth of slanted walls, 0 elsewhere: what is not nearer than they are is part of them.
    """

    floor: np.ndarray
    inside: np.ndarray
    box: Box
    wall: np.ndarray | None = None

    def within(self, frames: np.ndarray) -> np.ndarray:
        """Frames without the returns of slanted walls; the same ones where there are no such walls."""
        if self.wall is None:
            return frames
        frames = frames.copy()
        y0, y1, x0, x1 = self.box
        seen = frames[:, y0:y1, x0:x1]
        seen[(self.wall > 0) & (seen >= self.wall)] = 0
        return frames


@dataclass(frozen=True)
class Look:
    """How frames are looked at: heights (mm), cleaning, what counts as the animal, and the size of its crop (px)."""

    minimum: int = 10
    maximum: int = 120
    dtype: str = "uint8"
    cleaning: Cleaning = field(default_factory=Cleaning)
    largest: bool = True
    crop_size: tuple[int, int] = (80, 80)
    rotate: bool = True
    threshold: float = -16.0  # of the log-likelihood that a tracker gives a pixel of the animal
    clip: float = -100.0  # log-likelihoods below are set to it
    compat: bool = False


def record(look: Look, *, crops: bool = True, tracked: bool = False) -> np.dtype:
    """The type of one frame's record: FEATURES, then of the crop what can be measured, then the crops themselves.

    `area` (pixels of the cleaned crop with minimum < h < maximum) and `height` (their mean, mm, NaN without any);
    `raw_area`, `raw_height` of the crop before cleaning; `frames` (heights), `cleaned`, `mask` (bool, or float32
    log-likelihoods where an animal is tracked), each of `look.crop_size`.
    """
    fields: list[Any] = [(name, FEATURES[name]) for name in FEATURES.names or ()]
    if crops:
        fields += [("area", "i8"), ("height", "f8"), ("raw_area", "i8"), ("raw_height", "f8")]
        fields += [("frames", look.dtype, look.crop_size), ("cleaned", look.dtype, look.crop_size)]
        fields += [("mask", "f4" if tracked else "?", look.crop_size)]
    return np.dtype(fields)
