"""Sample checks: only on request, ten files, and what they find."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorder_files import RATE, deployment, write_float_wav, write_wav

from reelarray import formats
from reelarray.catalog import samples, scan
from reelarray.catalog.anomalies import codes
from reelarray.catalog.samples import _Run


def checked(tmp_path, data) -> str:
    write_float_wav(tmp_path / "a_20220101_000000.wav", data)
    return scan(tmp_path, quick=False, cache=False)["anomaly"][0]


def test_a_quick_scan_reads_no_sample(tmp_path, monkeypatch):
    deployment(tmp_path, 2)
    monkeypatch.setattr(formats, "source", lambda header: pytest.fail("samples were read"))
    assert len(scan(tmp_path, cache=False)) == 2


def test_ten_files_are_checked_the_same_ones_each_time(tmp_path):
    deployment(tmp_path, 13)
    first, second = (scan(tmp_path, quick=False, cache=False).attrs["checked"] for _ in range(2))
    assert len(first) == 10
    assert first == second
    assert (scan(tmp_path, quick=False, cache=False)["anomaly"] == "").all()


def test_not_a_number(tmp_path):
    data = np.full(RATE, 0.5)
    data[[3, 4]] = np.nan, np.inf
    assert "nan: 2 samples" in checked(tmp_path, data)


def test_clipping_and_zeros(tmp_path):
    ramp = np.resize(np.arange(1, 100), 4 * RATE)
    ramp[10:12] = 32767
    ramp[20:23] = 32767
    ramp[50:60] = -32768
    ramp[1000:2500] = 0
    write_wav(tmp_path / "a_20220101_000000.wav", samples=ramp)
    text = scan(tmp_path, quick=False, cache=False)["anomaly"][0]
    assert codes(text) == ["clipped", "zeros"]
    assert "clipped: 2 runs of 3 or more samples at full scale, up to 10" in text
    assert "zeros: 1 stretches of zeros, the longest 1.500 s" in text


@pytest.mark.parametrize(("loud", "code"), [(1, "few_beyond_full_scale"), (2, "beyond_full_scale")])
def test_floats_beyond_full_scale_count_when_two_files_have_them(tmp_path, loud, code):
    for index in range(10):
        value = 1.5 if index < loud else 0.5
        write_float_wav(tmp_path / f"a_20220101_00000{index}.wav", np.array([0.1, value, -0.2] * 333 + [0.1]))
    table = scan(tmp_path, quick=False, cache=False)
    assert [codes(text) for text in table["anomaly"] if text] == [[code]] * loud
    assert "from -0.2 to 1.5" in table["anomaly"][0]


def test_a_file_that_shrinks_while_it_is_checked_is_an_anomaly(tmp_path, monkeypatch):
    [path] = deployment(tmp_path, 1)
    source = formats.source

    def shrink(header):
        path.write_bytes(path.read_bytes()[:100])
        return source(header)

    monkeypatch.setattr(formats, "source", shrink)
    table = scan(tmp_path, quick=False, cache=False)
    assert codes(table["anomaly"][0]) == ["changed"]
    assert not table["use"][0]


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 5), st.data())
def test_runs_are_counted_across_pieces(flags, least, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(flags)), max_size=5)))
    run = _Run(np.zeros(1, np.int64))
    for start, stop in zip([0, *cuts], [*cuts, len(flags)], strict=True):
        if stop > start:
            run.add(np.array(flags[start:stop])[:, None], least)
    lengths = [len(piece) for piece in "".join("x" if flag else " " for flag in flags).split()]
    assert (run.count, run.longest) == (sum(length >= least for length in lengths), max(lengths, default=0))


def test_pieces_do_not_change_what_is_found(tmp_path, monkeypatch):
    data = np.resize(np.arange(1, 100), 2 * RATE)
    data[5:9] = 32767
    data[100:1200] = 0
    write_wav(tmp_path / "a_20220101_000000.wav", samples=data)
    whole = scan(tmp_path, quick=False, cache=False)["anomaly"][0]
    monkeypatch.setattr(samples, "_PIECE", 7)
    assert scan(tmp_path, quick=False, cache=False)["anomaly"][0] == whole
