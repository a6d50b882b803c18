"""Films of 16-bit gray: which frames a file has, and any range of them, exactly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any, BinaryIO

import numpy as np

from ...errors import FormatError, MissingPackage, TruncatedFile
from ...source import Layout
from ..ranges import check_frames, check_unchanged, explain, is_remote
from .packets import Packets, avi_packets, matroska_packets
from .slices import checked_with, damaged_slice

GRAY = {"gray16le": "<u2", "gray16be": ">u2"}
TITLE = "DEPTH"  # of the stream that Azure's recorder writes depth to
# Threads of one read: the reads of blocks run beside each other as well.
THREADS = 2
_MANY = 8  # frames that are worth starting threads for
_TRIED = 8  # packets that are looked at for how they are checked
_OFF = 0.1  # a declared rate further from the frames' own median is not believed


@dataclass(frozen=True, eq=False)
class Film:
    """What one file says of its film: of one stream of 16-bit gray, and where its packets are.

    `times` are those of the packets [ms], float64 in the order of presentation, None where frames follow each other at
    a constant rate. `cut`: fewer frames are there than were to be written. `declared` is their number where the file
    says it. `setup` is what the codec needs to begin with; `start` is what checksums of FFV1 begin with.
    """

    path: str
    width: int
    height: int
    frames: int
    rate: Fraction
    pixel_format: str
    stream: int
    times: np.ndarray | None
    codec: str
    title: str
    size: int
    modified_ns: int
    cut: bool
    declared: int | None
    packets: Packets = field(repr=False)
    setup: bytes = field(repr=False)
    start: int | None = field(repr=False)

    @property
    def layout(self) -> Layout:
        """What `VideoSource` needs to know before it looks into the file."""
        return self.height, self.width, self.stream


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
                film = _film(self.path, self.size, self.modified_ns, int(self.layout[2] or 0))
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
                left = _film(self.path, status.st_size, status.st_mtime_ns, int(self.layout[2] or 0)).frames
            except FormatError:
                left = 0
            raise TruncatedFile(self.path, wanted=stop - start, found=min(max(left - start, 0), stop - start))
        check_unchanged(self.path, status, self.size, self.modified_ns)


def probe_video(path: str, stream: int | None = None) -> Film:
    """Describe the film of a file: its frames and their times; no frame is decoded.

    The index is kept for as long as the file does not change: reading blocks does not look for packets again.

    Parameters
    ----------
    path : `.avi`, or `.mkv`
    stream : number of the stream; else the one whose title is DEPTH, else the first one of 16-bit gray

    Raises
    ------
    MissingPackage : without PyAV
    FormatError : no video, or no stream of 16-bit gray in it; a remote file
    """
    if is_remote(path):
        raise FormatError(f"{path} is remote, video is read from disk; download it and open the copy")
    try:
        status = os.stat(path)
    except OSError as error:
        explain(path, error)
    if os.path.isdir(path):
        explain(path, IsADirectoryError())
    with _opened(path, status.st_size) as container:
        chosen = _choose(path, container, stream)
    return _film(path, status.st_size, status.st_mtime_ns, chosen)


def package(path: str) -> Any:
    """PyAV, which films alone need: imported here, at the first of them."""
    try:
        import av
    except ImportError as error:
        raise MissingPackage(
            f"{path}: video is read and written with PyAV, which is not installed ({error}); "
            "pip install 'reelarray[depth]'"
        ) from error
    return av


@contextmanager
def _opened(path: str, size: int) -> Iterator[Any]:
    av = package(path)
    try:
        with av.open(path) as container:
            yield container
    except av.error.FFmpegError as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            explain(path, error)
        raise FormatError(
            f"{path} ({size} bytes) is no video that can be read ({error.strerror or error}); an .avi or .mkv file of "
            "16-bit gray was expected: copy it again, or skip it"
        ) from error


def _choose(path: str, container: Any, stream: int | None) -> int:
    """The number of the stream of depth."""
    videos = {each.index: each for each in container.streams.video}
    gray = [index for index, each in videos.items() if each.codec_context.pix_fmt in GRAY]
    if stream is None:
        titled = [index for index in gray if _title(videos[index]) == TITLE]
        stream = next(iter(titled or gray), None)
    if stream is None or stream not in gray:
        found = [
            f"{each.index}: {_title(each) or 'no title'}, {each.codec_context.name}, "
            f"{each.codec_context.pix_fmt}, {each.codec_context.width}x{each.codec_context.height}"
            for each in videos.values()
        ]
        asked = "" if stream is None else f"stream {stream} was asked for, "
        raise FormatError(
            f"{path}: {asked}a stream of 16-bit gray ({', '.join(GRAY)}) was expected, the streams of video are "
            f"{'; '.join(found) or 'none'}; pass stream=, or choose the file of the depth camera"
        )
    return stream


def _title(stream: Any) -> str:
    return str(next((text for key, text in stream.metadata.items() if key.lower() == "title"), ""))


@lru_cache(maxsize=16)
def _film(path: str, size: int, modified_ns: int, stream: int) -> Film:
    """Made at the probe, and once in each process that reads the file: 25 bytes a frame."""
    with _opened(path, size) as container:
        chosen = container.streams[_choose(path, container, stream)]
        kind = container.format.name
        if kind == "avi":
            packets, tick = avi_packets(container, chosen, size), Fraction(chosen.time_base) * 1000
        elif kind.startswith("matroska"):
            packets, scale = matroska_packets(path, stream)
            tick = Fraction(scale, 10**6)
        else:
            raise FormatError(
                f"{path} is a file of the kind {kind!r}, .avi or .mkv was expected; write it again with: "
                "ffmpeg -i IN -map 0 -c copy OUT.mkv"
            )
        codec = chosen.codec_context
        facts = (codec.width, codec.height, codec.pix_fmt, codec.name, _title(chosen), bytes(codec.extradata or b""))
        stated = chosen.base_rate or chosen.average_rate
        declared = chosen.frames or None
    if not len(packets) or not packets.keys[0]:
        raise FormatError(
            f"{path} ({size} bytes): {len(packets)} frames were found in stream {stream}, the first of them "
            f"{'a whole picture' if len(packets) else 'none'}, one or more were expected, beginning with a key frame; "
            "the file was never finished or is damaged: skip it"
        )
    steps = np.diff(packets.ticks)
    if (steps <= 0).any():
        frame = int(np.argmax(steps <= 0)) + 1
        raise FormatError(
            f"{path}: frame {frame} of stream {stream} is not shown after the one before it; frames in the order of "
            "their times were expected, as lossless codecs write them: encode it again with ffv1"
        )
    even = kind == "avi" and bool((steps == 1).all()) and packets.ticks[0] == 0
    times = None if even else packets.ticks * float(tick)
    with open(path, "rb", buffering=0) as file:
        tried = (_contents(file, packets, frame) for frame in range(min(len(packets), _TRIED)))
        start = checked_with(tried) if facts[3] == "ffv1" else None
    width, height, pixel_format, name, title, setup = facts
    return Film(
        path=path,
        width=width,
        height=height,
        frames=len(packets),
        rate=_rate(stated, tick, steps),
        pixel_format=pixel_format,
        stream=stream,
        times=times,
        codec=name,
        title=title,
        size=size,
        modified_ns=modified_ns,
        cut=packets.cut,
        declared=declared,
        packets=packets,
        setup=setup,
        start=start,
    )


def _rate(stated: Fraction | None, tick: Fraction, steps: np.ndarray) -> Fraction:
    """Frames a second: what is stated, unless the times of the packets are those of another rate."""
    usual = float(np.median(steps)) * float(tick) / 1000 if len(steps) else 0.0
    if stated and (not usual or abs(usual * float(stated) - 1) < _OFF):
        return Fraction(stated)
    if not usual:
        return Fraction(30)  # one frame: nothing is known, and the cameras that are read here have this rate
    return Fraction(1 / usual).limit_denominator(1001)


def _decoded(film: Film, file: BinaryIO, start: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
    """(number of the frame, its pixels), for each frame in [start, stop), in order."""
    if film.codec == "rawvideo":
        for frame in range(start, stop):
            yield frame, _pixels(film, frame, _contents(file, film.packets, frame), 2 * film.width)
        return
    first = int(np.flatnonzero(film.packets.keys[: start + 1])[-1])
    decoder = _decoder(film, stop - first)
    wanted = first
    for frame in range(first, stop + 1):
        for picture in _pictures(film, decoder, file, frame if frame < stop else None, wanted):
            if picture.pts != wanted or picture.is_corrupt or picture.format.name != film.pixel_format:
                raise _damaged(film, wanted, f"frame {picture.pts} ({picture.format.name}) came out of the decoder")
            if wanted >= start:
                plane = picture.planes[0]
                yield wanted, _pixels(film, wanted, plane, plane.line_size)
            wanted += 1
    if wanted != stop:
        raise _damaged(film, wanted, "nothing came out of the decoder")


def _decoder(film: Film, frames: int) -> Any:
    decoder: Any = package(film.path).CodecContext.create(film.codec, "r")
    decoder.width, decoder.height, decoder.pix_fmt = film.width, film.height, film.pixel_format
    if film.setup:
        decoder.extradata = film.setup
    # What a thread finds wrong is told of a later frame: threads are for packets that are known to be sound.
    decoder.thread_count = THREADS if film.start is not None and frames >= _MANY else 1
    decoder.thread_type = "FRAME"
    decoder.options = {"err_detect": "crccheck+bitstream+buffer+explode"}
    return decoder


def _pictures(film: Film, decoder: Any, file: BinaryIO, frame: int | None, wanted: int) -> list[Any]:
    """What comes out of the decoder when the packet of that frame goes in, or the end (None)."""
    av = package(film.path)
    packet = None
    if frame is not None:
        contents = _contents(file, film.packets, frame)
        if film.codec == "ffv1" and (at := damaged_slice(contents, film.start)) is not None:
            raise _damaged(film, frame, f"slice {at}, counted from its end, is not as it was written")
        packet = av.Packet(contents)
        packet.pts = packet.dts = frame
    try:
        return list(decoder.decode(packet))
    except av.error.FFmpegError as error:
        raise _damaged(film, wanted, error.strerror or str(error)) from error


def _contents(file: BinaryIO, packets: Packets, frame: int) -> bytes:
    """The packet of one frame, in one read."""
    file.seek(int(packets.places[frame]))
    return file.read(int(packets.sizes[frame]))


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
