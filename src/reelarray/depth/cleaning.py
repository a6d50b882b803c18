"""Cleaning of heights: medians take out single pixels, erosion a cable, opening the tail and all that is as thin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import ndimage

from ..errors import RecordingError

Element = tuple[tuple[bool, ...], ...]  # rows of a structuring element, anchored at (rows // 2, columns // 2)
Run = tuple[int, int, int]  # of an element: row and first column from its anchor, length


def ellipse(rows: int, columns: int) -> np.ndarray:
    """The filled ellipse within (rows, columns) pixels, bool: the one that OpenCV draws, so that filters agree with it.

    Row i is 2 dx + 1 wide, where dx = round(c sqrt(1 - ((i - r) / r)^2)) with r = rows // 2 and c = columns // 2.

    >>> ellipse(9, 9).sum(axis=1)
    array([1, 7, 7, 9, 9, 9, 7, 7, 1])
    """
    middle, center = rows // 2, columns // 2
    dy = np.arange(rows) - middle
    inverse = 1 / middle**2 if middle else 0.0  # in this order, as rounding decides at half pixels
    reach = np.rint(center * np.sqrt((middle**2 - dy * dy) * inverse))
    return np.abs(np.arange(columns) - center) <= reach[:, None]


def element(pixels: Any) -> Element:
    """Rows of a structuring element, (rows, columns) of anything that is or is not -> a value that can be hashed."""
    return tuple(tuple(bool(pixel) for pixel in row) for row in pixels)


_TAIL, _CABLE = element(ellipse(9, 9)), element(np.ones((5, 5)))


@dataclass(frozen=True)
class Cleaning:
    """What is done to heights, in this order; 0 iterations and sizes below 2 are off, sizes are odd.

    Erosion by `cable` (`cable_iterations` times), medians of `spatial` x `spatial` pixels, opening by `tail`
    (`tail_iterations` erosions, then as many dilations), medians of `temporal` frames.
    """

    spatial: tuple[int, ...] = (3,)
    tail: Element = _TAIL
    tail_iterations: int = 1
    cable: Element = _CABLE
    cable_iterations: int = 0
    temporal: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        for name in ("spatial", "temporal"):
            sizes = getattr(self, name)
            sizes = tuple(int(size) for size in (sizes if isinstance(sizes, Sequence | np.ndarray) else [sizes]))
            if any((size > 1 and size % 2 == 0) or size < 0 for size in sizes):
                raise RecordingError(f"{name}={sizes} was given; odd sizes were expected (0: no median)")
            object.__setattr__(self, name, sizes)
        for name in ("tail", "cable"):
            rows = element(getattr(self, name))
            if not any(map(any, rows)) or len(set(map(len, rows))) != 1:
                raise RecordingError(f"{name} has no pixel or no equal rows; (rows, columns) of booleans were expected")
            object.__setattr__(self, name, rows)

    @property
    def halo(self) -> int:
        """Frames on either side that a cleaned frame depends on."""
        return sum(size // 2 for size in self.temporal)


def clean(heights: np.ndarray, cleaning: Cleaning, *, lead: int = 0, trail: int = 0) -> np.ndarray:
    """Cleaned heights: (n, y, x) [mm] -> (n - lead - trail, y, x) [mm], of the same unsigned integers.

    The first `lead` and the last `trail` frames are there for their neighbours only: `cleaning.halo` of them, or fewer
    where the recording starts or ends, for there temporal medians take the frames that there are (of an even number
    the mean of both middle values, rounded down). At the border of the image medians repeat its pixels, and what is
    outside neither erodes nor dilates.

    >>> heights = np.zeros((1, 16, 16), "u1")
    >>> heights[0, 2:13, 2:13] = 40  # a body
    >>> heights[0, 7, 13:] = 14  # and a thin tail
    >>> int(heights[0, 7, 14]), int(clean(heights, Cleaning())[0, 7, 14]), int(clean(heights, Cleaning())[0, 7, 7])
    (14, 0, 40)
    """
    return over_time(clean_frames(heights, cleaning), cleaning, lead=lead, trail=trail)


def clean_frames(heights: np.ndarray, cleaning: Cleaning) -> np.ndarray:
    """(n, y, x) [mm] -> (n, y, x) [mm]: all that is done to each frame by itself."""
    for _ in range(cleaning.cable_iterations):
        heights = erode(heights, cleaning.cable)
    for size in cleaning.spatial:
        heights = median(heights, size)
    for _ in range(cleaning.tail_iterations):
        heights = erode(heights, cleaning.tail)
    for _ in range(cleaning.tail_iterations):
        heights = dilate(heights, cleaning.tail)
    return heights


def over_time(heights: np.ndarray, cleaning: Cleaning, *, lead: int = 0, trail: int = 0) -> np.ndarray:
    """(n, y, x) [mm] -> (n - lead - trail, y, x) [mm]: medians of neighbouring frames."""
    for size in cleaning.temporal:
        if size > 1:
            heights = _median_over_time(heights, size)
    return heights[lead : len(heights) - trail]


def _median_over_time(frames: np.ndarray, size: int) -> np.ndarray:
    """Only pixels that have a height in half of the frames need a closer look: of the others the median is 0."""
    out = np.zeros_like(frames)
    for i in range(len(frames)):
        window = frames[max(0, i - size // 2) : i + size // 2 + 1]
        below, above = (len(window) - 1) // 2, len(window) // 2
        y, x = np.nonzero(np.count_nonzero(window, axis=0) >= len(window) - above)
        ordered = np.partition(window[:, y, x], (below, above), axis=0).astype("u4")
        out[i, y, x] = (ordered[below] + ordered[above]) // 2
    return out


def median(frames: np.ndarray, size: int) -> np.ndarray:
    """(..., y, x) -> the same: median of size x size pixels, those at the border repeated beyond it."""
    if size < 2:
        return frames
    if size > 3:
        return _median_of_many(frames, size)
    padded = np.pad(frames, [(0, 0)] * (frames.ndim - 2) + [(1, 1), (1, 1)], mode="edge")
    low, middle, high = _ordered(padded[..., :-2, :], padded[..., 1:-1, :], padded[..., 2:, :])
    # The median of nine is the median of: the largest of the lows of each column, the middle of the middles, the least
    # of the highs (Smith, Xilinx application note 98, 1996).
    low = np.maximum(np.maximum(low[..., :-2], low[..., 1:-1]), low[..., 2:])
    middle = _ordered(middle[..., :-2], middle[..., 1:-1], middle[..., 2:])[1]
    high = np.minimum(np.minimum(high[..., :-2], high[..., 1:-1]), high[..., 2:])
    return _ordered(low, middle, high)[1]


def _ordered(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The least, the middle and the largest of three."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    return np.minimum(low, c), np.maximum(low, np.minimum(high, c)), np.maximum(high, c)


def _median_of_many(frames: np.ndarray, size: int) -> np.ndarray:
    """Only round what is there: further off a median of zeros is zero."""
    flat = frames.reshape(-1, *frames.shape[-2:])
    out, reach = np.zeros_like(flat), size // 2
    for frame, made in zip(flat, out, strict=True):
        rows, columns = np.flatnonzero(frame.any(axis=1)), np.flatnonzero(frame.any(axis=0))
        if not len(rows):
            continue
        y0, y1 = (
            max(rows[0] - reach, 0),
            rows[-1] + reach + 1,
        )  # zeros round it, or the image's border
        x0, x1 = max(columns[0] - reach, 0), columns[-1] + reach + 1
        made[y0:y1, x0:x1] = ndimage.median_filter(frame[y0:y1, x0:x1], size=size, mode="nearest")
    return out.reshape(frames.shape)


def erode(frames: np.ndarray, shape: Element) -> np.ndarray:
    """(..., y, x) -> the same: least value under the element; what is outside of the image is larger than anything."""
    return _extreme(frames, runs(shape), np.minimum, np.iinfo(frames.dtype).max)


def dilate(frames: np.ndarray, shape: Element) -> np.ndarray:
    """(..., y, x) -> the same: largest value under the element turned by 180 degrees: dilate after erode opens."""
    return _extreme(frames, turned(runs(shape)), np.maximum, 0)


@lru_cache(maxsize=64)
def runs(shape: Element) -> tuple[Run, ...]:
    """The rows of an element as runs of pixels, the shortest first.

    >>> runs(((False, True, False), (True, True, True), (False, True, False)))
    ((-1, 0, 1), (1, 0, 1), (0, -1, 3))
    """
    found = []
    for i, row in enumerate(shape):
        edges = np.flatnonzero(np.diff(np.array([False, *row, False]).astype("i1")))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            found.append((i - len(shape) // 2, int(start) - len(row) // 2, int(stop - start)))
    return tuple(sorted(found, key=lambda run: run[::-1]))


def turned(found: tuple[Run, ...]) -> tuple[Run, ...]:
    """Runs of the element turned by 180 degrees about its anchor."""
    return tuple((-dy, 1 - dx - length, length) for dy, dx, length in found)


def margins(found: tuple[Run, ...]) -> tuple[int, int, int, int]:
    """How far runs reach from the anchor: up, down, left, right; never below 0."""
    up, down = max(-dy for dy, _, _ in found), max(dy for dy, _, _ in found)
    left, right = max(-dx for _, dx, _ in found), max(dx + length - 1 for _, dx, length in found)
    return max(up, 0), max(down, 0), max(left, 0), max(right, 0)


def _extreme(frames: np.ndarray, found: tuple[Run, ...], wins: Callable[..., np.ndarray], outside: int) -> np.ndarray:
    """The extreme of each run in few steps, as runs of 2, 4, 8, ... pixels are two halves; then that of all runs."""
    up, down, left, right = margins(found)
    rows, columns = frames.shape[-2:]
    around = [(0, 0)] * (frames.ndim - 2) + [(up, down), (left, right)]
    padded = np.pad(frames, around, constant_values=outside)
    out, width, length_made = None, 1, 0
    half = row = padded
    for dy, dx, length in found:
        while 2 * width <= length:
            half = wins(half[..., :-width], half[..., width:])
            width *= 2
        if length != length_made:
            rest = length - width
            row = wins(half[..., : half.shape[-1] - rest], half[..., rest:]) if rest else half
            length_made = length
        part = row[..., up + dy : up + dy + rows, left + dx : left + dx + columns]
        out = part.copy() if out is None else wins(out, part, out=out)
    assert out is not None  # an element has a pixel
    return out
