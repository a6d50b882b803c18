"""Recordings of depth cameras: frames [mm] of a raw file, a film or an archive, and what lies beside them."""

from __future__ import annotations

import logging
import os
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ...errors import FormatError
from ...exact import exact_rate
from ...source import Format, Header, Layout, Source
from ..ranges import HeaderBytes, is_remote
from . import archive, stamps
from .dat import SHAPES, DatSource, count_frames
from .films import Film, probe_video
from .session import METADATA, Session, folder_name, read_session
from .video import VideoSource

log = logging.getLogger(__name__)

FILMS = (".avi", ".mkv")
RATE = Fraction(30)  # frames a second of the cameras that are read here
# What else recorders leave in the folder of a recording, by the beginning of its name.
OTHERS = {"ir": "infrared", "nidaq": "what a converter measured", "rgb": "colour"}


@dataclass(frozen=True)
class _Way:
    """How the frames and times of one file are read: the layout of its header, by name.

    `kind` is "dat", "film" or "archive"; `stream` is that of a film, `order` ("<" or ">") of the others; `timestamps`
    is a file of times, True for the one that is found, False for none.
    """

    kind: str
    height: int
    width: int
    order: str
    stream: int
    timestamps: str | bool
    on_mismatch: str
    unpacked: str | None

    @property
    def layout(self) -> Layout:
        return tuple(vars(self).values())


def probe(
    path: str,
    *,
    width: int | None = None,
    height: int | None = None,
    fps: float | str | Fraction | None = None,
    on_mismatch: stamps.OnMismatch = "error",
    timestamps: str | os.PathLike[str] | bool = True,
    stream: int | str | None = None,
    unpacked: str | os.PathLike[str] | None = None,
) -> Header:
    """Describe a recording of a depth camera, from its file and from metadata.json and the times beside it.

    Archives are unpacked at the first look; films are not decoded; of raw frames nothing is read.

    Parameters
    ----------
    width, height : pixels of a raw frame, where DepthResolution of metadata.json does not say, or not rightly; 512 x
        424 if left out
    fps : frames a second where no times were measured, 30 if left out (of a film, what it says)
    on_mismatch : where there are not as many times as frames: "error"; "trim" takes the first ones, as many as have
        both; "ignore" takes all frames, of which those without a time follow at the usual distance
    timestamps : a file of times (.csv: seconds, else ms) instead of depth_ts.txt or timestamps.csv beside the
        recording, or those of an .mkv; False for a constant rate
    stream : of a film, its number or title, instead of the one called DEPTH, or the first one of 16-bit gray
    unpacked : folder for what is unpacked of archives instead of the user's cache folder

    Flags: "partial_frame", "truncated" (a film that was never finished), "no_metadata", "no_start" (StartTime is no
    time), "no_timestamps", "times_differ" (in number from the frames, and `on_mismatch` allows it).

    Raises
    ------
    FormatError : what contradicts itself or is damaged; the message names the file
    ClockError : times that do not increase
    MissingPackage : a film, without PyAV
    Unwritable : an archive, and no space to unpack it
    """
    stamps.check_on_mismatch(path, on_mismatch)
    given = _given_shape(path, width, height)
    keep = None if unpacked is None else os.path.abspath(unpacked)
    found = _look(path, stream, keep)
    film = found.film
    session = _session(path, found)
    shape = (film.height, film.width) if film else given or session.shape or SHAPES[0]
    _check_shape(path, shape, given, session.shape, film)
    if not isinstance(timestamps, bool):
        timestamps = os.fspath(timestamps)
        timestamps = timestamps if is_remote(timestamps) else os.path.abspath(timestamps)
    way = _Way(found.kind, *shape, session.order, film.stream if film else 0, timestamps, on_mismatch, keep)
    said_by, ms = _measured(path, found, way.timestamps)
    if film:
        frames, flags = film.frames, [*(("truncated",) if film.cut else ()), *session.flags]
    else:
        frames, partial = count_frames(path, found.raw, shape, None if ms is None else len(ms))
        flags = [*partial, *session.flags]
    rate = exact_rate(fps) if fps is not None else film.rate if film else RATE
    if ms is not None:
        frames, differ = stamps.fit_frames(path, said_by, len(ms), frames, on_mismatch)
        ms = stamps.fit_times(said_by, ms, frames)
        flags += differ
    if ms is None:
        flags.append("no_timestamps")
    return Header(
        path=path,
        format="depth",
        frames=frames,
        rate=rate if ms is None else stamps.nominal_rate(ms, rate),
        shape=(frames, *shape),
        dtype="uint16",
        subtype=film.codec.upper() if film else "GRAY_16",
        layout=way.layout,
        bytes=found.bytes,
        modified_ns=found.modified_ns,
        units="mm",
        start_ns=session.start_ns,
        flags=tuple(flags),
        metadata=session.metadata,
        breaks=() if ms is None else stamps.gaps(ms),
    )


def source(path: str, frames: int, layout: Layout, size: int, modified_ns: int) -> Source:
    """The source of the frames of a file whose header was read; opens nothing."""
    way = _Way(*layout)  # type: ignore[arg-type]
    if way.kind == "film":
        return VideoSource(path, frames, (way.height, way.width, way.stream), size, modified_ns)
    if way.kind == "archive":
        return archive.ArchiveSource(path, frames, way.height, way.width, way.order, way.unpacked, size, modified_ns)
    return DatSource(path, frames, way.height, way.width, way.order, size, modified_ns)


def times(path: str, frames: int, layout: Layout) -> np.ndarray | None:
    """Times of the camera, of each frame: (frames) float64 ms, increasing; None where nothing was measured.

    Raises what `probe` does where they are not those of the header any more.
    """
    way = _Way(*layout)  # type: ignore[arg-type]
    if way.timestamps is False:
        return None
    said_by, ms = _measured(path, _look(path, way.stream, way.unpacked), way.timestamps)
    if ms is None:
        return None
    if way.on_mismatch != "ignore" and (len(ms) < frames or (len(ms) > frames and way.on_mismatch == "error")):
        raise FormatError(
            f"{said_by} has {len(ms):,} times now, {path} was scanned with {frames:,} frames: one of them changed; "
            "scan or open it again"
        )
    return stamps.fit_times(said_by, ms, frames)


# ---- inside ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """A file as a look at it finds it: what it is, `raw` bytes of frames, and the folder that describes them.

    `bytes` and `modified_ns` are of the file itself, also of an archive, whose `folder` is that of what is unpacked.
    """

    kind: str
    folder: str
    bytes: int
    modified_ns: int
    raw: int = 0
    film: Film | None = None


def _look(path: str, stream: int | str | None, keep: str | None) -> _Found:
    kind, folder = _kind(path), os.path.dirname(path)
    if kind == "film":
        film = probe_video(path, stream)
        return _Found(kind, folder, film.size, film.modified_ns, film=film)
    if stream:
        raise FormatError(f"{path}: stream={stream!r} was given, and only films (.avi, .mkv) have any: leave it out")
    with closing(HeaderBytes(path)) as file:
        size, modified_ns = file.size, file.modified_ns
    if kind == "dat":
        return _Found(kind, folder, size, modified_ns, size)
    inside = archive.unpack(path, size, modified_ns, keep)
    return _Found(kind, str(inside), size, modified_ns, (inside / archive.FRAMES).stat().st_size)


def _kind(path: str) -> str:
    """Whether a file holds raw frames, a film or an archive, by its name alone; raises `FormatError` for all others."""
    if other := what_else(path):
        raise FormatError(
            f"{path} holds {other} by its name, frames of depth were expected: leave it out (exclude=), or give the "
            "depth.dat beside it"
        )
    name = os.path.basename(path).lower()
    if archive.is_archive(name):
        return "archive"
    if name.endswith(".gz"):
        raise FormatError(f"{path} is packed; of packed files .tar.gz and .tgz are read: unpack it, or leave it out")
    return "film" if name.endswith(FILMS) else "dat"


def what_else(path: str) -> str | None:
    """What a file in the folder of a recording holds, by its name, if it is not depth.

    >>> what_else("a/nidaq.dat"), what_else("a/depth.dat")
    ('what a converter measured', None)
    """
    name = os.path.basename(path).lower()
    return next((what for start, what in OTHERS.items() if name.startswith(start)), None)


def _given_shape(path: str, width: int | None, height: int | None) -> tuple[int, int] | None:
    if width is None and height is None:
        return None
    if not (isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0):
        raise FormatError(
            f"{path}: width={width!r} and height={height!r} were given; both were expected, in pixels, such as "
            "width=512, height=424"
        )
    return height, width


def _check_shape(
    path: str, shape: tuple[int, int], given: tuple[int, int] | None, said: tuple[int, int] | None, film: Film | None
) -> None:
    """What the caller says is taken, of raw frames, even where metadata.json says something else."""
    if film and given not in (None, shape):
        raise FormatError(
            f"{path} has frames of {shape[1]} x {shape[0]} pixels; width= and height= are for raw files: leave them out"
        )
    if given and said and given != said and not film:
        log.warning(
            "%s: width=%d, height=%d were given and are used; its metadata say %d x %d", path, *given[::-1], *said[::-1]
        )


def _session(path: str, found: _Found) -> Session:
    """What is said beside the file, or in the archive."""
    if found.kind != "archive":
        return read_session(os.path.join(found.folder, METADATA), folder_name(path))
    name = archive.stem(path)
    outside = os.path.join(os.path.dirname(path), f"{name}.json")
    return read_session(outside if os.path.isfile(outside) else os.path.join(found.folder, METADATA), name)


def _measured(path: str, found: _Found, timestamps: str | bool) -> tuple[str, np.ndarray | None]:
    """Who says when frames were taken, and their times [ms], as they are; None where nobody does."""
    if timestamps is False:
        return "", None
    said_by = timestamps if isinstance(timestamps, str) else stamps.find_stamps(found.folder)
    if said_by is not None:
        return said_by, stamps.read_stamps(said_by)
    return path, None if found.film is None else found.film.times


FORMAT = Format(
    name="depth",
    suffixes=(".dat", *FILMS, ".tgz", ".gz"),
    recognises=None,
    probe=probe,
    source=source,
    dims=("y", "x"),
    listed=(),
    alone=False,
    times=times,
    whole=True,
)
