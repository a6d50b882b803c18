"""The csv files of OSmOSE and OSEkit that describe a data set: timestamp.csv, metadata.csv, and lists of files."""

from __future__ import annotations

import csv
import io
import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reelarray.catalog.cache import write_atomically
from reelarray.catalog.files import NoFiles
from reelarray.catalog.names import file_name
from reelarray.catalog.zones import Ambiguous, localise, parse_zone, read_iso
from reelarray.errors import ClockError, FormatError, RecordingError

log = logging.getLogger(__name__)

# Marks metadata.csv files whose sample_bits and channel_count are what they say; OSmOSE's own writer swaps them.
_WRITER = "reelarray"
_MS = 1_000_000
Path_ = str | os.PathLike[str]

METADATA_TYPES: dict[str, type] = {
    "sr_origin": float, "sample_bits": int, "channel_count": int, "audio_file_count": int, "start_date": str,
    "end_date": str, "duty_cycle": float, "audio_file_origin_duration": float, "audio_file_origin_volume": float,
    "dataset_origin_volume": float, "dataset_origin_duration": float, "lost_levels_in_normalization": str,
    "is_built": bool, "lat": float, "lon": float, "dataset_sr": float, "audio_file_dataset_duration": float,
}  # fmt: skip
_ALIASES = {"origin_sr": "sr_origin", "dataset_fileDuration": "audio_file_dataset_duration"}
FILE_METADATA_COLUMNS = (
    "filename", "timestamp", "duration", "origin_sr", "duration_inter_file", "size", "sampwidth", "channel_count",
    "status_read_header",
)  # fmt: skip


def read_timestamps(
    path: Path_, *, trust_z: bool = True, timezone: str = "UTC", ambiguous: Ambiguous | None = None
) -> pd.DataFrame:
    """timestamp.csv -> table of filename and start (datetime64[ns], UTC), in order of start.

    Two or three columns (filename, time, zone), with or without a header row, any number of decimals.

    Parameters
    ----------
    trust_z : True takes a time with "Z" as UTC, whatever the third column says. False applies the third column and
        ignores the "Z": old writers put it behind local times
    timezone : zone of times that have neither "Z" nor an offset nor a third column
    ambiguous : "earlier" or "later" for local times that occur twice or never; None raises

    Raises
    ------
    FormatError : a row that is no row of such a file
    ClockError : a time that is none, or one file with two times
    """
    rows: dict[str, int] = {}
    for number, row in _rows(path):
        if number == 1 and [cell.strip().lower() for cell in row[:2]] == ["filename", "timestamp"]:
            continue
        if len(row) not in (2, 3) or not row[0].strip():
            raise FormatError(
                f"{path}, line {number}: {','.join(row)!r} was found; expected filename,timestamp[,timezone]"
            )
        name, text, zone = row[0].strip(), row[1].strip(), row[2].strip() if len(row) == 3 else ""
        found = read_iso(text)
        if found is None:
            raise ClockError(
                f"{path}, line {number}: {text!r} of {name} is no time; expected one like 2022-09-25T22:34:50.000Z"
            )
        wall, offset = found
        if offset.upper() == "Z" and not trust_z:
            offset = ""
        try:
            ns = localise(wall, parse_zone(offset or zone or timezone), ambiguous)
        except ClockError as error:
            raise ClockError(f"{path}, line {number} ({name}): {error}") from None
        if rows.setdefault(name, ns) != ns:
            raise ClockError(f"{path}, line {number}: {name} has another time on a line before; keep the right one")
    if not rows:
        raise FormatError(f"{path} has no rows; expected filename,timestamp[,timezone], one line a file")
    table = pd.DataFrame(
        {"filename": list(rows), "start": np.array(list(rows.values()), np.int64).view("datetime64[ns]")}
    )
    return table.sort_values(["start", "filename"], ignore_index=True)


def write_timestamps(table: pd.DataFrame, path: Path_) -> None:
    """Catalog, or table of filename and start -> timestamp.csv: real UTC, milliseconds rounded, zone UTC, by time.

    Raises
    ------
    ClockError : files without a start; times are never made up, and no file is left out
    RecordingError : a table without these columns, or two files of one name
    """
    names, starts = _names_and_starts(table)
    order = np.lexsort((np.array(names), starts))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for index in order:
        writer.writerow((names[index], _milliseconds(int(starts[index])), "UTC"))
    write_atomically(Path(path), text.getvalue())


def _names_and_starts(table: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    key = "filename" if "filename" in table else "path"
    if key not in table or "start" not in table:
        raise RecordingError(
            f"a table with columns {list(table.columns)} was given; expected a catalog, or filename and start"
        )
    names = [file_name(str(path)) for path in table[key]]
    unknown = [name for name, isnat in zip(names, table["start"].isna(), strict=True) if isnat]
    if unknown:
        raise ClockError(
            f"{len(unknown)} files have no start: {', '.join(unknown[:10])}; scan with timestamp= or start=, or leave "
            "them out of the table on purpose"
        )
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise RecordingError(
            f"several files are called {', '.join(twice[:10])}; the csv knows names only: write one for each folder"
        )
    return names, table["start"].astype("datetime64[ns]").astype("int64").to_numpy()


def _milliseconds(ns: int) -> str:
    text = np.datetime_as_string(np.datetime64((ns + _MS // 2) // _MS, "ms"))
    return f"{text}Z"


def _rows(path: Path_) -> Iterator[tuple[int, list[str]]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for row in reader:
                if row:
                    yield reader.line_num, row
    except FileNotFoundError:
        raise NoFiles(f"{path} does not exist (looked for from {os.getcwd()}); check the path") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{path} is no csv file in UTF-8 ({error}); save it as one") from None


def read_file_list(path: Path_) -> list[str]:
    """subset_files.csv or wav_list_<n>.csv, one name or path a line -> list of them, in the file's order."""
    names = [row[0].strip() for _, row in _rows(path) if row[0].strip()]
    if names and names[0].lower() in ("filename", "file", "path"):
        names = names[1:]
    if not names:
        raise FormatError(f"{path} names no file; expected one file name a line")
    return names


def describe_metadata(catalog: pd.DataFrame, position: tuple[float, float] | None = None) -> dict[str, Any]:
    """Catalog -> the fields of metadata.csv, of the files that can be used: Hz, seconds, MB (1e6 bytes), percent.

    Raises
    ------
    RecordingError : no usable file, or several rates, channels or sample types, which one row cannot describe
    """
    from reelarray.catalog.report import summarise

    used = catalog[catalog["use"]]
    for column in ("rate", "channels", "subtype"):
        if used[column].nunique() != 1:
            found = ", ".join(map(str, used[column].unique()[:10])) or "no usable file"
            raise RecordingError(
                f"metadata.csv describes files of one {column}; found {found}: write one file for each"
            )
    summary = summarise(catalog)
    seconds = used["samples"] / used["rate"]
    megabytes = used["bytes"] / 1e6
    fields: dict[str, Any] = {
        "sr_origin": float(used["rate"].iloc[0]),
        "sample_bits": sample_bits(str(used["subtype"].iloc[0]), str(used["dtype"].iloc[0])),
        "channel_count": int(used["channels"].iloc[0]),
        "audio_file_count": len(used),
        "start_date": "" if summary.start is None else _milliseconds(_ns(used["start"].min())),
        "end_date": "" if summary.stop is None else _milliseconds(_ns(used["stop"].max())),
        "duty_cycle": summary.duty_cycle,
        "audio_file_origin_duration": float(seconds.median()),
        "audio_file_origin_volume": float(megabytes.mean()),
        "dataset_origin_volume": float(megabytes.sum()),
        "dataset_origin_duration": float(seconds.sum()),
        "is_built": True,
    }
    if position is not None:
        fields["lat"], fields["lon"] = (float(value) for value in position)
    return fields


def _ns(time: Any) -> int:
    return int(pd.Timestamp(time).as_unit("ns").value)


def sample_bits(subtype: str, dtype: str) -> int:
    """Bits of one stored sample by its libsndfile name, else of the type it is read as.

    >>> sample_bits("PCM_24", "<i4"), sample_bits("FLOAT", "<f4")
    (24, 32)
    """
    digits = re.search(r"\d+$", subtype)
    named = {"PCM_U8": 8, "PCM_S8": 8, "FLOAT": 32, "DOUBLE": 64, "ULAW": 8, "ALAW": 8}.get(subtype)
    return named or (int(digits.group()) if digits and subtype.startswith("PCM_") else 8 * np.dtype(dtype).itemsize)


def write_metadata(metadata: Mapping[str, Any] | pd.DataFrame, path: Path_) -> None:
    """Fields, or a catalog -> metadata.csv of one row with a leading index column.

    Raises
    ------
    RecordingError : a field that such files do not have
    """
    fields = describe_metadata(metadata) if isinstance(metadata, pd.DataFrame) else dict(metadata)
    fields = {_ALIASES.get(name, name): value for name, value in fields.items()}
    unknown = set(fields) - set(METADATA_TYPES)
    if unknown:
        raise RecordingError(f"metadata.csv has no fields {sorted(unknown)}; it has {', '.join(METADATA_TYPES)}")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["", *fields, "written_by"])
    writer.writerow([0, *("" if value is None else value for value in fields.values()), _WRITER])
    write_atomically(Path(path), text.getvalue())


def read_metadata(path: Path_, *, swapped: bool | None = None) -> dict[str, Any]:
    """metadata.csv -> its fields with their types; `origin_sr` and `dataset_fileDuration` under their other names.

    Parameters
    ----------
    swapped : the old writer swaps sample_bits (it holds 8 * channels) and channel_count (bytes a sample). True undoes
        that, False trusts them. None trusts files that we wrote and leaves the two fields out of others, with a warning

    Raises
    ------
    FormatError : not one row, or a value of another type
    """
    rows = [row for _, row in _rows(path)]
    if len(rows) != 2 or len(rows[0]) != len(rows[1]):
        raise FormatError(f"{path} has {len(rows)} lines; expected a line of names and one of as many values")
    raw = dict(zip(rows[0], rows[1], strict=True))
    fields: dict[str, Any] = {}
    for column, value in raw.items():
        name = _ALIASES.get(column, column)
        if name in METADATA_TYPES and value != "":
            fields[name] = _typed(path, column, value, METADATA_TYPES[name])
    if swapped is None and raw.get("written_by") != _WRITER:
        doubtful = [f"{name}={fields.pop(name)}" for name in ("sample_bits", "channel_count") if name in fields]
        if doubtful:
            log.warning(
                "%s: %s left out, as old writers swap them; pass swapped=True or False", path, ", ".join(doubtful)
            )
    elif swapped and {"sample_bits", "channel_count"} <= set(fields):
        fields["sample_bits"], fields["channel_count"] = 8 * fields["channel_count"], fields["sample_bits"] // 8
    return fields


def _typed(path: Path_, column: str, value: str, kind: type) -> Any:
    if kind is bool and value.lower() in ("true", "false", "1", "0"):
        return value.lower() in ("true", "1")
    try:
        if kind is int and float(value) == int(float(value)):
            return int(float(value))
        if kind in (str, float):
            return kind(value)
    except (ValueError, OverflowError):
        pass
    raise FormatError(f"{path}: {column} is {value!r}; expected {'True or False' if kind is bool else kind.__name__}")
