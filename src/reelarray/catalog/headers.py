"""The headers of listed files: from the cache where size and time of modification still fit, else from the files."""

from __future__ import annotations

import logging
import os
import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from reelarray import formats
from reelarray.catalog import cache as store
from reelarray.catalog.files import Listed
from reelarray.errors import ReelError
from reelarray.source import Header

log = logging.getLogger(__name__)

# What a damaged file can raise in any reader; a wrong option (TypeError) is the caller's error, and goes up.
_DAMAGE = (ReelError, OSError, ValueError, LookupError, ArithmeticError, EOFError, RuntimeError, struct.error)


@dataclass(frozen=True)
class Headers:
    """Headers in the order of the files; an error text where one could not be read. `cached` were not read again."""

    found: list[Header | str]
    cached: int


def read_headers(
    files: Sequence[Listed],
    *,
    format: str | None,
    options: Mapping[str, Any],
    cache: bool | str | os.PathLike[str] | None,
    whole: frozenset[str],
    threads: int | None,
) -> Headers:
    """Read the headers of files that changed since the last scan; one that cannot be read is a text, not an error.

    Roots in `whole` were listed completely: what is not there any more is dropped from their cache.
    """
    found: list[Header | str | None] = [None] * len(files)
    request = {"format": format, **options}
    stores = {} if cache is False else _stores(files, request, None if cache is None or cache is True else cache)
    known = {file: store.load(file, request) for file in stores}
    rates: dict[str, Fraction] = {}
    for file, indices in stores.items():
        for index in indices:
            listed = files[index]
            record = known[file].get((listed.path, listed.bytes, listed.modified))
            if record is not None and listed.modified:
                found[index] = _from_record(listed, record, rates)
    missing = [index for index, header in enumerate(found) if header is None]
    for index, probed in zip(missing, _probe_all([files[i] for i in missing], format, options, threads), strict=True):
        found[index] = probed
    if missing:
        log.info("%d headers read, %d from the cache", len(missing), len(files) - len(missing))
    for file, indices in stores.items():
        if not missing and len(indices) == len(known[file]):
            continue  # nothing read, nothing gone
        fresh = {
            (header.path, header.bytes, header.modified_ns): _to_record(header)
            for index in indices
            if isinstance(header := found[index], Header) and header.modified_ns
        }
        complete = all(files[index].root in whole for index in indices)
        kept = fresh if complete else _newest(known[file], fresh)
        if kept.keys() != known[file].keys():
            store.save(file, request, kept)
    return Headers([header for header in found if header is not None], len(files) - len(missing))


def _stores(
    files: Sequence[Listed], request: Mapping[str, Any], place: str | os.PathLike[str] | None
) -> dict[Path, list[int]]:
    """Cache file -> indices of the files whose headers it keeps."""
    by_root = {root: store.cache_file(root, request, place) for root in {file.root for file in files}}
    stores: dict[Path, list[int]] = defaultdict(list)
    for index, file in enumerate(files):
        stores[by_root[file.root]].append(index)
    return stores


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


def _newest(old: dict[store.Key, store.Record], fresh: dict[store.Key, store.Record]) -> dict[store.Key, store.Record]:
    seen = {path for path, _, _ in fresh}
    return {key: record for key, record in old.items() if key[0] not in seen} | fresh


def _to_record(header: Header) -> store.Record:
    return [
        header.format,
        header.frames,
        str(header.rate),
        header.shape,
        header.dtype,
        header.subtype,
        header.layout,
        header.scale,
        header.offset,
        header.units,
        header.start_ns,
        header.flags,
        dict(header.metadata),
    ]


def _from_record(file: Listed, record: store.Record, rates: dict[str, Fraction]) -> Header | None:
    """Header of a record; None, so that it is read again, where the record is not one."""
    try:
        format, frames, rate, shape, dtype, subtype, layout, scale, offset, units, start_ns, flags, metadata = record
        if rate not in rates:
            rates[rate] = Fraction(rate)
        return Header(
            file.path,
            format,
            frames,
            rates[rate],
            tuple(shape),
            dtype,
            subtype,
            tuple(layout),
            file.bytes,
            file.modified,
            scale,
            offset,
            units,
            start_ns,
            tuple(flags),
            metadata,
        )
    except (TypeError, ValueError):
        log.warning("%s: its record in the header cache is damaged; the header is read again", file.path)
        return None
