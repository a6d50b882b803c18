"""Opening a folder and a short-time Fourier transform of it, beside dascore and xdas, which are for optical fibres."""

from __future__ import annotations

import importlib.util
import tempfile
import warnings
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import kernel, recordings
from .averages import ours
from .jobs import FFT, add_ways
from .measure import JOB, Settings, Table, alone, race
from .spectrogram import streamed

NFFT, HOP = 1024, 512
RATE = 50_000  # their clocks count whole nanoseconds: of 48 kHz, dascore would make a recording of each file
DASCORE, XDAS = "dascore, from HDF5", "xdas, from netCDF"
Way = Callable[..., Callable[[], Any]]


def folder(root: Path, files: int, seconds: int, rate: int, kind: str) -> str:
    """The same samples as WAV, or in the format that each of the two writes and reads fastest: its own."""
    here = root / f"{kind}-{files}x{seconds}s-{rate}"
    if not (here / "whole").exists():
        here.mkdir(parents=True, exist_ok=True)
        for number in range(files):
            counts = recordings.samples(seconds * rate, number)
            start = recordings.START + timedelta(seconds=number * seconds)
            WRITERS[kind](here / f"{start:{recordings.NAME}}", counts, np.datetime64(start, "ns"), rate)
        (here / "whole").touch()
    return str(here)


def write_wav(path: Path, counts: np.ndarray, start: np.datetime64, rate: int) -> None:
    recordings.write(path.with_suffix(".wav"), counts, rate)


def write_dascore(path: Path, counts: np.ndarray, start: np.datetime64, rate: int) -> None:
    import dascore

    time = dascore.core.get_coord(start=start, step=np.timedelta64(10**9 // rate, "ns"), shape=(len(counts),))
    coords = {"time": time, "distance": np.zeros(1)}
    dascore.Patch(counts[:, None], coords, dims=("time", "distance")).io.write(path.with_suffix(".h5"), "dasdae")


def write_xdas(path: Path, counts: np.ndarray, start: np.datetime64, rate: int) -> None:
    import xdas

    step = np.timedelta64(10**9 // rate, "ns")
    time = {"tie_values": [start], "tie_lengths": [len(counts)], "sampling_interval": step}
    xdas.DataArray(counts[:, None], {"time": time, "distance": [0.0]}).to_netcdf(str(path.with_suffix(".nc")))


WRITERS = {"wav": write_wav, "dascore": write_dascore, "xdas": write_xdas}


def warm(work: Callable[[str], object], kind: str) -> None:
    """Do the work once on two seconds, so that what it imports and compiles is neither timed nor weighed."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as root:
        work(folder(Path(root), 2, 1, RATE, kind))


# ---- opening ---------------------------------------------------------------------------------------------------------


def reelarray_open(here: str, cache: str | None = None) -> Callable[[], int]:
    import reelarray as ra

    def work(here: str) -> int:
        return len(ra.open_recordings(here, cache=cache or False))

    warm(work, "wav")
    return partial(work, here)


def dascore_open(here: str, anew: bool) -> Callable[[], int]:
    """One patch of all files, from an index in the folder: made first, or found there."""
    import dascore

    warnings.filterwarnings("ignore", message="Querying with a nested")

    def work(here: str) -> int:
        if anew:
            (Path(here) / ".dascore_index.h5").unlink(missing_ok=True)
        contents = dascore.spool(here).update(progress=None).chunk(time=None).get_contents()
        (start,), (stop,), (step,) = (contents[name] for name in ("time_min", "time_max", "time_step"))
        return round((stop - start) / step) + 1

    warm(work, "dascore")
    return partial(work, here)


def xdas_open(here: str) -> Callable[[], int]:
    import xdas

    def work(here: str) -> int:
        return xdas.open_mfdataarray(f"{here}/*.nc").shape[0]

    warm(work, "xdas")
    return partial(work, here)


# ---- transforms ------------------------------------------------------------------------------------------------------


def reelarray_stft(here: str, engine: str, dtype: str = "float32") -> Callable[[], int]:
    import dask

    import reelarray as ra

    def work(here: str) -> int:
        s = ra.stft(ra.open_recordings(here, cache=False), nfft=NFFT, hop=HOP, dtype=dtype, engine=engine)
        with dask.config.set(scheduler="sync"):
            return int(streamed(s.data).compute())

    warm(work, "wav")
    return partial(work, here)


def dascore_stft(here: str) -> Callable[[], int]:
    import dascore

    warnings.filterwarnings("ignore", message="Querying with a nested")

    def work(here: str) -> int:
        patch = dascore.spool(here).update(progress=None).chunk(time=None)[0]
        return patch.stft(time=NFFT, overlap=HOP, samples=True).shape[-1]

    warm(work, "dascore")
    return partial(work, here)


def xdas_stft(here: str) -> Callable[[], int]:
    import xdas
    from xdas.spectral import stft

    def work(here: str) -> int:
        x = xdas.open_mfdataarray(f"{here}/*.nc")
        return stft(x, nperseg=NFFT, noverlap=NFFT - HOP, dim={"time": "frequency"}, parallel=1).shape[0]

    warm(work, "xdas")
    return partial(work, here)


# ---- tables ----------------------------------------------------------------------------------------------------------


def opening(settings: Settings) -> Table:
    files = settings.pick(tiny=5, quick=100, full=1000)
    make = partial(folder, settings.data, files, 1, 1000)
    cache = str(settings.data / f"fibre-cache-{files}")
    ways: dict[str, tuple[Way, dict[str, Any]]] = {
        "reelarray, WAV": (reelarray_open, {"here": make("wav")}),
        "reelarray, WAV, headers kept": (reelarray_open, {"here": make("wav"), "cache": cache}),
    }
    if installed("dascore"):
        ways["dascore, HDF5"] = dascore_open, {"here": make("dascore"), "anew": True}
        ways["dascore, HDF5, index kept"] = dascore_open, {"here": make("dascore"), "anew": False}
    if installed("xdas"):
        ways["xdas, netCDF"] = xdas_open, {"here": make("xdas")}
    variants = {name: way(**given) for name, (way, given) in ways.items()}
    times = race(variants, settings.repeats)
    check_same(times.results)
    table = Table(
        "fibre opening",
        f"From a folder of {files:,} files of one channel to one array, one core",
        ("what", "CPU ms", "us a file", "reelarray: times as fast", "peak MiB"),
        notes=[
            "Neither dascore nor xdas reads WAV: each has the same samples in its own format. `times as fast` is of "
            f"reelarray against each: with headers kept where an index is, without where none is.{missing()}"
        ],
    )
    for name, (way, given) in ways.items():
        beside = "reelarray, WAV, headers kept" if name.endswith("kept") else "reelarray, WAV"
        seconds = times.median(name)
        peak = alone(way, **given).peak
        table.add(name, seconds * 1e3, seconds / files * 1e6, times.speed(beside, name), peak)
    return table


def transforming(settings: Settings) -> Table:
    files, seconds = settings.pick(tiny=(2, 5), quick=(2, 60), full=(5, 60))
    make = partial(folder, settings.data, files, seconds, RATE)
    samples = files * seconds * RATE
    ways: dict[str, tuple[Way, dict[str, Any]]] = {}
    for name, engine in kernel.engines().items():
        given = {"here": make("wav"), "engine": engine}
        ways[ours(name)] = reelarray_stft, given
        ways[ours(f"{name} float64")] = reelarray_stft, given | {"dtype": "float64"}
    if installed("dascore"):
        ways[DASCORE] = dascore_stft, {"here": make("dascore")}
    if installed("xdas"):
        ways[XDAS] = xdas_stft, {"here": make("xdas")}
    variants: dict[str, Callable[[], Any]] = {name: way(**given) for name, (way, given) in ways.items()}
    times = race(variants | {FFT: partial(kernel.limit, NFFT, samples // HOP - 1)}, settings.repeats)
    table = Table(
        "fibre",
        f"Short-time Fourier transform of {samples / 1e6:.0f} million samples of one channel, nfft {NFFT}, hop {HOP}",
        JOB,
        notes=[
            "Opening the folder and reading count. reelarray makes complex64 and drops each block as a sink would; "
            "dascore and xdas make one complex128 array, and dascore pads both ends. The output of the limit is half "
            f"as large.{missing()}"
        ],
    )
    peaks = {name: alone(way, **given).peak for name, (way, given) in ways.items()}
    add_ways(table, times, samples, ours("reelarray"), FFT, peaks)
    return table


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def missing() -> str:
    names = [name for name in ("dascore", "xdas") if not installed(name)]
    return f" Not installed, so left out: {', '.join(names)}." if names else ""


def check_same(results: dict[str, int]) -> None:
    """Raise where one has found another number of samples."""
    if len(set(results.values())) > 1:
        raise RuntimeError(f"not the same samples: {results}")


def run(settings: Settings) -> list[Table]:
    return [opening(settings), transforming(settings)]
