"""Runs of recipes that are disturbed in every way: the same command goes on, and the end is the same.

Drivers are processes of their own (`reel run`), on threads or on a local cluster; the recordings are made here. One of
them can be poisoned: the kernel raises, ends its process, or hangs, when it meets the sample value 32,000.
"""

from __future__ import annotations

import json
import os
import random
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
import pytest

import reelarray as ra
from reelarray.sinks.journal import read_records

RATE, SECONDS, COUNT, POISON = 2000, 2, 24, 32_000
FILES = [f"R_20220301_0000{2 * k:02d}.wav" for k in range(COUNT)]
WINDOW = 16  # units in flight at most, on a cluster of two
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


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """24 files of 2 s that follow each other: 40 windows each, two blocks of 20."""
    folder = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(0)
    for name in FILES:
        write(folder / name, rng.integers(-3000, 3000, RATE * SECONDS))
    return folder


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
        """The folder of the journal."""
        return next(path.parent for path in self.folder.rglob("output.json"))

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
        other.recipe.write_text(self.recipe.read_text().replace('"recordings"', '"../recordings"'))
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


@pytest.fixture(params=[WHOLE, EACH], ids=["whole", "each"])
def deployment(request, recordings, tmp_path):
    return Deployment(tmp_path / "d", recordings, request.param)


def poison(deployment: Deployment, number: int = 7, where: tuple[int, ...] = (1500,)) -> bytes:
    """Poison a recording; returns what it was."""
    path = deployment.folder / "recordings" / FILES[number]
    healthy = path.read_bytes()
    samples = np.frombuffer(healthy[44:], "<i2").copy()
    samples[list(where)] = POISON
    write(path, samples)
    return healthy


# ---- drivers that end ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("output", "workers"), [(EACH, ()), (WHOLE, ("--cluster", "local", "--set", "processes=2"))], ids=["each", "whole"]
)
def test_a_driver_killed_at_any_moment(recordings, tmp_path, seed, output, workers):
    deployment = Deployment(tmp_path / "d", recordings, output)
    random.seed(seed)
    after = random.randint(1, 20)
    process = deployment.start(*workers, WAIT="0.05")
    wait_for(lambda: len(deployment.records("done")) >= after, process)
    time.sleep(random.uniform(0, 0.1))
    end(process)
    noted = len(deployment.records("done"))
    code, printed = deployment.run(*workers)
    assert code == 0, printed
    assert f"{noted} blocks were there" in printed or f"{noted} outputs were there" in printed
    again = sum(n - 1 for n in deployment.called().values())
    assert again <= 2 * WINDOW  # a recording is up to two blocks
    assert deployment.content() == deployment.undisturbed()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_driver_told_to_stop(deployment, name):
    process = deployment.start(WAIT="0.2")
    wait_for(lambda: len(deployment.records("done")) >= 3, process)
    process.send_signal(getattr(signal, name))
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 4, printed
    assert f"stopped   {name}" in printed
    assert "the same command goes on" in printed
    assert deployment.records("failed") == []
    called = sum(deployment.called().values())
    code, printed = deployment.run()
    assert code == 0, printed
    assert max(deployment.called().values()) == 1  # units in flight were waited for
    assert sum(deployment.called().values()) > called
    assert deployment.content() == deployment.undisturbed()


def test_a_driver_whose_job_is_about_to_end(deployment):
    """Eight seconds of walltime, two of which are kept for the end; two units a second or so."""
    now = time.time()
    code, printed = deployment.run(WAIT="1.0", REELARRAY_DEADLINE=str(now + 8), REELARRAY_WALLTIME="8")
    assert code == 4, printed
    assert time.time() < now + 8
    assert "stopped   deadline" in printed
    assert deployment.run()[0] == 0
    assert deployment.content() == deployment.undisturbed()


# ---- recordings that are ill -----------------------------------------------------------------------------------------

ILL = {
    "raises": (("",), "ValueError: a sample that cannot be"),
    "kills": (("--cluster", "local", "--set", "processes=2"), "KilledWorker"),
    "hangs": (("--cluster", "local", "--set", "processes=2"), "took 3 s"),
}


@pytest.mark.parametrize("how", ILL)
def test_a_poisoned_recording_fails_alone(recordings, tmp_path, how):
    deployment = Deployment(tmp_path / "d", recordings, EACH, "time_limit = 3" if how == "hangs" else "")
    workers, message = ILL[how]
    workers = tuple(filter(None, workers))
    healthy = poison(deployment)
    code, printed = deployment.run(*workers, HOW=how)
    assert code == 3, printed
    (record,) = deployment.records("failed")
    assert record["failed"] == FILES[7].replace(".wav", ".npz")
    assert record["kind"] == {"raises": "raised", "kills": "killed", "hangs": "timed out"}[how]
    assert message.split(":")[0].split(" ")[0] in record["type"] + record["message"]
    assert f"failed    {record['failed']}" in printed
    assert len(deployment.records("done")) == COUNT - 1

    before = sum(deployment.called().values())
    code, printed = deployment.run(*workers, HOW=how)  # the same again: it is not tried
    assert code == 3
    assert sum(deployment.called().values()) == before
    assert "--retry-failed tries all" in printed

    path = deployment.folder / "recordings" / FILES[7]
    path.write_bytes(healthy)
    os.utime(path, ns=(10**18, 10**18 + 1))  # the file changed: it is tried without being asked for
    code, printed = deployment.run(*workers)
    assert code == 0, printed
    assert deployment.content() == deployment.undisturbed()


def test_a_poisoned_recording_costs_the_blocks_that_read_it(recordings, tmp_path):
    deployment = Deployment(tmp_path / "d", recordings, WHOLE)
    healthy = poison(deployment)
    code, printed = deployment.run(HOW="raises")
    assert code == 3, printed
    (record,) = deployment.records("failed")
    assert FILES[7] in printed or "failed" in printed
    assert len(deployment.records("done")) == 2 * COUNT - 1
    code, printed = deployment.run(HOW="raises")
    assert code == 3
    code, printed = deployment.run("--retry-failed")  # it was a passing fault
    assert code == 0, printed

    path = deployment.folder / "recordings" / FILES[7]
    path.write_bytes(healthy)
    os.utime(path, ns=(10**18, 10**18 + 1))
    before = len(deployment.records("done"))
    code, printed = deployment.run()
    assert code == 0, printed
    assert len(deployment.records("done")) - before == 2  # the file was replaced: its two blocks are made again
    assert arrays(deployment.content()) == arrays(deployment.undisturbed())
    assert record["rows"][1] - record["rows"][0] == 20


def test_where_every_recording_is_ill_the_run_gives_up(deployment):
    for number in range(COUNT):
        poison(deployment, number, (1500, 3500))
    code, printed = deployment.run(HOW="raises")
    assert code == 5, printed
    assert "20 units in a row failed" in printed
    assert len(deployment.records("failed")) == 20


# ---- outputs that cannot be written ----------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 100 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "none", folder]).returncode:
        pytest.skip("a small file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk(recordings, small_disk):
    deployment = Deployment(small_disk.parent / "d", recordings, EACH)
    (deployment.folder / "made").symlink_to(small_disk)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(60_000))
    code, printed = deployment.run()
    assert code == 7, printed
    assert "No space left" in printed
    assert deployment.records("failed") == []
    done = [record["done"] for record in deployment.records("done")]
    assert all((small_disk / name).exists() for name in done)
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=10M", small_disk], check=True)
    code, printed = deployment.run()
    assert code == 0, printed
    assert deployment.content() == deployment.undisturbed()


def test_a_disk_that_turns_read_only(deployment):
    if os.geteuid():
        pytest.skip("a folder can be mounted read-only by root only")
    process = deployment.start(WAIT="0.2")
    wait_for(lambda: len(deployment.records("done")) >= 2, process)
    root = deployment.folder / deployment.output.partition("/")[0]
    if subprocess.run(["mount", "--bind", root, root]).returncode:
        end(process)
        pytest.skip("no mounts are allowed here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", root], check=True)
        printed, _ = process.communicate(timeout=60)
    finally:
        subprocess.run(["umount", "-l", root], check=True)
    assert process.returncode == 7, printed
    assert "Read-only file system" in printed
    assert deployment.records("failed") == []
    code, printed = deployment.run()
    assert code == 0, printed
    assert deployment.content() == deployment.undisturbed()


# ---- two drivers -----------------------------------------------------------------------------------------------------


def test_the_second_of_two_drivers_is_told_or_waits(deployment):
    first = deployment.start(WAIT="0.2")
    wait_for(lambda: len(deployment.records("done")) >= 2, first)
    code, printed = deployment.run()
    assert code == 6, printed
    assert f"process {first.pid} on " in printed
    code, printed = deployment.run("--wait", WAIT="0.2")
    assert code == 0, printed
    assert first.wait() == 0
    end(first)
    assert max(deployment.called().values()) == 1
    assert deployment.content() == deployment.undisturbed()


def test_a_driver_that_died_is_followed_at_once(deployment):
    first = deployment.start(WAIT="0.2")
    wait_for(lambda: len(deployment.records("done")) >= 2, first)
    end(first)
    begun = time.monotonic()
    code, printed = deployment.run()
    assert code == 0, printed
    assert time.monotonic() - begun < 60
    assert deployment.content() == deployment.undisturbed()


def test_a_driver_that_is_taken_for_dead_stops_and_harms_nothing(deployment):
    """The lease is taken away by force: for a while two write the same output."""
    first = deployment.start(WAIT="0.3")
    wait_for(lambda: len(deployment.records("done")) >= 2, first)
    next(deployment.folder.rglob("lease")).unlink()
    second = deployment.start(WAIT="0.3")
    printed, _ = first.communicate(timeout=60)
    assert first.returncode == 6, printed
    assert "taken for dead" in printed
    printed, _ = second.communicate(timeout=60)
    assert second.returncode in (0, 7), printed  # the first may have taken the folder of its temporary files
    code, printed = deployment.run()
    assert code == 0, printed
    assert deployment.content() == deployment.undisturbed()


# ---- what changes between drivers ------------------------------------------------------------------------------------


def test_other_parameters_are_refused_by_name(deployment, recordings):
    assert deployment.run()[0] == 0
    before = deployment.content()
    other = Deployment(deployment.folder, recordings, deployment.output, length=200)
    code, printed = other.run()
    assert code == 2, printed
    assert "100 there, 200 now" in printed
    assert "--overwrite" in printed
    assert deployment.content() == before
    code, printed = other.run("--overwrite")
    assert code == 0, printed
    assert deployment.content() != before


def test_a_replaced_recording_costs_its_own_units(deployment, recordings):
    assert deployment.run()[0] == 0
    path = deployment.folder / "recordings" / FILES[3]
    write(path, np.random.default_rng(9).integers(-3000, 3000, RATE * SECONDS))
    os.utime(path, ns=(10**18, 10**18 + 5))
    before = len(deployment.records("done"))
    code, printed = deployment.run()
    assert code == 0, printed
    assert len(deployment.records("done")) - before == (2 if deployment.output == WHOLE else 1)
    assert arrays(deployment.content()) == arrays(deployment.undisturbed())


def test_the_report_says_who_worked_on_it(deployment, tmp_path):
    process = deployment.start(WAIT="0.1")
    wait_for(lambda: len(deployment.records("done")) >= 2, process)
    end(process)
    code, _ = deployment.run("--jsonreport", str(tmp_path / "report.json"))
    report = json.loads((tmp_path / "report.json").read_text())
    assert (code, report["ending"], report["resumes"]) == (0, "complete", 1)
    assert report["skipped"] + report["done"] == (2 * COUNT if deployment.output == WHOLE else COUNT)
    assert {row["state"] for row in report["recordings"]} <= {"done", "skipped"}
