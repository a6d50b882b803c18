"""`scan`: a folder of recorder files to a table with one row a file, nothing left out and nothing guessed."""

from __future__ import annotations

import logging
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from reelarray import formats
from reelarray.catalog import anomalies
from reelarray.catalog.columns import NAT, UNREAD, Headers, Make, without_collection
from reelarray.catalog.files import Listing, file_name, list_files
from reelarray.catalog.headers import read_headers
from reelarray.catalog.names import check_offsets
from reelarray.catalog.osmose import read_timestamps
from reelarray.catalog.samples import note_samples
from reelarray.catalog.times import Starts, TimeRule, check_prefer, find_starts, given_start, place_back_to_back
from reelarray.catalog.tolerance import Tolerance
from reelarray.catalog.zones import SECOND, Ambiguous, check_ambiguous, parse_zone
from reelarray.errors import ClockError

log = logging.getLogger(__name__)

COLUMNS = (
    "path", "format", "start", "stop", "samples", "rate", "channels", "subtype", "bytes", "modified", "anomaly", "use",
    "start_source", "exact_rate", "shape", "dtype", "scale", "offset", "units", "layout", "metadata", "iq",
    "center_frequency", "breaks",
)  # fmt: skip


def scan(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    pattern: str | None = None,
    recursive: bool = True,
    exclude: str | Sequence[str] | None = None,
    format: str | None = None,
    timestamp: str | Sequence[str] | None = None,
    offsets: tuple[int, int] | None = None,
    recorder: str | None = None,
    timezone: str = "UTC",
    ambiguous: Ambiguous | None = None,
    timestamps_csv: str | os.PathLike[str] | bool | None = None,
    trust_z: bool = True,
    start: Any = None,
    prefer: Sequence[str] | None = None,
    quick: bool = True,
    tolerance: float | None = None,
    exempt_last: bool = False,
    cache: bool | str | os.PathLike[str] | None = None,
    threads: int | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Folder(s), file(s), glob pattern(s) or URLs -> table of files, one row each, in order of start.

    Start times come from `start` or a timestamp.csv, else from the header, else from the name by the patterns of known
    recorders. A `timestamp` template or `offsets` are explicit and win over the header. Headers that were read before
    are taken from a cache, by size and time of modification. `ra.catalog.save` keeps the table itself.

    Parameters
    ----------
    paths : where to look; folders are searched for the suffixes of all formats, in capitals or not
    pattern : names to take from folders, as "*.wav", instead of the known suffixes
    recursive : also look in folders within folders
    exclude : names, paths or glob patterns to leave out
    format : name of the format, for all files; `options` go to its `probe`
    timestamp : strftime template(s) of the start time in the file name, the last match counts
    offsets : (first, last) characters of the start time in the name without suffix, from 0, both included
    recorder : only the name patterns of this recorder, such as "soundtrap"
    timezone : zone of times that name none: "UTC", "Europe/Paris", "+02:00"
    ambiguous : "earlier" or "later" for local times that occur twice or never when the clocks change; None raises
    timestamps_csv : file with the start times; None uses a timestamp.csv among the files, False does not
    trust_z : False applies the zone in the third column of the csv, for files whose "Z" is not UTC
    start : time of the first file (in `timezone`); the others follow back to back in the natural order of their paths
    prefer : ("name", "header"), ("header",) ... instead of the order above
    quick : False also reads the samples of ten files and looks for NaN, clipping, zeros, and floats beyond full scale
    tolerance : seconds that two files may be apart or overlap and still be joined; None is 1 s (at most half
        of the shorter file) where all starts are whole seconds, else one sample
    exempt_last : the last file may be shorter than the others
    cache : False for none, or a folder or .json file instead of the user's cache folder
    threads : readers of headers at a time; None is 1, and 16 for URLs

    Returns
    -------
    DataFrame: path, format, start and stop (datetime64[ns], UTC, NaT where unknown), samples (frames), rate (Hz),
    channels, subtype, bytes, modified (ns since 1970), anomaly ("" or "code: text; code: text"), use (False where
    samples cannot be used as they are), start_source ("given", "csv", "name", "header", "bext", "audiomoth", "guano",
    "soundtrap" or ""), and what reading needs: exact_rate (text of a fraction), shape, dtype, scale, offset, units,
    layout, metadata, iq (pairs I, Q), center_frequency (Hz), breaks (where time jumps inside the file). `attrs` says
    how the table was made.

    Raises
    ------
    NoFiles : nothing there (also a FileNotFoundError)
    ClockError : a template that matches no name, a name with two readings, a local time that is ambiguous
    PermissionError : a folder that cannot be listed
    TypeError : a keyword that neither this function nor the format has

    >>> import tempfile, wave
    >>> folder = tempfile.mkdtemp()
    >>> with wave.open(f"{folder}/site_20220925_223450.wav", "wb") as file:
    ...     file.setparams((1, 2, 48000, 0, "NONE", "")); file.writeframes(bytes(2 * 48000))
    >>> scan(folder, cache=False)[["start", "stop", "samples", "rate"]].iloc[0].astype(str).tolist()
    ['2022-09-25 22:34:50', '2022-09-25 22:34:51', '48000', '48000.0']
    """
    formats.check_keywords(options, format, scan)
    explicit = timestamp is not None or offsets is not None
    order = check_prefer(prefer, explicit)
    check_ambiguous(ambiguous)
    zone = parse_zone(timezone)
    offsets = None if offsets is None else check_offsets(offsets)
    if start is not None and (explicit or timestamps_csv not in (None, False)):
        raise ClockError(
            "start= places all files back to back; leave out timestamp=, offsets= and timestamps_csv=, or start="
        )
    rule = TimeRule(timestamp, offsets, recorder, zone, ambiguous, order)
    with without_collection():
        suffixes = formats.listed(format)
        listing = list_files(paths, suffixes=suffixes, pattern=pattern, exclude=exclude, recursive=recursive)
        headers, cached = read_headers(
            listing.files, format=format, options=options, cache=cache, whole=listing.whole, threads=threads
        )
        headers, described = _without_descriptions(headers)
        csv = _csv_of(listing, timestamps_csv, explicit or start is not None)
        missing: list[str] = []
        if start is not None:
            starts = place_back_to_back(headers, given_start(start, zone, ambiguous))
        else:
            listed, missing = _listed(csv, headers.path, trust_z, timezone, ambiguous)
            starts = find_starts(headers, rule, listed=listed, logs=listing.logs)
        table, within = _table(headers, starts, tolerance=tolerance, quick=quick, exempt_last=exempt_last)
    table.attrs |= {
        "files": len(table),
        "excluded": listing.excluded,
        "passed_over": listing.passed_over + described,
        "headers_cached": cached,
        "headers_read": len(table) - cached,
        "read_by": starts.read_by,
        "timezone": str(timezone),
        "timestamps_csv": csv,
        "csv_missing": missing,
        "tolerance": within.ns / SECOND,
        "tolerance_given": tolerance,
        "quick": quick,
    }
    return table


def _without_descriptions(headers: Headers) -> tuple[Headers, int]:
    """Without metadata files that describe another file of the list, which is one recording with them; how many."""
    paths = set(headers.path)
    twice = {
        row
        for row, metadata in headers.metadata.items()
        if (said := metadata.get("global")) and isinstance(said, Mapping) and isinstance(said.get("core:dataset"), str)
        if os.path.join(os.path.dirname(headers.path[row]), said["core:dataset"]) in paths
    }
    if not twice:
        return headers, 0
    log.info("%d files describe others of the list, which are opened themselves", len(twice))
    return headers.take(np.array([row for row in range(len(headers)) if row not in twice])), len(twice)


def _csv_of(listing: Listing, given: str | os.PathLike[str] | bool | None, explicit: bool) -> str | None:
    """The timestamp.csv to use: the given one, or the only one among the files, unless times were given another way."""
    if given is not None and not isinstance(given, bool):
        return os.fspath(given)
    if given is False or not listing.timestamps:
        if given is True:
            raise ClockError("timestamps_csv=True, but there is no timestamp.csv among the files; pass its path")
        return None
    if given is None and explicit:
        log.info("%s is not used: start times were given explicitly", ", ".join(listing.timestamps))
        return None
    if len(listing.timestamps) > 1:
        found = ", ".join(listing.timestamps[:10])
        raise ClockError(
            f"{len(listing.timestamps)} files of start times were found ({found}); pass timestamps_csv= with the one "
            "to use, timestamps_csv=False for none, or scan the folders one by one"
        )
    return listing.timestamps[0]


def _listed(
    csv: str | None, paths: Sequence[str], trust_z: bool, timezone: str, ambiguous: Ambiguous | None
) -> tuple[dict[str, int], list[str]]:
    """UTC ns by path from a timestamp.csv, and the names in it that no file has."""
    if csv is None:
        return {}, []
    rows = read_timestamps(csv, trust_z=trust_z, timezone=timezone, ambiguous=ambiguous)
    times = dict(zip(rows["filename"], rows["start"].astype("int64").tolist(), strict=True))
    by_name: dict[str, list[str]] = {}
    for path in paths:
        by_name.setdefault(file_name(path), []).append(path)
    listed, missing = {}, []
    for name, ns in times.items():
        found = by_name.get(file_name(name), [])
        if len(found) > 1:
            tail = name.replace("\\", "/")
            found = [path for path in found if path.replace("\\", "/").endswith("/" + tail)]
            if len(found) != 1 or "/" not in tail:
                raise ClockError(
                    f"{csv}: {name!r} could be {' or '.join(by_name[file_name(name)][:10])}; write the folder before "
                    "the name in the csv, or scan the folders one by one"
                )
        if found:
            listed[found[0]] = ns
        else:
            missing.append(name)
    if missing:
        log.warning("%s names %d files that are not there: %s", csv, len(missing), ", ".join(missing[:10]))
    return listed, missing


def _table(
    headers: Headers, starts: Starts, *, tolerance: float | None, quick: bool, exempt_last: bool
) -> tuple[pd.DataFrame, Tolerance]:
    # those without a start come last; of equal ones the paths decide, which are in order already
    order = np.lexsort((starts.ns, starts.ns == NAT))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    headers, start_ns = headers.take(order), starts.ns[order]
    notes: anomalies.Notes = defaultdict(list, {int(place[row]): texts for row, texts in starts.notes.items()})
    read = headers.make != UNREAD
    tick = headers.each(lambda make: (SECOND * make.rate.denominator, make.rate.numerator), (0, 1))
    span = [count * ns // seconds for count, (ns, seconds) in zip(headers.frames.tolist(), tick, strict=True)]
    for row, breaks in headers.breaks.items():  # the last part of the file, where it begins
        frame, since = breaks[-1]
        span[row] = since + (int(headers.frames[row]) - frame) * tick[row][0] // tick[row][1]
    stop_ns = np.where((start_ns == NAT) | ~read, NAT, start_ns + np.array(span, np.int64))
    rates = {headers.makes[k].rate for k in np.unique(headers.make[read]).tolist()}
    within = Tolerance.of(tolerance, start_ns[start_ns != NAT], rates)

    anomalies.note_headers(headers, notes)
    anomalies.note_mixtures(headers, notes)
    rate = headers.numbers(lambda make: float(make.rate), np.nan, np.float64)
    anomalies.note_durations(headers.frames / rate, notes, exempt_last=exempt_last)
    placed = np.flatnonzero((start_ns != NAT) & (stop_ns != NAT))
    anomalies.note_neighbours(headers, placed, start_ns[placed], stop_ns[placed], notes, within)
    checked = [] if quick else note_samples(headers, notes)

    use = np.ones(len(headers), bool)
    anomaly = np.full(len(headers), "", object)
    for row, texts in notes.items():
        use[row], anomaly[row] = anomalies.is_usable(texts), anomalies.join_notes(texts)
    frames = zip(headers.frames.tolist(), headers.each(lambda make: make.frame, None), strict=True)
    columns: Mapping[str, Any] = {
        "path": headers.path,
        "format": headers.each(lambda make: make.format, ""),
        "start": start_ns.view("datetime64[ns]"),
        "stop": stop_ns.view("datetime64[ns]"),
        "samples": headers.frames,
        "rate": rate,
        "channels": headers.numbers(lambda make: math.prod(make.frame) // (2 if make.iq else 1), 0, np.int64),
        "subtype": headers.each(lambda make: make.subtype, ""),
        "bytes": headers.bytes,
        "modified": headers.modified,
        "anomaly": anomaly,
        "use": use,
        "start_source": starts.source[order],
        "exact_rate": headers.each(lambda make: str(make.rate), ""),
        "shape": _objects(None if frame is None else (n, *frame) for n, frame in frames),
        "dtype": headers.each(lambda make: make.dtype, ""),
        "scale": headers.numbers(lambda make: make.scale, np.nan, np.float64),
        "offset": headers.numbers(lambda make: make.offset, np.nan, np.float64),
        "units": headers.each(lambda make: make.units, ""),
        "layout": headers.each(lambda make: make.layout, None),
        "metadata": _objects(dict(headers.metadata.get(row, ())) if r else None for row, r in enumerate(read.tolist())),
        "iq": headers.numbers(lambda make: make.iq, False, np.bool_),
        "center_frequency": headers.numbers(_center, np.nan, np.float64),
        "breaks": _objects(headers.breaks.get(row, ()) for row in range(len(headers))),
    }
    table = pd.DataFrame({name: columns[name] for name in COLUMNS})
    table.attrs["checked"] = [headers.path[row] for row in checked]
    return table, within


def _center(make: Make) -> float:
    return np.nan if make.center_frequency is None else make.center_frequency


def _objects(values: Iterable[Any]) -> np.ndarray:
    return np.fromiter(values, object)
