"""The ground of cluster tests: which queues are there, a home of its own for each test, nothing left behind.

Marks: `slurm` needs a Slurm that answers, `torque` PBS's commands over it, `shim` only this host. Tests that lack
theirs skip and say why; with REELARRAY_REQUIRE_SLURM=1 (REELARRAY_REQUIRE_TORQUE=1 for `torque`) a skip is a failure.
"""

from __future__ import annotations

import copy
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from pbs_queue import PbsQueue
from slurm_queue import SlurmQueue

REQUIRED_BY = {"slurm": "REELARRAY_REQUIRE_SLURM", "torque": "REELARRAY_REQUIRE_TORQUE"}
# What sites write into this file, here for queues on this host.
CONFIGURATION = """\
reelarray:
  cluster:
    {kind}:
      base: {{interface: lo, log-directory: {folder}/logs, local-directory: {folder}/scratch, watch-interval: 1,
             run-directory: {folder}/runs}}
      presets:
        low: {{cores: 1, processes: 1, memory: 1GiB, walltime: "00:10:00"}}
"""
LOCK = Path(tempfile.gettempdir()) / "reelarray-cluster-tests.lock"


# ---- skip, or fail ---------------------------------------------------------------------------------------------------


def lacking_slurm() -> str:
    """Why tests on Slurm cannot run here; nothing where they can."""
    for command in ("sbatch", "squeue", "scancel", "scontrol", "sinfo"):
        if not shutil.which(command):
            return f"no command {command}: .ci/slurm/start.sh installs and starts a Slurm for tests (as root)"
    try:
        asked = subprocess.run(["scontrol", "ping"], capture_output=True, text=True, timeout=20)
    except subprocess.TimeoutExpired:
        return "Slurm does not answer within 20 s"
    if asked.returncode:
        return (
            f"Slurm does not answer: {(asked.stdout + asked.stderr).strip()}; .ci/slurm/start.sh starts one for tests"
        )
    settings = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, timeout=20).stdout
    if not any(line.split() == ["ClusterName", "=", "reeltest"] for line in settings.splitlines()):
        return "the Slurm that answers is not that of .ci/slurm/start.sh: tests would drain its nodes"
    return ""


def lacking_torque() -> str:
    """Why tests on slurm-wlm-torque cannot run here; nothing where they can."""
    for command in ("qsub", "qdel", "qstat"):
        found = shutil.which(command)
        if found is None or "Slurm" not in Path(found).read_text(errors="replace"):
            return f"no {command} of slurm-wlm-torque; .ci/slurm/start.sh installs it where apt has it"
    return lacking_slurm()


def lacking_shim() -> str:
    """Why the simulated PBS cannot run here; nothing where it can."""
    return "" if sys.platform == "linux" and Path("/bin/bash").exists() else "the simulated PBS needs Linux and bash"


LACKING = {"slurm": lacking_slurm, "torque": lacking_torque, "shim": lacking_shim}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark, lacking in LACKING.items():
        if item.get_closest_marker(mark) and (reason := lacking()):
            pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """However a test came to be skipped: where its queue is required, that is a failure."""
    report = yield
    required = [name for mark, name in REQUIRED_BY.items() if item.get_closest_marker(mark) and os.environ.get(name)]
    if report.skipped and required and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{required[0]} is set, and this was skipped: {report.longrepr[2]}"
    return report


# ---- a home of its own -----------------------------------------------------------------------------------------------


def of_another_run(variable: str) -> bool:
    """Whether an environment variable is of the user, or of a job that these tests happen to run in."""
    ours = ("REELARRAY_RUN", "REELARRAY_DEADLINE", "REELARRAY_WALLTIME")
    return variable.startswith(("DASK_", "XDG_", "PBS_", "SBATCH_", "SLURM_", *ours)) and variable != "SLURM_CONF"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch, request) -> Path:
    """Nothing of the user's reaches a test or its jobs: home, working folder and Dask's configuration are its own."""
    import dask.config

    folder = tmp_path / "home"
    (folder / ".config" / "dask").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for name in [
        name for name in os.environ if name.startswith(("DASK_", "XDG_", "REELARRAY_RUN", "SBATCH_", "SLURM_"))
    ]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))  # also that of jobs: PBS hands on little else
    monkeypatch.setenv("DASK_ROOT_CONFIG", str(folder / "nothing"))
    kind = "pbs" if any(request.node.get_closest_marker(mark) for mark in ("shim", "torque")) else "slurm"
    written = folder / ".config" / "dask" / "reelarray.yaml"
    written.write_text(CONFIGURATION.format(kind=kind, folder=tmp_path))
    before = copy.deepcopy(dask.config.config)
    dask.config.refresh(paths=[str(written.parent)])
    yield folder
    dask.config.config.clear()
    dask.config.config.update(before)
    for added in dask.config.defaults:  # by packages that this test was the first to import
        dask.config.update_defaults(added, defaults=[])


# ---- queues ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def slurm(home, tmp_path):
    """A Slurm that this test has for itself; the test fails if it leaves jobs."""
    with LOCK.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # nodes are drained here, also under xdist
        queue = SlurmQueue(tmp_path)
        queue.resume_all()
        yield queue
        left = queue.clean()
    assert not left, f"the test left jobs {left} in the queue; they were cancelled"


@pytest.fixture
def pbs(home, tmp_path, monkeypatch):
    """The simulated PBS, first on PATH, with a folder of its own."""
    monkeypatch.setenv("PATH", f"{PbsQueue.commands}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PBS_SHIM_HOME", str(tmp_path / "pbs"))
    monkeypatch.setenv("PBS_SHIM_KILL_WAIT", "2")
    queue = PbsQueue()
    yield queue
    queue.end_all()


@pytest.fixture(autouse=True)
def queue_of_the_mark(request):
    """Marked tests have their queue, whether they ask for it or not."""
    for mark, fixture in (("slurm", "slurm"), ("torque", "slurm"), ("shim", "pbs")):
        if request.node.get_closest_marker(mark):
            request.getfixturevalue(fixture)
