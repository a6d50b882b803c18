"""Depth video: from a camera's frames to aligned crops and scalars, by step and as a whole, beside a loop in OpenCV."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import depthloop, kernel, threads
from .depthloop import Laps
from .measure import MIB, Settings, Table, alone, peak, race

OURS, LOOP = "reelarray", "a loop in OpenCV"
SHORT = 64  # frames of the recording that is done before anything is measured; one chunk of the file
PORTION = 20  # frames that a task reads at once
STEPS = ("read", "heights", "cleaning", "component, moments", "crops", "write")
CHUNKS = (100, 200, 1000)  # frames
# The way of ours that is asked for, and how many of the recording's frames it gets: films are slow to decode.
WAYS: dict[str, tuple[dict[str, Any], float]] = {
    OURS: ({}, 1),
    f"{OURS}, a film (.avi, FFV1)": ({}, 0.2),
    f"{OURS}, compat=True": ({"compat": True}, 1),
    f"{OURS}, with its tracker": ({"use_tracking_model": True}, 1),
    f"{OURS}, with a preview": ({"write_movie": True}, 1),
}


def session(root: Path, frames: int, suffix: str = "dat") -> str:
    """A recording of so many frames of 424 x 512 pixels, raw or as a film; made unless it is there already."""
    from reelarray.demo.depth import make_session
    from reelarray.depth.converting import convert_raw_to_avi

    here = root / f"depth-{frames}"
    if not (here / "whole").exists():
        make_session(here, frames=frames)
        (here / "whole").touch()
    if suffix == "avi" and not (here / "depth.avi").exists():
        convert_raw_to_avi(here / "depth.dat", fps=30)
    return str(here / f"depth.{suffix}")


def extracted(path: str, workers: int = 1, **options: Any) -> dict[str, Any]:
    """One extraction: its frames, seconds of wall time in all and of its blocks, and where the animal was."""
    import dask
    import h5py

    from reelarray.depth import extract_recording

    how = {"flip": "motion", "write_movie": False} | options
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        with dask.config.set(scheduler="threads" if workers > 1 else "sync", num_workers=workers):
            found = extract_recording(path, output_dir=folder, **how)
        with h5py.File(found.results) as file:
            names = {"x": "centroid_x_px", "y": "centroid_y_px", "area": "area_px"}
            facts = {key: file[f"scalars/{name}"][:].tolist() for key, name in names.items()}
    return {"frames": found.frames, "seconds": found.seconds, "blocks": found.steps["blocks"], **facts}


def looped(path: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        return depthloop.extract(path, os.path.join(folder, "results.h5"))


def check_same_work(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Raise where both have not found the same animal: medians of 0.2 px, a twentieth of the area."""
    apart = [np.nanmedian(np.abs(np.subtract(ours[name], theirs[name]))) for name in ("x", "y")]
    areas = np.nanmedian(np.divide(ours["area"], theirs["area"]))
    if max(apart) > 0.2 or abs(areas - 1) > 0.05:
        raise RuntimeError(f"not the same work: {max(apart):.2f} px apart, {areas:.2f} of the area")


# ---- the whole way ---------------------------------------------------------------------------------------------------


def alone_extracted(path: str, short: str | None, workers: int = 1, **options: Any) -> Callable[[], dict[str, float]]:
    """For a process of its own; without a `short` recording to begin with, imports count too."""
    if short:
        extracted(short, workers, **options)

    def work() -> dict[str, float]:
        frames = extracted(path, workers, **options)["frames"]
        return {"frames": frames, "CPU": time.process_time(), "MiB": peak() / MIB}

    return work


def alone_looped(path: str, short: str) -> Callable[[], dict[str, float]]:
    looped(short)
    return lambda: {"frames": len(looped(path)["x"]), "MiB": peak() / MIB}


def whole(settings: Settings, frames: int) -> Table:
    paths = {name: session(settings.data, max(SHORT, int(frames * share)), "avi" if "film" in name else "dat")
             for name, (_, share) in WAYS.items()}  # fmt: skip
    raw, short = session(settings.data, frames), session(settings.data, SHORT)
    ours = {name: partial(extracted, paths[name], **options) for name, (options, _) in WAYS.items()}
    times = race({**ours, LOOP: partial(looped, raw)}, settings.repeats)
    if settings.size != "tiny":  # where an animal has no time to leave its place, it is in the loop's background
        check_same_work(times.results[OURS], times.results[LOOP])
    counts = {name: times.results[name]["frames"] for name in WAYS} | {LOOP: frames}
    table = Table(
        "depth",
        f"Depth video: {frames} frames of 424 x 512 pixels to aligned crops and scalars, one core",
        ("what", "CPU ms a frame", "frames/s", "times as fast", "peak MiB"),
        notes=[
            "Frames a second of CPU time, the scene and writing included. Ours finds the floor by RANSAC, says which "
            "way the animal faces, and keeps what is done on the disk as it goes, so that it can be killed; the loop "
            "takes the patch near the median depth for the arena, and does neither. Imports count in one row only, "
            "their memory in all; that of the loop has the pages of its memory map, which the system can take back."
        ],
    )
    for name, count in counts.items():
        seconds = times.median(name) / count
        share = counts[LOOP] / count
        options = {} if name == LOOP else WAYS[name][0]
        if name == LOOP:
            found = alone(alone_looped, path=raw, short=short)
        else:
            begin = session(settings.data, SHORT, "avi") if "film" in name else short
            found = alone(alone_extracted, path=paths[name], short=begin, **options)
        speed = times.speed(name, LOOP) / share
        table.add(name, 1e3 * seconds, 1 / seconds, speed, found.result["MiB"])
    fresh = alone(alone_extracted, path=raw, short=None).result
    seconds = fresh["CPU"] / fresh["frames"]
    theirs = times.median(LOOP) / counts[LOOP]
    table.add(f"{OURS}, a new process with its imports", 1e3 * seconds, 1 / seconds, theirs / seconds, fresh["MiB"])
    return table


# ---- its steps -------------------------------------------------------------------------------------------------------


def steps_of_ours(path: str, engine: str, repeats: int) -> dict[str, float]:
    """Least CPU seconds of each step, one after the other on a few frames at a time, as a task does them."""
    import reelarray as ra
    from reelarray.depth import scene
    from reelarray.depth.extract import Steps
    from reelarray.depth.looking import BATCH, engine_of, look
    from reelarray.depth.options import resolve_config

    rec = ra.open_recording(path, cache=False)
    steps = Steps.of(rec, scene(rec), resolve_config(write_movie=False))
    arena, settings = steps.arena, steps.look
    film = np.memmap(path, "<u2", "r").reshape(rec.shape)
    each = film.strides[0]
    rounds = []
    for _ in range(repeats + 1):
        records, lap = [], Laps()
        eyes = engine_of(arena, settings, engine)
        lap("arena")
        for start in range(0, len(rec), PORTION):
            frames = np.fromfile(path, "<u2", PORTION * each // 2, offset=start * each).reshape(-1, *rec.shape[1:])
            lap("read")
            for k in range(0, len(frames), BATCH):
                _look(eyes, frames[k : k + BATCH], settings, lap)
            records.append(look(frames, arena, settings, engine=engine))
            lap("not counted")
        _write(records, steps, lap)
        rounds.append(lap.seconds)
    return {step: min(found[step] for found in rounds[1:]) for step in STEPS}


def _look(eyes: Any, depths: np.ndarray, settings: Any, lap: Callable[[str], None]) -> None:
    from reelarray.depth.cropping import placements
    from reelarray.depth.moments import from_sums

    raw, _ = eyes.heights(depths)
    lap("heights")
    cleaned = eyes.clean(raw)
    lap("cleaning")
    mask, totals, _, _ = eyes.find(cleaned, settings.minimum)
    seen = from_sums(totals)
    lap("component, moments")
    crops = eyes.crop((raw, cleaned, mask), placements(seen["x"], seen["y"], seen["orientation"]))
    eyes.count(crops[1])
    lap("crops")


def _write(records: list[np.ndarray], steps: Any, lap: Callable[[str], None]) -> None:
    """Blocks on the disk and back again, and the one file of them."""
    from reelarray.depth.parts import PartWriter, read_part
    from reelarray.depth.results import Extraction, ResultsFile
    from reelarray.depth.scalarnames import SCALARS

    found = steps.scene
    images = (found[name].values for name in ("background", "roi", "first_frame"))
    rows, block = sum(map(len, records)), 200 // PORTION
    facts = Extraction(*images, 0, rows, float(found.attrs["true_depth"]))
    settings = steps.look
    how = {"frames": rows, "crop_size": settings.crop_size, "uuid": "", "extraction": facts, "threads": 0}
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        here = Path(folder)
        blocks = [np.concatenate(records[k : k + block]) for k in range(0, len(records), block)]
        writer = PartWriter(here, here, "seen", dict(enumerate(range(len(blocks)))))
        lap("not counted")
        for k, each in enumerate(blocks):
            writer(each, (slice(k, k + 1),))
        with ResultsFile(here / "results_00.h5", **how) as file:
            start = 0
            for k in range(len(blocks)):
                each = read_part(here / f"seen-{k:06d}.part")
                numbers = {name: np.zeros(len(each), "f4") for name in SCALARS}
                file.write(start, np.ascontiguousarray(each["frames"]), np.ascontiguousarray(each["mask"]), numbers)
                start += len(each)
        lap("write")


def steps_of_loop(path: str, repeats: int) -> dict[str, float]:
    rounds = []
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        for _ in range(repeats + 1):
            lap = Laps()
            depthloop.extract(path, os.path.join(folder, "results.h5"), lap=lap)
            rounds.append(lap.seconds)
    return {step: min(found[step] for found in rounds[1:]) for step in STEPS}


def by_step(settings: Settings, frames: int) -> Table:
    path = session(settings.data, frames)
    ways = {name: steps_of_ours(path, engine, settings.repeats) for name, engine in kernel.engines().items()}
    ways[LOOP] = steps_of_loop(path, settings.repeats)
    table = Table(
        "depth steps",
        f"The steps of it, CPU time, {frames} frames",
        ("step", *(f"{name}: {unit}" for name in ways for unit in ("ms a frame", "frames/s"))),
        notes=["Writing is compressing and storing; ours writes each block twice, the first time to keep it."],
    )
    for step in (*STEPS, "all of them"):
        row = [sum(found.values()) if step not in found else found[step] for found in ways.values()]
        table.add(step, *(value for seconds in row for value in (1e3 * seconds / frames, frames / seconds)))
    return table


# ---- memory and workers ----------------------------------------------------------------------------------------------


def memory(settings: Settings, frames: int) -> Table:
    path, short = session(settings.data, frames), session(settings.data, SHORT)
    table = Table(
        "depth memory",
        f"Peak memory against frames of a chunk, {frames} frames",
        ("frames of a chunk", "1 thread: peak MiB", "2 threads: peak MiB"),
        notes=["All that is resident, libraries too."],
    )
    for chunk in CHUNKS:
        ask = partial(alone, alone_extracted, path=path, short=short, chunk_size=chunk)
        table.add(chunk, *(ask(workers=count).result["MiB"] for count in (1, 2)))
    return table


def workers(settings: Settings, frames: int) -> Table:
    path = session(settings.data, frames)
    parts = settings.pick(tiny=2, quick=20, full=60)
    runs = {
        "control without a lock": lambda n: threads.shared(threads.hashing, parts, n),
        "the whole way": lambda n: lambda: extracted(path, n)["seconds"],
        "its blocks": lambda n: lambda: extracted(path, n)["blocks"],
    }
    variants = {f"{name} {n}": make(n) for name, make in runs.items() for n in (1, 2)}
    times = race(variants, settings.repeats, time.perf_counter)
    table = Table(
        "depth workers", "One and two worker threads, wall time", ("what", "1 thread s", "2 threads s", "speed-up")
    )
    for name in runs:
        table.add(name, times.median(f"{name} 1"), times.median(f"{name} 2"), times.speed(f"{name} 2", f"{name} 1"))
    free = table.rows[0][-1] >= 1.8
    table.notes.append(
        "The control must reach 1.8: "
        + ("it does." if free else "**it does not, so two cores were not free and this table says nothing.**")
    )
    return table


def run(settings: Settings) -> list[Table]:
    frames = settings.pick(tiny=SHORT, quick=500, full=2000)
    return [whole(settings, frames), by_step(settings, frames), memory(settings, frames), workers(settings, frames)]
