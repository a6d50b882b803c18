"""What a Recording is: an xarray.DataArray whose first dimension is `time`, with a clock and units."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .clock import SampleClock
from .errors import ClockError, RecordingError
from .exact import NANOSECONDS, exact_rate
from .stitching import concat_clocks, join_within
from .timeindex import ClockIndex
from .timeindex import time_bounds as bounds_of


def recording(
    array: Any,
    *,
    rate: Any,
    start: Any = None,
    units: str = "1",
    dims: Sequence[str] | None = None,
    name: str | None = None,
    coords: Mapping[str, Any] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.DataArray:
    """An array of samples as a recording: (samples[, channel | y, x]) -> (time[, channel | y, x]) [units].

    Parameters
    ----------
    array : NumPy or Dask array, or a list; its first axis is time
    rate : samples a second: an int, a Fraction, "48000/1.001"-like text, or a float
    start : UTC time of the first sample (text, datetime64, datetime); without it, times count from 0
    units : UDUNITS text, such as "Pa" or "V"
    dims : names of the axes after time; ("channel",) for 2-D and ("y", "x") for 3-D arrays unless given

    Raises
    ------
    RecordingError : the array has no axis, or `dims` do not fit it
    ClockError : an impossible rate or start

    >>> recording([0, 3, -1, 2], rate=4, start="2022-03-01", units="V").sel(time="2022-03-01T00:00:00.25").item()
    3
    """
    data = array if hasattr(array, "ndim") and hasattr(array, "dtype") else np.asarray(array)
    if data.ndim == 0:
        raise RecordingError("a single number was given; an array whose first axis is time was expected")
    if dims is None:
        dims = {1: (), 2: ("channel",), 3: ("y", "x")}.get(data.ndim)
    if dims is None or len(dims) != data.ndim - 1:
        raise RecordingError(f"an array of {data.ndim} axes needs dims= with {data.ndim - 1} names, got {dims}")
    clock = SampleClock.regular(
        data.shape[0], rate, 0 if start is None else nanoseconds(start), absolute=start is not None
    )
    return label(data, clock, dims=dims, coords=coords, attrs={"units": units, **(attrs or {})}, name=name)


def nanoseconds(time: Any) -> int:
    """A UTC time -> ns since 1970. Times with an offset are converted, naive ones are UTC."""
    number = isinstance(time, bool | int | float | np.integer | np.floating) and not isinstance(time, np.timedelta64)
    if number or (isinstance(time, str) and not re.search(r"\d{4}", time)):  # pandas: ns since 1970, and today
        raise ClockError(f"{time!r} is not a time of a day; e.g. '2022-03-01T12:00:00' was expected")
    try:
        stamp = pd.Timestamp(time)
    except (ValueError, TypeError, OverflowError) as error:
        raise ClockError(f"{time!r} is not a time ({error}); e.g. '2022-03-01T12:00:00' was expected") from None
    if stamp is pd.NaT:
        raise ClockError(f"{time!r} is not a time; e.g. '2022-03-01T12:00:00' was expected")
    if stamp.tz is not None:
        stamp = stamp.tz_convert("UTC").tz_localize(None)
    return int(stamp.as_unit("ns").value)


def label(
    data: Any,
    clock: SampleClock,
    *,
    dims: Sequence[Hashable] = (),
    coords: Mapping[Any, Any] | None = None,
    attrs: Mapping[str, Any] | None = None,
    name: Hashable | None = None,
    bounds: bool = False,
) -> xr.DataArray:
    """An array whose first axis is labelled by `clock`; with `bounds`, files of it say what each row is made of."""
    times = xr.Coordinates.from_xindex(ClockIndex(clock, bounds="time_bounds" if bounds else None))
    out = xr.DataArray(data, dims=("time", *dims), coords=times, attrs=dict(attrs or {}))
    out.name = name  # xarray would take the name of a Dask array
    return out.assign_coords({k: v for k, v in (coords or {}).items() if k != "time"}) if coords else out


def describe(x: xr.DataArray, **attrs: Any) -> xr.DataArray:
    """Set attributes (units, long_name, ...) after arithmetic; None removes one."""
    kept = {k: v for k, v in {**x.attrs, **attrs}.items() if v is not None}
    out = x.copy(deep=False)
    out.attrs = kept  # drop_attrs would build the coordinates anew, without the clock
    return out


def clock(x: xr.DataArray) -> SampleClock:
    """The clock of a recording; `ClockError` where its time axis is not made by one."""
    index = x.xindexes.get("time") if isinstance(x, xr.DataArray) else None
    if isinstance(index, ClockIndex):
        return index.clock
    if not isinstance(x, xr.DataArray):
        raise RecordingError(f"a {type(x).__name__} was given; a recording (an xarray.DataArray) was expected")
    if "time" not in x.dims:
        raise RecordingError(
            f"dimensions {x.dims} were given; a recording has `time` first: use ra.recording(array, ...)"
        )
    raise ClockError(
        "the time axis has no sample clock (it was picked apart, resampled, or read without reelarray): "
        "give it one with ra.recording(x.data, rate=..., start=..., units=...)"
    )


def check_recording(x: Any, *, real: bool | None = None) -> xr.DataArray:
    """The same array, once it is sure to be a recording: `time` first, with a clock; real or complex if asked for."""
    if isinstance(x, xr.Dataset):
        raise RecordingError(f"a Dataset was given; pick one of its arrays: {', '.join(map(str, x.data_vars))}")
    clock(x)
    if x.dims[0] != "time":
        raise RecordingError(f"dimensions {x.dims} were given; time must come first: x.transpose('time', ...)")
    if x.dtype.kind not in "iufc":
        raise RecordingError(f"samples of dtype {x.dtype} were given; numbers were expected")
    if real is not None and (x.dtype.kind != "c") != real:
        raise RecordingError(
            f"samples of dtype {x.dtype} were given; {'real' if real else 'complex'} ones were expected"
        )
    return x


def check_no_pairs(x: xr.DataArray) -> xr.DataArray:
    """The same array; counts of pairs I, Q are no signal of two channels."""
    if "iq" in x.dims:
        raise RecordingError(
            "counts with a dimension iq were given; complex samples were expected: open them without calibrated=False, "
            "or make them: x.sel(iq='I') + 1j * x.sel(iq='Q')"
        )
    return x


def one_number(value: Any) -> Any:
    """The number that an array without axes holds, such as a coordinate; anything else as it is.

    >>> one_number(xr.DataArray(2.5)), one_number("2.5")
    (2.5, '2.5')
    """
    return value.item() if isinstance(value, xr.DataArray | np.ndarray) and value.ndim == 0 else value


def rate(x: xr.DataArray) -> Fraction:
    """Rows a second, nominally, as an exact ratio. Never a difference of labels.

    >>> rate(recording([0.0] * 8, rate=44100))
    Fraction(44100, 1)
    """
    if isinstance(x, xr.DataArray) and "rate" in x.attrs and not isinstance(x.xindexes.get("time"), ClockIndex):
        return exact_rate(x.attrs["rate"])  # a measured clock keeps its nominal rate beside its labels
    return clock(x).row_rate


def segments(x: xr.DataArray) -> pd.DataFrame:
    """The segments of a recording, one row each (usually a file).

    Columns: start, stop (the time just after its last row), seconds of data at the nominal rate, samples (rows), joined
    (to the one before, without a gap), drift (seconds by which the segment took longer than its nominal duration),
    source (the file, or None).

    >>> segments(recording([0.0] * 8, rate=4))[["seconds", "samples", "joined", "drift"]]
       seconds  samples  joined  drift
    0      2.0        8   False    0.0
    """
    if isinstance(x, xr.DataArray) and "time" in x.dims and not isinstance(x.xindexes.get("time"), ClockIndex):
        times, seconds = x["time"].values, float(x.sizes["time"] / rate(x))
        ends = {"start": times[:1], "stop": times[-1:], "seconds": seconds, "samples": len(times)}
        return pd.DataFrame({**ends, "joined": False, "drift": 0.0, "source": None})
    c = clock(x)
    stretch = np.repeat(np.arange(len(c.first)), np.diff(c.knots_from))
    low = c.first[stretch] - (c.offset[stretch] - c.since * c.parts) // c.step
    low = np.maximum(low, c.first[stretch])
    last_knot = np.isin(np.arange(len(low)), c.knots_from[1:] - 1)
    high = np.where(last_knot, c.stops[stretch], np.append(low[1:], 0)).astype(np.int64)
    low, some = np.minimum(low, high), high > low
    rows = high - low
    kind = "datetime64[ns]" if c.absolute else "timedelta64[ns]"
    ahead = c.offset[stretch] + (high - c.first[stretch]) * c.step
    took = c.length * c.period[:, 0] / c.period[:, 1] / NANOSECONDS - c.length / float(c.rate)
    nominal = c.period[:, 0] * c.rate.numerator == c.period[:, 1] * c.rate.denominator * NANOSECONDS
    source = np.full(len(stretch), None) if c.source is None else c.source
    joined = np.append(False, stretch[some][1:] == stretch[some][:-1])[: some.sum()]
    # Frames that were timed one by one are one segment, as long as nothing lies between them.
    timed = c.length[some] == 1
    same = np.append(False, (source[some][1:] == source[some][:-1]) & timed[:-1])[: some.sum()]
    heads = np.flatnonzero(~(joined & same))
    tails = np.append(heads[1:], len(joined))[: len(heads)] - 1
    counts = np.add.reduceat(rows[some], heads) if len(heads) else rows[some]
    table = {
        "start": c.labels(low[some][heads]).view(kind),
        "stop": c.times(stretch[some], ahead[some])[tails].view(kind),
        "seconds": counts / float(c.row_rate),
        "samples": counts,
        "joined": joined[heads],
        "drift": np.add.reduceat(np.where(nominal, 0.0, took)[some], heads) if len(heads) else np.zeros(0),
        "source": source[some][heads],
    }
    return pd.DataFrame(table)


def time_bounds(x: xr.DataArray) -> xr.DataArray:
    """First instant, and first instant after, of what each row is made of: (time, ...) -> (time, bound).

    For averages these are the edges of their wall-clock bins, for spectra those of their windows. Stores keep them as
    the CF bounds `time_bounds`; in memory they are no coordinate, because xarray cannot transpose or broadcast arrays
    whose coordinates have a dimension that the array has not.

    >>> from reelarray import average
    >>> x = recording([1.0, 3.0, 5.0, 7.0], rate=1, start="2022-03-01T00:00:02", units="V")
    >>> time_bounds(average(x, every="4s"))[0].values.astype("datetime64[s]").astype(str).tolist()
    ['2022-03-01T00:00:00', '2022-03-01T00:00:04']
    """
    own = clock(x)
    return xr.DataArray(bounds_of(own), dims=("time", "bound"), coords={"time": x["time"]}, name="time_bounds")


def join(recordings: Sequence[xr.DataArray], *, tolerance: Any = 0.0) -> xr.DataArray:
    """One long recording of many, in time order, with the gaps between them: any number, no copy of a label.

    Parameters
    ----------
    recordings : same dimensions, coordinates, rate, units and dtype; they may not overlap. Attributes that they do not
        agree on are left out
    tolerance : seconds; a recording that starts this close to the end of the one before is joined to it, without a gap

    Raises
    ------
    RecordingError : nothing to join, or arrays that differ in what must be the same
    ClockError : different rates, or recordings that overlap

    >>> a, b = recording([1, 2], rate=1, start="2022-03-01"), recording([3], rate=1, start="2022-03-01T00:01")
    >>> join([b, a]).values
    array([1, 2, 3])
    """
    arrays = [check_recording(x) for x in recordings]
    if not arrays:
        raise RecordingError("no recordings were given; one at least was expected")
    head = arrays[0]
    for other in arrays[1:]:
        for what, mine, theirs in (
            ("dimensions", (head.dims, head.shape[1:]), (other.dims, other.shape[1:])),
            ("dtypes", head.dtype, other.dtype),
            ("units", head.attrs.get("units"), other.attrs.get("units")),
            ("coordinates along time", _along_time(head), _along_time(other)),
            ("calibrations", head.attrs.get("calibrated"), other.attrs.get("calibrated")),
        ):
            if mine != theirs:
                raise RecordingError(f"{what} {mine!r} and {theirs!r} cannot be joined: make them alike first")
        for name, coord in head.coords.items():
            if "time" not in coord.dims and not coord.equals(other.coords.get(name, coord)):
                raise RecordingError(f"coordinate {name!r} differs: {coord.values} and {other.coords[name].values}")
    arrays = [x for x in arrays if x.sizes["time"]] or arrays[:1]
    arrays.sort(key=lambda x: int(clock(x).labels(0)) if x.sizes["time"] else 0)
    merged = concat_clocks([clock(x) for x in arrays])
    if tolerance:
        merged = join_within(merged, round(float(tolerance) * NANOSECONDS))
    variable = xr.Variable.concat([x.variable for x in arrays], "time")
    coords = {
        name: coord.variable
        if "time" not in coord.dims
        else xr.Variable.concat([x[name].variable for x in arrays], "time")
        for name, coord in head.coords.items()
        if name != "time"
    }
    attrs = {name: value for name, value in head.attrs.items() if all(x.attrs.get(name) == value for x in arrays)}
    index = head.xindexes["time"]
    bounds = isinstance(index, ClockIndex) and index.bounds is not None
    return label(variable.data, merged, dims=head.dims[1:], coords=coords, attrs=attrs, name=head.name, bounds=bounds)


def _along_time(x: xr.DataArray) -> list[str]:
    return sorted(str(name) for name, coord in x.coords.items() if "time" in coord.dims)


def forget_clock(x: xr.DataArray) -> xr.DataArray:
    """The same array without its time axis: what xarray needs for work on plain positions of very long arrays."""
    return x.drop_vars("time")
