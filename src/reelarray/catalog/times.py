"""When each file starts: from a timestamp.csv, its header, its name, or back to back from a given time."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from fractions import Fraction
from typing import Any

import numpy as np

from reelarray.catalog.files import natural_order
from reelarray.catalog.names import Reading, file_name, read_names
from reelarray.catalog.recorders import recognise
from reelarray.catalog.soundtrap import log_beside, read_log
from reelarray.catalog.zones import SECOND, Ambiguous, iso, localise, parse_zone, read_iso
from reelarray.errors import ClockError, FormatError
from reelarray.source import Header

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


@dataclass
class Starts:
    """Start of each file in UTC ns, where it comes from, and what is odd about it; `read_by` counts the rules used."""

    ns: list[int | None]
    source: list[str]
    notes: list[list[str]]
    read_by: dict[str, int] = field(default_factory=dict)


def check_prefer(prefer: Sequence[str] | None, explicit: bool) -> tuple[str, ...]:
    """The order of sources: the header before the name, unless the caller gave a template or an order."""
    if prefer is None:
        return ("name", "header") if explicit else ("header", "name")
    order = (prefer,) if isinstance(prefer, str) else tuple(prefer)
    if not order or len(set(order)) != len(order) or set(order) - {"header", "name"}:
        raise ClockError(f"prefer={prefer!r} was given; expected 'header', 'name', or both in the order of preference")
    return order


def find_starts(
    paths: Sequence[str],
    headers: Sequence[Header | str],
    rule: TimeRule,
    *,
    listed: Mapping[str, int],
    logs: frozenset[str],
) -> Starts:
    """Starts of files from a timestamp.csv (`listed`: path to UTC ns), their headers and their names.

    Raises
    ------
    ClockError : a template that matches no name; names with two readings; times that a clock change makes ambiguous
    """
    starts = Starts(
        [listed.get(path) for path in paths], ["csv" if path in listed else "" for path in paths], [[] for _ in paths]
    )
    for path, notes in zip(paths, starts.notes, strict=True):
        if listed and path not in listed:
            notes.append("not_listed: the timestamp.csv that is used does not name this file")
    others: list[list[tuple[str, int]]] = [[] for _ in paths]
    torn: list[str] = []
    for source in rule.prefer:
        stated = (
            _from_headers(paths, headers, rule, logs, starts.notes)
            if source == "header"
            else _from_names(paths, rule, starts)
        )
        for index, (wall, zone, by) in stated.items():
            used = starts.ns[index] is None
            try:
                ns = localise(wall, zone, rule.ambiguous)
            except ClockError as error:
                if used:
                    torn.append(f"{file_name(paths[index])}: {error}")
                continue
            if used:
                starts.ns[index], starts.source[index] = ns, by
            else:
                others[index].append((by, ns))
    if torn:
        more = f"\n  and {len(torn) - 10} more" if len(torn) > 10 else ""
        raise ClockError(f"{len(torn)} start times are ambiguous:\n  " + "\n  ".join(torn[:10]) + more)
    for index, notes in enumerate(starts.notes):
        used_ns = starts.ns[index]
        if used_ns is None:
            if not any(note.startswith(("no_time", "impossible_date")) for note in notes):
                notes.append(
                    f"no_time: nothing in its {' or '.join(rule.prefer)}; pass timestamp=, timestamps_csv= or start="
                )
            continue
        explicit = rule.timestamp is not None or rule.offsets is not None
        _soften(notes, keep_missing=explicit)
        for by, ns in others[index]:
            if abs(ns - used_ns) > AGREE_NS:
                apart = (ns - used_ns) / SECOND
                notes.append(
                    f"header_time: {by} says {iso(ns)}, {apart:+.3f} s from the start used ({starts.source[index]})"
                )
    return starts


def _soften(notes: list[str], *, keep_missing: bool) -> None:
    """A start is known from elsewhere: what was odd about the other source is information, no longer a fault."""
    kept = [note for note in notes if keep_missing or not note.startswith("no_time: ")]
    notes[:] = [
        "name_time: " + note.partition(": ")[2] if note.startswith(("no_time: ", "impossible_date: ")) else note
        for note in kept
    ]


def _from_names(paths: Sequence[str], rule: TimeRule, starts: Starts) -> dict[int, tuple[int, tzinfo, str]]:
    readings: list[Reading]
    if rule.timestamp is not None or rule.offsets is not None:
        readings = read_names(paths, rule.timestamp, rule.offsets)
        if all(reading.problem.startswith("no_time") for reading in readings):
            names = [file_name(path) for path in paths]
            more = f" and {len(names) - 10} more" if len(names) > 10 else ""
            what = readings[0].problem.removeprefix("no_time: ")
            raise ClockError(
                f"none of {len(names)} file names has a time: {what}; the names are {', '.join(names[:10])}{more}"
            )
    else:
        needed = [index for index, ns in enumerate(starts.ns) if ns is None]
        found = dict(zip(needed, recognise([paths[index] for index in needed], rule.recorder), strict=True))
        rest = [index for index in range(len(paths)) if index not in found]
        found |= zip(rest, recognise([paths[index] for index in rest], rule.recorder, strict=False), strict=True)
        readings = [found[index] for index in range(len(paths))]
    starts.read_by = dict(Counter(reading.by for reading in readings if reading.wall is not None).most_common())
    stated: dict[int, tuple[int, tzinfo, str]] = {}
    for index, reading in enumerate(readings):
        if reading.wall is not None:
            zone = rule.zone if reading.offset is None else dt.timezone(dt.timedelta(seconds=reading.offset))
            stated[index] = (reading.wall, zone, "name")
        else:
            starts.notes[index].append(reading.problem)
    return stated


def _from_headers(
    paths: Sequence[str], headers: Sequence[Header | str], rule: TimeRule, logs: frozenset[str], notes: list[list[str]]
) -> dict[int, tuple[int, tzinfo, str]]:
    by_lower = {log.lower(): log for log in logs}
    stated: dict[int, tuple[int, tzinfo, str]] = {}
    for index, (path, header) in enumerate(zip(paths, headers, strict=True)):
        if isinstance(header, str):
            continue
        source = str(header.metadata.get("start_source") or "header")
        log = by_lower.get(log_beside(path).lower()) if by_lower else None
        if log is not None:
            try:
                found = read_log(log, float(header.rate), rule.zone, rule.ambiguous)
                if found.start_ns is not None:
                    stated[index] = (found.start_ns, UTC, "soundtrap")
                if found.samples is not None and found.samples != header.frames:
                    notes[index].append(
                        f"log: {found.metadata['log']} counts {found.samples:,} samples, the file has {header.frames:,}"
                    )
                if found.gap_us:
                    notes[index].append(
                        f"gap_inside: {found.metadata['log']} counts {found.gap_us / 1e6:.6f} s of sampling gaps "
                        "within the file, whose labels know nothing of them"
                    )
                if isinstance(header.metadata, dict):
                    header.metadata["soundtrap"] = found.metadata
                continue
            except (FormatError, OSError) as error:
                notes[index].append(f"unreadable_log: {error}")
        if header.start_ns is not None:
            stated[index] = (header.start_ns, UTC, source)
        elif naive := header.metadata.get("naive_start"):
            if wall := read_iso(str(naive)):
                stated[index] = (wall[0], rule.zone, source)
            else:
                notes[index].append(f"impossible_date: {naive!r} in the header ({source}) is no date and time")
    return stated


def place_back_to_back(paths: Sequence[str], headers: Sequence[Header | str], start_ns: int) -> Starts:
    """Starts of files that follow each other without a gap from `start_ns` on, in the natural order of their paths.

    Behind a file that was cut short, or cannot be read, nothing has a time: how much is missing there is not known.
    """
    starts = Starts([None] * len(paths), [""] * len(paths), [[] for _ in paths])
    elapsed: Fraction = Fraction(0)
    broken = ""
    for index in sorted(range(len(paths)), key=lambda index: natural_order(paths[index])):
        header = headers[index]
        if broken:
            starts.notes[index].append(
                f"no_time: {broken}; pass timestamp= or timestamps_csv=, repair that file, or exclude= it if nothing "
                "is missing between its neighbours"
            )
            continue
        starts.ns[index] = start_ns + int(elapsed * SECOND)
        starts.source[index] = "given"
        if isinstance(header, str):
            broken = f"it follows {file_name(paths[index])}, whose length is unknown"
        elif cut := [flag for flag in header.flags if flag in _CUT_SHORT]:
            broken = f"a file before was cut short ({file_name(paths[index])}: {cut[0]})"
        else:
            elapsed += header.frames / header.rate
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
