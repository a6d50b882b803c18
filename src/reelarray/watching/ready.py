"""When is a file finished? Two equal looks some time apart, and as long as its header says."""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import ReelError
from ..formats import is_complete
from .finding import Gone, Look, Seen
from .options import Options
from .unit import Found

LOOKS, LOOKS_POLLING = 2, 3  # that have to find a file the same
UNDECLARED = 3  # times settle_seconds that a file has to rest where its header does not say how long it will be
_MOST = 256  # files that are looked at for the next one to be processed


@dataclass
class Waiting:
    """A file that waits: as it was found last, since when it is so, and how often it was found so."""

    seen: Seen
    unit: str
    analyser: str
    since: float
    last: float
    looks: int = 1
    stamp: int = 0  # of its place in a queue; older places do not count
    retry_at: float = -math.inf
    growing: bool = False
    suspect: bool = False  # a worker died when it was processed: it is to be processed alone


class Queue:
    """Files that wait to be finished, and for their turn: one analyser after the other, in each the oldest first.

    Nothing is opened until a file is about to be processed: of a hundred thousand that wait, one at a time.

    Parameters
    ----------
    options : times, and which comes first
    polling : whether a file is looked at without events; it then needs one look more
    look : path, watched folder -> the file as it is now
    age : a file -> seconds since it changed last, by its own time; None counts from when it was first seen
    """

    def __init__(
        self,
        options: Options,
        *,
        polling: Callable[[str], bool],
        look: Callable[[str, str], Look],
        age: Callable[[Seen], float] | None = None,
        complete: Callable[[str], bool | None] = is_complete,
    ) -> None:
        self.options, self._polling, self._look, self._age, self._complete = options, polling, look, age, complete
        self._waiting: dict[str, Waiting] = {}
        self._later: list[tuple[float, int, str]] = []
        self._turns: dict[str, list[tuple[tuple[int, str], int, str]]] = {}
        self._order: deque[str] = deque()
        self._stamp = 0
        self.counts: Counter[str] = Counter()  # by analyser, and of these, those that failed before
        self.retries: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, path: str) -> bool:
        return path in self._waiting

    @property
    def growing(self) -> int:
        """Files that were looked at and are not finished."""
        return sum(each.growing for each in self._waiting.values())

    def files(self) -> list[str]:
        """Paths of all that wait."""
        return list(self._waiting)

    def oldest(self) -> dict[str, int]:
        """The time of last change of the file that waits longest, in ns, by analyser."""
        found: dict[str, int] = {}
        for each in self._waiting.values():
            found[each.analyser] = min(each.seen.modified_ns, found.get(each.analyser, each.seen.modified_ns))
        return found

    def next_due(self) -> float:
        """When `take` may have something, in monotonic seconds."""
        if any(self._turns.values()):
            return -math.inf
        return self._later[0][0] if self._later else math.inf

    def add(self, seen: Seen, unit: str, analyser: str, now: float, *, retry_at: float = -math.inf) -> None:
        """A look at a file that is to be processed; `retry_at` after it failed."""
        before = self._waiting.get(seen.path)
        if before is not None:
            if _same(before.seen, seen):
                if now - before.last >= self.options.settle_seconds:
                    before.looks, before.last = before.looks + 1, now
                return
            self._drop(before)
        since = now if self._age is None else now - max(0.0, self._age(seen))
        self._enter(Waiting(seen, unit, analyser, since, now, retry_at=retry_at), now)

    def put_back(self, waiting: Waiting, now: float, *, retry_at: float = -math.inf) -> None:
        """One that was taken is to be taken again, `retry_at` after it failed."""
        if waiting.seen.path not in self._waiting:  # else it changed, and was seen
            waiting.retry_at = retry_at
            self._enter(waiting, now)

    def _enter(self, waiting: Waiting, now: float) -> None:
        self._waiting[waiting.seen.path] = waiting
        self.counts[waiting.analyser] += 1
        self.retries[waiting.analyser] += waiting.retry_at > -math.inf
        self._put_off(waiting, max(waiting.retry_at, now + self.options.settle_seconds))

    def forget(self, path: str) -> Waiting | None:
        """A file that is not there any more."""
        found = self._waiting.get(path)
        if found is not None:
            self._drop(found)
        return found

    def take(self, now: float, busy: Callable[[str], bool] = lambda path: False) -> tuple[Found, Waiting] | None:
        """The next file that is finished; None where there is none now. `busy` ones are processed at this time."""
        self._wake(now)
        for _ in range(_MOST):
            waiting = self._next()
            if waiting is None:
                return None
            if busy(waiting.seen.path):
                self._put_off(waiting, now + self.options.settle_seconds)
            elif (found := self._judge(waiting, now)) is not None:
                self._drop(waiting)
                return found, waiting
        return None

    def _judge(self, waiting: Waiting, now: float) -> Found | None:
        options, seen = self.options, waiting.seen
        current = self._look(seen.path, seen.folder)
        if isinstance(current, Gone):
            self._drop(waiting)
            return None
        if not _same(seen, current):
            self._drop(waiting)
            self.add(current, waiting.unit, waiting.analyser, now)
            self._waiting[seen.path].growing = True
            return None
        if now - waiting.last >= options.settle_seconds:
            waiting.looks, waiting.last = waiting.looks + 1, now
        if waiting.looks < (LOOKS_POLLING if self._polling(seen.folder) else LOOKS):
            self._put_off(waiting, waiting.last + options.settle_seconds)
            return None
        try:
            complete = self._complete(seen.path)
        except (ReelError, OSError):  # processing it says what is wrong, and that is noted
            complete = True
        rests = now - waiting.since
        if complete is None and rests < UNDECLARED * options.settle_seconds:
            self._put_off(waiting, waiting.since + UNDECLARED * options.settle_seconds)
            return None
        if complete is False and rests < options.stall_seconds:
            waiting.growing = True
            again = now + max(options.settle_seconds, rests)  # less and less often: a change is seen anyway
            self._put_off(waiting, min(again, waiting.since + options.stall_seconds))
            return None
        return Found(
            seen.path, seen.folder, seen.relative, waiting.analyser, seen.bytes, seen.modified_ns, complete is False
        )

    def _drop(self, waiting: Waiting) -> None:
        del self._waiting[waiting.seen.path]
        self.counts[waiting.analyser] -= 1
        self.retries[waiting.analyser] -= waiting.retry_at > -math.inf

    def _put_off(self, waiting: Waiting, until: float) -> None:
        self._stamp += 1
        waiting.stamp = self._stamp
        heapq.heappush(self._later, (until, self._stamp, waiting.seen.path))

    def _wake(self, now: float) -> None:
        """Put those whose time has come where they wait for their turn."""
        while self._later and self._later[0][0] <= now:
            _, stamp, path = heapq.heappop(self._later)
            waiting = self._waiting.get(path)
            if waiting is None or waiting.stamp != stamp:
                continue
            time = waiting.seen.modified_ns
            key = (time if self.options.order == "oldest" else -time, waiting.seen.relative)
            if waiting.analyser not in self._turns:
                self._turns[waiting.analyser] = []
                self._order.append(waiting.analyser)
            heapq.heappush(self._turns[waiting.analyser], (key, stamp, path))

    def _next(self) -> Waiting | None:
        """The first of the next analyser that has one."""
        for _ in range(len(self._order)):
            analyser = self._order[0]
            self._order.rotate(-1)
            turn = self._turns[analyser]
            while turn:
                _, stamp, path = heapq.heappop(turn)
                waiting = self._waiting.get(path)
                if waiting is not None and waiting.stamp == stamp:
                    return waiting
        return None


def _same(one: Seen, other: Seen) -> bool:
    return one.bytes == other.bytes and one.modified_ns == other.modified_ns
