"""Many recordings: what is done, skipped, failed and left out, and how a run that was ended goes on."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from reelarray.demo.depth import make_session
from reelarray.depth.batch import carry_out, extract_recordings
from reelarray.depth.batchplan import plan_recordings
from reelarray.depth.batchscript import write_script
from reelarray.depth.crew import asked_for, cluster_settings
from reelarray.depth.finding import find_recordings
from reelarray.depth.status import read_status
from reelarray.depth.yamlfiles import write_yaml
from reelarray.driving import Stop
from reelarray.errors import RecipeError, SettingError
from reelarray.sinks.journal import OutputHeld, read_records

LENS = {"camera_type": "kinect", "intrinsics": {"fx": 180, "fy": 180}, "write_movie": False}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two recordings of 40 frames; never changed."""
    folder = tmp_path_factory.mktemp("made")
    for k in (0, 1):
        make_session(folder / f"mouse {k}", frames=40, shape=(212, 256), seed=k)
    return folder


@pytest.fixture
def place(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "data"))


def broken(place, name="broken"):
    """A recording that is shorter than a frame."""
    (place / name).mkdir()
    (place / name / "depth.dat").write_bytes(bytes(500))
    shutil.copy(place / "mouse 0" / "metadata.json", place / name)
    return place / name / "depth.dat"


def said(table):
    return {Path(row.recording).parent.name: row.status for row in table.itertuples()}


def contents(path):
    """All datasets of a file, without what differs from run to run."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, it: found.update({name: it[()]}) if isinstance(it, h5py.Dataset) else None)
    found.pop("metadata/uuid")
    return found


def assert_same(a, b):
    left, right = contents(a), contents(b)
    assert left.keys() == right.keys()
    for name, value in left.items():
        np.testing.assert_array_equal(value, right[name], err_msg=name)


def test_what_fails_is_noted_and_the_rest_goes_on(place):
    path = broken(place, "a broken one")  # the first that is tried
    table = extract_recordings(place, LENS)
    assert said(table) == {"a broken one": "failed", "mouse 0": "done", "mouse 1": "done"}
    assert table.attrs["ending"] == "failures"
    row = table[table["status"] == "failed"].iloc[0]
    assert "500 bytes" in row["error"]
    assert "500 bytes" in read_status(path.parent / "proc" / "results_00.yaml").error
    done = table[table["status"] == "done"]
    assert done["frames"].tolist() == [40, 40]
    assert all(Path(results).is_file() for results in done["results"])
    records = read_records(place / ".reelarray" / "depth-proc")
    assert [r["failed"] for r in records if "failed" in r] == [os.path.join("a broken one", "depth.dat")]
    assert sum("done" in r for r in records) == 2


def test_what_failed_is_tried_again_when_it_is_another_or_asked_for(place):
    path = broken(place)

    def tries():
        return sum("failed" in r for r in read_records(place / ".reelarray" / "depth-proc"))

    extract_recordings(place, LENS)
    again = extract_recordings(place, LENS)
    assert said(again) == {"broken": "failed", "mouse 0": "skipped", "mouse 1": "skipped"}
    assert tries() == 1, "it was not tried again"
    extract_recordings(place, LENS, retry_failed=True)
    assert tries() == 2
    shutil.copy(place / "mouse 0" / "depth.dat", path)
    shutil.copy(place / "mouse 0" / "depth_ts.txt", path.parent)
    assert said(extract_recordings(place, LENS))["broken"] == "done"


def test_complete_results_of_other_options(place):
    extract_recordings(place, LENS)
    other = LENS | {"num_frames": 20}
    assert said(extract_recordings(place, other, skip_extracted=True)) == {"mouse 0": "skipped", "mouse 1": "skipped"}
    assert said(extract_recordings(place, other | {"skip_extracted": True}))["mouse 0"] == "skipped"
    looked = extract_recordings(place, other, dry_run=True)
    assert looked["status"].tolist() == ["left", "left"]
    assert "num_frames" in looked["error"][0]
    told = []
    table = extract_recordings(place, other, tell=told.append)
    assert table["frames"].tolist() == [20, 20]
    assert sum("options changed" in line for line in told) == 2
    assert extract_recordings(place, other)["status"].tolist() == ["skipped", "skipped"]
    assert extract_recordings(place, other, force=True)["status"].tolist() == ["done", "done"]


def test_a_look_changes_nothing(place):
    before = sorted(str(path) for path in place.rglob("*"))
    table = extract_recordings(place, LENS, dry_run=True)
    assert table["status"].tolist() == ["left", "left"]
    assert table.attrs["ending"] == "planned"
    assert sorted(str(path) for path in place.rglob("*")) == before


def test_each_recording_has_options_of_its_own(place):
    write_yaml(place / "sessions.yaml", {"mouse 1": {"max_height": 80}, "mouse 9": {"min_height": 5}})
    write_yaml(place / "config.yaml", LENS | {"min_height": 15, "session_config_path": "sessions.yaml"})
    plan = plan_recordings(place, place / "config.yaml", options={"tail_filter_iters": 2})
    found = {name: unit.options for name, unit in plan.units.items()}
    first, second = (found[os.path.join(f"mouse {k}", "depth.dat")] for k in (0, 1))
    assert (first["min_height"], first["max_height"], first["tail_filter_iters"]) == (15, 120, 2)
    assert (second["min_height"], second["max_height"], second["tail_filter_iters"]) == (15, 80, 2)
    assert any("mouse 9" in note for note in plan.notes), "what is meant for nobody is told of"
    compat = plan_recordings(place, place / "config.yaml", options={"compat": True})
    own = compat.units[os.path.join("mouse 1", "depth.dat")].options
    assert (own["min_height"], own["max_height"], own["compat"]) == (10, 80, True), (
        "in compat the file of a session replaces the common one"
    )
    table = extract_recordings(place, place / "config.yaml", num_frames=20)
    assert table["status"].tolist() == ["done", "done"]
    heights = [contents(path)["frames"].max() for path in table["results"]]
    assert heights[1] <= 80
    assert read_status(place / "mouse 1" / "proc" / "results_00.yaml").parameters["max_height"] == 80


def test_wrong_options_of_one_recording_are_told_before_anything_is_begun(place):
    write_yaml(place / "sessions.yaml", {"mouse 1": {"max_hieght": 80}})
    with pytest.raises(RecipeError, match=r"sessions.yaml, mouse 1.*max_height\?"):
        extract_recordings(place, LENS, session_config_path=str(place / "sessions.yaml"))
    assert not (place / "mouse 0" / "proc").exists()


def test_what_is_named_in_several_ways_is_done_once(place):
    one, two = place / "mouse 0" / "depth.dat", place / "mouse 1"
    plan = plan_recordings([one, two, place], LENS)
    assert [unit.path for unit in plan.units.values()] == [one, two / "depth.dat"]
    assert plan.root == place
    found = plan_recordings(find_recordings(place), LENS)
    assert list(found.units) == list(plan.units)
    assert list(plan_recordings(None, LENS | {"input_dir": str(place)}).units) == list(plan.units)
    with pytest.raises(RecipeError, match="input_dir"):
        plan_recordings(None, LENS)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        plan_recordings(place / "nowhere.dat", LENS)


def test_one_that_is_gone_does_not_disturb_others(place):
    table = extract_recordings([place / "mouse 0" / "depth.dat", place / "gone" / "depth.dat"], LENS)
    assert said(table) == {"mouse 0": "done", "gone": "failed"}
    assert "FileNotFoundError" in table["error"][1]


def test_results_never_take_the_place_of_others(place, tmp_path):
    shutil.copy(place / "mouse 0" / "depth.dat", place / "mouse 0" / "second.dat")
    table = extract_recordings(sorted((place / "mouse 0").glob("*.dat")), LENS, dry_run=True)
    assert table["status"].tolist() == ["left", "left out"]
    assert "depth.dat beside it" in table["error"][1]
    with pytest.raises(RecipeError, match="under one name"):
        extract_recordings(place, LENS, output_dir=str(tmp_path / "results"))


def test_what_has_no_metadata_is_left_out_and_other_files_are_none(place):
    (place / "mouse 0" / "metadata.json").unlink()
    (place / "mouse 1" / "nidaq.dat").touch()
    plan = plan_recordings(place, LENS)
    assert [Path(path).parent.name for path in plan.left_out] == ["mouse 0"]
    assert [Path(path).name for path in plan.others] == ["nidaq.dat"]
    assert len(plan_recordings(place, LENS | {"skip_checks": True}).units) == 2


def test_a_recording_named_by_itself_leaves_no_journal(place):
    path = place / "mouse 0" / "depth.dat"
    assert extract_recordings(path, LENS)["status"].tolist() == ["done"]
    assert extract_recordings(path, LENS)["status"].tolist() == ["skipped"]
    assert not list(place.rglob(".reelarray"))


def test_the_journal_may_be_elsewhere(place, tmp_path):
    extract_recordings(place, LENS, state_folder=tmp_path / "state")
    assert not (place / ".reelarray").exists()
    assert sum("done" in r for r in read_records(tmp_path / "state" / "depth-proc")) == 2


def test_a_stop_leaves_the_rest_and_the_same_call_goes_on(place):
    stop = Stop(environ={})

    def progress(done, total, failed):
        if done:
            stop.ask("enough")

    table = extract_recordings(place, LENS, stop=stop, progress=progress)
    assert table["status"].tolist() == ["done", "left"]
    assert (table.attrs["ending"], table.attrs["why"]) == ("stopped", "enough")
    assert extract_recordings(place, LENS)["status"].tolist() == ["skipped", "done"]


def test_two_runs_at_a_time_are_refused(place):
    def progress(done, total, failed):
        with pytest.raises(OutputHeld):
            extract_recordings(place, LENS)
        progress.asked = True

    extract_recordings(place, LENS | {"num_frames": 10}, progress=progress)
    assert progress.asked


KILLED = """
import sys
from reelarray.depth.batch import extract_recordings
extract_recordings(sys.argv[1], {"camera_type": "kinect", "intrinsics": {"fx": 180, "fy": 180}, "write_movie": False,
                                 "chunk_size": 5})
"""


def test_a_run_that_was_killed_goes_on_and_ends_the_same(made, place):
    run = subprocess.Popen([sys.executable, "-c", KILLED, str(place)])
    parts = place / "mouse 1" / "proc" / ".results_00.parts"
    until = time.monotonic() + 120
    while not list(parts.glob("*.part")) and run.poll() is None and time.monotonic() < until:
        time.sleep(0.002)
    run.send_signal(signal.SIGKILL)
    run.wait()
    table = extract_recordings(place, LENS | {"chunk_size": 5})
    assert set(table["status"]) <= {"skipped", "done"}
    assert table["status"][0] == "skipped", "the first was complete"
    whole = extract_recordings(shutil.copytree(made, place.parent / "undisturbed"), LENS | {"chunk_size": 5})
    for a, b in zip(table["results"], whole["results"], strict=True):
        assert_same(a, b)
    assert not parts.exists()


def test_workers_take_whole_recordings(place):
    distributed = pytest.importorskip("distributed")
    broken(place)
    alone = extract_recordings(shutil.copytree(place, place.parent / "alone"), LENS)
    with distributed.Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None) as client:
        table = extract_recordings(place, LENS, client=client)
        assert extract_recordings(place, LENS, client=client)["status"].tolist() == ["failed", "skipped", "skipped"]
    assert said(table) == said(alone) == {"broken": "failed", "mouse 0": "done", "mouse 1": "done"}
    for a, b in zip(table["results"][1:], alone["results"][1:], strict=True):
        assert_same(a, b)


def test_a_worker_that_dies_of_a_recording_is_told_of_in_its_status(place):
    dask = pytest.importorskip("dask")
    pytest.importorskip("distributed")

    def deadly(crops):
        os._exit(1)

    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        table = extract_recordings(
            place / "mouse 0", LENS, flip=deadly, cluster="local", settings={"cores": 1, "memory": "1GiB"}
        )
    assert table["status"].tolist() == ["failed"]
    assert "KilledWorker" in table["error"][0]
    status = read_status(place / "mouse 0" / "proc" / "results_00.yaml")
    assert "KilledWorker" in status.error
    assert not status.complete


def test_options_of_a_job_are_settings_of_a_cluster():
    given = {"partition": "short", "ncpus": 2, "memory": "5GB", "wall_time": "3:00:00", "prefix": "a;\nb; c\n"}
    found = cluster_settings(given)
    assert found["queue"] == "short"
    assert found["cores"] == found["processes"] == 2
    assert found["job_memory"] == 5 * 10**9
    assert found["memory"] < found["job_memory"]
    assert found["walltime"] == "3:00:00"
    assert found["prologue"] == ["a", "b; c"]
    assert cluster_settings({"prefix": "", "partition": None}) == {}


def test_which_cluster_is_started():
    assert asked_for(None, None, {}, {}, 5) is None
    assert asked_for(None, None, {"cluster_type": "local", "ncpus": 4}, {}, 5) is None, "this process"
    kind, preset, told = asked_for(None, None, {"cluster_type": "slurm", "partition": "short"}, {}, 5)
    assert (kind, preset, told) == ("slurm", None, {"queue": "short", "jobs": 5})
    assert asked_for("pbs", None, {"cluster_type": "slurm"}, {"queue": "q"}, 500)[2] == {"queue": "q", "jobs": 20}
    assert asked_for("slurm", None, {}, {"jobs": 3}, 500)[2] == {"jobs": 3}
    assert asked_for(object(), None, {"cluster_type": "slurm"}, {}, 5) is None, "one that is there"
    with pytest.raises(SettingError, match="memory"):
        asked_for("slurm", None, {"memory": "plenty"}, {}, 5)


def test_a_script_is_read_by_a_shell_as_it_was_meant(place, tmp_path):
    odd = place / "it's $(touch gone) 1"
    shutil.copytree(place / "mouse 0", odd)
    options = {"partition": "a b", "ncpus": 3, "memory": "5GB", "wall_time": "3:00:00", "prefix": "true 'one two';"}
    plan = plan_recordings(place, LENS, options=options)
    units = list(plan.units.values())
    path = write_script(tmp_path / "jobs.sh", plan, units, words=["--config", "my config.yaml"])
    assert path.read_text().startswith("#!/bin/bash\n")
    assert os.access(path, os.X_OK)
    # A shell that knows no sbatch but this one, which writes down what it was given.
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sbatch").write_text('#!/bin/bash\nprintf "%s\\0" "$@" >> "$SEEN"; printf "\\0" >> "$SEEN"\n')
    (tools / "sbatch").chmod(0o755)
    environ = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "SEEN": str(tmp_path / "seen")}
    subprocess.run(["bash", str(path)], check=True, env=environ, cwd=tmp_path)
    jobs = [job.split("\0") for job in (tmp_path / "seen").read_text().split("\0\0") if job]
    assert len(jobs) == 3
    assert not (tmp_path / "gone").exists()
    for unit, job in zip(units, jobs, strict=True):
        assert job[:2] == ["--cpus-per-task=3", "--mem=4769M"]
        assert job[2:4] == ["--partition=a b", "--time=03:00:00"]
        assert job[-2] == "--wrap"
        assert shlex.split(job[-1]) == [
            *["true", "one two", "&&", "reel", "depth", "extract", str(unit.path), "--config", "my config.yaml"]
        ]


def test_a_plan_without_recordings(tmp_path):
    plan = plan_recordings(tmp_path, LENS)
    table = carry_out(plan)
    assert len(table) == 0
    assert table.attrs["ending"] == "complete"
