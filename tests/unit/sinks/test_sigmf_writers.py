"""What is written as SigMF is read back as it was, and the package sigmf finds nothing wrong with it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tarfile
from pathlib import Path

import dask
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reelarray as ra
from reelarray.errors import RecordingError
from reelarray.recordings import clock, label
from reelarray.sinks.journal import OutputExists
from reelarray.sinks.sigmf import write_sigmf
from reelarray.sinks.sigmfsidecar import write_sigmf_sidecar

sys.path.insert(0, str(Path(__file__).parents[1] / "formats"))
import analyser_files as analysers

START = "2022-03-01T12:00:00.5"


def noise(*shape, dtype="complex64"):
    random = np.random.default_rng(sum(shape))
    values = random.standard_normal(shape) + (1j * random.standard_normal(shape) if dtype.startswith("c") else 0)
    return values.astype(dtype)


def opened(path, **options):
    return ra.open_recording(path, cache=False, **options)


def with_gaps(lengths, gaps_ns, rate, *, absolute=True, dtype="complex64"):
    """Pieces of noise, so many ns between the end of one and the start of the next."""
    ns, pieces = 10**18, []
    for length, gap in zip(lengths, gaps_ns, strict=True):
        start = np.datetime64(ns, "ns") if absolute or pieces else None
        pieces.append(ra.recording(noise(length, dtype=dtype), rate=rate, start=start))
        ns += int(length * 10**9 / rate) + gap
    return pieces[0] if len(pieces) == 1 else ra.join(pieces)


# ---- what is written is read -----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    gaps=st.lists(st.integers(100_000, 10**12), min_size=4, max_size=4),
    rate=st.sampled_from([12_000, 44_100, 390_625, 48_000 / 1.001]),
    chunk=st.integers(1, 100),
    archive=st.booleans(),
)
def test_floats_and_times_come_back(tmp_path_factory, lengths, gaps, rate, chunk, archive):
    folder = tmp_path_factory.mktemp("sigmf")
    x = with_gaps(lengths, gaps[: len(lengths)], rate)
    path = write_sigmf(x.chunk({"time": chunk}), folder / ("x.sigmf" if archive else "x.sigmf-meta"))
    back = opened(path)
    assert back.values.tobytes() == x.values.tobytes()
    assert clock(back) == clock(x)
    again = write_sigmf(x, folder / ("y.sigmf" if archive else "y.sigmf-meta"))
    if not archive:
        assert _data(again).read_bytes() == _data(path).read_bytes()
        assert again.read_bytes() == path.read_bytes(), "whatever the chunks"
    assert sorted(p.name for p in folder.iterdir() if p.suffix == ".part") == []


def _data(path):
    return path.with_name(path.name.replace("-meta", "-data"))


def test_a_gap_of_no_whole_samples_and_no_date(tmp_path):
    x = with_gaps([10, 10], [123_456_789, 0], 44_100)
    since = label(x.data, clock(x).replace(time=clock(x).time - 10**18, absolute=False), attrs=x.attrs)
    back = opened(write_sigmf(since, tmp_path / "x.sigmf-meta"))
    captures = json.loads((tmp_path / "x.sigmf-meta").read_text())["captures"]
    assert captures[1]["core:global_index"] == round((123_456_789 + int(10 * 1e9 / 44_100)) * 44_100 / 1e9)
    assert captures[1]["reelarray:nanoseconds"] == 123_456_789 + int(10 * 1e9 / 44_100)
    assert "core:datetime" not in captures[1]
    assert clock(back) == clock(since)


def test_gaps_of_whole_samples_need_no_key_of_ours(tmp_path):
    write_sigmf(with_gaps([10, 10], [2560 * 7, 0], 390_625), tmp_path / "x.sigmf-meta")
    said = json.loads((tmp_path / "x.sigmf-meta").read_text())
    assert [c["core:global_index"] for c in said["captures"]] == [0, 17]
    assert "reelarray" not in json.dumps([said["captures"], said["global"].get("core:extensions", [])])


def test_without_a_start_there_are_no_dates(tmp_path):
    path = write_sigmf(ra.recording(noise(10), rate=5), tmp_path / "x.sigmf-meta")
    assert json.loads(path.read_text())["captures"] == [{"core:sample_start": 0}]
    assert not clock(opened(path)).absolute


def test_a_slice_starts_where_it_starts(tmp_path):
    x = with_gaps([100, 100], [10**6, 0], 44_100)[33:150]
    back = opened(write_sigmf(x, tmp_path / "x.sigmf-meta"))
    apart = back["time"].values - x["time"].values
    assert np.abs(apart.astype(int)).max() <= 1, "labels are floored to ns, once more"
    assert ra.segments(back)["samples"].tolist() == [67, 50]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("width", [8, 16, 32])
@pytest.mark.parametrize("kind", ["ci", "cu", "ri", "ru"])
@pytest.mark.parametrize("order", ["le", "be"])
def test_integers_to_half_a_step(tmp_path, kind, width, order, channels):
    datatype = f"{kind}{width}" + (f"_{order}" if width > 8 else "")
    values = noise(200, channels, dtype="complex128" if kind[0] == "c" else "float64")
    values = values if channels > 1 else values[:, 0]
    x = ra.recording(values, rate=8, units="V").chunk({"time": 64})
    back = opened(
        write_sigmf(x, tmp_path / "x.sigmf-meta", datatype=datatype, full_scale=8.0),
        dtype="complex128" if kind[0] == "c" else "float64",
    )
    assert back.attrs["units"] == "V"
    error = (back.values - values).view(float)
    assert np.abs(error).max() <= 8.0 / 2**width + 1e-15


def test_counts_stay_counts(tmp_path):
    counts = np.arange(-50, 50, dtype=np.int32).reshape(50, 2)
    x = ra.recording(counts, rate=5, dims=["iq"], units="1")
    path = write_sigmf(x, tmp_path / "x.sigmf-meta", full_scale=2.0**31)
    np.testing.assert_array_equal(np.fromfile(_data(path), "<i4").reshape(50, 2), counts)
    assert json.loads(path.read_text())["global"]["core:datatype"] == "ci32_le"
    np.testing.assert_array_equal(opened(path).values, counts[:, 0] + 1j * counts[:, 1])
    np.testing.assert_array_equal(opened(path, calibrated=False).values, counts)


@pytest.mark.parametrize(
    ("dtype", "datatype"),
    [("complex64", "cf32_le"), ("complex128", "cf64_le"), ("float32", "rf32_le"), ("float64", "rf64_le"),
     ("int16", "ri16_le"), ("int8", "ri8"), ("uint8", "ri16_le")],
)  # fmt: skip
def test_the_datatype_is_that_of_the_samples(tmp_path, dtype, datatype):
    values = np.array([1, 2, 3], dtype)
    path = write_sigmf(ra.recording(values, rate=5), tmp_path / "x.sigmf-meta")
    assert json.loads(path.read_text())["global"]["core:datatype"] == datatype
    np.testing.assert_array_equal(opened(path, calibrated=dtype[0] not in "iu").values, values)


def test_units_centre_and_what_was_known(tmp_path):
    x = ra.recording(noise(10), rate=5, units="V", attrs={"bandwidth": 4.0, "rbw": 0.1})
    x = x.assign_coords(center_frequency=2.4e9, instrument="RSA5103A")
    path = write_sigmf(x, tmp_path / "x.sigmf-meta", author="me", description="noise", about={"core:license": "CC0"})
    said = json.loads(path.read_text())["global"]
    assert [said[f"core:{k}"] for k in ("author", "description", "license", "hw")] == ["me", "noise", "CC0", "RSA5103A"]
    back = opened(path)
    assert back.coords["center_frequency"].item() == 2.4e9
    assert back.coords["instrument"].item() == "RSA5103A"
    assert [back.attrs[k] for k in ("units", "bandwidth", "rbw")] == ["V", 4.0, 0.1]
    third = json.loads(write_sigmf(back, tmp_path / "y.sigmf-meta").read_text())["global"]
    assert third == said, "what was said of a recording that is written again is said again"


def test_annotations_follow_the_samples(tmp_path):
    marks = [
        {"core:sample_start": 50, "core:sample_count": 30, "core:label": "b", "core:freq_lower_edge": -1.0},
        {"core:sample_start": 5, "core:sample_count": 10, "core:label": "a", "mine:x": 1},
    ]
    x = with_gaps([60, 60], [10**6, 0], 1000)
    back = opened(write_sigmf(x, tmp_path / "x.sigmf-meta", annotations=marks))
    assert [m["core:label"] for m in back.attrs["annotations"]] == ["a", "b"]
    part = opened(write_sigmf(back[55:70], tmp_path / "y.sigmf-meta"))
    boxes = [(m["core:label"], m["core:sample_start"], m["core:sample_count"]) for m in part.attrs["annotations"]]
    assert boxes == [("b", 0, 15)]
    with pytest.raises(RecordingError, match="starts at row 120; the recording has rows 0 to 119"):
        write_sigmf(x, tmp_path / "z.sigmf-meta", annotations=[{"core:sample_start": 120}])
    assert not (tmp_path / "z.sigmf-data").exists()


def test_the_package_sigmf_validates_and_reads(tmp_path):
    sigmf = pytest.importorskip("sigmf")
    x = with_gaps([60, 60], [10**6, 0], 1000).assign_attrs(units="V")
    marks = [{"core:sample_start": 5, "core:sample_count": 10}]
    for name in ("x.sigmf-meta", "x.sigmf"):
        path = write_sigmf(x, tmp_path / name, annotations=marks, sha512=True)
        theirs = sigmf.sigmffile.fromfile(str(path))
        theirs.validate()
        np.testing.assert_array_equal(theirs.read_samples(), x.values)
        assert theirs.get_global_info()["core:sha512"] == hashlib.sha512(x.values.tobytes()).hexdigest()
        assert opened(path, verify=True).sizes["time"] == 120


def test_tar_reads_archives(tmp_path):
    path = write_sigmf(ra.recording(noise(77), rate=5), tmp_path / "x.sigmf")
    with tarfile.open(path) as archive:
        assert archive.getnames() == ["x", "x/x.sigmf-data", "x/x.sigmf-meta"]
        assert archive.extractfile("x/x.sigmf-data").read() == noise(77).tobytes()
    assert ra.formats.is_complete(path) is True


# ---- what cannot be written ------------------------------------------------------------------------------------------


def test_clipping_is_never_silent(tmp_path):
    values = np.array([0.5, 1.5j, -3, np.nan + 0j, 0.25], "complex64")
    x = ra.recording(values, rate=1, start=START).chunk({"time": 2})
    with pytest.raises(RecordingError) as caught:
        write_sigmf(x, tmp_path / "x.sigmf-meta", datatype="ci16_le")
    assert "1 are NaN, which integers cannot tell and 2 are beyond full scale (1), the largest is 3" in str(
        caught.value
    )
    assert "the first is at 2022-03-01T12:00:01.5" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    path = write_sigmf(x, tmp_path / "x.sigmf-meta", datatype="ci16_le", clip=True)
    said = json.loads(path.read_text())["global"]
    assert (said["reelarray:clipped"], said["reelarray:missing"]) == (2, 1)
    counts = np.fromfile(_data(path), "<i2").tolist()
    assert counts == [16384, 0, 0, 32767, -32768, 0, 0, 0, 8192, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"datatype": "ci16_le"}, "samples in V become ci16_le only with full_scale=.*full_scale=.* may do"),
        ({"datatype": "ci16_le", "full_scale": 0.0}, "full_scale=0.0 was given; a value above 0"),
        ({"datatype": "rf32_le"}, "datatype='rf32_le' was given for complex samples: write x.real, or 'cf32_le'"),
        ({"datatype": "cf16_le"}, "datatype='cf16_le' was given; .*such as 'cf32_le'"),
        ({"about": {"license": "CC0"}}, "'license' was given; keys of SigMF have a namespace"),
    ],
)
def test_impossible_requests(tmp_path, options, message):
    x = ra.recording(noise(10), rate=5, units="V")
    with pytest.raises(ValueError, match=message):
        write_sigmf(x, tmp_path / "x.sigmf-meta", **options)
    assert list(tmp_path.iterdir()) == []


def test_other_arrays_and_names(tmp_path):
    with pytest.raises(RecordingError, match=r"a name that ends in \.sigmf-meta, or in \.sigmf for an archive"):
        write_sigmf(ra.recording(noise(4), rate=5), tmp_path / "x.bin")
    with pytest.raises(RecordingError, match="without a sample"):
        write_sigmf(ra.recording(noise(4), rate=5)[:0], tmp_path / "x.sigmf-meta")
    with pytest.raises(RecordingError, match=r"dimensions \('time', 'frequency'\)"):
        write_sigmf(ra.spectrogram(ra.recording(noise(64), rate=5), nfft=8), tmp_path / "x.sigmf-meta")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        write_sigmf(ra.recording(noise(4), rate=5), tmp_path / "none" / "x.sigmf-meta")


def test_what_is_there_stays_unless_told(tmp_path):
    first, second = ra.recording(noise(10), rate=5), ra.recording(noise(20), rate=5)
    path = write_sigmf(first, tmp_path / "x.sigmf-meta")
    for name in ("x.sigmf-meta", "x.sigmf-data"):
        with pytest.raises(OutputExists, match="is there already"):
            write_sigmf(second, tmp_path / name)
    assert opened(path).sizes["time"] == 10
    broken = second.chunk({"time": 5})
    broken.data = broken.data.map_blocks(_fail_at, dtype=broken.dtype)
    with pytest.raises(ZeroDivisionError):
        write_sigmf(broken, path, overwrite=True)
    np.testing.assert_array_equal(opened(path).values, first.values)
    assert len(list(tmp_path.iterdir())) == 2
    write_sigmf(second, path, overwrite=True)
    np.testing.assert_array_equal(opened(path).values, second.values)


def test_a_recording_may_be_written_over_itself(tmp_path):
    path = write_sigmf(ra.recording(noise(20), rate=5), tmp_path / "x.sigmf-meta")
    write_sigmf(opened(path)[5:], path, overwrite=True)
    np.testing.assert_array_equal(opened(path).values, noise(20)[5:])


def _fail_at(block, block_info=None):
    if block_info and block_info[0]["chunk-location"] == (2,):
        raise ZeroDivisionError("no third block")
    return block


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_each_block_is_computed_once(tmp_path, scheduler):
    made = []
    x = ra.recording(noise(100), rate=5).chunk({"time": 7})
    x.data = x.data.map_blocks(lambda block: made.append(len(block)) or block, dtype=x.dtype, meta=noise(0))
    made.clear()
    with dask.config.set(scheduler=scheduler):
        path = write_sigmf(x, tmp_path / "x.sigmf-meta")
    assert sum(made) == 100
    assert opened(path).values.tobytes() == noise(100).tobytes()


# ---- metadata for files of other formats -----------------------------------------------------------------------------


@pytest.mark.parametrize("datasets", [1, 4])
def test_a_tiq_is_described_in_place(tmp_path, datasets):
    path = tmp_path / "x.tiq"
    counts = analysers.write_tiq(path, 600, datasets=datasets, gaps=[0.5, 0.0, 0.25][: datasets - 1])
    before = path.read_bytes()
    meta = write_sigmf_sidecar(path, author="me")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.sigmf-meta", "x.tiq"]
    assert path.read_bytes() == before
    tiq, x = opened(path), opened(meta)
    assert x.values.tobytes() == tiq.values.tobytes()
    assert clock(x) == clock(tiq)
    assert ra.segments(x)["samples"].tolist() == ra.segments(tiq)["samples"].tolist()
    assert x.attrs["units"] == "V"
    for name in ("bandwidth", "rf_attenuation", "reference_level"):
        assert x.attrs.get(name) == tiq.attrs.get(name)
    assert x.coords["center_frequency"] == tiq.coords["center_frequency"]
    np.testing.assert_array_equal(opened(meta, calibrated=False).values, counts)
    said = json.loads(meta.read_text())
    assert said["global"]["core:dataset"] == "x.tiq"
    assert [c.get("core:header_bytes", 0) > 0 for c in said["captures"]] == [True] + [False] * (datasets - 1)
    assert len(said["captures"]) == datasets
    assert all("core:global_index" in c for c in said["captures"]) or datasets == 1


def test_a_real_tiq_is_described(shared, tmp_path):
    path = Path(shutil.copy(f"{shared}/data/iq/real_102400.tiq", tmp_path))
    x, tiq = opened(write_sigmf_sidecar(path)), opened(path)
    assert (x.sizes["time"], float(ra.rate(x)), x.coords["center_frequency"].item()) == (102_400, 390_625, 244.7789e6)
    assert x.values.tobytes() == tiq.values.tobytes()
    assert clock(x) == clock(tiq)


def test_the_package_sigmf_reads_a_described_tiq(tmp_path):
    sigmf = pytest.importorskip("sigmf")
    counts = analysers.write_tiq(tmp_path / "x.tiq", 600)
    theirs = sigmf.sigmffile.fromfile(str(write_sigmf_sidecar(tmp_path / "x.tiq")))
    theirs.validate()
    expected = (counts[:, 0] + 1j * counts[:, 1]) / 2.0**31
    np.testing.assert_allclose(theirs.read_samples(), expected, rtol=1e-6)


def test_wav_and_headerless_files_are_described(tmp_path):
    x = ra.recording(noise(300, 2, dtype="float32"), rate=100, start=START, units="Pa")
    (wav,) = ra.write_audio(x, tmp_path)
    back = opened(write_sigmf_sidecar(wav))
    np.testing.assert_array_equal(back.values, x.values)
    raw = tmp_path / "x.cs16"
    np.arange(99, dtype="<i2").tofile(raw)
    meta = write_sigmf_sidecar(raw, format="raw", rate=5, dtype="ci16_le")
    said = json.loads(meta.read_text())["global"]
    assert (said["core:datatype"], said["core:trailing_bytes"]) == ("ci16_le", 2)
    assert opened(meta, calibrated=False).values.ravel().tolist() == list(range(98))


def test_what_cannot_be_described(tmp_path):
    x = ra.recording(noise(300, dtype="float32"), rate=100, start=START)
    (wav,) = ra.write_audio(x, tmp_path / "a", dtype="int24", scale=10.0)
    with pytest.raises(RecordingError, match="SigMF has no datatype for its samples"):
        write_sigmf_sidecar(wav)
    (flac,) = ra.write_audio(x, tmp_path, dtype="int16", scale=10.0, format="flac")
    with pytest.raises(RecordingError, match="do not lie one after the other"):
        write_sigmf_sidecar(flac)
    meta = write_sigmf(x, tmp_path / "x.sigmf-meta")
    with pytest.raises(RecordingError, match=r"x\.sigmf-data is there already, which"):
        write_sigmf_sidecar(tmp_path / "x.tiq")
    with pytest.raises(RecordingError, match="do not lie one after the other"):
        write_sigmf_sidecar(meta, output=tmp_path / "y.sigmf-meta")
    with pytest.raises(RecordingError, match="in the folder of"):
        write_sigmf_sidecar(flac, output=tmp_path / "a" / "y.sigmf-meta")
