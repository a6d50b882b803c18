"""Small recordings for the tests of the catalog."""

from __future__ import annotations

import struct
import wave
from pathlib import Path

import numpy as np

RATE = 1000


def write_wav(
    path: Path, frames: int = RATE, *, rate: int = RATE, channels: int = 1, samples: np.ndarray | None = None
) -> Path:
    """A WAV of 16 bits; a small ramp, so that it is neither silent nor clipped, unless samples are given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.resize(np.arange(1, 100), (frames, channels)) if samples is None else samples
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(np.asarray(data, "<i2").tobytes())
    return path


def write_float_wav(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    data = np.asarray(samples, "<f4").tobytes()
    fmt = struct.pack("<HHIIHH", 3, 1, rate, 4 * rate, 4, 32)
    body = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def add_chunk(path: Path, name: bytes, body: bytes) -> Path:
    """Put a chunk behind the samples."""
    content = path.read_bytes() + name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)
    path.write_bytes(content[:4] + struct.pack("<I", len(content) - 8) + content[8:])
    return path


def add_bext(path: Path, date: str, time: str) -> Path:
    body = bytearray(602)
    body[320:330], body[330:338] = date.encode(), time.encode()
    return add_chunk(path, b"bext", bytes(body))


def add_comment(path: Path, text: str) -> Path:
    value = text.encode() + b"\0"
    item = b"ICMT" + struct.pack("<I", len(value)) + value + b"\0" * (len(value) & 1)
    return add_chunk(path, b"LIST", b"INFO" + item)


def deployment(folder: Path, count: int = 4, seconds: int = 1) -> list[Path]:
    """Back-to-back files of one recorder from 2022-09-25 22:34:50 on."""
    start = np.datetime64("2022-09-25T22:34:50")
    names = [
        f"{start + np.timedelta64(i * seconds, 's')}".replace("-", "").replace(":", "").replace("T", "_")
        for i in range(count)
    ]
    return [write_wav(folder / f"site_{name}.wav", seconds * RATE) for name in names]
