"""Borders that filters over time do not look across: gaps in which too much can have happened."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

MAX_GAP = 5.0  # frame periods; holes of 100 to 200 ms are ordinary at 30 frames a second


def periods(times_ms: np.ndarray, rate: float) -> np.ndarray:
    """Frame periods that went by before each frame, whole ones, at least 1: times [ms] (n,) -> (n,) float64.

    >>> periods(np.array([0.0, 33.1, 100.0, 102.0]), 30).tolist()
    [1.0, 1.0, 2.0, 1.0]
    """
    times_ms = np.asarray(times_ms, float)
    return np.maximum(np.rint(np.diff(times_ms, prepend=times_ms[:1]) * (rate / 1000)), 1)


def borders(times_ms: np.ndarray, rate: float, max_gap: float = MAX_GAP) -> np.ndarray:
    """Frames that follow a gap of more than `max_gap` frame periods: times [ms] (n,) -> (m,) int64.

    Periods are rounded first: jitter of the camera's clock decides nothing.

    >>> borders(np.array([0.0, 33.3, 200.2, 400.1, 433.5]), 30).tolist()
    [3]
    """
    return np.flatnonzero(periods(times_ms, rate) > max_gap)


def pieces(rows: int, borders: Any = ()) -> Iterator[tuple[int, int]]:
    """Ranges of rows between borders, those without rows left out.

    >>> list(pieces(5, [0, 2, 9]))
    [(0, 2), (2, 5)]
    """
    inner = sorted({int(b) for b in borders if 0 < b < rows})
    return ((a, b) for a, b in pairwise([0, *inner, rows]) if a < b)
