"""Pictures of single spectra: level over frequency, every bin inside what is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..decibels import is_decibel
from ..errors import RecordingError
from .axes import hertz, label_frequency, level_ticks
from .levels import LevelScale, levels
from .pixels import frequency_rows
from .spectrogram import center_of, check_matplotlib, metadata, png, window_of

_AROUND = (86, 30, 62, 40)  # pixels left, right, below and above the Axes of `save_spectrum`, for labels


def plot_spectrum(
    x: xr.DataArray,
    *,
    ax: Any = None,
    scale: LevelScale = "dB",
    reference: Any = None,
    log_frequency: bool = False,
    fmin: float | None = None,
    fmax: float | None = None,
    center: float | None = None,
    width: int | None = None,
    title: str | None = None,
    **line: Any,
) -> Any:
    """Draw one spectrum, (frequency) [u2 Hz-1, u2, W, or dB], and return its matplotlib Axes.

    The line is the mean power of the bins that share a pixel; where there are several, the band behind it reaches from
    the lowest to the highest of them, so that no bin is left out. Two-sided spectra around a `center_frequency` are
    drawn over the offset from it, in MHz. Several calls with the same Axes compare spectra.

    Parameters
    ----------
    x : from `power_spectrum`, or one row of a spectrogram
    ax : Axes to draw on; without it, a new pyplot figure
    scale : "dB", or "linear": the power itself
    reference : of the decibels, as in `to_decibel`
    log_frequency : logarithmic frequency axis
    fmin, fmax : Hz
    center : Hz that frequencies are shown as an offset from; `center_frequency` unless given, 0 for none
    width : pixels, those of the Axes unless given
    title : text above, in place of what the spectrum is, its `long_name`
    line : of matplotlib's lines, such as label=, color=

    Raises
    ------
    RecordingError : not one spectrum of power, or nothing inside the limits
    MissingPackage : matplotlib is not installed

    >>> from matplotlib.figure import Figure
    >>> from reelarray import power_spectrum, recording
    >>> x = recording(np.sin(np.arange(8000.0)), rate=8000, start="2022-03-01", units="Pa")
    >>> plot_spectrum(power_spectrum(x, nfft=256), ax=Figure().add_subplot()).get_ylabel()
    'power spectral density level (dB re 1 µPa²/Hz)'
    """
    check_matplotlib()
    frequency, values = _check(x)
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(figsize=(10, 4), layout="constrained")[1]
    width = width or max(1, round(ax.get_window_extent().width))
    bins, groups, edges = frequency_rows(frequency, fmin, fmax, log_frequency, width)
    shown = values[bins].astype(np.float64)
    if decibel := is_decibel(str(x.attrs.get("units", ""))):
        shown = 10 ** (shown / 10)
    of_pixels = _of_groups(shown, groups)
    with np.errstate(divide="ignore"):
        of_pixels = 10 * np.log10(of_pixels) if decibel else of_pixels
    made = levels(xr.DataArray(of_pixels, dims=("pixel", "value"), attrs=x.attrs), scale, reference)
    low, mean, high = made.values.T
    at = np.sqrt(edges[:, 0] * edges[:, 1]) if log_frequency else edges.mean(axis=1)
    (drawn,) = ax.plot(at, np.where(np.isfinite(mean), mean, np.nan), **{"linewidth": 1.0, **line})
    if len(groups) < bins.stop - bins.start:
        there = np.isfinite(low) & np.isfinite(high)
        ax.fill_between(at, low, high, where=there, color=drawn.get_color(), alpha=0.25, linewidth=0)
    if log_frequency:
        ax.set_xscale("log")
    ax.set_xlim(edges[0, 0], edges[-1, 1])
    label_frequency(
        ax.xaxis,
        edges[0, 0],
        edges[-1, 1],
        log=log_frequency,
        center=None if log_frequency else center_of(x, center),
    )
    text = level_ticks(ax.yaxis, str(made.attrs.get("units", "dB")), max(map(abs, ax.get_ylim())))
    ax.set_ylabel(f"{made.attrs.get('long_name', 'level')} ({text})")
    ax.grid(alpha=0.3)
    if title is None:
        title = str(x.attrs.get("long_name") or x.name or "spectrum")
    ax.set_title(title, loc="left", fontsize="medium", parse_math=False)
    each = (bins.stop - bins.start) / len(groups)
    step = float(np.diff(frequency.values).mean()) if len(values) > 1 else 0.0
    told = [f"bins of {hertz(step)}{window_of(x)}"] * (step > 0)
    told += [f"lowest, mean and highest of {each:.3g} bins"] * (each > 1)
    ax.set_title(", ".join(told), loc="right", fontsize="small", color="#666666")
    return ax


def save_spectrum(
    x: xr.DataArray,
    path: Any,
    *,
    width_px: int = 1200,
    height_px: int = 500,
    text: Mapping[str, str] | None = None,
    **settings: Any,
) -> Path:
    """Draw one spectrum, (frequency) [u2 Hz-1, u2, W, or dB], into a PNG file, and return its path.

    The file appears whole or not at all, and the same array gives the same bytes. No pyplot is involved.

    Parameters
    ----------
    x : from `power_spectrum`, or one row of a spectrogram
    path : ends in .png; its folder must exist
    width_px, height_px : size of the whole picture
    text : kept in the file, by name, beside the attributes of the array
    settings : of `plot_spectrum`, except ax and width

    Raises
    ------
    RecordingError : another suffix, too few pixels, or what `plot_spectrum` refuses

    >>> import tempfile
    >>> from reelarray import power_spectrum, recording
    >>> x = recording(np.sin(np.arange(8000.0)), rate=8000, start="2022-03-01", units="Pa")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_spectrum(power_spectrum(x, nfft=256), f"{folder}/sine.png").stat().st_size > 1000
    True
    """
    check_matplotlib()
    from .still import save, still_figure

    path = png(path)
    if unknown := settings.keys() & {"ax", "width"}:
        raise RecordingError(f"{', '.join(sorted(unknown))}: the picture sets these itself; pass width_px=, height_px=")
    left, right, bottom, top = _AROUND
    if width_px - left - right < 50 or height_px - top - bottom < 50:
        raise RecordingError(
            f"a picture of {width_px} x {height_px} pixels has no room; 300 x 160 or more was expected"
        )
    figure = still_figure(width_px, height_px)
    across, down = width_px - left - right, height_px - bottom - top
    ax = figure.add_axes((left / width_px, bottom / height_px, across / width_px, down / height_px))
    plot_spectrum(x, ax=ax, width=across, **settings)
    if ax.get_legend_handles_labels()[1]:
        ax.legend(loc="upper right", fontsize="small")
    save(figure, path, metadata(x, "spectrum") | dict(text or {}))
    return path


def _check(x: Any) -> tuple[xr.DataArray, np.ndarray]:
    if not isinstance(x, xr.DataArray) or "frequency" not in x.dims:
        given = f"dimensions {x.dims}" if isinstance(x, xr.DataArray) else f"a {type(x).__name__}"
        raise RecordingError(f"{given} given; one spectrum (frequency) was expected: ra.power_spectrum(x)")
    one = x.squeeze([d for d in x.dims if d != "frequency" and x.sizes[d] == 1])
    if one.dims != ("frequency",):
        others = [d for d in one.dims if d != "frequency"]
        raise RecordingError(f"dimensions {x.dims} were given; choose one of each of {others} with x.isel(...)")
    if x.dtype.kind == "c":
        raise RecordingError("a complex spectrum was given; a picture shows power: abs(x)**2, or ra.power_spectrum")
    if "frequency" not in one.coords or not np.all(np.diff(one["frequency"].values) > 0):
        raise RecordingError("frequencies that increase were expected; see x.coords, or x.sortby('frequency')")
    return one["frequency"], np.asarray(one.values)


def _of_groups(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(groups, 3): lowest, mean and highest of each group of bins."""
    count = np.diff(np.append(groups, len(values)))
    low, total, high = (merge.reduceat(values, groups) for merge in (np.minimum, np.add, np.maximum))
    return np.stack([low, total / count, high], axis=1)
