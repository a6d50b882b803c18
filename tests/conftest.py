"""What all tests may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recordings and reference values that are too large for the repository."""
    folder = Path(os.environ.get("REELARRAY_SHARED") or Path(__file__).parents[2] / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"no test data at {folder}; set REELARRAY_SHARED to the folder that holds data/")
    return folder
