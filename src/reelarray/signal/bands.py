"""Bands of spectra: a part of the frequencies, and the power in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from ..decibels import is_decibel
from ..errors import RecordingError
from ..recordings import describe, one_number

ON_EDGE = 1e-6  # of a bin: frequencies are sums of floats
BATCH = 2**17  # values: a MiB of float64


@dataclass(frozen=True)
class Bins:
    """The bins of spectra: centres, and edges between which each lies, in Hz; `period` of two-sided ones, or 0."""

    centres: np.ndarray
    left: np.ndarray
    right: np.ndarray
    step: float
    period: float

    @classmethod
    def of(cls, x: xr.DataArray) -> Bins:
        """Bins a step wide. The first and last of a one-sided spectrum, 0 Hz and Nyquist, have but their inner half.

        A whole two-sided spectrum is periodic: the lowest bin of an even nfft is the highest as well.
        """
        centres = np.asarray(x["frequency"].values, np.float64)
        if len(centres) < 2:
            raise RecordingError(f"spectra of {len(centres)} frequencies were given; two at least were expected")
        step = float(centres[-1] - centres[0]) / (len(centres) - 1)
        if not step > 0 or (abs(np.diff(centres) - step) > 1e-3 * step).any():
            raise RecordingError(
                "frequencies that are not evenly spaced, ascending, were given; those of spectra were expected"
            )
        left, right = centres - step / 2, centres + step / 2
        nfft, one_sided = x.attrs.get("nfft"), x.attrs.get("sides", 1) == 1
        if one_sided and abs(centres[0]) < ON_EDGE * step:
            left[0] = centres[0]
        if one_sided and nfft and abs(centres[-1] - nfft / 2 * step) < ON_EDGE * step:
            right[-1] = centres[-1]
        return cls(centres, left, right, step, 0.0 if one_sided or len(centres) != nfft else nfft * step)

    def weights(self, low: float, high: float) -> np.ndarray:
        """The part of each bin that lies between two frequencies.

        Raises
        ------
        RecordingError : frequencies outside the bins
        """
        wraps = bool(self.period) and len(self.centres) % 2 == 0  # of an odd nfft the bins end where the period does
        room, top = ON_EDGE * self.step, self.right[-1] + (self.step / 2 if wraps else 0.0)
        if low < self.left[0] - room or high > top + room:
            raise RecordingError(
                f"{low:.12g} to {high:.12g} Hz were asked for; the spectra hold {self.left[0]:.12g} to {top:.12g} Hz"
            )
        if self.period and high - low > self.period + room:
            raise RecordingError(
                f"{low:.12g} to {high:.12g} Hz were asked for, more than the {self.period:.12g} Hz that the spectra "
                "repeat themselves after; a band of one period or less was expected"
            )
        wide = self.right - self.left
        weights = np.clip(np.minimum(self.right, high) - np.maximum(self.left, low), 0, None) / wide
        if wraps:
            weights[0] += max(0.0, high - max(low, self.left[0] + self.period)) / self.step
        return weights


def select_band(
    x: xr.DataArray,
    *,
    low: float | None = None,
    high: float | None = None,
    center: float | None = None,
    span: float | None = None,
) -> xr.DataArray:
    """The bins of a band: (..., frequency) [u] -> (..., frequency) [u].

    Those whose centre lies from `low` to `high`, both included, or within span / 2 of `center`. Frequencies stay what
    they are, absolute, and so do all other coordinates; nothing is computed again (`zoom` makes finer spectra).
    Average first: of a part of its frequencies a spectrogram is no longer averaged in the task that makes it.

    Parameters
    ----------
    x : spectra: an array with the dimension `frequency`
    low, high : Hz, absolute; one may be left out
    center, span : Hz, in place of these

    Raises
    ------
    RecordingError : no frequencies, edges that contradict each other, or a band without a bin

    >>> from reelarray import recording, spectrogram
    >>> s = spectrogram(recording(np.zeros(64, "c8"), rate=64, coords={"center_frequency": 1000.0}), nfft=64)
    >>> select_band(s, center=1010, span=4).frequency.values
    array([1008., 1009., 1010., 1011., 1012.])
    """
    x = check_spectra(x, levels=True)
    low, high = edges(low, high, center, span)
    frequencies = np.asarray(x["frequency"].values, np.float64)
    room = (
        ON_EDGE * float(abs(frequencies[-1] - frequencies[0])) / max(1, len(frequencies) - 1) if len(frequencies) else 0
    )
    inside = np.flatnonzero((frequencies >= low - room) & (frequencies <= high + room))
    if not len(inside):
        held = f"{frequencies[0]:.12g} to {frequencies[-1]:.12g} Hz" if len(frequencies) else "no frequencies"
        raise RecordingError(f"no bin lies from {low:.12g} to {high:.12g} Hz: the spectra hold {held}")
    return x.isel(frequency=slice(int(inside[0]), int(inside[-1]) + 1))


def channel_power(
    x: xr.DataArray,
    *,
    low: float | None = None,
    high: float | None = None,
    center: float | None = None,
    span: float | None = None,
) -> xr.DataArray:
    """Power in a band: (..., frequency) [u2 Hz-1 or u2, W Hz-1 or W] -> (...) [u2 or W].

    The integral of the density from `low` to `high`. A bin is as wide as the distance to the next, and counts by the
    part of it that lies in the band, so that adjacent bands add up; over all frequencies it is the mean square of what
    the window saw (Parseval). Spectra with scaling="spectrum" are divided by their noise bandwidth first.

    Parameters
    ----------
    x : spectra; lazy ones give a lazy result, block by block
    low, high : Hz, absolute; all frequencies on a side that is left out
    center, span : Hz, in place of these

    Raises
    ------
    RecordingError : a band beyond the spectra, levels in dB, spectra with scaling="raw"

    >>> from reelarray import recording, spectrogram
    >>> x = recording(np.exp(2j * np.pi * 8 * np.arange(64) / 64), rate=64, units="V")
    >>> channel_power(spectrogram(x, nfft=64), low=4, high=12).values.round(6)
    array([1.], dtype=float32)
    """
    x = check_spectra(x)
    bins, units = Bins.of(x), str(x.attrs.get("units", "1"))
    if low is None and high is None and center is None and span is None:
        low, high = float(bins.left[0]), float(bins.right[-1])
    low, high = edges(low, high, center, span)
    low, high = max(low, float(bins.left[0])) if low == -np.inf else low, high
    high = float(bins.right[-1]) if high == np.inf else high
    weights = bins.weights(low, high) * (bins.step / _noise_bandwidth(x, units))
    inside = np.flatnonzero(weights)
    first, last = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 1)
    kernel = partial(weighed, weights=weights[first:last], first=first)
    out = over_frequency(x, kernel, x.dtype, "channel_power")
    gone = dict.fromkeys(("standard_name", "noise_bandwidth", "scaling"))
    band = [float(low), float(high)]
    return describe(out, units=units.removesuffix("Hz-1").strip() or "1", long_name="channel power", band=band, **gone)


def weighed(rows: np.ndarray, *, weights: np.ndarray, first: int) -> np.ndarray:
    """(..., frequency) -> (...): the sum of weighed values, from bin `first` on, in float64."""
    values = rows[..., first : first + len(weights)] * weights
    return np.add.reduce(np.ascontiguousarray(values), axis=-1).astype(rows.dtype)


def _noise_bandwidth(x: xr.DataArray, units: str) -> float:
    """What makes densities of spectra: 1 Hz of those that are."""
    if units.endswith("Hz-1"):
        return 1.0
    found = x.attrs.get("noise_bandwidth")
    if x.attrs.get("scaling") != "spectrum" or not found:
        raise RecordingError(
            f"spectra in {units!r} with scaling={x.attrs.get('scaling')!r} were given; those of scaling='density', or "
            "'spectrum' with their noise_bandwidth, were expected"
        )
    return float(found)


# ---- what functions of spectra share ---------------------------------------------------------------------------------


def check_spectra(x: Any, *, levels: bool = False) -> xr.DataArray:
    """The same array, frequency last, once it is sure to be spectra; levels in dB only where they make sense."""
    if not isinstance(x, xr.DataArray) or "frequency" not in x.dims or "frequency" not in x.coords:
        given = f"dimensions {x.dims} were" if isinstance(x, xr.DataArray) else f"a {type(x).__name__} was"
        raise RecordingError(f"{given} given; spectra with their frequencies were expected: ra.spectrogram(x)")
    if levels:
        return x
    if x.dtype.kind != "f":
        raise RecordingError(f"values of dtype {x.dtype} were given; powers were expected, such as a spectrogram")
    if is_decibel(str(x.attrs.get("units", "1"))):
        raise RecordingError(f"levels in {x.attrs['units']} were given; powers were expected: take ra.to_decibel last")
    return x if x.dims[-1] == "frequency" else x.transpose(..., "frequency")


def edges(low: float | None, high: float | None, center: float | None, span: float | None) -> tuple[float, float]:
    """(low, high) in Hz of a band, told by its edges or by its centre and span."""
    low, high, center, span = map(one_number, (low, high, center, span))
    given = {"low": low, "high": high, "center": center, "span": span}
    known = {name: value for name, value in given.items() if value is not None}
    told = ", ".join(f"{name}={value!r}" for name, value in known.items()) or "nothing"
    for value in known.values():
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not np.isfinite(value):
            raise RecordingError(f"{told} was given; finite numbers of Hz were expected")
    if {*known} == {"center", "span"}:
        if not span > 0:  # type: ignore[operator]
            raise RecordingError(f"{told} was given; a span above 0 Hz was expected")
        return float(center) - float(span) / 2, float(center) + float(span) / 2  # type: ignore[arg-type]
    if not known or not {*known} <= {"low", "high"}:
        raise RecordingError(f"{told} was given; low= and high=, or center= and span=, in Hz, were expected")
    low, high = -np.inf if low is None else float(low), np.inf if high is None else float(high)
    if not low < high:
        raise RecordingError(f"{told} was given; low < high was expected")
    return low, high


def in_batches(rows: np.ndarray, *, kernel: Callable[[np.ndarray], np.ndarray], dtype: np.dtype) -> np.ndarray:
    """A kernel on some rows at a time, so that what it makes on the way stays in cache: (..., n) -> (...)."""
    if rows.ndim < 2:
        return np.asarray(kernel(rows), dtype)
    out = np.empty(rows.shape[:-1], dtype)
    some = max(1, BATCH // max(1, rows[0].size)) if len(rows) else 1
    for first in range(0, len(rows), some):
        out[first : first + some] = kernel(rows[first : first + some])
    return out


def over_frequency(x: xr.DataArray, kernel: Callable[..., np.ndarray], dtype: Any, name: str) -> xr.DataArray:
    """Apply a kernel to whole spectra, block by block: (..., frequency) -> (...), with all other coordinates."""
    kernel = partial(in_batches, kernel=kernel, dtype=np.dtype(dtype))
    if x.chunks is None:
        data = kernel(x.values)
    else:
        if x.data.numblocks[-1] > 1:
            raise RecordingError("chunks cut the frequencies: pass x.chunk(frequency=-1)")
        meta = np.empty((0,) * (x.ndim - 1), dtype)
        data = x.data.map_blocks(kernel, drop_axis=x.ndim - 1, meta=meta, token=name)
    return x.isel(frequency=0, drop=True).copy(deep=False, data=data).rename(name)
