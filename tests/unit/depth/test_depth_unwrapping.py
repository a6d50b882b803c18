"""Half turns of main axes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reelarray.depth.unwrapping import START, unwrap


def wrapped(angle: np.ndarray) -> np.ndarray:
    """Modulo pi, in (-pi/2, pi/2]."""
    return np.pi / 2 - (np.pi / 2 - angle) % np.pi


def test_an_axis_that_turns_many_times_is_found_again() -> None:
    angle = np.cumsum(np.random.default_rng(0).uniform(-1.5, 1.5, 5000))
    angle -= angle[0]
    turns, carry = unwrap(wrapped(angle))
    np.testing.assert_allclose(wrapped(angle) + np.pi * turns, angle, atol=1e-9)
    assert carry == (wrapped(angle)[-1], turns[-1])
    assert turns.dtype == np.int64
    assert np.ptp(turns) > 10


def test_equal_to_numpy_over_valid_frames() -> None:
    random = np.random.default_rng(1)
    orientation = wrapped(random.uniform(-np.pi / 2, np.pi / 2, 3000))
    orientation[random.random(3000) < 0.3] = math.nan
    valid = ~np.isnan(orientation)
    turns, _ = unwrap(orientation)
    expected = np.unwrap(2 * orientation[valid]) / 2
    np.testing.assert_allclose((orientation + np.pi * turns)[valid], expected, atol=1e-9, rtol=0)


def test_frames_without_an_axis_keep_the_half_turns_before_them() -> None:
    nan = math.nan
    turns, carry = unwrap(np.array([nan, 1.5, nan, -1.5, nan, nan]), START)
    assert turns.tolist() == [0, 0, 0, 1, 1, 1]
    assert carry == (-1.5, 1)


@pytest.mark.parametrize("rows", [0, 3])
def test_nothing_found_hands_the_carry_on(rows: int) -> None:
    turns, carry = unwrap(np.full(rows, math.nan), (1.5, 4))
    assert turns.tolist() == [4] * rows
    assert carry == (1.5, 4)
    assert unwrap(np.array([-1.5]), carry)[0].tolist() == [5]


def test_a_quarter_turn_is_left_as_it_is() -> None:
    quarter = np.pi / 2
    assert unwrap(np.array([0.0, quarter, 0.0]))[0].tolist() == [0, 0, 0]


def test_equal_to_the_reference(shared) -> None:
    with np.load(shared / "data/golden/depth/golden200.npz", allow_pickle=False) as file:
        raw, expected = file["feat_raw_orientation"], file["feat_orientation"]
    turns, _ = unwrap(raw)
    assert turns.any()
    np.testing.assert_allclose(raw + np.pi * turns, expected, atol=1e-9, rtol=0)
