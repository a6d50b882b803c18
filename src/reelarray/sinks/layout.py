"""How an array lies in a store: chunks that divide blocks, shards that are made of chunks, units that are whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ..errors import ChunkError
from ..table import MEBI

Unit = Sequence[int]  # first and stop of pieces, for each dimension
SMALLEST, LARGEST = MEBI, 4 * MEBI + MEBI // 16  # bytes of a chunk before compression: performance.md section 5;
# and a little more, because spectra have one frequency more than a power of two
MOST_PARTS = 8  # chunks along one dimension, that a moment of all frequencies has to be read from
NUMPY_BLOCK = 16 * MEBI  # bytes of one unit of an array in memory

Sizes = int | Mapping[str, int] | None


@dataclass(frozen=True)
class Layout:
    """A regular grid of chunks, and of shards where there are some, under an array of `shape`."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None = None

    @property
    def pieces(self) -> tuple[int, ...]:
        """What lies in one file: a chunk, or a shard."""
        return self.chunks if self.shards is None else self.shards

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of pieces along each dimension."""
        return tuple(-(-n // p) for n, p in zip(self.shape, self.pieces, strict=True))

    def unit(self, region: Sequence[slice]) -> Unit:
        """The pieces that a block is made of: first and stop, for each dimension."""
        return tuple(k for r, p in zip(region, self.pieces, strict=True) for k in (r.start // p, -(-r.stop // p)))

    def done(self, units: Sequence[Unit]) -> np.ndarray:
        """Which pieces of the grid are in place: (grid) bool. 100,000 units take a tenth of a second."""
        spans = np.array(units, np.int64).reshape(-1, len(self.shape), 2)
        marks = np.zeros([n + 1 for n in self.grid], np.int32)  # +1 where a unit begins, -1 where it ends
        for corner in product((0, 1), repeat=len(self.shape)):
            at = tuple(spans[:, k, end] for k, end in enumerate(corner))
            np.add.at(marks, at, (-1) ** sum(corner))
        for axis in range(marks.ndim):
            np.cumsum(marks, axis=axis, out=marks)
        return marks[tuple(slice(-1) for _ in self.grid)] > 0

    def missing(self, chunks: tuple[tuple[int, ...], ...], found: np.ndarray) -> list[tuple[int, ...]]:
        """The blocks, of those that hold something, of which not every piece is in place: `found` is (grid) bool."""
        for axis, (sizes, piece) in enumerate(zip(chunks, self.pieces, strict=True)):
            starts = (
                np.append(0, np.cumsum(sizes)[:-1])[np.array(sizes) > 0] // piece
            )  # only a last block holds nothing
            if not len(starts):
                return []
            found = np.logical_and.reduceat(found, starts, axis=axis)
        return list(map(tuple, np.argwhere(~found).tolist()))


def region_of(chunks: tuple[tuple[int, ...], ...]) -> Callable[[tuple[int, ...]], tuple[slice, ...]]:
    """A function from the index of a block to its slices."""
    edges = [np.append(0, np.cumsum(sizes)).tolist() for sizes in chunks]
    return lambda index: tuple(slice(e[k], e[k + 1]) for e, k in zip(edges, index, strict=True))


def even(chunks: tuple[tuple[int, ...], ...], dims: Sequence[Any]) -> tuple[int, ...]:
    """The size of blocks along each dimension, all alike but the last.

    Raises
    ------
    ChunkError : blocks of other sizes; the message says what to call
    """
    for sizes, dim in zip(chunks, dims, strict=True):
        if len(set(sizes[:-1])) > 1 or sizes[-1] > sizes[0]:
            shown = ", ".join(map(str, sizes[:6])) + (", ..." if len(sizes) > 6 else "")
            best = 1 << max(0, round(math.log2(max(1, max(sizes)))))
            advice = f" (or block={best} in the transform that made it)" if dim == "time" else ""
            raise ChunkError(
                f"blocks of {shown} rows along {dim!r} were given; blocks of one size, the last one shorter, are whole "
                f"Zarr chunks: write x.chunk({dim}={best}){advice}"
            )
    return tuple(sizes[0] for sizes in chunks)


def plan(
    shape: tuple[int, ...], dims: Sequence[Any], blocks: tuple[int, ...], itemsize: int, chunk: Sizes, shard: Sizes
) -> Layout:
    """Chunks, and shards where asked for, that divide blocks of the given sizes.

    Raises
    ------
    ChunkError : sizes that do not divide; the message names some that do
    """
    shards = None if shard is None else _sizes(shard, dims, blocks, shape, "shard")
    limits = blocks if shards is None else shards
    if chunk is None:
        chunks = _chunks(limits, shape, itemsize, sharded=shards is not None)
    else:
        chunks = _sizes(chunk, dims, limits, shape, "chunk")
    for whole, part, dim in zip(limits, chunks, dims, strict=True):
        if shards is not None and whole % part:
            raise ChunkError(
                f"chunk={part} along {dim!r} does not divide shards of {whole}: use one of {near(whole, part)}"
            )
    return Layout(shape, chunks, shards)


def rows_in_memory(shape: tuple[int, ...], dims: Sequence[Any], itemsize: int, chunk: Sizes, shard: Sizes) -> int:
    """Rows of one unit of an array in memory: some 16 MiB, whole chunks or shards where their size is given."""
    row = itemsize * math.prod(shape[1:])
    most = max(1, NUMPY_BLOCK // max(1, row))
    given = next((_along(sizes, dims[0]) for sizes in (shard, chunk) if sizes is not None), None)
    if isinstance(given, int | np.integer) and given >= 1:
        rows = max(1, most // given) * int(given)
    else:
        rows = 1 << (most.bit_length() - 1)
    return max(1, min(rows, shape[0]))


def _along(sizes: Sizes, dim: Any) -> Any:
    return sizes.get(dim) if isinstance(sizes, Mapping) else sizes


def check_fits(layout: Layout, blocks: tuple[int, ...], dims: Sequence[Any]) -> None:
    """Blocks must be whole chunks, or shards, of the store that is there.

    Raises
    ------
    ChunkError : they are not
    """
    for block, piece, n, dim in zip(blocks, layout.pieces, layout.shape, dims, strict=True):
        if block % piece and block < n:
            best = max(1, round(block / piece)) * piece
            kind = "chunks" if layout.shards is None else "shards"
            raise ChunkError(
                f"blocks of {block} rows along {dim!r} were given, the store has {kind} of {piece}: use a multiple of "
                f"{piece}, such as block={best} where the array is made, or x.chunk({dim}={best})"
            )


def near(whole: int, wanted: int, most: int = 3) -> list[int]:
    """Divisors of a number that are nearest to the wanted one.

    >>> near(8192, 1000)
    [512, 1024, 2048]
    """
    low = [d for d in range(1, math.isqrt(whole) + 1) if whole % d == 0]
    divisors = sorted({*low, *(whole // d for d in low)})
    return sorted(sorted(divisors, key=lambda d: abs(math.log(d / wanted)))[:most])


def _chunks(limits: tuple[int, ...], shape: tuple[int, ...], itemsize: int, *, sharded: bool) -> tuple[int, ...]:
    """Chunks of up to 4 MiB: blocks, or parts of them, cut along their last dimensions before their first.

    As many bytes are read for a moment of all frequencies, and fewer for a year of one; there are as many files.
    """
    sizes = [max(1, n) for n in limits]
    for axis in range(1, len(sizes)):
        n, each = sizes[axis], max(1, itemsize * math.prod(sizes) // sizes[axis])
        fewest = -(-n // MOST_PARTS)
        parts = -(-n // max(fewest, LARGEST // each))
        whole = limits[axis] >= shape[axis] and not sharded  # a last chunk may then be shorter
        sizes[axis] = _divisor(n, -(-n // parts), divide=not whole)
    row = itemsize * math.prod(sizes[1:])
    sizes[0] = _rows(sizes[0], row, divide=sharded or limits[0] < shape[0])
    return tuple(sizes)


def _divisor(whole: int, wanted: int, *, divide: bool) -> int:
    if not divide or whole % wanted == 0:
        return wanted
    return max(d for d in near(whole, wanted, most=whole) if d <= wanted)


def _rows(block: int, row_bytes: int, *, divide: bool) -> int:
    """Rows of a chunk: as many as hold 4 MiB, as few as hold 1 MiB; divisors of the block."""
    most, fewest = max(1, LARGEST // max(1, row_bytes)), -(-SMALLEST // max(1, row_bytes))
    if block <= most:
        return block
    if not divide:
        return 1 << (most.bit_length() - 1)
    divisors = [d for d in near(block, most, most=block) if d <= block]
    small = max((d for d in divisors if d <= most), default=1)
    if small >= fewest:
        return small
    return min((d for d in divisors if d >= fewest), default=block)


def _sizes(
    given: Sizes, dims: Sequence[Any], limits: tuple[int, ...], shape: tuple[int, ...], what: str
) -> tuple[int, ...]:
    wanted = dict(given) if isinstance(given, Mapping) else {dims[0]: given}
    unknown = [d for d in wanted if d not in dims]
    if unknown:
        raise ChunkError(f"{what}= names {unknown}, the array has dimensions {list(dims)}")
    sizes = []
    for dim, limit, n in zip(dims, limits, shape, strict=True):
        size = wanted.get(dim, max(1, limit))
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise ChunkError(f"{what}={size!r} along {dim!r}: a whole number of rows, 1 or more, was expected")
        if limit % size and limit < n:
            raise ChunkError(
                f"{what}={size} along {dim!r} does not divide blocks of {limit}: use one of {near(limit, int(size))}, "
                f"or write x.chunk({dim}={max(1, round(limit / size)) * size})"
            )
        sizes.append(int(size))
    return tuple(sizes)
