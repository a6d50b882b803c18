"""What a user writes who knows OpenCV well: depth frames to aligned crops and features, one loop, one HDF5 file."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

MINIMUM, MAXIMUM, CROP, CHUNK, LEVEL = 10, 120, 80, 64, 3  # as ours, down to the level of compression
SAMPLES, NEAR = 16, 30.0  # frames of the background; mm from the median depth that are floor
FEATURES = ("x", "y", "orientation", "major", "minor", "area", "height")
Lap = Callable[[str], None]


def quiet(step: str) -> None:
    """No clock is kept."""


class Laps:
    """CPU seconds by step: each call says what the time since the last one was spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.since = time.process_time()

    def __call__(self, step: str) -> None:
        now = time.process_time()
        self.seconds[step] = self.seconds.get(step, 0.0) + now - self.since
        self.since = time.process_time()


def extract(path: str, output: str, shape: tuple[int, int] = (424, 512), lap: Lap = quiet) -> dict[str, list[float]]:
    """A .dat file to an HDF5 file of crops, masks and features; gives columns, rows and areas of all frames."""
    import cv2
    import h5py

    cv2.setNumThreads(1)
    film = np.memmap(path, "<u2", "r").reshape(-1, *shape)
    times = np.loadtxt(Path(path).with_name("depth_ts.txt"))[:, 0]
    floor, (y0, y1, x0, x1) = scene(film)
    tail = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    found = np.full((len(film), len(FEATURES)), np.nan, "f4")
    lap("scene")
    with h5py.File(output, "w") as file:
        made = {
            name: file.create_dataset(
                name, (len(film), CROP, CROP), dtype, chunks=(CHUNK, CROP, CROP), compression="gzip",
                compression_opts=LEVEL,
            )
            for name, dtype in (("frames", "u1"), ("frames_mask", "?"))
        }  # fmt: skip
        for start in range(0, len(film), CHUNK):
            count = min(CHUNK, len(film) - start)
            crops, masks = np.empty((count, CROP, CROP), "u1"), np.empty((count, CROP, CROP), "u1")
            for k in range(count):
                depth = np.ascontiguousarray(film[start + k, y0:y1, x0:x1])
                lap("read")
                height = cv2.subtract(floor, depth)  # 0 below the floor and outside; above `MAXIMUM` without a return
                height = cv2.bitwise_and(height.astype("u1"), cv2.inRange(height, MINIMUM, MAXIMUM))
                lap("heights")
                cleaned = cv2.morphologyEx(cv2.medianBlur(height, 3), cv2.MORPH_OPEN, tail)
                lap("cleaning")
                mask, values = features(cleaned)
                lap("component, moments")
                turn = cv2.getRotationMatrix2D(values[:2], -math.degrees(values[2]), 1)
                turn[:, 2] += (CROP - 1) / 2 - np.array(values[:2])
                cv2.warpAffine(height, turn, (CROP, CROP), dst=crops[k], flags=cv2.INTER_LINEAR)
                crop = cv2.warpAffine(cleaned, turn, (CROP, CROP), flags=cv2.INTER_LINEAR)
                cv2.warpAffine(mask, turn, (CROP, CROP), dst=masks[k], flags=cv2.INTER_NEAREST)
                seen = cv2.inRange(crop, MINIMUM + 1, MAXIMUM - 1)
                found[start + k] = *values, cv2.countNonZero(seen), cv2.mean(crop, seen)[0]
                lap("crops")
            made["frames"][start : start + count] = crops
            made["frames_mask"][start : start + count] = masks.view(bool)
            lap("write")
        found[:, 2] = np.unwrap(found[:, 2], period=math.pi)
        file["timestamps"] = times
        for name, values in zip(FEATURES, found.T, strict=True):
            file[f"scalars/{name}"] = values
    lap("write")
    return {name: found[:, FEATURES.index(name)].tolist() for name in ("x", "y", "area")}


def scene(film: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """The floor of the arena in its box (0 outside), and the box: the largest patch near the median depth."""
    import cv2

    step = max(1, min(500, len(film) // SAMPLES))
    depth = np.median([cv2.medianBlur(np.ascontiguousarray(frame), 5) for frame in film[::step]], axis=0)
    middle = depth[film.shape[1] // 4 : -film.shape[1] // 4, film.shape[2] // 4 : -film.shape[2] // 4]
    near = (abs(depth - np.median(middle)) < NEAR).astype("u1")
    _, labels, stats, _ = cv2.connectedComponentsWithStats(near)
    index = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    arena = cv2.dilate((labels == index).astype("u1"), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (10, 10)))
    x0, y0, width, height = cv2.boundingRect(arena)
    box = y0, y0 + height, x0, x0 + width
    return (depth * arena).astype("u2")[box[0] : box[1], box[2] : box[3]], box


def features(cleaned: np.ndarray) -> tuple[np.ndarray, tuple[float, float, float, float, float]]:
    """The largest object as a mask, and where and how it lies; zeros where there is none."""
    import cv2

    above = cv2.inRange(cleaned, MINIMUM + 1, 255)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8, ltype=cv2.CV_16U)
    if count < 2:
        return np.zeros_like(cleaned), (0.0,) * 5
    index = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    left, top, width, height, area = stats[index].tolist()
    part = slice(top, top + height), slice(left, left + width)
    mask = np.zeros_like(cleaned)
    mask[part] = labels[part] == index
    m = cv2.moments(mask[part], binaryImage=True)
    xx, xy, yy = m["mu20"] / area, m["mu11"] / area, m["mu02"] / area
    across = math.hypot(2 * xy, xx - yy)
    axes = (2 * math.sqrt(2 * max(0.0, xx + yy + sign * across)) for sign in (1, -1))
    return mask, (m["m10"] / area + left, m["m01"] / area + top, -math.atan2(2 * xy, xx - yy) / 2, *axes)
