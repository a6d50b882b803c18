"""Audio files: cut at gaps, named by the clock, equal to the bit, and never a sample lost or changed in silence."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import soundfile
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import reelarray as ra
from reelarray.catalog.names import compile_template, read_template
from reelarray.clock import SampleClock
from reelarray.errors import RecordingError
from reelarray.formats import probe, source
from reelarray.recordings import clock, label
from reelarray.sinks import audiofiles, audiosamples
from reelarray.sinks.audio import NAMES, write_audio
from reelarray.sinks.journal import OutputExists

START = int(np.datetime64("2022-09-25T22:34:50.123456789", "ns").astype(np.int64))
SECOND = 10**9


def recording(
    data: Any, rate: Any = 1000, starts: tuple[int, ...] = (START,), lengths: tuple[int, ...] = (), units: str = "Pa"
) -> xr.DataArray:
    dims = ("channel",) if data.ndim == 2 else ()
    times = SampleClock.of_segments(starts, lengths or (len(data),), rate)
    return label(data, times, dims=dims, attrs={"units": units, "long_name": "sound pressure"})


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


def read(path: Path) -> np.ndarray:
    header = probe(path)
    return source(header).read(0, header.frames)


# ---- names and cuts --------------------------------------------------------------------------------------------------


def test_no_file_spans_a_gap_and_the_rest_is_kept(tmp_path: Path) -> None:
    x = recording(noise(5500), starts=(START, START + 10 * SECOND), lengths=(2500, 3000))
    paths = write_audio(x, tmp_path / "new" / "folder", duration="1s")
    assert [p.name for p in paths] == [
        "2022_09_25_22_34_50_123456789.wav",
        "2022_09_25_22_34_51_123456789.wav",
        "2022_09_25_22_34_52_123456789.wav",
        "2022_09_25_22_35_00_123456789.wav",
        "2022_09_25_22_35_01_123456789.wav",
        "2022_09_25_22_35_02_123456789.wav",
    ]
    assert [probe(p).frames for p in paths] == [1000, 1000, 500, 1000, 1000, 1000]
    np.testing.assert_array_equal(np.concatenate([read(p) for p in paths]), x.values)
    whole = write_audio(x, tmp_path / "whole")
    assert [probe(p).frames for p in whole] == [2500, 3000]


def test_names_and_headers_tell_the_start_exactly(tmp_path: Path) -> None:
    x = recording(noise(4410), rate=44100)
    template = compile_template(NAMES)
    for k, path in enumerate(write_audio(x, tmp_path, duration="7ms")):
        expected = int(clock(x).labels(round(Fraction(7 * 441, 10) * k)))
        reading = read_template(template, path.name)
        assert reading is not None
        assert reading.wall == expected
        assert probe(path).start_ns == expected


def test_whole_microseconds_have_six_digits(tmp_path: Path) -> None:
    x = recording(noise(4), starts=(START // 1000 * 1000,))
    assert [p.name for p in write_audio(x, tmp_path)] == ["2022_09_25_22_34_50_123456.wav"]
    own = write_audio(x, tmp_path, names="site7_%y%m%d-%H%M%S")
    assert [p.name for p in own] == ["site7_220925-223450.wav"]


def test_names_that_are_not_unique_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"gives 2022_09_25_22\.wav to two files"):
        write_audio(recording(noise(3000)), tmp_path / "a", duration="1s", names="%Y_%m_%d_%H")
    assert not (tmp_path / "a").exists()


def test_files_that_are_there_are_kept_unless_told(tmp_path: Path) -> None:
    x = recording(noise(3000))
    paths = write_audio(x, tmp_path, duration="1s")
    before = paths[1].read_bytes()
    with pytest.raises(OutputExists, match=r"3 of 3 files are there.*overwrite=True"):
        write_audio(x * 2, tmp_path, duration="1s")
    assert paths[1].read_bytes() == before
    write_audio((x * 2).assign_attrs(x.attrs), tmp_path, duration="1s", overwrite=True)
    np.testing.assert_array_equal(read(paths[1]), 2 * x.values[1000:2000])


@pytest.mark.parametrize("format", ["wav", "flac", "npz"])
def test_a_failed_call_leaves_what_was_there_before(tmp_path: Path, format: Any) -> None:
    x = recording(noise(3000) / 100)
    paths = write_audio(x, tmp_path, duration="1s", format=format, dtype="int16", scale=1.0)
    before = {path: path.read_bytes() for path in paths}
    loud = x.copy()
    loud[2900] = 2.0
    with pytest.raises(RecordingError, match="beyond full scale"):
        write_audio(loud, tmp_path, duration="1s", format=format, dtype="int16", scale=1.0, overwrite=True)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


# ---- values ----------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_recording_comes_back_to_the_bit(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    lengths = tuple(data.draw(st.lists(st.integers(1, 300), min_size=1, max_size=5)))
    gaps = data.draw(st.lists(st.integers(1, 10**10), min_size=len(lengths), max_size=len(lengths)))
    rate = data.draw(st.sampled_from([8000, 44100, 96000]))
    channels = data.draw(st.sampled_from([0, 1, 3]))
    kind = data.draw(st.sampled_from(["int16", "int24", "int32", "float32", "float64"]))
    format = data.draw(st.sampled_from([f for f, kinds in audiofiles.DTYPES.items() if kind in kinds]))
    duration = data.draw(st.sampled_from([None, "3ms", "10ms"]))
    starts, at = [], START
    for n, gap in zip(lengths, gaps, strict=True):
        starts.append(at)
        at += -(-n * SECOND // rate) + gap
    shape = (sum(lengths), channels) if channels else (sum(lengths),)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    if kind.startswith("int"):
        bits = int(kind[3:])
        values = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), size=shape)
        values = values.astype("int32" if kind == "int24" else kind)
    else:
        values = rng.normal(size=shape).astype(kind)
    x = recording(values, rate=rate, starts=tuple(starts), lengths=lengths)
    chunk = data.draw(st.sampled_from([None, 7, 1000]))
    lazy = x if chunk is None else x.chunk(time=chunk)
    folder = tmp_path_factory.mktemp("audio")
    paths = write_audio(lazy, folder, duration=duration, format=format, dtype=kind)
    headers = [probe(p) for p in paths]
    found = [source(h).read(0, h.frames) for h in headers]
    if format == "flac" and kind == "int24":
        found = [f >> 8 for f in found]  # libsndfile's 24 bits stand in the upper bytes
    np.testing.assert_array_equal(np.concatenate(found).reshape(shape), values)
    assert all(h.rate == rate and not h.flags for h in headers)
    rows = np.append(0, np.cumsum([h.frames for h in headers]))[:-1]
    template = compile_template(NAMES)
    assert [read_template(template, p.name).wall for p in paths] == clock(x).labels(rows).tolist()  # type: ignore[union-attr]
    assert sorted(p.name for p in folder.iterdir()) == [p.name for p in paths]


@pytest.mark.parametrize("dtype", ["int16", "int24", "int32"])
def test_samples_relative_to_full_scale_come_back_to_the_bit(tmp_path: Path, dtype: str) -> None:
    bits = int(dtype[3:])
    ends = [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1]
    counts = np.append(np.random.default_rng(0).integers(*ends, size=1000), ends)
    x = recording(counts / 2.0 ** (bits - 1), units="1")
    (path,) = write_audio(x, tmp_path, dtype=dtype, scale=1.0)
    np.testing.assert_array_equal(read(path), counts)
    assert probe(path).scale == 2.0 ** (1 - bits)


@pytest.mark.parametrize("format", ["wav", "flac"])
@pytest.mark.parametrize("dtype", ["int16", "int24"])
def test_others_read_the_same(tmp_path: Path, format: Any, dtype: str) -> None:
    x = recording(noise(999, 3) / 8)
    (path,) = write_audio(x, tmp_path, format=format, dtype=dtype, scale=4.0)
    found, rate = soundfile.read(path)
    assert rate == 1000
    np.testing.assert_allclose(found * 4.0, x.values, atol=4.0 / 2 ** int(dtype[3:]))


@pytest.mark.parametrize(("format", "dtype"), [(f, k) for f, kinds in audiofiles.DTYPES.items() for k in kinds])
@pytest.mark.parametrize("units", ["Pa", "1"])
@pytest.mark.parametrize("scale", [2.0, 1.0])
def test_values_units_and_start_come_back(tmp_path: Path, format: Any, dtype: str, units: str, scale: float) -> None:
    x = recording(np.random.default_rng(1).integers(-100, 100, (900, 2)) / 128.0, units=units)
    write_audio(x, tmp_path, format=format, dtype=dtype, scale=scale)
    back = ra.open_recordings(tmp_path, cache=False, dtype="float64")
    assert back.attrs["units"] == units
    np.testing.assert_array_equal(back.values, x.values)
    np.testing.assert_array_equal(back.time.values, x.time.values)
    (path,) = tmp_path.iterdir()
    assert probe(path).start_ns == START
    if units == "Pa":
        with pytest.raises(ra.errors.ReelError, match="Pa"):
            ra.calibrate(back, sensitivity=-180)


@pytest.mark.parametrize(("format", "dtype"), [("wav", "int16"), ("wav", "int32"), ("flac", "int16"), ("npz", "int32")])
def test_counts_without_a_scale_come_back(tmp_path: Path, format: Any, dtype: str) -> None:
    counts = np.arange(-500, 500).astype(dtype)
    write_audio(recording(counts, units="Pa"), tmp_path / "a", format=format)
    back = ra.open_recordings(tmp_path / "a", cache=False)
    np.testing.assert_array_equal(back.values, counts)
    assert back.attrs["units"] == "Pa"
    write_audio(recording(counts, units="1"), tmp_path / "b", format=format)
    full = 1 if format == "npz" else 2.0 ** (8 * counts.itemsize - 1)
    np.testing.assert_array_equal(ra.open_recordings(tmp_path / "b", cache=False).values, counts / full)
    np.testing.assert_array_equal(ra.open_recordings(tmp_path / "b", cache=False, calibrated=False).values, counts)


def test_a_scale_that_is_none_is_not_taken(tmp_path: Path) -> None:
    (path,) = write_audio(recording(noise(9)), tmp_path, scale=2.0)
    whole = path.read_bytes()
    for said in (b"Scale: nan", b"Scale: 0.0", b"Scale: abc"):
        path.write_bytes(whole.replace(b"Scale: 2.0", said))
        assert (probe(path).units, probe(path).scale) == ("1", 1.0)


def test_the_level_is_stated(tmp_path: Path) -> None:
    x = recording(noise(999) / 8).assign_attrs(gain_db=12)
    (path,) = write_audio(x, tmp_path, dtype="int16", scale=4.0)
    said = probe(path).metadata
    assert said["guano"]["reelarray|Units"] == "Pa"
    assert float(said["guano"]["reelarray|Scale"]) == 4.0
    assert json.loads(said["guano"]["reelarray|Attributes"]) == {"long_name": "sound pressure", "gain_db": 12}
    assert said["info"]["ISFT"] == f"reelarray {ra.__version__}"
    assert said["info"]["ICMT"] == "starts 2022-09-25T22:34:50.123456789Z; full scale is 4 Pa"
    (path,) = write_audio(x, tmp_path, format="flac", dtype="int24", scale=4.0)
    assert "full scale is 4 Pa" in probe(path).metadata["strings"]["comment"]
    (path,) = write_audio(x, tmp_path, format="npz")
    with np.load(path, allow_pickle=False) as archive:
        assert json.loads(str(archive["attrs"]))["units"] == "Pa"
        assert str(archive["start"]) == "2022-09-25T22:34:50.123456789Z"
        assert archive["samplerate"] == 1000


def test_rates_that_are_no_whole_numbers_go_into_npz(tmp_path: Path) -> None:
    x = recording(noise(100), rate=Fraction(2001, 2))
    (path,) = write_audio(x, tmp_path, format="npz")
    assert probe(path).rate == Fraction(2001, 2)
    with pytest.raises(RecordingError, match=r"2001/2 samples a second.*format='npz'"):
        write_audio(x, tmp_path)


def test_beyond_full_scale_is_counted_and_nothing_is_left(tmp_path: Path) -> None:
    values = noise(5000) / 100
    values[3100], values[3900], values[3950] = 1.5, -3.25, np.inf
    x = recording(values).chunk(time=300)
    with pytest.raises(RecordingError) as caught:
        write_audio(x, tmp_path, duration="1s", dtype="int16", scale=1.0)
    text = str(caught.value)
    assert "3 samples are beyond full scale" in text
    assert "2022-09-25T22:34:53.223456789" in text
    assert list(tmp_path.iterdir()) == []
    values[3950] = 0
    with pytest.raises(RecordingError, match=r"2 samples.*the largest is 3.25.*scale=3.3 is enough"):
        write_audio(recording(values), tmp_path, dtype="int16", scale=1.0)
    write_audio(recording(values), tmp_path, dtype="int16", scale=3.3)


def test_missing_samples_have_no_integer(tmp_path: Path) -> None:
    values = noise(100) / 100
    values[[7, 8]] = np.nan
    with pytest.raises(RecordingError, match="2 samples are NaN"):
        write_audio(recording(values), tmp_path, dtype="int16", scale=1.0)
    assert list(tmp_path.iterdir()) == []
    (path,) = write_audio(recording(values), tmp_path)
    np.testing.assert_array_equal(read(path), values)


def test_integers_without_a_scale_are_refused_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"reach 2, so scale=8 may do"):
        write_audio(recording(np.array([0.5, -2.0], np.float32)), tmp_path, dtype="int16")
    with pytest.raises(RecordingError, match=r"scale=1 may do"):
        write_audio(recording(np.array([0.5, -1.0], np.float32), units="1"), tmp_path, dtype="int16")
    with pytest.raises(RecordingError, match="flac holds int16, int24"):
        write_audio(recording(noise(5)), tmp_path, format="flac")
    with pytest.raises(RecordingError, match="2 samples are beyond full scale"):
        write_audio(recording(np.array([40_000, 5, -40_000])), tmp_path, dtype="int16")


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (recording(noise(5).astype(np.complex64)), {}, "audio is real"),
        (ra.recording(noise(5), rate=5), {}, "that of this recording is unknown"),
        (ra.recording(noise(5, 2, 2), rate=5, start="2022"), {}, r"\(time, channel\)"),
        (recording(noise(5)), {"format": "mp3"}, "'wav', 'flac', 'npz'"),
        (recording(noise(5)), {"dtype": "int8"}, "wav holds"),
        (recording(noise(5)), {"dtype": "int16", "scale": -1}, "above 0"),
        (recording(noise(5)), {"duration": 60}, "a span such as"),
        (recording(noise(5)), {"duration": "1us"}, "shorter than a sample"),
        (recording(noise(5))[:0], {}, "nothing to write"),
        (recording(noise(5, 9)), {"format": "flac", "dtype": "int16", "scale": 9}, "up to 8 channels"),
    ],
)
def test_errors_name_the_way_out(tmp_path: Path, x: xr.DataArray, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        write_audio(x, tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


# ---- long recordings -------------------------------------------------------------------------------------------------


def test_each_chunk_is_computed_once_and_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audiosamples, "PORTION", 1000)
    computed: list[int] = []

    def block(block_id: tuple[int, ...]) -> np.ndarray:
        computed.append(block_id[0])
        return np.full(400, float(block_id[0]), np.float32)

    data = da.map_blocks(block, chunks=((400,) * 50,), dtype=np.float32, meta=np.empty(0, np.float32))
    paths = write_audio(recording(data), tmp_path, duration="300ms")
    assert sorted(computed) == list(range(50))
    found = np.concatenate([read(p) for p in paths])
    np.testing.assert_array_equal(found, np.repeat(np.arange(50), 400))


def test_files_beyond_32_bits_are_rf64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = recording(noise(3001, 2))
    monkeypatch.setattr(audiofiles, "LARGEST_RIFF", 20_000)
    (path,) = write_audio(x, tmp_path)
    assert path.read_bytes()[:4] == b"RF64"
    np.testing.assert_array_equal(read(path), x.values)
    found, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_array_equal(found, x.values)


def test_the_size_in_a_header_decides_the_kind() -> None:
    def head(frames: int) -> bytes:
        return audiofiles.wav_header(
            audiofiles.Facts(frames, 0, Fraction(8000), "int16", "2022-01-01T00:00:00Z", "1", 1.0)
        )

    largest = (2**32 - 1 - (len(head(10**9)) - 8)) // 2
    assert head(largest)[:4] == b"RIFF"
    assert head(largest + 1)[:4] == b"RF64"
    assert head(largest + 1)[-8:] == b"data\xff\xff\xff\xff"


def test_a_failure_while_reading_leaves_no_file(tmp_path: Path) -> None:
    def block(block_id: tuple[int, ...]) -> np.ndarray:
        if block_id[0] == 3:
            raise OSError("the disk is gone")
        return np.zeros(1000, np.float32)

    data = da.map_blocks(block, chunks=((1000,) * 5,), dtype=np.float32, meta=np.empty(0, np.float32))
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(audiosamples, "PORTION", 1000)
        with pytest.raises(OSError, match="the disk is gone"):
            write_audio(recording(data), tmp_path, duration="1s")
    assert list(tmp_path.iterdir()) == []


def test_the_accessor_writes_too(tmp_path: Path) -> None:
    assert len(recording(noise(10)).reel.write_audio(tmp_path)) == 1
