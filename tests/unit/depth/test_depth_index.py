"""The index: sorted, one entry a recording, groups kept."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from reelarray.depth.index import build_index_dict, find_results, generate_index, generate_index_from_agg_res
from reelarray.depth.yamlfiles import read_yaml, write_yaml
from reelarray.errors import FormatError


def session(folder: Path, uuid: str, *, number: int = 0, **status) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    h5 = folder / f"results_{number:02d}.h5"
    h5.touch()
    said = {"complete": True, "skip": False, "uuid": uuid, "metadata": {"SubjectName": f"m{uuid}", "Rate": 30}}
    write_yaml(h5.with_suffix(".yaml"), said | status)
    return h5


def regroup(index: str, **groups: str) -> None:
    said = read_yaml(index)
    for entry in said["files"]:
        entry["group"] = groups.get(entry["uuid"], entry["group"])
    write_yaml(index, said)


def test_the_index_of_a_folder(tmp_path: Path) -> None:
    second, first = session(tmp_path / "b" / "proc", "2"), session(tmp_path / "a" / "proc", "1")
    index = generate_index(tmp_path)
    assert index == str(tmp_path / "moseq2-index.yaml")
    assert read_yaml(index) == {
        "files": [
            {
                "path": [str(h5), str(h5.with_suffix(".yaml"))],
                "uuid": uuid,
                "group": "default",
                "metadata": {"SessionName": f"default_{k}", "SubjectName": f"m{uuid}", "Rate": 30},
            }
            for k, (h5, uuid) in enumerate([(first, "1"), (second, "2")])
        ],
        "pca_path": "",
    }


def test_groups_and_other_keys_stay(tmp_path: Path) -> None:
    session(tmp_path / "a", "1"), session(tmp_path / "b", "2")
    index = generate_index(tmp_path)
    regroup(index, **{"2": "drug"})
    write_yaml(index, {**read_yaml(index), "pca_path": "/pca.h5", "mine": [1]})
    session(tmp_path / "A", "0")
    found = read_yaml(generate_index(tmp_path))
    assert [(entry["uuid"], entry["group"]) for entry in found["files"]] == [
        ("0", "default"), ("1", "default"), ("2", "drug"),
    ]  # fmt: skip
    assert (found["pca_path"], found["mine"]) == ("/pca.h5", [1])


def test_a_recording_that_was_extracted_again_keeps_its_group(tmp_path: Path) -> None:
    session(tmp_path / "a", "1")
    regroup(generate_index(tmp_path, relative=True), **{"1": "drug"})
    session(tmp_path / "a", "new")
    (entry,) = read_yaml(generate_index(tmp_path, relative=True))["files"]
    assert (entry["uuid"], entry["group"]) == ("new", "drug")
    assert entry["path"] == [os.path.join("a", "results_00.h5"), os.path.join("a", "results_00.yaml")]


def test_the_first_of_equal_uuids_wins(tmp_path: Path, caplog) -> None:
    first, second = session(tmp_path / "a", "1"), session(tmp_path / "b", "1")
    with caplog.at_level(logging.WARNING):
        found = read_yaml(generate_index(tmp_path))
    assert [entry["path"][0] for entry in found["files"]] == [str(first)]
    assert str(first) in caplog.text
    assert str(second) in caplog.text


@pytest.mark.parametrize(
    ("status", "said"), [({"complete": False}, "not complete"), ({"skip": True}, "skipped"), ({"skip": 3}, "skip is 3")]
)
def test_what_is_left_out_is_named(tmp_path: Path, caplog, status, said) -> None:
    session(tmp_path / "a", "1", **status)
    with caplog.at_level(logging.WARNING):
        assert read_yaml(generate_index(tmp_path))["files"] == []
    assert said in caplog.text


def test_recordings_that_are_gone_are_named(tmp_path: Path, caplog) -> None:
    h5 = session(tmp_path / "a", "1")
    index = generate_index(tmp_path)
    h5.unlink()
    with caplog.at_level(logging.WARNING):
        generate_index(tmp_path)
    assert str(h5) in caplog.text
    assert read_yaml(index)["files"] == []


def test_of_aggregated_results_lies_above(tmp_path: Path) -> None:
    session(tmp_path / "aggregate_results", "1"), session(tmp_path / "aggregate_results" / "deeper", "2")
    index = generate_index_from_agg_res(tmp_path / "aggregate_results")
    assert index == str(tmp_path / "moseq2-index.yaml")
    assert [entry["uuid"] for entry in read_yaml(index)["files"]] == ["1"]
    other = generate_index_from_agg_res(tmp_path / "aggregate_results", tmp_path / "other.yaml", relative=True)
    assert read_yaml(other)["files"][0]["path"][0] == os.path.join("aggregate_results", "results_00.h5")


def test_recordings_without_uuid_or_metadata_are_not_dropped() -> None:
    files = [(f"/{name}/r.h5", f"/{name}/r.yaml", {"metadata": None}) for name in "ab"]
    found = build_index_dict(files, groups={"": "x", "/b/r.h5": "y"})["files"]
    assert [entry["metadata"]["SubjectName"] for entry in found] == ["default_0", "default_1"]
    assert [entry["group"] for entry in found] == ["default", "y"]


def test_an_index_that_cannot_be_read_is_not_replaced(tmp_path: Path) -> None:
    session(tmp_path / "a", "1")
    for text in ("files: [\n", "files: [1]\n", "files: 3\n"):
        (tmp_path / "moseq2-index.yaml").write_text(text)
        with pytest.raises(FormatError, match=r"moseq2-index\.yaml"):
            generate_index(tmp_path)
        assert (tmp_path / "moseq2-index.yaml").read_text() == text


def test_only_pairs_are_found(tmp_path: Path) -> None:
    session(tmp_path, "1", number=1)
    for name in ("alone.h5", "alone2.yaml", ".results_00.h5.abc.part", ".hidden.h5", ".hidden.yaml"):
        (tmp_path / name).touch()
    assert find_results(tmp_path) == [(str(tmp_path / "results_01.h5"), str(tmp_path / "results_01.yaml"))]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        find_results(tmp_path / "nowhere")
