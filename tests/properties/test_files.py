"""Recordings of files give what their samples in memory give, to the bit: any chunks, blocks, slices and schedulers."""

from __future__ import annotations

import pickle
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import wavfile

import reelarray as ra
from reelarray import graph, layers, merging, work
from reelarray.errors import RecordingError
from reelarray.signal.engines import VARIABLE

RATE = 1000
SECONDS = (0, 1, 2, 6, 7, 30)  # two gaps
FRAMES = (1000, 1000, 700, 1000, 33, 400)

TRANSFORMS = {
    "spectrogram": lambda x, block: ra.spectrogram(x, nfft=64, hop=24, block=block),
    "spectrogram, linear detrend": lambda x, block: ra.spectrogram(x, nfft=32, hop=32, detrend="linear", block=block),
    "spectrogram, windows far apart": lambda x, block: ra.spectrogram(x, nfft=16, hop=77, block=block),
    "stft": lambda x, block: ra.stft(x, nfft=50, hop=13, block=block),
    "power_spectrum": lambda x, block: ra.power_spectrum(x, nfft=32, every="300ms", block=block),
    "power_spectrum, median": lambda x, block: ra.power_spectrum(x, nfft=32, every="1s", average="median", block=block),
    "power_spectrum of everything": lambda x, block: ra.power_spectrum(x, nfft=32),
    "average": lambda x, block: ra.average(x, every="170ms", block=block),
    "average of a spectrogram": lambda x, block: ra.average(
        ra.spectrogram(x, nfft=32, hop=13, block=block), every="300ms", block=block
    ),
    "level_quantiles": lambda x, block: ra.level_quantiles(
        ra.spectrogram(x, nfft=32, hop=13, block=block), every="300ms", step=1, block=block
    ),
    "level_distribution": lambda x, block: ra.level_distribution(
        ra.spectrogram(x, nfft=32, block=block), every="300ms", step=2, block=block
    ),
    "average of rows": lambda x, block: ra.average(x, every=11, block=block),
}


@pytest.fixture(scope="module", autouse=True, params=["scipy", "numba"])
def engine(request):
    """All of this with either engine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, request.param)
        yield request.param


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> Path:
    """Six files of two channels and 16 bits, in three stretches."""
    folder = tmp_path_factory.mktemp("files")
    random = np.random.default_rng(0)
    for second, frames in zip(SECONDS, FRAMES, strict=True):
        samples = random.integers(-30_000, 30_000, (frames, 2)).astype(np.int16)
        wavfile.write(folder / f"20220301_0000{second:02d}.wav", RATE, samples)
    return folder


def opened(folder: Path, **options) -> xr.DataArray:
    """With two gains, so that values are counts times a scale times each of them."""
    return ra.open_recordings(folder, tolerance=0.1, sensitivity=-171.3, gain_db=11.7, **options)


@pytest.fixture(scope="module")
def memory(files) -> xr.DataArray:
    return opened(files).compute()


def identical(a: xr.DataArray, b: xr.DataArray) -> None:
    assert a.dtype == b.dtype
    assert a.dims == b.dims
    assert a.values.tobytes() == b.values.tobytes()
    assert set(a.coords) == set(b.coords)
    for name in a.coords:
        assert a[name].values.tobytes() == b[name].values.tobytes(), name
    assert a.attrs == b.attrs


def spans(most: int):
    return st.tuples(st.integers(0, most), st.integers(0, most)).map(sorted)


def made(transform, x, block):
    """The result, or the error where no window fits."""
    try:
        return TRANSFORMS[transform](x, block)
    except RecordingError as error:
        return str(error)


@pytest.mark.parametrize("transform", TRANSFORMS)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(
    chunk=st.integers(1, 3000),
    block=st.none() | st.integers(1, 60),
    before=st.none() | spans(sum(FRAMES)),
    after=st.none() | spans(150),
    channel=st.sampled_from([None, 0, [1, 0]]),
)
def test_files_equal_memory_to_the_bit(transform, files, memory, chunk, block, before, after, channel):
    eager, lazy = memory, opened(files, chunks=chunk, channel=channel)
    if channel is not None:
        eager = eager.isel(channel=channel)
    if before is not None:
        eager, lazy = eager[slice(*before)], lazy[slice(*before)]
    assert graph.rows(lazy) is not None
    expected, got = made(transform, eager, block), made(transform, lazy, block)
    if isinstance(expected, str):
        assert "fits no stretch" in expected or "nothing to average" in expected
        assert got == expected
        return
    assert got.chunks is not None
    if after is not None and "time" in got.dims:
        expected, got = expected[slice(*after)], got[slice(*after)]
    with dask.config.set(scheduler="sync"):
        identical(got.compute(), expected)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_slice_before_and_a_slice_after_are_the_same_windows(transform, files):
    """Where a slice begins on a hop: windows of the slice are windows of the whole, labels and all."""
    whole = opened(files)
    if transform == "average" or "power_spectrum" in transform:
        part = TRANSFORMS[transform](whole.sel(time=slice("2022-03-01T00:00:06", "2022-03-01T00:00:07.999")), None)
        late = TRANSFORMS[transform](whole, None)
        if "time" not in part.dims:
            return
        late = late.sel(time=part["time"].values)
    else:
        part = TRANSFORMS[transform](whole[2700:], None)
        late = TRANSFORMS[transform](whole, None).sel(time=slice("2022-03-01T00:00:05", None))
    identical(part.compute(), late.compute())


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_threads_and_a_pickled_copy_give_the_same_bits(transform, files, memory):
    lazy = TRANSFORMS[transform](opened(files, chunks=600), 9)
    expected = TRANSFORMS[transform](memory, None)
    with dask.config.set(scheduler="threads", num_workers=2):
        identical(lazy.compute(), expected)
        identical(pickle.loads(pickle.dumps(lazy)).compute(), expected)
        source = pickle.loads(pickle.dumps(opened(files, chunks=600)))
        assert graph.rows(source) is not None
        identical(TRANSFORMS[transform](source, 9).compute(), expected)


def test_a_cluster_gives_the_same_bits(files, memory):
    from distributed import Client, LocalCluster

    quiet = {"host": "127.0.0.1", "protocol": "tcp://", "dashboard_address": None}
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=False, **quiet) as cluster, Client(cluster):
        for transform, function in TRANSFORMS.items():
            lazy = function(opened(files, chunks=600), 9)
            assert lazy.chunks is not None, transform
            identical(lazy.compute(), function(memory, None))
            identical(lazy.persist().compute(), function(memory, None))


@pytest.mark.parametrize(("leaf", "task", "fan"), [(64, 64, 2), (64, 640, 16), (10, 100, 3), (100, 10_000, 2)])
@pytest.mark.parametrize("every", ["900ms", "2s", "10s"])
def test_cells_of_many_tasks_are_those_of_one(files, memory, leaf, task, fan, every, monkeypatch):
    """Cells that are too long for one task, with such tasks made small."""
    for module in (layers, merging):
        monkeypatch.setattr(module, "FAN", fan)
    for module in (layers, work):  # both hold it
        monkeypatch.setattr(module, "LEAF", leaf)
    monkeypatch.setattr(layers, "CELL_BLOCK", task)
    for function in (
        lambda x: ra.average(x, every=every),
        lambda x: ra.power_spectrum(x, nfft=16, hop=4, every=every),
        lambda x: ra.average(ra.spectrogram(x, nfft=16, hop=4), every=every),
        lambda x: ra.level_distribution(ra.spectrogram(x, nfft=16, hop=4), every=every, step=1),
        lambda x: ra.level_quantiles(ra.spectrogram(x, nfft=16, hop=4), every=every, step=1),
    ):
        expected = function(memory)
        with dask.config.set(scheduler="sync"):
            identical(function(opened(files)).compute(), expected)
            identical(function(memory.chunk(time=77)).compute(), expected)


@pytest.mark.parametrize("transform", ["spectrogram", "power_spectrum", "average of rows"])
def test_filled_files_equal_filled_memory(transform, files, memory):
    lazy = TRANSFORMS[transform](ra.fill_gaps(opened(files, chunks=900)), 40)
    eager = TRANSFORMS[transform](ra.fill_gaps(memory), None)
    identical(lazy.compute(), eager)
    assert np.isnan(eager.values).any()
