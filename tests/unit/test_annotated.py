"""Annotations mark the same samples and the same box, whatever was cut or computed since."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reelarray as ra
from reelarray.annotated import annotation_band, select_annotation
from reelarray.errors import RecordingError

RATE = 44_100


def write(folder, frames, captures, annotations):
    samples = np.arange(frames, dtype="<f4")
    samples.tofile(folder / "x.sigmf-data")
    about = {"core:datatype": "rf32_le", "core:version": "1.2.0", "core:sample_rate": RATE}
    document = {"global": about, "captures": captures, "annotations": annotations}
    (folder / "x.sigmf-meta").write_text(json.dumps(document))
    return folder / "x.sigmf-meta"


def opened(path, **options):
    return ra.open_recording(path, cache=False, **options)


def capture(start, index=None, datetime=None):
    known = {"core:sample_start": start, "core:global_index": index, "core:datetime": datetime}
    return {key: value for key, value in known.items() if value is not None}


def mark(start, count=None, label=None, low=None, high=None):
    known = {
        "sample_start": start,
        "sample_count": count,
        "label": label,
        "freq_lower_edge": low,
        "freq_upper_edge": high,
    }
    return {f"core:{key}": value for key, value in known.items() if value is not None}


@settings(deadline=None)
@given(st.data())
def test_the_marked_samples_whatever_was_cut(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("sigmf")
    date = data.draw(st.sampled_from([None, "2022-03-01T12:00:00.123456789Z"]))
    lengths = data.draw(st.lists(st.integers(1, 50), min_size=1, max_size=4))
    # Gaps that are all different, so that what is left tells which stretches it has.
    starts, index, captures = [], 0, []
    for k, length in enumerate(lengths):
        starts.append(sum(lengths[:k]))
        captures.append(capture(starts[-1], index, date if k == 0 else None))
        index += length + 100 * 3**k
    frames = sum(lengths)
    start = data.draw(st.integers(0, frames - 1))
    count = data.draw(st.integers(1, frames - start))
    x = opened(write(folder, frames, captures, [mark(start, count)]))
    low = data.draw(st.integers(0, frames - 1))
    high = data.draw(st.integers(low + 1, frames))
    wanted = np.arange(max(start, low), min(start + count, high), dtype=np.float32)
    part = x[low:high]
    if len(wanted):
        np.testing.assert_array_equal(select_annotation(part).values, wanted)
    else:
        with pytest.raises(RecordingError, match="of which nothing is left here"):
            select_annotation(part)


def test_equal_stretches_are_told_by_the_start_of_the_file(tmp_path):
    captures = [capture(0, 0, "2022-03-01T12:00:00Z"), capture(10, 110), capture(20, 220)]
    x = opened(write(tmp_path, 30, captures, [mark(12, 4), mark(22, 4)]))
    assert select_annotation(x[10:20]).values.tolist() == [12, 13, 14, 15]
    assert select_annotation(x[20:30], 1).values.tolist() == [22, 23, 24, 25]


def test_a_start_that_the_caller_gave(tmp_path):
    captures = [capture(0, 0, "2022-03-01T12:00:00Z"), capture(10, 110), capture(20, 220)]
    x = opened(write(tmp_path, 30, captures, [mark(12, 4)]), start="2023-01-01")
    assert select_annotation(x).values.tolist() == [12, 13, 14, 15]
    with pytest.raises(RecordingError, match="cannot be told any more"):
        select_annotation(x[10:20])


def test_spectra_give_the_box(tmp_path):
    low, high = 5000.0, 6000.0
    marks = [mark(10_000, 5000, "burst", low, high), mark(10_000, 1, "click", 5001.0, 5002.0), mark(0, 10, "all")]
    x = opened(write(tmp_path, 50_000, [capture(0, datetime="2022-03-01T12:00:00Z")], marks))
    s = ra.spectrogram(x, nfft=1000, hop=500)
    box = select_annotation(s, "burst")
    # Windows [500 k, 500 k + 1000) that touch samples 10,000 to 14,999.
    np.testing.assert_array_equal(box["time"].values, s["time"].values[19:30])
    np.testing.assert_allclose(box["frequency"].values, np.arange(5027.4, 6000, 44.1))
    one = select_annotation(s, "click")
    assert one.shape == (2, 1), "the nearest bin, where a band lies between two"
    assert one["frequency"].item() == pytest.approx(4983.3)
    assert select_annotation(s, "all").shape == (1, s.sizes["frequency"])
    minutes = ra.average(s, every="0.25s")
    cells = select_annotation(minutes, "burst")["time"].values
    assert cells.astype(str).tolist() == ["2022-03-01T12:00:00.000000000", "2022-03-01T12:00:00.250000000"]


def test_labels_and_numbers(tmp_path):
    x = opened(write(tmp_path, 50, [capture(0)], [mark(0, 5, "a"), mark(5, 5, "a"), mark(7, 2, "b"), mark(40)]))
    assert select_annotation(x, "b").values.tolist() == [7, 8]
    assert select_annotation(x, 3).values.tolist() == list(range(40, 50)), "to the end of its capture"
    with pytest.raises(RecordingError, match=r"2 of 4 annotations have the label 'a'; choose one by number: \[0, 1\]"):
        select_annotation(x, "a")
    with pytest.raises(RecordingError, match="0 of 4 annotations have the label 'c'; there are a, b"):
        select_annotation(x, "c")
    for wrong in (4, -1, True, 1.5):
        with pytest.raises(RecordingError, match="there are 0 to 3, or their labels"):
            select_annotation(x, wrong)
    with pytest.raises(RecordingError, match="has no annotations"):
        select_annotation(ra.recording([1.0], rate=1))


def test_bands():
    marks = [mark(0, 1, None, 1e8, 1.5e8), mark(0, 1), mark(0, 1, None, 3.0, 2.0), mark(0, 1, None, "1", "2")]
    x = ra.recording([1j, 2j], rate=1, attrs={"annotations": marks})
    assert annotation_band(x, 0) == {"center": 1.25e8, "span": 5e7}
    for which in (1, 2, 3):
        with pytest.raises(RecordingError, match=f"annotation {which} marks no band"):
            annotation_band(x, which)


def test_a_band_outside_the_spectra():
    x = ra.recording(np.ones(64), rate=64, attrs={"annotations": [mark(0, 64, None, 100.0, 200.0)]})
    with pytest.raises(RecordingError, match="the band 100 to 200 Hz lies outside the spectra, 0 to 32 Hz"):
        select_annotation(ra.spectrogram(x, nfft=16))
