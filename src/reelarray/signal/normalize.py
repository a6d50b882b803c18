"""Normalisation: the mean removed, or samples relative to their own peak or standard deviation."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import RecordingError
from ..groups import Groups, Steps, lift_groups
from ..recordings import check_recording, clock, describe, segments
from .reduce import after

Method = Literal["zscore", "peak", "dc", "dc_peak"]
METHODS = ("zscore", "peak", "dc", "dc_peak")
REPAIRED = 0.063  # standard deviation after `repair_overflow`: -24 dB re full scale

# ---- kernels ---------------------------------------------------------------------------------------------------------


def measure(rows: np.ndarray) -> np.ndarray:
    """(n, ...) -> (4, ...): mean, sum of squared distances from it, lowest, highest; of complex samples abs is both."""
    along = np.array(np.moveaxis(rows, 0, -1), np.result_type(rows.dtype, np.float64), order="C", copy=True)
    facts = np.empty((4, *along.shape[:-1]), along.dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        sizes = np.abs(along) if along.dtype.kind == "c" else along
        facts[2], facts[3] = sizes.min(axis=-1), sizes.max(axis=-1)
        facts[0] = along.sum(axis=-1) / along.shape[-1]  # in pairs, along memory: the same for the same rows
        along -= facts[0][..., np.newaxis]
        facts[1] = _squares(along).sum(axis=-1)
    return facts


def merge(facts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(m, 4, ...) of m parts in order -> (4, ...) of all (Chan, Golub, LeVeque 1983, for m parts at once)."""
    weights = rows.reshape(-1, *[1] * (facts.ndim - 2))
    merged = np.empty_like(facts[0])
    with np.errstate(invalid="ignore", over="ignore"):
        merged[0] = _in_order(facts[:, 0] * weights) / rows.sum()
        merged[1] = _in_order(facts[:, 1] + weights * _squares(facts[:, 0] - merged[0]))
        merged[2], merged[3] = facts[:, 2].real.min(axis=0), facts[:, 3].real.max(axis=0)
    return merged


def finish(facts: np.ndarray, rows: np.ndarray, *, method: str, rolling: bool, least: int) -> np.ndarray:
    """(m, 4, ...) of the segments of a group -> (2, ...): what to subtract, and what to divide by."""
    values = np.ones_like(facts[0, :2])
    with np.errstate(invalid="ignore", over="ignore"):
        if rolling:  # each file counts the same: the mean of means, and the root of the mean of variances
            weights = rows.reshape(-1, *[1] * (facts.ndim - 2))
            mean = _in_order(facts[:, 0]) / len(facts)
            variance = _in_order(_variance(facts, weights)) / len(facts)
        else:
            whole = merge(facts, rows)
            mean, variance = whole[0], _variance(whole[np.newaxis], rows.sum())[0]
        low, high = facts[:, 2].real.min(axis=0), facts[:, 3].real.max(axis=0)
        values[0] = 0 if method == "peak" else mean
        if method in ("zscore", "overflow"):
            values[1] = np.sqrt(variance) / (REPAIRED if method == "overflow" else 1)
        elif method != "dc":
            values[1] = np.maximum(high - values[0].real, values[0].real - low)
    if rolling and len(facts) < least:
        values[:] = np.nan
    return values


def apply(rows: np.ndarray, values: np.ndarray, *, method: str, dtype: str) -> np.ndarray:
    """(n, ...) -> (n, ...), less the first value, over the second."""
    out = rows.astype(dtype)  # a copy: what follows works in place
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if method != "peak":
            out -= values[0].astype(dtype) if np.dtype(dtype).kind == "c" else values[0].real.astype(dtype)
        if method != "dc":
            out /= values[1].real.astype(out.real.dtype)
    return np.clip(out, -1, 1, out=out) if method == "overflow" else out


def _variance(facts: np.ndarray, rows: Any) -> np.ndarray:
    """(m, 4, ...) -> (m, ...): of the population; exactly 0 of samples that are all alike, whatever their mean."""
    alike = (facts[:, 2] == facts[:, 3]) & (facts.dtype.kind != "c")
    return np.where(alike, 0, facts[:, 1].real / rows)


def _squares(values: np.ndarray) -> np.ndarray:
    return values.real * values.real + values.imag * values.imag if values.dtype.kind == "c" else values * values


def _in_order(values: np.ndarray) -> np.ndarray:
    """(m, ...) -> (...), one after the other; `sum` would add in pairs."""
    return np.cumsum(values, axis=0)[-1]


# ---- public functions ------------------------------------------------------------------------------------------------


def normalize(
    x: xr.DataArray, *, method: Method = "zscore", scope: Any = "segment", min_periods: int = 1
) -> xr.DataArray:
    """Samples relative to their own statistics: (time, ...) [u] -> (time, ...) [1].

    "zscore" is (x - mean) / std, with the standard deviation of the population; "peak" is x / max(abs(x)); "dc" is
    x - mean, in the units of x, as `remove_mean`; "dc_peak" is "dc", then "peak". Filter before. What is zero over zero
    (silence has no peak, a constant no deviation) is NaN, and a NaN among the samples makes its whole group NaN. The
    absolute level is lost: but for "dc", `calibrated` is False in the attributes, and neither `calibrate` nor levels of
    a density take the result.

    Parameters
    ----------
    x : a recording; of complex samples, abs is what peaks, and "dc_peak" is not defined
    method : "zscore", "peak", "dc" or "dc_peak"
    scope : whose statistics: "segment" (each file's own), "stretch" (of files that follow each other), "recording",
        or a span such as "5D" or a number of seconds: those of round(span / duration of a file) files, of which the
        last is the file itself, each counting the same: mean of means, root of the mean of squared deviations. The
        duration of a file is the median of all
    min_periods : with a span, files before which there are fewer (itself counted) become NaN

    Statistics are sums in float64 of whole files in their order, so that no chunking changes them; lazily, they are a
    pass of their own over the files that the result needs. Channels are normalised one by one.

    Raises
    ------
    RecordingError : another method or scope, or a span with a peak

    >>> from reelarray import recording
    >>> x = recording([1.0, 3.0, 1.0, 3.0], rate=4, units="V")
    >>> normalize(x).values, normalize(x, method="peak").values.round(2)
    (array([-1.,  1., -1.,  1.]), array([0.33, 1.  , 0.33, 1.  ]))
    """
    if method not in METHODS:
        raise RecordingError(f"method={method!r} was given; {', '.join(map(repr, METHODS))} were expected")
    return _normalized(x, method, scope, min_periods)


def remove_mean(x: xr.DataArray, *, scope: Any = "segment", min_periods: int = 1) -> xr.DataArray:
    """Samples less their mean: (time, ...) [u] -> (time, ...) [u]. Parameters as for `normalize`.

    >>> from reelarray import recording
    >>> remove_mean(recording([1.0, 3.0, 1.0, 3.0], rate=4, units="V")).values
    array([-1.,  1., -1.,  1.])
    """
    return _normalized(x, "dc", scope, min_periods)


def repair_overflow(x: xr.DataArray) -> xr.DataArray:
    """Samples of a faulty conversion brought back into [-1, 1]: (time, ...) [u] -> (time, ...) [1].

    0.063 * (x - mean) / std of each file, about -24 dB re full scale, clipped to [-1, 1]. The absolute level is lost,
    as with `normalize`; nothing calls this but you.

    >>> from reelarray import recording
    >>> repair_overflow(recording([0.0, 3e9, 0.0, 3e9], rate=4)).values
    array([-0.063,  0.063, -0.063,  0.063])
    """
    return _normalized(check_recording(x, real=True), "overflow", "segment", 1)


def _normalized(x: xr.DataArray, method: str, scope: Any, min_periods: int) -> xr.DataArray:
    x = check_recording(x)
    if x.dtype.kind == "c" and method == "dc_peak":
        raise RecordingError("method='dc_peak' was given for complex samples; use 'dc', then 'peak'")
    groups, files = scope_groups(x, scope)
    if files and "peak" in method:
        raise RecordingError(f"method={method!r} was given with scope={scope!r}; a peak has no mean over files")
    if isinstance(min_periods, bool) or not isinstance(min_periods, int | np.integer) or min_periods < 1:
        raise RecordingError(f"min_periods={min_periods!r} was given; a whole number of files, 1 or more, was expected")
    dtype = str(np.result_type(x.dtype, np.float32))
    steps = Steps(
        measure,
        merge,
        partial(finish, method=method, rolling=files > 0, least=int(min_periods) if files else 1),
        partial(apply, method=method, dtype=dtype),
        facts=4,
        values=2,
    )
    name = {"dc": "remove_mean", "overflow": "repair_overflow"}.get(method, "normalize")
    data = lift_groups(steps, x, groups, dtype=dtype, name=name)
    out = x.copy(deep=False, data=data)
    over = f"{files} files" if files else scope
    if files and min_periods > 1:
        over += f", {min_periods} or more"
    if method == "dc":
        return describe(out, mean_removed=after(x, "mean_removed", f"by {over}"))
    lost = {"units": "1", "calibrated": False, "long_name": None, "standard_name": None}
    return describe(out, **lost, normalization=after(x, "normalization", f"{method} by {over}"))


def scope_groups(x: xr.DataArray, scope: Any) -> tuple[Groups, int]:
    """Segments of a recording and the group of each; and, for a span of time, how many files it is."""
    samples = segments(x)["samples"].to_numpy(np.int64)
    edges = np.append(0, np.cumsum(samples))
    own = np.arange(len(samples))
    if isinstance(scope, str) and scope == "segment":
        return Groups(edges, own, own + 1), 0
    if isinstance(scope, str) and scope == "recording":
        return Groups(edges, np.zeros_like(own), np.full_like(own, len(own))), 0
    if isinstance(scope, str) and scope == "stretch":
        starts = np.searchsorted(edges, clock(x).first)
        stops = np.searchsorted(edges, clock(x).stops)
        return Groups(edges, np.repeat(starts, stops - starts), np.repeat(stops, stops - starts)), 0
    try:
        seconds = isinstance(scope, int | float | np.number) and not isinstance(scope, bool)
        span = float(scope) if seconds else pd.Timedelta(scope).total_seconds()
    except (ValueError, TypeError, OverflowError):
        span = 0.0
    if not 0 < span < np.inf:
        raise RecordingError(
            f"scope={scope!r} was given; 'segment', 'stretch', 'recording', or a span such as '5D' was expected"
        )
    each = float(np.median(samples)) / float(clock(x).row_rate) if len(samples) else span
    files = max(1, int(span / each + 0.5))
    return Groups(edges, np.maximum(own + 1 - files, 0), own + 1), files
