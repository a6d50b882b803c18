"""Time, and waiting for something to happen: tests bring their own."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from queue import Empty, SimpleQueue


class Bell:
    """Wakes the service from other threads, and from handlers of signals."""

    def __init__(self) -> None:
        self._rung: SimpleQueue[None] = SimpleQueue()  # unlike an Event, it can be rung while it is waited for

    def ring(self) -> None:
        """There is something to look at."""
        self._rung.put(None)

    def wait(self, seconds: float) -> None:
        """Until it rings, and no longer than that."""
        try:
            self._rung.get(timeout=max(seconds, 0.0))
            while True:
                self._rung.get_nowait()
        except Empty:
            pass


class Clock:
    """The clocks of this machine."""

    def __init__(self) -> None:
        self.bell = Bell()

    def now(self) -> float:
        """Seconds that only go forward."""
        return time.monotonic()

    def time(self) -> float:
        """Unix seconds."""
        return time.time()

    def wait(self, seconds: float) -> None:
        """Until something happens, at most so long."""
        self.bell.wait(seconds)


def iso(seconds: float | None) -> str | None:
    """Unix seconds as text.

    >>> iso(0.0), iso(None)
    ('1970-01-01T00:00:00Z', None)
    """
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
