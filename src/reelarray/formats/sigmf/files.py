"""The files of a SigMF recording: which metadata belong to which samples, in folders, archives and collections."""

from __future__ import annotations

import hashlib
import re
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from ...errors import FormatError
from ..ranges import HeaderBytes, read_range
from .archive import check_tar, is_json, members
from .document import Fields, check_size, parse, shown

META, DATA, ARCHIVE, COLLECTION = ".sigmf-meta", ".sigmf-data", ".sigmf", ".sigmf-collection"
_PIECE = 4 * 2**20  # bytes hashed at once


class MissingPart(FormatError):
    """Metadata without their samples, or samples without their metadata: the other file may still come."""


@dataclass(frozen=True)
class Samples:
    """Where samples lie: bytes [begin, end) of the file `name` beside the one that was opened, or of that (None).

    `bytes` and `modified_ns` are those of that file; `whole` is False where an archive promises more.
    """

    name: str | None
    begin: int
    end: int
    bytes: int
    modified_ns: int
    whole: bool = True


@dataclass(frozen=True)
class Found:
    """The file that was opened, the metadata that it led to, and the samples that these describe."""

    path: str
    bytes: int
    modified_ns: int
    document: dict[str, Any]
    samples: Samples
    archive: bool = False


def find(path: str, stream: str | None = None, *, verify: bool = False) -> Found:
    """From a path of any of the four kinds to metadata and samples; `stream` is the name of a recording among several.

    With `verify`, the metadata that a collection names must have the hash that it states.
    """
    with closing(HeaderBytes(path)) as file:
        if path.lower().endswith(DATA):
            _only_stream(path, stream)
            document, _ = _read_json(path[: -len(DATA)] + _like(path, META))
            dataset = dataset_name(document, path)
            if dataset is not None and dataset != base_name(path):
                raise FormatError(f"{path}: its metadata say that the samples are in {dataset!r}; open {META} instead")
            samples = Samples(None, 0, file.size, file.size, file.modified_ns)
        elif is_json(file.head):
            document, _ = _whole(file)
            if "collection" in document:
                streams = _streams(document, path)
                name = choose(list(streams), stream, path)
                document, digest = _read_json(beside(path, name + META))
                if verify and streams[name] is not None and streams[name] != digest:
                    raise FormatError(_other_hash(beside(path, name + META), str(streams[name]), digest))
                samples = _samples_of(document, path, name, DATA)
            else:
                _only_stream(path, stream)
                stem = (
                    base_name(path)[: -len(META)] if path.lower().endswith(META) else base_name(path).rpartition(".")[0]
                )
                samples = _samples_of(document, path, stem, _like(path, DATA))
        else:
            document, samples = _open_archive(file, stream)
            return Found(path, file.size, file.modified_ns, document, samples, archive=True)
        return Found(path, file.size, file.modified_ns, document, samples)


def streams_of(path: str) -> list[str | None]:
    """The recordings in a file by their names, as `find` takes them: of all but collections and archives one, None."""
    with closing(HeaderBytes(path)) as file:
        if path.lower().endswith(DATA):
            return [None]
        if is_json(file.head):
            document, _ = _whole(file)
            return [*_streams(document, path)] if "collection" in document else [None]
        check_tar(file)
        found = [base_name(member.name).removesuffix(META) for member in members(file) if member.name.endswith(META)]
        return [*found] or [None]


def check_hash(found: Found) -> None:
    """Read all samples, and raise `FormatError` where their SHA-512 is not the one that the metadata state."""
    stated = about_of(found.document, found.path).text("core:sha512")
    if stated is None:
        raise FormatError(
            f"{found.path} states no 'core:sha512', so that verify=True has nothing to compare: leave it out"
        )
    where, seen = found.samples, hashlib.sha512()
    path = found.path if where.name is None else beside(found.path, where.name)
    for start in range(where.begin, where.end, _PIECE):
        piece = bytearray(min(_PIECE, where.end - start))
        there = read_range(path, start, memoryview(piece), where.bytes, where.modified_ns)
        seen.update(memoryview(piece)[:there])
    if seen.hexdigest() != stated.lower():
        raise FormatError(_other_hash(path, stated, seen.hexdigest()))


# ---- names -----------------------------------------------------------------------------------------------------------


def base_name(path: str) -> str:
    return re.split(r"[/\\]", path)[-1]


def beside(path: str, name: str) -> str:
    """The path of a file in the same folder."""
    return path[: len(path) - len(base_name(path))] + name


def _like(path: str, suffix: str) -> str:
    """A suffix in capitals where that of the path is."""
    return suffix.upper() if path.rpartition(".")[2].isupper() else suffix


def plain_name(name: str, what: str, path: str) -> str:
    """A name that leads nowhere else: metadata from elsewhere must not open other files of this machine."""
    if not name or name in (".", "..") or re.search(r"[/\\:\x00]", name):
        raise FormatError(
            f"{path}: {what} is {shown(name)}; the plain name of a file in the same folder was expected, without a "
            "path: put the file there and correct the name"
        )
    return name


def about_of(document: dict[str, Any], path: str) -> Fields:
    Fields.of(document, "the file", path).required("global")
    return Fields.of(document["global"], "'global'", path)


def dataset_name(document: dict[str, Any], path: str) -> str | None:
    """`core:dataset`: the file that has the samples, where that is no .sigmf-data."""
    name = about_of(document, path).text("core:dataset")
    return None if name is None else plain_name(name, "'core:dataset' of 'global'", path)


def choose(names: list[str], stream: str | None, path: str) -> str:
    """One of several recordings in a file."""
    listed = ", ".join(map(repr, names[:20])) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    if not names:
        raise FormatError(f"{path} names no recording; there is nothing to open in it")
    if stream is None and len(names) > 1:
        raise FormatError(f"{path} holds {len(names)} recordings: {listed}; choose one, such as stream={names[0]!r}")
    if stream is not None and stream not in names:
        raise FormatError(f"{path}: stream={stream!r} was given; it holds {listed}")
    return names[0] if stream is None else stream


def _only_stream(path: str, stream: str | None) -> None:
    if stream is not None:
        raise FormatError(
            f"{path} holds one recording; leave out stream={stream!r}, which is for collections and archives"
        )


# ---- metadata and samples, in files of their own or in an archive ----------------------------------------------------


def _read_json(path: str) -> tuple[dict[str, Any], str]:
    """(document, its SHA-512)."""
    try:
        with closing(HeaderBytes(path)) as file:
            return _whole(file)
    except FileNotFoundError:
        raise MissingPart(f"{path} is not there, which should say what the samples are; copy it here as well") from None


def _whole(file: HeaderBytes) -> tuple[dict[str, Any], str]:
    check_size(file.size, file.path)
    text = file.get(0, file.size)
    return parse(text, file.path), hashlib.sha512(text).hexdigest()


def _samples_of(document: dict[str, Any], path: str, stem: str, suffix: str) -> Samples:
    """The file that metadata named `stem` speak of, in the folder of `path`."""
    name = dataset_name(document, path) or stem + suffix
    about = about_of(document, path)
    try:
        with closing(HeaderBytes(beside(path, name))) as file:
            return Samples(name, 0, file.size, file.size, file.modified_ns)
    except FileNotFoundError:
        why = "it says that it was published without samples" if about.values.get("core:metadata_only") is True else ""
        raise MissingPart(
            f"{path}: its samples should be in {name!r} in the same folder, which is not there; "
            f"{why or 'copy it here as well, or wait until it is'}"
        ) from None


def _streams(document: dict[str, Any], path: str) -> dict[str, str | None]:
    """Name and stated SHA-512 of the metadata of each recording in a collection."""
    about = Fields.of(document["collection"], "'collection'", path)
    names: dict[str, str | None] = {}
    listed = about.values.get("core:streams", [])
    if not isinstance(listed, list):
        about.wrong("core:streams", "a list")
    for k, each in enumerate(listed):
        fields = Fields.of({"name": each} if isinstance(each, str) else each, f"stream {k}", path)
        fields.required("name")
        name = plain_name(fields.text("name") or "", f"the name of stream {k}", path)
        digest = fields.text("hash")
        names[name.removesuffix(META)] = None if digest is None else digest.lower()
    return names


def _other_hash(path: str, stated: str, digest: str) -> str:
    return (
        f"{path}: its SHA-512 is {digest[:16]}..., {shown(stated[:16])}... is stated: it was changed or damaged since; "
        "copy it again from its source, or open without verify=True"
    )


def _open_archive(file: HeaderBytes, stream: str | None) -> tuple[dict[str, Any], Samples]:
    check_tar(file)
    listed = list(members(file))
    by_name = {member.name: member for member in listed}
    names = [member.name.removesuffix(META) for member in listed if member.name.endswith(META)]
    if not names:
        more = "" if all(member.whole for member in listed) else "; it is cut short: copy it again"
        raise FormatError(f"{file.path} is a tar archive without a {META}{more or '; a SigMF archive was expected'}")
    short = [base_name(name) for name in names]
    name = names[short.index(choose(short, stream, file.path))]
    meta, data = by_name[name + META], by_name.get(name + DATA)
    check_size(meta.end - meta.begin, file.path)
    if not meta.whole:
        raise FormatError(f"{file.path} is cut short inside its metadata: copy it again, or leave it out")
    document = parse(file.get(meta.begin, meta.end - meta.begin), f"{file.path} ({meta.name})")
    dataset = dataset_name(document, file.path)
    if dataset is not None:
        data = by_name.get(name[: len(name) - len(base_name(name))] + dataset)
    if data is None:
        raise MissingPart(
            f"{file.path} has {meta.name}, but not the samples that belong to it: copy it again, or skip it"
        )
    return document, Samples(None, data.begin, min(data.end, file.size), file.size, file.modified_ns, data.whole)
