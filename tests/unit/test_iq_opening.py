"""Opening files of pairs I, Q, and files in which time jumps: clocks, values, counts, catalogs."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import reelarray as ra
from reelarray import catalog, formats
from reelarray.errors import RecordingError
from reelarray.joining import Files, join_files

sys.path.insert(0, str(Path(__file__).parent / "formats"))
from analyser_files import CENTER, RATE, SCALING, START_NS, write_tiq


@pytest.fixture
def jumping(tmp_path):
    """Four parts of 1000 samples with 10, 20 and 30 ms between them: its path and counts."""
    path = tmp_path / "run.tiq"
    return path, write_tiq(path, 4000, datasets=4, gaps=[0.01, 0.02, 0.03])


def volts(counts: np.ndarray) -> np.ndarray:
    return (counts.astype(np.float32) * np.float32(SCALING)).view(np.complex64)[:, 0]


def test_pairs_become_complex_volts_to_the_bit(jumping):
    path, counts = jumping
    x = ra.open_recording(path, cache=False)
    assert (x.dtype, x.dims, x.attrs["units"]) == (np.complex64, ("time",), "V")
    np.testing.assert_array_equal(x.values, volts(counts))
    exact = ra.open_recording(path, cache=False, dtype="complex128").values
    np.testing.assert_array_equal(exact, (counts * SCALING).view(np.complex128)[:, 0])


def test_counts_keep_an_axis_of_their_own(jumping):
    path, counts = jumping
    x = ra.open_recording(path, cache=False, calibrated=False)
    assert x.dims == ("time", "iq")
    assert x["iq"].values.tolist() == ["I", "Q"]
    np.testing.assert_array_equal(x.values, counts)
    np.testing.assert_array_equal(x.sel(iq="Q").values, counts[:, 1])


def test_what_the_header_knows_are_coordinates_and_attributes(jumping):
    x = ra.open_recording(jumping[0], cache=False)
    assert float(x["center_frequency"]) == CENTER
    assert str(x["instrument"].values) == "RSA5103A"
    assert x.attrs["utc_offset"] == "+02:00"
    assert len(x.attrs["segments"]) == 4
    s = ra.spectrogram(x, nfft=256)
    assert float(s["center_frequency"]) == CENTER
    assert float(s["frequency"][128]) == CENTER


def test_each_jump_of_time_begins_a_stretch(jumping):
    x = ra.open_recording(jumping[0], cache=False)
    table = ra.segments(x)
    assert table["samples"].tolist() == [1000] * 4
    assert not table["joined"].any()
    part = 1000 / RATE
    starts = [0, part + 0.01, 2 * part + 0.03, 3 * part + 0.06]
    np.testing.assert_array_equal(
        table["start"].to_numpy().astype(np.int64), START_NS + np.rint(np.array(starts) * 1e9).astype(np.int64)
    )
    assert ra.spectrogram(x, nfft=1000, hop=1).sizes["time"] == 4  # no window spans a jump


@pytest.mark.parametrize("tolerance", [None, 10.0])
def test_no_tolerance_joins_what_the_file_says_is_apart(jumping, tolerance):
    x = ra.open_recording(jumping[0], cache=False, tolerance=tolerance)
    assert len(ra.segments(x)) == 4
    assert not ra.segments(x)["joined"].any()


def test_files_follow_each_other_at_the_end_of_the_last_part(tmp_path):
    write_tiq(tmp_path / "a.tiq", 2000, datasets=2, gaps=[0.5])
    # 0.5 s and 2000 samples of 2.56 us after the first: without a gap
    write_tiq(tmp_path / "b.tiq", 1000, date_time="2014-08-01T10:33:16.4833927+02:00")
    x = ra.open_recordings(tmp_path, cache=False)
    assert ra.segments(x)[["samples", "joined"]].to_numpy().tolist() == [[1000, False], [1000, False], [1000, True]]


def test_a_file_may_have_recorded_in_a_pause_of_another(tmp_path):
    first = write_tiq(tmp_path / "a.tiq", 2000, datasets=2, gaps=[5.0])
    second = write_tiq(tmp_path / "b.tiq", 1000, date_time="2014-08-01T10:33:17.9782727+02:00")
    x = ra.open_recordings(tmp_path, cache=False)
    np.testing.assert_array_equal(x.values, volts(np.concatenate([first[:1000], second, first[1000:]])))
    assert (np.diff(x["time"].values.astype(np.int64)) > 0).all()


def test_files_of_other_centres_are_no_recording(tmp_path):
    write_tiq(tmp_path / "a.tiq", 100)
    write_tiq(tmp_path / "b.tiq", 100, center_frequency=1e6, date_time="2014-08-01T10:34:00+02:00")
    with pytest.raises(RecordingError, match=r"2 different centre frequencies.*244778900 Hz: 1 files.*1000000 Hz"):
        ra.open_recordings(tmp_path, cache=False)


def test_pairs_make_no_real_numbers(jumping):
    with pytest.raises(RecordingError, match="complex64"):
        ra.open_recording(jumping[0], cache=False, dtype="float32")


def test_catalogs_and_caches_keep_it_all(jumping, tmp_path):
    path, counts = jumping
    table = ra.scan(path.parent, cache=tmp_path / "cache")
    again = ra.scan(path.parent, cache=tmp_path / "cache")
    assert again.attrs["headers_cached"] == 1
    assert again.equals(table)
    assert table["channels"].tolist() == [1]
    catalog.save(table, tmp_path / "catalog.json")
    loaded = catalog.load(tmp_path / "catalog.json")
    assert loaded.equals(table)
    x = ra.open_recordings(loaded)
    assert x.identical(ra.open_recording(path, cache=False))
    np.testing.assert_array_equal(x.values, volts(counts))


def test_the_stop_of_a_file_is_the_end_of_its_last_part(jumping):
    table = ra.scan(jumping[0], cache=False)
    took = (table["stop"] - table["start"]).dt.total_seconds().iloc[0]
    assert took == pytest.approx(4000 / RATE + 0.06, abs=1e-8)


def test_back_to_back_counts_the_jumps(tmp_path):
    for name in ("1.tiq", "2.tiq"):
        write_tiq(tmp_path / name, 2000, datasets=2, gaps=[0.5], date_time=None)
    x = ra.open_recordings(tmp_path, cache=False, start="2022-01-01")
    starts = ra.segments(x)["start"].to_numpy()
    assert (starts[2] - starts[0]) / np.timedelta64(1, "ns") == 2000 / RATE * 1e9 + 0.5e9


def test_without_a_date_times_count_from_the_first_sample(tmp_path):
    write_tiq(tmp_path / "a.tiq", 2000, datasets=2, gaps=[0.5], date_time=None)
    x = ra.open_recording(tmp_path / "a.tiq", cache=False)
    assert x["time"].dtype.kind == "m"
    assert x["time"].values[1000] == np.timedelta64(round((1000 / RATE + 0.5) * 1e9), "ns")


def test_xarray_opens_it_lazily(jumping):
    path, counts = jumping
    with xr.open_dataset(path, engine="reelarray") as found:
        np.testing.assert_array_equal(found["samples"][990:1010].values, volts(counts)[990:1010])


def test_a_search_of_folders_passes_over_suffixes_that_say_nothing(tmp_path):
    write_tiq(tmp_path / "a.TIQ", 100)
    for name in ("notes.txt", "times.csv", "dump.bin"):
        (tmp_path / name).write_text("1,2")
    assert [Path(p).name for p in ra.scan(tmp_path, cache=False)["path"]] == ["a.TIQ"]


def test_finished_is_what_the_header_declares(tmp_path):
    path = tmp_path / "a.tiq"
    write_tiq(path, 1000, keep=0.5)
    assert formats.is_complete(path) is False
    write_tiq(path, 1000)
    assert formats.is_complete(path) is True
    path.write_bytes(b"")
    assert formats.is_complete(path) is False


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_spectra_of_pairs_do_not_depend_on_how_they_are_cut(tmp_path_factory, data):
    """From the file's integers, in memory, and for any chunks: the same bits, by both engines."""
    folder = tmp_path_factory.mktemp("cut")
    parts = data.draw(st.integers(1, 5))
    counts = write_tiq(
        folder / "a.tiq", parts * data.draw(st.integers(100, 700)), datasets=parts, gaps=[0.01] * (parts - 1)
    )
    chunks, block = data.draw(st.integers(1, 900)), data.draw(st.integers(1, 20))
    settings_ = {
        "nfft": data.draw(st.sampled_from([32, 50, 64])),
        "hop": data.draw(st.integers(1, 90)),
        "detrend": data.draw(st.sampled_from([False, "constant", "linear"])),
        "engine": data.draw(st.sampled_from(["scipy", "numba"])),
    }
    lazy = ra.open_recording(folder / "a.tiq", cache=False, chunks=chunks)
    eager = lazy.copy(data=volts(counts))
    want = ra.spectrogram(eager, **settings_).values
    np.testing.assert_array_equal(ra.spectrogram(lazy, block=block, **settings_).values, want)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 10**6)), max_size=6))
def test_parts_of_a_file_have_all_its_frames_once(pieces):
    import pandas as pd

    breaks, frame, ns = [], 0, 0
    for length, gap in pieces:
        frame, ns = frame + length, ns + length * 10**6 + gap
        breaks.append((frame, ns))
    rows = pd.DataFrame({"path": ["a"], "start": [pd.Timestamp(0)], "exact_rate": ["1000"], "samples": [frame + 7]})
    rows["breaks"] = np.fromiter([tuple(breaks)], object, 1)
    made = join_files(Files.of(rows, None), "error")
    assert made.skip.tolist() == [0, *(first for first, _ in breaks)]
    assert made.start.tolist() == [0, *(since for _, since in breaks)]
    assert made.count.sum() == frame + 7
    assert not made.joined.any()


def test_what_the_instrument_reported_is_told(tmp_path, caplog):
    write_tiq(tmp_path / "a.tiq", 100, errors=[("7", "ADC overflow")])
    x = ra.open_recording(tmp_path / "a.tiq", cache=False)
    assert "a.tiq: instrument_errors: the instrument reported errors" in caplog.text
    assert "ADC overflow" in str(x.attrs["segments"])


def test_counts_are_no_volts_and_say_what_they_are_worth(jumping, tmp_path):
    path, counts = jumping
    x = ra.open_recording(path, cache=False, calibrated=False)
    assert (x.attrs["units"], x.attrs["scale"], x.attrs["scale_units"]) == ("1", SCALING, "V")
    again = ra.open_recording(ra.write_sigmf(x, tmp_path / "again.sigmf-meta"), cache=False)
    assert again.attrs["units"] == "V"
    np.testing.assert_array_equal(again.values, volts(counts))


def test_a_description_beside_its_file_is_no_second_recording(jumping):
    path, counts = jumping
    meta = ra.write_sigmf_sidecar(path)
    both = ra.open_recordings(path.parent, cache=False)
    np.testing.assert_array_equal(both.values, volts(counts))
    np.testing.assert_allclose(ra.open_recording(meta, cache=False).values, volts(counts), rtol=1e-6)


def test_a_file_that_fills_the_pause_of_another_joins_both(tmp_path):
    """1000 samples are 2.56 ms: a, b, and the rest of a follow each other without a gap."""
    first = write_tiq(tmp_path / "a.tiq", 2000, datasets=2, gaps=[1000 / RATE])
    second = write_tiq(tmp_path / "b.tiq", 1000, date_time="2014-08-01T10:33:15.9808327+02:00")
    x = ra.open_recordings(tmp_path, cache=False)
    assert ra.segments(x)["joined"].tolist() == [False, True, True]
    np.testing.assert_array_equal(x.values, volts(np.concatenate([first[:1000], second, first[1000:]])))


def test_parts_of_a_file_are_read_as_one(tmp_path, monkeypatch):
    from reelarray.formats.pcm import PcmSource

    counts = write_tiq(tmp_path / "a.tiq", 4000, datasets=40, gaps=[0.01] * 39)
    reads = []
    real = PcmSource.read
    monkeypatch.setattr(PcmSource, "read", lambda self, *range_: reads.append(range_) or real(self, *range_))
    np.testing.assert_array_equal(ra.open_recording(tmp_path / "a.tiq", cache=False).values, volts(counts))
    assert reads == [(0, 4000)]


def test_attributes_of_one_file_are_not_those_of_several(tmp_path):
    for k in range(2):
        write_tiq(tmp_path / f"{k}.tiq", 100, date_time=f"2014-08-01T10:33:{k}0+02:00")
    x = ra.open_recordings(tmp_path, cache=False)
    assert "segments" not in x.attrs
    assert x.attrs["bandwidth"] == 312_500


def test_headers_that_are_made_of_other_files_are_read_each_time(tmp_path):
    import json

    meta = tmp_path / "x.sigmf-meta"
    about = {"core:datatype": "cf32_le", "core:version": "1.2.0", "core:sample_rate": 100.0}
    document = {"global": about, "captures": [{"core:sample_start": 0}], "annotations": []}
    meta.write_text(json.dumps(document))
    for frames in (10, 20):
        (tmp_path / "x.sigmf-data").write_bytes(bytes(8 * frames))
        assert ra.open_recording(meta, cache=tmp_path / "kept.json").sizes["time"] == frames


@pytest.mark.parametrize("rate", [1e38, 2e9, 1e-9])
def test_rates_that_no_clock_can_tell_are_errors_of_their_file_alone(tmp_path, rate):
    np.zeros(1000, np.complex64).tofile(tmp_path / "x.cf32")
    with pytest.raises(RecordingError, match=r"x\.cf32.*no recording that a clock in nanoseconds can tell"):
        ra.open_recording(tmp_path / "x.cf32", rate=rate, cache=False)


@pytest.mark.parametrize("dtype", ["complex64", np.complex64, np.dtype("<c8"), "cf32_le"])
def test_headerless_samples_of_a_type_that_numpy_names(tmp_path, dtype):
    values = np.arange(20, dtype=np.float32).view(np.complex64)
    values.tofile(tmp_path / "x.dat")
    x = ra.open_recording(tmp_path / "x.dat", format="raw", rate="48000/1.001", dtype=dtype, cache=False)
    np.testing.assert_array_equal(x.values, values)
    assert float(ra.rate(x)) == pytest.approx(48000 / 1.001)


@pytest.mark.parametrize("transform", [ra.spectrogram, ra.power_spectrum, ra.stft])
def test_counts_of_pairs_are_no_two_channels(jumping, transform):
    counts = ra.open_recording(jumping[0], cache=False, calibrated=False)
    with pytest.raises(RecordingError, match="complex samples were expected: open them without calibrated=False"):
        transform(counts, nfft=64)
