"""A whole deployment as a table of file ranges, read as values; `graph` makes one Dask layer of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np

from . import formats
from .errors import RecordingError
from .source import Header, Layout, Source


class Kind(NamedTuple):
    """What files of one make have in common, all that a `Format` needs to read them but the path and the length."""

    format: str
    dtype: str
    scale: float
    offset: float
    layout: Layout
    iq: bool = False


GAP = -1  # the kind of a row that no file holds: constant fill


@dataclass(frozen=True, eq=False)
class SourceTable:
    """A deployment as a table of file ranges, end to end: a few arrays, never one object a file.

    Row k gives the frames [start[k], start[k] + first[k + 1] - first[k]) of file `path[k]` to the samples
    [first[k], first[k + 1]) of the whole. Values are counts * scale + offset, then times each of `gains` in turn, each
    step rounded to `dtype`; or the counts themselves, with `calibrated=False`. Pairs I, Q make complex values; as
    counts they keep an axis of 2, the last.

    `shape` is that of one sample, after `channels` (an int drops the axis, a tuple keeps it) has picked from a file's.
    """

    path: np.ndarray
    kind: np.ndarray
    frames: np.ndarray
    bytes: np.ndarray
    modified: np.ndarray
    start: np.ndarray
    first: np.ndarray
    kinds: tuple[Kind, ...]
    shape: tuple[int, ...]
    dtype: str
    calibrated: bool = True
    gains: tuple[float, ...] = ()
    channels: int | tuple[int, ...] | None = None
    fill: float = 0.0

    @classmethod
    def of_files(
        cls,
        path: Iterable[str],
        kind: Iterable[Kind],
        frames: Any,
        bytes: Any,
        modified: Any,
        *,
        shape: tuple[int, ...],
        dtype: str,
        calibrated: bool = True,
    ) -> SourceTable:
        """A table of whole files, in the order given; `shape` is that of one frame."""
        kinds: dict[Kind, int] = {}
        index = [kinds.setdefault(each, len(kinds)) for each in kind]
        frames = np.asarray(frames, np.int64)
        return cls(
            path=np.array(list(path), object),
            kind=np.array(index, np.int32),
            frames=frames,
            bytes=np.asarray(bytes, np.int64),
            modified=np.asarray(modified, np.int64),
            start=np.zeros(len(frames), np.int64),
            first=np.append(0, np.cumsum(frames)),
            kinds=tuple(kinds),
            shape=shape,
            dtype=dtype,
            calibrated=calibrated,
        )

    @classmethod
    def of_headers(cls, headers: Iterable[Header], *, dtype: str | None = None, calibrated: bool = True) -> SourceTable:
        """A table of whole files by their headers, in the order given; their frames must have one shape."""
        headers = list(headers)
        shapes = {h.shape[1:] for h in headers}
        if len(shapes) != 1:
            raise RecordingError(f"frames of shapes {sorted(shapes)} cannot be one array: choose files of one shape")
        iq = {h.iq for h in headers}
        if len(iq) != 1:
            raise RecordingError("pairs I, Q and plain samples cannot be one array: choose files of one kind")
        own = value_dtype({(h.dtype, h.subtype) for h in headers}, calibrated=calibrated, iq=iq.pop())
        return cls.of_files(
            [h.path for h in headers],
            [Kind(h.format, h.dtype, h.scale, h.offset, h.layout, h.iq) for h in headers],
            [h.frames for h in headers],
            [h.bytes for h in headers],
            [h.modified_ns for h in headers],
            shape=value_shape(shapes.pop(), headers[0].iq and calibrated),
            dtype=own if dtype is None else dtype,
            calibrated=calibrated,
        )

    @property
    def size(self) -> int:
        """Samples in all."""
        return int(self.first[-1])

    def select(self, start: int, stop: int) -> SourceTable:
        """The samples [start, stop), as a table of their own."""
        low = int(self.first.searchsorted(start, "right")) - 1
        high = max(int(self.first.searchsorted(stop, "left")), low + 1) if stop > start else low
        first = self.first[low : high + 1] - start
        begin = self.start[low:high]
        if high > low:
            begin = begin.copy()
            begin[0] -= first[0]
            first[0], first[-1] = 0, stop - start
        # A graph selects once a block: `replace`, which sets each field anew, takes as long as all else here.
        table = SourceTable.__new__(SourceTable)
        table.__dict__.update(
            self.__dict__,
            path=self.path[low:high],
            kind=self.kind[low:high],
            frames=self.frames[low:high],
            bytes=self.bytes[low:high],
            modified=self.modified[low:high],
            start=begin,
            first=first if high > low else np.zeros(1, np.int64),
        )
        return table

    def take_rows(self, rows: np.ndarray, start: np.ndarray, count: np.ndarray) -> SourceTable:
        """Rows in a new order, each cut to `count` frames from frame `start` of what it was."""
        return replace(
            self,
            **{name: getattr(self, name)[rows] for name in ("path", "kind", "frames", "bytes", "modified")},
            start=self.start[rows] + start,
            first=np.append(0, np.cumsum(count)),
        )

    def pick(self, channels: Any) -> SourceTable:
        """One channel (an int: the axis goes) or several (a list: it stays), always by the file's own numbers."""
        if channels is None:
            return self
        pair = self.shape[-1:] if self.pairs else ()
        shape = self.shape[: len(self.shape) - len(pair)]
        if len(shape) != 1:
            raise RecordingError(f"channel={channels} was asked of samples without channels; leave out channel=")
        own = self.channels if isinstance(self.channels, tuple) else tuple(range(shape[0]))
        wanted = [channels] if isinstance(channels, int | np.integer) else list(channels)
        bad = [c for c in wanted if not 0 <= c < len(own)]
        if bad or not wanted:
            raise RecordingError(f"channel {bad} was asked for; channels 0 to {len(own) - 1} are there")
        if isinstance(channels, int | np.integer):
            return replace(self, channels=own[channels], shape=pair)
        return replace(self, channels=tuple(own[c] for c in wanted), shape=(len(wanted), *pair))

    @property
    def pairs(self) -> bool:
        """Whether a sample is a pair of counts I, Q, with an axis of its own."""
        return not self.calibrated and any(kind.iq for kind in self.kinds)

    def gained(self, factor: float) -> SourceTable:
        """Values times `factor`, applied where they are read."""
        return replace(self, gains=(*self.gains, float(factor)))

    def inserted(self, at: np.ndarray, count: np.ndarray, fill: float) -> SourceTable:
        """`count` samples of the value `fill` before sample `at`, for each pair."""
        cut = np.unique(np.concatenate([self.first, at]))
        row = np.searchsorted(self.first, cut[:-1], "right") - 1
        parts = self.take_rows(row, cut[:-1] - self.first[row], np.diff(cut)) if len(cut) > 1 else self
        place = np.searchsorted(cut, at)
        new: dict[str, Any] = {"path": "", "kind": GAP, "frames": count, "bytes": 0, "modified": 0, "start": 0}
        columns: dict[str, Any] = {name: np.insert(getattr(parts, name), place, value) for name, value in new.items()}
        lengths = np.insert(np.diff(parts.first), place, count)
        return replace(parts, **columns, first=np.append(0, np.cumsum(lengths)), fill=fill)

    def source(self, row: int) -> Source:
        """The source of one row."""
        kind = self.kinds[self.kind[row]]
        make = formats.get_format(kind.format).source
        return make(
            str(self.path[row]), int(self.frames[row]), kind.layout, int(self.bytes[row]), int(self.modified[row])
        )

    def read(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Samples [start, stop) as values, (samples, *shape): exactly these, or an error that names the file."""
        stop = self.size if stop is None else stop
        row = max(int(np.searchsorted(self.first, start, "right")) - 1, 0)
        out: np.ndarray | None = None
        while start < stop:
            end = min(stop, int(self.first[row + 1]))
            if end > start:
                values = self._values(row, start - int(self.first[row]), end - int(self.first[row]))
                if out is None and end == stop:
                    return values
                if out is None:
                    out = np.empty((stop - start, *self.shape), self.dtype)
                    begin = start
                out[start - begin : end - begin] = values
                start = end
            row += 1
        return np.empty((0, *self.shape), self.dtype) if out is None else out

    def stored(self) -> tuple[SourceTable, tuple[float, ...]] | None:
        """The counts alone, and the factors that make values of them in turn; None where it takes more than factors."""
        kinds = {self.kinds[k] if k != GAP else None for k in np.unique(self.kind).tolist()}
        ways = {(kind.dtype, kind.scale, kind.offset, kind.iq) for kind in kinds if kind is not None}
        if not self.calibrated or None in kinds or len(ways) != 1:
            return None
        ((dtype, scale, offset, iq),) = ways
        if offset or np.dtype(dtype).kind not in "iuf" or np.dtype(self.dtype).kind != ("c" if iq else "f"):
            return None
        factors = tuple(factor for factor in (scale, *self.gains) if factor != 1.0)
        shape = (*self.shape, 2) if iq else self.shape
        return replace(self, calibrated=False, dtype=dtype, gains=(), shape=shape), factors

    def _values(self, row: int, start: int, stop: int) -> np.ndarray:
        if self.kind[row] == GAP:
            return np.full((stop - start, *self.shape), self.fill, self.dtype)
        offset = int(self.start[row])
        counts = self.source(row).read(offset + start, offset + stop)
        if self.channels is not None:
            counts = counts[:, list(self.channels) if isinstance(self.channels, tuple) else self.channels]
        if not self.calibrated:
            return counts.astype(self.dtype, copy=False)
        kind, dtype = self.kinds[self.kind[row]], np.dtype(self.dtype)
        if kind.iq:
            parts = np.ascontiguousarray(counts, real_of(dtype))
            parts = parts.copy() if parts is counts else parts
            values, dtype = parts, parts.dtype
        else:
            values = counts.astype(dtype)  # a copy of ours: what follows works in place
        if kind.scale != 1.0:
            values *= dtype.type(kind.scale)
        if kind.offset:
            values += dtype.type(kind.offset)
        for gain in self.gains:
            values *= dtype.type(gain)
        return values.view(self.dtype)[..., 0] if kind.iq else values

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        arrays = (self.kind, self.frames, self.bytes, self.modified, self.start, self.first)
        rest = (self.kinds, self.shape, self.dtype, self.calibrated, self.gains, self.channels, self.fill)
        seen = sha256("\n".join(self.path).encode("utf-8", "surrogatepass"))
        for array in arrays:
            seen.update(array.tobytes())
        return (seen.hexdigest(), repr(rest))


def real_of(dtype: np.dtype) -> np.dtype:
    """The type of the two parts of a complex number."""
    return np.empty(0, dtype).real.dtype


def value_shape(frame: tuple[int, ...], iq: bool) -> tuple[int, ...]:
    """Shape of one value, of that of one frame: pairs I, Q make one complex number."""
    return tuple(int(n) for n in (frame[:-1] if iq else frame))


def value_dtype(types: Iterable[tuple[str, str]], *, calibrated: bool, iq: bool = False) -> str:
    """dtype of values for files of these (dtype, subtype): float32 where it holds every count exactly (up to 24 bits).

    Else float64. Complex doubles stay; pairs of integers I, Q, and numbers written as text, make complex64 (its 24 bits
    are those of any receiver; dtype= asks for complex128). Counts keep the widest type of all.
    """
    types = list(types)
    widest = np.result_type(*(dtype for dtype, _ in types))
    if not calibrated:
        return str(widest.newbyteorder("="))
    if iq:
        return "complex128" if widest == np.float64 else "complex64"
    if widest.kind == "c":
        return "complex64" if widest.itemsize <= 8 or {subtype for _, subtype in types} == {"TEXT"} else "complex128"
    digits = [subtype.rpartition("_")[2].strip("SU") for _, subtype in types]
    bits = [int(number) for number in digits if number.isdigit()]
    narrow = widest.itemsize <= 2 or widest == np.float32 or (widest.kind in "iu" and len(bits) == len(types))
    return "float32" if narrow and max(bits, default=0) <= 24 else "float64"


MEBI = 2**20
MONTH = 31 * 86400


def auto_chunk(samples: int, values_each: int, seconds: float) -> int:
    """Samples a chunk: 4 Mi values, or 16 Mi for more than a month, where the number of chunks costs more."""
    most = (16 if seconds > MONTH else 4) * MEBI
    return max(1, min(samples, most // max(1, values_each)))
