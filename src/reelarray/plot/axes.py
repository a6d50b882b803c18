"""Axes of a picture: wall clock or elapsed time, frequency in a unit that reads well, levels with their reference."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import xarray as xr

from ..decibels import is_decibel
from ..recordings import clock

_DAY = 86400.0
_ELAPSED = (
    (1e-3, "µs", 1e-6),
    (1.0, "ms", 1e-3),
    (300.0, "s", 1.0),
    (3 * 3600.0, "min", 60.0),
    (3 * _DAY, "h", 3600.0),
)
_HERTZ = ((5e9, "GHz", 1e9), (5e6, "MHz", 1e6), (5e3, "kHz", 1e3), (-1.0, "Hz", 1.0))
_OFFSETS = ((1e5, "MHz", 1e6), (1e2, "kHz", 1e3), (0.0, "Hz", 1.0))
# By year, month, day, hour, minute, second: ticks; ticks where the next larger unit begins; the date beside them.
_TICKS = ["%Y", "%b", "%d", "%H:%M", "%H:%M", "%H:%M:%S.%f"]
_LARGER = ["", "%Y", "%b", "%b %d", "%H:%M", "%H:%M:%S.%f"]
_DATE = ["", "%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%d", "%Y-%m-%d"]
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
WALL_CLOCK = 1.0  # seconds: shorter pictures count from their beginning, as labels of a clock would not fit


class TimeAxis:
    """Where the columns of a picture stand on its time axis: UTC, or the time since it begins."""

    def __init__(self, made: xr.DataArray, elapsed: bool | None = None) -> None:
        own = clock(made)
        self.start = int(own.labels(0))
        self.stop = int(own.times(np.array([0]), np.array([own.size * own.step]))[0])
        self.absolute = own.absolute
        seconds = (self.stop - (self.start if self.absolute else min(self.start, 0))) / 1e9
        self.wall_clock = self.absolute and (seconds >= WALL_CLOCK if elapsed is None else not elapsed)
        self.unit, self.scale = next(((u, s) for limit, u, s in _ELAPSED if seconds < limit), ("d", _DAY))

    @property
    def limits(self) -> tuple[float, float]:
        """Of the axis: days since 1970, as matplotlib counts, or elapsed time in `unit`."""
        if self.wall_clock:
            return self.start / (_DAY * 1e9), self.stop / (_DAY * 1e9)
        zero = self.start if self.absolute else 0
        return (self.start - zero) / 1e9 / self.scale, (self.stop - zero) / 1e9 / self.scale

    def label(self, ax: Any) -> None:
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        if self.wall_clock:
            ax.xaxis_date("UTC")
            locator = AutoDateLocator(tz="UTC", minticks=4, maxticks=10)
            ax.xaxis.set_major_locator(locator)
            formatter = ConciseDateFormatter(
                locator, tz="UTC", formats=_TICKS, zero_formats=_LARGER, offset_formats=_DATE
            )
            ax.xaxis.set_major_formatter(formatter)
            ax.set_xlabel("time (UTC)")
            return
        since = f"{str(np.datetime64(self.start, 'ns')).replace('T', ' ')} UTC" if self.absolute else "the first sample"
        ax.set_xlabel(f"time since {since} ({self.unit})")


def duration(seconds: float) -> str:
    """Seconds as a person would say them.

    >>> duration(90), duration(5400), duration(86400 * 365)
    ('1 min 30 s', '1 h 30 min', '365 d')
    """
    if seconds < 60:
        return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"
    whole = round(seconds)
    parts = ((whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s"))
    first = next(k for k, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


def label_frequency(axis: Any, low: float, high: float, *, log: bool = False, center: float | None = None) -> None:
    """Ticks and label of a frequency axis in hertz, printed in the unit that suits its limits.

    With `center` [Hz] ticks count from there, in MHz, or kHz where all of them are below 100 kHz, and the label says
    so: those of a band of 1 kHz at 245 MHz would be all alike.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    if center is not None:
        ticks = MaxNLocator(9, steps=[1, 2, 2.5, 5, 10]).tick_values(low - center, high - center)
        axis.set_major_locator(FixedLocator([center + t for t in ticks if low <= center + t <= high]))
        widest = max(abs(low - center), abs(high - center))
        unit, scale = next((u, s) for limit, u, s in _OFFSETS if widest >= limit)
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{(value - center) / scale:.6g}".replace("-", "−")))
        axis.set_label_text(f"frequency − {megahertz(center)} ({unit})")
        return
    unit, scale = next((u, s) for limit, u, s in _HERTZ if max(abs(low), abs(high)) > limit)
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / scale:.10g}"))
    if log:
        subs = (1.0,) if np.log10(high / low) > 4 else (1.0, 2.0, 5.0)
        axis.set_major_locator(LogLocator(subs=subs, numticks=20))
        axis.set_minor_locator(LogLocator(subs="all", numticks=20))
        axis.set_minor_formatter(NullFormatter())
    axis.set_label_text(f"frequency ({unit})")


def megahertz(frequency: float) -> str:
    """Hertz as MHz, to 1 Hz.

    >>> megahertz(244778900.0)
    '244.7789 MHz'
    """
    return f"{round(frequency / 1e6, 6):.12g} MHz"


def hertz(width: float) -> str:
    """A width in hertz in the unit that reads well.

    >>> hertz(5.9605), hertz(381.47), hertz(12500)
    ('5.96 Hz', '381.5 Hz', '12.5 kHz')
    """
    unit, scale = next((u, s) for limit, u, s in _HERTZ if abs(width) > limit)
    return f"{width / scale:.{4 if abs(width / scale) >= 100 else 3}g} {unit}"


def label_levels(bar: Any, made: xr.DataArray) -> None:
    """Ticks and label of a colour bar; a power of ten that all ticks share stands in the label."""
    name, units = str(made.attrs.get("long_name", "level")), str(made.attrs.get("units", "dB"))
    text = level_ticks(bar.ax.yaxis, units, max(map(abs, bar.mappable.get_clim())))
    bar.set_label(f"{name}\n({text})")
    bar.outline.set_visible(False)


def level_ticks(axis: Any, units: str, largest: float) -> str:
    """Ticks of an axis of levels; the unit as it is printed, after the power of ten that the ticks leave out."""
    from matplotlib.ticker import FuncFormatter

    text = pretty_units(units)
    power = int(np.floor(np.log10(largest))) if largest > 0 else 0
    if is_decibel(units) or -2 <= power <= 3:
        return text
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 10.0**power:.4g}".replace("-", "−")))
    return f"10{str(power).translate(_RAISED)} {text}"


def pretty_units(units: str) -> str:
    """UDUNITS text as it is printed.

    >>> pretty_units("dB re 1 uPa2 Hz-1")
    'dB re 1 µPa²/Hz'
    >>> pretty_units("dB re 0.001 W"), pretty_units("dB re 1 mW Hz-1")
    ('dBm', 'dBm/Hz')
    """
    units = re.sub(r"dB re (0\.001 W|1 mW)", "dBm", units)
    text = re.sub(r"\bu(?=[A-Z])", "µ", units)
    text = re.sub(r"(?<=[A-Za-zµ)])2\b", "²", text)
    return re.sub(r"[ .]([A-Za-z]+)-1\b", r"/\1", text)
