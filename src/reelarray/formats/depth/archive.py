"""Recordings packed as .tar.gz: unpacked once, on one way through, and read from there.

gzip can only be read from its beginning on: to read block by block would inflate all before each block again.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import os
import secrets
import shutil
import tarfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np

from ...errors import FormatError, Unwritable
from ..ranges import check_frames, check_unchanged, explain, is_remote
from .dat import DatSource
from .session import METADATA
from .stamps import FILES

log = logging.getLogger(__name__)

SUFFIXES = (".tar.gz", ".tgz")
FRAMES = "depth.dat"
_WANTED = (FRAMES, METADATA, *FILES)
_FACTS = "unpacked.json"
_STEP = 1 << 20  # bytes of a read or write
_DAMAGE = (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile)
_THREADS: dict[Path, threading.Lock] = {}


@dataclass(frozen=True)
class ArchiveSource:
    """Reads frames of the unpacked depth.dat; unpacks first where that is not there, as on another machine.

    `keep` is the folder for what is unpacked (None: the user's cache folder); `size` and `modified_ns` are the
    archive's, which is compared with them at each read.
    """

    path: str
    frames: int
    height: int
    width: int
    order: str
    keep: str | None
    size: int
    modified_ns: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.frames, self.height, self.width

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.uint16)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Frames [start, stop) -> (frames, y, x) uint16, in native byte order."""
        check_frames(self.path, start, stop, self.frames)
        folder = unpack(self.path, self.size, self.modified_ns, self.keep)
        file = folder / FRAMES
        inner = DatSource(str(file), self.frames, self.height, self.width, self.order, file.stat().st_size, 0)
        return inner.read(start, stop)


def is_archive(path: str) -> bool:
    return path.lower().endswith(SUFFIXES)


def stem(path: str) -> str:
    """The name of an archive without folder and suffixes.

    >>> stem("a/session_20240102.tar.gz")
    'session_20240102'
    """
    name = os.path.basename(path)
    suffix = next((each for each in SUFFIXES if name.lower().endswith(each)), "")
    return name[: len(name) - len(suffix)]


def unpack(path: str, size: int, modified_ns: int, keep: str | None = None) -> Path:
    """The folder with depth.dat and what describes it, of an archive of that size and time of modification.

    The first call unpacks, on one way through the archive; others, in this process or another, wait for it, and later
    ones find it done. What is there is whole. What was unpacked of the archive before it changed is deleted.

    Parameters
    ----------
    path, size, modified_ns : of the archive
    keep : folder for what is unpacked, as large as the frames; None is the user's cache folder

    Raises
    ------
    FormatError : damaged, without depth.dat, or not as it was
    Unwritable : no space, or no right to write
    """
    if is_remote(path):
        raise FormatError(f"{path} is remote, and archives are unpacked from disk; download it and open the copy")
    try:
        check_unchanged(path, os.stat(path), size, modified_ns)
    except OSError as error:
        explain(path, error)
    home = _home(path, keep)
    place = home / f"{size}-{modified_ns}"
    if _is_whole(place):
        return place
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _alone(home) as others_wait:
            if not _is_whole(place):
                if others_wait:
                    _forget(home)
                _unpack(path, size, place)
    except OSError as error:
        if isinstance(error, Unwritable):
            raise
        raise _unwritable(path, home, error) from error
    return place


def has_metadata(path: str, keep: str | None = None) -> bool:
    """Whether a metadata.json is in an archive: known of one that was unpacked, else by inflating up to it.

    Raises `FormatError` for a damaged one.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        explain(path, error)
    place = _home(path, keep) / f"{status.st_size}-{status.st_mtime_ns}"
    if _is_whole(place):
        return (place / METADATA).is_file()
    with _opened(path) as (tar, _):
        return any(member.isreg() and PurePosixPath(member.name).name == METADATA for member in tar)


# ---- the folder of what is unpacked ----------------------------------------------------------------------------------


def _home(path: str, keep: str | None) -> Path:
    """The folder of one archive."""
    if keep is None:
        from platformdirs import user_cache_path

        folder = user_cache_path("reelarray", appauthor=False) / "depth"
    else:
        folder = Path(keep)
    full = os.path.abspath(path)
    return folder / f"{stem(path)[:80]}-{hashlib.sha256(os.fsencode(full)).hexdigest()[:16]}"


def _is_whole(place: Path) -> bool:
    """Folders get their names when they are whole; but cleaners of caches delete single files."""
    try:
        facts = json.loads((place / _FACTS).read_bytes())
        return all((place / name).stat().st_size == size for name, size in facts["files"].items())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False


def _forget(home: Path) -> None:
    """Delete what is not whole, as a process leaves that was killed, and what was unpacked of an older archive."""
    for each in home.iterdir():
        if each.is_dir():
            log.info("%s is deleted: not whole, or of an archive that has changed since", each)
            shutil.rmtree(each, ignore_errors=True)


@contextmanager
def _alone(home: Path) -> Iterator[bool]:
    """While this holds no other thread unpacks the same, and no other process either where files can be locked (True).

    The system lets go of the lock of a process that dies.
    """
    with _THREADS.setdefault(home, threading.Lock()):
        try:
            import fcntl
        except ImportError:  # not on this system: two processes would both unpack, and one of the results is kept
            yield False
            return
        with open(home / "lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                log.info("%s cannot be locked (%s); another process may unpack the same", home, error)
                yield False
                return
            yield True


# ---- one way through the archive -------------------------------------------------------------------------------------


def _unpack(path: str, size: int, place: Path) -> None:
    log.info("%s (%s bytes) is unpacked to %s, once", path, f"{size:,}", place)
    temporary = place.with_name(f".{place.name}.{secrets.token_hex(6)}.part")
    temporary.mkdir()
    try:
        sizes: dict[str, int] = {}
        others = []
        with _opened(path) as (tar, plain):
            for member in tar:
                name = PurePosixPath(member.name).name
                if not member.isreg() or name not in _WANTED:
                    others.append(member.name)
                    continue
                if name in sizes:
                    raise FormatError(f"{path} holds two {name}, one was expected; unpack it, and open each depth.dat")
                stream = tar.extractfile(member)
                assert stream is not None  # of a regular file
                sizes[name] = _copy(path, stream, member.size, temporary / name)
            while plain.read(_STEP):
                pass  # the checksum of the whole stands at its end
        if FRAMES not in sizes:
            raise FormatError(
                f"{path} holds {', '.join([*sizes, *others][:10]) or 'nothing'}, a {FRAMES} was expected; leave it "
                "out, or unpack it and open its frames"
            )
        facts = {"archive": os.path.abspath(path), "files": sizes}
        (temporary / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
        if place.exists():  # of a process that could not lock, or with a file deleted
            shutil.rmtree(place, ignore_errors=True)
        try:
            os.rename(temporary, place)
        except OSError:
            if not _is_whole(place):
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    log.info("%s: %s bytes of frames in %s", path, f"{sizes[FRAMES]:,}", place)


@contextmanager
def _opened(path: str) -> Iterator[tuple[tarfile.TarFile, IO[bytes]]]:
    """The members of an archive, which can be read in their order only, and the plain tar that they are in."""
    try:
        with (
            open(path, "rb", buffering=_STEP) as file,
            gzip.GzipFile(fileobj=file) as plain,
            tarfile.open(fileobj=plain, mode="r|") as tar,
        ):
            yield tar, plain  # type: ignore[misc]
    except _DAMAGE as error:
        raise FormatError(
            f"{path} is damaged, or no tar archive packed with gzip ({error}); {FRAMES}, {METADATA} and times in such "
            "an archive were expected: copy it again, or leave it out"
        ) from error


def _copy(path: str, stream: Any, size: int, target: Path) -> int:
    """Write a member to a file, and to the disk; its size in bytes."""
    free = shutil.disk_usage(target.parent).free
    if free < size:
        raise Unwritable(
            f"{path}: {size:,} bytes are to be unpacked to {target.parent.parent}, {free:,} are free there; make "
            "space, or pass unpacked= with another folder"
        )
    done = 0
    with open(target, "wb") as file:
        while block := stream.read(_STEP):
            done += len(block)
            file.write(block)
        file.flush()
        with suppress(OSError):
            os.fsync(file.fileno())
    if done != size:
        raise FormatError(f"{path} is damaged: {done:,} bytes of {target.name}, {size:,} were expected; copy it again")
    return done


def _unwritable(path: str, home: Path, error: OSError) -> Unwritable:
    return Unwritable(
        f"{path} cannot be unpacked to {home} ({error.strerror or error}); make space there, or pass unpacked= with a "
        "folder that can be written to"
    )
