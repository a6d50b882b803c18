"""Writes WAV files of any shape, right and wrong, byte by byte."""

from __future__ import annotations

import struct
from uuid import UUID

import numpy as np

PCM_GUID_TAIL = bytes.fromhex("000010008000 00aa00389b71".replace(" ", ""))
W64_RIFF = UUID("66666972-912e-11cf-a5d6-28db04c10000").bytes_le
W64_WAVE = UUID("65766177-acf3-11d3-8cd1-00c04f8edb8a").bytes_le


def chunk(name: bytes, body: bytes, *, order: str = "<", size: int | None = None, pad: bool = True) -> bytes:
    head = struct.pack(order + "4sI", name, len(body) if size is None else size)
    return head + body + b"\0" * (pad and len(body) % 2)


def fmt(
    *,
    tag: int = 1,
    channels: int = 1,
    rate: int = 48000,
    bits: int = 16,
    order: str = "<",
    extensible: bool = False,
    valid_bits: int | None = None,
    align: int | None = None,
    byte_rate: int | None = None,
) -> bytes:
    block = channels * ((bits + 7) // 8) if align is None else align
    per_second = rate * channels * ((bits + 7) // 8) if byte_rate is None else byte_rate
    first = 0xFFFE if extensible else tag
    body = struct.pack(order + "HHIIHH", first, channels, rate, per_second, block, bits)
    if extensible:
        guid = struct.pack(order + "I", tag) + PCM_GUID_TAIL
        body += struct.pack(order + "HHI", 22, bits if valid_bits is None else valid_bits, 0) + guid
    return body


def riff(*chunks: bytes, magic: bytes = b"RIFF", size: int | None = None) -> bytes:
    order = ">" if magic == b"RIFX" else "<"
    body = b"WAVE" + b"".join(chunks)
    return magic + struct.pack(order + "I", len(body) if size is None else size) + body


def ds64(data: int, frames: int, table: dict[bytes, int] | None = None, riff_size: int = 0) -> bytes:
    entries = b"".join(struct.pack("<4sQ", name, size) for name, size in (table or {}).items())
    return chunk(b"ds64", struct.pack("<QQQI", riff_size, data, frames, len(table or {})) + entries)


def w64(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b""
    for name, content in chunks:
        head = name + W64_WAVE[4:] + struct.pack("<Q", 24 + len(content))
        body += head + content + b"\0" * (-len(content) % 8)
    return W64_RIFF + struct.pack("<Q", 40 + len(body)) + W64_WAVE + body


def pcm(counts: np.ndarray, width: int, order: str = "<") -> bytes:
    """Integers of the container -> bytes as in a WAV file: one byte means unsigned, 128 is zero."""
    if width == 1:
        return (np.asarray(counts).ravel() + 128).astype(np.uint8).tobytes()
    octets = np.asarray(counts, "<i8").ravel().view(np.uint8).reshape(-1, 8)[:, :width]
    return (octets if order == "<" else octets[:, ::-1]).tobytes()


def bext(*, description: str = "", originator: str = "", date: str = "", time: str = "", reference: int = 0) -> bytes:
    texts = b"".join(
        text.encode().ljust(width, b"\0")
        for text, width in ((description, 256), (originator, 32), ("", 32), (date, 10))
    )
    return (texts + time.encode().ljust(8, b"\0") + struct.pack("<Q", reference)).ljust(602, b"\0")


def info(items: dict[str, str], order: str = "<") -> bytes:
    return b"INFO" + b"".join(
        chunk(name.encode(), value.encode() + b"\0", order=order) for name, value in items.items()
    )
