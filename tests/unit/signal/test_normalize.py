"""Normalisation: equal to a plain loop over files, whatever the chunks, and gone with the absolute level."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import dask
import deployments
import numpy as np
import pytest
import xarray as xr

import reelarray as ra
from reelarray import groups
from reelarray.recordings import label

LENGTHS, JOINED = [400, 350, 1, 700, 420, 90_000], [False, True, True, False, False, True]
EDGES = np.append(0, np.cumsum(LENGTHS))
STRETCHES = [0, 751, 1451, sum(LENGTHS)]
FUNCTIONS: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {
    "zscore": lambda x: ra.normalize(x),
    "zscore by stretch": lambda x: ra.normalize(x, scope="stretch"),
    "zscore of all": lambda x: ra.normalize(x, scope="recording"),
    "rolling zscore": lambda x: ra.normalize(x, scope="0.9s"),
    "peak": lambda x: ra.normalize(x, method="peak", scope="stretch"),
    "dc": lambda x: ra.remove_mean(x, scope="recording"),
    "rolling dc": lambda x: ra.normalize(x, method="dc", scope=1.2),
    "dc and peak": lambda x: ra.normalize(x, method="dc_peak"),
    "repair": lambda x: ra.repair_overflow(x),
}


def deployment(dtype: str = "float64", channels: int = 0) -> xr.DataArray:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(sum(LENGTHS), channels) if channels else sum(LENGTHS)) * 3 + 20
    if dtype.startswith("complex"):
        values = values + 1j * rng.normal(size=values.shape)
    values = (values * 100).astype(dtype)
    dims = ("channel",) if channels else ()
    return label(values, deployments.clock_of_files(LENGTHS, JOINED), dims=dims, attrs={"units": "Pa"})


def by_loop(values: np.ndarray, edges: list | np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return np.concatenate([change(values[a:b].astype("f8")) for a, b in pairwise(edges)])


@pytest.mark.parametrize(
    ("scope", "edges"), [("segment", EDGES), ("stretch", STRETCHES), ("recording", EDGES[[0, -1]])]
)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "int32"])
@pytest.mark.parametrize("channels", [0, 2])
def test_equal_to_a_loop_over_groups(scope: str, edges: np.ndarray, dtype: str, channels: int) -> None:
    x = deployment(dtype, channels)
    loops = {
        "dc": lambda v: v - v.mean(0),
        "peak": lambda v: v / abs(v).max(0),
        "zscore": lambda v: (v - v.mean(0)) / v.std(0),
        "dc_peak": lambda v: (v - v.mean(0)) / abs(v - v.mean(0)).max(0),
    }
    for method, loop in loops.items():
        with np.errstate(invalid="ignore"):
            expected = by_loop(x.values, edges, loop)
        y = ra.normalize(x, method=method, scope=scope)
        assert y.dtype == {"int16": "f4", "int32": "f8"}.get(dtype, dtype)
        scale = 2000 if method == "dc" else 1
        np.testing.assert_allclose(y, expected, atol=(1e-3 if y.dtype == "f4" else 1e-9) * scale, rtol=1e-9)


def test_complex_samples() -> None:
    x = deployment("complex64")
    zscore = by_loop(x.values.astype("c16").view("f8"), EDGES * 2, lambda v: v).view("c16")
    expected = np.concatenate(
        [(zscore[a:b] - zscore[a:b].mean()) / max(zscore[a:b].std(), 1e-9) for a, b in pairwise(EDGES)]
    )
    y = ra.normalize(x)
    single = EDGES[2]  # a file of one sample has no deviation
    assert np.isnan(y[single])
    np.testing.assert_allclose(np.delete(y.values, single), np.delete(expected, single), atol=1e-3)
    assert abs(ra.normalize(x, method="peak", scope="recording").values).max() == pytest.approx(1, rel=1e-6)
    with pytest.raises(ra.RecordingError, match="complex"):
        ra.normalize(x, method="dc_peak")


def test_rolling_statistics_are_those_of_the_files_up_to_each() -> None:
    x = deployment()
    # The median file takes 0.41 s; 0.9 s are two files: the one before, and the file itself.
    files = [x.values[a:b] for a, b in pairwise(EDGES)]
    mean, variance = np.array([f.mean() for f in files]), np.array([f.var() for f in files])
    expected = [
        (f - mean[max(0, k - 1) : k + 1].mean()) / np.sqrt(variance[max(0, k - 1) : k + 1].mean())
        for k, f in enumerate(files)
    ]
    y = ra.normalize(x, scope="0.9s")
    np.testing.assert_allclose(y, np.concatenate(expected), rtol=1e-9, atol=1e-9)
    assert y.attrs["normalization"] == "zscore by 2 files"
    late = ra.normalize(x, scope=0.9, min_periods=2)
    assert np.isnan(late[:400]).all()
    assert late.values[400:].tobytes() == y.values[400:].tobytes()


def test_what_is_said_of_the_result() -> None:
    x = deployment().assign_attrs(long_name="sound pressure", serial_number="7")
    z = ra.normalize(x)
    assert z.attrs == {
        "units": "1",
        "serial_number": "7",
        "calibrated": False,
        "normalization": "zscore by segment",
    }
    kept = ra.remove_mean(x)
    assert kept.attrs == {**x.attrs, "mean_removed": "by segment"}
    deployments.identical(ra.normalize(x, method="dc"), kept)
    with pytest.raises(ra.CalibrationError, match="zscore by segment"):
        ra.calibrate(z, sensitivity=-170)
    with pytest.raises(ra.CalibrationError, match="spectrum"):
        ra.to_decibel(ra.spectrogram(z, nfft=64))
    assert ra.to_decibel(ra.spectrogram(z, nfft=64, scaling="spectrum")).attrs["units"] == "dB re 1"


def test_overflow_repair() -> None:
    y = ra.repair_overflow(deployment()[:400])
    assert y.values.std() == pytest.approx(0.063, rel=1e-9)
    spike = ra.recording(np.where(np.arange(1000) == 5, 1e9, 0.0), rate=1)
    assert ra.repair_overflow(spike).values.max() == 1.0


def test_silence_and_constants_and_nan() -> None:
    x = deployment("float32")
    x[:400] = 0.1
    x[400:750] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = ra.normalize(x)
        silent = ra.normalize(x * 0, method="peak")
    assert np.isnan(y[:751]).all()  # a constant, NaN, and a single sample
    assert np.isfinite(y[751:]).all()
    assert np.isnan(silent).all()


def test_a_large_mean_does_not_swallow_a_small_deviation() -> None:
    rng = np.random.default_rng(0)
    x = ra.recording(1e9 + rng.normal(size=200_000) * 1e-3, rate=1000)
    y = ra.normalize(x)
    assert y.values.std() == pytest.approx(1, rel=1e-6)
    np.testing.assert_allclose(y, (x.values - x.values.mean()) / x.values.std(), atol=1e-2)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("dtype", "channels", "sizes"), [("float32", 0, (997,)), ("int16", 2, (40_000, 3)), ("float64", 2, (90_000,))]
)
def test_no_chunking_changes_a_bit(
    function: str, dtype: str, channels: int, sizes: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = deployment(dtype, channels)
    monkeypatch.setattr(
        groups, "auto_chunk", lambda samples, each, seconds: 80_000 // each
    )  # several tasks of the first pass
    eager = FUNCTIONS[function](x)
    chunked = deployments.chunked(x, *sizes)
    lazy = FUNCTIONS[function](chunked)
    assert lazy.chunks == chunked.chunks
    deployments.identical(lazy.compute(), eager)
    monkeypatch.setattr(groups, "LARGEST_KEPT", 1000)  # long groups are made twice
    deployments.identical(FUNCTIONS[function](chunked).compute(), eager)
    if channels:
        split = chunked.chunk({"channel": 1})
        assert FUNCTIONS[function](split).compute().values.tobytes() == eager.values.tobytes()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_read_from_files(tmp_path: Path, function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = np.random.default_rng(2).integers(-3000, 5000, sum(LENGTHS)).astype(np.int16)
    x = deployments.on_disk(tmp_path, counts, LENGTHS, JOINED, chunk=20_000)
    monkeypatch.setattr(groups, "auto_chunk", lambda samples, each, seconds: 80_000 // each)
    eager = FUNCTIONS[function](x.compute())
    lazy = FUNCTIONS[function](x)
    assert lazy.chunks == x.chunks
    deployments.identical(lazy.compute(), eager)
    deployments.identical(lazy[700:30_000].compute(), eager[700:30_000])


def tasks_of(x: xr.DataArray) -> dict:
    (optimized,) = dask.optimize(x.data)
    return dict(optimized.__dask_graph__())


def test_an_hour_asks_for_the_files_of_that_hour_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "auto_chunk", lambda samples, each, seconds: 80_000 // each)
    files, each = 40, 40_000
    counts = np.random.default_rng(2).integers(-3000, 5000, files * each).astype(np.int16)
    x = deployments.on_disk(tmp_path, counts, [each] * files, [True] * files, chunk=each)
    part = ra.normalize(x)[20 * each + 5 : 20 * each + 10]
    assert len(tasks_of(part)) < 12
    for k in [*range(19), *range(22, files)]:
        (tmp_path / f"{k}.wav").unlink()
    assert np.isfinite(part.values).all()


def test_reading_and_applying_are_one_task(tmp_path: Path) -> None:
    counts = np.random.default_rng(2).integers(-3000, 5000, sum(LENGTHS)).astype(np.int16)
    x = deployments.on_disk(tmp_path, counts, LENGTHS, JOINED, chunk=20_000)
    names = [str(key[0] if isinstance(key, tuple) else key) for key in tasks_of(ra.normalize(x, scope="recording"))]
    assert not [name for name in names if name.startswith("read")]
    assert ra.normalize(x).data.name == ra.normalize(x).data.name
    assert pickle.loads(pickle.dumps(ra.normalize(x))).equals(ra.normalize(x))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: ra.normalize(x, method="rms"), "'zscore', 'peak', 'dc', 'dc_peak'"),
        (lambda x: ra.normalize(x, scope="file"), "'segment', 'stretch', 'recording'"),
        (lambda x: ra.normalize(x, scope=0), "scope=0"),
        (lambda x: ra.remove_mean(x, scope=None), "scope=None"),
        (lambda x: ra.normalize(x, method="peak", scope="5s"), "peak has no mean"),
        (lambda x: ra.normalize(x, scope="5s", min_periods=0), "min_periods=0"),
        (lambda x: ra.repair_overflow(x + 1j), "real"),
    ],
)
def test_what_is_refused(call: Callable, message: str) -> None:
    with pytest.raises(ra.RecordingError, match=message):
        call(deployment())


def test_an_empty_recording_stays_empty() -> None:
    assert ra.normalize(deployment("int16")[:0]).dtype == np.float32
    assert ra.normalize(deployments.chunked(deployment()[:0], 1)).sizes["time"] == 0
