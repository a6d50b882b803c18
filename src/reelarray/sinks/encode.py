"""How values lie in a store: as they are, as float32, rounded, or as levels in 16 bits; times as CF has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from ..decibels import is_decibel, is_power, reference_of
from ..errors import CalibrationError, RecordingError
from .levels import MISSING, STEP, decibel_codes, silence
from .rounding import mantissa_bits, round_mantissa

COARSEST = 1.0  # dB: what a step may be
_RESERVED = ("_FillValue", "missing_value", "scale_factor", "add_offset", "coordinates", "_Unsigned", "grid_mapping")


@dataclass(frozen=True)
class Encoding:
    """dtype in the store, what fills a contiguous array of it, the fill value of missing chunks, and attributes.

    `told` says all of it that changes values, in words for the journal.
    """

    dtype: np.dtype
    encode: Callable[[np.ndarray, np.ndarray], Any]
    fill: Any
    attrs: Mapping[str, Any]
    told: str | None


def encoding_of(
    x: xr.DataArray, encoding: str | None, *, step: float | None = None, keep_bits: int | None = None
) -> Encoding:
    """The encoding of an array: None for values as they are, "float32", or "db16"; parameters as of `write_zarr`.

    Raises
    ------
    RecordingError : an unknown encoding, a step or bits that it has not, a dtype that Zarr has not, or attributes that
        CF readers would act upon
    CalibrationError : "db16" of anything but a power
    """
    if encoding not in (None, "float32", "db16"):
        raise RecordingError(
            f"encoding={encoding!r} was given; None (values as they are), 'float32' or 'db16' was expected"
        )
    reserved = [name for name in _RESERVED if name in x.attrs]
    if reserved:
        raise RecordingError(
            f"attributes {', '.join(reserved)} tell readers of CF files to change the values; rename or drop them: "
            "x.assign_attrs(...)"
        )
    if x.dtype.kind not in "biufc":
        raise RecordingError(f"values of dtype {x.dtype} were given; numbers were expected")
    if step is not None and encoding != "db16":
        raise RecordingError(f"step={step!r} belongs to encoding='db16'; encoding={encoding!r} was given")
    if encoding == "db16":
        return _decibels(x, step, keep_bits)
    dtype = x.dtype.newbyteorder("=")
    if encoding == "float32":
        if dtype.kind not in "fiu":
            raise RecordingError(f"encoding='float32' of {x.dtype} values; leave it out to write them as they are")
        dtype = np.dtype(np.float32)
    fill = {"f": np.nan, "c": complex(np.nan, np.nan)}.get(dtype.kind, False if dtype.kind == "b" else 0)
    if keep_bits is None:
        return Encoding(dtype, as_they_are, fill, {}, encoding)
    _check_bits(keep_bits, dtype)
    comment = f"mantissas are rounded to {keep_bits} bits: at most {2.0 ** -(keep_bits + 1):.2g} of the value off"
    told = ", ".join(filter(None, [encoding, f"{keep_bits} bits"]))
    return Encoding(dtype, partial(rounded, bits=keep_bits), fill, _commented(x, comment), told)


def as_they_are(values: np.ndarray, out: np.ndarray) -> None:
    """Values in the dtype of `out`."""
    np.copyto(out, values, casting="same_kind" if values.dtype.kind == out.dtype.kind else "unsafe")


def rounded(values: np.ndarray, out: np.ndarray, *, bits: int) -> None:
    """Values in the dtype of `out`, with `bits` bits of mantissa."""
    np.copyto(out, values, casting="unsafe")
    round_mantissa(out, bits)


def _check_bits(keep_bits: int, dtype: np.dtype) -> None:
    if dtype.kind not in "fc":
        raise RecordingError(f"keep_bits={keep_bits!r} was given for {dtype} values; floats have a mantissa to round")
    most = mantissa_bits(dtype) - 1
    if isinstance(keep_bits, bool) or not isinstance(keep_bits, int | np.integer) or not 1 <= keep_bits <= most:
        raise RecordingError(f"keep_bits={keep_bits!r} was given; 1 to {most} bits of the mantissa of {dtype} expected")


def _commented(x: xr.DataArray, comment: str) -> dict[str, str]:
    return {"comment": "; ".join(filter(None, [str(x.attrs.get("comment", "")), comment]))}


def _decibels(x: xr.DataArray, step: float | None, keep_bits: int | None) -> Encoding:
    units = str(x.attrs.get("units", "1"))
    if is_decibel(units):
        raise CalibrationError(
            f"units {units!r} are decibels already: db16 takes the power itself, without ra.to_decibel"
        )
    if x.dtype.kind != "f" or not is_power(units, str(x.attrs.get("long_name", ""))):
        raise CalibrationError(
            f"encoding='db16' keeps levels of a power; {x.dtype} values with units {units!r} were given, and a square "
            "such as 'Pa2 Hz-1' or 'V2' was expected: write ra.spectrogram(x), or leave encoding= out"
        )
    if keep_bits is not None:
        raise RecordingError(f"keep_bits={keep_bits!r} belongs to floats; encoding='db16' takes step= in dB")
    step = STEP if step is None else step
    if isinstance(step, bool) or not isinstance(step, int | float | np.number) or not STEP <= step <= COARSEST:
        raise RecordingError(f"step={step!r} was given; {STEP} to {COARSEST} dB was expected")
    reference, text = reference_of(units)
    named = {"long_name": f"{x.attrs['long_name']} level"} if "long_name" in x.attrs else {}  # as ra.to_decibel says
    attrs = {
        **named,
        "units": text,
        "scale_factor": float(step),
        "_FillValue": MISSING,
        "linear_units": units,
        **_commented(x, silence(step)),
    }
    told = "db16" if step == STEP else f"db16, steps of {float(step)!r} dB"
    codes = partial(decibel_codes, reference=reference, step=float(step))
    return Encoding(np.dtype(np.int16), codes, MISSING, attrs, told)


def cf_coordinate(name: str, values: np.ndarray, attrs: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
    """(values, attributes) of a coordinate as CF has them: times as int64 nanoseconds, text as text.

    Raises
    ------
    RecordingError : values that no Zarr array holds
    """
    if values.dtype.kind == "M":
        cf = {"units": "nanoseconds since 1970-01-01", "calendar": "proleptic_gregorian"}
        return values.astype("datetime64[ns]").astype(np.int64), {**attrs, **cf}
    if values.dtype.kind == "m":
        cf = {"units": "nanoseconds", "dtype": "timedelta64[ns]"}
        return values.astype("timedelta64[ns]").astype(np.int64), {**attrs, **cf}
    if values.dtype.kind in "UT" or (values.dtype.kind == "O" and all(isinstance(v, str) for v in values.ravel())):
        return values.astype(object), dict(attrs)
    if values.dtype.kind in "biufc":
        return values.astype(values.dtype.newbyteorder("="), copy=False), dict(attrs)
    raise RecordingError(
        f"coordinate {name!r} of dtype {values.dtype} cannot be stored; numbers, times or text were expected: "
        f"x.drop_vars({name!r})"
    )
