"""What reads a file: the protocol of sources, the header that probing gives, and the record of a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

Layout = tuple[str | int | float | bool | None, ...]


class Source(Protocol):
    """Reads samples of one file. A frozen, picklable value: it opens the file inside `read` and holds no handle.

    `shape` is (frames,) for mono, (frames, channels), or (frames, y, x); `dtype` is what `read` returns, in native byte
    order. `read(start, stop)` gives exactly the frames [start, stop), 0 <= start <= stop <= frames, or raises
    `TruncatedFile` where the file has become shorter and `FormatError` where it has changed in another way.
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
    JSON values.
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


@dataclass(frozen=True)
class Format:
    """One file format: how to recognise, probe and read it. `FORMAT = Format(...)` ends each module of `formats`.

    Parameters
    ----------
    name : name in the registry, and in `format=`
    suffixes : lower case, with the dot
    recognises : first 512 bytes of a file -> is it mine?
    probe : path (local or URL), format's own options -> Header; raises `FormatError` naming the file
    source : path, frames, layout, size in bytes, modified_ns -> Source; opens nothing
    dims : names of the dimensions after `time`
    """

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    probe: Callable[..., Header]
    source: Callable[[str, int, Layout, int, int], Source]
    dims: tuple[str, ...] = ("channel",)
