"""Tar archives, as SigMF packs recordings: where each member lies, by the headers between them."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from ...errors import FormatError
from ..ranges import HeaderBytes

_BLOCK = 512
_MOST_MEMBERS = 10_000  # of an archive; its headers are read one by one
_LONGEST_NAME = 2**16  # bytes of an extended header of tar
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"PK\x03\x04": "zip",
    b"\x28\xb5\x2f\xfd": "zstd",
}


@dataclass(frozen=True)
class Member:
    """A file in an archive: bytes [begin, end), which the archive may end before."""

    name: str
    begin: int
    end: int
    whole: bool


def check_tar(file: HeaderBytes) -> None:
    packed = next((name for magic, name in _COMPRESSED.items() if file.head.startswith(magic)), None)
    if packed is not None:
        raise FormatError(
            f"{file.path} is compressed ({packed}); SigMF archives are plain tar, of which samples are read in "
            "place: unpack it (tar -xf), and open the .sigmf-meta"
        )
    if not is_tar(file.head):
        raise FormatError(
            f"{file.path} starts with {file.head[:16]!r}; SigMF metadata (JSON) or a tar archive of a recording was "
            "expected: it is damaged or something else"
        )


def is_json(head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"


def is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"


def members(file: HeaderBytes) -> Iterator[Member]:
    """Files of a tar archive, in order; only their headers are read, of extended ones names and sizes."""
    position = 0
    extended: dict[str, str] = {}
    for _ in range(_MOST_MEMBERS):
        head = file.get(position, _BLOCK) if position < file.size else b""
        if len(head) < _BLOCK or not head.strip(b"\0"):
            return
        try:
            info = tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise FormatError(
                f"{file.path}: the tar header at byte {position} is broken ({error}): copy it again"
            ) from None
        if info.size < 0:
            raise FormatError(f"{file.path}: {info.name!r} has {info.size} bytes by its tar header: copy it again")
        begin = position + _BLOCK
        size = info.size if info.isreg() or info.type in b"xgLK" else 0
        if info.type in (b"x", b"g", b"L", b"K"):
            text = file.get(begin, size) if size <= _LONGEST_NAME else b""
            if len(text) < size:
                if begin + size > file.size:
                    return  # cut short
                raise FormatError(f"{file.path}: a name of {size:,} bytes in a tar archive; it is no SigMF archive")
            if info.type != b"g":
                extended |= _extended(info.type, text)
        else:
            if info.type == b"S" or any(key.startswith("GNU.sparse") for key in extended):
                raise FormatError(
                    f"{file.path}: {info.name} is stored sparse; pack it again with plain tar (ustar or pax)"
                )
            digits = extended.get("size", "")
            size = int(digits) if digits.isdigit() else size
            if info.isreg():
                name = extended.get("path", info.name)
                yield Member(name, begin, begin + size, begin + size <= file.size)
            extended = {}
        position = begin + -(-size // _BLOCK) * _BLOCK
    raise FormatError(f"{file.path} has more than {_MOST_MEMBERS:,} members; SigMF archives hold a few: unpack it")


def _extended(kind: bytes, text: bytes) -> dict[str, str]:
    """What an extended header says of the member after it: `path`, `size`, and whatever else."""
    if kind == b"L":
        return {"path": text.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    found = {}
    while kind == b"x" and (match := re.match(rb"(\d{1,6}) ([^=]+)=", text)):
        length = int(match[1])
        value = text[match.end() : length - 1]
        found[match[2].decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        if length <= match.end():
            break
        text = text[length:]
    return found


def is_unfinished(path: str) -> bool:
    """Whether a file is still being written, by its own account: empty, JSON without an end, an archive cut short."""
    with closing(HeaderBytes(path)) as file:
        if path.lower().endswith(".sigmf-data"):
            return False  # any number of bytes could be all
        if not file.size:
            return True
        if is_json(file.head):
            return not file.get(max(0, file.size - 64), 64).rstrip(b" \t\r\n").endswith(b"}")
        check_tar(file)
        listed = list(members(file))
        return not listed or not all(member.whole for member in listed) or not _has_end(file, listed[-1])


def _has_end(file: HeaderBytes, last: Member) -> bool:
    """Zeros follow the last member; members without samples, such as folders, may come in between."""
    return file.size > last.end and not file.get(max(last.end, file.size - _BLOCK), _BLOCK).strip(b"\0")
