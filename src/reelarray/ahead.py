"""The first rows of the blocks that follow each block: what windows need of arrays that no table stands behind."""

from __future__ import annotations

from itertools import product
from typing import Any

import dask.array as da
import numpy as np
from dask._task_spec import Alias, Task
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from . import graph


def look_ahead(data: da.Array, halo: int, name: str) -> da.Array | None:
    """For each block the `halo` rows after it, in as many doublings as there are blocks to look across."""
    sizes = np.array(data.chunks[0], np.int64)
    if not halo or len(sizes) < 2:
        return None
    have = np.minimum(sizes, halo)
    heads = _trimmed(data, None, [(int(n), 0) for n in have], f"{name}-head")
    after = np.append(np.cumsum(sizes[::-1])[::-1], 0)
    reach = 1
    while (have < np.minimum(halo, after[:-1])).any():
        further = np.append(have[reach:], np.zeros(reach, np.int64))
        more = np.minimum(further, halo - have)
        parts = [(int(a), int(b)) for a, b in zip(have, more, strict=True)]
        heads = _trimmed(heads, _shifted(heads, reach), parts, f"{name}-head")
        have, reach = have + more, reach * 2
    return _trimmed(_shifted(heads, 1), None, [(int(n), 0) for n in np.append(have[1:], 0)], f"{name}-ahead", only=True)


def _trimmed(a: da.Array, b: da.Array | None, parts: list[tuple[int, int]], name: str, only: bool = False) -> da.Array:
    """The first rows of each block of a, then the first rows of the same block of b."""
    if only and all(n == size for (n, _), size in zip(parts[:-1], a.chunks[0][:-1], strict=True)) and parts[-1][0]:
        return a
    axes = tuple(range(a.ndim))
    sizes = tuple(sum(p) for p in parts)
    pieces = graph.Pieces((sizes,), parts.__getitem__)
    return da.blockwise(
        _trim,
        axes,
        a,
        axes,
        *((None, None) if b is None else (b, axes)),
        pieces,
        axes[:1],
        name=f"{name}-{tokenize(a.name, None if b is None else b.name, np.array(parts))}",
        dtype=a.dtype,
        meta=np.empty((0,) * a.ndim, a.dtype),
        adjust_chunks={0: sizes},
        align_arrays=False,
    )


def _trim(a: np.ndarray, b: Any, part: tuple[int, int]) -> np.ndarray:
    return a[: part[0]] if b is None else np.concatenate([a[: part[0]], b[: part[1]]])


def _shifted(a: da.Array, by: int) -> da.Array:
    """Block k of the result is block k + by of a; behind the last stand blocks of one row that nobody uses.

    (Not `da.concatenate`, which leaves empty blocks out, and all later ones would move up.)
    """
    count = a.numblocks[0]
    by = min(by, count)
    name = f"shifted-{tokenize(a.name, by)}"
    tasks: dict[Any, Any] = {}
    for k in range(count):
        for rest in product(*(range(n) for n in a.numblocks[1:])):
            key: Any = (name, k, *rest)
            behind: Any = (a.name, k + by, *rest)
            shape = (1, *(sizes[b] for sizes, b in zip(a.chunks[1:], rest, strict=True)))
            tasks[key] = Alias(key, behind) if k + by < count else Task(key, np.zeros, shape, a.dtype)
    layers = HighLevelGraph.from_collections(name, tasks, dependencies=[a])  # type: ignore[list-item]
    return da.Array(layers, name, ((*a.chunks[0][by:], *(1,) * by), *a.chunks[1:]), meta=a._meta)
