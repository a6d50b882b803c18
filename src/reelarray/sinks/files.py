"""Files that are there whole or not at all: a temporary file, synced, then one rename."""

from __future__ import annotations

import asyncio
import errno
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from zarr.storage import LocalStore

from ..errors import Unwritable
from . import faults

# What a disk or its owner says to all writers alike; a folder that is gone was taken away.
_REFUSED = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EACCES, errno.EPERM, errno.ENOENT}


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """What a disk or its owner refuses to all writers becomes `Unwritable`; other errors may pass."""
    try:
        yield
    except Unwritable:
        raise
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        told = Unwritable(f"{path} cannot be written: {error}")
        told.errno = error.errno
        raise told from error


def write_whole(path: Path, data: Any, temporary: Path) -> None:
    """Bytes to a file in one step; they are on the disk when this returns, under their name after `sync_folder`.

    Raises
    ------
    OSError : as the system reports it, such as no space left; the temporary file is then gone
    """
    faults.checkpoint(f"before writing {path.name}")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        faults.checkpoint(f"before renaming {path.name}")
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    faults.checkpoint(f"after renaming {path.name}")


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable, where the system lets folders be synced."""
    with suppress(OSError):  # Windows opens no folders, some network file systems sync none
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class AtomicStore(LocalStore):
    """Zarr's local store, each key written whole, through a folder of temporary files that belongs to one run.

    A run that lost its folder (it was ended, and the next one tidied up) cannot change the store any more.
    """

    def __init__(self, root: Path | str, *, temporary: Path, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self.temporary = temporary
        self.sizes: dict[str, tuple[int, int]] = {}  # bytes and their CRC-32, by key

    def with_read_only(self, read_only: bool = False) -> AtomicStore:
        return type(self)(self.root, temporary=self.temporary, read_only=read_only)

    def _put(self, key: str, value: Any) -> None:
        data = memoryview(value.as_numpy_array()).cast("B") if len(value) else b""
        path = self.root / key
        if path.name == "zarr.json":  # chunks go into folders that are there, or the store was taken away
            path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data, self.temporary / f"{path.name}.{uuid4().hex}")
        self.sizes[key] = len(value), zlib.crc32(data)

    def set_sync(self, key: str, value: Any) -> None:
        self._put(key, value)

    async def set(self, key: str, value: Any) -> None:
        await asyncio.to_thread(self._put, key, value)

    async def set_if_not_exists(self, key: str, value: Any) -> None:
        if not await self.exists(key):
            await self.set(key, value)
