"""Where the packets of a video stream lie in their file: bytes, times and key frames, without decoding one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ...errors import FormatError

# Elements of Matroska (RFC 9559) by their identifiers; of those that are not here the walk skips the contents.
_SEGMENT, _CLUSTER, _GROUP = 0x18538067, 0x1F43B675, 0xA0
_INFO, _SCALE = 0x1549A966, 0x2AD7B1
_TRACKS, _ENTRY, _NUMBER, _TYPE, _ENCODINGS = 0x1654AE6B, 0xAE, 0xD7, 0x83, 0x6D80
_TIME, _SIMPLE, _BLOCK, _REFERENCE = 0xE7, 0xA3, 0xA1, 0xFB
_OPEN = {_SEGMENT, _CLUSTER}  # the walk goes on inside these, and so needs no length of theirs, which may be unknown
_STREAMS = {1, 2, 17, 33}  # types of tracks that are streams: video, audio, subtitle, metadata
_LARGEST_HEAD = 1 << 24  # bytes of a header that is read whole

Row = tuple[int, int, int, bool]  # place, size, ticks, key


@dataclass(frozen=True, eq=False)
class Packets:
    """The packets of one stream, in the order of the file: one for each frame.

    `places` and `sizes` [bytes] say where the contents are, `ticks` when the frame was shown (units of `tick` seconds,
    where known), `keys` which frames need no other one. `cut`: the file ends within a packet, or before it says.
    """

    places: np.ndarray
    sizes: np.ndarray
    ticks: np.ndarray
    keys: np.ndarray
    cut: bool = False

    def __len__(self) -> int:
        return len(self.places)


def contents(file: BinaryIO, packets: Packets, frame: int) -> bytes:
    """The packet of one frame, in one read."""
    file.seek(int(packets.places[frame]))
    return file.read(int(packets.sizes[frame]))


def avi_packets(container: Any, stream: Any, size: int) -> Packets:
    """Packets of an AVI file, from its index; where there is none (the writer died), by walking over the file.

    Parameters
    ----------
    container, stream : PyAV's
    size : of the file [bytes]
    """
    entries = getattr(stream, "index_entries", ())  # older PyAV has none: it walks
    rows = [(e.pos + 8, e.size, e.timestamp, e.is_keyframe) for e in entries if not e.is_discard]
    if len(rows) < stream.frames or not rows:
        found = [p for p in container.demux(stream) if p.pos is not None]
        rows = [(p.pos, p.size, p.pts, p.is_keyframe) for p in found if not p.is_corrupt]  # corrupt: a part of one
    whole = [row for row in rows if row[1] and row[0] + row[1] <= size]  # an empty chunk stands for a frame dropped
    cut = len(rows) < stream.frames or any(row[0] + row[1] > size for row in rows)
    return _packets(whole, cut)


def matroska_packets(path: str, stream: int) -> tuple[Packets, int]:
    """Packets of a Matroska file, and the length of a tick [ns]; contents of blocks are skipped, not read.

    Parameters
    ----------
    path : the file
    stream : number of the stream, as PyAV counts
    """
    # A short buffer: each block costs one read of it.
    with open(path, "rb", buffering=512) as file:
        size = os.fstat(file.fileno()).st_size
        walk = _Walk(path, file, size, stream)
        rows = list(walk.blocks())
    return _packets(rows, walk.cut), walk.scale


def _packets(rows: list[Row], cut: bool) -> Packets:
    table = np.array(rows, np.int64).reshape(-1, 4)
    places, sizes, ticks, keys = (np.ascontiguousarray(column) for column in table.T)
    return Packets(places, sizes, ticks, keys.astype(bool), cut)


class _Walk:
    """One pass over the elements of a Matroska file."""

    def __init__(self, path: str, file: BinaryIO, size: int, stream: int) -> None:
        self.path, self.file, self.size, self.stream = path, file, size, stream
        self.scale, self.cut, self.track = 1_000_000, False, -1

    def blocks(self) -> Iterator[Row]:
        """Each block of the stream; times are those of a cluster and of a block in it."""
        time = 0
        for name, begin, length in self._elements(0, self.size):
            if name == _INFO:
                self.scale = _number(self._bytes(begin, length), _SCALE) or self.scale
            elif name == _TRACKS:
                self.track = self._track(self._bytes(begin, length))
            elif name == _TIME:
                time = int.from_bytes(self._bytes(begin, length), "big")
            elif name == _SIMPLE:
                yield from self._block(begin, length, time)
            elif name == _GROUP:
                inside = list(self._elements(begin, begin + length))
                key = all(each != _REFERENCE for each, _, _ in inside)
                for each, at, count in inside:
                    if each == _BLOCK:
                        yield from ((*row[:3], key) for row in self._block(at, count, time))

    def _elements(self, at: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """(identifier, place and length of the contents) of the elements in [at, stop), of those in `_OPEN` too."""
        while at < stop:
            found = _head(self._bytes(at, 12))
            if found is None:  # zeros, or less than a head: the writer did not get further
                self.cut = True
                return
            name, head, length = found
            at += head
            if name in _OPEN:
                continue
            if length is None or at + length > self.size:
                self.cut = True
                return
            yield name, at, length
            at += length

    def _block(self, begin: int, length: int, time: int) -> Iterator[Row]:
        head = self._bytes(begin, 12)
        track, width = _size(head)
        if track != self.track:
            return
        if head[width + 2] & 0x06:
            raise FormatError(
                f"{self.path}: the block at byte {begin} holds several frames in one (lacing), one was expected; write "
                "the video again with: ffmpeg -i IN -map 0 -c copy OUT.mkv"
            )
        ticks = time + int.from_bytes(head[width : width + 2], "big", signed=True)
        yield begin + width + 3, length - width - 3, ticks, bool(head[width + 2] & 0x80)

    def _track(self, tracks: bytes) -> int:
        """Number of the track that is the stream."""
        entries = [body for name, body in _children(tracks) if name == _ENTRY]
        streams = [body for body in entries if _number(body, _TYPE) in _STREAMS]
        if self.stream >= len(streams):
            raise FormatError(
                f"{self.path}: stream {self.stream} was expected, the file declares {len(streams)} tracks; it is "
                "damaged, or changed since it was opened: open it again"
            )
        if any(name == _ENCODINGS for name, _ in _children(streams[self.stream])):
            raise FormatError(
                f"{self.path}: the packets of stream {self.stream} are compressed by the container (a codec alone was "
                "expected); write the video again with: mkvmerge -o OUT.mkv --compression -1:none IN"
            )
        return _number(streams[self.stream], _NUMBER)

    def _bytes(self, at: int, count: int) -> bytes:
        if count > _LARGEST_HEAD:
            raise FormatError(
                f"{self.path}: the header at byte {at} claims {count} bytes, at most {_LARGEST_HEAD} were expected; "
                "the file is damaged: skip it"
            )
        self.file.seek(at)
        return self.file.read(count)


def _head(text: bytes) -> tuple[int, int, int | None] | None:
    """Identifier, bytes of the head, and length of the contents (None: not known) of the element that begins here."""
    if not text or text[0] < 0x10:
        return None
    width = 9 - text[0].bit_length()
    if len(text) < width + 1 or not text[width]:
        return None
    length, more = _size(text[width:])
    if len(text) < width + more:
        return None
    return int.from_bytes(text[:width], "big"), width + more, None if length == (1 << 7 * more) - 1 else length


def _size(text: bytes) -> tuple[int, int]:
    """A number of variable width, and its width in bytes."""
    width = 9 - text[0].bit_length()
    return int.from_bytes(text[:width], "big") & (1 << 7 * width) - 1, width


def _children(text: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while (found := _head(text[at : at + 12])) is not None:
        name, head, length = found
        if length is None:
            return
        yield name, text[at + head : at + head + length]
        at += head + length


def _number(text: bytes, wanted: int) -> int:
    """The first child of that name as a whole number, 0 where there is none."""
    return next((int.from_bytes(body, "big") for name, body in _children(text) if name == wanted), 0)
