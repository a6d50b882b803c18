"""Peak memory against the length of the recording: it should not depend on it."""

from __future__ import annotations

from . import averages, recordings, spectrogram
from .measure import Settings, Table, alone


def run(settings: Settings) -> list[Table]:
    lengths = settings.pick(tiny=(10.5, 20.5), quick=(120.5, 600.5), full=(600.5, 3600.5, 21600.5))
    table = Table(
        "memory",
        "Peak memory above that of the imported libraries, one core, 48 kHz 16-bit WAV",
        ("length", "samples MiB as float32", "spectrogram, streamed: MiB", "60 s power spectra: MiB"),
    )
    for seconds in lengths:
        folder = recordings.folder(settings.data, seconds)
        table.add(
            f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h",
            seconds * recordings.RATE * 4 / 2**20,
            alone(spectrogram.reelarray_files, folder=folder).peak,
            alone(averages.reelarray_files, folder=folder).peak,
        )
    return [table]
