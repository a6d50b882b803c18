"""Status files: what users wrote is kept, complete is the last write, and why something is to be done again."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from reelarray.depth.options import resolve_config
from reelarray.depth.records import Seen
from reelarray.depth.status import (
    begin_status,
    check_completion_status,
    complete_status,
    count_flags,
    fail_status,
    input_facts,
    is_done,
    read_status,
)
from reelarray.depth.yamlfiles import read_yaml, write_yaml
from reelarray.errors import FormatError

FACTS = {"size": 10, "mtime": 1714551630123456789}


def results(path: Path, uuid: str) -> None:
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["frames"] = np.ones((2, 3, 4), "u1")
        file["metadata/uuid"] = uuid


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results_00.yaml"


@pytest.fixture
def done(path: Path) -> Path:
    status = begin_status(path, resolve_config(), input=FACTS, metadata={"SubjectName": "m", "Note": None})
    results(path, status.uuid)
    complete_status(path, status, true_depth=673.5, flagged={"missing": 3})
    return path


def test_every_key(done: Path) -> None:
    found = read_yaml(done)
    keys = ["complete", "skip", "uuid", "metadata", "parameters", "parameters_hash", "input", "flagged"]
    assert list(found) == keys
    assert (found["complete"], found["skip"]) == (True, False)
    assert found["metadata"] == {"SubjectName": "m", "Note": None}
    assert found["parameters"] == {**resolve_config().to_dict(), "true_depth": 673.5}
    assert found["parameters_hash"] == resolve_config().hash
    assert (found["input"], found["flagged"]) == (FACTS, {"missing": 3})
    assert len(found["uuid"]) == 36
    assert is_done(done, resolve_config(), input=FACTS)
    assert check_completion_status(done)
    assert os.listdir(done.parent) == unordered(done.parent, ["results_00.h5", "results_00.yaml"])


def unordered(folder: Path, names: list[str]) -> list[str]:
    return sorted(names, key=os.listdir(folder).index)


def test_a_beginning_is_not_complete(done: Path) -> None:
    before = read_status(done)
    now = begin_status(done, resolve_config(), input=FACTS)
    assert (now.complete, now.uuid) == (False, before.uuid)
    assert is_done(done).reason == "it is not complete"
    assert not check_completion_status(done)
    assert read_yaml(done)["complete"] is False


def test_other_options_have_another_uuid(done: Path) -> None:
    before = read_status(done).uuid
    assert begin_status(done, resolve_config(ncpus=9), input=FACTS).uuid == before
    assert begin_status(done, resolve_config(min_height=20), input=FACTS).uuid != before


def test_what_users_and_others_wrote_is_kept(done: Path) -> None:
    write_yaml(done, {**read_yaml(done), "skip": True, "sample": 1, "feedback_timestamps": [1, 2]})
    status = begin_status(done, resolve_config(min_height=20), input=FACTS)
    assert (status.skip, status.more) == (True, {"sample": 1, "feedback_timestamps": [1, 2]})
    write_yaml(done, {**read_yaml(done), "skip": False, "note": "by hand"})  # while it runs
    complete_status(done, status, true_depth=1)
    found = read_yaml(done)
    assert (found["complete"], found["skip"], found["note"], found["sample"]) == (True, False, "by hand", 1)


def test_a_failure_is_noted_and_gone_after_a_success(path: Path) -> None:
    status = begin_status(path, resolve_config(), input=FACTS)
    fail_status(path, status, ValueError("no plane"))
    assert read_yaml(path)["error"] == "ValueError: no plane"
    assert is_done(path).reason == "it failed: ValueError: no plane"
    again = begin_status(path, resolve_config(), input=FACTS)
    assert (again.error, again.uuid) == (None, status.uuid)
    complete_status(path, again, true_depth=1)
    assert "error" not in read_yaml(path)


@pytest.mark.parametrize(
    ("options", "facts", "reason"),
    [
        ({"min_height": 20}, FACTS, "options changed: min_height 10 became 20"),
        ({"ncpus": 4, "write_movie": False}, FACTS, ""),
        ({}, {**FACTS, "size": 11}, "the recording is another: size 10 became 11, mtime 1714551630123456789 became"),
        ({}, {**FACTS, "mtime": FACTS["mtime"] + 1}, "the recording is another"),
    ],
)
def test_why_complete_results_are_made_again(done: Path, options, facts, reason) -> None:
    found = is_done(done, resolve_config(**options), input=facts)
    assert found.reason.startswith(reason)
    assert bool(found) == found.done == (not reason)


def test_results_of_another_program(path: Path) -> None:
    write_yaml(path, {"complete": True, "skip": False, "uuid": "1", "metadata": {}, "parameters": {"min_height": 10}})
    results(path, "1")
    assert is_done(path)
    assert is_done(path, resolve_config()).reason == "its options were not noted: another program made it"
    assert is_done(path, input=FACTS).reason == "its input was not noted"


def test_complete_without_its_results(done: Path) -> None:
    h5 = done.with_suffix(".h5")
    results(done, "another")
    assert is_done(done).reason.startswith("results_00.h5 has the uuid another, results_00.yaml has ")
    h5.write_bytes(h5.read_bytes()[:500])
    assert "no whole HDF5 file" in is_done(done).reason
    h5.unlink()
    assert "there is no file" in is_done(done).reason


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("complete: [", "line"),
        ("complete: yes\n", "complete is 'yes'; true or false was expected"),
        ("skip: 1\n", "skip is 1"),
        ("metadata: 3\n", "metadata is 3"),
        ("complete: true\ncomplete: true\n", "is here again"),
        ("complete: !!python/name:os.system\n", "is not read"),
    ],
)
def test_a_broken_file_is_not_complete_and_is_moved_aside(path: Path, text: str, said: str, caplog) -> None:
    path.write_text(text)
    with pytest.raises(FormatError, match=said):
        read_status(path)
    assert said in is_done(path).reason
    with caplog.at_level(logging.WARNING):
        assert not check_completion_status(path)
    assert said in caplog.text
    begin_status(path, resolve_config(), input=FACTS)
    assert read_status(path).complete is False
    assert Path(f"{path}.broken").read_text() == text


def test_a_missing_file(path: Path) -> None:
    assert not check_completion_status(path)
    assert is_done(path).reason == "there is no results_00.yaml"
    with pytest.raises(FileNotFoundError):
        read_status(path)


def test_facts_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123")
    os.utime(tmp_path / "a", ns=(5, 7))
    assert input_facts(tmp_path / "a") == {"size": 3, "mtime": 7}


def test_frames_are_counted_by_what_is_odd() -> None:
    flags = np.array([0, Seen.EMPTY | Seen.MISSING, Seen.MISSING, Seen.EDGE], "u1")
    assert count_flags(flags) == {"empty": 1, "missing": 2, "edge": 1}
