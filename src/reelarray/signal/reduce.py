"""Averages of rows: by the wall clock, or by number; and the largest, least and median of them."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import xarray as xr

from ..cells import MOST_CELLS, Cells, Remainder, by_number, check_number, number_clock, parse_every, wall_clock
from ..decibels import is_decibel, is_power
from ..errors import RecordingError
from ..exact import NANOSECONDS
from ..layers import windows_of_files
from ..lift import lift_reduce, lift_rows, lift_windows
from ..merging import LEAF, Mean, Median, Merge, wide
from ..recordings import check_recording, clock, describe, label
from ..windows import Windows
from .extremes import Extreme

Kind = Literal["mean", "median", "max", "min"]
MERGES: dict[str, Merge] = {"mean": Mean(), "median": Median(), "max": Extreme(True), "min": Extreme(False)}
FEW = 16, 1024  # values of a row that is no spectrum; of a group that is summed before a cell has begun


def means(batch: np.ndarray, out: np.ndarray) -> None:
    """(windows, ..., length) -> (windows, ...): the mean of each window, summed in float64 in the order of time."""
    total = np.zeros(batch.shape[:-1], wide(batch.dtype))
    for k in range(batch.shape[-1]):
        total += batch[..., k]
    np.divide(total, batch.shape[-1], out=out, casting="same_kind")


def average(
    x: xr.DataArray,
    every: Any,
    *,
    kind: Kind = "mean",
    remainder: Remainder = "drop",
    min_fraction: float = 0.0,
    dtype: Any = None,
    block: int | None = None,
) -> xr.DataArray:
    """Mean of rows by the wall clock or by number: (time, ...) [u] -> (time, ...) [u].

    Parameters
    ----------
    x : a recording: samples, a spectrogram, ...
    every : a span such as "60s": rows belong to the bin floor(t / every), since 1970 in UTC, that holds the *first
        sample* they are made of (for a spectrogram the start of the window, not its centre). A bin is labelled at its
        start, its edges are `time_bounds`; a bin without rows makes no row but a gap in the clock, which
        `fill_gaps` can fill. Or a whole number: that many consecutive rows of a stretch, labelled at the mean of
        their times; groups do not span gaps
    kind : "mean"; "max" or "min", the largest or least of each value over the rows ("max hold"); "median", of powers:
        over the bias that the median of noise has, as in `power_spectrum`
    remainder : with a number, what becomes of rows left over at the end of a stretch: "drop" leaves them out, "keep"
        makes a shorter group of them. That one is labelled (and bounded) as a whole one that begins there, so that the
        rows of a stretch stay evenly spaced; `count` and `effort` tell, and weigh it in averages of averages
    min_fraction : leave out bins with less than this fraction of their span in real samples
    dtype : of the result; float32 for float32 and narrower integers, else float64, unless given
    block : rows of one block of the result

    Where x is itself windows made from files (a spectrogram, say), they are made and averaged in one task; x is never
    stored. (Small groups of single values, such as 100 of `instantaneous_power`, go block by block through two.)
    Coordinates `count` (rows in the bin) and `effort` (seconds of recorded samples in the bin) come with wall-clock
    averages and with remainder="keep"; averages of those weigh each row by its `count`. A NaN row makes its bin NaN.
    Sums are made row after row in float64, so that no chunking changes them.

    Raises
    ------
    RecordingError : `every` is neither a span nor a whole number above 0; levels in dB; a median of what is no power

    >>> from reelarray import recording
    >>> x = recording([1.0, 3.0, 5.0, 7.0, 9.0], rate=1, start="2022-03-01T00:00:02", units="V")
    >>> average(x, every="4s").values, average(x, every=2).values, average(x, every=2, remainder="keep").values
    (array([2., 7.]), array([2., 6.]), array([2., 6., 9.]))
    """
    x = check_recording(x)
    number = check_number(every, remainder, min_fraction)
    span = parse_every(every) if number is None else 0
    _check_kind(x, kind)
    if dtype is not None and np.dtype(dtype).kind not in "fc":
        raise RecordingError(f"dtype={dtype!r} was given; means are floats: 'float32' or 'float64' was expected")
    given = "" if dtype is None or number is None else f" in {np.dtype(dtype)}"
    if dtype is None:
        dtype = x.dtype if x.dtype.kind in "fc" else np.float32 if x.dtype.itemsize <= 2 else np.float64
    step = averaging(kind, every, min_fraction, remainder) + given
    weighed = "count" in x.coords and x["count"].dims == ("time",)
    if number is not None and kind == "mean" and remainder == "drop" and not weighed and _one_by_one(x, number):
        out = lift_windows(means, x, Windows(number, number), dtype=dtype, label_at="mean", block=block, name="average")
        coords = {n: c for n, c in out.coords.items() if n != "time"}
        marked = number_clock(clock(x), number)
        out = label(out.data, marked, dims=x.dims[1:], coords=coords, attrs=x.attrs, name=x.name, bounds=True)
        return describe(out, average=after(out, "average", step))
    if number is not None:
        cells = by_number(clock(x), number, remainder)
    else:
        cells = wall_clock(clock(x), span, 0.0 if weighed else min_fraction)
    if weighed:
        return _of_averages(x, cells, kind, min_fraction * span / NANOSECONDS, dtype, block, step)
    out = lift_reduce(None, x, None, MERGES[kind], cells, dtype=dtype, block=block, name="average")
    if number is not None and remainder == "drop":
        return describe(out.rename(x.name), average=after(out, "average", step))
    return with_cells(out.rename(x.name), cells, step)


def check_merge(name: str, kind: Any) -> None:
    """Raise for what is no way to make one row of many."""
    if kind not in MERGES:
        raise RecordingError(f"{name}={kind!r} was given; {', '.join(map(repr, MERGES))} was expected")


def _check_kind(x: xr.DataArray, kind: Any) -> None:
    check_merge("kind", kind)
    units = str(x.attrs.get("units", "1"))
    if is_decibel(units) and kind in ("mean", "median"):
        raise RecordingError(
            f"levels in {units} were given; a mean of decibels is the level of nothing: average the power, then "
            "ra.to_decibel"
        )
    if kind in ("max", "min") and x.dtype.kind == "c":
        raise RecordingError(f"the {kind} of complex values was asked for; powers were expected, such as a spectrogram")
    if kind == "median" and not is_power(units, str(x.attrs.get("long_name", ""))):
        raise RecordingError(
            f"the median of values in {units!r} was asked for; powers were expected, whose median has a known bias: "
            "ra.level_quantiles gives quantiles of others"
        )


def _one_by_one(x: xr.DataArray, every: int) -> bool:
    """Whether groups are summed side by side, not each as a cell: the same sums, to the bit."""
    values = math.prod(x.shape[1:])
    # Windows made from files are averaged in the task that makes them, as cells: half the memory. Of a hundred single
    # values that takes eight times the time, though, of 500 a third more.
    most = FEW[1] if windows_of_files(x.data) is None else FEW[1] // 2
    small = values < FEW[0] and values * every < most
    return small or (x.sizes["time"] // every > MOST_CELLS and every <= LEAF)


def averaging(how: str, every: Any, min_fraction: float, remainder: Remainder = "drop") -> str:
    """What was averaged, in words that two averages share only if they are the same."""
    if isinstance(every, int | np.integer):
        return f"{how} of {every} rows" + (" or what is left of a stretch" if remainder == "keep" else "")
    least = f" with at least {min_fraction!r} of it recorded" if min_fraction else ""
    return (f"{how} of everything" if every is None else f"{how} by {every}") + least


def _of_averages(
    x: xr.DataArray, cells: Cells, kind: str, least: float, dtype: Any, block: int | None, step: str
) -> xr.DataArray:
    """Averages of averages weigh each row by its `count`: they are the averages of the windows themselves."""
    if kind == "median":
        raise RecordingError(
            "the median of averages was asked for, which is not that of what they are made of: average the "
            "spectrogram itself"
        )
    count = x["count"].values.astype(np.int64)
    if "effort" in x.coords:
        cells = replace(cells, effort=cells.sums(x["effort"].values))
    cells = cells.where(cells.effort >= least)
    total = cells.sums(count)
    if kind != "mean":
        out = lift_reduce(None, x, None, MERGES[kind], cells, dtype=dtype, block=block, name="average")
        return with_cells(out.rename(x.name), cells, step, count=total)
    weighted = lift_rows(_weighed, x, count, dtype=wide(x.dtype), name="average-weigh")
    out = lift_reduce(None, weighted, None, Mean(), cells, dtype=weighted.dtype, block=block, name="average-sum")
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


def of_cells(x: xr.DataArray, cells: Cells, every: Any, step: str, remainder: Remainder = "drop") -> xr.DataArray:
    """Rows of a result as cells, without `time` where everything is one; those of a number are counted where kept."""
    if isinstance(every, int | np.integer) and remainder == "drop":
        return describe(x, average=after(x, "average", step))
    out = with_cells(x, cells, step)
    return out if every is not None else out.isel(time=0).drop_vars("time", errors="ignore")


def after(x: xr.DataArray, name: str, step: str) -> str:
    """The attribute `name` with one more step: what was done before, then this."""
    before = x.attrs.get(name)
    return step if before is None else f"{before}; {step}"
