"""Writing films: lossless ones of depth, and coloured ones to look at; whole, or not at all."""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from ..errors import RecordingError, Unwritable
from ..formats.depth.films import package
from ..sinks.atomic import writing

log = logging.getLogger(__name__)

CONTAINERS = {".avi": "avi", ".mkv": "matroska", ".mp4": "mp4"}
# 24 slices with checksums, as films of this camera are archived; every frame a key frame, so that each is read alone.
_FFV1 = {"slices": "24", "slicecrc": "1", "level": "3"}
_LEAST_SLICED = 128  # pixels a side: codecs of smaller pictures choose their number of slices themselves
_H264 = {"preset": "veryfast", "crf": "20"}


class Encoder:
    """Encodes frames into a file that is there at once, under the name given; see `FilmWriter` for whole files."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        width: int,
        height: int,
        rate: Fraction | float,
        *,
        container: str,
        codec: str = "ffv1",
        title: str | None = None,
        threads: int = 2,
    ) -> None:
        self.path, self.width, self.height, self.codec, self.frames = str(path), width, height, codec, 0
        self._av = package(self.path)
        name, self._format, options = self._encoding(codec)
        exact = Fraction(rate).limit_denominator(1 << 16)
        self._container = self._av.open(self.path, "w", format=container)
        stream = self._container.add_stream(name, rate=exact)
        stream.width, stream.height, stream.options = width, height, options
        stream.pix_fmt = "gray16le" if codec == "ffv1" else "yuv420p"
        stream.codec_context.thread_count = threads
        if codec == "ffv1":
            stream.gop_size = 1
        if title:
            stream.metadata["title"] = title
        self._stream: Any = stream

    def _encoding(self, codec: str) -> tuple[str, str, dict[str, str]]:
        """The encoder's name, the format of what goes in, and its options."""
        if codec == "ffv1":
            small = min(self.width, self.height) < _LEAST_SLICED
            return "ffv1", "gray16le", {"slicecrc": "1", "level": "3"} if small else _FFV1
        if "libx264" in self._av.codec.codecs_available:
            return "libx264", "yuv420p", _H264
        log.warning("%s: this PyAV has no encoder of H.264; the movie is written with MPEG-4", self.path)
        return "mpeg4", "yuv420p", {"qscale": "3"}

    def write(self, frames: np.ndarray) -> None:
        """Append frames: (frames, y, x) uint16 with ffv1, (frames, 3 y / 2, x) uint8 (yuv420p) with h264."""
        shape, dtype = (self.height, self.width), np.dtype(np.uint16)
        if self.codec != "ffv1":
            shape, dtype = (self.height * 3 // 2, self.width), np.dtype(np.uint8)  # type: ignore[assignment]
        if frames.shape[1:] != shape or frames.dtype != dtype:
            raise RecordingError(
                f"{self.path}: frames of shape {frames.shape} and type {frames.dtype} were given, (frames, "
                f"{', '.join(map(str, shape))}) {dtype} were expected"
            )
        try:
            for each in frames:
                picture = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(each), format=self._format)
                picture.pts, picture.time_base = self.frames, 1 / self._stream.codec_context.framerate
                self._container.mux(self._stream.encode(picture))
                self.frames += 1
        except self._av.error.FFmpegError as error:
            raise self._refused(error) from error

    def close(self) -> None:
        """Write what the encoder still has, and the index of the file."""
        try:
            if not self.frames:
                raise RecordingError(f"{self.path}: no frame was written, a film has one or more; leave the file out")
            self._container.mux(self._stream.encode())
        except self._av.error.FFmpegError as error:
            raise self._refused(error) from error
        finally:
            try:
                self._container.close()
            except self._av.error.FFmpegError as error:
                raise self._refused(error) from error

    def _refused(self, error: Exception) -> Unwritable:
        return Unwritable(f"{self.path}: frame {self.frames} cannot be written: {error}; see that the disk has room")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()

    def abandon(self) -> None:
        """Close the file as it is: it is not going to be used."""
        try:
            self._container.close()
        except self._av.error.FFmpegError as error:
            log.debug("%s: %s", self.path, error)


class FilmWriter:
    """Writes one film, frame after frame; it gets its name when the `with` ends, and after an error nothing is left.

    Parameters
    ----------
    path : `.avi` or `.mkv` (ffv1), `.mp4` or `.mkv` (h264); a file of that name is replaced
    width, height : pixels; even numbers with h264
    rate : frames a second [Hz]
    codec : "ffv1", lossless, of uint16 (mm); or "h264" (MPEG-4 where PyAV has no encoder of it), in colour
    title : of the stream
    threads : of the encoder

    Raises
    ------
    MissingPackage : without PyAV
    RecordingError : another codec or suffix, odd sizes with h264; frames of another shape or type
    Unwritable : the disk refuses
    FileNotFoundError : the folder is not there

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with FilmWriter(f"{folder}/depth.avi", 8, 6, 30) as film:
    ...         film.write(np.full((3, 6, 8), 675, np.uint16))
    ...     os.listdir(folder), film.frames
    (['depth.avi'], 3)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        width: int,
        height: int,
        rate: Fraction | float,
        *,
        codec: str = "ffv1",
        title: str | None = None,
        threads: int = 2,
    ) -> None:
        if codec not in ("ffv1", "h264"):
            raise RecordingError(f"codec {codec!r} was given, 'ffv1' or 'h264' was expected")
        self.path = Path(path)
        self._container = container_of(self.path)
        if codec == "h264" and (width % 2 or height % 2):
            raise RecordingError(f"{path}: {width} x {height} pixels were given, h264 needs even numbers: add a line")
        self._size = width, height
        self._rate, self._codec, self._title, self._threads = rate, codec, title, threads
        self._open: ExitStack | None = None
        self._encoder: Encoder | None = None

    @property
    def frames(self) -> int:
        """How many were written."""
        return 0 if self._encoder is None else self._encoder.frames

    def write(self, frames: np.ndarray) -> None:
        """Append frames: (frames, y, x) uint16 with ffv1, (frames, 3 y / 2, x) uint8 (yuv420p) with h264."""
        if self._encoder is None:
            raise RecordingError(f"{self.path} is not open; write inside `with FilmWriter(...) as film:`")
        self._encoder.write(frames)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(writing(self.path))
            self._encoder = Encoder(
                temporary,
                *self._size,
                self._rate,
                container=self._container,
                codec=self._codec,
                title=self._title,
                threads=self._threads,
            )
            stack.enter_context(self._encoder)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        assert self._open is not None
        self._open.__exit__(*error)


def container_of(path: Path) -> str:
    """The kind of file that a name asks for."""
    if (suffix := path.suffix.lower()) not in CONTAINERS:
        raise RecordingError(f"{path}: a film ends in one of {', '.join(CONTAINERS)}; give it such a name")
    return CONTAINERS[suffix]
