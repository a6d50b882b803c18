"""Averaged power spectra of IQ samples in memory, beside SciPy and what was reported of iqtools."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

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
    return [table]
