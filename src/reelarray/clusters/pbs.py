"""PBS by its commands: qsub, qstat, qdel, of PBS Professional, OpenPBS and Torque."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ClusterError
from .queues import State, Word, ask, dependency, words

_NO_JOB = (0, 153, 35)  # exit codes of qstat: answered, unknown job, job that has finished
_GONE = re.compile(r"unknown job|has finished|invalid job id|illegally formed job identifier", re.IGNORECASE)
_LETTERS: dict[str, Word] = {
    **dict.fromkeys("QHWTSUM", "PENDING"),  # queued, held, waiting, in transit, suspended (twice), moved
    **dict.fromkeys("REB", "RUNNING"),  # running, exiting, array begun
}
_KILLED_BY_WALLTIME = -29  # JOB_EXEC_KILL_WALLTIME of PBS Professional
_SIGNAL = 256  # an exit status from here on is 256 + the signal that ended the job


class PbsQueue:
    """PBS: `qstat -x -f -F json`; where that is refused `qstat -f`, then the table that every `qstat` prints."""

    kind = "pbs"

    def submit(
        self,
        script: str | Path,
        *,
        after_ok: Sequence[str] = (),
        after_not_ok: Sequence[str] = (),
        after_any: Sequence[str] = (),
    ) -> str:
        """Submit a script; see `Queue`."""
        command = ["qsub"]
        waits = dependency({"afterok": after_ok, "afternotok": after_not_ok, "afterany": after_any})
        if waits:
            command += ["-W", f"depend={waits}"]
        code, output, errors = ask([*command, str(script)])
        lines = output.split()
        if code or not lines:
            raise ClusterError(f"PBS refused {script}: {words(errors, output)}")
        return lines[-1]  # sites print greetings before the id

    def states(self, ids: Iterable[str]) -> dict[str, State]:
        """State of each job, by one query; see `Queue`."""
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        said: list[str] = []
        for options, read in ((("-x", "-f", "-F", "json"), _of_json), (("-f",), _of_text), ((), _of_table)):
            code, output, errors = ask(["qstat", *options, *wanted])
            known = read(output)
            if known or (not output.strip() and (code in _NO_JOB or _GONE.search(errors))):
                break
            said.append(words(errors, output))
        else:
            raise ClusterError(f"qstat failed: {'; '.join(dict.fromkeys(said))}")
        by_number = {_number(job): _state(facts) for job, facts in known.items()}
        forgotten = State("UNKNOWN", reason="PBS does not know this job any more")
        return {job: by_number.get(_number(job), forgotten) for job in wanted}

    def cancel(self, ids: Iterable[str]) -> None:
        """Cancel jobs; see `Queue`."""
        wanted = list(ids)
        if not wanted:
            return
        code, output, errors = ask(["qdel", *wanted])
        wrong = [line for line in errors.splitlines() if line.strip() and not _GONE.search(line)]
        if code and wrong:
            raise ClusterError(f"PBS did not cancel {', '.join(wanted)}: {words(*wrong, output)}")


def _number(job: str) -> str:
    """An id without its server, which commands write in full, short or not at all."""
    return job.partition(".")[0]


def _of_json(output: str) -> dict[str, dict[str, Any]]:
    try:
        answer = json.loads(output, strict=False)
    except ValueError:  # older servers do not escape what users write into job names
        return {}
    jobs = answer.get("Jobs") if isinstance(answer, dict) else None
    return jobs if isinstance(jobs, dict) else {}


def _of_text(output: str) -> dict[str, dict[str, Any]]:
    r"""
    >>> _of_text("Job Id: 7.host\n    Job_Name = a\n    job_state = C\n    exit_status = 3\n")
    {'7.host': {'Job_Name': 'a', 'job_state': 'C', 'exit_status': '3'}}
    """
    jobs: dict[str, dict[str, Any]] = {}
    facts: dict[str, Any] = {}
    for line in output.splitlines():
        if line.startswith("Job Id:"):
            facts = jobs.setdefault(line.partition(":")[2].strip(), {})
        elif " = " in line:
            name, _, value = line.strip().partition(" = ")
            facts[name] = value.strip()
    return jobs


def _of_table(output: str) -> dict[str, dict[str, Any]]:
    r"""
    >>> _of_table("Job id  Name  User  Time Use S Queue\n------  ----  ----  -------- - -----\n7.host  a  me  0 R q\n")
    {'7.host': {'job_state': 'R', 'short': True}}
    """
    jobs = {}
    for line in output.splitlines():
        if re.match(r"\d+(\[\d*\])?(\.|\s)", line):
            letters = [word for word in line.split()[2:] if re.fullmatch("[A-Z]", word)]
            if letters:
                jobs[line.split()[0]] = {"job_state": letters[0], "short": True}
    return jobs


def _state(facts: Mapping[str, Any]) -> State:
    """
    >>> _state({"job_state": "F", "Exit_status": 271, "comment": "walltime 61 exceeded limit 60"}).state
    'TIMEOUT'
    """
    raw = str(facts.get("job_state", ""))[:1]
    reason = str(facts.get("comment", ""))
    if raw in _LETTERS:
        return State(_LETTERS[raw], raw, reason)
    if raw not in ("F", "C", "X"):
        return State("UNKNOWN", raw, reason)
    status = next((facts[name] for name in ("Exit_status", "exit_status") if name in facts), None)
    if status is None and (raw == "C" or facts.get("short")):
        return State("ENDED", raw, "qstat does not tell how")
    if status is None:
        return State("CANCELLED", raw, reason or "it ended without having run")
    code = int(status)
    if code == 0:
        return State("COMPLETED", raw, reason, 0)
    if code == _KILLED_BY_WALLTIME or "walltime" in reason or _used_up(facts):
        return State("TIMEOUT", raw, reason or "walltime")
    if code >= _SIGNAL:
        return State("CANCELLED", raw, reason or f"signal {code - _SIGNAL}")
    return State("FAILED", raw, reason, code if code > 0 else None)


def _used_up(facts: Mapping[str, Any]) -> bool:
    """Has a job run as long as it may?"""
    used, asked = (_part(facts, name, "walltime") for name in ("resources_used", "Resource_List"))
    return used is not None and asked is not None and used >= asked


def _part(facts: Mapping[str, Any], group: str, name: str) -> int | None:
    """Seconds of ``group.name``, which JSON nests and text joins by a dot."""
    nested = facts.get(group)
    text = nested.get(name) if isinstance(nested, dict) else facts.get(f"{group}.{name}")
    if text is None or not re.fullmatch(r"[\d:]+", str(text)):
        return None
    return sum(int(part) * 60**place for place, part in enumerate(reversed(str(text).split(":"))))
