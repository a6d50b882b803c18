"""Services that are killed while instruments write: nothing is lost, done twice for nothing, or half there."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import wave
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from reelarray.sinks.journal import read_records

WATCHABLE = Path(__file__).with_name("watchable.py")
IN_FLIGHT = 2
# An instrument: writes recordings in small pieces, into place or beside and moved in; some end too soon.
WRITER = """
import os, sys, time
folder, kind, count, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for k in range(count):
    name = f"{kind}{seed}_{k}.wav"
    data = open(os.path.join(folder, "..", "whole", name), "rb").read()
    if kind == "short":
        data = data[: len(data) // 2]
    if kind == "broken":
        data = b"RIFF" + bytes(200)
    path = os.path.join(folder, name)
    place = path + ".part" if kind == "moved" else path
    with open(place, "wb", buffering=0) as file:
        for start in range(0, len(data), 1000):
            file.write(data[start : start + 1000])
            time.sleep(0.003)
    if place != path:
        os.rename(place, path)
"""


def wav(path: Path, seed: int, samples: int = 6000) -> str:
    """Write a recording; returns what is to be made of it."""
    data = np.random.default_rng(seed).integers(-999, 999, samples).astype("<i2").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(data)
    return hashlib.sha256(data).hexdigest()


def start(folder: Path, output: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, str(WATCHABLE), str(folder), str(output), *arguments]
    log = open(output / "log", "ab")  # noqa: SIM115
    quick = {"DASK_REELARRAY__LEASE__RENEW": "0.2", "DASK_REELARRAY__LEASE__STALE": "2", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | quick)


def end(process: subprocess.Popen) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    process.wait()


def wait_for(condition, seconds: float, process: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.02)


def lines(output: Path, what: str) -> Counter:
    path = output / "calls"
    found = path.read_text().splitlines() if path.exists() else []
    return Counter(line.split(" ", 1)[1] for line in found if line.startswith(what))


def records(output: Path, key: str) -> list[dict]:
    return [record for record in read_records(output / "state") if key in record]


def whole(output: Path) -> None:
    """No half output, whenever one looks."""
    for path in output.glob("*.txt"):
        assert len(path.read_text()) == 64


@pytest.fixture
def place(tmp_path):
    for name in ("in", "out", "whole"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.mark.parametrize("mode", ["auto", "poll"])
def test_a_service_killed_five_times_while_instruments_write(place, mode):
    folder, output = place / "in", place / "out"
    kinds = {"good": 10, "moved": 10, "short": 3, "broken": 3}
    wanted = {}
    for kind, count in kinds.items():
        for k in range(count):
            name = f"{kind}1_{k}.wav"
            wanted[name] = wav(place / "whole" / name, hash_of(name))
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(folder), kind, str(count), "1"])
        for kind, count in kinds.items()
    ]
    random.seed(len(mode))
    kills, arguments = 5, ("--seconds", "0.1", "--mode", mode)
    try:
        for kill in range(kills):
            process = start(folder, output, *arguments)
            try:
                after = sum(lines(output, "begun").values()) + random.randint(1, 3)
                wait_for(lambda n=after: sum(lines(output, "begun").values()) >= n, 60, process, output / "log")
                time.sleep(random.uniform(0, 0.15))
            finally:
                end(process)
            whole(output)
            noted = {record["done"] for record in records(output, "done")}
            assert all((output / f"{name}.txt").exists() for name in noted), kill
        for writer in writers:
            assert writer.wait(60) == 0
        process = start(folder, output, *arguments)
        try:
            good = kinds["good"] + kinds["moved"]
            wait_for(lambda: len(records(output, "done")) >= good, 60, process, output / "log")
            broken = {f"{kind}1_{k}.wav" for kind in ("broken", "short") for k in range(kinds[kind])}
            wait_for(lambda: {r["failed"] for r in records(output, "failed")} >= broken, 60, process, output / "log")
            time.sleep(1)  # for what would be done too much
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, (output / "log").read_text()
        finally:
            end(process)
    finally:
        for writer in writers:
            end(writer)
    done = records(output, "done")
    assert Counter(record["done"] for record in done) == Counter(set(wanted) - broken)
    assert not any(record["partial"] for record in done)
    reasons = {record["failed"]: record["message"] for record in records(output, "failed")}
    assert all("truncated: its header declares more" in reasons[f"short1_{k}.wav"] for k in range(3))
    for name, digest in wanted.items():
        if name.startswith(("good", "moved")):
            assert (output / f"{name}.txt").read_text() == digest
    sizes = {name: os.path.getsize(folder / name) for name in wanted}
    made = lines(output, "made")
    assert set(made) == {f"{name} {sizes[name]}" for name in set(wanted) - broken}, "each at its last size only"
    assert sum(n - 1 for n in made.values()) <= kills * IN_FLIGHT
    assert all("FormatError" in record["type"] + record["message"] for record in records(output, "failed"))
    assert sorted(p.name for p in output.iterdir() if p.suffix not in (".txt",)) == ["calls", "log", "state"]
    whole(output)
    status = json.loads((output / "state" / "status.json").read_text())
    assert status["service"]["state"] == "stopped"
    assert status["counts"] == {"pending": 0, "running": 0, "done": 20, "failed": 6}


def hash_of(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_one_signal_lets_recordings_end_two_do_not(place, name, code):
    folder, output = place / "in", place / "out"
    for k in range(4):
        wav(folder / f"{k}.wav", k)
    process = start(folder, output, "--seconds", "1.5")
    try:
        wait_for(lambda: lines(output, "begun"), 60, process, output / "log")
        process.send_signal(getattr(signal, name))
        assert process.wait(30) == 0
    finally:
        end(process)
    begun = len(lines(output, "begun"))
    assert begun <= IN_FLIGHT
    assert len(records(output, "done")) == begun == len(lines(output, "made"))

    process = start(folder, output, "--seconds", "20")
    try:
        wait_for(lambda: len(lines(output, "begun")) > begun, 60, process, output / "log")
        process.send_signal(getattr(signal, name))
        time.sleep(0.3)
        process.send_signal(getattr(signal, name))
        asked = time.monotonic()
        assert process.wait(10) == code
        assert time.monotonic() - asked < 5
    finally:
        end(process)
    assert not list(output.glob(".*.part")), "temporary files are removed"
    assert not (output / "state" / "lease").exists()
    assert len(records(output, "done")) == begun
    assert start(folder, output, "--once").wait(60) == 0
    assert len(records(output, "done")) == 4


def test_two_services_one_of_which_is_refused(place):
    process = start(place / "in", place / "out")
    try:
        wait_for(lambda: (place / "out" / "state" / "status.json").exists(), 60, process, place / "out" / "log")
        assert start(place / "in", place / "out").wait(60) == 1
        assert f"process {process.pid}" in (place / "out" / "log").read_text()
        assert process.poll() is None
    finally:
        end(process)
