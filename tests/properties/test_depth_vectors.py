"""What is known from frame to frame of depth video does not depend on how it is cut into blocks, to the bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from reelarray.depth.bouts import likeliest
from reelarray.depth.cameras import camera
from reelarray.depth.classifiers import probabilities
from reelarray.depth.flips import flips_by_motion, flips_by_shape, flips_of, median_probability
from reelarray.depth.hampel import hampel
from reelarray.depth.medians import running_median
from reelarray.depth.scalars import SCALARS, scalars
from reelarray.depth.shapes import asymmetry
from reelarray.depth.unwrapping import START, unwrap

CAMERA = camera("kinect", 512, 424)


@st.composite
def cut(draw: Any, longest: int = 120) -> tuple[int, list[int], np.random.Generator]:
    """Frames, the borders of blocks (some of them empty) from 0 to the end, and random numbers for what is in them."""
    frames = draw(st.integers(0, longest))
    inner = draw(st.lists(st.integers(0, frames), max_size=8))
    return frames, [0, *sorted(inner), frames], np.random.default_rng(draw(st.integers(0, 2**32 - 1)))


def with_holes(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """NaN in a few runs, some longer than blocks."""
    out = values.astype(float)
    for _ in range(random.integers(0, 4)):
        start = random.integers(0, len(out) + 1)
        out[start : start + random.integers(1, 40)] = math.nan
    return out


def in_blocks(kernel: Callable[..., Any], edges: list[int], halo: int, *values: np.ndarray) -> np.ndarray:
    """What `kernel` makes of each block and `halo` rows on both sides of it, one after the other."""
    total, parts = edges[-1], []
    for a, b in pairwise(edges):
        low, high = max(0, a - halo), min(total, b + halo)
        parts.append(kernel(*(v[low:high] for v in values), lead=a - low, trail=high - b))
    return np.concatenate(parts)


@given(cut())
def test_half_turns(case) -> None:
    frames, edges, random = case
    orientation = with_holes(random.uniform(-np.pi / 2, np.pi / 2, frames), random)
    whole, end = unwrap(orientation)
    carry, parts = START, []
    for a, b in pairwise(edges):
        turns, carry = unwrap(orientation[a:b], carry)
        parts.append(turns)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_equal(carry, end)


@given(cut(400))
def test_unwrapped_axes_are_those_of_numpy(case) -> None:
    frames, _, random = case
    orientation = with_holes(random.uniform(-np.pi / 2, np.pi / 2, frames), random)
    seen = orientation[~np.isnan(orientation)]
    assume((abs(abs(np.diff(seen)) - np.pi / 2) > 1e-9).all())  # a quarter turn: either way is right
    turns, _ = unwrap(orientation)
    angle = (orientation + np.pi * turns)[~np.isnan(orientation)]
    np.testing.assert_allclose(angle, np.unwrap(2 * seen) / 2, atol=1e-9, rtol=0)


@given(cut(), st.sampled_from([1, 3, 7, 51]), st.lists(st.integers(0, 120), max_size=3))
def test_medians_and_outliers(case, span: int, borders: list[int]) -> None:
    frames, edges, random = case
    values = with_holes(random.normal(0, 1, frames).round(1), random)
    for kernel in (
        lambda v, **at: running_median(v, span, **at),
        lambda v, **at: hampel(v, span, 1.5, **at),
        lambda v, **at: hampel(v, span, 0.5, compat=True, **at),
    ):
        whole = kernel(values, borders=borders)
        low = np.arange(len(values))

        def part(v, numbers, lead, trail, kernel=kernel):
            first = numbers[0] if len(numbers) else 0
            return kernel(v, borders=[b - first for b in borders], lead=lead, trail=trail)

        assert in_blocks(part, edges, span // 2, values, low).tobytes() == whole.tobytes()


@given(cut(), st.sampled_from([3, 9]), st.lists(st.integers(0, 120), max_size=3))
def test_medians_are_those_of_the_frames_around(case, span: int, borders: list[int]) -> None:
    frames, _, random = case
    values = with_holes(random.normal(0, 1, frames).round(1), random)
    found = running_median(values, span, borders=borders)
    run = np.searchsorted(np.sort(borders), np.arange(frames), "right")
    for k in range(frames):
        rows = [j for j in range(max(0, k - span // 2), min(frames, k + span // 2 + 1)) if run[j] == run[k]]
        seen = values[rows][~np.isnan(values[rows])]
        np.testing.assert_array_equal(found[k], np.median(seen) if len(seen) else math.nan)


@given(cut(), st.booleans(), st.booleans())
def test_scalars(case, compat: bool, timed: bool) -> None:
    frames, edges, random = case
    x = with_holes(random.uniform(0, 313, frames), random)
    lost = np.where(np.isnan(x), math.nan, 1)
    area = np.where(np.isnan(x), 0, random.integers(0, 3, frames) * 700)
    columns = [x, lost * random.uniform(0, 313, frames), lost * random.uniform(-9, 9, frames)]
    columns += [lost * random.uniform(50, 70, frames), lost * random.uniform(20, 40, frames), area]
    columns += [np.where(area > 0, random.uniform(20, 60, frames), math.nan)]
    times = np.cumsum(random.choice([33.3, 33.4, 66.6, 900.0], frames))

    def of(lead: int, rows: slice) -> dict[str, np.ndarray]:
        return scalars(
            *(v[rows] for v in columns), camera=CAMERA, true_depth=673.0, origin=(106, 49),
            times_ms=times[rows] if timed else None, rate=30.0, compat=compat, lead=lead,
        )  # fmt: skip

    whole = of(0, slice(0, frames))
    parts = [of(min(a, 1), slice(max(a - 1, 0), b)) for a, b in pairwise(edges)]
    for name in SCALARS:
        assert np.concatenate([part[name] for part in parts]).tobytes() == whole[name].tobytes(), name


@given(cut(40))
def test_crops_are_judged_one_by_one(case) -> None:
    frames, edges, random = case
    crops = random.integers(0, 90, (frames, 6, 8)).astype(np.uint8)
    crops[random.random(frames) < 0.2] = 0
    turns = random.integers(-3, 4, frames)
    whole = asymmetry(crops)
    assert b"".join(asymmetry(crops[a:b]).tobytes() for a, b in pairwise(edges)) == whole.tobytes()
    np.testing.assert_array_equal(asymmetry(crops[:, ::-1, ::-1]), -whole)

    def classify(some: np.ndarray) -> np.ndarray:
        return some[:, :, :4].mean((1, 2)) / 100

    p = np.concatenate([probabilities(classify, crops[a:b], turns[a:b]) for a, b in pairwise(edges)])
    assert p.tobytes() == probabilities(classify, crops, turns).tobytes()
    smooth = in_blocks(lambda v, **at: median_probability(v, 7, **at), edges, 3, p)
    np.testing.assert_array_equal(flips_of(smooth), flips_of(median_probability(p, 7)))


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_the_likeliest_choice_is_the_best_of_all(seed: int, frames: int) -> None:
    random = np.random.default_rng(seed)
    odds, price = random.normal(0, 2, frames), random.uniform(0.5, 6, frames)
    every = np.array(list(np.ndindex(*[2] * frames)), bool)
    score = np.where(every, -odds / 2, odds / 2).sum(1) - (np.diff(every, axis=1) * price[1:]).sum(1)
    np.testing.assert_array_equal(likeliest(odds, price), every[score.argmax()])


@given(cut(200))
def test_an_axis_that_was_named_the_other_way_round_gives_the_same_heading(case) -> None:
    """Adding a half turn to all angles is answered by the opposite choice: what the head is does not depend on it."""
    frames, _, random = case
    assume(frames > 40)
    way = np.cumsum(random.normal(0, 0.05, frames))
    x, y = (with_holes(np.cumsum(1.5 * part(way)), np.random.default_rng(frames)) for part in (np.cos, np.sin))
    angle, long = np.where(np.isnan(x), math.nan, -way), np.full(frames, 60.0)
    assume((~np.isnan(x)).sum() > 20)
    measures = random.normal(0.3, 1, (frames, 4))
    of = {"times_ms": None, "rate": 30.0}
    one = flips_by_motion(x, y, angle, long, long / 2, **of)
    other = flips_by_motion(x, y, angle + np.pi, long, long / 2, **of)
    assert not one.any()
    assert other.all()
    turns = np.zeros(frames, int)
    one = flips_by_shape(measures, turns, x, y, angle, long, long / 2, **of)
    other = flips_by_shape(-measures, turns, x, y, angle + np.pi, long, long / 2, **of)
    odd = flips_by_shape(measures, turns + 1, x, y, angle + np.pi, long, long / 2, **of)
    np.testing.assert_array_equal(one, ~other)
    np.testing.assert_array_equal(other, odd)
