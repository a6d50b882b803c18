"""The summary of a catalog, and what is done about anomalies: only on request, and never to the wrong file."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest
from recorder_files import deployment, write_wav

from reelarray.catalog import drop_abnormal, quarantine, scan, select, summarise
from reelarray.catalog.anomalies import codes, join_notes, level
from reelarray.errors import RecordingError


def test_the_numbers_of_real_recordings(shared):
    summary = summarise(scan(shared / "data/audio/osekit_timestamped", cache=False))
    assert (summary.files, summary.used, summary.rates) == (10, 10, {48000.0: 10})
    assert (summary.start, summary.stop) == ("2022-09-25T22:34:50Z", "2022-09-25T22:36:50Z")
    assert (summary.duration, summary.effort) == (120.0, 100.0)
    assert (summary.gaps, summary.gap_seconds, summary.overlaps) == (1, 20.0, 0)
    assert math.isnan(summary.duty_cycle)
    assert summary.anomalies == {"gap": 1}
    text = str(summary)
    assert "gap (level 2): 1 files: sample_220925_223600.wav" in text
    assert "48,000 Hz" in text
    assert "read as yymmdd_HHMMSS (10)" in text
    json.dumps(summary.to_dict(), allow_nan=False)


def test_a_regular_duty_cycle_has_a_percentage(tmp_path):
    for minute in range(4):
        write_wav(tmp_path / f"a_20220101_00{minute:02}00.wav", 15_000)
    summary = summarise(scan(tmp_path, cache=False))
    assert summary.duty_cycle == 25.0
    assert summary.gaps == 3
    assert "25.00 %" in str(summary)


def test_a_catalog_without_times_or_readable_files_has_a_summary(tmp_path):
    (tmp_path / "a.wav").write_text("x")
    summary = summarise(scan(tmp_path, cache=False))
    assert summary.used == 0
    assert summary.start is None
    assert "unreadable (level 0): 1 files: a.wav" in str(summary)


def test_ten_names_and_the_number_of_the_others(tmp_path):
    for index in range(12):
        (tmp_path / f"a{index:02}.wav").write_text("x")
    summary = summarise(scan(tmp_path, cache=False))
    assert summary.anomalies["unreadable"] == 12
    assert len(summary.files_of["unreadable"]) == 10
    assert "a09.wav and 2 more" in str(summary)


def test_levels_and_codes():
    text = join_notes(["gap: 1 s", "truncated: 3; of 4", "gap: 1 s"])
    assert text == "truncated: 3, of 4; gap: 1 s"
    assert codes(text) == ["truncated", "gap"]
    assert (level(text), level("gap: 1 s"), level("unreadable: x"), level("")) == (1, 2, 0, None)


def test_files_are_selected_by_name_or_csv_and_none_is_lost(tmp_path):
    deployment(tmp_path / "files", 4)
    table = scan(tmp_path / "files", cache=False)
    wanted = ["site_20220925_223452.wav", str(tmp_path / "files" / "site_20220925_223450.wav")]
    (tmp_path / "subset_files.csv").write_text("\n".join(wanted))
    chosen = select(table, wanted)
    assert chosen["path"].tolist() == [table["path"][0], table["path"][2]]
    assert select(table, tmp_path / "subset_files.csv").equals(chosen)
    with pytest.raises(RecordingError, match=r"1 of 2 names .*gone.wav \(0 files\)"):
        select(table, [wanted[0], "gone.wav"])


@pytest.fixture
def catalog(tmp_path):
    folder = tmp_path / "files"
    deployment(folder, 3)
    (folder / "site_20220925_223453.wav").write_text("not a recording")
    return scan(folder, cache=False)


def test_abnormal_rows_are_dropped_from_a_copy(catalog, tmp_path):
    kept = drop_abnormal(catalog)
    assert (len(kept), len(catalog)) == (3, 4)
    assert kept.index.tolist() == [0, 1, 2]
    assert [path.rpartition("/")[2] for path in kept.attrs["dropped"]] == ["site_20220925_223453.wav"]
    assert len(list((tmp_path / "files").iterdir())) == 4


def test_scanning_moves_nothing_and_quarantine_only_the_abnormal(catalog, tmp_path):
    moved = quarantine(catalog, tmp_path / "bad")
    assert [path.name for path in (tmp_path / "bad").iterdir()] == ["site_20220925_223453.wav"]
    assert len(list((tmp_path / "files").iterdir())) == 3
    assert moved[["path", "moved_to"]].values.tolist() == [
        [str(tmp_path / "files" / "site_20220925_223453.wav"), str(tmp_path / "bad" / "site_20220925_223453.wav")]
    ]
    assert moved["anomaly"][0].startswith("unreadable")
    assert (scan(tmp_path / "files", cache=False)["anomaly"] == "").all()


def test_quarantine_by_code_and_of_nothing(catalog, tmp_path):
    assert len(quarantine(catalog, tmp_path / "bad", only=["truncated"])) == 0
    assert not (tmp_path / "bad").exists()
    assert len(quarantine(catalog, tmp_path / "bad", only=["unreadable"])) == 1


def test_quarantine_refuses_to_overwrite_before_the_first_move(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "bad.wav").write_text(folder)
    catalog = scan([tmp_path / "a", tmp_path / "b"], cache=False)
    with pytest.raises(RecordingError, match="nothing was moved"):
        quarantine(catalog, tmp_path / "quarantine")
    one = scan(tmp_path / "a", cache=False)
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "quarantine" / "bad.wav").write_text("older")
    with pytest.raises(RecordingError, match="1 files would overwrite"):
        quarantine(one, tmp_path / "quarantine")
    assert (tmp_path / "quarantine" / "bad.wav").read_text() == "older"
    assert (tmp_path / "a" / "bad.wav").exists()


def test_remote_files_are_not_moved(tmp_path):
    table = pd.DataFrame({"path": ["s3://bucket/a.wav"], "anomaly": ["unreadable: x"]})
    with pytest.raises(RecordingError, match="only local files"):
        quarantine(table, tmp_path)
