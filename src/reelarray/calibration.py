"""Calibrations: what makes pascal of full-scale samples, and files that say so."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from numbers import Real
from pathlib import Path
from typing import Any

from .errors import CalibrationError

UNITS = {"Pa": "sound pressure", "uPa": "sound pressure", "V": "voltage"}


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

    def settings(self) -> dict[str, float]:
        """The ingredients: `end_to_end` alone, or the parts that are known."""
        given = {"end_to_end": self.end_to_end} if self.end_to_end is not None else asdict(self)
        return {name: value for name, value in given.items() if value is not None}

    def attrs(self, units: str = "Pa") -> dict[str, Any]:
        """Attributes of what was calibrated: units, and the ingredients, so that a later correction can be exact."""
        return {"units": units, "long_name": UNITS[units], "calibrated": True, **self.settings()}


def read_calibration(path: str | Path) -> Calibration:
    """A calibration from a TOML or JSON file with the keys sensitivity, gain_db, peak_voltage, end_to_end.

    Raises
    ------
    CalibrationError : not such a file, a key that is none of these, or numbers that `Calibration` refuses
    OSError : no such file
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
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
