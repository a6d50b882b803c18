"""Filters: equal to SciPy's convolution of each stretch, at the right times, and nothing beyond the ends."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import deployments
import numpy as np
import pytest
import xarray as xr
from scipy import signal

import reelarray as ra
from reelarray import graph
from reelarray.recordings import clock, label
from reelarray.signal.filters import Fir, design

LENGTHS, JOINED = [9000, 700, 30, 4000, 5000], [False, True, False, False, True]
STRETCHES = [(0, 9700), (9730, 18730)]  # what has 103 samples or more
RATE = 1000


def deployment(dtype: str = "float64", channels: int = 0) -> xr.DataArray:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(sum(LENGTHS), channels) if channels else sum(LENGTHS))
    if dtype.startswith("complex"):
        values = values + 1j * rng.normal(size=values.shape)
    values = (values * 1000 if dtype.startswith("int") else values).astype(dtype)
    dims = ("channel",) if channels else ()
    return label(values, deployments.clock_of_files(LENGTHS, JOINED, RATE), dims=dims, attrs={"units": "V"})


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "int32", "complex64", "complex128"])
@pytest.mark.parametrize("channels", [0, 2])
def test_equal_to_a_convolution_of_each_stretch(dtype: str, channels: int) -> None:
    x = deployment(dtype, channels)
    y = ra.high_pass(x, cutoff=100)
    taps = design("high-pass", RATE, [100.0])
    assert len(taps) == 103
    wide = x.values.astype("c16" if dtype.startswith("complex") else "f8")
    shaped = taps.reshape(-1, *[1] * (x.ndim - 1))
    expected = np.concatenate([signal.oaconvolve(wide[a:b], shaped, "valid", axes=0) for a, b in STRETCHES])
    assert y.shape == expected.shape
    single = dtype in ("float32", "int16", "complex64")
    assert y.dtype == {"int16": "f4", "int32": "f8"}.get(dtype, dtype)
    error = abs(y.values - expected).max() / np.sqrt((abs(expected) ** 2).mean())
    assert error < (1e-6 if single else 1e-12)
    a, b = STRETCHES[1]  # and to SciPy's filter, whose output is late by half the taps and begins before it is filled
    late = signal.lfilter(taps, 1, wide[a:b], axis=0)[102:]
    np.testing.assert_allclose(y.values[9700 - 102 :], late, atol=1e-6 * abs(late).max())


def test_labels_are_those_of_the_samples_in_the_middle() -> None:
    x = deployment()
    y = ra.low_pass(x, cutoff=100)
    half = 51
    np.testing.assert_array_equal(
        y.time.values, np.concatenate([x.time.values[a + half : b - half] for a, b in STRETCHES])
    )
    assert ra.rate(y) == RATE
    assert ra.segments(y)["joined"].tolist() == [False, True, False, True]
    windows = ra.average(y, every="1s")  # rows still stand for their own time, not for all that the taps saw
    assert windows["count"].values[1:9].tolist() == [1000] * 8


def test_a_tone_stays_where_it_is() -> None:
    t = np.arange(6000) / RATE
    x = ra.recording(np.cos(2 * np.pi * 200 * t) + np.cos(2 * np.pi * 40 * t) + 3, rate=RATE)
    for y, kept in [
        (ra.high_pass(x, cutoff=120, attenuation=100), np.cos(2 * np.pi * 200 * t)),
        (ra.low_pass(x, cutoff=100, attenuation=100), np.cos(2 * np.pi * 40 * t) + 3),
        (ra.band_pass(x, low=20, high=100, attenuation=100), np.cos(2 * np.pi * 40 * t)),
    ]:
        cut = (6000 - y.sizes["time"]) // 2
        np.testing.assert_allclose(y.values, kept[cut:-cut], atol=6e-5)


@pytest.mark.parametrize(("kind", "cutoffs"), [("high-pass", [60]), ("low-pass", [310.5]), ("band-pass", [50, 200])])
@pytest.mark.parametrize("attenuation", [40, 80, 110])
def test_response_keeps_its_promises(kind: str, cutoffs: list, attenuation: float) -> None:
    width = 20
    taps = design(kind, RATE, cutoffs, width, attenuation)
    assert len(taps) % 2 == 1
    np.testing.assert_array_equal(taps, taps[::-1])
    frequency, response = signal.freqz(taps, worN=8192, fs=RATE)
    distance = np.min([abs(frequency - c) for c in cutoffs], axis=0)
    inside = {"high-pass": frequency > cutoffs[0], "low-pass": frequency < cutoffs[0]}.get(
        kind, (frequency > cutoffs[0]) & (frequency < cutoffs[-1])
    )
    ripple = 10 ** (-attenuation / 20) * 1.2  # Kaiser's formula for the order is an estimate
    beyond = distance > width / 2
    assert abs(response[beyond & ~inside]).max() < ripple
    assert abs(abs(response[beyond & inside]) - 1).max() < ripple
    assert abs(response[np.argmin(distance)]) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("sizes", [(1,), (997,), (5000, 3), (20000,)])
@pytest.mark.parametrize("channels", [0, 2])
def test_no_chunking_changes_a_bit(sizes: tuple, channels: int) -> None:
    x = deployment("float32", channels)[: 300 if sizes == (1,) else None]
    lazy = ra.band_pass(deployments.chunked(x, *sizes), low=100, high=300)
    assert lazy.chunks is not None
    deployments.identical(lazy.compute(), ra.band_pass(x, low=100, high=300))


@pytest.mark.parametrize("block", [None, 1, 64, 4000, 100_000])
def test_read_from_files_in_whole_blocks(tmp_path: Path, block: int | None) -> None:
    counts = np.random.default_rng(2).integers(-3000, 3000, sum(LENGTHS)).astype(np.int16)
    lengths, joined = ([300, 200, 150], [False, True, False]) if block == 1 else (LENGTHS, JOINED)
    x = deployments.on_disk(tmp_path, counts[: sum(lengths)], lengths, joined)
    lazy = ra.high_pass(x, cutoff=100, block=block)
    assert len(set(lazy.chunks[0][:-1])) <= 1
    assert graph.rows(lazy) is None
    deployments.identical(lazy.compute(), ra.high_pass(x.compute(), cutoff=100))


@pytest.mark.parametrize("sizes", [(31, 31, 2), (31, 1), (31,), (2, 60, 1, 1)])
def test_blocks_without_rows_stay_in_their_place(sizes: tuple) -> None:
    """A transform may leave blocks empty, here the last: those after it must not move up."""
    x = ra.recording(np.arange(64.0), rate=1000, units="V")
    for chain in (
        lambda x: ra.average(ra.average(x, every=3), every=2),
        lambda x: ra.average(ra.high_pass(x, cutoff=200, attenuation=25), every=5),
    ):
        deployments.identical(chain(deployments.chunked(x, *sizes)).compute(), chain(x))


def test_filters_follow_each_other_and_feed_transforms(tmp_path: Path) -> None:
    counts = np.random.default_rng(2).integers(-3000, 3000, sum(LENGTHS)).astype(np.int16)
    x = deployments.on_disk(tmp_path, counts, LENGTHS, JOINED)

    def chain(x: xr.DataArray) -> xr.DataArray:
        return ra.spectrogram(ra.low_pass(ra.high_pass(x, cutoff=100), cutoff=300), nfft=64)

    deployments.identical(chain(x).compute(), chain(x.compute()))
    assert chain(x).attrs["filter"] == "high-pass 100 Hz, 103 taps, 80 dB; low-pass 300 Hz, 53 taps, 80 dB"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_not_finite_touches_what_its_taps_touch(bad: float) -> None:
    x = deployment("float32", 2)
    y = ra.high_pass(x, cutoff=100)
    spoiled = x.copy()
    spoiled[[500, 12000], 1] = bad
    z = ra.high_pass(spoiled, cutoff=100)
    touched = np.zeros(y.shape, bool)
    touched[500 - 102 : 501, 1] = True
    touched[9700 - 102 + 12000 - 9730 - 102 : 9700 - 102 + 12000 - 9730 + 1, 1] = True
    np.testing.assert_array_equal(np.isnan(z), touched)
    np.testing.assert_allclose(z.values[~touched], y.values[~touched], atol=1e-6)
    deployments.identical(ra.high_pass(deployments.chunked(spoiled, 333), cutoff=100).compute(), z)


def test_a_response_travels_light() -> None:
    fir = Fir.of(design("high-pass", RATE, [10.0]))
    before = len(pickle.dumps(fir))
    fir(np.zeros((2, fir.length)), np.empty((2, fir.windows.hop)))
    assert len(pickle.dumps(fir)) == before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: ra.high_pass(x, cutoff=500), "between 0 and 500 Hz"),
        (lambda x: ra.high_pass(x, cutoff=0), "between 0 and 500 Hz"),
        (lambda x: ra.low_pass(x, cutoff=float("nan")), "between 0 and 500 Hz"),
        (lambda x: ra.low_pass(x, cutoff="100"), "between 0 and 500 Hz"),
        (lambda x: ra.band_pass(x, low=300, high=100), "low < high"),
        (lambda x: ra.band_pass(x, low=100, high=100), "low < high"),
        (lambda x: ra.high_pass(x, cutoff=100, transition=0), "at most 200 Hz"),
        (lambda x: ra.high_pass(x, cutoff=100, transition=300), "at most 200 Hz"),
        (lambda x: ra.band_pass(x, low=100, high=130, transition=31), "at most 30 Hz"),
        (lambda x: ra.high_pass(x, cutoff=100, attenuation=5), "21 to 200 dB"),
        (lambda x: ra.high_pass(x, cutoff=100, transition=1e-3), "pass transition="),
        (lambda x: ra.high_pass(x[:9700], cutoff=0.5), "the longest has 9700 samples"),
        (lambda x: ra.high_pass(x, cutoff=100, block=0), "block=0"),
        (lambda x: ra.high_pass(x.values, cutoff=100), "ndarray"),
    ],
)
def test_what_is_refused(call: Callable, message: str) -> None:
    with pytest.raises(ra.RecordingError, match=message):
        call(deployment())


def test_an_empty_recording_stays_empty() -> None:
    x = deployment()[:0]
    assert ra.high_pass(x, cutoff=100).sizes["time"] == 0
    assert clock(ra.high_pass(deployments.chunked(x, 1), cutoff=100)).size == 0
