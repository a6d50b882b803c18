"""Pictures of spectrograms: wall-clock axis, decibels, gaps left blank."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import MissingPackage, RecordingError
from ..recordings import clock
from ..timeindex import ClockIndex
from .axes import TimeAxis, duration, hertz, label_frequency, label_levels
from .levels import PERCENTILES, LevelScale, colour_limits, levels
from .pixels import Reduce, pixels

GAP_COLOR = "#e4e4e4"  # grey, which no colour of a spectral colour map is
_GREY = "#666666"
_LEFT, _RIGHT, _BOTTOM, _TOP = 86, 142, 62, 40  # pixels around the picture of `save_spectrogram`, for its labels
_BAR = (22, 20)  # pixels between picture and colour bar, and width of the bar


def plot_spectrogram(
    x: xr.DataArray,
    *,
    ax: Any = None,
    begin: Any = None,
    end: Any = None,
    channel: Any = None,
    scale: LevelScale = "dB",
    reference: Any = None,
    vmin: float | None = None,
    vmax: float | None = None,
    percentiles: tuple[float, float] = PERCENTILES,
    cmap: Any = "viridis",
    log_frequency: bool = False,
    fmin: float | None = None,
    fmax: float | None = None,
    center: float | None = None,
    elapsed: bool | None = None,
    width: int | None = None,
    height: int | None = None,
    reduce: Reduce | None = None,
    colorbar: Any = True,
    title: str | None = None,
) -> Any:
    """Draw a spectrogram, (time, [channel,] frequency) [u2 Hz-1, u2, or dB], and return its matplotlib Axes.

    Time is UTC on the wall clock. Where nothing was recorded the picture stays blank: nothing is drawn across a gap.
    Power is averaged over the rows and bins of a pixel, then shown in dB. However long the recording is, no more than
    the pixels need is loaded: up to 2^29 values are averaged all, block by block (``reduce="mean"``); of more, each
    column shows the mean of 8 spectra in its middle (``reduce="pick"``), and the picture says so. ``reduce="max"``
    shows the highest value of each pixel: a line of one bin among a hundred keeps its level.

    Two-sided spectra around a `center_frequency` are drawn over the offset from it, in MHz. Edges of the picture are
    those of the first and last bin and row, not their centres.

    Parameters
    ----------
    x : from `spectrogram`, `power_spectrum`, `average`, `to_decibel`, in memory or lazy
    ax : Axes to draw on; without it, a new pyplot figure
    begin, end : UTC times (seconds, where the start of the recording is unknown); all of it unless given
    channel : which one, where there are several
    scale : "dB", or "linear": the power itself
    reference : of the decibels, as in `to_decibel`
    vmin, vmax : limits of the colours [dB, or the units]
    percentiles : of what is shown, which are the limits, rounded outwards, where `vmin` and `vmax` are not given
    cmap : a matplotlib colour map or its name
    log_frequency : logarithmic frequency axis
    fmin, fmax : Hz
    center : Hz that frequencies are shown as an offset from; `center_frequency` unless given, 0 for none
    elapsed : whether time counts from the beginning; True for pictures shorter than a second, else False, unless given
    width, height : pixels, those of the Axes unless given
    reduce : "mean", "max" or "pick", see above
    colorbar : draw a colour bar; or the Axes to draw it in
    title : text above, in place of name, duration and number of gaps

    Raises
    ------
    RecordingError : not a spectrogram, nothing inside the limits, or several channels and none chosen
    MissingPackage : matplotlib is not installed

    >>> from matplotlib.figure import Figure
    >>> from reelarray import recording, spectrogram
    >>> x = recording(np.sin(np.arange(8000.0)), rate=8000, start="2022-03-01", units="Pa")
    >>> plot_spectrogram(spectrogram(x, nfft=256), ax=Figure().add_subplot()).get_ylabel()
    'frequency (Hz)'
    """
    check_matplotlib()
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(figsize=(12, 5), layout="constrained")[1]
    box = ax.get_window_extent()
    made = pixels(
        x,
        begin=begin,
        end=end,
        width=width or max(1, round(box.width)),
        height=height or max(1, round(box.height)),
        fmin=fmin,
        fmax=fmax,
        log_frequency=log_frequency,
        channel=channel,
        reduce=reduce,
    )
    made = levels(made, scale, reference)
    limits = colour_limits(made.values, scale, vmin, vmax, percentiles)
    drawn = _draw(ax, made, limits, cmap, log_frequency, None if log_frequency else center_of(x, center), elapsed)
    if colorbar:
        where = {"ax": ax, "pad": 0.015, "fraction": 0.05, "aspect": 28} if colorbar is True else {"cax": colorbar}
        label_levels(ax.figure.colorbar(drawn, **where), made)
    # A name of a file may hold what matplotlib would take for formulas.
    ax.set_title(_title(x, made) if title is None else title, loc="left", fontsize="medium", parse_math=False)
    ax.set_title(_resolution(x, made), loc="right", fontsize="small", color=_GREY)
    return ax


def save_spectrogram(
    x: xr.DataArray,
    path: Any,
    *,
    width_px: int = 1600,
    height_px: int = 700,
    text: Mapping[str, str] | None = None,
    **settings: Any,
) -> Path:
    """Draw a spectrogram, (time, [channel,] frequency) [u2 Hz-1, u2, or dB], into a PNG file, and return its path.

    The file appears whole or not at all, and the same array gives the same bytes. No pyplot is involved: any number of
    threads may draw at once. `plot_area` says which of its pixels hold the spectrogram, one column of
    `plot_spectrogram` each.

    Parameters
    ----------
    x : a spectrogram
    path : ends in .png; its folder must exist
    width_px, height_px : size of the whole picture
    text : kept in the file, by name, beside the attributes of the array
    settings : of `plot_spectrogram`, except ax, width and height

    Raises
    ------
    RecordingError : another suffix, too few pixels, or what `plot_spectrogram` refuses

    >>> import tempfile
    >>> from reelarray import recording, spectrogram
    >>> x = recording(np.sin(np.arange(8000.0)), rate=8000, start="2022-03-01", units="Pa")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_spectrogram(spectrogram(x, nfft=256), f"{folder}/sine.png").stat().st_size > 1000
    True
    """
    check_matplotlib()
    from .still import Looked, save, still_figure

    path = png(path)
    if unknown := settings.keys() & {"ax", "width", "height"}:
        raise RecordingError(f"{', '.join(sorted(unknown))}: the picture sets these itself; pass width_px=, height_px=")
    with_bar = settings.pop("colorbar", True)
    left, top, right, bottom = plot_area(width_px, height_px, bool(with_bar))
    figure = still_figure(width_px, height_px)

    def axes(left: int, right: int) -> Any:
        bounds = (left / width_px, 1 - bottom / height_px, (right - left) / width_px, (bottom - top) / height_px)
        return figure.add_axes(bounds)

    bar = axes(right + _BAR[0], right + sum(_BAR)) if with_bar else False
    ax = plot_spectrogram(x, ax=axes(left, right), width=right - left, height=bottom - top, colorbar=bar, **settings)
    Looked.replace(ax)
    save(figure, path, metadata(x) | dict(text or {}))
    return path


def plot_area(width_px: int = 1600, height_px: int = 700, colorbar: bool = True) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) pixels of the spectrogram inside the picture that `save_spectrogram` makes.

    >>> plot_area(1600, 700)
    (86, 40, 1458, 638)
    """
    left, top, bottom = _LEFT, _TOP, height_px - _BOTTOM
    right = width_px - (_RIGHT if colorbar else 30)
    if right - left < 50 or bottom - top < 50:
        raise RecordingError(
            f"a picture of {width_px} x {height_px} pixels has no room; 300 x 160 or more was expected"
        )
    return left, top, right, bottom


# ---- drawing ---------------------------------------------------------------------------------------------------------


def _draw(
    ax: Any,
    made: xr.DataArray,
    limits: tuple[float, float],
    cmap: Any,
    log: bool,
    center: float | None,
    elapsed: bool | None,
) -> Any:
    from matplotlib.colors import Normalize

    low, high = made["lower"].values, made["upper"].values
    values = made.values.T.astype(np.float32)  # matplotlib works in the precision that it is given
    shown = np.ma.masked_invalid(np.where(np.isneginf(values), limits[0], values))  # no power is the lowest colour
    time = TimeAxis(made, elapsed)
    left, right = time.limits
    norm = Normalize(*limits)
    ax.set_facecolor(GAP_COLOR)
    edges = np.append(low, high[-1])
    height = edges[1] - edges[0]
    if not log and np.allclose(np.diff(edges)[:-1], height, rtol=1e-6):
        extent = (left, right, edges[0], edges[0] + height * len(low))  # the last row may hold fewer bins
        drawn = ax.imshow(
            shown, extent=extent, origin="lower", aspect="auto", interpolation="nearest", cmap=cmap, norm=norm
        )
    else:
        columns = np.linspace(left, right, shown.shape[1] + 1)
        drawn = ax.pcolormesh(columns, edges, shown, cmap=cmap, norm=norm, shading="flat", rasterized=True)
        ax.set_yscale("log" if log else "linear")
    ax.set_xlim(left, right)
    ax.set_ylim(edges[0], edges[-1])
    time.label(ax)
    label_frequency(ax.yaxis, edges[0], edges[-1], log=log, center=center)
    return drawn


def center_of(x: xr.DataArray, given: float | None) -> float | None:
    """Hz that the axis counts from, or None."""
    if given is None and "center_frequency" in x.coords and x["center_frequency"].ndim == 0:
        given = float(x["center_frequency"])
    return given if given and np.isfinite(given) else None


# ---- words -----------------------------------------------------------------------------------------------------------


def _title(x: xr.DataArray, made: xr.DataArray) -> str:
    """Name, duration and gaps of what is shown."""
    shown = clock(made)
    seconds = float(shown.size / shown.row_rate)
    blank = np.isnan(made.values).all(axis=1)
    gaps = int((np.diff(np.flatnonzero(~blank)) > 1).sum())
    name = x.name or x.attrs.get("instrument") or x.attrs.get("long_name") or "spectrogram"
    return f"{name}, {duration(seconds)}" + (f", {gaps} gap{'' if gaps == 1 else 's'} (grey)" if gaps else "")


def _resolution(x: xr.DataArray, made: xr.DataArray) -> str:
    """Width of a bin, window and length of a row, where all are alike, and what a pixel is made of."""
    parts = []
    frequency = x["frequency"].values
    if len(frequency) > 1 and "lower" not in x["frequency"].coords:
        width = float(frequency[-1] - frequency[0]) / (len(frequency) - 1)
        if abs(float(frequency[1] - frequency[0]) - width) <= 1e-6 * width:
            parts.append(f"bins of {hertz(width)}{window_of(x)}")
    if isinstance(x.xindexes.get("time"), ClockIndex):
        parts.append(f"rows every {duration(float(1 / clock(x).row_rate))}")
    return ", ".join([*parts, *filter(None, [made.attrs["pixels"]])])


def window_of(x: xr.DataArray) -> str:
    """The window that spectra were made through, in brackets; nothing where it has no short name."""
    name = str(x.attrs.get("window", ""))
    said = {"hann": "Hann", "hamming": "Hamming", "blackman": "Blackman", "boxcar": "no window"}.get(name, name)
    return f" ({said})" if name.isidentifier() else ""


def metadata(x: xr.DataArray, kind: str = "spectrogram") -> dict[str, str]:
    """What is kept with a picture."""
    from .. import __version__

    attrs = json.dumps({str(k): v for k, v in x.attrs.items()}, default=str, ensure_ascii=True)
    return {"Software": f"reelarray {__version__}", "Title": str(x.name or kind), "Description": attrs}


def png(path: Any) -> Path:
    """The path of a picture, checked."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise RecordingError(f"{path} was given; a name that ends in .png was expected")
    return path


def check_matplotlib() -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingPackage('pictures need matplotlib, which is not installed: pip install "reelarray[plot]"')
