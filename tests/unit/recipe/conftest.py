from __future__ import annotations

import pytest
from waves import record


@pytest.fixture
def folder(tmp_path):
    """Four recordings of a second, the last after a gap."""
    recordings = tmp_path / "recordings"
    for second in (0, 1, 2, 10):
        record(recordings / f"X_20220301_0000{second:02d}.wav", seed=second)
    return recordings


@pytest.fixture(autouse=True)
def no_cache(tmp_path, monkeypatch):
    """Headers read by a test stay with it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
