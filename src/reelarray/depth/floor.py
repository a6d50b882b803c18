"""The floor in a picture of depths: how far away it is, and the plane that it is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..errors import RecordingError

AROUND = 50.0  # mm to either side of the depth in the middle
WINDOW = 11  # px: one pixel without a return must not decide
WIDER, ANIMAL = 4, 120.0  # that part of the picture, and mm: an animal that rests in the middle must not decide either
TOLERANCE = 30.0  # mm from the plane
TRIALS, CANDIDATES = 1000, 20_000
FEWEST = 10  # candidates, at most, with which no plane is sought
SHARE = 0.1  # of the candidates, that a plane must have
STEEPEST = 1.0  # mm a px: about 28 degrees from 675 mm; the camera looks straight down, so what is steeper is a wall
NARROWEST = 1e-3  # of the longest side squared: triples that span less are as good as on one line
_BATCH = 50  # trials at once, 4 MB of distances
_SMALLEST = 2.0  # mm, tolerance of the last fit


class Plane(NamedTuple):
    """a x + b y + c z + d = 0, with c = -1: z = a x + b y + d in mm, at column x and row y of the full picture (px)."""

    a: float
    b: float
    c: float
    d: float


def heights_of(plane: Plane, shape: tuple[int, int]) -> np.ndarray:
    """Depth of a plane at each pixel, mm, (y, x).

    >>> heights_of(Plane(1, 0, -1, 700), (1, 3)).tolist()
    [[700.0, 701.0, 702.0]]
    """
    a, b, c, d = plane
    y, x = np.ogrid[: shape[0], : shape[1]]
    return -(a * x + b * y + d) / c


def depth_range(background: np.ndarray, *, compat: bool = False) -> tuple[float, float]:
    """Between which depths the floor is sought: 50 mm to either side of the depth in the middle of the scene, mm.

    The middle is the centre of mass of all that is further away than half the median depth. The depth there is the
    median of the pixels with a return within 11 x 11 px; or that within a quarter of the picture, if it is farther by
    no more than an animal is high. `compat` takes the one pixel in the middle, which may have no return.

    Raises
    ------
    RecordingError : no pixel has a return

    >>> depth_range(np.full((20, 30), 675.0))
    (625.0, 725.0)
    """
    valid = background[background > 0]
    if not len(valid):
        raise RecordingError(
            "no pixel of the background has a return: the recording is empty (all zeros) where it was sampled; check "
            "the camera, choose other frames with rec.isel(time=...), or pass background= of another recording"
        )
    far = background > np.median(background if compat else valid) / 2
    y, x = (round(float(place)) for place in ndimage.center_of_mass(far))
    if compat:
        middle = float(background[y, x])
        return middle - AROUND, middle + AROUND
    near, wide = (_median_within(background, y, x, side) for side in (WINDOW, min(background.shape) // WIDER))
    middle = wide if near == 0 or near < wide <= near + ANIMAL else near
    middle = middle or float(np.median(valid))
    return middle - AROUND, middle + AROUND


def _median_within(background: np.ndarray, y: int, x: int, side: int) -> float:
    """Median of the pixels with a return in a window round a pixel, 0 without any."""
    half = side // 2
    found = background[max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1]
    return float(np.median(found[found > 0])) if found.any() else 0.0


def middle_depth(background: np.ndarray, arena: np.ndarray) -> float:
    """Median depth of the pixels of an arena that have one, mm; RecordingError where none has."""
    found = background[arena & (background > 0)]
    if not len(found):
        raise RecordingError("no pixel of the arena has a return: choose another (bg_roi_index), or pass roi=")
    return float(np.median(found))


def within(background: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Pixels strictly within a range of depths: (y, x) bool; without any, an error names the commonest depth."""
    low, high = limits
    found = (background > low) & (background < high)
    if not found.any():
        valid = background[background > 0]
        most = "no pixel has a return"
        if len(valid):
            depths, counts = np.unique(np.floor(valid / 10) * 10, return_counts=True)
            peak = depths[counts.argmax()]
            most = f"most pixels lie at {peak:g} to {peak + 10:g} mm"
        raise RecordingError(
            f"no pixel of the background is between {low:g} and {high:g} mm, where the floor is sought; {most}: pass "
            "manual_set_depth_range=True with bg_roi_depth_range=(nearest, farthest) round the floor"
        )
    return found


def find_plane(
    background: np.ndarray,
    candidates: np.ndarray,
    *,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    trials: int = TRIALS,
) -> Plane:
    """The plane that most candidates lie on: (y, x) mm, (y, x) bool -> z = a x + b y + d, lengths in mm and px.

    Planes through random triples of at most 20 000 candidates are compared by how many lie within `tolerance` of them,
    measured along z (RANSAC, Fischler & Bolles 1981; equal counts: by the mean distance); then two least-squares fits
    to all candidates that are near, the second within max(3 * 1.4826 * MAD, 2 mm). Equal seeds give equal planes.

    Parameters
    ----------
    background, candidates : depths, and the pixels where the floor may be
    tolerance : mm
    seed : of the random triples
    trials : how many triples

    Raises
    ------
    RecordingError : at most 10 candidates, or no plane holds a tenth of them

    >>> y, x = np.mgrid[:40, :50]
    >>> plane = find_plane(700 + 0.25 * x - 0.5 * y, np.ones((40, 50), bool))
    >>> [round(value, 6) for value in plane]
    [0.25, -0.5, -1.0, 700.0]
    """
    y, x = np.nonzero(candidates)
    if len(y) <= FEWEST:
        raise RecordingError(
            f"the floor is sought among {len(y)} pixels; more than {FEWEST} are needed: widen bg_roi_depth_range (with "
            "manual_set_depth_range=True), or raise bg_roi_gradient_threshold where that filter is on"
        )
    z = background[candidates]
    middle = x.mean(), y.mean(), z.mean()  # numbers near 0 are exact enough in 32 bits
    points = np.stack([x - middle[0], y - middle[1], z - middle[2]], axis=1)
    random = np.random.default_rng(seed)
    some = points if len(points) <= CANDIDATES else points[random.choice(len(points), CANDIDATES, replace=False)]
    plane, share = _best(some, _planes(some, random, trials), tolerance)
    if plane is None or share <= SHARE:
        raise RecordingError(
            f"no plane was found for the floor: the best of {trials} holds {share:.1%} of {len(points)} pixels within "
            f"{tolerance:g} mm, more than {SHARE:.0%} are needed; check the background (ra.depth.plot_scene), set "
            "bg_roi_depth_range with manual_set_depth_range=True, raise noise_tolerance, or pass plane="
        )
    away = points[:, 2] - _at(plane, points)
    plane = _fitted(points[np.abs(away) < tolerance], plane)
    away = points[:, 2] - _at(plane, points)
    away = away[near := np.abs(away) < tolerance]
    spread = 3 * 1.4826 * float(np.median(np.abs(away - np.median(away)))) if len(away) else 0.0
    close = points[near][np.abs(away) < max(spread, _SMALLEST)]
    a, b, d = _fitted(close, plane)
    return Plane(float(a), float(b), -1.0, float(d + middle[2] - a * middle[0] - b * middle[1]))


def _planes(points: np.ndarray, random: np.random.Generator, trials: int) -> np.ndarray:
    """Planes (trial, 3) z = a x + b y + d through random triples of points; degenerate and steep ones are left out."""
    picks = random.integers(0, len(points), (trials, 3))
    while len(twice := np.flatnonzero((picks == np.roll(picks, 1, axis=1)).any(axis=1))):  # without replacement
        picks[twice] = random.integers(0, len(points), (len(twice), 3))
    first, second, third = points[picks].transpose(1, 0, 2)
    one, two = second - first, third - first
    normal = np.cross(one, two)
    longest = np.maximum((one**2).sum(axis=1), (two**2).sum(axis=1))
    normal = normal[keep := np.abs(normal[:, 2]) > NARROWEST * longest]
    slopes = -normal[:, :2] / normal[:, 2:]
    planes = np.column_stack([slopes, first[keep, 2] - (slopes * first[keep, :2]).sum(axis=1)])
    return planes[np.hypot(*slopes.T) <= STEEPEST]


def _best(points: np.ndarray, planes: np.ndarray, tolerance: float) -> tuple[np.ndarray | None, float]:
    """The plane with most points near, and the share of them; of equal ones that with the smallest mean distance.

    Element by element and no matrix product, the last bits of which depend on the machine's threads.
    """
    x, y, z = points.astype("f4").T
    best: tuple[int, float] = (0, 0.0)
    found = None
    for first in range(0, len(planes), _BATCH):
        batch = planes[first : first + _BATCH].astype("f4")
        away = np.abs(batch[:, 0:1] * x + batch[:, 1:2] * y + (batch[:, 2:3] - z))
        counts = np.count_nonzero(away < np.float32(tolerance), axis=1)
        for k in np.flatnonzero(counts >= max(best[0], 1)):
            score = int(counts[k]), -float(away[k].mean(dtype=float))
            if found is None or score > best:
                best, found = score, planes[first + k]
    return found, best[0] / len(points)


def _at(plane: np.ndarray, points: np.ndarray) -> np.ndarray:
    return plane[0] * points[:, 0] + plane[1] * points[:, 1] + plane[2]


def _fitted(points: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """The least-squares plane through points (point, 3); the other one where they lie on a line."""
    if len(points) < 3:
        return otherwise
    middle = points.mean(axis=0)
    x, y, z = (points - middle).T
    xx, xy, yy, xz, yz = (float((one * two).sum()) for one, two in ((x, x), (x, y), (y, y), (x, z), (y, z)))
    spanned = xx * yy - xy * xy
    if spanned <= NARROWEST**2 * max(xx, yy) ** 2:
        return otherwise
    a, b = (xz * yy - yz * xy) / spanned, (yz * xx - xz * xy) / spanned
    return np.array([a, b, middle[2] - a * middle[0] - b * middle[1]])
