"""Distributions of levels: how often each level occurs, quantiles and probability densities, by exact counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..cells import by_span
from ..decibels import Scale, is_decibel, is_power
from ..errors import RecordingError
from ..lift import lift_reduce
from ..recordings import check_recording, clock, describe
from .levelbins import MOST_BINS, Bins, Counts, order_levels
from .reduce import averaging, of_cells

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
STEP = 0.1  # dB


def level_distribution(
    x: xr.DataArray,
    *,
    every: Any = None,
    step: float = STEP,
    low: float | None = None,
    high: float | None = None,
    reference: float | None = None,
    min_fraction: float = 0.0,
    block: int | None = None,
) -> xr.DataArray:
    """How often each level occurs: (time, ...) [u2 Hz-1, u2, or dB] -> ([time, ]..., level), counts.

    Of a spectrogram that is made from files, windows, FFT and counting are one task: the spectrogram is never stored.
    Counts are integers, so that they are exact for any chunks, and `sum("time")` of them is the distribution of a
    longer time. Their quantiles are `level_quantiles`, their densities `probability_density`.

    Parameters
    ----------
    x : powers, such as a spectrogram, or levels in dB
    every : a span such as "1h", one distribution for each wall-clock bin, as in `average`; without it, one of
        everything, without `time`
    step : dB of a bin
    low, high : edges of the first and last bin, dB; -40 and 220 for sound re 1 uPa, else -220 and 40, unless given
    reference : of the levels, as in `to_decibel`
    min_fraction : leave out bins of time with less than this fraction of their span in real samples
    block : rows of one block of the result

    `level` is the centre of each bin. The first, -inf, counts what lies below `low` (silence), the last, inf, what
    lies above: nothing is lost. Values that are NaN are counted nowhere. Edges between bins of powers are kept to
    0.0022 dB. Levels from a store with `encoding="db16"` stand on a grid: take bins of several of its steps, a whole
    number of them, or count before storing.

    Raises
    ------
    RecordingError : neither powers nor levels, bins that are none, or counts of over 2 GiB for one cell

    >>> from reelarray import recording
    >>> x = recording([1.0, 10.0, 10.0, 0.0], rate=1, units="V2")
    >>> found = level_distribution(x, step=10, low=-5, high=25)
    >>> found.values, found.level.values
    (array([1, 1, 2, 0, 0]), array([-inf,   0.,  10.,  20.,  inf]))
    """
    bins, units = _bins(x, step, low, high, reference)
    coordinate = {"level": _level(bins, units)}
    out = _reduced(x, Counts(bins), coordinate, every, min_fraction, block, "level_distribution")
    return describe(out, units="1", long_name="number of values", **_said(bins))


def level_quantiles(
    x: xr.DataArray,
    quantile: float | Sequence[float] = QUANTILES,
    *,
    every: Any = None,
    step: float | None = None,
    low: float | None = None,
    high: float | None = None,
    reference: float | None = None,
    min_fraction: float = 0.0,
    block: int | None = None,
) -> xr.DataArray:
    """Levels below which a part of the values lies: (time, ...) [u2 Hz-1, u2, or dB] -> ([time, ]..., quantile) [dB].

    By counts in bins of `step` dB: within half a step and 0.0022 dB of `numpy.quantile` of the levels, the same for any
    chunks, and one task from files, as `level_distribution`. Of a distribution, also one summed over time, its own.

    Parameters
    ----------
    x : powers, such as a spectrogram, levels in dB, or a distribution
    quantile : from 0 to 1. The level that is exceeded 5 % of the time, L5 to some and L95 to others, is quantile 0.95
    every, step, low, high, reference, min_fraction, block : as for `level_distribution`; a distribution has its own

    -inf and inf are levels outside `low` and `high`, also where the quantile lies between one of those and a level; NaN
    where there is no value. The coordinate `exceedance` is 1 - quantile. To draw one: ``plot_spectrogram(q.sel(
    quantile=0.95))`` over time, ``q.isel(time=0).plot.line(x="frequency")`` all of an hour.

    Raises
    ------
    RecordingError : as `level_distribution`, and quantiles outside 0 to 1

    >>> from reelarray import recording
    >>> x = recording([1.0, 10.0, 100.0], rate=1, units="V2")
    >>> level_quantiles(x, [0, 0.5, 0.75], step=0.5).values
    array([ 0.25, 10.25, 15.25], dtype=float32)
    """
    try:
        wanted = tuple(np.atleast_1d(np.asarray(quantile, np.float64)).tolist())
    except (TypeError, ValueError):
        wanted = ()
    if not wanted or not all(0 <= q <= 1 for q in wanted):
        raise RecordingError(f"quantile={quantile!r} was given; numbers from 0 to 1 were expected (0.95, not 95)")
    coordinate = {"quantile": ("quantile", list(wanted), {"units": "1", "long_name": "part of the values below"})}
    if isinstance(x, xr.DataArray) and "level" in x.dims:
        if x.chunks is not None and x.data.numblocks[x.dims.index("level")] > 1:
            raise RecordingError("chunks cut the levels of the distribution: pass x.chunk(level=-1)")
        asked = {"every": every, "step": step, "low": low, "high": high, "reference": reference, "block": block}
        asked["min_fraction"] = min_fraction or None
        if extra := [f"{name}=" for name, value in asked.items() if value is not None]:
            raise RecordingError(
                f"{', '.join(extra)} was given with a distribution, which has its own; leave it out, select or sum its "
                "rows first, or make another one"
            )
        levels, units = x["level"].values, str(x["level"].attrs.get("units", "dB"))
        found = xr.apply_ufunc(
            order_levels,
            x,
            input_core_dims=[["level"]],
            output_core_dims=[["quantile"]],
            kwargs={"levels": levels, "quantiles": wanted},
            dask="parallelized",
            output_dtypes=[np.float32],
            dask_gufunc_kwargs={"output_sizes": {"quantile": len(wanted)}},
            keep_attrs=True,
        )
        out, said = found.assign_coords(coordinate), {}
    else:
        bins, units = _bins(x, STEP if step is None else step, low, high, reference)
        merge = Counts(bins, wanted)
        out = _reduced(x, merge, {"quantile": list(wanted)}, every, min_fraction, block, "level_quantiles")
        out, said = out.assign_coords(coordinate), _said(bins)
    out = out.assign_coords(exceedance=("quantile", [round(1 - q, 12) for q in wanted], {"units": "1"}))
    return describe(out.rename("level_quantiles"), units=units, long_name="level", **said)


def probability_density(distribution: xr.DataArray, *, step: float | None = None) -> xr.DataArray:
    """Spectral probability density: counts (..., level) of `level_distribution` -> (..., level) [dB-1].

    count / (N step), with N all values counted: the sum over levels times `step`, and what lies outside, is 1 (Merchant
    et al. 2013, doi 10.1121/1.4794934). NaN where nothing was counted.

    Parameters
    ----------
    distribution : counts, perhaps summed over time
    step : dB of wider bins, a whole number of those of the distribution

    Raises
    ------
    RecordingError : no distribution, or bins that do not make up wider ones

    >>> from reelarray import recording
    >>> found = level_distribution(recording([1.0, 1.0, 10.0, 0.0], rate=1, units="V2"), step=1, low=-5, high=15)
    >>> probability_density(found, step=10).values
    array([0.05 , 0.025])
    """
    if not isinstance(distribution, xr.DataArray) or "level" not in distribution.dims:
        raise RecordingError("an array with a dimension `level` was expected, as ra.level_distribution gives")
    levels = distribution["level"].values
    inner = np.isfinite(levels)
    own = float(distribution.attrs.get("step", np.diff(levels[inner])[:1].sum()))
    if not own > 0:
        raise RecordingError("the bins of the distribution have no width: its attribute `step` was lost; assign it")
    each = 1 if step is None else round(step / own)
    if each < 1 or (step is not None and abs(each * own - step) > 1e-9) or inner.sum() % each:
        raise RecordingError(
            f"step={step!r} was given for {int(inner.sum())} bins of {own:g} dB; a whole number of them, that leaves "
            "none over, was expected"
        )
    total = distribution.sum("level")
    counts = distribution.isel(level=inner).coarsen(level=each).sum()
    density = counts / (total.where(total > 0) * own * each)
    density = density.assign_coords(level=("level", np.round(counts["level"].values, 9), distribution["level"].attrs))
    density.attrs = {**distribution.attrs, "step": own * each}
    return describe(density.rename("probability_density"), units="dB-1", long_name="probability density of levels")


def _bins(
    x: xr.DataArray, step: float, low: float | None, high: float | None, reference: float | None
) -> tuple[Bins, str]:
    """(bins, units of their levels) for powers or levels."""
    x = check_recording(x, real=True)
    units, name = str(x.attrs.get("units", "1")), str(x.attrs.get("long_name", ""))
    if is_decibel(units):
        if reference is not None:
            raise RecordingError(f"reference={reference!r} was given for levels, which have one: {units!r}")
        one, sound, shown = None, "Pa" in units, units
    elif is_power(units, name):
        scale = Scale.of(units, name, "power")
        reference = scale.reference if reference is None else reference
        if not _is_number(reference) or not reference > 0:
            raise RecordingError(f"reference={reference!r} was given; a number above 0 was expected")
        one, sound, shown = float(scale.one(reference)), scale.base == "Pa" and reference < 1e-3, scale.units(reference)
    else:
        raise RecordingError(
            f"units {units!r} were given; powers such as 'Pa2 Hz-1' or 'V2', or levels in dB, were expected: "
            "ra.spectrogram(x) first, or x**2 with its units"
        )
    first, last = (-40.0, 220.0) if sound else (-220.0, 40.0)
    for name, value in (("step", step), ("low", low), ("high", high)):
        if value is not None and not (_is_number(value) and math.isfinite(value)):
            raise RecordingError(f"{name}={value!r} was given; a number of dB was expected")
    first, last = first if low is None else float(low), last if high is None else float(high)
    if not step > 0:
        raise RecordingError(f"step={step!r} was given; a number of dB above 0 was expected")
    count = (last - first) / step
    if not 1 <= round(count) <= MOST_BINS or abs(count - round(count)) > 1e-6:
        raise RecordingError(
            f"bins of {step:g} dB from low={first:g} to high={last:g} were asked for; a whole number of bins, 1 to "
            f"{MOST_BINS:,}, was expected: change step=, low= or high="
        )
    return Bins(first, float(step), round(count), one), shown


def _said(bins: Bins) -> dict[str, float]:
    """The bins as attributes: results of other bins are other results."""
    return {"step": bins.step, "low": bins.low, "high": round(bins.low + bins.count * bins.step, 9)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _level(bins: Bins, units: str) -> xr.Variable:
    return xr.Variable(("level",), bins.centres(), {"units": units, "long_name": "centre of the bin of levels"})


def _reduced(
    x: xr.DataArray, merge: Counts, new: dict[str, Any], every: Any, min_fraction: float, block: int | None, name: str
) -> xr.DataArray:
    cells = by_span(clock(x), every, min_fraction)
    out = lift_reduce(None, x, None, merge, cells, dtype=x.dtype, merged_dims=new, block=block, name=name)
    return of_cells(out.rename(name), cells, every, averaging(name.replace("_", " "), every, min_fraction))
