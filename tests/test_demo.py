"""The demo: one command on nothing, and a picture in which gaps, tone and chirps are where they belong."""

from __future__ import annotations

import json

import numpy as np
import pytest

import reelarray as ra
from reelarray.cli import main
from reelarray.demo import arena as depth_demo
from reelarray.demo import deployment as demo

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "reel-demo"
    assert main(["demo", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def picture(made):
    """Colours (row, column, rgb) of the spectrogram, and functions from time (s after the start) and Hz to pixels."""
    from matplotlib.image import imread

    from reelarray.plot import plot_area

    image = imread(made / "spectrogram.png")[..., :3]
    height, width = image.shape[:2]
    left, top, right, bottom = plot_area(width, height)
    area = image[top:bottom, left:right]
    recorded = demo.BEGINS[-1] + demo.SECONDS  # s: the truncated file is left out

    def column(seconds):
        return int(seconds / recorded * area.shape[1])

    def row(hertz):
        return int((1 - hertz / (demo.RATE / 2)) * area.shape[0])

    return area, column, row


def brightness(area):
    return area.sum(axis=-1)


def test_both_gaps_are_blank_at_their_wall_clock_pixels_and_nothing_else_is(picture):
    from matplotlib.colors import to_rgb

    from reelarray.plot import GAP_COLOR

    area, column, _ = picture
    area = area[4:-4]  # within the frame
    blank = np.abs(area - np.array(to_rgb(GAP_COLOR))).max(axis=-1) < 0.02
    expected = np.zeros(area.shape[1], bool)
    expected[column(120) : column(180)] = expected[column(300) : column(390)] = True
    columns = blank.mean(axis=0)
    edges = np.zeros(area.shape[1], bool)
    for seconds in (120, 180, 300, 390):
        edges[column(seconds) - 2 : column(seconds) + 3] = True  # a pixel may hold both
    assert (columns[expected & ~edges] == 1).all()
    assert (columns[~expected & ~edges] == 0).all()


def test_the_tone_is_the_brightest_steady_line(picture):
    area, column, row = picture
    steady = np.median(brightness(area[:, column(2) : column(118)]), axis=1)
    assert abs(int(np.argmax(steady)) - row(demo.TONE)) <= 3


def test_chirps_rise_where_they_belong(picture):
    area, column, row = picture
    chirps = area.copy()
    low, high = row(demo.CHIRP_TO) - 3, row(demo.CHIRP_FROM) + 3
    for begin in (15, 60, 195, 240, 405):  # s: some chirps of each stretch
        for part in (0.3, 0.5, 0.7):
            at = column(begin + part * demo.CHIRP_SECONDS)
            hertz = demo.CHIRP_FROM + part * (demo.CHIRP_TO - demo.CHIRP_FROM)
            found = low + int(np.argmax(brightness(chirps[low:high, at])))
            assert abs(found - row(hertz)) <= 12, (begin, part)
    quiet = brightness(area[low:high, column(8 + 15) : column(13 + 15)])
    loud = brightness(area[low:high, column(15) : column(20)])
    assert loud.max() > quiet.max() + 0.2


def test_the_store_holds_the_same(made):
    s = ra.open_zarr(made / "spectrogram.zarr")
    assert ra.segments(s)["joined"].tolist().count(False) == 3
    assert abs(float(s.mean("time").idxmax("frequency")) - demo.TONE) < demo.RATE / 1024
    assert s.attrs["units"] == "Hz-1"


def test_a_folder_that_is_no_demo_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    assert main(["demo", str(tmp_path)]) == 2
    assert "not a demo" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_demo_can_be_run_again(made):
    assert main(["demo", str(made)]) == 0


@pytest.fixture(scope="module")
def control_room(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "reel-demo-iq"
    assert main(["demo", "iq", str(folder)]) == 0
    return folder


def test_the_watch_shows_each_analyser_and_what_went_wrong(control_room):
    status = json.loads((control_room / "page" / "status.json").read_text())
    assert sorted(status["analysers"]) == ["linac", "ring"]
    assert status["counts"]["done"] >= 2
    for name in ("ring", "zoom_ring", "linac", "zoom_linac"):
        assert (control_room / "page" / f"{name}.png").stat().st_size > 10_000
    recorded = {path.name for path in (control_room / "recordings").rglob("*.sigmf-meta")}
    if "linac_003.sigmf-meta" in recorded and status["counts"]["failed"]:
        (failed,) = status["failures"]
        assert failed["recording"] == "linac/linac_003.sigmf-meta"


def test_the_ring_is_cooled(control_room):
    widths = []
    recorded = sorted((control_room / "recordings" / "ring").glob("*.sigmf-meta"))
    assert len(recorded) > 2
    for path in (recorded[0], recorded[-1]):
        x = ra.open_recording(path, cache=False)
        line = ra.zoom(x, center=float(x["center_frequency"]) + 30e3, span=20e3)
        widths.append(float(ra.width(ra.power_spectrum(line, nfft=256)).values))
    assert widths[1] < 0.7 * widths[0]


def test_a_folder_that_is_no_demo_of_analysers_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    assert main(["demo", "iq", str(tmp_path)]) == 2
    assert "not a demo of analysers" in capsys.readouterr().err


@pytest.fixture(scope="module")
def arena(tmp_path_factory):
    pytest.importorskip("av")
    pytest.importorskip("tifffile")
    folder = tmp_path_factory.mktemp("demo") / "reel-demo-depth"
    assert main(["demo", "depth", str(folder)]) == 0
    return folder


def test_the_animal_is_where_it_was(arena):
    x = ra.depth.open_results(arena / "results" / "results_00.h5").load()
    gone = slice(*depth_demo.ABSENT)
    missing = np.isnan(x["centroid_x_px"].values)
    assert missing[gone].all()
    assert missing.sum() == gone.stop - gone.start
    assert not x["frames"].values[missing].any()
    joined = ra.segments(x["area_px"])["joined"]
    assert (~joined).sum() == 4  # 3 lost frames
    crops = x["frames"].values[~missing].astype(float)
    head, tail = crops[:, :, 72:].max((1, 2)), crops[:, :, :8].max((1, 2))
    assert (head > tail).mean() > 0.98


def test_pictures_of_the_recording_are_no_blank_ones(arena):
    image = pytest.importorskip("matplotlib.image")
    for name in ("scene", "crops", "trajectory", "scalars", "heading"):
        picture = image.imread(arena / "results" / f"{name}.png")
        assert len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0)) > 50, name
    av = pytest.importorskip("av")
    with av.open(str(arena / "results" / "results_00.mp4")) as film:
        shown = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(shown) == depth_demo.FRAMES
    assert np.abs(shown[100].astype(int) - shown[0]).max() > 50  # it moves


def test_the_demo_of_depth_can_be_run_again(arena, capsys):
    assert main(["demo", "depth", str(arena)]) == 0
    assert f"{depth_demo.FRAMES} frames in" in capsys.readouterr().out  # its recording was made anew


def test_a_folder_that_is_no_demo_of_depth_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    assert main(["demo", "depth", str(tmp_path)]) == 2
    assert "not a demo of depth" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
