"""When to stop: asked for, or because the walltime of the job that runs us ends."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping

GRACE = 10.0  # s that units in flight get where nothing else is known: a queue kills within 30 s of its warning
LEAVE, CLOSE = 120.0, 60.0  # s before the deadline: nothing more is begun; nothing more is waited for
LEAVE_PART, CLOSE_PART = 4, 8  # and at most these parts of the walltime: jobs of a minute exist


class Stop:
    """Says whether a run should begin another unit, and how long it may wait for those that run.

    `deadline` (Unix seconds) and `walltime` (seconds) are those of the job, by default what its script exported.

    >>> stop = Stop(environ={})
    >>> stop.asked, stop.time_left()
    (None, inf)
    >>> stop.ask("SIGTERM"); stop.asked
    'SIGTERM'
    """

    def __init__(
        self, deadline: float | None = None, walltime: float | None = None, *, environ: Mapping[str, str] = os.environ
    ) -> None:
        self.asked: str | None = None
        self.unit_seconds = math.nan  # what a unit took lately
        if deadline is None and "REELARRAY_DEADLINE" in environ:
            deadline = float(environ["REELARRAY_DEADLINE"])
            walltime = float(environ.get("REELARRAY_WALLTIME", "inf"))
        # The script read the clock of this machine; from here on it may be set without harm.
        self._end = math.inf if deadline is None else time.monotonic() + deadline - time.time()
        self._walltime = math.inf if walltime is None else walltime
        self._until = math.inf

    def ask(self, reason: str, *, grace: float = GRACE) -> None:
        """Begin to stop; units in flight get `grace` seconds, and no more than the deadline leaves."""
        if self.asked is None:
            self.asked = reason
            self._until = min(time.monotonic() + grace, self._last)

    def at_once(self) -> None:
        """Units in flight get no more time.

        >>> stop = Stop(environ={})
        >>> stop.ask("SIGTERM"); stop.at_once(); stop.time_left() <= 0
        True
        """
        self._until = min(self._until, time.monotonic())

    def look(self, unit_seconds: float) -> bool:
        """Whether to begin nothing more, now that units take so long; the deadline asks for it when it is near."""
        self.unit_seconds = unit_seconds
        leave = min(max(LEAVE, 3 * unit_seconds), self._walltime / LEAVE_PART)
        if self.asked is None and time.monotonic() > self._end - leave:
            self.ask("deadline", grace=math.inf)
        return self.asked is not None

    def time_left(self) -> float:
        """Seconds for which units in flight may be waited for."""
        return min(self._until, self._last) - time.monotonic()

    @property
    def _last(self) -> float:
        return self._end - min(CLOSE, self._walltime / CLOSE_PART)
