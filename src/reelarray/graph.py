"""Tables of sources as Dask arrays: one layer, one task a chunk, and the way back from an array to its table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from operator import getitem
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask._task_spec import Alias, Task
from dask.array.chunk import getitem as chunk_getitem
from dask.base import tokenize
from dask.blockwise import Blockwise
from dask.layers import ArrayBlockwiseDep

from .errors import ChunkError
from .table import SourceTable

if dask.config.get("array.query-planning", None):
    raise ChunkError(
        "dask's expression arrays are switched on (array.query-planning); reelarray builds on blockwise graphs: "
        "dask.config.set({'array.query-planning': False}) before dask.array is first imported"
    )


class Pieces(ArrayBlockwiseDep):
    """One small argument for each block along the first axis, made when the graph is: `piece(block)`."""

    def __init__(self, chunks: tuple[tuple[int, ...], ...], piece: Callable[[int], Any], token: str = "") -> None:
        super().__init__(chunks)
        self.piece, self.token = piece, token

    def __dask_tokenize__(self) -> object:
        return type(self).__name__, self.token or tokenize(self.chunks, self.piece)

    def __getitem__(self, idx: tuple[int, ...]) -> Any:
        return self.piece(idx[0])


class TableBlocks:
    """Which part of a table each block of an array holds."""

    def __init__(self, table: SourceTable, edges: np.ndarray) -> None:
        self.table, self.edges = table, edges

    def __call__(self, block: int) -> SourceTable:
        return self.table.select(int(self.edges[block]), int(self.edges[block + 1]))


def _read(piece: SourceTable) -> np.ndarray:
    return piece.read()


def from_blocks(
    name: str,
    make: Callable[..., np.ndarray],
    piece: Callable[[int], Any],
    chunks: tuple[tuple[int, ...], ...],
    dtype: Any,
    **options: Any,
) -> da.Array:
    """One Blockwise layer: block k is ``make(piece(k), **options)``. Nothing is called while it is built."""
    axes = tuple(range(len(chunks)))
    meta = np.empty((0,) * len(chunks), dtype)
    blocks = Pieces(chunks, piece, name)
    return da.blockwise(make, axes, blocks, axes, name=name, dtype=dtype, meta=meta, align_arrays=False, **options)


def read_array(table: SourceTable, chunk: int | tuple[int, ...], *, name: str = "read") -> da.Array:
    """All samples of a table as a lazy array (samples, *shape), in chunks of `chunk` samples."""
    if isinstance(chunk, tuple):
        sizes = chunk
        if sum(sizes) != table.size or min(sizes, default=0) < 0:
            raise ChunkError(f"chunks of {sum(sizes)} samples in all were given for {table.size} samples")
    else:
        if chunk < 1:
            raise ChunkError(f"chunks={chunk}: at least one sample a chunk is needed")
        whole, rest = divmod(table.size, chunk)
        sizes = (chunk,) * whole + (rest,) * (rest > 0 or not whole)
    edges = np.append(0, np.cumsum(np.array(sizes, np.int64)))
    chunks = (sizes, *((n,) for n in table.shape))
    token = tokenize(table, edges)
    return from_blocks(f"{name}-{token}", _read, TableBlocks(table, edges), chunks, table.dtype)


def gained(array: da.Array, factor: float) -> da.Array | None:
    """An array that reads from sources with its values times `factor`, in the reading tasks; None for any other."""
    table = rows(array)
    if table is None or not table.calibrated:  # counts are read as they are
        return None
    kind = np.dtype(table.dtype).type
    fill = (kind(table.fill) * kind(factor)).item()  # gaps are filled with values, not with counts
    return read_array(replace(table.gained(factor), fill=fill), array.chunks[0])


def rows(array: Any) -> SourceTable | None:
    """The table that a Dask array reads from, where the array is nothing but samples of one: also after slicing.

    Follows slices in time and choices of channels through the graph; anything else (arithmetic, rechunking, another
    library's array, one already computed) gives None.
    """
    array = getattr(array, "data", array) if not isinstance(array, da.Array) else array
    if not isinstance(array, da.Array):
        return None
    found = _trace(array.dask, array.name)
    if found is None:
        return None
    table, edges = found
    return table if (table.size, *table.shape) == array.shape and len(edges) == array.numblocks[0] + 1 else None


def _trace(graph: Any, name: str) -> tuple[SourceTable, np.ndarray] | None:
    layer = getattr(graph, "layers", {}).get(name)
    if isinstance(layer, Blockwise):
        argument = next(iter(layer.io_deps.values()), None) if len(layer.indices) == 1 else None
        blocks = argument.piece if isinstance(argument, Pieces) else None
        return (blocks.table, blocks.edges) if isinstance(blocks, TableBlocks) else None
    if layer is None or not name.startswith("getitem"):
        return None
    return _trace_slices(graph, name, dict(layer))


def _trace_slices(graph: Any, name: str, tasks: dict[Any, Any]) -> tuple[SourceTable, np.ndarray] | None:
    """Each block of a slice is one block of its input, cut in time and perhaps by channel."""
    blocks: dict[int, tuple[int, slice]] = {}
    origins: set[Any] = set()
    for key, task in tasks.items():
        cut: tuple[Any, ...] = ()
        origin: Any
        if isinstance(task, Alias):
            origin = task.target
        elif isinstance(task, Task) and task.func in (getitem, chunk_getitem):
            origin, cut = task.args[0].key, task.args[1]  # type: ignore[union-attr]
        else:
            return None
        if any(key[2:]) or any(origin[2:]) or (cut and not isinstance(cut[0], slice)):
            return None
        across = cut[1:] if any(c != slice(None) for c in cut[1:]) else ()
        origins.add((origin[0], *((c.start, c.stop, c.step) if isinstance(c, slice) else c for c in across)))
        blocks[key[1]] = (origin[1], cut[0] if cut else slice(None))
    if len(origins) != 1 or sorted(blocks) != list(range(len(blocks))):
        return None
    ((input_name, *across),) = origins
    before = _trace(graph, input_name)
    if before is None:
        return None
    table, edges = before
    low, high = [], []
    for k in range(len(blocks)):
        block, cut_rows = blocks[k]
        start, stop, step = cut_rows.indices(int(edges[block + 1] - edges[block]))
        if step != 1:
            return None
        low.append(int(edges[block]) + start)
        high.append(int(edges[block]) + max(start, stop))
    if low[1:] != high[:-1] or len(across) > 1:
        return None
    for picked in across:
        chosen = list(range(table.shape[0])[slice(*picked)]) if isinstance(picked, tuple) else picked
        if not isinstance(chosen, list | int | np.integer):
            return None
        table = table.pick(chosen)
    return table.select(low[0], high[-1]), np.append(low, high[-1]) - low[0]


def sources(array: Any) -> list[SourceTable]:
    """All tables that an array is made of, whatever was done to their samples since; none for other arrays.

    Looks through the layers of the graph; an array that was computed, persisted or optimised has none left.
    """
    layers = getattr(getattr(array, "dask", None), "layers", {})
    found: dict[int, SourceTable] = {}
    for layer in layers.values():
        for argument in getattr(layer, "io_deps", {}).values():
            table = getattr(argument.piece, "table", None) if isinstance(argument, Pieces) else None
            if isinstance(table, SourceTable):
                found[id(table)] = table
    return list(found.values())
