"""Graphs: tasks a block, and the time and bytes that a block costs before anything is read."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .measure import Settings, Table, race
from .opening import DAY, catalog


def tasks(array: Any) -> int:
    """Tasks of an optimised Dask array; aliases and data are none."""
    from dask._task_spec import Alias, DataNode

    return sum(not isinstance(task, Alias | DataNode) for task in dict(array.__dask_graph__()).values())


def optimized(array: Any) -> Any:
    import dask

    return dask.optimize(array)[0]


def by_map_overlap(data: Any) -> Any:
    """A spectrogram as a user of Dask alone would write it."""
    import scipy.signal

    def spectra(block: np.ndarray) -> np.ndarray:
        return scipy.signal.spectrogram(block, 48000, nperseg=1024, noverlap=512, detrend=False)[2].T

    chunks = (tuple(n // 512 for n in data.chunks[0]), (513,))
    meta = np.empty((0, 0), np.float32)
    return data.map_overlap(
        spectra,
        depth={0: (0, 512)},
        boundary="none",
        trim=False,
        chunks=chunks,
        new_axis=1,
        dtype=np.float32,
        meta=meta,
    )


def results(x: Any) -> dict[str, Callable[[], Any]]:
    """Name -> a lazy result of a recording, built anew."""
    import reelarray as ra

    return {
        "ra.spectrogram": lambda: ra.spectrogram(x).data,
        "ra.power_spectrum(every='60s')": lambda: ra.power_spectrum(x, every="60s").data,
        "ra.average(ra.spectrogram, every='60s')": lambda: ra.average(ra.spectrogram(x), every="60s").data,
        "dask's map_overlap and scipy": lambda: by_map_overlap(x.data),
    }


def run(settings: Settings) -> list[Table]:
    import cloudpickle

    import reelarray as ra

    files = settings.pick(tiny=30, quick=8760, full=8760)
    recording = ra.open_recordings(catalog(files, 3600), chunks=2**22)
    first = np.datetime64("2022-03-01T03:00:00")
    x = recording.sel(time=slice(first, first + settings.pick(tiny=np.timedelta64(2, "h"), quick=DAY, full=DAY)))
    samples = x.sizes["time"]
    table = Table(
        "graph",
        f"Graphs of {samples / 48000 / 3600:.0f} h sliced from {files / 24:.0f} days of hourly files at 48 kHz",
        ("result", "blocks", "tasks a block", "build us", "optimise us", "both us", "pickled bytes"),
        notes=["Microseconds of CPU time and bytes of the optimised graph are for one block of 4 Mi samples."],
    )
    for name, build in results(x).items():
        done = optimized(build())
        blocks, parts = done.npartitions, samples / 2**22

        def timed(build: Callable[[], Any] = build) -> float:
            array = build()
            before = time.process_time()
            optimized(array)
            return time.process_time() - before

        times = race({"build": lambda build=build: len(build().chunks), "optimise": timed}, settings.repeats)
        build_us, optimise_us = (times.median(part) / parts * 1e6 for part in ("build", "optimise"))
        size = len(cloudpickle.dumps(dict(done.__dask_graph__()))) / parts
        table.add(name, blocks, tasks(done) / blocks, build_us, optimise_us, build_us + optimise_us, size)
    return [table]
