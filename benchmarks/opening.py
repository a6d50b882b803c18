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


def catalog(files: int, file_seconds: int, rate: int = recordings.RATE) -> Any:
    """What `ra.scan` gives for so many 16-bit mono WAV files, end to end; none of them exists."""
    import pandas as pd

    import reelarray as ra

    with tempfile.TemporaryDirectory() as here:
        one = Path(here) / "20220301_000000.wav"
        recordings.write(one, np.zeros(100, np.int16), rate=rate)
        row = ra.scan(one, cache=False)
    table = row.iloc[np.zeros(files, np.int64)].reset_index(drop=True)
    start = row["start"].iloc[0] + pd.to_timedelta(np.arange(files) * file_seconds, unit="s")
    table["start"], table["stop"] = start, start + pd.Timedelta(seconds=file_seconds)
    table["path"] = [f"/recordings/{t:%Y%m%d_%H%M%S}.wav" for t in start]
    table["samples"] = file_seconds * rate
    table["shape"] = [(file_seconds * rate,)] * files
    return table


def spent(*steps: Callable[[Any], Any]) -> tuple[list[float], Any]:
    """CPU seconds of steps, each of which is given what the one before made, and the last result."""
    times, result = [time.process_time()], None
    for step in steps:
        result = step(result)
        times.append(time.process_time())
    return np.diff(times).tolist(), result


def medians(once: Callable[[], dict[str, float]], repeats: int) -> dict[str, float]:
    found = [once() for _ in range(repeats)]
    return {name: statistics.median(each[name] for each in found) for name in found[0]}


def warm() -> None:
    """Imports and caches of what is measured below."""
    import reelarray as ra

    x = ra.open_recordings(catalog(3, 3600))
    ra.power_spectrum(x, nfft=1024, every="60s"), ra.spectrogram(x, nfft=1024)


def open_catalog(files: int, file_seconds: int, rate: int, repeats: int) -> Callable[[], dict[str, float]]:
    """Opens a catalog and selects an hour and a day of it: CPU seconds of each, chunks and layers."""
    import reelarray as ra

    table = catalog(files, file_seconds, rate)
    warm()
    first = np.datetime64(table["start"].iloc[files // 2])

    def once() -> dict[str, float]:
        times, (x, _) = spent(
            lambda _: ra.open_recordings(table),
            lambda x: (x, x.sel(time=slice(first, first + HOUR))),
            lambda x: (x[0], x[0].sel(time=slice(first, first + DAY))),
        )
        layers = {"chunks": x.data.npartitions, "layers": len(x.data.dask.layers)}
        return dict(zip(("open", "hour", "day"), times, strict=True)) | layers

    return lambda: medians(once, repeats)


def transform_catalog(files: int, file_seconds: int, rate: int, repeats: int) -> Callable[[], dict[str, float]]:
    """Plans the spectra of a day and of everything: CPU seconds."""
    import reelarray as ra

    table = catalog(files, file_seconds, rate)
    warm()
    first = np.datetime64(table["start"].iloc[0])

    def once() -> dict[str, float]:
        x = ra.open_recordings(table)
        day = x.sel(time=slice(first, first + DAY))
        (of_day,), s = spent(lambda _: ra.spectrogram(day, nfft=1024))
        (averages,), p = spent(lambda _: ra.power_spectrum(x, nfft=1024, every="60s"))
        return {"day": of_day, "blocks": s.data.npartitions, "minutes": averages, "all": p.data.npartitions}

    return lambda: medians(once, repeats)


def load_catalog(files: int, repeats: int) -> Callable[[], dict[str, float]]:
    """From the file of a catalog to the graph of a day's spectrogram: CPU seconds of each step."""
    import dask

    import reelarray as ra

    from .graph import tasks

    table = catalog(files, 60)
    warm()
    first = np.datetime64(table["start"].iloc[0])
    with tempfile.NamedTemporaryFile(suffix=".json", delete=False) as file:
        ra.catalog.save(table, file.name)

    def once() -> dict[str, float]:
        times, (s, optimised) = spent(
            lambda _: ra.catalog.load(file.name),
            ra.open_recordings,
            lambda x: ra.spectrogram(x.sel(time=slice(first, first + DAY)), nfft=1024),
            lambda s: (s, dask.optimize(s.data)[0]),
        )
        found = dict(zip(("load", "open", "spectrogram", "optimise"), times, strict=True))
        return found | {"tasks a block": tasks(optimised) / s.data.npartitions, "MB": os.path.getsize(file.name) / 1e6}

    def work() -> dict[str, float]:
        try:
            return medians(once, repeats)
        finally:
            os.unlink(file.name)

    return work


def scanning(settings: Settings) -> Table:
    import soundfile

    import reelarray as ra

    table = Table(
        "headers",
        "Reading the headers of many WAV files, warm, one core: microseconds of CPU time a file",
        (
            "files", "os.stat", "open, read", "soundfile.info", "ra.scan", "ra.scan, cached", "ra.scan / stat",
            "ra.scan, cached / stat", "ra.scan / soundfile",
        ),
        notes=["`open, read`: os.open, fstat, a page read, close: what no reader of headers can go below."],
    )  # fmt: skip
    for count in settings.pick(tiny=(20,), quick=(100, 1000), full=(100, 1000, 10_000, 100_000)):
        folder = headers(settings.data, count)
        paths = recordings.paths(folder)
        cache = settings.data / f"cache-{count}"
        variants = {
            "stat": lambda paths=paths: [os.stat(p) for p in paths],
            "read": lambda paths=paths: [read_page(p) for p in paths],
            "soundfile": lambda paths=paths: [soundfile.info(p) for p in paths],
            "scan": lambda folder=folder: ra.scan(folder, cache=False),
            "cached": lambda folder=folder, cache=cache: ra.scan(folder, cache=cache),
        }
        times = race(variants, settings.repeats)
        each = [times.median(name) / count * 1e6 for name in variants]
        pairs = (("scan", "stat"), ("cached", "stat"), ("scan", "soundfile"))
        table.add(count, *each, *(1 / times.speed(*pair) for pair in pairs))
    return table


def read_page(path: str) -> bytes:
    handle = os.open(path, os.O_RDONLY)
    os.fstat(handle)
    page = os.read(handle, 4096)
    os.close(handle)
    return page


def building(settings: Settings) -> Table:
    table = Table(
        "opening",
        "From a catalog to one lazy array: CPU time and peak memory",
        ("files", "span", "kHz", "open ms", "peak MiB", "slice an hour ms", "slice a day ms", "chunks", "layers"),
        notes=["The catalog is in memory and no file is touched; peak memory is that of opening and both slices."],
    )
    for files, seconds, rate in deployments(settings):
        asked = {"files": files, "file_seconds": seconds, "rate": rate}
        found = alone(open_catalog, **asked, repeats=settings.repeats)
        peak = alone(open_catalog, **asked, repeats=1).peak
        times = [1000 * found.result[name] for name in ("open", "hour", "day")]
        counts = [round(found.result[name]) for name in ("chunks", "layers")]
        table.add(files, span(files, seconds), rate / 1000, times[0], peak, times[1], times[2], *counts)
    return table


def planning(settings: Settings) -> Table:
    table = Table(
        "planning",
        "From one lazy array to spectra, nfft 1024: CPU time of building them, and peak memory",
        ("files", "span", "kHz", "day's spectrogram ms", "blocks", "minutes of all s", "blocks of all", "peak MiB"),
        notes=["`minutes of all`: `power_spectrum(x, every='60s')` of the whole span, built, not computed."],
    )
    every = deployments(settings)
    for files, seconds, rate in [each for each in every if each[0] > 5000] or every:
        asked = {"files": files, "file_seconds": seconds, "rate": rate}
        found = alone(transform_catalog, **asked, repeats=settings.repeats).result
        peak = alone(transform_catalog, **asked, repeats=1).peak
        where = (files, span(files, seconds), rate / 1000)
        counts = [round(found[name]) for name in ("blocks", "all")]
        table.add(*where, 1000 * found["day"], counts[0], found["minutes"], counts[1], peak)
    return table


def deployments(settings: Settings) -> list[tuple[int, int, int]]:
    """Files, seconds of each, and rate."""
    hourly = settings.pick(tiny=(24,), quick=(8760,), full=(24, 720, 8760))
    minutes = settings.pick(tiny=(30,), quick=(10_000,), full=(1000, 10_000, 100_000))
    fast = settings.pick(tiny=(24,), quick=(8760,), full=(24, 8760))
    return [
        *((n, 3600, recordings.RATE) for n in hourly),
        *((n, 60, recordings.RATE) for n in minutes),
        *((n, 3600, 384_000) for n in fast),
    ]


def span(files: int, seconds: int) -> str:
    return f"{files * seconds / 86400:.1f} days"


def saved(settings: Settings) -> Table:
    table = Table(
        "catalog",
        "From the file of a saved catalog to the graph of one day's spectrogram, nfft 1024: CPU time, peak memory",
        ("files", "MB", "load ms", "open ms", "spectrogram ms", "optimise ms", "all ms", "tasks a block", "peak MiB"),
    )
    for files in settings.pick(tiny=(30,), quick=(10_000,), full=(10_000, 100_000)):
        found = alone(load_catalog, files=files, repeats=settings.repeats)
        times = [1000 * found.result[name] for name in ("load", "open", "spectrogram", "optimise")]
        table.add(files, found.result["MB"], *times, sum(times), found.result["tasks a block"], found.peak)
    return table


def one_array(settings: Settings) -> Table:
    """Beside the way that Dask's own documentation shows: a delayed read a file, and one concatenate."""
    import dask
    import dask.array as da

    import reelarray as ra

    files, hour = settings.pick(tiny=30, quick=1000, full=1000), 3600 * recordings.RATE
    rows = catalog(files, 60)
    paths, samples = rows["path"].tolist(), rows["samples"].tolist()
    ra.open_recordings(rows)

    def read(path: str, count: int) -> np.ndarray:
        return np.fromfile(path, np.int16, count, offset=44)

    def concatenated() -> Any:
        parts = (dask.delayed(read)(p, n) for p, n in zip(paths, samples, strict=True))
        return da.concatenate([da.from_delayed(p, (n,), np.int16) for p, n in zip(parts, samples, strict=True)])

    ways: dict[str, Callable[[], Any]] = {
        "ra.open_recordings": lambda: ra.open_recordings(rows, calibrated=False).data,
        "da.concatenate of da.from_delayed": concatenated,
    }
    steps: dict[str, Callable[[Any], Any]] = {
        "built": lambda x: x,
        "an hour, optimised": lambda x: dask.optimize(x[:hour])[0],
        "times 2, optimised": lambda x: dask.optimize(x * 2)[0],
    }
    table = Table(
        "one array",
        f"{files:,} files of a minute as one array, from a table that knows their lengths: milliseconds of CPU time",
        ("what", *steps, *(f"{name}: times as long" for name in steps), "layers"),
        notes=["Each column counts building the array as well. Labels, gaps and calibration are in the first only."],
    )
    variants = {
        f"{way} {step}": lambda make=make, use=use: len(use(make()).chunks)
        for way, make in ways.items()
        for step, use in steps.items()
    }
    times = race(variants, settings.repeats)
    ours = next(iter(ways))
    for way, make in ways.items():
        each = [1000 * times.median(f"{way} {step}") for step in steps]
        longer = [times.speed(f"{ours} {step}", f"{way} {step}") for step in steps]
        table.add(way, *each, *longer, len(make().dask.layers))
    return table


def run(settings: Settings) -> list[Table]:
    return [scanning(settings), building(settings), planning(settings), saved(settings), one_array(settings)]
