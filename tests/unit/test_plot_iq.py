"""Pictures of IQ: offsets from the carrier, edges of bins and frames, mean power or the highest, many at once."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import reelarray as ra
from reelarray.errors import RecordingError
from reelarray.plot import plot_area, plot_spectrogram, plot_spectrum, save_spectrogram, save_spectrum
from reelarray.plot.pixels import pixels
from reelarray.recordings import describe
from reelarray.signal.powers import to_watts

matplotlib = pytest.importorskip("matplotlib")

RATE, CENTER, NFFT = 390_625, 244_778_900.0, 1024
TONE = 128  # bins above the centre


def samples(frames: int = 40, *, seed: int = 0) -> xr.DataArray:
    n = np.arange(frames * NFFT)
    noise = np.random.default_rng(seed).normal(size=(2, n.size)) * 0.01
    z = np.exp(2j * np.pi * TONE * n / NFFT) + noise[0] + 1j * noise[1]
    x = ra.recording(z.astype(np.complex64), rate=RATE, start="2014-08-01T08:33:15.9782727", units="V")
    return x.assign_coords(center_frequency=CENTER)


def spectra(frames: int = 40, *, nfft: int = NFFT, seed: int = 0) -> xr.DataArray:
    return ra.spectrogram(samples(frames, seed=seed), nfft=nfft, hop=nfft, window="boxcar", scaling="spectrum")


@pytest.fixture
def agg() -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), dpi=100)
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def colors(path: Path) -> np.ndarray:
    """(rows from the lowest frequency, columns, 3) of the spectrogram in a picture, without its frame."""
    from matplotlib.image import imread

    left, top, right, bottom = plot_area()
    image = np.round(imread(path)[..., :3] * 255).astype(int)
    return image[top:bottom, left:right][::-1]


# ---- axes ------------------------------------------------------------------------------------------------------------


def test_frequencies_count_from_the_centre_and_edges_are_those_of_bins_and_frames(agg: Any) -> None:
    s = spectra()
    ax = plot_spectrogram(s, ax=agg, elapsed=True)
    assert ax.get_ylabel() == "frequency − 244.7789 MHz (MHz)"
    width = RATE / NFFT
    low, high = ax.get_ylim()
    assert low == pytest.approx(CENTER - RATE / 2 - width / 2, abs=1e-6)
    assert high == pytest.approx(CENTER + RATE / 2 - width / 2, abs=1e-6)
    assert ax.get_xlim() == pytest.approx((0, 40 * NFFT / RATE * 1e3), rel=1e-9)
    assert ax.get_xlabel() == "time since 2014-08-01 08:33:15.978272700 UTC (ms)"
    assert "bins of 381.5 Hz (no window), rows every 2.62 ms" in ax.get_title(loc="right")
    ax.figure.canvas.draw()
    ticks = dict(zip(ax.get_yticks(), [t.get_text() for t in ax.get_yticklabels()], strict=True))
    assert ticks[CENTER] == "0"
    assert {text: tick - CENTER for tick, text in ticks.items()}["−0.15"] == pytest.approx(-150e3)


def test_narrow_bands_count_in_kilohertz_and_none_where_it_is_not_wanted(agg: Any) -> None:
    s = spectra().isel(frequency=slice(500, 530))
    assert plot_spectrogram(s, ax=agg).get_ylabel() == "frequency − 244.7789 MHz (kHz)"
    agg.clear()
    assert plot_spectrogram(s, ax=agg, center=0, colorbar=False).get_ylabel() == "frequency (MHz)"
    agg.clear()
    assert plot_spectrogram(s, ax=agg, center=244.8e6, colorbar=False).get_ylabel() == "frequency − 244.8 MHz (kHz)"


@pytest.mark.parametrize("seconds", [0.5, 20.0])
def test_time_may_count_from_the_beginning_however_long_it_is(agg: Any, seconds: float) -> None:
    x = ra.recording(np.ones((10, 2)), rate=10 / seconds, start="2022", units="W", dims=["frequency"])
    x = x.assign_coords(frequency=[1.0, 2.0])
    ax = plot_spectrogram(x, ax=agg, elapsed=True, colorbar=False)
    assert ax.get_xlabel().startswith("time since 2022-01-01 00:00:00.000000000 UTC")
    agg.clear()
    assert plot_spectrogram(x, ax=agg, elapsed=False).get_xlabel() == "time (UTC)"


def test_one_row_and_one_bin_have_pictures(tmp_path: Path) -> None:
    s = spectra(1)
    shown = colors(save_spectrogram(s, tmp_path / "row.png"))
    assert (shown[300] == shown[300][200]).all(axis=-1)[5:-5].all()  # one row reaches from edge to edge
    assert save_spectrogram(s.isel(frequency=[700]), tmp_path / "bin.png").stat().st_size > 1000


def test_names_with_dollars_are_no_formulas(tmp_path: Path) -> None:
    for name in ("a$b$c.tiq", r"$\frac{1$.tiq", "x_{y}^2.tiq"):
        save_spectrogram(spectra(3).rename(name), tmp_path / "p.png", title=name)


# ---- levels ----------------------------------------------------------------------------------------------------------


def test_decibels_of_milliwatts(agg: Any) -> None:
    ax = plot_spectrogram(to_watts(spectra()), ax=agg, reference="1 mW", reduce="max")
    assert ax.figure.axes[1].get_ylabel() == "power spectrum level\n(dBm)"
    assert ax.images[0].get_array().max() == pytest.approx(10, abs=0.1)  # 1 V at its peak: 10 mW at 50 ohm


def test_linear_values_and_their_power_of_ten(agg: Any) -> None:
    x = to_watts(spectra()) * 1e-9
    x = describe(x, units="W", long_name="power")
    ax = plot_spectrogram(x, ax=agg, scale="linear", percentiles=(0, 100), reduce="max")
    assert ax.figure.axes[1].get_ylabel() == "power\n(10⁻¹¹ W)"
    low, high = ax.images[0].get_clim()
    assert low == 0
    assert high == pytest.approx(1e-11, rel=0.05)
    ax.figure.canvas.draw()
    assert "1" in [t.get_text() for t in ax.figure.axes[1].get_yticklabels()]


def test_limits_by_percentiles_and_by_level(agg: Any) -> None:
    made = pixels(spectra(), width=200, height=300)
    levels = 10 * np.log10(made.values)
    ax = plot_spectrogram(spectra(), ax=agg, width=200, height=300, percentiles=(5, 99.9), colorbar=False)
    low, high = ax.images[0].get_clim()
    assert low == np.floor(np.percentile(levels, 5) / 5) * 5
    assert high == np.ceil(np.percentile(levels, 99.9) / 5) * 5
    agg.clear()
    assert plot_spectrogram(spectra(), ax=agg, vmin=-80, vmax=-1).images[0].get_clim() == (-80, -1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": "log"}, "'dB' or 'linear'"),
        ({"scale": "linear", "reference": 2}, "scale='linear', which has none"),
        ({"percentiles": (99, 5)}, "a lower and a higher one"),
        ({"percentiles": 5}, "a lower and a higher one"),
        ({"percentiles": (-1, 50)}, "a lower and a higher one"),
    ],
)
def test_settings_that_cannot_be(agg: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        plot_spectrogram(spectra(3), ax=agg, **settings)
    with pytest.raises(RecordingError, match="levels in"):
        plot_spectrogram(ra.to_decibel(spectra(3)), ax=agg, scale="linear")


# ---- pixels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [None, (3, 100)])
@pytest.mark.parametrize("decibel", [False, True])
def test_a_pixel_is_the_mean_or_the_highest_of_all_that_lies_in_it(chunks: Any, decibel: bool) -> None:
    s = spectra(40)
    s = ra.to_decibel(s) if decibel else s
    power = 10 ** (s.values.astype(float) / 10) if decibel else s.values.astype(float)
    lazy = s if chunks is None else s.chunk(time=chunks[0], frequency=chunks[1])
    for reduce, merge in (("mean", np.mean), ("max", np.max)):
        made = pixels(lazy, width=10, height=256, reduce=reduce).values
        by_hand = merge(power.reshape(10, 4, 256, 4), axis=(1, 3))
        np.testing.assert_allclose(made, 10 * np.log10(by_hand) if decibel else by_hand, rtol=1e-6)
    assert pixels(s, width=10, height=256, reduce="max").attrs["pixels"] == "highest of 4 spectra × 4 bins a pixel"
    assert pixels(s, width=10, height=256).attrs["pixels"] == "mean of 4 spectra × 4 bins a pixel"


def test_missing_values_are_left_out_of_the_highest_and_gaps_stay_blank() -> None:
    values = np.array([[1.0, np.nan], [5.0, np.nan], [np.nan, np.nan], [np.nan, 2.0]])
    x = ra.recording(values, rate=1, units="W", dims=["frequency"], coords={"frequency": [1.0, 2.0]})
    np.testing.assert_array_equal(pixels(x, width=2, reduce="max").values, [[5, np.nan], [np.nan, 2]])
    np.testing.assert_array_equal(pixels(x, width=2, end=8, reduce="max").values, [[5, 2], [np.nan, np.nan]])


def test_a_tone_of_one_bin_keeps_its_level_in_the_highest_and_its_power_in_the_mean() -> None:
    s = spectra(10)
    peak = pixels(s, width=10, height=64, reduce="max")
    mean = pixels(s, width=10, height=64)
    assert peak.values.max() == pytest.approx(1, rel=0.01)
    assert mean.values.max() == pytest.approx(1 / 16, rel=0.02)
    assert mean.values.sum() * 16 == pytest.approx(float(s.sum()), rel=1e-5)
    row = int(mean.values[0].argmax())
    assert mean["lower"][row] <= CENTER + TONE * RATE / NFFT < mean["upper"][row]


def test_long_rows_are_summed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from reelarray.plot import pixels as module

    runs = []

    def counted(data: Any, low: np.ndarray, high: np.ndarray, part: Any) -> np.ndarray:
        runs.append(len(low))
        return whole(data, low, high, part)

    whole = module.whole_pixels
    monkeypatch.setattr(module, "whole_pixels", counted)
    made = pixels(spectra(7), width=1000)
    assert runs == [7]
    assert not np.isnan(made.values).any()
    np.testing.assert_array_equal(made.values[0], made.values[100])


# ---- threads ---------------------------------------------------------------------------------------------------------


def test_eight_at_once_give_the_bytes_of_one_by_one(tmp_path: Path) -> None:
    arrays = [spectra(3 + k, seed=k).rename(f"run {k}") for k in range(8)]

    def draw(k: int, folder: str) -> bytes:
        path = tmp_path / folder / f"{k}.png"
        path.parent.mkdir(exist_ok=True)
        settings: dict[str, Any] = {"elapsed": k % 2 == 0, "scale": "dB" if k % 3 else "linear"}
        return save_spectrogram(arrays[k], path, title=f"run {k}", **settings).read_bytes()

    alone = [draw(k, "alone") for k in range(8)]
    assert len(set(alone)) == 8
    ready = threading.Barrier(8)

    def together(k: int) -> list[bytes]:
        ready.wait(30)
        return [draw(k, f"together{k}{repeat}") for repeat in range(3)]

    with ThreadPoolExecutor(8) as pool:
        for k, made in enumerate(pool.map(together, range(8))):
            assert made == [alone[k]] * 3


def test_a_picture_holds_no_date(tmp_path: Path) -> None:
    from PIL import Image

    save_spectrogram(spectra(3), tmp_path / "p.png", text={"Source": "räum\u4e00.tiq"})
    with Image.open(tmp_path / "p.png") as image:
        assert image.info["Source"] == "räum\u4e00.tiq"
        assert set(image.info) == {"Software", "Title", "Description", "Source", "dpi"}


# ---- one spectrum ----------------------------------------------------------------------------------------------------


def test_one_spectrum_shows_every_bin(agg: Any) -> None:
    one = ra.power_spectrum(samples(64), nfft=16384, window="boxcar", scaling="spectrum")
    ax = plot_spectrum(to_watts(one), ax=agg, reference="1 mW", width=256)
    assert ax.get_xlabel() == "frequency − 244.7789 MHz (MHz)"
    assert "dBm" in ax.get_ylabel()
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(10, abs=0.1)
    top = band[band[:, 1].argmax(), 0]
    assert top == pytest.approx(CENTER + TONE * RATE / NFFT, abs=RATE / 256)
    frequency, mean = ax.lines[0].get_data()
    assert len(frequency) == 256
    power = 10 ** (np.asarray(mean) / 10) * 1e-3
    assert power.sum() * 64 == pytest.approx(float(to_watts(one).sum()), rel=1e-4)


def test_spectra_with_fewer_bins_than_pixels_are_a_line(agg: Any) -> None:
    one = ra.power_spectrum(samples(8), nfft=64, scaling="spectrum")
    ax = plot_spectrum(one, ax=agg, scale="linear", label="a", color="k")
    plot_spectrum(one * 0.5, ax=ax, scale="linear", label="b")
    assert not ax.collections
    np.testing.assert_allclose(ax.lines[0].get_ydata(), one.values)
    assert [line.get_label() for line in ax.lines] == ["a", "b"]
    db = ra.to_decibel(one)
    agg.clear()
    np.testing.assert_allclose(plot_spectrum(db, ax=agg).lines[0].get_ydata(), db.values, atol=1e-4)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones(3), "ndarray given"),
        (ra.recording([1.0, 2.0], rate=1), "dimensions"),
        ("rows", r"x\.isel"),
        ("complex", "complex"),
    ],
)
def test_what_is_no_spectrum_is_refused(x: Any, message: str, agg: Any) -> None:
    if isinstance(x, str):
        x = spectra(3) if x == "rows" else xr.DataArray(np.ones(2, complex), dims="frequency")
    with pytest.raises(RecordingError, match=message):
        plot_spectrum(x, ax=agg)


def test_titles_and_powers_of_ten_are_written_out(agg: Any) -> None:
    one = to_watts(ra.power_spectrum(samples(8), nfft=64, scaling="spectrum")) * 3e-6
    ax = plot_spectrum(one.assign_attrs(units="W", long_name="power spectrum"), ax=agg, scale="linear")
    assert ax.get_title(loc="left") == "power spectrum"
    assert ax.get_ylabel() == "power spectrum (10⁻⁸ W)"
    assert "(Hann)" in ax.get_title(loc="right")
    ax.figure.canvas.draw()
    assert not ax.yaxis.get_offset_text().get_text()
    assert [t.get_text() for t in ax.get_yticklabels()][1:3] == ["0", "0.5"]


def test_a_spectrum_is_saved_whole_and_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    one = ra.power_spectrum(samples(8), nfft=256, scaling="spectrum")
    made = [
        save_spectrum(one, tmp_path / f"{k}.png", width_px=900, height_px=401, text={"Source": "run7"}, label="a")
        for k in (1, 2)
    ]
    assert made[0].read_bytes() == made[1].read_bytes()
    with Image.open(made[0]) as image:
        assert image.size == (900, 401)
        assert (image.info["Source"], image.info["Title"]) == ("run7", "power_spectrum")
        drawn = (np.asarray(image.convert("RGB"), int) == (0x1F, 0x77, 0xB4)).all(axis=-1)
    top = drawn.argmax(axis=0)[90:865]
    highest = int(np.where(drawn.any(axis=0)[90:865], top, 999).argmin()) + 90
    assert highest == pytest.approx(86 + (TONE / NFFT + 0.5) * (900 - 86 - 30), abs=4)
    for name, settings, message in (
        ("a.jpg", {}, "png"), ("a.png", {"width": 3}, "width_px"), ("a.png", {"width_px": 100}, "no room"),
    ):  # fmt: skip
        with pytest.raises(RecordingError, match=message):
            save_spectrum(one, tmp_path / name, **settings)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1.png", "2.png"]
