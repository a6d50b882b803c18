"""Which pixels are the animal: those that are high enough, and of these the largest connected component."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_EIGHT = np.ones((3, 3), bool)  # neighbours by edge or corner are connected


def mask(cleaned: np.ndarray, minimum: float, *, largest: bool = True, allowed: np.ndarray | None = None) -> np.ndarray:
    """Heights (n, y, x) [mm] -> (n, y, x) bool: higher than `minimum`, where `allowed` (n, y, x) is given also that.

    With `largest` only the largest component of pixels that touch by edge or corner is kept; of equal ones that which
    comes first, row by row.

    >>> mask(np.array([[[20, 0, 0, 20], [0, 20, 0, 20]]]), 10).astype(int)
    array([[[1, 0, 0, 0],
            [0, 1, 0, 0]]])
    """
    found = cleaned > minimum
    if allowed is not None:
        found &= allowed
    return largest_components(found)[0] if largest else found


def largest_components(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, y, x) bool -> the largest component of each frame, and the areas of its two largest (n, 2)."""
    out, areas = np.zeros_like(found), np.zeros((len(found), 2), "i8")
    for frame, kept, area in zip(found, out, areas, strict=True):
        rows, columns = np.flatnonzero(frame.any(axis=1)), np.flatnonzero(frame.any(axis=0))
        if not len(rows):
            continue
        part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        labels, count = ndimage.label(frame[part], _EIGHT)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        first = int(np.argmax(sizes))  # labels count components row by row
        kept[part] = labels == first + 1
        area[0], sizes[first] = sizes[first], 0
        area[1] = sizes.max()
    return out, areas


def rim(inside: np.ndarray) -> np.ndarray:
    """The pixels of an arena (y, x) that touch what is outside of it, by edge or corner: (y, x) bool.

    >>> rim(np.ones((3, 4), bool)).astype(int)
    array([[1, 1, 1, 1],
           [1, 0, 0, 1],
           [1, 1, 1, 1]])
    """
    return inside & ~ndimage.binary_erosion(inside, _EIGHT)
