"""Headers that were read before: one JSON file a scanned folder, in the user's cache folder or elsewhere."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

# Goes up whenever a header is read differently: a cache of another version is read again, not trusted.
VERSION = 2
Record = list[Any]
Key = tuple[str, int, int]


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


def load(file: Path, request: Mapping[str, Any]) -> dict[Key, Record]:
    """Records by (path, bytes, modified ns); nothing, and a logged warning, where the cache cannot be read.

    Headers that were read at another request (format, options) do not count.
    """
    try:
        content = json.loads(file.read_bytes())
        if content["version"] != VERSION or content["request"] != _as_text(request):
            return {}
        keys = zip(content["path"], content["bytes"], content["modified"], strict=True)
        return dict(zip(keys, content["records"], strict=True))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning(
            "%s: the header cache cannot be read (%s: %s); headers are read again", file, type(error).__name__, error
        )
        return {}


def _as_text(request: Mapping[str, Any]) -> str:
    return json.dumps(dict(request), sort_keys=True, default=str)


def save(file: Path, request: Mapping[str, Any], records: Mapping[Key, Record]) -> None:
    """Write all records at once: to a temporary name, then one rename. Failing is only logged."""
    paths, sizes, modified = zip(*records, strict=True) if records else ((), (), ())
    content = {
        "version": VERSION,
        "request": _as_text(request),
        "path": paths,
        "bytes": sizes,
        "modified": modified,
        "records": list(records.values()),
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
