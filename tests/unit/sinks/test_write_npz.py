"""NumPy archives: ours come back as they were; OSmOSE's and OSEkit's matrices have true centres."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import reelarray as ra
from reelarray.clock import SampleClock
from reelarray.errors import FormatError, RecordingError
from reelarray.formats import probe, source
from reelarray.plot.pixels import pixels
from reelarray.recordings import clock, label
from reelarray.sinks import npz
from reelarray.sinks.journal import OutputExists
from reelarray.sinks.npz import write_npz
from reelarray.sinks.npzread import read_npz

START = int(np.datetime64("2022-09-25T22:34:50.000000001", "ns").astype(np.int64))


def samples(gap: bool = True, channels: int = 0) -> xr.DataArray:
    shape = (44100 * 2, channels) if channels else (44100 * 2,)
    data = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    starts, lengths = ([START, START + 3 * 10**9], [44100, 44100]) if gap else ([START], [88200])
    times = SampleClock.of_segments(starts, lengths, 44100, source=[f"/data/f{k}.wav" for k in range(len(starts))])
    dims = ("channel",) if channels else ()
    return label(data, times, dims=dims, attrs={"units": "Pa", "long_name": "sound pressure"}, name="samples")


PRODUCTS = {
    "spectrogram": lambda: ra.spectrogram(samples(), nfft=512),
    "channels": lambda: ra.spectrogram(samples(channels=2), nfft=512).assign_coords(channel=["left", "right"]),
    "average": lambda: ra.power_spectrum(samples(), nfft=512, every="500ms"),
    "levels": lambda: ra.to_decibel(ra.spectrogram(samples(), nfft=512)),
    "samples": samples,
    "stft": lambda: ra.stft(samples(), nfft=512),
    "no clock": lambda: ra.power_spectrum(samples(), nfft=512),
    "no start": lambda: ra.spectrogram(ra.recording(np.ones(99), rate=9), nfft=8),
}


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("lazy", [False, True])
def test_ours_come_back_as_they_were(tmp_path: Path, product: str, compress: bool, lazy: bool) -> None:
    x = PRODUCTS[product]()
    given = x.chunk() if lazy else x
    back = read_npz(write_npz(given, tmp_path / "x.npz", compress=compress))
    xr.testing.assert_identical(back, x)
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]
    if "time" in x.dims:
        assert clock(back) == clock(x)
        assert ra.rate(back) == ra.rate(x)
        assert ra.segments(back).equals(ra.segments(x))


def test_any_tool_reads_ours(tmp_path: Path) -> None:
    x = ra.spectrogram(samples(), nfft=512)
    with np.load(write_npz(x, tmp_path / "x.npz"), allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["data"], x.values)
        np.testing.assert_array_equal(archive["time"], x["time"].values)
        assert archive["time"].dtype == "datetime64[ns]"
        np.testing.assert_array_equal(archive["frequency"], x["frequency"].values)
        attrs = json.loads(str(archive["attrs"]))
    assert attrs["units"] == "Pa2 Hz-1"
    assert attrs["nfft"] == 512
    assert attrs["software"] == f"reelarray {ra.__version__}"
    assert attrs["inputs"] == ["f0.wav", "f1.wav"]


@pytest.mark.parametrize("channels", [0, 2])
def test_samples_are_a_format_of_sound_too(tmp_path: Path, channels: int) -> None:
    x = samples(channels=channels)
    header = probe(write_npz(x, tmp_path / "x.npz"))
    assert header.rate == 44100
    np.testing.assert_array_equal(source(header).read(10, 20), x.values[10:20])


# ---- matrices of others ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [False, True])
def test_osmose_matrices_have_true_centres(tmp_path: Path, levels: bool) -> None:
    x = ra.spectrogram(samples(), nfft=512, hop=100)
    given = ra.to_decibel(x) if levels else x
    path = write_npz(given, tmp_path / "x_1_0.npz", layout="osmose")
    with np.load(path, allow_pickle=False) as archive:
        np.testing.assert_allclose(archive["Sxx"], x.values.T, rtol=1e-5)
        np.testing.assert_allclose(archive["log_spectro"], ra.to_decibel(x).values.T, rtol=1e-5)
        np.testing.assert_array_equal(archive["Freq"], x["frequency"])
        centres = (np.arange(436) * 100 + 256) / 44100
        np.testing.assert_allclose(archive["Time"], np.append(centres, centres + 3), atol=2e-9)
    xr.testing.assert_identical(read_npz(path), given)


def test_osekit_matrices_open_as_osekit_opens_them(tmp_path: Path) -> None:
    x = ra.spectrogram(samples(gap=False), nfft=1024, window_length=1000, hop=250)
    path = write_npz(x, tmp_path / "x.npz", layout="osekit")
    with np.load(path, allow_pickle=False) as archive:
        assert {"fs", "time", "freq", "window", "hop", "sx", "mfft", "db_ref", "v_lim", "timestamps"} <= {
            *archive.files
        }
        assert (archive["fs"][0], archive["hop"][0], archive["mfft"][0]) == (44100, 250, 1024)
        assert archive["window"].shape == (1000,)
        assert archive["db_ref"][0] == 1e-6
        assert tuple(archive["v_lim"]) == (0, 170)
        begin, end = str(archive["timestamps"]).split("_")
        assert begin == "2022-09-25 22:34:50.000000001"
        took = (np.datetime64(end) - np.datetime64(begin)) / np.timedelta64(1, "ns")
        assert took == pytest.approx((348 * 250 + 1000) / 44100 * 1e9, abs=1)
        np.testing.assert_allclose(archive["time"], (np.arange(349) * 250 + 500) / 44100, atol=2e-9)
        np.testing.assert_array_equal(archive["sx"], x.values.T)
    xr.testing.assert_identical(read_npz(path), x)


def test_times_of_osekit_files_are_made_anew_from_the_hop(tmp_path: Path, shared: Path) -> None:
    with np.load(shared / "data/golden/acoustics/spectrogram_hann1024_h512_psd2x.npz") as golden:
        stored, true = golden["time_file"], golden["time_true"]
        power = golden["power_spl"]
        np.savez(
            tmp_path / "osekit.npz",
            fs=[48000],
            time=stored,
            freq=golden["freq"],
            window=golden["window"],
            hop=[512],
            sx=golden["sx_spl"],
            mfft=[1024],
            db_ref=[1e-6],
            v_lim=(0.0, 170.0),
            timestamps="2022-09-25 22:34:50_2022-09-25 22:34:52",
        )
    back = read_npz(tmp_path / "osekit.npz", units="Pa2 Hz-1")
    seconds = (back["time"].values - np.datetime64("2022-09-25T22:34:50", "ns")) / np.timedelta64(1, "ns") / 1e9
    np.testing.assert_allclose(seconds, true, atol=2e-9)
    assert np.abs(seconds - stored).max() > 1e-3
    np.testing.assert_allclose(back.values, power.T, rtol=1e-12)
    assert back.attrs["units"] == "Pa2 Hz-1"


def test_times_of_osmose_matrices_need_the_hop(tmp_path: Path) -> None:
    sxx = np.random.default_rng(0).exponential(size=(513, 40))
    frequency = np.arange(513) * 48000 / 1024
    times = np.linspace(0, 22_000 / 48000, 40)
    np.savez(tmp_path / "old.npz", Sxx=sxx, log_spectro=10 * np.log10(sxx), Freq=frequency, Time=times)
    back = read_npz(tmp_path / "old.npz", start="2022-09-25T22:34:50", hop=512, window_length=1024)
    assert back.dims == ("time", "frequency")
    np.testing.assert_array_equal(back.values, sxx.T)
    seconds = (back["time"].values - np.datetime64("2022-09-25T22:34:50", "ns")) / np.timedelta64(1, "ns") / 1e9
    np.testing.assert_allclose(seconds, (np.arange(40) * 512 + 512) / 48000, atol=2e-9)
    stored = read_npz(tmp_path / "old.npz")
    assert stored["time"].dtype == "timedelta64[ns]"
    np.testing.assert_allclose(stored["time"].values / np.timedelta64(1, "ns") / 1e9, times, atol=1e-6)
    assert "not the centres" in stored.attrs["time_axis"]


@pytest.mark.parametrize("many", [False, True])
def test_averaged_spectra_of_osekit(tmp_path: Path, many: bool) -> None:
    spans = ["2022-01-01 00:00:10_2022-01-01 00:00:20", "2022-01-01 00:00:00_2022-01-01 00:00:10"]
    px = np.arange(10.0).reshape(2, 5)
    if many:
        np.savez(tmp_path / "w.npz", timestamps=np.array(spans), freq=np.arange(5), pxs=px)
    else:
        np.savez(tmp_path / "w.npz", timestamps=spans[0], freq=np.arange(5), px=px[0])
    back = read_npz(tmp_path / "w.npz")
    np.testing.assert_array_equal(back.values, px[::-1] if many else px[:1])
    assert back["time"].values[-1] == np.datetime64("2022-01-01T00:00:10")
    assert ra.rate(back) == Fraction(1, 10)
    assert clock(back).gaps == 0


# ---- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "name", "options", "message"),
    [
        ("spectrogram", "x.npy", {}, r"ends in \.npz"),
        ("spectrogram", "x.npz", {"layout": "matlab"}, "'reelarray', 'osmose', 'osekit', 'datacrunch'"),
        ("samples", "x.npz", {"layout": "osmose"}, "ra.spectrogram"),
        ("stft", "x.npz", {"layout": "osmose"}, "complex64"),
        ("channels", "x.npz", {"layout": "osekit"}, r"isel\(channel=0\)"),
        ("spectrogram", "x.npz", {"layout": "osekit"}, "1 gaps"),
        ("no start", "x.npz", {"layout": "osekit"}, "unknown start"),
        ("average", "x.npz", {"layout": "osekit"}, "not averages"),
    ],
)
def test_errors_name_the_way_out(tmp_path: Path, x: str, name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        write_npz(PRODUCTS[x](), tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_what_is_too_large_is_refused_before_it_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dask.array as da

    def never(block: np.ndarray) -> np.ndarray:
        raise AssertionError("computed")

    data = da.zeros((2**30, 2), chunks=2**28, dtype=np.float32).map_blocks(never, meta=np.empty((0, 0), np.float32))
    with pytest.raises(RecordingError, match=r"8\.0 GiB.*write_zarr"):
        write_npz(ra.recording(data, rate=9, start="2022"), tmp_path / "x.npz")
    monkeypatch.setattr(npz, "MOST_BYTES", 10)
    with pytest.raises(RecordingError, match="write_zarr"):
        write_npz(samples(), tmp_path / "x.npz")


def test_files_that_are_there_are_kept_unless_told(tmp_path: Path) -> None:
    path = write_npz(samples(), tmp_path / "x.npz")
    before = path.read_bytes()
    with pytest.raises(OutputExists, match="overwrite=True"):
        write_npz(samples() * 2, path)
    assert path.read_bytes() == before
    write_npz(samples(channels=2), path, overwrite=True)
    assert read_npz(path).ndim == 2


def test_a_coordinate_cannot_take_the_place_of_the_data(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="rename"):
        write_npz(samples().assign_coords(data=3), tmp_path / "x.npz")


def test_what_is_no_such_archive_is_said(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", something=np.ones(3))
    with pytest.raises(FormatError, match="holds something"):
        read_npz(tmp_path / "a.npz")
    np.savez(tmp_path / "p.npz", Sxx=np.array([{}], object), Freq=1, Time=1)
    with pytest.raises(FormatError, match="plain arrays"):
        read_npz(tmp_path / "p.npz")
    (tmp_path / "t.npz").write_text("text")
    with pytest.raises(FormatError, match="not a NumPy archive"):
        read_npz(tmp_path / "t.npz")
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "none.npz")
    np.savez(tmp_path / "w.npz", timestamps="yesterday", freq=np.arange(3), px=np.arange(3))
    with pytest.raises(FormatError, match="yesterday"):
        read_npz(tmp_path / "w.npz")


@pytest.mark.parametrize("layout", ["osmose", "osekit"])
def test_decibars_are_no_decibels(tmp_path: Path, layout: Any) -> None:
    s = ra.spectrogram(samples(gap=False).assign_attrs(units="dBar"), nfft=512)
    path = write_npz(s, tmp_path / "x.npz", layout=layout)
    with np.load(path) as archive:
        np.testing.assert_array_equal(archive["Sxx" if layout == "osmose" else "sx"], s.values.T)
    xr.testing.assert_identical(read_npz(path), s)


@pytest.mark.parametrize("units", ["dBar2 Hz-1", "dbar2 Hz-1"])
def test_a_picture_of_decibars_is_the_mean_of_powers(units: str) -> None:
    s = ra.spectrogram(samples(gap=False), nfft=512)
    found = pixels(s.assign_attrs(units=units), width=10, height=20)
    np.testing.assert_array_equal(found.values, pixels(s, width=10, height=20).values)


def test_samples_are_opened_in_their_units(tmp_path: Path) -> None:
    x = samples(gap=False)
    header = probe(str(write_npz(x, tmp_path / "x.npz")))
    assert (header.units, header.scale) == ("Pa", 1.0)
    np.savez(tmp_path / "other.npz", data=x.values, samplerate=44100, attrs='{"units": "Pa", "scale": 3}', start="2022")
    other = probe(str(tmp_path / "other.npz"))
    assert (other.units, other.scale, other.start_ns) == ("1", 1.0, None)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    """Before anything is computed, and without the name of a temporary file."""
    x = samples().chunk(time=1000)
    lazy = x.copy(data=x.data.map_blocks(lambda block: 1 / 0, dtype="f4", meta=np.empty(0, "f4")))
    with pytest.raises(FileNotFoundError, match=r"no such folder.*make it first") as caught:
        write_npz(lazy, tmp_path / "missing" / "a.npz")
    assert caught.value.filename == str(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layout", ["osmose", "osekit"])
def test_levels_of_watts_come_back(tmp_path, layout):
    """A watt is a power already: its reference is not squared."""
    samples = np.exp(0.3j * np.arange(512)).astype(np.complex64)
    x = ra.recording(samples, rate=1000, start="2022-03-01", units="V")
    s = ra.to_watts(ra.spectrogram(x, nfft=64, scaling="spectrum"))
    levels = ra.to_decibel(s, reference="1 mW")
    found = np.load(ra.write_npz(levels, tmp_path / "levels.npz", layout=layout))
    np.testing.assert_allclose(found["Sxx" if layout == "osmose" else "sx"].T, s.values, rtol=1e-4)
    np.testing.assert_allclose(ra.read_npz(tmp_path / "levels.npz").values, levels.values, atol=1e-3)


@pytest.mark.parametrize("change", ["zoom", "resample"])
def test_datacrunch_counts_the_samples_of_converted_recordings(tmp_path: Path, change: str) -> None:
    x = ra.recording(np.ones(400_000, "c8"), rate=100_000, units="V", coords={"center_frequency": 1e6})
    y = ra.zoom(x, center=1e6, span=1000) if change == "zoom" else ra.resample(x, rate=1250)
    rate, lead = float(ra.rate(y)), (y.time.values[0] - x.time.values[0]) / np.timedelta64(1, "s")
    s = ra.spectrogram(y, nfft=64, hop=64, window="boxcar", scaling="raw")
    averages = ra.average(s, 10, remainder="keep")
    write_npz(s, tmp_path / "rows.npz", layout="datacrunch")
    write_npz(averages, tmp_path / "averages.npz", layout="datacrunch")
    with np.load(tmp_path / "rows.npz") as rows, np.load(tmp_path / "averages.npz") as groups:
        assert (rows["fs"], groups["fs"]) == (rate, rate)
        starts = rows["arr_1"][:, 0]
        assert 0 < lead < 0.1
        np.testing.assert_allclose(np.diff(starts), 64 / rate, rtol=1e-9)
        count = averages["count"].values
        assert 0 < count[-1] < 10
        ends = np.cumsum(count)
        expected = [starts[end - n : end].mean() for n, end in zip(count, ends, strict=True)]
        np.testing.assert_allclose(groups["arr_1"][:, 0], expected, atol=2e-9)
