"""The WAV family (RIFF, RIFX, RF64, BW64, Wave64) with uncompressed samples, read by our own offset arithmetic."""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from ..errors import FormatError
from ..source import Format, Header
from . import tags
from .pairs import check_radio, pair_encoding, pair_shape, source
from .pcm import Encoding, encoding
from .ranges import HeaderBytes
from .riff import Chunks, is_riff_wave, is_whole, walk

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
# Texts longer than this are not texts.
LONGEST_TEXT = 1 << 20
# A recorder that lost power leaves much more than this; music fades out in less.
ZERO_TAIL_SECONDS = 1.0
_TEXT_CHUNKS = frozenset((b"bext", b"LIST", b"list", b"guan", b"iXML", b"auxi"))


def probe(
    path: str,
    *,
    zero_tail: bool = False,
    iq: bool = False,
    conjugate: bool = False,
    center_frequency: float | None = None,
) -> Header:
    """Read the header of a WAV file: one open, a page at its start and, where something follows the samples, another.

    `zero_tail=True` also looks for a second or more of zero bytes at the end of the samples (a recorder that allocated
    the file and lost power), which reads samples. Compressed samples are handed to libsndfile: see `Header.format`.

    `iq=True` takes two channels for one of complex samples: left is I, right is Q, or the other way round with
    `conjugate=True`. `center_frequency` [Hz] is then the one given, else that of the `auxi` chunk of radio recorders,
    else 0; that chunk's start counts too, where nothing else states one (its zone is that of `timezone=`).

    Flags: "truncated" (fewer bytes than the header says), "unfinished" (no size was filled in: all bytes to the end
    count), "wrapped_size" (a 32-bit size in a file beyond 4 GiB), "block_align" (recomputed), "partial_frame" (the last
    frame is incomplete and left out), "extra_data" (a second `data` chunk is ignored), "trailing_bytes" (what follows
    `data` is no chunk, so that its size is perhaps too small), "zero_tail".

    Raises `FormatError` for what is not such a file, `OSError` of the usual kinds for what cannot be opened.
    """
    if not iq and (conjugate or center_frequency is not None):
        raise FormatError(
            f"{path}: conjugate= and center_frequency= are about complex samples; pass iq=True as well where the two "
            "channels are I and Q, or leave them out"
        )
    file = HeaderBytes(path)
    try:
        header = _probe(file, zero_tail)
    finally:
        file.close()
    return _as_pairs(header, conjugate, center_frequency) if iq else header


def _probe(file: HeaderBytes, zero_tail: bool) -> Header:
    path, size = file.path, file.size
    if not is_riff_wave(file.head):
        raise FormatError(
            f"{path} ({size} bytes) starts with {file.head[:16]!r}; a WAV file starts with RIFF, RIFX, RF64 or BW64, a "
            "size and WAVE: pass format= if it is something else, or skip it"
        )
    order, chunks, size_flags = walk(file)
    if b"fmt " not in chunks or b"data" not in chunks:
        names = ", ".join(repr(name.decode("ascii")) for name in chunks) or "no chunk at all"
        raise FormatError(
            f"{path} ({size} bytes) has the chunks {names}; 'fmt ' and 'data' are needed: the file was cut short or is "
            "damaged; skip it, or open its samples with format='raw'"
        )
    offset, length = chunks[b"fmt "][0]
    try:
        layout = _sample_layout(order, file.get(offset, min(length, 40)))
    except FormatError as error:
        raise FormatError(f"{path}: {error}; skip the file, or open its samples with format='raw'") from None
    if layout is None:
        from . import libsndfile

        return libsndfile.probe(path)
    stored, channels, rate, valid_bits, flags = layout
    block = stored.width * channels
    offset, length = chunks[b"data"][0]
    present = min(length, max(size - offset, 0))
    frames = present // block
    flags += size_flags
    if present < length:
        flags += ("truncated",)
    elif present % block:
        flags += ("partial_frame",)
    if len(chunks[b"data"]) > 1:
        flags += ("extra_data",)
    metadata = _texts(file, order, chunks) if len(chunks) > 2 else {}
    start_ns = None
    units, full_scale = "1", 1.0
    if metadata:
        start_ns, origin = tags.start(metadata)
        metadata.update(origin)
        units, full_scale = tags.level(metadata)
    if valid_bits != 8 * stored.width:
        metadata["valid_bits"] = valid_bits
    if "truncated" in flags:
        metadata["declared_frames"] = length // block
    if "trailing_bytes" in flags:
        metadata["trailing_bytes"] = size - offset - length
    if zero_tail:
        zeros = _zero_bytes(file, offset, offset + frames * block) // block
        if zeros and zeros >= min(frames, ZERO_TAIL_SECONDS * rate):
            flags += ("zero_tail",)
            metadata["zero_tail_frames"] = zeros
    return _header(
        path=path,
        format="wav",
        frames=frames,
        rate=rate,
        shape=(frames,) if channels == 1 else (frames, channels),
        dtype=stored.type,
        subtype=stored.subtype,
        layout=(stored.code, offset, channels),
        bytes=size,
        modified_ns=file.modified_ns,
        scale=stored.scale * full_scale,
        units=units,
        start_ns=start_ns,
        flags=flags,
        metadata=metadata,
    )


def _header(**facts: Any) -> Header:
    """A frozen dataclass sets its fields one by one, a quarter of the time of a scan; this sets them at once."""
    header = Header.__new__(Header)
    header.__dict__.update(facts)
    return header


def _as_pairs(header: Header, swapped: bool, center_frequency: float | None) -> Header:
    """The header of two channels -> that of one of complex samples."""
    path = header.path
    check_radio(path, center_frequency=center_frequency)
    if header.format != "wav" or header.shape[1:] != (2,):
        count = header.shape[1] if len(header.shape) > 1 else 1
        kind = "uncompressed" if header.format == "wav" else "compressed"
        raise FormatError(
            f"{path} has {count} {kind} channel{'s' * (count != 1)}; iq=True needs two uncompressed ones, I and Q: "
            "leave it out for real samples, or decode the file first"
        )
    code, offset, _ = header.layout
    component = encoding(str(code))
    end = {"<": "_le", ">": "_be"}[component.order] if component.width > 1 else ""
    stored = pair_encoding(f"c{component.kind}{8 * component.width}{end}")
    metadata = dict(header.metadata)
    auxi = metadata.get("auxi", {})
    if header.start_ns is None and "naive_start" not in metadata and "start" in auxi:
        metadata |= {"naive_start": auxi["start"], "start_source": "auxi"}
    if center_frequency is None:
        center_frequency = auxi.get("center_frequency", 0.0)
    return replace(
        header,
        shape=pair_shape(header.frames, 1, stored),
        dtype=stored.dtype.str,
        subtype=stored.name,
        layout=(stored.name, offset, 1, swapped),
        metadata=metadata,
        iq=stored.iq,
        center_frequency=float(center_frequency),
    )


class SampleLayout(NamedTuple):
    stored: Encoding
    channels: int
    rate: Fraction
    valid_bits: int
    flags: tuple[str, ...]


# Files of one make have the same `fmt `: a scan of 10,000 parses it once.
@lru_cache(maxsize=256)
def _sample_layout(order: str, fmt: bytes) -> SampleLayout | None:
    """The body of `fmt ` -> how samples are stored; None where libsndfile has to decode them."""
    if len(fmt) < 16:
        raise FormatError(f"its 'fmt ' chunk has {len(fmt)} bytes, 16 are needed")
    tag, channels, rate, byte_rate, block_align, bits = struct.unpack_from(order + "HHIIHH", fmt)
    valid_bits = bits
    if tag == EXTENSIBLE and len(fmt) >= 28:
        valid_bits = struct.unpack_from(order + "H", fmt, 18)[0] or bits
        # The GUID's first number is the tag that would have stood here before there were GUIDs.
        tag = struct.unpack_from(order + "I", fmt, 24)[0] & 0xFFFF
    if channels == 0 or rate == 0:
        raise FormatError(f"its header says {channels} channels at {rate} Hz, at least 1 of each is needed")
    if tag not in (PCM, FLOAT):
        return None
    width = (bits + 7) // 8
    if not (1 <= width <= 8 if tag == PCM else width in (4, 8)):
        raise FormatError(
            f"its header says {bits} bits a sample (format tag {tag}), 1 to 64 for integers, 32 or 64 for floats are "
            "known"
        )
    flags: tuple[str, ...] = ()
    if block_align != channels * width:
        if byte_rate != rate * channels * width:
            raise FormatError(
                f"its header contradicts itself: {channels} channels of {bits} bits make {channels * width} bytes a "
                f"frame, but it says {block_align} bytes a frame and {byte_rate} bytes a second at {rate} Hz"
            )
        flags = ("block_align",)
    kind = "f" if tag == FLOAT else "i" if width > 1 else "u"
    return SampleLayout(encoding(f"{order}{kind}{width}"), channels, Fraction(rate), valid_bits, flags)


def _texts(file: HeaderBytes, order: str, chunks: Chunks) -> dict[str, Any]:
    """What the header says in words, by kind; later chunks of a kind add to earlier ones."""
    metadata: dict[str, Any] = {}
    for name in filter(_TEXT_CHUNKS.__contains__, chunks):
        for offset, size in chunks[name]:
            if size > LONGEST_TEXT:
                continue
            body = file.get(offset, size)
            if name == b"bext":
                metadata["bext"] = tags.bext(body)
            elif name == b"guan":
                metadata["guano"] = tags.guano(body)
            elif name == b"iXML":
                metadata["ixml"] = tags.text(body)
            elif name == b"auxi":
                metadata["auxi"] = tags.auxi(body)
            elif items := tags.info(body, order):
                metadata.setdefault("info", {}).update(items)
    comment = metadata.get("info", {}).get("ICMT", "")
    if "Recorded at" in comment and (moth := tags.audiomoth(comment)):
        metadata["audiomoth"] = moth
    return metadata


def _zero_bytes(file: HeaderBytes, start: int, stop: int) -> int:
    """How many bytes before `stop` are zero, looking back no further than `start`."""
    position = stop
    while position > start:
        step = min(1 << 16, position - start)
        block = file.get(position - step, step)
        rest = len(block.rstrip(b"\0"))
        if rest:
            return stop - (position - step + rest)
        position -= step
    return stop - start


FORMAT = Format(
    name="wav",
    suffixes=(".wav", ".wave", ".bwf", ".rf64", ".bw64", ".w64"),
    recognises=is_riff_wave,
    probe=probe,
    source=source,
    complete=is_whole,
)
