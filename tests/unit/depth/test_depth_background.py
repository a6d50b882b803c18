"""Backgrounds: which frames are sampled, and medians in which zeros are no depths."""

from __future__ import annotations

import numpy as np
import pytest

from reelarray.depth.background import FEWEST, MOST, median_depth, sample_frames, smooth


@pytest.fixture
def frame():
    random = np.random.default_rng(3)
    depths = random.integers(600, 1000, (40, 53)).astype(np.uint16)
    depths[random.random(depths.shape) < 0.2] = 0
    depths[10:20, 10:20][random.random((10, 10)) < 0.6] = 0
    depths[30:38, :9] = 0
    return depths


@pytest.mark.parametrize("frames", [*range(1, 40), 300, 7_999, 8_000, 8_001, 8_499, 72_000, 128_001, 3_000_000])
def test_at_least_16_and_at_most_256_samples_are_evenly_spread(frames):
    chosen = sample_frames(frames)
    assert chosen[0] == 0
    assert chosen[-1] < frames
    assert len(set(np.diff(chosen))) <= 1
    assert min(frames, FEWEST) <= len(chosen) <= MOST
    if 8_000 <= frames <= 128_000:
        assert chosen[1] == 500


def test_compat_takes_every_500th_whatever_comes():
    assert sample_frames(499, compat=True).tolist() == [0]
    assert sample_frames(1001, compat=True).tolist() == [0, 500, 1000]
    assert len(sample_frames(3_000_000, compat=True)) == 6_000


def windows_of(frame: np.ndarray) -> np.ndarray:
    padded = np.pad(frame, 2, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, (5, 5)).reshape(*frame.shape, 25)


def test_the_spatial_median_leaves_zeros_out(frame):
    found = smooth(frame)
    for y in range(frame.shape[0]):
        for x in range(frame.shape[1]):
            valid = np.sort(windows_of(frame)[y, x])
            valid = valid[valid > 0]
            wanted = valid[(len(valid) - 1) // 2] if len(valid) >= 13 else 0
            assert found[y, x] == wanted, (y, x)
    assert (found == 0).any()
    assert found.dtype == np.uint16


def test_in_compat_it_counts_zeros(frame):
    assert np.array_equal(smooth(frame, zeros=True), np.median(windows_of(frame), axis=-1))


def test_in_compat_it_is_that_of_opencv(frame):
    cv2 = pytest.importorskip("cv2")
    assert np.array_equal(smooth(frame, zeros=True), cv2.medianBlur(frame, 5))


def test_the_frame_itself_stays(frame):
    before = frame.copy()
    smooth(frame)
    assert np.array_equal(frame, before)


@pytest.mark.parametrize("count", [1, 2, 7, 8])
def test_the_median_over_samples(count):
    random = np.random.default_rng(count)
    samples = random.integers(0, 4, (count, 70, 9)).astype(np.uint16) * 5  # nearer by 10 mm at most
    missing = np.where(samples == 0, np.nan, samples.astype(float))
    some = ~np.isnan(missing).all(axis=0)
    wanted = np.zeros(samples.shape[1:])
    wanted[some] = np.nanmedian(missing[:, some], axis=0)
    assert np.array_equal(median_depth(samples), wanted)
    assert np.array_equal(median_depth(samples, zeros=True), np.median(samples, axis=0))
    assert not some.all() or count > 3


@pytest.mark.parametrize("rests", [0, 3, 8, 11])
def test_an_animal_that_rests_in_most_samples_is_no_floor(rests):
    random = np.random.default_rng(rests)
    floor = 650 + random.integers(-1, 2, (16, 6, 7))
    samples = floor.astype(np.uint16)
    samples[:rests, 2:5] -= np.uint16(40)
    samples[3, 1] = 0
    found = median_depth(samples)
    assert np.abs(found - 650).max() <= 1
    assert np.array_equal(found[2:5], np.median(floor[rests:, 2:5], axis=0))
