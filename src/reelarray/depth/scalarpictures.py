"""Pictures of scalars over time: lines that break where frames are missing, every frame inside what is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import RecordingError
from ..plot.axes import duration, pretty_units
from ..plot.spectrogram import check_matplotlib
from .pictures import ACCENT, BLANK, GREY, Frames, new_figure, numbers, saved
from .scalarnames import units

# What is drawn unless names are given: the first of each row that there is.
USUAL = (
    ("speed_2d_mm_s", "velocity_2d_mm"),
    ("angle",),
    ("length_mm", "length_px"),
    ("width_mm", "width_px"),
    ("height_ave_mm",),
    ("area_mm", "area_px"),
)
_UNITS = ("_mm_s", "_rad_s", "_mm", "_px")
_SAID = {"height_ave": "mean height", "speed_2d": "speed", "velocity_2d": "velocity", "velocity_theta": "travel"}
DENSE = 2  # frames a pixel: of more, the lowest, mean and highest are drawn


def plot_scalars(
    x: xr.Dataset,
    *,
    names: Sequence[str] | None = None,
    figure: Any = None,
    width: int | None = None,
    elapsed: bool | None = None,
    title: str | None = None,
) -> Any:
    """Draw numbers of each frame (time) over time, one below the other, and return the matplotlib Figure.

    Lines break where frames are missing (grey, where it is wider than a pixel) and where no animal was found. Where
    several frames share a pixel the line is their mean, and the band behind it reaches from the lowest to the highest.

    Parameters
    ----------
    x : of `ra.depth.extract`, or `open_results`
    names : variables of the dataset; without, speed, angle, length, width, mean height and area
    figure : to draw on; without it, a new pyplot figure
    width : pixels of the time axis; about those of the figure unless given
    elapsed : whether time counts from the beginning, not by the wall clock; as it is known unless given
    title : text above, in place of duration, frames and gaps

    Raises
    ------
    RecordingError : no such names
    MissingPackage : matplotlib is not installed

    >>> from matplotlib.figure import Figure
    >>> from reelarray import recording
    >>> x = recording(np.arange(60.0), rate=30, units="mm").rename("length_mm").to_dataset()
    >>> [ax.get_ylabel() for ax in plot_scalars(x, figure=Figure()).axes]
    ['length (mm)']
    """
    check_matplotlib()
    chosen = list(names) if names is not None else [next((n for n in each if n in x), "") for each in USUAL]
    chosen = [name for name in chosen if name]
    if not chosen:
        raise RecordingError("the dataset has none of the usual scalars; pass names= of what it has")
    found, frames = numbers(x, chosen), Frames(x, elapsed)
    figure = new_figure(12, 1.2 + 1.4 * len(chosen)) if figure is None else figure
    width = width or max(1, round(figure.bbox.width * 0.9))
    axes = figure.subplots(len(chosen), 1, sharex=True, squeeze=False)[:, 0]
    left, right = frames.axis.limits
    for ax, name in zip(axes, chosen, strict=True):
        for start, stop in _gaps(frames, (right - left) / width):
            ax.axvspan(start, stop, color=BLANK, linewidth=0)
        _draw(ax, frames, found[name], width)
        ax.set_xlim(left, right)
        ax.set_ylabel(_label(x, name))
        ax.grid(alpha=0.3)
    frames.axis.label(axes[-1])
    figure.align_ylabels(axes)
    told = [duration(len(frames.ns) * frames.step / 1e9), f"{len(frames.ns):,} frames"]
    heading = ", ".join(told) if title is None else title
    axes[0].set_title(heading, loc="left", fontsize="medium", parse_math=False)
    lost = int(np.isnan(found[chosen[0]]).sum())
    said = [frames.told(), f"{lost:,} frames without a value" * (lost > 0)]
    axes[0].set_title("; ".join(filter(None, said)), loc="right", fontsize="small", color=GREY)
    return figure


def save_scalars(
    x: xr.Dataset,
    path: Any,
    *,
    width_px: int = 1300,
    height_px: int = 900,
    text: Mapping[str, str] | None = None,
    **settings: Any,
) -> Path:
    """Draw numbers of each frame over time into a PNG file, and return its path.

    The file appears whole or not at all, and the same dataset gives the same bytes. No pyplot is involved.

    Parameters
    ----------
    x : of `ra.depth.extract`, or `open_results`
    path : ends in .png; its folder must exist
    width_px, height_px : size of the whole picture
    text : kept in the file, by name, beside the attributes of the dataset
    settings : of `plot_scalars`, except figure
    """
    return saved(plot_scalars, x, path, (width_px, height_px), text, "scalars", settings, on_axes=False)


def _draw(ax: Any, frames: Frames, values: np.ndarray, width: int) -> None:
    at = frames.positions
    if len(at) <= DENSE * width:
        gaps = np.flatnonzero(frames.gap)
        ax.plot(np.insert(at, gaps, at[gaps]), np.insert(values, gaps, np.nan), color=ACCENT, linewidth=0.9)
        alone = _alone(values, frames.gap)
        ax.plot(at[alone], values[alone], ".", color=ACCENT, markersize=2)
        return
    middle, low, mean, high = of_pixels(at, values, frames.axis.limits, width)
    there = np.isfinite(mean)
    ax.fill_between(middle, low, high, where=there, color=ACCENT, alpha=0.3, linewidth=0)
    ax.plot(middle, mean, color=ACCENT, linewidth=0.9)


def of_pixels(
    at: np.ndarray, values: np.ndarray, limits: tuple[float, float], width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Middle of each pixel of an axis, and the lowest, mean and highest of the values in it, NaN without any.

    `at` increases; values of NaN are none.
    """
    edges = np.linspace(*limits, width + 1)
    pixel = np.clip(np.searchsorted(edges, at, "right") - 1, 0, width - 1)
    there = ~np.isnan(values)
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    np.minimum.at(low, pixel[there], values[there])
    np.maximum.at(high, pixel[there], values[there])
    count = np.bincount(pixel[there], minlength=width)
    total = np.bincount(pixel[there], values[there], minlength=width)
    mean = np.divide(total, count, out=np.full(width, np.nan), where=count > 0)
    some = count > 0
    return (edges[:-1] + edges[1:]) / 2, np.where(some, low, np.nan), mean, np.where(some, high, np.nan)


def _alone(values: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """Values without a neighbour, which a line would not show."""
    there = ~np.isnan(values)
    before = np.append(False, there[:-1]) & ~gap
    after = np.append(there[1:] & ~gap[1:], False)
    return there & ~before & ~after


def _gaps(frames: Frames, pixel: float) -> list[tuple[float, float]]:
    """Begin and end of gaps that are wider than a pixel, on the axis."""
    at = frames.positions
    return [(at[k - 1], at[k]) for k in np.flatnonzero(frames.gap).tolist() if at[k] - at[k - 1] > pixel]


def _label(x: xr.Dataset, name: str) -> str:
    """Name and unit.

    >>> _label(xr.Dataset({"area_mm": ("time", [1.0], {"units": "mm2"})}), "area_mm")
    'area (mm²)'
    """
    end = next((each for each in _UNITS if name.endswith(each)), "")
    short = name.removesuffix(end)
    said = _SAID.get(short, short.replace("_", " "))
    unit = pretty_units(str(x[name].attrs.get("units", units(name))))
    unit = f"{unit}/frame" if name.startswith("velocity_") and end in ("_mm", "_px") and "/" not in unit else unit
    return said if unit == "1" else f"{said} ({unit})"
