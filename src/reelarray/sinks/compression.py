"""How chunks are compressed: the choices by name, and the function that makes the bytes that zarr would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numcodecs
import numpy as np
import zarr
from numcodecs import blosc
from zarr.codecs import BloscCodec, BytesCodec

from ..errors import RecordingError

# Measured in benchmarks/writing.py. Shuffled by bits, small differences and rounded mantissas lie together as zeros.
COMPRESSIONS: dict[str, BloscCodec | None] = {
    "lz4": BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"),
    "zstd": BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"),  # level 1 is larger and read more slowly
    "none": None,
}
DEFAULT = "lz4"

Compress = Callable[[np.ndarray], Any]


def compressor(name: str | None) -> BloscCodec | None:
    """The codec of a name.

    Raises
    ------
    RecordingError : an unknown name
    """
    if name is not None and name not in COMPRESSIONS:
        known = ", ".join(map(repr, COMPRESSIONS))
        raise RecordingError(f"compression={name!r} was given; one of {known} was expected")
    return COMPRESSIONS[DEFAULT if name is None else name]


def compress_like(array: zarr.Array[Any]) -> Compress | None:
    """What makes the bytes of one whole chunk of an array; None where that is left to zarr: shards, unknown codecs.

    Chunk by chunk from the task that made it, without the event loop that all threads of a process share.
    """
    serializer = array.serializer
    if array.shards is not None or array.filters or not isinstance(serializer, BytesCodec):
        return None
    if serializer.endian is not None and serializer.endian.value != "little":
        return None
    if not array.compressors:
        return lambda chunk: chunk.reshape(-1).view(np.uint8).data
    (codec, *others) = array.compressors
    if others or not isinstance(codec, BloscCodec):
        return None
    shuffle = {"noshuffle": blosc.NOSHUFFLE, "shuffle": blosc.SHUFFLE, "bitshuffle": blosc.BITSHUFFLE}
    return numcodecs.Blosc(codec.cname.value, codec.clevel, shuffle[codec.shuffle.value], codec.blocksize).encode
