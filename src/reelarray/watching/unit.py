"""What is found, and what is made of it; the seam is a process, which knows nothing of folders that are watched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Found:
    """A finished recording.

    Parameters
    ----------
    path : of the file
    folder : the watched folder that it lies in, or below
    relative : the path in that folder, with "/" between its parts
    analyser : the name of what recorded it
    bytes, modified_ns : size and time of last change when it was found finished
    partial : it stopped growing before it was whole: to be processed up to its last whole frame
    """

    path: str
    folder: str
    relative: str
    analyser: str
    bytes: int
    modified_ns: int
    partial: bool = False


@dataclass(frozen=True)
class Made:
    """What a process made of a recording.

    Parameters
    ----------
    outputs : absolute paths of all that was written
    samples, seconds : of the whole recording, without its gaps
    partial : not all of what the recording should hold was there
    notes : JSON values worth telling: "picture" and "zoom" are paths, "start" is UTC as text, ...
    """

    outputs: tuple[str, ...]
    samples: int
    seconds: float
    partial: bool = False
    notes: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Process(Protocol):
    """What is done to each recording. Frozen, and can be pickled: it may run on a worker.

    `fingerprint` is a hash of the settings that change results, and of the version of results: another means that all
    is to be made again.
    """

    @property
    def fingerprint(self) -> str: ...

    def targets(self, found: Found) -> tuple[str, ...]:
        """The absolute paths of the outputs that it would write."""
        ...

    def __call__(self, found: Found) -> Made:
        """Make them; each appears whole, or not at all."""
        ...
