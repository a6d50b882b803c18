"""Inputs: what `[input]` may say, and the recordings that it names, as a table and as one lazy array."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import xarray as xr

from .. import catalog
from ..calibration import read_calibration
from ..choosing import choose_files
from ..errors import ReelError
from ..formats import format_names, get_format
from ..opening import open_recordings
from .keywords import Keywords
from .paths import absolute
from .values import keywords_of, takes_any

Paths = str | list[str]
OWN = ("paths", "calibration")
PATHS = ("calibration", "timestamps_csv", "position", "cache")  # keywords that are paths, where they are text
_OPENING, _SCAN = keywords_of(open_recordings), keywords_of(catalog.scan)
OF_SCAN = frozenset(_SCAN) - {"tolerance"}  # which opening takes, too


def known(format: str | None) -> dict[str, Any]:
    """What `[input]` may say, with annotations: the files, and keywords of opening, scanning and the format."""
    found = {"paths": Paths, "calibration": str}
    for name in format_names() if format is None else (format,):
        try:
            found |= keywords_of(get_format(name).probe)
        except ReelError:  # a package that is broken does not take the others down
            if format is not None:
                raise
    opening = _OPENING | _SCAN
    return (opening | found) if format is not None else (found | opening)


def takes_more(format: str | None) -> bool:
    """Whether the format takes keywords that nobody can list."""
    return format is not None and takes_any(get_format(format).probe)


def is_catalog(paths: Any) -> bool:
    """Whether one saved catalog is given instead of recordings."""
    return isinstance(paths, str) and paths.lower().endswith(".json")


@dataclass(frozen=True)
class Deployment:
    """What `[input]` names: the table of all files, those that are used, and the others with a column `reason`."""

    table: pd.DataFrame
    chosen: pd.DataFrame
    left_out: pd.DataFrame
    opening: Mapping[str, Any]

    def open(self) -> xr.DataArray:
        """All of it as one lazy recording: (time[, channel])."""
        return open_recordings(self.table, **self.opening)

    def open_row(self, row: Mapping[str, Any]) -> xr.DataArray:
        """One file of it."""
        return open_recording_of(row, self.opening)


def open_recording_of(row: Mapping[str, Any], opening: Mapping[str, Any]) -> xr.DataArray:
    """The recording of one row of a catalog, of which the file is not touched: (time[, channel])."""
    table = pd.DataFrame({name: pd.Series([value], dtype=_dtype(name)) for name, value in row.items()})
    return open_recordings(table, **opening)


def _dtype(name: str) -> Any:
    return {"start": "datetime64[ns]", "stop": "datetime64[ns]", "use": bool}.get(
        name, object if name in ("shape", "layout", "metadata", "breaks") else None
    )


def find(given: Keywords, folder: str, *, together: bool, made: Collection[str] = ()) -> Deployment:
    """Scan, or load, and choose; `together` where all files become one recording, without what was `made` of them."""
    scanning, opening = _sorted(given, folder)
    opening.setdefault("on_bad", "skip")  # a run goes on, and lists what it left out
    paths = [absolute(path, folder) for path in _listed(given["paths"])]
    table = catalog.load(paths[0]) if is_catalog(given["paths"]) else catalog.scan(paths, **scanning)
    if "tolerance" not in opening and (kept := table.attrs.get("tolerance_given")) is not None:
        opening["tolerance"] = kept  # attributes do not travel with single rows
    if made:
        table = table[[os.path.abspath(str(path)) not in made for path in table["path"]]]
    rules = {name: opening[name] for name in ("rate", "channels", "on_bad") if name in opening}
    chosen, left_out = choose_files(table, together=together, **rules)
    return Deployment(table, chosen, left_out, opening)


def _listed(paths: Any) -> list[str]:
    return [paths] if isinstance(paths, str) else list(paths)


def _sorted(given: Keywords, folder: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(keywords of the scan, keywords of the opening)."""
    values = {name: value for name, value in given.plain().items() if name not in OWN}
    for name in PATHS:
        if isinstance(values.get(name), str):
            values[name] = absolute(values[name], folder)
    if isinstance(values.get("offsets"), list):
        values["offsets"] = tuple(values["offsets"])
    of_format = keywords_of(get_format(values["format"]).probe) if "format" in values else {}
    of_opening = set(_OPENING) - set(of_format)
    opening = {name: value for name, value in values.items() if name in of_opening}
    scanning = {name: value for name, value in values.items() if name not in of_opening}
    if "tolerance" in opening:
        scanning["tolerance"] = opening["tolerance"]
    if "calibration" in given:
        found = read_calibration(absolute(given["calibration"], folder)).settings()
        opening = found | opening
    return scanning, opening


def describe(x: xr.DataArray, files: int) -> str:
    """One line about a recording."""
    from ..recordings import clock

    own = clock(x)
    seconds = float(own.size / own.row_rate)
    ends = f"{own.text(own.labels(0))} to {own.text(own.labels(own.size - 1))}"
    units = x.attrs["units"] if x.attrs["units"] != "1" else "full scale"
    found, gaps = f"{files:,} file{'s' * (files != 1)}", f"{own.gaps:,} gap{'s' * (own.gaps != 1)}"
    return f"{found}, {seconds:,.1f} s at {float(own.row_rate):,.10g} Hz, {gaps}, {ends}, {units}"


def names(paths: Iterable[object]) -> list[str]:
    """File names of paths and URLs."""
    return [os.path.basename(str(path)) for path in paths]
