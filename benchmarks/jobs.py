"""Jobs: every way of doing the same work as one table, and all of them beside ours in one table of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .measure import JOB, LIMIT, OURS, Table, Times

FFT = f"{LIMIT}FFT and one write"  # of float32 power: see `kernel.limit`


def add_ways(table: Table, times: Times, samples: int, reference: str, limit: str, peaks: Mapping[str, float]) -> None:
    """A row for each way, the fastest first: `times as fast` as the reference, and its share of the limit's speed."""
    for name in sorted(times.rounds, key=times.median):
        seconds = times.median(name)
        share = None if name.startswith(LIMIT) else times.speed(name, limit)
        rate = samples / seconds / 1e6
        table.add(name, seconds, rate, times.speed(name, reference), share, peaks.get(name))


def add_reported(table: Table, name: str, rate: float, reference: str) -> None:
    """A row for a way that is known only by the rate that was reported of it, in MS/s."""
    table.add(name, None, rate, rate / table.cell(reference, "MS/s"), None, None)


def summary(tables: Sequence[Table]) -> Table:
    """Each job of a run: our rate beside that of every other way, and of the limit."""
    out = Table(
        "jobs",
        "Each job: ours beside what else does it",
        ("job", "way", "MS/s", "instead of", "MS/s of it", "times as fast", "share of the limit", "MiB", "MiB of it"),
        notes=[
            "Million samples a second of CPU time, and peak memory above the imported libraries. The limit is that of "
            "the job's own table below: the FFT and one write of a float32 output, plus decoding where files are FLAC."
        ],
    )
    for table in tables:
        if table.columns != JOB:
            continue
        rows = [dict(zip(JOB, row, strict=True)) for row in table.rows]
        others = [row for row in rows if not row["what"].startswith((OURS, LIMIT))]
        for ours in (row for row in rows if row["what"].startswith(OURS)):
            for other in others:
                ratio = ours["times as fast"] / other["times as fast"]
                mine = (table.name, ours["what"], ours["MS/s"])
                theirs = (other["what"], other["MS/s"], ratio, ours["share of the limit"])
                out.add(*mine, *theirs, ours["peak MiB"], other["peak MiB"])
    return out
