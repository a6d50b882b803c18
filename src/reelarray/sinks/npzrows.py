"""Spectra as datacrunch kept them: `arr_0` frequencies, `arr_1` starts of the frames, `arr_2` power, row after row."""

from __future__ import annotations

import json
from typing import IO, Any

import numpy as np
import xarray as xr

from ..clock import SampleClock
from ..decibels import is_decibel
from ..errors import RecordingError
from ..exact import NANOSECONDS
from ..recordings import clock as clock_of
from .provenance import plain


def check_rows(x: xr.DataArray) -> None:
    """Raise `RecordingError` unless the array is a spectrogram of linear power."""
    if x.dims != ("time", "frequency") or x.dtype.kind != "f":
        raise RecordingError(
            f"{x.dtype} of dimensions {x.dims} was given; datacrunch's layout holds a spectrogram of power (time, "
            "frequency): ra.spectrogram(x, scaling='raw', window='boxcar', hop=nfft)"
        )
    if is_decibel(str(x.attrs.get("units", ""))):
        raise RecordingError(f"levels in {x.attrs['units']} were given; datacrunch's layout holds linear power")
    clock_of(x)


def rows_of(x: xr.DataArray) -> dict[str, Any]:
    """The members of an archive: axes in float64, power in float32 (lazy where it was), and what tells them."""
    clock = clock_of(x)
    length = int(x.attrs.get("window_length", 0)) or round(float(clock.span / clock.parts))
    rate = float(x.attrs.get("sample_rate", clock.rate))  # the clock counts the samples of the files
    known = clock.size and clock.absolute
    start = f"{clock.text(clock.begins(np.array([0]))[0])}Z" if known else ""
    center = float(x.coords["center_frequency"]) if "center_frequency" in x.coords else 0.0
    return {
        "arr_0": x["frequency"].values.astype(np.float64)[None, :],
        "arr_1": _starts(x, clock, length, rate)[:, None],
        "arr_2": x.data if x.dtype == np.float32 else x.data.astype(np.float32),
        "fs": np.float64(rate),
        "center": np.float64(center),
        "units": str(x.attrs.get("units", "1")),
        "start_time": start,
        "params": json.dumps(plain(dict(x.attrs)), sort_keys=True),
    }


def _starts(x: xr.DataArray, clock: SampleClock, length: int, rate: float) -> np.ndarray:
    """Starts of the frames; groups of fewer rows than others are labelled as whole ones, and are put right here."""
    starts = frame_starts(clock, length, rate)
    hop = x.attrs.get("hop")
    if "count" in x.coords and x["count"].dims == ("time",) and isinstance(hop, int):
        span = clock.span / clock.parts * (rate / float(clock.rate))
        whole = (span - length) / hop + 1  # rows of a group
        starts = starts - (whole - x["count"].values) / 2 * hop / rate
    return starts


def frame_starts(clock: SampleClock, length: int, rate: float) -> np.ndarray:
    """Where the frames of `length` samples begin [s], since the first sample of the first; of averages, their mean.

    `rate` is that of these samples: of those that `zoom` or `resample` made, not that of the clock.

    Multiples of the frame's length in float64, not differences of times in whole ns, within what one file holds
    without a gap.
    """
    if not clock.size:
        return np.zeros(0)
    rows = np.arange(clock.size)
    stretch, position = clock.positions(rows)
    half = length / 2 / rate
    seconds = (clock.labels(rows) - clock.begins(np.array([0]))[0]) / NANOSECONDS - half
    anchors = seconds[clock.first]
    lead = clock.lead / clock.parts / float(clock.rate)
    anchors[0] = lead - half  # the first row is labelled so long after its first sample
    steps = (position - clock.offset[stretch]) / (clock.parts * float(clock.rate))
    even = (np.diff(clock.knots_from) == 1)[stretch]
    return np.where(even, anchors[stretch] + steps, seconds)


def write_rows(member: IO[bytes], values: Any) -> None:
    """An array in NumPy's format: one that is in memory at once, a lazy one block after block."""
    if not hasattr(values, "dask"):
        np.lib.format.write_array(member, np.asanyarray(values), allow_pickle=False)
        return
    header = {"descr": values.dtype.str, "fortran_order": False, "shape": tuple(map(int, values.shape))}
    np.lib.format.write_array_header_1_0(member, header)
    if values.numblocks[1:] != (1,) * (values.ndim - 1):
        values = values.rechunk(dict.fromkeys(range(1, values.ndim), -1))
    for k in range(values.numblocks[0]):
        member.write(np.ascontiguousarray(values.blocks[k].compute()).data)
