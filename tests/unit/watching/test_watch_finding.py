"""Which files there are: real folders, real events, and file systems that have none."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from queue import SimpleQueue

import pytest

from reelarray.errors import MissingPackage
from reelarray.watching import finding
from reelarray.watching.events import Events, remote_kind
from reelarray.watching.finding import Finder, Gone, Names, listing
from reelarray.watching.options import Options

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/data /data nfs4 rw 0 0
//server/share /mnt/with\\040space cifs rw 0 0
sshfs /home/me/far fuse.sshfs rw 0 0
/dev/sdb1 /data/local xfs rw 0 0
tmpfs /data/twice tmpfs rw 0 0
lustre /data/twice lustre rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", None),
        ("/data", "nfs4"),
        ("/data/x/y", "nfs4"),
        ("/database", None),
        ("/data/local/x", None),
        ("/data/twice", "lustre"),
        ("/mnt/with space/x", "cifs"),
        ("/home/me/far/x", "fuse.sshfs"),
    ],
)
def test_network_file_systems_are_known_by_their_mounts(tmp_path, folder, kind):
    (tmp_path / "mounts").write_text(MOUNTS)
    assert remote_kind(folder, tmp_path / "mounts") == kind
    assert remote_kind(folder, tmp_path / "none") is None


def test_listing_takes_names_not_contents(tmp_path, monkeypatch):
    for name in ("a.rec", "B.REC", ".c.rec", "d.rec.part", "e.wav", "x/f.rec", ".h/g.rec", "s.zarr/h.rec", "x/y/i.rec"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12")
    (tmp_path / "folder.rec").mkdir()
    names = Names(Options((str(tmp_path),), suffixes=(".rec",), ignore=("f*",)))
    monkeypatch.setattr("builtins.open", None)

    def found(recursive):
        return sorted(seen.relative for seen in listing(str(tmp_path), names, recursive))

    assert found(False) == ["B.REC", "a.rec"]
    assert found(True) == ["B.REC", "a.rec", "x/y/i.rec"]


def test_a_folder_that_cannot_be_listed_is_told_of_once_and_looked_at_again(tmp_path, caplog):
    folder = tmp_path / "in"
    folder.mkdir()
    now = [0.0]
    finder = Finder(Options((str(folder),), suffixes=(".rec",), mode="poll"), lambda: now[0], lambda: None)
    finder.start()
    folder.rename(tmp_path / "away")
    for _ in range(5):
        assert list(finder.looks(100, 1.0)) == []
        now[0] += 10
    assert caplog.text.count("cannot be listed") == 1
    (tmp_path / "away").rename(folder)
    (folder / "a.rec").write_bytes(b"")
    assert [seen.relative for seen in finder.looks(100, 1.0)] == ["a.rec"]


def test_a_long_round_is_made_in_parts(tmp_path):
    for k in range(300):
        (tmp_path / f"{k}.rec").write_bytes(b"")
    finder = Finder(Options((str(tmp_path),), suffixes=(".rec",), mode="poll"), lambda: 0.0, lambda: None)
    parts = []
    while not finder.listed:
        parts.append(len(list(finder.looks(100, 1.0))))
    assert sum(parts) == 300
    assert max(parts) <= 100


def test_where_events_do_not_come_folders_are_polled_which_is_said_once(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(finding, "remote_kind", lambda folder: "nfs4")
    finder = Finder(Options((str(tmp_path),), suffixes=(".rec",)), time.monotonic, lambda: None)
    finder.start()
    assert finder.polling == {str(tmp_path)}
    assert caplog.text.count("is on nfs4, which has no events: looking every 5 s") == 1

    monkeypatch.setattr(finding, "remote_kind", lambda folder: None)
    monkeypatch.setattr("watchfiles.watch", lambda *a, **k: (_ for _ in ()).throw(OSError("watch limit reached")))
    finder = Finder(Options((str(tmp_path),), suffixes=(".rec",)), time.monotonic, lambda: None)
    finder.start()
    assert finder.polling == {str(tmp_path)}
    assert "no events (OSError: watch limit reached): looking every 5 s instead" in caplog.text
    assert "Traceback" in caplog.text


def test_events_are_asked_for_and_watchfiles_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "watchfiles", None)
    finder = Finder(Options((str(tmp_path),), suffixes=(".rec",), mode="events"), time.monotonic, lambda: None)
    with pytest.raises(MissingPackage, match="pip install watchfiles"):
        finder.start()


def gather(finder: Finder, rung: threading.Event, wanted: int) -> list:
    """Looks by events, until so many different files were seen."""
    found: list = []
    until = time.monotonic() + 20
    while len({each.path for each in found}) < wanted and time.monotonic() < until:
        rung.wait(1)
        rung.clear()
        found += finder.looks(10_000, 1.0)
    return found


def test_events_of_files_written_moved_in_and_removed(tmp_path):
    pytest.importorskip("watchfiles")
    folder, beside = tmp_path / "in", tmp_path / "beside"
    for each in (folder, beside / "sub"):
        each.mkdir(parents=True)
    (beside / "sub" / "moved.rec").write_bytes(b"1234")
    rung = threading.Event()
    options = Options((str(folder),), suffixes=(".rec",), recursive=True, mode="events", rescan_seconds=3600)
    finder = Finder(options, time.monotonic, rung.set)
    finder.start()
    try:
        while not finder.listed:
            list(finder.looks(100, 1.0))
        assert not finder.polling
        with open(folder / "a.rec", "wb", buffering=0) as file:
            for _ in range(16):
                file.write(bytes(1_000_000))
        (folder / "b.rec.part").write_bytes(b"12")
        (folder / "b.rec.part").rename(folder / "b.rec")
        (beside / "sub").rename(folder / "sub")
        seen = gather(finder, rung, 3)
        sizes = {Path(each.path).name: each.bytes for each in seen}
        assert sizes == {"a.rec": 16_000_000, "b.rec": 2, "moved.rec": 4}
        assert {each.relative for each in seen} == {"a.rec", "b.rec", "sub/moved.rec"}
        os.unlink(folder / "b.rec")
        assert [Path(each.path).name for each in gather(finder, rung, 1) if isinstance(each, Gone)] == ["b.rec"]
    finally:
        finder.stop()


class Full(SimpleQueue):
    def put(self, item) -> None:
        raise RuntimeError("no more")


def test_an_observer_that_ends_is_replaced_by_polls(tmp_path, caplog, monkeypatch):
    pytest.importorskip("watchfiles")
    rung = threading.Event()
    finder = Finder(Options((str(tmp_path),), suffixes=(".rec",), mode="events"), time.monotonic, rung.set)
    finder.start()
    assert isinstance(finder._events, Events)
    monkeypatch.setattr(finder._events, "_changed", Full())
    (tmp_path / "a.rec").write_bytes(b"")
    assert rung.wait(20)
    list(finder.looks(100, 1.0))
    assert finder.polling == {str(tmp_path)}
    assert "RuntimeError: no more" in caplog.text
    finder.stop()
