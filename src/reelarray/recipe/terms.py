"""How a run is carried out: nothing here changes its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..driving import Policy, Stop, Workers, in_use


@dataclass(frozen=True)
class Terms:
    """How a run is carried out.

    Parameters
    ----------
    policy : how failures are treated
    stop : asked before each unit
    workers : asked for once the output is held and there is something to do
    retry_failed, verify, overwrite, wait, progress : as in `run_recipe`
    """

    policy: Policy = field(default_factory=Policy)
    stop: Stop = field(default_factory=Stop)
    workers: Workers = in_use
    retry_failed: bool = False
    verify: bool = False
    overwrite: bool = False
    wait: float = 0.0
    progress: Callable[[int, int, int], None] | None = None
