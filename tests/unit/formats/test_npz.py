"""NumPy archives of sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reelarray import formats
from reelarray.errors import FormatError
from reelarray.testing import check_format

VALUES = np.random.default_rng(3).normal(size=(3000, 2))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    "data", [VALUES, VALUES[:, 0], VALUES.astype(">f4"), (VALUES * 1000).astype("<i2"), np.asfortranarray(VALUES)]
)
def test_stored_and_compressed(tmp_path: Path, save: Any, data: np.ndarray) -> None:
    save(tmp_path / "x.npz", data=data, samplerate=np.float64(0.1), note="kept")
    header = check_format(tmp_path / "x.npz", expected=data)
    assert (header.rate, header.metadata) == (Fraction(1, 10), {"members": ["note"]})
    in_rows = data.ndim == 1 or data.flags.c_contiguous
    assert (int(header.layout[1] or 0) > 0) == (save is np.savez and in_rows)


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"audio": VALUES, "fs": 48000}, "holds 'audio', 'fs'"),
        ({"data": VALUES}, "'data' (frames[, channels]) and 'samplerate'"),
        ({"data": VALUES, "samplerate": 0}, "one positive number"),
        ({"data": VALUES, "samplerate": np.array([1, 2])}, "one positive number"),
        ({"data": VALUES[None], "samplerate": 1}, "the shape (1, 3000, 2)"),
        ({"data": np.array(["text"]), "samplerate": 1}, "of numbers was expected"),
        ({"data": VALUES, "samplerate": np.array([object()])}, "allow_pickle=False"),
    ],
)
def test_other_archives_are_refused_by_what_they_hold(tmp_path: Path, members: dict[str, Any], text: str) -> None:
    np.savez(tmp_path / "x.npz", **members)
    with pytest.raises(FormatError) as caught:
        formats.probe(tmp_path / "x.npz")
    assert "x.npz" in str(caught.value)
    assert text in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"a plain text, not an archive", b"PK\x03\x04 and no more"])
def test_damaged_archives(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(FormatError, match=r"x\.npz .*starts with"):
        formats.probe(tmp_path / "x.npz")


def test_remote_archives_are_refused() -> None:
    with pytest.raises(FormatError, match="download it"):
        formats.probe("memory://x.npz")
