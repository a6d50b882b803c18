"""Samples in blocks: any cut of any layout against NumPy, and the search for jumps of time against a walk."""

from __future__ import annotations

import math
import os
import pickle
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelarray.errors import FormatError, TruncatedFile
from reelarray.formats import blocks, ranges
from reelarray.formats.blocks import BlockSource


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, object]:
    return {
        "code": draw(st.sampled_from(["<i2", ">i2", "<i4", "<f4"])),
        "channels": draw(st.sampled_from([1, 2, 3])),
        "swapped": draw(st.booleans()),
        "block": draw(st.integers(1, 9)),
        "before": draw(st.integers(0, 7)),
        "between": draw(st.integers(0, 11)),
        "count": draw(st.integers(1, 5)),
    }


def written(folder: Path, layout: dict, missing: int = 0) -> tuple[BlockSource, np.ndarray]:
    """A file of that layout, with rubbish between the blocks, and what it must read."""
    stored = np.dtype(layout["code"])
    shape = (layout["count"], layout["block"], layout["channels"])
    numbers = np.arange(math.prod(shape)).reshape(shape).astype(stored)
    rubbish = b"\x7f" * layout["between"]
    body = b"\x7f" * layout["before"] + b"".join(block.tobytes() + rubbish for block in numbers)
    path = folder / "blocks.bin"
    path.write_bytes(body)
    frames = layout["count"] * layout["block"] - missing
    status = path.stat()
    source = BlockSource(
        path=str(path),
        frames=frames,
        code=layout["code"],
        offset=layout["before"],
        stride=layout["block"] * layout["channels"] * stored.itemsize + layout["between"],
        block=layout["block"],
        channels=layout["channels"],
        swapped=layout["swapped"],
        bytes=status.st_size,
        modified_ns=status.st_mtime_ns,
    )
    expected = numbers.reshape(-1, layout["channels"])[:frames].astype(stored.newbyteorder("="))
    expected = expected[:, ::-1] if layout["swapped"] else expected
    return source, expected[:, 0] if layout["channels"] == 1 else expected


@given(layout=layouts(), data=st.data())
@settings(max_examples=200, deadline=None)
def test_any_cut_of_any_layout(
    tmp_path_factory: pytest.TempPathFactory, layout: dict[str, object], data: st.DataObject
) -> None:
    source, expected = written(tmp_path_factory.mktemp("blocks"), layout)
    start = data.draw(st.integers(0, source.frames))
    stop = data.draw(st.integers(start, source.frames))
    found = pickle.loads(pickle.dumps(source)).read(start, stop)
    np.testing.assert_array_equal(found, expected[start:stop])
    assert found.dtype == source.dtype
    assert found.dtype.isnative
    assert found.shape == (stop - start, *source.shape[1:])


@pytest.mark.parametrize(("start", "stop", "taken"), [(0, 10, 44), (3, 4, 4), (4, 5, 4), (9, 10, 4), (4, 8, 16)])
def test_one_read_of_no_more_than_from_first_to_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: int, stop: int, taken: int
) -> None:
    # blocks of four frames of four bytes, two bytes between them
    layout = {"code": "<i2", "channels": 2, "swapped": True, "block": 4, "before": 5, "between": 2, "count": 3}
    source, expected = written(tmp_path, layout)
    asked: list[int] = []
    real = ranges.read_range
    monkeypatch.setattr(blocks, "read_range", lambda *args: asked.append(len(args[2])) or real(*args))
    np.testing.assert_array_equal(source.read(start, stop), expected[start:stop])
    assert asked == [taken]


def test_a_file_that_became_shorter_says_how_many_frames_are_there(tmp_path: Path) -> None:
    layout = {"code": "<i2", "channels": 2, "swapped": False, "block": 4, "before": 0, "between": 6, "count": 4}
    source, _ = written(tmp_path, layout)  # 22 bytes a block
    for size, found in [(22 * 2 + 9, 8 - 3 + 2), (22 * 2 - 1, 8 - 3), (22 + 16, 8 - 3), (13, 0), (12, 0), (0, 0)]:
        os.truncate(source.path, size)
        with pytest.raises(TruncatedFile) as caught:
            source.read(3, 16)
        assert (caught.value.wanted, caught.value.found) == (13, found)


def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    layout = {"code": "<i2", "channels": 1, "swapped": False, "block": 4, "before": 0, "between": 6, "count": 4}
    source, _ = written(tmp_path, layout)
    with open(source.path, "ab") as file:
        file.write(b"more")
    with pytest.raises(FormatError, match="changed since it was scanned"):
        source.read(0, 4)
    with pytest.raises(IndexError, match=r"frames \[0, 17\) were asked for"):
        source.read(0, 17)


@given(
    offset=st.integers(0, 20),
    block=st.integers(1, 6),
    width=st.integers(1, 4),
    between=st.integers(0, 9),
    data=st.data(),
)
def test_frames_there_counts_whole_frames(
    offset: int, block: int, width: int, between: int, data: st.DataObject
) -> None:
    stride = block * width + between
    size = data.draw(st.integers(0, offset + 4 * stride))
    ends = [offset + k * stride + (j + 1) * width for k in range(5) for j in range(block)]
    assert blocks.frames_there(size, offset, stride, block, width) == sum(end <= size for end in ends)


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(1, 10))
def test_jumps_against_a_walk(pauses: list[int], each: int) -> None:
    stamps = [1000]
    for pause in pauses:
        stamps.append(stamps[-1] + each + (0 if pause < 25 else pause))
    walked = tuple((k, stamps[k] - stamps[0]) for k in range(1, len(stamps)) if stamps[k] - stamps[k - 1] > each + 1)
    assert blocks.jumps("x.iqt", len(stamps), stamps.__getitem__, Fraction(each), Fraction(1)) == walked


@given(st.integers(1, 1000), st.integers(1, 1000), st.integers(1, 500))
def test_one_jump_back_is_seen(before: int, behind: int, back: int) -> None:
    stamps = [10 * k for k in range(before)]
    stamps += [stamps[-1] + 10 - back - 1 + 10 * k for k in range(behind)]
    assert blocks.jumps("x.iqt", len(stamps), stamps.__getitem__, Fraction(10), Fraction(1)) is None


def test_rounded_times_are_no_jumps_and_jumps_among_them_are_found() -> None:
    # a block lasts 8642.857 ns, stamps are whole ticks of 100 ns
    each = Fraction(484 * 10, 56)
    stamps = [int(k * each) + (0 if k < 700 else 5000) for k in range(1000)]
    assert blocks.jumps("x.iqt", 1000, stamps.__getitem__, each, Fraction(1)) == ((700, stamps[700]),)


def test_no_more_jumps_than_memory_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MOST_BREAKS", 100)
    looks: Counter[int] = Counter()

    def stamp(number: int) -> int:
        looks[number] += 1
        return 50 * number

    found = blocks.jumps("x.iqt", 101, stamp, Fraction(10), Fraction(1))
    assert found is not None
    assert len(found) == 100
    looks.clear()
    with pytest.raises(FormatError, match=r"x\.iqt: time jumps before more than 100 of its 1,048,576 blocks"):
        blocks.jumps("x.iqt", 1 << 20, stamp, Fraction(10), Fraction(1))
    assert looks.total() < 300
    looks.clear()
    assert blocks.jumps("x.iqt", 1 << 20, lambda number: -stamp(number), Fraction(10), Fraction(1)) is None
    assert looks.total() < 30  # the first time that runs back says it


def test_a_file_without_gaps_costs_two_looks_and_one_gap_a_few() -> None:
    looks: Counter[int] = Counter()

    def stamp(number: int) -> int:
        looks[number] += 1
        return 10 * number + (77 if number >= gap else 0)

    gap = 1 << 20
    assert blocks.jumps("x.iqt", 1 << 20, stamp, Fraction(10), Fraction(1)) == ()
    assert looks.total() == 2
    looks.clear()
    gap = 123_457
    assert blocks.jumps("x.iqt", 1 << 20, stamp, Fraction(10), Fraction(1)) == ((gap, 10 * gap + 77),)
    assert looks.total() <= 22
