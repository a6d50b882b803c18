"""Resampling: the same signal at another rate, to within what was promised, at exact times."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import dask.array as da
import deployments
import numpy as np
import pytest
import xarray as xr
from scipy import signal

import reelarray as ra
from reelarray import graph
from reelarray.clock import SampleClock
from reelarray.recordings import clock, label
from reelarray.signal import rates
from reelarray.signal.rates import MARGIN, Conversion
from reelarray.signal.resample import resample

RATIOS = [(48_000, 44_100), (44_100, 16_000), (390_625, 12_500), (8_000, 48_000), (48_000, 24_000), (96_000, 44_099)]


def positions(y: xr.DataArray) -> np.ndarray:
    """Samples of the recording that y was made of, at which its rows stand."""
    own = clock(y)
    return own.positions(np.arange(own.size))[1] / own.parts


def tone(frequency: float, rate: int, dtype: str, samples: int = 60_000) -> xr.DataArray:
    values = np.exp(2j * np.pi * np.mod(np.arange(samples) * (frequency / rate), 1) + 0.3j)
    return ra.recording((values if dtype.startswith("c") else values.real).astype(dtype), rate=rate, units="V")


@pytest.mark.parametrize(("old", "new"), RATIOS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_a_tone_that_passes_is_the_same_tone(old: int, new: int, dtype: str) -> None:
    nyquist = min(old, new) / 2
    for part in (0.0, 0.11, -0.5, 0.92):
        y = resample(tone(part * nyquist, old, dtype), rate=new)
        assert y.dtype == dtype
        assert ra.rate(y) == new
        at = positions(y)
        np.testing.assert_allclose(np.diff(at), old / new, rtol=1e-9)
        expected = np.exp(2j * np.pi * part * nyquist * at / old + 0.3j)
        expected = expected if dtype.startswith("c") else expected.real
        assert np.abs(y.values - expected).max() < 2e-5  # 0.0002 dB


@pytest.mark.parametrize(("old", "new"), [ratio for ratio in RATIOS if ratio[1] < ratio[0]])
@pytest.mark.parametrize("attenuation", [60, 100, 120])
def test_what_cannot_be_carried_is_gone(old: int, new: int, attenuation: float) -> None:
    for frequency in (0.5001 * new, 0.503 * new, 0.51 * new, 0.25 * (new + old), 0.4999 * old):
        y = resample(tone(frequency, old, "float64"), rate=new, attenuation=attenuation)
        assert 20 * math.log10(np.abs(y.values).max()) < -attenuation
    spectrum = np.random.default_rng(0).normal(size=100_000) + 0j  # and noise from everywhere does not add up
    spectrum[np.abs(np.fft.fftfreq(100_000, 1 / old)) < 0.5001 * new] = 0
    noise = np.fft.ifft(spectrum)
    y = resample(ra.recording(noise, rate=old), rate=new, attenuation=attenuation)
    assert 10 * math.log10((np.abs(y.values) ** 2).mean() / (np.abs(noise) ** 2).mean()) < -attenuation


@pytest.mark.parametrize("factor", [2, 3, 6])
def test_no_images_appear_between_samples(factor: int) -> None:
    y = resample(tone(3_000.0, 8_000, "float64"), rate=8_000 * factor)
    spectrum = np.abs(np.fft.rfft(y.values * signal.windows.blackmanharris(y.size)))
    frequency = np.fft.rfftfreq(y.size, 1 / (8_000 * factor))
    assert spectrum[frequency > 4_000].max() / spectrum.max() < 1e-5


@pytest.mark.parametrize(("old", "new"), RATIOS)
@pytest.mark.parametrize("channels", [0, 2])
def test_equal_to_scipys_polyphase_filter(old: int, new: int, channels: int) -> None:
    """The same low-pass, sampled at the least common multiple of the rates; SciPy's ends are zeros, ours are not."""
    if new == 44_099:
        pytest.skip("SciPy's filter for these rates has 9 million taps")
    ratio = Fraction(new, old)
    up, down = ratio.numerator, ratio.denominator
    edge = float(min(ratio, Fraction(1))) / 2
    attenuation = 100 + MARGIN
    half = math.ceil((attenuation - 7.95) / (2.285 * 2 * np.pi * edge * 0.08) / 2)
    beta = signal.kaiser_beta(attenuation)
    taps = signal.firwin(2 * half * up + 1, 1.92 * edge / up, window=("kaiser", beta))
    values = np.random.default_rng(3).normal(size=(20_000, channels) if channels else 20_000)
    y = resample(ra.recording(values, rate=old), rate=new)
    expected = signal.resample_poly(values, up, down, window=taps)
    first = math.ceil(half * up / down)
    assert positions(y)[0] == first * down / up
    assert y.shape[1:] == values.shape[1:]
    assert np.abs(y.values - expected[first : first + len(y)]).max() < 2e-5
    last = int((first + len(y)) * down // up)
    assert last + half + (up > 1) >= 20_000  # and there is no row more that has all of its samples


LENGTHS, JOINED = [9000, 700, 30, 4000, 5000], [False, True, False, False, True]
STRETCHES = [(0, 9700), (9730, 18_730)]


def deployment(dtype: str = "float32", channels: int = 0) -> xr.DataArray:
    values = 1000 * np.random.default_rng(5).normal(size=(sum(LENGTHS), channels) if channels else sum(LENGTHS))
    own = deployments.clock_of_files(LENGTHS, JOINED)
    return label(values.astype(dtype), own, dims=("channel",) if channels else (), attrs={"units": "V"}, name="p")


@pytest.mark.parametrize("rate", [160, 1001, 3000, "1000/3"])
def test_stretches_begin_anew_and_files_that_follow_are_one(rate: object) -> None:
    x = deployment()
    y = resample(x, rate=rate)
    alone = [resample(ra.recording(x.values[a:b], rate=1000), rate=rate) for a, b in STRETCHES]
    assert y.values.tobytes() == np.concatenate([part.values for part in alone]).tobytes()
    starts = x.time.values[[a for a, _ in STRETCHES]]
    expected = [start + part.time.values for start, part in zip(starts, alone, strict=True)]
    np.testing.assert_array_equal(y.time.values, np.concatenate(expected))
    assert (y.name, y.attrs["units"]) == ("p", "V")
    assert ra.segments(y)["joined"].tolist() == [False, True, False, True]


def test_row_m_stands_m_periods_after_the_first_sample() -> None:
    y = resample(ra.recording(np.zeros(100_000), rate=44_100, start="2022-03-01"), rate=48_000)
    since = y.time.values - np.datetime64("2022-03-01", "ns")
    first = round(since[0] / np.timedelta64(1, "s") * 48_000)
    exact = [int(Fraction(m * 10**9, 48_000)) for m in range(first, first + y.size)]
    assert since.astype(np.int64).tolist() == exact


def test_labels_are_exact_after_a_year() -> None:
    size = 2**40
    x = ra.recording(da.zeros(size, chunks=2**36, dtype="f4"), rate=48_000, start="2022-03-01", units="Pa")
    for rate in (44_100, 16_001, 96_000):
        y = resample(x, rate=rate)
        first, last = clock(y).labels([0, len(y) - 1]).tolist()
        start = 1_646_092_800 * 10**9
        numbers = [math.ceil(Fraction((label - start) * rate, 10**9)) for label in (first, last)]
        assert numbers[1] - numbers[0] == len(y) - 1
        assert [start + int(Fraction(m * 10**9, rate)) for m in numbers] == [first, last]
        assert size - 1 - 400 < Fraction(numbers[1] * 48_000, rate) < size - 1


def test_labels_follow_a_recorder_that_drifts() -> None:
    """Files of a nominal second take 1.0003 s and 0.9999 s until the next, which is joined to them."""
    starts = np.cumsum([10**15, 1_000_300_000, 1_000_000_100, 1_000_200_000])
    own = SampleClock.of_segments(starts, [1000] * 4, 1000, joined=[False, True, True, True])
    x = label(np.random.default_rng(0).normal(size=4000), own, attrs={"units": "V"})
    for rate in (250, 2000, 300):
        y = resample(x, rate=rate)
        at = positions(y)
        expected = np.interp(at, [0, 1000, 2000, 3000, 4000], np.append(starts, starts[-1] + 10**9) - starts[0])
        assert np.abs(y.time.values.astype(np.int64) - starts[0] - expected).max() <= 1
        whole = at == np.round(at)
        np.testing.assert_array_equal(y.time.values[whole], x.time.values[at[whole].astype(int)])


@pytest.mark.parametrize(("rate", "start"), [(250, 1200), (1600, 1205), (3000, 77)])
def test_a_slice_that_begins_on_a_row_gives_those_rows(rate: int, start: int) -> None:
    x = deployment("float64")
    whole, part = resample(x, rate=rate), resample(x[start:8000], rate=rate)
    same = whole.sel(time=part.time.values)
    np.testing.assert_array_equal(same.time.values, part.time.values)
    np.testing.assert_allclose(part.values, same.values, atol=2e-5 * 1000)


@pytest.mark.parametrize("rate", [160, 3000])
@pytest.mark.parametrize("block", [None, 64, 1000, 100_000])
def test_read_from_files_in_one_task_a_block(tmp_path: Path, rate: int, block: int | None) -> None:
    counts = np.random.default_rng(2).integers(-3000, 3000, sum(LENGTHS)).astype(np.int16)
    x = deployments.on_disk(tmp_path, counts, LENGTHS, JOINED)
    lazy = resample(x, rate=rate, block=block)
    assert len(dict(lazy.data.__dask_graph__())) == lazy.data.numblocks[0]
    assert len(set(lazy.chunks[0][:-1])) <= 1
    assert graph.rows(lazy) is None
    eager = resample(x.compute(), rate=rate)
    assert eager.dtype == np.float32
    deployments.identical(lazy.compute(), eager)
    deployments.identical(resample(x[300:15_000], rate=rate, block=block).compute(), resample(x.compute()[300:15_000],
                          rate=rate))  # fmt: skip


def test_each_block_reads_only_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reelarray.table import SourceTable

    monkeypatch.setattr(rates, "SHORTEST", 1024)
    counts = np.zeros(100_000, np.int16)
    x = deployments.on_disk(tmp_path, counts, [100_000], [False])
    read: list[int] = []
    original = SourceTable.read

    def noted(self: SourceTable, *ends: int) -> np.ndarray:
        found = original(self, *ends)
        read.append(len(found))
        return found

    monkeypatch.setattr(SourceTable, "read", noted)
    lazy = resample(x, rate=500, block=2500)
    overlap = 2 * 1024
    for k in range(lazy.data.numblocks[0]):
        read.clear()
        lazy.data.blocks[k].compute(scheduler="sync")
        assert 0 < sum(read) <= 5000 + 2 * overlap
    read.clear()
    lazy[:10].compute(scheduler="sync")
    assert sum(read) <= 5000 + 2 * overlap


def test_it_feeds_other_transforms(tmp_path: Path) -> None:
    counts = np.random.default_rng(2).integers(-3000, 3000, sum(LENGTHS)).astype(np.int16)
    x = deployments.on_disk(tmp_path, counts, LENGTHS, JOINED)

    def chain(x: xr.DataArray) -> xr.DataArray:
        return ra.average(ra.spectrogram(resample(resample(x, rate=441), rate=800), nfft=64), every="2s")

    deployments.identical(chain(x).compute(), chain(x.compute()))
    assert chain(x).attrs["resample"] == "1000 to 441 Hz, 92% passed, 100 dB; 441 to 800 Hz, 92% passed, 100 dB"


def test_rows_stand_for_the_time_to_the_next() -> None:
    y = ra.average(resample(deployment(), rate=250), every="1s")
    assert y["count"].values[1:8].tolist() == [250] * 7
    np.testing.assert_allclose(y["effort"].values[1:8], 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rate", [250, 1600])
def test_a_sample_that_is_not_finite_touches_what_its_taps_touch(
    bad: float, rate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "SHORTEST", 1024)
    x = deployment("float32", 2)
    y, spoiled = resample(x, rate=rate), x.copy()
    spoiled[5000, 1] = bad
    z = resample(spoiled, rate=rate)
    half = math.ceil((100 + MARGIN - 7.95) / (2.285 * np.pi * min(rate / 1000, 1) * 0.08) / 2)
    at = positions(y)[: clock(y).first[1]]
    touched = np.zeros(y.shape, bool)
    touched[: len(at), 1] = (np.floor(at) - half <= 5000) & (np.floor(at) + half + (rate == 1600) >= 5000)
    np.testing.assert_array_equal(np.isnan(z), touched)
    np.testing.assert_allclose(z.values[~touched], y.values[~touched], atol=2e-5 * 5000)
    deployments.identical(resample(deployments.chunked(spoiled, 333), rate=rate).compute(), z)


@pytest.mark.parametrize(
    ("dtype", "made"), [("int16", "f4"), ("uint8", "f4"), ("int32", "f8"), ("float16", "f4"), ("complex64", "c8")]
)
def test_precision_is_that_of_the_samples(dtype: str, made: str) -> None:
    values = np.full(2000, 100, dtype)
    y = resample(ra.recording(values, rate=1000), rate=800)
    assert y.dtype == made
    np.testing.assert_allclose(y.values, 100, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["int16", "int32", "float16", "float32", "complex64", "complex128"])
def test_the_same_rate_has_the_precision_of_any_other(dtype: str) -> None:
    x = ra.recording(np.arange(2000).astype(dtype), rate=1000)
    same = resample(x, rate=1000)
    assert same.dtype == resample(x, rate=800).dtype
    np.testing.assert_array_equal(same, x)


def test_the_same_rate_is_the_same_recording() -> None:
    x = deployment()
    assert resample(x, rate=1000.0).identical(x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: resample(x, rate=441, passband=1), "passband=1"),
        (lambda x: resample(x, rate=441, passband="0.9"), "passband='0.9'"),
        (lambda x: resample(x, rate=441, attenuation=200), "21 to 150 dB"),
        (lambda x: resample(x, rate=441.0000001), "such as 441$"),
        (lambda x: resample(x, rate=1), "smaller passband=, or join files"),
        (lambda x: resample(x, rate=441, block=0), "block=0"),
        (lambda x: resample(x.values, rate=441), "ndarray"),
    ],
)
def test_what_is_refused(call: Callable, message: str) -> None:
    with pytest.raises(ra.RecordingError, match=message):
        call(deployment())


def test_labels_that_would_no_longer_be_exact_are_refused() -> None:
    x = resample(deployment(), rate=Fraction(99_991_000, 99_989))
    y = resample(x, rate=Fraction(99_971, 99_961) * ra.rate(x))
    with pytest.raises(ra.RecordingError, match="change the rate once"):
        resample(y, rate=Fraction(99_923, 99_929) * ra.rate(y))


@pytest.mark.parametrize(
    ("old", "new"), [(96_903, 99_991), (99_991, 96_903), (97 * 1000, 1000), (97 * 1000, 60_000), (1000, 999_000)]
)
def test_rates_with_large_prime_factors_take_no_more_memory(old: int, new: int) -> None:
    ratio = Fraction(new, old)
    edge = float(min(ratio, Fraction(1))) / 2
    kernel = Conversion(ratio.numerator, ratio.denominator, 0.92 * edge, edge, 110.0, real=True)
    assert max(kernel.length, kernel.made) <= 9 * max(
        kernel.up, kernel.down, 2 * kernel.reach, 8192, kernel.reach * new // old
    )
    y = resample(tone(100.0, old, "float64", samples=min(old * 3, 300_000)), rate=new)
    np.testing.assert_allclose(y.values, np.cos(2 * np.pi * 100 * positions(y) / old + 0.3), atol=2e-5)
    assert ra.rate(y) == new


@pytest.mark.parametrize("rate", [0, -5, float("nan"), "fast"])
def test_a_rate_that_is_none(rate: object) -> None:
    with pytest.raises(ra.errors.ClockError):
        resample(deployment(), rate=rate)


def test_an_empty_recording_stays_empty() -> None:
    x = deployment()[:0]
    assert resample(x, rate=441).sizes["time"] == 0
    assert clock(resample(deployments.chunked(x, 1), rate=441)).row_rate == 441
