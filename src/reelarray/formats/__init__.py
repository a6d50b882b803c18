"""The registry of file formats: which module reads a file, by name, by suffix, or by its first bytes."""

from __future__ import annotations

import difflib
import inspect
import os
import warnings
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import cache, lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from ..errors import FormatError
from ..exact import NANOSECONDS
from ..source import Format, Header, Source
from .ranges import HeaderBytes, is_remote

__all__ = ["check_keywords", "detect", "format_names", "get_format", "is_complete", "listed", "probe", "source"]

GROUP = "reelarray.formats"
# As in pyproject.toml, so that ours work from a source tree too, and cannot be replaced by another package.
_OURS = {
    "wav": "reelarray.formats.wav:FORMAT",
    "libsndfile": "reelarray.formats.libsndfile:FORMAT",
    "npz": "reelarray.formats.npz:FORMAT",
    "raw": "reelarray.formats.raw:FORMAT",
    "tiq": "reelarray.formats.tiq:FORMAT",
    "sigmf": "reelarray.formats.sigmf:FORMAT",
    "iqt": "reelarray.formats.iqt:FORMAT",
    "xdat": "reelarray.formats.xdat:FORMAT",
    "r3f": "reelarray.formats.r3f:FORMAT",
    "iqbin": "reelarray.formats.iqbin:FORMAT",
    "iqtext": "reelarray.formats.iqtext:FORMAT",
    "tdms": "reelarray.formats.tdms:FORMAT",
    "depth": "reelarray.formats.depth:FORMAT",
}
_MAGIC_BYTES = 512
_LATEST = 2**62  # ns: labels and what is computed of them stay within 64 bits


def format_names() -> tuple[str, ...]:
    """The names that `format=` takes: ours first, then those of other packages.

    >>> format_names()[:4]
    ('wav', 'libsndfile', 'npz', 'raw')
    """
    return (*_OURS, *_theirs())


@cache
def get_format(name: str) -> Format:
    """The format of that name; raises `FormatError` that names those there are.

    >>> get_format("wav").suffixes[0]
    '.wav'
    """
    if name in _OURS:
        module, _, attribute = _OURS[name].partition(":")
        found = getattr(import_module(module), attribute)
    elif name in _theirs():
        point = _theirs()[name]
        try:
            found = point.load()
        except Exception as error:
            raise FormatError(
                f"format {name!r} comes from {point.value}, which cannot be loaded ({type(error).__name__}: {error}); "
                "update or uninstall that package"
            ) from error
    else:
        raise FormatError(f"format {name!r} is not known; known are {', '.join(format_names())}")
    if not isinstance(found, Format):
        raise FormatError(f"format {name!r} should be a reelarray.source.Format, found {found!r}; update its package")
    return found


def detect(path: str | os.PathLike[str], head: bytes | None = None) -> Format:
    """The format of a file: by its suffix, which its first bytes must confirm, else by its first bytes.

    `head` is the first 512 bytes where the caller has them already. Raises `FormatError` that names the candidates.
    """
    path = os.fspath(path)
    candidates = _by_suffix().get(_suffix(path), ())
    if head is None:
        with closing(HeaderBytes(path)) as file:
            head = file.get(0, _MAGIC_BYTES)
    found = [get_format(name) for name in candidates or format_names() if _loads(name)]
    found = [each for each in found if (bool(candidates) if each.recognises is None else each.recognises(head))]
    if len(found) == 1:
        return found[0]
    seen = f"starts with {head[:16]!r}" if head else "is empty"
    if candidates and not found:
        raise FormatError(
            f"{path} {seen}, which its suffix {_suffix(path)!r} ({', '.join(candidates)}) does not allow; pass format= "
            f"if it is something else ({', '.join(format_names())}), or skip it"
        )
    if found:
        names = ", ".join(format.name for format in found)
        raise FormatError(f"{path} {seen}, which {names} all read; choose one with format=")
    raise FormatError(
        f"{path} {seen}, which no format recognises, and neither is the suffix {_suffix(path)!r}; known are "
        f"{_known()}; pass format= to choose one, or leave this file out"
    )


def probe(path: str | os.PathLike[str], format: str | None = None, **options: Any) -> Header:
    """Read what one file says about itself: detection, and one open. `options` are the format's own.

    Raises `FormatError` where the file is not what its suffix or `format` says, `OSError` of the usual kinds where it
    cannot be opened.
    """
    path = os.fspath(path)
    if format is not None:
        chosen = get_format(format)
    else:
        candidates = _by_suffix().get(_suffix(path), ())
        # A suffix that names one format needs no look at the file: the format's own probe says what else it found.
        chosen = get_format(candidates[0]) if len(candidates) == 1 else detect(path)
    if options and (known := _options(chosen)) is not None and (wrong := sorted(options.keys() - known)):
        raise TypeError(
            f"{path}: its format {chosen.name!r} takes {', '.join(sorted(known)) or 'no options'}, and {wrong[0]}= was "
            "given; leave it out, or open the files of each format apart (pattern=)"
        )
    header = chosen.probe(path, **options)
    _check_times(header)
    return header


def _check_times(header: Header) -> None:
    """Refuse what no clock of whole nanoseconds in 64 bits can tell, before anything computes with it."""
    cycles, seconds = header.rate.as_integer_ratio()
    frame, since = header.breaks[-1] if header.breaks else (0, 0)
    ends = (header.frames - frame) * NANOSECONDS * seconds + since * cycles  # ns, times the cycles
    start = header.start_ns or 0
    if cycles > NANOSECONDS * seconds or ends > _LATEST * cycles or not -_LATEST < start < _LATEST:
        shown = f"{float(header.rate):.6g}" if cycles < 10**300 else "more than 1e+300"
        raise FormatError(
            f"{header.path}: {header.frames:,} frames at {shown} Hz"
            f"{' with jumps of time' if header.breaks else ''} are no recording that a clock in nanoseconds can tell "
            "(1 GHz and 146 years are the most); its header is damaged: skip it, or pass what it should say"
        )


def is_complete(path: str | os.PathLike[str], format: str | None = None) -> bool | None:
    """Is a recording finished, by the size that its own header declares? None where the format cannot tell.

    Cheap: no sample is read. An empty file, and one that is shorter than its header, are not finished. A file without a
    declared size (headerless samples, text) may still grow: look at its size again later.

    Raises
    ------
    FormatError : a file that no format recognises, or with a header that is broken
    OSError : a file that cannot be opened

    >>> import tempfile, wave
    >>> path = tempfile.mkdtemp() + "/a.wav"
    >>> with wave.open(path, "wb") as file:
    ...     file.setparams((1, 2, 8000, 0, "NONE", "")); file.writeframes(bytes(16000))
    >>> is_complete(path)
    True
    """
    path = os.fspath(path)
    if format is None:
        candidates = _by_suffix().get(_suffix(path), ())
        if not is_remote(path) and os.path.isfile(path) and not os.path.getsize(path):
            return False
        chosen = get_format(candidates[0]) if len(candidates) == 1 else detect(path)
    else:
        chosen = get_format(format)
    return chosen.complete(path)


def listed(format: str | None = None) -> tuple[str, ...]:
    """The suffixes that a search of folders takes by itself, of all formats, or all suffixes of a named one.

    >>> ".wav" in listed(), ".csv" in listed()
    (True, False)
    """
    if format is not None:
        return get_format(format).suffixes
    found = map(get_format, filter(_loads, format_names()))
    return tuple(suffix for each in found for suffix in (each.suffixes if each.listed is None else each.listed))


def check_keywords(given: Iterable[str], format: str | None, *functions: Callable[..., Any]) -> None:
    """Refuse keywords that neither `functions` nor the format (None: any of them) take.

    The first function is the one that was called. Raises `TypeError` that names the nearest keyword, and all of them.
    """
    given = list(given)
    if not given:
        return
    formats = [get_format(name) for name in ((format,) if format is not None else filter(_loads, format_names()))]
    options = [_options(each) for each in formats]
    keywords = [_keywords(function) for function in functions]
    known = sorted({name for names in (*keywords, *options) if names is not None for name in names})
    for name in given:
        if None not in options and name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise TypeError(
                f"{functions[0].__name__}() has no keyword {name!r}{f'; did you mean {near[0]!r}?' if near else ''}; "
                f"it takes {', '.join(known)}"
            )


def _keywords(function: Callable[..., Any]) -> frozenset[str]:
    parameters = inspect.signature(function).parameters.values()
    return frozenset(each.name for each in parameters if each.kind == each.KEYWORD_ONLY)


@cache
def _options(format: Format) -> frozenset[str] | None:
    """What its probe takes besides the path; None where that is anything."""
    parameters = list(inspect.signature(format.probe).parameters.values())
    if any(each.kind == each.VAR_KEYWORD for each in parameters):
        return None
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return frozenset(each.name for each in parameters[1:] if each.kind in named)


def described_by(path: str | os.PathLike[str], format: str | None = None) -> frozenset[str]:
    """The options of a file's format, by its name or by the suffix alone; none where these do not tell.

    >>> "rate" in described_by("x.cu8"), "rate" in described_by("x.wav"), "rate" in described_by("x", "raw")
    (True, False, True)
    """
    names = (format,) if format is not None else _by_suffix().get(_suffix(os.fspath(path)), ())
    return (_options(get_format(names[0])) or frozenset()) if len(names) == 1 else frozenset()


def source(header: Header) -> Source:
    """The source of a file's samples, by its header; opens nothing."""
    return get_format(header.format).source(header.path, header.frames, header.layout, header.bytes, header.modified_ns)


@lru_cache(maxsize=1)
def _theirs() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in _OURS}


@lru_cache(maxsize=1)
def _by_suffix() -> dict[str, tuple[str, ...]]:
    """Suffix -> names of formats; where one of ours has a suffix, others do not."""
    ours: dict[str, tuple[str, ...]] = {}
    theirs: dict[str, tuple[str, ...]] = {}
    for name in filter(_loads, format_names()):
        table = ours if name in _OURS else theirs
        for suffix in get_format(name).suffixes:
            table[suffix] = (*table.get(suffix, ()), name)
    return theirs | ours


@cache
def _loads(name: str) -> bool:
    """Can it be used? A package that is broken must not take the other formats down with it."""
    try:
        get_format(name)
    except FormatError as error:
        warnings.warn(str(error), stacklevel=3)
        return False
    return True


def _suffix(path: str) -> str:
    if is_remote(path):
        path = path.partition("?")[0].partition("#")[0]
    return path[path.rfind(".") :].lower()  # half the time of os.path.splitext; a folder's dot is in no table


def _known() -> str:
    return ", ".join(f"{name} ({' '.join(get_format(name).suffixes) or 'by name only'})" for name in format_names())
