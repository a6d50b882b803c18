"""Complex samples as text: a first line `rate|center`, then a line `re|im` for each sample."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from io import BufferedReader, BytesIO
from typing import NamedTuple, NoReturn

import numpy as np

from ..errors import FormatError, TruncatedFile
from ..source import Format, Header, Layout
from .pairs import check_radio, exact_rate
from .ranges import check_frames, check_unchanged, explain, is_remote
from .stated import stated_rate

# Lines between noted offsets: at 40 bytes a line a read starts at most 2.6 MB too early, and a file of 10 GB (2.5e8
# samples) has an index of 4,000 numbers.
EVERY = 1 << 16
_BLOCK = 1 << 21
LONGEST_LINE = 1 << 12
# Samples taken for a header look like rates of a millionth of a hertz; no receiver is as slow as this.
LEAST_RATE = 1.0

_NUMBER = r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?|nan)"
_LINE = re.compile(rf"\s*({_NUMBER})(?:[ \t]*[|,;][ \t]*|[ \t]+)({_NUMBER})\s*".encode(), re.IGNORECASE)
_BROKEN = (b"e ", b"E ", b"e\t", b"E\t")
_MARK = b"\xef\xbb\xbf"  # that Windows puts before UTF-8
_PLAIN = b"0123456789+-.eE|,;\t \r\n"


class Piece(NamedTuple):
    """Whole lines, and the number of the first one as an editor shows it."""

    text: bytes
    number: int


class Index(NamedTuple):
    """Where lines begin: the byte of the first sample, and of every `EVERY`-th one after it; how many there are; and
    whether the last one ends."""

    offsets: tuple[int, ...]
    frames: int
    ended: bool


@dataclass(frozen=True)
class TextSource:
    """Parses the lines of the frames asked for; where they begin is looked up in an index that a process makes once.

    `header` says whether the first line is one.
    """

    path: str
    frames: int
    header: bool
    bytes: int
    modified_ns: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.frames,)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.complex128)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Frames [start, stop) -> (frames) complex128, each part the float64 nearest to what is written."""
        check_frames(self.path, start, stop, self.frames)
        if start == stop:
            return np.empty(0, self.dtype)
        try:
            with open(self.path, "rb") as file:
                status = os.fstat(file.fileno())
                if status.st_size < self.bytes:
                    found = min(_count(file, self.header).frames, stop) - start
                    raise TruncatedFile(self.path, wanted=stop - start, found=max(found, 0))
                check_unchanged(self.path, status, self.bytes, self.modified_ns)
                index = _index(self.path, self.bytes, self.modified_ns, self.header)
                values = np.empty((stop - start, 2))
                done = 0
                for piece in _pieces(self.path, file, index, self.header, start, stop):
                    some = _parse(self.path, piece)
                    values[done : done + len(some)] = some
                    done += len(some)
        except OSError as error:
            if isinstance(error, TruncatedFile):
                raise
            explain(self.path, error)
        return values.view(self.dtype)[:, 0]


def probe(
    path: str,
    *,
    rate: float | Fraction | None = None,
    center_frequency: float | None = None,
    header: bool = True,
    scale: float | None = None,
) -> Header:
    """Describe a text of complex samples; counts its lines, in bounded memory.

    The two numbers of a line are separated by `|`, a comma, a semicolon, a tab or blanks; lines end in LF or CRLF, the
    last one perhaps in nothing. Numbers are decimal, with a point.

    Parameters
    ----------
    rate : samples a second [Hz], instead of what the first line says
    center_frequency : [Hz], likewise; 0 without a header
    header : is the first line `rate|center`? With False it is a sample, and `rate=` is needed
    scale : volts of a written 1; left out, units are "1"

    Flags: "unterminated" where the last line does not end in a newline, so that its last number may have been cut.
    Raises `FormatError` for a first line that says no rate, and for remote files. A bad line is found when it is read,
    and named by its number.
    """
    if is_remote(path):
        raise FormatError(f"{path} is remote, texts of samples are read from disk; download it and open the copy")
    check_radio(path, rate=rate, center_frequency=center_frequency, scale=scale)
    if not header and rate is None:
        raise FormatError(f"{path}: header=False says that no line gives the rate; pass rate= in Hz")
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            first = file.readline(LONGEST_LINE)
    except OSError as error:
        explain(path, error)
    if header:
        stated = _stated(path, first, status.st_size)
        rate = stated[0] if rate is None else rate
        center_frequency = stated[1] if center_frequency is None else center_frequency
    assert rate is not None
    index = _index(path, status.st_size, status.st_mtime_ns, header)
    return Header(
        path=path,
        format="iqtext",
        frames=index.frames,
        rate=exact_rate(rate),
        shape=(index.frames,),
        dtype=np.dtype(np.complex128).str,
        subtype="TEXT",
        layout=(header,),
        bytes=status.st_size,
        modified_ns=status.st_mtime_ns,
        scale=1.0 if scale is None else scale,
        units="1" if scale is None else "V",
        flags=() if index.ended else ("unterminated",),
        center_frequency=0.0 if center_frequency is None else float(center_frequency),
    )


def source(path: str, frames: int, layout: Layout, bytes: int, modified_ns: int) -> TextSource:
    return TextSource(path, frames, bool(layout[0]), bytes, modified_ns)


def recognises(head: bytes) -> bool:
    """First bytes of a file -> two lines of two numbers, the first a rate?"""
    lines = head.removeprefix(_MARK).split(b"\n")
    match = _LINE.fullmatch(lines[0])
    return bool(match and len(lines) > 2 and _LINE.fullmatch(lines[1]) and LEAST_RATE <= float(match[1]) < math.inf)


def _stated(path: str, line: bytes, size: int) -> tuple[Fraction, float]:
    """The first line -> rate and centre frequency [Hz]."""
    match = _LINE.fullmatch(line.removeprefix(_MARK))
    rate, center = (float(match[1]), float(match[2])) if match else (math.nan, math.nan)
    if not (LEAST_RATE <= rate < math.inf and math.isfinite(center)):
        raise FormatError(
            f"{path} ({size} bytes): its first line is {line[:80]!r}, 'rate|center' was expected, two numbers in Hz, "
            f"the rate {LEAST_RATE:g} or more; if it is the first sample, pass header=False and rate="
        )
    return stated_rate(path, rate), center


# Made at the probe, and again in each worker that reads the file: a few kilobytes for each of the files last read.
@lru_cache(maxsize=64)
def _index(path: str, size: int, modified_ns: int, header: bool) -> Index:
    try:
        with open(path, "rb") as file:
            return _count(file, header)
    except OSError as error:
        explain(path, error)


def _count(file: BufferedReader, header: bool) -> Index:
    """One pass over the file. Empty lines at its end are no samples."""
    file.seek(0)
    begin = len(file.readline(LONGEST_LINE)) if header else 0
    file.seek(begin)
    offsets, frames, ended, position = [begin], 0, 0, begin
    while block := file.read(_BLOCK):
        count = block.count(b"\n")
        if (ended + count) // EVERY > ended // EVERY:
            newlines = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
            offsets += (position + 1 + newlines[-(ended + 1) % EVERY :: EVERY]).tolist()
        if text := block.rstrip():
            frames = ended + block.count(b"\n", 0, len(text)) + 1
        ended += count
        position += len(block)
    return Index(tuple(offsets), frames, frames <= ended)


def _pieces(path: str, file: BufferedReader, index: Index, header: bool, start: int, stop: int) -> Iterator[Piece]:
    """The text of samples [start, stop) in pieces of whole lines, read from the last noted offset on."""
    line = start // EVERY * EVERY
    file.seek(index.offsets[start // EVERY])
    rest = b""
    while line < stop:
        block = file.read(_BLOCK)
        text = rest + block
        if not block and text:
            text += b"\n"  # of the last line, which may do without
        cut = text.rfind(b"\n") + 1
        text, rest = text[:cut], text[cut:]
        count = text.count(b"\n")
        low, high = max(start - line, 0), min(stop - line, count)
        if low < high:
            begin = _after(text, low)
            yield Piece(text[begin : _after(text, high)] if high < count else text[begin:], line + low + header + 1)
        line += count
        if len(rest) > LONGEST_LINE:
            _refuse(path, line + header + 1, rest)
        if not block and line < stop:
            raise TruncatedFile(path, wanted=stop - start, found=max(line - start, 0))


def _after(text: bytes, lines: int) -> int:
    """The byte after so many lines."""
    if lines == 0:
        return 0
    return int(np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))[lines - 1]) + 1


def _parse(path: str, piece: Piece) -> np.ndarray:
    """Whole lines -> (lines, 2) float64."""
    text, number = piece
    first = text[: text.index(b"\n")]
    separator = next((chr(mark) for mark in first if mark in b"|,;"), r"\s+")
    # pandas reads five times as fast as NumPy or float() do, but also takes words, and `1e 2` for 100.
    if not text.translate(None, _PLAIN) and not any(broken in text for broken in _BROKEN):
        import pandas

        exact = {} if _version(pandas.__version__) >= (3, 1) else {"float_precision": "round_trip"}
        try:
            frame = pandas.read_csv(
                BytesIO(text),
                sep=separator,
                header=None,
                dtype=np.float64,
                na_filter=False,
                skip_blank_lines=False,
                low_memory=False,
                **exact,
            )
        except ValueError:
            pass  # the way below says which line it is
        else:
            if frame.shape == (text.count(b"\n"), 2):
                return frame.to_numpy()
    rows = []
    for k, line in enumerate(text.split(b"\n")[:-1]):
        match = _LINE.fullmatch(line)
        if not match:
            _refuse(path, number + k, line)
        rows.append((float(match[1]), float(match[2])))
    return np.array(rows)


@lru_cache(maxsize=1)
def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def _refuse(path: str, number: int, line: bytes) -> NoReturn:
    raise FormatError(
        f"{path}, line {number}: {line[:80]!r} is no sample, two decimal numbers 're|im' were expected, "
        "separated by |, a comma, a semicolon, a tab or blanks; correct or remove the line, or skip the file"
    )


FORMAT = Format(name="iqtext", suffixes=(".csv", ".txt"), recognises=recognises, probe=probe, source=source, listed=())
