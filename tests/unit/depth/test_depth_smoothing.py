"""Smoothing: against the recursion as it is written, and the same bits wherever rows are cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reelarray.depth.smoothing import backward, fill, forward, nearest, seen, smooth, weights

ROWS = 23
numbers = st.floats(-1e3, 1e3) | st.just(np.nan)
tables = arrays(float, (ROWS, 2), elements=numbers)
shares = arrays(float, ROWS, elements=st.floats(0, 1) | st.sampled_from([0.0, 1.0]))
cuts = st.lists(st.integers(0, ROWS), max_size=5).map(sorted)


def blocks(at: list[int]) -> list[slice]:
    return [slice(a, b) for a, b in zip([0, *at], [*at, ROWS], strict=True)]


@given(values=arrays(float, ROWS, elements=st.floats(-1e3, 1e3)), weight=shares)
def test_it_is_the_recursion_as_it_is_written(values: np.ndarray, weight: np.ndarray) -> None:
    expected = values.copy()
    for t in range(1, ROWS):
        expected[t] = (1 - weight[t]) * expected[t - 1] + weight[t] * expected[t]
    for t in range(ROWS - 2, -1, -1):
        expected[t] = (1 - weight[t]) * expected[t + 1] + weight[t] * expected[t]
    np.testing.assert_allclose(smooth(values, weight), expected, rtol=1e-12, atol=1e-12)


@given(values=tables, weight=shares, at=cuts)
@settings(max_examples=50)
def test_passes_over_blocks_give_the_bits_of_the_whole(values: np.ndarray, weight: np.ndarray, at: list[int]) -> None:
    carry, made = None, []
    for part in blocks(at):
        rows, carry = forward(values[part], weight[part], carry)
        made.append(rows)
    whole, last = forward(values, weight)
    assert np.concatenate(made).tobytes() == whole.tobytes()
    np.testing.assert_array_equal(carry, last)
    carry, made = None, []
    for part in blocks(at)[::-1]:
        rows, carry = backward(values[part], weight[part], carry)
        made.insert(0, rows)
    assert np.concatenate(made).tobytes() == backward(values, weight)[0].tobytes()


@given(values=tables, at=cuts)
@settings(max_examples=50)
def test_filling_over_blocks_is_that_of_the_whole_and_takes_the_nearest(values: np.ndarray, at: list[int]) -> None:
    expected = values.copy()
    for column in range(2):
        valid = np.flatnonzero(~np.isnan(values[:, column]))
        if len(valid):
            at_row = valid[np.abs(valid - np.arange(ROWS)[:, None]).argmin(axis=1)]  # the first of equals
            expected[:, column] = values[at_row, column]
    np.testing.assert_array_equal(fill(values), expected)
    carry, earlier = None, []
    for part in blocks(at):
        found, carry = seen(values[part], carry)
        earlier.append(found)
    carry, later = None, []
    for part in blocks(at)[::-1]:
        found, carry = seen(values[part][::-1], carry)
        later.insert(0, found[::-1])
    np.testing.assert_array_equal(nearest(np.concatenate(earlier), np.concatenate(later)), expected)


def test_frames_that_are_sure_stay_and_others_are_drawn_to_their_neighbours() -> None:
    values = np.stack([np.arange(20.0), 5 + np.zeros(20)], axis=1)
    values[10] = 500, 80
    weight = np.ones(20)
    np.testing.assert_array_equal(smooth(values, weight), values)
    weight[10] = 0
    made = smooth(values, weight)
    np.testing.assert_array_equal(np.delete(made, 10, axis=0), np.delete(values, 10, axis=0))
    assert made[10].tolist() == [11, 5]  # the last pass comes from behind


@pytest.mark.parametrize("filled", [False, True])
def test_a_frame_without_an_animal_has_no_place_unless_it_is_asked_for(filled: bool) -> None:
    values = np.array([np.nan, 1, 2, np.nan, np.nan, 5])
    made = smooth(values, weights(np.array([np.nan, -5, -5, np.nan, np.nan, -5]), -16, -8), filled=filled)
    expected = np.array([1, 1, 2, 5, 5, 5.0])
    np.testing.assert_array_equal(made, expected if filled else np.where(np.isnan(values), np.nan, expected))
    assert np.isnan(smooth(np.full(3, np.nan), np.ones(3), filled=True)).all()
