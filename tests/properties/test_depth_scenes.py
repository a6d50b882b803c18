"""Scenes do not depend on how a recording is cut, nor on where it lies in a file, and equal seeds make equal planes."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import reelarray as ra
from reelarray.demo.depth import make_session
from reelarray.depth.background import median_depth, sample_frames, smooth
from reelarray.depth.floor import Plane, find_plane, heights_of
from reelarray.depth.regions import Choice, candidates
from reelarray.depth.scene import scene

SHAPE = (106, 128)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    folder = tmp_path_factory.mktemp("session")
    make_session(folder, frames=45, seed=2, shape=SHAPE)
    return np.fromfile(folder / "depth.dat", "<u2").reshape(-1, *SHAPE)


def seen(rec: xr.DataArray, seed: int) -> xr.Dataset:
    return scene(rec, seed=seed, camera_type="kinect", intrinsics={"fx": 90.0, "fy": 92.0})


@settings(max_examples=12, deadline=None)
@given(cuts=st.sets(st.integers(1, 44), max_size=6), seed=st.integers(0, 2**32))
def test_chunks_do_not_matter(frames, cuts, seed):
    edges = [0, *sorted(cuts), 45]
    whole = ra.recording(frames, rate=30, units="mm")
    chunked = whole.chunk(time=tuple(np.diff(edges).tolist()), y=50, x=60)
    xr.testing.assert_identical(seen(chunked, seed), seen(whole, seed))


@given(frames=st.integers(1, 5_000_000))
def test_samples_are_few_even_and_within(frames):
    chosen = sample_frames(frames)
    assert min(8, frames) <= len(chosen) <= 256
    assert 0 == chosen[0] <= chosen[-1] < frames
    assert len(np.unique(np.diff(chosen))) <= 1


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_the_order_of_samples_does_not_matter(seed, count):
    random = np.random.default_rng(seed)
    samples = random.integers(0, 6, (count, 5, 7)).astype(np.uint16)
    mixed = random.permutation(samples)
    for zeros in (False, True):
        assert np.array_equal(median_depth(samples, zeros=zeros), median_depth(mixed, zeros=zeros))


@given(st.integers(0, 2**32))
def test_medians_stay_within_what_returned(seed):
    random = np.random.default_rng(seed)
    frame = random.integers(600, 700, (9, 11)).astype(np.uint16)
    frame[random.random(frame.shape) < random.random()] = 0
    found = smooth(frame)
    some = found[found > 0]
    assert np.isin(some, frame).all()
    assert np.array_equal(found == 0, smooth(frame, zeros=True) == 0)


@settings(max_examples=40, deadline=None)
@given(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2), st.floats(400, 900), st.integers(0, 2**32), st.floats(0, 0.5))
def test_a_plane_is_found_among_outliers(a, b, d, seed, share):
    random = np.random.default_rng(seed)
    depth = heights_of(Plane(a, b, -1.0, d), (40, 50)) + random.normal(0, 1, (40, 50))
    wild = random.random(depth.shape) < share
    depth[wild] -= random.uniform(90, 300, np.count_nonzero(wild))
    found = find_plane(depth, np.ones(depth.shape, bool), seed=seed)
    assert abs(found.a - a) < 0.01
    assert abs(found.b - b) < 0.01
    assert abs(heights_of(found, depth.shape) - heights_of(Plane(a, b, -1.0, d), depth.shape))[20, 25] < 0.3


@given(st.integers(0, 2**32))
def test_regions_are_parted_and_none_is_lost(seed):
    floor = np.random.default_rng(seed).random((20, 24)) < 0.3
    if not floor.any():
        return
    plain = Choice(dilate_iterations=0, fill_holes=False, smallest=0)
    found = candidates(floor, plain, keep=1000)
    assert np.array_equal(found.masks.sum(axis=0), floor)
    assert np.array_equal(found.masks.sum(axis=(1, 2)), found.area)
    assert (np.diff(found.score) >= 0).all()
    assert found.total == len(found.area)
