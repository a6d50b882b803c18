"""Headerless samples."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import riffs

from reelarray import formats
from reelarray.errors import FormatError
from reelarray.testing import check_format

COUNTS = np.arange(-300, 300).reshape(300, 2)


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<i3", ">i3", "<i5", "<i8", "<f4", ">f8"])
def test_types_and_orders(tmp_path: Path, dtype: str) -> None:
    width = int(dtype[2])
    body = COUNTS.astype(dtype).tobytes() if dtype[1] == "f" else riffs.pcm(COUNTS, width, dtype[0])
    (tmp_path / "x.bin").write_bytes(b"head" + body)
    path = str(tmp_path / "x.bin")
    header = check_format(path, format="raw", expected=COUNTS, rate=0.1, dtype=dtype, channels=2, offset=4)
    assert (header.rate, header.scale) == (Fraction(1, 10), 1.0 if dtype[1] == "f" else 2.0 ** (1 - 8 * width))


@pytest.mark.parametrize(("dtype", "expected"), [("i1", [0, -1, -128]), ("u1", [-128, 127, 0])])
def test_bytes_with_and_without_sign(tmp_path: Path, dtype: str, expected: list[int]) -> None:
    (tmp_path / "x.bin").write_bytes(b"\x00\xff\x80")
    header = formats.probe(tmp_path / "x.bin", "raw", rate=8000, dtype=dtype)
    assert formats.source(header).read(0, 3).tolist() == expected


def test_part_of_a_frame_at_the_end_is_flagged(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(bytes(11))
    header = formats.probe(tmp_path / "x.bin", "raw", rate=8000, dtype="<i2", channels=2)
    assert (header.frames, header.flags) == (2, ("partial_frame",))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "rate= and dtype= was not given"),
        ({"rate": 8000}, "dtype= was not given"),
        ({"dtype": "<i2"}, "rate= was not given"),
        ({"rate": 8000, "dtype": "<i9"}, "'<i9'"),
        ({"rate": 8000, "dtype": "<u2"}, "'<u2'"),
        ({"rate": -1, "dtype": "<i2"}, "rate=-1"),
        ({"rate": float("nan"), "dtype": "<i2"}, "rate=nan"),
        ({"rate": 8000, "dtype": "<i2", "channels": 0}, "channels=0"),
        ({"rate": 8000, "dtype": "<i2", "offset": 99}, "begin at byte 99"),
    ],
)
def test_missing_and_impossible_layouts(tmp_path: Path, options: dict[str, Any], text: str) -> None:
    (tmp_path / "x.bin").write_bytes(bytes(8))
    with pytest.raises(FormatError) as caught:
        formats.probe(tmp_path / "x.bin", "raw", **options)
    assert text in str(caught.value)
