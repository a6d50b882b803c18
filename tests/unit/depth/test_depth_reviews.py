"""What users of depth video ran into: each of these was wrong once."""

from __future__ import annotations

import json

import numpy as np
import pytest

import reelarray as ra
from reelarray.demo.depth import make_session
from reelarray.depth.yamlfiles import read_yaml
from reelarray.errors import FormatError, RecordingError, Unwritable

KINECT = {"camera_type": "kinect", "intrinsics": {"fx": 180, "fy": 180}}
SHAPE = (212, 256)


def extracted(folder, file="depth.dat", **options):
    return ra.depth.extract_recording(folder / file, {**KINECT, "write_movie": False, **options})


@pytest.mark.parametrize(
    "options",
    [
        {"centroid_hampel_span": 5, "flip": "motion"},
        {"angle_hampel_span": 5, "temporal_filter_size": [3]},
        {"use_tracking_model": True, "model_smoothing_clips": [-30, -5]},
    ],
    ids=["positions", "angles", "smoothed"],
)
def test_crops_that_wait_for_filters_are_extracted_as_lazily(tmp_path, options):
    make_session(tmp_path, frames=20, shape=SHAPE)
    results = ra.depth.open_results(extracted(tmp_path, chunk_size=7, **options).results)
    rec = ra.open_recording(tmp_path / "depth.dat", cache=False)
    lazy = ra.depth.extract(rec, ra.depth.scene(rec, **KINECT), **options).compute()
    for name in lazy:
        assert np.array_equal(lazy[name], results[name], equal_nan=lazy[name].dtype.kind == "f"), name


def test_more_frames_than_there_are_is_said(tmp_path, caplog):
    make_session(tmp_path, frames=20, shape=SHAPE)
    found = extracted(tmp_path, num_frames=30, frame_trim=[2, 1])
    assert found.frames == 17
    assert "num_frames=30 were asked for, the recording has 17" in caplog.text


def test_results_have_the_number_of_the_arena_that_was_taken(tmp_path):
    make_session(tmp_path, frames=20, shape=SHAPE)
    found = extracted(tmp_path, bg_roi_index=[7, 0])
    assert sorted(path.name for path in found.folder.glob("*_0[07].*")) == [
        "results_00.h5",
        "results_00.yaml",
        "roi_00.tiff",
    ]
    assert extracted(tmp_path, bg_roi_index=[7, 0]).note == "complete already"
    with pytest.raises(RecordingError, match="1 candidates for the arena are there"):
        extracted(tmp_path, bg_roi_index=[7, 8])


@pytest.mark.parametrize("name", ["depth_ts.txt", "metadata.json"])
def test_what_lies_beside_a_recording_is_part_of_it(tmp_path, name):
    make_session(tmp_path, frames=20, shape=SHAPE)
    extracted(tmp_path)
    assert extracted(tmp_path).note == "complete already"
    file = tmp_path / name
    file.write_text(file.read_text().replace("synthetic", "renamed") + "\n")
    found = extracted(tmp_path)
    assert found.frames == 20
    if name == "metadata.json":
        assert "renamed" in ra.depth.open_results(found.results).attrs["metadata"]


def test_a_scene_that_is_not_compat_is_said(tmp_path, caplog):
    make_session(tmp_path, frames=20, shape=SHAPE)
    rec = ra.open_recording(tmp_path / "depth.dat", cache=False)
    scene = ra.depth.scene(rec, **KINECT)
    ra.depth.extract(rec, scene)
    assert "compat" not in caplog.text
    ra.depth.extract(rec, scene, compat=True)
    assert "a scene with compat=False" in caplog.text


def test_errors_of_a_scene_name_the_recording(tmp_path):
    make_session(tmp_path, frames=20, shape=SHAPE, blank=[(0, 20)])
    with pytest.raises(RecordingError, match=r"depth\.dat: no pixel of the background has a return"):
        extracted(tmp_path)


def test_no_times_at_all_is_no_advice_to_take_none(tmp_path):
    make_session(tmp_path, frames=20, shape=SHAPE)
    (tmp_path / "depth_ts.txt").write_text("")
    with pytest.raises(RecordingError, match="no frame is left, move that file away"):
        extracted(tmp_path)


def test_results_stand_where_no_film_can_be_made(tmp_path, caplog):
    pytest.importorskip("av", reason="PyAV is not installed")
    make_session(tmp_path, frames=20, shape=SHAPE)
    (tmp_path / "depth.avi").write_bytes(b"of somebody else")
    found = extracted(tmp_path, compress=True, delete=True)
    assert found.complete
    assert "depth.avi is there already" in found.note
    assert "not compressed" in caplog.text
    assert (tmp_path / "depth.dat").exists()
    assert (tmp_path / "depth.avi").read_bytes() == b"of somebody else"


def test_a_film_that_was_never_finished_is_extracted_where_times_may_differ(tmp_path):
    pytest.importorskip("av", reason="PyAV is not installed")
    make_session(tmp_path, frames=20, shape=SHAPE)
    film = ra.depth.convert_raw_to_avi(tmp_path / "depth.dat", delete=True)
    film.write_bytes(film.read_bytes()[: film.stat().st_size * 7 // 10])
    with pytest.raises(RecordingError, match="on_mismatch='trim'"):
        extracted(tmp_path, film.name)
    found = extracted(tmp_path, film.name, on_mismatch="trim")
    assert 5 < found.frames < 20


def test_results_that_were_replaced_are_not_mixed_with_those_that_were_opened(tmp_path):
    make_session(tmp_path, frames=20, shape=SHAPE)
    found = ra.depth.open_results(extracted(tmp_path).results)
    assert found["frames"][0].values.any()
    extracted(tmp_path, min_height=30)
    with pytest.raises(FormatError, match=r"results_00\.h5 was written anew since it was opened"):
        found["frames"].load()


def test_times_of_steps_are_noted_where_asked_for(tmp_path):
    make_session(tmp_path, frames=20, shape=SHAPE)
    found = extracted(tmp_path, profile=True)
    noted = read_yaml(found.results.with_suffix(".yaml"))["profile"]
    assert set(noted) == set(found.steps) == {"scene", "blocks", "vectors", "file"}
    extracted(tmp_path, force=True)
    assert "profile" not in read_yaml(found.results.with_suffix(".yaml"))


def test_default_metadata_are_written_where_asked_for(tmp_path):
    make_session(tmp_path, frames=20, shape=SHAPE)
    (tmp_path / "metadata.json").unlink()
    size = {"frame_size": [256, 212]}
    extracted(tmp_path, **size)
    assert not (tmp_path / "metadata.json").exists()
    extracted(tmp_path, write_default_metadata=True, force=True, **size)
    assert json.loads((tmp_path / "metadata.json").read_text())["SessionName"] == tmp_path.name
    assert extracted(tmp_path, write_default_metadata=True, **size).note == "complete already"


def test_a_file_in_place_of_the_folder_of_results(tmp_path):
    make_session(tmp_path, frames=20, shape=SHAPE)
    (tmp_path / "proc").write_text("notes")
    with pytest.raises(Unwritable, match="proc is a file, a folder for results was expected"):
        extracted(tmp_path)
