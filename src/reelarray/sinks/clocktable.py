"""A clock as two tables of integers and a few attributes, and back: nothing of it is rounded on the way."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from typing import Any

import numpy as np

from ..clock import SampleClock
from ..errors import FormatError

FORMAT = 1
STRETCHES = ("first", "offset", "knots_from")
KNOTS = ("position", "length", "time", "period_numerator", "period_denominator", "since")
_SCALARS = ("parts", "step", "lead", "span", "size")


def to_tables(clock: SampleClock) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """(attributes, stretches (stretch, 3), knots (knot, 6)): what a clock is, but for the names of its sources."""
    attrs: dict[str, Any] = {"format": FORMAT, "rate": str(clock.rate), "absolute": bool(clock.absolute)}
    attrs |= {name: int(getattr(clock, name)) for name in _SCALARS}
    stretches = np.stack([clock.first, clock.offset, clock.knots_from[:-1]], axis=-1)
    columns = (clock.position, clock.length, clock.time, clock.period[:, 0], clock.period[:, 1], clock.since)
    return attrs, stretches.astype(np.int64), np.stack(columns, axis=-1).astype(np.int64)


def from_tables(
    attrs: dict[str, Any], stretches: np.ndarray, knots: np.ndarray, source: np.ndarray | None = None
) -> SampleClock:
    """The clock that `to_tables` took apart.

    Raises
    ------
    FormatError : tables of another format

    >>> clock = SampleClock.of_segments([0, 10**10], [8, 8], "44100")
    >>> from_tables(*to_tables(clock)) == clock
    True
    """
    if attrs.get("format") != FORMAT:
        raise FormatError(
            f"the clock table has format {attrs.get('format')}, {FORMAT} was expected: a newer reelarray wrote it"
        )
    first, offset, knots_from = stretches.astype(np.int64).reshape(-1, len(STRETCHES)).T.copy()
    knots = knots.astype(np.int64).reshape(-1, len(KNOTS))
    position, length, time, since = (knots[:, k].copy() for k in (0, 1, 2, 5))
    return SampleClock(
        rate=Fraction(attrs["rate"]),
        absolute=bool(attrs["absolute"]),
        first=first,
        offset=offset,
        knots_from=np.append(knots_from, len(knots)),
        position=position,
        length=length,
        time=time,
        period=knots[:, 3:5].copy(),
        since=since,
        source=source,
        **{name: int(attrs[name]) for name in _SCALARS},
    )


def digest(clock: SampleClock) -> str:
    """A hash of the tables: equal wherever and whenever the same clock is made."""
    attrs, stretches, knots = to_tables(clock)
    whole = hashlib.sha256(json.dumps(attrs, sort_keys=True).encode())
    for table in (stretches, knots):
        whole.update(np.ascontiguousarray(table, "<i8").tobytes())
    return whole.hexdigest()
