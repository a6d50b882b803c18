"""Headerless complex samples: every type to the bit, unsigned ones around zero, and what cannot be."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import iq_files
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import reelarray as ra
from reelarray import formats
from reelarray.errors import FormatError, TruncatedFile
from reelarray.formats.pairs import PairSource, pair_encoding
from reelarray.testing import check_format

INTEGERS = [
    "ci8", "cu8", "ci16_le", "ci16_be", "cu16_le", "cu16_be", "ci24_le", "ci32_le", "ci32_be", "cu32_le", "cu32_be",
]  # fmt: skip
FLOATS = ["cf32_le", "cf32_be", "cf64_le", "cf64_be"]


def bits_of(name: str) -> int:
    return int("".join(filter(str.isdigit, name.partition("_")[0])))


def pairs_of(name: str, frames: int = 300) -> np.ndarray:
    """(frames, 2), the ends of the range among them."""
    rng = np.random.default_rng(3)
    if name[1] == "f":
        return rng.normal(size=(frames, 2)).astype(f"f{bits_of(name) // 8}")
    full = 2 ** (bits_of(name) - 1)
    found = rng.integers(-full, full, (frames, 2))
    found[0] = -full, full - 1
    found[1] = 0, -1
    return found


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_are_pairs_around_zero_of_a_plain_type(tmp_path: Path, name: str) -> None:
    pairs, path = pairs_of(name), tmp_path / "x.bin"
    path.write_bytes(b"head" + iq_files.pair_bytes(pairs, name))
    header = check_format(path, format="raw", expected=pairs, rate=250e3, dtype=name, offset=4, center_frequency=1e8)
    bits = bits_of(name)
    assert header.iq
    assert header.dtype == f"<i{max(1, 1 << (bits // 8 - 1).bit_length())}".replace("<i1", "|i1")
    assert (header.scale, header.units, header.center_frequency) == (2.0 ** (1 - bits), "1", 1e8)
    assert header.scale * pairs[0, 0] == -1.0


@pytest.mark.parametrize("name", FLOATS)
def test_floats_are_complex_numbers(tmp_path: Path, name: str) -> None:
    pairs, path = pairs_of(name), tmp_path / "x.bin"
    path.write_bytes(iq_files.pair_bytes(pairs, name))
    expected = pairs[:, 0] + 1j * pairs[:, 1]
    header = check_format(path, format="raw", expected=expected, rate=0.1, dtype=name)
    assert (header.iq, header.dtype, header.scale) == (False, f"<c{bits_of(name) // 4}", 1.0)
    assert (header.rate, header.center_frequency) == (Fraction(1, 10), 0.0)


def test_names_of_other_tools_mean_the_same() -> None:
    assert {pair_encoding(name).name for name in ("cs16", "ci16", "ci16_le")} == {"ci16_le"}
    assert [pair_encoding(name).name for name in ("<c8", ">c16")] == ["cf32_le", "cf64_be"]


def test_channels_lie_side_by_side(tmp_path: Path) -> None:
    pairs = pairs_of("ci16_le", 300).reshape(100, 3, 2)
    (tmp_path / "x.bin").write_bytes(iq_files.pair_bytes(pairs, "ci16_le"))
    header = formats.probe(tmp_path / "x.bin", "raw", rate=1e6, dtype="ci16_le", channels=3)
    assert header.shape == (100, 3, 2)
    np.testing.assert_array_equal(formats.source(header).read(7, 50), pairs[7:50])


def test_q_first_is_swapped(tmp_path: Path) -> None:
    pairs = pairs_of("cf32_le")
    (tmp_path / "x").write_bytes(iq_files.pair_bytes(pairs[:, ::-1], "cf32_le"))
    status = (tmp_path / "x").stat()
    source = PairSource(str(tmp_path / "x"), 300, "cf32_le", 0, 1, True, status.st_size, status.st_mtime_ns)
    np.testing.assert_array_equal(source.read(3, 9), (pairs[:, 0] + 1j * pairs[:, 1])[3:9])


def test_opened_it_is_complex64_of_full_scale_one_or_volts(tmp_path: Path) -> None:
    pairs, path = iq_files.counts(500), str(tmp_path / "x.bin")
    Path(path).write_bytes(pairs.tobytes())
    z = pairs[:, 0] + 1j * pairs[:, 1]
    options: dict[str, Any] = {"format": "raw", "rate": 250e3, "dtype": "ci16_le"}
    plain = ra.open_recordings(ra.scan([path], **options, cache=False))
    assert (plain.dims, plain.dtype, plain.attrs["units"]) == (("time",), np.complex64, "1")
    np.testing.assert_array_equal(plain.values, (z / 32768).astype(np.complex64))
    volts = ra.open_recordings(ra.scan([path], **options, scale=1e-3, center_frequency=433.92e6, cache=False))
    assert (volts.attrs["units"], float(volts.center_frequency)) == ("V", 433.92e6)
    np.testing.assert_allclose(volts.values, z * 1e-3, rtol=1e-6)


def test_real_samples_may_be_volts_too(tmp_path: Path) -> None:
    np.arange(-50, 50, dtype="<i2").tofile(tmp_path / "x.bin")
    header = formats.probe(tmp_path / "x.bin", "raw", rate=10, dtype="<i2", scale=0.5)
    assert (header.scale, header.units, header.iq, header.center_frequency) == (0.5, "V", False, None)


def test_half_a_sample_at_the_end_is_flagged_and_a_shorter_file_is_loud(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(bytes(4 * 100 + 2))
    header = formats.probe(path, "raw", rate=1, dtype="ci16")
    assert (header.frames, header.flags) == (100, ("partial_frame",))
    path.write_bytes(bytes(4 * 50))
    with pytest.raises(TruncatedFile) as caught:
        formats.source(header).read(40, 90)
    assert (caught.value.wanted, caught.value.found) == (50, 10)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"dtype": "ci16"}, "rate= was not given"),
        ({"rate": 1, "dtype": "ci17"}, "'ci17'"),
        ({"rate": 1, "dtype": "cf16"}, "'cf16'"),
        ({"rate": 1, "dtype": "complex64"}, "'complex64'"),
        ({"rate": 1, "dtype": "cu24"}, "'cu24'"),
        ({"rate": 1, "dtype": "ci16", "center_frequency": float("nan")}, "center_frequency=nan"),
        ({"rate": 1, "dtype": "ci16", "scale": 0.0}, "scale=0.0"),
        ({"rate": 1, "dtype": "ci16", "offset": 99}, "begin at byte 99"),
        ({"rate": 1, "dtype": "<i2", "scale": -1.0}, "scale=-1.0"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, options: dict[str, Any], text: str) -> None:
    (tmp_path / "x.bin").write_bytes(bytes(8))
    with pytest.raises(FormatError, match=r"x\.bin|known") as caught:
        formats.probe(tmp_path / "x.bin", "raw", **options)
    assert text in str(caught.value)


@given(name=st.sampled_from(INTEGERS + FLOATS), channels=st.integers(1, 3), cuts=st.lists(st.integers(0, 90)))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cuts_give_the_same_bits(tmp_path: Path, name: str, channels: int, cuts: list[int]) -> None:
    path = tmp_path / f"{name}{channels}.bin"
    if not path.exists():
        path.write_bytes(b"?" + iq_files.pair_bytes(pairs_of(name, 90 * channels), name))
    source = formats.source(formats.probe(path, "raw", rate=1, dtype=name, channels=channels, offset=1))
    edges = [0, *sorted(cuts), 90]
    pieces = [source.read(a, b) for a, b in pairwise(edges)]
    assert np.concatenate(pieces).tobytes() == source.read(0, 90).tobytes()
