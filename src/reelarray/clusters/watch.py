"""JobWatch: what became of the worker jobs of a cluster, in the background; jobs that are lost are submitted again."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..errors import ClusterError, ReelError, WorkerJobsDied
from . import folders, systems
from .logs import last_words
from .records import JobRecords, WorkerJob

if TYPE_CHECKING:
    from .queues import Queue

logger = logging.getLogger("reelarray.clusters")

QUICK = 2.0  # seconds to the next question after something has happened; then ever longer, up to the interval
GROWTH = 1.3
NO_ANSWER = 600.0  # seconds for which a queue may fail to answer
NO_WORKER = 300.0  # seconds that a job may run without a worker, while there never was one
HASTY = 60.0  # a job that lives shorter is not submitted again at once for ever
UNSEEN, DEATHS = 2, 5  # jobs that may end without a worker: where there never was one, and one after the other
ATTENDED = 30.0  # seconds since the last `check()`: a driver that looks is told, and closes the cluster itself
REPORTS = (60.0, 300.0, 900.0)  # seconds of waiting for the first worker, after which it is said


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
        self.log_directory = log_directory
        self._wake, self._over = threading.Event(), threading.Event()
        self.records = JobRecords(processes, asked=queue is not None, changed=self._wake.set)
        self._lock = threading.Lock()
        self._events: list[str] = []
        self._error: ReelError | None = None
        self._checked = -ATTENDED
        self._silent: float | None = None  # since when the queue has not answered
        self._hasty = 0  # rounds in a row in which jobs lived too shortly
        self._due = 0.0
        self._reported = 0
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
        return self.records.counts()

    def job_ids(self) -> list[str]:
        """Ids of the jobs that have not ended."""
        return [job.job_id for job in self.records.alive() if job.job_id is not None]

    def submit_refused_again(self, cluster: Any) -> None:
        """Submit jobs that the queue has refused once more, at once."""
        self._replace(cluster, self.records.lost(cluster.worker_spec))

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
        alive = self.records.alive()
        ended = self._ended(alive, now)
        lost = self.records.lost(cluster.worker_spec)
        self._count([job for job in ended if job in lost], now)
        self._judge(lost, now)
        due = self._error is None and bool(lost) and now >= self._due and not _cancelled()
        if due:
            self._replace(cluster, lost)
        self._report_waiting(now)
        return due or bool(ended) or any(job.begun == now for job in alive)

    def _ended(self, alive: Iterable[WorkerJob], now: float) -> list[WorkerJob]:
        """Jobs that have ended since the last time."""
        asked = {job.job_id: job for job in alive if job.job_id is not None}
        if self.queue is None:
            return [job for job in asked.values() if self.records.unasked(job, now)]
        if not asked:
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
        with self.records.lock:
            return [job for job_id, job in asked.items() if self.records.answered(job, states.get(job_id), now)]

    def _count(self, ended: list[WorkerJob], now: float) -> None:
        """Count jobs that never had a worker, and how often in a row some lived too shortly."""
        if not ended:
            return
        self.records.deaths += sum(job.seen is None for job in ended)
        hasty = any(job.seen is None or (now - job.seen < HASTY and job.state != "COMPLETED") for job in ended)
        self._hasty = self._hasty + 1 if hasty else 0
        # At once a few times; then a queue is not to be flooded with jobs that die.
        self._due = now + (0.0 if self._hasty <= DEATHS else min(QUICK * 2.0 ** (self._hasty - DEATHS), NO_ANSWER))

    def _judge(self, lost: list[WorkerJob], now: float) -> None:
        """Find what makes waiting useless."""
        with self.records.lock:
            jobs = [job for job in self.records.all if job.job_id is not None]
            alive = [job for job in jobs if job.ended is None]
            connected = any(job.workers for job in jobs)
            unseen = [job for job in jobs if job.ended is not None and job.seen is None]
        if connected or self._error is not None:
            return
        refused = [job for job in lost if job.job_id is None]
        begun = [job for job in alive if job.begun is not None]
        running = [job for job in begun if job.begun is not None and now - job.begun > NO_WORKER]
        if self.records.deaths >= (UNSEEN if self.records.first is None else DEATHS):
            self._fail(self._died(unseen[-self.records.deaths :]))
        elif len(refused) >= UNSEEN and not alive:
            self._fail(ClusterError(f"the queue refuses worker jobs: {refused[-1].reason}"))
        elif self.records.first is None and running:
            ids = [str(job.job_id) for job in running]
            self._fail(
                ClusterError(
                    f"worker jobs {', '.join(ids)} have run for {NO_WORKER / 60:.0f} min and no worker has connected: "
                    "check interface= (workers reach the scheduler through it) and the lines of prologue=; "
                    + last_words(self.log_directory, ids)
                )
            )
        elif self.records.first is None and jobs and now - jobs[0].submitted > self.patience and not begun:
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
        before = len(self.records.all)
        cluster.sync(systems.submit_lost_again, cluster, [job.name for job in lost])
        with self.records.lock:
            new = self.records.all[before:]
            taken = [str(job.job_id) for job in new if job.job_id is not None]
            refused = [job for job in new if job.job_id is None]
        without = "not replaced yet" if refused else "Dask asks for another when it needs one"
        for job in lost:
            job.settled = True
            then = f"replaced by {taken.pop(0)}" if taken else without
            if job.job_id is not None:
                self.say(f"worker job {job.job_id} ended: {job.why}; {then}")
        if refused:
            self._hasty += 1
            self._due = time.monotonic() + min(QUICK * 2.0**self._hasty, NO_ANSWER)
            self.say(f"the queue refused {len(refused)} worker jobs and will be asked again: {refused[-1].reason}")

    def _report_waiting(self, now: float) -> None:
        alive = self.records.alive()
        since = self.records.all[0].submitted if self.records.all else now
        if self.records.first is None and self._reported < len(REPORTS) and now - since > REPORTS[self._reported]:
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
        # Who looks shows events in a way of its own.
        logger.log(logging.INFO if self._attended() else logging.WARNING, "%s", event)

    def _fail(self, error: ReelError) -> None:
        with self._lock:
            self._error = error
        logger.log(logging.INFO if self._attended() else logging.ERROR, "%s", error)

    def _attended(self) -> bool:
        return time.monotonic() - self._checked < ATTENDED

    def _end(self, cluster: Any) -> None:
        """Close the cluster, unless somebody looks after it."""
        if self._over.wait(min(5.0, ATTENDED)) or self._attended():
            return
        logger.error("the cluster is closed, so that what waits for it ends")
        cluster.close()


def _cancelled() -> bool:
    """Whether the run that this process belongs to was cancelled, and its worker jobs with it."""
    folder = folders.of_this_process()
    return folder is not None and (folder / folders.CANCELLED).exists()
