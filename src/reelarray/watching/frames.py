"""The numbers of one recording: spectra of its first frames, their averages, and the zoomed band."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..errors import RecordingError
from ..recordings import clock, describe
from ..signal.powers import to_watts
from ..signal.reduce import average
from ..signal.spectra import spectrogram
from .wanted import Wanted

log = logging.getLogger(__name__)

BLOCK = 2**20  # samples of one block of frames: 8 MiB of complex64
HELD = 2**25  # bytes of spectra that are kept in memory; of more, blocks are made again for each output
FEWEST = 4  # bins of a zoomed picture on either side of its centre


@dataclass(frozen=True)
class Frames:
    """Spectra of the first frames of a recording.

    `rows` (time, frequency) are |X|^2 of frames side by side, not scaled [V2] (one-sided ones of real samples are
    scaled as a spectrum); `averaged` are means of n_avg of them; `samples` are what they were made of.
    """

    samples: xr.DataArray
    rows: xr.DataArray
    averaged: xr.DataArray
    wanted: Wanted

    @classmethod
    def of(cls, x: xr.DataArray, wanted: Wanted) -> Frames:
        """The first frames of (time) [V], as many as are wanted and there.

        Raises
        ------
        RecordingError : not a single frame, or several channels
        """
        if x.dims != ("time",):
            raise RecordingError(
                f"dimensions {x.dims} were given; one channel was expected: choose one, channel = 0 in the table [open]"
            )
        samples = first_frames(x, wanted.lframes, wanted.nframes)
        rows = _rows(samples, wanted.lframes, wanted.lframes)
        if rows.chunks is not None and rows.size * rows.dtype.itemsize <= HELD:
            rows = _in_memory(rows)
        return cls(samples, rows, _averaged(rows, wanted), wanted)

    def power(self, rows: xr.DataArray) -> xr.DataArray:
        """Spectra as power, made block by block: a tone reads its power at its bin; W where samples are volts."""
        if "time" in rows.dims and rows.chunks is None:
            rows = rows.chunk(time=max(1, BLOCK // rows.sizes["frequency"]))
        return in_watts(rows, self.wanted.impedance)

    def zoomed(self) -> tuple[xr.DataArray, float, float]:
        """(power of the zoomed band, (time, frequency); its centre and half its width [Hz])."""
        center, half = zoom_band(self.samples, self.wanted)
        if self.wanted.zoom_nfft is None or self.samples.dtype.kind != "c":
            made = self.averaged
        else:
            from ..signal.zoom import zoom

            band = zoom(self.samples, center=center, span=2 * half)
            made = _averaged(_rows(band, self.wanted.zoom_nfft, self.wanted.zoom_nfft), self.wanted)
        frequency = made["frequency"].values
        width = float(frequency[1] - frequency[0]) if len(frequency) > 1 else 0.0
        inside = np.flatnonzero(np.abs(frequency - center) <= half + width / 2)
        if not inside.size:
            inside = np.argmin(np.abs(frequency - center), keepdims=True)
        return self.power(made.isel(frequency=slice(int(inside[0]), int(inside[-1]) + 1))), center, half

    def mean(self) -> xr.DataArray:
        """Mean power of all rows, (frequency)."""
        total = average(self.rows, max(1, self.rows.sizes["time"]), remainder="keep", dtype="float64").compute()
        weights = total["count"] if "count" in total.coords else xr.ones_like(total["time"], int)
        values = np.average(total.values, axis=0, weights=weights.values)
        return self.power(total.isel(time=0, drop=True).copy(data=values))


def whole(x: xr.DataArray, wanted: Wanted) -> xr.DataArray:
    """Averaged power of all frames of a recording, (time, frequency), lazy: made and averaged in one task."""
    return in_watts(_averaged(_rows(x, wanted.lframes, wanted.lframes), wanted), wanted.impedance)


def first_frames(x: xr.DataArray, length: int, most: int | None) -> xr.DataArray:
    """The samples of the first `most` frames side by side (None: of all), none of which spans a gap.

    Raises
    ------
    RecordingError : there is not one
    """
    own = clock(x)
    counts = np.cumsum((own.stops - own.first) // length)
    if not counts.size or not counts[-1]:
        longest = int((own.stops - own.first).max(initial=0))
        raise RecordingError(
            f"too short: {longest} samples without a gap are there, and a frame takes {length}; pass fewer, lframes="
        )
    if most is None or most >= counts[-1]:
        return x
    k = int(np.searchsorted(counts, most))
    before = int(counts[k - 1]) if k else 0
    return x.isel(time=slice(0, int(own.first[k]) + (most - before) * length))


def zoom_band(x: xr.DataArray, wanted: Wanted) -> tuple[float, float]:
    """(centre, half the width) of the zoomed band [Hz], as wide as wanted where the recorded band allows it.

    A centre outside the band becomes that of the recording, with a warning: old configurations hold any number there.
    """
    rate = float(clock(x).row_rate)
    middle = float(x.coords["center_frequency"]) if "center_frequency" in x.coords else 0.0
    low, high = (middle - rate / 2, middle + rate / 2) if x.dtype.kind == "c" else (0.0, rate / 2)
    given = wanted.zoom_center
    if given == 0:
        center = (low + high) / 2
    elif abs(given) <= rate / 2:
        center = middle + given
    else:
        center = given
    nearest = FEWEST * rate / wanted.lframes
    if not low + nearest <= center <= high - nearest:
        log.warning(
            "zoom_center = %g Hz lies outside the recorded band, %.10g to %.10g Hz: the centre of that is shown",
            given, low, high,
        )  # fmt: skip
        center = (low + high) / 2
    return center, min(wanted.zoom_span / 2, center - low, high - center)


def in_watts(rows: xr.DataArray, impedance: float) -> xr.DataArray:
    """Spectra as power, (time, frequency): [V2] -> [W]; what is not in volts stays a square."""
    if rows.attrs.get("scaling") == "raw":
        scaled = rows.copy(data=rows.data * rows.dtype.type(1 / float(rows.attrs["nfft"]) ** 2))
        rows = describe(scaled, long_name="power spectrum", scaling="spectrum")
    return to_watts(rows, impedance=impedance) if rows.attrs.get("units") == "V2" else rows


def _rows(x: xr.DataArray, length: int, hop: int) -> xr.DataArray:
    scaling: Any = "raw" if x.dtype.kind == "c" else "spectrum"
    block = max(1, BLOCK // length)
    return spectrogram(x, nfft=length, hop=hop, window="boxcar", scaling=scaling, block=block)


def _in_memory(rows: xr.DataArray) -> xr.DataArray:
    """The same rows, computed block by block into one array: never twice in memory."""
    out, row = np.empty(rows.shape, rows.dtype), 0
    for k in range(rows.data.numblocks[0]):
        block = rows.data.blocks[k].compute()
        out[row : row + len(block)] = block
        row += len(block)
    return rows.copy(data=out)


def _averaged(rows: xr.DataArray, wanted: Wanted) -> xr.DataArray:
    if wanted.n_avg == 1:
        return rows
    block = max(1, BLOCK // (rows.sizes["frequency"] * wanted.n_avg))
    made = average(rows, wanted.n_avg, remainder=wanted.partial, block=block)
    if not made.sizes["time"]:
        raise RecordingError(
            f"too short: {rows.sizes['time']} frames are there for averages of {wanted.n_avg}, and partial = 'drop' "
            "leaves none: set partial = 'keep', or a smaller n_avg"
        )
    return made


@dataclass(frozen=True)
class Peak:
    """The highest bin of a spectrum, and how wide what stands there is.

    `frequency` [Hz] is that of the top of a parabola through the logarithms of the bin and its neighbours, `power` that
    of the bin, `width` [Hz] the distance of the points where the power is half of that, on lines between bins; NaN
    where it does not fall so far inside the band.
    """

    frequency: float
    power: float
    width: float

    @classmethod
    def of(cls, spectrum: xr.DataArray) -> Peak:
        """The peak of (frequency) [W].

        >>> axis = {"frequency": [0.0, 1.0, 2.0, 3.0, 4.0]}
        >>> Peak.of(xr.DataArray([0.0, 2.0, 4.0, 2.0, 0.0], dims="frequency", coords=axis))
        Peak(frequency=2.0, power=4.0, width=2.0)
        """
        frequency, power = spectrum["frequency"].values.astype(np.float64), spectrum.values.astype(np.float64)
        if not np.isfinite(power).any():
            return cls(math.nan, math.nan, math.nan)
        k = int(np.nanargmax(power))
        step = float(frequency[1] - frequency[0]) if len(frequency) > 1 else 0.0
        shift = 0.0
        if 0 < k < len(power) - 1 and power[k - 1 : k + 2].min() > 0:
            a, b, c = np.log(power[k - 1 : k + 2])
            shift = 0.5 * (a - c) / (a - 2 * b + c) if a - 2 * b + c < 0 else 0.0
        low, high = _falls(power[k::-1]), _falls(power[k:])
        return cls(float(frequency[k] + shift * step), float(power[k]), float((low + high) * step))


def _falls(power: np.ndarray) -> float:
    """Bins from the first to where the power has fallen to half of it, on a line between two of them."""
    half = power[0] / 2
    below = np.flatnonzero(power <= half)
    if not below.size or not half > 0:
        return math.nan
    k = int(below[0])
    return k - 1 + (power[k - 1] - half) / (power[k - 1] - power[k])
