"""The tracker: the numbers of a Gaussian, past cables and empty frames, the same bits wherever frames are cut."""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelarray.depth import trackersteps
from reelarray.depth.tracker import (
    PARAMETERS,
    Tracker,
    crop_likelihood,
    fit,
    fit_alone,
    likely,
    log_likelihood,
    start,
    unseen,
)
from reelarray.depth.trackerlikelihood import factor, reach, turned
from reelarray.depth.trackerstart import SMALLEST, moments

ENGINES = (
    ["scipy", "numba"] if importlib.util.find_spec("numba") and importlib.util.find_spec("rocket_fft") else ["scipy"]
)
ROWS, COLUMNS = 110, 130


def animal(
    x: float, y: float, angle: float = 0.0, *, long: float = 24, wide: float = 11, top: float = 55
) -> np.ndarray:
    """Half an ellipsoid (mm) on the floor, its main axis at `angle` in the mathematical sense."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS].astype(float)
    along = np.cos(angle) * (columns - x) - np.sin(angle) * (rows - y)
    across = np.sin(angle) * (columns - x) + np.cos(angle) * (rows - y)
    return np.rint(top * np.sqrt(np.maximum(0, 1 - (along / long) ** 2 - (across / wide) ** 2))).astype("u1")


def walk(frames: int = 24) -> np.ndarray:
    """An animal that walks, turns, is gone for two frames and comes back elsewhere, among single pixels of noise."""
    random = np.random.default_rng(5)
    out = np.zeros((frames, ROWS, COLUMNS), "u1")
    for k in range(frames):
        if k not in (9, 10):
            away = 30 if k > 10 else 0
            out[k] = animal(40 + 1.5 * k + away, 50 + k, k / 8)
        out[k].ravel()[random.integers(0, out[k].size, 9)] = 90
    return out


def gaussian(mean: object, cov: object, frames: int = 1) -> np.ndarray:
    params = np.zeros(frames, PARAMETERS)
    params["mean"], params["cov"] = mean, cov
    return params


# ---- the fit ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_a_gaussian_of_pixels_is_found_again(engine: str) -> None:
    """Of pixels of scatter S under a Gaussian C: at rest C = (1/S + 1/C)^-1 + 30, so that c = 15 + sqrt(225 + 30 s)."""
    random = np.random.default_rng(1)
    mean = np.array([60.0, 45.0, 40.0])
    axes = np.linalg.qr(random.normal(size=(3, 3)))[0]
    variances = np.array([40.0, 90.0, 220.0])
    points = random.multivariate_normal(mean, axes * variances @ axes.T, 300_000).T
    steps = trackersteps
    if engine == "numba":
        from reelarray.depth import trackercompiled as steps  # type: ignore[no-redef]
    found_mean, found_cov = steps.improve(*points, *moments(*points))
    assert np.abs(found_mean - mean).max() < 0.15
    values, vectors = np.linalg.eigh(found_cov)
    np.testing.assert_allclose(values, 15 + np.sqrt(225 + 30 * variances), rtol=0.01)
    assert np.abs(np.abs(vectors.T @ axes) - np.eye(3)).max() < 0.05


@pytest.mark.parametrize("engine", ENGINES)
def test_an_animal_is_followed_while_it_walks_and_turns(engine: str) -> None:
    frames = np.stack([animal(40 + 1.5 * k, 40 + k, k / 10) for k in range(20)])
    params, state = fit(frames, frames, None, Tracker(engine=engine))
    away = params["mean"][:, :2] - np.stack([40 + 1.5 * np.arange(20), 40 + np.arange(20.0)], axis=1)
    assert np.hypot(*away.T).max() < 3.0  # it is drawn behind by the frame before
    angles = -np.arctan2(2 * params["cov"][:, 0, 1], params["cov"][:, 0, 0] - params["cov"][:, 1, 1]) / 2
    turn = (angles - np.arange(20) / 10 + np.pi / 2) % np.pi - np.pi / 2
    assert np.abs(turn).max() < np.radians(8)
    assert not params["held"].any()
    assert (np.linalg.eigvalsh(params["cov"]) >= 29.999).all()
    assert state == params[-1]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_cable_that_crosses_does_not_pull(engine: str) -> None:
    frames = np.stack([animal(60, 50, 0.3)] * 12)
    crossed = frames.copy()
    for k in range(3, 9):
        crossed[k, 48:52, 60:] = np.maximum(crossed[k, 48:52, 60:], 110)  # 4 px wide, over the head, up to the border
    options = Tracker(engine=engine)
    plain, with_cable = fit(frames, frames, None, options)[0], fit(crossed, crossed, None, options)[0]
    x = np.nonzero(crossed[5] > 10)[1]
    assert abs(x.mean() - 60) > 7  # where the pixels' own centroid goes
    assert np.abs(with_cable["mean"][:, :2] - plain["mean"][:, :2]).max() < 3.5
    np.testing.assert_allclose(with_cable["mean"][-1], plain["mean"][-1], atol=0.5)
    kept = likely(with_cable, crossed, 10, -16.0)[5]
    assert not kept[48:52, 90:].any()
    assert kept[50, 55]


@pytest.mark.parametrize("engine", ENGINES)
def test_frames_without_an_animal_hold_what_was_there_and_make_no_nan(engine: str) -> None:
    frames = np.stack([animal(40, 50)] * 8)
    frames[3:6] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        params, _ = fit(frames, frames, None, Tracker(engine=engine))
        level = log_likelihood(params, frames)
    assert params["held"].tolist() == [False] * 3 + [True] * 3 + [False] * 2
    assert (params["mean"][3:6] == params["mean"][2]).all()
    assert (params["cov"][3:6] == params["cov"][2]).all()
    assert np.isfinite(level).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_before_an_animal_comes_nothing_is_made_up(engine: str) -> None:
    frames = np.zeros((5, ROWS, COLUMNS), "u1")
    frames[3:] = animal(70, 60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        params, _ = fit(frames, frames, None, Tracker(engine=engine))
        level, mask = log_likelihood(params, frames), likely(params, frames, 10, -16.0)
        crops = crop_likelihood(params, np.full(5, np.nan), frames[:, :30, :30], 10, -100.0)
    assert np.isnan(params["mean"][:3]).all()
    assert params["held"].tolist() == [True] * 3 + [False] * 2
    np.testing.assert_allclose(params["mean"][4, :2], (70, 60), atol=0.2)
    assert (level[:3] == -np.inf).all()
    assert not mask[:3].any()
    assert mask[3, 60, 70]
    assert (crops == -100).all()
    nothing, after = fit(frames[:3], frames[:3], None, Tracker(engine=engine))
    assert nothing["held"].all()
    assert np.isnan(after["mean"]).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_an_animal_that_is_elsewhere_is_found_anew(engine: str) -> None:
    """By the cleaned frame, else by the one before cleaning, else by all pixels, of which there must be ten."""
    options = Tracker(engine=engine, threshold=-20.0)
    frames = np.stack([animal(30, 30), animal(100, 80)])
    np.testing.assert_allclose(fit(frames, frames, None, options)[0]["mean"][1, :2], (100, 80), atol=0.2)
    lost = frames.copy()
    lost[1] = 0  # by the cleaning
    np.testing.assert_allclose(fit(frames, lost, None, options)[0]["mean"][1, :2], (100, 80), atol=0.2)
    thin = np.stack([animal(30, 30), np.zeros_like(frames[0])])
    thin[1, 80, 90:111] = 40  # 21 pixels that no ellipse of 9 x 9 fits into
    params = fit(thin, thin, None, options)[0]
    np.testing.assert_allclose(params["mean"][1], (100, 80, 40), atol=1e-6)
    assert not params["held"][1]
    thin[1, 80, 99:] = 0
    params = fit(thin, thin, None, options)[0]
    assert params["held"][1]
    assert (params["mean"][1] == params["mean"][0]).all()


# ---- any cut, any engine ---------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 24), max_size=6).map(sorted), blend=st.sampled_from([0.0, 0.4]))
def test_any_cut_gives_the_same_bits(cuts: list[int], blend: float) -> None:
    frames = walk()
    cleaned = np.where(frames == 90, 0, frames).astype("u1")
    options = Tracker(blend_mean=blend, blend_cov=blend)
    whole, last = fit(frames, cleaned, None, options)
    state, parts = None, []
    for a, b in zip([0, *cuts], [*cuts, 24], strict=True):
        made, state = fit(frames[a:b], cleaned[a:b], state, options)
        parts.append(made)
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert state is not None
    assert state.tobytes() == last.tobytes()
    assert whole["held"].sum() == 2


@pytest.mark.skipif(len(ENGINES) == 1, reason="numba is not installed")
@pytest.mark.parametrize("segment", [True, False])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_both_engines_take_the_same_steps(segment: bool, dtype: str) -> None:
    frames = walk().astype(dtype)
    frames[4, 44:48, 40:56] = 0  # a hole in the animal,
    frames[4, 46, 45] = 40  # in which there is a pixel that counts
    options = Tracker(segment=segment, blend_mean=0.1)
    made = [fit(frames, frames, None, replace(options, engine=engine))[0] for engine in ENGINES]
    np.testing.assert_allclose(made[0]["mean"], made[1]["mean"], rtol=1e-9)
    np.testing.assert_allclose(made[0]["cov"], made[1]["cov"], rtol=1e-9, atol=1e-9)
    assert (made[0]["held"] == made[1]["held"]).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_pixels_beyond_the_window_are_none_that_the_fit_would_see(engine: str) -> None:
    """The fit of a picture with room around it is that of the picture: only places differ."""
    frames = np.stack([animal(60, 50, 0.4), animal(62, 51, 0.5)])
    frames[:, 5:15, 110:125] = 60
    for threshold in (-100.0, -25.0, -12.0):
        options = Tracker(engine=engine, threshold=threshold)
        room = np.pad(frames, [(0, 0), (40, 60), (0, 0)])
        small, large = fit(frames, frames, None, options)[0], fit(room, room, None, options)[0]
        np.testing.assert_allclose(large["mean"] - [0, 40, 0], small["mean"], rtol=1e-9)
        np.testing.assert_allclose(large["cov"], small["cov"], rtol=1e-7, atol=1e-9)


def test_a_block_on_its_own_comes_close_after_its_warm_up() -> None:
    frames = np.stack([animal(30 + k, 50, 0.2) for k in range(40)])
    whole = fit(frames, frames, None, Tracker())[0]
    away = []
    for lead in (0, 5, 20):
        alone = fit_alone(frames[20 - lead :], frames[20 - lead :], Tracker(), lead=lead, trail=5)
        assert len(alone) == 15
        away.append(np.abs(alone["mean"] - whole["mean"][20:35]).max())
    assert away[0] > 0.1 > away[1] > 1e-9 > away[2]


# ---- options ---------------------------------------------------------------------------------------------------------


def test_every_option_changes_the_result() -> None:
    frames = walk()
    frames[2, 20:26, 100:106] = 30  # a second object
    options = Tracker()
    usual = fit(frames, frames, None, options)[0]
    for change in (
        {"minimum": 30},
        {"maximum": 50},
        {"threshold": -12.0},
        {"segment": False},
        {"blend_mean": 0.5},
        {"blend_cov": 0.5},
    ):
        other = fit(frames, frames, None, replace(options, **change))[0]  # type: ignore[arg-type]
        assert not np.array_equal(other["mean"], usual["mean"], equal_nan=True), change


def test_a_larger_object_within_reach_wins_and_one_beyond_does_not() -> None:
    frames = np.stack([animal(30, 50, long=18, wide=9)] * 4)
    frames[1:] = np.maximum(frames[1:], animal(100, 50, np.pi / 2, long=30, wide=14))
    far = fit(frames, frames, None, Tracker(threshold=-25.0))[0]
    near = fit(frames, frames, None, Tracker(threshold=-1000.0))[0]
    assert far["mean"][3, 0] < 40
    assert near["mean"][3, 0] > 60


def test_a_state_may_be_one_row_and_is_left_as_it_was() -> None:
    frames = np.stack([np.zeros((ROWS, COLUMNS), "u1"), animal(50, 50)])
    rows = start(frames[1:], 10, 120).reshape(1)
    kept = rows.copy()
    made = [fit(frames, frames, state, Tracker())[0].tobytes() for state in (rows, rows[0], rows.reshape(()))]
    assert made[0] == made[1] == made[2]
    assert rows.tobytes() == kept.tobytes()


def test_blending_keeps_a_share_of_what_was() -> None:
    frames = np.stack([animal(50, 50), animal(56, 50)])
    state = start(frames, 10, 120)
    plain, half = fit(frames, frames, state, Tracker())[0], fit(frames, frames, state, Tracker(blend_mean=0.5))[0]
    np.testing.assert_allclose(half["mean"][0], (plain["mean"][0] + state["mean"]) / 2, rtol=1e-12)


# ---- where it begins -------------------------------------------------------------------------------------------------


def test_a_start_sees_the_first_frame_or_the_least_or_the_middle_of_ten() -> None:
    frames = np.zeros((12, ROWS, COLUMNS), "u1")
    frames[:] = animal(50, 50)
    frames[0] = np.maximum(frames[0], animal(90, 80, long=30, wide=20))
    frames[3] = animal(20, 20)
    frames[10:] = 0
    at = {mode: start(frames, 10, 120, mode=mode) for mode in ("raw", "min", "med")}  # type: ignore[arg-type]
    np.testing.assert_allclose(at["raw"]["mean"][:2], (90, 80), atol=0.1)
    np.testing.assert_allclose(at["med"]["mean"][:2], (50, 50), atol=0.1)
    assert np.isnan(at["min"]["mean"]).all()  # frame 3 has nothing there
    assert at["min"]["held"]
    same = start(np.delete(frames, 3, axis=0)[:9], 10, 120, mode="min")
    np.testing.assert_allclose(same["mean"][:2], (50, 50), atol=0.1)


def test_a_flat_object_has_a_gaussian_with_some_width() -> None:
    x, y = (each.ravel().astype(float) for each in np.meshgrid(np.arange(9), np.arange(5)))
    mean, cov = moments(x, y, np.full(45, 40.0))
    np.testing.assert_allclose(mean, (4, 2, 40))
    np.testing.assert_allclose(cov, np.diag([80 / 12, 2, SMALLEST]), atol=1e-12)  # (n^2 - 1) / 12 of n places in a row
    assert np.isfinite(factor(cov)).all()


# ---- likelihoods -----------------------------------------------------------------------------------------------------

COV = np.array([[60.0, 25.0, -5.0], [25.0, 40.0, 8.0], [-5.0, 8.0, 50.0]])


def test_log_likelihood_is_that_of_a_multivariate_normal() -> None:
    from scipy.stats import multivariate_normal

    frame = animal(40, 30)[None]
    made = log_likelihood(gaussian((42, 31, 30), COV), frame, dtype=float)
    y, x = np.mgrid[:ROWS, :COLUMNS]
    points = np.stack([x, y, frame[0]], axis=-1)
    np.testing.assert_allclose(made[0], multivariate_normal((42, 31, 30), COV).logpdf(points), rtol=1e-10)


@given(threshold=st.floats(-300, -5), x=st.floats(-30, 150), y=st.floats(-30, 150), height=st.floats(0, 120))
@settings(max_examples=60, deadline=None)
def test_likely_pixels_are_those_of_the_whole_picture(threshold: float, x: float, y: float, height: float) -> None:
    params, frame = gaussian((x, y, height), COV), animal(60, 50)[None]
    whole = (log_likelihood(params, frame, dtype=float) > threshold) & (frame > 10)
    assert (likely(params, frame, 10, threshold) == whole).all()


def test_nothing_is_within_reach_of_a_threshold_above_the_peak() -> None:
    top = factor(COV)[-1]
    assert reach(np.array([50.0, 50, 40]), COV, top, top, 100, 100) == (0, 0, 0, 0)
    y0, y1, x0, x1 = reach(np.array([50.0, 50, 40]), COV, top, top - 2.0, 100, 100)  # r = 2
    assert (y0, y1, x0, x1) == (36, 64, 33, 67)  # 50 -+ 2 sqrt(40) and 2 sqrt(60), and a pixel


@given(angle=st.floats(-1.57, 1.57))
def test_in_a_crop_the_gaussian_lies_along_its_rows(angle: float) -> None:
    """The covariance of an animal at `angle` (y points down) becomes longer along x, without a slant."""
    axes = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
    cov = axes @ np.diag([200.0, 50.0, 30.0]) @ axes.T
    np.testing.assert_allclose(turned(cov, angle), np.diag([200.0, 50.0, 30.0]), atol=1e-10)
    crops = np.full((1, 9, 9), 40)
    made = crop_likelihood(gaussian((3, 3, 40), cov), np.array([angle]), crops, 10, -100.0)[0]
    assert made[4, 4] == made.max()
    assert made[4, 0] > made[0, 4]
    np.testing.assert_allclose(made, made[::-1, ::-1], rtol=1e-6)


def test_a_stored_mask_has_no_value_below_the_clip() -> None:
    crops = np.full((2, 40, 40), 40)
    crops[0, :, :20] = 9
    params = gaussian((50, 50, 40), COV, 2)
    made = crop_likelihood(params, np.array([0.2, np.nan]), crops, 10, -14.0)
    assert made.dtype == np.float32
    assert made.min() == -14.0
    assert (made[0, :, :20] == -14).all()
    assert made[0, 20, 20] > -10
    assert made[0, 20, 39] == -14
    assert (made[1] == -14).all()
    compat = crop_likelihood(params[:1], np.array([0.7]), crops[1:], 10, -100.0, compat=True)[0]
    assert np.unravel_index(compat.argmax(), compat.shape) == (20, 20)
    upright = crop_likelihood(params[:1], np.array([0.7]), crops[1:, :39, :39], 10, -100.0, rotate=False)[0]
    np.testing.assert_array_equal(compat[1:, 1:], upright)  # 19 px on all sides of the middle, not turned
    assert np.isnan(unseen()["mean"]).all()
