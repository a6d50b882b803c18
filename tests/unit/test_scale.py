"""A year of files: what is opened, read and held, counted in files, tasks and bytes."""

from __future__ import annotations

import struct
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import numpy as np
import pandas as pd
import pytest
from dask._task_spec import Alias

import reelarray as ra
from reelarray import graph
from reelarray.recordings import clock as clock_of

RATE = 48_000
FILES = 8760
FRAMES = 3590 * RATE
MEGABYTE = 10**6

_opened: list[str] | None = None


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if _opened is not None and event == "open":
        _opened.append(str(arguments[0]))


sys.addaudithook(_note)  # every open of this process, by whatever means; it cannot be taken away, so it has a switch


@contextmanager
def counted_opens() -> Iterator[list[str]]:
    global _opened
    _opened = []
    try:
        yield _opened
    finally:
        _opened = None


@contextmanager
def held() -> Iterator[dict[str, int]]:
    """Bytes that are held at the end, and at most on the way."""
    found: dict[str, int] = {}
    tracemalloc.start()
    try:
        yield found
        found["now"], found["most"] = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()


def tasks(array) -> int:
    (optimised,) = dask.optimize(array)
    return sum(not isinstance(task, Alias) for task in dict(optimised.__dask_graph__()).values())


@pytest.fixture(scope="module")
def year(tmp_path_factory) -> Path:
    """8,760 sparse files of 3590 s, 48 kHz, 16 bits, one an hour: a header each, and no block on the disk."""
    folder = tmp_path_factory.mktemp("year")
    size = 2 * FRAMES
    fmt = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    header = (
        b"RIFF"
        + struct.pack("<I", size + 36)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + fmt
        + b"data"
        + struct.pack("<I", size)
    )
    start = np.datetime64("2022-01-01T00:00:00")
    for hour in range(FILES):
        time = str(start + np.timedelta64(hour, "h")).translate({45: None, 58: None, 84: "_"})
        with open(folder / f"deep_{time}.wav", "wb") as file:
            file.write(header)
            try:
                file.truncate(44 + size)
            except OSError:
                pytest.skip("the file system has no sparse files of this size")
    return folder


@pytest.fixture(scope="module")
def catalog(year) -> pd.DataFrame:
    return ra.scan(year, cache=False)


def test_a_scan_reads_each_header_once_and_little_of_it(year):
    with counted_opens() as opened:
        read_before = bytes_read()
        table = ra.scan(year, cache=False)
        assert bytes_read() - read_before < FILES * 8192 + MEGABYTE
    each = Counter(name for name in opened if name.endswith(".wav"))
    assert len(each) == FILES
    assert set(each.values()) == {1}
    assert len(table) == FILES
    assert (table["anomaly"] == "").all()


def bytes_read() -> int:
    counters = Path("/proc/self/io")
    if not counters.exists():
        pytest.skip("the system does not count what a process reads")
    return int(counters.read_text().split("rchar:")[1].split()[0])


def test_a_year_is_opened_sliced_and_transformed_without_opening_a_file(catalog):
    ra.spectrogram(ra.recording(np.zeros(2048), rate=RATE), nfft=1024)  # imports what it needs
    with counted_opens() as opened, held() as memory:
        x = ra.open_recordings(catalog)
        day = x.sel(time="2022-06-01")
        s = ra.spectrogram(day, nfft=1024, hop=512)
        repr(x), repr(day), repr(s), x._repr_html_(), ra.segments(day)
    assert [name for name in opened if name.endswith(".wav")] == []
    assert memory["now"] < 30 * MEGABYTE
    assert memory["most"] < 100 * MEGABYTE
    assert x.sizes["time"] == FILES * FRAMES
    assert clock_of(x).gaps == FILES - 1
    assert day.sizes["time"] == 24 * FRAMES
    assert s.sizes["time"] == 24 * ((FRAMES - 1024) // 512 + 1)
    assert len(x.data.dask.layers) == 1
    assert tasks(s.data) == s.data.npartitions < 2000
    assert clock_of(day).gaps == 23


def test_an_hour_of_a_year_opens_the_files_of_that_hour_only(catalog):
    x = ra.open_recordings(catalog)
    hour = x.sel(time=slice("2022-06-01T12:59:40", "2022-06-01T13:00:05"))
    s = ra.spectrogram(hour, nfft=4096, hop=4096)
    with counted_opens() as opened, dask.config.set(scheduler="sync"):
        assert (s.values == 0).all()
    names = Counter(Path(name).name for name in opened if name.endswith(".wav"))
    assert set(names) == {"deep_20220601_120000.wav", "deep_20220601_130000.wav"}


def test_begin_and_end_cut_the_catalog_before_the_graph(catalog):
    part = ra.open_recordings(catalog, begin="2022-06-01", end="2022-06-02")
    assert len(graph.rows(part).path) == 24
    assert clock_of(part) == clock_of(ra.open_recordings(catalog).sel(time="2022-06-01"))


def test_averages_of_a_year_are_planned_in_little_memory(catalog):
    x = ra.open_recordings(catalog)
    with held() as memory:
        minutes = ra.power_spectrum(x, nfft=1024, every="60s")
    assert minutes.sizes["time"] == FILES * 60
    assert (minutes["count"].values > 4000).all()
    assert memory["most"] < 100 * MEGABYTE


def synthetic(files: int) -> pd.DataFrame:
    """A catalog of files that are not there."""
    start = np.datetime64("2012-01-01", "ns") + np.arange(files) * np.timedelta64(3600, "s")
    return pd.DataFrame(
        {
            "path": [f"/deployment/{k:08d}.wav" for k in range(files)],
            "format": "wav",
            "start": start,
            "stop": start + np.timedelta64(3590, "s"),
            "samples": np.full(files, FRAMES),
            "rate": float(RATE),
            "channels": 1,
            "subtype": "PCM_16",
            "bytes": np.full(files, 44 + 2 * FRAMES),
            "modified": np.zeros(files, np.int64),
            "anomaly": "",
            "use": True,
            "start_source": "name",
            "exact_rate": str(RATE),
            "shape": [(FRAMES,)] * files,
            "dtype": "int16",
            "scale": 2.0**-15,
            "offset": 0.0,
            "units": "1",
            "layout": [(44, "<i2", 1)] * files,
            "metadata": [{}] * files,
        }
    )


def test_a_hundred_thousand_files_are_one_layer():
    table = synthetic(100_000)
    ra.spectrogram(ra.recording(np.zeros(2048), rate=RATE), nfft=1024)
    with held() as memory:
        x = ra.open_recordings(table)
        s = ra.spectrogram(x.sel(time="2022-06-01"), nfft=1024, hop=512)
    assert x.sizes["time"] == 100_000 * FRAMES
    assert len(x.data.dask.layers) == 1
    assert tasks(s.data) == s.data.npartitions < 2000
    assert memory["now"] < 200 * MEGABYTE
    assert memory["most"] < 300 * MEGABYTE


def test_work_for_a_file_does_not_grow_with_their_number():
    """Twice the files take twice the calls, not four times: counted in Python's own function calls."""

    def calls(files: int) -> int:
        table, count = synthetic(files), [0]

        def note(frame, event, argument):
            count[0] += event == "call"

        sys.setprofile(note)
        try:
            x = ra.open_recordings(table)
            ra.spectrogram(x.sel(time="2012-01-02"), nfft=1024)
        finally:
            sys.setprofile(None)
        return count[0]

    calls(100)
    few, many = calls(1000), calls(4000)
    assert many < 4.2 * few
    assert (many - few) / 3000 < 30, "calls for each file"
