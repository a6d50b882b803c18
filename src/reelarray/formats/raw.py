"""Headerless samples, with the layout that the caller gives."""

from __future__ import annotations

import math
from contextlib import closing
from fractions import Fraction

from ..errors import FormatError
from ..source import Format, Header
from .pcm import encoding
from .ranges import HeaderBytes
from .wav import source


def probe(
    path: str,
    *,
    rate: float | Fraction | None = None,
    dtype: str | None = None,
    channels: int = 1,
    offset: int = 0,
) -> Header:
    """Describe a file without a header.

    Parameters
    ----------
    rate : frames a second [Hz]
    dtype : how one sample is stored: "<i2", "<i3" (24 bits, packed), "u1" (128 is zero), ">f4" ...
    channels : samples a frame, channel after channel
    offset : bytes before the first sample

    Flags: "partial_frame" where the file ends inside a frame. Raises `FormatError` for a missing or impossible layout.
    """
    if rate is None or dtype is None:
        missing = " and ".join(name for name, value in (("rate=", rate), ("dtype=", dtype)) if value is None)
        raise FormatError(
            f"{path}: format='raw' has no header to look into, and {missing} was not given; give the rate in Hz and "
            "the type of a sample, such as rate=48000, dtype='<i2', and channels= and offset= (bytes) where they are "
            "not 1 and 0"
        )
    if not (math.isfinite(rate) and rate > 0 and channels >= 1 and offset >= 0):
        raise FormatError(
            f"{path}: rate={rate}, channels={channels}, offset={offset} were given; rate > 0 Hz, channels >= 1 and "
            "offset >= 0 bytes are possible"
        )
    stored = encoding(dtype)
    with closing(HeaderBytes(path)) as file:
        size, modified_ns = file.size, file.modified_ns
    if offset > size:
        raise FormatError(f"{path} has {size} bytes, the samples should begin at byte {offset}; give a smaller offset=")
    block = stored.width * channels
    frames, rest = divmod(size - offset, block)
    return Header(
        path=path,
        format="raw",
        frames=frames,
        # A float means the decimal number that was written, not the nearest binary fraction.
        rate=Fraction(str(rate)) if isinstance(rate, float) else Fraction(rate),
        shape=(frames,) if channels == 1 else (frames, channels),
        dtype=stored.dtype.str,
        subtype=stored.subtype,
        layout=(stored.code, offset, channels),
        bytes=size,
        modified_ns=modified_ns,
        scale=stored.scale,
        flags=("partial_frame",) if rest else (),
    )


FORMAT = Format(name="raw", suffixes=(), recognises=lambda head: False, probe=probe, source=source)
