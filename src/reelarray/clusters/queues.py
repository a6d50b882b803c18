"""Batch queues by their commands: submit a script, ask for states, cancel. Nothing here knows what a job does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from ..errors import ClusterError

PATIENCE = 60.0  # seconds that a command may take; Slurm's own tools give up on a silent controller earlier
# ENDED is all that some commands say of a job that is over. UNKNOWN is one that the queue has forgotten: no failure.
Word = Literal["PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "ENDED", "UNKNOWN"]
OVER = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "ENDED"})


@dataclass(frozen=True)
class State:
    """What a queue says of one job.

    Parameters
    ----------
    state : one of PENDING, RUNNING, COMPLETED, FAILED, CANCELLED, TIMEOUT, NODE_FAIL, ENDED, UNKNOWN
    raw : the queue's own word
    reason : why it waits or ended, in the queue's words
    exit_code : of a job that has ended by itself, where the queue tells it
    """

    state: Word
    raw: str = ""
    reason: str = ""
    exit_code: int | None = None

    @property
    def ended(self) -> bool:
        return self.state in OVER


class Queue(Protocol):
    """A batch queue. Job ids are strings, as the queue writes them.

    ``submit`` returns the id, and raises `ClusterError` with the queue's words when it refuses. ``after_ok``,
    ``after_not_ok`` and ``after_any`` are ids that have to end (well, not well, anyhow) before the job may start.
    ``states`` asks once for all ids and answers for each; it raises `ClusterError` when the queue does not answer.
    ``cancel`` passes over jobs that have ended.
    """

    kind: str

    def submit(
        self,
        script: str | Path,
        *,
        after_ok: Sequence[str] = (),
        after_not_ok: Sequence[str] = (),
        after_any: Sequence[str] = (),
    ) -> str: ...

    def states(self, ids: Iterable[str]) -> dict[str, State]: ...

    def cancel(self, ids: Iterable[str]) -> None: ...


def get_queue(kind: str) -> Queue:
    """The queue of a kind of cluster: "slurm", "pbs" or "local" (processes of this machine).

    Raises
    ------
    ClusterError : this kind of cluster has no queue here

    >>> get_queue("slurm").kind
    'slurm'
    """
    from .local import LocalQueue
    from .pbs import PbsQueue
    from .slurm import SlurmQueue

    kinds: dict[str, Callable[[], Queue]] = {"slurm": SlurmQueue, "pbs": PbsQueue, "local": LocalQueue}
    if kind not in kinds:
        raise ClusterError(
            f"jobs of kind {kind!r} cannot be submitted or followed here: {', '.join(kinds)} can; "
            "write the job file by hand, with the command `reel run` in it"
        )
    return kinds[kind]()


def dependency(conditions: Mapping[str, Sequence[str]]) -> str:
    """Conditions in the words that Slurm and PBS share.

    >>> dependency({"afterok": ["7", "8"], "afternotok": [], "afterany": ["9"]})
    'afterok:7:8,afterany:9'
    """
    return ",".join(":".join([word, *ids]) for word, ids in conditions.items() if ids)


def ask(command: Sequence[str], *, without: Sequence[str] = (), cwd: Path | None = None) -> tuple[int, str, str]:
    """Run a command of a queue: (exit code, output, errors).

    Parameters
    ----------
    without : prefixes of environment variables that would change what the command answers

    Raises
    ------
    ClusterError : there is no such command, or it does not answer
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith(tuple(without))} if without else None
    try:
        done = subprocess.run(
            list(command),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            env=environment,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise ClusterError(
            f"{command[0]} was not found on PATH; use a machine from which jobs are submitted, or --cluster local"
        ) from None
    except subprocess.TimeoutExpired:
        raise ClusterError(
            f"{command[0]} gave no answer for {PATIENCE:.0f} s; the queue may be busy: look for the job before you "
            "submit it again"
        ) from None
    except OSError as error:
        raise ClusterError(f"{command[0]} could not be started: {error}") from None
    return done.returncode, done.stdout, done.stderr


def words(*texts: str) -> str:
    """What a command said, on one line."""
    return " ".join(" ".join(texts).split()) or "no reason given"
