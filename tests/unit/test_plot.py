"""Pictures: every gap blank at its wall-clock pixels, every tone at its frequency pixel, nothing loaded in vain."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import reelarray as ra
from reelarray.clock import SampleClock
from reelarray.errors import MissingPackage, RecordingError
from reelarray.graph import read_array
from reelarray.plot import GAP_COLOR, plot_area, plot_spectrogram, save_spectrogram
from reelarray.plot.pixels import PICKED, pixels
from reelarray.recordings import label
from reelarray.source import Format, Header
from reelarray.table import SourceTable

matplotlib = pytest.importorskip("matplotlib")

RATE, TONE = 8000, 1500.0
START = np.datetime64("2022-09-25T22:34:50", "ns")
STRETCHES = ((0.0, 30.0), (50.0, 70.0), (75.0, 100.0))  # seconds after START: two gaps


def tone_with_gaps(chunks: int | None = None, rate: int = RATE) -> xr.DataArray:
    starts = [int(START.astype(np.int64)) + round(a * 1e9) for a, _ in STRETCHES]
    lengths = [round((b - a) * rate) for a, b in STRETCHES]
    seconds = np.concatenate([a + np.arange(n) / rate for (a, _), n in zip(STRETCHES, lengths, strict=True)])
    noise = np.random.default_rng(1).normal(size=len(seconds)) * 1e-3
    x = label(
        (np.sin(2 * np.pi * TONE * seconds) + noise).astype(np.float32),
        SampleClock.of_segments(starts, lengths, rate),
        attrs={"units": "Pa", "long_name": "sound pressure"},
    )
    return x if chunks is None else x.chunk(time=chunks)


def picture(path: Path) -> np.ndarray:
    from matplotlib.image import imread

    return np.round(imread(path)[..., :3] * 255).astype(int)


def blank(colors: np.ndarray) -> np.ndarray:
    grey = [int(GAP_COLOR[k : k + 2], 16) for k in (1, 3, 5)]
    return (colors == grey).all(axis=-1)


def second_of(column: np.ndarray, width: int) -> np.ndarray:
    return (column + 0.5) * 100.0 / width  # the picture begins and ends with the data, to half a hop


@pytest.fixture
def agg() -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), dpi=100)
    FigureCanvasAgg(figure)
    return figure.add_subplot()


# ---- what the file shows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("size", [(1600, 700), (1003, 501)])
@pytest.mark.parametrize("chunks", [None, 50_000])
def test_gaps_and_tone_are_where_they_belong_in_the_file(
    tmp_path: Path, log: bool, size: tuple[int, int], chunks: int | None
) -> None:
    spectra = ra.spectrogram(tone_with_gaps(chunks), nfft=512, hop=256)
    limits = {"begin": START, "end": START + np.timedelta64(100, "s")}
    path = save_spectrogram(
        spectra, tmp_path / "p.png", width_px=size[0], height_px=size[1], log_frequency=log, **limits
    )
    image = picture(path)
    assert image.shape[:2] == (size[1], size[0])
    left, top, right, bottom = plot_area(*size)
    inside = image[top + 2 : bottom - 2, left + 2 : right - 2]  # without the frame
    width = right - left
    is_blank = blank(inside).all(axis=0)
    assert (blank(inside).any(axis=0) == is_blank).all()
    seconds = second_of(np.arange(2, width - 2), width)
    pixel, half_window = 100 / width, 256 / RATE
    recorded = np.zeros(len(seconds), bool)
    sure = np.ones(len(seconds), bool)
    for a, b in STRETCHES:
        recorded |= (seconds >= a) & (seconds < b)
        for edge in (a, b):
            sure &= abs(seconds - edge) > pixel + half_window
    np.testing.assert_array_equal(is_blank[sure], ~recorded[sure])
    assert (~sure).sum() < 6 * 2 * (1 + half_window / pixel) + 6
    # The tone: the row whose colour is that of the most power, in every column that shows something.
    low, high = (0.5, 256.5) if log else (-0.5, 256.5)
    low, high, tone = (f * RATE / 512 for f in (low, high, TONE * 512 / RATE))
    share = np.log(tone / low) / np.log(high / low) if log else (tone - low) / (high - low)
    expected = (bottom - top) * (1 - share) - 2
    row_of_tone = inside[round(expected)][~is_blank]
    assert (row_of_tone.sum(axis=1) > inside[round(expected) + 40][~is_blank].sum(axis=1)).all()
    brightest = np.argmax(inside[:, ~is_blank].sum(axis=2), axis=0)
    bright = inside[:, ~is_blank].sum(axis=2) >= inside[:, ~is_blank].sum(axis=2).max(axis=0) - 3
    middle = np.array([np.flatnonzero(column).mean() for column in bright.T])
    assert np.abs(middle - expected).max() <= 3, (brightest[:5], expected)


def test_a_file_that_fails_leaves_nothing_and_keeps_the_old_one(tmp_path: Path) -> None:
    spectra = ra.spectrogram(tone_with_gaps(), nfft=512)
    path = tmp_path / "p.png"
    path.write_bytes(b"old")
    with pytest.raises(RecordingError, match="nothing lies between"):
        save_spectrogram(spectra, path, begin="2022-09-26", end="2022-09-25")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["p.png"]
    with pytest.raises(RecordingError, match=r"\.png"):
        save_spectrogram(spectra, tmp_path / "p.jpg")
    with pytest.raises(RecordingError, match="width_px"):
        save_spectrogram(spectra, path, width=100)
    with pytest.raises(RecordingError, match="no room"):
        save_spectrogram(spectra, path, width_px=200)


def test_the_file_says_what_it_was_made_of(tmp_path: Path) -> None:
    from PIL import Image

    save_spectrogram(ra.spectrogram(tone_with_gaps(), nfft=512), tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as image:
        assert image.info["Software"] == f"reelarray {ra.__version__}"
        assert '"nfft": 512' in image.info["Description"]


def test_pictures_need_no_pyplot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agg: Any) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    spectra = ra.spectrogram(tone_with_gaps(), nfft=512)
    save_spectrogram(spectra, tmp_path / "p.png")
    assert plot_spectrogram(spectra, ax=agg) is agg


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match=r'pip install "reelarray\[plot\]"'):
        plot_spectrogram(ra.spectrogram(tone_with_gaps(), nfft=512))
    with pytest.raises(MissingPackage):
        save_spectrogram(ra.spectrogram(tone_with_gaps(), nfft=512), tmp_path / "p.png")


# ---- axes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        ({}, 0),
        ({"cmap": "jet", "scale": "linear"}, 0),
        ({"fmin": 1000, "fmax": 1100, "vmin": -60, "vmax": 0}, 0),
        ({"log_frequency": True, "fmin": 20}, 1),  # matplotlib paints meshes over each other
    ],
)
def test_colours_that_are_looked_up_are_those_of_matplotlib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], most: int
) -> None:
    from reelarray.plot.still import Looked

    x = ra.spectrogram(tone_with_gaps(), nfft=2048)
    made = picture(save_spectrogram(x, tmp_path / "a.png", **settings))
    replaced = []
    monkeypatch.setattr(Looked, "replace", replaced.append)
    expected = picture(save_spectrogram(x, tmp_path / "b.png", **settings))
    assert len(replaced) == 1
    assert abs(made - expected).max() <= most
    assert len(np.unique(made.reshape(-1, 3), axis=0)) > 100


def test_nothing_large_waits_for_the_collector(tmp_path: Path) -> None:
    import gc
    import tracemalloc

    x = ra.spectrogram(tone_with_gaps(), nfft=2048)
    save_spectrogram(x, tmp_path / "a.png")
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        for _ in range(3):
            save_spectrogram(x, tmp_path / "a.png")
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert kept < 6e6  # the values of one picture, 3 MB, were kept each time
    assert peak - kept < 60e6


def test_axes_say_what_they_show(agg: Any) -> None:
    spectra = ra.spectrogram(tone_with_gaps(rate=48000), nfft=2048)
    ax = spectra.reel.plot_spectrogram(ax=agg)
    bar = ax.figure.axes[1]
    assert ax.get_xlabel() == "time (UTC)"
    assert ax.get_ylabel() == "frequency (kHz)"
    assert "dB re 1 µPa²/Hz" in bar.get_ylabel()
    assert "2 gaps" in ax.get_title(loc="left")
    assert "mean of" in ax.get_title(loc="right")
    ax.figure.canvas.draw()
    assert "22:35:15" in [t.get_text() for t in ax.get_xticklabels()]
    assert "10" in [t.get_text() for t in ax.get_yticklabels()]
    low, high = ax.images[0].get_clim()
    assert low % 5 == high % 5 == 0
    assert low < high


def test_no_more_than_the_pixels_reach_matplotlib(agg: Any) -> None:
    spectra = ra.spectrogram(tone_with_gaps(40_000), nfft=4096, hop=64)
    box = agg.get_window_extent()
    ax = plot_spectrogram(spectra, ax=agg)
    rows, columns = ax.images[0].get_array().shape
    assert columns <= 2 * box.width
    assert rows <= 2 * box.height


@pytest.mark.parametrize(
    ("seconds", "unit"),
    [(0.0005, "µs"), (0.0015, "ms"), (0.5, "ms"), (20.0, None), (4000.0, None), (86400.0 * 200, None)],
)
def test_time_axes_from_microseconds_to_months(agg: Any, seconds: float, unit: str | None) -> None:
    rate = Fraction(100) / Fraction(seconds).limit_denominator(10**6)
    x = ra.recording(np.ones((100, 4)), rate=rate, start="2022-03-01T12:00", units="Pa2", dims=["frequency"])
    x = x.assign_coords(frequency=[1.0, 2.0, 3.0, 4.0])
    ax = plot_spectrogram(x, ax=agg)
    assert ax.get_xlabel() == (
        "time (UTC)" if unit is None else f"time since 2022-03-01 12:00:00.000000000 UTC ({unit})"
    )
    ax.figure.canvas.draw()
    assert len(ax.get_xticks()) > 2


@pytest.mark.parametrize(("seconds", "unit"), [(0.9, "ms"), (1.0, "s"), (1.6, "s"), (299.0, "s"), (301.0, "min")])
def test_units_of_elapsed_time(agg: Any, seconds: float, unit: str) -> None:
    x = ra.recording(np.ones((100, 2)), rate=100 / seconds, start="2022", units="Pa2", dims=["frequency"])
    ax = plot_spectrogram(x.assign_coords(frequency=[1.0, 2.0]), ax=agg, elapsed=True)
    assert ax.get_xlabel().endswith(f" UTC ({unit})")


def test_recordings_without_a_start_count_seconds(agg: Any) -> None:
    x = ra.spectrogram(ra.recording(np.random.default_rng(0).normal(size=80_000), rate=8000, units="V"), nfft=256)
    ax = plot_spectrogram(x, ax=agg, begin=2, end=6.0)
    assert ax.get_xlabel() == "time since the first sample (s)"
    assert ax.get_xlim() == (2.0, 6.0)


def test_two_sided_spectra_around_a_carrier(agg: Any) -> None:
    rng = np.random.default_rng(0)
    iq = ra.recording(rng.normal(size=20_000) + 1j * rng.normal(size=20_000), rate=10_000, start="2022", units="V")
    ax = plot_spectrogram(ra.spectrogram(iq.assign_coords(center_frequency=61e6), nfft=256), ax=agg)
    assert ax.get_ylabel() == "frequency − 61 MHz (kHz)"
    assert ax.get_ylim()[0] == pytest.approx(61e6 - 5000, abs=40)


# ---- pixels ----------------------------------------------------------------------------------------------------------


def test_a_pixel_is_the_mean_of_linear_power() -> None:
    power = np.array([[1.0], [3.0], [5.0], [7.0], [0.0], [2.0]])
    x = ra.recording(power, rate=1, start="2022", units="Pa2", dims=["frequency"], coords={"frequency": [100.0]})
    np.testing.assert_allclose(pixels(x, width=3).values[:, 0], [2, 6, 1])
    in_db = ra.to_decibel(x)
    np.testing.assert_allclose(pixels(in_db, width=3).values[:, 0], 120 + 10 * np.log10([2, 6, 1]))
    holes = x.copy(data=np.array([[1.0], [np.nan], [5.0], [7.0], [np.nan], [np.nan]]))
    np.testing.assert_allclose(pixels(holes, width=3).values[:, 0], [1, 6, np.nan])


@pytest.mark.parametrize("rows", [3, 60, 4000])
@pytest.mark.parametrize("chunks", [(7, 2), (1000, 5), None])
@pytest.mark.parametrize("channel", [None, 1])
def test_lazy_pixels_equal_those_in_memory(rows: int, chunks: Any, channel: int | None) -> None:
    shape = (rows, 5) if channel is None else (rows, 2, 5)
    dims = ("frequency",) if channel is None else ("channel", "frequency")
    power = np.random.default_rng(2).exponential(size=shape)
    starts = np.array([0, 10, 10_000]) * 10**9
    lengths = [rows // 3, rows // 3, rows - 2 * (rows // 3)]
    clock = SampleClock.of_segments(starts, lengths, Fraction(max(1, rows), 5))
    x = label(power, clock, dims=dims, coords={"frequency": np.arange(1.0, 6)}, attrs={"units": "V2"})
    lazy = x if chunks is None else x.chunk(time=chunks[0], frequency=chunks[1])
    for end in (None, "1970-01-01T00:00:20"):
        made = pixels(lazy, width=50, channel=channel, end=end)
        np.testing.assert_allclose(made.values, _by_hand(x, 50, channel, end), rtol=1e-12)


def _by_hand(x: xr.DataArray, width: int, channel: int | None, end: Any) -> np.ndarray:
    """Each column by itself: rows whose middle lies in it, else the row that covers its middle."""
    power = x.values if channel is None else x.values[:, channel]
    begins = x["time"].values.astype(np.int64)
    every = 1e9 / float(ra.rate(x))
    stop = begins[-1] + int(every) if end is None else np.datetime64(end, "ns").astype(np.int64)
    out = np.full((width, power.shape[1]), np.nan)
    edges = begins[0] + np.floor(np.arange(width + 1) * (stop - begins[0]) / width)
    for c in range(width):
        inside = (begins + every / 2 >= edges[c]) & (begins + every / 2 < edges[c + 1])
        centre = (edges[c] + edges[c + 1]) / 2
        across = (begins <= centre) & (centre < begins + every)
        chosen = inside if inside.any() else across
        if chosen.any():
            out[c] = power[chosen].mean(axis=0)
    return out


def test_frequencies_are_merged_to_pixels_and_cut() -> None:
    power = np.tile(np.arange(10.0), (4, 1))
    x = ra.recording(
        power, rate=1, start="2022", units="Pa2", dims=["frequency"], coords={"frequency": np.arange(10.0)}
    )
    made = pixels(x, width=4, height=4)
    np.testing.assert_allclose(made.values[0], [1, 4, 7, 9])
    np.testing.assert_allclose(made["lower"], [-0.5, 2.5, 5.5, 8.5])
    np.testing.assert_allclose(made["upper"], [2.5, 5.5, 8.5, 9.5])
    np.testing.assert_allclose(pixels(x, width=4, fmin=2.6, fmax=4.4).values[0], [3, 4])
    log = pixels(x, width=4, height=6, log_frequency=True)
    assert log["lower"].values[0] == 0.5
    assert log.sizes["frequency"] <= 6
    np.testing.assert_allclose(log["lower"][1:], log["upper"][:-1])


@pytest.mark.parametrize(
    ("x", "settings", "message"),
    [
        (ra.recording([1.0, 2.0], rate=1), {}, "ra.spectrogram"),
        (np.ones((3, 3)), {}, "ndarray was given"),
        ("channels", {}, "pass channel=, one of"),
        ("channels", {"channel": 7}, "channel=7"),
        ("mono", {"channel": 0}, "has no channels"),
        ("complex", {}, "complex"),
        ("mono", {"fmin": 1e6}, "no frequency lies inside"),
        ("mono", {"end": "1999"}, "nothing lies between"),
        ("mono", {"reduce": "median"}, "'mean', 'max' or 'pick'"),
        ("mono", {"width": 0}, "pixels"),
    ],
)
def test_errors_name_the_way_out(x: Any, settings: dict[str, Any], message: str) -> None:
    if isinstance(x, str):
        shape, dims = ((4, 2, 3), ["channel", "frequency"]) if x == "channels" else ((4, 3), ["frequency"])
        values = np.ones(shape, np.complex64 if x == "complex" else np.float32)
        x = ra.recording(values, rate=1, start="2022", units="V2", dims=dims, coords={"frequency": [0.0, 1.0, 2.0]})
    with pytest.raises(RecordingError, match=message):
        pixels(x, **settings)


def test_an_ordinary_time_index_will_do_and_its_holes_stay_blank() -> None:
    times = np.array(["2022-01-01T00:00", "2022-01-01T00:01", "2022-01-01T00:10"], "datetime64[ns]")
    x = xr.DataArray(
        np.ones((3, 2)),
        dims=("time", "frequency"),
        coords={"time": times, "frequency": [1.0, 2.0]},
        attrs={"units": "Pa2"},
    )
    made = pixels(x, width=11)  # five and a half minutes around, one a column
    np.testing.assert_array_equal(np.isnan(made.values[:, 0]), [False] * 2 + [True] * 8 + [False])


# ---- a year ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hourly:
    """An hour that is never stored: each sample is its number, and reading counts."""

    path: str
    frames: int
    counter: list[int]

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.frames,)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float32)

    def read(self, start: int, stop: int) -> np.ndarray:
        self.counter.append(stop - start)
        return np.sin(np.arange(start, stop) * 0.7).astype(np.float32)


@pytest.mark.parametrize("sliced", [False, True])
def test_a_year_reads_a_few_windows_a_column(monkeypatch: pytest.MonkeyPatch, sliced: bool) -> None:
    rate, hour = 48_000, 3600 * 48_000
    counter: list[int] = []
    made = Format("hourly", (), lambda head: False, probe, lambda path, frames, *_: Hourly(path, frames, counter))
    monkeypatch.setattr("reelarray.formats.get_format", lambda name: made)
    hours = [h for h in range(8760) if not 3000 <= h < 3500]
    headers = [Header(f"h{h}", "hourly", hour, Fraction(rate), (hour,), "<f4", "FLOAT", (), 0, 0) for h in hours]
    table = SourceTable.of_headers(headers)
    clock = SampleClock.of_segments(
        np.array(hours) * 3600 * 10**9, [hour] * len(hours), rate, joined=np.append(False, np.diff(hours) == 1)
    )
    x = label(read_array(table, 2**24), clock, attrs={"units": "Pa"})
    spectra = ra.spectrogram(x, nfft=1024)
    if sliced:
        spectra = spectra.isel(time=slice(10_000_001, None))
    image = pixels(spectra, width=300, height=100)
    assert image.attrs["pixels"].startswith(f"{PICKED} of")
    most = 300 * (PICKED + 1) * 512
    assert 0 < sum(counter) <= most
    counter.clear()
    column = 300 * 3250 / 8760
    empty = np.isnan(image.values).all(axis=1)
    assert empty[round(column)]
    assert empty.sum() == pytest.approx(300 * 500 / 8760, abs=2)
    tone = image.values[~empty].argmax(axis=1)
    assert (tone == tone[0]).all()
    row = int(tone[0])
    assert image["lower"][row] <= 0.7 / 2 / np.pi * rate <= image["upper"][row] + 48_000 / 1024


@pytest.mark.parametrize("product", ["spectrogram", "power_spectrum", "slice"])
def test_rows_picked_from_files_are_the_rows(monkeypatch: pytest.MonkeyPatch, product: str) -> None:
    counter: list[int] = []
    made = Format("hourly", (), lambda head: False, probe, lambda path, frames, *_: Hourly(path, frames, counter))
    monkeypatch.setattr("reelarray.formats.get_format", lambda name: made)
    lengths = [100_000, 70_000, 130_000]
    headers = [Header(f"h{n}", "hourly", n, Fraction(8000), (n,), "<f4", "FLOAT", (), 0, 0) for n in lengths]
    table = SourceTable.of_headers(headers)
    starts = np.array([0, 15, 40]) * 10**9
    clock = SampleClock.of_segments(starts, lengths, 8000)
    x = label(read_array(table, 30_000), clock, attrs={"units": "Pa"})
    if product == "power_spectrum":
        spectra = ra.power_spectrum(x, every="20ms", nfft=64, block=100)
    else:
        spectra = ra.spectrogram(x, nfft=64, hop=16, block=1000)
    if product == "slice":
        spectra = spectra.isel(time=slice(3210, 15_000))
    width = 9 if product == "power_spectrum" else 40
    in_memory = pixels(spectra.compute(), width=width, reduce="pick")
    counter.clear()
    lazy = pixels(spectra, width=width, reduce="pick")
    np.testing.assert_allclose(lazy.values, in_memory.values, rtol=1e-12)
    assert sum(counter) < 100_000


def probe(path: str) -> Header:
    raise NotImplementedError(path)


def test_picking_from_any_lazy_array_computes_whole_blocks_and_few() -> None:
    import dask.array as da

    computed: list[int] = []

    def block(block_id: tuple[int, ...]) -> np.ndarray:
        computed.append(block_id[0])
        return np.full((1000, 4), float(block_id[0] + 1))

    data = da.map_blocks(block, chunks=((1000,) * 500, (4,)), dtype=float, meta=np.empty((0, 0)))
    x = ra.recording(data, rate=1, start="2022", units="Pa2", dims=["frequency"], coords={"frequency": np.arange(4.0)})
    made = pixels(x, width=20, reduce="pick")
    assert len(computed) <= 40
    np.testing.assert_allclose(made.values[:, 0], np.arange(20) * 25 + 13, atol=1)


def test_the_whole_is_never_held() -> None:
    import tracemalloc

    import dask.array as da

    data = da.random.default_rng(0).exponential(size=(400_000, 64), chunks=(5_000, 64))  # 200 MB
    x = ra.recording(
        data, rate=100, start="2022", units="Pa2", dims=["frequency"], coords={"frequency": np.arange(64.0)}
    )
    tracemalloc.start()
    try:
        pixels(x, width=200, reduce="mean")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60e6
