"""Results do not depend on chunking: every public transform, eager and lazy, bit for bit, over any gaps."""

from __future__ import annotations

import os
from unittest import mock

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import reelarray as ra
from reelarray import graph
from reelarray.accessor import _METHODS
from reelarray.clock import SampleClock
from reelarray.recordings import label
from reelarray.signal.bands import channel_power, select_band
from reelarray.signal.engines import VARIABLE
from reelarray.signal.instantaneous import analytic, instantaneous_frequency, instantaneous_power
from reelarray.signal.multitaper import multitaper_spectrogram
from reelarray.signal.peaks import occupied_bandwidth, peak_frequency, width
from reelarray.signal.powers import to_watts


def full_scale(x: xr.DataArray) -> xr.DataArray:
    """As a recorder's files are read: floating-point samples with units "1"."""
    return (x.astype("float32") if x.dtype.kind in "iu" else x).assign_attrs(units="1")


def as_complex(x: xr.DataArray) -> xr.DataArray:
    return x.astype(np.result_type(x.dtype, np.complex64))


TRANSFORMS = {
    "spectrogram": lambda x: ra.spectrogram(x, nfft=16, hop=6),
    "spectrogram with a long window": lambda x: ra.spectrogram(x, nfft=64, hop=3, window="boxcar"),
    "spectrogram, zero-padded, float64": lambda x: ra.spectrogram(x, nfft=32, window_length=9, hop=9, dtype="float64"),
    "spectrogram, linear detrend": lambda x: ra.spectrogram(x, nfft=8, hop=2, detrend="linear"),
    "stft": lambda x: ra.stft(x, nfft=12, hop=5, detrend="constant"),
    "power_spectrum": lambda x: ra.power_spectrum(x, nfft=8),
    "power_spectrum by time": lambda x: ra.power_spectrum(x, nfft=8, hop=3, every="37ms"),
    "power_spectrum, median": lambda x: ra.power_spectrum(x, nfft=8, hop=3, every="50ms", average="median"),
    "average by time": lambda x: ra.average(x, every="13ms"),
    "average by number": lambda x: ra.average(x, every=7),
    "average by number, all of it": lambda x: ra.average(x, every=7, remainder="keep"),
    "average by number of a spectrogram": lambda x: ra.average(ra.spectrogram(x, nfft=40, hop=3), every=4),
    "average by number of a spectrogram, all of it": lambda x: ra.average(
        ra.spectrogram(x, nfft=8, hop=3), every=5, remainder="keep"
    ),
    "largest of rows, by number": lambda x: ra.average(ra.spectrogram(x, nfft=8, hop=3), every=5, kind="max"),
    "least of rows, by time": lambda x: ra.average(ra.spectrogram(x, nfft=8, hop=3), every="37ms", kind="min"),
    "median of rows, by number": lambda x: ra.average(ra.spectrogram(x, nfft=8, hop=3), every=5, kind="median"),
    "average by number of shorter groups": lambda x: ra.average(ra.average(x, every=5, remainder="keep"), every=2),
    "average by number of averages by time": lambda x: ra.average(ra.average(x, every="13ms"), every=2),
    "power_spectrum by number": lambda x: ra.power_spectrum(x, nfft=32, hop=7, every=3),
    "power_spectrum by number, all of it": lambda x: ra.power_spectrum(x, nfft=8, every=5, remainder="keep"),
    "power_spectrum, largest": lambda x: ra.power_spectrum(x, nfft=8, average="max"),
    "spectrogram without a scale": lambda x: ra.spectrogram(x, nfft=16, hop=6, scaling="raw"),
    "multitaper_spectrogram": lambda x: multitaper_spectrogram(x, nfft=16, hop=5, half_bandwidth=2.5, tapers=4),
    "multitaper_spectrogram, odd, float64": lambda x: multitaper_spectrogram(
        x, nfft=15, half_bandwidth=2, tapers=3, scaling="spectrum", detrend="constant", dtype="float64"
    ),
    "average of a multitaper_spectrogram": lambda x: ra.average(
        multitaper_spectrogram(x, nfft=16, half_bandwidth=2, tapers=2), every="37ms"
    ),
    "select_band": lambda x: select_band(ra.spectrogram(x, nfft=16), low=0),
    "channel_power": lambda x: channel_power(ra.spectrogram(x, nfft=41, hop=7), low=0, high=float(ra.rate(x)) / 3),
    "channel_power of averages in watts": lambda x: channel_power(
        to_watts(ra.power_spectrum(x, nfft=16, every=2, scaling="spectrum"))
    ),
    "peak_frequency": lambda x: peak_frequency(ra.spectrogram(x, nfft=24, hop=5)),
    "width": lambda x: width(ra.spectrogram(x, nfft=24, hop=5), drop_db=2),
    "occupied_bandwidth": lambda x: occupied_bandwidth(ra.spectrogram(x, nfft=24, hop=5), fraction=0.8),
    "to_watts": lambda x: to_watts(ra.spectrogram(x, nfft=8), impedance=75),
    "dBm": lambda x: ra.to_decibel(to_watts(ra.spectrogram(x, nfft=8)), reference="1 mW", floor=-200),
    "instantaneous_power": lambda x: instantaneous_power(x),
    "average of instantaneous_power": lambda x: ra.average(instantaneous_power(x), every="13ms"),
    "instantaneous_frequency": lambda x: instantaneous_frequency(as_complex(x)),
    "analytic": lambda x: analytic(x.real, transition=0.2 * float(ra.rate(x)), attenuation=30),
    "instantaneous_frequency of real samples": lambda x: instantaneous_frequency(
        analytic(x.real, transition=0.1 * float(ra.rate(x)), attenuation=21)
    ),
    "zoom": lambda x: ra.zoom(
        as_complex(x), center=0.1 * float(ra.rate(x)), span=0.25 * float(ra.rate(x)), attenuation=30
    ),
    "spectrogram of a zoom": lambda x: ra.spectrogram(
        ra.zoom(as_complex(x), center=0, span=0.3 * float(ra.rate(x)), attenuation=25), nfft=8
    ),
    "baseband": lambda x: ra.baseband(
        x.real, intermediate_frequency=0.25 * float(ra.rate(x)), bandwidth=0.2 * float(ra.rate(x)), attenuation=30
    ),
    "resample": lambda x: ra.resample(x, rate=ra.rate(x) * 2 / 3, passband=0.5, attenuation=30),
    "resample to more": lambda x: ra.resample(x, rate=ra.rate(x) * 3, passband=0.5, attenuation=30),
    "select_annotation": lambda x: ra.select_annotation(
        x.assign_attrs(annotations=[{"core:sample_start": 5, "core:sample_count": 40}])
    ),
    "average of a spectrogram": lambda x: ra.average(ra.spectrogram(x, nfft=8, hop=3), every="37ms"),
    "average of part of a spectrogram": lambda x: ra.average(ra.spectrogram(x, nfft=8, hop=3)[5:-3], every="37ms"),
    "level_distribution of a spectrogram": lambda x: ra.level_distribution(ra.spectrogram(x, nfft=8, hop=3), step=1),
    "level_distribution by time": lambda x: ra.level_distribution(
        ra.spectrogram(x, nfft=16, hop=2), every="37ms", step=0.5, low=-20, high=40
    ),
    "level_quantiles of a spectrogram": lambda x: ra.level_quantiles(
        ra.spectrogram(x, nfft=8, hop=3), (0, 0.1, 0.5, 1), every="50ms"
    ),
    "level_quantiles of levels": lambda x: ra.level_quantiles(
        ra.to_decibel(ra.spectrogram(x, nfft=8, hop=3)), every="50ms", low=-100, high=140
    ),
    "level_quantiles of a distribution": lambda x: ra.level_quantiles(
        ra.level_distribution(ra.spectrogram(x, nfft=8, hop=3), every="37ms", step=1).sum("time", keep_attrs=True)
    ),
    "probability_density": lambda x: ra.probability_density(
        ra.level_distribution(ra.spectrogram(x, nfft=8), every="50ms", step=1), step=2
    ),
    "average of averages": lambda x: ra.average(ra.average(x, every=3), every=2),
    "calibrate": lambda x: ra.calibrate(full_scale(x), sensitivity=-171.3, gain_db=7.1),
    "to_decibel of a spectrogram": lambda x: ra.to_decibel(ra.spectrogram(x, nfft=8, hop=3)),
    "high_pass": lambda x: ra.high_pass(x, cutoff=0.2 * float(ra.rate(x)), attenuation=30),
    "spectrogram of a band_pass": lambda x: ra.spectrogram(
        ra.band_pass(x, low=0.1 * float(ra.rate(x)), high=0.3 * float(ra.rate(x)), attenuation=25), nfft=8
    ),
    "normalize": lambda x: ra.normalize(x),
    "normalize, peak of each stretch": lambda x: ra.normalize(x, method="peak", scope="stretch"),
    "normalize, rolling": lambda x: ra.normalize(x, scope="0.2s", min_periods=2),
    "remove_mean of all": lambda x: ra.remove_mean(x, scope="recording"),
    "repair_overflow": lambda x: ra.repair_overflow(x.real),
    "remove_mean": lambda x: ra.remove_mean(x),
    "to_decibel of samples": lambda x: ra.to_decibel(x, floor=-100.0),
    "low_pass": lambda x: ra.low_pass(x, cutoff=0.25 * float(ra.rate(x)), attenuation=30),
    "average by time of bins that are full enough": lambda x: ra.average(x, every="13ms", min_fraction=0.5),
    "average by time in float64": lambda x: ra.average(x, every="13ms", dtype=np.result_type(x.dtype, np.float64)),
    "power_spectrum of bins that are full enough": lambda x: ra.power_spectrum(
        x, nfft=8, hop=3, every="37ms", min_fraction=0.5
    ),
    "calibrate, end to end": lambda x: ra.calibrate(full_scale(x), end_to_end=171.3, units="uPa"),
    "fill_gaps": lambda x: ra.fill_gaps(x, 0),
    "spectrogram over filled gaps": lambda x: ra.spectrogram(ra.fill_gaps(x, 0), nfft=16, hop=6),
    "fill_gaps of averages": lambda x: ra.fill_gaps(ra.average(x, every="13ms")),
}
OTHERWISE: dict[str, str] = {}  # a transform that is not tried here -> why
ENGINES = [(name, "scipy") for name in TRANSFORMS]
ENGINES += [
    (name, "numba")
    for name, f in TRANSFORMS.items()
    if {"spectrogram", "stft", "power_spectrum"} & {*f.__code__.co_names}
]


def test_every_transform_is_tried():
    modules = [module for module in _METHODS if module.startswith("signal.") or module == "gaps"]
    names = {name for module in modules for name in _METHODS[module]}
    tried = {name for function in TRANSFORMS.values() for name in function.__code__.co_names}
    assert names - tried == set(OTHERWISE)


@st.composite
def deployments(draw):
    """(array, clock) of one to five segments with joins and gaps."""
    rate = draw(st.sampled_from([1000, 1024, 44100]))
    lengths = draw(st.lists(st.integers(1, 120), min_size=1, max_size=5))
    lengths[0] = max(lengths[0], 64)
    joined = [False, *draw(st.lists(st.booleans(), min_size=len(lengths) - 1, max_size=len(lengths) - 1))]
    start, starts = 1_600_000_000_123_456_789, []
    for k, length in enumerate(lengths):
        start += 0 if not k or joined[k] else draw(st.integers(10**6, 2 * 10**8))
        starts.append(start)
        start += length * 10**9 // rate + draw(st.integers(0, 1000))
    clock = SampleClock.of_segments(starts, lengths, rate, joined=joined)
    shape = (clock.size, draw(st.sampled_from([0, 0, 1, 2])))
    seed = draw(st.integers(0, 2**31))
    noise = np.random.default_rng(seed).normal(size=shape if shape[1] else shape[:1])
    dtype = draw(st.sampled_from(["float32", "float64", "int16", "complex64"]))
    values = (noise * 1000).astype(dtype) if dtype == "int16" else noise.astype(dtype)
    return values, clock


def chunked(values, clock, sizes):
    """The same recording in chunks of the given sizes, cycled."""
    edges, k = [0], 0
    while edges[-1] < clock.size:
        edges.append(min(edges[-1] + sizes[k % len(sizes)], clock.size))
        k += 1
    data = da.from_array(values, chunks=(tuple(np.diff(edges).tolist()), *values.shape[1:]))
    return label(data, clock, dims=("channel",) * (values.ndim - 1), attrs={"units": "V"})


def with_engine(engine: str):
    """A decorator: the function with this engine wherever none is given."""
    return mock.patch.dict(os.environ, {VARIABLE: engine})


def identical(a: xr.DataArray, b: xr.DataArray) -> None:
    assert a.dtype == b.dtype
    assert a.values.tobytes() == b.values.tobytes()
    assert set(a.coords) == set(b.coords)
    for name in a.coords:
        assert a[name].values.tobytes() == b[name].values.tobytes(), name
    assert a.attrs == b.attrs


@pytest.mark.parametrize(("transform", "engine"), ENGINES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(deployment=deployments(), sizes=st.lists(st.integers(1, 90), min_size=1, max_size=4))
def test_eager_equals_lazy_to_the_bit(transform, engine, deployment, sizes):
    values, clock = deployment
    function = with_engine(engine)(TRANSFORMS[transform])
    eager = function(label(values, clock, dims=("channel",) * (values.ndim - 1), attrs={"units": "V"}))
    with dask.config.set(scheduler="sync"):
        lazy = function(chunked(values, clock, sizes))
        assert lazy.chunks is not None
        assert graph.rows(lazy) is None
        identical(lazy.compute(), eager)


CLOCKED = {
    "spectrogram": lambda x: ra.spectrogram(x, nfft=10, hop=5),
    "average by time": lambda x: ra.average(x, every="20ms"),
    "average by number": lambda x: ra.average(x, every=7),
    "high_pass": lambda x: ra.high_pass(x, cutoff=200, attenuation=30),
}


@pytest.mark.parametrize("transform", CLOCKED)
def test_two_clocks_over_one_array_are_two_results(transform):
    """Both have as many windows before each chunk, but of other rows."""
    start, data = 1_600_000_000 * 10**9, da.from_array(np.random.default_rng(0).normal(size=100), chunks=100)
    made, wanted = [], []
    for at in (52, 53):
        clock = SampleClock.of_segments([start, start + 10**9], [at, 100 - at], 1000)
        made.append(CLOCKED[transform](label(data, clock, attrs={"units": "V"})))
        wanted.append(CLOCKED[transform](label(data.compute(), clock, attrs={"units": "V"})))
    for lazy, eager in zip(dask.compute(*made, scheduler="sync"), wanted, strict=True):
        identical(lazy, eager)
