"""What users of depth video ran into: each of these was wrong once."""

from __future__ import annotations

import numpy as np
import pytest

import reelarray as ra
from reelarray.demo.depth import make_session

KINECT = {"camera_type": "kinect", "intrinsics": {"fx": 180, "fy": 180}}
SHAPE = (212, 256)


def extracted(folder, file="depth.dat", **options):
    return ra.depth.extract_recording(folder / file, {**KINECT, "write_movie": False, **options})


@pytest.mark.parametrize(
    "options",
    [
        {"centroid_hampel_span": 5, "flip": "motion"},
        {"angle_hampel_span": 5, "temporal_filter_size": [3]},
        {"use_tracking_model": True, "model_smoothing_clips": [-30, -5]},
    ],
    ids=["positions", "angles", "smoothed"],
)
def test_crops_that_wait_for_filters_are_extracted_as_lazily(tmp_path, options):
    make_session(tmp_path, frames=20, shape=SHAPE)
    results = ra.depth.open_results(extracted(tmp_path, chunk_size=7, **options).results)
    rec = ra.open_recording(tmp_path / "depth.dat", cache=False)
    lazy = ra.depth.extract(rec, ra.depth.scene(rec, **KINECT), **options).compute()
    for name in lazy:
        assert np.array_equal(lazy[name], results[name], equal_nan=lazy[name].dtype.kind == "f"), name
