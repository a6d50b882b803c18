"""Opening files as one recording: samples, labels, gaps, and every kind of bad input."""

from __future__ import annotations

import logging
import os
import struct
import sys
from fractions import Fraction
from pathlib import Path

import counting
import dask
import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import reelarray as ra
from reelarray import graph
from reelarray.catalog import summarise
from reelarray.catalog.tolerance import Tolerance
from reelarray.errors import ClockError, FormatError, RecordingError, TruncatedFile
from reelarray.joining import Files, join_files
from reelarray.recordings import clock as clock_of

RATE = 1000
START = np.datetime64("2022-03-01T00:00:00", "ns")


def write(path: Path, samples: np.ndarray, *, rate: int = RATE, width: int = 2, tag: int = 1, cut: int = 0) -> Path:
    """A WAV of any width, float or not; `cut` bytes short of what its header says."""
    samples = np.asarray(samples)
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    if tag == 3:
        data = samples.astype(f"<f{width}").tobytes()
    elif width == 1:
        data = (samples + 128).astype(np.uint8).tobytes()
    else:
        data = samples.astype("<i8").ravel().view(np.uint8).reshape(-1, 8)[:, :width].tobytes()
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * channels * width, channels * width, 8 * width)
    body = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", len(data)) + data
    content = b"RIFF" + struct.pack("<I", len(body)) + body
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content[: len(content) - cut])
    return path


def named(folder: Path, seconds: float, prefix: str = "") -> Path:
    """A path whose name says that it starts so many seconds (to the microsecond) after midnight."""
    time = pd.Timestamp(START) + pd.Timedelta(round(seconds * 1e6), "us")
    return folder / f"{prefix}{time:%Y%m%d_%H%M%S_%f}.wav"


STAMP = "%Y%m%d_%H%M%S_%f"


def noise(seed: int, frames: int = RATE, channels: int = 0) -> np.ndarray:
    shape = (frames, channels) if channels else frames
    return np.random.default_rng(seed).integers(-30_000, 30_000, shape)


def deployment(folder: Path, seconds=(0, 1, 2, 5), frames: int = RATE) -> np.ndarray:
    """Files of 16 bits at these seconds; their counts, one row a file."""
    counts = np.stack([noise(k, frames) for k in range(len(seconds))])
    for each, second in zip(counts, seconds, strict=True):
        write(named(folder, second), each)
    return counts


def values(counts: np.ndarray) -> np.ndarray:
    return counts.astype(np.float32) * np.float32(2.0**-15)


def opened(folder, **options):
    return ra.open_recordings(folder, cache=False, **({"timestamp": STAMP} | options))


# ---- what is opened --------------------------------------------------------------------------------------------------


def test_files_become_one_array_with_their_gap(tmp_path):
    counts = deployment(tmp_path)
    x = opened(tmp_path)
    assert x.values.tobytes() == values(counts.ravel()).tobytes()
    assert x.dims == ("time",)
    assert ra.rate(x) == RATE
    assert clock_of(x).gaps == 1
    expected = np.concatenate(
        [START + np.timedelta64(s, "s") + np.arange(RATE) * np.timedelta64(1, "ms") for s in (0, 1, 2, 5)]
    )
    assert x["time"].values.tolist() == expected.tolist()
    table = ra.segments(x)
    assert table["joined"].tolist() == [False, True, True, False]
    assert [os.path.basename(p) for p in table["source"]] == [named(tmp_path, s).name for s in (0, 1, 2, 5)]
    assert x.attrs == {"units": "1", "long_name": "samples", "files": 4, "format": "wav", "subtype": "PCM_16"}


@pytest.mark.parametrize(
    "paths",
    [
        lambda d: d,
        lambda d: str(d),
        lambda d: str(d / "*.wav"),
        lambda d: sorted(d.glob("*.wav")),
        lambda d: sorted(map(str, d.glob("*.wav")), reverse=True),
        lambda d: [str(d / "2022*_00000[0-1]_*.wav"), str(d / "2022*_00000[2-9]_*.wav")],
    ],
    ids=["folder", "text", "pattern", "list", "list backwards", "patterns"],
)
def test_folders_patterns_lists_and_catalogs_open_the_same(paths, tmp_path):
    counts = deployment(tmp_path)
    x = opened(paths(tmp_path))
    assert x.values.tobytes() == values(counts.ravel()).tobytes()
    catalog = ra.scan(paths(tmp_path), timestamp=STAMP, cache=False)
    assert ra.open_recordings(catalog).identical(x)
    assert ra.open_recordings(catalog[catalog["start"] >= "2022-03-01T00:00:02"]).equals(x[2000:])


def test_a_single_file_may_have_no_time(tmp_path):
    path = write(tmp_path / "whale.wav", noise(1))
    x = ra.open_recording(path, cache=False)
    assert x["time"].dtype == "timedelta64[ns]"
    assert x.sel(time=slice("0.25s", "0.5s")).sizes["time"] == 251
    assert ra.open_recording(path, cache=False, begin="250ms", end=pd.Timedelta("0.5s")).sizes["time"] == 250
    for junk in ("2022", 5, 0.5, "2022-03-01"):
        with pytest.raises(ClockError, match="'90s' or a timedelta was expected"):
            ra.open_recording(path, cache=False, begin=junk)


def test_start_times_given_another_way(tmp_path):
    for k, name in enumerate("ab"):
        write(tmp_path / f"{name}.wav", noise(k))
    x = ra.open_recordings(tmp_path, cache=False, start="2022-03-01T12:00", timezone="Europe/Paris")
    assert x["time"].values[[0, 1000]].astype(str).tolist() == [
        "2022-03-01T11:00:00.000000000",
        "2022-03-01T11:00:01.000000000",
    ]


@pytest.mark.parametrize(
    ("width", "tag", "dtype", "scale"),
    [(1, 1, "float32", 2.0**-7), (2, 1, "float32", 2.0**-15), (3, 1, "float32", 2.0**-23), (4, 1, "float64", 2.0**-31)],
)
def test_integers_of_any_width_are_exact(width, tag, dtype, scale, tmp_path):
    top = 2 ** (8 * width - 1)
    counts = np.random.default_rng(width).integers(-top, top, 500)
    counts[:2] = -top, top - 1
    write(named(tmp_path, 0), counts, width=width, tag=tag)
    x = opened(tmp_path)
    assert x.dtype == dtype
    assert (x.values / scale == counts).all()
    raw = opened(tmp_path, calibrated=False)
    assert raw.dtype.kind in "iu"
    assert (raw.values == (counts if width > 1 else counts + 128 * (raw.dtype.kind == "u"))).all()
    assert opened(tmp_path, dtype="float64").dtype == "float64"


@pytest.mark.parametrize(("width", "dtype"), [(4, "float32"), (8, "float64")])
def test_floats_are_exact_also_where_they_are_no_numbers(width, dtype, tmp_path):
    samples = np.random.default_rng(0).normal(size=2000).astype(dtype)
    samples[[7, 9, 1900]] = np.nan, np.inf, -np.inf
    write(named(tmp_path, 0), samples, width=width, tag=3)
    x = opened(tmp_path)
    assert x.dtype == dtype
    np.testing.assert_array_equal(x.values, samples)
    touched = ~np.isfinite(ra.spectrogram(x, nfft=64, hop=64, dtype="float64").values).any(axis=1)
    assert np.flatnonzero(touched).tolist() == [0, 1900 // 64]
    assert np.isnan(ra.average(x, every=10).values).tolist() == [k in (0,) for k in range(200)]


def test_a_flac_deployment_equals_a_wav_deployment_to_the_bit(tmp_path):
    counts = deployment(tmp_path / "wav")
    (tmp_path / "flac").mkdir()
    for each, second in zip(counts, (0, 1, 2, 5), strict=True):
        path = named(tmp_path / "flac", second).with_suffix(".flac")
        soundfile.write(path, each.astype(np.int16), RATE, subtype="PCM_16")
    wav, flac = opened(tmp_path / "wav"), opened(tmp_path / "flac")
    assert flac.values.tobytes() == wav.values.tobytes()
    assert clock_of(flac) == clock_of(wav)
    one, two = (ra.spectrogram(x[100:3900], nfft=64, hop=16, block=50).values for x in (wav, flac))
    assert one.tobytes() == two.tobytes()


def test_files_of_different_widths_of_one_rate_are_one_recording(tmp_path):
    write(named(tmp_path, 0), noise(0))
    write(named(tmp_path, 1), noise(1) * 256, width=3)
    assert opened(tmp_path).values.tobytes() == values(np.concatenate([noise(0), noise(1)])).tobytes()


def test_calibrated_values_are_counts_times_scale_times_factor_each_rounded_once(tmp_path):
    counts = deployment(tmp_path).ravel()
    x = opened(tmp_path, sensitivity=-170.0, gain_db=20.0, peak_voltage=2.0)
    # volts at full scale, over ten for the gain, over volts per micropascal: 10^(-170 / 20)
    factor = 2.0 / 10 / 10 ** (-170 / 20) * 1e-6
    assert x.attrs["units"] == "Pa"
    np.testing.assert_allclose(x.values, counts * 2.0**-15 * factor, rtol=3e-7)
    assert x.values.tobytes() == (values(counts) * np.float32(factor)).tobytes()


# ---- channels --------------------------------------------------------------------------------------------------------


def test_channels_are_chosen_by_their_own_numbers(tmp_path):
    counts = [noise(k, channels=4) for k in range(2)]
    for k, each in enumerate(counts):
        write(named(tmp_path, k), each)
    whole = values(np.concatenate(counts))
    x = opened(tmp_path)
    assert x.dims == ("time", "channel")
    assert x.values.tobytes() == whole.tobytes()
    one, two = opened(tmp_path, channel=2), opened(tmp_path, channel=[3, 1])
    assert one.dims == ("time",)
    assert one["channel"].item() == 2
    assert one.values.tobytes() == whole[:, 2].tobytes()
    assert two["channel"].values.tolist() == [3, 1]
    assert two.values.tobytes() == whole[:, [3, 1]].tobytes()
    assert graph.rows(two.isel(channel=0)).channels == 3
    assert one.identical(x.sel(channel=2))
    assert ra.spectrogram(x, nfft=64).sel(channel=1).equals(ra.spectrogram(opened(tmp_path, channel=1), nfft=64))


@pytest.mark.parametrize(
    ("channel", "told"), [(4, "channels 0 to 3"), (-1, "channels 0 to 3"), ([0, 9], r"\[9\]"), ([], "0 to 3")]
)
def test_channels_that_are_not_there_are_named(channel, told, tmp_path):
    write(named(tmp_path, 0), noise(0, channels=4))
    with pytest.raises(RecordingError, match=told):
        opened(tmp_path, channel=channel)


def test_one_channel_of_mono_files_says_to_leave_it_out(tmp_path):
    deployment(tmp_path)
    with pytest.raises(RecordingError, match="leave out channel="):
        opened(tmp_path, channel=0)


# ---- begin, end ------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(-500, 7000), st.integers(1, 7000), st.booleans(), st.booleans())
def test_begin_and_end_are_half_open_in_milliseconds(tmp_path, begin, length, with_begin, with_end):
    folder = tmp_path / "files"
    if not folder.exists():
        deployment(folder)
    whole = opened(folder)
    ms = (whole["time"].values - START) // np.timedelta64(1, "ms")
    low, high = (begin if with_begin else -(10**6)), (begin + length if with_end else 10**6)
    asked = {"begin": START + np.timedelta64(begin, "ms")} if with_begin else {}
    asked |= {"end": START + np.timedelta64(begin + length, "ms")} if with_end else {}
    keep = (ms >= low) & (ms < high)
    if not keep.any() and asked:
        with pytest.raises(RecordingError, match=r"no sample lies in \[.*runs from .* to .*with 1 gap"):
            opened(folder, **asked)
    else:
        assert opened(folder, **asked).identical(whole[np.flatnonzero(keep)[0] : np.flatnonzero(keep)[-1] + 1])


@pytest.mark.parametrize(
    "time", ["2022-03-01T01:00:01+01:00", pd.Timestamp("2022-03-01T00:00:01Z"), "2022-03-01 00:00:01"]
)
def test_begin_and_end_are_utc(time, tmp_path):
    deployment(tmp_path)
    assert opened(tmp_path, begin=time).sizes["time"] == 3000
    assert opened(tmp_path, end=time).sizes["time"] == 1000


def test_what_begin_leaves_out_is_not_read(tmp_path, monkeypatch):
    with counting.registered(monkeypatch) as read, dask.config.set(scheduler="sync"):
        counting.write_files(tmp_path, [0, 1, 2, 5])
        x = ra.open_recordings(
            tmp_path, format="counting", cache=False, begin="2022-03-01T00:00:01.5", end="2022-03-01T00:00:02.25"
        )
        assert read == []
        x.compute()
        assert counting.ranges(read) == {"20220301_000001.count": [(500, 1000)], "20220301_000002.count": [(0, 250)]}
        assert len(counting.PROBED) == 4


@pytest.mark.parametrize("option", ["begin", "end"])
def test_a_begin_that_is_no_time_is_named(option, tmp_path):
    deployment(tmp_path)
    with pytest.raises(ClockError, match="'soon' is not a time"):
        opened(tmp_path, **{option: "soon"})


# ---- joining, drift, overlap -----------------------------------------------------------------------------------------


def test_recorder_drift_stays_inside_each_file_and_never_adds_up(tmp_path):
    """Files of 1000 samples that start every 1.0007 s, and then every 0.9991 s."""
    seconds = [0.0, 1.0007, 2.0014, 3.0005, 3.9996]
    deployment(tmp_path, seconds)
    x = opened(tmp_path, tolerance=0.01)
    assert clock_of(x).gaps == 0
    assert ra.rate(x) == RATE
    labels = x["time"].values.astype(np.int64) - START.astype(np.int64)
    assert (np.diff(labels) > 0).all()
    starts = [round(s * 1e6) * 1000 for s in seconds]
    assert labels[::1000].tolist() == starts
    rows = [
        starts[k] + (i * Fraction(starts[k + 1] - starts[k], 1000)).__floor__() if k < 4 else starts[4] + i * 10**6
        for k in range(5)
        for i in range(1000)
    ]
    assert labels.tolist() == rows
    assert ra.segments(x)["drift"].round(9).tolist() == [0.0007, 0.0007, -0.0009, -0.0009, 0.0]
    assert ra.segments(x[500:2500])["drift"].round(9).tolist() == [0.0007, 0.0007, -0.0009]


@pytest.mark.parametrize(
    ("seconds", "tolerance", "gaps"),
    [
        ([0, 1.001, 2.002], None, 0),
        ([0, 1.0011, 2.1], None, 2),
        ([0, 1, 3], None, 1),
        ([0, 2, 4], None, 2),
        ([0, 1, 3], 1.0, 0),
        ([0, 1.3, 2.1], 0.3, 0),
        ([0, 1.3, 2.1], 0.29, 1),
        ([0, 1.5, 2.0], 0.5, 0),
        ([0, 1.0005, 2], 0, 2),
    ],
)
def test_tolerance_decides_what_is_joined(seconds, tolerance, gaps, tmp_path):
    """One sample where starts are finer than a second, else a second and at most half a file, unless given."""
    counts = deployment(tmp_path, seconds)
    x = opened(tmp_path, tolerance=tolerance, overlap="error" if tolerance != 0 else "first")
    assert clock_of(x).gaps == gaps
    assert x.sizes["time"] in (counts.size, counts.size - 1)


@pytest.mark.parametrize(
    ("seconds", "frames", "gaps"), [([0, 5, 11], 5000, 0), ([0, 5, 12], 5000, 1), ([0, 6], 1500, 1)]
)
def test_whole_seconds_are_joined_within_a_second_of_long_files(seconds, frames, gaps, tmp_path):
    deployment(tmp_path, seconds, frames)
    assert clock_of(opened(tmp_path)).gaps == gaps
    assert clock_of(ra.open_recordings(ra.scan(tmp_path, timestamp=STAMP, cache=False))).gaps == gaps


def test_a_duty_cycle_of_short_files_is_not_joined_by_default(tmp_path):
    """1.3 s of samples every 2 s: within a second of each other, and 0.7 s are missing each time."""
    deployment(tmp_path, [0, 2, 4], 1300)
    assert clock_of(opened(tmp_path)).gaps == 2
    assert clock_of(opened(tmp_path, tolerance=0.7)).gaps == 0
    catalog = ra.scan(tmp_path, timestamp=STAMP, cache=False)
    assert summarise(catalog).gaps == 2


def test_the_tolerance_of_a_scan_is_that_of_opening_its_catalog(tmp_path):
    deployment(tmp_path, [0, 1.3, 2.6])
    catalog = ra.scan(tmp_path, timestamp=STAMP, tolerance=0.3, cache=False)
    assert clock_of(ra.open_recordings(catalog)).gaps == 0
    assert clock_of(ra.open_recordings(catalog, tolerance=0.2)).gaps == 2


@pytest.mark.parametrize("tolerance", [-1, "1s", np.nan])
def test_a_tolerance_is_seconds(tolerance, tmp_path):
    deployment(tmp_path)
    with pytest.raises(ClockError, match="seconds, 0 or more, were expected"):
        opened(tmp_path, tolerance=tolerance)


def test_an_overlap_names_both_files_and_each_way_out_works(tmp_path):
    deployment(tmp_path, [0, 0.75, 2])
    with pytest.raises(ClockError) as caught:
        opened(tmp_path)
    text = str(caught.value)
    assert f"{named(tmp_path, 0.75)} starts 0.250 s before the end of {named(tmp_path, 0)}" in text
    assert "overlap='first' or 'last'" in text
    assert "tolerance=0.250" in text
    assert "exclude=" in text
    assert opened(tmp_path, overlap="first").sizes["time"] == 2750
    assert opened(tmp_path, overlap="last").sizes["time"] == 2750
    assert opened(tmp_path, tolerance=0.25).sizes["time"] == 3000
    assert opened(tmp_path, exclude=f"*{named(tmp_path, 0.75).name[-12:]}").sizes["time"] == 2000


def test_two_files_with_the_same_start_are_an_error_that_names_both(tmp_path):
    deployment(tmp_path, [0, 1, 2])
    write(named(tmp_path, 1, "twin_"), noise(9))
    for tolerance in (None, 1.0, 5.0):
        with pytest.raises(ClockError) as caught:
            opened(tmp_path, tolerance=tolerance)
        assert f"{named(tmp_path, 1, 'twin_')} starts at the same time as {named(tmp_path, 1)}" in str(caught.value)
        assert "tolerance=" not in str(caught.value)
    assert (
        opened(tmp_path, overlap="first").values.tobytes()
        == values(np.concatenate([noise(k) for k in (0, 1, 2)])).tobytes()
    )
    assert (
        opened(tmp_path, overlap="last").values.tobytes()
        == values(np.concatenate([noise(k) for k in (0, 9, 2)])).tobytes()
    )


def test_files_that_an_overlap_leaves_out_whole_are_told(tmp_path, caplog):
    deployment(tmp_path, [0, 1])
    write(named(tmp_path, 0.2), noise(5, 300))
    with caplog.at_level(logging.WARNING, "reelarray"):
        x = opened(tmp_path, overlap="first")
    assert named(tmp_path, 0.2).name in caplog.text
    assert x.sizes["time"] == 2000


def test_the_last_of_two_takes_over_only_while_it_lasts(tmp_path):
    """A short file inside a long one replaces its middle, and the long one goes on behind it."""
    write(named(tmp_path, 0), noise(0, 2000))
    write(named(tmp_path, 0.5), noise(1, 300))
    x = opened(tmp_path, overlap="last")
    expected = noise(0, 2000)
    expected[500:800] = noise(1, 300)
    assert x.values.tobytes() == values(expected).tobytes()
    assert clock_of(x).gaps == 0
    assert [Path(p).name for p in ra.segments(x)["source"]] == [named(tmp_path, s).name for s in (0, 0.5, 0)]


@st.composite
def overlapping(draw):
    """(starts in samples, lengths) of files in order of start, overlapping in any way."""
    lengths = draw(st.lists(st.integers(1, 30), min_size=1, max_size=6))
    starts = sorted(draw(st.lists(st.integers(0, 60), min_size=len(lengths), max_size=len(lengths))))
    return starts, lengths


@settings(max_examples=400, deadline=None)
@given(overlapping(), st.sampled_from(["first", "last"]))
def test_overlaps_are_cut_to_the_sample(files, overlap):
    """On a common grid of samples: each instant belongs to the first, or to the last, file that has it."""
    starts, lengths = files
    order = range(len(starts)) if overlap == "last" else reversed(range(len(starts)))
    owner: dict[int, tuple[int, int]] = {}
    for k in order:
        owner |= {starts[k] + i: (k, i) for i in range(lengths[k])}
    ns = np.array(starts, np.int64) * 10**6
    names = np.array([str(k) for k in range(len(starts))], object)
    frames, zeros = np.array(lengths, np.int64), np.zeros(len(starts), np.int64)
    rows = np.arange(len(starts))
    pieces = join_files(
        Files(names, rows, zeros, ns, frames, zeros > 0, Fraction(1000), Tolerance(0), absolute=True), overlap
    )
    made = {
        start // 10**6 + i: (row, skip + i)
        for row, skip, count, start in zip(
            pieces.row.tolist(), pieces.skip.tolist(), pieces.count.tolist(), pieces.start.tolist(), strict=True
        )
        for i in range(count)
    }
    assert made == owner
    assert list(made) == sorted(made)
    assert sum(pieces.count) == len(owner)
    behind = pieces.start[1:] == (pieces.start + pieces.count * 10**6)[:-1]
    assert pieces.joined.tolist() == [False, *behind.tolist()]


def test_overlaps_off_the_grid_lose_less_than_a_sample_each(tmp_path):
    deployment(tmp_path, [0, 0.9003, 2])
    first, last = opened(tmp_path, overlap="first"), opened(tmp_path, overlap="last")
    assert first.sizes["time"] == 1000 + 900 + 1000
    assert last.sizes["time"] == 900 + 1000 + 1000
    assert (np.diff(first["time"].values) > np.timedelta64(0, "ns")).all()
    assert first["time"].values[1000] == np.datetime64("2022-03-01T00:00:01.0003")
    assert last["time"].values[900] == np.datetime64("2022-03-01T00:00:00.9003")


# ---- any segments ----------------------------------------------------------------------------------------------------


@st.composite
def segments(draw):
    """(starts in us, lengths, joined): files that follow with a jitter of up to 1 ms, or after a gap."""
    lengths = draw(st.lists(st.integers(5, 60), min_size=1, max_size=6))
    starts, joined = [draw(st.integers(0, 10**6)) * 1000 + 1], [False]
    for length in lengths[:-1]:
        joined.append(draw(st.booleans()))
        jitter = draw(st.integers(-1000, 1000)) if joined[-1] else draw(st.integers(1001, 10**6))
        starts.append(starts[-1] + length * 1000 + jitter)
    return starts, lengths, joined


@settings(max_examples=40, deadline=None)
@given(segments(), st.integers(1, 100), st.sampled_from([0, 2]))
def test_any_segments_written_and_opened_are_the_truth(tmp_path_factory, files, chunk, channels):
    starts, lengths, joined = files
    folder = tmp_path_factory.mktemp("files")
    counts = [noise(k, n, channels) for k, n in enumerate(lengths)]
    for us, each in zip(starts, counts, strict=True):
        write(named(folder, us / 1e6), each)
    x = opened(folder, chunks=chunk)
    with dask.config.set(scheduler="sync"):
        assert x.values.tobytes() == values(np.concatenate(counts)).tobytes()
    labels = []
    for k, (us, n) in enumerate(zip(starts, lengths, strict=True)):
        runs_on = k + 1 < len(starts) and joined[k + 1]
        period = Fraction((starts[k + 1] - us) * 1000, n) if runs_on else Fraction(10**6)
        labels += [us * 1000 + (i * period).__floor__() for i in range(n)]
    assert (x["time"].values.astype(np.int64) - START.astype(np.int64)).tolist() == labels
    assert ra.segments(x)["joined"].tolist() == joined
    assert ra.segments(x)["samples"].tolist() == lengths
    assert all(c <= chunk for c in x.chunks[0])


# ---- bad files -------------------------------------------------------------------------------------------------------


def spoilt(folder: Path, how: str) -> Path:
    """Three good files, and one bad one."""
    deployment(folder, [0, 1, 2])
    path = named(folder, 3)
    if how == "unreadable":
        path.write_bytes(b"RIFF" + b"junk" * 20)
    elif how == "text":
        path.write_text("Sorry, this is a text.")
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "no samples":
        write(path, np.zeros(0, int))
    elif how == "truncated":
        write(path, noise(3), cut=500)
    elif how == "no time":
        path = write(folder / "notes.wav", noise(3))
    elif how == "impossible date":
        path = write(folder / "20220232_000003_000000.wav", noise(3))
    return path


BAD = {
    "unreadable": "unreadable",
    "text": "unreadable",
    "empty": "unreadable",
    "no samples": "no_frames",
    "truncated": "truncated",
    "no time": "no_time",
    "impossible date": "impossible_date",
}


@pytest.mark.parametrize("how", BAD)
def test_a_bad_file_is_an_error_that_names_it_and_the_way_out(how, tmp_path):
    path = spoilt(tmp_path, how)
    with pytest.raises((RecordingError, ClockError)) as caught:
        opened(tmp_path)
    text = str(caught.value)
    assert text.startswith(f"1 of 4 files cannot be used ({path.name}: {BAD[how]}")
    assert "on_bad='skip' to leave them out" in text
    assert ("on_bad='use'" in text) == (how == "truncated")
    assert ("timestamp=" in text) == (how in ("no time", "impossible date"))


@pytest.mark.parametrize("how", BAD)
@pytest.mark.parametrize("on_bad", ["skip", "use"])
def test_a_bad_file_left_out_is_told_and_counted(how, on_bad, tmp_path, caplog):
    path = spoilt(tmp_path, how)
    with caplog.at_level(logging.WARNING, "reelarray"):
        x = opened(tmp_path, on_bad=on_bad)
    if how == "truncated" and on_bad == "use":
        assert x.values.tobytes() == values(np.concatenate([noise(k) for k in range(4)])[:3750]).tobytes()
        assert "files_left_out" not in x.attrs
        return
    assert x.values.tobytes() == values(np.concatenate([noise(k) for k in range(3)])).tobytes()
    assert x.attrs["files_left_out"] == 1
    assert path.name in caplog.text
    assert BAD[how] in caplog.text


@pytest.mark.parametrize("how", ["unreadable", "text", "empty", "no samples"])
def test_where_nothing_is_left_nothing_is_opened(how, tmp_path):
    path = spoilt(tmp_path, how)
    for on_bad in ("raise", "skip", "use"):
        with pytest.raises(RecordingError, match=rf"{path.name}"):
            opened(path, on_bad=on_bad)


def test_many_bad_files_are_listed_in_part(tmp_path):
    deployment(tmp_path, [0])
    for k in range(1, 31):
        named(tmp_path, k).write_text("no audio")
    with pytest.raises(RecordingError, match="30 of 31 files cannot be used") as caught:
        opened(tmp_path)
    assert "and 20 more" in str(caught.value)


@pytest.mark.parametrize(
    "paths", [lambda d: d, lambda d: str(d / "*.wav"), lambda d: d / "gone.wav", lambda d: [d / "a.wav", d / "b.wav"]]
)
def test_nothing_there_is_a_file_not_found(paths, tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        opened(paths(tmp_path))


def test_a_file_without_permission_is_named(tmp_path, monkeypatch):
    deployment(tmp_path, [0, 1])
    locked = named(tmp_path, 1)
    real_open, real_os_open = open, os.open

    def refuse(path, real, *args, **options):
        if not isinstance(path, int) and os.fspath(path) == str(locked):
            raise PermissionError(13, "Permission denied", str(locked))
        return real(path, *args, **options)

    monkeypatch.setattr("builtins.open", lambda path, *a, **o: refuse(path, real_open, *a, **o))
    monkeypatch.setattr(os, "open", lambda path, *a, **o: refuse(path, real_os_open, *a, **o))
    with pytest.raises(RecordingError, match=rf"{locked.name}: unreadable.*[Pp]ermission.*on_bad='skip'"):
        opened(tmp_path)
    assert opened(tmp_path, on_bad="skip").sizes["time"] == 1000
    monkeypatch.undo()
    x = opened(tmp_path)
    monkeypatch.setattr("builtins.open", lambda path, *a, **o: refuse(path, real_open, *a, **o))
    monkeypatch.setattr(os, "open", lambda path, *a, **o: refuse(path, real_os_open, *a, **o))
    with pytest.raises(PermissionError, match=locked.name):
        x.compute()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    deployment(tmp_path, [0, 1])
    named(tmp_path, 1).chmod(0)
    with pytest.raises(RecordingError, match=named(tmp_path, 1).name):
        opened(tmp_path)


# ---- files that change under our feet --------------------------------------------------------------------------------


COMPUTE = {
    "samples": lambda x: x.compute(),
    "spectrogram": lambda x: ra.spectrogram(x, nfft=64, block=10).compute(),
    "averages": lambda x: ra.average(x, every="1s").compute(),
}


@pytest.mark.parametrize("compute", COMPUTE.values(), ids=COMPUTE)
def test_what_changed_after_the_scan_is_an_error_at_compute(compute, tmp_path):
    deployment(tmp_path)
    changed = named(tmp_path, 2)
    x = opened(tmp_path)
    write(changed, noise(7, 900))
    with pytest.raises(TruncatedFile, match=r"frames were expected, .* are there.*scan again") as caught:
        compute(x)
    assert str(changed) in str(caught.value)
    write(changed, noise(7, 1000))
    os.utime(changed, ns=(1, 1))
    with pytest.raises(FormatError, match=rf"{changed} changed since it was scanned.*scan or open it again"):
        compute(x)
    changed.unlink()
    with pytest.raises(FileNotFoundError, match=str(changed)):
        compute(x)


def test_a_changed_file_outside_the_selection_harms_nothing(tmp_path):
    counts = deployment(tmp_path)
    x = opened(tmp_path, chunks=1000)
    named(tmp_path, 2).unlink()
    assert x[:2000].values.tobytes() == values(counts[:2].ravel()).tobytes()
    with pytest.raises(FileNotFoundError):
        x[:2001].compute()


# ---- mixtures --------------------------------------------------------------------------------------------------------


def test_mixed_rates_list_the_groups_and_how_to_choose_one(tmp_path):
    deployment(tmp_path, [0, 1, 2])
    write(named(tmp_path, 3), noise(3, 2000), rate=2000)
    with pytest.raises(RecordingError) as caught:
        opened(tmp_path)
    text = str(caught.value)
    assert f"1000 Hz: 3 files, such as {named(tmp_path, 0).name}" in text
    assert f"2000 Hz: 1 files, such as {named(tmp_path, 3).name}" in text
    assert text.endswith("Choose one with rate=1000")
    for on_bad in ("skip", "use"):
        with pytest.raises(RecordingError, match="Choose one with rate=1000"):
            opened(tmp_path, on_bad=on_bad)
    assert opened(tmp_path, rate=1000).sizes["time"] == 3000
    assert opened(tmp_path, rate=2000.0).sizes["time"] == 2000
    assert opened(tmp_path, rate=1000).attrs["files_left_out"] == 1
    with pytest.raises(RecordingError, match=r"rate=500: no file has it; there are 1000 \(3 files\), 2000 \(1 files\)"):
        opened(tmp_path, rate=500)


def test_mixed_channels_list_the_groups_and_how_to_choose_one(tmp_path):
    deployment(tmp_path, [0, 1])
    write(named(tmp_path, 2), noise(3, channels=2))
    with pytest.raises(
        RecordingError, match=r"1: 2 files, such as .*; 2: 1 files, such as .*Choose one with channels=1"
    ):
        opened(tmp_path)
    assert opened(tmp_path, channels=2).dims == ("time", "channel")
    assert opened(tmp_path, channels=1).dims == ("time",)
    with pytest.raises(RecordingError, match="channels=3: no file has it"):
        opened(tmp_path, channels=3)


@pytest.mark.parametrize(
    ("column", "other", "told"),
    [
        ("units", "V", "2 different units cannot be one recording: 1: 3 files.*V: 1 files, such as 20220301_000005"),
        ("shape", (RATE, 1, 1), r"2 different shapes of a frame .*\(\): 3 files.*\(1, 1\): 1 files, such as 20220301"),
    ],
)
def test_units_and_shapes_of_frames_must_agree(column, other, told, tmp_path):
    deployment(tmp_path)
    catalog = ra.scan(tmp_path, timestamp=STAMP, cache=False)
    assert ra.open_recordings(catalog).attrs["units"] == "1"
    catalog[column] = [*catalog[column][:3], other]
    with pytest.raises(RecordingError, match=told) as caught:
        ra.open_recordings(catalog)
    assert "exclude=" in str(caught.value)
    assert ra.open_recordings(catalog[:3]).sizes["time"] == 3 * RATE


def test_a_local_time_that_occurs_twice_names_the_file_and_both_readings(tmp_path):
    write(tmp_path / "20221030_023000_000000.wav", noise(0))
    told = r"20221030_023000_000000\.wav: .* occurs twice in Europe/Paris.*ambiguous='earlier' or 'later'"
    with pytest.raises(ClockError, match=told):
        opened(tmp_path, timezone="Europe/Paris")
    early, late = (
        opened(tmp_path, timezone="Europe/Paris", ambiguous=a)["time"].values[0] for a in ("earlier", "later")
    )
    assert late - early == np.timedelta64(1, "h")


# ---- impossible wishes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"overlap": "longest"}, RecordingError, "overlap='longest' was given; one of error, first, last"),
        ({"on_bad": "ignore"}, RecordingError, "on_bad='ignore' was given; one of raise, skip, use"),
        ({"chunks": 0}, RecordingError, "chunks=0 was given; 'auto' or a number of samples"),
        ({"chunks": "1MB"}, RecordingError, "chunks='1MB' was given"),
        ({"chunks": True}, RecordingError, "chunks=True was given"),
        ({"dtype": "int16"}, RecordingError, "float32 or float64 was expected"),
        ({"dtype": "float32", "calibrated": False}, RecordingError, "counts keep the type"),
        ({"calibrated": False, "sensitivity": -170.0}, RecordingError, "calibrated=False gives counts"),
        ({"rate": "fast"}, ClockError, "rate='fast' is not a number"),
    ],
)
def test_impossible_options_are_named_with_what_was_expected(options, error, told, tmp_path):
    deployment(tmp_path)
    with pytest.raises(error, match=told):
        opened(tmp_path, **options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"hop": 0}, "hop=0: a whole number of samples, 1 or more"),
        ({"hop": -5}, "hop=-5"),
        ({"hop": 2.5}, "hop=2.5"),
        ({"nfft": 0}, "nfft=0"),
        ({"nfft": 4096}, r"a window of 4096 samples .* fits no stretch .* \(the longest has 3000\)"),
        ({"window": "hanning-ish"}, "hanning-ish"),
        ({"scaling": "power"}, "scaling="),
        ({"block": 0}, "block=0"),
    ],
)
def test_impossible_spectra_are_refused_before_anything_is_read(options, told, tmp_path):
    deployment(tmp_path)
    x = opened(tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(RecordingError, match=told):
        ra.spectrogram(x, **({"nfft": 64} | options))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"tolerence": 1},
            r"open_recordings\(\) has no keyword 'tolerence'; did you mean 'tolerance'\?; it takes .*begin",
        ),
        ({"timezon": "UTC"}, r"no keyword 'timezon'; did you mean 'timezone'\?"),
        ({"zero_tial": True}, r"no keyword 'zero_tial'; did you mean 'zero_tail'\?"),
        ({"zero_tail": True, "format": "libsndfile"}, r"no keyword 'zero_tail'; it takes "),
    ],
)
def test_a_mistyped_keyword_is_named_with_the_nearest(options, told, tmp_path):
    deployment(tmp_path)
    with pytest.raises(TypeError, match=told):
        opened(tmp_path, **options)
    if "tolerence" not in options:
        with pytest.raises(TypeError, match=told):
            ra.scan(tmp_path, timestamp=STAMP, cache=False, **options)
    assert opened(tmp_path, zero_tail=True).sizes["time"] == 4 * RATE


def test_an_option_that_one_of_the_formats_has_not_names_the_file(tmp_path):
    deployment(tmp_path, [0])
    soundfile.write(named(tmp_path, 1).with_suffix(".flac"), noise(1).astype(np.int16), RATE)
    with pytest.raises(TypeError, match=r"\.flac: its format 'libsndfile' takes no options, and zero_tail= was given"):
        opened(tmp_path, zero_tail=True)


def test_a_catalog_takes_no_keywords_of_the_scan(tmp_path):
    deployment(tmp_path)
    catalog = ra.scan(tmp_path, timestamp=STAMP, cache=False)
    with pytest.raises(RecordingError, match=r"timestamp: a catalog was given, so these belong to ra\.scan"):
        ra.open_recordings(catalog, timestamp=STAMP)


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (lambda c: c[::-1], ClockError, r"not in order of time: catalog\.sort_values\('start'\)"),
        (lambda c: c[:0], RecordingError, r"no files; ra\.scan\(folder\) makes one"),
        (
            lambda c: c[["path", "start"]],
            RecordingError,
            r"without format, stop, .*a catalog from ra\.scan was expected",
        ),
    ],
)
def test_a_catalog_that_is_none_is_refused(change, error, told, tmp_path):
    deployment(tmp_path)
    with pytest.raises(error, match=told):
        ra.open_recordings(change(ra.scan(tmp_path, timestamp=STAMP, cache=False)))


# ---- real recordings -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def osekit(shared):
    return ra.open_recordings(
        str(shared / "data/audio/osekit_timestamped/*.wav"), timestamp="sample_%y%m%d_%H%M%S", cache=False
    )


def test_the_osekit_folder_is_two_stretches(osekit):
    assert osekit.sizes["time"] == 4_800_000
    assert ra.rate(osekit) == 48_000
    clock = clock_of(osekit)
    assert (clock.gaps, clock.first.tolist()) == (1, [0, 2_400_000])
    assert osekit["time"].values[[0, 2_399_999, 2_400_000]].astype(str).tolist() == [
        "2022-09-25T22:34:50.000000000",
        "2022-09-25T22:35:39.999979166",
        "2022-09-25T22:36:00.000000000",
    ]
    assert ra.segments(osekit)["joined"].tolist() == [False, True, True, True, True] * 2


def test_selections_of_the_osekit_folder_hit_their_samples(osekit, shared):
    folder = shared / "data/audio/osekit_timestamped"
    at = osekit.sel(time="2022-09-25T22:35:30")
    assert at.sizes["time"] == 48_000
    counts, _ = soundfile.read(folder / "sample_220925_223530.wav", dtype="float32", frames=48_000)
    assert at.values.tobytes() == counts.tobytes()
    assert osekit.sel(time="2022-09-25T22:35:50").sizes["time"] == 0
    assert osekit.sel(time=slice("2022-09-25T22:35:39", "2022-09-25T22:36:00")).sizes["time"] == 96_000
    files = [soundfile.read(p, dtype="float32")[0] for p in sorted(folder.glob("*.wav"))]
    assert osekit.values.tobytes() == np.concatenate(files).tobytes()


def test_windows_of_the_osekit_folder_span_files_and_no_gap(osekit):
    s = ra.spectrogram(osekit, nfft=1024, hop=512)
    assert s.sizes["time"] == 9372
    clock = clock_of(s)
    assert clock.first.tolist() == [0, 4686]
    begins = clock.begins(np.arange(clock.size))
    assert not ((begins > np.datetime64("2022-09-25T22:35:40", "ns").astype(int) - 1024 * 10**9 // 48000)
                & (begins < np.datetime64("2022-09-25T22:36:00", "ns").astype(int))).any()  # fmt: skip
    borders = np.datetime64("2022-09-25T22:35:00", "ns").astype(int)
    spanning = (begins < borders) & (begins + 1024 * 10**9 // 48000 > borders)
    assert spanning.any()


def test_the_filled_osekit_folder_has_its_gap_as_nan(osekit):
    x = ra.fill_gaps(osekit)
    assert x.sizes["time"] == 5_760_000
    missing = np.isnan(x.values)
    assert missing.sum() == 960_000
    assert missing[2_400_000:3_360_000].all()
    s = ra.spectrogram(x, nfft=1024, hop=512)
    first = np.arange(s.sizes["time"]) * 512
    touches = (first + 1024 > 2_400_000) & (first < 3_360_000)
    assert (np.isnan(s.values).any(axis=1) == touches).all()


def test_a_header_that_declares_less_than_the_file_holds_is_not_opened_unless_told(tmp_path):
    samples = np.arange(8000, dtype="<i2")
    path = tmp_path / "20220301_000000.wav"
    path.write_bytes(
        b"RIFF" + (36 + 1600).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
        + b"\1\0\1\0" + (8000).to_bytes(4, "little") + (16000).to_bytes(4, "little") + b"\2\0\x10\0"
        + b"data" + (1600).to_bytes(4, "little") + samples.tobytes()
    )  # fmt: skip
    for on_bad in ("raise", "skip"):
        with pytest.raises(RecordingError, match=r"20220301_000000\.wav.*on_bad='use'"):
            ra.open_recordings(tmp_path, cache=False, on_bad=on_bad)
    assert ra.open_recordings(tmp_path, cache=False, on_bad="use").sizes["time"] == 800
