"""The tables of a configuration file: which keys there are, of what kind; all that is wrong is noted."""

from __future__ import annotations

import logging
import typing
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Literal

from ..recipe.values import expected, fits
from .options import Options
from .wanted import Wanted

log = logging.getLogger(__name__)

_OF_SETTINGS = ("lframes", "nframes", "n_avg", "zoom_center")
_OF_WATCH = (
    "suffixes", "recursive", "ignore", "mode", "poll_seconds", "rescan_seconds", "settle_seconds", "stall_seconds",
    "stalled", "order", "attempts", "backoff", "grace_seconds", "min_free_bytes", "state_folder",
)  # fmt: skip
_WANTED = typing.get_type_hints(Wanted)
_OPTIONS = typing.get_type_hints(Options)
# What each table may say, with annotations.
TABLES: dict[str, dict[str, Any]] = {
    "paths": {
        "folder_path": str | tuple[str, ...],
        "output_path": str,
        "tracking_file_path": str,
        "www_path": str,
    },
    "settings": {
        "num_threads": int,
        **{name: _WANTED[name] for name in _OF_SETTINGS},
        "nframes": int | Literal["all"],
    },
    "watch": {**{name: _OPTIONS[name] for name in _OF_WATCH}, "state_folder": str},
    "outputs": {**{name: kind for name, kind in _WANTED.items() if name not in _OF_SETTINGS}, "table": str},
}
FREE = ("cluster", "open", "analysers")  # checked by whom they are for
EACH = {**TABLES["settings"], **TABLES["outputs"]}
for _name in ("num_threads", "table"):
    del EACH[_name]
WRONG = object()  # in place of a value that cannot be


class Reading:
    """One look through a file, that notes everything that is wrong with it."""

    def __init__(self, where: str) -> None:
        self.where, self.wrong, self.strict = where, list[str](), False

    def unknown(self, name: str, among: Iterable[str], table: str) -> None:
        near = get_close_matches(name, list(among), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(among))}"
        told = f"{table}unknown key {name!r}; {hint}"
        if self.strict:
            self.wrong.append(told)
        else:
            log.warning("%s: %s", self.where, told)

    def tables(self, content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The tables of a file, with values of the right kind."""
        watch = content.get("watch")
        self.strict = content.get("strict") is True or (isinstance(watch, Mapping) and watch.get("strict") is True)
        known = (*TABLES, *FREE, "analyser", "strict")
        given: dict[str, dict[str, Any]] = {name: {} for name in (*TABLES, *FREE, "analyser")}
        for name, table in content.items():
            if name not in known:
                self.unknown(name, known, "")
            elif name == "strict":
                continue
            elif not isinstance(table, Mapping):
                self.wrong.append(f"{name} is a {type(table).__name__}; a table, [{name}], was expected")
            elif name in TABLES:
                given[name] = self.values(f"[{name}]", table, TABLES[name])
            else:
                given[name] = dict(table)
        return given

    def values(self, where: str, table: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
        made = {}
        for name, value in table.items():
            if name in known:
                made[name] = self.value(where, name, value, known[name])
            elif (where, name) != ("[watch]", "strict"):
                self.unknown(name, known, f"{where}: ")
        return {name: value for name, value in made.items() if value is not WRONG}

    def value(self, where: str, name: str, value: Any, kind: Any) -> Any:
        """A value of the kind that was asked for; whole numbers may be written as floats."""
        given = value
        if isinstance(value, list):
            value = tuple(value)
        if isinstance(value, float) and value.is_integer() and fits(int(value), kind) and not fits(0.5, kind):
            value = int(value)
        if not fits(value, kind):
            self.wrong.append(f"{where} {name} = {given!r} was given; {expected(kind)} was expected".lstrip())
            return WRONG
        return value

    def override(self, given: dict[str, dict[str, Any]], overrides: Mapping[str, Any]) -> None:
        for name, value in overrides.items():
            table = next((t for t, known in TABLES.items() if name in known), None)
            if table is None:
                if name in FREE:
                    given[name] = {**given[name], **dict(value)}
                else:
                    self.wrong.append(f"{name} was given, which is no setting")
                continue
            if name in given[table] and given[table][name] != value:
                log.info("%s: %s = %r, as was said on the command line", self.where, name, value)
            made = self.value("", name, value, TABLES[table][name])
            if made is not WRONG:
                given[table][name] = made
