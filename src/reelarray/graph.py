"""Tables of sources as Dask arrays: one layer, one task a chunk, and the way back from an array to its table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from operator import getitem
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask._task_spec import Alias, DataNode, List, Task, TaskRef
from dask.array.chunk import getitem as chunk_getitem
from dask.base import tokenize
from dask.blockwise import Blockwise
from dask.highlevelgraph import HighLevelGraph
from dask.layers import ArrayBlockwiseDep

from .errors import ChunkError
from .table import SourceTable

if dask.config.get("array.query-planning", None):
    raise ChunkError(
        "dask's expression arrays are switched on (array.query-planning); reelarray builds on blockwise graphs: "
        "dask.config.set({'array.query-planning': False}) before dask.array is first imported"
    )


class Pieces(ArrayBlockwiseDep):
    """One small argument for each block along the first axis, `piece(block)`: made when the graph is, or `later`."""

    def __init__(
        self, chunks: tuple[tuple[int, ...], ...], piece: Callable[[int], Any], token: str = "", later: bool = False
    ) -> None:
        super().__init__(chunks)
        self.piece, self.token, self.later = piece, token, later

    def __dask_tokenize__(self) -> object:
        return type(self).__name__, self.token or tokenize(self.chunks, self.piece)

    def __getitem__(self, idx: tuple[int, ...]) -> Any:
        return Later(self.piece, idx[0]) if self.later else self.piece(idx[0])


class Later:
    """The argument of one block, made when it is called or sent: until then two words, however long a table is."""

    __slots__ = ("block", "piece")

    def __init__(self, piece: Callable[[int], Any], block: int) -> None:
        self.piece, self.block = piece, block

    def __call__(self) -> Any:
        return self.piece(self.block)

    def __reduce__(self) -> tuple[Any, ...]:
        return Sent, (self(),)  # and not the table of all blocks


class Sent:
    """The same where it was sent to."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self) -> Any:
        return self.value

    def __reduce__(self) -> tuple[Any, ...]:
        return Sent, (self.value,)


def _make(piece: Later | Sent, *beside: Any, make: Callable[..., np.ndarray], **options: Any) -> np.ndarray:
    return make(piece(), *beside, **options)


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
    beside: Sequence[Any] = (),
    **options: Any,
) -> da.Array:
    """One Blockwise layer: block k is ``make(piece(k), *beside, **options)``. Nothing is called while it is built.

    `beside` are arrays, or `Pieces`, with blocks of the same rows.
    """
    axes = tuple(range(len(chunks)))
    meta = np.empty((0,) * len(chunks), dtype)
    blocks = Pieces(chunks, piece, name, later=True)
    how = {"name": name, "dtype": dtype, "meta": meta, "align_arrays": False}
    others = [part for each in beside for part in (each, axes[: len(each.numblocks)])]
    return da.blockwise(_make, axes, blocks, axes, *others, make=make, **how, **options)


def read_array(table: SourceTable, chunk: int | tuple[int, ...], *, name: str = "read") -> da.Array:
    """All samples of a table as a lazy array (samples, *shape), in chunks of `chunk` samples."""
    if isinstance(chunk, tuple):
        sizes = chunk
        if sum(sizes) != table.size or min(sizes, default=0) < 0:
            raise ChunkError(f"chunks of {sum(sizes)} samples in all were given for {table.size} samples")
    else:
        if chunk < 1:
            raise ChunkError(f"chunks={chunk}: at least one sample a chunk is needed")
        sizes = _uniform(table.size, int(chunk))
    edges = np.append(0, np.cumsum(np.array(sizes, np.int64)))
    chunks = (sizes, *((n,) for n in table.shape))
    token = tokenize(table, edges)
    return from_blocks(f"{name}-{token}", _read, TableBlocks(table, edges), chunks, table.dtype)


@lru_cache(maxsize=16)
def _uniform(size: int, chunk: int) -> tuple[int, ...]:
    """Chunks of one size. Dask keeps running sums for every tuple of chunks that it meets: of one tuple, but once."""
    whole, rest = divmod(size, chunk)
    return (chunk,) * whole + (rest,) * (rest > 0 or not whole)


def gained(array: da.Array, factor: float) -> da.Array | None:
    """An array that reads from sources with its values times `factor`, in the reading tasks; None for any other."""
    table = rows(array)
    if table is None or not table.calibrated:  # counts are read as they are
        return None
    kind = np.dtype(table.dtype).type
    fill = (kind(table.fill) * kind(factor)).item()  # gaps are filled with values, not with counts
    return read_array(replace(table.gained(factor), fill=fill), array.chunks[0])


@dataclass(frozen=True, eq=False)
class Origin:
    """What makes the blocks of an array, from one layer up to slices of it.

    Block k is the rows [edges[k], edges[k + 1]) of what `piece` makes (which has all its `edges`); `picked` are choices
    along the axes behind.
    """

    piece: Any
    edges: np.ndarray
    picked: tuple[tuple[Any, ...], ...] = ()


def origin(array: Any) -> Origin | None:
    """What makes an array block by block: follows slices in time and choices of channels through the graph.

    Anything else (arithmetic, rechunking, another library's array, one already computed) gives None.
    """
    array = getattr(array, "data", array) if not isinstance(array, da.Array) else array
    if not isinstance(array, da.Array):
        return None
    found = _trace(array.dask, array.name)
    if found is None or len(found.edges) != array.numblocks[0] + 1 or found.edges[-1] - found.edges[0] != len(array):
        return None
    return found


def rows(array: Any) -> SourceTable | None:
    """The table that a Dask array reads from, where the array is nothing but samples of one: also after slicing."""
    found = origin(array)
    if found is None or not isinstance(found.piece, TableBlocks):
        return None
    table = found.piece.table
    for picked in found.picked:
        if len(picked) != 1 or len(table.shape) != 1:
            return None
        chosen = list(range(table.shape[0])[slice(*picked[0])]) if isinstance(picked[0], tuple) else picked[0]
        if not isinstance(chosen, list | int | np.integer):
            return None
        table = table.pick(chosen)
    table = table.select(int(found.edges[0]), int(found.edges[-1]))
    return table if (table.size, *table.shape) == getattr(array, "shape", None) else None


def _trace(graph: Any, name: str) -> Origin | None:
    layer = getattr(graph, "layers", {}).get(name)
    if isinstance(layer, Blockwise):
        argument = next(iter(layer.io_deps.values()), None) if len(layer.indices) == 1 else None
        if not isinstance(argument, Pieces) or argument.token != name:  # not made by `from_blocks`, or fused with more
            return None
        return Origin(argument.piece, argument.piece.edges) if hasattr(argument.piece, "edges") else None
    if layer is None or not name.startswith("getitem"):
        return None
    return _trace_slices(graph, name, dict(layer))


def _trace_slices(graph: Any, name: str, tasks: dict[Any, Any]) -> Origin | None:
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
    edges, low, high = before.edges, [], []
    for k in range(len(blocks)):
        block, cut_rows = blocks[k]
        start, stop, step = cut_rows.indices(int(edges[block + 1] - edges[block]))
        if step != 1:
            return None
        low.append(int(edges[block]) + start)
        high.append(int(edges[block]) + max(start, stop))
    if low[1:] != high[:-1]:
        return None
    return Origin(before.piece, np.append(low, high[-1]), (*before.picked, *((tuple(across),) if across else ())))


def of_ranges(
    name: str,
    make: Callable[[np.ndarray, Any], np.ndarray],
    array: da.Array,
    ranges: tuple[np.ndarray, np.ndarray],
    parts: Sequence[Any],
    sizes: np.ndarray,
    dtype: Any = None,
    rest: tuple[tuple[int, ...], ...] | None = None,
    beside: Sequence[da.Array] = (),
) -> da.Array:
    """Block k is ``make(rows [low[k], high[k]) of an array, parts[k])``: no range is empty, and they may overlap.

    `beside` are arrays with the blocks of the result: block k of each follows `parts[k]`.

    Blocks have `sizes` rows, and along the other axes the chunks of the array, or those of `rest`; where that has other
    axes than the array, one block along each.
    """
    low, high = ranges
    edges = np.append(0, np.cumsum(array.chunks[0]))
    first = np.searchsorted(edges, low, "right") - 1
    last = np.searchsorted(edges, high, "left")
    tasks: dict[Any, Task] = {}
    for k, part in enumerate(parts):
        begin = int(edges[first[k]])
        cut = slice(int(low[k]) - begin, int(high[k]) - begin)
        for other in product(*(range(n) for n in array.numblocks[1:])):
            blocks = [TaskRef((array.name, b, *other)) for b in range(int(first[k]), int(last[k]))]
            own = List(*(TaskRef((each.name, k, *(0,) * (each.ndim - 1))) for each in beside))
            key = (name, k, *(other if rest is None or len(rest) == len(other) else (0,) * len(rest)))
            tasks[key] = Task(key, _of_rows, make, part, cut, own, *blocks)
    needed: list[Any] = [array, *beside]
    layers = HighLevelGraph.from_collections(name, tasks, dependencies=needed)
    meta = np.empty((0,) * array.ndim, array.dtype if dtype is None else dtype)
    return da.Array(layers, name, (tuple(sizes.tolist()), *(array.chunks[1:] if rest is None else rest)), meta=meta)


def _of_rows(
    make: Callable[..., np.ndarray], part: Any, cut: slice, beside: Sequence[np.ndarray], *blocks: np.ndarray
) -> np.ndarray:
    return make((blocks[0] if len(blocks) == 1 else np.concatenate(blocks))[cut], part, *beside)


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


def paths(graph: Mapping[Any, Any], key: Any) -> set[str]:
    """Paths of the files that a task of a graph, and the tasks that it needs, read from; none where it reads none."""
    found: set[str] = set()
    left: list[Any] = [graph[key]]
    seen: set[int] = set()
    while left:
        thing = left.pop()
        if id(thing) in seen:
            continue
        if isinstance(thing, SourceTable):
            found.update(map(str, thing.path))
        elif isinstance(thing, Later | Sent):
            left.append(thing())
        elif isinstance(thing, Task):
            seen.add(id(thing))
            left += [*thing.args, *thing.kwargs.values(), *(graph[k] for k in thing.dependencies if k in graph)]
        elif isinstance(thing, Alias):
            left.append(graph[thing.target])
        elif isinstance(thing, DataNode):
            left.append(thing.value)
        elif isinstance(thing, Mapping):
            left += thing.values()
        elif isinstance(thing, list | tuple | set):
            left += thing
    return found
