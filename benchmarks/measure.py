"""Measuring: variants in turn within one loop, peak memory of a fresh process, the machine, and tables of results."""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[1]
MIB = 2**20
PACKAGES = (
    "reelarray", "numpy", "scipy", "dask", "distributed", "xarray", "pandas", "zarr", "numcodecs", "numba",
    "rocket-fft", "soundfile", "librosa", "dascore", "xdas",
)  # fmt: skip
PEERS = ROOT / "benchmarks" / ".environments"
JOB = ("what", "CPU s", "MS/s", "times as fast", "share of the limit", "peak MiB")  # columns of a table of one job
OURS, LIMIT = "reelarray", "limit: "  # how rows of such a table begin that are ours, or that no program can beat
Size = Literal["tiny", "quick", "full"]


@dataclass(frozen=True)
class Settings:
    """How large a run is, how often each variant is timed, where recordings are kept, and other environments are."""

    size: Size
    data: Path
    repeats: int
    peers: Path = PEERS

    def pick(self, **sizes: Any) -> Any:
        """The value for this size: ``pick(tiny=1, quick=10, full=100)``."""
        return sizes[self.size]


@dataclass
class Table:
    """Results of one benchmark: numbers in columns, the first of which names the row."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *values: Any) -> None:
        if len(values) != len(self.columns):
            raise ValueError(f"{self.name}: {len(values)} values for {len(self.columns)} columns")
        self.rows.append(values)

    def column(self, name: str) -> list[Any]:
        return [row[self.columns.index(name)] for row in self.rows]

    def cell(self, row: Any, column: str) -> Any:
        """The value in the first row of that name; None where this run has no such row or column."""
        if column not in self.columns:
            return None
        return next((each[self.columns.index(column)] for each in self.rows if each[0] == row), None)

    def markdown(self) -> str:
        lines = [[str(c) for c in self.columns], *[[shown(v) for v in row] for row in self.rows]]
        widths = [max(len(line[k]) for line in lines) for k in range(len(self.columns))]

        def joined(line: list[str]) -> str:
            cells = [c.ljust(w) if k == 0 else c.rjust(w) for k, (c, w) in enumerate(zip(line, widths, strict=True))]
            return "| " + " | ".join(cells) + " |"

        rule = "|" + "|".join("-" * (w + 1) + ("-" if k == 0 else ":") for k, w in enumerate(widths)) + "|"
        text = [joined(lines[0]), rule, *map(joined, lines[1:])]
        return "\n".join([*text, *(f"\n{note}" for note in self.notes)])


def shown(value: Any) -> str:
    """Three significant digits; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int) or abs(value) >= 100:
        return f"{round(value):,}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.3g}".rstrip(".")


# ---- time ------------------------------------------------------------------------------------------------------------


class Times:
    """Seconds of each variant, one number a round."""

    def __init__(self, rounds: dict[str, list[float]], results: dict[str, Any]) -> None:
        self.rounds, self.results = rounds, results

    def median(self, name: str) -> float:
        return statistics.median(self.rounds[name])

    def speed(self, name: str, reference: str) -> float:
        """How many times as fast as the reference: the median of the ratios within each round, which drift leaves."""
        pairs = zip(self.rounds[reference], self.rounds[name], strict=True)
        return statistics.median(a / b for a, b in pairs)

    def add_up(self, name: str, *parts: str) -> None:
        """One more variant, which takes the time of some others together."""
        self.rounds[name] = [sum(each) for each in zip(*(self.rounds[part] for part in parts), strict=True)]


def race(
    variants: Mapping[str, Callable[[], Any]], repeats: int, clock: Callable[[], float] = time.process_time
) -> Times:
    """Each variant in turn, `repeats` times round, after one round that is not counted.

    A variant that returns a float has timed itself; of others the whole call counts.
    """
    rounds: dict[str, list[float]] = {name: [] for name in variants}
    results: dict[str, Any] = {}
    for counted in range(-1, repeats):
        for name, variant in variants.items():
            gc.collect()
            before = clock()
            result = variant()
            seconds = clock() - before
            if counted < 0:
                results[name] = result
            else:
                rounds[name].append(result if isinstance(result, float) else seconds)
            del result
    return Times(rounds, results)


# ---- memory ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Alone:
    """What one variant took in a process of its own."""

    cpu: float
    wall: float
    peak: float  # MiB above what the process had before, with its modules imported
    result: Any


def alone(target: Callable[..., Callable[[], Any]], python: str | None = None, **arguments: Any) -> Alone:
    """Run ``target(**arguments)()`` in a fresh process: `target` imports what it needs, what it returns is measured.

    `python` is the interpreter of another environment; this one's unless given.
    """
    asked = json.dumps([target.__module__, target.__qualname__, arguments])
    found = [str(ROOT)] if python else [str(ROOT), *filter(None, sys.path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(found)}
    done = subprocess.run(
        [python or sys.executable, "-m", "benchmarks.measure", asked],
        env=environment,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    if done.returncode:
        raise RuntimeError(f"{target.__qualname__}({arguments}) failed:\n{done.stderr}")
    return Alone(**json.loads(done.stdout.splitlines()[-1]))


def _measure_alone(asked: str) -> None:
    module, name, arguments = json.loads(asked)
    work = getattr(importlib.import_module(module), name)(**arguments)
    gc.collect()
    before = _restart_peak()
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps({"cpu": cpu, "wall": wall, "peak": (peak() - before) / MIB, "result": result}))


def _restart_peak() -> int:
    """Bytes resident now; on Linux the peak is counted from here on."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return peak()
    return _status("VmRSS")


def peak() -> int:
    """The most bytes ever resident. On Linux not `getrusage`: there a process begins with the peak of its parent."""
    if Path("/proc/self/status").exists():
        return _status("VmHWM")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0


def race_alone(variants: Mapping[str, Callable[[], Alone]], repeats: int) -> dict[str, list[Alone]]:
    """Variants that each need a process of their own (see `alone`), in turn, `repeats` times round."""
    found: dict[str, list[Alone]] = {name: [] for name in variants}
    for _ in range(repeats):
        for name, variant in variants.items():
            found[name].append(variant())
    return found


# ---- the machine -----------------------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """Processor, system and versions: what numbers of a run depend on."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "processor": _processor(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "cache": _cache_sizes(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _cache_sizes() -> dict[str, str]:
    sizes = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            sizes[f"L{level}"] = size
    return sizes


if __name__ == "__main__":
    _measure_alone(sys.argv[1])
