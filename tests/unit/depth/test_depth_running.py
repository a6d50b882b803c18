"""One recording from its file to its results: what is written, what is left out, and what is done when it is there."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import dask
import h5py
import numpy as np
import pytest

import reelarray as ra
from reelarray.demo.depth import make_session
from reelarray.depth import kernels
from reelarray.depth.extract import extract
from reelarray.depth.optiontable import TABLE
from reelarray.depth.running import extract_recording
from reelarray.depth.scalarnames import EXTRA_SCALARS, SCALARS
from reelarray.depth.scene import scene
from reelarray.depth.status import read_status
from reelarray.errors import FormatError, RecipeError, RecordingError

FRAMES = 70
QUIET = {"camera_type": "kinect", "write_movie": False, "chunk_size": 25}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("session")
    make_session(folder, frames=FRAMES, seed=2, absent=[(30, 40)])
    return folder


@pytest.fixture
def folder(session: Path, tmp_path: Path) -> Path:
    """A session of its own."""
    return Path(shutil.copytree(session, tmp_path / "session"))


@pytest.fixture(scope="module")
def done(session: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session that was extracted with all there is."""
    pytest.importorskip("av", reason="PyAV is not installed")
    folder = Path(shutil.copytree(session, tmp_path_factory.mktemp("done") / "session"))
    extract_recording(folder / "depth.dat", camera_type="kinect", flip="motion", chunk_size=25)
    return folder


def lazily(folder: Path, **options: Any) -> Any:
    rec = ra.open_recording(folder / "depth.dat", cache=False)
    return extract(rec, scene(rec, camera_type="kinect"), **options).compute()


def check_same(path: Path, found: Any) -> None:
    """What is in a file is what the lazy Dataset has, to the bit."""
    with h5py.File(path) as file:
        for name, at in {"frames": "frames", "frames_mask": "frames_mask"}.items():
            np.testing.assert_array_equal(file[at][()], found[name].values)
        for name in (*SCALARS, *EXTRA_SCALARS):
            assert file[f"scalars/{name}"][()].tobytes() == found[name].values.tobytes(), name
        if "flips" in found:
            np.testing.assert_array_equal(file["metadata/extraction/flips"][()], found["flips"].values)


# ---- what is written -------------------------------------------------------------------------------------------------


def test_files_of_a_run(done: Path) -> None:
    names = {"bground.tiff", "first_frame.tiff", "roi_00.tiff", "results_00.h5", "results_00.yaml", "results_00.mp4"}
    assert set(os.listdir(done / "proc")) == names  # and nothing temporary
    assert set(os.listdir(done)) == {"depth.dat", "depth_ts.txt", "metadata.json", "proc"}


def test_every_path_of_the_results(done: Path) -> None:
    with h5py.File(done / "proc/results_00.h5") as file:
        paths: dict[str, Any] = {}
        file.visititems(lambda name, each: paths.update({name: each}) if isinstance(each, h5py.Dataset) else None)
        kinds = {name: (each.shape, each.dtype) for name, each in paths.items()}
        assert kinds["frames"] == ((FRAMES, 80, 80), np.uint8)
        assert kinds["frames_mask"] == ((FRAMES, 80, 80), np.bool_)
        assert file["frames"].compression == "gzip"
        for name in (*SCALARS, *EXTRA_SCALARS):
            assert kinds[f"scalars/{name}"] == ((FRAMES,), np.float32)
        assert kinds["timestamps"] == ((FRAMES,), np.float64)
        said = np.loadtxt(done / "depth_ts.txt")[:, 0]
        np.testing.assert_array_equal(file["timestamps"][()], said)
        found = "metadata/extraction"
        assert kinds[f"{found}/background"] == ((424, 512), np.float64)
        assert kinds[f"{found}/roi"] == ((424, 512), np.bool_)
        assert kinds[f"{found}/first_frame"] == ((424, 512), np.uint16)
        assert file[f"{found}/first_frame_idx"][()].tolist() == [0]
        assert file[f"{found}/last_frame_idx"][()].tolist() == [FRAMES]
        assert kinds[f"{found}/flips"] == ((FRAMES,), np.bool_)
        assert file[f"{found}/extract_version"][()] == f"reelarray {ra.__version__}".encode()
        assert 600 < file[f"{found}/true_depth"][()] < 700
        x0, y0 = file[f"{found}/roi_origin"][()]
        rows, columns = np.nonzero(file[f"{found}/roi"][()])
        assert (x0, y0) == (columns.min(), rows.min())
        missing = [name for name in TABLE if f"{found}/parameters/{name}" not in paths and TABLE[name].status == "used"]
        assert missing == []
        status = read_status(done / "proc/results_00.yaml")
        assert file["metadata/uuid"][()].decode() == status.uuid
        assert file["metadata/acquisition/SubjectName"][()].decode() == "animal 2"
        raw = np.fromfile(done / "depth.dat", "<u2").reshape(FRAMES, 424, 512)
        np.testing.assert_array_equal(file[f"{found}/first_frame"][()], raw[0])


def test_status_of_a_run(done: Path) -> None:
    status = read_status(done / "proc/results_00.yaml")
    assert (status.complete, status.skip, status.error) == (True, False, None)
    assert status.metadata["SubjectName"] == "animal 2"
    assert status.parameters["flip"] == "motion"
    assert status.parameters["true_depth"] > 600
    assert status.flagged["missing"] == 10
    assert status.input["size"] == (done / "depth.dat").stat().st_size


def test_results_are_those_of_the_lazy_dataset(done: Path) -> None:
    check_same(done / "proc/results_00.h5", lazily(done, flip="motion"))


def test_the_movie_has_every_frame(done: Path) -> None:
    import av

    with av.open(str(done / "proc/results_00.mp4")) as film:
        stream = film.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert round(float(stream.average_rate)) == 30
    assert len(frames) == FRAMES
    crop = frames[5][20:60, 20:60].astype(int)
    assert np.ptp(crop) > 100  # the animal is in the corner of its crop
    assert np.abs(crop - frames[35][20:60, 20:60]).mean() > 10  # where it is not when there is none


def test_pictures_are_those_of_the_scene(done: Path) -> None:
    given = scene(ra.open_recording(done / "depth.dat", cache=False), camera_type="kinect")
    found = ra.depth.read_tiff(done / "proc/bground.tiff")
    assert np.abs(found - given["background"].values).max() <= 1
    np.testing.assert_array_equal(ra.depth.read_tiff(done / "proc/roi_00.tiff") > 0, given["roi"])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"flip": "shape"},
        {"centroid_hampel_span": 5, "angle_hampel_span": 5},
        {"angle_hampel_span": 5, "flip": "shape"},
        {"angle_hampel_span": 5, "flip": "motion"},
        {"use_tracking_model": True},
        {"use_tracking_model": True, "tracker_warmup": 5},
        {"use_tracking_model": True, "model_smoothing_clips": (-12.0, -6.0), "flip": "shape"},
        {"temporal_filter_size": 5, "min_height": 15, "crop_size": (60, 70)},
        {"compat": True, "flip": "shape"},
        {"compat": True, "use_tracking_model": True, "model_smoothing_clips": (-12.0, -6.0)},
        {"frame_trim": (3, 4)},
        {"max_height": 255, "frame_dtype": "uint16"},
    ],
    ids=str,
)
def test_a_run_is_the_lazy_dataset(folder: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    if "compat" in options:
        pytest.importorskip("cv2", reason="OpenCV is not installed")
    monkeypatch.setattr("reelarray.depth.stages.STRETCH", 2)
    found = extract_recording(folder / "depth.dat", {**QUIET, "chunk_size": 13}, **options)
    assert found.complete
    rec = ra.open_recording(folder / "depth.dat", cache=False)
    part = rec.isel(time=slice(3, 66)) if "frame_trim" in options else rec
    given = scene(part, camera_type="kinect", compat=options.get("compat", False))
    check_same(found.results, extract(rec, given, options, chunk_size=13).compute())  # of a warmed-up tracker it tells
    if "frame_trim" in options:
        with h5py.File(found.results) as file:
            assert file["metadata/extraction/first_frame_idx"][()].tolist() == [3]
            assert file["metadata/extraction/last_frame_idx"][()].tolist() == [66]


def test_a_tracker_fits_each_frame_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are driven some at a time, and each would need the whole chain before it."""
    fitted = []
    fit = kernels.Fit.__call__

    def counted(self: Any, both: np.ndarray, state: Any) -> Any:
        fitted.append(len(both))
        return fit(self, both, state)

    monkeypatch.setattr(kernels.Fit, "__call__", counted)
    monkeypatch.setattr("reelarray.depth.stages.STRETCH", 4)
    extract_recording(folder / "depth.dat", {**QUIET, "chunk_size": 1}, use_tracking_model=True, angle_hampel_span=3)
    assert fitted == [1] * FRAMES


def always(crops: np.ndarray) -> np.ndarray:
    return np.ones(len(crops))


@pytest.mark.parametrize("span", [0, 5])
def test_a_function_says_which_way(folder: Path, span: int) -> None:
    options = {"flip": always, "angle_hampel_span": span}
    found = extract_recording(folder / "depth.dat", QUIET, **options)
    check_same(found.results, lazily(folder, **options))
    with h5py.File(found.results) as file:
        assert file["metadata/extraction/flips"][()].all()


def test_a_film_gives_the_same(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="PyAV is not installed")
    ra.depth.convert_raw_to_avi(folder / "depth.dat")
    one = extract_recording(folder / "depth.dat", QUIET, output_dir="one")
    other = extract_recording(folder / "depth.avi", QUIET, output_dir="other")
    with h5py.File(one.results) as a, h5py.File(other.results) as b:
        for name in "frames", "frames_mask", "scalars/angle", "scalars/centroid_x_mm", "timestamps":
            assert a[name][()].tobytes() == b[name][()].tobytes()


def test_an_archive_writes_to_a_folder_of_its_name(session: Path, tmp_path: Path) -> None:
    path = tmp_path / "session_20240506.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        for name in "depth.dat", "depth_ts.txt", "metadata.json":
            file.add(session / name, name)
    found = extract_recording(path, QUIET)
    assert found.results == tmp_path / "session_20240506/proc/results_00.h5"
    assert found.results.is_file()
    check_same(found.results, lazily(session))


# ---- what is left out, and where it goes -----------------------------------------------------------------------------


def test_no_movie(folder: Path) -> None:
    found = extract_recording(folder / "depth.dat", QUIET)
    assert not list(folder.rglob("*.mp4"))
    assert found.frames == FRAMES
    assert found.flagged["missing"] == 10
    assert "missing in 10 of 70 frames" in found.note


def test_hardly_an_animal_is_said_aloud(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    extract_recording(folder / "depth.dat", QUIET)
    assert "no animal in" not in caplog.text
    extract_recording(folder / "depth.dat", QUIET, min_height=110)
    assert f"depth.dat: no animal in {FRAMES} of {FRAMES} frames" in caplog.text


def test_a_frame_in_so_many_of_the_movie(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed")
    extract_recording(folder / "depth.dat", {**QUIET, "write_movie": True}, preview_every=8)
    with av.open(str(folder / "proc/results_00.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) == len(range(0, FRAMES, 8))


@pytest.mark.parametrize("where", ["elsewhere", "/absolute"])
def test_where_results_go(folder: Path, tmp_path: Path, where: str) -> None:
    given = tmp_path / "absolute" if where == "/absolute" else where
    found = extract_recording(folder / "depth.dat", QUIET, output_dir=given)
    assert found.folder == (given if where == "/absolute" else folder / where)
    assert found.results.is_file()
    assert not (folder / "proc").exists()


def test_the_number_of_the_arena_is_that_of_the_files(folder: Path) -> None:
    extract_recording(folder / "depth.dat", QUIET)
    with pytest.raises(RecordingError, match="bg_roi_index"):
        extract_recording(folder / "depth.dat", QUIET, bg_roi_index=40)
    assert read_status(folder / "proc/results_40.yaml").error
    assert read_status(folder / "proc/results_00.yaml").complete
    listed = extract_recording(folder / "depth.dat", QUIET, bg_roi_index=[40, 0], output_dir="other")
    assert {path.name for path in listed.folder.glob("results_*")} == {"results_00.h5", "results_00.yaml"}
    again = extract_recording(folder / "depth.dat", QUIET, bg_roi_index=[40, 0], output_dir="other")
    assert (again.note, again.results) == ("complete already", listed.results)


# ---- what is there already -------------------------------------------------------------------------------------------


def test_what_is_complete_is_left_as_it_is(folder: Path) -> None:
    first = extract_recording(folder / "depth.dat", QUIET)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in first.folder.iterdir()}
    again = extract_recording(folder / "depth.dat", QUIET, chunk_size=9)  # no other results
    assert (again.note, again.results) == ("complete already", first.results)
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in first.folder.iterdir()} == before


def test_force_makes_the_same_again(folder: Path) -> None:
    first = extract_recording(folder / "depth.dat", QUIET)
    was = first.results.stat().st_ino, first.results.read_bytes()
    again = extract_recording(folder / "depth.dat", QUIET, force=True)
    assert again.note != "complete already"
    assert again.results.stat().st_ino != was[0]
    assert again.results.read_bytes() == was[1]  # the uuid too
    assert read_status(first.results.with_suffix(".yaml")).complete


def test_other_options_make_other_results(folder: Path) -> None:
    first = extract_recording(folder / "depth.dat", QUIET)
    uuid = read_status(first.results.with_suffix(".yaml")).uuid
    other = extract_recording(folder / "depth.dat", QUIET, min_height=20)
    assert other.frames == FRAMES
    assert read_status(other.results.with_suffix(".yaml")).uuid != uuid
    check_same(other.results, lazily(folder, min_height=20))


def test_what_users_wrote_into_the_status_stays(folder: Path) -> None:
    first = extract_recording(folder / "depth.dat", QUIET)
    path = first.results.with_suffix(".yaml")
    path.write_text(path.read_text().replace("skip: false", "skip: true") + "sample: 7\n")
    extract_recording(folder / "depth.dat", QUIET, force=True)
    status = read_status(path)
    assert (status.skip, status.more["sample"]) == (True, 7)


# ---- what cannot be extracted ----------------------------------------------------------------------------------------


def test_what_goes_wrong_is_noted(folder: Path) -> None:
    with pytest.raises(RecordingError) as told:
        extract_recording(folder / "depth.dat", QUIET, manual_set_depth_range=True, bg_roi_depth_range=(100, 200))
    status = read_status(folder / "proc/results_00.yaml")
    assert not status.complete
    assert str(told.value) in str(status.error)
    again = extract_recording(folder / "depth.dat", QUIET)
    assert again.complete
    assert read_status(folder / "proc/results_00.yaml").error is None


def test_times_that_do_not_fit_are_noted(folder: Path) -> None:
    times = folder / "depth_ts.txt"
    times.write_text("".join(times.read_text().splitlines(keepends=True)[:-2]))
    with pytest.raises((RecordingError, FormatError), match="68"):
        extract_recording(folder / "depth.dat", QUIET)
    assert "68" in str(read_status(folder / "proc/results_00.yaml").error)
    assert extract_recording(folder / "depth.dat", QUIET, on_mismatch="trim").frames == 68


def test_a_recording_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"depth\.dat"):
        extract_recording(tmp_path / "depth.dat")
    with pytest.raises(RecipeError, match="min_height"):
        extract_recording(tmp_path / "depth.dat", min_hieght=3)
    assert not list(tmp_path.iterdir())


def test_progress_is_told(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    with dask.config.set(scheduler="threads"):
        extract_recording(folder / "depth.dat", QUIET, beat=lambda done, total: told.append((done, total)))
    assert told[0] == (0, 3)
    assert told[-1] == (3, 3)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_steps_are_timed(folder: Path) -> None:
    found = extract_recording(folder / "depth.dat", QUIET)
    assert {"scene", "blocks", "file"} <= set(found.steps)
    assert found.seconds >= max(found.steps.values())
