"""Paths in recipes: relative ones count from a folder, that of the recipe's file."""

from __future__ import annotations

import os


def absolute(path: str, folder: str) -> str:
    """A path from a folder on; URLs stay.

    >>> absolute("spectra/a.npz", "/data"), absolute("s3://bucket/a.wav", "/data")
    ('/data/spectra/a.npz', 's3://bucket/a.wav')
    """
    return path if "://" in path else os.path.join(folder, os.path.expanduser(path))


def moved(path: str, before: str, now: str) -> str:
    """A path that means from the folder `now` on what it meant from `before`.

    >>> moved("recordings", "/data", "/data/recipes")
    '../recordings'
    """
    if "://" in path or os.path.isabs(os.path.expanduser(path)) or before == now:
        return path
    return os.path.relpath(os.path.join(before, path), now)
