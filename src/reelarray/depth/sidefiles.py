"""Small files beside a recording, that experiments in real time leave: feedback, predictions, scores over time."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError

log = logging.getLogger(__name__)

_FLAGS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
FILES = {"feedback": ("feedback_ts.txt", bool), "predictions": ("predictions.txt", np.int64),
         "pc_scores": ("pc_scores.txt", np.float32)}  # fmt: skip


def read_side_files(folder: str | os.PathLike[str]) -> dict[str, dict[str, np.ndarray]]:
    """Side files of a recording: name -> data (row[, value]) and timestamps (row); those that are not there are absent.

    One that cannot be read is left out, and a warning has its line.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "pc_scores.txt").write_text("10.5 1,2\\n20.5 3,4\\n")
    ...     found = read_side_files(folder)
    >>> found["pc_scores"]["data"].shape, found["pc_scores"]["timestamps"]
    ((2, 2), array([10.5, 20.5]))
    """
    found = {}
    for name, (file, dtype) in FILES.items():
        path = Path(folder, file)
        try:
            found[name] = read_side_file(path, dtype)
        except FileNotFoundError:
            continue
        except (FormatError, OSError) as error:
            log.warning("%s; it is left out", error)
    return found


def read_side_file(path: str | os.PathLike[str], dtype: Any) -> dict[str, np.ndarray]:
    """Lines of a time and values with commas between -> data (row[, value]) of a type, timestamps (row) float64.

    Raises
    ------
    FileNotFoundError : no such file
    FormatError : a line that is something else; the message has its number
    """
    times, rows = [], []
    for number, line in enumerate(Path(path).read_bytes().decode("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        time, *rest = line.split(maxsplit=1)
        try:
            times.append(float(time))
            rows.append([_value(text.strip(), dtype) for text in rest[0].rstrip().rstrip(",").split(",")])
        except (ValueError, KeyError, IndexError):
            told = f"{path}, line {number}: {line[:60]!r}; a time, a space and values with commas between were expected"
            raise FormatError(told) from None
        if len(rows[-1]) != len(rows[0]):
            raise FormatError(f"{path}, line {number}: {len(rows[-1])} values; {len(rows[0])} as before were expected")
    data = np.array(rows, dtype)
    return {
        "data": data[:, 0] if data.ndim == 2 and data.shape[1] == 1 else data,
        "timestamps": np.array(times, np.float64),
    }


def _value(text: str, dtype: Any) -> Any:
    if dtype is bool:
        return _FLAGS[text.lower()]
    return int(text) if dtype is np.int64 else float(text)
