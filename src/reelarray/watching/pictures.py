"""The pictures of a recording, and the latest of each analyser for a page."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import RecordingError
from ..plot import save_spectrogram
from ..plot.axes import megahertz
from ..recordings import clock
from ..sinks.atomic import writing
from ..sinks.locked import locked
from .frames import Frames
from .origin import Origin, printable

log = logging.getLogger(__name__)

LOCK = ".reelarray.lock"
_told: set[tuple[str, float]] = set()  # analysers and centres that were warned of


def draw(frames: Frames, path: Path, origin: Origin) -> None:
    """The first frames over the whole band, none averaged with another."""
    center = _center(frames.samples)
    title = [_name(origin, frames), *([] if center is None else [megahertz(center)])]
    _draw(frames, frames.power(frames.rows), path, origin, ", ".join(title))


def draw_zoomed(frames: Frames, path: Path, origin: Origin) -> None:
    """The averaged frames in a band around the centre that was asked for."""
    power, band = frames.zoomed()
    center = band.center
    if band.wrong:
        warn_of_center(origin.analyser, frames.wanted.zoom_center, band.wrong)
    limits = {"center": center, "fmin": center - band.half, "fmax": center + band.half}
    averaged = f", averages of {frames.wanted.n_avg}" if frames.wanted.n_avg > 1 else ""
    _draw(frames, power, path, origin, f"{_name(origin, frames)}, {megahertz(center)}{averaged}", **limits)


def _draw(frames: Frames, power: xr.DataArray, path: Path, origin: Origin, title: str, **more: Any) -> None:
    wanted = frames.wanted
    low, high = wanted.levels or (None, None)
    watts = power.attrs.get("units") == "W" and wanted.scale == "dB"
    save_spectrogram(
        power,
        path,
        end=_end(frames),
        scale=wanted.scale,
        reference="1 mW" if watts else None,
        vmin=low,
        vmax=high,
        percentiles=wanted.limits,
        cmap=wanted.color_map,
        reduce=wanted.reduce,
        elapsed=True,
        title=title,
        text=origin.text,
        **more,
    )


def warn_of_center(analyser: str, given: float, wrong: str) -> None:
    """Say once for each analyser why its zoomed pictures are not where they were asked for."""
    if (analyser, given) not in _told:
        _told.add((analyser, given))
        log.warning("%s: zoom_center = %.10g Hz %s", analyser, given, wrong)


def _end(frames: Frames) -> Any:
    """Where the last frame ends: an average of fewer rows than others is drawn no longer than it lasts."""
    own = clock(frames.rows)
    last = np.array([own.size - 1])
    stretch, position = own.positions(last)
    ns = int(own.times(stretch, position - own.lead + own.span)[0])
    return np.datetime64(ns, "ns") if own.absolute else ns / 1e9


def _center(x: xr.DataArray) -> float | None:
    center = float(x.coords["center_frequency"]) if "center_frequency" in x.coords else 0.0
    return center or None


def _name(origin: Origin, frames: Frames) -> str:
    own = clock(frames.samples)
    first = np.datetime64(int(own.labels(0)), "ns").astype("datetime64[ms]")
    start = str(first).replace("T", " ") if own.absolute else None
    return ", ".join([printable(origin.source), *([f"{start} UTC"] if start else [])])


def publish(picture: Path, latest: Path, origin: Origin) -> bool:
    """Copy a picture to where the latest of its analyser is, unless that shows a later recording; whether it was.

    The time of the recording that is shown stands in the picture itself: after a restart it is known as before. The
    copy appears in one step.

    Raises
    ------
    RecordingError : the name is that of another analyser's picture
    """
    with locked(latest.parent / LOCK):
        shown = Origin.of_file(latest) if latest.exists() else None
        if shown is not None and shown.analyser != origin.analyser:
            raise RecordingError(
                f"collision: {latest} is the picture of analyser {shown.analyser!r}, and would be that of "
                f"{origin.analyser!r}: give one of them another name in [analysers], or remove the picture"
            )
        if shown is not None and shown.recorded > origin.recorded:
            return False
        with writing(latest) as temporary:
            shutil.copyfile(picture, temporary)
    return True


def latest_of(www: str, analyser: str) -> tuple[Path, Path]:
    """Where the latest pictures of an analyser are: of the whole band, and zoomed."""
    return Path(www, f"{analyser}.png"), Path(www, f"zoom_{analyser}.png")
