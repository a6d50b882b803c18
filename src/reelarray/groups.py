"""Rows changed by what is known of their file, their stretch, or the whole recording: two passes, both lazy.

The first pass measures leaves of `LEAF` rows of each segment and merges them to pieces of a task's size, pieces to
segments, and segments to groups, always in order and never by chunk. The second changes each block of rows by the
values of its own groups, so that one hour of a year asks for the files of that hour only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from dask.graph_manipulation import clone

from . import graph
from .recordings import rate
from .table import MEBI, SourceTable, auto_chunk
from .windows import leaves

LEAF = 2**15  # rows measured at once: in float64 they stay in cache
LARGEST_KEPT = 64 * MEBI  # samples of a group that may wait in memory for its statistics; larger ones are made again


@dataclass(frozen=True, eq=False)
class Groups:
    """Segment s is the rows [edges[s], edges[s + 1]), and its group the segments [low[s], high[s]).

    `low` and `high` do not decrease; groups may overlap.
    """

    edges: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Steps:
    """What is done with groups; `facts` and `values` say how many numbers come of `measure` and of `finish`.

    Parameters
    ----------
    measure : rows (n, ...) -> facts (facts, ...) in float64 or complex128
    merge : facts (m, facts, ...) of m parts in order, their rows (m,) -> facts (facts, ...)
    finish : facts (m, facts, ...) of the segments of a group, their rows (m,) -> values (values, ...)
    apply : rows (n, ...), values (values, ...) -> rows (n, ...)
    """

    measure: Callable[[np.ndarray], np.ndarray]
    merge: Callable[[np.ndarray, np.ndarray], np.ndarray]
    finish: Callable[[np.ndarray, np.ndarray], np.ndarray]
    apply: Callable[[np.ndarray, np.ndarray], np.ndarray]
    facts: int
    values: int

    # Facts and values of many parts are kept end to end on the first axis, (parts * facts, ...): blocks of arrays that
    # have the same axes as the samples are fused with the tasks that read them.

    def measured(self, rows: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Facts of the pieces between edges."""
        return np.concatenate([self._piece(rows[a:b]) for a, b in pairwise(edges)])

    def measured_table(self, part: tuple[SourceTable, np.ndarray]) -> np.ndarray:
        """The same, of rows read from files."""
        table, edges = part
        return self.measured(table.read(), edges)

    def _piece(self, rows: np.ndarray) -> np.ndarray:
        edges = np.append(np.arange(0, len(rows), LEAF), len(rows))
        return self.merge(np.stack([self.measure(rows[a:b]) for a, b in pairwise(edges)]), np.diff(edges))

    def merged(self, facts: np.ndarray, part: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Facts of segments, each of the pieces between edges."""
        edges, rows = part
        facts = facts.reshape(-1, self.facts, *facts.shape[1:])
        return np.concatenate([self.merge(facts[a:b], rows[a:b]) for a, b in pairwise(edges)])

    def finished(self, facts: np.ndarray, part: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
        """Values of groups, each of the segments [low, high)."""
        low, high, rows = part
        facts = facts.reshape(-1, self.facts, *facts.shape[1:])
        pairs = zip(low, high, strict=True)
        return np.concatenate([self.finish(facts[a:b], rows[a:b]) for a, b in pairs])

    def applied(self, rows: np.ndarray, values: np.ndarray, part: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Rows, those between edges by the values of the group named beside them."""
        edges, group = part
        values = values.reshape(-1, self.values, *values.shape[1:])
        changed = [self.apply(rows[a:b], values[g]) for (a, b), g in zip(pairwise(edges), group, strict=True)]
        return changed[0] if len(changed) == 1 else np.concatenate(changed)


@dataclass(frozen=True, eq=False)
class Pieces:
    """Pieces of segments, between edges, as blocks: block k is the pieces [cut[k], cut[k + 1]), of a table or not."""

    edges: np.ndarray
    cut: np.ndarray
    table: SourceTable | None = None

    def __call__(self, block: int) -> Any:
        inside = self.edges[self.cut[block] : self.cut[block + 1] + 1]
        if self.table is None:
            return inside - inside[0]
        return self.table.select(int(inside[0]), int(inside[-1])), inside - inside[0]


@dataclass(frozen=True, eq=False)
class Inside:
    """What of each segment lies in each block of rows, the rows between edges, and the group of each segment."""

    rows: np.ndarray
    edges: np.ndarray
    group: np.ndarray

    def span(self, low: Any, high: Any) -> tuple[Any, Any]:
        """First and one past the last of the segments that hold the rows [low, high); one where there are no rows."""
        first = np.minimum(np.searchsorted(self.edges, low, "right") - 1, len(self.group) - 1)
        return first, np.maximum(np.searchsorted(self.edges, high, "left"), first + 1)

    def groups(self) -> tuple[np.ndarray, np.ndarray]:
        """First and one past the last of the groups of each block."""
        first, last = self.span(self.rows[:-1], self.rows[1:])
        return self.group[first], self.group[last - 1] + 1

    def __call__(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        low, high = self.rows[block], self.rows[block + 1]
        first, last = self.span(low, high)
        return np.clip(self.edges[first : last + 1], low, high) - low, self.group[first:last] - self.group[first]


def lift_groups(steps: Steps, x: xr.DataArray, groups: Groups, *, dtype: Any, name: str) -> Any:
    """The data of a recording after two passes over groups of segments: an array in memory for one in memory.

    Parameters
    ----------
    steps : what is measured, merged, finished and applied
    x : a recording, in memory or lazy
    groups : its segments, and the group of each
    dtype : of the result
    name : prefix of the tasks, as the dashboard shows it
    """
    if not x.size:
        return x.data.astype(dtype)
    each = auto_chunk(x.sizes["time"], x.size // x.sizes["time"], float(x.sizes["time"] / rate(x)))
    each = max(1, each // LEAF) * LEAF  # rows of a piece
    pieces, counts = leaves(groups.edges, each)
    of = np.append(0, np.cumsum(counts))  # segment s is the pieces [of[s], of[s + 1])
    rows, samples = np.diff(pieces), np.diff(groups.edges)
    changes = np.append(True, (np.diff(groups.low) > 0) | (np.diff(groups.high) > 0))
    low, high, group = groups.low[changes], groups.high[changes], np.cumsum(changes) - 1
    if x.chunks is None:
        array = np.asarray(x.data)
        known = steps.merged(steps.measured(array, pieces), (of, rows))
        return steps.applied(array, steps.finished(known, (low, high, samples)), (groups.edges, group))

    token = tokenize(x.data.name, steps, groups.edges, groups.low, groups.high, pieces)
    longest = int((groups.edges[high] - groups.edges[low]).max()) * (x.size // x.sizes["time"])
    parts = Pieces(pieces, _packed(pieces[:-1], each), graph.rows(x.data))
    facts = _facts(steps, x.data, parts, longest > LARGEST_KEPT, f"{name}-facts-{token}")
    cut = _packed(groups.edges[:-1], each)  # segments as blocks
    merged = graph.of_ranges(
        f"{name}-merge-{token}",
        steps.merged,
        facts,
        (of[cut[:-1]] * steps.facts, of[cut[1:]] * steps.facts),
        [(of[a : b + 1] - of[a], rows[of[a] : of[b]]) for a, b in pairwise(cut)],
        np.diff(cut) * steps.facts,
    )
    ended = _packed(np.searchsorted(cut, high - 1, "right"), 1)  # groups that end in the same block of segments
    values = graph.of_ranges(
        f"{name}-values-{token}",
        steps.finished,
        merged,
        (low[ended[:-1]] * steps.facts, high[ended[1:] - 1] * steps.facts),
        [(low[a:b] - low[a], high[a:b] - low[a], samples[low[a] : high[b - 1]]) for a, b in pairwise(ended)],
        np.diff(ended) * steps.values,
    )
    inside = Inside(np.append(0, np.cumsum(x.data.chunks[0])), groups.edges, group)
    begin, end = inside.groups()
    own = graph.of_ranges(
        f"{name}-of-block-{token}",
        _as_they_are,
        values,
        (begin * steps.values, end * steps.values),
        [None] * len(begin),
        (end - begin) * steps.values,
    )
    axes = tuple(range(x.ndim))
    return da.blockwise(
        steps.applied,
        axes,
        x.data,
        axes,
        own,
        axes,
        graph.Pieces((x.data.chunks[0],), inside, token),
        axes[:1],
        name=f"{name}-{token}",
        dtype=dtype,
        meta=np.empty((0,) * x.ndim, dtype),
        adjust_chunks={0: x.data.chunks[0]},
        align_arrays=False,
    )


def _facts(steps: Steps, data: da.Array, parts: Pieces, again: bool, name: str) -> da.Array:
    """Facts of all pieces, read from files or measured in any other array."""
    wide, sizes = np.result_type(data.dtype, np.float64), np.diff(parts.cut) * steps.facts
    if parts.table is not None:
        chunks = (tuple(sizes.tolist()), *((n,) for n in parts.table.shape))
        return graph.from_blocks(name, steps.measured_table, parts, chunks, wide)
    if again:
        data = clone(data, seed=name)  # made twice, so that no sample waits for the end of a long group
    ranges = parts.edges[parts.cut[:-1]], parts.edges[parts.cut[1:]]
    return graph.of_ranges(name, steps.measured, data, ranges, [parts(k) for k in range(len(sizes))], sizes, wide)


def _packed(starts: np.ndarray, each: int) -> np.ndarray:
    """Items that start in the same `each` rows, as one block: the first item of each block, and the end."""
    block = starts // each
    return np.append(np.flatnonzero(np.append(True, block[1:] != block[:-1])), len(starts))


def _as_they_are(values: np.ndarray, part: None) -> np.ndarray:
    return values
