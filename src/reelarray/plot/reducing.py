"""What becomes of the rows and bins that share a pixel: their mean power, or the highest, block by block."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

BATCH = 2**26  # bytes of partial sums held at once


def part_of_pixels(
    block: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    channel: int | None,
    bins: slice,
    groups: np.ndarray,
    decibel: bool,
    highest: bool,
) -> np.ndarray:
    """(rows, ..., frequency) -> (runs, 2 * rows of the picture): sums (or maxima) of linear power, then their counts.

    A run is the rows [low, high) that share a column; `groups` says where the bins of each row of the picture begin.
    """
    shown = block[..., bins] if channel is None else block[:, channel, bins]
    merge = np.maximum if highest else np.add
    out = np.empty((len(low), 2, len(groups)))
    for k, (a, b) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        values = shown[max(a, 0) : b]
        if decibel:
            values = 10 ** (values.astype(np.float64) / 10)
        with np.errstate(invalid="ignore"):
            total, count = merge.reduce(values, axis=0, dtype=np.float64), np.full(values.shape[1], len(values))
        if not np.isfinite(total).all():  # some are missing: what the others give
            there = np.isfinite(values)
            total = merge.reduce(np.where(there, values, 0), axis=0, dtype=np.float64)
            count = there.sum(axis=0)
        out[k, 0] = merge.reduceat(total, groups)
        out[k, 1] = np.add.reduceat(count, groups)
    return out.reshape(len(low), -1)


def whole_pixels(data: Any, low: np.ndarray, high: np.ndarray, part: Any) -> np.ndarray:
    """(runs, rows of the picture): the pixels of each run of rows [low, high), NaN where nothing was recorded.

    A Dask array is worked through block by block, and is never whole. `part` is `part_of_pixels` with its keywords.
    """
    rows, highest, decibel = (part.keywords[name] for name in ("groups", "highest", "decibel"))
    total = np.zeros((len(low), 2, len(rows)))
    for runs, made in _parts(data, low, high, part, 2 * len(rows)):
        made = made.reshape(len(runs), 2, len(rows))
        (np.maximum if highest else np.add).at(total[:, 0], runs, made[:, 0])
        np.add.at(total[:, 1], runs, made[:, 1])
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.where(total[:, 1] > 0, total[:, 0], np.nan) if highest else total[:, 0] / total[:, 1]
        return 10 * np.log10(values) if decibel else values


def _parts(data: Any, low: np.ndarray, high: np.ndarray, part: Any, width: int) -> Any:
    """(runs, what blocks make of them), for some blocks after the other."""
    if not hasattr(data, "dask"):
        yield np.arange(len(low)), part(np.asarray(data), low, high)
        return
    if not len(low):
        return
    whole = {axis: -1 for axis in range(1, data.ndim) if data.numblocks[axis] > 1}
    data = data.rechunk(whole) if whole else data
    edges = np.append(0, np.cumsum(data.chunks[0]))
    first = np.searchsorted(high, edges[:-1], "right")
    last = np.maximum(np.searchsorted(low, edges[1:], "left"), first)
    most = max(1, BATCH // (8 * width))
    a = 0
    while a < len(first):
        b = a + max(1, int(np.searchsorted(np.cumsum(last[a:] - first[a:]), most, "right")))
        sizes = tuple((last[a:b] - first[a:b]).tolist())
        made = data.blocks[a:b].map_blocks(
            partial(pixels_of_block, part=part, low=low, high=high, edges=edges[a:b], first=first[a:b], last=last[a:b]),
            drop_axis=list(range(1, data.ndim - 1)),
            chunks=(sizes, (width,)),
            dtype=np.float64,
            meta=np.empty((0, 0)),
        )
        yield np.concatenate([np.arange(i, j) for i, j in zip(first[a:b], last[a:b], strict=True)]), made.compute()
        a = b


def pixels_of_block(
    block: np.ndarray,
    *,
    part: Any,
    low: np.ndarray,
    high: np.ndarray,
    edges: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    block_id: tuple[int, ...] = (0,),
) -> np.ndarray:
    """The part of each run that one block holds."""
    k = block_id[0]
    here = slice(first[k], last[k])
    made: np.ndarray = part(block, low[here] - edges[k], high[here] - edges[k])
    return made
