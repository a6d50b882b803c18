"""Tables as Dask arrays: one layer, one task a block, exactly the samples that are needed, and the way back."""

from __future__ import annotations

import itertools
import pickle
from collections import Counter
from pathlib import Path

import counting
import dask
import dask.array as da
import numpy as np
import pytest
from dask._task_spec import Alias
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import reelarray as ra
from reelarray import graph
from reelarray.errors import ChunkError
from reelarray.table import Kind, SourceTable

SHARED_TMP = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.fixture
def read(monkeypatch):
    """What is read of the files of the counting format."""
    with counting.registered(monkeypatch) as found, dask.config.set(scheduler="sync"):
        yield found


def opened(folder: Path, seconds, frames=1000, **options):
    folder.mkdir(exist_ok=True)
    counting.write_files(folder, seconds, frames)
    return ra.open_recordings(folder, format="counting", cache=False, **options)


def truth(x) -> np.ndarray:
    """The samples of all files, from their names."""
    table = graph.rows(x)
    parts = [counting.value_of(p, np.arange(n)) for p, n in zip(table.path, table.frames, strict=True)]
    return np.concatenate(parts).astype("f4") * np.float32(2.0**-15)


def channels_table(files: int = 3, frames: int = 50, channels: int = 4) -> SourceTable:
    """A table that is never read."""
    paths = [f"/nowhere/{k}.wav" for k in range(files)]
    sizes = [frames] * files
    kind = Kind("wav", "int16", 2.0**-15, 0.0, (44,))
    return SourceTable.of_files(paths, [kind] * files, sizes, sizes, sizes, shape=(channels,), dtype="float32")


def tasks(array) -> list:
    """What the scheduler is given for an array, without aliases."""
    (optimised,) = dask.optimize(array)
    return [task for task in dict(optimised.__dask_graph__()).values() if not isinstance(task, Alias)]


# ---- rows: the way back ----------------------------------------------------------------------------------------------


def same_table(a: SourceTable, b: SourceTable) -> bool:
    return dask.base.tokenize(a) == dask.base.tokenize(b)


def test_an_array_gives_its_table_back():
    table = channels_table()
    assert same_table(graph.rows(graph.read_array(table, 7)), table)
    assert same_table(graph.rows(graph.read_array(table, (100, 50))), table)
    assert same_table(graph.rows(pickle.loads(pickle.dumps(graph.read_array(table, 7)))), table)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 150), st.integers(0, 150)).map(sorted), max_size=4),
    st.integers(1, 60),
    st.integers(0, 5),
)
def test_any_chain_of_slices_gives_the_table_of_what_is_left(cuts, chunk, at):
    table = channels_table()
    array, expected = graph.read_array(table, chunk), table
    for k, (low, high) in enumerate(cuts):
        low, high = min(low, len(array)), min(high, len(array))
        array, expected = array[low:high], expected.select(low, high)
        if k == at % 4:
            array, expected = array[:, 1:3], expected.pick([1, 2])
            array, expected = array[:, 1], expected.pick(1)
            break
    found = graph.rows(array)
    assert found is not None
    assert same_table(found, expected)


@pytest.mark.parametrize(
    ("choose", "channels", "shape"),
    [
        (lambda a: a[:, 2], 2, ()),
        (lambda a: a[:, -1], 3, ()),
        (lambda a: a[:, 1:3], (1, 2), (2,)),
        (lambda a: a[:, ::2], (0, 2), (2,)),
        (lambda a: a[10:30, ::2][5:, 1], 2, ()),
        (lambda a: a[:, 2:][:, 0], 2, ()),
    ],
)
def test_channel_choices_are_followed(choose, channels, shape):
    array = choose(graph.read_array(channels_table(), 40))
    table = graph.rows(array)
    assert table is not None
    assert (table.channels, table.shape) == (channels, shape)
    assert (table.size, *table.shape) == array.shape


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a * 2,
        lambda a: a.rechunk(13),
        lambda a: a[::2],
        lambda a: a[::-1],
        lambda a: a[[3, 9]],
        lambda a: a[a[:, 0] > 0],
        lambda a: da.concatenate([a, a]),
        lambda a: a.astype("float64"),
        lambda a: a.T,
        lambda a: a[:, None],
        lambda a: da.zeros((9, 4), chunks=3),
        lambda a: da.from_array(np.zeros((9, 4)), chunks=3)[2:5],
        lambda a: a.map_blocks(np.abs)[2:9],
        lambda a: np.zeros(3),
        lambda a: a.to_delayed(),
    ],
)
def test_anything_else_has_no_table(change):
    assert graph.rows(change(graph.read_array(channels_table(), 40))) is None


def test_a_persisted_array_has_no_table(read, tmp_path):
    x = opened(tmp_path, [0, 1], chunks=300)
    assert graph.rows(x) is not None
    assert graph.rows(x.persist()) is None
    assert graph.rows(x[100:900].compute()) is None


def test_rows_of_a_recording_after_selections(read, tmp_path):
    x = opened(tmp_path, [0, 1, 5], chunks=300)
    day = x.sel(time=slice("2022-03-01T00:00:00.5", "2022-03-01T00:00:05.5"))
    table = graph.rows(day.data)
    assert (table.size, table.start.tolist()) == (day.sizes["time"], [500, 0, 0])
    assert graph.rows(day * 2) is None
    assert read == []


# ---- one layer -------------------------------------------------------------------------------------------------------


def test_ten_thousand_files_are_one_layer_and_slices_stay_small():
    n = 10_000
    kind = Kind("wav", "int16", 2.0**-15, 0.0, (44,))
    paths = [f"/deployment/2022/{k:08d}.wav" for k in range(n)]
    table = SourceTable.of_files(paths, [kind] * n, [10**6] * n, [0] * n, [0] * n, shape=(), dtype="float32")
    array = graph.read_array(table, 4 * 2**20)
    assert len(array.dask.layers) == 1
    assert len(pickle.dumps(array)) < 3 * 2**20
    part = array[5 * 10**9 : 5 * 10**9 + 10**6]
    assert len(dict(dask.optimize(part)[0].__dask_graph__())) <= 4
    assert graph.rows(part).size == 10**6


def test_names_are_readable_and_do_not_change():
    a, b = graph.read_array(channels_table(), 40), graph.read_array(channels_table(), 40)
    assert a.name == b.name
    assert a.name.startswith("read-")
    assert a.name != graph.read_array(channels_table(), 41).name
    assert a.name != graph.read_array(channels_table(frames=51), 40).name
    assert graph.read_array(channels_table().gained(2.0), 40).name != a.name


def test_chunks_that_do_not_add_up_are_refused():
    with pytest.raises(ChunkError, match="149 samples in all were given for 150"):
        graph.read_array(channels_table(), (100, 49))
    with pytest.raises(ChunkError, match="at least one sample"):
        graph.read_array(channels_table(), 0)


# ---- what is read ----------------------------------------------------------------------------------------------------

TRANSFORMS = {
    "spectrogram": lambda x: ra.spectrogram(x, nfft=64, hop=16, block=40),
    "stft": lambda x: ra.stft(x, nfft=64, hop=64, block=7),
    "power_spectrum": lambda x: ra.power_spectrum(x, nfft=64, every="700ms", block=2),
    "average": lambda x: ra.average(x, every="250ms", block=3),
    "average of rows": lambda x: ra.average(x, every=13, block=9),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_building_reads_nothing_and_calls_no_kernel(transform, read, tmp_path):
    x = opened(tmp_path, [0, 1, 2, 5, 9], chunks=700)
    probed = len(counting.PROBED)
    made = TRANSFORMS[transform](x[300:3700])
    repr(made), made._repr_html_(), made.sel(time=slice("2022-03-01T00:00:01", None)), made * 2
    assert read == []
    assert len(counting.PROBED) == probed == 5


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_each_block_is_one_fused_task_also_after_slices_and_arithmetic(transform, read, tmp_path):
    x = opened(tmp_path, [0, 1, 2, 5, 9], chunks=700)
    made = TRANSFORMS[transform](x[300:3700])
    assert len(tasks(made.data)) == made.data.npartitions
    assert len(tasks((np.log10(made.data + 1)) * 10)) == made.data.npartitions
    assert read == []


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_each_block_reads_only_its_samples_and_opens_each_file_once(transform, read, tmp_path):
    x = opened(tmp_path, [0, 1, 2, 5, 9], chunks=700)
    part = x[300:3700]
    made = TRANSFORMS[transform](part).data
    for k in range(made.npartitions):
        read.clear()
        made.blocks[k].compute()
        found = counting.ranges(read)
        assert all(len(each) == 1 for each in found.values()), "one range of each file"
    read.clear()
    made.compute()
    seen = counting.times_read(read)
    overlap = made.npartitions * 64
    assert sum(seen.values()) - len(seen) <= overlap, "blocks read again only what their windows share"
    assert len(seen) <= 3400
    first, last = graph.rows(part.data).path[[0, -1]]
    assert min(frame for path, frame in seen if path == first) >= 300
    assert max(frame for path, frame in seen if path == last) < 700


def test_windows_over_file_borders_read_the_end_of_one_and_the_start_of_the_next(read, tmp_path):
    x = opened(tmp_path, [0, 1, 5])
    s = ra.spectrogram(x, nfft=100, hop=100, block=1)
    wanted = s.sel(time=slice("2022-03-01T00:00:00.95", "2022-03-01T00:00:01.05"))
    wanted.compute()
    assert counting.ranges(read) == {"20220301_000000.count": [(900, 1000)], "20220301_000001.count": [(0, 100)]}
    read.clear()
    across = ra.spectrogram(x[950:1050], nfft=100, hop=100)
    across.compute()
    assert counting.ranges(read) == {"20220301_000000.count": [(950, 1000)], "20220301_000001.count": [(0, 50)]}


def test_a_window_never_reads_across_a_gap(read, tmp_path):
    x = opened(tmp_path, [0, 5], 1000)
    s = ra.spectrogram(x, nfft=300, hop=300, block=1)
    assert s.sizes["time"] == 6
    s.compute()
    assert counting.ranges(read) == {
        "20220301_000000.count": [(0, 300), (300, 600), (600, 900)],
        "20220301_000005.count": [(0, 300), (300, 600), (600, 900)],
    }


@settings(max_examples=60, deadline=None, suppress_health_check=SHARED_TMP)
@given(
    cuts=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 4000)).map(sorted), min_size=1, max_size=3),
    chunk=st.integers(50, 5000),
)
def test_random_slices_hold_the_right_samples_and_read_no_chunk_beside_them(read, tmp_path, cuts, chunk):
    x = opened(tmp_path / "files", [0, 1, 5, 7], chunks=chunk)
    values = truth(x)
    for low, high in cuts:
        x, values = x[low:high], values[low:high]
    read.clear()
    assert x.values.tobytes() == values.tobytes()
    assert set(counting.times_read(read).values()) <= {1}
    assert sum(stop - start for _, start, stop, _ in read) < len(values) + 2 * chunk


@settings(max_examples=40, deadline=None, suppress_health_check=SHARED_TMP)
@given(
    cut=st.tuples(st.integers(0, 4000), st.integers(0, 4000)).map(sorted),
    length=st.integers(1, 130),
    hop=st.integers(1, 200),
    block=st.integers(1, 50),
)
def test_random_windows_read_each_range_that_a_block_needs_and_no_more(read, tmp_path, cut, length, hop, block):
    x = opened(tmp_path / "files", [0, 1, 5, 7])[slice(*cut)]
    if not any(n >= length for n in stretches(x)):
        return
    made = ra.spectrogram(x, nfft=length, hop=hop, window="boxcar", block=block).data
    firsts = [a for n, a in zip(stretches(x), starts(x), strict=True) for a in range(a, a + n - length + 1, hop)]
    edges = np.append(np.cumsum((0, *made.chunks[0])), made.shape[0])
    for k, (low, high) in enumerate(itertools.pairwise(edges[:-1].tolist())):
        read.clear()
        made.blocks[k].compute()
        total = sum(stop - start for _, start, stop, _ in read)
        wanted = Counter(row for first in firsts[low:high] for row in range(first, first + length))
        least, most = len(wanted), max(wanted) + 1 - min(wanted)
        assert least <= total <= most


def stretches(x) -> list[int]:
    from reelarray.recordings import clock

    return (clock(x).stops - clock(x).first).tolist()


def starts(x) -> list[int]:
    from reelarray.recordings import clock

    return clock(x).first.tolist()


def test_a_slice_after_the_transform_runs_only_its_blocks(read, tmp_path):
    x = opened(tmp_path, [0, 1, 2, 3])
    s = ra.spectrogram(x, nfft=100, hop=100, block=10)
    s.sel(time=slice("2022-03-01T00:00:02", "2022-03-01T00:00:02.5")).compute()
    assert set(counting.ranges(read)) == {"20220301_000002.count"}


def test_gains_and_channels_do_not_add_tasks(read, tmp_path):
    x = opened(tmp_path, [0, 1, 5], sensitivity=-170.0, gain_db=12.0)
    assert len(tasks(x.data)) == x.data.npartitions
    assert len(tasks(ra.spectrogram(x, nfft=64, block=5).data)) == -(-(61 + 30) // 5)
    assert read == []


def test_other_dask_arrays_are_not_rechunked_and_blocks_follow_theirs():
    data = da.zeros(3000, chunks=(700, 5, 995, 1300))
    x = ra.recording(data, rate=1000, units="V")
    s = ra.spectrogram(x, nfft=64, hop=16)
    assert s.data.npartitions == 4
    assert sum(s.chunks[0]) == (3000 - 64) // 16 + 1
    assert not any("rechunk" in str(layer) for layer in s.data.dask.layers)
