"""Runs of recipes: what they add to the bare computation, and how long it takes to see what is left of one."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft

from . import recordings
from .cluster import cluster
from .measure import Settings, Table, Times, race

WORKERS = 2
SECOND = "1s"


FFTS = 450  # of 2**18 samples: a core needs about a second for so many


def slow(x: Any, *, seconds: float) -> Any:
    """A step that keeps a core busy for so long, about: always with the same work."""
    samples = np.random.default_rng(0).standard_normal(2**18, np.float32)
    for _ in range(round(FFTS * seconds)):
        scipy.fft.rfft(samples)
    return x


def computed(path: str, seconds: float) -> float:
    """The bare computation of one unit: reads a recording, and makes of it what the recipe does."""
    import reelarray as ra

    x = slow(ra.open_recording(path), seconds=seconds)
    return float(ra.power_spectrum(x, every=SECOND).values.sum())


def deployment(folder: Path, count: int) -> Path:
    """So many recordings of two seconds."""
    first = Path(recordings.folder(folder / "first", 2.0))
    source = next(first.glob("*.wav"))
    made = folder / f"recordings-{count}"
    made.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        target = made / f"20220301_{number // 3600:02}{number // 60 % 60:02}{number % 60:02}.wav"
        if not target.exists():
            os.link(source, target)
    return made


def recipe(inputs: Path, output: Path, seconds: float) -> dict[str, Any]:
    """One output a recording: each is a unit."""
    return {
        "input": {"paths": str(inputs), "cache": False},
        "step": [{"use": f"{__name__}.slow", "seconds": seconds}, {"use": "power_spectrum", "every": SECOND}],
        "output": {"path": str(output / "{stem}.npz")},
    }


# ---- what a run adds -------------------------------------------------------------------------------------------------


def overhead(client: Any, folder: Path, seconds: float, units: int, repeats: int) -> Times:
    """Wall time of the bare computation and of the run, in turn."""
    import reelarray as ra

    inputs, output = deployment(folder, units), folder / "spectra"
    paths = [str(path) for path in sorted(inputs.glob("*.wav"))]

    def bare() -> None:
        client.gather(client.map(computed, paths, seconds=seconds, pure=False))

    def whole() -> None:
        shutil.rmtree(output, ignore_errors=True)
        report = ra.run_recipe(recipe(inputs, output, seconds), client=client)
        if report.done != units:
            raise RuntimeError(f"{report.done} of {units} units were made: {report}")

    return race({"bare": bare, "run": whole}, repeats, clock=time.perf_counter)


def overhead_table(settings: Settings) -> Table:
    sizes = settings.pick(tiny=((0.05, 4),), quick=((0.5, 24), (3.0, 8)), full=((1.0, 24), (10.0, 8)))
    table = Table(
        "runs",
        f"A run of a recipe on {WORKERS} workers of this machine, against the bare computation on them",
        ("s a unit", "units", "bare s", "run s", "run / bare"),
        notes=[
            "Wall time, on all cores of the machine, of units that make FFTs for about so long and then spectra of two "
            "seconds of sound. The run also scans, plans, takes its lease, writes an npz file a unit, and notes it."
        ],
    )
    with cluster(WORKERS, 1) as client:
        for seconds, units in sizes:
            times = overhead(client, settings.data / "runs", seconds, units, min(settings.repeats, 3))
            table.add(seconds, units, times.median("bare"), times.median("run"), times.speed("bare", "run"))
    return table


# ---- what is left ----------------------------------------------------------------------------------------------------


def finished_store(folder: Path, units: int) -> Callable[[], int]:
    """Looks at a store of so many blocks, all of which a journal calls done; returns how many it finds so."""
    import dask.array as da

    import reelarray as ra
    from reelarray.driving import Policy, Stop
    from reelarray.sinks.journal import read_header
    from reelarray.sinks.store import mark_of
    from reelarray.sinks.zarr import output_of

    samples = da.zeros(units * 64, chunks=64, dtype=np.float32)
    output = output_of(ra.recording(samples, rate=1000, units="Pa"), folder / f"{units}.zarr", chunk=64)
    if not output.path.exists():
        stop = Stop(environ={})
        stop.ask("nothing is to be computed")
        output.write(Policy(), stop=stop)
        mark = mark_of(read_header(output.path / ".reelarray"))
        laid = output._laid()
        done = ({"done": list(laid.unit(output.region((k,)))), "of": mark} for k in range(units))
        lines = (line | {"bytes": 256, "crc": 0, "t": 0.0} for line in done)
        write_journal(output.path / ".reelarray", lines)
    return lambda: output.look().skipped


def finished_outputs(folder: Path, units: int) -> Callable[[], int]:
    """Looks at so many outputs, one a recording, all of which are there and called done; how many it finds so."""
    import pandas as pd

    from reelarray.recipe import Recipe, inputs
    from reelarray.recipe.each import EachPlan

    few = deployment(folder, 1)
    made = Recipe.from_dict(recipe(few, folder / f"outputs-{units}", 0.0))
    one = inputs.find(made.input, made.folder, together=False)
    many = pd.concat([one.chosen] * units, ignore_index=True)
    many["path"] = [str(few / f"{number:06}.wav") for number in range(units)]
    plan = EachPlan.of(made, inputs.Deployment(many, many, one.left_out, one.opening))
    if not plan.folder.exists():
        plan.folder.mkdir(parents=True)
        for name in plan.units:
            Path(plan.root, name).touch()
        write_journal(plan.folder, ({"done": name, "of": unit.fingerprint} for name, unit in plan.units.items()))
    return lambda: len(plan.look()[0])


def write_journal(folder: Path, lines: Any) -> None:
    """The lines of one driver, in the place of its journal."""
    (folder / "done").mkdir(exist_ok=True)
    with (folder / "done" / "000001-0123456789abcdef.jsonl").open("w") as file:
        file.writelines(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)


def resume_table(settings: Settings) -> Table:
    sizes = settings.pick(tiny=(50,), quick=(1000, 10_000), full=(8000, 100_000))
    table = Table(
        "resume",
        "Finding out what is left of a run, of which all is done",
        ("units", "blocks of a store: ms", "one output a recording: ms"),
        notes=["CPU time. The scan of recordings is not in it: it is measured as `catalog`, and has a cache."],
    )
    for units in sizes:
        folder = settings.data / "resume"
        looks = {"store": finished_store(folder, units), "outputs": finished_outputs(folder, units)}
        times = race(looks, settings.repeats)
        if set(times.results.values()) != {units}:
            raise RuntimeError(f"{times.results} of {units} finished units were found")
        table.add(units, 1000 * times.median("store"), 1000 * times.median("outputs"))
    return table


def run(settings: Settings) -> list[Table]:
    return [resume_table(settings), overhead_table(settings)]
