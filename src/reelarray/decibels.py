"""References of levels: what a power or an amplitude is divided by, and how the units of the level read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from .errors import CalibrationError

Quantity = Literal["power", "amplitude"]

_SQUARE = re.compile(r"([^\W\d_]+)2|\(([^()]+)\)2")  # "Pa2" and "(m s-1)2", but neither "m s-2" nor "m2 s-2"


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
        power = bool(square) or per == "Hz-1" or spectrum if quantity is None else quantity == "power"
        base = (square[1] or square[2]) if square and power else stem
        return cls(base, per, power, squared=power and (square is not None or stem == "1"))

    @property
    def reference(self) -> float:
        """1 uPa, or 1 of anything else."""
        return 1e-6 if self.base == "Pa" and (self.squared or not self.power) else 1.0

    def one(self, reference: float) -> float:
        """What values are divided by: the reference, squared where they are squares of what it is of."""
        return reference**2 if self.squared else reference

    def units(self, reference: float) -> str:
        """dB re the reference."""
        value, unit = (reference * 1e6, "uPa") if self.base == "Pa" and reference < 1e-3 else (reference, self.base)
        text, unit = f"{value:.10g}", "" if unit == "1" else unit
        if not self.squared:
            named = f"{text} {unit}"
        elif text == "1":
            named = f"1 {unit}2" if unit.isalpha() else f"1 ({unit})2" if unit else "1"
        else:
            named = f"({text} {unit})2" if unit else f"({text})2"
        return " ".join(f"dB re {named} {self.per}".split())


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
