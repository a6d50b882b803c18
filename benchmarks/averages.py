"""End to end: one-minute power spectra from WAV and FLAC, beside what SciPy and librosa users write."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from . import kernel, recordings
from .jobs import FFT, add_reported, add_ways
from .measure import JOB, LIMIT, Settings, Table, alone, race

NFFT, HOP, EVERY = 1024, 512, 60
MINUTE = EVERY * recordings.RATE
WELCH = {"nperseg": NFFT, "noverlap": NFFT - HOP, "detrend": False}
IN_MEMORY = "scipy.signal.welch, in memory"
LIBROSA = "soundfile and librosa.stft's mean"
# OSEkit was reported to make spectra of 300 to 500 s of 48 kHz sound a second; the better figure counts.
OSEKIT, OSEKIT_RATE = "OSEkit, as reported", 500 * recordings.RATE / 1e6


def ours(name: str, kind: str = "WAV") -> str:
    """How the row of one of our engines is called."""
    return f"{name}, from {kind}"


def whole(name: str) -> str:
    """How the row of the same engine is called that makes spectrograms of samples in memory."""
    return f"{LIMIT}{name}'s spectrograms of int16 in memory"


def reelarray_files(
    folder: str,
    suffix: str = "wav",
    engine: str | None = None,
    scheduler: str = "sync",
    workers: int | None = None,
    hop: int = HOP,
) -> Callable[[], int]:
    import dask

    import reelarray as ra

    def work(folder: str = folder) -> int:
        x = ra.open_recordings(folder, cache=False)
        with dask.config.set(scheduler=scheduler, num_workers=workers):
            return len(ra.power_spectrum(x, every=f"{EVERY}s", nfft=NFFT, hop=hop, engine=engine).compute())

    recordings.warm(work, suffix)
    return work


def minutes(folder: str, suffix: str, spectrum: Callable[[np.ndarray], np.ndarray]) -> int:
    """Minute by minute, a file at a time: windows that span two minutes are dropped. Number of spectra."""
    import soundfile

    rows = []
    for path in recordings.paths(folder, suffix):
        for block in soundfile.blocks(path, MINUTE, dtype="float32"):
            if len(block) >= NFFT:
                rows.append(spectrum(block))
    return len(rows)


def by_welch(block: np.ndarray) -> np.ndarray:
    import scipy.signal

    return scipy.signal.welch(block, recordings.RATE, **WELCH)[1]


def by_spectrogram(block: np.ndarray) -> np.ndarray:
    """The same by a spectrogram and its mean: faster than `welch`."""
    import scipy.signal

    return scipy.signal.spectrogram(block, recordings.RATE, window="hann", **WELCH)[2].mean(axis=-1)


def by_librosa(block: np.ndarray) -> np.ndarray:
    import librosa

    spectra = librosa.stft(block, n_fft=NFFT, hop_length=HOP, window="hann", center=False)
    return (np.abs(spectra) ** 2).mean(axis=-1)


BY_HAND = {
    "soundfile and scipy.signal.welch": by_welch,
    "soundfile and scipy.signal.spectrogram's mean": by_spectrogram,
    LIBROSA: by_librosa,
}


def by_hand(name: str, folder: str, suffix: str) -> Callable[[], int]:
    work = partial(minutes, suffix=suffix, spectrum=BY_HAND[name])
    recordings.warm(work, suffix)
    return partial(work, folder)


def welch_in_memory(folder: str) -> Callable[[], int]:
    """Together with reading: what its user has to hold."""
    by_welch(np.zeros(2 * NFFT, np.float32))
    import soundfile  # noqa: F401

    return lambda: welch_all(recordings.read_all(folder))


def welch_all(x: np.ndarray) -> int:
    blocks = (x[first : first + MINUTE] for first in range(0, len(x), MINUTE))
    return len([by_welch(block) for block in blocks if len(block) >= NFFT])


def decoded(folder: str, suffix: str) -> Callable[[], int]:
    """Reading alone, as 16-bit numbers: nothing that reads these files can be faster."""
    import soundfile

    def work(folder: str = folder) -> int:
        return sum(len(b) for p in recordings.paths(folder, suffix) for b in soundfile.blocks(p, 2**20, dtype="int16"))

    recordings.warm(work, suffix)
    return work


def spectrograms_in_memory(x: np.ndarray, engine: str) -> Callable[[], None]:
    """Our own kernel without files and without averages, which a pass from files is measured by.

    By two minutes, so that memory is used again: of a long spectrogram a third of the time is the system's, for pages
    that are touched for the first time.
    """
    import reelarray as ra

    def work() -> None:
        for first in range(0, len(x) - NFFT, 2 * MINUTE):
            part = ra.recording(x[first : first + 2 * MINUTE], rate=recordings.RATE, units="1")
            ra.spectrogram(part, nfft=NFFT, hop=HOP, engine=engine)

    return work


def from_files(settings: Settings, suffix: str, seconds: float) -> Table:
    folder = recordings.folder(settings.data, seconds, suffix)
    samples = round(seconds * recordings.RATE)
    kind = suffix.upper()
    reading = f"limit: reading {kind}"
    files = {"folder": folder, "suffix": suffix}
    ways: dict[str, tuple[Callable[..., Callable[[], Any]], dict[str, Any]]] = {
        ours(name, kind): (reelarray_files, files | {"engine": engine}) for name, engine in kernel.engines().items()
    }
    ways[reading] = decoded, files
    missing = []
    for name, spectrum in BY_HAND.items():
        try:
            spectrum(np.zeros(2 * NFFT, np.float32))
        except ImportError:
            missing.append(name)
        else:
            ways[name] = by_hand, files | {"name": name}
    variants: dict[str, Callable[[], Any]] = {name: make(**given) for name, (make, given) in ways.items()}
    variants[FFT] = partial(kernel.limit, NFFT, (samples - NFFT) // HOP + 1)
    reference, limit = "soundfile and scipy.signal.welch", FFT
    if suffix == "wav":
        reference, counts = IN_MEMORY, recordings.read_all(folder, "int16")
        variants |= {whole(name): spectrograms_in_memory(counts, engine) for name, engine in kernel.engines().items()}
        variants[IN_MEMORY] = partial(welch_all, recordings.read_all(folder))
    times = race(variants, settings.repeats)
    notes = [f"`times as fast` is against {reference}, minute by minute; nothing is detrended."]
    if suffix != "wav":
        limit = f"limit: reading {kind}, and FFT"
        times.add_up(limit, reading, FFT)
        notes.append("Shares are of decoding and the FFT together.")
    if missing:
        notes.append(f"Not installed, so left out: {', '.join(missing)}.")
    table = Table(
        "averages" if suffix == "wav" else f"averages {kind}",
        f"{EVERY} s power spectra of {seconds:.0f} s of 48 kHz 16-bit {kind}, nfft {NFFT}, hop {HOP}, one core",
        JOB,
        notes=notes,
    )
    peaks = {name: alone(make, **given).peak for name, (make, given) in ways.items()}
    if suffix == "wav":
        peaks[IN_MEMORY] = alone(welch_in_memory, folder=folder).peak
    add_ways(table, times, samples, reference, limit, peaks)
    if suffix == "wav":
        add_reported(table, OSEKIT, OSEKIT_RATE, reference)
        table.notes.append("OSEkit's figure, 500 s of sound a second, is of another machine: read it with care.")
    return table


def run(settings: Settings) -> list[Table]:
    seconds = settings.pick(tiny=61.5, quick=181.5, full=1801.5)
    return [from_files(settings, suffix, seconds) for suffix in ("wav", "flac")]
