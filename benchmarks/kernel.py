"""The kernel: int16 samples in memory to a float32 spectrogram, against the limit that the FFT sets."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from . import recordings
from .measure import Settings, Table, race

FREQUENCY_SIZES = (256, 1000, 1021, 1024, 4096, 65_536, 65_537, 2**20)
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


def engines() -> dict[str, str]:
    """How each of our engines is called in tables -> its name; the compiled one where it is installed."""
    from reelarray.signal.engines import installed

    return {"reelarray": "scipy", **({"reelarray compiled": "numba"} if installed() else {})}


def passes(counts: np.ndarray, nfft: int) -> dict[str, Callable[[], Any]]:
    """Name -> the whole pass over int16 samples."""
    import scipy.signal

    import reelarray as ra

    x = ra.recording(counts, rate=recordings.RATE, units="1")
    floats = counts.astype(np.float32)
    settings = {"window": "hann", "nperseg": nfft, "noverlap": nfft - nfft // 2, "detrend": False}
    ours = {name: partial(ra.spectrogram, x, nfft=nfft, engine=engine) for name, engine in engines().items()}
    return {
        **ours,
        "reelarray float64": lambda: ra.spectrogram(x, nfft=nfft, dtype="float64", engine="scipy"),
        "scipy.signal.spectrogram": lambda: scipy.signal.spectrogram(floats, recordings.RATE, **settings),
    }


def shares(settings: Settings) -> Table:
    size = settings.pick(tiny=300_007, quick=4_000_007, full=8_000_007)
    whole = recordings.samples(4 * size, seed=1)
    names = (*engines(), "reelarray float64", "scipy.signal.spectrogram")
    table = Table(
        "kernel",
        f"One pass over {size / 1e6:.1f} million int16 samples in memory or 30 windows, one core, hop nfft/2",
        ("nfft", "limit MS/s", *(f"{name} MS/s" for name in engines()), *(f"{name}: share" for name in names)),
        notes=[
            "The limit is `scipy.fft.rfft` in float32 on 256 KiB of frames plus one write of the output; shares are of "
            "it. MS/s: million samples per second of CPU time. `reelarray` is the engine of NumPy and SciPy; the "
            "compiled one brings an FFT with wider instructions, and may pass the limit. 1,021 and 65,537 are prime."
        ],
    )
    for nfft in settings.pick(tiny=(256, 1021), quick=FREQUENCY_SIZES, full=FREQUENCY_SIZES):
        counts = whole[: max(size, 15 * nfft)]  # as large as one block: more would measure how memory is first touched
        windows = (len(counts) - nfft) // (nfft // 2) + 1
        times = race(
            {"limit": partial(limit, nfft, windows), **passes(counts, nfft)}, settings.repeats, time.thread_time
        )
        speeds = [len(counts) / times.median(name) / 1e6 for name in ("limit", *engines())]
        table.add(nfft, *speeds, *(times.speed(name, "limit") for name in names))
    return table


def reductions(settings: Settings) -> Table:
    """What it costs to count levels instead of adding powers, in the same tasks."""
    import scipy.signal

    import reelarray as ra

    seconds = settings.pick(tiny=20.5, quick=181.5, full=600.5)
    folder = recordings.folder(settings.data, seconds)
    counts, x = recordings.read_all(folder, "int16"), ra.open_recordings(folder, cache=False)
    size = len(counts)

    def numpys() -> Any:
        step = 60 * recordings.RATE
        for first in range(0, size, step):
            block = counts[first : first + step].astype(np.float32)
            powers = scipy.signal.spectrogram(block, recordings.RATE, nperseg=1024, noverlap=512, detrend=False)[2]
            np.percentile(10 * np.log10(powers), (5, 25, 50, 75, 95), axis=-1)

    variants: dict[str, Callable[[], Any]] = {}
    for name, engine in engines().items():
        spectra = ra.spectrogram(x, engine=engine)
        lazy = {
            "means": ra.average(spectra, every="60s"),
            "quantiles": ra.level_quantiles(spectra, every="60s"),
            "distributions": ra.level_distribution(spectra, every="60s"),
        }
        variants |= {f"{name}, {what}": partial(array.compute, scheduler="sync") for what, array in lazy.items()}
    variants["scipy.signal.spectrogram and np.percentile"] = numpys
    times = race(variants, settings.repeats, time.thread_time)
    table = Table(
        "reductions",
        f"One-minute reductions of the spectra of {seconds:.0f} s of 48 kHz 16-bit WAV, nfft 1024, one core",
        ("what", "CPU s", "MS/s", "times as long as means"),
        notes=[
            "Quantiles and distributions by counts in bins of 0.1 dB, 260 dB wide; `np.percentile` of samples that are "
            "in memory."
        ],
    )
    for name in variants:
        means = f"{name.split(',')[0]}, means" if "," in name else "reelarray, means"
        table.add(name, times.median(name), size / times.median(name) / 1e6, 1 / times.speed(name, means))
    return table


def run(settings: Settings) -> list[Table]:
    return [shares(settings), reductions(settings)]
