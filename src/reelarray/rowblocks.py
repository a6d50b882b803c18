"""Rows of an array, with a few around them, as Dask layers; and chains of tasks that hand a state from block to block.

For arrays whose rows are large (frames of a film) or many numbers (what was measured in each): a task gets rows as they
are, where `layers` cuts them into windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import dask.array as da
import numpy as np
from dask._task_spec import List, Task, TaskRef
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from . import graph
from .plan import RowValues
from .table import SourceTable
from .windows import even_blocks

PORTION = 2**23  # bytes of rows that are read at once where a task needs none around them


class RowParts:
    """Of each block the pieces that stand together: rows [begin, end) of the whole, with those of [low, high) around.

    Rows beyond one of `borders` are not seen.
    """

    def __init__(self, edges: np.ndarray, borders: np.ndarray, halo: int) -> None:
        self.rows, self.borders, self.halo = edges, borders, halo

    def __call__(self, block: int) -> list[tuple[int, int, int, int]]:
        begin, end = int(self.rows[block]), int(self.rows[block + 1])
        if not self.halo or begin == end:
            return [(begin, begin, end, end)]
        last = int(np.searchsorted(self.borders, end, "left"))
        first = int(np.searchsorted(self.borders, begin, "right"))
        inner = [begin, *self.borders[first:last].tolist(), end]
        floor = int(self.borders[first - 1]) if first else 0
        ceiling = int(self.borders[last]) if last < len(self.borders) else int(self.rows[-1])
        return [
            (max(a - self.halo, floor if a == begin else a), a, b, min(b + self.halo, ceiling if b == end else b))
            for a, b in pairwise(inner)
        ]


class TableRows:
    """What one block needs of a table: its ranges of files, where they stand, and its pieces in them."""

    def __init__(self, table: SourceTable, parts: RowParts) -> None:
        self.table, self.parts = table, parts

    def __call__(self, block: int) -> tuple[SourceTable, list[tuple[int, int, int, int]]]:
        pieces = self.parts(block) if self.parts.halo else self._portions(block)
        low, high = pieces[0][0], pieces[-1][3]
        return self.table.select(low, high), _moved(pieces, low)

    def _portions(self, block: int) -> list[tuple[int, int, int, int]]:
        """Rows that need none around them, a few megabytes at a time."""
        begin, end = int(self.parts.rows[block]), int(self.parts.rows[block + 1])
        row = int(np.prod(self.table.shape, dtype=np.int64)) * np.dtype(self.table.dtype).itemsize
        cuts = [*range(begin, end, max(1, PORTION // max(1, row))), end]
        return [(a, a, b, b) for a, b in pairwise(cuts)] or [(begin, begin, end, end)]


def _moved(pieces: list[tuple[int, int, int, int]], by: int) -> list[tuple[int, int, int, int]]:
    return [(a - by, b - by, c - by, d - by) for a, b, c, d in pieces]


def _from_table(part: tuple[SourceTable, list[tuple[int, int, int, int]]], *beside: np.ndarray, kernel: Any) -> Any:
    table, pieces = part
    return _by_pieces(table.read, pieces, beside, kernel)


def _from_rows(rows: np.ndarray, pieces: list[tuple[int, int, int, int]], *beside: np.ndarray, kernel: Any) -> Any:
    return _by_pieces(lambda a, b: rows[a:b], pieces, beside, kernel)


def _by_pieces(read: Any, pieces: list[tuple[int, int, int, int]], beside: Sequence[np.ndarray], kernel: Any) -> Any:
    start = pieces[0][1]
    made = [
        kernel(read(low, high), *(each[a - start : b - start] for each in beside), lead=a - low, trail=high - b)
        for low, a, b, high in pieces
    ]
    return made[0] if len(made) == 1 else np.concatenate(made)


def around(
    kernel: Callable[..., np.ndarray],
    data: Any,
    beside: Sequence[Any],
    borders: np.ndarray,
    halo: int,
    shape: tuple[int, ...],
    dtype: np.dtype,
    block: int,
    name: str,
) -> Any:
    """Blocks of ``kernel(rows, *beside, lead=, trail=)``: in memory for an array in memory, else lazy."""
    table = graph.rows(data)
    if table is None and not isinstance(data, da.Array):
        rows = np.asarray(data)
        parts = RowParts(np.array([0, len(rows)]), borders, halo)
        return _from_rows(rows, parts(0), *map(np.asarray, beside), kernel=kernel)
    if table is None and 0 in data.chunks[0] and len(data):  # blocks without rows have nothing to look at
        data = data.rechunk({0: tuple(n for n in data.chunks[0] if n)})
    edges = even_blocks(table.size, block) if table is not None else np.append(0, np.cumsum(data.chunks[0]))
    edges = edges if len(edges) > 1 else np.zeros(2, np.int64)
    sizes = tuple(np.diff(edges).tolist())
    chunks = (sizes, *((n,) for n in shape))
    parts = RowParts(edges, borders, halo)
    others = [_beside(each, edges) for each in beside]
    known = [each.name if isinstance(each, da.Array) else each.token for each in others]
    token = tokenize(table if table is not None else data.name, kernel, known, borders, halo, edges, str(dtype), shape)
    if table is not None:
        piece = TableRows(table, parts)
        return graph.from_blocks(f"{name}-{token}", _from_table, piece, chunks, dtype, beside=others, kernel=kernel)
    if not halo or not len(data):
        axes, made = tuple(range(data.ndim)), (0, *range(data.ndim, data.ndim + len(shape)))
        arrays = [part for each in others for part in (each, axes[:1])]
        return da.blockwise(
            partial(_as_they_are, kernel=kernel),
            made,
            _in_one(data),
            axes,
            *arrays,
            name=f"{name}-{token}",
            dtype=dtype,
            meta=np.empty((0,) * len(made), dtype),
            new_axes=dict(zip(made[1:], shape, strict=True)),
            concatenate=True,
            align_arrays=False,
        )
    pieces = [parts(k) for k in range(len(sizes))]
    ranges = np.array([p[0][0] for p in pieces]), np.array([p[-1][3] for p in pieces])
    moved = [_moved(p, p[0][0]) for p in pieces]
    make, rest = partial(_from_rows, kernel=kernel), chunks[1:]
    blocks = [_as_blocks(each, sizes) for each in beside]
    return graph.of_ranges(
        f"{name}-{token}", make, _in_one(data), ranges, moved, np.diff(edges), dtype, rest, beside=blocks
    )


def _as_they_are(rows: np.ndarray, *beside: np.ndarray, kernel: Any) -> Any:
    return kernel(rows, *beside, lead=0, trail=0)


def _in_one(data: da.Array) -> da.Array:
    """The same array with whole rows in its blocks."""
    return data.rechunk(dict.fromkeys(range(1, data.ndim), -1))


def _as_blocks(values: Any, sizes: tuple[int, ...]) -> da.Array:
    """Rows in blocks of these sizes."""
    if not isinstance(values, da.Array):
        values = da.from_array(np.asarray(values), chunks=(sizes, *(-1,) * (np.ndim(values) - 1)))
    return _in_one(values if values.chunks[0] == sizes else values.rechunk({0: sizes}))


def _beside(values: Any, edges: np.ndarray) -> Any:
    """What stands beside rows, in their blocks."""
    sizes = tuple(np.diff(edges).tolist())
    if isinstance(values, da.Array):
        return _as_blocks(values, sizes)
    values = np.asarray(values)
    return graph.Pieces((sizes,), RowValues(values, edges), tokenize(values, edges))


def chain(
    kernel: Callable[..., tuple[np.ndarray, Any]],
    arrays: Sequence[Any],
    state: Any,
    dtype: np.dtype,
    name: str,
    *,
    backward: bool = False,
) -> Any:
    """Blocks of ``kernel(*rows, state)[0]``, each with the state that the block before it (or after) gave.

    The first state is a value, or a lazy array that is one.
    """
    lazy = next((each for each in arrays if isinstance(each, da.Array)), None)
    if lazy is None:
        return kernel(*map(np.asarray, arrays), state)[0]
    sizes = lazy.chunks[0]
    others = [_as_blocks(each, sizes) for each in arrays]
    if isinstance(state, da.Array):
        state = state.rechunk(-1)
    known = state.name if isinstance(state, da.Array) else state
    token = tokenize([each.name for each in others], kernel, known, backward)
    step, out = f"{name}-step-{token}", f"{name}-{token}"
    first: Any = List(None, TaskRef((state.name, 0))) if isinstance(state, da.Array) else (None, state)
    order = range(len(sizes))[:: -1 if backward else 1]
    tasks: dict[Any, Any] = {}
    before: Any = None
    for k in order:
        rows = [TaskRef((each.name, k, *(0,) * (each.ndim - 1))) for each in others]
        given = first if before is None else TaskRef(before)
        tasks[step, k] = Task((step, k), _step, kernel, List(*rows), given)
        tasks[out, k] = Task((out, k), _first, TaskRef((step, k)))
        before = step, k
    needed: list[Any] = [*others, *([state] if isinstance(state, da.Array) else [])]
    layers = HighLevelGraph.from_collections(out, tasks, dependencies=needed)
    return da.Array(layers, out, (sizes,), meta=np.empty(0, dtype))


def _step(kernel: Any, rows: Sequence[np.ndarray], before: tuple[Any, Any]) -> tuple[np.ndarray, Any]:
    """A block's results and the state after it, from those of the block before."""
    return kernel(*rows, before[1])


def _first(step: tuple[np.ndarray, Any]) -> np.ndarray:
    return step[0]


def whole(kernel: Callable[..., np.ndarray], arrays: Sequence[Any], dtype: np.dtype, name: str) -> Any:
    """``kernel(*all rows)`` made by one task, cut into blocks again."""
    lazy = next((each for each in arrays if isinstance(each, da.Array)), None)
    if lazy is None:
        return kernel(*map(np.asarray, arrays))
    sizes = lazy.chunks[0]
    edges = np.append(0, np.cumsum(sizes)).tolist()
    token = tokenize([each.name if isinstance(each, da.Array) else each for each in arrays], kernel)
    once, out = f"{name}-whole-{token}", f"{name}-{token}"
    given: list[Any] = []
    for each in arrays:
        if isinstance(each, da.Array):
            given.append(List(*(TaskRef((each.name, k)) for k in range(each.numblocks[0]))))
        else:
            given.append(np.asarray(each))
    tasks: dict[Any, Any] = {(once, 0): Task((once, 0), _whole, kernel, *given)}
    for k in range(len(sizes)):
        tasks[out, k] = Task((out, k), _cut, TaskRef((once, 0)), slice(edges[k], edges[k + 1]))
    needed: list[Any] = [each for each in arrays if isinstance(each, da.Array)]
    layers = HighLevelGraph.from_collections(out, tasks, dependencies=needed)
    return da.Array(layers, out, (sizes,), meta=np.empty(0, dtype))


def _whole(kernel: Any, *given: Any) -> np.ndarray:
    return kernel(*(np.concatenate(each) if isinstance(each, list) else each for each in given))


def _cut(rows: np.ndarray, part: slice) -> np.ndarray:
    return rows[part]
