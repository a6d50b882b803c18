"""Writing: spectrograms to Zarr, beside plain zarr with the same chunks and compression."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import recordings
from .measure import MIB, Settings, Table, race

Encode = Callable[[np.ndarray], np.ndarray]
ROWS = 512  # of 513 frequencies in float32: chunks of 1 MiB


def plain(values: np.ndarray, path: Path, compressors: Any, encode: Encode | None = None) -> Callable[[], None]:
    """The array alone, chunk by chunk, without coordinates."""
    import zarr

    dtype = values.dtype if encode is None else encode(values[:1]).dtype

    def work() -> None:
        shutil.rmtree(path, ignore_errors=True)
        chunks = (ROWS, values.shape[1])
        out = zarr.create_array(path, shape=values.shape, chunks=chunks, dtype=dtype, compressors=compressors)
        for first in range(0, len(values), ROWS):
            rows = values[first : first + ROWS]
            out[first : first + ROWS] = rows if encode is None else encode(rows)

    return work


def codes(power: np.ndarray) -> np.ndarray:
    """Hundredths of a decibel in 16 bits, as one would write it with NumPy."""
    return np.rint(1000 * np.log10(power)).astype(np.int16)


def ours(x: Any, path: Path, **options: Any) -> Callable[[], None]:
    import dask

    import reelarray as ra

    def work() -> None:
        shutil.rmtree(path, ignore_errors=True)
        with dask.config.set(scheduler="sync"):
            ra.write_zarr(x, path, chunk=ROWS, **options)

    return work


def size(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def run(settings: Settings) -> list[Table]:
    import dask.array as da
    from zarr.codecs import BloscCodec

    import reelarray as ra

    rows = settings.pick(tiny=4, quick=32, full=200) * ROWS
    counts = recordings.samples((rows - 1) * 512 + 1024, seed=2)
    power = ra.spectrogram(ra.recording(counts, rate=recordings.RATE, units="1"))
    blocks = da.from_array(power.values, chunks=(4 * ROWS, -1), name=False)
    lazy = power.copy(data=blocks)  # as one that comes from files; of values in memory a fingerprint would be taken
    here = settings.data / "zarr"
    here.mkdir(exist_ok=True)
    bitshuffle = BloscCodec(cname="lz4", shuffle="bitshuffle")
    zarr32, zarr16, zarr16_ready = (here / f"zarr-{k}.zarr" for k in range(3))
    variants = {
        "float32, plain zarr": plain(power.values, zarr32, "auto"),
        "float32, reelarray": ours(lazy, here / "float32.zarr"),
        "dB in 16 bits, plain zarr and NumPy's log10": plain(power.values, zarr16, bitshuffle, codes),
        "dB in 16 bits, reelarray": ours(lazy, here / "db16.zarr", encoding="db16"),
        "dB in 16 bits, plain zarr, codes ready": plain(codes(power.values), zarr16_ready, bitshuffle),
    }
    stores = (zarr32, here / "float32.zarr", zarr16, here / "db16.zarr", zarr16_ready)
    times = race(variants, settings.repeats)
    table = Table(
        "writing",
        f"Writing a spectrogram of {power.nbytes / MIB:.0f} MiB to Zarr, chunks of {ROWS} rows, one core",
        ("what", "CPU s", "MiB/s", "times as fast", "bytes a value"),
        notes=[
            "MiB of float32 per second of CPU time; `times as fast` is against plain zarr with the same chunks and the "
            "same kind of values. Plain zarr writes the array alone; reelarray also coordinates, the clock, a journal."
        ],
    )
    for name, path in zip(variants, stores, strict=True):
        reference = next(other for other in variants if other.startswith(name.partition(",")[0]))
        seconds = times.median(name)
        table.add(name, seconds, power.nbytes / MIB / seconds, times.speed(name, reference), size(path) / power.size)
    return [table]
