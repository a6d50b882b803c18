"""One spectrum as text: columns, digits, units, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import reelarray as ra
from reelarray.signal.powers import to_watts
from reelarray.sinks.spectrumcsv import write_spectrum_csv

CENTER = 244_778_900.0


def recording(dtype: str = "complex64", units: str = "V"):
    rng = np.random.default_rng(0)
    values = (10 * np.exp(0.5j * np.pi * np.arange(640)) + rng.normal(size=640)).astype(dtype)
    return ra.recording(values, rate=390625, units=units, coords={"center_frequency": CENTER})


def columns(path: Path) -> tuple[str, np.ndarray]:
    head, *lines = path.read_text().splitlines()
    return head, np.array([[float(v) for v in line.split(",")] for line in lines])


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("scaling", "head"), [("spectrum", "Hz,W,dBm"), ("density", "Hz,W Hz-1,dBm Hz-1")])
def test_what_is_written_is_what_was_computed(tmp_path: Path, scaling: str, head: str, lazy: bool) -> None:
    x = recording().chunk(time=100) if lazy else recording()
    s = ra.power_spectrum(x, nfft=64, scaling=scaling)
    path = write_spectrum_csv(s, tmp_path / "s.csv")
    assert path == tmp_path / "s.csv"
    found, table = columns(path)
    assert found == head
    watts = to_watts(s)
    assert table[:, 0].tolist() == s.frequency.values.tolist()  # every digit, also at 244 MHz
    assert table[:, 1].astype("f4").tobytes() == watts.values.tobytes()
    np.testing.assert_allclose(table[:, 2], 10 * np.log10(watts.values.astype(float) * 1000), atol=6e-5)
    assert list(tmp_path.iterdir()) == [path]
    again = write_spectrum_csv(watts, str(tmp_path / "again.csv"))
    assert again.read_bytes() == path.read_bytes()


def test_a_row_of_a_spectrogram_and_other_impedances(tmp_path: Path) -> None:
    s = ra.spectrogram(recording("complex128"), nfft=64, scaling="spectrum", dtype="float64")
    row = columns(write_spectrum_csv(s[3], tmp_path / "row.csv"))[1]
    np.testing.assert_array_equal(row[:, 1], to_watts(s[3]))
    one = columns(write_spectrum_csv(s[3:4], tmp_path / "row.csv", impedance=75))[1]
    np.testing.assert_allclose(one[:, 1] * 1.5, row[:, 1])


def test_zeros_and_other_units(tmp_path: Path) -> None:
    pascal = ra.recording(np.tile([2.0, -2.0, 0.0, 0.0], 16), rate=64, units="Pa")
    head, table = columns(write_spectrum_csv(ra.power_spectrum(pascal, nfft=4, window="boxcar"), tmp_path / "p.csv"))
    assert head == "Hz,Pa2 Hz-1,dB re 1 uPa2 Hz-1"
    assert np.isneginf(table[0, 2])
    assert table[0, 1] == 0
    full_scale = ra.power_spectrum(recording(units="1"), nfft=4)
    assert columns(write_spectrum_csv(full_scale, tmp_path / "f.csv"))[0] == "Hz,Hz-1,dB re 1 Hz-1"


def test_what_is_refused(tmp_path: Path) -> None:
    s = ra.spectrogram(recording(), nfft=64)
    for wrong, message in [
        (s, "19 along 'time'"),
        (ra.to_decibel(s[0]), "levels"),
        (recording(), "spectra"),
        (ra.spectrogram(recording(), nfft=64, scaling="raw")[0], "raw"),
    ]:
        with pytest.raises(ra.RecordingError, match=message):
            write_spectrum_csv(wrong, tmp_path / "s.csv")
    with pytest.raises(FileNotFoundError):
        write_spectrum_csv(s[0], tmp_path / "nowhere" / "s.csv")
    assert not list(tmp_path.iterdir())
