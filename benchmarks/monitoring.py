"""One-minute spectra beside programs for passive acoustic monitoring: PyPAM and pbp, each in its own environment."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from . import environments, kernel, recordings
from .averages import ours
from .jobs import FFT, add_ways
from .measure import JOB, Alone, Settings, Table, Times, alone, race_alone

Result = list[float]  # number of spectra, and the mean of all their values: the same work gives the same


def reelarray_minutes(folder: str, nfft: int, engine: str) -> Callable[[], Result]:
    import dask

    import reelarray as ra

    def work(folder: str = folder) -> Result:
        x = ra.open_recordings(folder, cache=False)
        with dask.config.set(scheduler="sync"):
            s = ra.power_spectrum(x, every="60s", nfft=nfft, hop=nfft // 2, engine=engine).compute()
        return [len(s), float(s.mean(dtype="float64"))]

    recordings.warm(work)
    return work


def pypam_minutes(folder: str, nfft: int) -> Callable[[], Result]:
    """As its documentation does it, without decibels; sensitivity and gain such that samples stay as they are."""
    from pyhydrophone.hydrophone import Hydrophone
    from pypam.acoustic_survey import ASA

    clock = f"{recordings.NAME}.wav"
    recorder = Hydrophone("recorder", "any", 1, sensitivity=0, preamp_gain=0, Vpp=2, string_format=clock)

    def work(folder: str = folder) -> Result:
        survey = ASA(recorder, folder, binsize=60.0, nfft=nfft, fft_overlap=0.5)
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            s = survey.evolution_freq_dom("psd", db=False)["band_density"]
        return [len(s), float(s.mean())]

    recordings.warm(work, seconds=60)
    return work


def pbp_minutes(folder: str) -> Callable[[], Result]:
    """Its loop over the minutes of a day, windows of a second; its hybrid millidecades and its file are left out."""
    import loguru
    from pbp.hmb_gen.file_helper import FileHelper
    from pbp.hmb_gen.process_helper import ProcessHelper

    loguru.logger.remove()
    scratch = tempfile.TemporaryDirectory(prefix="benchmarks-")

    def index(folder: str) -> int:
        """The list of files that it starts from; minutes."""
        entries = []
        for path in recordings.paths(folder):
            start = datetime.strptime(Path(path).stem, recordings.NAME)
            seconds = (Path(path).stat().st_size - 44) / 2 / recordings.RATE
            entries.append({"uri": path, "duration_secs": seconds, "start": f"{start:%Y-%m-%dT%H:%M:%S}.000Z"})
        day = Path(scratch.name) / f"{recordings.START:%Y/%Y%m%d}.json"
        day.parent.mkdir(exist_ok=True)
        day.write_text(json.dumps(entries))
        return round(sum(entry["duration_secs"] for entry in entries) / 60)

    def work(minutes: int) -> Result:
        files = FileHelper(loguru.logger, scratch.name)
        process = ProcessHelper(loguru.logger, files, scratch.name, "")
        files.select_day(recordings.START.year, recordings.START.month, recordings.START.day)
        times = (recordings.START + timedelta(minutes=k) for k in range(minutes))
        process.process_hours_minutes_seconds([(t.hour, t.minute, t.second) for t in times])
        spectra = [each.spectrum for each in process.pypam_support._captured_segments]
        return [len(spectra), float(sum(s.mean() for s in spectra) / len(spectra))]

    recordings.warm(lambda short: work(index(short)), seconds=60)
    return partial(work, index(folder))


def compared(settings: Settings, nfft: int, minutes: int, peers: dict[str, tuple[str, Any]]) -> Table:
    folder = recordings.folder(settings.data, 60.0 * minutes)
    samples = minutes * 60 * recordings.RATE
    table = Table(
        f"monitoring {nfft}",
        f"One-minute spectra of {minutes} min of 48 kHz 16-bit WAV, nfft {nfft:,}, hop nfft/2, one core",
        JOB,
        notes=["Each in fresh processes that take turns; imports and a first short recording are not counted."],
    )
    variants: dict[str, Callable[[], Alone]] = {
        ours(name): partial(alone, reelarray_minutes, folder=folder, nfft=nfft, engine=engine)
        for name, engine in kernel.engines().items()
    }
    variants[FFT] = lambda: Alone(kernel.limit(nfft, samples // (nfft // 2) - 1), 0, 0, None)
    for name, (environment, target) in peers.items():
        if python := environments.python(environment, settings.peers):
            variants[name] = partial(target, python=python, folder=folder)
        else:
            table.notes.append(
                f"{name} was not there: `python -m benchmarks.environments {environment}` makes its environment."
            )
    found = race_alone(variants, settings.pick(tiny=1, quick=1, full=settings.repeats))
    check_same_work({name: runs[0].result for name, runs in found.items() if name != FFT})
    times = Times({name: [run.cpu for run in runs] for name, runs in found.items()}, {})
    peaks = {name: max(run.peak for run in runs) for name, runs in found.items() if name != FFT}
    add_ways(table, times, samples, ours("reelarray"), FFT, peaks)
    return table


def check_same_work(results: dict[str, Result]) -> None:
    """Raise where one has made other spectra; a window more or less a minute is a thousandth of their mean."""
    (ours, (count, mean)), *others = results.items()
    for name, (number, value) in others:
        if number != count or abs(value / mean - 1) > 1e-3:
            raise RuntimeError(f"{name} made {number} spectra of mean {value:g}, {ours} {count} of {mean:g}")


def run(settings: Settings) -> list[Table]:
    minutes = settings.pick(tiny=1, quick=5, full=30)
    peers = {
        1024: {"PyPAM": ("pypam", partial(alone, pypam_minutes, nfft=1024))},
        recordings.RATE: {
            "PyPAM": ("pypam", partial(alone, pypam_minutes, nfft=recordings.RATE)),
            "pbp": ("pbp", partial(alone, pbp_minutes)),
        },
    }
    return [compared(settings, nfft, minutes, each) for nfft, each in peers.items()]
