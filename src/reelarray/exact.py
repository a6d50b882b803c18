"""Exact arithmetic of times and rates: integers and ratios of integers, nothing rounded on the way."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from .errors import ClockError

NANOSECONDS = 10**9
_SMALL = 3 * 10**9  # below this a product of two remainders fits in int64
_WIDE = 2**46  # below this three 16-bit limbs do


def exact_rate(rate: int | float | str | Fraction) -> Fraction:
    """Samples a second as an exact ratio; a float becomes the simplest ratio within its last digits.

    >>> exact_rate(48000), exact_rate(48000 / 1.001), exact_rate("48000/1.001"), exact_rate("1/60")
    (Fraction(48000, 1), Fraction(48000000, 1001), Fraction(48000000, 1001), Fraction(1, 60))
    """
    if isinstance(rate, bool) or not isinstance(rate, int | float | str | Fraction | np.integer | np.floating):
        raise ClockError(f"rate={rate!r} is not a number of samples a second")
    if isinstance(rate, float | np.floating):
        if not np.isfinite(rate) or rate <= 0:
            raise ClockError(f"rate={rate!r}: a finite number of samples a second above 0 was expected")
        exact = Fraction(float(rate))
        for limit in (1, 1001, 10**6, 10**9):
            simple = exact.limit_denominator(limit)
            if simple > 0 and abs(simple - exact) <= exact * Fraction(1, 10**14):
                return simple
        return exact
    try:
        if isinstance(rate, str):
            over, _, under = rate.partition("/")
            exact = Fraction(over) / Fraction(under or 1)
        else:
            exact = Fraction(int(rate) if isinstance(rate, np.integer) else rate)
    except (ValueError, ZeroDivisionError):
        raise ClockError(f"rate={rate!r} is not a number of samples a second") from None
    if exact <= 0:
        raise ClockError(f"rate={rate!r}: a number of samples a second above 0 was expected")
    return exact


def multiply_divide(value: Any, numerator: Any, denominator: Any) -> tuple[np.ndarray, np.ndarray]:
    """floor(value * numerator / denominator) and the remainder, exactly, for int64 arrays whose result fits in int64.

    The product itself may need 128 bits: the value is split at the denominator, and the remainder is multiplied in
    16-bit limbs where one product would overflow.

    >>> int(multiply_divide(10**12, 10**9, 44100)[0])
    22675736961451247
    """
    value, numerator, denominator = (np.asarray(a, np.int64) for a in (value, numerator, denominator))
    largest = int(denominator.max(initial=1))
    if largest >= _WIDE:
        product = value.astype(object) * numerator.astype(object)
        return np.asarray(product // denominator, np.int64), np.asarray(product % denominator, np.int64)
    whole, rest = np.divmod(value, denominator)
    factor, part = np.divmod(numerator, denominator)
    quotient = whole * numerator + rest * factor
    if largest < _SMALL:
        more, remainder = np.divmod(rest * part, denominator)
        return quotient + more, remainder
    more = remainder = np.zeros((), np.int64)
    for shift in (32, 16, 0):
        carried, remainder = np.divmod((remainder << 16) + ((rest >> shift) & 0xFFFF) * part, denominator)
        more = (more << 16) + carried
    return quotient + more, remainder


def lowest(numerator: np.ndarray, denominator: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A ratio in lowest terms."""
    common = np.gcd(numerator, denominator)
    return numerator // common, denominator // common


def ints(values: Any) -> np.ndarray:
    """A read-only int64 array of one axis."""
    array = np.array(values, np.int64, ndmin=1)
    array.setflags(write=False)
    return array
