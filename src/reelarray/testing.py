"""The test kit of formats: what any format must keep, ours or another package's, checked on one file."""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from .errors import FormatError, TruncatedFile
from .formats import detect, get_format, probe, source
from .source import Header, Source

CUTS = 20
# Where files are cut: most of the way through, in the middle of a sample if samples have more than one byte.
KEPT = 0.6


def check_format(
    path: str | os.PathLike[str],
    *,
    expected: np.ndarray | None = None,
    format: str | None = None,
    beside: Sequence[str | os.PathLike[str]] = (),
    **options: Any,
) -> Header:
    """Check that a format keeps the contract on one local file, of at least a few hundred frames; returns the header.

    The contract:

    * The format is registered. Detection finds it from the file, unless `format` names it.
    * `probe` gives a header whose shape begins with `frames`, whose rate is positive, whose `layout` is a tuple of
      plain values, and whose size is the file's; twice the same. The source has that shape and type.
    * The source is a value: equal and of equal hash after pickling, and it reads the same then.
    * `read(start, stop)` gives exactly those frames in native byte order: no frames for an empty range, the same
      samples for any cut, an `IndexError` or `ValueError` beyond the file. Two threads at once get the same. The file
      is closed after each read.
    * A file that lost its end is loud: a source of the whole file raises `TruncatedFile` or `FormatError` where
      frames are missing; a fresh probe raises, or flags what it found, or gives a source that raises. Never fewer
      samples in silence. (A headerless file can only tell by an incomplete last frame: check one with frames of two
      bytes or more.)

    Parameters
    ----------
    path : a good file of the format
    expected : (frames, ...) what reading all of it must give, to the bit
    format, options : as for `reelarray.formats.probe`
    beside : other files of the recording, in the same folder; the longest of all is taken for that of the samples

    Raises `AssertionError` that says what is broken.

    >>> import tempfile, os, reelarray.testing
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "counts.bin")
    ...     np.arange(500, dtype="<i2").tofile(path)
    ...     header = check_format(path, format="raw", rate=100, dtype="<i2", expected=np.arange(500))
    >>> header.frames, header.dtype
    (500, '<i2')
    """
    path = os.fspath(path)
    header = _check_header(path, format, options)
    reader = source(header)
    whole = _check_reading(reader, header)
    if expected is not None:
        _require(
            whole.shape == np.shape(expected) and np.array_equal(whole, expected, equal_nan=whole.dtype.kind in "fc"),
            f"{path}: all frames differ from `expected`: {_difference(whole, np.asarray(expected))}",
        )
    _check_value(reader, whole)
    _check_truncation([path, *(os.fspath(each) for each in beside)], header, whole, format, options)
    return header


def _check_header(path: str, format: str | None, options: dict[str, Any]) -> Header:
    header = probe(path, format, **options)
    name = header.format
    registered = get_format(name)
    _require(registered.name == name, f"the format registered as {name!r} calls itself {registered.name!r}")
    with open(path, "rb") as file:
        head = file.read(512)
    if format is None:
        _require(header == probe(path, name, **options), f"{path}: probing by detection and by name give other headers")
        found = detect(path).name
        # A format may hand a file on: compressed WAV is detected as WAV and decoded by libsndfile.
        _require(
            found == name or probe(path, found).format == name,
            f"{path} is detected as {found!r}, its header says {name!r}",
        )
        recognises = get_format(found).recognises
        _require(
            recognises is None or recognises(head),
            f"{path}: {found!r} does not recognise the first bytes {head[:16]!r}",
        )
    empty = registered.recognises is not None and registered.recognises(b"")
    _require(not empty, f"format {name!r} recognises an empty file")
    _require(header == probe(path, format, **options), f"{path}: probing twice gives two headers")
    _require(header.path == path, f"{path}: the header's path is {header.path!r}")
    _require(header.rate > 0, f"{path}: the rate is {header.rate} Hz")
    _require(
        header.shape[:1] == (header.frames,), f"{path}: shape {header.shape} does not begin with {header.frames} frames"
    )
    _require(header.bytes == os.stat(path).st_size, f"{path}: {header.bytes} bytes, it has {os.stat(path).st_size}")
    _require(
        isinstance(header.layout, tuple)
        and all(value is None or isinstance(value, str | int | float) for value in header.layout),
        f"{path}: layout {header.layout!r} is no tuple of plain values",
    )
    _require(
        len(header.shape) - header.iq in (1, 1 + len(registered.dims)),
        f"{path}: shape {header.shape} does not fit the dimensions time, {', '.join(registered.dims)}",
    )
    return header


def _check_reading(reader: Source, header: Header) -> np.ndarray:
    path, frames = header.path, header.frames
    _require(tuple(reader.shape) == header.shape, f"{path}: the source has {reader.shape}, the header {header.shape}")
    _require(reader.dtype == np.dtype(header.dtype), f"{path}: the source is {reader.dtype}, the header {header.dtype}")
    _require(reader.dtype.isnative, f"{path}: samples in foreign byte order ({reader.dtype.str})")
    whole = reader.read(0, frames)
    _check_piece(path, reader, whole, 0, frames)
    for at in {0, frames // 2, frames}:
        _check_piece(path, reader, reader.read(at, at), at, at)
    for start, stop in _cuts(frames):
        piece = reader.read(start, stop)
        _check_piece(path, reader, piece, start, stop)
        _require(
            _same(piece, whole[start:stop]),
            f"{path}: frames [{start}, {stop}) differ from those of the whole: {_difference(piece, whole[start:stop])}",
        )
    for start, stop in ((-1, 1), (0, frames + 1), (frames, frames + 1), (1, 0)):
        try:
            reader.read(start, stop)
        except (IndexError, ValueError, TruncatedFile):
            continue
        raise AssertionError(f"{path}: read({start}, {stop}) of {frames} frames raises nothing")
    _require(_open_handles(path) == 0, f"{path}: the file stays open after read")
    return whole


def _check_value(reader: Source, whole: np.ndarray) -> None:
    copy = pickle.loads(pickle.dumps(reader))
    _require(copy == reader and hash(copy) == hash(reader), f"{reader!r} is another value after pickling")
    cuts = _cuts(len(whole))
    with ThreadPoolExecutor(2) as threads:
        pieces = list(threads.map(lambda cut: copy.read(*cut), cuts))
    for (start, stop), piece in zip(cuts, pieces, strict=True):
        _require(
            _same(piece, whole[start:stop]), f"{reader!r}: two threads at once get other frames at [{start}, {stop})"
        )


def _check_truncation(
    paths: list[str], header: Header, whole: np.ndarray, format: str | None, options: dict[str, Any]
) -> None:
    path = paths[0]
    with tempfile.TemporaryDirectory() as folder:
        copy, *_ = copies = [os.path.join(folder, Path(each).name) for each in paths]
        for each, to in zip(paths, copies, strict=True):
            shutil.copyfile(each, to)
        reader = source(probe(copy, format, **options))
        longest = max(copies, key=os.path.getsize)
        os.truncate(longest, int(os.path.getsize(longest) * KEPT) // 2 * 2 - 1)
        try:
            found = reader.read(0, header.frames)
        except (TruncatedFile, FormatError):
            pass
        else:
            raise AssertionError(f"{path}: cut to {KEPT:.0%} after the scan, it gives {len(found)} frames in silence")
        try:
            cut = probe(copy, format, **options)
            rest = source(cut).read(0, cut.frames)
        except (TruncatedFile, FormatError):
            return
        _require(
            len(rest) == cut.frames and (bool(cut.flags) or _same(rest, whole)),
            f"{path}: cut to {KEPT:.0%} before the scan, it gives {len(rest)} of {header.frames} frames without a flag",
        )


def _check_piece(path: str, reader: Source, piece: np.ndarray, start: int, stop: int) -> None:
    shape = (stop - start, *reader.shape[1:])
    _require(
        isinstance(piece, np.ndarray) and piece.shape == shape and piece.dtype == reader.dtype and piece.dtype.isnative,
        f"{path}: read({start}, {stop}) gives {getattr(piece, 'shape', None)} {getattr(piece, 'dtype', type(piece))}, "
        f"{shape} {reader.dtype} was expected",
    )


def _cuts(frames: int) -> list[tuple[int, int]]:
    """The first and last frame, and ranges all over the file: the same ones at each run."""
    ends = np.sort(np.random.default_rng(20220925).integers(0, frames + 1, (CUTS, 2)), axis=1).tolist()
    return [(0, min(1, frames)), (max(frames - 1, 0), frames), *((start, stop) for start, stop in ends)]


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def _difference(found: np.ndarray, expected: np.ndarray) -> str:
    if found.shape != expected.shape:
        return f"shape {found.shape}, not {expected.shape}"
    where = np.argwhere((found != expected) & ~((found != found) & (expected != expected)))
    if not len(where):
        return "same values, other bits"
    first = tuple(where[0].tolist())
    return f"{len(where)} samples, the first at {first}: {found[first]}, not {expected[first]}"


def _open_handles(path: str) -> int:
    """How many descriptors of this process lead to the file; 0 where the system does not tell."""
    folder = "/proc/self/fd"
    count = 0
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        with contextlib.suppress(OSError):  # the listing itself is one of them, and closed by now
            count += os.readlink(os.path.join(folder, name)) == os.path.realpath(path)
    return count


def _require(kept: bool, text: str) -> None:
    if not kept:
        raise AssertionError(text)
