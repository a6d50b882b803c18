"""Zoom and baseband: tones where they belong and nowhere else, at exact times, however far from the start."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import deployments
import numpy as np
import pytest
import xarray as xr
from scipy import signal

import reelarray as ra
from reelarray import formats, graph
from reelarray.recordings import clock, label
from reelarray.signal import rates
from reelarray.signal.rates import MARGIN, Conversion
from reelarray.signal.zoom import ATTENUATION, baseband, zoom
from reelarray.table import SourceTable

RATE, CENTER = 390_625, 244.7789e6


def tone(offset: float, samples: int = 60_000, dtype: str = "complex128", rate: int = RATE) -> xr.DataArray:
    """exp(2 pi i offset n / rate), its phase reduced before it becomes large."""
    turns = np.mod(np.arange(samples) * (offset / rate), 1)
    coords = {"center_frequency": CENTER}
    return ra.recording(np.exp(2j * np.pi * turns).astype(dtype), rate=rate, units="V", coords=coords)


def positions(y: xr.DataArray) -> np.ndarray:
    """Samples of the recording that y was made of, at which its rows stand."""
    own = clock(y)
    return own.positions(np.arange(own.size))[1] / own.parts


def level(y: xr.DataArray) -> float:
    return 20 * math.log10(np.abs(y.values).max())


CASES = [(10_000.0, -43_210.125), (100_000.0, 51_234.5), (2_500.0, 99_999.0), (30_000.0, 0.0)]


@pytest.mark.parametrize(("span", "shift"), CASES)
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_a_tone_in_the_span_keeps_gain_phase_and_place(span: float, shift: float, dtype: str) -> None:
    factor = math.floor(RATE / (1.25 * span))
    for part in (-0.5, -0.29, 0.0, 0.13, 0.5):
        y = zoom(tone(shift + part * span, dtype=dtype), center=CENTER + shift, span=span)
        assert y.dtype == dtype
        assert ra.rate(y) == Fraction(RATE, factor)
        assert float(y.center_frequency) == CENTER + shift
        assert y.attrs["span"] == span
        at = positions(y)
        np.testing.assert_array_equal(at % factor, 0)
        expected = np.exp(2j * np.pi * part * span * at / RATE)
        ripple = 20 * np.log10(np.abs(y.values))
        assert np.abs(ripple).max() < 0.001
        phase = np.angle(y.values / expected)
        assert np.abs(phase).max() < 2e-5
        if part and dtype == "complex128":
            assert abs(phase.mean()) / (2 * np.pi * abs(part) * span) < 1e-9  # seconds


@pytest.mark.parametrize(("span", "shift"), CASES)
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_a_tone_one_span_outside_is_gone(span: float, shift: float, dtype: str) -> None:
    new = RATE / math.floor(RATE / (1.25 * span))
    for off in (1.5 * span, -1.5 * span, 1.01 * (new - span / 2), -1.01 * (new - span / 2), 2.37 * span):
        y = zoom(tone(shift + off, dtype=dtype), center=CENTER + shift, span=span)
        assert level(y) < -ATTENUATION


def test_noise_from_everywhere_adds_up_to_little() -> None:
    """Noise in all of the spectrum but the span and where the filter falls."""
    rng, samples, span = np.random.default_rng(1), 2**17, 20_000.0
    stops = RATE / 15 - span / 2
    spectrum = rng.normal(size=samples) + 1j * rng.normal(size=samples)
    spectrum[np.abs(np.fft.fftfreq(samples, 1 / RATE)) < stops] = 0
    noise = np.fft.ifft(spectrum) * np.sqrt(samples)
    y = zoom(ra.recording(noise, rate=RATE), center=0, span=span)
    assert 10 * np.log10((np.abs(y.values) ** 2).mean() / (np.abs(noise) ** 2).mean()) < -ATTENUATION


def test_two_tones_two_new_bins_apart_are_resolved() -> None:
    span, nfft = 10_000.0, 256
    new = RATE / 31
    apart = 2 * new / nfft
    x = tone(20_000.0, 400_000) + tone(20_000.0 + apart, 400_000)
    x = x.assign_attrs(units="V")
    y = zoom(x, center=CENTER + 20_000, span=span)
    spectrum = ra.spectrogram(y, nfft=nfft, window="boxcar").mean("time")
    middle = nfft // 2
    assert float(spectrum.frequency[middle]) == CENTER + 20_000
    values = spectrum.values / spectrum.values.max()
    assert min(values[middle], values[middle + 2]) > 0.999
    assert np.delete(values, [middle, middle + 2]).max() < 1e-6
    wide = ra.spectrogram(x, nfft=nfft, window="boxcar").mean("time").values
    assert np.diff(np.flatnonzero(wide > wide.max() / 10)).max(initial=0) <= 1  # one peak: bins are 31 times as wide


@pytest.mark.parametrize("factor", [2, 31, 37, 61, 222])
def test_equal_to_mixing_filtering_and_keeping_every_nth_with_scipy(factor: int) -> None:
    """Also where FFTs divide by a large prime factor afterwards (37, 61, 222 = 6 * 37)."""
    rng, span = np.random.default_rng(factor), RATE / factor / 1.25
    z = rng.normal(size=90_000) + 1j * rng.normal(size=90_000)
    y = zoom(ra.recording(z, rate=RATE), center=12_345.0, span=span, offset=True)
    assert ra.rate(y) == Fraction(RATE, factor)
    n = np.arange(len(z))
    mixed = z * np.exp(-2j * np.pi * np.mod(12_345 * n / RATE, 1))
    stops = RATE / factor - span / 2
    attenuation = ATTENUATION + MARGIN
    half = math.ceil((attenuation - 7.95) / (2.285 * 2 * np.pi * (stops - span / 2) / RATE) / 2)
    beta = signal.kaiser_beta(attenuation)
    taps = signal.firwin(2 * half + 1, RATE / factor / 2, window=("kaiser", beta), fs=RATE)
    filtered = signal.oaconvolve(mixed, taps, "valid")  # from sample `half` on
    first = -(-half // factor)
    expected = filtered[first * factor - half :: factor]
    np.testing.assert_array_equal(positions(y), factor * (first + np.arange(len(expected))))
    assert np.abs(y.values - expected).max() < 3e-5 * np.sqrt((np.abs(z) ** 2).mean())


def test_where_nothing_is_decimated_samples_are_mixed_and_that_is_all() -> None:
    x = tone(1000.0)
    y = zoom(x, center=1234.25, span=RATE / 1.5, offset=True, clip=False)
    n = np.arange(x.size)
    np.testing.assert_allclose(y.values, x.values * np.exp(-2j * np.pi * np.mod(1234.25 * n / RATE, 1)), atol=1e-10)
    np.testing.assert_array_equal(y.time.values, x.time.values)
    assert float(y.center_frequency) == CENTER + 1234.25


def conversion(**changes: object) -> Conversion:
    fields = {"up": 1, "down": 31, "passes": 0.0128, "stops": 0.0195, "attenuation": 100.0}
    shift = Fraction(51_234_567, 390_625_000)
    return Conversion(**{**fields, "shift": shift, "middle": shift, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("far", [10**6, 2**40, 2**55])
def test_the_phase_of_a_far_window_is_as_exact_as_that_of_the_first(far: int) -> None:
    kernel = conversion()
    windows, turn = kernel.windows, kernel.shift

    def made(number: int) -> np.ndarray:
        """What the kernel makes of a tone at its centre, with phases as exact as they can be."""
        n = range(number * windows.hop, number * windows.hop + windows.length)
        phases = np.array([k * turn.numerator % turn.denominator / turn.denominator for k in n])
        out = np.empty((1, windows.rows), complex)
        kernel(np.exp(2j * np.pi * phases)[np.newaxis], out, number)
        return out

    out = made(far // windows.hop)
    np.testing.assert_allclose(out, made(0), atol=1e-13)
    np.testing.assert_allclose(np.angle(out), 0, atol=1e-6)


def test_windows_are_alike_wherever_they_stand_in_a_batch() -> None:
    kernel, rng = conversion(), np.random.default_rng(0)
    windows = kernel.windows
    for dtype in ("complex64", "complex128"):
        batch = (rng.normal(size=(11, 2, windows.length)) + 1j).astype(dtype)
        together = np.empty((11, 2, windows.rows), dtype)
        kernel(batch, together, 70)
        for start, stop in ((0, 1), (1, 4), (4, 11)):
            some = np.empty((stop - start, 2, windows.rows), dtype)
            kernel(batch[start:stop].copy(), some, 70 + start)
            assert some.tobytes() == together[start:stop].tobytes()


def test_a_kernel_travels_light() -> None:
    kernel = conversion()
    before = len(pickle.dumps(kernel))
    kernel(np.zeros((2, kernel.length), complex), np.empty((2, kernel.windows.rows), complex), 0)
    assert len(pickle.dumps(kernel)) == before < 1000


LENGTHS, JOINED = [9000, 700, 30, 4000, 5000], [False, True, False, False, True]


def deployment(dtype: str = "complex64") -> xr.DataArray:
    rng = np.random.default_rng(5)
    values = rng.normal(size=sum(LENGTHS)) + 1j * rng.normal(size=sum(LENGTHS))
    return label(values.astype(dtype), deployments.clock_of_files(LENGTHS, JOINED), attrs={"units": "V"})


def test_stretches_begin_anew_and_files_that_follow_are_one() -> None:
    x = deployment()
    y = zoom(x, center=123.25, span=80)
    alone = [
        zoom(ra.recording(x.values[a:b], rate=1000), center=123.25, span=80) for a, b in ((0, 9700), (9730, 18730))
    ]
    assert y.values.tobytes() == np.concatenate([part.values for part in alone]).tobytes()
    rows = np.concatenate([positions(alone[0]), 9730 + positions(alone[1])]).astype(int)
    np.testing.assert_array_equal(y.time.values, x.time.values[rows])
    assert ra.segments(y)["joined"].tolist() == [False, True, False, True]
    assert (rows[0], rows[-1]) == (170, 18_560)


def test_a_sample_that_is_not_finite_touches_what_its_taps_touch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "SHORTEST", 512)
    x = deployment()
    y = zoom(x, center=123.25, span=80)
    for bad in (np.nan, complex(0, np.inf), -np.inf):
        spoiled = x.copy()
        spoiled[5000] = bad
        z = zoom(spoiled, center=123.25, span=80)
        at = positions(y)[: clock(y).first[1]]
        touched = np.zeros(y.shape, bool)
        touched[: len(at)] = np.abs(at - 5000) <= 161
        assert touched.sum() == 33
        np.testing.assert_array_equal(np.isnan(z), touched)
        np.testing.assert_allclose(z.values[~touched], y.values[~touched], atol=3e-5)
        deployments.identical(zoom(deployments.chunked(spoiled, 333), center=123.25, span=80).compute(), z)


def test_a_clipped_band_has_nothing_from_the_other_end() -> None:
    edge = RATE / 2
    there = zoom(tone(edge - 6000), center=CENTER + edge - 2000, span=20_000, clip=True)
    assert float(there.center_frequency) == CENTER + edge - 2000
    assert ra.rate(there) == Fraction(RATE, 15)
    assert np.abs(20 * np.log10(np.abs(there.values))).max() < 0.001
    np.testing.assert_allclose(there.values, np.exp(-2j * np.pi * 4000 * positions(there) / RATE), atol=1e-4)
    for other in (-edge + 1, -edge + 3000, -edge + 100_000):
        assert level(zoom(tone(other), center=CENTER + edge - 2000, span=20_000, clip=True)) < -80


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: zoom(x, center=CENTER, span=0), "span=0"),
        (lambda x: zoom(x, center=float("nan"), span=1000), "center=nan"),
        (lambda x: zoom(x, center="244 MHz", span=1000), "a number of hertz"),
        (lambda x: zoom(x, center=CENTER + 190_000, span=10_626), "clip=True"),
        (lambda x: zoom(x, center=1000, span=10_000), "244583587.5 to 244974212.5 Hz were recorded"),
        (lambda x: zoom(x, center=CENTER + 300_000, span=10_000, clip=True), "nothing of 10000 Hz"),
        (lambda x: zoom(x, center=CENTER, span=2), "pass a wider band"),
        (lambda x: zoom(x, center=CENTER, span=1e-3), "pass a wider band"),
        (lambda x: zoom(x, center=CENTER, span=1e4, attenuation=5), "21 to 150 dB"),
        (lambda x: zoom(x.real, center=CENTER, span=1e4), "ra.baseband"),
        (lambda x: baseband(x, intermediate_frequency=1e4, bandwidth=1e3), "ra.zoom"),
        (lambda x: baseband(x.real, bandwidth=1e3), "pass intermediate_frequency="),
        (lambda x: baseband(x.real, intermediate_frequency=1e4), "pass bandwidth="),
        (lambda x: baseband(x.real, intermediate_frequency=1e4, bandwidth=2e4), "smaller bandwidth="),
        (lambda x: baseband(x.real, intermediate_frequency=190_000, bandwidth=2e4), "smaller bandwidth="),
    ],
)
def test_what_is_refused(call: Callable, message: str) -> None:
    with pytest.raises(ra.RecordingError, match=message):
        call(tone(0.0))


def test_the_edge_of_what_was_recorded_is_inside() -> None:
    assert zoom(tone(0.0), center=CENTER + 190_000, span=10_625).size > 0
    assert zoom(tone(0.0), center=0, span=RATE, offset=True).size == 60_000


def pairs_of_files(folder: Path) -> xr.DataArray:
    """Integer pairs I, Q in three files, the last after a gap, of 0.3 V a count."""
    counts = np.random.default_rng(7).integers(-3000, 3000, (sum(LENGTHS[:3]), 2)).astype("<i2")
    paths = []
    for k, (a, b) in enumerate(pairwise(np.append(0, np.cumsum(LENGTHS[:3])))):
        paths.append(folder / f"{k}.iq")
        counts[a:b].tofile(paths[-1])
    told = {"rate": 1000, "dtype": "ci16_le", "scale": 0.3}
    table = SourceTable.of_headers([formats.probe(str(path), "raw", **told) for path in paths])
    return label(
        graph.read_array(table, 997), deployments.clock_of_files(LENGTHS[:3], JOINED[:3]), attrs={"units": "V"}
    )


def test_pairs_in_files_are_zoomed_in_one_task_a_block(tmp_path: Path) -> None:
    x = pairs_of_files(tmp_path)
    for block in (None, 64, 1000):
        lazy = zoom(x, center=123.25, span=80, block=block)
        assert lazy.dtype == np.complex64
        assert len(dict(lazy.data.__dask_graph__())) == lazy.data.numblocks[0]
        deployments.identical(lazy.compute(), zoom(x.compute(), center=123.25, span=80))
        part = zoom(x[400:9600], center=123.25, span=80, block=block)
        assert len(dict(part.data.__dask_graph__())) == part.data.numblocks[0]
        deployments.identical(part.compute(), zoom(x.compute()[400:9600], center=123.25, span=80))


def test_the_band_of_the_result_is_what_it_says() -> None:
    y = zoom(tone(0.0).assign_attrs(bandwidth=300e3, span=312e3), center=CENTER, span=1e4)
    assert (y.attrs["bandwidth"], y.attrs["span"]) == (1e4, 1e4)
    again = zoom(y, center=100, span=1e3, offset=True)
    assert float(again.center_frequency) == CENTER + 100
    assert again.attrs["zoom"] == (
        "10000 Hz around 244778900 Hz, 1 of 31 samples, 90 dB; 1000 Hz around 244779000 Hz, 1 of 10 samples, 90 dB"
    )


def test_an_empty_recording_stays_empty() -> None:
    assert zoom(tone(0.0)[:0], center=CENTER, span=1e4).sizes["time"] == 0


# ---- baseband --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
@pytest.mark.parametrize(("middle", "width"), [(28e6, 40e6), (28e6, 1e6), (10e6, 18e6)])
def test_real_samples_of_a_receiver(dtype: str, middle: float, width: float) -> None:
    rate, peak = 112_000_000, 1000.0
    factor = max(1, math.floor(rate / (1.25 * width)))
    n = np.arange(200_000)
    stated = {"metadata": {"intermediate_frequency": middle, "bandwidth": width, "radio_frequency": 2.4e9}}
    for part in (-0.5, -0.1, 0.25):
        f = middle + part * width
        v = (peak * np.cos(2 * np.pi * f * n / rate + 0.5)).round(0 if dtype == "int16" else 12).astype(dtype)
        y = baseband(ra.recording(v, rate=rate, units="V", attrs=stated))
        assert y.dtype == ("complex128" if dtype == "float64" else "complex64")
        assert (ra.rate(y), float(y.center_frequency)) == (Fraction(rate, factor), 2.4e9)
        expected = peak * np.exp(2j * np.pi * part * width * positions(y) / rate + 0.5j)
        assert np.abs(y.values - expected).max() / peak < (2e-3 if dtype == "int16" else 1e-4)


def test_neither_the_mirrored_carrier_nor_a_constant_remains() -> None:
    n = np.arange(100_000)
    v = 5.0 + np.cos(2 * np.pi * 200 * n / 1000)
    y = baseband(ra.recording(v, rate=1000), intermediate_frequency=200, bandwidth=100)
    assert float(y.center_frequency) == 200
    np.testing.assert_allclose(y.values, 1, atol=5e-4)
    assert level(baseband(ra.recording(np.full(10_000, 1.0), rate=1000), intermediate_frequency=60, bandwidth=40)) < -90


def test_what_the_call_says_goes_before_what_the_file_says() -> None:
    stated = {"intermediate_frequency": 100.0, "bandwidth": 10.0, "radio_frequency": 5e6}
    x = ra.recording(np.cos(np.pi / 2 * np.arange(20_000)), rate=1000, attrs=stated)
    y = baseband(x, intermediate_frequency=250, bandwidth=50, radio_frequency=7e6)
    assert (ra.rate(y), float(y.center_frequency)) == (Fraction(1000, 16), 7e6)
    np.testing.assert_allclose(y.values, 1, atol=1e-4)


def test_baseband_of_files_is_made_in_one_task_a_block(tmp_path: Path) -> None:
    counts = np.random.default_rng(2).integers(-3000, 3000, sum(LENGTHS)).astype(np.int16)
    x = deployments.on_disk(tmp_path, counts, LENGTHS, JOINED)
    for block in (None, 64, 1000):
        lazy = baseband(x, intermediate_frequency=250, bandwidth=50, block=block)
        assert len(dict(lazy.data.__dask_graph__())) == lazy.data.numblocks[0]
        deployments.identical(lazy.compute(), baseband(x.compute(), intermediate_frequency=250, bandwidth=50))
