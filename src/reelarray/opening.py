"""Opening: one file, or a folder of them, as one lazy recording with its gaps."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from . import graph
from .catalog import position_attrs, scan
from .catalog.anomalies import TOLD
from .catalog.scan import COLUMNS
from .choosing import OnBad, choose_files, shown
from .clock import SampleClock
from .errors import CalibrationError, ClockError, RecordingError
from .formats import check_keywords, described_by, get_format
from .joining import Files, Overlap, join_files
from .recordings import label, nanoseconds
from .source import STATED
from .table import Kind, SourceTable, auto_chunk, value_dtype, value_shape

log = logging.getLogger(__name__)


def open_recording(path: str | os.PathLike[str], **options: Any) -> xr.DataArray:
    """One file as a lazy recording: (time[, channel]) [1, or Pa where calibrated].

    A file without a known start gets a clock that counts from 0 (timedelta64). Takes the keywords of `open_recordings`.

    >>> import tempfile, wave
    >>> path = tempfile.mkdtemp() + "/20220301_120000.wav"
    >>> with wave.open(path, "wb") as file:
    ...     file.setparams((1, 2, 8000, 0, "NONE", "")); file.writeframes(bytes(16000))
    >>> open_recording(path, cache=False).sel(time=slice("2022-03-01T12:00:00.5", None)).sizes["time"]
    4000
    """
    return open_recordings([path], **options)


def open_recordings(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | pd.DataFrame,
    *,
    begin: Any = None,
    end: Any = None,
    channel: int | Sequence[int] | None = None,
    rate: Any = None,
    channels: int | None = None,
    tolerance: float | None = None,
    overlap: Overlap = "error",
    on_bad: OnBad = "raise",
    calibrated: bool = True,
    sensitivity: float | None = None,
    gain_db: float = 0.0,
    peak_voltage: float = 1.0,
    end_to_end: float | None = None,
    position: Any = None,
    dtype: Any = None,
    chunks: int | Literal["auto"] = "auto",
    **finding: Any,
) -> xr.DataArray:
    """Files as one lazy recording with its gaps: (time[, channel]) [1, or V or Pa where calibrated].

    No sample is read. Files that follow each other within `tolerance` are joined: windows span their borders, and
    labels run linearly from the start of one to the start of the next. A gap takes no samples, only a jump in the clock
    (`ra.segments`, `ra.fill_gaps`).

    Parameters
    ----------
    paths : folder, file, pattern, a list of them, or a catalog from `ra.scan` or `ra.catalog.load`, of which no file is
        touched before samples are read
    begin, end : UTC times; only samples in [begin, end) are in the result
    channel : one channel (its axis goes) or a list of them, by the files' own numbers from 0
    rate, channels : which files to take where their rates (Hz) or numbers of channels differ; of files without a
        header, what they are
    tolerance : seconds that the start of a file may differ from the end of the one before to be joined; None is that
        of the scan, else 1 s (at most half of the shorter file) where all starts are whole seconds, else one sample
    overlap : what to do where a file starts before the one before it ends: "error", or keep the samples of the "first"
        or of the "last" of the two
    on_bad : what to do with files that are unreadable, empty, truncated or without a time: "raise", "skip", or "use"
        what can be used of them (of a truncated file the samples that are there)
    calibrated : False gives the counts as stored, in their own integer type; the attribute `scale` is what a count is
        worth, in `scale_units`, where the files say so
    sensitivity, gain_db, peak_voltage, end_to_end : calibration to pascal, as in `ra.calibrate`
    position : (lat, lon), ((lat1, lat2), (lon1, lon2)) or a csv with lat and lon: goes into the attributes
    dtype : of the samples: float32 (float64 for more than 24 bits) unless given; complex64 for pairs I, Q, whose
        `calibrated=False` counts have a last dimension `iq`
    chunks : samples a chunk; does not change any result
    finding : keywords of `ra.scan`, where `paths` is not a catalog: timestamp, offsets, timezone, recorder, start, ...

    Raises
    ------
    CalibrationError : calibration that contradicts itself, or of files that state other units
    RecordingError : files that cannot be used, mixed rates, channels or units; the message lists them
    ClockError : files without times, overlaps
    FileNotFoundError : nothing there
    TypeError : a keyword that neither this function, `ra.scan` nor the format has

    Samples are read, and checked, when the result is computed; a file that changed since raises then.

    >>> import tempfile, wave
    >>> folder = tempfile.mkdtemp()
    >>> for second in (0, 1, 5):
    ...     with wave.open(f"{folder}/20220301_12000{second}.wav", "wb") as file:
    ...         file.setparams((1, 2, 8000, 0, "NONE", "")); file.writeframes(bytes(16000))
    >>> x = open_recordings(folder, timestamp="%Y%m%d_%H%M%S", cache=False)
    >>> from reelarray import segments
    >>> x.sizes["time"], segments(x)["joined"].tolist()
    (24000, [False, True, False])
    """
    for name, value, allowed in (("overlap", overlap, Overlap), ("on_bad", on_bad, OnBad)):
        if value not in allowed.__args__:  # type: ignore[attr-defined]
            raise RecordingError(f"{name}={value!r} was given; one of {', '.join(allowed.__args__)} was expected")  # type: ignore[attr-defined]
    if tolerance is not None and (not isinstance(tolerance, int | float) or not tolerance >= 0):
        raise ClockError(f"tolerance={tolerance!r} was given; seconds, 0 or more, were expected")
    check_keywords(finding, finding.get("format"), open_recordings, scan)
    if isinstance(paths, pd.DataFrame):
        if missing := [name for name in COLUMNS if name not in paths]:
            raise RecordingError(f"a table without {', '.join(missing)} was given; a catalog from ra.scan was expected")
        if finding:
            raise RecordingError(f"{', '.join(finding)}: a catalog was given, so these belong to ra.scan")
        catalog = paths
        tolerance = catalog.attrs.get("tolerance_given") if tolerance is None else tolerance
    else:
        if isinstance(paths, str | os.PathLike) and os.fspath(paths).lower().endswith(".json"):
            raise RecordingError(
                f"{os.fspath(paths)} was given; recordings were expected. If it is a saved catalog: "
                f"ra.open_recordings(ra.catalog.load({os.fspath(paths)!r}))"
            )
        paths = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        described = _described(paths, finding.get("format"), rate=rate, channels=channels, dtype=dtype)
        rate, channels = (None if k in described else v for k, v in (("rate", rate), ("channels", channels)))
        dtype = None if "dtype" in described else dtype
        catalog = scan(paths, tolerance=tolerance, **finding, **described)
    chosen, left_out = choose_files(catalog, rate=rate, channels=channels, on_bad=on_bad)
    if len(left_out):
        told = [f"{os.path.basename(p)}: {r}" for p, r in left_out[["path", "reason"]].itertuples(index=False)]
        log.warning("%d of %d files left out: %s", len(told), len(catalog), shown(told))
    _tell_oddities(chosen)
    measured = _measured(chosen)
    files = Files.of(chosen, tolerance, measured)
    pieces = join_files(files, overlap)
    # Parts of a file that lie end to end in it are read as one, however far they are apart in time.
    heads = np.flatnonzero(np.append(True, (np.diff(pieces.row) != 0) | (np.diff(pieces.skip) != pieces.count[:-1])))
    counts = np.add.reduceat(pieces.count, heads)
    table = _table(chosen, calibrated, dtype).take_rows(pieces.row[heads], pieces.skip[heads], counts).pick(channel)
    clock = SampleClock.of_segments(
        pieces.start,
        pieces.count,
        files.rate,
        joined=pieces.joined,
        source=chosen["path"].to_numpy(object)[pieces.row],
        absolute=files.absolute,
    )
    attrs = _attrs(chosen, len(left_out))
    if not calibrated:
        attrs |= _of_counts(chosen)
    if sensitivity is not None or end_to_end is not None or gain_db != 0.0 or peak_voltage != 1.0:
        from .calibration import Calibration

        if not calibrated:
            raise RecordingError("calibrated=False gives counts; leave out sensitivity=, gain_db=, ... or calibrated=")
        if attrs["units"] != "1":
            raise CalibrationError(
                f"the files state their samples in {attrs['units']!r}, so they are calibrated already: leave out "
                "sensitivity=, gain_db=, peak_voltage= and end_to_end="
            )
        calibration = Calibration(sensitivity, gain_db, peak_voltage, end_to_end)
        table, attrs = table.gained(calibration.factor), {**attrs, **calibration.attrs()}
    if position is not None:
        attrs |= position_attrs(position)
    low = 0 if begin is None else int(clock.count_until(_bound(begin, clock) - 1))
    high = clock.size if end is None else int(clock.count_until(_bound(end, clock) - 1))
    if (begin is not None or end is not None) and low >= high:
        raise RecordingError(
            f"no sample lies in [{begin}, {end}): the recording runs from {clock.text(clock.labels(0))} to "
            f"{clock.text(clock.labels(clock.size - 1))}, with {clock.gaps} gaps"
        )
    times = None
    if measured and len(measured) == len(chosen):
        starts = np.cumsum([0, *(len(ms) for ms in measured.values())])
        numbers = starts[pieces.row] + pieces.skip
        frame = np.arange(clock.size) - np.repeat(np.cumsum(pieces.count) - pieces.count, pieces.count)
        times = np.concatenate(list(measured.values()))[np.repeat(numbers, pieces.count) + frame][low:high]
    if (low, high) != (0, clock.size):
        clock, table = clock.slice(low, high), table.select(low, high)
    stated = {"instrument": attrs.pop("instrument", None), "center_frequency": _center(chosen)}
    scalars = {name: value for name, value in stated.items() if value is not None}
    if times is not None:
        scalars["timestamps"] = xr.Variable("time", times, {"units": "ms", "long_name": "time by the camera's clock"})
    return _array(table, clock, chunks, attrs, str(chosen["format"].iloc[0]), channel, scalars)


def _measured(rows: pd.DataFrame) -> dict[int, np.ndarray]:
    """ms of each frame, by the number of the file in the catalog, of files whose instrument timed each frame."""
    found = {}
    facts = rows[["path", "format", "samples", "layout"]].itertuples(index=False, name=None)
    for k, (path, name, frames, layout) in enumerate(facts):
        times = get_format(name).times
        if times is not None and (ms := times(path, int(frames), layout)) is not None:
            found[k] = ms
    return found


def _tell_oddities(rows: pd.DataFrame) -> None:
    """Log what files say against their own samples."""
    odd = rows[rows["anomaly"] != ""]
    told = [
        f"{os.path.basename(path)}: {note}"
        for path, anomaly in odd[["path", "anomaly"]].itertuples(index=False)
        for note in anomaly.split("; ")
        if note.partition(":")[0] in TOLD
    ]
    if told:
        log.warning("%s", shown(told))


def _center(rows: pd.DataFrame) -> xr.Variable | None:
    """What 0 Hz of complex samples stands for, on which all files agree."""
    center = float(rows["center_frequency"].iloc[0])
    attrs = {"units": "Hz", "long_name": "centre frequency"}
    return None if np.isnan(center) else xr.Variable((), center, attrs)


def _array(
    table: SourceTable,
    clock: SampleClock,
    chunks: Any,
    attrs: dict[str, Any],
    format: str,
    channel: Any,
    scalars: dict[str, Any],
) -> xr.DataArray:
    if chunks == "auto":
        chunks = auto_chunk(clock.size, int(np.prod(table.shape, dtype=np.int64)), float(clock.size / clock.rate))
    if isinstance(chunks, bool) or not isinstance(chunks, int | np.integer) or chunks < 1:
        raise RecordingError(f"chunks={chunks!r} was given; 'auto' or a number of samples was expected")
    dims = get_format(format).dims[: len(table.shape) - table.pairs] + ("iq",) * table.pairs
    coords: dict[str, Any] = {"iq": ["I", "Q"]} if table.pairs else {}
    if "channel" in dims:
        coords["channel"] = np.arange(table.shape[0]) if channel is None else np.asarray(channel)
    elif channel is not None:
        coords["channel"] = int(channel)
    data = graph.read_array(table, int(chunks))
    return label(data, clock, dims=dims, coords={**coords, **scalars}, attrs=attrs, name="samples")


def _bound(time: Any, clock: SampleClock) -> int:
    if clock.absolute:
        return nanoseconds(time)
    try:
        if not isinstance(time, str | timedelta | np.timedelta64) or str(time).strip().isdigit():
            raise ValueError("no unit")
        return int(pd.Timedelta(time).as_unit("ns").value)
    except (ValueError, TypeError) as error:
        raise ClockError(
            f"{time!r} is not a time since the start ({error}); its start is not known, so that '90s' or "
            "a timedelta was expected"
        ) from None


_VALUE_TYPES = ("float32", "float64", "complex64", "complex128")


def _described(paths: list[Any], format: str | None, **given: Any) -> dict[str, Any]:
    """Of these keywords, those by which the caller describes files without a header, as format="raw" takes them.

    For all other formats they choose among files, and say the type of values; so does a dtype= that names one, but for
    format="raw", which cannot do without the type of what is stored.
    """
    options = [described_by(path, format) for path in paths]
    stored = format == "raw" or (isinstance(given["dtype"], str) and given["dtype"] not in _VALUE_TYPES)
    described = {
        name: value
        for name, value in given.items()
        if value is not None and all(name in each for each in options) and (name != "dtype" or stored)
    }
    kind = described.get("dtype")
    if kind is not None and (not isinstance(kind, str) or kind in _VALUE_TYPES):
        described["dtype"] = np.dtype(kind).str
    return described


def _table(rows: pd.DataFrame, calibrated: bool, dtype: Any) -> SourceTable:
    facts = (rows[name].to_numpy(object) for name in Kind._fields)
    iq = bool(rows["iq"].iloc[0])
    if dtype is None and all(get_format(name).whole for name in rows["format"].unique()):
        calibrated = False  # the counts are the values
    if dtype is None:
        types = set(rows[["dtype", "subtype"]].drop_duplicates().itertuples(index=False, name=None))
        dtype = value_dtype(types, calibrated=calibrated, iq=iq)
    elif not calibrated:
        raise RecordingError(f"dtype={dtype!r} with calibrated=False: counts keep the type they are stored in")
    elif np.dtype(dtype).kind not in "fc":
        raise RecordingError(
            f"dtype={dtype!r} was given; float32 or float64 was expected (calibrated=False for counts)"
        )
    elif iq and np.dtype(dtype).kind != "c":
        raise RecordingError(
            f"dtype={dtype!r} was given; the files hold pairs I, Q, so that 'complex64' or 'complex128' was expected"
        )
    return SourceTable.of_files(
        rows["path"].to_numpy(object),
        map(Kind, *facts),
        rows["samples"],
        rows["bytes"],
        rows["modified"],
        shape=value_shape(rows["shape"].iloc[0][1:], iq and calibrated),
        dtype=str(np.dtype(dtype)),
        calibrated=calibrated,
    )


def _of_counts(rows: pd.DataFrame) -> dict[str, Any]:
    """Units of counts; what a count is worth, where the files say so in units and agree."""
    units, scales = str(rows["units"].iloc[0]), rows["scale"].unique().tolist()
    if scales == [1.0] and all(np.dtype(dtype).kind in "fc" for dtype in rows["dtype"].unique()):
        return {}  # what is stored are the values themselves
    known = {} if units == "1" or len(scales) > 1 else {"scale": float(scales[0]), "scale_units": units}
    return {"units": "1", **known}


def _attrs(rows: pd.DataFrame, left_out: int) -> dict[str, Any]:
    """What the files say, as JSON values: what all agree on, how many there are and how many were left out."""
    attrs: dict[str, Any] = {"units": str(rows["units"].iloc[0]), "long_name": "samples", "files": len(rows)}
    if left_out:
        attrs["files_left_out"] = left_out
    for name in ("format", "subtype"):
        if rows[name].nunique() == 1:
            attrs[name] = str(rows[name].iloc[0])
    said = rows["metadata"].iloc[0] or {}
    for name in STATED:
        if len(rows) > 1 and name in ("segments", "annotations"):  # numbers of samples of one file
            continue
        if name in said and (len(rows) == 1 or all((each or {}).get(name) == said[name] for each in rows["metadata"])):
            attrs[name] = said[name]
    if len(rows) == 1 and (rest := {name: value for name, value in said.items() if name not in STATED}):
        attrs["metadata"] = rest
    return attrs
