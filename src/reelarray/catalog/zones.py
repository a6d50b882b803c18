"""Wall-clock times to UTC: integers of nanoseconds since 1970, an explicit zone, and no guess at a clock change."""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from reelarray.errors import ClockError

Ambiguous = Literal["earlier", "later"]

SECOND = 1_000_000_000
_EPOCH = dt.datetime(1970, 1, 1)
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d{2}))?", re.ASCII | re.IGNORECASE)
# What datetime64[ns] can hold, a day short at both ends so that a zone's offset cannot leave it.
FIRST_DAY, LAST_DAY = dt.date(1677, 9, 23).toordinal(), dt.date(2262, 4, 10).toordinal()


@lru_cache(maxsize=64)
def parse_zone(zone: str | dt.tzinfo) -> dt.tzinfo:
    """Zone of a name or an offset: "UTC", "Z", "Europe/Paris", "+02:00", "-0330", or a tzinfo.

    Raises
    ------
    ClockError : a name that no time zone has

    >>> parse_zone("+02:00")
    datetime.timezone(datetime.timedelta(seconds=7200))
    """
    if isinstance(zone, dt.tzinfo):
        return zone
    text = zone.strip() if isinstance(zone, str) else ""
    if text.upper() in ("UTC", "Z", "GMT"):
        return dt.UTC
    if offset := _OFFSET.fullmatch(text):
        sign, hours, minutes = offset[1], int(offset[2]), int(offset[3] or 0)
        if hours < 24 and minutes < 60:
            return dt.timezone(dt.timedelta(minutes=(hours * 60 + minutes) * (-1 if sign == "-" else 1)))
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ClockError(
            f"timezone={zone!r} is no time zone; expected 'UTC', an offset such as '+02:00', or a name of the IANA "
            "database such as 'Europe/Paris'"
        ) from None


def wall_ns(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, ns: int = 0
) -> int | None:
    """Nanoseconds from 1970 to a wall-clock time, or None for a date that does not exist; second 60 is the next minute.

    >>> wall_ns(1970, 1, 1, 0, 0, 60)
    60000000000
    >>> wall_ns(2022, 2, 30) is None
    True
    """
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second <= 60):
        return None
    try:
        ordinal = dt.date(year, month, day).toordinal()
    except ValueError:
        return None
    if not FIRST_DAY <= ordinal <= LAST_DAY:
        return None
    seconds = (ordinal - 719163) * 86400 + hour * 3600 + minute * 60 + second  # 719163: ordinal of 1970-01-01
    return seconds * SECOND + ns


def localise(wall: int, zone: dt.tzinfo, ambiguous: Ambiguous | None = None) -> int:
    """UTC nanoseconds of the wall-clock time `wall` (ns) in `zone`.

    When the clocks of the zone change, some wall-clock times occur twice and some never. Both are errors unless
    `ambiguous` says which of the two readings to take: the "earlier" or the "later" instant.

    Raises
    ------
    ClockError : a time that occurs twice or never, and no policy

    >>> localise(0, parse_zone("+01:00"))
    -3600000000000
    """
    if isinstance(zone, dt.timezone):
        return wall - _offset_ns(zone.utcoffset(None))
    naive = _EPOCH + dt.timedelta(seconds=wall // SECOND)
    first = wall - _offset_ns(naive.replace(tzinfo=zone, fold=0).utcoffset())
    second = wall - _offset_ns(naive.replace(tzinfo=zone, fold=1).utcoffset())
    if first == second:
        return first
    if ambiguous == "earlier":
        return min(first, second)
    if ambiguous == "later":
        return max(first, second)
    happens = "occurs twice" if first < second else "never occurs"
    raise ClockError(
        f"{naive.isoformat(sep=' ')} {happens} in {zone} because the clocks change ({iso(min(first, second))} or "
        f"{iso(max(first, second))}); pass ambiguous='earlier' or 'later' to choose, or the recorder's true offset as "
        "timezone, such as timezone='+01:00'"
    )


def check_ambiguous(ambiguous: str | None) -> None:
    """Refuse a policy that is not one."""
    if ambiguous not in (None, "earlier", "later"):
        raise ClockError(f"ambiguous={ambiguous!r} was given; expected None (raise), 'earlier' or 'later'")


def _offset_ns(offset: dt.timedelta | None) -> int:
    if offset is None:
        raise ClockError("the time zone gave no offset from UTC; pass timezone as a name or as an offset")
    return (offset.days * 86400 + offset.seconds) * SECOND + offset.microseconds * 1000


def iso(ns: int) -> str:
    """UTC nanoseconds as ISO text, decimals only where they are not zero.

    >>> iso(1_500_000_000)
    '1970-01-01T00:00:01.5Z'
    """
    text = (_EPOCH + dt.timedelta(seconds=ns // SECOND)).isoformat()
    decimals = f".{ns % SECOND:09d}".rstrip("0").rstrip(".")
    return text + decimals + "Z"


_ISO = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9})\d*)?)?)?\s*(Z|[+-]\d{2}:?\d{2})?",
    re.ASCII | re.IGNORECASE,
)


def read_iso(text: str) -> tuple[int, str] | None:
    """(wall-clock ns, offset text or "") of an ISO 8601 time, or None where the text is no time.

    >>> read_iso("1970-01-01T00:00:01.5Z")
    (1500000000, 'Z')
    """
    found = _ISO.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second, decimals, offset = found.groups(default="")
    ns = int(decimals.ljust(9, "0")) if decimals else 0
    wall = wall_ns(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), ns)
    return None if wall is None else (wall, offset)
