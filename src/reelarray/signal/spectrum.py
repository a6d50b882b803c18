"""One object from which an FFT's frequencies, taper and scale come, so that they cannot disagree."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np
import xarray as xr
from scipy import fft

from ..errors import RecordingError
from ..recordings import check_no_pairs, clock
from ..windows import Windows
from ..work import Taper
from .engines import Engine

SENT = 2**18  # bytes of a window in float64 that go with each task: less than to import scipy.signal on a worker


@dataclass(frozen=True)
class Spectrum:
    """An FFT's settings: frequencies, taper and scale all come from here, so that they cannot disagree."""

    nfft: int
    hop: int
    window: Any
    window_length: int
    rate: float
    two_sided: bool
    center: float
    units: str

    @classmethod
    def of(cls, x: xr.DataArray, nfft: int, hop: int | None, window: Any, window_length: int | None) -> Spectrum:
        """Settings for a recording, checked; `hop` is half a window unless given."""
        check_no_pairs(x)
        nfft = _whole("nfft", nfft)
        length = nfft if window_length is None else _whole("window_length", window_length)
        if length > nfft:
            raise RecordingError(f"window_length={length} is longer than nfft={nfft}: pass nfft={length} or more")
        if not isinstance(window, str | tuple) and np.ndim(window) == 1 and len(window) != length:
            raise RecordingError(f"a window of {len(window)} values was given; {length} were expected (window_length=)")
        hop = max(1, length // 2) if hop is None else _whole("hop", hop)
        center = float(x.coords["center_frequency"]) if "center_frequency" in x.coords else 0.0
        kind, units = x.dtype.kind == "c", str(x.attrs.get("units", "1"))
        return cls(nfft, hop, window, length, float(clock(x).row_rate), kind, center, units)

    @property
    def windows(self) -> Windows:
        return Windows(self.window_length, self.hop)

    def taper(self) -> np.ndarray:
        """The window (window_length,) in float64, periodic."""
        if not isinstance(self.window, str | tuple) and np.ndim(self.window) == 1:
            return np.asarray(self.window, np.float64)
        try:
            return named_taper(self.window, self.window_length)
        except (ValueError, TypeError) as error:
            raise RecordingError(
                f"window={self.window!r} is not a window of scipy.signal.get_window ({error}); e.g. 'hann', 'hamming', "
                "('kaiser', 14), or an array of window_length values"
            ) from None

    def frequencies(self) -> np.ndarray:
        """Hz, ascending: from 0 for real samples; for complex ones bin nfft // 2 is exactly `center_frequency`."""
        if self.two_sided:
            return (np.arange(self.nfft) - self.nfft // 2) * self.rate / self.nfft + self.center
        return fft.rfftfreq(self.nfft, 1 / self.rate)

    def scaled_taper(self, scaling: str | None, real: np.dtype, *, power: bool) -> Taper:
        """The taper times what makes squared spectra powers (Heinzel et al. 2002), or spectra amplitudes.

        Scaled before the FFT, not after: that costs nothing. Powers of real samples come out doubled, for the one-sided
        spectrum; the kernel halves the bins that have no mirror image. ("raw" ones are neither doubled nor halved.)
        """
        taper = self.taper()
        scales = {"density": self.rate * np.sum(taper**2), "spectrum": np.sum(taper) ** 2}
        scales["raw" if power else None] = 1.0  # type: ignore[index]
        if scaling not in scales:
            expected = "'density', 'spectrum' or 'raw'" if power else "'density', 'spectrum' or None"
            raise RecordingError(f"scaling={scaling!r} was given; {expected} was expected")
        doubled = power and not self.two_sided and scaling != "raw"
        scale = float(np.sqrt((2 if doubled else 1) / scales[scaling]))
        made = NamedTaper(self.window, self.window_length, scale, str(real))
        # The bits of a long "dpss" depend on the threads that LAPACK has where it is made.
        name = self.window[0] if isinstance(self.window, tuple) and self.window else self.window
        anywhere = self.named and not str(name).startswith("dpss")
        return made if taper.nbytes > SENT and anywhere else (taper * scale).astype(real)

    @property
    def named(self) -> bool:
        """Whether the window is one of SciPy's, and not given by its values."""
        parts = self.window if isinstance(self.window, tuple) else (self.window,)
        return all(isinstance(part, str | int | float) for part in parts)

    def noise_bandwidth(self, *tapers: np.ndarray) -> float | None:
        """Equivalent noise bandwidth, Hz: density times it is the "spectrum" (Heinzel et al. 2002, section 9)."""
        tapers = tapers or (self.taper(),)
        energy = sum(float(np.sum(taper**2)) for taper in tapers)
        gain = sum(float(np.sum(taper)) ** 2 for taper in tapers)
        return float(f"{self.rate * energy / gain:.12g}") if gain else None  # the same whatever adds it up

    def coordinate(self) -> xr.Variable:
        attrs = {"units": "Hz", "long_name": "frequency"}
        return xr.Variable(("frequency",), self.frequencies(), attrs)

    def attrs(self, scaling: str | None, detrend: Any, real: np.dtype, engine: Engine) -> dict[str, Any]:
        """The parameters, as attributes of the result; a window that has no name is told by a hash of its values."""
        if self.named:
            name = str(self.window)
        else:
            name = f"given sha256:{sha256(self.taper().astype('<f8').tobytes()).hexdigest()[:12]}"
        settings = {"nfft": self.nfft, "hop": self.hop, "window": name, "window_length": self.window_length}
        settings["sample_rate"] = self.rate
        how = {"detrend": str(detrend or "none"), "precision": str(real), "engine": engine}
        return {**settings, "scaling": scaling or "none", **how}

    def power_attrs(self, scaling: str) -> dict[str, Any]:
        """units, long_name, of what amplitudes the powers are squares, and on how many sides of the centre they lie."""
        powers = squared(self.units)
        density = "Hz-1" if powers == "1" else f"{powers} Hz-1"
        name = {"density": "power spectral density", "spectrum": "power spectrum", "raw": "power spectrum, not scaled"}
        return {
            "units": density if scaling == "density" else powers,
            "long_name": name[scaling],
            "amplitude": "peak" if self.two_sided else "rms",
            "sides": 2 if self.two_sided else 1,
        }


def squared(units: str) -> str:
    """Units of the square of a value.

    >>> squared("V"), squared("m s-1"), squared("1")
    ('V2', '(m s-1)2', '1')
    """
    return "1" if units == "1" else f"{units}2" if units.isalpha() else f"({units})2"


@dataclass(frozen=True)
class NamedTaper:
    """A scaled window that is made where it is needed: that of 2^20 samples would add 4 MiB to every task."""

    window: Any
    length: int
    scale: float
    dtype: str

    def __call__(self) -> np.ndarray:
        return _made_taper(self)


def named_taper(window: Any, length: int) -> np.ndarray:
    """`scipy.signal.get_window`, to the bit; the two usual windows without an import that takes 45 MB and 0.5 s.

    >>> named_taper("hann", 4), named_taper("boxcar", 2)
    (array([0. , 0.5, 1. , 0.5]), array([1., 1.]))
    """
    if window == "boxcar" or (window == "hann" and length == 1):
        return np.ones(length)
    if window == "hann":
        return 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, length + 1)[:-1])
    from scipy.signal import get_window

    made: np.ndarray = get_window(window, length)
    return made


@lru_cache(maxsize=4)
def _made_taper(taper: NamedTaper) -> np.ndarray:
    values = (named_taper(taper.window, taper.length) * taper.scale).astype(taper.dtype)
    values.setflags(write=False)
    return values


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise RecordingError(f"{name}={value!r}: a whole number of samples, 1 or more, was expected")
    return int(value)
