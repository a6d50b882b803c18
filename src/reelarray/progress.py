"""A progress line on a terminal, and now and then a line in a log."""

from __future__ import annotations

import sys
import time
from typing import TextIO

TERMINAL_EVERY, LOG_EVERY = 0.1, 10.0


class Progress:
    """Callable with (done, total): draws a bar, rate and time left; a plain line every ten seconds elsewhere."""

    def __init__(self, what: str, stream: TextIO | None = None) -> None:
        self.what, self.stream = what, sys.stderr if stream is None else stream
        self.terminal = self.stream.isatty()
        self.begun = self.shown = time.monotonic()
        self.first: int | None = None
        self.drawn = False

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self.first is None:
            self.first, self.begun = done, now
        every = TERMINAL_EVERY if self.terminal else LOG_EVERY
        if now - self.shown < every and not (self.terminal and done == total):
            return
        self.shown = now
        made = done - self.first
        left = (total - done) * (now - self.begun) / made if made else float("nan")
        text = f"{self.what} {done}/{total}" + (f", {span(left)} left" if made and done < total else "")
        if self.terminal:
            filled = round(24 * done / max(total, 1))
            self.stream.write(f"\r\x1b[K[{'#' * filled}{'.' * (24 - filled)}] {text}")
        else:
            self.stream.write(text + "\n")
        self.stream.flush()
        self.drawn = True

    def close(self) -> None:
        """End the line."""
        if self.terminal and self.drawn:
            self.stream.write("\n")
            self.stream.flush()


def span(seconds: float) -> str:
    """A length of time in few words.

    >>> span(42.2), span(3700)
    ('42 s', '1 h 01 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"
