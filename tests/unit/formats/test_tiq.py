"""Tektronix .tiq: header and samples to the bit, DataSets with gaps, and everything that can be wrong with one."""

from __future__ import annotations

import builtins
import importlib.util
import os
import pickle
import re
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import analyser_files as files
import fsspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelarray import open_recording, segments
from reelarray.errors import FormatError, TruncatedFile
from reelarray.formats import ranges, tiq
from reelarray.source import Header, Source
from reelarray.testing import check_format


def source_of(header: Header) -> Source:
    return tiq.source(header.path, header.frames, header.layout, header.bytes, header.modified_ns)


def read(header: Header) -> np.ndarray:
    return source_of(header).read(0, header.frames)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "run7.tiq")


def test_header_says_rate_centre_scale_and_start(path: str) -> None:
    counts = files.write_tiq(path, 1000)
    header = tiq.probe(path)
    assert (header.frames, header.shape, header.dtype, header.iq) == (1000, (1000, 2), "<i4", True)
    assert (header.rate, header.center_frequency) == (Fraction(390_625), 244_778_900.0)
    assert (header.scale, header.units, header.flags) == (files.SCALING, "V", ())
    assert header.start_ns == files.START_NS  # with its 100 ns
    assert header.breaks == ()
    np.testing.assert_array_equal(read(header), counts)


def test_metadata_has_the_standard_names_and_no_option_key(path: str) -> None:
    files.write_tiq(path, 100)
    metadata = tiq.probe(path).metadata
    assert metadata["utc_offset"] == "+02:00"
    assert (metadata["bandwidth"], metadata["span"], metadata["rbw"]) == (312_500.0, 200e3, 3e3)
    assert (metadata["rf_attenuation"], metadata["reference_level"]) == (10, -35)
    assert (metadata["instrument"], metadata["dither"], metadata["preamplifier"]) == ("RSA5103A", True, False)
    assert metadata["segments"] == [{"sample_start": 0, "samples": 100, "timestamp_offset": 0, "trigger_position": 5}]
    assert "SECRETOPTIONKEY" not in str(metadata)


def test_format_keeps_the_contract(path: str) -> None:
    counts = files.write_tiq(path, 3000, datasets=3, gaps=[0.5, 0.25])
    assert check_format(path, expected=counts).format == "tiq"


def test_long_header_is_read_once_and_no_sample(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = files.write_tiq(path, 100_000, header_bytes=files.REAL_HEADER_BYTES, padded=True)
    taken: list[int] = []
    real = os.read
    monkeypatch.setattr(ranges.os, "read", lambda handle, size: taken.append(len(got := real(handle, size))) or got)
    header = tiq.probe(path)
    assert sum(taken) < files.REAL_HEADER_BYTES + 2 * ranges.LOCAL_STEP
    monkeypatch.undo()
    assert (header.layout, header.frames) == (("<i4", files.REAL_HEADER_BYTES, 2), 100_000)
    np.testing.assert_array_equal(read(header), counts)


def test_a_read_opens_the_file_once_and_takes_just_its_bytes(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = files.write_tiq(path, 10_000)
    source = pickle.loads(pickle.dumps(source_of(tiq.probe(path))))
    asked: list[tuple[str, int]] = []
    real: Callable[..., Any] = builtins.open

    class Counting:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __getattr__(self, name: str) -> Any:
            def call(*args: Any) -> Any:
                asked.append((name, len(args[0]) if name == "readinto" else 0))
                return getattr(self.file, name)(*args)

            return call

        def __enter__(self) -> Counting:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

    def counted(*args: Any, **options: Any) -> Counting:
        asked.append(("open", 0))
        return Counting(real(*args, **options))

    monkeypatch.setattr(builtins, "open", counted)
    found = source.read(4000, 4321)
    monkeypatch.undo()
    np.testing.assert_array_equal(found, counts[4000:4321])
    assert [each for each in asked if each[0] != "fileno"] == [("open", 0), ("seek", 0), ("readinto", 321 * 8)]


def test_padded_number_of_samples(path: str) -> None:
    files.write_tiq(path, 1024, number_samples="0001024")
    header = tiq.probe(path)
    assert (header.frames, header.flags) == (1024, ())


@pytest.mark.parametrize(
    ("text", "utc_ns", "offset"),
    [
        ("2014-08-01T10:33:15.9782727+02:00", files.START_NS, "+02:00"),
        ("2014-08-01T08:33:15.9782727Z", files.START_NS, "+00:00"),
        ("2014-08-01T03:03:15.9782727-05:30", files.START_NS, "-05:30"),
        ("2014-08-01T10:33:15.978272712345+02:00", files.START_NS + 12, "+02:00"),
    ],
)
def test_date_keeps_100_ns_and_its_offset(path: str, text: str, utc_ns: int, offset: str) -> None:
    files.write_tiq(path, 16, date_time=text)
    header = tiq.probe(path)
    assert (header.start_ns, header.metadata["utc_offset"]) == (utc_ns, offset)


@pytest.mark.parametrize("text", [None, "", "yesterday", "2014-13-01T10:33:15+02:00", "9999-01-01T00:00:00Z"])
def test_without_a_date_the_start_is_unknown(path: str, text: str | None) -> None:
    counts = files.write_tiq(path, 16, date_time=text)
    header = tiq.probe(path)
    assert header.start_ns is None
    assert "utc_offset" not in header.metadata
    np.testing.assert_array_equal(read(header), counts)


def test_a_date_without_zone_is_no_utc(path: str) -> None:
    files.write_tiq(path, 16, date_time="2014-08-01T10:33:15.5")
    header = tiq.probe(path)
    assert header.start_ns is None
    assert header.metadata["naive_start"] == "2014-08-01T10:33:15.5"


# --- several DataSets


def test_gaps_between_data_sets_are_breaks(path: str) -> None:
    counts = files.write_tiq(path, 4096, datasets=4, gaps=[0.1, 0.0, 0.25])
    header = tiq.probe(path)
    step = Fraction(1024, 390_625) * 10**9
    assert header.breaks == ((1024, round(step + 10**8)), (3072, round(3 * step + 10**8 + 25 * 10**7)))
    assert (header.frames, header.flags) == (4096, ())
    assert [each["sample_start"] for each in header.metadata["segments"]] == [0, 1024, 2048, 3072]
    assert header.metadata["segments"][1]["fast_frame_id"] == 1
    assert header.metadata["segments"][3]["id_in_fast_frame"] == 3
    assert header.metadata["segments"][2]["total_in_fast_frame"] == 4
    np.testing.assert_array_equal(read(header), counts)


def test_first_offset_moves_the_start_and_breaks_count_from_it(path: str) -> None:
    files.write_tiq(path, 200, datasets=2, offsets=["-0.50000001", "1.25"])
    header = tiq.probe(path)
    assert header.start_ns == files.START_NS - 500_000_010
    assert header.breaks == ((100, 1_750_000_010),)


@pytest.mark.parametrize(
    ("beyond", "breaks"),
    # half a sample is 1.28 us
    [(0, 0), (1.2e-6, 0), (-1.2e-6, 0), (1.4e-6, 1)],
)
def test_less_than_half_a_sample_is_no_gap(path: str, beyond: float, breaks: int) -> None:
    files.write_tiq(path, 200, datasets=2, offsets=[0.0, 100 / 390_625 + beyond])
    header = tiq.probe(path)
    assert (len(header.breaks), header.flags) == (breaks, ())


def test_offsets_are_no_more_exact_than_they_are_printed(path: str) -> None:
    # 484 samples at 56 MHz last 8642.857 ns; printed to 10 ns that is 8640, 0.16 samples off, and 8650 would be too
    files.write_tiq(path, 4 * 484, datasets=4, rate=56e6, offsets=[f"{k * 484 / 56e6:.8f}" for k in range(4)])
    header = tiq.probe(path)
    assert (header.breaks, header.flags) == ((), ())
    # and 1.8 ms later is a gap all the same
    files.write_tiq(path, 2 * 484, datasets=2, rate=56e6, offsets=["0.00000000", "0.00180864"])
    assert tiq.probe(path).breaks == ((484, 1_808_640),)


def test_offsets_that_are_cut_off_after_10_ns_are_no_overlap(path: str) -> None:
    # at 112 MHz half a sample is 4.5 ns: the third DataSet, due after 1785.7 ns, says 1780
    offsets = [f"0.{k * 100 * 10**8 // 112_000_000:08d}" for k in range(8)]
    files.write_tiq(path, 800, datasets=8, rate=112e6, offsets=offsets)
    header = tiq.probe(path)
    assert offsets[2] == "0.00000178"
    assert (header.breaks, header.flags) == ((), ())


def test_small_gaps_add_up(path: str) -> None:
    # each DataSet is 0.4 samples late: after the second the clock is off by more than half of one
    late = 0.4 / 390_625
    files.write_tiq(path, 400, datasets=4, offsets=[k * (100 / 390_625 + late) for k in range(4)])
    assert [frame for frame, _ in tiq.probe(path).breaks] == [200]


@pytest.mark.parametrize("offsets", [[0.0, 0.5, 0.25], [0.0, 0.0001, 0.5], [0.0, -1.0, 1.0]])
def test_data_sets_that_overlap_or_go_back_are_taken_as_contiguous(path: str, offsets: list[float]) -> None:
    counts = files.write_tiq(path, 300, datasets=3, offsets=offsets)
    header = tiq.probe(path)
    assert (header.breaks, header.flags) == ((), ("time_order",))
    np.testing.assert_array_equal(read(header), counts)


def test_number_of_samples_that_counts_all_data_sets(path: str) -> None:
    files.write_tiq(path, 1200, datasets=4, gaps=[0.1, 0.1, 0.1], number_samples="1200")
    header = tiq.probe(path)
    assert (header.frames, header.flags) == (1200, ("total_samples",))
    assert [frame for frame, _ in header.breaks] == [300, 600, 900]
    assert [each["samples"] for each in header.metadata["segments"]] == [300] * 4


def test_another_count_of_data_sets_is_said(path: str) -> None:
    files.write_tiq(path, 1200, datasets=4, count=5)
    header = tiq.probe(path)
    assert (header.frames, header.flags) == (1200, ("dataset_count",))


def test_errors_of_a_data_set_are_kept(path: str) -> None:
    files.write_tiq(path, 200, datasets=2, gaps=[1.0], errors=[("7", "ADC overflow"), ("8", "reference lost")])
    header = tiq.probe(path)
    assert header.flags == ("instrument_errors",)
    first, second = header.metadata["segments"]
    assert "errors" not in first
    assert second["errors"] == [{"id": "7", "message": "ADC overflow"}, {"id": "8", "message": "reference lost"}]


@given(
    lengths=st.integers(1, 40),
    gaps=st.lists(st.integers(0, 50), min_size=0, max_size=6),
    data=st.data(),
)
@settings(max_examples=40, deadline=None)
def test_any_cut_of_any_gaps(
    tmp_path_factory: pytest.TempPathFactory, lengths: int, gaps: list[int], data: st.DataObject
) -> None:
    path = str(tmp_path_factory.mktemp("cuts") / "x.tiq")
    rate, sets = 1000.0, len(gaps) + 1
    counts = files.write_tiq(path, lengths * sets, datasets=sets, gaps=[gap / rate for gap in gaps], rate=rate)
    header = tiq.probe(path)
    missing = np.cumsum([0, *gaps])
    wanted = [
        (k * lengths, int(k * lengths + missing[k]) * 1_000_000) for k in range(1, sets) if missing[k] > missing[k - 1]
    ]
    assert header.breaks == tuple(wanted)
    start = data.draw(st.integers(0, header.frames))
    stop = data.draw(st.integers(start, header.frames))
    np.testing.assert_array_equal(source_of(header).read(start, stop), counts[start:stop])


# --- sizes that do not fit


@pytest.mark.parametrize(("keep", "frames"), [(0.6, 600), (0.6001, 600), (0.0, 0), (0.9995, 999)])
def test_a_file_cut_short_has_the_whole_samples_that_are_there(path: str, keep: float, frames: int) -> None:
    counts = files.write_tiq(path, 1000, keep=keep)
    header = tiq.probe(path)
    assert (header.frames, header.flags, header.metadata["declared_frames"]) == (frames, ("truncated",), 1000)
    np.testing.assert_array_equal(read(header), counts[:frames])


def test_data_sets_cut_short_keep_the_breaks_that_are_there(path: str) -> None:
    files.write_tiq(path, 1200, datasets=4, gaps=[0.1, 0.1, 0.1], keep=0.7)
    header = tiq.probe(path)
    assert (header.frames, header.flags) == (840, ("truncated",))
    assert [frame for frame, _ in header.breaks] == [300, 600]
    assert [each["samples"] for each in header.metadata["segments"]] == [300, 300, 240, 0]


def test_bytes_behind_the_samples_are_not_read(path: str) -> None:
    counts = files.write_tiq(path, 100, extra=b"\xff" * 21)
    header = tiq.probe(path)
    assert (header.frames, header.flags, header.metadata["extra_bytes"]) == (100, ("extra_bytes",), 21)
    np.testing.assert_array_equal(read(header), counts)


def test_a_file_that_shrinks_after_probing_is_loud(path: str) -> None:
    files.write_tiq(path, 100)
    source = source_of(tiq.probe(path))
    os.truncate(path, os.path.getsize(path) - 8 * 30)
    with pytest.raises(TruncatedFile) as caught:
        source.read(50, 100)
    assert (caught.value.wanted, caught.value.found) == (50, 20)


def test_complete_by_declared_size(path: str) -> None:
    files.write_tiq(path, 1000)
    size = os.path.getsize(path)
    assert tiq.complete(path) is True
    for kept in (size - 1, size - 8000, size - 8001, 100, 64, 63, 5, 0):
        os.truncate(path, kept)
        assert tiq.complete(path) is False


def test_complete_cannot_tell_between_the_two_readings(path: str) -> None:
    files.write_tiq(path, 1000, datasets=4, gaps=[1.0])
    size = os.path.getsize(path)
    assert tiq.complete(path) is True
    os.truncate(path, size - 8)
    assert tiq.complete(path) is None
    os.truncate(path, size - 750 * 8)
    assert tiq.complete(path) is None
    os.truncate(path, size - 750 * 8 - 1)
    assert tiq.complete(path) is False


def test_complete_of_another_file_raises(path: str) -> None:
    Path(path).write_bytes(b"RIFF" + b"\0" * 1000)
    with pytest.raises(FormatError, match="starts with b'RIFF"):
        tiq.complete(path)


# --- bad input


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scaling": "NaN"}, "Scaling = 'NaN'"),
        ({"scaling": "0"}, "Scaling = '0'"),
        ({"scaling": "-1e-12"}, "Scaling = '-1e-12'"),
        ({"scaling": "1e40"}, "Scaling = 1e[+]40, volts a count were expected"),
        ({"scaling": "5,2E-12"}, "Scaling = '5,2E-12'"),
        ({"scaling": "1e999999999"}, "Scaling = '1e999999999'"),
        ({"leave_out": ["Scaling"]}, "does not state Scaling"),
        ({"center_frequency": "INF"}, "Frequency = 'INF'"),
        ({"center_frequency": "x" * 1000}, "Frequency = 'xxx"),
        ({"leave_out": ["Frequency"]}, "does not state Frequency"),
        ({"leave_out": ["SamplingFrequency"]}, "does not state SamplingFrequency"),
        ({"leave_out": ["NumberSamples"]}, "does not state NumberSamples"),
        ({"number_samples": "-5"}, "NumberSamples = '-5'"),
        ({"number_samples": "many"}, "NumberSamples = 'many'"),
        ({"number_samples": "1.5"}, "NumberSamples = '1.5'"),
        ({"number_samples": "9" * 5000}, "NumberSamples = '999"),
        ({"number_samples": "9" * 25}, "NumberSamples = '999"),
        ({"samples_type": "Real"}, "SamplesType = 'Real', 'IQ' is what"),
        ({"number_format": "Single"}, "NumberFormat = 'Single', 'Int32'"),
        ({"endian": "Big"}, "Endian = 'Big', 'Little'"),
        ({"offsets": ["soon"]}, "TimestampOffset = 'soon'"),
        ({"header_bytes": 5000, "offset": 4000}, "no complete XML"),
        ({"offset": 1000}, "no complete XML"),
        ({"offset": 20}, "gives the header 20 bytes"),
        ({"offset": 2_000}, "no complete XML"),
        ({"offset": 500_000}, "500,000"),
        ({"offset": 3 << 20}, "3,145,728"),
    ],
)
def test_headers_that_are_wrong(path: str, changes: dict[str, Any], message: str) -> None:
    files.write_tiq(path, 1000, **changes)
    with pytest.raises(FormatError, match=message) as caught:
        tiq.probe(path)
    assert path in str(caught.value)
    assert len(str(caught.value)) < 500 + len(path)


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        ("0", "SamplingFrequency = '0'"),
        ("-390625", "SamplingFrequency = '-390625'"),
        ("nan", "SamplingFrequency = 'nan'"),
        ("1e-999999999", "SamplingFrequency = '1e-999999999'"),
        ("3/4", "SamplingFrequency = '3/4'"),
        ("0.5", "gives 0.5 samples a second, 1 to 10,000,000,000,000 are possible"),
        ("1e300", "gives 1e[+]300 samples a second"),
    ],
)
def test_rates_that_are_none(path: str, rate: str, message: str) -> None:
    files.write_tiq(path, 10, rate_text=rate)
    with pytest.raises(FormatError, match=message):
        tiq.probe(path)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("390625", 390_625),
        ("54687.5", Fraction(109_375, 2)),
        ("46874999.999999993", 46_875_000),
        ("3.90625E+05", 390_625),
    ],
)
def test_rates_are_the_simplest_within_their_digits(path: str, text: str, rate: Fraction) -> None:
    files.write_tiq(path, 10, rate_text=text)
    assert tiq.probe(path).rate == rate


@pytest.mark.parametrize("offsets", [["0", "1e300"], ["-1e12", "0"]])
def test_times_that_cannot_be_meant(path: str, offsets: list[str]) -> None:
    files.write_tiq(path, 10, datasets=2, offsets=offsets)
    header = tiq.probe(path)
    assert (header.breaks, header.start_ns, header.flags) == ((), files.START_NS, ("time_order",))


@pytest.mark.parametrize("offset", [(64 << 20) + 1, 5 << 30, 10**19])
def test_a_header_of_gigabytes_is_not_read(path: str, offset: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(path, "wb") as file:
        file.write(b'<DataFile offset="%d" version="0.3">\r\n' % offset)
        file.truncate(min(offset, 8 << 30))  # sparse
    taken: list[int] = []
    real = os.read
    monkeypatch.setattr(ranges.os, "read", lambda handle, size: taken.append(size) or real(handle, size))
    with pytest.raises(FormatError, match="67,108,864 are possible"):
        tiq.probe(path)
    assert sum(taken) == ranges.LOCAL_STEP


def test_a_header_without_an_end_stops_at_the_first_thing_that_is_no_xml(path: str) -> None:
    header = files.tiq_header("1000", offset=60 << 20).replace(b"</DataFile>", b"")
    with open(path, "wb") as file:
        file.write(header + files.tone(1000).tobytes())
        file.truncate(61 << 20)
    with pytest.raises(FormatError, match="no complete XML"):
        tiq.probe(path)


def test_no_data_set(path: str) -> None:
    header = files.tiq_header("10", offsets=())
    Path(path).write_bytes(header + b"\0" * 80)
    with pytest.raises(FormatError, match="no DataSet, at least one"):
        tiq.probe(path)


def test_empty_file_folder_and_missing_file(tmp_path: Path) -> None:
    (tmp_path / "empty.tiq").touch()
    (tmp_path / "folder.tiq").mkdir()
    with pytest.raises(FormatError, match=r"\(0 bytes\) starts with b''"):
        tiq.probe(str(tmp_path / "empty.tiq"))
    for look in (tiq.probe, tiq.complete):
        with pytest.raises(FormatError, match="is a folder"):
            look(str(tmp_path / "folder.tiq"))
        with pytest.raises(FileNotFoundError):
            look(str(tmp_path / "missing.tiq"))


def test_file_shorter_than_its_header(path: str) -> None:
    files.write_tiq(path, 100, header_bytes=5000)
    os.truncate(path, 3000)
    with pytest.raises(FormatError, match="has 3,000 bytes, its header alone has 5,000; the copy is not finished"):
        tiq.probe(path)


def test_values_of_other_parents_do_not_count(path: str) -> None:
    # a Frequency in Setup, which has no namespace, and one of another element before the real one
    before = "<Other><Frequency>1</Frequency><Scaling>2</Scaling><NumberSamples>3</NumberSamples></Other>"
    files.write_tiq(path, 64, before=before)
    header = tiq.probe(path)
    assert (header.center_frequency, header.scale, header.frames) == (files.CENTER, files.SCALING, 64)


def test_prefixed_names_and_comments(path: str) -> None:
    header = files.tiq_header("10", before="<!-- <Scaling>1</Scaling> -->")
    for name in (b"Scaling", b"ProductSpecific", b"DataSet"):
        header = header.replace(b"<" + name + b">", b"<tek:" + name + b">").replace(
            b"<" + name + b" ", b"<tek:" + name + b" "
        )
        header = header.replace(b"</" + name + b">", b"</tek:" + name + b">")
    header = header.replace(b'offset="%09d"' % int(header[18:27]), b'offset="%09d"' % len(header))
    Path(path).write_bytes(header + b"\0" * 80)
    found = tiq.probe(path)
    assert (found.scale, found.metadata["instrument"], found.frames) == (files.SCALING, "RSA5103A", 10)


def test_settings_that_are_absent_or_no_numbers_are_left_out(path: str) -> None:
    files.write_tiq(path, 10, span=None, rbw=None, leave_out=["RFAttenuation", "TriggerPosition"])
    metadata = tiq.probe(path).metadata
    assert not {"span", "rbw", "rf_attenuation"} & metadata.keys()
    assert metadata["segments"] == [{"sample_start": 0, "samples": 10, "timestamp_offset": 0}]


# --- XML that is meant to harm


@pytest.mark.parametrize(
    ("before", "message"),
    [
        # a document type cannot follow the first tag, with which every .tiq begins
        pytest.param(files.LAUGHS, "no complete XML", id="billion laughs"),
        pytest.param("<a>" * 5_000_000, "nested deeper than 256", id="deep"),
        pytest.param("<a b='c'/>" * 1_500_000 + "<", "no complete XML", id="many"),
    ],
)
def test_memory_stays_bounded(path: str, before: str, message: str) -> None:
    Path(path).write_bytes(files.tiq_header("10", before=before) + b"\0" * 80)
    assert message in files.probe_in_bounded_memory("tiq", path)


def test_no_more_data_sets_nor_errors_than_memory_is_for(path: str) -> None:
    header = files.tiq_header("10").decode()
    at = header.index("<DataSet>")
    for many in ("<DataSet/>" * 1_600_000, "<DataSet><Errors>" + "<Error/>" * 2_000_000 + "</Errors></DataSet>"):
        body = header[:at] + many + header[at:]
        stated = re.sub('offset="[0-9]+"', f'offset="{len(body):09d}"', body, count=1)
        assert len(stated) == len(body)
        Path(path).write_bytes(stated.encode() + b"\0" * 80)
        assert "more than 250,000 DataSets or errors" in files.probe_in_bounded_memory("tiq", path)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_any_damage_raises_a_format_error_or_gives_what_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    path = str(tmp_path_factory.getbasetemp() / "damaged.tiq")
    files.write_tiq(path, 64, datasets=2, gaps=[1.0])
    damaged = files.damage(Path(path).read_bytes(), seed)
    Path(path).write_bytes(damaged)
    try:
        header = tiq.probe(path)
    except FormatError:
        return
    assert len(read(header)) == header.frames


# --- as a recording


@pytest.mark.parametrize("chunks", [100, 1024, 5000])
def test_a_recording_is_complex_volts_whatever_the_chunks(path: str, chunks: int) -> None:
    counts = files.write_tiq(path, 4096, datasets=4, gaps=[0.1, 0.0, 0.25])
    x = open_recording(path, chunks=chunks)
    assert (x.dims, x.dtype, x.attrs["units"]) == (("time",), np.complex64, "V")
    assert float(x.center_frequency) == files.CENTER
    volts = (counts[:, 0] + 1j * counts[:, 1]) * files.SCALING
    # 24 of 31 bits, and one rounding of the product
    assert np.abs(x.values - volts).max() <= 2.0**-23 * np.abs(volts).max()
    np.testing.assert_array_equal(x.values, open_recording(path).values)
    starts = segments(x)["start"].to_numpy().astype("datetime64[ns]").astype(np.int64)
    assert starts[0] == files.START_NS
    assert len(starts) == 3


def test_a_remote_file_is_read_by_ranges() -> None:
    filesystem = fsspec.filesystem("memory")
    with tempfile.TemporaryDirectory() as folder:
        counts = files.write_tiq(f"{folder}/x.tiq", 3000, header_bytes=files.REAL_HEADER_BYTES)
        filesystem.pipe_file("/remote/x.tiq", Path(f"{folder}/x.tiq").read_bytes())
    header = tiq.probe("memory://remote/x.tiq")
    assert (header.frames, header.layout[1]) == (3000, files.REAL_HEADER_BYTES)
    np.testing.assert_array_equal(source_of(header).read(10, 2000), counts[10:2000])
    assert tiq.complete("memory://remote/x.tiq") is True


# --- the real thing, and what other programs write and read


def file_of(shared: Path, *parts: str) -> Path:
    path = shared.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path


def generator(shared: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_tiq", file_of(shared, "tools", "make_tiq.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "options", "frames", "flags"),
    [
        ("plain", {}, 8192, ()),
        ("padded", {"pad_to": 96_648}, 8192, ()),
        ("multi", {"offsets": (0.0, 0.5, 0.75, 2.0)}, 4 * 8192, ()),
        ("cut", {"keep": 0.6}, 4915, ("truncated",)),
    ],
)
def test_files_of_the_generator(
    shared: Path, path: str, name: str, options: dict[str, Any], frames: int, flags: tuple[str, ...]
) -> None:
    make = generator(shared)
    make.write_tiq(path, 8192, **options)
    header = tiq.probe(path)
    total = 8192 * len(options.get("offsets", (0,)))
    assert (header.frames, header.flags, header.rate) == (frames, flags, 390_625)
    assert [ns for _, ns in header.breaks] == [round(each * 1e9) for each in options.get("offsets", (0,))[1:]]
    np.testing.assert_array_equal(read(header), make.signal_int32(0, frames, total))


def test_the_same_volts_as_iqtools(shared: Path) -> None:
    path = file_of(shared, "data", "iq", "synth_64k.tiq")
    with np.load(file_of(shared, "data", "golden", "iq", "synth_64k_L1024.npz")) as golden:
        head, names, meta = golden["head"], golden["meta_names"].tolist(), golden["meta"]
    header = tiq.probe(str(path))
    found = source_of(header).read(0, len(head)) * header.scale
    np.testing.assert_array_equal(found[:, 0] + 1j * found[:, 1], head)
    told = dict(zip(names, meta.tolist(), strict=True))
    assert (told["fs"], told["center"], told["data_offset"]) == (header.rate, header.center_frequency, header.layout[1])
    assert (told["span"], told["acq_bw"], told["rbw"]) == tuple(
        header.metadata[key] for key in ("span", "bandwidth", "rbw")
    )


def test_real_recording(shared: Path) -> None:
    path = file_of(shared, "data", "iq", "real_102400.tiq")
    header = check_format(path)
    assert (header.frames, header.rate, header.center_frequency) == (102_400, 390_625, 244_778_900.0)
    assert (header.layout[1], header.scale, header.start_ns) == (96_648, 5.2372117103283264e-12, files.START_NS)
    assert header.flags == ()
    assert {
        "bandwidth": 312_500,
        "span": 200_000,
        "rbw": 3000,
        "instrument": "RSA5103A",
    }.items() <= header.metadata.items()
    assert "OptionKey" not in str(header.metadata)
    assert tiq.complete(str(path)) is True
