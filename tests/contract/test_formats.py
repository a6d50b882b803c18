"""Every format keeps the contract: one row each."""

from __future__ import annotations

import json
import os
import pkgutil
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import reelarray.formats
from reelarray import formats, testing
from reelarray.errors import TruncatedFile
from reelarray.source import Format, Header
from reelarray.testing import check_format

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "formats"))
import analyser_files as analysers
import depth_recordings as depths
import iq_files
import receiver_files as receivers

COUNTS = (np.random.default_rng(5).normal(size=(9000, 2)) * 4000).astype(np.int16)
Write = Callable[[str], np.ndarray | None]


def sound(counts: np.ndarray, exact: bool, **options: Any) -> Write:
    def write(path: str) -> np.ndarray | None:
        soundfile.write(path, counts, 22050, **options)
        return counts if exact else None

    return write


def npz(path: str) -> np.ndarray:
    np.savez(path, data=COUNTS, samplerate=22050)
    return COUNTS


def raw(path: str) -> np.ndarray:
    COUNTS.tofile(path)
    return COUNTS


def tiq(path: str) -> np.ndarray:
    return analysers.write_tiq(path, 9000, datasets=3, gaps=[0.5, 0.1], rate=22050.0)


def xdat(path: str) -> np.ndarray:
    return receivers.write_xdat(path, 9000, recording={"sample_rate": "22050"})


def r3f(path: str) -> np.ndarray:
    return receivers.write_r3f(path, 3, rate=22050.0, intermediate_frequency=5000.0)


def iqt(path: str) -> np.ndarray:
    return receivers.write_iqt(path, 4, FrameLength=repr(1024 / 22050))


def text(path: str) -> np.ndarray:
    values = COUNTS.astype(float).view(complex)[:, 0]
    rows = "".join(f"{z.real!r}|{z.imag!r}\n" for z in values.tolist())
    Path(path).write_text("22050|1e6\n" + rows)
    return values


def sigmf(path: str) -> np.ndarray:
    about = {"core:datatype": "ci16_le", "core:version": "1.2.0", "core:sample_rate": 22050}
    COUNTS.tofile(path.replace("-meta", "-data"))
    document = {"global": about, "captures": [{"core:sample_start": 0}], "annotations": []}
    Path(path).write_text(json.dumps(document))
    return COUNTS


def two(path: str) -> np.ndarray:
    COUNTS.tofile(path)
    return COUNTS.reshape(-1, 2, 2)


def records(path: str) -> np.ndarray:
    made = iq_files.Records(pairs=COUNTS, samples=900, gains=[2e-3] * 10, facts={"IQRate": 22050.0})
    Path(path).write_bytes(made.one_segment_each())
    return COUNTS


def volts(path: str) -> np.ndarray:
    values = COUNTS.astype(np.float32).view(np.complex64)[:, 0]
    values.tofile(path)
    return values


def depth(path: str) -> np.ndarray:
    _, film = depths.write_recording(Path(path).parent, 500, ms=1e6 + 1000 / 22050 * np.arange(500))
    return film


def depth_packed(path: str) -> np.ndarray:
    folder = Path(path).parent
    film = depth(path)
    depths.pack(folder, Path(path).name, to=folder)
    for each in ("depth.dat", "metadata.json", "depth_ts.txt"):
        (folder / each).unlink()
    return film


def depth_film(path: str) -> np.ndarray:
    pytest.importorskip("av")
    import films16

    film = films16.scenes(300)
    films16.write_avi(path, film)
    return film


ROWS: list[tuple[str, str, Write, dict[str, Any]]] = [
    ("wav", "x.wav", sound(COUNTS, True), {}),
    ("wav", "mono.WAV", sound(COUNTS[:, 0], True), {}),
    ("wav", "24.wav", sound(COUNTS, False, subtype="PCM_24"), {}),
    ("wav", "8.wav", sound(COUNTS, False, subtype="PCM_U8"), {}),
    ("wav", "float.wav", sound(COUNTS, False, subtype="FLOAT"), {}),
    ("wav", "big.wav", sound(COUNTS, True, endian="BIG"), {}),
    ("wav", "x.rf64", sound(COUNTS, True, format="RF64"), {}),
    ("wav", "x.w64", sound(COUNTS, True, format="W64"), {}),
    ("wav", "no_suffix", sound(COUNTS, True, format="WAV"), {}),
    ("libsndfile", "ulaw.wav", sound(COUNTS, False, subtype="ULAW"), {}),
    ("libsndfile", "adpcm.wav", sound(COUNTS, False, subtype="IMA_ADPCM"), {}),
    ("libsndfile", "gsm.wav", sound(COUNTS[:, 0], False, subtype="GSM610"), {}),
    ("libsndfile", "x.flac", sound(COUNTS, True), {}),
    ("libsndfile", "24.flac", sound(COUNTS, False, subtype="PCM_24"), {}),
    ("libsndfile", "x.aiff", sound(COUNTS, True), {}),
    ("libsndfile", "x.caf", sound(COUNTS, True, subtype="PCM_16"), {}),
    ("libsndfile", "x.au", sound(COUNTS, True), {}),
    ("libsndfile", "x.voc", sound(COUNTS, True), {}),
    ("libsndfile", "x.ogg", sound(COUNTS, False, format="OGG"), {}),
    ("libsndfile", "x.mp3", sound(COUNTS, False), {}),
    ("npz", "x.npz", npz, {}),
    ("raw", "x.bin", raw, {"format": "raw", "rate": 22050, "dtype": "<i2", "channels": 2}),
    ("raw", "two.bin", two, {"format": "raw", "rate": 22050, "dtype": "ci16_le", "channels": 2}),
    ("raw", "pairs.bin", raw, {"format": "raw", "rate": 22050, "dtype": "ci16_le"}),
    ("wav", "pairs.wav", sound(COUNTS, True), {"iq": True}),
    ("tiq", "x.tiq", tiq, {}),
    ("iqt", "x.IQT", iqt, {}),
    ("xdat", "x.xdat", xdat, {}),
    ("r3f", "x.r3f", r3f, {}),
    ("iqbin", "x.cs16", raw, {"rate": 22050}),
    ("iqbin", "x.bin", volts, {"rate": 22050}),
    ("iqtext", "x.csv", text, {}),
    ("tdms", "x.tdms", records, {}),
    ("sigmf", "x.sigmf-meta", sigmf, {}),
    ("depth", "depth.dat", depth, {}),
    ("depth", "x.tar.gz", depth_packed, {}),
    ("depth", "x.avi", depth_film, {"fps": 22050}),
]


@pytest.mark.parametrize(("name", "file", "write", "options"), ROWS, ids=[f"{row[0]}-{row[1]}" for row in ROWS])
def test_contract(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    file: str,
    write: Write,
    options: dict[str, Any],
) -> None:
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, appauthor: cache / name)
    path = str(tmp_path / file)
    expected = write(path)
    beside = [each for each in tmp_path.iterdir() if str(each) != path]
    header = check_format(path, expected=expected, beside=beside, **options)
    assert header.format == name
    assert header.rate == pytest.approx(22050, rel=1e-12)


def test_every_format_has_a_row() -> None:
    assert {row[0] for row in ROWS} == set(formats._OURS)


def test_every_module_with_a_format_is_registered() -> None:
    found = {}
    for module in pkgutil.iter_modules(reelarray.formats.__path__):
        made = getattr(import_module(f"reelarray.formats.{module.name}"), "FORMAT", None)
        if isinstance(made, Format):
            found[made.name] = f"reelarray.formats.{module.name}:FORMAT"
    assert found == formats._OURS


def test_the_table_of_ours_is_the_one_that_is_installed() -> None:
    tomllib = import_module("tomllib")
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["entry-points"][formats.GROUP] == formats._OURS


class Broken:
    """A source that does one thing wrong."""

    def __init__(self, inner: Any, wrong: str) -> None:
        self.inner, self.wrong = inner, wrong
        self.shape, self.dtype = inner.shape, inner.dtype
        self.handles: list[Any] = []

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Broken) and self.inner == other.inner

    def __hash__(self) -> int:
        return id(self) if self.wrong == "hash" else hash(self.inner)

    def read(self, start: int, stop: int) -> np.ndarray:
        if self.wrong == "handle":
            self.handles.append(open(self.inner.path, "rb"))  # noqa: SIM115
        if self.wrong == "range":
            start, stop = max(start, 0), max(min(stop, self.shape[0]), 0)
            start = min(start, stop)
        try:
            found = self.inner.read(start, stop)
        except TruncatedFile:
            if self.wrong != "silent":
                raise
            return np.zeros((7, *self.shape[1:]), self.dtype)
        if self.wrong == "cut" and start > 0:
            found = found + 1
        if self.wrong == "dtype":
            found = found.astype("f8")
        return found


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ("cut", "differ from those of the whole"),
        ("range", "raises nothing"),
        ("dtype", "was expected"),
        ("hash", "after pickling"),
        ("handle", "stays open"),
        ("silent", "in silence"),
    ],
)
def test_the_kit_notices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str, text: str) -> None:
    if wrong == "handle" and not os.path.isdir("/proc/self/fd"):
        pytest.skip("the system does not tell which files are open")
    path = str(tmp_path / "x.wav")
    soundfile.write(path, COUNTS, 22050)
    monkeypatch.setattr(testing, "source", lambda header: Broken(formats.source(header), wrong))
    with pytest.raises(AssertionError, match=text):
        check_format(path)


def test_the_kit_notices_wrong_samples_and_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "x.wav")
    soundfile.write(path, COUNTS, 22050)
    wrong = COUNTS.copy()
    wrong[8999, 1] += 1
    with pytest.raises(AssertionError, match=r"1 samples, the first at \(8999, 1\)"):
        check_format(path, expected=wrong)

    def unflagged(path: str, format: str | None = None, **options: Any) -> Header:
        return replace(formats.probe(path, format, **options), flags=())

    monkeypatch.setattr(testing, "probe", unflagged)
    with pytest.raises(AssertionError, match="without a flag"):
        check_format(path)
