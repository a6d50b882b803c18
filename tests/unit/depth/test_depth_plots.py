"""Pictures of depth video: what they show is what there is, gaps stay gaps, and no more is loaded than is shown."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from reelarray.clock import SampleClock
from reelarray.depth import plots
from reelarray.depth.croppictures import STRETCHES, travel
from reelarray.depth.scalarnames import units
from reelarray.depth.scalarpictures import of_pixels
from reelarray.depth.scenepictures import MOST
from reelarray.errors import MissingPackage, RecordingError
from reelarray.recordings import label

matplotlib = pytest.importorskip("matplotlib")

FRAMES, RATE, SIZE = 300, 30, 20
START = np.datetime64("2024-05-06T07:08:09", "ns").astype(np.int64)
GAP, ABSENT = 120, slice(200, 210)  # a frame after a second without any; frames without an animal
SAVES = {
    "crops": plots.save_crops,
    "heading": plots.save_heading,
    "scalars": plots.save_scalars,
    "trajectory": plots.save_trajectory,
}


@pytest.fixture
def figure() -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), dpi=100)
    FigureCanvasAgg(figure)
    return figure


def session(frames: int = FRAMES, *, absolute: bool = True) -> xr.Dataset:
    """An animal that walks round a circle, head first and counter-clockwise as seen; crop k is as bright as k + 1."""
    ns = np.rint(np.arange(frames) * 1e9 / RATE).astype(np.int64)
    ns[GAP:] += 10**9
    clock = SampleClock.of_segments(START * absolute + ns, np.ones(frames, int), RATE, absolute=absolute)
    crops = np.zeros((frames, SIZE, SIZE + 4), "u1")
    crops[:, 8:12, 4:22] = (np.arange(frames) % 250 + 1)[:, None, None]
    x = label(crops, clock, dims=("y", "x"), attrs={"units": "mm"}, name="frames").to_dataset()
    turn = ns / 1e9
    values = {
        "centroid_x_px": 50 + 40 * np.cos(turn),
        "centroid_y_px": 50 - 40 * np.sin(turn),
        "centroid_x_mm": 80 * np.cos(turn),
        "centroid_y_mm": -80 * np.sin(turn),
        "angle": turn + np.pi / 2,
        "length_mm": 60 + 5 * np.sin(7 * turn),
        "speed_2d_mm_s": np.full(frames, 80.0),
    }
    for name, each in values.items():
        each[ABSENT] = np.nan
        x[name] = ("time", each.astype("f4"), {"units": units(name)})
    x["frames"].data[ABSENT] = 0
    x.attrs.update(roi_origin=[100, 30], true_depth=673.0)
    return x


def scene() -> xr.Dataset:
    rows, columns = np.mgrid[:160, :240]
    arena = np.hypot(rows - 80, columns - 150) < 60
    background = np.where(arena, 670.0 + columns / 24, 900.0)
    background[:10, :20] = 0
    other = (rows < 40) & (columns < 60) & (rows > 15)
    pixels = ("y", "x")
    images = {"background": (pixels, background), "roi": (pixels, arena)}
    attrs = {"bg_roi_index": 0, "true_depth": 675.0, "box": [21, 140, 91, 210], "camera": '{"fx": 337.5}'}
    return xr.Dataset({**images, "rois": (("candidate", *pixels), np.stack([arena, other]))}, attrs=attrs)


def counted(x: xr.Dataset, name: str, chunk: int) -> tuple[xr.Dataset, list[int]]:
    """The dataset with a lazy variable, and the number of rows of each block that was made."""
    import dask.array as da

    made: list[int] = []

    def note(block: np.ndarray) -> np.ndarray:
        made.append(len(block))
        return block

    lazy = da.from_array(x[name].values, chunks=(chunk, *x[name].shape[1:]))
    lazy = lazy.map_blocks(note, dtype=lazy.dtype, meta=np.empty((0,) * lazy.ndim, lazy.dtype))
    return x.assign({name: (x[name].dims, lazy, x[name].attrs)}), made


# ---- scene -----------------------------------------------------------------------------------------------------------


def test_a_scene_shows_its_arena_and_other_candidates(figure: Any) -> None:
    ax = plots.plot_scene(scene(), ax=figure.add_subplot())
    figure.canvas.draw()
    image = ax.images[0].get_array()
    np.testing.assert_array_equal(image.mask, scene().background.values == 0)
    assert {text.get_text() for text in ax.texts} >= {"0", "1", "50 mm"}
    other, arena = (np.concatenate([p.vertices for p in c.get_paths()]) for c in ax.collections)
    away = np.hypot(arena[:, 0] - 150, arena[:, 1] - 80)
    assert np.abs(away - 60).max() < 1.1
    assert other[:, 0].max() < 60
    assert ax.get_title("left") == f"arena of {int(scene().roi.sum()):,} px, floor at 675.0 mm"
    assert figure.axes[1].get_ylabel() == "depth of the empty scene (mm)"
    low, high = ax.images[0].get_clim()
    assert low < 675 < high < 800  # the floor has colours of its own
    assert ax.get_ylim() == (159.5, -0.5)


def test_the_scale_bar_is_as_long_as_it_says(figure: Any) -> None:
    ax = plots.plot_scene(scene(), ax=figure.add_subplot())
    bar = next(line for line in ax.lines if line.get_linewidth() == 2.5)
    assert np.ptp(bar.get_xdata()) * 675 / 337.5 == pytest.approx(50)


# ---- trajectory ------------------------------------------------------------------------------------------------------


def test_the_way_is_that_of_the_centroid_in_the_full_frame_and_breaks(figure: Any) -> None:
    x = session()
    ax = plots.plot_trajectory(x, scene(), ax=figure.add_subplot())
    (way,) = (c for c in ax.collections if hasattr(c, "get_segments"))
    points = np.concatenate([path.vertices[k > 0 :] for k, path in enumerate(way.get_paths())])  # ends are shared
    there = ~np.isnan(points).any(axis=1)
    expected = np.stack([x.centroid_x_px + 100, x.centroid_y_px + 30], axis=1)
    np.testing.assert_allclose(points[there], expected[~np.isnan(expected).any(axis=1)])
    breaks = np.flatnonzero(np.diff(there.astype(int)) == -1)
    np.testing.assert_allclose(points[breaks], expected[[GAP - 1, ABSENT.start - 1]])
    figure.canvas.draw()
    assert figure.axes[1].get_ylabel() == "time since the first frame (s)"
    assert "1 gap of up to 1.03 s" in ax.get_title("right")
    begin, end = (line.get_xydata()[0] for line in ax.lines if line.get_label() in ("begin", "end"))
    np.testing.assert_allclose([begin, end], expected[[0, -1]])


def test_a_long_way_is_thinned_before_it_is_loaded(figure: Any) -> None:
    frames = 7 * MOST + 5
    time = np.arange(frames) * 33_333_333
    time[frames // 2 :] += 10**10
    x = xr.Dataset(coords={"time": time.astype("m8[ns]")})
    x["centroid_x_px"], x["centroid_y_px"] = ("time", np.arange(float(frames))), ("time", np.zeros(frames))
    ax = plots.plot_trajectory(x, ax=figure.add_subplot())
    points = np.concatenate([path.vertices[k > 0 :] for k, path in enumerate(ax.collections[0].get_paths())])
    lone = points[~np.isnan(points[:, 0]), 0]
    np.testing.assert_array_equal(lone, np.arange(0, frames, 8))
    assert np.isnan(points[:, 0]).sum() == 1
    assert "1 of 8 frames drawn" in ax.get_title("right")


# ---- crops -----------------------------------------------------------------------------------------------------------


def test_a_montage_shows_the_frames_it_says_and_loads_no_others(figure: Any) -> None:
    x, made = counted(session(), "frames", 5)
    ax = plots.plot_crops(x, n=6, columns=3, ax=figure.add_subplot())
    assert made == [5] * 6  # one block for each
    rows = np.array([25, 75, 125, 175, 225, 275])
    sheet = ax.images[0].get_array()
    step = SIZE + 3, SIZE + 7
    for k, row in enumerate(rows):
        top, left = (k // 3) * step[0], (k % 3) * step[1]
        np.testing.assert_array_equal(sheet[top : top + SIZE, left : left + SIZE + 4], session().frames.values[row])
    assert sheet.mask[SIZE].all()
    texts = [text.get_text() for text in ax.texts if text.get_text()]
    assert texts[0] == "0.8 s"
    assert texts[4] == "5.2 s"  # of frame 125, a second late
    assert texts[1] == f"{np.degrees(25 / 30 + np.pi / 2):.0f}°"
    assert texts.count("no animal") == 0


def test_arrows_point_where_the_animal_heads_in_the_picture(figure: Any) -> None:
    """Rows count downwards: an angle of 90 degrees points to the top."""
    x = session()
    x["angle"][:] = np.pi / 2
    ax = plots.plot_crops(x, rows=[3], ax=figure.add_subplot())
    (arrow,) = (text for text in ax.texts if hasattr(text, "arrow_patch") and text.arrow_patch)
    (x1, y1), (x0, y0) = arrow.xy, arrow.get_position()
    assert x1 == pytest.approx(x0)
    assert y1 < y0


def test_a_frame_without_an_animal_says_so(figure: Any) -> None:
    ax = plots.plot_crops(session(), rows=[10, ABSENT.start], ax=figure.add_subplot())
    assert [text.get_text() for text in ax.texts].count("no animal") == 1
    for rows in ([], [-1], [FRAMES]):
        with pytest.raises(RecordingError, match=f"frames from 0 to {FRAMES - 1}"):
            plots.plot_crops(session(), rows=rows, ax=figure.add_subplot())


# ---- heading ---------------------------------------------------------------------------------------------------------


def test_an_animal_that_walks_forwards_heads_where_it_goes() -> None:
    x = session()
    found = {
        n: x[n].values.astype(float) for n in ("angle", *(f"centroid_{a}_{u}" for a in "xy" for u in ("px", "mm")))
    }
    seconds = (x.time.values - x.time.values[0]) / np.timedelta64(1, "s")
    speed, away = travel(found, seconds)
    there = np.isfinite(speed)
    assert np.abs(np.degrees(away[there])).max() < 1
    np.testing.assert_allclose(speed[there], 80, rtol=0.01)
    lost = np.flatnonzero(~there)
    around = [0, 1, 2, *range(GAP - 3, GAP + 3), *range(ABSENT.start - 3, ABSENT.stop + 3), *range(FRAMES - 3, FRAMES)]
    assert lost.tolist() == around  # three frames on either side of a gap, of an absence and of the ends


@pytest.mark.parametrize("wrong", [0.0, 0.25, 1.0])
def test_the_share_of_right_headings_is_told(figure: Any, wrong: float) -> None:
    x = session()
    turned = np.arange(FRAMES) % 4 < 4 * wrong
    x["angle"] = x.angle + np.pi * turned
    plots.plot_heading(x, figure=figure)
    used = FRAMES - 3 - 6 - 16 - 3
    told = figure.axes[2].get_title("left")
    assert told.endswith(f"of {used} moving frames within 90°")
    assert float(told.split()[0]) == pytest.approx(100 * (1 - wrong), abs=1.5)
    bars = figure.axes[2].patches
    assert sum(bar.get_height() for bar in bars) == pytest.approx(100)
    assert figure.axes[1].get_title("left") == "paused: no such frame"


def test_mean_crops_are_made_of_a_few_stretches(figure: Any) -> None:
    x, made = counted(session(), "frames", 4)
    plots.plot_heading(x, figure=figure, n=32)
    assert STRETCHES <= len(made) <= 2 * STRETCHES
    assert figure.axes[0].get_title("left") == "moving: mean of 32 crops"
    mean = figure.axes[0].images[0].get_array()
    assert mean[10, 10] > 0 == mean[0, 0]


# ---- scalars ---------------------------------------------------------------------------------------------------------


def test_lines_break_at_gaps_and_absences(figure: Any) -> None:
    plots.plot_scalars(session(), names=["length_mm"], figure=figure)
    (ax,) = figure.axes
    values = ax.lines[0].get_ydata()
    assert np.isnan(values[GAP])
    assert np.isnan(values).sum() == 1 + 10
    (gap,) = ax.patches
    assert gap.get_width() * 86400 == pytest.approx(1 + 1 / RATE, rel=1e-3)
    assert ax.get_ylabel() == "length (mm)"
    assert ax.get_xlabel() == "time (UTC)"
    assert ax.get_title("right") == "1 gap of up to 1.03 s; 10 frames without a value"


def test_the_usual_scalars_are_drawn_and_unknown_ones_are_named(figure: Any) -> None:
    plots.plot_scalars(session(absolute=False), figure=figure)
    assert [ax.get_ylabel() for ax in figure.axes] == ["speed (mm/s)", "angle (rad)", "length (mm)"]
    assert figure.axes[-1].get_xlabel() == "time since the first sample (s)"
    with pytest.raises(RecordingError, match=r"size_mm: .*centroid_x_px"):
        plots.plot_scalars(session(), names=["size_mm"], figure=figure)
    with pytest.raises(RecordingError, match="none of the usual"):
        plots.plot_scalars(session()[["frames"]], figure=figure)


def test_no_extreme_is_lost_where_many_frames_share_a_pixel(figure: Any) -> None:
    x = session(3000)
    x["length_mm"][1234], x["length_mm"][2345] = 500, -300
    plots.plot_scalars(x, names=["length_mm"], figure=figure, width=100)
    (band,) = figure.axes[0].collections
    vertices = np.concatenate([path.vertices for path in band.get_paths()])
    assert vertices[:, 1].max() == 500
    assert vertices[:, 1].min() == -300
    at = vertices[vertices[:, 1].argmax(), 0] * 86400e9 - int(x.time.values[0].astype(np.int64))
    width = (x.time.values[-1] - x.time.values[0]).astype(np.int64) / 100
    assert abs(at - (1234 * 1e9 / RATE + 1e9)) < width


def test_pixels_hold_lowest_mean_and_highest() -> None:
    at, values = np.array([0.1, 0.2, 0.9, 2.5, 3.9]), np.array([1.0, 5, np.nan, 2, 7])
    middle, low, mean, high = of_pixels(at, values, (0.0, 4.0), 4)
    assert middle.tolist() == [0.5, 1.5, 2.5, 3.5]
    np.testing.assert_array_equal(low, [1, np.nan, 2, 7])
    np.testing.assert_array_equal(mean, [3, np.nan, 2, 7])
    np.testing.assert_array_equal(high, [5, np.nan, 2, 7])


# ---- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAVES)
def test_saved_pictures_are_alike_and_need_no_pyplot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    paths = [SAVES[name](session(), tmp_path / f"{k}.png", width_px=640) for k in range(2)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    from matplotlib.image import imread

    picture = imread(paths[0])
    assert picture.shape[1] == 640
    assert picture[..., :3].std() > 0.05
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.png", "1.png"]


def test_a_saved_scene_keeps_what_is_known_of_it(tmp_path: Path) -> None:
    path = plots.save_scene(scene(), tmp_path / "scene.png", text={"Author": "me"})
    assert b"true_depth" in path.read_bytes()
    assert b"Author\x00me" in path.read_bytes()
    with pytest.raises(RecordingError, match=r"scene.tiff was given; a name that ends in .png"):
        plots.save_scene(scene(), tmp_path / "scene.tiff")
    with pytest.raises(RecordingError, match="width_px="):
        plots.save_scene(scene(), tmp_path / "scene.png", ax=None)
    with pytest.raises(RecordingError, match="200 x 200 or more"):
        plots.save_scene(scene(), tmp_path / "scene.png", width_px=100)


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    draws = [plots.plot_crops, plots.plot_heading, plots.plot_scalars, plots.plot_trajectory, plots.plot_scene]
    for draw in draws:
        with pytest.raises(MissingPackage, match=r'pip install "reelarray\[plot\]"'):
            draw(session())
    with pytest.raises(MissingPackage):
        plots.save_crops(session(), tmp_path / "p.png")


def test_what_is_no_dataset_of_an_extraction_is_refused(figure: Any) -> None:
    with pytest.raises(RecordingError, match="one with background"):
        plots.plot_scene(session(), ax=figure.add_subplot())
    with pytest.raises(RecordingError, match="no frames"):
        plots.plot_crops(session().drop_vars("frames"), ax=figure.add_subplot())
    with pytest.raises(RecordingError, match="centroid_x_px"):
        plots.plot_trajectory(session()[["angle"]], ax=figure.add_subplot())
