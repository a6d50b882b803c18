"""A service without threads, clocks or sleep: time goes on when a test says so."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reelarray.driving import Done, Failure
from reelarray.driving.flow import timed
from reelarray.sinks.atomic import writing
from reelarray.watching.options import Options
from reelarray.watching.room import Room
from reelarray.watching.service import Service
from reelarray.watching.state import State
from reelarray.watching.tally import Counts
from reelarray.watching.unit import Found, Made

T0 = 1_700_000_000.0


class Time:
    """A clock that stands until `go`; the bell rings in vain."""

    def __init__(self) -> None:
        self.bell, self._now = self, 1000.0

    def now(self) -> float:
        return self._now

    def time(self) -> float:
        return T0 + self._now

    def wait(self, seconds: float) -> None:
        self._now += max(seconds, 0.001)

    def ring(self) -> None:
        pass

    def go(self, seconds: float) -> None:
        self._now += seconds


class Inline:
    """A flow that works when it is asked what landed; `hold` keeps all under way."""

    def __init__(self, places: int = 2) -> None:
        self.places, self.hold = places, False
        self.under_way: dict[Any, Any] = {}
        self.most = 0

    def submit(self, unit, call, *arguments) -> None:
        assert unit not in self.under_way
        self.under_way[unit] = call, arguments
        self.most = max(self.most, len(self.under_way))

    def landed(self):
        if self.hold:
            return []
        found = []
        for unit, (call, arguments) in self.under_way.items():
            try:
                value, _ = timed(call, *arguments)
                found.append(Done(unit, value, 0.5))
            except Exception as error:
                found.append(Failure.of(unit, error, seconds=0.5))
        self.under_way.clear()
        return found

    def check(self) -> None:
        pass

    def drop(self):
        units = tuple(self.under_way)
        self.under_way.clear()
        return units


@dataclass
class Copying:
    """A process that copies a recording to `<name>.out`, and leaves a line in `calls`; `trouble` may raise."""

    output: Path
    calls: list[Found] = field(default_factory=list)
    fingerprint: str = "abc"
    trouble: Callable[[Found], None] = lambda found: None
    by_analyser: bool = False

    def targets(self, found: Found) -> tuple[str, ...]:
        folder = self.output / found.analyser if self.by_analyser else self.output
        return (str(folder / f"{os.path.basename(found.path)}.out"),)

    def __call__(self, found: Found) -> Made:
        self.calls.append(found)
        self.trouble(found)
        (target,) = map(Path, self.targets(found))
        target.parent.mkdir(parents=True, exist_ok=True)
        data = Path(found.path).read_bytes()
        with writing(target) as temporary:
            temporary.write_bytes(data)
        return Made((str(target),), len(data), len(data) / 8, notes={"picture": str(target)})

    @property
    def names(self) -> list[str]:
        """Which recordings it was called with."""
        return [found.relative for found in self.calls]


class Watched:
    """A folder that is watched, by one service after the other."""

    def __init__(self, tmp_path: Path, **options: Any) -> None:
        self.folder, self.output = tmp_path / "in", tmp_path / "out"
        for each in (self.folder, self.output):
            each.mkdir(exist_ok=True)
        self.options = {"mode": "poll", "suffixes": (".rec",), "state_folder": str(tmp_path / "state"), **options}
        self.options.setdefault("folders", (str(self.folder),))
        self.time, self.process, self.flow = Time(), Copying(self.output), Inline()
        self.size: Callable[[str], int | None] = lambda path: None
        self.free: Callable[[str], int] = lambda folder: 10**12
        self.service: Service | None = None

    def complete(self, path: str) -> bool | None:
        """By a declared size: the first word of a file, such as b"12 ", is the size of the whole."""
        with open(path, "rb") as file:
            head = file.read(16).split(b" ")[0]
        return os.path.getsize(path) >= int(head) if head.isdigit() else None

    def start(self, **more: Any) -> Service:
        options = Options(**self.options)
        state = State(Path(options.state), self.process.fingerprint, self.time.time())
        room = Room(options.min_free_bytes, self.free)
        self.service = Service(
            options, self.process, self.flow, state, clock=self.time, room=room, complete=self.complete, **more
        )
        self.service.begin()
        return self.service

    def go(self, seconds: float = 0.0, step: float = 1.0) -> Counts:
        """Let time pass."""
        left = seconds
        self.service.step()
        while left > 0:
            self.time.go(min(step, left))
            left -= step
            self.service.step()
        self.service.step()
        return self.service.counts()

    def stop(self) -> None:
        self.service.end()

    def again(self, **more: Any) -> Service:
        """Stop, then start anew."""
        self.stop()
        return self.start(**more)

    def put(self, name: str, data: bytes = b"4 ab", *, age: float = 0.0) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.touch(path, age)
        return path

    def touch(self, path: Path, age: float = 0.0) -> None:
        modified = round((self.time.time() - age) * 1e9)
        os.utime(path, ns=(modified, modified))
