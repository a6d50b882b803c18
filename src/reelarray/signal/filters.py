"""Linear-phase FIR filters: what passes is neither shifted nor smeared in time, and nothing is invented at the ends."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from scipy import fft

from ..errors import RecordingError
from ..lift import lift_filter
from ..recordings import check_recording, clock, describe
from ..windows import Pace, Windows
from .reduce import after

LONGEST = 2**18 + 1  # taps; blocks of more would no longer fit beside each other in memory

# ---- kernel ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Fir:
    """A convolution with `taps`, by FFTs of `length` samples: overlap-save (Oppenheim & Schafer, section 8.7)."""

    taps: np.ndarray
    length: int

    @classmethod
    def of(cls, taps: np.ndarray) -> Fir:
        """Blocks at least four times as long as the taps, so that at most a quarter of the work is overlap."""
        return cls(taps, 1 << max(12, (4 * len(taps) - 1).bit_length()))

    @property
    def windows(self) -> Windows:
        half = len(self.taps) // 2
        return Windows(self.length, self.length - 2 * half, Pace(first=half, after=half))

    @cached_property
    def response(self) -> np.ndarray:
        """Frequency response, from 0 to the Nyquist frequency."""
        return fft.rfft(self.taps, n=self.length)

    @cached_property
    def two_sided(self) -> np.ndarray:
        """Frequency response, in the order of an FFT of complex samples."""
        return fft.fft(self.taps, n=self.length)

    def __getstate__(self) -> dict[str, Any]:
        return {"taps": self.taps, "length": self.length}  # responses are made where they are used

    def __call__(self, batch: np.ndarray, out: np.ndarray, number: int = 0) -> None:
        """(windows, ..., length) -> (windows, ..., hop): NaN where a tap meets a sample that is not finite."""
        missing = None
        if not np.isfinite(batch).all():  # an FFT would spread it over the whole block
            missing = ~np.isfinite(batch)
            batch = np.where(missing, 0, batch)
        ahead = len(self.taps) - 1
        if batch.dtype.kind == "c":
            spectra = fft.fft(batch, axis=-1)
            spectra *= self.two_sided
            filtered = fft.ifft(spectra, axis=-1, overwrite_x=True)
        else:
            spectra = fft.rfft(batch, axis=-1)
            spectra *= self.response
            filtered = fft.irfft(spectra, n=self.length, axis=-1, overwrite_x=True)
        np.copyto(out, filtered[..., ahead:], casting="same_kind")
        if missing is not None:
            touched = np.cumsum(missing, axis=-1)
            touched[..., ahead + 1 :] -= touched[..., : -ahead - 1].copy()
            out[touched[..., ahead:] > 0] = np.nan


# ---- public functions ------------------------------------------------------------------------------------------------


def high_pass(
    x: xr.DataArray,
    *,
    cutoff: float,
    transition: float | None = None,
    attenuation: float = 80.0,
    block: int | None = None,
) -> xr.DataArray:
    """What lies above a frequency: (time, ...) [u] -> (time, ...) [u].

    A linear-phase FIR filter, designed with a Kaiser window (Kaiser 1974; Oppenheim & Schafer, section 7.5): all
    frequencies are delayed alike, and the delay is taken out, so that each sample keeps its own time. Nothing is
    padded or invented: the first and last (taps - 1) / 2 samples of each stretch, which would need samples from outside
    it, have no result and are left out; the clock shows it, and labels of the others stay. Files that follow each other
    without a gap are one stretch. Arithmetic is in float64; no chunking changes a bit of the result.

    Parameters
    ----------
    x : a recording; of complex samples, frequencies count from `center_frequency` to both sides
    cutoff : Hz; where the gain is 1/2 (-6 dB), in the middle of the transition
    transition : Hz, width between what passes and what does not; a narrower one takes longer filters, of about
        rate * (attenuation - 8) / (14.4 * transition) taps. Half the distance of `cutoff` to 0 or to the Nyquist
        frequency, whichever is nearer, unless given
    attenuation : dB, of what does not pass; ripples of what passes are as small
    block : rows of one block of the result

    Raises
    ------
    RecordingError : frequencies that do not fit the rate, or no stretch as long as the filter

    >>> from reelarray import recording
    >>> x = recording(np.ones(1000), rate=1000, units="V")
    >>> y = high_pass(x, cutoff=100)
    >>> y.attrs["filter"], y.sizes["time"], bool(abs(y).max() < 1e-4)
    ('high-pass 100 Hz, 103 taps, 80 dB', 898, True)
    """
    x = check_recording(x)
    return _filtered(x, "high-pass", [cutoff], transition, attenuation, block)


def low_pass(
    x: xr.DataArray,
    *,
    cutoff: float,
    transition: float | None = None,
    attenuation: float = 80.0,
    block: int | None = None,
) -> xr.DataArray:
    """What lies below a frequency: (time, ...) [u] -> (time, ...) [u]. Parameters and ends as for `high_pass`.

    >>> from reelarray import recording
    >>> x = recording(1 + np.cos(np.pi * np.arange(1000)), rate=1000, units="V")
    >>> low_pass(x, cutoff=100).values[:2].round(4)
    array([1., 1.])
    """
    x = check_recording(x)
    return _filtered(x, "low-pass", [cutoff], transition, attenuation, block)


def band_pass(
    x: xr.DataArray,
    *,
    low: float,
    high: float,
    transition: float | None = None,
    attenuation: float = 80.0,
    block: int | None = None,
) -> xr.DataArray:
    """What lies between two frequencies: (time, ...) [u] -> (time, ...) [u]. Parameters and ends as for `high_pass`.

    `low` and `high` (Hz) are where the gain is 1/2.

    >>> from reelarray import recording
    >>> x = recording(1 + np.cos(np.pi / 2 * np.arange(1000)), rate=1000, units="V")
    >>> band_pass(x, low=200, high=300).values[:2].round(4)  # 0 Hz is gone, 250 Hz is there
    array([0., 1.])
    """
    x = check_recording(x)
    return _filtered(x, "band-pass", [low, high], transition, attenuation, block)


def _filtered(
    x: xr.DataArray, kind: str, cutoffs: list[float], transition: float | None, attenuation: float, block: int | None
) -> xr.DataArray:
    fir = Fir.of(design(kind, float(clock(x).row_rate), cutoffs, transition, attenuation))
    taps, own = len(fir.taps), clock(x)
    longest = int((own.stops - own.first).max(initial=0))
    if own.size and longest < taps:
        raise RecordingError(
            f"the filter has {taps} taps ({taps / float(own.row_rate):g} s), and no stretch of the recording is that "
            f"long (the longest has {longest} samples): pass a wider transition=, or join files with tolerance="
        )
    narrow = "c8" if x.dtype == np.complex64 else "f4" if x.dtype.itemsize <= 2 else x.dtype
    dtype = narrow if x.dtype.kind in "fc" or x.dtype.itemsize <= 2 else np.float64
    frames = np.complex128 if x.dtype.kind == "c" else np.float64
    out = lift_filter(fir, x, fir.windows, dtype=dtype, frames=frames, block=block, name=kind.replace("-", "_"))
    band = " to ".join(map(_exact, cutoffs))
    return describe(out, filter=after(x, "filter", f"{kind} {band} Hz, {taps} taps, {_exact(attenuation)} dB"))


def _exact(value: float) -> str:
    """All digits: with them and the number of taps, which `transition` comes to, the filter can be made again."""
    return repr(float(value)).removesuffix(".0")


def design(
    kind: str, rate: float, cutoffs: list[float], transition: float | None = None, attenuation: float = 80.0
) -> np.ndarray:
    """Taps of a Kaiser-window filter: an odd number, symmetric, so that the delay is a whole number of samples."""
    from scipy.signal import firwin, kaiserord

    nyquist = rate / 2
    for cutoff in cutoffs:
        if isinstance(cutoff, bool) or not np.isreal(cutoff) or not 0 < cutoff < nyquist:
            raise RecordingError(
                f"a {kind} at {cutoff!r} Hz was asked for; at {rate:g} samples a second, a frequency between 0 and "
                f"{nyquist:g} Hz was expected"
            )
    if sorted(set(cutoffs)) != cutoffs:
        raise RecordingError(f"low={cutoffs[0]:g} and high={cutoffs[1]:g} were given; low < high was expected")
    if not 21 <= attenuation <= 200:  # below, no window is better than a rectangle; above, float64 ends
        raise RecordingError(f"attenuation={attenuation!r} was given; 21 to 200 dB were expected")
    edges = [0.0, *cutoffs, nyquist]
    room = 2 * min(cutoffs[0], nyquist - cutoffs[-1], *([np.diff(cutoffs)[0] / 2] if len(cutoffs) > 1 else []))
    width = min(np.diff(edges)) / 2 if transition is None else transition
    if not 0 < width <= room:
        raise RecordingError(
            f"transition={transition!r} was given; at this rate, above 0 and at most {room:g} Hz fit beside "
            f"{' and '.join(f'{f:g}' for f in cutoffs)} Hz"
        )
    count, beta = kaiserord(attenuation, width / nyquist)
    count |= 1
    if count > LONGEST:
        raise RecordingError(
            f"a transition of {width:g} Hz at {rate:g} samples a second takes {count:,} taps; at most {LONGEST:,} were "
            f"expected: pass transition={width * count / LONGEST:.3g} or more, or a lower rate"
        )
    passes = {"high-pass": "highpass", "low-pass": "lowpass", "band-pass": "bandpass"}[kind]
    return firwin(count, cutoffs, window=("kaiser", beta), pass_zero=passes, fs=rate)
