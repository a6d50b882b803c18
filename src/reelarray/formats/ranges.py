"""Byte ranges of one file, local or remote: what is asked for is read once, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn

from ..errors import FormatError, MissingPackage

# Headers of field recorders fit a page; a remote request costs more than the 60 KiB that it may bring in vain.
LOCAL_STEP = 4096
REMOTE_STEP = 65536

_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0)


def is_remote(path: str) -> bool:
    return "://" in path


class HeaderBytes:
    """One file while its header is read: `size`, `modified_ns` (0: unknown), `head` and `get`, behind a single open.

    The first window and the last one are kept, so neighbouring chunks cost nothing. `close` it.
    """

    __slots__ = ("_handle", "_start", "_window", "head", "modified_ns", "path", "size")

    def __init__(self, path: str) -> None:
        self.path = path
        self._start = 0
        if is_remote(path):
            self._handle = -1
            filesystem, key = remote_filesystem(path)
            info = _asking(path, filesystem.info, key)
            if info.get("size") is None:
                raise FormatError(
                    f"{path}: the server does not say how long the file is; download it and open the copy"
                )
            self.size, self.modified_ns = int(info["size"]), _modified_ns(info)
            self.head = self._window = remote_range(path, 0, min(REMOTE_STEP, self.size)) if self.size else b""
            return
        try:
            self._handle = os.open(path, _FLAGS)
        except OSError as error:
            explain(path, error)
        try:
            status = os.fstat(self._handle)
            self.head = self._window = os.read(self._handle, LOCAL_STEP)
        except OSError as error:
            os.close(self._handle)
            explain(path, error)
        self.size, self.modified_ns = status.st_size, status.st_mtime_ns

    def get(self, start: int, length: int) -> bytes:
        """The bytes [start, start + length), fewer where the file ends."""
        stop = min(start + length, self.size)
        if stop <= len(self.head):
            return self.head[start:stop]
        if start < self._start or stop > self._start + len(self._window):
            self._start = start
            if self._handle < 0:
                self._window = remote_range(self.path, start, min(start + max(length, REMOTE_STEP), self.size))
            else:
                os.lseek(self._handle, start, os.SEEK_SET)
                self._window = os.read(self._handle, max(length, LOCAL_STEP))
        return self._window[start - self._start : max(stop - self._start, 0)]

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)


def read_range(path: str, offset: int, buffer: memoryview, size: int, modified_ns: int) -> int:
    """Fill `buffer` with the bytes of `path` from `offset` on, in one read; returns how many were there.

    `size` and `modified_ns` are those of the header; a local file that differs raises `FormatError`, unless it has
    become too short for this range, which the returned number says.
    """
    wanted = len(buffer)
    if is_remote(path):
        data = remote_range(path, offset, offset + wanted)
        buffer[: len(data)] = data
        return len(data)
    try:
        with open(path, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if status.st_size < offset + wanted:
                return max(status.st_size - offset, 0)
            check_unchanged(path, status, size, modified_ns)
            file.seek(offset)
            done = 0
            while done < wanted:  # the kernel hands over at most 2 GiB at a time
                count = file.readinto(buffer[done:])
                if not count:
                    break
                done += count
            return done
    except OSError as error:
        explain(path, error)


def check_unchanged(path: str, status: os.stat_result, size: int, modified_ns: int) -> None:
    """Raise `FormatError` where size or time of modification differ from those that the header was read with."""
    if status.st_size != size or (modified_ns and status.st_mtime_ns != modified_ns):
        raise FormatError(
            f"{path} changed since it was scanned: {size} bytes, modified at {modified_ns} ns were expected, "
            f"{status.st_size} bytes, modified at {status.st_mtime_ns} ns were found; scan or open it again"
        )


def check_frames(path: str, start: int, stop: int, frames: int) -> None:
    if not 0 <= start <= stop <= frames:
        raise IndexError(
            f"{path}: frames [{start}, {stop}) were asked for, the file has [0, {frames}); "
            "ask for 0 <= start <= stop <= frames"
        )


def explain(path: str, error: OSError) -> NoReturn:
    """Raise an `OSError` of the same kind that says what was expected and what to do; `FormatError` for a folder."""
    if isinstance(error, IsADirectoryError) or os.path.isdir(path):
        raise FormatError(
            f"{path} is a folder, a file was expected; to open the files in it, pass a pattern such as "
            f"{os.path.join(path, '*.wav')!r}"
        ) from None
    advice = "check that it can be read"
    if isinstance(error, FileNotFoundError):
        advice = "check the path, or scan again if the file was there before"
    elif isinstance(error, PermissionError):
        advice = "ask for the right to read it"
    raise type(error)(
        error.errno, f"{error.strerror or error} (a readable file was expected; {advice})", path
    ) from None


def remote_filesystem(path: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    protocol = path.partition("://")[0]
    try:
        return url_to_fs(path)
    except ImportError as error:
        raise MissingPackage(
            f"{path}: reading {protocol}:// needs a package that is not installed ({error}); "
            'pip install "reelarray[remote]"'
        ) from error
    except ValueError as error:
        raise FormatError(f"{path}: {error}; use a protocol that fsspec knows, such as https, s3 or file") from error


def remote_range(path: str, start: int, stop: int) -> bytes:
    """The bytes [start, stop) of a URL in one ranged request, fewer where the file ends."""
    filesystem, key = remote_filesystem(path)
    data = _asking(path, filesystem.cat_file, key, start=start, end=stop)
    if len(data) > stop - start:
        raise FormatError(
            f"{path}: {stop - start} bytes were asked for, {len(data)} were sent: the server ignores byte ranges; "
            "download the file and open the copy"
        )
    return data


def _asking(path: str, ask: Callable[..., Any], *args: Any, **options: Any) -> Any:
    try:
        return ask(*args, **options)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: nothing was found at this address; check it, or scan again") from None
    except OSError:
        raise
    except Exception as error:  # every filesystem has its own family: one kind reaches the caller
        raise OSError(f"{path}: {type(error).__name__}: {error}; check the address and the connection") from error


def _modified_ns(info: dict[str, Any]) -> int:
    """Time of modification, where the filesystem tells: seconds (local, ftp) or a datetime (object stores)."""
    value = info.get("mtime", info.get("LastModified"))
    if isinstance(value, int | float):
        return round(value * 1e9)
    return round(value.timestamp() * 1e9) if isinstance(value, datetime) else 0
