"""Units to drive: functions of a number."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from dask._task_spec import Task

from reelarray.driving import Policy, Stop, drive


class Numbers:
    """Unit k is ``work(k)``; `graphs` counts how many were asked for at once."""

    def __init__(self, work: Callable[[int], Any], shared: bool = False) -> None:
        self.work, self.shared, self.graphs = work, shared, []

    def graph(self, units):
        self.graphs.append(len(units))
        name = f"unit-{uuid4().hex}"  # as in real runs: a key is never used again
        keys = [(name, k) for k in units]
        if not self.shared:
            return {key: Task(key, self.work, key[1]) for key in keys}, keys
        from dask._task_spec import TaskRef

        made = {"common": Task("common", int, 0)}
        return made | {key: Task(key, add, self.work, key[1], TaskRef("common")) for key in keys}, keys


def add(work, k, zero):
    return work(k) + zero


class Result:
    """What came of units."""

    def __init__(self) -> None:
        self.done, self.failures, self.beats = {}, [], 0

    def note(self, units) -> None:
        for unit in units:
            assert unit.unit not in self.done
            self.done[unit.unit] = unit.value

    def beat(self) -> None:
        self.beats += 1


def run(work, count: int = 30, *, policy: Policy | None = None, stop: Stop | None = None, shared=False, **options):
    """(whether all were tried, what came of them)."""
    result = Result()
    beat = options.pop("beat", result.beat)
    whole = drive(
        work if hasattr(work, "graph") else Numbers(work, shared),
        list(range(count)),
        done=result.note,
        failed=result.failures.append,
        policy=policy or Policy(),
        stop=stop,
        beat=beat,
        **options,
    )
    return whole, result


def square(k: int) -> int:
    return k * k


def broken_five(k: int) -> int:
    if k == 5:
        raise ValueError("five is broken")
    return k * k


def all_broken(k: int) -> int:
    raise RuntimeError(f"no {k}")


def disk_hiccup(folder: str) -> Callable[[int], int]:
    """Unit 3 fails once, unit 7 always, as disks do."""
    return Hiccup(folder)


class Hiccup:
    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, k: int) -> int:
        mark = os.path.join(self.folder, str(k))
        if k == 7 or (k == 3 and not os.path.exists(mark)):
            with open(mark, "a") as file:
                file.write("x")
            raise OSError(5, "Input/output error", f"file {k}")
        return k * k


def slow(k: int) -> int:
    time.sleep(0.05)
    return k * k


def never_done(k: int) -> int:
    for _ in range(600):
        time.sleep(0.1)
    return k


def kills(k: int) -> int:
    if k == 5:
        os._exit(11)
    time.sleep(0.01)
    return k * k


def hangs(k: int) -> int:
    if k == 5:
        time.sleep(3600)
    return k * k
