"""What is seen in a frame, in the numbers of moseq2-extract: cleaned, outlined and turned by OpenCV, defects included.

Two passes, as the crops need the orientation of the whole recording: their middle is no middle, and half a turn more
gives another crop. The numbers are those of OpenCV 4.10 in each of its versions from there to 5.0.
"""

from __future__ import annotations

import math

import numpy as np

from ..errors import RecordingError
from .cleaning import Cleaning
from .compatcrop import crop_compat
from .components import rim
from .heights import above, heights
from .looking import measure
from .opencv import opencv
from .records import SHARE_HIGH, SHARE_SECOND, Arena, Look, Seen, record

TRACKED = -20.0  # the log-likelihood from which a pixel is the animal's, whatever is asked for
CLIP = -100.0  # and where it is cut off


def look_compat(
    frames: np.ndarray,
    arena: Arena,
    settings: Look,
    *,
    lead: int = 0,
    trail: int = 0,
    tracked: np.ndarray | None = None,
    strict: bool = False,
) -> np.ndarray:
    """Depths (n, rows, columns) uint16 [mm] -> records (n - lead - trail,) of `records.record`, without crops.

    The first pass. Orientations are in [-pi/2, pi/2]; what `unwrap` makes of them is what `cut_compat` expects.

    Parameters
    ----------
    lead, trail : frames at either end that are there for temporal medians only
    tracked : (n - lead - trail,) Gaussians of a tracker: only pixels that are likely under them are the animal's
    strict : heights wrap around before they are compared, see `wrapped_heights`

    Raises
    ------
    MissingPackage : OpenCV is not installed

    >>> floor, inside = np.full((60, 60), 650), np.ones((60, 60), bool)
    >>> frames = np.full((2, 60, 60), 650, "u2")
    >>> frames[0, 20:30, 10:41] = 610  # an animal 40 mm high; in the second frame there is none
    >>> found = look_compat(frames, Arena(floor, inside, (0, 60, 0, 60)), Look(compat=True))
    >>> found["x"].tolist(), found["y"].tolist()
    ([25.0, nan], [24.5, nan])
    """
    mask = see_compat(frames, arena, settings, lead=lead, trail=trail, tracked=tracked, strict=strict)[2]
    out = np.zeros(len(mask), record(settings, crops=False))
    depths = frames[lead:][: len(mask)]
    high = above(depths, arena.floor, arena.inside, arena.box, maximum=settings.maximum)
    edge, (y0, y1, x0, x1) = rim(arena.inside), arena.box
    for k, frame in enumerate(mask):
        found, flags = _outlined(frame, edge)
        if flags & Seen.MISSING and not (depths[k, y0:y1, x0:x1] * arena.inside).any():
            flags |= Seen.EMPTY
        out[k] = *found, flags
    out["flags"][high > SHARE_HIGH * np.count_nonzero(arena.inside)] |= np.uint8(Seen.HIGH)
    if tracked is not None:
        out["flags"][tracked["held"]] |= np.uint8(Seen.HELD)
    return out


def cut_compat(
    frames: np.ndarray,
    arena: Arena,
    settings: Look,
    seen: np.ndarray,
    *,
    lead: int = 0,
    trail: int = 0,
    tracked: np.ndarray | None = None,
    strict: bool = False,
) -> np.ndarray:
    """The second pass: the same block, and what was `seen` in it, `orientation` now unwrapped and flips included.

    Depths (n, rows, columns) uint16 [mm] -> records (n - lead - trail,) of `records.record`, with crops.
    """
    raw, cleaned, mask = see_compat(frames, arena, settings, lead=lead, trail=trail, tracked=tracked, strict=strict)
    out = np.zeros(len(raw), record(settings, tracked=tracked is not None))
    for name in seen.dtype.names or ():
        out[name] = seen[name]
    angle = seen["orientation"] if settings.rotate else np.zeros(len(seen))
    crops = crop_compat(raw, cleaned, mask, seen["x"], seen["y"], angle, settings.crop_size)
    out["frames"], out["cleaned"], out["mask"] = crops
    if tracked is not None:
        from .tracker import crop_likelihood

        out["mask"] = crop_likelihood(
            tracked, angle, crops[1], settings.minimum, CLIP, rotate=settings.rotate, compat=True
        )
    for prefix, crop in ("", crops[1]), ("raw_", crops[0]):
        out[f"{prefix}area"], out[f"{prefix}height"] = measure(crop, settings.minimum, settings.maximum)
    return out


def see_compat(
    frames: np.ndarray,
    arena: Arena,
    settings: Look,
    *,
    lead: int = 0,
    trail: int = 0,
    tracked: np.ndarray | None = None,
    strict: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depths (n, rows, columns) uint16 [mm] -> heights, cleaned heights [mm] and mask (n - lead - trail, y, x)."""
    scene, wanted = (frames, arena.floor, arena.inside, arena.box), (settings.minimum, settings.maximum)
    make = wrapped_heights if strict else heights
    raw = make(*scene, minimum=wanted[0], maximum=wanted[1], dtype=settings.dtype)
    cleaned = clean_compat(raw, settings.cleaning, lead=lead, trail=trail)
    if tracked is None:
        mask = cleaned > settings.minimum
    else:
        from .tracker import likely

        mask = likely(tracked, cleaned, settings.minimum, TRACKED)
    return raw[lead : len(raw) - trail], cleaned, mask


def wrapped_heights(
    frames: np.ndarray,
    floor: np.ndarray,
    inside: np.ndarray,
    box: tuple[int, int, int, int],
    *,
    minimum: int = 10,
    maximum: int = 120,
    dtype: str = "uint8",
) -> np.ndarray:
    """As `heights`, but cast before they are compared: what is far too low or too high comes back as a small height.

    Differences lose their fraction towards 0 first; a `floor` that keeps its own (float) gives what the existing tool
    makes of half millimetres below the floor, 1 mm more than an integer one.

    >>> below_and_above = np.array([[[850, 350, 610]]], "u2")
    >>> wrapped_heights(below_and_above, np.full((1, 3), 650), np.ones((1, 3), bool), (0, 1, 0, 3))
    array([[[56, 44, 40]]], dtype=uint8)
    """
    out = np.empty((len(frames), box[1] - box[0], box[3] - box[2]), dtype)
    for frame, made in zip(frames, out, strict=True):
        depth = frame[box[0] : box[1], box[2] : box[3]]
        height = np.trunc(floor - depth.astype("f8")).astype("i8") % (np.iinfo(dtype).max + 1)
        made[:] = np.where((depth != 0) & inside & (height >= minimum) & (height <= maximum), height, 0)
    return out


def clean_compat(heights: np.ndarray, cleaning: Cleaning, *, lead: int = 0, trail: int = 0) -> np.ndarray:
    """Cleaned heights: (n, y, x) [mm] -> (n - lead - trail, y, x) [mm]. The tail is opened once, cables stay.

    An element of even size moves what it opens by a pixel, as OpenCV dilates without turning it. Temporal medians take
    frames before the first and behind the last as empty.

    Raises
    ------
    RecordingError : medians of more than 5 x 5 pixels of 16 bits, which OpenCV does not make
    """
    cv2 = opencv()
    if heights.dtype.itemsize > 1 and max(cleaning.spatial, default=0) > 5:
        raise RecordingError(
            f"spatial_filter_size={list(cleaning.spatial)} was given for heights of type {heights.dtype}; with "
            "compat=True sizes up to 5 were expected for these: choose a smaller one, or frame_dtype='uint8'"
        )
    tail = np.array(cleaning.tail, "u1")
    out = np.empty_like(heights)
    for frame, made in zip(heights, out, strict=True):
        for size in cleaning.spatial:
            frame = cv2.medianBlur(frame, size) if size > 1 else frame
        made[:] = cv2.morphologyEx(frame, cv2.MORPH_OPEN, tail)
    for size in cleaning.temporal:
        if size > 1:
            around = np.pad(out, [(size // 2, size // 2), (0, 0), (0, 0)])
            out = np.stack([np.partition(around[k : k + size], size // 2, axis=0)[size // 2] for k in range(len(out))])
    return out[lead : len(out) - trail]


def _outlined(mask: np.ndarray, edge: np.ndarray) -> tuple[tuple[float, ...], Seen]:
    """Features of the outline with the largest polygon in a mask (y, x), and what is odd about it."""
    cv2 = opencv()
    outlines, _ = cv2.findContours(mask.view("u1"), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    areas = [cv2.contourArea(outline) for outline in outlines]
    largest = int(np.argmax(areas)) if areas else -1
    if not areas or areas[largest] == 0:  # nothing, or only lines and points
        return (math.nan,) * 5, Seen.MISSING
    outline = outlines[largest]
    flags = Seen.EDGE if edge[outline[:, 0, 1], outline[:, 0, 0]].any() else Seen(0)
    if sorted(areas)[-2:-1] and sorted(areas)[-2] >= SHARE_SECOND * areas[largest]:
        flags |= Seen.SEVERAL
    return polygon_features(cv2.moments(outline)), flags


def polygon_features(moments: dict[str, float]) -> tuple[float, float, float, float, float]:
    """Moments of a polygon, as OpenCV names them -> x, y [px], orientation [rad], major and minor axis [px]."""
    area, xx, yy, xy = (moments[name] for name in ("m00", "mu20", "mu02", "mu11"))
    across = math.sqrt(4 * xy**2 + (xx - yy) ** 2)
    major, minor = (
        2 * math.sqrt(2) * math.sqrt(max(total, 0.0) / area) for total in (xx + yy + across, xx + yy - across)
    )
    return moments["m10"] / area, moments["m01"] / area, -0.5 * math.atan2(2 * xy, xx - yy), major, minor
