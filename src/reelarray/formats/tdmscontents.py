"""What a TDMS file of IQ records says, as npTDMS (an optional package) reads it."""

from __future__ import annotations

import errno
import io
import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np

from ..errors import FormatError, MissingPackage, ReelError
from .ranges import explain
from .stated import LONGEST, MOST_VOLTS, date_time
from .tdmslayout import INDEX_TAG, MOST_METADATA, TAG, Places

RECORDS, SAMPLES = "RecordHeader", "RecordData"
_EPOCH = 2_082_844_800  # seconds from 1904 to 1970
_MOST_SECONDS = (1 << 62) // 10**9  # from 1970, on either side: datetime64[ns] ends in 2262
_MOST_PROPERTIES, _LONGEST_PROPERTY = 100, 1000


@dataclass(frozen=True)
class Contents:
    """What one file says.

    `channels` are npTDMS's own of I and Q, good while the file is open. A record has `samples`; there are `frames`,
    of `declared` (0: not stated) ones. `gains` has one number a record, None where there is no such channel. `seconds`
    are the times of records, from whatever they count; `start_ns` is UTC. `unfinished`: the writer died.
    """

    channels: tuple[Any, Any]
    properties: dict[str, Any]
    samples: int
    frames: int
    declared: int
    gains: np.ndarray | None
    seconds: np.ndarray | None
    start_ns: int | None
    unfinished: bool

    def number(self, *names: str) -> float | int | None:
        """The first property of these that is a finite number."""
        for name in names:
            value = self.properties.get(name)
            if isinstance(value, int | float) and math.isfinite(value):
                return value
        return None


def read_contents(path: str, file: Any, size: int) -> Contents:
    """Metadata, gains and times of an open `nptdms.TdmsFile` of `size` bytes; `FormatError` without IQ records."""
    groups = {group.name: {channel.name: channel for channel in group.channels()} for group in file.groups()}
    header, data = groups.get(RECORDS, {}), groups.get(SAMPLES, {})
    if not {"I", "Q"} <= data.keys():
        names = ", ".join(f"{group}/{name}" for group in groups for name in groups[group]) or "no channel"
        raise FormatError(
            f"{path} holds {names[:500]}; {SAMPLES}/I and {SAMPLES}/Q were expected, as in files of IQ records; skip "
            "it, or open it with npTDMS"
        )
    if any(len(channel) > size for channel in (*header.values(), *data.values())):
        raise FormatError(f"{path} ({size} bytes) declares more values than it has bytes; it is damaged: skip it")
    pair = data["I"], data["Q"]
    types = {str(channel.dtype) for channel in pair if len(channel)}
    if types - {"int16"}:
        raise FormatError(f"{path}: I and Q are {' and '.join(sorted(types))}, int16 was expected; open it with npTDMS")
    properties = _plain(file.properties)
    there = min(map(len, pair))
    gains = channel_values(header["gain"]).astype(np.float64) if "gain" in header else None
    samples = _record_samples(path, properties, there, None if gains is None else len(gains))
    frames = there if gains is None else min(there, len(gains) * samples)
    if there - frames > samples and gains is not None:
        raise FormatError(
            f"{path} has {there} samples, and {len(gains)} gains of {samples} samples each; its property "
            "NSamplesPerRecord, or the file, is damaged: open it with npTDMS"
        )
    records = -(-frames // samples)
    gains = None if gains is None else gains[:records]
    if gains is not None and not (plausible := np.abs(gains) < MOST_VOLTS).all():  # not a number is not, either
        bad = int(np.flatnonzero(~plausible)[0])
        raise FormatError(
            f"{path}: the gain of record {bad} is {gains[bad]}, volts a count were expected; skip the file"
        )
    start_ns, seconds = _times(header.get("absolute timestamp"), records)
    if start_ns is None:
        start_ns = _times(header.get("datetime"), records)[0]
    if start_ns is None and isinstance(properties.get("datetime"), str):
        start_ns = date_time(properties["datetime"])[0]
    declared = _whole(properties.get("NRecordsPerFile"))
    return Contents(
        pair,
        properties,
        samples,
        frames,
        declared * samples,
        gains,
        seconds,
        start_ns,
        bool(file.file_status.incomplete_final_segment),
    )


def _record_samples(path: str, properties: dict[str, Any], there: int, gains: int | None) -> int:
    """Samples of one record: as stated, else as many as there are for each gain."""
    stated = properties.get("NSamplesPerRecord")
    if samples := _whole(stated):
        return samples
    if not there:
        return 1
    if gains and there % gains == 0:
        return there // gains
    raise FormatError(
        f"{path}: the property NSamplesPerRecord is {_shown(stated)}, and {there} samples do not divide into "
        f"{gains or 'no'} records; the file is damaged, or is not one of IQ records: open it with npTDMS"
    )


def _shown(value: Any) -> str:
    """A number of a hundred digits as its first ones."""
    return f"{value:g}" if isinstance(value, float) else repr(value)[:40]


def _whole(value: Any) -> int:
    """A whole number above 0 that a file can hold so many of, perhaps stored as a float; 0 for anything else."""
    return int(value) if isinstance(value, int | float) and 0 < value < 1 << 60 and value == value // 1 else 0


def find_breaks(
    seconds: np.ndarray | None, samples: int, rate: Fraction, frames: int
) -> tuple[tuple[int, int], ...] | None:
    """Times of records [s] -> where time jumps, as in `Header.breaks`; None where it goes back, or decades on.

    A jump is more than half a sample, and more than a float64 of this size can be wrong by.

    >>> find_breaks(np.array([0.0, 1.0, 2.5, 3.5]), 10, Fraction(10), 40)
    ((20, 2500000000),)
    """
    if seconds is None or len(seconds) < 2:
        return ()
    # Halves, whose difference does not overflow.
    if not np.isfinite(seconds).all() or seconds.max() / 2 - seconds.min() / 2 > LONGEST / 2:
        return None
    tolerance = max(0.5 / float(rate), 4 * float(np.spacing(np.abs(seconds).max())))
    jumps = np.flatnonzero(np.abs(np.diff(seconds) - float(samples / rate)) > tolerance) + 1
    breaks: list[tuple[int, int]] = []
    frame, ns = 0, 0
    for record in jumps.tolist():
        if record * samples >= frames:
            break
        later = round((float(seconds[record]) - float(seconds[0])) * 1e9)
        if later <= ns + (record * samples - frame) * 10**9 / rate:
            return None
        frame, ns = record * samples, later
        breaks.append((frame, ns))
    return tuple(breaks)


def _times(channel: Any, records: int) -> tuple[int | None, np.ndarray | None]:
    """A channel of times, one a record -> UTC ns of the first if they are dates, and seconds; None for what is not."""
    if channel is None or not records or len(channel) < records:
        return None, None
    times = channel.read_data(0, records, scaled=False)
    if hasattr(times, "second_fractions"):
        if (np.abs(np.asarray(times.seconds, np.float64) - _EPOCH) > _MOST_SECONDS).any():
            return None, None  # a clock that was never set
        ns = _utc_ns(times.seconds, times.second_fractions)
        return int(ns[0]), (ns - ns[0]) / 1e9
    times = np.asarray(times)
    return None, times.astype(np.float64) if times.dtype.kind == "f" else None


def _utc_ns(seconds: Any, fractions: Any) -> Any:
    """Seconds since 1904 and 2**-64 seconds -> ns since 1970, to the nearest (npTDMS cuts them off)."""
    high = np.asarray(fractions, np.uint64) >> np.uint64(32)
    nearest = (high * np.uint64(10**9) + np.uint64(2**31)) >> np.uint64(32)
    return (np.asarray(seconds, np.int64) - _EPOCH) * 10**9 + nearest.astype(np.int64)


def agree(file: BinaryIO, found: Contents, places: Places) -> bool:
    """Do the second and the last record have, where arithmetic puts them, the numbers that npTDMS reads?"""
    whole = found.frames // found.samples
    if whole < 2 or found.gains is None:
        return False
    some = min(16, found.samples)
    for record in (1, whole - 1):
        _, gain, *pair = places.record(record)
        if not places.is_at(file, record) or bytes_at(file, gain, 8) != found.gains[record].astype("<f8").tobytes():
            return False
        for at, channel in zip(pair, found.channels, strict=True):
            for low in (0, found.samples - some):
                expected = channel_values(channel, record * found.samples + low, some)
                if bytes_at(file, at + 2 * low, 2 * some) != expected.astype("<i2").tobytes():
                    return False
    return True


def channel_values(channel: Any, offset: int = 0, length: int | None = None) -> np.ndarray:
    """Numbers of a channel as they are stored."""
    return np.asarray(channel.read_data(offset, length, scaled=False))


def bytes_at(file: BinaryIO, offset: int, count: int) -> bytes:
    """Bytes of the file, fewer where it ends."""
    file.seek(offset)
    return file.read(count)


def _plain(properties: Any) -> dict[str, Any]:
    """Properties as JSON values, the first hundred of them; times as text, in UTC."""
    found: dict[str, Any] = {}
    for name, value in list(properties.items())[:_MOST_PROPERTIES]:
        if hasattr(value, "second_fractions") and abs(value.seconds - _EPOCH) > _MOST_SECONDS:
            value = f"{value.seconds} s since 1904"
        elif hasattr(value, "second_fractions"):
            ns = _utc_ns(value.seconds, value.second_fractions)
            value = f"{np.datetime64(int(ns), 'ns')}Z"
        elif isinstance(value, np.generic):
            value = value.item()
        plain = isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))
        found[str(name)] = value if plain else str(value)[:_LONGEST_PROPERTY]
    return found


class _Careful(io.BufferedReader):
    """A file that hands out no more at once than metadata have.

    npTDMS believes the lengths of texts, which a damaged file gives as 4 GiB. Samples it takes another way.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= MOST_METADATA:
            raise ValueError(f"a text of {size} bytes")
        return super().read(size)


@contextmanager
def opened(path: str, *, careful: bool = True) -> Iterator[BinaryIO]:
    """The file, and errors that say what to do; `careful` for its metadata, else for the bytes that are asked for."""
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115
    except OSError as error:
        explain(path, error)
    with _Careful(file) if careful else file as found:
        yield found  # type: ignore[misc]  # a FileIO reads as a BinaryIO does


@contextmanager
def parsed(path: str, file: BinaryIO) -> Iterator[Any]:
    """The `nptdms.TdmsFile`, from the file itself: an index beside it may be older."""
    size = os.fstat(file.fileno()).st_size
    check_tag(path, bytes_at(file, 0, 4), size)
    try:
        from nptdms import TdmsFile
    except ImportError as error:
        raise MissingPackage(
            f"{path}: .tdms files are read with npTDMS, which is not installed ({error}); pip install 'reelarray[tdms]'"
        ) from error
    logging.getLogger("nptdms.types").addFilter(_shorten)
    file.seek(0)
    try:
        with TdmsFile.open(file, raw_timestamps=True) as contents:
            yield contents
    except ReelError:
        raise
    except Exception as error:  # what Python raises: ValueError, KeyError, struct.error, EOFError, MemoryError ...
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # which is a place before the file's beginning
            raise
        raise FormatError(
            f"{path} ({size} bytes) is no TDMS file that npTDMS reads ({type(error).__name__}: {error}); it is "
            "damaged: skip it"
        ) from error


def _shorten(record: logging.LogRecord) -> bool:
    """npTDMS logs texts that it cannot decode, as long as they are."""
    record.msg, record.args = record.getMessage()[:200], ()
    return True


def check_tag(path: str, head: bytes, size: int) -> None:
    """Refuse what does not begin as a TDMS file; an index by name."""
    if head[:4] == INDEX_TAG:
        raise FormatError(
            f"{path} is the index of a TDMS file and holds no samples; give the .tdms file that it belongs to"
        )
    if head[:4] != TAG:
        raise FormatError(
            f"{path} ({size} bytes) starts with {head[:4]!r}, a TDMS file starts with {TAG!r}; pass format= if it is "
            "something else, or skip it"
        )
