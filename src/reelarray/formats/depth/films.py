"""What a file of 16-bit gray video says of itself: its streams, its frames and their times; no frame is decoded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np

from ...errors import FormatError, MissingPackage
from ...source import Layout
from ..ranges import explain, is_remote
from .packets import Packets, avi_packets, contents, matroska_packets
from .slices import checked_with

GRAY = {"gray16le": "<u2", "gray16be": ">u2"}
TITLE = "DEPTH"  # of the stream that Azure's recorder writes depth to
_USUAL = Fraction(30)  # frames a second of the cameras that are read here, for a film of one frame
_TRIED = 8  # packets that are looked at for how they are checked
_MAKING = Lock()
_OFF = 0.1  # a declared rate further from the frames' own median is not believed


@dataclass(frozen=True, eq=False)
class Film:
    """What one file says of its film: of one stream of 16-bit gray, and where its packets are.

    `times` are those of the packets [ms], float64 in the order of presentation, None where frames follow each other at
    a constant rate. `cut`: fewer frames are there than were to be written. `declared` is their number where the file
    says it. `setup` is what the codec needs to begin with; `start` is what checksums of FFV1 begin with, None
    without any.
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
    def sliced(self) -> bool:
        """Whether packets say how long their slices are: not in FFV1 before version 3, which needs no setup."""
        return self.codec == "ffv1" and bool(self.setup)

    @property
    def layout(self) -> Layout:
        """What `VideoSource` needs to know before it looks into the file."""
        return self.height, self.width, self.stream


def probe_video(path: str, stream: int | str | None = None) -> Film:
    """Describe the film of a file: its frames and their times; no frame is decoded.

    The index is kept for as long as the file does not change: reading blocks does not look for packets again.

    Parameters
    ----------
    path : `.avi`, or `.mkv`
    stream : number of the stream, or its title; else (and for "DEPTH") the one whose title is DEPTH, else the first one
        of 16-bit gray

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
    return film_of(path, status.st_size, status.st_mtime_ns, chosen)


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
        with av.open(path, metadata_errors="replace") as container:
            yield container
    except av.error.FFmpegError as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            explain(path, error)
        raise FormatError(
            f"{path} ({size} bytes) is no video that can be read ({error.strerror or error}); an .avi or .mkv file of "
            "16-bit gray was expected: copy it again, or skip it"
        ) from error


def _choose(path: str, container: Any, wanted: int | str | None) -> int:
    """The number of the stream of depth."""
    videos = {each.index: each for each in container.streams.video if each.codec_context is not None}
    gray = [index for index, each in videos.items() if each.codec_context.pix_fmt in GRAY]
    stream = wanted
    if not isinstance(wanted, int):
        titled = [index for index in gray if _title(videos[index]) == (wanted or TITLE)]
        stream = next(iter(titled or (gray if wanted in (None, TITLE) else [])), None)
    if not isinstance(stream, int) or stream not in gray:
        found = [
            f"{each.index}: {_title(each) or 'no title'}, {each.codec_context.name}, "
            f"{each.codec_context.pix_fmt}, {each.codec_context.width}x{each.codec_context.height}"
            for each in videos.values()
        ]
        asked = "" if wanted is None else f"stream {wanted!r} was asked for, "
        raise FormatError(
            f"{path}: {asked}a stream of 16-bit gray ({', '.join(GRAY)}) was expected, the streams of video are "
            f"{'; '.join(found) or 'none'}; pass stream=, or choose the file of the depth camera"
        )
    return stream


def _title(stream: Any) -> str:
    return str(next((text for key, text in stream.metadata.items() if key.lower() == "title"), ""))


def film_of(path: str, size: int, modified_ns: int, stream: int) -> Film:
    """The film of a file as it was: made at the probe, and once in each process that reads it; 25 bytes a frame."""
    with _MAKING:  # threads that read the first blocks of a file would all make the same
        return _film(path, size, modified_ns, stream)


@lru_cache(maxsize=16)
def _film(path: str, size: int, modified_ns: int, stream: int) -> Film:
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
    width, height, pixel_format, name, title, setup = facts
    even = kind == "avi" and bool((steps == 1).all()) and packets.ticks[0] == 0
    times = None if even else packets.ticks * float(tick)
    with open(path, "rb", buffering=0) as file:
        tried = (contents(file, packets, frame) for frame in range(min(len(packets), _TRIED)))
        start = checked_with(tried) if name == "ffv1" and setup else None
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
        return _USUAL
    return Fraction(1 / usual).limit_denominator(1001)
