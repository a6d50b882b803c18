"""NumPy archives of spectra and other small products: one file, opened by numpy.load without reelarray."""

from __future__ import annotations

import ast
import json
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr

from .. import __version__, graph
from ..clock import SampleClock
from ..decibels import is_decibel, zero_level
from ..errors import RecordingError
from ..exact import NANOSECONDS
from ..recordings import clock as clock_of
from ..signal.levels import to_decibel
from ..timeindex import ClockIndex
from . import clocktable, npzrows
from .atomic import check_folder, writing
from .provenance import plain

MOST_BYTES = 2**32  # of the values: numpy.load holds them all
MOST_LABELS = 10**7  # above, the clock table stands alone
MOST_INPUTS = 100
RESERVED = frozenset(("data", "attrs", "layout", "clock_stretches", "clock_knots", "clock_source", "samplerate"))
VERSION = 1
Layout = Literal["reelarray", "osmose", "osekit", "datacrunch"]


def write_npz(
    x: xr.DataArray,
    path: str | os.PathLike[str],
    *,
    layout: Layout = "reelarray",
    compress: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write an array of up to 4 GiB, (...) [u], to one NumPy archive, and return its path. Computes it.

    The file appears whole or not at all, and holds no pickles. What it holds, besides `attrs` (JSON: the attributes,
    software version and inputs) and the clock, by which `read_npz` gives the same array back (levels in OSEkit's layout
    to their rounding):

    - "reelarray": `data`, and each coordinate by its name; `time` as datetime64[ns]; `samplerate` where it is samples
    - "osmose": the matrices of OSmOSE's first tools: `Sxx` (frequency, time), linear power; `log_spectro`, the same in
      dB; `Freq` [Hz]; `Time` [s], the centres of the windows since the first sample
    - "osekit": `fs, time, freq, window, hop, sx, mfft, db_ref, v_lim, timestamps` with `sx` (frequency, time) linear
      power; for a spectrogram without gaps
    - "datacrunch": `arr_0` (1, frequency) absolute Hz and `arr_1` (time, 1), seconds from the first sample to the start
      of each frame, both float64; `arr_2` (time, frequency) float32 power; `fs`, `center` [Hz], `units`, `start_time`
      (UTC text), `params` (JSON). Written block by block: a lazy array is never whole in memory. Frequencies are those
      of the bins, where iqtools has them half a bin too high, in float32

    Parameters
    ----------
    x : an array; for the matrices a spectrogram (time, frequency), power or dB (power only in datacrunch's layout)
    path : ends in .npz; its folder must exist
    layout : see above
    compress : smaller by a tenth to a half, slower
    overwrite : replace a file of this name

    Raises
    ------
    RecordingError : larger than 4 GiB, another suffix, a coordinate with a reserved name, or no spectrogram
    OutputExists : the file is there
    FileNotFoundError : its folder is not

    >>> import tempfile
    >>> from reelarray import recording, spectrogram
    >>> x = recording(np.ones(16), rate=4, start="2022-03-01", units="Pa")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with np.load(write_npz(spectrogram(x, nfft=8), f"{folder}/m.npz", layout="osmose")) as matrix:
    ...         matrix["Sxx"].shape, matrix["Time"]
    ((5, 3), array([1., 2., 3.]))
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise RecordingError(f"{path} was given; a name that ends in .npz was expected")
    if layout not in get_args(Layout):
        known = ", ".join(map(repr, get_args(Layout)))
        raise RecordingError(f"layout={layout!r} was given; one of {known} was expected")
    if not isinstance(x, xr.DataArray):
        raise RecordingError(f"a {type(x).__name__} was given; an xarray.DataArray was expected")
    if x.nbytes > MOST_BYTES:
        raise RecordingError(
            f"{x.nbytes / 2**30:.1f} GiB were given; archives are read whole, so up to {MOST_BYTES / 2**30:g} GiB go "
            "into one: use ra.write_zarr, ra.average first, or write a part, x.sel(time=slice(begin, end))"
        )
    if path.exists() and not overwrite:
        from .journal import OutputExists

        raise OutputExists(f"{path} is there already; pass overwrite=True to replace it, or another name")
    check_folder(path)
    about = _about(x, layout)
    if layout == "datacrunch":
        npzrows.check_rows(x)
    else:
        x = x.copy(data=np.asarray(x.data))
    members = {"reelarray": _own, "osmose": _osmose, "osekit": _osekit, "datacrunch": npzrows.rows_of}[layout](x)
    with writing(path) as temporary:
        _save(temporary, {**members, **about}, compress)
    return path


def _save(path: Path, members: Mapping[str, Any], compress: bool) -> None:
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, values in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                npzrows.write_rows(member, values)


# ---- what all layouts have -------------------------------------------------------------------------------------------


def _about(x: xr.DataArray, layout: str) -> dict[str, Any]:
    """Members by which the array comes back: attributes, names of dimensions, the clock."""
    own = next((i for i in x.xindexes.values() if isinstance(i, ClockIndex)), None)
    made = {own.name, own.bounds} if own is not None else set()
    coords = {
        str(name): {"dims": list(map(str, c.dims)), "attrs": plain(dict(c.attrs))}
        for name, c in x.coords.items()
        if name not in made
    }
    tables: dict[str, Any] = {}
    names: dict[str, Any] | None = None
    if own is not None:
        names, tables["clock_stretches"], tables["clock_knots"] = clocktable.to_tables(own.clock)
        names |= {"name": str(own.name), "bounds": None if own.bounds is None else str(own.bounds)}
        names["attrs"] = plain(dict(x.coords[own.name].attrs))
        if own.clock.source is not None:
            tables["clock_source"] = np.array([name or "" for name in own.clock.source], str)
    described = {
        "reelarray": VERSION,
        "layout": layout,
        "name": None if x.name is None else str(x.name),
        "dims": list(map(str, x.dims)),
        "coords": coords,
        "clock": names,
    }
    attrs = {**plain(dict(x.attrs)), "software": f"reelarray {__version__}", "inputs": _inputs(x)}
    others = {} if layout == "reelarray" else {f"coord_{n}": x.coords[n].values for n in coords if n != "frequency"}
    return {"attrs": json.dumps(attrs), "layout": json.dumps(described), **tables, **others}


def _inputs(x: xr.DataArray) -> list[str]:
    """Names of the files that an array was made of, the first hundred of them."""
    paths = [str(p) for table in graph.sources(x.data) for p in table.path if p]
    own = next((i for i in x.xindexes.values() if isinstance(i, ClockIndex)), None)
    if not paths and own is not None and own.clock.source is not None:
        paths = [str(p) for p in own.clock.source if p]
    return [os.path.basename(p) for p in dict.fromkeys(paths)][:MOST_INPUTS]


def _own(x: xr.DataArray) -> dict[str, Any]:
    if bad := RESERVED & {str(n) for n in x.coords}:
        raise RecordingError(f"coordinates named {', '.join(sorted(bad))} cannot go into a NumPy archive: rename them")
    members: dict[str, Any] = {"data": x.values}
    for name, coord in x.coords.items():
        made = isinstance(coord.xindexes.get(name), ClockIndex)
        if made and x.sizes["time"] > MOST_LABELS:
            continue
        values = coord.values
        members[str(name)] = values.astype(str) if values.dtype == object else values
    if x.dims in (("time",), ("time", "channel")) and isinstance(x.xindexes.get("time"), ClockIndex):
        rate = clock_of(x).row_rate
        members["samplerate"] = int(rate) if rate.denominator == 1 else float(rate)
    return members


# ---- matrices --------------------------------------------------------------------------------------------------------


def _matrix(x: xr.DataArray) -> tuple[np.ndarray, np.ndarray, float, np.ndarray, SampleClock]:
    """(linear power (frequency, time), dB of the same, reference, frequencies, clock)."""
    if set(x.dims) != {"time", "frequency"} or x.dtype.kind == "c":
        raise RecordingError(
            f"{x.dtype} of dimensions {x.dims} was given; a matrix is a spectrogram of power (time, frequency): "
            "ra.spectrogram(x), and .isel(channel=0) of several channels"
        )
    clock = clock_of(x)
    x = x.transpose("time", "frequency")
    if is_decibel(str(x.attrs.get("units", ""))):
        zero = zero_level(x.attrs)
        power, levels = 10 ** (x.values / 10) * np.asarray(zero, x.dtype), x.values
    else:
        in_db = to_decibel(x, quantity="power")
        power, levels, zero = x.values, in_db.values, zero_level(in_db.attrs)
    return power.T, levels.T, math.sqrt(zero), x["frequency"].values.astype(np.float64), clock


def _since_first_sample(clock: SampleClock) -> np.ndarray:
    """Labels of the rows [s] since the first sample that any of them is made of."""
    if not clock.size:
        return np.zeros(0)
    start = clock.begins(np.array([0]))
    return (clock.labels(np.arange(clock.size)) - start) / NANOSECONDS


def _osmose(x: xr.DataArray) -> dict[str, Any]:
    power, levels, _, frequency, clock = _matrix(x)
    return {"Sxx": power, "log_spectro": levels, "Freq": frequency, "Time": _since_first_sample(clock)}


def _osekit(x: xr.DataArray) -> dict[str, Any]:
    power, _, reference, frequency, clock = _matrix(x)
    hop, length, nfft = (x.attrs.get(name) for name in ("hop", "window_length", "nfft"))
    if None in (hop, length, nfft) or "average" in x.attrs:
        raise RecordingError(
            "OSEkit's matrices hold a spectrogram, with its nfft, hop and window, not averages of one: use "
            "layout='osmose'"
        )
    if clock.gaps or not clock.absolute or not clock.size:
        raise RecordingError(
            f"a spectrogram with {clock.gaps} gaps{'' if clock.absolute else ' and an unknown start'} was given; "
            "OSEkit's matrices hold one stretch of time that begins at a known one: select it with x.sel(time=...)"
        )
    begin = int(clock.begins(np.array([0]))[0])
    stretch, position = clock.positions(np.array([clock.size - 1]))
    end = int(clock.times(stretch, position - clock.lead + clock.span)[0])
    fs = clock.row_rate * int(hop)  # type: ignore[arg-type]
    return {
        "fs": np.array([int(fs) if fs.denominator == 1 else float(fs)]),
        "time": _since_first_sample(clock),
        "freq": frequency,
        "window": _taper(x.attrs.get("window"), int(length)),  # type: ignore[arg-type]
        "hop": np.array([int(hop)]),  # type: ignore[arg-type]
        "sx": power,
        "mfft": np.array([int(nfft)]),  # type: ignore[arg-type]
        "db_ref": np.array([reference]),
        "v_lim": np.array([-120.0, 0.0] if reference == 1 else [0.0, 170.0]),
        "timestamps": "_".join(str(np.datetime64(t, "ns")).replace("T", " ") for t in (begin, end)),
    }


def _taper(window: Any, length: int) -> np.ndarray:
    """The values of a window from its name in the attributes."""
    from scipy.signal import get_window

    try:
        name = ast.literal_eval(window) if str(window).startswith("(") else window
        return np.asarray(get_window(name, length))
    except (ValueError, TypeError, SyntaxError):
        raise RecordingError(
            f"window={window!r} of the attributes has no name that scipy.signal.get_window knows, and OSEkit's files "
            "hold its values: use layout='osmose'"
        ) from None
