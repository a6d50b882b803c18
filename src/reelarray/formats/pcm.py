"""Samples that lie in a file as they are: numbers of 1 to 8 bytes, in frames, from one byte offset on."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from ..errors import FormatError, TruncatedFile
from .ranges import check_frames, read_range

_CODE = re.compile(r"([<>|=]?)([iuf])([1-8])")
_NATIVE = "<" if sys.byteorder == "little" else ">"


@dataclass(frozen=True)
class Encoding:
    """How one sample is stored, and as what it is handed out.

    `kind` is "i" (signed), "u" (one byte, 128 is zero) or "f"; `width` is the number of bytes in the file; `order` is
    "<" or ">". `dtype` is the smallest NumPy type that holds the integer of the whole container, in native order, and
    `scale` makes full scale 1: 2 ** (1 - 8 * width) for integers, 1 for floats.

    >>> encoding("<i3").dtype, encoding("<i3").scale == 2.0**-23
    (dtype('int32'), True)
    """

    order: str
    kind: str
    width: int
    dtype: np.dtype
    scale: float

    @cached_property
    def code(self) -> str:
        return f"{self.order}{self.kind}{self.width}" if self.width > 1 else f"{self.kind}1"

    @cached_property
    def type(self) -> str:
        return self.dtype.str

    @cached_property
    def subtype(self) -> str:
        """The name that libsndfile gives it, where it has one."""
        if self.kind == "f":
            return "FLOAT" if self.width == 4 else "DOUBLE"
        if self.width == 1:
            return "PCM_U8" if self.kind == "u" else "PCM_S8"
        return f"PCM_{8 * self.width}"


@lru_cache(maxsize=64)
def encoding(code: str) -> Encoding:
    """`"<i2"`, `"<i3"` (24 bits, packed), `"u1"`, `">f4"` ... -> Encoding; raises `FormatError` for anything else."""
    match = _CODE.fullmatch(code)
    order, kind, width = (match[1], match[2], int(match[3])) if match else ("", "", 0)
    if not match or (kind == "f" and width not in (4, 8)) or (kind == "u" and width != 1):
        raise FormatError(
            f"samples of type {code!r} are not known; use '<i2', '<i3' (24 bits, packed) ... '<i8', 'i1', 'u1', '<f4' "
            "or '<f8', with '>' for big-endian"
        )
    order = order if order in ("<", ">") else _NATIVE
    if kind == "f":
        return Encoding(order, kind, width, np.dtype(f"f{width}"), 1.0)
    return Encoding(order, kind, width, np.dtype(f"i{_machine_width(width)}"), 2.0 ** (1 - 8 * width))


@dataclass(frozen=True)
class PcmSource:
    """Reads frames by offset arithmetic: one open, one seek, one read of exactly the bytes asked for.

    Local files are compared with `bytes` and `modified_ns` at each read; remote ones cost one ranged request.
    """

    path: str
    frames: int
    code: str
    offset: int
    channels: int
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
        stored = encoding(self.code)
        count = (stop - start) * self.channels
        if count == 0:
            return np.empty((stop - start, *self.shape[1:]), stored.dtype)
        # Odd widths are read with spare bytes before (or, big-endian, behind) them: see `decode`.
        spare = _machine_width(stored.width) - stored.width
        raw = np.empty(spare + count * stored.width, np.uint8)
        before = spare if stored.order == "<" else 0
        wanted = raw.data[before : before + count * stored.width]
        block = stored.width * self.channels
        found = read_range(self.path, self.offset + start * block, wanted, self.bytes, self.modified_ns)
        if found < len(wanted):
            raise TruncatedFile(self.path, wanted=stop - start, found=found // block)
        return decode(raw, stored, count).reshape(stop - start, *self.shape[1:])


def decode(raw: np.ndarray, stored: Encoding, count: int) -> np.ndarray:
    """(bytes) -> (count) numbers in native order, without a copy where the bytes already are such numbers.

    For a width without a machine type, `raw` has spare bytes at its less significant end, so that a number of the next
    larger type that overlaps its neighbour starts at each sample; a shift drops the neighbour's bytes and extends the
    sign.
    """
    if stored.kind == "u":
        raw ^= 0x80
        return raw.view(np.int8)
    width = _machine_width(stored.width)
    if width == stored.width:
        numbers = raw.view(stored.dtype)
        return numbers if stored.order == _NATIVE else numbers.byteswap(inplace=True)
    overlapping = np.ndarray((count,), f"{stored.order}i{width}", raw.data, strides=(stored.width,))
    return np.right_shift(overlapping, 8 * (width - stored.width), dtype=stored.dtype)


def _machine_width(width: int) -> int:
    return 1 << (width - 1).bit_length()
