"""Heights above the floor, in whole millimetres, of what is seen within an arena."""

from __future__ import annotations

import numpy as np

from ..errors import RecordingError
from .records import Box


def as_depths(frames: np.ndarray) -> np.ndarray:
    """Whole mm of any type -> uint16 in the byte order of this machine, which all arithmetic here relies on.

    Raises
    ------
    RecordingError : numbers that are no depths, and would become others

    >>> as_depths(np.array([0, 675])).dtype
    dtype('uint16')
    """
    if frames.dtype == np.uint16:
        return frames
    if frames.size and (frames.min() < 0 or frames.max() > np.iinfo(np.uint16).max):
        raise RecordingError(f"depths from {frames.min()} to {frames.max()} were given; 0 to 65535 mm were expected")
    return frames.astype(np.uint16)


def heights(
    frames: np.ndarray,
    floor: np.ndarray,
    inside: np.ndarray,
    box: Box,
    *,
    minimum: int = 10,
    maximum: int = 120,
    dtype: str = "uint8",
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Depths (n, rows, columns) [mm] -> heights (n, y, x) [mm] within the box: floor - depth, rounded down.

    0 where there was no return, outside of the arena, where the floor is not known, and where the height is below
    `minimum` or above `maximum`. `floor` [mm] and `inside` (y, x) are those of the box. Everything is compared before
    it is cast: nothing wraps, neither a hole of 200 mm nor a hand of 300 mm.

    Raises
    ------
    RecordingError : heights up to `maximum` do not fit `dtype`

    >>> frames = np.array([[[600, 640, 0, 900, 400]]], "u2")
    >>> heights(frames, np.full((1, 5), 650.5), np.ones((1, 5), bool), (0, 1, 0, 5))
    array([[[50, 10,  0,  0,  0]]], dtype=uint8)
    """
    if out is None:
        out = np.empty((len(frames), box[1] - box[0], box[3] - box[2]), dtype)
    level, least, span = bounds(floor, inside, minimum, maximum, out.dtype)
    for frame, made in zip(as_depths(frames), out, strict=True):
        depth = frame[box[0] : box[1], box[2] : box[3]]
        height = level - depth  # modulo 2^16 where depth > level, which the third test finds
        np.multiply(height, (height - least <= span) & (depth != 0) & (depth < level), out=made, casting="unsafe")
    return out


def above(frames: np.ndarray, floor: np.ndarray, inside: np.ndarray, box: Box, *, maximum: int = 120) -> np.ndarray:
    """Depths (n, rows, columns) [mm] -> (n,) how many pixels of the arena are higher than `maximum`."""
    level, _, _ = bounds(floor, inside, 0, 0, np.dtype("u1"))
    depth = as_depths(frames)[:, box[0] : box[1], box[2] : box[3]]
    return np.array([np.count_nonzero((d != 0) & (d < level) & (level - d > np.uint16(maximum))) for d in depth], "i8")


def bounds(
    floor: np.ndarray, inside: np.ndarray, minimum: int, maximum: int, dtype: np.dtype
) -> tuple[np.ndarray, np.uint16, np.uint16]:
    """The floor as uint16, 0 where nothing can be measured; the least height, and how much larger the largest is."""
    if maximum > np.iinfo(dtype).max or not 0 <= minimum <= maximum:
        raise RecordingError(
            f"min_height={minimum} and max_height={maximum} were given with frame_dtype={str(dtype)!r}; expected "
            f"0 <= min_height <= max_height <= {np.iinfo(dtype).max}: change them, or pass frame_dtype='uint16'"
        )
    known = np.nan_to_num(np.floor(floor), nan=0.0, posinf=0.0, neginf=0.0)
    level = np.where(inside, np.clip(known, 0, 65535), 0).astype("u2")
    return level, np.uint16(minimum), np.uint16(maximum - minimum)
