"""Runs submitted to a real Slurm."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from submit_scenarios import *  # noqa: F403
from submit_scenarios import over, reel, submitted, until

import reelarray as ra
from reelarray.clusters.queues import get_queue

pytestmark = pytest.mark.slurm


@pytest.fixture
def kind() -> str:
    return "slurm"


def test_a_refusal_leaves_nothing_behind(tmp_path):
    with pytest.raises(ra.ClusterError, match=r"sbatch: error: .*time limit"):
        submitted("slurm", "true", walltime="99:00:00", chain=2)
    assert ra.runs() == []
    told = reel("submit", "--cluster", "slurm", "--queue", "nowhere", "--", "true")
    assert told.returncode != 0
    assert "invalid partition" in told.stderr
    assert ra.runs() == []


def test_a_link_that_is_removed_says_so(slurm):
    status = over(submitted("slurm", "true", chain=2))
    assert (status.links[1].state, status.links[1].reason) == ("CANCELLED", "DependencyNeverSatisfied")
    assert not slurm.alive()


def test_the_warning_before_the_walltime_reaches_the_command():
    run = submitted("slurm", "trap 'echo warned; exit 4' USR1; touch ready; sleep 60 & wait")
    until(lambda: Path("ready").exists(), "the job")
    subprocess.run(["scancel", "--batch", "--signal=USR1", *run.links], check=True)
    status = over(run)
    assert (status.state, status.links[0].exit_code, run.log()) == ("stopped", 4, "warned\n")


def test_a_job_that_its_owner_cancels_is_told_from_one_that_failed():
    run = submitted("slurm", "touch ready; sleep 60")
    until(lambda: Path("ready").exists(), "the job")
    get_queue("slurm").cancel(run.links)
    status = over(run)
    assert (status.state, status.links[0].state) in (("cancelled", "CANCELLED"), ("killed", "CANCELLED"))


def test_a_run_that_waits_says_what_for():
    first = submitted("slurm", "sleep 60")
    second = submitted("slurm", "true", after=first)
    end = time.monotonic() + 30
    while "Dependency" not in (status := second.status()).reason and time.monotonic() < end:
        time.sleep(0.1)
    assert (status.state, status.links[0].state) == ("pending", "PENDING")
    assert "Dependency" in status.reason
    first.cancel()
    assert over(second).state == "cancelled"
    over(first)


def test_states_are_told_for_many_jobs_by_one_question(slurm):
    queue = get_queue("slurm")
    well, badly = slurm.submit(command="true"), slurm.submit(command="exit 3")
    for job in (well, badly):
        slurm.wait(job)
    found = queue.states([str(well), str(badly), "99999998"])
    assert {job: state.state for job, state in found.items()} == {
        str(well): "COMPLETED",
        str(badly): "FAILED",
        "99999998": "UNKNOWN",
    }
    assert found[str(badly)].exit_code == 3
    queue.cancel([str(well), "99999998"])  # nothing to cancel is no error


def test_a_recipe_runs_in_a_driver_job_with_a_worker_job(tmp_path):
    recipe = make_recipe(tmp_path)
    told = reel(*f"submit {recipe} --cluster slurm --name minutes --walltime 00:10:00 --memory 500MiB".split())
    assert told.returncode == 0, told.stderr
    run = ra.open_run("minutes")
    status = over(run)
    assert status.state == "done", run.log("err")
    assert "2 of 2 outputs" in run.log()
    assert sorted(path.name for path in (tmp_path / "spectra").glob("*.npz")) == [
        "20220301_120000.npz",
        "20220301_120001.npz",
    ]


def make_recipe(folder: Path) -> Path:
    """A recipe over two recordings of a second."""
    import wave

    (folder / "in").mkdir()
    for second in (0, 1):
        with wave.open(f"{folder}/in/20220301_12000{second}.wav", "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(bytes(16000))
    lines = ["[input]", 'paths = "in"', "cache = false", "[[step]]", 'use = "power_spectrum"', 'every = "1s"']
    recipe = folder / "minutes.toml"
    recipe.write_text("\n".join([*lines, "[output]", 'path = "spectra/{stem}.npz"']))
    return recipe
