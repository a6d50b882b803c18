"""Heights above the floor: each pixel against the rule, in integers that cannot wrap."""

from __future__ import annotations

import numpy as np
import pytest

from reelarray.depth.heights import above, heights
from reelarray.errors import RecordingError


def by_the_rule(frames, floor, inside, box, minimum, maximum):
    y0, y1, x0, x1 = box
    out = np.zeros((len(frames), y1 - y0, x1 - x0), "i8")
    for n, y, x in np.ndindex(out.shape):
        raw = int(frames[n, y0 + y, x0 + x])
        if raw and inside[y, x] and np.isfinite(floor[y, x]) and floor[y, x] > 0:
            height = int(np.floor(floor[y, x])) - raw
            out[n, y, x] = height if minimum <= height <= maximum else 0
    return out


@pytest.mark.parametrize(("dtype", "maximum"), [("uint8", 120), ("uint8", 255), ("uint16", 400)])
def test_every_pixel_follows_the_rule(dtype, maximum):
    random = np.random.default_rng(1)
    frames = random.integers(200, 900, (4, 20, 30)).astype("u2")
    frames[random.random(frames.shape) < 0.1] = 0
    frames[0, 5, 5:9] = [65535, 40000, 32767, 32768]
    floor = random.uniform(600, 700, (12, 18))
    floor[0, :3] = [0, np.nan, 650.5]
    inside = random.random((12, 18)) < 0.9
    box = (3, 15, 4, 22)
    found = heights(frames, floor, inside, box, minimum=10, maximum=maximum, dtype=dtype)
    expected = by_the_rule(frames, floor, inside, box, 10, maximum)
    assert found.dtype == dtype
    assert expected.any()
    np.testing.assert_array_equal(found, expected)
    out = np.full_like(found, 7)
    assert heights(frames, floor, inside, box, maximum=maximum, out=out) is out
    np.testing.assert_array_equal(out, expected)


def test_nothing_wraps():
    """200 mm below the floor is 56 modulo 256, and 300 mm above it 44: neither is a height."""
    frames = np.array([[[850, 350, 65000, 600]]], "u2")
    found = heights(frames, np.full((1, 4), 650), np.ones((1, 4), bool), (0, 1, 0, 4))
    np.testing.assert_array_equal(found, [[[0, 0, 0, 50]]])


def test_a_floor_that_is_nearly_at_the_camera_wraps_neither():
    frames = np.array([[[65530, 10, 20]]], "u2")
    found = heights(frames, np.array([[50, 50, 0]], "i2"), np.ones((1, 3), bool), (0, 1, 0, 3))
    np.testing.assert_array_equal(found, [[[0, 40, 0]]])


def test_least_and_largest_height_are_kept():
    frames = np.array([[[640, 641, 530, 529, 650]]], "u2")
    floor, inside = np.full((1, 5), 650), np.ones((1, 5), bool)
    np.testing.assert_array_equal(heights(frames, floor, inside, (0, 1, 0, 5)), [[[10, 0, 120, 0, 0]]])
    np.testing.assert_array_equal(heights(frames, floor, inside, (0, 1, 0, 5), minimum=0), [[[10, 9, 120, 0, 0]]])


def test_what_is_too_high_is_counted_where_it_can_be_known():
    frames = np.array([[[500, 400, 0, 600, 300]], [[640, 640, 640, 640, 640]]], "u2")
    inside = np.array([[1, 1, 1, 1, 0]], bool)
    np.testing.assert_array_equal(above(frames, np.full((1, 5), 650.0), inside, (0, 1, 0, 5)), [2, 0])


@pytest.mark.parametrize(("minimum", "maximum"), [(10, 300), (50, 40), (-1, 100)])
def test_heights_that_do_not_fit_are_refused(minimum, maximum):
    with pytest.raises(RecordingError, match="frame_dtype='uint16'"):
        heights(np.zeros((1, 2, 2), "u2"), np.ones((2, 2)), np.ones((2, 2), bool), (0, 2, 0, 2),
                minimum=minimum, maximum=maximum)  # fmt: skip
