"""Recordings to measure with: noise and tones, different in every second, as WAV, FLAC or .tiq files."""

from __future__ import annotations

import tempfile
import wave
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

RATE = 48000
START = datetime(2022, 3, 1)
NAME = "%Y%m%d_%H%M%S"
FILE_SECONDS = 300
MILLION = 2**20
TONES = (441, 3000, 12345)  # Hz, whole numbers: each second of them is the same


def samples(count: int, seed: int) -> np.ndarray:
    """(count,) int16: noise with a few tones."""
    rng = np.random.default_rng(seed)
    time = np.arange(RATE) / RATE
    tones = sum(900 * np.sin(2 * np.pi * f * time) for f in TONES).astype(np.float32)
    out = np.empty(count, np.int16)
    for first in range(0, count, RATE):
        part = out[first : first + RATE]
        noise = rng.standard_normal(len(part), dtype=np.float32)
        noise *= 1500
        noise += tones[: len(part)]
        part[:] = noise
    return out


def folder(root: Path, seconds: float, suffix: str = "wav") -> str:
    """A folder with a recording of `seconds`, in files that follow each other; made unless it is there already."""
    here = root / f"{suffix}-{seconds:g}s"
    if not (here / "whole").exists():
        here.mkdir(parents=True, exist_ok=True)
        left, number = round(seconds * RATE), 0
        while left > 0:
            count = min(left, FILE_SECONDS * RATE)
            name = START + timedelta(seconds=number * FILE_SECONDS)
            write(here / f"{name:{NAME}}.{suffix}", samples(count, number), RATE)
            left, number = left - count, number + 1
        (here / "whole").touch()
    return str(here)


def repeated(root: Path, hours: int) -> str:
    """A folder of so many hours: the files of one hour, linked under the names of all of them.

    An hour is 346 MB, ten times the largest cache: by the time that a file comes again, no trace of it is left there.
    """
    here = root / f"wav-{hours}h"
    if not (here / "whole").exists():
        here.mkdir(parents=True, exist_ok=True)
        for path in map(Path, paths(folder(root, 3600.0))):
            start = datetime.strptime(path.stem, NAME)
            for hour in range(hours):
                link = here / f"{start + timedelta(hours=hour):{NAME}}.wav"
                link.unlink(missing_ok=True)
                link.hardlink_to(path)
        (here / "whole").touch()
    return str(here)


def warm(work: Callable[[str], object], suffix: str = "wav", seconds: float = 2.5) -> None:
    """Do the work once on a few seconds, so that what it imports and compiles is neither timed nor weighed."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as root:
        work(folder(Path(root), seconds, suffix))


def write(path: Path, counts: np.ndarray, rate: int = RATE) -> None:
    """One file of 16-bit samples."""
    if path.suffix == ".wav":
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", ""))
            file.writeframes(counts.astype("<i2").tobytes())
    else:
        import soundfile

        soundfile.write(path, counts, rate, subtype="PCM_16")


def paths(folder: str, suffix: str = "wav") -> list[str]:
    return sorted(str(p) for p in Path(folder).glob(f"*.{suffix}"))


def read_all(folder: str, dtype: str = "float32", suffix: str = "wav") -> np.ndarray:
    """All samples of a folder in memory, as a user would have them."""
    import soundfile

    return np.concatenate([soundfile.read(path, dtype=dtype)[0] for path in paths(folder, suffix)])


TIQ_HEADER = 96_648  # bytes, of a real one
TIQ_SCALING = 5.2372117103283264e-12  # V a count, of a real one
_TIQ = """<DataFile offset="{offset:09d}" version="0.3">\r
<DataSetsCollection xmlns="http://www.tektronix.com"><DataSets><DataDescription>\r
<DateTime>2022-03-01T00:00:00.0000000+00:00</DateTime><NumberSamples>{count}</NumberSamples>\r
<Scaling units="Volts">{scaling}</Scaling><SamplingFrequency units="Hz">{rate}</SamplingFrequency>\r
<SamplesType>IQ</SamplesType><NumberFormat>Int32</NumberFormat><Endian>Little</Endian>\r
</DataDescription><ProductSpecific name="RSA5103A"><AcquisitionBandwidth units="Hz">{bandwidth}</AcquisitionBandwidth>\r
<Frequency units="Hz">244778900</Frequency></ProductSpecific>\r
<DataSet><TimestampOffset>0</TimestampOffset></DataSet></DataSets></DataSetsCollection>\r
<Setup>{filling}</Setup></DataFile>"""


def analyser(root: Path, count: int, rate: int) -> str:
    """A .tiq file of so many IQ samples, int32 pairs behind a header as long as a real one; made unless it is there."""
    path = root / f"{count}.tiq"
    if not path.exists():
        facts = {"offset": TIQ_HEADER, "count": count, "scaling": TIQ_SCALING, "rate": rate, "bandwidth": rate * 0.8}
        empty = _TIQ.format(filling="", **facts).encode()
        header = _TIQ.format(filling=" " * (TIQ_HEADER - len(empty)), **facts).encode()
        temporary = path.with_suffix(".part")
        with open(temporary, "wb") as file:
            file.write(header)
            for first in range(0, count, MILLION):
                pairs = samples(2 * min(MILLION, count - first), seed=first).astype("<i4")
                pairs *= 2**14
                pairs.tofile(file)
        temporary.rename(path)
    return str(path)
