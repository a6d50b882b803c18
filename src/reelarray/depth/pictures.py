"""What pictures of depth video share: frames on a time axis, thinned lines, places in the full frame, saved figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..clock import SampleClock
from ..errors import RecordingError
from ..plot.axes import TimeAxis
from ..plot.spectrogram import check_matplotlib, png
from ..recordings import label

GAP = 1.5  # times the median step between frames: a longer one is a gap
GREY = "#666666"
BLANK = "#e4e4e4"  # where there is nothing to show, as in other pictures of this library
ACCENT, WRONG = "#1f77b4", "#d62728"


class Frames:
    """The frames of a dataset on the time axis of a picture."""

    def __init__(self, x: xr.Dataset, elapsed: bool | None = None) -> None:
        labels = x["time"].values
        if labels.dtype.kind not in "mM" or not len(labels):
            what = f"{len(labels)} frames with times of dtype {labels.dtype}"
            raise RecordingError(
                f"{what} were given; a dataset of ra.depth.extract, with one frame at least, was expected"
            )
        self.ns = labels.astype(f"{labels.dtype.kind}8[ns]").astype(np.int64)
        steps = np.diff(self.ns)
        self.step = float(np.median(steps)) if len(steps) else 1e9 / 30  # ns
        self.gap = np.append(False, steps > GAP * self.step)  # before each frame
        whole = Fraction(10**9, max(1, int(self.ns[-1] - self.ns[0] + round(self.step))))
        clock = SampleClock.regular(1, whole, int(self.ns[0]), absolute=labels.dtype.kind == "M")
        self.axis = TimeAxis(label(np.zeros(1), clock), elapsed)  # one sample as long as all of it

    @property
    def seconds(self) -> np.ndarray:
        """Since the first frame."""
        return (self.ns - self.ns[0]) / 1e9

    @property
    def positions(self) -> np.ndarray:
        """Of the frames on the axis."""
        if self.axis.wall_clock:
            return self.ns / (86400 * 1e9)
        return (self.ns - (self.axis.start if self.axis.absolute else 0)) / 1e9 / self.axis.scale

    def told(self) -> str:
        """How many gaps there are, and how long the longest is; nothing without any."""
        from ..plot.axes import duration

        count = int(self.gap.sum())
        longest = duration(float(np.diff(self.ns).max() / 1e9)) if count else ""
        return f"{count:,} gap{'s' * (count > 1)} of up to {longest}" if count else ""


def numbers(x: xr.Dataset, names: list[str], rows: Any = slice(None)) -> dict[str, np.ndarray]:
    """Values of some frames, float64, by name: all in one go, so that a lazy dataset is worked through once."""
    if missing := [name for name in names if name not in x or x[name].dims != ("time",)]:
        there = ", ".join(str(name) for name in x.data_vars if x[name].dims == ("time",)) or "none"
        raise RecordingError(f"{', '.join(missing)}: the dataset has no such numbers of each frame; it has {there}")
    found = xr.Dataset({name: x[name].variable.isel(time=rows) for name in names}).compute()
    return {name: found[name].values.astype(float) for name in names}


def crops(x: xr.Dataset, rows: np.ndarray) -> np.ndarray:
    """Crops (frames, y, x) of some rows, which are in order; no others are loaded."""
    if "frames" not in x or x["frames"].ndim != 3:
        raise RecordingError("the dataset has no frames (time, y, x); one of ra.depth.extract was expected")
    return x["frames"].variable.isel(time=rows).values


def origin(x: xr.Dataset, scene: xr.Dataset | None) -> tuple[float, float]:
    """Column and row of the full frame that positions count from."""
    if "roi_origin" in x.attrs:
        column, row = np.asarray(x.attrs["roi_origin"]).ravel()[:2].tolist()
        return float(column), float(row)
    if scene is not None and "box" in scene.attrs:
        return float(scene.attrs["box"][2]), float(scene.attrs["box"][0])
    return 0.0, 0.0


def image_of(x: xr.Dataset, name: str) -> np.ndarray:
    """A picture (y, x) of the scene."""
    if name not in x or x[name].ndim != 2:
        given = ", ".join(map(str, x.data_vars)) or "nothing"
        raise RecordingError(
            f"a dataset with {given} was given; one with {name} (y, x) was expected: ra.depth.scene(rec)"
        )
    return np.asarray(x[name].values)


def scale_bar(ax: Any, scene: xr.Dataset) -> None:
    """A length on the floor, where the scene knows its camera: about a fifth of the Axes."""
    if "camera" not in scene.attrs or "true_depth" not in scene.attrs:
        return
    each = float(scene.attrs["true_depth"]) / float(json.loads(scene.attrs["camera"])["fx"])  # mm a pixel
    left, right = ax.get_xlim()
    bottom, top = ax.get_ylim()
    wanted = (right - left) / 5 * each
    length = next(n * 10**k for k in range(5, -3, -1) for n in (5, 2, 1) if n * 10**k <= wanted)
    x, y = left + 0.04 * (right - left), bottom + 0.05 * (top - bottom)
    drawn = {"color": "white", "path_effects": _outlined(2.5)}
    ax.plot([x, x + length / each], [y, y], linewidth=2.5, solid_capstyle="butt", **drawn)
    ax.text(x + length / each / 2, y + 0.012 * (top - bottom), f"{length:g} mm", ha="center", va="bottom", **drawn)


def outlined_text(ax: Any, x: float, y: float, text: str, **settings: Any) -> Any:
    """White text that can be read on any colour."""
    return ax.text(x, y, text, **{"color": "white", "path_effects": _outlined(2.0), "parse_math": False, **settings})


def _outlined(width: float) -> list[Any]:
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground="black")]


def pixel_axes(ax: Any) -> None:
    """Axes of a picture: columns to the right, rows downwards."""
    ax.set_xlabel("column (px)")
    ax.set_ylabel("row (px)")
    ax.set_aspect("equal")


def new_axes(width: float, height: float) -> Any:
    """Axes of a new pyplot figure, inches."""
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(width, height), layout="constrained")[1]


def new_figure(width: float, height: float) -> Any:
    from matplotlib import pyplot

    return pyplot.figure(figsize=(width, height), layout="constrained")


def saved(
    draw: Callable[..., Any],
    x: xr.Dataset,
    path: Any,
    size: tuple[int, int],
    text: Mapping[str, str] | None,
    kind: str,
    settings: dict[str, Any],
    *,
    on_axes: bool,
) -> Path:
    """Draw into a PNG file, whole or not at all, without pyplot; its path."""
    check_matplotlib()
    from .. import __version__
    from ..plot.still import save, still_figure

    path = png(path)
    if unknown := settings.keys() & {"ax", "figure"}:
        raise RecordingError(f"{', '.join(sorted(unknown))}: the picture sets these itself; pass width_px=, height_px=")
    if min(size) < 200:
        raise RecordingError(f"a picture of {size[0]} x {size[1]} pixels has no room; 200 x 200 or more was expected")
    figure = still_figure(*size)
    figure.set_layout_engine("constrained")
    draw(x, **({"ax": figure.add_subplot()} if on_axes else {"figure": figure}), **settings)
    attrs = json.dumps({str(k): v for k, v in x.attrs.items()}, default=str, ensure_ascii=True)
    save(figure, path, {"Software": f"reelarray {__version__}", "Title": kind, "Description": attrs, **(text or {})})
    return path
