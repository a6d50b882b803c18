"""Calibration: samples relative to full scale become pascal."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from numbers import Real
from pathlib import Path
from typing import Any

import xarray as xr

from .. import graph
from ..errors import CalibrationError
from ..recordings import check_recording, describe

_UNITS = {"Pa": 1.0, "uPa": 1e6, "V": 1.0}


@dataclass(frozen=True)
class Calibration:
    """What makes pascal of full-scale samples: what the parts of the instrument do, or what all do together.

    Parameters
    ----------
    sensitivity : dB re 1 V/uPa, of the hydrophone or microphone, such as -170; None is 1 V/Pa (-120)
    gain_db : dB, of what lies between it and the converter
    peak_voltage : V at the converter that give a full-scale sample (half of the peak-to-peak range)
    end_to_end : dB re 1 uPa of a full-scale sample, such as 176.8; takes the place of the other three

    Raises
    ------
    CalibrationError : `end_to_end` together with parts, a number that is not finite, or one that no instrument has

    >>> Calibration(sensitivity=-180, gain_db=20).factor  # 1 V at the converter is 0.1 V at 1 mV/Pa: 100 Pa
    100.0
    >>> round(Calibration(end_to_end=160).factor, 9)
    100.0
    """

    sensitivity: float | None = None
    gain_db: float = 0.0
    peak_voltage: float = 1.0
    end_to_end: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.default is None:
                continue
            if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
                raise CalibrationError(f"{field.name}={value!r} was given; a finite number was expected")
            object.__setattr__(self, field.name, float(value))
        if self.peak_voltage <= 0:
            raise CalibrationError(
                f"peak_voltage={self.peak_voltage:g} was given; the volts of a full-scale sample, above 0, were "
                "expected (half of the converter's peak-to-peak range)"
            )
        if self.sensitivity is not None and self.sensitivity > 0:
            raise CalibrationError(
                f"sensitivity={self.sensitivity:g} was given; dB re 1 V/uPa, below 0, were expected: did you mean "
                f"sensitivity={-self.sensitivity:g}, or end_to_end={self.sensitivity:g}?"
            )
        if self.end_to_end is not None and (self.sensitivity is not None or self.gain_db or self.peak_voltage != 1):
            raise CalibrationError(
                f"end_to_end={self.end_to_end:g} was given together with sensitivity, gain_db or peak_voltage, which "
                "it contains: pass either the parts or the whole"
            )

    @property
    def factor(self) -> float:
        """Pa of a full-scale sample: Vpk / (S * 10^(G/20)), S = 10^(M/20) * 1e6 V/Pa; or 1e-6 * 10^(E/20)."""
        if self.end_to_end is not None:
            return 1e-6 * 10 ** (self.end_to_end / 20)
        volts_per_pascal = 1.0 if self.sensitivity is None else 10 ** (self.sensitivity / 20) * 1e6
        return self.peak_voltage / (volts_per_pascal * 10 ** (self.gain_db / 20))

    def attrs(self) -> dict[str, Any]:
        """The ingredients, as attributes of what was calibrated with them."""
        given = {"end_to_end": self.end_to_end} if self.end_to_end is not None else asdict(self)
        return {"calibrated": True, **{name: value for name, value in given.items() if value is not None}}


def calibrate(
    x: xr.DataArray,
    *,
    sensitivity: float | None = None,
    gain_db: float = 0.0,
    peak_voltage: float = 1.0,
    end_to_end: float | None = None,
    units: str = "Pa",
) -> xr.DataArray:
    """Full-scale samples times one factor: (time, ...) [1] -> (time, ...) [Pa].

    Samples are in [-1, 1), as files are read. The factor is that of the spec sheet,
    peak_voltage / (10^(sensitivity/20) * 1e6 * 10^(gain_db/20)), or 1e-6 * 10^(end_to_end/20); it is rounded to the
    dtype of the samples, and where they come straight from files it is applied in the task that reads them.

    Parameters
    ----------
    x : a recording of real or complex floating-point samples with units "1"
    sensitivity : dB re 1 V/uPa; 1 V/Pa where only the others are given
    gain_db : dB
    peak_voltage : V at full scale
    end_to_end : dB re 1 uPa of a full-scale sample, in place of the other three
    units : "Pa", "uPa", or "V" at the input of the amplifier (without sensitivity)

    Raises
    ------
    CalibrationError : nothing to calibrate with, numbers that contradict each other or are not finite, samples that
        have units already, that are integer counts, or whose level a normalisation has removed

    >>> from reelarray import recording
    >>> x = recording([0.0, 0.5, -1.0], rate=4)
    >>> calibrate(x, sensitivity=-180, gain_db=20).values  # full scale is 100 Pa
    array([   0.,   50., -100.])
    """
    given = Calibration(sensitivity, gain_db, peak_voltage, end_to_end)
    if given == Calibration():
        raise CalibrationError(
            "nothing to calibrate with was given; sensitivity= (dB re 1 V/uPa) with gain_db= and peak_voltage=, or "
            "end_to_end= (dB re 1 uPa of a full-scale sample) was expected"
        )
    if units not in _UNITS:
        raise CalibrationError(f"units={units!r} was given; 'Pa', 'uPa' or 'V' was expected")
    if units == "V" and (sensitivity is not None or end_to_end is not None):
        raise CalibrationError("units='V' was given with a sensitivity to sound: leave one of them out")
    return calibrated_by(x, given, units=units)


def calibrated_by(x: xr.DataArray, calibration: Calibration, *, units: str = "Pa") -> xr.DataArray:
    """Full-scale samples times the factor of a calibration: (time, ...) [1] -> (time, ...) [Pa]; see `calibrate`."""
    x = check_recording(x)
    own = x.attrs.get("units", "1")
    if own != "1":
        raise CalibrationError(
            f"samples in {own!r} were given; samples relative to full scale (units '1') were expected: they are "
            "calibrated already"
        )
    if x.attrs.get("calibrated") is False:
        raise CalibrationError(
            f"the absolute level of the samples is lost (normalized by {x.attrs.get('normalization', 'something')}); "
            "calibrate the recording as it was opened, before normalising it"
        )
    if x.dtype.kind not in "fc":
        raise CalibrationError(
            f"integer counts ({x.dtype}) were given; samples in [-1, 1) were expected: open the files with "
            "calibrated=True, or divide by full scale"
        )
    factor = calibration.factor * _UNITS[units]
    data = None if x.chunks is None else graph.gained(x.data, factor)
    if data is None:
        data = x.data * x.dtype.type(factor)
    long_name = {"Pa": "sound pressure", "uPa": "sound pressure", "V": "voltage"}[units]
    return describe(x.copy(deep=False, data=data), units=units, long_name=long_name, **calibration.attrs())


def read_calibration(path: str | Path) -> Calibration:
    """A calibration from a TOML or JSON file with the keys sensitivity, gain_db, peak_voltage, end_to_end.

    Raises
    ------
    CalibrationError : not such a file, a key that is none of these, or numbers that `Calibration` refuses
    OSError : no such file
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    try:
        found = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except ValueError as error:  # of either parser
        raise CalibrationError(
            f"{path} is neither TOML nor JSON ({error}); lines such as 'sensitivity = -170.0' were expected"
        ) from None
    keys = [field.name for field in fields(Calibration)]
    if not isinstance(found, dict) or not found:
        raise CalibrationError(f"{path} holds no calibration; some of the keys {', '.join(keys)} were expected")
    for key in found:
        if key not in keys:
            near = get_close_matches(key, keys, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(keys)}"
            raise CalibrationError(f"{path}: unknown key {key!r}; {hint}")
    try:
        return Calibration(**found)
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from None
