"""Two threads against one: wall time of the engine, with controls that say whether the machine was free."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from . import kernel, recordings, spectrogram
from .measure import Settings, Table, race


def shared(part: Callable[[], None], parts: int, threads: int) -> Callable[[], None]:
    """`parts` calls of a function, by so many threads."""

    def work() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda _: part(), range(parts)))

    return work


def hashing() -> None:
    """Holds no lock: two threads take half the time where two cores are free."""
    hashlib.sha256(memoryview(HASHED)).digest()


HASHED = bytes(2**22)


def counting() -> None:
    """Holds the interpreter's lock: two threads take as long as one."""
    total = 0
    for k in range(100_000):
        total += k


def transforms() -> None:
    """FFTs of frames in the cache and nothing else."""
    from scipy import fft

    batch = np.ones((256, 1024), np.float32)
    for _ in range(16):
        fft.rfft(batch, axis=-1)


def reelarray_files(folder: str, what: str, threads: int, engine: str, suffix: str = "wav") -> Callable[[], object]:
    """A result of files by so many threads; a spectrogram is dropped block by block."""
    import dask

    import reelarray as ra

    def work() -> object:
        x = ra.open_recordings(folder, pattern=f"*.{suffix}", cache=False)
        with dask.config.set(scheduler="threads" if threads else "sync", num_workers=threads or 1):
            if what == "means":
                return len(ra.power_spectrum(x, every="60s", engine=engine).compute())
            return int(spectrogram.streamed(ra.spectrogram(x, engine=engine).data).compute())

    return work


def run(settings: Settings) -> list[Table]:
    parts = settings.pick(tiny=2, quick=20, full=100)
    if settings.size == "full":  # so long that opening, which one thread does, is no part of it
        folder = recordings.repeated(settings.data, 6)
    else:
        folder = recordings.folder(settings.data, settings.pick(tiny=20.5, quick=600.5, full=0))
    compressed = recordings.folder(settings.data, settings.pick(tiny=20.5, quick=181.5, full=1801.5), "flac")
    works: dict[str, Callable[[int], Callable[[], object]]] = {
        "control without a lock": partial(shared, hashing, parts),
        "control with the interpreter's lock": partial(shared, counting, parts),
        "FFT alone": partial(shared, transforms, parts),
    }
    for name, engine in kernel.engines().items():
        works[f"{name} spectrogram from files"] = partial(reelarray_files, folder, "spectrogram", engine=engine)
        works[f"{name} 60 s means from files"] = partial(reelarray_files, folder, "means", engine=engine)
        works[f"{name} 60 s means from FLAC"] = partial(
            reelarray_files, compressed, "means", engine=engine, suffix="flac"
        )
    variants = {f"{name} {threads}": make(threads=threads) for name, make in works.items() for threads in (1, 2)}
    alone = "reelarray spectrogram from files"
    variants[f"{alone} 0"] = works[alone](threads=0)
    times = race(variants, settings.repeats, time.perf_counter)
    table = Table("threads", "Two threads against one, wall time", ("what", "1 thread s", "2 threads s", "speed-up"))
    for name in works:
        table.add(name, times.median(f"{name} 1"), times.median(f"{name} 2"), times.speed(f"{name} 2", f"{name} 1"))
    free = table.rows[0][-1] >= 1.8
    table.notes.append(
        "The control without a lock must reach 1.8, the one with it stay near 1: "
        + ("they do." if free else "**they do not, so two cores were not free and this table says nothing.**")
    )
    table.notes.append(
        f"One scheduler thread against none: {times.speed(f'{alone} 1', f'{alone} 0'):.2f} times as fast."
    )
    return [table]
