"""The planning of windows against counting them one by one."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reelarray.windows import Pace, Windows, even_blocks, leaves


@st.composite
def stretches(draw, most=5, longest=40):
    """(starts, stops) of stretches of rows, end to end, perhaps with rows of none between them."""
    starts, stops, row = [], [], 0
    for _ in range(draw(st.integers(0, most))):
        row += draw(st.sampled_from([0, 0, 3]))
        starts.append(row)
        row += draw(st.integers(1, longest))
        stops.append(row)
    return np.array(starts, np.int64), np.array(stops, np.int64)


windows = st.builds(Windows, length=st.integers(1, 12), hop=st.integers(1, 15))


@st.composite
def paced(draw):
    """Windows of a filter that gives `up` rows for every `down`."""
    up, down = draw(st.sampled_from([(1, 1), (1, 3), (2, 1), (3, 2), (2, 5), (5, 4)]))
    before, after, units = draw(st.integers(0, 6)), draw(st.integers(0, 6)), draw(st.integers(1, 4))
    pace = Pace(-(-before * up // down), after, up, down)
    return Windows((pace.first + units * up - 1) * down // up + after + 1, units * down, pace)


def given_from(pace: Pace, rows: int) -> int:
    """How many rows a stretch of so many gives, counted one by one."""
    return sum(m * pace.down // pace.up + pace.after < rows for m in range(pace.first, (rows + 1) * pace.up + 1))


def brute_force(starts, stops, w) -> list[tuple[int, int]]:
    """(first row, one past the last row) of every window."""
    found = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        first = start
        while first + w.length <= stop or (w.pace and given_from(w.pace, stop - first)):
            found.append((first, min(first + w.length, stop)))
            first += w.hop
    return found


@given(stretches(), windows | paced())
def test_every_window_is_planned_once_and_lies_in_one_stretch(rows, w):
    plan = w.plan(*rows)
    expected = brute_force(*rows, w)
    assert plan.size == len(expected)
    assert plan.begin(np.arange(plan.size)).tolist() == [first for first, _ in expected]
    runs = plan.runs(0, plan.size)
    begins = [(run.start + k * w.hop, run.stop) for run in runs for k in range(run.count)]
    made = [(first, min(first + w.length, stop)) for first, stop in begins]
    assert made == expected
    for run in runs:
        assert sum(a <= run.start and run.stop <= b for a, b in zip(*rows, strict=True)) == 1


@given(stretches(), windows | paced(), st.data())
def test_every_window_is_owned_by_the_block_of_its_first_row(rows, w, data):
    """Blocks of any sizes own each window exactly once, and ask for no row that no window of theirs needs."""
    plan, expected = w.plan(*rows), brute_force(*rows, w)
    total = int(rows[1][-1]) if len(rows[1]) else 0
    inner = data.draw(st.lists(st.integers(0, total), max_size=4).map(sorted))
    edges = [0, *inner, total + 1]
    owned = plan.until(np.array(edges)).tolist()
    assert owned == [sum(first < row for first, _ in expected) for row in edges]
    for a, b in itertools.pairwise(owned):
        runs = plan.runs(a, b)
        assert [run.start + k * w.hop for run in runs for k in range(run.count)] == [f for f, _ in expected[a:b]]
        assert [r.stop for r in runs] == [dict(expected)[r.start + (r.count - 1) * w.hop] for r in runs]


@given(stretches(), paced())
def test_windows_at_a_pace_give_every_row_of_a_stretch_once(rows, w):
    plan = w.plan(*rows)
    before = plan.outputs(np.arange(plan.size + 1))
    each = [min(w.rows, given_from(w.pace, stop - first)) for first, stop in brute_force(*rows, w)]
    assert before.tolist() == np.append(0, np.cumsum(each, dtype=int)).tolist()
    kept = [given_from(w.pace, b - a) for a, b in zip(*rows, strict=True)]
    assert before[-1] == sum(kept)
    assert [plan.gives(row) for row in range(int(before[-1]))] == np.repeat(np.arange(plan.size), each).tolist()


@given(st.integers(0, 100), st.integers(1, 30))
def test_even_blocks_cover_everything_once(size, block):
    edges = even_blocks(size, block)
    sizes = np.diff(edges)
    assert edges[0] == 0
    assert sizes.sum() == size
    assert (sizes[:-1] == block).all()
    assert (sizes > 0).all()
    assert (sizes <= block).all()


@given(st.lists(st.integers(1, 25), max_size=6), st.integers(1, 10), st.integers(0, 50))
def test_leaves_cut_each_cell_from_its_own_start(cells, most, begin):
    edges = begin + np.append(0, np.cumsum(cells, dtype=np.int64))
    fine, counts = leaves(edges, most)
    expected = [a for low, high in itertools.pairwise(edges.tolist()) for a in range(low, high, most)]
    assert fine.tolist() == [*expected, edges[-1]]
    assert counts.tolist() == [-(-n // most) for n in cells]


def test_a_recording_shorter_than_a_window_has_none():
    plan = Windows(8, 4).plan(np.array([0, 7]), np.array([7, 14]))
    assert plan.size == 0
    assert plan.runs(0, 0) == []
    assert plan.until(np.array([0, 14])).tolist() == [0, 0]


def test_thousands_of_tiny_stretches_are_one_plan():
    starts = np.arange(0, 50_000, 5)
    plan = Windows(4, 4).plan(starts, starts + 5)
    assert plan.size == 10_000
    assert plan.begin(np.array([0, 9999])).tolist() == [0, 49_995]
