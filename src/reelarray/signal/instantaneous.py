"""Power and frequency at each sample, and the complex envelope of real samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr

from ..errors import RecordingError
from ..lift import lift_filter, lift_windows
from ..recordings import check_recording, clock, describe
from ..windows import Windows
from .filters import LONGEST, Fir
from .reduce import after
from .spectrum import squared

# ---- kernels ---------------------------------------------------------------------------------------------------------


def squares(batch: np.ndarray, out: np.ndarray) -> None:
    """(windows, ..., 1) -> (windows, ...): re^2 + im^2."""
    samples = batch[..., 0]
    np.multiply(samples.real, samples.real, out=out)
    if samples.dtype.kind == "c":
        out += samples.imag * samples.imag


def turns(batch: np.ndarray, out: np.ndarray, *, rate: float, center: float) -> None:
    """(windows, ..., 2) complex -> (windows, ...) Hz: the phase from each sample to the next; NaN where one is zero."""
    turned = batch[..., 1] * batch[..., 0].conj()
    real, imaginary = np.ascontiguousarray(turned.real), np.ascontiguousarray(turned.imag)
    np.multiply(np.arctan2(imaginary, real), rate / (2 * np.pi), out=out)
    out += center
    out[turned == 0] = np.nan


@dataclass(frozen=True, eq=False)
class Hilbert:
    """Real samples, and their Hilbert transform as the imaginary part, by an odd number of taps."""

    fir: Fir

    def __call__(self, batch: np.ndarray, out: np.ndarray, number: int = 0) -> None:
        """(windows, ..., length) real -> (windows, ..., hop) complex."""
        delay, hop = len(self.fir.taps) // 2, out.shape[-1]
        imaginary = np.empty(out.shape, out.real.dtype)
        self.fir(batch, imaginary)
        out.real = batch[..., delay : delay + hop]
        out.imag = imaginary


# ---- public functions ------------------------------------------------------------------------------------------------


def instantaneous_power(x: xr.DataArray, *, block: int | None = None) -> xr.DataArray:
    """Square of each sample, of complex ones that of their magnitude: (time, ...) [u] -> (time, ...) [u2].

    The attribute `amplitude` says of what: "peak" of a complex envelope, "rms" of real samples, whose mean is their
    mean square. Averages, ``average(instantaneous_power(x), every="1ms")``, are made in the task that reads samples.

    Parameters
    ----------
    x : a recording
    block : rows of one block of the result

    Raises
    ------
    RecordingError : no recording: no DataArray, or none with a dimension `time` and its clock

    >>> from reelarray import recording
    >>> instantaneous_power(recording([3 + 4j, 1j], rate=1, units="V")).values
    array([25.,  1.])
    """
    x = check_recording(x)
    narrow = x.dtype == np.complex64 or (x.dtype.kind != "c" and np.result_type(x.dtype, np.float32) == np.float32)
    real = np.dtype("float32" if narrow else "float64")
    frames = real if x.dtype.kind != "c" else np.result_type(real, np.complex64)
    once = Windows(1, 1)
    out = lift_windows(
        squares, x, once, dtype=real, frames=frames, label_at="mean", block=block, name="instantaneous_power"
    )
    amplitude = "peak" if x.dtype.kind == "c" else "rms"
    units = squared(str(x.attrs.get("units", "1")))
    out = out.rename("instantaneous_power")
    return describe(out, units=units, long_name="power", standard_name=None, amplitude=amplitude)


def instantaneous_frequency(x: xr.DataArray, *, block: int | None = None) -> xr.DataArray:
    """Frequency between each two samples: (time, ...) complex -> (time, ...) [Hz], absolute, float64.

    The phase by which a sample is ahead of the one before it, in (-pi, pi], times rate / (2 pi), plus
    `center_frequency` (Boashash 1992, Proc. IEEE 80, 520, the forward finite difference). A stretch of N samples gives
    N - 1 values, in the middle between samples: none is made across a gap. NaN beside samples that are zero. Noise far
    from a tone moves it: filter first (`band_pass`, `zoom`), or average.

    Parameters
    ----------
    x : a recording of complex samples; `analytic` makes them of real ones
    block : rows of one block of the result

    Raises
    ------
    RecordingError : real samples

    >>> from reelarray import recording
    >>> x = recording(np.exp(2j * np.pi * np.arange(5) / 8), rate=8000, units="V", coords={"center_frequency": 1e6})
    >>> instantaneous_frequency(x).values.round(6)
    array([1001000., 1001000., 1001000., 1001000.])
    """
    x = check_recording(x)
    if x.dtype.kind != "c":
        raise RecordingError(
            f"samples of dtype {x.dtype} were given; complex ones were expected: ra.analytic(x) makes them of real ones"
        )
    center = float(x.coords["center_frequency"]) if "center_frequency" in x.coords else 0.0
    kernel = partial(turns, rate=float(clock(x).row_rate), center=center)
    out = lift_windows(
        kernel,
        x,
        Windows(2, 1),
        dtype=np.float64,
        frames=np.complex128,
        label_at="mean",
        block=block,
        name="instantaneous_frequency",
    )
    out = out.rename("instantaneous_frequency")
    return describe(out, units="Hz", long_name="instantaneous frequency", standard_name=None)


def analytic(
    x: xr.DataArray, *, transition: float | None = None, attenuation: float = 80.0, block: int | None = None
) -> xr.DataArray:
    """Real samples and their Hilbert transform: (time, ...) [u] real -> (time, ...) [u] complex.

    The real part is x itself, to the bit; the imaginary part comes from a linear-phase FIR filter, an ideal Hilbert
    transformer under a Kaiser window (Oppenheim & Schafer, section 12.4.2), whose delay is taken out. A tone of
    amplitude A becomes A exp(i w t). From `transition` to rate / 2 - transition the gain of the imaginary part is 1 to
    within 10^(-attenuation / 20), 0.001 dB at 80 dB, and what is left at negative frequencies is half of that or less;
    outside it falls to 0, at 0 Hz and at rate / 2. As in `high_pass` the first and last (taps - 1) / 2 samples of each
    stretch have no result.

    Parameters
    ----------
    x : a recording of real samples
    transition : Hz; a hundredth of the rate unless given; about rate * (attenuation - 1) / (28.7 * transition) taps
    attenuation : dB, 21 to 200
    block : rows of one block of the result

    Raises
    ------
    RecordingError : complex samples, a transition that does not fit the rate, or no stretch as long as the filter

    >>> from reelarray import recording
    >>> x = recording(np.cos(np.pi / 2 * np.arange(1000)), rate=1000, units="V")
    >>> abs(analytic(x)[:3]).values.round(4)
    array([1., 1., 1.])
    """
    x = check_recording(x, real=True)
    own = clock(x)
    fir = Fir.of(hilbert(float(own.row_rate), transition, attenuation))
    taps, longest = len(fir.taps), int((own.stops - own.first).max(initial=0))
    if own.size and longest < taps:
        raise RecordingError(
            f"the filter has {taps} taps ({taps / float(own.row_rate):g} s), and no stretch of the recording is that "
            f"long (the longest has {longest} samples): pass a wider transition=, or join files with tolerance="
        )
    narrow = x.dtype == np.float32 or x.dtype.itemsize <= 2
    dtype = np.complex64 if narrow else np.complex128
    out = lift_filter(Hilbert(fir), x, fir.windows, dtype=dtype, frames=np.float64, block=block, name="analytic")
    return describe(out, filter=after(x, "filter", f"analytic, {taps} taps, {attenuation!r} dB"))


def hilbert(rate: float, transition: float | None, attenuation: float) -> np.ndarray:
    """Taps of the Hilbert transformer: an odd number, antisymmetric, every second one 0."""
    from scipy.signal import kaiserord
    from scipy.signal.windows import kaiser

    width = rate / 100 if transition is None else transition
    if isinstance(width, bool) or not isinstance(width, int | float) or not 0 < width < rate / 4:
        raise RecordingError(
            f"transition={transition!r} was given; above 0 and below a quarter of the rate, {rate / 4:g}, was expected"
        )
    if not 21 <= attenuation <= 200:
        raise RecordingError(f"attenuation={attenuation!r} was given; 21 to 200 dB were expected")
    # A half-band filter, moved up by a quarter of the rate and doubled, with its ripple: 6 dB; and 1 dB to be sure.
    count, beta = kaiserord(attenuation + 7, min(1.0, 4 * width / rate))
    count |= 1
    if count > LONGEST:
        raise RecordingError(
            f"a transition of {width:g} Hz at {rate:g} samples a second takes {count:,} taps; at most {LONGEST:,} were "
            f"expected: pass transition={width * count / LONGEST:.3g} or more"
        )
    k = np.arange(count) - count // 2
    odd = k % 2 == 1
    ideal = np.zeros(count)
    ideal[odd] = 2 / (np.pi * k[odd])
    return ideal * kaiser(count, beta)
