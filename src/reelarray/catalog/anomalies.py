"""What is odd about the files of a catalog: one rule a function, a code and a level for each anomaly."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from reelarray.catalog.columns import UNREAD, Headers
from reelarray.catalog.names import file_name
from reelarray.catalog.tolerance import Tolerance
from reelarray.catalog.zones import SECOND

Notes = defaultdict[int, list[str]]  # by row, for the few rows about which there is something to say

# 0: the file, or the set of files, cannot be used as it is. 1: something is missing or contradicts itself. 2: to know.
# Gaps and unequal durations are facts of a deployment's clock and no fault of a file, hence level 2 here.
LEVELS = {
    "unreadable": 0,
    "no_frames": 0,
    "mixed_rate": 0,
    "mixed_channels": 0,
    "beyond_full_scale": 0,
    "truncated": 1,
    "short": 1,
    "overlap": 1,
    "duplicate_start": 1,
    "no_time": 1,
    "impossible_date": 1,
    "unreadable_log": 1,
    "changed": 1,
    "trailing_bytes": 1,
}
# A file with one of these is not used unless the caller insists.
BLOCKING = frozenset(
    ("unreadable", "no_frames", "mixed_rate", "mixed_channels", "truncated", "trailing_bytes", "changed")
)

_FLAG_TEXTS = {
    "unfinished": "no size was filled in when the recording ended; all bytes to the end of the file count",
    "wrapped_size": "its header gives a 32-bit size, the file is longer than 4 GiB; the length follows from the file",
    "block_align": "the frame size in its header is wrong and was computed from channels and bits",
    "partial_frame": "the last frame is incomplete and left out",
    "extra_data": "a second data chunk is ignored",
    "extra_bytes": "bytes behind the declared samples are not read",
    "time_order": "its parts overlap or go back in time by its own account, so they are taken as contiguous",
    "total_samples": "its number of samples turned out to be that of all its parts, not of each",
    "dataset_count": "it has another number of parts than it says",
    "instrument_errors": "the instrument reported errors, such as an overflow of its converter: see `segments`",
    "no_gain": "it states no gain, so that samples are relative to full scale",
    "no_center_frequency": "it states no centre frequency; pass center_frequency=",
    "overload": "the instrument marked samples as overloaded: see `overload_frames`",
    "unterminated": "its last line does not end, so that its last number may have been cut",
    "no_metadata": "there is no metadata.json, so that defaults stand for what it would say",
    "no_start": "StartTime in its metadata.json is no time",
    "no_timestamps": "nothing says when its frames were taken, so that they follow at a constant rate: see fps=",
    "times_differ": "it has more frames than times, or fewer, which are taken to begin together",
    "zero_tail": "its samples end in zeros, as when a recorder loses power after allocating the file",
}

# Of a file with one of these, samples are not quite what they seem: opening it says so.
TOLD = frozenset((
    "time_order", "total_samples", "dataset_count", "instrument_errors", "overload", "unterminated", "partial_frame",
    "no_metadata", "no_start", "no_timestamps", "times_differ",
))  # fmt: skip


def codes(anomaly: str) -> list[str]:
    """Codes of one row's anomaly text, in its order.

    >>> codes("truncated: 4,000 frames are there; short: 0.5 s")
    ['truncated', 'short']
    """
    return (
        [piece.partition(":")[0] for piece in anomaly.split("; ") if piece.partition(":")[0].isidentifier()]
        if anomaly
        else []
    )


def level(anomaly: str) -> int | None:
    """Lowest level of a row's anomalies: 0, 1 or 2, and None where there is none."""
    found = [LEVELS.get(code, 2) for code in codes(anomaly)]
    return min(found, default=None)


def join_notes(notes: Sequence[str]) -> str:
    """Anomaly texts of one row as one text, the gravest first; a piece never contains the separator."""
    ordered = sorted(dict.fromkeys(notes), key=lambda note: LEVELS.get(note.partition(":")[0], 2))
    return "; ".join(note.replace("; ", ", ").replace("\n", " ") for note in ordered)


def is_usable(notes: Sequence[str]) -> bool:
    return not any(note.partition(":")[0] in BLOCKING for note in notes)


def note_headers(headers: Headers, notes: Notes) -> None:
    """Unreadable headers, no frames, and what the format flagged."""
    for row, text in headers.errors.items():
        notes[row] = [f"unreadable: {text}"]  # without a header the row says nothing more than its name does
    for row in np.flatnonzero((headers.frames == 0) & (headers.make != UNREAD)).tolist():
        notes[row].append("no_frames: the header is whole, but there is not one sample; exclude= the file")
    for row in headers.rows_of(lambda make: make.flags):
        metadata = headers.metadata.get(row, {})
        for flag in headers.makes[headers.make[row]].flags:
            if flag == "truncated":
                expected = metadata.get("declared_frames")
                of = f" of {expected:,} frames" if isinstance(expected, int) else " frames, fewer than its header says,"
                notes[row].append(f"truncated: {headers.frames[row]:,}{of} are there")
            elif flag == "trailing_bytes":
                notes[row].append(
                    f"trailing_bytes: {metadata.get(flag, 0):,} bytes after its data are no chunk and are not "
                    "read, the size in its header is perhaps older than they are; repair it, or open as format='raw'"
                )
            else:
                notes[row].append(f"{flag}: {_FLAG_TEXTS.get(flag, 'flagged by the format')}")


def note_mixtures(headers: Headers, notes: Notes) -> None:
    """Files whose rate or number of channels is not that of most files; on a tie, of the first ones."""
    makes = headers.make[(headers.make != UNREAD) & (headers.frames != 0)].tolist()
    if not makes:
        return
    counted = Counter(makes)  # in order of the files, and so are these
    rates: Counter[Fraction] = Counter()
    frames: Counter[tuple[int, ...]] = Counter()
    for make, count in counted.items():
        rates[headers.makes[make].rate] += count
        frames[headers.makes[make].frame] += count
    common_rate, common_frame = rates.most_common(1)[0][0], frames.most_common(1)[0][0]
    for row in headers.rows_of(lambda make: make.rate != common_rate or make.frame != common_frame):
        make = headers.makes[headers.make[row]]
        if headers.frames[row] and make.rate != common_rate:
            notes[row].append(
                f"mixed_rate: {float(make.rate):,.10g} Hz, most files have {float(common_rate):,.10g} Hz; scan the "
                "rates apart (pattern= or exclude=), or resample"
            )
        if headers.frames[row] and make.frame != common_frame:
            notes[row].append(
                f"mixed_channels: {_channels(make.frame)}, most files have {_channels(common_frame)}; scan them "
                "apart (pattern= or exclude=)"
            )


def _channels(shape: tuple[int, ...]) -> str:
    return "1 channel" if not shape else f"{' x '.join(map(str, shape))} channels"


def short_limit(seconds: np.ndarray) -> int | None:
    """Nominal duration in whole seconds: the 10th percentile. A file whose whole seconds are fewer is short.

    >>> short_limit(np.array([10.0, 10.0, 10.0, 4.0]))
    5
    """
    return int(np.percentile(seconds, 10)) if seconds.size else None


def note_durations(seconds: np.ndarray, notes: Notes, *, exempt_last: bool) -> None:
    """Short files and files of another duration than most, by duration in seconds (NaN: unknown), in order of time."""
    known = seconds[np.isfinite(seconds) & (seconds > 0)]
    limit = short_limit(known)
    if limit is None:
        return
    common = Counter(np.rint(known).astype(int).tolist()).most_common(1)[0][0]
    last = int(np.flatnonzero(np.isfinite(seconds))[-1])
    for index in np.flatnonzero((seconds > 0) & ((np.floor(seconds) < limit) | (np.rint(seconds) != common))).tolist():
        if np.floor(seconds[index]) < limit and not (exempt_last and index == last):
            notes[index].append(f"short: {seconds[index]:.3f} s, nine of ten files last {limit} s or more")
        else:
            notes[index].append(f"duration: {seconds[index]:.3f} s, most files last {common} s")


def note_neighbours(
    headers: Headers, rows: np.ndarray, starts: np.ndarray, stops: np.ndarray, notes: Notes, tolerance: Tolerance
) -> None:
    """Overlaps, equal starts and irregular gaps, by UTC ns of `rows` in order of time.

    Gaps of a duty cycle, after which the next file starts as regularly as the others, are no anomaly.
    """
    if len(starts) < 2:
        return
    intervals, lasts = np.diff(starts), stops - starts
    regular = Counter(np.rint(intervals / SECOND).astype(int).tolist()).most_common(1)[0][0] * SECOND
    # the file that lasts longest of those before each: a short one inside it hides nothing
    until = np.maximum.accumulate(stops)
    longest = np.append(True, stops[1:] > until[:-1])
    latest = np.maximum.accumulate(np.where(longest, np.arange(len(stops)), 0))[:-1]
    apart = starts[1:] - stops[latest]
    same = intervals == 0
    over = ~same & (apart < -tolerance.overlap(lasts[latest]))
    gap = apart > tolerance.gap(lasts[latest], lasts[1:])
    gap &= ~same & ~over & (np.abs(intervals - regular) > max(tolerance.ns, SECOND))
    for k in np.flatnonzero(same | over | gap).tolist():
        row, before = int(rows[k + 1]), file_name(headers.path[rows[latest[k]]])
        if same[k]:
            twin = file_name(headers.path[rows[k]])
            notes[row].append(
                f"duplicate_start: starts at the same time as {twin}; exclude= one, or scan recorders apart"
            )
        elif over[k]:
            notes[row].append(
                f"overlap: starts {-apart[k] / SECOND:.3f} s before {before} ends; open with overlap='first' or 'last'"
            )
        else:
            notes[row].append(f"gap: {apart[k] / SECOND:.3f} s without samples after {before}")
