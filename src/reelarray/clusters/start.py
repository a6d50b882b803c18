"""`cluster()`: a Dask cluster on this machine or in a batch queue, with a watch over its jobs."""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ClusterError, SettingError
from . import folders, systems
from .queues import get_queue
from .settings import DEFAULTS, Settings, settings
from .watch import JobWatch

if TYPE_CHECKING:
    from .queues import Queue

# Words of a queue that is too busy to answer; all others are about what it was asked for, and stay what they are.
BUSY = re.compile(r"tim(ed?|ing)[ -]?out|gave no answer|socket|try again|temporar", re.IGNORECASE)
PAUSES = (5.0, 15.0)  # seconds before a busy queue is asked again for the first job of a run that nobody watches


def cluster(
    kind: str | None = None,
    preset: str | None = None,
    *,
    jobs: int | None = None,
    name: str | None = None,
    **options: Any,
) -> Any:
    """A running Dask cluster: on this machine, or as worker jobs of a batch queue.

    What is given back is the cluster of Dask or dask-jobqueue itself, to be used in a ``with`` block:
    ``cluster.get_client()``, ``cluster.scale(jobs=...)``, ``cluster.dashboard_link``, ``cluster.job_script()``.
    Its ``watch`` is a `JobWatch`, which has worker jobs that are lost submitted again; its ``settings`` are what it
    was made with. A ``umask`` in the settings becomes that of this process as well, which makes what workers fill.

    Parameters
    ----------
    kind : "local", "slurm", "pbs", "sge", "lsf", "moab", "oar" or "htcondor"; by default what the configuration says,
        else "local"
    preset : "low" (default in a queue), "medium", "high" (default here: the whole machine), or one of the site's own
    jobs : number of worker jobs; this machine is one
    name : of the jobs in the queue
    **options : further settings, in place of those of the preset: see `settings`

    Raises
    ------
    SettingError : settings that are unknown or cannot be
    ClusterError : the queue refuses the jobs; the message has its own words

    >>> with cluster("local", cores=1, memory="1GiB") as c:
    ...     c.get_client().submit(sum, [1, 2]).result()
    3
    """
    chosen = settings(kind, preset, jobs=jobs, name=name, **options)
    if chosen.umask is not None:
        os.umask(chosen.umask)
    return _local(chosen) if chosen.kind == "local" else _queued(chosen)


def watch_of(chosen: Settings, queue: Queue | None) -> JobWatch:
    """A watch with the settings of a cluster, which has still to be started."""
    return JobWatch(
        queue,
        interval=chosen.watch_interval,
        patience=chosen.patience,
        log_directory=chosen.log_directory,
        processes=chosen.processes,
    )


def check_interface(name: str | None) -> None:
    """Raise `SettingError` if this machine, where the scheduler runs, has no such network interface."""
    known = [interface for _, interface in socket.if_nameindex()]
    if name is not None and name not in known:
        raise SettingError(
            f"interface={name!r} is none of this machine's: {', '.join(known)}; where the nodes of workers have "
            "another, give that as interface= and this machine's as scheduler_interface="
        )


def _local(chosen: Settings) -> Any:
    import dask
    from distributed import LocalCluster

    check_interface(chosen.interface)
    started = dask.config.get("distributed.nanny.pre-spawn-environ") | systems.ENVIRONMENT
    preload = list(dask.config.get("distributed.worker.preload"))
    if chosen.umask is not None:
        preload.append(f"import os; os.umask({chosen.umask})")
    folder = (
        None if chosen.local_directory == DEFAULTS["local_directory"] else os.path.expandvars(chosen.local_directory)
    )
    with dask.config.set({"distributed.nanny.pre-spawn-environ": started, "distributed.worker.preload": preload}):
        made: Any = LocalCluster(
            n_workers=chosen.processes,
            threads_per_worker=chosen.threads,
            memory_limit=chosen.memory // chosen.processes,
            dashboard_address=":0",
            interface=chosen.interface,
            local_directory=folder,
            security=systems.security(chosen),
        )
    made.watch, made.settings = watch_of(chosen, None), chosen  # nothing to watch: Dask itself restarts its processes
    return made


def _queued(chosen: Settings) -> Any:
    check_interface(chosen.scheduler_interface or chosen.interface)
    job_class = systems.cluster_class(chosen.kind).job_cls
    if shutil.which(job_class.submit_command) is None:
        raise ClusterError(
            f"{job_class.submit_command} was not found on PATH: kind={chosen.kind!r} needs a machine from which "
            "jobs are submitted; kind='local' uses this one"
        )
    try:
        Path(chosen.log_directory).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"log_directory={chosen.log_directory!r} cannot be made: {error}") from error
    try:
        queue: Queue | None = get_queue(chosen.kind)
    except ClusterError:
        queue = None
    watch = watch_of(chosen, queue)
    _end_workers_of_earlier_links(watch)
    made = systems.start_watched(chosen, watch.records, watch.stop)
    try:
        made.watch, made.settings = watch, chosen
        # The first job alone: a queue that refuses is asked once.
        for number in dict.fromkeys((1, chosen.jobs)):
            systems.submit(made, number)
            _ask_again(made, watch)
            if (words := watch.records.refusal()) is not None and not watch.job_ids():
                raise ClusterError(f"the queue refused a worker job: {words}; `reel cluster show` prints its script")
    except BaseException:
        made.close()
        raise
    if queue is None:
        watch.say(f"jobs of {chosen.kind} cannot be asked after here: only workers that leave are seen")
    watch.start(made)
    return made


def _ask_again(made: Any, watch: JobWatch) -> None:
    """Ask a queue that was too busy for the first job once more, in runs that nobody watches."""
    for pause in PAUSES if folders.of_this_process() is not None else ():
        words = watch.records.refusal()
        if words is None or watch.job_ids() or not BUSY.search(words):
            return
        time.sleep(pause)
        watch.submit_refused_again(made)


def _end_workers_of_earlier_links(watch: JobWatch) -> None:
    """Cancel worker jobs of links before this one: a driver that was killed could not, and they hold its place."""
    folder = folders.of_this_process()
    for kind, jobs in folders.worker_jobs(folder, earlier=True).items() if folder is not None else ():
        try:
            get_queue(kind).cancel(jobs)
        except ClusterError as error:  # they end by themselves, later
            watch.say(f"worker jobs of earlier links may still be in the queue: {error}")
