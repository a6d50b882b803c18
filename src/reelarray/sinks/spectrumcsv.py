"""One spectrum as a text file of three columns: frequency, power, level."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import xarray as xr

from ..decibels import volts
from ..errors import RecordingError
from ..signal.bands import check_spectra
from ..signal.levels import to_decibel
from ..signal.powers import to_watts
from .atomic import check_folder, writing


def write_spectrum_csv(x: xr.DataArray, path: str | os.PathLike[str], *, impedance: float = 50.0) -> Path:
    """Write one spectrum: (frequency) [V2, V2 Hz-1, W, ...] -> a CSV file "Hz,W,dBm", a line a frequency.

    Squares of volts become watts (`to_watts`) and their level dBm; a density gives "Hz,W Hz-1,dBm Hz-1". Others are
    written in their own units, with their level: "Hz,Pa2 Hz-1,dB re 1 uPa2 Hz-1". Powers are written with all their
    digits, levels with four decimals; of no power the level is -inf. The file appears when it is complete.

    Parameters
    ----------
    x : one spectrum, such as ``power_spectrum(x.sel(time=slice(begin, end)))``, or one row of a spectrogram; computed
        if it is lazy
    path : where to write; a file that is there is replaced
    impedance : ohm, for squares of volts

    Returns the path.

    Raises
    ------
    RecordingError : more than one spectrum, levels in dB, spectra with scaling="raw"
    FileNotFoundError : the folder is not there

    >>> import tempfile
    >>> from reelarray import power_spectrum, recording
    >>> tone = recording(np.full(8, 10 + 0j), rate=4, units="V", coords={"center_frequency": 1000.0})
    >>> spectrum = power_spectrum(tone, nfft=2, window="boxcar", scaling="spectrum")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_spectrum_csv(spectrum, f"{folder}/tone.csv").read_text(), end="")
    Hz,W,dBm
    998.0,0.0,-inf
    1000.0,1.0,30.0000
    """
    x = check_spectra(x)
    check_folder(Path(path))
    many = [name for name in x.dims if name != "frequency" and x.sizes[name] != 1]
    if many:
        sizes = ", ".join(f"{x.sizes[name]} along {name!r}" for name in many)
        raise RecordingError(
            f"more than one spectrum was given ({sizes}); one was expected: ra.power_spectrum(x) of a slice, "
            "x.isel(time=0) of a spectrogram, or one channel"
        )
    x = x.isel({name: 0 for name in x.dims if name != "frequency"})
    if volts(str(x.attrs.get("units", "1"))):
        x = to_watts(x, impedance=impedance)
    units = str(x.attrs.get("units", "1"))
    watts = units in ("W", "W Hz-1")
    x = x.compute()
    level = to_decibel(x.astype(np.float64), reference="1 mW" if watts else None, quantity="power")
    named = units.replace("W", "dBm") if watts else level.attrs["units"]
    rows = zip(x["frequency"].values.tolist(), x.values, level.values.tolist(), strict=True)
    lines = [f"{frequency!r},{power!s},{decibels:.4f}\n" for frequency, power, decibels in rows]
    with writing(path) as temporary:
        temporary.write_text("".join([f"Hz,{units},{named}\n", *lines]), encoding="utf-8")
    return Path(path)
