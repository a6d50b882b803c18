"""Tektronix RSA5000 and RSA6000 recordings (.tiq): an XML header, then pairs I, Q of 32-bit integers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from ..errors import FormatError
from ..source import Format, Header
from .pairs import source
from .pcm import encoding
from .ranges import HeaderBytes
from .stated import LONGEST, MOST_VOLTS, any_number, date_time, exact_number, stated_rate, whole_number
from .xmltext import read_elements

_FIRST_TAG = re.compile(rb'<DataFile\s[^>]{0,40}?offset="(\d{1,20})"')
FIRST_TAG_BYTES = 64
_BEGINNING = b"<DataFile"  # or less of it, while the first bytes arrive
# A real header has 96,648 bytes; one with a DataSet for each of 100,000 triggers has 35 MB.
LARGEST_HEADER = 64 << 20
# DataSets, and errors of them: each takes 400 bytes of memory, of a header 10.
MOST_SETS = 250_000
_STEP = 1 << 16
_LONGEST_TEXT = 1000
_STORED = encoding("<i4")
_PAIR = 8
_READABLE = {"SamplesType": "IQ", "NumberFormat": "Int32", "Endian": "Little"}
# Element of ProductSpecific -> its name in `Header.metadata`. Nothing else is kept: there are option keys among it.
_PRODUCT_NUMBERS = {
    "AcquisitionBandwidth": "bandwidth",
    "RFAttenuation": "rf_attenuation",
    "ReferenceLevel": "reference_level",
}
_PRODUCT_TEXTS = {"SerialNumber": "serial_number", "FirmwareVersion": "firmware_version"}
_PRODUCT_SWITCHES = {"Preamp": "preamplifier", "DitherOn": "dither"}
_TIMES = {"TimestampOffset": "timestamp_offset", "TriggerPosition": "trigger_position"}
_FAST_FRAME = {
    "FastFrameID": "fast_frame_id",
    "IDInFastFrame": "id_in_fast_frame",
    "TotalInFastFrame": "total_in_fast_frame",
}
# (name, pid) of a parameter in Setup, the better one first. Other windows of the instrument have a span and a
# resolution bandwidth of their own, under other identifiers.
_SETUP = {
    ("Span", "globalrange"): "span",
    ("Span", "specanrange"): "span",
    ("Resolution Bandwidth", "fmtRBW"): "rbw",
}
_WANTED = frozenset((
    *_READABLE, *_PRODUCT_NUMBERS, *_PRODUCT_TEXTS, *_PRODUCT_SWITCHES, *_TIMES, *_FAST_FRAME,
    "DataSets", "SamplingFrequency", "NumberSamples", "Scaling", "DateTime", "DataSet", "Error", "ID", "Message",
    "ProductSpecific", "Frequency", "Value",
))  # fmt: skip


@dataclass
class _Facts:
    """What one header states, as text; one dict for each DataSet."""

    description: dict[str, str] = field(default_factory=dict)
    product: dict[str, str] = field(default_factory=dict)
    setup: dict[tuple[str, str], str] = field(default_factory=dict)
    sets: list[dict[str, Any]] = field(default_factory=list)
    count: str | None = None


def probe(path: str) -> Header:
    """Read the header of a .tiq file: frames of (time, iq) int32 counts, volts = count * scale (peak, at 50 ohm).

    Reads the XML header and nothing else. Several DataSets (FastFrame, or a receiver that lost samples) follow each
    other in `breaks` where their TimestampOffset leaves a gap of more than half a sample.

    Flags: "truncated" (fewer samples than the header declares), "extra_bytes" (bytes behind them, not read),
    "total_samples" (NumberSamples turned out to count all DataSets, not each), "dataset_count" (there are more or
    fewer DataSets than `count` says), "time_order" (DataSets overlap or go back in time: samples are taken as
    contiguous), "instrument_errors" (such as an overflow of the converter: see `segments` in the metadata).

    Raises `FormatError` for samples that are no little-endian Int32 pairs, for a header that is incomplete, larger than
    64 MiB, of more than 250,000 DataSets or errors, or lacks rate, scaling or centre frequency; `OSError` of the usual
    kinds for what cannot be opened.
    """
    with closing(HeaderBytes(path)) as file:
        offset = _header_bytes(file)
        facts = _read_facts(file, offset)
        size, modified_ns = file.size, file.modified_ns
    for name, known in _READABLE.items():
        if (stated := facts.description.get(name, known)) != known:
            raise FormatError(
                f"{path}: its header states {name} = {stated[:40]!r}, {known!r} is what is read; export it from the "
                "instrument's software as IQ of 32-bit integers, or open the samples with format='raw' and "
                f"offset={offset}"
            )
    rate = stated_rate(path, exact_number(path, facts.description, "SamplingFrequency", positive=True))
    scale = float(exact_number(path, facts.description, "Scaling", positive=True))
    if scale > MOST_VOLTS:
        raise FormatError(f"{path}: its header states Scaling = {scale:g}, volts a count were expected; skip the file")
    each, frames, flags = _count(path, facts, size - offset)
    breaks, times = _breaks(path, facts.sets, each, rate, frames)
    start_ns, zone = date_time(facts.description.get("DateTime"))
    if start_ns is not None and times:
        start_ns += round(times[0] * 10**9)
    metadata = _metadata(facts) | zone
    metadata["segments"] = [
        {"sample_start": k * each, "samples": min(each, max(frames - k * each, 0)), **told}
        for k, told in enumerate(_told(facts.sets))
    ]
    declared = each * len(facts.sets)
    if frames < declared:
        metadata["declared_frames"] = declared
    elif extra := size - offset - declared * _PAIR:
        flags += ("extra_bytes",)
        metadata["extra_bytes"] = extra
    if breaks is None:
        flags += ("time_order",)
    if any("errors" in told for told in facts.sets):
        flags += ("instrument_errors",)
    return Header(
        path=path,
        format="tiq",
        frames=frames,
        rate=rate,
        shape=(frames, 2),
        dtype=_STORED.type,
        subtype=_STORED.subtype,
        layout=(_STORED.code, offset, 2),
        bytes=size,
        modified_ns=modified_ns,
        scale=scale,
        units="V",
        start_ns=start_ns,
        flags=flags,
        metadata=metadata,
        iq=True,
        center_frequency=float(exact_number(path, facts.product, "Frequency")),
        breaks=breaks or (),
    )


def complete(path: str) -> bool | None:
    """Are all samples there that the header declares? None where several DataSets leave open what it declares.

    A file that ends within its header is not complete. Raises `FormatError` for one with another header.
    """
    with closing(HeaderBytes(path)) as file:
        if file.size < FIRST_TAG_BYTES and _BEGINNING.startswith(file.head[: len(_BEGINNING)]):
            return False
        offset = _header_bytes(file, whole=False)
        if file.size < offset:
            return False
        facts = _read_facts(file, offset)
        there = file.size - offset
    each = whole_number(path, facts.description, "NumberSamples")
    if there >= each * len(facts.sets) * _PAIR:
        return True
    # The smaller reading, NumberSamples in all, is satisfied, but it is rarely the right one.
    return None if there >= each * _PAIR else False


def _header_bytes(file: HeaderBytes, *, whole: bool = True) -> int:
    """The length of the header, by its first tag."""
    path, size = file.path, file.size
    match = _FIRST_TAG.match(file.head)
    if match is None:
        raise FormatError(
            f"{path} ({size} bytes) starts with {file.head[:16]!r}; a .tiq file starts with <DataFile and the length "
            "of its header: pass format= if it is something else, or skip it"
        )
    offset = int(match[1])
    if not match.end() < offset <= LARGEST_HEADER:
        raise FormatError(
            f"{path}: its first tag gives the header {offset:,} bytes, {match.end() + 1} to {LARGEST_HEADER:,} are "
            "possible; the file is damaged: skip it"
        )
    if whole and size < offset:
        raise FormatError(
            f"{path} has {size:,} bytes, its header alone has {offset:,}; the copy is not finished, or was cut short: "
            "copy it again, or skip it"
        )
    return offset


def _read_facts(file: HeaderBytes, offset: int) -> _Facts:
    """The XML header -> what it states. The first statement of each kind counts; Setup has names of its own."""
    facts = _Facts()
    current: dict[str, Any] = {}
    error: dict[str, str] = {}
    errors = 0
    for element in read_elements(file.path, _pieces(file, offset), _WANTED):
        name, parent, text = element.name, element.parent_name, element.text
        if "Setup" in element.names:
            setting = (element.parent.get("name", ""), element.parent.get("pid", ""))
            if name == "Value" and parent == "NumericParameter" and setting in _SETUP:
                facts.setup.setdefault(setting, text)
        elif parent == "DataDescription":
            facts.description.setdefault(name, text)
        elif parent == "ProductSpecific":
            facts.product.setdefault(name, text)
        elif name == "ProductSpecific":
            facts.product.setdefault("name", element.attributes.get("name", ""))
        elif name == "DataSets":
            facts.count = element.attributes.get("count")
        elif name == "DataSet":
            facts.sets.append(current)
            current = {}
        elif parent == "DataSet":
            current.setdefault(name, text)
        elif parent == "Error":
            error[name.lower()] = text[:_LONGEST_TEXT]
        elif name == "Error":
            current.setdefault("errors", []).append(error)
            error = {}
            errors += 1
        if max(len(facts.sets), errors) > MOST_SETS:
            raise FormatError(
                f"{file.path}: its header has more than {MOST_SETS:,} DataSets or errors of them, which no instrument "
                "writes; the file is damaged: skip it"
            )
    if not facts.sets:
        raise FormatError(
            f"{file.path}: its header of {offset:,} bytes has no DataSet, at least one was expected; the file is "
            "damaged, or no recording of samples: skip it"
        )
    return facts


def _pieces(file: HeaderBytes, offset: int) -> Iterator[bytes]:
    """The header's bytes, the page that has been read already first."""
    position = min(len(file.head), offset)
    yield file.head[:position]
    while position < offset:
        piece = file.get(position, min(_STEP, offset - position))
        if not piece:
            raise FormatError(
                f"{file.path} ends at byte {position:,}, within its header of {offset:,} bytes; it is being changed: "
                "open it again when it is finished"
            )
        yield piece
        position += len(piece)


def _count(path: str, facts: _Facts, payload: int) -> tuple[int, int, tuple[str, ...]]:
    """Frames in each DataSet, frames that are there, and flags, by the bytes behind the header.

    NumberSamples counts each DataSet, but no document says so for every firmware: where exactly so many samples are
    there in all, it was the total.
    """
    sets, there = len(facts.sets), payload // _PAIR
    each = whole_number(path, facts.description, "NumberSamples")
    flags: tuple[str, ...] = ()
    if facts.count is not None and facts.count.strip().lstrip("0") != str(sets):
        flags += ("dataset_count",)
    if sets > 1 and there == each and each % sets == 0 and each:
        return each // sets, there, (*flags, "total_samples")
    if there < each * sets:
        return each, there, (*flags, "truncated")
    return each, each * sets, flags


def _breaks(
    path: str, sets: list[dict[str, Any]], each: int, rate: Fraction, frames: int
) -> tuple[tuple[tuple[int, int], ...] | None, list[Fraction]]:
    """Where DataSets leave gaps, None where they overlap; and their times [s]. The stretch before tells what is due."""
    texts = [told.get("TimestampOffset") for told in sets]
    if all(text is None for text in texts):
        return (), []
    times = [exact_number(path, told, "TimestampOffset") for told in sets]
    if any(abs(time) > LONGEST for time in times):
        return None, []
    decimals = max(len(str(text).partition(".")[2]) for text in texts)
    # Offsets are printed to 10 ns, which can be more than half a sample.
    tolerance = max(1 / (2 * rate), Fraction(1, 10**decimals) if 0 < decimals < 30 else Fraction(0))
    found: list[tuple[int, int]] = []
    begun, since = 0, times[0]
    for k, time in enumerate(times):
        apart = time - since - (k - begun) * each / rate
        if apart < -tolerance:
            return None, times
        if apart > tolerance:
            begun, since = k, time
            if k * each < frames:
                found.append((k * each, round((time - times[0]) * 10**9)))
    return tuple(found), times


def _metadata(facts: _Facts) -> dict[str, Any]:
    """What is stated about the instrument and its settings; what is missing or no number is left out."""
    product = facts.product
    found: dict[str, Any] = {"instrument": product["name"][:_LONGEST_TEXT]} if product.get("name") else {}
    numbers = {key: product.get(name) for name, key in _PRODUCT_NUMBERS.items()}
    for setting, key in _SETUP.items():
        numbers[key] = numbers.get(key) or facts.setup.get(setting)
    found.update({key: number for key, text in numbers.items() if (number := any_number(text)) is not None})
    found.update({key: product[name][:_LONGEST_TEXT] for name, key in _PRODUCT_TEXTS.items() if name in product})
    for name, key in _PRODUCT_SWITCHES.items():
        if name in product:
            found[key] = product[name].lower() in ("true", "1", "on")
    return found


def _told(sets: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What each DataSet says of itself. Its TriggerPosition is kept; it does not move the time axis."""
    for told in sets:
        found: dict[str, Any] = {
            key: number for name, key in _TIMES.items() if (number := any_number(told.get(name))) is not None
        }
        # -1 says that it was not recorded as FastFrame, and then the other two mean nothing.
        if told.get("FastFrameID", "-1") != "-1":
            found.update({key: int(any_number(told.get(name)) or 0) for name, key in _FAST_FRAME.items()})
        if "errors" in told:
            found["errors"] = told["errors"]
        yield found


FORMAT = Format(
    name="tiq",
    suffixes=(".tiq",),
    recognises=lambda head: _FIRST_TAG.match(head) is not None,
    probe=probe,
    source=source,
    complete=complete,
)
