"""Pictures of a scene, and of the way of the animal through it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..plot.axes import duration
from ..plot.spectrogram import check_matplotlib
from .pictures import (
    BLANK,
    GAP,
    GREY,
    WRONG,
    Frames,
    image_of,
    new_axes,
    numbers,
    origin,
    outlined_text,
    pixel_axes,
    saved,
    scale_bar,
)

MOST = 50_000  # points of a way: more than its pixels
COLOURS = 256  # of a way
AROUND = 25.0  # mm above and below the floor that have colours of their own: a tilt, a fold or litter is to be seen
_CANDIDATE = "#ff9f1c"


def plot_scene(
    scene: xr.Dataset,
    *,
    ax: Any = None,
    candidates: bool = True,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: Any = "viridis_r",
    title: str | None = None,
) -> Any:
    """Draw the background of a scene (y, x) [mm] with the outline of the arena, and return its matplotlib Axes.

    Pixels without any return are grey. Other candidates for the arena are dashed, each with the number that
    `bg_roi_index` chooses it by.

    Parameters
    ----------
    scene : of `ra.depth.scene`, or results of `open_results`
    ax : Axes to draw on; without it, a new pyplot figure
    candidates : whether candidates are drawn
    vmin, vmax : limits of the colours, mm; those of the floor of the arena and 25 mm more unless given
    cmap : a matplotlib colour map or its name
    title : text above, in place of the size of the arena and the depth of its floor

    Raises
    ------
    RecordingError : no scene
    MissingPackage : matplotlib is not installed

    >>> from matplotlib.figure import Figure
    >>> pixels = ("y", "x")
    >>> arena = np.hypot(*np.ogrid[-20:20, -20:20]) < 15
    >>> scene = xr.Dataset({"background": (pixels, np.where(arena, 670.0, 0)), "roi": (pixels, arena)})
    >>> plot_scene(scene, ax=Figure().add_subplot()).get_title("left")
    'arena of 697 px'
    """
    check_matplotlib()
    depth, arena = image_of(scene, "background"), image_of(scene, "roi") > 0
    ax = new_axes(8, 6) if ax is None else ax
    low, high = _floor(depth, arena)
    limits = low - AROUND if vmin is None else vmin, high + AROUND if vmax is None else vmax
    ax.set_facecolor(BLANK)
    shown = np.ma.masked_where(~(depth > 0), depth)
    drawn = ax.imshow(shown, cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation="nearest")
    number = int(scene.attrs.get("bg_roi_index", 0))
    if candidates and "rois" in scene:
        for k, mask in enumerate(scene["rois"].values):
            if k != number and mask.any():
                _outline(ax, mask, _CANDIDATE, linewidths=1.0, linestyles="dashed")
                x, y = _inner(mask)
                outlined_text(ax, x, y, str(k), color=_CANDIDATE, ha="center", va="center")
    _outline(ax, arena, WRONG, linewidths=1.8)
    if candidates and scene.sizes.get("candidate", 0) > 1 and arena.any():
        x, y = _inner(arena)
        outlined_text(ax, x, y, str(number), ha="center", va="center", fontweight="bold", fontsize="large")
    pixel_axes(ax)
    scale_bar(ax, scene)
    bar = ax.figure.colorbar(drawn, ax=ax, pad=0.02, fraction=0.046, extend="both")
    bar.set_label("depth of the empty scene (mm)")
    bar.ax.invert_yaxis()  # what is near the camera is above
    bar.outline.set_visible(False)
    ax.set_title(_arena(scene, arena) if title is None else title, loc="left", fontsize="medium", parse_math=False)
    ax.set_title(_blank(depth), loc="right", fontsize="small", color=GREY)
    return ax


def plot_trajectory(
    x: xr.Dataset,
    scene: xr.Dataset | None = None,
    *,
    ax: Any = None,
    cmap: Any = None,
    title: str | None = None,
) -> Any:
    """Draw the way of the animal, coloured by time, over the background of its scene; returns the matplotlib Axes.

    The way is broken where frames are missing, and where no animal was found. Of long recordings every second, third,
    ... frame is loaded and drawn, at most 50 000.

    Parameters
    ----------
    x : of `ra.depth.extract`, or `open_results`; centroids in px count from its `roi_origin`
    scene : of `ra.depth.scene`; without it that of the results, where they have one
    ax : Axes to draw on; without it, a new pyplot figure
    cmap : a matplotlib colour map or its name; from blue to orange unless given
    title : text above, in place of the duration

    Raises
    ------
    RecordingError : no centroids
    MissingPackage : matplotlib is not installed

    >>> from matplotlib.figure import Figure
    >>> from reelarray import recording
    >>> way = recording(np.arange(60.0), rate=30).rename("centroid_x_px").to_dataset()
    >>> way["centroid_y_px"] = way.centroid_x_px
    >>> plot_trajectory(way, ax=Figure().add_subplot()).get_title("left")
    'way of 2 s'
    """
    check_matplotlib()
    from matplotlib.collections import LineCollection

    count = x.sizes["time"]
    every = -(-count // MOST)
    found = numbers(x, ["centroid_x_px", "centroid_y_px"], slice(None, None, every))
    frames = Frames(x, elapsed=True)
    scene = x if scene is None and {"background", "roi"} <= set(x.data_vars) else scene
    column, row = origin(x, scene)
    points = np.stack([found["centroid_x_px"] + column, found["centroid_y_px"] + row], axis=1)
    seconds = frames.seconds[::every]
    broken = np.diff(seconds) > GAP * every * frames.step / 1e9  # of thinned frames a dropped one or two are none
    ax = new_axes(7.5, 6) if ax is None else ax
    if scene is not None:
        _behind(ax, scene)
    lines, at = _by_time(points, broken, seconds)
    drawn = LineCollection(lines, cmap=_dark() if cmap is None else cmap, linewidths=1.1, capstyle="round")
    drawn.set_array(at / frames.axis.scale)
    drawn.set_clim(0, max(seconds[-1], 1e-9) / frames.axis.scale)
    ax.add_collection(drawn)
    there = np.flatnonzero(~np.isnan(points).any(axis=1))
    for name, k, marker in (("begin", there[:1], "o"), ("end", there[-1:], "s")):
        place = points[k]
        settings = {"color": "white", "markeredgecolor": "black", "markersize": 7, "linestyle": "none", "zorder": 5}
        ax.plot(place[:, 0], place[:, 1], marker=marker, label=name, **settings)
    if scene is None and len(there):
        ax.autoscale_view()
        ax.invert_yaxis()
    pixel_axes(ax)
    if scene is not None:
        scale_bar(ax, scene)
    ax.legend(loc="upper right", fontsize="small", facecolor="#bbbbbb", framealpha=0.6)
    bar = ax.figure.colorbar(drawn, ax=ax, pad=0.02, fraction=0.046)
    bar.set_label(f"time since the first frame ({frames.axis.unit})")
    bar.outline.set_visible(False)
    told = f"way of {duration(count * frames.step / 1e9)}"
    ax.set_title(told if title is None else title, loc="left", fontsize="medium", parse_math=False)
    lost = len(points) - len(there)
    said = [f"{lost / len(points):.2%} without an animal"] * (lost > 0) + [frames.told()]
    said += [f"1 of {every} frames drawn"] * (every > 1)
    ax.set_title("; ".join(filter(None, said)), loc="right", fontsize="small", color=GREY)
    return ax


def save_scene(
    scene: xr.Dataset,
    path: Any,
    *,
    width_px: int = 1000,
    height_px: int = 750,
    text: Mapping[str, str] | None = None,
    **settings: Any,
) -> Path:
    """Draw a scene into a PNG file, and return its path. (`write_scene` writes its numbers.)

    The file appears whole or not at all, and the same scene gives the same bytes. No pyplot is involved.

    Parameters
    ----------
    scene : of `ra.depth.scene`
    path : ends in .png; its folder must exist
    width_px, height_px : size of the whole picture
    text : kept in the file, by name, beside the attributes of the scene
    settings : of `plot_scene`, except ax
    """
    return saved(plot_scene, scene, path, (width_px, height_px), text, "scene", settings, on_axes=True)


def save_trajectory(
    x: xr.Dataset,
    path: Any,
    *,
    width_px: int = 900,
    height_px: int = 750,
    text: Mapping[str, str] | None = None,
    **settings: Any,
) -> Path:
    """Draw the way of the animal into a PNG file, and return its path.

    Parameters are those of `save_scene`; settings those of `plot_trajectory`, except ax.
    """
    return saved(plot_trajectory, x, path, (width_px, height_px), text, "trajectory", settings, on_axes=True)


# ---- drawing ---------------------------------------------------------------------------------------------------------


def _outline(ax: Any, mask: np.ndarray, color: str, **settings: Any) -> None:
    rows, columns = mask.shape
    padded = np.pad(mask, 1).astype(float)  # closed at the border of the picture
    ax.contour(np.arange(-1, columns + 1), np.arange(-1, rows + 1), padded, levels=[0.5], colors=[color], **settings)
    ax.set_xlim(-0.5, columns - 0.5)
    ax.set_ylim(rows - 0.5, -0.5)


def _floor(depth: np.ndarray, arena: np.ndarray) -> tuple[float, float]:
    """Lowest and highest depth of the arena without its rim, which may be wall; of all where there is no arena."""
    inside = depth[arena & (depth > 0)]
    inside = inside if len(inside) else depth[depth > 0]
    low, high = np.percentile(inside, (10, 90)) if len(inside) else (0.0, 1.0)
    return float(low), float(high)


def _inner(mask: np.ndarray) -> tuple[float, float]:
    """Column and row of the pixel of a mask that is farthest from its border."""
    from scipy import ndimage

    far = ndimage.distance_transform_edt(np.pad(mask, 1))
    row, column = np.unravel_index(int(far.argmax()), far.shape)
    return float(column - 1), float(row - 1)


def _behind(ax: Any, scene: xr.Dataset) -> None:
    """The arena and what is near it, in light grey."""
    depth, arena = image_of(scene, "background"), image_of(scene, "roi") > 0
    low, high = _floor(depth, arena)
    ax.set_facecolor(BLANK)
    shown = np.ma.masked_where(~(depth > 0), depth)
    ax.imshow(shown, cmap="Greys", vmin=low - AROUND, vmax=high + 10 * AROUND, interpolation="nearest")
    _outline(ax, arena, WRONG, linewidths=1.2)
    if arena.any():
        y, x = np.flatnonzero(arena.any(axis=1)), np.flatnonzero(arena.any(axis=0))
        margin = 0.04 * max(len(x), len(y))
        ax.set_xlim(x[0] - margin, x[-1] + margin)
        ax.set_ylim(y[-1] + margin, y[0] - margin)


def _dark() -> Any:
    """Colours that are seen on light grey: those of plasma, without its yellow end."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    return ListedColormap(matplotlib.colormaps["plasma"](np.linspace(0, 0.8, COLOURS)))


def _by_time(points: np.ndarray, broken: np.ndarray, seconds: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Lines (n, 2) of about one colour each, NaN where the way is broken, and the second in the middle of each."""
    at = np.flatnonzero(broken) + 1
    points, seconds = np.insert(points, at, np.nan, axis=0), np.insert(seconds, at, seconds[at])
    edges = np.unique(np.linspace(0, len(points) - 1, min(COLOURS, max(1, len(points) - 1)) + 1).astype(int))
    if len(edges) < 2:
        return [points], seconds[:1]
    pairs = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    return [points[a : b + 1] for a, b in pairs], np.array([(seconds[a] + seconds[b]) / 2 for a, b in pairs])


# ---- words -----------------------------------------------------------------------------------------------------------


def _arena(scene: xr.Dataset, arena: np.ndarray) -> str:
    told = f"arena of {int(arena.sum()):,} px"
    return told + (f", floor at {float(scene.attrs['true_depth']):.1f} mm" if "true_depth" in scene.attrs else "")


def _blank(depth: np.ndarray) -> str:
    share = float(np.mean(~(depth > 0)))
    return f"{share:.2%} of the pixels without a return (grey)" if share else ""
