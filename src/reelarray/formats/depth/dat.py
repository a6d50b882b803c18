"""Headerless frames of 16 bits, row by row, frame after frame."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ...errors import FormatError, TruncatedFile
from ..ranges import check_frames, read_range

# What the cameras that are read here send (rows, columns), the Kinect's first: frames that nothing is said of are its.
SHAPES = (
    (424, 512), (480, 640), (576, 640), (288, 320), (512, 512), (1024, 1024), (720, 1280), (480, 848), (240, 320),
)  # fmt: skip
PIXEL = 2  # bytes
_NATIVE = "<" if sys.byteorder == "little" else ">"


@dataclass(frozen=True)
class DatSource:
    """Reads frames by offset arithmetic: one open, one seek, and one read straight into the result.

    `order` is "<" or ">". Local files are compared with `size` (bytes) and `modified_ns` (0: unknown) at each read.
    """

    path: str
    frames: int
    height: int
    width: int
    order: str
    size: int
    modified_ns: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.frames, self.height, self.width

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.uint16)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Frames [start, stop) -> (frames, y, x) uint16, in native byte order."""
        check_frames(self.path, start, stop, self.frames)
        out = np.empty((stop - start, self.height, self.width), self.dtype)
        if not out.size:
            return out
        each = self.height * self.width * PIXEL
        found = read_range(self.path, start * each, out.reshape(-1).view(np.uint8).data, self.size, self.modified_ns)
        if found < out.nbytes:
            raise TruncatedFile(self.path, wanted=stop - start, found=found // each)
        return out if self.order == _NATIVE else out.byteswap(inplace=True)


def count_frames(path: str, size: int, shape: tuple[int, int], times: int | None) -> tuple[int, tuple[str, ...]]:
    """Whole frames (rows, columns) in `size` bytes, and flags: "partial_frame" where the file ends inside one.

    Raises `FormatError` where the file holds none, or where frames of the shape of another camera fill it to the byte,
    one for each of `times` (their number, None where it is unknown), and those of `shape` do not.

    >>> count_frames("x.dat", 2 * 512 * 424 * 3 + 7, (424, 512), 3)
    (3, ('partial_frame',))
    """
    each = shape[0] * shape[1] * PIXEL
    frames, rest = divmod(size, each)
    if times and times * each != size:
        fits = [other for other in SHAPES if other != shape and times * other[0] * other[1] * PIXEL == size]
        if fits:
            raise FormatError(
                f"{path}: {size:,} bytes hold {size / each:,.10g} frames of {_text([shape])}, but there are {times:,} "
                f"times, and frames of {_text(fits)} would have one each; pass width= and height=, or correct "
                "DepthResolution in metadata.json (timestamps=False if these times belong to something else)"
            )
    if not frames:
        raise FormatError(
            f"{path}: {size:,} bytes were found, one frame of {_text([shape])} has {each:,}; pass width= and height= "
            "if its frames are smaller, else leave the file out: it was never recorded"
        )
    return frames, ("partial_frame",) if rest else ()


def _text(shapes: Iterable[tuple[int, int]]) -> str:
    return " or ".join(f"{columns} x {rows} pixels" for rows, columns in shapes)
