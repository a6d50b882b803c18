"""Equal to what the existing tool makes of 200 frames: heights, cleaned heights, masks, features, crops and scalars."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import xarray as xr

import reelarray as ra
from reelarray.depth.compat import cut_compat, look_compat, see_compat
from reelarray.depth.extract import Steps, extract
from reelarray.depth.options import resolve_config
from reelarray.depth.records import Arena, Look
from reelarray.depth.regions import bounding_box
from reelarray.depth.scalars import scalars
from reelarray.depth.scene import scene
from reelarray.depth.unwrapping import unwrap

pytest.importorskip("cv2", reason="OpenCV is not installed")

NEAR = 1e-6  # relative
NAMES = [
    *("centroid_x_px", "centroid_y_px", "velocity_2d_px", "velocity_3d_px", "width_px", "length_px", "area_px"),
    *("centroid_x_mm", "centroid_y_mm", "velocity_2d_mm", "velocity_3d_mm", "width_mm", "length_mm", "area_mm"),
    *("height_ave_mm", "angle", "velocity_theta"),
]


class Case(NamedTuple):
    golden: dict[str, np.ndarray]
    frames: np.ndarray
    arena: Arena
    seen: np.ndarray  # by the first pass, as it is
    cut: np.ndarray  # by the second, orientation unwrapped


@pytest.fixture(scope="module")
def case(shared: Path) -> Case:
    folder = shared / "data/golden/depth"
    if not (folder / "golden200.npz").is_file():
        pytest.skip(f"no golden200.npz in {folder}; set REELARRAY_SHARED to the folder that holds data/golden/depth")
    with np.load(folder / "golden200.npz", allow_pickle=False) as file:
        golden = dict(file)
    with np.load(folder / "raw200.npz", allow_pickle=False) as file:
        frames = file["raw"]
    box = bounding_box(golden["roi"], compat=True)
    part = np.s_[box[0] : box[1], box[2] : box[3]]
    arena = Arena(np.floor(golden["background"][part]).astype("i2"), golden["roi"][part], box)
    seen = look_compat(frames, arena, Look(compat=True))
    final = seen.copy()
    final["orientation"] += np.pi * unwrap(seen["orientation"])[0]
    return Case(golden, frames, arena, seen, cut_compat(frames, arena, Look(compat=True), final))


def test_box_and_element(case: Case) -> None:
    assert case.arena.box == (49, 362, 106, 419)
    np.testing.assert_array_equal(np.array(Look().cleaning.tail), case.golden["strel_tail"])


def test_every_pixel_of_the_arena(case: Case) -> None:
    raw, cleaned, mask = see_compat(case.frames, case.arena, Look(compat=True))
    for made, name in (raw, "thresholded"), (cleaned, "cleaned"), (mask, "mask"):
        assert made.shape == case.golden[name].shape
        np.testing.assert_array_equal(made, case.golden[name], err_msg=name)
    assert np.count_nonzero(raw) > 200_000  # there is something to compare


@pytest.mark.parametrize("after", [False, True])
def test_features(case: Case, after: bool) -> None:
    prefix, found = ("feat_", case.cut) if after else ("feat_raw_", case.seen)
    np.testing.assert_array_equal(np.stack([found["x"], found["y"]], axis=1), case.golden[f"{prefix}centroid"])
    axes = np.stack([found["major"], found["minor"]], axis=1)
    np.testing.assert_array_equal(axes, case.golden[f"{prefix}axis_length"])
    np.testing.assert_allclose(found["orientation"], case.golden[f"{prefix}orientation"], rtol=NEAR, atol=1e-14)


def test_every_pixel_of_the_crops(case: Case) -> None:
    for made, name in ("frames", "cropped"), ("cleaned", "cropped_filtered"), ("mask", "cropped_mask"):
        np.testing.assert_array_equal(case.cut[made], case.golden[name], err_msg=name)


def test_scalars(case: Case) -> None:
    found = {name: case.cut[name] for name in ("x", "y", "major", "minor", "area", "height")}
    made = scalars(
        **found,
        angle=case.cut["orientation"],
        camera=None,
        true_depth=float(case.golden["true_depth"]),
        origin=(106, 49),
        times_ms=None,
        rate=30.0,
        compat=True,
    )
    assert {name for name in case.golden if name.startswith("scalar_")} == {f"scalar_{name}" for name in NAMES}
    for name in NAMES:
        np.testing.assert_allclose(made[name], case.golden[f"scalar_{name}"], rtol=NEAR, atol=1e-9, err_msg=name)


def test_blocks_are_the_whole(case: Case) -> None:
    for start, stop in (0, 37), (37, 137), (137, 200):
        part = look_compat(case.frames[start:stop], case.arena, Look(compat=True))
        assert part.tobytes() == case.seen[start:stop].tobytes()


# ---- the same through what users call --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(case: Case) -> tuple[xr.DataArray, xr.Dataset]:
    """The frames as a recording, and their scene as it was known."""
    rec = ra.recording(case.frames, rate=30, units="mm")
    known = {name: case.golden[name] for name in ("background", "roi")}
    depth = float(case.golden["true_depth"])
    return rec, scene(rec, camera_type="kinect", compat=True, detected_true_depth=depth, **known)


def test_the_scene_in_compat(recorded: tuple[xr.DataArray, xr.Dataset], case: Case) -> None:
    given = recorded[1]
    np.testing.assert_array_equal(given["roi"], case.golden["roi"])
    np.testing.assert_array_equal(given["background"], case.golden["background"])
    assert tuple(given.attrs["box"]) == (49, 362, 106, 419)
    rows, columns = np.nonzero(case.golden["roi"])
    assert (rows.max(), columns.max()) == (362, 419)  # the last row and column of the arena are left out
    assert given.attrs["true_depth"] == case.golden["true_depth"]


@pytest.mark.parametrize("chunks", [None, (200,), (37, 100, 63)], ids=str)
def test_an_extraction_in_compat(
    recorded: tuple[xr.DataArray, xr.Dataset], case: Case, chunks: tuple[int, ...]
) -> None:
    rec, given = recorded
    found = extract(rec if chunks is None else rec.chunk({"time": chunks}), given, compat=True).compute()
    np.testing.assert_array_equal(found["frames"], case.golden["cropped"])
    np.testing.assert_array_equal(found["frames_mask"], case.golden["cropped_mask"])
    for name in NAMES:
        expected = case.golden[f"scalar_{name}"]
        np.testing.assert_allclose(found[name], expected, rtol=NEAR, atol=1e-6, err_msg=name)
        assert found[name].dtype == np.float32


def test_cleaned_crops_and_features_of_an_extraction(recorded: tuple[xr.DataArray, xr.Dataset], case: Case) -> None:
    steps = Steps.of(*recorded, resolve_config(compat=True))
    seen = steps.seen()
    pose = steps.pose(seen)
    whole = steps.whole(pose).values
    for name, golden in ("frames", "cropped"), ("cleaned", "cropped_filtered"), ("mask", "cropped_mask"):
        np.testing.assert_array_equal(whole[name], case.golden[golden], err_msg=name)
    np.testing.assert_array_equal(np.stack([pose.values["x"], pose.values["y"]], axis=1), case.golden["feat_centroid"])
    np.testing.assert_allclose(pose.values["angle"], case.golden["feat_orientation"], rtol=NEAR, atol=1e-14)


def test_chunks_of_the_other_tool(recorded: tuple[xr.DataArray, xr.Dataset], case: Case) -> None:
    """With `compat_chunk` angles and differences begin anew every so many frames, however blocks are cut."""
    rec, given = recorded
    one = extract(rec, given, compat=True, compat_chunk=80).compute()
    other = extract(rec.chunk({"time": (37, 100, 63)}), given, compat=True, compat_chunk=80).compute()
    for name in one:
        assert one[name].values.tobytes() == other[name].values.tobytes(), name
    assert one["velocity_2d_px"].values[[0, 80, 160]].tolist() == [0, 0, 0]
    raw = case.golden["feat_raw_orientation"][[0, 80, 160]]
    np.testing.assert_allclose(one["angle"].values[[0, 80, 160]], raw, rtol=1e-6)
    turns = (one["angle"].values - case.golden["feat_orientation"]) / np.pi
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-5)


def test_default_numbers_are_near_those_of_compat(recorded: tuple[xr.DataArray, xr.Dataset], case: Case) -> None:
    """Pixel moments of the largest object: half a pixel from the outline's, but for what clung to it."""
    rec, given = recorded
    found = extract(rec, given.assign_attrs(box=[49, 363, 106, 420]))
    away = np.hypot(
        found["centroid_x_px"] - case.golden["feat_centroid"][:, 0],
        found["centroid_y_px"] - case.golden["feat_centroid"][:, 1],
    )
    assert float(away.median()) < 0.3
    assert float(np.abs(found["area_px"] / case.golden["scalar_area_px"] - 1).median()) < 0.03
