"""What annotations mark: the time and the band of each, by the clock, however the recording was cut since."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .clock import SampleClock
from .errors import RecordingError
from .exact import NANOSECONDS
from .recordings import clock as clock_of
from .timeindex import time_bounds

# What `formats.sigmf` adds to each annotation: ns from the first sample of the file, [begin, end).
TIMES = "reelarray:nanoseconds"
LOW, HIGH = "core:freq_lower_edge", "core:freq_upper_edge"


def select_annotation(x: xr.DataArray, which: int | str = 0) -> xr.DataArray:
    """The samples that an annotation marks, or its box of a spectrogram: (time, ...) -> (fewer times, ...).

    `x.attrs["annotations"]` holds them, as SigMF has them. Samples are those from `core:sample_start` on,
    `core:sample_count` of them; of spectra the rows that are made of any of these, and the frequencies from
    `core:freq_lower_edge` to `core:freq_upper_edge` where there are any (at least one). Times follow the clock: slices,
    spectra, averages and other sample rates of what was opened give the same part, and a gap inside stays one.
    Annotations that you added yourself count the rows of `x`. For a band of samples: ``ra.zoom(part,
    **ra.annotation_band(x, which))``.

    Parameters
    ----------
    x : a recording, or spectra of one
    which : number of the annotation, from 0, or its `core:label`, which only one must have

    Raises
    ------
    RecordingError : no such annotation, or nothing that it marks is in `x`

    >>> from reelarray import recording
    >>> marks = [{"core:sample_start": 1, "core:sample_count": 2, "core:label": "burst"}]
    >>> select_annotation(recording([5, 6, 7, 8], rate=2, attrs={"annotations": marks}), "burst").values
    array([6, 7])
    """
    annotation = annotation_of(x, which)
    own = clock_of(x)
    begin, end = annotation_times(x, annotation)
    if "frequency" in x.dims:
        bounds = time_bounds(own).view(np.int64)
        rows = np.flatnonzero((bounds[:, 0] < end) & (bounds[:, 1] > begin))
        low, high = (int(rows[0]), int(rows[-1]) + 1) if rows.size else (0, 0)
    else:
        low, high = int(own.count_until(begin - 1)), int(own.count_until(end - 1))
    if low >= high:
        ends = [own.text(own.labels(row)) for row in (0, own.size - 1)] if own.size else ["nowhere"]
        raise RecordingError(
            f"annotation {which!r} lies from {own.text(begin)} to {own.text(end)}, of which nothing is left here: the "
            f"recording goes from {' to '.join(ends)}; select the annotation before you cut"
        )
    out = x.isel(time=slice(low, high))
    if "frequency" in x.dims and LOW in annotation:
        out = out.isel(frequency=_bins(x["frequency"].values, *_edges(annotation, which)))
    return out


def annotation_band(x: xr.DataArray, which: int | str = 0) -> dict[str, float]:
    """The band that an annotation marks, as `ra.zoom` takes it: {"center": Hz, "span": Hz}.

    Parameters
    ----------
    x, which : as in `select_annotation`

    Raises
    ------
    RecordingError : no such annotation, or one without both of its edges

    >>> from reelarray import recording
    >>> marks = [{"core:sample_start": 0, "core:freq_lower_edge": 99.0, "core:freq_upper_edge": 103.0}]
    >>> annotation_band(recording([1j, 2j], rate=8, attrs={"annotations": marks}))
    {'center': 101.0, 'span': 4.0}
    """
    low, high = _edges(annotation_of(x, which), which)
    return {"center": (low + high) / 2, "span": high - low}


def annotation_of(x: xr.DataArray, which: int | str) -> Mapping[str, Any]:
    """One of the annotations in the attributes, by number or by label."""
    clock_of(x)
    listed = x.attrs.get("annotations")
    if not isinstance(listed, list | tuple) or not listed:
        raise RecordingError("the recording has no annotations (x.attrs['annotations']): open a SigMF file that has")
    if isinstance(which, str):
        found = [k for k, each in enumerate(listed) if each.get("core:label") == which]
        if len(found) != 1:
            labels = list(dict.fromkeys(str(each.get("core:label")) for each in listed))[:20]
            raise RecordingError(
                f"{len(found)} of {len(listed)} annotations have the label {which!r}; "
                + (f"choose one by number: {found[:20]}" if found else f"there are {', '.join(labels)}")
            )
        return dict(listed[found[0]])
    if isinstance(which, bool) or not isinstance(which, int | np.integer) or not 0 <= which < len(listed):
        raise RecordingError(f"annotation {which!r} was asked for; there are 0 to {len(listed) - 1}, or their labels")
    return dict(listed[int(which)])


def annotation_times(x: xr.DataArray, annotation: Mapping[str, Any]) -> tuple[int, int]:
    """ns, by the clock of x, of the first sample that is marked, and of the first one after those."""
    own = clock_of(x)
    if TIMES in annotation:
        origin = _origin(x, own)
        begin, end = annotation[TIMES]
        return origin + int(begin), origin + int(end)
    if "core:sample_start" not in annotation:
        raise RecordingError(
            "an annotation without 'core:sample_start' was given; the row of its first sample is needed"
        )
    start = int(annotation["core:sample_start"])
    stop = start + int(annotation.get("core:sample_count", max(0, own.size - start)))
    if not 0 <= start < own.size:
        raise RecordingError(f"an annotation starts at row {start}; the recording has rows 0 to {own.size - 1}")
    stop = min(stop, own.size)
    begin = int(own.labels(start))
    return begin, int(own.labels(stop - 1)) + max(1, int(NANOSECONDS / own.row_rate)) if stop > start else begin


def _origin(x: xr.DataArray, own: SampleClock) -> int:
    """ns of the first sample of the file, of which x may be any part.

    The knots of a clock outlive slices and windows: each is where a stretch of the file began. Where x consists of
    wall-clock cells, and where several stretches could be meant, the start that the file states decides.
    """
    if not own.absolute:
        return 0
    segments = x.attrs.get("segments") or [{}]
    since = [int(each.get("nanoseconds", 0)) for each in segments]
    stated = segments[0].get("start")
    stated_ns = None if stated is None else int(pd.Timestamp(stated).tz_localize(None).as_unit("ns").value)
    if "count" in x.coords and stated_ns is not None:
        return stated_ns
    knots = own.time.tolist()
    possible = (
        [knots[0] - ns for ns in since if {knot - knots[0] + ns for knot in knots} <= set(since)] if knots else []
    )
    if stated_ns in possible and stated_ns is not None:
        return stated_ns
    if len(possible) == 1:
        return possible[0]
    raise RecordingError(
        "which part of its file this recording is cannot be told any more (it was cut, filled or joined): select the "
        "annotation before, from what ra.open_recording returns"
    )


def _edges(annotation: Mapping[str, Any], which: Any) -> tuple[float, float]:
    low, high = annotation.get(LOW), annotation.get(HIGH)
    known = all(isinstance(each, int | float) and math.isfinite(each) for each in (low, high))
    if low is None or high is None or not known or low > high:
        raise RecordingError(
            f"annotation {which!r} marks no band: {LOW!r} and {HIGH!r} are {low!r} and {high!r}; two numbers in Hz, "
            "the lower first, were expected"
        )
    return float(low), float(high)


def _bins(frequency: np.ndarray, low: float, high: float) -> slice:
    """Bins of an ascending axis within two edges; the nearest one where they lie between two."""
    first, stop = np.searchsorted(frequency, low, "left"), np.searchsorted(frequency, high, "right")
    if first < stop:
        return slice(int(first), int(stop))
    if high < frequency[0] or low > frequency[-1]:
        raise RecordingError(
            f"the band {low:g} to {high:g} Hz lies outside the spectra, {frequency[0]:g} to {frequency[-1]:g} Hz"
        )
    nearest = int(np.argmin(np.abs(frequency - (low + high) / 2)))
    return slice(nearest, nearest + 1)
