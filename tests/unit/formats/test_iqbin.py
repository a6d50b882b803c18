"""Complex samples in `.bin` and in files whose suffix names the type: headers, names, and what they must not guess."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import iq_files
import numpy as np
import pytest

import reelarray as ra
from reelarray import formats
from reelarray.errors import FormatError, RecordingError
from reelarray.formats.iqbin import TYPES, name_facts
from reelarray.testing import check_format

Z = (np.random.default_rng(1).normal(size=400) + 1j * np.random.default_rng(2).normal(size=400)).astype(np.complex64)


def write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def test_eight_bytes_of_header(tmp_path: Path) -> None:
    path = write(tmp_path / "x.BIN", struct.pack("<2f", 390625, 244_778_900) + Z.tobytes())
    header = check_format(path, format="iqbin", expected=Z, header=True)
    # what a float32 holds of 244,778,900
    assert (header.rate, header.center_frequency, header.flags) == (390625, 244_778_896.0, ())
    exact = formats.probe(path, header=True, center_frequency=244_778_900, rate=Fraction(390625))
    assert (exact.rate, exact.center_frequency, exact.frames) == (390625, 244_778_900.0, 400)


def test_a_rate_says_that_there_is_no_header(tmp_path: Path) -> None:
    path = write(tmp_path / "x.bin", Z.tobytes())
    header = check_format(path, format="iqbin", expected=Z, rate=390625)
    assert (header.frames, header.center_frequency, header.units) == (400, 0.0, "1")
    assert formats.probe(path, rate=390625, header=False) == header


def test_opened_without_saying_which_it_asks(tmp_path: Path) -> None:
    path = write(tmp_path / "g001_433.92M_250k.bin", Z.tobytes())
    with pytest.raises(FormatError, match="header=True, or rate="):
        formats.probe(path)
    with pytest.raises(RecordingError, match="header=True, or rate="):
        ra.open_recording(path)
    # the name may say the rate, once it is clear that the file does not
    assert ra.open_recording(path, header=False).sizes["time"] == 400


@pytest.mark.parametrize(
    ("rate", "center"),
    [(0.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0), (float("inf"), 1.0), (1e-6, 2e-6), (1e6, float("nan"))],
)
def test_samples_are_no_header(tmp_path: Path, rate: float, center: float) -> None:
    path = write(tmp_path / "x.bin", struct.pack("<2f", rate, center) + bytes(800))
    with pytest.raises(FormatError, match="header=False") as caught:
        formats.probe(path, header=True)
    assert path in str(caught.value)
    assert formats.probe(path, header=True, rate=1e6, center_frequency=1e8).frames == 100


def test_a_file_shorter_than_its_header(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="5 bytes"):
        formats.probe(write(tmp_path / "x.bin", bytes(5)), header=True)


@pytest.mark.parametrize("suffix", sorted(TYPES))
def test_the_suffix_names_the_type(tmp_path: Path, suffix: str) -> None:
    name = TYPES[suffix]
    pairs = iq_files.counts(200) // 512 if "8" in name else iq_files.counts(200)
    path = write(tmp_path / f"x{suffix}", iq_files.pair_bytes(pairs, name))
    expected = pairs if name[1] != "f" else pairs[:, 0] + 1j * pairs[:, 1]
    header = check_format(path, format="iqbin", expected=expected, rate=250e3)
    assert formats.probe(path, rate=250e3) == header
    assert header.subtype == name


def test_the_type_given_wins(tmp_path: Path) -> None:
    pairs = iq_files.counts(50)
    path = write(tmp_path / "x.raw", iq_files.pair_bytes(pairs, "ci16_be"))
    header = formats.probe(path, rate=1e6, dtype="ci16_be", scale=2e-6)
    np.testing.assert_array_equal(formats.source(header).read(0, 50), pairs)
    assert (header.iq, header.scale, header.units) == (True, 2e-6, "V")


def test_the_name_says_rate_and_centre_and_is_quoted(tmp_path: Path) -> None:
    path = write(tmp_path / "g001_433.92M_250k.cu8", bytes(100))
    header = formats.probe(path)
    assert (header.rate, header.center_frequency, header.frames) == (250_000, 433_920_000.0, 50)
    assert header.metadata["from_file_name"] == {"rate": 250e3, "center_frequency": 433.92e6}
    given = formats.probe(path, rate=1e6)
    assert (given.rate, given.metadata["from_file_name"]) == (1_000_000, {"center_frequency": 433.92e6})
    assert "from_file_name" not in formats.probe(path, rate=1e6, center_frequency=5).metadata


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("g001_433.92M_250k.cu8", {"center_frequency": 433_920_000, "rate": 250_000}),
        ("/a_1M/b-868MHz 2.4Msps.cf32", {"center_frequency": 868_000_000, "rate": 2_400_000}),
        ("x_14074000Hz_48ksps.c64", {"center_frequency": 14_074_000, "rate": 48_000}),
        ("1.5GHz.cs16", {"center_frequency": 1_500_000_000}),
        ("2M_4M_250k.cu8", {"rate": 250_000}),
        ("2M_2.0M.cu8", {"center_frequency": 2_000_000}),
        ("run12_take3.cu8", {}),
        ("x10Mbit_v2kx.cu8", {}),
    ],
)
def test_names(name: str, facts: dict[str, int]) -> None:
    assert name_facts(name) == facts


def test_no_rate_anywhere_is_told(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="rate= in Hz"):
        formats.probe(write(tmp_path / "x.cu8", bytes(10)))
    with pytest.raises(FormatError, match="rate= in Hz"):
        formats.probe(write(tmp_path / "x_0k.cu8", bytes(10)))


@pytest.mark.parametrize(
    "options", [{"rate": 0}, {"rate": float("nan")}, {"rate": 1, "center_frequency": float("inf")}]
)
def test_numbers_that_cannot_be(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="was given"):
        formats.probe(write(tmp_path / "x.cf32", bytes(80)), **options)


def test_folders_are_not_searched_for_them_and_nobody_knows_when_they_are_finished(tmp_path: Path) -> None:
    assert not {".bin", ".raw", ".cu8"} & set(formats.listed())
    assert formats.is_complete(write(tmp_path / "x.cu8", bytes(10))) is None
