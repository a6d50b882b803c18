"""File names of known recorders: which pattern reads a name, and when there is no time in it or two readings of it."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

from reelarray.catalog.names import assemble, file_name, stem_of
from reelarray.catalog.readings import ANY_DIGIT, NUMBERS, Place, Reading, read_alike
from reelarray.catalog.zones import SECOND, iso
from reelarray.errors import ClockError

_CLOCK = r"(?P<H>\d{2})(?P<M>\d{2})(?P<S>\d{2})"
_SHORT_DATE = r"(?P<y>\d{2})(?P<m>\d{2})(?P<d>\d{2})"
_DATE = r"(?P<Y>(?:19|20)\d{2})(?P<m>\d{2})(?P<d>\d{2})"
_BLANK_DATE = r"(?P<Y>(?:19|20)\d{2})(?P<m>\d{2}| \d)(?P<d>\d{2}| \d)"
_DASHED = r"(?P<Y>(?:19|20)\d{2})-(?P<m>\d{2})-(?P<d>\d{2})_(?P<H>\d{2})-(?P<M>\d{2})-(?P<S>\d{2})"
# "+hhmm" is an offset, whatever its digits; "-hhmm" only where a zone has it: "-0001" behind a time is a number.
_OFFSET = r"(?P<z>Z|\+\d{4}(?!\d)|-(?:0\d|1[0-4])(?:00|15|30|45)(?!\d))?"
_START, _END = r"(?<!\d)", r"(?!\d)"
_UNDERSCORED = r"(?P<Y>(?:19|20)\d{2})_(?P<m>\d{2})_(?P<d>\d{2})_(?P<H>\d{2})_(?P<M>\d{2})_(?P<S>\d{2})"
# Unix seconds that a hexadecimal name can mean: from 2016 on, when the recorders that write them first appeared.
_FIRST_HEX = 0x56800000


@dataclass(frozen=True)
class Rule:
    """How some recorders write the start time into a file name.

    Parameters
    ----------
    name : what the report says
    recorders : names for `recorder=`, lower case
    regex : searched in the name without suffix; its groups are the letters of strftime's directives, or `hex`
    notes : what the times mean; "local" ones are in the zone that the recorder was set to
    offset : seconds east of UTC where that is so by definition, whatever zone the recorder was set to
    """

    name: str
    recorders: tuple[str, ...]
    regex: re.Pattern[str]
    notes: str
    offset: int | None = None


def _rule(name: str, recorders: str, pattern: str, notes: str, offset: int | None = None) -> Rule:
    return Rule(name, tuple(recorders.split()), re.compile(pattern, re.ASCII), notes, offset)


RULES: tuple[Rule, ...] = (
    _rule(
        "yyyymmdd_HHMMSS",
        "audiomoth hydromoth songmeter frontier iclisten ears nrs resea",
        # behind a prefix "_123" at the end is a decimal of the second: the next rule
        rf"(?:^|(?<=\D)(?P<prefix>)){_DATE}[_$]{_CLOCK}{_OFFSET}{_END}(?(prefix)(?!_\d{{1,9}}$))",
        "local unless it ends in Z or +hhmm; $ instead of _ when synchronised by GPS",
    ),
    _rule(
        "yyyymmdd_HHMMSS_fraction",
        "songmeter upam",
        rf"(?<=\D){_DATE}[_$]{_CLOCK}_(?P<f>\d{{1,9}})$",
        "local; decimals of the second, milliseconds where there are three",
    ),
    _rule(
        "yyyymmddTHHMMSS",
        "frontier amar nrs resea",
        rf"{_START}{_BLANK_DATE}T{_CLOCK}{_OFFSET}{_END}",
        "ISO 8601 basic: UTC with Z, the recorder's zone with +hhmm, else local; a blank may stand for a zero",
    ),
    _rule(
        "anything yyyymmddTHHMMSSZ",
        "amar",
        rf"{_DATE}T{_CLOCK}(?P<z>Z)$",
        "UTC; the last 16 characters, whatever stands before them",
    ),
    _rule(
        "yyyy-mm-dd_HH-MM-SS",
        "chorus rtsys nrs resea sony tascam zoom",
        rf"{_START}{_DASHED}{_END}",
        "local",
    ),
    _rule(
        "serial.yymmddHHMMSS",
        "soundtrap",
        rf"^\d+\.{_SHORT_DATE}{_CLOCK}$",
        "local or UTC, as the recorder was set up; its .log.xml says both",
    ),
    _rule(
        "yymmddHHMMSS",
        "bk nrs resea",
        rf"^{_SHORT_DATE}{_CLOCK}(?=_|$)",
        "local",
    ),
    _rule(
        "prefix.yymmddHHMMSS",
        "nrs resea",
        rf"(?<=[._]){_SHORT_DATE}{_CLOCK}$",
        "local",
    ),
    _rule(
        "yymmdd_HHMMSS",
        "mte nrs resea sony tascam zoom",
        rf"{_START}{_SHORT_DATE}_{_CLOCK}{_END}",
        "local",
    ),
    _rule(
        "yymmdd_HHMM text",
        "sony tascam zoom",
        rf"^{_SHORT_DATE}_(?P<H>\d{{2}})(?P<M>\d{{2}})(?= )",
        "local; without a text behind, four digits may be a counter and are not read",
    ),
    _rule(
        "HHMMSS_yyyymmdd",
        "uaural",
        rf"^{_CLOCK}_{_DATE}(?=_|$)",
        "local; the time stands before the date",
    ),
    _rule(
        "yyyy_mm_dd_HH_MM_SS_ffffff",
        "osekit",
        rf"{_START}{_UNDERSCORED}_(?P<f>\d{{1,9}}){_END}",
        "UTC, as written by OSEkit's and our own export; decimals of the second, nanoseconds where there are nine",
        offset=0,
    ),
    _rule(
        "yyyy_mm_dd_HH_MM_SS",
        "osekit",
        rf"{_START}{_UNDERSCORED}(?!_?\d)",
        "local; digits behind it would be decimals of the second: the rule above, or no time",
    ),
    _rule(
        "hexadecimal Unix seconds",
        "audiomoth",
        r"^(?P<hex>(?=.*[A-F])[5-7][0-9A-F]{7})$",
        "UTC; eight digits without a letter are read so only beside names that have one",
    ),
)
_HEX_DIGITS = _rule("hexadecimal Unix seconds", "audiomoth", r"^(?P<hex>[5-7]\d{7})$", RULES[-1].notes)


def rules_of(recorder: str) -> tuple[Rule, ...]:
    """Rules of one recorder, or the one rule of that name.

    Raises
    ------
    ClockError : a recorder that is not known

    >>> [rule.name for rule in rules_of("uAural")]
    ['HHMMSS_yyyymmdd']
    """
    wanted = recorder.lower() if isinstance(recorder, str) else ""
    found = tuple(rule for rule in RULES if wanted in rule.recorders or rule.name.lower() == wanted)
    if not found:
        known = sorted({name for rule in RULES for name in rule.recorders})
        near = difflib.get_close_matches(wanted, known, 1)
        raise ClockError(
            f"recorder={recorder!r} is not known{f'; did you mean {near[0]!r}?' if near else ''}; expected one of "
            f"{', '.join(known)}; for any other pass timestamp= with a strftime template"
        )
    return found


def recognise(names: Sequence[str], recorder: str | None = None, *, strict: bool = True) -> list[Reading]:
    """Readings of file names by the patterns of known recorders; `by` of each says which pattern it was.

    A name is read when all patterns that find a date and time in it find the same one. Names without a time keep a
    problem, and so do digits in the right places that are no date; neither is ever guessed. `strict=False` treats a
    name with two readings as one without time.

    Raises
    ------
    ClockError : names that two patterns read as different times; the text shows both readings

    >>> recognise(["5146.200828000000.wav", "hello.wav"])[0].by
    'serial.yymmddHHMMSS'
    """
    if recorder is not None:
        rules_of(recorder)
    stems = [stem_of(name) for name in names]
    alike = read_alike(stems, lambda shape: _place(shape, recorder))
    found = {row: _readings(stems[row], recorder) for row, reading in enumerate(alike) if reading is None}
    if any(reading.by == _HEX_DIGITS.name and reading.wall is not None for each in found.values() for reading in each):
        found = {row: each or _hex_digits(stems[row]) for row, each in found.items()}
    torn = [row for row, readings in found.items() if len(_instants(readings)) > 1]
    if torn and strict:
        others = [each[0] for each in found.values() if len(_instants(each)) == 1] + list(filter(None, alike))
        _refuse_ambiguous([(names[row], found[row]) for row in torn], Counter(reading.by for reading in others))
    found |= {row: [] for row in torn}
    return [reading or _choose(found[row], recorder) for row, reading in enumerate(alike)]


# What in a pattern asks for more than a digit, and the same without asking.
_NARROW = (("(?:19|20)", r"\d\d"), (r"(?:0\d|1[0-4])(?:00|15|30|45)", r"\d{4}"), ("[5-7]", r"\d"))


@lru_cache(maxsize=4096)
def _place(shape: str, recorder: str | None) -> Place | None:
    """Where all names of this shape are read, whatever their digits; None where that depends on them."""
    places = [_place_of(rule, shape) for rule in _possible(shape, recorder)]
    read_alike = {(tuple(each.numbers.items()), each.offset) if each else None for each in places}
    return places[0] if len(read_alike) == 1 else None


def _place_of(rule: Rule, shape: str) -> Place | None:
    wide = _any_digits(rule.regex.pattern)
    matches = [match for first in range(len(shape)) if (match := wide.match(shape, first))]
    if len(matches) != 1:
        return None
    texts = {letter: text for letter, text in matches[0].groupdict().items() if text}
    zone = texts.pop("z", None)
    if not texts.keys() <= NUMBERS or zone not in (None, "Z"):
        return None
    numbers = {letter: matches[0].span(letter) for letter in texts}
    offset = rule.offset if zone is None else 0
    return Place(rule.name, matches[0].span(), numbers, offset, recent="Y" in numbers)


@lru_cache(maxsize=4096)
def _possible(shape: str, recorder: str | None) -> tuple[Rule, ...]:
    """Rules that could read a name of this shape, whatever its digits are."""
    rules = RULES if recorder is None else rules_of(recorder)
    return tuple(rule for rule in rules if _any_digits(rule.regex.pattern).search(shape))


@lru_cache(maxsize=64)
def _any_digits(pattern: str) -> re.Pattern[str]:
    for narrow, wide in _NARROW:
        pattern = pattern.replace(narrow, wide)
    return re.compile(pattern, re.ASCII)


def _readings(stem: str, recorder: str | None) -> list[Reading]:
    """Everything that the rules read in one name; readings that are no date only where there is no other."""
    rules = _possible(stem.translate(ANY_DIGIT), recorder)
    readings = [_assemble(match, rule) for rule in rules for match in rule.regex.finditer(stem)]
    return [reading for reading in readings if reading.wall is not None] or readings


def _hex_digits(stem: str) -> list[Reading]:
    match = _HEX_DIGITS.regex.search(stem)
    return [_assemble(match, _HEX_DIGITS)] if match else []


def _assemble(match: re.Match[str], rule: Rule) -> Reading:
    fields = match.groupdict()
    if "hex" in fields:
        seconds = int(match["hex"], 16)
        if seconds >= _FIRST_HEX:
            return Reading(seconds * SECOND, 0, match["hex"], rule.name)
        problem = f"no_time: {match['hex']!r} would be {iso(seconds * SECOND)}, before such recorders existed"
        return Reading(None, None, match["hex"], rule.name, problem)
    for letter in ("m", "d"):
        if fields.get(letter):
            fields[letter] = fields[letter].strip()
    reading = assemble(fields, match.group(), rule.name)
    return reading if rule.offset is None or reading.wall is None else reading._replace(offset=rule.offset)


def _instants(readings: Sequence[Reading]) -> set[tuple[int | None, int | None]]:
    return {(reading.wall, reading.offset) for reading in readings if reading.wall is not None}


def _refuse_ambiguous(torn: Sequence[tuple[str, list[Reading]]], used: Counter[str]) -> NoReturn:
    lines = []
    for name, readings in torn[:10]:
        ways = " or ".join(
            dict.fromkeys(
                f"{iso(reading.wall).rstrip('Z')} ({reading.text!r} as {reading.by})"
                for reading in readings
                if reading.wall is not None
            )
        )
        lines.append(f"{file_name(name)}: {ways}")
    most = f"; {used.most_common(1)[0][1]} other names are read by {used.most_common(1)[0][0]}" if used else ""
    raise ClockError(
        f"{len(torn)} file names can be read in two ways, and which one is right is not guessed{most}; pass "
        "timestamp= with a strftime template, or recorder= to name the recorder:\n  " + "\n  ".join(lines)
    )


def _choose(readings: Sequence[Reading], recorder: str | None) -> Reading:
    if readings:
        return readings[0]
    whose = "any known recorder" if recorder is None else f"recorder={recorder!r}"
    problem = (
        f"no_time: the name has no date and time as written by {whose}; pass timestamp= with a strftime template, "
        "offsets=, timestamps_csv= or start="
    )
    return Reading(None, problem=problem)
