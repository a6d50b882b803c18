"""Cleaning against SciPy, OpenCV where it is installed, and the definition of a median."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from reelarray.depth.cleaning import Cleaning, clean, dilate, element, ellipse, erode, median, runs
from reelarray.errors import RecordingError

CROSS = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]


def noise(shape=(3, 24, 31), dtype="uint8", seed=0, filled=0.6):
    random = np.random.default_rng(seed)
    top = 255 if dtype == "uint8" else 60000
    frames = random.integers(1, top, shape).astype(dtype)
    frames[random.random(shape) > filled] = 0
    return frames


elements = st.tuples(st.integers(1, 6), st.integers(1, 7), st.integers(0, 2**32 - 1)).map(
    lambda drawn: np.random.default_rng(drawn[2]).random(drawn[:2]) < 0.6
)


def test_the_ellipse_of_nine():
    assert ellipse(9, 9).sum(axis=1).tolist() == [1, 7, 7, 9, 9, 9, 7, 7, 1]
    assert ellipse(1, 1).tolist() == [[True]]
    np.testing.assert_array_equal(ellipse(9, 9), ellipse(9, 9)[::-1, ::-1])


def test_ellipses_are_those_of_opencv():
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    for rows in range(1, 26):
        for columns in range(1, 26):
            expected = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (columns, rows)).astype(bool)
            np.testing.assert_array_equal(ellipse(rows, columns), expected, err_msg=f"{rows} x {columns}")


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("size", [0, 1, 3, 5, 7])
def test_medians_repeat_the_border(size, dtype):
    frames = noise(dtype=dtype)
    expected = ndimage.median_filter(frames, size=(1, size, size), mode="nearest") if size > 1 else frames
    np.testing.assert_array_equal(median(frames, size), expected)


@pytest.mark.parametrize("size", [3, 5, 9])
@pytest.mark.parametrize("place", [np.s_[0, 0, 0], np.s_[0, 3:12, 0:2], np.s_[0, 20:, 28:], np.s_[0, 10:13, 14:18]])
def test_medians_of_little_at_any_place(size, place):
    frames = np.zeros((2, 24, 31), "u1")
    frames[place] = 90
    expected = ndimage.median_filter(frames, size=(1, size, size), mode="nearest")
    np.testing.assert_array_equal(median(frames, size), expected)


@given(elements.filter(np.any))
@settings(deadline=None, max_examples=60)
def test_erosion_and_dilation_are_those_of_scipy_for_any_element(pixels):
    """An even element is anchored behind its middle; SciPy's erosion agrees, and its dilation turns the element."""
    frames, shape = noise(), element(pixels)
    rows, columns = pixels.shape
    eroded, dilated = np.full(frames.shape, 255), np.zeros(frames.shape, int)
    padded = np.pad(frames.astype(int), [(0, 0), (rows, rows), (columns, columns)], constant_values=-1)
    for y, x in zip(*np.nonzero(pixels), strict=True):
        dy, dx = y - rows // 2, x - columns // 2
        for sign, out, wins in (1, eroded, np.minimum), (-1, dilated, np.maximum):
            top, left = rows + sign * dy, columns + sign * dx
            part = padded[:, top : top + frames.shape[1], left : left + frames.shape[2]]
            out[:] = np.where(part < 0, out, wins(out, part))
    np.testing.assert_array_equal(erode(frames, shape), eroded)
    np.testing.assert_array_equal(dilate(frames, shape), dilated)
    opened = dilate(erode(frames, shape), shape)
    inner = np.s_[:, rows:-rows, columns:-columns]
    np.testing.assert_array_equal(opened[inner], ndimage.grey_opening(frames, footprint=pixels[None])[inner])
    assert (opened <= frames).all()


@pytest.mark.parametrize(("size", "iterations"), [((9, 9), 1), ((9, 9), 3), ((5, 11), 2), ((3, 3), 1)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_opening_is_that_of_opencv_to_the_border(size, iterations, dtype):
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    frames = noise((3, 40, 50), dtype, filled=0.98)
    frames[:, 5:30, 0:40] = np.maximum(frames[:, 5:30, 0:40], 90)
    pixels = ellipse(*size)
    cleaned = clean(frames, Cleaning(tail=element(pixels), tail_iterations=iterations))
    for frame, found in zip(frames, cleaned, strict=True):
        expected = cv2.medianBlur(frame, 3)
        expected = cv2.morphologyEx(expected, cv2.MORPH_OPEN, pixels.astype("u1"), iterations=iterations)
        np.testing.assert_array_equal(found, expected)
    assert cleaned.any()


def cable_over_a_body():
    frame = np.zeros((1, 60, 60), "u1")
    frame[0, 20:40, 15:45] = 50
    frame[0, :, 29:32] = 110  # three pixels wide, above all
    return frame


@pytest.mark.parametrize(("iterations", "rows", "columns"), [(0, 60, 30), (1, 16, 26), (3, 8, 18)])
def test_the_cable_filter_does_what_it_says(iterations, rows, columns):
    """A 5 x 5 erosion takes two pixels off each side, and any cable; without it the cable stays."""
    cleaning = Cleaning(spatial=(), tail_iterations=0, cable_iterations=iterations)
    left = clean(cable_over_a_body(), cleaning)[0]
    assert (int(left.any(axis=1).sum()), int(left.any(axis=0).sum())) == (rows, columns)
    assert (left.max() == 110) == (iterations == 0)


@pytest.mark.parametrize("iterations", [0, 1, 2])
def test_iterations_of_the_tail_filter_count(iterations):
    """Twice the opening by 9 x 9 removes what is thinner than 17 pixels."""
    frame = np.zeros((1, 60, 80), "u1")
    for width, x in (5, 5), (13, 20), (25, 45):
        frame[0, 10:50, x : x + width] = 40
    left = clean(frame, Cleaning(tail_iterations=iterations))[0]
    assert [bool(left[30, x + 2]) for x in (5, 20, 45)] == [iterations < 1, iterations < 2, True]


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("size", [3, 5])
def test_medians_over_time_take_the_frames_that_there_are(size, dtype):
    frames = noise((7, 5, 6), dtype, filled=0.9)
    found = clean(frames, Cleaning(spatial=(), tail_iterations=0, temporal=(size,)))
    assert found.dtype == dtype
    for i in range(7):
        window = frames[max(0, i - size // 2) : i + size // 2 + 1]
        np.testing.assert_array_equal(found[i], np.floor(np.median(window.astype("f8"), axis=0)))


@pytest.mark.parametrize("sizes", [(0,), (3,), (5,), (3, 5), (5, 3)])
def test_a_block_with_its_halo_is_a_part_of_the_whole(sizes):
    frames, cleaning = noise((17, 12, 13), filled=0.97), Cleaning(temporal=sizes, tail=element(CROSS))
    whole = clean(frames, cleaning)
    assert cleaning.halo == sum(size // 2 for size in sizes)
    for start, stop in (0, 4), (4, 9), (9, 10), (10, 17):
        lead, trail = min(cleaning.halo, start), min(cleaning.halo, 17 - stop)
        part = clean(frames[start - lead : stop + trail], cleaning, lead=lead, trail=trail)
        np.testing.assert_array_equal(part, whole[start:stop])


def test_settings_are_values():
    one, two = Cleaning(tail=ellipse(9, 9), spatial=[3]), Cleaning()
    assert one == two
    assert hash(one) == hash(two)
    assert pickle.loads(pickle.dumps(one)) == two
    assert Cleaning(spatial=5).spatial == (5,)


def test_elements_are_runs():
    assert runs(element([[1, 0, 1, 1]])) == ((0, -2, 1), (0, 0, 2))


@pytest.mark.parametrize(
    "wrong", [{"spatial": (4,)}, {"temporal": (-3,)}, {"tail": [[0, 0]]}, {"cable": [[1], [1, 1]]}]
)
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(RecordingError, match=next(iter(wrong))):
        Cleaning(**wrong)
