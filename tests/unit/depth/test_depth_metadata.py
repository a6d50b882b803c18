"""Metadata from HDF5 to YAML: of complete results only, in place, the rest untouched."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from reelarray.depth.metadata import copy_h5_metadata_to_yaml
from reelarray.depth.yamlfiles import read_yaml, write_yaml


def session(folder: Path, **status) -> Path:
    h5 = folder / "proc" / "results_00.h5"
    h5.parent.mkdir(parents=True)
    with h5py.File(h5, "w") as file:
        file["frames"] = np.ones((2, 4, 4), "u1")
        group = file.create_group("metadata/acquisition")
        group["SubjectName"] = np.bytes_("mouse")
        group["DepthResolution"] = [512, 424]
        group["IsLittleEndian"] = True
        group["Note"] = h5py.Empty("f4")
        file["metadata/other/x"] = np.float32(0.5)
    said = {"complete": True, "skip": False, "uuid": "1", "metadata": {"old": 1}, "mine": [1, {"a": 2}]}
    write_yaml(h5.with_suffix(".yaml"), said | status)
    return h5.with_suffix(".yaml")


def test_plain_values_in_place(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    path = session(tmp_path / "a")
    assert copy_h5_metadata_to_yaml(tmp_path) == [str(path)]
    found = read_yaml(path)
    assert found["metadata"] == {
        "SubjectName": "mouse", "DepthResolution": [512, 424], "IsLittleEndian": True, "Note": None,
    }  # fmt: skip
    assert (found["mine"], found["uuid"], list(found)[-1]) == ([1, {"a": 2}], "1", "mine")
    assert sorted(os.listdir(path.parent)) == ["results_00.h5", "results_00.yaml"]
    assert os.listdir(tmp_path / "elsewhere") == []


def test_another_group(tmp_path: Path) -> None:
    path = session(tmp_path / "a")
    copy_h5_metadata_to_yaml(tmp_path, "/metadata/other")
    assert read_yaml(path)["metadata"] == {"x": 0.5}


@pytest.mark.parametrize("status", [{"complete": False}, {"skip": True}])
def test_others_are_left_as_they_are(tmp_path: Path, status) -> None:
    path = session(tmp_path / "a", **status)
    before = path.read_bytes()
    assert copy_h5_metadata_to_yaml(tmp_path) == []
    assert path.read_bytes() == before


def test_what_cannot_be_read_is_named_and_the_rest_is_done(tmp_path: Path, caplog) -> None:
    broken, good, cut = (session(tmp_path / name) for name in "abc")
    broken.write_text("complete: [")
    cut.with_suffix(".h5").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert copy_h5_metadata_to_yaml(tmp_path) == [str(good)]
        assert copy_h5_metadata_to_yaml(tmp_path, "metadata/nowhere") == []
    for said in (str(broken), str(cut), "no group 'metadata/nowhere'"):
        assert said in caplog.text
