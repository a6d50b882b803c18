"""Report: what a run did, what it did not, and why."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import pandas as pd

Ending = Literal["complete", "failures", "stopped", "gave up", "planned"]
UNIT_COLUMNS = ("unit", "state", "error", "message", "seconds", "attempts")
RECORDING_COLUMNS = ("path", "state", "error")
MOST_SHOWN = 20  # rows of a table in text
# As the command line ends, and as the driver of a job tells its successors.
COMPLETE, INCOMPLETE, STOPPED, GAVE_UP = 0, 3, 4, 5


def _no_units() -> pd.DataFrame:
    return pd.DataFrame(columns=pd.Index(UNIT_COLUMNS))


def _no_recordings() -> pd.DataFrame:
    return pd.DataFrame(columns=pd.Index(RECORDING_COLUMNS))


@dataclass(frozen=True, eq=False)
class Report:
    """What a run did.

    Parameters
    ----------
    output : the path of the recipe's output
    ending : "complete" (all is there), "failures" (all was tried, some failed), "stopped" (on purpose, with units
        left), "gave up" (something is broken that is common to all), or "planned" (nothing was to be done)
    done, skipped, failed, left : units made now; that were in place; that failed, now or earlier; not tried yet
    recordings : path, state ("done", "skipped", "failed", "left out", "left"), error, of each input file
    units : unit, state, error, message, seconds, attempts, of each that failed or, where outputs are made one a
        recording, of all that were to be made
    drivers : the processes that had worked on the output before: host, pid, job (of a queue), began (UTC)
    why : of a run that was stopped, or gave up
    plan : lines that say what was, or would be, done

    """

    output: str
    ending: Ending
    done: int = 0
    skipped: int = 0
    failed: int = 0
    left: int = 0
    recordings: pd.DataFrame = field(default_factory=_no_recordings, repr=False)
    units: pd.DataFrame = field(default_factory=_no_units, repr=False)
    drivers: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    why: str = ""
    plan: tuple[str, ...] = field(default=(), repr=False)

    @property
    def resumes(self) -> int:
        """How many drivers had worked on the output before."""
        return len(self.drivers)

    @property
    def total(self) -> int:
        """All units."""
        return self.done + self.skipped + self.failed + self.left

    @property
    def left_out(self) -> pd.DataFrame:
        """The recordings that were not used though nobody asked to leave them out."""
        states, errors = self.recordings["state"], self.recordings["error"]
        return self.recordings[(states == "left out") & ~errors.astype(str).str.contains(ASKED, regex=False)]

    @property
    def exit_code(self) -> int:
        """0 complete, 3 with failures or files left out, 4 stopped, 5 given up."""
        if self.ending in ("stopped", "gave up"):
            return STOPPED if self.ending == "stopped" else GAVE_UP
        return INCOMPLETE if self.failed or len(self.left_out) else COMPLETE

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "output": self.output,
            "ending": self.ending,
            "exit_code": self.exit_code,
            **{name: getattr(self, name) for name in ("done", "skipped", "failed", "left", "resumes", "why")},
            "drivers": [dict(driver) for driver in self.drivers],
            "recordings": _rows(self.recordings),
            "units": _rows(self.units),
        }

    def __str__(self) -> str:
        counts = f"{self.done:,} done, {self.skipped:,} were there, {self.failed:,} failed, {self.left:,} left"
        again = f", after {self.resumes:,} earlier run{'s' * (self.resumes != 1)}" if self.resumes else ""
        lines = [f"{self.output}: {self.ending} ({counts}{again})"]
        if self.why:
            lines.append(f"  {self.why}")
        for state in ("failed", "left out"):
            rows = self.recordings[self.recordings["state"] == state]
            lines += [f"  {state:<9} {row.path}: {row.error}" for row in rows.head(MOST_SHOWN).itertuples(index=False)]
            if len(rows) > MOST_SHOWN:
                lines.append(f"  {state:<9} and {len(rows) - MOST_SHOWN:,} more, see report.recordings")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = self.recordings[self.recordings["state"].isin(("failed", "left out"))]
        head = html.escape(str(self).splitlines()[0])
        table = rows.head(MOST_SHOWN).to_html(index=False) if len(rows) else ""
        return f"<p><b>{head}</b></p>" + (f"<p>{html.escape(self.why)}</p>" if self.why else "") + table


ASKED = "was asked for"  # in the reasons of files that somebody wanted left out


def unit_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Units as a table."""
    return pd.DataFrame(list(rows), columns=pd.Index(UNIT_COLUMNS))


def recording_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Recordings as a table."""
    return pd.DataFrame(list(rows), columns=pd.Index(RECORDING_COLUMNS))


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(k): None if isinstance(v, float) and v != v else v for k, v in row.items()}
        for row in table.astype(object).to_dict("records")
    ]


def drivers_of(records: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Drivers by what a journal notes of them."""
    return tuple(
        {
            "host": record.get("host"),
            "pid": record.get("pid"),
            "job": record.get("job"),
            "began": datetime.fromtimestamp(record["began"], UTC).isoformat(timespec="seconds"),
        }
        for record in records
    )
