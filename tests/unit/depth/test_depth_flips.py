"""Which end of an axis is the head: of animals that walk, rest, back away, are lost, and curl up."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from reelarray.depth.bouts import change_odds, likeliest, motion_odds
from reelarray.depth.flips import (
    flip_method,
    flips_by_motion,
    flips_by_shape,
    flips_of,
    median_probability,
)
from reelarray.depth.shapes import asymmetry, shape_odds
from reelarray.depth.unwrapping import unwrap

RATE = 30.0
SEEDS = range(12)


@dataclass
class Walk:
    """What was measured of an animal of 62 x 31 px, and the truth: headings in the image, and when it runs."""

    x: np.ndarray
    y: np.ndarray
    orientation: np.ndarray
    major: np.ndarray
    minor: np.ndarray
    heading: np.ndarray
    runs: np.ndarray

    def without(self, start: int, stop: int) -> Walk:
        """Nothing is found in some frames."""
        lost = {name: getattr(self, name).copy() for name in ("x", "y", "orientation", "major", "minor")}
        for values in lost.values():
            values[start:stop] = math.nan
        return replace(self, **lost)

    def features(self) -> tuple[np.ndarray, ...]:
        turns, _ = unwrap(self.orientation)
        return self.x, self.y, self.orientation + np.pi * turns, self.major, self.minor

    def wrong(self, flips: np.ndarray, rows: slice = slice(None)) -> float:
        """Share of moving frames whose heading is more than 90 degrees off."""
        angle = self.features()[2] + np.pi * flips
        off = np.cos(-angle - self.heading) < 0
        return off[rows][self.runs[rows] & ~np.isnan(angle)[rows]].mean()


def wrapped(angle: np.ndarray) -> np.ndarray:
    return np.pi / 2 - (np.pi / 2 - angle) % np.pi


def walk(seed: int, frames: int = 600, backwards: float = 0.0) -> Walk:
    """Bouts of 4 s with rests of 2 s, turning all the time; `backwards` is the share of 1 s pieces that go back."""
    random = np.random.default_rng(seed)
    moving = np.sin(2 * np.pi * np.arange(frames) / 180 + random.uniform(0, 6)) > -0.4
    speed = np.where(moving, 1.6, 0.02) + random.normal(0, 0.1, frames)
    back = np.repeat(random.random(frames // 30 + 1) < backwards, 30)[:frames]
    turn = np.convolve(random.normal(0, 0.02, frames + 9), np.ones(10), "valid")
    heading = random.uniform(0, 6) + np.cumsum(turn)
    way = speed * np.where(back, -0.6, 1)
    x, y = (np.cumsum(way * part(heading)) + random.normal(0, 0.2, frames) for part in (np.cos, np.sin))
    long = 62 + 2 * np.sin(np.arange(frames) / 4)
    axis = wrapped(-heading + random.normal(0, 0.01, frames))
    return Walk(x, y, axis, long, 93 - long, heading, moving & ~back)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("frames", [300, 600, 2000])
def test_heading_follows_motion(seed: int, frames: int) -> None:
    animal = walk(seed, frames)
    flips = flips_by_motion(*animal.features(), times_ms=None, rate=RATE)
    assert animal.wrong(flips) == 0
    assert len(set(flips)) == 1, "an axis that is seen all the time needs one choice"


def test_some_axes_point_ahead_and_some_back() -> None:
    found = {bool(flips_by_motion(*walk(s).features(), times_ms=None, rate=RATE)[0]) for s in SEEDS}
    assert found == {True, False}


@pytest.mark.parametrize("seed", SEEDS)
def test_backing_away_for_a_moment_turns_nothing(seed: int) -> None:
    animal = walk(seed, 1200, backwards=0.2)
    flips = flips_by_motion(*animal.features(), times_ms=None, rate=RATE)
    assert animal.wrong(flips) == 0
    assert len(set(flips)) == 1


def test_an_animal_that_was_lost_is_voted_on_again() -> None:
    changes = []
    for seed in SEEDS:
        animal = walk(seed, 900).without(300, 345).without(600, 690)
        turned = animal.heading.copy()
        turned[345:] += np.pi  # it turned round where nobody saw it
        x, y = animal.x.copy(), animal.y.copy()
        x[345:], y[345:] = x[345] - (x[345:] - x[345]), y[345] - (y[345:] - y[345])
        animal = replace(animal, heading=turned, x=x, y=y)
        flips = flips_by_motion(*animal.features(), times_ms=None, rate=RATE)
        assert animal.wrong(flips) <= 0.02
        changes.append(np.abs(np.diff(flips.astype(int))).sum())
    assert max(changes) <= 2
    assert sum(changes) > 5


def test_a_bout_without_motion_is_as_its_neighbours() -> None:
    x = np.concatenate([np.arange(150.0), np.full(300, 149.0), np.arange(149.0, 0, -1)])
    x[200:206] = x[400:440] = math.nan  # rests, and is lost twice
    y, angle = np.where(np.isnan(x), math.nan, 0), np.where(np.isnan(x), math.nan, np.pi)
    flips = flips_by_motion(x, y, angle, 0 * x + 60, 0 * x + 30, times_ms=None, rate=RATE)
    assert flips[:400].all(), "it was lost for longer the second time"
    assert not flips[470:].any()
    assert np.diff(flips).sum() == 1


def test_a_round_animal_may_come_out_the_other_way() -> None:
    random = np.random.default_rng(5)
    animal = walk(5, 900)
    curled = slice(400, 430)
    animal.minor[curled] = 0.97 * animal.major[curled]
    animal.orientation[curled] = random.uniform(-1.5, 1.5, 30)
    animal.orientation[430:] = wrapped(animal.orientation[430:])
    first, last = (animal.wrong(flips_by_motion(*animal.features(), times_ms=None, rate=RATE), rows)
                   for rows in (slice(0, 400), slice(430, 900)))  # fmt: skip
    assert first <= 0.02
    assert last <= 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_leaps_of_what_was_found_and_odd_axes_do_no_harm(seed: int) -> None:
    random = np.random.default_rng(seed)
    animal = walk(seed, 900)
    odd = random.choice(900, 20, replace=False)
    animal.x[odd] += random.choice([-120, 120], 20)
    animal.orientation[odd] = wrapped(animal.orientation[odd] + random.uniform(-1.2, 1.2, 20))
    animal.runs[odd] = False
    assert animal.wrong(flips_by_motion(*animal.features(), times_ms=None, rate=RATE)) <= 0.02


def test_results_do_not_depend_on_the_size_of_pixels_or_the_rate() -> None:
    animal = walk(3)
    x, y, angle, major, minor = animal.features()
    small = flips_by_motion(x / 4, y / 4, angle, major / 4, minor / 4, times_ms=None, rate=RATE)
    slow = flips_by_motion(*(v[::2] for v in (x, y, angle, major, minor)), times_ms=None, rate=RATE / 2)
    assert animal.wrong(small) == 0
    assert slow[0] == small[0]


def test_displacement_across_a_long_gap_says_nothing() -> None:
    x = np.concatenate([np.arange(20.0), 300 - np.arange(20.0)])
    zeros = np.zeros(40)
    times = np.arange(40) * 1000 / RATE
    times[20:] += 3000

    def odds(max_gap: float) -> float:
        given = {"times_ms": times, "rate": RATE, "max_gap": max_gap}
        return motion_odds(x, zeros, zeros, zeros + 60, **given)[20:].sum()

    assert odds(5) < -1, "it goes back after the gap"
    assert odds(1000) > 0, "and forth in it"


def test_changes_cost_less_the_less_is_known() -> None:
    def price(turn: float = 0.0, roundness: float = 0.5, unseen: int = 0) -> float:
        angle = np.array([0.0, *[math.nan] * unseen, turn])
        long = np.where(np.isnan(angle), math.nan, 60)
        return change_odds(angle, long, long * roundness, times_ms=None, rate=RATE)[-1]

    for worse in ("turn", "roundness", "unseen"):
        prices = [price(**{worse: v}) for v in {"turn": (0, 0.3, 0.8, 1.5), "roundness": (0.5, 0.8, 0.95, 1.0),
                                                "unseen": (0, 3, 10, 100)}[worse]]  # fmt: skip
        assert prices == sorted(prices, reverse=True), worse
        assert prices[0] > 10 * prices[-1], worse
        assert prices[-1] > 0


def test_the_most_likely_choice_is_found() -> None:
    """Against all choices of a few frames."""
    random = np.random.default_rng(0)
    for _ in range(50):
        odds, price = random.normal(0, 2, 8), random.uniform(0.5, 6, 8)
        every = np.array(list(np.ndindex(*[2] * 8)), bool)
        score = np.where(every, -odds / 2, odds / 2).sum(1) - (np.diff(every, axis=1) * price[1:]).sum(1)
        np.testing.assert_array_equal(likeliest(odds, price), every[score.argmax()])


def test_frames_without_an_animal_are_as_those_before_them() -> None:
    nan = math.nan
    assert likeliest(np.array([0, 0, -5, 0, 9.0]), np.array([nan, nan, 1, nan, 1])).tolist() == [True] * 4 + [False]
    assert not likeliest(np.zeros(3), np.full(3, nan)).any()
    assert likeliest(np.zeros(0), np.zeros(0)).shape == (0,)


def test_specks_of_one_pixel_have_no_axis() -> None:
    animal = walk(4, 900)
    animal.major[300:310] = animal.minor[300:310] = animal.orientation[300:310] = 0
    animal.runs[300:310] = False
    assert animal.wrong(flips_by_motion(*animal.features(), times_ms=None, rate=RATE)) <= 0.02
    zeros = np.zeros(50)
    assert not flips_by_motion(zeros, zeros, zeros, zeros, zeros, times_ms=None, rate=RATE).any()


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_very_short_recordings_turn_nothing(frames: int) -> None:
    v = np.zeros(frames)
    assert flips_by_motion(v, v, v, v + 60, v + 30, times_ms=None, rate=RATE).tolist() == [False] * frames
    nothing = np.full((frames, 4), math.nan)
    assert not flips_by_shape(nothing, v.astype(int), v, v, v, v + 60, v + 30, times_ms=None, rate=RATE).any()


def body(orientation_is_heading: np.ndarray, seed: int = 0) -> np.ndarray:
    """Crops (n, 40, 80) of an animal whose head, narrow and low, is on the right where True."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:40, :80] - np.array([19.5, 39.5]).reshape(2, 1, 1)
    trunk = 60 * np.sqrt(np.maximum(0, 1 - ((x + 4) / 24) ** 2 - (y / 13) ** 2))
    head = 35 * np.sqrt(np.maximum(0, 1 - ((x - 20) / 14) ** 2 - (y / 7) ** 2))
    crops = np.maximum(trunk, head)[None] + random.normal(0, 2, (len(orientation_is_heading), 40, 80))
    crops = np.where(np.maximum(trunk, head) > 10, crops, 0).clip(0, 255).astype(np.uint8)
    return np.where(orientation_is_heading[:, None, None], crops, crops[:, ::-1, ::-1])


def test_shape_changes_its_sign_when_the_crop_is_turned() -> None:
    crops = body(np.ones(5, bool))
    assert (asymmetry(crops[:, ::-1, ::-1]) == -asymmetry(crops)).all()
    assert (asymmetry(crops[:, ::-1]) == asymmetry(crops)).all(), "the other flank looks the same"
    assert np.isnan(asymmetry(np.zeros((2, 9, 9), np.uint8))).all()


def test_shape_tells_an_animal_that_rests_after_it_was_lost() -> None:
    animal = walk(2, 900)
    still = slice(600, 900)  # lost, turned round, and rests from then on
    animal.x[still], animal.y[still], animal.heading[still] = animal.x[600], animal.y[600], animal.heading[600] + np.pi
    animal.orientation[still] = wrapped(-animal.heading[still])
    animal = animal.without(600, 640)
    animal.runs[:] = True
    turns, _ = unwrap(animal.orientation)
    measures = asymmetry(body(np.cos(-animal.orientation - animal.heading) > 0))
    measures[600:640] = math.nan
    of = {"times_ms": None, "rate": RATE}
    assert animal.wrong(flips_by_motion(*animal.features(), **of), still) == 1, "motion cannot know"
    assert animal.wrong(flips_by_shape(measures, turns, *animal.features(), **of)) == 0


def test_shape_says_nothing_without_motion(caplog) -> None:
    with caplog.at_level(logging.WARNING, "reelarray.depth.shapes"):
        odds = shape_odds(np.ones((9, 4)), np.zeros(9), np.zeros(9, bool), RATE)
    assert not odds.any()
    assert "moves" in caplog.text


def test_probabilities_are_smoothed_over_time_but_not_across_gaps() -> None:
    p = np.full(200, 0.9)
    p[20:30] = 0.0
    assert flips_of(median_probability(p)).all()
    p[60:100], p[100:] = math.nan, 0.1
    said = flips_of(median_probability(p, borders=[100]))
    assert said[:85].all()
    assert not said[85:].any()
    assert not flips_of(median_probability(p))[:85].all()
    assert not flips_of(median_probability(np.full(99, math.nan))).any()


def test_ends_have_shorter_windows() -> None:
    p = np.concatenate([np.full(20, 0.9), np.full(80, 0.1)])
    assert flips_of(median_probability(p, 51))[:18].tolist() == [True] * 14 + [False] * 4


@pytest.mark.parametrize("flip", [None, ""])
def test_no_method(flip: object) -> None:
    assert flip_method(flip, (80, 80)) is None


@pytest.mark.parametrize("flip", ["motion", "shape"])
def test_methods_by_name(flip: str) -> None:
    assert flip_method(flip, (80, 80)) == flip


@pytest.mark.parametrize("seed", SEEDS)
def test_heading_of_rendered_animals(seed: int, tmp_path) -> None:
    """From the truth of a small session, with the noise of real features."""
    from reelarray.demo.depth import make_session

    truth = make_session(tmp_path, frames=300, seed=seed, shape=(106, 128))
    random = np.random.default_rng(seed)
    x, y = (truth["body_centroid"] + random.normal(0, 0.1, (300, 2))).T
    axis = wrapped(-truth["body_axis"] + random.normal(0, 0.03, 300))
    long = np.full(300, 15.5)
    animal = Walk(x, y, axis, long, long / 2, truth["heading"], truth["speed"] > 0.2)
    flips = flips_by_motion(*animal.features(), times_ms=truth["ts"], rate=RATE)
    assert animal.runs.sum() > 20
    assert animal.wrong(flips) <= 0.02
