"""Medians of what is around each frame: of one number per frame, missing ones left out."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import RecordingError
from .borders import pieces

_BATCH = 2**19  # numbers that are sorted at once: 4 MiB


def running_median(values: np.ndarray, span: int, *, borders: Any = (), lead: int = 0, trail: int = 0) -> np.ndarray:
    """Median of the `span` frames around each: (n,) [u] -> (n - lead - trail,) float64 [u].

    Windows are shorter at the ends and at borders, and leave NaN out; a window of NaN only has NaN.

    Parameters
    ----------
    span : frames, odd
    borders : frames that nothing before is seen from, and that are not seen from before
    lead, trail : frames at each end that are only there to be seen

    >>> running_median(np.array([0, 1, 0, np.nan, 1, 1]), 3).tolist()
    [0.5, 0.0, 0.5, 0.5, 1.0, 1.0]
    """
    return _each(_median, values, span, borders, lead, trail)


def spread_about(
    values: np.ndarray, span: int, *, borders: Any = (), lead: int = 0, trail: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """`running_median`, and the median distance from it of the same frames: (n,) [u] -> twice (n - lead - trail,) [u].

    >>> spread_about(np.array([1.0, 2.0, 9.0]), 3)[1].tolist()
    [0.5, 1.0, 3.5]
    """
    both = _each(_median_and_spread, values, span, borders, lead, trail)
    return both[:, 0], both[:, 1]


def _each(kernel: Any, values: np.ndarray, span: int, borders: Any, lead: int, trail: int) -> np.ndarray:
    """A kernel over the windows of every piece: (windows, span) -> (windows, ...)."""
    values = np.asarray(values, float)
    if span < 1 or span % 2 == 0:
        raise RecordingError(f"a span of {span} frames was given; an odd number, 1 or more, was expected")
    out = [kernel(np.empty((0, span)))]
    first, last = lead, len(values) - trail
    for begin, end in pieces(len(values), borders):
        a, b = max(begin, first), min(end, last)
        padded = np.pad(values[begin:end], span // 2, constant_values=np.nan)
        step = max(1, _BATCH // span)
        for start in range(a, b, step):
            part = padded[start - begin : min(start + step, b) - begin + span - 1]
            out.append(kernel(np.lib.stride_tricks.sliding_window_view(part, span)))
    return np.concatenate(out)


def _median(windows: np.ndarray) -> np.ndarray:
    """(n, span) -> (n,), NaN left out: it is sorted to the end."""
    ordered = np.sort(windows, axis=-1)
    count = ordered.shape[-1] - np.isnan(ordered).sum(-1)
    rows = np.arange(len(ordered))
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, ordered.shape[-1] - 1)
    return (ordered[rows, low] + ordered[rows, high]) / 2


def _median_and_spread(windows: np.ndarray) -> np.ndarray:
    middle = _median(windows)
    return np.stack([middle, _median(np.abs(windows - middle[:, None]))], axis=-1)
