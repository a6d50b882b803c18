"""Recordings below a folder: what is taken, what is left out and why, always in one order."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

import reelarray as ra
from reelarray.catalog import NoFiles
from reelarray.depth import finding
from reelarray.depth.finding import find_recordings, scan_recordings
from reelarray.depth.status import Done
from reelarray.formats.depth import archive

SAID = {"SubjectName": "3", "DepthResolution": [8, 6], "StartTime": "2026-01-02T03:04:05-05:00"}


def session(folder, count=5, *, film="depth.dat", said=SAID):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / film).write_bytes(np.arange(48 * count, dtype="<u2").tobytes())
    if said is not None:
        (folder / "metadata.json").write_text(json.dumps(said))
    return str(folder / film)


def packed(folder, name, *, said=True):
    session(folder / "inside", said=SAID if said else None)
    with tarfile.open(folder / name, "w:gz") as tar:
        for each in sorted((folder / "inside").iterdir()):
            tar.add(each, each.name)
            each.unlink()
    (folder / "inside").rmdir()
    return str(folder / name)


def complete(path, index=0):
    """Results as another program leaves them, complete by their status file."""
    yaml = pytest.importorskip("yaml")
    h5py = pytest.importorskip("h5py")
    results = Path(path).parent / "proc" / f"results_{index:02d}"
    results.parent.mkdir(exist_ok=True)
    results.with_suffix(".yaml").write_text(yaml.safe_dump({"complete": True, "skip": False, "uuid": "u"}))
    with h5py.File(results.with_suffix(".h5"), "w") as file:
        file["metadata/uuid"] = "u"
        file["frames"] = np.zeros((1, 80, 80), "u1")


def test_what_is_taken_and_what_is_not(tmp_path):
    kept = [session(tmp_path / name) for name in ("b", "a/deep/er", "a")]
    done = session(tmp_path / "c")
    complete(done)
    bare = session(tmp_path / "d", said=None)
    others = [session(tmp_path / "a", film=name) for name in ("ir.dat", "nidaq.dat", "IR2.DAT")]
    (tmp_path / "a" / "rgb.mp4").write_bytes(b"")
    (tmp_path / "a" / ".depth.dat").write_bytes(b"")
    found = find_recordings(tmp_path)
    assert list(found.recordings) == sorted(kept)
    assert list(found.metadata) == [str(Path(path).parent / "metadata.json") for path in sorted(kept)]
    assert list(found.status) == [str(Path(path).parent / "proc" / "results_00.yaml") for path in sorted(kept)]
    assert list(found.rejected) == sorted([done, bare, *others])
    assert found.rejected[done] == f"its results are complete: {Path(done).parent}/proc/results_00.yaml"
    assert found.rejected[bare].startswith(f"there is no {Path(bare).parent}/metadata.json")
    assert [found.rejected[each] for each in others] == [
        "by its name it holds infrared, not depth",
        "by its name it holds what a converter measured, not depth",
        "by its name it holds infrared, not depth",
    ]
    assert find_recordings(str(tmp_path)) == found


def test_without_checks_all_are_taken_but_other_cameras(tmp_path):
    done, bare = session(tmp_path / "a"), session(tmp_path / "b", said=None)
    complete(done)
    other = session(tmp_path / "a", film="nidaq.dat")
    found = find_recordings(tmp_path, skip_checks=True)
    assert found.recordings == (done, bare)
    assert found.metadata == (str(tmp_path / "a" / "metadata.json"), "")
    assert list(found.rejected) == [other]


def test_the_status_is_that_of_the_region(tmp_path):
    path = session(tmp_path / "a")
    complete(path, 0)
    assert find_recordings(tmp_path).recordings == ()
    found = find_recordings(tmp_path, bg_roi_index=1)
    assert found.recordings == (path,)
    assert found.status == (str(tmp_path / "a" / "proc" / "results_01.yaml"),)
    complete(path, 1)
    assert find_recordings(tmp_path, bg_roi_index=1).recordings == ()
    assert find_recordings(tmp_path, output_dir="other").recordings == (path,)


@pytest.mark.parametrize("text", ["", "complete: false", "complete: [", "complete: true\n"])
def test_a_status_that_does_not_say_complete_or_has_no_results(tmp_path, text, caplog):
    path = session(tmp_path / "a")
    (tmp_path / "a" / "proc").mkdir()
    (tmp_path / "a" / "proc" / "results_00.yaml").write_text(text)
    assert find_recordings(tmp_path).recordings == (path,)
    assert "results_00.yaml counts as not complete" in caplog.text


def test_recordings_that_would_overwrite_each_other_s_results(tmp_path):
    raw = session(tmp_path / "a")
    film = session(tmp_path / "a", film="depth.avi")
    copy = session(tmp_path / "a", film="a_copy.dat")
    found = find_recordings(tmp_path, (".dat", ".avi"))
    assert found.recordings == (raw,)
    assert {path: "those of depth.dat beside it" in reason for path, reason in found.rejected.items()} == {
        film: True,
        copy: True,
    }
    assert find_recordings(tmp_path, (".avi", ".dat")).recordings == (film,)
    assert find_recordings(tmp_path, "avi").recordings == (film,)
    assert find_recordings(tmp_path, (".dat", ".avi"), skip_checks=True).recordings == (copy, film, raw)


def test_archives(tmp_path, monkeypatch):
    beside = packed(tmp_path, "session_1.tar.gz", said=False)
    (tmp_path / "session_1.json").write_text(json.dumps(SAID))
    within = packed(tmp_path, "session_2.tgz")
    bare = packed(tmp_path, "session_3.tgz", said=False)
    named = packed(tmp_path, "other.tar.gz")
    broken = packed(tmp_path, "session_4.tgz")
    os.truncate(broken, 20)
    found = find_recordings(tmp_path)
    assert found.recordings == (beside, within)
    assert found.metadata == (str(tmp_path / "session_1.json"), within)
    assert found.status == tuple(str(tmp_path / f"session_{k}" / "proc" / "results_00.yaml") for k in (1, 2))
    assert list(found.rejected) == sorted([bare, named, broken])
    assert "no metadata.json in it" in found.rejected[bare]
    assert "session_<digits>" in found.rejected[named]
    assert "is damaged" in found.rejected[broken]
    (tmp_path / "session_2").mkdir()
    complete(tmp_path / "session_2" / "x")
    assert find_recordings(tmp_path).recordings == (beside,)
    monkeypatch.setattr(archive, "_opened", None)  # neither need be looked into
    assert find_recordings(tmp_path, skip_checks=True).recordings == (beside, within, bare, broken)


def test_rows_of_what_was_found(tmp_path):
    paths = [session(tmp_path / "a", 5), session(tmp_path / "b", 3, said={"DepthResolution": [4, 6]})]
    (tmp_path / "b" / "depth_ts.txt").write_text("".join(f"{100 * k}\n" for k in range(6)))
    paths += [session(tmp_path / "c", 2), packed(tmp_path, "session_2.tgz")]
    (tmp_path / "c" / "metadata.json").write_text("{")
    session(tmp_path / "a", film="nidaq.dat")
    table = scan_recordings(find_recordings(tmp_path), unpacked=str(tmp_path / "kept"))
    assert table["path"].tolist() == paths
    assert table["samples"].tolist() == [5, 6, 0, 5]
    assert table["use"].tolist() == [True, True, False, True]  # shapes and rates may differ
    assert "metadata.json is no JSON" in table["anomaly"][2]
    assert table["rate"][1] == 10
    assert ra.open_recordings(table.iloc[[1]]).shape == (6, 6, 4)


def test_nothing_found(tmp_path):
    session(tmp_path / "a", said=None)
    found = find_recordings(tmp_path)
    with pytest.raises(NoFiles, match=r"no recording .* is left .*there is no .*metadata.json"):
        scan_recordings(found)
    with pytest.raises(NoFiles, match="there are no such files"):
        scan_recordings(find_recordings(tmp_path, ".mkv"))


def test_roots_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError):
        find_recordings(tmp_path / "nothing")
    with pytest.raises(NotADirectoryError):
        find_recordings(session(tmp_path / "a"))


def test_folders_that_cannot_be_listed_are_told(tmp_path, monkeypatch):
    path = session(tmp_path / "a")
    session(tmp_path / "locked")
    true = os.scandir

    def scandir(folder):
        if str(folder).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(folder))
        return true(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    found = find_recordings(tmp_path)
    assert found.recordings == (path,)
    assert found.rejected[str(tmp_path / "locked")].startswith("the folder cannot be listed (Permission denied)")


def test_each_status_is_looked_at_once(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(finding, "is_done", lambda path: asked.append(path) or Done(False, ""))
    for name in "cab":
        session(tmp_path / name)
    find_recordings(tmp_path)
    assert sorted(asked) == [str(tmp_path / name / "proc" / "results_00.yaml") for name in "abc"]
