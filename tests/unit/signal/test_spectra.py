"""Spectra: equal to SciPy's, closed forms, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import signal

import reelarray as ra
from reelarray.clock import SampleClock
from reelarray.recordings import label

RATE = 8000
TOLERANCE = {"float32": 3e-5, "float64": 1e-10}


def noise(size: int = 4000, kind: str = "real", dtype: str = "float64") -> np.ndarray:
    rng = np.random.default_rng(9)
    values = rng.normal(size=size) + 0.3
    if kind == "complex":
        return (values + 1j * rng.normal(size=size)).astype("complex64" if dtype == "float32" else "complex128")
    return values.astype(dtype)


def of(values: Any, **more: Any) -> xr.DataArray:
    return ra.recording(np.asarray(values), rate=RATE, units="V", **more)


# ---- equal to SciPy --------------------------------------------------------------------------------------------------

SETTINGS = [
    {"nfft": 256},
    {"nfft": 255, "hop": 100},
    {"nfft": 512, "hop": 7, "window": "hamming"},
    {"nfft": 512, "window_length": 300, "hop": 150, "window": "blackman"},
    {"nfft": 64, "hop": 64, "window": "boxcar"},
    {"nfft": 128, "hop": 200, "window": ("kaiser", 8.6)},
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("scaling", ["density", "spectrum"])
@pytest.mark.parametrize("detrend", [False, "constant", "linear"])
@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_spectrogram_is_that_of_scipy(settings: dict, scaling: str, detrend: Any, kind: str, dtype: str) -> None:
    x = noise(kind=kind)
    length = settings.get("window_length", settings["nfft"])
    hop = settings.get("hop", length // 2)
    own = ra.spectrogram(of(x), **settings, scaling=scaling, detrend=detrend, dtype=dtype)
    if hop > length:  # SciPy refuses gaps between windows: its spectra of every sample, thinned out
        step, thin = 1, hop
    else:
        step, thin = hop, 1
    frequency, times, power = signal.spectrogram(
        x,
        RATE,
        window=signal.get_window(settings.get("window", "hann"), length),
        noverlap=length - step,
        nfft=settings["nfft"],
        detrend=detrend,
        scaling=scaling,
        return_onesided=kind == "real",
        mode="psd",
    )
    power, times = power[:, ::thin], times[::thin]
    order = np.argsort(frequency, kind="stable")
    assert own.dtype == dtype
    np.testing.assert_allclose(own.frequency, frequency[order], atol=1e-9)
    np.testing.assert_allclose(own, power[order].T, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * power.max())
    np.testing.assert_allclose(own.time.values.astype("i8") / 1e9, times, atol=1e-9)  # centres


@pytest.mark.parametrize("settings", SETTINGS[:5])
@pytest.mark.parametrize("average", ["mean", "median"])
@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("scaling", ["density", "spectrum"])
def test_power_spectrum_is_welch(settings: dict, average: str, kind: str, scaling: str) -> None:
    x = noise(kind=kind)
    length = settings.get("window_length", settings["nfft"])
    hop = settings.get("hop", length // 2)
    frequency, power = signal.welch(
        x,
        RATE,
        window=signal.get_window(settings.get("window", "hann"), length),
        noverlap=length - hop,
        nfft=settings["nfft"],
        scaling=scaling,
        average=average,
        return_onesided=kind == "real",
    )
    order = np.argsort(frequency, kind="stable")
    for dtype in ("float64", "float32"):
        own = ra.power_spectrum(of(x), **settings, scaling=scaling, average=average, detrend="constant", dtype=dtype)
        assert own.dims == ("frequency",)
        np.testing.assert_allclose(own, power[order], rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * power.max())
        assert own["count"] == (4000 - length) // hop + 1


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize(("scaling", "theirs"), [("density", "psd"), ("spectrum", "magnitude")])
@pytest.mark.parametrize("kind", ["real", "complex"])
def test_stft_is_that_of_short_time_fft(settings: dict, scaling: str, theirs: str, kind: str) -> None:
    x = noise(kind=kind)
    length = settings.get("window_length", settings["nfft"])
    hop = settings.get("hop", length // 2)
    mode = "onesided" if kind == "real" else "centered"
    transform = signal.ShortTimeFFT(
        signal.get_window(settings.get("window", "hann"), length),
        hop,
        RATE,
        mfft=settings["nfft"],
        fft_mode=mode,
        scale_to=theirs,
        phase_shift=None,  # windows begin at phase 0 of the FFT
    )
    begin = length // 2  # theirs are centred on whole samples: the first that lies inside is centred here
    count = (len(x) - length) // hop + 1
    frames = np.stack([x[k * hop : k * hop + length] for k in range(count)])
    expected = np.stack([transform.stft(f, 0, 1, k_offset=begin)[:, 0] for f in frames])
    own = ra.stft(of(x), **settings, scaling=scaling, dtype="float64")
    np.testing.assert_allclose(own.frequency, transform.f, atol=1e-9)
    np.testing.assert_allclose(own, expected, rtol=1e-9, atol=1e-12)


def test_channels_are_transformed_alike() -> None:
    x = np.stack([noise(), noise()[::-1]], axis=-1)
    both = ra.spectrogram(of(x), nfft=128)
    assert both.dims == ("time", "channel", "frequency")
    for channel in (0, 1):
        alone = ra.spectrogram(of(x[:, channel]), nfft=128)
        np.testing.assert_array_equal(both.isel(channel=channel), alone)


def test_integers_are_as_precise_as_their_floats() -> None:
    counts = np.round(noise() * 1000).astype(np.int16)
    np.testing.assert_array_equal(ra.spectrogram(of(counts)), ra.spectrogram(of(counts.astype("f4"))))


# ---- closed forms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("window", ["boxcar", "hann", "hamming", ("kaiser", 14)])
def test_mean_square_is_the_sum_of_the_density(kind: str, window: Any) -> None:
    x = noise(2**20, kind) - 0.3
    psd = ra.power_spectrum(of(x), nfft=512, window=window, dtype="float64")
    total = float(psd.sum()) * RATE / 512
    assert total == pytest.approx((abs(x) ** 2).mean(), rel=3e-3)
    if window == "boxcar":  # exactly, where windows neither overlap nor taper
        exact = ra.power_spectrum(of(x), nfft=512, hop=512, window=window, dtype="float64")
        assert float(exact.sum()) * RATE / 512 == pytest.approx((abs(x) ** 2).mean(), rel=1e-12)


def test_white_noise_is_flat_to_both_edges_and_in_time() -> None:
    psd = ra.power_spectrum(of(noise(2**20) - 0.3), nfft=64, window="boxcar", dtype="float64")
    level = 2 / RATE  # variance 1 over RATE / 2
    np.testing.assert_allclose(psd[1:-1], level, rtol=0.05)
    np.testing.assert_allclose(psd[[0, -1]], level / 2, rtol=0.05)  # single bins
    rows = ra.average(ra.spectrogram(of(noise(2**20) - 0.3), nfft=64), every="10s").mean("frequency")
    np.testing.assert_allclose(rows[:-1], rows[0], rtol=0.02)


@pytest.mark.parametrize("window", ["hann", "boxcar", "hamming"])
def test_windows_are_those_of_scipy_to_the_bit(window: str) -> None:
    from reelarray.signal.spectrum import named_taper

    for length in (*range(1, 70), 1000, 2**16, 100_003):
        assert named_taper(window, length).tobytes() == signal.get_window(window, length).tobytes(), length


@pytest.mark.parametrize("window", ["boxcar", "hann", "hamming", "flattop"])
@pytest.mark.parametrize("amplitude", [1.0, 0.25])
def test_a_tone_of_amplitude_a_peaks_at_half_its_square(window: str, amplitude: float) -> None:
    t = np.arange(4096) / RATE
    power = ra.power_spectrum(
        of(amplitude * np.sin(2 * np.pi * 1000 * t)), nfft=512, window=window, scaling="spectrum", dtype="float64"
    )
    assert float(power.idxmax()) == 1000
    assert float(power.max()) == pytest.approx(amplitude**2 / 2, rel=1e-9)
    rotating = of(amplitude * np.exp(-2j * np.pi * 1000 * t)).assign_coords(center_frequency=1e6)
    power = ra.power_spectrum(rotating, nfft=512, window=window, scaling="spectrum", dtype="float64")
    assert float(power.idxmax()) == 1e6 - 1000
    assert float(power.max()) == pytest.approx(amplitude**2, rel=1e-9)


def test_level_of_a_tone_is_its_rms_less_the_noise_bandwidth() -> None:
    # rms 139.365 dB re 1 uPa, 512-point Hamming, 8 kHz: the density peaks at rms - 10 log10(ENBW) = 126.076 dB.
    rms = 10 ** (139.365 / 20) * 1e-6
    t = np.arange(8 * RATE) / RATE
    x = ra.recording(rms * np.sqrt(2) * np.sin(2 * np.pi * 1000 * t), rate=RATE, units="Pa")
    for window in ("hamming", np.hamming(512)):  # ours is periodic, the older tools' symmetric
        taper = signal.get_window("hamming", 512) if isinstance(window, str) else window
        bandwidth = RATE * (taper**2).sum() / taper.sum() ** 2
        level = ra.to_decibel(ra.power_spectrum(x, nfft=512, window=window, dtype="float64"))
        assert float(level.max()) == pytest.approx(139.365 - 10 * np.log10(bandwidth), abs=1e-6)
        assert float(level.max()) == pytest.approx(126.076, abs=0.02)
    assert level.attrs["units"] == "dB re 1 uPa2 Hz-1"
    spectrum = ra.to_decibel(ra.power_spectrum(x, nfft=512, scaling="spectrum", dtype="float64"))
    assert float(spectrum.max()) == pytest.approx(139.365, abs=1e-6)


def test_sound_pressure_level_is_the_sum_of_the_density() -> None:
    x = ra.recording(noise(2**18) - 0.3, rate=RATE, units="Pa")
    psd = ra.power_spectrum(x, nfft=1024, dtype="float64")
    total = ra.to_decibel((psd.sum() * RATE / 1024).assign_attrs(units="Pa2"))
    assert float(total) == pytest.approx(120 + 20 * np.log10(x.values.std()), abs=0.02)


def test_units_and_parameters_are_said() -> None:
    x = of(noise())
    assert ra.spectrogram(x).attrs["units"] == "V2 Hz-1"
    assert ra.spectrogram(x, scaling="spectrum").attrs["units"] == "V2"
    assert ra.spectrogram(x.assign_attrs(units="1")).attrs["units"] == "Hz-1"
    assert ra.spectrogram(x.assign_attrs(units="m s-1")).attrs["units"] == "(m s-1)2 Hz-1"
    assert ra.stft(x, scaling="density").attrs["units"] == "V Hz-0.5"
    attrs = ra.spectrogram(x, nfft=512, hop=100, window=("kaiser", 14), detrend="linear").attrs
    expected = {"nfft": 512, "hop": 100, "window_length": 512, "scaling": "density", "detrend": "linear"}
    assert {name: attrs[name] for name in expected} == expected
    assert "kaiser" in attrs["window"]


# ---- gaps, and samples that are not numbers --------------------------------------------------------------------------


def test_windows_do_not_span_gaps_but_files_that_follow_each_other() -> None:
    clock = SampleClock.of_segments([0, 10**9, 10**10], [8000, 1000, 5000], RATE, joined=[False, True, False])
    x = noise(14000)
    own = ra.spectrogram(label(x, clock, attrs={"units": "V"}), nfft=1024, dtype="float64")
    parts = [signal.spectrogram(part, RATE, "hann", 1024, 512, detrend=False)[2].T for part in (x[:9000], x[9000:])]
    np.testing.assert_allclose(own, np.concatenate(parts), rtol=1e-9)
    assert ra.segments(own)["joined"].tolist() == [False, True, False]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("detrend", [False, "constant", "linear"])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_what_is_not_finite_touches_its_own_windows_only(bad: float, kind: str, detrend: Any) -> None:
    x = noise(kind=kind)
    spoiled = x.copy()
    spoiled[1000] = bad
    whole = ra.spectrogram(of(x), nfft=256, hop=100, detrend=detrend)
    own = ra.spectrogram(of(spoiled), nfft=256, hop=100, detrend=detrend)
    starts = np.arange(len(own)) * 100
    touched = (starts <= 1000) & (starts + 256 > 1000)
    assert not np.isfinite(own.values[touched]).any()
    assert np.isnan(own.values[touched]).all() or not np.isnan(bad)
    np.testing.assert_array_equal(own.values[~touched], whole.values[~touched])


def test_filled_gaps_make_their_windows_nan_and_averages_say_so() -> None:
    clock = SampleClock.of_segments([0, 2 * 10**9], [RATE, RATE], RATE)
    x = label(noise(2 * RATE), clock, attrs={"units": "V"})
    own = ra.spectrogram(ra.fill_gaps(x), nfft=256, hop=128)
    starts = np.arange(len(own)) * 128
    touched = (starts + 256 > RATE) & (starts < 2 * RATE)
    np.testing.assert_array_equal(np.isnan(own).all("frequency"), touched)
    np.testing.assert_array_equal(np.isnan(own).any("frequency"), touched)


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [ra.spectrogram, ra.stft, ra.power_spectrum])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hop": 0}, "hop=0"),
        ({"hop": -5}, "hop=-5"),
        ({"hop": 2.5}, "hop=2.5"),
        ({"nfft": 0}, "nfft=0"),
        ({"nfft": True}, "nfft=True"),
        ({"nfft": 1024.0}, "nfft=1024.0"),
        ({"nfft": 5000}, "longest has 4000"),
        ({"nfft": 64, "window_length": 128}, "longer than nfft=64"),
        ({"window": "hamburger"}, "hamburger"),
        ({"window": "kaiser"}, "kaiser"),
        ({"window": np.ones(5)}, "5 values"),
        ({"scaling": "psd"}, "'density', 'spectrum' or"),
        ({"detrend": "quadratic"}, "quadratic"),
        ({"detrend": True}, "detrend=True"),
        ({"dtype": "int16"}, "int16"),
        ({"dtype": "float16"}, "float16"),
        ({"block": 0}, "block=0"),
    ],
)
def test_impossible_settings(function: Callable, settings: dict, message: str) -> None:
    with pytest.raises(ra.RecordingError, match=message):
        function(of(noise()), **settings)


def test_impossible_input() -> None:
    with pytest.raises(ra.RecordingError, match="ndarray"):
        ra.spectrogram(noise())
    with pytest.raises(ra.ClockError, match="no sample clock"):
        ra.spectrogram(xr.DataArray(noise(), dims="time", coords={"time": np.arange(4000)}))
    with pytest.raises(ra.RecordingError, match="time must come first"):
        ra.spectrogram(of(np.ones((100, 2))).transpose("channel", "time"))
    with pytest.raises(ra.RecordingError, match="dtype"):
        ra.spectrogram(of(noise() > 0))
    with pytest.raises(ra.RecordingError, match="average="):
        ra.power_spectrum(of(noise()), average="mode")
    with pytest.raises(ra.RecordingError, match="every="):
        ra.power_spectrum(of(noise()), every="a while")
    with pytest.raises(ra.RecordingError, match="every="):
        ra.power_spectrum(of(noise()), every=60.0)
