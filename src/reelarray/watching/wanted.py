"""What is made of each recording of an analyser."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Literal, get_args

from ..errors import SettingError

Window = Literal["hann", "boxcar", "hamming", "blackman", "blackmanharris", "flattop"]
PREVIEW = 94  # frames that datacrunch looks at where its file does not say


@dataclass(frozen=True)
class Wanted:
    """What is made of each recording; names are those of the configuration file.

    Parameters
    ----------
    lframes : samples of a frame
    nframes : frames that picture and archive show, from the first sample; None is all of them
    n_avg : rows of a group of the averaged spectrogram
    zoom_center : of the zoomed picture [Hz]: 0 is the centre of the recording, up to half the rate an offset from it,
        else absolute
    zoom_span : width of the zoomed picture [Hz], no more than the band has around its centre
    zoom_nfft : samples of a frame of the zoomed picture, which is then made of samples mixed, filtered and decimated;
        without it the picture is cut from the averaged spectrogram
    layout : "flat", all outputs in one folder, or "by_analyser", a folder each
    png, npz : whether pictures, and archives of the spectrogram, are written
    averaged : whether an archive of the averaged spectrogram is written (where more than one row is averaged)
    zarr : stores of averaged power of the whole recording ("all"), of the first nframes ("preview"), or none ("off")
    window : of the spectra in pictures, stores and table: "hann" keeps strong tones narrow; "boxcar" is the look of
        datacrunch, and of the archives, which hold |X|^2 of samples as they are in any case; or "hamming", "blackman",
        "blackmanharris", "flattop"
    scale : of the pictures, "dB" or "linear"
    color_map : of matplotlib
    limits : percentiles of what is shown, between which colours change
    levels : limits of the colours as levels [dB, or W], in place of percentiles
    reduce : what a pixel shows of the bins and rows in it: their "mean" power or the highest, "max"
    partial : whether the last group of rows is kept where it is not complete, or dropped
    impedance : [ohm], by which peak volts become watts
    copy_raw : whether recordings are copied beside their outputs
    """

    lframes: int = 65536
    nframes: int | None = None
    n_avg: int = 1
    zoom_center: float = 0.0
    zoom_span: float = 1e6
    zoom_nfft: int | None = None
    layout: Literal["flat", "by_analyser"] = "flat"
    png: bool = True
    npz: bool = True
    averaged: bool = True
    zarr: Literal["off", "preview", "all"] = "off"
    window: Window = "hann"
    scale: Literal["dB", "linear"] = "dB"
    color_map: str = "viridis"
    limits: tuple[float, float] = (5.0, 99.9)
    levels: tuple[float, float] | None = None
    reduce: Literal["mean", "max"] = "mean"
    partial: Literal["keep", "drop"] = "keep"
    impedance: float = 50.0
    copy_raw: bool = False

    def __post_init__(self) -> None:
        if wrong := list(self.wrong()):
            raise SettingError("; ".join(wrong))

    def wrong(self) -> Iterator[str]:
        """All that cannot be."""
        for name, least in (("lframes", 2), ("nframes", 1), ("n_avg", 1), ("zoom_nfft", 2)):
            value = getattr(self, name)
            if value is None and name in ("nframes", "zoom_nfft"):
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                yield f"{name}={value!r}: a whole number, {least} or more, was expected"
        if self.png and self.color_map != "viridis":
            yield from _wrong_color_map(self.color_map)
        if not math.isfinite(self.zoom_center):
            yield f"zoom_center={self.zoom_center!r}: a frequency in Hz was expected"
        for name in ("zoom_span", "impedance"):
            if not 0 < getattr(self, name) < math.inf:
                yield f"{name}={getattr(self, name)!r}: a number above 0 was expected"
        if not 0 <= self.limits[0] < self.limits[1] <= 100:
            yield f"limits={list(self.limits)!r}: two percentiles, the lower first, such as [5, 99.9], were expected"
        if self.levels is not None and not self.levels[0] < self.levels[1]:
            yield f"levels={list(self.levels)!r}: a lower and a higher level, such as [-120, -60], were expected"
        for name, known in (
            ("layout", ("flat", "by_analyser")),
            ("zarr", ("off", "preview", "all")),
            ("window", get_args(Window)),
            ("scale", ("dB", "linear")),
            ("reduce", ("mean", "max")),
            ("partial", ("keep", "drop")),
        ):
            if getattr(self, name) not in known:
                yield f"{name}={getattr(self, name)!r}: one of {', '.join(known)} was expected"


# What others call them.
_ALIASES = {
    "nfft": "lframes", "n_fft": "lframes", "window_length": "lframes", "frames": "nframes", "average": "n_avg",
    "every": "n_avg", "center": "zoom_center", "span": "zoom_span", "cmap": "color_map", "percentiles": "limits",
    "vmin": "levels", "vmax": "levels",
}  # fmt: skip


def check_known(given: Iterable[str]) -> None:
    """Raise `SettingError` for names that are none of `Wanted`, with the nearest that are."""
    known = [each.name for each in fields(Wanted)]
    wrong = []
    for name in given:
        if name not in known:
            near = _ALIASES.get(name) or next(iter(get_close_matches(name, known, 1)), None)
            wrong.append(f"unknown {name!r}; " + (f"did you mean {near!r}?" if near else f"known are {sorted(known)}"))
    if wrong:
        raise SettingError("; ".join(wrong))


def _wrong_color_map(name: str) -> Iterator[str]:
    """That matplotlib has no such colour map, where it is installed."""
    try:
        from matplotlib import colormaps
    except ImportError:
        return
    if name not in colormaps:
        near = get_close_matches(name, list(colormaps), 1)
        hint = f", did you mean {near[0]!r}?" if near else ", such as 'viridis', 'magma' or 'jet'"
        yield f"color_map={name!r}: a colour map of matplotlib was expected{hint}"
