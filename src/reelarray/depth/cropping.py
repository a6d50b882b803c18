"""Crops that follow the animal: its position in the middle, its main axis along +x, by one bilinear sampling.

Where a pixel of a crop lies in its frame is known to 2^-16 px, and from there on all is arithmetic of integers. So no
order of operations, machine, compiler or block changes a bit, and a crop turned by 180 degrees is the crop of the
opposite orientation.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

Size = tuple[int, int]  # rows, columns

FINE = 24  # bits behind the point of positions and directions: 2.4e-6 px at the edge of a crop of 80 px
BITS = 16  # of the positions of single pixels; two weights of 16 bits times 16 bits of height fit 53
FAR = np.int64(-(1 << 20) << FINE)  # a position that no pixel of any crop or frame is near


def crop(
    stack: np.ndarray,
    x: Any,
    y: Any,
    orientation: Any,
    size: Size = (80, 80),
    *,
    nearest: bool = False,
    rotate: bool = True,
    dtype: Any = None,
) -> np.ndarray:
    """Frames (n, y, x) and where the animal is (n,) -> (n, rows, columns), the animal in the middle, lying along +x.

    The position falls on the middle of the crop, (39.5, 39.5) for 80 x 80 pixels. Values are bilinear, the exact value
    rounded to the nearest integer and from halves to the even one; outside of the frame all is 0. Crops of frames
    without a position are 0. Turning a crop by 180 degrees (`half_turn`) gives the crop at `orientation` + pi.

    Parameters
    ----------
    stack : integers of 8 or 16 bits; with `nearest` of any type
    x, y : column and row, px
    orientation : of the main axis, rad, mathematical sense: its direction in the image is (cos, -sin)
    size : rows and columns of the crop
    nearest : take the nearest pixel, as of a mask
    rotate : False for animals that do not turn (head-fixed): crops keep the axes of the frame
    dtype : of the result; that of `stack` unless given

    >>> frame = np.zeros((1, 5, 7), "u1")
    >>> frame[0, 1:4, 3] = 10, 20, 30  # downwards; -pi/2 points down
    >>> crop(frame, [3.0], [2.0], [-np.pi / 2], (1, 5))
    array([[[ 0, 10, 20, 30,  0]]], dtype=uint8)
    >>> crop(frame, [3.0], [2.0], [0.0], (4, 2), rotate=False)[0, :, 0]
    array([ 2,  8, 12,  8], dtype=uint8)
    """
    out = np.empty((len(stack), *size), stack.dtype if dtype is None else dtype)
    sample([stack], [out], placements(x, y, orientation, rotate=rotate), nearest=[nearest])
    return out


def half_turn(crops: np.ndarray, turn: Any) -> np.ndarray:
    """Crops (n, rows, columns) and whether to turn each (n,) bool -> new crops, those turned by 180 degrees.

    >>> half_turn(np.arange(6).reshape(1, 2, 3), [True])[0]
    array([[5, 4, 3],
           [2, 1, 0]])
    """
    turn = np.asarray(turn, bool).reshape(-1, 1, 1)
    return np.where(turn, crops[:, ::-1, ::-1], crops)


def placements(x: Any, y: Any, orientation: Any, *, rotate: bool = True) -> np.ndarray:
    """Positions [px] and orientations [rad], (n,) each -> (n, 4) int64: x, y, cosine, sine, in units of 2^-24.

    What is NaN or not finite is put where there is no frame.
    """
    x, y, orientation = (np.atleast_1d(np.asarray(values, "f8")) for values in (x, y, orientation))
    known = (abs(x) < 1 << 16) & (abs(y) < 1 << 16)
    if rotate:
        known &= np.isfinite(orientation)
    angle = np.where(known, orientation if rotate else 0.0, 0.0)
    out = np.empty((len(known), 4), "i8")
    for values, made in zip((x, y, np.cos(angle), np.sin(angle)), out.T, strict=True):
        made[:] = np.rint(np.where(known, values, 0.0) * (1 << FINE))
    out[~known, :2] = FAR
    return out


def sample(
    stacks: Sequence[np.ndarray], outs: Sequence[np.ndarray], placements: np.ndarray, *, nearest: Sequence[bool]
) -> None:
    """Fill `outs`, (n, rows, columns) each, from `stacks`, (n, y, x) each, all of one shape: one transform for all.

    `nearest`: for each stack, whether pixels are taken as they are. In whole numbers: pixel (row, column) of a crop is
    X + u cos + v sin, Y - u sin + v cos in its frame, where u and v are its column and row from the middle of the crop.
    """
    rows, columns = stacks[0].shape[1:]
    size = outs[0].shape[1:]
    padded = [np.zeros((rows + 4, columns + 4), stack.dtype) for stack in stacks]  # 2 pixels of nothing all round
    for k, place in enumerate(placements):
        at_x, at_y = pixels(place, size)
        between, close = None, None
        for stack, out, frame, whole in zip(stacks, outs, padded, nearest, strict=True):
            frame[2:-2, 2:-2] = stack[k]
            if whole:
                close = close if close is not None else _indices(at_x + (1 << BITS - 1), at_y + (1 << BITS - 1), frame)
                out[k] = frame.ravel()[close]
            else:
                between = between if between is not None else (_indices(at_x, at_y, frame), *_rests(at_x, at_y))
                out[k] = _bilinear(frame, *between)


def pixels(place: np.ndarray, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels of a crop lie: columns and rows of the frame, (rows, columns) each, in units of 2^-16 px."""
    x, y, cosine, sine = place
    u, v = _grid(size)
    half = 1 << (FINE - BITS)  # positions come in units of 2^-25, as those of the grid are in half pixels
    at_x = (2 * x + half + u * cosine + v * sine) >> (FINE - BITS + 1)
    at_y = (2 * y + half - u * sine + v * cosine) >> (FINE - BITS + 1)
    return at_x, at_y


@lru_cache(maxsize=8)
def _grid(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of a crop from its middle, in half pixels."""
    rows, columns = size
    return 2 * np.arange(columns) - (columns - 1), 2 * np.arange(rows)[:, None] - (rows - 1)


def _indices(at_x: np.ndarray, at_y: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """The pixel at or before each position, as an index into the padded frame: in its rim for all that is outside."""
    rows, columns = frame.shape
    row, column = np.clip((at_y >> BITS) + 2, 0, rows - 2), np.clip((at_x >> BITS) + 2, 0, columns - 2)
    return row * columns + column


def _rests(at_x: np.ndarray, at_y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return at_x & (1 << BITS) - 1, at_y & (1 << BITS) - 1


def _bilinear(frame: np.ndarray, index: np.ndarray, right: np.ndarray, down: np.ndarray) -> np.ndarray:
    flat, columns, one = frame.ravel(), frame.shape[1], 1 << BITS
    above = (one - right) * flat[index] + right * flat[index + 1]
    below = (one - right) * flat[index + columns] + right * flat[index + columns + 1]
    return np.rint(((one - down) * above + down * below) * 2.0 ** (-2 * BITS))  # at most 48 bits: exact
