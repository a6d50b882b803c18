"""What is done and what failed: the journal, and what it says of a file that is looked at."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ..driving import Failure
from ..errors import Unwritable
from ..sinks.files import refusals
from ..sinks.journal import AT_ONCE, Journal, OutputHeld, Record, Wait
from .outputs import Output, content, sound, sweep, there
from .unit import Found, Made

log = logging.getLogger(__name__)

_SYNC_EVERY = 5.0  # s of lines that may be lost to a power failure: their recordings would be processed again
_STALE = 4  # lines for each that counts, above which a journal is made smaller at the start
_OF = 32  # characters


@dataclass
class Entry:
    """What became of a recording, last: "done" or "failed"."""

    state: str
    of: str
    bytes: int
    modified_ns: int
    analyser: str
    time: float
    outputs: tuple[Output, ...] = ()
    content: str | None = None
    error: str = ""
    attempts: int = 0
    next_try: float | None = None  # Unix seconds
    partial: bool = False
    notes: Mapping[str, Any] = field(default_factory=dict)


class State:
    """The journal of a service, held by it.

    Parameters
    ----------
    folder : of the journal
    fingerprint : of the process
    now : Unix seconds
    wait : for another service that holds it

    Raises
    ------
    OutputHeld : another service holds it
    """

    def __init__(self, folder: Path, fingerprint: str, now: float, *, wait: Wait = AT_ONCE) -> None:
        self.folder, self.fingerprint = Path(os.path.abspath(folder)), fingerprint
        with refusals(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._journal = Journal.hold(folder, folder, wait=wait)
        self._entries: dict[str, Entry] = {}
        self._by_file: dict[tuple[int, int], str] = {}
        self._owner: dict[str, str] = {}
        self._failed: dict[str, None] = {}
        self._folders: dict[str, str] = {}
        self._synced, self._dirty, self._closed = now, False, False
        self.analysers: dict[str, str] = {}
        self.counts: dict[str, Counter[str]] = {}
        try:
            self._load()
        except BaseException:
            self._journal.close()
            raise

    # ---- what is known -----------------------------------------------------------------------------------------------

    def of(self, size: int, modified_ns: int) -> str:
        """What the outputs of a recording depend on, besides its name."""
        return hashlib.sha256(f"{self.fingerprint}|{size}|{modified_ns}".encode()).hexdigest()[:_OF]

    def find(self, unit: str, size: int, modified_ns: int) -> Entry | None:
        """What became of a recording as it is now; nothing where it changed, or the settings did."""
        found = self._entries.get(unit)
        if found is None or (found.bytes, found.modified_ns) != (size, modified_ns):
            return None
        return found if found.of == self.of(size, modified_ns) else None

    def items(self) -> Iterator[tuple[str, Entry]]:
        """What became of recordings with the present settings, in the order in which it did."""
        return ((unit, each) for unit, each in self._entries.items() if self._counts(each))

    def failures(self) -> list[tuple[str, Entry]]:
        """Recordings that failed, in that order."""
        return [(unit, self._entries[unit]) for unit in self._failed]

    def owner(self, target: str) -> str | None:
        """The recording that an output was made of, if it is known."""
        return self._owner.get(target)

    def was(self, unit: str, found: Found) -> bool:
        """Whether a unit was a file of this size and time: the same recording, by another name."""
        entry = self._entries.get(unit)
        return entry is not None and (entry.bytes, entry.modified_ns) == (found.bytes, found.modified_ns)

    def renamed(self, found: Found, path_of: Any) -> str | None:
        """The unit of which a recording is the same file under another name: it went, its content is here."""
        unit = self._by_file.get((found.bytes, found.modified_ns))
        before = self._entries.get(unit) if unit is not None else None
        if unit is None or before is None or before.state != "done" or before.content is None:
            return None
        if before.of != self.of(found.bytes, found.modified_ns) or os.path.lexists(path_of(unit)):
            return None
        with suppress(OSError):
            if content(found.path) == before.content:
                return unit
        return None

    # ---- what happens ------------------------------------------------------------------------------------------------

    def name(self, names: Mapping[str, str]) -> None:
        """Note the names of analysers that are new."""
        new = {folder: name for folder, name in names.items() if self.analysers.get(folder) != name}
        if new:
            self._note([{"analyser": name, "folder": folder} for folder, name in new.items()])
            self.analysers |= new

    def planned(self, unit: str, found: Found, targets: Sequence[str]) -> None:
        """A recording is about to be processed: from now on its outputs are being replaced."""
        for target in targets:
            self._owner[target] = unit
        self._note([{"planned": unit} | self._key(found) | {"targets": [self._shorter(each) for each in targets]}])

    def done(self, unit: str, found: Found, made: Made, *, seconds: float, now: float, more: Mapping[str, Any]) -> None:
        """It is processed; `more` is what was noted of its outputs, with their sizes and checksums."""
        record = {
            "done": unit,
            **self._key(found),
            "outputs": [[self._shorter(path), size, crc] for path, size, crc in more["outputs"]],
            "content": more.get("content"),
            "samples": made.samples,
            "length": made.seconds,
            "seconds": round(seconds, 3),
            "partial": made.partial or found.partial,
            "notes": dict(made.notes),
            "t": round(now, 3),
            **({"origin": more["origin"]} if "origin" in more else {}),
        }
        self._note([record])
        self._put(unit, self._entry(record))

    def takes_over(self, unit: str, found: Found, before: str, now: float) -> None:
        """A recording has a new name: what was made under the old one is its own."""
        old = self._entries[before]
        outputs = [(each.path, each.bytes, each.crc) for each in old.outputs]
        made = Made(tuple(each.path for each in old.outputs), 0, 0.0, old.partial, old.notes)
        more = {"outputs": outputs, "content": old.content, "origin": f"renamed from {before}"}
        self._drop(before)
        self._note([{"forgotten": before}])
        self.done(unit, found, made, seconds=0.0, now=now, more=more)

    def failed(
        self, unit: str, found: Found, failure: Failure, attempts: int, next_try: float | None, now: float
    ) -> None:
        """It failed; `next_try` where it is tried again without being asked."""
        record = {
            "failed": unit,
            **self._key(found),
            **{name: getattr(failure, name) for name in ("kind", "type", "message", "traceback", "worker", "path")},
            "attempts": attempts,
            "next_try": next_try,
            "t": round(now, 3),
        }
        self._note([record], sync=True)
        self._put(unit, self._entry(record))

    def forget(self, unit: str) -> None:
        """There is no such recording any more, or it is to be processed again."""
        if unit in self._entries:
            self._drop(unit)
            self._note([{"forgotten": unit}])

    def tick(self, now: float) -> None:
        """Make lines durable, now and then."""
        self._journal.lease.check()
        if self._dirty and now - self._synced > _SYNC_EVERY:
            self._synced, self._dirty = now, False
            with suppress(OSError):  # a disk that cannot says so to the next line
                self._journal.sync()

    @property
    def imported(self) -> bool:
        """Whether a list of another program was taken over."""
        return bool(self._journal.header.get("imported"))

    @imported.setter
    def imported(self, value: bool) -> None:
        if value != self.imported:
            self._journal.begin({**self._journal.header, "imported": value})

    def close(self) -> None:
        """Let go; once more does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            with suppress(OSError):
                self._journal.sync()
        finally:
            self._journal.close()

    # ---- the start ---------------------------------------------------------------------------------------------------

    def begin(self, header: Mapping[str, Any], *, verify: bool, path_of: Any) -> int:
        """Look at what the journal says is done; returns how many recordings have to be processed again for it.

        Outputs that are not there, or not of the size that they had, are made again, with `verify` also those whose
        content changed. Failures of files that are gone are forgotten.
        """
        self._journal.begin({**header, "imported": self.imported})
        missing = there(each.outputs for each in self._entries.values() if each.state == "done")
        lost = []
        for unit, entry in list(self._entries.items()):
            if entry.state == "failed":
                if not os.path.lexists(path_of(unit)):
                    self._drop(unit)
            elif any(each.path in missing or (verify and not sound(each)) for each in entry.outputs):
                lost.append(unit)
        for unit in lost:
            log.info("%s: outputs are gone or changed; they are made again", unit)
            self.forget(unit)
        return len(lost)

    def again(self, *, retry_failed: bool, redo: Collection[str], now: float) -> None:
        """A new start gives failures a fresh series of tries; what matches a pattern of `redo` is made again."""
        for unit, entry in list(self._entries.items()):
            if any(fnmatch(unit, pattern) or fnmatch(os.path.basename(unit), pattern) for pattern in redo):
                self.forget(unit)
            elif entry.state == "failed":
                entry.attempts = 0
                entry.next_try = now if retry_failed or entry.next_try is None else max(now, entry.next_try)

    def _load(self) -> None:
        records = self._journal.records
        last: dict[str, Record] = {}
        targets: set[str] = set()
        lines = 0
        for record in records:
            lines += 1
            targets.update(record.get("targets", ()))
            if "analyser" in record and "folder" in record:
                self.analysers[record["folder"]] = record["analyser"]
                continue
            for key in ("done", "failed", "planned", "forgotten"):
                if isinstance(unit := record.get(key), str):
                    last.pop(unit, None)  # the order is that of the last lines
                    last[unit] = record
        sweep(map(self._longer, targets))  # of what runs ended with, and of workers that died on the way
        kept: list[Record] = []
        for unit, record in last.items():
            if "done" in record or "failed" in record:
                try:
                    self._put(unit, self._entry(record))
                except (KeyError, TypeError, ValueError, IndexError):
                    log.warning("%s: a damaged line of %s is left out; it is processed again", self.folder, unit)
                    continue
                kept.append(record)
            elif "planned" in record:
                for target in record.get("targets", ()):
                    self._owner[self._longer(target)] = unit
        if lines > _STALE * (len(kept) + 16):
            names = [{"analyser": name, "folder": folder} for folder, name in self.analysers.items()]
            with refusals(self.folder):
                self._journal.compact([*names, *kept])
        self._journal.records = []  # entries hold what counts

    # ---- bookkeeping -------------------------------------------------------------------------------------------------

    def _key(self, found: Found) -> dict[str, Any]:
        return {
            "of": self.of(found.bytes, found.modified_ns),
            "recording": [found.bytes, found.modified_ns],
            "from": found.analyser,
        }

    def _entry(self, record: Record) -> Entry:
        size, modified = record["recording"]
        done = "done" in record
        return Entry(
            state="done" if done else "failed",
            of=record["of"],
            bytes=size,
            modified_ns=modified,
            analyser=record["from"],
            time=record["t"],
            outputs=tuple(Output(self._longer(p), n, crc) for p, n, crc in record["outputs"]) if done else (),
            content=record.get("content"),
            error="" if done else f"{record['type']}: {record['message']}",
            attempts=record.get("attempts", 0),
            next_try=record.get("next_try"),
            partial=bool(record.get("partial")),
            notes=record.get("notes") or {},
        )

    def _counts(self, entry: Entry) -> bool:
        return entry.of == self.of(entry.bytes, entry.modified_ns)

    def _put(self, unit: str, entry: Entry) -> None:
        self._drop(unit)
        self._entries[unit] = entry
        if self._counts(entry):
            self.counts.setdefault(entry.analyser, Counter())[entry.state] += 1
            if entry.state == "failed":
                self._failed[unit] = None
        if entry.state == "done":
            self._by_file[entry.bytes, entry.modified_ns] = unit
            for each in entry.outputs:
                self._owner[each.path] = unit

    def _drop(self, unit: str) -> None:
        entry = self._entries.pop(unit, None)
        if entry is None:
            return
        if self._counts(entry):
            self.counts[entry.analyser][entry.state] -= 1
            self._failed.pop(unit, None)
        if self._by_file.get((entry.bytes, entry.modified_ns)) == unit:
            del self._by_file[entry.bytes, entry.modified_ns]
        for each in entry.outputs:
            if self._owner.get(each.path) == unit:
                del self._owner[each.path]

    def _note(self, records: Sequence[Record], *, sync: bool = False) -> None:
        try:
            self._journal.note(records)
            if sync:
                self._journal.sync()
        except OutputHeld:  # by a service that took this one for dead
            raise
        except OSError as error:
            raise Unwritable(f"{self.folder} cannot be written: {error}") from error
        self._dirty = True

    def _shorter(self, path: str) -> str:
        """From the journal on: all may be moved together."""
        try:
            return os.path.relpath(path, self.folder)
        except ValueError:  # another drive
            return path

    def _longer(self, path: str) -> str:
        folder, name = os.path.split(path)
        if folder not in self._folders:  # of a hundred thousand outputs, one or a few
            self._folders[folder] = os.path.normpath(os.path.join(self.folder, folder))
        return f"{self._folders[folder]}{os.sep}{name}"
