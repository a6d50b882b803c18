"""Folders of runs: what was submitted, and how its links ended. All that is known of a run is in its folder.

run.json              what was submitted, and the ids of its jobs
script.sh             the job file; all links of a chain run this one
logs/ID.out, ID.err   what each link wrote; logs/workers/ what workers wrote
links/ID.begin        when and where a link began: seconds, host
links/ID.end          how it ended: exit code, seconds; a link that was killed has none
progress.json         how far the command has come, if it says so
cancelled             there once the run was cancelled
workers               worker jobs that links have submitted: kind, id, link
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .script import AGAIN, KILLED

RECORD, SCRIPT, PROGRESS, CANCELLED = "run.json", "script.sh", "progress.json", "cancelled"
WORKERS = "workers"


@dataclass(frozen=True)
class Trace:
    """What one link left in the folder: times in Unix seconds, where it ran, its exit code; None where it did not."""

    begun: float | None = None
    host: str | None = None
    ended: float | None = None
    exit_code: int | None = None
    note: str = ""  # why it did nothing: the run had ended ("passed"), or a run that it follows had not ended well


def number(job: str) -> str:
    """The id of a job as its files are called: without the server's name, which PBS adds."""
    return job.partition(".")[0]


def new_folder(directory: Path, name: str) -> Path:
    """A folder for one more run, named after it and the time of day.

    >>> import tempfile
    >>> new_folder(Path(tempfile.mkdtemp()), "minutes").name.startswith("minutes-2")
    True
    """
    stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    directory.mkdir(parents=True, exist_ok=True)
    count = 1
    while True:
        folder = directory / (stem if count == 1 else f"{stem}-{count}")
        try:
            folder.mkdir()
        except FileExistsError:
            count += 1
            continue
        (folder / "logs").mkdir()
        (folder / "links").mkdir()
        return folder


def write(path: Path, text: str) -> None:
    """Whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(path)


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    write(folder / RECORD, json.dumps(record, indent=1) + "\n")


def read_record(folder: Path) -> dict[str, Any] | None:
    """What was submitted; None of a folder that is no run's."""
    try:
        found = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "links" in found else None


def trace(folder: Path, job: str) -> Trace:
    """What a link left."""
    begin, end = (_words(folder / "links" / f"{number(job)}.{which}") for which in ("begin", "end"))
    return Trace(
        begun=float(begin[0]) if begin else None,
        host=begin[1] if len(begin) > 1 else None,
        exit_code=int(end[0]) if end else None,
        ended=float(end[1]) if len(end) > 1 else None,
        note=" ".join(end[2:]),
    )


def outcome(folder: Path) -> int | None:
    """The exit code with which a run has ended; None as long as another link may go on with it."""
    for end in sorted((folder / "links").glob("*.end")):
        words = _words(end)
        if words and int(words[0]) != AGAIN and int(words[0]) <= KILLED:
            return int(words[0])
    return None


def progress(folder: Path) -> dict[str, Any] | None:
    """What the command last said of itself."""
    try:
        found = json.loads((folder / PROGRESS).read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def logs(folder: Path, which: str, job: str) -> list[Path]:
    """Files that one link wrote: its own, and what PBS says about the job when it has ended."""
    own = number(job)
    letter = which[0]  # o, e
    after = {"o": "OU", "e": "ER"}[letter]
    found = [folder / "logs" / f"{own}.{which}"]
    found += sorted((folder / "logs").glob(f"{own}.*.{after}")) + sorted((folder / "logs").glob(f"*.{letter}{own}"))
    return [path for path in found if path.is_file() and path.stat().st_size]


def of_this_process() -> Path | None:
    """The folder of the run whose driver this process is, or is part of."""
    given = os.environ.get("REELARRAY_RUN")
    return Path(given) if given else None


def note_worker(kind: str, job: str) -> None:
    """Note a worker job that this process has submitted: if it is killed, others have to cancel that job."""
    if (folder := of_this_process()) is None:
        return
    # A worker at work is worth more than a note: without it, the job ends by itself some time after its driver.
    with suppress(OSError), (folder / WORKERS).open("a") as file:
        file.write(f"{kind} {job} {os.environ.get('REELARRAY_LINK', '-')}\n")


def worker_jobs(folder: Path, *, earlier: bool = False) -> dict[str, list[str]]:
    """Ids of worker jobs that links have submitted, by kind; they may have ended long since.

    Parameters
    ----------
    earlier : only those of other links than the one that this process belongs to
    """
    own = os.environ.get("REELARRAY_LINK", "-") if earlier else None
    found: dict[str, list[str]] = {}
    try:
        lines = (folder / WORKERS).read_text().splitlines()
    except OSError:
        return found
    for words in map(str.split, lines):
        if len(words) == 3 and words[2] != own:  # a line is cut short where the disk was full
            found.setdefault(words[0], []).append(words[1])
    return found


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except FileNotFoundError:
        return []
