"""How settings of a cluster are written: walltimes, sizes of memory, permissions, lists of lines."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import SettingError

_WALLTIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>[0-5]?\d):(?P<seconds>[0-5]?\d)")
_MEMORY = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[kKMGTP]i?B|B)")
_POWERS = {letter: power for power, letter in enumerate("KMGTP", 1)}


def walltime(value: Any) -> int:
    """'12:00:00', '2-00:00:00' or seconds -> seconds.

    Raises
    ------
    SettingError : anything else; '30' and '30:00' mean minutes to one queue and seconds or hours to another

    >>> walltime("1-02:00:00")
    93600
    """
    found = _WALLTIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is not None:
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        value = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    # A number is what YAML makes of 12:00:00 without quotes: its seconds.
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise SettingError(
        f"walltime={value!r} was given; 'HH:MM:SS' or 'D-HH:MM:SS' was expected, such as '12:00:00' for twelve hours, "
        "or a number of seconds"
    )


def walltime_text(seconds: int) -> str:
    """Seconds -> 'HH:MM:SS', which every queue but LSF reads; days are hours.

    >>> walltime_text(93600)
    '26:00:00'
    """
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def memory(value: Any, name: str = "memory") -> int:
    """'16GB' (10**9 each), '16GiB' (2**30 each) or bytes -> bytes.

    Raises
    ------
    SettingError : anything else; '16G' is one or the other, depending on whom one asks

    >>> memory("1.5GiB"), memory("2 MB")
    (1610612736, 2000000)
    """
    found = _MEMORY.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is not None:
        unit = found["unit"].upper()
        value = int(float(found["number"]) * (1024 if "I" in unit else 1000) ** _POWERS.get(unit[0], 0))
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise SettingError(
        f"{name}={value!r} was given; a size such as '16GiB' (2**30 bytes each) or '16GB' (10**9 bytes each) was "
        "expected, or a number of bytes"
    )


def mebibytes(size: int) -> int:
    """Bytes -> MiB, rounded up: what queues count in.

    >>> mebibytes(2**20 + 1)
    2
    """
    return -(-size // 2**20)


def umask(value: Any) -> int:
    """'0002' -> 2; a number is taken as it is, since YAML has read 0002 as octal by then.

    >>> umask("027") == 0o027
    True
    """
    bits = value
    if isinstance(value, str):
        bits = int(value, 8) if re.fullmatch("[0-7]{1,4}", value) else -1
    if isinstance(bits, int) and not isinstance(bits, bool) and 0 <= bits <= 0o777:
        return bits
    raise SettingError(f"umask={value!r} was given; octal permissions in quotes were expected, such as '0002'")


def count(value: Any, name: str) -> int:
    """A whole number of at least 1; text is read, since options and variables of the environment are text."""
    number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    if isinstance(number, int) and not isinstance(number, bool) and number > 0:
        return number
    raise SettingError(f"{name}={value!r} was given; a whole number of at least 1 was expected")


def seconds(value: Any, name: str) -> float:
    """A number of seconds above 0."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = 0.0
    if 0 < number < float("inf"):
        return number
    raise SettingError(f"{name}={value!r} was given; seconds were expected, as a number above 0")


def flag(value: Any, name: str) -> bool:
    """True or False, or the words for them."""
    said = {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else value
    if isinstance(said, bool):
        return said
    raise SettingError(f"{name}={value!r} was given; true or false was expected")


def text(value: Any, name: str) -> str:
    """One line of text."""
    if isinstance(value, str | int | os.PathLike) and not isinstance(value, bool):
        line = os.fspath(value) if isinstance(value, os.PathLike) else str(value)
        if line.strip() and "\n" not in line:
            return line
    raise SettingError(f"{name}={value!r} was given; one line of text was expected")


def lines(value: Any, name: str) -> tuple[str, ...]:
    """One line or a list of lines -> lines."""
    if isinstance(value, str):
        return tuple(value.splitlines())
    if isinstance(value, Sequence) and all(isinstance(line, str) for line in value):
        return tuple(value)
    raise SettingError(f"{name}={value!r} was given; a list of lines of text was expected")


def assignments(texts: Iterable[str]) -> dict[str, Any]:
    """'NAME=VALUE' of a command line -> settings; a name that comes again makes a list of lines.

    >>> assignments(["cores=4", "prologue=module load conda", "prologue=conda activate reel"])
    {'cores': '4', 'prologue': ['module load conda', 'conda activate reel']}
    """
    found: dict[str, Any] = {}
    for line in texts:
        name, equals, value = line.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            raise SettingError(f"{line!r} was given; NAME=VALUE was expected, such as cores=4")
        before = found.get(name)
        found[name] = value if before is None else [*([before] if isinstance(before, str) else before), value]
    return found
