"""The xarray engine: `xr.open_dataset(path, engine="reelarray")` for any file that reelarray reads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray, BackendEntrypoint
from xarray.core.indexing import ExplicitIndexer, IndexingSupport, LazilyIndexedArray, explicit_indexing_adapter

from . import graph
from .errors import RecordingError
from .formats import listed
from .opening import open_recording
from .recordings import clock, label
from .table import SourceTable


class TableArray(BackendArray):
    """A table of sources as xarray's lazy array: a slice reads exactly its samples."""

    def __init__(self, table: SourceTable) -> None:
        self.table = table
        self.shape = (table.size, *table.shape)
        self.dtype = np.dtype(table.dtype)

    def __getitem__(self, key: ExplicitIndexer) -> np.ndarray:
        lengths = zip(key.tuple, self.shape, strict=True)
        forward = [slice(0, 0) if isinstance(k, slice) and not range(*k.indices(n)) else k for k, n in lengths]
        key = type(key)(tuple(forward))  # xarray cannot take an empty slice that goes back apart
        return explicit_indexing_adapter(key, self.shape, IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        """Samples of ints and slices that go forward."""
        rows, *rest = key
        if isinstance(rows, slice):
            start, stop, step = rows.indices(self.table.size)
            return self.table.read(start, max(start, stop))[(slice(None, None, step), *rest)]
        return self.table.read(int(rows), int(rows) + 1)[(0, *rest)]


class ReelarrayBackend(BackendEntrypoint):
    """Instrument recordings with exact clocks. The variable is `samples`; `chunks={}` gives chunks of a useful size."""

    description = "Open recordings (WAV, FLAC, .tiq, SigMF, ...) with exact sample clocks"
    url = "https://pypi.org/project/reelarray/"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "options")

    def open_dataset(  # type: ignore[override]
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        options: dict[str, Any] | None = None,
    ) -> xr.Dataset:
        """Open one file, or a pattern of files, as a Dataset with the variable `samples`.

        Parameters
        ----------
        filename_or_obj : path, pattern or URL
        drop_variables : names of variables to leave out
        options : keywords of `reelarray.open_recordings`, such as {"timestamp": "%Y%m%d_%H%M%S"}

        Raises
        ------
        RecordingError : an open file was given; and what `open_recordings` raises
        """
        if not isinstance(filename_or_obj, str | os.PathLike):
            raise RecordingError(f"a {type(filename_or_obj).__name__} was given; a path or URL was expected")
        x = open_recording(filename_or_obj, **(options or {}))
        table = graph.rows(x.data)
        if table is None:
            raise RecordingError(f"{filename_or_obj}: the options {options} do not leave samples of files")
        lazy = label(LazilyIndexedArray(TableArray(table)), clock(x), dims=x.dims[1:], coords=x.coords, attrs=x.attrs)
        lazy.encoding["preferred_chunks"] = {d: c[0] for d, c in zip(x.dims, x.chunks or (), strict=True)}
        dropped = [drop_variables] if isinstance(drop_variables, str) else list(drop_variables or ())
        return lazy.to_dataset(name="samples").drop_vars(dropped)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        if not isinstance(filename_or_obj, str | os.PathLike):
            return False
        return os.fspath(filename_or_obj).lower().endswith(listed())
