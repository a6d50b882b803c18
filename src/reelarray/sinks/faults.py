"""A seam for tests of interrupted runs: points where a test may end the process or raise."""

from __future__ import annotations


def checkpoint(name: str) -> None:
    """Does nothing. Stands before and after each write, rename and marker; called as ``faults.checkpoint(...)``."""
