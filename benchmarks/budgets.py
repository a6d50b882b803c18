"""Budgets: what the engine has to keep, each beside what the tables of the same run say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import averages, depth, iq, recordings, spectrogram
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


def of_engine(name: str) -> tuple[Budget, ...]:
    """What each engine has to keep."""
    means, minutes = speed("averages", averages.ours(name)), f"monitoring {recordings.RATE}"
    seconds, short = speed(minutes, averages.ours(name)), speed("monitoring 1024", averages.ours(name))
    welch, whole = speed("averages", averages.IN_MEMORY), speed("averages", averages.whole(name))
    librosa = speed("spectrogram", spectrogram.LIBROSA)
    threads = Cell("threads", f"{name} spectrogram from files", "speed-up")
    fft = Cell("threads", "FFT alone", "speed-up")
    asked = (
        Budget("one-minute means from WAV, against its kernel in memory", means, whole, least=0.75),
        Budget("one-minute means from WAV, against scipy.signal.welch in memory", means, welch, least=3),
        Budget("two threads: speed-up, of that of an FFT alone", threads, fft, least=0.95),
        Budget("spectrogram against librosa", speed("spectrogram", spectrogram.ours(name)), librosa, least=1.5),
        Budget("one-minute means against librosa", means, speed("averages", averages.LIBROSA), least=1.5),
        Budget("one-minute means against PyPAM, nfft 1024", short, speed("monitoring 1024", "PyPAM"), least=6),
        Budget("one-minute means against PyPAM, windows of a second", seconds, speed(minutes, "PyPAM"), least=6),
        Budget("one-minute means against pbp, windows of a second", seconds, speed(minutes, "pbp"), least=3),
        Budget("one-minute means against OSEkit's figure", means, speed("averages", averages.OSEKIT), least=8),
        Budget("quantiles over means", Cell("reductions", f"{name}, quantiles", "times as long as means"), most=3.5),
        Budget("IQ samples against iqtools' figure", speed("iq", iq.ours(name)), speed("iq", iq.IQTOOLS), least=1),
        Budget("a .tiq file against iqtools' figure", speed("tiq", iq.of_tiq(name)), speed("tiq", iq.IQTOOLS), least=8),
        Budget("a .tiq file of 1 GB: peak MiB", Cell("tiq", iq.of_tiq(name), "peak MiB"), most=381.0),  # 400 MB
    )
    return tuple(replace(budget, what=f"{name}: {budget.what}") for budget in asked)


def scale() -> tuple[Budget, ...]:
    """What does not depend on the engine."""
    blocks, means = "ra.spectrogram", "ra.power_spectrum(every='60s')"
    hour, day = "1 h", "24 h"
    looked, held = Cell("depth", depth.OURS, "frames/s"), Cell("depth memory", 200, "2 threads: peak MiB")
    compat = Cell("depth", f"{depth.OURS}, compat=True", "frames/s")
    peak, peak_spectrogram = "2 threads: peak MiB", "spectrogram, 2 threads: peak MiB"
    return (
        Budget("tasks a block, spectrogram from files", Cell("graph", blocks, "tasks a block"), most=1),
        Budget("tasks a block, averages from files", Cell("graph", means, "tasks a block"), most=1),
        Budget("graph: us a chunk, spectrogram", Cell("graph", blocks, "both us"), most=50),
        Budget("graph: us a chunk, averages", Cell("graph", means, "both us"), most=50),
        Budget(
            "peak memory of averages, 24 h over 1 h", Cell("length", day, peak), Cell("length", hour, peak), most=1.1
        ),
        Budget(
            "peak memory of a spectrogram, 24 h over 1 h",
            Cell("length", day, peak_spectrogram),
            Cell("length", hour, peak_spectrogram),
            most=1.1,
        ),
        Budget("peak MiB of averages, 24 h, two threads", Cell("length", day, peak), most=MEBIBYTES),
        Budget("peak MiB of a spectrogram, 24 h, two threads", Cell("length", day, peak_spectrogram), most=MEBIBYTES),
        Budget("100,000 catalogued files to a day's graph: ms", Cell("catalog", 100_000, "all ms"), most=1000),
        Budget("the same: tasks a block", Cell("catalog", 100_000, "tasks a block"), most=1),
        Budget("headers of 10,000 WAV files: us a file", Cell("headers", 10_000, "ra.scan"), most=100),
        Budget("headers of 10,000 WAV files, over os.stat", Cell("headers", 10_000, "ra.scan / stat"), most=4),
        Budget("run of a recipe over the bare computation, 10 s a unit", Cell("runs", 10.0, "run / bare"), most=1.05),
        Budget("what is left of 100,000 blocks: ms", Cell("resume", 100_000, "blocks of a store: ms"), most=1000),
        Budget("of 100,000 outputs: ms", Cell("resume", 100_000, "one output a recording: ms"), most=1000),
        Budget("opening a .tiq file of 1 GB: ms", Cell("tiq opening", "ra.open_recording", "ms"), most=50),
        Budget("the same: KiB read", Cell("tiq opening", "ra.open_recording", "KiB read"), most=256),
        Budget("depth video from .dat: frames/s", looked, least=600),
        Budget("the same, compat=True: frames/s", compat, least=300),
        Budget("the same, two threads: peak MiB", held, most=572.0),  # 600 MB
        Budget("Zarr, dB in 16 bits, against plain zarr", speed("writing", "dB in 16 bits: reelarray"), least=0.8),
    )


MEBIBYTES = 286.0  # 300 MB
ENGINE, COMPILED, SCIPY = "reelarray", "reelarray compiled", share("scipy.signal.spectrogram")

BUDGETS = (
    Budget(f"{ENGINE}: kernel, nfft 1024, share of the limit", share(ENGINE), least=0.6),
    Budget(f"{COMPILED}: kernel, nfft 1024, share of the limit", share(COMPILED), least=0.9),
    Budget(f"{ENGINE}: kernel against scipy.signal.spectrogram", share(ENGINE), SCIPY, least=1.5),
    Budget(f"{COMPILED}: kernel against scipy.signal.spectrogram", share(COMPILED), SCIPY, least=2.3),
    *of_engine(ENGINE),
    *of_engine(COMPILED),
    *scale(),
)


def compared(tables: Sequence[Table]) -> Table:
    """Every budget with what this run measured."""
    out = Table(
        "budgets",
        "What has to be kept, and what this run says",
        ("what", "budget", "measured", "met"),
        notes=["They are meant for a whole run: short recordings pay more for opening and planning."],
    )
    for budget in BUDGETS:
        value = budget.measured(tables)
        met = "not measured" if value is None else ("yes" if budget.met(value) else "**no**")
        out.add(budget.what, budget.bound(), value, met)
    return out
