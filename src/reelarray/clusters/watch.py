"""JobWatch: what became of the worker jobs of a cluster, in the background; jobs that are lost are submitted again."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ClusterError, ReelError, WorkerJobsDied
from . import systems
from .logs import last_words

if TYPE_CHECKING:
    from .queues import Queue, State

logger = logging.getLogger("reelarray.clusters")

QUICK = 2.0  # seconds to the next question after something has happened; then ever longer, up to the interval
GROWTH = 1.3
NO_ANSWER = 600.0  # seconds for which a queue may fail to answer
NO_WORKER = 300.0  # seconds that a job may run without a worker, while there never was one
FORGOTTEN = 60.0  # seconds after which a job that the queue does not know, and that has no worker, has ended
HASTY = 60.0  # a job that lives shorter is not submitted again at once for ever
UNSEEN, DEATHS = 2, 5  # jobs that may end without a worker: where there never was one, and one after the other
ATTENDED = 30.0  # seconds since the last `check()`: a driver that looks is told, and closes the cluster itself
REPORTS = (60.0, 300.0, 900.0)  # seconds of waiting for the first worker, after which it is said


@dataclass(eq=False)
class WorkerJob:
    """One job as the watch knows it; times are seconds of the monotonic clock."""

    name: str  # of Dask's
    job_id: str | None  # None: the queue refused it
    submitted: float
    state: str = "PENDING"
    reason: str = ""
    workers: set[str] = field(default_factory=set)  # addresses that are connected
    seen: float | None = None  # when its first worker connected
    begun: float | None = None  # when it was first seen to run
    missing: float | None = None  # since when the queue does not know it
    ended: float | None = None
    replaced: bool = False


class JobWatch:
    """Asks the queue what became of worker jobs, has lost ones submitted again, and says so.

    Found as ``watch`` of the cluster that `ra.cluster` gives. A run that submits work calls `check` while it waits;
    without that, as in a notebook, events are logged as warnings, and the cluster is closed by an error, so that a
    computation which waits for it raises instead of waiting for ever.

    Parameters
    ----------
    queue : that answers for states of jobs; None where there is none, and workers that leave are all that is seen
    interval : seconds between two questions, at most; after events they come sooner
    patience : seconds that jobs may wait in the queue for the first worker
    log_directory : of worker jobs
    processes : workers of one job
    """

    def __init__(
        self, queue: Queue | None, *, interval: float, patience: float, log_directory: str, processes: int
    ) -> None:
        self.queue, self.interval, self.patience = queue, interval, patience
        self.log_directory, self.processes = log_directory, processes
        self._lock = threading.RLock()
        self._jobs: list[WorkerJob] = []
        self._events: list[str] = []
        self._error: ReelError | None = None
        self._checked = -ATTENDED
        self._silent: float | None = None  # since when the queue has not answered
        self._first: float | None = None  # when the first worker connected
        self._deaths = 0  # jobs that ended without a worker, since one connected
        self._hasty = 0
        self._due = 0.0
        self._reported = 0
        self._wake, self._over = threading.Event(), threading.Event()
        self._cluster: Any = lambda: None

    # ---- for those who wait ------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise what makes further waiting useless; cheap.

        Raises
        ------
        WorkerJobsDied : worker jobs end before a worker connects
        ClusterError : the queue refuses jobs or does not answer, or no worker connects in time
        """
        with self._lock:
            self._checked = time.monotonic()
            if self._error is not None:
                raise self._error

    def messages(self) -> list[str]:
        """What has happened since the last call, such as "worker job 12 ended: CANCELLED; replaced by 14"."""
        with self._lock:
            events, self._events = self._events, []
        return events

    def counts(self) -> dict[str, int]:
        """Number of jobs that have not ended by state, such as {"RUNNING": 2, "PENDING": 1}."""
        with self._lock:
            return dict(Counter(job.state for job in self._jobs if job.ended is None))

    def job_ids(self) -> list[str]:
        """Ids of the jobs that have not ended."""
        with self._lock:
            return [job.job_id for job in self._jobs if job.ended is None and job.job_id is not None]

    # ---- what jobs and workers tell, on the cluster's event loop -----------------------------------------------------

    def submitted(self, name: str, job_id: str) -> None:
        """The queue has taken a job."""
        with self._lock:
            self._jobs.append(WorkerJob(name, str(job_id), time.monotonic()))
        self._wake.set()

    def refused(self, name: str, words: str) -> None:
        """The queue has refused a job, in its own words."""
        now = time.monotonic()
        with self._lock:
            self._jobs.append(WorkerJob(name, None, now, state="REFUSED", reason=words, ended=now))

    def refusal(self) -> str | None:
        """The queue's words to the last submission, if it was refused."""
        with self._lock:
            last = self._jobs[-1] if self._jobs else None
        return last.reason if last is not None and last.job_id is None else None

    def is_there(self, job_id: str | None) -> bool:
        """Whether a job may still be in the queue, so that it has to be cancelled."""
        with self._lock:
            return any(
                job.job_id == job_id and (job.ended is None or job.state == "UNKNOWN")
                for job in self._jobs
                if job.job_id is not None
            )

    def worker_came(self, name: str, address: str) -> None:
        """A worker has connected."""
        now = time.monotonic()
        with self._lock:
            self._first, self._deaths = self._first or now, 0
            if (job := self._job_of(name)) is not None:
                job.workers.add(address)
                job.seen = job.seen or now

    def worker_left(self, address: str) -> None:
        """A worker has gone."""
        now = time.monotonic()
        with self._lock:
            for job in self._jobs:
                if address in job.workers:
                    job.workers.remove(address)
                    job.missing = now if self.queue is None and not job.workers else job.missing
        self._wake.set()

    def _job_of(self, worker: str) -> WorkerJob | None:
        name = worker.rpartition("-")[0] if self.processes > 1 else worker
        return next((job for job in reversed(self._jobs) if job.name == name and job.job_id is not None), None)

    # ---- in the background -------------------------------------------------------------------------------------------

    def start(self, cluster: Any) -> None:
        """Watch a cluster until it is closed; does not keep it alive."""
        self._cluster = weakref.ref(cluster)
        threading.Thread(target=self._run, name="reelarray-watch", daemon=True).start()

    def stop(self) -> None:
        """End the background thread soon; what it knows stays."""
        self._over.set()
        self._wake.set()

    def _run(self) -> None:
        pause = QUICK
        while not self._over.wait(min(0.5, self.interval)):
            if self._wake.wait(min(pause, self.interval)):
                self._wake.clear()
                pause = QUICK
            if self._over.is_set() or (cluster := self._cluster()) is None:
                return
            try:
                happened = self.look(cluster)
            except Exception as error:
                if self._over.is_set():  # the cluster was closed under it
                    return
                logger.warning("the watch of worker jobs stumbled and goes on: %s", error, exc_info=True)
                happened = False
            if self._error is not None:
                self._end(cluster)
                return
            pause = QUICK if happened else min(pause * GROWTH, self.interval)
            del cluster

    def look(self, cluster: Any) -> bool:
        """Ask once, and do what follows from the answer; whether anything has changed."""
        now = time.monotonic()
        with self._lock:
            alive = [job for job in self._jobs if job.ended is None]
        ended = self._left(alive, now) if self.queue is None else self._asked(alive, now)
        changed = ended or any(job.begun == now for job in alive)
        with self._lock:
            wanted = [job for job in self._jobs if job.ended is not None and not job.replaced]
            wanted = [job for job in wanted if self._is_wanted(cluster, job)]
            self._count([job for job in ended if job in wanted], now)
        self._judge(wanted, now)
        if self._error is None and wanted and now >= self._due:
            self._replace(cluster, wanted)
        self._report_waiting(now)
        return bool(changed or wanted)

    def _asked(self, alive: Iterable[WorkerJob], now: float) -> list[WorkerJob]:
        """Jobs that have ended since the last time, by the queue's answer."""
        asked = {job.job_id: job for job in alive if job.job_id is not None}
        if not asked or self.queue is None:
            return []
        try:
            states = self.queue.states(list(asked))
        except (ReelError, OSError, ValueError) as error:
            if self._silent is None:
                self._silent = now
                self.say(f"the queue does not answer and will be asked again: {error}")
            if now - self._silent > NO_ANSWER:
                self._fail(ClusterError(f"the queue has not answered for {NO_ANSWER / 60:.0f} min: {error}"))
            return []
        self._silent = None
        with self._lock:
            return [job for job_id, job in asked.items() if self._is_over(job, states.get(job_id), now)]

    def _is_over(self, job: WorkerJob, answer: State | None, now: float) -> bool:
        """Note the state of a job; whether it has ended."""
        if answer is None or answer.state == "UNKNOWN":
            # Forgotten by the controller, or not yet known to it; a worker that is connected is the better witness.
            job.missing = None if job.workers else job.missing or now
            if job.missing is None or now - job.missing < FORGOTTEN:
                return False
            job.state, job.reason, job.ended = "UNKNOWN", "the queue does not know it any more", now
            return True
        job.state, job.reason, job.missing = answer.state, answer.reason, None
        job.begun = (job.begun or now) if answer.state == "RUNNING" else None
        job.ended = now if answer.ended else None
        return answer.ended

    def _left(self, alive: Iterable[WorkerJob], now: float) -> list[WorkerJob]:
        """Jobs whose workers have all gone, where no queue can be asked."""
        over = []
        with self._lock:
            for job in alive:
                job.state = "RUNNING" if job.workers else "PENDING" if job.seen is None else "UNKNOWN"
                job.missing = None if job.workers else job.missing
                if job.missing is not None and now - job.missing > FORGOTTEN:
                    job.reason, job.ended = "its workers have gone", now
                    over.append(job)
        return over

    def _count(self, ended: list[WorkerJob], now: float) -> None:
        """Count jobs that never had a worker, and how often in a row some lived too shortly."""
        if not ended:
            return
        self._deaths += sum(job.seen is None for job in ended)
        hasty = any(job.seen is None or (now - job.seen < HASTY and job.state != "COMPLETED") for job in ended)
        self._hasty = self._hasty + 1 if hasty else 0
        # At once a few times; then a queue is not to be flooded with jobs that die.
        self._due = now + (0.0 if self._hasty <= DEATHS else min(QUICK * 2.0 ** (self._hasty - DEATHS), NO_ANSWER))

    def _is_wanted(self, cluster: Any, job: WorkerJob) -> bool:
        """Whether a job that has ended is one that the cluster still counts on: not scaled away, not there again."""
        last = next(other for other in reversed(self._jobs) if other.name == job.name)
        job.replaced = last is not job or job.name not in cluster.worker_spec
        return not job.replaced

    def _judge(self, wanted: list[WorkerJob], now: float) -> None:
        """Find what makes waiting useless."""
        with self._lock:
            jobs = [job for job in self._jobs if job.job_id is not None]
            alive = [job for job in jobs if job.ended is None]
            connected = any(job.workers for job in jobs)
            unseen = [job for job in jobs if job.ended is not None and job.seen is None]
        if connected or self._error is not None:
            return
        refused = [job for job in wanted if job.job_id is None]
        running = [job for job in alive if job.begun is not None and now - job.begun > NO_WORKER]
        if self._deaths >= (UNSEEN if self._first is None else DEATHS):
            self._fail(self._died(unseen[-self._deaths :]))
        elif len(refused) >= UNSEEN and not alive:
            self._fail(ClusterError(f"the queue refuses worker jobs: {refused[-1].reason}"))
        elif self._first is None and running:
            ids = [str(job.job_id) for job in running]
            self._fail(
                ClusterError(
                    f"worker jobs {', '.join(ids)} have run for {NO_WORKER / 60:.0f} min and no worker has connected: "
                    "check interface= (workers reach the scheduler through it) and the lines of prologue=; "
                    + last_words(self.log_directory, ids)
                )
            )
        elif self._first is None and jobs and now - jobs[0].submitted > self.patience and not _any_running(alive):
            self._fail(
                ClusterError(
                    f"no worker job has started within {self.patience / 60:.0f} min; {self._waiting(alive)}: ask for "
                    "less, name another queue=, or give more patience= (seconds)"
                )
            )

    def _died(self, jobs: list[WorkerJob]) -> WorkerJobsDied:
        states = {str(job.job_id): job.state for job in jobs}
        said = ", ".join(
            f"{job.job_id} ({job.state}{': ' + job.reason if job.reason not in ('', 'None') else ''})" for job in jobs
        )
        return WorkerJobsDied(
            f"worker jobs end before a worker connects: {said}; {last_words(self.log_directory, states)}\n"
            "The job script is that of cluster.job_script(); look at the lines of prologue= and at python=",
            states,
        )

    def _replace(self, cluster: Any, lost: list[WorkerJob]) -> None:
        """Have jobs submitted again, and say which ended, why, and what is there instead."""
        before = len(self._jobs)
        cluster.sync(systems.submit_lost_again, cluster, [job.name for job in lost])
        with self._lock:
            new = self._jobs[before:]
            taken = [str(job.job_id) for job in new if job.job_id is not None]
            refused = [job for job in new if job.job_id is None]
        without = "not replaced yet" if refused else "Dask asks for another when it needs one"
        for job in lost:
            job.replaced = True
            then = f"replaced by {taken.pop(0)}" if taken else without
            if job.job_id is not None:
                self.say(f"worker job {job.job_id} ended: {_why(job)}; {then}")
        if refused:
            self._hasty += 1
            self._due = time.monotonic() + min(QUICK * 2.0**self._hasty, NO_ANSWER)
            self.say(f"the queue refused {len(refused)} worker jobs and will be asked again: {refused[-1].reason}")

    def _report_waiting(self, now: float) -> None:
        with self._lock:
            alive = [job for job in self._jobs if job.ended is None]
            since = self._jobs[0].submitted if self._jobs else now
        if self._first is None and self._reported < len(REPORTS) and now - since > REPORTS[self._reported]:
            self._reported += 1
            self.say(f"no worker yet after {(now - since) / 60:.0f} min; {self._waiting(alive)}")

    def _waiting(self, alive: list[WorkerJob]) -> str:
        reasons = sorted({job.reason for job in alive if job.reason not in ("", "None")})
        return f"{len(alive)} worker jobs are in the queue" + (f" ({', '.join(reasons)})" if reasons else "")

    # ---- saying so ---------------------------------------------------------------------------------------------------

    def say(self, event: str) -> None:
        """Note an event for `messages`, and log it."""
        with self._lock:
            self._events = [*self._events[-999:], event]
        logger.warning("%s", event)

    def _fail(self, error: ReelError) -> None:
        with self._lock:
            self._error = error
        logger.error("%s", error)

    def _end(self, cluster: Any) -> None:
        """Close the cluster, unless somebody looks after it."""
        if self._over.wait(min(5.0, ATTENDED)) or time.monotonic() - self._checked < ATTENDED:
            return
        logger.error("the cluster is closed, so that what waits for it ends")
        cluster.close()


def _why(job: WorkerJob) -> str:
    if job.state == "COMPLETED" and job.seen is not None:
        return "COMPLETED, its worker has retired"
    return f"{job.state} ({job.reason})" if job.reason not in ("", "None") else job.state


def _any_running(jobs: Iterable[WorkerJob]) -> bool:
    return any(job.begun is not None for job in jobs)
