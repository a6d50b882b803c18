"""Powers as levels in 16 bits: whole steps of a decibel, at most half a step off, in any batch and on any processor."""

from __future__ import annotations

import math

import numpy as np

from ..errors import RecordingError

STEP = 0.01  # dB: performance.md section 5
MISSING, SILENT, LOUDEST = -32768, -32767, 32767
_BATCH = 32768  # values whose logarithms stay in cache


def silence(step: float = STEP) -> str:
    """What the lowest level stands for, in words for whoever reads the store.

    >>> silence()
    '-327.67 dB stands for a power of zero, or at or below that level'
    """
    return f"{SILENT * step:.10g} dB stands for a power of zero, or at or below that level"


def decibel_codes(
    power: np.ndarray, out: np.ndarray | None = None, *, reference: float, step: float = STEP
) -> np.ndarray:
    """Power [u] -> levels in steps of `step` dB re `reference`, int16: at most half a step off.

    NaN is -32768; zero and below are -32767, as is all that is at or below that level. `out`, where given, is
    contiguous. Logarithms are of float64: those of float32 are eight times as fast, and a step off where a level lies
    within a fiftieth of a step of the middle between two.

    Raises
    ------
    RecordingError : levels above 32767 steps, or an infinite power, which no level stands for

    >>> decibel_codes(np.array([1.0, 2.0, 0.0, np.nan]), reference=1.0)
    array([     0,    301, -32767, -32768], dtype=int16)
    """
    codes = np.empty(power.shape, np.int16) if out is None else out
    flat, each = np.ascontiguousarray(power).reshape(-1), codes.reshape(-1)
    levels = np.empty(min(_BATCH, flat.size))
    over, largest, gain = 0, 0.0, 10 / step
    offset = gain * math.log10(reference)
    with np.errstate(all="ignore"):
        lowest, highest = 10.0 ** ((np.array([SILENT + 1, LOUDEST - 1]) + offset) / gain)  # 0 and inf at coarse steps
        for start in range(0, flat.size, _BATCH):
            values = flat[start : start + _BATCH]
            steps = levels[: values.size]
            np.log10(values, out=steps, dtype=np.float64)
            steps *= gain
            steps -= offset
            np.rint(steps, out=steps)
            quietest, loudest = values.min(), values.max()  # NaN where one of them is
            if not loudest < highest:
                above = steps > LOUDEST
                over += int(np.count_nonzero(above))
                largest = max(largest, float(np.fmax.reduce(steps)))
                np.copyto(steps, LOUDEST, where=above)
            if not quietest > lowest:
                np.fmax(steps, SILENT, out=steps)
                if np.isnan(quietest):
                    np.copyto(steps, MISSING, where=np.isnan(values))
            np.copyto(each[start : start + _BATCH], steps, casting="unsafe")
    if over:
        raise RecordingError(
            f"{over:,} of {flat.size:,} values of a block are above {LOUDEST * step:.2f} dB, the largest at "
            f"{largest * step:.2f} dB, and encoding='db16' holds none of them: look for samples that are not finite or "
            "not calibrated, or pass encoding=None, which keeps values as they are"
        )
    return codes
