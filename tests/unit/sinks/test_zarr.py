"""Zarr stores: what xarray and reelarray read back, layouts, refusals."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
import warnings

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from stores import START, content, files, forget, noted, nothing_temporary, recorded, spectra

import reelarray as ra
from reelarray.sinks import faults
from reelarray.sinks.journal import Journal, OutputExists, OutputHeld


@pytest.fixture
def paths(tmp_path):
    return files(tmp_path / "input")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.zarr"


PRODUCTS = {
    "samples": recorded,
    "spectrogram": spectra,
    "a part of a spectrogram": lambda p: spectra(p).sel(time=slice("2022-03-01T00:00:03", None)).chunk(time=7),
    "averages": lambda p: ra.power_spectrum(recorded(p), every="2s", nfft=64, block=2),
    "one spectrum": lambda p: ra.power_spectrum(recorded(p), nfft=64),
    "stft": lambda p: ra.stft(recorded(p), nfft=64, block=16),
    "in memory": lambda p: spectra(p).compute(),
    "no rows": lambda p: spectra(p)[:0],
    "two channels": lambda p: ra.recording(
        da.from_array(np.arange(60, dtype="i4").reshape(30, 2), chunks=(7, 2)),
        rate="44100",
        units="1",
        coords={"channel": ["left", "right, ä"], "center_frequency": 1e6, "place": "pier"},
        attrs={"list": (1, 2.5), "deep": {"gain": np.float32(2)}, "flag": np.True_},
    ),
    "time without a clock": lambda p: xr.DataArray(
        da.arange(10, chunks=4), dims="time", coords={"time": np.arange(10).astype("M8[s]")}, name="plain"
    ),
}


@pytest.mark.parametrize("product", PRODUCTS)
def test_what_is_written_is_read_back_without_a_warning(product, paths, out):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = PRODUCTS[product](paths)
        report = ra.write_zarr(x, out)
        again = ra.open_zarr(out)
        with xr.open_zarr(out) as plain:
            seen = plain[x.name or "values"].load()
            root = dict(plain.attrs)
            bounds = plain.coords.get("time_bounds")
            bounds = None if bounds is None else bounds.load()
            assert list(plain.data_vars) == [again.name]
        with xr.open_zarr(out, consolidated=False) as unconsolidated:
            assert list(unconsolidated.data_vars) == [again.name]
    assert (report.skipped, report.done) == (0, report.total)
    nothing_temporary(out)
    wanted = x.compute()
    assert again.dtype == seen.dtype == wanted.dtype
    assert again.values.tobytes() == seen.values.tobytes() == wanted.values.tobytes()
    assert set(again.coords) == set(wanted.coords) == set(seen.coords)
    for name, coord in wanted.coords.items():
        assert (again[name].values == coord.values).all(), name
        assert (seen[name].values == coord.values).all(), name
        assert again[name].attrs == coord.attrs, name
    assert again.attrs == json.loads(json.dumps(x.attrs, default=lambda value: value.item()))
    assert {"Conventions", "software", "inputs"} <= set(root)
    if "time" in x.xindexes and hasattr(x.xindexes["time"], "clock"):
        assert again.xindexes["time"].clock == x.xindexes["time"].clock
        assert again.xindexes["time"].bounds == x.xindexes["time"].bounds
        assert ra.segments(again).equals(ra.segments(x))
    if product == "averages":
        assert (bounds[:, 0] == seen.time).all()
        assert ((bounds[:, 1] - bounds[:, 0]) == np.timedelta64(2, "s")).all()


def test_plain_xarray_needs_nothing_of_ours(paths, out):
    x = spectra(paths)
    ra.write_zarr(x, out)
    script = (
        "import sys, warnings; warnings.simplefilter('error'); import xarray as xr\n"
        f"with xr.open_zarr({str(out)!r}) as s:\n"
        "    print(s.spectrogram.values.sum(dtype='f8').hex(), s.time.values[-1], s.spectrogram.attrs['nfft'])\n"
        "    print(s.attrs['software'].split()[0], s.attrs['inputs'])\n"
        "assert 'reelarray' not in sys.modules\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    first, second = run.stdout.splitlines()
    assert first == f"{float(x.values.sum(dtype='f8')).hex()} {x.time.values[-1]} 64"
    assert second == "reelarray ['0000.raw', '0001.raw', '0002.raw']"


def test_the_clock_stands_alone_where_labels_are_too_many(paths, out, monkeypatch):
    monkeypatch.setattr("reelarray.sinks.skeleton.MOST_LABELS", 100)
    x = ra.power_spectrum(recorded(paths), every="20ms", nfft=16, hop=16)
    ra.write_zarr(x, out)
    with xr.open_zarr(out) as plain:
        assert "time" not in plain.coords
        assert "time_bounds" not in plain.variables
    again = ra.open_zarr(out)
    xr.testing.assert_identical(again.load(), x.compute())
    assert again.xindexes["time"].bounds == "time_bounds"


# ---- layouts ---------------------------------------------------------------------------------------------------------


def test_other_chunks_of_the_recording_give_the_same_store(paths, tmp_path):
    for chunk in (700, 1500, 12000):
        x = ra.spectrogram(recorded(paths, chunk=chunk), nfft=64, hop=32, block=12)
        ra.write_zarr(x, tmp_path / f"{chunk}.zarr")
    assert content(tmp_path / "700.zarr") == content(tmp_path / "1500.zarr") == content(tmp_path / "12000.zarr")


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [
        ((1000, 65), (250, 13)),  # 65,000 bytes a block: five parts of 13 columns, none of which is short
        ((1000, 3, 50), (250, 1, 13)),  # first channels, then frequencies
        ((1000, 2, 7), (250, 2, 7)),
        ((1000,), (250,)),
        ((1000, 1000), (25, 125)),  # no more than eight parts along one dimension
    ],
)
def test_chunks_of_up_to_four_mebibytes_are_cut_along_their_last_dimensions_first(out, shape, chunks, monkeypatch):
    from reelarray.sinks import layout

    monkeypatch.setattr(layout, "SMALLEST", 4096)
    monkeypatch.setattr(layout, "LARGEST", 16384)
    values = np.arange(np.prod(shape), dtype="f4").reshape(shape)
    x = xr.DataArray(da.from_array(values, (250, *shape[1:])), dims=["time", "a", "b"][: len(shape)])
    ra.write_zarr(x, out)
    grid = json.loads((out / "values" / "zarr.json").read_text())["chunk_grid"]["configuration"]["chunk_shape"]
    assert grid == list(chunks)
    assert (ra.open_zarr(out).values == values).all()


@pytest.mark.parametrize("rows", [250, 1000, 1001])
def test_rows_are_cut_into_one_to_four_mebibytes_that_divide_blocks(out, rows, monkeypatch):
    from reelarray.sinks import layout

    monkeypatch.setattr(layout, "SMALLEST", 256)
    monkeypatch.setattr(layout, "LARGEST", 1024)
    values = np.arange(3003, dtype="f4")
    ra.write_zarr(xr.DataArray(da.from_array(values, rows), dims="time"), out)
    (chunk,) = json.loads((out / "values" / "zarr.json").read_text())["chunk_grid"]["configuration"]["chunk_shape"]
    assert rows % chunk == 0
    assert 256 <= chunk * 4 <= 1024
    assert (ra.open_zarr(out).values == values).all()


def test_shards_are_written_whole(paths, out):
    x = spectra(paths, block=32)
    ra.write_zarr(x, out, chunk=8, shard=16)
    assert ra.open_zarr(out).values.tobytes() == x.values.tobytes()
    files_made = [f.name for f in (out / "spectrogram").iterdir() if f.name != "zarr.json"]
    assert len(files_made) == -(-x.sizes["time"] // 16)
    assert ra.write_zarr(x, out).skipped == x.data.numblocks[0]


def test_sizes_by_dimension(out):
    x = xr.DataArray(da.arange(600, chunks=60).reshape(20, 30).rechunk((6, 10)), dims=["time", "frequency"])
    assert ra.write_zarr(x, out, chunk={"time": 3, "frequency": 5}).total == 12
    assert (ra.open_zarr(out).values == x.values).all()
    assert len(list((out / "values").iterdir())) == 1 + 7 * 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chunk": 5}, r"chunk=5 along 'time' does not divide blocks of 12: use one of \[4, 6, 12\]|\[3, 4, 6\]"),
        ({"chunk": {"height": 5}}, "names \\['height'\\]"),
        ({"chunk": 0}, "1 or more"),
        ({"shard": 7}, "shard=7 .* does not divide blocks of 12"),
        ({"shard": 6, "chunk": 4}, "chunk=4 along 'time' does not divide blocks of 6"),
    ],
)
def test_sizes_that_do_not_divide(paths, out, options, message):
    with pytest.raises(ra.ChunkError, match=message):
        ra.write_zarr(spectra(paths), out, **options)
    assert not out.exists()


@pytest.mark.parametrize("sizes", [(3, 4, 3), (3, 3, 4), (4, 3, 3)])
def test_uneven_blocks_name_what_to_call(out, sizes):
    x = xr.DataArray(da.ones(10, chunks=(sizes,)), dims="time")
    with pytest.raises(ra.ChunkError, match=r"x\.chunk\(time=4\) \(or block=4"):
        ra.write_zarr(x, out)
    ra.write_zarr(x.chunk(time=4), out)


# ---- again -----------------------------------------------------------------------------------------------------------


def test_a_complete_store_is_left_alone(paths, out):
    ra.write_zarr(spectra(paths), out)
    before, seen = content(out, journal=True), []
    report = ra.write_zarr(spectra(paths), out, progress=lambda done, total: seen.append((done, total)))
    assert (report.done, report.skipped) == (0, report.total)
    assert seen == [(report.total, report.total)]
    assert content(out, journal=True) == before


def test_missing_blocks_are_made_and_nothing_else(paths, out, tmp_path):
    x = spectra(paths)
    ra.write_zarr(x, tmp_path / "whole.zarr")
    ra.write_zarr(x, out)
    forget(out, slice(3, -2))
    with pytest.warns(UserWarning, match=r"chunks are written; the rest reads as missing"):
        ra.open_zarr(out)
    seen = []
    report = ra.write_zarr(x, out, progress=lambda done, total: seen.append(done))
    assert report.done == 5
    assert (seen[0], seen[-1]) == (report.total - 5, report.total)
    assert seen == sorted(set(seen))
    assert content(out) == content(tmp_path / "whole.zarr")


def test_a_run_goes_on_with_other_blocks_and_another_folder_of_inputs(paths, out, tmp_path):
    x = spectra(paths, block=12)
    ra.write_zarr(x, out, chunk=6)
    whole = content(out)
    forget(out, slice(9))
    (tmp_path / "input").rename(tmp_path / "moved")
    moved = [tmp_path / "moved" / p.name for p in paths]
    report = ra.write_zarr(spectra(moved, block=36), out)
    assert 0 < report.skipped < report.total
    assert content(out) == whole
    with pytest.raises(ra.ChunkError, match=r"the store has chunks of 6: use a multiple of 6, such as block=12 where"):
        ra.write_zarr(spectra(moved, block=10), out)


def test_other_parameters_are_named(paths, out):
    ra.write_zarr(spectra(paths), out)
    before = content(out, journal=True)
    with pytest.raises(OutputExists, match="window: 'hann' there, 'hamming' now") as caught:
        ra.write_zarr(spectra(paths, window="hamming"), out)
    assert "hop" not in str(caught.value)
    with pytest.raises(OutputExists, match="encoding: None there, 'db16' now"):
        ra.write_zarr(spectra(paths), out, encoding="db16")
    with pytest.raises(FileExistsError, match=r"hop: 32 there, 16 now.*overwrite=True"):
        ra.write_zarr(spectra(paths, hop=16), out)
    assert content(out, journal=True) == before
    x = spectra(paths, hop=16)
    ra.write_zarr(x, out, overwrite=True)
    xr.testing.assert_identical(ra.open_zarr(out).load(), x.compute())
    nothing_temporary(out)


def test_an_input_that_was_replaced_costs_the_blocks_that_it_touches(paths, out, tmp_path):
    """Files 0 and 1 are joined, so that one block reads both; blocks of file 2 are kept."""
    total = ra.write_zarr(spectra(paths), out).total
    before = content(out)
    values = np.fromfile(paths[1], "<i2") // 2
    paths[1].write_bytes(values.tobytes())
    os.utime(paths[1], ns=(1, 1_646_092_800_000_000_001))
    report = ra.write_zarr(spectra(paths), out)
    touched = spectra(paths).data.numblocks[0] - report.skipped
    assert report.total == total
    assert total / 3 <= touched == report.done <= total / 3 + 2
    ra.write_zarr(spectra(paths), tmp_path / "new.zarr")
    same = {name for name, data in content(tmp_path / "new.zarr").items() if data == before.get(name)}
    assert len([name for name in same if "/c." in name]) >= report.skipped
    assert ra.open_zarr(out).values.tobytes() == spectra(paths).values.tobytes()
    assert ra.write_zarr(spectra(paths), out).done == 0


def test_an_input_that_is_put_back(paths, out):
    """What an older state of the inputs made is not what is there."""
    before, healthy = ra.write_zarr(spectra(paths), out).total, paths[1].read_bytes()
    for data, stamp in ((healthy[::-1], START + 7), (healthy, START)) * 2:
        paths[1].write_bytes(data)
        os.utime(paths[1], ns=(START, stamp))
        assert 0 < ra.write_zarr(spectra(paths), out).done < before
        assert ra.open_zarr(out).values.tobytes() == spectra(paths).values.tobytes()
        assert ra.write_zarr(spectra(paths), out).done == 0


def test_inputs_that_are_replaced_again_and_again(paths, out):
    """Also between drivers that did not finish: what is in place is of the files that are there."""
    ra.write_zarr(spectra(paths), out)
    for k in (2, 0, 2):
        paths[k].write_bytes((np.fromfile(paths[k], "<i2") + k + 1).tobytes())
        os.utime(paths[k], ns=(1, START + k + paths[k].stat().st_mtime_ns % 1000))

        def some(done, total, seen=[]):  # noqa: B006
            seen.append(done)
            if len(seen) == 4:
                raise KeyboardInterrupt

        with dask.config.set(scheduler="sync"), pytest.raises(KeyboardInterrupt):
            ra.write_zarr(spectra(paths), out, progress=some)
    with pytest.warns(UserWarning, match="chunks are written"):
        ra.open_zarr(out)
    ra.write_zarr(spectra(paths), out)
    assert ra.open_zarr(out).values.tobytes() == spectra(paths).values.tobytes()


def test_inputs_with_other_samples_are_another_array(paths, out):
    ra.write_zarr(spectra(paths), out)
    paths[2].write_bytes(paths[2].read_bytes()[:-64])
    with pytest.raises(OutputExists, match=r"0002.raw: bytes 8000 there, 7936 now.*overwrite=True"):
        ra.write_zarr(spectra(paths), out)


def test_overwriting_resumes_what_is_the_same(paths, out):
    ra.write_zarr(spectra(paths), out, overwrite=True)
    assert ra.write_zarr(spectra(paths), out, overwrite=True).done == 0


def test_overwriting_an_array_of_unknown_origin_writes_it_anew(out):
    one, two = (xr.DataArray(da.full(8, n, chunks=4), dims="time") for n in (1, 2))
    ra.write_zarr(one, out)
    assert ra.write_zarr(two, out, overwrite=True).done == 2
    assert (ra.open_zarr(out) == 2).all()


def test_values_in_memory_are_what_they_are(out):
    ra.write_zarr(xr.DataArray(np.zeros(8), dims="time"), out)
    with pytest.raises(OutputExists, match="values differ"):
        ra.write_zarr(xr.DataArray(np.ones(8), dims="time"), out)


# ---- refusals --------------------------------------------------------------------------------------------------------


def test_what_is_not_ours_stays(paths, out, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("mine")
    for taken in ("file", "folder"):
        for overwrite in (False, True):
            with pytest.raises(OutputExists, match="write_zarr did not make"):
                ra.write_zarr(spectra(paths), tmp_path / taken, overwrite=overwrite)
    assert (tmp_path / "folder" / "thesis.txt").read_text() == "mine"
    spectra(paths).drop_attrs().to_dataset(name="s").drop_vars("time").to_zarr(out, consolidated=False)
    with pytest.raises(OutputExists, match="overwrite=True if it is a Zarr store"):
        ra.write_zarr(spectra(paths), out)
    ra.write_zarr(spectra(paths), out, overwrite=True)
    assert ra.open_zarr(out).name == "spectrogram"
    nothing_temporary(out)


def test_an_empty_folder_is_free(paths, out):
    out.mkdir()
    ra.write_zarr(spectra(paths), out)
    assert ra.open_zarr(out).name == "spectrogram"


def test_a_held_store_is_not_touched(paths, out):
    ra.write_zarr(spectra(paths), out)
    held = Journal.hold(out / ".reelarray", out)
    for overwrite in (False, True):
        with pytest.raises(OutputHeld, match="another process"):
            ra.write_zarr(spectra(paths, hop=16), out, overwrite=overwrite)
    held.close()


def test_two_writers_at_once(paths, out, monkeypatch):
    """The second is told, whenever it comes; the first ends as ever."""
    told = []

    def meddle(name):
        if len(told) < 40 and name != "before taking the lease":  # until then anybody may
            told.append(name)
            monkeypatch.setattr(faults, "checkpoint", lambda name: None)
            with pytest.raises(OutputHeld):
                ra.write_zarr(spectra(paths), out)
            monkeypatch.setattr(faults, "checkpoint", meddle)

    monkeypatch.setattr(faults, "checkpoint", meddle)
    with dask.config.set(scheduler="sync"):
        assert ra.write_zarr(spectra(paths), out).done == 32
    assert len(told) == 40
    nothing_temporary(out)


@pytest.mark.parametrize("at", [5, 30, 45, 70])
def test_a_full_disk_passes_through_and_nothing_false_is_noted(paths, out, monkeypatch, at):
    calls = []

    def full(name):
        calls.append(name)
        if len(calls) >= at and name.startswith("before writing"):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(faults, "checkpoint", full)
    with dask.config.set(scheduler="sync"), pytest.raises(OSError, match="No space left") as caught:
        ra.write_zarr(spectra(paths), out)
    assert caught.value.errno == errno.ENOSPC
    nothing_temporary(out)
    if out.exists():
        for first, stop, *_ in (record["done"] for record in noted(out)):
            assert all((out / "spectrogram" / f"c.{k}.0").exists() for k in range(first, stop))
    monkeypatch.undo()
    ra.write_zarr(spectra(paths), out)
    assert ra.open_zarr(out).values.tobytes() == spectra(paths).values.tobytes()


def test_a_place_that_cannot_be_written(paths, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Not a directory"):
        ra.write_zarr(spectra(paths), tmp_path / "file" / "out.zarr")


def test_an_error_of_a_block_leaves_the_others_noted(out):
    def broken(block, block_id):
        if block_id == (5,):
            raise ValueError("broken block")
        return block

    x = xr.DataArray(da.ones(80, chunks=10).map_blocks(broken, dtype="f8", meta=np.empty(0)), dims="time")
    with dask.config.set(scheduler="sync"), pytest.raises(ValueError, match="broken block"):
        ra.write_zarr(x, out)
    nothing_temporary(out)
    before, whole = len(noted(out)), xr.DataArray(da.ones(80, chunks=10), dims="time")
    assert ra.write_zarr(whole, out).skipped == before < 8


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (xr.DataArray(1.0), ra.RecordingError, "without dimensions"),
        (xr.DataArray(["a"], dims="time"), ra.RecordingError, "numbers were expected"),
        (xr.DataArray([1], dims="time", attrs={"scale_factor": 2}), ra.RecordingError, "scale_factor"),
        (xr.DataArray([1], dims="time", attrs={"thing": object()}), ra.RecordingError, "'thing'.* is a object"),
        (xr.DataArray([1], dims="time", coords={"c": ("time", [{}])}), ra.RecordingError, "coordinate 'c'"),
        (xr.DataArray([1], dims="time", name="clock"), ra.RecordingError, "'clock' is taken"),
        (xr.DataArray([1], dims="time", name="a/b"), ra.RecordingError, "'a/b' is taken"),
    ],
)
def test_what_cannot_be_stored(x, error, message, tmp_path):
    with pytest.raises(error, match=message):
        ra.write_zarr(x, tmp_path / "out.zarr")
    assert list(tmp_path.iterdir()) == []


def test_other_refusals(paths, out):
    with pytest.raises(ra.RecordingError, match="encoding='float16' was given"):
        ra.write_zarr(spectra(paths), out, encoding="float16")
    with pytest.raises(ra.RecordingError, match="encoding='float32' of complex64"):
        ra.write_zarr(ra.stft(recorded(paths), nfft=64), out, encoding="float32")
    with pytest.raises(ra.RecordingError, match="local or mounted"):
        ra.write_zarr(spectra(paths), "s3://bucket/out.zarr")


def test_stores_that_are_not_ours_are_not_opened(tmp_path):
    xr.Dataset({"a": ("x", [1])}).to_zarr(tmp_path / "a.zarr", consolidated=False)
    with pytest.raises(ra.FormatError, match=r"no mark of write_zarr.*'a'"):
        ra.open_zarr(tmp_path / "a.zarr")
    with pytest.raises(FileNotFoundError):
        ra.open_zarr(tmp_path / "nothing.zarr")


def test_float32_rounds(paths, out):
    x = spectra(paths, dtype="float64")
    ra.write_zarr(x, out, encoding="float32")
    assert ra.open_zarr(out).dtype == np.float32
    assert (ra.open_zarr(out).values == x.values.astype("f4")).all()


# ---- schedulers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
def test_any_local_scheduler(paths, out, tmp_path, scheduler):
    with dask.config.set(scheduler=scheduler, num_workers=2):
        ra.write_zarr(spectra(paths, block=128), out)
    ra.write_zarr(spectra(paths, block=128), tmp_path / "whole.zarr")
    assert content(out) == content(tmp_path / "whole.zarr")


def test_a_cluster_writes_and_the_client_sees_bytes_only(paths, out, tmp_path):
    from distributed import Client

    x = spectra(paths, block=2)
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None) as client:
        report = ra.write_zarr(x, out)
        assert report.done == report.total == x.data.numblocks[0]
        for _ in range(200):  # a future is released by a message, some time after its last reference went
            if not client.futures:
                break
            time.sleep(0.02)
        assert not client.futures
        assert ra.write_zarr(x, out).skipped == report.total
    ra.write_zarr(x, tmp_path / "whole.zarr")
    assert content(out) == content(tmp_path / "whole.zarr")


def test_tasks_are_one_a_block_and_have_a_name(paths, out):
    from dask.callbacks import Callback

    x, keys = spectra(paths), []
    with Callback(pretask=lambda key, dsk, state: keys.append(key)):
        ra.write_zarr(x, out)
    assert len(keys) == x.data.numblocks[0]
    assert {key[0].rpartition("-")[0] for key in keys} == {"write-zarr"}


def test_blocks_of_the_fill_value_are_written_without_a_change_of_global_settings(paths, out, monkeypatch):
    """Threads open the array at the same time, and zarr's settings are those of all of them."""

    def refused(*args, **options):
        raise AssertionError("zarr.config.set is for the whole process")

    monkeypatch.setattr(zarr.config, "set", refused)
    ra.write_zarr(xr.DataArray(da.zeros(40, chunks=10, dtype="i4"), dims="time", name="zeros"), out)
    assert len([f for f in (out / "zeros").rglob("*") if f.is_file() and f.name != "zarr.json"]) == 4
