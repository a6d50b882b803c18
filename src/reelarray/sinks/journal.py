"""What is done, and how we know: one line a finished unit, written by one driver under a lock."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import ReelError
from . import faults

try:
    import fcntl
except ImportError:  # Windows: nobody keeps a second writer out
    fcntl = None  # type: ignore[assignment]

FORMAT = 1
FOLDER = ".reelarray"
NAME = "journal.jsonl"

Unit = Sequence[int]  # first and stop of chunks, for each dimension


class OutputHeld(ReelError, BlockingIOError):
    """Another process is writing the output."""


class OutputExists(ReelError, FileExistsError):
    """The output is there and is not what would be written: not ours, or of other parameters or inputs."""


class Journal:
    """The journal of one store, held by this process: nobody else can write it until `close`, or the process's end.

    The first line says what the store holds (`header`), each other line which whole chunks (or shards) are in place:
    ``{"done": [first, stop, ...], "bytes": n}``, a range of chunks for each dimension. A line that the end of a
    process tore is cut off; its chunks are made again, with the same bytes.
    """

    def __init__(self, file: BinaryIO, header: dict[str, Any], units: list[Unit], end: int) -> None:
        self._file, self.header, self.units, self._end = file, header, units, end

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Take hold of a journal and read it.

        Raises
        ------
        OutputHeld : another process holds it
        OutputExists : not a journal that this version can read
        """
        file = hold(path)
        try:
            data = file.read()
            end = data.rfind(b"\n") + 1
            if end < len(data):
                file.truncate(end)
            header, units = read(data[:end], path)
        except BaseException:
            file.close()
            raise
        return cls(file, header, units, end)

    @classmethod
    def create(cls, file: BinaryIO, header: dict[str, Any]) -> Journal:
        """Begin a journal in a file that is held already."""
        line = _line({"format": FORMAT, **header})
        file.seek(0)
        file.truncate()
        file.write(line)
        os.fsync(file.fileno())
        return cls(file, header, [], len(line))

    def mark(self, units: Iterable[tuple[Unit, int]]) -> None:
        """Say that units (their chunks, and the bytes written) are in place."""
        lines = b"".join(_line({"done": unit, "bytes": written}) for unit, written in units)
        faults.checkpoint("before marking")
        try:
            self._file.seek(self._end)
            if (self._file.write(lines) or 0) < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._file.name))
        except BaseException:
            with suppress(OSError):  # a full disk may have taken half a line
                self._file.truncate(self._end)
            raise
        self._end += len(lines)
        faults.checkpoint("after marking")

    def sync(self) -> None:
        """Make the lines durable."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go."""
        self._file.close()


def hold(path: Path, store: Path | None = None) -> BinaryIO:
    """Open a file for reading and writing, unbuffered, that nobody else can hold; the lock ends with the process."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        file = os.fdopen(handle, "r+b", buffering=0)
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return file  # else it was moved between the opening and the lock: look again
            file.close()
        except BlockingIOError:
            file.close()
            raise OutputHeld(
                f"{store or path.parent.parent} is being written by another process: wait for it or end it, then call "
                "again; what it has finished is kept"
            ) from None
        except BaseException:
            file.close()
            raise


def read(data: bytes, path: Path) -> tuple[dict[str, Any], list[Unit]]:
    """(header, finished units) of a journal's whole lines; lines that are damaged do not count."""
    lines = data.splitlines()
    try:
        header = json.loads(lines[0])
        known = header["format"] == FORMAT
    except (ValueError, IndexError, KeyError, TypeError):
        raise OutputExists(
            f"{path} is damaged: what the store holds is not known; overwrite=True replaces it"
        ) from None
    if not known:
        raise OutputExists(
            f"{path} has format {header.get('format')}, {FORMAT} was expected: a newer reelarray wrote it; use that "
            "one, or overwrite=True to replace the store"
        )
    return header, [entry["done"] for entry in _entries(lines[1:])]


def _entries(lines: list[bytes]) -> Iterator[dict[str, Any]]:
    try:
        found = json.loads(b"[" + b",".join(lines) + b"]")  # one call for all: half the time of one call each
    except ValueError:
        found = []
        for line in lines:
            with suppress(ValueError):
                found.append(json.loads(line))
    return (entry for entry in found if isinstance(entry, dict) and "done" in entry)


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":"), sort_keys=True).encode() + b"\n"
