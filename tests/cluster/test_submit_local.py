"""Runs submitted as processes of this machine, where there is no queue."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from submit_scenarios import *  # noqa: F403
from submit_scenarios import over, submitted, until

import reelarray as ra
from reelarray.clusters.local import LocalQueue

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="kind 'local' needs bash")


@pytest.fixture
def kind() -> str:
    return "local"


def test_a_process_outlives_the_one_that_submitted_it_and_a_lost_one_is_told():
    run = submitted("local", "touch ready; sleep 60")
    until(lambda: Path("ready").exists(), "the job")
    queue = LocalQueue()
    supervisor = int((queue.folder / run.links[0] / "pid").read_text())
    assert os.getsid(supervisor) != os.getsid(0)
    assert run.status().state == "running"
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    os.kill(supervisor, signal.SIGKILL)  # as when the machine goes down
    for child in children:
        os.killpg(int(child), signal.SIGKILL)
    until(lambda: run.status().over, "the end")
    status = run.status()
    assert (status.state, status.links[0].state) == ("killed", "NODE_FAIL")


def test_a_job_that_is_unknown_cannot_be_waited_for(tmp_path):
    script = tmp_path / "script.sh"
    script.write_text("true\n")
    with pytest.raises(ra.ClusterError, match="no local job 12 to wait for"):
        LocalQueue(tmp_path / "jobs").submit(script, after_ok=["12"])


def test_without_a_walltime_there_is_no_deadline():
    run = submitted("local", 'echo "${REELARRAY_DEADLINE-none}"')
    over(run)
    assert run.log() == "none\n"
