"""Units on a cluster: workers that die, hang or leave cost no unit but the one that kills them."""

from __future__ import annotations

import gc
import time

import pytest
from units import Numbers, Result, all_broken, broken_five, disk_hiccup, hangs, kills, never_done, run, slow, square

from reelarray import GaveUp, Unwritable
from reelarray.driving import Policy, Stop

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def client():
    import sys
    from pathlib import Path

    from distributed import Client, LocalCluster

    folder = str(Path(__file__).parent)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True) as cluster,
        Client(cluster) as client,
    ):
        client.run(lambda: sys.path.insert(0, folder))
        client.register_plugin(finds(folder))
        yield client


def finds(folder):
    from distributed import WorkerPlugin

    class Finds(WorkerPlugin):
        """Workers that were restarted find the module of units as well."""

        name = "finds"

        def setup(self, worker):
            import sys

            sys.path.insert(0, folder)

    return Finds()


def test_all_are_done_once_a_few_in_flight(client):
    numbers = Numbers(square)
    whole, result = run(numbers, 300, client=client)
    assert whole
    assert result.done == {k: k * k for k in range(300)}
    assert max(numbers.graphs) <= 64
    assert result.beats > 0
    gc.collect()  # errors of earlier tests hold their frames, and those hold futures
    wait_for(lambda: not client.futures)


def test_units_of_some_length_come_in_windows_of_sixteen(client):
    numbers = Numbers(slow)
    run(numbers, 40, client=client)
    assert numbers.graphs[0] == 16


def test_the_active_client_is_used(client):
    import os

    _, result = run(lambda k: os.getpid(), 8)
    assert os.getpid() not in result.done.values()


def test_one_that_fails_fails_alone(client):
    whole, result = run(broken_five, 60, client=client)
    assert whole
    assert result.done == {k: k * k for k in range(60) if k != 5}
    (failure,) = result.failures
    assert (failure.unit, failure.kind, failure.type, failure.message) == (5, "raised", "ValueError", "five is broken")
    assert "in broken_five" in failure.traceback
    assert failure.worker


def test_errors_of_disks_are_tried_again(client, tmp_path):
    _, result = run(disk_hiccup(str(tmp_path)), 20, policy=Policy(retries=2), client=client)
    assert sorted(result.done) == [k for k in range(20) if k != 7]
    assert [(f.unit, f.attempts) for f in result.failures] == [(7, 3)]
    assert (tmp_path / "3").read_text() == "x"
    assert (tmp_path / "7").read_text() == "xxx"


def test_where_all_fail_the_run_gives_up(client):
    with pytest.raises(GaveUp, match="20 units in a row failed"):
        run(all_broken, 2000, client=client)
    gc.collect()  # errors of earlier tests hold their frames, and those hold futures
    wait_for(lambda: not client.futures)


def test_the_first_failure_can_end_it(client):
    with pytest.raises(ValueError, match="five is broken"):
        run(broken_five, 60, policy=Policy(on_error="raise"), client=client)


def full(k):
    if k == 3:
        raise Unwritable("out.zarr cannot be written: no space left")
    return k


def test_an_output_that_cannot_be_written_is_no_fault_of_a_unit(client):
    with pytest.raises(Unwritable, match="no space left"):
        run(full, 60, client=client)


def test_one_that_kills_its_workers_fails_alone(client):
    whole, result = run(kills, 30, client=client)
    assert whole
    assert result.done == {k: k * k for k in range(30) if k != 5}
    (failure,) = result.failures
    assert (failure.unit, failure.kind, failure.type) == (5, "killed", "KilledWorker")


def test_one_that_hangs_ends_by_the_time_limit(client):
    begun = time.monotonic()
    whole, result = run(hangs, 30, policy=Policy(time_limit=2), client=client)
    assert whole
    assert result.done == {k: k * k for k in range(30) if k != 5}
    (failure,) = result.failures
    assert (failure.unit, failure.kind) == (5, "timed out")
    assert "the time limit of a unit is 2 s" in failure.message
    assert time.monotonic() - begun < 60


def test_a_worker_that_is_killed_costs_nothing(client):
    """Also results that it had not handed over: their units run again."""
    result = Result()

    def beat():
        result.beats += 1
        if result.beats == 4:
            worker = next(iter(client.scheduler_info()["workers"]))
            client.restart_workers([worker], raise_for_error=False)

    whole, made = run(slow, 60, client=client, beat=beat)
    assert whole
    assert made.done == {k: k * k for k in range(60)}
    assert made.failures == []


def test_a_worker_that_stands_still_with_results_in_its_hands(client, monkeypatch):
    """Its results are made again, and it is restarted; the driver does not wait for it for ever."""
    import os
    import signal

    monkeypatch.setattr("reelarray.driving.client.HANDED_OVER", 2.0)
    monkeypatch.setattr("reelarray.driving.client.NOTED_EVERY", 1.5)
    result = Result()

    def beat():
        result.beats += 1
        if result.beats == 3:
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGSTOP)

    whole, made = run(slow, 60, client=client, beat=beat)
    assert whole
    assert made.done == {k: k * k for k in range(60)}
    assert made.failures == []


def test_a_stop_is_heeded(client):
    stop = Stop(environ={})

    def beat():
        if len(made.done) > 3:
            stop.ask("SIGTERM", grace=5)

    made = Result()
    from reelarray.driving import drive

    whole = drive(
        Numbers(slow),
        list(range(400)),
        done=made.note,
        failed=made.failures.append,
        policy=Policy(),
        stop=stop,
        client=client,
        beat=beat,
    )
    assert not whole
    assert 3 < len(made.done) < 100
    assert made.failures == []
    gc.collect()  # errors of earlier tests hold their frames, and those hold futures
    wait_for(lambda: not client.futures)


def drop_all(client) -> int:
    """Cancel what is in flight, as somebody else would; how much that was."""
    from distributed import Future

    found = [Future(key, client) for key, state in list(client.futures.items()) if state.status == "pending"]
    client.cancel(found, force=True)
    return len(found)


def test_units_that_the_scheduler_dropped_run_again(client):
    made, dropped = Result(), []

    def beat():
        made.beats += 1
        if made.beats == 2:
            dropped.append(drop_all(client))

    whole, result = run(slow, 40, client=client, beat=beat)
    assert sum(dropped) > 0
    assert whole
    assert sorted(result.done) == list(range(40))


def test_a_scheduler_that_drops_units_again_and_again_ends_the_run(client):
    def beat():
        drop_all(client)

    with pytest.raises(GaveUp, match="scheduler dropped its tasks"):
        run(never_done, 4, client=client, beat=beat)


def test_a_cluster_that_is_gone_ends_the_run():
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, processes=False) as cluster:
        client = Client(cluster)
        made = Result()

        def beat():
            made.beats += 1
            if made.beats == 3:
                cluster.close()

        with pytest.raises(GaveUp, match="scheduler dropped its tasks"):
            run(slow, 200, client=client, beat=beat)
        client.close()


def wait_for(condition, seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
