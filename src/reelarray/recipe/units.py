"""Units of a recipe with one output a recording: what the task of one does, and what its output depends on."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
from dask._task_spec import Task

from ..driving import synchronous
from ..signal.engines import Engine, using
from . import outputs
from .inputs import open_recording_of
from .keywords import Keywords
from .steps import Step, apply_steps

# What a result depends on of a file's row in the catalog; its name counts by the name of the output.
_FACTS = ("bytes", "modified", "samples", "exact_rate", "shape", "dtype", "scale", "offset", "units", "layout")


@dataclass(frozen=True)
class Work:
    """What is done to each recording, as it is sent to the workers."""

    opening: Mapping[str, Any]
    steps: tuple[Step, ...]
    folder: str
    output: Keywords
    temporary: Path
    engine: Engine  # where a step names none: that of the fingerprints, whatever a worker has

    def __call__(self, row: Mapping[str, Any], path: str) -> tuple[int, int, float]:
        """Make one output; returns its bytes, their checksum, and the seconds that it took."""
        begun = time.monotonic()
        with synchronous(), using(self.engine):
            x = apply_steps(open_recording_of(row, self.opening), self.steps, self.folder)
            with outputs.refusals(Path(path), self.temporary):
                size, check = outputs.write_whole(x, Path(path), self.output, self.temporary)
        return size, check, time.monotonic() - begun


@dataclass(frozen=True)
class Unit:
    """One recording: the name of its output below the root, its row in the catalog, and what the output depends on."""

    name: str
    row: Mapping[str, Any]
    fingerprint: str


class Recordings:
    """Units as tasks."""

    def __init__(self, units: Mapping[str, Unit], work: Work, root: str) -> None:
        self.units, self.work, self.root = units, work, root

    def graph(self, units: Sequence[str]) -> tuple[dict[Any, Task], list[Any]]:
        """A task for each unit; its value is the bytes written, their checksum, and seconds."""
        name = f"write-recording-{uuid4().hex}"  # not a function of its input: what was written may have to be again
        keys = [(name, unit) for unit in units]
        rows = [(self.units[unit].row, os.path.join(self.root, unit)) for unit in units]
        return {key: Task(key, self.work, row, path) for key, (row, path) in zip(keys, rows, strict=True)}, keys


def facts(row: Mapping[str, Any]) -> list[Any]:
    """What an output depends on of a recording, by its row in the catalog."""
    start = None if pd.isna(row["start"]) else int(pd.Timestamp(row["start"]).as_unit("ns").value)
    return [start, os.path.basename(str(row["path"])), *(row[name] for name in _FACTS)]


def digest(values: Any) -> str:
    """A hash of JSON values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]
