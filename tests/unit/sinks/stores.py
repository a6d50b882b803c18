"""Recordings to write, and stores to compare."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

import reelarray as ra
from reelarray import graph
from reelarray.clock import SampleClock
from reelarray.formats import probe
from reelarray.recordings import label
from reelarray.sinks.journal import read_records
from reelarray.table import SourceTable

START = 1_646_092_800_000_000_000  # 2022-03-01T00:00:00
RATE = 1000


def files(folder: Path, count: int = 3, samples: int = 4000, *, seed: int = 0) -> list[Path]:
    """Headerless int16 files of noise."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    paths = [folder / f"{k:04}.raw" for k in range(count)]
    for path in paths:
        path.write_bytes(rng.integers(-3000, 3000, samples).astype("<i2").tobytes())
        os.utime(path, ns=(START, START))
    return paths


def recorded(paths: list[Path], *, chunk: int = 1500, gap: int = 10**10):
    """The files as one lazy recording [Pa] with a gap after each second file."""
    headers = [probe(str(path), "raw", rate=RATE, dtype="<i2") for path in paths]
    table = SourceTable.of_headers(headers)
    lengths = [h.frames for h in headers]
    starts, joined = [START], [False]
    for k, length in enumerate(lengths[:-1]):
        joined.append(k % 2 == 0)
        starts.append(starts[-1] + length * 10**9 // RATE + (0 if joined[-1] else gap))
    clock = SampleClock.of_segments(starts, lengths, RATE, joined=joined, source=[p.name for p in paths])
    return label(graph.read_array(table, chunk), clock, attrs={"units": "Pa", "long_name": "samples"}, name="samples")


def spectra(paths: list[Path], *, block: int = 12, **options):
    return ra.spectrogram(recorded(paths), **{"nfft": 64, "hop": 32, **options}, block=block)


def content(folder: Path, *, journal: bool = False) -> dict[str, bytes]:
    """Every file of a store; without the journal, whose lines tell who did what and when."""
    found = {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}
    return {name: data for name, data in found.items() if journal or not name.startswith(".reelarray/done/")}


def noted(folder: Path) -> list[dict]:
    """The lines of a store's journal that say what is done."""
    return [record for record in read_records(folder / ".reelarray") if "done" in record]


def forget(folder: Path, keep: slice) -> None:
    """Cut lines out of the journal of a store that one driver wrote."""
    (journal,) = (folder / ".reelarray" / "done").iterdir()
    driver, *lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(driver + b"".join(lines[keep]))


def nothing_temporary(path: Path) -> None:
    marks = ("reelarray-", "run-", "dead-", "lease")
    left = [f for f in path.parent.rglob("*") if any(mark in f.name for mark in marks)]
    assert left == []
