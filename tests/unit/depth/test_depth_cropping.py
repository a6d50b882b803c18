"""Crops against fractions, SciPy and their own symmetry; the compiled ones against the plain ones, to the bit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from reelarray.depth.cropping import BITS, crop, half_turn, pixels, placements, sample
from reelarray.signal.engines import installed

positions = st.floats(-15, 35)
angles = st.floats(-7, 7)
sizes = st.tuples(st.integers(1, 13), st.integers(1, 13))


def noise(shape=(1, 20, 17), dtype="uint8", seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def by_fractions(frame, place, size):
    """The bilinear value of each pixel, with no rounding but the last."""
    at_x, at_y = pixels(place, size)
    out = np.zeros(size, frame.dtype)
    for index in np.ndindex(*size):
        x, y = (Fraction(int(at[index]), 1 << BITS) for at in (at_x, at_y))
        total = Fraction(0)
        for row in (y.__floor__(), y.__floor__() + 1):
            for column in (x.__floor__(), x.__floor__() + 1):
                if 0 <= row < frame.shape[0] and 0 <= column < frame.shape[1]:
                    total += (1 - abs(x - column)) * (1 - abs(y - row)) * int(frame[row, column])
        out[index] = round(total)  # of fractions: from halves to the even one
    return out


@settings(max_examples=60, deadline=None)
@given(positions, positions, angles, sizes, st.sampled_from(["uint8", "uint16"]))
def test_values_are_exact(x, y, angle, size, dtype):
    frames = noise(dtype=dtype)
    place = placements(x, y, angle)
    np.testing.assert_array_equal(crop(frames, x, y, angle, size)[0], by_fractions(frames[0], place[0], size))


@pytest.mark.parametrize("size", [(80, 80), (81, 80), (7, 120), (9, 9)])
@pytest.mark.parametrize("nearest", [False, True])
def test_positions_are_those_of_a_rotation(size, nearest):
    frames, (x, y, angle) = noise((1, 150, 170)), (81.37, 70.91, 0.83)
    v, u = np.mgrid[: size[0], : size[1]] - (np.array(size)[:, None, None] - 1) / 2
    at_x, at_y = x + u * np.cos(angle) + v * np.sin(angle), y - u * np.sin(angle) + v * np.cos(angle)
    made = crop(frames, [x], [y], [angle], size, nearest=nearest)[0].astype(float)
    if nearest:
        np.testing.assert_array_equal(made, frames[0][np.rint(at_y).astype(int), np.rint(at_x).astype(int)])
    else:
        ideal = ndimage.map_coordinates(frames[0].astype(float), [at_y, at_x], order=1)
        assert abs(made - ideal).max() < 0.51  # half a unit of rounding, and 2^-16 px of position
        assert abs(made - ideal).max() > 0.4


def test_the_main_axis_lies_along_the_columns():
    y, x = np.mgrid[:90, :100]
    for angle in np.linspace(-3, 3, 13):
        ahead = (x - 50.3) * np.cos(angle) - (y - 41.6) * np.sin(angle)  # the direction in the image is (cos, -sin)
        across = (x - 50.3) * np.sin(angle) + (y - 41.6) * np.cos(angle)
        body = (ahead / 24) ** 2 + (across / 9) ** 2 < 1
        heights = np.stack([60 * body, (60 + ahead) * body]).astype("u1")
        place = np.array([x[body].mean(), y[body].mean(), angle])
        flat, rising = crop(heights, *np.stack([place, place], axis=1), (60, 80)).astype(float)
        rows, columns = np.mgrid[:60, :80] - np.array([29.5, 39.5])[:, None, None]
        assert np.average(columns, weights=flat) == pytest.approx(0, abs=0.02)
        assert np.average(rows, weights=flat) == pytest.approx(0, abs=0.02)
        assert np.average(columns**2, weights=flat) == pytest.approx(12**2, rel=0.02)
        assert np.average(rows**2, weights=flat) == pytest.approx(4.5**2, rel=0.04)
        assert rising[29:31, 55:58].mean() > rising[29:31, 22:25].mean() + 20  # the head is on the right


def test_quarter_turns_move_whole_pixels():
    frame = noise((1, 12, 12))
    middle = [5.5], [5.5]
    for turns in range(-4, 5):
        expected = np.rot90(frame[0], -turns)  # an axis that points up comes to lie to the right
        np.testing.assert_array_equal(crop(frame, *middle, [turns * np.pi / 2], (12, 12))[0], expected)


@settings(max_examples=100, deadline=None)
@given(positions, positions, st.floats(-np.pi / 2, np.pi / 2), sizes, st.booleans(), st.integers(-3, 3))
def test_a_half_turn_is_the_opposite_orientation(x, y, angle, size, nearest, turns):
    frames = noise(dtype="uint16")
    one = crop(frames, x, y, angle, size, nearest=nearest)
    other = crop(frames, x, y, angle + turns * np.pi, size, nearest=nearest)
    np.testing.assert_array_equal(half_turn(one, [turns % 2 == 1]), other)


def test_half_turns_of_some():
    crops = noise((3, 4, 5))
    turned = half_turn(crops, [True, False, True])
    np.testing.assert_array_equal(turned[0], crops[0, ::-1, ::-1])
    np.testing.assert_array_equal(turned[1], crops[1])
    np.testing.assert_array_equal(half_turn(turned, np.array([True, False, True])), crops)


def test_halves_go_to_the_even_integer():
    frame = np.array([[[0, 1, 2, 3, 4]]], "u1")
    for column, expected in zip(range(4), [0, 2, 2, 4], strict=True):
        assert crop(frame, [column + 0.5], [0], [0], (1, 1))[0, 0, 0] == expected


def test_the_largest_values_stay():
    frame = np.full((1, 30, 30), 65535, "u2")
    assert (crop(frame, [14.2], [15.7], [0.3], (8, 8)) == 65535).all()
    assert crop(frame, [14.2], [15.7], [0.3], (8, 8), dtype="uint32").dtype == np.uint32


def test_outside_there_is_nothing():
    frames = np.full((1, 10, 10), 200, "u1")
    border = crop(frames, [0], [4.5], [0], (2, 5))[0]
    np.testing.assert_array_equal(border, [[0, 0, 200, 200, 200]] * 2)
    np.testing.assert_array_equal(crop(frames, [-0.5], [4.5], [0], (2, 1))[0, :, 0], [100, 100])  # half a pixel of it
    for x, y in [(-50, 5), (5, 70), (70, -50), (1e7, 5), (5, -1e300)]:
        assert not crop(frames, [x], [y], [0.4], (6, 6)).any()


@pytest.mark.parametrize("lost", [(np.nan, 5, 0), (5, np.nan, 0), (5, 5, np.nan), (np.inf, 5, 0), (5, -np.inf, 0)])
def test_no_position_gives_zeros_and_no_warning(lost):
    frames = np.full((3, 10, 10), 9, "u1")
    places = np.array([(5, 5, 0), lost, (5, 5, 0)], float).T
    with np.errstate(all="raise"):
        made = crop(frames, *places, (4, 4))
    assert made.any(axis=(1, 2)).tolist() == [True, False, True]


def test_crops_that_are_not_turned():
    frames = noise((2, 40, 50))
    made = crop(frames, [20, 25], [19, 22], [np.nan, 1.3], (9, 11), rotate=False)
    np.testing.assert_array_equal(made[0], frames[0, 15:24, 15:26])
    np.testing.assert_array_equal(made[1], frames[1, 18:27, 20:31])


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_frames_do_not_know_of_each_other(block, seed):
    random = np.random.default_rng(seed)
    frames, places = noise((6, 20, 17), seed=seed), random.uniform(-3, 20, (3, 6))
    whole = crop(frames, *places, (8, 9))
    parts = [crop(frames[k : k + block], *places[:, k : k + block], (8, 9)) for k in range(0, 6, block)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.skipif(not installed(), reason="numba and rocket-fft are not installed")
@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(positions, positions, angles), min_size=1, max_size=4),
    sizes,
    st.sampled_from(["uint8", "uint16"]),
)
def test_compiled_crops_are_the_same(places, size, dtype):
    from reelarray.depth import compiledcrops

    shape = len(places), 20, 17
    stacks = noise(shape, dtype, 1), noise(shape, dtype, 2), noise(shape, "uint8", 3) > 120
    at = placements(*np.array([*places[:-1], (np.nan, 0, 0)]).T)
    plain, compiled = ([np.full((len(places), *size), 7, stack.dtype) for stack in stacks] for _ in range(2))
    sample(stacks, plain, at, nearest=[False, False, True])
    compiledcrops.sample(*stacks, at, *compiled)
    for one, other in zip(plain, compiled, strict=True):
        np.testing.assert_array_equal(one, other)
        assert not one[-1].any()
