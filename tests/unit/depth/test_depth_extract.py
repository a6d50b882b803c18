"""Extraction as a graph: how near to the truth it is, what every option does, and frames in which something is odd."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import xarray as xr

import reelarray as ra
from reelarray.demo.depth import make_session
from reelarray.depth.extract import extract
from reelarray.depth.records import Seen
from reelarray.depth.scalarnames import EXTRA_SCALARS, SCALARS
from reelarray.depth.scene import scene
from reelarray.errors import RecipeError, RecordingError


class Case(NamedTuple):
    rec: xr.DataArray
    scene: xr.Dataset
    truth: dict[str, np.ndarray]
    folder: Path


def made(folder: Path, **how: Any) -> Case:
    truth = make_session(folder, **how)
    rec = ra.open_recording(folder / "depth.dat", cache=False)
    return Case(rec, scene(rec, camera_type="kinect"), truth, folder)


@pytest.fixture(scope="module", params=[0, 1])
def long(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return made(tmp_path_factory.mktemp("long"), frames=300, seed=request.param)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return made(tmp_path_factory.mktemp("short"), frames=90, seed=3, cable=True)


@pytest.fixture(scope="module")
def usual(short: Case) -> xr.Dataset:
    return extract(short.rec, short.scene).compute()


# ---- against the truth -----------------------------------------------------------------------------------------------


def off(found: xr.Dataset, truth: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """How far positions (px of the full frame) and axes (degrees) are from the truth."""
    x0, y0 = found.attrs["roi_origin"]
    place = np.stack([found["centroid_x_px"] + x0, found["centroid_y_px"] + y0], axis=1)
    turned = (-found["angle"].values - truth["body_axis"] + np.pi / 2) % np.pi - np.pi / 2
    return np.hypot(*(place - truth["body_centroid"]).T), np.degrees(np.abs(turned))


def test_position_axis_heading_and_size(long: Case) -> None:
    found = extract(long.rec, long.scene, flip="motion", chunk_size=37).compute()
    assert not found["flags"].any()
    for values in off(found, long.truth):  # px, degrees
        assert np.median(values) <= 0.2
        assert np.percentile(values, 95) <= 1
        assert values.max() <= 3
    moving = long.truth["speed"] > 0.5
    ahead = np.cos(-found["angle"].values - long.truth["heading"]) > 0
    assert moving.sum() > 60
    assert ahead[moving].mean() >= 0.98
    high = extract(long.rec, long.scene, min_height=20).compute()  # what the truth counts
    ratio = high["area_px"].values / long.truth["area_px"]
    assert ratio.min() >= 0.92
    assert ratio.max() <= 1.02
    assert np.abs(high["height_ave_mm"].values - long.truth["height_mm"]).max() < 1


def test_nothing_jumps_at_the_borders_of_blocks(long: Case) -> None:
    """Frame to frame the angle and the crops of an animal of 1.6 px a frame change little, at borders as elsewhere."""
    found = extract(long.rec, long.scene, chunk_size=20, flip="motion").compute()
    steps = np.abs(np.diff(found["angle"].values))
    assert steps.max() < 0.2
    crops = found["frames"].values.astype(float)
    changed = np.abs(np.diff(crops, axis=0)).mean(axis=(1, 2)) / crops.mean(axis=(1, 2))[1:]
    turned = np.abs(crops[1:, ::-1, ::-1] - crops[:-1]).mean(axis=(1, 2)) / crops.mean(axis=(1, 2))[1:]
    assert (changed < turned).all()  # none faces the other way
    border = np.arange(19, 299, 20)
    assert np.median(changed[border]) < 1.3 * np.median(changed)


def test_heads_are_to_the_right(long: Case) -> None:
    found = extract(long.rec, long.scene, flip="motion").compute()
    mean = found["frames"].values.astype(float).mean(axis=0)
    low = np.argwhere((mean > 5) & (mean < 50))  # the head is lower than the body, and lies beyond it
    assert mean[:, 66:].sum() > mean[:, :14].sum()
    assert len(low)


# ---- what comes out --------------------------------------------------------------------------------------------------


def test_names_units_and_labels(short: Case, usual: xr.Dataset) -> None:
    assert set(usual) == {"frames", "frames_mask", "flags", *SCALARS, *EXTRA_SCALARS}
    assert usual["frames"].dims == ("time", "y", "x")
    assert usual["frames"].shape == usual["frames_mask"].shape == (90, 80, 80)
    assert (usual["frames"].dtype, usual["frames_mask"].dtype) == (np.uint8, np.bool_)
    for name in (*SCALARS, *EXTRA_SCALARS):
        assert (usual[name].dims, usual[name].dtype) == (("time",), np.float32)
        assert usual[name].attrs["units"]
    assert usual["frames"].attrs["units"] == "mm"
    assert usual.indexes["time"].equals(short.rec.indexes["time"])
    np.testing.assert_array_equal(usual["timestamps"], short.rec["timestamps"])
    assert usual.attrs["rate"] == 30
    assert usual.attrs["true_depth"] == short.scene.attrs["true_depth"]
    said = json.loads(usual.attrs["parameters"])
    assert (said["min_height"], said["crop_size"]) == (10, None)
    assert json.loads(usual.attrs["metadata"])["SubjectName"] == "animal 3"


def test_a_lazy_dataset_is_computed_piece_by_piece(short: Case, usual: xr.Dataset) -> None:
    found = extract(short.rec, short.scene, chunk_size=20)
    part = found.isel(time=slice(33, 47)).compute()
    xr.testing.assert_identical(part, usual.isel(time=slice(33, 47)).assign_attrs(part.attrs))


def test_in_memory_is_the_same(short: Case, usual: xr.Dataset) -> None:
    found = extract(short.rec.compute(), short.scene)
    assert found["frames"].chunks is None
    for name in usual:
        assert found[name].values.tobytes() == usual[name].values.tobytes(), name


def test_a_scene_of_another_camera_is_refused(short: Case) -> None:
    with pytest.raises(RecordingError, match="make the scene of this recording"):
        extract(short.rec.isel(x=slice(0, 256)), short.scene)
    with pytest.raises(RecipeError, match="min_height"):
        extract(short.rec, short.scene, min_heigth=3)
    with pytest.raises(RecordingError, match="leave nothing of 90 frames"):
        extract(short.rec, short.scene, frame_trim=(80, 10))
    with pytest.raises(RecordingError, match="use_tracking_model"):
        extract(short.rec, short.scene, model_smoothing_clips=(-16, -8))


# ---- every option does what it says ----------------------------------------------------------------------------------

MEASURED = {"area_px", "area_mm", "height_ave_mm"}
PLACES = {"centroid_x_px", "centroid_y_px", "width_px", "length_px", "angle"}
TRACKED = {"use_tracking_model": True}
CHANGES: list[tuple[dict[str, Any], dict[str, Any], set[str]]] = [
    ({"min_height": 20}, {}, {"frames", "frames_mask"} | MEASURED | PLACES),
    ({"max_height": 40}, {}, {"frames", "frames_mask"} | MEASURED | PLACES),
    ({"max_height": 60}, {}, {"frames"}),
    ({"rotate": False}, {}, {"frames", "frames_mask"}),
    ({"spatial_filter_size": 0}, {}, {"frames_mask"} | MEASURED),
    ({"spatial_filter_size": (3, 7)}, {}, {"frames_mask"} | MEASURED),
    ({"temporal_filter_size": 5}, {}, {"frames_mask"} | PLACES),
    ({"tail_filter_iters": 0}, {}, {"frames_mask"} | PLACES | MEASURED),
    ({"tail_filter_iters": 2}, {}, {"frames_mask"} | PLACES | MEASURED),
    ({"tail_filter_size": (5, 5)}, {}, {"frames_mask"} | PLACES),
    ({"tail_filter_shape": "rectangle"}, {}, {"frames_mask"} | PLACES),
    ({"cable_filter_iters": 1}, {}, {"frames_mask"} | PLACES | MEASURED),
    ({"cable_filter_iters": 1, "cable_filter_size": (3, 3)}, {"cable_filter_iters": 1}, {"frames_mask"} | PLACES),
    ({"cable_filter_iters": 3, "cable_filter_size": (3, 3)}, {"cable_filter_iters": 1}, {"frames_mask"} | PLACES),
    (
        {"cable_filter_iters": 1, "cable_filter_shape": "ellipse"},
        {"cable_filter_iters": 1},
        {"frames_mask"},
    ),
    ({"compute_raw_scalars": True}, {}, MEASURED),
    (TRACKED, {}, {"frames_mask"} | PLACES),
    ({"tracking_model_mask_threshold": -10.0}, TRACKED, PLACES),
    ({"tracking_model_ll_threshold": -12.0}, TRACKED, {"frames_mask"} | PLACES),
    ({"tracking_model_ll_clip": -14.0}, TRACKED, {"frames_mask"}),
    ({"tracking_model_segment": False}, {**TRACKED, "tail_filter_iters": 0}, {"frames_mask"}),
    ({"tracking_model_init": "med"}, TRACKED, PLACES),
    ({"tracker_warmup": 1}, {**TRACKED, "chunk_size": 10}, {"frames_mask"}),
    ({"model_smoothing_clips": (-14.0, -6.0)}, TRACKED, PLACES | {"frames"}),
    ({"detected_true_depth": 700}, {}, {"centroid_x_mm", "area_mm", "length_mm"}),
    ({"frame_dtype": "uint16"}, {}, set()),
]  # fmt: skip


def differing(one: xr.Dataset, other: xr.Dataset) -> set[str]:
    return {
        name
        for name in one
        if one[name].shape != other[name].shape or not np.array_equal(one[name], other[name], equal_nan=True)
    }


@pytest.mark.parametrize(("options", "before", "changed"), CHANGES, ids=[str(each[0]) for each in CHANGES])
def test_an_option_changes_what_it_is_for(
    short: Case, usual: xr.Dataset, options: dict[str, Any], before: dict[str, Any], changed: set[str]
) -> None:
    given = scene(short.rec, camera_type="kinect", **options) if "detected_true_depth" in options else short.scene
    base = extract(short.rec, short.scene, before).compute() if before else usual
    found = extract(short.rec, given, {**before, **options}).compute()
    assert changed <= differing(base, found)
    if not changed:
        assert differing(base, found) <= {"frames_mask"}


def test_heights_stay_between_their_limits(short: Case) -> None:
    found = extract(short.rec, short.scene, min_height=20, max_height=45, rotate=False).compute()
    crops = found["frames"].values
    assert crops.max() <= 45
    assert found["frames_mask"].values.any()


def test_types_of_heights(short: Case, usual: xr.Dataset) -> None:
    wide = extract(short.rec, short.scene, frame_dtype="uint16").compute()
    assert wide["frames"].dtype == np.uint16
    np.testing.assert_array_equal(wide["frames"], usual["frames"])
    with pytest.warns(UserWarning, match="frame_dtype became uint16"):
        tall = extract(short.rec, short.scene, max_height=300).compute()
    assert tall["frames"].dtype == np.uint16
    tracked = extract(short.rec, short.scene, TRACKED)
    assert tracked["frames_mask"].dtype == tracked["frames_mask"].compute().dtype == np.float32
    assert tracked["frames_mask"].attrs["long_name"] == "log-likelihood of the animal in the crops"


@pytest.mark.parametrize("size", [(60, 100), (41, 40)])
def test_sizes_of_crops(short: Case, usual: xr.Dataset, size: tuple[int, int]) -> None:
    found = extract(short.rec, short.scene, crop_size=size).compute()
    assert found["frames"].shape == (90, *size)
    np.testing.assert_array_equal(found["angle"], usual["angle"])
    if size == (60, 100):  # the middle of both is the same
        np.testing.assert_array_equal(found["frames"].values[:, :, 10:90], usual["frames"].values[:, 10:70, :])


def test_only_the_largest_object(short: Case, tmp_path: Path) -> None:
    several = made(tmp_path, frames=30, seed=4, animals=2)
    one = extract(several.rec, several.scene).compute()
    both = extract(several.rec, several.scene, use_cc=False).compute()
    assert (both["length_px"] > one["length_px"]).mean() > 0.5
    assert (one["flags"].values & Seen.SEVERAL).any()
    assert np.isfinite(one["centroid_x_px"]).all()
    assert one["length_px"].max() < 90 < both["length_px"].max()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"frame_trim": (7, 0)}, slice(7, 90)),
        ({"frame_trim": (7, 20)}, slice(7, 70)),
        ({"num_frames": 33}, slice(0, 33)),
        ({"num_frames": 33, "frame_trim": (7, 60)}, slice(7, 30)),
        ({"num_frames": 400}, slice(0, 90)),
    ],
)
def test_frames_that_are_extracted(short: Case, usual: xr.Dataset, options: dict[str, Any], part: slice) -> None:
    found = extract(short.rec, short.scene, options).compute()
    np.testing.assert_array_equal(found["time"], usual["time"][part])
    np.testing.assert_array_equal(found["timestamps"], usual["timestamps"][part])
    np.testing.assert_array_equal(found["centroid_x_px"], usual["centroid_x_px"][part])
    turns = (found["angle"].values - usual["angle"].values[part]) / np.pi  # unwrapped from another frame on
    np.testing.assert_allclose(turns, np.full(len(turns), round(float(turns[0]))), atol=1e-5)


def test_filters_do_not_cross_long_gaps(tmp_path: Path) -> None:
    """A median over time sees other frames on the other side of a gap, unless the gap is too long."""
    truth = make_session(tmp_path, frames=40, seed=3, dropped=0)
    ms = truth["ts"].copy()
    ms[20:] += 2000
    (tmp_path / "depth_ts.txt").write_text("".join(f"{each:.4f} 0\n" for each in ms))
    rec = ra.open_recording(tmp_path / "depth.dat", cache=False)
    given = scene(rec, camera_type="kinect")
    stays = extract(rec, given, temporal_filter_size=5).compute()
    crosses = extract(rec, given, temporal_filter_size=5, max_gap=100).compute()
    differs = np.flatnonzero((stays["frames_mask"] != crosses["frames_mask"]).any(("y", "x")))
    assert set(differs) <= {18, 19, 20, 21}
    assert len(differs) > 1
    parts = (rec.isel(time=part) for part in (slice(20), slice(20, 40)))
    halves = [extract(part, given, temporal_filter_size=5).compute() for part in parts]
    np.testing.assert_array_equal(stays["area_px"], np.concatenate([half["area_px"] for half in halves]))
    assert stays["speed_2d_mm_s"].values[20] < 0.1 * crosses["velocity_2d_mm"].max() * 30


# ---- outliers --------------------------------------------------------------------------------------------------------


def test_hampel_replaces_what_is_odd(tmp_path: Path) -> None:
    """A hand in one frame is the largest object there: position and angle come from the frames around it."""
    truth = make_session(tmp_path, frames=40, seed=3)
    frames = np.memmap(tmp_path / "depth.dat", "<u2", "r+", shape=(40, 424, 512))
    cx, cy = truth["bucket"][:2].astype(int)
    far = -1 if truth["xy"][17, 0] > cx else 1
    frames[17, cy - 60 : cy + 60, slice(*sorted((cx + 40 * far, cx + 100 * far)))] = 600
    frames.flush()
    rec = ra.open_recording(tmp_path / "depth.dat", cache=False)
    given = scene(rec, camera_type="kinect")
    odd = extract(rec, given).compute()
    place, _ = off(odd, truth)
    assert place[17] > 10
    how = {"centroid_hampel_span": 7, "angle_hampel_span": 7, "crop_size": (80, 80)}
    found = extract(rec, given, how).compute()
    place, turned = off(found, truth)
    assert place[17] < 6
    assert turned[17] < 10
    np.testing.assert_array_equal(np.delete(found["frames"].values, 17, 0)[:10], odd["frames"].values[:10])
    only = extract(rec, given, {**how, "angle_hampel_span": 0}).compute()
    assert off(only, truth)[0][17] < 6
    np.testing.assert_array_equal(only["angle"], odd["angle"])
    loose = extract(rec, given, {**how, "centroid_hampel_sig": 1e6}).compute()
    np.testing.assert_array_equal(loose["centroid_x_px"], odd["centroid_x_px"])


# ---- which way round -------------------------------------------------------------------------------------------------


def head_is_left(crops: np.ndarray) -> np.ndarray:
    """A classifier that knows these animals: the head is lower than the body, and there is none behind."""
    return (crops[:, :, :16].sum((1, 2), dtype="i8") > crops[:, :, -16:].sum((1, 2), dtype="i8")).astype(float)


@pytest.mark.parametrize("flip", ["motion", "shape", head_is_left], ids=["motion", "shape", "function"])
def test_ways_to_find_the_head(long: Case, flip: Any) -> None:
    found = extract(long.rec, long.scene, flip=flip).compute()
    moving = long.truth["speed"] > 0.5
    ahead = np.cos(-found["angle"].values - long.truth["heading"]) > 0
    assert ahead[moving].mean() >= 0.98
    assert found["flips"].dtype == np.bool_
    plain = extract(long.rec, long.scene).compute()
    np.testing.assert_allclose(found["angle"], plain["angle"] + np.pi * found["flips"], atol=1e-5)
    turned = plain["frames"].values.copy()
    turned[found["flips"].values] = turned[found["flips"].values][:, ::-1, ::-1]
    np.testing.assert_array_equal(found["frames"], turned)


def test_a_classifier_is_smoothed_over_time(short: Case) -> None:
    def sometimes(crops: np.ndarray) -> np.ndarray:
        return (crops.sum((1, 2), dtype="i8") % 3 == 0).astype(float)

    alone = extract(short.rec, short.scene, flip=sometimes, flip_classifier_smoothing=1).compute()
    together = extract(short.rec, short.scene, flip=sometimes, flip_classifier_smoothing=51).compute()
    assert 0 < alone["flips"].sum() < 60
    assert together["flips"].sum() == 0


def test_trees_in_a_file(short: Case, tmp_path: Path) -> None:
    """One tree that looks at one pixel of the crops at their unwrapped angle."""
    path, pixel, limit = tmp_path / "trees.npz", (40, 73), 20
    leaf = [-1, -1]
    nodes = {"feature": [pixel[0] * 80 + pixel[1], *leaf], "left": [1, *leaf], "right": [2, *leaf]}
    values = {"threshold": [limit, 0, 0], "value": [0, 0.9, 0.1]}
    np.savez(path, crop_size=[80, 80], root=[0], **nodes, **values)
    as_they_are = {"spatial_filter_size": 0, "tail_filter_iters": 0, "flip_classifier_smoothing": 1}
    plain = extract(short.rec, short.scene, as_they_are).compute()
    found = extract(short.rec, short.scene, as_they_are, flip=str(path), chunk_size=17).compute()
    expected = plain["frames"].values[:, pixel[0], pixel[1]] <= limit
    assert 0 < expected.sum() < 90
    np.testing.assert_array_equal(found["flips"], expected)
    with pytest.raises(RecordingError, match="80 x 80"):
        extract(short.rec, short.scene, flip=str(path), crop_size=(60, 60))


@pytest.mark.parametrize("options", [{"compat": True}, {"angle_hampel_span": 5}], ids=["compat", "hampel"])
def test_crops_are_asked_as_they_are_stored(short: Case, options: dict[str, Any]) -> None:
    """Also where they have to wait for angles: a classifier sees them at the unwrapped angle, once."""
    if "compat" in options:
        pytest.importorskip("cv2", reason="OpenCV is not installed")
    asked: list[np.ndarray] = []

    def never(crops: np.ndarray) -> np.ndarray:
        asked.append(crops.copy())
        return np.zeros(len(crops))

    found = extract(short.rec.compute(), short.scene, options, flip=never, spatial_filter_size=0, tail_filter_iters=0)
    assert not found["flips"].values.any()
    if "compat" not in options:  # where nothing is cleaned, these are the crops that are stored
        np.testing.assert_array_equal(np.concatenate(asked), found["frames"])
    always = extract(short.rec, short.scene, options, flip=lambda crops: np.ones(len(crops))).compute()
    plain = extract(short.rec, short.scene, options).compute()
    assert always["flips"].values.all()
    np.testing.assert_allclose(always["angle"], plain["angle"] + np.pi, atol=1e-5)


def test_what_a_classifier_is_given_in_compat(short: Case) -> None:
    """Crops at the unwrapped angle, which never jumps: none is turned once more."""
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    asked: list[np.ndarray] = []

    def never(crops: np.ndarray) -> np.ndarray:
        asked.append(crops.copy())
        return np.zeros(len(crops))

    found = extract(short.rec.compute(), short.scene, compat=True, flip=never)
    crops, stored = np.concatenate(asked).astype(int), found["frames"].values.astype(int)
    same = np.abs(crops - stored).mean(axis=(1, 2))
    turned = np.abs(crops[:, ::-1, ::-1] - stored).mean(axis=(1, 2))
    assert (same < turned).all()


# ---- odd frames ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Nobody for 40 frames, no return in 3, at the edge in 10."""
    folder = tmp_path_factory.mktemp("odd")
    return made(folder, frames=120, seed=2, absent=[(20, 60)], blank=[(10, 12), (90, 91)], at_edge=[(100, 110)])


@pytest.mark.parametrize("options", [{}, TRACKED, {"temporal_filter_size": 3}, {"angle_hampel_span": 5}], ids=str)
def test_frames_without_an_animal(odd: Case, options: dict[str, Any]) -> None:
    found = extract(odd.rec, odd.scene, options, flip="motion", chunk_size=16).compute()
    assert found.sizes["time"] == 120
    np.testing.assert_array_equal(found["timestamps"], odd.rec["timestamps"])
    flags, empty, absent = found["flags"].values, np.zeros(120, bool), np.zeros(120, bool)
    empty[[10, 11, 90]], absent[20:60] = True, True
    gone = empty | absent
    if "temporal_filter_size" in options:  # which sees the frames around, too
        gone[90] = empty[90] = False
    np.testing.assert_array_equal((flags & Seen.MISSING) > 0, gone)
    np.testing.assert_array_equal((flags & Seen.EMPTY) > 0, empty)
    for name in ("centroid_x_px", "angle", "length_px", "centroid_x_mm", "height_ave_mm"):
        np.testing.assert_array_equal(np.isnan(found[name]), gone, err_msg=name)
    assert not found["frames"].values[gone].any()
    there = ~gone
    there[90] = False  # nothing was returned, whatever is known of it
    assert found["frames"].values[there].any(axis=(1, 2)).all()
    assert np.isnan(found["velocity_2d_px"].values[1:][gone[1:] | gone[:-1]]).all()
    if "use_tracking_model" in options:
        assert ((flags & Seen.HELD) > 0)[20:60].all()
        assert (found["frames_mask"].values[gone] == -100).all()
    else:
        assert not found["frames_mask"].values[gone].any()
    place, turned = off(found, odd.truth)
    sure = ~gone & ~((flags & Seen.EDGE) > 0)
    sure[[9, 12, 89, 91, *range(99, 112), 60, 61, 62]] = False  # what filters over time make of neighbours
    assert np.percentile(place[sure], 95) < (8 if "use_tracking_model" in options else 1.5)  # it sees the middle only
    assert np.percentile(turned[sure], 95) < 3


def test_an_animal_at_the_edge(odd: Case) -> None:
    x, y, radius = odd.truth["bucket"]
    rows, columns = np.ogrid[:424, :512]
    given = scene(odd.rec, camera_type="kinect", roi=np.hypot(columns - x, rows - y) < radius - 8)
    found = extract(odd.rec, given).compute()
    flags = found["flags"].values
    assert ((flags & Seen.EDGE) > 0)[100:110].mean() > 0.5
    assert not ((flags & Seen.EDGE) > 0)[62:90].any()
    assert np.isfinite(found["centroid_x_px"].values[100:110]).any()


def test_nothing_at_all(tmp_path: Path) -> None:
    """A recording of another animal's arena, empty: no number, no error."""
    case = made(tmp_path, frames=30, absent=[(0, 30)])
    for flip in None, "motion", "shape", head_is_left:
        found = extract(case.rec, case.scene, flip=flip, chunk_size=7).compute()
        assert np.isnan(found["centroid_x_px"]).all()
        assert (found["flags"].values & Seen.MISSING).all()
        assert not found["frames"].values.any()
    tracked = extract(case.rec, case.scene, TRACKED).compute()
    assert np.isnan(tracked["centroid_x_px"]).all()


def test_more_than_the_largest_height_is_told(short: Case) -> None:
    frames = short.rec.isel(time=slice(0, 4)).compute()
    y0, _, x0, _ = short.scene.attrs["box"]
    frames[1, y0 + 100 : y0 + 200, x0 + 100 : x0 + 200] = 400
    found = extract(frames, short.scene)
    assert ((found["flags"].values & Seen.HIGH) > 0).tolist() == [False, True, False, False]
