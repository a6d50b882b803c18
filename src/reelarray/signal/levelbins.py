"""Counts of values by level: bins of decibels, found by the leading bits of a power; quantiles from counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..merging import Gather, Shape

MANTISSA = 10  # leading bits of a float's mantissa that tell its level: to within 0.0022 dB
SHIFT = 23 - MANTISSA
MOST_BINS = 2**16 - 4
ON_EDGE = 1e-6  # of a bin

# ---- bins ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bins:
    """Bins of `step` dB from `low` on; code 0 is below them, `count` + 1 above, and `count` + 2 not a number.

    Values are powers relative to `one`, or with `one` None levels in dB.
    """

    low: float
    step: float
    count: int
    one: float | None

    def centres(self) -> np.ndarray:
        """Levels (count + 2,) of the codes; what is outside is infinite."""
        inner = self.low + (np.arange(self.count) + 0.5) * self.step
        return np.concatenate([[-np.inf], np.round(inner, 9), [np.inf]])

    def codes(self, values: np.ndarray) -> np.ndarray:
        """Values (...) -> codes (...), uint16."""
        if self.one is None:
            return _codes_of_levels(values, self)
        return code_table(self)[leading_bits(values)]


def leading_bits(powers: np.ndarray) -> np.ndarray:
    """Powers (...) -> sign, exponent and first bits of the mantissa as float32 has them: places in a `code_table`."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(powers, np.float32).view(np.uint32) >> np.uint32(SHIFT)


@lru_cache(maxsize=8)
def code_table(bins: Bins) -> np.ndarray:
    """The code of each power by its `leading_bits`: one logarithm for all values that share them.

    A look-up takes a third of the time of a logarithm in plain C, and is the same on every machine.
    """
    assert bins.one is not None
    places = np.arange(2 ** (9 + MANTISSA), dtype=np.uint32)
    negative, exponent = places >= 256 << MANTISSA, (places >> MANTISSA) & 255
    first = places << SHIFT
    middle = np.where(exponent == 255, first, first | 2 ** (SHIFT - 1)).astype(np.uint32).view(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        levels = 10 * np.log10(np.where(negative | (places == 0), 0.0, middle.astype(np.float64)) / bins.one)
    levels[(exponent == 255) & (negative | (places != 255 << MANTISSA))] = np.nan
    table = _codes_of_levels(levels, bins)
    table.setflags(write=False)
    return table


def _codes_of_levels(levels: np.ndarray, bins: Bins) -> np.ndarray:
    """A level on an edge belongs to the bin above, also where rounding has put it a little below: stored ones do."""
    with np.errstate(invalid="ignore"):
        place = np.floor((np.asarray(levels, np.float64) - bins.low) / bins.step + ON_EDGE) + 1
        codes = np.clip(place, 0, bins.count + 1)
    return np.where(np.isnan(codes), bins.count + 2, codes).astype(np.uint16)


# ---- counts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counts:
    """Merges rows to counts by level: (...) -> (..., code), without what is not a number. Integers: exact in any order.

    With `quantiles` it gives levels of these instead.
    """

    bins: Bins
    quantiles: tuple[float, ...] = ()
    divisible = True

    def state(self, shape: Shape, dtype: np.dtype) -> tuple[Shape, np.dtype]:
        return (*shape, self.bins.count + 3), np.dtype(np.int64)

    def result(self, shape: Shape, dtype: np.dtype) -> tuple[Shape, np.dtype]:
        if self.quantiles:
            return (*shape, len(self.quantiles)), np.dtype(np.float32)
        return (*shape, self.bins.count + 2), np.dtype(np.int64)

    def gather(self, shape: Shape, dtype: np.dtype, compiled: bool) -> Gather:
        return _Compiled(self.bins, shape) if compiled and self.bins.one is not None else _Counting(self.bins, shape)

    def combine(self, states: np.ndarray) -> np.ndarray:
        return states.sum(axis=0, dtype=np.int64)

    def finish(self, state: np.ndarray, count: int) -> np.ndarray:
        counts = state[..., :-1]
        return order_levels(counts, self.bins.centres(), self.quantiles) if self.quantiles else counts


class _Tables:
    """A table of counts for each place in a row: (places, codes). Those of a leaf fit 32 bits."""

    def __init__(self, bins: Bins, shape: Shape) -> None:
        self.bins, self.shape = bins, shape
        self.counts: np.ndarray | None = None

    def tables(self) -> np.ndarray:
        if self.counts is None:
            places = int(np.prod(self.shape, dtype=np.int64))
            self.counts = np.zeros((places, self.bins.count + 3), np.int32)
        return self.counts

    def take(self) -> np.ndarray:
        counts, self.counts = self.tables(), None
        return counts.reshape(*self.shape, -1)


class _Counting(_Tables):
    """Counts codes, those of many rows of one place at once."""

    ROWS = 4096

    def __init__(self, bins: Bins, shape: Shape) -> None:
        super().__init__(bins, shape)
        self.kept: list[np.ndarray] = []
        self.rows = 0

    def __call__(self, rows: np.ndarray) -> None:
        self.kept.append(self.bins.codes(rows.reshape(len(rows), -1)))
        self.rows += len(rows)
        if self.rows >= self.ROWS:
            self._count()

    def _count(self) -> None:
        codes = np.ascontiguousarray(np.concatenate(self.kept).T)
        for counts, each in zip(self.tables(), codes, strict=True):
            counts += np.bincount(each, minlength=len(counts)).astype(np.int32)
        self.kept, self.rows = [], 0

    def take(self) -> np.ndarray:
        if self.kept:
            self._count()
        return super().take()


class _Compiled(_Tables):
    """The same counts by a compiled loop."""

    def __call__(self, rows: np.ndarray) -> None:
        from .. import compiled

        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(rows.reshape(len(rows), -1), np.float32).view(np.uint32)
        compiled.count_codes(values, np.uint32(SHIFT), code_table(self.bins), self.tables())


def order_levels(counts: np.ndarray, levels: np.ndarray, quantiles: Sequence[float]) -> np.ndarray:
    """Counts (..., level), levels (level,) -> (..., quantile) in float32; NaN where nothing was counted.

    NumPy's linear rule: quantile q lies at place q (N - 1) of the N values in order, and between two places in between.
    """
    if counts.dtype.kind == "f":  # rows that were filled with NaN have no counts
        counts = np.nan_to_num(counts, posinf=0, neginf=0).astype(np.int64)
    used = np.flatnonzero(counts.any(axis=tuple(range(counts.ndim - 1))))
    low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
    below = np.cumsum(counts[..., low:high].reshape(-1, high - low), axis=-1, dtype=np.int64)
    total = below[:, -1]
    last = np.maximum(total - 1, 0)
    # Values of one row of counts after those of another: the levels of all places are then found by one search.
    before = np.cumsum(total) - total
    ordered = (below + before[:, np.newaxis]).ravel()

    def level_at(place: np.ndarray) -> np.ndarray:
        found = np.searchsorted(ordered, place + before, "right") - np.arange(len(total)) * (high - low)
        return levels[low + np.clip(found, 0, high - low - 1)]

    out = np.full((len(total), len(quantiles)), np.nan, np.float32)
    for k, quantile in enumerate(quantiles):
        first = np.floor(quantile * last).astype(np.int64)
        part = quantile * last - first
        a, b = level_at(first), level_at(np.minimum(first + (part > 0), last))
        with np.errstate(invalid="ignore"):
            between = np.where((a == b) | np.isinf(a), a, a + part * (b - a))  # beside silence: silence
        out[:, k] = np.where(total > 0, between, np.nan)
    return out.reshape(*counts.shape[:-1], len(quantiles))
