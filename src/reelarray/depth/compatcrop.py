"""Crops as moseq2-extract makes them: a window of whole pixels, turned about a pixel that is not quite its middle."""

from __future__ import annotations

import math

import numpy as np

from .cropping import Size
from .opencv import opencv

POSITION, BETWEEN = 10, 5  # bits behind the point: of positions, and of what is left of them between two pixels


def crop_compat(
    heights: np.ndarray,
    cleaned: np.ndarray,
    mask: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    orientation: np.ndarray,
    size: Size = (80, 80),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three stacks (n, y, x), and where the animal is (n,) [px], [rad] -> their crops (n, rows, columns).

    A window of whole pixels, turned about pixel (columns // 2, rows // 2) by the unwrapped orientation; 0 where there
    is no position.
    """
    cv2 = opencv()
    stacks = heights, cleaned, mask.view("u1")
    outs = [np.zeros((len(stack), *size), stack.dtype) for stack in stacks]
    for k, place in enumerate(zip(x, y, orientation, strict=True)):
        if not all(map(math.isfinite, place)):
            continue
        columns, rows = _window(float(place[0]), size[1]), _window(float(place[1]), size[0])
        pixels, rests = _turned(float(place[2]), size)
        for stack, out in zip(stacks, outs, strict=True):
            window = _cut(stack[k], rows, columns)
            out[k] = cv2.remap(window, pixels, rests, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return outs[0], outs[1], outs[2].view(bool)


def _window(center: float, size: int) -> tuple[int, int]:
    """First pixel and the one behind the last. Rounding of the sums, in this order, makes some windows one larger."""
    half = size // 2
    wide = math.ceil((center + (half + 1)) - (center - half))
    return int(center - half), int(center - half + wide - 1)


def _cut(frame: np.ndarray, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    """A window of a frame, 0 outside of it."""
    out = np.zeros((rows[1] - rows[0], columns[1] - columns[0]), frame.dtype)
    y0, y1 = max(rows[0], 0), min(rows[1], frame.shape[0])
    x0, x1 = max(columns[0], 0), min(columns[1], frame.shape[1])
    if y0 < y1 and x0 < x1:
        out[y0 - rows[0] : y1 - rows[0], x0 - columns[0] : x1 - columns[0]] = frame[y0:y1, x0:x1]
    return out


def _turned(orientation: float, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels of a crop lie in its window: (rows, columns, 2) int16 of x and y, and what is left of them.

    These are the positions that `cv2.warpAffine` makes up to version 4.13, in whole 1024ths and 32nds of a pixel;
    version 5 takes exact ones instead, which changes some pixels. `cv2.remap` takes them as they are in each version.
    """
    rows, columns = size
    turn = opencv().getRotationMatrix2D((columns // 2, rows // 2), float(-np.rad2deg(orientation)), 1)
    (a, b, right), (c, d, down) = turn.tolist()
    scale = 1 / (a * d - b * c)
    a, b, c, d = d * scale, -b * scale, -c * scale, a * scale
    x, y = np.arange(columns), np.arange(rows)[:, None]
    half = 1 << (POSITION - BETWEEN - 1)
    at = np.empty((rows, columns, 2), "i8")
    for i, (along, across, shift) in enumerate([(a, b, -a * right - b * down), (c, d, -c * right - d * down)]):
        at[..., i] = np.rint((across * y + shift) * (1 << POSITION)) + half + np.rint(along * x * (1 << POSITION))
    at >>= POSITION - BETWEEN
    rest = at & (1 << BETWEEN) - 1
    return (at >> BETWEEN).astype("i2"), ((rest[..., 1] << BETWEEN) + rest[..., 0]).astype("u2")
