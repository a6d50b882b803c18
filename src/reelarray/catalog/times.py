"""When each file starts: from a timestamp.csv, its header, its name, or back to back from a given time."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from fractions import Fraction
from typing import Any

import numpy as np

from reelarray.catalog.columns import NAT, UNREAD, Headers
from reelarray.catalog.files import natural_order
from reelarray.catalog.names import file_name, read_names
from reelarray.catalog.readings import Reading
from reelarray.catalog.recorders import recognise
from reelarray.catalog.soundtrap import log_beside, read_log
from reelarray.catalog.zones import SECOND, Ambiguous, iso, localise, parse_zone, read_iso
from reelarray.errors import ClockError, FormatError

# Header and name of one file may differ by what a recorder needs to open it.
AGREE_NS = 2 * SECOND
# Flags of a file that may have recorded longer than it has samples, or not as long.
_CUT_SHORT = frozenset(("truncated", "unfinished", "zero_tail", "trailing_bytes"))


@dataclass(frozen=True)
class TimeRule:
    """Where start times come from, as the caller said it."""

    timestamp: str | Sequence[str] | None
    offsets: tuple[int, int] | None
    recorder: str | None
    zone: tzinfo
    ambiguous: Ambiguous | None
    prefer: tuple[str, ...]

    @property
    def explicit(self) -> bool:
        """Did the caller say how names are read?"""
        return self.timestamp is not None or self.offsets is not None


@dataclass
class Starts:
    """Start of each file in UTC ns (NAT: none), where it comes from, and by row what is odd about it.

    `read_by` counts the rules that read names.
    """

    ns: np.ndarray
    source: np.ndarray
    notes: defaultdict[int, list[str]]
    read_by: dict[str, int] = field(default_factory=dict)

    @classmethod
    def unknown(cls, count: int) -> Starts:
        return cls(np.full(count, NAT, np.int64), np.full(count, "", object), defaultdict(list))


# Rows, their wall-clock ns, the zone of these, and who says so.
Stated = tuple[np.ndarray, np.ndarray, tzinfo, str]


def check_prefer(prefer: Sequence[str] | None, explicit: bool) -> tuple[str, ...]:
    """The order of sources: the header before the name, unless the caller gave a template or an order."""
    if prefer is None:
        return ("name", "header") if explicit else ("header", "name")
    order = (prefer,) if isinstance(prefer, str) else tuple(prefer)
    if not order or len(set(order)) != len(order) or set(order) - {"header", "name"}:
        raise ClockError(f"prefer={prefer!r} was given; expected 'header', 'name', or both in the order of preference")
    return order


def find_starts(headers: Headers, rule: TimeRule, *, listed: Mapping[str, int], logs: frozenset[str]) -> Starts:
    """Starts of files from a timestamp.csv (`listed`: path to UTC ns), their headers and their names.

    Raises
    ------
    ClockError : a template that matches no name; names with two readings; times that a clock change makes ambiguous
    """
    starts = Starts.unknown(len(headers))
    if listed:
        for row, path in enumerate(headers.path):
            if path in listed:
                starts.ns[row], starts.source[row] = listed[path], "csv"
            else:
                starts.notes[row].append("not_listed: the timestamp.csv that is used does not name this file")
    contradictions: list[tuple[int, str, int]] = []
    torn: list[str] = []
    for source in rule.prefer:
        read = _from_headers if source == "header" else _from_names
        for rows, walls, zone, by in read(headers, rule, logs, starts):
            new = starts.ns[rows] == NAT
            utc = _localised(headers, rows, walls, new, zone, rule.ambiguous, torn)
            known = utc != NAT
            apart = known & ~new & (np.abs(utc - starts.ns[rows]) > AGREE_NS)
            contradictions += zip(rows[apart].tolist(), [by] * int(apart.sum()), utc[apart].tolist(), strict=True)
            starts.ns[rows[new & known]], starts.source[rows[new & known]] = utc[new & known], by
    if torn:
        more = f"\n  and {len(torn) - 10} more" if len(torn) > 10 else ""
        raise ClockError(f"{len(torn)} start times are ambiguous:\n  " + "\n  ".join(torn[:10]) + more)
    for row, notes in starts.notes.items():
        if starts.ns[row] != NAT:
            _soften(notes, keep_missing=rule.explicit)
    for row in np.flatnonzero(starts.ns == NAT).tolist():
        if not any(note.startswith(("no_time", "impossible_date")) for note in starts.notes[row]):
            starts.notes[row].append(
                f"no_time: nothing in its {' or '.join(rule.prefer)}; pass timestamp=, timestamps_csv= or start="
            )
    for row, by, ns in contradictions:
        apart_s = (ns - int(starts.ns[row])) / SECOND
        starts.notes[row].append(
            f"header_time: {by} says {iso(ns)}, {apart_s:+.3f} s from the start used ({starts.source[row]})"
        )
    return starts


def _localised(
    headers: Headers,
    rows: np.ndarray,
    walls: np.ndarray,
    needed: np.ndarray,
    zone: tzinfo,
    ambiguous: Ambiguous | None,
    torn: list[str],
) -> np.ndarray:
    """UTC ns; NAT where a clock change leaves two readings, which goes into `torn` where the time is needed."""
    if isinstance(zone, dt.timezone):
        return walls + localise(0, zone)
    utc = np.full(len(walls), NAT, np.int64)
    for k, (row, wall) in enumerate(zip(rows.tolist(), walls.tolist(), strict=True)):
        try:
            utc[k] = localise(wall, zone, ambiguous)
        except ClockError as error:
            if needed[k]:
                torn.append(f"{file_name(headers.path[row])}: {error}")
    return utc


def _soften(notes: list[str], *, keep_missing: bool) -> None:
    """A start is known from elsewhere: what was odd about the other source is information, no longer a fault."""
    kept = [note for note in notes if keep_missing or not note.startswith("no_time: ")]
    notes[:] = [
        "name_time: " + note.partition(": ")[2] if note.startswith(("no_time: ", "impossible_date: ")) else note
        for note in kept
    ]


def _from_names(headers: Headers, rule: TimeRule, logs: frozenset[str], starts: Starts) -> list[Stated]:
    paths = headers.path
    if rule.explicit:
        readings = read_names(paths, rule.timestamp, rule.offsets)
        if all(reading.problem.startswith("no_time") for reading in readings):
            names = [file_name(path) for path in paths]
            more = f" and {len(names) - 10} more" if len(names) > 10 else ""
            what = readings[0].problem.removeprefix("no_time: ")
            raise ClockError(
                f"none of {len(names)} file names has a time: {what}; the names are {', '.join(names[:10])}{more}"
            )
    else:
        readings = [Reading(None)] * len(paths)
        needed = starts.ns == NAT
        for rows, strict in ((np.flatnonzero(needed).tolist(), True), (np.flatnonzero(~needed).tolist(), False)):
            found = recognise([paths[row] for row in rows], rule.recorder, strict=strict)
            for row, reading in zip(rows, found, strict=True):
                readings[row] = reading
    read = Counter(reading.by for reading in readings if reading.wall is not None)
    starts.read_by = dict(read.most_common())
    groups: defaultdict[int | None, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for row, reading in enumerate(readings):
        if reading.wall is not None:
            of_zone = groups[reading.offset]
            of_zone[0].append(row)
            of_zone[1].append(reading.wall)
        elif rule.explicit or starts.ns[row] == NAT or not reading.problem.startswith("no_time"):
            starts.notes[row].append(reading.problem)
    return [
        (np.array(rows), np.array(walls, np.int64), rule.zone if offset is None else _fixed(offset), "name")
        for offset, (rows, walls) in groups.items()
    ]


def _fixed(offset: int) -> tzinfo:
    return dt.timezone(dt.timedelta(seconds=offset))


def _from_headers(headers: Headers, rule: TimeRule, logs: frozenset[str], starts: Starts) -> list[Stated]:
    told = _from_logs(headers, rule, logs, starts) if logs else {}
    groups: defaultdict[tuple[tzinfo, str], dict[int, int]] = defaultdict(dict)
    for row, ns in told.items():
        if ns is not None:
            groups[UTC, "soundtrap"][row] = ns
    silent = headers.start == NAT
    for row in np.flatnonzero(~silent).tolist():
        if row not in told:
            by = str(headers.metadata.get(row, {}).get("start_source") or "header")
            groups[UTC, by][row] = int(headers.start[row])
    for row, metadata in headers.metadata.items():
        if silent[row] and row not in told and (naive := metadata.get("naive_start")):
            by = str(metadata.get("start_source") or "header")
            if wall := read_iso(str(naive)):
                groups[rule.zone, by][row] = wall[0]
            else:
                starts.notes[row].append(f"impossible_date: {naive!r} in the header ({by}) is no date and time")
    return [
        (np.array(list(found)), np.array(list(found.values()), np.int64), zone, by)
        for (zone, by), found in groups.items()
    ]


def _from_logs(headers: Headers, rule: TimeRule, logs: frozenset[str], starts: Starts) -> dict[int, int | None]:
    """UTC ns by row of files with a log that can be read, None where it does not say; what it says goes to metadata."""
    by_lower = {log.lower(): log for log in logs}
    told: dict[int, int | None] = {}
    for row, path in enumerate(headers.path):
        log = by_lower.get(log_beside(path).lower())
        if log is None or headers.make[row] == UNREAD:
            continue
        frames, rate = int(headers.frames[row]), float(headers.makes[headers.make[row]].rate)
        try:
            found = read_log(log, rate, rule.zone, rule.ambiguous)
        except (FormatError, OSError) as error:
            starts.notes[row].append(f"unreadable_log: {error}")
            continue
        told[row] = found.start_ns
        if found.samples is not None and found.samples != frames:
            starts.notes[row].append(
                f"log: {found.metadata['log']} counts {found.samples:,} samples, the file has {frames:,}"
            )
        if found.gap_us:
            starts.notes[row].append(
                f"gap_inside: {found.metadata['log']} counts {found.gap_us / 1e6:.6f} s of sampling gaps "
                "within the file, whose labels know nothing of them"
            )
        headers.metadata.setdefault(row, {})["soundtrap"] = found.metadata
    return told


def place_back_to_back(headers: Headers, start_ns: int) -> Starts:
    """Starts of files that follow each other without a gap from `start_ns` on, in the natural order of their paths.

    Behind a file that was cut short, or cannot be read, nothing has a time: how much is missing there is not known.
    """
    starts = Starts.unknown(len(headers))
    rate = Fraction(1)
    before, frames = Fraction(0), 0  # seconds until the rate last changed, and frames since: exact, and soon added up
    broken = ""
    for row in sorted(range(len(headers)), key=lambda row: natural_order(headers.path[row])):
        if broken:
            starts.notes[row].append(
                f"no_time: {broken}; pass timestamp= or timestamps_csv=, repair that file, or exclude= it if nothing "
                "is missing between its neighbours"
            )
            continue
        starts.ns[row] = start_ns + int((before + frames / rate) * SECOND)
        starts.source[row] = "given"
        if headers.make[row] == UNREAD:
            broken = f"it follows {file_name(headers.path[row])}, whose length is unknown"
            continue
        make = headers.makes[headers.make[row]]
        if cut := [flag for flag in make.flags if flag in _CUT_SHORT]:
            broken = f"a file before was cut short ({file_name(headers.path[row])}: {cut[0]})"
        if make.rate is not rate:
            before, frames, rate = before + frames / rate, 0, make.rate
        at, ns = headers.breaks.get(row, ((0, 0),))[-1]
        before += Fraction(ns, SECOND)  # up to the last jump inside
        frames += int(headers.frames[row]) - at
    return starts


def given_start(start: Any, zone: tzinfo, ambiguous: Ambiguous | None) -> int:
    """UTC ns of a start given as ISO text, datetime or datetime64; without an offset it is in `zone`.

    >>> given_start("1970-01-01T01:00:00+01:00", UTC, None)
    0
    """
    text = start
    if isinstance(start, np.datetime64):
        text = "" if np.isnat(start) else str(start.astype("datetime64[ns]"))
    elif isinstance(start, dt.datetime):
        # pandas' Timestamp has nanoseconds of its own
        whole = start.astimezone(UTC).replace(tzinfo=None) if start.tzinfo is not None else start
        text = whole.isoformat() + ("Z" if start.tzinfo is not None else "")
    found = read_iso(text) if isinstance(text, str) else None
    if found is None:
        raise ClockError(
            f"start={start!r} was given; expected a time such as '2022-09-25T22:34:50Z', a datetime or a datetime64"
        )
    wall, offset = found
    return localise(wall, parse_zone(offset) if offset else zone, ambiguous)
