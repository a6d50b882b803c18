"""Units on the threads of this process, or through any scheduler that has a `get`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from typing import Any

import dask
from dask._task_spec import DataNode
from dask.callbacks import Callback
from dask.system import CPU_COUNT
from dask.threaded import get as threaded_get

from ..errors import Unwritable
from .judge import Judge
from .policy import Done, Tasks
from .stop import Stop

AT_ONCE = 64  # units of which the graph is made at once
BEAT = 0.5  # s

Piece = tuple[Any, Any, Mapping[Any, Any]]  # a unit, its key, and what the key needs of the graph


def on_threads(tasks: Tasks, todo: Sequence[Any], judge: Judge, stop: Stop, beat: Callable[[], None]) -> bool:
    """Each unit on a thread of its own, from its first task to its last: one that fails does not disturb others."""
    threads = _threads()
    for units in _batches(todo, max(AT_ONCE, 16 * threads)):
        graph, keys = tasks.graph(units)
        pieces = [(unit, key, _needs(graph, key)) for unit, key in zip(units, keys, strict=True)]
        if _share(pieces) or Callback.active:  # callbacks, such as Dask's progress bar, follow one graph at a time
            whole = _whole(threaded_get, graph, pieces, judge, stop, beat)
        else:
            whole = _each(pieces, threads, judge, stop, beat)
        if not whole:
            return False
    return True


def on_scheduler(
    get: Any, tasks: Tasks, todo: Sequence[Any], judge: Judge, stop: Stop, beat: Callable[[], None]
) -> bool:
    """Units through the `get` of some scheduler."""
    for units in _batches(todo, max(AT_ONCE, len(todo) // 256)):
        graph, keys = tasks.graph(units)
        pieces = [(unit, key, _needs(graph, key)) for unit, key in zip(units, keys, strict=True)]
        if not _whole(get, graph, pieces, judge, stop, beat):
            return False
    return True


def _threads() -> int:
    """As many as Dask's own threads."""
    pool = dask.config.get("pool", None)
    if isinstance(pool, int):
        return pool
    own = getattr(pool, "_max_workers", None) if isinstance(pool, Executor) else None
    return dask.config.get("num_workers", None) or own or CPU_COUNT


def _batches(units: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (units[k : k + size] for k in range(0, len(units), size))


def _needs(graph: Mapping[Any, Any], key: Any) -> dict[Any, Any]:
    """The part of a graph that a key needs."""
    found, left = {}, [key]
    while left:
        name = left.pop()
        if name not in found:
            found[name] = graph[name]
            left += found[name].dependencies
    return found


def _share(pieces: Sequence[Piece]) -> bool:
    """Whether some work is part of several units: it should be done once."""
    seen: set[Any] = set()
    for _, _, graph in pieces:
        own = {key for key, task in graph.items() if not isinstance(task, DataNode)}
        if own & seen:
            return True
        seen |= own
    return False


def _each(pieces: Sequence[Piece], threads: int, judge: Judge, stop: Stop, beat: Callable[[], None]) -> bool:
    """Units one by one, as threads get free."""
    left = deque(pieces)
    running: dict[Future[Any], Piece] = {}
    seconds, dropped = float("nan"), False
    pool = ThreadPoolExecutor(threads, thread_name_prefix="reel-unit")
    try:
        while left or running:
            beat()
            if stop.look(seconds):
                begun = {future: piece for future, piece in running.items() if not future.cancel()}
                dropped = dropped or bool(left) or len(begun) < len(running)
                left.clear()
                running = begun
                if stop.time_left() <= 0:
                    return False
            while left and len(running) < 2 * threads:
                piece = left.popleft()
                running[pool.submit(_run, piece)] = piece
            finished = wait(running, max(0.0, min(BEAT, stop.time_left())), FIRST_COMPLETED).done if running else ()
            good = []
            for future in finished:
                piece = running.pop(future)
                error, value, took = future.result()
                if error is None:
                    good.append(Done(piece[0], value, took))
                    seconds = took
                elif judge.again(piece[0], error, seconds=took):
                    left.append(piece)
            judge.done(good)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return not dropped


def _run(piece: Piece) -> tuple[BaseException | None, Any, float]:
    """(what was raised, the value, seconds) of one unit."""
    begun = time.monotonic()
    try:
        return None, _value(piece[2], piece[1]), time.monotonic() - begun
    except BaseException as error:
        return error, None, time.monotonic() - begun


def _value(graph: Mapping[Any, Any], key: Any) -> Any:
    """What a key of a small graph stands for."""
    values: dict[Any, Any] = {}
    left = [key]
    while left:
        needed = [name for name in graph[left[-1]].dependencies if name not in values]
        if needed:
            left += needed
        else:
            name = left.pop()
            values[name] = graph[name](values)
    return values[key]


class _Left(BaseException):
    """Leaves a scheduler between two tasks: to stop, or with an error that is none of theirs."""


def _whole(
    get: Any, graph: Mapping[Any, Any], pieces: Sequence[Piece], judge: Judge, stop: Stop, beat: Callable[[], None]
) -> bool:
    """Units as one graph; after a failure those that are left one by one, to find which it was."""
    unit_of = {key: unit for unit, key, _ in pieces}
    noted = set()

    def finished(key: Any, value: Any, *state: Any) -> None:
        try:
            if key in unit_of:
                noted.add(key)
                judge.done([Done(unit_of[key], value, float("nan"))])
            beat()
        except Exception as error:
            raise _Left from error
        if stop.look(float("nan")):
            raise _Left

    try:
        with Callback(posttask=finished):
            try:
                get(graph, list(unit_of))
                return True
            except Exception as error:
                if judge.policy.on_error == "raise" or isinstance(error, Unwritable):
                    raise
            left = deque(piece for piece in pieces if piece[1] not in noted)
            while left:
                unit, key, needed = left.popleft()
                try:
                    get(needed, [key])
                except Exception as error:
                    if judge.again(unit, error):
                        left.append((unit, key, needed))
    except _Left as left_for:
        if left_for.__cause__ is not None:
            raise left_for.__cause__ from None
        return False
    return True
