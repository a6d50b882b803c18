"""What a scene is made of: frames here and there of a recording, pictures from files, a background made before."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .. import graph
from ..errors import FormatError, RecordingError
from ..recordings import check_recording
from .background import FEWEST, KERNEL, median_depth, sample_frames, smooth
from .heights import as_depths
from .tiffs import read_described, read_tiff

log = logging.getLogger(__name__)

Image = np.ndarray | str | os.PathLike[str]
MADE = 1  # raised when the same frames give another background than before


def check_film(rec: Any) -> xr.DataArray:
    rec = check_recording(rec, real=True)
    if rec.dims[1:] != ("y", "x") or rec.dtype.kind not in "ui":
        raise RecordingError(
            f"dimensions {rec.dims} of {rec.dtype} were given; depths (time, y, x) in whole mm were expected: open "
            "depth.dat, depth.avi or depth.mkv, or pass ra.recording(frames, rate=30, units='mm') of integers"
        )
    if rec.attrs.get("units", "mm") not in ("mm", "1"):
        raise RecordingError(f"depths in {rec.attrs['units']} were given; mm were expected: convert them first")
    if 0 in rec.shape:
        raise RecordingError(f"a recording of {rec.shape[0]} frames of {rec.shape[1]} x {rec.shape[2]} px has no scene")
    return rec


def empty_scene(
    rec: xr.DataArray, own: np.ndarray | None, kept: Path | None, *, alone: bool, compat: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any] | None]:
    """First frame, background, which frames it was made of, and the mark by which it is known again in a file.

    Parameters
    ----------
    own : the background, where it was given: it is made of no frames, and has no mark
    kept : file of a background that was made before
    alone : one frame is enough, as a plane is taken for the background
    """
    if own is not None:
        return next(read_frames(rec, [0])), own, np.zeros(0, int), None
    frames = sample_frames(len(rec), compat=compat)
    mark = fingerprint(rec, frames, compat)
    old = None if kept is None else stored(kept, mark)
    if old is not None:
        return next(read_frames(rec, [0])), old, frames, mark
    check_enough(len(rec), len(frames), alone or compat)
    first, depth = sampled(rec, frames, compat)
    return first, depth, frames, mark


def check_enough(frames: int, samples: int, anyway: bool) -> None:
    if frames == 1 and not anyway:
        raise RecordingError(
            "the recording has one frame: an animal in it cannot be told from the floor; pass background= of another "
            "recording of this arena, or use_plane_bground=True to take a plane for it"
        )
    if samples < FEWEST:
        told = (
            "the background is the median of %d frames only: an animal that rests becomes part of it; %d were expected"
        )
        log.warning(told, samples, FEWEST)


def read_frames(rec: xr.DataArray, frames: Sequence[int]) -> Iterator[np.ndarray]:
    """These frames (y, x) of a recording, uint16, and no others where it reads from files."""
    table = graph.rows(rec.data)
    if table is not None:
        found: Any = (table.read(frame, frame + 1)[0] for frame in frames)
    else:
        found = np.asarray(rec.data[np.asarray(frames)])
    for frame in found:
        yield as_depths(frame)


def sampled(rec: xr.DataArray, frames: np.ndarray, compat: bool) -> tuple[np.ndarray, np.ndarray]:
    """The first frame, and the background."""
    numbers = frames.tolist()
    samples = np.empty((len(numbers), *rec.shape[1:]), np.uint16)
    first = samples[0]
    for k, frame in enumerate(read_frames(rec, numbers)):
        samples[k] = smooth(frame, zeros=compat)
        first = frame.copy() if k == 0 else first
    return first, median_depth(samples, zeros=compat)


def picture(given: Image | None, shape: tuple[int, int], name: str) -> np.ndarray | None:
    """A picture (y, x) that was given as an array or as a file."""
    if given is None:
        return None
    found = read_tiff(given) if isinstance(given, str | os.PathLike) else np.asarray(given)
    if found.shape != shape or found.dtype.kind not in "buif":
        raise RecordingError(f"{name} has {found.shape} pixels of {found.dtype}; {shape} numbers were expected")
    if not (found > 0).any():
        raise RecordingError(f"{name} has no pixel above 0: pass another, or none")
    return np.nan_to_num(found.astype(float)) if name == "background" else found > 0


def fingerprint(rec: xr.DataArray, frames: np.ndarray, compat: bool) -> dict[str, Any] | None:
    """What a background was made of; None where that cannot be told from files."""
    table = graph.rows(rec.data)
    if table is None:
        return None
    sizes = np.diff(table.first).tolist()
    rows = zip(
        table.path.tolist(), table.bytes.tolist(), table.modified.tolist(), table.start.tolist(), sizes, strict=True
    )
    files = [[os.path.basename(str(path)), *rest] for path, *rest in rows]
    every = int(frames[1] - frames[0]) if len(frames) > 1 else 0
    zeros = "values" if compat else "missing"
    return {
        "files": files,
        "shape": list(rec.shape[1:]),
        "every": every,
        "kernel": KERNEL,
        "zeros": zeros,
        "made": MADE,
    }


def stored(path: Path, mark: dict[str, Any] | None) -> np.ndarray | None:
    """The background in a file, if it was made of the same input; None otherwise."""
    if mark is None or not path.is_file():
        return None
    try:
        found, about = read_described(path)
    except FormatError as error:
        log.warning("the background is made anew: %s", error)
        return None
    if about.get("fingerprint") != mark or str(about.get("scale_factor")) == "1":  # 1 loses halves
        return None
    return np.rint(found * 2) / 2  # medians of whole numbers: what the file rounds, this restores
