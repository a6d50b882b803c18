"""Powers in watts: of squares of volts, at an impedance."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr

from ..decibels import is_decibel, volts
from ..errors import CalibrationError, RecordingError
from ..recordings import describe, one_number

_SHARE = {"peak": 0.5, "rms": 1.0}  # of the square of an amplitude: the mean square of its oscillation


def multiplied(values: np.ndarray, *, factor: float) -> np.ndarray:
    """Values (...) -> (...), times a factor of their own precision."""
    return values * values.dtype.type(factor)


def to_watts(x: xr.DataArray, *, impedance: float = 50.0) -> xr.DataArray:
    """Power: (...) [V2 or V2 Hz-1] -> (...) [W or W Hz-1].

    P = Vrms^2 / R. Spectra of real recordings, one-sided, are mean squares of volts already. Samples of an analyser's
    complex envelope are peak volts, and a carrier of that peak has half their square as its mean square:
    P = |z|^2 / (2 R). The attribute `amplitude` says which they are ("rms" or "peak"); `spectrogram`, `power_spectrum`,
    `multitaper_spectrogram`, `channel_power` and `instantaneous_power` set it. Average first, and take watts last:
    ``to_watts(average(spectrogram(x), 100))`` is then made in one task a block, from the files on.

    Parameters
    ----------
    x : spectra, or powers over time, of a recording in volts
    impedance : ohm

    Raises
    ------
    RecordingError : units other than squares of volts; spectra with scaling="raw"; powers that do not say of what
        amplitudes they are squares
    CalibrationError : values relative to full scale

    >>> from reelarray import instantaneous_power, recording
    >>> carrier = recording(np.full(4, 10j), rate=4, units="V")  # 10 V at its peak: 1 W at 50 ohm
    >>> to_watts(instantaneous_power(carrier)).values
    array([1., 1., 1., 1.])
    """
    factor, per = watts_of(x, impedance)
    kernel = partial(multiplied, factor=factor)
    if x.chunks is None:
        data = kernel(x.values)
    else:
        data = x.data.map_blocks(kernel, dtype=x.dtype, meta=np.empty((0,) * x.ndim, x.dtype), token="to_watts")
    long_name = str(x.attrs.get("long_name", "power"))
    labels = {"units": f"W {per}".strip(), "long_name": long_name, "standard_name": None}
    return describe(x.copy(deep=False, data=data), **labels, amplitude=None, impedance=float(one_number(impedance)))


def watts_of(x: xr.DataArray, impedance: float) -> tuple[float, str]:
    """(how many W is 1 of these squares of volts, "" or "Hz-1")."""
    if not isinstance(x, xr.DataArray) or x.dtype.kind != "f":
        given = f"values of dtype {x.dtype}" if isinstance(x, xr.DataArray) else f"a {type(x).__name__}"
        raise RecordingError(f"{given} given; an xarray.DataArray of powers was expected, such as a spectrogram")
    impedance = one_number(impedance)
    if isinstance(impedance, bool) or not isinstance(impedance, int | float | np.number) or not 0 < impedance < np.inf:
        raise RecordingError(f"impedance={impedance!r} was given; ohms above 0 were expected, such as 50")
    units = str(x.attrs.get("units", "1"))
    if units in ("1", "Hz-1"):
        raise CalibrationError(
            "powers relative to full scale were given, whose absolute level is not known; squares of volts were "
            "expected: open the files with their scale, or calibrate the samples to V"
        )
    if x.attrs.get("scaling") == "raw":
        raise RecordingError(
            "spectra with scaling='raw' were given, which are no powers; scaling='spectrum' (W) or 'density' (W Hz-1) "
            "was expected"
        )
    found = volts(units)
    if found is None:
        hint = ": these are levels" if is_decibel(units) else ": ra.instantaneous_power(x) of samples" * (units == "V")
        raise RecordingError(f"units {units!r} were given; squares of volts were expected ('V2', 'V2 Hz-1'){hint}")
    amplitude = x.attrs.get("amplitude")
    if amplitude not in _SHARE:
        raise RecordingError(
            f"it is not known of what amplitudes these {units} are squares (attribute amplitude={amplitude!r}): set it "
            "to 'peak' for those of a complex envelope, |z|^2, or to 'rms' for mean squares of volts"
        )
    return found[0] * _SHARE[amplitude] / float(impedance), found[1]
