"""Which files a scan looks at: folders, files, patterns and URLs to paths, sizes and times of modification."""

from __future__ import annotations

import fnmatch
import glob
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from reelarray.catalog.names import file_name
from reelarray.catalog.soundtrap import LOG_SUFFIX, log_beside
from reelarray.errors import RecordingError, ReelError

log = logging.getLogger(__name__)

# What lies beside recordings and is read by name, never as a recording.
TIMESTAMPS = "timestamp.csv"
_MAGIC = re.compile(r"[*?\[]")


class NoFiles(ReelError, FileNotFoundError):
    """Nothing to scan: a path that does not exist, an empty folder, or a pattern that no file matches."""


class Listed(NamedTuple):
    """One file as the folder lists it. `root` is the scanned folder, `modified` ns since 1970 (0: unknown)."""

    path: str
    bytes: int
    modified: int
    root: str


@dataclass(frozen=True)
class Listing:
    """Files to scan, sidecar files beside them, how many others were passed over, and folders listed completely."""

    files: list[Listed]
    timestamps: list[str]
    logs: frozenset[str]
    excluded: list[str]
    passed_over: int
    whole: frozenset[str]


def list_files(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    suffixes: Sequence[str],
    pattern: str | None = None,
    exclude: str | Sequence[str] | None = None,
    recursive: bool = True,
) -> Listing:
    """List the files of folders, glob patterns, single paths or URLs; each once, hidden ones never.

    In a folder the files with a known suffix count, in capitals or not; `pattern` (as "*.wav") replaces the suffixes. A
    file that is named itself, or by a glob pattern that ends in a suffix, counts whatever its suffix is.

    Raises
    ------
    NoFiles : nothing there, or nothing left
    PermissionError : a folder that cannot be listed
    RecordingError : paths of another type
    """
    named = [paths] if isinstance(paths, str | os.PathLike) else list(paths) if isinstance(paths, Iterable) else None
    if named is None or not all(isinstance(path, str | os.PathLike) for path in named):
        raise RecordingError(
            f"{paths!r} was given; expected a folder, a file, a glob pattern, a URL, or a list of these"
        )
    patterns = [exclude] if isinstance(exclude, str) else list(exclude or ())
    seen: dict[str, Listed] = {}
    timestamps: set[str] = set()
    logs: set[str] = set()
    excluded: list[str] = []
    effective: set[str] = set()
    whole: set[str] = set()
    passed_over = 0
    for path in named:
        entries, wanted, is_whole = _entries(os.fspath(path), pattern, suffixes, recursive)
        for entry in entries:
            name = file_name(entry.path)
            lower = name.lower()
            if lower == TIMESTAMPS:
                timestamps.add(entry.path)
            elif lower.endswith(LOG_SUFFIX):
                logs.add(entry.path)
            elif not wanted(lower):
                passed_over += 1
            elif patterns and (matched := _excluding(entry, patterns)):
                excluded.append(entry.path)
                effective |= matched
            else:
                seen.setdefault(entry.path, entry)
            if is_whole:
                whole.add(entry.root)
    if not seen:
        _nothing_left([os.fspath(path) for path in named], pattern, suffixes, excluded, passed_over)
    for idle in set(patterns) - effective:
        log.warning("exclude=%r leaves out no file", idle)
    whole = whole if pattern is None and not patterns and recursive else set()
    files = sorted(seen.values(), key=itemgetter(0))
    return Listing(files, sorted(timestamps), frozenset(logs), excluded, passed_over, frozenset(whole))


def _entries(
    path: str, pattern: str | None, suffixes: Sequence[str], recursive: bool
) -> tuple[Iterator[Listed], Any, bool]:
    """Files of one path, which of their names (in lower case) are wanted, and whether they are all of a folder."""
    known = tuple(suffix.lower() for suffix in suffixes)

    def is_known(lower: str) -> bool:
        return not known or lower.endswith(known)

    def matches(lower: str) -> bool:
        return fnmatch.fnmatchcase(lower, like)

    def always(lower: str) -> bool:
        return pattern is None or matches(lower)

    like = "" if pattern is None else pattern.lower()
    in_folder = is_known if pattern is None else matches
    if "://" in path:
        return _remote(path, recursive), always if "." in file_name(path) else in_folder, False
    if os.path.isdir(path):
        return _walk(path, recursive), in_folder, True
    if os.path.exists(path):
        beside = log_beside(path)
        return (_stat(each) for each in (path, beside) if each == path or os.path.exists(beside)), always, False
    if not _MAGIC.search(path):
        raise NoFiles(
            f"{path} does not exist (looked for from {os.getcwd()}); check the path, or pass a folder or a pattern"
        )
    ends_in_suffix = "." in file_name(path) and not file_name(path).endswith("*")
    return _glob(path), always if ends_in_suffix else in_folder, False


def _walk(root: str, recursive: bool) -> Iterator[Listed]:
    root = os.path.abspath(root)
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        # a link to a folder could lead back up
                        if recursive and not entry.is_symlink():
                            folders.append(entry.path)
                        continue
                    try:
                        status = entry.stat()
                    except OSError:  # a broken link, or gone since: it becomes a row that says so
                        yield Listed(entry.path, 0, 0, root)
                        continue
                    yield Listed(entry.path, status.st_size, status.st_mtime_ns, root)
        except PermissionError as error:
            raise PermissionError(
                error.errno,
                "the folder cannot be listed; ask for the right to read it, or scan its neighbours by name",
                folder,
            ) from None


def _stat(path: str) -> Listed:
    path = os.path.abspath(path)
    try:
        status = os.stat(path)
    except OSError:
        return Listed(path, 0, 0, os.path.dirname(path))
    return Listed(path, status.st_size, status.st_mtime_ns, os.path.dirname(path))


def _glob(pattern: str) -> Iterator[Listed]:
    folder, name = os.path.split(pattern)
    # glob knows no capitals: the name is matched here, so that *.wav finds .WAV everywhere
    folders = glob.glob(folder, recursive=True) if _MAGIC.search(folder) else [folder]
    if name == "**":
        for root in folders:
            yield from _walk(root or ".", True)
        return
    for folder_found in folders:
        if not os.path.isdir(folder_found or "."):
            continue
        for entry in _walk(folder_found or ".", False):
            beside = file_name(entry.path).lower()
            if fnmatch.fnmatchcase(beside, name.lower()) or beside == TIMESTAMPS or beside.endswith(LOG_SUFFIX):
                yield entry


def _remote(url: str, recursive: bool) -> Iterator[Listed]:
    from reelarray.formats.ranges import remote_filesystem

    filesystem, key = remote_filesystem(url)
    scheme = url.partition("://")[0]
    if _MAGIC.search(key):
        found = filesystem.glob(key, detail=True)
    else:
        found = filesystem.find(key, maxdepth=None if recursive else 1, detail=True)
    if not found:
        raise NoFiles(
            f"{url}: nothing was found at this address; check it, or give the addresses of the files themselves"
        )
    for name, info in found.items():
        if info.get("type") == "directory" or file_name(name).startswith("."):
            continue
        path = name if "://" in name else f"{scheme}://{name.lstrip('/')}" if scheme != "file" else f"file://{name}"
        yield Listed(path, int(info.get("size") or 0), 0, url)


def _excluding(entry: Listed, patterns: Sequence[str]) -> set[str]:
    """Which of the patterns leave a file out: by its name, a folder that it is in, or its path."""
    inside = entry.path[len(entry.root) :].lstrip("/\\") if entry.path.startswith(entry.root) else entry.path
    texts = {entry.path, inside, *re.split(r"[/\\]", inside)}
    return {
        pattern
        for pattern in patterns
        if any(fnmatch.fnmatchcase(text.lower(), pattern.lower()) for text in texts)
        or f"{entry.path}{os.sep}".startswith(os.path.abspath(pattern) + os.sep)
    }


def _nothing_left(
    named: list[str], pattern: str | None, suffixes: Sequence[str], excluded: list[str], passed_over: int
) -> None:
    shown = ", ".join(named[:10])
    if excluded:
        raise NoFiles(f"{shown}: exclude= leaves out all {len(excluded)} files; correct it, or leave it out")
    expected = f"names like {pattern!r}" if pattern is not None else f"suffixes {' '.join(sorted(set(suffixes)))}"
    found = f"{passed_over} other files" if passed_over else "no files"
    raise NoFiles(
        f"{shown or 'no path at all'}: {found} found, none that count as recordings (expected {expected}); pass "
        "pattern= to choose files by name, or format= to say what they are"
    )


def natural_order(path: str) -> list[tuple[int, int | str]]:
    """Sort key that puts file2 before file10."""
    return [(0, int(piece)) if piece.isdigit() else (1, piece.lower()) for piece in re.split(r"(\d+)", path) if piece]
