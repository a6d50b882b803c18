"""Slurm by its commands: sbatch, squeue, sacct, scancel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import ClusterError
from .queues import State, Word, ask, dependency, words

_WORDS: dict[str, Word] = {
    "COMPLETED": "COMPLETED",
    "FAILED": "FAILED",
    "OUT_OF_MEMORY": "FAILED",
    "CANCELLED": "CANCELLED",
    "REVOKED": "CANCELLED",
    "TIMEOUT": "TIMEOUT",
    "DEADLINE": "TIMEOUT",
    "NODE_FAIL": "NODE_FAIL",
    "BOOT_FAIL": "NODE_FAIL",
    "PREEMPTED": "NODE_FAIL",  # its node was taken away, through no fault of the job
    "RUNNING": "RUNNING",
    "COMPLETING": "RUNNING",
    "RESIZING": "RUNNING",
    "SIGNALING": "RUNNING",
    "STAGE_OUT": "RUNNING",
    "STOPPED": "RUNNING",
    "PENDING": "PENDING",
    "CONFIGURING": "PENDING",
    "SUSPENDED": "PENDING",
    "REQUEUED": "PENDING",
    "REQUEUE_FED": "PENDING",
    "REQUEUE_HOLD": "PENDING",
    "RESV_DEL_HOLD": "PENDING",
    "SPECIAL_EXIT": "PENDING",
}
_COLUMNS = {"JobID": 32, "State": 32, "exit_code": 16, "Reason": 120}  # wide: squeue cuts what does not fit
_CHANGE_ANSWERS = ("SQUEUE_", "SACCT_", "SLURM_TIME_FORMAT")


class SlurmQueue:
    """Slurm: `squeue -t all`, then `sacct` for jobs that the controller has forgotten, where there is accounting."""

    kind = "slurm"

    def submit(
        self,
        script: str | Path,
        *,
        after_ok: Sequence[str] = (),
        after_not_ok: Sequence[str] = (),
        after_any: Sequence[str] = (),
    ) -> str:
        """Submit a script; see `Queue`."""
        command = ["sbatch", "--parsable"]
        waits = dependency({"afterok": after_ok, "afternotok": after_not_ok, "afterany": after_any})
        if waits:
            # Without the second option a job whose condition can never hold stays pending for ever.
            command += [f"--dependency={waits}", "--kill-on-invalid-dep=yes"]
        code, output, errors = ask([*command, str(script)])
        job = output.strip().partition(";")[0]  # id;cluster
        if code or not job.isdigit():
            raise ClusterError(f"Slurm refused {script}: {words(errors, output)}")
        return job

    def states(self, ids: Iterable[str]) -> dict[str, State]:
        """State of each job, by one query; see `Queue`."""
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        found = _of_squeue(wanted)
        if forgotten := [job for job in wanted if job not in found]:
            found |= _of_sacct(forgotten)
        return {job: found.get(job, State("UNKNOWN", reason="Slurm does not know this job any more")) for job in wanted}

    def cancel(self, ids: Iterable[str]) -> None:
        """Cancel jobs; see `Queue`."""
        wanted = list(ids)
        if not wanted:
            return
        code, output, errors = ask(["scancel", *wanted])
        # scancel passes over jobs that have ended, and complains of those that the controller has forgotten.
        wrong = [line for line in errors.splitlines() if line.strip() and "invalid job id" not in line.lower()]
        if code and wrong:
            raise ClusterError(f"Slurm did not cancel {', '.join(wanted)}: {words(*wrong, output)}")


def _of_squeue(ids: list[str]) -> dict[str, State]:
    columns = ",".join(f"{name}:{width}" for name, width in _COLUMNS.items())
    code, output, errors = ask(
        ["squeue", "--noheader", "--states=all", f"--jobs={','.join(ids)}", f"--Format={columns}"],
        without=_CHANGE_ANSWERS,
    )
    if code:
        # One unknown id alone is an error; among others it is passed over.
        if "invalid job id" in errors.lower():
            return {}
        raise ClusterError(f"squeue failed: {words(errors, output)}")
    found = {}
    for line in output.splitlines():
        values, start = [], 0
        for width in _COLUMNS.values():
            values.append(line[start : start + width].strip())
            start += width
        job, raw, status, reason = values
        found[job] = _state(raw, reason, _exit_code(int(status)) if status.isdigit() else None)
    return found


def _of_sacct(ids: list[str]) -> dict[str, State]:
    """Jobs that accounting knows; none where there is no accounting."""
    fields = "--format=JobID,State,ExitCode,Reason"
    try:
        code, output, _ = ask(
            ["sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={','.join(ids)}", fields],
            without=_CHANGE_ANSWERS,
        )
    except ClusterError:
        return {}
    found = {}
    for line in output.splitlines() if code == 0 else ():
        job, raw, status, reason = (line.split("|") + [""] * 4)[:4]
        exit_code, _, signal = status.partition(":")
        own = int(exit_code) if exit_code.isdigit() and signal in ("", "0") else None
        found[job] = _state(raw, reason, own)
    return found


def _state(raw: str, reason: str, exit_code: int | None) -> State:
    """
    >>> _state("CANCELLED by 1000", "None", None)
    State(state='CANCELLED', raw='CANCELLED by 1000', reason='', exit_code=None)
    """
    word = _WORDS.get(raw.split(" ")[0].rstrip("+"), "UNKNOWN")
    own = exit_code if word in ("COMPLETED", "FAILED") else None
    return State(word, raw, "" if reason in ("None", "(null)") else reason, own)


def _exit_code(status: int) -> int | None:
    """Of a wait status; none when a signal ended the process.

    >>> _exit_code(768), _exit_code(15)
    (3, None)
    """
    return None if status & 0x7F else status >> 8
