"""Aggregation: good results of a folder in one folder, with an index; what is left out says why."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from reelarray.depth.aggregate import aggregate_extract_results, choose_results, mean_height
from reelarray.depth.yamlfiles import read_yaml, write_yaml
from reelarray.errors import FormatError


def session(folder: Path, uuid: str, *, height: float = 20, frames: int = 10, **status) -> Path:
    h5 = folder / "proc" / "results_00.h5"
    h5.parent.mkdir(parents=True)
    with h5py.File(h5, "w") as file:
        file["frames"] = np.full((frames, 4, 4), height, "u1")
        file["metadata/uuid"] = uuid
        file["metadata/acquisition/SessionName"] = "s"
        file["metadata/acquisition/SubjectName"] = "m"
        file["metadata/acquisition/StartTime"] = "2024-05-01T10:20:30.1"
    said = {"complete": True, "skip": False, "uuid": uuid, "metadata": {"SubjectName": "m"}, "parameters": {}}
    write_yaml(h5.with_suffix(".yaml"), said | status)
    return h5


def test_all_of_a_folder(tmp_path: Path) -> None:
    for uuid in "312":  # all of one name
        session(tmp_path / uuid, uuid)
    index = aggregate_extract_results(tmp_path)
    name = "2024-05-01_10-20-30_s_m_results_00"
    assert index == str(tmp_path / "moseq2-index.yaml")
    found = read_yaml(index)["files"]
    assert {entry["uuid"]: Path(entry["path"][0]).name for entry in found} == {
        "1": f"{name}.h5", "2": f"{name}_2.h5", "3": f"{name}_3.h5",
    }  # fmt: skip
    assert all(Path(path).parent == tmp_path / "aggregate_results" for entry in found for path in entry["path"])
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "aggregate_results").glob("*.h5")}
    assert aggregate_extract_results(tmp_path) == index  # copies are no recordings
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "aggregate_results").glob("*.h5")} == before
    other = aggregate_extract_results(tmp_path, "{subject_name}", tmp_path / "second")
    assert len(list((tmp_path / "second").glob("*.h5"))) == 3
    assert other == index


def test_groups_stay(tmp_path: Path) -> None:
    session(tmp_path / "a", "1")
    index = aggregate_extract_results(tmp_path)
    said = read_yaml(index)
    said["files"][0]["group"] = "drug"
    write_yaml(index, said)
    session(tmp_path / "b", "2")
    found = read_yaml(aggregate_extract_results(tmp_path))["files"]
    assert {entry["uuid"]: entry["group"] for entry in found} == {"1": "drug", "2": "default"}


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"complete": False}, "it is not complete"),
        ({"complete": False, "error": "no plane"}, "it failed: no plane"),
        ({"skip": True}, "it is marked with skip"),
        ({"sample": 1}, "it is a sample"),
        ({"height": 0}, "its mean height, 0 mm, is not above 0"),
    ],
)
def test_what_is_left_out_says_why(tmp_path: Path, status, reason, caplog) -> None:
    good, bad = session(tmp_path / "a", "1"), session(tmp_path / "b", "2", **status)
    kept, left_out = choose_results(tmp_path)
    assert (list(kept), left_out) == ([str(good)], {str(bad): reason})
    with caplog.at_level(logging.WARNING):
        index = aggregate_extract_results(tmp_path)
    assert f"{bad} is left out: {reason}" in caplog.text
    assert [entry["uuid"] for entry in read_yaml(index)["files"]] == ["1"]


def test_broken_files_are_left_out(tmp_path: Path) -> None:
    broken, cut, other = (session(tmp_path / name, name) for name in "abc")
    broken.with_suffix(".yaml").write_text("complete: [")
    cut.write_bytes(cut.read_bytes()[:700])
    with h5py.File(other, "w") as file:
        file["x"] = 1
    kept, left_out = choose_results(tmp_path)
    assert kept == {}
    assert [Path(path).parts[-3] for path in left_out] == ["a", "b", "c"]
    assert "line" in left_out[str(broken)]
    assert "no frames that can be read" in left_out[str(cut)]
    assert "no frames that can be read" in left_out[str(other)]


def test_the_threshold_is_of_the_mean(tmp_path: Path) -> None:
    h5 = session(tmp_path / "a", "1", height=20)
    assert mean_height(h5) == 20
    assert list(choose_results(tmp_path, 19.9)[0])
    assert not list(choose_results(tmp_path, 20)[0])
    with pytest.raises(FormatError):
        mean_height(tmp_path / "nowhere.h5")


def test_crops_are_taken_evenly(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file["frames"] = np.repeat(np.array([0, 100], "u1"), 2500)[:, None, None] * np.ones((1, 2, 2), "u1")
    assert mean_height(tmp_path / "r.h5") == 50


def test_copies_alone_may_be_gathered_again(tmp_path: Path) -> None:
    session(tmp_path / "raw" / "a", "1")
    aggregate_extract_results(tmp_path / "raw", output_dir=tmp_path / "one" / "copies")
    index = aggregate_extract_results(tmp_path / "one", output_dir=tmp_path / "all")
    assert len(read_yaml(index)["files"]) == 1
    assert len([name for name in os.listdir(tmp_path / "all") if name.endswith(".h5")]) == 1
