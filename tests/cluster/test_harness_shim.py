"""The simulated PBS keeps to what PBS's manuals say; marked, so that it is this simulation that answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from pbs_queue import processes_of_jobs
from pbs_shim import jobs

pytestmark = pytest.mark.shim


def command(*words: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(words, capture_output=True, text=True, **options)


def refused(*arguments: str, script: str = "") -> subprocess.CompletedProcess:
    Path("refused.sh").write_text(f"#!/bin/bash\n{script}\n")
    done = command("qsub", *arguments, "refused.sh")
    assert done.returncode != 0
    assert done.stdout == ""
    assert not jobs.every()
    return done


# ---- a job -----------------------------------------------------------------------------------------------------------


def test_a_job_runs_at_home_and_its_output_comes_where_it_was_submitted(pbs, home, tmp_path):
    number = pbs.submit("-N", "first", script="pwd; echo $PBS_JOBID $PBS_O_WORKDIR; echo wrong >&2; exit 3")
    assert pbs.wait(number).exit_status == 3
    assert Path(f"first.o{number}").read_text().split() == [str(home), f"{number}.shim", str(tmp_path)]
    assert Path(f"first.e{number}").read_text() == "wrong\n"


def test_numbers_are_unique_and_scripts_may_go_at_once(pbs):
    path = Path("gone.sh")
    submits = []
    for _ in range(8):
        path.write_text("exit 0")
        submits.append(subprocess.Popen(["qsub", str(path)], stdout=subprocess.PIPE, text=True))
    printed = {submit.communicate()[0].strip() for submit in submits}
    path.unlink()
    assert printed == {f"{number}.shim" for number in range(1, 9)}
    assert {pbs.wait(number).exit_status for number in range(1, 9)} == {0}


def test_a_script_may_come_through_stdin(pbs):
    done = command("qsub", "-o", "out", input="#PBS -j oe\necho $PBS_JOBNAME; echo two >&2")
    assert done.stdout == "1.shim\n"
    pbs.wait(1)
    assert Path("out").read_text() == "STDIN\ntwo\n"
    assert not list(Path().glob("*.e1"))


def test_variables_of_the_shell_need_minus_v(pbs, monkeypatch):
    monkeypatch.setenv("MINE", "here")
    for options, seen in ((), ""), (("-V",), "here"), (("-v", "MINE=there,OTHER=1"), "there"), (("-v", "MINE"), "here"):
        pbs.wait(pbs.submit(*options, "-o", "out", script="echo $MINE"))
        assert Path("out").read_text().strip() == seen


def test_output_appears_at_the_end_unless_it_goes_to_its_place_directly(pbs):
    slow = "echo begun; until [ -e $PBS_O_WORKDIR/go ]; do sleep 0.05; done"
    late = pbs.submit("-o", "late", "-j", "oe", script=slow)
    direct = pbs.submit("-o", "direct", "-k", "doe", script=slow)
    end = time.monotonic() + 20
    while not (Path("direct").exists() and Path("direct").read_text()) and time.monotonic() < end:
        time.sleep(0.02)
    assert Path("direct").read_text() == "begun\n"
    pbs.wait(late, "R")
    assert not Path("late").exists()
    Path("go").touch()
    pbs.wait(late)
    pbs.wait(direct)
    assert Path("late").read_text() == "begun\n"


def test_a_folder_for_output_gets_files_by_job_id(pbs):
    Path("logs").mkdir()
    number = pbs.submit("-o", "logs/", "-e", f"host:{Path('logs').resolve()}", script="echo a; echo b >&2")
    pbs.wait(number)
    assert {path.name: path.read_text() for path in Path("logs").iterdir()} == {"1.shim.OU": "a\n", "1.shim.ER": "b\n"}


def test_output_that_cannot_be_delivered_ends_the_job_with_a_remark(pbs):
    number = pbs.submit("-o", "no/such/folder/out", script="exit 0")
    state = pbs.wait(number)
    assert state.exit_status == 0
    assert "output stays in" in state.comment


@pytest.mark.parametrize(("asked", "mode"), [((), 0o600), (("-W", "umask=0002"), 0o664), (("-W", "umask=27"), 0o640)])
def test_umask(pbs, asked, mode):
    pbs.wait(pbs.submit(*asked, "-o", "out", script="touch $PBS_O_WORKDIR/made"))
    assert Path("made").stat().st_mode & 0o777 == mode


# ---- directives ------------------------------------------------------------------------------------------------------


def test_the_command_line_wins_over_the_script_and_later_lines_over_earlier(pbs):
    script = "#PBS -N script -q one\n#PBS -l mem=1gb,walltime=9\n#PBS -l walltime=00:01:30\nexit 0"
    number = pbs.submit("-q", "two", "-l", "mem=2GB", script=script)
    job = jobs.load(number)
    assert (job.name, job.queue, job.walltime, job.resources["mem"]) == ("script", "two", 90.0, "2GB")


def test_lines_below_the_first_command_are_no_directives(pbs):
    number = pbs.submit(script="# a comment\n\n#PBS -N above\necho\n#PBS -N below -Y")
    assert jobs.load(number).name == "above"


def test_what_dask_jobqueue_asks_for_is_understood(pbs):
    number = pbs.submit(script="#PBS -l select=1:ncpus=2:mem=13MB\n#PBS -l walltime=00:10:00\n#PBS -A x")
    assert jobs.load(number).resources == {"select": "1:ncpus=2:mem=13MB", "walltime": "00:10:00"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-n", "2"), "option -n not recognized"),
        (("-time", "3"), "-t"),
        (("--walltime=1",), "walltime"),
        (("-l", "walltim=10"), "Unknown resource Resource_List.walltim"),
        (("-l", "walltime=1h"), "value Resource_List.walltime"),
        (("-l", "select=1:ncpu=2"), "Resource_List.ncpu"),
        (("-l", "mem=2GiB"), "value Resource_List.mem"),
        (("-l", "mem"), "value Resource_List.mem"),
        (("-W", "umask=9"), "umask"),
        (("-W", "depends=afterok:1"), "depends"),
        (("-W", "depend=afterfine:1"), "depend=afterfine:1"),
        (("-W", "depend=afterok"), "depend=afterok"),
        (("-j", "both"), "illegal -j value 'both'"),
        (("-k", "yes"), "illegal -k value 'yes'"),
        (("-N", "two words"), "illegal -N value 'two words'"),
        (("-J", "1-3"), "does not know what -J does"),
        (("refused.sh",), "one script is expected"),
    ],
)
def test_what_manuals_do_not_list_is_refused(pbs, arguments, told):
    assert told in refused(*arguments).stderr


def test_a_refused_directive_is_named_with_its_line(pbs):
    done = refused(script="#PBS -N x\n#PBS --mem=3")
    assert done.returncode == 2
    assert "line 3 of the script" in done.stderr
    assert "directive error" in refused(script="#PBS -q one two").stderr


def test_a_site_that_refuses(pbs, monkeypatch):
    monkeypatch.setenv("PBS_SHIM_REFUSE", "Job violates queue limits")
    done = refused()
    assert done.returncode == 188
    assert done.stderr == "qsub: Job violates queue limits\n"


def test_a_script_that_is_not_there(pbs):
    done = command("qsub", "absent.sh")
    assert done.returncode == 1
    assert "absent.sh" in done.stderr


# ---- states ----------------------------------------------------------------------------------------------------------


def test_states_in_every_form_of_qstat(pbs):
    running = pbs.submit("-N", "long", "-A", "account", script="sleep 60")
    ended = pbs.submit("-N", "short", script="exit 4")
    waiting = pbs.submit("-W", f"depend=afterok:{running}.shim", script="exit 0")
    pbs.wait(running, "R")
    pbs.wait(ended)
    listed = [line.split() for line in command("qstat").stdout.splitlines()[2:]]
    assert [(row[0], row[1], row[-2]) for row in listed] == [("1.shim", "long", "R"), ("3.shim", "submitted.sh", "H")]
    assert len(command("qstat", "-x").stdout.splitlines()) == 5
    full = json.loads(command("qstat", "-x", "-f", "-F", "json").stdout)["Jobs"]
    assert {name: job["job_state"] for name, job in full.items()} == {"1.shim": "R", "2.shim": "F", "3.shim": "H"}
    assert full["2.shim"]["Exit_status"] == 4
    assert "Exit_status" not in full["1.shim"]
    assert full["1.shim"]["Account_Name"] == "account"
    assert full["3.shim"]["depend"] == "afterok:1.shim"
    assert full["1.shim"]["Output_Path"].endswith("long.o1")
    lines = command("qstat", "-fx", str(ended)).stdout.splitlines()
    assert lines[0] == "Job Id: 2.shim"
    assert "    Exit_status = 4" in lines
    assert waiting == 3


def test_exit_codes_of_qstat_and_qdel(pbs):
    number = pbs.submit(script="exit 0")
    pbs.wait(number)
    for words, code, told in [
        (("qstat", "7"), 153, "qstat: Unknown Job Id 7"),
        (("qstat", "x.y"), 153, "qstat: Unknown Job Id x.y"),
        (("qstat", str(number)), 35, "use -x"),
        (("qstat", "-x", str(number), "7"), 153, "Unknown Job Id 7"),
        (("qdel", "7"), 153, "qdel: Unknown Job Id 7"),
        (("qdel", f"{number}.shim"), 35, "Job has finished"),
        (("qstat", "--json"), 2, "option --json not recognized"),
    ]:
        done = command(*words)
        assert (done.returncode, told in done.stderr) == (code, True), (words, done)
    assert "Jobs" not in json.loads(command("qstat", "-f", "-F", "json").stdout)
    assert command("qstat", "-x", str(number)).returncode == 0


def test_a_busy_queue(pbs, monkeypatch):
    monkeypatch.setenv("PBS_SHIM_DELAY", "1.5")
    number = pbs.submit(script="exit 0")
    before = time.time()
    assert pbs.state(number).letter == "Q"
    assert pbs.wait(number, "RF").letter in "RF"
    assert time.time() - before > 1


# ---- ends ------------------------------------------------------------------------------------------------------------


def test_the_walltime_ends_a_job_with_sigterm(pbs):
    number = pbs.submit("-l", "walltime=1", script="sleep 60")
    state = pbs.wait(number)
    assert state.exit_status == 271
    assert state.comment == "ended at its walltime"


def test_a_job_that_takes_sigterm_as_a_request_has_its_own_exit_code(pbs):
    number = pbs.submit("-o", "out", script="trap 'echo told; exit 4' TERM\ntouch $PBS_O_WORKDIR/up\nsleep 60 & wait")
    while not Path("up").exists():
        time.sleep(0.02)
    assert command("qdel", str(number)).returncode == 0
    assert pbs.wait(number).exit_status == 4
    assert Path("out").read_text() == "told\n"


def test_a_job_that_does_not_listen_is_killed(pbs):
    number = pbs.submit("-l", "walltime=0:01", script="trap '' TERM\nsleep 60")
    assert pbs.wait(number).exit_status == 256 + signal.SIGKILL


def test_a_job_may_be_deleted_before_it_runs(pbs, monkeypatch):
    monkeypatch.setenv("PBS_SHIM_DELAY", "60")
    number = pbs.submit(script="touch $PBS_O_WORKDIR/ran")
    assert command("qdel", str(number)).returncode == 0
    assert pbs.wait(number).exit_status == 271
    assert not Path("ran").exists()


def test_what_a_script_leaves_behind_ends_with_it(pbs):
    pbs.wait(pbs.submit("-o", "out", script="sleep 60 & echo $!"))
    assert not Path(f"/proc/{Path('out').read_text().strip()}/cmdline").exists() or dead(Path("out").read_text())


def dead(process: str) -> bool:
    """Whether a process is only waiting to be buried."""
    return Path(f"/proc/{process.strip()}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_everything_ends_with_a_test(pbs):
    pbs.submit(script="trap '' TERM; setsid sleep 60 & sleep 60")
    pbs.submit("-W", "depend=afterok:1", script="sleep 60")
    pbs.wait(1, "R")
    end = time.monotonic() + 20
    while len(processes_of_jobs(jobs.home())) < 3 and time.monotonic() < end:  # bash and both sleeps
        time.sleep(0.02)
    pbs.end_all()
    assert pbs.alive() == []
    end = time.monotonic() + 5
    while processes_of_jobs(jobs.home()) and time.monotonic() < end:
        time.sleep(0.02)
    assert processes_of_jobs(jobs.home()) == []
    assert os.environ["PBS_SHIM_HOME"] == str(jobs.home())


# ---- dependencies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "runs_after_0", "runs_after_1"),
    [("afterok", True, False), ("afternotok", False, True), ("afterany", True, True), ("after", True, True)],
)
def test_dependencies(pbs, kind, runs_after_0, runs_after_1):
    for code, runs in ((0, runs_after_0), (1, runs_after_1)):
        first = pbs.submit(script=f"sleep 0.3; exit {code}")
        second = pbs.submit("-W", f"depend={kind}:{first}.shim", script=f"touch $PBS_O_WORKDIR/ran-{code}")
        state = pbs.wait(second)
        assert Path(f"ran-{code}").exists() == runs
        assert state.exit_status == (0 if runs else 271)
        if kind != "after":
            assert pbs.state(first).letter == "F"


def test_a_job_may_wait_for_several(pbs):
    first, second = (pbs.submit(script=f"sleep 0.2; exit {code}") for code in (0, 1))
    waits = f"depend=afterok:{first},afternotok:{second},umask=022"
    third = pbs.submit("-W", waits, script="exit 0")
    assert pbs.wait(third).exit_status == 0
    assert jobs.load(third).umask == 0o022


def test_a_dependency_on_no_job_is_refused(pbs):
    done = refused("-W", "depend=afterok:99")
    assert done.returncode == 153
    assert "Unknown Job Id 99" in done.stderr
