"""What the system says of changes in folders, and which file systems say nothing."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from queue import Empty, SimpleQueue

log = logging.getLogger(__name__)

# File systems that other machines write to, or that a program plays: no events for what happens elsewhere.
_REMOTE = {"nfs", "nfs4", "cifs", "smb", "smb3", "smbfs", "afs", "9p", "virtiofs", "vboxsf"} | {
    *("ceph", "glusterfs", "lustre", "gpfs", "beegfs", "orangefs")
}
_DEBOUNCE = 100  # ms in which changes are gathered
_TICK = 250  # ms after which the observer says that it is there
_BEGUN = 10.0  # s in which it has to
_MOUNTS = Path("/proc/mounts")


def remote_kind(folder: str, mounts: Path = _MOUNTS) -> str | None:
    """The kind of a file system that is no local disk; None where it is one, or nobody knows."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    path, best, kind = os.path.realpath(folder), "", None
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[1])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # of two at one point the later lies on top
            best, kind = point, fields[2]
    return kind if kind is not None and (kind in _REMOTE or kind.split(".")[0] == "fuse") else None


class Events:
    """What the system says of changes: paths that are worth a look, each once, however often they changed.

    `ring` is called from its thread when there is something. An observer that ends says why in `trouble`.
    """

    def __init__(self, folders: Iterable[str], recursive: bool, ring: Callable[[], None]) -> None:
        self.folders, self.recursive, self._ring = tuple(folders), recursive, ring
        self.trouble = ""
        self._changed: SimpleQueue[str] = SimpleQueue()
        self._end, self._begun = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._observe, name="reel-events", daemon=True)

    def start(self) -> bool:
        """Begin to observe; whether changes are seen from now on."""
        self._thread.start()
        self._begun.wait(_BEGUN)
        if not self._begun.is_set():
            self.trouble = self.trouble or f"it had not begun after {_BEGUN:g} s"
        return not self.trouble

    def drain(self) -> set[str]:
        """Paths that changed since the last time."""
        found: set[str] = set()
        try:
            while True:
                found.add(self._changed.get_nowait())
        except Empty:
            return found

    def stop(self) -> None:
        """End the thread."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(2 * _TICK / 1000)

    def _observe(self) -> None:
        try:
            from watchfiles import watch

            changes = watch(
                *self.folders,
                watch_filter=None,
                debounce=_DEBOUNCE,
                step=20,
                stop_event=self._end,
                rust_timeout=_TICK,
                yield_on_timeout=True,
                raise_interrupt=False,
                recursive=self.recursive,
                ignore_permission_denied=True,
            )
            for batch in changes:  # an empty one says that it observes
                self._begun.set()
                for _, path in batch:
                    self._changed.put(path)
                if batch:
                    self._ring()
        except Exception as error:
            self.trouble = f"{type(error).__name__}: {error}"
            if not isinstance(error, ImportError):
                log.warning("events of %s ended", ", ".join(self.folders), exc_info=True)
        finally:
            if not self._end.is_set() and not self.trouble:
                self.trouble = "the observer ended"
            self._begun.set()
            self._ring()
