"""End to end: a spectrogram from 16-bit WAV files, beside the functions a user would call on samples in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from . import kernel, recordings
from .jobs import FFT, add_ways
from .measure import JOB, Settings, Table, alone, race

NFFT, HOP = 1024, 512
REFERENCE = "scipy.signal.spectrogram"
LIBROSA = "librosa.stft, abs, squared"
BLOCKS = "scipy.signal.spectrogram, block by block from files"


def streamed(array: Any) -> Any:
    """A lazy spectrogram made block by block, each dropped when the next is: number of windows."""
    heights = array.map_blocks(_height, chunks=((1,) * array.numblocks[0], (1,)), dtype=np.int64)  # makes no copy
    return heights.sum(split_every=len(heights))  # one task for all: a tree of sums would be weighed with the blocks


def _height(block: np.ndarray) -> np.ndarray:
    return np.array([[len(block)]])


# ---- variants: each imports what it needs, and gives what is then measured -------------------------------------------


def ours(name: str) -> str:
    """How the row of one of our engines is called."""
    return f"{name}, from files"


def reelarray_files(
    folder: str, engine: str | None = None, scheduler: str = "sync", workers: int | None = None
) -> Callable[[], int]:
    import dask

    import reelarray as ra

    def work(folder: str = folder) -> int:
        s = ra.spectrogram(ra.open_recordings(folder, cache=False), nfft=NFFT, hop=HOP, engine=engine)
        with dask.config.set(scheduler=scheduler, num_workers=workers):
            return int(streamed(s.data).compute())

    recordings.warm(work)
    return work


def scipy_files(folder: str) -> Callable[[], int]:
    """What a careful user writes by hand: block by block, with a few samples carried over."""
    import scipy.signal
    import soundfile

    def blocks(folder: str) -> Iterator[np.ndarray]:
        for path in recordings.paths(folder):
            yield from soundfile.blocks(path, 2**20, dtype="float32")

    def work(folder: str = folder) -> int:
        carried, windows = np.empty(0, np.float32), 0
        for block in blocks(folder):
            x = np.concatenate([carried, block])
            count = (len(x) - NFFT) // HOP + 1
            if count > 0:
                windows += scipy.signal.spectrogram(x, recordings.RATE, **SCIPY, detrend=False)[2].shape[-1]
                x = x[count * HOP :]
            carried = x
        return windows

    recordings.warm(work)
    return work


SCIPY = {"window": "hann", "nperseg": NFFT, "noverlap": NFFT - HOP}


def scipy_memory(x: np.ndarray) -> int:
    import scipy.signal

    return scipy.signal.spectrogram(x, recordings.RATE, **SCIPY, detrend=False)[2].shape[-1]


def scipy_default(x: np.ndarray) -> int:
    import scipy.signal

    return scipy.signal.spectrogram(x, recordings.RATE, **SCIPY)[2].shape[-1]


def short_time_fft(x: np.ndarray) -> int:
    from scipy.signal import ShortTimeFFT
    from scipy.signal.windows import hann

    transform = ShortTimeFFT(hann(NFFT, sym=False), HOP, recordings.RATE, scale_to="psd")
    return transform.spectrogram(x).shape[-1]


def librosa_stft(x: np.ndarray) -> int:
    import librosa

    return (np.abs(librosa.stft(x, n_fft=NFFT, hop_length=HOP, window="hann", center=False)) ** 2).shape[-1]


MEMORY: dict[str, Callable[[np.ndarray], int]] = {
    REFERENCE: scipy_memory,
    "scipy.signal.spectrogram, its own detrend": scipy_default,
    "scipy.signal.ShortTimeFFT": short_time_fft,
    LIBROSA: librosa_stft,
}


def in_memory(name: str, folder: str) -> Callable[[], int]:
    """A function of samples in memory, together with reading them."""
    MEMORY[name](np.zeros(8 * NFFT, np.float32))  # imports and compiles
    import soundfile  # noqa: F401

    return lambda: MEMORY[name](recordings.read_all(folder))


def run(settings: Settings) -> list[Table]:
    seconds = settings.pick(tiny=20.5, quick=120.5, full=600.5)
    folder = recordings.folder(settings.data, seconds)
    x = recordings.read_all(folder)
    variants: dict[str, Callable[[], Any]] = {
        REFERENCE: partial(scipy_memory, x),
        BLOCKS: scipy_files(folder),
    }
    engines = kernel.engines()
    variants |= {ours(name): reelarray_files(folder, engine) for name, engine in engines.items()}
    missing = []
    for name, function in MEMORY.items():
        try:
            function(x[: 8 * NFFT])
        except ImportError:
            missing.append(name)
        else:
            variants[name] = partial(function, x)
    variants[FFT] = partial(kernel.limit, NFFT, (len(x) - NFFT) // HOP + 1)
    times = race(variants, settings.repeats)
    table = Table(
        "spectrogram",
        f"Spectrogram of {seconds:.0f} s of 48 kHz 16-bit WAV, nfft {NFFT}, hop {HOP}, one core",
        JOB,
        notes=[
            "reelarray and the loop read, convert and transform; the others are timed on float32 samples that are "
            "already in memory (their peak memory counts those samples). `times as fast` is against "
            f"`{REFERENCE}(detrend=False)`: the same work."
        ],
    )
    peaks = {name: alone(in_memory, name=name, folder=folder).peak for name in MEMORY if name in variants}
    peaks |= {ours(name): alone(reelarray_files, folder=folder, engine=e).peak for name, e in engines.items()}
    peaks[BLOCKS] = alone(scipy_files, folder=folder).peak
    add_ways(table, times, len(x), REFERENCE, FFT, peaks)
    if missing:
        table.notes.append(f"Not installed, so left out: {', '.join(missing)}.")
    return [table]
