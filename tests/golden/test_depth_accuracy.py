"""How near to the truth the animal is found, where the scene is known: 300 frames of three generated recordings."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from reelarray.depth.looking import look
from reelarray.depth.records import Arena, Look

FRAMES = 300


class Film(NamedTuple):
    frames: np.ndarray
    arena: Arena
    truth: dict[str, np.ndarray]


@pytest.fixture(scope="module", params=[0, 1, 2])
def film(request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Film:
    tool = shared / "tools/make_depth_session.py"
    if not tool.is_file():
        pytest.skip(f"no generator at {tool}; set REELARRAY_SHARED to the folder that holds tools/")
    folder = tmp_path_factory.mktemp("film")
    runpy.run_path(str(tool))["make_session"](folder, frames=FRAMES, seed=request.param)
    with np.load(folder / "truth.npz", allow_pickle=False) as file:
        truth = dict(file)
    cx, cy, radius = truth["bucket"]
    y, x = np.ogrid[:424, :512]
    inside = np.hypot(x - cx, y - cy) <= radius
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    box = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    part = np.s_[box[0] : box[1], box[2] : box[3]]
    floor = np.where(truth["nodata"], 0, np.floor(truth["background"]))[part].astype("i2")
    frames = np.fromfile(folder / "depth.dat", "<u2").reshape(FRAMES, 424, 512)
    return Film(frames, Arena(floor, inside[part], box), truth)


def quantiles(values: np.ndarray) -> tuple[float, float, float]:
    return float(np.median(values)), float(np.percentile(values, 95)), float(values.max())


def test_position_and_axis(film: Film) -> None:
    found = look(film.frames, film.arena, Look(minimum=10), crops=False)
    assert not np.isnan(found["x"]).any()
    assert not found["flags"].any()
    y0, _, x0, _ = film.arena.box
    off = np.hypot(
        found["x"] + x0 - film.truth["body_centroid"][:, 0], found["y"] + y0 - film.truth["body_centroid"][:, 1]
    )
    turned = np.degrees(np.abs((-found["orientation"] - film.truth["body_axis"] + np.pi / 2) % np.pi - np.pi / 2))
    for values in off, turned:  # px and degrees
        median, most, largest = quantiles(values)
        assert median <= 0.2
        assert most <= 0.8
        assert largest <= 3


def test_area_and_height_of_the_crops(film: Film) -> None:
    found = look(film.frames, film.arena, Look(minimum=20))  # what the truth counts
    ratio = found["area"] / film.truth["area_px"]
    assert ratio.min() >= 0.92
    assert ratio.max() <= 1.02
    assert np.abs(found["height"] - film.truth["height_mm"]).max() < 1


def test_the_animal_is_in_the_middle_of_its_crop(film: Film) -> None:
    found = look(film.frames, film.arena, Look())
    rows, columns = np.mgrid[:80, :80] - 39.5
    off = np.array([(columns[mask].mean(), rows[mask].mean()) for mask in found["mask"]])
    assert np.abs(off).max() < 0.6  # the nearest pixels of a mask are up to half a pixel off, all to one side
    assert np.abs(off.mean(axis=0)).max() < 0.05
    for mask in found["mask"]:  # and lies along the rows
        assert abs(np.mean(rows[mask] * columns[mask])) < 0.05 * columns[mask].var()
