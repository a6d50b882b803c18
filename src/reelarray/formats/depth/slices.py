"""Checksums of FFV1: whether a packet is as it was written, which decoders notice, but do not say."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

# RFC 9043, section 4.9.3: a slice ends with its size (3 bytes), a status (1) and the CRC-32 of all before (4), so that
# the CRC of the whole slice is what it began with. Without error correction the size alone is there.
_TRAILER, _BARE = 8, 3
_STARTS = (0, 0x7A8C4079)  # `ec` 1 and 2
# Its CRC takes the highest bit of a byte first, that of zlib the lowest: the same sum of mirrored bytes, mirrored.
_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_ALL = 0xFFFFFFFF


def checked_with(packets: Iterable[bytes]) -> int | None:
    """What checksums of a stream begin with, or None where it has none: what fits the first sound one of its packets.

    >>> checked_with([b"no packet of FFV1"]) is None
    True
    """
    for packet in packets:
        for start in _STARTS:
            if damaged_slice(packet, start) is None:
                return start
        if damaged_slice(packet, None) is None:
            return None
    return None


def damaged_slice(packet: bytes, start: int | None) -> int | None:
    """Which slice of a packet of FFV1 is damaged, from the end (0 is the last one); None where all are sound.

    Parameters
    ----------
    start : what its checksums begin with, or None where it has none; then only lengths are compared
    """
    trailer = _BARE if start is None else _TRAILER
    expected = int(f"{start or 0:032b}"[::-1], 2)
    stop, number = len(packet), 0
    if not stop:
        return 0
    while stop > 0:
        at = stop - trailer
        begin = at - int.from_bytes(packet[at : at + 3], "big") if at >= 0 else -1
        if not 0 <= begin < at:  # an empty slice too: a hole in a file is zeros, of which the checksum is right
            return number
        if start is not None:
            # zlib inverts what it begins with, and its result
            found = zlib.crc32(packet[begin:stop].translate(_MIRROR), expected ^ _ALL) ^ _ALL
            if found != expected:
                return number
        stop, number = begin, number + 1
    return None
