"""Pictures of crops: a montage of them, and whether their heads are to the right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import RecordingError
from ..plot.axes import duration
from ..plot.spectrogram import check_matplotlib
from .pictures import ACCENT, BLANK, GREY, WRONG, Frames, crops, new_axes, new_figure, numbers, outlined_text, saved

SMOOTHED = 0.1  # s before and after a frame between which its displacement is measured
STRETCHES = 16  # of frames that a mean crop is made of: each is a few blocks of a lazy dataset, not all of them
_BETWEEN = 3  # px between crops


def plot_crops(
    x: xr.Dataset,
    *,
    n: int = 24,
    rows: Sequence[int] | None = None,
    columns: int | None = None,
    ax: Any = None,
    vmax: float | None = None,
    cmap: Any = "magma",
    title: str | None = None,
) -> Any:
    """Draw crops of a dataset side by side, each with its time and heading, and return the matplotlib Axes.

    Time counts from the first frame. The arrow, and the angle beside it (degrees, counter-clockwise from the right),
    say where the animal heads in the arena; in its crop the head is to the right. Only crops that are drawn are loaded.

    Parameters
    ----------
    x : of `ra.depth.extract`, or `open_results`
    n : how many, evenly spread over the recording
    rows : frames to draw, in place of `n`
    columns : crops side by side; enough for a picture wider than high unless given
    ax : Axes to draw on; without it, a new pyplot figure
    vmax : height of the brightest colour, mm; that of the highest of 200 pixels unless given
    cmap : a matplotlib colour map or its name
    title : text above, in place of how many frames there are

    Raises
    ------
    RecordingError : no crops, or no such frames
    MissingPackage : matplotlib is not installed

    >>> from matplotlib.figure import Figure
    >>> from reelarray import recording
    >>> x = recording(np.full((30, 8, 8), 40, "u1"), rate=30, dims=("y", "x")).rename("frames").to_dataset()
    >>> [text.get_text() for text in plot_crops(x, n=3, ax=Figure().add_subplot()).texts]
    ['0.17 s', '0.50 s', '0.83 s']
    """
    check_matplotlib()
    count = x.sizes["time"]
    chosen = _chosen(rows, n, count)
    pictures = crops(x, chosen)
    frames = Frames(x, elapsed=True)
    angle = numbers(x, ["angle"], chosen)["angle"] if "angle" in x else np.full(len(chosen), np.nan)
    height, width = pictures.shape[1] + _BETWEEN, pictures.shape[2] + _BETWEEN
    columns = columns or _side_by_side(len(chosen))
    down = -(-len(chosen) // columns)
    ax = new_axes(12, 12 * down * height / (columns * width) + 0.6) if ax is None else ax
    sheet = np.full((down * height - _BETWEEN, columns * width - _BETWEEN), np.nan)
    for k, picture in enumerate(pictures):
        i, j = divmod(k, columns)
        sheet[i * height : i * height + picture.shape[0], j * width : j * width + picture.shape[1]] = picture
    vmax = max(1.0, float(np.percentile(pictures, 99.5))) if vmax is None else vmax
    drawn = ax.imshow(np.ma.masked_invalid(sheet), cmap=cmap, vmin=0, vmax=vmax, interpolation="nearest")
    digits = _digits(frames.seconds[chosen])
    radius = 0.08 * height
    for k, row in enumerate(chosen):
        top, left = (k // columns) * height, (k % columns) * width
        at: Any = {"fontsize": "small", "clip_on": True}
        outlined_text(ax, left + 2, top + 2, _clock(frames.seconds[row], digits), ha="left", va="top", **at)
        if not pictures[k].any():
            middle = left + width / 2, top + height / 2
            outlined_text(ax, *middle, "no animal", ha="center", va="center", **at, color="#bbbbbb")
        elif np.isfinite(angle[k]):
            _arrow(ax, left + 3 + radius, top + height - _BETWEEN - 3 - radius, radius, angle[k])
            degrees = f"{math.degrees(angle[k]) % 360:.0f}°"
            place = left + 2 * radius + 7, top + height - _BETWEEN - 3
            outlined_text(ax, *place, degrees, ha="left", va="bottom", **at)
    ax.set_axis_off()
    bar = ax.figure.colorbar(drawn, ax=ax, pad=0.01, fraction=0.025, extend="max")
    bar.set_label("height (mm)")
    bar.outline.set_visible(False)
    told = f"{len(chosen)} of {count:,} frames" if title is None else title
    ax.set_title(told, loc="left", fontsize="medium", parse_math=False)
    note = "arrow: heading in the arena" if np.isfinite(angle).any() else ""
    ax.set_title(note, loc="right", fontsize="small", color=GREY)
    return ax


def plot_heading(
    x: xr.Dataset,
    *,
    figure: Any = None,
    moving: float = 50.0,
    paused: float = 10.0,
    n: int = 320,
    cmap: Any = "magma",
) -> Any:
    """Draw what tells whether heads are to the right, and return the matplotlib Figure.

    Two mean crops, of frames in which the animal moves and of frames in which it does not, and a histogram of the
    direction of travel minus the heading, of frames in which it moves: an animal walks forwards, so that nearly all of
    them should lie within 90 degrees. Displacements are measured over 0.2 s, and none across a gap.

    Parameters
    ----------
    x : of `ra.depth.extract`, or `open_results`
    figure : to draw on; without it, a new pyplot figure
    moving, paused : mm/s, faster and slower than which the animal counts as the one or the other
    n : crops in each mean, at most, in stretches spread over the recording: no others are loaded
    cmap : a matplotlib colour map or its name

    Raises
    ------
    RecordingError : no crops, positions or angles
    MissingPackage : matplotlib is not installed

    >>> from matplotlib.figure import Figure
    >>> from reelarray import recording
    >>> x = recording(np.full((60, 8, 8), 40, "u1"), rate=30, dims=("y", "x")).rename("frames").to_dataset()
    >>> for name, each in (("angle", 0), ("centroid_y_px", 0), ("centroid_x_px", 1), ("centroid_y_mm", 0)):
    ...     x[name] = ("time", each * np.arange(60.0))
    >>> x["centroid_x_mm"] = 2 * x.centroid_x_px
    >>> plot_heading(x, figure=Figure()).axes[2].get_title("left")
    '100.0 % of 54 moving frames within 90°'
    """
    check_matplotlib()
    names = ["angle", "centroid_x_px", "centroid_y_px", "centroid_x_mm", "centroid_y_mm"]
    found, frames = numbers(x, names), Frames(x)
    speed, away = travel(found, frames.seconds)
    goes = speed > moving
    figure = new_figure(12, 4) if figure is None else figure
    if (engine := getattr(figure, "get_layout_engine", lambda: None)()) is not None:
        engine.set(w_pad=0.1)  # inches: labels of neighbours stay apart
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.5))
    sets = [(left, "moving", goes), (middle, "paused", speed < paused)]
    means = [(ax, name, _mean(x, np.flatnonzero(each), n)) for ax, name, each in sets]
    highest = max((float(mean.max()) for _, _, (mean, _) in means if mean is not None), default=1.0)
    drawn = None
    for ax, name, (mean, used) in means:
        ax.set_title(
            f"{name}: mean of {used:,} crops" if used else f"{name}: no such frame", loc="left", fontsize="medium"
        )
        ax.set_facecolor(BLANK)
        ax.set_xticks([])
        ax.set_yticks([])
        if mean is None:
            continue
        drawn = ax.imshow(mean, cmap=cmap, vmin=0, vmax=highest)
        rows, columns = mean.shape
        ax.axvline((columns - 1) / 2, color="white", linewidth=0.8, linestyle=":", alpha=0.8)
        ax.axhline((rows - 1) / 2, color="white", linewidth=0.8, linestyle=":", alpha=0.8)
        outlined_text(ax, columns * 0.97, rows * 0.96, "head →", ha="right", va="bottom")
        outlined_text(ax, columns * 0.03, rows * 0.96, "← tail", ha="left", va="bottom")
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=[left, middle], pad=0.02, fraction=0.04, shrink=0.85)
        bar.set_label("mean height (mm)")
        bar.outline.set_visible(False)
    _histogram(right, np.degrees(away[goes & np.isfinite(away)]), moving)
    return figure


def save_crops(
    x: xr.Dataset,
    path: Any,
    *,
    width_px: int = 1400,
    height_px: int | None = None,
    text: Mapping[str, str] | None = None,
    **settings: Any,
) -> Path:
    """Draw crops side by side into a PNG file, and return its path.

    The file appears whole or not at all, and the same dataset gives the same bytes. No pyplot is involved.

    Parameters
    ----------
    x : of `ra.depth.extract`, or `open_results`
    path : ends in .png; its folder must exist
    width_px, height_px : size of the whole picture; as high as the crops need unless given
    text : kept in the file, by name, beside the attributes of the dataset
    settings : of `plot_crops`, except ax
    """
    if height_px is None and "frames" in x and x["frames"].ndim == 3 and len(x["frames"]):
        count = len(_chosen(settings.get("rows"), settings.get("n", 24), len(x["frames"])))
        columns = settings.get("columns") or _side_by_side(count)
        height, width = (size + _BETWEEN for size in x["frames"].shape[1:])
        height_px = max(300, round((width_px - 100) * -(-count // columns) * height / (columns * width)) + 40)
    return saved(plot_crops, x, path, (width_px, height_px or 760), text, "crops", settings, on_axes=True)


def save_heading(
    x: xr.Dataset,
    path: Any,
    *,
    width_px: int = 1300,
    height_px: int = 480,
    text: Mapping[str, str] | None = None,
    **settings: Any,
) -> Path:
    """Draw the check of headings into a PNG file, and return its path.

    Parameters are those of `save_crops`; settings those of `plot_heading`, except figure.
    """
    return saved(plot_heading, x, path, (width_px, height_px), text, "heading", settings, on_axes=False)


def travel(found: Mapping[str, np.ndarray], seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Speed (mm/s) and direction of travel minus heading (rad, in [-pi, pi)) of each frame: (n,) each, NaN at the ends.

    Positions and angle as in a dataset, by name; NaN also beside frames without an animal, and across gaps.
    """
    count = len(seconds)
    step = float(np.median(np.diff(seconds))) if count > 1 else 1.0
    half = max(1, round(SMOOTHED / step))
    speed, away = np.full(count, np.nan), np.full(count, np.nan)
    if count <= 2 * half:
        return speed, away
    within = slice(half, count - half)
    moved = {name: values[2 * half :] - values[: -2 * half] for name, values in found.items() if name != "angle"}
    took = seconds[2 * half :] - seconds[: -2 * half]
    took = np.where(took > (2 * half + 0.5) * step, np.nan, took)
    speed[within] = np.hypot(moved["centroid_x_mm"], moved["centroid_y_mm"]) / took
    direction = np.arctan2(-moved["centroid_y_px"], moved["centroid_x_px"])  # y points down
    away[within] = (direction - found["angle"][within] + np.pi) % (2 * np.pi) - np.pi
    return speed, away


# ---- drawing ---------------------------------------------------------------------------------------------------------


def _chosen(rows: Sequence[int] | None, n: int, count: int) -> np.ndarray:
    """Frames to draw, in order."""
    if rows is None:
        if n < 1:
            raise RecordingError(f"n={n} was given; how many crops to draw, 1 or more, was expected")
        return np.unique(((np.arange(min(n, count)) + 0.5) * count / min(n, count)).astype(int))
    chosen = np.unique(np.asarray(rows, int))
    if not len(chosen) or chosen[0] < 0 or chosen[-1] >= count:
        raise RecordingError(f"rows={list(rows)} were given; frames from 0 to {count - 1} were expected")
    return chosen


def _side_by_side(count: int) -> int:
    """Columns of a sheet that is wider than high, with whole rows if that is not far off.

    >>> _side_by_side(24), _side_by_side(23), _side_by_side(3)
    (8, 7, 3)
    """
    usual = math.ceil(math.sqrt(1.8 * count))
    return min(count, next((c for c in range(usual, usual + usual // 2 + 1) if count % c == 0), usual))


def _mean(x: xr.Dataset, rows: np.ndarray, n: int) -> tuple[np.ndarray | None, int]:
    """Mean crop (y, x) of up to n of these frames, from stretches of neighbours, and how many there are."""
    if not len(rows):
        return None, 0
    if len(rows) > n:
        stretches = min(STRETCHES, n)
        each = n // stretches
        starts = np.linspace(0, len(rows) - each, stretches).astype(int)
        rows = rows[np.unique((starts[:, None] + np.arange(each)).ravel())]
    pictures = crops(x, rows)
    return pictures.mean(axis=0, dtype=float), len(pictures)


def _arrow(ax: Any, x: float, y: float, radius: float, angle: float) -> None:
    """From tail to head as it lies in the picture: rows count downwards."""
    dx, dy = radius * math.cos(angle), -radius * math.sin(angle)
    drawn = {"arrowstyle": "-|>", "color": "white", "linewidth": 1.3, "mutation_scale": 9, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (x + dx, y + dy), (x - dx, y - dy), arrowprops=drawn, annotation_clip=True)


def _histogram(ax: Any, away: np.ndarray, moving: float) -> None:
    edges = np.arange(-180, 181, 10.0)
    counts, _ = np.histogram(away, edges)
    share = 100 * counts / max(1, len(away))
    inside = (edges[:-1] >= -90) & (edges[1:] <= 90)
    ax.bar(edges[:-1], share, 10, align="edge", color=np.where(inside, ACCENT, WRONG).tolist(), edgecolor="white")
    for edge in (-90, 90):
        ax.axvline(edge, color=GREY, linestyle="--", linewidth=1)
    ax.set_xlim(-180, 180)
    ax.set_xticks(range(-180, 181, 90))
    ax.set_xlabel("direction of travel − heading (degrees)")
    ax.set_ylabel("share of moving frames (%)")
    right = f"{np.mean(np.abs(away) <= 90):.1%}".replace("%", " %") if len(away) else "none"
    ax.set_title(f"{right} of {len(away):,} moving frames within 90°", loc="left", fontsize="medium")
    ax.set_title(f"faster than {moving:g} mm/s", loc="right", fontsize="small", color=GREY)
    ax.grid(axis="y", alpha=0.3)
    ax.set_axisbelow(True)


# ---- words -----------------------------------------------------------------------------------------------------------


def _digits(seconds: np.ndarray) -> int:
    """Decimals of a second that tell these times apart."""
    closest = float(np.diff(seconds).min()) if len(seconds) > 1 else 1.0
    return 0 if closest >= 2 else 1 if closest >= 0.5 else 2


def _clock(seconds: float, digits: int) -> str:
    """A time since the beginning.

    >>> _clock(3.25, 2), _clock(95.0, 0), _clock(4000.0, 0)
    ('3.25 s', '1:35', '1:06:40')
    """
    if seconds < 60 and digits:
        return f"{seconds:.{digits}f} s"
    if seconds < 60:
        return duration(round(seconds)) if seconds >= 0.5 else "0 s"
    whole, rest = divmod(round(seconds, digits), 60)
    minutes = f"{int(whole % 60):02d}" if whole >= 60 else f"{int(whole)}"
    text = f"{minutes}:{rest:0{3 + digits if digits else 2}.{digits}f}"
    return f"{int(whole // 60)}:{text}" if whole >= 60 else text
