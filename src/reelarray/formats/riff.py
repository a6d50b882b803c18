"""The chunks of a RIFF, RIFX, RF64, BW64 or Wave64 file: where each begins and how long it really is."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import closing
from typing import Any

from ..errors import FormatError
from .ranges import LOCAL_STEP, HeaderBytes

UNKNOWN_SIZES = (0, 0xFFFFFFFF)
WRAP = 1 << 32
# A tail of samples or of rubbish can look like chunks for ever; real files have a dozen.
MOST_CHUNKS = 1000

# Wave64 names its chunks by GUIDs whose first four bytes are the RIFF name.
W64_RIFF = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
W64_WAVE = b"wave" + bytes.fromhex("f3acd3118cd100c04f8edb8a")

_LITTLE, _BIG = struct.Struct("<4sI").unpack_from, struct.Struct(">4sI").unpack_from
_KNOWN = frozenset(
    b"fmt |data|fact|LIST|list|JUNK|junk|FLLR|PAD |bext|iXML|guan|wamd|cue |smpl|inst|PEAK|id3 |ID3 |ds64|auxi|levl|"
    b"axml|chna|cart|_PMX|minf|umid|elm1|regn|DGDA|ovwf|iXTC|LGWV|plst".split(b"|")
)


# What makes the size of the samples a guess.
_UNSURE = frozenset(("unfinished", "wrapped_size", "trailing_bytes"))

# Name of the chunks -> (offset, size) of each one's body, in file order; a size may reach beyond the end of the file.
Chunks = dict[bytes, list[tuple[int, int]]]


def is_riff_wave(head: bytes) -> bool:
    """First bytes of a file -> is it one of the WAV family?"""
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return head[8:12] == b"WAVE"
    return head[:16] == W64_RIFF and head[24:40] == W64_WAVE


def is_whole(path: str) -> bool | None:
    """Are all samples there that the header declares? None where it declares none, or contradicts the file.

    It contradicts the file where more samples follow than it counts, and where the samples are there and only the size
    of the whole says that chunks are missing: such sizes are wrong as often as files are. Raises `FormatError` for
    what does not start as a WAV file, and for one that ends without samples.
    """
    with closing(HeaderBytes(path)) as file:
        head = file.head[:40]
        if len(head) < (40 if head[:4] == W64_RIFF[: len(head[:4])] else 12):
            return False
        if not is_riff_wave(head):
            raise FormatError(
                f"{path} ({file.size} bytes) starts with {head[:16]!r}; a WAV file starts with RIFF, RIFX, RF64 or "
                "BW64, a size and WAVE: pass format= if it is something else, or skip it"
            )
        order, chunks, flags = walk(file)
        declared = _whole_size(head, order)
        if b"data" not in chunks:
            if declared is not None and file.size >= declared:
                raise FormatError(
                    f"{path} ({file.size} bytes) is as long as it says and holds no samples (no 'data' chunk); skip it"
                )
            return False
        body, size = chunks[b"data"][0]
        if size in UNKNOWN_SIZES or not _UNSURE.isdisjoint(flags):
            return None
        if file.size < body + size:
            return False
        return None if declared is not None and declared > file.size else True


def _whole_size(head: bytes, order: str) -> int | None:
    """The size of the file, by its first chunk; None where none was filled in."""
    if head[:4] == b"riff":
        size = int.from_bytes(head[16:24], "little")
        return size or None
    size = struct.unpack_from(order + "I", head, 4)[0]
    return None if size in UNKNOWN_SIZES else size + 8


def walk(file: HeaderBytes) -> tuple[str, Chunks, tuple[str, ...]]:
    """The chunks of a WAV file, its byte order for `struct`, and flags that say how the size of `data` was found.

    The size of the file, not the one in its header, ends the walk.
    """
    head = file.head
    kind = head[:4]
    if kind == b"riff":
        return _walk_w64(file)
    large = kind in (b"RF64", b"BW64")
    order, unpack_from = (">", _BIG) if kind == b"RIFX" else ("<", _LITTLE)
    sizes: dict[bytes, int] = {}
    chunks: Chunks = {}
    flags: tuple[str, ...] = ()
    position, end = 12, file.size
    for _ in range(MOST_CHUNKS):
        if position + 8 > end:
            break
        body = position + 8
        name, size = unpack_from(head, position) if body <= len(head) else unpack_from(file.get(position, 8))
        if name not in _KNOWN and not _printable(name):
            break
        if large and size == 0xFFFFFFFF and name in sizes:
            size = sizes[name]
        if name == b"data":
            present = end - body
            if size in UNKNOWN_SIZES or present >= WRAP:
                size, found = _data_size(file, body, size, unpack_from)
                flags += found
        elif name == b"ds64" and large:
            sizes = _sizes_64(file.get(body, min(size, 65536)))
        chunks.setdefault(name, []).append((body, size))
        position = body + size
        if size & 1 and position + 8 < end:
            position += _pad(file.get(position, 5))
        if name == b"data" and end - position >= 8:
            after, length = unpack_from(file.get(position, 8))
            if not (after in _KNOWN or (_printable(after) and length <= end - position - 8)):
                flags += _trailing(file, position)
    return order, chunks, flags


def _walk_w64(file: HeaderBytes) -> tuple[str, Chunks, tuple[str, ...]]:
    chunks: Chunks = {}
    flags: tuple[str, ...] = ()
    position = 40
    for _ in range(MOST_CHUNKS):
        if position + 24 > file.size:
            break
        head = file.get(position, 24)
        name, size, body = head[:4], int.from_bytes(head[16:], "little") - 24, position + 24
        if not _printable(name):
            break
        if size < 0 or (name == b"data" and size == 0):
            if name != b"data":
                raise FormatError(
                    f"{file.path}: the chunk {name.decode('ascii')!r} at byte {position} claims {size + 24} bytes, its "
                    "own head has 24; the file is damaged: repair or skip it"
                )
            size, flags = file.size - body, ("unfinished",) if file.size > body else ()
        chunks.setdefault(name, []).append((body, size))
        position = body + (size + 7) // 8 * 8
        if name == b"data" and file.size - position >= 8:
            head = file.get(position, 24)
            fits = len(head) == 24 and 24 <= int.from_bytes(head[16:], "little") <= file.size - position + 7
            if not (fits and _printable(head[:4])):
                flags += _trailing(file, position)
    return "<", chunks, flags


def _trailing(file: HeaderBytes, position: int) -> tuple[str, ...]:
    """No chunk begins here, behind `data`: samples that its size does not count, unless a page is filled up with zeros.

    Recorders that write the size from time to time leave one that is too small when they lose power.
    """
    rest = file.size - position
    return () if rest <= LOCAL_STEP and not any(file.get(position, rest)) else ("trailing_bytes",)


def _data_size(
    file: HeaderBytes, body: int, size: int, unpack_from: Callable[..., tuple[Any, ...]]
) -> tuple[int, tuple[str, ...]]:
    """The size of `data` as it must have been meant, and the flag that says so."""
    present = file.size - body
    if size in UNKNOWN_SIZES and present > 0 and not (size == 0 and _ends_in_chunks(file, body, unpack_from)):
        return present, ("unfinished",)  # the recorder lost power before it came back to fill in the size
    if size < WRAP <= present:
        # A plain 32-bit size beyond 4 GiB: what follows the samples is small, so the nearest number of wraps fits.
        wraps = (present - size + WRAP // 2) // WRAP
        return size + wraps * WRAP, ("wrapped_size",) if wraps else ()
    return size, ()


def _ends_in_chunks(file: HeaderBytes, position: int, unpack_from: Callable[..., tuple[Any, ...]]) -> bool:
    """Do chunks follow from here to the very end? Then a `data` chunk of size 0 is empty, not unfinished."""
    for _ in range(MOST_CHUNKS):
        head = file.get(position, 8)
        if len(head) < 8:
            break
        name, size = unpack_from(head)
        if not _printable(name):
            return False
        position += 8 + size + (size & 1)
    return file.size <= position <= file.size + 1


def _sizes_64(body: bytes) -> dict[bytes, int]:
    """The body of `ds64` -> chunk name to 64-bit size."""
    if len(body) < 16:
        return {}
    sizes = {b"data": struct.unpack_from("<Q", body, 8)[0]}
    count = struct.unpack_from("<I", body, 24)[0] if len(body) >= 28 else 0
    for at in range(28, min(28 + 12 * count, len(body) - 11), 12):
        name, size = struct.unpack_from("<4sQ", body, at)
        sizes[name] = size
    return sizes


def _pad(following: bytes) -> int:
    """1 for the byte that fills an odd chunk up to an even size, 0 where the writer forgot it."""
    return 0 if following[:4] in _KNOWN and following[1:5] not in _KNOWN else 1


def _printable(name: bytes) -> bool:
    return all(0x20 <= byte < 0x7F for byte in name)
