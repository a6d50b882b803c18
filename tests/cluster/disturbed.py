"""Runs that tests disturb: a small deployment, a step that does what it is told, and what a run has to end with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import wave
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

RATE = 8000
STEP = '''\
"""A step that changes nothing, and takes as long as `control.json` says; it notes what it began."""

import json
import os
import time
from pathlib import Path

HERE = Path(__file__).parent


def pass_on(x):
    """(time, ...) [u] -> (time, ...) [u]."""
    if hasattr(x.data, "map_blocks"):
        return x.copy(data=x.data.map_blocks(block, dtype=x.dtype, meta=x.data._meta))
    return x.copy(data=block(x.values))


def block(values):
    if values.size:
        number = int(round(float(values.reshape(-1)[0]) * 32768))
        told = json.loads((HERE / "control.json").read_text())
        with open(HERE / "begun", "a") as file:
            file.write(f"{number}\\n")
        if number == told.get("kills"):
            os._exit(9)
        time.sleep(told.get("seconds", 0))
    return values
'''
EACH = """\
[input]
paths = "recordings"
cache = false

[[step]]
use = "passing.pass_on"

[[step]]
use = "power_spectrum"
every = "1s"

[output]
path = "output/{stem}.npz"
"""
WHOLE = """\
[input]
paths = "recordings"
cache = false

[[step]]
use = "power_spectrum"
every = "1s"
block = 1

[[step]]
use = "passing.pass_on"

[output]
path = "output/seconds.zarr"
"""


class DisturbedRun:
    """A recipe over `count` recordings of two seconds, what came of it undisturbed, and runs of it in processes."""

    def __init__(self, folder: Path, count: int, recipe: str = EACH) -> None:
        self.folder, self.count = folder, count
        self.output = folder / "output"
        self.drivers: list[Driver] = []
        recordings = folder / "recordings"
        recordings.mkdir(parents=True)
        rng = np.random.default_rng(0)
        for number in range(1, count + 1):
            samples = rng.integers(-999, 999, 2 * RATE).astype("<i2")
            samples[0] = number  # by which the step knows a recording
            with wave.open(str(recordings / f"20220301_12{number // 30:02}{number % 30 * 2:02}.wav"), "wb") as file:
                file.setparams((1, 2, RATE, 0, "NONE", ""))
                file.writeframes(samples.tobytes())
        (folder / "passing.py").write_text(STEP)
        (folder / "recipe.toml").write_text(recipe)
        self.control()
        driver = self.start()
        assert driver.end() == 0, driver.said
        self.units = self.finished()
        self.output.rename(folder / "undisturbed")
        (folder / "begun").unlink()

    def control(self, **told: object) -> None:
        """What the step does from now on: `seconds` it takes, the number of a recording that `kills` its worker."""
        part = self.folder / "control.new"
        part.write_text(json.dumps(told))
        part.replace(self.folder / "control.json")

    def start(self, *options: str) -> Driver:
        self.drivers.append(Driver(self, options))
        return self.drivers[-1]

    def close(self) -> None:
        """End drivers that a failed test left."""
        for driver in self.drivers:
            driver.process.kill()
            driver.process.wait()

    # ---- what became of it -------------------------------------------------------------------------------------------

    def finished(self) -> int:
        """Units that are noted as done."""
        return len({str(record["done"]) for record in self.records() if "done" in record})

    def outputs(self) -> int:
        """Outputs that are in place, of one a recording."""
        return sum(path.suffix == ".npz" and ".reelarray" not in path.parts for path in files(self.output))

    def wait_finished(self, least: int, seconds: float = 120) -> None:
        """Wait until so many units are done."""

        def problem() -> str:
            said = self.drivers[-1].said[-3000:] if self.drivers else ""
            return f"{self.finished()} of {least} units are done, and the driver says: {said}\n"

        wait_until(lambda: self.finished() >= least, seconds, problem)

    def begun(self) -> Counter[int]:
        """How often the work on each recording was begun."""
        path = self.folder / "begun"
        return Counter(map(int, path.read_text().split())) if path.exists() else Counter()

    def records(self) -> list[dict]:
        """All lines of the journal, of all drivers."""
        lines: list[dict] = []
        for path in sorted(path for path in files(self.output) if path.suffix == ".jsonl"):
            whole = path.read_bytes().rpartition(b"\n")[0]  # one may be being written
            lines += map(json.loads, whole.splitlines())
        return lines

    def failures(self) -> list[dict]:
        return [record for record in self.records() if "failed" in record]

    def check(self, *, but: set[str] = frozenset()) -> None:
        """The same bytes as of the undisturbed run (but for some outputs), and nothing else is left."""
        expected = {name: data for name, data in contents(self.folder / "undisturbed").items() if name not in but}
        found = contents(self.output)
        assert sorted(found) == sorted(expected)
        assert [name for name in expected if found[name] != expected[name]] == []
        left = {
            str(path.relative_to(self.output))
            for path in files(self.output)
            if ".reelarray" in path.parts and path.suffix not in (".jsonl", ".json")
        }
        assert not left, f"temporary files are left: {left}"


class Driver:
    """`reel run` in a process of its own."""

    def __init__(self, run: DisturbedRun, options: tuple[str, ...]) -> None:
        number = len(list(run.folder.glob("driver-*.log")))
        self.log = run.folder / f"driver-{number}.log"
        command = [sys.executable, "-m", "reelarray.cli", "run", "recipe.toml", *options]
        with self.log.open("w") as file:
            self.process = subprocess.Popen(command, cwd=run.folder, stdout=file, stderr=subprocess.STDOUT)

    @property
    def said(self) -> str:
        return self.log.read_text()

    def end(self, seconds: float = 150) -> int:
        """Wait for its end; the exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the driver did not end within {seconds:.0f} s:\n{self.said[-3000:]}") from None

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)


def files(folder: Path) -> list[Path]:
    """All files below a folder, in which others may be moving things."""
    return [Path(where, name) for where, _, names in os.walk(folder) for name in names]


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of all files by name, without the journal."""
    kept = (path for path in files(folder) if ".reelarray" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


def wait_until(condition: Callable[[], bool], seconds: float, problem: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{problem()} after {seconds:.0f} s")
        time.sleep(0.1)
