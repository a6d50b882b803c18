"""Jobs of kind "local": detached processes of this machine, for where there is no queue, and for tests."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from ..errors import ClusterError
from .queues import PATIENCE, State, ask

SUPERVISOR = Path(__file__).with_name("local_job.sh")
KILL_WAIT = 30  # seconds that a cancelled job has to end, as in Slurm


class LocalQueue:
    """A job is a process group with a supervisor, and a folder that holds the supervisor's pid and the job's state.

    There are no limits: every job starts as soon as those that it waits for have ended. Jobs survive the terminal, not
    the machine: one that was running when the machine went down is NODE_FAIL.

    Parameters
    ----------
    folder : where the folders of jobs are (default: below the user's state folder)
    """

    kind = "local"

    def __init__(self, folder: Path | None = None) -> None:
        self._given = folder

    @property
    def folder(self) -> Path:
        if self._given is not None:
            return self._given
        from platformdirs import user_state_path

        return user_state_path("reelarray") / "jobs"

    def submit(
        self,
        script: str | Path,
        *,
        after_ok: Sequence[str] = (),
        after_not_ok: Sequence[str] = (),
        after_any: Sequence[str] = (),
    ) -> str:
        """Start a script; see `Queue`."""
        conditions = {"after_ok": after_ok, "after_not_ok": after_not_ok, "after_any": after_any}
        waits = [word for condition, ids in conditions.items() for job in ids for word in (condition, job)]
        for other in waits[1::2]:
            if not (self.folder / other / "state").is_file():
                raise ClusterError(f"there is no local job {other} to wait for in {self.folder}")
        job = self._new()
        # Started through a shell that ends at once, so that the supervisor is nobody's child and leaves no zombie.
        background = 'bash "$@" </dev/null >/dev/null 2>&1 &'
        command = ["bash", "-c", background, "reel", str(SUPERVISOR), str(job), str(script), str(KILL_WAIT), *waits]
        try:
            subprocess.run(command, check=True, start_new_session=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise ClusterError(f"{script} could not be started: {error}; kind 'local' needs bash") from None
        end = time.monotonic() + PATIENCE
        while not (job / "pid").exists():  # it writes that itself: before, it has not the name by which it is known
            if time.monotonic() > end:
                raise ClusterError(f"{script} did not start within {PATIENCE:.0f} s; look at the load of this machine")
            time.sleep(0.01)
        return job.name

    def _new(self) -> Path:
        """A folder for one more job."""
        self.folder.mkdir(parents=True, exist_ok=True)
        number = max((int(path.name) for path in self.folder.iterdir() if path.name.isdigit()), default=0)
        while True:
            number += 1
            job = self.folder / str(number)
            try:
                job.mkdir()
            except FileExistsError:
                continue
            (job / "state").write_text("PENDING\n")
            return job

    def states(self, ids: Iterable[str]) -> dict[str, State]:
        """State of each job; see `Queue`."""
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        alive = {job: self._supervisor(job) for job in wanted}  # first: who ends after that has written how
        return {job: self._state(job, alive[job] is not None) for job in wanted}

    def _state(self, job: str, alive: bool) -> State:
        try:
            raw, *rest = (self.folder / job / "state").read_text().split()
        except (OSError, ValueError):
            return State("UNKNOWN", reason=f"there is no local job {job} in {self.folder}")
        if raw in ("PENDING", "RUNNING") and not alive:
            return State("NODE_FAIL", "lost", "the machine was restarted, or the job's supervisor killed")
        if raw in ("COMPLETED", "FAILED"):
            return State(raw, raw, exit_code=int(rest[0]))  # type: ignore[arg-type]
        return State(raw, raw, " ".join(rest))  # type: ignore[arg-type]

    def _supervisor(self, job: str) -> int | None:
        """Pid of the supervisor of a job, while it lives: the pid alone may be another process's by now."""
        try:
            pid = int((self.folder / job / "pid").read_text())
            arguments = _arguments(pid)
        except (OSError, ValueError):
            return None
        return pid if f"{SUPERVISOR} {self.folder / job} " in arguments else None

    def cancel(self, ids: Iterable[str]) -> None:
        """Ask jobs to end, and kill those that have not after half a minute; see `Queue`."""
        for job in ids:
            pid = self._supervisor(job)
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)


def _arguments(pid: int) -> str:
    """The command line of a process; empty when there is none."""
    if Path("/proc/self/cmdline").exists():
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ask(["ps", "-ww", "-p", str(pid), "-o", "args="])[1]
