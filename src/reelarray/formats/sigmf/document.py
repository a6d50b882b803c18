"""The JSON of SigMF: read within bounded memory, and its values by key, with errors that name the key."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from ...errors import FormatError
from ...exact import NANOSECONDS

LARGEST = 64 * 2**20  # bytes of JSON
MOST_VALUES = 3_000_000  # in it: each takes up to a hundred bytes of memory, and two bytes of text can make one
_DATATYPE = re.compile(r"([cr])(?:([fiu])(8|16|32|64))(?:_(le|be))?")
_TYPES = ("f32", "f64", "i32", "i16", "u32", "u16", "i8", "u8")
# RFC 3339, as SigMF asks for; other zones than Z, and none (UTC then), are found in files.
_TIME = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:[.,](\d+))?\s*([Zz]|[+-]\d\d:?\d\d)?")
_INT64 = 2**63
_LARGEST_FLOAT = sys.float_info.max


@dataclass(frozen=True)
class Datatype:
    """How one component of a sample is stored: NumPy's type of it, whether samples are pairs I, Q, and their name."""

    name: str
    code: str
    pairs: bool

    @classmethod
    def of(cls, name: str, path: str) -> Datatype:
        """`"ci16_le"` -> Datatype; raises `FormatError` that lists those there are.

        >>> Datatype.of("ci16_le", "x").code, Datatype.of("ru8", "x").code
        ('<i2', 'u1')
        """
        match = _DATATYPE.fullmatch(name)
        one_byte = match is not None and match[3] == "8"
        if match is None or match[2] + match[3] not in _TYPES or one_byte != (match[4] is None):
            raise FormatError(
                f"{path}: 'core:datatype' is {shown(name)}; c (I, Q) or r (real), one of {' '.join(_TYPES)}, and _le "
                "or _be for more than 8 bits was expected, such as 'cf32_le': correct it in the file"
            )
        order = {"le": "<", "be": ">", None: ""}[match[4]]
        return cls(name, f"{order}{match[2]}{int(match[3]) // 8}", match[1] == "c")

    @property
    def width(self) -> int:
        """Bytes of one component."""
        return int(self.code[-1])

    @property
    def integer(self) -> bool:
        return "f" not in self.code


def parse(data: bytes, path: str) -> dict[str, Any]:
    """One JSON object from UTF-8; NaN and infinities, which JSON does not have, become text.

    Raises `FormatError` that says where the text is broken, or that it is too large to be metadata.
    """
    check_size(len(data), path)
    values = sum(map(data.count, (b",", b"[", b"{")))
    if values > MOST_VALUES:
        raise FormatError(
            f"{path}: about {values:,} values of metadata; up to {MOST_VALUES:,} are read. Move what is not about the "
            "recording as a whole, such as very many annotations, to a file of its own"
        )
    try:
        found = json.loads(data.decode("utf-8-sig"), parse_constant=str)
    except RecursionError:
        raise FormatError(f"{path}: its JSON is nested too deeply to be SigMF metadata; repair or skip it") from None
    except ValueError as error:  # broken JSON, broken UTF-8, a number of thousands of digits
        raise FormatError(f"{path} is no JSON text in UTF-8: {error}; the file is damaged or something else") from None
    if not isinstance(found, dict):
        raise FormatError(f"{path} holds a JSON {type(found).__name__}; an object with 'global' was expected")
    return found


def check_size(size: int, path: str) -> None:
    if size > LARGEST:
        raise FormatError(
            f"{path}: {size:,} bytes of metadata; up to {LARGEST:,} are read. Move what is not about the recording "
            "as a whole, such as very many annotations, to a file of its own"
        )


def shown(value: Any) -> str:
    """A value as errors show it: not longer than a line."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


@dataclass(frozen=True)
class Fields:
    """One object of the metadata, `where` in the file: values by key, None where a key is not there."""

    values: Mapping[str, Any]
    where: str
    path: str

    @classmethod
    def of(cls, value: Any, where: str, path: str) -> Fields:
        if not isinstance(value, dict):
            raise FormatError(f"{path}: {where} is {shown(value)}; an object was expected: correct it in the file")
        return cls(value, where, path)

    def required(self, key: str) -> None:
        if key not in self.values:
            raise FormatError(f"{self.path}: {self.where} has no {key!r}, which SigMF requires; add it to the file")

    def text(self, key: str) -> str | None:
        value = self.values.get(key)
        if value is not None and not isinstance(value, str):
            self.wrong(key, "text")
        return value

    def integer(self, key: str, least: int = 0) -> int | None:
        """A whole number; 3.0 is one, as in JSON schemas."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < _INT64:
            self.wrong(key, f"a whole number from {least} on")
        return value

    def number(self, key: str) -> float | None:
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST_FLOAT:
            self.wrong(key, "a finite number")
        return float(value)

    def time(self, key: str) -> Time | None:
        value = self.text(key)
        if value is None:
            return None
        found = Time.of(value)
        if found is None:
            self.wrong(key, "an ISO 8601 time between 1678 and 2262, such as '2022-03-01T12:00:00.5Z',")
        return found

    def objects(self, key: str) -> list[Fields]:
        """A list of objects; an absent one is empty."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            self.wrong(key, "a list")
        inside = key.removesuffix("s")
        return [Fields.of(each, f"{inside} {k}", self.path) for k, each in enumerate(value)]

    def wrong(self, key: str, expected: str) -> NoReturn:
        raise FormatError(
            f"{self.path}: {key!r} of {self.where} is {shown(self.values.get(key))}; {expected} was expected: correct "
            "it in the file"
        )


@dataclass(frozen=True)
class Time:
    """A time: UTC ns since 1970, the ns that its last digit tells, and its zone where that is not UTC."""

    ns: int
    digit: int
    offset: str | None

    @classmethod
    def of(cls, text: str) -> Time | None:
        """From ISO 8601 with any number of digits, of which nine count; None for anything else.

        >>> Time.of("1970-01-01T01:00:00.25+01:00")
        Time(ns=250000000, digit=10000000, offset='+01:00')
        """
        match = _TIME.fullmatch(text.strip())
        if match is None:
            return None
        leap = match[1].endswith(":60")  # the second after 23:59:59, which is the next one here
        try:
            moment = datetime.fromisoformat(match[1].replace("t", "T")[:-2] + ("59" if leap else match[1][-2:]))
        except ValueError:
            return None
        digits = (match[2] or "")[:9]
        seconds = (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // _SECOND + leap
        zone = match[3] or "Z"
        minutes = 0 if zone in "Zz" else int(zone[1:3]) * 60 + int(zone[-2:])
        seconds -= 60 * (-minutes if zone[0] == "-" else minutes)
        ns = seconds * NANOSECONDS + int(digits.ljust(9, "0"))
        if abs(ns) >= _INT64:
            return None
        return cls(ns, 10 ** (9 - len(digits)), None if zone in "Zz" else f"{zone[:3]}:{zone[-2:]}")


_SECOND = datetime(1970, 1, 1, 0, 0, 1) - datetime(1970, 1, 1)
