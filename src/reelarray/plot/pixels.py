"""A spectrogram as the pixels of a picture: wall-clock columns, frequency rows, and nothing between them loaded."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any, Literal

import numpy as np
import xarray as xr

from ..clock import SampleClock
from ..decibels import is_decibel
from ..errors import RecordingError
from ..exact import NANOSECONDS
from ..recordings import label, nanoseconds
from ..timeindex import ClockIndex
from .picking import only_runs
from .reducing import part_of_pixels, whole_pixels

Reduce = Literal["mean", "max", "pick"]

MOST_VALUES = 2**29  # 2 GiB of float32: what streams through a laptop while one waits
PICKED = 8  # rows for each column: 1.5 dB of scatter for noise, and few enough for a year
MOST_MEASURED = 2**24  # labels of an ordinary time index that are looked at one by one


def pixels(
    x: xr.DataArray,
    *,
    begin: Any = None,
    end: Any = None,
    width: int = 1200,
    height: int = 600,
    fmin: float | None = None,
    fmax: float | None = None,
    log_frequency: bool = False,
    channel: Any = None,
    reduce: Reduce | None = None,
) -> xr.DataArray:
    """(time, [channel,] frequency) [u] -> (time, frequency) [u]: `width` columns by at most `height` rows, in memory.

    Columns divide [begin, end) evenly, on the wall clock; one in which no row lies is NaN. Values are means of linear
    power over the rows and bins of a pixel, of dB values too. Coordinates `lower` and `upper` are the edges [Hz] of
    each row; with `log_frequency` rows are at least a pixel high on a logarithmic axis. `attrs["pixels"]` says what one
    column was made of.

    Parameters
    ----------
    x : a spectrogram, power or dB
    begin, end : times, or seconds where the start is unknown; those of the data unless given
    width, height : columns, and the largest number of rows
    fmin, fmax : Hz
    channel : which one, where there are several
    reduce : "mean" averages all rows, "max" takes the highest of the rows and bins of a pixel, "pick" averages 8 rows
        in the middle of each column; "mean" up to 2^29 values unless given

    Raises
    ------
    RecordingError : not a spectrogram, nothing inside the limits, several channels and none chosen

    >>> from reelarray import recording
    >>> x = recording(np.ones((6, 2)), rate=1, units="Pa2", dims=["frequency"], coords={"frequency": [1.0, 2.0]})
    >>> pixels(x, width=3, end=9).values.T
    array([[ 1.,  1., nan], [ 1.,  1., nan]])
    """
    x, picked = _one_channel(_check(x), channel)
    clock = _clock(x)
    if reduce not in (None, "mean", "max", "pick"):
        raise RecordingError(f"reduce={reduce!r} was given; 'mean', 'max' or 'pick' was expected")
    if width < 1 or height < 1:
        raise RecordingError(f"a picture of {width} x {height} pixels was asked for; 1 x 1 or more was expected")
    start, stop = time_limits(clock, begin, end)
    edges = start + _shares(stop - start, width)
    column, low, high = column_rows(clock, edges)
    bins, groups, bounds = frequency_rows(x["frequency"], fmin, fmax, log_frequency, height)
    total = int((high - low).sum())
    if reduce is None:
        reduce = "mean" if total * (bins.stop - bins.start) <= MOST_VALUES else "pick"
    text = _caption(reduce, total / max(1, len(low)), (bins.stop - bins.start) / len(groups))
    if reduce == "pick":
        middle = low + np.maximum(high - low - PICKED, 0) // 2
        low, high = middle, np.minimum(high, middle + PICKED)
    decibel = is_decibel(str(x.attrs.get("units", "")))
    runs = np.append(True, (np.diff(low) != 0) | (np.diff(high) != 0))[: len(low)]  # a long row fills many columns
    data, low, high = only_runs(x.data, low[runs], high[runs])
    part = partial(part_of_pixels, channel=picked, bins=bins, groups=groups, decibel=decibel, highest=reduce == "max")
    values = np.full((width, len(groups)), np.nan)
    values[column] = whole_pixels(data, low, high, part)[np.cumsum(runs) - 1]
    rate = Fraction(NANOSECONDS * width, stop - start)
    return label(
        values,
        SampleClock.regular(width, rate, start, absolute=clock.absolute),
        dims=["frequency"],
        coords={
            "frequency": ("frequency", bounds.mean(axis=1), {"units": "Hz", "long_name": "frequency"}),
            "lower": ("frequency", bounds[:, 0], {"units": "Hz"}),
            "upper": ("frequency", bounds[:, 1], {"units": "Hz"}),
        },
        attrs={**x.attrs, "pixels": text},
        name=x.name,
    )


# ---- checks ----------------------------------------------------------------------------------------------------------


def _check(x: Any) -> xr.DataArray:
    if not isinstance(x, xr.DataArray):
        raise RecordingError(f"a {type(x).__name__} was given; a spectrogram (an xarray.DataArray) was expected")
    if not {"time", "frequency"} <= set(x.dims):
        raise RecordingError(
            f"dimensions {x.dims} were given; a spectrogram has time and frequency: make one with ra.spectrogram(x) or "
            "ra.power_spectrum(x, every='60s')"
        )
    if x.dtype.kind == "c":
        raise RecordingError("complex spectra were given; a picture shows power: use ra.spectrogram, or abs(x)**2")
    if "frequency" not in x.coords or not np.all(np.diff(x["frequency"].values) > 0):
        raise RecordingError("frequencies that increase were expected; see x.coords, or x.sortby('frequency')")
    if not x.sizes["time"]:
        raise RecordingError("a spectrogram without a single row was given: there is nothing to show")
    return x


def _one_channel(x: xr.DataArray, channel: Any) -> tuple[xr.DataArray, int | None]:
    """Time first, frequency last, and the position of the channel to show."""
    others = [d for d in x.dims if d not in ("time", "frequency")]
    if not others:
        if channel is not None:
            raise RecordingError(f"channel={channel} was asked for; this spectrogram has no channels: leave it out")
        return x.transpose("time", "frequency"), None
    if len(others) > 1:
        raise RecordingError(f"dimensions {x.dims} were given: choose one of each of {others} with x.isel(...)")
    dim, size = others[0], x.sizes[others[0]]
    names = x[dim].values.tolist() if dim in x.coords else list(range(size))
    if channel is None and size > 1:
        raise RecordingError(f"{size} of {dim} were given and a picture shows one: pass channel=, one of {names}")
    if channel is not None and channel not in names:
        raise RecordingError(f"channel={channel!r} was asked for; there are {names}")
    return x.transpose("time", dim, "frequency"), 0 if channel is None else names.index(channel)


def _clock(x: xr.DataArray) -> SampleClock:
    """The clock of the rows; for an ordinary time index each row is a stretch as long as the usual distance of rows."""
    index = x.xindexes.get("time")
    if isinstance(index, ClockIndex):
        return index.clock
    if "time" not in x.coords or x["time"].dtype.kind not in "mM" or x.sizes["time"] > MOST_MEASURED:
        raise RecordingError("the time axis has no clock and no labels that are times: use ra.recording, ra.open_zarr")
    absolute = x["time"].dtype.kind == "M"
    times = x["time"].values.astype(f"{'datetime64' if absolute else 'timedelta64'}[ns]").astype(np.int64)
    if (np.diff(times) <= 0).any():
        raise RecordingError("times that increase were expected: x.sortby('time')")
    usual = int(np.percentile(np.diff(times), 50, method="lower")) if len(times) > 1 else NANOSECONDS
    ones = np.ones(len(times), np.int64)
    clock = SampleClock.of_segments(times, ones, Fraction(NANOSECONDS, usual), absolute=absolute)
    return clock.replace(parts=2, step=2, span=2, lead=1)  # labelled at the centre


# ---- time ------------------------------------------------------------------------------------------------------------


def _middles(clock: SampleClock) -> SampleClock:
    """The same rows, labelled in the middle of what they stand for, in half parts."""
    middle = clock.offset * 2 - clock.lead * 2 + clock.span
    return clock.replace(
        parts=clock.parts * 2, step=clock.step * 2, span=clock.step * 2, lead=clock.step, offset=middle
    )


def _moved(clock: SampleClock, by: int) -> SampleClock:
    return clock.replace(offset=clock.offset + by)


def time_limits(clock: SampleClock, begin: Any, end: Any) -> tuple[int, int]:
    """[begin, end) in ns; where not given, all that the rows stand for."""
    middles = _middles(clock)
    half = middles.step // 2
    first, last = np.array([0]), np.array([clock.size - 1])
    start = int(_moved(middles, -half).labels(first)[0]) if begin is None else _time(clock, begin)
    stop = int(_moved(middles, half).labels(last)[0]) if end is None else _time(clock, end)
    if stop <= start:
        raise RecordingError(f"begin={begin}, end={end}: nothing lies between them; a later end was expected")
    return start, stop


def _time(clock: SampleClock, time: Any) -> int:
    if clock.absolute:
        return nanoseconds(time)
    if isinstance(time, int | float | np.integer | np.floating):
        return round(float(time) * NANOSECONDS)
    try:
        return int(np.timedelta64(time).astype("timedelta64[ns]").astype(np.int64))
    except (ValueError, TypeError):
        raise RecordingError(f"{time!r} was given; the start is unknown, so seconds since it were expected") from None


def _shares(span: int, parts: int) -> np.ndarray:
    """0 ... span in `parts` even steps, whole ns, without an overflow."""
    whole, rest = divmod(span, parts)
    step = np.arange(parts + 1, dtype=np.int64)
    return step * whole + step * rest // parts


def column_rows(clock: SampleClock, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns that show something, and the rows [low, high) of each.

    A row belongs to the column in which its middle lies; a column without one shows the row that reaches across its own
    middle, and is blank where there is none.
    """
    middles = _middles(clock)
    until = middles.count_until(edges - 1)
    low, high = until[:-1].copy(), until[1:].copy()
    centre = edges[:-1] + np.diff(edges) // 2
    half = middles.step // 2
    around = _moved(middles, -half).count_until(centre) - 1
    reaches = (around >= 0) & (_moved(middles, half).labels(np.maximum(around, 0)) > centre)
    wide = (low == high) & reaches
    low[wide], high[wide] = around[wide], around[wide] + 1
    column = np.flatnonzero(high > low)
    return column, low[column], high[column]


def _caption(reduce: str, rows: float, bins: float) -> str:
    """What one pixel is made of, in words; empty where it is one value."""
    if reduce == "pick" and rows > PICKED:
        return f"{PICKED} of {_number(rows)} spectra a pixel"
    parts = [f"{_number(n)} {what}" for n, what in ((rows, "spectra"), (bins, "bins")) if n > 1]
    return f"{'highest' if reduce == 'max' else 'mean'} of {' × '.join(parts)} a pixel" if parts else ""


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{round(value):,}"


# ---- frequency -------------------------------------------------------------------------------------------------------


def frequency_rows(
    frequency: xr.DataArray, fmin: float | None, fmax: float | None, log: bool, height: int
) -> tuple[slice, np.ndarray, np.ndarray]:
    """The bins to show, where each row begins among them, and the edges of each row [Hz], (rows, 2)."""
    centre = frequency.values.astype(np.float64)
    if "lower" in frequency.coords and "upper" in frequency.coords:
        low, high = (np.asarray(frequency.coords[n].values, np.float64) for n in ("lower", "upper"))
    else:
        between = (centre[1:] + centre[:-1]) / 2 if len(centre) > 1 else np.zeros(0)
        ends = (1.5 * centre[[0, -1]] - 0.5 * centre[[1, -2]]) if len(centre) > 1 else centre[[0, 0]] + [-0.5, 0.5]
        low, high = np.append(ends[0], between), np.append(between, ends[1])
    keep = np.full(len(centre), True)
    if fmin is not None:
        keep &= high > fmin
    if fmax is not None:
        keep &= low < fmax
    if log:
        keep &= (centre > 0) & (low > 0)
    if not keep.any():
        inside = f"fmin={fmin}, fmax={fmax}{', above 0 for a logarithmic axis' if log else ''}"
        raise RecordingError(f"no frequency lies inside {inside}; there are {centre[0]:g} to {centre[-1]:g} Hz")
    bins = slice(int(np.argmax(keep)), len(keep) - int(np.argmax(keep[::-1])))
    low, high = low[bins], high[bins]
    if log:
        pixel = np.floor(np.log(low / low[0]) / np.log(high[-1] / low[0]) * height * (1 - 1e-12))
        groups = np.flatnonzero(np.append(True, np.diff(pixel) > 0))
    else:
        groups = np.arange(0, len(low), -(-len(low) // height))
    return bins, groups, np.stack([low[groups], high[np.append(groups[1:], len(low)) - 1]], axis=1)
