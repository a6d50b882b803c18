"""Start times in file names: strftime templates and character offsets, to the nanosecond, nothing guessed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral

from reelarray.catalog.readings import NUMBERS, Place, Reading, read_alike
from reelarray.catalog.zones import wall_ns
from reelarray.errors import ClockError

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTH_NAMES = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_TWO, _LOOSE = r"\d{2}", r"(?<!\d)\d{1,2}(?!\d)"
_DIRECTIVES = {
    "Y": r"\d{4}", "y": _TWO, "m": _TWO, "d": r"\d{2}| \d", "H": _TWO, "I": _TWO, "M": _TWO, "S": _TWO,
    "j": r"\d{3}", "f": r"\d{1,9}", "p": "am|pm", "z": r"Z|[+-]\d{2}:?\d{2}(?::?\d{2})?",
    "b": "|".join(MONTHS), "B": "|".join(MONTH_NAMES),
    "-m": _LOOSE, "-d": _LOOSE, "-H": _LOOSE, "-I": _LOOSE, "-M": _LOOSE, "-S": _LOOSE,
}  # fmt: skip
_ONLY_ONE = (("Y", "y"), ("m", "b", "B", "j"), ("d", "j"), ("H", "I"))
_DIGITS = frozenset("YymdHIMSjf")
# How many digits a slice holds says how they are read; more than 14 are decimals of the second.
_BY_COUNT = {12: "%y%m%d%H%M%S", 14: "%Y%m%d%H%M%S"} | {14 + n: "%Y%m%d%H%M%S%f" for n in range(1, 10)}


@dataclass(frozen=True)
class Template:
    """A strftime template, compiled. `regex` has one group for each directive, named by its letter."""

    text: str
    regex: re.Pattern[str]


@lru_cache(maxsize=256)
def compile_template(text: str) -> Template:
    """Compile a strftime template: literals are literal, case is ignored, `%f` takes 1 to 9 digits.

    `%Y %y %m %d %H %I %p %M %S %f %j %z %b %B %%` are known, and `%-m %-d %-H %-I %-M %-S` for numbers without
    leading zero. A match never begins or ends inside a longer number.

    Raises
    ------
    ClockError : an unknown or repeated directive, or a template that does not make a date

    >>> read_template(compile_template("%y%m%d_%H%M%S"), "sample_220925_223450.wav").text
    '220925_223450'
    """
    if not isinstance(text, str):
        raise ClockError(f"timestamp={text!r} was given; expected a strftime template such as '%Y%m%d_%H%M%S'")
    pieces, seen, position = [], [], 0
    tokens = re.findall(r"%-?.|%$|[^%]+", text, re.DOTALL)
    for index, token in enumerate(tokens):
        if not token.startswith("%") or token == "%%":
            pieces.append(re.escape("%" if token == "%%" else token))
            continue
        key = token[1:]
        if key not in _DIRECTIVES:
            known = " ".join(f"%{name}" for name in _DIRECTIVES)
            raise ClockError(f"timestamp={text!r}: {token!r} is not known here; use {known}, and %% for a percent sign")
        letter = key[-1]
        if letter in seen:
            raise ClockError(f"timestamp={text!r}: %{letter} occurs twice; give each part of the time once")
        pattern = _DIRECTIVES[key]
        if letter == "f" and _starts_with_digit(tokens[index + 1 : index + 2]):
            pattern = r"\d{6}"  # as strftime writes it: the only way to see where it ends
        seen.append(letter)
        pieces.append(f"(?P<{letter}>{pattern})")
        position = len(pieces)
    _check_complete(text, seen)
    before = r"(?<!\d)" if seen and pieces[0].startswith("(?P") and pieces[0][4] in _DIGITS else ""
    after = r"(?!\d)" if position == len(pieces) and seen[-1] in _DIGITS | {"z"} else ""
    return Template(text, re.compile(before + "".join(pieces) + after, re.ASCII | re.IGNORECASE))


def _starts_with_digit(following: list[str]) -> bool:
    if not following:
        return False
    token = following[0]
    return token[-1] in _DIGITS if token.startswith("%") else token[0].isdigit()


def _check_complete(text: str, seen: list[str]) -> None:
    for group in _ONLY_ONE:
        both = [f"%{letter}" for letter in group if letter in seen]
        if len(both) > 1:
            raise ClockError(f"timestamp={text!r}: {' and '.join(both)} say the same thing; keep one")
    has = set(seen)
    day = "j" in has or ("d" in has and has & {"m", "b", "B"})
    if not (has & {"Y", "y"} and day):
        raise ClockError(
            f"timestamp={text!r} does not make a date; it needs %Y or %y, and %m (or %b) with %d, or %j; for files "
            "without a date pass start=, or timestamps_csv="
        )
    if ("I" in has) != ("p" in has):
        raise ClockError(f"timestamp={text!r}: %I and %p belong together; use both, or %H for a 24-hour clock")


def assemble(fields: dict[str, str | None], text: str, by: str) -> Reading:
    """Reading of the matched fields, keyed by directive letter; a date that does not exist is a problem, not a time."""
    got = {letter: value for letter, value in fields.items() if value is not None}
    number = {letter: int(value) for letter, value in got.items() if letter in "YymdHIMSj"}
    # POSIX: two digits of the year turn at 69
    year = number["Y"] if "Y" in number else number["y"] + (1900 if number["y"] >= 69 else 2000)
    if "b" in got:
        month = MONTHS.index(got["b"].lower()) + 1
    elif "B" in got:
        month = MONTH_NAMES.index(got["B"].lower()) + 1
    else:
        month = number.get("m", 1)
    hour = number.get("H", 0)
    if "I" in number:
        hour = number["I"] % 12 + (12 if got["p"].lower() == "pm" else 0) if 1 <= number["I"] <= 12 else 99
    ns = int(got["f"].ljust(9, "0")) if "f" in got else 0
    clock = (hour, number.get("M", 0), number.get("S", 0), ns)
    wall = _day_of_year(year, number["j"], clock) if "j" in number else wall_ns(year, month, number.get("d", 1), *clock)
    offset = None
    if "z" in got:
        offset = offset_seconds(got["z"])
        wall = None if offset is None else wall
    if wall is None:
        problem = f"impossible_date: {text!r}, read by {by}, is no date and time; correct the name, or pass timestamp="
        return Reading(None, None, text, by, problem)
    return Reading(wall, offset, text, by)


def _day_of_year(year: int, day: int, clock: tuple[int, int, int, int]) -> int | None:
    start, following = wall_ns(year, 1, 1, *clock), wall_ns(year + 1, 1, 1)
    if start is None or following is None or not 1 <= day <= 366:
        return None
    wall = start + (day - 1) * 86400 * 1_000_000_000
    if day == 366 and wall_ns(year, 2, 29) is None:
        return None
    return wall


def offset_seconds(text: str) -> int | None:
    """Seconds east of UTC of "Z", "+hhmm", "-hh:mm" or "+hhmmss"; None where it is no offset of a clock.

    >>> offset_seconds("-0330")
    -12600
    """
    if text.upper() == "Z":
        return 0
    digits = re.sub(r"\D", "", text)
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4] or 0), int(digits[4:6] or 0)
    if hours >= 24 or minutes >= 60 or seconds >= 60:
        return None
    return (hours * 3600 + minutes * 60 + seconds) * (-1 if text[0] == "-" else 1)


def read_template(template: Template, name: str) -> Reading | None:
    """Reading of the last match of the template in a file name, or None where there is no match."""
    last = None
    for last in template.regex.finditer(name):  # noqa: B007
        pass
    return None if last is None else assemble(last.groupdict(), last.group(), template.text)


def file_name(path: str) -> str:
    """Last part of a path, whichever slash it is written with; times are never looked for in folders."""
    name = path.rpartition("/")[2]
    return name.rpartition("\\")[2] if "\\" in name else name


def stem_of(path: str) -> str:
    """File name without its suffix; ".200828000000" is part of the name, ".wav" is a suffix.

    >>> stem_of("deploy/5146.200828000000.wav"), stem_of("5146.200828000000")
    ('5146.200828000000', '5146.200828000000')
    """
    name = file_name(path)
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and _is_suffix(suffix) else name


@lru_cache(maxsize=1024)
def _is_suffix(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z]\w{0,7}", text) is not None


def output_stem(path: str) -> str:
    """Name for what is made of a file: its stem without characters that tools stumble over; the file keeps its own.

    >>> output_stem("201906 7T095935+1000_REC [19.2-152.8].flac")
    '201906_7T095935+1000_REC__19.2_152.8_'
    """
    return re.sub(r"[-\s()\[\]{}]", "_", stem_of(path))


def read_offsets(name: str, offsets: tuple[int, int], template: Template | None) -> Reading:
    """Reading of the characters `first` to `last`, both included and counted from 0, of a file name without suffix.

    With a template the whole slice must match it; without one its digits are read by their count: 12 are
    yymmddHHMMSS, 14 are yyyymmddHHMMSS, 15 to 23 have decimals of the second. Anything else is a problem.

    >>> read_offsets("x_2022-09-25T22-34-50.wav", (2, 20), None).text
    '2022-09-25T22-34-50'
    """
    stem = stem_of(name)
    first, last = offsets
    where = f"no_time: offsets=({first}, {last})"
    if last >= len(stem):
        problem = (
            f"{where} reach beyond the {len(stem)} characters of {stem!r}; they count from 0, include both ends and "
            f"leave the suffix out, so {len(stem) - 1} is the last one"
        )
        return Reading(None, problem=problem)
    piece = stem[first : last + 1]
    if template is not None:
        if found := template.regex.fullmatch(piece):
            return assemble(found.groupdict(), piece, template.text)
        problem = f"{where} cut out {piece!r}, which is not written as timestamp={template.text!r}; correct one of them"
        return Reading(None, problem=problem)
    digits = re.sub(r"\D", "", piece)
    if text := _BY_COUNT.get(len(digits)):
        found = compile_template(text).regex.fullmatch(digits)
        if found:  # always: the template has as many digits as its key says
            return assemble(found.groupdict(), piece, f"{len(digits)} digits at {first} to {last}")
    problem = (
        f"{where} cut out {piece!r} with {len(digits)} digits; expected 12 (yymmddHHMMSS), 14 (yyyymmddHHMMSS) or 15 "
        "to 23 (with decimals): correct the offsets, or pass timestamp= too"
    )
    return Reading(None, problem=problem)


def check_offsets(offsets: object) -> tuple[int, int]:
    """The pair of offsets, or an error that says what a pair of offsets is."""
    if isinstance(offsets, Sequence) and not isinstance(offsets, str) and len(offsets) == 2:
        first, last = offsets
        if isinstance(first, Integral) and isinstance(last, Integral) and 0 <= int(first) <= int(last):
            return int(first), int(last)
    raise ClockError(
        f"offsets={offsets!r} was given; expected (first, last): two character positions counted from 0, both "
        "included, first <= last"
    )


def read_names(
    names: Sequence[str],
    timestamp: str | Sequence[str] | None,
    offsets: tuple[int, int] | None = None,
) -> list[Reading]:
    """Readings of file names by template(s), by offsets, or by both; the first template that matches a name reads it.

    Raises
    ------
    ClockError : a template or offsets that cannot read any name, or none given

    >>> [reading.text for reading in read_names(["a_20220103_183000.wav", "b.wav"], "%Y%m%d_%H%M%S")]
    ['20220103_183000', '']
    """
    texts = [] if timestamp is None else list(timestamp) if isinstance(timestamp, list | tuple) else [timestamp]
    if not texts and offsets is None:
        raise ClockError("neither timestamp= nor offsets= was given; pass one of them")
    templates = [compile_template(text) for text in texts]
    if offsets is not None:
        first, last = check_offsets(offsets)
        choices: list[Template | None] = [*templates] or [None]
        return [_first([read_offsets(name, (first, last), t) for t in choices]) for name in names]
    shown = repr(texts[0]) if len(texts) == 1 else repr(texts)
    problem = (
        f"no_time: the name does not match timestamp={shown}; correct the template, or pass start= or timestamps_csv="
    )
    missing = Reading(None, problem=problem)
    files = [file_name(name) for name in names]
    alike = read_alike(files, lambda shape: _place(shape, templates))
    return [
        reading or _first([read_template(t, name) for t in templates], missing)
        for reading, name in zip(alike, files, strict=True)
    ]


def _place(shape: str, templates: Sequence[Template]) -> Place | None:
    """Where the first template that matches reads all names of a shape; None where that takes more than numbers."""
    for template in templates:
        if re.search(r"\d", re.sub(r"%-?.", "", template.text)):
            return None  # digits that stand for themselves match some of these names only
        last = None
        for last in template.regex.finditer(shape):  # noqa: B007
            pass
        if last is not None:
            numbers = {letter: last.span(letter) for letter in last.re.groupindex}
            return Place(template.text, last.span(), numbers) if numbers.keys() <= NUMBERS else None
    return None


def _first(readings: Sequence[Reading | None], missing: Reading | None = None) -> Reading:
    matched = [reading for reading in readings if reading is not None]
    return next((reading for reading in matched if reading.by), missing or matched[-1])
