"""Samples of SigMF, read where they lie: in the file that was opened, or in another one beside it."""

from __future__ import annotations

import os
import sys
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...errors import TruncatedFile
from ...source import Layout
from ..ranges import check_frames, check_unchanged, explain, is_remote, read_range
from .files import beside

_SWAPPED = ">" if sys.byteorder == "little" else "<"


@dataclass(frozen=True)
class SigmfSource:
    """Reads frames in place: from the file that was opened, or from the one named `data` beside it.

    `positions` says where frames lie, as text: "frame byte frame byte ...", one pair for each run of frames without
    other bytes between them. Both files are compared with the sizes and times of when the header was read.
    """

    path: str
    frames: int
    code: str
    pairs: bool
    channels: int
    data: str | None
    data_bytes: int
    data_modified_ns: int
    positions: str
    bytes: int
    modified_ns: int

    @property
    def shape(self) -> tuple[int, ...]:
        channels = () if self.channels == 1 else (self.channels,)
        return (self.frames, *channels, 2) if self.pairs and "f" not in self.code else (self.frames, *channels)

    @property
    def dtype(self) -> np.dtype:
        return value_type(self.code, self.pairs)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Frames [start, stop) -> (frames[, channels]), or (frames[, channels], 2) for pairs of integers.

        Unsigned integers come with their middle, 2 ** (bits - 1), taken off.
        """
        check_frames(self.path, start, stop, self.frames)
        stored = np.dtype(self.code)
        each = self.channels * (2 if self.pairs else 1)
        out = np.empty((stop - start) * each, stored)
        if self.data is not None and not is_remote(self.path):
            self._check_metadata()
        path = self.path if self.data is None else beside(self.path, self.data)
        block, room = each * stored.itemsize, out.view(np.uint8).data
        for low, high, byte in _pieces(self.positions, start, stop, block):
            wanted = room[(low - start) * block : (high - start) * block]
            found = read_range(path, byte, wanted, self.data_bytes, self.data_modified_ns)
            if found < len(wanted):
                raise TruncatedFile(path, wanted=stop - start, found=low - start + found // block)
        return _signed(out).view(self.dtype).reshape(stop - start, *self.shape[1:])

    def _check_metadata(self) -> None:
        try:
            status = os.stat(self.path)
        except OSError as error:
            explain(self.path, error)
        check_unchanged(self.path, status, self.bytes, self.modified_ns)


def value_type(code: str, pairs: bool) -> np.dtype:
    """The type of what is read: native order, integers signed, pairs of floats as complex numbers.

    >>> value_type(">f4", True), value_type("<u2", True)
    (dtype('complex64'), dtype('int16'))
    """
    width = int(code[-1])
    if "f" not in code:
        return np.dtype(f"i{width}")
    return np.dtype(f"c{2 * width}" if pairs else f"f{width}")


def _signed(stored: np.ndarray) -> np.ndarray:
    """In native order, in place; unsigned integers about 0."""
    if stored.dtype.byteorder == _SWAPPED:
        stored = stored.byteswap(inplace=True).view(stored.dtype.newbyteorder("="))
    if stored.dtype.kind == "u":
        stored ^= stored.dtype.type(1 << (8 * stored.dtype.itemsize - 1))
        return stored.view(np.dtype(f"i{stored.dtype.itemsize}"))
    return stored


def _pieces(positions: str, start: int, stop: int, block: int) -> list[tuple[int, int, int]]:
    """(first frame, one past the last, byte of the first) of each run of frames in [start, stop)."""
    firsts, bytes_ = _runs(positions)
    run = max(0, bisect_right(firsts, start) - 1)
    found = []
    while start < stop:
        until = min(stop, firsts[run + 1]) if run + 1 < len(firsts) else stop
        found.append((start, until, bytes_[run] + (start - firsts[run]) * block))
        start, run = until, run + 1
    return found


@lru_cache(maxsize=256)
def _runs(positions: str) -> tuple[list[int], list[int]]:
    numbers = [int(number) for number in positions.split()]
    return numbers[::2], numbers[1::2]


def source(path: str, frames: int, layout: Layout, bytes: int, modified_ns: int) -> SigmfSource:
    code, pairs, channels, data, data_bytes, data_modified, positions = layout
    return SigmfSource(
        path,
        frames,
        str(code),
        bool(pairs),
        int(channels or 1),
        None if data is None else str(data),
        int(data_bytes or 0),
        int(data_modified or 0),
        str(positions),
        bytes,
        modified_ns,
    )
