"""The engine on dask.distributed: what reaches the scheduler, what moves, what tasks are called, and who may die."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from dask._task_spec import Alias, DataNode
from distributed import Client, LocalCluster, wait
from distributed.utils import key_split
from scipy.io import wavfile

import reelarray as ra
from reelarray import graph
from reelarray.clock import SampleClock
from reelarray.recordings import label
from reelarray.table import Kind, SourceTable

RATE = 1000
SECONDS = (0, 20, 40, 70, 90)  # a gap after the third
FRAMES = 20_000
MEGABYTE = 10**6


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    here = tmp_path_factory.mktemp("files")
    random = np.random.default_rng(0)
    for second in SECONDS:
        samples = random.integers(-30_000, 30_000, FRAMES).astype(np.int16)
        wavfile.write(here / f"20220301_00{second // 60:02d}{second % 60:02d}.wav", RATE, samples)
    return here


@pytest.fixture(scope="module")
def client():
    """Two processes of one thread."""
    options = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": ":0"}
    with LocalCluster(processes=True, **options) as cluster, Client(cluster) as client:
        yield client


def opened(folder: Path) -> xr.DataArray:
    return ra.open_recordings(folder, chunks=3000, cache=False)


def foreign(folder: Path) -> xr.DataArray:
    """Samples that went through arithmetic: no table stands behind them any more."""
    x = opened(folder) * np.float32(2)
    assert graph.rows(x) is None
    return x


FUSED = {
    "samples": lambda x: x,
    "stft": lambda x: ra.stft(x, nfft=64, block=128),
    "spectrogram": lambda x: ra.spectrogram(x, nfft=64, block=128),
    "power_spectrum": lambda x: ra.power_spectrum(x, nfft=64, every="7s", block=2),
    "median": lambda x: ra.power_spectrum(x, nfft=64, every="7s", average="median", block=2),
    "average of samples": lambda x: ra.average(x, "3s", block=4),
    "average of rows": lambda x: ra.average(x, 50, block=64),
    "average of a spectrogram": lambda x: ra.average(ra.spectrogram(x, nfft=64, block=128), "7s", block=2),
    "high_pass": lambda x: ra.high_pass(x, cutoff=100.0, attenuation=30, block=4096),
    "levels": lambda x: ra.to_decibel(ra.spectrogram(x, nfft=64, block=128)),
    "a slice": lambda x: ra.spectrogram(x.isel(time=slice(1234, 66_000)), nfft=64, block=128),
}
STEPS = {
    "average of averages": lambda x: ra.average(ra.average(x, "2s"), "6s"),
    "normalize": lambda x: ra.normalize(x),
    "spectrogram of a high_pass": lambda x: ra.spectrogram(ra.high_pass(x, cutoff=100.0, attenuation=30), nfft=64),
    "spectrogram of normalized": lambda x: ra.spectrogram(ra.normalize(x, scope="recording"), nfft=64),
}


def made(client: Client) -> int:
    """Tasks that workers have made since the cluster began."""
    return sum(prefix.state_counts["memory"] for prefix in client.cluster.scheduler.task_prefixes.values())


def transfers(client: Client) -> int:
    """Times that a worker has asked another for data since the cluster began."""
    return sum(client.run(lambda dask_worker: dask_worker.state.transfer_incoming_count_total).values())


def done(lazy: xr.DataArray) -> xr.DataArray:
    """Computed, and left where it is: `compute` has one worker bring all blocks together."""
    result = lazy.persist()
    wait(result)
    return result


def identical(a: xr.DataArray, b: xr.DataArray) -> None:
    assert a.dtype == b.dtype
    assert a.dims == b.dims
    assert a.values.tobytes() == b.values.tobytes()
    assert list(a.coords) == list(b.coords)


# ---- what reaches the scheduler --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUSED)
def test_from_files_a_block_is_one_task_and_nothing_moves(client, folder, name):
    lazy = FUSED[name](opened(folder))
    blocks = lazy.data.npartitions
    assert blocks > 3
    before, moved = made(client), transfers(client)
    result = done(lazy)
    assert made(client) - before == blocks
    assert transfers(client) == moved
    del result


def test_compute_brings_all_blocks_to_one_worker(client, folder):
    """Dask's own way, and the reason to write large results instead: it shows that transfers are counted."""
    moved = transfers(client)
    FUSED["spectrogram"](opened(folder)).compute()
    assert transfers(client) > moved


def test_a_store_is_written_by_one_task_a_block_and_nothing_moves(client, folder, tmp_path):
    lazy = FUSED["spectrogram"](opened(folder))
    before, moved = made(client), transfers(client)
    assert ra.write_zarr(lazy, tmp_path / "out.zarr").done == lazy.data.npartitions
    assert made(client) - before == lazy.data.npartitions
    assert transfers(client) == moved
    with dask.config.set(scheduler="sync"):
        assert ra.open_zarr(tmp_path / "out.zarr").values.tobytes() == lazy.values.tobytes()


def table_of(files: int) -> SourceTable:
    """Hourly files that are not there."""
    kind = Kind("wav", "int16", 2.0**-15, 0.0, (44, "<i2", 1))
    paths = [f"/a/deployment/of/many/months/recorder_{k:08d}.wav" for k in range(files)]
    sizes = np.full(files, 3600 * 48000)
    return SourceTable.of_files(paths, [kind] * files, sizes, 2 * sizes + 44, sizes * 0, shape=(), dtype="float32")


def recording_of(table: SourceTable) -> xr.DataArray:
    starts = [k * 3600 * 10**9 for k in range(len(table.path))]
    clock = SampleClock.of_segments(starts, table.frames.tolist(), 48000)
    return label(graph.read_array(table, 2**22), clock, attrs={"units": "1"}, name="samples")


THREE_HOURS = {
    "spectrogram": lambda x: ra.spectrogram(x),
    "power_spectrum": lambda x: ra.power_spectrum(x, every="60s"),
    "average of a spectrogram": lambda x: ra.average(ra.spectrogram(x), "60s"),
    "arithmetic": lambda x: x * 2,
}


@pytest.mark.parametrize("name", THREE_HOURS)
def test_a_task_carries_its_own_rows_of_the_table_however_long_that_is(name):
    whole = recording_of(table_of(2000))
    lazy = THREE_HOURS[name](whole.isel(time=slice(300 * 3600 * 48000, 303 * 3600 * 48000))).data
    if name != "arithmetic":  # dask cuts that when it optimises
        assert len(pickle.dumps(lazy.dask)) < 30_000, "a graph of three hours, not the catalog"
    tasks = dict(dask.optimize(lazy)[0].__dask_graph__())
    assert max(len(pickle.dumps(task)) for task in tasks.values()) < 6000


def test_what_the_client_sends_of_a_year_is_its_table_once():
    lazy = ra.spectrogram(recording_of(table_of(8760))).data
    assert lazy.npartitions > 50_000
    assert len(pickle.dumps(lazy.dask)) / lazy.npartitions < 60


# ---- what tasks are called -------------------------------------------------------------------------------------------

FIRST = {*ra.__all__, "read", "write", "to_decibel"}  # what the first word of a task may be
DASK = {"astype", "where", "blocks", "rechunk", "mul"}  # and of the steps that are dask's own


@pytest.mark.parametrize("source", [opened, foreign])
@pytest.mark.parametrize("name", [*FUSED, *STEPS])
def test_tasks_have_names_that_say_what_they_do(folder, name, source):
    lazy = {**FUSED, **STEPS}[name](source(folder))
    tasks = dict(dask.optimize(lazy.data)[0].__dask_graph__())
    prefixes = {key_split(key) for key, task in tasks.items() if not isinstance(task, Alias | DataNode)}
    allowed = FIRST | (DASK if source is foreign or name == "average of averages" else set())
    assert {prefix.partition("-")[0] for prefix in prefixes} <= allowed, prefixes
    assert not any(set(prefix) & set("0123456789<>") for prefix in prefixes), prefixes


CALLED = {
    "samples": "read",
    "stft": "stft",
    "spectrogram": "spectrogram",
    "power_spectrum": "power_spectrum",
    "average of samples": "average",
    "high_pass": "high_pass",
    "a slice": "spectrogram",
}


@pytest.mark.parametrize("name", CALLED)
def test_fused_tasks_have_the_name_of_the_function_that_was_called(client, folder, name):
    before = {n: p.state_counts["memory"] for n, p in client.cluster.scheduler.task_prefixes.items()}
    result = done(FUSED[name](opened(folder)))
    after = {n: p.state_counts["memory"] for n, p in client.cluster.scheduler.task_prefixes.items()}
    assert {n for n in after if after[n] > before.get(n, 0)} == {CALLED[name]}
    del result


# ---- the same numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [opened, foreign])
@pytest.mark.parametrize("name", [*FUSED, *STEPS])
def test_processes_threads_and_one_thread_give_the_same_bits(client, folder, name, source):
    lazy = {**FUSED, **STEPS}[name](source(folder))
    with dask.config.set(scheduler="sync"):
        expected = lazy.compute()
    with dask.config.set(scheduler="threads"):
        identical(lazy.compute(), expected)
    identical(lazy.compute(), expected)  # the client's


def test_a_client_of_threads_gives_the_same_bits(folder):
    lazy = FUSED["average of a spectrogram"](opened(folder))
    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": ":0"}
    with Client(processes=False, set_as_default=False, **options) as own:
        found = own.compute(lazy, sync=True)
    with dask.config.set(scheduler="sync"):
        identical(found, lazy.compute())


# ---- workers that die, and workers that live long --------------------------------------------------------------------


class Deadly:
    """A kernel, powers of sums, that ends its process the first time that it is called anywhere."""

    def __init__(self, log: Path) -> None:
        self.log = str(log)

    def __call__(self, batch: np.ndarray, out: np.ndarray) -> None:
        try:
            os.close(os.open(self.log, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            np.multiply(batch.sum(axis=-1), batch.sum(axis=-1), out=out)
        else:
            os._exit(1)


def deadly(folder: Path, log: Path) -> xr.DataArray:
    x = ra.lift_windows(Deadly(log), opened(folder), ra.Windows(64, 32), dtype="f4", frames="f4", block=64, name="sums")
    return x.assign_attrs(units="1").rename("sums")


def test_a_worker_that_dies_changes_nothing(client, folder, tmp_path):
    lazy = deadly(folder, tmp_path / "died")
    workers = set(client.run(os.getpid).values())
    found = ra.average(lazy, 100).compute()
    assert (tmp_path / "died").exists()
    client.wait_for_workers(2)
    assert len(workers - set(client.run(os.getpid).values())) == 1
    with dask.config.set(scheduler="sync"):
        identical(found, ra.average(lazy, 100).compute())


def test_a_store_is_completed_though_a_worker_dies(client, folder, tmp_path):
    lazy = deadly(folder, tmp_path / "died")
    report = ra.write_zarr(lazy, tmp_path / "out.zarr")
    assert (tmp_path / "died").exists()
    assert report.done == report.total == lazy.data.npartitions
    client.wait_for_workers(2)
    with dask.config.set(scheduler="sync"):
        assert ra.open_zarr(tmp_path / "out.zarr").values.tobytes() == lazy.values.tobytes()


def resident() -> int:
    import gc

    import psutil

    gc.collect()
    return psutil.Process().memory_info().rss


def test_workers_do_not_grow_with_the_number_of_blocks(client, folder):
    def run(times: int) -> dict[str, int]:
        for k in range(times):
            x = opened(folder).isel(time=slice(k, None))  # another array each time
            done(ra.power_spectrum(x, nfft=512, hop=64, every="1s", block=1))
        return client.run(resident)

    first, blocks = run(3), made(client)
    last = run(6)
    assert made(client) - blocks > 500
    assert max(last[w] - first[w] for w in last) < 20 * MEGABYTE
