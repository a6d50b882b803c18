"""NumPy archives of sound: `data` (frames[, channels]) and `samplerate`, read by offset where not compressed."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass
from fractions import Fraction
from typing import IO, Any

import numpy as np

from ..errors import FormatError, TruncatedFile
from ..source import Format, Header, Layout
from . import tags
from .ranges import check_frames, check_unchanged, explain, is_remote, read_range

_MAGIC = b"PK\x03\x04"
_LOCAL_HEADER = 30  # bytes before the name in a zip's local file header


@dataclass(frozen=True)
class NpzSource:
    """Reads frames of `data`: stored members by byte range, compressed ones (`offset` < 0) decoded whole at each read.

    So give compressed files chunks as large as the file. Fortran order, without frames in a row, counts as compressed.
    """

    path: str
    frames: int
    type: str
    offset: int
    channels: int
    bytes: int
    modified_ns: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.frames,) if self.channels == 0 else (self.frames, self.channels)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.type).newbyteorder("=")

    def read(self, start: int, stop: int) -> np.ndarray:
        """Frames [start, stop) -> (frames[, channels]), in native byte order."""
        check_frames(self.path, start, stop, self.frames)
        shape = (stop - start, *self.shape[1:])
        out = np.empty(shape, self.type)
        if out.size == 0:
            return out.astype(self.dtype, copy=False)
        if self.offset < 0:
            return self._decode()[start:stop].astype(self.dtype)
        block = out.nbytes // len(out)
        wanted = out.data.cast("B")
        found = read_range(self.path, self.offset + start * block, wanted, self.bytes, self.modified_ns)
        if found < len(wanted):
            raise TruncatedFile(self.path, wanted=stop - start, found=found // block)
        return out.astype(self.dtype, copy=False)

    def _decode(self) -> np.ndarray:
        try:
            status = os.stat(self.path)
            if status.st_size < self.bytes:
                raise TruncatedFile(self.path, wanted=self.frames, found=0)
            check_unchanged(self.path, status, self.bytes, self.modified_ns)
            with np.load(self.path, allow_pickle=False) as archive:
                data: np.ndarray = archive["data"]
        except (zipfile.BadZipFile, EOFError, ValueError) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(
                f"{self.path}: 'data' cannot be decoded ({error}); the file is damaged: skip it"
            ) from error
        except OSError as error:
            if isinstance(error, TruncatedFile):
                raise
            explain(self.path, error)
        return data


def probe(path: str) -> Header:
    """Read the header of an `.npz` file with the members `data` (frames[, channels]) and `samplerate` (Hz).

    Pickled objects are never loaded. Values are taken as they are: `scale` is 1, also for integers; but what
    `write_audio` states of units, scale and start counts. Metadata lists other members by name. Raises `FormatError`
    for remote files, damaged ones, and those with other members or shapes.
    """
    if is_remote(path):
        raise FormatError(f"{path} is remote, .npz files are read from disk; download it and open the copy")
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            try:
                return _header(path, file, status)
            except (zipfile.BadZipFile, EOFError, ValueError) as error:
                if isinstance(error, FormatError):
                    raise
                file.seek(0)
                raise FormatError(
                    f"{path} ({status.st_size} bytes) starts with {file.read(16)!r}: {error}; an .npz file with 'data' "
                    "and 'samplerate' was expected; it is damaged or something else: skip it, or pass format="
                ) from error
    except OSError as error:
        explain(path, error)


def is_whole(path: str) -> bool | None:
    """Is the directory of the archive there, which is written last? Raises `FormatError` for what is no archive."""
    if is_remote(path):
        raise FormatError(f"{path} is remote, .npz files are read from disk; download it and open the copy")
    try:
        with open(path, "rb") as file:
            head = file.read(4)
            if len(head) < 4:
                return False
            if head != _MAGIC:
                raise FormatError(
                    f"{path} starts with {head!r}, an .npz file starts with {_MAGIC!r}; pass format= if it is "
                    "something else, or skip it"
                )
            try:
                zipfile.ZipFile(file).close()
            except zipfile.BadZipFile:
                return False
            return True
    except OSError as error:
        explain(path, error)


def source(path: str, frames: int, layout: Layout, bytes: int, modified_ns: int) -> NpzSource:
    type, offset, channels = layout
    return NpzSource(path, frames, str(type), int(offset or 0), int(channels or 0), bytes, modified_ns)


def _header(path: str, file: IO[bytes], status: os.stat_result) -> Header:
    with zipfile.ZipFile(file) as archive:
        members = {name.removesuffix(".npy"): name for name in archive.namelist()}
        if not {"data", "samplerate"} <= members.keys():
            raise FormatError(
                f"{path} holds {', '.join(map(repr, members)) or 'nothing'}; 'data' (frames[, channels]) and "
                "'samplerate' (Hz) were expected; save it again with these names, or open it with numpy.load"
            )
        with archive.open(members["samplerate"]) as member:
            rate = np.lib.format.read_array(member, allow_pickle=False)
        if rate.size != 1 or rate.dtype.kind not in "iuf" or not np.isfinite(rate.item()) or rate.item() <= 0:
            raise FormatError(
                f"{path}: 'samplerate' is {rate!r}, one positive number in Hz was expected; save it again"
            )
        with archive.open(members["data"]) as member:
            shape, fortran, dtype = _array_header(member)
            begin = member.tell()
        entry = archive.getinfo(members["data"])
        units, scale, start_ns = _stated(archive, members, dtype)
    if len(shape) not in (1, 2) or dtype.kind not in "iufc":
        raise FormatError(
            f"{path}: 'data' has the shape {shape} and type {dtype}, (frames[, channels]) of numbers was "
            "expected; save it again"
        )
    offset = -1
    if entry.compress_type == zipfile.ZIP_STORED and not (fortran and len(shape) > 1):
        file.seek(entry.header_offset + _LOCAL_HEADER - 4)
        names = file.read(4)  # lengths of the name and of the extra field that follow
        offset = entry.header_offset + _LOCAL_HEADER + sum(np.frombuffer(names, "<u2").tolist()) + begin
    value: int | float = rate.item()
    return Header(
        path=path,
        format="npz",
        frames=shape[0],
        rate=Fraction(str(value)) if isinstance(value, float) else Fraction(value),
        shape=shape,
        dtype=dtype.newbyteorder("=").str,
        subtype=dtype.name.upper(),
        layout=(dtype.str, offset, 0 if len(shape) == 1 else shape[1]),
        bytes=status.st_size,
        modified_ns=status.st_mtime_ns,
        scale=scale,
        units=units,
        start_ns=start_ns,
        metadata={"members": sorted(members.keys() - {"data", "samplerate"})} if len(members) > 2 else {},
    )


def _stated(archive: zipfile.ZipFile, members: dict[str, str], dtype: np.dtype) -> tuple[str, float, int | None]:
    """Units, scale and start [UTC ns], where `attrs` (JSON) and `start` are those of our own writer."""
    try:
        said = json.loads(_member_text(archive, members["attrs"]))
        if not str(said["software"]).startswith("reelarray"):
            return "1", 1.0, None
        units = str(said.get("units") or "1")
        if "start" not in members:
            return units, 1.0, None
        start_ns, _ = tags.start({"guano": {"Timestamp": _member_text(archive, members["start"])}})
        full_scale = float(said["scale"])
    except (KeyError, TypeError, ValueError):
        return "1", 1.0, None
    counts = 2.0 ** (1 - 8 * dtype.itemsize) if dtype.kind == "i" else 1.0
    return units, full_scale * counts, start_ns


def _member_text(archive: zipfile.ZipFile, name: str) -> str:
    with archive.open(name) as member:
        return str(np.lib.format.read_array(member, allow_pickle=False))


def _array_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version: Any = np.lib.format.read_magic(member)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(member)
    return np.lib.format.read_array_header_2_0(member)


FORMAT = Format(
    name="npz",
    suffixes=(".npz",),
    recognises=lambda head: head.startswith(_MAGIC),
    probe=probe,
    source=source,
    complete=is_whole,
)
