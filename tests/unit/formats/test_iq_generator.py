"""Recordings of the generator that is shared with others, against the samples that it says it wrote."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import reelarray as ra
from reelarray import formats
from reelarray.source import Header

FRAMES = 8192


@pytest.fixture(scope="module")
def generator(shared: Path) -> ModuleType:
    tool = shared / "tools" / "make_tiq.py"
    if not tool.is_file():
        pytest.skip(f"no generator at {tool}")
    spec = importlib.util.spec_from_file_location("make_tiq_for_pairs", tool)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def samples(path: Path, **options: Any) -> tuple[Header, np.ndarray]:
    """The header, and all samples as complex128: counts times the scale."""
    header = formats.probe(path, **options)
    values = formats.source(header).read(0, header.frames)
    return header, (values @ [1, 1j] if header.iq else values.astype(complex)) * header.scale


def test_tdms(tmp_path: Path, generator: ModuleType) -> None:
    pytest.importorskip("nptdms", reason="npTDMS is an optional package")
    path = tmp_path / "synth.tdms"
    truth = generator.write_tdms(str(path), 8, FRAMES // 8)
    header, found = samples(path)
    assert (float(header.rate), header.center_frequency, header.units) == (generator.FS, generator.CENTER, "V")
    assert len(header.layout) > 2, "its records are as long as each other: arithmetic finds them"
    np.testing.assert_allclose(found, truth, rtol=2e-7)
    np.testing.assert_allclose(ra.open_recording(path, cache=False).values, truth, rtol=2e-7)
    assert formats.is_complete(path) is True


@pytest.mark.parametrize("header", [True, False])
def test_bin(tmp_path: Path, generator: ModuleType, header: bool) -> None:
    truth = generator.write_bin(str(tmp_path / "synth.bin"), FRAMES, header)
    about, found = samples(tmp_path / "synth.bin", **({"header": True} if header else {"rate": generator.FS}))
    assert (float(about.rate), about.center_frequency) == (generator.FS, np.float32(generator.CENTER) if header else 0)
    np.testing.assert_array_equal(found, truth)


def test_text(tmp_path: Path, generator: ModuleType) -> None:
    truth = generator.write_csv(str(tmp_path / "synth.csv"), 4096)
    header, found = samples(tmp_path / "synth.csv")
    assert (float(header.rate), header.center_frequency) == (generator.FS, generator.CENTER)
    np.testing.assert_array_equal(found, truth)


def test_wav(tmp_path: Path, generator: ModuleType) -> None:
    truth = generator.write_wav(str(tmp_path / "synth.wav"), FRAMES)
    header, found = samples(tmp_path / "synth.wav", iq=True)
    assert header.rate == generator.FS
    np.testing.assert_array_equal(found, truth)
