"""Power and frequency of each sample, and the complex envelope: closed forms, gaps, ends."""

from __future__ import annotations

import dask
import deployments
import numpy as np
import pytest
import xarray as xr
from dask._task_spec import Alias, DataNode
from scipy import signal

import reelarray as ra
from reelarray.clock import SampleClock
from reelarray.recordings import clock, label
from reelarray.signal.instantaneous import analytic, instantaneous_frequency, instantaneous_power

START, CENTER = 1_600_000_000 * 10**9, 244_778_900.0


def of(values: object, *lengths: int, rate: int = 1000, **attrs: object) -> xr.DataArray:
    """Samples in stretches of these lengths, 10 s apart."""
    values = np.asarray(values)
    own = SampleClock.of_segments(START + np.arange(len(lengths)) * 10**10, lengths, rate)
    coords = {"center_frequency": CENTER} if values.dtype.kind == "c" else {}
    return label(values, own, dims=("channel",) * (values.ndim - 1), coords=coords, attrs={"units": "V", **attrs})


def noise(size: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.normal(size=size) + 1j * rng.normal(size=size)


# ---- power -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "result"),
    [("c8", "f4"), ("c16", "f8"), ("f4", "f4"), ("f8", "f8"), ("i2", "f4"), ("i4", "f8"), ("u1", "f4")],
)
def test_power_is_the_square_of_the_magnitude(dtype: str, result: str) -> None:
    values = (
        (abs(noise(50)) * 100 if dtype[0] in "iu" else noise(50)).astype(dtype) if dtype[0] != "f" else noise(50).real
    )
    values = values.astype(dtype)
    x = of(values, 20, 30)
    own = instantaneous_power(x)
    assert own.dtype == result
    np.testing.assert_allclose(own, abs(values.astype("c16")) ** 2, rtol=1e-6)
    assert clock(own) == clock(x)
    assert own.attrs["units"] == "V2"
    assert own.attrs["amplitude"] == ("peak" if dtype[0] == "c" else "rms")
    assert instantaneous_power(of(values, 50).assign_attrs(units="m s-1")).attrs["units"] == "(m s-1)2"


def test_averages_of_power_are_made_where_samples_are_read(tmp_path) -> None:
    counts = np.random.default_rng(0).integers(-3000, 3000, 9000).astype("i2")
    x = deployments.on_disk(tmp_path, counts, [4000, 5000], [False, False])
    for every in ("100ms", 2000, 1000):
        a = ra.average(instantaneous_power(x), every)
        graph = dict(dask.optimize(a.data)[0].__dask_graph__())
        assert len([t for t in graph.values() if not isinstance(t, Alias | DataNode)]) == a.data.npartitions
        deployments.identical(a.compute(), ra.average(instantaneous_power(x.compute()), every))
    few = ra.average(instantaneous_power(x), 10)  # as cells they would take many times as long
    deployments.identical(few.compute(), ra.average(instantaneous_power(x.compute()), 10))


# ---- frequency -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("offset", [-499.0, -123.4, 0.0, 1e-3, 250.0])
def test_of_a_tone(dtype: str, offset: float) -> None:
    n = np.arange(300)
    own = instantaneous_frequency(of(np.exp(2j * np.pi * offset / 1000 * n).astype(dtype), 300))
    assert own.dtype == np.float64
    np.testing.assert_allclose(own, CENTER + offset, rtol=0, atol=2e-4 if dtype == "complex64" else 1e-7)
    assert own.attrs["units"] == "Hz"


def test_of_a_chirp_at_the_times_between_samples() -> None:
    """Phase 2 pi (10 t + 20 t^2): between two samples it turns by the frequency in their middle, exactly."""
    t = np.arange(1000) / 1000
    own = instantaneous_frequency(of(np.exp(2j * np.pi * (10 * t + 20 * t**2)), 1000))
    middles = (own.time.values.astype("i8") - START) / 1e9
    np.testing.assert_allclose(middles, (t[1:] + t[:-1]) / 2, atol=1e-9)
    np.testing.assert_allclose(own, CENTER + 10 + 40 * middles, rtol=0, atol=1e-6)


def test_never_across_a_gap() -> None:
    values = noise(60)
    x = of(values, 1, 20, 39)
    own = instantaneous_frequency(x)
    assert own.sizes["time"] == 19 + 38
    turned = np.angle(values[1:] * values[:-1].conj()) * 1000 / (2 * np.pi) + CENTER
    np.testing.assert_allclose(own, np.delete(turned, [0, 20]), rtol=1e-15, atol=1e-9)
    starts = [START + 10**10, START + 2 * 10**10]
    assert own.time.values.astype("i8")[[0, 19]].tolist() == [s + 500_000 for s in starts]
    lazy = instantaneous_frequency(deployments.chunked(x, 7, 1, 12))
    deployments.identical(lazy.compute(), own)
    joined = instantaneous_frequency(
        label(values, SampleClock.of_segments([0, 20 * 10**6], [20, 40], 1000, joined=[0, 1]))
    )
    assert joined.sizes["time"] == 59


def test_zeros_have_no_phase() -> None:
    own = instantaneous_frequency(of(np.array([1, 0, 1, 1j, -1, np.nan], "c16"), 6))
    np.testing.assert_allclose(own, [np.nan, np.nan, CENTER + 250, CENTER + 250, np.nan])
    small = instantaneous_frequency(of(1e-30 * np.exp(0.5j * np.pi * np.arange(4)).astype("c8"), 4))
    np.testing.assert_allclose(small, CENTER + 250)


def test_real_samples_are_told_what_to_do() -> None:
    with pytest.raises(ra.RecordingError, match=r"ra\.analytic"):
        instantaneous_frequency(of(np.ones(10), 10))
    with pytest.raises(ra.RecordingError, match="complex"):
        analytic(of(noise(1000), 1000))


# ---- analytic --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attenuation", [60.0, 80.0, 100.0])
@pytest.mark.parametrize("transition", [None, 30.0])
def test_tones_become_turning_phasors(attenuation: float, transition: float | None) -> None:
    """Ripple is what is documented, from the transition up to half the rate less the transition."""
    n, edge = np.arange(4000), 10.0 if transition is None else transition
    for f in (edge, edge * 1.5, 111.1, 250.0, 400.0, 500 - edge):
        x = of(3 * np.cos(2 * np.pi * f / 1000 * n + 0.7), 4000)
        own = analytic(x, transition=transition, attenuation=attenuation)
        skip = (4000 - own.sizes["time"]) // 2
        turning = 3 * np.exp(1j * (2 * np.pi * f / 1000 * n[skip : 4000 - skip] + 0.7))
        assert abs(own.values - turning).max() < 3 * 10 ** (-attenuation / 20) * 1.05
        assert own.values.real.tobytes() == x.values[skip : 4000 - skip].tobytes()
        assert own.time[0] == x.time[skip]


def test_negative_frequencies_are_gone() -> None:
    x = of(np.random.default_rng(0).normal(size=20_000).astype("f4"), 20_000)
    own = analytic(x)
    assert own.dtype == np.complex64
    s = ra.power_spectrum(own, nfft=500, window=("kaiser", 14))
    kept, gone = s[(s.frequency > 20) & (s.frequency < 480)], s[(s.frequency > -480) & (s.frequency < -20)]
    assert gone.max() < 1e-7 * kept.min()
    assert kept.mean().item() == pytest.approx(4 / 1000, rel=0.05)  # twice the amplitude of the positive half
    frequency = instantaneous_frequency(analytic(of(np.cos(2 * np.pi * 0.1 * np.arange(2000)), 2000)))
    np.testing.assert_allclose(frequency, 100, atol=0.05)


def test_the_transform_is_that_of_scipy_inside() -> None:
    """Of a band-limited pulse far from the ends."""
    n = np.arange(2000)
    pulse = np.exp(-(((n - 1000) / 60) ** 2)) * np.cos(2 * np.pi * 0.2 * n)
    own = analytic(of(pulse, 2000))
    skip = (2000 - own.sizes["time"]) // 2
    np.testing.assert_allclose(own, signal.hilbert(pulse)[skip : 2000 - skip], atol=1.1e-4)


def test_stretches_lose_their_ends_and_chunks_do_not_matter() -> None:
    values = np.random.default_rng(0).normal(size=(400, 2))
    x = of(values, 20, 180, 200)
    own = analytic(x, transition=100, attenuation=40)
    taps = int(own.attrs["filter"].split(", ")[1].split()[0])
    assert taps % 2 == 1
    assert own.sizes["time"] == sum(n - taps + 1 for n in (20, 180, 200) if n >= taps)
    lazy = analytic(deployments.chunked(x, 17, 90, 3), transition=100, attenuation=40)
    deployments.identical(lazy.compute(), own)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"transition": 0}, "transition=0"),
        ({"transition": 250}, "quarter of the rate"),
        ({"transition": float("nan")}, "transition=nan"),
        ({"transition": True}, "transition=True"),
        ({"transition": 1e-3}, "taps"),
        ({"attenuation": 10}, "21 to 200"),
        ({"transition": 0.5}, "no stretch"),
    ],
)
def test_filters_that_do_not_fit(settings: dict, message: str) -> None:
    with pytest.raises(ra.RecordingError, match=message):
        analytic(of(np.zeros(1000), 1000), **settings)
