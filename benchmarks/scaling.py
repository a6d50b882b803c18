"""Scaling: threads and processes, length of the recording, overlap of the windows; wall time and peak memory."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

from . import averages, recordings, spectrogram
from .measure import Settings, Table, alone, race

Work = Callable[[], Any]


def averages_dropped(folder: str, scheduler: str, workers: int) -> Work:
    """Power spectra that are dropped block by block, as a sink would do: a day of them is 3 MiB."""
    import dask

    import reelarray as ra

    def work(folder: str = folder) -> int:
        spectra = ra.power_spectrum(ra.open_recordings(folder, cache=False), every="60s")
        with dask.config.set(scheduler=scheduler, num_workers=workers):
            return int(spectrogram.streamed(spectra.data).compute())

    recordings.warm(work)
    return work


def by_processes(folder: str, pool: ProcessPoolExecutor) -> Work:
    """Power spectra by processes that are there before the clock starts."""
    import dask

    with dask.config.set(pool=pool):
        ours = averages.reelarray_files(folder, scheduler="processes")

    def work() -> Any:
        with dask.config.set(pool=pool):
            return ours()

    return work


def workers(settings: Settings, folder: str, length: str) -> Table:
    """One and two of each, in turn."""
    kinds = {
        "threads, hop nfft/2": partial(averages.reelarray_files, folder, scheduler="threads"),
        "threads, hop nfft/4": partial(averages.reelarray_files, folder, scheduler="threads", hop=averages.NFFT // 4),
    }
    with ExitStack() as stack:
        variants: dict[str, Work] = {
            f"{name} {count}": make(workers=count) for name, make in kinds.items() for count in (1, 2)
        }
        for count in (1, 2):
            pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"))
            variants[f"processes, hop nfft/2 {count}"] = by_processes(folder, stack.enter_context(pool))
        times = race(variants, settings.repeats, time.perf_counter)
    table = Table(
        "workers",
        f"60 s power spectra of {length} of 48 kHz 16-bit WAV, nfft 1024: wall time by one and by two",
        ("what", "1: s", "2: s", "speed-up"),
        notes=["The processes are there, with reelarray imported, before the clock starts. `threads` has controls."],
    )
    for name in (*kinds, "processes, hop nfft/2"):
        table.add(name, *(times.median(f"{name} {k}") for k in (1, 2)), times.speed(f"{name} 2", f"{name} 1"))
    return table


def lengths(settings: Settings, hours: tuple[int, ...]) -> Table:
    """Each in fresh processes, in turn."""
    table = Table(
        "length",
        "Against the length of the recording: 48 kHz 16-bit WAV, nfft 1024, hop 512, default chunks",
        (
            "length", "power spectra, 1 thread: s", "2 threads: s", "2 threads: peak MiB",
            "spectrogram, 2 threads: s", "spectrogram, 2 threads: peak MiB",
        ),
        notes=[
            "Wall time, and peak memory above that of the imported libraries. The files of one hour (346 MB, which no "
            "cache holds) are linked under the names of all hours. Results are dropped block by block."
        ],
    )  # fmt: skip
    repeats = settings.pick(tiny=1, quick=1, full=3)
    for length in hours:
        folder = recordings.repeated(settings.data, length) if length else recordings.folder(settings.data, 20.5)
        two: dict[str, Any] = {"folder": folder, "scheduler": "threads", "workers": 2}
        spectra = [alone(averages.reelarray_files, **two) for _ in range(repeats)]
        whole = [alone(spectrogram.reelarray_files, **two) for _ in range(repeats)]
        found = [
            [statistics.median(getattr(run, part) for run in runs) for part in ("wall", "peak")]
            for runs in (spectra, whole)
        ]
        one = alone(averages_dropped, **(two | {"workers": 1})).wall
        table.add(f"{length} h" if length else "20 s", one, *found[0], *found[1])
    return table


def run(settings: Settings) -> list[Table]:
    hours = settings.pick(tiny=(0,), quick=(1,), full=(1, 6, 24))
    seconds = settings.pick(tiny=20.5, quick=600.5, full=3600.0)
    folder = recordings.folder(settings.data, seconds)
    return [workers(settings, folder, f"{seconds / 60:.0f} min"), lengths(settings, hours)]
