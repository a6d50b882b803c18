"""Small recordings of depth cameras for tests: folders and archives, with whatever is asked of them."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np

START = "2026-01-02T03:04:05.6789012-05:00"
START_NS = 1767341045678901200


def frames_of(count, height=6, width=8, seed=0):
    """(frames, y, x) uint16 of all 16 bits, no two alike."""
    random = np.random.default_rng(seed)
    film = random.integers(0, 2**16, (count, height, width)).astype(np.uint16)
    film[:, 0, 0] = np.arange(count)
    return film


def write_recording(
    folder, count=20, *, height=6, width=8, ms=None, little=True, said=None, stamps="depth_ts.txt", trailing=0
):
    """depth.dat, metadata.json (`said=False`: none) and times (`stamps=None`: none, or the text itself of the file)."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    film = frames_of(count, height, width)
    film.astype("<u2" if little else ">u2").tofile(folder / "depth.dat")
    with open(folder / "depth.dat", "ab") as file:
        file.write(b"\1" * trailing)
    if said is not False:
        about = {"SubjectName": "3", "SessionName": "a", "StartTime": START, "DepthResolution": [width, height]}
        about |= {"IsLittleEndian": little, "Nidaq": [1, 2], **(said or {})}
        (folder / "metadata.json").write_text(json.dumps({k: v for k, v in about.items() if v is not ...}))
    ms = 1000 / 30 * np.arange(1, count + 1) if ms is None else np.asarray(ms, float)
    if stamps is not None:
        unit = 1000.0 if stamps.endswith(".csv") else 1.0
        apart = ", " if unit > 1 else " "
        (folder / stamps).write_text("".join(f"{each / unit!r}{apart}{k}\n" for k, each in enumerate(ms.tolist())))
    return str(folder / "depth.dat"), film


def pack(folder, name="session_20260102.tar.gz", *, inside="", order=None, to=None):
    """The files of a folder as an archive beside it."""
    folder = Path(folder)
    path = Path(to or folder.parent) / name
    with tarfile.open(path, "w:gz") as tar:
        for each in order or sorted(file.name for file in folder.iterdir()):
            tar.add(folder / each, inside + each)
    return str(path)
