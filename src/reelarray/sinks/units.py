"""Units of a store: each block is computed, encoded and written by one task, which says how much it wrote."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import zarr

from .compression import Compress, compress_like
from .files import AtomicStore, refusals, sync_folder, write_whole
from .layout import Layout, Unit

Index = tuple[int, ...]
Encode = Callable[[np.ndarray, np.ndarray], Any]  # values, and the array that they are written to
WRITTEN = np.dtype([("bytes", "i8"), ("crc", "u4")])  # what a task that writes a block returns


class BlockWriter:
    """Encodes a block and writes it into its place in the store: a task's last step."""

    def __init__(self, root: Path, name: str, temporary: Path, layout: Layout, encode: Encode) -> None:
        self.root, self.name, self.temporary, self.layout, self.encode = root, name, temporary, layout, encode
        self._open: tuple[zarr.Array[Any], AtomicStore, Compress | None] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None}  # each process opens its own

    def __call__(self, block: np.ndarray, region: tuple[slice, ...]) -> np.ndarray:
        """Write; return the bytes written and their checksum, as an array of one value."""
        with refusals(self.root):
            return self._write(np.asarray(block), region)

    def _write(self, block: np.ndarray, region: tuple[slice, ...]) -> np.ndarray:
        if self._open is None:
            store = AtomicStore(self.root, temporary=self.temporary)
            array = zarr.open_array(store, path=self.name, mode="r+")
            array = array.with_config({"write_empty_chunks": True})  # the array's own: threads open at once
            self._open = array, store, compress_like(array)
        array, store, compress = self._open
        keys = keys_of(array, self.name, self.layout.unit(region))
        if compress is not None:
            written = self._write_chunks(array, compress, block, [r.start for r in region], keys)
        else:
            encoded = np.empty(block.shape, array.dtype)
            self.encode(block, encoded)
            array[region] = encoded
            written = [store.sizes.pop(key) for key in keys.values()]
        sync_folder(self.root / self.name)
        return np.array([_sum(written)], WRITTEN).reshape((1,) * block.ndim)

    def _write_chunks(
        self,
        array: zarr.Array[Any],
        compress: Compress,
        block: np.ndarray,
        starts: Sequence[int],
        keys: Mapping[Index, str],
    ) -> list[tuple[int, int]]:
        """Encode and compress chunk by chunk, while each is in cache."""
        written, whole = [], self.layout.chunks
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
            written.append((len(data), zlib.crc32(data)))
        return written


def keys_of(array: Any, name: str, unit: Unit) -> dict[Index, str]:
    """Where the pieces of a unit lie, by their indices."""
    pieces = product(*map(range, unit[::2], unit[1::2]))
    return {piece: f"{name}/{array.metadata.encode_chunk_key(piece)}" for piece in pieces}


def _sum(pieces: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """(bytes in all, a checksum of the checksums) of pieces in their order."""
    check = 0
    for _, crc in pieces:
        check = zlib.crc32(crc.to_bytes(4, "little"), check)
    return sum(n for n, _ in pieces), check


def is_sound(root: Path, keys: Mapping[Index, str], size: int, check: int) -> bool:
    """Whether the files of a unit hold what was written to them."""
    try:
        read = [(root / key).read_bytes() for key in keys.values()]
    except OSError:
        return False
    return _sum([(len(data), zlib.crc32(data)) for data in read]) == (size, check)
