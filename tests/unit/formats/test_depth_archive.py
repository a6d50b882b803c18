"""Recordings in archives: unpacked once, whole or not at all, and read from there."""

from __future__ import annotations

import gzip
import io
import json
import logging
import multiprocessing
import os
import pickle
import shutil
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from depth_recordings import START_NS, pack, write_recording
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import reelarray as ra
from reelarray import formats
from reelarray.errors import FormatError, Unwritable
from reelarray.formats.depth import archive


@pytest.fixture
def packed(tmp_path):
    """An archive, its frames, and the folder that it may be unpacked in."""
    _, film = write_recording(tmp_path / "a")
    return pack(tmp_path / "a"), film, tmp_path / "kept"


def passes(monkeypatch):
    """The archives that are inflated from now on."""
    opened, true = [], archive._opened

    def counting(path):
        opened.append(path)
        return true(path)

    monkeypatch.setattr(archive, "_opened", counting)
    return opened


def test_an_archive_is_inflated_once(packed, monkeypatch, caplog):
    path, film, kept = packed
    opened = passes(monkeypatch)
    with caplog.at_level(logging.INFO):
        x = ra.open_recording(path, unpacked=kept, chunks=3)
        np.testing.assert_array_equal(x, film)
    assert formats.probe(path, unpacked=kept) == formats.probe(path, unpacked=str(kept))
    np.testing.assert_array_equal(ra.open_recording(path, unpacked=kept)[4:9], film[4:9])
    assert opened == [path]
    assert f"{path} ({os.path.getsize(path):,} bytes) is unpacked to {kept}" in caplog.text
    header = formats.probe(path, unpacked=kept)
    assert (header.frames, header.start_ns, header.rate, header.flags) == (20, START_NS, 30, ())
    assert header.bytes == os.path.getsize(path)
    np.testing.assert_array_equal(x["timestamps"], 1000 / 30 * np.arange(1, 21))


@given(st.integers(0, 20), st.integers(0, 20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_any_range_is_exactly_these_frames(packed, one, other):
    path, film, kept = packed
    start, stop = min(one, other), max(one, other)
    source = formats.source(formats.probe(path, unpacked=kept))
    np.testing.assert_array_equal(source.read(start, stop), film[start:stop])


@pytest.mark.parametrize(
    ("name", "inside", "order"),
    [
        ("session_1.tgz", "", ["depth.dat", "metadata.json", "depth_ts.txt"]),
        ("session_2.TAR.GZ", "./", ["metadata.json", "depth_ts.txt", "depth.dat"]),
        ("other.tar.gz", "session_9/", ["depth_ts.txt", "depth.dat", "metadata.json"]),
    ],
)
def test_members_in_any_order_and_folder(tmp_path, name, inside, order):
    _, film = write_recording(tmp_path / "a", little=False)
    path = pack(tmp_path / "a", name, inside=inside, order=order)
    np.testing.assert_array_equal(ra.open_recording(path, unpacked=tmp_path / "kept"), film)


def test_json_beside_the_archive_comes_first(packed):
    path, _, kept = packed
    assert formats.probe(path, unpacked=kept).metadata["SubjectName"] == "3"
    outside = Path(path).with_name("session_20260102.json")
    outside.write_text(json.dumps({"SubjectName": "4", "DepthResolution": [8, 6]}))
    assert formats.probe(path, unpacked=kept).metadata["SubjectName"] == "4"


def test_without_metadata_and_times(tmp_path):
    write_recording(tmp_path / "a", said=False, stamps=None)
    header = formats.probe(pack(tmp_path / "a"), width=8, height=6, unpacked=tmp_path / "kept")
    assert header.flags == ("no_metadata", "no_timestamps")
    assert header.metadata == {"SubjectName": "", "SessionName": "session_20260102", "StartTime": ""}


def test_the_user_s_cache_folder_is_the_usual_place(packed, monkeypatch, tmp_path):
    path, film, _ = packed
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, appauthor: tmp_path / "cache" / name)
    np.testing.assert_array_equal(ra.open_recording(path), film)
    assert [each.name for each in (tmp_path / "cache" / "reelarray" / "depth").iterdir()] == [
        archive._home(path, None).name
    ]


@pytest.mark.parametrize("locks", [True, False])
def test_another_machine_unpacks_at_its_first_read(packed, monkeypatch, locks):
    path, film, kept = packed
    if not locks:
        monkeypatch.setitem(sys.modules, "fcntl", None)  # as on systems that have none
    source = pickle.loads(pickle.dumps(formats.source(formats.probe(path, unpacked=kept))))
    shutil.rmtree(kept)
    opened = passes(monkeypatch)
    with ThreadPoolExecutor(8) as pool:
        pieces = list(pool.map(lambda k: source.read(k, k + 1), range(20)))
    np.testing.assert_array_equal(np.concatenate(pieces), film)
    assert opened == [path]


def _unpack(path, kept, folder):
    status = os.stat(path)
    opened = archive._opened

    def telling(each):
        Path(folder, str(os.getpid())).touch()
        return opened(each)

    archive._opened = telling
    archive.unpack(path, status.st_size, status.st_mtime_ns, kept)


def test_of_many_processes_one_unpacks(packed, tmp_path):
    pytest.importorskip("fcntl")
    path, _, kept = packed
    (tmp_path / "told").mkdir()
    context = multiprocessing.get_context("fork")
    all_of_them = [context.Process(target=_unpack, args=(path, str(kept), str(tmp_path / "told"))) for _ in range(4)]
    for process in all_of_them:
        process.start()
    for process in all_of_them:
        process.join(60)
    assert [process.exitcode for process in all_of_them] == [0] * 4
    assert len(list((tmp_path / "told").iterdir())) == 1


def test_what_a_killed_process_left_is_deleted(packed):
    path, film, kept = packed
    home = archive._home(path, str(kept))
    left = home / ".1-2.abc.part"
    left.mkdir(parents=True)
    (left / "depth.dat").write_bytes(b"half")
    np.testing.assert_array_equal(ra.open_recording(path, unpacked=kept), film)
    assert not left.exists()


@pytest.mark.parametrize("damage", ["cut", "gone", "facts"])
def test_what_a_cleaner_took_is_unpacked_again(packed, damage):
    path, film, kept = packed
    x = ra.open_recording(path, unpacked=kept)
    place = archive.unpack(path, os.path.getsize(path), os.stat(path).st_mtime_ns, str(kept))
    if damage == "cut":
        os.truncate(place / "depth.dat", 100)
    else:
        (place / {"gone": "depth_ts.txt", "facts": "unpacked.json"}[damage]).unlink()
    np.testing.assert_array_equal(x, film)
    np.testing.assert_array_equal(ra.open_recording(path, unpacked=kept), film)


def test_an_archive_that_changed_is_another(packed, tmp_path):
    path, _, kept = packed
    old = ra.open_recording(path, unpacked=kept)
    write_recording(tmp_path / "a", 7)
    pack(tmp_path / "a")
    assert ra.open_recording(path, unpacked=kept).sizes["time"] == 7
    with pytest.raises(FormatError, match="changed since"):
        old.compute()
    assert len([each for each in archive._home(path, str(kept)).iterdir() if each.is_dir()]) == 1


def test_two_archives_of_one_name_are_kept_apart(tmp_path):
    films = []
    for k, name in enumerate(("a/in", "b/in")):
        _, film = write_recording(tmp_path / name, 5 + k)
        films.append((pack(tmp_path / name), film))
    for path, film in films:
        np.testing.assert_array_equal(ra.open_recording(path, unpacked=tmp_path / "kept"), film)


# ---- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0, 10, 0.3, 0.9, -1, -9])
def test_an_archive_that_was_cut_off(packed, keep):
    path, _, kept = packed
    size = os.path.getsize(path)
    os.truncate(path, int(keep * size) if isinstance(keep, float) else keep if keep >= 0 else size + keep)
    with pytest.raises(FormatError, match="session_20260102") as caught:
        formats.probe(path, unpacked=kept)
    assert "copy it again" in str(caught.value)
    assert [each.name for each in archive._home(path, str(kept)).iterdir()] == ["lock"]


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_a_flipped_bit_is_loud_or_of_no_account(packed, data):
    path, film, kept = packed
    true = Path(path).read_bytes()
    at, bit = data.draw(st.integers(0, len(true) - 1)), data.draw(st.integers(0, 7))
    broken = bytearray(true)
    broken[at] ^= 1 << bit
    Path(path).write_bytes(broken)
    shutil.rmtree(kept, ignore_errors=True)
    try:
        x = ra.open_recording(path, unpacked=kept)
    except ValueError:
        pass
    else:
        np.testing.assert_array_equal(x, film)
    Path(path).write_bytes(true)


def archived(path, members):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return str(path)


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ([], "nothing, a depth.dat was expected"),
        ([("notes.txt", b"x"), ("metadata.json", b"{}")], "holds metadata.json, notes.txt, a depth.dat"),
        ([("a/depth.dat", b"x"), ("b/depth.dat", b"y")], "holds two depth.dat"),
    ],
)
def test_archives_of_something_else(tmp_path, members, told):
    path = archived(tmp_path / "x.tgz", members)
    with pytest.raises(FormatError, match=told):
        formats.probe(path, unpacked=tmp_path / "kept")


@pytest.mark.parametrize("content", [b"", b"no gzip at all", gzip.compress(b"no tar"), gzip.compress(bytes(2000))])
def test_files_that_are_no_archives(tmp_path, content):
    path = tmp_path / "session_1.tar.gz"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"session_1.tar.gz"):
        formats.probe(str(path), unpacked=tmp_path / "kept")


def test_members_cannot_leave_their_folder(tmp_path):
    film = np.arange(48, dtype="<u2")
    link = tarfile.TarInfo("metadata.json")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    path = archived(tmp_path / "x.tgz", [("../../../depth.dat", film.tobytes())])
    with tarfile.open(tmp_path / "y.tgz", "w:gz") as tar:
        tar.addfile(link)
        with tarfile.open(path) as other:
            member = other.getmembers()[0]
            tar.addfile(member, other.extractfile(member))
    header = formats.probe(str(tmp_path / "y.tgz"), width=8, height=6, unpacked=tmp_path / "kept")
    assert header.flags == ("no_metadata", "no_timestamps")
    np.testing.assert_array_equal(formats.source(header).read(0, 1)[0], film.reshape(6, 8))
    assert sorted(path.name for path in tmp_path.rglob("depth.dat")) == ["depth.dat"]


def test_no_space_is_said_before_and_while_writing(packed, monkeypatch):
    path, _, kept = packed
    with monkeypatch.context() as patch:
        usage = shutil.disk_usage(".")
        patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100))
        with pytest.raises(Unwritable, match=r"1,920 bytes are to be unpacked to .*kept.*, 100 are free there"):
            formats.probe(path, unpacked=kept)

    def full(file):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(archive, "_copy", lambda *_: full(None))
        with pytest.raises(Unwritable, match=r"cannot be unpacked to .* \(No space left on device\); make space"):
            formats.probe(path, unpacked=kept)
    assert [each.name for each in archive._home(path, str(kept)).iterdir()] == ["lock"]


def test_a_folder_that_cannot_be_made(packed, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unwritable, match="pass unpacked="):
        formats.probe(packed[0], unpacked=tmp_path / "file")


def test_whether_metadata_are_in_it(tmp_path, packed):
    path, _, kept = packed
    assert archive.has_metadata(path, str(kept))
    assert not kept.exists()
    write_recording(tmp_path / "b", said=False)
    assert not archive.has_metadata(pack(tmp_path / "b", "b.tgz"))
    formats.probe(path, unpacked=kept)
    assert archive.has_metadata(path, str(kept))
    with pytest.raises(FileNotFoundError):
        archive.has_metadata(str(tmp_path / "nothing.tgz"))


def test_remote_archives_are_refused():
    with pytest.raises(FormatError, match=r"is remote.*download it"):
        archive.unpack("https://example.org/a.tar.gz", 1, 2)
