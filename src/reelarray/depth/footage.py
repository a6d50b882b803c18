"""The frames of one file, whatever its format, and what else it holds: what a copy of them needs to know."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from .. import formats
from ..errors import FormatError
from ..formats.depth.films import package, probe_video
from ..formats.depth.video import VideoSource
from ..formats.ranges import check_unchanged, explain
from ..source import Source
from .companions import stamp_lines, stamp_ms
from .encoding import CONTAINERS

KINECT = (512, 424)  # columns, rows of raw frames of which nothing is said


@dataclass(frozen=True, eq=False)
class Footage:
    """Frames (time, y, x) uint16 [mm] of one file. `times` [ms] and `metadata` are those that the file itself holds.

    `kept` says what of the file is not among its frames, "" where nothing is.
    """

    path: Path
    source: Source
    height: int
    width: int
    rate: Fraction
    size: int
    modified_ns: int
    times: np.ndarray | None
    metadata: Mapping[str, Any] | None
    kept: str

    @property
    def frames(self) -> int:
        return self.source.shape[0]

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
        found = stamp_lines(self.path.parent)
        if found is None:
            return ""
        name, lines = found
        try:
            ms = stamp_ms(name, lines)
        except ValueError as error:
            return f"{name} beside it cannot be read ({error})"
        if len(ms) != self.frames:
            return f"{name} beside it has {len(ms)} times, the file has {self.frames} frames: some may be missing"
        return ""


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
    header = formats.probe(path)
    source = formats.source(header)
    if len(header.shape) != 3 or source.dtype != np.uint16:
        raise FormatError(
            f"{path} holds {header.shape} {source.dtype}, frames (time, y, x) of uint16 were expected: give the "
            "file of a depth camera"
        )
    raw = header.frames * 2 * header.shape[1] * header.shape[2]
    kept, times = "", None
    if path.suffix.lower() != ".dat":
        kept = "it is an archive, with more than the frames in it"
        find = formats.get_format(header.format).times
        times = None if find is None else find(str(path), header.frames, header.layout)
    elif status.st_size != raw:
        kept = f"{status.st_size - raw} bytes of a frame that was cut off are at its end"
    said = header.metadata.get("metadata")
    return Footage(
        path,
        source,
        header.shape[1],
        header.shape[2],
        header.rate,
        status.st_size,
        status.st_mtime_ns,
        times,
        said if isinstance(said, Mapping) and path.suffix.lower() != ".dat" else None,
        kept,
    )


def _of_film(path: Path, mapping: str | int) -> Footage:
    film = probe_video(str(path), mapping)
    kept = "it was cut off: fewer frames are there than it was to have" if film.cut else ""
    with package(str(path)).open(str(path), metadata_errors="replace") as container:
        others = [stream for stream in container.streams if stream.index != film.stream]
        if others:
            kept = f"it has {len(others)} more streams ({', '.join(str(each.type) for each in others)})"
    source = VideoSource(str(path), film.frames, film.layout, film.size, film.modified_ns)
    return Footage(
        path, source, film.height, film.width, film.rate, film.size, film.modified_ns, film.times, None, kept
    )
