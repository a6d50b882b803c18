"""Is there room for more? Free space where outputs go, and pauses after a disk refused."""

from __future__ import annotations

import errno
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterable

from ..errors import Unwritable

log = logging.getLogger(__name__)

_EVERY = 1.0  # s between looks at the disk
_PAUSE = 30.0  # s before something is begun again after a disk refused, though there seems to be space
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS))


def free_bytes(folder: str) -> int:
    """Free space of the disk that a folder is on, or will be."""
    while not os.path.isdir(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    return shutil.disk_usage(folder).free


def refused(error: BaseException | None) -> bool:
    """Whether an error is what a disk says to all writers: no fault of a recording."""
    seen = 0
    while error is not None and seen < 8:
        if isinstance(error, Unwritable) or (isinstance(error, OSError) and error.errno in _FULL):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


class Room:
    """Says whether to begin something; each change is logged once."""

    def __init__(self, least: float, free: Callable[[str], int] = free_bytes) -> None:
        self.least, self._free = least, free
        self._folders: dict[str, None] = {}
        self._looked, self._until, self.why = -math.inf, -math.inf, ""

    def use(self, paths: Iterable[str]) -> None:
        """These outputs are going to be written."""
        for folder in map(os.path.dirname, paths):
            if folder not in self._folders:
                self._folders[folder], self._looked = None, -math.inf

    def refuse(self, why: str, now: float) -> None:
        """A disk refused: begin nothing for a while."""
        self._until = now + _PAUSE
        self._pause(f"the disk refuses ({why})")

    def enough(self, now: float) -> bool:
        """Whether there is room now."""
        if now < self._until:
            return False
        if now - self._looked < _EVERY:
            return not self.why
        self._looked = now
        for folder in self._folders:
            try:
                free = self._free(folder)
            except OSError as error:
                self._pause(f"{folder} cannot be looked at ({error})")
                return False
            if free < self.least:
                self._pause(f"{free / 1e9:.3g} GB are free for {folder}, {self.least / 1e9:.3g} GB should be")
                return False
        if self.why:
            log.warning("going on: there is room again")
            self.why = ""
        return True

    def _pause(self, why: str) -> None:
        if not self.why:
            log.warning("nothing is begun until there is room: %s", why)
        self.why = why
