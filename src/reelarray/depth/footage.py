"""The frames of one file, whatever its format, and what else it holds: what a copy of them needs to know."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import formats
from ..errors import FormatError
from ..formats.depth.dat import SHAPES, DatSource, count_frames
from ..formats.depth.films import package, probe_video
from ..formats.depth.session import METADATA, read_session
from ..formats.depth.stamps import find_stamps, read_stamps
from ..formats.depth.video import VideoSource
from ..formats.ranges import check_unchanged, explain
from ..source import Source
from .encoding import CONTAINERS

RAW = ".dat"
_OURS = ("utc_offset", "naive_start")  # what opening adds to the metadata of a file
KINECT = SHAPES[0]  # (rows, columns) of raw frames of which nothing is said


@dataclass(frozen=True, eq=False)
class Footage:
    """Frames (time, y, x) uint16 [mm] of one file. `times` [ms] and `metadata` are those that the file itself holds.

    `kept` says what of the file is not among its frames, "" where nothing is.
    """

    path: Path
    source: Source
    size: int
    modified_ns: int
    times: np.ndarray | None
    metadata: Mapping[str, Any] | None
    kept: str

    @property
    def frames(self) -> int:
        return self.source.shape[0]

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of a frame."""
        return self.source.shape[1], self.source.shape[2]

    @property
    def stem(self) -> str:
        """The name of the file without its suffixes, also two of them."""
        name = self.path.name
        return name[: -len(".tar.gz")] if name.lower().endswith(".tar.gz") else self.path.stem

    def read(self, start: int, stop: int) -> np.ndarray:
        """Frames [start, stop)."""
        return self.source.read(start, stop)

    def check_unchanged(self) -> None:
        """Raise `FormatError` where the file is not what it was when this was made."""
        check_unchanged(str(self.path), os.stat(self.path), self.size, self.modified_ns)

    def not_covered(self, start: int, stop: int) -> str:
        """What a copy of these frames, with the times that belong to them, lacks of this file; "" where nothing."""
        if (start, stop) != (0, self.frames):
            return f"it has {self.frames} frames"
        if self.kept:
            return self.kept
        stamps = find_stamps(str(self.path.parent))
        if stamps is None:
            return ""
        try:
            count = len(read_stamps(stamps))
        except FormatError as error:
            return f"the times beside it cannot be read: {error}"
        return "" if count == self.frames else f"{stamps} has {count} times, the file has {self.frames} frames"


def footage(path: str | os.PathLike[str], mapping: str | int = "DEPTH") -> Footage:
    """What a file of depth frames holds; of a film with several streams, the one of that title or number.

    Raises what opening the file raises.
    """
    path = Path(path)
    try:
        status = os.stat(path)
    except OSError as error:
        explain(str(path), error)
    if path.suffix.lower() in CONTAINERS:
        return _of_film(path, mapping)
    if path.suffix.lower() == RAW:
        return _of_raw(path, status)
    return _of_archive(path, status)


def _of_film(path: Path, mapping: str | int) -> Footage:
    film = probe_video(str(path), mapping)
    kept = "it was cut off: fewer frames are there than it was to have" if film.cut else ""
    with package(str(path)).open(str(path), metadata_errors="replace") as container:
        others = [stream for stream in container.streams if stream.index != film.stream]
        if others:
            kept = f"it has {len(others)} more streams ({', '.join(str(each.type) for each in others)})"
    source = VideoSource(str(path), film.frames, film.layout, film.size, film.modified_ns)
    return Footage(path, source, film.size, film.modified_ns, film.times, None, kept)


def _of_raw(path: Path, status: os.stat_result) -> Footage:
    session = read_session(str(path.with_name(METADATA)), path.parent.name)
    shape = session.shape or KINECT
    frames, flags = count_frames(str(path), status.st_size, shape, None)
    source = DatSource(str(path), frames, *shape, session.order, status.st_size, status.st_mtime_ns)
    kept = "a part of a frame, which was cut off, is at its end" if flags else ""
    return Footage(path, source, status.st_size, status.st_mtime_ns, None, None, kept)


def _of_archive(path: Path, status: os.stat_result) -> Footage:
    header = formats.probe(path)
    source = formats.source(header)
    if len(source.shape) != 3 or source.dtype != np.uint16:
        raise FormatError(
            f"{path} holds {source.shape} {source.dtype}, frames (time, y, x) of uint16 were expected: give the "
            "file of a depth camera"
        )
    find = formats.get_format(header.format).times
    times = None if find is None else find(str(path), header.frames, header.layout)
    said = {key: value for key, value in header.metadata.items() if key not in _OURS}
    kept = "it is an archive, which holds more than the frames"
    metadata = None if "no_metadata" in header.flags else said
    return Footage(path, source, status.st_size, status.st_mtime_ns, times, metadata, kept)
