"""The headers of many files as columns: numbers in arrays, what files of one make share held once."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from reelarray.source import Header, Layout

NAT = np.iinfo(np.int64).min
UNREAD = -1


class Make(NamedTuple):
    """What the headers of files of one recorder and setting have in common; `frame` is the shape of one frame."""

    format: str
    rate: Fraction
    frame: tuple[int, ...]
    dtype: str
    subtype: str
    layout: Layout
    scale: float
    offset: float
    units: str
    flags: tuple[str, ...]
    iq: bool
    center_frequency: float | None


# The ratio in two integers: the hash of a Fraction is computed in Python each time, which costs as much as opening.
_FACTS = attrgetter(
    "format", "rate.numerator", "rate.denominator", "dtype", "subtype", "layout", "scale", "offset", "units", "flags",
    "iq", "center_frequency",
)  # fmt: skip


@dataclass(eq=False)
class Headers:
    """Headers of files, one row each; a row that could not be read has the make `UNREAD` and an error text.

    `start` is UTC ns (NAT where the header does not say), `modified` ns since 1970 (0: unknown). `metadata` has the
    rows whose header says more than that, `breaks` those with jumps of time inside.
    """

    path: list[str]
    bytes: np.ndarray
    modified: np.ndarray
    make: np.ndarray
    frames: np.ndarray
    start: np.ndarray
    makes: list[Make] = field(default_factory=list)
    metadata: dict[int, dict[str, Any]] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    breaks: dict[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    _known: dict[Any, int] = field(default_factory=dict)

    @classmethod
    def unread(cls, path: list[str], bytes: Any, modified: Any) -> Headers:
        """Rows of files whose headers are to be put in."""
        n = len(path)
        return cls(
            path,
            np.array(bytes, np.int64),
            np.array(modified, np.int64),
            np.full(n, UNREAD, np.int64),
            np.zeros(n, np.int64),
            np.full(n, NAT, np.int64),
        )

    def __len__(self) -> int:
        return len(self.path)

    def put(self, rows: Sequence[int], headers: Sequence[Header | str]) -> None:
        """Headers that were read, or the texts of errors, into rows."""
        good, facts = [], []
        for row, header in zip(rows, headers, strict=True):
            if isinstance(header, str):
                self.errors[row] = header
                continue
            key = (_FACTS(header), header.shape[1:])
            make = self._known.get(key)
            if make is None:
                make = self._known[key] = self._add(
                    Make(
                        header.format,
                        header.rate,
                        header.shape[1:],
                        header.dtype,
                        header.subtype,
                        header.layout,
                        header.scale,
                        header.offset,
                        header.units,
                        header.flags,
                        header.iq,
                        header.center_frequency,
                    )
                )
            start = header.start_ns
            good.append(row)
            facts.append((make, header.frames, header.bytes, header.modified_ns, NAT if start is None else start))
            if header.metadata:
                self.metadata[row] = dict(header.metadata)
            if header.breaks:
                self.breaks[row] = header.breaks
        if good:
            columns = np.array(facts, np.int64).T
            self.make[good], self.frames[good], self.bytes[good], self.modified[good], self.start[good] = columns

    def copy_rows(self, rows: np.ndarray, source: Headers, which: np.ndarray) -> None:
        """Rows `which` of other headers into rows of these."""
        makes = np.full(len(source.makes) + 1, UNREAD)  # UNREAD, -1, is the last of these
        for k in np.unique(source.make[which]).tolist():  # and none that no row has any more
            makes[k] = UNREAD if k == UNREAD else self._add(source.makes[k])
        self.make[rows] = makes[source.make[which]]
        for name in ("frames", "start", "bytes", "modified"):
            getattr(self, name)[rows] = getattr(source, name)[which]
        for own, theirs in (
            (self.metadata, source.metadata),
            (self.errors, source.errors),
            (self.breaks, source.breaks),
        ):
            if theirs:
                _copy_items(own, theirs, rows, which)

    def take(self, which: np.ndarray) -> Headers:
        """Rows in another order, or some of them."""
        found = Headers.unread([self.path[k] for k in which.tolist()], self.bytes[which], self.modified[which])
        found.copy_rows(np.arange(len(which)), self, which)
        return found

    def each(self, pick: Callable[[Make], Any], missing: Any) -> np.ndarray:
        """A fact of each row's make, as an object array; `missing` for what could not be read."""
        values = np.empty(len(self.makes) + 1, object)
        for k, value in enumerate((*map(pick, self.makes), missing)):
            values[k] = value
        return values[self.make]

    def numbers(self, pick: Callable[[Make], Any], missing: Any, dtype: Any) -> np.ndarray:
        """A number of each row's make."""
        return np.array([*map(pick, self.makes), missing], dtype)[self.make]

    def rows_of(self, wanted: Callable[[Make], Any]) -> list[int]:
        """Rows whose make is wanted."""
        return np.flatnonzero(np.array([*(bool(wanted(make)) for make in self.makes), False])[self.make]).tolist()

    def header(self, row: int) -> Header:
        """The header of one row that was read."""
        make, frames, start = self.makes[self.make[row]], int(self.frames[row]), int(self.start[row])
        return Header(
            self.path[row],
            make.format,
            frames,
            make.rate,
            (frames, *make.frame),
            make.dtype,
            make.subtype,
            make.layout,
            int(self.bytes[row]),
            int(self.modified[row]),
            make.scale,
            make.offset,
            make.units,
            None if start == NAT else start,
            make.flags,
            self.metadata.get(row, {}),
            make.iq,
            make.center_frequency,
            self.breaks.get(row, ()),
        )

    def _add(self, make: Make) -> int:
        index = self._known.setdefault(make, len(self.makes))
        if index == len(self.makes):
            self.makes.append(make)
        return index


def _copy_items(own: dict[int, Any], theirs: dict[int, Any], rows: np.ndarray, which: np.ndarray) -> None:
    taken = zip(rows.tolist(), which.tolist(), strict=True)
    own.update((row, theirs[k]) for row, k in taken if k in theirs)


@contextmanager
def without_collection() -> Iterator[None]:
    """No search for cycles meanwhile: rows are no garbage, and looking at them again and again is a third of a scan."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
