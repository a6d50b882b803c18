"""How a service does: a file that is replaced whole, for a page and for `reel watch --status`."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import RecordingError
from ..sinks.lease import NAME as LEASE
from ..sinks.lease import is_held
from .clock import Clock, iso
from .options import Options
from .state import Entry
from .tally import STATES, in_all

log = logging.getLogger(__name__)

NAME = "status.json"
_EVERY, _IDLE_EVERY = 1.0, 30.0  # s, while something happens, and while nothing does
_SHARE = 20  # a service spends one part of so many on telling
_PAGE = "index.html"
_DAY = 86_400.0  # s
_MOST_FAILURES = 100  # that are listed; all are counted


class Latest:
    """The newest recording of each analyser that was processed: one that is older does not take its place."""

    def __init__(self, page_folder: str | None) -> None:
        self._folder = page_folder
        self._of: dict[str, tuple[tuple[str, int], dict[str, Any]]] = {}

    def see(self, analyser: str, unit: str, notes: Mapping[str, Any], modified_ns: int, finished: float) -> None:
        """A recording was processed; when it started says how new it is, else when it was last changed."""
        said = notes.get("start")
        start = said if isinstance(said, str) else None
        # A start after the file was written is none; then, as without one, the time of modification says how new it is.
        written = modified_ns / 1e9
        begun = iso(written) if start is None or start > str(iso(written + _DAY)) else start
        key = str(begun), modified_ns
        if analyser in self._of and key < self._of[analyser][0]:
            return
        pictures = {name: self._relative(notes.get(name)) for name in ("picture", "zoom")}
        self._of[analyser] = key, {"recording": unit, "start": start, "finished": iso(finished), **pictures}

    def of(self, analyser: str) -> dict[str, Any] | None:
        """What the status says of it."""
        return self._of[analyser][1] if analyser in self._of else None

    def _relative(self, path: Any) -> str | None:
        if not isinstance(path, str) or self._folder is None:
            return None
        inside = os.path.relpath(path, self._folder).replace(os.sep, "/")
        return None if inside == ".." or inside.startswith("../") else inside


class StatusFile:
    """Written once a second at most, and now and then while nothing happens."""

    def __init__(self, options: Options, folder: Path, clock: Clock) -> None:
        self._page = None if options.page_folder is None else Path(options.page_folder)
        self.path, self._clock = folder / NAME, clock
        self._started = clock.time()
        self._written, self._every, self._last, self._told = -_IDLE_EVERY, _EVERY, None, False  # type: ignore[var-annotated]

    def due(self, changes: Any) -> bool:
        """Whether it is time to write, now that things stand so."""
        since = self._clock.now() - self._written
        if since > _IDLE_EVERY or (since > self._every and changes != self._last):
            self._last = changes
            return True
        return False

    def content(
        self,
        state: str,
        by_analyser: Mapping[str, Mapping[str, int]],
        latest: Latest,
        failures: Sequence[tuple[str, Entry]],
        oldest: Mapping[str, int],
        paused: str,
    ) -> dict[str, Any]:
        """The status as JSON values."""
        last = {each.analyser: (unit, each) for unit, each in failures}  # the last of each
        analysers = {}
        for name, counts in by_analyser.items():
            waiting = oldest.get(name)
            error = None
            if name in last:
                unit, entry = last[name]
                error = {"recording": unit, "error": entry.error, "time": iso(entry.time)}
            analysers[name] = {
                "counts": dict(counts),
                "latest": latest.of(name),
                "last_error": error,
                "oldest_waiting": None if waiting is None else iso(waiting / 1e9),
            }
        return {
            "service": {
                "state": state,
                "process": os.getpid(),
                "started": iso(self._started),
                "updated": iso(self._clock.time()),
                "paused": paused or None,
            },
            "counts": in_all(by_analyser),
            "analysers": analysers,
            "failures": [
                {
                    "recording": unit,
                    "analyser": entry.analyser,
                    "error": entry.error,
                    "attempts": entry.attempts,
                    "next_try": iso(entry.next_try),
                }
                for unit, entry in failures[-_MOST_FAILURES:]
            ],
        }

    def write(self, content: Mapping[str, Any], *, force: bool = False) -> None:
        """Replace the file; a disk that refuses is told of once."""
        begun = time.perf_counter()
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        try:
            _replace(self.path, text)
            if self._page is not None and (self._page / _PAGE).exists():  # it is served by another program
                _replace(self._page / NAME, text)
            self._told = False
        except OSError as error:
            if not self._told:
                log.warning("%s is not kept up to date: %s", self.path, error)
            self._told = True
        self._written = self._clock.now()
        self._every = max(_EVERY, _SHARE * (time.perf_counter() - begun))


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    os.replace(temporary, path)


def read_status(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The status of the service whose journal is in a folder; "stopped" where it is known that it does not run.

    Raises
    ------
    RecordingError : no service ever ran there, or its status is damaged
    """
    path = Path(folder, NAME)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        service = found["service"]
    except FileNotFoundError:
        raise RecordingError(
            f"{path} is not there: no service has its journal in {folder}; give the folders, or the --config, that it "
            "was started with"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise RecordingError(f"{path} is damaged; the service writes it anew within a minute, if it runs") from None
    if service.get("state") == "running" and not is_held(Path(folder, LEASE)):
        service["state"] = "killed"
    return dict(found)


def lines(status: Mapping[str, Any]) -> Iterable[str]:
    """The status as text."""
    service = status["service"]
    since = f"since {service['started']}, " if service["state"] == "running" else ""
    yield f"service   {service['state']}, process {service['process']}, {since}last told {service['updated']}"
    if service.get("paused"):
        yield f"paused    {service['paused']}"
    yield f"in all    {_counts(status['counts'])}"
    for name, each in status["analysers"].items():
        yield f"{name:<9} {_counts(each['counts'])}"
        latest, error = each["latest"], each["last_error"]
        if latest is not None:
            yield f"          latest {latest['recording']}, done {latest['finished']}"
        if each["oldest_waiting"] is not None:
            yield f"          oldest waiting: of {each['oldest_waiting']}"
        if error is not None:
            yield f"          last error: {error['recording']}: {error['error']} ({error['time']})"
    for each in status["failures"]:
        then = f"again {each['next_try']}" if each["next_try"] else "not again before the next start"
        times = "once" if each["attempts"] == 1 else f"{each['attempts']} times"
        yield f"failed    {each['recording']}: {each['error']} ({times}; {then})"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[name]:,} {name}" for name in STATES)
