"""The floor: where it is sought, the plane among outliers, equal for equal seeds, and what is told if there is none."""

from __future__ import annotations

import numpy as np
import pytest

from reelarray.depth.floor import Plane, depth_range, find_plane, heights_of, middle_depth, within
from reelarray.errors import RecordingError

SHAPE = (120, 160)
TRUE = Plane(0.05, -0.03, -1.0, 670.0)


def scene(noise: float = 1.0, outliers: float = 0.0, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    depth = heights_of(TRUE, SHAPE) + random.normal(0, noise, SHAPE)
    wild = random.random(SHAPE) < outliers
    depth[wild] -= random.uniform(80, 300, wild.sum())
    return depth


@pytest.mark.parametrize("outliers", [0.0, 0.2, 0.45, 0.7])
def test_the_plane_is_that_of_most_pixels(outliers):
    depth = scene(outliers=outliers)
    found = find_plane(depth, depth > 0)
    assert found.c == -1
    assert found[:2] == pytest.approx(TRUE[:2], abs=5e-4)
    assert found.d == pytest.approx(670, abs=0.05)


def test_walls_within_the_tolerance_do_not_lift_it():
    depth = scene()
    depth[:, :6] -= 12.0 * np.arange(6, 0, -1)
    found = find_plane(depth, depth > 0)
    assert found[:2] == pytest.approx(TRUE[:2], abs=1e-3)
    assert found.d == pytest.approx(670, abs=0.15)


def test_equal_seeds_give_equal_planes_and_others_nearly_so():
    depth = scene(noise=3, outliers=0.3)
    first, again, other = (find_plane(depth, depth > 0, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first[:2] == pytest.approx(other[:2], abs=2e-3)


def test_more_pixels_than_are_tried_make_the_same_plane():
    y, x = np.ogrid[:400, :400]
    depth = 700 + 0.02 * x - 0.04 * y
    found = find_plane(depth, np.ones(depth.shape, bool))
    np.testing.assert_allclose(found, (0.02, -0.04, -1, 700), atol=1e-9)


def test_a_small_candidate_set_is_enough():
    allowed = np.zeros(SHAPE, bool)
    allowed[:3, :4] = True
    assert find_plane(scene(noise=0), allowed) == pytest.approx(TRUE)
    allowed[0, :2] = False
    with pytest.raises(RecordingError, match="among 10 pixels; more than 10"):
        find_plane(scene(), allowed)


def test_no_plane_names_the_best_share():
    depth = np.random.default_rng(0).uniform(0, 5000, SHAPE)
    with pytest.raises(
        RecordingError, match=r"best of 1000 holds \d\.\d% of 19200 pixels within 30 mm.*noise_tolerance"
    ):
        find_plane(depth, depth > 0)


def test_a_wall_is_no_floor():
    x = np.arange(SHAPE[1]) * np.ones(SHAPE)
    with pytest.raises(RecordingError, match="no plane was found"):
        find_plane(600 + 12.0 * x, np.ones(SHAPE, bool))


def test_pixels_on_a_line_span_no_plane():
    allowed = np.zeros(SHAPE, bool)
    allowed[7] = True
    with pytest.raises(RecordingError, match=r"holds 0.0% of 160"):
        find_plane(scene(), allowed)


def test_the_range_lies_round_the_middle_and_one_lost_pixel_does_not_matter():
    depth = scene(noise=0)
    middle = np.median(depth[54:66, 74:86])
    assert np.mean(depth_range(depth)) == pytest.approx(middle, abs=1)
    lost = depth.copy()
    y, x = 60, 80
    lost[y - 1 : y + 1, x - 1 : x + 1] = 0
    assert depth_range(lost, compat=True) == (-50, 50)  # the defect, which compat keeps
    assert depth_range(lost) == pytest.approx(depth_range(depth), abs=0.5)
    with pytest.raises(RecordingError, match=r"between -50 and 50 mm.*most pixels lie at 670 to 680 mm"):
        within(np.where(lost > 0, lost.round() // 10 * 10 + 5, 100), (-50, 50))


def test_a_hole_larger_than_the_window_falls_back_on_what_is_round_it():
    depth = scene(noise=0)
    depth[50:71, 70:91] = 0
    assert np.mean(depth_range(depth)) == pytest.approx(671, abs=5)


def test_an_animal_that_rests_in_the_middle_is_not_taken_for_the_floor():
    depth = scene(noise=0)
    floor = depth_range(depth)
    depth[53:68, 66:96] -= 60
    assert depth_range(depth) == pytest.approx(floor, abs=3)
    assert depth_range(depth, compat=True) == pytest.approx(np.array(floor) - 60, abs=3)


def test_a_small_arena_in_a_deep_room_keeps_its_own_depth():
    depth = np.full(SHAPE, 1000.0)
    depth[54:67, 72:90] = 700
    assert depth_range(depth) == (650, 750)


def test_nothing_returns():
    with pytest.raises(RecordingError, match=r"no pixel of the background has a return.*background="):
        depth_range(np.zeros(SHAPE))
    with pytest.raises(RecordingError, match="no pixel has a return"):
        within(np.zeros(SHAPE), (600, 700))
    with pytest.raises(RecordingError, match="no pixel of the arena has a return"):
        middle_depth(np.zeros(SHAPE), np.ones(SHAPE, bool))


def test_a_range_is_strict():
    assert within(np.array([[600.0, 650.0, 700.0]]), (600, 700)).tolist() == [[False, True, False]]


def test_the_true_depth_is_the_median_of_what_returns():
    depth = np.array([[0.0, 670.0, 675.0, 9.0]])
    assert middle_depth(depth, np.array([[True, True, True, False]])) == 672.5
