"""Folders to tables: the rows of good files, and for each kind of bad input a row or an error that names it."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recorder_files import RATE, add_bext, add_comment, deployment, write_wav

from reelarray import formats
from reelarray.catalog import NoFiles, scan
from reelarray.catalog.anomalies import codes, level
from reelarray.catalog.scan import COLUMNS
from reelarray.errors import ClockError, FormatError, RecordingError
from reelarray.source import Header


def names(table) -> list[str]:
    return [Path(path).name for path in table["path"]]


def row(table, name: str):
    [found] = [row for row in table.itertuples() if Path(row.path).name == name]
    return found


def found_codes(table) -> dict[str, list[str]]:
    return {Path(path).name: codes(text) for path, text in zip(table["path"], table["anomaly"], strict=True) if text}


def test_one_row_a_file_with_everything_that_opening_needs(tmp_path):
    paths = deployment(tmp_path, 3)
    table = scan(tmp_path, cache=False)
    assert tuple(table.columns) == COLUMNS
    assert table["path"].tolist() == [str(path) for path in paths]
    assert table["start"].dtype == table["stop"].dtype == "datetime64[ns]"
    assert table["start"].iloc[0] == np.datetime64("2022-09-25T22:34:50")
    assert (table["stop"] - table["start"] == np.timedelta64(1, "s")).all()
    assert table[["samples", "rate", "channels", "subtype"]].drop_duplicates().values.tolist() == [
        [RATE, RATE, 1, "PCM_16"]
    ]
    assert (table["anomaly"] == "").all()
    assert table["use"].all()
    first = table.iloc[0]
    header = formats.probe(paths[0])
    kept = Header(
        first.path, first.format, first.samples, header.rate, first["shape"], first["dtype"], first.subtype,
        first.layout, first.bytes, first.modified, first["scale"], first.offset, first.units,
    )  # fmt: skip
    assert kept == header
    np.testing.assert_array_equal(formats.source(kept).read(0, 5), [1, 2, 3, 4, 5])


def test_real_recordings_and_their_hole(shared):
    table = scan(shared / "data/audio/osekit_timestamped", cache=False)
    assert len(table) == 10
    assert table["stop"].iloc[-1] - table["start"].iloc[0] == np.timedelta64(120, "s")
    assert found_codes(table) == {"sample_220925_223600.wav": ["gap"]}
    assert "20.000 s" in row(table, "sample_220925_223600.wav").anomaly
    assert table.attrs["read_by"] == {"yymmdd_HHMMSS": 10}


def test_real_damaged_files_keep_their_rows(shared):
    table = scan(shared / "data/audio/broken", cache=False)
    assert len(table) == 20
    for name in ("test-44100Hz-le-1ch-4bytes-early-eof-no-data.wav", "test-44100Hz-le-1ch-4bytes-incomplete-chunk.wav"):
        bad = row(table, name)
        assert not bad.use
        assert bad.anomaly.startswith(f"unreadable: {bad.path}")
    cut = row(table, "test-44100Hz-le-1ch-4bytes-early-eof.wav")
    assert cut.samples == 236
    assert "truncated" in codes(cut.anomaly)
    assert row(table, "test-8000Hz-le-1ch-10S-20bit-extra.wav").rate == 1234


def test_suffixes_in_capitals_hidden_files_and_folders_within(tmp_path):
    write_wav(tmp_path / "a_20220101_000000.WAV")
    write_wav(tmp_path / "deeper" / "a_20220101_000001.Wav")
    write_wav(tmp_path / "._a_20220101_000002.wav")
    write_wav(tmp_path / ".trash" / "a_20220101_000003.wav")
    (tmp_path / "notes.txt").write_text("nothing")
    table = scan(tmp_path, cache=False)
    assert names(table) == ["a_20220101_000000.WAV", "a_20220101_000001.Wav"]
    assert table.attrs["passed_over"] == 1
    assert len(scan(tmp_path, recursive=False, cache=False)) == 1
    assert len(scan(f"{tmp_path}/*.wav", cache=False)) == 1
    assert len(scan(f"{tmp_path}/*/*.wav", cache=False)) == 1
    assert len(scan([tmp_path / "a_20220101_000000.WAV", tmp_path], cache=False)) == 2
    assert names(scan(tmp_path, pattern="*000001.wav", cache=False)) == ["a_20220101_000001.Wav"]
    excluded = scan(tmp_path, exclude="*000001*", cache=False)
    assert excluded.attrs["excluded"] == [str(tmp_path / "deeper" / "a_20220101_000001.Wav")]


def test_rows_are_in_order_of_start_not_of_name(tmp_path):
    for name in ("b_20220101_000000.wav", "a_20220101_000001.wav", "c_hello.wav"):
        write_wav(tmp_path / name)
    assert names(scan(tmp_path, cache=False)) == ["b_20220101_000000.wav", "a_20220101_000001.wav", "c_hello.wav"]


@pytest.mark.parametrize("exclude", ["deeper", "deeper/*", "*/deeper/*", "DEEPER/b*.wav", ["nothing", "b_*"]])
def test_what_is_excluded_is_listed_and_what_excludes_nothing_is_logged(tmp_path, caplog, exclude):
    write_wav(tmp_path / "a_20220101_000000.wav")
    write_wav(tmp_path / "deeper" / "b_20220101_000001.wav")
    table = scan(tmp_path, exclude=exclude, cache=False)
    assert names(table) == ["a_20220101_000000.wav"]
    assert table.attrs["excluded"] == [str(tmp_path / "deeper" / "b_20220101_000001.wav")]
    assert ("exclude='nothing' leaves out no file" in caplog.text) == ("nothing" in exclude)
    assert len(scan(tmp_path, exclude=str(tmp_path / "deeper"), cache=False)) == 1


# ---- start times


def test_a_template_wins_over_the_header_and_the_difference_is_reported(tmp_path):
    add_bext(write_wav(tmp_path / "a_20220101_000000.wav"), "2022-01-01", "00:00:05")
    table = scan(tmp_path, cache=False)
    assert (str(table["start"][0]), table["start_source"][0]) == ("2022-01-01 00:00:05", "bext")
    assert "header_time: name says 2022-01-01T00:00:00Z, -5.000 s" in table["anomaly"][0]
    table = scan(tmp_path, timestamp="%Y%m%d_%H%M%S", cache=False)
    assert (str(table["start"][0]), table["start_source"][0]) == ("2022-01-01 00:00:00", "name")
    assert codes(table["anomaly"][0]) == ["header_time"]
    assert scan(tmp_path, prefer=("name", "header"), cache=False)["start_source"][0] == "name"
    assert scan(tmp_path, prefer="header", cache=False)["anomaly"][0] == ""
    with pytest.raises(ClockError, match="'header', 'name'"):
        scan(tmp_path, prefer="folder", cache=False)


def test_two_seconds_of_difference_are_none(tmp_path):
    add_bext(write_wav(tmp_path / "a_20220101_000000.wav"), "2022:01:01", "00:00:02")
    assert scan(tmp_path, cache=False)["anomaly"][0] == ""


def test_an_audiomoth_states_its_offset(tmp_path):
    path = write_wav(tmp_path / "20220101_020000.WAV")
    add_comment(
        path,
        "Recorded at 02:00:00 01/01/2022 (UTC+2) by AudioMoth 24526B065D325963 at medium gain while battery was 4.1V",
    )
    table = scan(tmp_path, timezone="+02:00", cache=False)
    assert (str(table["start"][0]), table["start_source"][0]) == ("2022-01-01 00:00:00", "audiomoth")
    assert table["anomaly"][0] == ""


def test_names_and_naive_headers_are_local_in_the_given_zone(tmp_path):
    write_wav(tmp_path / "a_20220701_120000.wav")
    add_bext(write_wav(tmp_path / "b.wav"), "2022-01-01", "12:00:00")
    write_wav(tmp_path / "c_20220701T120000+0900.wav")
    table = scan(tmp_path, timezone="Europe/Paris", cache=False)
    assert dict(zip(names(table), map(str, table["start"]), strict=True)) == {
        "b.wav": "2022-01-01 11:00:00",
        "c_20220701T120000+0900.wav": "2022-07-01 03:00:00",
        "a_20220701_120000.wav": "2022-07-01 10:00:00",
    }


def test_an_ambiguous_local_time_names_the_file_and_the_way_out(tmp_path):
    write_wav(tmp_path / "a_20221030_023000.wav")
    with pytest.raises(ClockError, match=r"a_20221030_023000.wav: .*occurs twice.*ambiguous='earlier'"):
        scan(tmp_path, timezone="Europe/Paris", cache=False)
    table = scan(tmp_path, timezone="Europe/Paris", ambiguous="later", cache=False)
    assert str(table["start"][0]) == "2022-10-30 01:30:00"
    with pytest.raises(ClockError, match="'earlier' or 'later'"):
        scan(tmp_path, ambiguous="guess", cache=False)


def test_a_name_without_a_time_is_an_anomaly_that_says_what_to_do(tmp_path):
    write_wav(tmp_path / "hello.wav")
    table = scan(tmp_path, cache=False)
    assert pd.isna(table["start"][0])
    assert pd.isna(table["stop"][0])
    assert codes(table["anomaly"][0]) == ["no_time"]
    assert "timestamp=" in table["anomaly"][0]


def test_an_impossible_date_is_flagged_never_now(tmp_path):
    write_wav(tmp_path / "a_20220230_120000.wav")
    for given in ({}, {"timestamp": "%Y%m%d_%H%M%S"}):
        table = scan(tmp_path, cache=False, **given)
        assert pd.isna(table["start"][0])
        assert codes(table["anomaly"][0]) == ["impossible_date"]
        assert "20220230_120000" in table["anomaly"][0]


def test_a_template_that_no_name_matches_lists_the_names(tmp_path):
    for index in range(12):
        write_wav(tmp_path / f"take{index:02}.wav", 10)
    with pytest.raises(ClockError, match=r"none of 12 file names.*take00.wav, .*take09.wav and 2 more"):
        scan(tmp_path, timestamp="%Y%m%d", cache=False)


def test_a_template_that_some_names_match_leaves_rows_without_time(tmp_path):
    write_wav(tmp_path / "x20220101.wav")
    write_wav(tmp_path / "take.wav")
    table = scan(tmp_path, timestamp="x%Y%m%d", cache=False)
    assert found_codes(table) == {"take.wav": ["no_time"]}


def test_offsets(tmp_path):
    write_wav(tmp_path / "20220101x120000.wav")
    assert str(scan(tmp_path, offsets=(0, 14), cache=False)["start"][0]) == "2022-01-01 12:00:00"
    assert str(scan(tmp_path, offsets=(9, 14), timestamp="%d%m%y", cache=False)["anomaly"][0]).startswith(
        "impossible_date"
    )
    with pytest.raises(ClockError, match="8 digits"):
        scan(tmp_path, offsets=(0, 7), cache=False)


def test_two_readings_of_a_name_are_an_error_unless_the_header_knows(tmp_path):
    path = write_wav(tmp_path / "20220101_000000_20220101_010000.wav")
    with pytest.raises(ClockError, match="two ways"):
        scan(tmp_path, cache=False)
    add_bext(path, "2022-01-01", "00:00:00")
    assert scan(tmp_path, cache=False)["start_source"][0] == "bext"


def test_a_given_start_places_files_back_to_back_in_natural_order(tmp_path):
    for name, frames in (("take10.wav", 10), ("take2.wav", 500), ("take1.wav", 333)):
        write_wav(tmp_path / name, frames)
    table = scan(tmp_path, start="2022-01-01T01:00:00+01:00", cache=False, exempt_last=True)
    assert names(table) == ["take1.wav", "take2.wav", "take10.wav"]
    assert table["start"].astype("int64").tolist() == [1640995200 * 10**9 + ms * 10**6 for ms in (0, 333, 833)]
    assert (table["start_source"] == "given").all()
    for given in ({"timestamp": "%Y%m%d"}, {"timestamps_csv": "t.csv"}):
        with pytest.raises(ClockError, match="leave out"):
            scan(tmp_path, start="2022-01-01", cache=False, **given)
    with pytest.raises(ClockError, match="expected a time such as"):
        scan(tmp_path, start="yesterday", cache=False)


def test_nothing_is_placed_behind_a_file_of_unknown_length(tmp_path):
    write_wav(tmp_path / "take1.wav")
    (tmp_path / "take2.wav").write_text("not a recording")
    write_wav(tmp_path / "take3.wav")
    table = scan(tmp_path, start=np.datetime64("2022-01-01"), cache=False)
    assert pd.isna(row(table, "take3.wav").start)
    assert "take2.wav, whose length is unknown" in row(table, "take3.wav").anomaly


@pytest.mark.parametrize("flag", ["truncated", "unfinished", "zero_tail"])
def test_nothing_is_placed_behind_a_file_that_was_cut_short(flag, tmp_path):
    """Whatever it has not got would move all later starts early."""
    for number in (1, 2, 3, 4):
        write_wav(tmp_path / f"take{number}.wav", 2 * RATE)
    whole = (tmp_path / "take2.wav").read_bytes()
    if flag == "truncated":
        cut = whole[:-1000]
    elif flag == "unfinished":
        cut = whole[:40] + bytes(4) + whole[44:-1000]
    else:
        cut = whole[: -3 * RATE] + bytes(3 * RATE)
    (tmp_path / "take2.wav").write_bytes(cut)
    table = scan(tmp_path, format="wav", start="2022-01-01", cache=False, zero_tail=True)
    assert flag in codes(row(table, "take2.wav").anomaly)
    assert row(table, "take2.wav").start == pd.Timestamp("2022-01-01T00:00:02")
    for name in ("take3.wav", "take4.wav"):
        assert pd.isna(row(table, name).start)
        assert row(table, name).start_source == ""
        assert "no_time: a file before was cut short (take2.wav: " in row(table, name).anomaly
        assert "pass timestamp=" in row(table, name).anomaly


# ---- timestamp.csv


def test_a_timestamp_csv_among_the_files_is_used(tmp_path):
    deployment(tmp_path, 2)
    write_wav(tmp_path / "extra_20230101_000000.wav")
    (tmp_path / "timestamp.csv").write_text(
        "site_20220925_223450.wav,2021-01-01T00:00:00.000Z,UTC\nsite_20220925_223451.wav,2021-01-01T00:00:01.000Z,UTC\n"
        "gone.wav,2021-01-01T00:00:02.000Z,UTC\n"
    )
    table = scan(tmp_path, cache=False)
    assert table["start_source"].tolist() == ["csv", "csv", "name"]
    assert str(table["start"][0]) == "2021-01-01 00:00:00"
    assert codes(table["anomaly"][2])[0] == "not_listed"
    assert table.attrs["csv_missing"] == ["gone.wav"]
    assert set(scan(tmp_path, timestamps_csv=False, cache=False)["start_source"]) == {"name"}
    assert set(scan(tmp_path, timestamp="%Y%m%d_%H%M%S", cache=False)["start_source"]) == {"name"}


def test_several_timestamp_files_are_an_error_that_lists_them(tmp_path):
    for folder in ("a", "b"):
        deployment(tmp_path / folder, 1)
        (tmp_path / folder / "timestamp.csv").write_text("site_20220925_223450.wav,2021-01-01T00:00:00Z\n")
    with pytest.raises(ClockError, match=r"a.timestamp.csv, .*b.timestamp.csv.*timestamps_csv="):
        scan(tmp_path, cache=False)
    with pytest.raises(ClockError, match=r"could be .* or .*write the folder before the name"):
        scan(tmp_path, timestamps_csv=tmp_path / "a" / "timestamp.csv", cache=False)
    (tmp_path / "a" / "timestamp.csv").write_text("a/site_20220925_223450.wav,2021-01-01T00:00:00Z\n")
    table = scan(tmp_path, timestamps_csv=tmp_path / "a" / "timestamp.csv", cache=False)
    assert table["start_source"].tolist() == ["csv", "name"]


# ---- bad input


def test_an_empty_folder(tmp_path):
    with pytest.raises(NoFiles, match=f"{tmp_path}: no files found.*pattern="):
        scan(tmp_path, cache=False)


def test_a_folder_of_other_files(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(FileNotFoundError, match=r"1 other files found.*\.wav"):
        scan(tmp_path, cache=False)


@pytest.mark.parametrize("path", ["nowhere", "nowhere/*.wav"])
def test_nothing_there(tmp_path, path):
    with pytest.raises(NoFiles, match="nowhere"):
        scan(tmp_path / path, cache=False)
    with pytest.raises(RecordingError, match="expected a folder"):
        scan(5, cache=False)


def test_everything_excluded(tmp_path):
    deployment(tmp_path, 2)
    with pytest.raises(NoFiles, match="leaves out all 2 files"):
        scan(tmp_path, exclude=["*.wav"], cache=False)


def test_a_text_file_named_wav_is_a_row(tmp_path):
    deployment(tmp_path, 2)
    bad = tmp_path / "site_20220925_223452.wav"
    bad.write_text("these are words")
    table = scan(tmp_path, cache=False)
    found = row(table, bad.name)
    assert not found.use
    assert found.anomaly.startswith(f"unreadable: {bad}")
    assert "b'these are words'" in found.anomaly
    assert str(found.start) == "2022-09-25 22:34:52"
    assert table["use"].sum() == 2


def test_no_samples(tmp_path):
    write_wav(tmp_path / "a_20220101_000000.wav", 0)
    table = scan(tmp_path, cache=False)
    assert codes(table["anomaly"][0]) == ["no_frames"]
    assert not table["use"][0]


def test_a_size_from_before_the_power_was_lost(tmp_path):
    """A recorder that writes the size from time to time left one of 1,600 of 160,000 bytes."""
    path = write_wav(tmp_path / "a_20220101_000000.wav", 80_000)
    content = path.read_bytes()
    path.write_bytes(content[:40] + (1600).to_bytes(4, "little") + content[44:])
    found = scan(tmp_path, cache=False).iloc[0]
    assert found.samples == 800
    assert "trailing_bytes: 158,400 bytes after its data are no chunk" in found.anomaly
    assert level(found.anomaly) == 1
    write_wav(tmp_path / "a_20220101_000010.wav", RATE)
    table = scan(tmp_path, start="2022-01-01", cache=False)
    assert table["start"].isna().tolist() == [False, True]


def test_a_truncated_wav_says_of_how_many_frames(tmp_path):
    path = write_wav(tmp_path / "a_20220101_000000.wav", 80_000)
    os.truncate(path, os.path.getsize(path) - 1001)
    [text] = scan(tmp_path, cache=False)["anomaly"]
    assert "truncated: 79,499 of 80,000 frames are there" in text


def test_truncated_samples(tmp_path):
    path = deployment(tmp_path, 3)[1]
    path.write_bytes(path.read_bytes()[:-801])
    table = scan(tmp_path, cache=False)
    found = row(table, path.name)
    assert found.samples == RATE - 401
    assert not found.use
    assert codes(found.anomaly)[0] == "truncated"
    assert f"{RATE - 401}" in found.anomaly


def test_permission_denied_is_a_row_and_a_folder_an_error(tmp_path, monkeypatch):
    first, second = deployment(tmp_path, 2)
    probe = formats.probe

    def refuse(path, format=None, **options):
        if path == str(second):
            raise PermissionError(13, "Permission denied", path)
        return probe(path, format, **options)

    monkeypatch.setattr(formats, "probe", refuse)
    table = scan(tmp_path, cache=False)
    assert row(table, second.name).anomaly.startswith("unreadable:")
    assert str(second) in row(table, second.name).anomaly
    assert "Permission denied" in row(table, second.name).anomaly
    assert row(table, first.name).use
    scandir = os.scandir

    def locked(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    (tmp_path / "locked").mkdir()
    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(PermissionError, match=r"cannot be listed.*locked"):
        scan(tmp_path, cache=False)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_permission_denied_by_the_system(tmp_path):
    path = deployment(tmp_path, 2)[1]
    path.chmod(0)
    assert "unreadable" in row(scan(tmp_path, cache=False), path.name).anomaly


def test_a_link_to_nowhere_is_a_row(tmp_path):
    deployment(tmp_path, 1)
    (tmp_path / "b_20220101_000000.wav").symlink_to(tmp_path / "gone.wav")
    table = scan(tmp_path, cache=False)
    assert found_codes(table) == {"b_20220101_000000.wav": ["unreadable"]}


def test_two_files_with_the_same_start(tmp_path):
    write_wav(tmp_path / "a_20220101_000000.wav")
    write_wav(tmp_path / "b_20220101_000000.wav")
    table = scan(tmp_path, cache=False)
    assert found_codes(table) == {"b_20220101_000000.wav": ["duplicate_start"]}
    assert "a_20220101_000000.wav" in table["anomaly"][1]


def test_overlaps_and_the_tolerance(tmp_path):
    for second, length in ((0, 10), (8, 1), (20, 10)):
        write_wav(tmp_path / f"a_20220101_0000{second:02}.wav", length * RATE)
    table = scan(tmp_path, cache=False)
    assert codes(table["anomaly"][1])[:1] == ["short"]
    assert "overlap: starts 2.000 s before a_20220101_000000.wav ends" in table["anomaly"][1]
    assert "gap" in codes(table["anomaly"][2])
    assert "10.000 s without samples after a_20220101_000000.wav" in table["anomaly"][2]
    assert "overlap" not in scan(tmp_path, tolerance=2, cache=False)["anomaly"][1]
    with pytest.raises(ClockError, match="seconds, 0 or more"):
        scan(tmp_path, tolerance=-1, cache=False)


def test_a_second_of_jitter_is_joined_unless_names_have_decimals(tmp_path):
    write_wav(tmp_path / "a_20220101_000000.wav")
    write_wav(tmp_path / "a_20220101_000002.wav")
    assert (scan(tmp_path, cache=False)["anomaly"] == "").all()
    (tmp_path / "a_20220101_000002.wav").rename(tmp_path / "a_20220101_000002_500.wav")
    table = scan(tmp_path, cache=False)
    assert table.attrs["tolerance"] == 1 / RATE


def test_a_regular_duty_cycle_is_no_anomaly_but_a_missing_file_is(tmp_path):
    for minute in (0, 1, 2, 4, 5):
        write_wav(tmp_path / f"a_20220101_00{minute:02}00.wav")
    assert found_codes(scan(tmp_path, cache=False)) == {"a_20220101_000400.wav": ["gap"]}


def test_mixed_rates_and_channels_name_the_files_of_the_minority(tmp_path):
    deployment(tmp_path, 3)
    write_wav(tmp_path / "x_20220925_223453.wav", 2 * RATE, rate=2 * RATE)
    write_wav(tmp_path / "y_20220925_223454.wav", channels=2)
    table = scan(tmp_path, cache=False)
    assert found_codes(table) == {"x_20220925_223453.wav": ["mixed_rate"], "y_20220925_223454.wav": ["mixed_channels"]}
    assert "2,000 Hz, most files have 1,000 Hz" in row(table, "x_20220925_223453.wav").anomaly
    assert "2 channels, most files have 1 channel" in row(table, "y_20220925_223454.wav").anomaly
    assert row(table, "y_20220925_223454.wav").channels == 2


def test_short_files_by_the_tenth_percentile(tmp_path):
    paths = deployment(tmp_path, 20, seconds=3)
    write_wav(paths[-1], 2 * RATE)
    table = scan(tmp_path, cache=False)
    assert found_codes(table) == {paths[-1].name: ["short"]}
    assert codes(scan(tmp_path, exempt_last=True, cache=False)["anomaly"].iloc[-1]) == ["duration"]


def test_options_go_to_the_format_and_wrong_ones_are_errors(tmp_path):
    path = tmp_path / "a_20220101_000000.bin"
    path.write_bytes(bytes(8000))
    table = scan(tmp_path, format="raw", rate=1000, dtype="<i2", channels=2, cache=False)
    assert table[["samples", "channels", "rate"]].values.tolist() == [[2000, 2, 1000.0]]
    with pytest.raises(FormatError, match="known are"):
        scan(tmp_path, format="rawr", cache=False)
    write_wav(tmp_path / "b.wav")
    with pytest.raises(TypeError):
        scan(tmp_path, no_such_option=True, cache=False)


def test_remote_files(tmp_path):
    import fsspec

    memory = fsspec.filesystem("memory")
    path = write_wav(tmp_path / "site_20220925_223450.wav")
    memory.pipe("/deployment/site_20220925_223450.wav", path.read_bytes())
    memory.pipe("/deployment/site_20220925_223451.wav", path.read_bytes()[:100])
    table = scan("memory://deployment", cache=False)
    assert table["start_source"].tolist() == ["name", "name"]
    assert formats.probe(table["path"][0]).frames == RATE
    assert codes(table["anomaly"][1])[0] == "truncated"
    with pytest.raises(NoFiles, match="nowhere"):
        scan("memory://nowhere", cache=False)


def test_a_scan_leaves_the_collection_of_garbage_as_it_was(tmp_path):
    deployment(tmp_path, 2)
    try:
        for on in (gc.enable, gc.disable):
            on()
            before = gc.isenabled()
            scan(tmp_path, cache=False)
            with pytest.raises(NoFiles):
                scan(tmp_path / "nothing", cache=False)
            assert gc.isenabled() == before
    finally:
        gc.enable()


@pytest.mark.parametrize("cached", [False, True])
def test_the_work_for_a_file_is_a_few_calls(tmp_path, cached):
    """Counted in Python's own function calls: none that a file could share with others is made for each."""

    def calls(count: int) -> int:
        folder, cache = tmp_path / str(count), tmp_path / f"{count}.json"
        deployment(folder, count)
        scan(folder, cache=cache)
        counted = [0]

        def note(frame, event, argument):
            counted[0] += event == "call"

        sys.setprofile(note)
        try:
            scan(folder, cache=cache if cached else False)
        finally:
            sys.setprofile(None)
        return counted[0]

    calls(20)
    assert (calls(500) - calls(100)) / 400 < (15 if cached else 30)
