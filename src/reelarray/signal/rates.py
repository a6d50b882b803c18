"""Other rates, and bands of them: one kernel that shifts, filters and resamples each window by FFT."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from scipy import fft

from ..errors import RecordingError
from ..lift import lift_filter
from ..recordings import clock
from ..windows import Pace, Windows

SHORTEST, LONGEST = 2**13, 2**21  # samples of an FFT; more only where the filter or the ratio needs it
TOGETHER = 2**21  # samples of FFTs at once
KEPT = 0.7  # of an FFT's samples are new in each window, at least
LARGEST_PRIME = 31  # FFTs of lengths with larger factors are slow
LARGEST_RATIO = 2**20  # of rates: labels of 2**41 samples still fit in int64
LARGEST_POSITION = 2**62  # of a clock, in parts of samples: int64
LARGEST_REACH = 2**20  # samples that a filter sees to each side; more would not fit beside each other in memory
# dB below what was asked for: what the kernel leaves out beyond the stop edge is as far down as the filter is there,
# and adds up over all frequencies.
MARGIN = 10.0

# ---- kernel ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Conversion:
    """Samples -> those of a band of theirs, shifted by `-shift`, `up` for every `down`.

    Frequencies are in cycles a sample. With the Kaiser-windowed low-pass h (Kaiser 1974; Harris 2004, chapter 3) of
    `reach` samples to each side, flat up to `passes` and `attenuation` dB down from `stops`, about `middle`, row m is

        y[m] = gain * exp(-2 pi i shift n) * sum over k of h(n - k) exp(2 pi i middle (n - k)) x[k],  n = m * down / up

    with n counted from the first sample of the stretch: no delay. The shift is inside the filter, whose taps are
    complex then, and only rows of the result are turned (Harris 2004, chapter 6; Crochiere & Rabiner 1983, chapter 2).
    Windows are filtered by FFT, with what overlaps discarded (overlap-save: Oppenheim & Schafer, section 8.7), and the
    inverse FFT is that of the new rate: bins beyond the stop edge are left out, and those beyond the new Nyquist
    frequency folded, which is decimation seen from its spectrum. Phases come from exact ratios, so that sample 2**40 is
    as good as the first. In float32 what is gone is 130 dB down at most, in float64 as far as the filter goes.
    """

    up: int
    down: int
    passes: float
    stops: float
    attenuation: float
    shift: Fraction = Fraction(0)
    middle: Fraction = Fraction(0)
    gain: float = 1.0
    real: bool = False

    # ---- sizes: whole numbers that follow from the fields --------------------------------------------------------

    @cached_property
    def reach(self) -> int:
        """Samples that the filter sees to each side (Kaiser's formula; Oppenheim & Schafer, section 7.5.3)."""
        if not self.filters:
            return 0
        return math.ceil((self.attenuation - 7.95) / (2.285 * 2 * math.pi * (self.stops - self.passes)) / 2)

    @property
    def filters(self) -> bool:
        return math.isfinite(self.stops)

    @cached_property
    def pace(self) -> Pace:
        """Rows that need nothing from outside their stretch."""
        after = self.reach + (self.up > 1)  # between two samples: one more
        return Pace(-(-self.reach * self.up // self.down), after, self.up, self.down)

    @cached_property
    def thin(self) -> int:
        """What the inverse FFT makes too many rows by: the part of `down` with prime factors too large for FFTs.

        Unless it made more than there are samples.
        """
        rest = self.down
        for prime in range(2, LARGEST_PRIME + 1):
            while rest % prime == 0:
                rest //= prime
        return rest if self.up * rest <= self.down else 1

    @cached_property
    def length(self) -> int:
        """Samples of a window, a multiple of `down / thin`; most of them are new in each."""
        fold = self.down // self.thin
        goal = max(min(SHORTEST, 8 * SHORTEST * self.down // self.up), 8 * self.reach)
        while True:
            length = fold * fft.next_fast_len(-(-goal // fold))
            new = int(self.pace.count(np.array(length))) // self.up * self.down
            if new and (new >= KEPT * length or length > LONGEST):
                return length
            goal = length + max(length // 4, 1)

    @cached_property
    def windows(self) -> Windows:
        units = int(self.pace.count(np.array(self.length))) // self.up
        return Windows(self.length, units * self.down, self.pace)

    # ---- what windows are multiplied by --------------------------------------------------------------------------

    @property
    def made(self) -> int:
        """Samples of the inverse FFT."""
        return self.length // (self.down // self.thin) * self.up

    @property
    def lowest(self) -> int:
        """The first bin that is kept: counted from 0 Hz, it may be negative."""
        return 0 if self.real else round(self.middle * self.length) - math.floor(self.stops * self.length)

    @property
    def one_sided(self) -> bool:
        """All bins that are kept lie in the one-sided spectrum of real samples."""
        most = math.floor(self.stops * self.length)
        return self.real or (self.lowest >= 0 and self.lowest + 2 * most <= self.length // 2)

    @cached_property
    def response(self) -> np.ndarray:
        """Of the bins that are kept: real, because the taps are symmetric about their middle. Float64."""
        reach, length = self.reach, self.length
        k = np.arange(-reach, reach + 1)
        cutoff = self.passes + self.stops
        taps = cutoff * np.sinc(cutoff * k) * np.kaiser(len(k), 0.1102 * (self.attenuation - 8.7))
        taps *= self.gain * self.made / length / taps.sum()
        around = np.zeros(length, np.float64 if self.real else np.complex128)
        around[k] = taps if self.real else taps * np.conj(turns(self.middle, len(k), -reach))
        most = math.floor(self.stops * length)
        if self.real:
            return fft.rfft(around).real[: most + 1]
        return fft.fft(around).real.take(np.arange(self.lowest, self.lowest + 2 * most + 1), mode="wrap")

    @cached_property
    def _doubled(self) -> dict[str, np.ndarray]:
        """The response for the real and the imaginary part of each bin."""
        doubled = np.repeat(self.response, 2)
        return {"f": doubled.astype(np.float32), "d": doubled}

    @cached_property
    def _turn(self) -> Fraction:
        """Cycles between rows."""
        return self.shift * self.down / self.up

    @cached_property
    def _turns(self) -> np.ndarray:
        """Of the rows of the first window of a stretch."""
        return turns(self._turn, self.windows.rows, self.pace.first)

    @cached_property
    def _pieces(self) -> list[tuple[slice, slice, slice]]:
        """Which values of the response, bins of a window, and bins of the result belong together."""
        pieces, at, count = [], 0, 2 * len(self.response)
        size = self.length
        while at < count:
            bin_ = self.lowest + at // 2
            into, out = bin_ % size, bin_ % self.made
            some = min(count - at, 2 * (size - into), 2 * (self.made - out))
            pieces.append((slice(at, at + some), slice(2 * into, 2 * into + some), slice(2 * out, 2 * out + some)))
            at += some
        return pieces

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}  # the rest is made where it is used

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __call__(self, batch: np.ndarray, out: np.ndarray, number: int) -> None:
        """(windows, ..., length) -> (windows, ..., rows): NaN where a tap meets a sample that is not finite."""
        values = max(1, batch[:1].size // self.length)
        few = max(1, TOGETHER // (values * max(self.made, self.length)))  # what is made may be much larger
        with np.errstate(invalid="ignore", over="ignore"):
            for k in range(0, len(batch), few):
                some, into = batch[k : k + few], out[k : k + few]
                self._convert(some, into, number + k)
                if not np.isfinite(into).all():  # one sample is all over its window now
                    missing = ~np.isfinite(some)
                    self._convert(np.where(missing, 0, some), into, number + k)
                    into[self._touched(missing)] = np.nan

    def _convert(self, batch: np.ndarray, out: np.ndarray, number: int) -> None:
        made = self._filtered(batch) if self.filters else batch
        first = self.pace.first * self.thin
        rows = made[..., first : first + self.windows.rows * self.thin : self.thin]
        if not self.shift:
            np.copyto(out, rows, casting="same_kind")
            return
        starts = turned(self._turn * self.windows.rows, range(number, number + len(rows)))
        for k, start in enumerate(starts):  # one by one: the same steps wherever a window stands in a batch
            np.multiply(rows[k], (self._turns * start).astype(rows.dtype), out=out[k], casting="same_kind")

    def _filtered(self, batch: np.ndarray) -> np.ndarray:
        """(windows, ..., length) -> (windows, ..., made)."""
        narrow = batch.dtype.char.lower()
        half = batch.dtype.kind == "f"
        spectra = (fft.rfft(batch, axis=-1) if half else fft.fft(batch, axis=-1)).view(narrow)
        bins = self.made // 2 + 1 if self.real else self.made
        kept = np.zeros((*batch.shape[:-1], 2 * bins), narrow)
        response = self._doubled[narrow]
        for values, source, to in self._pieces:
            kept[..., to] += spectra[..., source] * response[values]
        bands = kept.view(narrow.upper())
        if self.real:
            return fft.irfft(bands, n=self.made, axis=-1, overwrite_x=True)
        return fft.ifft(bands, axis=-1, overwrite_x=True)

    def _touched(self, missing: np.ndarray) -> np.ndarray:
        """Which rows are made of what is missing: (windows, ..., length) -> (windows, ..., rows)."""
        before = np.zeros((*missing.shape[:-1], self.length + 1), np.int64)
        np.cumsum(missing, axis=-1, out=before[..., 1:])
        at = (self.pace.first + np.arange(self.windows.rows)) * self.down // self.up
        return before[..., at + self.pace.after + 1] > before[..., at - self.reach]


def turned(cycles: Fraction, numbers: range) -> np.ndarray:
    """exp(-2 pi i cycles n) for each n: phases reduced in whole numbers, then in float64.

    >>> turned(Fraction(1, 4), range(2**60, 2**60 + 4)).round(3) + 0
    array([ 1.+0.j,  0.-1.j, -1.+0.j,  0.+1.j])
    """
    step, whole = cycles.numerator, cycles.denominator
    return np.exp(-2j * np.pi * np.array([n * step % whole / whole for n in numbers]))


def turns(cycles: Fraction, count: int, first: int = 0) -> np.ndarray:
    """The same for n = first, ..., first + count - 1, quickly: products of some and of few, in complex128."""
    few = 256
    coarse, fine = turned(cycles, range(first, first + count, few)), turned(cycles, range(min(few, count)))
    return np.multiply.outer(coarse, fine).reshape(-1)[:count]


# ---- a recording at another rate -------------------------------------------------------------------------------------


def check_attenuation(attenuation: Any) -> float:
    """The same number of dB, once it is sure to be one that a filter can have."""
    if isinstance(attenuation, bool) or not np.isreal(attenuation) or not 21 <= attenuation <= 150:
        raise RecordingError(f"attenuation={attenuation!r} was given; 21 to 150 dB were expected")
    return float(attenuation)


def precision(dtype: np.dtype) -> tuple[type, type]:
    """What samples are converted in: (of real results, of complex ones).

    >>> precision(np.dtype("int16"))[0].__name__, precision(np.dtype("int32"))[0].__name__
    ('float32', 'float64')
    """
    double = dtype.itemsize > 4 * (1 + (dtype.kind == "c")) or (dtype.kind in "iu" and dtype.itemsize > 2)
    return (np.float64, np.complex128) if double else (np.float32, np.complex64)


def converted(x: xr.DataArray, conversion: Conversion, *, block: int | None, name: str, advice: str) -> xr.DataArray:
    """All stretches of a recording through one conversion: (time, ...) -> (time, ...)."""
    if max(conversion.up, conversion.down) > LARGEST_RATIO:
        raise RecordingError(
            f"the ratio {conversion.up}/{conversion.down} of rates was asked for; terms up to {LARGEST_RATIO:,} were "
            f"expected: {advice}"
        )
    own, pace = clock(x), conversion.pace
    taps = 2 * conversion.reach + 1
    if conversion.reach > LARGEST_REACH:
        raise RecordingError(f"the filter has {taps:,} taps; {2 * LARGEST_REACH:,} at most were expected: {advice}")
    positions = sum((own.offset + (own.stops - own.first) * own.step + own.span).tolist())
    if positions * conversion.up >= LARGEST_POSITION:
        raise RecordingError(
            f"{own.size:,} rows that stand {own.step}/{own.parts} samples apart were given; {conversion.up} for every "
            f"{conversion.down} of them would have too fine labels: change the rate once, of samples as recorded"
        )
    longest = int((own.stops - own.first).max(initial=0))
    if own.size and not pace.count(np.array(longest)):
        raise RecordingError(
            f"the filter has {taps} taps ({taps / float(own.row_rate):g} s), and no stretch of the recording is that "
            f"long (the longest has {longest} samples): {advice}, or join files with tolerance="
        )
    real, imaginary = precision(x.dtype)
    dtype = real if conversion.real else imaginary
    frames = real if x.dtype.kind != "c" and conversion.filters and conversion.one_sided else imaginary
    return lift_filter(conversion, x, conversion.windows, dtype=dtype, frames=frames, block=block, name=name)
