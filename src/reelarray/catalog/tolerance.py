"""How far the start of a file may be from the end of the one before for the two to be joined: one rule for all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from reelarray.catalog.zones import SECOND
from reelarray.errors import ClockError


@dataclass(frozen=True)
class Tolerance:
    """`ns` between two files that are still joined.

    `capped`: not given but assumed of starts in whole seconds, hence at most half of the shorter of the two files.
    Files of 1 s that start every 2 s are a duty cycle; joined, their labels would run at half the speed.
    """

    ns: int
    capped: bool = False

    @classmethod
    def of(cls, given: float | None, starts: np.ndarray, rates: Iterable[Fraction]) -> Tolerance:
        """From seconds, or where None from the starts (ns): 1 s where all are whole seconds, else one sample."""
        if given is not None:
            if not given >= 0:
                raise ClockError(f"tolerance={given!r} was given; expected seconds, 0 or more")
            return cls(round(given * SECOND))
        lowest = min(rates, default=None)
        if lowest is not None and (starts % SECOND).any():
            return cls(-(-SECOND * lowest.denominator // lowest.numerator))
        return cls(SECOND, capped=True)

    def gap(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Durations (ns) of two neighbours -> ns without samples between them that still join them."""
        return np.minimum(self.ns, np.minimum(before, after) // 2) if self.capped else np.full_like(before, self.ns)

    def overlap(self, before: np.ndarray) -> np.ndarray:
        """Duration (ns) of a file -> ns that the next one may start before its end and still be joined to it.

        Never more than half: its labels would run more than twice too fast, or not at all.
        """
        return np.minimum(self.ns, before // 2)
