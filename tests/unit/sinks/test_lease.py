"""Who may write: one at a time, whoever dies, sleeps, or comes from another machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import dask
import pytest

from reelarray.sinks import lease as leases
from reelarray.sinks.lease import Lease, OutputHeld, StoppedWaiting, Wait


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lease"


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(leases, "LOOK_EVERY", 0.02)
    with dask.config.set({"reelarray.lease.renew": 0.1, "reelarray.lease.stale": 0.6}):
        yield


def take(path, **options):
    return Lease.acquire(path, path.parent, **options)


def elsewhere(monkeypatch):
    """From here on, leases look as if taken on another machine."""
    monkeypatch.setattr(leases, "_place", lambda: "another machine")


def test_one_holds_and_lets_go(path):
    first = take(path)
    known = json.loads(path.read_text())
    assert known["pid"] == os.getpid()
    assert known["token"] == first.token
    with pytest.raises(OutputHeld, match="wait for it or end it"):
        take(path)
    first.release()
    assert list(path.parent.iterdir()) == []
    take(path).release()


def test_a_process_of_this_machine_that_is_gone_holds_nothing(path):
    child = os.fork()
    if not child:
        take(path)
        os._exit(0)
    os.waitpid(child, 0)
    assert path.exists()
    begun = time.monotonic()
    take(path).release()
    assert time.monotonic() - begun < 2  # at once, not after 150 s


def test_a_process_that_nobody_has_waited_for_is_gone(path):
    child = os.fork()
    if not child:
        take(path)
        os._exit(0)
    while "Z" not in open(f"/proc/{child}/stat").read().rpartition(")")[2].split()[0]:  # noqa: SIM115
        time.sleep(0.01)
    take(path).release()
    os.waitpid(child, 0)


def test_a_stopped_process_still_holds(path):
    child = os.fork()
    if not child:
        take(path)
        time.sleep(60)
        os._exit(0)
    while not path.exists():
        time.sleep(0.01)
    os.kill(child, signal.SIGSTOP)
    try:
        with pytest.raises(OutputHeld, match=f"process {child} "):
            take(path)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_another_process_of_the_same_number_is_another(path):
    take(path)._end.set()
    known = json.loads(path.read_text())
    path.write_text(json.dumps(known | {"born": "1", "token": "old"}))
    take(path).release()


@pytest.mark.usefixtures("quick")
def test_one_of_another_machine_is_watched_until_it_renews(path, monkeypatch):
    first = take(path)
    elsewhere(monkeypatch)
    begun = time.monotonic()
    with pytest.raises(OutputHeld):
        take(path)
    assert time.monotonic() - begun < 0.5
    first.release()


@pytest.mark.usefixtures("quick")
def test_one_of_another_machine_that_renews_nothing_is_taken_over(path, monkeypatch):
    first = take(path)
    first._end.set()  # it hangs, or its machine is gone
    first._thread.join()
    elsewhere(monkeypatch)
    begun = time.monotonic()
    second = take(path)
    assert time.monotonic() - begun >= 0.6
    first.renew()  # it comes back
    with pytest.raises(OutputHeld, match="taken for dead"):
        first.check()
    first.release()
    second.renew()
    second.check()
    second.release()
    assert list(path.parent.iterdir()) == []


@pytest.mark.usefixtures("quick")
def test_one_that_slept_finds_out_before_it_writes_on(path, monkeypatch):
    first = take(path)
    first._end.set()
    first._thread.join()
    elsewhere(monkeypatch)
    second = take(path)
    time.sleep(0.2)
    with pytest.raises(OutputHeld):  # nobody called renew
        first.check()
    second.release()
    first.release()


@pytest.mark.usefixtures("quick")
def test_clocks_of_machines_are_never_compared(path, monkeypatch):
    """The times of the file and of the machines may say anything."""
    first = take(path)
    elsewhere(monkeypatch)
    for moment in (0, 4e9):
        os.utime(path, (moment, moment))
        monkeypatch.setattr(time, "time", lambda moment=moment: moment)
        with pytest.raises(OutputHeld):
            take(path)
    first.release()


@pytest.mark.usefixtures("quick")
def test_waiting(path):
    first = take(path)
    threading.Timer(0.4, first.release).start()
    begun = time.monotonic()
    second = take(path, wait=Wait(10))
    assert 0.3 < time.monotonic() - begun < 5
    second.release()


@pytest.mark.usefixtures("quick")
def test_who_waits_can_be_asked_to_stop(path):
    first, asked = take(path), threading.Event()
    threading.Timer(0.2, asked.set).start()
    with pytest.raises(StoppedWaiting):
        take(path, wait=Wait(60, asked.is_set))
    first.release()


@pytest.mark.usefixtures("quick")
def test_of_many_contenders_for_a_stale_lease_one_wins(path):
    """Each process takes the lease, sees nobody else inside, and lets go: 8 at once, begun by a lease left behind."""
    path.write_text(json.dumps({"token": "old", "place": leases._place(), "pid": 2**22 + 1, "born": "1", "host": "h"}))
    code = (
        "import sys, os, time\n"
        "from pathlib import Path\n"
        "from reelarray.sinks import lease\n"
        "lease.LOOK_EVERY = 0.01\n"
        "path, inside = Path(sys.argv[1]), Path(sys.argv[2])\n"
        "held = lease.Lease.acquire(path, path.parent, wait=lease.Wait(120))\n"
        "os.close(os.open(inside, os.O_CREAT | os.O_EXCL))\n"  # raises where two are inside
        "time.sleep(0.05)\n"
        "held.check()\n"
        "inside.unlink()\n"
        "held.release()\n"
    )
    inside = path.parent / "inside"
    children = [subprocess.Popen([sys.executable, "-c", code, str(path), str(inside)]) for _ in range(8)]
    assert [child.wait() for child in children] == [0] * 8
    assert list(path.parent.iterdir()) == []


def test_file_systems_without_links(path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    first = take(path)
    with pytest.raises(OutputHeld):
        take(path)
    first.renew()
    first.check()
    first.release()
    assert list(path.parent.iterdir()) == []


def test_a_folder_that_cannot_be_written_says_so(tmp_path, monkeypatch):
    from reelarray import Unwritable

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(Unwritable, match="cannot be written"):
        take(tmp_path / "lease")


def test_what_a_killed_contender_left_is_removed(path):
    (path.parent / ".lease-0123456789abcdef").write_text("")
    take(path).release()
    assert list(path.parent.iterdir()) == []
