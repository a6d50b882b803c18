"""Runs from their folders: what they are judged to be, how they are found, what submitting asks of a queue."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import dask
import pytest

import reelarray as ra
from reelarray import cli
from reelarray.clusters import folders, runs, submitting
from reelarray.clusters.queues import State
from reelarray.clusters.settings import SECTION
from reelarray.clusters.status import judge
from reelarray.errors import ClusterError, SettingError


class FakeQueue:
    """A queue that notes what it is asked, and does as it is told."""

    kind = "slurm"

    def __init__(self):
        self.submitted: list[dict] = []
        self.cancelled: list[str] = []
        self.told: dict[str, State] = {}
        self.refuse_at: int | None = None
        self.silent = self.stubborn = False

    def submit(self, script, **waits):
        if len(self.submitted) == self.refuse_at:
            raise ClusterError("Slurm refused: enough")
        self.submitted.append(waits)
        return str(len(self.submitted))

    def states(self, ids):
        if self.silent:
            raise ClusterError("squeue failed: no contact")
        return {job: self.told.get(job, State("PENDING", "PENDING")) for job in ids}

    def cancel(self, ids):
        if self.stubborn:
            raise ClusterError("scancel failed: no contact")
        self.cancelled += ids


@pytest.fixture
def queue(monkeypatch) -> FakeQueue:
    made = FakeQueue()
    monkeypatch.setattr(runs, "get_queue", lambda kind: made)
    monkeypatch.setattr(submitting, "get_queue", lambda kind: made)
    return made


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("REELARRAY_RUN", raising=False)
    for kind in ("slurm", "pbs"):
        monkeypatch.delenv(f"{kind.upper()}_JOB_ID", raising=False)
    with dask.config.set({SECTION: {kind: {"base": {"run-directory": "runs"}} for kind in ("slurm", "pbs", "local")}}):
        yield


def submit(*words: str, **options) -> ra.Run:
    return ra.submit(list(words) or ["true"], kind=options.pop("kind", "slurm"), **options)


# ---- judging ---------------------------------------------------------------------------------------------------------

REEL = ["python", "-m", "reelarray.cli", "run", "a.toml"]


@pytest.mark.parametrize(
    ("states", "ends", "expected"),
    [
        # what the queue says of each link, the exit code that each has left, what it comes to
        ("PENDING", "-", "pending"),
        ("RUNNING PENDING", "- -", "running"),
        ("TIMEOUT PENDING", "- -", "pending"),
        ("COMPLETED", "0", "done"),
        ("TIMEOUT FAILED COMPLETED CANCELLED", "- 4 0 -", "done"),
        ("RUNNING PENDING", "0 -", "done"),  # it is just ending
        ("FAILED", "3", "finished with failures"),
        ("FAILED FAILED", "5 5", "failed"),
        ("FAILED FAILED", "4 2", "failed"),
        ("FAILED FAILED", "4 4", "stopped"),
        ("TIMEOUT", "4", "stopped"),  # it stopped in time, and the queue ended it all the same
        ("TIMEOUT", "-", "killed"),
        ("NODE_FAIL TIMEOUT", "- -", "killed"),
        ("FAILED", "137", "killed"),
        ("FAILED", "-", "failed"),  # by its job script: see below
        ("CANCELLED CANCELLED", "- -", "cancelled"),
        ("UNKNOWN", "-", "unknown"),
        ("UNKNOWN", "0", "done"),
        ("UNKNOWN UNKNOWN", "4 3", "finished with failures"),
        ("UNKNOWN UNKNOWN", "4 4", "stopped"),
        ("UNKNOWN UNKNOWN", "4 -", "unknown"),
        ("ENDED ENDED", "4 0", "done"),
        ("ENDED", "137", "killed"),
        ("ENDED", "-", "cancelled"),  # it left no trace: it has not begun
    ],
)
def test_what_a_run_has_come_to(tmp_path, states, ends, expected):
    folder = folders.new_folder(tmp_path, "a")
    jobs = [str(number) for number in range(len(states.split()))]
    for job, end in zip(jobs, ends.split(), strict=True):
        if end != "-":
            (folder / "links" / f"{job}.begin").write_text("100 host\n")
            (folder / "links" / f"{job}.end").write_text(f"{end} 200\n")
    said = dict(zip(jobs, (State(word, word) for word in states.split()), strict=True))
    if (states, ends) == ("FAILED", "-"):
        said["0"] = State("FAILED", "FAILED", "NonZeroExitCode", 2)
    status = judge(folder, REEL, jobs, said)
    assert status.state == expected
    assert status.over is (expected not in ("pending", "running"))
    assert str(status).startswith(expected)
    assert json.loads(json.dumps(status.to_dict()))["state"] == expected


def test_the_command_of_a_user_may_mean_something_else_by_its_exit_codes(tmp_path):
    folder = folders.new_folder(tmp_path, "a")
    (folder / "links" / "1.end").write_text("3 200\n")
    assert judge(folder, ["mine"], ["1"], {}).state == "failed"
    assert judge(folder, ["/bin/reel", "run"], ["1"], {}).state == "finished with failures"


def test_progress_is_shown_as_far_as_it_can_be_read(tmp_path):
    folder = folders.new_folder(tmp_path, "a")
    assert judge(folder, REEL, ["1"], {}).progress is None
    (folder / folders.PROGRESS).write_text('{"done": 3,')
    assert judge(folder, REEL, ["1"], {}).progress is None
    (folder / folders.PROGRESS).write_text('{"done": 3, "total": 4}')
    assert judge(folder, REEL, ["1"], {}).progress == {"done": 3, "total": 4}


def test_a_queue_that_does_not_answer_is_no_failure_of_the_run(queue):
    run = submit()
    queue.silent = True
    status = run.status()
    assert (status.state, status.reason) == ("unknown", "squeue failed: no contact")


# ---- submitting ------------------------------------------------------------------------------------------------------


def test_a_chain_and_its_folder(queue):
    run = submit("make", "all", chain=3)
    assert queue.submitted == [{}, {"after_not_ok": ["1"]}, {"after_not_ok": ["2"]}]
    assert run == ra.open_run(run.name) == ra.open_run(run.folder) == ra.open_run("make") == ra.runs()[0]
    assert run.links == ("1", "2", "3")
    record = json.loads((run.folder / "run.json").read_text())
    assert (record["command"], record["chain"], record["directory"]) == (["make", "all"], 3, str(Path.cwd()))
    assert (run.folder / "script.sh").read_text() == run.script == ra.open_run(run.name).script


def test_links_of_pbs_always_begin(queue):
    run = submit(kind="pbs", chain=3)
    assert queue.submitted == [{}, {"after_any": ["1"]}, {"after_any": ["2"]}]
    submit(kind="pbs", after=[run, submit(kind="pbs")])
    assert queue.submitted[-1] == {"after_any": ["3", "4"]}


def test_runs_after_others(queue):
    one, chain = submit(name="one"), submit(name="chain", chain=2)
    submit(after=[one, "chain"])
    assert queue.submitted[-1] == {"after_ok": ["1"], "after_any": ["3"]}
    (chain.folder / "links" / "2.end").write_text("0 200\n")
    run = submit(after=[chain, one])
    assert queue.submitted[-1] == {"after_ok": ["1"]}
    assert run.after == (one.folder,)
    (one.folder / "links" / "1.end").write_text("7 200\n")
    before = len(ra.runs())
    with pytest.raises(SettingError, match=rf"after={one.name}: that run is failed \(exit code 7"):
        submit(after=one)
    waiting = submit(name="waiting")
    with pytest.raises(SettingError, match="in the queue of slurm, this one would be in that of pbs"):
        submit(after=waiting, kind="pbs")
    assert len(ra.runs()) == before + 1


@pytest.mark.parametrize("at", [0, 2])
def test_a_refusal_takes_everything_back(queue, at):
    queue.refuse_at = at
    with pytest.raises(ClusterError, match="enough"):
        submit(chain=3)
    assert queue.cancelled == ["2", "1"][2 - at :]
    assert list(Path("runs").iterdir()) == []


def test_a_refusal_is_told_though_nothing_can_be_taken_back(queue):
    queue.refuse_at, queue.stubborn = 1, True
    with pytest.raises(ClusterError, match=r"enough\nLinks may be left in the queue: scancel failed"):
        submit(chain=2)


def test_a_link_refused_because_all_is_done_by_then_is_no_error(queue, monkeypatch):
    queue.refuse_at = 1
    monkeypatch.setattr(folders, "outcome", lambda folder: 0)
    assert submit(chain=3).links == ("1",)
    assert queue.cancelled == []


def test_a_dry_run_writes_nothing(queue):
    run = submit("make", queue="long", dry_run=True)
    assert "#SBATCH --partition=long\n" in run.script
    assert '"$pid" make\n' in run.script
    assert (run.links, queue.submitted, Path("runs").exists()) == ((), [], False)


def test_cancelling_begins_with_the_last_link(queue):
    run = submit(chain=3)
    run.cancel()
    assert queue.cancelled == ["3", "2", "1"]
    queue.told = {job: State("CANCELLED", "CANCELLED") for job in "123"}
    assert run.status().state == "cancelled"


def test_worker_jobs_are_cancelled_after_the_links(queue):
    run = submit(chain=2)
    (run.folder / folders.WORKERS).write_text("slurm 17 1\nslurm 18 2\n")
    run.cancel()
    assert queue.cancelled == ["2", "1", "17", "18"]


@pytest.mark.parametrize(("state", "cancelled"), [("TIMEOUT", ["17"]), ("COMPLETED", [])])
def test_worker_jobs_of_a_killed_run_can_be_cancelled(queue, state, cancelled, capsys):
    run = submit()
    (run.folder / folders.WORKERS).write_text("slurm 17 1\n")
    if state == "COMPLETED":
        (run.folder / "links" / "1.end").write_text("0 200\n")
    queue.told = {"1": State(state, state)}
    assert cli.main(["cancel", run.name]) == 0
    assert "has ended already" in capsys.readouterr().out
    assert queue.cancelled == cancelled
    assert not (run.folder / folders.CANCELLED).exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"chain": 0}, "chain=0"),
        ({"kind": "lsf"}, "can be submitted to slurm, pbs, local"),
        ({"colour": "red"}, "colour"),
        ({"walltime": "soon"}, "walltime='soon'"),
        ({"preset": "hgih"}, "did you mean 'high'"),
    ],
)
def test_settings_that_cannot_be(queue, options, words):
    with pytest.raises(SettingError, match=words):
        submit(**options)
    assert not queue.submitted


def test_what_is_no_recipe_and_no_command(queue):
    with pytest.raises(FileNotFoundError, match="a command as a list of words"):
        ra.submit("python mine.py", kind="slurm")
    with pytest.raises(SettingError, match="a command as a list of words was expected"):
        ra.submit([], kind="slurm")
    Path("broken.toml").write_text("[input")
    with pytest.raises(SettingError, match="is no recipe"):
        ra.submit("broken.toml", kind="slurm")


RECIPE = """\
[input]
paths = "in"
[output]
path = "out.zarr"
[cluster]
kind = "slurm"
queue = "long"
memory = "40GiB"
prologue = ["source env.sh"]
"""


def test_a_recipe_has_a_small_driver_that_asks_for_large_workers(queue):
    Path("a.toml").write_text(RECIPE)
    run = ra.submit("a.toml", preset="high", jobs=4, walltime="02:00:00", account="sea", local_directory="/scratch")
    assert run.command == (
        *(sys.executable, "-m", "reelarray.cli", "run", str(Path("a.toml").absolute()), "--cluster", "slurm"),
        *("--wait", "300", "--preset", "high", "--jobs", "4"),
        *("--set", "name=a", "--set", "account=sea", "--set", "local_directory=/scratch"),
    )
    for line in ("cpus-per-task=1", "mem=4506M", "time=02:00:00", "partition=long", "account=sea", "job-name=a"):
        assert f"#SBATCH --{line}\n" in run.script
    assert "\nsource env.sh\n" in run.script
    assert "#SBATCH --signal=B:USR1@60\n" in run.script


def test_what_a_recipe_says_of_another_kind_is_left_out(queue):
    Path("a.toml").write_text(RECIPE + 'preset = "medium"\n')
    run = ra.submit("a.toml", kind="pbs", dry_run=True)
    assert "#PBS -q" not in run.script
    assert "source env.sh" not in run.script
    assert "--preset" not in run.command
    assert run.command[6] == "pbs"
    assert "--partition=long\n" in ra.submit("a.toml", kind="slurm", dry_run=True).script


def test_workers_that_cannot_be_are_refused_before_anything_is_submitted(queue):
    Path("a.toml").write_text(RECIPE)
    with pytest.raises(SettingError, match="processes"):
        ra.submit("a.toml", processes=0)
    assert not queue.submitted


def test_lists_and_permissions_survive_the_command_line(queue):
    Path("a.toml").write_text(RECIPE)
    run = ra.submit("a.toml", prologue=["one", "two"], umask=0o022, dry_run=True)
    assert run.command[-4:] == ("--set", "prologue=one\ntwo", "--set", "umask=022")


# ---- finding ---------------------------------------------------------------------------------------------------------


def test_runs_are_found_by_the_name_that_was_given_the_newest_first(queue):
    first = submit(name="minutes")
    second = submit(name="minutes")
    other = submit(name="minutes-of-may")
    assert first.folder != second.folder
    assert ra.open_run("minutes").folder in (first.folder, second.folder)
    assert ra.open_run("minutes-of-may") == other
    assert {run.folder for run in ra.runs()} == {first.folder, second.folder, other.folder}
    with pytest.raises(SettingError, match="there is no run 'minute'"):
        ra.open_run("minute")


def test_folders_that_are_no_runs_are_passed_over(queue):
    run = submit()
    Path("runs/notes").mkdir()
    Path("runs/torn").mkdir()
    Path("runs/torn/run.json").write_text("{")
    assert ra.runs() == ra.runs("runs") == [run]


def test_logs_of_links_and_of_workers(queue):
    run = submit(chain=2)
    assert run.log() == ""
    logs = run.folder / "logs"
    (logs / "1.out").write_text("a\nb\n")
    assert run.log() == "a\nb\n"
    (logs / "2.out").write_text("c\n")
    assert run.log() == "==> job 1 <==\na\nb\n==> job 2 <==\nc\n"
    assert (run.log(job="1"), run.log(tail=1), run.log(tail=0)) == ("a\nb\n", "c\n", "")
    (logs / "1.err").write_text("oh\n")
    (logs / "1.server.ER").write_text("PBS: killed\n")
    assert run.log("err") == "oh\nPBS: killed\n"
    (logs / "workers").mkdir()
    (logs / "workers" / "reelarray-17.err").write_text("worker\n")
    assert run.log(job="17") == "worker\n"
    with pytest.raises(SettingError, match="no log of job 18"):
        run.log(job="18")
    with pytest.raises(SettingError, match="'out' or 'err' was expected"):
        run.log("errors")


# ---- the command line ------------------------------------------------------------------------------------------------


def test_words_after_two_dashes_are_the_command(queue, capsys):
    command = ["reel", "run", "--jobs", "3"]
    assert cli.main(["submit", "--cluster", "slurm", "--chain", "2", "--queue", "q", "--", *command]) == 0
    assert "jobs 1, 2" in capsys.readouterr().out
    assert ra.runs()[0].command == tuple(command)
    assert "--partition=q\n" in ra.runs()[0].script


@pytest.mark.parametrize("words", [[], ["--"], ["a.toml", "--", "true"]])
def test_one_of_recipe_and_command(words, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["submit", *words])
    assert ended.value.code == 2
    assert "one of RECIPE and -- COMMAND was expected" in capsys.readouterr().err


def test_a_recipe_is_checked_before_it_is_submitted(queue, capsys):
    Path("a.toml").write_text(RECIPE.replace("paths", "path"))
    assert cli.main(["submit", "a.toml"]) == 2
    assert "did you mean 'paths'" in capsys.readouterr().err
    assert not queue.submitted


def test_every_parameter_of_a_job_is_an_option(queue, capsys):
    words = (
        "--cluster slurm --preset medium --name night --queue long --account sea --nodes 2 --walltime 02:00:00 "
        "--cores 6 --memory 8GiB --env-script source={env} --env-script second --env-name reel --umask 0002 "
        "--directive=--qos=x "
        "--interface lo --log-directory logs --run-directory elsewhere --set skip_directives=--mem --dry-run -- true"
    )
    assert cli.main(["submit", *words.split()]) == 0
    script = capsys.readouterr().out
    wanted = ["job-name=night", "partition=long", "account=sea", "nodes=2", "time=02:00:00", "cpus-per-task=6", "qos=x"]
    for line in wanted:
        assert f"#SBATCH --{line}\n" in script
    assert "--mem" not in script
    assert "umask 0002\n" in script
    assert "\nsource=reel\nsecond\n" in script
    assert "/elsewhere/night" in script


def test_status_of_all_and_of_one(queue, capsys):
    run = submit("mine", name="night")
    (run.folder / folders.PROGRESS).write_text('{"done": 3, "total": 4, "rate": 0.5, "seconds_left": 2}')
    (run.folder / "logs" / "1.err").write_text("Traceback\nValueError: wrong\n\n")
    assert cli.main(["status"]) == 0
    assert capsys.readouterr().out == f"{run.name}  slurm  pending  3 of 4 done, 0.5 a second, 2 s left\n"
    (run.folder / "links" / "1.end").write_text("1 200\n")
    assert cli.main(["status", "night"]) == 0
    told = capsys.readouterr().out
    assert "state     failed: exit code 1" in told
    assert "said      ValueError: wrong\n" in told
    assert cli.main(["status", "--json"]) == 0
    assert [found["name"] for found in json.loads(capsys.readouterr().out)] == [run.name]
    assert cli.main(["logs", "night", "--errors", "--tail", "2"]) == 0
    assert capsys.readouterr().out == "ValueError: wrong\n\n"
    assert cli.main(["cancel", "night"]) == 0
    assert "has ended already: failed" in capsys.readouterr().out
    assert cli.main(["cancel", "nigth"]) == 2
