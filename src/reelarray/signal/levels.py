"""Levels: powers and amplitudes in decibels, with their reference in the units."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from ..decibels import Quantity, Scale, is_decibel
from ..errors import CalibrationError, RecordingError
from ..recordings import describe


def decibels(values: np.ndarray, *, one: float, power: bool, floor: float | None) -> np.ndarray:
    """Powers or amplitudes, any shape -> dB re `one`: zero and less is -inf, or the floor; NaN stays NaN."""
    out = np.empty(values.shape, level_dtype(values.dtype))
    if values.dtype.kind == "c":  # squared in float64, where no sample's square is lost
        real, imaginary = values.real.astype(np.float64), values.imag.astype(np.float64)
        ratio, power = real * real + imaginary * imaginary, True
        ratio /= one**2
    else:
        ratio = np.asarray(values, out.dtype)
        ratio = np.maximum(ratio, 0, out=out) if power else np.abs(ratio, out=out)
        ratio /= out.dtype.type(one)
    with np.errstate(divide="ignore"):
        np.log10(ratio, out=ratio)
    np.multiply(ratio, 10 if power else 20, out=out, casting="same_kind")
    return out if floor is None else np.maximum(out, out.dtype.type(floor), out=out)


def level_dtype(dtype: Any) -> np.dtype:
    """The dtype of levels: that of the values; float32 for complex64 and for integers up to 16 bit, else float64."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return dtype
    return np.dtype("float32" if dtype == np.complex64 or dtype.itemsize <= 2 else "float64")


def to_decibel(
    x: xr.DataArray,
    *,
    reference: float | str | None = None,
    floor: float | None = None,
    quantity: Quantity | None = None,
) -> xr.DataArray:
    """Levels: (...) [u2 Hz-1, u2 or u] -> (...) [dB re a reference].

    10 log10(P / reference^2) of powers, 20 log10(abs(a) / reference) of amplitudes (ISO 18405). Nothing is added to
    avoid zeros: zero is -inf, or the floor.

    Parameters
    ----------
    x : any array with `units`: a spectrogram, an averaged spectrum, samples
    reference : a quantity as text, such as "1 mW", "1 uV", "20 uPa" or "1 uPa2"; or an amplitude in the units of the
        signal, a number. Unless given 1e-6 for Pa (water; pass 20e-6 in air), else 1: full scale, 1 V, ... (For powers
        that are no squares, such as W, a power: dBm are ``to_decibel(to_watts(s), reference="1 mW")``.)
    floor : dB; lower levels, and zero, become this
    quantity : "power" or "amplitude". Unless given, units with a square ("Pa2"), per hertz ("Pa2 Hz-1") or of watts are
        powers, and so are spectra relative to full scale (units "1", known by their `long_name`); everything else, and
        everything complex, are amplitudes

    Raises
    ------
    RecordingError : levels already, a reference that is not above zero or of another unit (mW of V2)
    CalibrationError : a spectral density of samples whose absolute level a normalisation has removed, a unit for values
        relative to full scale (mW of "1")

    >>> from reelarray import recording
    >>> to_decibel(recording([1e-6, 1e-3, 0.0], rate=1, units="Pa")).values
    array([  0.,  60., -inf])
    >>> watts = recording([1e-3, 1.0], rate=1, units="W")
    >>> to_decibel(watts, reference="1 mW").values, to_decibel(watts, reference="1 mW").attrs["units"]
    (array([ 0., 30.]), 'dB re 1 mW')
    """
    if not isinstance(x, xr.DataArray) or x.dtype.kind not in "iufc":
        given = f"values of dtype {x.dtype}" if isinstance(x, xr.DataArray) else f"a {type(x).__name__}"
        raise RecordingError(f"{given} given; an xarray.DataArray of numbers was expected")
    units, dtype = str(x.attrs.get("units", "1")), level_dtype(x.dtype)
    if is_decibel(units):
        raise RecordingError(f"units {units!r} were given; powers or amplitudes were expected: these are levels")
    if quantity not in (None, "power", "amplitude"):
        raise RecordingError(f"quantity={quantity!r} was given; 'power' or 'amplitude' was expected")
    scale = Scale.of(units, str(x.attrs.get("long_name", "")), "amplitude" if x.dtype.kind == "c" else quantity)
    if scale.per and x.attrs.get("calibrated") is False:
        raise CalibrationError(
            f"a density of samples without an absolute level was given (normalization="
            f"{x.attrs.get('normalization')!r}); pass scaling='spectrum' for relative levels"
        )
    shown = None
    if isinstance(reference, str):
        number, shown = scale.parse(reference)
    else:
        number = scale.reference if reference is None else reference
    one = scale.one(number)
    if not number > 0 or not np.finfo(dtype).tiny < one < np.finfo(dtype).max:
        raise RecordingError(f"reference={reference!r} was given; a number above 0 that {dtype} can hold was expected")
    if floor is not None and not math.isfinite(floor):
        raise RecordingError(f"floor={floor!r} was given; a finite level in dB was expected")
    kernel = partial(decibels, one=float(one), power=scale.power, floor=floor)
    if x.chunks is None:
        data = kernel(x.values)
    else:
        data = x.data.map_blocks(kernel, dtype=dtype, meta=np.empty((0,) * x.ndim, dtype), token="to_decibel")
    name = f"{x.attrs['long_name']} level" if "long_name" in x.attrs else None
    labels = {"units": scale.units(number, shown), "long_name": name, "standard_name": None}
    out = x.copy(deep=False, data=data)
    scaled = {"reference": float(number), "reference_units": scale.base}
    lowest = None if floor is None else float(floor)
    return describe(out, **labels, **scaled, quantity="power" if scale.power else "amplitude", floor=lowest)
