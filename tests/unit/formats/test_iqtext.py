"""Complex samples as text: the nearest float64, by the lines asked for, and bad lines by their number."""

from __future__ import annotations

import re
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import iq_files
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import reelarray as ra
from reelarray import formats
from reelarray.errors import FormatError, TruncatedFile
from reelarray.formats import iqtext
from reelarray.source import Header
from reelarray.testing import check_format


def samples(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=count) * 10.0 ** rng.integers(-12, 12, count) + 1j * rng.normal(size=count)


Z = samples(400)


def write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def read(header: Header) -> np.ndarray:
    return formats.source(header).read(0, header.frames)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks and distances of noted lines so small that a short file has many."""
    monkeypatch.setattr(iqtext, "EVERY", 16)
    monkeypatch.setattr(iqtext, "_BLOCK", 300)
    iqtext._index.cache_clear()


@pytest.mark.parametrize("mark", ["|", ",", "\t", " ", ";", "  ", " | ", ", "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_separators_and_line_ends(tmp_path: Path, mark: str, end: str) -> None:
    first = f"390625.0{mark}244778900.0"
    path = write(tmp_path / "x.csv", iq_files.text_bytes(Z, mark=mark, end=end, first=first))
    header = check_format(path, expected=Z)
    assert (header.rate, header.center_frequency, header.flags) == (390625, 244_778_900.0, ())
    assert (header.units, header.dtype, header.iq) == ("1", "<c16", False)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", ["x.txt", "x.CSV"])
def test_many_blocks_and_noted_lines(tmp_path: Path, name: str) -> None:
    check_format(write(tmp_path / name, iq_files.text_bytes(Z)), expected=Z)


def test_opened_by_suffix(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", iq_files.text_bytes(Z))
    x = ra.open_recording(path, cache=False)
    assert (x.dims, float(x.center_frequency), ra.rate(x)) == (("time",), 244_778_900.0, 390625)
    np.testing.assert_allclose(x.values, Z, rtol=2e-7)


@pytest.mark.parametrize(
    ("tail", "frames", "flags"),
    [
        (b"", 3, ("unterminated",)),
        (b"\n", 3, ()),
        (b"\r\n", 3, ()),
        (b"\n\n \r\n\n", 3, ()),
        (b"\n4|4", 4, ("unterminated",)),
    ],
)
@pytest.mark.parametrize("block", [1 << 22, 1, 2, 5])
def test_ends_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tail: bytes, frames: int, flags: tuple[str, ...], block: int
) -> None:
    monkeypatch.setattr(iqtext, "_BLOCK", block)
    iqtext._index.cache_clear()
    header = formats.probe(write(tmp_path / "x.csv", b"1000|0\n1|1\n2|2\n3|3" + tail))
    assert (header.frames, header.flags) == (frames, flags)
    assert read(header).tolist() == [(1 + 1j) * k for k in range(1, frames + 1)]


def test_nothing_but_a_header(tmp_path: Path) -> None:
    for content in (b"1000|5", b"1000|5\n", b"1000|5\n\n"):
        header = formats.probe(write(tmp_path / "x.csv", content))
        assert (header.frames, header.rate, header.center_frequency) == (0, 1000, 5.0)
        assert len(read(header)) == 0


def test_a_mark_of_utf8_and_numbers_of_all_sorts(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf1e3|-2.5\n+.5|1.\n1E-3|-0\nnan|-inf\nInfinity|1e400\n"
    header = formats.probe(write(tmp_path / "x.csv", content))
    assert (header.rate, header.center_frequency) == (1000, -2.5)
    found = read(header)
    assert found[:2].tolist() == [0.5 + 1j, 0.001 - 0j]
    assert np.isnan(found[2].real)
    assert (found[2].imag, found[3].real, found[3].imag) == (-np.inf, np.inf, np.inf)


def test_a_text_without_a_first_line(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", iq_files.text_bytes(Z / 1e15, first=None))
    with pytest.raises(FormatError, match="header=False and rate="):
        formats.probe(path)
    with pytest.raises(FormatError, match="pass rate= in Hz"):
        formats.probe(path, header=False)
    check_format(path, format="iqtext", expected=Z / 1e15, header=False, rate=1000)


def test_what_is_given_wins_over_the_first_line(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", iq_files.text_bytes(Z))
    header = formats.probe(path, rate=5, center_frequency=7, scale=2e-3)
    assert (header.rate, header.center_frequency, header.scale, header.units) == (5, 7.0, 2e-3, "V")


@pytest.mark.parametrize(
    "first", ["", "fs|center", "0|1", "-5|1", "nan|1", "inf|1", "1000|nan", "1000", "1|2|3", "1,5|2"]
)
def test_first_lines_that_say_no_rate(tmp_path: Path, first: str) -> None:
    path = write(tmp_path / "x.csv", iq_files.text_bytes(Z, first=first))
    with pytest.raises(FormatError, match=r"'rate\|center' was expected") as caught:
        formats.probe(path)
    assert path in str(caught.value)


@pytest.mark.parametrize(
    "line",
    ["", "1", "1|", "|1", "1|2|3", "1|x", "a", "1,5|2", "True|1", "1_0|1", "0x1|1", "1|2 3", '"1"|2', "1|1e", "1e 2"],
)
@pytest.mark.parametrize("at", [0, 1, 57, 399])
@pytest.mark.usefixtures("small")
def test_bad_lines_are_named(tmp_path: Path, line: str, at: int) -> None:
    lines = iq_files.text_bytes(Z).split(b"\n")
    lines[1 + at] = line.encode()
    if at == 399 and not line:
        lines.append(b"1|1")  # empty lines at the very end are none
    header = formats.probe(write(tmp_path / "x.csv", b"\n".join(lines)))
    source = formats.source(header)
    # an editor counts from 1, and the first line is the header
    with pytest.raises(FormatError, match=rf"x\.csv, line {at + 2}: b{re.escape(repr(line))}"):
        source.read(0, header.frames)
    np.testing.assert_array_equal(source.read(0, at), Z[:at])
    np.testing.assert_array_equal(source.read(at + 1, 400), Z[at + 1 :])


@pytest.mark.usefixtures("small")
def test_a_line_without_an_end_is_told_in_bounded_memory(tmp_path: Path) -> None:
    content = b"1000|0\n1|1\n" + b"7" * (1 << 22)
    header = formats.probe(write(tmp_path / "x.csv", content))
    tracemalloc.start()
    with pytest.raises(FormatError, match="line 3"):
        read(header)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_counting_lines_takes_a_block_at_a_time(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", b"1000|0\n" + b"1.5|2.5\n" * (3 << 20))
    iqtext._index.cache_clear()
    tracemalloc.start()
    header = formats.probe(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert header.frames == 3 << 20
    # a block of 2 MiB, what marks its line ends, and where these are: the file has 25 MB
    assert peak < 12 << 20


def test_a_read_parses_only_the_lines_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = formats.probe(write(tmp_path / "x.csv", iq_files.text_bytes(Z)))
    parsed: list[bytes] = []
    original = iqtext._parse

    def counting(path: str, piece: Any) -> np.ndarray:
        parsed.append(piece.text)
        return original(path, piece)

    monkeypatch.setattr(iqtext, "_parse", counting)
    formats.source(header).read(100, 103)
    assert b"".join(parsed) == b"\n".join(iq_files.text_bytes(Z).split(b"\n")[101:104]) + b"\n"


def test_the_index_is_made_once_a_process_and_again_for_another_file(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", iq_files.text_bytes(Z))
    iqtext._index.cache_clear()
    header = formats.probe(path)
    read(header)
    assert iqtext._index.cache_info().misses == 1
    iqtext._index.cache_clear()  # as on a worker
    np.testing.assert_array_equal(read(header), Z)
    write(Path(path), iq_files.text_bytes(Z[::-1][:300]))
    np.testing.assert_array_equal(read(formats.probe(path)), Z[::-1][:300])
    assert iqtext._index.cache_info().maxsize == 64


def test_a_file_that_became_shorter_says_how_much_is_left(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", iq_files.text_bytes(Z))
    header = formats.probe(path)
    write(Path(path), iq_files.text_bytes(Z[:250]))
    with pytest.raises(TruncatedFile) as caught:
        formats.source(header).read(200, 300)
    assert (caught.value.wanted, caught.value.found) == (100, 50)
    write(Path(path), iq_files.text_bytes(np.append(Z, Z)))
    with pytest.raises(FormatError, match="changed since"):
        formats.source(header).read(200, 300)


def test_detection_needs_two_lines_of_two_numbers() -> None:
    assert iqtext.recognises(b"390625.0|244778900.0\n1e-3|2\n")
    for head in (b"", b"a,b\n1,2\n", b"1000|5\n", b"0.1|0.2\n1|2\n3|4\n", b"1000|5\nx|2\n"):
        assert not iqtext.recognises(head)


def test_folders_are_not_searched_for_texts(tmp_path: Path) -> None:
    assert not {".csv", ".txt"} & set(formats.listed())
    assert formats.is_complete(write(tmp_path / "x.csv", iq_files.text_bytes(Z))) is None
    with pytest.raises(FormatError, match="download it"):
        formats.probe("https://example.org/x.csv")


@given(
    line=st.from_regex(r"\A[0-9+\-.eE ]{0,8}[|,;\t ][0-9+\-.eE \t\r]{0,8}\Z")
    | st.tuples(st.floats(), st.sampled_from("|,; \t"), st.floats()).map(
        lambda part: f"{part[0]!r}{part[1]}{part[2]!r}"
    )
)
@settings(max_examples=500, deadline=None)
def test_the_quick_way_takes_what_the_exact_way_takes(line: str) -> None:
    match = iqtext._LINE.fullmatch(line.encode())
    piece = iqtext.Piece(line.encode() + b"\n", 7)
    if match is None:
        with pytest.raises(FormatError, match="line 7"):
            iqtext._parse("x", piece)
    else:
        np.testing.assert_array_equal(iqtext._parse("x", piece), [[float(match[1]), float(match[2])]])


@given(cuts=st.lists(st.integers(0, 400)), block=st.sampled_from([40, 300, 1 << 22]), every=st.integers(1, 500))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cuts_give_the_same_bits(tmp_path: Path, cuts: list[int], block: int, every: int) -> None:
    path = tmp_path / "x.csv"
    if not path.exists():
        path.write_bytes(iq_files.text_bytes(Z))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(iqtext, "EVERY", every)
        patch.setattr(iqtext, "_BLOCK", block)
        iqtext._index.cache_clear()
        source = formats.source(formats.probe(path))
        pieces = [source.read(a, b) for a, b in pairwise([0, *sorted(cuts), 400])]
    iqtext._index.cache_clear()
    assert np.concatenate(pieces).tobytes() == Z.tobytes()
