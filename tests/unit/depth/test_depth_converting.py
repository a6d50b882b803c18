"""Copies of films: exact for every start, proven before the source may go, and never half there."""

from __future__ import annotations

import json
import os
import sys
import tarfile
import tracemalloc
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reelarray.depth import converting
from reelarray.depth.companions import later
from reelarray.depth.converting import convert_avi_to_raw, convert_raw_to_avi, copy_slice
from reelarray.depth.encoding import Encoder
from reelarray.errors import ClockError, FormatError, MissingPackage, RecordingError
from reelarray.formats.depth.video import VideoSource, probe_video
from reelarray.sinks.journal import OutputExists

av = pytest.importorskip("av")

BEGUN = "2024-05-06T07:08:09.1234567+02:00"
FRAMES, SHAPE = 23, (40, 56)


def scenes(frames=FRAMES, shape=SHAPE, seed=0):
    film = np.random.default_rng(seed).integers(640, 700, (frames, *shape)).astype("<u2")
    film[:, 0, 0] = np.arange(frames)
    return film


def session(folder, film=None, *, name="depth.dat", trailing=0, stamps="depth_ts.txt", order="<", **metadata):
    """A recording folder; times jump by 100 ms at frame 9."""
    folder.mkdir(parents=True, exist_ok=True)
    film = scenes() if film is None else film
    (folder / name).write_bytes(film.astype(f"{order}u2").tobytes() + bytes(trailing))
    ms = 1000 + 33.25 * np.arange(len(film)) + 100 * (np.arange(len(film)) >= 9)
    if stamps == "depth_ts.txt":
        (folder / stamps).write_text("".join(f"{t:.4f} {k * 7}\n" for k, t in enumerate(ms)))
    elif stamps:
        (folder / stamps).write_text("time,counter\n" + "".join(f"{t / 1000:.6f},{k}\n" for k, t in enumerate(ms)))
    said = {"SubjectName": "m 1", "StartTime": BEGUN, "DepthResolution": [*film.shape[:0:-1]], "Extra": [1, "ü"]}
    (folder / "metadata.json").write_text(json.dumps(said | {"IsLittleEndian": order == "<"} | metadata))
    return folder / name


def read(path):
    if path.suffix == ".dat":
        said = json.loads((path.parent / "metadata.json").read_text())
        return np.fromfile(path, "<u2").reshape(-1, *said["DepthResolution"][::-1])
    film = probe_video(str(path))
    return VideoSource(film.path, film.frames, film.layout, film.size, film.modified_ns).read(0, film.frames)


def names(folder):
    return sorted(os.listdir(folder))


def test_there_and_back_again(tmp_path):
    source = session(tmp_path / "a")
    raw = source.read_bytes()
    film = convert_raw_to_avi(source, chunk_size=7)
    assert film == tmp_path / "a/depth.avi"
    np.testing.assert_array_equal(read(film), scenes())
    assert names(tmp_path / "a") == ["depth.avi", "depth.dat", "depth_ts.txt", "metadata.json"]
    source.unlink()
    back = convert_avi_to_raw(film, chunk_size=5)
    assert back == source
    assert back.read_bytes() == raw


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ends=st.tuples(st.integers(0, FRAMES), st.integers(0, FRAMES)).map(sorted).filter(lambda e: e[0] < e[1]),
    chunk=st.integers(1, 30),
    kinds=st.tuples(st.sampled_from([".dat", ".avi"]), st.sampled_from([".dat", ".avi", ".mkv"])),
)
def test_a_slice_is_right_for_every_start(tmp_path_factory, ends, chunk, kinds):
    folder = tmp_path_factory.mktemp("slice")
    source = session(folder / "whole")
    if kinds[0] == ".avi":
        source = convert_raw_to_avi(source, delete=True)
    (folder / "part").mkdir()
    out = copy_slice(source, folder / f"part/depth{kinds[1]}", tuple(ends), chunk_size=chunk)
    np.testing.assert_array_equal(read(out), scenes()[slice(*ends)])
    lines = (folder / "whole/depth_ts.txt").read_text().splitlines()
    assert (folder / "part/depth_ts.txt").read_text().splitlines() == lines[slice(*ends)]
    said = json.loads((folder / "part/metadata.json").read_text())
    assert said["SliceOf"] == {"file": source.name, "frames": ends}
    assert (said["SubjectName"], said["Extra"]) == ("m 1", [1, "ü"])
    passed = 33.25 * ends[0] + 100 * (ends[0] >= 9)
    moved = datetime.fromisoformat(said["StartTime"]) - datetime.fromisoformat(BEGUN)
    assert abs(moved - timedelta(milliseconds=passed)) <= timedelta(microseconds=1)
    assert names(folder / "part") == sorted([out.name, "depth_ts.txt", "metadata.json"])


def test_chunk_sizes_and_threads_change_no_byte(tmp_path):
    source = session(tmp_path / "a")
    made = [
        convert_raw_to_avi(source, tmp_path / "a" / f"{chunk}.avi", chunk_size=chunk, threads=threads).read_bytes()
        for chunk, threads in ((1, 1), (7, 2), (3000, 8))
    ]
    assert len(set(made)) == 1


def test_times_in_seconds_keep_their_heading_and_their_unit(tmp_path):
    source = session(tmp_path / "a", stamps="timestamps.csv")
    (tmp_path / "b").mkdir()
    copy_slice(source, tmp_path / "b/depth.dat", (9, 12))
    lines = (tmp_path / "a/timestamps.csv").read_text().splitlines()
    assert (tmp_path / "b/timestamps.csv").read_text().splitlines() == [lines[0], *lines[10:13]]
    said = json.loads((tmp_path / "b/metadata.json").read_text())
    assert said["StartTime"] == later(BEGUN, 9 * 33.25 + 100)


def test_big_endian_frames_are_copied_as_what_their_metadata_say(tmp_path):
    source = session(tmp_path / "a", order=">")
    (tmp_path / "b").mkdir()
    out = copy_slice(source, tmp_path / "b/depth.dat", (3, 20))
    np.testing.assert_array_equal(read(out), scenes()[3:20])
    assert json.loads((tmp_path / "b/metadata.json").read_text())["IsLittleEndian"] is True
    film = convert_raw_to_avi(source, delete=True)
    np.testing.assert_array_equal(read(film), scenes())
    with pytest.raises(RecordingError, match="IsLittleEndian False"):  # it would be read with its bytes swapped
        convert_avi_to_raw(film)
    assert names(tmp_path / "a") == ["depth.avi", "depth_ts.txt", "metadata.json"]


def test_raw_frames_of_another_size_are_never_without_their_size(tmp_path):
    film = convert_raw_to_avi(session(tmp_path / "a"), delete=True)
    (tmp_path / "a/metadata.json").unlink()
    out = convert_avi_to_raw(film)
    np.testing.assert_array_equal(read(out), scenes())
    assert json.loads((tmp_path / "a/metadata.json").read_text())["DepthResolution"] == [56, 40]
    out.unlink()
    (tmp_path / "a/metadata.json").write_text('{"SubjectName": "x"}')
    with pytest.raises(RecordingError, match=r"says DepthResolution \[512, 424\].*\[56, 40\]"):
        convert_avi_to_raw(film)
    (tmp_path / "b").mkdir()
    out = convert_avi_to_raw(film, tmp_path / "b/depth.dat")
    assert json.loads((tmp_path / "b/metadata.json").read_text()) == {
        "SubjectName": "x", "DepthResolution": [56, 40], "IsLittleEndian": True,
    }  # fmt: skip
    np.testing.assert_array_equal(read(out), scenes())


def write_mkv(path, film, ms, titles):
    with av.open(str(path), "w") as container:
        streams = []
        for title in titles:
            stream = container.add_stream("ffv1", rate=30)
            stream.height, stream.width, stream.pix_fmt, stream.gop_size = *film.shape[1:], "gray16le", 1
            stream.metadata["title"] = title
            streams.append(stream)
        for frame, t in zip(film, ms, strict=True):
            for k, stream in enumerate(streams):
                picture = av.VideoFrame.from_ndarray(frame + np.uint16(1000 * k), format="gray16le")
                picture.pts, picture.time_base = int(t), converting.Fraction(1, 1000)
                container.mux(stream.encode(picture))
        for stream in streams:
            container.mux(stream.encode())


def test_times_that_are_in_a_container_alone_are_written_beside_the_copy(tmp_path):
    ms = np.array([0, 33, 67, 167, 200, 233])
    write_mkv(tmp_path / "depth.mkv", scenes(6), ms, ["DEPTH"])
    out = convert_raw_to_avi(tmp_path / "depth.mkv", delete=True)
    assert names(tmp_path) == ["depth.avi", "depth_ts.txt"]
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "depth_ts.txt")[:, 0], ms)
    np.testing.assert_array_equal(read(out), scenes(6))
    (tmp_path / "b").mkdir()
    copy_slice(out, tmp_path / "b/depth.dat", (2, 5))
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "b/depth_ts.txt")[:, 0], ms[2:5])


def test_a_stream_is_chosen_and_the_others_keep_the_source(tmp_path):
    write_mkv(tmp_path / "depth.mkv", scenes(4), [0, 33, 67, 100], ["DEPTH", "IR"])
    with pytest.raises(RecordingError, match=r"cannot be deleted.*1 more streams \(video\)"):
        convert_raw_to_avi(tmp_path / "depth.mkv", delete=True)
    assert names(tmp_path) == ["depth.mkv"]
    np.testing.assert_array_equal(read(convert_raw_to_avi(tmp_path / "depth.mkv", mapping="IR")), scenes(4) + 1000)


def flip(monkeypatch, frame, at=(0, 3)):
    """An encoder that changes one pixel of one frame."""
    write = Encoder.write

    def wrong(self, frames):
        frames = frames.copy()
        if self.frames <= frame < self.frames + len(frames):
            frames[(frame - self.frames, *at)] ^= 1
        write(self, frames)

    monkeypatch.setattr(Encoder, "write", wrong)


@pytest.mark.parametrize("frame", [0, 8, 22])
@pytest.mark.parametrize("chunk", [4, 3000])
def test_one_wrong_pixel_is_found_and_named(tmp_path, monkeypatch, frame, chunk):
    source = session(tmp_path / "a")
    before = names(tmp_path / "a")
    flip(monkeypatch, frame)
    with pytest.raises(RecordingError, match=rf"frame {frame} of .*depth\.dat is not the same"):
        convert_raw_to_avi(source, delete=True, chunk_size=chunk)
    assert names(tmp_path / "a") == before
    (tmp_path / "b").mkdir()
    flip(monkeypatch, 0, at=(1, 1))
    with pytest.raises(RecordingError, match=r"frame 5 of .*depth\.dat is not the same"):
        copy_slice(source, tmp_path / "b/depth.avi", (5, 20), chunk_size=chunk)
    assert names(tmp_path / "b") == []


def test_frames_that_get_lost_are_found(tmp_path, monkeypatch):
    source = session(tmp_path / "a")
    write = Encoder.write
    monkeypatch.setattr(Encoder, "write", lambda self, frames: write(self, frames[:5]))
    with pytest.raises(RecordingError, match=r"23 frames .* were written, \(5, 40, 56\) were found.*frame 5 of"):
        convert_raw_to_avi(source, delete=True)
    assert source.exists()
    assert "depth.avi" not in names(tmp_path / "a")


def test_a_copy_that_cannot_be_read_back_is_removed(tmp_path, monkeypatch):
    source = session(tmp_path / "a")
    close = Encoder.close

    def damaged(self):
        close(self)
        data = bytearray(Path(self.path).read_bytes())
        data[len(data) // 2] ^= 16
        Path(self.path).write_bytes(data)

    monkeypatch.setattr(Encoder, "close", damaged)
    with pytest.raises(RecordingError, match=r"depth\.avi cannot be read back .*frame \d+ cannot be decoded"):
        convert_raw_to_avi(source, delete=True)
    assert names(tmp_path / "a") == ["depth.dat", "depth_ts.txt", "metadata.json"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("after", [0, 2])
def test_what_is_interrupted_leaves_nothing(tmp_path, monkeypatch, error, after):
    source = session(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/depth.avi").write_bytes(b"an older one")
    count = []

    def stopped(frames, digest=converting._digest):
        count.append(1)
        if len(count) > after:
            raise error
        return digest(frames)

    monkeypatch.setattr(converting, "_digest", stopped)
    with pytest.raises(error):
        copy_slice(source, tmp_path / "b/depth.avi", (0, 23), chunk_size=10, delete=True, overwrite=True)
    assert source.exists()
    assert names(tmp_path / "b") == ["depth.avi"]
    assert (tmp_path / "b/depth.avi").read_bytes() == b"an older one"


def test_nothing_is_replaced_unless_asked(tmp_path):
    source = session(tmp_path / "a")
    (tmp_path / "a/depth.avi").write_bytes(b"an older one")
    with pytest.raises(OutputExists, match="overwrite=True"):
        convert_raw_to_avi(source)
    with pytest.raises(OutputExists, match="is the input itself"):
        copy_slice(source, source, (0, 3), overwrite=True)
    assert (tmp_path / "a/depth.avi").read_bytes() == b"an older one"
    np.testing.assert_array_equal(read(convert_raw_to_avi(source, overwrite=True)), scenes())


def test_a_slice_does_not_move_in_with_another_recording(tmp_path):
    source = session(tmp_path / "a")
    session(tmp_path / "b", scenes(9, seed=1), name="other.dat")
    before = {name: (tmp_path / "b" / name).read_bytes() for name in names(tmp_path / "b")}
    with pytest.raises(OutputExists, match=r"b/depth_ts\.txt is there already"):
        copy_slice(source, tmp_path / "b/depth.dat", (2, 9))
    with pytest.raises(OutputExists, match=r"a/depth_ts\.txt is there already"):  # those are of the whole
        copy_slice(source, tmp_path / "a/part.dat", (2, 9), overwrite=True)
    assert {name: (tmp_path / "b" / name).read_bytes() for name in names(tmp_path / "b")} == before
    (tmp_path / "a/depth_ts.txt").rename(tmp_path / "a/gone.txt")
    with pytest.raises(OutputExists, match=r"b/depth_ts\.txt is there already"):  # they would be taken for its own
        copy_slice(source, tmp_path / "b/depth.dat", (2, 9), overwrite=True)
    (tmp_path / "a/gone.txt").rename(tmp_path / "a/depth_ts.txt")
    out = copy_slice(source, tmp_path / "b/depth.dat", (2, 9), overwrite=True)
    np.testing.assert_array_equal(read(out), scenes()[2:9])
    assert len((tmp_path / "b/depth_ts.txt").read_text().splitlines()) == 7


@pytest.mark.parametrize(("spoil", "why"), [
    (lambda a: session(a, trailing=100), "part of a frame"),
    (lambda a: (a / "depth_ts.txt").write_text("1 0\n2 0\n"), "has 2 times, the file has 23 frames"),
    (lambda a: (a / "depth_ts.txt").write_text("1 0\nx 0\n"), "times beside it cannot be read"),
])  # fmt: skip
def test_what_a_copy_does_not_cover_keeps_the_source(tmp_path, spoil, why):
    source = session(tmp_path / "a")
    spoil(tmp_path / "a")
    with pytest.raises(RecordingError, match=f"cannot be deleted.*{why}.*delete=False"):
        convert_raw_to_avi(source, delete=True)
    assert names(tmp_path / "a") == ["depth.dat", "depth_ts.txt", "metadata.json"]
    np.testing.assert_array_equal(read(convert_raw_to_avi(source)), scenes())
    assert source.exists()


def test_an_archive_is_copied_with_what_is_in_it_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = session(tmp_path / "a")
    packed = tmp_path / "session_20240506.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        for name in names(source.parent):
            archive.add(source.parent / name, arcname=name)
    with pytest.raises(RecordingError, match="it is an archive"):
        convert_raw_to_avi(packed, delete=True)
    film = convert_raw_to_avi(packed)
    assert film.name == "session_20240506.avi"
    np.testing.assert_array_equal(read(film), scenes())
    ms = np.loadtxt(tmp_path / "a/depth_ts.txt")[:, 0]
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "depth_ts.txt")[:, 0], ms)
    (tmp_path / "b").mkdir()
    np.testing.assert_array_equal(read(copy_slice(packed, tmp_path / "b/depth.dat", (7, 12))), scenes()[7:12])
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "b/depth_ts.txt")[:, 0], ms[7:12])
    said = json.loads((tmp_path / "b/metadata.json").read_text())
    assert said.keys() == {
        "SubjectName", "StartTime", "DepthResolution", "Extra", "IsLittleEndian", "SliceOf"
    }  # fmt: skip
    assert said["StartTime"] == later(BEGUN, 7 * 33.25)


def test_a_part_never_deletes_the_whole(tmp_path):
    source = session(tmp_path / "a")
    (tmp_path / "b").mkdir()
    for ends in ((0, 22), (1, 23)):
        with pytest.raises(RecordingError, match="it has 23 frames"):
            copy_slice(source, tmp_path / "b/depth.avi", ends, delete=True)
    assert names(tmp_path / "b") == []
    copy_slice(source, tmp_path / "b/depth.avi", (0, 23), delete=True)
    assert not source.exists()
    np.testing.assert_array_equal(read(tmp_path / "b/depth.avi"), scenes())


def test_a_cut_film_is_copied_but_not_deleted(tmp_path):
    film = convert_raw_to_avi(session(tmp_path / "a"), delete=True)
    os.truncate(film, film.stat().st_size // 2)
    (tmp_path / "a/depth_ts.txt").unlink()
    with pytest.raises(RecordingError, match="it was cut off"):
        convert_avi_to_raw(film, delete=True)
    out = read(convert_avi_to_raw(film))
    assert 0 < len(out) < FRAMES
    np.testing.assert_array_equal(out, scenes()[: len(out)])


def test_a_source_that_changes_meanwhile_is_not_proven(tmp_path, monkeypatch):
    source = session(tmp_path / "a")
    prove = converting._prove

    def meanwhile(*args):
        prove(*args)
        with open(source, "ab") as file:
            file.write(scenes(1).tobytes())

    monkeypatch.setattr(converting, "_prove", meanwhile)
    with pytest.raises(FormatError, match="changed since"):
        convert_raw_to_avi(source, delete=True)
    assert names(tmp_path / "a") == ["depth.dat", "depth_ts.txt", "metadata.json"]


def test_times_that_do_not_fit_are_no_times_of_a_slice(tmp_path):
    source = session(tmp_path / "a")
    (tmp_path / "a/depth_ts.txt").write_text("1 0\n2 0\n")
    (tmp_path / "b").mkdir()
    with pytest.raises(ClockError, match="2 times were found, 23 were expected"):
        copy_slice(source, tmp_path / "b/depth.dat", (0, 2))
    assert names(tmp_path / "b") == []


def test_raw_frames_are_cut_without_pyav(tmp_path, monkeypatch):
    source = session(tmp_path / "a")
    (tmp_path / "b").mkdir()
    monkeypatch.setitem(sys.modules, "av", None)
    np.testing.assert_array_equal(read(copy_slice(source, tmp_path / "b/depth.dat", (4, 9))), scenes()[4:9])
    with pytest.raises(MissingPackage, match=r"reelarray\[depth\]"):
        convert_raw_to_avi(source, delete=True)
    assert names(tmp_path / "a") == ["depth.dat", "depth_ts.txt", "metadata.json"]


def test_questions_that_have_no_answer(tmp_path):
    source = session(tmp_path / "a")
    for ends in ((-1, 4), (4, 4), (20, 24), (5, 2)):
        with pytest.raises(RecordingError, match="it has 23"):
            copy_slice(source, tmp_path / "x.dat", ends)
    for call in (convert_raw_to_avi, convert_avi_to_raw):
        with pytest.raises(RecordingError, match=r"x\.gif was given"):
            call(source, tmp_path / "x.gif")
    with pytest.raises(RecordingError, match=r"x\.gif was given"):
        copy_slice(source, tmp_path / "x.gif", (0, 3))
    with pytest.raises(RecordingError, match="chunk_size=0"):
        convert_raw_to_avi(source, chunk_size=0)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        convert_raw_to_avi(source, tmp_path / "none/x.avi")
    with pytest.raises(FileNotFoundError):
        convert_raw_to_avi(tmp_path / "none.dat")
    assert names(tmp_path) == ["a"]


def test_memory_does_not_grow_with_the_recording(tmp_path, monkeypatch):
    monkeypatch.setattr(converting, "_BLOCK", 10 * 2 * 40 * 56)
    peaks = []
    for frames in (40, 400):
        source = session(tmp_path / str(frames), scenes(frames))
        tracemalloc.start()
        convert_raw_to_avi(source)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 400 * 2 * 40 * 56 // 4


def test_start_times_move_to_the_tenth_of_a_microsecond():
    assert later("2024-12-31T23:59:59.9999999Z", 0.0001) == "2025-01-01T00:00:00.0000000Z"
    assert later("2024-05-06T07:08:09-05:00", 1500) == "2024-05-06T07:08:10.5000000-05:00"
    with pytest.raises(FormatError, match="a time such as"):
        later("yesterday", 1)


def test_a_start_time_that_is_not_understood_is_kept_and_said(tmp_path, caplog):
    source = session(tmp_path / "a", StartTime="May 6")
    (tmp_path / "b").mkdir()
    copy_slice(source, tmp_path / "b/depth.dat", (3, 5))
    assert json.loads((tmp_path / "b/metadata.json").read_text())["StartTime"] == "May 6"
    assert "'May 6' is not understood" in caplog.text
