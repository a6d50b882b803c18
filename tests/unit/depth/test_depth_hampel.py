"""Outliers, medians over time, and the gaps that they do not reach across."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reelarray.depth.borders import borders, periods, pieces
from reelarray.depth.hampel import hampel
from reelarray.depth.medians import running_median, spread_about
from reelarray.errors import RecordingError

NAN = math.nan


def walk(frames: int = 300) -> np.ndarray:
    """Near 200 px, moving a little."""
    return 200 + np.cumsum(np.random.default_rng(0).normal(0, 0.3, frames))


@pytest.mark.parametrize("at", [0, 1, 150, 299])
def test_a_spike_of_100_px_at_200_px_is_replaced(at: int) -> None:
    clean, odd = walk(), walk()
    odd[at] += 100
    found = hampel(odd, 7, 3)
    assert abs(found[at] - clean[at]) < 3
    assert hampel(odd, 7, 3, compat=True)[at] == odd[at], "the existing tool lets it pass"


def test_the_existing_tool_replaces_what_is_further_away_than_the_median() -> None:
    odd = walk()
    odd[40] += 300
    found = hampel(odd, 7, 3, compat=True)
    assert found[40] == np.median(odd[37:44])
    assert (np.delete(found, 40) == np.delete(odd, 40)).all()


def test_what_is_not_odd_stays_to_the_bit() -> None:
    values = walk()
    assert (hampel(values, 7, 1000) == values).all()
    assert (hampel(values, 0) == values).all()


@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_against_a_plain_loop(sigma: float) -> None:
    random = np.random.default_rng(1)
    values = random.normal(5, 1, 200)
    values[random.random(200) < 0.2] = NAN
    found = hampel(values, 9, sigma)
    for frame, value in enumerate(values):
        around = values[max(0, frame - 4) : frame + 5]
        middle = np.nanmedian(around) if not np.isnan(around).all() else NAN
        odd = abs(value - middle) > sigma * 1.4826 * np.nanmedian(np.abs(around - middle))
        np.testing.assert_equal(found[frame], middle if odd else value)
    assert (found != values)[~np.isnan(values)].any()


def test_missing_frames_stay_missing_and_are_not_counted() -> None:
    found = hampel(np.array([1, NAN, 1, 50, NAN, 1, 1.0]), 7)
    np.testing.assert_array_equal(found, [1, NAN, 1, 1, NAN, 1, 1])
    assert np.isnan(hampel(np.full(4, NAN), 3)).all()


def test_filters_do_not_reach_across_a_border() -> None:
    here, there = np.zeros(2), np.full(5, 90.0)
    both = np.concatenate([here, there])
    assert (running_median(both, 9, borders=[2]) == both).all()
    assert (running_median(both, 9) != both).any()
    step = np.array([0, 0, 0, 90.0, 0, 0, 0])
    assert hampel(step, 7)[3] == 0
    assert hampel(step, 7, borders=[3, 4])[3] == 90


def test_frames_that_are_only_seen_are_not_returned() -> None:
    values = walk(50)
    whole, spread = spread_about(values, 9)
    part, its_spread = spread_about(values[6:30], 9, lead=4, trail=4)
    assert (part == whole[10:26]).all()
    assert (its_spread == spread[10:26]).all()
    assert (hampel(values[6:30], 9, lead=4, trail=4) == hampel(values, 9)[10:26]).all()


@pytest.mark.parametrize("span", [-1, 0, 4])
def test_a_window_has_a_middle(span: int) -> None:
    with pytest.raises(RecordingError, match=f"span of {span} frames"):
        running_median(np.zeros(9), span)


def test_no_frames() -> None:
    assert running_median(np.zeros(0), 3).shape == (0,)
    assert hampel(np.zeros(0), 3).shape == (0,)
    assert running_median(np.zeros(4), 5, lead=2, trail=2).shape == (0,)


def test_gaps_of_more_than_five_periods_are_borders() -> None:
    random = np.random.default_rng(2)
    dropped = np.zeros(400, int)
    dropped[[50, 120, 200, 300]] = 4, 5, 1, 30  # steps of 5, 6, 2 and 31 periods
    times = (np.arange(400) + np.cumsum(dropped)) * (1000 / 30) + random.normal(0, 0.3, 400)
    assert borders(times, 30).tolist() == [120, 300]
    assert borders(times, 30, max_gap=1).tolist() == [50, 120, 200, 300]
    assert periods(times, 30)[[0, 1, 50, 300]].tolist() == [1, 1, 5, 31]


def test_pieces_cover_every_row_once() -> None:
    assert list(pieces(10, [3, 7])) == [(0, 3), (3, 7), (7, 10)]
    assert list(pieces(10)) == [(0, 10)]
    assert list(pieces(0, [0])) == []
