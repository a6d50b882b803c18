"""xarray's engine: the same recording as `open_recording`, read as lazily."""

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
from reelarray.engine import ReelarrayBackend
from reelarray.errors import RecordingError
from reelarray.recordings import clock as clock_of
from reelarray.table import SourceTable
from reelarray.timeindex import ClockIndex

RATE = 1000


def counts(seed: int, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(-30_000, 30_000, (RATE, channels)).astype(np.int16)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    for k, second in enumerate((0, 1, 5)):
        wavfile.write(folder / f"20220301_00000{second}.wav", RATE, counts(k))
    return folder


@pytest.fixture
def read(monkeypatch) -> list[tuple[int, int]]:
    """Ranges that are read of tables."""
    found: list[tuple[int, int]] = []
    real = SourceTable.read

    def counted(self, start=0, stop=None):
        found.append((start, self.size if stop is None else stop))
        return real(self, start, stop)

    monkeypatch.setattr(SourceTable, "read", counted)
    return found


def test_the_engine_gives_what_open_recording_gives(files):
    path = files / "20220301_000001.wav"
    x = ra.open_recording(path)
    with xr.open_dataset(path, engine="reelarray", chunks={}) as dataset:
        assert list(dataset) == ["samples"]
        assert dataset["samples"].identical(x)
        assert dataset["samples"].chunks == x.chunks
        assert isinstance(dataset.xindexes["time"], ClockIndex)
        assert ra.rate(dataset["samples"]) == RATE
        assert ra.segments(dataset["samples"]).equals(ra.segments(x))


def test_a_pattern_and_options_give_what_open_recordings_gives(files):
    options = {"timestamp": "%Y%m%d_%H%M%S", "channel": 1, "chunks": 700, "begin": "2022-03-01T00:00:00.5"}
    x = ra.open_recordings(str(files / "*.wav"), **options)
    dataset = xr.open_dataset(str(files / "*.wav"), engine="reelarray", chunks={}, options=options)
    assert dataset["samples"].identical(x)
    assert dataset["samples"].chunks == x.chunks
    assert dataset["samples"].sel(time="2022-03-01T00:00:05").sizes["time"] == 1000


@pytest.mark.filterwarnings("ignore:The specified chunks separate")
@pytest.mark.parametrize("chunks", [None, {}, {"time": 333}, "auto", -1])
def test_any_chunks_give_the_same_samples_and_spectra(chunks, files):
    x = ra.open_recordings(str(files / "*.wav"))
    y = xr.open_dataset(str(files / "*.wav"), engine="reelarray", chunks=chunks)["samples"]
    assert (y.chunks is None) == (chunks is None)
    assert y.values.tobytes() == x.values.tobytes()
    one = ra.spectrogram(x, nfft=64, hop=24)
    two = ra.spectrogram(
        xr.open_dataset(str(files / "*.wav"), engine="reelarray", chunks=chunks)["samples"], nfft=64, hop=24
    )
    assert one.values.tobytes() == two.values.tobytes()
    assert one["time"].equals(two["time"])


def test_a_file_is_recognised_by_its_suffix(files):
    path = files / "20220301_000000.wav"
    assert xr.open_dataset(path)["samples"].shape == (1000, 2)
    backend = ReelarrayBackend()
    assert [backend.guess_can_open(p) for p in ("a.WAV", Path("a.flac"), "a.nc", "a.zarr", b"RIFF", None)] == [
        True, True, False, False, False, False,
    ]  # fmt: skip


def test_opening_reads_no_sample_and_a_slice_reads_its_own(files, read):
    x = xr.open_dataset(files / "20220301_000000.wav", engine="reelarray")["samples"]
    repr(x), x._repr_html_(), x.isel(time=slice(100, 300))["time"].values
    assert read == []
    assert x.isel(time=slice(100, 300)).values.tobytes() == (counts(0)[100:300] * np.float32(2.0**-15)).tobytes()
    assert read == [(100, 300)]
    x.isel(time=5, channel=1).values  # noqa: B018
    assert read[1:] == [(5, 6)]


def begins_inside(key: slice) -> bool:
    """xarray's own lazy arrays read a slice that goes back from before the first row as if from the last."""
    return key.step > 0 or key.start is None or key.start >= -1000


slices = st.builds(slice, *(st.none() | st.integers(-1100, 1100) for _ in range(2)), st.integers(-9, 9).filter(bool))
row_keys = (
    st.integers(-1000, 999)
    | slices.filter(begins_inside)
    | st.lists(st.integers(-1000, 999), max_size=5)
)  # fmt: skip
channel_keys = st.sampled_from([0, -1, slice(None), slice(1, None), slice(None, None, -1), [1, 0], [1]])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=row_keys, channels=channel_keys)
def test_any_index_reads_what_numpy_would_give(files, rows, channels):
    x = xr.open_dataset(files / "20220301_000000.wav", engine="reelarray", cache=False)["samples"]
    expected = xr.Variable(("time", "channel"), counts(0) * np.float32(2.0**-15)).isel(time=rows, channel=channels)
    got = x.isel(time=rows, channel=channels)
    assert got.dims == expected.dims
    np.testing.assert_array_equal(got.values, expected.values)


def test_datasets_pickle_and_variables_can_be_dropped(files):
    path = files / "20220301_000000.wav"
    dataset = xr.open_dataset(path, engine="reelarray")
    assert pickle.loads(pickle.dumps(dataset)).identical(dataset)
    assert list(xr.open_dataset(path, engine="reelarray", drop_variables="samples")) == []
    assert "channel" not in xr.open_dataset(path, engine="reelarray", drop_variables=["channel"]).coords


def test_many_files_open_through_open_mfdataset_too(files):
    paths = sorted(files.glob("*.wav"))
    dataset = xr.open_mfdataset(
        paths, engine="reelarray", combine="nested", concat_dim="time", data_vars="all", join="outer"
    )
    whole = ra.open_recordings(files)
    assert dataset["samples"].values.tobytes() == whole.values.tobytes()
    assert clock_of(dataset["samples"]) == clock_of(whole)


@pytest.mark.filterwarnings("ignore:The specified chunks separate")
def test_transforms_go_on_from_a_dataset(files):
    with dask.config.set(scheduler="sync"):
        x = xr.open_dataset(str(files / "*.wav"), engine="reelarray", chunks={"time": 400})["samples"]
        made = x.pipe(ra.power_spectrum, nfft=64, every="1s").sel(time="2022-03-01T00:00:05")
        memory = ra.open_recordings(files).compute()
        assert made.compute().identical(ra.power_spectrum(memory, nfft=64, every="1s").sel(time="2022-03-01T00:00:05"))


def test_what_cannot_be_opened_says_why(files):
    with (
        pytest.raises(RecordingError, match="a path or URL was expected"),
        open(files / "20220301_000000.wav", "rb") as file,
    ):
        ReelarrayBackend().open_dataset(file)
    with pytest.raises(FileNotFoundError, match=r"gone\.wav"):
        xr.open_dataset(files / "gone.wav", engine="reelarray")
    with pytest.raises(TypeError, match="timestamps"):
        xr.open_dataset(files / "20220301_000000.wav", engine="reelarray", timestamps="%Y")
