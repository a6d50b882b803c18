"""The arena of one recording, found as its extraction would find it, and written to be looked at."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from .extract import trimmed
from .options import resolve_config
from .running import naming, opened, results_folder, scene_options
from .scene import scene, write_scene


def get_roi(
    path: str | os.PathLike[str],
    config: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *,
    output_dir: str | os.PathLike[str] | None = None,
    **options: Any,
) -> tuple[xr.Dataset, list[Path]]:
    """The scene of a recording, and the files that it was written to: bground.tiff, first_frame.tiff, roi_NN.tiff.

    Parameters
    ----------
    path : .dat, .avi, .mkv or an archive of a session
    config, **options : as for `extract_recording`; they are not changed
    output_dir : a folder beside the recording, or an absolute one

    Raises
    ------
    RecordingError, FormatError, ClockError, RecipeError : as `ra.depth.scene`, with the name of the recording

    >>> import tempfile
    >>> from reelarray.demo.depth import make_session
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = make_session(folder, frames=30, shape=(212, 256))
    ...     found, written = get_roi(f"{folder}/depth.dat", intrinsics={"fx": 180, "fy": 180}, camera_type="kinect")
    >>> found["roi"].shape, [path.name for path in written]
    ((212, 256), ['bground.tiff', 'first_frame.tiff', 'roi_00.tiff'])
    """
    if output_dir is not None:
        options["output_dir"] = os.fspath(output_dir)
    chosen = resolve_config(config, **options)
    source = Path(path).absolute()
    if not source.is_file():
        raise FileNotFoundError(f"there is no recording {source}; a .dat, .avi, .mkv or .tar.gz file was expected")
    folder = results_folder(source, chosen["output_dir"])
    with naming(source):
        rec = trimmed(opened(source, chosen), chosen)
        found = scene(rec, folder=folder, **scene_options(chosen))
    return found, write_scene(found, folder)
