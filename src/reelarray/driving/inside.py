"""Inside of a unit: what it computes with Dask goes on in its own thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
from dask.local import get_sync

_lock = threading.Lock()
_inside = 0
_set: Any = None


@contextmanager
def synchronous() -> Iterator[None]:
    """Dask's synchronous scheduler for the time of a block: a task that sends tasks may wait for ever.

    Dask's configuration is that of the process: units of several threads share the setting, and the last to leave
    takes it back. The scheduler is given itself: for its name Dask would import distributed, 20 MB of it.

    >>> with synchronous():
    ...     dask.config.get("scheduler") is get_sync
    True
    >>> dask.config.get("scheduler", None)
    """
    global _inside, _set
    with _lock:
        _inside += 1
        if _inside == 1:
            _set = dask.config.set(scheduler=get_sync)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _set.__exit__(None, None, None)
