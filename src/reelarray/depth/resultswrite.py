"""An extraction as arrays over time -> results_NN.h5: of a Zarr store, of other results, of arrays still to compute."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from ..errors import RecordingError
from .results import CHUNK, Extraction, ResultsFile
from .scalarnames import SCALARS

_IMAGES = ("background", "roi", "first_frame")
_PER_FRAME = ("flips", "flags")
_BLOCK = 4 * CHUNK  # frames that are in memory at a time


def write_results(
    extraction: xr.Dataset, path: str | os.PathLike[str], *, block: int = _BLOCK, threads: int = 1
) -> Path:
    """Write an extraction as results_NN.h5: variables and attributes as `open_results` names them.

    Every variable over `time` alone is a scalar but flips and flags. What is to be computed is computed block by block;
    the file is the same for any `block`, and of what `open_results` returns it is the file that was opened.

    Parameters
    ----------
    extraction : frames, frames_mask (time, y, x), scalars (time), background, roi, first_frame (scene_y, scene_x);
        coordinate timestamps (time) [ms] where there is one; attributes uuid, true_depth, roi_origin, first_frame_idx,
        last_frame_idx, and as dicts or JSON texts metadata, parameters, extraction
    path : of the file
    block : frames in memory at a time
    threads : that compress

    Raises
    ------
    RecordingError : variables or attributes that are missing

    >>> import tempfile
    >>> import numpy as np
    >>> from reelarray.depth.resultsread import open_results
    >>> crops, images = ("time", "y", "x"), ("scene_y", "scene_x")
    >>> values = {name: ("time", [1.0, 2.0]) for name in SCALARS}
    >>> values |= {"frames": (crops, np.ones((2, 3, 3), "u1")), "frames_mask": (crops, np.ones((2, 3, 3), bool))}
    >>> values |= {name: (images, np.ones((4, 5))) for name in ("background", "roi", "first_frame")}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_results(xr.Dataset(values, attrs={"uuid": "1", "true_depth": 673}), f"{folder}/results_00.h5")
    ...     open_results(path).angle.values
    array([1., 2.], dtype=float32)
    """
    x = extraction
    missing = [name for name in ("frames", "frames_mask", *_IMAGES, *SCALARS) if name not in x]
    missing += [name for name in ("uuid", "true_depth") if name not in x.attrs]
    if missing:
        raise RecordingError(
            f"{', '.join(missing)} are missing; a Dataset as open_results returns was expected. What extract describes "
            "is written by extract_recording, which sees each frame once; or keep it with to_zarr of xarray"
        )
    count = x.sizes["time"]
    if block < 1:
        raise RecordingError(f"block is {block}; a number of frames from 1 on was expected")
    scalars = [str(name) for name, v in x.data_vars.items() if v.dims == ("time",) and name not in _PER_FRAME]
    wanted = ["frames", "frames_mask", *(name for name in _PER_FRAME if name in x), *scalars]
    with ResultsFile(
        path,
        frames=count,
        crop_size=(x.sizes["y"], x.sizes["x"]),
        frame_dtype=x["frames"].dtype,
        mask_dtype=x["frames_mask"].dtype,
        uuid=x.attrs["uuid"],
        acquisition=_mapping(x, "metadata"),
        extraction=_scene(x, count),
        parameters=_mapping(x, "parameters"),
        timestamps=x["timestamps"].values if "timestamps" in x.coords else None,
        flips="flips" in x,
        flags="flags" in x,
        threads=threads,
    ) as file:
        for start in range(0, count, block):
            part = x[wanted].isel(time=slice(start, start + block)).compute()
            per_frame = {name: part[name].values for name in _PER_FRAME if name in part}
            values = {name: part[name].values for name in scalars}
            file.write(start, part["frames"].values, part["frames_mask"].values, values, **per_frame)
    return Path(path)


def _mapping(x: xr.Dataset, name: str) -> Mapping[str, Any]:
    said = x.attrs.get(name) or {}
    found = json.loads(said) if isinstance(said, str) else said
    if not isinstance(found, Mapping):
        raise RecordingError(f"the attribute {name} is {said!r}; a dict, or one as JSON text, was expected")
    return found


def _scene(x: xr.Dataset, count: int) -> Extraction:
    first = int(x.attrs.get("first_frame_idx", 0))
    column, row = x.attrs.get("roi_origin", (0, 0))
    return Extraction(
        x["background"].values,
        x["roi"].values,
        x["first_frame"].values,
        first=first,
        last=int(x.attrs.get("last_frame_idx", first + count)),
        true_depth=float(x.attrs["true_depth"]),
        origin=(int(column), int(row)),
        more=_mapping(x, "extraction"),
    )
