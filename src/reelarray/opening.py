"""Opening: one file, or a folder of them, as one lazy recording with its gaps."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from . import graph
from .catalog import position_attrs, scan
from .clock import NANOSECONDS, SampleClock, exact_rate
from .errors import ClockError, RecordingError
from .formats import get_format
from .recordings import label, nanoseconds
from .source import Kind, SourceTable, auto_chunk, value_dtype

log = logging.getLogger(__name__)

Overlap = Literal["error", "first", "last"]
OnBad = Literal["raise", "skip", "use"]
NAT = np.iinfo(np.int64).min
NEVER = frozenset(("unreadable", "no_frames"))  # nothing of such a file can be used, whatever the caller wants


def open_recording(path: str | os.PathLike[str], **options: Any) -> xr.DataArray:
    """One file as a lazy recording: (time[, channel]) [1, or Pa where calibrated].

    A file without a known start gets a clock that counts from 0 (timedelta64). Takes the keywords of `open_recordings`.

    >>> import tempfile, wave
    >>> path = tempfile.mkdtemp() + "/20220301_120000.wav"
    >>> with wave.open(path, "wb") as file:
    ...     file.setparams((1, 2, 8000, 0, "NONE", "")); file.writeframes(bytes(16000))
    >>> open_recording(path, cache=False).sel(time="2022-03-01T12:00:00.5").item()
    0.0
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
    """Files as one lazy recording with its gaps: (time[, channel]) [1, or Pa where calibrated].

    No sample is read. Files that follow each other within `tolerance` are joined: windows span their borders, and
    labels run linearly from the start of one to the start of the next. A gap takes no samples, only a jump in the clock
    (`ra.segments`, `ra.fill_gaps`).

    Parameters
    ----------
    paths : folder, file, pattern, a list of them, or a catalog from `ra.scan`
    begin, end : UTC times; only samples in [begin, end) are in the result
    channel : one channel (its axis goes) or a list of them, by the files' own numbers from 0
    rate, channels : which files to take where their rates (Hz) or numbers of channels differ
    tolerance : seconds that the start of a file may differ from the end of the one before to be joined; None is 1 s
        where all starts are whole seconds, else one sample
    overlap : what to do where a file starts before the one before it ends: "error", or keep the samples of the "first"
        or of the "last" of the two
    on_bad : what to do with files that are unreadable, empty, truncated or without a time: "raise", "skip", or "use"
        what can be used of them (of a truncated file the samples that are there)
    calibrated : False gives the counts as stored, in their own integer type
    sensitivity, gain_db, peak_voltage, end_to_end : calibration to pascal, as in `ra.calibrate`
    position : (lat, lon), ((lat1, lat2), (lon1, lon2)) or a csv with lat and lon: goes into the attributes
    dtype : of the samples: float32 (float64 for more than 24 bits) unless given
    chunks : samples a chunk; does not change any result
    finding : keywords of `ra.scan`, where `paths` is not a catalog: timestamp, offsets, timezone, recorder, start, ...

    Raises
    ------
    RecordingError : files that cannot be used, mixed rates or channels; the message lists them
    ClockError : files without times, overlaps
    FileNotFoundError : nothing there

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
    if isinstance(paths, pd.DataFrame):
        if finding:
            raise RecordingError(f"{', '.join(finding)}: a catalog was given, so these belong to ra.scan")
        catalog = paths
    else:
        catalog = scan(paths, tolerance=tolerance, **finding)
    chosen, left_out = choose_files(catalog, rate=rate, channels=channels, on_bad=on_bad)
    if len(left_out):
        told = [f"{os.path.basename(p)}: {r}" for p, r in left_out[["path", "reason"]].itertuples(index=False)]
        log.warning("%d of %d files left out: %s", len(told), len(catalog), _listed(told))
    files = _Files.of(chosen, tolerance)
    pieces = _pieces(files, overlap)
    table = _table(chosen, calibrated, dtype).take_rows(pieces.row, pieces.skip, pieces.count).pick(channel)
    clock = SampleClock.of_segments(
        pieces.start,
        pieces.count,
        files.rate,
        joined=pieces.joined,
        source=files.path[pieces.row],
        absolute=files.absolute,
    )
    attrs = _attrs(chosen, len(left_out))
    if sensitivity is not None or end_to_end is not None or gain_db != 0.0 or peak_voltage != 1.0:
        from .calibration import Calibration

        if not calibrated:
            raise RecordingError("calibrated=False gives counts; leave out sensitivity=, gain_db=, ... or calibrated=")
        calibration = Calibration(sensitivity, gain_db, peak_voltage, end_to_end)
        table, attrs = table.gained(calibration.factor), {**attrs, **calibration.attrs()}
    if position is not None:
        attrs |= position_attrs(position)
    low = 0 if begin is None else int(clock.count_until(_bound(begin, clock) - 1))
    high = clock.size if end is None else int(clock.count_until(_bound(end, clock) - 1))
    if (begin is not None or end is not None) and low >= high:
        raise RecordingError(
            f"no sample lies in [{begin}, {end}): the recording runs from {clock._text(clock.labels(0))} to "
            f"{clock._text(clock.labels(clock.size - 1))}, with {clock.gaps} gaps"
        )
    if (low, high) != (0, clock.size):
        clock, table = clock.slice(low, high), table.select(low, high)
    return _array(table, clock, chunks, attrs, str(chosen["format"].iloc[0]), channel)


def _array(
    table: SourceTable, clock: SampleClock, chunks: Any, attrs: dict[str, Any], format: str, channel: Any
) -> xr.DataArray:
    if chunks == "auto":
        chunks = auto_chunk(clock.size, int(np.prod(table.shape, dtype=np.int64)), float(clock.size / clock.rate))
    if isinstance(chunks, bool) or not isinstance(chunks, int | np.integer) or chunks < 1:
        raise RecordingError(f"chunks={chunks!r} was given; 'auto' or a number of samples was expected")
    dims = get_format(format).dims[: len(table.shape)]
    coords: dict[str, Any] = {}
    if "channel" in dims:
        coords["channel"] = np.arange(table.shape[0]) if channel is None else np.asarray(channel)
    elif channel is not None:
        coords["channel"] = int(channel)
    data = graph.read_array(table, int(chunks))
    return label(data, clock, dims=dims, coords=coords, attrs=attrs, name="samples")


def _bound(time: Any, clock: SampleClock) -> int:
    if clock.absolute:
        return nanoseconds(time)
    try:
        return int(pd.Timedelta(time).as_unit("ns").value)
    except (ValueError, TypeError) as error:
        raise ClockError(f"{time!r} is not a time since the start ({error}); the start is not known: '90s'") from None


# ---- which files -----------------------------------------------------------------------------------------------------


def choose_files(
    catalog: pd.DataFrame, *, rate: Any = None, channels: int | None = None, on_bad: OnBad = "raise"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of a catalog that `open_recordings` opens, and the others with a column `reason`.

    Parameters and errors are those of `open_recordings`.
    """
    readable = (catalog["samples"] > 0) & (catalog["format"] != "")
    reason = pd.Series([None] * len(catalog), catalog.index, object)
    for column, name, asked, units in (("exact_rate", "rate", rate, " Hz"), ("channels", "channels", channels, "")):
        wanted = asked if asked is None or name == "channels" else str(exact_rate(asked))
        if wanted is not None:
            others = readable & reason.isna() & (catalog[column] != wanted)
            reason[others] = [f"{name} {value}{units}, {wanted} was asked for" for value in catalog.loc[others, column]]
            if not (readable & reason.isna()).any():
                there = ", ".join(f"{v} ({n} files)" for v, n in catalog[column][readable].value_counts().items())
                raise RecordingError(f"{name}={asked}: no file has it; there are {there or 'no readable files'}")
        among = catalog[readable & reason.isna()]
        groups = among[column].value_counts()
        if len(groups) > 1:
            examples = (os.path.basename(str(among["path"][among[column] == value].iloc[0])) for value in groups.index)
            listed = "; ".join(
                f"{value}{units}: {count} files, such as {example}"
                for (value, count), example in zip(groups.items(), examples, strict=True)
            )
            raise RecordingError(
                f"files of {len(groups)} different {'rates' if name == 'rate' else 'numbers of channels'} cannot be one "
                f"recording: {listed}. Choose one with {name}={groups.index[0]}"
            )
    asked_for = reason.isna()
    alone = int(asked_for.sum()) == 1
    for index in catalog.index[asked_for]:
        reason[index] = _fault(str(catalog.at[index, "anomaly"]), catalog.at[index, "start"], alone, on_bad)
    keep, bad = reason.isna(), asked_for & ~reason.isna()
    if bad.any() and (on_bad == "raise" or not keep.any()):
        raise _cannot_be_used(catalog[bad], reason[bad], int(asked_for.sum()))
    if not keep.any():
        raise RecordingError("the catalog has no files; ra.scan(folder) makes one")
    return catalog[keep], catalog[~keep].assign(reason=reason[~keep])


def _fault(anomaly: str, start: Any, alone: bool, on_bad: str) -> str | None:
    """Why a file cannot be opened as it is."""
    notes = [note for note in anomaly.split("; ") if note]
    for code in NEVER if on_bad == "use" else (*NEVER, "changed", "truncated"):
        for note in notes:
            if note.startswith(code + ":"):
                return note
    if pd.isna(start) and not alone:
        told = [note for note in notes if note.startswith(("no_time", "impossible_date"))]
        return told[0] if told else "no_time: its start is not known"
    return None


def _cannot_be_used(rows: pd.DataFrame, reason: pd.Series, among: int) -> Exception:
    found = [f"{os.path.basename(str(path))}: {why}" for path, why in zip(rows["path"], reason, strict=True)]
    advice = ["pass on_bad='skip' to leave them out" if len(rows) < among else "nothing is left to open"]
    if reason.str.startswith(("truncated", "changed")).any():
        advice.append("on_bad='use' for the samples that are there")
    timeless = reason.str.startswith(("no_time", "impossible_date"))
    if timeless.any():
        advice.append("timestamp=, timezone= or start= to say when they start")
    kind = ClockError if timeless.all() else RecordingError
    return kind(f"{len(rows)} of {among} files cannot be used ({_listed(found)}); {', or '.join(advice)}")


def _listed(texts: list[str]) -> str:
    return "; ".join(texts[:10]) + (f"; and {len(texts) - 10} more" if len(texts) > 10 else "")


@dataclass(frozen=True, eq=False)
class _Files:
    """Files in order of start: ns, frames, and what joins them."""

    path: np.ndarray
    start: np.ndarray
    frames: np.ndarray
    rate: Fraction
    tolerance: int
    absolute: bool

    @classmethod
    def of(cls, rows: pd.DataFrame, tolerance: float | None) -> _Files:
        start = rows["start"].to_numpy().astype("datetime64[ns]").view(np.int64)
        absolute = bool((start != NAT).all())
        start = start if absolute else np.zeros(len(start), np.int64)
        rate = Fraction(str(rows["exact_rate"].iloc[0]))
        if tolerance is not None and not tolerance >= 0:
            raise ClockError(f"tolerance={tolerance!r} was given; seconds, 0 or more, were expected")
        one_sample = -(-NANOSECONDS * rate.denominator // rate.numerator)
        own = NANOSECONDS if not (start % NANOSECONDS).any() else one_sample
        within = own if tolerance is None else round(tolerance * NANOSECONDS)
        return cls(rows["path"].to_numpy(object), start, rows["samples"].to_numpy(np.int64), rate, within, absolute)

    def duration(self, frames: np.ndarray) -> np.ndarray:
        """Frames -> ns at the nominal rate, rounded."""
        numerator = NANOSECONDS * self.rate.denominator
        whole, rest = np.divmod(frames, self.rate.numerator)
        return whole * numerator + (rest * numerator + self.rate.numerator // 2) // self.rate.numerator


@dataclass(frozen=True, eq=False)
class _Pieces:
    row: np.ndarray
    skip: np.ndarray
    count: np.ndarray
    start: np.ndarray
    joined: np.ndarray


def _pieces(files: _Files, overlap: str) -> _Pieces:
    """What is used of each file, and which ones are joined to the one before."""
    if (np.diff(files.start) < 0).any():
        raise ClockError("the files of this catalog are not in order of time: catalog.sort_values('start')")
    row, skip, count = np.arange(len(files.start)), np.zeros(len(files.start), np.int64), files.frames.copy()
    start = files.start.copy()
    apart = start[1:] - (start[:-1] + files.duration(count[:-1]))
    if (apart < -files.tolerance).any():
        if overlap == "error":
            raise ClockError(_overlap_text(files, apart))
        row, skip, count, start = _cut_overlaps(files, first=overlap == "first")
        apart = start[1:] - (start[:-1] + files.duration(count[:-1]))
    joined = np.append(False, np.abs(apart) <= files.tolerance)[: len(row)]
    return _Pieces(row, skip, count, start, joined)


def _overlap_text(files: _Files, apart: np.ndarray) -> str:
    k = int(np.argmin(apart >= -files.tolerance))
    others = int((apart < -files.tolerance).sum()) - 1
    more = f" (and {others} more files overlap)" if others else ""
    same = files.start[k] == files.start[k + 1]
    how = "starts at the same time as" if same else f"starts {-apart[k] / NANOSECONDS:.3f} s before the end of"
    return (
        f"{files.path[k + 1]} {how} {files.path[k]}{more}; pass overlap='first' or 'last' to choose whose samples "
        f"count, tolerance={-apart[k] / NANOSECONDS:.3f} to treat them as joined, or exclude= one"
    )


def _cut_overlaps(files: _Files, *, first: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Keep the samples of the first, or of the last, file wherever files overlap; a file that has none left goes."""
    kept: list[list[int]] = []  # row, skip, count, start
    for k, (start, frames) in enumerate(zip(files.start.tolist(), files.frames.tolist(), strict=True)):
        piece = [k, 0, frames, start]
        while kept:
            before = kept[-1]
            end = before[3] + int(files.duration(np.array(before[2])))
            if piece[3] - end >= -files.tolerance:
                break
            shared = int(-((piece[3] - end) * files.rate // NANOSECONDS))  # samples, rounded up
            if first:
                piece[1], piece[2] = shared, piece[2] - shared
                piece[3] += int(files.duration(np.array(shared)))
                break
            if before[2] > shared:
                before[2] -= shared
                break
            kept.pop()
        if piece[2] > 0:
            kept.append(piece)
        else:
            log.warning("%s lies wholly within %s and is left out", files.path[k], files.path[kept[-1][0]])
    columns = np.array(kept, np.int64).T
    return columns[0], columns[1], columns[2], columns[3]


def _table(rows: pd.DataFrame, calibrated: bool, dtype: Any) -> SourceTable:
    columns = (rows[name] for name in ("format", "dtype", "scale", "offset", "layout"))
    if dtype is None:
        types = set(zip(rows["dtype"], rows["subtype"], strict=True))
        dtype = value_dtype(types, calibrated=calibrated)
    elif not calibrated:
        raise RecordingError(f"dtype={dtype!r} with calibrated=False: counts keep the type they are stored in")
    elif np.dtype(dtype).kind not in "fc":
        raise RecordingError(
            f"dtype={dtype!r} was given; float32 or float64 was expected (calibrated=False for counts)"
        )
    return SourceTable.of_files(
        rows["path"],
        [Kind(*values) for values in zip(*columns, strict=True)],
        rows["samples"],
        rows["bytes"],
        rows["modified"],
        shape=tuple(rows["shape"].iloc[0][1:]),
        dtype=str(np.dtype(dtype)),
        calibrated=calibrated,
    )


def _attrs(rows: pd.DataFrame, left_out: int) -> dict[str, Any]:
    """What the files say, as JSON values: what all agree on, how many there are and how many were left out."""
    attrs: dict[str, Any] = {"units": str(rows["units"].iloc[0]), "long_name": "samples", "files": len(rows)}
    if left_out:
        attrs["files_left_out"] = left_out
    for name in ("format", "subtype"):
        if rows[name].nunique() == 1:
            attrs[name] = str(rows[name].iloc[0])
    if len(rows) == 1 and rows["metadata"].iloc[0]:
        attrs["metadata"] = rows["metadata"].iloc[0]
    return attrs
