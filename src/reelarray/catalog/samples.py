"""What only the samples show: values beyond full scale, NaN, clipping, zeros; in ten files drawn with a fixed seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from reelarray import formats
from reelarray.catalog.anomalies import Notes
from reelarray.catalog.columns import UNREAD, Headers
from reelarray.errors import ReelError
from reelarray.source import Header

FILES = 10
# A run of so many samples at full scale is clipped: one or two can be a peak that just fits.
CLIPPED_RUN = 3
ZERO_SECONDS = 1.0
_PIECE = 1 << 20


@dataclass
class _Run:
    """Longest and number of runs of true values per channel, kept across pieces."""

    current: np.ndarray
    longest: int = 0
    count: int = 0

    def add(self, flags: np.ndarray, least: int) -> None:
        """(frames, channels) of bool; a run counts once, when it reaches `least`."""
        for channel in range(flags.shape[1]):
            edges = np.flatnonzero(np.diff(flags[:, channel], prepend=False, append=False))
            begins, ends = edges[::2], edges[1::2]
            carried = int(self.current[channel])
            self.current[channel] = 0
            lengths = ends - begins
            if begins.size and begins[0] == 0:
                lengths[0] += carried
            for position, length in enumerate(lengths.tolist()):
                counted_before = position == 0 and begins[0] == 0 and carried >= least
                self.count += length >= least and not counted_before
                self.longest = max(self.longest, length)
            if ends.size and ends[-1] == len(flags):
                self.current[channel] = lengths[-1]


def note_samples(headers: Headers, notes: Notes, *, seed: int = 0) -> list[int]:
    """Check the samples of ten readable files, all if there are fewer; returns which.

    The set is beyond full scale (level 0) when more than one file, and more than a tenth of those checked, has float
    samples beyond +-1; a single such file is only noted.
    """
    readable = np.flatnonzero((headers.make != UNREAD) & (headers.frames != 0)).tolist()
    chosen = sorted(random.Random(seed).sample(readable, min(FILES, len(readable))))
    beyond: dict[int, str] = {}
    for row in chosen:
        try:
            notes[row] += _check(headers.header(row), row, beyond)
        except (ReelError, OSError, RuntimeError, ValueError) as error:
            notes[row].append(f"changed: its samples cannot be read ({error}); scan again")
    code = "beyond_full_scale" if len(beyond) > max(0.1 * len(chosen), 1) else "few_beyond_full_scale"
    for row, text in beyond.items():
        notes[row].append(f"{code}: {text}")
    return chosen


def _check(header: Header, index: int, beyond: dict[int, str]) -> list[str]:
    source = formats.source(header)
    is_float = np.dtype(header.dtype).kind in "fc"
    channels = int(np.prod(header.shape[1:], dtype=int))
    clipped, zeros = (_Run(np.zeros(channels, np.int64)) for _ in range(2))
    wrong, low, high = 0, np.inf, -np.inf
    zero_length = max(1, round(ZERO_SECONDS * float(header.rate)))
    piece = max(1, _PIECE // channels)
    for start in range(0, header.frames, piece):
        x = source.read(start, min(start + piece, header.frames)).reshape(-1, channels)
        if x.dtype.kind == "c":
            x = np.abs(x)
        finite = np.isfinite(x)
        wrong += int(x.size - np.count_nonzero(finite))
        if finite.any():
            low, high = min(low, float(x[finite].min())), max(high, float(x[finite].max()))
        clipped.add(_at_full_scale(x, header, is_float), CLIPPED_RUN)
        zeros.add(x * header.scale + header.offset == 0, zero_length)
    found = []
    if wrong:
        found.append(f"nan: {wrong:,} samples are NaN or infinite")
    if is_float and header.units == "1" and (low < -1 or high > 1):
        beyond[index] = f"float samples from {low:.6g} to {high:.6g}, full scale is -1 to 1; nothing is rescaled"
    if clipped.count:
        found.append(
            f"clipped: {clipped.count:,} runs of {CLIPPED_RUN} or more samples at full scale, up to {clipped.longest:,}"
        )
    if zeros.count:
        found.append(
            f"zeros: {zeros.count:,} stretches of zeros, the longest {zeros.longest / float(header.rate):.3f} s"
        )
    return found


def _at_full_scale(x: np.ndarray, header: Header, is_float: bool) -> np.ndarray:
    if header.units != "1":
        return np.zeros(x.shape, bool)  # calibrated counts: full scale is not known
    if is_float:
        return np.abs(x) >= 1
    # left-justified samples of 12 or 20 bits stop short of the container's last counts
    unused = 8 * np.dtype(header.dtype).itemsize - int(header.metadata.get("valid_bits", 0) or 0)
    step = 1 << unused if "valid_bits" in header.metadata and unused > 0 else 1
    lowest, highest = (-1 - header.offset) / header.scale, (1 - header.offset) / header.scale - step
    return (x >= highest) | (x <= lowest)
