"""Units that are calls of one function, and a worker that gives all its threads to one of them at a time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import dask
from dask._task_spec import Task
from dask.threaded import get as threaded_get

from .policy import Unit

_one = threading.Lock()


class Calls:
    """Units as tasks: each calls the function with the arguments of its own.

    >>> graph, keys = Calls(pow, {"a": (2, 3), "b": (3, 2)}, name="power").graph(["b", "a"])
    >>> [graph[key]() for key in keys]
    [9, 8]
    """

    def __init__(self, function: Callable[..., Any], arguments: Mapping[Unit, Sequence[Any]], *, name: str) -> None:
        self.function, self.arguments, self.name = function, arguments, name

    def graph(self, units: Sequence[Unit]) -> tuple[dict[Any, Task], list[Any]]:
        """A task for each unit; its value is what the function returns."""
        name = f"{self.name}-{uuid4().hex}"  # not a function of its input: what was made may have to be made again
        keys = [(name, unit) for unit in units]
        arguments = [self.arguments[unit] for unit in units]
        return {k: Task(k, self.function, *given) for k, given in zip(keys, arguments, strict=True)}, keys


@contextmanager
def whole_worker() -> Iterator[None]:
    """Inside of a unit that drives units itself: they run on as many threads as this worker has.

    Other units of this process wait meanwhile: Dask's configuration is that of the process, and memory is for one.
    """
    with _one, dask.config.set(scheduler=threaded_get, num_workers=_threads()):
        yield


def _threads() -> int:
    """Threads of the worker that this runs on, 1 elsewhere."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return 1
    try:
        return int(distributed.get_worker().state.nthreads)
    except ValueError:  # no worker
        return 1
