"""The first rows of the blocks that follow each block: what windows need of arrays that no table stands behind."""

from __future__ import annotations

from itertools import product
from typing import Any

import dask.array as da
import numpy as np
from dask._task_spec import Task, TaskRef
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from . import graph


def look_ahead(data: da.Array, halo: int, name: str) -> da.Array | None:
    """For each block the `halo` rows after it, in as many doublings as there are blocks to look across."""
    sizes = np.array(data.chunks[0], np.int64)
    if not halo or len(sizes) < 2:
        return None
    have = np.minimum(sizes, halo)
    after = np.append(np.cumsum(sizes[::-1])[::-1], 0)
    heads, reach = data, 1
    while (have < np.minimum(halo, after[:-1])).any():
        further = np.append(have[reach:], np.zeros(reach, np.int64))
        more = np.minimum(further, halo - have)
        parts = [(int(a), int(b)) for a, b in zip(have, more, strict=True)]
        heads = _joined(heads, _behind(heads, reach, more, f"{name}-head"), parts, f"{name}-head")
        have, reach = have + more, reach * 2
    return _behind(heads, 1, np.append(have[1:], 0), f"{name}-ahead")


def _joined(a: da.Array, b: da.Array, parts: list[tuple[int, int]], name: str) -> da.Array:
    """The first rows of each block of a, then the first rows of the same block of b."""
    axes = tuple(range(a.ndim))
    sizes = tuple(sum(p) for p in parts)
    return da.blockwise(
        _join,
        axes,
        a,
        axes,
        b,
        axes,
        graph.Pieces((sizes,), parts.__getitem__),
        axes[:1],
        name=f"{name}-{tokenize(a.name, b.name, np.array(parts))}",
        dtype=a.dtype,
        meta=np.empty((0,) * a.ndim, a.dtype),
        adjust_chunks={0: sizes},
        align_arrays=False,
    )


def _join(a: np.ndarray, b: np.ndarray, part: tuple[int, int]) -> np.ndarray:
    return np.concatenate([a[: part[0]], b[: part[1]]])


def _behind(a: da.Array, by: int, rows: np.ndarray, name: str) -> da.Array:
    """Block k of the result is the first `rows[k]` rows of block k + by of a; behind the last stand empty blocks.

    One task a block, not an alias and a slice: on a cluster an alias is a task too. (Nor `da.concatenate`, which leaves
    empty blocks out, and all later ones would move up.)
    """
    name = f"{name}-{tokenize(a.name, by, rows)}"
    count = a.numblocks[0]
    sizes = tuple(int(n) if k + by < count else 0 for k, n in enumerate(rows))
    tasks: dict[Any, Any] = {}
    for k, size in enumerate(sizes):
        for rest in product(*(range(n) for n in a.numblocks[1:])):
            key: Any = (name, k, *rest)
            shape = (0, *(each[b] for each, b in zip(a.chunks[1:], rest, strict=True)))
            behind = Task(key, _first, TaskRef((a.name, k + by, *rest)), size)
            tasks[key] = behind if k + by < count else Task(key, np.zeros, shape, a.dtype)
    layers = HighLevelGraph.from_collections(name, tasks, dependencies=[a])  # type: ignore[list-item]
    return da.Array(layers, name, (sizes, *a.chunks[1:]), meta=a._meta)


def _first(rows: np.ndarray, count: int) -> np.ndarray:
    return rows[:count]
