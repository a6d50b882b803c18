"""What is seen in frames: against the truth of a session, and what is odd is said."""

from __future__ import annotations

import numpy as np
import pytest

from reelarray.demo.depth import make_session
from reelarray.depth.cleaning import Cleaning
from reelarray.depth.cropping import crop
from reelarray.depth.heights import heights
from reelarray.depth.looking import look
from reelarray.depth.records import Arena, Look, Seen, record
from reelarray.depth.tracker import PARAMETERS, crop_likelihood, log_likelihood
from reelarray.errors import RecordingError
from reelarray.signal.engines import installed

ENGINES = ["scipy", *(["numba"] if installed() else [])]
FRAMES = 60


def scene_of(truth):
    """The floor that is true, and all of the bucket's."""
    cx, cy, radius = truth["bucket"]
    y, x = np.ogrid[: truth["background"].shape[0], : truth["background"].shape[1]]
    inside = np.hypot(x - cx, y - cy) <= radius
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    box = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    part = np.s_[box[0] : box[1], box[2] : box[3]]
    return Arena(np.floor(truth["background"][part]).astype("i2"), inside[part], box)


def session(folder, **options):
    truth = make_session(folder, frames=FRAMES, seed=3, **options)
    return np.fromfile(folder / "depth.dat", "<u2").reshape(FRAMES, 424, 512), scene_of(truth), truth


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return session(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("engine", ENGINES)
def test_an_animal_is_where_it_is(plain, engine):
    frames, arena, truth = plain
    found = look(frames, arena, Look(), engine=engine)
    off = np.hypot(*(np.stack([found["x"] + arena.box[2], found["y"] + arena.box[0]]) - truth["body_centroid"].T))
    turn = np.degrees(np.abs((-found["orientation"] - truth["body_axis"] + np.pi / 2) % np.pi - np.pi / 2))
    assert np.median(off) < 0.25
    assert np.percentile(off, 95) < 0.8
    assert np.median(turn) < 0.25
    assert np.percentile(turn, 95) < 1
    assert not found["flags"].any()
    high = look(frames, arena, Look(minimum=20), engine=engine)
    assert 0.92 < np.median(high["area"] / truth["area_px"]) < 1.02
    assert np.median(np.abs(high["height"] - truth["height_mm"])) < 1
    assert (found["raw_area"] > found["area"]).all()  # the tail


@pytest.mark.parametrize("engine", ENGINES)
def test_crops_are_those_of_the_box(plain, engine):
    """Of heights before cleaning, in the size asked for; area and height are those of the crop."""
    frames, arena, _ = plain
    how = Look(crop_size=(60, 90), maximum=400, dtype="uint16")
    found = look(frames[:20], arena, how, engine=engine)
    whole = heights(frames[:20], arena.floor, arena.inside, arena.box, maximum=400, dtype="uint16")
    place = found["x"], found["y"], found["orientation"], (60, 90)
    np.testing.assert_array_equal(found["frames"], crop(whole, *place))
    for prefix, name in ("", "cleaned"), ("raw_", "frames"):
        for one, area, height in zip(found[name], found[f"{prefix}area"], found[f"{prefix}height"], strict=True):
            counted = one[(one > 10) & (one < 400)]
            assert (area, height) == (counted.size, counted.mean())
    straight = look(frames[:20], arena, Look(rotate=False), engine=engine)["frames"]
    np.testing.assert_array_equal(straight, crop(whole.astype("u1") * (whole <= 120), *place[:3], rotate=False))


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_odd_is_said(tmp_path, engine):
    ranges = {"absent": [(5, 10)], "blank": [(20, 23)], "at_edge": [(30, 40)]}
    frames, arena, _ = session(tmp_path, **ranges)
    frames = frames.copy()
    frames[50:52, : arena.box[0] + 60] = 300  # a hand
    found = look(frames, arena, Look(), engine=engine)
    flags = [int(Seen.MISSING)] * 5, [int(Seen.MISSING | Seen.EMPTY)] * 3
    assert (found["flags"][5:10].tolist(), found["flags"][20:23].tolist()) == flags
    assert (found["flags"][30:40] & int(Seen.EDGE) > 0).sum() >= 8
    assert np.flatnonzero(found["flags"] & int(Seen.HIGH)).tolist() == [50, 51]
    assert np.isnan(found["x"][5:10]).all()
    assert not found["cleaned"][20:23].any()
    counts = np.isnan(found["height"]).sum()
    assert counts == 8


@pytest.mark.parametrize("engine", ENGINES)
def test_two_animals_are_told(tmp_path, engine):
    frames, arena, _ = session(tmp_path, animals=2)
    several = look(frames, arena, Look(), engine=engine)["flags"] & int(Seen.SEVERAL) > 0
    assert several.sum() > FRAMES / 2


@pytest.mark.parametrize("engine", ENGINES)
def test_every_component_counts_where_it_is_asked_for(plain, engine):
    frames, arena, _ = plain
    frames = frames[:4].copy()
    y, x = arena.box[0] + 150, arena.box[2] + 20
    frames[:, y : y + 14, x : x + 14] = 600  # a reflection
    one, all_of = (look(frames, arena, Look(largest=largest), engine=engine) for largest in (True, False))
    assert (all_of["x"] < one["x"] - 1).all()
    assert (all_of["major"] > one["major"]).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_tracker_tells_the_animal_from_the_rest(plain, engine):
    frames, arena, _ = plain
    frames = frames[:12].copy()
    free = look(frames, arena, Look(), engine=engine)
    y, x = arena.box[0] + 45, arena.box[2] + 60  # away from it
    frames[:6, y : y + 60, x : x + 60] = 560  # larger than the animal, and higher
    gaussians = np.zeros(12, PARAMETERS)
    gaussians["mean"] = np.stack([free["x"], free["y"], np.full(12, 40)], axis=1)
    gaussians["cov"] = np.diag([150, 150, 200])
    gaussians["held"][3] = True
    how = Look()
    found = look(frames, arena, how, tracked=gaussians, engine=engine)
    assert found.dtype == record(how, tracked=True)
    untracked = look(frames, arena, how, engine=engine)
    off = [np.hypot(seen["x"] - free["x"], seen["y"] - free["y"])[:6] for seen in (found, untracked)]
    assert (off[0] < 4).all()
    assert (off[1] > 15).all()
    assert (found["flags"] & int(Seen.HELD) > 0).tolist() == [k == 3 for k in range(12)]
    expected = crop_likelihood(gaussians, found["orientation"], found["cleaned"], 10, -100.0)
    np.testing.assert_array_equal(found["mask"], expected)
    assert found["mask"].dtype == "f4"
    assert found["mask"].min() == -100
    assert found["mask"].max() > -12
    # A threshold that is an option changes what is seen, and it is the log-likelihood that is compared to it.
    narrow = look(frames, arena, Look(threshold=-12.0), tracked=gaussians, engine=engine)
    assert (narrow["major"][6:] < found["major"][6:]).all()
    assert log_likelihood(gaussians, np.full((12, 5, 5), 40)).shape == (12, 5, 5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", [">u2", "<i4", "readonly", "strided"])
def test_frames_of_any_kind_are_the_same(plain, engine, kind):
    frames, arena, _ = plain
    expected = look(frames[:8:2], arena, Look(), engine=engine)
    if kind == "readonly":
        given = frames[:8:2].copy()
        given.flags.writeable = False
    else:
        given = frames[:8:2] if kind == "strided" else frames[:8:2].astype(kind)
    assert look(given, arena, Look(), engine=engine).tobytes() == expected.tobytes()


@pytest.mark.parametrize("engine", ENGINES)
def test_no_frames_are_no_records(plain, engine):
    frames, arena, _ = plain
    for cleaning in Cleaning(), Cleaning(temporal=(3,)):
        assert look(frames[:0], arena, Look(cleaning=cleaning), engine=engine).shape == (0,)


@pytest.mark.parametrize("engine", ENGINES)
def test_heights_that_do_not_fit_are_refused(plain, engine):
    frames, arena, _ = plain
    with pytest.raises(RecordingError, match="frame_dtype='uint16'"):
        look(frames, arena, Look(maximum=400), engine=engine)
