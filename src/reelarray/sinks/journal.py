"""What is done, what failed, and how we know: one line a unit, written by the one driver that holds the lease."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from .. import __version__
from ..errors import ReelError
from . import faults
from .files import refusals, sync_folder, write_whole
from .lease import AT_ONCE, Lease, OutputHeld, StoppedWaiting, Wait
from .lease import NAME as LEASE

__all__ = ["FOLDER", "Journal", "OutputExists", "OutputHeld", "StoppedWaiting", "Wait", "read_header", "read_records"]

FORMAT = 2
FOLDER = ".reelarray"
HEADER = "output.json"
DONE = "done"

Record = dict[str, Any]


class OutputExists(ReelError, FileExistsError):
    """The output is there and is not what would be written: not ours, or of other parameters or inputs."""


class Journal:
    """The journal of one output, held by this process: nobody else can write it until `close`, or the process's end.

    `output.json` says what the output is. Each driver appends to a file of its own below `done`, one JSON line for a
    unit that is in place, ``{"done": unit, "of": fingerprint, ...}``, or that failed for good, ``{"failed": unit,
    "of": ..., "type": ..., "message": ...}``; its first line says who it is. A line that the end of a process tore
    does not count; its unit is made again, with the same bytes.
    """

    def __init__(self, folder: Path, lease: Lease, header: dict[str, Any], records: list[Record]) -> None:
        self.folder, self.lease, self.header, self.records = folder, lease, header, records
        self._file: BinaryIO | None = None
        self._end = 0

    @classmethod
    def hold(cls, folder: Path, what: Path, *, wait: Wait = AT_ONCE) -> Journal:
        """Take hold of a folder, whether it has a journal already or will get one.

        Raises
        ------
        OutputHeld : another process holds it
        OutputExists : what is there is no journal that this version can read
        """
        lease = Lease.acquire(folder / LEASE, what, wait=wait)
        try:
            for leftover in folder.glob(f".{HEADER}-*"):  # of a driver that was killed
                leftover.unlink()
            header = read_header(folder)
            return cls(folder, lease, header, read_records(folder))
        except BaseException:
            lease.release()
            raise

    @property
    def drivers(self) -> tuple[Record, ...]:
        """The drivers that worked on the output before this one: host, pid, job, and when each began."""
        return tuple(record for record in self.records if "driver" in record)

    def begin(self, header: Mapping[str, Any]) -> None:
        """Say what the output is, in place of what was said before."""
        self.header = {"format": FORMAT, **header}
        data = json.dumps(self.header, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace")
        write_whole(self.folder / HEADER, data, self.folder / f".{HEADER}-{self.lease.token}")
        sync_folder(self.folder)

    def note(self, records: Iterable[Record]) -> None:
        """Append lines, and have them on their way to the disk."""
        lines = b"".join(_line(record) for record in records)
        faults.checkpoint("before marking")
        self.lease.check()
        file = self._open()
        try:
            file.seek(self._end)
            if (file.write(lines) or 0) < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file.name))
        except BaseException:
            with suppress(OSError):  # a full disk may have taken half a line
                file.truncate(self._end)
            raise
        self._end += len(lines)
        faults.checkpoint("after marking")

    def compact(self, records: Iterable[Record]) -> None:
        """Put these lines in place of all that are there; before the first `note`.

        Ended at any moment, the old lines, the new ones, or both are there; of two of one unit the new one is later.
        """
        if self._file is not None:
            raise RuntimeError("lines were noted already: compact a journal before the first note")
        self.lease.check()
        folder = self.folder / DONE
        folder.mkdir(exist_ok=True)
        for leftover in folder.glob(".compact-*"):  # of a driver that was killed
            leftover.unlink()
        before = sorted(folder.glob("*.jsonl"))
        path = self._next_path()
        write_whole(path, b"".join(_line(record) for record in records), folder / f".compact-{self.lease.token}")
        for old in before:
            faults.checkpoint("before removing compacted lines")
            old.unlink()
        sync_folder(folder)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for the temporary files of this run, without those that killed ones left behind.

        It goes at the end, and with it every straggler's way to write: files get their names from there.
        """
        with refusals(self.folder.parent):
            _remove_runs(self.folder)
            folder = self.folder / f"run-{uuid4().hex}"
            folder.mkdir()
        try:
            yield folder
        finally:
            with suppress(OSError):  # a disk that refuses this has refused more; the next run removes it
                _remove_runs(self.folder)

    def sync(self) -> None:
        """Make the lines durable."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go."""
        if self._file is not None:
            self._file.close()
        self.lease.release()

    def moved(self, folder: Path) -> None:
        """The output has a new name."""
        self.folder = folder
        self.lease.moved(folder / LEASE)

    def _open(self) -> BinaryIO:
        if self._file is None:
            folder = self.folder / DONE
            folder.mkdir(exist_ok=True)
            self._file = open(self._next_path(), "xb", buffering=0)  # noqa: SIM115
            first = _line(
                {
                    "driver": self.lease.token,
                    **self.lease.holder,
                    "version": __version__,
                    "began": round(time.time(), 3),
                }
            )
            self._file.write(first)
            self._end = len(first)
            sync_folder(folder)
        return self._file

    def _next_path(self) -> Path:
        """Of a file of lines, after all that are there."""
        folder = self.folder / DONE
        number = 1 + max((int(p.name[:6]) for p in folder.glob("[0-9]" * 6 + "-*.jsonl")), default=0)
        return folder / f"{number:06}-{self.lease.token}.jsonl"


def _remove_runs(folder: Path) -> None:
    for run in folder.glob("run-*"):
        run.rename(run.with_name(f"dead-{run.name[4:]}"))  # who still knows the old name finds nothing there
    for dead in folder.glob("dead-*"):
        faults.checkpoint("before removing temporary files")
        shutil.rmtree(dead)


def read_header(folder: Path) -> dict[str, Any]:
    """What an output is; nothing where there is none.

    Raises
    ------
    OutputExists : damaged, or of a newer version
    """
    path = folder / HEADER
    try:
        header = json.loads(path.read_bytes())
        found = header["format"]
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError):
        raise OutputExists(f"{path} is damaged: what the output is is not known; overwrite=True replaces it") from None
    if found != FORMAT:
        raise OutputExists(
            f"{path} has format {found}, {FORMAT} was expected: another version of reelarray wrote it; use that, or "
            "overwrite=True to replace the output"
        )
    return dict(header)


def read_records(folder: Path) -> list[Record]:
    """All whole lines of all drivers, those of the first driver first; lines that are damaged do not count."""
    found: list[Record] = []
    for path in sorted((folder / DONE).glob("*.jsonl")):
        data = path.read_bytes()
        found += _entries(data[: data.rfind(b"\n") + 1].splitlines())
    return found


def failures(records: Iterable[Record]) -> dict[Hashable, Record]:
    """The last failure of each unit, by the unit and the fingerprint that it failed with."""
    found: dict[Hashable, Record] = {}
    for record in records:
        if "failed" in record:
            unit = record["failed"]
            found[tuple(unit) if isinstance(unit, list) else unit, record.get("of")] = record
    return found


def _entries(lines: list[bytes]) -> Iterator[Record]:
    try:
        found = json.loads(b"[" + b",".join(lines) + b"]")  # one call for all: half the time of one call each
    except ValueError:
        found = []
        for line in lines:
            with suppress(ValueError):
                found.append(json.loads(line))
    return (entry for entry in found if isinstance(entry, dict))


def _line(record: Record) -> bytes:
    """One line of JSON; a name that is no text is written as its escapes, and reads back as it was."""
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
