"""The scene of a recording: its background, the floor, and the arena, found once and looked at by eye."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .. import graph
from ..errors import RecordingError
from ..sinks.atomic import writing_all
from . import floor as ground
from . import regions, walls
from .cameras import Camera, camera
from .options import Options, resolve_config
from .optiontable import TABLE
from .sampling import Image, check_film, empty_scene, picture
from .tiffs import save_tiff

log = logging.getLogger(__name__)

BACKGROUND, FIRST, GRADUATED = "bground.tiff", "first_frame.tiff", "new_bg.tiff"


def scene(
    rec: xr.DataArray,
    *,
    background: Image | None = None,
    roi: Image | None = None,
    plane: Sequence[float] | None = None,
    detected_true_depth: float | str = "auto",
    manual_set_depth_range: bool = False,
    bg_roi_depth_range: tuple[float, float] | str = (650.0, 750.0),
    noise_tolerance: float = 30.0,
    bg_roi_index: int | Sequence[int] = 0,
    bg_roi_weights: Sequence[float] | None = None,
    bg_roi_shape: str = "ellipse",
    bg_roi_dilate: tuple[int, int] = (10, 10),
    bg_roi_erode: tuple[int, int] = (1, 1),
    dilate_iterations: int = 1,
    erode_iterations: int = 0,
    bg_roi_fill_holes: bool = True,
    bg_roi_gradient_filter: bool = False,
    bg_roi_gradient_threshold: float = 3000.0,
    bg_roi_gradient_kernel: int = 7,
    bg_sort_roi_by_position: bool = False,
    bg_sort_roi_by_position_max_rois: int = 2,
    overlap_roi: Image | None = None,
    use_plane_bground: bool = False,
    graduate_walls: bool = False,
    widen_radius: float = 0.0,
    camera_type: str = "auto",
    intrinsics: Mapping[str, Any] | None = None,
    seed: int = 0,
    compat: bool | str = False,
    folder: str | os.PathLike[str] | None = None,
    recompute_bg: bool = False,
) -> xr.Dataset:
    """Background, floor and arena of a recording of depths: (time, y, x) [mm] -> Dataset (y, x), in memory.

    Only every 500th frame is read (closer ones of a short recording). Equal recordings and options give equal scenes.

    Parameters
    ----------
    rec : a recording of whole mm, 0 = no return
    background, roi : a picture of your own (y, x), mm, or the mask of the arena; an array, or the name of a TIFF file
    plane : a, b, c, d of the floor of your own, a x + b y + c z + d = 0
    detected_true_depth : depth of the floor, mm; "auto" takes the median within the arena
    manual_set_depth_range : the floor is sought within `bg_roi_depth_range` (mm), not near the middle of the picture
    noise_tolerance : mm from the plane that are still floor
    bg_roi_index : which candidate is the arena, 0 is the best; of several the first there is
    bg_roi_weights : of area, extent and distance when candidates are ranked; without, those of the camera
    bg_roi_shape : "ellipse" or "rectangle", of the elements `bg_roi_dilate`, `bg_roi_erode` (width, height; px) that
        widen and narrow the arena `dilate_iterations` and `erode_iterations` times
    bg_roi_fill_holes : fill holes of the arena
    bg_roi_gradient_filter : leave out pixels whose gradient (Sobel, `bg_roi_gradient_kernel` px) is not below
        `bg_roi_gradient_threshold`
    bg_sort_roi_by_position : put the best `bg_sort_roi_by_position_max_rois` candidates in order from top to bottom
    overlap_roi : mask (or TIFF); the candidate that shares most with it is left out
    use_plane_bground : the plane is the background, for animals that never move
    graduate_walls : slanted walls, `widen_radius` px wider; needs `dilate_iterations` above 1 (experimental)
    camera_type, intrinsics : as `camera` takes them
    seed : of the search for the plane
    compat : numbers as moseq2-extract makes them: zeros count as depths, the box loses its last row and column
    folder : where `write_scene` wrote before: its background is taken if it was made of the same input, unless
        `recompute_bg`

    Returns
    -------
    Dataset : `background` (mm, 0 where nothing returned), `first_frame`, `roi`; `rois` (candidate, y, x) with `area`,
        `extent`, `distance`, `row`, `score` of the best candidates; `plane` (a, b, c, d), NaN where the arena was given
        and no plane fits; `graduated`, the background with slanted walls, where asked for. Attributes: `true_depth` and
        `depth_range` (mm), `box` (rows y0 to y1, columns x0 to x1, half open), `bg_roi_index`, `camera` and `options`
        (JSON), `by_hand` (what was given), `seed`, `sampled` (frames)

    Raises
    ------
    RecordingError : no recording of depths; nothing returns; a recording of one frame; no pixel within the range of
        depths, no plane, no such candidate: the message says what is there and which option helps
    RecipeError : values of another type
    """
    by_hand = {"background": background, "roi": roi, "plane": plane, "overlap_roi": overlap_roi}
    given = {name: value for name, value in locals().items() if name in TABLE and name != "recompute_bg"}
    options = resolve_config({**given, "overlap_roi": None})  # which is an array or a file: `picture` reads it
    rec, old = check_film(rec), bool(compat)
    shape = rec.shape[1], rec.shape[2]
    table = graph.rows(rec.data)
    path = str(table.path[0]) if table is not None and len(table.path) else ""
    optics = camera(options["camera_type"], shape[1], shape[0], options["intrinsics"], path=path, compat=old)
    mask, other = picture(roi, shape, "roi"), picture(overlap_roi, shape, "overlap_roi")
    own = picture(background, shape, "background")
    kept = None if folder is None or recompute_bg else Path(folder, BACKGROUND)
    first, depth, frames, mark = empty_scene(rec, own, kept, alone=use_plane_bground, compat=old)
    inside = np.ones(shape, bool) if mask is None else mask > 0
    limits = options["bg_roi_depth_range"]
    if not options["manual_set_depth_range"]:
        if limits not in (TABLE["bg_roi_depth_range"].default, "auto"):
            log.warning("bg_roi_depth_range=%s has no effect: pass manual_set_depth_range=True too", limits)
        limits = ground.depth_range(np.where(inside, depth, 0), compat=old)
    flat = _plane(depth, inside, limits, plane, options, needed=mask is None or use_plane_bground)
    if mask is None:
        choice = _choice(options, optics)
        index = options["bg_roi_index"]
        found = regions.candidates(_floor(depth, flat, options), choice, keep=_kept(index), overlap=other)
        index = regions.chosen(found, index)
    else:
        found, index = regions.given(inside), 0
    arena = found.masks[index]
    box = regions.bounding_box(arena, compat=old)
    if use_plane_bground:
        depth, mark = np.maximum(0, ground.heights_of(flat, shape)), None
    true = options["detected_true_depth"]
    true = ground.middle_depth(depth, arena) if true == "auto" else float(true)
    images = {"background": depth, "first_frame": first, "roi": arena}
    if graduate_walls and options["dilate_iterations"] > 1:
        images["graduated"] = walls.graduate(depth, found.found[index], true, widen=options["widen_radius"])
    attrs = {
        "true_depth": true,
        "depth_range": [float(limits[0]), float(limits[1])],
        "box": list(box),
        "bg_roi_index": index,
        "candidates": found.total,
        "camera": json.dumps(asdict(optics)),
        "seed": options["seed"],
        "sampled": frames.tolist(),
        "by_hand": [name for name, value in by_hand.items() if value is not None],
        "options": json.dumps({name: options.to_dict()[name] for name in given}),
        "fingerprint": "" if mark is None else json.dumps(mark),
    }
    return _dataset(rec, images, found, flat, attrs)


def camera_of(scene: xr.Dataset) -> Camera:
    """The camera that a scene was looked at with.

    >>> camera_of(xr.Dataset(attrs={"camera": json.dumps(asdict(camera("kinect", 512, 424)))})).name
    'kinect'
    """
    facts = json.loads(scene.attrs["camera"])
    return Camera(**{**facts, "distortion": tuple(facts["distortion"])})


def write_scene(scene: xr.Dataset, folder: str | os.PathLike[str]) -> list[Path]:
    """Write bground.tiff, first_frame.tiff and roi_NN.tiff (and new_bg.tiff) into a folder; all of them, or none.

    NN is the index of the arena. `scene(..., folder=folder)` finds the background again.

    Raises
    ------
    MissingPackage : without tifffile
    OSError : the folder cannot be made or written
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    mark = scene.attrs.get("fingerprint")
    about = {"fingerprint": json.loads(mark)} if mark else {}
    names = [BACKGROUND, FIRST, f"roi_{scene.attrs['bg_roi_index']:02d}.tiff"]
    whole = ["background", "first_frame", "roi"]
    if "graduated" in scene:
        names, whole = [*names, GRADUATED], [*whole, "graduated"]
    paths = [Path(folder, name) for name in names]
    with writing_all(paths) as temporaries:
        for name, temporary in zip(whole, temporaries, strict=True):
            limits = tuple(scene.attrs["depth_range"]) if name == "first_frame" else None
            save_tiff(temporary, scene[name].values, limits=limits, about=about if name == "background" else None)
    return paths


# ---- finding ---------------------------------------------------------------------------------------------------------


def _plane(
    depth: np.ndarray, inside: np.ndarray, limits: Any, plane: Sequence[float] | None, options: Options, *, needed: bool
) -> ground.Plane:
    """The floor: as it was given, or found among the pixels of a range of depths."""
    if plane is not None:
        values = [float(value) for value in plane]
        if len(values) != 4 or not all(map(math.isfinite, values)) or values[2] == 0:
            raise RecordingError(
                f"plane={plane} was given; a, b, c, d with c not 0 were expected: a x + b y + c z + d = 0"
            )
        return ground.Plane(*values)
    try:
        allowed = inside & ground.within(np.where(inside, depth, 0), limits) & _gentle(depth, options)
        return ground.find_plane(depth, allowed, tolerance=options["noise_tolerance"], seed=options["seed"])
    except RecordingError as error:
        if needed:
            raise
        log.warning("the arena was given, the scene goes without a plane: %s", error)
        return ground.Plane(*[math.nan] * 4)


def _gentle(depth: np.ndarray, options: Options) -> np.ndarray | bool:
    if not options["bg_roi_gradient_filter"]:
        return True
    limit, kernel = options["bg_roi_gradient_threshold"], options["bg_roi_gradient_kernel"]
    return regions.gentle(depth, threshold=limit, kernel=kernel)


def _floor(depth: np.ndarray, flat: ground.Plane, options: Options) -> np.ndarray:
    """Pixels that lie on the floor."""
    away = np.abs(depth - ground.heights_of(flat, (depth.shape[0], depth.shape[1])))
    return (depth > 0) & (away < options["noise_tolerance"]) & _gentle(depth, options)


def _choice(options: Options, optics: Camera) -> regions.Choice:
    return regions.Choice(
        weights=options["bg_roi_weights"] or optics.weights,
        dilate=options["bg_roi_dilate"],
        erode=options["bg_roi_erode"],
        shape=options["bg_roi_shape"],
        dilate_iterations=options["dilate_iterations"],
        erode_iterations=options["erode_iterations"],
        fill_holes=options["bg_roi_fill_holes"],
        by_position=options["bg_sort_roi_by_position"],
        most=options["bg_sort_roi_by_position_max_rois"],
        smallest=0.0 if options["compat"] else regions.Choice.smallest,
    )


def _kept(index: int | Sequence[int]) -> int:
    return max(regions.KEPT, int(np.max(index)) + 2)


def _dataset(
    rec: xr.DataArray,
    images: Mapping[str, np.ndarray],
    found: regions.Candidates,
    flat: ground.Plane,
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    named = {"background": "depth of the empty scene", "first_frame": "first frame", "graduated": "with slanted walls"}
    pixels = ("y", "x")
    out = {
        name: (
            pixels,
            image,
            {"long_name": "the arena"} if name == "roi" else {"units": "mm", "long_name": named[name]},
        )
        for name, image in images.items()
    }
    columns = {"area": "px", "extent": "1", "distance": "px", "row": "px", "score": "1"}
    table = {name: ("candidate", getattr(found, name), {"units": units}) for name, units in columns.items()}
    coords = {axis: rec.coords.get(axis, np.arange(size)) for axis, size in zip(pixels, rec.shape[1:], strict=True)}
    return xr.Dataset(
        {
            **out,
            "rois": (("candidate", *pixels), found.masks, {"long_name": "candidates for the arena"}),
            **table,
            "plane": ("coefficient", np.array(flat), {"long_name": "a x + b y + c z + d = 0, px and mm"}),
        },
        {**coords, "candidate": np.arange(len(found.area)), "coefficient": list("abcd")},
        dict(attrs),
    )
