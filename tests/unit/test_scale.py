"""A year of files: what is opened, read and held, counted in files, tasks and bytes."""

from __future__ import annotations

import os
import re
import struct
import sys
import tracemalloc
import wave
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cloudpickle
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


def synthetic(files: int, *, rate: int = RATE, frames: int = FRAMES, every_ms: int = 3_600_000) -> pd.DataFrame:
    """A catalog of files that are not there."""
    start = np.datetime64("2012-01-01", "ns") + np.arange(files) * np.timedelta64(every_ms, "ms")
    return pd.DataFrame(
        {
            "path": [f"/deployment/{k:08d}.wav" for k in range(files)],
            "format": "wav",
            "start": start,
            "stop": start + np.timedelta64(frames * 10**9 // rate, "ns"),
            "samples": np.full(files, frames),
            "rate": float(rate),
            "channels": 1,
            "subtype": "PCM_16",
            "bytes": np.full(files, 44 + 2 * frames),
            "modified": np.zeros(files, np.int64),
            "anomaly": "",
            "use": True,
            "start_source": "name",
            "exact_rate": str(rate),
            "shape": [(frames,)] * files,
            "dtype": "int16",
            "scale": 2.0**-15,
            "offset": 0.0,
            "units": "1",
            "layout": [("<i2", 44, 1)] * files,
            "metadata": [{}] * files,
            "iq": False,
            "center_frequency": np.nan,
            "breaks": [()] * files,
        }
    )


def test_a_second_scan_opens_nothing_but_what_it_kept(year, tmp_path):
    ra.scan(year, cache=tmp_path / "kept.json")
    with counted_opens() as opened:
        table = ra.scan(year, cache=tmp_path / "kept.json")
    assert len(table) == table.attrs["headers_cached"] == FILES
    assert [Path(name).name for name in opened if name.startswith((str(year), str(tmp_path)))] == ["kept.json"]


def test_a_saved_catalog_is_all_that_a_day_is_planned_from(year, catalog, tmp_path, monkeypatch):
    ra.catalog.save(catalog, tmp_path / "catalog.json")
    asked: list[str] = []
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda path, *rest, **more: asked.append(str(path)) or stat(path, *rest, **more))
    with counted_opens() as opened:
        x = ra.open_recordings(ra.catalog.load(tmp_path / "catalog.json"))
        s = ra.spectrogram(x.sel(time="2022-06-01"), nfft=1024)
        minutes = ra.power_spectrum(x, nfft=1024, every="60s")
    touched = [name for name in (*opened, *asked) if name.startswith((str(year), str(tmp_path)))]
    assert touched == [str(tmp_path / "catalog.json")]
    assert s.sizes["time"] == 24 * ((FRAMES - 1024) // 512 + 1)
    assert minutes.sizes["time"] == FILES * 60


def test_the_graph_of_a_day_holds_that_day_and_nothing_else(catalog):
    x = ra.open_recordings(catalog)
    day = x.sel(time="2022-06-01")
    for result in (ra.spectrogram(day, nfft=1024), ra.power_spectrum(day, nfft=1024, every="60s")):
        (optimised,) = dask.optimize(result.data)
        graph_of_day = dict(optimised.__dask_graph__())
        assert tasks(result.data) == result.data.npartitions
        files = set(re.findall(rb"deep_\d{8}_\d{6}\.wav", cloudpickle.dumps(graph_of_day)))
        assert files == {f"deep_20220601_{hour:02}0000.wav".encode() for hour in range(24)}


def test_a_year_at_384_khz_is_planned_in_little_memory():
    """1.2e13 samples: 700,000 blocks of one layer, of which a day takes its own."""
    rate, frames = 384_000, 3600 * 384_000
    table = synthetic(FILES, rate=rate, frames=frames)
    ra.spectrogram(ra.recording(np.zeros(2048), rate=RATE), nfft=1024)  # imports what it needs
    with held() as opening:
        x = ra.open_recordings(table)
    assert opening["now"] < 50 * MEGABYTE
    assert opening["most"] < 60 * MEGABYTE
    assert x.data.npartitions > 700_000
    assert len(x.data.dask.layers) == 1
    assert clock_of(x).gaps == 0
    day = x.sel(time="2012-06-01")
    s = ra.spectrogram(day, nfft=1024)
    assert day.sizes["time"] == 24 * frames
    assert tasks(s.data) == s.data.npartitions < 8000
    with held() as averaging:
        minutes = ra.power_spectrum(x, nfft=1024, every="60s")
    assert minutes.sizes["time"] == FILES * 60
    assert averaging["most"] < 150 * MEGABYTE


def test_thousands_of_tiny_files_are_a_handful_of_tasks():
    x = ra.open_recordings(synthetic(20_000, frames=RATE // 10, every_ms=100))
    assert x.sizes["time"] == 2000 * RATE
    assert clock_of(x).gaps == 0
    minutes = ra.power_spectrum(x, nfft=1024, every="60s")
    assert minutes.sizes["time"] == 34
    assert tasks(minutes.data) <= minutes.data.npartitions < 20
    assert tasks(x.data) == x.data.npartitions < 30


def test_tiny_files_are_opened_by_the_blocks_that_need_them(tmp_path):
    """A file is opened once for each block that its samples, or the windows over its end, belong to."""
    for k in range(600):
        time = str(np.datetime64("2022-03-01T00:00:00.000") + np.timedelta64(100 * k, "ms"))
        with wave.open(str(tmp_path / f"{time.translate({45: None, 58: None, 84: '_', 46: '_'})}.wav"), "wb") as file:
            file.setparams((1, 2, 1000, 0, "NONE", ""))
            file.writeframes(np.full(100, k, "<i2").tobytes())
    x = ra.open_recordings(tmp_path, timestamp="%Y%m%d_%H%M%S_%f", cache=False)
    spectra = ra.power_spectrum(x, nfft=64, every="10s", block=2)
    with counted_opens() as opened, dask.config.set(scheduler="sync"):
        spectra.compute()
    each = Counter(name for name in opened if name.endswith(".wav"))
    assert len(each) == 600
    assert sum(each.values()) <= 600 + 2 * spectra.data.npartitions
    assert max(each.values()) <= 2


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


def test_minutes_of_a_year_are_blocks_of_hours_and_those_of_an_hour_of_minutes():
    """Tasks of seconds, and files that are worth opening, where there are very many; work for all threads elsewhere."""
    rate = 48_000
    year = ra.open_recordings(synthetic(FILES, rate=rate, frames=3600 * rate))
    minutes = ra.power_spectrum(year, nfft=1024, every="60s")
    assert 1000 < minutes.data.npartitions < 4000
    hour = ra.power_spectrum(year[: 3600 * rate], nfft=1024, every="60s")
    assert 16 <= hour.data.npartitions <= 60
