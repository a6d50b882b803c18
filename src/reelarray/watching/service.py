"""The service: looks at files, sends those that are finished to be processed, and notes what came of them."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ..driving import Done, Failure, Flow, Stop
from ..driving.policy import may_pass
from ..errors import Unwritable
from .analysers import Analysers, Units
from .clock import Clock
from .finding import Finder, Gone, Look, Seen, look
from .metrics import Metrics
from .options import Options
from .outputs import sweep
from .owners import Owners, check_whole
from .ready import Queue, Waiting
from .room import Room, refused
from .state import State
from .status import Latest, StatusFile
from .tally import Counts, in_all, tally
from .tracking import Tracking
from .unit import Found, Process
from .work import Worked, work

log = logging.getLogger(__name__)

_LOOKS, _LOOKING = 20_000, 0.25  # looks a step, and s: results and signals do not wait for a folder of a million files
_IDLE = 5.0  # s
_GONE = 60.0  # s between looks for recordings that failed and went
_ONCE_AGAIN = 0.05  # s


@dataclass
class _Running:
    found: Found
    waiting: Waiting
    since: float
    age: float = field(default=math.nan)


class Service:
    """One owner of a journal, at work.

    Parameters
    ----------
    options, process : what is watched, and what is done
    flow : who does it
    state : the journal, held
    once : come to an end when what is there is processed
    verify : read outputs that are there; make again what is not as it was written
    retry_failed : try at once what failed before
    redo : patterns of recordings that are to be processed again
    """

    def __init__(
        self,
        options: Options,
        process: Process,
        flow: Flow,
        state: State,
        *,
        clock: Clock,
        once: bool = False,
        verify: bool = False,
        retry_failed: bool = False,
        redo: Collection[str] = (),
        finder: Finder | None = None,
        room: Room | None = None,
        complete: Callable[[str], bool | None] | None = None,
    ) -> None:
        self.options, self.process, self.flow, self.state = options, process, flow, state
        self.clock, self.once = clock, once
        self._verify, self._retry_failed, self._redo = verify, retry_failed, redo
        self.finder = Finder(options, clock.now, clock.bell.ring, once=once) if finder is None else finder
        self.room = Room(options.min_free_bytes) if room is None else room
        more: dict[str, Any] = {"age": self._age} if once else {}
        if complete is not None:
            more["complete"] = complete
        self.queue = Queue(options, polling=lambda folder: folder in self.finder.polling, look=look, **more)
        self.units = Units(self.finder.folders)
        self.analysers = Analysers(self.finder.folders, options.analysers)
        self.analysers.know(state.analysers)
        self.owners = Owners(process, state, self.units)
        self.latest = Latest(options.page_folder)
        self.status = StatusFile(options, state.folder, clock)
        self.tracking = Tracking.of(options.tracking, clock)
        self.metrics = Metrics(state.folder / "metrics.jsonl")
        self.made = 0
        self._running: dict[str, _Running] = {}
        self._paths: set[str] = set()
        self._suspect: tuple[Found, Waiting] | None = None
        self._stopping, self._asked_for_gone = False, clock.now()

    # ---- from the start to the end -----------------------------------------------------------------------------------

    def run(self, stop: Stop) -> Counts:
        """Go on until asked to stop, or with `once` until what is there is processed."""
        try:
            self.begin()
            while True:
                if stop.look(math.nan) and not self._stopping:
                    self._begin_to_stop(stop)
                self.step()
                if self._stopping and (not self._running or stop.time_left() <= 0):
                    break
                if self.once and self.finished:
                    break
                self.clock.wait(min(self._until_next(), max(0.0, stop.time_left())))
        finally:
            self.end(stopped=stop.asked or "")
        return self.counts(stop.asked or "")

    def begin(self) -> None:
        """Look at what is known, then begin to look for files."""
        for folder in self.finder.folders:
            os.scandir(folder).close()  # an error now is better than silence
        header = {"watch": list(self.finder.folders), "fingerprint": self.process.fingerprint}
        self.state.begin(header, verify=self._verify, path_of=self.units.path)
        self.state.again(retry_failed=self._retry_failed, redo=self._redo, now=self.clock.time())
        for unit, entry in self.state.items():
            if entry.state == "done":
                self.latest.see(entry.analyser, unit, entry.notes, entry.modified_ns, entry.time)
        if self.tracking is not None:
            self.tracking.begin(self.state, self._found_of, self.process)
        self.room.use([str(self.state.folder / "outputs beside it")])
        self.finder.start()
        if self.options.recursive:
            self.analysers.add(self.finder.folders_below())
        self.state.name(self.analysers.names)
        self._write_status(force=True)

    def end(self, stopped: str = "") -> None:
        """Let go of everything; what was being processed is pending again."""
        with suppress(Exception):
            self.finder.stop()
        dropped = self.flow.drop()
        targets: list[str] = []
        for unit in dropped:
            running = self._running.pop(str(unit))
            log.warning("%s was not finished: it is processed again next time", unit)
            targets += self.owners.targets(running.found)
            self._put_back(running.waiting)
        try:
            sweep(targets)
            if self.tracking is not None:
                self.tracking.write(self._done_paths())
            self.status.write(self._status("stopped"), force=True)
        except OSError as error:
            log.warning("at the end: %s", error)
        finally:
            self.metrics.close()
            self.state.close()

    def step(self) -> None:
        """All that is to be done now; waits for nothing."""
        for landed in self.flow.landed():
            self._land(landed)
        if not self._stopping:
            for each in self.finder.looks(_LOOKS, _LOOKING):
                self._look(each)
            self._submit()
            self._forget_gone()
        self.flow.check()
        self.state.tick(self.clock.time())
        if self.tracking is not None:
            self.tracking.tick(self._done_paths)
        self._write_status()

    @property
    def finished(self) -> bool:
        """Whether nothing is left of what was there, but files that still grow."""
        if self._running or self._suspect or not self.finder.listed or self.room.why:
            return False
        if len(self.queue) > self.queue.growing:
            return False
        for path in self.queue.files():
            log.warning(
                "%s is not finished (it is shorter than its header says, or changed in the last %g s): left for the "
                "next time",
                path, self.options.settle_seconds,
            )  # fmt: skip
        return True

    def _begin_to_stop(self, stop: Stop) -> None:
        self._stopping = True
        self.finder.stop()
        grace = f"; {len(self._running)} recordings get {max(0.0, stop.time_left()):.0f} s" if self._running else ""
        log.info("stopping (%s)%s", stop.asked, grace)

    def _until_next(self) -> float:
        if self._stopping:
            return 0.5
        now = self.clock.now()
        next_due = min(self.finder.next_due(), self.queue.next_due() if self._may_send else math.inf)
        idle = _ONCE_AGAIN if self.once and not self._running else _IDLE
        return max(0.0, min(next_due - now, idle, 1.0 if self.room.why else idle))

    @property
    def _may_send(self) -> bool:
        if self.room.why or len(self._running) >= self.flow.places:
            return False
        # What ran beside a recording that kills workers would be blamed for it.
        return not any(each.waiting.suspect for each in self._running.values()) and not (
            self._suspect and self._running
        )

    # ---- files -------------------------------------------------------------------------------------------------------

    def _forget_gone(self) -> None:
        """Recordings that failed, and were removed since, are no failures any more."""
        now = self.clock.now()
        if now - self._asked_for_gone < _GONE:
            return
        self._asked_for_gone = now
        for unit, _ in self.state.failures():
            if not os.path.lexists(self.units.path(unit)):
                self.state.forget(unit)

    def _look(self, seen: Look) -> None:
        if isinstance(seen, Gone):
            if self.queue.forget(seen.path) is not None:
                log.info("%s went before it was finished", seen.path)
            return
        unit = self.units.of(seen.folder, seen.relative)
        running = self._running.get(unit)
        if running is not None and (running.found.bytes, running.found.modified_ns) == (seen.bytes, seen.modified_ns):
            return
        entry = self.state.find(unit, seen.bytes, seen.modified_ns)
        if entry is None:
            if self.state.owner(seen.path) is None:  # else it is what was made of another
                self.queue.add(seen, unit, self._analyser(seen), self.clock.now())
        elif entry.state == "failed" and entry.next_try is not None and seen.path not in self.queue:
            retry_at = self.clock.now() + max(0.0, entry.next_try - self.clock.time())
            self.queue.add(seen, unit, self._analyser(seen), self.clock.now(), retry_at=retry_at)

    def _analyser(self, seen: Seen) -> str:
        folder, known = os.path.dirname(seen.path), len(self.analysers.names)
        name = self.analysers.name(folder)
        if len(self.analysers.names) > known:
            with suppress(Unwritable):  # it is noted with the next one, or at the next start
                self.state.name(self.analysers.names)
        return name

    def _age(self, seen: Seen) -> float:
        return self.clock.time() - seen.modified_ns / 1e9

    def _found_of(self, path: str) -> tuple[str, Found] | None:
        """(unit, file) at a path, if it is one that is watched."""
        for folder in self.finder.folders:
            if path.startswith(folder.rstrip(os.sep) + os.sep):
                seen = look(path, folder)
                if isinstance(seen, Gone):
                    return None
                name = self.analysers.name(os.path.dirname(path))
                found = Found(path, folder, seen.relative, name, seen.bytes, seen.modified_ns)
                return self.units.of(folder, seen.relative), found
        return None

    # ---- processing --------------------------------------------------------------------------------------------------

    def _submit(self) -> None:
        now = self.clock.now()
        while (self._suspect or len(self.queue)) and self.room.enough(now) and self._may_send:
            taken = self._suspect or self.queue.take(now, self._paths.__contains__)
            if taken is None:
                return
            found, waiting = taken
            if waiting.suspect and self._running:
                self._suspect = taken
                return
            self._suspect = None
            try:
                self._send(found, waiting)
            except Unwritable as error:
                self.room.refuse(str(error), now)
                self._put_back(waiting)

    def _send(self, found: Found, waiting: Waiting) -> None:
        unit = waiting.unit
        if (before := self.state.renamed(found, self.units.path)) is not None:
            self.state.takes_over(unit, found, before, self.clock.time())
            log.info("%s was %s before: what was made of it stays", unit, before)
            return
        try:
            check_whole(found, self.options)
            targets = self.process.targets(found)
            for before in self.owners.check(unit, found, targets, self._found_of):
                self._look(look(self.units.path(before), found.folder))
        except Exception as error:  # a file with an odd name does not end the service
            self._fail(unit, found, waiting, Failure.of(unit, error))
            return
        self.room.use(targets)
        self.state.planned(unit, found, targets)
        self._running[unit] = _Running(found, waiting, self.clock.now(), self.clock.time() - found.modified_ns / 1e9)
        self._paths.add(found.path)
        self.flow.submit(unit, work, self.process, found)

    def _land(self, landed: Done | Failure) -> None:
        unit = str(landed.unit)
        running = self._running.pop(unit)
        found = running.found
        self._paths.discard(found.path)
        if isinstance(landed, Failure):
            self._judge(unit, running, landed)
            return
        worked: Worked = landed.value
        now, made = self.clock.time(), worked.made
        more = {"outputs": worked.outputs, "content": worked.content}
        try:
            self.state.done(unit, found, made, seconds=landed.seconds, now=now, more=more)
        except Unwritable as error:  # what was made is made again: the journal is what counts
            self.room.refuse(str(error), self.clock.now())
            self._put_back(running.waiting)
            return
        self.made += 1
        partial = made.partial or found.partial
        self.latest.see(found.analyser, unit, made.notes, found.modified_ns, now)
        self.metrics.note(now, found, running.age, landed.seconds, made.samples, "partial" if partial else "done")
        if self.tracking is not None:
            self.tracking.changed()
        speed = f"{made.samples / landed.seconds:,.3g}" if landed.seconds > 0 else "?"
        log.info(
            "%s%s: %s, %s samples in %.2f s (%s samples/s), %d outputs",
            unit, " is partial" if partial else "", found.analyser, f"{made.samples:,}", landed.seconds, speed,
            len(made.outputs),
        )  # fmt: skip

    def _judge(self, unit: str, running: _Running, failure: Failure) -> None:
        """What a failure means: the file's fault, the disk's, or nobody's."""
        found, now = running.found, self.clock.now()
        current = look(found.path, found.folder)
        if refused(failure.error):
            self.room.refuse(failure.message, now)
            self._put_back(running.waiting)
        elif isinstance(current, Gone):
            log.info("%s went while it was processed", unit)
        elif (current.bytes, current.modified_ns) != (found.bytes, found.modified_ns):
            log.info("%s changed while it was processed: it is looked at again", unit)
            self.queue.add(current, unit, found.analyser, now)
        else:
            self._fail(unit, found, running.waiting, failure, running.age)

    def _fail(self, unit: str, found: Found, waiting: Waiting, failure: Failure, age: float = math.nan) -> None:
        waiting.suspect = failure.kind == "killed"
        before = self.state.find(unit, found.bytes, found.modified_ns)
        attempts = (before.attempts if before is not None and before.state == "failed" else 0) + 1
        error, now = failure.error, self.clock.time()
        passing = failure.kind == "killed" or isinstance(error, MemoryError) or (error is not None and may_pass(error))
        wait = self.options.wait_before(attempts) if passing and attempts < self.options.attempts else None
        try:
            self.state.failed(unit, found, failure, attempts, None if wait is None else now + wait, now)
        except Unwritable as problem:
            self.room.refuse(str(problem), self.clock.now())
            self._put_back(waiting)
            return
        self.metrics.note(now, found, age, failure.seconds, 0, "failed", error=f"{failure.type}: {failure.message}")
        then = "it is not tried again before the next start" if wait is None else f"again in {wait:g} s"
        log.warning("%s failed (%s: %s), %s", unit, failure.type, failure.message, then)
        if wait is not None:
            self._put_back(waiting, retry_at=self.clock.now() + wait)

    def _put_back(self, waiting: Waiting, retry_at: float = -math.inf) -> None:
        self.queue.put_back(waiting, self.clock.now(), retry_at=retry_at)

    # ---- what is told ------------------------------------------------------------------------------------------------

    def _done_paths(self) -> list[str]:
        return [self.units.path(unit) for unit, entry in self.state.items() if entry.state == "done"]

    def by_analyser(self) -> dict[str, dict[str, int]]:
        """How many recordings of each analyser are in each state."""
        return tally(self.state, self.queue, (each.found for each in self._running.values()))

    def counts(self, stopped: str = "") -> Counts:
        """How many recordings are in each state."""
        return Counts(**in_all(self.by_analyser()), made=self.made, stopped=stopped)

    def _write_status(self, *, force: bool = False) -> None:
        if force or self.status.due((len(self.queue), len(self._running), self.made, len(self.state.failures()))):
            self.status.write(self._status("running"), force=force)

    def _status(self, state: str) -> Mapping[str, Any]:
        return self.status.content(
            state, self.by_analyser(), self.latest, self.state.failures(), self.queue.oldest(), self.room.why
        )
