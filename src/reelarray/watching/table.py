"""One CSV table with a line for each recording: peak frequency, power, width and times."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import SettingError
from ..sinks.atomic import writing
from ..sinks.locked import locked

# duration_s is from start to stop, recorded_s without the gaps between them.
COLUMNS = (
    "analyser", "recording", "start", "stop", "duration_s", "recorded_s", "center_frequency_Hz", "bin_width_Hz",
    "peak_frequency_Hz", "peak_power_W", "peak_power_dBm", "width_3dB_Hz", "partial",
)  # fmt: skip


def add_row(path: Path, row: Mapping[str, Any]) -> None:
    """Add a line to the table, or replace that of the same recording of the same analyser.

    A new line is added in one write, and a replaced one by a new table that takes the place of the old; threads and
    processes wait for each other. A line that the end of a process tore goes.

    Raises
    ------
    SettingError : the file is another table
    FileNotFoundError : its folder is not there
    """
    line = _line([_text(row.get(name)) for name in COLUMNS])
    same = _line([str(row["analyser"]), str(row["recording"])]).rstrip("\n") + ","
    head = _line(COLUMNS)
    with locked(path.with_name(f".{path.name}.lock")):
        try:
            with open(path, encoding="utf-8", newline="") as file:
                before = file.read()
        except FileNotFoundError:
            before = ""
        whole = before[: before.rfind("\n") + 1]
        if whole and not whole.startswith(head):
            raise SettingError(f"{path} is another table; one that begins with {head.strip()} was expected: name a new")
        at = whole.find("\n" + same) + 1
        if whole and whole == before and not at:
            with open(path, "a", encoding="utf-8", newline="") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            return
        rest = whole[whole.index("\n", at) + 1 :] if at else ""
        with writing(path) as temporary:
            temporary.write_text((whole[:at] if at else whole or head) + line + rest, encoding="utf-8", newline="")


def decibel_milliwatts(watts: float) -> float:
    """Power in W as dBm; NaN where there is none."""
    return 10 * math.log10(watts * 1e3) if watts > 0 else math.nan


def _line(values: Any) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(values)
    return out.getvalue()


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return repr(value) if isinstance(value, float) else str(value)
