"""What a submitted run does, on whatever queue: imported by one test file for each, which says the `kind`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import reelarray as ra
from reelarray.clusters import folders

PATIENCE = 90.0  # seconds: jobs may be slow to start on a busy machine
UNKNOWN = "99999998"  # no queue has seen so many jobs


def submitted(kind: str, line: str, **options) -> ra.Run:
    return ra.submit(["bash", "-c", line], kind=kind, **options)


def over(run: ra.Run):
    """The status of a run when nothing more happens to it: its jobs have all left the queue."""
    end = time.monotonic() + PATIENCE
    while True:
        status = run.status()
        if status.over and all(link.state not in ("RUNNING", "PENDING") for link in status.links):
            return status
        assert time.monotonic() < end, f"{run.name} is not over after {PATIENCE:.0f} s: {status}"
        time.sleep(0.1)


def until(condition, what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"{what} did not come about in {PATIENCE:.0f} s"
        time.sleep(0.1)


def reel(*words: str) -> subprocess.CompletedProcess:
    """`reel` in a process of its own."""
    return subprocess.run([sys.executable, "-m", "reelarray.cli", *words], capture_output=True, text=True, timeout=120)


def test_a_command_that_ends_well(kind, tmp_path):
    run = submitted(kind, "echo one; echo two; echo wrong >&2")
    status = over(run)
    assert (status.state, status.links[0].state, status.links[0].exit_code) == ("done", "COMPLETED", 0)
    assert status.links[0].begun <= status.links[0].ended
    assert run.log() == "one\ntwo\n"
    assert run.log(tail=1) == "two\n"
    assert "wrong\n" in run.log("err")
    assert run.log(job=run.links[0]) == run.log()


def test_status_and_logs_of_a_new_process_that_knows_only_the_folder(kind, tmp_path):
    run = submitted(kind, "echo written; exit 7")
    over(run)
    told = json.loads(reel("status", str(run.folder), "--json").stdout)
    assert (told["state"], told["links"][0]["exit_code"], told["links"][0]["job"]) == ("failed", 7, run.links[0])
    assert reel("logs", run.name).stdout == "written\n"
    assert [line.split() for line in reel("status").stdout.splitlines()] == [[run.name, kind, "failed"]]


def test_a_command_that_fails_is_not_tried_by_later_links(kind, tmp_path):
    run = submitted(kind, "echo x >>tried; exit 7", chain=3)
    status = over(run)
    assert status.state == "failed"
    assert "exit code 7" in status.reason
    assert Path("tried").read_text() == "x\n"
    assert [link.begun is not None for link in status.links] == [True, False, False]


def test_a_chain_of_four_that_needs_three(kind, tmp_path):
    run = submitted(kind, "echo x >>tried; [ $(wc -l <tried) -ge 3 ] || exit 4", chain=4)
    status = over(run)
    assert status.state == "done"
    assert Path("tried").read_text() == "x\n" * 3
    assert [link.exit_code for link in status.links[:3]] == [4, 4, 0]
    assert status.links[3].begun is None


def test_a_chain_that_is_too_short_stops_with_work_left(kind, tmp_path):
    status = over(submitted(kind, "exit 4", chain=2))
    assert status.state == "stopped"
    assert [link.exit_code for link in status.links] == [4, 4]


def test_the_next_link_goes_on_after_a_kill(kind, tmp_path):
    # The shell of the job dies with its command: nobody is left to note an exit code.
    run = submitted(kind, "echo x >>tried; [ $(wc -l <tried) = 1 ] || exit 0; kill -KILL 0", chain=2)
    status = over(run)
    assert status.state == "done"
    assert Path("tried").read_text() == "x\n" * 2
    assert not (run.folder / "links" / f"{folders.number(run.links[0])}.end").exists()


def test_a_run_whose_last_link_was_killed(kind, tmp_path):
    status = over(submitted(kind, "kill -KILL 0"))
    assert status.state in ("killed", "cancelled", "failed")
    assert status.state != "failed" or status.links[0].exit_code is None or "itself" in status.reason


def test_a_run_begins_when_those_before_it_have_ended_well(kind, tmp_path):
    one = submitted(kind, "sleep 1; echo one >>order")
    two = submitted(kind, "sleep 1; [ -e again ] && echo two >>order || { touch again; exit 4; }", chain=3)
    both = submitted(kind, "echo both >>order", after=[one, two.name])
    last = submitted(kind, "echo last >>order", after=both, chain=2)
    assert over(last).state == "done"
    assert over(both).state == "done"
    lines = Path("order").read_text().split()
    assert sorted(lines[:2]) == ["one", "two"]
    assert lines[2:] == ["both", "last"]
    assert submitted(kind, "true", after=one, dry_run=True).after == ()  # it has ended: nothing to wait for
    over(two)


@pytest.mark.parametrize("chain", [1, 2])
def test_a_run_after_one_that_failed_goes_without_having_begun(kind, tmp_path, chain):
    bad = submitted(kind, "sleep 1; exit 5", chain=chain)
    never = submitted(kind, "touch begun", after=bad, chain=2)
    status = over(never)
    assert status.state in ("cancelled", "failed")
    assert all(link.begun is None for link in status.links)
    over(bad)
    assert not Path("begun").exists()
    with pytest.raises(ra.SettingError, match="that run is failed"):
        submitted(kind, "touch begun", after=bad)
    assert len(ra.runs()) == 2


def test_cancelling_ends_all_links(kind, tmp_path):
    line = "trap 'echo asked; exit 4' TERM; echo x >>tried; sleep 60 & wait"
    run = submitted(kind, line, chain=3)
    until(lambda: Path("tried").exists(), "the first link")
    told = reel("cancel", run.name)
    assert told.returncode == 0, told.stderr
    status = over(run)
    assert status.state == "cancelled"
    assert Path("tried").read_text() == "x\n"
    assert run.log() == "asked\n"
    assert [link.begun is not None for link in status.links] == [True, False, False]
    assert "has ended already: cancelled" in reel("cancel", run.name).stdout


def test_jobs_that_the_queue_has_forgotten(kind, tmp_path):
    run = submitted(kind, "true")
    over(run)
    record = json.loads((run.folder / "run.json").read_text())
    job = run.links[0]
    (run.folder / "run.json").write_text(json.dumps(record | {"links": [job.replace(folders.number(job), UNKNOWN)]}))
    assert ra.open_run(run.folder).status().state == "done"  # another link has ended well
    (run.folder / "links" / f"{folders.number(job)}.end").unlink()
    status = ra.open_run(run.folder).status()
    assert (status.state, status.links[0].state) == ("unknown", "UNKNOWN")
    (run.folder / "links" / f"{UNKNOWN}.end").write_text("7 1700000000\n")
    status = ra.open_run(run.folder).status()
    assert (status.state, status.links[0].state, status.links[0].exit_code) == ("failed", "FAILED", 7)


def test_what_a_command_finds_in_its_job(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("DASK_REELARRAY__CLUSTER__X", "it's carried")
    monkeypatch.setenv("SLURM_CPU_BIND", "of another job")
    Path("a b").mkdir()
    monkeypatch.chdir("a b")
    line = (
        "pwd; umask; echo $REELARRAY_RUN; echo $((REELARRAY_DEADLINE - $(date +%s))); echo $REELARRAY_WALLTIME; "
        "echo $DASK_REELARRAY__CLUSTER__X $MINE; env | grep -E '^(SLURM|SBATCH)_' | cut -d= -f1 | sort | xargs"
    )
    run = submitted(kind, line, walltime="00:05:00", umask="0027", prologue=["MINE={name}$NOT_SET; export MINE"])
    assert over(run).state == "done", run.log("err")
    here, umask, folder, left, walltime, carried, slurm = run.log().splitlines()
    assert here == str(tmp_path / "a b")
    assert umask == "0027"
    assert folder == str(run.folder)
    assert 240 < int(left) <= 300
    assert walltime == "300"
    assert carried == "it's carried bash"
    assert set(slurm.split()) <= {"SLURM_JOB_ID", "SLURM_CONF"}
