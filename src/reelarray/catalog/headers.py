"""The headers of listed files: from the cache where size and time of modification still fit, else from the files."""

from __future__ import annotations

import logging
import os
import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from reelarray import formats
from reelarray.catalog import cache as store
from reelarray.catalog.columns import UNREAD, Headers
from reelarray.catalog.files import Listed
from reelarray.errors import ReelError
from reelarray.source import Header

log = logging.getLogger(__name__)

# What a damaged file can raise in any reader; a wrong option (TypeError) is the caller's error, and goes up.
_DAMAGE = (ReelError, OSError, ValueError, LookupError, ArithmeticError, EOFError, RuntimeError, struct.error)


def read_headers(
    files: Sequence[Listed],
    *,
    format: str | None,
    options: Mapping[str, Any],
    cache: bool | str | os.PathLike[str] | None,
    whole: frozenset[str],
    threads: int | None,
) -> tuple[Headers, int]:
    """Headers in the order of the files, and how many came from the cache, whose files are not opened.

    One that cannot be read is a text, not an error. Roots in `whole` were listed completely: what is not there any more
    is dropped from their cache.
    """
    found = Headers.unread([file.path for file in files], [f.bytes for f in files], [f.modified for f in files])
    request = {"format": format, **options}
    stores = {} if cache is False else _stores(files, request, None if cache is None or cache is True else cache)
    known = {place: store.load(place, request) for place in stores}
    for place, rows in stores.items():
        _recall(found, rows, known[place])
    missing = np.flatnonzero(found.make == UNREAD).tolist()
    found.put(missing, _probe_all([files[k] for k in missing], format, options, threads))
    if missing:
        log.info("%d headers read, %d from the cache", len(missing), len(files) - len(missing))
    alone = found.numbers(lambda make: formats.get_format(make.format).alone, False, np.bool_)
    for place, rows in stores.items():
        if not missing and len(rows) == len(known[place]):
            continue  # nothing read, nothing gone
        fresh = found.take(rows[(found.make[rows] != UNREAD) & (found.modified[rows] != 0) & alone[rows]])
        complete = all(files[k].root in whole for k in rows.tolist())
        kept = fresh if complete else _newest(known[place], fresh)
        if _keys(kept) != _keys(known[place]):
            store.save(place, request, kept)
    return found, len(files) - len(missing)


def _stores(
    files: Sequence[Listed], request: Mapping[str, Any], place: str | os.PathLike[str] | None
) -> dict[Path, np.ndarray]:
    """Cache file -> rows of the files whose headers it keeps."""
    roots = {root: store.cache_file(root, request, place) for root in dict.fromkeys(file.root for file in files)}
    if len(set(roots.values())) == 1:
        return {next(iter(roots.values())): np.arange(len(files))}
    stores: dict[Path, list[int]] = defaultdict(list)
    for row, file in enumerate(files):
        stores[roots[file.root]].append(row)
    return {path: np.array(rows) for path, rows in stores.items()}


def _recall(found: Headers, rows: np.ndarray, kept: Headers) -> None:
    """Put in what the cache holds of files that have the same size and time of modification."""
    wanted = [found.path[row] for row in rows.tolist()]
    if wanted == kept.path:
        which = np.arange(len(rows))
    else:
        place = {path: k for k, path in enumerate(kept.path)}
        which = np.array([place.get(path, -1) for path in wanted])
        rows, which = rows[which >= 0], which[which >= 0]
    same = (kept.bytes[which] == found.bytes[rows]) & (kept.modified[which] == found.modified[rows])
    same &= found.modified[rows] != 0
    found.copy_rows(rows[same], kept, which[same])


def _probe_all(
    files: Sequence[Listed], format: str | None, options: Mapping[str, Any], threads: int | None
) -> list[Header | str]:
    remote = any("://" in file.path for file in files)
    workers = threads if threads is not None else 16 if remote else 1

    def probe(file: Listed) -> Header | str:
        try:
            return formats.probe(file.path, format, **options)
        except _DAMAGE as error:
            text = str(error)
            return (
                text if file.path in text else f"{file.path}: {type(error).__name__}: {text}; repair it or exclude= it"
            )

    if workers <= 1 or len(files) < 2:
        return [probe(file) for file in files]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(probe, files))


def _newest(old: Headers, fresh: Headers) -> Headers:
    """Those of `old` whose paths are not in `fresh`, and `fresh`."""
    seen = set(fresh.path)
    kept = old.take(np.array([k for k, path in enumerate(old.path) if path not in seen], np.int64))
    both = Headers.unread([*kept.path, *fresh.path], np.zeros(len(kept) + len(fresh)), np.zeros(len(kept) + len(fresh)))
    both.copy_rows(np.arange(len(kept)), kept, np.arange(len(kept)))
    both.copy_rows(np.arange(len(fresh)) + len(kept), fresh, np.arange(len(fresh)))
    return both


def _keys(headers: Headers) -> set[tuple[str, int, int]]:
    return set(zip(headers.path, headers.bytes.tolist(), headers.modified.tolist(), strict=True))
