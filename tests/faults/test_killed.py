"""A run that is killed anywhere and called again: what was done is not done again, and the store ends the same.

Runs live in forked children, which end by `os._exit` at the n-th checkpoint, or by SIGKILL at any moment.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import dask
import numpy as np
import pytest

import reelarray as ra
from reelarray import graph
from reelarray.clock import SampleClock
from reelarray.formats import probe
from reelarray.recordings import label
from reelarray.sinks import faults
from reelarray.sinks.journal import read_records
from reelarray.table import SourceTable

BLOCKS, ROWS, HOP, RATE = 30, 4, 16, 1000
KILLED = 9

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are killed in forked processes"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


class Counted:
    """A kernel, powers of sums, that leaves a byte in a file for each block it makes."""

    def __init__(self, log: Path) -> None:
        self.log = str(log)

    def __call__(self, batch: np.ndarray, out: np.ndarray) -> None:
        handle = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, b"x")
        os.close(handle)
        np.multiply(batch.sum(axis=-1), batch.sum(axis=-1), out=out)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("input")
    rng = np.random.default_rng(0)
    for k in range(3):
        (folder / f"{k}.raw").write_bytes(rng.integers(-99, 99, BLOCKS * ROWS * HOP // 3).astype("<i2").tobytes())
    headers = [probe(str(path), "raw", rate=RATE, dtype="<i2") for path in sorted(folder.iterdir())]
    table = SourceTable.of_headers(headers)
    clock = SampleClock.of_segments([k * 10**12 for k in range(3)], [h.frames for h in headers], RATE)
    return label(graph.read_array(table, 100), clock, attrs={"units": "Pa"}, name="samples")


def product(recording, log: Path):
    windows = ra.Windows(HOP, HOP)
    x = ra.lift_windows(Counted(log), recording, windows, dtype="f4", frames="f4", block=ROWS, name="sums")
    return x.rename("sums").assign_attrs(units="Pa2", long_name="power of sums", hop=HOP)


def write(recording, folder: Path, **options):
    with dask.config.set(scheduler="sync"):
        return ra.write_zarr(product(recording, folder / "calls"), folder / "out.zarr", **options)


def killed(run, at: int | None = None, after: float | None = None) -> bool:
    """Run in a child until its `at`-th checkpoint or for `after` seconds; whether it was killed then."""
    child = os.fork()
    if not child:
        code = 1
        try:
            calls = [0]

            def checkpoint(name: str) -> None:
                calls[0] += 1
                if calls[0] == at:
                    os._exit(KILLED)

            faults.checkpoint = checkpoint
            run()
            code = 0
        finally:
            os._exit(code)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED, -signal.SIGKILL)
    return code != 0


def content(store: Path) -> dict[str, bytes]:
    """Every file of a store, but who wrote what and when: of that, which blocks, in order, each once."""
    found = {str(f.relative_to(store)): f.read_bytes() for f in sorted(store.rglob("*")) if f.is_file()}
    lines = [json.dumps([r["done"], r["of"], r["bytes"], r["crc"]]) for r in noted(store)]
    assert len(set(lines)) == len(lines) == BLOCKS
    rest = {name: data for name, data in found.items() if not name.startswith(".reelarray/done/")}
    return rest | {"journal": "".join(sorted(lines)).encode()}


def noted(store: Path) -> list[dict]:
    """What the journal says is done."""
    return [record for record in read_records(store / ".reelarray") if "done" in record]


def calls(folder: Path) -> int:
    log = folder / "calls"
    return log.stat().st_size if log.exists() else 0


@pytest.fixture(scope="module")
def undisturbed(recording, tmp_path_factory):
    """(content of the store, checkpoints passed, seconds taken)."""
    folder = tmp_path_factory.mktemp("undisturbed")
    passed: list[str] = []
    before, faults.checkpoint = faults.checkpoint, passed.append
    begun = time.monotonic()
    try:
        report = write(recording, folder)
    finally:
        faults.checkpoint = before
    assert (report.total, report.done, calls(folder)) == (BLOCKS, BLOCKS, BLOCKS)
    assert sorted(os.listdir(folder)) == ["calls", "out.zarr"]
    kinds = {name.rpartition(" ")[0] for name in passed if " c." in name}
    assert kinds == {"before writing", "before renaming", "after renaming"}
    assert passed.count("before marking") == passed.count("after marking") == BLOCKS
    return content(folder / "out.zarr"), len(passed), time.monotonic() - begun


def finish(recording, folder: Path, undisturbed) -> None:
    """Call again: only what is not noted is made, and nothing tells that anything happened."""
    there = len(noted(folder / "out.zarr"))
    before = calls(folder)
    assert before - there in (0, 1)  # at most the one block that was in the making
    report = write(recording, folder)
    assert (report.skipped, report.done) == (there, BLOCKS - there)
    assert calls(folder) - before == BLOCKS - there
    assert content(folder / "out.zarr") == undisturbed[0]
    assert sorted(os.listdir(folder)) == ["calls", "out.zarr"]
    assert sorted(os.listdir(folder / "out.zarr" / ".reelarray")) == [
        "done",
        "inputs.jsonl",
        "output.json",
        "zarr.json",
    ]


def test_killed_before_and_after_each_write_rename_and_marker(recording, undisturbed, tmp_path):
    for at in range(1, undisturbed[1] + 1):
        folder = tmp_path / str(at)
        folder.mkdir()
        assert killed(lambda folder=folder: write(recording, folder), at)
        finish(recording, folder, undisturbed)


def test_killed_again_and_again(recording, undisturbed, tmp_path):
    random.seed(0)
    kills = 0
    while killed(lambda: write(recording, tmp_path), random.randint(1, undisturbed[1] // 2)):
        kills += 1
    assert kills > 1
    assert calls(tmp_path) <= BLOCKS + kills
    assert content(tmp_path / "out.zarr") == undisturbed[0]
    assert sorted(os.listdir(tmp_path)) == ["calls", "out.zarr"]


@pytest.mark.parametrize("seed", range(20))
def test_killed_by_the_system_at_any_moment(recording, undisturbed, tmp_path, seed):
    random.seed(seed)
    killed(lambda: write(recording, tmp_path), after=random.uniform(0, undisturbed[2]))
    finish(recording, tmp_path, undisturbed)


def test_killed_while_replacing_another_store(recording, undisturbed, tmp_path):
    """Until the new store stands the old one does, or its successor can be made; nothing else is left."""
    for at in range(1, undisturbed[1] + 4, 5):
        folder = tmp_path / str(at)
        folder.mkdir()
        with dask.config.set(scheduler="sync"):
            ra.write_zarr(product(recording, folder / "other").assign_attrs(hop=1), folder / "out.zarr")
        killed(lambda folder=folder: write(recording, folder, overwrite=True), at)
        report = write(recording, folder, overwrite=True)
        assert report.total == BLOCKS
        assert content(folder / "out.zarr") == undisturbed[0]
        assert sorted(set(os.listdir(folder)) - {"calls"}) == ["other", "out.zarr"]
