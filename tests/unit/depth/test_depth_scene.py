"""Scenes: as accurate as asked for, from few frames, by hand where wanted, kept in files, loud where there is none."""

from __future__ import annotations

import importlib.util
import inspect
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

import reelarray as ra
from reelarray import formats
from reelarray.demo.depth import make_session
from reelarray.depth.optiontable import TABLE
from reelarray.depth.scene import camera_of, scene, write_scene
from reelarray.depth.tiffs import read_tiff, write_tiff
from reelarray.errors import RecipeError, RecordingError
from reelarray.graph import read_array
from reelarray.table import Kind, SourceTable

SHAPE = (212, 256)  # of the scene at half its size
READ: list[tuple[int, int]] = []


@dataclass(frozen=True)
class Film:
    """A raw film that writes down what is read of it."""

    path: str
    frames: int
    layout: tuple[int, int]

    def read(self, start: int, stop: int) -> np.ndarray:
        READ.append((start, stop))
        frames = np.fromfile(
            self.path, "<u2", (stop - start) * np.prod(self.layout), offset=start * 2 * np.prod(self.layout)
        )
        return frames.reshape(-1, *self.layout)


def frames_of(folder: Path, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return np.fromfile(folder / "depth.dat", "<u2").reshape(-1, *shape)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("session")
    truth = make_session(folder, frames=60, seed=5, shape=SHAPE)
    return folder, truth


@pytest.fixture
def rec(session):
    return of(frames_of(session[0]))


def of(frames: np.ndarray) -> xr.DataArray:
    return ra.recording(frames, rate=30, units="mm")


def seen(rec: xr.DataArray, **more: object) -> xr.Dataset:
    return scene(rec, **{"camera_type": "kinect", "intrinsics": {"fx": 180.0, "fy": 183.0}, **more})


@pytest.fixture
def lazy(session, monkeypatch):
    monkeypatch.setattr(
        formats, "get_format", lambda _: SimpleNamespace(source=lambda p, n, layout, *_: Film(p, n, layout))
    )

    def build(path: Path = session[0] / "depth.dat", chunk: int = 20) -> xr.DataArray:
        facts = os.stat(path)
        count = facts.st_size // (2 * SHAPE[0] * SHAPE[1])
        kind = Kind("film", "<u2", 1.0, 0.0, SHAPE)
        table = SourceTable.of_files(
            [str(path)],
            [kind],
            [count],
            [facts.st_size],
            [facts.st_mtime_ns],
            shape=SHAPE,
            dtype="uint16",
            calibrated=False,
        )
        READ.clear()
        return of(read_array(table, chunk))

    return build


# ---- accuracy --------------------------------------------------------------------------------------------------------


def judge(frames: np.ndarray, truth: dict[str, np.ndarray]) -> None:
    """The plane and the arena against the truth: slopes within 0.002, the middle within 1 mm, IoU 0.98 or more."""
    found = scene(of(frames))
    a, b, _, d = found["plane"].values
    cx, cy, radius = truth["bucket"]
    depth, along, down = truth["floor"]
    assert np.hypot(a - along, b - down) < 0.002
    assert abs(a * cx + b * cy + d - depth) < 1
    assert abs(found.attrs["true_depth"] - depth) < 2
    y, x = np.mgrid[: frames.shape[1], : frames.shape[2]]
    away = np.hypot(x - cx, y - cy)
    strip = (np.abs(truth["background"] - (depth + along * (x - cx) + down * (y - cy))) < 30) & (away < 1.2 * radius)
    bare = scene(of(frames), dilate_iterations=0)["roi"].values
    disc = away <= radius
    assert overlap(bare & ~(strip & ~disc), disc) >= 0.98
    assert overlap(bare, strip) >= 0.98
    assert (found["roi"].values >= bare).all()


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return np.count_nonzero(one & other) / np.count_nonzero(one | other)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_floor_and_arena_are_those_of_the_truth(tmp_path, seed):
    truth = make_session(tmp_path, frames=300, seed=seed)
    judge(frames_of(tmp_path, (424, 512)), truth)


@pytest.mark.parametrize("seed", [3, 4, 11])
def test_floor_and_arena_of_another_generator(tmp_path, shared, seed):
    maker = shared / "tools" / "make_depth_session.py"
    if not maker.is_file():
        pytest.skip(f"no generator at {maker}")
    spec = importlib.util.spec_from_file_location("make_depth_session", maker)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    truth = made.make_session(str(tmp_path), 300, seed)
    judge(frames_of(tmp_path, (424, 512)), truth)


def test_the_arena_of_the_reference(shared):
    folder = shared / "data/golden/depth"
    if not (folder / "golden200.npz").is_file():
        pytest.skip(f"no reference values at {folder}")
    with np.load(folder / "golden200.npz") as golden, np.load(folder / "raw200.npz") as raw:
        found = scene(of(raw["raw"]), background=golden["background"], compat=True)
        assert found.attrs["true_depth"] == golden["true_depth"]
        assert found.attrs["box"] == [49, 362, 106, 419]
        assert overlap(found["roi"].values, golden["roi"]) > 0.999  # the reference's plane had no seed


@pytest.mark.parametrize(
    "more", [{"animals": 2}, {"at_edge": [(0, 30)]}, {"blank": [(7, 20)]}, {"absent": [(0, 60)]}, {"cable": True}]
)
def test_troubles_do_not_move_the_arena(tmp_path, session, rec, more):
    make_session(tmp_path, frames=60, seed=5, shape=SHAPE, **more)
    found = seen(of(frames_of(tmp_path)))
    assert overlap(found["roi"].values, seen(rec)["roi"].values) > 0.98
    assert found.attrs["true_depth"] == pytest.approx(675, abs=2)


def test_a_lost_pixel_in_the_middle_does_not_matter(rec):
    frames = rec.values.copy()
    cy, cx = 102, 131
    frames[:, cy - 3 : cy + 4, cx - 3 : cx + 4] = 0
    found = seen(of(frames))
    assert found["background"].values[cy, cx] == 0
    assert found.attrs["depth_range"] == pytest.approx(seen(rec).attrs["depth_range"], abs=2)
    assert found["roi"].values[cy, cx]


def test_an_animal_that_never_moves(rec, session):
    still = of(np.repeat(rec.values[:1], 20, axis=0))
    plain, flat = seen(still), seen(still, use_plane_bground=True)
    x, y = np.rint(session[1]["xy"][0]).astype(int)
    empty = session[1]["background"][y, x]
    assert plain["background"].values[y, x] < empty - 40
    assert flat["background"].values[y, x] == pytest.approx(empty, abs=1.5)
    a, b, c, d = flat["plane"].values
    assert flat["background"].values[y, x] == pytest.approx(-(a * x + b * y + d) / c)
    assert flat["roi"].values[y, x]


# ---- what is read ----------------------------------------------------------------------------------------------------


def test_the_dataset_is_small_and_labelled(rec):
    found = seen(rec)
    assert dict(found.sizes) == {"y": 212, "x": 256, "candidate": found.sizes["candidate"], "coefficient": 4}
    types = {name: found[name].dtype for name in ("background", "first_frame", "roi", "rois", "plane")}
    assert types == {"background": "f8", "first_frame": "u2", "roi": "?", "rois": "?", "plane": "f8"}
    assert all(isinstance(v.data, np.ndarray) for v in found.variables.values())
    assert found["background"].attrs["units"] == "mm"
    assert np.array_equal(found["first_frame"], rec.values[0])
    y0, y1, x0, x1 = found.attrs["box"]
    inside = np.zeros(SHAPE, bool)
    inside[y0:y1, x0:x1] = True
    arena = found["roi"].values
    assert not arena[~inside].any()
    assert all(arena[edge].any() for edge in ((y0,), (y1 - 1,), (slice(None), x0), (slice(None), x1 - 1)))
    assert np.array_equal(found["rois"][found.attrs["bg_roi_index"]], arena)
    assert camera_of(found).fx == 180.0
    assert json.loads(found.attrs["options"])["noise_tolerance"] == 30.0


def test_in_compat_the_box_loses_a_row_and_a_column(rec):
    old, new = (seen(rec, compat=compat).attrs["box"] for compat in (True, False))
    assert (old[0], old[1] + 1, old[2], old[3] + 1) == tuple(new)


def test_in_compat_zeros_are_depths(rec):
    frames = rec.values.copy()
    frames[::2, 100:110, 130:140] = 0
    many = of(np.concatenate([frames] * 25))  # 1500 frames: two more samples in compat, 500 frames apart
    new, old = seen(many), seen(many, compat=True)
    assert old.attrs["sampled"] == [0, 500, 1000]
    assert (old["background"].values[102:108, 132:138] == 0).all()
    assert (new["background"].values[102:108, 132:138] > 600).all()


def test_only_the_sampled_frames_are_read_of_files(lazy, rec):
    film = lazy()
    found = seen(film)
    assert [(k, k + 1) for k in range(0, 60, 3)] == READ
    assert found.attrs["sampled"] == [k for k, _ in READ]
    xr.testing.assert_identical(found.drop_attrs(), seen(rec).drop_attrs())


def test_also_of_a_part_of_a_recording(lazy, rec):
    part = lazy().isel(time=slice(13, 45))
    found = seen(part)
    assert [(k, k + 1) for k in range(13, 45, 2)] == READ
    assert np.array_equal(found["background"], seen(rec.isel(time=slice(13, 45)))["background"])


def test_a_background_of_ones_own_needs_one_frame(lazy, session):
    film = lazy()
    found = seen(film, background=session[1]["background"])
    assert READ == [(0, 1)]
    assert np.array_equal(found["background"], session[1]["background"])


def test_a_recording_as_a_camera_leaves_it(tmp_path):
    truth = make_session(tmp_path, frames=40, seed=6, shape=SHAPE, trailing=77)
    found = scene(ra.open_recording(str(tmp_path / "depth.dat")))  # a .dat file is the Kinect's
    assert camera_of(found).name == "kinect"
    assert found.attrs["true_depth"] == pytest.approx(truth["floor"][0], abs=2)
    write_scene(found, tmp_path / "proc")
    again = scene(ra.open_recording(str(tmp_path / "depth.dat")), folder=tmp_path / "proc")
    xr.testing.assert_identical(again, found)


# ---- by hand ---------------------------------------------------------------------------------------------------------


def test_every_option_has_the_default_of_the_table():
    parameters = inspect.signature(scene).parameters
    own = {"rec", "background", "roi", "plane", "folder"}
    assert set(parameters) - own <= set(TABLE)
    for name in set(parameters) - own:
        assert parameters[name].default == TABLE[name].default, name


def test_an_arena_by_hand(rec):
    mask = np.zeros(SHAPE, bool)
    mask[80:120, 100:160] = True
    found = seen(rec, roi=mask)
    assert np.array_equal(found["roi"], mask)
    assert found.attrs["box"] == [80, 120, 100, 160]
    assert found.attrs["by_hand"] == ["roi"]
    assert found["area"].values.tolist() == [2400]
    assert np.isfinite(found["plane"]).all()


def test_an_arena_by_hand_without_a_plane(rec, caplog):
    mask = np.zeros(SHAPE, bool)
    mask[100, 100:160] = True
    with caplog.at_level(logging.WARNING):
        found = seen(rec, roi=mask)
    assert np.isnan(found["plane"]).all()
    assert "without a plane" in caplog.text
    with pytest.raises(RecordingError, match="no plane was found"):
        seen(rec, roi=mask, use_plane_bground=True)


def test_a_plane_by_hand(rec, session):
    depth, along, down = session[1]["floor"]
    cx, cy, _ = session[1]["bucket"]
    found = seen(rec, plane=(2 * along, 2 * down, -2, 2 * (depth - along * cx - down * cy)))
    assert overlap(found["roi"].values, seen(rec)["roi"].values) > 0.99
    assert found["plane"].values[2] == -2


@pytest.mark.parametrize("plane", [(1, 2, 3), (0, 0, 0, 700), (0, 0, -1, np.nan)])
def test_what_is_no_plane(rec, plane):
    with pytest.raises(RecordingError, match=r"a, b, c, d with c not 0"):
        seen(rec, plane=plane)


def test_depths_by_hand(rec):
    assert seen(rec, detected_true_depth=650).attrs["true_depth"] == 650.0
    found = seen(rec, manual_set_depth_range=True, bg_roi_depth_range=(600, 760))
    assert found.attrs["depth_range"] == [600.0, 760.0]


def test_a_range_without_its_switch_is_said_to_have_no_effect(rec, caplog):
    with caplog.at_level(logging.WARNING):
        found = seen(rec, bg_roi_depth_range=(600, 760))
    assert "manual_set_depth_range=True" in caplog.text
    assert found.attrs["depth_range"] != [600.0, 760.0]


def test_pictures_from_files(tmp_path, rec, session):
    mask = np.zeros(SHAPE)
    mask[80:120, 100:160] = 1
    background = write_tiff(tmp_path / "b.tiff", session[1]["background"])
    found = seen(rec, roi=write_tiff(tmp_path / "m.tiff", mask), background=str(background))
    assert found.attrs["box"] == [80, 120, 100, 160]
    np.testing.assert_allclose(found["background"], session[1]["background"], atol=0.01)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"roi": np.ones((5, 5))}, r"roi has \(5, 5\) pixels.*\(212, 256\)"),
        ({"roi": np.zeros(SHAPE)}, "roi has no pixel above 0"),
        ({"background": np.zeros(SHAPE)}, "background has no pixel above 0"),
        ({"background": np.full(SHAPE, "x")}, "background has .* numbers were expected"),
        ({"overlap_roi": np.ones((2, 2))}, "overlap_roi has"),
        ({"noise_tolerance": -1}, "noise_tolerance is -1"),
        ({"camera_type": "orbbec"}, "camera_type"),
        ({"manual_set_depth_range": True, "bg_roi_depth_range": "auto"}, "manual_set_depth_range needs"),
    ],
)
def test_impossible_options(rec, more, told):
    with pytest.raises((RecordingError, RecipeError), match=told):
        seen(rec, **more)


def test_two_arenas_are_told_apart(rec):
    both = of(np.concatenate([rec.values[:, :, 40:222], rec.values[:, :, 40:222]], axis=2)[:, 30:180].copy())
    with pytest.raises(RecordingError, match="manual_set_depth_range"):  # the middle is the room between them
        seen(both, bg_roi_index=5)
    near = {"manual_set_depth_range": True, "bg_roi_depth_range": (640, 710)}
    first, second = (seen(both, bg_roi_index=k, **near) for k in (0, 1))
    assert first.attrs["candidates"] == second.attrs["candidates"] == 2
    assert not (first["roi"].values & second["roi"].values).any()
    left = seen(both, overlap_roi=first["roi"].values, **near)
    assert np.array_equal(left["roi"], second["roi"])
    with pytest.raises(
        RecordingError, match=r"bg_roi_index=2 was asked for; 2 candidates.*0: area \d+ px.*1: area \d+ px"
    ):
        seen(both, bg_roi_index=2, **near)
    assert seen(both, bg_roi_index=[4, 1], **near).attrs["bg_roi_index"] == 1


def test_arenas_one_below_the_other_are_sorted(rec):
    high = rec.values[:, 22:182]
    both = of(np.concatenate([high, high], axis=1))
    near = {"manual_set_depth_range": True, "bg_roi_depth_range": (640, 710)}
    rows = seen(both, bg_sort_roi_by_position=True, **near)["row"].values
    assert len(rows) == 2
    assert rows[0] < 160 < rows[1]


def test_the_gradient_filter_takes_effect(rec):
    plain = seen(rec, dilate_iterations=0)
    gentle = seen(rec, dilate_iterations=0, bg_roi_gradient_filter=True, bg_roi_gradient_threshold=4000)
    assert 0.9 < gentle["area"].values[0] / plain["area"].values[0] < 1


def test_slanted_walls(rec):
    found = seen(rec, graduate_walls=True, dilate_iterations=3)
    bare = seen(rec, dilate_iterations=0)["roi"].values
    assert np.abs(found["graduated"].values - found["background"].values)[bare].max() < 40
    assert (found["graduated"].values[~bare] <= found.attrs["true_depth"] + 1e-9).all()
    with pytest.warns(UserWarning, match="graduate_walls has no effect"):
        assert "graduated" not in seen(rec, graduate_walls=True)


# ---- files -----------------------------------------------------------------------------------------------------------


def test_written_pictures_are_read_back(tmp_path, rec):
    found = seen(rec)
    paths = write_scene(found, tmp_path / "proc")
    assert [path.name for path in paths] == ["bground.tiff", "first_frame.tiff", "roi_00.tiff"]
    assert sorted(os.listdir(tmp_path / "proc")) == sorted(path.name for path in paths)
    background, first, roi = map(read_tiff, paths)
    assert np.abs(background - found["background"].values).max() <= 0.5 / 60
    assert np.array_equal(roi > 0, found["roi"])
    low, high = found.attrs["depth_range"]
    assert np.abs(first - np.clip(found["first_frame"].values, low, high)).max() < 0.01


def test_slanted_walls_have_a_picture_of_their_own(tmp_path, rec):
    paths = write_scene(seen(rec, graduate_walls=True, dilate_iterations=2), tmp_path)
    assert paths[-1].name == "new_bg.tiff"


def test_a_background_is_used_again_if_it_is_of_the_same_input(tmp_path, lazy, session):
    film = lazy()
    first = seen(film)
    write_scene(first, tmp_path)
    READ.clear()
    again = seen(film, folder=tmp_path)
    assert READ == [(0, 1)]
    xr.testing.assert_identical(again, first)
    READ.clear()
    seen(film, folder=tmp_path, recompute_bg=True)
    assert len(READ) == 20
    write_scene(again, tmp_path)
    READ.clear()
    xr.testing.assert_identical(seen(film, folder=tmp_path), first)
    assert len(READ) == 1


def test_a_background_of_anything_else_is_made_anew(tmp_path, lazy, session):
    path = tmp_path / "depth.dat"
    path.write_bytes((session[0] / "depth.dat").read_bytes())
    film = lazy(path)
    write_scene(seen(film), tmp_path)

    def reads(film: xr.DataArray, **more: object) -> int:
        READ.clear()
        seen(film, folder=tmp_path, **more)
        return len(READ)

    assert reads(lazy(path)) == 1
    assert reads(film.isel(time=slice(1, None))) > 1
    assert reads(film, compat=True) == 1  # one sample of 60 frames, and no other read
    os.utime(path, ns=(1, 1))
    assert reads(lazy(path)) == 20
    (tmp_path / "bground.tiff").write_bytes(b"torn")
    assert reads(film) == 20


def test_a_plane_for_a_background_is_not_taken_for_a_median(tmp_path, lazy):
    film = lazy()
    write_scene(seen(film, use_plane_bground=True), tmp_path)
    READ.clear()
    xr.testing.assert_identical(seen(film, folder=tmp_path), seen(film))
    assert len(READ) == 40


def test_recordings_in_memory_have_no_mark(tmp_path, rec):
    found = seen(rec)
    write_scene(found, tmp_path)
    assert found.attrs["fingerprint"] == ""
    changed = of(rec.values + np.where(rec.values > 0, 1, 0).astype("u2"))
    assert not np.array_equal(seen(changed, folder=tmp_path)["background"], found["background"])


def test_nothing_is_written_in_part(tmp_path, rec):
    found = seen(rec)
    broken = found.assign(roi=found["roi"].where(False).astype(float) * np.nan)
    with pytest.raises(ValueError, match="finite values"):
        write_scene(broken, tmp_path)
    assert os.listdir(tmp_path) == []


# ---- loud ------------------------------------------------------------------------------------------------------------


def test_nothing_returns():
    with pytest.raises(RecordingError, match="no pixel of the background has a return"):
        seen(of(np.zeros((20, *SHAPE), np.uint16)))


def test_one_frame(rec):
    with pytest.raises(RecordingError, match=r"one frame.*background=.*use_plane_bground=True"):
        seen(rec.isel(time=slice(0, 1)))
    assert seen(rec.isel(time=slice(0, 1)), use_plane_bground=True)["roi"].any()
    assert seen(rec.isel(time=slice(0, 1)), background=seen(rec)["background"].values)["roi"].any()


def test_few_frames_are_said(rec, caplog):
    with caplog.at_level(logging.WARNING):
        seen(rec.isel(time=slice(0, 5)))
    assert "median of 5 frames only" in caplog.text


def test_walls_only():
    _y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    wall = (500 + 4 * x).astype(np.uint16)
    with pytest.raises(RecordingError, match=r"no plane was found for the floor: the best of 1000 holds \d"):
        seen(of(np.repeat(wall[None], 10, axis=0)))


def test_no_floor_at_that_depth(rec):
    with pytest.raises(RecordingError, match=r"between 200 and 250 mm.*most pixels lie at 1000 to 1010 mm"):
        seen(rec, manual_set_depth_range=True, bg_roi_depth_range=(200, 250))


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (np.zeros((5, 4, 4)), r"whole mm were expected.*units='mm'"),
        (np.zeros(5, "u2"), r"dimensions \('time',\)"),
        (np.zeros((5, 0, 4), "u2"), "5 frames of 0 x 4 px"),
        (np.full((9, 30, 30), -5, "i4"), "0 to 65535 mm were expected"),
        (np.full((9, 30, 30), 70_000, "i4"), "0 to 65535 mm were expected"),
    ],
)
def test_what_is_no_recording_of_depths(what, told):
    with pytest.raises(RecordingError, match=told):
        seen(of(what))


def test_other_units(rec):
    with pytest.raises(RecordingError, match="depths in m were given; mm were expected"):
        seen(rec.assign_attrs(units="m"))


def test_an_unknown_size_asks_for_the_camera(rec):
    with pytest.raises(RecordingError, match="camera_type="):
        scene(rec)
