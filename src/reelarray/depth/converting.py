"""Films written again in another format, or in part: every frame is read back and compared before the source may go."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError, RecordingError
from ..formats.depth.films import probe_video
from ..formats.depth.session import METADATA
from ..formats.depth.stamps import find_stamps
from ..formats.depth.video import VideoSource
from ..sinks.atomic import check_folder, writing_all
from ..sinks.journal import OutputExists
from .companions import (
    STATED,
    check_folder_free,
    companions,
    json_bytes,
    read_metadata,
    stamps_text,
)
from .encoding import Encoder, container_of
from .footage import KINECT, RAW, Footage, footage

__all__ = ["convert_avi_to_raw", "convert_raw_to_avi", "copy_slice"]

log = logging.getLogger(__name__)

Write = Callable[[np.ndarray], Any]
Read = Callable[[int, int], np.ndarray]
_BLOCK = 64 << 20  # bytes of frames that are held at once, whatever the chunk size


def convert_raw_to_avi(
    input: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    chunk_size: int = 3000,
    fps: float = 30,
    delete: bool = False,
    threads: int = 8,
    mapping: str | int = "DEPTH",
    overwrite: bool = False,
) -> Path:
    """Write a recording's frames as a lossless film, FFV1 of 16-bit gray; returns its path.

    The film gets its name when all of its frames were decoded again and found to be those of the source; about a
    quarter of the size is left of noisy frames. Where it goes to another folder, times and metadata go with it; times
    that are in the container alone are written to `depth_ts.txt`.

    Parameters
    ----------
    input : `.dat`, an archive of one, `.avi` or `.mkv`
    output : `.avi` or `.mkv`; else `<stem>.avi` beside the input
    chunk_size : frames that are held at once; fewer where they take more than 64 MiB. No result depends on it
    fps : frames a second that the film declares [Hz]; the times of a recording are in its file of times
    delete : remove the input when the film is proven; refused where something of it is not in the copy
    threads : of the encoder
    mapping : title, or number, of the stream of a film with several
    overwrite : replace files of these names

    Raises
    ------
    MissingPackage : without PyAV
    OutputExists : the output, or other times or metadata in its folder, are there already
    RecordingError : `delete` of what the copy does not cover; a frame of the copy is not that of the source
    FormatError, TruncatedFile, ClockError : the input is damaged, or cut; its times are not those of its frames

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     frames = np.arange(424 * 512 * 2, dtype="<u2").reshape(2, 424, 512)
    ...     frames.tofile(f"{folder}/depth.dat")
    ...     film = convert_raw_to_avi(f"{folder}/depth.dat", delete=True)
    ...     os.listdir(folder), probe_video(str(film)).frames
    (['depth.avi'], 2)
    """
    source = footage(input, mapping)
    target = Path(output) if output is not None else source.path.with_name(f"{source.stem}.avi")
    if target.suffix.lower() not in (".avi", ".mkv"):
        raise RecordingError(f"{target} was given, a lossless film ends in .avi or .mkv; give it such a name")
    return _copy(source, target, 0, source.frames, chunk_size, fps, delete, threads, overwrite)


def convert_avi_to_raw(
    input: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    chunk_size: int = 3000,
    delete: bool = False,
    mapping: str | int = "DEPTH",
    overwrite: bool = False,
) -> Path:
    """Write the frames of a film as they are, uint16 little endian without a header; returns the path.

    The inverse of `convert_raw_to_avi`, with the same checks. Raw frames are read a hundred times as fast: worth it for
    films that are read more than once. Frames of another size than 512 x 424 need a `metadata.json` that says so, which
    is written where there is none.

    Parameters, errors : those of `convert_raw_to_avi`; also `RecordingError` where `metadata.json` says another size
        or byte order than that of the frames

    >>> import tempfile
    >>> from reelarray.depth.movies import FilmWriter
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with FilmWriter(f"{folder}/depth.avi", 512, 424, 30) as film:
    ...         film.write(np.full((2, 424, 512), 675, np.uint16))
    ...     convert_avi_to_raw(f"{folder}/depth.avi").stat().st_size
    868352
    """
    source = footage(input, mapping)
    target = Path(output) if output is not None else source.path.with_name(f"{source.stem}{RAW}")
    if target.suffix.lower() != RAW:
        raise RecordingError(f"{target} was given, raw frames end in {RAW}; give it such a name")
    return _copy(source, target, 0, source.frames, chunk_size, 30, delete, 1, overwrite)


def copy_slice(
    input: str | os.PathLike[str],
    output: str | os.PathLike[str],
    frames: tuple[int, int],
    *,
    chunk_size: int = 3000,
    fps: float = 30,
    delete: bool = False,
    threads: int = 8,
    mapping: str | int = "DEPTH",
    overwrite: bool = False,
) -> Path:
    """Write the frames [start, stop) of a recording, raw or as a film, as a recording of its own; returns the path.

    The lines of these frames in the file of times, and the metadata, are written beside the copy, which therefore needs
    a folder of its own; `StartTime` in the copy is the time of its first frame, and `SliceOf` says where it comes from.

    Parameters
    ----------
    output : `.dat`, `.avi` or `.mkv`
    frames : start and stop, half open
    delete : refused unless the slice covers the whole source

    Others, and errors : those of `convert_raw_to_avi`; also `RecordingError` for frames that are not there

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     frames = np.repeat(np.arange(5, dtype="<u2"), 424 * 512)
    ...     frames.tofile(f"{folder}/depth.dat")
    ...     part = copy_slice(f"{folder}/depth.dat", f"{folder}/part.dat", (1, 4))
    ...     np.fromfile(part, "<u2")[:: 424 * 512].tolist()
    [1, 2, 3]
    """
    source = footage(input, mapping)
    start, stop = frames
    if not 0 <= start < stop <= source.frames:
        raise RecordingError(
            f"{source.path}: frames [{start}, {stop}) were asked for, it has {source.frames}; pass "
            f"0 <= start < stop <= {source.frames}"
        )
    target = Path(output)
    if target.suffix.lower() not in (RAW, ".avi", ".mkv"):
        raise RecordingError(f"{target} was given, .dat, .avi or .mkv was expected; give it such a name")
    return _copy(source, target, start, stop, chunk_size, fps, delete, threads, overwrite, part=True)


def _copy(
    source: Footage,
    target: Path,
    start: int,
    stop: int,
    chunk_size: int,
    fps: float,
    delete: bool,
    threads: int,
    overwrite: bool,
    *,
    part: bool = False,
) -> Path:
    """Everything is checked before a frame is read; then written, read back and compared; then named; then deleted."""
    if chunk_size < 1 or not fps > 0:
        raise RecordingError(f"chunk_size={chunk_size}, fps={fps} were given, 1 or more and > 0 were expected")
    check_folder(target)
    if target.exists():
        if os.path.samefile(target, source.path):
            raise OutputExists(f"{target} is the input itself; write to another name")
        if not overwrite:
            raise OutputExists(f"{target} is there already; pass overwrite=True to replace it, or another name")
    if delete and (kept := source.not_covered(start, stop)):
        raise RecordingError(
            f"{source.path} cannot be deleted after copying frames [{start}, {stop}) to {target}: {kept}; pass "
            "delete=False"
        )
    beside = _beside(source, target, start, stop, part, overwrite)
    frame_bytes = 2 * math.prod(source.shape)
    step = max(min(chunk_size, _BLOCK // frame_bytes), 1)
    blocks = [(first, min(first + step, stop)) for first in range(start, stop, step)]
    with writing_all([target, *(target.with_name(name) for name in beside)]) as (temporary, *others):
        for other, text in zip(others, beside.values(), strict=True):
            other.write_bytes(text)
        digests = []
        with _writer(temporary, target, source, fps, threads) as write:
            for first, last in blocks:
                frames = source.read(first, last)
                digests.append(_digest(frames))
                write(frames)
        _prove(source, temporary, target, start, blocks, digests)
        source.check_unchanged()
    if delete:
        source.check_unchanged()
        source.path.unlink()
    log.info("%s: frames [%d, %d) of %s, each compared", target, start, stop, source.path)
    return target


def _beside(source: Footage, target: Path, start: int, stop: int, part: bool, overwrite: bool) -> dict[str, bytes]:
    """What has to be written beside the copy, so that its folder is that of a recording."""
    folder = source.path.parent
    here = target.parent.resolve() == folder.resolve()
    shape: dict[str, Any] = {"DepthResolution": [*source.shape[::-1]], "IsLittleEndian": True}
    if target.suffix.lower() != RAW:
        shape = {}
    if here and not part:  # what is beside the source is beside the copy
        return _still_missing(source, target, shape)
    origin = {"SliceOf": {"file": source.path.name, "frames": [start, stop]}} if part else {}
    found = companions(
        folder, source.frames, start, stop, times=source.times, metadata=source.metadata, changes=shape | origin
    )
    if METADATA not in found and shape and source.shape != KINECT:
        found[METADATA] = json_bytes(shape)
    check_folder_free(target.parent, found, overwrite=overwrite and not here)
    return {name: text for name, text in found.items() if not target.with_name(name).exists() or overwrite}


def _still_missing(source: Footage, target: Path, shape: Mapping[str, Any]) -> dict[str, bytes]:
    """Times that were in the container alone, and the size of raw frames where nothing says it."""
    folder = source.path.parent
    found: dict[str, bytes] = {}
    if source.times is not None and find_stamps(str(folder)) is None:
        found = {STATED: stamps_text(source.times)}
    if not shape:
        return found
    said = read_metadata(folder)
    if said is None:
        return found if source.shape == KINECT else found | {METADATA: json_bytes(shape)}
    stated = said.get("DepthResolution") or [*KINECT[::-1]], said.get("IsLittleEndian", True)
    if stated != (shape["DepthResolution"], True):
        raise RecordingError(
            f"{folder / METADATA} says DepthResolution {stated[0]}, IsLittleEndian {stated[1]}: {target} would be read "
            f"with that, its frames are {shape['DepthResolution']}, little endian; correct it, or write to "
            "another folder"
        )
    return found


@contextmanager
def _writer(temporary: Path, target: Path, source: Footage, fps: float, threads: int) -> Iterator[Write]:
    if target.suffix.lower() == RAW:
        with open(temporary, "wb") as file:
            yield lambda frames: file.write(frames.astype("<u2", copy=False).data.cast("B"))
        return
    with Encoder(
        temporary,
        *source.shape[::-1],
        Fraction(fps).limit_denominator(1 << 16),
        container=container_of(target),
        title="DEPTH",
        threads=threads,
    ) as encoder:
        yield encoder.write


def _digest(frames: np.ndarray) -> bytes:
    return blake2b(np.ascontiguousarray(frames, "<u2").data.cast("B"), digest_size=16).digest()


def _prove(
    source: Footage, temporary: Path, target: Path, start: int, blocks: list[tuple[int, int]], digests: list[bytes]
) -> None:
    """Raise `RecordingError` with the number of the first frame that is not the same when it is read back."""
    try:
        shape, read = _copy_of(source, temporary, target)
        count = blocks[-1][1] - start
        if shape != (count, *source.shape):
            raise RecordingError(
                f"{target}: {count} frames of {source.shape} were written, {shape} were found "
                f"when it was read back: frame {start + min(count, shape[0])} of {source.path} is the first that "
                "is missing; the copy was removed, the source is as it was"
            )
        for (first, last), digest in zip(blocks, digests, strict=True):
            back = read(first - start, last - start)
            if _digest(back) != digest:
                differs = (back != source.read(first, last)).any(axis=(1, 2))
                frame = first + int(np.argmax(differs))
                what = f"frame {frame}" if differs.any() else f"a frame of [{first}, {last}), read twice,"
                raise RecordingError(
                    f"{target}: {what} of {source.path} is not the same when it is read back; the copy was removed, "
                    "the source is as it was: check the disk and the memory, and write it again"
                )
    except (FormatError, OSError) as error:
        raise RecordingError(
            f"{target} cannot be read back ({error}); the copy was removed, the source is as it was: check the disk, "
            "and write it again"
        ) from error


def _copy_of(source: Footage, temporary: Path, target: Path) -> tuple[tuple[int, ...], Read]:
    """Shape of what was written, and what reads frames of it."""
    if target.suffix.lower() != RAW:
        film = probe_video(str(temporary))
        back = VideoSource(str(temporary), film.frames, film.layout, film.size, film.modified_ns)
        return back.shape, back.read
    pixels = math.prod(source.shape)

    def read(start: int, stop: int) -> np.ndarray:
        frames = np.fromfile(temporary, "<u2", (stop - start) * pixels, offset=2 * start * pixels)
        return frames.reshape(stop - start, *source.shape)

    return (temporary.stat().st_size // (2 * pixels), *source.shape), read
