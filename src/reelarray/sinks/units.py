"""Running units: each block is computed and written by one task, and noted by the driver when it is in place."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import dask.array as da
import numpy as np
import zarr
from dask.base import get_scheduler
from dask.callbacks import Callback
from dask.layers import ArraySliceDep

from .compression import Compress, compress_like
from .files import AtomicStore, sync_folder, write_whole
from .layout import Layout

Index = tuple[int, ...]
Encode = Callable[[np.ndarray, np.ndarray], Any]  # values, and the array that they are written to
FEWEST = 64  # units in one graph: threads idle at the end of each
NOTED_EVERY = 0.5  # s; each look for results costs the scheduler as much as a task


class BlockWriter:
    """Encodes a block and writes it into its place in the store: a task's last step."""

    def __init__(self, root: Path, name: str, temporary: Path, layout: Layout, encode: Encode) -> None:
        self.root, self.name, self.temporary, self.layout, self.encode = root, name, temporary, layout, encode
        self._open: tuple[zarr.Array[Any], AtomicStore, Compress | None] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None}  # each process opens its own

    def __call__(self, block: np.ndarray, region: tuple[slice, ...]) -> np.ndarray:
        """Write; return the bytes written, as an array of one value."""
        if self._open is None:
            store = AtomicStore(self.root, temporary=self.temporary)
            array = zarr.open_array(store, path=self.name, mode="r+")
            array = array.with_config({"write_empty_chunks": True})  # the array's own: threads open at once
            self._open = array, store, compress_like(array)
        array, store, compress = self._open
        block, unit = np.asarray(block), self.layout.unit(region)
        keys = {
            piece: f"{self.name}/{array.metadata.encode_chunk_key(piece)}"
            for piece in product(*map(range, unit[::2], unit[1::2]))
        }
        if compress is not None:
            written = self._write_chunks(array, compress, block, [r.start for r in region], keys)
        else:
            encoded = np.empty(block.shape, array.dtype)
            self.encode(block, encoded)
            array[region] = encoded
            written = sum(store.sizes.pop(key) for key in keys.values())
        sync_folder(self.root / self.name)
        return np.full((1,) * block.ndim, written, np.int64)

    def _write_chunks(
        self,
        array: zarr.Array[Any],
        compress: Compress,
        block: np.ndarray,
        starts: Sequence[int],
        keys: Mapping[Index, str],
    ) -> int:
        """Encode and compress chunk by chunk, while each is in cache."""
        written, whole = 0, self.layout.chunks
        room = np.empty(math.prod(whole), array.dtype.newbyteorder("<"))
        for piece, key in keys.items():
            inside = [
                slice(k * n - start, (k + 1) * n - start) for k, n, start in zip(piece, whole, starts, strict=True)
            ]
            values = block[tuple(inside)]
            chunk = room[: values.size].reshape(values.shape)
            self.encode(values, chunk)
            if values.shape != whole:  # chunks at the ends of an array are filled up
                cut, chunk = chunk, np.full(whole, array.fill_value, room.dtype)
                chunk[tuple(map(slice, cut.shape))] = cut
            data = compress(chunk)
            path = self.root / key
            write_whole(path, data, self.temporary / f"{path.name}.{uuid4().hex}")
            written += len(data)
        return written


def write_blocks(
    data: da.Array, writer: BlockWriter, blocks: Sequence[Index], done: Callable[[Index, int], None]
) -> None:
    """Write some blocks of an array with the scheduler in use; call `done(index, bytes)`, here, as each is in place.

    Graphs are small, whatever the number of blocks, and tasks return eight bytes.
    """
    axes = tuple(range(data.ndim))
    writes = da.blockwise(
        writer,
        axes,
        data,
        axes,
        ArraySliceDep(data.chunks),
        axes,
        name=f"write-zarr-{uuid4().hex}",  # not a function of its input: what was written once may have to be again
        dtype=np.int64,
        meta=np.empty((0,) * data.ndim, np.int64),
        adjust_chunks={k: (1,) * n for k, n in enumerate(data.numblocks)},
        align_arrays=False,
    )
    get = get_scheduler(collections=[writes])
    client = getattr(get, "__self__", None)
    distributed = sys.modules.get("distributed")
    if distributed is not None and isinstance(client, distributed.Client):
        _through_client(client, writes, blocks, done)
    else:
        _locally(get, writes, blocks, done)


def _graph(writes: da.Array, blocks: Sequence[Index]) -> tuple[Any, list[Any]]:
    keys = [(writes.name, *index) for index in blocks]
    return writes.__dask_optimize__(writes.dask, keys), keys


def _batches(blocks: Sequence[Index], size: int) -> Iterator[Sequence[Index]]:
    return (blocks[k : k + size] for k in range(0, len(blocks), size))


def _locally(get: Any, writes: da.Array, blocks: Sequence[Index], done: Callable[[Index, int], None]) -> None:
    def finished(key: Any, value: Any, *state: Any) -> None:
        if isinstance(key, tuple) and key[0] == writes.name:
            done(key[1:], int(value.item()))

    size = max(FEWEST, 16 * (os.cpu_count() or 1), len(blocks) // 256)
    with Callback(posttask=finished):
        for batch in _batches(blocks, size):
            get(*_graph(writes, batch))


def _through_client(client: Any, writes: da.Array, blocks: Sequence[Index], done: Callable[[Index, int], None]) -> None:
    """Keep some units in flight for every thread; note those that completed together, and release them."""
    from distributed import as_completed

    running, ready = as_completed(), []
    left, in_flight, window, noted = list(reversed(blocks)), 0, 0, time.monotonic()
    try:
        while left or in_flight:
            if left and in_flight <= window // 2:
                window = max(4 * sum(client.nthreads().values()), FEWEST)
                some = [left.pop() for _ in range(min(len(left), window - in_flight))]
                graph, keys = _graph(writes, some)
                running.update(client.get(graph, keys, sync=False))
                in_flight += len(some)
            completed = running.next_batch()
            ready += completed
            in_flight -= len(completed)
            if not in_flight or time.monotonic() - noted > NOTED_EVERY:
                written = [future for future in ready if future.status == "finished"]
                for future, size in zip(written, client.gather(written), strict=True):
                    done(future.key[1:], int(size.item()))
                client.gather([future for future in ready if future.status != "finished"])  # raises what went wrong
                ready, noted = [], time.monotonic()
    finally:
        running.clear()
