"""Blocks of records on disk until an extraction is complete: compressed, checked, written by who made them."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numcodecs import LZ4

from ..errors import FormatError
from ..sinks.files import refusals, sync_folder, write_whole

WRITTEN = np.dtype([("bytes", "i8"), ("crc", "u4")])
VALUE = "value"
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, eq=False)
class PartWriter:
    """Writes a block of records to ``<stage>-<number>.part``, by way of a temporary folder; gives bytes and checksum.

    `numbers` are those of blocks by their first row.
    """

    folder: Path
    temporary: Path
    stage: str
    numbers: Mapping[int, int]

    def __call__(self, block: np.ndarray, region: tuple[slice, ...]) -> np.ndarray:
        name = f"{self.stage}-{self.numbers[region[0].start]:06d}.part"
        block = np.asarray(block)
        data = _bytes_of(block if block.dtype.names else block.view([(VALUE, block.dtype)]))
        with refusals(self.folder):
            write_whole(self.folder / name, data, self.temporary / f"{name}-{uuid4().hex}")
            sync_folder(self.folder)
        return np.array([(len(data), zlib.crc32(data))], WRITTEN)


def _bytes_of(records: np.ndarray) -> bytes:
    """A line of JSON that says what follows, then each field on its own: most of a crop is empty, and alike."""
    fields, packed = [], []
    for name in records.dtype.names or ():
        dtype = records.dtype[name]
        column = np.ascontiguousarray(records[name])
        data = bytes(LZ4().encode(column.view("u1").reshape(-1))) if column.nbytes else b""
        fields.append([name, dtype.base.str, list(dtype.shape), len(data)])
        packed.append(data)
    head = json.dumps({"rows": len(records), "fields": fields}).encode()
    body = b"".join([_LENGTH.pack(len(head)), head, *packed])
    return body + _LENGTH.pack(zlib.crc32(body))


def read_part(path: Path, *, images: bool = True) -> np.ndarray:
    """The records of a block, without `images` only what is no image; of numbers, records of a field `VALUE`.

    Raises
    ------
    FormatError : a file that is damaged
    """
    data = path.read_bytes() if path.is_file() else b""
    if len(data) < 2 * _LENGTH.size or zlib.crc32(data[: -_LENGTH.size]) != _LENGTH.unpack(data[-_LENGTH.size :])[0]:
        raise FormatError(f"{path} is damaged or gone; delete it, and extract again: the other blocks are kept")
    (size,) = _LENGTH.unpack_from(data)
    head: dict[str, Any] = json.loads(data[_LENGTH.size : _LENGTH.size + size])
    rows, at = head["rows"], _LENGTH.size + size
    wanted = {name: (kind, tuple(shape)) for name, kind, shape, _ in head["fields"] if images or not shape}
    out = np.empty(rows, np.dtype([(name, *how) for name, how in wanted.items()]))
    for name, kind, shape, length in head["fields"]:
        if rows and name in wanted:
            out[name] = np.frombuffer(LZ4().decode(data[at : at + length]), kind).reshape(rows, *shape)
        at += length
    return out
