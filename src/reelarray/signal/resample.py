"""Recordings at another rate."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import xarray as xr

from ..errors import RecordingError
from ..exact import exact_rate
from ..recordings import check_recording, clock, describe
from .rates import LARGEST_RATIO, MARGIN, Conversion, check_attenuation, converted, precision
from .reduce import after


def resample(
    x: xr.DataArray,
    *,
    rate: Any,
    passband: float = 0.92,
    attenuation: float = 100.0,
    block: int | None = None,
) -> xr.DataArray:
    """The same signal at another rate: (time, ...) [u] -> (time, ...) [u].

    One linear-phase low-pass takes away what the lower of the two rates cannot carry: its response is flat to within
    10 ** (-attenuation / 20) up to `passband` times the lower Nyquist frequency, and `attenuation` dB down from that
    frequency on, so that nothing is aliased (a Kaiser-windowed sinc: Kaiser 1974; Harris 2004, chapter 3; rational
    changes of rate: Crochiere & Rabiner 1983, chapter 2). There is no delay: row m of a stretch stands exactly m / rate
    after its first sample, on the clock of the recording, whose drift it follows. Files that follow each other without
    a gap are one stretch; after a gap all begins anew. Nothing is padded or invented: rows that would need samples from
    outside their stretch have no result and are left out, about 7 / (1 - passband) periods of the lower rate at
    either end. No chunking changes a bit of the result.

    Arithmetic is in the precision of the samples (float32 for float32, complex64 and integers up to 16 bits, else
    float64), by FFTs on the grid of each stretch: rows may differ by what the filter takes away, `attenuation` dB below
    what there is, from those of a slice of the recording, whose stretches begin elsewhere.

    Parameters
    ----------
    x : a recording, real or complex (around its `center_frequency`, which stays), of any channels
    rate : rows a second of the result: an int, a Fraction, "48000/1.001"-like text, or a float; any ratio to that of x
        whose terms are no larger than 2**20
    passband : fraction of the lower Nyquist frequency that passes unchanged; more of it takes a longer filter
    attenuation : dB, of what does not pass
    block : rows of one block of the result

    Raises
    ------
    ClockError : a rate that is none
    RecordingError : a rate whose ratio has too large terms, or no stretch as long as the filter

    >>> from reelarray import rate, recording
    >>> x = recording(np.cos(2 * np.pi * 100 * np.arange(48000) / 48000), rate=48000, units="Pa")
    >>> y = resample(x, rate=44100)
    >>> rate(y), y.sizes["time"], y.attrs["resample"]
    (Fraction(44100, 1), 43920, '48000 to 44100 Hz, 92% passed, 100 dB')
    >>> first = y.time.values[0] / np.timedelta64(1, "s")
    >>> bool(abs(y[0] - np.cos(2 * np.pi * 100 * first)) < 1e-5)
    True
    """
    x = check_recording(x)
    wanted, own = exact_rate(rate), clock(x).row_rate
    if isinstance(passband, bool) or not np.isreal(passband) or not 0 < passband < 1:
        raise RecordingError(f"passband={passband!r} was given; a fraction between 0 and 1 was expected")
    attenuation = check_attenuation(attenuation)
    if wanted == own:  # nothing but the precision that any other rate would give
        return x.astype(precision(x.dtype)[x.dtype.kind == "c"], copy=False)
    ratio = wanted / own
    edge = float(min(ratio, Fraction(1))) / 2  # cycles a sample
    conversion = Conversion(
        ratio.numerator,
        ratio.denominator,
        passes=passband * edge,
        stops=edge,
        attenuation=attenuation + MARGIN,
        real=x.dtype.kind != "c",
    )
    advice = "pass a smaller passband="
    if max(ratio.numerator, ratio.denominator) > LARGEST_RATIO:
        advice = f"pass a rate close by, such as {_near(ratio) * own}"
    out = converted(x, conversion, block=block, name="resample", advice=advice)
    step = f"{_text(own)} to {_text(wanted)} Hz, {passband * 100:g}% passed, {attenuation:g} dB"
    # What a receiver passed, on either side of the centre, is no more than what the filter leaves of it.
    usable = float(passband * min(wanted, own))
    bands = {name: min(x.attrs[name], usable) for name in ("bandwidth", "span") if name in x.attrs}
    narrowed = bands if x.dtype.kind == "c" and wanted < own else {}
    return describe(out.rename(x.name), resample=after(x, "resample", step), **narrowed)


def _near(ratio: Fraction) -> Fraction:
    """A ratio close by with terms that are small enough."""
    return ratio.limit_denominator(max(1, int(LARGEST_RATIO / max(Fraction(1), ratio))))


def _text(rate: Fraction) -> str:
    return str(rate) if rate.denominator < 1000 else f"{float(rate):.12g}"
