"""Where a TDMS file keeps the records of an IQ recording, by arithmetic: each as long as the one before it.

A file is a row of segments: 28 bytes of lead-in, then what its objects are called and how many values follow of each,
then these values, object after object. See https://www.ni.com/docs (TDMS file format internal structure).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import BinaryIO, NamedTuple
from zlib import crc32

TAG, INDEX_TAG = b"TDSm", b"TDSh"
LEAD = struct.Struct("<4sIIQQ")
DIED = 0xFFFFFFFFFFFFFFFF  # where the length of a segment should be: the writer did not come back to fill it in
GAIN, IN_PHASE, QUADRATURE = "/'RecordHeader'/'gain'", "/'RecordData'/'I'", "/'RecordData'/'Q'"

_METADATA, _NEW, _RAW, _INTERLEAVED, _BIG, _DAQMX = 2, 4, 8, 32, 64, 128
_NO_DATA, _AS_BEFORE = 0xFFFFFFFF, 0
# Bytes of a value by its type's number: integers, floats, floats with units, truth values, times, complex numbers.
_WIDTHS = {
    1: 1, 2: 2, 3: 4, 4: 8, 5: 1, 6: 2, 7: 4, 8: 8, 9: 4, 10: 8, 0x19: 4, 0x1A: 8, 0x21: 1, 0x44: 16, 0x8000C: 8,
    0x10000D: 16,
}  # fmt: skip
_STRING = 0x20
_INT16, _DOUBLE = 2, 10
# Writers that write their header and their samples apart make two segments a record, or a few more.
_MOST_SEGMENTS = 16
MOST_METADATA = 1 << 20  # bytes, of a segment


class Lead(NamedTuple):
    """A lead-in: what its segment has, and its length and that of what precedes the values, both with the lead-in."""

    flags: int
    length: int
    values: int


class Places(NamedTuple):
    """Record 0 is `first` bytes long, all others `other`; in each of the two, where its gain, I and Q begin.

    A record has so many `segments`, and the sums of their lead-ins, which `lead_sum` makes, tell one that differs.
    """

    first: int
    other: int
    segments: int
    first_sum: int
    other_sum: int
    first_gain: int
    first_i: int
    first_q: int
    other_gain: int
    other_i: int
    other_q: int

    def is_at(self, file: BinaryIO, number: int) -> bool:
        """Do the segments of a record begin, and are they as long, as arithmetic has it?"""
        expected = self.other_sum if number else self.first_sum
        return lead_sum(file, self.record(number)[0], self.segments) == expected

    def record(self, number: int) -> tuple[int, int, int, int]:
        """The bytes of the file where a record begins, and its gain, I and Q."""
        if number == 0:
            return 0, self.first_gain, self.first_i, self.first_q
        start = self.first + (number - 1) * self.other
        return start, start + self.other_gain, start + self.other_i, start + self.other_q


class _Irregular(Exception):
    """Not as records are that arithmetic finds."""


Objects = dict[str, tuple[int, int]]  # path -> type and number of the values in each segment; both 0: none


def lead_in(data: bytes) -> Lead | None:
    """The 28 bytes of a lead-in; None where they are none, and a length of -1 where the writer died."""
    if len(data) < LEAD.size or data[:4] != TAG:
        return None
    _, flags, _, length, values = LEAD.unpack(data)
    return Lead(flags, -1 if length == DIED else length + LEAD.size, values + LEAD.size)


def lead_sum(file: BinaryIO, position: int, segments: int) -> int:
    """Sum of the lead-ins of segments that follow each other; -1 where there is none."""
    total = 0
    for _ in range(segments):
        file.seek(position)
        data = file.read(LEAD.size)
        lead = lead_in(data)
        if lead is None or lead.length < 0:
            return -1
        total = crc32(data, total)
        position += lead.length
    return total


def find_places(file: BinaryIO, samples: int, same: Callable[[Places], bool]) -> Places | None:
    """Where records of so many samples are, if the first two of them are of one piece each; None else.

    `same` compares what is found there with what npTDMS reads, before it is trusted.
    """
    try:
        objects: Objects = {}
        first, segments, at_first = _record(file, 0, objects, samples)
        end, again, at_other = _record(file, first, objects, samples)
    except (_Irregular, struct.error, UnicodeDecodeError):
        return None
    sums = lead_sum(file, 0, segments), lead_sum(file, first, again)
    places = Places(first, end - first, segments, *sums, *at_first, *(place - first for place in at_other))
    return places if segments == again and same(places) else None


def _record(file: BinaryIO, start: int, objects: Objects, samples: int) -> tuple[int, int, list[int]]:
    """The segments from byte `start` until gain, I and Q of one record were seen.

    Returns its end, the number of its segments, and where the three begin.
    """
    expected = {GAIN: (_DOUBLE, 1), IN_PHASE: (_INT16, samples), QUADRATURE: (_INT16, samples)}
    found: dict[str, int] = {}
    position = start
    for number in range(_MOST_SEGMENTS):
        file.seek(position)
        lead = lead_in(file.read(LEAD.size))
        if lead is None or lead.length < 0 or lead.values - LEAD.size > MOST_METADATA:
            raise _Irregular
        if lead.flags & (_INTERLEAVED | _BIG | _DAQMX):
            raise _Irregular
        if lead.flags & _METADATA:
            _describe(file.read(lead.values - LEAD.size), objects, new=bool(lead.flags & _NEW))
        at = position + lead.values
        for path, (kind, count) in objects.items() if lead.flags & _RAW else ():
            if path in expected and count:
                if path in found or (kind, count) != expected[path]:
                    raise _Irregular
                found[path] = at
            at += _WIDTHS.get(kind, 0) * count
        position += lead.length
        if at != position:
            raise _Irregular  # the values come several times, or have no fixed width
        if len(found) == len(expected):
            return position, number + 1, [found[path] for path in expected]
    raise _Irregular


def _describe(data: bytes, objects: Objects, *, new: bool) -> None:
    """Metadata of a segment -> its objects, in the order of their values; those of before stay if it is not `new`."""
    before = dict(objects)
    if new:
        objects.clear()
    (count,) = struct.unpack_from("<I", data)
    at = 4
    for _ in range(count):
        path, at = _string(data, at)
        (length,) = struct.unpack_from("<I", data, at)
        at += 4
        if length == _NO_DATA:
            objects[path] = (0, 0)
        elif length == _AS_BEFORE:
            objects[path] = before.get(path, (0, 0))
        else:
            kind, dimensions, values = struct.unpack_from("<IIQ", data, at)
            if length != 20 or dimensions != 1 or kind not in _WIDTHS:
                raise _Irregular
            objects[path] = (kind, values)
            at += 16
        (properties,) = struct.unpack_from("<I", data, at)
        at += 4
        for _ in range(properties):
            _, at = _string(data, at)
            (kind,) = struct.unpack_from("<I", data, at)
            at += 4
            if kind == _STRING:
                _, at = _string(data, at)
            elif kind in _WIDTHS:
                at += _WIDTHS[kind]
            else:
                raise _Irregular
    if at != len(data) and any(data[at:]):
        raise _Irregular


def _string(data: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<I", data, at)
    return data[at + 4 : at + 4 + length].decode(), at + 4 + length


def ends(file: BinaryIO, size: int) -> bool:
    """Do the segments follow each other to the very end of the file, each with its length filled in?"""
    position = 0
    while position < size:
        file.seek(position)
        lead = lead_in(file.read(LEAD.size))
        if lead is None or lead.length < 0:
            return False
        position += lead.length
    return position == size
