"""Doors from kernels to lazy arrays: check, plan, have the graph made, label."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from . import layers, rowblocks
from .cells import Cells
from .clock import SampleClock
from .errors import RecordingError
from .merging import Merge
from .recordings import clock as clock_of
from .recordings import label
from .windows import Pace, Windows
from .work import HopsKernel, Kernel, StraightKernel, Taper, Work

FRAMES = 200  # rows of a block of a film: 87 MB of a camera of 512 x 424


def lift_windows(
    kernel: Kernel | StraightKernel,
    x: xr.DataArray,
    windows: Windows,
    *,
    dtype: Any,
    frames: Any = None,
    taper: Taper = None,
    prepare: Callable[[np.ndarray], None] | None = None,
    new_dims: Mapping[str, Any] | None = None,
    label_at: Any = "centre",
    block: int | None = None,
    name: str,
) -> xr.DataArray:
    """Apply a kernel to every window: (time, ...) -> (time, ..., *new_dims), one row a window.

    Parameters
    ----------
    kernel : called as ``kernel(batch, out)`` with frames (windows, ..., length), tapered, and fills out
        (windows, ..., *new); it must treat every window alike, wherever it stands in the batch
    x : a recording, in memory or lazy
    windows : length and hop in rows
    dtype, frames : of results, and of the frames that the kernel gets (that of x unless given)
    taper, prepare : frames are prepared in place, then multiplied by the taper (length,), or what it gives when called
    new_dims : name -> coordinate values of each dimension that the kernel makes
    block : rows of one block of the result; chosen for about 4 Mi samples unless given
    name : prefix of the tasks, as the dashboard shows it
    """
    _check(windows, block)
    clock, new = clock_of(x), _new(x, new_dims)
    work = _work(kernel, x, windows, dtype, frames, taper, prepare, new)
    data = layers.made_of(work, x.data, windows.plan(clock.first, clock.stops), clock, None, block, name)
    return _labelled(data, x, clock.windows(windows.length, windows.hop, label_at), new)


def lift_reduce(
    kernel: Kernel | StraightKernel | None,
    x: xr.DataArray,
    windows: Windows | None,
    merge: Merge,
    cells: Cells,
    *,
    dtype: Any,
    frames: Any = None,
    taper: Taper = None,
    prepare: Callable[[np.ndarray], None] | None = None,
    new_dims: Mapping[str, Any] | None = None,
    merged_dims: Mapping[str, Any] | None = None,
    block: int | None = None,
    name: str,
) -> xr.DataArray:
    """Apply a kernel to every window and merge the results of each cell: one row a cell, with `time_bounds`.

    (time, ...) -> (time, ..., *new_dims, *merged_dims). A cell that a task can hold is merged inside it; longer ones
    are gathered in parts of `merging.LEAF` windows, combined in a fixed tree.

    Parameters
    ----------
    kernel, windows : as for `lift_windows`; None merges the rows of x themselves. Where x is itself windows that are
        made from files (a spectrogram, say), they are made and merged in one task
    merge : how the rows of a cell become one
    cells : which windows each cell is made of
    merged_dims : name -> coordinate values of each dimension that `merge` adds
    others : as for `lift_windows`
    """
    _check(windows, block)
    clock, new = clock_of(x), _new(x, new_dims)
    work = _work(kernel or _as_they_are, x, windows or Windows(1, 1), dtype, frames, taper, prepare, new)
    work = replace(work, merge=merge)
    plan, data, ranges = work.windows.plan(clock.first, clock.stops), x.data, (cells.begin, cells.end)
    found = layers.windows_of_files(data) if kernel is None and work.frames == str(x.dtype) else None
    if found is not None and found[0].work.dtype == work.dtype and found[0].work.merge is None:
        part, before = found
        work, plan = replace(part.work, merge=merge), part.plan.windows
        ranges = cells.begin + before, cells.end + before
        data = part
    out = layers.made_of(work, data, plan, clock, ranges, block, name)
    return _labelled(out, x, cells.clock, new | dict(merged_dims or {}), bounds=True)


def _new(x: xr.DataArray, new_dims: Mapping[str, Any] | None) -> dict[str, Any]:
    """The dimensions that a kernel makes, none of which the array has."""
    if taken := [name for name in new_dims or {} if name in x.dims]:
        raise RecordingError(
            f"an array with dimensions {x.dims} was given, and the transform makes {', '.join(map(repr, taken))} "
            "itself; samples were expected: was it transformed before?"
        )
    return dict(new_dims or {})


def lift_rows(
    kernel: Callable[[np.ndarray, np.ndarray], np.ndarray],
    x: xr.DataArray,
    values: np.ndarray,
    *,
    dtype: Any,
    name: str,
) -> xr.DataArray:
    """Apply a kernel to rows and a number for each, ``kernel(rows, numbers)``: (time, ...), (time,) -> (time, ...).

    Blocks stay as they are; the numbers of each go to its task. (In arithmetic of its own Dask would rechunk them.)

    Parameters
    ----------
    kernel : rows (n, ...) and their numbers (n,) -> rows (n, ...)
    x : a recording, in memory or lazy
    values : a number for each row
    dtype : of the result
    name : prefix of the tasks, as the dashboard shows it
    """
    if x.chunks is None:
        return x.copy(deep=False, data=kernel(x.values, values).astype(dtype, copy=False))
    return x.copy(deep=False, data=layers.beside_rows(kernel, x.data, values, dtype, name))


def lift_frames(
    kernel: Callable[..., np.ndarray],
    x: xr.DataArray,
    *beside: Any,
    dtype: Any,
    halo: int = 0,
    borders: Any = (),
    new_dims: Mapping[str, Any] | None = None,
    block: int = FRAMES,
    name: str,
) -> xr.DataArray:
    """Apply a kernel to rows as they are, a block at a time: (time, ...) -> (time, *new_dims), one row for each.

    Where x reads from files a block is one task that reads just what it needs; of any other array blocks stay as they
    are.

    Parameters
    ----------
    kernel : called as ``kernel(rows, *beside, lead=, trail=)`` with rows (lead + n + trail, ...) and, of what stands
        beside, n each; gives (n, *new_dims), and each row alike however the rows are cut
    x : a recording, in memory or lazy
    beside : numbers or records of each row: arrays (time,), in memory or lazy
    dtype : of the result; a structured one for records
    halo : rows that a row needs before and after it; at the ends and at `borders` there are fewer
    borders : rows, in order, before which nothing is seen from what comes after, and the other way round
    new_dims : name -> coordinate values of each dimension that the kernel makes
    block : rows of a block, where x reads from files
    name : prefix of the tasks, as the dashboard shows it
    """
    _check(None, block)
    clock, new = clock_of(x), dict(new_dims or {})
    others = [each.data if isinstance(each, xr.DataArray) else each for each in beside]
    if wrong := [len(each) for each in others if len(each) != clock.size]:
        raise RecordingError(f"{wrong[0]:,} rows stand beside {clock.size:,} of the recording; as many were expected")
    cuts = np.asarray(borders, np.int64)
    shape = tuple(len(v) for v in new.values())
    data = rowblocks.around(kernel, x.data, others, cuts, halo, shape, np.dtype(dtype), block, name)
    return _of_same_rows(data, x, new)


def lift_scan(
    kernel: Callable[..., tuple[np.ndarray, Any]],
    *xs: xr.DataArray,
    state: Any,
    dtype: Any,
    name: str,
    backward: bool = False,
) -> xr.DataArray:
    """A true recursion: blocks in order, each handed the state that the one before it gave. (time, ...) -> (time).

    Only the recursion is a chain; what makes the blocks of `xs`, and what is made of the result, stays parallel.

    Parameters
    ----------
    kernel : called as ``kernel(*rows, state)``, gives (results, state); however rows are cut, results are the same
    xs : recordings of the same rows, the first of which says how they are cut
    state : before the first row: a value, or a recording that is handed over whole
    dtype : of the result; a structured one for records
    name : prefix of the tasks, as the dashboard shows it
    backward : from the last block to the first; the kernel sees rows in their order
    """
    begun = state.data if isinstance(state, xr.DataArray) else state
    data = rowblocks.chain(kernel, [x.data for x in xs], begun, np.dtype(dtype), name, backward=backward)
    return _of_same_rows(data, xs[0], {})


def lift_whole(kernel: Callable[..., np.ndarray], *xs: Any, dtype: Any, name: str) -> xr.DataArray:
    """Apply a kernel to all rows at once, in one task: (time,) -> (time,). For a few numbers of each row only.

    Parameters
    ----------
    kernel : called as ``kernel(*rows)`` with all of them
    xs : recordings of the same rows, the first of which says how the result is cut; others may be plain arrays
    dtype : of the result; a structured one for records
    name : prefix of the tasks, as the dashboard shows it
    """
    data = rowblocks.whole(kernel, [getattr(x, "data", x) for x in xs], np.dtype(dtype), name)
    return _of_same_rows(data, xs[0], {})


def _of_same_rows(data: Any, x: xr.DataArray, new: Mapping[str, Any]) -> xr.DataArray:
    coords = {n: c for n, c in x.coords.items() if set(c.dims) <= {"time"} and n not in new}
    return label(data, clock_of(x), dims=tuple(new), coords={**coords, **new}, attrs=x.attrs)


def lift_filter(
    kernel: HopsKernel,
    x: xr.DataArray,
    windows: Windows,
    *,
    dtype: Any,
    frames: Any = None,
    block: int | None = None,
    name: str,
) -> xr.DataArray:
    """Apply a kernel that makes the rows of a hop of each window, at the pace of `windows`: (time, ...) -> (time, ...).

    Nothing is invented at the ends of a stretch: what would need rows from outside it has no result, and the clock
    shows it. Rows that stand between those of x have labels between theirs.

    Parameters
    ----------
    kernel : called as ``kernel(batch, out, number)`` with frames (windows, ..., length), fills out
        (windows, ..., windows.rows), where window k of a stretch gives its rows from ``pace.first + k * windows.rows``
        on; `number` is that of the first window of the batch. The last frame of a stretch is filled up with zeros, and
        what they make is cut off
    x : a recording, in memory or lazy
    windows : length, hop, and the pace of what they give
    dtype, frames : of results, and of the frames that the kernel gets
    block : rows of one block of the result; chosen for about 4 Mi samples unless given
    name : prefix of the tasks, as the dashboard shows it
    """
    _check(windows, block)
    pace, clock = windows.pace, clock_of(x)
    assert pace is not None
    work = replace(_work(kernel, x, windows, dtype, frames, None, None, {}), hops=True)
    plan = work.windows.plan(clock.first, clock.stops)
    data = layers.made_of(work, x.data, plan, clock, None, block, name)
    return _labelled(data, x, _at_pace(clock, pace), {})


def _at_pace(clock: SampleClock, pace: Pace) -> SampleClock:
    """The clock of the rows that filters give of each stretch."""
    counts = pace.count(clock.stops - clock.first)
    keep = counts > 0
    stands_alone = clock.lead == 0 and clock.span == clock.step  # then a row still stands for the time to the next
    fine = clock.in_parts(clock.parts * pace.up)
    step = clock.step * pace.down
    return fine.with_stretches(
        np.flatnonzero(keep),
        first=(np.cumsum(counts) - counts)[keep],
        offset=(fine.offset + pace.first * step)[keep],
        step=step,
        span=step if stands_alone else fine.span,
        size=int(counts.sum()),
    ).reduced()


def _check(windows: Windows | None, block: int | None) -> None:
    if windows is not None and (windows.length < 1 or windows.hop < 1):
        raise RecordingError(f"windows of {windows.length} rows every {windows.hop}: both must be 1 or more")
    if block is not None and (isinstance(block, bool) or not isinstance(block, int | np.integer) or block < 1):
        raise RecordingError(
            f"block={block!r} was given; a whole number of rows of the result, 1 or more, was expected"
        )


def _work(
    kernel: Any, x: xr.DataArray, windows: Windows, dtype: Any, frames: Any, taper: Any, prepare: Any, new: dict
) -> Work:
    return Work(
        kernel=kernel,
        windows=windows,
        shape=tuple(len(v) for v in new.values()),
        dtype=str(np.dtype(dtype)),
        frames=str(np.dtype(x.dtype if frames is None else frames)),
        taper=taper,
        prepare=prepare,
    )


def _as_they_are(batch: np.ndarray, out: np.ndarray) -> None:
    """(windows, ..., 1) -> (windows, ...): the rows themselves."""
    np.copyto(out, batch[..., 0])


def _labelled(
    data: Any, x: xr.DataArray, clock: SampleClock, new: Mapping[str, Any], bounds: bool = False
) -> xr.DataArray:
    coords = {n: c for n, c in x.coords.items() if "time" not in c.dims and n not in new}
    return label(data, clock, dims=(*x.dims[1:], *new), coords={**coords, **new}, attrs=x.attrs, bounds=bounds)
