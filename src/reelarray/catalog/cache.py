"""Headers that were read before: one JSON file a scanned folder, in the user's cache folder or elsewhere."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from reelarray.catalog.columns import Headers, Make

log = logging.getLogger(__name__)

# Goes up whenever a header is read differently: a cache of another version is read again, not trusted.
VERSION = 5
_NUMBERS = ("bytes", "modified", "make", "frames", "start")


def cache_file(root: str, request: Mapping[str, Any], cache: str | os.PathLike[str] | None) -> Path:
    """Where the headers of one folder are kept; `request` is whatever changes what is read (format and its options).

    `cache` is a folder, or a file that ends in .json; None is the user's cache folder of the system.
    """
    if cache is not None and os.fspath(cache).lower().endswith(".json"):
        return Path(cache)
    if cache is None:
        from platformdirs import user_cache_path

        folder = user_cache_path("reelarray", appauthor=False) / "catalog"
    else:
        folder = Path(cache)
    key = (os.path.abspath(root) if "://" not in root else root) + "\n" + _as_text(request)
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def load(file: Path, request: Mapping[str, Any]) -> Headers:
    """Headers that were kept; none, and a logged warning, where the cache cannot be read.

    Headers that were read at another request (format, options) do not count.
    """
    try:
        content = json.loads(file.read_bytes())
        if content["version"] == VERSION and content["request"] == _as_text(request):
            return _headers(content)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, OverflowError) as error:
        log.warning(
            "%s: the header cache cannot be read (%s: %s); headers are read again", file, type(error).__name__, error
        )
    return Headers.unread([], [], [])


def _headers(content: Mapping[str, Any]) -> Headers:
    """What was saved; an error where columns are not of one length, or a row has no make."""
    path, makes = [str(path) for path in content["path"]], [_make(record) for record in content["makes"]]
    headers = Headers.unread(path, content["bytes"], content["modified"])
    headers.makes += makes
    headers.metadata |= {int(row): dict(facts) for row, facts in content["metadata"].items()}
    headers.breaks |= {int(row): tuple((int(f), int(ns)) for f, ns in b) for row, b in content["breaks"].items()}
    for name in ("make", "frames", "start"):
        setattr(headers, name, np.array(content[name], np.int64))
    if {getattr(headers, name).shape for name in _NUMBERS} != {(len(path),)}:
        raise ValueError("its columns differ in length")
    if len(path) and not (headers.make.min() >= 0 and headers.make.max() < len(makes)):
        raise ValueError("a file is of no make")
    return headers


def _make(record: list[Any]) -> Make:
    made = Make(*record)
    return made._replace(
        rate=Fraction(made.rate), frame=tuple(made.frame), layout=tuple(made.layout), flags=tuple(made.flags)
    )


def _as_text(request: Mapping[str, Any]) -> str:
    return json.dumps(dict(request), sort_keys=True, default=str)


def save(file: Path, request: Mapping[str, Any], headers: Headers) -> None:
    """Write all headers at once: to a temporary name, then one rename. Failing is only logged."""
    content = {
        "version": VERSION,
        "request": _as_text(request),
        "path": headers.path,
        **{name: getattr(headers, name).tolist() for name in _NUMBERS},
        "makes": [make._replace(rate=str(make.rate)) for make in headers.makes],  # type: ignore[arg-type]
        "metadata": headers.metadata,
        "breaks": headers.breaks,
    }
    try:
        write_atomically(file, json.dumps(content, separators=(",", ":"), allow_nan=True))
    except OSError as error:
        log.warning("%s: the header cache cannot be written (%s); the next scan reads all headers again", file, error)


def write_atomically(file: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the new one, never a part."""
    file.parent.mkdir(parents=True, exist_ok=True)
    # not tempfile's, which are for their owner alone: this one follows the umask, which cannot be asked for in a thread
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        with open(temporary, "x", encoding="utf-8", newline="") as stream:
            stream.write(text)
        os.replace(temporary, file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
