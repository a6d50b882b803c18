"""The notes of one run that makes one output a recording: the journal, progress, and the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from ..driving import Done, Failure
from ..sinks.files import refusals
from ..sinks.journal import Journal
from .report import Report, drivers_of, recording_table, unit_table
from .units import Unit

SYNC_EVERY = 5.0  # s of lines that may be lost to a power failure: their units would be made again


class Notes:
    """What is known of each unit, as it becomes known."""

    def __init__(
        self,
        units: Mapping[str, Unit],
        journal: Journal,
        in_place: set[str],
        failed: dict[str, dict[str, Any]],
        progress: Callable[[int, int, int], None] | None,
    ) -> None:
        self.units, self.journal, self.in_place, self.progress = units, journal, in_place, progress
        self.failures = failed
        self.made: dict[str, float] = {}  # seconds
        self.synced = time.monotonic()

    def plan(self, todo: Sequence[str]) -> None:
        """Note what will be made: a file that is there without a note of its end is ours, and nobody knows of what."""
        last: dict[str, Any] = {}
        for record in self.journal.records:
            for key in ("planned", "done"):
                if key in record:
                    last[record[key]] = (key, record.get("of"))
        lines = [{"planned": unit, "of": self.units[unit].fingerprint} for unit in todo]
        lines = [line for line in lines if last.get(line["planned"]) != ("planned", line["of"])]
        if lines:
            with refusals(self.journal.folder):
                self.journal.note(lines)
                self.journal.sync()
        self._tell()

    def done(self, units: Sequence[Done]) -> None:
        """Note outputs that are in place."""
        records = []
        for each in units:
            size, check, self.made[each.unit] = each.value
            of, seconds = self.units[each.unit].fingerprint, round(self.made[each.unit], 3)
            records.append({"done": each.unit, "of": of, "bytes": size, "crc": check, "seconds": seconds})
        with refusals(self.journal.folder):
            self.journal.note(records)
            if time.monotonic() - self.synced > SYNC_EVERY:
                self.journal.sync()
                self.synced = time.monotonic()
        self._tell()

    def failed(self, failure: Failure) -> None:
        """Note a recording that failed for good."""
        record = {
            "failed": failure.unit,
            "of": self.units[failure.unit].fingerprint,
            **{name: getattr(failure, name) for name in ("kind", "type", "message", "traceback", "worker", "attempts")},
            "seconds": None if failure.seconds != failure.seconds else round(failure.seconds, 3),
        }
        with refusals(self.journal.folder):
            self.journal.note([record])
            self.journal.sync()
        self.failures[failure.unit] = record
        self._tell()

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(len(self.in_place) + len(self.made), len(self.units), len(self.failures))

    def report(self, output: str, ending: str, why: str, left_out: pd.DataFrame) -> Report:
        """What became of it."""
        units, recordings = [], []
        for name, unit in self.units.items():
            units.append(self._row(name))
            recordings.append({"path": unit.row["path"], "state": units[-1]["state"], "error": _told(units[-1])})
        for path, reason in zip(left_out["path"], left_out["reason"], strict=True):
            recordings.append({"path": path, "state": "left out", "error": reason})
        table = unit_table(units)
        done, skipped, failed, left = (
            int((table["state"] == state).sum()) for state in ("done", "skipped", "failed", "left")
        )
        return Report(
            output=output,
            ending=ending or ("failures" if failed else "complete"),  # type: ignore[arg-type]
            done=done,
            skipped=skipped,
            failed=failed,
            left=left,
            recordings=recording_table(recordings),
            units=table,
            drivers=drivers_of(self.journal.drivers),
            why=why,
        )

    def _row(self, name: str) -> dict[str, Any]:
        """The row of a unit in the report."""
        row: dict[str, Any] = dict.fromkeys(("error", "message"), "") | {"unit": name, "attempts": 1}
        row["seconds"] = float("nan")
        if name in self.made:
            return row | {"state": "done", "seconds": self.made[name]}
        if name in self.in_place:
            return row | {"state": "skipped"}
        if name not in self.failures:
            return row | {"state": "left", "attempts": 0}
        failure = self.failures[name]
        seconds = float("nan") if failure["seconds"] is None else failure["seconds"]
        wrong = {"error": failure["type"], "message": failure["message"], "attempts": failure["attempts"]}
        return row | wrong | {"state": "failed", "seconds": seconds}


def _told(row: Mapping[str, Any]) -> str:
    return f"{row['error']}: {row['message']}" if row["error"] else ""
