"""X-COM .xdat files and the XML beside them, in both of its forms, and damaged ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import analyser_files
import numpy as np
import pytest
import receiver_files as files
from hypothesis import given, settings
from hypothesis import strategies as st

from reelarray.errors import FormatError
from reelarray.formats import xdat
from reelarray.source import Header
from reelarray.testing import check_format


def read(header: Header) -> np.ndarray:
    source = xdat.source(header.path, header.frames, header.layout, header.bytes, header.modified_ns)
    return source.read(0, header.frames)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "run7.xdat")


def test_header_says_rate_centre_scale_and_start(path: str) -> None:
    counts = files.write_xdat(path, 1000)
    header = xdat.probe(path)
    assert (header.frames, header.shape, header.dtype, header.iq) == (1000, (1000, 2), "<i2", True)
    assert (header.rate, header.center_frequency) == (390_625, 244_778_900.0)
    assert (header.scale, header.units, header.flags) == (2.5e-7, "V", ())
    assert header.start_ns == analyser_files.START_NS
    assert (header.metadata["bandwidth"], header.metadata["utc_offset"]) == (312_500, "+02:00")
    np.testing.assert_array_equal(read(header), counts)


def test_format_keeps_the_contract(path: str) -> None:
    counts = files.write_xdat(path, 3000)
    header = check_format(path, expected=counts, format="xdat", header=path.replace(".xdat", ".xml"))
    assert header.frames == 3000


@pytest.mark.parametrize("side", [".xml", ".xhdr", ".xdat.xml", ".xdat.xhdr"])
def test_the_xml_is_found_beside_the_samples(path: str, side: str) -> None:
    files.write_xdat(path, 100, side=side)
    assert xdat.probe(path).frames == 100


def test_upper_case_goes_together(tmp_path: Path) -> None:
    files.write_xdat(tmp_path / "a.xdat", 100)
    os.rename(tmp_path / "a.xdat", tmp_path / "A.XDAT")
    os.rename(tmp_path / "a.xml", tmp_path / "A.XML")
    assert xdat.probe(str(tmp_path / "A.XDAT")).frames == 100


def test_the_xml_may_be_elsewhere(path: str, tmp_path: Path) -> None:
    files.write_xdat(path, 100)
    (tmp_path / "other").mkdir()
    moved = os.rename(tmp_path / "run7.xml", tmp_path / "other" / "what.ever") or str(tmp_path / "other" / "what.ever")
    assert xdat.probe(path, header=moved).frames == 100
    with pytest.raises(FormatError, match=r"no XML file with their rate is beside it \(.xml, .xhdr\)"):
        xdat.probe(path)


def test_a_capture_is_not_called_volts(path: str) -> None:
    counts = files.write_xdat(path, 100, side=".xhdr")
    header = xdat.probe(path)
    assert (header.scale, header.units, header.start_ns) == (2.0**-15, "1", None)
    assert header.metadata["acq_scale_factor"] == 2.5e-7
    assert header.metadata["start_capture"] == "2014:212:08:33:15.978273"
    assert header.metadata["span"] == 312_500
    given = xdat.probe(path, scale=1e-3)
    assert (given.scale, given.units) == (1e-3, "V")
    np.testing.assert_array_equal(read(header), counts)


@pytest.mark.parametrize(("keep", "frames"), [(0.6, 60), (0.6025, 60), (0.0, 0)])
def test_a_file_cut_short_has_the_whole_samples_that_are_there(path: str, keep: float, frames: int) -> None:
    counts = files.write_xdat(path, 100, keep=keep)
    header = xdat.probe(path)
    assert (header.frames, header.flags, header.metadata["declared_frames"]) == (frames, ("truncated",), 100)
    np.testing.assert_array_equal(read(header), counts[:frames])


def test_bytes_behind_the_samples_are_not_read(path: str) -> None:
    counts = files.write_xdat(path, 100, extra=b"\x7f" * 9)
    header = xdat.probe(path)
    assert (header.frames, header.flags, header.metadata["extra_bytes"]) == (100, ("extra_bytes",), 9)
    np.testing.assert_array_equal(read(header), counts)


def test_complete_when_samples_and_xml_are_there(path: str) -> None:
    files.write_xdat(path, 100)
    side = path.replace(".xdat", ".xml")
    assert xdat.complete(path) is True
    text = Path(side).read_bytes()
    for part in (text[: len(text) // 2], text[:-1], b""):
        Path(side).write_bytes(part)
        assert xdat.complete(path) is False
    os.remove(side)
    assert xdat.complete(path) is False
    Path(side).write_bytes(text + b"\r\n")
    assert xdat.complete(path) is True
    os.truncate(path, 399)
    assert xdat.complete(path) is False


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recording": {"sample_rate": "0"}}, "sample_rate = '0'"),
        ({"recording": {"sample_rate": None}}, "does not state sample_rate"),
        ({"recording": {"center_frequency": "nan"}}, "center_frequency = 'nan'"),
        ({"recording": {"acq_scale_factor": "-1"}}, "acq_scale_factor = '-1'"),
        ({"recording": {"acq_scale_factor": None}}, "does not state acq_scale_factor"),
        ({"data": {"samples": "many"}}, "samples = 'many'"),
        ({"data": {"samples": None}}, "does not state samples"),
        ({"data": {"little_endian": "false"}}, "little_endian='false', 'true' is what"),
        ({"data": {"data_encoding": "float32"}}, "data_encoding='float32'"),
        ({"before": "<oops>"}, "no complete XML"),
        ({"before": "<!DOCTYPE x>"}, "document type"),
        ({"before": "<!DOCTYPE x SYSTEM 'file:///etc/passwd'>"}, "document type"),
    ],
)
def test_xml_that_is_wrong(path: str, changes: dict[str, Any], message: str) -> None:
    files.write_xdat(path, 100, **changes)
    with pytest.raises(FormatError, match=message) as caught:
        xdat.probe(path)
    assert path.replace(".xdat", ".xml") in str(caught.value)


@pytest.mark.parametrize("text", ["<x/>", "<x><data samples='5'/></x>", "<x><recording/></x>"])
def test_xml_of_something_else(path: str, text: str) -> None:
    files.write_xdat(path, 100)
    Path(path.replace(".xdat", ".xml")).write_text(text)
    with pytest.raises(FormatError, match="has no element"):
        xdat.probe(path)


def test_scale_that_is_none(path: str) -> None:
    files.write_xdat(path, 100)
    with pytest.raises(FormatError, match=r"scale=-1\.0 was given"):
        xdat.probe(path, scale=-1.0)


def test_utf_16_hides_no_document_type(path: str) -> None:
    files.write_xdat(path, 100)
    side = Path(path.replace(".xdat", ".xml"))
    side.write_bytes(side.read_text().replace("utf-8", "utf-16").encode("utf-16"))
    assert xdat.probe(path).frames == 100
    side.write_bytes(analyser_files.LAUGHS.encode("utf-16"))
    with pytest.raises(FormatError, match="document type"):
        xdat.probe(path)


def test_billion_laughs_take_no_memory(path: str) -> None:
    files.write_xdat(path, 100)
    Path(path.replace(".xdat", ".xml")).write_text(analyser_files.LAUGHS)
    assert "document type" in analyser_files.probe_in_bounded_memory("xdat", path)


def test_an_xml_of_gigabytes_is_not_read(path: str) -> None:
    files.write_xdat(path, 100)
    with open(path.replace(".xdat", ".xml"), "ab") as file:
        file.truncate(4 << 30)
    with pytest.raises(FormatError, match="4,294,967,296 bytes, the XML of a recording has at most 16,777,216"):
        xdat.probe(path)


def test_folder_and_missing_file(tmp_path: Path) -> None:
    (tmp_path / "folder.xdat").mkdir()
    with pytest.raises(FormatError, match="is a folder"):
        xdat.probe(str(tmp_path / "folder.xdat"))
    with pytest.raises(FileNotFoundError):
        xdat.probe(str(tmp_path / "missing.xdat"))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_any_damage_of_the_xml_raises_a_format_error(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    path = str(tmp_path_factory.getbasetemp() / "damaged.xdat")
    files.write_xdat(path, 64)
    side = Path(path.replace(".xdat", ".xml"))
    side.write_bytes(analyser_files.damage(side.read_bytes(), seed))
    try:
        header = xdat.probe(path)
    except FormatError:
        return
    assert len(read(header)) == header.frames


def test_an_encoding_that_is_none(path: str) -> None:
    files.write_xdat(path, 64)
    side = Path(path.replace(".xdat", ".xml"))
    side.write_bytes(side.read_bytes().replace(b"utf-8", b"oops8"))
    with pytest.raises(FormatError, match="unknown encoding"):
        xdat.probe(path)
