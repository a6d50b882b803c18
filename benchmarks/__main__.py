"""``python -m benchmarks [names...] [--quick] [--json FILE] [--write-readme]``: run, print, and keep the results."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from . import budgets, environments, jobs, report
from .measure import PEERS, Settings, Table, machine

FAMILIES = (
    "kernel", "spectrogram", "averages", "monitoring", "fibre", "iq", "rates", "threads", "scaling", "opening",
    "graph", "writing", "cluster", "runs", "depth",
)  # fmt: skip


def run(name: str, settings: Settings) -> list[Table]:
    """The tables of one family of benchmarks."""
    return importlib.import_module(f"benchmarks.{name}").run(settings)


def show(table: Table) -> None:
    print(f"\n{table.title}\n\n{table.markdown()}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which of {', '.join(FAMILIES)}; all unless given")
    parser.add_argument("--quick", action="store_true", help="minutes: shorter recordings, fewer repeats")
    parser.add_argument("--repeats", type=int, help="times that each variant is timed (5, or 3 with --quick)")
    parser.add_argument("--data", type=Path, help="keep the recordings in this folder, for the next run")
    parser.add_argument("--peers", type=Path, default=PEERS, help="the folder of `python -m benchmarks.environments`")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--write-readme", action="store_true", help=f"put the results into {report.README.name}")
    given = parser.parse_args(arguments)
    names = given.names or list(FAMILIES)
    if unknown := [name for name in names if name not in FAMILIES]:
        parser.error(f"{', '.join(unknown)}: one of {', '.join(FAMILIES)} was expected")
    if given.write_readme and len(set(names)) < len(FAMILIES):
        parser.error("--write-readme replaces the whole table: leave out the names")
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as temporary:
        data = given.data or Path(temporary)
        data.mkdir(parents=True, exist_ok=True)
        size, repeats = ("quick", 3) if given.quick else ("full", 5)
        settings = Settings(size, data.resolve(), given.repeats or repeats, given.peers.resolve())
        about, tables = machine(), []
        about["versions"] |= environments.versions(settings.peers)
        for name in names:
            begun = time.perf_counter()
            for table in run(name, settings):
                show(table)
                tables.append(table)
            print(f"[{name}: {time.perf_counter() - begun:.0f} s]", file=sys.stderr)
    first = [table for table in (budgets.compared(tables), jobs.summary(tables)) if table.rows]
    for table in first:
        show(table)
    tables = [*first, *tables]
    options = [*["--quick"] * given.quick, *([f"--repeats {given.repeats}"] if given.repeats else [])]
    command = " ".join(["python -m benchmarks", *given.names, *options])
    if given.json:
        given.json.write_text(report.as_json(tables, about, settings, command))
    if given.write_readme:
        report.write_readme(report.as_markdown(tables, about, command))


if __name__ == "__main__":
    main()
