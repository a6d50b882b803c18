"""Signals that ask a service to stop: the first lets recordings in process end, the second does not."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..driving import Stop

log = logging.getLogger(__name__)

SIGNALS = ("SIGINT", "SIGTERM")


class Asked:
    """How a service was asked to stop: the number of the second signal, if there was one."""

    def __init__(self) -> None:
        self.twice: int | None = None

    @property
    def exit_code(self) -> int:
        """What a process ends with: 0 after one signal, 128 and the signal's number after two."""
        return 0 if self.twice is None else 128 + self.twice


@contextmanager
def signals(stop: Stop, grace: float, ring: Callable[[], None]) -> Iterator[Asked]:
    """SIGINT and SIGTERM ask to stop while this lasts; a third ends the process as it always does.

    Elsewhere than in the main thread, where no signals arrive, it does nothing.
    """
    asked, before = Asked(), dict[int, Any]()

    def ask(number: int, frame: object) -> None:
        if stop.asked is None:
            stop.ask(signal.Signals(number).name, grace=grace)
        else:
            asked.twice = number
            stop.at_once()
            for each in before:
                signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)
        ring()

    try:
        for name in SIGNALS:
            number = getattr(signal, name)
            before[number] = signal.signal(number, ask)
    except ValueError:
        pass
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
