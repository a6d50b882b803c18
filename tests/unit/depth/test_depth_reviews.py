"""What users of depth video ran into: each of these was wrong once."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import reelarray as ra
from reelarray.demo.depth import make_session
from reelarray.depth.results import Extraction, ResultsFile
from reelarray.depth.scalarnames import SCALARS
from reelarray.depth.yamlfiles import read_yaml
from reelarray.errors import FormatError, RecipeError, RecordingError, Unwritable

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


@pytest.mark.parametrize(
    "options", [{}, {"use_tracking_model": True}, {"compat": True}], ids=["plain", "tracked", "compat"]
)
@pytest.mark.parametrize("dtype", ["i2", "i4", "u4", ">u2"])
def test_depths_of_any_integer_are_the_same_depths(tmp_path, dtype, options):
    if options.get("compat"):
        pytest.importorskip("cv2", reason="OpenCV is not installed")
    make_session(tmp_path, frames=20, shape=SHAPE)
    rec = ra.open_recording(tmp_path / "depth.dat", cache=False).compute()
    scene = ra.depth.scene(rec, **KINECT, compat=options.get("compat", False))
    wanted, found = (ra.depth.extract(each, scene, **options) for each in (rec, rec.astype(dtype)))
    for name in wanted:
        assert np.array_equal(wanted[name], found[name], equal_nan=wanted[name].dtype.kind == "f"), name


@pytest.mark.parametrize("depth", [65536 + 650, -5])
def test_numbers_that_are_no_depths_do_not_wrap(depth):
    floor = np.full((20, 60, 60), 700, "i4")
    scene = ra.depth.scene(ra.recording(floor, rate=30, units="mm"), camera_type="kinect")
    floor[3, 20:30, 20:40] = depth
    with pytest.raises(RecordingError, match="0 to 65535 mm were expected"):
        ra.depth.extract(ra.recording(floor, rate=30, units="mm"), scene).compute()


@pytest.mark.parametrize("name", ["centroid_hampel_span", "angle_hampel_span"])
def test_even_spans_become_odd_before_anything_is_done(name):
    with pytest.warns(UserWarning, match=f"{name} 4 became 5"):
        assert ra.depth.resolve_config({name: 4})[name] == 5
    assert ra.depth.resolve_config({name: 0})[name] == 0


def test_heights_that_no_camera_sees_are_refused_at_once():
    with pytest.raises(RecipeError, match="max_height is 70000; at most 65535"):
        ra.depth.resolve_config(max_height=70000)


def test_a_cut_film_with_times_of_its_own_names_the_option_that_takes_it(tmp_path):
    pytest.importorskip("av", reason="PyAV is not installed")
    make_session(tmp_path, frames=20, shape=SHAPE)
    film = ra.depth.convert_raw_to_avi(tmp_path / "depth.dat", delete=True)
    film.write_bytes(film.read_bytes()[: film.stat().st_size * 7 // 10])
    (tmp_path / "depth_ts.txt").unlink()
    with pytest.raises(RecordingError, match=r"depth\.avi: truncated: .*pass on_mismatch='trim'"):
        extracted(tmp_path, film.name)
    assert "on_mismatch='trim'" in read_yaml(tmp_path / "proc" / "results_00.yaml")["error"]
    assert 5 < extracted(tmp_path, film.name, on_mismatch="trim").frames < 20


def test_a_full_disk_is_told_as_one(tmp_path):
    resource = pytest.importorskip("resource", reason="limits of files are those of POSIX")
    random = np.random.default_rng(0)
    crops = random.integers(0, 255, (256, 40, 40)).astype("u1")
    scene = Extraction(np.zeros((4, 5)), np.ones((4, 5), bool), np.zeros((4, 5), "u2"), 0, 256, 673.0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, before[1]))
    try:
        with (
            pytest.raises(Unwritable, match=r"results_00\.h5 cannot be written: .*File too large"),
            ResultsFile(tmp_path / "results_00.h5", frames=256, crop_size=(40, 40), uuid="1", extraction=scene) as file,
        ):
            file.write(0, crops, crops > 100, {name: np.zeros(256) for name in SCALARS})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_why_results_are_made_again_is_noted(tmp_path):
    make_session(tmp_path, frames=20, shape=SHAPE)
    assert "again" not in extracted(tmp_path).note
    assert "extracted again: options changed: min_height 10 became 12" in extracted(tmp_path, min_height=12).note
    other = tmp_path / "other\udcff.dat"
    shutil.copy2(tmp_path / "depth.dat", other)  # of the same size and time
    assert r"file depth.dat became other\udcff.dat" in extracted(tmp_path, other.name, min_height=12).note
    assert extracted(tmp_path, other.name, min_height=12).note == "complete already"
