"""A band of a recording as a recording of its own: complex samples around a new centre, at a lower rate."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import xarray as xr

from ..errors import RecordingError
from ..recordings import check_no_pairs, check_recording, clock, describe, one_number
from .rates import MARGIN, Conversion, check_attenuation, converted
from .reduce import after

OVERSAMPLED = Fraction(5, 4)  # the new rate is this many times the span, at least: room for the filter to fall
CLIPPED = Fraction(9, 10)  # of what was recorded of a band that passes where the rest was not
ATTENUATION = 90.0  # dB
ROUNDING = Fraction(1, 10**12)  # of numbers that name an edge, or a ratio, exactly but for their last digit


def zoom(
    x: xr.DataArray,
    *,
    center: float,
    span: float,
    offset: bool = False,
    clip: bool = False,
    attenuation: float = ATTENUATION,
    block: int | None = None,
) -> xr.DataArray:
    """A band of complex samples around a new centre, at a lower rate: (time, ...) [u] -> (time, ...) [u].

    The samples are mixed with exp(-2 pi i f0 n / rate), with n counted from the first sample of each stretch and f0 the
    new centre less the old one; low-passed with a linear-phase filter (a Kaiser-windowed sinc) that is flat to within
    0.001 dB over `span`; and of every D samples one is kept, D = floor(rate / (1.25 span)), 1 at least (Crochiere &
    Rabiner 1983, chapter 2; Harris 2004, chapter 6). So a spectrogram of the result resolves D times as much with the
    same `nfft`. What lies further than rate / D - span / 2 from the new centre is `attenuation` dB down; what lies
    between there and the span is neither kept nor gone. Where D is 1 there is nothing to filter: samples are mixed, and
    that is all.

    There is no delay: row m of a stretch stands at m D / rate after its first sample, exactly. Phases are reduced in
    whole numbers before they become floats: that of sample 2**40 is as good as that of the first. Files that follow
    each other without a gap are one stretch; after a gap all begins anew. Nothing is padded or invented: rows that
    would need samples from outside their stretch have no result and are left out, about 16 at either end; the clock
    shows it. No chunking changes a bit of the result. Arithmetic is in the precision of the samples, by FFTs on the
    grid of each stretch: rows of a slice, whose stretches begin elsewhere, may differ by as little as what the filter
    leaves of the rest.

    Parameters
    ----------
    x : a recording of complex samples around its `center_frequency` (0 Hz where it has none)
    center : Hz, the new `center_frequency`: any number, not only that of a bin
    span : Hz, what is kept: center - span / 2 to center + span / 2
    offset : `center` counts from the centre of x instead
    clip : a band that leaves the recorded one is an error unless this is True. Then the rest is empty: the filter falls
        inside the recorded edge (over the last twentieth of what was recorded of the band, at both of its ends), so
        that nothing from the other end of the spectrum appears there
    attenuation : dB, of what does not pass
    block : rows of one block of the result

    Raises
    ------
    RecordingError : real samples, a band that was not recorded, or no stretch as long as the filter

    >>> from reelarray import rate, recording
    >>> tone = np.exp(2j * np.pi * 1234.5 * np.arange(50_000) / 100_000)
    >>> x = recording(tone, rate=100_000, units="V", coords={"center_frequency": 1e6})
    >>> y = zoom(x, center=1_001_234.5, span=1000)
    >>> rate(y), float(y.center_frequency), bool(abs(y - 1).max() < 1e-5)
    (Fraction(1250, 1), 1001234.5, True)
    """
    x = check_no_pairs(check_recording(x))
    if x.dtype.kind != "c":
        raise RecordingError(
            f"samples of dtype {x.dtype} were given; complex ones were expected: ra.baseband makes them of real ones"
        )
    before = Fraction(float(x.coords["center_frequency"])) if "center_frequency" in x.coords else Fraction(0)
    asked, width = _hertz(center, "center"), _positive(span, "span")
    shift = asked if offset else asked - before
    rate = clock(x).row_rate
    inside = abs(shift) + width / 2 <= rate / 2 * (1 + ROUNDING)
    if not inside and not clip:
        raise RecordingError(
            f"{_text(width)} Hz around {_text(shift + before)} Hz were asked for; {_text(before - rate / 2)} to "
            f"{_text(before + rate / 2)} Hz were recorded: pass a band inside them, or clip=True for an empty rest"
        )
    factor = _factor(rate, width)
    passes, stops, middle = width / 2, rate / factor - width / 2, shift
    if not inside:
        low, high = max(shift - width / 2, -rate / 2), min(shift + width / 2, rate / 2)
        if low >= high:
            raise RecordingError(
                f"nothing of {_text(width)} Hz around {_text(shift + before)} Hz was recorded; a band that reaches "
                f"into {_text(before - rate / 2)} to {_text(before + rate / 2)} Hz was expected"
            )
        stops, middle = (high - low) / 2, (high + low) / 2
        passes = CLIPPED * stops
    out = _band(
        x, factor, shift, middle, passes, stops if factor > 1 or not inside else None, attenuation, block, "zoom"
    )
    return _described(out, x, shift + before, width, "zoom", factor, attenuation)


def baseband(
    x: xr.DataArray,
    *,
    intermediate_frequency: float | None = None,
    bandwidth: float | None = None,
    radio_frequency: float | None = None,
    attenuation: float = ATTENUATION,
    block: int | None = None,
) -> xr.DataArray:
    """Complex samples of what real ones carry around a frequency: (time, ...) [u] -> (time, ...) [u], complex.

    I + jQ = 2 LPF(v exp(-2 pi i f n / rate)) with f the `intermediate_frequency`, decimated by D = floor(rate / (1.25
    bandwidth)), 1 at least: a carrier of peak value A becomes a phasor of magnitude A, and cos(2 pi f t) becomes 1.
    The filter is flat over `bandwidth`, and `attenuation` dB down at 0 Hz, at half the rate and where the new rate
    would alias. Times, ends of stretches, phases and arithmetic are those of `zoom`.

    Parameters
    ----------
    x : a recording of real samples, of a receiver or of anything else
    intermediate_frequency : Hz, what becomes 0 Hz; stated by the file (such as .r3f) unless given
    bandwidth : Hz, what is kept around it; stated by the file unless given
    radio_frequency : Hz, what the intermediate frequency stands for, the `center_frequency` of the result; stated by
        the file unless given (also as the coordinate `center_frequency`), else the intermediate frequency itself
    attenuation : dB, of what does not pass
    block : rows of one block of the result

    Raises
    ------
    RecordingError : complex samples, numbers that neither the file nor the call gives, a band that reaches 0 Hz or half
        the rate, or no stretch as long as the filter

    >>> from reelarray import rate, recording
    >>> x = recording(3 * np.cos(2 * np.pi * 0.25 * np.arange(2000)), rate=1000, units="V")
    >>> y = baseband(x, intermediate_frequency=250, bandwidth=100, radio_frequency=1e9)
    >>> rate(y), float(y.center_frequency), bool(abs(y - 3).max() < 1e-4)
    (Fraction(125, 1), 1000000000.0, True)
    """
    x = check_recording(x)
    if x.dtype.kind == "c":
        raise RecordingError(
            f"samples of dtype {x.dtype} were given; real ones were expected: ra.zoom takes a band of complex ones"
        )
    middle = _positive(_stated(x, "intermediate_frequency", intermediate_frequency), "intermediate_frequency")
    width = _positive(_stated(x, "bandwidth", bandwidth), "bandwidth")
    coordinate = x.coords["center_frequency"].item() if "center_frequency" in x.coords else float(middle)
    center = _hertz(_stated(x, "radio_frequency", radio_frequency, coordinate), "radio_frequency")
    rate = clock(x).row_rate
    room = min(middle, rate / 2 - middle)  # to 0 Hz and to half the rate, behind which the same comes mirrored
    if width / 2 >= room:
        raise RecordingError(
            f"{_text(width)} Hz around {_text(middle)} Hz were asked for; a band between 0 Hz and half the rate, "
            f"{_text(rate / 2)} Hz, was expected: pass a smaller bandwidth="
        )
    factor = _factor(rate, width)
    stops = min(rate / factor - width / 2, room)
    out = _band(x, factor, middle, middle, width / 2, stops, attenuation, block, "baseband", gain=2.0)
    return _described(out, x, center, width, "baseband", factor, attenuation)


# ---- what they share -------------------------------------------------------------------------------------------------


def _band(
    x: xr.DataArray,
    factor: int,
    shift: Fraction,
    middle: Fraction,
    passes: Fraction,
    stops: Fraction | None,
    attenuation: float,
    block: int | None,
    name: str,
    gain: float = 1.0,
) -> xr.DataArray:
    """One of `factor` samples of what lies around `middle`, with `shift` at 0 Hz; all frequencies are in Hz."""
    rate = clock(x).row_rate
    conversion = Conversion(
        up=1,
        down=factor,
        passes=math.inf if stops is None else float(passes / rate),
        stops=math.inf if stops is None else float(stops / rate),
        attenuation=check_attenuation(attenuation) + MARGIN,
        shift=shift / rate,
        middle=middle / rate,
        gain=gain,
    )
    return converted(x, conversion, block=block, name=name, advice="pass a wider band")


def _described(
    out: xr.DataArray, x: xr.DataArray, center: Fraction, width: Fraction, name: str, factor: int, attenuation: float
) -> xr.DataArray:
    old = x.coords["center_frequency"].attrs if "center_frequency" in x.coords else {"units": "Hz"}
    out = out.assign_coords(center_frequency=((), float(center), old)).rename(x.name)
    stated = {"span": float(width), **({"bandwidth": float(width)} if "bandwidth" in x.attrs else {})}
    step = f"{_text(width)} Hz around {_text(center)} Hz, 1 of {factor} samples, {float(attenuation):g} dB"
    return describe(out, **stated, **{name: after(x, name, step)})


def _factor(rate: Fraction, width: Fraction) -> int:
    """The largest whole number of samples that leaves room for the filter."""
    return max(1, math.floor(rate / (OVERSAMPLED * width) * (1 + ROUNDING)))


def _stated(x: xr.DataArray, name: str, given: float | None, otherwise: float | None = None) -> Any:
    """A number that is given, or that the file states."""
    metadata = x.attrs.get("metadata")
    stated = x.attrs.get(name, metadata.get(name) if isinstance(metadata, dict) else None)
    found = next((value for value in (given, stated, otherwise) if value is not None), None)
    if found is None:
        raise RecordingError(f"neither the recording nor the call says its {name}: pass {name}= (Hz)")
    return found


def _hertz(value: Any, name: str) -> Fraction:
    value = one_number(value)
    number = isinstance(value, int | float | Fraction | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not math.isfinite(value):
        raise RecordingError(f"{name}={value!r} was given; a number of hertz was expected")
    return Fraction(value) if isinstance(value, int | Fraction) else Fraction(float(value))


def _positive(value: Any, name: str) -> Fraction:
    number = _hertz(value, name)
    if number <= 0:
        raise RecordingError(f"{name}={value!r} was given; a number of hertz above 0 was expected")
    return number


def _text(value: Fraction) -> str:
    """All digits of a float that names it."""
    return repr(float(value)).removesuffix(".0")
