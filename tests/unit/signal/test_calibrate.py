"""Calibration: the formula, where it is applied, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import deployments
import numpy as np
import pytest

import reelarray as ra
from reelarray import graph
from reelarray.calibration import Calibration, read_calibration

COUNTS = np.random.default_rng(1).integers(-(2**15), 2**15, 1000).astype(np.int16)
LENGTHS, JOINED = [300, 200, 500], [False, True, False]


def test_factor_is_that_of_the_formula() -> None:
    # A full-scale sample is 2 V at the converter, 0.2 V at the hydrophone, whose 1 uV/Pa... 10^(-8.5 + 6) V/Pa:
    volts_per_pascal = 10 ** (-170 / 20) * 1e6
    assert Calibration(-170, 20, 2).factor == pytest.approx(2 / 10 / volts_per_pascal, rel=1e-14)
    assert Calibration(end_to_end=176.8).factor == pytest.approx(691.8309709189363, rel=1e-14)
    assert Calibration(peak_voltage=2.5).factor == 2.5  # 1 V/Pa where no sensitivity is given


def test_end_to_end_is_the_sum_of_the_parts() -> None:
    parts = Calibration(-180, 12, 1.5)
    whole = Calibration(end_to_end=180 - 12 + 20 * np.log10(1.5))
    assert whole.factor == pytest.approx(parts.factor, rel=1e-14)


def test_full_scale_becomes_pascal_and_the_ingredients_are_kept() -> None:
    x = ra.recording(np.array([1, -0.5], "f4"), rate=10, attrs={"serial_number": "7"})
    y = ra.calibrate(x, sensitivity=-170, gain_db=14, peak_voltage=2.5)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.values, np.array([1, -0.5], "f4") * np.float32(157.73933612004836))
    assert y.attrs["units"] == "Pa"
    assert {k: y.attrs[k] for k in ("sensitivity", "gain_db", "peak_voltage", "serial_number")} == {
        "sensitivity": -170.0,
        "gain_db": 14.0,
        "peak_voltage": 2.5,
        "serial_number": "7",
    }
    assert Calibration(**Calibration(-170, 14, 2.5).settings()) == Calibration(-170, 14, 2.5)
    assert json.loads(json.dumps(y.attrs)) == y.attrs
    assert x.attrs["units"] == "1"  # what was given stays as it was


def test_other_units() -> None:
    x = ra.recording([1.0, 0.5], rate=10)
    np.testing.assert_allclose(ra.calibrate(x, end_to_end=120, units="uPa"), [1e6, 5e5])
    volts = ra.calibrate(x, peak_voltage=3.0, gain_db=20, units="V")
    np.testing.assert_allclose(volts, [0.3, 0.15])
    assert volts.attrs["units"] == "V"


@pytest.mark.parametrize("dtype", [None, "float64"])
def test_read_calibrated_equals_calibrated_after_reading_to_the_bit(tmp_path: Path, dtype: str | None) -> None:
    x = deployments.on_disk(tmp_path, COUNTS, LENGTHS, JOINED, chunk=170, dtype=dtype)
    facts = {"sensitivity": -171.3, "gain_db": 3.7, "peak_voltage": 1.1}
    lazy = ra.calibrate(x, **facts)
    deployments.identical(lazy.load(), ra.calibrate(x.compute(), **facts))
    assert graph.rows(ra.calibrate(x, **facts)) is not None  # it still reads from files, in one task a chunk
    assert ra.calibrate(x, **facts).chunks == x.chunks


def test_slices_and_fills_of_files_are_calibrated_where_they_are_read(tmp_path: Path) -> None:
    x = deployments.on_disk(tmp_path, COUNTS, LENGTHS, JOINED, chunk=170)
    for part in (x[123:877], ra.fill_gaps(x, 0.25), ra.fill_gaps(x)):
        lazy = ra.calibrate(part, end_to_end=171.7)
        deployments.identical(lazy.compute(), ra.calibrate(part.compute(), end_to_end=171.7))


def test_any_other_array_is_multiplied(tmp_path: Path) -> None:
    x = ra.recording(COUNTS.astype("f4") / 2**15, rate=1000)
    lazy = ra.calibrate(deployments.chunked(x, 70, 300), sensitivity=-165)
    assert lazy.chunks is not None
    deployments.identical(lazy.compute(), ra.calibrate(x, sensitivity=-165))
    counts = deployments.on_disk(tmp_path, COUNTS, LENGTHS, JOINED, dtype="float32", calibrated=False)
    lazy = ra.calibrate(counts, sensitivity=-165)  # a table that is read without scale has no place for a factor
    deployments.identical(lazy.compute(), ra.calibrate(counts.compute(), sensitivity=-165))


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({}, "nothing to calibrate with"),
        ({"sensitivity": -170, "end_to_end": 170}, "either the parts or the whole"),
        ({"gain_db": 3, "end_to_end": 170}, "either the parts or the whole"),
        ({"sensitivity": 170}, "did you mean sensitivity=-170"),
        ({"sensitivity": float("nan")}, "finite"),
        ({"end_to_end": float("inf")}, "finite"),
        ({"sensitivity": "-170"}, "finite number"),
        ({"gain_db": None}, "finite number"),
        ({"sensitivity": -170, "peak_voltage": 0}, "above 0"),
        ({"sensitivity": -170, "units": "hPa"}, "'Pa', 'uPa' or 'V'"),
        ({"sensitivity": -170, "units": "V"}, "leave one"),
    ],
)
def test_impossible_facts_are_refused(facts: dict, message: str) -> None:
    with pytest.raises(ra.CalibrationError, match=message):
        ra.calibrate(ra.recording([0.0, 1.0], rate=1), **facts)


@pytest.mark.parametrize(
    ("samples", "attrs", "message"),
    [
        ([0.0], {"units": "Pa"}, "calibrated already"),
        ([0.0], {"calibrated": False, "normalization": "zscore"}, "zscore"),
        ([0], {}, "integer counts"),
        ([0.0], {"long_name": "power spectrum"}, "before the transform"),
    ],
)
def test_samples_without_full_scale_are_refused(samples: list, attrs: dict, message: str) -> None:
    x = ra.recording(np.array(samples), rate=1).assign_attrs(attrs)
    with pytest.raises(ra.CalibrationError, match=message):
        ra.calibrate(x, sensitivity=-170)


def test_calibration_files(tmp_path: Path) -> None:
    toml, text = tmp_path / "a.toml", tmp_path / "a.json"
    toml.write_text("sensitivity = -170  # dB re 1 V/uPa\ngain_db = 14\npeak_voltage = 2.5\n")
    text.write_text('{"end_to_end": 163.9}')
    assert read_calibration(toml) == Calibration(-170, 14, 2.5)
    assert read_calibration(str(text)) == Calibration(end_to_end=163.9)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.toml", "sensitivty = -170", "did you mean sensitivity"),
        ("a.toml", "xyz = 3", "the keys are sensitivity"),
        ("a.toml", "sensitivity: -170", "neither TOML nor JSON"),
        ("a.json", "[1, 2]", "holds no calibration"),
        ("a.toml", "", "holds no calibration"),
        ("a.toml", "sensitivity = '-170'", "finite number"),
    ],
)
def test_wrong_calibration_files_are_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ra.CalibrationError, match=message) as error:
        read_calibration(path)
    assert str(path) in str(error.value)


def test_files_that_state_pascal_are_not_calibrated_again(tmp_path):
    x = ra.recording(np.linspace(-0.5, 0.5, 800, dtype="f4"), rate=800, start="2022-03-01", units="Pa")
    ra.write_audio(x, tmp_path)
    assert ra.open_recordings(tmp_path, cache=False).attrs["units"] == "Pa"
    with pytest.raises(ra.CalibrationError, match="calibrated already"):
        ra.open_recordings(tmp_path, cache=False, sensitivity=-170)


def test_a_binary_calibration_file_is_named(tmp_path):
    from reelarray.calibration import read_calibration

    (tmp_path / "c.toml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ra.CalibrationError, match="neither TOML"):
        read_calibration(tmp_path / "c.toml")
