"""The numbers of moseq2-extract: by definition, by brute force, and the same however frames are cut into blocks."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelarray.demo.depth import make_session
from reelarray.depth import compat, compatcrop
from reelarray.depth.cleaning import Cleaning, clean, element
from reelarray.depth.compat import clean_compat, cut_compat, look_compat, see_compat, wrapped_heights
from reelarray.depth.compatcrop import crop_compat
from reelarray.depth.heights import heights
from reelarray.depth.looking import look
from reelarray.depth.opencv import opencv
from reelarray.depth.records import Arena, Look, Seen
from reelarray.depth.tracker import PARAMETERS, crop_likelihood, log_likelihood
from reelarray.depth.unwrapping import unwrap
from reelarray.errors import MissingPackage, RecordingError

needs_opencv = pytest.mark.skipif(importlib.util.find_spec("cv2") is None, reason="OpenCV is not installed")
FRAMES = 24


def scene_of(truth):
    cx, cy, radius = truth["bucket"]
    y, x = np.ogrid[: truth["background"].shape[0], : truth["background"].shape[1]]
    inside = np.hypot(x - cx, y - cy) <= radius
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    box = int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])
    part = np.s_[box[0] : box[1], box[2] : box[3]]
    return Arena(np.floor(truth["background"][part]).astype("i2"), inside[part], box)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compat")
    truth = make_session(folder, frames=FRAMES, seed=5, absent=[(9, 11)], blank=[(10, 11)])
    return np.fromfile(folder / "depth.dat", "<u2").reshape(FRAMES, 424, 512), scene_of(truth), truth


def flat(*boxes, shape=(90, 100), height=40):
    """One frame of a floor at 650 mm with things of one height on it."""
    frame = np.full((1, *shape), 650, "u2")
    for rows, columns in boxes:
        frame[0, slice(*rows), slice(*columns)] = 650 - height
    return frame, Arena(np.full(shape, 650, "i2"), np.ones(shape, bool), (0, shape[0], 0, shape[1]))


def noise(shape, dtype="uint8", seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def test_without_opencv(monkeypatch):
    opencv.cache_clear()
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingPackage, match=r'compat=True needs OpenCV.*pip install "reelarray\[compat\]"'):
        look_compat(*flat(), Look(compat=True))
    opencv.cache_clear()


def test_heights_that_wrap():
    frames = np.array([[[850, 350, 610, 0, 906, 651, 640]]], "u2")
    made = wrapped_heights(frames, np.full((1, 7), 650), np.ones((1, 7), bool), (0, 1, 0, 7))
    assert made.tolist() == [[[56, 44, 40, 0, 0, 0, 10]]]
    halves = wrapped_heights(frames, np.full((1, 7), 650.5), np.ones((1, 7), bool), (0, 1, 0, 7))
    assert halves.tolist() == [[[57, 44, 40, 0, 0, 0, 10]]]
    wide = wrapped_heights(
        frames, np.full((1, 7), 650), np.ones((1, 7), bool), (0, 1, 0, 7), maximum=400, dtype="uint16"
    )
    assert wide.tolist() == [[[0, 300, 40, 0, 0, 0, 10]]]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_heights_in_range_do_not_wrap(seed, minimum):
    random = np.random.default_rng(seed)
    floor, inside = random.integers(600, 700, (9, 8)), random.random((9, 8)) < 0.8
    frames = (floor - random.integers(0, 256, (2, 9, 8))).astype("u2")
    frames[random.random(frames.shape) < 0.1] = 0
    scene = frames, floor.astype("i2"), inside, (0, 9, 0, 8)
    np.testing.assert_array_equal(
        wrapped_heights(*scene, minimum=minimum), heights(*scene, minimum=minimum, maximum=120)
    )


@needs_opencv
def test_strict_sees_what_is_below_the_floor():
    frames, arena = flat(((20, 40), (30, 60)), height=-200)
    assert look_compat(frames, arena, Look())["flags"][0] & Seen.MISSING
    seen = look_compat(frames, arena, Look(), strict=True)
    assert (seen["x"][0], seen["y"][0]) == (44.5, 29.5)
    assert set(np.unique(cut_compat(frames, arena, Look(), seen, strict=True)["frames"])) >= {0, 56}


@needs_opencv
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("spatial", [(3,), (0,), (1,), (3, 5)])
def test_cleaning_is_that_of_the_default(dtype, spatial):
    frames = np.repeat(np.repeat(noise((3, 20, 25), dtype), 3, axis=1), 3, axis=2)
    for tail in Cleaning().tail, element(np.ones((5, 3))), element([[0, 1, 0], [1, 1, 1], [0, 1, 0]]):
        cleaning = Cleaning(spatial=spatial, tail=tail)
        np.testing.assert_array_equal(clean_compat(frames, cleaning), clean(frames, cleaning))


@needs_opencv
def test_elements_of_even_size_move_what_they_open():
    frames = np.zeros((1, 20, 20), "u1")
    frames[0, 5:15, 5:15] = 40
    cleaning = Cleaning(spatial=(0,), tail=element(np.ones((4, 4))))
    np.testing.assert_array_equal(clean(frames, cleaning), frames)
    np.testing.assert_array_equal(clean_compat(frames, cleaning), np.roll(frames, (1, 1), axis=(1, 2)))


@needs_opencv
def test_the_tail_is_opened_once_and_cables_stay():
    frames = np.repeat(np.repeat(noise((2, 20, 25)), 3, axis=1), 3, axis=2)
    once = clean_compat(frames, Cleaning())
    for given_ in {"tail_iterations": 0}, {"tail_iterations": 3}, {"cable_iterations": 2}:
        np.testing.assert_array_equal(clean_compat(frames, Cleaning(**given_)), once)
        assert (clean(frames, Cleaning(**given_)) != once).any()


@needs_opencv
def test_medians_that_opencv_does_not_make():
    with pytest.raises(RecordingError, match=r"spatial_filter_size=\[7\] was given for heights of type uint16"):
        clean_compat(noise((1, 20, 20), "uint16"), Cleaning(spatial=(7,)))
    clean_compat(noise((1, 20, 20)), Cleaning(spatial=(7,)))


@needs_opencv
@pytest.mark.parametrize("temporal", [(3,), (5,), (3, 5)])
def test_medians_over_time_take_nothing_beyond_the_ends(temporal):
    frames = np.repeat(np.repeat(noise((9, 6, 7)), 9, axis=1), 9, axis=2)
    plain = Cleaning(spatial=(0,), tail=element([[1]]))
    cleaning = Cleaning(spatial=(0,), tail=element([[1]]), temporal=temporal)
    expected = clean_compat(frames, plain)
    for size in temporal:
        rows = np.concatenate([np.zeros_like(expected[: size // 2]), expected, np.zeros_like(expected[: size // 2])])
        expected = np.array([np.median(rows[k : k + size], axis=0) for k in range(9)])
    whole = clean_compat(frames, cleaning)
    np.testing.assert_array_equal(whole, expected)
    halo = cleaning.halo
    for start in range(0, 9, 2):
        lead, trail = min(halo, start), min(halo, max(0, 9 - start - 2))
        part = clean_compat(frames[start - lead : start + 2 + trail], cleaning, lead=lead, trail=trail)
        np.testing.assert_array_equal(part, whole[start : start + 2])


@needs_opencv
def test_a_polygon_goes_through_the_middles_of_pixels():
    frames, arena = flat(((20, 40), (30, 71)))  # 20 x 41 pixels: a polygon of 19 x 40
    seen = look_compat(frames, arena, Look(cleaning=Cleaning(spatial=(0,), tail=element([[1]]))))[0]
    assert (seen["x"], seen["y"], abs(seen["orientation"])) == (50, 29.5, 0)
    assert seen["major"] == pytest.approx(4 * 40 / np.sqrt(12), rel=1e-12)
    assert seen["minor"] == pytest.approx(4 * 19 / np.sqrt(12), rel=1e-12)
    assert seen["flags"] == 0


@needs_opencv
def test_orientation_has_y_downwards():
    y, x = np.mgrid[:90, :100]
    for angle in (-1.2, -0.4, 0.3, 1.1):
        ahead = (x - 50) * np.cos(angle) - (y - 45) * np.sin(angle)
        across = (x - 50) * np.sin(angle) + (y - 45) * np.cos(angle)
        frames, arena = flat()
        frames[0][(ahead / 25) ** 2 + (across / 11) ** 2 < 1] = 600
        assert look_compat(frames, arena, Look())["orientation"][0] == pytest.approx(angle, abs=0.02)


@needs_opencv
def test_the_largest_polygon_is_the_animal_and_the_mask_keeps_everything():
    frames, arena = flat(((10, 30), (10, 40)), ((60, 80), (60, 99)), ((50, 59), (0, 9)))
    seen = look_compat(frames, arena, Look())
    assert (seen["x"][0], seen["y"][0]) == (79, 69.5)
    assert seen["flags"][0] == Seen.SEVERAL
    mask = see_compat(frames, arena, Look())[2]
    assert mask[0, 20, 20]
    assert mask[0, 70, 70]
    ring, arena = flat(((10, 60), (10, 60)))
    ring[0, 20:50, 20:50] = 650  # more pixels in the block beside, but a smaller polygon
    ring[0, 5:85, 65:95] = 610
    assert look_compat(ring, arena, Look())["x"][0] == pytest.approx(34.5)


@needs_opencv
def test_what_has_no_area_is_not_found():
    unclean = Look(cleaning=Cleaning(spatial=(0,), tail=element([[1]])))
    for things in [((20, 21), (30, 60))], [((20, 21), (30, 31))], []:
        seen = look_compat(*flat(*things), unclean)[0]
        assert seen["flags"] == Seen.MISSING
        assert all(np.isnan(seen[name]) for name in ("x", "y", "orientation", "major", "minor"))


@needs_opencv
def test_what_is_odd_is_said():
    frames, arena = flat(((0, 20), (30, 60)))
    assert look_compat(frames, arena, Look())["flags"].tolist() == [Seen.EDGE]
    frames, arena = flat(((20, 40), (30, 60)), ((60, 80), (30, 60)), height=200)
    assert look_compat(frames, arena, Look())["flags"].tolist() == [Seen.MISSING | Seen.HIGH]
    assert look_compat(frames * 0, arena, Look())["flags"].tolist() == [Seen.MISSING | Seen.EMPTY]


@needs_opencv
def test_it_is_near_what_the_default_sees(session):
    frames, arena, truth = session
    seen, default = look_compat(frames, arena, Look()), look(frames, arena, Look(), crops=False)
    lost = np.isnan(truth["area_px"]) | (truth["area_px"] == 0)
    assert (np.isnan(seen["x"]) == lost).all()
    assert (seen["flags"][lost] & Seen.MISSING).all()
    assert (seen["flags"] & Seen.EMPTY > 0).sum() == 1
    off = np.hypot(seen["x"] - default["x"], seen["y"] - default["y"])[~lost]
    assert 0 < off.max() < 0.25
    assert (np.abs(default["major"] / seen["major"] - 1.025)[~lost] < 0.025).all()  # of pixels: 2 to 3 % longer


@needs_opencv
@pytest.mark.parametrize("block", [1, 5, 24])
@pytest.mark.parametrize("temporal", [(0,), (3,)])
def test_blocks_are_the_whole(session, block, temporal):
    frames, arena, _ = session
    settings_ = Look(cleaning=Cleaning(temporal=temporal), crop_size=(40, 50))
    whole = look_compat(frames, arena, settings_)
    turns, _ = unwrap(whole["orientation"])
    final = whole.copy()
    final["orientation"] += np.pi * turns + np.pi * (np.arange(FRAMES) > 12)
    cut = cut_compat(frames, arena, settings_, final)
    assert cut["area"][:9].all()
    assert not cut["frames"][9:11].any()
    halo = settings_.cleaning.halo
    for start in range(0, FRAMES, block):
        stop = min(start + block, FRAMES)
        lead, trail = min(halo, start), min(halo, FRAMES - stop)
        part = frames[start - lead : stop + trail], arena, settings_
        assert look_compat(*part, lead=lead, trail=trail).tobytes() == whole[start:stop].tobytes()
        assert cut_compat(*part, final[start:stop], lead=lead, trail=trail).tobytes() == cut[start:stop].tobytes()


def by_integers(frame, x, y, turn, size):
    """The window, and its rotation in 1024ths and 32nds of a pixel, value by value."""
    rows, columns = size
    left, top = int(x - columns // 2), int(y - rows // 2)
    right = int(x - columns // 2 + np.ceil((x + (columns // 2 + 1)) - (x - columns // 2)) - 1)
    bottom = int(y - rows // 2 + np.ceil((y + (rows // 2 + 1)) - (y - rows // 2)) - 1)

    def value(i, j):
        i, j = i + top, j + left
        inside = top <= i < bottom and left <= j < right and 0 <= i < frame.shape[0] and 0 <= j < frame.shape[1]
        return int(frame[i, j]) if inside else 0

    (a, b, dx), (c, d, dy) = turn
    scale = 1 / (a * d - b * c)
    a, b, c, d = d * scale, -b * scale, -c * scale, a * scale
    dx, dy = -a * dx - b * dy, -c * dx - d * dy
    out = np.zeros(size, frame.dtype)
    for i, j in np.ndindex(*size):
        at_x = (round((b * i + dx) * 1024) + 16 + round(a * j * 1024)) >> 5
        at_y = (round((d * i + dy) * 1024) + 16 + round(c * j * 1024)) >> 5
        (column, p), (row, q) = divmod(at_x, 32), divmod(at_y, 32)
        above = (32 - p) * value(row, column) + p * value(row, column + 1)
        below = (32 - p) * value(row + 1, column) + p * value(row + 1, column + 1)
        out[i, j] = ((32 - q) * above + q * below + 512) >> 10
    return out


@needs_opencv
@settings(max_examples=40, deadline=None)
@given(
    st.floats(0, 40),
    st.floats(0, 50),
    st.floats(-9, 9),
    st.sampled_from([(16, 16), (17, 12), (9, 15)]),
)
def test_crops_are_windows_turned_in_fractions(x, y, angle, size):
    stacks = noise((1, 50, 40)), noise((1, 50, 40), seed=1), noise((1, 50, 40), seed=2) > 99
    made = crop_compat(*stacks, np.array([x]), np.array([y]), np.array([angle]), size)
    turn = opencv().getRotationMatrix2D((size[1] // 2, size[0] // 2), float(-np.rad2deg(angle)), 1)
    for stack, crop in zip(stacks, made, strict=True):
        assert crop.dtype == stack.dtype
        np.testing.assert_array_equal(crop[0], by_integers(stack[0].astype("u1"), x, y, turn.tolist(), size))


@needs_opencv
def test_crops_are_those_of_warp_affine():
    cv2 = opencv()
    if int(cv2.__version__.split(".")[0]) >= 5:
        pytest.skip("from version 5 on, OpenCV samples at exact positions")
    for dtype in "uint8", "uint16":
        frames = noise((1, 80, 80), dtype)
        for angle in np.linspace(-6, 6, 25):
            turn = cv2.getRotationMatrix2D((40, 40), -np.rad2deg(angle), 1)
            made = crop_compat(frames, frames, frames > 0, *np.array([[40.5], [40.5], [angle]]))[0][0]
            window = compatcrop._cut(frames[0], *[compatcrop._window(40.5, 80)] * 2)
            np.testing.assert_array_equal(made, cv2.warpAffine(window, turn, (80, 80)))


def test_some_windows_are_one_pixel_larger():
    centers = np.random.default_rng(0).uniform(40, 400, 500)
    widths = {stop - start for start, stop in (compatcrop._window(center, 80) for center in centers)}
    assert widths == {80, 81}
    assert compatcrop._window(200.5, 80) == (160, 240)
    assert compatcrop._window(10.25, 80) == (-29, 50)  # towards 0


@needs_opencv
def test_no_position_no_crop():
    frames = np.full((4, 60, 60), 99, "u1")
    places = np.array([(30, 30, 0), (np.nan, 30, 0), (30, np.inf, 0), (30, 30, np.nan)], float).T
    for crop in crop_compat(frames, frames, frames > 0, *places):
        assert crop.any(axis=(1, 2)).tolist() == [True, False, False, False]


@needs_opencv
def test_thresholds_of_the_tracker_are_fixed():
    frames, arena = flat(((20, 40), (30, 60)), ((20, 40), (70, 90)))
    given_ = np.zeros(1, PARAMETERS)
    given_["mean"], given_["cov"] = (44.5, 29.5, 40), np.diag([90, 40, 60])
    likely = log_likelihood(given_, np.full((1, 90, 100), 40, "u1"))[0]
    assert ((likely > -20) & (likely < -16))[20:40, 30:90].any()
    settings_ = Look(threshold=-5.0, clip=-7.0, crop_size=(60, 60))
    seen = look_compat(frames, arena, settings_, tracked=given_)
    _raw, cleaned, mask = see_compat(frames, arena, settings_, tracked=given_)
    np.testing.assert_array_equal(mask[0], (cleaned[0] > 10) & (likely > compat.TRACKED))
    assert seen["x"][0] == pytest.approx(44.5, abs=3)
    cut = cut_compat(frames, arena, settings_, seen, tracked=given_)
    assert cut["mask"].dtype == np.float32
    expected = crop_likelihood(given_, seen["orientation"], cut["cleaned"], 10, -100.0, compat=True)
    np.testing.assert_array_equal(cut["mask"], expected)
    assert cut["mask"].min() == -100
