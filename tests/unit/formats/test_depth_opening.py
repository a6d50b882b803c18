"""Recordings of depth cameras as they are opened: metadata, films with their times, other files in the folder."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import fsspec
import numpy as np
import pytest
from depth_recordings import START, START_NS, frames_of, write_recording

import reelarray as ra
from reelarray import formats
from reelarray.catalog import NoFiles
from reelarray.errors import FormatError, RecordingError
from reelarray.formats.depth.session import parse_session


def listed(folder):
    return {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*")}


# ---- metadata.json ---------------------------------------------------------------------------------------------------


def test_all_that_is_said_is_kept(tmp_path):
    path, _ = write_recording(tmp_path, said={"Own": {"a": [1, None]}, "ColorDataType": "Byte[]"})
    header = formats.probe(path)
    said = json.loads((tmp_path / "metadata.json").read_text())
    assert header.metadata == {**said, "utc_offset": "-05:00"}
    assert header.start_ns == START_NS
    x = ra.open_recording(path)
    assert x.attrs["metadata"] == said
    assert x.attrs["utc_offset"] == "-05:00"


@pytest.mark.parametrize(
    ("text", "start_ns", "flags"),
    [
        (START, START_NS, ()),
        ("2026-01-02T08:04:05.6789012Z", START_NS, ()),
        ("2026-01-02T08:04:05+00:00", START_NS - 678901200, ()),
        ("2026-01-02T03:04:05.6789012", None, ()),
        ("", None, ()),
        (None, None, ()),
        ("yesterday", None, ("no_start",)),
        (17, None, ("no_start",)),
    ],
)
def test_starts(text, start_ns, flags):
    said = parse_session(json.dumps({"StartTime": text}).encode(), "x")
    assert (said.start_ns, said.flags) == (start_ns, flags)


def test_a_start_without_a_zone_is_in_the_zone_that_is_given(tmp_path):
    path, _ = write_recording(tmp_path, said={"StartTime": "2026-01-02T03:04:05"})
    for zone, start in (("UTC", "2026-01-02T03:04:05"), ("-05:00", "2026-01-02T08:04:05")):
        assert ra.open_recording(path, timezone=zone)["time"].values[0] == np.datetime64(start)


def test_without_a_start_times_count_from_the_first_frame(tmp_path):
    path, _ = write_recording(tmp_path, said={"StartTime": ""})
    x = ra.open_recording(path)
    assert x["time"].dtype == "m8[ns]"
    assert x["time"].values[0] == np.timedelta64(0, "ns")


def test_missing_metadata_are_defaults_and_nothing_is_written(tmp_path, caplog):
    path, film = write_recording(tmp_path / "mouse 7", said=False)
    before = listed(tmp_path)
    x = ra.open_recording(path, width=8, height=6)
    np.testing.assert_array_equal(x, film)
    assert x.attrs["metadata"] == {"SubjectName": "", "SessionName": "mouse 7", "StartTime": ""}
    assert "no_metadata: there is no metadata.json" in caplog.text
    assert listed(tmp_path) == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b'{"SubjectName": "3", ', "is no JSON"),
        (b"\xff\xfe\x00", "is no JSON"),
        (b"[1, 2]", "holds list"),
        (b"", "is no JSON"),
        (b'{"DepthResolution": [512]}', r"DepthResolution is \[512\]"),
        (b'{"DepthResolution": [0, 0]}', r"DepthResolution is \[0, 0\]"),
        (b'{"DepthResolution": [512.0, 424]}', r"DepthResolution is \[512.0, 424\]"),
        (b'{"DepthResolution": "512x424"}', "DepthResolution is '512x424'"),
        (b'{"IsLittleEndian": "yes"}', "IsLittleEndian is 'yes'"),
        (b"[" * 100_000, "is no JSON"),
    ],
)
def test_broken_metadata_are_named(tmp_path, text, told):
    path, _ = write_recording(tmp_path)
    (tmp_path / "metadata.json").write_bytes(text)
    with pytest.raises(FormatError, match=told) as caught:
        formats.probe(path)
    assert str(tmp_path / "metadata.json") in str(caught.value)


def test_a_byte_order_mark_is_no_damage():
    assert parse_session(b'\xef\xbb\xbf{"SubjectName": "3"}', "x").metadata == {"SubjectName": "3"}


def test_a_partial_frame_is_told_and_opens(tmp_path, caplog):
    path, film = write_recording(tmp_path, trailing=50)
    np.testing.assert_array_equal(ra.open_recording(path), film)
    assert "partial_frame: the last frame is incomplete and left out" in caplog.text


# ---- what else lies in the folder ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nidaq.dat", "ir.dat", "IR_0.avi", "rgb.mkv"])
def test_other_cameras_are_refused_by_name(tmp_path, name):
    (tmp_path / name).write_bytes(bytes(96))
    with pytest.raises(FormatError, match=rf"{name} holds .* by its name, frames of depth were expected"):
        formats.probe(str(tmp_path / name))


def test_other_packed_files_are_refused(tmp_path):
    (tmp_path / "depth.dat.gz").write_bytes(bytes(96))
    with pytest.raises(FormatError, match=r"\.tar\.gz and \.tgz are read"):
        formats.probe(str(tmp_path / "depth.dat.gz"))


def test_a_search_takes_depth_only_by_its_name(tmp_path):
    write_recording(tmp_path / "a")
    write_recording(tmp_path / "b")
    (tmp_path / "b" / "nidaq.dat").write_bytes(bytes(960))
    with pytest.raises(NoFiles):
        ra.scan(tmp_path, cache=False)
    table = ra.scan(tmp_path, format="depth", cache=False)
    good = table[table["use"]]
    assert [Path(path).parent.name for path in good["path"]] == ["a", "b"]
    assert good["samples"].tolist() == [20, 20]
    assert good["shape"].tolist() == [(20, 6, 8)] * 2
    bad = table[~table["use"]]
    assert bad["anomaly"].str.contains(r"unreadable: .*nidaq\.dat holds what a converter measured").tolist() == [True]


def test_headers_are_read_anew_as_files_beside_may_have_changed(tmp_path):
    path, _ = write_recording(tmp_path)
    cache = tmp_path / "cache"
    assert ra.scan(path, format="depth", cache=cache)["rate"].tolist() == [30]
    (tmp_path / "depth_ts.txt").write_text("".join(f"{50 * k}\n" for k in range(20)))
    assert ra.scan(path, format="depth", cache=cache)["rate"].tolist() == [20]


def test_a_catalog_that_was_saved_opens_the_same(tmp_path):
    path, film = write_recording(tmp_path)
    ra.catalog.save(ra.scan(path, format="depth"), tmp_path / "c.json")
    x = ra.open_recordings(ra.catalog.load(tmp_path / "c.json"))
    np.testing.assert_array_equal(x, film)
    assert x.indexes["time"].equals(ra.open_recording(path).indexes["time"])


def test_two_recordings_are_one_in_order_of_time(tmp_path):
    one, first = write_recording(tmp_path / "a")
    two, second = write_recording(tmp_path / "b", said={"StartTime": "2026-01-02T03:14:05.6789012-05:00"})
    x = ra.open_recordings([two, one])
    np.testing.assert_array_equal(x, np.concatenate([first, second]))
    assert (x["time"].values[20] - x["time"].values[0]) == np.timedelta64(600, "s")


def test_keywords_of_other_formats_are_refused(tmp_path):
    path, _ = write_recording(tmp_path)
    with pytest.raises(TypeError, match="on_mismatch"):
        formats.probe(path, on_missmatch="trim")
    with pytest.raises(FormatError, match="only films"):
        formats.probe(path, stream=1)


def test_raw_frames_are_read_from_elsewhere(tmp_path):
    path, film = write_recording(tmp_path, said={"StartTime": START})
    memory = fsspec.filesystem("memory")
    for name in ("depth.dat", "metadata.json", "depth_ts.txt"):
        memory.pipe(f"/depth_opening/{name}", (tmp_path / name).read_bytes())
    header = formats.probe("memory://depth_opening/depth.dat")
    there = formats.probe(path)
    assert (header.frames, header.rate, header.start_ns, header.flags) == (20, 30, START_NS, ())
    assert header.metadata == there.metadata
    np.testing.assert_array_equal(formats.source(header).read(3, 11), film[3:11])
    np.testing.assert_array_equal(
        formats.get_format("depth").times(header.path, 20, header.layout),
        formats.get_format("depth").times(path, 20, there.layout),
    )


# ---- films -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def films():
    pytest.importorskip("av")
    import films16

    return films16


def test_a_film_with_a_file_of_times(tmp_path, films):
    ms = 1000 / 30 * np.arange(1, 13)
    ms[6:] += 100
    write_recording(tmp_path, 12, ms=ms, said={"DepthResolution": [512, 424]})  # which the film knows better
    film = frames_of(12, 48, 64)
    path = str(films.write_avi(tmp_path / "depth.avi", film))
    header = formats.probe(path)
    assert (header.format, header.shape, header.rate, header.units) == ("depth", (12, 48, 64), 30, "mm")
    assert [frame for frame, _ in header.breaks] == [6]
    x = ra.open_recording(path, chunks=5)
    np.testing.assert_array_equal(x, film)
    np.testing.assert_array_equal(x["timestamps"], ms)
    with pytest.raises(FormatError, match="64 x 48 pixels; width= and height= are for raw files"):
        formats.probe(path, width=8, height=6)


def test_an_avi_without_a_file_of_times_has_a_constant_rate(tmp_path, films):
    path = str(films.write_avi(tmp_path / "depth.avi", frames_of(12, 48, 64), rate=25))
    header = formats.probe(path)
    assert (header.rate, header.flags) == (25, ("no_metadata", "no_timestamps"))
    assert formats.probe(path, fps=20).rate == 20


def test_an_mkv_has_the_times_of_its_packets(tmp_path, films):
    ms = np.array([0, 33, 67, 100, 133, 233, 267, 300, 400, 433, 467, 500], float)
    film = frames_of(12, 48, 64)
    path = str(films.write_mkv(tmp_path / "a.mkv", film, ms))
    header = formats.probe(path)
    assert [frame for frame, _ in header.breaks] == [5, 8]
    assert (header.rate, header.flags) == (30, ("no_metadata",))
    x = ra.open_recording(path)
    np.testing.assert_array_equal(x, film)
    np.testing.assert_array_equal(x["timestamps"], ms)
    assert formats.probe(path, stream="DEPTH").layout == header.layout
    (tmp_path / "depth_ts.txt").write_text("".join(f"{40 * k}\n" for k in range(12)))
    assert formats.probe(path).rate == 25
    assert formats.probe(path, timestamps=False).breaks == ()


def test_a_film_that_was_never_finished_is_used_only_where_that_is_asked(tmp_path, films):
    film = frames_of(12, 48, 64)
    path = str(films.write_mkv(tmp_path / "a.mkv", film, 40.0 * np.arange(12), titles=("DEPTH",)))
    os.truncate(path, os.path.getsize(path) * 2 // 3)
    header = formats.probe(path)
    assert 0 < header.frames < 12
    assert "truncated" in header.flags
    with pytest.raises(RecordingError, match="truncated"):
        ra.open_recording(path)
    np.testing.assert_array_equal(ra.open_recording(path, on_bad="use"), film[: header.frames])
    (tmp_path / "depth_ts.txt").write_text("".join(f"{40 * k}\n" for k in range(12)))
    with pytest.raises(FormatError, match=f"has 12 times, .* has {header.frames} frames"):
        formats.probe(path)


def test_trimmed_films(tmp_path, films):
    film = frames_of(12, 48, 64)
    path = str(films.write_avi(tmp_path / "depth.avi", film))
    (tmp_path / "depth_ts.txt").write_text("".join(f"{40 * k}\n" for k in range(9)))
    np.testing.assert_array_equal(ra.open_recording(path, on_mismatch="trim"), film[:9])


def test_the_shared_generator_opens(tmp_path, shared):
    import sys

    sys.path.insert(0, str(shared / "tools"))
    try:
        from make_depth_session import make_session
    finally:
        sys.path.pop(0)
    truth = make_session(str(tmp_path), 40, 3, 30.0)
    x = ra.open_recording(tmp_path / "depth.dat")
    np.testing.assert_allclose(x["timestamps"], truth["ts"], atol=1e-4)
    assert x.shape == (40, 424, 512)
    assert [frame for frame, _ in formats.probe(str(tmp_path / "depth.dat")).breaks] == truth["gap_before"].tolist()
    assert x["time"].values[0] == np.datetime64("2026-01-02T08:04:05.678901200")
    assert ra.rate(x) == 30
    shutil.rmtree(tmp_path)
