"""The csv files of OSmOSE: what is written is read back equal, and old files are read for what they are."""

from __future__ import annotations

import logging
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorder_files import deployment, write_wav

from reelarray.catalog import (
    describe_files,
    describe_metadata,
    read_file_list,
    read_file_metadata,
    read_metadata,
    read_timestamps,
    scan,
    write_file_metadata,
    write_metadata,
    write_timestamps,
)
from reelarray.errors import ClockError, FormatError, RecordingError


def times(table: pd.DataFrame) -> list[str]:
    return [str(time) for time in table["start"]]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "timestamp.csv"
    path.write_text(text, encoding="utf-8")
    return path


# ---- timestamp.csv


@given(
    st.dictionaries(
        st.from_regex(r"[a-z ,\"]{1,8}\.wav", fullmatch=True), st.integers(-(10**12), 5 * 10**12), min_size=1
    )
)
def test_timestamps_are_read_back_equal(tmp_path_factory, milliseconds):
    path = tmp_path_factory.mktemp("csv") / "timestamp.csv"
    starts = np.array(list(milliseconds.values()), "datetime64[ms]").astype("datetime64[ns]")
    table = pd.DataFrame({"filename": [name.strip() for name in milliseconds], "start": starts})
    table = table.drop_duplicates("filename").sort_values(["start", "filename"], ignore_index=True)
    write_timestamps(table, path)
    assert read_timestamps(path).equals(table)


def test_written_in_real_utc_with_rounded_milliseconds(tmp_path):
    start = np.array(["2022-01-01T00:00:00.9996", "2022-01-01T00:00:00.0004999"], "datetime64[ns]")
    write_timestamps(pd.DataFrame({"filename": ["b.wav", "a.wav"], "start": start}), tmp_path / "t.csv")
    assert (
        tmp_path / "t.csv"
    ).read_text() == "a.wav,2022-01-01T00:00:00.000Z,UTC\nb.wav,2022-01-01T00:00:01.000Z,UTC\n"


def test_a_catalog_is_written_and_scanned_again(tmp_path):
    deployment(tmp_path, 3)
    first = scan(tmp_path, timezone="Europe/Paris", cache=False)
    write_timestamps(first, tmp_path / "timestamp.csv")
    second = scan(tmp_path, timezone="America/New_York", cache=False)
    assert times(second) == times(first)
    assert set(second["start_source"]) == {"csv"}


def test_files_without_a_start_are_not_left_out_silently(tmp_path):
    write_wav(tmp_path / "hello.wav")
    with pytest.raises(ClockError, match=r"1 files have no start: hello.wav"):
        write_timestamps(scan(tmp_path, cache=False), tmp_path / "t.csv")
    assert not (tmp_path / "t.csv").exists()


def test_two_files_of_one_name_cannot_be_written(tmp_path):
    deployment(tmp_path / "a", 1)
    deployment(tmp_path / "b", 1)
    with pytest.raises(RecordingError, match="one for each folder"):
        write_timestamps(scan(tmp_path, cache=False), tmp_path / "t.csv")
    with pytest.raises(RecordingError, match="expected a catalog"):
        write_timestamps(pd.DataFrame({"a": [1]}), tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a.wav,2022-07-01T12:00:00Z", "2022-07-01 12:00:00"),
        ("a.wav,2022-07-01T12:00:00.5Z,Europe/Paris", "2022-07-01 12:00:00.500000"),
        ("a.wav,2022-07-01T12:00:00.123456789,Europe/Paris", "2022-07-01 10:00:00.123456789"),
        ("a.wav,2022-07-01 12:00:00", "2022-07-01 17:00:00"),
        ("a.wav,2022-07-01T12:00:00+0200", "2022-07-01 10:00:00"),
        ("filename,timestamp\na.wav,2022-07-01T12:00:00Z", "2022-07-01 12:00:00"),
        ("\ufeffFilename,Timestamp,timezone\na.wav,2022-07-01T12:00:00Z,UTC", "2022-07-01 12:00:00"),
    ],
)
def test_all_forms_are_read(tmp_path, line, expected):
    assert times(read_timestamps(written(tmp_path, line), timezone="-05:00")) == [expected]


def test_a_z_that_lies(tmp_path):
    path = written(tmp_path, "a.wav,2022-07-01T12:00:00.000Z,Europe/Paris\n")
    assert times(read_timestamps(path)) == ["2022-07-01 12:00:00"]
    assert times(read_timestamps(path, trust_z=False)) == ["2022-07-01 10:00:00"]


def test_rows_come_in_order_of_time(tmp_path):
    table = read_timestamps(written(tmp_path, "a.wav,2022-01-02T00:00:00Z\nb.wav,2022-01-01T00:00:00Z\n"))
    assert table["filename"].tolist() == ["b.wav", "a.wav"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no rows"),
        ("a.wav\n", "line 1: 'a.wav'"),
        ("a.wav,2022-01-01T00:00:00Z,UTC,x\n", "line 1"),
        ("a.wav,2022-01-01T00:00:00Z\nb.wav,2022-02-30T00:00:00Z\n", "line 2: '2022-02-30T00:00:00Z' of b.wav"),
        ("a.wav,2022-01-01T00:00:00Z\na.wav,2022-01-01T00:00:01Z\n", "another time"),
        ("a.wav,2022-01-01T00:00:00,Mars/Base\n", "line 1 .a.wav.: timezone='Mars/Base'"),
        ("a.wav,2022-10-30T02:30:00,Europe/Paris\n", "occurs twice"),
    ],
)
def test_bad_rows_are_named(tmp_path, text, says):
    with pytest.raises((ClockError, FormatError), match=says):
        read_timestamps(written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.csv does not exist.*check the path"):
        read_timestamps(tmp_path / "none.csv")


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(FormatError, match="UTF-8"):
        read_timestamps(path)


# ---- metadata.csv


def test_metadata_is_read_back_equal(tmp_path):
    deployment(tmp_path / "files", 3, seconds=2)
    catalog = scan(tmp_path / "files", cache=False)
    fields = describe_metadata(catalog, position=(48.5, -5.25))
    assert fields["sample_bits"] == 16
    assert fields["channel_count"] == 1
    assert fields["audio_file_count"] == 3
    assert fields["start_date"] == "2022-09-25T22:34:50.000Z"
    assert fields["end_date"] == "2022-09-25T22:34:56.000Z"
    assert fields["duty_cycle"] == 100
    assert fields["dataset_origin_duration"] == 6
    assert Decimal(str(fields["dataset_origin_volume"])) == Decimal("0.012132")
    write_metadata(fields, tmp_path / "metadata.csv")
    assert read_metadata(tmp_path / "metadata.csv") == fields
    write_metadata(catalog, tmp_path / "metadata.csv")
    assert read_metadata(tmp_path / "metadata.csv")["sr_origin"] == 1000
    assert pd.read_csv(tmp_path / "metadata.csv", index_col=0).loc[0, "channel_count"] == 1


OLD = ",origin_sr,sample_bits,channel_count,audio_file_count,dataset_fileDuration,is_built\n0,48000,8,2,10,10.0,True\n"


def test_old_metadata_is_not_trusted_where_its_writer_swaps(tmp_path, caplog):
    path = tmp_path / "metadata.csv"
    path.write_text(OLD)
    expected = {"sr_origin": 48000.0, "audio_file_count": 10, "audio_file_dataset_duration": 10.0, "is_built": True}
    with caplog.at_level(logging.WARNING):
        assert read_metadata(path) == expected
    assert "sample_bits=8, channel_count=2 left out" in caplog.text
    assert read_metadata(path, swapped=True) == expected | {"sample_bits": 16, "channel_count": 1}
    assert read_metadata(path, swapped=False) == expected | {"sample_bits": 8, "channel_count": 2}


def test_metadata_that_is_none(tmp_path):
    path = tmp_path / "metadata.csv"
    for text, says in (
        ("a\n", "expected a line of names"),
        (",sr_origin\n0,fast\n", "sr_origin is 'fast'"),
        (",is_built\n0,2\n", "True or False"),
    ):
        path.write_text(text)
        with pytest.raises(FormatError, match=says):
            read_metadata(path)
    with pytest.raises(RecordingError, match="has no fields"):
        write_metadata({"color": 1}, path)


def test_metadata_of_mixed_files_is_refused(tmp_path):
    table = scan(
        [write_wav(tmp_path / "a_20220101_000000.wav"), write_wav(tmp_path / "b_20220101_000001.wav", rate=500)],
        cache=False,
    )
    table["use"] = True
    with pytest.raises(RecordingError, match="one rate; found"):
        write_metadata(table, tmp_path / "metadata.csv")


# ---- file_metadata.csv and lists


def test_file_metadata_is_read_back_equal(tmp_path):
    deployment(tmp_path, 3)
    (tmp_path / "bad.wav").write_text("x")
    catalog = scan(tmp_path, cache=False)
    table = describe_files(catalog)
    assert table["duration"].tolist()[:3] == [1.0, 1.0, 1.0]
    assert table["duration_inter_file"].isna().tolist() == [True, False, False, True]
    assert table["sampwidth"].tolist() == [2, 2, 2, 0]
    assert table["status_read_header"].tolist() == [True, True, True, False]
    write_file_metadata(catalog, tmp_path / "file_metadata.csv")
    back = read_file_metadata(tmp_path / "file_metadata.csv")
    pd.testing.assert_frame_equal(back, table, check_exact=True)
    write_file_metadata(back, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "file_metadata.csv").read_bytes()


def test_file_metadata_that_is_none(tmp_path):
    path = tmp_path / "file_metadata.csv"
    path.write_text("filename,timestamp\na,b\n")
    with pytest.raises(FormatError, match="no columns duration"):
        read_file_metadata(path)
    header = (
        "filename,timestamp,duration,origin_sr,duration_inter_file,size,sampwidth,channel_count,status_read_header\n"
    )
    for line, error in (
        ("a.wav,2022-01-01T00:00:00Z,ten,1,,1,2,1,True", FormatError),
        ("a.wav,noon,10,1,,1,2,1,True", ClockError),
        ("a.wav,,10,1,,1,2,1,perhaps", FormatError),
        ("a.wav,,10", FormatError),
    ):
        path.write_text(header + line + "\n")
        with pytest.raises(error, match="line 2"):
            read_file_metadata(path)


def test_lists_of_files(tmp_path):
    path = tmp_path / "subset_files.csv"
    path.write_text("filename\na.wav\n\nfolder/b c.wav\n")
    assert read_file_list(path) == ["a.wav", "folder/b c.wav"]
    path.write_text("\n")
    with pytest.raises(FormatError, match="one file name a line"):
        read_file_list(path)
