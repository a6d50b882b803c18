"""What was noted while a recording was made: its metadata and the time of each frame, of any container."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..formats.depth import probe, times
from ..formats.depth.archive import is_archive
from ..formats.depth.session import METADATA, folder_name, read_session
from ..formats.depth.stamps import check_increasing, find_stamps, read_stamps


def handle_extract_metadata(
    input_file: str | os.PathLike[str], dirname: str | os.PathLike[str] | None = None
) -> tuple[dict[str, Any], np.ndarray | None]:
    """Metadata and times (frames) [ms] of a recording; None where nothing has the times of frames.

    They are those of metadata.json, and of depth_ts.txt or timestamps.csv, in the folder; of an archive those inside
    it, and of a film without such a file the times of its container. Nothing is written.

    Parameters
    ----------
    input_file : .dat, .avi, .mkv or an archive of a session
    dirname : folder of metadata and times; by default that of the file

    Raises
    ------
    FileNotFoundError : no such recording
    FormatError : a file of metadata or times that is none
    ClockError : times that do not increase

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     texts = {"depth.dat": "", "metadata.json": '{"SubjectName": "m"}', "depth_ts.txt": "0 0\\n33 0"}
    ...     for name, text in texts.items():
    ...         with open(f"{folder}/{name}", "w") as file:
    ...             _ = file.write(text)
    ...     handle_extract_metadata(f"{folder}/depth.dat")
    ({'SubjectName': 'm'}, array([ 0., 33.]))
    """
    path = os.path.abspath(input_file)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no recording {path}")
    folder = os.path.abspath(dirname) if dirname is not None else os.path.dirname(path)
    if is_archive(path):
        return _probed(path)
    metadata = dict(read_session(os.path.join(folder, METADATA), folder_name(path)).metadata)
    stamps = find_stamps(folder)
    if stamps is not None:
        ms = read_stamps(stamps)
        check_increasing(stamps, ms)
        return metadata, np.array(ms)
    return metadata, None if path.lower().endswith(".dat") else _probed(path)[1]


def _probed(path: str) -> tuple[dict[str, Any], np.ndarray | None]:
    header = probe(path, on_mismatch="ignore")
    ms = times(path, header.frames, header.layout)
    return dict(header.metadata), None if ms is None else np.array(ms)
