"""How many recordings are in which state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .ready import Queue
from .state import State
from .unit import Found

STATES = ("pending", "running", "done", "failed")


@dataclass(frozen=True)
class Counts:
    """How many recordings there are of each kind; `made` is how many were processed by this call."""

    pending: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    made: int = 0
    stopped: str = ""


def tally(state: State, queue: Queue, running: Iterable[Found]) -> dict[str, dict[str, int]]:
    """By analyser, and by state; one that failed and waits for another try is "failed"."""
    under_way = Counter(each.analyser for each in running)
    found = {}
    for name in dict.fromkeys([*state.counts, *queue.counts, *under_way]):
        known = state.counts.get(name, Counter())
        numbers = queue.counts[name] - queue.retries[name], under_way[name], known["done"], known["failed"]
        found[name] = dict(zip(STATES, numbers, strict=True))
    return {name: counts for name, counts in found.items() if any(counts.values())}


def in_all(by_analyser: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Of all analysers.

    >>> in_all({"a": {"done": 2, "failed": 1}, "b": {"done": 3}})
    {'pending': 0, 'running': 0, 'done': 5, 'failed': 1}
    """
    total = Counter(dict.fromkeys(STATES, 0))
    for counts in by_analyser.values():
        total.update(counts)
    return dict(total)
