"""Films of 16-bit gray: any range of their frames, exactly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ...errors import FormatError, TruncatedFile
from ...source import Layout
from ..ranges import check_frames, check_unchanged, explain
from .films import GRAY, Film, film_of, package, probe_video
from .packets import contents
from .slices import damaged_slice

__all__ = ["Film", "VideoSource", "probe_video"]

# Threads of one read: the reads of blocks run beside each other as well. Slices are shared out, not frames: nothing
# comes late, and what is wrong is told of the frame that it is in.
THREADS = 2


@dataclass(frozen=True)
class VideoSource:
    """Reads the packets of the frames asked for, and decodes these, and where need be those that they build on.

    Packets are found through an index that a process makes once for each file. `layout` is that of a `Film`.
    """

    path: str
    frames: int
    layout: Layout
    size: int
    modified_ns: int

    @property
    def shape(self) -> tuple[int, int, int]:
        height, width, _ = self.layout
        return self.frames, int(height or 0), int(width or 0)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.uint16)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Frames [start, stop) -> (frames, y, x) uint16, in native byte order.

        Raises `TruncatedFile` where the file has become shorter, `FormatError` where it changed otherwise, or where a
        frame cannot be decoded or fails its checksum; the message has the number of the frame.
        """
        check_frames(self.path, start, stop, self.frames)
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        if start == stop:
            return out
        try:
            with open(self.path, "rb", buffering=0) as file:
                self._check(os.fstat(file.fileno()), start, stop)
                film = film_of(self.path, self.size, self.modified_ns, int(self.layout[2] or 0))
                if film.frames < stop:
                    raise TruncatedFile(self.path, wanted=stop - start, found=max(film.frames - start, 0))
                for frame, pixels in _decoded(film, file, start, stop):
                    out[frame - start] = pixels
        except OSError as error:
            if isinstance(error, TruncatedFile):
                raise
            explain(self.path, error)
        return out

    def _check(self, status: os.stat_result, start: int, stop: int) -> None:
        if status.st_size < self.size:
            try:
                left = film_of(self.path, status.st_size, status.st_mtime_ns, int(self.layout[2] or 0)).frames
            except FormatError:
                left = 0
            raise TruncatedFile(self.path, wanted=stop - start, found=min(max(left - start, 0), stop - start))
        check_unchanged(self.path, status, self.size, self.modified_ns)


def _decoded(film: Film, file: BinaryIO, start: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
    """(number of the frame, its pixels), for each frame in [start, stop), in order."""
    if film.codec == "rawvideo":
        for frame in range(start, stop):
            yield frame, _pixels(film, frame, contents(file, film.packets, frame), 2 * film.width)
        return
    first = int(np.flatnonzero(film.packets.keys[: start + 1])[-1])
    decoder = _decoder(film)
    wanted = first
    for frame in range(first, stop + 1):
        for picture in _pictures(film, decoder, file, frame if frame < stop else None, wanted):
            found = picture.pts, picture.format.name, picture.width, picture.height
            if picture.is_corrupt or found != (wanted, film.pixel_format, film.width, film.height):
                raise _damaged(film, wanted, "the decoder gave frame {}, {}, {} x {}".format(*found))
            if wanted >= start:
                plane = picture.planes[0]
                yield wanted, _pixels(film, wanted, plane, plane.line_size)
            wanted += 1
    if wanted != stop:
        raise _damaged(film, wanted, "nothing came out of the decoder")


def _decoder(film: Film) -> Any:
    decoder: Any = package(film.path).CodecContext.create(film.codec, "r")
    decoder.width, decoder.height, decoder.pix_fmt = film.width, film.height, film.pixel_format
    if film.setup:
        decoder.extradata = film.setup
    decoder.thread_count, decoder.thread_type = THREADS, "SLICE"
    decoder.options = {"err_detect": "crccheck+bitstream+buffer+explode"}
    return decoder


def _pictures(film: Film, decoder: Any, file: BinaryIO, frame: int | None, wanted: int) -> list[Any]:
    """What comes out of the decoder when the packet of that frame goes in, or the end (None)."""
    av = package(film.path)
    packet = None
    if frame is not None:
        data = contents(file, film.packets, frame)
        if film.sliced and (at := damaged_slice(data, film.start)) is not None:
            raise _damaged(film, frame, f"slice {at}, counted from its end, is not as it was written")
        packet = av.Packet(data)
        packet.pts = packet.dts = frame
    try:
        return list(decoder.decode(packet))
    except av.error.FFmpegError as error:
        raise _damaged(film, wanted, error.strerror or str(error)) from error


def _pixels(film: Film, frame: int, plane: Any, line: int) -> np.ndarray:
    """(y, x) as it is stored, of lines of so many bytes."""
    values = np.frombuffer(plane, GRAY[film.pixel_format])
    if values.size < film.height * line // 2:
        raise _damaged(film, frame, f"it has {values.nbytes} bytes, {film.height * line} were expected")
    return values[: film.height * line // 2].reshape(film.height, line // 2)[:, : film.width]


def _damaged(film: Film, frame: int, what: str) -> FormatError:
    return FormatError(
        f"{film.path}: frame {frame} cannot be decoded ({what}); a sound packet of {film.codec} was expected: copy the "
        f"file again, or leave the frame out (the frames before it can be read)"
    )
