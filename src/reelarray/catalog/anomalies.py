"""What is odd about the files of a catalog: one rule a function, a code and a level for each anomaly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from reelarray.catalog.names import file_name
from reelarray.catalog.tolerance import Tolerance
from reelarray.catalog.zones import SECOND
from reelarray.source import Header

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
    "zero_tail": "its samples end in zeros, as when a recorder loses power after allocating the file",
}


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


def note_headers(headers: Sequence[Header | str], notes: list[list[str]]) -> None:
    """Unreadable headers, no frames, and what the format flagged."""
    for header, found in zip(headers, notes, strict=True):
        if isinstance(header, str):
            # without a header the row says nothing more than its name does
            found[:] = [f"unreadable: {header}"]
            continue
        if header.frames == 0:
            found.append("no_frames: the header is whole, but there is not one sample; exclude= the file")
        for flag in header.flags:
            if flag == "truncated":
                expected = header.metadata.get("declared_frames")
                of = f" of {expected:,} frames" if isinstance(expected, int) else " frames, fewer than its header says,"
                found.append(f"truncated: {header.frames:,}{of} are there")
            elif flag == "trailing_bytes":
                found.append(
                    f"trailing_bytes: {header.metadata.get(flag, 0):,} bytes after its data are no chunk and are not "
                    "read, the size in its header is perhaps older than they are; repair it, or open as format='raw'"
                )
            else:
                found.append(f"{flag}: {_FLAG_TEXTS.get(flag, 'flagged by the format')}")


def note_mixtures(headers: Sequence[Header | str], notes: list[list[str]]) -> None:
    """Files whose rate or number of channels is not that of most files; on a tie, of the first ones."""
    readable = [
        (header, found)
        for header, found in zip(headers, notes, strict=True)
        if isinstance(header, Header) and header.frames
    ]
    if not readable:
        return
    common_rate = Counter(header.rate for header, _ in readable).most_common(1)[0][0]
    common_shape = Counter(header.shape[1:] for header, _ in readable).most_common(1)[0][0]
    for header, found in readable:
        if header.rate is not common_rate and header.rate != common_rate:
            found.append(
                f"mixed_rate: {float(header.rate):,.10g} Hz, most files have {float(common_rate):,.10g} Hz; scan the "
                "rates apart (pattern= or exclude=), or resample"
            )
        if header.shape[1:] != common_shape:
            found.append(
                f"mixed_channels: {_channels(header.shape[1:])}, most files have {_channels(common_shape)}; scan them "
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


def note_durations(seconds: np.ndarray, notes: list[list[str]], *, exempt_last: bool) -> None:
    """Short files and files of another duration than most, by duration in seconds (NaN: unknown), in order of time."""
    known = seconds[np.isfinite(seconds) & (seconds > 0)]
    limit = short_limit(known)
    if limit is None:
        return
    common = Counter(np.rint(known).astype(int).tolist()).most_common(1)[0][0]
    last = int(np.flatnonzero(np.isfinite(seconds))[-1])
    for index in np.flatnonzero((seconds > 0) & ((np.floor(seconds) < limit) | (np.rint(seconds) != common))):
        if np.floor(seconds[index]) < limit and not (exempt_last and index == last):
            notes[index].append(f"short: {seconds[index]:.3f} s, nine of ten files last {limit} s or more")
        else:
            notes[index].append(f"duration: {seconds[index]:.3f} s, most files last {common} s")


def note_neighbours(
    paths: Sequence[str], starts: np.ndarray, stops: np.ndarray, notes: list[list[str]], tolerance: Tolerance
) -> None:
    """Overlaps, equal starts and irregular gaps, by UTC ns of files in order of time.

    Gaps of a duty cycle, after which the next file starts as regularly as the others, are no anomaly.
    """
    if len(starts) < 2:
        return
    intervals, lasts = np.diff(starts), stops - starts
    regular = Counter(np.rint(intervals / SECOND).astype(int).tolist()).most_common(1)[0][0] * SECOND
    latest = 0  # the file that lasts longest of those before: a short one inside it hides nothing
    for index in range(1, len(starts)):
        apart = int(starts[index] - stops[latest])
        if starts[index] == starts[index - 1]:
            twin = file_name(paths[index - 1])
            notes[index].append(
                f"duplicate_start: starts at the same time as {twin}; exclude= one, or scan recorders apart"
            )
        elif apart < -tolerance.overlap(lasts[latest]):
            notes[index].append(
                f"overlap: starts {-apart / SECOND:.3f} s before {file_name(paths[latest])} ends; open with "
                "overlap='first' or 'last'"
            )
        elif apart > tolerance.gap(lasts[latest], lasts[index]) and (
            abs(int(intervals[index - 1]) - regular) > max(tolerance.ns, SECOND)
        ):
            notes[index].append(f"gap: {apart / SECOND:.3f} s without samples after {file_name(paths[latest])}")
        if stops[index] > stops[latest]:
            latest = index
