"""A flow of units that has no end: on threads, and on workers that die."""

from __future__ import annotations

import os
import threading
import time

import dask
import pytest
from dask.local import get_sync

from reelarray.driving import ClientFlow, Done, Failure, ThreadFlow
from reelarray.errors import GaveUp


def gather(flow, rung: threading.Event, count: int, seconds: float = 60) -> dict:
    found = {}
    until = time.monotonic() + seconds
    while len(found) < count:
        assert time.monotonic() < until, found
        rung.wait(0.5)
        rung.clear()
        flow.check()
        for each in flow.landed():
            assert each.unit not in found
            found[each.unit] = each
    return found


def work(k: int):
    if k == 3:
        raise ValueError("three")
    return k * 10, dask.config.get("scheduler", None)


def die(how: str, times: str):
    with open(times, "a") as file:
        file.write("x")
    if how == "always" or os.path.getsize(times) == 1:
        os._exit(11)
    return "lived"


def test_threads_note_what_raises_and_go_on():
    rung = threading.Event()
    flow = ThreadFlow(2, rung.set)
    for k in range(20):
        flow.submit(k, work, k)
    found = gather(flow, rung, 20)
    assert {k for k, each in found.items() if isinstance(each, Failure)} == {3}
    assert found[3].message == "three"
    assert "Traceback" in found[3].traceback
    assert all(each.value == (k * 10, get_sync) for k, each in found.items() if isinstance(each, Done))
    assert flow.places <= 2
    before = threading.active_count()
    flow.drop()
    until = time.monotonic() + 20
    while threading.active_count() > before - flow.places and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() <= before - 1


def test_what_is_dropped_never_lands():
    rung, began, go = threading.Event(), threading.Event(), threading.Event()
    flow = ThreadFlow(1, rung.set)
    flow.submit("a", lambda: (began.set(), go.wait()))
    flow.submit("b", go.wait)
    assert began.wait(20)
    assert flow.drop() == ("a", "b")
    go.set()
    assert rung.wait(20)
    assert flow.landed() == []
    flow.submit("a", int, 7)  # the same unit again
    assert gather(flow, rung, 1)["a"].value == 7
    flow.drop()


@pytest.fixture(scope="module")
def client():
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def test_workers_that_die_cost_a_try_of_their_unit_only(client, tmp_path):
    rung = threading.Event()
    flow = ClientFlow(client, 4, rung.set, lambda: None)
    for k in range(8):
        flow.submit(k, work, k)
    flow.submit("once", die, "once", str(tmp_path / "once"))
    found = gather(flow, rung, 9)
    flow.submit("always", die, "always", str(tmp_path / "always"))
    found |= gather(flow, rung, 1)
    assert found["once"].value == "lived"
    assert (found["always"].kind, found["always"].type) == ("killed", "KilledWorker")
    assert (found[3].kind, found[3].message) == ("raised", "three")
    assert sorted(each.value for k, each in found.items() if isinstance(k, int) and k != 3) == [
        (k * 10, get_sync) for k in range(8) if k != 3
    ]


def test_a_scheduler_that_drops_tasks_or_is_gone_ends_the_flow(client):
    rung = threading.Event()
    flow = ClientFlow(client, 4, rung.set, lambda: None)
    flow.submit("long", time.sleep, 60)
    (future,) = (future for _, future in flow._under_way.values())
    client.cancel([future], force=True)
    with pytest.raises(GaveUp, match="dropped its tasks"):
        gather(flow, rung, 1)
    flow.submit("long", time.sleep, 60)
    assert flow.drop() == ("long",)
    client.close()
    with pytest.raises(GaveUp):
        flow.check()
    with pytest.raises(GaveUp):
        flow.submit("more", work, 1)
