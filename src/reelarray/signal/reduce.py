"""Averages of rows: by the wall clock, or by number."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from ..cells import Cells, parse_every, wall_clock
from ..decibels import is_decibel
from ..errors import RecordingError
from ..exact import NANOSECONDS
from ..lift import lift_reduce, lift_rows, lift_windows
from ..merging import Mean, wide
from ..recordings import check_recording, clock, describe
from ..windows import Windows


def means(batch: np.ndarray, out: np.ndarray) -> None:
    """(windows, ..., length) -> (windows, ...): the mean of each window, summed in float64 in the order of time."""
    total = batch[..., 0].astype(np.complex128 if batch.dtype.kind == "c" else np.float64)
    for k in range(1, batch.shape[-1]):
        total += batch[..., k]
    np.divide(total, batch.shape[-1], out=out, casting="same_kind")


def average(
    x: xr.DataArray, every: Any, *, min_fraction: float = 0.0, dtype: Any = None, block: int | None = None
) -> xr.DataArray:
    """Mean of rows by the wall clock or by number: (time, ...) [u] -> (time, ...) [u].

    Parameters
    ----------
    x : a recording: samples, a spectrogram, ...
    every : a span such as "60s": rows belong to the bin floor(t / every), since 1970 in UTC, that holds the *first
        sample* they are made of (for a spectrogram the start of the window, not its centre). A bin is labelled at its
        start, its edges are `time_bounds`; a bin without rows makes no row but a gap in the clock, which
        `fill_gaps` can fill. Or a whole number: that many consecutive rows of a stretch, labelled at the mean of
        their times; groups do not span gaps, and rows left over at the end of a stretch make no group.
    min_fraction : leave out bins with less than this fraction of their span in real samples
    dtype : of the result; float32 for float32 and narrower integers, else float64, unless given
    block : rows of one block of the result

    Coordinates `count` (rows in the bin) and `effort` (seconds of recorded samples in the bin) come with wall-clock
    averages; averages of those weigh each row by its `count`. A NaN row makes its bin NaN. Sums are made row after row
    in float64, so that no chunking changes them.

    Raises
    ------
    RecordingError : `every` is neither a span nor a whole number above 0; levels in dB

    >>> from reelarray import recording
    >>> x = recording([1.0, 3.0, 5.0, 7.0], rate=1, start="2022-03-01T00:00:02", units="V")
    >>> average(x, every="4s").values, average(x, every=2).values
    (array([2., 6.]), array([2., 6.]))
    """
    x = check_recording(x)
    if is_decibel(str(x.attrs.get("units", "1"))):
        raise RecordingError(
            f"levels in {x.attrs['units']} were given; a mean of decibels is the level of nothing: average the power, "
            "then ra.to_decibel"
        )
    if dtype is not None and np.dtype(dtype).kind not in "fc":
        raise RecordingError(f"dtype={dtype!r} was given; means are floats: 'float32' or 'float64' was expected")
    given = "" if dtype is None else f" in {np.dtype(dtype)}"
    if dtype is None:
        dtype = x.dtype if x.dtype.kind in "fc" else np.float32 if x.dtype.itemsize <= 2 else np.float64
    if isinstance(every, int | np.integer) and not isinstance(every, bool):
        if every < 1:
            raise RecordingError(f"every={every}: 1 row or more was expected")
        windows = Windows(int(every), int(every))
        out = lift_windows(means, x, windows, dtype=dtype, label_at="mean", block=block, name="average")
        return describe(out.rename(x.name), average=after(out, "average", f"mean of {every} rows{given}"))
    span = parse_every(every)
    step = averaging("mean", every, min_fraction)
    if "count" in x.coords and x["count"].dims == ("time",):
        return _of_averages(x, span, min_fraction, dtype, block, step)
    cells = wall_clock(clock(x), span, min_fraction)
    out = lift_reduce(None, x, None, Mean(), cells, dtype=dtype, block=block, name="average")
    return with_cells(out.rename(x.name), cells, step)


def averaging(how: str, every: Any, min_fraction: float) -> str:
    """What was averaged, in words that two averages share only if they are the same."""
    least = f" with at least {min_fraction!r} of it recorded" if min_fraction else ""
    return (f"{how} of everything" if every is None else f"{how} by {every}") + least


def _of_averages(
    x: xr.DataArray, span: int, min_fraction: float, dtype: Any, block: int | None, step: str
) -> xr.DataArray:
    """Averages of averages weigh each row by its `count`: they are the averages of the windows themselves."""
    count = x["count"].values.astype(np.int64)
    cells = wall_clock(clock(x), span)
    if "effort" in x.coords:
        cells = replace(cells, effort=cells.sums(x["effort"].values))
    cells = cells.where(cells.effort >= min_fraction * span / NANOSECONDS)
    weighted = lift_rows(_weighed, x, count, dtype=wide(x.dtype), name="average-weigh")
    out = lift_reduce(None, weighted, None, Mean(), cells, dtype=weighted.dtype, block=block, name="average-sum")
    total = cells.sums(count)
    weights = np.where(total > 0, total / cells.count, np.nan)
    out = lift_rows(partial(_divided, to=str(np.dtype(dtype))), out, weights, dtype=dtype, name="average")
    return with_cells(out.rename(x.name), cells, step, count=total)


def _weighed(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    out = rows * weights.astype(wide(rows.dtype)).reshape(-1, *(1,) * (rows.ndim - 1))
    out[weights == 0] = 0.0  # a filled row, NaN, weighs nothing
    return out


def _divided(rows: np.ndarray, weights: np.ndarray, to: str) -> np.ndarray:
    return (rows / weights.reshape(-1, *(1,) * (rows.ndim - 1))).astype(to)


def with_cells(x: xr.DataArray, cells: Cells, step: str, *, count: np.ndarray | None = None) -> xr.DataArray:
    """Rows of a result as cells: coordinates `count` (windows in the cell unless given) and `effort`."""
    count = cells.count if count is None else count
    out = x.assign_coords(
        count=("time", count, {"units": "1", "long_name": "number of windows or rows averaged"}),
        effort=("time", cells.effort, {"units": "s", "long_name": "duration of the recorded samples"}),
    )
    return describe(out, average=after(x, "average", step))


def of_cells(x: xr.DataArray, cells: Cells, every: Any, step: str) -> xr.DataArray:
    """Rows of a result as the cells of `cells.by_span`: without `time` where everything is one cell."""
    out = with_cells(x, cells, step)
    return out if every is not None else out.isel(time=0).drop_vars("time", errors="ignore")


def after(x: xr.DataArray, name: str, step: str) -> str:
    """The attribute `name` with one more step: what was done before, then this."""
    before = x.attrs.get(name)
    return step if before is None else f"{before}; {step}"
