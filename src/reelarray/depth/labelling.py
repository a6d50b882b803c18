"""Crops written for people who say which of them are flipped, to train a classifier elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RecordingError
from ..sinks.atomic import writing

NOT_LABELLED = -1


def export_crops(
    crops: Any,
    path: str | os.PathLike[str],
    *,
    count: int = 1000,
    flips: Any = None,
    angle: Any = None,
) -> Path:
    """Write crops, evenly spread over a recording, to an .npz file: (time, h, w) -> the path.

    The file has `crops` (n, h, w), `frame` (n,) their numbers in what was given, `flipped` (n,) int8 to be filled in
    (1: the head is on the left; -1: not labelled yet), and `angle` (n,) if given.

    Parameters
    ----------
    crops : of cleaned heights, as classifiers get them: an array, in memory or lazy; only those written are computed
    path : of the .npz file, replaced whole
    count : crops, at most
    flips : what is thought of each, to be corrected rather than labelled from nothing, (time,) bool
    angle : of each, rad

    Raises
    ------
    RecordingError : no crops, or numbers that are not of as many frames

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = export_crops(np.zeros((9, 2, 2), np.uint8), f"{folder}/crops.npz", count=3)
    ...     with np.load(path) as file:
    ...         file["frame"].tolist(), file["flipped"].tolist()
    ([0, 4, 8], [-1, -1, -1])
    """
    if len(crops.shape) != 3 or not len(crops):
        raise RecordingError(f"an array of shape {tuple(crops.shape)} was given; crops (time, y, x) were expected")
    if isinstance(count, bool) or count != int(count) or count < 1:
        raise RecordingError(f"count={count!r} was given; a number of crops, 1 or more, was expected")
    frame = np.unique(np.linspace(0, len(crops) - 1, min(int(count), len(crops))).round().astype(np.int64))
    arrays: dict[str, Any] = {"crops": np.asarray(crops[frame]), "frame": frame}
    for name, values in (("flipped", flips), ("angle", angle)):
        if values is not None and len(values) != len(crops):
            raise RecordingError(
                f"{len(values)} values of {name} were given for {len(crops)} crops; as many were expected"
            )
    known = np.full(len(frame), NOT_LABELLED) if flips is None else np.asarray(flips[frame])
    arrays["flipped"] = known.astype(np.int8)
    if angle is not None:
        arrays["angle"] = np.asarray(angle[frame], float)
    with writing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
    return Path(path)
