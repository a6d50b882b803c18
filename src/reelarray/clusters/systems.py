"""Settings in the words of dask-jobqueue's classes, one table for all its systems; all contact with their insides."""

from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import MissingPackage
from .folders import note_worker
from .script import quoted
from .settings import Settings
from .values import mebibytes, walltime_text

if TYPE_CHECKING:
    from .records import JobRecords

CLASSES = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "moab": "MoabCluster",
    "oar": "OARCluster",
    "htcondor": "HTCondorCluster",
}
# Dask's own trim threshold (64 KiB) gives back after every task what the next one asks for; the others keep a worker
# of n threads from starting n threads for each of them.
ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": "67108864",
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
_CREDENTIALS = ("_job_ca_file", "_job_cert", "_job_key")
AT_ONCE = 4  # commands of the queue
PATIENCE = 120.0  # seconds that a submission may take


def cluster_class(kind: str) -> Any:
    """The class of dask-jobqueue."""
    import dask_jobqueue

    return getattr(dask_jobqueue, CLASSES[kind])


def prologue(settings: Settings) -> list[str]:
    """Shell lines before the worker. A line that fails ends the job, rather than a worker in the wrong place start."""
    lines = [] if settings.umask is None else [f"umask {settings.umask:04o}"]
    lines += [f"export {name}={value}" for name, value in ENVIRONMENT.items()]
    return [*lines, "set -e", *settings.prologue, "set +e"] if settings.prologue else lines


def keywords(settings: Settings) -> dict[str, Any]:
    """What the job class of a kind is called with; each default that matters is said."""
    common: dict[str, Any] = {
        "cores": settings.cores,
        "processes": settings.processes,  # also where it is 1: the cluster looks for the keyword
        "memory": f"{settings.memory}B",
        "job_name": settings.name,
        "interface": settings.interface,
        "death_timeout": settings.death_timeout,
        "local_directory": f'"{settings.local_directory}"',
        "log_directory": settings.log_directory,
        "python": settings.python,
        "job_script_prologue": prologue(settings),
        "job_directives_skip": list(settings.skip_directives),
        "job_extra_directives": list(settings.extra_directives),
        # A worker ends before the queue ends its job, and its job with it: said, since a site's configuration of Dask
        # may restart workers, whose second lifetime would then go beyond the walltime.
        "worker_extra_args": [
            "--lifetime",
            f"{settings.lifetime}s",
            "--lifetime-stagger",
            f"{settings.stagger}s",
            "--no-lifetime-restart",
        ],
    }
    return common | _own(settings) | dict(settings.special)


def _own(settings: Settings) -> dict[str, Any]:
    """What each system calls queue, account, walltime and memory of a job."""
    size = mebibytes(settings.job_memory)
    walltime = walltime_text(settings.walltime)
    queue = {"queue": settings.queue}
    match settings.kind:
        case "slurm":
            log = f"{settings.log_directory.replace('%', '%%')}/{settings.name}-%J"
            own = {"account": settings.account, "walltime": walltime, "job_mem": f"{size}M"}
            return queue | own | _logs(settings, f"{log}.err", f"{log}.out")
        case "pbs" | "moab":
            asked = f"select=1:ncpus={settings.cores}:mem={size}mb"
            own = {"account": settings.account, "walltime": walltime, "resource_spec": asked}
            return queue | own | _logs(settings, *2 * [f"{settings.log_directory}/"])
        case "lsf":  # hours and minutes; bytes
            return queue | {"project": settings.account, "walltime": walltime[:-3], "mem": settings.job_memory}
        case "htcondor":  # no queue, no walltime; directives are names and values
            pairs = (line.partition("=") for line in settings.extra_directives)
            asked_for = {"RequestMemory": size} | {name.strip(): value.strip() for name, _, value in pairs}
            return {"disk": "10GiB", "job_extra_directives": asked_for}
        case "oar":  # whose class says nothing of logs
            log = f"{settings.log_directory}/{settings.name}-%jobid%"
            directives = [f"-O {log}.out", f"-E {log}.err", *settings.extra_directives]
            return queue | {
                "project": settings.account,
                "walltime": walltime,
                "job_extra_directives": directives,
                "memory_per_core_property_name": "not_applicable",
            }
        case _:
            return queue | {"project": settings.account, "walltime": walltime}


def _logs(settings: Settings, errors: str, output: str) -> dict[str, Any]:
    """Directives of logs, instead of those of dask-jobqueue, which quotes nothing; the folder is an absolute one."""
    asked = [f"-e {quoted(errors)}", f"-o {quoted(output)}"]
    kept = [line for line in asked if not any(skipped in line for skipped in settings.skip_directives)]
    return {
        "job_directives_skip": [*settings.skip_directives, "-e /", "-o /"],
        "job_extra_directives": [*kept, *settings.extra_directives],
    }


def worker_script(settings: Settings) -> str:
    """The job script of one worker job, as it would be submitted; makes nothing."""
    job_class = cluster_class(settings.kind).job_cls
    with tempfile.TemporaryDirectory(prefix="reelarray-") as folder:  # the class makes the folder of its logs
        job = job_class(
            "tcp://SCHEDULER:PORT", name=f"{settings.name}-0", **keywords(settings) | {"log_directory": folder}
        )
        return str(job.job_script()).replace(folder, settings.log_directory)


def environment() -> dict[str, str]:
    """What a submit command sees: not the job that this process may itself be in, whose limits it would inherit."""
    inside = ("SLURM_",) if "SLURM_JOB_ID" in os.environ else ()
    ours = ("REELARRAY_DEADLINE", "REELARRAY_WALLTIME", "REELARRAY_RUN", "REELARRAY_LINK")
    kept = {name: value for name, value in os.environ.items() if name not in ours and not name.startswith(inside)}
    return kept | {name: os.environ[name] for name in ("SLURM_CONF",) if name in os.environ}


def start_watched(settings: Settings, records: JobRecords, over: Callable[[], None]) -> Any:
    """A cluster of dask-jobqueue without jobs, which tells what becomes of jobs and workers, and that it is over."""
    from distributed.core import Status

    base: Any = cluster_class(settings.kind)
    base_job: Any = base.job_cls
    at_once = asyncio.Semaphore(AT_ONCE)

    class Job(base_job):  # type: ignore[misc]
        async def start(self) -> None:
            try:
                await asyncio.wait_for(super().start(), PATIENCE)
            except TimeoutError:
                records.refused(self.name, f"{self.submit_command} gave no answer for {PATIENCE:.0f} s")
            except (RuntimeError, ValueError, OSError) as error:
                records.refused(self.name, _said(error))
            else:
                records.submitted(self.name, self.job_id)
                if records.asked:  # a queue that can cancel jobs by their ids
                    note_worker(settings.kind, str(self.job_id))
            # Raised here, a refusal would end in a log line of the event loop, and the cluster would hold a job that
            # never was for one that waits.
            self.status = Status.running

        async def close(self) -> None:
            if records.is_there(self.job_id):
                await super().close()
            self.status = Status.closed

        @staticmethod
        async def _call(cmd: list[str], *, shell: bool = False, **options: Any) -> str:
            async with at_once:
                return await base_job._call(cmd, shell=shell, env=environment(), **options)

    class Cluster(base):  # type: ignore[misc]
        _numbers = itertools.count()

        def _new_worker_name(self, worker_number: int) -> str:
            return f"{settings.name}-{next(self._numbers)}"  # never used again, so that no two jobs are one to Dask

        async def _close(self) -> None:
            over()
            await super()._close()
            for name in _CREDENTIALS:  # else they lie beside the logs for as long as this object is referred to
                if (file := self.__dict__.pop(name, None)) is not None:
                    file.close()

    Job.__name__, Cluster.__name__ = base_job.__name__, base.__name__
    cluster = Cluster(
        job_cls=Job,
        name=settings.name,
        security=security(settings),
        shared_temp_directory=settings.log_directory,
        scheduler_options={
            "dashboard_address": ":0",
            "interface": settings.scheduler_interface or settings.interface,
        },
        **keywords(settings),
    )
    cluster.sync(_listen, cluster.scheduler, records)
    return cluster


async def _listen(scheduler: Any, records: JobRecords) -> None:
    """Tell of workers; on the cluster's event loop."""
    from distributed import SchedulerPlugin

    class Arrivals(SchedulerPlugin):
        def add_worker(self, scheduler: Any, worker: str) -> None:
            records.worker_came(str(scheduler.workers[worker].name), worker)

        def remove_worker(self, scheduler: Any, worker: str, **options: Any) -> None:
            records.worker_left(worker)

    scheduler.add_plugin(Arrivals(), name="reelarray-watch")


def submit(cluster: Any, jobs: int) -> None:
    """Scale a cluster and wait until the queue has answered for each job."""

    async def settled() -> None:
        await cluster

    cluster.scale(jobs=jobs)
    cluster.sync(settled)


def security(settings: Settings) -> Any:
    """What Dask's clusters take as ``security``."""
    if not settings.security:
        return None
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise MissingPackage(
            "security=True makes credentials with the package cryptography: pip install reelarray[secure]"
        ) from None
    return True


def _said(error: Exception) -> str:
    """The queue's own words in an error of dask-jobqueue, which has the command and both streams in it."""
    text = str(error)
    for part in (text.partition("stderr:")[2], text.partition("stdout:")[2].partition("stderr:")[0], text):
        if part.strip():
            return " ".join(part.split())
    return type(error).__name__


async def submit_lost_again(cluster: Any, names: list[str]) -> list[str]:
    """Replace the jobs with these names, one for one, as far as they are wanted; on the cluster's event loop.

    ``worker_spec`` is Dask's own statement of how many jobs are wanted: what a user has scaled away is not in it, and
    an adaptive cluster asks for what it needs by itself.
    """
    wanted = [name for name in names if name in cluster.worker_spec]
    for name in wanted:
        del cluster.worker_spec[name]
    if not is_adaptive(cluster):
        for _ in wanted:
            cluster.worker_spec.update(cluster.new_worker_spec())
    await cluster
    return wanted


def is_adaptive(cluster: Any) -> bool:
    """Whether Dask decides by itself how many jobs there are."""
    adaptive = getattr(cluster, "_adaptive", None)
    return adaptive is not None and bool(getattr(adaptive, "periodic_callback", None))
