"""A line of numbers for each recording that was processed: JSON, for whoever plots how a service does."""

from __future__ import annotations

import json
import logging
import math
import os
from pathlib import Path
from typing import TextIO

from .clock import iso
from .unit import Found

log = logging.getLogger(__name__)

MOST_BYTES = 64 << 20  # of a file; the one before it is kept


class Metrics:
    """Appends to a file; a disk that refuses costs lines, and nothing else."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self.path, self._most = path, most_bytes
        self._file: TextIO | None = None
        self._told = False

    def note(
        self, now: float, found: Found, age: float, seconds: float, samples: int, result: str, error: str = ""
    ) -> None:
        """One recording: `age` is how old it was when it was begun (s since its last change)."""
        line = {
            "time": iso(now),
            "recording": found.relative,
            "analyser": found.analyser,
            "bytes": found.bytes,
            "age": _number(age),
            "seconds": _number(seconds),
            "samples": samples,
            "samples_per_second": _number(samples / seconds) if seconds > 0 else None,
            "result": result,
        }
        try:
            file = self._open()
            file.write(json.dumps(line | ({"error": error} if error else {}), ensure_ascii=False) + "\n")
            file.flush()
            self._told = False
        except OSError as problem:
            if not self._told:
                log.warning("%s: a line was lost: %s", self.path, problem)
            self._told = True

    def close(self) -> None:
        """No more lines."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError as problem:
                log.warning("%s: a line was lost: %s", self.path, problem)
            self._file = None

    def _open(self) -> TextIO:
        if self._file is not None and self._file.tell() > self._most:
            self.close()
            os.replace(self.path, self.path.with_suffix(".1.jsonl"))
        if self._file is None:
            self._file = open(self.path, "a", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
        return self._file


def _number(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
