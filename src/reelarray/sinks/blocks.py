"""Writing an array block by block: one task for each, which makes the block and writes it where it was made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import dask.array as da
import numpy as np
from dask.layers import ArraySliceDep


class Blocks:
    """Blocks of an array to be written, each by one task: what `driving` drives.

    `writer` is called with a block and its region, as slices, and returns one value of `dtype` with an axis for each of
    the block's; `name` is the prefix of the tasks.
    """

    def __init__(self, data: da.Array, writer: Callable[..., np.ndarray], *, dtype: np.dtype, name: str) -> None:
        axes = tuple(range(data.ndim))
        self._writes = da.blockwise(
            writer,
            axes,
            data,
            axes,
            ArraySliceDep(data.chunks),
            axes,
            name=f"{name}-{uuid4().hex}",  # not a function of its input: what was written may have to be again
            dtype=dtype,
            meta=np.empty((0,) * data.ndim, dtype),
            adjust_chunks={k: (1,) * n for k, n in enumerate(data.numblocks)},
            align_arrays=False,
        )

    def graph(self, units: Sequence[tuple[int, ...]]) -> tuple[Any, list[Any]]:
        """(optimised graph, its keys) of some blocks, by their indices."""
        keys = [(self._writes.name, *index) for index in units]
        return self._writes.__dask_optimize__(self._writes.dask, keys), keys
