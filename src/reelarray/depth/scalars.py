"""Numbers of each frame: where the animal is, how large, how high, and how it moves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .cameras import to_millimetres
from .scalarnames import EXTRA_SCALARS, units
from .scalarnames import SCALARS as _SCALARS

if TYPE_CHECKING:
    from .cameras import Camera

# name -> units, and what it is
SCALARS = {name: (units(name), said) for name, said in {**_SCALARS, **EXTRA_SCALARS}.items()}

# What the existing tool takes for the focal lengths of every camera: those of the Kinect 2, with tan(a) = a.
_COMPAT_CENTRE = 256.0, 212.0
_COMPAT_FOCAL = 512 / (2 * math.radians(35.3)), 424 / (2 * math.radians(30.0))


def scalars(
    x: np.ndarray,
    y: np.ndarray,
    angle: np.ndarray,
    major: np.ndarray,
    minor: np.ndarray,
    area: np.ndarray,
    height: np.ndarray,
    *,
    camera: Camera | Any,
    true_depth: float,
    origin: tuple[int, int],
    times_ms: np.ndarray | None,
    rate: float,
    compat: bool = False,
    lead: int = 0,
) -> dict[str, np.ndarray]:
    """Scalars of frames, each from its own features and those of the frame before: (n,) each -> float32 (n - lead,).

    Parameters
    ----------
    x, y : position in the crop of the arena, px; NaN where nothing was found, as in all features
    angle : orientation, rad, unwrapped, flips included; y points down, so that the image has -angle
    major, minor : lengths of the axes, px
    area, height : pixels of the animal in its crop, and their mean height, mm (NaN without any)
    camera : focal lengths fx, fy and principal point cx, cy, px of the full frame
    true_depth : depth of the floor, mm
    origin : column and row of the full frame where the crop of the arena begins
    times_ms : when each frame was taken, ms; None: at a constant `rate`
    rate : frames a second, nominal
    compat : the definitions of the existing tool, for one kind of camera and frames without gaps
    lead : 1 where the first row is of the frame before and only there for differences

    Returns
    -------
    dict : the names of `SCALARS`, in their order

    Notes
    -----
    The animal is at depth ``true_depth - height``. Lengths in mm are distances between the mapped ends of the axes, and
    areas are divided by fx fy / depth^2. Differences "a frame" are divided by the number of frame periods that went by,
    so that a dropped frame makes none of them twice as large; those a second by the time itself. The first frame of a
    recording has differences 0; beside a frame without an animal they are NaN. The turn that `angular_speed_rad_s`
    counts is the one of less than a quarter turn, so that an axis that was read the other way round does not turn.

    >>> from reelarray.depth.cameras import camera
    >>> of = {"camera": camera("kinect", 512, 424), "true_depth": 673.0, "origin": (0, 0)}
    >>> one = np.ones(2)
    >>> found = scalars(np.array([255.5, 258.5]), 211.5 * one, 0 * one, 60 * one, 30 * one, 1200 * one, 40 * one,
    ...                 times_ms=np.array([0.0, 100.0]), rate=30, **of)
    >>> [f"{found[name][1]:.2f}" for name in ("centroid_x_mm", "velocity_2d_px", "speed_2d_mm_s")]
    ['5.25', '1.00', '52.52']
    """
    # fields of records are strided: some functions of NumPy round those otherwise
    x, y, angle, major, minor, area = (np.ascontiguousarray(v, float) for v in (x, y, angle, major, minor, area))
    measure = _as_the_tool if compat else _through_the_camera
    mm = measure(x, y, angle, major, minor, area, np.asarray(height), camera, true_depth, origin)
    height = mm["height_ave_mm"].astype(float)

    seconds = np.full(len(x), 1 / rate) if times_ms is None else _steps(np.asarray(times_ms, float)) / 1000
    periods = np.ones(len(x)) if compat else np.maximum(np.rint(seconds * rate), 1)
    periods[:1] = seconds[:1] = 1  # differences are 0 there
    across, down, up = _steps(mm["centroid_x_mm"]), _steps(mm["centroid_y_mm"]), _steps(height)
    right, below = _steps(x), _steps(y)
    turned = _steps(angle)

    all_of_them = {
        **mm,
        "angle": angle,
        "area_px": area if compat else np.where(np.isnan(x), np.nan, area),
        "centroid_x_px": x,
        "centroid_y_px": y,
        "length_px": major,
        "width_px": minor,
        "velocity_2d_px": np.hypot(right, below) / periods,
        "velocity_3d_px": _long(right, below, up) / periods,
        "velocity_2d_mm": np.hypot(across, down) / periods,
        "velocity_3d_mm": _long(across, down, up) / periods,
        "velocity_theta": np.arctan2(down, across),
        "speed_2d_mm_s": np.hypot(across, down) / seconds,
        "speed_3d_mm_s": _long(across, down, up) / seconds,
        "angular_speed_rad_s": (turned - np.pi * np.rint(turned / np.pi)) / seconds,
    }
    return {name: all_of_them[name][lead:].astype(np.float32) for name in SCALARS}


def _through_the_camera(
    x: np.ndarray,
    y: np.ndarray,
    angle: np.ndarray,
    major: np.ndarray,
    minor: np.ndarray,
    area: np.ndarray,
    height: np.ndarray,
    camera: Any,
    true_depth: float,
    origin: tuple[int, int],
) -> dict[str, np.ndarray]:
    """Positions, lengths and areas, mm and mm2, of what is `height` above the floor."""
    height = np.where(np.isnan(x) | (area == 0), np.nan, height)
    depth = true_depth - height
    x, y = x + origin[0], y + origin[1]
    across, down = to_millimetres(x, y, depth, camera)

    def length(axis: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
        begin = to_millimetres(x - axis / 2 * dx, y - axis / 2 * dy, depth, camera)
        end = to_millimetres(x + axis / 2 * dx, y + axis / 2 * dy, depth, camera)
        return np.hypot(end[0] - begin[0], end[1] - begin[1])

    cos, sin = np.cos(angle), np.sin(angle)
    return {
        "centroid_x_mm": across,
        "centroid_y_mm": down,
        "length_mm": length(major, cos, -sin),
        "width_mm": length(minor, sin, cos),
        "area_mm": area * (depth * depth) / (camera.fx * camera.fy),
        "height_ave_mm": height,
    }


def _as_the_tool(
    x: np.ndarray,
    y: np.ndarray,
    angle: np.ndarray,
    major: np.ndarray,
    minor: np.ndarray,
    area: np.ndarray,
    height: np.ndarray,
    camera: Any,
    true_depth: float,
    origin: tuple[int, int],
) -> dict[str, np.ndarray]:
    """The same of the existing tool: on the floor, before a Kinect whose axis meets pixel 256, 212 of the crop."""
    across, down = (true_depth / focal for focal in _COMPAT_FOCAL)
    return {
        "centroid_x_mm": (x - _COMPAT_CENTRE[0]) * across,
        "centroid_y_mm": (y - _COMPAT_CENTRE[1]) * down,
        "length_mm": major * across,
        "width_mm": minor * down,
        "area_mm": area * ((across + down) / 2),
        "height_ave_mm": np.where(area == 0, 0, height).astype(np.float32),
    }


def _steps(values: np.ndarray) -> np.ndarray:
    """From the frame before to each; the first has 0, or NaN where it is."""
    return np.diff(values, prepend=values[:1])


def _long(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    return np.sqrt(a * a + b * b + c * c)
