"""Units on threads and through any scheduler: what fails is set aside, what is done is noted once."""

from __future__ import annotations

import threading
import time
import tracemalloc

import dask
import pytest
from dask.callbacks import Callback
from units import Numbers, Result, all_broken, broken_five, disk_hiccup, run, slow, square

from reelarray import GaveUp, TruncatedFile, Unwritable
from reelarray.driving import Policy, Stop, drive

SCHEDULERS = ["threads", "sync"]


@pytest.fixture(params=[*SCHEDULERS, "shared", "callback"])
def how(request):
    """Options of `run` for each way that local units go."""
    if request.param == "callback":
        with Callback(posttask=lambda *_: None):
            yield {}
    elif request.param == "shared":
        yield {"shared": True}
    else:
        with dask.config.set(scheduler=request.param):
            yield {}


def test_all_are_done_once(how):
    whole, result = run(square, 200, **how)
    assert whole
    assert result.done == {k: k * k for k in range(200)}
    assert result.failures == []
    assert result.beats > 0


def test_one_that_fails_fails_alone(how):
    whole, result = run(broken_five, 200, **how)
    assert whole
    assert result.done == {k: k * k for k in range(200) if k != 5}
    (failure,) = result.failures
    assert (failure.unit, failure.kind, failure.type, failure.message) == (5, "raised", "ValueError", "five is broken")
    assert failure.attempts == 1
    assert "in broken_five" in failure.traceback


def test_errors_of_disks_are_tried_again_and_others_are_not(how, tmp_path):
    _, result = run(disk_hiccup(str(tmp_path)), 20, policy=Policy(retries=2), **how)
    assert sorted(result.done) == [k for k in range(20) if k != 7]
    (failure,) = result.failures
    assert (failure.unit, failure.type, failure.attempts, failure.path) == (7, "OSError", 3, "file 7")
    assert (tmp_path / "3").read_text() == "x"


def test_a_truncated_file_is_not_tried_again_and_is_named():
    def cut(k):
        if k == 2:
            raise TruncatedFile("deployment/a.wav", 10, 5)
        return k

    _, result = run(cut, 4, policy=Policy(retries=5))
    (failure,) = result.failures
    assert (failure.attempts, failure.path) == (1, "deployment/a.wav")


def test_where_all_fail_the_run_gives_up(how):
    result = Result()
    tried = []

    def broken(k):
        tried.append(k)
        all_broken(k)

    with pytest.raises(GaveUp, match=r"20 units in a row failed, the last with RuntimeError: no \d+") as caught:
        run(broken, 5000, **how)
    assert len(tried) < 200
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert result.failures == []


def test_failures_in_between_do_not_add_up():
    def every_second(k):
        if k % 2:
            raise ValueError
        return k

    whole, result = run(every_second, 100, policy=Policy(most_failures=20))
    assert whole
    assert len(result.failures) == 50


def test_an_output_that_cannot_be_written_is_no_fault_of_a_unit(how):
    def full(k):
        if k == 3:
            raise Unwritable("out.zarr cannot be written: no space left")
        return k

    result = None
    with pytest.raises(Unwritable, match="no space left"):
        _, result = run(full, 50, **how)
    assert result is None


def test_the_first_failure_can_end_it(how):
    with pytest.raises(ValueError, match="five is broken"):
        run(broken_five, 50, policy=Policy(on_error="raise"), **how)


def test_a_stop_is_heeded_between_units_and_those_in_flight_end(how):
    stop = Stop(environ={})
    result = Result()

    def beat():
        result.beats += 1
        if result.beats == 5:
            stop.ask("SIGTERM")

    whole, made = run(slow, 100, stop=stop, beat=beat, **how)
    assert not whole
    assert 0 < len(made.done) < 60


def test_threads_in_flight_have_the_time_that_is_left():
    stop, begun = Stop(environ={}), threading.Event()

    def long(k):
        begun.set()
        time.sleep(seconds)
        return k

    seconds = 0.5
    threading.Thread(target=lambda: (begun.wait(), stop.ask("SIGTERM", grace=5)), daemon=True).start()
    with dask.config.set(num_workers=2):
        whole, result = run(long, 50, stop=stop)
    assert not whole
    assert 2 <= len(result.done) <= 4

    stop, seconds = Stop(environ={}), 2.0
    threading.Timer(0.1, lambda: stop.ask("SIGTERM", grace=0)).start()
    with dask.config.set(num_workers=2):
        whole, result = run(long, 50, stop=stop)
    assert not whole
    assert len(result.done) == 0


def test_what_beat_raises_ends_it(how):
    def beat():
        raise KeyError("lease lost")

    with pytest.raises(KeyError, match="lease lost"):
        run(slow, 50, beat=beat, **how)


def test_graphs_are_small_whatever_the_number_of_units():
    numbers = Numbers(square)
    with dask.config.set(num_workers=2):
        run(numbers, 10_000)
    assert max(numbers.graphs) <= 64


def test_threads_cannot_be_ended_so_a_time_limit_is_refused():
    with pytest.raises(ValueError, match=r"use worker processes, such as ra\.cluster\('local'\)"):
        run(square, policy=Policy(time_limit=5))


def test_the_deadline_of_a_job_ends_it_in_time():
    """A job of 4 s: nothing new in its last second, nothing at all in its last half."""
    environ = {"REELARRAY_DEADLINE": str(time.time() + 4), "REELARRAY_WALLTIME": "4"}
    stop = Stop(environ=environ)
    begun = time.monotonic()
    whole, result = run(slow, 1000, stop=stop)
    assert not whole
    assert stop.asked == "deadline"
    assert 2.5 < time.monotonic() - begun < 3.6
    assert result.done


@pytest.mark.parametrize(
    ("walltime", "unit", "leaves"), [(3600, 1, 120), (36000, 100, 300), (60, 1, 15), (60, 100, 15)]
)
def test_when_a_deadline_is_near(monkeypatch, walltime, unit, leaves):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "time", lambda: 1e9)
    stop = Stop(1e9 + walltime, walltime)
    now[0] = walltime - leaves - 1
    assert not stop.look(unit)
    now[0] = walltime - leaves + 1
    assert stop.look(unit)
    assert stop.time_left() == pytest.approx(leaves - 1 - min(60, walltime / 8))


def test_a_clock_that_is_set_moves_no_deadline(monkeypatch):
    stop = Stop(time.time() + 3600, 3600)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert not stop.look(1.0)


def test_memory_does_not_grow_with_the_number_of_units():
    """100,000 units may be driven by a process that could not hold them: ten times more of them take no more."""
    peaks = []
    for count in (2_000, 20_000):
        todo = list(range(count))
        tracemalloc.start()
        drive(Numbers(square), todo, done=lambda units: None, failed=lambda failure: None, policy=Policy())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 500_000
