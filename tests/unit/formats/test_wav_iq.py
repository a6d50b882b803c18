"""Stereo WAV files as complex samples, and whether WAV and npz files are finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import iq_files
import numpy as np
import pytest
import riffs
import soundfile

import reelarray as ra
from reelarray import formats
from reelarray.errors import FormatError
from reelarray.testing import check_format

PAIRS = iq_files.counts(400)


def write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("conjugate", [False, True])
def test_integers_of_any_width(tmp_path: Path, width: int, conjugate: bool) -> None:
    full = 1 << (8 * width - 1)
    pairs = np.random.default_rng(7).integers(-full, full - 1, (300, 2))
    pairs[0] = -full, full - 1
    path = iq_files.stereo(tmp_path / "x.wav", riffs.pcm(pairs, width), bits=8 * width)
    expected = pairs[:, ::-1] if conjugate else pairs
    header = check_format(path, format="wav", expected=expected, iq=True, conjugate=conjugate)
    assert (header.iq, header.scale, header.units, header.center_frequency) == (True, 1 / full, "1", 0.0)
    # the same file as two real channels is as it was
    plain = formats.probe(path)
    assert (plain.iq, plain.shape, plain.center_frequency) == (False, (300, 2), None)
    np.testing.assert_array_equal(formats.source(plain).read(0, 300), pairs)


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("conjugate", [False, True])
def test_floats_are_complex_numbers(tmp_path: Path, bits: int, conjugate: bool) -> None:
    values = np.random.default_rng(7).normal(size=(300, 2)).astype(f"<f{bits // 8}")
    path = iq_files.stereo(tmp_path / "x.wav", values.tobytes(), tag=3, bits=bits)
    i, q = (values[:, ::-1] if conjugate else values).T
    header = check_format(path, format="wav", expected=i + 1j * q, iq=True, conjugate=conjugate)
    assert (header.iq, header.dtype, header.scale) == (False, f"<c{bits // 4}", 1.0)


def test_big_endian(tmp_path: Path) -> None:
    form = riffs.chunk(b"fmt ", riffs.fmt(channels=2, order=">"), order=">")
    data = riffs.chunk(b"data", riffs.pcm(PAIRS, 2, ">"), order=">")
    path = write(tmp_path / "x.wav", riffs.riff(form, data, magic=b"RIFX"))
    check_format(path, format="wav", expected=PAIRS, iq=True)


def test_opened_left_is_i_and_right_is_q(tmp_path: Path) -> None:
    path = iq_files.stereo(tmp_path / "x.wav", PAIRS.tobytes(), rate=48000)
    z = (PAIRS @ [1, 1j]) / 32768
    x = ra.open_recording(path, iq=True, center_frequency=14.07e6, cache=False)
    assert (x.dims, x.dtype, float(x.center_frequency)) == (("time",), np.complex64, 14.07e6)
    np.testing.assert_array_equal(x.values, z.astype(np.complex64))
    swapped = ra.open_recording(path, iq=True, conjugate=True, cache=False)
    np.testing.assert_array_equal(swapped.values, (1j * z.conj()).astype(np.complex64))
    assert ra.open_recording(path, cache=False).dims == ("time", "channel")


def test_radio_recorders_state_centre_and_start(tmp_path: Path) -> None:
    chunk = riffs.chunk(b"auxi", iq_files.auxi(244_778_900))
    path = iq_files.stereo(tmp_path / "x.wav", PAIRS.tobytes(), chunk)
    header = formats.probe(path, iq=True)
    assert (header.center_frequency, header.start_ns) == (244_778_900.0, None)
    assert (header.metadata["naive_start"], header.metadata["start_source"]) == ("2014-08-01T10:33:15.978", "auxi")
    assert formats.probe(path, iq=True, center_frequency=1e8).center_frequency == 1e8
    start = ra.open_recording(path, iq=True, cache=False).time.values[0]
    assert start == np.datetime64("2014-08-01T10:33:15.978")
    start = ra.open_recording(path, iq=True, timezone="+02:00", cache=False).time.values[0]
    assert start == np.datetime64("2014-08-01T08:33:15.978")
    # as sound it starts nothing, as before
    assert "naive_start" not in formats.probe(path).metadata


def test_a_stated_start_beats_that_of_auxi(tmp_path: Path) -> None:
    chunks = riffs.chunk(b"auxi", iq_files.auxi(5)), riffs.chunk(b"guan", b"Timestamp: 2020-01-02T03:04:05Z")
    header = formats.probe(iq_files.stereo(tmp_path / "x.wav", PAIRS.tobytes(), *chunks), iq=True)
    assert header.start_ns == np.datetime64("2020-01-02T03:04:05", "ns").astype(int)
    assert header.metadata["start_source"] == "guano"


@pytest.mark.parametrize(
    ("channels", "options", "text"),
    [
        (1, {"iq": True}, "1 uncompressed channel; iq=True needs two"),
        (3, {"iq": True}, "3 uncompressed channels; iq=True needs two"),
        (2, {"conjugate": True}, "pass iq=True as well"),
        (2, {"center_frequency": 1e6}, "pass iq=True as well"),
        (2, {"iq": True, "center_frequency": float("nan")}, "center_frequency=nan"),
    ],
)
def test_what_is_no_pair_is_refused(tmp_path: Path, channels: int, options: dict[str, Any], text: str) -> None:
    form = riffs.chunk(b"fmt ", riffs.fmt(channels=channels))
    path = write(tmp_path / "x.wav", riffs.riff(form, riffs.chunk(b"data", bytes(60))))
    with pytest.raises(FormatError) as caught:
        formats.probe(path, **options)
    assert text in str(caught.value)
    assert path in str(caught.value)


def test_compressed_samples_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", PAIRS, 48000, subtype="ULAW")
    with pytest.raises(FormatError, match="2 compressed channels; iq=True needs two uncompressed"):
        formats.probe(tmp_path / "x.wav", iq=True)


def wav(body: bytes = bytes(400), *more: bytes, size: int | None = None, whole: int | None = None) -> bytes:
    return riffs.riff(riffs.chunk(b"fmt ", riffs.fmt()), riffs.chunk(b"data", body, size=size), *more, size=whole)


W64 = riffs.w64((b"fmt ", riffs.fmt()), (b"data", bytes(400)))
RF64 = riffs.riff(
    riffs.ds64(400, 200),
    riffs.chunk(b"fmt ", riffs.fmt()),
    riffs.chunk(b"data", bytes(400), size=0xFFFFFFFF),
    magic=b"RF64",
    size=0xFFFFFFFF,
)
NOTES = riffs.chunk(b"LIST", b"INFO")


@pytest.mark.parametrize(
    ("content", "finished"),
    [
        (wav(), True),
        (wav(bytes(400), NOTES), True),
        (wav(size=0), None),
        (wav(size=0xFFFFFFFF), None),
        (wav(b"", size=0xFFFFFFFF), None),
        (wav(b"", size=0), None),
        (wav(whole=0), True),  # the sizes of the whole are often not filled in
        (wav(whole=30), True),
        (wav(whole=1 << 31), None),
        (wav(bytes(400), NOTES)[:-3], None),  # the samples are there, something behind them is not
        (wav() + b"\xff\xfe" * 500, None),  # more samples than are counted
        (W64, True),
        (RF64, True),
    ],
)
def test_a_wav_is_finished_when_its_samples_are_there(tmp_path: Path, content: bytes, finished: bool | None) -> None:
    assert formats.is_complete(write(tmp_path / "x.wav", content)) is finished


@pytest.mark.parametrize("content", [wav(), W64, RF64], ids=["wav", "w64", "rf64"])
def test_any_beginning_of_a_wav_is_unfinished(tmp_path: Path, content: bytes) -> None:
    for size in {0, 1, 4, 11, 12, 20, 39, 44, 60, 200, len(content) - 1}:
        assert formats.is_complete(write(tmp_path / "x.wav", content[:size]), "wav") is False, size


@pytest.mark.parametrize("content", [b"hello" * 30, riffs.riff(riffs.chunk(b"fmt ", riffs.fmt()))])
def test_what_is_no_wav_is_not_waited_for(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(FormatError, match=r"x\.wav"):
        formats.is_complete(write(tmp_path / "x.wav", content))


def test_an_npz_is_finished_when_its_directory_is_there(tmp_path: Path) -> None:
    path = str(tmp_path / "x.npz")
    np.savez(path, data=PAIRS, samplerate=8000)
    assert formats.is_complete(path) is True
    content = Path(path).read_bytes()
    for size in (1, 3, 4, 100, len(content) // 2, len(content) - 1):
        assert formats.is_complete(write(tmp_path / "y.npz", content[:size]), "npz") is False, size
    with pytest.raises(FormatError, match=r"z\.npz starts with"):
        formats.is_complete(write(tmp_path / "z.npz", b"RIFF" * 20))
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(FormatError, match="is a folder"):
        formats.is_complete(tmp_path / "folder.npz", "npz")


def test_compressed_sound_does_not_say_when_it_is_finished(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.flac", PAIRS, 48000)
    assert formats.is_complete(tmp_path / "x.flac") is None
