"""Equal to what iqtools makes of the same IQ samples, by settings alone: no factor is fitted anywhere."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.signal import get_window

import reelarray as ra
from reelarray.signal.bands import select_band
from reelarray.signal.multitaper import multitaper_spectrogram
from reelarray.signal.powers import to_watts

START = "2014-08-01T08:33:15.978272700"
WINDOWS = {
    "rectangular": "boxcar",
    "hamming": "hamming",
    "hanning": "hann",
    "blackman": "blackman",
    "bartlett": "bartlett",
}


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, np.ndarray]:
    with np.load(shared / "data/golden/iq/synth_64k_L1024.npz", allow_pickle=False) as file:
        found = dict(file)
    found |= dict(zip(found["meta_names"].tolist(), found["meta"].tolist(), strict=True))
    return found


@pytest.fixture(scope="module")
def samples(shared: Path, golden: dict) -> np.ndarray:
    data = (shared / "data/iq/synth_64k.tiq").read_bytes()
    offset = int(re.search(rb'offset="(\d+)"', data[:64])[1])
    return np.frombuffer(data[offset:], "<i4").astype(float).view(complex) * golden["scale"]


@pytest.fixture(scope="module", params=["complex128", "complex64"])
def x(request: pytest.FixtureRequest, samples: np.ndarray, golden: dict) -> xr.DataArray:
    center = {"center_frequency": golden["center"]}
    return ra.recording(samples.astype(request.param), rate=golden["fs"], start=START, units="V", coords=center)


def real(x: xr.DataArray) -> str:
    return "float64" if x.dtype == np.complex128 else "float32"


def near(own: xr.DataArray, theirs: np.ndarray) -> None:
    """Relative in double precision; in single precision relative to the highest value of each row."""
    theirs = theirs.astype(np.float64)
    if own.dtype == np.float64:
        np.testing.assert_allclose(own, theirs, rtol=1e-6)
    else:
        assert (abs(own.values - theirs) / theirs.max(axis=-1, keepdims=True)).max() < 1e-6


SETTINGS = {
    "zz_npfft": lambda x, **more: ra.spectrogram(x, window="boxcar", scaling="raw", **more),
    "zz_welch": lambda x, **more: ra.spectrogram(x, window="hann", detrend="constant", **more),
    "zz_mtm": lambda x, **more: multitaper_spectrogram(x, half_bandwidth=4, tapers=6, scaling="raw", **more),
}


@pytest.mark.parametrize("key", SETTINGS)
@pytest.mark.parametrize("lazy", [False, True])
def test_spectrograms(x: xr.DataArray, golden: dict, key: str, lazy: bool) -> None:
    s = SETTINGS[key](x.chunk(time=7001) if lazy else x, nfft=1024, hop=1024, dtype=real(x))
    near(s.compute(), golden[key])


def test_axes_are_theirs_without_half_a_bin_and_half_a_frame(x: xr.DataArray, golden: dict) -> None:
    s = ra.spectrogram(x, nfft=1024, hop=1024)
    fs, center = golden["fs"], golden["center"]
    np.testing.assert_allclose(s.frequency - center, golden["xx"][0] - fs / 2048, atol=0.01)  # theirs are float32
    assert s.frequency.dtype == np.float64
    assert s.frequency[512] == center
    seconds = (s.time - np.datetime64(START)) / np.timedelta64(1, "ns") / 1e9 - 512 / fs
    np.testing.assert_allclose(seconds, golden["yy"][:, 0], atol=1e-8)


def test_averages_of_groups_of_rows(x: xr.DataArray, golden: dict) -> None:
    own = ra.average(ra.spectrogram(x, nfft=1024, hop=1024, window="boxcar", scaling="raw", dtype=real(x)), every=8)
    near(own, golden["az"])
    seconds = (own.time - np.datetime64(START)) / np.timedelta64(1, "ns") / 1e9 - 512 / golden["fs"]
    np.testing.assert_allclose(seconds, golden["ay"][:, 0], atol=2e-8)
    np.testing.assert_allclose(
        golden["ay_dense"] - golden["ay"][:, 0], 3.5 * 1024 / golden["fs"], rtol=1e-5
    )  # the last


def test_cuts_keep_absolute_frequencies(x: xr.DataArray, golden: dict) -> None:
    s = ra.spectrogram(x, nfft=1024, hop=1024, window="boxcar", scaling="raw", dtype=real(x))
    fs, center = golden["fs"], golden["center"]
    cut = select_band(s, low=center, high=center + fs / 4 - fs / 2048)[4:12]  # around 0.02 s, 0.02 s long
    near(cut, golden["cutz"])
    np.testing.assert_allclose(cut.frequency - center - fs / 8, golden["cutx"] - fs / 2048, atol=0.2)  # float32


@pytest.mark.parametrize("name", WINDOWS)
def test_one_fft_over_frames(x: xr.DataArray, golden: dict, name: str) -> None:
    """Theirs adds amplitudes, so that a tone of n frames reads n^2 too high; its windows are symmetric."""
    window = get_window(WINDOWS[name], 1024, fftbins=False)
    amplitudes = ra.stft(x, nfft=1024, hop=1024, window=window, scaling=None, dtype=real(x)).sum("time")
    near(abs(amplitudes / 1024) ** 2 / (2 * 50), golden[f"fft_p_{name}"])
    np.testing.assert_allclose(
        amplitudes.frequency - golden["center"], golden["fft_f"], atol=1e-6
    )  # not half a bin off


def test_one_fft(x: xr.DataArray, golden: dict) -> None:
    head = x[:4096]
    one = {"nfft": 4096, "dtype": real(x)}
    watts = to_watts(ra.power_spectrum(head, window="boxcar", scaling="spectrum", **one))
    near(watts, golden["fft1_p"])
    assert watts.attrs["units"] == "W"
    near(ra.power_spectrum(head, window="hann", detrend="constant", **one), golden["welch_p"])
    amplitudes = ra.stft(head, window="boxcar", **one)[0]
    assert abs(amplitudes.values - golden["fft1_v"]).max() < 1e-6 * abs(golden["fft1_v"]).max()


@pytest.mark.parametrize("key", SETTINGS)
def test_spectrograms_of_the_file_itself(shared: Path, golden: dict, key: str) -> None:
    """Read, scaled, transformed, and averaged, block by block."""
    x = ra.open_recording(shared / "data/iq/synth_64k.tiq")
    assert x.time.values[0] == np.datetime64(START)
    s = SETTINGS[key](x, nfft=1024, hop=1024, block=5)
    near(s.compute(), golden[key])
    assert s.frequency[512] == golden["center"]
    if key == "zz_npfft":
        near(ra.average(s, every=8).compute(), golden["az"])


def test_the_tone_and_the_noise_read_what_they_are(x: xr.DataArray, golden: dict) -> None:
    rows = ra.spectrogram(x, nfft=1024, hop=1024, window="boxcar", scaling="spectrum")
    tone = to_watts(rows).median("time", keep_attrs=True)  # a chirp passes
    dbm = ra.to_decibel(tone, reference="1 mW")
    assert dbm.idxmax() == golden["center"] + 48828.125
    assert dbm.max().item() == pytest.approx(-49.60, abs=0.01)
    floor = ra.to_decibel(to_watts(ra.power_spectrum(x, nfft=1024, average="median")), reference="1 mW")
    assert floor.median().item() == pytest.approx(-122.5, abs=0.3)
