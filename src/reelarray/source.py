"""What reads a file: the protocol of sources, the header that probing gives, and the record of a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

Layout = tuple[str | int | float | bool | None, ...]
# Names under which formats put these into `metadata`: Hz, Hz, Hz, dB, dBm, text, text as "+02:00", lists of what was
# marked, and of what each run of samples without a gap says of itself; and Hz, of real samples of a receiver.
STATED = (
    "bandwidth", "span", "rbw", "rf_attenuation", "reference_level", "instrument", "utc_offset", "annotations",
    "segments", "intermediate_frequency", "radio_frequency",
)  # fmt: skip


LONGEST_STEP = 1.5  # medians: what is longer between two measured frames is a gap


def long_steps(ms: np.ndarray) -> np.ndarray:
    """Numbers of the frames that come after a gap, of times of all frames.

    >>> long_steps(np.array([0.0, 33.0, 67.0, 133.0, 166.0])).tolist()
    [3]
    """
    steps = np.diff(ms)
    return np.flatnonzero(steps > LONGEST_STEP * np.median(steps)) + 1 if len(steps) else np.zeros(0, np.int64)


class Source(Protocol):
    """Reads samples of one file. A frozen, picklable value: it opens the file inside `read` and holds no handle.

    `shape` is (frames,) for mono, (frames, channels), or (frames, y, x), with a last axis of 2 for pairs of integers
    I, Q; `dtype` is what `read` returns, in native byte order. `read(start, stop)` gives exactly the frames
    [start, stop), 0 <= start <= stop <= frames, or raises `TruncatedFile` where the file has become shorter and
    `FormatError` where it has changed in another way.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    def read(self, start: int, stop: int) -> np.ndarray: ...


@dataclass(frozen=True)
class Header:
    """What one file says about itself, before a sample is read.

    `layout` holds the facts that the format needs to read samples without looking at the header again: a short tuple of
    plain values, equal for files of the same make (a deployment of 100,000 files has a handful of them). Physical
    value = count * `scale` + `offset`, in `units`. `start_ns` is the UTC time of the first sample where the header
    knows it. `flags` names what is odd ("truncated", "zero_tail", ...); `metadata` is everything else that was found,
    JSON values; of that, `STATED` become attributes of the recording.

    With `iq` counts come as pairs I, Q: `shape` is (frames[, channels], 2), `dtype` the type of one component, and
    calibrated samples are complex, (frames[, channels]). `center_frequency` [Hz] is what 0 Hz of complex samples stands
    for. `breaks` says where time jumps inside the file: frame number `frame` comes `ns` after the first one, for each
    (frame, ns), in order; times between are those of the rate.
    """

    path: str
    format: str
    frames: int
    rate: Fraction
    shape: tuple[int, ...]
    dtype: str
    subtype: str
    layout: Layout
    bytes: int
    modified_ns: int
    scale: float = 1.0
    offset: float = 0.0
    units: str = "1"
    start_ns: int | None = None
    flags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    iq: bool = False
    center_frequency: float | None = None
    breaks: tuple[tuple[int, int], ...] = ()


def cannot_tell(path: str) -> bool | None:
    """For formats without a declared size: nobody knows whether there is more to come."""
    return None


@dataclass(frozen=True)
class Format:
    """One file format: how to recognise, probe and read it. `FORMAT = Format(...)` ends each module of `formats`.

    Parameters
    ----------
    name : name in the registry, and in `format=`
    suffixes : lower case, with the dot
    recognises : first 512 bytes of a file -> is it mine? None where only the suffix tells
    probe : path (local or URL), format's own options -> Header; raises `FormatError` naming the file
    source : path, frames, layout, size in bytes, modified_ns -> Source; opens nothing
    dims : names of the dimensions after `time`; pairs I, Q have one more, `iq`
    complete : path -> is the file finished, by what its own header declares? None where the format cannot tell. Reads
        the header only; a file that is shorter than its header is not finished; raises `FormatError` for another one
    alone : whether all that the header says is in the file itself; else it is never kept in a cache
    listed : the suffixes that a search of folders takes by itself; None takes all, and () is for those that say little
    times : path, frames, layout -> ms of each frame by the clock of the instrument (float64, increasing), or None where
        nothing was measured; the first frame stands at the start of the file, and a step of more than `LONGEST_STEP`
        medians is a gap. Called when a file is opened; the header has the gaps alone, as `breaks`
    whole : values are the whole numbers that are stored, in the units of the header: they keep their type
    """

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool] | None
    probe: Callable[..., Header]
    source: Callable[[str, int, Layout, int, int], Source]
    dims: tuple[str, ...] = ("channel",)
    complete: Callable[[str], bool | None] = cannot_tell
    listed: tuple[str, ...] | None = None
    alone: bool = True
    times: Callable[[str, int, Layout], np.ndarray | None] | None = None
    whole: bool = False
