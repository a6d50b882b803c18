"""On a cluster of this machine: what a task costs beside its work, what moves between workers, and what they hold."""

from __future__ import annotations

import gc
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from . import measure, recordings
from .graph import by_map_overlap
from .measure import MIB, Settings, Table

HOP = 512
EVERY = "60s"
WRITTEN = "ra.write_zarr"
OVERLAP = "dask's map_overlap and scipy"
SAMPLED = 0.05  # s between two looks at what workers hold
BLOCKS = (4, 8, 16, 32)  # Mi samples
# Memory that is freed is kept for the next block, as glibc would by itself. Dask's nannies have it given back at once,
# every piece of 128 KiB or more, and the system fills each with zeros when it is asked for again.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": 2**25, "MALLOC_TRIM_THRESHOLD_": 2**26}


@contextmanager
def cluster(workers: int, threads: int, environment: dict[str, int] | None = None) -> Iterator[Any]:
    """A client of a cluster of processes on this machine, with reelarray imported in each."""
    import dask
    from distributed import Client, LocalCluster

    settings = {f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in (environment or {}).items()}
    size = {"n_workers": workers, "threads_per_worker": threads}
    before = dict(os.environ)
    try:
        with (
            dask.config.set(settings),
            LocalCluster(**size, host="127.0.0.1", dashboard_address=":0") as local,
            Client(local, set_as_default=False) as client,
        ):
            _restore(before)
            client.run(_imports)
            yield client
    finally:
        _restore(before)


def _restore(environment: dict[str, str]) -> None:
    """Nannies leave what they set for their workers in this process, where its other children would find it."""
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)


def _imports() -> None:
    import reelarray as ra

    ra.spectrogram(ra.recording(np.zeros(2048, np.int16), rate=2048))


# ---- jobs ------------------------------------------------------------------------------------------------------------


def _size(block: np.ndarray) -> np.ndarray:
    return np.full((1,) * block.ndim, block.size)


def dropped(data: Any) -> Any:
    """An array whose blocks are dropped as soon as they are made: 8 bytes of each stay."""
    ones = tuple((1,) * n for n in data.numblocks)
    return data.map_blocks(_size, chunks=ones, dtype=np.int64, meta=np.empty((0,) * data.ndim, np.int64))


def stay(data: Any) -> None:
    """Compute, and leave the result where it is: `compute()` would bring all blocks to one worker first."""
    from distributed import futures_of, wait

    done = data.persist()
    wait(done)
    for future in futures_of(done):
        if future.status == "error":
            future.result()  # raises


def write(x: Any, store: Path) -> None:
    import reelarray as ra

    shutil.rmtree(store, ignore_errors=True)  # else it would find all blocks in place
    ra.write_zarr(x, store)


def jobs(folder: str, chunk: int, store: Path) -> dict[str, Callable[[], None]]:
    """Name -> what a user asks of the cluster, from files to small results, in blocks of `chunk` samples."""
    import reelarray as ra

    x = ra.open_recordings(folder, cache=False, chunks=chunk)
    doubled = x * np.float32(2)  # arithmetic of one's own: samples that no longer are those of files

    def spectrogram(x: Any = x) -> Any:
        return ra.spectrogram(x, hop=HOP, block=chunk // HOP)

    return {
        "ra.spectrogram": lambda: stay(dropped(spectrogram().data)),
        f"ra.spectrogram, {WRITTEN}": lambda: write(spectrogram(), store),
        f"ra.power_spectrum(every={EVERY!r})": lambda: stay(ra.power_spectrum(x, every=EVERY).data),
        f"ra.average(ra.spectrogram, {EVERY!r})": lambda: stay(ra.average(spectrogram(), EVERY).data),
        "ra.spectrogram(2 * x)": lambda: stay(dropped(spectrogram(doubled).data)),
        OVERLAP: lambda: stay(dropped(by_map_overlap(x.data))),
    }


def by_block(folder: str) -> dict[str, Callable[[], None]]:
    """The spectrogram in blocks of several sizes."""
    import reelarray as ra

    x = ra.open_recordings(folder, cache=False)

    def job(mebi: int) -> Callable[[], None]:
        return lambda: stay(dropped(ra.spectrogram(x, hop=HOP, block=mebi * 2**20 // HOP).data))

    return {f"{mebi} Mi": job(mebi) for mebi in BLOCKS}


# ---- what they cost --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """Of one job on a cluster: seconds of CPU time, and MiB."""

    tasks: float
    scheduler: float  # of this process: client, scheduler and nannies
    overhead: float  # of the workers, but for the threads that are in tasks
    work: float  # of those
    transfers: float  # times that a worker asked another for data
    sent: float  # by workers, to each other and to the client
    held: float  # the most that all workers held at once, as the scheduler sees it
    peak: float  # of the worker that grew most, above what it had before

    @property
    def all(self) -> float:
        return self.scheduler + self.overhead + self.work


def _facts(dask_worker: Any) -> dict[str, float]:
    """What a worker has done since it began."""
    seconds = sent = 0.0
    for name, value in dask_worker.digests_total.items():
        if isinstance(name, tuple) and name[0] == "execute" and name[-2] == "thread-cpu":
            seconds += value
        if isinstance(name, tuple) and name[0] == "get-data" and name[-1] == "bytes":
            sent += value
    transfers = dask_worker.state.transfer_incoming_count_total
    return {"cpu": time.process_time(), "work": seconds, "sent": sent, "transfers": transfers}


def _made(client: Any) -> int:
    """Tasks that any worker of the cluster has made."""
    return sum(prefix.state_counts["memory"] for prefix in client.cluster.scheduler.task_prefixes.values())


def watched(client: Any, job: Callable[[], None]) -> tuple[Cost, float]:
    """Run a job once, and look at the workers before, meanwhile and afterwards; and the seconds that it took."""
    from distributed.diagnostics import MemorySampler

    gc.collect()
    sampler = MemorySampler()
    low = client.run(measure._restart_peak)
    before, made = client.run(_facts), _made(client)
    with client.as_current(), sampler.sample("job", client=client, measure="managed", interval=SAMPLED):
        cpu, wall = time.process_time(), time.perf_counter()
        job()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    after, high = client.run(_facts), client.run(measure.peak)
    done = {name: sum(after[w][name] - before[w][name] for w in after) for name in ("cpu", "work", "sent", "transfers")}
    found = Cost(
        tasks=_made(client) - made,
        scheduler=cpu,
        overhead=done["cpu"] - done["work"],
        work=done["work"],
        transfers=done["transfers"],
        sent=done["sent"] / MIB,
        held=max((bytes for _, bytes in sampler.samples["job"]), default=0) / MIB,
        peak=max(high[w] - low[w] for w in high) / MIB,
    )
    return found, wall


def cost(client: Any, job: Callable[[], None], idle: Cost) -> Cost:
    """Of one run of a job, less what a cluster at rest does in that time: `idle`, of one second."""
    found, wall = watched(client, job)
    scheduler, overhead = found.scheduler - wall * idle.scheduler, found.overhead - wall * idle.overhead
    return replace(found, scheduler=max(0.0, scheduler), overhead=max(0.0, overhead))


def costs(clients: dict[str, Any], jobs: dict[str, Callable[[], None]], repeats: int) -> dict[tuple[str, str], Cost]:
    """Medians of each job on each cluster, in turn, after one round that is not counted."""
    rounds: dict[tuple[str, str], list[Cost]] = {(where, name): [] for where in clients for name in jobs}
    idle = {where: watched(client, lambda: time.sleep(1))[0] for where, client in clients.items()}
    for counted in range(-1, repeats):
        for name, job in jobs.items():
            for where, client in clients.items():
                found = cost(client, job, idle[where])
                if counted >= 0:
                    rounds[where, name].append(found)
    return {
        key: Cost(**{f.name: statistics.median(getattr(one, f.name) for one in found) for f in fields(Cost)})
        for key, found in rounds.items()
    }


# ---- tables ----------------------------------------------------------------------------------------------------------


def job_table(found: dict[tuple[str, str], Cost], chunk: int, hours: float) -> Table:
    table = Table(
        "cluster",
        f"Spectra of {hours:.2g} h of 48 kHz 16-bit WAV on a cluster of this machine, in blocks of {chunk / MIB:.3g} "
        "Mi samples",
        (
            "what", "tasks", "scheduler ms a task", "worker ms a task", "work ms a task", "times as fast", "transfers",
            "sent MiB", "held MiB", "peak MiB",
        ),
        notes=[
            "Workers x threads. CPU time: `scheduler` is that of the client's process, with the scheduler in it; "
            "`worker` that of workers outside of tasks, where Zarr compresses and writes; both less what they take at "
            "rest. `work` is that of tasks, `times as fast` of all three, against "
            f"{OVERLAP} on the same workers. `transfers` and `sent` are between workers; `held` is the managed memory "
            f"of all workers, sampled every {SAMPLED * 1000:.0f} ms; `peak` what one worker took above what it had "
            f"before. A block of the spectrogram is {chunk / HOP * 513 * 4 / MIB:.3g} MiB."
        ],
    )  # fmt: skip
    for (where, name), c in found.items():
        each = [1000 * seconds / c.tasks for seconds in (c.scheduler, c.overhead, c.work)]
        faster = None if WRITTEN in name else found[where, OVERLAP].all / c.all
        table.add(f"{where}: {name}", c.tasks, *each, faster, c.transfers, c.sent, c.held, c.peak)
    return table


def memory_table(found: dict[tuple[str, str], Cost], samples: float) -> Table:
    table = Table(
        "cluster-memory",
        "The same spectrogram in workers that give memory back, as Dask starts them, and in workers that keep it",
        ("workers", "Mi samples a block", "tasks", "all CPU ms a Mi sample", "times as fast", "peak MiB"),
        notes=[
            "Kept with " + ", ".join(f"`{name}={value}`" for name, value in KEEP_MEMORY.items()) + ". `times as fast` "
            f"is of all CPU time, against blocks of {BLOCKS[0]} Mi samples in workers as Dask starts them."
        ],
    )
    reference = found["as Dask starts them", f"{BLOCKS[0]} Mi"].all
    for (where, name), c in found.items():
        table.add(where, name.split()[0], c.tasks, 1000 * c.all / samples * MIB, reference / c.all, c.peak)
    return table


def run(settings: Settings) -> list[Table]:
    seconds = settings.pick(tiny=10.5, quick=600.5, full=3600.5)
    chunk = settings.pick(tiny=2**17, quick=2**20, full=2**22)
    shapes = settings.pick(tiny=((1, 1),), quick=((2, 1), (1, 2)), full=((2, 1), (1, 2)))
    folder, repeats = recordings.folder(settings.data, seconds), min(settings.repeats, 3)
    with ExitStack() as stack:
        clients = {f"{w} x {t}": stack.enter_context(cluster(w, t)) for w, t in shapes}
        kept = stack.enter_context(cluster(*shapes[0], KEEP_MEMORY))
        given = next(iter(clients.values()))
        found = costs(clients, jobs(folder, chunk, settings.data / "cluster.zarr"), repeats)
        blocks = costs({"as Dask starts them": given, "memory kept": kept}, by_block(folder), repeats)
    return [job_table(found, chunk, seconds / 3600), memory_table(blocks, seconds * recordings.RATE)]
