"""Short turns at files that several threads and processes change: one at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_taking = threading.Lock()
_turns: dict[str, threading.Lock] = {}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path` while the block runs: threads of this process, and processes, wait for each other.

    The system gives the lock back when a process ends, however it ends; the file, which is empty, stays. Hosts exclude
    each other where the file system passes locks on (NFS 4 does). Where the system has no such locks only threads wait.

    >>> import tempfile
    >>> with locked(Path(tempfile.mkdtemp(), ".lock")):
    ...     pass
    """
    try:
        import fcntl
    except ImportError:  # Windows
        fcntl = None  # type: ignore[assignment]
    with _taking:
        turn = _turns.setdefault(os.path.realpath(path), threading.Lock())
    with turn:
        if fcntl is None:
            yield
            return
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
