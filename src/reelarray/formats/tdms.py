"""NI TDMS files of IQ records, each with its own gain, as analysers of National Instruments write them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np

from ..errors import FormatError, TruncatedFile
from ..source import Format, Header, Layout
from .pairs import check_radio, exact_rate
from .ranges import check_frames, check_unchanged, is_remote
from .stated import stated_rate
from .tdmscontents import (
    RECORDS,
    SAMPLES,
    agree,
    bytes_at,
    channel_values,
    check_tag,
    find_breaks,
    opened,
    parsed,
    read_contents,
)
from .tdmslayout import INDEX_TAG, LEAD, TAG, Places, ends, find_places

Piece = tuple[int, Any, np.ndarray, np.ndarray]  # where it goes, its gain or None, I, Q


@dataclass(frozen=True)
class TdmsSource:
    """Reads records by offset arithmetic where `places` says where they are, else through npTDMS.

    npTDMS walks over the whole file at each read (0.1 s for 4096 records): give such files chunks of many records. With
    `volts` each record is multiplied by its own gain, and samples are complex; without, they are pairs I, Q.
    """

    path: str
    frames: int
    volts: bool
    samples: int
    places: Places | None
    bytes: int
    modified_ns: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.frames,) if self.volts else (self.frames, 2)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.complex64 if self.volts else np.int16)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Frames [start, stop) -> (frames) complex64 [V], or counts (frames, 2)."""
        check_frames(self.path, start, stop, self.frames)
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        if start == stop:
            return out
        with opened(self.path, careful=self.places is None) as file:
            status = os.fstat(file.fileno())
            if status.st_size < self.bytes:
                raise TruncatedFile(self.path, wanted=stop - start, found=self._left(status.st_size, start, stop))
            check_unchanged(self.path, status, self.bytes, self.modified_ns)
            pieces = self._walked if self.places is None else self._placed
            parts = out.view(np.float32).reshape(-1, 2) if self.volts else out
            for at, gain, i, q in pieces(file, start, stop):
                into = parts[at : at + len(i)]
                if gain is None:
                    into[:, 0], into[:, 1] = i, q
                else:  # one rounding, of the product in float64
                    np.multiply(i, gain, out=into[:, 0], casting="same_kind")
                    np.multiply(q, gain, out=into[:, 1], casting="same_kind")
        return out

    def _cuts(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """The records of these frames, and the samples [low, high) of each."""
        for record in range(start // self.samples, -(-stop // self.samples)):
            first = record * self.samples
            yield record, max(start - first, 0), min(stop - first, self.samples)

    def _placed(self, file: BinaryIO, start: int, stop: int) -> Iterator[Piece]:
        assert self.places is not None
        for record, low, high in self._cuts(start, stop):
            begin, gain, *pair = self.places.record(record)
            found = [bytes_at(file, at + 2 * low, 2 * (high - low)) for at in pair]
            if not self.places.is_at(file, record) or {len(each) for each in found} != {2 * (high - low)}:
                raise FormatError(
                    f"{self.path}: record {record} is not at byte {begin}, where the lengths of the first ones put it; "
                    "the file is damaged, or was written to meanwhile: open it again, or skip it"
                )
            i, q = (np.frombuffer(each, "<i2") for each in found)
            yield (
                record * self.samples + low - start,
                np.frombuffer(bytes_at(file, gain, 8), "<f8")[0] if self.volts else None,
                i,
                q,
            )

    def _walked(self, file: BinaryIO, start: int, stop: int) -> Iterator[Piece]:
        cuts = list(self._cuts(start, stop))
        gains: np.ndarray | None = None
        with parsed(self.path, file) as contents:
            i, q = (channel_values(contents[SAMPLES][name], start, stop - start) for name in "IQ")
            if self.volts:
                gains = channel_values(contents[RECORDS]["gain"], cuts[0][0], len(cuts))
        if min(len(i), len(q)) < stop - start or (gains is not None and len(gains) < len(cuts)):
            raise TruncatedFile(self.path, wanted=stop - start, found=min(len(i), len(q)))
        at = 0
        for k, (_, low, high) in enumerate(cuts):
            yield at, None if gains is None else gains[k], i[at : at + high - low], q[at : at + high - low]
            at += high - low

    def _left(self, size: int, start: int, stop: int) -> int:
        """How many of the frames are in whole records of a file that became shorter; 0 where that takes a walk."""
        whole = 0
        if self.places is not None and size >= self.places.first:
            whole = 1 + (size - self.places.first) // self.places.other
        return min(max(whole * self.samples - start, 0), stop - start)


def probe(
    path: str,
    *,
    rate: float | Fraction | None = None,
    center_frequency: float | None = None,
    apply_gain: bool = True,
) -> Header:
    """Read what a TDMS file says of its records: their gains and times, and no sample (but a few, as a test).

    One gain for all records makes pairs of integers, with this `scale`. Where gains differ, each record is multiplied
    by its own as it is read, and samples are complex64 volts; `apply_gain=False` gives the counts instead, in units of
    "1". Time jumps where `absolute timestamp` differs from the length of a record by more than half a sample; where it
    goes back, or on by more than thirty years, times are those of the rate. These times count from when the analyser
    was switched on, unless they are dates, or a channel `datetime` beside them has dates.

    Parameters
    ----------
    rate : samples a second [Hz], instead of the property `IQRate`
    center_frequency : [Hz], instead of the property `IQCarrierFrequency`
    apply_gain : see above

    Flags: "truncated" (fewer records than `NRecordsPerFile`), "unfinished" (the writer died: no length was filled in),
    "time_order" (records go back or decades on in time, which was not used), "no_gain", "no_center_frequency"
    (not stated).

    Raises `MissingPackage` without npTDMS, `FormatError` for remote files, an index without its data, and files without
    such records.
    """
    if is_remote(path):
        raise FormatError(f"{path} is remote, .tdms files are read from disk; download it and open the copy")
    check_radio(path, rate=rate, center_frequency=center_frequency)
    with opened(path) as file:
        status = os.fstat(file.fileno())
        with parsed(path, file) as contents:
            found = read_contents(path, contents, status.st_size)
            places = find_places(file, found.samples, lambda places: agree(file, found, places))
    stated = found.number("IQRate") if rate is None else rate
    if stated is None or stated <= 0:
        raise FormatError(
            f"{path}: the property IQRate is {found.properties.get('IQRate', 'missing')!r}, a rate in Hz > 0 was "
            "expected; pass rate= if it is known"
        )
    exact = exact_rate(stated) if rate is not None else stated_rate(path, stated)
    center = found.number("IQCarrierFrequency") if center_frequency is None else center_frequency
    if center is None and "IQCarrierFrequency" in found.properties:
        raise FormatError(
            f"{path}: the property IQCarrierFrequency is {found.properties['IQCarrierFrequency']!r}, a frequency in Hz "
            "was expected; pass center_frequency= if it is known"
        )
    breaks = find_breaks(found.seconds, found.samples, exact, found.frames)
    gains = found.gains
    in_volts = gains is not None and apply_gain
    counts = gains is None or not apply_gain or bool(np.all(gains == gains[:1]))
    scale = 1.0
    if gains is None:
        scale = 2.0**-15
    elif in_volts and counts and len(gains):
        scale = float(gains[0])
    flags = {
        "truncated": found.frames < found.declared,
        "unfinished": found.unfinished and found.frames >= found.declared,
        "time_order": breaks is None,
        "no_gain": gains is None,
        "no_center_frequency": center is None,
    }
    metadata: dict[str, Any] = {"samples_per_record": found.samples, "properties": found.properties}
    if flags["truncated"]:
        metadata["declared_frames"] = found.declared
    if gains is not None and len(gains):
        metadata["gain"] = [float(gains.min()), float(gains.max())]
    # As it is spelled in these files, and as it should be.
    if (attenuation := found.number("RFAttentuation", "RFAttenuation")) is not None:
        metadata["rf_attenuation"] = attenuation
    if found.start_ns is not None:
        metadata["utc_offset"] = "+00:00"
    return Header(
        path=path,
        format="tdms",
        frames=found.frames,
        rate=exact,
        shape=(found.frames, 2) if counts else (found.frames,),
        dtype=np.dtype(np.int16 if counts else np.complex64).str,
        subtype="ci16_le",
        layout=(not counts, found.samples, *(places or ())),
        bytes=status.st_size,
        modified_ns=status.st_mtime_ns,
        scale=scale,
        units="V" if in_volts else "1",
        start_ns=found.start_ns,
        flags=tuple(name for name, on in flags.items() if on),
        metadata=metadata,
        iq=counts,
        center_frequency=None if center is None else float(center),
        breaks=breaks or (),
    )


def source(path: str, frames: int, layout: Layout, bytes: int, modified_ns: int) -> TdmsSource:
    volts, samples, *places = layout
    where = Places(*(int(place or 0) for place in places)) if places else None
    return TdmsSource(path, frames, bool(volts), int(samples or 1), where, bytes, modified_ns)


def is_whole(path: str) -> bool | None:
    """Are all `NRecordsPerFile` records there, and the length of every segment? None where it does not say how many."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(LEAD.size)
        if size < LEAD.size and TAG.startswith(head[:4]):
            return False
        check_tag(path, head, size)
        if not ends(file, size):
            return False
        with parsed(path, file) as contents:
            found = read_contents(path, contents, size)
    return found.frames >= found.declared if found.declared else None


FORMAT = Format(
    name="tdms",
    suffixes=(".tdms",),
    recognises=lambda head: head[:4] in (TAG, INDEX_TAG),  # an index gets an error that says what it is
    probe=probe,
    source=source,
    complete=is_whole,
)
