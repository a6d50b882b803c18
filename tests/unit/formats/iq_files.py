"""Writes files of complex samples byte by byte, right and wrong: TDMS records, headerless pairs, text, stereo WAV."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import riffs

METADATA, NEW, RAW, INTERLEAVED = 2, 4, 8, 32
DIED = 0xFFFFFFFFFFFFFFFF
# NumPy type -> number of the TDMS type
KINDS = {"int16": 2, "int32": 3, "float64": 10}
GAIN, TIME, DT = (f"/'RecordHeader'/'{name}'" for name in ("gain", "absolute timestamp", "dt"))
I, Q = "/'RecordData'/'I'", "/'RecordData'/'Q'"  # noqa: E741
FACTS = {"IQRate": 1000.0, "IQCarrierFrequency": 244_778_900.0, "RFAttentuation": 10.0}


def counts(frames: int, seed: int = 0) -> np.ndarray:
    """(frames, 2) int16."""
    return np.random.default_rng(seed).integers(-(2**15), 2**15, (frames, 2)).astype(np.int16)


def text(value: str) -> bytes:
    return struct.pack("<I", len(value.encode())) + value.encode()


def properties(facts: dict[str, Any]) -> bytes:
    body = struct.pack("<I", len(facts))
    for name, value in facts.items():
        if isinstance(value, str):
            body += text(name) + struct.pack("<I", 0x20) + text(value)
        elif isinstance(value, float):
            body += text(name) + struct.pack("<Id", 10, value)
        else:
            body += text(name) + struct.pack("<Ii", 3, value)
    return body


def date(ns: int) -> bytes:
    """UTC ns since 1970 -> a TDMS time: 2**-64 seconds, and seconds since 1904."""
    seconds, rest = divmod(ns, 10**9)
    return struct.pack("<Qq", -(-rest * 2**64 // 10**9), seconds + 2_082_844_800)


def segment(
    values: dict[str, Any],
    *,
    root: dict[str, Any] | None = None,
    flags: int = METADATA | NEW | RAW,
    length: int | None = None,
    repeat: int = 1,
) -> bytes:
    """One segment: its objects with their values, which are arrays, or bytes of times."""
    body = b""
    objects = [] if root is None else [text("/") + struct.pack("<I", 0xFFFFFFFF) + properties(root)]
    for path, numbers in values.items():
        if isinstance(numbers, bytes):
            kind, count, data = 0x44, len(numbers) // 16, numbers
        else:
            kind, count, data = KINDS[numbers.dtype.name], len(numbers), numbers.tobytes()
        body += data
        objects.append(text(path) + struct.pack("<IIIQI", 20, kind, 1, count // repeat, 0))
    if flags & INTERLEAVED:
        body = np.stack([np.asarray(each) for each in values.values()], axis=1).tobytes()
    metadata = struct.pack("<I", len(objects)) + b"".join(objects) if flags & METADATA else b""
    size = len(metadata) + len(body) if length is None else length
    return struct.pack("<4sIIQQ", b"TDSm", flags, 4713, size, len(metadata)) + metadata + body


@dataclass
class Records:
    """A file of `pairs` (frames, 2) in records of `samples`, one gain each."""

    pairs: np.ndarray
    samples: int
    gains: Sequence[float]
    times: Sequence[float] | None = None
    dates: Sequence[int] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    def root(self) -> dict[str, Any]:
        stated = {**FACTS, "NSamplesPerRecord": self.samples, "NRecordsPerFile": len(self.gains), **self.facts}
        return {name: value for name, value in stated.items() if name not in self.without}

    def objects(self, record: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """What record number k has in its header, and in its data."""
        header: dict[str, Any] = {}
        if self.dates is not None:
            header[TIME] = date(self.dates[record])
        elif self.times is not None:
            header[TIME] = np.array([self.times[record]])
        header |= {DT: np.array([0.001]), GAIN: np.array([self.gains[record]], float)}
        pairs = self.pairs[record * self.samples : (record + 1) * self.samples]
        return header, {I: pairs[:, 0].copy(), Q: pairs[:, 1].copy()}

    def one_segment_each(self) -> bytes:
        """As npTDMS writes it: all objects named again in each segment."""
        return b"".join(
            segment({**header, **data}, root=self.root() if k == 0 else None)
            for k in range(len(self.gains))
            for header, data in [self.objects(k)]
        )

    def named_once(self) -> bytes:
        """Segments after the first have values only."""
        return b"".join(
            segment({**header, **data}, root=self.root(), flags=METADATA | NEW | RAW if k == 0 else RAW)
            for k in range(len(self.gains))
            for header, data in [self.objects(k)]
        )

    def two_segments_each(self) -> bytes:
        """Header and data written apart."""
        return b"".join(
            segment(header, root=self.root() if k == 0 else None) + segment(data)
            for k in range(len(self.gains))
            for header, data in [self.objects(k)]
        )

    def in_one_segment(self) -> bytes:
        """All records in one segment, as a writer makes it that writes a full length at its end."""
        parts = [{**header, **data} for header, data in map(self.objects, range(len(self.gains)))]
        first = segment(parts[0], root=self.root())
        rest = b"".join(
            each if isinstance(each, bytes) else each.tobytes() for part in parts[1:] for each in part.values()
        )
        tag, flags, version, length, values = struct.unpack("<4sIIQQ", first[:28])
        return struct.pack("<4sIIQQ", tag, flags, version, length + len(rest), values) + first[28:] + rest

    def interleaved(self) -> bytes:
        """Headers first, then I and Q value by value."""
        headers = [self.objects(k)[0] for k in range(len(self.gains))]
        joined = {
            path: b"".join(each[path] for each in headers)
            if isinstance(headers[0][path], bytes)
            else np.concatenate([each[path] for each in headers])
            for path in headers[0]
        }
        data = {I: self.pairs[:, 0], Q: self.pairs[:, 1]}
        return segment(joined, root=self.root()) + segment(data, flags=METADATA | NEW | RAW | INTERLEAVED)

    def uneven(self) -> bytes:
        """As `one_segment_each`, but the third record says a word more."""
        return b"".join(
            segment({**header, **data}, root=self.root() if k == 0 else {"note": "x"} if k == 2 else None)
            for k in range(len(self.gains))
            for header, data in [self.objects(k)]
        )

    def volts(self) -> np.ndarray:
        """(frames) complex64: each component times its gain in float64, rounded once."""
        gains = np.repeat(np.asarray(self.gains, float), self.samples)[: len(self.pairs)]
        parts = (self.pairs * gains[:, None]).astype(np.float32)
        return parts.view(np.complex64)[:, 0]


def pair_bytes(pairs: np.ndarray, name: str) -> bytes:
    """(n, 2) numbers, signed -> the bytes of "ci16_le", "cu8", "cf32_be" ..."""
    kind, bits = name[1], int("".join(filter(str.isdigit, name.partition("_")[0])))
    order = ">" if name.endswith("be") else "<"
    if kind == "f":
        return pairs.astype(f"{order}f{bits // 8}").tobytes()
    if kind == "u":
        return (pairs.astype(np.int64) + 2 ** (bits - 1)).astype(f"{order}u{bits // 8}").tobytes()
    return riffs.pcm(pairs.astype(np.int64), bits // 8, order) if bits > 8 else pairs.astype(np.int8).tobytes()


def text_bytes(
    z: Iterable[complex], *, first: str | None = "390625.0|244778900.0", mark: str = "|", end: str = "\n"
) -> bytes:
    """Complex numbers -> a line each; the last one ends as well."""
    lines = [] if first is None else [first]
    lines += [f"{value.real!r}{mark}{value.imag!r}" for value in map(complex, z)]
    return "".join(line + end for line in lines).encode()


def auxi(center: int, *, hour: int = 10) -> bytes:
    """The body of an `auxi` chunk: start and stop as SYSTEMTIME, then the centre, and what writers append."""
    moment = struct.pack("<8H", 2014, 8, 5, 1, hour, 33, 15, 978)
    return moment + moment + struct.pack("<I", center) + bytes(28)


def stereo(path: Path, body: bytes, *more: bytes, **facts: Any) -> str:
    """A WAV file of two channels."""
    form = riffs.fmt(channels=2, **facts)
    order = "<"
    path.write_bytes(riffs.riff(riffs.chunk(b"fmt ", form, order=order), *more, riffs.chunk(b"data", body)))
    return str(path)
