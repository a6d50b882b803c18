"""A format whose files are numbers, and which writes down every header and range that is read."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from reelarray import formats
from reelarray.source import Format, Header

PROBED: list[str] = []
READ: list[tuple[str, int, int, int]] = []  # path, start, stop, thread


def value_of(path: str, frames: np.ndarray) -> np.ndarray:
    """The count at a frame of a file: the last digit of the time in its name times 3000, plus the frame."""
    return (int(Path(path).stem[-1]) * 3000 + frames).astype(np.int16)


@dataclass(frozen=True)
class CountingSource:
    path: str
    frames: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.frames,)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype("int16")

    def read(self, start: int, stop: int) -> np.ndarray:
        READ.append((self.path, start, stop, threading.get_ident()))
        return value_of(self.path, np.arange(start, stop))


def probe(path: str) -> Header:
    PROBED.append(path)
    frames = int(Path(path).read_text())
    return Header(
        path=path,
        format="counting",
        frames=frames,
        rate=Fraction(1000),
        shape=(frames,),
        dtype="int16",
        subtype="PCM_16",
        layout=(),
        bytes=Path(path).stat().st_size,
        modified_ns=Path(path).stat().st_mtime_ns,
        scale=2.0**-15,
    )


def source(path: str, frames: int, layout: object, bytes: int, modified_ns: int) -> CountingSource:
    return CountingSource(path, frames)


COUNTING = Format("counting", (".count",), lambda head: False, probe, source)


@contextmanager
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, int, int, int]]]:
    """The format, as if another package brought it; gives the list of what is read."""
    point = EntryPoint("counting", f"{__name__}:COUNTING", formats.GROUP)
    caches = (formats.get_format, formats._by_suffix)
    monkeypatch.setattr(formats, "_theirs", lambda: {"counting": point})
    for each in caches:
        each.cache_clear()
    PROBED.clear()
    READ.clear()
    yield READ
    monkeypatch.undo()
    for each in caches:
        each.cache_clear()


def write_files(folder: Path, seconds: list[int], frames: int | list[int] = 1000) -> list[str]:
    """Files of `frames` samples at 1 kHz that start at these seconds of 2022-03-01."""
    counts = [frames] * len(seconds) if isinstance(frames, int) else frames
    names = []
    for second, count in zip(seconds, counts, strict=True):
        start = np.datetime64("2022-03-01T00:00:00") + np.timedelta64(second, "s")
        path = folder / f"{str(start).replace('-', '').replace(':', '').replace('T', '_')}.count"
        path.write_text(str(count))
        names.append(str(path))
    return names


def ranges(read: list[tuple[str, int, int, int]]) -> dict[str, list[tuple[int, int]]]:
    """{name of file: ranges read, in order}."""
    found: dict[str, list[tuple[int, int]]] = {}
    for path, start, stop, _ in read:
        found.setdefault(Path(path).name, []).append((start, stop))
    return {name: sorted(each) for name, each in found.items()}


def times_read(read: list[tuple[str, int, int, int]]) -> Counter[tuple[str, int]]:
    """How often each frame was read."""
    return Counter((path, frame) for path, start, stop, _ in read for frame in range(start, stop))
