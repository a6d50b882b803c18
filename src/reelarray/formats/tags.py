"""What recorders write about a recording: bext, INFO, AudioMoth comments, GUANO; and when it started, if they say."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from datetime import date
from typing import Any

_DAY_NS = 86_400 * 10**9
_EPOCH = date(1970, 1, 1).toordinal()

_MOTH_TIME = re.compile(
    r"(?P<hour>\d{1,2}):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?\s+"
    r"(?P<day>\d{1,2})/(?P<month>\d{1,2})/(?P<year>\d{4})"
    r"(?:\s*\((?P<zone>UTC)(?:(?P<sign>[+-])(?P<zone_hour>\d{1,2})(?::?(?P<zone_minute>\d\d))?)?\))?"
)
_MOTH_DEVICE = re.compile(r"\b([0-9A-F]{16})\b")
_MOTH_GAIN = re.compile(r"\bat ((?:gain setting \d+)|(?:[a-z-]+ gain))\b", re.IGNORECASE)
_MOTH_BATTERY = re.compile(r"battery(?: state)? was (?:(greater|less) than )?(\d+(?:\.\d+)?) ?V", re.IGNORECASE)
_MOTH_TEMPERATURE = re.compile(r"temperature was (-?\d+(?:\.\d+)?) ?°? ?C", re.IGNORECASE)

_ISO_TIME = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[T ](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d))?"
    r"(?:[.,](?P<fraction>\d{1,9})\d*)?\s*(?:(?P<zone>Z)|(?P<sign>[+-])(?P<zone_hour>\d\d):?(?P<zone_minute>\d\d)?)?"
)
# Recorders put -, :, /, . or a blank between the numbers of a bext date and time.
_BEXT_TIME = re.compile(
    r"(?P<year>\d{4})\D(?P<month>\d\d)\D(?P<day>\d\d) (?P<hour>\d\d)\D(?P<minute>\d\d)\D(?P<second>\d\d)"
)


def bext(body: bytes) -> dict[str, Any]:
    """The body of a `bext` chunk (602 bytes and more) -> its texts, and its time reference in samples.

    The time reference is kept as it is: recorders disagree about what it counts from.
    """
    found: dict[str, Any] = {
        name: value
        for name, start, stop in (
            ("description", 0, 256),
            ("originator", 256, 288),
            ("originator_reference", 288, 320),
            ("date", 320, 330),
            ("time", 330, 338),
            ("coding_history", 602, len(body)),
        )
        if (value := text(body[start:stop]))
    }
    if len(body) >= 346:
        found["time_reference"] = int.from_bytes(body[338:346], "little")
    return found


def info(body: bytes, order: str = "<") -> dict[str, str]:
    """The body of a `LIST` chunk -> its INFO items, name to text; nothing for lists of another kind."""
    items: dict[str, str] = {}
    if body[:4] not in (b"INFO", b"info"):
        return items
    position = 4
    while position + 8 <= len(body):
        name = text(body[position : position + 4])
        size = int.from_bytes(body[position + 4 : position + 8], "big" if order == ">" else "little")
        value = text(body[position + 8 : position + 8 + size])
        if name and value:
            items.setdefault(name, value)
        position += 8 + size + (size & 1)
    return items


def audiomoth(comment: str) -> dict[str, Any]:
    """The comment of an AudioMoth or HydroMoth -> what it says; each piece by itself, as wordings vary with firmware.

    >>> found = audiomoth("Recorded at 10:25:00 04/04/2020 (UTC) by AudioMoth 24526B065D325963 at gain setting 2 "
    ...                   "while battery state was 4.7V.")
    >>> found["device"], found["gain"], found["battery_volts"], found["start"]
    ('24526B065D325963', 'gain setting 2', 4.7, '2020-04-04T10:25:00+00:00')
    """
    found: dict[str, Any] = {}
    if match := _MOTH_TIME.search(comment):
        found["start"] = _iso(match)
    if match := _MOTH_DEVICE.search(comment):
        found["device"] = match[1]
    if match := _MOTH_GAIN.search(comment):
        found["gain"] = match[1]
    if match := _MOTH_BATTERY.search(comment):
        found["battery_volts"] = float(match[2])
        if match[1]:
            found["battery_bound"] = match[1].lower()
    if match := _MOTH_TEMPERATURE.search(comment):
        found["temperature_celsius"] = float(match[1])
    return found


def guano(body: bytes) -> dict[str, str]:
    """The body of a `guan` chunk: UTF-8 lines `key: value` -> key to value."""
    lines = (line.partition(":") for line in text(body).splitlines())
    return {key.strip(): value.strip() for key, colon, value in lines if colon and key.strip()}


def auxi(body: bytes) -> dict[str, Any]:
    """The body of an `auxi` chunk of a radio recorder: two SYSTEMTIMEs and the center frequency [Hz].

    Writers disagree about the zone of the times, so they start nothing: they are kept as naive ISO text.
    """
    if len(body) < 36:
        return {}
    found: dict[str, Any] = {"center_frequency": int.from_bytes(body[32:36], "little")}
    for name, at in (("start", 0), ("stop", 16)):
        year, month, _, day, hour, minute, second, milliseconds = struct.unpack_from("<8H", body, at)
        found[name] = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}"
    return found


def start(metadata: Mapping[str, Any]) -> tuple[int | None, dict[str, str]]:
    """Metadata -> UTC ns of the first sample where the header states UTC or an offset, and where that was found.

    A time without a zone is not guessed at: it comes back as `naive_start`, ISO text. A stated zone beats a naive time,
    then AudioMoth beats GUANO beats bext.
    """
    stated = {
        "audiomoth": metadata.get("audiomoth", {}).get("start", ""),
        "guano": metadata.get("guano", {}).get("Timestamp", ""),
        "bext": " ".join(metadata.get("bext", {}).get(part, "") for part in ("date", "time")),
    }
    naive: dict[str, str] = {}
    for source, value in stated.items():
        match = (_BEXT_TIME if source == "bext" else _ISO_TIME).match(value)
        utc_ns = _ns(match) if match else None
        if match is None or utc_ns is None:
            continue
        if source != "bext" and (match["zone"] or match["sign"]):
            return utc_ns, {"start_source": source}
        if not naive:
            naive = {"naive_start": _iso(match), "start_source": source}
    return None, naive


def level(metadata: Mapping[str, Any]) -> tuple[str, float]:
    """Metadata -> units and the value of full scale in them, which `write_audio` states; "1" and 1 for other files."""
    stated = metadata.get("guano", {})
    try:
        scale = float(stated.get("reelarray|Scale", "1"))
    except ValueError:
        return "1", 1.0
    return (stated.get("reelarray|Units") or "1", scale) if 0 < scale < math.inf else ("1", 1.0)


def text(body: bytes) -> str:
    """Bytes up to the first NUL -> text: UTF-8, or Latin-1 where they are not."""
    body = body.partition(b"\0")[0]
    try:
        return body.decode("utf-8").strip()
    except UnicodeDecodeError:
        return body.decode("latin-1").strip()


def _ns(match: re.Match[str]) -> int | None:
    """A matched time -> UTC ns since 1970 (of the naive time where it has no zone); None for an impossible one."""
    part = match.groupdict()
    try:
        days = date(int(part["year"]), int(part["month"]), int(part["day"])).toordinal() - _EPOCH
    except ValueError:
        return None
    hour, minute, second = int(part["hour"]), int(part["minute"]), int(part["second"] or 0)
    if hour > 23 or minute > 59 or second > 60:  # 60: a leap second, or a recorder that rounds up
        return None
    east = 60 * int(part.get("zone_hour") or 0) + int(part.get("zone_minute") or 0)
    minutes = 60 * hour + minute - (-east if part.get("sign") == "-" else east)
    fraction = int((part.get("fraction") or "0").ljust(9, "0"))
    return days * _DAY_NS + (60 * minutes + second) * 10**9 + fraction


def _iso(match: re.Match[str]) -> str:
    """A matched time as ISO text, with its zone if it states one."""
    part = match.groupdict()
    found = f"{part['year']}-{int(part['month']):02}-{int(part['day']):02}"
    found += f"T{int(part['hour']):02}:{part['minute']}:{part['second'] or '00'}"
    if part.get("fraction"):
        found += f".{part['fraction']}"
    if part.get("sign"):
        return f"{found}{part['sign']}{int(part['zone_hour']):02}:{part.get('zone_minute') or '00'}"
    return found + "+00:00" if part.get("zone") else found
