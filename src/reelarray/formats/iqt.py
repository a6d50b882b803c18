"""Tektronix RSA3000 recordings (.iqt): lines of text, then frames of a short header and 16-bit pairs Q, I."""

from __future__ import annotations

import math
import re
import struct
from contextlib import closing
from fractions import Fraction
from typing import Any

from ..errors import FormatError
from ..source import Format, Header
from .blocks import breaks, frames_there, jumps, source
from .pcm import encoding
from .ranges import HeaderBytes
from .stated import any_number, date_time, exact_number, stated_rate, whole_number

# The digit that counts digits, those digits, and the first key.
_BEGIN = re.compile(rb"([1-9])(\d{1,9}?)(?=[A-Za-z]\w*=)")
LARGEST_HEADER = 1 << 20
# Ten int16 (reserved, four validities, bins, reserved, triggered, overload, last) and the int32 time.
_FRAME_HEADER = struct.Struct("<10hi")
_OVERLOAD, _TICKS = 8, 10
_STORED = encoding("<i2")
_PAIR = 4
_LARGEST_BLOCK = 1 << 24
# Suffixes of numbers; 7.9G is a carrier, 160u a period. A time such as 1:16PM is no number and keeps its M.
_NUMBER = re.compile(r"([+-]?\d+\.?\d*(?:[eE][+-]?\d+)?)([GkMmun])")
_FACTORS = {"G": "e9", "M": "e6", "k": "e3", "m": "e-3", "u": "e-6", "n": "e-9"}
_DATE = re.compile(r"(\d{4})/(\d\d)/(\d\d)@(\d\d?):(\d\d):(\d\d)")


def probe(path: str, *, overload: bool = False) -> Header:
    """Read the header of an .iqt file: frames of (time, iq) int16 counts, volts = count * scale (peak, at 50 ohm).

    Samples come as pairs I, Q, though the file has them Q first. Reads the lines of text and the times of a few of
    the instrument's frames (of FFTPoints samples each): those before which it paused begin a new stretch in `breaks`.
    `overload=True` also looks for frames that the instrument marked as overloaded, which reads a page of each; they
    are listed in the metadata as `overload_frames`, with the numbers of their first samples.

    The date has no zone and is kept as `naive_start`. IOffset and QOffset, whose unit no document says, are kept as
    `i_offset` and `q_offset` and not applied.

    Flags: "truncated" (fewer frames than ValidFrames), "extra_bytes" (bytes behind them), "time_order" (frames that
    overlap or go back in time: samples are taken as contiguous), "overload".

    Raises `FormatError` for a header that is damaged or lacks rate, level or centre frequency; `OSError` of the usual
    kinds for what cannot be opened.
    """
    with closing(HeaderBytes(path)) as file:
        facts, offset = _read_facts(file)
        block, declared = _frame_sizes(path, facts)
        stride, first = _FRAME_HEADER.size + block * _PAIR, offset + _FRAME_HEADER.size
        frames = min(frames_there(file.size, first, stride, block, _PAIR), declared * block)
        rate = stated_rate(path, block / exact_number(path, facts, "FrameLength", positive=True))
        pauses = _breaks(file, facts, offset, -(-frames // block), block)
        overloaded = _overloaded(file, offset, stride, -(-frames // block)) if overload else []
        size, modified_ns = file.size, file.modified_ns
    metadata = _metadata(facts)
    flags: tuple[str, ...] = ()
    if pauses is None:
        flags += ("time_order",)
    if overloaded:
        flags += ("overload",)
        metadata["overload_frames"] = [number * block for number in overloaded]
    if frames < declared * block:
        flags += ("truncated",)
        metadata["declared_frames"] = declared * block
    elif extra := size - offset - declared * stride:
        flags += ("extra_bytes",)
        metadata["extra_bytes"] = extra
    return Header(
        path=path,
        format="iqt",
        frames=frames,
        rate=rate,
        shape=(frames, 2),
        dtype=_STORED.type,
        subtype=_STORED.subtype,
        layout=(_STORED.code, first, stride, block, 2, True),
        bytes=size,
        modified_ns=modified_ns,
        scale=_volts_per_count(path, facts),
        units="V",
        flags=flags,
        metadata=metadata,
        iq=True,
        center_frequency=float(exact_number(path, facts, "CenterFrequency")),
        breaks=pauses or (),
    )


def complete(path: str) -> bool | None:
    """Are all frames there that the header declares? A file that ends within its header is not complete."""
    with closing(HeaderBytes(path)) as file:
        if file.size < 2 or (_BEGIN.match(file.head) is None and file.head.isdigit()):
            return False
        begin, offset = _header_span(file)
        if file.size < offset:
            return False
        block, declared = _frame_sizes(path, _lines(file, begin, offset))
        return file.size >= offset + declared * (_FRAME_HEADER.size + block * _PAIR)


def _header_span(file: HeaderBytes) -> tuple[int, int]:
    """Where the lines of text begin and end."""
    match = _BEGIN.match(file.head)
    if match is None or len(match[2]) != int(match[1]):
        raise FormatError(
            f"{file.path} ({file.size} bytes) starts with {file.head[:16]!r}; an .iqt file starts with a digit, as "
            "many digits as it says, and lines key=value: pass format= if it is something else, or skip it"
        )
    if int(match[2]) > LARGEST_HEADER:
        raise FormatError(
            f"{file.path}: its header claims {int(match[2]):,} bytes, {LARGEST_HEADER:,} are possible; the file is "
            "damaged: skip it"
        )
    return match.end(), match.end() + int(match[2])


def _read_facts(file: HeaderBytes) -> tuple[dict[str, str], int]:
    begin, offset = _header_span(file)
    if file.size < offset:
        raise FormatError(
            f"{file.path} has {file.size:,} bytes, its header alone has {offset:,}; the copy is not finished, or was "
            "cut short: copy it again, or skip it"
        )
    facts = _lines(file, begin, offset)
    if facts.get("FrameReverse", "Off") != "Off":
        raise FormatError(
            f"{file.path}: its header states FrameReverse={facts['FrameReverse'][:40]}, 'Off' is what is read; save it "
            "again without, or skip it"
        )
    return facts, offset


def _lines(file: HeaderBytes, begin: int, offset: int) -> dict[str, str]:
    """Key to value, numbers with a suffix as numbers with an exponent."""
    facts: dict[str, str] = {}
    for line in file.get(begin, offset - begin).decode("latin-1").splitlines():
        key, equals, value = (part.strip() for part in line.partition("="))
        if equals:
            number = _NUMBER.fullmatch(value)
            facts.setdefault(key, number[1] + _FACTORS[number[2]] if number else value)
    return facts


def _frame_sizes(path: str, facts: dict[str, str]) -> tuple[int, int]:
    """Samples in each frame, and the number of frames."""
    block = whole_number(path, facts, "FFTPoints", least=1)
    if block > _LARGEST_BLOCK:
        raise FormatError(f"{path}: its header states FFTPoints = {block:,}, at most {_LARGEST_BLOCK:,} are possible")
    return block, whole_number(path, facts, "ValidFrames")


def _volts_per_count(path: str, facts: dict[str, str]) -> float:
    """Levels add up to the dBm of a count of 1; P = Vpeak^2 / (2 * 50 ohm), in mW."""
    level = sum(float(exact_number(path, facts, name)) for name in ("GainOffset", "MaxInputLevel", "LevelOffset"))
    if abs(level) > 1000:
        raise FormatError(
            f"{path}: its header gives a count {level:g} dBm, which is impossible; it is damaged: skip it"
        )
    return math.sqrt(10 ** (level / 10) / 10)


def _frame_header(file: HeaderBytes, offset: int, stride: int, number: int) -> tuple[int, ...]:
    body = file.get(offset + number * stride, _FRAME_HEADER.size)
    if len(body) < _FRAME_HEADER.size:
        raise FormatError(f"{file.path} became shorter while it was read; open it again when it is finished")
    return _FRAME_HEADER.unpack(body)


def _breaks(
    file: HeaderBytes, facts: dict[str, str], offset: int, frames: int, block: int
) -> tuple[tuple[int, int], ...] | None:
    """Where the instrument paused, as in `Header.breaks`; None where times go back, nothing where they say nothing."""
    if "UnitPeriod" not in facts:
        return ()
    unit = exact_number(file.path, facts, "UnitPeriod", positive=True)
    each = exact_number(file.path, facts, "FrameLength", positive=True) / unit

    def ticks(number: int) -> int:
        return _frame_header(file, offset, _FRAME_HEADER.size + block * _PAIR, number)[_TICKS]

    if frames < 2 or ticks(0) == ticks(frames - 1):
        return ()
    # Times are whole numbers of UnitPeriod, which can be many samples.
    found = jumps(file.path, frames, ticks, each, max(each / (2 * block), Fraction(1)))
    return breaks(found, 1 / unit, block)


def _overloaded(file: HeaderBytes, offset: int, stride: int, frames: int) -> list[int]:
    return [number for number in range(frames) if _frame_header(file, offset, stride, number)[_OVERLOAD]]


def _metadata(facts: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "Type" in facts:
        found["instrument"] = facts["Type"].removesuffix("IQT")[:200]
    names = {"Span": "span", "MaxInputLevel": "reference_level", "IOffset": "i_offset", "QOffset": "q_offset"}
    found.update({key: number for name, key in names.items() if (number := any_number(facts.get(name))) is not None})
    if date := _DATE.match(facts.get("DateTime", "")):
        year, month, day, hour, minute, second = date.groups()
        _, kept = date_time(f"{year}-{month}-{day}T{hour:0>2}:{minute}:{second}")
        found.update(kept)
    return found


FORMAT = Format(
    name="iqt",
    suffixes=(".iqt",),
    recognises=lambda head: (match := _BEGIN.match(head)) is not None and len(match[2]) == int(match[1]),
    probe=probe,
    source=source,
    complete=complete,
)
