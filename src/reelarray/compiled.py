"""Kernels compiled by Numba, with DUCC's FFT by rocket-fft: from samples as they are read straight to results.

Imported where a task needs it, never before: that takes a second. Compiled code is kept on disk between processes. None
of these functions holds the interpreter's lock, and each treats every window alike, wherever it stands.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import MissingPackage

try:
    from numba import njit
    from rocket_fft import c2c, r2c
except ImportError as error:
    raise MissingPackage(
        f"engine='numba' needs numba and rocket-fft ({error}); install them with: pip install 'reelarray[fast]', on "
        "every worker, or pass engine='scipy'"
    ) from error

_compile: Any = njit(nogil=True, cache=True, error_model="numpy")
_inside: Any = njit(nogil=True, cache=True, error_model="numpy", inline="never")

GROUP = 16  # complex frames that the FFT takes at once, at most; fewer it rounds otherwise at some lengths


@_inside
def _whole(count):  # type: ignore[no-untyped-def]
    """Frames of whole groups: those behind `count` hold what was there before, and are thrown away."""
    return -(-count // GROUP) * GROUP


@_inside
def _fill(samples, first, hop, factors, detrend, taper, frames, parts):  # type: ignore[no-untyped-def]
    """Samples (channels, n) -> frames (count, nfft): windows and their channels from number `first` on.

    Complex samples come as their parts in turn, and so do hop and taper; `parts` (count, 2 nfft) is the memory of the
    frames. For real ones it is the frames.
    """
    for k in range(parts.shape[0]):
        window, channel = divmod(first + k, samples.shape[0])
        start = window * hop
        _frame(samples[channel, start : start + taper.shape[0]], factors, detrend, taper, frames[k], parts[k])


@_inside
def _frame(samples, factors, detrend, taper, frame, parts):  # type: ignore[no-untyped-def]
    """Samples (length,) -> the first `length` of a frame: scaled step by step, detrended, tapered."""
    length = taper.shape[0]
    if factors.shape[0] == 0 and detrend == 0:
        for i in range(length):
            parts[i] = samples[i]
            parts[i] *= taper[i]
        return
    if factors.shape[0] == 1 and detrend == 0:
        factor = factors[0]
        for i in range(length):
            parts[i] = samples[i]
            parts[i] *= factor
            parts[i] *= taper[i]
        return
    for i in range(length):
        parts[i] = samples[i]
    for factor in factors:
        for i in range(length):
            parts[i] *= factor
    if detrend == 2:
        _remove_line(frame, length * frame.shape[0] // parts.shape[0])
    elif detrend == 1:
        _remove_mean(frame, length * frame.shape[0] // parts.shape[0])
    for i in range(length):
        parts[i] *= taper[i]


@_inside
def _remove_mean(frame, length):  # type: ignore[no-untyped-def]
    total = np.float64(0) * frame[0]
    for i in range(length):
        total += frame[i]
    mean = total / length
    for i in range(length):
        frame[i] -= mean


@_inside
def _remove_line(frame, length):  # type: ignore[no-untyped-def]
    middle, squares = (length - 1) / 2, np.float64(0)
    slope = np.float64(0) * frame[0]
    for i in range(length):
        slope += frame[i] * (i - middle)
        squares += (i - middle) ** 2
    slope /= max(1.0, squares)
    _remove_mean(frame, length)
    for i in range(length):
        frame[i] -= slope * (i - middle)


@_inside
def _squares(spectrum, row):  # type: ignore[no-untyped-def]
    """Spectrum (n,) -> row (n,): re^2 + im^2."""
    for i in range(row.shape[0]):
        real, imaginary = spectrum[i].real, spectrum[i].imag
        row[i] = real * real + imaginary * imaginary


@_compile
def powers(samples, first, hop, factors, detrend, taper, out, frames, parts, spectra):  # type: ignore[no-untyped-def]
    """Samples (channels, n), real -> out (windows, channels, frequency): one-sided power of doubled input."""
    channels, rows, bins = samples.shape[0], out.shape[0] * out.shape[1], out.shape[2]
    flat, axes, half = out.reshape(rows, bins), np.array([1]), taper.dtype.type(0.5)
    even = frames.shape[1] % 2 == 0
    for begin in range(0, rows, frames.shape[0]):
        count = min(frames.shape[0], rows - begin)
        _fill(samples, first * channels + begin, hop, factors, detrend, taper, frames[:count], parts[:count])
        r2c(frames[:count], spectra[:count], axes, True, 1.0, 1)
        for k in range(count):
            row = flat[begin + k]
            _squares(spectra[k], row)
            row[0] *= half
            if even:
                row[bins - 1] *= half


@_compile
def powers_two_sided(samples, first, hop, factors, detrend, taper, out, frames, parts, spectra):  # type: ignore[no-untyped-def]
    """Parts of complex samples (channels, 2 n) -> out (windows, channels, frequency), frequencies ascending."""
    channels, rows, bins = samples.shape[0], out.shape[0] * out.shape[1], out.shape[2]
    flat, axes, shift = out.reshape(rows, bins), np.array([1]), bins // 2
    for begin in range(0, rows, frames.shape[0]):
        count = min(frames.shape[0], rows - begin)
        _fill(samples, first * channels + begin, hop, factors, detrend, taper, frames[:count], parts[:count])
        c2c(frames[: _whole(count)], spectra[: _whole(count)], axes, True, 1.0, 1)
        for k in range(count):
            _squares(spectra[k, : bins - shift], flat[begin + k, shift:])
            _squares(spectra[k, bins - shift :], flat[begin + k, :shift])


@_compile
def amplitudes(samples, first, hop, factors, detrend, taper, out, frames, parts, spectra):  # type: ignore[no-untyped-def]
    """Samples (channels, n), real -> out (windows, channels, frequency), complex and one-sided."""
    channels, rows = samples.shape[0], out.shape[0] * out.shape[1]
    flat, axes = out.reshape(rows, out.shape[2]), np.array([1])
    for begin in range(0, rows, frames.shape[0]):
        count = min(frames.shape[0], rows - begin)
        _fill(samples, first * channels + begin, hop, factors, detrend, taper, frames[:count], parts[:count])
        r2c(frames[:count], flat[begin : begin + count], axes, True, 1.0, 1)


@_compile
def amplitudes_two_sided(samples, first, hop, factors, detrend, taper, out, frames, parts, spectra):  # type: ignore[no-untyped-def]
    """Parts of complex samples (channels, 2 n) -> out (windows, channels, frequency), complex, ascending."""
    channels, rows, bins = samples.shape[0], out.shape[0] * out.shape[1], out.shape[2]
    flat, axes, shift = out.reshape(rows, bins), np.array([1]), bins // 2
    for begin in range(0, rows, frames.shape[0]):
        count = min(frames.shape[0], rows - begin)
        _fill(samples, first * channels + begin, hop, factors, detrend, taper, frames[:count], parts[:count])
        c2c(frames[: _whole(count)], spectra[: _whole(count)], axes, True, 1.0, 1)
        for k in range(count):
            flat[begin + k, shift:] = spectra[k, : bins - shift]
            flat[begin + k, :shift] = spectra[k, bins - shift :]


@_compile
def add_rows(rows, total):  # type: ignore[no-untyped-def]
    """total (n,) += each of rows (count, n), one after the other."""
    for k in range(rows.shape[0]):
        row = rows[k]
        for i in range(total.shape[0]):
            total[i] += row[i]


@_compile
def count_codes(rows, shift, codes, counts):  # type: ignore[no-untyped-def]
    """counts (n, codes) += 1 at the code of each value of rows (count, n), by the leading bits of the value."""
    for k in range(rows.shape[0]):
        row = rows[k]
        for i in range(counts.shape[0]):
            counts[i, codes[row[i] >> shift]] += 1
