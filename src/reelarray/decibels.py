"""References of levels: what a power is divided by, and how the units of the level read."""

from __future__ import annotations

import re

from .errors import CalibrationError

_SQUARE = re.compile(r"([^\W\d_]+)2|\(([^()]+)\)2")  # "Pa2" and "(m s-1)2", but neither "m s-2" nor "m2 s-2"


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
    stem, per = _split(units)
    if stem == "Pa2":
        return 1e-12, " ".join(f"dB re 1 uPa2 {per}".split())
    return 1.0, " ".join(f"dB re 1 {'' if stem == '1' else stem} {per}".split())


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
    stem, per = _split(units)
    return per == "Hz-1" or _SQUARE.fullmatch(stem) is not None or (stem == "1" and long_name.startswith("power "))


def _split(units: str) -> tuple[str, str]:
    per = next((p for p in ("Hz-1", "Hz-0.5") if units == p or units.endswith(f" {p}")), "")
    return units.removesuffix(per).strip() or "1", per
