"""References of levels: what a power or an amplitude is divided by, and how the units of the level read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from .errors import CalibrationError, RecordingError

Quantity = Literal["power", "amplitude"]

_SQUARE = re.compile(r"([^\W\d_]+)2|\(([^()]+)\)2")  # "Pa2" and "(m s-1)2", but neither "m s-2" nor "m2 s-2"
_WATTS = re.compile(r"[pnumkMGT]?W( m-2)?")  # powers that are no squares
_NUMBER = re.compile(r"\d+\.?\d*(?:[eE][+-]?\d+)?")
_PREFIXES = {"p": -12, "n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12}
_ROOTS = ("Pa", "W", "V", "A", "T", "m")  # units that prefixes are looked for before


@dataclass(frozen=True)
class Scale:
    """What a level is a level of.

    `base` are the units of its reference, `squared` for most powers; `per` is "Hz-1" or "Hz-0.5" of a density, "s" of
    an exposure.

    >>> Scale.of("Pa2 Hz-1").units(20e-6), Scale.of("V").units(1.0)
    ('dB re (20 uPa)2 Hz-1', 'dB re 1 V')
    """

    base: str
    per: str
    power: bool
    squared: bool

    @classmethod
    def of(cls, units: str, long_name: str = "", quantity: Quantity | None = None) -> Scale:
        """The scale of values with these units."""
        per = next((p for p in ("Hz-1", "Hz-0.5", "s") if units == p or units.endswith(f" {p}")), "")
        stem = units.removesuffix(per).strip() or "1"
        square = _SQUARE.fullmatch(stem)
        if (
            per == "s" and not square
        ):  # sound exposure, "Pa2 s", is a power times a time; "V s" is a quantity of its own
            stem, per = units, ""
        spectrum = stem == "1" and long_name.startswith("power ")  # full scale squared has the units of full scale
        watts = _WATTS.fullmatch(stem) is not None
        power = bool(square) or per == "Hz-1" or spectrum or watts if quantity is None else quantity == "power"
        base = (square[1] or square[2]) if square and power else stem
        return cls(base, per, power, squared=power and (square is not None or stem == "1"))

    @property
    def reference(self) -> float:
        """1 uPa, or 1 of anything else."""
        return 1e-6 if self.base == "Pa" and (self.squared or not self.power) else 1.0

    def one(self, reference: float) -> float:
        """What values are divided by: the reference, squared where they are squares of what it is of."""
        return reference**2 if self.squared else reference

    def parse(self, reference: str) -> tuple[float, tuple[float, str]]:
        """A quantity such as "1 mW", "20 uPa", "1 uPa2": (reference in `base`, how it is shown: number and unit).

        Raises
        ------
        CalibrationError : a unit for values that have none
        RecordingError : what is no quantity, or one of another unit

        >>> Scale.of("W Hz-1").parse("1 mW"), Scale.of("Pa2").parse("(20 uPa)2")
        ((0.001, (1.0, 'mW')), (2e-05, (20.0, 'uPa')))
        """
        text = reference.strip().replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")
        whole = text.startswith("(") and text.endswith(")2")  # "(20 uPa)2", the square of a quantity
        text = text[1:-2] if whole else text
        number = _NUMBER.match(text)
        if number is None:
            raise RecordingError(f"reference={reference!r} was given; a quantity such as '1 mW' was expected")
        value, unit = Decimal(number[0]), text[number.end() :].strip() or self.base
        square = None if whole else _SQUARE.fullmatch(unit)
        if square:  # "4 uPa2" is the square of 2 uPa
            value, unit = value.sqrt(), square[1] or square[2]
        (power, root), (own_power, own_root) = _prefixed(unit), _prefixed(self.base)
        if root != own_root or ((whole or square) and self.power and not self.squared):
            raise self._mismatch(reference)
        return float(value.scaleb(power - own_power)), (float(value), unit)

    def _mismatch(self, reference: str) -> Exception:
        if self.base == "1":
            return CalibrationError(
                f"reference={reference!r} was given for values relative to full scale, whose absolute level is not "
                "known: calibrate the samples (scale= where the file is opened), or leave reference= out"
            )
        told = f"reference={reference!r} was given for values of {self.base}{'2' if self.squared else ''}"
        if _WATTS.fullmatch(reference.lstrip("0123456789.e+- ")):
            return RecordingError(f"{told}: make powers of them first, ra.to_watts(x, impedance=50)")
        return RecordingError(f"{told}; a quantity of {self.base}, or a number, was expected")

    def units(self, reference: float, shown: tuple[float, str] | None = None) -> str:
        """dB re the reference, written as a number and a unit where they are given."""
        value, unit = (reference * 1e6, "uPa") if self.base == "Pa" and reference < 1e-3 else (reference, self.base)
        value, unit = shown or (value, unit)
        text, unit = f"{value:.10g}", "" if unit == "1" else unit
        if not self.squared:
            named = f"{text} {unit}"
        elif text == "1":
            named = f"1 {unit}2" if unit.isalpha() else f"1 ({unit})2" if unit else "1"
        else:
            named = f"({text} {unit})2" if unit else f"({text})2"
        return " ".join(f"dB re {named} {self.per}".split())


def _prefixed(unit: str) -> tuple[int, str]:
    """(power of ten, unit without prefix).

    >>> _prefixed("mW"), _prefixed("m"), _prefixed("m s-1")
    ((-3, 'W'), (0, 'm'), (0, 'm s-1'))
    """
    if unit[1:] in _ROOTS and unit[0] in _PREFIXES:
        return _PREFIXES[unit[0]], unit[1:]
    return 0, unit


def volts(units: str) -> tuple[float, str] | None:
    """(how many V2 is 1 of these, "" or "Hz-1") for squares of volts; None for all else.

    >>> volts("V2 Hz-1"), volts("mV2"), volts("Pa2")
    ((1.0, 'Hz-1'), (1e-06, ''), None)
    """
    scale = Scale.of(units)
    power, root = _prefixed(scale.base)
    if root != "V" or not scale.squared or scale.per not in ("", "Hz-1"):
        return None
    return float(Decimal(1).scaleb(2 * power)), scale.per


def reference_of(units: str) -> tuple[float, str]:
    """(reference in `units`, units of the level) of a power: sound refers to 1 uPa2, all else to 1 of its own units.

    Raises
    ------
    CalibrationError : units that are decibels already

    >>> reference_of("Pa2 Hz-1"), reference_of("V2"), reference_of("1")
    ((1e-12, 'dB re 1 uPa2 Hz-1'), (1.0, 'dB re 1 V2'), (1.0, 'dB re 1'))
    """
    if is_decibel(units):
        raise CalibrationError(
            f"units {units!r} are decibels already; those of a power were expected, such as 'Pa2 Hz-1'"
        )
    scale = Scale.of(units, quantity="power")
    return scale.one(scale.reference), scale.units(scale.reference)


def zero_level(attrs: Mapping[str, Any]) -> float:
    """The power that 0 dB stands for, by the attributes of levels: a square, but of watts.

    >>> zero_level({"reference": 1e-3, "reference_units": "W"}), zero_level({"reference": 20e-6}) == 20e-6**2
    (0.001, True)
    """
    reference = float(attrs.get("reference", 1.0))
    return reference if _WATTS.fullmatch(str(attrs.get("reference_units", ""))) else reference**2


def is_decibel(units: str) -> bool:
    """Whether units are those of a level.

    >>> is_decibel("dB re 1 uPa2"), is_decibel("dB"), is_decibel("Pa2")
    (True, True, False)
    """
    return units == "dB" or units.startswith("dB ")


def is_power(units: str, long_name: str = "") -> bool:
    """Whether units are those of a power: a square, or anything by hertz; pure numbers where the name says "power".

    >>> is_power("Pa2 Hz-1"), is_power("(m s-1)2"), is_power("V"), is_power("m s-2"), is_power("1", "power spectrum")
    (True, True, False, False, True)
    """
    return Scale.of(units, long_name).power
