"""Candidates for the arena: connected regions of the floor, ranked, widened and put in order."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..errors import RecordingError
from .cleaning import ellipse

log = logging.getLogger(__name__)

KEPT = 8  # candidates at most, that keep their masks
LISTED = 20  # candidates at most, in an error
SMALL = 0.1  # of the largest candidate: what is smaller is hardly an arena
_EIGHT = np.ones((3, 3), bool)  # neighbours by an edge or a corner


@dataclass(frozen=True)
class Choice:
    """How candidates for the arena are ranked, shaped and put in order.

    Parameters
    ----------
    weights : of the ranks of area, extent and distance
    dilate, erode : size (width, height) of the elements, px
    shape : of both elements, "ellipse" or "rectangle"
    dilate_iterations, erode_iterations : how often
    fill_holes : fill what a candidate encloses
    by_position : put the `most` best ones in order from top to bottom
    smallest : share of the largest region's area below which one is none: by its rank alone, a speck of two pixels in
        the middle of the picture would be better than the arena
    """

    weights: tuple[float, float, float] = (1.0, 0.1, 1.0)
    dilate: tuple[int, int] = (10, 10)
    erode: tuple[int, int] = (1, 1)
    shape: str = "ellipse"
    dilate_iterations: int = 1
    erode_iterations: int = 0
    fill_holes: bool = True
    by_position: bool = False
    most: int = 2
    smallest: float = 0.01


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidates, the best first: masks (candidate, y, x) as found and as widened, and what they were ranked by.

    `area` px; `extent` share of the bounding box; `distance` px from the middle of the picture to the farthest pixel;
    `row` mean row, px; `score`, lower is better; `total` of all, also of those whose masks were not kept.
    """

    found: np.ndarray
    masks: np.ndarray
    area: np.ndarray
    extent: np.ndarray
    distance: np.ndarray
    row: np.ndarray
    score: np.ndarray
    total: int

    def listed(self) -> str:
        """One line in words."""
        rows = zip(self.area, self.extent, self.distance, strict=True)
        told = [f"{k}: area {a} px, extent {e:.2f}, distance {d:.0f} px" for k, (a, e, d) in enumerate(rows)]
        more = self.total - len(told[:LISTED])
        return "; ".join(told[:LISTED]) + (f"; and {more} smaller or worse ones" if more > 0 else "")


def gentle(background: np.ndarray, *, threshold: float = 3000.0, kernel: int = 7) -> np.ndarray:
    """Pixels with small gradients along x and y: (y, x) mm -> (y, x) bool.

    Gradients are those of the Sobel operator of `kernel` px as image libraries scale it: binomial weights that sum to
    2**(2 kernel - 3) a mm a px, so that 3000 at 7 px is 1.5 mm a px.

    >>> slope = np.broadcast_to(700 + 2.0 * np.arange(20), (20, 20))
    >>> bool(gentle(slope)[10, 10]), bool(gentle(slope, threshold=4097)[10, 10])
    (False, True)
    """
    smooth = np.array([1.0])
    for _ in range(kernel - 1):
        smooth = np.convolve(smooth, [1, 1])
    slope = np.array([1.0])
    for _ in range(kernel - 3):
        slope = np.convolve(slope, [1, 1])
    slope = np.convolve(slope, [-1, 0, 1])
    out = np.ones(background.shape, bool)
    for axis in (0, 1):
        along = ndimage.correlate1d(background, slope, axis=axis, mode="mirror")
        out &= np.abs(ndimage.correlate1d(along, smooth, axis=1 - axis, mode="mirror")) < threshold
    return out


def element(shape: str, size: Sequence[int]) -> np.ndarray:
    """An element of (width, height) px, as OpenCV takes sizes: a "rectangle" or an "ellipse", (y, x) bool."""
    width, height = (int(side) for side in size)
    return ellipse(height, width) if shape == "ellipse" else np.ones((height, width), bool)


def widen(mask: np.ndarray, shape: np.ndarray, times: int) -> np.ndarray:
    """Dilation; the element's anchor is its pixel (rows // 2, columns // 2), as OpenCV has it: (5, 5) of 10 x 10.

    What is beyond the picture is not set.
    """
    # SciPy reflects the element; of an even size its anchor moves by one then.
    origin = [0 if side % 2 else -1 for side in shape.shape]
    return ndimage.binary_dilation(mask, shape[::-1, ::-1], times, origin=origin) if times else mask


def narrow(mask: np.ndarray, shape: np.ndarray, times: int) -> np.ndarray:
    """Erosion with an element, its anchor as in `widen`; what is beyond the picture takes nothing away."""
    return ndimage.binary_erosion(mask, shape, times, border_value=1) if times else mask


def candidates(floor: np.ndarray, choice: Choice, *, keep: int = KEPT, overlap: np.ndarray | None = None) -> Candidates:
    """Regions of the floor (y, x) bool, 8-connected, the best first.

    Ranks (of equal values the highest) of larger areas, larger extents and smaller distances, times their weights, are
    averaged; then masks are widened, narrowed and filled; of those the one that shares most with `overlap` is left out,
    and the best are put in order by their mean row where `choice` says so.

    Parameters
    ----------
    floor : pixels that lie on the floor
    choice : weights, elements, order
    keep : how many candidates are kept
    overlap : mask of what is not the arena

    Raises
    ------
    RecordingError : no pixel lies on the floor, or nothing is left

    >>> floor = np.zeros((30, 40), bool)
    >>> floor[5:25, 5:30], floor[2:4, 2:4] = True, True
    >>> candidates(floor, Choice(dilate_iterations=0, smallest=0)).area.tolist()
    [500, 4]
    """
    labels, total = ndimage.label(floor, _EIGHT)
    area = np.bincount(labels.ravel(), minlength=total + 1)
    area[0] = 0
    large = (area > 0) & (area >= choice.smallest * area.max())
    labels, total = np.where(large, np.cumsum(large), 0)[labels], int(large.sum())
    if not total:
        raise RecordingError(
            "no pixel lies on the floor: raise noise_tolerance, or bg_roi_gradient_threshold where that filter is on"
        )
    area = area[large]
    y, x = np.nonzero(labels)
    own = labels[y, x] - 1
    boxes = np.array([(b[0].stop - b[0].start) * (b[1].stop - b[1].start) for b in ndimage.find_objects(labels)])
    away = np.hypot(y - (floor.shape[0] - 1) / 2, x - (floor.shape[1] - 1) / 2)
    distance = np.zeros(total)
    np.maximum.at(distance, own, away)
    row = np.bincount(own, y, minlength=total) / area
    extent = area / boxes
    ranks = [np.searchsorted(np.sort(values), values, "right") for values in (-area, -extent, distance)]
    score = np.mean([rank * weight for rank, weight in zip(ranks, choice.weights, strict=True)], axis=0)
    order = np.argsort(score, kind="stable")[:keep]
    found = labels == (order + 1)[:, None, None]
    masks = np.stack([shaped(mask, choice) for mask in found])
    kept = np.arange(len(order))
    if overlap is not None:
        shared = np.count_nonzero(masks & (np.asarray(overlap) > 0), axis=(1, 2))
        if shared.any():
            kept = np.delete(kept, shared.argmax())
            total -= 1
        if not len(kept):
            raise RecordingError("the only candidate for the arena overlaps overlap_roi: pass another mask, or none")
    if choice.by_position:
        best = kept[: choice.most]
        kept = best[np.argsort(row[order[best]], kind="stable")]
        total = len(kept)
    best = order[kept]
    return Candidates(
        found[kept], masks[kept], area[best], extent[best], distance[best], row[best], score[best], total=total
    )


def given(mask: np.ndarray) -> Candidates:
    """The only candidate: an arena (y, x) bool that was chosen by hand."""
    y, x = np.nonzero(mask)
    y0, y1, x0, x1 = bounding_box(mask)
    away = np.hypot(y - (mask.shape[0] - 1) / 2, x - (mask.shape[1] - 1) / 2)
    extent = len(y) / ((y1 - y0) * (x1 - x0))
    masks = mask[None]
    facts = (np.array([value]) for value in (len(y), extent, away.max(), y.mean(), 0.0))
    area, share, distance, row, score = facts
    return Candidates(masks, masks, area, share, distance, row, score, total=1)


def shaped(mask: np.ndarray, choice: Choice) -> np.ndarray:
    """A region widened, narrowed and filled: (y, x) bool."""
    mask = widen(mask, element(choice.shape, choice.dilate), choice.dilate_iterations)
    mask = narrow(mask, element(choice.shape, choice.erode), choice.erode_iterations)
    return ndimage.binary_fill_holes(mask) if choice.fill_holes else mask


def chosen(found: Candidates, index: int | Sequence[int]) -> int:
    """The index of the arena: `index`, or of several the first that there is.

    Raises
    ------
    RecordingError : there is none; the message lists all candidates
    """
    wanted = [int(index)] if np.ndim(index) == 0 else [int(k) for k in index]  # type: ignore[arg-type, union-attr]
    for k in wanted:
        if 0 <= k < len(found.area):
            if found.area[k] < SMALL * found.area.max():
                told = "the arena, candidate %d, has %d px, another has %d: check it, and bg_roi_index (%s)"
                log.warning(told, k, found.area[k], found.area.max(), found.listed())
            return k
    raise RecordingError(
        f"bg_roi_index={index} was asked for; {found.total} candidates for the arena are there ({found.listed()}): "
        "choose one of them, or change noise_tolerance, bg_roi_weights, or (with manual_set_depth_range) "
        "bg_roi_depth_range"
    )


def bounding_box(mask: np.ndarray, *, compat: bool = False) -> tuple[int, int, int, int]:
    """Rows [y0, y1) and columns [x0, x1) of a mask; `compat` loses the last of each.

    >>> bounding_box(np.pad(np.ones((2, 3), bool), 4))
    (4, 6, 4, 7)
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    last = 0 if compat else 1
    if min(len(rows), len(columns)) < 2 - last:
        raise RecordingError("the arena has no pixel: lower erode_iterations, or choose another with bg_roi_index")
    return int(rows[0]), int(rows[-1]) + last, int(columns[0]), int(columns[-1]) + last
