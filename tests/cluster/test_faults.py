"""Runs on a real queue survive what befalls them, and end with the same bytes as if nothing had."""

from __future__ import annotations

import signal
import time

import pytest
from disturbed import EACH, WHOLE, DisturbedRun, wait_until

import reelarray as ra

pytestmark = pytest.mark.slurm

NAME = "disturbed"  # of worker jobs
SLURM = ("--cluster", "slurm", "--jobs", "2", "--set", f"name={NAME}")
WINDOW = 16  # units in flight on few workers, so many may be lost with a driver


def workers(slurm, count: int = 2) -> list[int]:
    """Worker jobs, once so many run."""
    wait_until(
        lambda: sum(slurm.state(number) == "RUNNING" for number in slurm.named(NAME)) >= count,
        60,
        lambda: f"{count} worker jobs were expected; {slurm.states()}",
    )
    return slurm.named(NAME)


@pytest.fixture
def disturbed(slurm, tmp_path):
    """Makes runs, whose drivers end with the test."""
    made = []

    def make(count: int, recipe: str = EACH) -> DisturbedRun:
        made.append(DisturbedRun(tmp_path / "run", count, recipe))
        return made[-1]

    yield make
    for run in made:
        run.close()


@pytest.fixture
def store(disturbed) -> DisturbedRun:
    """Of one store; a unit is a block of it."""
    return disturbed(24, WHOLE)


@pytest.fixture
def small(disturbed) -> DisturbedRun:
    """Of one output a recording."""
    return disturbed(24)


def test_a_worker_job_cancelled_is_replaced(slurm, store):
    store.control(seconds=1)
    driver = store.start(*SLURM)
    store.wait_finished(4)
    lost = workers(slurm)[0]
    slurm.cancel(lost)
    store.control(seconds=0.3)
    assert driver.end() == 0, driver.said
    assert f"worker job {lost} ended: CANCELLED" in driver.said
    assert "replaced by" in driver.said
    assert store.failures() == []
    store.check()
    slurm.wait_empty()


def test_all_worker_jobs_cancelled_at_once(slurm, small):
    small.control(seconds=0.7)
    driver = small.start(*SLURM)
    small.wait_finished(4)
    before = workers(slurm)
    slurm.cancel(*before)
    small.control(seconds=0.1)
    assert driver.end() == 0, driver.said
    assert len(before) == 2
    for lost in before:
        assert f"worker job {lost} ended: CANCELLED" in driver.said
    assert small.failures() == []
    small.check()
    slurm.wait_empty()


def test_a_driver_killed_leaves_no_jobs_and_its_successor_goes_on(slurm, store):
    store.control(seconds=0.5)
    for least in (3, 9, 15):
        driver = store.start(*SLURM)
        store.wait_finished(least)
        driver.send(signal.SIGKILL)
        assert driver.end() == -signal.SIGKILL
        slurm.wait_empty()  # workers end when their scheduler is gone
    store.control()
    last = store.start(*SLURM)
    assert last.end() == 0, last.said
    assert "were there" in last.said
    store.check()
    assert sum(store.begun().values()) <= store.units + 3 * WINDOW
    slurm.wait_empty()


def test_a_driver_told_to_stop_ends_in_time_and_says_so(slurm, small):
    small.control(seconds=0.5)
    driver = small.start(*SLURM)
    small.wait_finished(3)
    driver.send(signal.SIGTERM)
    assert driver.end(60) == 4, driver.said
    assert "SIGTERM" in driver.said
    slurm.wait_empty()
    assert 3 <= small.finished() < small.count
    small.control()
    last = small.start(*SLURM)
    assert last.end() == 0, last.said
    small.check()


def test_a_node_that_goes_down(slurm, small):
    small.control(seconds=1)
    driver = small.start(*SLURM)
    small.wait_finished(4)
    lost = workers(slurm)[0]
    down = slurm.node_of(lost)
    other = ({"n1", "n2"} - {down}).pop()
    slurm.set_node(other, "drain")
    slurm.set_node(down, "down")
    time.sleep(2)
    slurm.set_node(other, "resume")
    assert slurm.state(lost) != "RUNNING"
    small.control(seconds=0.3)
    assert driver.end() == 0, driver.said
    assert small.failures() == []
    small.check()
    slurm.wait_empty()


def test_worker_jobs_that_have_to_make_room(slurm, small):
    small.control(seconds=1)
    driver = small.start(*SLURM, "--set", "extra_directives=--requeue")
    small.wait_finished(4)
    before = workers(slurm)
    urgent = slurm.submit("--partition=urgent", "--exclusive", "--nodes=2", command="sleep 3")
    slurm.wait(urgent, {"RUNNING", "COMPLETED"})
    small.control(seconds=0.3)
    assert driver.end() == 0, driver.said
    assert {slurm.state(number) for number in before} & {"PENDING", "CANCELLED", "COMPLETED", "RUNNING"}
    assert slurm.state(urgent) == "COMPLETED"
    assert small.failures() == []
    small.check()
    slurm.wait_empty()


def test_workers_that_reach_their_lifetime_again_and_again(slurm, disturbed):
    long = disturbed(60)
    long.control(seconds=2)
    driver = long.start(*SLURM, "--set", "walltime=00:01:00")
    finished = [0]
    seen: set[int] = set()
    while driver.process.poll() is None:
        finished.append(long.outputs())
        seen |= set(slurm.named(NAME))
        time.sleep(0.5)
    assert driver.end() == 0, driver.said
    assert finished == sorted(finished)
    assert len(seen) >= 4  # each of two jobs was followed by another
    assert sum(long.begun().values()) <= 1.5 * long.count
    assert max(long.begun().values()) < 4
    assert long.failures() == []
    long.check()
    slurm.wait_empty()


def test_a_recording_that_kills_its_worker_fails_alone(slurm, small):
    small.control(kills=7)
    driver = small.start(*SLURM)
    assert driver.end() == 3, driver.said
    (failure,) = small.failures()
    assert failure["kind"] == "killed"
    small.check(but={failure["failed"]})
    begun = small.begun()
    again = small.start(*SLURM)
    assert again.end() == 3, again.said
    assert small.begun() == begun  # not tried again
    small.control()
    mended = small.start(*SLURM, "--retry-failed")
    assert mended.end() == 0, mended.said
    small.check()
    slurm.wait_empty()


def test_two_drivers_on_one_output(slurm, small):
    small.control(seconds=4)
    first = small.start(*SLURM)
    small.wait_finished(2)
    second = small.start(*SLURM)
    assert second.end(60) == 6, second.said
    assert f"process {first.process.pid}" in second.said
    patient = small.start(*SLURM, "--wait")
    time.sleep(5)
    assert patient.process.poll() is None
    first.send(signal.SIGKILL)
    assert first.end() == -signal.SIGKILL
    small.control(seconds=0.2)
    assert patient.end() == 0, patient.said
    assert small.failures() == []
    small.check()
    slurm.wait_empty()


def test_a_chain_goes_on_after_each_walltime(slurm, disturbed):
    long = disturbed(60)
    long.control(seconds=2)
    submitted = ra.submit(
        long.folder / "recipe.toml",
        kind="slurm",
        name=NAME,
        chain=4,
        jobs=2,
        walltime="00:01:00",
        memory="1GiB",
    )
    links = [int(link) for link in submitted.links]
    assert len(links) == 4
    ends = [slurm.wait(link, seconds=200) for link in links[:1]]
    wait_until(lambda: submitted.status().over, 300, lambda: f"{submitted.status()} {slurm.states()}")
    slurm.wait_empty()
    states = [slurm.state(link) for link in links]
    assert submitted.status().state == "done", submitted.log("err")
    assert ends == ["FAILED"]  # by itself, with exit code 4, before its walltime
    assert "COMPLETED" in states[1:]
    assert set(states[states.index("COMPLETED") + 1 :]) <= {"CANCELLED", "COMPLETED"}
    assert long.failures() == []
    assert sum(long.begun().values()) <= 1.5 * long.count
    long.check()
