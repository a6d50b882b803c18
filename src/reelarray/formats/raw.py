"""Headerless samples, with the layout that the caller gives."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction

from ..errors import FormatError
from ..source import Format, Header
from .pairs import check_radio, exact_rate, headerless, is_pairs, source
from .pcm import encoding
from .ranges import HeaderBytes


def probe(
    path: str,
    *,
    rate: float | str | Fraction | None = None,
    dtype: str | None = None,
    channels: int = 1,
    offset: int = 0,
    center_frequency: float | None = None,
    scale: float | None = None,
) -> Header:
    """Describe a file without a header.

    Parameters
    ----------
    rate : frames a second [Hz]: a number, or a ratio such as "48000/1.001"
    dtype : how one sample is stored: "<i2", "<i3" (24 bits, packed), "u1" (128 is zero), ">f4" ...; for complex samples
        "ci8", "cu8", "ci16_le", "ci16_be", "cu16_le", "ci32_le", "cf32_le", "cf64_le" ... (I before Q, bits of each)
    channels : samples a frame, channel after channel
    offset : bytes before the first sample
    center_frequency : what 0 Hz of complex samples stands for [Hz], 0 if left out
    scale : volts of one count (of 1.0 for floats); left out, full scale is 1 and units are "1"

    Flags: "partial_frame" where the file ends inside a frame. Raises `FormatError` for a missing or impossible layout.
    """
    if rate is None or dtype is None:
        missing = " and ".join(name for name, value in (("rate=", rate), ("dtype=", dtype)) if value is None)
        raise FormatError(
            f"{path}: format='raw' has no header to look into, and {missing} was not given; give the rate in Hz and "
            "the type of a sample, such as rate=48000, dtype='<i2', and channels= and offset= (bytes) where they are "
            "not 1 and 0; complex samples have types such as 'cf32_le', 'ci16_le' or 'cu8'"
        )
    check_radio(path, rate=rate, center_frequency=center_frequency, scale=scale)
    if not (channels >= 1 and offset >= 0):
        raise FormatError(
            f"{path}: channels={channels}, offset={offset} were given; channels >= 1 and offset >= 0 bytes are possible"
        )
    if is_pairs(dtype):
        with closing(HeaderBytes(path)) as file:
            return headerless(
                file,
                "raw",
                rate=rate,
                dtype=dtype,
                channels=channels,
                offset=offset,
                center_frequency=center_frequency,
                scale=scale,
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
        rate=exact_rate(rate),
        shape=(frames,) if channels == 1 else (frames, channels),
        dtype=stored.dtype.str,
        subtype=stored.subtype,
        layout=(stored.code, offset, channels),
        bytes=size,
        modified_ns=modified_ns,
        scale=stored.scale if scale is None else scale,
        units="1" if scale is None else "V",
        flags=("partial_frame",) if rest else (),
        center_frequency=None if center_frequency is None else float(center_frequency),
    )


FORMAT = Format(name="raw", suffixes=(), recognises=None, probe=probe, source=source, listed=())
