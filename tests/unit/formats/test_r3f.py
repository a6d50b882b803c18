"""RSA300 streams: real samples between footers, lost frames, the split form, and damaged headers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import analyser_files
import numpy as np
import pytest
import receiver_files as files
from hypothesis import given, settings
from hypothesis import strategies as st

from reelarray.errors import FormatError, TruncatedFile
from reelarray.formats import r3f, ranges
from reelarray.source import Header, Source
from reelarray.testing import check_format


def source_of(header: Header) -> Source:
    return r3f.source(header.path, header.frames, header.layout, header.bytes, header.modified_ns)


def read(header: Header) -> np.ndarray:
    return source_of(header).read(0, header.frames)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "run7.r3f")


def test_header_says_rate_scale_start_and_frequencies(path: str) -> None:
    counts = files.write_r3f(path, 3)
    header = r3f.probe(path)
    assert (header.frames, header.shape, header.dtype, header.iq) == (3 * 8178, (3 * 8178,), "<i2", False)
    assert (header.rate, header.scale, header.units, header.flags) == (112_000_000, 1.5e-5, "V", ())
    assert (header.center_frequency, header.breaks) == (None, ())
    assert header.start_ns == analyser_files.START_NS
    assert header.metadata == {
        "intermediate_frequency": 28e6,
        "radio_frequency": 244_778_900.0,
        "bandwidth": 40e6,
        "reference_level": -10.0,
        "instrument": "RSA300",
        "serial_number": "B010203",
        "utc_offset": "+02:00",
    }
    np.testing.assert_array_equal(read(header), counts)


def test_format_keeps_the_contract(path: str) -> None:
    counts = files.write_r3f(path, 3)
    assert check_format(path, expected=counts).format == "r3f"


def test_split_form_keeps_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "run7.r3a"
    counts = files.write_r3f(path, 3, split=True)
    header = check_format(path, expected=counts, format="r3f", header=str(tmp_path / "run7.r3h"))
    assert (header.rate, header.start_ns, header.breaks) == (112_000_000, analyser_files.START_NS, ())


def test_split_form_finds_its_header_in_upper_case_too(tmp_path: Path) -> None:
    files.write_r3f(tmp_path / "a.r3a", 2, split=True)
    assert r3f.probe(str(tmp_path / "a.r3a")).frames == 2 * 8178
    for letter in "ah":
        os.rename(tmp_path / f"a.r3{letter}", tmp_path / f"A.R3{letter.upper()}")
    assert r3f.probe(str(tmp_path / "A.R3A")).frames == 2 * 8178
    with pytest.raises(FormatError, match=r"A\.R3H holds no samples, only their header; open .*A\.R3A instead"):
        r3f.probe(str(tmp_path / "A.R3H"))
    os.remove(tmp_path / "A.R3H")
    with pytest.raises(FormatError, match=r"its header .*A\.R3H is not there"):
        r3f.probe(str(tmp_path / "A.R3A"))


@given(
    block=st.integers(1, 50),
    footer=st.integers(0, 40),
    extra=st.integers(0, 9),
    number=st.integers(1, 5),
    data=st.data(),
)
@settings(max_examples=50, deadline=None)
def test_sizes_are_those_of_the_header(
    tmp_path_factory: pytest.TempPathFactory, block: int, footer: int, extra: int, number: int, data: st.DataObject
) -> None:
    path = str(tmp_path_factory.mktemp("cuts") / "x.r3f")
    counts = np.arange(block * number, dtype="<i2")
    files.write_r3f(path, counts, block=block, footer=footer, first_frame=16_384 + extra)
    header = r3f.probe(path)
    start = data.draw(st.integers(0, header.frames))
    stop = data.draw(st.integers(start, header.frames))
    np.testing.assert_array_equal(source_of(header).read(start, stop), counts[start:stop])


# --- times


def test_lost_frames_are_breaks(path: str) -> None:
    stamps = [1000, 1000 + 8178, 1000 + 5 * 8178, 1000 + 6 * 8178]
    counts = files.write_r3f(path, 4, ticks=stamps)
    header = r3f.probe(path)
    assert header.breaks == ((2 * 8178, round(5 * 8178 / 0.112)),)
    assert header.flags == ()
    np.testing.assert_array_equal(read(header), counts)


def test_first_sample_may_come_after_the_reference_time(path: str) -> None:
    files.write_r3f(path, 2, ticks=[1000 + 56_000_000, 1000 + 56_000_000 + 8178])
    assert r3f.probe(path).start_ns == analyser_files.START_NS + 500_000_000


def test_frames_without_losses_cost_a_look_at_two(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_r3f(path, 60)
    taken: list[int] = []
    real = os.read
    monkeypatch.setattr(ranges.os, "read", lambda handle, size: taken.append(size) or real(handle, size))
    assert r3f.probe(path).breaks == ()
    assert sum(taken) <= r3f.HEADER_BYTES + 4 * ranges.LOCAL_STEP


@pytest.mark.parametrize("stamps", [[5000, 4000, 3000], [0, 8178, 8179], [0, 0, 0]])
def test_frames_that_go_back_are_taken_as_contiguous(path: str, stamps: list[int]) -> None:
    files.write_r3f(path, 3, ticks=stamps)
    header = r3f.probe(path)
    assert (header.breaks, header.flags) == ((), ("time_order",))


def test_without_utc_the_local_time_is_no_utc(path: str) -> None:
    files.write_r3f(path, 2, utc=None)
    header = r3f.probe(path)
    assert header.start_ns is None
    assert header.metadata["naive_start"] == "2014-08-01T10:33:15.978272700"
    assert "utc_offset" not in header.metadata


@pytest.mark.parametrize(
    ("local", "offset"),
    [
        ((2014, 8, 1, 10, 33, 15, 978_272_700), "+02:00"),
        ((2014, 8, 1, 3, 3, 15, 978_272_700), "-05:30"),
        ((2014, 8, 1, 8, 33, 15, 978_272_700), "+00:00"),
        ((2014, 8, 1, 8, 40, 15, 978_272_700), None),
        ((1999, 8, 1, 8, 33, 15, 978_272_700), None),
        ((0, 0, 0, 0, 0, 0, 0), None),
        ((2014, -8, 1, 8, 33, 15, -5), None),
    ],
)
def test_offset_is_what_lies_between_the_two_times(path: str, local: Sequence[int], offset: str | None) -> None:
    files.write_r3f(path, 2, local=local)
    header = r3f.probe(path)
    assert (header.start_ns, header.metadata.get("utc_offset")) == (analyser_files.START_NS, offset)


# --- sizes that do not fit


@pytest.mark.parametrize("missing", [1, 28, 29, 16_383])
def test_an_incomplete_frame_is_left_out(path: str, missing: int) -> None:
    counts = files.write_r3f(path, 3)
    os.truncate(path, os.path.getsize(path) - missing)
    header = r3f.probe(path)
    assert (header.frames, header.flags) == (2 * 8178, ("partial_frame",))
    np.testing.assert_array_equal(read(header), counts[: 2 * 8178])


def test_a_header_alone_has_no_frames(path: str) -> None:
    files.write_r3f(path, 0)
    header = r3f.probe(path)
    assert (header.frames, header.flags) == (0, ())


def test_a_file_that_shrinks_after_probing_is_loud(path: str) -> None:
    files.write_r3f(path, 2)
    source = source_of(r3f.probe(path))
    os.truncate(path, os.path.getsize(path) - 28 - 20)
    with pytest.raises(TruncatedFile) as caught:
        source.read(8000, 2 * 8178)
    assert (caught.value.wanted, caught.value.found) == (8356, 8346)


def test_nobody_can_tell_whether_a_stream_is_complete(path: str, tmp_path: Path) -> None:
    files.write_r3f(path, 2)
    assert r3f.complete(path) is None
    for size in (16_383, 27, 0):
        os.truncate(path, size)
        assert r3f.complete(path) is False
    files.write_r3f(tmp_path / "a.r3a", 2, split=True)
    assert r3f.complete(str(tmp_path / "a.r3a")) is None
    os.remove(tmp_path / "a.r3h")
    assert r3f.complete(str(tmp_path / "a.r3a")) is False
    with pytest.raises(FileNotFoundError):
        r3f.complete(str(tmp_path / "missing.r3f"))


# --- bad input

# where the header and the footers say something
SPOTS = [
    *range(27),
    *range(512, 516),
    *range(1024, 1040),
    *range(2048, 2180),
    *range(3072, 3080),
    *range(16_384, 16_564),
]
NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("<I", 512, 0x78563412), "big-endian"),
        (("<I", 2048, 7), "samples of type 7, 161"),
        (("<d", 1032, NAN), "centre frequency = nan"),
        (("<d", 1024, INFINITE), "level = inf"),
        (("<d", 2076, 60e6), "intermediate frequency of 60000000.0 Hz"),
        (("<d", 2076, NAN), "intermediate frequency of nan Hz"),
        (("<d", 2084, 0.0), "sample rate = 0.0"),
        (("<d", 2084, NAN), "sample rate = nan"),
        (("<d", 2084, INFINITE), "sample rate = inf"),
        (("<d", 2092, -1.0), "bandwidth = -1.0"),
        (("<d", 3072, 0.0), "ADC scale = 0.0"),
        (("<I", 2052, 100), "that does not fit"),
        (("<I", 2056, 0), "that does not fit"),
        (("<I", 2056, 0xFFFFFFFF), "that does not fit"),
        (("<I", 2060, 29), "that does not fit"),
        (("<I", 2064, 0), "that does not fit"),
        (("<I", 2064, 0xFFFFFFFF), "that does not fit"),
    ],
)
def test_headers_that_are_wrong(path: str, change: tuple[str, int, Any], message: str) -> None:
    files.write_r3f(path, 2, changes=[change])
    with pytest.raises(FormatError, match=message) as caught:
        r3f.probe(path)
    assert path in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        ("<I", 2068, 0xFFFFFFFF),  # footers beyond the frame
        ("<I", 2072, 4),  # too short for a time
        ("<Q", 2144, 0),  # no ticks a second
    ],
)
def test_footers_without_a_time_give_contiguous_samples(path: str, change: tuple[str, int, Any]) -> None:
    counts = files.write_r3f(path, 3, ticks=[0, 10**9, 10**12], changes=[change])
    header = r3f.probe(path)
    assert (header.breaks, header.start_ns, header.flags) == ((), analyser_files.START_NS, ())
    np.testing.assert_array_equal(read(header), counts)


def test_what_is_no_such_file(tmp_path: Path) -> None:
    for name, body in [("a.r3f", b""), ("b.r3f", b"RIFF" * 9000), ("c.r3f", b"\0" * 20_000)]:
        (tmp_path / name).write_bytes(body)
        with pytest.raises(FormatError, match="starts with"):
            r3f.probe(str(tmp_path / name))
    (tmp_path / "d.r3f").write_bytes(b"Tektronix RSA300 Data File")
    with pytest.raises(FormatError, match="its header alone has 16,384"):
        r3f.probe(str(tmp_path / "d.r3f"))
    (tmp_path / "folder.r3f").mkdir()
    with pytest.raises(FormatError, match="is a folder"):
        r3f.probe(str(tmp_path / "folder.r3f"))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_any_damage_raises_a_format_error_or_gives_what_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    path = str(tmp_path_factory.getbasetemp() / "damaged.r3f")
    files.write_r3f(path, 3, block=16)
    damaged = analyser_files.damage(Path(path).read_bytes(), seed, SPOTS)
    Path(path).write_bytes(damaged)
    try:
        header = r3f.probe(path)
    except FormatError:
        return
    assert len(read(header)) == header.frames
