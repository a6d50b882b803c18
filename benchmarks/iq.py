"""Averaged power spectra of IQ samples, in memory and from a .tiq file, beside SciPy, NumPy and iqtools' figure."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from . import kernel, recordings
from .jobs import add_reported, add_ways
from .measure import JOB, LIMIT, Settings, Table, alone, race

NFFT, TOGETHER, RATE = 4096, 10, 4_096_000  # the job of the reported figure: 4096 samples, none shared, means of ten
FFT = f"{LIMIT}FFT"
SCIPY = "scipy.signal.spectrogram and mean"
# 1.05 s for 16.75 million samples, 933 MB, on one core of a server.
IQTOOLS, IQTOOLS_RATE = "iqtools, as reported", 16.0


def samples(count: int) -> np.ndarray:
    """(count,) complex64, different throughout."""
    pairs = recordings.samples(2 * count, seed=3).astype(np.float32)
    return pairs.view(np.complex64)


def ours(name: str) -> str:
    """How the row of one of our engines is called."""
    return f"{name}, in memory"


def by_reelarray(x: np.ndarray, engine: str) -> int:
    import reelarray as ra

    recording = ra.recording(x, rate=RATE, units="V", start="2022-03-01")
    every = f"{1000 * NFFT * TOGETHER // RATE}ms"
    return len(ra.power_spectrum(recording, nfft=NFFT, hop=NFFT, every=every, engine=engine))


def by_scipy(x: np.ndarray) -> int:
    import scipy.signal

    settings = {"window": "hann", "nperseg": NFFT, "noverlap": 0, "detrend": False, "return_onesided": False}
    power = scipy.signal.spectrogram(x, RATE, **settings)[2]
    return power.reshape(NFFT, -1, TOGETHER).mean(axis=-1).shape[-1]


def ways() -> dict[str, Callable[[np.ndarray], int]]:
    engines = kernel.engines().items()
    return {ours(name): partial(by_reelarray, engine=engine) for name, engine in engines} | {SCIPY: by_scipy}


def in_memory(name: str, count: int) -> Callable[[], int]:
    """The samples are there before; what counts is what is made of them."""
    way = ways()[name]
    way(samples(NFFT * TOGETHER))
    return partial(way, samples(count))


def limit(windows: int) -> float:
    """Seconds of the complex FFT alone, of frames that stay in the cache: averages write next to nothing."""
    from scipy import fft

    frames = 8
    batch = np.ones((frames, NFFT), np.complex64)
    before = time.thread_time()
    for _ in range(-(-windows // frames)):
        fft.fft(batch, axis=-1)
    return time.thread_time() - before


# ---- from a file -----------------------------------------------------------------------------------------------------

NUMPY = "a loop in NumPy and scipy.fft, float32"
PORTION = 40  # groups that the loop reads at once


def of_tiq(name: str) -> str:
    """How the row of one of our engines is called, from a file."""
    return f"{name}, from a .tiq file"


def file_by_reelarray(path: str, engine: str) -> int:
    import dask

    import reelarray as ra

    x = ra.open_recording(path, cache=False)
    s = ra.spectrogram(x, nfft=NFFT, hop=NFFT, window="boxcar", engine=engine)
    with dask.config.set(scheduler="sync"):
        rows = ra.average(s, every=TOGETHER).compute()
    return len(rows)


def file_by_numpy(path: str) -> int:
    """What a user writes who minds memory: int32 pairs to float32, transformed and averaged a few groups at a time."""
    from scipy import fft

    rows = []
    with open(path, "rb") as file:
        file.seek(recordings.TIQ_HEADER)
        while len(counts := np.fromfile(file, "<i4", 2 * NFFT * TOGETHER * PORTION)):
            volts = counts.astype(np.float32)
            volts *= np.float32(recordings.TIQ_SCALING)
            spectra = fft.fft(volts.view(np.complex64).reshape(-1, NFFT), axis=-1, overwrite_x=True)
            power = spectra.real**2 + spectra.imag**2
            rows.append(fft.fftshift(power.reshape(-1, TOGETHER, NFFT).mean(axis=1), axes=-1))
    return sum(map(len, rows))


def file_ways() -> dict[str, Callable[[str], int]]:
    engines = kernel.engines().items()
    return {of_tiq(name): partial(file_by_reelarray, engine=engine) for name, engine in engines} | {
        NUMPY: file_by_numpy
    }


def from_file(name: str, path: str, short: str) -> Callable[[], int]:
    way = file_ways()[name]
    way(short)
    return partial(way, path)


def opened(path: str, short: str) -> Callable[[], dict[str, float]]:
    """Milliseconds and bytes that opening a file takes: what the process has read, by its own count."""
    import reelarray as ra

    ra.open_recording(short, cache=False)

    def work() -> dict[str, float]:
        before, begun = _bytes_read(), time.perf_counter()
        ra.open_recording(path, cache=False)
        seconds = time.perf_counter() - begun
        return {"ms": 1e3 * seconds, "KiB": (_bytes_read() - before) / 1024}

    return work


def _bytes_read() -> int:
    """All that this process has read so far, wherever it came from; 0 where the system does not count."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return 0
    return int(next(line.split()[1] for line in lines if line.startswith("rchar")))


def tables_of_files(settings: Settings) -> list[Table]:
    groups = settings.pick(tiny=PORTION, quick=10 * PORTION, full=82 * PORTION)  # full: 1.07 GB
    count = groups * TOGETHER * NFFT
    path = recordings.analyser(settings.data, count, RATE)
    short = recordings.analyser(settings.data, NFFT * TOGETHER, RATE)
    ways = {name: partial(way, path) for name, way in file_ways().items()}
    times = race(ways | {FFT: partial(limit, count // NFFT)}, settings.repeats)
    if len({times.results[name] for name in ways}) > 1:
        raise RuntimeError(f"not the same work: {times.results}")
    size = f"{8 * count / 1e9:.2f} GB"
    table = Table(
        "tiq",
        f"Means of {TOGETHER} spectra of a .tiq file of {size} in the page cache, nfft and hop {NFFT}, one core",
        JOB,
        notes=["Opening the file counts for ours. The figure of iqtools was measured on another machine."],
    )
    peaks = {name: alone(from_file, name=name, path=path, short=short).peak for name in ways}
    add_ways(table, times, count, NUMPY, FFT, peaks)
    add_reported(table, IQTOOLS, IQTOOLS_RATE, NUMPY)
    opening = Table("tiq opening", f"Opening a .tiq file of {size}", ("what", "ms", "KiB read"))
    found = [alone(opened, path=path, short=short).result for _ in range(settings.repeats)]
    opening.add("ra.open_recording", min(each["ms"] for each in found), max(each["KiB"] for each in found))
    return [table, opening]


# ---- both ------------------------------------------------------------------------------------------------------------


def run(settings: Settings) -> list[Table]:
    rows = settings.pick(tiny=10, quick=100, full=400)
    count = rows * TOGETHER * NFFT
    x = samples(count)
    times = race(
        {name: partial(way, x) for name, way in ways().items()} | {FFT: partial(limit, count // NFFT)}, settings.repeats
    )
    if len({times.results[name] for name in ways()}) > 1:
        raise RuntimeError(f"not the same work: {times.results}")
    table = Table(
        "iq",
        f"Means of {TOGETHER} spectra of {count / 1e6:.1f} million IQ samples in memory, nfft and hop {NFFT}, one core",
        JOB,
        notes=["The figure of iqtools includes reading a file that is in the page cache, on another machine."],
    )
    peaks = {name: alone(in_memory, name=name, count=count).peak for name in ways()}
    add_ways(table, times, count, SCIPY, FFT, peaks)
    add_reported(table, IQTOOLS, IQTOOLS_RATE, SCIPY)
    return [table, *tables_of_files(settings)]
