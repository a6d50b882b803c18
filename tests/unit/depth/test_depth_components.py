"""Which pixels are the animal: against a flood fill, and ties by the first pixel."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from reelarray.depth.components import largest_components, mask, rim


def flood(frame):
    """Components as sets of pixels, in the order of their first pixels."""
    left, found = set(zip(*map(np.ndarray.tolist, np.nonzero(frame)), strict=True)), []
    for start in sorted(left):
        if start not in left:
            continue
        todo, part = [start], set()
        while todo:
            y, x = todo.pop()
            if (y, x) in left:
                left.remove((y, x))
                part.add((y, x))
                todo += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        found.append(part)
    return found


@given(st.integers(0, 2**32 - 1), st.floats(0, 0.8))
@settings(deadline=None, max_examples=100)
def test_the_largest_component_is_that_of_a_flood_fill(seed, filled):
    frames = np.random.default_rng(seed).random((2, 9, 11)) < filled
    kept, areas = largest_components(frames)
    for frame, one, (first, second) in zip(frames, kept, areas, strict=True):
        parts = sorted(flood(frame), key=len, reverse=True)  # stable: of equal ones the first stays first
        expected = np.zeros_like(frame)
        for pixel in parts[0] if parts else ():
            expected[pixel] = True
        np.testing.assert_array_equal(one, expected)
        assert [first, second] == ([len(part) for part in parts] + [0, 0])[:2]


def test_higher_than_the_least_height_strictly():
    heights = np.array([[[10, 11, 12, 0]]], "u1")
    np.testing.assert_array_equal(mask(heights, 10), [[[False, True, True, False]]])


def test_every_component_or_the_largest_or_what_is_allowed():
    heights = np.array([[[20, 20, 0, 20, 20, 20, 0, 20]]], "u1")
    allowed = np.array([[[1, 1, 1, 1, 0, 1, 1, 1]]], bool)
    assert mask(heights, 10, largest=False).sum() == 6
    assert mask(heights, 10).astype(int).tolist() == [[[0, 0, 0, 1, 1, 1, 0, 0]]]
    assert mask(heights, 10, allowed=allowed).astype(int).tolist() == [[[1, 1, 0, 0, 0, 0, 0, 0]]]
    assert mask(heights, 10, largest=False, allowed=allowed).sum() == 5


def test_the_rim_touches_the_outside():
    inside = np.zeros((7, 8), bool)
    inside[1:6, 0:5] = True
    expected = inside.copy()
    expected[2:5, 1:4] = False
    np.testing.assert_array_equal(rim(inside), expected)
