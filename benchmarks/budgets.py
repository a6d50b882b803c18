"""Budgets: what the engine has to keep, each beside what the tables of the same run say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import averages, iq, monitoring, recordings, spectrogram
from .measure import Table


@dataclass(frozen=True)
class Cell:
    """One number of a run: that of a row and a column of a table."""

    table: str
    row: Any
    column: str

    def among(self, tables: Sequence[Table]) -> float | None:
        """The number; None where this run has not measured it."""
        found = (table.cell(self.row, self.column) for table in tables if table.name == self.table)
        return next((value for value in found if value is not None), None)


@dataclass(frozen=True)
class Budget:
    """A cell, or its ratio to another, that has to be at least or at most so much."""

    what: str
    cell: Cell
    over: Cell | None = None
    least: float | None = None
    most: float | None = None

    def measured(self, tables: Sequence[Table]) -> float | None:
        value = self.cell.among(tables)
        if self.over is None or value is None:
            return value
        other = self.over.among(tables)
        return None if other is None else value / other

    def met(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def bound(self) -> str:
        return f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"


def share(name: str) -> Cell:
    return Cell("kernel", 1024, f"{name}: share")


def speed(table: str, row: str) -> Cell:
    return Cell(table, row, "times as fast")


WAV, MONITORED, RATE = averages.WAV, monitoring.WAV, recordings.RATE
SCIPY = share("scipy.signal.spectrogram")
PEAK, PEAK_SPECTROGRAM = "2 threads: peak MiB", "spectrogram, 2 threads: peak MiB"
MEBIBYTES = 286.0  # 300 MB
MEANS = "ra.power_spectrum(every='60s')"

BUDGETS = (
    Budget("kernel, nfft 1024: share of the limit, SciPy's FFT", share("reelarray"), least=0.6),
    Budget("kernel, nfft 1024: share of the limit, compiled", share("reelarray compiled"), least=0.9),
    Budget("kernel against scipy.signal.spectrogram, SciPy's FFT", share("reelarray"), SCIPY, least=1.5),
    Budget("kernel against scipy.signal.spectrogram, compiled", share("reelarray compiled"), SCIPY, least=2.3),
    Budget(
        "WAV to one-minute means, against our kernel in memory",
        speed("averages", WAV),
        speed("averages", averages.KERNEL),
        least=0.75,
    ),
    Budget(
        "WAV to one-minute means, against scipy.signal.welch in memory",
        speed("averages", WAV),
        speed("averages", averages.IN_MEMORY),
        least=3,
    ),
    Budget(
        "two threads: speed-up, of that of an FFT alone",
        Cell("threads", "reelarray spectrogram from files", "speed-up"),
        Cell("threads", "FFT alone", "speed-up"),
        least=0.95,
    ),
    Budget(
        "against librosa, spectrogram",
        speed("spectrogram", spectrogram.OURS),
        speed("spectrogram", spectrogram.LIBROSA),
        least=1.5,
    ),
    Budget("against librosa, one-minute means", speed("averages", WAV), speed("averages", averages.LIBROSA), least=1.5),
    Budget(
        "against PyPAM, one-minute spectra, nfft 1024",
        speed("monitoring 1024", MONITORED),
        speed("monitoring 1024", "PyPAM"),
        least=6,
    ),
    Budget(
        "against PyPAM, one-minute spectra, windows of a second",
        speed(f"monitoring {RATE}", MONITORED),
        speed(f"monitoring {RATE}", "PyPAM"),
        least=6,
    ),
    Budget(
        "against pbp, one-minute spectra, windows of a second",
        speed(f"monitoring {RATE}", MONITORED),
        speed(f"monitoring {RATE}", "pbp"),
        least=3,
    ),
    Budget("against OSEkit's figure", speed("averages", WAV), speed("averages", averages.OSEKIT), least=8),
    Budget("against iqtools' figure", speed("iq", iq.OURS), speed("iq", iq.IQTOOLS), least=1),
    Budget("tasks a block, spectrogram from files", Cell("graph", "ra.spectrogram", "tasks a block"), most=1),
    Budget("tasks a block, averages from files", Cell("graph", MEANS, "tasks a block"), most=1),
    Budget("graph: us a chunk, spectrogram", Cell("graph", "ra.spectrogram", "both us"), most=50),
    Budget("graph: us a chunk, averages", Cell("graph", MEANS, "both us"), most=50),
    Budget(
        "peak memory of averages, 24 h over 1 h", Cell("length", "24 h", PEAK), Cell("length", "1 h", PEAK), most=1.1
    ),
    Budget(
        "peak memory of a spectrogram, 24 h over 1 h",
        Cell("length", "24 h", PEAK_SPECTROGRAM),
        Cell("length", "1 h", PEAK_SPECTROGRAM),
        most=1.1,
    ),
    Budget("peak MiB, averages, 24 h, two threads", Cell("length", "24 h", PEAK), most=MEBIBYTES),
    Budget("peak MiB, spectrogram, 24 h, two threads", Cell("length", "24 h", PEAK_SPECTROGRAM), most=MEBIBYTES),
    Budget("open 100,000 catalogued files: ms", Cell("opening", 100_000, "open ms"), most=1000),
    Budget("headers of 10,000 WAV files: us a file", Cell("headers", 10_000, "ra.scan"), most=100),
)


def compared(tables: Sequence[Table]) -> Table:
    """Every budget with what this run measured."""
    out = Table("budgets", "What has to be kept, and what this run says", ("what", "budget", "measured", "met"))
    for budget in BUDGETS:
        value = budget.measured(tables)
        met = "not measured" if value is None else ("yes" if budget.met(value) else "**no**")
        out.add(budget.what, budget.bound(), value, met)
    return out
