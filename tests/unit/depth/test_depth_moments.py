"""Features of masks against closed forms, and against moments of the pixels in exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelarray.depth.moments import features, sums


@pytest.mark.parametrize(("width", "height", "x", "y"), [(11, 5, 3, 2), (4, 12, 0, 0), (1, 7, 20, 5), (9, 2, 11, 28)])
def test_a_rectangle(width, height, x, y):
    """Variance of n equal steps: (n^2 - 1) / 12."""
    frame = np.zeros((1, 30, 30), bool)
    frame[0, y : y + height, x : x + width] = True
    found = features(frame)[0]
    assert (found["x"], found["y"]) == (x + (width - 1) / 2, y + (height - 1) / 2)
    lengths = sorted(4 * math.sqrt((n * n - 1) / 12) for n in (width, height))
    np.testing.assert_allclose([found["minor"], found["major"]], lengths, rtol=1e-14, atol=1e-6)
    assert found["orientation"] == (0 if width > height else math.pi / 2)


@pytest.mark.parametrize("degrees", [-80, -45, -10, 0, 20, 45, 89])
def test_an_ellipse_that_is_turned(degrees):
    """y points down: what rises to the right in the picture has a positive orientation. Axes of an ellipse: 2a, 2b."""
    y, x = np.mgrid[:400, :500].astype("f8")
    angle = math.radians(degrees)
    u = (x - 240.3) * math.cos(angle) - (y - 210.6) * math.sin(angle)
    v = (x - 240.3) * math.sin(angle) + (y - 210.6) * math.cos(angle)
    found = features(((u / 120) ** 2 + (v / 60) ** 2 <= 1)[None])[0]
    assert abs(found["x"] - 240.3) < 0.06  # rounding of about 600 pixels at the border
    assert abs(found["y"] - 210.6) < 0.06  # rounding of about 600 pixels at the border
    assert abs(found["orientation"] - angle) < 1e-3
    assert found["major"] == pytest.approx(240, rel=1e-3)
    assert found["minor"] == pytest.approx(120, rel=1e-3)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.9))
@settings(deadline=None, max_examples=60)
def test_any_pixels(seed, filled):
    frame = np.random.default_rng(seed).random((8, 9)) < filled
    frame[3, 4] = True
    y, x = (axis.tolist() for axis in np.nonzero(frame))
    count = len(x)
    mean = Fraction(sum(x), count), Fraction(sum(y), count)
    xx = sum((a - mean[0]) ** 2 for a in x)
    yy = sum((b - mean[1]) ** 2 for b in y)
    xy = sum((a - mean[0]) * (b - mean[1]) for a, b in zip(x, y, strict=True))
    found = features(frame[None])[0]
    assert (found["x"], found["y"]) == (float(mean[0]), float(mean[1]))
    root = math.sqrt(4 * xy**2 + (xx - yy) ** 2)
    for name, sign in ("major", 1), ("minor", -1):
        expected = 2 * math.sqrt(2) * math.sqrt(max(0.0, float(xx + yy) + sign * root) / count)
        assert found[name] == pytest.approx(expected, rel=1e-12, abs=1e-6)
    if xy or xx != yy:
        expected = -0.5 * math.atan2(2 * xy, xx - yy)
        assert math.cos(2 * (found["orientation"] - expected)) == pytest.approx(1, abs=1e-14)
    assert -math.pi / 2 < found["orientation"] <= math.pi / 2


def test_nothing_found_is_no_number():
    found = features(np.zeros((2, 5, 6), bool))
    assert all(np.isnan(found[name]).all() for name in ("x", "y", "orientation", "major", "minor"))
    assert features(np.zeros((0, 5, 6), bool)).shape == (0,)


def test_sums_are_exact_in_large_arenas():
    frame = np.ones((1, 1200, 1300), bool)
    n, x, y = 1200 * 1300, 1300 * 1299 // 2, 1200 * 1199 // 2
    assert sums(frame)[0].tolist() == [
        n, x * 1200, y * 1300, 1200 * sum(i * i for i in range(1300)), x * y, 1300 * sum(i * i for i in range(1200))
    ]  # fmt: skip
    found = features(frame)[0]
    assert found["major"] == pytest.approx(4 * math.sqrt((1300**2 - 1) / 12), rel=1e-14)
    assert found["minor"] == pytest.approx(4 * math.sqrt((1200**2 - 1) / 12), rel=1e-13)
