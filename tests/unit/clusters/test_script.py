"""Job files of drivers: what the queue is asked for, and what the shell lines do, with bash itself."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import dask
import pytest

from reelarray.clusters import folders
from reelarray.clusters.script import directives, driver_script
from reelarray.clusters.settings import SECTION, SHIPPED, settings

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="job files are written for bash")


@pytest.fixture(autouse=True)
def nothing_configured():
    with dask.config.set({SECTION: None}):
        yield


def asked(kind: str, preset: str = "low", *, warn: bool = False, nodes: int = 1, **options) -> list[str]:
    made = settings(kind, preset, name="minutes", **options)
    return directives(made, folder=Path("/runs/minutes-1"), warn=warn, nodes=nodes)


SIZES = {  # CPUs; MiB with a tenth more than the memory, at least 256 more; walltime
    "low": (1, 4506, "01:00:00"),
    "medium": (6, 45056, "12:00:00"),
    "high": (28, 135168, "12:00:00"),
    "driver": (1, 4506, "24:00:00"),
}


@pytest.mark.parametrize("preset", SHIPPED)
def test_slurm(preset):
    cores, memory, walltime = SIZES[preset]
    assert asked("slurm", preset) == [
        "#SBATCH --no-requeue",
        "#SBATCH --job-name=minutes",
        "#SBATCH --output=/runs/minutes-1/logs/%j.out",
        "#SBATCH --error=/runs/minutes-1/logs/%j.err",
        "#SBATCH --open-mode=append",
        "#SBATCH --nodes=1",
        "#SBATCH --ntasks-per-node=1",
        f"#SBATCH --cpus-per-task={cores}",
        f"#SBATCH --mem={memory}M",
        f"#SBATCH --time={walltime}",
    ]


@pytest.mark.parametrize("preset", SHIPPED)
def test_pbs(preset):
    cores, memory, walltime = SIZES[preset]
    assert asked("pbs", preset) == [
        "#PBS -N minutes",
        "#PBS -S /bin/bash",
        "#PBS -r n",
        f"#PBS -l select=1:ncpus={cores}:mem={memory}MB",
        f"#PBS -l walltime={walltime}",
        "#PBS -o /runs/minutes-1/logs/",
        "#PBS -e /runs/minutes-1/logs/",
    ]


def test_everything_that_a_site_may_ask_for():
    options = {"queue": "long", "account": "sea", "umask": "0002", "extra_directives": ["--qos=high"]}
    lines = asked("slurm", nodes=3, warn=True, skip_directives=["--mem"], **options)
    for line in ("--partition=long", "--account=sea", "--qos=high", "--nodes=3", "--signal=B:USR1@60"):
        assert f"#SBATCH {line}" in lines
    assert not [line for line in lines if "--mem" in line]
    options["extra_directives"] = ["-m n"]
    lines = asked("pbs", nodes=3, skip_directives=["-r n"], **options)
    for line in ("-q long", "-A sea", "-W umask=0002", "-m n", "-l select=3:ncpus=1:mem=4506MB"):
        assert f"#PBS {line}" in lines
    assert "#PBS -r n" not in lines
    assert "#PBS -l nodes=1:ppn=4" in asked("pbs", resource_spec="nodes=1:ppn=4")


def test_no_warning_in_jobs_that_would_get_it_at_once():
    assert not [line for line in asked("slurm", warn=True, walltime="00:02:00") if "signal" in line]


def test_folders_with_spaces_and_percents():
    made = settings("slurm", name="a")
    assert '#SBATCH --output="/my runs/50%%/logs/%j.out"' in directives(made, folder=Path("/my runs/50%"))


# ---- what the lines do -----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path) -> Path:
    return folders.new_folder(tmp_path / "my runs", "it's")


def start(folder: Path, line: str, job: str = "7", kind: str = "local", env=None, **options) -> subprocess.Popen:
    wanted = {key: options.pop(key) for key in ("umask", "prologue") if key in options}
    made = settings(kind, "low", name="minutes", **wanted)
    text = driver_script(made, ["bash", "-c", line], folder=folder, directory=folder, **options)
    (folder / "script.sh").write_text(text)
    named = {"local": "REELARRAY_JOB", "slurm": "SLURM_JOB_ID", "pbs": "PBS_JOBID"}[kind]
    environment = {**os.environ, **(env or {}), named: job}
    return subprocess.Popen(
        ["bash", "script.sh"],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=heed_signals,
    )


def heed_signals() -> None:
    """What the parent ignores, as under nohup or in the background, bash could not trap."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)


def ran(*arguments, **options) -> int:
    return start(*arguments, **options).wait(30)


def log(folder: Path, job: str = "7", which: str = "out") -> str:
    return (folder / "logs" / f"{job}.{which}").read_text()


@needs_bash
@pytest.mark.parametrize("code", [0, 3, 4, 7, 130])
def test_the_exit_code_is_noted_and_handed_on(folder, code):
    assert ran(folder, f"echo said; exit {code}") == code
    left = folders.trace(folder, "7")
    assert (left.exit_code, left.note) == (code, "")
    assert left.begun <= left.ended
    assert log(folder) == "said\n"
    assert folders.outcome(folder) == (code if code not in (4, 130) else None)


@needs_bash
@pytest.mark.parametrize("code", [0, 2, 3, 5, 6, 7, 127])
def test_a_later_link_hands_on_how_the_run_has_ended(folder, code):
    ran(folder, f"exit {code}", job="7")
    assert ran(folder, "touch begun", job="8") == code
    assert not (folder / "begun").exists()
    assert (folders.trace(folder, "8").note, folders.trace(folder, "8").begun) == ("passed", None)


@needs_bash
@pytest.mark.parametrize("before", ["exit 4", "kill -KILL 0", "kill -KILL $$", "kill -KILL $PPID"])
def test_a_later_link_goes_on_after_a_stop_or_a_kill(folder, before):
    ran(folder, before, job="7")
    assert ran(folder, "touch begun", job="8") == 0
    assert (folder / "begun").exists()
    assert folders.outcome(folder) == 0


@needs_bash
def test_a_link_of_a_cancelled_run_does_not_begin(folder):
    (folder / folders.CANCELLED).touch()
    assert ran(folder, "touch begun") == 4
    assert not (folder / "begun").exists()


@needs_bash
@pytest.mark.parametrize(("code", "begins"), [(0, True), (3, False), (4, False), (None, False)])
def test_runs_before_have_to_have_ended_well(folder, tmp_path, code, begins):
    parent = folders.new_folder(tmp_path / "others", "par ent's")
    if code is not None:
        ran(parent, f"exit {code}")
    assert ran(folder, "touch begun", parents=[parent]) == (0 if begins else 5)
    assert (folder / "begun").exists() is begins
    if not begins:
        assert (
            f"{parent.name} did not end well (exit code {code if code == 3 else 'none: stopped, or cancelled'})"
            in log(folder, which="err")
        )


@needs_bash
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_signals_reach_the_command_and_its_code_is_noted(folder, name):
    started = start(folder, f"trap 'echo told; exit 4' {name}; touch ready; sleep 30 & wait")
    end = time.monotonic() + 30
    while not (folder / "ready").exists() and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(started.pid, getattr(signal, name))
    assert started.wait(30) == 4
    assert log(folder) == "told\n"
    assert folders.trace(folder, "7").exit_code == 4


@needs_bash
@pytest.mark.parametrize(("trap", "code"), [("", 143), ("trap 'exit 3' TERM;", 3)])
def test_a_signal_to_all_processes_at_once_loses_no_exit_code(folder, trap, code):
    for job in "123456":
        ready = folder / f"ready{job}"
        started = start(folder, f"{trap} touch {ready.name}; sleep 30 & wait", job=job)
        end = time.monotonic() + 30
        while not ready.exists() and time.monotonic() < end:
            time.sleep(0.02)
        os.killpg(started.pid, signal.SIGTERM)
        assert started.wait(30) == code
        assert folders.trace(folder, job).exit_code == code
        (folder / "links" / f"{job}.end").unlink()
        assert not list((folder / "links").glob(f"{job}.[pc]*"))


@needs_bash
def test_a_command_that_goes_on_in_spite_of_signals_is_waited_for(folder):
    started = start(folder, "trap 'echo told' USR1; touch ready; for i in 1 2 3 4 5 6 7 8; do sleep 0.1; done; exit 3")
    end = time.monotonic() + 30
    while not (folder / "ready").exists() and time.monotonic() < end:
        time.sleep(0.02)
    for _ in range(3):
        os.kill(started.pid, signal.SIGUSR1)
        time.sleep(0.15)
    assert started.wait(30) == 3
    assert "told" in log(folder)


@needs_bash
def test_variables_of_this_job_do_not_bind_those_that_it_submits(folder):
    given = {"SLURM_CPU_BIND": "x", "SBATCH_PARTITION": "y", "SRUN_DEBUG": "1", "SLURM_CONF": "/etc/slurm.conf"}
    done = start(folder, "env | grep -E '^(SLURM|SBATCH|SRUN)_' | sort", kind="slurm", env=given)
    output, _ = done.communicate(timeout=30)
    assert output == "SLURM_CONF=/etc/slurm.conf\nSLURM_JOB_ID=7\n"


@needs_bash
def test_jobs_of_pbs_are_called_by_their_number_and_keep_what_pbs_needs(folder):
    assert ran(folder, "echo $PBS_JOBID $PBS_NODEFILE", job="7.server", kind="pbs", env={"PBS_NODEFILE": "/n"}) == 0
    assert log(folder) == "7.server /n\n"
    assert folders.trace(folder, "7.server").exit_code == 0


@needs_bash
def test_the_deadline_counts_from_the_start(folder):
    before = int(time.time())
    ran(folder, "echo $REELARRAY_DEADLINE $REELARRAY_WALLTIME; echo $REELARRAY_RUN", walltime=600)
    deadline, walltime, run = log(folder).replace("\n", " ", 1).split(" ", 2)
    assert before + 600 <= int(deadline) <= time.time() + 600
    assert (walltime, run) == ("600", f"{folder}\n")
    ran(folder, "echo ${REELARRAY_DEADLINE-none}", job="8", env={"REELARRAY_DEADLINE": ""})


@needs_bash
def test_lines_of_the_site_come_before_the_command_and_may_use_what_is_not_set(folder):
    lines = ["export A={name}$NOT_SET", "export B='two words'"]
    assert ran(folder, 'echo "$A" "$B" "$C"; umask', prologue=lines, umask="0027", exports={"C": "it's"}) == 0
    assert log(folder) == "minutes two words it's\n0027\n"


@needs_bash
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGHUP", "SIGINT"])
@pytest.mark.parametrize("to_all", [False, True])
def test_a_link_that_is_killed_in_its_prologue_is_followed_by_the_next(folder, name, to_all):
    started = start(folder, "touch begun", prologue=["touch ready", "sleep 0.5", "sleep 0.5"])
    end = time.monotonic() + 30
    while not (folder / "ready").exists() and time.monotonic() < end:
        time.sleep(0.02)
    (os.killpg if to_all else os.kill)(started.pid, getattr(signal, name))
    assert started.wait(30) == 143
    assert not (folder / "begun").exists()
    assert (folders.trace(folder, "7").exit_code, folders.outcome(folder)) == (None, None)
    assert ran(folder, "touch begun", job="8", prologue=["true"]) == 0
    assert (folder / "begun").exists()


@needs_bash
def test_the_command_knows_its_link(folder):
    assert ran(folder, "echo $REELARRAY_LINK", job="7.server", kind="pbs") == 0
    assert log(folder) == "7\n"


@needs_bash
def test_a_folder_that_is_gone_ends_the_run(folder, tmp_path):
    made = settings("local", name="minutes")
    text = driver_script(made, ["true"], folder=folder, directory=tmp_path / "gone")
    done = subprocess.run(["bash", "-c", text], env={**os.environ, "REELARRAY_JOB": "7"})
    assert (done.returncode, folders.outcome(folder)) == (2, 2)


@needs_bash
@pytest.mark.parametrize("line", ["false", "source /site/nowhere.sh", "exit 0", "cd /nowhere"])
def test_a_line_of_the_site_that_fails_ends_the_run(folder, line):
    assert ran(folder, "touch begun", prologue=["true", line]) == 2
    assert not (folder / "begun").exists()
    assert (folders.outcome(folder), folders.trace(folder, "7").note) == (2, "prologue")
