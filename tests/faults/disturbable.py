"""Deployments that can be disturbed: recipes of a kernel that can fall ill, run by `reel run` as users run it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import wave
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np

import reelarray as ra
from reelarray.sinks.journal import read_records

RATE, SECONDS, COUNT, POISON = 2000, 2, 24, 32_000
FILES = [f"R_20220301_0000{2 * k:02d}.wav" for k in range(COUNT)]
STEPS = '''
import os, time
import numpy as np
import reelarray as ra


class Power:
    """Power of sums; leaves a line for each batch, and falls ill of one sample value."""

    def __init__(self, how, log, wait):
        self.how, self.log, self.wait = how, log, wait

    def __call__(self, batch, out):
        if self.log:
            handle = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(handle, f"{float(batch.flat[0]):.9f},{float(batch.flat[1]):.9f}\\n".encode())
            os.close(handle)
        time.sleep(self.wait)
        if np.any(batch == 32000 / 32768):
            if self.how == "raises":
                raise ValueError("a sample that cannot be")
            if self.how == "kills":
                os._exit(11)
            if self.how == "hangs":
                time.sleep(3600)
        np.multiply(batch.sum(axis=-1), batch.sum(axis=-1), out=out)


def power(x, *, how: str = "", log: str = "", wait: float = 0.0, length: int = 100):
    kernel = Power(os.environ.get("HOW", how), os.environ.get("CALLS", log), float(os.environ.get("WAIT", wait)))
    windows = ra.Windows(length, length)
    made = ra.lift_windows(kernel, x, windows, dtype="f4", frames="f4", block=x.attrs.get("rows", 20), name="power")
    return made.rename("power").assign_attrs(units="1", long_name="power of sums", length=length)
'''
WHOLE, EACH = "out.zarr", "made/{stem}.npz"


def write(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    os.utime(path, ns=(10**18, 10**18))


class Deployment:
    """A folder with a recipe, and the ways to run it."""

    def __init__(self, folder: Path, recordings: Path, output: str, run: str = "", length: int = 100) -> None:
        self.folder, self.output, self.calls = folder, output, folder / "calls"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "recordings").exists():
            shutil.copytree(recordings, folder / "recordings")
        (folder / "ownsteps.py").write_text(STEPS)
        self.recipe = folder / "recipe.toml"
        self.recipe.write_text(
            f'[input]\npaths = "recordings"\ncache = false\n\n[[step]]\nuse = "ownsteps.power"\nlength = {length}\n\n'
            f'[output]\npath = "{output}"\n\n[run]\n{run}\n'
        )

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen:
        """`reel run`, in a process group of its own."""
        command = [sys.executable, "-m", "reelarray.cli", "run", str(self.recipe), *arguments]
        quick = {"DASK_REELARRAY__LEASE__RENEW": "0.2", "DASK_REELARRAY__LEASE__STALE": "2", "OMP_NUM_THREADS": "1"}
        env = {k: v for k, v in os.environ.items() if not k.startswith(("REELARRAY_", "SLURM_"))}
        env |= quick | {"CALLS": str(self.calls)} | environ
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, env=env, start_new_session=True, cwd=self.folder, **streams)

    def run(self, *arguments: str, **environ: str) -> tuple[int, str]:
        """(exit code, what was printed)."""
        process = self.start(*arguments, **environ)
        try:
            printed, _ = process.communicate(timeout=180)
        finally:
            end(process)
        return process.returncode, printed

    @property
    def journal(self) -> Path:
        """The folder of the journal; other folders may vanish while it is looked for."""
        return next(Path(folder) for folder, _, files in os.walk(self.folder) if "output.json" in files)

    def records(self, key: str) -> list[dict]:
        try:
            return [record for record in read_records(self.journal) if key in record]
        except StopIteration:
            return []

    def called(self) -> Counter:
        """How often the kernel was called, by the first sample of each batch: a unit is one batch or a few."""
        return Counter(self.calls.read_text().split()) if self.calls.exists() else Counter()

    def undisturbed(self) -> dict[str, bytes]:
        """The content of the output, made of the recordings that are there by one process that nothing disturbs."""
        folder = self.folder / "undisturbed"
        folder.mkdir()
        shutil.copy(self.folder / "ownsteps.py", folder)
        other = Deployment.__new__(Deployment)
        other.folder, other.output, other.recipe = folder, self.output, folder / "recipe.toml"
        text = self.recipe.read_text().partition("[run]")[0]
        other.recipe.write_text(text.replace('"recordings"', '"../recordings"'))
        report = ra.run_recipe(other.recipe)
        assert report.ending == "complete", report
        made = other.content()
        shutil.rmtree(folder)
        return made

    def content(self) -> dict[str, bytes]:
        """Every byte of the output, but who made what and when."""
        root = self.folder / self.output.partition("/{")[0]
        found = {str(f.relative_to(root)): f.read_bytes() for f in sorted(root.rglob("*")) if f.is_file()}
        left = [name for name in found if any(mark in name for mark in ("run-", "dead-", "lease", ".part"))]
        assert left == []
        return {name: data for name, data in found.items() if "/done/" not in name}


def arrays(content: dict[str, bytes]) -> dict[str, bytes]:
    """The numbers of an output, without what tells of replaced inputs."""
    return {name: data for name, data in content.items() if not name.startswith(".reelarray/")}


def end(process: subprocess.Popen) -> None:
    """End a driver and all that it started, at once."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def wait_for(condition, process: subprocess.Popen, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < until
        time.sleep(0.02)


def poison(deployment: Deployment, number: int = 7, where: tuple[int, ...] = (1500,)) -> bytes:
    """Poison a recording; returns what it was."""
    path = deployment.folder / "recordings" / FILES[number]
    healthy = path.read_bytes()
    samples = np.frombuffer(healthy[44:], "<i2").copy()
    samples[list(where)] = POISON
    write(path, samples)
    return healthy
