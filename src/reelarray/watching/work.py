"""What is done to one recording, where it is done: in a thread of the service, or on a worker."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from ..errors import RecordingError
from .outputs import Output, content, measure
from .unit import Found, Made, Process


class Worked(NamedTuple):
    """What a process made, its outputs as they are on the disk, and what the recording holds, by a hash."""

    made: Made
    outputs: tuple[Output, ...]
    content: str


def work(process: Process, found: Found) -> Worked:
    """Process one recording.

    Raises
    ------
    RecordingError : the process says that it made what is not there
    """
    of = content(found.path)  # before: a recording that is replaced meanwhile is not what was processed
    made = process(found)
    try:
        made = replace(made, samples=int(made.samples), seconds=float(made.seconds), partial=bool(made.partial))
        json.dumps([made.outputs, dict(made.notes)])
    except (TypeError, ValueError) as error:
        raise RecordingError(
            f"{found.path}: {made!r} came of it, of which no line of JSON can be made ({error})"
        ) from error
    try:
        return Worked(made, tuple(measure(path) for path in made.outputs), of)
    except FileNotFoundError as error:
        raise RecordingError(f"{found.path}: {error.filename} was to be made and is not there") from error


def check_sight(folders: Sequence[str], targets: Sequence[str]) -> str:
    """Whether a worker sees the folders, and can write where outputs go; why not, or nothing."""
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                first = next((entry.path for entry in entries if entry.is_file()), None)
            if first is not None:
                with open(first, "rb") as file:
                    file.read(1)
        except OSError as error:
            return f"workers do not see {folder}: {error}"
    for folder in dict.fromkeys(os.path.dirname(path) for path in targets):
        probe = os.path.join(folder, f".reel-probe-{secrets.token_hex(6)}.part")
        try:
            with open(probe, "xb") as file:
                file.write(b"?")
        except OSError as error:
            return f"workers cannot write to {folder}: {error}"
        finally:
            with suppress(OSError):
                os.unlink(probe)
    return ""
