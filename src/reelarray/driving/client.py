"""Units on the workers of a `distributed.Client`, a bounded number in flight, whatever becomes of workers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NoReturn

from ..errors import GaveUp
from .judge import Judge
from .policy import Done, Failure, Tasks
from .stop import Stop

SMALLEST_WINDOW = 16  # units in flight: two for each thread, and never fewer
SHORT, SHORT_WINDOW = 0.25, 64  # s; of shorter units more are in flight: each message costs as much as a task
NOTED_EVERY = 0.5  # s between looks at results; each costs the scheduler as much as a task
BEAT = 0.5  # s
HANDED_OVER = 30.0  # s in which workers hand over the few bytes that units return
LOOKS_A_LIMIT = 8  # for units over their time
MOST_DROPPED = 5  # times that a unit is taken up again where the scheduler dropped it


def on_client(
    client: Any, tasks: Tasks, todo: Sequence[Any], judge: Judge, stop: Stop, beat: Callable[[], None]
) -> bool:
    """All units; those that seem to kill their workers wait for the end, where they run alone."""
    flight = Flight(client, tasks, judge, stop, beat)
    try:
        if not flight.run(list(reversed(todo)), alone=False):
            return False
        return all(flight.run([unit], alone=True) for unit in list(flight.suspects))
    finally:
        flight.clear()


class Flight:
    """Units in flight."""

    def __init__(self, client: Any, tasks: Tasks, judge: Judge, stop: Stop, beat: Callable[[], None]) -> None:
        self.client, self.tasks, self.judge, self.stop, self.beat = client, tasks, judge, stop, beat
        self.suspects: list[Any] = []  # what was running when workers died, again and again
        self._running: dict[Any, tuple[Any, Any]] = {}  # unit and future, by key
        self._landed: SimpleQueue[Any] = SimpleQueue()
        self._dropped: Counter[Any] = Counter()  # how often each unit was cancelled
        self._threads, self._window = 1, 0
        self._first: float | None = None  # when the first units landed, and how many did since
        self._count = 0
        self._looked = time.monotonic()

    @property
    def _seconds(self) -> float:
        """What a unit takes on a thread, about."""
        if self._first is None or not self._count:
            return float("nan")
        return (time.monotonic() - self._first) * self._threads / self._count

    def run(self, left: list[Any], *, alone: bool) -> bool:
        """Run units, the last first; False when stopped."""
        ready: list[Any] = []
        noted, dropped = time.monotonic(), False
        while left or self._running or ready:
            self.beat()
            if self.stop.look(self._seconds):
                dropped = dropped or bool(left)
                left.clear()
                if self.stop.time_left() <= 0:
                    self._note(ready)
                    return False
            self._launch(left)
            ready += self._wait(min(BEAT, max(0.0, self.stop.time_left())))
            if ready and (not self._running or time.monotonic() - noted > NOTED_EVERY):
                left += self._note(ready, alone=alone)
                ready, noted = [], time.monotonic()
            if self.judge.policy.time_limit is not None:
                self._end_overdue(self.judge.policy.time_limit, alone)
        return not dropped

    def clear(self) -> None:
        """Forget what is in flight."""
        futures = [future for _, future in self._running.values()]
        self._running.clear()
        if futures:
            with suppress(Exception):  # there may be no scheduler any more
                self.client.cancel(futures, force=True)
            for future in futures:
                future.release()

    def _launch(self, left: list[Any]) -> None:
        if not left or len(self._running) > self._window // 2:
            return
        self._threads = max(1, sum(self._ask(self.client.nthreads).values()))
        self._window = max(2 * self._threads, SMALLEST_WINDOW)
        if self._seconds < SHORT:
            self._window = max(2 * self._window, SHORT_WINDOW)
        units = [left.pop() for _ in range(min(len(left), self._window - len(self._running)))]
        graph, keys = self.tasks.graph(units)
        futures = self._ask(self.client.get, graph, list(keys), sync=False)
        for unit, key, future in zip(units, keys, futures, strict=True):
            self._running[key] = unit, future
            future.add_done_callback(self._landed.put)

    def _wait(self, seconds: float) -> list[Any]:
        """Futures that ended within some time, and what ended at the same time."""
        landed = []
        with suppress(Empty):
            landed.append(self._landed.get(timeout=seconds))
            while True:
                landed.append(self._landed.get_nowait())
        return landed

    def _note(self, ended: Sequence[Any], *, alone: bool = False) -> list[Any]:
        """Hand on what came of futures, and forget them; the units that are to be tried again."""
        mine = [f for f in ended if f.key in self._running and self._running[f.key][1] is f]
        try:
            return self._handed_on(mine, alone)
        finally:  # an error that leaves here holds this frame, and the client holds the error
            for future in mine:
                future.release()

    def _handed_on(self, mine: Sequence[Any], alone: bool) -> list[Any]:
        good = [f for f in mine if f.status == "finished"]
        again = []
        values = self._values(good)
        if len(values) < len(good):  # workers left with what they had to say: their units run again
            again += [self._running.pop(f.key)[0] for f in mine]
            return again
        seconds = self._seconds
        if self._first is None and good:
            self._first = time.monotonic()
        else:
            self._count += len(good)
        self.judge.done(
            [Done(self._running.pop(f.key)[0], value, seconds) for f, value in zip(good, values, strict=True)]
        )
        for future in mine:
            if future.key not in self._running:  # done
                continue
            unit, _ = self._running.pop(future.key)
            if self._is_to_be_tried_again(unit, future, alone):
                again.append(unit)
        return again

    def _values(self, good: Sequence[Any]) -> list[Any]:
        """The values of futures; fewer, where a worker does not hand them over in time, and is restarted for it."""
        import asyncio

        asked = self.client.gather(list(good), errors="skip", asynchronous=True)
        waiting = asyncio.run_coroutine_threadsafe(asked, self.client.loop.asyncio_loop)
        until = time.monotonic() + HANDED_OVER
        while True:
            try:
                return list(self._ask(waiting.result, timeout=BEAT))
            except TimeoutError:
                if waiting.done():
                    raise
            self.beat()
            if self.stop.look(self._seconds) and self.stop.time_left() <= 0:
                waiting.cancel()
                return []
            if time.monotonic() > until:
                waiting.cancel()
                self._restart(sorted({a for held in self._ask(self.client.who_has, good).values() for a in held}))
                return []

    def _restart(self, workers: Sequence[str]) -> None:
        if workers:
            with suppress(Exception):  # one that is gone, or that nobody can restart
                self.client.restart_workers(workers, timeout=30, raise_for_error=False)

    def _ask(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """A call to the scheduler, which may not be there any more."""
        try:
            return call(*arguments, **options)
        except Exception as error:
            if self.client.status == "running" and self.client.scheduler is not None:
                raise
            self._end(error)

    def _end(self, error: BaseException | None = None) -> NoReturn:
        self.beat()  # may know better
        message = "the scheduler dropped its tasks: its cluster was closed or died; run again to go on"
        raise GaveUp(message) from error

    def _is_to_be_tried_again(self, unit: Any, future: Any, alone: bool) -> bool:
        from distributed.scheduler import KilledWorker

        if future.status in ("lost", "pending"):  # its worker left with what it had to say
            return True
        if future.status != "error":  # cancelled, by nobody here
            self.beat()  # may know better
            self._dropped[unit] += 1
            # A word about a result that was lost with its worker may come when the unit is under way again, by the same
            # name, and is then taken for a word about that.
            if self._dropped[unit] <= MOST_DROPPED and self.client.status == "running" and self.client.scheduler:
                return True
            raise GaveUp(
                "the scheduler dropped its tasks: its cluster was closed, restarted or died; run again to go on"
            )
        error = future.exception()
        if isinstance(error, KilledWorker):
            if not alone:
                self.suspects.append(unit)
                return False
            self.suspects.remove(unit)
            worker = getattr(error.last_worker, "address", "")
            return self.judge.again(unit, error, kind="killed", worker=str(worker))
        return self.judge.again(unit, error, traceback=future.traceback(), worker=_erred_on(self.client, future.key))

    def _end_overdue(self, limit: float, alone: bool) -> None:
        """Fail units over their time, and restart their workers.

        Of a worker that says nothing it is not known which unit it hangs of, if of any: these run once more, alone.
        """
        if time.monotonic() - self._looked < max(BEAT, limit / LOOKS_A_LIMIT):
            return
        self._looked = time.monotonic()
        found = self._ask(self.client.run_on_scheduler, _overdue, keys=list(self._running), limit=limit)
        for key, (_, name, seconds, silent) in found.items():
            if key not in self._running:
                continue
            unit, future = self._running.pop(key)
            future.cancel(force=True)
            if silent and not alone:
                self.suspects.append(unit)
                continue
            if alone:
                self.suspects.remove(unit)
            error = TimeoutError(f"took {seconds:.0f} s and was not done; the time limit of a unit is {limit:g} s")
            self.judge.fail(Failure.of(unit, error, kind="timed out", worker=name, seconds=seconds))
        self._restart(sorted({address for address, *_ in found.values()}))


def _overdue(dask_scheduler: Any, keys: list[Any], limit: float) -> dict[Any, tuple[str, str, float, bool]]:
    """Runs on the scheduler: units of which a task takes longer, with the address and name of its worker.

    And whether that is so only because the worker says nothing any more.
    """
    found: dict[Any, tuple[str, str, float, bool]] = {}
    wanted, now = set(keys), time.time()
    for worker in dask_scheduler.workers.values():
        silent = max(0.0, now - worker.last_seen)  # a worker that says nothing hangs as a whole
        for task, seconds in worker.executing.items():
            if seconds + silent <= limit:
                continue
            left, seen = [task], set()
            while left:  # the units that wait for it
                one = left.pop()
                if one.key in wanted:
                    found[one.key] = worker.address, str(worker.name), seconds + silent, seconds <= limit
                seen.add(one.key)
                left += [t for t in one.dependents if t.key not in seen]
    return found


def _erred_on(client: Any, key: Any) -> str:
    """The name of the worker on which a task raised, where the scheduler still knows it."""

    def find(dask_scheduler: Any) -> str:
        task = dask_scheduler.tasks.get(key)
        cause = getattr(task, "exception_blame", None) or task
        addresses = sorted(getattr(cause, "erred_on", None) or ())
        names = [str(getattr(dask_scheduler.workers.get(a), "name", a)) for a in addresses]
        return ", ".join(names)

    try:
        return str(client.run_on_scheduler(find))
    except Exception:
        return ""
