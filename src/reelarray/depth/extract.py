"""From frames to crops and scalars, as a graph: what is seen in each frame, what follows from the frames around it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from ..errors import RecordingError
from ..lift import lift_frames, lift_scan, lift_whole
from ..recordings import describe
from ..recordings import rate as rate_of
from . import kernels
from .borders import borders
from .cleaning import Cleaning, element, ellipse
from .flips import flip_method
from .options import Options, resolve_config
from .records import Arena, Look
from .sampling import check_film
from .scalarnames import EXTRA_SCALARS, SCALARS, units
from .scene import camera_of
from .tracker import PARAMETERS, Tracker

log = logging.getLogger(__name__)

CROP = ("y", "x")
ABOUT = {
    "frames": ("mm", "heights of the aligned crops above the floor"),
    "frames_mask": ("1", "the animal in the crops"),
    "flags": ("1", "what is odd in a frame, as bits"),
    "flips": ("1", "whether the crop was turned by half a turn"),
}


def extract(
    rec: xr.DataArray, scene: xr.Dataset, config: Mapping[str, Any] | Any = None, *, flip: Any = None, **options: Any
) -> xr.Dataset:
    """Aligned crops and scalars of the one animal in a recording: (time, y, x) [mm] -> lazy Dataset over `time`.

    Nothing is read while the graph is built. Results do not depend on chunks, to the bit. What follows from many frames
    (which way round the main axis is) needs a pass over the recording of its own: a Dataset that is computed whole sees
    each frame more than once, `ra.depth.extract_recording` once.

    Parameters
    ----------
    rec : a recording of whole mm, 0 = no return
    scene : its background and arena, of `ra.depth.scene`
    config : options by name, a YAML file of them, or what `resolve_config` gives
    flip : which way the animal faces: None leaves the axis as it comes, "motion" (animals walk head first), "shape", a
        function of crops (n, rows, columns) -> probabilities (n,) of being turned, an .onnx or an .npz file
    **options : by their names in `ra.depth.OPTIONS`: min_height, max_height, crop_size, tail_filter_iters, ...;
        those of the scene are ignored here

    Returns
    -------
    Dataset : `frames` (time, y, x) heights [mm]; `frames_mask` the animal (log-likelihoods float32 where it
        is tracked); the scalars of `results_00.h5` and speeds a second, float32, NaN where nothing was found; `flags`
        (bits of `ra.depth.Seen`); `flips` with a flip method. Coordinate `timestamps` [ms] where the camera gave times

    Raises
    ------
    RecordingError : no recording of depths, or a scene of another size
    RecipeError : options that do not exist, or values of another type

    >>> import tempfile
    >>> from reelarray import open_recording
    >>> from reelarray.demo.depth import make_session
    >>> from reelarray.depth import scene
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = make_session(folder, frames=30, shape=(212, 256))
    ...     rec = open_recording(f"{folder}/depth.dat", cache=False)
    ...     found = extract(rec, scene(rec, camera_type="kinect", intrinsics={"fx": 180, "fy": 180}))
    ...     found["centroid_x_px"].isel(time=slice(3)).values.round().tolist(), found["frames"].shape
    ([..., ..., ...], (30, 80, 80))
    """
    chosen = resolve_config(config, **options) if flip is None else resolve_config(config, flip=flip, **options)
    steps = Steps.of(trimmed(check_film(rec), chosen), scene, chosen)
    seen = steps.seen()
    pose = steps.pose(seen)
    flips = steps.flips(seen, pose, None)
    pose = steps.faced(pose, flips)
    images = steps.images(seen, pose)
    found = {name: steps.field(images, name) for name in ("frames", "mask")}
    numbers = steps.scalars(steps.measured(seen, pose), pose)
    return steps.dataset(found["frames"], found["mask"], numbers, pose, flips)


def trimmed(rec: xr.DataArray, options: Options) -> xr.DataArray:
    """The frames that are extracted: `frame_trim`, `num_frames`."""
    head, tail = options["frame_trim"]
    stop = len(rec) - tail
    if (options["num_frames"] or 0) > max(stop - head, 0):
        told = "num_frames=%d were asked for, the recording has %d (frame_trim=%s apart): all of them are taken"
        log.warning(told, options["num_frames"], max(stop - head, 0), options["frame_trim"])
    if options["num_frames"] is not None:
        stop = min(stop, head + options["num_frames"])
    if stop <= head:
        raise RecordingError(
            f"frame_trim={options['frame_trim']} and num_frames={options['num_frames']} leave nothing of {len(rec)} "
            "frames; make them smaller"
        )
    return rec.isel(time=slice(head, stop))


@dataclass(frozen=True, eq=False)
class Steps:
    """The steps of one extraction; each takes arrays in memory or lazy ones, and gives the same numbers."""

    rec: xr.DataArray
    scene: xr.Dataset
    options: Options
    look: Look
    arena: Arena
    followed: xr.DataArray | None = None  # Gaussians of a tracker, where they were made before

    @classmethod
    def of(cls, rec: xr.DataArray, scene: xr.Dataset, options: Options) -> Steps:
        shape = tuple(scene["roi"].shape)
        if rec.shape[1:] != shape:
            raise RecordingError(
                f"frames of {rec.shape[1:]} and a scene of {shape} pixels were given: make the scene of this recording"
            )
        camera = camera_of(scene)
        compat = bool(options["compat"])
        seen_as = bool(json.loads(scene.attrs.get("options", "{}")).get("compat", compat))
        if seen_as != compat:
            told = "compat=%s was given, and a scene with compat=%s, whose background and box differ: give both alike"
            log.warning(told, options["compat"], seen_as)
        shapes = {"ellipse": ellipse, "rectangle": lambda rows, columns: np.ones((rows, columns), bool)}
        tail = shapes[options["tail_filter_shape"]](*options["tail_filter_size"])
        cable = shapes[options["cable_filter_shape"]](*options["cable_filter_size"])
        cleaning = Cleaning(
            spatial=options["spatial_filter_size"],
            tail=element(tail),
            tail_iterations=options["tail_filter_iters"],
            cable=element(cable),
            cable_iterations=options["cable_filter_iters"],
            temporal=options["temporal_filter_size"],
        )
        look = Look(
            minimum=options["min_height"],
            maximum=options["max_height"],
            dtype="uint16" if options["max_height"] > 255 else options["frame_dtype"],
            cleaning=cleaning,
            largest=options["use_cc"],
            crop_size=tuple(options["crop_size"] or camera.crop),  # type: ignore[arg-type]
            rotate=options["rotate"],
            threshold=-20.0 if compat else options["tracking_model_mask_threshold"],
            clip=-100.0 if compat else options["tracking_model_ll_clip"],
            compat=compat,
        )
        y0, y1, x0, x1 = (int(k) for k in scene.attrs["box"])
        inside = scene["roi"].values[y0:y1, x0:x1].astype(bool)
        depth, wall = scene["background"].values[y0:y1, x0:x1], None
        if "graduated" in scene:  # what stands before a slanted wall stands on the floor
            depth = scene["graduated"].values[y0:y1, x0:x1]
            slanted = (depth > 0) & (depth < scene.attrs["true_depth"])
            wall = np.where(slanted, np.floor(depth), 0).astype(np.uint16)
            depth = np.where(slanted, scene.attrs["true_depth"], depth)
        floor = depth.astype(float) if options["compat"] == "strict" else np.floor(depth).astype(np.int16)
        return cls(rec, scene, options, look, Arena(floor, inside, (y0, y1, x0, x1), wall))

    # ---- facts -------------------------------------------------------------------------------------------------------

    @cached_property
    def rate(self) -> float:
        """Frames a second, nominal."""
        return float(rate_of(self.rec))

    @cached_property
    def times(self) -> np.ndarray | None:
        """ms of each frame by the camera's clock, where it gave them."""
        return self.rec["timestamps"].values if "timestamps" in self.rec.coords else None

    @cached_property
    def borders(self) -> np.ndarray:
        """Frames after a gap that filters do not cross."""
        if self.times is None or self.look.compat:
            return np.zeros(0, np.int64)
        return borders(self.times, self.rate, self.options["max_gap"])

    @cached_property
    def method(self) -> Any:
        """How it is found which way the animal faces."""
        return flip_method(self.options["flip"], self.look.crop_size)

    @property
    def in_two(self) -> bool:
        """Whether crops have to wait for what frames around a frame say of it."""
        spans = self.options["centroid_hampel_span"], self.options["angle_hampel_span"]
        return self.look.compat or any(spans) or self.smooths

    @property
    def tracking(self) -> bool:
        return bool(self.options["use_tracking_model"])

    def _frames(self, kernel: Any, *beside: Any, dtype: Any, name: str, halo: int | None = None) -> xr.DataArray:
        how = {"dtype": dtype, "borders": self.borders, "block": self.options["chunk_size"]}
        halo = self.look.cleaning.halo if halo is None else halo
        return lift_frames(kernel, self.rec, *beside, halo=halo, name=name, **how)

    # ---- steps -------------------------------------------------------------------------------------------------------

    def tracked(self) -> xr.DataArray | None:
        """A Gaussian for each frame, where the animal is followed."""
        if not self.tracking:
            return None
        if self.options["tracker_warmup"] is not None:
            halo = self.look.cleaning.halo
            alone = kernels.Alone(self.arena, self.look, self.tracker, halo, self.strict)
            return self._frames(alone, dtype=PARAMETERS, name="track", halo=halo + self.options["tracker_warmup"])
        cleaned = self.cleaned()
        return self.follow(cleaned, self.begun(cleaned))

    @property
    def tracker(self) -> Tracker:
        o = self.options
        return Tracker(
            minimum=self.look.minimum,
            maximum=self.look.maximum,
            threshold=o["tracking_model_ll_threshold"],
            segment=o["tracking_model_segment"],
            mode=o["tracking_model_init"],
        )

    def cleaned(self) -> xr.DataArray:
        """Heights and cleaned heights of the arena: (time) records, as large as the frames."""
        shape = self.arena.inside.shape
        both = np.dtype([(name, self.look.dtype, shape) for name in ("heights", "cleaned")])
        return self._frames(kernels.Cleaned(self.arena, self.look, self.strict), dtype=both, name="clean")

    def begun(self, cleaned: xr.DataArray) -> xr.DataArray:
        """What a tracker knows before the first frame."""
        first = cleaned.isel(time=slice(0, kernels.FIRST))
        return lift_whole(kernels.Begin(self.tracker), first, dtype=PARAMETERS, name="track-start")

    def follow(self, cleaned: xr.DataArray, state: Any) -> xr.DataArray:
        """Gaussians from a state on, which is that before, or the Gaussian of the frame before: (time) records."""
        return lift_scan(kernels.Fit(self.tracker), cleaned, state=state, dtype=PARAMETERS, name="track")

    def seen(self) -> xr.DataArray:
        """What is seen in each frame, images apart: (time) records."""
        kernel = kernels.See(self.arena, self.look, self.strict, images=False, crops=not self.in_two)
        return self._frames(kernel, *self._gaussians, dtype=kernel.dtype(self.tracking), name="see")

    def whole(self, pose: xr.DataArray | None = None) -> xr.DataArray:
        """The same with images, turned by no half turn yet; at a `pose` where crops had to wait for it."""
        kernel = kernels.See(self.arena, self.look, self.strict, images=True, crops=True, at=pose is not None)
        beside = (*self._gaussians, *(() if pose is None else (pose,)))
        return self._frames(kernel, *beside, dtype=kernel.dtype(self.tracking), name="cut")

    @property
    def strict(self) -> bool:
        return self.options["compat"] == "strict"

    @cached_property
    def _gaussians(self) -> tuple[xr.DataArray, ...]:
        found = self.tracked() if self.followed is None else self.followed
        return () if found is None else (found,)

    def pose(self, seen: xr.DataArray, sure: xr.DataArray | None = None) -> xr.DataArray:
        """Where the animal is and how it lies, continuous over the recording: (time) `kernels.POSE`.

        `sure` is what the method of this name gives, where it was made before.
        """
        chunk = self.options["compat_chunk"] if self.look.compat else None
        if chunk:
            found = lift_whole(kernels.UnwrapChunks(chunk), seen, dtype=kernels.POSE, name="unwrap")
        else:
            found = lift_scan(kernels.unwrapped, seen, state=kernels.START, dtype=kernels.POSE, name="unwrap")
        o = self.options
        if o["centroid_hampel_span"] or o["angle_hampel_span"]:
            spans = o["centroid_hampel_span"], o["angle_hampel_span"]
            kernel = kernels.Hampel(*spans, o["centroid_hampel_sig"], o["angle_hampel_sig"], self.look.compat)
            how = {"dtype": kernels.POSE, "halo": max(spans) // 2, "borders": self.borders, "name": "hampel"}
            found = lift_frames(kernel, found, **how)
        if self.smooths:
            sure = self.sure() if sure is None else sure
            low, high = o["model_smoothing_clips"]
            smooth = kernels.Smooth(low, high, self.look.compat)
            found = lift_whole(smooth, found, sure, dtype=kernels.POSE, name="smooth")
        return found

    @property
    def smooths(self) -> bool:
        """Whether features are smoothed where the tracker is unsure of them."""
        low, high = self.options["model_smoothing_clips"]
        if low < high and not self.tracking:
            raise RecordingError(
                "model_smoothing_clips were given without use_tracking_model: the tracker says how sure it is of a "
                "frame; switch it on, or leave them out"
            )
        return bool(low < high)

    def sure(self) -> xr.DataArray:
        """How sure the tracker is of each frame: mean log-likelihoods (time)."""
        kernel = kernels.Sure(self.arena, self.look, self.strict)
        return self._frames(kernel, *self._gaussians, dtype="f8", name="sure")

    def flips(self, seen: xr.DataArray, pose: xr.DataArray, asked: Any) -> xr.DataArray | None:
        """Whether the animal faces against its unwrapped angle: (time) bool; None without a method.

        `asked` gives what a kernel of (images, pose) says of all crops, where these are stored; None has them made.
        """
        if self.method is None:
            return None
        how = {"rate": self.rate, "max_gap": self.options["max_gap"]}
        times = () if self.times is None else (self.times,)
        if self.method == "motion":
            return lift_whole(kernels.Motion(**how), pose, *times, dtype="?", name="flips")
        compat = self.look.compat
        kernel: Any = kernels.Shape(compat) if self.method == "shape" else kernels.Ask(self.method, compat)
        said = self.ask(kernel, pose) if asked is None else asked(kernel)
        if self.method == "shape":
            return lift_whole(kernels.ShapeFlips(**how), pose, said, *times, dtype="?", name="flips")
        span = self.options["flip_classifier_smoothing"]
        vote = kernels.Vote(span)
        return lift_frames(vote, said, dtype="?", halo=span // 2, borders=self.borders, name="flips")

    def ask(self, kernel: Any, pose: xr.DataArray) -> xr.DataArray:
        """What a kernel of (images, pose) says of the crops at a pose."""
        images = self.whole(pose if self.in_two else None)
        return lift_frames(kernel, images, pose, dtype=kernel.dtype, name="ask")

    def faced(self, pose: xr.DataArray, flips: xr.DataArray | None) -> xr.DataArray:
        """The pose with flips: half a turn more where the animal faces the other way."""
        if flips is None:
            return pose
        return lift_frames(kernels.face, pose, flips, dtype=kernels.POSE, name="face")

    def images(self, seen: xr.DataArray, pose: xr.DataArray) -> xr.DataArray:
        """Records with images, each turned to its pose."""
        whole = self.whole(pose if self.in_two else None)
        return self.turned(whole, pose)

    def turned(self, whole: xr.DataArray, pose: xr.DataArray) -> xr.DataArray:
        kernel = kernels.Turn(self.look.compat)
        return lift_frames(kernel, whole, pose, dtype=whole.dtype, name="turn")

    def measured(self, seen: xr.DataArray, pose: xr.DataArray) -> xr.DataArray:
        """What is measured in crops: records with area and height."""
        if not self.in_two:
            return seen
        kernel = kernels.See(self.arena, self.look, self.strict, images=False, crops=True, at=True)
        dtype = kernel.dtype(self.tracking)
        return self._frames(kernel, *self._gaussians, pose, dtype=dtype, name="measure")

    def scalars(self, measured: xr.DataArray, pose: xr.DataArray) -> xr.DataArray:
        """(time) records of float32, one field a scalar."""
        kernel = kernels.Scalars(
            camera=camera_of(self.scene),
            true_depth=float(self.scene.attrs["true_depth"]),
            origin=(self.arena.box[2], self.arena.box[0]),
            rate=self.rate,
            compat=self.look.compat,
            raw=self.options["compute_raw_scalars"],
            chunk=self.options["compat_chunk"] or 0,
        )
        numbers = lift_frames(kernels.together, measured, pose, *self._times, dtype=kernels.MEASURED, name="measured")
        if kernel.chunk and self.look.compat:
            return lift_whole(kernel.by_chunks, numbers, dtype=kernels.NUMBERS, name="scalars")
        return lift_frames(kernel, numbers, dtype=kernels.NUMBERS, halo=1, name="scalars")

    @property
    def _times(self) -> tuple[np.ndarray, ...]:
        return () if self.times is None else (self.times,)

    def field(self, records: xr.DataArray, name: str) -> xr.DataArray:
        """One field of records, with its own dimensions."""
        dtype = records.dtype[name]
        new = dict(zip(CROP, map(np.arange, dtype.shape), strict=True)) if dtype.shape else {}
        return lift_frames(kernels.Field(name), records, dtype=dtype.base, new_dims=new, name=name)

    def dataset(
        self,
        frames: xr.DataArray,
        mask: xr.DataArray,
        numbers: xr.DataArray,
        pose: xr.DataArray,
        flips: xr.DataArray | None,
    ) -> xr.Dataset:
        """All of it under the names that files have."""
        out = {"frames": frames, "frames_mask": mask, "flags": self.field(pose, "flags")}
        if flips is not None:
            out["flips"] = flips
        out |= {name: self.field(numbers, name) for name in (*SCALARS, *EXTRA_SCALARS)}
        about = {name: (units(name), text) for name, text in {**SCALARS, **EXTRA_SCALARS}.items()} | ABOUT
        if self.tracking:
            about["frames_mask"] = "1", "log-likelihood of the animal in the crops"
        for name, (unit, text) in about.items():
            if name in out:
                out[name] = describe(out[name].drop_attrs(deep=False), units=unit, long_name=text)
        y0, _, x0, _ = self.arena.box
        attrs = {
            "roi_origin": [x0, y0],
            "true_depth": float(self.scene.attrs["true_depth"]),
            "rate": self.rate,
            "camera": self.scene.attrs["camera"],
            "parameters": json.dumps(self.options.to_dict()),
        }
        if "metadata" in self.rec.attrs:
            attrs["metadata"] = json.dumps(self.rec.attrs["metadata"])
        return xr.Dataset(out, attrs=attrs)
