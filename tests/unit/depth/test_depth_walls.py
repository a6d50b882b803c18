"""Slanted walls: flat inside, falling outwards, and nothing made of pixels that never returned."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reelarray.depth.walls import graduate

SHAPE = (200, 240)
FLOOR = np.hypot(*np.ogrid[-100:100, -120:120]) < 60


def walls(**more: float) -> np.ndarray:
    return graduate(np.where(FLOOR, 680.0, 400.0), FLOOR, 680.0, **more)


def test_the_floor_stays_and_walls_fall_outwards():
    found = walls()
    assert found[100, 120] == pytest.approx(680, abs=1e-9)
    assert found.max() <= 680 + 1e-9
    outwards = found[100, 185:]
    assert (np.diff(outwards) <= 1e-9).all()
    assert outwards[-1] < outwards[0] - 50


def test_the_weight_at_a_pixel_by_hand():
    # The middle of the floor is (120, 100); the ellipse has its own at (118, 102), radii 118 + 67 and 102 + 67.
    x, y = 230 - 118, 100 - 102
    u, v = (
        math.cos(math.pi / 24) * x + math.sin(math.pi / 24) * y,
        math.cos(math.pi / 24) * y - math.sin(math.pi / 24) * x,
    )
    weight = 0.98 - (u / 185) ** 2 - (v / 169) ** 2
    assert walls()[100, 230] == pytest.approx(weight / 0.81 * 680, rel=2e-3)


def test_wider_walls_fall_more_slowly():
    assert walls(widen=40)[100, 230] > walls()[100, 230] + 20


def test_pixels_of_the_floor_without_a_return_stay_so_and_pull_nothing_down():
    depth = np.where(FLOOR, 680.0, 400.0)
    depth[95:105, 115:125] = 0
    found = graduate(depth, FLOOR, 680.0)
    assert (found[95:105, 115:125] == 0).all()
    assert found[94, 120] == pytest.approx(680, abs=1e-9)


def test_the_blur_is_that_of_opencv():
    cv2 = pytest.importorskip("cv2")
    blurred = walls()
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    c, s = math.cos(math.pi / 24), math.sin(math.pi / 24)
    rows, columns = np.nonzero(FLOOR)
    assert (columns.min() + columns.max()) / 2 - 2 == 118.0
    assert (rows.min() + rows.max()) / 2 + 2 == 102.0
    u, v = c * (x - 118) + s * (y - 102), c * (y - 102) - s * (x - 118)
    slanted = np.clip(0.98 - (u / 185) ** 2 - (v / 169) ** 2, 0, 0.81) / 0.81 * 680
    wanted = cv2.GaussianBlur(np.where(FLOOR, 680.0, slanted), (7, 7), 7)
    np.testing.assert_allclose(blurred, wanted, atol=1e-6)
