"""What the tasks of an extraction call: rows of a block in, rows out, each the same however blocks are cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import scalars as measures
from .classifiers import probabilities
from .cleaning import clean
from .cropping import half_turn
from .flips import flips_by_motion, flips_by_shape, flips_of, median_probability
from .hampel import hampel
from .heights import heights
from .looking import look
from .records import FEATURES, Arena, Look, record
from .scalarnames import EXTRA_SCALARS, SCALARS
from .shapes import MEASURES, asymmetry
from .smoothing import smooth, weights
from .tracker import FIRST, PARAMETERS, Tracker, fit, fit_alone, likely, log_likelihood, start
from .unwrapping import START, unwrap

__all__ = ["FIRST", "MEASURED", "NUMBERS", "POSE", "START"]

# `orientation` is that of the features, so that `angle` is orientation + pi * half_turns wherever no filter moved it;
# `turns` has half turns and flips.
POSE = np.dtype(
    [(name, FEATURES[name]) for name in ("x", "y", "orientation", "major", "minor", "flags")]
    + [("angle", "f8"), ("turns", "i8")]
)
MEASURED = np.dtype(
    [(name, "f8") for name in ("x", "y", "angle", "major", "minor", "area", "height", "raw_area", "raw_height", "time")]
)
NUMBERS = np.dtype([(name, "f4") for name in (*SCALARS, *EXTRA_SCALARS)])


# ---- frames ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class See:
    """Frames [, Gaussians] [, poses] -> records: features, and with `crops` what is measured in them, and `images`."""

    arena: Arena
    look: Look
    strict: bool
    images: bool
    crops: bool
    at: bool = False

    def dtype(self, tracked: bool) -> np.dtype:
        whole = record(self.look, crops=self.crops, tracked=tracked)
        return whole if self.images else _small(whole)

    def __call__(self, frames: np.ndarray, *beside: np.ndarray, lead: int, trail: int) -> np.ndarray:
        frames, pose = self.arena.within(frames), beside[-1] if self.at else None
        tracked = beside[0] if len(beside) > self.at else None
        how: dict[str, Any] = {"lead": lead, "trail": trail, "tracked": tracked}
        if self.look.compat:
            from .compat import cut_compat, look_compat

            if not self.crops:
                found = look_compat(frames, self.arena, self.look, strict=self.strict, **how)
            else:
                assert pose is not None
                seen = np.zeros(len(pose), FEATURES)
                for name in FEATURES.names or ():
                    seen[name] = pose[name]
                seen["orientation"] = pose["angle"]
                found = cut_compat(frames, self.arena, self.look, seen, strict=self.strict, **how)
        else:
            found = look(frames, self.arena, self.look, crops=self.crops, at=None if pose is None else _at(pose), **how)
        dtype = self.dtype(tracked is not None)
        if dtype == found.dtype:
            return found
        out = np.empty(len(found), dtype)
        for name in dtype.names or ():
            out[name] = found[name]
        return out


def _at(pose: np.ndarray) -> np.ndarray:
    """The pose with its angle for crops, half turns apart."""
    out = pose.copy()
    out["orientation"] = pose["angle"] - np.pi * pose["turns"]
    return out


def _small(dtype: np.dtype) -> np.dtype:
    return np.dtype([(name, dtype[name]) for name in dtype.names or () if not dtype[name].shape])


@dataclass(frozen=True, eq=False)
class Cleaned:
    """Frames -> records of heights and cleaned heights, for the tracker."""

    arena: Arena
    look: Look
    strict: bool

    def __call__(self, frames: np.ndarray, *, lead: int, trail: int) -> np.ndarray:
        n, frames = len(frames) - lead - trail, self.arena.within(frames)
        if self.look.compat:
            from .compat import see_compat

            raw, cleaned, _ = see_compat(frames, self.arena, self.look, lead=lead, trail=trail, strict=self.strict)
        else:
            look, arena = self.look, self.arena
            limits: dict[str, Any] = {"minimum": look.minimum, "maximum": look.maximum, "dtype": look.dtype}
            whole = heights(frames, arena.floor, arena.inside, arena.box, **limits)
            raw, cleaned = whole[lead : lead + n], clean(whole, look.cleaning, lead=lead, trail=trail)
        out = np.empty(n, [("heights", raw.dtype, raw.shape[1:]), ("cleaned", cleaned.dtype, cleaned.shape[1:])])
        out["heights"], out["cleaned"] = raw, cleaned
        return out


@dataclass(frozen=True, eq=False)
class Alone:
    """Frames -> Gaussians of a tracker that runs in `lead` frames before each block."""

    arena: Arena
    look: Look
    tracker: Tracker
    halo: int
    strict: bool

    def __call__(self, frames: np.ndarray, *, lead: int, trail: int) -> np.ndarray:
        before, after = min(lead, self.halo), min(trail, self.halo)
        stop = len(frames) - (trail - after)
        both = Cleaned(self.arena, self.look, self.strict)(frames[:stop], lead=before, trail=after)
        return fit_alone(both["heights"], both["cleaned"], self.tracker, lead=lead - before)


@dataclass(frozen=True)
class Begin:
    """The first frames -> the state of a tracker before them, once for each."""

    tracker: Tracker

    def __call__(self, both: np.ndarray) -> np.ndarray:
        how = self.tracker
        state = start(both["cleaned"][:FIRST], how.minimum, how.maximum, mode=how.mode)
        return np.repeat(np.asarray(state, PARAMETERS)[np.newaxis], len(both))


@dataclass(frozen=True)
class Fit:
    """Heights, the state before -> Gaussians, the state after."""

    tracker: Tracker

    def __call__(self, both: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        state = np.asarray(state)
        return fit(both["heights"], both["cleaned"], state[0] if state.ndim else state, self.tracker)


@dataclass(frozen=True, eq=False)
class Sure:
    """Frames and Gaussians -> mean log-likelihood of the animal's pixels, NaN without any."""

    arena: Arena
    look: Look
    strict: bool

    def __call__(self, frames: np.ndarray, gaussians: np.ndarray, *, lead: int, trail: int) -> np.ndarray:
        cleaned = Cleaned(self.arena, self.look, self.strict)(frames, lead=lead, trail=trail)["cleaned"]
        out = np.full(len(cleaned), np.nan)
        found = likely(gaussians, cleaned, self.look.minimum, self.look.threshold)
        for k in np.flatnonzero(found.any(axis=(1, 2))):
            levels = log_likelihood(gaussians[k : k + 1], cleaned[k : k + 1])[0]
            out[k] = levels[found[k].astype(bool)].mean(dtype=np.float64)
        return out


# ---- what follows from the frames around one -------------------------------------------------------------------------


def unwrapped(seen: np.ndarray, carry: Any) -> tuple[np.ndarray, Any]:
    """Features, what the block before knew -> poses, and what the next one has to know."""
    turns, carry = unwrap(np.ascontiguousarray(seen["orientation"]), carry)
    out = np.empty(len(seen), POSE)
    for name in ("x", "y", "orientation", "major", "minor", "flags"):
        out[name] = seen[name]
    out["turns"] = turns
    out["angle"] = out["orientation"] + np.pi * turns
    return out, carry


@dataclass(frozen=True)
class UnwrapChunks:
    """Poses that start anew every so many frames."""

    chunk: int

    def __call__(self, seen: np.ndarray) -> np.ndarray:
        parts = range(0, len(seen), self.chunk)
        return np.concatenate([unwrapped(seen[k : k + self.chunk], START)[0] for k in parts])


@dataclass(frozen=True)
class Hampel:
    """Poses -> poses without outliers."""

    position: int
    angle: int
    position_sigma: float
    angle_sigma: float
    compat: bool

    def __call__(self, pose: np.ndarray, *, lead: int, trail: int) -> np.ndarray:
        out = pose[lead : len(pose) - trail].copy()
        names = {"x": self.position, "y": self.position, "angle": self.angle}
        if self.compat:  # replaces x only, and the angle is left as it is
            names = {"x": self.position}
        for name, span in names.items():
            if not span:
                continue
            a, b = min(lead, span // 2), min(trail, span // 2)
            values = np.ascontiguousarray(pose[name][lead - a : len(pose) - trail + b])
            sigma = self.angle_sigma if name == "angle" else self.position_sigma
            out[name] = hampel(values, span, sigma, lead=a, trail=b, compat=self.compat)
        return out


@dataclass(frozen=True)
class Smooth:
    """Poses of a whole recording, how sure the tracker is -> poses."""

    low: float
    high: float
    compat: bool

    def __call__(self, pose: np.ndarray, sure: np.ndarray) -> np.ndarray:
        out, names = pose.copy(), ("x", "y", "angle", "major", "minor")
        values = np.stack([pose[name] for name in names], axis=1)
        made = smooth(values, weights(sure, self.low, self.high), filled=self.compat)
        for k, name in enumerate(names):
            out[name] = made[:, k]
        return out


@dataclass(frozen=True)
class Motion:
    """Poses of a whole recording [, times] -> which face against their angle."""

    rate: float
    max_gap: float

    def __call__(self, pose: np.ndarray, times: np.ndarray | None = None) -> np.ndarray:
        how: dict[str, Any] = {"times_ms": times, "rate": self.rate, "max_gap": self.max_gap}
        return flips_by_motion(*_columns(pose), **how)


@dataclass(frozen=True)
class ShapeFlips:
    """Poses of a whole recording, measures of shape [, times] -> which face against their angle."""

    rate: float
    max_gap: float

    def __call__(self, pose: np.ndarray, said: np.ndarray, times: np.ndarray | None = None) -> np.ndarray:
        how: dict[str, Any] = {"times_ms": times, "rate": self.rate, "max_gap": self.max_gap}
        turns = np.zeros(len(pose), np.int64)  # crops were turned before they were asked
        return flips_by_shape(said["shape"], turns, *_columns(pose), **how)


def _columns(pose: np.ndarray) -> list[np.ndarray]:
    return [np.ascontiguousarray(pose[name]) for name in ("x", "y", "angle", "major", "minor")]


def _turned(images: np.ndarray, pose: np.ndarray, compat: bool) -> np.ndarray:
    """Cleaned crops at the angle of their poses; in compat they were cut at it."""
    return images["cleaned"] if compat else half_turn(images["cleaned"], pose["turns"] % 2 == 1)


@dataclass(frozen=True)
class Shape:
    """Records with images, poses -> measures of the shape of each cleaned crop."""

    compat: bool
    dtype = np.dtype([("shape", "f8", (MEASURES,))])

    def __call__(self, images: np.ndarray, pose: np.ndarray, *, lead: int = 0, trail: int = 0) -> np.ndarray:
        out = np.empty(len(images), self.dtype)
        out["shape"] = asymmetry(_turned(images, pose, self.compat))
        return out


@dataclass(frozen=True)
class Ask:
    """Records with images, poses -> what a classifier says of each cleaned crop."""

    classify: Any
    compat: bool
    dtype = np.dtype("f8")

    def __call__(self, images: np.ndarray, pose: np.ndarray, *, lead: int = 0, trail: int = 0) -> np.ndarray:
        return probabilities(self.classify, _turned(images, pose, self.compat), found=~np.isnan(pose["x"]))


@dataclass(frozen=True)
class Vote:
    """Probabilities -> flips: the median over time decides."""

    span: int

    def __call__(self, said: np.ndarray, *, lead: int, trail: int) -> np.ndarray:
        return flips_of(median_probability(said, self.span, lead=lead, trail=trail))


def face(pose: np.ndarray, flips: np.ndarray, *, lead: int, trail: int) -> np.ndarray:
    """Poses, which face against their angle -> poses with half a turn more there."""
    out = pose.copy()
    out["turns"] += flips
    out["angle"] += np.pi * flips
    return out


@dataclass(frozen=True)
class Turn:
    """Records with images, poses -> the same turned to them. In compat they were cut at their angle."""

    compat: bool

    def __call__(self, images: np.ndarray, pose: np.ndarray, *, lead: int, trail: int) -> np.ndarray:
        if self.compat:
            return images
        out = images.copy()
        for name in ("frames", "cleaned", "mask"):
            out[name] = self.one(images[name], pose)
        return out

    def one(self, crops: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """The same of crops of one kind."""
        return np.ascontiguousarray(crops) if self.compat else half_turn(crops, pose["turns"] % 2 == 1)


@dataclass(frozen=True)
class Field:
    """Records -> one of their fields."""

    name: str

    def __call__(self, records: np.ndarray, *, lead: int, trail: int) -> np.ndarray:
        return np.ascontiguousarray(records[self.name])


# ---- scalars ---------------------------------------------------------------------------------------------------------


def together(
    measured: np.ndarray, pose: np.ndarray, times: np.ndarray | None = None, *, lead: int, trail: int
) -> np.ndarray:
    """What was measured in crops, poses [, times] -> all that scalars are made of."""
    out = np.empty(len(pose), MEASURED)
    for name in ("area", "height", "raw_area", "raw_height"):
        out[name] = measured[name]
    for name in ("x", "y", "angle", "major", "minor"):
        out[name] = pose[name]
    out["time"] = np.nan if times is None else times
    return out


@dataclass(frozen=True)
class Scalars:
    """What scalars are made of -> scalars, with one row before for differences."""

    camera: Any
    true_depth: float
    origin: tuple[int, int]
    rate: float
    compat: bool
    raw: bool
    chunk: int = 0

    def __call__(self, rows: np.ndarray, *, lead: int, trail: int) -> np.ndarray:
        rows = rows[: len(rows) - trail]
        names = ("x", "y", "angle", "major", "minor", *(("raw_area", "raw_height") if self.raw else ("area", "height")))
        times = None if len(rows) and np.isnan(rows["time"]).all() else np.ascontiguousarray(rows["time"])
        found = measures.scalars(
            *(np.ascontiguousarray(rows[name]) for name in names),
            camera=self.camera,
            true_depth=self.true_depth,
            origin=self.origin,
            times_ms=times,
            rate=self.rate,
            compat=self.compat,
            lead=lead,
        )
        out = np.empty(len(rows) - lead, NUMBERS)
        for name in NUMBERS.names or ():  # NaN of one sign: it comes out as rows fall into vectors of the processor
            out[name] = np.where(np.isnan(found[name]), np.nan, found[name])
        return out

    def by_chunks(self, rows: np.ndarray) -> np.ndarray:
        """The same, begun anew every `chunk` frames."""
        parts = range(0, len(rows), self.chunk)
        return np.concatenate([self(rows[k : k + self.chunk], lead=0, trail=0) for k in parts])
