"""The one door: units go to threads, or to the cluster of the active client."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from dask.base import get_scheduler
from dask.threaded import get as threaded_get

from .judge import Judge
from .local import on_scheduler, on_threads
from .policy import Done, Failure, Policy, Tasks
from .stop import Stop


def drive(
    tasks: Tasks,
    todo: Sequence[Any],
    *,
    done: Callable[[Sequence[Done]], None],
    failed: Callable[[Failure], None],
    policy: Policy,
    stop: Stop | None = None,
    client: Any = None,
    beat: Callable[[], None] = lambda: None,
) -> bool:
    """Run units, a bounded number at a time, with the scheduler in use.

    Their number does not show in the memory of this process, nor in that of a scheduler. `done`, `failed` and `beat`
    are called here, in this thread; `beat` at least every second or two, also while nothing happens (with threads and
    clusters; other schedulers call it after each task).

    Parameters
    ----------
    tasks, todo : what can be done, and what is to be
    done : called with units that are done, before they are forgotten
    failed : called with each unit that failed for good
    policy : what counts as that
    stop : asked before each unit; after a stop units in flight have some time, and are then cancelled
    client : a `distributed.Client`; unless given, the scheduler in use
    beat : for progress, a look at the outside; what it raises ends the run

    Returns
    -------
    bool : True when all units were tried, False when stopped before

    Raises
    ------
    GaveUp : too many failures in a row; the first is its cause
    Unwritable : the output cannot be written, which is no unit's fault
    Exception : the first, with ``on_error="raise"``
    """
    judge = Judge(policy, done, failed)
    stop = Stop(environ={}) if stop is None else stop
    get = threaded_get
    if client is None:
        get = get_scheduler() or threaded_get
        client = _client_of(get)
    if client is not None:
        from .client import on_client

        return on_client(client, tasks, todo, judge, stop, beat)
    if policy.time_limit is not None:
        raise ValueError(
            f"time_limit={policy.time_limit} was given, and units run in threads, which nothing can end: use worker "
            "processes, such as ra.cluster('local')"
        )
    if get is threaded_get:
        return on_threads(tasks, todo, judge, stop, beat)
    return on_scheduler(get, tasks, todo, judge, stop, beat)


def _client_of(get: Any) -> Any:
    client, distributed = getattr(get, "__self__", None), sys.modules.get("distributed")
    return client if distributed is not None and isinstance(client, distributed.Client) else None
