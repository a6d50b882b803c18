"""Queues by their commands: what is asked, how answers are read, what refusals and silence become."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reelarray.clusters import queues
from reelarray.clusters.pbs import PbsQueue
from reelarray.clusters.queues import State, get_queue
from reelarray.clusters.slurm import SlurmQueue
from reelarray.errors import ClusterError


@pytest.fixture
def answers(monkeypatch):
    """Commands that answer as told: {"squeue": (code, output, errors)} by the first word and then the first option."""
    told: dict[str, tuple[int, str, str]] = {}
    asked: list[list[str]] = []

    def ask(command, *, without=(), cwd=None):
        asked.append(list(command))
        for key in (" ".join(command[:2]), command[0]):
            if key in told:
                return told[key]
        raise ClusterError(f"{command[0]} was not found on PATH")

    for module in ("slurm", "pbs"):
        monkeypatch.setattr(f"reelarray.clusters.{module}.ask", ask)
    told["asked"] = asked  # type: ignore[assignment]
    return told


def squeue(*rows: tuple[str, str, str, str]) -> tuple[int, str, str]:
    return 0, "".join(f"{job:32}{state:32}{code:16}{reason:120}\n" for job, state, code, reason in rows), ""


SILENT = (1, "", "Slurm accounting storage is disabled")


def test_slurm_states(answers):
    answers["squeue"] = squeue(
        ("1", "COMPLETED", "0", "None"),
        ("2", "FAILED", "768", "NonZeroExitCode"),
        ("3", "CANCELLED", "15", "None"),
        ("4", "PENDING", "0", "Dependency"),
        ("5", "OUT_OF_MEMORY", "9", "OutOfMemory"),
        ("6", "COMPLETING", "0", "None"),
        ("7", "PREEMPTED", "0", "None"),
        ("8", "TIMEOUT", "0", "TimeLimit"),
        ("9", "A_STATE_OF_TOMORROW", "0", "None"),
    )
    answers["sacct"] = SILENT
    found = SlurmQueue().states([str(job) for job in range(1, 11)])
    assert [found[str(job)].state for job in range(1, 11)] == [
        *("COMPLETED", "FAILED", "CANCELLED", "PENDING", "FAILED", "RUNNING", "NODE_FAIL", "TIMEOUT"),
        *("UNKNOWN", "UNKNOWN"),
    ]
    assert found["1"] == State("COMPLETED", "COMPLETED", "", 0)
    assert found["2"] == State("FAILED", "FAILED", "NonZeroExitCode", 3)
    assert found["3"].exit_code is None
    assert found["4"].reason == "Dependency"
    assert found["5"] == State("FAILED", "OUT_OF_MEMORY", "OutOfMemory", None)
    assert found["9"].raw == "A_STATE_OF_TOMORROW"
    assert [words[0] for words in answers["asked"]] == ["squeue", "sacct"]


def test_accounting_is_asked_for_what_the_controller_forgot(answers):
    answers["squeue"] = squeue(("1", "RUNNING", "0", "None"))
    answers["sacct"] = (0, "2|CANCELLED by 1000|0:15|None\n3|FAILED|7:0|None\n4|COMPLETED|0:0|\n", "")
    found = SlurmQueue().states(["1", "2", "3", "4"])
    assert [found[job].state for job in "1234"] == ["RUNNING", "CANCELLED", "FAILED", "COMPLETED"]
    assert [found[job].exit_code for job in "1234"] == [None, None, 7, 0]
    assert "--jobs=2,3,4" in answers["asked"][1]


def test_slurm_that_forgot_the_only_job_is_no_failure(answers):
    answers["squeue"] = (1, "", "slurm_load_jobs error: Invalid job id specified\n")
    assert SlurmQueue().states(["1"])["1"].state == "UNKNOWN"  # no sacct here at all


def test_slurm_that_does_not_answer_is_an_error(answers):
    answers["squeue"] = (1, "", "slurm_load_jobs error: Unable to contact slurm controller\n")
    with pytest.raises(ClusterError, match="Unable to contact"):
        SlurmQueue().states(["1"])


def test_nothing_is_asked_about_no_jobs(answers):
    for queue in (SlurmQueue(), PbsQueue()):
        assert queue.states([]) == {}
        queue.cancel([])
    assert answers["asked"] == []


@pytest.mark.parametrize(("queue", "command"), [(SlurmQueue(), "sbatch"), (PbsQueue(), "qsub")])
def test_refusals_are_told_in_the_queues_words(answers, queue, command):
    answers[command] = (1, "", f"{command}: error: no such\n partition\n")
    with pytest.raises(ClusterError, match=rf"refused job\.sh: {command}: error: no such partition"):
        queue.submit("job.sh")


def test_ids_are_found_in_what_is_printed(answers):
    answers["sbatch"] = (0, "17;faraway\n", "")
    answers["qsub"] = (0, "Welcome to the cluster\n17.server\n", "")
    assert SlurmQueue().submit("job.sh") == "17"
    assert PbsQueue().submit("job.sh") == "17.server"


def test_conditions_are_handed_on_and_never_wait_for_ever(answers):
    answers["sbatch"], answers["qsub"] = (0, "9\n", ""), (0, "9.server\n", "")
    waits = {"after_ok": ["1", "2"], "after_not_ok": ["3"], "after_any": ["4"]}
    SlurmQueue().submit("job.sh", **waits)
    PbsQueue().submit("job.sh", **waits)
    depend = "afterok:1:2,afternotok:3,afterany:4"
    assert answers["asked"] == [
        ["sbatch", "--parsable", f"--dependency={depend}", "--kill-on-invalid-dep=yes", "job.sh"],
        ["qsub", "-W", f"depend={depend}", "job.sh"],
    ]


@pytest.mark.parametrize(
    ("queue", "command", "errors"),
    [
        (SlurmQueue(), "scancel", "scancel: error: Kill job error on job id 1: Invalid job id specified\n"),
        (PbsQueue(), "qdel", "qdel: Unknown Job Id 1\nqdel: 2 Job has finished\n"),
    ],
)
def test_cancelling_passes_over_what_has_ended(answers, queue, command, errors):
    answers[command] = (1, "", errors)
    queue.cancel(["1", "2"])
    answers[command] = (1, "", errors + "Permission denied\n")
    with pytest.raises(ClusterError, match="did not cancel 1, 2: Permission denied"):
        queue.cancel(["1", "2"])


JOBS = {
    "1.server": {"job_state": "R"},
    "2.server": {"job_state": "F", "Exit_status": 0},
    "3.server": {"job_state": "F", "Exit_status": 7},
    "4.server": {"job_state": "F", "Exit_status": 271},
    "5.server": {"job_state": "F", "Exit_status": 271, "comment": "job killed: walltime 61 exceeded limit 60"},
    "6.server": {"job_state": "F", "Exit_status": -29},
    "7.server": {
        "job_state": "F",
        "Exit_status": 271,
        "resources_used": {"walltime": "00:01:04"},
        "Resource_List": {"walltime": "00:01:00"},
    },
    "8.server": {"job_state": "F"},
    "9.server": {"job_state": "H", "comment": "waits"},
}
STATES = ["RUNNING", "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "TIMEOUT", "TIMEOUT", "CANCELLED", "PENDING"]


def as_text(jobs) -> str:
    lines = []
    for job, facts in jobs.items():
        lines.append(f"Job Id: {job}")
        for name, value in facts.items():
            inner = value.items() if isinstance(value, dict) else [("", value)]
            lines += [f"    {name}{'.' if key else ''}{key} = {text}" for key, text in inner]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("way", ["json", "text"])
def test_pbs_states(answers, way):
    if way == "json":
        answers["qstat -x"] = (153, json.dumps({"Jobs": JOBS}), "qstat: Unknown Job Id 10\n")
    else:
        answers["qstat -x"] = (2, "", "qstat: invalid option -- 'F'\n")
        answers["qstat -f"] = (153, as_text(JOBS), "qstat: Unknown Job Id 10\n")
    found = PbsQueue().states([f"{number}.server" for number in range(1, 11)])
    assert [state.state for state in found.values()] == [*STATES, "UNKNOWN"]
    assert found["3.server"].exit_code == 7
    assert found["9.server"].reason == "waits"


def test_json_that_cannot_be_read_is_asked_for_as_text(answers):
    answers["qstat -x"] = (0, '{"Jobs": {"1.server": {"Job_Name": "say "hi""}}}', "")
    answers["qstat -f"] = (0, as_text({"1.server": {"job_state": "C", "exit_status": "3"}}), "")
    assert PbsQueue().states(["1.server"])["1.server"] == State("FAILED", "C", "", 3)


def test_the_plain_table_when_there_is_nothing_else(answers):
    answers["qstat -x"] = answers["qstat -f"] = (2, "", "usage\n")
    answers["qstat 1"] = (
        0,
        "Job id  Name  User  Time Use S Queue\n------- ----- ---- -------- - -----\n1.server Q1 X me 00:00 R long\n"
        "2.server a me 00:00:00 C long\n",
        "",
    )
    found = PbsQueue().states(["1", "2"])
    assert found["2"].state == "ENDED"  # the table has no exit codes: it may have ended in any way
    assert found["2"].raw == "C"


def test_pbs_that_knows_nothing_of_them_is_no_failure(answers):
    answers["qstat -x"] = (
        35,
        "",
        "qstat: 1.server Job has finished, use -x or -H to obtain historical job information",
    )
    assert PbsQueue().states(["1.server"])["1.server"].state == "UNKNOWN"


def test_pbs_that_does_not_answer_is_an_error(answers):
    answers["qstat"] = (255, "", "qstat: cannot connect to server\n")
    with pytest.raises(ClusterError, match="cannot connect to server"):
        PbsQueue().states(["1.server"])


def test_a_command_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for queue in (SlurmQueue(), PbsQueue()):
        with pytest.raises(ClusterError, match="was not found on PATH"):
            queue.states(["1"])


def test_a_command_that_does_not_answer(monkeypatch, tmp_path):
    silent = Path(tmp_path, "squeue")
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(queues, "PATIENCE", 0.2)
    with pytest.raises(ClusterError, match="squeue gave no answer"):
        SlurmQueue().states(["1"])


def test_variables_that_change_answers_do_not_reach_the_command(monkeypatch):
    monkeypatch.setenv("SQUEUE_PARTITION", "other")
    monkeypatch.setenv("KEPT", "yes")
    code, output, _ = queues.ask(["sh", "-c", "echo ${SQUEUE_PARTITION-none} $KEPT"], without=["SQUEUE_"])
    assert (code, output) == (0, "none yes\n")


def test_kinds_without_a_queue_are_named():
    assert [get_queue(kind).kind for kind in ("slurm", "pbs", "local")] == ["slurm", "pbs", "local"]
    with pytest.raises(ClusterError, match="'lsf' cannot be submitted or followed here: slurm, pbs, local can"):
        get_queue("lsf")
