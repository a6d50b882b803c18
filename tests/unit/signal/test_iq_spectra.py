"""Spectra of complex samples: absolute frequencies, scalings, watts; the numbers of other programs by closed forms."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import signal

import reelarray as ra
from reelarray.signal.bands import select_band
from reelarray.signal.engines import installed
from reelarray.signal.instantaneous import instantaneous_power
from reelarray.signal.multitaper import multitaper_spectrogram, slepian_sequences
from reelarray.signal.powers import to_watts
from reelarray.signal.spectrum import Spectrum

RATE, CENTER, NFFT = 390625, 244_778_900.0, 256
ENGINES = ["scipy", *(["numba"] if installed() else [])]


def noisy(frames: int = 12, nfft: int = NFFT) -> np.ndarray:
    """A tone a tenth of the rate above the centre, another below, noise, and a small DC: volts."""
    rng, n = np.random.default_rng(4), np.arange(frames * nfft)
    tones = 1e-3 * np.exp(2j * np.pi * 0.1 * n) + 3e-4 * np.exp(-2j * np.pi * 0.3123 * n)
    return tones + 1e-4 * (rng.normal(size=n.size) + 1j * rng.normal(size=n.size)) + 2e-5


def of(values: Any, dtype: str = "complex128", **attrs: Any) -> xr.DataArray:
    center = {"center_frequency": CENTER}
    return ra.recording(np.asarray(values, dtype), rate=RATE, units="V", coords=center, attrs=attrs)


def near(own: xr.DataArray, expected: np.ndarray) -> None:
    """Relative in double precision; in single precision relative to the highest value of each row."""
    if own.dtype == np.float64:
        np.testing.assert_allclose(own, expected, rtol=1e-6)
    else:
        assert (abs(own.values - expected) / expected.max(axis=-1, keepdims=True)).max() < 1e-6


# ---- what other programs give, in their own words --------------------------------------------------------------------


def powers(z: np.ndarray, window: np.ndarray, nfft: int = NFFT) -> np.ndarray:
    frames = z[: len(z) // nfft * nfft].reshape(-1, nfft)
    return abs(np.fft.fftshift(np.fft.fft(frames * window), axes=-1)) ** 2


@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("nfft", [NFFT, 255])
def test_squares_without_any_factor(dtype: str, engine: str, nfft: int) -> None:
    z, real = noisy(nfft=nfft), "float64" if dtype == "complex128" else "float32"
    settings = {"nfft": nfft, "hop": nfft, "scaling": "raw", "dtype": real, "engine": engine}
    near(ra.spectrogram(of(z, dtype), window="boxcar", **settings), powers(z, np.ones(nfft), nfft))
    rows = ra.spectrogram(of(z, dtype), window="hann", **settings)
    near(rows, powers(z, signal.get_window("hann", nfft), nfft))
    near(ra.power_spectrum(of(z, dtype), window="hann", every=3, **settings), rows.values.reshape(4, 3, nfft).mean(1))
    assert (rows.attrs["units"], rows.attrs["scaling"], rows.attrs["engine"]) == ("V2", "raw", engine)


@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
def test_a_periodogram_of_each_frame(dtype: str) -> None:
    z, real = noisy(), "float64" if dtype == "complex128" else "float32"
    expected = signal.welch(
        z.reshape(-1, NFFT), RATE, nperseg=NFFT, noverlap=0, return_onesided=False, detrend="constant"
    )[1]
    own = ra.spectrogram(of(z, dtype), nfft=NFFT, hop=NFFT, window="hann", detrend="constant", dtype=real)
    near(own, np.fft.fftshift(expected, axes=-1))


@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
@pytest.mark.parametrize(("half_bandwidth", "tapers"), [(4, 6), (2.5, 4), (4, 1)])
def test_multitaper_is_the_mean_through_slepian_tapers(dtype: str, half_bandwidth: float, tapers: int) -> None:
    z, real = noisy(), "float64" if dtype == "complex128" else "float32"
    sequences = signal.windows.dpss(NFFT, half_bandwidth, tapers)
    np.testing.assert_allclose((sequences**2).sum(-1), 1)
    expected = np.mean([powers(z, taper) for taper in sequences], axis=0)
    settings = {"nfft": NFFT, "hop": NFFT, "half_bandwidth": half_bandwidth, "tapers": tapers, "dtype": real}
    near(multitaper_spectrogram(of(z, dtype), scaling="raw", **settings), expected)
    near(multitaper_spectrogram(of(z, dtype), **settings), expected / RATE)


def test_one_fft_of_everything_in_watts() -> None:
    z = noisy(1)
    expected = abs(np.fft.fftshift(np.fft.fft(z)) / NFFT) ** 2 / (2 * 50)
    own = to_watts(ra.power_spectrum(of(z), nfft=NFFT, window="boxcar", scaling="spectrum", dtype="float64"))
    near(own, expected)


# ---- axes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nfft", [1024, 1023, 255, 65536, 7, 2, 1])
@pytest.mark.parametrize("function", [ra.spectrogram, ra.stft, multitaper_spectrogram])
def test_frequencies_are_absolute_and_the_middle_bin_is_the_centre(nfft: int, function: Any) -> None:
    if function is multitaper_spectrogram and nfft < 10:
        pytest.skip("tapers need more samples")
    frequency = function(of(np.zeros(nfft)), nfft=nfft).frequency
    assert frequency.dtype == np.float64
    assert frequency[nfft // 2] == CENTER
    exact = [float(CENTER + k * RATE / nfft) for k in range(-(nfft // 2), nfft - nfft // 2)]
    np.testing.assert_allclose(frequency, exact, rtol=2e-16, atol=0)


@pytest.mark.parametrize("nfft", [256, 255])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_tone_stands_in_its_bin(nfft: int, engine: str) -> None:
    for k in (-(nfft // 2), -100, 0, 1, nfft - nfft // 2 - 1):
        tone = of(np.exp(2j * np.pi * k * np.arange(nfft) / nfft))
        s = ra.spectrogram(tone, nfft=nfft, window="boxcar", scaling="spectrum", engine=engine)
        assert s.idxmax("frequency").item() == CENTER + k * RATE / nfft
        assert s.max().item() == pytest.approx(1, rel=1e-6)


# ---- scalings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nfft", [64, 63])
@pytest.mark.parametrize("engine", ENGINES)
def test_raw_spectra_of_real_samples_are_neither_doubled_nor_halved(nfft: int, engine: str) -> None:
    values = np.random.default_rng(0).normal(size=5 * nfft) + 1
    x = ra.recording(values, rate=100, units="Pa")
    own = ra.spectrogram(x, nfft=nfft, hop=nfft, scaling="raw", dtype="float64", engine=engine)
    expected = abs(np.fft.rfft(values.reshape(5, nfft) * signal.get_window("hann", nfft))) ** 2
    np.testing.assert_allclose(own, expected, rtol=1e-9)
    taper = signal.windows.dpss(nfft, 2, 1)
    single = multitaper_spectrogram(x, nfft=nfft, hop=nfft, half_bandwidth=2, tapers=1, scaling="raw", dtype="float64")
    np.testing.assert_allclose(single, abs(np.fft.rfft(values.reshape(5, nfft) * taper)) ** 2, rtol=1e-9, atol=1e-12)
    assert own.attrs["engine"] == "scipy"


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("nfft", [64, 63])
def test_multitaper_levels(kind: str, nfft: int) -> None:
    """Noise reads its density, and a tone its power, as in an ordinary spectrum."""
    rng, n = np.random.default_rng(1), 4000 * nfft
    noise = rng.normal(size=n) + (1j * rng.normal(size=n) if kind == "complex" else 0)
    x = ra.recording(noise, rate=1000, units="V")
    density = ra.average(multitaper_spectrogram(x, nfft=nfft, hop=nfft), every=4000)[0]
    expected = (2 if kind == "complex" else 1) / 1000 * np.ones(len(density)) * (1 if kind == "complex" else 2)
    inner = slice(4, -4)  # at 0 Hz and Nyquist the lobes of both sides meet
    np.testing.assert_allclose(density[inner], expected[inner], rtol=0.05)
    assert density.sum().item() * 1000 / nfft == pytest.approx(abs(noise**2).mean(), rel=0.01)
    tone = np.exp(2j * np.pi * 16 * np.arange(nfft) / nfft)
    tone = ra.recording(tone if kind == "complex" else tone.real, rate=1000, units="V")
    spectrum = multitaper_spectrogram(tone, nfft=nfft, scaling="spectrum", dtype="float64")
    peak = spectrum.sel(frequency=16 * 1000 / nfft, method="nearest").item()
    assert peak == pytest.approx(1 if kind == "complex" else 0.5, rel=1e-3)
    whole = multitaper_spectrogram(tone, nfft=nfft, dtype="float64")
    np.testing.assert_allclose(spectrum, whole * whole.attrs["noise_bandwidth"], rtol=1e-9)


def test_the_attributes_tell() -> None:
    s = ra.spectrogram(of(noisy()), nfft=NFFT, window="hann")
    assert (s.attrs["amplitude"], s.attrs["sides"]) == ("peak", 2)
    assert s.attrs["noise_bandwidth"] == pytest.approx(1.5 * RATE / NFFT)
    m = multitaper_spectrogram(of(noisy()), nfft=NFFT)
    assert (m.attrs["window"], m.attrs["half_bandwidth"], m.attrs["tapers"]) == ("dpss", 4.0, 6)
    real = ra.spectrogram(ra.recording(np.ones(64), rate=64, units="V"), nfft=64, window="boxcar")
    assert (real.attrs["amplitude"], real.attrs["sides"], real.attrs["noise_bandwidth"]) == ("rms", 1, 1.0)
    without = ra.spectrogram(ra.recording(np.ones(64), rate=64), nfft=64, window=np.tile([1.0, -1.0], 32))
    assert "noise_bandwidth" not in without.attrs  # a window that lets no tone through at its own frequency


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tapers": 0}, "tapers=0"),
        ({"tapers": 9}, "from 1 to 8"),
        ({"tapers": 2.0}, "tapers=2.0"),
        ({"half_bandwidth": 0}, "half_bandwidth=0"),
        ({"half_bandwidth": float("nan")}, "half_bandwidth=nan"),
        ({"half_bandwidth": 128.0}, "nfft / 2"),
        ({"scaling": "psd"}, "'density', 'spectrum' or 'raw'"),
        ({"detrend": "cubic"}, "detrend"),
        ({"dtype": "int16"}, "int16"),
        ({"nfft": 2**20}, "fits no stretch"),
    ],
)
def test_multitaper_refuses(settings: dict, message: str) -> None:
    with pytest.raises(ra.RecordingError, match=message):
        multitaper_spectrogram(of(noisy()), **{"nfft": NFFT, **settings})


def test_long_tapers_are_made_where_they_are_needed() -> None:
    import pickle

    z = np.exp(2j * np.pi * 0.25 * np.arange(2**17))
    lazy = multitaper_spectrogram(of(z).chunk(time=2**15), nfft=2**16, scaling="spectrum")
    assert len(pickle.dumps(lazy.data.dask)) < 2**22 + z.nbytes  # 6 tapers would be 1.5 MiB a task
    assert lazy.values.tobytes() == multitaper_spectrogram(of(z), nfft=2**16, scaling="spectrum").values.tobytes()
    assert lazy.values.max() == pytest.approx(1, rel=1e-4)


# ---- watts -----------------------------------------------------------------------------------------------------------


def test_a_carrier_reads_its_power_whatever_was_measured() -> None:
    """10 V at its peak is 1 W at 50 ohm, as a complex envelope and as the real oscillation."""
    envelope = of(10 * np.exp(2j * np.pi * np.arange(640) / 8))
    real = ra.recording(10 * np.cos(2 * np.pi * np.arange(640) / 8), rate=RATE, units="V")
    for x in (envelope, real):
        spectrum = to_watts(ra.power_spectrum(x, nfft=64, scaling="spectrum", dtype="float64"))
        assert spectrum.max().item() == pytest.approx(1)
        assert spectrum.attrs["units"] == "W"
        density = to_watts(ra.power_spectrum(x, nfft=64, dtype="float64"))
        assert density.sum().item() * RATE / 64 == pytest.approx(1)
        assert density.attrs["units"] == "W Hz-1"
        assert to_watts(instantaneous_power(x)).mean().item() == pytest.approx(1)
        assert to_watts(ra.power_spectrum(x, nfft=64, scaling="spectrum"), impedance=75).max().item() == pytest.approx(
            2 / 3
        )


def test_watts_of_other_volts_and_of_averages() -> None:
    mv = ra.spectrogram(of(noisy() * 1e3), nfft=NFFT).assign_attrs(units="mV2 Hz-1")
    np.testing.assert_allclose(to_watts(mv), to_watts(ra.spectrogram(of(noisy()), nfft=NFFT)), rtol=1e-3)
    x = of(noisy(), "complex64").chunk(time=500)
    s = ra.spectrogram(x, nfft=NFFT)
    before = s.attrs.copy()
    averaged = to_watts(ra.average(s, every=3))
    np.testing.assert_allclose(averaged, ra.average(to_watts(s), every=3), rtol=1e-6)
    assert averaged.chunks is not None
    assert s.attrs == before
    assert averaged.dtype == np.float32
    assert averaged.attrs["impedance"] == 50.0
    assert (averaged.frequency == s.frequency).all()


def test_the_input_is_never_changed() -> None:
    s = ra.spectrogram(of(np.zeros(NFFT)), nfft=NFFT)
    kept = s.copy(deep=True)
    with np.errstate(all="raise"):
        watts = to_watts(s)
        level = ra.to_decibel(watts, reference="1 mW")
    assert np.isneginf(level).all()
    assert (ra.to_decibel(watts, reference="1 mW", floor=-200) == -200).all()
    xr.testing.assert_identical(s, kept)
    assert (watts == 0).all()


@pytest.mark.parametrize(
    ("attrs", "error", "message"),
    [
        ({"units": "1"}, ra.CalibrationError, "full scale"),
        ({"units": "Hz-1"}, ra.CalibrationError, "full scale"),
        ({"units": "Pa2 Hz-1"}, ra.RecordingError, "squares of volts"),
        ({"units": "V"}, ra.RecordingError, "instantaneous_power"),
        ({"units": "W Hz-1"}, ra.RecordingError, "'W Hz-1'"),
        ({"units": "V2 s"}, ra.RecordingError, "'V2 s'"),
        ({"units": "dB re 1 V2"}, ra.RecordingError, "levels"),
        ({"scaling": "raw"}, ra.RecordingError, "raw"),
        ({"amplitude": None}, ra.RecordingError, "'peak'"),
    ],
)
def test_no_watts_of(attrs: dict, error: type[Exception], message: str) -> None:
    s = ra.spectrogram(of(noisy()), nfft=NFFT)
    with pytest.raises(error, match=message):
        to_watts(s.assign_attrs(attrs))


def test_other_refusals() -> None:
    s = ra.spectrogram(of(noisy()), nfft=NFFT)
    for impedance in (0, -50, float("nan"), float("inf"), "50", True, None):
        with pytest.raises(ra.RecordingError, match="impedance"):
            to_watts(s, impedance=impedance)
    for wrong in (s.values, of(noisy()), s.astype(int)):
        with pytest.raises(ra.RecordingError, match="of powers was expected"):
            to_watts(wrong)


# ---- references as quantities ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "reference", "level", "of_one"),
    [
        ("W", "1 mW", "dB re 1 mW", 30),
        ("W Hz-1", "1 mW", "dB re 1 mW Hz-1", 30),
        ("mW", "1 mW", "dB re 1 mW", 0),
        ("mW", "1 W", "dB re 1 W", -30),
        ("W", "2 kW", "dB re 2 kW", -33.0103),
        ("W", 1e-3, "dB re 0.001 W", 30),
        ("W m-2", "1 W m-2", "dB re 1 W m-2", 0),
        ("V", "1 uV", "dB re 1 uV", 120),
        ("V", "1 \N{MICRO SIGN}V", "dB re 1 uV", 120),
        ("V2", "1 uV", "dB re 1 uV2", 120),
        ("V2", "1uV2", "dB re 1 uV2", 120),
        ("Pa2 Hz-1", "1 uPa2", "dB re 1 uPa2 Hz-1", 120),
        ("Pa2", "20 uPa", "dB re (20 uPa)2", 93.9794),
        ("Pa2", "(20 uPa)2", "dB re (20 uPa)2", 93.9794),
        ("Pa2", "4 uPa2", "dB re (2 uPa)2", 113.9794),
        ("Pa", "20 uPa", "dB re 20 uPa", 93.9794),
        ("Pa", "2e-5 Pa", "dB re 2e-05 Pa", 93.9794),
        ("(m s-1)2", "1 m s-1", "dB re 1 (m s-1)2", 0),
        ("1", "1", "dB re 1", 0),
    ],
)
def test_references_are_quantities(units: str, reference: Any, level: str, of_one: float) -> None:
    y = ra.to_decibel(ra.recording([1.0], rate=1, units=units), reference=reference)
    assert y.attrs["units"] == level
    assert y.item() == pytest.approx(of_one, abs=1e-4)


def test_a_reference_as_a_number_and_as_a_quantity_give_the_same_bits() -> None:
    x = ra.recording(np.random.default_rng(0).lognormal(size=1000), rate=1, units="Pa2")
    for text, number in (("20 uPa", 20e-6), ("1 uPa", 1e-6), ("1 Pa", 1)):
        a, b = ra.to_decibel(x, reference=text), ra.to_decibel(x, reference=number)
        assert a.values.tobytes() == b.values.tobytes()
        assert a.attrs == b.attrs


@pytest.mark.parametrize(
    ("units", "reference", "error", "message"),
    [
        ("V2", "1 mW", ra.RecordingError, "to_watts"),
        ("V2 Hz-1", "1 W", ra.RecordingError, "to_watts"),
        ("Pa2", "1 V", ra.RecordingError, "of Pa2"),
        ("1", "1 mW", ra.CalibrationError, "full scale"),
        ("Hz-1", "1 mW", ra.CalibrationError, "full scale"),
        ("W", "1 mW2", ra.RecordingError, "of W"),
        ("W", "mW", ra.RecordingError, "'1 mW'"),
        ("W", "0 mW", ra.RecordingError, "above 0"),
        ("W", "-1 mW", ra.RecordingError, "quantity"),
        ("W", "", ra.RecordingError, "quantity"),
    ],
)
def test_references_that_do_not_fit(units: str, reference: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ra.to_decibel(ra.recording([1.0], rate=1, units=units), reference=reference)


def test_dbm_of_part_of_a_band() -> None:
    s = to_watts(ra.power_spectrum(of(noisy(40)), nfft=NFFT, scaling="spectrum"))
    level = ra.to_decibel(select_band(s, center=CENTER + 0.1 * RATE, span=RATE / 20), reference="1 mW")
    assert level.max().item() == pytest.approx(10 * np.log10(1e-6 / 100 * 1000), abs=1.5)  # scalloping
    assert level.frequency.values[[0, -1]] == pytest.approx(CENTER + 0.1 * RATE, abs=RATE / 40)


@pytest.mark.parametrize("impedance", [np.int64(50), np.float32(50), np.array(50.0), xr.DataArray(50)])
def test_impedances_are_any_number(impedance: Any) -> None:
    power = instantaneous_power(of(np.full(4, 10j)))
    np.testing.assert_array_equal(to_watts(power, impedance=impedance), to_watts(power))
    assert to_watts(power, impedance=impedance).attrs["impedance"] == 50


# ---- tapers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "half_bandwidth"), [(2, 0.75), (3, 1.2), (16, 7.9), (63, 4), (256, 60.5), (1024, 4), (20000, 4)]
)
def test_slepian_sequences_are_those_of_scipy(length: int, half_bandwidth: float) -> None:
    tapers = int(2 * half_bandwidth)
    own = slepian_sequences(length, half_bandwidth, tapers)
    expected = np.atleast_2d(signal.windows.dpss(length, half_bandwidth, tapers))
    np.testing.assert_allclose(own @ own.T, np.eye(tapers), atol=1e-12)
    np.testing.assert_allclose(abs((own * expected).sum(-1)), 1, rtol=1e-12)


def test_long_tapers_are_the_same_bits_whatever_the_threads() -> None:
    """Of LAPACK's, which workers have other numbers of than the client."""
    code = (
        "import hashlib; from reelarray.signal.multitaper import slepian_sequences;"
        "print(hashlib.md5(slepian_sequences(16384, 4.0, 6).tobytes()).hexdigest())"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
        ).stdout
        for threads in ("1", "2")
    }
    assert len(made) == 1


@pytest.mark.parametrize(("window", "sent"), [(("dpss", 4.0), True), (("kaiser", 14.0), False), ("hann", False)])
def test_a_window_whose_bits_depend_on_threads_is_made_by_the_client(window: Any, sent: bool) -> None:
    s = Spectrum.of(of(np.zeros(2**16)), 2**16, None, window, None)
    assert isinstance(s.scaled_taper("density", np.dtype("float32"), power=True), np.ndarray) == sent
