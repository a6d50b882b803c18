"""Times of frames: what their files may look like, what is an error, where there are gaps, and the rate."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from depth_recordings import write_recording
from hypothesis import assume, given
from hypothesis import strategies as st

import reelarray as ra
from reelarray import formats
from reelarray.errors import ClockError, FormatError
from reelarray.formats.depth import stamps

PERIOD = 1000 / 30


def regular(count, period=PERIOD):
    return period * np.arange(1, count + 1)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("33.3 10\n66.7 11\n", [33.3, 66.7]),
        ("33.3\t0\r\n\r\n  66.7\t0\r\n\n\n", [33.3, 66.7]),
        ("\ufeff33.3,0\n66.7 , 0", [33.3, 66.7]),
        ("time device\n1e3 0\n2e3 0\n", [1000.0, 2000.0]),
        ("# ms\n\n5\n", [5.0]),
        ("", []),
        ("\n \n", []),
    ],
)
def test_files_of_times(tmp_path, text, values):
    (tmp_path / "depth_ts.txt").write_bytes(text.encode())
    np.testing.assert_array_equal(stamps.read_stamps(str(tmp_path / "depth_ts.txt")), values)


def test_csv_is_in_seconds(tmp_path):
    path = tmp_path / "timestamps.csv"
    path.write_text("time, counter\n0.5, 1\n0.75 2\n1\n")
    np.testing.assert_array_equal(stamps.read_stamps(str(path)), [500.0, 750.0, 1000.0])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1 0\n2 0\nx 0\n4 0\n", r"line 3: 'x 0' was found"),
        ("ms\nunits\n1\n", r"line 2: 'units'"),
        ("1\n2\n\0\0\0\0", r"line 3"),
        ("1\n2\nnan\n", r"time of frame 2 is nan"),
        ("1\ninf\n", r"time of frame 1 is inf"),
        ("1\n2e12\n", r"time of frame 1 is 2e\+12"),
    ],
)
def test_lines_that_are_no_times_are_named(tmp_path, text, told):
    path = tmp_path / "depth_ts.txt"
    path.write_text(text)
    with pytest.raises(FormatError, match=told) as caught:
        stamps.read_stamps(str(path))
    assert str(path) in str(caught.value)


def test_a_file_that_changed_is_read_again(tmp_path):
    path = tmp_path / "depth_ts.txt"
    path.write_text("1\n2\n")
    assert len(stamps.read_stamps(str(path))) == 2
    path.write_text("1\n2\n3\n")
    assert len(stamps.read_stamps(str(path))) == 3


def test_times_are_the_clock_of_the_recording(tmp_path):
    ms = np.cumsum(np.random.default_rng(1).uniform(25, 40, 30))
    ms[12:] += 100
    path, film = write_recording(tmp_path, 30, ms=ms)
    x = ra.open_recording(path, chunks=7)
    expected = np.datetime64("2026-01-02T08:04:05.678901200") + np.rint((ms - ms[0]) * 1e6).astype("m8[ns]")
    np.testing.assert_array_equal(x["time"], expected)
    np.testing.assert_array_equal(x["timestamps"], ms)
    np.testing.assert_array_equal(x, film)
    assert x.dims == ("time", "y", "x")
    assert x.dtype == np.uint16
    assert x.attrs["units"] == "mm"
    assert x["time"].to_index().is_monotonic_increasing
    assert x.isel(time=slice(3, 20, 2))["timestamps"].values.tolist() == ms[3:20:2].tolist()


@pytest.mark.parametrize("file", ["depth_ts.txt", "timestamps.csv"])
def test_header_has_gaps_and_rate(tmp_path, file):
    ms = regular(20)
    ms[5:] += PERIOD
    ms[11:] += 5 * PERIOD
    path, _ = write_recording(tmp_path, ms=ms, stamps=file)
    header = formats.probe(path)
    assert header.rate == 30
    assert [frame for frame, _ in header.breaks] == [5, 11]
    assert [ns for _, ns in header.breaks] == pytest.approx([6 * PERIOD * 1e6, 17 * PERIOD * 1e6], abs=1)
    assert header.flags == ()
    np.testing.assert_allclose(formats.get_format("depth").times(path, 20, header.layout), ms, rtol=1e-15)


@given(st.lists(st.floats(0.1, 200), min_size=1, max_size=40))
def test_a_gap_is_a_step_of_more_than_one_and_a_half_medians(steps):
    ms = np.cumsum([0.0, *steps])
    exact = np.diff(ms)
    assume((np.abs(exact - 1.5 * np.median(exact)) > 1e-9).all())
    expected = [k + 1 for k, step in enumerate(exact) if step > 1.5 * np.median(exact)]
    assert [frame for frame, _ in stamps.gaps(ms)] == expected


@pytest.mark.parametrize(
    ("ms", "rate"),
    [
        (regular(2), 30),
        (np.rint(regular(400)), 30),  # whole ms: 33, 33, 34
        (np.rint(regular(8)), 30),
        (regular(400) + np.random.default_rng(0).normal(0, 0.3, 400), 30),
        (regular(300, 1000 / 15), 15),
        (regular(300, 1000 / 29.98), 30),
        (regular(300, 1000 / 29.9), Fraction("29.9")),
        (regular(5, 1000 / 29.9), Fraction("29.9")),
        (regular(300, 1000 / 27.43), Fraction("27.43")),
        (regular(50, 4000), Fraction(1, 4)),
        (np.delete(regular(300), [50, 51, 52, 100, 101, 200]), 30),
        (np.append(regular(100), 10000 + regular(100)), 30),
        (np.append(regular(10), 1015 + regular(10)), 30),  # a pause of no whole number of frames
    ],
)
def test_nominal_rate(ms, rate):
    assert stamps.nominal_rate(np.asarray(ms), Fraction(99)) == rate


@given(st.integers(2, 200), st.floats(1, 400), st.integers(0, 2**32 - 1))
def test_the_rate_is_right_whatever_is_dropped(count, hertz, seed):
    random = np.random.default_rng(seed)
    ms = 1000 / hertz * np.cumsum(random.choice([1, 1, 1, 1, 1, 1, 2, 3], count))
    steps = np.diff(ms)
    assume(np.median(steps) < 1100 / hertz)
    assert float(stamps.nominal_rate(ms, Fraction(7))) == pytest.approx(hertz, rel=1.001e-3 if count > 9 else 0.0101)


@pytest.mark.parametrize(("frame", "shift", "how"), [(7, -50, "goes back from"), (7, -PERIOD, "is the same as")])
def test_times_that_do_not_increase(tmp_path, frame, shift, how):
    ms = regular(20)
    ms[frame:] += shift
    ms[frame] = ms[frame - 1] if how.startswith("is") else ms[frame]
    path, _ = write_recording(tmp_path, ms=ms)
    told = rf"depth_ts.txt: the time of frame 7, {float(ms[7])!r} ms, {how} that of frame 6, {float(ms[6])!r} ms"
    for on_mismatch in ("error", "trim", "ignore"):
        with pytest.raises(ClockError, match=told.replace(".", r"\.")):
            formats.probe(path, on_mismatch=on_mismatch)
    header = formats.probe(path, timestamps=False)
    assert (header.rate, header.flags, header.breaks) == (30, ("no_timestamps",), ())
    x = ra.open_recording(path, timestamps=False)
    assert "timestamps" not in x.coords
    assert (x["time"][1] - x["time"][0]).values == np.timedelta64(33333333, "ns")


@given(st.lists(st.floats(-5, 60, width=32), min_size=2, max_size=30))
def test_the_first_step_back_is_the_one_that_is_named(steps):
    ms = np.cumsum(np.asarray(steps, float))
    bad = [k + 1 for k in range(len(ms) - 1) if round((ms[k + 1] - ms[0]) * 1e6) <= round((ms[k] - ms[0]) * 1e6)]
    if not bad:
        stamps.check_increasing("x", ms)
    else:
        with pytest.raises(ClockError, match=rf"time of frame {bad[0]}, .* that of frame {bad[0] - 1}"):
            stamps.check_increasing("x", ms)


@pytest.mark.parametrize(("times", "frames"), [(17, 20), (23, 20)])
def test_as_many_times_as_frames_were_expected(tmp_path, times, frames):
    path, film = write_recording(tmp_path, frames, ms=regular(times))
    with pytest.raises(FormatError, match=rf"depth_ts.txt has {times} times, .*depth.dat has {frames} frames"):
        formats.probe(path)
    with pytest.raises(ValueError, match="on_mismatch='trim'"):
        ra.open_recording(path)
    fewer = min(times, frames)
    trimmed = ra.open_recording(path, on_mismatch="trim")
    np.testing.assert_array_equal(trimmed, film[:fewer])
    np.testing.assert_array_equal(trimmed["timestamps"], regular(fewer))
    ignored = ra.open_recording(path, on_mismatch="ignore")
    np.testing.assert_array_equal(ignored, film)
    np.testing.assert_allclose(ignored["timestamps"], regular(frames), rtol=1e-12)
    for on_mismatch in ("trim", "ignore"):
        assert formats.probe(path, on_mismatch=on_mismatch).flags == ("times_differ",)


def test_a_mismatch_is_told(tmp_path, caplog):
    path, _ = write_recording(tmp_path, 20, ms=regular(17))
    ra.open_recording(path, on_mismatch="trim")
    assert "depth_ts.txt has 17 times" in caplog.text
    assert "depth.dat has 20 frames; on_mismatch='trim'" in caplog.text


def test_on_mismatch_is_one_of_three(tmp_path):
    path, _ = write_recording(tmp_path)
    with pytest.raises(FormatError, match="on_mismatch='drop' was given; one of error, trim, ignore"):
        formats.probe(path, on_mismatch="drop")


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_times_to_tell_a_rate(tmp_path, count):
    path, _ = write_recording(tmp_path, 20, ms=regular(count))
    header = formats.probe(path, on_mismatch="ignore", fps=25)
    assert (header.frames, header.rate, header.flags) == (20, 25, ("times_differ", "no_timestamps"))
    assert formats.get_format("depth").times(path, 20, header.layout) is None
    if count:
        assert formats.probe(path, on_mismatch="trim").frames == 1
    else:
        with pytest.raises(FormatError, match="no frame is left"):
            formats.probe(path, on_mismatch="trim")


def test_one_frame(tmp_path):
    path, film = write_recording(tmp_path, 1)
    header = formats.probe(path)
    assert (header.frames, header.rate, header.breaks, header.flags) == (1, 30, (), ())
    x = ra.open_recording(path)
    np.testing.assert_array_equal(x, film)
    assert x["timestamps"].values.tolist() == [PERIOD]


def test_no_times_at_all(tmp_path, caplog):
    path, _ = write_recording(tmp_path, stamps=None)
    header = formats.probe(path)
    assert (header.rate, header.flags) == (30, ("no_timestamps",))
    x = ra.open_recording(path, fps="30/1.001")
    assert ra.rate(x) == Fraction(30000, 1001)
    assert "timestamps" not in x.coords
    assert "no_timestamps: nothing says when its frames were taken" in caplog.text


def test_a_file_of_times_elsewhere(tmp_path):
    path, _ = write_recording(tmp_path / "a", stamps=None)
    _, _ = write_recording(tmp_path / "b", ms=regular(20, 50.0), stamps="depth_ts.txt")
    header = formats.probe(path, timestamps=tmp_path / "b" / "depth_ts.txt")
    assert (header.rate, header.flags) == (20, ())
    with pytest.raises(FileNotFoundError, match=r"nothing\.txt"):
        formats.probe(path, timestamps=str(tmp_path / "nothing.txt"))


def test_depth_ts_comes_before_the_csv(tmp_path):
    path, _ = write_recording(tmp_path, ms=regular(20, 50.0))
    (tmp_path / "timestamps.csv").write_text("0\n")
    assert formats.probe(path).rate == 20


def test_times_that_changed_since_the_scan_are_loud(tmp_path):
    path, _ = write_recording(tmp_path)
    catalog = ra.scan([path], format="depth")
    (tmp_path / "depth_ts.txt").write_text("1\n2\n")
    with pytest.raises(FormatError, match=r"has 2 times now, .* was scanned with 20 frames"):
        ra.open_recordings(catalog)
