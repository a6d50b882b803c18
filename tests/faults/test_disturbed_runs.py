"""Runs of recipes that are disturbed in every way: the same command goes on, and the end is the same.

Drivers are processes of their own (`reel run`), on threads or on a local cluster; the recordings are made here. One of
them can be poisoned: the kernel raises, ends its process, or hangs, when it meets the sample value 32,000.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time

import numpy as np
import pytest
from disturbable import COUNT, EACH, FILES, RATE, SECONDS, WHOLE, Deployment, arrays, end, poison, wait_for, write

WINDOW = 16  # units in flight at most, on a cluster of two


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """24 files of 2 s that follow each other: 40 windows each, two blocks of 20."""
    folder = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(0)
    for name in FILES:
        write(folder / name, rng.integers(-3000, 3000, RATE * SECONDS))
    return folder


@pytest.fixture(params=[WHOLE, EACH], ids=["whole", "each"])
def deployment(request, recordings, tmp_path):
    return Deployment(tmp_path / "d", recordings, request.param)


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
    assert ("dashboard http://" in printed) == bool(workers)
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
    assert f"stopped   {'by Ctrl-C' if name == 'SIGINT' else name}" in printed
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


def test_what_was_damaged_since_is_found_when_asked_for(deployment):
    assert deployment.run()[0] == 0
    before = deployment.content()
    units = [name for name in before if name.endswith(".npz") or name.startswith("power/c.")]
    damaged, gone = (next((deployment.folder / deployment.output.partition("/{")[0]).glob(units[k])) for k in (3, -5))
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(bytes(data))
    gone.unlink()
    code, printed = deployment.run("--verify")
    assert code == 0, printed
    assert deployment.content() == before
    done = len(deployment.records("done"))
    assert deployment.run("--verify")[0] == 0
    assert len(deployment.records("done")) == done


def test_going_back_and_forth_between_recipes(recordings, tmp_path):
    """A file that was made by another recipe, and whose note was lost, is never taken for this one's."""
    first = Deployment(tmp_path / "d", recordings, EACH)
    assert first.run()[0] == 0
    before = first.content()
    second = Deployment(tmp_path / "d", recordings, EACH, length=200)
    process = second.start("--overwrite", WAIT="0.3")
    wait_for(lambda: len(second.records("done")) >= COUNT + 2, process)
    end(process)
    lines = sorted((second.journal / "done").iterdir())[-1]
    kept = [line for line in lines.read_bytes().splitlines(keepends=True) if b'"done"' not in line]
    lines.write_bytes(b"".join(kept))  # killed between renaming and noting
    first = Deployment(tmp_path / "d", recordings, EACH)
    code, printed = first.run("--overwrite")
    assert code == 0, printed
    assert arrays(first.content()) == arrays(before)


def test_outputs_never_replace_recordings(recordings, tmp_path):
    deployment = Deployment(tmp_path / "d", recordings, "recordings/{stem}.wav")
    before = {path: path.read_bytes() for path in (deployment.folder / "recordings").iterdir()}
    code, printed = deployment.run("--overwrite")
    assert code == 2, printed
    assert "24 outputs would replace recordings" in printed
    assert {path: path.read_bytes() for path in (deployment.folder / "recordings").iterdir()} == before


def test_a_driver_that_waits_can_be_stopped(deployment):
    first = deployment.start(WAIT="0.5")
    wait_for(lambda: len(deployment.records("done")) >= 1, first)
    second = deployment.start("--wait")
    time.sleep(4)
    second.send_signal(signal.SIGTERM)
    printed, _ = second.communicate(timeout=30)
    end(first)
    assert second.returncode == 4, printed
    assert "SIGTERM, while another process wrote the output" in printed
