"""End to end: one-minute power spectra from WAV and FLAC, beside `soundfile.read` and `scipy.signal.welch`."""

from __future__ import annotations

from collections.abc import Callable

from . import recordings
from .measure import Settings, Table, alone, race

NFFT, HOP, EVERY = 1024, 512, 60


def reelarray_files(folder: str, suffix: str = "wav") -> Callable[[], int]:
    import dask

    import reelarray as ra

    def work(folder: str = folder) -> int:
        x = ra.open_recordings(folder, cache=False)
        with dask.config.set(scheduler="sync"):
            return len(ra.power_spectrum(x, every=f"{EVERY}s", nfft=NFFT, hop=HOP).compute())

    recordings.warm(work, suffix)
    return work


def welch_files(folder: str, suffix: str) -> Callable[[], int]:
    """Minute by minute: it drops the windows that span two minutes."""
    import scipy.signal
    import soundfile

    def work(folder: str = folder) -> int:
        rows = []
        for path in recordings.paths(folder, suffix):
            for block in soundfile.blocks(path, EVERY * recordings.RATE, dtype="float32"):
                rows.append(
                    scipy.signal.welch(block, recordings.RATE, nperseg=NFFT, noverlap=NFFT - HOP, detrend=False)[1]
                )
        return len(rows)

    recordings.warm(work, suffix)
    return work


def spectrogram_files(folder: str, suffix: str) -> Callable[[], int]:
    """The same by a spectrogram of each minute and its mean: faster than `welch`."""
    import scipy.signal
    import soundfile

    settings = {"window": "hann", "nperseg": NFFT, "noverlap": NFFT - HOP, "detrend": False}

    def work(folder: str = folder) -> int:
        rows = []
        for path in recordings.paths(folder, suffix):
            for block in soundfile.blocks(path, EVERY * recordings.RATE, dtype="float32"):
                rows.append(scipy.signal.spectrogram(block, recordings.RATE, **settings)[2].mean(axis=-1))
        return len(rows)

    recordings.warm(work, suffix)
    return work


def decoded(folder: str, suffix: str) -> Callable[[], int]:
    """Reading alone, as 16-bit numbers: nothing that reads these files can be faster."""
    import soundfile

    def work(folder: str = folder) -> int:
        return sum(len(b) for p in recordings.paths(folder, suffix) for b in soundfile.blocks(p, 2**20, dtype="int16"))

    recordings.warm(work, suffix)
    return work


def run(settings: Settings) -> list[Table]:
    seconds = settings.pick(tiny=61.5, quick=181.5, full=1801.5)
    table = Table(
        "averages",
        f"{EVERY} s power spectra of {seconds:.0f} s of 48 kHz 16-bit sound, nfft {NFFT}, hop {HOP}, one core",
        ("what", "CPU s", "MS/s", "times as fast", "peak MiB"),
        notes=["`times as fast` is against `soundfile.read` and `scipy.signal.welch(detrend=False)` minute by minute."],
    )
    for suffix in ("wav", "flac"):
        folder = recordings.folder(settings.data, seconds, suffix)
        kind = suffix.upper()
        arguments = {
            f"reelarray, from {kind}": (reelarray_files, {"folder": folder, "suffix": suffix}),
            f"soundfile and welch, from {kind}": (welch_files, {"folder": folder, "suffix": suffix}),
            f"soundfile and spectrogram's mean, from {kind}": (spectrogram_files, {"folder": folder, "suffix": suffix}),
            f"reading {kind} alone": (decoded, {"folder": folder, "suffix": suffix}),
        }
        variants = {name: make(**given) for name, (make, given) in arguments.items()}
        times = race(variants, settings.repeats)
        for name, (make, given) in arguments.items():
            speed = times.speed(name, f"soundfile and welch, from {kind}")
            table.add(
                name,
                times.median(name),
                seconds * recordings.RATE / times.median(name) / 1e6,
                speed,
                alone(make, **given).peak,
            )
    return [table]
