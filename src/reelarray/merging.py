"""How the rows of a cell become one: gathered in tasks, combined across tasks, finished; always in one order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

LEAF = 65536  # rows gathered one by one; what so many have become is combined with others: the order of every result
FAN = 16  # so many are combined at once

Shape = tuple[int, ...]


class Gather(Protocol):
    """Takes rows in order. `take` gives what they have become, the state of a cell, and begins anew."""

    def __call__(self, rows: np.ndarray) -> None: ...

    def take(self) -> np.ndarray: ...


class Merge(Protocol):
    """How the rows of a cell become one. A frozen, picklable value.

    Rows of a cell are gathered `LEAF` at a time; states of leaves are combined `FAN` at a time, in order, those again,
    and the last state is finished. Whether one task does it or many, the result is the same to the bit.
    """

    divisible: bool  # whether a cell may be gathered in parts, and `combine` is ever called

    def state(self, shape: Shape, dtype: np.dtype) -> tuple[Shape, np.dtype]:
        """Shape and dtype of the state of a cell, of rows of this shape and dtype."""
        ...

    def result(self, shape: Shape, dtype: np.dtype) -> tuple[Shape, np.dtype]:
        """Shape and dtype of what a cell becomes: that of a row, and perhaps more axes behind it."""
        ...

    def gather(self, shape: Shape, dtype: np.dtype, compiled: bool) -> Gather:
        """What takes the rows of a leaf."""
        ...

    def combine(self, states: np.ndarray) -> np.ndarray:
        """States (parts, ...) in order -> one state."""
        ...

    def finish(self, state: np.ndarray, count: int) -> np.ndarray:
        """The state of a cell of `count` rows -> its result."""
        ...


class Tree:
    """The states of the leaves of one cell as they come, combined `FAN` at a time: few are ever kept."""

    def __init__(self, combine: Callable[[np.ndarray], np.ndarray]) -> None:
        self.combine = combine
        self.levels: list[list[np.ndarray]] = []

    def add(self, state: np.ndarray, level: int = 0) -> None:
        if level == len(self.levels):
            self.levels.append([])
        self.levels[level].append(state)
        if len(self.levels[level]) == FAN:
            self.add(self._combined(level), level + 1)

    def take(self) -> np.ndarray:
        """The state of all leaves."""
        for level in range(len(self.levels) - 1):
            if self.levels[level]:
                self.add(self._combined(level), level + 1)
        top = next(states for states in reversed(self.levels) if states)
        state = top[0] if len(top) == 1 else self.combine(np.stack(top))
        self.levels = []
        return state

    def _combined(self, level: int) -> np.ndarray:
        states, self.levels[level] = self.levels[level], []
        return states[0] if len(states) == 1 else self.combine(np.stack(states))


def in_order(states: np.ndarray) -> np.ndarray:
    """The sum of states (parts, ...), one after the other."""
    total = states[0].copy()
    for state in states[1:]:
        total += state
    return total


# ---- means -----------------------------------------------------------------------------------------------------------


def wide(dtype: Any) -> np.dtype:
    """dtype of sums, wide enough that their order is all that matters."""
    return np.dtype("complex128" if np.dtype(dtype).kind == "c" else "float64")


@dataclass(frozen=True)
class Mean:
    """The mean: sums in float64, row after row."""

    divisible = True

    def state(self, shape: Shape, dtype: np.dtype) -> tuple[Shape, np.dtype]:
        return shape, wide(dtype)

    def result(self, shape: Shape, dtype: np.dtype) -> tuple[Shape, np.dtype]:
        return shape, dtype

    def gather(self, shape: Shape, dtype: np.dtype, compiled: bool) -> Gather:
        return CompiledSums(shape, wide(dtype)) if compiled else Sums(shape, wide(dtype))

    def combine(self, states: np.ndarray) -> np.ndarray:
        return in_order(states)

    def finish(self, state: np.ndarray, count: int) -> np.ndarray:
        return state / count


class Sums:
    """Sums rows one by one, in order: the result cannot depend on how the rows arrived."""

    def __init__(self, shape: Shape, dtype: np.dtype) -> None:
        self.shape = shape
        self.total = np.zeros(int(np.prod(shape, dtype=np.int64)), dtype)
        self.buffer = np.zeros((1, self.total.size), dtype)

    def __call__(self, rows: np.ndarray) -> None:
        if len(self.buffer) <= len(rows):
            self.buffer = np.empty((len(rows) + 1, self.total.size), self.total.dtype)
        stacked = self.buffer[: len(rows) + 1]
        stacked[0] = self.total
        stacked[1:] = rows.reshape(len(rows), -1)
        if self.total.size > 1:
            np.add.reduce(stacked, axis=0, out=self.total)  # along the first axis NumPy adds row after row
        else:
            self.total[0] = np.add.accumulate(stacked[:, 0])[-1]  # a single column it would add in pairs

    def take(self) -> np.ndarray:
        state, self.total = self.total, np.zeros_like(self.total)
        return state.reshape(self.shape)


class CompiledSums(Sums):
    """The same sums, to the bit, without a copy of the rows."""

    def __call__(self, rows: np.ndarray) -> None:
        from . import compiled

        compiled.add_rows(rows.reshape(len(rows), -1), self.total)


# ---- medians ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Median:
    """The median over the bias that it has for exponential variables, as in Welch's method: keeps all rows."""

    divisible = False

    def state(self, shape: Shape, dtype: np.dtype) -> tuple[Shape, np.dtype]:
        return shape, dtype  # of one row

    def result(self, shape: Shape, dtype: np.dtype) -> tuple[Shape, np.dtype]:
        return shape, dtype

    def gather(self, shape: Shape, dtype: np.dtype, compiled: bool) -> Gather:
        return _Kept()

    def combine(self, states: np.ndarray) -> np.ndarray:
        raise NotImplementedError("a median needs all rows at once")

    def finish(self, state: np.ndarray, count: int) -> np.ndarray:
        return np.median(state.astype(np.float64), axis=0) / median_bias(count)


class _Kept:
    def __init__(self) -> None:
        self.rows: list[np.ndarray] = []

    def __call__(self, rows: np.ndarray) -> None:
        self.rows.append(rows.copy())

    def take(self) -> np.ndarray:
        rows, self.rows = np.concatenate(self.rows), []
        return rows


def median_bias(count: int) -> float:
    """Expected median of `count` unit exponential variables: Allen et al. 2012, Phys. Rev. D 85, 122006, appendix B.

    >>> median_bias(1), round(median_bias(3), 6)
    (1.0, 0.833333)
    """
    k = np.arange(2, count, 2)
    return float(1 + np.sum(1 / (k + 1) - 1 / k))
