"""Calibration: samples relative to full scale become pascal."""

from __future__ import annotations

import xarray as xr

from .. import graph
from ..calibration import UNITS, Calibration
from ..errors import CalibrationError
from ..recordings import check_recording, describe


def calibrate(
    x: xr.DataArray,
    *,
    sensitivity: float | None = None,
    gain_db: float = 0.0,
    peak_voltage: float = 1.0,
    end_to_end: float | None = None,
    units: str = "Pa",
) -> xr.DataArray:
    """Full-scale samples times one factor: (time, ...) [1] -> (time, ...) [Pa].

    Samples are in [-1, 1), as files are read. The factor is that of the spec sheet,
    peak_voltage / (10^(sensitivity/20) * 1e6 * 10^(gain_db/20)), or 1e-6 * 10^(end_to_end/20); it is rounded to the
    dtype of the samples, and where they come straight from files it is applied in the task that reads them.

    Parameters
    ----------
    x : a recording of real or complex floating-point samples with units "1"
    sensitivity : dB re 1 V/uPa; 1 V/Pa where only the others are given
    gain_db : dB
    peak_voltage : V at full scale
    end_to_end : dB re 1 uPa of a full-scale sample, in place of the other three
    units : "Pa", "uPa", or "V" at the input of the amplifier (without sensitivity)

    Raises
    ------
    CalibrationError : nothing to calibrate with, numbers that contradict each other or are not finite, samples that
        have units already, that are integer counts, or whose level a normalisation has removed

    >>> from reelarray import recording
    >>> x = recording([0.0, 0.5, -1.0], rate=4)
    >>> calibrate(x, sensitivity=-180, gain_db=20).values  # full scale is 100 Pa
    array([   0.,   50., -100.])
    """
    given = Calibration(sensitivity, gain_db, peak_voltage, end_to_end)
    if given == Calibration():
        raise CalibrationError(
            "nothing to calibrate with was given; sensitivity= (dB re 1 V/uPa) with gain_db= and peak_voltage=, or "
            "end_to_end= (dB re 1 uPa of a full-scale sample) was expected"
        )
    if units not in UNITS:
        raise CalibrationError(f"units={units!r} was given; 'Pa', 'uPa' or 'V' was expected")
    if units == "V" and (sensitivity is not None or end_to_end is not None):
        raise CalibrationError("units='V' was given with a sensitivity to sound: leave one of them out")
    x = check_recording(x)
    own = x.attrs.get("units", "1")
    if own != "1":
        raise CalibrationError(
            f"samples in {own!r} were given; samples relative to full scale (units '1') were expected: they are "
            "calibrated already"
        )
    if str(x.attrs.get("long_name", "")).startswith("power "):
        raise CalibrationError("a power spectrum was given; samples were expected: calibrate before the transform")
    if x.attrs.get("calibrated") is False:
        raise CalibrationError(
            f"the absolute level of the samples is lost (normalized by {x.attrs.get('normalization', 'something')}); "
            "calibrate the recording as it was opened, before normalising it"
        )
    if x.dtype.kind not in "fc":
        raise CalibrationError(
            f"integer counts ({x.dtype}) were given; samples in [-1, 1) were expected: open the files with "
            "calibrated=True, or divide by full scale"
        )
    factor = given.factor * (1e6 if units == "uPa" else 1.0)
    data = None if x.chunks is None else graph.gained(x.data, factor)
    if data is None:
        data = x.data * x.dtype.type(factor)
    return describe(x.copy(deep=False, data=data), **given.attrs(units))
