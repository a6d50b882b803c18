"""Recordings whose instrument timed every frame: labels are these times, through slices, bounds and several files."""

from __future__ import annotations

import json
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import reelarray as ra
from reelarray.demo.depth import make_session
from reelarray.errors import ClockError, FormatError, RecordingError

START = np.datetime64("2024-05-06T07:08:09.123456700")
SHAPE = (3, 4)


def write(folder: Path, ms: np.ndarray, *, start: str | None = "2024-05-06T07:08:09.1234567Z", first: int = 0) -> Path:
    """A recording of tiny frames whose values are the numbers of the frames."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = np.broadcast_to(np.arange(first, first + len(ms), dtype="<u2")[:, None, None], (len(ms), *SHAPE))
    (folder / "depth.dat").write_bytes(frames.tobytes())
    (folder / "depth_ts.txt").write_text("".join(f"{each!r} 0\n" for each in np.asarray(ms).tolist()))
    said = {"DepthResolution": [SHAPE[1], SHAPE[0]], **({"StartTime": start} if start else {})}
    (folder / "metadata.json").write_text(json.dumps(said))
    return folder / "depth.dat"


def times_of(count: int, seed: int = 0, gaps: tuple[int, ...] = ()) -> np.ndarray:
    """About 30 Hz with jitter, as text of four places, and two frames lost before each of `gaps`."""
    ms = 1000 + 100 / 3 * np.arange(count) + np.random.default_rng(seed).normal(0, 0.3, count)
    for frame in gaps:
        ms[frame:] += 200 / 3
    return ms.round(4)


def expected(ms: np.ndarray, start: np.datetime64 = START) -> np.ndarray:
    return start + np.rint((ms - ms[0]) * 1e6).astype("m8[ns]")


def check(x: xr.DataArray, ms: np.ndarray, part: np.ndarray, labels: np.ndarray) -> None:
    """Frames, labels and the camera's own times are those of one and the same frames."""
    np.testing.assert_array_equal(x["time"].values, labels[part])
    np.testing.assert_array_equal(x["timestamps"].values, ms[part])
    assert x["timestamps"].dims == ("time",)
    np.testing.assert_array_equal(x.values[:, 0, 0], part)


def gaps_of(x: xr.DataArray) -> list[int]:
    """Numbers of the frames after a gap."""
    table = ra.segments(x)
    starts = np.searchsorted(x["time"].values, table["start"].to_numpy())
    return starts[~table["joined"].to_numpy()].tolist()


def test_every_label_is_the_time_of_its_frame(tmp_path):
    truth = make_session(tmp_path, frames=40, shape=(53, 64), dropped=2)
    said = np.loadtxt(tmp_path / "depth_ts.txt")[:, 0]
    x = ra.open_recording(tmp_path / "depth.dat", cache=False)
    np.testing.assert_array_equal(x["time"].values, expected(said))
    assert x["time"].dtype == "M8[ns]"
    np.testing.assert_array_equal(x["timestamps"].values, said)
    np.testing.assert_allclose(said, truth["ts"], atol=1e-4)
    assert x["timestamps"].attrs["units"] == "ms"
    assert x["timestamps"].dtype == np.float64
    assert (x.dtype, x.attrs["units"]) == (np.uint16, "mm")
    assert float(ra.rate(x)) == 30
    raw = np.fromfile(tmp_path / "depth.dat", "<u2").reshape(40, 53, 64)
    np.testing.assert_array_equal(x.values, raw)


def test_without_a_start_labels_count_from_the_first_frame(tmp_path):
    ms = times_of(20)
    x = ra.open_recording(write(tmp_path, ms, start=None), cache=False)
    check(x, ms, np.arange(20), np.rint((ms - ms[0]) * 1e6).astype("m8[ns]"))


@settings(deadline=None, max_examples=30)
@given(
    steps=st.lists(st.floats(30, 36, allow_nan=False), min_size=3, max_size=30),
    holes=st.sets(st.integers(1, 29), max_size=4),
)
def test_lost_frames_are_gaps_and_jitter_is_none(tmp_path_factory, steps, holes):
    holes = {k for k in holes if k <= len(steps)}
    if len(holes) > len(steps) // 3:  # then they are what is usual
        holes = set()
    steps = np.array([each + 200 * (k + 1 in holes) for k, each in enumerate(steps)])
    ms = np.concatenate([[5.0], 5 + np.cumsum(steps)])
    x = ra.open_recording(write(tmp_path_factory.mktemp("gaps"), ms), cache=False)
    assert gaps_of(x) == [0, *sorted(holes)]
    check(x, ms, np.arange(len(ms)), expected(ms))


def test_dropped_frames_of_a_session(tmp_path):
    truth = make_session(tmp_path, frames=60, shape=(53, 64), dropped=3)
    x = ra.open_recording(tmp_path / "depth.dat", cache=False)
    assert gaps_of(x) == [0, *truth["gap_before"].tolist()]
    for piece, label in zip(np.split(np.arange(60), truth["gap_before"]), ra.segments(x)["start"], strict=False):
        assert label == x["time"].values[piece[0]]


@pytest.mark.parametrize("chunks", [1, 7, "auto"])
def test_slices_keep_times_and_frames_together(tmp_path, chunks):
    ms = times_of(40, gaps=(11, 30))
    labels = expected(ms)
    x = ra.open_recording(write(tmp_path, ms), cache=False, chunks=chunks)
    numbers = np.arange(40)
    for part in slice(None), slice(5, 33), slice(11, 12), slice(30, None), slice(-4, None):
        check(x.isel(time=part), ms, numbers[part], labels)
        check(x.isel(time=slice(2, None)).isel(time=part), ms, numbers[2:][part], labels)
    check(x.sel(time=slice(labels[11], labels[29])), ms, numbers[11:30], labels)
    between = labels[10] + (labels[11] - labels[10]) // 2  # within the gap
    check(x.sel(time=slice(between, None)), ms, numbers[11:], labels)
    check(x.sel(time=slice(None, between)), ms, numbers[:11], labels)
    assert x.sel(time=labels[17]).values.tolist() == np.full(SHAPE, 17).tolist()
    with pytest.raises(KeyError):
        x.sel(time=between)
    assert gaps_of(x.isel(time=slice(5, 33))) == [0, 6, 25]


@pytest.mark.parametrize(("begin", "end"), [(0, 40), (3, 9), (10, 12), (11, 30), (29, 40)])
def test_begin_and_end(tmp_path, begin, end):
    ms = times_of(40, gaps=(11, 30))
    path, labels = write(tmp_path, ms), expected(ms)
    bounds = {"begin": labels[begin], "end": labels[end] if end < 40 else None}
    check(ra.open_recording(path, cache=False, **bounds), ms, np.arange(begin, end), labels)
    late = {"begin": labels[begin] + np.timedelta64(1, "ns")}
    if begin + 1 < end:
        check(ra.open_recording(path, cache=False, **{**bounds, **late}), ms, np.arange(begin + 1, end), labels)


def test_no_frame_lies_in_a_gap(tmp_path):
    ms = times_of(40, gaps=(11,))
    labels = expected(ms)
    bounds = {"begin": labels[10] + np.timedelta64(1, "ms"), "end": labels[11]}
    with pytest.raises(RecordingError, match="no sample lies in"):
        ra.open_recording(write(tmp_path, ms), cache=False, **bounds)


def test_opening_reads_times_once_and_no_frame(tmp_path, monkeypatch):
    from reelarray.formats.depth.dat import DatSource

    path = write(tmp_path, times_of(40))
    monkeypatch.setattr(DatSource, "read", lambda *args: pytest.fail("a frame was read"))
    x = ra.open_recording(path, cache=False)
    assert dask.is_dask_collection(x)
    assert x.isel(time=slice(3, 9))["timestamps"].shape == (6,)


# ---- several recordings ----------------------------------------------------------------------------------------------


def two(folder: Path, apart: str = "2024-05-06T07:09:00Z") -> tuple[np.ndarray, np.ndarray, list[Path]]:
    """Two sessions in a folder; camera clocks begin anew, and the first has a gap."""
    one, other = times_of(30, gaps=(13,)), times_of(20, seed=1, gaps=(4,)) + 7.5
    paths = [
        write(folder / "a", one),
        write(folder / "b", other, start=apart, first=30),
    ]
    ms = np.concatenate([one, other])
    labels = np.concatenate([expected(one), expected(other, np.datetime64(apart.rstrip("Z"), "ns"))])
    return ms, labels, paths


@pytest.mark.parametrize("turned", [False, True])
def test_two_recordings_together(tmp_path, turned):
    ms, labels, paths = two(tmp_path)
    x = ra.open_recordings(paths[::-1] if turned else paths, cache=False, chunks=8)
    check(x, ms, np.arange(50), labels)
    assert gaps_of(x) == [0, 13, 30, 34]
    for part in slice(25, 36), slice(30, 50), slice(0, 30):
        check(x.isel(time=part), ms, np.arange(50)[part], labels)
    check(ra.open_recordings(paths, cache=False, begin=labels[28], end=labels[35]), ms, np.arange(28, 35), labels)


def test_a_folder_of_two_recordings(tmp_path):
    ms, labels, _ = two(tmp_path)
    check(ra.open_recordings(tmp_path, format="depth", cache=False), ms, np.arange(50), labels)


def test_a_recording_that_begins_before_another_ends(tmp_path):
    ms, labels, paths = two(tmp_path, "2024-05-06T07:08:09.5Z")
    with pytest.raises(ClockError, match="overlap"):
        ra.open_recordings(paths, cache=False)
    first = ra.open_recordings(paths, cache=False, overlap="first")
    numbers = first.values[:, 0, 0]
    assert numbers[numbers < 30].tolist() == list(range(30))  # all of the first, and of the other what is left
    assert 0 < np.count_nonzero(numbers >= 30) < 20
    np.testing.assert_array_equal(first["timestamps"].values, ms[numbers])
    np.testing.assert_array_equal(first["time"].values, labels[numbers])
    assert (np.diff(first["time"].values) > np.timedelta64(0)).all()


def test_one_of_two_without_times_has_labels_and_no_timestamps(tmp_path):
    _, labels, paths = two(tmp_path)
    (paths[1].parent / "depth_ts.txt").unlink()
    x = ra.open_recordings(paths, cache=False)
    assert "timestamps" not in x.coords
    np.testing.assert_array_equal(x["time"].values[:30], labels[:30])
    np.testing.assert_array_equal(x.values[:, 0, 0], np.arange(50))
    steps = np.diff(x["time"].values[30:]).astype(float) / 1e6
    np.testing.assert_allclose(steps, 100 / 3, atol=1e-3)


# ---- as many times as frames -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [-3, 2])
def test_on_mismatch(tmp_path, more):
    ms = times_of(40)
    path = write(tmp_path, ms)
    said = ms[:more] if more < 0 else np.append(ms, ms[-1] + [33.0, 66.0])
    (tmp_path / "depth_ts.txt").write_text("".join(f"{each!r} 0\n" for each in said.tolist()))
    with pytest.raises(RecordingError, match=r"on_mismatch") as told:
        ra.open_recording(path, cache=False)
    assert str(path) in str(told.value)
    kept = min(40, len(said))
    check(ra.open_recording(path, cache=False, on_mismatch="trim"), ms, np.arange(kept), expected(ms))
    all_of_them = ra.open_recording(path, cache=False, on_mismatch="ignore")
    assert len(all_of_them) == 40
    np.testing.assert_array_equal(all_of_them["timestamps"].values[:kept], ms[:kept])
    np.testing.assert_array_equal(all_of_them["time"].values, expected(all_of_them["timestamps"].values))
    assert (np.diff(all_of_them["timestamps"].values) > 0).all()


def test_times_that_went_away_after_a_scan(tmp_path):
    path = write(tmp_path, times_of(40))
    catalog = ra.scan([path], cache=False)
    (tmp_path / "depth_ts.txt").write_text("1000 0\n1033 0\n1066 0\n")
    with pytest.raises(FormatError, match=r"depth_ts.txt has 3 times now"):
        ra.open_recordings(catalog)
