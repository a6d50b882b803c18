"""Outputs that are in place: their sizes and checksums, and whether they are still what was written."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import zlib
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

_ENDS = 65_536  # bytes at either end of a recording that tell it apart
_PART = 1 << 20  # bytes
_NUMBERED = re.compile(r"\.+(.+?)\.[0-9a-f]{12}\.part")


class Output(NamedTuple):
    """A file, or a folder of files, that was made: `crc` of files only."""

    path: str
    bytes: int
    crc: int | None


def measure(path: str) -> Output:
    """An output as it is now.

    Raises
    ------
    FileNotFoundError : it is not there
    """
    if os.path.isdir(path):
        return Output(path, sum(f.stat().st_size for f in Path(path).rglob("*") if f.is_file()), None)
    size = check = 0
    with open(path, "rb") as file:
        while part := file.read(_PART):
            size, check = size + len(part), zlib.crc32(part, check)
    return Output(path, size, check)


def sound(output: Output) -> bool:
    """Whether an output holds what was written."""
    try:
        return measure(output.path) == output
    except OSError:
        return False


def there(groups: Iterable[Iterable[Output]]) -> set[str]:
    """Paths of outputs that are not there, or not as long as they were: one listing a folder, nothing is opened."""
    by_folder: dict[str, dict[str, Output]] = {}
    for group in groups:
        for each in group:
            folder, name = os.path.split(each.path)
            by_folder.setdefault(folder, {})[name] = each
    missing: set[str] = set()
    for folder, wanted in by_folder.items():
        found = set()
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                known = wanted.get(entry.name)
                if known is not None and (known.crc is None or entry.stat().st_size == known.bytes):
                    found.add(entry.name)
        missing |= {each.path for name, each in wanted.items() if name not in found}
    return missing


def content(path: str) -> str:
    """A hash of both ends of a file, and its size: what a file is, whatever its name."""
    size = os.path.getsize(path)
    made = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        made.update(file.read(_ENDS))
        if size > _ENDS:
            file.seek(max(_ENDS, size - _ENDS))
            made.update(file.read(_ENDS))
    return made.hexdigest()[:32]


def sweep(targets: Iterable[str]) -> None:
    """Remove temporary files that were to become these outputs: who wrote them was ended."""
    names: dict[str, set[str]] = {}
    for target in targets:
        folder, name = os.path.split(target)
        names.setdefault(folder, set()).add(name[:200])
    for folder, wanted in names.items():
        for leftover in _temporary(folder, wanted):
            log.info("removed %s, which was left behind", leftover)
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def _temporary(folder: str, names: Collection[str]) -> list[Path]:
    """Temporary files in a folder that were to become files of some names: `sinks.atomic` names them so."""
    try:
        found = [name for name in os.listdir(folder) if name.startswith(".") and ".part" in name]
    except OSError:
        return []
    return [Path(folder, name) for name in found if _becomes(name) in names]


def _becomes(temporary: str) -> str:
    """What a temporary file was to become; a writer may have made one for the temporary name of another.

    >>> [_becomes(n) for n in (".a.png.0123456789ab.part", "..a.npz.0123456789ab.part.npz.ba9876543210.part")]
    ['a.png', 'a.npz']
    >>> _becomes(".a.zarr.writing.part")
    'a.zarr'
    """
    numbered = _NUMBERED.match(temporary)
    return numbered[1] if numbered else temporary[1:].rpartition(".part")[0].rpartition(".")[0]
