"""Multitaper spectra: each window seen through several orthogonal tapers, whose powers are averaged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import xarray as xr
from scipy import fft

from ..errors import RecordingError
from ..lift import lift_windows
from ..recordings import check_recording, describe
from .spectra import Scaling, check_fits, detrending, precision
from .spectrum import SENT, Spectrum

# ---- kernel ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slepian:
    """Discrete prolate spheroidal sequences of unit energy, times a scale: made where they are needed."""

    length: int
    half_bandwidth: float
    tapers: int
    scale: float = 1.0
    dtype: str = "float64"

    def __call__(self) -> np.ndarray:
        """(tapers, length)."""
        return _slepian(self)


@lru_cache(maxsize=4)
def _slepian(wanted: Slepian) -> np.ndarray:
    made = (slepian_sequences(wanted.length, wanted.half_bandwidth, wanted.tapers) * wanted.scale).astype(wanted.dtype)
    made.setflags(write=False)
    return made


def slepian_sequences(length: int, half_bandwidth: float, tapers: int) -> np.ndarray:
    """(tapers, length) of unit energy, the most concentrated first, up to their signs; the same bits on any worker.

    Eigenvectors of a tridiagonal matrix (Percival & Walden 1993, "Spectral analysis for physical applications", section
    8.3), by inverse iteration from sines (Riedel & Sidorenko 1995). `scipy.signal.windows.dpss` asks LAPACK for them,
    whose sums over more than 10,000 values depend on the number of threads; nothing here calls BLAS.
    """
    from scipy.linalg import eigvalsh_tridiagonal, solve_banded

    n = np.arange(length, dtype=np.float64)
    diagonal = ((length - 1 - 2 * n) / 2) ** 2 * np.cos(2 * np.pi * half_bandwidth / length)
    beside = n[1:] * (length - n[1:]) / 2
    values = eigvalsh_tridiagonal(diagonal, beside, select="i", select_range=(length - tapers, length - 1))[::-1]
    bands = np.zeros((3, length))
    bands[0, 1:] = bands[2, :-1] = beside
    made = np.empty((tapers, length))
    aside = 4 * np.finfo(float).eps * float(np.abs(diagonal).max() + 2 * beside.max())  # of the very eigenvalue
    for k, value in enumerate(values):
        bands[1] = diagonal - (value + aside)
        taper = np.sin(np.pi * (k + 1) * (n + 1) / (length + 1))
        for _ in range(3):
            taper = solve_banded((1, 1), bands, taper)
            taper += -taper[::-1] if k % 2 else taper[::-1]
            taper /= np.sqrt(np.sum(taper * taper))
            taper -= np.einsum("k,kn->n", np.einsum("kn,n->k", made[:k], taper), made[:k])
        made[k] = taper / np.sqrt(np.sum(taper * taper))
    return made


@dataclass(frozen=True, eq=False)
class Multitaper:
    """Power through each taper (tapers, length), added up in their order."""

    tapers: np.ndarray | Slepian
    two_sided: bool
    doubled: bool

    def __call__(self, batch: np.ndarray, out: np.ndarray) -> None:
        """(windows, ..., length) -> (windows, ..., frequency); one-sided power of doubled input for real frames."""
        tapers = self.tapers if isinstance(self.tapers, np.ndarray) else self.tapers()
        frames, length = np.empty_like(batch), batch.shape[-1]
        total = np.zeros_like(out)
        for taper in tapers:
            np.multiply(batch, taper, out=frames)
            spectra = fft.fft(frames, axis=-1) if self.two_sided else fft.rfft(frames, axis=-1)
            parts = spectra.view(out.dtype)
            parts *= parts
            total += parts[..., ::2]
            total += parts[..., 1::2]
        if self.two_sided:
            half = length // 2  # the bin of the centre
            out[..., half:], out[..., :half] = total[..., : length - half], total[..., length - half :]
            return
        out[...] = total
        if self.doubled:
            out[..., 0] *= 0.5
            if length % 2 == 0:
                out[..., -1] *= 0.5


# ---- transform -------------------------------------------------------------------------------------------------------


def multitaper_spectrogram(
    x: xr.DataArray,
    *,
    nfft: int = 1024,
    hop: int | None = None,
    half_bandwidth: float = 4.0,
    tapers: int = 6,
    scaling: Scaling = "density",
    detrend: Literal[False, "constant", "linear"] = False,
    dtype: Any = "float32",
    block: int | None = None,
) -> xr.DataArray:
    """Multitaper power spectrogram: (time, ...) [u] -> (time, ..., frequency) [u2 Hz-1, or u2].

    The powers of each window through `tapers` discrete prolate spheroidal sequences, averaged (Thomson 1982, "Spectrum
    estimation and harmonic analysis", Proc. IEEE 70, 1055, with equal weights): about `tapers` times less variance than
    one window, at a resolution of 2 half_bandwidth rate / nfft. Windows, times and frequencies are those of
    `spectrogram`; averages of it (`average`) are one task from files too.

    Parameters
    ----------
    x : a recording
    nfft, hop : samples of a window, and between windows; `hop` is half a window unless given
    half_bandwidth : NW, half the width of the tapers' main lobe in bins of rate / nfft
    tapers : K, from 1 to 2 NW; from 2 NW - 1 on they leak
    scaling : "density": the mean square of the signal is the sum over frequency times rate / nfft; "spectrum": a tone
        in the middle of a bin reads as in `spectrogram`; "raw": the mean of |X|^2 through tapers of unit energy, and
        no other factor
    detrend, dtype, block : as for `spectrogram`

    Raises
    ------
    RecordingError : impossible parameters, or a window longer than every stretch

    >>> from reelarray import recording
    >>> x = recording(np.exp(2j * np.pi * 8 * np.arange(64) / 64), rate=64, units="V")
    >>> multitaper_spectrogram(x, nfft=64, scaling="spectrum").sel(frequency=8).values.round(6)
    array([1.], dtype=float32)
    """
    x = check_recording(x)
    s = Spectrum.of(x, nfft, hop, "boxcar", None)
    check_fits(x, s.windows)
    _check_tapers(s.nfft, half_bandwidth, tapers)
    real, frames = precision(x, dtype)
    unit = Slepian(s.nfft, float(half_bandwidth), int(tapers))()
    scales = {"density": s.rate * tapers, "spectrum": float(np.sum(unit.sum(axis=-1) ** 2)), "raw": float(tapers)}
    if scaling not in scales:
        raise RecordingError(f"scaling={scaling!r} was given; 'density', 'spectrum' or 'raw' was expected")
    doubled = not s.two_sided and scaling != "raw"
    scale = float(np.sqrt((2 if doubled else 1) / scales[scaling]))
    made = Slepian(s.nfft, float(half_bandwidth), int(tapers), scale, str(real))
    out = lift_windows(
        Multitaper(made if unit.nbytes > SENT else made(), s.two_sided, doubled),
        x,
        s.windows,
        dtype=real,
        frames=frames,
        prepare=detrending(detrend),
        new_dims={"frequency": s.coordinate()},
        block=block,
        name="multitaper_spectrogram",
    )
    own = {**s.attrs(scaling, detrend, real, "scipy"), **s.power_attrs(scaling), "window": "dpss"}
    own |= {"half_bandwidth": float(half_bandwidth), "tapers": int(tapers), "noise_bandwidth": s.noise_bandwidth(*unit)}
    return describe(out.rename("multitaper_spectrogram"), **own)


def _check_tapers(nfft: int, half_bandwidth: Any, tapers: Any) -> None:
    if isinstance(half_bandwidth, bool) or not isinstance(half_bandwidth, int | float) or not half_bandwidth >= 0.5:
        raise RecordingError(
            f"half_bandwidth={half_bandwidth!r} was given; bins, 0.5 or more, were expected, such as 4"
        )
    if not half_bandwidth < nfft / 2:
        raise RecordingError(
            f"half_bandwidth={half_bandwidth} was given; less than nfft / 2 = {nfft / 2:g} was expected"
        )
    most = int(2 * half_bandwidth)
    if isinstance(tapers, bool) or not isinstance(tapers, int | np.integer) or not 1 <= tapers <= most:
        raise RecordingError(
            f"tapers={tapers!r} was given; a whole number from 1 to {most} (2 half_bandwidth) was expected: further "
            "ones hold more of other frequencies than of their own"
        )
