"""Names and copies of results: collisions drop nothing, changes are copied again, copies are whole or not there."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from reelarray.depth import copying
from reelarray.depth.copying import copy_file, copy_manifest_results
from reelarray.depth.manifest import build_manifest
from reelarray.depth.resultsread import load_extraction_meta_from_h5s, read_uuid
from reelarray.depth.sidefiles import read_side_file, read_side_files
from reelarray.depth.yamlfiles import read_yaml
from reelarray.errors import FormatError, RecipeError, Unwritable

SAID = {"SessionName": "open field", "SubjectName": "m1", "StartTime": "2024-05-01T10:20:30.1234567+02:00"}
NAME = "2024-05-01_10-20-30_open-field_m1_results_00"


def made(folder: Path, uuid: str, *, value: int = 1, **said) -> str:
    path = folder / "proc" / "results_00.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["frames"] = np.full((5, 4, 4), value, "u1")
        file["metadata/uuid"] = uuid
        for key, text in (SAID | said).items():
            file[f"metadata/acquisition/{key}"] = text
    return str(path)


def manifest(*paths: str, format: str = "{start_time}_{session_name}_{subject_name}"):
    status = [
        ({"complete": True, "uuid": read_uuid(path), "extraction_metadata": 1, "note": 2}, path) for path in paths
    ]
    return build_manifest(load_extraction_meta_from_h5s(status), format)


def value(path: str | Path) -> int:
    with h5py.File(path) as file:
        return int(file["frames"][0, 0, 0])


# ---- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "format", "name"),
    [
        ({}, "{start_time}_{session_name}_{subject_name}", "2024-05-01_10-20-30_open-field_m1"),
        ({"SessionName": b"a b"}, "{session_name}", "a-b"),
        ({"SessionName": "a<b>c:d\"e/f\\g|h?i*j'k"}, "{session_name}", "a-b-c-d-e-f-g-h-i-j-k"),
        ({"SessionName": "a -- b"}, "{session_name}", "a-b"),
        ({"SessionName": "..", "SubjectName": "..x"}, "{session_name}{subject_name}", "x"),
        ({"SessionName": ["a", "b"]}, "{session_name}", "a-b"),
        ({"NidaqChannels": 3}, "n{nidaq_channels}", "n3"),
        ({"SessionName": "ü" * 300}, "{session_name}", "ü" * 90),
    ],
)
def test_names(said, format, name) -> None:
    path = "/d/a/proc/results_00.h5"
    assert build_manifest([({}, path, SAID | said)], format)[path]["copy_path"] == f"{name}_results_00"


def test_names_as_metadata_has_them() -> None:
    found = build_manifest([({}, "/d/r.h5", SAID)], "{StartTime}_{SubjectName}", snake_case=False)
    assert found["/d/r.h5"]["copy_path"] == "2024-05-01_10-20-30_m1_r"


def test_missing_fields_are_numbered(caplog) -> None:
    loaded = [
        ({}, f"/d/{k}/r.h5", said) for k, said in enumerate([{}, SAID, {"SessionName": "s", "SubjectName": None}])
    ]
    with caplog.at_level(logging.WARNING):
        found = build_manifest(loaded, "{session_name}_{subject_name}")
    assert [entry["copy_path"] for entry in found.values()] == ["session_000_r", "open-field_m1_r", "session_001_r"]
    assert "/d/0/r.h5 has no session_name, subject_name: it is copied as session_000" in caplog.text
    assert "/d/2/r.h5 has no subject_name" in caplog.text


@pytest.mark.parametrize(
    "format", ["{", "{session_name.__class__}", "{0}", "{}", "a/{session_name}", "{a!r}", "{a:>9}"]
)
def test_impossible_formats(format) -> None:
    with pytest.raises(RecipeError, match="the format"):
        build_manifest([], format)


# ---- side files ------------------------------------------------------------------------------------------------------


def test_side_files(tmp_path: Path) -> None:
    (tmp_path / "feedback_ts.txt").write_text("1.5 True\n2.5 0\n\n")
    (tmp_path / "predictions.txt").write_text("1 4\n2 -1\n")
    (tmp_path / "pc_scores.txt").write_text("1 .5,1,2\n2 3,4,5,\n")
    found = read_side_files(tmp_path)
    assert {name: values["data"].dtype for name, values in found.items()} == {
        "feedback": bool, "predictions": np.int64, "pc_scores": np.float32,
    }  # fmt: skip
    assert found["feedback"]["data"].tolist() == [True, False]
    assert found["feedback"]["timestamps"].tolist() == [1.5, 2.5]
    assert found["predictions"]["data"].tolist() == [4, -1]
    assert found["pc_scores"]["data"].tolist() == [[0.5, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("text", ["1 2\nx 3\n", "1 2\n3\n", "1 2\n2 1,2\n", "1 2\n2 1.5\n", "1 2\n2 1,,2\n"])
def test_broken_side_files_are_named_and_left_out(tmp_path: Path, text: str, caplog) -> None:
    path = tmp_path / "predictions.txt"
    path.write_text(text)
    with pytest.raises(FormatError, match=r"predictions\.txt, line 2"):
        read_side_file(path, np.int64)
    with caplog.at_level(logging.WARNING):
        assert read_side_files(tmp_path) == {}
    assert "line 2" in caplog.text


# ---- copies ----------------------------------------------------------------------------------------------------------


def test_a_copy(tmp_path: Path) -> None:
    source = made(tmp_path / "a", "1")
    Path(source).with_suffix(".mp4").write_bytes(b"movie")
    (tmp_path / "a" / "pc_scores.txt").write_text("1 2,3\n")
    assert copy_manifest_results(manifest(source), tmp_path / "out") == {source: str(tmp_path / "out" / f"{NAME}.h5")}
    assert sorted(os.listdir(tmp_path / "out")) == [f"{NAME}.h5", f"{NAME}.mp4", f"{NAME}.yaml"]
    found = read_yaml(tmp_path / "out" / f"{NAME}.yaml")
    assert (found["complete"], found["uuid"], found["note"]) == (True, "1", 2)
    assert "extraction_metadata" not in found
    assert found["copied_from"]["path"] == source
    with h5py.File(tmp_path / "out" / f"{NAME}.h5") as file:
        assert file["metadata/misc/pc_scores/data"][()].tolist() == [[2, 3]]
        assert file["metadata/misc/pc_scores/data"].dtype == np.float32
        assert file["metadata/misc/pc_scores/timestamps"][()].tolist() == [1]
        assert (file["frames"][()] == 1).all()
    with h5py.File(source) as file:
        assert "misc" not in file["metadata"]  # the source is as it was


def test_collisions_drop_nothing_and_names_stay(tmp_path: Path, caplog) -> None:
    a, b, c = (made(tmp_path / name, uuid, value=v) for name, uuid, v in (("a", "9", 1), ("b", "5", 2), ("c", "7", 3)))
    out = tmp_path / "out"
    with caplog.at_level(logging.WARNING):
        first = copy_manifest_results(manifest(a, b), out)
    assert {Path(path).stem: value(path) for path in first.values()} == {NAME: 2, f"{NAME}_2": 1}  # in order of uuid
    assert "another recording is copied as" in caplog.text
    second = copy_manifest_results(manifest(c, b, a), out)
    assert {key: second[key] for key in first} == first
    assert Path(second[c]).stem == f"{NAME}_3"
    assert [value(second[source]) for source in (a, b, c)] == [1, 2, 3]
    assert copy_manifest_results(manifest(c), out) == {c: second[c]}


@pytest.mark.parametrize("names", [("M1", "m1"), ("m1", "M1")])
def test_names_that_differ_by_case_only(tmp_path: Path, names) -> None:
    a, b = (made(tmp_path / uuid, uuid, SubjectName=name) for uuid, name in zip("12", names, strict=True))
    names = [Path(path).stem.casefold() for path in copy_manifest_results(manifest(a, b), tmp_path / "out").values()]
    assert len(set(names)) == 2


def test_one_uuid_twice(tmp_path: Path) -> None:
    a, b = made(tmp_path / "a", "1", value=1), made(tmp_path / "b", "1", value=2)
    for _ in range(2):
        copies = copy_manifest_results(manifest(a, b), tmp_path / "out")
        assert [value(copies[source]) for source in (a, b)] == [1, 2]
    assert len(os.listdir(tmp_path / "out")) == 4


def test_only_what_changed_is_copied_again(tmp_path: Path, monkeypatch) -> None:
    a, b = made(tmp_path / "a", "1", SubjectName="x"), made(tmp_path / "b", "2", SubjectName="y")
    out = tmp_path / "out"
    copies = copy_manifest_results(manifest(a, b), out)
    copied = []
    real = copying._copy_checked
    monkeypatch.setattr(copying, "_copy_checked", lambda s, t, n: copied.append(str(s)) or real(s, t, n))
    assert copy_manifest_results(manifest(a, b), out) == copies
    assert copied == []
    made(tmp_path / "a", "1", SubjectName="x", value=7)
    os.utime(a, ns=(1, 1))
    copy_manifest_results(manifest(a, b), out)
    assert copied == [a]
    assert value(copies[a]) == 7
    made(tmp_path / "b", "new", SubjectName="y", value=8)  # other options: another uuid
    assert copy_manifest_results(manifest(a, b), out) == copies
    assert (value(copies[b]), read_uuid(copies[b])) == (8, "new")
    (tmp_path / "a" / "predictions.txt").write_text("1 2\n")
    copied.clear()
    copy_manifest_results(manifest(a, b), out)
    copy_manifest_results(manifest(a, b), out)
    assert copied == [a]


def test_a_folder_that_was_moved_keeps_its_copies(tmp_path: Path) -> None:
    a = made(tmp_path / "a", "1")
    (before,) = copy_manifest_results(manifest(a), tmp_path / "out").values()
    (tmp_path / "a").rename(tmp_path / "moved")
    (after,) = copy_manifest_results(manifest(str(tmp_path / "moved/proc/results_00.h5")), tmp_path / "out").values()
    assert before == after
    assert read_yaml(Path(after).with_suffix(".yaml"))["copied_from"]["path"].startswith(str(tmp_path / "moved"))


def test_a_copy_that_was_cut_short_never_appears(tmp_path: Path, monkeypatch) -> None:
    a = made(tmp_path / "a", "1")
    monkeypatch.setattr(copying.shutil, "copyfile", lambda s, t: Path(t).write_bytes(Path(s).read_bytes()[:100]))
    with pytest.raises(Unwritable, match=f"100 bytes of {os.path.getsize(a)}"):
        copy_manifest_results(manifest(a), tmp_path / "out")
    with pytest.raises(Unwritable):
        copy_file(a, tmp_path / "copy")
    assert os.listdir(tmp_path / "out") == []
    assert not (tmp_path / "copy").exists()


def test_a_run_that_died_before_the_yaml_is_finished(tmp_path: Path) -> None:
    a = made(tmp_path / "a", "1")
    (copy,) = copy_manifest_results(manifest(a), tmp_path / "out").values()
    Path(copy).with_suffix(".yaml").unlink()
    assert copy_manifest_results(manifest(a), tmp_path / "out") == {a: copy}
    assert sorted(os.listdir(tmp_path / "out")) == [f"{NAME}.h5", f"{NAME}.yaml"]
