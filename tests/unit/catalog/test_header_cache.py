"""The header cache: what has not changed is not read again, what has is, and nothing in it is trusted blindly."""

from __future__ import annotations

import json
import os

import pandas as pd
import pytest
from recorder_files import RATE, add_comment, deployment, write_wav

from reelarray import formats
from reelarray.catalog import scan
from reelarray.catalog.cache import VERSION, write_atomically


@pytest.fixture
def probed(monkeypatch):
    """Names of the files whose headers are read."""
    seen = []
    probe = formats.probe

    def counting(path, format=None, **options):
        seen.append(os.path.basename(path))
        return probe(path, format, **options)

    monkeypatch.setattr(formats, "probe", counting)
    return seen


@pytest.fixture
def folder(tmp_path):
    deployment(tmp_path / "files", 3)
    return tmp_path / "files"


def test_a_second_scan_reads_no_header_and_gives_the_same_table(folder, tmp_path, probed):
    first = scan(folder, cache=tmp_path / "cache")
    probed.clear()
    second = scan(folder, cache=tmp_path / "cache")
    assert probed == []
    assert second.attrs["headers_cached"] == 3
    assert first.equals(second)
    assert [type(value) for value in second["layout"]] == [tuple] * 3
    assert len(list(folder.iterdir())) == 3


def test_headers_of_many_makes_and_with_metadata_come_back_whole(tmp_path, probed):
    for k in range(4):
        path = tmp_path / "files" / f"site_2022092{k}_223450.wav"
        write_wav(path, RATE, rate=RATE + k % 2, channels=1 + k // 2)
        if k:
            add_comment(path, f"comment {k}")
    (tmp_path / "files" / "site_20220929_223450.wav").write_text("no recording")
    first = scan(tmp_path / "files", cache=tmp_path / "cache")
    probed.clear()
    second = scan(tmp_path / "files", cache=tmp_path / "cache")
    assert probed == ["site_20220929_223450.wav"]
    pd.testing.assert_frame_equal(first, second)
    assert second["metadata"].tolist() == [
        {}, *({"info": {"ICMT": f"comment {k}"}} for k in (1, 2, 3)), None
    ]  # fmt: skip


def test_a_file_that_changed_is_read_again(folder, tmp_path, probed):
    scan(folder, cache=tmp_path / "cache")
    changed = folder / "site_20220925_223451.wav"
    write_wav(changed, 2 * RATE)
    probed.clear()
    table = scan(folder, cache=tmp_path / "cache")
    assert probed == [changed.name]
    assert table["samples"].tolist() == [RATE, 2 * RATE, RATE]


def test_the_same_size_at_another_time_is_a_change(folder, tmp_path, probed):
    scan(folder, cache=tmp_path / "cache")
    path = folder / "site_20220925_223450.wav"
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    probed.clear()
    scan(folder, cache=tmp_path / "cache")
    assert probed == [path.name]


def test_vanished_files_are_dropped_by_a_whole_scan_and_kept_by_a_part(folder, tmp_path):
    file = tmp_path / "one.json"
    scan(folder, cache=file)
    scan(f"{folder}/*50.wav", cache=file)
    assert len(json.loads(file.read_text())["path"]) == 3
    (folder / "site_20220925_223451.wav").unlink()
    assert len(scan(folder, cache=file)) == 2
    assert len(json.loads(file.read_text())["path"]) == 2


@pytest.mark.parametrize("content", ["{", "[]", f'{{"version": {VERSION}}}', "\x00\xff", "null"])
def test_a_damaged_cache_is_ignored_with_a_warning(folder, tmp_path, caplog, content):
    file = tmp_path / "one.json"
    expected = scan(folder, cache=file)
    file.write_text(content, encoding="latin-1")
    assert scan(folder, cache=file).equals(expected)
    assert "cannot be read" in caplog.text
    assert scan(folder, cache=file).attrs["headers_cached"] == 3


@pytest.mark.parametrize(
    "damage",
    [
        {"makes": [["wav"]]},
        {"makes": []},
        {"make": [0, 1, 7]},
        {"make": [0, -1, 0]},
        {"frames": [1, 2]},
        {"path": []},
        {"bytes": [1.5, "x", None]},
        {"metadata": [1]},
    ],
    ids=str,
)
def test_damaged_columns_are_read_again(folder, tmp_path, caplog, damage):
    file = tmp_path / "one.json"
    expected = scan(folder, cache=file)
    file.write_text(json.dumps(json.loads(file.read_text()) | damage))
    assert scan(folder, cache=file).equals(expected)
    assert "cannot be read" in caplog.text
    assert scan(folder, cache=file).attrs["headers_cached"] == 3


def test_other_options_or_versions_do_not_share_headers(folder, tmp_path, probed):
    file = tmp_path / "one.json"
    scan(folder, cache=file)
    probed.clear()
    scan(folder, format="wav", cache=file)
    assert len(probed) == 3
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"version": -1}))
    probed.clear()
    scan(folder, format="wav", cache=file)
    assert len(probed) == 3


def test_unreadable_files_are_tried_again(folder, tmp_path, probed):
    bad = folder / "bad.wav"
    bad.write_text("x")
    scan(folder, cache=tmp_path / "cache")
    probed.clear()
    scan(folder, cache=tmp_path / "cache")
    assert probed == ["bad.wav"]


def test_a_cache_that_cannot_be_written_is_no_error(folder, tmp_path, caplog):
    (tmp_path / "occupied").write_text("a file, no folder")
    assert len(scan(folder, cache=tmp_path / "occupied")) == 3
    assert "cannot be written" in caplog.text


def test_no_cache_leaves_nothing(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    scan(folder, cache=False)
    assert not (tmp_path / "xdg").exists()
    scan(folder)
    assert len(list((tmp_path / "xdg").rglob("*.json"))) == 1


def test_folders_can_share_one_file(tmp_path):
    deployment(tmp_path / "a", 2)
    deployment(tmp_path / "b", 2)
    scan([tmp_path / "a", tmp_path / "b"], cache=tmp_path / "one.json")
    assert scan([tmp_path / "a", tmp_path / "b"], cache=tmp_path / "one.json").attrs["headers_cached"] == 4


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_a_written_file_follows_the_umask_without_changing_it(tmp_path, monkeypatch):
    """The umask is of the whole process: while it is 0, other threads write files that everybody may change."""
    before = os.umask(0o027)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "umask", lambda mask: pytest.fail("the umask was changed"))
            write_atomically(tmp_path / "new" / "x.json", "{}")
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "x.json").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.json"]


def test_files_that_are_gone_count_no_more(folder, tmp_path):
    """The rate of a file decides how near others have to be: not that of a file of yesterday."""
    slow = folder / "low_20220925_223459.wav"
    write_wav(slow, 20, rate=10)
    before = scan(folder, cache=tmp_path / "cache")
    slow.unlink()
    after = scan(folder, cache=tmp_path / "cache")
    fresh = scan(folder, cache=False)
    assert before.attrs["tolerance"] != fresh.attrs["tolerance"] or before["anomaly"].any()
    pd.testing.assert_frame_equal(after, fresh)
    assert after.attrs["tolerance"] == fresh.attrs["tolerance"]
