"""IQ records in TDMS files: every layout of segments gives the same samples, each record has its own gain."""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import tracemalloc
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import iq_files
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from iq_files import FACTS, Records

import reelarray as ra
from reelarray import formats
from reelarray.errors import FormatError, MissingPackage, TruncatedFile
from reelarray.formats import tdms
from reelarray.formats.tdmscontents import find_breaks
from reelarray.source import Header
from reelarray.testing import check_format

pytest.importorskip("nptdms", reason="npTDMS is an optional package")

SAMPLES, COUNT = 50, 8
GAINS = [1e-3 * (1 + k / 7) for k in range(COUNT)]
REGULAR = ("one_segment_each", "named_once", "two_segments_each")
OTHER = ("in_one_segment", "interleaved", "uneven")


def records(**facts: Any) -> Records:
    return Records(**{"pairs": iq_files.counts(SAMPLES * COUNT), "samples": SAMPLES, "gains": GAINS, **facts})


def write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def read(header: Header) -> np.ndarray:
    return formats.source(header).read(0, header.frames)


@pytest.mark.parametrize("layout", REGULAR + OTHER)
def test_any_layout_gives_each_record_times_its_own_gain(tmp_path: Path, layout: str) -> None:
    made = records()
    path = write(tmp_path / "x.tdms", getattr(made, layout)())
    header = check_format(path, expected=made.volts())
    assert (header.rate, header.center_frequency, header.units, header.iq) == (1000, 244_778_900.0, "V", False)
    assert (header.metadata["rf_attenuation"], header.metadata["gain"]) == (10.0, [GAINS[0], GAINS[-1]])
    source = formats.source(header)
    assert isinstance(source, tdms.TdmsSource)
    assert (source.places is not None) == (layout in REGULAR)
    assert formats.is_complete(path) is True


@pytest.mark.parametrize("layout", REGULAR + OTHER)
@pytest.mark.parametrize("options", [{}, {"apply_gain": False}])
def test_counts_are_pairs_of_int16(tmp_path: Path, layout: str, options: dict[str, Any]) -> None:
    made = records() if options else records(gains=[2e-3] * COUNT)
    path = write(tmp_path / "x.tdms", getattr(made, layout)())
    header = check_format(path, expected=made.pairs, **options)
    assert header.iq
    assert (header.scale, header.units) == ((1.0, "1") if options else (2e-3, "V"))


def test_opened_as_volts(tmp_path: Path) -> None:
    z = iq_files.counts(SAMPLES * COUNT) @ [1, 1j]
    for gains in (GAINS, [2e-3] * COUNT):
        path = write(tmp_path / f"{gains[-1]}.tdms", records(gains=gains).one_segment_each())
        x = ra.open_recording(path, cache=False)
        assert (x.dtype, x.dims, x.attrs["units"]) == (np.complex64, ("time",), "V")
        assert float(x.center_frequency) == 244_778_900.0
        np.testing.assert_allclose(x.values, z * np.repeat(gains, SAMPLES), rtol=2e-7)


def test_arithmetic_and_the_walk_give_the_same_bits(tmp_path: Path) -> None:
    header = formats.probe(write(tmp_path / "x.tdms", records().named_once()))
    walked = tdms.source(header.path, header.frames, header.layout[:2], header.bytes, header.modified_ns)
    assert walked.places is None
    for start, stop in ((0, 400), (49, 51), (120, 121), (399, 400), (0, 50)):
        assert walked.read(start, stop).tobytes() == formats.source(header).read(start, stop).tobytes()


def test_a_read_takes_its_own_bytes_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = formats.probe(write(tmp_path / "x.tdms", records().one_segment_each()))
    taken: list[int] = []
    original = tdms.bytes_at

    def counting(file: Any, offset: int, count: int) -> bytes:
        taken.append(count)
        return original(file, offset, count)

    monkeypatch.setattr(tdms, "bytes_at", counting)
    monkeypatch.setitem(sys.modules, "nptdms", None)  # reading by arithmetic does without it
    formats.source(header).read(140, 160)
    # the gains of two records, and 20 samples of two bytes from each of I and Q
    assert sum(taken) == 2 * 8 + 20 * 2 * 2


def test_arithmetic_is_not_trusted_where_the_last_record_lies_elsewhere(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tdms", records().uneven())
    assert len(formats.probe(path).layout) == 2


def test_a_record_in_the_middle_that_moved_is_loud(tmp_path: Path) -> None:
    """Records 2 and 3 are of other lengths than the rest, and the last one is where arithmetic puts it nevertheless."""
    made = records()
    usual = len(iq_files.segment({**made.objects(2)[0], **made.objects(2)[1]}))
    pieces = []
    for k in range(COUNT):
        header, data = made.objects(k)
        note = None if k != 2 else {"note": "x" * 99}
        pieces.append(iq_files.segment({**header, **data}, root=made.root() if k == 0 else note))
    extra = len(pieces[2]) - usual
    header, data = made.objects(3)
    del header[iq_files.DT]  # 8 bytes, and what names them
    pieces[3] = iq_files.segment({**header, **data})
    missing = usual - len(pieces[3])
    pieces[2] = iq_files.segment(
        {**made.objects(2)[0], **made.objects(2)[1]}, root={"note": "x" * (99 - extra + missing)}
    )
    found = formats.probe(write(tmp_path / "x.tdms", b"".join(pieces)))
    source = formats.source(found)
    assert source.places is not None  # type: ignore[attr-defined]
    np.testing.assert_array_equal(source.read(0, 100), made.volts()[:100])
    np.testing.assert_array_equal(source.read(200, 400), made.volts()[200:])
    for record in (2, 3):
        with pytest.raises(FormatError, match=f"record {record} is not at byte"):
            source.read(record * SAMPLES, record * SAMPLES + 1)


@pytest.mark.parametrize("cut", [1, 60, 400, 900])
def test_an_end_that_is_missing_is_flagged_and_what_is_there_is_right(tmp_path: Path, cut: int) -> None:
    made = records()
    path = write(tmp_path / "x.tdms", made.one_segment_each()[:-cut])
    header = formats.probe(path)
    assert "truncated" in header.flags
    assert header.metadata["declared_frames"] == SAMPLES * COUNT
    assert header.frames >= SAMPLES * (COUNT - 3)
    np.testing.assert_array_equal(read(header), made.volts()[: header.frames])
    assert formats.is_complete(path) is False


def test_a_file_that_became_shorter_says_how_much_is_left(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tdms", records().one_segment_each())
    header = formats.probe(path)
    os.truncate(path, header.bytes - 10)
    with pytest.raises(TruncatedFile) as caught:
        formats.source(header).read(300, 400)
    assert (caught.value.wanted, caught.value.found) == (100, 50)


def test_a_writer_that_died_is_flagged_and_never_finished(tmp_path: Path) -> None:
    made = records()
    whole = made.one_segment_each()
    last = whole.rindex(b"TDSm")
    died = whole[: last + 12] + struct.pack("<Q", iq_files.DIED) + whole[last + 20 :]
    path = write(tmp_path / "x.tdms", died)
    assert formats.probe(path).flags == ("unfinished",)
    np.testing.assert_array_equal(read(formats.probe(path)), made.volts())
    assert formats.is_complete(path) is False


def test_fewer_records_than_declared_are_not_all(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tdms", records(facts={"NRecordsPerFile": 9}).one_segment_each())
    assert (formats.probe(path).flags, formats.is_complete(path)) == (("truncated",), False)
    path = write(tmp_path / "y.tdms", records(without=("NRecordsPerFile",)).one_segment_each())
    assert (formats.probe(path).flags, formats.is_complete(path)) == ((), None)


@pytest.mark.parametrize("size", [0, 3, 27, 28, 100, 300])
def test_a_file_shorter_than_its_header_is_not_finished(tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "x.tdms", records().one_segment_each()[:size])
    assert formats.is_complete(path, "tdms") is False
    with pytest.raises(FormatError, match=r"x\.tdms"):
        formats.probe(path)


def test_gaps_between_records_are_breaks_of_the_clock(tmp_path: Path) -> None:
    times = [7.0 + k * 0.05 + (0.25 if k > 2 else 0) + (1.0 if k > 5 else 0) for k in range(COUNT)]
    path = write(tmp_path / "x.tdms", records(times=times).one_segment_each())
    header = formats.probe(path)
    assert header.breaks == ((150, 400_000_000), (300, 1_550_000_000))
    assert (header.start_ns, header.flags) == (None, ())
    x = ra.open_recording(path, cache=False)
    assert ra.segments(x)["samples"].tolist() == [150, 150, 100]
    assert x.time.values[[0, 149, 150, 300]].astype("m8[ms]").astype(int).tolist() == [0, 149, 400, 1550]


def test_times_may_be_dates(tmp_path: Path) -> None:
    first = 1_406_881_995_978_272_700
    dates = [first + k * 50_000_000 + (10**9 if k > 3 else 0) for k in range(COUNT)]
    header = formats.probe(write(tmp_path / "x.tdms", records(dates=dates).one_segment_each()))
    assert (header.start_ns, header.breaks) == (first, ((200, 1_200_000_000),))
    assert header.metadata["utc_offset"] == "+00:00"


def test_a_start_beside_times_that_count_from_somewhere(tmp_path: Path) -> None:
    made = records(times=[9.0 + k * 0.05 for k in range(COUNT)])
    first = 1_406_881_995_978_272_700
    content = b"".join(
        iq_files.segment(
            {**h, "/'RecordHeader'/'datetime'": iq_files.date(first + k), **d}, root=made.root() if k == 0 else None
        )
        for k in range(COUNT)
        for h, d in [made.objects(k)]
    )
    header = formats.probe(write(tmp_path / "x.tdms", content))
    assert (header.start_ns, header.breaks) == (first, ())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([0.0, 0.05, 0.1, 0.15], ()),
        ([0.0, 0.0504, 0.1, 0.15], ()),  # less than half a sample
        ([0.0, 0.0506, 0.1006, 0.1506], ((50, 50_600_000),)),
        ([0.0, 0.05, 0.04, 0.15], None),
        ([0.0, 0.05, 0.0994, 0.15], None),  # an overlap
        ([0.0, float("nan"), 0.1, 0.15], None),
        ([0.0, 0.05, 9e8, 9e8 + 0.05], ((100, 9 * 10**17),)),
        ([0.0, 0.05, 1e10, 1e10 + 0.05], None),  # decades, which no file holds
        ([-1.7e308, 0.05, 1e308, 1.7e308], None),
        ([0.0, float("inf"), float("inf"), float("inf")], None),
        ([0.0], ()),
    ],
)
def test_breaks(seconds: list[float], expected: Any) -> None:
    assert find_breaks(np.array(seconds), 50, Fraction(1000), 200) == expected


def test_times_since_1970_are_as_fine_as_a_float64(tmp_path: Path) -> None:
    """At 50 MHz half a sample is 10 ns; a float64 of this size has steps of 240 ns, which are no gaps."""
    seconds = 1.4e9 + np.arange(100) * 1000 / 50e6
    assert find_breaks(seconds, 1000, Fraction(50_000_000), 100_000) == ()


def test_backward_times_are_left_out_and_flagged(tmp_path: Path) -> None:
    times = [0.0, 0.05, 0.02, *(k * 0.05 for k in range(3, COUNT))]
    header = formats.probe(write(tmp_path / "x.tdms", records(times=times).one_segment_each()))
    assert (header.breaks, header.flags) == ((), ("time_order",))


@pytest.mark.parametrize("year", [1000, 2200, 2300, 9000])
def test_dates_that_no_clock_in_ns_holds_are_none(tmp_path: Path, year: int) -> None:
    first = (year - 1970) * 31_557_600 * 10**9
    path = write(tmp_path / "x.tdms", records(dates=[first + k * 50_000_000 for k in range(COUNT)]).one_segment_each())
    header = formats.probe(path)
    assert (header.start_ns, header.breaks) == (None, ())


@pytest.mark.parametrize("later", [1e10, 1e19, 1e300])
def test_decades_between_records_are_not_used(tmp_path: Path, later: float) -> None:
    times = [0.0, 0.05, *(later * (k - 1) + k for k in range(2, COUNT))]
    path = write(tmp_path / "x.tdms", records(times=times).one_segment_each())
    assert formats.probe(path).flags == ("time_order",)
    assert ra.open_recording(path, cache=False).sizes["time"] == SAMPLES * COUNT
    assert len(ra.scan(path, cache=False)) == 1


@pytest.mark.parametrize("rate", [1e-300, 1e-9, 1e300])
def test_rates_that_are_none(tmp_path: Path, rate: float) -> None:
    path = write(tmp_path / "x.tdms", records(facts={"IQRate": rate}).one_segment_each())
    with pytest.raises(FormatError, match="samples a second, 1 to"):
        formats.probe(path)
    assert formats.probe(path, rate=0.5).rate == Fraction(1, 2)


def test_missing_facts(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tdms", records(without=("IQRate", "IQCarrierFrequency")).one_segment_each())
    with pytest.raises(FormatError, match="IQRate is 'missing'"):
        formats.probe(path)
    header = formats.probe(path, rate=2e3)
    assert (header.rate, header.center_frequency, header.flags) == (2000, None, ("no_center_frequency",))
    assert formats.probe(path, rate=2e3, center_frequency=1e8).center_frequency == 1e8
    path = write(tmp_path / "x.tdms", records(facts={"IQCarrierFrequency": float("nan")}).one_segment_each())
    with pytest.raises(FormatError, match=r"IQCarrierFrequency is 'nan'.*center_frequency="):
        formats.probe(path)
    # one gain a record says how many samples that has
    for changes in ({"without": ("NSamplesPerRecord",)}, {"facts": {"NSamplesPerRecord": 1e300}}):
        path = write(tmp_path / "y.tdms", records(**changes).one_segment_each())
        np.testing.assert_array_equal(read(formats.probe(path)), records().volts())
    made = records(facts={"NSamplesPerRecord": 1e300}, pairs=iq_files.counts(SAMPLES * COUNT - 1))
    with pytest.raises(
        FormatError, match=r"NSamplesPerRecord is 1e[+]300, and 399 samples do not divide into 8 records"
    ):
        formats.probe(write(tmp_path / "y.tdms", made.one_segment_each()))


def test_without_gains_full_scale_is_one(tmp_path: Path) -> None:
    made = records()
    content = b"".join(iq_files.segment(made.objects(k)[1], root=made.root() if k == 0 else None) for k in range(COUNT))
    header = check_format(write(tmp_path / "x.tdms", content), expected=made.pairs)
    assert (header.scale, header.units, header.flags) == (2.0**-15, "1", ("no_gain",))


def test_no_records_at_all(tmp_path: Path) -> None:
    content = iq_files.segment({}, root={**FACTS, "NSamplesPerRecord": 50, "NRecordsPerFile": 2}, flags=6)
    path = write(tmp_path / "x.tdms", content)
    with pytest.raises(FormatError, match="no channel; RecordData/I and RecordData/Q were expected"):
        formats.probe(path)
    empty = iq_files.segment(
        {iq_files.GAIN: np.empty(0), iq_files.I: np.empty(0, np.int16), iq_files.Q: np.empty(0, np.int16)},
        root={**FACTS, "NSamplesPerRecord": 50, "NRecordsPerFile": 2},
    )
    header = formats.probe(write(tmp_path / "y.tdms", empty))
    assert (header.frames, header.flags) == (0, ("truncated",))
    assert formats.source(header).read(0, 0).shape == (0, 2)


def damaged(kind: str) -> bytes:
    made = records()
    if kind == "nan gain":
        return records(gains=[1.0, float("nan"), *GAINS[2:]]).one_segment_each()
    if kind == "int32":
        return iq_files.segment(
            {iq_files.I: np.arange(9, dtype=np.int32), iq_files.Q: np.arange(9, dtype=np.int32)}, root=made.root()
        )
    if kind == "samples":
        return records(facts={"NSamplesPerRecord": 20}).one_segment_each()
    if kind == "index":
        return b"TDSh" + made.one_segment_each()[4:463]
    if kind == "other":
        return b"RIFF" + bytes(1000)
    whole = made.one_segment_each()
    return whole[:28] + b"\xff" * 300 + whole[328:]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("nan gain", "the gain of record 1 is nan"),
        ("int32", "I and Q are int32"),
        ("samples", "400 samples, and 8 gains of 20 samples"),
        ("index", "the index of a TDMS file"),
        ("other", "starts with b'RIFF'"),
        ("metadata", "no TDMS file that npTDMS reads"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, kind: str, text: str) -> None:
    path = write(tmp_path / "x.tdms", damaged(kind))
    with pytest.raises(FormatError) as caught:
        formats.probe(path)
    assert text in str(caught.value)
    assert path in str(caught.value)


def test_an_index_by_its_own_name(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tdms_index", damaged("index"))
    with pytest.raises(FormatError, match=r"the index of a TDMS file .* the \.tdms file"):
        formats.probe(path)


def test_an_older_index_beside_the_file_is_not_believed(tmp_path: Path) -> None:
    made = records()
    write(tmp_path / "x.tdms_index", b"TDSh" + bytes(50))
    np.testing.assert_array_equal(read(formats.probe(write(tmp_path / "x.tdms", made.interleaved()))), made.volts())


def test_a_folder_and_a_url(tmp_path: Path) -> None:
    (tmp_path / "x.tdms").mkdir()
    with pytest.raises(FormatError, match="is a folder"):
        formats.probe(tmp_path / "x.tdms")
    with pytest.raises(FormatError, match="download it"):
        formats.probe("https://example.org/x.tdms")


def test_without_nptdms_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.tdms", records().one_segment_each())
    monkeypatch.setitem(sys.modules, "nptdms", None)
    with pytest.raises(MissingPackage, match=r"pip install 'reelarray\[tdms\]'"):
        formats.probe(path)


def test_a_text_of_four_gigabytes_is_an_error_in_bounded_memory(tmp_path: Path) -> None:
    whole = records().one_segment_each()
    at = whole.index(b"IQRate") - 4
    path = write(tmp_path / "x.tdms", whole[:at] + b"\xff" * 4 + whole[at + 4 :] + bytes(1 << 23))
    tracemalloc.start()
    with pytest.raises(FormatError, match="4294967295 bytes"):
        formats.probe(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@given(at=st.integers(0, 700), value=st.integers(0, 255))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_byte_gives_samples_or_an_error_of_ours(tmp_path: Path, at: int, value: int) -> None:
    content = bytearray(records().one_segment_each())
    content[at] = value
    path = write(tmp_path / "x.tdms", bytes(content))
    with contextlib.suppress(FormatError):
        formats.is_complete(path)
    with contextlib.suppress(FormatError, TruncatedFile):
        header = formats.probe(path)
        assert len(read(header)) == header.frames


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("tdms")
    made = records()
    return [
        formats.source(formats.probe(write(folder / f"{layout}{gain}.tdms", getattr(made, layout)()), apply_gain=gain))
        for layout in ("named_once", "interleaved")
        for gain in (True, False)
    ]


@given(cuts=st.lists(st.integers(0, SAMPLES * COUNT)), which=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_any_cuts_give_the_same_bits(sources: list[Any], cuts: list[int], which: int) -> None:
    source = sources[which]
    pieces = [source.read(a, b) for a, b in pairwise([0, *sorted(cuts), SAMPLES * COUNT])]
    assert np.concatenate(pieces).tobytes() == source.read(0, SAMPLES * COUNT).tobytes()
