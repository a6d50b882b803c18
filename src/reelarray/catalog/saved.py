"""A catalog as one JSON file: scanned once, opened many times, without looking at the recordings again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reelarray.catalog.cache import write_atomically
from reelarray.catalog.columns import without_collection
from reelarray.catalog.scan import COLUMNS
from reelarray.errors import RecordingError

# Goes up when a column changes its meaning: a catalog of another version has to be scanned again.
VERSION = 2
_TIMES = ("start", "stop")
# Most rows share these; each value is written once, and a number for each row says which.
_SHARED = (
    "format", "subtype", "anomaly", "start_source", "exact_rate", "shape", "dtype", "units", "layout",
)  # fmt: skip
_TUPLES = ("shape", "layout")
_NUMBERS = {
    "samples": np.int64, "rate": np.float64, "channels": np.int64, "bytes": np.int64, "modified": np.int64,
    "use": np.bool_, "scale": np.float64, "offset": np.float64, "iq": np.bool_, "center_frequency": np.float64,
}  # fmt: skip


def save(catalog: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a catalog from `ra.scan`, or some of its rows, as JSON: all columns and `attrs`, every value exactly.

    The file appears at once, or not at all. Paths are kept as they are; the index is not.

    Raises
    ------
    RecordingError : a table that is no catalog, that has columns of its own, or `attrs` that are no JSON values

    >>> import tempfile, wave
    >>> folder = tempfile.mkdtemp()
    >>> with wave.open(f"{folder}/20220925_223450.wav", "wb") as file:
    ...     file.setparams((1, 2, 48000, 0, "NONE", "")); file.writeframes(bytes(96000))
    >>> from reelarray.catalog import scan
    >>> table = scan(folder, cache=False)
    >>> save(table, f"{folder}/catalog.json")
    >>> load(f"{folder}/catalog.json").equals(table)
    True
    """
    if not isinstance(catalog, pd.DataFrame):
        raise RecordingError(f"a {type(catalog).__name__} was given; a catalog from ra.scan was expected, then a path")
    if set(catalog.columns) != set(COLUMNS):
        wrong = [f"without {name}" for name in COLUMNS if name not in catalog]
        wrong += [f"with {name}" for name in catalog.columns if name not in COLUMNS]
        raise RecordingError(
            f"a table {', '.join(map(str, wrong))} was given; a catalog from ra.scan was expected: drop columns of "
            "your own before, and keep them elsewhere"
        )
    columns: dict[str, Any] = {name: catalog[name].tolist() for name in ("path", "metadata", "breaks")}
    for name in _TIMES:
        columns[name] = catalog[name].to_numpy().astype("datetime64[ns]").view(np.int64).tolist()
    for name, dtype in _NUMBERS.items():
        columns[name] = catalog[name].to_numpy(dtype).tolist()
    for name in _SHARED:
        values: dict[Any, int] = {}
        rows = [values.setdefault(value, len(values)) for value in catalog[name].to_numpy(object).tolist()]
        columns[name] = {"values": list(values), "rows": rows}
    content = {"reelarray catalog": VERSION, "attrs": dict(catalog.attrs), "columns": columns}
    try:
        text = json.dumps(content, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise RecordingError(
            f"{os.fspath(path)}: what the catalog says in attrs or metadata is no JSON ({error}); take it out before"
        ) from None
    if Path(path).is_dir():
        raise RecordingError(f"{os.fspath(path)} is a folder; give the name of a file in it, such as catalog.json")
    write_atomically(Path(path), text)


def load(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The catalog that `save` wrote, equal to the one that was saved. No recording is touched.

    `ra.open_recordings` opens it. Files that changed, or vanished, since the scan are noticed when they are read; new
    ones are found by `ra.scan` only. Where the recordings have moved, set `table["path"]` anew.

    Raises
    ------
    FileNotFoundError : nothing there
    RecordingError : not a catalog, or one of another version
    """
    where = os.fspath(path)
    try:
        with without_collection(), open(where, "rb") as file:
            content = json.load(file)
            if not isinstance(content, dict) or "reelarray catalog" not in content:
                raise ValueError("it does not say that it is a catalog")
            if content["reelarray catalog"] != VERSION:
                raise ValueError(f"it is of version {content['reelarray catalog']}, this is {VERSION}")
            return _table(content)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{where} does not exist (looked for from {os.getcwd()}); ra.catalog.save(ra.scan(folder), path) writes "
            f"one, or: reel scan FOLDER --save {where}"
        ) from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise RecordingError(
            f"{where} is no catalog that can be read ({error}); ra.catalog.save(ra.scan(folder), path) writes one"
        ) from None


def _table(content: Mapping[str, Any]) -> pd.DataFrame:
    columns = dict(content["columns"])
    for name in _TIMES:
        columns[name] = np.array(columns[name], np.int64).view("datetime64[ns]")
    for name, dtype in _NUMBERS.items():
        columns[name] = np.array(columns[name], dtype)
    for name in _SHARED:
        values, rows = columns[name]["values"], np.array(columns[name]["rows"], np.int64)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(values)):
            raise ValueError(f"a row of {name} has no value")
        if name in _TUPLES:
            values = [value if value is None else tuple(value) for value in values]
        columns[name] = np.fromiter(values, object, len(values))[rows]
    breaks = (tuple((frame, ns) for frame, ns in each) for each in columns["breaks"])
    columns["breaks"] = np.fromiter(breaks, object, len(columns["breaks"]))
    table = pd.DataFrame({name: columns[name] for name in COLUMNS})
    table.attrs |= content["attrs"]
    return table
