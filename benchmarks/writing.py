"""Writing: spectra to Zarr in each encoding, beside plain zarr with the same settings; and what reading them takes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import recordings
from .measure import MIB, Settings, Table, alone, race

ROWS = 512  # of 513 frequencies in float32: chunks of 1 MiB
BLOCK = 4 * ROWS  # of one task
MINUTES_A_YEAR, MINUTES_A_WEEK = 525_600, 10_080
SPECTRA_A_YEAR, SPECTRA_A_MINUTE = 93.75 * 60 * MINUTES_A_YEAR, 5625  # 48 kHz, hop 512


# ---- what plain zarr is given ----------------------------------------------------------------------------------------


def codes(power: np.ndarray, step: float = 0.01) -> np.ndarray:
    """Steps of a decibel in 16 bits, as one would write it with NumPy."""
    return np.rint(10 / step * np.log10(power)).astype(np.int16)


def ten_bits(power: np.ndarray) -> np.ndarray:
    from numcodecs import BitRound

    return BitRound(keepbits=10).encode(power).view(np.float32)


@dataclass(frozen=True)
class Case:
    """An encoding: what it is, what plain zarr is given instead of the power, and what `write_zarr` is told."""

    name: str
    encode: Callable[[np.ndarray], np.ndarray] | None
    options: dict[str, Any] = field(default_factory=dict)

    def compressors(self) -> Any:
        from zarr.codecs import BloscCodec

        name = self.options.get("compression", "lz4")
        codecs = {"lz4": {"cname": "lz4"}, "zstd": {"cname": "zstd", "clevel": 3}}
        return None if name == "none" else BloscCodec(**codecs[name], shuffle="bitshuffle")


CASES = (
    Case("float32", None),
    Case("float32, zstd", None, {"compression": "zstd"}),
    Case("float32, not compressed", None, {"compression": "none"}),
    Case("float32, 10 bits of mantissa", ten_bits, {"keep_bits": 10}),
    Case("dB in 16 bits", codes, {"encoding": "db16"}),
    Case("dB in 16 bits, zstd", codes, {"encoding": "db16", "compression": "zstd"}),
    Case("dB in 16 bits, steps of 0.1", partial(codes, step=0.1), {"encoding": "db16", "step": 0.1}),
    Case("dB in 16 bits, 4 chunks a shard", codes, {"encoding": "db16", "shard": BLOCK}),
)


def plain(case: Case, path: Path, shape: tuple[int, int], blocks: Callable[[int], np.ndarray]) -> Callable[[], float]:
    """The array alone, without coordinates: chunk by chunk, or shard by shard. Gives the seconds it took."""
    import zarr

    rows = case.options.get("shard", ROWS)

    def work() -> float:
        shutil.rmtree(path, ignore_errors=True)
        before = time.process_time()
        out = zarr.create_array(
            path,
            shape=shape,
            chunks=(ROWS, shape[1]),
            shards=(rows, shape[1]) if "shard" in case.options else None,
            dtype="f4" if case.encode in (None, ten_bits) else "i2",
            compressors=case.compressors(),
        )
        for block in range(shape[0] // BLOCK):
            power = blocks(block)
            for first in range(0, BLOCK, rows):
                part = power[first : first + rows]
                start = block * BLOCK + first
                out[start : start + rows] = part if case.encode is None else case.encode(part)
        return time.process_time() - before

    return work


def ours(case: Case, path: Path, power: Any) -> Callable[[], float]:
    import dask

    import reelarray as ra

    def work() -> float:
        shutil.rmtree(path, ignore_errors=True)
        before = time.process_time()
        with dask.config.set(scheduler="sync"):
            ra.write_zarr(power, path, chunk=ROWS, **case.options)
        return time.process_time() - before

    return work


def read(path: Path) -> Callable[[], None]:
    """All values as they are stored, by plain zarr."""
    import zarr

    def work() -> None:
        group: Any = zarr.open(path, mode="r")
        array = group if isinstance(group, zarr.Array) else group["spectrogram"]
        for first in range(0, array.shape[0], BLOCK):
            array[first : first + BLOCK]

    return work


# ---- peak memory -----------------------------------------------------------------------------------------------------


def noise(block: int) -> np.ndarray:
    """Power of one block, made where it is written."""
    return np.random.default_rng(block).standard_exponential((BLOCK, 513), dtype=np.float32)


def alone_in_process(case: str, blocks: int, folder: str, library: str) -> Callable[[], float]:
    """For a process of its own: as the race, of blocks that are made one by one."""
    import dask.array as da

    import reelarray as ra

    chosen = next(c for c in CASES if c.name == case)

    def work(count: int, path: Path) -> Callable[[], float]:
        if library == "plain zarr":
            return plain(chosen, path, (count * BLOCK, 513), noise)
        numbers = da.arange(count, chunks=1)
        values = numbers.map_blocks(
            lambda number: noise(int(number[0])),
            chunks=((BLOCK,) * count, (513,)),
            new_axis=1,
            dtype="f4",
            meta=np.empty((0, 0), "f4"),
        )
        x = ra.recording(values, rate=93.75, units="Pa2 Hz-1", dims=("frequency",))
        return ours(chosen, path, x.rename("spectrogram"))

    work(1, Path(folder, "warm.zarr"))()
    return work(blocks, Path(folder, "alone.zarr"))


# ---- tables ----------------------------------------------------------------------------------------------------------


def bytes_and_files(path: Path) -> tuple[int, int]:
    files = [p for p in path.rglob("*") if p.is_file()]
    chunks = [p for p in files if p.name != "zarr.json" and "spectrogram" in str(p.parent)] or files
    return sum(p.stat().st_size for p in files), len([p for p in chunks if p.name != "zarr.json"])


def encodings(settings: Settings) -> Table:
    import dask.array as da

    import reelarray as ra

    rows = settings.pick(tiny=1, quick=8, full=50) * BLOCK
    counts = recordings.samples((rows - 1) * 512 + 1024, seed=2)
    power = ra.spectrogram(ra.recording(counts, rate=recordings.RATE, units="1"))
    values, mib = power.values, power.nbytes / MIB
    # As one that comes from files; of values in memory a fingerprint would be taken.
    lazy = power.copy(data=da.from_array(values, chunks=(BLOCK, -1), name=False))
    here = settings.data / "zarr"
    here.mkdir(exist_ok=True)
    table = Table(
        "writing",
        f"Writing a spectrogram of {mib:.0f} MiB to Zarr, chunks of {ROWS} rows, one core",
        ("what", "MiB/s", "times as fast", "bytes a value", "files", "read MiB/s", "peak MiB"),
        notes=[
            "MiB of float32 per second of CPU time; `times as fast` is against plain zarr with the same chunks and "
            "compression (blosc lz4 unless named, bits shuffled) and NumPy's `log10` or numcodecs' `BitRound`. Plain "
            "zarr writes the array alone; reelarray also coordinates, the clock and a journal, makes sure that each "
            "chunk is on the disk before it is noted, and tells NaN, zero and what is too loud apart. Peak memory: of "
            "blocks that are made where they are written."
        ],
    )
    for case in CASES:
        paths = {name: here / f"{len(table.rows)}-{name}".replace(" ", "-") for name in ("plain zarr", "reelarray")}
        variants: dict[str, Callable[[], Any]] = {
            "plain zarr": plain(case, paths["plain zarr"], values.shape, lambda b: values[b * BLOCK : (b + 1) * BLOCK]),
            "reelarray": ours(case, paths["reelarray"], lazy),
        }
        times = race(variants, settings.repeats)
        reading = race({name: read(path) for name, path in paths.items()}, settings.repeats)
        for name, path in paths.items():
            peak = None
            if settings.size == "full" and case.name in ("float32", "dB in 16 bits"):
                arguments = {"case": case.name, "blocks": rows // BLOCK, "folder": str(here), "library": name}
                peak = alone(alone_in_process, **arguments).peak
            size, files = bytes_and_files(path)
            table.add(
                f"{case.name}: {name}",
                mib / times.median(name),
                times.speed(name, "plain zarr"),
                size / power.size,
                files,
                mib / reading.median(name),
                peak,
            )
            shutil.rmtree(path)
    levels, path = next(c for c in CASES if c.name == "dB in 16 bits"), here / "empty"
    none = {"plain zarr": plain(levels, path, (1, 513), noise), "reelarray": ours(levels, path, lazy[:1])}
    empty = race(none, settings.repeats)
    alike = ", ".join(f"{name} {1000 * empty.median(name):.0f} ms" for name in empty.rounds)
    table.notes.append(f"Of this, a store takes before its first block, and whatever its size: {alike}.")
    return table


def values_of(array: Any, where: Any) -> np.ndarray:
    return array[where].values  # selected anew: xarray keeps what a selection has read


def layouts(settings: Settings) -> Table:
    """What readers wait for, by the rows of a task."""
    import dask
    import dask.array as da
    import xarray as xr

    import reelarray as ra

    table = Table(
        "reading",
        "Reading levels of 513 frequencies in 16 bits, ms of CPU time on one core",
        (
            "what", "files a year",
            "one frequency", "one frequency, xarray", "all frequencies", "all frequencies, xarray",
        ),
        notes=[
            "`ra.open_zarr`, and `xarray.open_zarr(chunks=None)`. One-minute spectra: a week of one frequency, and one "
            "minute of all. Spectrogram (hop 512 at 48 kHz): all there is of one frequency, and a minute of all. "
            "Chunks are the blocks that one task makes, up to 4 MiB; larger blocks are cut along frequency unless told."
        ],
    )  # fmt: skip
    path, blocks = settings.data / "zarr" / "layout.zarr", settings.pick(tiny=1, quick=3, full=12)
    week, minute = settings.pick(tiny=64, quick=MINUTES_A_WEEK, full=MINUTES_A_WEEK), slice(20, 21)
    many, some = blocks * 4 * BLOCK, slice(20, 20 + SPECTRA_A_MINUTE)
    cases = [(f"one-minute spectra, {n} a task", week, n, {}, minute, MINUTES_A_YEAR) for n in (16, 64, 256, 1024)]
    cases += [
        ("spectrogram, 8192 rows a task", many, 4 * BLOCK, {}, some, SPECTRA_A_YEAR),
        ("the same, whole rows a chunk", many, 4 * BLOCK, {"chunk": 2 * BLOCK}, some, SPECTRA_A_YEAR),
    ]
    for name, rows, block, options, moment, year in cases:
        parts = [noise(k) for k in range(-(-rows // BLOCK))]
        values = da.from_array(np.concatenate(parts)[:rows], chunks=(block, -1), name=False)
        x = ra.recording(values, rate=1, units="Pa2 Hz-1", dims=("frequency",)).rename("spectrogram")
        with dask.config.set(scheduler="sync"):
            ra.write_zarr(x, path, encoding="db16", overwrite=True, **options)
            opened = {"": ra.open_zarr(path), ", xarray": xr.open_zarr(path, chunks=None)["spectrogram"]}
            times = race(
                {
                    f"{what}{by}": partial(values_of, array, where)
                    for what, where in (("one frequency", (slice(None), 100)), ("all frequencies", moment))
                    for by, array in opened.items()
                },
                settings.repeats,
            )
        chunks = sum(1 for p in (path / "spectrogram").iterdir() if p.name != "zarr.json")
        table.add(name, round(chunks / rows * year), *(1000 * times.median(column) for column in table.columns[2:]))
    return table


def run(settings: Settings) -> list[Table]:
    return [encodings(settings), layouts(settings)]
