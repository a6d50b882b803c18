"""How folders are watched: settings, checked."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..errors import SettingError

IGNORED = (".*", "*.part", "*.tmp", "*.partial", "*.filepart", "*~", "*.tdms_index")  # names of copies under way
IN_FLIGHT = 10  # files


@dataclass(frozen=True)
class Options:
    """How folders are watched.

    Parameters
    ----------
    folders : that are watched
    suffixes : of recordings, in lower or upper case; "all" for those of every format
    recursive : whether folders within folders are watched
    ignore : patterns of names that are no recordings, beside those of temporary files
    mode : "events" of the system, "poll", or "auto": events where they can be trusted
    poll_seconds : between looks where there are no events
    rescan_seconds : between looks where there are
    settle_seconds : a file that did not change for so long may be finished
    stall_seconds : a file that is shorter than it says, and did not change for so long, will never be whole
    stalled : what becomes of one: "fail", with that reason, or "use" what is there, up to its last whole frame
    order : "oldest" or "newest" first
    attempts : how often a recording is tried where trying again may help
    backoff : seconds before the second, third, ... try; the last counts for all that follow
    grace_seconds : that recordings in process get after a first request to stop
    min_free_bytes : of disk space below which nothing is begun
    in_flight : recordings in process at one time
    analysers : names, by folder; a folder that is not here is called after its name
    tracking : a TOML file of what is done, as datacrunch kept it
    state_folder : for the journal and `status.json`; by default ".reelarray-watch" in the first folder
    page_folder : where the pictures of a page are, relative to which `status.json` names them
    """

    folders: tuple[str, ...]
    suffixes: tuple[str, ...] | Literal["all"] = (".tiq",)
    recursive: bool = False
    ignore: tuple[str, ...] = ()
    mode: Literal["auto", "events", "poll"] = "auto"
    poll_seconds: float = 5.0
    rescan_seconds: float = 60.0
    settle_seconds: float = 2.0
    stall_seconds: float = 600.0
    stalled: Literal["fail", "use"] = "fail"
    order: Literal["oldest", "newest"] = "oldest"
    attempts: int = 3
    backoff: tuple[float, ...] = (30.0, 120.0, 480.0)
    grace_seconds: float = 30.0
    min_free_bytes: float = 2e9
    in_flight: int = IN_FLIGHT
    analysers: Mapping[str, str] = field(default_factory=dict)
    tracking: str | None = None
    state_folder: str | None = None
    page_folder: str | None = None

    def __post_init__(self) -> None:
        if wrong := list(self._wrong()):
            raise SettingError("; ".join(wrong))

    def _wrong(self) -> list[str]:
        """Everything that is wrong, so that one look mends it all."""
        wrong: list[str] = []
        if isinstance(self.folders, str) or not self.folders:
            wrong.append(f"folders={self.folders!r}: a tuple of at least one folder was expected")
        if self.suffixes != "all":
            if isinstance(self.suffixes, str) or not self.suffixes:
                wrong.append(f"suffixes={self.suffixes!r}: \"all\", or a list such as ['.tiq'] was expected")
            else:
                wrong += [
                    f"suffixes: {each!r} was given; a suffix begins with a dot, such as '.tiq'"
                    for each in self.suffixes
                    if not isinstance(each, str) or not each.startswith(".")
                ]
        for name, known in (
            ("mode", ("auto", "events", "poll")),
            ("order", ("oldest", "newest")),
            ("stalled", ("fail", "use")),
        ):
            if getattr(self, name) not in known:
                wrong.append(f"{name}={getattr(self, name)!r}: one of {', '.join(known)} was expected")
        for name, least in (
            ("poll_seconds", 0.01),
            ("rescan_seconds", 0.01),
            ("settle_seconds", 0),
            ("stall_seconds", 0),
            ("grace_seconds", 0),
            ("min_free_bytes", 0),
        ):
            value = getattr(self, name)
            if not _is_number(value) or not math.isfinite(value) or value < least:
                wrong.append(f"{name}={value!r}: a number of at least {least:g} was expected")
        for name in ("attempts", "in_flight"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                wrong.append(f"{name}={value!r}: a whole number of at least 1 was expected")
        if not self.backoff or not all(_is_number(s) and math.isfinite(s) and s >= 0 for s in self.backoff):
            wrong.append(f"backoff={self.backoff!r}: a list of seconds was expected, such as [30, 120, 480]")
        return wrong

    @property
    def state(self) -> str:
        """The folder of the journal."""
        return os.path.abspath(self.state_folder or os.path.join(self.folders[0], STATE))

    def wait_before(self, attempt: int) -> float:
        """Seconds between a failure, the `attempt`-th, and the next try.

        >>> Options(("/data",)).wait_before(1), Options(("/data",)).wait_before(9)
        (30.0, 480.0)
        """
        return self.backoff[min(attempt, len(self.backoff)) - 1]


STATE = ".reelarray-watch"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def all_suffixes(suffixes: Sequence[str]) -> tuple[str, ...]:
    """In lower case, each once.

    >>> all_suffixes([".TIQ", ".tiq", ".tdms"])
    ('.tiq', '.tdms')
    """
    return tuple(dict.fromkeys(each.lower() for each in suffixes))
