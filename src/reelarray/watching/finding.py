"""Which files there are: listings of folders, and looks at what changed in them."""

from __future__ import annotations

import fnmatch
import logging
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..errors import MissingPackage
from ..formats import listed
from .events import Events, remote_kind
from .options import IGNORED, Options, all_suffixes

log = logging.getLogger(__name__)

_STORES = (".zarr",)  # folders that are one output, not many files


@dataclass(frozen=True)
class Seen:
    """A file as a look at it found it: `relative` to its watched folder, with "/" between parts."""

    path: str
    folder: str
    relative: str
    bytes: int
    modified_ns: int


@dataclass(frozen=True)
class Gone:
    """A file that is not there any more."""

    path: str


Look = Seen | Gone


class Names:
    """Which names are those of recordings: by suffix, in lower or upper case, and not of a copy under way.

    >>> names = Names(Options(("/data",)))
    >>> [names.accept(n) for n in ("a.tiq", "B.TIQ", ".a.tiq", "a.tiq.part", "a.wav")]
    [True, True, False, False, False]
    """

    def __init__(self, options: Options) -> None:
        suffixes = listed() if options.suffixes == "all" else options.suffixes
        self.suffixes = all_suffixes(suffixes)
        self._odd: set[str] = set()
        patterns = (*IGNORED, *options.ignore)
        self._ignored = re.compile("|".join(fnmatch.translate(each) for each in patterns), re.IGNORECASE)

    def accept(self, name: str) -> bool:
        """Whether a file of this name is looked at."""
        return name.lower().endswith(self.suffixes) and self._ignored.match(name) is None and self._is_text(name)

    def enter(self, name: str) -> bool:
        """Whether a folder of this name is."""
        return not name.lower().endswith(_STORES) and self._ignored.match(name) is None and self._is_text(name)

    def _is_text(self, name: str) -> bool:
        """Whether a name can be noted; others are told of once."""
        if name.isascii():
            return True
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            if name not in self._odd:
                self._odd.add(name)
                log.warning("%s is left out: its name is no UTF-8 text; rename it", ascii(name))
            return False
        return True


def listing(folder: str, names: Names, recursive: bool, below: str = "") -> Iterator[Seen]:
    """All recordings in a folder: one `scandir` a folder, nothing is opened.

    `below` is where in the folder to begin. Folders that cannot be read are logged, and the rest goes on.
    """
    left = [below]
    while left:
        inside = left.pop()
        where = os.path.join(folder, inside) if inside else folder
        try:
            with os.scandir(where) as entries:
                for entry in entries:
                    relative = f"{inside}/{entry.name}" if inside else entry.name
                    if names.accept(entry.name):
                        if (seen := _seen(entry, folder, relative)) is not None:
                            yield seen
                    elif recursive and names.enter(entry.name) and entry.is_dir(follow_symlinks=False):
                        left.append(relative)
        except FileNotFoundError:
            if not inside:
                raise
        except OSError as error:
            if not inside:
                raise
            log.warning("%s cannot be listed, its recordings are left out: %s", where, error)


def _seen(entry: os.DirEntry[str], folder: str, relative: str) -> Seen | None:
    try:
        if not entry.is_file() and not entry.is_dir():
            return None
        found = entry.stat()
    except OSError:  # it went in this moment
        return None
    return Seen(entry.path, folder, relative, found.st_size, found.st_mtime_ns)


def look(path: str, folder: str) -> Look:
    """One file, as it is now."""
    try:
        found = os.stat(path)
    except OSError:
        return Gone(path)
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):  # to open a pipe is to wait for its writer
        return Gone(path)
    relative = os.path.relpath(path, folder).replace(os.sep, "/")
    return Seen(path, folder, relative, found.st_size, found.st_mtime_ns)


class Finder:
    """Looks at files, from events and from rounds over the folders; `polling` folders have no events.

    Parameters
    ----------
    options : which folders, how
    now : monotonic seconds
    ring : called when there are events, from another thread
    once : only what is there is looked at: no events
    """

    def __init__(
        self, options: Options, now: Callable[[], float], ring: Callable[[], None], *, once: bool = False
    ) -> None:
        self._once = once
        self.options, self.names, self._now = options, Names(options), now
        self.folders = tuple(os.path.abspath(folder) for folder in options.folders)
        self.polling: set[str] = set()
        self._ring = ring
        self._events: Events | None = None
        self._due = dict.fromkeys(self.folders, now())
        self._round: tuple[str, float, Iterator[Seen]] | None = None
        self._told: set[str] = set()
        self.rounds = dict.fromkeys(self.folders, 0)

    def start(self) -> None:
        """Observe first, list second: nothing falls between.

        Raises
        ------
        MissingPackage : mode="events", and watchfiles is not installed
        """
        if self._once:
            return
        mode = self.options.mode
        observed = []
        for folder in self.folders:
            kind = remote_kind(folder)
            if mode == "poll" or (mode == "auto" and kind is not None):
                self.polling.add(folder)
                if kind is not None and mode == "auto":
                    log.info(
                        "%s is on %s, which has no events: looking every %g s", folder, kind, self.options.poll_seconds
                    )
            else:
                observed.append(folder)
        if not observed:
            return
        self._events = Events(observed, self.options.recursive, self._ring)
        if not self._events.start():
            self._without_events()

    def stop(self) -> None:
        """No more looks."""
        if self._events is not None:
            self._events.stop()
            self._events = None

    def folders_below(self) -> list[str]:
        """The folders in which recordings are looked for, in order."""
        found = list(self.folders)
        if self.options.recursive:
            for folder in self.folders:
                for where, inside, _ in os.walk(folder):
                    inside[:] = sorted(name for name in inside if self.names.enter(name))
                    found += [os.path.join(where, name) for name in inside]
        return found

    @property
    def listed(self) -> bool:
        """Whether every folder was listed once, as far as it could be."""
        return self._round is None and all(self.rounds.values())

    def next_due(self) -> float:
        """When there is something to do without events, in monotonic seconds."""
        return self._now() if self._round is not None else min(self._due.values())

    def looks(self, most: int, seconds: float) -> Iterator[Look]:
        """What is new, a part at a time: at most so many looks of a round, and for about so long."""
        if self._events is not None:
            for path in self._events.drain():
                yield from self._at(path)
            if self._events.trouble:
                self._without_events()
        begun = self._now()
        for count in range(most):
            if self._round is None and not self._begin_round():
                return
            assert self._round is not None
            folder, _, files = self._round
            try:
                seen = next(files, None)
            except OSError as error:
                self._tell(folder, f"{folder} cannot be listed: {error}; looking again and again")
                self._end_round(whole=False)
                continue
            if seen is None:
                self._told.discard(folder)
                self._end_round(whole=True)
            else:
                yield seen
            if count % 64 == 63 and self._now() - begun > seconds:
                return

    def _begin_round(self) -> bool:
        now = self._now()
        folder = min(self._due, key=lambda each: self._due[each])
        if self._due[folder] > now:
            return False
        self._round = folder, now, listing(folder, self.names, self.options.recursive)
        return True

    def _end_round(self, *, whole: bool) -> None:
        assert self._round is not None
        folder, begun, _ = self._round
        now = self._now()
        every = self.options.poll_seconds if folder in self.polling else self.options.rescan_seconds
        if not whole:
            every = self.options.poll_seconds
        self._due[folder] = max(begun + every, now + 4 * (now - begun))  # slow folders are not listed all the time
        self.rounds[folder] += 1
        self._round = None

    def _at(self, path: str) -> Iterator[Look]:
        """What an event at a path is about."""
        folder = next((each for each in self.folders if path.startswith(each.rstrip(os.sep) + os.sep)), None)
        if folder is None:
            return
        inside = os.path.relpath(path, folder).replace(os.sep, "/")
        *above, name = inside.split("/")
        if not all(self.names.enter(part) for part in above) or (above and not self.options.recursive):
            return
        if self.names.accept(name):
            if not os.path.isdir(path):
                yield look(path, folder)
        elif self.options.recursive and self.names.enter(name) and os.path.isdir(path):
            yield from listing(folder, self.names, True, inside)  # moved in as a whole

    def _without_events(self) -> None:
        assert self._events is not None
        why = self._events.trouble
        if self.options.mode == "events" and why.startswith(("ModuleNotFoundError", "ImportError")):
            raise MissingPackage("mode='events' needs watchfiles, which is not installed: pip install watchfiles")
        log.warning("no events (%s): looking every %g s instead", why, self.options.poll_seconds)
        self.polling |= set(self._events.folders)
        self._events.stop()
        self._events = None
        for folder in self.polling:
            self._due[folder] = min(self._due[folder], self._now() + self.options.poll_seconds)

    def _tell(self, about: str, text: str) -> None:
        """A warning, once as long as the trouble lasts."""
        if about not in self._told:
            self._told.add(about)
            log.warning("%s", text)
