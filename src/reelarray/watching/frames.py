"""The numbers of one recording: spectra of its first frames, their averages, and the zoomed band."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from ..errors import RecordingError
from ..recordings import clock, describe
from ..signal.powers import to_watts
from ..signal.reduce import average
from ..signal.spectra import spectrogram
from .wanted import Wanted

BLOCK = 2**20  # samples of one block of frames: 8 MiB of complex64
HELD = 2**25  # bytes of spectra that are kept in memory; of more, blocks are made again for each output
FEWEST = 4  # bins of a zoomed picture on either side of its centre
MOST_RISE = 10**0.15  # of a peak over its bin: a tone half way between two bins loses 1.42 dB through a Hann window


@dataclass(frozen=True)
class Frames:
    """Spectra of the first frames of a recording, which lie side by side.

    `rows` (time, frequency) are powers of frames through a window [V2]: a tone reads its power at its bin. Those of
    complex samples through "boxcar" are |X|^2, not scaled. `averaged` are means of n_avg of them; `samples` are what
    they were made of.
    """

    samples: xr.DataArray
    rows: xr.DataArray
    averaged: xr.DataArray
    wanted: Wanted

    @classmethod
    def of(cls, x: xr.DataArray, wanted: Wanted, window: str | None = None) -> Frames:
        """The first frames of (time) [V], as many as are wanted and there; `window` is the wanted one unless given.

        Raises
        ------
        RecordingError : not a single frame, or several channels
        """
        if x.dims != ("time",):
            raise RecordingError(
                f"dimensions {x.dims} were given; one channel was expected: choose one, channel = 0 in the table [open]"
            )
        samples = first_frames(x, wanted.lframes, wanted.nframes)
        rows = _rows(samples, wanted.lframes, window or wanted.window)
        return cls(samples, rows, _averaged(rows, wanted), wanted)

    def held(self) -> Frames:
        """The same in memory, where that is little; else blocks are made again for each use."""
        if self.rows.chunks is None or self.rows.size * self.rows.dtype.itemsize > HELD:
            return self
        rows = _in_memory(self.rows)
        return replace(self, rows=rows, averaged=_averaged(rows, self.wanted))

    def power(self, rows: xr.DataArray) -> xr.DataArray:
        """Spectra as power, made block by block: a tone reads its power at its bin; W where samples are volts."""
        if "time" in rows.dims and rows.chunks is None:
            rows = rows.chunk(time=max(1, BLOCK // rows.sizes["frequency"]))
        return in_watts(rows, self.wanted.impedance)

    def zoomed(self) -> tuple[xr.DataArray, ZoomBand]:
        """Power of the zoomed band, (time, frequency), and which that is."""
        band = zoom_band(self.samples, self.wanted)
        center, half = band.center, band.half
        if self.wanted.zoom_nfft is None or self.samples.dtype.kind != "c":
            made = self.averaged
        else:
            from ..signal.zoom import zoom

            moved = zoom(self.samples, center=center, span=2 * half)
            made = _averaged(_rows(moved, self.wanted.zoom_nfft, self.wanted.window), self.wanted)
        frequency = made["frequency"].values
        width = float(frequency[1] - frequency[0]) if len(frequency) > 1 else 0.0
        inside = np.flatnonzero(np.abs(frequency - center) <= half + width / 2)
        if not inside.size:
            inside = np.argmin(np.abs(frequency - center), keepdims=True)
        return self.power(made.isel(frequency=slice(int(inside[0]), int(inside[-1]) + 1))), band

    def mean(self) -> xr.DataArray:
        """Mean power of all rows, (frequency), summed row after row in float64."""
        total = np.zeros(self.rows.sizes["frequency"])
        for block in _blocks(self.rows):
            for row in block:
                total += row
        return self.power(self.rows.isel(time=0, drop=True).copy(data=total / self.rows.sizes["time"]))


def whole(x: xr.DataArray, wanted: Wanted) -> xr.DataArray:
    """Averaged power of all frames of a recording, (time, frequency), lazy: made and averaged in one task."""
    return in_watts(_averaged(_rows(x, wanted.lframes, wanted.window), wanted), wanted.impedance)


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


@dataclass(frozen=True)
class ZoomBand:
    """`center` and `half` the width of a zoomed band [Hz]; `wrong` says why it is not where it was asked for."""

    center: float
    half: float
    wrong: str = ""


def zoom_band(x: xr.DataArray, wanted: Wanted) -> ZoomBand:
    """The zoomed band, as wide as wanted where the recorded band allows it.

    A centre outside the band, or with hardly a bin between it and the edge, becomes that of the recording: old
    configurations hold any number there.
    """
    rate = float(clock(x).row_rate)
    middle = float(x.coords["center_frequency"]) if "center_frequency" in x.coords else 0.0
    low, high = (middle - rate / 2, middle + rate / 2) if x.dtype.kind == "c" else (0.0, rate / 2)
    given, wrong = wanted.zoom_center, ""
    center = (low + high) / 2 if given == 0 else middle + given if abs(given) <= rate / 2 else given
    recorded = f"the recorded band, {low:.10g} to {high:.10g} Hz"
    if not low <= center <= high:
        wrong = f"lies outside {recorded}: the centre of that is shown"
    elif given and min(center - low, high - center) < FEWEST * rate / wanted.lframes:
        wrong = (
            f"lies less than {FEWEST} bins of {rate / wanted.lframes:.4g} Hz from an edge of {recorded}: the centre of "
            "that is shown; more samples a frame (lframes) make narrower bins"
        )
    if wrong:
        center = (low + high) / 2
    return ZoomBand(center, min(wanted.zoom_span / 2, center - low, high - center), wrong)


def in_watts(rows: xr.DataArray, impedance: float) -> xr.DataArray:
    """Spectra as power, (time, frequency): [V2] -> [W]; what is not in volts stays a square."""
    if rows.attrs.get("scaling") == "raw":
        scaled = rows.copy(data=rows.data * rows.dtype.type(1 / float(rows.attrs["nfft"]) ** 2))
        rows = describe(scaled, long_name="power spectrum", scaling="spectrum")
    return to_watts(rows, impedance=impedance) if rows.attrs.get("units") == "V2" else rows


def _rows(x: xr.DataArray, length: int, window: str) -> xr.DataArray:
    scaling: Any = "raw" if x.dtype.kind == "c" and window == "boxcar" else "spectrum"
    block = max(1, BLOCK // length)
    return spectrogram(x, nfft=length, hop=length, window=window, scaling=scaling, block=block)


def _in_memory(rows: xr.DataArray) -> xr.DataArray:
    """The same rows, computed block by block into one array: never twice in memory."""
    out, row = np.empty(rows.shape, rows.dtype), 0
    for block in _blocks(rows):
        out[row : row + len(block)] = block
        row += len(block)
    return rows.copy(data=out)


def _blocks(rows: xr.DataArray) -> Iterator[np.ndarray]:
    """What is in memory, or block after block of what is not: never more than one."""
    if rows.chunks is None:
        yield rows.values
        return
    for k in range(rows.data.numblocks[0]):
        yield rows.data.blocks[k].compute()


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
    """The highest peak of a spectrum, and how wide what stands there is.

    `frequency` [Hz] and `power` are those of the top of a parabola through the logarithms of the highest bin and its
    neighbours: of a tone through a Hann window within a fiftieth of a bin and 0.3 dB, wherever it lies between bins
    (Gasior and Gonzalez 2004, "Improving FFT frequency measurement resolution by parabolic and Gaussian spectrum
    interpolation"). `width` [Hz] is the distance of the points where the power is half of that, on lines between bins;
    that of a tone is a bin and a half through a Hann window. NaN where it does not fall so far inside the band.
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
        shift, rise = 0.0, 1.0
        if 0 < k < len(power) - 1 and power[k - 1 : k + 2].min() > 0:
            a, b, c = np.log(power[k - 1 : k + 2])
            shift = 0.5 * (a - c) / (a - 2 * b + c) if a - 2 * b + c < 0 else 0.0
            rise = min(math.exp((c - a) * shift / 4), MOST_RISE)
        top = float(power[k]) * rise
        low, high = _falls(power[k::-1], top / 2), _falls(power[k:], top / 2)
        return cls(float(frequency[k] + shift * step), top, float((low + high) * step))


def _falls(power: np.ndarray, half: float) -> float:
    """Bins from the first to where the power has fallen to `half`, on a line between two of them."""
    below = np.flatnonzero(power <= half)
    if not below.size or not half > 0:
        return math.nan
    k = int(below[0])
    return k - 1 + (power[k - 1] - half) / (power[k - 1] - power[k])
