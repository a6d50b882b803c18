"""Runs submitted by PBS's commands over a real Slurm, which tell less: no exit codes, no variables of PBS."""

from __future__ import annotations

import pytest
from submit_scenarios import *  # noqa: F403

pytestmark = pytest.mark.torque


@pytest.fixture
def kind() -> str:
    return "pbs"
