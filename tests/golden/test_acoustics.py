"""Equal to reference values made with another program, from 2 s at 48 kHz: a tone at 3 kHz, noise, and a small DC."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import reelarray as ra

RATE = 48000
SINGLE = [0, 512]  # bins that a one-sided spectrum does not double


@pytest.fixture
def golden(shared: Path):
    def load(name: str) -> dict[str, np.ndarray]:
        with np.load(shared / "data/golden/acoustics" / f"{name}.npz", allow_pickle=False) as file:
            return dict(file)

    return load


def of(x: np.ndarray, **more: object) -> xr.DataArray:
    return ra.recording(x, rate=RATE, start="2022-03-01", **more)


def in_pascal(reference: dict[str, np.ndarray]) -> xr.DataArray:
    return ra.calibrate(
        of(reference["x"]),
        sensitivity=-170,
        gain_db=float(reference["gain_db"]),
        peak_voltage=float(reference["peak_voltage"]),
    )


def test_calibration(golden) -> None:
    reference = golden("calibration")
    pascal = in_pascal(reference)
    np.testing.assert_allclose(pascal, reference["pascal"][:, 0], rtol=1e-10)
    whole = ra.calibrate(of(reference["value"]), end_to_end=float(reference["end_to_end_db"]))
    np.testing.assert_allclose(whole, reference["pascal"], rtol=1e-10)
    assert ra.calibrate(of([1.0]), end_to_end=176.8).item() == pytest.approx(float(reference["e2e_176p8"]), rel=1e-12)
    assert pascal.attrs["units"] == "Pa"


@pytest.mark.parametrize(
    ("key", "method"), [("DC_REJECT", "dc"), ("PEAK", "peak"), ("ZSCORE", "zscore"), ("DC_REJECT_PEAK", "dc_peak")]
)
@pytest.mark.parametrize("lazy", [False, True])
def test_normalisations(golden, key: str, method: str, lazy: bool) -> None:
    reference = golden("audio_chain")
    x = of(reference["x"])
    np.testing.assert_array_equal(x, reference["RAW"][:, 0])
    y = ra.normalize(x.chunk(time=7001) if lazy else x, method=method)
    np.testing.assert_allclose(y, reference[key][:, 0], rtol=1e-10, atol=1e-15)


def test_welch(golden) -> None:
    reference = golden("welch")
    x = in_pascal(reference)
    for key, settings in {
        "px_density": {},
        "px_spectrum": {"scaling": "spectrum"},
        "px_median": {"average": "median"},
    }.items():
        spectrum = ra.power_spectrum(x, nfft=1024, detrend="constant", dtype="float64", **settings)
        np.testing.assert_allclose(spectrum, reference[key], rtol=1e-6)
        np.testing.assert_allclose(spectrum.frequency, reference["freq"])
        single = ra.power_spectrum(x, nfft=1024, detrend="constant", **settings)
        np.testing.assert_allclose(ra.to_decibel(single), 10 * np.log10(reference[key] * 1e12), atol=1e-3)


def test_spectrogram(golden) -> None:
    reference = golden("spectrogram_hann1024_h512_psd2x")
    full_scale = ra.spectrogram(of(reference["x"]), nfft=1024, hop=512, dtype="float64")
    pascal = ra.spectrogram(in_pascal(reference), nfft=1024, hop=512, dtype="float64")
    inside = slice(1, 1 + len(pascal))  # theirs are centred on multiples of the hop: the first reaches before the start
    assert reference["power_spl"].shape[1] - len(pascal) == 3
    for own, key in [(full_scale, "fs"), (pascal, "spl")]:
        np.testing.assert_allclose(own, reference[f"power_{key}"][:, inside].T, rtol=1e-6)
        np.testing.assert_allclose(ra.to_decibel(own), reference[f"db_{key}"][:, inside].T, atol=1e-5)
    np.testing.assert_allclose(
        (pascal.time - pascal.time[0]).values / np.timedelta64(1, "s"),
        reference["time_true"][inside] - reference["time_true"][1],
        atol=1e-9,
    )
    np.testing.assert_allclose(pascal.frequency, reference["freq"])
    assert float(pascal[99, 64]) == pytest.approx(11.0385382, rel=1e-8)
    assert float(ra.to_decibel(pascal)[99, 64]) == pytest.approx(130.4291, abs=1e-4)
    complex_spectra = ra.stft(in_pascal(reference), nfft=1024, hop=512, scaling="density", dtype="float64")
    doubled = np.where(
        np.isin(np.arange(513), SINGLE), 1, np.sqrt(2)
    )  # "onesided2X" doubles powers, amplitudes by the root
    np.testing.assert_allclose(abs(complex_spectra) * doubled, abs(reference["sx_spl"][:, inside].T), rtol=1e-6)


def test_gap(golden) -> None:
    reference = golden("gap")
    x = reference["x"]
    before, after = of(x[:24000]), ra.recording(x[36000:60000], rate=RATE, start="2022-03-01T00:00:00.75")
    recording = ra.join([before, after])
    zeros = ra.fill_gaps(recording, 0)
    np.testing.assert_array_equal(zeros, reference["value"][:, 0])
    assert len(recording) / len(zeros) == float(reference["populated_ratio"])
    own = ra.spectrogram(zeros, nfft=1024, hop=512, dtype="float64")
    expected = reference["power"].T[1 : 1 + len(own)].copy()
    expected[:, 1:-1] *= 2  # all of theirs are single
    np.testing.assert_allclose(own, expected, rtol=1e-6, atol=1e-25)
    assert not own[47:69].values.any()
    assert np.isneginf(ra.to_decibel(own)[47:69]).all()
    holes = ra.spectrogram(ra.fill_gaps(recording), nfft=1024, hop=512)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(holes).all("frequency")) + 1, np.arange(46, 72))
    assert np.isfinite(np.delete(holes.values, np.s_[45:71], axis=0)).all()
    # And without filling, no window spans the gap: those of each part alone.
    parts = [ra.spectrogram(part, nfft=1024, hop=512) for part in (before, after)]
    np.testing.assert_array_equal(ra.spectrogram(recording, nfft=1024, hop=512), np.concatenate(parts))
