"""Whatever libsndfile decodes and we do not read ourselves: FLAC, AIFF, Ogg, MP3, CAF, AU, and compressed WAV."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import FormatError, TruncatedFile
from ..source import Format, Header, Layout
from . import tags
from .ranges import check_frames, check_unchanged, explain, is_remote

# libsndfile widens integers to the left, so that one scale fits all subtypes of a type.
_SCALES = {"int16": 2.0**-15, "int32": 2.0**-31, "float32": 1.0, "float64": 1.0}
_INT32 = ("PCM_24", "PCM_32", "DWVW_24", "ALAC_20", "ALAC_24", "ALAC_32")
_FLOAT32 = ("FLOAT", "VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")
# libsndfile reports "no length known" as its largest count.
_UNKNOWN = 1 << 62
_BLOCK = 1 << 16
_OGG_TAIL = 1 << 17  # two Ogg pages of the largest size
_CUT = re.compile(r"^\W*(data|ssnd|data size|body)\s*:.*should be|truncated file", re.IGNORECASE | re.MULTILINE)
# Kinds of file that say how long they should be, by which a cut is noticed; others need format="libsndfile".
_MAGIC = (b"fLaC", b"OggS", b"caff", b".snd", b"dns.", b"ID3", b"Creative Voice File")


@dataclass(frozen=True)
class SndfileSource:
    """Decodes frames with libsndfile: opens, seeks and reads inside `read`.

    `seek` is "exact"; "none" where each read has to decode from the start (see `_seek`: give such files chunks as large
    as the file); or "ogg" (see `_before_last_page`).
    """

    path: str
    frames: int
    type: str
    channels: int
    seek: str
    bytes: int
    modified_ns: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.frames,) if self.channels == 1 else (self.frames, self.channels)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.type)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Frames [start, stop) -> (frames[, channels]); integers are left-justified in their type."""
        check_frames(self.path, start, stop, self.frames)
        shape = (stop - start, *self.shape[1:])
        if stop == start:
            return np.empty(shape, self.dtype)
        try:
            status = os.stat(self.path)
        except OSError as error:
            explain(self.path, error)
        found = self._decode(start, stop) if status.st_size >= self.bytes else None
        if found is None or len(found) < stop - start:
            count = self.count(start, stop)
            if count < stop - start:
                raise TruncatedFile(self.path, wanted=stop - start, found=count)
        check_unchanged(self.path, status, self.bytes, self.modified_ns)
        if found is None or len(found) < stop - start:
            raise FormatError(
                f"{self.path}: libsndfile decodes frames {start} to {stop} in small pieces but not at once; the file "
                "is damaged, or was written to meanwhile: open it again, or exclude= it"
            )
        return found.reshape(shape)

    def _decode(self, start: int, stop: int) -> np.ndarray | None:
        """The frames, fewer where the file ends, None where it cannot be decoded."""
        try:
            with _reader()(self.path) as file:
                self._go_to(file, start)
                return file.read(stop - start, dtype=self.type, always_2d=True)
        except _library_error():
            return None

    def count(self, start: int, stop: int) -> int:
        """How many of the frames can be decoded; slow, for files that are known to be damaged."""
        done = start
        try:
            with _reader()(self.path) as file:
                self._go_to(file, start)
                while done < stop and (found := len(file.read(min(1024, stop - done), dtype=self.type))):
                    done += found
        except _library_error():
            pass
        return done - start

    def _go_to(self, file: Any, start: int) -> None:
        here = 0
        if start and self.seek != "none":
            here = start if self.seek == "exact" else min(start, _before_last_page(self.path))
            file.seek(here)
        while here < start:
            found = len(file.read(min(_BLOCK, start - here), dtype=self.type))
            if not found:
                return
            here += found


def probe(path: str) -> Header:
    """Read the header of a local file through libsndfile; MP3 and streams without a length are decoded to count them.

    Flags: "truncated" (the file says that it should be longer), "counted" (it does not say how long it is).

    Raises `FormatError` for remote files and for what libsndfile does not decode.
    """
    if is_remote(path):
        raise FormatError(
            f"{path} needs libsndfile, which reads local files, and this one is remote; download it and open the copy, "
            "or use uncompressed WAV, which is read by byte ranges"
        )
    try:
        with open(path, "rb") as raw:
            head = raw.read(16)
            status = os.fstat(raw.fileno())
    except OSError as error:
        explain(path, error)
    try:
        with _reader()(path) as file:
            frames, rate, channels, subtype = file.frames, file.samplerate, file.channels, file.subtype
            kind, log, texts = file.format, file.extra_info, file.copy_metadata()
            declared = None
            seek = _seek(subtype, file.sndfile_seekable)
            type = _type(subtype)
            flags: tuple[str, ...] = ("truncated",) if _CUT.search(log) else ()
            if kind in ("MP3", "MPEG") or not 0 <= frames < _UNKNOWN:
                counted = _count_frames(file, type)
                flags = ("counted",) if not 0 <= frames < _UNKNOWN else ("truncated",) if counted < frames else ()
                declared = frames if "truncated" in flags else None
                frames = counted
            elif kind == "OGG" and not _ends_an_ogg(path):
                flags = ("truncated",)
            elif kind == "FLAC" and frames and not _has_frame(file, frames - 1, type):
                # the length is written first: nothing but the samples says that the file was cut
                flags, declared = ("truncated",), frames
                frames = SndfileSource(path, frames, type, channels, "none", 0, 0).count(0, frames)
    except _library_error() as error:
        raise FormatError(
            f"{path} ({status.st_size} bytes) starts with {head!r}; libsndfile, which decodes FLAC, AIFF, Ogg, MP3 and "
            f"others, says: {str(error).strip() or 'the file is malformed'}; pass format= if it is something else, or "
            "skip it"
        ) from None
    metadata: dict[str, Any] = {"container": kind}
    if declared is not None:
        metadata["declared_frames"] = declared
    if texts:
        metadata["strings"] = texts
    if "Recorded at" in texts.get("comment", "") and (moth := tags.audiomoth(texts["comment"])):
        metadata["audiomoth"] = moth
    if "reelarray|" in texts.get("comment", ""):
        metadata["guano"] = tags.guano(texts["comment"].encode())
    start_ns, found = tags.start(metadata)
    units, full_scale = tags.level(metadata)
    return Header(
        path=path,
        format="libsndfile",
        frames=frames,
        rate=Fraction(rate),
        shape=(frames,) if channels == 1 else (frames, channels),
        dtype=np.dtype(type).str,
        subtype=subtype,
        layout=(type, channels, seek),
        bytes=status.st_size,
        modified_ns=status.st_mtime_ns,
        scale=_SCALES[type] * full_scale,
        units=units,
        start_ns=start_ns,
        flags=flags,
        metadata=metadata | found,
    )


def source(path: str, frames: int, layout: Layout, bytes: int, modified_ns: int) -> SndfileSource:
    type, channels, seek = layout
    return SndfileSource(path, frames, str(type), int(channels or 1), str(seek), bytes, modified_ns)


def recognises(head: bytes) -> bool:
    """First bytes of a file -> FLAC, Ogg, CAF, AU, MP3, AIFF or VOC?"""
    if head[:4] == b"FORM":
        return head[8:12] in (b"AIFF", b"AIFC", b"8SVX", b"16SV")
    # An MPEG frame: eleven bits set, then neither a reserved version, layer, bit rate nor sampling rate.
    frame = len(head) > 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0
    if frame and head[1] & 0x18 != 0x08 and head[1] & 0x06 and head[2] & 0xF0 != 0xF0 and head[2] & 0x0C != 0x0C:
        return True
    return head.startswith(_MAGIC)


def _type(subtype: str) -> str:
    if subtype in _INT32:
        return "int32"
    if subtype in _FLOAT32:
        return "float32"
    return "float64" if subtype == "DOUBLE" else "int16"


def _seek(subtype: str, seekable: bool) -> str:
    """How to get to a frame: libsndfile cannot seek in GSM, and MP3 decoded from the middle differs.

    By 1e-7 of full scale everywhere, by 0.2 for the first frames at low rates (libsndfile 1.2.2 with mpg123), whatever
    the run-up; chunks would show in the numbers. FLAC, Opus, ADPCM and PCM are the same from any start.
    """
    if subtype == "VORBIS":
        return "ogg"
    return "exact" if seekable and not subtype.startswith("MPEG") else "none"


@lru_cache(maxsize=1)
def _reader() -> Any:
    """The class of open files; soundfile is imported here, at the first file that needs it."""
    try:
        import soundfile
    except OSError as error:  # the Python package is there, the C library is not
        raise ImportError(
            f"soundfile cannot load libsndfile ({error}); reinstall it with: pip install soundfile"
        ) from error

    class Reader(soundfile.SoundFile):
        """soundfile seeks after each read, which fails at the end of a FLAC without a length, unless told not to."""

        @property
        def sndfile_seekable(self) -> bool:
            return bool(super().seekable())

        def seekable(self) -> bool:
            return False

    return Reader


def _library_error() -> type[Exception]:
    import soundfile

    error: type[Exception] = soundfile.LibsndfileError
    return error


def _has_frame(file: Any, frame: int, type: str) -> bool:
    """Can the frame be decoded? One seek and one block: 0.1 ms, and more only where it cannot."""
    try:
        file.seek(frame)
        return len(file.read(1, dtype=type)) == 1
    except _library_error():
        return False


def _count_frames(file: Any, type: str) -> int:
    frames = 0
    block = np.empty((_BLOCK, file.channels), type)
    while found := len(file.read(_BLOCK, out=block)):
        frames += found
    return frames


def _ogg_pages(path: str) -> tuple[int, list[tuple[int, int, int]]]:
    """Size of an Ogg file, and (offset, flags, granule position) of the pages that begin in its last 128 KiB."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        begin = file.seek(max(size - _OGG_TAIL, 0))
        tail = file.read()
    pages = [(m.start(), tail[m.start() : m.start() + 282]) for m in re.finditer(b"OggS\0", tail)]
    return size, [
        (begin + at, head[5], int.from_bytes(head[6:14], "little", signed=True))
        for at, head in pages
        # the page fits into the file: 27 bytes, its table of segment lengths, the segments
        if len(head) >= 27 and begin + at + 27 + head[26] + sum(head[27 : 27 + head[26]]) <= size
    ]


def _ends_an_ogg(path: str) -> bool:
    """Does the last complete page say that it is the last one?"""
    pages = _ogg_pages(path)[1]
    return bool(pages) and bool(pages[-1][1] & 4)


def _before_last_page(path: str) -> int:
    """The frame up to which seeks in an Ogg Vorbis file are right.

    Within the last page libsndfile (1.2.2) counts back from an end that was trimmed, and lands off by the trimmed part.
    """
    granules = [granule for _, _, granule in _ogg_pages(path)[1][:-1] if granule >= 0]
    return max(granules[-1] - 2 * 8192, 0) if granules else 0  # two windows of the largest size


FORMAT = Format(
    name="libsndfile",
    suffixes=(".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".caf", ".au", ".snd", ".voc"),
    recognises=recognises,
    probe=probe,
    source=source,
)
