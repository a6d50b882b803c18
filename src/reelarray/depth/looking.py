"""What is seen in a block of frames: the one call that a task makes, from raw depths to records with crops."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from ..signal.engines import choose
from .cleaning import clean_frames, over_time, runs, turned
from .components import largest_components, rim
from .cropping import placements, sample
from .heights import above, as_depths, bounds, heights
from .moments import from_sums, sums
from .records import SHARE_HIGH, SHARE_SECOND, Arena, Look, Seen, record

BATCH = 8  # frames at once: their heights, cleaned heights and masks stay in the cache of one core
Stacks = tuple[np.ndarray, np.ndarray, np.ndarray]  # heights, cleaned heights, masks
Found = tuple[
    np.ndarray, np.ndarray, np.ndarray, np.ndarray
]  # masks, sums, areas of the two largest, whether on the rim


def look(
    frames: np.ndarray,
    arena: Arena,
    settings: Look,
    *,
    lead: int = 0,
    trail: int = 0,
    crops: bool = True,
    tracked: np.ndarray | None = None,
    at: np.ndarray | None = None,
    engine: str | None = None,
) -> np.ndarray:
    """Depths (n, rows, columns) uint16 [mm] -> records (n - lead - trail,) of `records.record`.

    Heights above the floor are cleaned; the largest object is the animal; its moments say where it is and how it lies;
    heights, cleaned heights and mask are cut out round it, turned so that its main axis lies along the rows.

    Parameters
    ----------
    lead, trail : frames at either end that are there for temporal medians only, see `cleaning.clean`
    crops : False leaves out what is cut out
    tracked : (n - lead - trail,) Gaussians of a tracker (`tracker.PARAMETERS`): only pixels that are likely under them
        are the animal's, and the mask that is cut out is their log-likelihood
    at : (n - lead - trail,) records with x, y, orientation, where these are known better than from the frame alone
    engine : "numba", or "scipy" for plain NumPy and SciPy; the one installed unless given. The numbers are the same.

    >>> floor, inside = np.full((60, 60), 650), np.ones((60, 60), bool)
    >>> frames = np.full((2, 60, 60), 650, "u2")
    >>> frames[0, 20:30, 10:41] = 610  # an animal 40 mm high; in the second frame there is none
    >>> found = look(frames, Arena(floor, inside, (0, 60, 0, 60)), Look(crop_size=(40, 40)))
    >>> found["x"].tolist(), found["y"].tolist(), [int(crop.max()) for crop in found["cleaned"]]
    ([25.0, nan], [24.5, nan], [40, 0])
    """
    frames = as_depths(frames)
    eyes = engine_of(arena, settings, engine)
    out = np.zeros(len(frames) - lead - trail, record(settings, crops=crops, tracked=tracked is not None))
    steady = _steady(frames, arena, eyes, settings, lead, trail) if settings.cleaning.halo else None
    for start in range(0, len(out), BATCH):
        part = slice(start, min(start + BATCH, len(out)))
        depths = frames[lead:][part]
        raw, high = eyes.heights(depths)
        cleaned = eyes.clean(raw) if steady is None else steady[part]
        gaussians = None if tracked is None else tracked[part]
        mask, totals, areas, edge = eyes.find(*_candidates(cleaned, settings, gaussians))
        made, seen = out[part], from_sums(totals)
        for name in seen.dtype.names or ():
            made[name] = seen[name]
        if at is not None:
            for name in ("x", "y", "orientation"):
                made[name] = at[name][part]
        made["flags"] = _flags(depths, arena, areas, edge, high, gaussians)
        if crops:
            _cut(made, eyes, (raw, cleaned, mask), settings, gaussians)
    return out


class Eyes(Protocol):
    """An engine, for up to `BATCH` frames at once: arrays that are returned may be overwritten by the next call."""

    def heights(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...

    def clean(self, heights: np.ndarray) -> np.ndarray: ...

    def find(self, values: np.ndarray, minimum: int) -> Found: ...

    def crop(self, stacks: Stacks, places: np.ndarray) -> Stacks: ...

    def count(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


def engine_of(arena: Arena, settings: Look, engine: str | None = None) -> Eyes:
    """The steps of `look`, one by one, by the engine of that name."""
    return _Plain(arena, settings) if choose(engine) == "scipy" else _Compiled(arena, settings)


class _Plain:
    def __init__(self, arena: Arena, settings: Look) -> None:
        self.arena, self.settings, self.rim = arena, settings, rim(arena.inside)

    def heights(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        arena, look = self.arena, self.settings
        scene = frames, arena.floor, arena.inside, arena.box
        made = heights(*scene, minimum=look.minimum, maximum=look.maximum, dtype=look.dtype)
        return made, above(*scene, maximum=look.maximum)

    def clean(self, heights: np.ndarray) -> np.ndarray:
        return clean_frames(heights, self.settings.cleaning)

    def find(self, values: np.ndarray, minimum: int) -> Found:
        found = values > minimum
        kept, areas = largest_components(found)
        if not self.settings.largest:
            kept = found
        return kept, sums(kept), areas, (kept & self.rim).any(axis=(1, 2))

    def crop(self, stacks: Stacks, places: np.ndarray) -> Stacks:
        shape = len(places), *self.settings.crop_size
        outs = np.empty(shape, stacks[0].dtype), np.empty(shape, stacks[1].dtype), np.empty(shape, bool)
        sample(stacks, outs, places, nearest=(False, False, True))
        return outs

    def count(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _count(crops, self.settings.minimum, self.settings.maximum)


class _Compiled:
    def __init__(self, arena: Arena, settings: Look) -> None:
        from . import compiled, compiledcomponents, compiledcrops

        self.steps, self.components, self.crops = compiled, compiledcomponents, compiledcrops
        self.arena, self.settings = arena, settings
        dtype, shape = np.dtype(settings.dtype), (BATCH, *arena.inside.shape)
        self.bounds, self.rim, self.how = _known(arena, settings)
        self.raw, self.cleaned, self.kept = np.empty(shape, dtype), np.empty(shape, dtype), np.empty(shape, bool)
        self.high, self.edge = np.empty(BATCH, "i8"), np.empty(BATCH, bool)
        self.sums, self.areas = np.empty((BATCH, 6), "i8"), np.empty((BATCH, 2), "i8")
        size = BATCH, *settings.crop_size
        self.cut = np.empty(size, dtype), np.empty(size, dtype), np.empty(size, bool)

    def heights(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n, box = len(frames), self.arena.box
        self.steps.heights(frames, *self.bounds, box[0], box[2], self.raw[:n], self.high[:n])
        return self.raw[:n], self.high[:n]

    def clean(self, heights: np.ndarray) -> np.ndarray:
        if self.how is None:
            return clean_frames(heights, self.settings.cleaning)
        made = self.cleaned[: len(heights)]
        self.steps.clean(heights, *self.how, made)
        return made

    def find(self, values: np.ndarray, minimum: int) -> Found:
        n = len(values)
        found = self.kept[:n], self.sums[:n], self.areas[:n], self.edge[:n]
        self.components.components(values, minimum, self.settings.largest, self.rim, *found)
        return found

    def crop(self, stacks: Stacks, places: np.ndarray) -> Stacks:
        n = len(places)
        outs = self.cut[0][:n], self.cut[1][:n], self.cut[2][:n]
        self.crops.sample(*stacks, places, *outs)
        return outs

    def count(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        area, total = np.empty(len(crops), "i8"), np.empty(len(crops), "i8")
        self.crops.count(crops, self.settings.minimum, self.settings.maximum, area, total)
        return area, total


@lru_cache(maxsize=4)
def _known(arena: Arena, settings: Look) -> tuple[Any, np.ndarray, tuple[Any, ...] | None]:
    """What follows from arena and settings alone: found once, not for each few frames that a task reads at once."""
    limits = settings.minimum, settings.maximum, np.dtype(settings.dtype)
    return bounds(arena.floor, arena.inside, *limits), rim(arena.inside), _compiled_cleaning(settings)


def _compiled_cleaning(settings: Look) -> tuple[Any, ...] | None:
    """Arguments of `compiled.clean`; None where it does not apply."""
    cleaning, dtype = settings.cleaning, np.dtype(settings.dtype)
    sizes = np.array([size for size in cleaning.spatial if size > 1], "i8")
    cable, tail = runs(cleaning.cable), runs(cleaning.tail)
    for found, iterations in (cable, cleaning.cable_iterations), (tail, cleaning.tail_iterations):
        if iterations and not any(dy == 0 and dx <= 0 < dx + length for dy, dx, length in found):
            return None  # what does not hold its anchor makes pixels where there were none
    reach = (abs(end) for dy, dx, length in cable + tail + turned(tail) for end in (dy, dx, dx + length - 1))
    margin = max(2, *(sizes // 2 + 1), *reach)
    elements = np.array(cable), cleaning.cable_iterations, np.array(tail), np.array(turned(tail))
    limits = int(margin), dtype.type(np.iinfo(dtype).max), settings.maximum
    return sizes, *elements, cleaning.tail_iterations, *limits


def _steady(frames: np.ndarray, arena: Arena, eyes: Eyes, settings: Look, lead: int, trail: int) -> np.ndarray:
    """Cleaned heights of a block whose cleaning needs neighbouring frames."""
    cleaned = np.empty((len(frames), *arena.inside.shape), settings.dtype)
    for i in range(0, len(frames), BATCH):
        cleaned[i : i + BATCH] = eyes.clean(eyes.heights(frames[i : i + BATCH])[0])
    return over_time(cleaned, settings.cleaning, lead=lead, trail=trail)


def _candidates(cleaned: np.ndarray, settings: Look, gaussians: np.ndarray | None) -> tuple[np.ndarray, int]:
    """Values (n, y, x), and the number that those of the animal exceed."""
    if gaussians is None:
        return cleaned, settings.minimum
    from .tracker import likely

    return likely(gaussians, cleaned, settings.minimum, settings.threshold).view("u1"), 0


def _flags(
    depths: np.ndarray,
    arena: Arena,
    areas: np.ndarray,
    edge: np.ndarray,
    high: np.ndarray,
    gaussians: np.ndarray | None,
) -> np.ndarray:
    missing = areas[:, 0] == 0
    flags = np.where(missing, int(Seen.MISSING), 0)
    y0, y1, x0, x1 = arena.box
    for k in np.flatnonzero(missing):
        if not (depths[k, y0:y1, x0:x1] * arena.inside).any():
            flags[k] |= Seen.EMPTY
    flags[edge] |= Seen.EDGE
    flags[~missing & (areas[:, 1] >= SHARE_SECOND * areas[:, 0])] |= Seen.SEVERAL
    flags[high > SHARE_HIGH * np.count_nonzero(arena.inside)] |= Seen.HIGH
    if gaussians is not None:
        flags[gaussians["held"]] |= Seen.HELD
    return flags


def _cut(
    made: np.ndarray,
    eyes: Eyes,
    stacks: Stacks,
    settings: Look,
    gaussians: np.ndarray | None,
) -> None:
    """Crops of heights, cleaned heights and mask, and what is measured in them, into the records."""
    places = placements(made["x"], made["y"], made["orientation"], rotate=settings.rotate)
    made["frames"], made["cleaned"], mask = raw, cleaned, _ = eyes.crop(stacks, places)
    if gaussians is not None:
        from .tracker import crop_likelihood

        how = settings.minimum, settings.clip
        mask = crop_likelihood(gaussians, made["orientation"], cleaned, *how, rotate=settings.rotate)
    made["mask"] = mask
    for prefix, crops in ("", cleaned), ("raw_", raw):
        area, total = eyes.count(crops)
        made[f"{prefix}area"], made[f"{prefix}height"] = area, _mean(total, area)


def measure(crops: np.ndarray, minimum: int, maximum: int) -> tuple[np.ndarray, np.ndarray]:
    """Crops (n, y, x) [mm] -> (n,) pixels between both heights, exclusive, and their mean [mm], NaN without any.

    >>> area, height = measure(np.array([[[10, 20, 31]], [[0, 0, 0]]], "u1"), 10, 120)
    >>> area.tolist(), height.tolist()
    ([2, 0], [25.5, nan])
    """
    area, total = _count(crops, minimum, maximum)
    return area, _mean(total, area)


def _count(crops: np.ndarray, minimum: int, maximum: int) -> tuple[np.ndarray, np.ndarray]:
    counts = (crops > minimum) & (crops < maximum)
    return counts.sum(axis=(1, 2)), (crops * counts).sum(axis=(1, 2), dtype="i8")


def _mean(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
