"""One job from its submission to its end, in a process of its own: waits, runs the script, notes how it went."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from . import jobs
from .jobs import FINISHED, HELD, KILLED, QUEUED, RUNNING, Job, State

STEP = 0.05  # seconds between looks


def run(number: int) -> None:
    job = jobs.load(number)
    try:
        if waited(job):
            status, comment = executed(job)
            jobs.set_state(job, State(FINISHED, status, comment))
        else:
            jobs.set_state(job, State(FINISHED, KILLED, "deleted before it ran"))
    except OSError as error:
        jobs.set_state(job, State(FINISHED, -1, f"could not start: {error}"))


# ---- waiting ---------------------------------------------------------------------------------------------------------


def waited(job: Job) -> bool:
    """Whether the job may run, once that is known."""
    queued = time.monotonic()
    while True:
        if jobs.end_requested(job.number):
            return False
        answers = [allows(kind, number) for kind, numbers in job.dependencies for number in numbers]
        if False in answers:
            return False
        if None not in answers:
            if jobs.state(job.number).letter == HELD:
                jobs.set_state(job, State(QUEUED))
            if time.monotonic() - queued >= job.delay:
                return True
        time.sleep(STEP)


def allows(kind: str, number: int) -> bool | None:
    """Whether another job lets this one run; None as long as that is open."""
    other = jobs.state(number)
    if kind == "after":
        return True if other.letter in (RUNNING, FINISHED) else None
    if other.letter != FINISHED:
        return None
    return {"afterok": other.exit_status == 0, "afternotok": other.exit_status != 0, "afterany": True}[kind]


# ---- running ---------------------------------------------------------------------------------------------------------


def executed(job: Job) -> tuple[int, str]:
    """Run the script; its exit status, 256 more than the signal that ended it, and what is to be said."""
    os.umask(job.umask)
    spool = {"o": Path(job.output), "e": Path(job.error)}
    if not job.direct:
        spool = {"o": job.folder / "OU", "e": job.folder / "ER"}
    streams = {letter: spool[job.joined[0] if job.joined != "n" else letter] for letter in "oe"}
    own = {"PBS_JOBID": job.id, "PBS_JOBNAME": job.name, "PBS_ENVIRONMENT": "PBS_BATCH", "PBS_QUEUE": job.queue}
    with streams["o"].open("a") as output, streams["e"].open("a") as error:
        script = subprocess.Popen(
            [job.shell, str(job.folder / "script")],
            cwd=job.variables.get("HOME", "/"),
            env=job.variables | own,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=error,
            start_new_session=True,
        )
        started = time.time()
        jobs.set_state(job, State(RUNNING, group=script.pid, started=started))
        comment = ended(script, job)
    code = script.returncode
    if not job.direct:
        comment = f"{comment} {delivered(job, streams)}".strip()
    return (256 - code if code < 0 else code), comment


def ended(script: subprocess.Popen, job: Job) -> str:
    """Wait until the script has ended; from its walltime or a qdel on see to it that it does."""
    kill_wait = float(os.environ.get("PBS_SHIM_KILL_WAIT") or 5)
    started, told, comment = time.monotonic(), None, ""
    while script.poll() is None:
        now = time.monotonic()
        if told is None:
            if jobs.end_requested(job.number):
                comment = "deleted while it ran"
            elif job.walltime is not None and now - started > job.walltime:
                comment = "ended at its walltime"
            if comment:
                told = now
                send(script.pid, signal.SIGTERM)
        elif now - told > kill_wait:
            send(script.pid, signal.SIGKILL)
        time.sleep(STEP)
    send(script.pid, signal.SIGKILL)  # what the script left behind goes with it
    return comment


def send(group: int, number: int) -> None:
    with suppress(ProcessLookupError):  # nobody is left
        os.killpg(group, number)


def delivered(job: Job, streams: dict[str, Path]) -> str:
    """Bring output from the spool to where it was wanted; nothing but a remark where that cannot be."""
    for letter, wanted in (("o", job.output), ("e", job.error)):
        if streams[letter].name == {"o": "OU", "e": "ER"}[letter]:
            try:
                shutil.copyfile(streams[letter], wanted)
            except OSError as error:
                return f"output stays in {streams[letter]}: {error}"
    return ""
