"""A TOML list of recordings that are processed, as datacrunch kept it: read once, and kept up to date."""

from __future__ import annotations

import datetime
import logging
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..recipe import toml
from ..sinks.atomic import writing
from .clock import Clock
from .outputs import content, measure
from .state import State
from .unit import Found, Made, Process

log = logging.getLogger(__name__)

KEY = "processed"
_EVERY = 60.0  # s
_OURS = (".zarr",)  # kinds of outputs that datacrunch did not make


class Tracking:
    """The file; other keys in it, and paths of other folders, stay as they are."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path, self._clock = path, clock
        self._others: Mapping[str, Any] = {}
        self._listed: list[str] = []
        self._foreign: list[str] = []
        self._changed, self._written = False, clock.now()

    @classmethod
    def of(cls, path: str | None, clock: Clock) -> Tracking | None:
        """The tracking that is asked for, if it is."""
        return None if path is None else cls(Path(path), clock)

    def begin(self, state: State, found_of: Callable[[str], tuple[str, Found] | None], process: Process) -> None:
        """Read the file; where the journal is new, recordings in it whose outputs are there count as done.

        datacrunch lists recordings that failed as well: those without outputs are processed.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._read()
        taken = 0
        for path in self._listed:
            known = found_of(os.path.abspath(path))
            if known is None:
                self._foreign.append(path)
            elif not state.imported and state.find(known[0], known[1].bytes, known[1].modified_ns) is None:
                taken += _take(state, *known, process, self._clock.time())
        if not state.imported and self._listed:
            log.info(
                "%s lists %d recordings: of %d the outputs are there, the others are processed",
                self.path, len(self._listed), taken,
            )  # fmt: skip
        state.imported = True

    def changed(self) -> None:
        """A recording was processed."""
        self._changed = True

    def tick(self, paths: Callable[[], list[str]]) -> None:
        """Write, at most once a minute."""
        if self._changed and self._clock.now() - self._written >= _EVERY:
            self.write(paths())

    def write(self, paths: list[str]) -> None:
        """Replace the file; a disk that refuses is told of, and asked again a minute later."""
        self._written = self._clock.now()
        listed = [*self._foreign, *paths]
        lines = [f"{toml.key(name)} = {_value(each)}" for name, each in self._others.items()]
        lines.append(f"{KEY} = [\n" + "".join(f"  {toml.value(path)},\n" for path in listed) + "]")
        try:
            with writing(self.path) as temporary:
                temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
            self._changed = False
        except OSError as error:
            log.warning("%s cannot be written: %s", self.path, error)

    def _read(self) -> None:
        try:
            self._others, self._listed = _parsed(self.path.read_bytes())
        except FileNotFoundError:
            return
        except ValueError as error:
            self._set_aside(f"cannot be used: {error}")

    def _set_aside(self, why: str) -> None:
        bad = self.path.with_name(f"{self.path.name}.bad")
        log.warning("%s %s; it is kept as %s, and begun anew", self.path, why, bad)
        os.replace(self.path, bad)


def _parsed(data: bytes) -> tuple[dict[str, Any], list[str]]:
    """(all other keys, the paths)."""
    if not data.strip():
        raise ValueError("it is empty")
    known = tomllib.loads(data.decode("utf-8"))
    listed = known.pop(KEY, [])
    if not isinstance(listed, list) or not all(isinstance(path, str) for path in listed):
        raise ValueError(f"{KEY} = {str(listed)[:60]} was found; a list of paths was expected")
    return known, list(dict.fromkeys(listed))


def _take(state: State, unit: str, found: Found, process: Process, now: float) -> bool:
    try:
        targets = process.targets(found)
        outputs = [measure(path) for path in targets if os.path.splitext(path)[1].lower() not in _OURS]
        if not outputs:
            return False
        of = content(found.path)
    except Exception:
        return False
    made = Made(tuple(each.path for each in outputs), 0, 0.0)
    state.done(
        unit, found, made, seconds=0.0, now=now, more={"outputs": outputs, "content": of, "origin": "datacrunch"}
    )
    return True


def _value(given: Any) -> str:
    if isinstance(given, datetime.datetime | datetime.date | datetime.time):
        return given.isoformat()
    if isinstance(given, Mapping):
        return "{" + ", ".join(f"{toml.key(name)} = {_value(each)}" for name, each in given.items()) + "}"
    if isinstance(given, list):
        return "[" + ", ".join(map(_value, given)) + "]"
    return toml.value(given)
