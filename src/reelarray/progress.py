"""A progress line on a terminal, and now and then a line in a log."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

TERMINAL_EVERY, LOG_EVERY, RECORD_EVERY = 0.1, 10.0, 2.0


def say(text: str, stream: TextIO | None) -> None:
    """Write text to a stream, if there is one; work whose words nobody reads any more goes on in silence.

    >>> say("made\\n", sys.stdout)
    made
    >>> say("made\\n", None)
    """
    if stream is None or stream.closed:
        return
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        silence(stream)
    except OSError:  # a log on a full disk, which may have space again later
        pass


def silence(stream: TextIO) -> None:
    """Send what is written to a stream, and what waits in it, to nowhere: the interpreter flushes it at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class Progress:
    """Callable with (done, total[, failed]): draws a bar, rate and time left; a plain line every ten seconds elsewhere.

    `record` is a file that says the same as JSON, for who asks from elsewhere.
    """

    def __init__(self, what: str, stream: TextIO | None = None, *, record: Path | None = None) -> None:
        self.what, self.stream, self.record = what, sys.stderr if stream is None else stream, record
        self.terminal = self.stream is not None and not self.stream.closed and self.stream.isatty()
        self.begun = self.shown = time.monotonic()
        self.recorded = -RECORD_EVERY
        self.first: int | None = None
        self.drawn, self.beside = False, ""

    def say_beside(self, words: str) -> None:
        """A few words that stand behind the numbers, such as how many workers there are."""
        self.beside = words

    def __call__(self, done: int, total: int, failed: int = 0) -> None:
        now = time.monotonic()
        if self.first is None:
            self.first, self.begun = done, now
        made = done - self.first
        rate = made / (now - self.begun) if made and now > self.begun else math.nan  # per second
        self._note(now, done, total, failed, rate)
        every = TERMINAL_EVERY if self.terminal else LOG_EVERY
        if now - self.shown < every and not (self.terminal and done == total):
            return
        self.shown = now
        words = [f"{self.what} {done}/{total}", f"{failed} failed" if failed else ""]
        if made and done < total:
            words += [per_time(rate), f"{span((total - done - failed) / rate)} left"]
        text = ", ".join(word for word in (*words, self.beside) if word)
        if self.terminal:
            filled = round(24 * done / max(total, 1))
            say(f"\r\x1b[K[{'#' * filled}{'.' * (24 - filled)}] {text}", self.stream)
        else:
            say(text + "\n", self.stream)
        self.drawn = True

    def _note(self, now: float, done: int, total: int, failed: int, rate: float) -> None:
        if self.record is None or (now - self.recorded < RECORD_EVERY and done + failed < total):
            return
        self.recorded = now
        known: dict[str, Any] = {"done": done, "failed": failed, "total": total, "rate": None, "seconds_left": None}
        if rate == rate:
            known["rate"], known["seconds_left"] = round(rate, 4), round((total - done - failed) / rate)
        with suppress(OSError):  # no reason to end a run
            temporary = self.record.with_name(f".{self.record.name}.new")
            temporary.write_text(json.dumps(known | {"what": self.what, "updated": round(time.time())}))
            os.replace(temporary, self.record)

    def close(self) -> None:
        """End the line."""
        if self.terminal and self.drawn:
            say("\n", self.stream)


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


def per_time(rate: float) -> str:
    """Units a second in few words.

    >>> per_time(12.34), per_time(0.2), per_time(0.001)
    ('12.3/s', '12/min', '3.6/h')
    """
    for seconds, word in ((1, "s"), (60, "min")):
        if rate * seconds >= 1:
            return f"{rate * seconds:.3g}/{word}"
    return f"{rate * 3600:.2g}/h"
