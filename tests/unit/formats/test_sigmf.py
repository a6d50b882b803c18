"""SigMF is read as its specification says, and as the package sigmf reads it where that is right."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sigmf_files import ALL_TYPES, document, stored, write_archive, write_collection, write_sigmf

import reelarray as ra
from reelarray import formats
from reelarray.errors import FormatError, RecordingError, TruncatedFile
from reelarray.formats.sigmf.captures import lay_captures, place
from reelarray.formats.sigmf.document import LARGEST, Fields, Time
from reelarray.testing import check_format


def opened(path, **options):
    return ra.open_recording(path, cache=False, **options)


def pairs(frames, first=0):
    return np.arange(2 * first, 2 * (first + frames), dtype="<i2")


# ---- every way to store a sample -------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("datatype", ALL_TYPES)
def test_every_datatype_gives_its_values(tmp_path, datatype, channels):
    raw, values = stored(datatype, 301, channels)
    path = write_sigmf(tmp_path, raw, datatype=datatype, num_channels=channels)
    x = opened(path, dtype="complex128" if datatype[0] == "c" else "float64")
    assert x.dims == (("time", "channel") if channels > 1 else ("time",))
    np.testing.assert_array_equal(x.values, values)
    np.testing.assert_array_equal(x[17:203].values, values[17:203])
    assert (x.attrs["units"], ra.rate(x)) == ("1", 1_000_000)


def test_complex_samples_are_complex64_unless_they_are_doubles(tmp_path):
    dtypes = {}
    for datatype in ("ci16_le", "ci32_le", "cu8", "cf32_be", "cf64_le"):
        write_sigmf(tmp_path, stored(datatype, 8)[0], datatype, datatype=datatype)
        dtypes[datatype] = str(opened(tmp_path / f"{datatype}.sigmf-meta").dtype)
    assert dtypes.pop("cf64_le") == "complex128"
    assert set(dtypes.values()) == {"complex64"}


def test_counts_keep_the_pairs(tmp_path):
    path = write_sigmf(tmp_path, pairs(5))
    x = opened(path, calibrated=False)
    assert (x.dims, x.dtype) == (("time", "iq"), np.int16)
    np.testing.assert_array_equal(x.values.ravel(), np.arange(10))


def test_volts_by_option_and_by_what_the_file_says(tmp_path):
    path = write_sigmf(tmp_path, pairs(5))
    x = opened(path, scale=0.5)
    np.testing.assert_array_equal(x.values, np.arange(0, 10, 2) / 2 + 1j * np.arange(1, 10, 2) / 2)
    assert x.attrs["units"] == "V"
    said = document()
    said["global"] |= {"reelarray:scale": 0.25, "reelarray:units": "V", "reelarray:bandwidth": 8e5}
    path.write_text(json.dumps(said))
    x = opened(path)
    assert (x.values[1], x.attrs["units"], x.attrs["bandwidth"]) == (0.5 + 0.75j, "V", 8e5)
    with pytest.raises(FormatError, match=r"scale=-1 .*above 0"):
        formats.probe(path, scale=-1)


def test_the_package_sigmf_reads_the_same(tmp_path):
    sigmf = pytest.importorskip("sigmf")
    for datatype in ALL_TYPES:
        raw, _ = stored(datatype, 64)
        path = write_sigmf(tmp_path, raw, datatype, datatype=datatype)
        theirs = sigmf.sigmffile.fromfile(str(path)).read_samples()
        ours = opened(path).values
        # It computes in float32, unsigned numbers before their middle is taken off.
        np.testing.assert_allclose(ours, theirs.reshape(ours.shape), rtol=1e-6, atol=1e-7, err_msg=datatype)


# ---- what belongs together -------------------------------------------------------------------------------------------


def test_data_open_through_their_metadata(tmp_path):
    path = write_sigmf(tmp_path, pairs(300), captures=[{"core:sample_start": 0, "core:frequency": 1e8}])
    data = path.with_suffix(".sigmf-data")
    header = formats.probe(data)
    assert (header.path, header.bytes) == (str(data), 1200)
    np.testing.assert_array_equal(opened(data).values, opened(path).values)
    assert opened(data).coords["center_frequency"] == 1e8
    assert formats.probe(path).bytes == path.stat().st_size
    path.unlink()
    with pytest.raises(FormatError, match=r"x\.sigmf-meta is not there.*copy it here"):
        formats.probe(data)


def test_a_search_takes_metadata_and_archives_once(tmp_path):
    path = write_sigmf(
        tmp_path, pairs(300), captures=[{"core:sample_start": 0, "core:datetime": "2022-03-01T12:00:00Z"}]
    )
    table = ra.scan(tmp_path, cache=False)
    assert table["path"].tolist() == [str(path)]
    assert table["anomaly"].tolist() == [""]


@pytest.mark.parametrize("format", [0, 1, 2], ids=["ustar", "gnu", "pax"])
def test_archives_are_read_in_place(tmp_path, format):
    raw, values = stored("cf32_le", 1000)
    name = f"{'long' * 30 if format else 'short'}/x.sigmf-"
    about = json.dumps(document("cf32_le")).encode()
    path = write_archive(tmp_path / "x.sigmf", {f"{name}data": raw.tobytes(), f"{name}meta": about}, format=format)
    header = check_format(path, expected=values.astype(np.complex64))
    assert header.layout[3] is None, "the samples lie in the file itself"
    assert formats.is_complete(path) is True


def test_archives_of_several_recordings_ask_which(tmp_path):
    members = {}
    for k, name in enumerate(("one", "two")):
        members |= {
            f"{name}.sigmf-meta": json.dumps(document()).encode(),
            f"{name}.sigmf-data": pairs(300, k).tobytes(),
        }
    path = write_archive(tmp_path / "x.sigmf", members)
    with pytest.raises(FormatError, match=r"2 recordings: 'one', 'two'; choose one, such as stream='one'"):
        formats.probe(path)
    assert opened(path, stream="two", calibrated=False).values[0].tolist() == [2, 3]
    with pytest.raises(FormatError, match="stream='three' was given; it holds 'one', 'two'"):
        formats.probe(path, stream="three")
    assert formats.is_complete(path) is True
    del members["two.sigmf-data"]
    assert formats.is_complete(write_archive(path, members)) is False


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_compressed_archives_say_what_to_do(tmp_path, mode):
    path = write_archive(tmp_path / "x.sigmf", {"x.sigmf-meta": b"{}"}, mode)
    with pytest.raises(FormatError, match=r"is compressed.*unpack it"):
        formats.probe(path)


def test_cut_archives_are_flagged_and_not_complete(tmp_path):
    members = {"x.sigmf-meta": json.dumps(document()).encode(), "x.sigmf-data": pairs(5000).tobytes()}
    path = write_archive(tmp_path / "x.sigmf", members)
    os.truncate(path, 11_000)
    header = formats.probe(path)
    assert header.flags == ("truncated",)
    assert 0 < header.frames < 5000
    assert formats.is_complete(path) is False
    with pytest.raises(RecordingError, match="truncated"):
        opened(path)
    assert opened(path, on_bad="use").sizes["time"] == header.frames


def test_other_archives_are_refused(tmp_path):
    path = write_archive(tmp_path / "x.sigmf", {"a.txt": b"hello"})
    with pytest.raises(FormatError, match=r"tar archive without a \.sigmf-meta"):
        formats.probe(path)
    with pytest.raises(FormatError, match=r"tar archive without a \.sigmf-meta"):
        formats.is_complete(path)
    path = write_archive(tmp_path / "y.sigmf", {"x.sigmf-meta": json.dumps(document()).encode()})
    with pytest.raises(FormatError, match="not the samples that belong to it"):
        formats.probe(path)
    path.write_bytes(b"RIFF" + bytes(2000))
    with pytest.raises(FormatError, match="starts with b'RIFF"):
        formats.probe(path)
    write_archive(path, {"x.sigmf-meta": json.dumps(document()).encode()})
    broken = bytearray(path.read_bytes())
    broken[150] ^= 1
    path.write_bytes(broken)
    with pytest.raises(FormatError, match="tar header at byte 0 is broken"):
        formats.probe(path)


def test_collections_name_their_streams(tmp_path):
    metas = [write_sigmf(tmp_path, pairs(300, k), name) for k, name in enumerate(("north", "south"))]
    path = write_collection(tmp_path, metas)
    with pytest.raises(FormatError, match=r"2 recordings: 'north', 'south'; choose one, such as stream='north'"):
        formats.probe(path)
    header = formats.probe(path, stream="south", verify=False)
    assert (header.path, header.bytes) == (str(path), path.stat().st_size)
    assert opened(path, stream="south", calibrated=False).values[0].tolist() == [2, 3]
    assert opened(write_collection(tmp_path, metas[:1], "one"), calibrated=False).values[0].tolist() == [0, 1]
    assert formats.is_complete(path) is None
    metas[1].write_text(json.dumps(document(sha512=hashlib.sha512(pairs(300, 1).tobytes()).hexdigest(), author="me")))
    with pytest.raises(FormatError, match=r"south\.sigmf-meta: its SHA-512 is"):
        formats.probe(path, stream="south", verify=True)
    metas[1].unlink()
    assert formats.is_complete(path) is False


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "..", "", "c:\\x", "a\0b"])
def test_no_other_folder_is_reached(tmp_path, name):
    path = write_sigmf(tmp_path, pairs(4), dataset=name)
    with pytest.raises(FormatError, match=r"'core:dataset' of 'global' is .*plain name of a file in the same folder"):
        formats.probe(path)
    path = tmp_path / "all.sigmf-collection"
    path.write_text(json.dumps({"collection": {"core:version": "1.2.0", "core:streams": [{"name": name}]}}))
    with pytest.raises(FormatError, match=r"the name of stream 0 is .*plain name"):
        formats.probe(path)


# ---- datasets with other bytes ---------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=5),
    headers=st.lists(st.integers(0, 33), min_size=5, max_size=5),
    trailing=st.integers(0, 9),
    first=st.integers(0, 1000),
    data=st.data(),
)
def test_bytes_of_all_headers_count(tmp_path_factory, lengths, headers, trailing, first, data):
    folder = tmp_path_factory.mktemp("sigmf")
    total = sum(lengths)
    counts = np.arange(2 * total, dtype="<i2").reshape(-1, 2)
    starts = np.cumsum([0, *lengths])[:-1].tolist()
    raw = b"".join(b"\xff" * h + counts[s : s + n].tobytes() for h, s, n in zip(headers, starts, lengths, strict=False))
    (folder / "other.bin").write_bytes(raw + b"\xee" * trailing)
    captures = [{"core:sample_start": first + s, "core:header_bytes": h} for s, h in zip(starts, headers, strict=False)]
    about = document(captures=captures, dataset="other.bin", trailing_bytes=trailing, offset=first)
    (folder / "x.sigmf-meta").write_text(json.dumps(about))
    header = formats.probe(folder / "x.sigmf-meta")
    assert (header.frames, header.flags, header.breaks) == (total, (), ())
    low = data.draw(st.integers(0, total))
    high = data.draw(st.integers(low, total))
    np.testing.assert_array_equal(formats.source(header).read(low, high), counts[low:high])


def test_a_dataset_that_is_not_there(tmp_path):
    path = write_sigmf(tmp_path, b"", dataset="x.tiq")
    with pytest.raises(FormatError, match=r"its samples should be in 'x\.tiq' in the same folder, which is not there"):
        formats.probe(path)
    assert formats.is_complete(path) is False
    data = path.with_suffix(".sigmf-data")
    with pytest.raises(FormatError, match=r"the samples are in 'x\.tiq'; open"):
        formats.probe(data)


# ---- captures and times ----------------------------------------------------------------------------------------------


def capture(start, **core):
    return {"core:sample_start": start, **{f"core:{key}": value for key, value in core.items()}}


def breaks_of(tmp_path, *captures, **about):
    header = formats.probe(write_sigmf(tmp_path, pairs(100), captures=list(captures), **about))
    return header.breaks, header.start_ns, header.flags


def test_gaps_by_global_index_before_datetime(tmp_path):
    ten, eleven = "1970-01-01T00:00:10Z", "1970-01-01T00:00:11Z"
    by_index = [capture(0, global_index=7), capture(40, global_index=1047), capture(60, global_index=1067)]
    assert breaks_of(tmp_path, *by_index) == (((40, 1_040_000),), None, ())
    both = [capture(0, global_index=7, datetime=ten), capture(40, global_index=1047, datetime=eleven)]
    assert breaks_of(tmp_path, *both) == (((40, 1_040_000),), 10 * 10**9, ())
    by_time = [capture(0, datetime="1970-01-01T00:00:10.0Z"), capture(40, datetime="1970-01-01T00:00:11.5Z")]
    assert breaks_of(tmp_path, *by_time) == (((40, 1_500_000_000),), 10 * 10**9, ())
    later = [capture(0), capture(40), capture(60, datetime=ten)]
    assert breaks_of(tmp_path, *later) == ((), 10 * 10**9 - 60_000, ())


def test_the_last_digit_of_a_datetime_tells_no_gap(tmp_path):
    rough = [capture(0, datetime="2022-03-01T12:00:00Z"), capture(40, datetime="2022-03-01T12:00:01Z")]
    assert breaks_of(tmp_path, *rough)[0] == ()
    fine = [capture(0, datetime="2022-03-01T12:00:00.000Z"), capture(40, datetime="2022-03-01T12:00:00.500Z")]
    assert breaks_of(tmp_path, *fine)[0] == ((40, 500_000_000),)
    half = [
        capture(0, datetime="2022-03-01T12:00:00.000000000Z"),
        capture(40, datetime="2022-03-01T12:00:00.000040400Z"),
    ]
    assert breaks_of(tmp_path, *half)[0] == ()


def test_times_that_overlap_are_contiguous_and_said(tmp_path):
    captures = [capture(0, global_index=0), capture(40, global_index=30)]
    assert breaks_of(tmp_path, *captures) == ((), None, ("time_order",))


def test_the_clock_has_the_gaps(tmp_path):
    captures = [capture(0, global_index=0, datetime="2022-03-01T12:00:00Z"), capture(40, global_index=100)]
    x = opened(write_sigmf(tmp_path, pairs(100), captures=captures))
    assert ra.segments(x)["samples"].tolist() == [40, 60]
    assert x["time"].values[[0, 39, 40]].astype(str).tolist() == [
        "2022-03-01T12:00:00.000000000",
        "2022-03-01T12:00:00.000039000",
        "2022-03-01T12:00:00.000100000",
    ]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 10**6)), min_size=1, max_size=6), st.integers(1, 10**9))
def test_times_of_indices_are_those_of_one_clock(pieces, rate):
    captures, start, index = [], 0, 0
    for length, gap in pieces:
        captures.append(capture(start, global_index=index))
        start, index = start + length, index + length + gap
    laid = lay_captures([Fields(c, "a capture", "x") for c in captures], 0, 1, 0, start, "x")
    placed = place(laid.captures, rate * ra.rate(ra.recording([0], rate=1)))
    for each in captures:
        exact = each["core:global_index"] * 10**9 // rate
        assert abs(placed.ns(each["core:sample_start"]) - exact) <= max(1, 10**9 // rate // 2 if rate > 10**8 else 1)


def test_captures_of_several_centres_are_opened_apart(tmp_path):
    captures = [capture(0, frequency=1e8), capture(40, frequency=2e8, datetime="2022-03-01T12:00:01Z"), capture(60)]
    path = write_sigmf(tmp_path, pairs(100), captures=captures)
    with pytest.raises(FormatError) as caught:
        formats.probe(path)
    text = str(caught.value)
    assert "capture 0: 100000000 Hz, capture 1: 200000000 Hz, capture 2: none" in text
    line = f"[ra.open_recording({str(path)!r}, capture=i) for i in [0, 1, 2]]"
    assert line in text, "the message has the line that opens them"
    apart = eval(line, {"ra": ra})
    assert [x.sizes["time"] for x in apart] == [40, 20, 40]
    assert [x.coords["center_frequency"].item() for x in apart[:2]] == [1e8, 2e8]
    assert "center_frequency" not in apart[2].coords, "nothing carries over from one capture to the next"
    np.testing.assert_array_equal(np.concatenate([x.values for x in apart]), opened(path, center_frequency=0.0).values)
    assert apart[1]["time"].values[0] == np.datetime64("2022-03-01T12:00:01")
    assert apart[0]["time"].values[0] == np.datetime64("2022-03-01T12:00:01") - np.timedelta64(40, "us")


def test_a_capture_that_is_not_there(tmp_path):
    path = write_sigmf(tmp_path, pairs(100), captures=[capture(0), capture(100)])
    with pytest.raises(FormatError, match="capture=2 was given; it has captures 0 to 1"):
        formats.probe(path, capture=2)
    with pytest.raises(FormatError, match="capture 1 has no samples"):
        formats.probe(path, capture=1)


def test_offset_counts_samples_from_elsewhere(tmp_path):
    marks = [{"core:sample_start": 1010, "core:sample_count": 5}]
    path = write_sigmf(tmp_path, pairs(100), captures=[capture(1000)], offset=1000, annotations=marks)
    header = formats.probe(path)
    assert header.frames == 100
    assert header.metadata["annotations"][0]["core:sample_start"] == 10
    with pytest.raises(FormatError, match=r"'core:sample_start' of capture 0 is 999; a whole number from 1000 on"):
        formats.probe(write_sigmf(tmp_path, pairs(100), captures=[capture(999)], offset=1000))


def test_no_captures_are_one(tmp_path):
    assert formats.probe(write_sigmf(tmp_path, pairs(100), captures=[])).frames == 100


@pytest.mark.parametrize(
    ("text", "ns", "digit"),
    [
        ("2014-08-01T10:33:15.9782727+02:00", 1_406_881_995_978_272_700, 100),
        ("2014-08-01T08:33:15.97827270012345Z", 1_406_881_995_978_272_700, 1),
        ("2014-08-01T08:33:15", 1_406_881_995_000_000_000, 10**9),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000_000_000, 10**9),
        ("1969-12-31T23:59:59.9-00:30", 1_799_900_000_000, 10**8),
    ],
)
def test_times_to_the_nanosecond(text, ns, digit):
    found = Time.of(text)
    assert (found.ns, found.digit) == (ns, digit)


# ---- metadata --------------------------------------------------------------------------------------------------------


def test_all_that_is_said_is_kept(tmp_path):
    said = document(hw="RSA5103A", captures=[{"core:sample_start": 0, "odd:key": 1}])
    said["global"]["antenna:gain"] = 3
    said["future"] = {"core:x": [1, 2]}
    said["annotations"] = [{"core:sample_start": 2, "core:label": "a", "z:y": {"w": 1}}]
    path = write_sigmf(tmp_path, pairs(100))
    path.write_text(json.dumps(said))
    x = opened(path)
    assert x.attrs["metadata"]["global"]["antenna:gain"] == 3
    assert x.attrs["metadata"]["captures"] == said["captures"]
    assert x.attrs["metadata"]["future"] == {"core:x": [1, 2]}
    assert x.coords["instrument"].item() == "RSA5103A"
    (mark,) = x.attrs["annotations"]
    assert mark["z:y"] == {"w": 1}
    assert mark["core:sample_count"] == 98, "to the end of its capture"


def test_annotations_of_one_capture_are_cut_to_it(tmp_path):
    marks = [
        {"core:sample_start": start, "core:sample_count": count, "core:label": f"{start}"}
        for start, count in ((0, 10), (30, 20), (45, 5), (70, 100))
    ]
    path = write_sigmf(tmp_path, pairs(100), captures=[capture(0), capture(40), capture(60)], annotations=marks)
    found = formats.probe(path, capture=1).metadata["annotations"]
    boxes = [(m["core:label"], m["core:sample_start"], m["core:sample_count"]) for m in found]
    assert boxes == [("30", 0, 10), ("45", 5, 5)]


def test_checksums_are_verified_on_request(tmp_path):
    data = pairs(100).tobytes()
    path = write_sigmf(tmp_path, data, sha512=hashlib.sha512(data).hexdigest().upper())
    assert formats.probe(path, verify=True).frames == 100
    path.with_suffix(".sigmf-data").write_bytes(b"\1" + data[1:])
    assert formats.probe(path).frames == 100
    with pytest.raises(FormatError, match=r"x\.sigmf-data: its SHA-512 is .* is stated.*copy it again"):
        formats.probe(path, verify=True)
    with pytest.raises(FormatError, match="states no 'core:sha512'"):
        formats.probe(write_sigmf(tmp_path, data), verify=True)
    about = json.dumps(document(sha512=hashlib.sha512(data).hexdigest())).encode()
    archive = write_archive(tmp_path / "x.sigmf", {"x.sigmf-meta": about, "x.sigmf-data": data})
    assert formats.probe(archive, verify=True).frames == 100


# ---- broken ones -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"datatype": None}, "'global' has no 'core:datatype', which SigMF requires"),
        ({"version": None}, "'global' has no 'core:version'"),
        ({"version": 1.2}, "'core:version' of 'global' is 1.2; text was expected"),
        ({"datatype": "cf16_le"}, "'core:datatype' is 'cf16_le'; .*such as 'cf32_le'"),
        ({"datatype": "cf32"}, "'core:datatype' is 'cf32'"),
        ({"datatype": "ci8_le"}, "'core:datatype' is 'ci8_le'"),
        ({"datatype": 7}, "'core:datatype' of 'global' is 7; text"),
        ({"sample_rate": None}, "states no 'core:sample_rate'.*pass sample_rate="),
        ({"sample_rate": 0}, "'core:sample_rate' of 'global' is 0"),
        ({"sample_rate": "1 MHz"}, "'core:sample_rate' of 'global' is '1 MHz'; a finite number"),
        ({"num_channels": 0}, "'core:num_channels' of 'global' is 0; a whole number from 1 on"),
        ({"offset": -1}, "'core:offset' of 'global' is -1"),
        ({"trailing_bytes": 1.5}, "'core:trailing_bytes' of 'global' is 1.5"),
        ({"captures": {}}, "'captures' of the file is {}; a list"),
        ({"captures": [3]}, "capture 0 is 3; an object"),
        ({"captures": [{}]}, "capture 0 has no 'core:sample_start', which SigMF requires"),
        ({"captures": [capture(-1)]}, "'core:sample_start' of capture 0 is -1; a whole number from 0"),
        ({"captures": [capture(True)]}, "'core:sample_start' of capture 0 is True"),
        ({"captures": [capture(None)]}, "'core:sample_start' of capture 0 is None"),
        ({"captures": [capture(0), capture(9), capture(5)]}, "capture 2 starts at sample 5, before the capture"),
        ({"captures": [capture(0, datetime=1234)]}, "'core:datetime' of capture 0 is 1234; text"),
        ({"captures": [capture(0, datetime="today")]}, "'core:datetime' of capture 0 is 'today'; an ISO 8601 time"),
        ({"captures": [capture(0, datetime="2022-02-30T00:00:00Z")]}, "'core:datetime' of capture 0"),
        ({"captures": [capture(0, datetime="9999-01-01T00:00:00Z")]}, "between 1678 and 2262"),
        ({"captures": [capture(0, frequency=float("nan"))]}, "'core:frequency' of capture 0 is 'NaN'; a finite number"),
        ({"captures": [capture(0, frequency=10**400)]}, "'core:frequency' of capture 0 is 1000.*; a finite number"),
        ({"captures": [capture(0, frequency="1 GHz")]}, "'core:frequency' of capture 0 is '1 GHz'"),
        ({"captures": [capture(0, header_bytes=-5)]}, "'core:header_bytes' of capture 0 is -5"),
        ({"annotations": [{}]}, "annotation 0 has no 'core:sample_start'"),
        ({"annotations": [{"core:sample_start": -4}]}, "'core:sample_start' of annotation 0 is -4"),
        ({"annotations": [{"core:sample_start": 0, "core:sample_count": "3"}]}, "'core:sample_count' of annotation 0"),
    ],
)
def test_wrong_keys_are_named(tmp_path, about, message):
    path = write_sigmf(tmp_path, pairs(100), **about)
    with pytest.raises(FormatError, match=message) as caught:
        formats.probe(path)
    assert str(path) in str(caught.value)


def test_an_option_stands_in_for_the_rate(tmp_path):
    assert formats.probe(write_sigmf(tmp_path, pairs(100), sample_rate=None), sample_rate=2.5).rate == 2.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "starts with b''"),
        (b"[1, 2]", r"starts with b'\[1, 2\]'"),
        (b'{"global": {', "is no JSON text in UTF-8"),
        (b'{"global": "\xff\xfe"}', "is no JSON text in UTF-8"),
        (b'{"captures": []}', "the file has no 'global'"),
        (b'{"global": {}}', "the file has no 'captures'"),
        (b'{"global": 3, "captures": []}', "'global' is 3; an object"),
        (b'{"a":' + b"[" * 100_000, "nested too deeply|no JSON text"),
        (b'{"a":' + b"9" * 10_000 + b"}", "is no JSON text"),
    ],
)
def test_metadata_that_are_none(tmp_path, text, message):
    path = write_sigmf(tmp_path, pairs(4))
    path.write_bytes(text)
    with pytest.raises(FormatError, match=message):
        formats.probe(path)


def test_huge_metadata_are_refused_without_being_read(tmp_path):
    path = write_sigmf(tmp_path, pairs(4))
    with open(path, "wb") as file:
        file.write(b'{"global": "')
        file.truncate(2**30)
    archive = tmp_path / "x.sigmf"
    info = tarfile.TarInfo("x.sigmf-meta")
    info.size = LARGEST + 1
    with open(archive, "wb") as file:
        file.write(info.tobuf())
        file.truncate(LARGEST + 4096)
    tracemalloc.start()
    for each in (path, archive):
        with pytest.raises(FormatError, match="bytes of metadata; up to 67,108,864 are read"):
            formats.probe(each)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_dense_metadata_are_refused_without_being_parsed(tmp_path):
    path = write_sigmf(tmp_path, pairs(4))
    path.write_bytes(b'{"a": [' + b"[]," * 5_000_000 + b"0]}")
    tracemalloc.start()
    with pytest.raises(FormatError, match="values of metadata; up to 3,000,000 are read"):
        formats.probe(path)
    assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    tracemalloc.stop()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats() | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=4,
)
KEYS = ("sample_start", "header_bytes", "frequency", "datetime", "global_index", "sample_count")
SOMETIMES = st.dictionaries(st.sampled_from([f"core:{key}" for key in KEYS]), st.integers(0, 120) | ANYTHING)
ABOUT = ("num_channels", "offset", "trailing_bytes", "sample_rate", "dataset", "sha512", "hw", "datatype", "version")


@settings(deadline=None, max_examples=300)
@given(
    st.lists(SOMETIMES | ANYTHING, max_size=3) | ANYTHING,
    st.lists(SOMETIMES | ANYTHING, max_size=3) | ANYTHING,
    st.dictionaries(st.sampled_from(ABOUT), st.integers(0, 9) | ANYTHING, max_size=2),
)
def test_any_metadata_are_read_or_refused(tmp_path_factory, captures, annotations, about):
    folder = tmp_path_factory.mktemp("sigmf")
    path = write_sigmf(folder, pairs(100))
    said = document(**about) | {"captures": captures, "annotations": annotations}
    path.write_text(json.dumps(said))
    try:
        header = formats.probe(path)
    except FormatError:
        return
    found = formats.source(header).read(0, header.frames)
    assert found.shape == header.shape
    assert header.frames <= 200
    frames = [frame for frame, _ in header.breaks]
    assert frames == sorted(set(frames))
    assert all(0 < frame < header.frames for frame in frames)


def test_samples_that_end_before_the_last_capture(tmp_path):
    path = write_sigmf(tmp_path, pairs(50), captures=[capture(0), capture(80)])
    header = formats.probe(path)
    assert (header.frames, header.flags) == (50, ("truncated",))
    assert formats.is_complete(path) is False
    with pytest.raises(RecordingError, match="truncated"):
        opened(path)


def test_less_than_belongs_around_the_samples(tmp_path):
    path = write_sigmf(tmp_path, pairs(5), captures=[capture(0, header_bytes=15)], trailing_bytes=10)
    header = formats.probe(path)
    assert (header.frames, header.flags) == (0, ("truncated",))


@pytest.mark.parametrize(
    "about",
    [
        {"captures": [capture(0, global_index=0), capture(4, global_index=2**62)]},
        {"sample_rate": 1e-300},
        {"sample_rate": 1e-9},
        {"captures": [capture(0, datetime="2261-01-01T00:00:00Z")]},
    ],
)
def test_times_beyond_any_clock(tmp_path, about):
    path = write_sigmf(tmp_path, pairs(100), **about)
    with pytest.raises(FormatError, match="end more than a century from now"):
        formats.probe(path)
    assert ra.scan(path, cache=False)["use"].tolist() == [False]


def test_a_last_sample_that_is_not_whole(tmp_path):
    path = write_sigmf(tmp_path, pairs(50).tobytes()[:-1])
    header = formats.probe(path)
    assert (header.frames, header.flags) == (49, ("partial_frame",))
    np.testing.assert_array_equal(formats.source(header).read(0, 49).ravel(), np.arange(98))


def test_files_that_change_after_the_scan_are_loud(tmp_path):
    path = write_sigmf(tmp_path, pairs(500))
    data = path.with_suffix(".sigmf-data")
    source = formats.source(formats.probe(path))
    data.write_bytes(pairs(400).tobytes())
    with pytest.raises(TruncatedFile, match=r"x\.sigmf-data: 500 frames were expected, 400 are there"):
        source.read(0, 500)
    data.write_bytes(pairs(500, 1).tobytes())
    os.utime(data, ns=(1, 1))
    with pytest.raises(FormatError, match=r"x\.sigmf-data changed since it was scanned"):
        source.read(0, 10)
    source = formats.source(formats.probe(path))
    path.write_text(json.dumps(document("ci8")))
    with pytest.raises(FormatError, match=r"x\.sigmf-meta changed since it was scanned"):
        source.read(0, 10)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"x\.sigmf-meta"):
        source.read(0, 10)


def test_finished_or_not(tmp_path):
    path = write_sigmf(tmp_path, pairs(500))
    data = path.with_suffix(".sigmf-data")
    assert (formats.is_complete(path), formats.is_complete(data)) == (None, None)
    whole = path.read_bytes()
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        assert formats.is_complete(path) is False, end
    path.write_bytes(whole)
    data.unlink()
    assert formats.is_complete(path) is False
    path.write_text("{'global'}")
    with pytest.raises(FormatError, match="no JSON text"):
        formats.is_complete(path)


def test_detection_by_content(tmp_path):
    path = write_sigmf(tmp_path, pairs(300))
    assert formats.detect(path).name == "sigmf"
    anonymous = tmp_path / "x.unknown"
    shutil.copyfile(path, anonymous)
    assert formats.detect(anonymous).name == "sigmf"
    other = tmp_path / "y.unknown"
    other.write_text('{"name": "package"}')
    with pytest.raises(FormatError, match="no format recognises"):
        formats.detect(other)


def test_sources_are_values(tmp_path):
    import pickle

    captures = [capture(0, header_bytes=3), capture(20, header_bytes=5)]
    raw = b"abc" + pairs(20).tobytes() + b"fghij" + pairs(30, 20).tobytes()
    path = write_sigmf(tmp_path, raw, captures=captures)
    source = formats.source(formats.probe(path))
    copy = pickle.loads(pickle.dumps(source))
    assert (copy, hash(copy)) == (source, hash(source))
    for start, stop in ((-1, 3), (0, 51), (4, 2)):
        with pytest.raises(IndexError):
            source.read(start, stop)
    assert source.read(7, 7).shape == (0, 2)


def test_a_real_recording(shared):
    path = f"{shared}/data/iq/ft8_20m_busy_12k.sigmf-meta"
    x = opened(path)
    assert (x.sizes["time"], ra.rate(x), x.dtype) == (180_000, 12_000, np.complex64)
    assert x["time"].values[0] == np.datetime64("2026-08-21T11:26:32.312862")
    raw = np.fromfile(path.replace("-meta", "-data"), "<c8")
    np.testing.assert_array_equal(x.values, raw)
    assert x.attrs["annotations"][0]["core:sample_count"] == 180_000
