"""Samples in blocks of equal length, with something else between them; and where time jumps from block to block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..errors import FormatError, TruncatedFile
from ..source import Layout
from .pcm import encoding
from .ranges import check_frames, read_range
from .stated import LONGEST

MOST_BREAKS = 2**17  # each takes a hundred bytes of memory


@dataclass(frozen=True)
class BlockSource:
    """Reads frames that lie in blocks: one open, one seek and one read from the first sample asked for to the last.

    What lies between the blocks is read along and dropped: headers or footers of a few bytes, against thousands of
    samples.

    `offset` is where the first sample lies, `stride` the bytes from a block to the next, `block` the frames in each.
    A frame has `channels` numbers; `swapped` ones are handed out in reverse (pairs that are stored Q, I).
    """

    path: str
    frames: int
    code: str
    offset: int
    stride: int
    block: int
    channels: int
    swapped: bool
    bytes: int
    modified_ns: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.frames,) if self.channels == 1 else (self.frames, self.channels)

    @property
    def dtype(self) -> np.dtype:
        return encoding(self.code).dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        """Frames [start, stop) -> (frames[, channels]) counts in native byte order."""
        check_frames(self.path, start, stop, self.frames)
        stored = np.dtype(self.code)
        if start == stop:
            return np.empty((0, *self.shape[1:]), self.dtype)
        first, skipped = divmod(start, self.block)
        last, kept = divmod(stop - 1, self.block)
        width = stored.itemsize * self.channels
        # Room for whole blocks, of which only the bytes from the first frame to the last are read and handed on.
        room = np.empty((last - first) * self.stride + self.block * width, np.uint8)
        wanted = room.data[skipped * width : (last - first) * self.stride + (kept + 1) * width]
        begin = self.offset + first * self.stride + skipped * width
        found = read_range(self.path, begin, wanted, self.bytes, self.modified_ns)
        if found < len(wanted):
            blocks, rest = divmod(skipped * width + found, self.stride)
            there = blocks * self.block + min(rest // width, self.block) - skipped
            raise TruncatedFile(self.path, wanted=stop - start, found=max(there, 0))
        shape = (last - first + 1, self.block, self.channels)
        blocks_of = np.ndarray(shape, stored, room.data, strides=(self.stride, width, stored.itemsize))
        if self.swapped:
            # column by column, a sixth of the time that a copy of the reversed view takes
            frames = np.empty(shape, self.dtype)
            for column in range(self.channels):
                frames[..., column] = blocks_of[..., self.channels - 1 - column]
        else:
            frames = np.ascontiguousarray(blocks_of, self.dtype)
        return frames.reshape(-1, *self.shape[1:])[skipped : skipped + stop - start]


def source(path: str, frames: int, layout: Layout, bytes: int, modified_ns: int) -> BlockSource:
    code, offset, stride, block, channels, swapped = layout
    return BlockSource(
        path,
        frames,
        str(code),
        int(offset or 0),
        int(stride or 0),
        int(block or 0),
        int(channels or 0),
        bool(swapped),
        bytes,
        modified_ns,
    )


def frames_there(size: int, offset: int, stride: int, block: int, width: int) -> int:
    """How many whole frames of `width` bytes a file of `size` bytes holds, the last block perhaps cut short.

    >>> frames_there(1000, 24, 424, 100, 4)  # 24 + 400 bytes, 24 + 400, 24 + 128
    232
    """
    blocks, rest = divmod(max(size - offset, 0), stride)
    return blocks * block + min(rest // width, block)


def breaks(
    found: tuple[tuple[int, int], ...] | None, second: Fraction, block: int
) -> tuple[tuple[int, int], ...] | None:
    """Blocks and ticks of `jumps` -> frames and ns, as in `Header.breaks`; `second` is how many ticks one has.

    None where there is none, and where times are so far apart that they cannot be meant.

    >>> breaks(((3, 55),), Fraction(10**6), 1024)
    ((3072, 55000),)
    """
    if found is None or any(since > LONGEST * second for _, since in found):
        return None
    return tuple((number * block, round(since * 10**9 / second)) for number, since in found)


def jumps(
    path: str, blocks: int, ticks: Callable[[int], int], each: Fraction, tolerance: Fraction
) -> tuple[tuple[int, int], ...] | None:
    """Blocks before which time jumps forward: (block, ticks since the first one), in order; None where it runs back.

    `ticks(block)` reads the time of one block, `each` [ticks] is how long one lasts. Halves whose ends are as far apart
    as the blocks between them last are not looked into, so a file without gaps costs two looks. Raises `FormatError`
    for more than `MOST_BREAKS` jumps: times of rubbish.

    >>> stamps = [0, 10, 20, 55, 65]
    >>> jumps("x.iqt", 5, stamps.__getitem__, Fraction(10), Fraction(1))
    ((3, 55),)
    """
    if blocks < 2:
        return ()
    origin = ticks(0)

    def look(first: int, begins: int, last: int, ends: int) -> Iterator[tuple[int, int]]:
        beyond = ends - begins - (last - first) * each
        if abs(beyond) <= tolerance:
            return
        if last - first == 1:
            yield (last, ends - origin) if beyond > 0 else (last, -1)
            return
        middle = (first + last) // 2
        between = ticks(middle)
        yield from look(first, begins, middle, between)
        yield from look(middle, between, last, ends)

    found: list[tuple[int, int]] = []
    for jump in look(0, origin, blocks - 1, ticks(blocks - 1)):
        if jump[1] < 0:
            return None
        if len(found) == MOST_BREAKS:
            raise FormatError(
                f"{path}: time jumps before more than {MOST_BREAKS:,} of its {blocks:,} blocks, which is no recording; "
                "the file is damaged: skip it"
            )
        found.append(jump)
    return tuple(found)
