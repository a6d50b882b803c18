"""Candidates for the arena: ranked, widened as OpenCV does, put in order, and listed where the wanted one is not."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from reelarray.depth.regions import (
    Choice,
    bounding_box,
    candidates,
    chosen,
    element,
    gentle,
    given,
    narrow,
    shaped,
    widen,
)
from reelarray.errors import RecordingError

PLAIN = Choice(dilate_iterations=0, fill_holes=False, smallest=0)


def picture(*boxes: tuple[int, int, int, int], shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    out = np.zeros(shape, bool)
    for y0, y1, x0, x1 in boxes:
        out[y0:y1, x0:x1] = True
    return out


def test_facts_of_a_region():
    floor = picture((10, 20, 30, 50))
    floor[10:15, 30:40] = False
    found = candidates(floor, PLAIN)
    assert found.total == 1
    assert found.area.tolist() == [150]
    assert found.extent.tolist() == [0.75]
    assert found.distance[0] == np.hypot(19.5, 9.5)  # row 10 and column 49; the middle is at 29.5, 39.5
    assert found.row[0] == np.nonzero(floor)[0].mean()


def test_corners_connect():
    floor = np.zeros((8, 8), bool)
    floor[2, 2] = floor[3, 3] = floor[4, 2] = True
    floor[7, 7] = True
    assert sorted(candidates(floor, PLAIN).area.tolist()) == [1, 3]


def test_the_score_is_the_mean_of_weighted_ranks_and_ties_take_the_highest():
    boxes = (5, 15, 30, 40), (20, 30, 30, 40), (45, 50, 70, 78)  # areas 100, 100, 40; all of extent 1
    found = candidates(picture(*boxes), PLAIN)
    # ranks of area: 2, 2, 3; of extent: 3, 3, 3; of distance: 2, 1, 3; weights 1, 0.1, 1
    np.testing.assert_allclose(found.score, [(2 + 0.3 + 1) / 3, (2 + 0.3 + 2) / 3, (3 + 0.3 + 3) / 3])
    assert found.row.round().tolist() == [24, 10, 47] or found.row.tolist() == [24.5, 9.5, 47.0]


def test_weights_decide():
    large_far, small_near = (0, 30, 0, 20), (27, 33, 37, 43)
    floor = picture(large_far, small_near)
    assert candidates(floor, replace(PLAIN, weights=(10, 0.1, 1))).area.tolist() == [600, 36]
    assert candidates(floor, replace(PLAIN, weights=(1, 0.1, 10))).area.tolist() == [36, 600]


def test_a_speck_in_the_middle_is_no_arena():
    specks = (28, 32, 38, 42), (29, 31, 30, 31), (29, 31, 48, 49)
    floor = picture((0, 25, 0, 80), *specks)
    assert candidates(floor, PLAIN).area[0] == 16  # by ranks alone
    found = candidates(floor, replace(PLAIN, smallest=0.01))
    assert found.area.tolist() == [2000]
    assert found.total == 1


def test_few_of_many_keep_their_masks():
    floor = np.zeros((60, 80), bool)
    floor[::3, ::3] = True
    found = candidates(floor, PLAIN, keep=5)
    assert found.total == 20 * 27
    assert len(found.masks) == len(found.area) == len(found.score) == 5
    assert "and 535 smaller or worse ones" in found.listed()


def test_one_pixel_becomes_the_element_turned_round_its_anchor():
    floor = picture((20, 21, 30, 31))
    wide = widen(floor, element("ellipse", (10, 10)), 1)
    assert bounding_box(wide) == (16, 26, 26, 35) or bounding_box(wide) == (16, 26, 26, 36)
    assert wide.sum() == element("ellipse", (10, 10)).sum()
    assert wide[20, 30]
    assert np.array_equal(wide[16:26, 26:36], element("ellipse", (10, 10))[::-1, ::-1])


@pytest.mark.parametrize("size", [(10, 10), (9, 9), (1, 1), (5, 3), (4, 7), (2, 2), (3, 8)])
@pytest.mark.parametrize("shape", ["ellipse", "rectangle"])
@pytest.mark.parametrize("times", [0, 1, 2, 3])
def test_widened_and_narrowed_as_opencv_does(size, shape, times):
    cv2 = pytest.importorskip("cv2")
    kind = {"ellipse": cv2.MORPH_ELLIPSE, "rectangle": cv2.MORPH_RECT}[shape]
    theirs = cv2.getStructuringElement(kind, size)
    assert np.array_equal(element(shape, size), theirs > 0)
    few = np.random.default_rng(0).random((50, 60)) < 0.03
    few[:2, :5] = True
    wanted = cv2.dilate(few.astype("u1"), theirs, iterations=times) > 0
    assert np.array_equal(widen(few, element(shape, size), times), wanted)
    wanted = cv2.erode((~few).astype("u1"), theirs, iterations=times) > 0
    assert np.array_equal(narrow(~few, element(shape, size), times), wanted)


def test_holes_are_filled_if_asked():
    ring = picture((10, 50, 10, 70)) & ~picture((20, 40, 30, 50))
    assert candidates(ring, replace(PLAIN, fill_holes=True)).masks.sum() == 40 * 60
    assert candidates(ring, PLAIN).masks.sum() == 40 * 60 - 400


def test_iterations_and_erosion_take_effect():
    floor = picture((20, 40, 20, 60))
    one, two = (shaped(floor, Choice(dilate_iterations=n)).sum() for n in (1, 2))
    assert 800 < one < two
    assert (
        shaped(floor, Choice(dilate_iterations=0, erode=(3, 3), shape="rectangle", erode_iterations=2)).sum() == 16 * 36
    )


def test_found_keeps_the_regions_before_they_were_widened():
    floor = picture((20, 40, 20, 60))
    found = candidates(floor, Choice())
    assert np.array_equal(found.found[0], floor)
    assert found.masks[0].sum() > floor.sum()


def test_from_top_to_bottom():
    low, high, small = (40, 58, 10, 60), (2, 16, 10, 60), (20, 22, 60, 78)
    floor = picture(low, high, small)
    plain = candidates(floor, replace(PLAIN, weights=(10, 0.1, 1)))
    assert plain.row.tolist() == [48.5, 8.5, 20.5]
    sorted_two = candidates(floor, replace(PLAIN, weights=(10, 0.1, 1), by_position=True))
    assert sorted_two.row.tolist() == [8.5, 48.5]
    assert sorted_two.total == 2
    three = candidates(floor, replace(PLAIN, weights=(10, 0.1, 1), by_position=True, most=3))
    assert three.row.tolist() == [8.5, 20.5, 48.5]


def test_the_one_that_overlaps_most_is_left_out():
    first, second = (5, 25, 10, 60), (35, 55, 10, 60)
    floor = picture(first, second)
    left = candidates(floor, PLAIN, overlap=picture((20, 40, 10, 60)) & ~picture((20, 22, 0, 80)))
    assert left.row.tolist() == [14.5]
    assert left.total == 1
    assert candidates(floor, PLAIN, overlap=picture((0, 2, 0, 2))).total == 2
    with pytest.raises(RecordingError, match=r"only candidate .* overlap_roi"):
        candidates(picture(first), PLAIN, overlap=picture(first))


def test_an_index_out_of_range_lists_all():
    found = candidates(picture((5, 15, 30, 40), (45, 50, 70, 78)), PLAIN)
    with pytest.raises(RecordingError) as error:
        chosen(found, 2)
    for said in ("bg_roi_index=2", "2 candidates", "0: area 100 px, extent 1.00", "1: area 40 px", "distance 42 px"):
        assert said in str(error.value)


def test_of_several_indices_the_first_there_is():
    found = candidates(picture((5, 15, 30, 40), (45, 50, 70, 78)), PLAIN)
    assert [chosen(found, index) for index in (0, [5, 1], (7, 0, 1))] == [0, 1, 0]
    with pytest.raises(RecordingError, match="2 candidates"):
        chosen(found, (2, 3))


def test_a_tiny_arena_is_said(caplog):
    found = candidates(picture((0, 25, 0, 80), (40, 50, 40, 50)), replace(PLAIN, smallest=0.01))
    index = int(found.area.argmin())
    with caplog.at_level(logging.WARNING):
        chosen(found, 1 - index)
        assert not caplog.records
        chosen(found, index)
    assert "has 100 px, another has 2000" in caplog.text


def test_no_floor():
    with pytest.raises(RecordingError, match=r"no pixel lies on the floor.*noise_tolerance"):
        candidates(np.zeros((5, 5), bool), Choice())


def test_boxes_include_their_last_pixel_but_in_compat():
    mask = picture((10, 50, 20, 70))
    assert bounding_box(mask) == (10, 50, 20, 70)
    assert bounding_box(mask, compat=True) == (10, 49, 20, 69)
    with pytest.raises(RecordingError, match="erode_iterations"):
        bounding_box(np.zeros((4, 4), bool))
    with pytest.raises(RecordingError, match="no pixel"):
        bounding_box(picture((3, 4, 3, 9)), compat=True)


def test_an_arena_given_is_the_only_candidate():
    mask = picture((10, 20, 30, 50))
    one = given(mask)
    ranked = candidates(mask, PLAIN)
    for name in ("area", "extent", "distance", "row"):
        assert getattr(one, name).tolist() == getattr(ranked, name).tolist()
    assert np.array_equal(one.masks, mask[None])
    assert one.total == 1


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_gradients_are_those_of_sobel(kernel):
    cv2 = pytest.importorskip("cv2")
    depth = np.random.default_rng(0).normal(700, 3, (40, 50))
    both = [np.abs(cv2.Sobel(depth, cv2.CV_64F, *d, ksize=kernel)) for d in ((1, 0), (0, 1))]
    limit = float(np.median(both))
    found = gentle(depth, threshold=limit, kernel=kernel)
    assert np.array_equal(found, (both[0] < limit) & (both[1] < limit))
    assert 0.1 < found.mean() < 0.5


def test_a_gradient_of_3000_is_a_millimetre_and_a_half():
    slope = np.broadcast_to(700 + np.arange(30.0), (30, 30))
    middle = (slice(10, 20), slice(10, 20))
    assert gentle(1.46 * slope)[middle].all()
    assert not gentle(1.47 * slope)[middle].any()
    assert gentle(1.46 * slope.T)[middle].all()
    assert not gentle(1.47 * slope.T)[middle].any()
