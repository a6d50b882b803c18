"""Metadata and times of a recording, by its container."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from reelarray.demo.depth import make_session
from reelarray.depth.acquisition import handle_extract_metadata
from reelarray.errors import ClockError, FormatError


def made(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "depth.dat").touch()
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder / "depth.dat"


def test_files_beside_the_recording(tmp_path: Path) -> None:
    path = made(tmp_path / "s", metadata__json='{"SubjectName": "m", "Odd": [1, null]}', depth_ts__txt="5 0\n38 1\n")
    metadata, times = handle_extract_metadata(path)
    assert metadata == {"SubjectName": "m", "Odd": [1, None]}
    np.testing.assert_array_equal(times, [5, 38])
    assert times.dtype == np.float64


def test_seconds_of_the_other_file_and_another_folder(tmp_path: Path) -> None:
    path = made(tmp_path / "a")
    made(tmp_path / "b", metadata__json='{"SubjectName": "other"}', timestamps__csv="0.5,0\n1.5,1\n")
    metadata, times = handle_extract_metadata(path, tmp_path / "b")
    assert metadata["SubjectName"] == "other"
    np.testing.assert_array_equal(times, [500, 1500])


def test_nothing_is_there_and_nothing_is_written(tmp_path: Path) -> None:
    path = made(tmp_path / "mouse 3")
    assert handle_extract_metadata(path) == ({"SubjectName": "", "SessionName": "mouse 3", "StartTime": ""}, None)
    assert [p.name for p in path.parent.iterdir()] == ["depth.dat"]


def test_an_archive(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_session(tmp_path / "s", frames=4, dropped=0, shape=(32, 40))
    with tarfile.open(tmp_path / "session_1.tar.gz", "w:gz") as archive:
        for path in (tmp_path / "s").iterdir():
            archive.add(path, path.name)
    metadata, times = handle_extract_metadata(tmp_path / "session_1.tar.gz")
    beside, expected = handle_extract_metadata(tmp_path / "s" / "depth.dat")
    assert metadata == beside
    assert len(expected) == 4
    np.testing.assert_array_equal(times, expected)


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"metadata\.json is no JSON"):
        handle_extract_metadata(made(tmp_path / "a", metadata__json="{"))
    with pytest.raises(ClockError, match="frame 2"):
        handle_extract_metadata(made(tmp_path / "b", depth_ts__txt="1 0\n3 0\n2 0\n"))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        handle_extract_metadata(tmp_path / "nowhere.dat")
