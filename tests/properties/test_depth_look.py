"""What is seen in a frame does not depend on how frames are cut into blocks, nor on the engine: to the bit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelarray.depth.cleaning import Cleaning, ellipse
from reelarray.depth.looking import look
from reelarray.depth.records import Arena, Look, Seen
from reelarray.signal.engines import installed

ENGINES = ["scipy", "numba"] if installed() else ["scipy"]
ROWS, COLUMNS, BOX = 46, 52, (3, 43, 4, 48)
SHAPE = BOX[1] - BOX[0], BOX[3] - BOX[2]


def arena(seed=0):
    """A disc with a floor that is tilted, unknown in places."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    floor = 640 + x // 8 + np.random.default_rng(seed).integers(0, 3, SHAPE)
    floor[5, 5] = floor[30, 20] = 0
    return Arena(floor.astype("i2"), ((y - 19.5) / 20) ** 2 + ((x - 21.5) / 22) ** 2 <= 1, BOX)


def film(seed, count):
    """Animals that walk, leave, and meet another; tails, dropouts, hands, frames without a return."""
    random = np.random.default_rng(seed)
    frames = random.integers(636, 652, (count, ROWS, COLUMNS)).astype("u2")
    for frame in frames:
        for _ in range(random.integers(0, 4)):
            y, x = random.integers(0, ROWS), random.integers(0, COLUMNS)
            high, wide = random.integers(6, 24, 2)
            frame[y : y + high, x : x + wide] -= random.integers(0, 130, (), "u2")
        frame[random.random(frame.shape) < random.choice([0, 0.02, 0.3])] = 0
        kind = random.integers(0, 12)
        if kind == 0:
            frame[:] = 0
        elif kind == 1:
            frame[:] = 65535
        elif kind == 2:
            frame[:, :30] = 300
    return frames


cleanings = st.builds(
    Cleaning,
    spatial=st.sampled_from([(), (3,), (3, 3), (5,), (3, 5)]),
    tail=st.sampled_from([ellipse(9, 9), ellipse(5, 4), np.ones((3, 3)), np.ones((2, 2)), [[1, 0, 1, 1]], [[1, 1, 0]]]),
    tail_iterations=st.integers(0, 2),
    cable=st.sampled_from([np.ones((5, 5)), ellipse(3, 3), [[1, 1, 0, 1]]]),
    cable_iterations=st.integers(0, 2),
    temporal=st.sampled_from([(0,), (0,), (3,), (5, 3)]),
)
looks = st.builds(
    Look,
    minimum=st.sampled_from([5, 10, 20]),
    maximum=st.sampled_from([80, 120]),
    dtype=st.sampled_from(["uint8", "uint16"]),
    cleaning=cleanings,
    largest=st.booleans(),
    crop_size=st.sampled_from([(30, 30), (24, 33)]),
    rotate=st.booleans(),
)
cuts = st.lists(st.integers(1, 30), max_size=6)


@given(st.integers(0, 2**32 - 1), st.integers(1, 31), looks, cuts, st.sampled_from(ENGINES))
@settings(deadline=None, max_examples=60)
def test_any_blocks_make_the_records_of_the_whole(seed, count, how, cuts, engine):
    frames, scene, halo = film(seed, count), arena(), how.cleaning.halo
    whole = look(frames, scene, how, engine="scipy")
    borders = sorted({0, count, *(cut for cut in cuts if cut < count)})
    parts = []
    for start, stop in itertools.pairwise(borders):
        lead, trail = min(halo, start), min(halo, count - stop)
        parts.append(look(frames[start - lead : stop + trail], scene, how, lead=lead, trail=trail, engine=engine))
    assert [len(part) for part in parts] == np.diff(borders).tolist()
    assert np.concatenate(parts).tobytes() == whole.tobytes()


@given(st.integers(0, 2**32 - 1), looks, st.sampled_from(ENGINES))
@settings(deadline=None, max_examples=40)
def test_without_crops_the_rest_is_the_same(seed, how, engine):
    frames = film(seed, 12)
    full, features = look(frames, arena(), how, engine=engine), look(frames, arena(), how, crops=False, engine=engine)
    for name in features.dtype.names:
        np.testing.assert_array_equal(features[name], full[name])
    missing = full["flags"] & int(Seen.MISSING) > 0
    np.testing.assert_array_equal(missing, np.isnan(full["x"]))
    assert not any(full[name][missing].any() for name in ("frames", "cleaned", "mask", "area"))
    np.testing.assert_array_equal(np.isnan(full["height"]), full["area"] == 0)


@pytest.mark.parametrize("seed", range(3))
def test_the_films_of_these_tests_hold_every_oddity(seed):
    """Or else the properties above would be cheap."""
    flags = look(film(seed, 200), arena(), Look(), crops=False)["flags"]
    for oddity in (Seen.EMPTY, Seen.MISSING, Seen.EDGE, Seen.SEVERAL, Seen.HIGH):
        assert 0 < np.count_nonzero(flags & int(oddity)) < 200, oddity
