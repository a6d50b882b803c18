"""A small synthetic deployment, with the troubles of real ones: two gaps, a truncated file, a file of another rate."""

from __future__ import annotations

import shlex
import wave
from pathlib import Path

import numpy as np

from ..cli.codes import INCOMPLETE, OK
from ..errors import RecordingError

RATE = 24_000  # Hz
SECONDS = 30  # of a file
START = np.datetime64("2022-03-01T04:00:00", "s")
BEGINS = (0, 30, 60, 90, 180, 210, 240, 270, 390, 420, 450)  # s after START: gaps at 120-180 and 300-390
TRUNCATED, OTHER_RATE = 480, 330  # s: the recorder lost power; somebody tested another setting
TONE = 3_000.0  # Hz, all the time
CHIRP_EVERY, CHIRP_SECONDS = 15.0, 5.0
CHIRP_FROM, CHIRP_TO = 5_000.0, 9_000.0  # Hz


def samples(begin: float, rate: int, seconds: float) -> np.ndarray:
    """(time) [full scale]: noise, a tone, and a rising chirp every 15 s, as the sea has them at `begin` s."""
    t = begin + np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(round(begin)).normal(0, 3e-4, len(t))
    since = t % CHIRP_EVERY
    slope = (CHIRP_TO - CHIRP_FROM) / CHIRP_SECONDS
    chirp = np.sin(2 * np.pi * (CHIRP_FROM * since + slope * since**2 / 2)) * (since < CHIRP_SECONDS)
    return noise + 0.01 * np.sin(2 * np.pi * TONE * t) + 0.02 * chirp


def make(folder: Path) -> list[Path]:
    """Write the recordings: 16-bit WAV files named after their start, as many recorders do."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for begin in (*BEGINS, TRUNCATED, OTHER_RATE):
        rate = 48_000 if begin == OTHER_RATE else RATE
        stamp = (START + np.timedelta64(begin, "s")).item().strftime("%Y%m%d_%H%M%S")
        path = folder / f"DEMO_{stamp}.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", ""))
            file.writeframes(np.rint(samples(begin, rate, SECONDS) * 32767).astype("<i2").tobytes())
        if begin == TRUNCATED:
            with open(path, "r+b") as raw:
                raw.truncate(44 + 2 * RATE * SECONDS // 3)
        paths.append(path)
    return paths


def run(folder: Path) -> int:
    """Make the deployment in `folder`, run the main job on it by the same command a user would, say what happened."""
    from ..cli import main

    if folder.exists() and any(folder.iterdir()) and not (folder / "recordings").exists():
        raise RecordingError(f"{folder} is there and is not a demo; pass another folder: reel demo FOLDER")
    recordings = folder / "recordings"
    paths = make(recordings)
    troubles = "two gaps, one truncated file, one of another rate"
    print(f"{len(paths)} recordings of {SECONDS} s are in {recordings}: {troubles}\n")
    store, picture = folder / "spectrogram.zarr", folder / "spectrogram.png"
    for command in (
        ["scan", str(recordings), "--no-cache"],
        ["spectrogram", str(recordings), "-o", str(store), "--png", str(picture), "--rate", str(RATE), "--no-cache"],
    ):
        print(f"$ reel {shlex.join(command)}")
        code = main([*command, "--overwrite"] if command[0] == "spectrogram" else command)
        if code not in (OK, INCOMPLETE):
            return code
        print()
    print(f"The picture is {picture}; the numbers are in {store}:")
    print(f"  >>> import reelarray as ra; ra.open_zarr({str(store)!r}).sel(time='2022-03-01T04:01')")
    return OK
