"""The kernel: int16 samples in memory to a float32 spectrogram, against the limit that the FFT sets."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from . import recordings
from .measure import Settings, Table, race

FREQUENCY_SIZES = (256, 1024, 4096, 65536)
L2_RESIDENT = 2**18  # bytes of frames that stay in a level 2 cache together with their spectra
FEWEST_FRAMES = 8  # the FFT runs across frames


def limit(nfft: int, windows: int) -> float:
    """Seconds of the fastest that SciPy's FFT allows: rfft of frames in the cache, and one write of the output."""
    from scipy import fft

    frames = max(FEWEST_FRAMES, L2_RESIDENT // (4 * nfft))
    batch = np.random.default_rng(0).standard_normal((frames, nfft), dtype=np.float32)
    out = np.zeros((min(windows, 2**21 // nfft), nfft // 2 + 1), np.float32)  # touched, as large as one block
    times = -(-windows // frames)
    before = time.thread_time()
    for _ in range(times):
        fft.rfft(batch, axis=-1)
    transform = (time.thread_time() - before) * windows / (times * frames)
    times = -(-windows // len(out))
    before = time.thread_time()
    for _ in range(times):
        out[:] = 1.0
    return transform + (time.thread_time() - before) * windows / (times * len(out))


def passes(counts: np.ndarray, nfft: int) -> dict[str, Callable[[], Any]]:
    """Name -> the whole pass over int16 samples. Other kernels (compiled ones, later) join here."""
    import scipy.signal

    import reelarray as ra

    x = ra.recording(counts, rate=recordings.RATE, units="1")
    floats = counts.astype(np.float32)
    settings = {"window": "hann", "nperseg": nfft, "noverlap": nfft - nfft // 2, "detrend": False}
    return {
        "reelarray": lambda: ra.spectrogram(x, nfft=nfft),
        "reelarray float64": lambda: ra.spectrogram(x, nfft=nfft, dtype="float64"),
        "scipy.signal.spectrogram": lambda: scipy.signal.spectrogram(floats, recordings.RATE, **settings),
    }


def run(settings: Settings) -> list[Table]:
    size = settings.pick(tiny=300_007, quick=4_000_007, full=30_000_007)
    counts = recordings.samples(size, seed=1)
    names = ("reelarray", "reelarray float64", "scipy.signal.spectrogram")
    table = Table(
        "kernel",
        f"One pass over {size / 1e6:.1f} million int16 samples in memory, one core, hop nfft/2",
        ("nfft", "limit MS/s", *(f"{name} MS/s" for name in names[:1]), *(f"{name}: share" for name in names)),
        notes=[
            "The limit is `scipy.fft.rfft` in float32 on 256 KiB of frames plus one write of the output; shares are of "
            "it. MS/s: million samples per second of CPU time."
        ],
    )
    for nfft in FREQUENCY_SIZES:
        windows = max(1, (size - nfft) // (nfft // 2) + 1)
        times = race(
            {"limit": partial(limit, nfft, windows), **passes(counts, nfft)}, settings.repeats, time.thread_time
        )
        speeds = [size / times.median(name) / 1e6 for name in ("limit", "reelarray")]
        table.add(nfft, *speeds, *(times.speed(name, "limit") for name in names))
    return [table]
