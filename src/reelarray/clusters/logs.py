"""Logs of worker jobs: the only trace of a worker that has died."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path


def newest_log(directory: str | os.PathLike[str], job_ids: Iterable[str]) -> Path | None:
    """The log with something in it that was written last, of jobs with these ids; None if there is none.

    Every queue puts the number of the job into the names of its files, and nothing else is common to them.
    """
    numbers = {number for job_id in job_ids if (number := re.match(r"\d+", job_id))}
    patterns = [re.compile(rf"(?<!\d){number[0]}(?!\d)") for number in numbers]
    found = []
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return None
    for entry in entries:
        if any(pattern.search(entry.name) for pattern in patterns):
            try:
                facts = entry.stat()
            except OSError:
                continue
            if facts.st_size and entry.is_file():
                # Of two files of one job, errors say more than output.
                found.append((facts.st_mtime_ns // 10**9, not entry.name.endswith(".out"), entry.path))
    return Path(max(found)[2]) if found else None


def tail(path: str | os.PathLike[str], lines: int = 10) -> str:
    """The last lines of a text file, however long it is."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 400 * lines))
        text = file.read().decode(errors="replace")
    return "\n".join(text.rstrip().splitlines()[-lines:])


def last_words(directory: str | os.PathLike[str], job_ids: Iterable[str], *, wait: float = 3.0) -> str:
    """The end of the newest log of these jobs, or that there is none; queues may bring logs a little later.

    Parameters
    ----------
    wait : seconds
    """
    ids = list(job_ids)
    until = time.monotonic() + wait
    while (path := newest_log(directory, ids)) is None and time.monotonic() < until:
        time.sleep(0.2)
    if path is None:
        return f"no log of them is in {directory}"
    return f"{path} ends with:\n{tail(path)}"
