"""Samples on their way into audio files: each computed once, made integers where files hold integers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from .. import graph
from ..clock import SampleClock
from ..errors import RecordingError

PORTION = 4 * 2**20  # samples held at once
LOOK = 2**20  # samples that a suggestion of a scale is made from


class Stream:
    """Samples in order, each computed once: portions end where the chunks of a lazy recording do."""

    def __init__(self, x: xr.DataArray) -> None:
        self._data, self._size = x.data, len(x)
        self._most = max(1, PORTION // (1 if x.ndim == 1 else max(1, x.shape[1])))
        self._table = graph.rows(self._data) if hasattr(self._data, "dask") else None
        lazy = hasattr(self._data, "dask") and self._table is None
        self._edges = np.append(0, np.cumsum(self._data.chunks[0])) if lazy else None
        self._start, self._held = 0, np.empty(0)

    def blocks(self, start: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, samples) of [start, stop), which begins where the call before ended, or later."""
        while start < stop:
            if not self._start <= start < self._start + len(self._held):
                self._start, self._held = start, self._read(start)
            begin = start - self._start
            samples = self._held[begin : min(begin + self._most, stop - self._start)]
            yield start, samples
            start += len(samples)

    def _read(self, start: int) -> np.ndarray:
        stop = min(start + self._most, self._size)
        if self._table is not None:
            return self._table.read(start, stop)
        if self._edges is None:
            return np.asarray(self._data[start:stop])
        fits = int(self._edges[np.searchsorted(self._edges, stop, "right") - 1])
        if fits <= start:  # a chunk is made whole, whatever its size
            fits = int(self._edges[np.searchsorted(self._edges, start, "right")])
        made: np.ndarray = self._data[start:fits].compute()
        return made


class BeyondFullScale(Exception):
    """Samples that integers of this size cannot tell."""


@dataclass(frozen=True)
class Encoder:
    """Samples as they are stored: `factor` times them, rounded where `full` (2^(bits - 1)) is not 0."""

    kind: str
    scale: float
    factor: float
    full: int

    @classmethod
    def of(cls, x: xr.DataArray, kind: str, scale: float | None) -> Encoder:
        if scale is not None and not (np.isfinite(scale) and scale > 0):
            raise RecordingError(f"scale={scale!r} was given; the units per full scale, above 0, were expected")
        if not kind.startswith("int"):
            return cls(kind, 1.0 if scale is None else float(scale), 1.0 if scale is None else 1 / scale, 0)
        full = 2 ** (int(kind[3:]) - 1)
        if scale is None and x.dtype.kind == "f":
            raise RecordingError(_suggestion(x, kind))
        return cls(kind, float(full if scale is None else scale), 1.0 if scale is None else full / scale, full)

    @property
    def dtype(self) -> str:
        return "int32" if self.kind == "int24" else self.kind

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        if not self.full:
            values = samples if self.factor == 1 else samples * self.factor
            return values.astype(self.dtype, copy=False)
        counts = self.counts(samples)
        if not self.fits(counts).all():
            raise BeyondFullScale
        return counts.astype(self.dtype)

    def counts(self, samples: np.ndarray) -> np.ndarray:
        if samples.dtype.kind in "iu" and self.factor == 1:
            return samples
        return np.rint(samples * np.float64(self.factor))

    def fits(self, counts: np.ndarray) -> np.ndarray:
        return (counts >= -self.full) & (counts < self.full)


def why_not(encode: Encoder, stream: Stream, clock: SampleClock, rows: tuple[int, int], samples: np.ndarray) -> str:
    """Why a file [first, stop) cannot be written, which shows in `samples`: the rest of it is counted too."""
    beyond = missing = 0
    largest, when = 0.0, None
    first, stop = rows
    while True:
        bad = ~encode.fits(encode.counts(samples))
        if when is None and bad.any():
            row = first + int(np.argmax(bad.reshape(len(bad), -1).any(axis=1)))
            when = np.datetime64(int(clock.labels(row)), "ns")
        values = np.abs(samples.astype(np.float64))
        missing += int(np.isnan(values).sum())
        beyond += int((bad & ~np.isnan(values)).sum())
        largest = max(largest, float(np.nanmax(values, initial=0.0)))
        following = next(stream.blocks(first + len(samples), stop), None)
        if following is None:
            break
        first, samples = following
    words = []
    if missing:
        words.append(f"{missing} samples are NaN, which integers cannot tell: write float32, or leave them out")
    if beyond:
        enough = largest * encode.full / (encode.full - 1)
        hint = "" if not np.isfinite(enough) else f"scale={_rounded_up(enough):g} is enough for them, or "
        words.append(
            f"{beyond} samples are beyond full scale (scale={encode.scale:g}, the largest is {largest:g}); {hint}"
            "write float32"
        )
    return f"{'; '.join(words)}. The first is at {when}"


def _suggestion(x: xr.DataArray, kind: str) -> str:
    units = str(x.attrs.get("units", "1"))
    rows = max(1, LOOK // (1 if x.ndim == 1 else max(1, x.shape[1])))
    head = np.abs(np.asarray(x.data[:rows]).astype(np.float64))
    largest = float(np.nanmax(head, initial=0.0, where=np.isfinite(head)))
    scale = 1.0 if units == "1" and largest <= 1 else _rounded_up(4 * largest or 1.0)
    return (
        f"{x.dtype} samples in {units} become {kind} only with scale=, the units per full scale: the first {len(head)} "
        f"reach {largest:g}, so scale={scale:g} may do; or write float32"
    )


def _rounded_up(value: float) -> float:
    """The next number of two digits.

    >>> _rounded_up(0.1234), _rounded_up(20.0)
    (0.13, 20.0)
    """
    place = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(f"{np.ceil(value / place * (1 - 1e-12)) * place:.3g}")
