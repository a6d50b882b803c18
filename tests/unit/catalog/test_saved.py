"""Catalogs that are kept: what comes back is equal, nothing is touched, and what is no catalog is told."""

from __future__ import annotations

import json
import os

import numpy as np
import pandas as pd
import pytest
from recorder_files import RATE, add_bext, add_comment, deployment, write_float_wav, write_wav

import reelarray as ra
from reelarray.catalog import drop_abnormal, load, save, scan
from reelarray.errors import FormatError, RecordingError


@pytest.fixture
def folder(tmp_path):
    """Files of all kinds: good ones, metadata, another rate, another type, unreadable, without a time."""
    files = tmp_path / "files"
    deployment(files, 3)
    add_bext(write_wav(files / "b.wav"), "2022-09-26", "01:02:03")
    add_comment(write_wav(files / "site_20220927_000000.wav", rate=RATE + 1, channels=2), "größer")
    write_float_wav(files / "site_20220928_000000.wav", np.zeros(7, np.float32))
    (files / "bad.wav").write_text("x")
    write_wav(files / "no time.wav")
    return files


def test_what_is_loaded_equals_what_was_saved(folder, tmp_path):
    table = scan(folder, cache=False, quick=False, exclude=["*50.wav"])
    save(table, tmp_path / "deep" / "catalog.json")
    found = load(tmp_path / "deep" / "catalog.json")
    pd.testing.assert_frame_equal(found, table)
    assert found.attrs == table.attrs
    assert [type(value) for value in found["shape"]] == [type(value) for value in table["shape"]]
    assert [type(value) for value in found["layout"]] == [type(value) for value in table["layout"]]
    assert str(ra.catalog.summarise(found)) == str(ra.catalog.summarise(table))


def test_some_of_the_rows_can_be_saved(folder, tmp_path):
    table = drop_abnormal(scan(folder, cache=False))
    assert 0 < len(table) < 8
    save(table, tmp_path / "catalog.json")
    pd.testing.assert_frame_equal(load(tmp_path / "catalog.json"), table.reset_index(drop=True))
    save(table.iloc[:0], tmp_path / "catalog.json")
    assert load(tmp_path / "catalog.json").dtypes.astype(str).to_dict()["start"] == "datetime64[ns]"


def test_extremes_are_kept_exactly(folder, tmp_path):
    table = scan(folder, cache=False).iloc[:3].copy()
    table["scale"] = [5e-324, 1 / 3, np.nextafter(1, 2)]
    table["modified"] = [2**63 - 1, -(2**63), 1]
    table["start"] = np.array([1, -1, 2**62], "datetime64[ns]")
    table["path"] = ["a\udce9\n", "ü", "\x00"]
    save(table, tmp_path / "catalog.json")
    pd.testing.assert_frame_equal(load(tmp_path / "catalog.json"), table.reset_index(drop=True))


def test_a_saved_catalog_opens_without_a_look_at_the_files(folder, tmp_path):
    save(scan(folder, pattern="site_20220925*", cache=False), tmp_path / "catalog.json")
    expected = ra.open_recordings(folder, pattern="site_20220925*", cache=False)
    values = expected.values
    for path in folder.iterdir():
        path.rename(f"{path}.away")
    x = ra.open_recordings(load(tmp_path / "catalog.json"))
    s = ra.spectrogram(x, nfft=100)
    with pytest.raises(FileNotFoundError):
        x.compute()
    for path in folder.iterdir():
        path.rename(str(path).removesuffix(".away"))
    assert x.equals(expected)
    assert (x.values == values).all()
    assert s.compute().sizes["time"] > 0


def test_a_file_that_changed_since_is_told_when_it_is_read(folder, tmp_path):
    save(scan(folder, pattern="site_20220925*", cache=False), tmp_path / "catalog.json")
    changed = folder / "site_20220925_223451.wav"
    os.utime(changed, ns=(1, 1))
    x = ra.open_recordings(load(tmp_path / "catalog.json"), chunks=RATE)
    assert len(x[:RATE].values) == RATE
    with pytest.raises(FormatError, match=r"site_20220925_223451\.wav changed since it was scanned"):
        x.compute()


def test_a_table_that_is_no_catalog_is_not_written(folder, tmp_path):
    table = scan(folder, cache=False)
    for wrong, told in ((table.drop(columns="layout"), "without layout"), (table.assign(mine=1), "with mine")):
        with pytest.raises(RecordingError, match=told):
            save(wrong, tmp_path / "catalog.json")
    table.attrs["mine"] = {1, 2}
    with pytest.raises(RecordingError, match="no JSON"):
        save(table, tmp_path / "catalog.json")
    assert not (tmp_path / "catalog.json").exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"reelarray catalog": 0}',
        '{"reelarray catalog": 1}',
        b"\x80",
        '{"reelarray catalog": 1, "x": []}',
    ],
)
def test_what_is_no_catalog_is_told(tmp_path, content):
    path = tmp_path / "catalog.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RecordingError, match=r"catalog\.json is no catalog"):
        load(path)


@pytest.mark.parametrize(
    "damage",
    [{"samples": [1]}, {"samples": ["x"]}, {"format": {"values": [], "rows": [0]}}, {"start": None}, {"path": ["a"]}],
    ids=str,
)
def test_damaged_columns_are_told(folder, tmp_path, damage):
    path = tmp_path / "catalog.json"
    save(scan(folder, cache=False), path)
    content = json.loads(path.read_text())
    content["columns"] |= damage
    path.write_text(json.dumps(content))
    with pytest.raises(RecordingError, match="no catalog that can be read"):
        load(path)


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "catalog.json")
