"""The real Slurm that cluster tests stand on, PBS's commands over it, and what the harness does for every test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

HERE = Path(__file__).parent

# ---- the queue -------------------------------------------------------------------------------------------------------


@pytest.mark.slurm
def test_jobs_run_on_two_nodes(slurm):
    numbers = {node: slurm.submit(f"--nodelist={node}", command="echo $SLURMD_NODENAME") for node in ("n1", "n2")}
    for node, number in numbers.items():
        assert slurm.wait(number) == "COMPLETED"
        assert Path(f"{number}.out").read_text().strip() == node
    assert slurm.alive() == []


@pytest.mark.slurm
def test_a_job_can_be_cancelled_and_found_by_name(slurm):
    number = slurm.submit("--job-name=c-named", command="sleep 300")
    slurm.wait(number, "RUNNING")
    assert slurm.named("c-named") == [number]
    slurm.cancel(number)
    assert slurm.wait(number) == "CANCELLED"
    slurm.wait_empty()


@pytest.mark.slurm
def test_more_than_the_queue_allows_is_refused(slurm):
    for arguments in (("--time=10:00:00",), ("--cpus-per-task=99",), ("--mem=1T",)):
        with pytest.raises(RuntimeError, match="sbatch: error"):
            slurm.submit(*arguments)
    assert slurm.alive() == []


@pytest.mark.slurm
def test_the_urgent_partition_takes_the_place_of_jobs(slurm):
    numbers = [
        slurm.submit(f"--nodelist={node}", "--exclusive", "--requeue", command="sleep 300") for node in ("n1", "n2")
    ]
    for number in numbers:
        slurm.wait(number, "RUNNING")
    urgent = slurm.submit("--partition=urgent", "--exclusive")
    assert slurm.wait(urgent) == "COMPLETED"
    assert sorted(slurm.state(number) for number in numbers) == ["PENDING", "RUNNING"]
    slurm.cancel(*numbers)


@pytest.mark.slurm
def test_nodes_that_a_test_drained_come_back(slurm):
    slurm.set_node("n2", "drain")
    assert slurm.nodes()["n2"] == "drained"
    assert slurm.clean() == []
    assert slurm.nodes()["n2"] == "idle"


@pytest.mark.slurm
def test_jobs_that_are_left_are_told_and_cancelled(slurm):
    number = slurm.submit(command="sleep 300")
    slurm.wait(number, "RUNNING")
    assert slurm.clean(grace=0) == [number]
    assert slurm.wait(number) == "CANCELLED"


@pytest.mark.torque
def test_the_commands_of_pbs_over_slurm(slurm):
    Path("job.sh").write_text("#!/bin/bash\n#PBS -N c-torque\n#PBS -l walltime=00:02:00\necho $SLURM_JOB_ID\nexit 3\n")
    first = int(subprocess.run(["qsub", "job.sh"], capture_output=True, text=True, check=True).stdout)
    command = ["qsub", "-W", f"depend=afternotok:{first}", "-o", "second.out", "job.sh"]
    second = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert [slurm.wait(first), slurm.wait(second)] == ["FAILED", "FAILED"]
    assert Path("second.out").read_text().strip() == str(second)
    full = subprocess.run(["qstat", "-f", str(first)], capture_output=True, text=True, check=True).stdout
    assert "job_state = C" in full


# ---- what every test has ---------------------------------------------------------------------------------------------


def test_nothing_of_the_user_reaches_a_test(tmp_path, home):
    import dask.config

    assert Path.home() == home == tmp_path / "home"
    assert Path.cwd() == tmp_path
    seen = "import dask.config; print(dask.config.get('reelarray.cluster.slurm.base.run-directory'))"
    child = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == dask.config.get("reelarray.cluster.slurm.base.run-directory") == f"{tmp_path}/runs"
    assert not [name for name in os.environ if name.startswith(("DASK_CONFIG", "DASK_REEL", "SLURM_JOB"))]


FAKE = {"scontrol": "echo ClusterName = reeltest", "squeue": "", "sinfo": "echo n1 idle", "scancel": "", "sbatch": ""}
PROBE = """\
import pytest
@pytest.mark.slurm
def test_slurm(): pass
@pytest.mark.torque
def test_torque(): pass
@pytest.mark.slurm
def test_lacks_something_else(): pytest.importorskip("no_such_package")
def test_needs_nothing(): pass
"""


def probe(folder: Path, required: Sequence[str]) -> subprocess.CompletedProcess:
    """Tests in a session of their own, with no commands but those that the folder holds."""
    for name in ("conftest.py", "slurm_queue.py", "pbs_queue.py"):
        shutil.copy(HERE / name, folder)
    shutil.copytree(HERE / "pbs_shim", folder / "pbs_shim")
    (folder / "test_probe.py").write_text(PROBE)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  slurm\n  torque\n  shim\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REELARRAY_REQUIRE")}
    environment |= {"PATH": str(folder)} | dict.fromkeys(required, "1")
    command = [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", "test_probe.py"]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)


def write_commands(folder: Path, scripts: dict[str, str]) -> None:
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("required", "summary"),
    [
        ((), "1 passed, 3 skipped"),
        (("REELARRAY_REQUIRE_SLURM",), "1 passed, 1 skipped, 2 errors"),
        (("REELARRAY_REQUIRE_SLURM", "REELARRAY_REQUIRE_TORQUE"), "1 passed, 3 errors"),
    ],
)
def test_without_a_queue_tests_skip_and_say_why_unless_it_is_required(tmp_path, required, summary):
    done = probe(tmp_path, required)
    assert summary in done.stdout
    assert done.returncode == (1 if required else 0)
    assert "no command sbatch: .ci/slurm/start.sh installs and starts a Slurm" in done.stdout


def test_where_a_queue_is_required_any_skip_is_a_failure(tmp_path):
    write_commands(tmp_path, FAKE)
    done = probe(tmp_path, ["REELARRAY_REQUIRE_SLURM"])
    assert "1 failed, 2 passed, 1 skipped" in done.stdout
    assert "REELARRAY_REQUIRE_SLURM is set, and this was skipped" in done.stdout
    assert "no_such_package" in done.stdout


def test_a_queue_that_is_not_for_tests_is_left_alone(tmp_path, monkeypatch):
    write_commands(tmp_path, FAKE | {"scontrol": "echo ClusterName = physics"})
    monkeypatch.setenv("PATH", str(tmp_path))
    done = probe(tmp_path, [])
    assert "tests would drain its nodes" in done.stdout
    write_commands(tmp_path, {"scontrol": "echo no controller; exit 1"})
    shutil.rmtree(tmp_path / "pbs_shim")
    assert "Slurm does not answer: no controller" in probe(tmp_path, []).stdout
