"""What is driven, what came of it, and how failures are treated."""

from __future__ import annotations

import socket
import traceback
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ..errors import ReelError

Unit = Hashable
# Who works: gives a `distributed.Client`, or None for the scheduler in use, and what to call now and then to see that
# all is well with them. Workers are asked for when there is something to do, and may go afterwards.
Workers = Callable[[], AbstractContextManager[tuple[Any, Callable[[], None]]]]


@contextmanager
def in_use() -> Iterator[tuple[Any, Callable[[], None]]]:
    """The scheduler in use: threads, or the cluster of the active client."""
    yield None, lambda: None


class Tasks(Protocol):
    """Units of work as Dask tasks."""

    def graph(self, units: Sequence[Any]) -> tuple[Mapping[Any, Any], Sequence[Any]]:
        """(a graph, its keys: one for each unit, whose value is small)."""


@dataclass(frozen=True)
class Policy:
    """How failures are treated.

    Parameters
    ----------
    retries : how often a unit is tried again after an input/output error; others come again, and are not retried
    time_limit : seconds that a unit may take, after which its worker is restarted; needs worker processes
    most_failures : so many failures in a row stop the run: what is broken is common to all
    on_error : "note" a failure and go on, or "raise" the first
    """

    retries: int = 1
    time_limit: float | None = None
    most_failures: int = 20
    on_error: Literal["note", "raise"] = "note"


@dataclass(frozen=True)
class Done:
    """A unit that is done: the value of its task, and the seconds that it took (NaN where not known)."""

    unit: Any
    value: Any
    seconds: float


@dataclass(frozen=True)
class Failure:
    """A unit that failed for good.

    `kind` is "raised", "killed" (its worker died of it, also when it ran alone) or "timed out".
    """

    unit: Any
    kind: Literal["raised", "killed", "timed out"]
    type: str
    message: str
    traceback: str = ""
    worker: str = ""
    attempts: int = 1
    seconds: float = float("nan")
    path: str | None = None
    error: BaseException | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, unit: Any, error: BaseException, **facts: Any) -> Failure:
        """The failure that an exception is; `path` is the file that it names."""
        trace = facts.pop("traceback", None) or error.__traceback__
        text = _writable("".join(traceback.format_exception(type(error), error, trace)))
        path = getattr(error, "path", None) or getattr(error, "filename", None)
        facts.setdefault("worker", socket.gethostname())
        return cls(
            unit,
            facts.pop("kind", "raised"),
            type(error).__name__,
            _said(error) or type(error).__name__,
            text,
            path=None if path is None else str(path),
            error=error,
            **facts,
        )


def _said(error: BaseException) -> str:
    """What an exception says, in one line that can be written; saying it may fail itself."""
    try:
        return _writable(" ".join(str(error).split()))
    except Exception:
        return ""


def _writable(text: str) -> str:
    """With escapes in place of what is no text, such as a byte of a file's name that nobody could decode."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def may_pass(error: BaseException) -> bool:
    """Whether trying again may help: what a disk or a network says, but not what a file is."""
    return isinstance(error, OSError) and not isinstance(error, ReelError)
