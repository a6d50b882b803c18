"""Samples on their way into SigMF data: encoded block by block, each written to its place by the task that made it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dask.array as da
import numpy as np
import xarray as xr

from .. import driving
from ..errors import RecordingError
from ..formats.sigmf.document import Datatype
from .blocks import Blocks
from .files import refusals

IN_MEMORY = 64 * 2**20  # bytes of a block of what is in memory already
# What a task that writes a block returns: samples that integers cannot tell, because too large or NaN.
SEEN = np.dtype([("beyond", "i8"), ("missing", "i8"), ("largest", "f8"), ("first", "i8")])


@dataclass(frozen=True)
class Encoder:
    """Components as they are stored: where they become integers `factor` times them, rounded; 0 is for counts."""

    stored: Datatype
    factor: float
    clip: bool

    def __call__(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(samples, ...) -> (numbers as they lie in the file, `SEEN` of one value)."""
        seen = np.zeros(1, SEEN)
        seen["first"] = -1
        code = np.dtype(self.stored.code)
        values = np.ascontiguousarray(samples)
        if values.dtype.kind == "c":
            values = values.view(values.real.dtype)
        if code.kind == "f":
            return values.astype(code, copy=False), seen
        full = 2 ** (8 * code.itemsize - 1)
        counts = np.rint(values * np.float64(self.factor)) if self.factor else values
        fits = (counts >= -full) & (counts <= full - 1)
        if not fits.all():
            self._count(counts, fits, len(samples), seen)
            counts = np.clip(np.nan_to_num(counts, nan=0.0), -full, full - 1)
        if code.kind == "u":  # the middle of their range is 0
            return (counts.astype(np.int64) + full).astype(code), seen
        return counts.astype(code, copy=False), seen

    def _count(self, counts: np.ndarray, fits: np.ndarray, rows: int, seen: np.ndarray) -> None:
        missing = np.isnan(counts) if counts.dtype.kind == "f" else np.zeros(counts.shape, bool)
        seen["missing"], seen["beyond"] = missing.sum(), (~fits & ~missing).sum()
        largest = np.nanmax(np.abs(counts.astype(np.float64)), initial=0.0)
        seen["largest"] = largest / (self.factor or 1.0)
        seen["first"] = np.argmax(~fits.reshape(rows, -1).all(axis=1))


class RangeWriter:
    """Encodes a block and writes it to its bytes of a file: a task's last step."""

    def __init__(self, path: Path, begin: int, block: int, encode: Encoder) -> None:
        self.path, self.begin, self.block, self.encode = path, begin, block, encode

    def __call__(self, samples: np.ndarray, region: tuple[slice, ...]) -> np.ndarray:
        stored, seen = self.encode(np.asarray(samples))
        seen["first"] += np.where(seen["first"] >= 0, region[0].start, 0)
        with refusals(self.path):
            write_at(self.path, self.begin + region[0].start * self.block, stored)
        return seen.reshape((1,) * samples.ndim)


def write_at(path: Path, offset: int, values: np.ndarray) -> None:
    """Bytes into a file that is there and long enough."""
    data = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
    with open(path, "rb+", buffering=0) as file:
        file.seek(offset)
        while data:
            data = data[file.write(data) :]


def write_samples(x: xr.DataArray, path: Path, begin: int, block: int, encode: Encoder) -> np.ndarray:
    """All samples into a file, from byte `begin` on, `block` bytes a row; returns `SEEN` of all of them.

    Blocks are made and written by the scheduler in use: threads, or the cluster of the active client.
    """
    data = x.data
    if not isinstance(data, da.Array):
        values = np.asarray(data)
        rows = max(1, IN_MEMORY // max(1, values[:1].nbytes))
        data = da.from_array(values, chunks=(rows, *values.shape[1:]), name=False)
    elif any(n > 1 for n in data.numblocks[1:]):  # rows of a file are whole
        data = data.rechunk(dict.fromkeys(range(1, data.ndim), -1))
    with open(path, "rb+") as file:
        file.truncate(begin + len(x) * block)
    seen = np.zeros(1, SEEN)
    seen["first"] = len(x)

    def note(units: Sequence[driving.Done]) -> None:
        for unit in units:
            value = np.asarray(unit.value).reshape(-1)[0]
            for name in ("beyond", "missing"):
                seen[name] += value[name]
            seen["largest"] = max(seen["largest"][0], value["largest"])
            if value["first"] >= 0:
                seen["first"] = min(seen["first"][0], value["first"])

    todo = [(k, *(0,) * (data.ndim - 1)) for k, rows in enumerate(data.chunks[0]) if rows]
    policy = driving.Policy(on_error="raise")
    writer = RangeWriter(path.absolute(), begin, block, encode)
    blocks = Blocks(data, writer, dtype=SEEN, name="write-sigmf")
    if not driving.drive(blocks, todo, done=note, failed=lambda failure: None, policy=policy):
        raise RecordingError("writing was stopped before its end; no file of this call was kept")
    return seen
