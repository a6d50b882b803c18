"""The clock inside xarray: a lazy index and a lazy coordinate; all contact with xarray's index internals is here.

Labels are computed where they are asked for. What xarray computes whole (`resample`, `groupby`, `.dt`, comparisons) is
computed too, below `MOST_LABELS` labels; above, a `ClockError` names the way out.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from xarray.core.indexes import Index, PandasIndex
from xarray.core.indexing import BasicIndexer, IndexingAdapter, IndexSelResult, OuterIndexer, VectorizedIndexer

from .clock import SampleClock
from .errors import ClockError
from .stitching import concat_clocks

MOST_LABELS = 2**28  # 2 GiB of int64: what a laptop can hold without noticing that it should not have been asked
FEW = 2**10  # labels that are looked at one by one
_RESOLUTIONS = (1, 10**3, 10**6, 10**9, 60 * 10**9, 3600 * 10**9, 86400 * 10**9)


def dtype_of(clock: SampleClock) -> np.dtype:
    return np.dtype("datetime64[ns]" if clock.absolute else "timedelta64[ns]")


def materialise(clock: SampleClock, rows: Any = None) -> np.ndarray:
    """Labels as datetime64[ns] or timedelta64[ns]; all of them without `rows`, in batches."""
    count = _few(clock.size if rows is None else np.size(rows))
    if rows is not None:
        return clock.labels(rows).view(dtype_of(clock))
    labels = np.empty(count, np.int64)
    for start in range(0, count, 2**20):
        stop = min(start + 2**20, count)
        labels[start:stop] = clock.labels(np.arange(start, stop))
    return labels.view(dtype_of(clock))


def _few(count: int) -> int:
    if count > MOST_LABELS:
        raise ClockError(
            f"this would compute {count:,} time labels ({count * 8 / 2**30:,.0f} GiB); fewer than {MOST_LABELS:,} were "
            "expected. Average first (ra.average), select a part (.sel(time=slice(begin, end))), or drop the time axis "
            "(ra.forget_clock)"
        )
    return count


def _rows(key: Any, size: int) -> np.ndarray:
    """Row numbers, masks, or a slice that goes back -> row numbers from 0."""
    if isinstance(key, slice):
        back = range(*key.indices(size))
        return np.arange(back.start, back.stop, back.step) if _few(len(back)) else np.zeros(0, np.int64)
    rows = np.asarray(key)
    if rows.dtype == bool:
        return np.flatnonzero(rows)
    if rows.size and (rows.min() < -size or rows.max() >= size):
        raise IndexError(f"time index {rows.min()}..{rows.max()} is out of bounds for {size} labels")
    return np.where(rows < 0, rows + size, rows)


class ClockLabels(IndexingAdapter):
    """An array of labels that is computed when indexed; slices stay lazy."""

    def __init__(self, clock: SampleClock) -> None:
        self.clock = clock

    @property
    def dtype(self) -> np.dtype:
        return dtype_of(self.clock)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.clock.size,)

    @property
    def _in_memory(self) -> bool:
        return False

    def get_duck_array(self) -> np.ndarray:
        return materialise(self.clock)

    def _oindex_get(self, indexer: OuterIndexer) -> Any:
        (key,) = indexer.tuple
        if isinstance(key, slice):
            start, stop, step = key.indices(self.clock.size)
            if step > 0:
                return ClockLabels(self.clock.slice(start, max(start, stop), step))
        return self._take(key)

    def _vindex_get(self, indexer: VectorizedIndexer) -> np.ndarray:
        (key,) = indexer.tuple
        return self._take(key)

    def _take(self, key: Any) -> Any:
        return materialise(self.clock, _rows(key, self.clock.size))

    def __getitem__(self, indexer: Any) -> Any:
        if isinstance(indexer, VectorizedIndexer):
            return self._vindex_get(indexer)
        result = self._oindex_get(OuterIndexer(indexer.tuple))
        return result[()] if isinstance(indexer, BasicIndexer) and np.ndim(result) == 0 else result

    def transpose(self, order: Iterable[int]) -> ClockLabels:
        return self

    def __copy__(self) -> ClockLabels:
        return self

    def __deepcopy__(self, memo: Any = None) -> ClockLabels:
        return self  # a clock is a value

    def _repr_inline_(self, max_width: int) -> str:
        from xarray.core.formatting import format_array_flat

        return format_array_flat(self, max_width)

    def __repr__(self) -> str:
        return f"ClockLabels({self.clock!r})"


def time_bounds(clock: SampleClock) -> np.ndarray:
    """For each label the first ns of what its row is made of, and the first ns after it: (time, bound)."""
    begin = materialise(clock.replace(offset=clock.offset - clock.lead, lead=0))
    stretch, position = clock.positions(np.arange(clock.size))
    end = clock.times(stretch, position - clock.lead + clock.span).view(begin.dtype)
    return np.stack([begin, end], axis=-1)


class ClockVariable(xr.Variable):
    """A time coordinate whose load, compute, chunk, equals and token are the clock's; any other data is ordinary."""

    __slots__ = ()

    @property
    def _clock(self) -> SampleClock | None:
        return self._data.clock if isinstance(self._data, ClockLabels) else None

    def load(self, **kwargs: Any) -> ClockVariable:
        return self if self._clock is not None else super().load(**kwargs)

    async def load_async(self, **kwargs: Any) -> ClockVariable:
        return self if self._clock is not None else await super().load_async(**kwargs)

    def compute(self, **kwargs: Any) -> ClockVariable:
        return self.copy(deep=False) if self._clock is not None else super().compute(**kwargs)

    def chunk(self, *args: Any, **kwargs: Any) -> ClockVariable:
        return self.copy(deep=False) if self._clock is not None else super().chunk(*args, **kwargs)

    def equals(self, other: Any, equiv: Any = None) -> bool:
        other = getattr(other, "variable", other)
        theirs = other._clock if isinstance(other, ClockVariable) else None
        if self._clock is not None and theirs is not None:
            return self.dims == other.dims and self._clock == theirs
        return super().equals(other) if equiv is None else super().equals(other, equiv=equiv)

    def identical(self, other: Any, equiv: Any = None) -> bool:
        return self.attrs == getattr(other, "attrs", None) and self.equals(other, equiv)

    def broadcast_equals(self, other: Any, equiv: Any = None) -> bool:
        return self.equals(other, equiv)

    def no_conflicts(self, other: Any, equiv: Any = None) -> bool:
        return self.equals(other, equiv)  # labels are never missing

    def __dask_tokenize__(self) -> object:
        from dask.base import normalize_token

        data = self._clock if self._clock is not None else self._data
        return normalize_token((type(self).__name__, self._dims, data, self._attrs or None))


class ClockIndex(Index):
    """Index of a `SampleClock` along one dimension: selection by binary search, exact alignment."""

    def __init__(
        self,
        clock: SampleClock,
        dim: Hashable = "time",
        name: Hashable | None = None,
        bounds: Hashable | None = None,
    ) -> None:
        """`bounds` names the variable in which files of this array keep the times between which each row lies.

        It is `time_bounds(clock)`, and no coordinate in memory: xarray cannot transpose, concatenate or broadcast an
        array whose coordinates have a dimension (bound) that the array has not.
        """
        self.clock, self.dim, self.name, self.bounds = clock, dim, dim if name is None else name, bounds

    def _with(self, clock: SampleClock) -> ClockIndex:
        return type(self)(clock, self.dim, self.name, self.bounds)

    @classmethod
    def from_variables(cls, variables: Mapping[Any, xr.Variable], *, options: Mapping[str, Any]) -> ClockIndex:
        if len(variables) != 1:
            raise ClockError(f"one coordinate was expected, got {', '.join(map(str, variables))}")
        ((name, variable),) = variables.items()
        clock = variable._clock if isinstance(variable, ClockVariable) else None
        if clock is None:
            raise ClockError(f"coordinate {name!r} is not made by a clock; use ra.recording(x, rate=..., start=...)")
        return cls(clock, variable.dims[0], name)

    def create_variables(self, variables: Mapping[Any, xr.Variable] | None = None) -> dict[Hashable, xr.Variable]:
        old = (variables or {}).get(self.name)
        attrs, encoding = (None, None) if old is None else (old.attrs, old.encoding)
        return {self.name: ClockVariable((self.dim,), ClockLabels(self.clock), attrs, encoding)}

    @classmethod
    def concat(cls, indexes: Sequence[Any], dim: Hashable, positions: Any = None) -> Any:
        if positions is not None or not all(isinstance(i, ClockIndex) for i in indexes):
            return PandasIndex(pd.DatetimeIndex(np.concatenate([i.to_pandas_index() for i in indexes])), dim)
        return indexes[0]._with(concat_clocks([i.clock for i in indexes]))

    def to_pandas_index(self) -> pd.Index:
        return pd.Index(materialise(self.clock), name=self.name)

    def isel(self, indexers: Mapping[Any, Any]) -> Index | None:
        key = indexers[self.dim]
        if isinstance(key, xr.Variable):
            if key.dims != (self.dim,):
                return None
            key = key.data
        if isinstance(key, slice):
            start, stop, step = key.indices(self.clock.size)
            if step > 0:
                return self._with(self.clock.slice(start, max(start, stop), step))
        elif np.ndim(key) != 1:
            return None
        rows = _rows(key, self.clock.size)
        if (np.diff(rows) > 0).all():
            return self._with(self.clock.take(rows))
        return PandasIndex(pd.Index(materialise(self.clock, rows), name=self.name), self.dim)

    # ---- selection by label ------------------------------------------------------------------------------------------

    def sel(self, labels: dict[Any, Any], method: str | None = None, tolerance: Any = None) -> IndexSelResult:
        ((_, label),) = labels.items()
        if isinstance(label, slice):
            if method is not None:
                raise ClockError(f"method={method!r} goes with a time, not with a slice of times")
            start = 0 if label.start is None else int(self._count_before(self._period(label.start)[0]))
            stop = self.clock.size if label.stop is None else int(self.clock.count_until(self._period(label.stop)[1]))
            return IndexSelResult({self.dim: slice(start, max(start, stop), label.step)})
        wrap = None
        if isinstance(label, xr.DataArray | xr.Variable):
            wrap, label = label, label.values
        if np.ndim(label) == 0:
            found = self._one(label[()] if isinstance(label, np.ndarray) else label, method, tolerance)
        else:
            times = self._array(label)
            found = self._nearest(times, method, tolerance).reshape(np.shape(label))
        if wrap is not None and not isinstance(found, slice):
            found = xr.Variable(wrap.dims, found)
            if isinstance(wrap, xr.DataArray):
                found = wrap.copy(data=found.values)
        return IndexSelResult({self.dim: found})

    def _one(self, label: Any, method: str | None, tolerance: Any) -> Any:
        low, high, resolution = self._period(label)
        calendar = self.clock.absolute and resolution is not None  # pandas takes a string of a timedelta as it stands
        if method is None and calendar and self._coarser(str(resolution)):
            start, stop = int(self._count_before(low)), int(self.clock.count_until(high))
            if start == stop and start in (0, self.clock.size):  # within a gap there is simply nothing
                raise KeyError(f"no sample in {label!r}; {self._covered()}")
            return slice(start, stop)
        return int(self._nearest(np.array([low]), method, tolerance, shown=label)[0])

    def _nearest(self, times: np.ndarray, method: str | None, tolerance: Any, shown: Any = None) -> np.ndarray:
        """Rows of times, by pandas' rules for `method`."""
        size = self.clock.size
        if not size:
            raise KeyError(f"{self._text(times[0]) if len(times) else '[]'}: this recording has no samples")
        before = self.clock.count_until(times) - 1  # the last row at or before each time, -1 where there is none
        low = np.maximum(before, 0)
        exact = (before >= 0) & (self.clock.labels(low) == times)
        after = np.where(exact, before, before + 1)
        if method is None:
            rows, bad = low, ~exact
        elif method in ("ffill", "pad"):
            rows, bad = low, before < 0
        elif method in ("bfill", "backfill"):
            rows, bad = np.minimum(after, size - 1), after >= size
        elif method == "nearest":
            high = np.minimum(after, size - 1)
            closer_above = self.clock.labels(high) - times <= times - self.clock.labels(low)  # pandas takes the larger
            rows, bad = np.where((before < 0) | (closer_above & (after < size)), high, low), np.zeros(len(times), bool)
        else:
            raise ValueError(f"method={method!r}: one of 'nearest', 'ffill', 'pad', 'bfill', 'backfill' was expected")
        if tolerance is not None:
            within = pd.Timedelta(tolerance).value if not isinstance(tolerance, np.timedelta64) else tolerance
            within = int(np.timedelta64(within, "ns").astype(np.int64))
            bad = bad | (np.abs(self.clock.labels(rows) - times) > within)
        if bad.any():
            first = shown if shown is not None else self._text(times[np.argmax(bad)])
            hint = "; between two samples, pass method='nearest'" if method is None else ""
            raise KeyError(f"no sample at {first}{hint}; {self._covered()}")
        return rows

    def _count_before(self, time: int) -> np.ndarray:
        return self.clock.count_until(time - 1)

    def _period(self, label: Any) -> tuple[int, int, str | None]:
        """First and last ns that a label covers, and the resolution of a string (None where it is not one)."""
        if isinstance(label, bytes):
            label = label.decode()
        label = str(label) if isinstance(label, np.str_) else label
        expected = (
            "a UTC time, such as '2022-03-01T12:00'," if self.clock.absolute else "a time since the start, '90s',"
        )
        number = isinstance(label, bool | int | float | np.integer | np.floating)
        if number and not isinstance(label, np.timedelta64):  # which NumPy counts among the integers
            raise TypeError(f"time={label!r} was given, {expected} was expected, not a number")
        try:
            if pd.isna(label) or not len(str(label)):
                raise ValueError("not a time")
            if not self.clock.absolute:
                return self._elapsed(label)
            if isinstance(label, str):
                return self._calendar(label)
            stamp = pd.Timestamp(label)
            stamp = (stamp.tz_convert("UTC").tz_localize(None) if stamp.tz is not None else stamp).as_unit("ns")
        except (ValueError, TypeError, OverflowError) as error:
            raise KeyError(f"time={label!r} was given, {expected} was expected ({error})") from None
        return stamp.value, stamp.value, None

    def _calendar(self, text: str) -> tuple[int, int, str | None]:
        stamp = pd.Timestamp(text)
        zone = stamp.tz
        bare = stamp.tz_localize(None) if zone is not None else stamp
        period = pd.Period(text) if zone is None else pd.Period(_without_zone(text))
        shift = 0 if zone is None else (stamp.tz_convert("UTC").tz_localize(None) - bare).value
        low = period.start_time.as_unit("ns").value
        high = (period + 1).start_time.as_unit("ns").value - 1  # end_time stops at the last microsecond
        if not low <= bare.as_unit("ns").value <= high:  # a form that Period reads otherwise: take the instant
            low = high = bare.as_unit("ns").value
        return low + shift, high + shift, period.freqstr

    def _elapsed(self, label: Any) -> tuple[int, int, str | None]:
        delta = pd.Timedelta(label).as_unit("ns")
        if not isinstance(label, str):
            return delta.value, delta.value, None
        unit = delta.resolution_string
        return delta.value, (delta + pd.tseries.frequencies.to_offset(unit)).value - 1, unit

    def _coarser(self, resolution: str) -> bool:
        """Whether a string of this resolution names a period that can hold several labels, as pandas decides it."""
        clock = self.clock
        if clock.size <= FEW:
            finest = int(np.gcd.reduce(clock.labels(np.arange(clock.size)), initial=0))
        else:
            step, rest = np.divmod(clock.period[:, 0] * clock.step, clock.period[:, 1] * clock.parts)
            finest = 1 if rest.any() else int(np.gcd.reduce(np.append(clock._first_labels, step)))
        try:
            length = pd.Timedelta(pd.tseries.frequencies.to_offset(resolution)).as_unit("ns").value
        except ValueError:  # months, quarters, years
            return True
        own = max(u for u in _RESOLUTIONS if finest % u == 0)
        return length > own

    def _array(self, labels: Any) -> np.ndarray:
        values = np.asarray(labels)
        if values.dtype.kind in "iufb":
            raise TypeError(f"times of dtype {values.dtype} were given; datetime64 or strings were expected")
        if values.dtype.kind in "OUS":
            return np.array([self._period(v)[0] for v in values.ravel()], np.int64)
        if values.dtype.kind != dtype_of(self.clock).kind:
            raise TypeError(f"times of dtype {values.dtype} were given; {dtype_of(self.clock)} was expected")
        if np.isnat(values).any():
            raise KeyError(f"{int(np.isnat(values).sum())} of {values.size} times are not a time (NaT)")
        return values.astype(dtype_of(self.clock)).astype(np.int64).ravel()

    def _text(self, time: Any) -> str:
        return self.clock.text(time)

    def _covered(self) -> str:
        clock = self.clock
        if not clock.size:
            return "the recording is empty"
        ends = f"{clock.text(clock.labels(0))} to {clock.text(clock.labels(clock.size - 1))}"
        return f"the recording runs from {ends} with {clock.gaps} gap{'' if clock.gaps == 1 else 's'}"

    # ---- alignment ---------------------------------------------------------------------------------------------------

    def equals(self, other: Index, *, exclude: Any = None) -> bool:
        if isinstance(other, ClockIndex):
            return self.dim == other.dim and self.clock == other.clock
        return False

    def join(self, other: Any, how: str = "inner") -> Any:
        if how == "left" or self.equals(other):
            return self
        if how == "right":
            return other
        mine, theirs = self.to_pandas_index(), other.to_pandas_index()
        joined = mine.join(theirs, how=how)
        return PandasIndex(joined.rename(self.name), self.dim)

    def reindex_like(self, other: Any) -> dict[Hashable, Any]:
        if isinstance(other, ClockIndex) and self.equals(other):
            return {}
        return {self.dim: self.to_pandas_index().get_indexer(other.to_pandas_index())}

    def rename(self, name_dict: Mapping[Any, Hashable], dims_dict: Mapping[Any, Hashable]) -> ClockIndex:
        bounds = None if self.bounds is None else name_dict.get(self.bounds, self.bounds)
        dim, name = dims_dict.get(self.dim, self.dim), name_dict.get(self.name, self.name)
        return type(self)(self.clock, dim, name, bounds)

    def roll(self, shifts: Mapping[Any, int]) -> None:
        return None

    def _copy(self, deep: bool = True, memo: Any = None) -> ClockIndex:
        return self._with(self.clock)

    def __dask_tokenize__(self) -> object:
        from dask.base import normalize_token

        return normalize_token((type(self).__name__, self.clock, self.dim, self.name, self.bounds))

    def _repr_inline_(self, max_width: int) -> str:
        return f"ClockIndex ({self.clock!r})"[:max_width]

    def __repr__(self) -> str:
        ordinary = f"x.assign_coords({self.name}=x.get_index({self.name!r}))"  # xarray shows this where it cannot align
        return f"ClockIndex({self.clock!r}; {ordinary} makes it an ordinary index)"


def _without_zone(text: str) -> str:
    """'2022-03-01T12:00+02:00' -> '2022-03-01T12:00': what the string says, so that its resolution can be read."""
    head, sep, tail = text.partition("T") if "T" in text else text.partition(" ")
    for sign in ("+", "-", "Z", "z"):
        tail = tail.split(sign)[0]
    return head + sep + tail
