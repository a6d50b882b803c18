"""Two threads against one: wall time of the engine, with controls that say whether the machine was free."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from . import recordings, spectrogram
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


def run(settings: Settings) -> list[Table]:
    seconds = settings.pick(tiny=20.5, quick=600.5, full=3600.5)
    parts = settings.pick(tiny=2, quick=20, full=100)
    folder = recordings.folder(settings.data, seconds)
    variants: dict[str, Callable[[], object]] = {}
    for threads in (1, 2):
        variants |= {
            f"control without a lock {threads}": shared(hashing, parts, threads),
            f"control with the interpreter's lock {threads}": shared(counting, parts, threads),
            f"FFT alone {threads}": shared(transforms, parts, threads),
            f"reelarray spectrogram from files {threads}": spectrogram.reelarray_files(folder, "threads", threads),
        }
    variants["reelarray spectrogram from files, no scheduler threads"] = spectrogram.reelarray_files(folder)
    times = race(variants, settings.repeats, time.perf_counter)
    table = Table("threads", "Two threads against one, wall time", ("what", "1 thread s", "2 threads s", "speed-up"))
    for name in [name[:-2] for name in variants if name.endswith(" 1")]:
        table.add(name, times.median(f"{name} 1"), times.median(f"{name} 2"), times.speed(f"{name} 2", f"{name} 1"))
    free = table.rows[0][-1] >= 1.8
    table.notes.append(
        "The control without a lock must reach 1.8, the one with it stay near 1: "
        + ("they do." if free else "**they do not, so two cores were not free and this table says nothing.**")
    )
    sync, one = "reelarray spectrogram from files, no scheduler threads", "reelarray spectrogram from files 1"
    table.notes.append(f"One scheduler thread against none: {times.speed(one, sync):.2f} times as fast.")
    return [table]
