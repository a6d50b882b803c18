"""How values lie in a store: as they are, as float32, or as levels in steps of 0.01 dB; times as CF has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from ..decibels import is_decibel, is_power, reference_of
from ..errors import CalibrationError, RecordingError

STEP = 0.01  # dB: performance.md section 5
MISSING, SILENT, LOUDEST = -32768, -32767, 32767
SILENCE = f"{SILENT * STEP:.2f} dB stands for a power of zero, or at or below that level"
_BATCH = 16384  # values whose logarithms stay in cache
_RESERVED = ("_FillValue", "missing_value", "scale_factor", "add_offset", "coordinates", "_Unsigned", "grid_mapping")


@dataclass(frozen=True)
class Encoding:
    """dtype in the store, what turns a block into it, the fill value of missing chunks, and attributes."""

    dtype: np.dtype
    encode: Callable[[np.ndarray], np.ndarray]
    fill: Any
    attrs: Mapping[str, Any]


def encoding_of(x: xr.DataArray, encoding: str | None) -> Encoding:
    """The encoding of an array: None for values as they are, "float32", or "db16".

    Raises
    ------
    RecordingError : an unknown encoding, a dtype that Zarr has not, or attributes that CF readers would act upon
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
    if encoding == "db16":
        return _decibels(x)
    dtype = x.dtype.newbyteorder("=")
    if encoding == "float32":
        if dtype.kind not in "fiu":
            raise RecordingError(f"encoding='float32' of {x.dtype} values; leave it out to write them as they are")
        dtype = np.dtype(np.float32)
    fill = {"f": np.nan, "c": complex(np.nan, np.nan)}.get(dtype.kind, False if dtype.kind == "b" else 0)
    return Encoding(dtype, partial(np.asarray, dtype=dtype), fill, {})


def _decibels(x: xr.DataArray) -> Encoding:
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
    reference, text = reference_of(units)
    named = {"long_name": f"{x.attrs['long_name']} level"} if "long_name" in x.attrs else {}  # as ra.to_decibel says
    attrs = {
        **named,
        "units": text,
        "scale_factor": STEP,
        "_FillValue": MISSING,
        "linear_units": units,
        "comment": "; ".join(filter(None, [str(x.attrs.get("comment", "")), SILENCE])),
    }
    return Encoding(np.dtype(np.int16), partial(decibel_codes, reference=reference), MISSING, attrs)


def decibel_codes(power: np.ndarray, *, reference: float) -> np.ndarray:
    """Power [u] -> levels in steps of 0.01 dB re `reference`, int16: at most 0.005 dB off.

    NaN is -32768; zero and below are -32767, as is all that is at or below -327.67 dB.

    Raises
    ------
    RecordingError : levels above 327.67 dB, or an infinite power, which no level stands for

    >>> decibel_codes(np.array([1.0, 2.0, 0.0, np.nan]), reference=1.0)
    array([     0,    301, -32767, -32768], dtype=int16)
    """
    codes = np.empty(power.shape, np.int16)
    flat, out = np.ascontiguousarray(power).reshape(-1), codes.reshape(-1)
    over, largest = 0, 0.0
    gain, offset = 10 / STEP / math.log(10), 10 / STEP * math.log10(reference)
    for start in range(0, flat.size, _BATCH):
        values = flat[start : start + _BATCH].astype(np.float64)
        silent = ~(values > 0)
        missing = values != values
        values[silent] = 1.0
        np.log(values, out=values)
        values *= gain
        values -= offset
        np.rint(values, out=values)
        highest = values.max()
        if highest > LOUDEST:
            over, largest = over + int(np.count_nonzero(values > LOUDEST)), max(largest, float(highest))
        np.clip(values, SILENT, LOUDEST, out=values)
        values[silent] = SILENT
        values[missing] = MISSING
        out[start : start + _BATCH] = values
    if over:
        raise RecordingError(
            f"{over:,} of {flat.size:,} values of a block are above {LOUDEST * STEP:.2f} dB, the largest at "
            f"{largest * STEP:.2f} dB, and encoding='db16' holds none of them: look for samples that are not finite or "
            "not calibrated, or pass encoding=None, which keeps values as they are"
        )
    return codes


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
