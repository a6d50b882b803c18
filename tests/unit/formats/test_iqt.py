"""RSA3000 .iqt files: frames with headers, Q before I, times of frames, and damaged ones."""

from __future__ import annotations

import importlib.util
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import analyser_files
import numpy as np
import pytest
import receiver_files as files
from hypothesis import given, settings
from hypothesis import strategies as st

from reelarray.errors import FormatError, TruncatedFile
from reelarray.formats import iqt, ranges
from reelarray.source import Header, Source
from reelarray.testing import check_format


def source_of(header: Header) -> Source:
    return iqt.source(header.path, header.frames, header.layout, header.bytes, header.modified_ns)


def read(header: Header) -> np.ndarray:
    return source_of(header).read(0, header.frames)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "run7.iqt")


def test_header_says_rate_centre_and_level(path: str) -> None:
    counts = files.write_iqt(path, 5)
    header = iqt.probe(path)
    assert (header.frames, header.shape, header.dtype, header.iq) == (5120, (5120, 2), "<i2", True)
    assert header.rate == Fraction(1024 * 10_000, 32)  # 1024 samples in 3.2 ms
    assert (header.center_frequency, header.units, header.flags) == (244_778_900.0, "V", ())
    # a count of 1 is -80.5 dBm: 10^-8.05 mW into 50 ohm, whose peak is sqrt(2 * 50 * 10^-11.05)
    assert header.scale == pytest.approx((2 * 50 * 10**-11.05) ** 0.5, rel=1e-12)
    assert header.metadata["naive_start"] == "2014-08-01T10:33:15"
    assert header.start_ns is None
    assert header.metadata | {"instrument": "RSA3408A", "span": 200_000, "reference_level": -20} == header.metadata
    np.testing.assert_array_equal(read(header), counts)


def test_format_keeps_the_contract(path: str) -> None:
    counts = files.write_iqt(path, 7)
    assert check_format(path, expected=counts).format == "iqt"


@given(block=st.sampled_from([1, 3, 16, 1024]), number=st.integers(1, 5), data=st.data())
@settings(max_examples=50, deadline=None)
def test_any_cut_of_any_frame_size(
    tmp_path_factory: pytest.TempPathFactory, block: int, number: int, data: st.DataObject
) -> None:
    path = str(tmp_path_factory.mktemp("cuts") / "x.iqt")
    pairs = np.arange(2 * block * number, dtype="<i2").reshape(-1, 2)
    files.write_iqt(path, pairs, block=block)
    header = iqt.probe(path)
    start = data.draw(st.integers(0, header.frames))
    stop = data.draw(st.integers(start, header.frames))
    np.testing.assert_array_equal(source_of(header).read(start, stop), pairs[start:stop])


@pytest.mark.parametrize(
    ("text", "hertz"),
    [("7.9G", 7.9e9), ("244.7789M", 244_778_900.0), ("50k", 5e4), ("1.5e6", 1.5e6), ("0", 0.0), ("-5M", -5e6)],
)
def test_suffixes_are_exact_factors(path: str, text: str, hertz: float) -> None:
    files.write_iqt(path, 1, CenterFrequency=text)
    assert iqt.probe(path).center_frequency == hertz


def test_an_m_that_belongs_to_a_time_is_no_factor(path: str) -> None:
    files.write_iqt(path, 1, DateTime="2002/05/10@1:16:21 PM", Band="1M5")
    assert iqt.probe(path).metadata["naive_start"] == "2002-05-10T01:16:21"


# --- times of frames


def test_frames_without_pauses_cost_a_look_at_two(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_iqt(path, 400)
    taken: list[int] = []
    real = os.read
    monkeypatch.setattr(ranges.os, "read", lambda handle, size: taken.append(size) or real(handle, size))
    assert iqt.probe(path).breaks == ()
    assert len(taken) <= 4


def test_pauses_are_breaks(path: str) -> None:
    counts = files.write_iqt(path, 6, ticks=[7, 47, 87, 1087, 1127, 1200])
    header = iqt.probe(path)
    assert header.breaks == ((3 * 1024, 1080 * 80_000), (5 * 1024, 1193 * 80_000))
    assert header.flags == ()
    np.testing.assert_array_equal(read(header), counts)


def test_times_are_no_more_exact_than_a_tick(path: str) -> None:
    files.write_iqt(path, 4, ticks=[0, 41, 80, 121])
    assert iqt.probe(path).breaks == ()


@pytest.mark.parametrize("ticks", [[0, 40, 30, 70], [100, 60, 20, 0], [0, 20, 40, 60]])
def test_frames_that_overlap_or_go_back_are_taken_as_contiguous(path: str, ticks: list[int]) -> None:
    files.write_iqt(path, 4, ticks=ticks)
    header = iqt.probe(path)
    assert (header.breaks, header.flags) == ((), ("time_order",))


@pytest.mark.parametrize("changes", [{"ticks": [0] * 4}, {"UnitPeriod": None}])
def test_frames_without_times_are_contiguous(path: str, changes: dict[str, Any]) -> None:
    files.write_iqt(path, 4, **changes)
    header = iqt.probe(path)
    assert (header.breaks, header.flags) == ((), ())


def test_overloaded_frames_are_listed_on_request(path: str) -> None:
    files.write_iqt(path, 6, overloaded=[1, 4])
    assert "overload" not in iqt.probe(path).flags
    header = iqt.probe(path, overload=True)
    assert (header.flags, header.metadata["overload_frames"]) == (("overload",), [1024, 4096])


# --- sizes that do not fit


@pytest.mark.parametrize(
    ("missing", "frames"), [(1, 4095), (4, 4095), (5, 4094), (4096, 3072), (4120, 3072), (4121, 3071), (3 * 4120, 1024)]
)
def test_a_file_cut_short_has_the_whole_samples_that_are_there(path: str, missing: int, frames: int) -> None:
    counts = files.write_iqt(path, 4)
    os.truncate(path, os.path.getsize(path) - missing)
    header = iqt.probe(path)
    assert (header.frames, header.flags, header.metadata["declared_frames"]) == (frames, ("truncated",), 4096)
    np.testing.assert_array_equal(read(header), counts[:frames])


def test_bytes_behind_the_frames_are_not_read(path: str) -> None:
    counts = files.write_iqt(path, 2, extra=b"\x7f" * 5000)
    header = iqt.probe(path)
    assert (header.frames, header.flags, header.metadata["extra_bytes"]) == (2048, ("extra_bytes",), 5000)
    np.testing.assert_array_equal(read(header), counts)


def test_a_file_that_shrinks_after_probing_is_loud(path: str) -> None:
    files.write_iqt(path, 2)
    source = source_of(iqt.probe(path))
    os.truncate(path, os.path.getsize(path) - 40)
    with pytest.raises(TruncatedFile) as caught:
        source.read(1000, 2048)
    assert (caught.value.wanted, caught.value.found) == (1048, 1038)


def test_complete_by_declared_size(path: str) -> None:
    files.write_iqt(path, 2)
    size = os.path.getsize(path)
    assert iqt.complete(path) is True
    for kept in (size - 1, size - 8000, 300, 10, 4, 3, 2, 1, 0):
        os.truncate(path, kept)
        assert iqt.complete(path) is False


def test_files_of_the_generator(shared: Path, path: str) -> None:
    tool = shared / "tools" / "make_tiq.py"
    if not tool.exists():
        pytest.skip(f"{tool} is not there")
    spec = importlib.util.spec_from_file_location("make_tiq", tool)
    assert spec is not None
    assert spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    volts = make.write_iqt(path, 8)
    header = iqt.probe(path)
    assert (header.frames, header.flags, header.breaks) == (8192, (), ())
    found = read(header) * header.scale
    np.testing.assert_allclose(found[:, 0] + 1j * found[:, 1], volts, rtol=1e-14)


# --- bad input


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"FFTPoints": "0"}, "FFTPoints = '0'"),
        ({"FFTPoints": "1.5"}, "FFTPoints = '1.5'"),
        ({"FFTPoints": "1G"}, "FFTPoints = 1,000,000,000"),
        ({"FFTPoints": None}, "does not state FFTPoints"),
        ({"ValidFrames": "-1"}, "ValidFrames = '-1'"),
        ({"ValidFrames": "9" * 30}, "ValidFrames = '99"),
        ({"FrameLength": "0"}, "FrameLength = '0'"),
        ({"FrameLength": "soon"}, "FrameLength = 'soon'"),
        ({"FrameLength": "1e999999999"}, "FrameLength = '1e999999999'"),
        ({"FrameLength": "1e-305"}, "samples a second, 1 to"),
        ({"FrameLength": "1e-305", "FFTPoints": "16777216"}, "gives 1e[+]300 samples a second"),
        ({"CenterFrequency": "nan"}, "CenterFrequency = 'nan'"),
        ({"CenterFrequency": None}, "does not state CenterFrequency"),
        ({"GainOffset": "inf"}, "GainOffset = 'inf'"),
        ({"GainOffset": "-1e9"}, "impossible"),
        ({"MaxInputLevel": None}, "does not state MaxInputLevel"),
        ({"UnitPeriod": "-80u"}, "UnitPeriod = '-80e-6'"),
        ({"FrameReverse": "On"}, "FrameReverse=On"),
        ({"header_length": 100_000}, "its header alone has 100,0"),
        ({"header_length": 99_999_999}, "claims 99,999,999 bytes, 1,048,576 are possible"),
    ],
)
def test_headers_that_are_wrong(path: str, changes: dict[str, Any], message: str) -> None:
    files.write_iqt(path, 2, **changes)
    with pytest.raises(FormatError, match=message) as caught:
        iqt.probe(path)
    assert path in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"0", b"9", b"3999", b"RIFF", b"4123Type=x", b"1234567", b"\x00" * 5000])
def test_what_is_no_such_file(path: str, body: bytes) -> None:
    Path(path).write_bytes(body)
    with pytest.raises(FormatError, match="starts with"):
        iqt.probe(path)
    assert not iqt.FORMAT.recognises(body)


def test_folder_and_missing_file(tmp_path: Path) -> None:
    (tmp_path / "folder.iqt").mkdir()
    with pytest.raises(FormatError, match="is a folder"):
        iqt.probe(str(tmp_path / "folder.iqt"))
    with pytest.raises(FileNotFoundError):
        iqt.complete(str(tmp_path / "missing.iqt"))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_any_damage_raises_a_format_error_or_gives_what_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    path = str(tmp_path_factory.getbasetemp() / "damaged.iqt")
    files.write_iqt(path, 3, block=16)
    damaged = analyser_files.damage(Path(path).read_bytes(), seed)
    Path(path).write_bytes(damaged)
    try:
        header = iqt.probe(path)
    except FormatError:
        return
    assert len(read(header)) == header.frames
