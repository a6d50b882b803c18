"""Spectra: short-time Fourier transform, power spectrogram, averaged power spectrum."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import numpy as np
import xarray as xr
from scipy import fft

from ..cells import Cells, Remainder, by_every
from ..clock import SampleClock
from ..errors import RecordingError
from ..lift import lift_reduce, lift_windows
from ..merging import wide
from ..recordings import check_recording, clock, describe
from ..windows import Windows
from .engines import CompiledSpectra, Engine, choose
from .reduce import MERGES, Kind, averaging, check_merge, of_cells
from .spectrum import Spectrum

Scaling = Literal["density", "spectrum", "raw"]

# ---- kernels ---------------------------------------------------------------------------------------------------------


def power_spectra(batch: np.ndarray, out: np.ndarray, *, nfft: int, doubled: bool = True) -> None:
    """(windows, ..., length) real -> (windows, ..., frequency): one-sided power of doubled input."""
    _add_squares(fft.rfft(batch, n=nfft, axis=-1, overwrite_x=True), out)
    if not doubled:
        return
    out[..., 0] *= 0.5
    if nfft % 2 == 0:
        out[..., -1] *= 0.5


def power_spectra_two_sided(batch: np.ndarray, out: np.ndarray, *, nfft: int) -> None:
    """(windows, ..., length) complex -> (windows, ..., frequency): two-sided power, frequencies ascending."""
    _add_squares(fft.fftshift(fft.fft(batch, n=nfft, axis=-1, overwrite_x=True), axes=-1), out)


def _add_squares(spectra: np.ndarray, out: np.ndarray) -> None:
    """out = re^2 + im^2, in the memory of the spectra."""
    parts = spectra.view(out.dtype)
    parts *= parts
    np.add(parts[..., ::2], parts[..., 1::2], out=out)


def complex_spectra(batch: np.ndarray, out: np.ndarray, *, nfft: int) -> None:
    """(windows, ..., length) -> (windows, ..., frequency): complex, one-sided of real frames, two-sided of complex."""
    if batch.dtype.kind == "c":
        np.copyto(out, fft.fftshift(fft.fft(batch, n=nfft, axis=-1, overwrite_x=True), axes=-1))
    else:
        np.copyto(out, fft.rfft(batch, n=nfft, axis=-1, overwrite_x=True))


def remove_mean(frames: np.ndarray) -> None:
    """Each frame less its mean, in place."""
    frames -= frames.mean(axis=-1, keepdims=True, dtype=wide(frames.dtype)).astype(frames.dtype)


def remove_line(frames: np.ndarray) -> None:
    """Each frame less its least-squares line, in place."""
    length = frames.shape[-1]
    ramp = np.arange(length) - (length - 1) / 2
    slope = (frames * ramp).sum(axis=-1, keepdims=True, dtype=wide(frames.dtype)) / max(1.0, float((ramp * ramp).sum()))
    remove_mean(frames)
    frames -= (slope * ramp).astype(frames.dtype)


_PREPARE = {False: None, None: None, "constant": remove_mean, "linear": remove_line}

# ---- settings --------------------------------------------------------------------------------------------------------


def check_fits(x: xr.DataArray, windows: Windows) -> SampleClock:
    """The clock of a recording, one stretch of which at least a window fits."""
    own = clock(x)
    longest = int((own.stops - own.first).max(initial=0))
    if own.size and longest < windows.length:
        raise RecordingError(
            f"a window of {windows.length} samples ({windows.length / float(own.row_rate):g} s) fits no stretch of the "
            f"recording (the longest has {longest}): use a shorter window, or join files with tolerance="
        )
    return own


def detrending(detrend: Any) -> Any:
    """What prepares frames, for the word that says so."""
    if isinstance(detrend, np.bool_):
        detrend = bool(detrend)
    if detrend is True or not isinstance(detrend, str | bool | None) or detrend not in _PREPARE:
        raise RecordingError(f"detrend={detrend!r} was given; False, 'constant' or 'linear' was expected")
    return _PREPARE[detrend]


def precision(x: xr.DataArray, dtype: Any) -> tuple[np.dtype, np.dtype]:
    """(real dtype of results, dtype of the frames)."""
    real = np.dtype(dtype)
    if real not in (np.float32, np.float64):
        raise RecordingError(f"dtype={dtype!r} was given; 'float32' or 'float64' was expected")
    if x.dtype.kind != "c":
        return real, real
    return real, np.dtype(np.complex64 if real == np.float32 else np.complex128)


# ---- transforms ------------------------------------------------------------------------------------------------------


def stft(
    x: xr.DataArray,
    *,
    nfft: int = 1024,
    hop: int | None = None,
    window: Any = "hann",
    window_length: int | None = None,
    scaling: Literal["density", "spectrum"] | None = "spectrum",
    detrend: Literal[False, "constant", "linear"] = False,
    dtype: Any = "float32",
    engine: Engine | None = None,
    block: int | None = None,
) -> xr.DataArray:
    """Short-time Fourier transform: (time, ...) [u] -> (time, ..., frequency), complex [u or u Hz-1/2].

    Each window begins a whole number of hops after the start of its stretch; none spans a gap, none is padded. `time`
    is the centre of the window. The phase is that of the window's first sample (`scipy.signal.ShortTimeFFT` with
    ``phase_shift=None``).

    Parameters
    ----------
    x : a recording
    nfft, hop, window_length : samples; `hop` is half a window unless given, windows shorter than nfft are zero-padded
    window : name for `scipy.signal.get_window` (periodic), (name, parameter), or an array of window_length values
    scaling : "spectrum" divides by the sum of the window (a tone of amplitude A has magnitude A / 2), "density" by
        (rate * sum(window^2))^0.5, None by nothing; no factor 2 for one-sided spectra of real recordings
    detrend : subtract from each window its mean ("constant") or its line ("linear")
    dtype : "float32" gives complex64, "float64" complex128
    engine : "scipy", or "numba" (extra `fast`), as for `spectrogram`
    block : rows of one block of the result

    Raises
    ------
    RecordingError : impossible parameters, or a window longer than every stretch

    >>> from reelarray import recording
    >>> x = recording(np.cos(2 * np.pi * 8 * np.arange(64) / 64), rate=64, units="V")
    >>> abs(stft(x, nfft=64, window="boxcar").sel(frequency=8).item()).__round__(6)
    0.5
    """
    x = check_recording(x)
    s = Spectrum.of(x, nfft, hop, window, window_length)
    check_fits(x, s.windows)
    real, frames = precision(x, dtype)
    engine = choose(engine)
    kernel, prepare = _kernel(s, detrend, engine, power=False)
    out = lift_windows(
        kernel,
        x,
        s.windows,
        dtype=np.complex64 if real == np.float32 else np.complex128,
        frames=frames,
        taper=s.scaled_taper(scaling, real, power=False),
        prepare=prepare,
        new_dims={"frequency": s.coordinate()},
        block=block,
        name="stft",
    )
    units = f"{s.units} Hz-0.5" if scaling == "density" else s.units
    long_name = "short-time Fourier transform"
    return describe(out.rename("stft"), units=units, long_name=long_name, **s.attrs(scaling, detrend, real, engine))


def spectrogram(
    x: xr.DataArray,
    *,
    nfft: int = 1024,
    hop: int | None = None,
    window: Any = "hann",
    window_length: int | None = None,
    scaling: Scaling = "density",
    detrend: Literal[False, "constant", "linear"] = False,
    dtype: Any = "float32",
    engine: Engine | None = None,
    block: int | None = None,
) -> xr.DataArray:
    """Power spectrogram: (time, ...) [u] -> (time, ..., frequency) [u2 Hz-1, or u2].

    One row a window, labelled at the window's centre. Windows begin a whole number of hops after the start of their
    stretch; none spans a gap, none is padded, and files that follow each other are one stretch. One-sided for real
    recordings (all bins but 0 Hz and Nyquist doubled), two-sided around `center_frequency` for complex ones.

    Parameters
    ----------
    x : a recording
    nfft, hop, window_length : samples; `hop` is half a window unless given, windows shorter than nfft are zero-padded
    window : name for `scipy.signal.get_window` (periodic), (name, parameter), or an array of window_length values
    scaling : "density", |X|^2 / (rate * sum(window^2)): the mean square of the signal is the sum over frequency times
        rate / nfft; or "spectrum", |X|^2 / sum(window)^2: a tone of amplitude A peaks at A^2 / 2
        (Heinzel, Ruediger, Schilling 2002, "Spectrum and spectral density estimation by the DFT", sections 9 and 10); a
        tone of complex samples, A exp(i w t), peaks at A^2. Or "raw", |X|^2 and no factor at all, not for one-sided
        spectra either: what some other programs give, for comparison with them (real samples always by SciPy)
    detrend : subtract from each window its mean ("constant") or its line ("linear")
    dtype : of the result and of all arithmetic: "float32" (from float64 1e-5 dB in bins to 20 dB below the peak of a
        spectrum, 1e-3 dB to 60 dB below) or "float64"
    engine : "scipy", or "numba": a compiled kernel, about 1.5 times as fast, from the extra `fast`. Unless given, the
        environment variable REELARRAY_ENGINE says, else the compiled one is used where it is installed. Both agree
        within float32 rounding, and each with itself to the bit, however the work is cut; the attribute `engine` tells
    block : rows of one block of the result

    Raises
    ------
    RecordingError : impossible parameters, or a window longer than every stretch

    The attribute `amplitude` says of what the powers are squares: "rms" amplitudes for real samples, "peak" ones, of
    the envelope, for complex samples; `noise_bandwidth` (Hz) is that of the window.

    >>> from reelarray import recording
    >>> x = recording(np.cos(2 * np.pi * 8 * np.arange(64) / 64), rate=64, units="V")
    >>> spectrogram(x, nfft=32, scaling="spectrum").sel(frequency=8).values.round(6)
    array([0.5, 0.5, 0.5], dtype=float32)
    """
    x = check_recording(x)
    s = Spectrum.of(x, nfft, hop, window, window_length)
    check_fits(x, s.windows)
    return _powers(x, s, scaling, detrend, dtype, engine, block, name="spectrogram")


def power_spectrum(
    x: xr.DataArray,
    *,
    every: Any = None,
    nfft: int = 1024,
    hop: int | None = None,
    window: Any = "hann",
    window_length: int | None = None,
    scaling: Scaling = "density",
    detrend: Literal[False, "constant", "linear"] = False,
    average: Kind = "mean",
    remainder: Remainder = "drop",
    min_fraction: float = 0.0,
    dtype: Any = "float32",
    engine: Engine | None = None,
    block: int | None = None,
) -> xr.DataArray:
    """Averaged power spectrum, Welch's method: (time, ...) [u] -> ([time, ]..., frequency) [u2 Hz-1, or u2].

    The windows are those of `spectrogram`; their powers are averaged in the task that makes them, so that the
    spectrogram is never stored. Equal to ``average(spectrogram(x, ...), every=...)`` to the bit.

    Parameters
    ----------
    every : a span such as "60s": one spectrum for each wall-clock bin; or a number: one for each so many windows, as in
        `average`; without it, one spectrum of everything, without `time`, with scalar coordinates `count` (windows) and
        `effort` (s)
    average : "mean"; "median" over the bias of a median (Allen et al. 2012), which a few loud windows cannot move;
        "max" or "min", bin by bin
    remainder : "drop" or "keep" windows left over at the end of a stretch, where `every` is a number, as in `average`
    min_fraction : leave out bins with less than this fraction of their span in real samples
    others : as for `spectrogram`; SciPy's `welch` has detrend="constant" by default, this function subtracts nothing
        unless told

    Raises
    ------
    RecordingError : impossible parameters, a window longer than every stretch, or a median of over 2 GiB of spectra

    >>> from reelarray import recording
    >>> x = recording(np.tile([1.0, -1.0], 512), rate=1024, units="V")
    >>> power_spectrum(x, nfft=64, scaling="spectrum").sel(frequency=512).values.round(6)
    np.float32(1.0)
    """
    x = check_recording(x)
    s = Spectrum.of(x, nfft, hop, window, window_length)
    own = check_fits(x, s.windows)
    check_merge("average", average)
    cells = by_every(own.windows(s.window_length, s.hop), every, min_fraction, remainder)
    out = _powers(x, s, scaling, detrend, dtype, engine, block, name="power_spectrum", cells=cells, merge=average)
    return of_cells(out, cells, every, averaging(average, every, min_fraction, remainder), remainder)


def _powers(
    x: xr.DataArray,
    s: Spectrum,
    scaling: str,
    detrend: Any,
    dtype: Any,
    engine: Engine | None,
    block: int | None,
    *,
    name: str,
    cells: Cells | None = None,
    merge: str = "mean",
) -> xr.DataArray:
    real, frames = precision(x, dtype)
    engine = choose(engine)
    if scaling == "raw" and not s.two_sided:
        engine = "scipy"  # compiled kernels halve bins that have no mirror image
    kernel, prepare = _kernel(s, detrend, engine, power=True, doubled=scaling != "raw")
    how = {
        "dtype": real,
        "frames": frames,
        "taper": s.scaled_taper(scaling, real, power=True),
        "prepare": prepare,
        "new_dims": {"frequency": s.coordinate()},
        "block": block,
        "name": name,
    }
    if cells is None:
        out = lift_windows(kernel, x, s.windows, **how)
    else:
        out = lift_reduce(kernel, x, s.windows, MERGES[merge], cells, **how)
    own = {**s.power_attrs(scaling), "noise_bandwidth": s.noise_bandwidth()}
    return describe(out.rename(name), **own, **s.attrs(scaling, detrend, real, engine))


def _kernel(s: Spectrum, detrend: Any, engine: Engine, *, power: bool, doubled: bool = True) -> tuple[Any, Any]:
    """(kernel, what prepares its frames) of an engine."""
    prepare = detrending(detrend)
    if engine == "numba":
        return CompiledSpectra(s.nfft, power, s.two_sided, str(detrend) if prepare else False), None
    if not power:
        return partial(complex_spectra, nfft=s.nfft), prepare
    if s.two_sided:
        return partial(power_spectra_two_sided, nfft=s.nfft), prepare
    return partial(power_spectra, nfft=s.nfft, doubled=doubled), prepare
