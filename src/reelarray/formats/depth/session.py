"""The metadata of a recording: `metadata.json` beside the frames, of which every key is kept."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from ...errors import FormatError
from ..ranges import HeaderBytes
from ..stated import date_time

METADATA = "metadata.json"


@dataclass(frozen=True)
class Session:
    """What is said of a recording. Nothing of it is needed: what is not said has a default, and `flags` names it.

    `metadata` is what the file holds (or the defaults), and `utc_offset` or `naive_start` of its start. `start_ns` is
    UTC ns of the first frame, None where unknown; `shape` is (rows, columns) of a frame, None where not said; `order`
    is "<" or ">".
    """

    metadata: Mapping[str, Any] = field(default_factory=dict)
    start_ns: int | None = None
    shape: tuple[int, int] | None = None
    order: str = "<"
    flags: tuple[str, ...] = ()


def beside(path: str) -> bytes | None:
    """The bytes of a small file, local or remote, None where there is none."""
    try:
        with closing(HeaderBytes(path)) as file:
            return file.get(0, file.size)
    except FileNotFoundError:
        return None


def read_session(path: str, name: str) -> Session:
    """The session that a metadata.json describes; where there is no such file, the defaults for a session `name`.

    Nothing is ever written. Raises `FormatError` naming the file where it is no JSON object, or says something
    impossible.

    >>> read_session("/nowhere/metadata.json", "mouse 3").metadata["SessionName"]
    'mouse 3'
    """
    text = beside(path)
    if text is None:
        return Session(default_metadata(name), flags=("no_metadata",))
    return parse_session(text, path)


def parse_session(text: bytes, path: str) -> Session:
    """The session of the text of a metadata.json; `path` is what errors name.

    >>> said = parse_session(b'{"StartTime": "2026-01-02T03:04:05.6789012-05:00", "IsLittleEndian": false}', "x.json")
    >>> said.start_ns, said.order
    (1767341045678901200, '>')
    """
    try:
        said = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is no JSON ({error}); correct it, or move it away to use defaults") from None
    if not isinstance(said, dict):
        raise FormatError(f'{path} holds {type(said).__name__}, an object such as {{"SubjectName": ...}} was expected')
    start_ns, kept = date_time(str(said.get("StartTime") or "").strip() or None)
    flags = () if start_ns is not None or kept or not said.get("StartTime") else ("no_start",)
    return Session({**said, **kept}, start_ns, _shape(said, path), _order(said, path), flags)


def default_metadata(name: str) -> dict[str, Any]:
    """What stands for a metadata.json that is not there."""
    return {"SubjectName": "", "SessionName": name, "StartTime": ""}


def folder_name(path: str) -> str:
    """The name of the folder that a file is in."""
    return os.path.basename(os.path.dirname(path if "://" in path else os.path.abspath(path)))


def _shape(said: Mapping[str, Any], path: str) -> tuple[int, int] | None:
    value = said.get("DepthResolution")
    if value is None:
        return None
    sizes = list(value) if isinstance(value, list) else []
    if len(sizes) != 2 or not all(type(size) is int and 1 <= size <= 2**15 for size in sizes):
        raise FormatError(
            f"{path}: DepthResolution is {value!r}, [columns, rows] such as [512, 424] was expected; correct it, or "
            "take it out to have those of a Kinect"
        )
    return sizes[1], sizes[0]


def _order(said: Mapping[str, Any], path: str) -> str:
    value = said.get("IsLittleEndian")
    if value is not None and not isinstance(value, bool):
        raise FormatError(f"{path}: IsLittleEndian is {value!r}, true or false was expected; correct it")
    return ">" if value is False else "<"
