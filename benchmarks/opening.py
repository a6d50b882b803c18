"""Opening: reading headers against the number of files, and building the array against files and length."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from . import recordings
from .measure import Settings, Table, alone, race

DAY = np.timedelta64(24, "h")
HOUR = np.timedelta64(1, "h")


def headers(root: Path, count: int) -> str:
    """A folder of `count` WAV files of a second."""
    here = root / f"headers-{count}"
    if not (here / "whole").exists():
        here.mkdir(parents=True, exist_ok=True)
        second = np.zeros(100, np.int16)
        for k in range(count):
            name = recordings.START + timedelta(seconds=k)
            recordings.write(here / f"{name:%Y%m%d_%H%M%S}.wav", second, rate=100)
        (here / "whole").touch()
    return str(here)


def catalog(files: int, file_seconds: int) -> Any:
    """What `ra.scan` gives for so many 16-bit mono WAV files at 48 kHz, end to end; none of them exists."""
    import pandas as pd

    import reelarray as ra

    with tempfile.TemporaryDirectory() as here:
        one = Path(here) / "20220301_000000.wav"
        recordings.write(one, np.zeros(100, np.int16))
        row = ra.scan(one, cache=False)
    table = row.iloc[np.zeros(files, np.int64)].reset_index(drop=True)
    start = row["start"].iloc[0] + pd.to_timedelta(np.arange(files) * file_seconds, unit="s")
    table["start"], table["stop"] = start, start + pd.Timedelta(seconds=file_seconds)
    table["path"] = [f"/recordings/{t:%Y%m%d_%H%M%S}.wav" for t in start]
    table["samples"] = file_seconds * recordings.RATE
    table["shape"] = [(file_seconds * recordings.RATE,)] * files
    return table


def open_catalog(files: int, file_seconds: int, repeats: int) -> Callable[[], dict[str, float]]:
    """Opens a catalog and selects an hour and a day of it: CPU seconds of each, chunks and layers."""
    import reelarray as ra

    table = catalog(files, file_seconds)
    ra.open_recordings(catalog(3, file_seconds))  # imports
    first = np.datetime64(table["start"].iloc[files // 2])

    def once() -> dict[str, float]:
        times = [time.process_time()]
        x = ra.open_recordings(table)
        times.append(time.process_time())
        x.sel(time=slice(first, first + HOUR))
        times.append(time.process_time())
        x.sel(time=slice(first, first + DAY))
        times.append(time.process_time())
        opened, hour, day = np.diff(times).tolist()
        return {
            "open": opened,
            "hour": hour,
            "day": day,
            "chunks": x.data.npartitions,
            "layers": len(x.data.dask.layers),
        }

    def work() -> dict[str, float]:
        found = [once() for _ in range(repeats)]
        return {name: statistics.median(each[name] for each in found) for name in found[0]}

    return work


def scanning(settings: Settings) -> Table:
    import soundfile

    import reelarray as ra

    table = Table(
        "headers",
        "Reading the headers of many WAV files, warm, one core: microseconds of CPU time a file",
        ("files", "os.stat", "soundfile.info", "ra.scan", "ra.scan, cached", "ra.scan / stat", "ra.scan / soundfile"),
    )
    for count in settings.pick(tiny=(20,), quick=(100, 1000), full=(100, 1000, 10_000)):
        folder = headers(settings.data, count)
        paths = recordings.paths(folder)
        cache = settings.data / f"cache-{count}"
        variants = {
            "stat": lambda paths=paths: [os.stat(p) for p in paths],
            "soundfile": lambda paths=paths: [soundfile.info(p) for p in paths],
            "scan": lambda folder=folder: ra.scan(folder, cache=False),
            "cached": lambda folder=folder, cache=cache: ra.scan(folder, cache=cache),
        }
        times = race(variants, settings.repeats)
        each = [times.median(name) / count * 1e6 for name in variants]
        table.add(count, *each, 1 / times.speed("scan", "stat"), 1 / times.speed("scan", "soundfile"))
    return table


def building(settings: Settings) -> Table:
    table = Table(
        "opening",
        "From a catalog to one lazy array, 48 kHz: CPU time and peak memory",
        ("files", "span", "open ms", "peak MiB", "slice an hour ms", "slice a day ms", "chunks", "layers"),
        notes=["The catalog is in memory and no file is touched; peak memory is that of opening and both slices."],
    )
    hourly = settings.pick(tiny=(24,), quick=(8760,), full=(24, 720, 8760))
    minutes = settings.pick(tiny=(30,), quick=(10_000,), full=(1000, 10_000, 100_000))
    for files, seconds in [*((n, 3600) for n in hourly), *((n, 60) for n in minutes)]:
        found = alone(open_catalog, files=files, file_seconds=seconds, repeats=settings.repeats)
        times = [1000 * found.result[name] for name in ("open", "hour", "day")]
        counts = [round(found.result[name]) for name in ("chunks", "layers")]
        span = f"{files * seconds / 86400:.1f} days"
        table.add(files, span, times[0], found.peak, times[1], times[2], *counts)
    return table


def run(settings: Settings) -> list[Table]:
    return [scanning(settings), building(settings)]
