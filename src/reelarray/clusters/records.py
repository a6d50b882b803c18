"""What is known of the worker jobs of a cluster, as jobs, workers and the queue tell it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .queues import State

FORGOTTEN = 60.0  # seconds after which a job that the queue does not know, and that has no worker, has ended


@dataclass(eq=False)
class WorkerJob:
    """One job; times are seconds of the monotonic clock."""

    name: str  # of Dask's
    job_id: str | None  # None: the queue refused it
    submitted: float
    state: str = "PENDING"
    reason: str = ""
    workers: set[str] = field(default_factory=set)  # addresses that are connected
    seen: float | None = None  # when its first worker connected
    begun: float | None = None  # when it was first seen to run
    missing: float | None = None  # since when nobody knows of it
    ended: float | None = None
    settled: bool = False  # it has ended, and nothing follows from that any more

    @property
    def why(self) -> str:
        """State and reason, in words."""
        if self.state == "COMPLETED" and self.seen is not None:
            return "COMPLETED, its worker has retired"
        return f"{self.state} ({self.reason})" if self.reason not in ("", "None") else self.state


class JobRecords:
    """The jobs of one cluster, by the order of their submission; may be told and asked by any thread.

    Parameters
    ----------
    processes : workers of one job
    asked : whether there is a queue to ask; otherwise workers that leave are all that is known of an end
    changed : called when a job or worker has come or gone
    """

    def __init__(self, processes: int, *, asked: bool, changed: Callable[[], None]) -> None:
        self.processes, self.asked, self.changed = processes, asked, changed
        self.lock = threading.RLock()
        self.all: list[WorkerJob] = []
        self.first: float | None = None  # when the first worker connected
        self.deaths = 0  # jobs that ended without a worker, since one connected

    # ---- told by jobs and workers, on the cluster's event loop -------------------------------------------------------

    def submitted(self, name: str, job_id: str) -> None:
        """The queue has taken a job."""
        with self.lock:
            self.all.append(WorkerJob(name, str(job_id), time.monotonic()))
        self.changed()

    def refused(self, name: str, words: str) -> None:
        """The queue has refused a job, in its own words."""
        now = time.monotonic()
        with self.lock:
            self.all.append(WorkerJob(name, None, now, state="REFUSED", reason=words, ended=now))

    def worker_came(self, name: str, address: str) -> None:
        """A worker has connected."""
        now = time.monotonic()
        name = name.rpartition("-")[0] if self.processes > 1 else name
        with self.lock:
            self.first, self.deaths = self.first or now, 0
            if (job := self.latest(name)) is not None:
                job.workers.add(address)
                job.seen, job.missing = job.seen or now, None

    def worker_left(self, address: str) -> None:
        """A worker has gone."""
        with self.lock:
            for job in self.all:
                if address in job.workers:
                    job.workers.remove(address)
                    job.missing = None if self.asked or job.workers else time.monotonic()
        self.changed()

    # ---- told by the queue -------------------------------------------------------------------------------------------

    def answered(self, job: WorkerJob, answer: State | None, now: float) -> bool:
        """Note what the queue says of a job; whether it has ended."""
        if answer is None or answer.state == "UNKNOWN":
            # Forgotten by the controller, or not yet known to it; a worker that is connected is the better witness.
            job.missing = None if job.workers else job.missing or now
            return self._ended_unseen(job, "the queue does not know it any more", now)
        job.state, job.reason, job.missing = answer.state, answer.reason, None
        job.begun = (job.begun or now) if answer.state == "RUNNING" else None
        job.ended = now if answer.ended else None
        return answer.ended

    def unasked(self, job: WorkerJob, now: float) -> bool:
        """Note what its workers say of a job, where no queue can be asked; whether it has ended."""
        job.state = "RUNNING" if job.workers else "PENDING" if job.seen is None else "UNKNOWN"
        return self._ended_unseen(job, "its workers have gone", now)

    @staticmethod
    def _ended_unseen(job: WorkerJob, reason: str, now: float) -> bool:
        if job.missing is None or now - job.missing < FORGOTTEN:
            return False
        job.state, job.reason, job.ended = "UNKNOWN", reason, now
        return True

    # ---- asked -------------------------------------------------------------------------------------------------------

    def latest(self, name: str) -> WorkerJob | None:
        """The job that was last taken under this name."""
        with self.lock:
            return next((job for job in reversed(self.all) if job.name == name and job.job_id is not None), None)

    def alive(self) -> list[WorkerJob]:
        """Jobs that have not ended."""
        with self.lock:
            return [job for job in self.all if job.ended is None]

    def lost(self, wanted: Iterable[str]) -> list[WorkerJob]:
        """Jobs that have ended and are still counted on: not scaled away, not there again under the same name."""
        with self.lock:
            last = {job.name: job for job in self.all}
            for job in self.all:
                if job.ended is not None and (last[job.name] is not job or job.name not in wanted):
                    job.settled = True
            return [job for job in self.all if job.ended is not None and not job.settled]

    def refusal(self) -> str | None:
        """The queue's words to the last submission, if it was refused."""
        with self.lock:
            last = self.all[-1] if self.all else None
        return last.reason if last is not None and last.job_id is None else None

    def is_there(self, job_id: str | None) -> bool:
        """Whether a job may still be in the queue, so that it has to be cancelled."""
        with self.lock:
            return job_id is not None and any(
                job.job_id == job_id and (job.ended is None or job.state == "UNKNOWN") for job in self.all
            )

    def counts(self) -> dict[str, int]:
        """Number of jobs that have not ended, by state."""
        return dict(Counter(job.state for job in self.alive()))
