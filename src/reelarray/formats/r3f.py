"""Tektronix RSA300 and RSA600 streams (.r3f, or .r3h with .r3a): real samples at an intermediate frequency."""

from __future__ import annotations

import math
import struct
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..errors import FormatError
from ..source import Format, Header
from . import tags
from .blocks import breaks, frames_there, jumps, source
from .pcm import encoding
from .ranges import HeaderBytes
from .stated import date_time, stated_rate

MAGIC = b"Tektronix RSA"
HEADER_BYTES = 16_384
_INT16 = 161  # the only type of samples that these receivers write
_SWAPPED = 0x78563412  # what the endian check 0x12345678 becomes in the other byte order
_STORED = encoding("<i2")
_WIDTH = 2
_TIMESTAMP = 20  # byte of the u64 in a footer of 28
_LARGEST_FRAME = 1 << 24
_QUARTER_HOUR = 900 * 10**9
# A receiver counts from the start of a stream: a first sample a year away from its reference is rubbish.
_YEAR = 366 * 86_400


@dataclass(frozen=True)
class _Facts:
    """What the header of 16,384 bytes states; sizes in bytes, frames of the file in samples."""

    reference_level: float
    radio_frequency: float
    data_type: int
    first_frame: int
    frame_bytes: int
    samples_at: int
    samples: int
    footer_at: int
    footer_bytes: int
    intermediate_frequency: float
    rate: float
    bandwidth: float
    local_time: tuple[int, ...]
    utc_time: tuple[int, ...]
    ticks_then: int
    ticks_per_second: int
    volts: float
    texts: dict[str, str]


def probe(path: str, *, header: str | None = None) -> Header:
    """Read the header of an .r3f or .r3a file: (time) int16 counts of the converter, volts = count * scale.

    The samples are real, at the intermediate frequency: metadata `intermediate_frequency` is where in 0 ... rate / 2
    the radio frequency `radio_frequency` [Hz] lies, and `bandwidth` what is usable around it. `ra.baseband` makes
    complex samples of them. The receiver's correction table is not applied.

    An .r3f file is frames of samples with a footer, of which the first and the last are looked at, and more only where
    time is missing between them: `breaks`. An .r3a file has samples only and needs its .r3h beside it; its start is the
    header's reference time.

    Parameters
    ----------
    header : the .r3h file of an .r3a that is not beside it

    Flags: "partial_frame" (the last frame is incomplete and left out), "time_order" (frames that go back in time:
    samples are taken as contiguous).

    Raises `FormatError` for other samples than int16, for a header that contradicts itself, and for an .r3h file
    (open the .r3a beside it); `OSError` of the usual kinds for what cannot be opened.
    """
    suffix = path[-4:].lower()
    if suffix == ".r3h":
        raise FormatError(f"{path} holds no samples, only their header; open {path[:-1]}{_like(path, 'a')} instead")
    if suffix == ".r3a" or header is not None:
        return _probe_split(path, header or path[:-1] + _like(path, "h"))
    with closing(HeaderBytes(path)) as file:
        facts = _read_facts(file)
        first = facts.first_frame + facts.samples_at
        blocks, rest = divmod(max(file.size - facts.first_frame, 0), facts.frame_bytes)
        losses, begin = _frame_times(file, facts, blocks)
        size, modified_ns = file.size, file.modified_ns
    frames = frames_there(
        facts.first_frame + blocks * facts.frame_bytes, first, facts.frame_bytes, facts.samples, _WIDTH
    )
    start_ns, metadata = _start(facts, begin)
    flags = ("partial_frame",) if rest else ()
    return _header(
        path,
        facts,
        frames=frames,
        layout=(_STORED.code, first, facts.frame_bytes, facts.samples, 1, False),
        bytes=size,
        modified_ns=modified_ns,
        start_ns=start_ns,
        flags=flags if losses is not None else (*flags, "time_order"),
        metadata=metadata,
        breaks=losses or (),
    )


def complete(path: str) -> bool | None:
    """False while the header is not whole, or, for .r3a, not there; then nobody can tell: no length is declared."""
    split = path[-4:].lower() == ".r3a"
    try:
        with closing(HeaderBytes(path[:-1] + _like(path, "h") if split else path)) as file:
            if file.size < HEADER_BYTES:
                return False
            _read_facts(file)
    except FileNotFoundError:
        if split:
            return False
        raise
    return None


def _probe_split(path: str, header: str) -> Header:
    try:
        with closing(HeaderBytes(header)) as file:
            facts = _read_facts(file)
    except FileNotFoundError:
        raise FormatError(
            f"{path} has samples only, and its header {header} is not there; put it there, give it as header=, or open "
            "the samples with format='raw', dtype='<i2' and rate="
        ) from None
    with closing(HeaderBytes(path)) as file:
        size, modified_ns = file.size, file.modified_ns
    start_ns, metadata = _start(facts, None)
    return _header(
        path,
        facts,
        frames=size // _WIDTH,
        layout=(_STORED.code, 0, facts.samples * _WIDTH, facts.samples, 1, False),
        bytes=size,
        modified_ns=modified_ns,
        start_ns=start_ns,
        flags=("partial_frame",) if size % _WIDTH else (),
        metadata=metadata,
        breaks=(),
    )


def _header(path: str, facts: _Facts, *, frames: int, metadata: dict[str, Any], **found: Any) -> Header:
    return Header(
        path=path,
        format="r3f",
        frames=frames,
        rate=stated_rate(path, facts.rate),
        shape=(frames,),
        dtype=_STORED.type,
        subtype=_STORED.subtype,
        scale=facts.volts,
        units="V",
        metadata={
            "intermediate_frequency": facts.intermediate_frequency,
            "radio_frequency": facts.radio_frequency,
            "bandwidth": facts.bandwidth,
            "reference_level": facts.reference_level,
            **{key: text for key, text in facts.texts.items() if text},
            **metadata,
        },
        **found,
    )


def _like(path: str, letter: str) -> str:
    """The last letter of a suffix, in upper case where `path` has it so."""
    return letter.upper() if path[-1].isupper() else letter


def _read_facts(file: HeaderBytes) -> _Facts:
    path = file.path
    body = file.get(0, HEADER_BYTES)
    if not body.startswith(MAGIC):
        raise FormatError(
            f"{path} ({file.size} bytes) starts with {body[:16]!r}; a stream of these receivers starts with {MAGIC!r}: "
            "pass format= if it is something else, or skip it"
        )
    if len(body) < HEADER_BYTES:
        raise FormatError(
            f"{path} has {file.size:,} bytes, its header alone has {HEADER_BYTES:,}; the copy is not finished, or was "
            "cut short: copy it again, or skip it"
        )
    if struct.unpack_from("<I", body, 512)[0] == _SWAPPED:
        raise FormatError(f"{path} was written in big-endian byte order, which is not read; write it again on a PC")
    level, radio = struct.unpack_from("<2d", body, 1024)
    kind, first, frame, samples_at, samples, footer_at, footer = struct.unpack_from("<7I", body, 2048)
    middle, rate, bandwidth = struct.unpack_from("<3d", body, 2076)
    ticks_then, ticks_per_second = struct.unpack_from("<2Q", body, 2136)
    facts = _Facts(
        reference_level=level,
        radio_frequency=radio,
        data_type=kind,
        first_frame=first,
        frame_bytes=frame,
        samples_at=samples_at,
        samples=samples,
        footer_at=footer_at,
        footer_bytes=footer,
        intermediate_frequency=middle,
        rate=rate,
        bandwidth=bandwidth,
        local_time=struct.unpack_from("<7i", body, 2108),
        utc_time=struct.unpack_from("<7i", body, 2152),
        ticks_then=ticks_then,
        ticks_per_second=ticks_per_second,
        volts=struct.unpack_from("<d", body, 3072)[0],
        texts={"instrument": tags.text(body[: len(MAGIC) + 13]).split()[1], "serial_number": tags.text(body[532:596])},
    )
    _check(path, facts)
    return facts


def _check(path: str, facts: _Facts) -> None:
    """Raise `FormatError` where numbers are impossible or contradict each other."""
    if facts.data_type != _INT16:
        raise FormatError(
            f"{path}: its header states samples of type {facts.data_type}, {_INT16} (int16) is what is read; skip it"
        )
    numbers = {"sample rate": facts.rate, "ADC scale": facts.volts, "bandwidth": facts.bandwidth}
    for name, value in numbers.items():
        if not (math.isfinite(value) and value > 0):
            raise FormatError(f"{path}: its header states {name} = {value}, a number above 0 was expected; skip it")
    for name, value in {"centre frequency": facts.radio_frequency, "level": facts.reference_level}.items():
        if not math.isfinite(value):
            raise FormatError(f"{path}: its header states {name} = {value}, a finite number was expected; skip it")
    if not 0 < facts.intermediate_frequency < facts.rate / 2:
        raise FormatError(
            f"{path}: its header states an intermediate frequency of {facts.intermediate_frequency} Hz, more than 0 "
            f"and less than half the rate of {facts.rate} Hz was expected; the file is damaged: skip it"
        )
    ends = facts.samples_at + facts.samples * _WIDTH
    if not (facts.samples > 0 and ends <= facts.frame_bytes <= _LARGEST_FRAME) or facts.first_frame < HEADER_BYTES:
        raise FormatError(
            f"{path}: its header states frames of {facts.frame_bytes:,} bytes from byte {facts.first_frame:,} on, with "
            f"{facts.samples:,} samples from byte {facts.samples_at:,} of each: that does not fit; the file is "
            "damaged: skip it"
        )


def _frame_times(
    file: HeaderBytes, facts: _Facts, blocks: int
) -> tuple[tuple[tuple[int, int], ...] | None, Fraction | None]:
    """Where samples were lost, as in `Header.breaks`, None where times go back; and the first one's seconds from the
    header's reference time. Neither where frames have no time."""
    at = facts.footer_at + _TIMESTAMP
    if facts.ticks_per_second == 0 or facts.footer_bytes < _TIMESTAMP + 8 or not blocks or at + 8 > facts.frame_bytes:
        return (), None

    def ticks(number: int) -> int:
        body = file.get(facts.first_frame + number * facts.frame_bytes + at, 8)
        if len(body) < 8:
            raise FormatError(f"{file.path} became shorter while it was read; open it again when it is finished")
        return int.from_bytes(body, "little")

    begin = Fraction(ticks(0) - facts.ticks_then, facts.ticks_per_second)
    each = facts.samples * facts.ticks_per_second / stated_rate(file.path, facts.rate)
    found = jumps(file.path, blocks, ticks, each, max(each / (2 * facts.samples), Fraction(1)))
    return breaks(found, Fraction(facts.ticks_per_second), facts.samples), begin


def _start(facts: _Facts, begin: Fraction | None) -> tuple[int | None, dict[str, str]]:
    """UTC ns of the first sample and its zone, where the header has a time in UTC beside the local one."""
    after = round(begin * 10**9) if begin is not None and abs(begin) < _YEAR else 0
    local, utc = _instant(facts.local_time), _instant(facts.utc_time)
    if utc is None:
        return None, {} if local is None else {"naive_start": str(np.datetime64(local + after, "ns"))}
    zone = {}
    # both were taken at the same moment, so they differ by whole quarters of an hour, or one of them was never set
    if local is not None and abs(local - utc) <= 14 * 4 * _QUARTER_HOUR and (local - utc) % _QUARTER_HOUR == 0:
        hours, minutes = divmod(abs(local - utc) // (60 * 10**9), 60)
        zone = {"utc_offset": f"{'-' if local < utc else '+'}{hours:02}:{minutes:02}"}
    return utc + after, zone


def _instant(parts: tuple[int, ...]) -> int | None:
    """Year, month, day, hour, minute, second, ns -> ns since 1970, without a zone; None for an impossible one."""
    year, month, day, hour, minute, second, ns = parts
    if year < 1970 or min(parts) < 0:
        return None
    return date_time(f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ns:09}Z")[0]


FORMAT = Format(
    name="r3f",
    suffixes=(".r3f", ".r3a", ".r3h"),
    recognises=lambda head: head.startswith(MAGIC),
    probe=probe,
    source=source,
    complete=complete,
    listed=(".r3f", ".r3a"),
    alone=False,
)
