"""The generator of small sessions: files as a recorder leaves them, and a truth that is true."""

from __future__ import annotations

import json

import numpy as np
import pytest

from reelarray.demo.depth import make_session

SHAPE = (212, 256)


def frames_of(folder) -> np.ndarray:
    data = (folder / "depth.dat").read_bytes()
    whole = len(data) // (2 * SHAPE[0] * SHAPE[1])
    return np.frombuffer(data, "<u2", whole * SHAPE[0] * SHAPE[1]).reshape(whole, *SHAPE)


def made(folder, **more):
    truth = make_session(folder, **{"frames": 30, "seed": 1, "shape": SHAPE, **more})
    return frames_of(folder), truth


def test_files_are_those_of_a_recorder(tmp_path):
    frames, truth = made(tmp_path)
    assert frames.shape == (30, *SHAPE)
    lines = np.loadtxt(tmp_path / "depth_ts.txt")
    assert lines.shape == (30, 2)
    np.testing.assert_allclose(lines[:, 0], truth["ts"], atol=1e-4)
    facts = json.loads((tmp_path / "metadata.json").read_text())
    assert facts["DepthResolution"] == [256, 212]
    assert facts["StartTime"].partition(".")[2][:7].isdigit()


def test_dropped_frames_are_steps_in_time(tmp_path):
    _, truth = made(tmp_path)
    assert truth["gap_before"].tolist() == [7, 15, 22]
    steps = np.diff(truth["ts"]) * 30 / 1000
    assert np.flatnonzero(steps > 1.5).tolist() == [6, 14, 21]
    assert np.rint(steps).max() == 2
    assert len(made(tmp_path, dropped=0)[1]["gap_before"]) == 0


def test_the_truth_is_what_is_seen(tmp_path):
    frames, truth = made(tmp_path)
    for k in (0, 12, 29):
        height = truth["background"] - frames[k]
        x, y = np.rint(truth["body_centroid"][k]).astype(int)
        near = np.zeros(SHAPE, bool)
        near[y - 35 : y + 36, x - 35 : x + 36] = True
        rows, columns = np.nonzero(near & (frames[k] > 0) & (height > 20))
        assert (columns.mean(), rows.mean()) == pytest.approx(truth["body_centroid"][k], abs=0.7)
        assert len(rows) == pytest.approx(truth["area_px"][k], rel=0.1)
        assert height[rows, columns].mean() == pytest.approx(truth["height_mm"][k], abs=2.5)
        axis = np.arctan2(*np.linalg.eigh(np.cov(columns, rows))[1][::-1, 1])
        assert abs((axis - truth["body_axis"][k] + np.pi / 2) % np.pi - np.pi / 2) < 0.06
        assert abs((truth["heading"][k] - truth["body_axis"][k] + np.pi / 2) % np.pi - np.pi / 2) < 0.06


def test_the_head_goes_first(tmp_path):
    _, truth = made(tmp_path, frames=600)
    step = np.diff(truth["xy"], axis=0)
    moving = np.hypot(*step.T) > 0.3
    ahead = np.stack([np.cos(truth["heading"][1:]), np.sin(truth["heading"][1:])], axis=1)
    assert 0.3 < moving.mean() < 0.9
    assert ((step * ahead).sum(axis=1)[moving] > 0).mean() > 0.99
    away = np.hypot(*(truth["xy"] - truth["bucket"][:2]).T)
    assert away.max() < truth["bucket"][2] - 20


def test_equal_seeds_make_equal_sessions_and_longer_ones_begin_alike(tmp_path):
    first, longer, other = (
        made(tmp_path / n, **more)[0] for n, more in {"a": {}, "b": {"frames": 40}, "c": {"seed": 2}}.items()
    )
    assert np.array_equal(first, longer[:30])
    assert not np.array_equal(first, other)


def test_troubles(tmp_path):
    frames, truth = made(tmp_path, absent=[(3, 6)], blank=[(10, 12)], at_edge=[(20, 25)], trailing=1001)
    plain, _ = made(tmp_path / "plain")
    assert (tmp_path / "depth.dat").stat().st_size == 30 * 2 * 212 * 256 + 1001
    assert np.flatnonzero((frames == 0).all(axis=(1, 2))).tolist() == [10, 11]
    assert np.flatnonzero(np.isnan(truth["heading"])).tolist() == [3, 4, 5]
    assert np.flatnonzero(truth["area_px"] == 0).tolist() == [3, 4, 5]
    assert np.isnan(truth["body_centroid"][3:6]).all()
    inside = np.hypot(*(np.mgrid[:212, :256] - truth["bucket"][1::-1, None, None])) < 65
    high = [np.count_nonzero(inside & (frame > 0) & (truth["background"] - frame > 20)) for frame in frames]
    assert high[4] < 10 < 200 < high[0]
    away = np.hypot(*(truth["xy"][20:25] - truth["bucket"][:2]).T)
    np.testing.assert_allclose(away, truth["bucket"][2])
    assert (truth["area_px"][20:25] < 0.8 * truth["area_px"][0]).all()
    assert np.array_equal(frames[:3], plain[:3])


def test_several_animals_and_a_cable(tmp_path):
    one, truth = made(tmp_path / "one")
    two, of_two = made(tmp_path / "two", animals=2)
    assert np.array_equal(truth["xy"], of_two["xy"])
    inside = np.hypot(*(np.mgrid[:212, :256] - truth["bucket"][1::-1, None, None])) < 65
    count = [np.count_nonzero(inside & (f[0] > 0) & (truth["background"] - f[0] > 20)) for f in (one, two)]
    assert count[1] > 1.3 * count[0]
    wired, _ = made(tmp_path / "wired", cable=True)
    x, y = truth["xy"][0].astype(int)
    row = truth["background"][y, x + 30 : x + 45] - wired[0][y, x + 30 : x + 45]
    assert np.median(row) == pytest.approx(80, abs=5)
