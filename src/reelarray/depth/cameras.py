"""Depth cameras: which one made a recording, where its pixels look, and what it asks of the search for the arena."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import RecordingError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Profile:
    """What a kind of camera brings along.

    Parameters
    ----------
    fields : (width, height) of its pictures -> horizontal and vertical field of view, degrees, nominal
    weights : of area, extent and distance, when candidates for the arena are ranked
    crop : size of a crop, px
    """

    fields: Mapping[tuple[int, int], tuple[float, float]]
    weights: tuple[float, float, float]
    crop: tuple[int, int]


# Fields of view as the makers print them, except that of the RealSense D435, which is measured (units vary by 3
# degrees) at 640 x 480. The Azure's wide modes look through a fisheye: a pinhole is a poor model of them.
PROFILES = {
    "kinect": Profile({(512, 424): (70.6, 60.0)}, (1.0, 0.1, 1.0), (80, 80)),
    "azure": Profile(
        {(640, 576): (75.0, 65.0), (320, 288): (75.0, 65.0), (1024, 1024): (120.0, 120.0), (512, 512): (120.0, 120.0)},
        (10.0, 0.1, 1.0),
        (120, 120),
    ),
    "realsense": Profile({(640, 480): (75.0, 62.0)}, (10.0, 0.1, 1.0), (80, 80)),
}
KINDS = ("auto", *PROFILES)
_DAT = (".dat", ".tar", ".tar.gz", ".tgz")  # what the Kinect's recorders write
_INTRINSICS = ("fx", "fy", "cx", "cy")


@dataclass(frozen=True)
class Camera:
    """A pinhole in front of a sensor of width x height px: focal lengths fx, fy and principal point cx, cy, all px.

    `calibrated` says that they come from the device itself; otherwise absolute millimetres are approximate.
    `distortion` has the coefficients k1, k2, p1, p2[, k3[, k4, k5, k6]] of its lens, in the order of OpenCV.
    """

    name: str
    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    calibrated: bool = False
    distortion: tuple[float, ...] = ()

    @property
    def weights(self) -> tuple[float, float, float]:
        """Of area, extent and distance, when candidates for the arena are ranked."""
        return PROFILES[self.name].weights

    @property
    def crop(self) -> tuple[int, int]:
        """The usual size of a crop (rows, columns), px."""
        return PROFILES[self.name].crop


def camera(
    kind: str,
    width: int,
    height: int,
    intrinsics: Mapping[str, Any] | None = None,
    *,
    path: str = "",
    compat: bool = False,
) -> Camera:
    """The camera that made pictures of width x height px.

    Parameters
    ----------
    kind : "kinect" (v2), "azure", "realsense" (D435), or "auto" to tell it from the size and the name of the file
    intrinsics : fx and fy (px, both or none), cx, cy (px) and dist (coefficients of the lens, in OpenCV's order), of
        the device's own calibration, for pictures of this size
    path : of the recording, for "auto": .dat and archives are the Kinect's, .mkv the Azure's
    compat : an unknown camera counts as an Azure, with a warning

    Raises
    ------
    RecordingError : no such kind; a size that belongs to no camera; intrinsics that are no focal lengths, or unknown

    Notes
    -----
    Without calibration fx = width / (2 tan(hfov / 2)), and so on, with the principal point in the middle.

    >>> round(camera("auto", 512, 424).fx, 1), camera("azure", 640, 576).crop
    (361.6, (120, 120))
    """
    if kind not in KINDS:
        raise RecordingError(f"camera_type={kind!r} is no camera that is known; one of {', '.join(KINDS)} was expected")
    if kind == "auto":
        kind = _told(path, width, height, compat)
    given = dict(intrinsics or {})
    fields = PROFILES[kind].fields.get((width, height))
    distortion = _distortion(given.pop("dist", None))
    _check(given, width, height)
    if fields is None and "fx" not in given:
        fields = next(iter(PROFILES[kind].fields.values()))
        usual = " or ".join(f"{w} x {h}" for w, h in PROFILES[kind].fields)
        log.warning(
            "pictures of %d x %d px are none that a %s takes (%s): lengths in mm assume its field of view of %g x %g "
            "degrees; pass intrinsics= with fx and fy if the pictures are parts of larger ones",
            *(width, height, kind, usual, *fields),
        )
    across, down = fields or (90.0, 90.0)  # not used: focal lengths are given
    usual_values = {
        "fx": width / (2 * math.tan(math.radians(across) / 2)),
        "fy": height / (2 * math.tan(math.radians(down) / 2)),
        "cx": (width - 1) / 2,
        "cy": (height - 1) / 2,
    }
    fx, fy, cx, cy = (float(given.get(name, usual)) for name, usual in usual_values.items())
    return Camera(kind, width, height, fx, fy, cx, cy, calibrated="fx" in given, distortion=distortion)


def _told(path: str, width: int, height: int, compat: bool) -> str:
    """The kind of camera, from the name of a file and the size of its pictures."""
    name = os.path.basename(path).lower()
    if name.endswith(_DAT):
        return "kinect"
    if name.endswith(".mkv"):
        return "azure"
    for kind, profile in PROFILES.items():
        if (width, height) in profile.fields:
            return kind
    what = f"{path or 'the recording'} has pictures of {width} x {height} px, which no known camera takes"
    if compat:
        log.warning("%s: it counts as an Azure's; pass camera_type= to say otherwise", what)
        return "azure"
    raise RecordingError(f"{what}; pass camera_type= one of {', '.join(PROFILES)}, and intrinsics= if they are known")


def _distortion(given: Any) -> tuple[float, ...]:
    try:
        values = np.atleast_1d(np.asarray(() if given is None else given, float)).ravel()
    except (TypeError, ValueError):
        values = np.array([math.nan])
    if not np.isfinite(values).all() or len(values) not in (0, 4, 5, 8):
        what = "4, 5 or 8 coefficients k1, k2, p1, p2[, k3[, k4, k5, k6]] were expected"
        raise RecordingError(f"intrinsics has dist={given!r}; {what}")
    return tuple(values.tolist()) if values.any() else ()


def _check(given: dict[str, Any], width: int, height: int) -> None:
    if unknown := sorted(set(given) - set(_INTRINSICS)):
        raise RecordingError(f"intrinsics has {', '.join(unknown)}; fx, fy, cx, cy (px) and dist were expected")
    if ("fx" in given) != ("fy" in given):
        raise RecordingError(f"intrinsics has {sorted(given)}; fx and fy belong together: give both")
    limits = {"fx": math.inf, "fy": math.inf, "cx": width, "cy": height}
    for name, value in given.items():
        number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        if not (number and 0 < value < limits[name]):
            what = "a focal length in px, above 0" if name[0] == "f" else f"a place within the {width} x {height} px"
            raise RecordingError(f"intrinsics has {name}={value!r}; {what}, was expected")


def to_millimetres(x: Any, y: Any, z: Any, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Places in front of a camera: columns x and rows y of the full picture (px) at depth z (mm) -> X, Y (mm).

    X grows to the right and Y downwards, from the axis of the camera. Arguments broadcast; NaN stays NaN.

    Notes
    -----
    X = (x - cx) z / fx, Y = (y - cy) z / fy: the pinhole model (Hartley & Zisserman, Multiple View Geometry, 6.1).

    >>> X, Y = to_millimetres([255.5, 355.5], 211.5, 673.0, camera("kinect", 512, 424))
    >>> X.round(1).tolist(), Y.tolist()
    ([0.0, 186.1], [0.0, 0.0])
    """
    z = np.asarray(z, float)
    across, down = (np.asarray(x, float) - camera.cx) / camera.fx, (np.asarray(y, float) - camera.cy) / camera.fy
    if camera.distortion:
        across, down = _straight(across, down, camera.distortion)
    across, down = np.broadcast_arrays(across * z, down * z)
    return across, down


def _straight(x: np.ndarray, y: np.ndarray, distortion: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Undo the lens (Brown 1966, with the rational radial part of OpenCV) for directions x / z, y / z."""
    k1, k2, p1, p2, k3, k4, k5, k6 = (*distortion, *[0.0] * (8 - len(distortion)))
    u, v = x, y
    for _ in range(20):  # a fixed point; each round gains about a digit within the field of view of these cameras
        r = u * u + v * v
        bend = (1 + r * (k1 + r * (k2 + r * k3))) / (1 + r * (k4 + r * (k5 + r * k6)))
        aside = 2 * p1 * u * v + p2 * (r + 2 * u * u), p1 * (r + 2 * v * v) + 2 * p2 * u * v
        u, v = (x - aside[0]) / bend, (y - aside[1]) / bend
    return u, v
