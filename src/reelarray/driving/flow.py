"""An open-ended flow of units: each is sent off when there is a place for it, and lands as done or failed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Protocol
from uuid import uuid4

from dask.system import CPU_COUNT

from ..errors import GaveUp
from .inside import synchronous
from .policy import Done, Failure

Landed = Done | Failure
_HANDED_OVER = 30.0  # s in which a worker hands over the few bytes that a unit returns


class Flow(Protocol):
    """Who works on units that come one by one; `places` is how many may be under way."""

    places: int

    def submit(self, unit: Hashable, call: Callable[..., Any], *arguments: Any) -> None:
        """Have ``call(*arguments)`` made for a unit that is not under way."""
        ...

    def landed(self) -> list[Landed]:
        """What ended since the last time."""
        ...

    def check(self) -> None:
        """Raise where nothing will ever land any more."""
        ...

    def drop(self) -> tuple[Hashable, ...]:
        """Give up all that is under way; which units these were."""
        ...


class ThreadFlow:
    """Units on threads of this process, which do not keep it from ending.

    >>> rung = threading.Event()
    >>> flow = ThreadFlow(1, rung.set)
    >>> flow.submit("a", sum, [1, 2])
    >>> rung.wait(10), [(each.unit, each.value) for each in flow.landed()]
    (True, [('a', 3)])
    """

    def __init__(self, places: int, ring: Callable[[], None]) -> None:
        self.places = min(places, CPU_COUNT)
        self._ring = ring
        self._under_way: dict[Hashable, None] = {}
        self._given: SimpleQueue[tuple[Hashable, Callable[..., Any], tuple[Any, ...]] | None] = SimpleQueue()
        self._landed: SimpleQueue[Landed] = SimpleQueue()
        self._threads = 0

    def submit(self, unit: Hashable, call: Callable[..., Any], *arguments: Any) -> None:
        self._under_way[unit] = None
        if self._threads < min(len(self._under_way), self.places):
            self._threads += 1
            # By this name the command knows threads that it need not wait for.
            threading.Thread(target=self._work, name=f"reel-unit-{self._threads}", daemon=True).start()
        self._given.put((unit, call, arguments))

    def landed(self) -> list[Landed]:
        found = [each for each in _all(self._landed) if each.unit in self._under_way]
        for each in found:
            del self._under_way[each.unit]
        return found

    def check(self) -> None:
        pass

    def drop(self) -> tuple[Hashable, ...]:
        units = tuple(self._under_way)
        self._under_way.clear()
        _all(self._given)
        for _ in range(self._threads):
            self._given.put(None)
        self._threads = 0
        return units

    def _work(self) -> None:
        while (given := self._given.get()) is not None:
            unit, call, arguments = given
            begun = time.monotonic()
            try:
                value, seconds = timed(call, *arguments)
                made: Landed = Done(unit, value, seconds)
            except BaseException as error:  # whatever it is, the unit is noted, and the thread goes on
                made = Failure.of(unit, error, seconds=time.monotonic() - begun)
            self._landed.put(made)
            self._ring()


class ClientFlow:
    """Units on the workers of a `distributed.Client`. What workers that died were doing runs again elsewhere."""

    def __init__(self, client: Any, places: int, ring: Callable[[], None], beat: Callable[[], None]) -> None:
        self.client, self.places, self._ring, self._beat = client, places, ring, beat
        self._under_way: dict[str, tuple[Hashable, Any]] = {}
        self._ended: SimpleQueue[Any] = SimpleQueue()

    def submit(self, unit: Hashable, call: Callable[..., Any], *arguments: Any) -> None:
        key = f"watch-{uuid4().hex}"  # never again: what was made may have to be made once more
        try:
            future = self.client.submit(timed, call, *arguments, key=key, pure=False)
        except Exception as error:
            self.check()
            raise GaveUp(f"the scheduler takes no tasks: {error}; run again to go on") from error
        self._under_way[key] = unit, future
        future.add_done_callback(self._end)

    def _end(self, future: Any) -> None:
        self._ended.put(future)
        self._ring()

    def landed(self) -> list[Landed]:
        made = []
        for future in _all(self._ended):
            found = self._under_way.get(future.key)
            if found is None or found[1] is not future:
                continue
            del self._under_way[future.key]
            try:
                made.append(self._came_of(found[0], future))
            finally:
                future.release()
        return made

    def _came_of(self, unit: Hashable, future: Any) -> Landed:
        from distributed.scheduler import KilledWorker

        if future.status == "cancelled":
            self._beat()  # may know better
            raise GaveUp(
                "the scheduler dropped its tasks: its cluster was closed, restarted or died; run again to go on"
            )
        try:
            value, seconds = future.result(timeout=_HANDED_OVER)
        except KilledWorker as error:
            worker = str(getattr(error.last_worker, "address", ""))
            return Failure.of(unit, error, kind="killed", worker=worker)
        except Exception as error:
            if future.status != "error":  # its worker left with what it had to say
                return Failure.of(unit, error, kind="killed")
            return Failure.of(unit, error)
        return Done(unit, value, seconds)

    def check(self) -> None:
        self._beat()
        if self.client.status != "running" or self.client.scheduler is None:
            raise GaveUp("there is no scheduler any more: its cluster was closed or died; run again to go on")

    def drop(self) -> tuple[Hashable, ...]:
        units = tuple(unit for unit, _ in self._under_way.values())
        futures = [future for _, future in self._under_way.values()]
        self._under_way.clear()
        with suppress(Exception):  # there may be no scheduler any more
            self.client.cancel(futures, force=True)
        return units


def timed(call: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """(what a call returns, seconds), with what it computes by Dask in its own thread."""
    begun = time.monotonic()
    with synchronous():
        return call(*arguments), time.monotonic() - begun


def _all(queue: SimpleQueue[Any]) -> list[Any]:
    found = []
    try:
        while True:
            found.append(queue.get_nowait())
    except Empty:
        return found
