"""Extraction does not depend on blocks or workers, to the bit: from files, from memory, and from any lazy array."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import reelarray as ra
from reelarray.demo.depth import make_session
from reelarray.depth.extract import extract
from reelarray.depth.scene import scene

FRAMES = 240
COMPAT = {"compat": True}
TRACKED = {"use_tracking_model": True}
HAMPEL = {"centroid_hampel_span": 7, "angle_hampel_span": 5, "centroid_hampel_sig": 1.0, "angle_hampel_sig": 1.0}
OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "tracker": TRACKED,
    "smoothed tracker": {**TRACKED, "model_smoothing_clips": (-12.0, -6.0), "flip": "shape"},
    "hampel": {**HAMPEL, "flip": "motion"},
    "hampel, shape": {**HAMPEL, "flip": "shape"},
    "temporal median": {"temporal_filter_size": 5, "flip": "motion"},
    "shape": {"flip": "shape"},
    "compat": COMPAT,
    "compat, all of it": {**COMPAT, **HAMPEL, "temporal_filter_size": 3, "flip": "shape", "compat_chunk": 50},
    "compat, smoothed tracker": {**COMPAT, **TRACKED, "model_smoothing_clips": (-12.0, -6.0)},
    "strict": {"compat": "strict"},
}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, xr.Dataset]:
    """With an absence that is longer than some blocks, lost frames, and frames without any return."""
    folder = tmp_path_factory.mktemp("session")
    make_session(folder, frames=FRAMES, seed=5, absent=[(80, 125)], blank=[(36, 38), (140, 141)], dropped=5)
    path = folder / "depth.dat"
    times = folder / "depth_ts.txt"
    ms = np.loadtxt(times)[:, 0]
    ms[170:] += 1500  # a long gap, not at a border of blocks
    times.write_text("".join(f"{each:.4f} 0\n" for each in ms))
    return path, scene(ra.open_recording(path, cache=False), camera_type="kinect")


def opened(path: Path, chunks: Any) -> xr.DataArray:
    """In these chunks: of the file, or of an array that does not come from files."""
    rec = ra.open_recording(path, cache=False)
    if isinstance(chunks, int):
        return rec
    return rec.copy(data=da.from_array(rec.values, chunks=(chunks, 200, 512)))


def same(found: xr.Dataset, expected: xr.Dataset, what: str) -> None:
    assert set(found) == set(expected)
    for name in expected:
        one, other = found[name].values, expected[name].values
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes(), f"{name} with {what}"
    np.testing.assert_array_equal(found["time"], expected["time"])


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_any_blocks(session: tuple[Path, xr.Dataset], options: dict[str, Any]) -> None:
    if "compat" in options:
        pytest.importorskip("cv2", reason="OpenCV is not installed")
    path, given = session
    whole = extract(opened(path, 1).compute(), given, options)
    assert whole["frames"].chunks is None
    assert 40 < whole["centroid_x_px"].isnull().sum() < 70 or "smoothed" in str(options) or options.get("compat")
    uneven = (0, 41, 1, 0, 58, 60, 70, 10)
    workers = {37: 2, 100: 1, 333: 2, 240: 1, uneven: 2}
    for chunks, count in workers.items():
        size = chunks if isinstance(chunks, int) else 100
        with dask.config.set(scheduler="threads", num_workers=count):
            found = extract(opened(path, chunks), given, options, chunk_size=size).compute()
        same(found, whole, f"chunks {chunks} and {count} workers")


def test_a_part_of_a_recording_is_that_part(session: tuple[Path, xr.Dataset]) -> None:
    """What a frame shows does not depend on frames far away; half turns count from the first frame."""
    path, given = session
    rec = ra.open_recording(path, cache=False)
    whole, part = (extract(x, given).compute() for x in (rec, rec.isel(time=slice(40, 220))))
    for name in "centroid_x_px", "length_px", "area_px", "frames_mask":
        one, other = part[name].values, whole[name].values[40:220]
        if name == "frames_mask":
            turned = other[:, ::-1, ::-1]
            assert ((one == other).all(axis=(1, 2)) | (one == turned).all(axis=(1, 2))).all()
        else:
            np.testing.assert_array_equal(one, other)


def test_blocks_are_whole_frames_however_a_lazy_array_is_cut(session: tuple[Path, xr.Dataset]) -> None:
    path, given = session
    rec = opened(path, (100, 140))
    assert len(rec.chunks[1]) > 1
    assert extract(rec, given)["frames"].chunks == ((100, 140), (80,), (80,))
