"""NumPy archives back to arrays with a clock: our own, OSmOSE's matrices, OSEkit's spectra."""

from __future__ import annotations

import json
import os
import zipfile
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..clock import SampleClock
from ..decibels import is_decibel, zero_level
from ..errors import FormatError
from ..exact import NANOSECONDS, exact_rate
from ..recordings import label, nanoseconds
from . import clocktable
from .npz import VERSION

_NOT_OURS = ("software", "inputs")  # said of the file, not of the array


def read_npz(
    path: str | os.PathLike[str],
    *,
    start: Any = None,
    hop: int | None = None,
    window_length: int | None = None,
    units: str | None = None,
) -> xr.DataArray:
    """Read spectra from a NumPy archive: (time, frequency) [u2 Hz-1, u2], with a clock; nothing is unpickled.

    Files of `write_npz` come back as they were. In others the stored times are not the centres of the windows (they
    spread them evenly from 0 to the end): times are made anew from the hop where it is known. OSEkit's spectra say it
    themselves; for OSmOSE's matrices (`Sxx`, `log_spectro`, `Freq`, `Time`) pass `hop` and `window_length`, else rows
    keep their stored distance, and `attrs["time_axis"]` says so. Also read are OSEkit's averaged spectra
    (`timestamps`, `freq`, `px` or `pxs`).

    Parameters
    ----------
    path : the archive
    start : UTC time of the first sample, for files that do not state it; without it times count from 0
    hop, window_length : samples, of OSmOSE's matrices; the rate is that of the highest frequency, times two
    units : of the power, where the file does not state them ("1")

    Raises
    ------
    FormatError : not such an archive
    ClockError : an impossible start

    >>> import tempfile
    >>> from reelarray import recording, spectrogram
    >>> from reelarray.sinks.npz import write_npz
    >>> s = spectrogram(recording(np.ones(16), rate=4, start="2022-03-01", units="Pa"), nfft=8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     read_npz(write_npz(s, f"{folder}/s.npz")).identical(s)
    True
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise FormatError(f"{path} is not a NumPy archive of plain arrays ({error}): read it with numpy.load") from None
    about = _ours(found)
    if about is not None:
        return _as_it_was(path, found, about)
    if {"Sxx", "Freq", "Time"} <= found.keys() or {"log_spectro", "Freq", "Time"} <= found.keys():
        return _osmose(found, start, hop, window_length, units)
    if {"sx", "freq", "fs", "hop", "window", "mfft", "timestamps"} <= found.keys():
        return _osekit(path, found, units)
    if {"timestamps", "freq"} <= found.keys() and found.keys() & {"px", "pxs"}:
        return _welch(path, found, units)
    raise FormatError(
        f"{path} holds {', '.join(found) or 'nothing'}; files of write_npz, OSmOSE's matrices (Sxx, log_spectro, Freq, "
        "Time) and OSEkit's spectra (sx, freq, ...) are known; sound (data, samplerate) is opened with "
        "ra.open_recording"
    )


# ---- ours ------------------------------------------------------------------------------------------------------------


def _ours(found: dict[str, np.ndarray]) -> dict[str, Any] | None:
    try:
        about = json.loads(str(found["layout"]))
    except (KeyError, ValueError):
        return None
    return about if isinstance(about, dict) and "reelarray" in about else None


def _as_it_was(path: Any, found: dict[str, np.ndarray], about: dict[str, Any]) -> xr.DataArray:
    if about["reelarray"] != VERSION:
        raise FormatError(f"{path} has format {about['reelarray']}, {VERSION} is known: a newer reelarray wrote it")
    attrs = {k: v for k, v in json.loads(str(found["attrs"])).items() if k not in _NOT_OURS}
    dims = about["dims"]
    names = {"reelarray": "data", "osmose": "Sxx", "osekit": "sx", "datacrunch": "arr_2"}
    data = found[names[about["layout"]]]
    if about["layout"] in ("osmose", "osekit"):
        if is_decibel(str(attrs.get("units", ""))):
            data = found["log_spectro"] if "log_spectro" in found else _levels(data, zero_level(attrs))
        data = xr.Variable(("frequency", "time"), data).transpose(*dims).values
    places = "{}" if about["layout"] == "reelarray" else "coord_{}"
    coords = {}
    for name, coord in about["coords"].items():
        key = {"osmose": "Freq", "osekit": "freq", "datacrunch": "arr_0"}.get(about["layout"])
        values = found[key].ravel() if key is not None and name == "frequency" else found[places.format(name)]
        coords[name] = xr.Variable(coord["dims"], values, coord["attrs"])
    if about["clock"] is None:
        return xr.DataArray(data, dims=dims, coords=coords, attrs=attrs, name=about["name"])
    source = found.get("clock_source")
    files = None if source is None else np.array([str(n) or None for n in source], object)
    clock = clocktable.from_tables(about["clock"], found["clock_stretches"], found["clock_knots"], files)
    bounds = about["clock"]["bounds"] is not None
    out = label(data, clock, dims=dims[1:], coords=coords, attrs=attrs, name=about["name"], bounds=bounds)
    out.coords["time"].attrs.update(about["clock"]["attrs"])
    return out


def _levels(power: np.ndarray, zero: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return 10 * np.log10(power / np.asarray(zero, power.dtype))


# ---- others ----------------------------------------------------------------------------------------------------------


def _spectra(data: np.ndarray, clock: SampleClock, frequency: np.ndarray, attrs: dict[str, Any]) -> xr.DataArray:
    hertz = xr.Variable(("frequency",), frequency.astype(np.float64), {"units": "Hz", "long_name": "frequency"})
    return label(data, clock, dims=["frequency"], coords={"frequency": hertz}, attrs=attrs)


def _framed(begin: int, count: int, length: int, hop: int, rate: Fraction, absolute: bool) -> SampleClock:
    """Windows of `length` samples every `hop`, the first of which begins at `begin` ns."""
    samples = (count - 1) * hop + length if count else 0
    return SampleClock.of_segments([begin], [samples], rate, absolute=absolute).windows(length, hop)


def _osmose(
    found: dict[str, np.ndarray], start: Any, hop: int | None, length: int | None, units: str | None
) -> xr.DataArray:
    begin, absolute = 0 if start is None else nanoseconds(start), start is not None
    linear = "Sxx" in found
    data = (found["Sxx"] if linear else found["log_spectro"]).T
    frequency, times = found["Freq"].ravel(), found["Time"].ravel().astype(np.float64)
    attrs: dict[str, Any] = {"units": units or ("1" if linear else "dB"), "long_name": "power spectrum"}
    if hop is not None and length is not None:
        rate = exact_rate(2 * float(frequency[-1]))
        clock = _framed(begin, len(data), length, hop, rate, absolute)
        attrs |= {"hop": hop, "window_length": length}
    else:
        step = float(times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 1.0
        first = begin + round(float(times[0]) * NANOSECONDS) if len(times) else begin
        clock = SampleClock.regular(len(data), exact_rate(1 / step), first, absolute=absolute)
        attrs["time_axis"] = "as stored, not the centres of the windows; read_npz(hop=, window_length=) makes them"
    return _spectra(data, clock, frequency, attrs)


def _osekit(path: Any, found: dict[str, np.ndarray], units: str | None) -> xr.DataArray:
    """Frame k is centred (k + p_min) hops after the begin, as `scipy.signal.ShortTimeFFT` pads with zeros."""
    from scipy.signal import ShortTimeFFT

    fs, hop, mfft, reference = (np.ravel(found[n])[0] for n in ("fs", "hop", "mfft", "db_ref"))
    window, hop = np.asarray(found["window"], np.float64), int(hop)
    rate = exact_rate(float(fs))
    begin = _timestamps(path, found["timestamps"])[0][0]
    first = ShortTimeFFT(window, hop, float(rate), mfft=int(mfft)).p_min
    length = len(window)
    early = Fraction(2 * first * hop - length, 2) / rate * NANOSECONDS
    sx = found["sx"].T
    power = sx.real**2 + sx.imag**2 if np.iscomplexobj(sx) else sx
    attrs = {"units": units or "1", "long_name": "power spectrum", "nfft": int(mfft), "hop": hop}
    attrs |= {"window": "given", "window_length": length, "reference": float(reference)}
    return _spectra(power, _framed(begin + round(early), len(power), length, hop, rate, True), found["freq"], attrs)


def _welch(path: Any, found: dict[str, np.ndarray], units: str | None) -> xr.DataArray:
    """Averaged spectra, one for each begin and end."""
    spans = _timestamps(path, found["timestamps"])
    data = np.atleast_2d(found["pxs"] if "pxs" in found else found["px"])
    if data.shape != (len(spans), len(found["freq"])):
        data = data.T
    took = {end - begin for begin, end in spans}
    if data.shape != (len(spans), len(found["freq"])) or len(took) != 1:
        raise FormatError(
            f"{path} holds {len(spans)} spans of {sorted(t / NANOSECONDS for t in took)} s for spectra of shape "
            f"{data.shape}; one spectrum for each of equal spans was expected"
        )
    order = np.argsort([begin for begin, _ in spans], kind="stable")
    starts = np.array([begin for begin, _ in spans])[order]
    span = took.pop()
    joined = np.append(False, np.diff(starts) == span)
    ones = np.ones(len(starts), np.int64)
    clock = SampleClock.of_segments(starts, ones, Fraction(NANOSECONDS, span), joined=joined)
    attrs = {"units": units or "1", "long_name": "power spectrum", "average": "mean of each span"}
    return _spectra(data[order], clock, found["freq"], attrs)


def _timestamps(path: Any, stamps: np.ndarray) -> list[tuple[int, int]]:
    """Texts begin_end, one or many -> ns; what has no zone is UTC."""
    spans = []
    for text in map(str, np.ravel(stamps)):
        begin, separator, end = text.partition("_")
        try:
            spans.append((nanoseconds(pd.Timestamp(begin)), nanoseconds(pd.Timestamp(end))))
        except ValueError:
            separator = ""
        if not separator or spans[-1][1] <= spans[-1][0]:
            raise FormatError(
                f"{path}: timestamps {text!r} were found; a begin and an end with '_' between were expected"
            )
    return spans
