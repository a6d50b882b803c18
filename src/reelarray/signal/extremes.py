"""The largest or the least of the rows of a cell, as a merge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..merging import Gather, Shape


@dataclass(frozen=True)
class Extreme:
    """The largest row, value by value, or the least: exact, whatever the order; NaN where any is NaN."""

    largest: bool
    divisible = True

    def state(self, shape: Shape, dtype: np.dtype) -> tuple[Shape, np.dtype]:
        return shape, dtype

    def result(self, shape: Shape, dtype: np.dtype) -> tuple[Shape, np.dtype]:
        return shape, dtype

    def gather(self, shape: Shape, dtype: np.dtype, compiled: bool) -> Gather:
        return _Running(self)

    def combine(self, states: np.ndarray) -> np.ndarray:
        return np.max(states, axis=0) if self.largest else np.min(states, axis=0)

    def finish(self, state: np.ndarray, count: int) -> np.ndarray:
        return state + state.dtype.type(0)  # of 0.0 and -0.0, which are equal, the order would choose


class _Running:
    def __init__(self, extreme: Extreme) -> None:
        self.extreme = extreme
        self.states: list[np.ndarray] = []

    def __call__(self, rows: np.ndarray) -> None:
        self.states.append(self.extreme.combine(rows))
        if len(self.states) > 1:
            self.states = [self.extreme.combine(np.stack(self.states))]

    def take(self) -> np.ndarray:
        (state,), self.states = self.states, []
        return state
