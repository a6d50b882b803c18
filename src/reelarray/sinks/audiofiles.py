"""Audio files written from their beginning to their end: WAV by our own header, FLAC by libsndfile, npz."""

from __future__ import annotations

import json
import struct
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from .. import __version__
from ..errors import RecordingError

LARGEST_RIFF = 2**32 - 1  # bytes that a 32-bit size can tell; beyond, RF64 (EBU Tech 3306)
_CODES = {"int16": (1, 2), "int24": (1, 3), "int32": (1, 4), "float32": (3, 4), "float64": (3, 8)}


@dataclass(frozen=True)
class Facts:
    """What is known of one file before its first sample; `dtype` as in `write_audio`, `channels` 0 for mono.

    `start` is UTC text in ISO 8601 to the nanosecond; a value of full scale is `scale` in `units`.
    """

    frames: int
    channels: int
    rate: Fraction
    dtype: str
    start: str
    units: str
    scale: float
    attrs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def array_dtype(self) -> np.dtype:
        """Of the samples as they are handed over: 24 bits stand in the lower three bytes of 32."""
        return np.dtype("int32" if self.dtype == "int24" else self.dtype)

    @property
    def words(self) -> str:
        """For people: the level is in it."""
        level = f"full scale is {self.scale:.9g} {self.units}" if self.dtype.startswith("int") else self._as_they_are
        return f"starts {self.start}; {level}"

    @property
    def _as_they_are(self) -> str:
        return f"values in {self.units}" if self.scale == 1 else f"values in {self.scale:.9g} {self.units}"


class AudioFile(ABC):
    """A file that takes samples (frames[, channels]) block after block; used in `with`."""

    def __init__(self, path: Path, facts: Facts) -> None:
        self.facts = facts

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None:
        self.close()

    @abstractmethod
    def write(self, samples: np.ndarray) -> None: ...

    @abstractmethod
    def close(self) -> None: ...


class WavFile(AudioFile):
    """RIFF, or RF64 where 32 bits cannot tell the size; all that is said about the samples stands before them."""

    def __init__(self, path: Path, facts: Facts) -> None:
        super().__init__(path, facts)
        self._file: IO[bytes] = open(path, "wb")  # noqa: SIM115
        self._size = facts.frames * max(1, facts.channels) * _CODES[facts.dtype][1]
        self._file.write(wav_header(facts))

    def write(self, samples: np.ndarray) -> None:
        little = np.ascontiguousarray(samples, samples.dtype.newbyteorder("<"))
        if self.facts.dtype == "int24":
            little = np.ascontiguousarray(little.view(np.uint8).reshape(-1, 4)[:, :3])
        self._file.write(little.data.cast("B"))

    def close(self) -> None:
        if self._size & 1:
            self._file.write(b"\0")
        self._file.close()


def wav_header(facts: Facts) -> bytes:
    """All bytes of a WAV file before its first sample."""
    tag, width = _CODES[facts.dtype]
    channels = max(1, facts.channels)
    block, rate = channels * width, int(facts.rate)
    data = facts.frames * block
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, 8 * width)
    said = _chunk(b"LIST", b"INFO" + b"".join(_chunk(k, v.encode() + b"\0") for k, v in _info(facts).items()))
    said += _chunk(b"guan", _guano(facts).encode())
    frames = min(facts.frames, 0xFFFFFFFF)
    middle = _chunk(b"fmt ", fmt) + (_chunk(b"fact", struct.pack("<I", frames)) if tag == 3 else b"") + said
    whole = 4 + len(middle) + 8 + data + (data & 1)
    if whole <= LARGEST_RIFF:
        return b"RIFF" + struct.pack("<I", whole) + b"WAVE" + middle + b"data" + struct.pack("<I", data)
    sizes = _chunk(b"ds64", struct.pack("<QQQI", whole + 36, data, facts.frames, 0))
    return b"RF64\xff\xff\xff\xffWAVE" + sizes + middle + b"data\xff\xff\xff\xff"


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)


def _info(facts: Facts) -> dict[bytes, str]:
    return {b"ICRD": facts.start[:10], b"ISFT": f"reelarray {__version__}", b"ICMT": facts.words}


def _guano(facts: Facts) -> str:
    """Fields of the Grand Unified Acoustic Notation Ontology, one a line; ours under our own name."""
    fields = {
        "GUANO|Version": "1.0",
        "Timestamp": facts.start,
        "Samplerate": str(int(facts.rate)),
        "Length": f"{float(facts.frames / facts.rate):.9f}",
        "Note": facts.words,
        "reelarray|Version": __version__,
        "reelarray|Units": facts.units,
        "reelarray|Scale": repr(facts.scale),
        "reelarray|Attributes": json.dumps(dict(facts.attrs)),
    }
    return "\n".join(f"{key}: {value}" for key, value in fields.items()) + "\n"


class FlacFile(AudioFile):
    """FLAC of 16 or 24 bits through libsndfile."""

    def __init__(self, path: Path, facts: Facts) -> None:
        import soundfile

        super().__init__(path, facts)
        subtype = {"int16": "PCM_16", "int24": "PCM_24"}[facts.dtype]
        try:
            self._file = soundfile.SoundFile(path, "w", int(facts.rate), max(1, facts.channels), subtype, format="FLAC")
        except soundfile.LibsndfileError as error:
            raise RecordingError(
                f"FLAC takes up to 8 channels and 655350 Hz; {max(1, facts.channels)} at {facts.rate} Hz were given "
                f"({error}): use format='wav'"
            ) from None
        self._file.software = f"reelarray {__version__}"
        self._file.date = facts.start
        self._file.comment = _guano(replace(facts, attrs={}))

    def write(self, samples: np.ndarray) -> None:
        self._file.write(samples << 8 if self.facts.dtype == "int24" else samples)  # libsndfile takes the upper bytes

    def close(self) -> None:
        self._file.close()


class NpzFile(AudioFile):
    """A NumPy archive with `data`, `samplerate` [Hz], `start` and `attrs` (JSON), uncompressed."""

    def __init__(self, path: Path, facts: Facts) -> None:
        super().__init__(path, facts)
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)
        rate = int(facts.rate) if facts.rate.denominator == 1 else float(facts.rate)
        about = {**facts.attrs, "units": facts.units, "scale": facts.scale, "software": f"reelarray {__version__}"}
        members = {"samplerate": rate, "start": facts.start, "attrs": json.dumps(about)}
        for name, value in members.items():
            with self._zip.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.asarray(value), allow_pickle=False)
        self._data = self._zip.open("data.npy", "w", force_zip64=True)
        shape = (facts.frames,) if not facts.channels else (facts.frames, facts.channels)
        descr = np.lib.format.dtype_to_descr(facts.array_dtype)
        np.lib.format.write_array_header_1_0(
            self._data,
            {"descr": descr, "fortran_order": False, "shape": shape},  # type: ignore[arg-type]
        )

    def write(self, samples: np.ndarray) -> None:
        self._data.write(np.ascontiguousarray(samples).data.cast("B"))

    def close(self) -> None:
        self._data.close()
        self._zip.close()


FILES: dict[str, type[AudioFile]] = {"wav": WavFile, "flac": FlacFile, "npz": NpzFile}
DTYPES = {
    "wav": ("float32", "float64", "int16", "int24", "int32"),
    "flac": ("int16", "int24"),
    "npz": ("float32", "float64", "int16", "int32"),
}
