"""OSmOSE's file_metadata.csv: one row a recording, from a catalog and back."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reelarray.catalog.cache import write_atomically
from reelarray.catalog.names import file_name
from reelarray.catalog.osmose import FILE_METADATA_COLUMNS, Path_, _milliseconds, _rows, sample_bits
from reelarray.catalog.zones import localise, parse_zone, read_iso
from reelarray.errors import ClockError, FormatError

_INTEGERS = ("sampwidth", "channel_count")
_FLOATS = ("duration", "origin_sr", "duration_inter_file", "size")


def describe_files(catalog: pd.DataFrame) -> pd.DataFrame:
    """Catalog -> table of file_metadata.csv: seconds, Hz, MB (1e6 bytes), bytes a sample; status False if unreadable.

    `duration_inter_file` is the time from the start of the file before to the start of this one, NaN for the first.
    """
    starts = catalog["start"].astype("datetime64[ns]")
    rate = catalog["rate"].to_numpy(float)
    return pd.DataFrame(
        {
            "filename": [file_name(str(path)) for path in catalog["path"]],
            # the file holds milliseconds, so that is what the table says
            "timestamp": starts.dt.round("ms"),
            "duration": catalog["samples"].to_numpy(float) / rate,
            "origin_sr": rate,
            "duration_inter_file": starts.dt.round("ms").diff().dt.total_seconds(),
            "size": catalog["bytes"].to_numpy(float) / 1e6,
            "sampwidth": [
                -(-sample_bits(subtype, dtype) // 8) if dtype else 0
                for subtype, dtype in zip(catalog["subtype"], catalog["dtype"], strict=True)
            ],
            "channel_count": catalog["channels"].to_numpy(np.int64),
            "status_read_header": catalog["format"].to_numpy() != "",
        }
    ).reset_index(drop=True)


def write_file_metadata(table: pd.DataFrame, path: Path_) -> None:
    """Catalog, or table as `read_file_metadata` gives it -> file_metadata.csv; starts in UTC with milliseconds."""
    rows = table if set(FILE_METADATA_COLUMNS) <= set(table.columns) else describe_files(table)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FILE_METADATA_COLUMNS)
    for row in rows[list(FILE_METADATA_COLUMNS)].itertuples(index=False):
        writer.writerow([_cell(value) for value in row])
    write_atomically(Path(path), text.getvalue())


def _cell(value: Any) -> str:
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, pd.Timestamp):
        return _milliseconds(value.as_unit("ns").value)
    return repr(float(value)) if isinstance(value, float) else str(value)


def read_file_metadata(path: Path_) -> pd.DataFrame:
    """file_metadata.csv -> table with the types of its columns; timestamp is datetime64[ns] in UTC.

    Raises
    ------
    FormatError : columns that are missing, or a value of another type
    ClockError : a timestamp that is no time
    """
    rows = list(_rows(path))
    names = rows[0][1] if rows else []
    missing = [name for name in FILE_METADATA_COLUMNS if name not in names]
    if missing:
        raise FormatError(f"{path} has no columns {', '.join(missing)}; expected {', '.join(FILE_METADATA_COLUMNS)}")
    columns: dict[str, list[Any]] = {name: [] for name in FILE_METADATA_COLUMNS}
    for number, row in rows[1:]:
        if len(row) != len(names):
            raise FormatError(f"{path}, line {number} has {len(row)} values; expected {len(names)}")
        cells = dict(zip(names, row, strict=True))
        for name in FILE_METADATA_COLUMNS:
            columns[name].append(_value(path, number, name, cells[name].strip()))
    table = pd.DataFrame(columns)
    table["timestamp"] = np.array(columns["timestamp"], "datetime64[ns]")
    return table.astype(
        dict.fromkeys(_FLOATS, "float64") | dict.fromkeys(_INTEGERS, "int64") | {"status_read_header": bool}
    )


def _value(path: Path_, number: int, name: str, text: str) -> Any:
    try:
        if name == "timestamp":
            found = read_iso(text) if text else None
            if text and found is None:
                raise ClockError(
                    f"{path}, line {number}: {text!r} is no time; expected one like 2022-09-25T22:34:50.000Z"
                )
            return (
                np.datetime64("NaT", "ns")
                if found is None
                else np.datetime64(localise(found[0], parse_zone(found[1] or "UTC")), "ns")
            )
        if name in _FLOATS:
            return float(text) if text else np.nan
        if name in _INTEGERS:
            return int(float(text or 0))
        if name == "status_read_header":
            return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
    except ClockError:
        raise
    except (ValueError, KeyError):
        raise FormatError(f"{path}, line {number}: {name} is {text!r}, which is no value of that column") from None
    return text
