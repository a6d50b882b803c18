"""What a file name says of a time, and names that are alike read together: where digits stand is found once for all."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from reelarray.catalog.zones import FIRST_DAY, LAST_DAY, SECOND

# All digits alike: the files of a deployment have a handful of such names.
ANY_DIGIT = str.maketrans("123456789", "000000000")
# Fewer names are read sooner one by one.
FEW = 8
_EPOCH_DAY = dt.date(1970, 1, 1).toordinal()


class Reading(NamedTuple):
    """A time as it is written in a name.

    `wall` is the wall-clock time in ns since 1970, None where there is none, and `offset` the seconds east of UTC where
    they are written too. `text` is the piece that was read, `by` the template or rule that read it; `problem` says why
    there is no time, its code first ("no_time: ...", "impossible_date: ...").
    """

    wall: int | None
    offset: int | None = None
    text: str = ""
    by: str = ""
    problem: str = ""


class Place(NamedTuple):
    """Where the time stands in all names of one shape: characters [first, stop) of it, and of each letter's number.

    `recent`: only years from 1900 to 2099 are read there.
    """

    by: str
    span: tuple[int, int]
    numbers: dict[str, tuple[int, int]]
    offset: int | None = None
    recent: bool = False


NUMBERS = frozenset("YymdHMSf")


def read_alike(names: Sequence[str], place: Callable[[str], Place | None]) -> list[Reading | None]:
    """Readings of the names whose shape has a place for the time; None for those that are to be read one by one.

    The shape is the name with 0 for every digit. `place` answers only for shapes whose digits, whatever they are, are
    read at the same characters; numbers that are no date are left to the caller as well.
    """
    found: list[Reading | None] = [None] * len(names)
    shapes: defaultdict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(names):
        shapes[name.translate(ANY_DIGIT)].append(row)
    for shape, rows in shapes.items():
        where = place(shape) if len(rows) >= FEW else None
        if where is None:
            continue
        texts = [names[row] for row in rows]
        walls, exists = _walls(texts, where)
        first, stop = where.span
        for row, text, wall, good in zip(rows, texts, walls.tolist(), exists.tolist(), strict=True):
            if good:
                found[row] = Reading(wall, where.offset, text[first:stop], where.by)
    return found


def _walls(names: list[str], where: Place) -> tuple[np.ndarray, np.ndarray]:
    """Wall-clock ns of names of one length, and which of them are dates of a clock; see `zones.wall_ns`."""
    numbers = where.numbers
    digits = np.array(names).view(np.uint32).reshape(len(names), -1).astype(np.int64) - ord("0")
    np.maximum(digits, 0, out=digits)  # a blank may stand for a zero

    def number(letter: str, missing: int) -> np.ndarray:
        if letter not in numbers:
            return np.full(len(names), missing)
        first, stop = numbers[letter]
        return digits[:, first:stop] @ 10 ** np.arange(stop - first, dtype=np.int64)[::-1]

    short = number("y", 0)
    year = number("Y", 0) if "Y" in numbers else short + np.where(short >= 69, 1900, 2000)  # POSIX
    month, day = number("m", 1), number("d", 1)
    hour, minute, second = (number(letter, 0) for letter in "HMS")
    ns = number("f", 0) * 10 ** (9 - (numbers["f"][1] - numbers["f"][0])) if "f" in numbers else 0
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    first_day, next_month = (each.astype("datetime64[D]").astype(np.int64) for each in (months, months + 1))
    days = first_day + day - 1
    exists = (month >= 1) & (month <= 12) & (day >= 1) & (days < next_month)
    exists &= (days >= FIRST_DAY - _EPOCH_DAY) & (days <= LAST_DAY - _EPOCH_DAY)
    exists &= (year >= 1900) & (year <= 2099) if where.recent else True
    exists &= (hour < 24) & (minute < 60) & (second <= 60)
    walls = (days * 86400 + hour * 3600 + minute * 60 + second) * SECOND + ns
    return walls, exists
