"""Complex samples that lie in a file as they are: pairs I, Q of integers or floats, from one byte offset on."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import ClockError, FormatError
from ..exact import exact_rate
from ..source import Header, Layout, Source
from .pcm import Encoding, PcmSource, encoding
from .ranges import HeaderBytes

# As SigMF names them, with the s of other tools for i.
_NAME = re.compile(r"c([isuf])(8|16|24|32|40|48|56|64)(?:_([lb])e)?")
# As NumPy names them: bytes of both components. ("complex64" is what values become, for those who open a file.)
_NUMPY = {f"{mark}c{2 * bits // 8}": f"cf{bits}_{end}e" for mark, end in ("<l", ">b") for bits in (32, 64)}
_KNOWN = "'ci8', 'cu8', 'ci16_le', 'cu16_le', 'ci32_le', 'cu32_le', 'cf32_le' or 'cf64_le', with _be for big-endian"


@dataclass(frozen=True)
class PairEncoding:
    """How a pair is stored, and as what it is handed out.

    `component` is the encoding of I and of Q. Where `biased`, the middle of the unsigned range is zero, and is taken
    off. Integers keep a last axis of 2; floats are complex numbers, of `dtype`. `scale` makes full scale 1.

    >>> pair_encoding("cs16").name, pair_encoding("cs16").dtype, pair_encoding("<c8").name
    ('ci16_le', dtype('int16'), 'cf32_le')
    """

    name: str
    component: Encoding
    biased: bool

    @property
    def iq(self) -> bool:
        return self.component.kind != "f"

    @property
    def width(self) -> int:
        return 2 * self.component.width

    @property
    def dtype(self) -> np.dtype:
        return self.component.dtype if self.iq else np.dtype(f"c{self.width}")

    @property
    def scale(self) -> float:
        return self.component.scale


def is_pairs(dtype: str) -> bool:
    """Does this name a type of complex samples, right or wrong?"""
    return dtype[:1] == "c" or dtype in _NUMPY


@lru_cache(maxsize=64)
def pair_encoding(name: str) -> PairEncoding:
    """`"ci16_le"`, `"cu8"`, `"cf32_le"`, `"<c8"` ... -> PairEncoding; raises `FormatError` for anything else."""
    match = _NAME.fullmatch(_NUMPY.get(name, name))
    kind, bits, end = (match[1].replace("s", "i"), int(match[2]), match[3] or "l") if match else ("", 0, "")
    if not match or (kind == "f" and bits not in (32, 64)) or (kind == "u" and bits not in (8, 16, 32)):
        raise FormatError(f"complex samples of type {name!r} are not known; use {_KNOWN}")
    order, width = "<" if end == "l" else ">", bits // 8
    # One byte has an encoding for it; wider ones are read as if signed, and `read` turns the highest bit over.
    stored = encoding("u1" if kind == "u" and width == 1 else f"{order}{'f' if kind == 'f' else 'i'}{width}")
    return PairEncoding(f"c{kind}{bits}{f'_{end}e' if width > 1 else ''}", stored, kind == "u" and width > 1)


@dataclass(frozen=True)
class PairSource:
    """Reads pairs by offset arithmetic: integers as (frames[, channels], 2), floats as complex (frames[, channels]).

    With `swapped` the file has Q first.
    """

    path: str
    frames: int
    type: str
    offset: int
    channels: int
    swapped: bool
    bytes: int
    modified_ns: int

    @property
    def shape(self) -> tuple[int, ...]:
        return pair_shape(self.frames, self.channels, pair_encoding(self.type))

    @property
    def dtype(self) -> np.dtype:
        return pair_encoding(self.type).dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        """Frames [start, stop), I before Q, unsigned integers with zero in the middle, in native byte order."""
        stored = pair_encoding(self.type)
        numbers = PcmSource(
            self.path,
            self.frames,
            stored.component.code,
            self.offset,
            2 * self.channels,
            self.bytes,
            self.modified_ns,
        ).read(start, stop)
        if stored.biased:
            numbers ^= np.iinfo(numbers.dtype).min
        pairs = numbers.reshape(stop - start, *(() if self.channels == 1 else (self.channels,)), 2)
        if self.swapped:
            pairs = np.ascontiguousarray(pairs[..., ::-1])
        return pairs if stored.iq else pairs.view(stored.dtype)[..., 0]


def pair_shape(frames: int, channels: int, stored: PairEncoding) -> tuple[int, ...]:
    """Shape of so many frames: a `channel` axis for two and more, and one of 2 for pairs of integers."""
    return (frames, *(() if channels == 1 else (channels,)), *((2,) if stored.iq else ()))


def headerless(
    file: HeaderBytes,
    format: str,
    *,
    rate: float | str | Fraction,
    dtype: str,
    channels: int = 1,
    offset: int = 0,
    center_frequency: float | None = None,
    scale: float | None = None,
    metadata: dict[str, Any] | None = None,
) -> Header:
    """The header of pairs from byte `offset` to the end of a file, where nothing but the caller describes them.

    `center_frequency` None is 0 Hz: frequencies are then offsets. `scale` [V] is that of one count (of 1.0 for floats);
    None makes full scale 1. Flags: "partial_frame" where the file ends inside a frame.
    """
    path = file.path
    stored = pair_encoding(dtype)
    check_radio(path, center_frequency=center_frequency, scale=scale)
    if offset > file.size:
        raise FormatError(
            f"{path} has {file.size} bytes, the samples should begin at byte {offset}; give a smaller offset="
        )
    frames, rest = divmod(file.size - offset, stored.width * channels)
    return Header(
        path=path,
        format=format,
        frames=frames,
        rate=exact_rate(rate),
        shape=pair_shape(frames, channels, stored),
        dtype=stored.dtype.str,
        subtype=stored.name,
        layout=(stored.name, offset, channels),
        bytes=file.size,
        modified_ns=file.modified_ns,
        scale=stored.scale if scale is None else scale,
        units="1" if scale is None else "V",
        flags=("partial_frame",) if rest else (),
        metadata=metadata or {},
        iq=stored.iq,
        center_frequency=0.0 if center_frequency is None else float(center_frequency),
    )


def check_radio(
    path: str,
    *,
    rate: float | str | Fraction | None = None,
    center_frequency: float | None = None,
    scale: float | None = None,
) -> None:
    """Refuse what cannot be: raises `FormatError` that names the keyword. None is left alone."""
    if rate is not None:
        try:
            exact_rate(rate)
        except ClockError:
            raise FormatError(f"{path}: rate={rate} was given, a number of samples a second > 0 was expected") from None
    if center_frequency is not None and not math.isfinite(center_frequency):
        raise FormatError(
            f"{path}: center_frequency={center_frequency} was given, a number of Hz was expected; leave it out if it "
            "is not known"
        )
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise FormatError(f"{path}: scale={scale} was given, volts a count > 0 were expected")


def source(path: str, frames: int, layout: Layout, bytes: int, modified_ns: int) -> Source:
    """Of samples, or pairs of them, that lie end to end: layout is (code, offset, channels[, Q comes first])."""
    code, offset, channels, *swapped = layout
    place = int(offset or 0), int(channels or 1)
    if is_pairs(str(code)):
        return PairSource(path, frames, str(code), *place, bool(swapped and swapped[0]), bytes, modified_ns)
    return PcmSource(path, frames, str(code), *place, bytes, modified_ns)
