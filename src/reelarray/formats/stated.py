"""Numbers and times that headers state as text: checked, exact, and bounded whatever the text."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction

from ..errors import FormatError
from ..exact import exact_rate
from . import tags

# More than any instrument counts; a larger number is rubbish, and would overflow 64-bit sums of it.
_MOST = 1 << 60
# Seconds: no file holds thirty years, and datetime64[ns] holds three hundred.
LONGEST = 10**9
MOST_VOLTS = 1e28  # a count; products with 32 bits stay within a float32
_SLOWEST, _FASTEST = 1, 10**13
_ZONE = re.compile(r"([+-]\d\d):?(\d\d)$")


def exact_number(path: str, facts: Mapping[str, str], name: str, *, positive: bool = False) -> Fraction:
    """The number that `facts` states under `name`, exactly as its digits say.

    Raises `FormatError` naming file and fact where it is missing, no finite number, or, with `positive`, not above 0.

    >>> exact_number("x.tiq", {"Scaling": "5.2E-12"}, "Scaling") == Fraction("5.2e-12")
    True
    """
    text = facts.get(name)
    if text is None:
        raise FormatError(f"{path}: its header does not state {name}, which is needed; the file is damaged: skip it")
    try:
        # The float comes first: a Fraction of "1e999999999" would fill the memory with its digits.
        rough = float(text)
        exact = Fraction(text) if rough and math.isfinite(rough) else Fraction(0)
    except ValueError:
        rough, exact = math.nan, Fraction(0)
    if not math.isfinite(rough) or (positive and exact <= 0):
        raise FormatError(
            f"{path}: its header states {name} = {text[:40]!r}, a finite number{' above 0' if positive else ''} was "
            "expected; the file is damaged: skip it"
        )
    return exact


def whole_number(path: str, facts: Mapping[str, str], name: str, *, least: int = 0) -> int:
    """The integer that `facts` states under `name`, leading zeros or not; raises `FormatError` as `exact_number`.

    >>> whole_number("x.tiq", {"NumberSamples": "0102400"}, "NumberSamples")
    102400
    """
    number = exact_number(path, facts, name)
    if number.denominator != 1 or not least <= number < _MOST:
        raise FormatError(
            f"{path}: its header states {name} = {facts[name][:40]!r}, a whole number from {least} on was expected; "
            "the file is damaged: skip it"
        )
    return int(number)


def stated_rate(path: str, rate: Fraction | float) -> Fraction:
    """The rate [Hz] of a header as the simplest ratio within the digits of a float, which is what instruments print.

    Raises `FormatError` naming the file where it is none that an instrument has: slower than 1 Hz, or beyond 10 THz.

    >>> stated_rate("x.tiq", Fraction("46874999.999999993"))
    Fraction(46875000, 1)
    """
    if not _SLOWEST <= rate <= _FASTEST:
        raise FormatError(
            f"{path}: its header gives {float(min(rate, 1e300)):g} samples a second, {_SLOWEST} to "
            f"{_FASTEST:,} are possible; the file is damaged: skip it"
        )
    return exact_rate(float(rate))


def any_number(text: str | None) -> float | None:
    """A number that is good to know but not needed, None where there is none.

    >>> any_number("10"), any_number("n/a"), any_number("inf"), any_number(None)
    (10.0, None, None, None)
    """
    try:
        number = float(text or "nan")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def date_time(text: str | None) -> tuple[int | None, dict[str, str]]:
    """An ISO 8601 time -> UTC ns where it states its zone, and what to keep of it as metadata.

    Nine decimals count. A time without a zone is not guessed at: it comes back as `naive_start`, as for other formats.

    >>> date_time("2014-08-01T10:33:15.9782727+02:00")
    (1406881995978272700, {'utc_offset': '+02:00'})
    >>> date_time("2014-08-01T10:33:15")
    (None, {'naive_start': '2014-08-01T10:33:15'})
    """
    start_ns, origin = tags.start({"guano": {"Timestamp": text or ""}})
    # datetime64[ns] ends in 2262: a date beyond is a clock that was never set.
    if start_ns is not None and not -(1 << 63) < start_ns < 1 << 62:
        start_ns = None
    kept = {"naive_start": origin["naive_start"]} if "naive_start" in origin else {}
    if start_ns is not None and text:
        zone = _ZONE.search(text.strip())
        kept["utc_offset"] = f"{zone[1]}:{zone[2]}" if zone else "+00:00"
    return start_ns, kept
