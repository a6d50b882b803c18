"""`reel depth`: what it prints, writes and answers."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from reelarray.cli import main
from reelarray.demo.depth import make_session
from reelarray.depth.options import resolve_config
from reelarray.depth.optiontable import TABLE
from reelarray.depth.status import read_status
from reelarray.depth.yamlfiles import read_yaml, write_yaml

LENS = {"camera_type": "kinect", "intrinsics": {"fx": 180, "fy": 180}, "write_movie": False}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    for k in (0, 1):
        make_session(folder / "data" / f"mouse {k}", frames=30, shape=(212, 256), seed=k)
    write_yaml(folder / "config.yaml", LENS)
    return folder


@pytest.fixture
def place(made, tmp_path, monkeypatch):
    """A folder with two recordings below `data`, and a configuration, where the command runs."""
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def reel(capsys):
    """Calls the command, and gives its code, and what it printed."""

    def call(*words):
        code = main(["depth", *map(str, words)])
        found = capsys.readouterr()
        return code, found.out, found.err

    return call


def broken(place):
    (place / "data" / "broken").mkdir()
    (place / "data" / "broken" / "depth.dat").write_bytes(bytes(500))
    shutil.copy(place / "data" / "mouse 0" / "metadata.json", place / "data" / "broken")


def test_a_folder_from_its_beginning_to_its_end(place, reel):
    code, out, _ = reel("extract", "data", "--config", "config.yaml", "--dry-run")
    assert (code, "to do     2 of 2 recordings" in out) == (0, True)
    assert not list(place.rglob("*.h5"))
    code, out, _ = reel("extract", "data", "--config", "config.yaml")
    assert (code, "extracted 2 of 2 recordings, 60 frames" in out) == (0, True)
    results = place / "data" / "mouse 1" / "proc" / "results_00.h5"
    assert "30 frames in " in out
    assert str(results) in out
    assert results.is_file()
    assert not results.with_suffix(".mp4").exists()
    code, out, _ = reel("extract", "data", "--config", "config.yaml")
    assert (code, out.count("complete already")) == (0, 2)


def test_what_fails_shows_in_the_code_and_the_table(place, reel):
    broken(place)
    (place / "data" / "mouse 1" / "metadata.json").unlink()
    code, out, _ = reel("extract", "data", "--config", "config.yaml", "--csv", "table.csv")
    assert code == 3
    assert "500 bytes" in out
    assert "--retry-failed tries all" in out
    assert "pass --skip-checks to take it" in out
    table = pd.read_csv("table.csv")
    assert [Path(path).parent.name for path in table["recording"]] == ["broken", "mouse 0", "mouse 1"]
    assert table["status"].tolist() == ["failed", "done", "left out"]
    assert table["frames"][1] == 30
    words = ["--skip-checks", "--set", "frame_size=256,212", "--csv", "table.csv"]
    assert reel("extract", "data", "--config", "config.yaml", "--skip-extracted", *words)[0] == 3
    assert pd.read_csv("table.csv")["status"].tolist() == ["failed", "skipped", "done"]


def test_options_of_the_command_win(place, reel):
    words = ["--num-frames", 12, "--flip", "motion", "--set", "crop_size=60,60", "--set", "min-height=12"]
    code, _, _ = reel("extract", "data/mouse 0/depth.dat", "--config", "config.yaml", "--output-dir", "found", *words)
    assert code == 0
    path = place / "data" / "mouse 0" / "found" / "results_00.h5"
    with h5py.File(path) as file:
        assert file["frames"].shape == (12, 60, 60)
        assert "metadata/extraction/flips" in file
    parameters = read_status(path.with_suffix(".yaml")).parameters
    assert (parameters["min_height"], parameters["flip"], parameters["write_movie"]) == (12, "motion", False)


def test_a_movie_is_made_unless_told_not_to(place, reel):
    pytest.importorskip("av")
    write_yaml("config.yaml", LENS | {"write_movie": True})
    path = place / "data" / "mouse 0" / "proc" / "results_00.mp4"
    assert reel("extract", "data/mouse 0", "--config", "config.yaml", "--no-movie")[0] == 0
    assert not path.exists()
    assert reel("extract", "data/mouse 0", "--config", "config.yaml", "--force")[0] == 0
    assert path.stat().st_size > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "min_hieght=3"], "min_height?"),
        (["--set", "min_height"], "NAME=VALUE was expected"),
        (["--set", "flip_classifier=model.pkl"], "never loaded"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--session-config", "nowhere.yaml"], "nowhere.yaml"),
        (["--cluster", "slurmm", "--dry-run"], "slurm"),
        (["--csv", "nowhere/table.csv"], "nowhere"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_begun(place, reel, words, said):
    code, _, err = reel("extract", "data", *words)
    assert (code, said in err) == (2, True), err
    assert not list(place.rglob("proc"))


def test_nothing_to_extract(place, reel):
    assert reel("extract", "nowhere")[0] == 2
    assert reel("extract")[0] == 2
    (place / "empty").mkdir()
    code, out, _ = reel("extract", "empty")
    assert (code, "no recording was found in empty" in out) == (0, True)
    code, out, _ = reel("extract", "data", "--recordings-ending", "avi,.mkv")
    assert (code, "no recording was found in data" in out) == (0, True)


def test_options_without_effect_are_named(place, reel):
    write_yaml("config.yaml", LENS | {"chunk_overlap": 10})
    _, out, _ = reel("extract", "data", "--config", "config.yaml", "--dry-run")
    assert "chunk_overlap has no effect" in out


def test_jobs_are_shown_before_they_are_submitted(place, reel):
    words = ["--cluster", "slurm", "--partition", "short", "--ncpus", 2, "--wall-time", "3:00:00", "--prefix", "true a"]
    code, out, _ = reel("extract", "data", "--config", "config.yaml", "--dry-run", *words)
    assert code == 0
    assert "slurm, 2 worker jobs" in out
    assert "#SBATCH -p short" in out
    assert "#SBATCH -t 03:00:00" in out
    assert "\ntrue a\n" in out


def test_a_script_of_jobs(place, reel):
    reel("extract", "data/mouse 0", "--config", "config.yaml")
    words = ["--write-script", "jobs.sh", "--num-frames", 30, "--skip-extracted", "--partition", "short"]
    code, out, _ = reel("extract", "data", "--config", "config.yaml", *words)
    assert (code, "1 jobs" in out) == (0, True)
    lines = Path("jobs.sh").read_text().splitlines()
    assert len(lines) == 3
    for word in ("--partition=short", "mouse 1", f"--config {place / 'config.yaml'}", "--num-frames 30", "--skip-ext"):
        assert word in lines[2]
    assert not (place / "data" / "mouse 1" / "proc").exists(), "nothing was run"


def test_a_scene_is_written_to_be_looked_at(place, reel):
    code, out, _ = reel("roi", "data/mouse 0/depth.dat", "--config", "config.yaml")
    assert code == 0
    folder = place / "data" / "mouse 0" / "proc"
    assert {"bground.tiff", "first_frame.tiff", "roi_00.tiff"} <= {path.name for path in folder.iterdir()}
    assert "arena     number 0 of" in out
    assert "floor     6" in out
    assert not (folder / "results_00.yaml").exists()
    code, _, err = reel("roi", "data/mouse 0/depth.dat", "--config", "config.yaml", "--bg-roi-index", 7)
    assert (code, "depth.dat" in err) == (2, True)


def test_films_and_back(place, reel):
    pytest.importorskip("av")
    path = place / "data" / "mouse 0" / "depth.dat"
    before = path.read_bytes()
    code, out, _ = reel("convert", path, "--delete")
    assert (code, "every frame compared; the input was removed" in out) == (0, True)
    assert not path.exists()
    assert reel("convert", path.with_suffix(".avi"))[0] == 0
    assert path.read_bytes() == before
    code, _, err = reel("convert", path)
    assert (code, "--overwrite" in err) == (2, True)
    code, out, _ = reel("convert", place / "data" / "mouse 1" / "depth.dat", place / "gone.dat")
    assert (code, "failed    " in out, "written   " in out) == (3, True, True)


def test_slices(place, reel):
    path = place / "data" / "mouse 0" / "depth.dat"
    code, out, _ = reel("slice", path, "part/depth.dat", 10, 20)
    assert (code, "10 frames [10, 20)" in out) == (0, True)
    whole = np.fromfile(path, "<u2").reshape(30, 212, 256)
    np.testing.assert_array_equal(np.fromfile("part/depth.dat", "<u2").reshape(10, 212, 256), whole[10:20])
    assert len(Path("part/depth_ts.txt").read_text().splitlines()) == 10
    assert reel("slice", path, "other/depth.dat", 20, 40)[0] == 2
    assert not Path("other").exists(), "nothing came of it"
    code, _, err = reel("slice", path, "third/depth.dat", 0, 10, "--delete")
    assert (code, path.exists(), "--delete" in err) == (2, True, True)


def test_results_are_gathered(place, reel):
    reel("extract", "data", "--config", "config.yaml")
    code, out, _ = reel("aggregate", "data", "gathered", "--format", "{session_name}_{subject_name}")
    assert (code, "copied    2 recordings to gathered" in out) == (0, True)
    assert len(list(Path("gathered").glob("*.h5"))) == 2
    assert len(read_yaml("moseq2-index.yaml")["files"]) == 2
    code, out, _ = reel("index", "data", "--relative")
    assert (code, "2 recordings" in out) == (0, True)
    assert not Path(read_yaml("data/moseq2-index.yaml")["files"][0]["path"][0]).is_absolute()
    path = place / "data" / "mouse 0" / "proc" / "results_00.yaml"
    write_yaml(path, {**read_yaml(path), "metadata": {}})
    code, out, _ = reel("metadata", "data", "--h5-path", "metadata/acquisition")
    assert (code, "2 files have what" in out) == (0, True)
    assert read_status(path).metadata["SubjectName"]


def test_a_configuration_to_begin_with(place, reel):
    code, _, err = reel("config")
    assert (code, "--force" in err) == (2, True)
    assert reel("config", "new.yaml")[0] == 0
    found = read_yaml("new.yaml")
    assert resolve_config("new.yaml").hash == resolve_config().hash
    assert set(found) == {name for name, option in TABLE.items() if option.status == "used"} - {"config_file"}
    assert reel("config", "new.yaml", "--force", "--compat")[0] == 0
    assert read_yaml("new.yaml")["compat"] is True
