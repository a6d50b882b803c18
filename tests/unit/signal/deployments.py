"""The same recording three times: in memory, read from files, and as any other Dask array."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from reelarray import formats, graph
from reelarray.clock import SampleClock
from reelarray.recordings import clock, label
from reelarray.table import SourceTable


def write_wav(path: Path, counts: np.ndarray, rate: int = 1000) -> str:
    """A WAV file of 16-bit counts (frames,) or (frames, channels)."""
    channels = counts.shape[1] if counts.ndim == 2 else 1
    body = counts.astype("<i2").tobytes()
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * channels * 2, channels * 2, 16)
    data = struct.pack("<4sI", b"data", len(body)) + body
    path.write_bytes(struct.pack("<4sI4s", b"RIFF", 4 + len(head) + len(data), b"WAVE") + head + data)
    return str(path)


def clock_of_files(lengths: Sequence[int], joined: Sequence[bool], rate: int = 1000) -> SampleClock:
    """Files one after the other; where one is not joined to the one before, 10 s are missing."""
    start, starts = 1_600_000_000 * 10**9, []
    for k, length in enumerate(lengths):
        start += 0 if joined[k] or not k else 10**10
        starts.append(start)
        start += length * 10**9 // rate
    return SampleClock.of_segments(starts, lengths, rate, joined=joined)


def on_disk(
    folder: Path, counts: np.ndarray, lengths: Sequence[int], joined: Sequence[bool], chunk: int = 100, **table: Any
) -> xr.DataArray:
    """Counts cut into files, opened as one lazy recording of full-scale samples (units "1")."""
    edges = np.append(0, np.cumsum(lengths))
    paths = [write_wav(folder / f"{k}.wav", counts[a:b]) for k, (a, b) in enumerate(pairwise(edges))]
    sources = SourceTable.of_headers([formats.probe(path) for path in paths], **table)
    if counts.ndim == 1:
        sources = sources.pick(0) if sources.shape else sources
    data = graph.read_array(sources, chunk)
    return label(data, clock_of_files(lengths, joined), dims=("channel",) * (data.ndim - 1), attrs={"units": "1"})


def chunked(x: xr.DataArray, *sizes: int) -> xr.DataArray:
    """The same recording as a Dask array in chunks of the given sizes, cycled."""
    edges, k = [0], 0
    while edges[-1] < x.sizes["time"]:
        edges.append(min(edges[-1] + sizes[k % len(sizes)], x.sizes["time"]))
        k += 1
    data = da.from_array(x.values, chunks=(tuple(np.diff(edges).tolist()) or (0,), *x.shape[1:]))
    coords = {n: c.variable for n, c in x.coords.items() if "time" not in c.dims}
    return label(data, clock(x), dims=x.dims[1:], coords=coords, attrs=x.attrs)


def identical(a: xr.DataArray, b: xr.DataArray) -> None:
    """Equal to the last bit: values, labels, attributes."""
    assert (a.dtype, a.shape, a.dims) == (b.dtype, b.shape, b.dims)
    assert a.values.tobytes() == b.values.tobytes()
    assert a.attrs == b.attrs
    for name in {*a.coords, *b.coords}:
        assert a[name].values.tobytes() == b[name].values.tobytes(), name
