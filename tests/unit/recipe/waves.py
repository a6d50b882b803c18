"""Small recordings for recipes."""

from __future__ import annotations

import wave

import numpy as np

RATE = 8000


def record(path, seconds=1.0, rate=RATE, seed=0, channels=1):
    """Write a WAV file of noise; returns its samples."""
    samples = np.random.default_rng(seed).integers(-8000, 8000, round(seconds * rate) * channels).astype("<i2")
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return samples


def files_below(folder):
    """{relative name: bytes} of all files that are results: nothing of the journal."""
    found = (p for p in sorted(folder.rglob("*")) if p.is_file() and ".reelarray" not in p.parts)
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}
