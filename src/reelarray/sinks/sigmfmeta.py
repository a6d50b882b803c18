"""The metadata of SigMF recordings that we write: what is said of the samples, their times and their marks."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from .. import __version__
from ..errors import RecordingError
from ..exact import NANOSECONDS
from ..formats.sigmf import OURS, SCALE, UNITS
from ..formats.sigmf.captures import SINCE, lay_captures, place
from ..formats.sigmf.document import Fields
from ..source import STATED
from .provenance import plain

VERSION = "1.2.0"  # of the specification that has all keys used here
_ELSEWHERE = ("annotations", "segments", "instrument")  # of STATED: SigMF has places of its own for them


def captures_of(
    starts: Sequence[int],
    since: Sequence[int],
    rate: Fraction,
    *,
    start_ns: int | None = None,
    frequency: float | None = None,
    header_bytes: int = 0,
    joined: Collection[int] = (),
) -> list[dict[str, Any]]:
    """Captures that begin at frames `starts`, `since` ns after the first: by index, and by date where it is known.

    Each begins a stretch, but for those that start at one of `joined`. Where the index alone, a whole number of
    samples, would not give these times back, they are noted under our own key.
    """
    found = []
    for start, ns in zip(starts, since, strict=True):
        capture: dict[str, Any] = {"core:sample_start": int(start)}
        if len(starts) > 1:
            capture["core:global_index"] = round(Fraction(int(ns)) * rate / NANOSECONDS)
        if start_ns is not None:
            capture["core:datetime"] = utc(start_ns + int(ns))
        if frequency is not None:
            capture["core:frequency"] = float(frequency)
        found.append(capture)
    if header_bytes:
        found[0]["core:header_bytes"] = int(header_bytes)
    stretches = [(int(start), int(ns)) for start, ns in zip(starts, since, strict=True) if start not in joined]
    if _as_read(found, rate) != stretches:
        times = dict(stretches[1:])
        for capture in found:
            if capture["core:sample_start"] in times:
                capture[SINCE] = times[capture["core:sample_start"]]
    return found


def _as_read(captures: Sequence[Mapping[str, Any]], rate: Fraction) -> list[tuple[int, int]]:
    """(frame, ns) of each stretch, as the reader understands captures."""
    listed = [Fields(capture, "a capture", "") for capture in captures]
    end = int(captures[-1]["core:sample_start"]) + 1
    header = int(captures[0].get("core:header_bytes", 0))
    return list(place(lay_captures(listed, 0, 1, 0, end + header, "").captures, rate).anchors)


def utc(ns: int) -> str:
    """
    >>> utc(1_500_000_000)
    '1970-01-01T00:00:01.500000000Z'
    """
    return f"{np.datetime64(int(ns), 'ns')}Z"


def global_of(
    datatype: str,
    rate: Fraction,
    *,
    channels: int = 1,
    scale: float | None = None,
    units: str = "1",
    stated: Mapping[str, Any] | None = None,
    hardware: str | None = None,
    author: str | None = None,
    description: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The object `global`: `scale` is units a count, None where it is that of full scale 1; `more` wins."""
    found: dict[str, Any] = {
        "core:datatype": datatype,
        "core:version": VERSION,
        "core:sample_rate": int(rate) if rate.denominator == 1 else float(rate),
        "core:recorder": f"reelarray {__version__}",
    }
    if channels > 1:
        found["core:num_channels"] = channels
    for key, value in (("hw", hardware), ("author", author), ("description", description)):
        if value is not None:
            found[f"core:{key}"] = str(value)
    if scale is not None:
        found[SCALE] = float(scale)
    if units != "1":
        found[UNITS] = units
    for name in STATED:
        if stated is not None and name in stated and name not in _ELSEWHERE:
            found[f"{OURS}{name}"] = stated[name]
    for key in more or {}:
        if ":" not in key:
            raise RecordingError(f"{key!r} was given; keys of SigMF have a namespace, such as 'core:license'")
    return found | dict(more or {})


def write_document(
    path: Any, about: Mapping[str, Any], captures: Iterable[Mapping[str, Any]], annotations: Iterable[Mapping[str, Any]]
) -> None:
    with open(path, "wb") as file:
        file.write(as_bytes(about, captures, annotations))


def as_bytes(
    about: Mapping[str, Any], captures: Iterable[Mapping[str, Any]], annotations: Iterable[Mapping[str, Any]]
) -> bytes:
    """The JSON text; our own keys make us an extension, which others may leave alone."""
    listed = {"captures": [dict(c) for c in captures], "annotations": [dict(a) for a in annotations]}
    known = dict(about)
    ours = any(key.startswith(OURS) for each in (known, *listed["captures"]) for key in each)
    extensions = [e for e in known.pop("core:extensions", []) if e.get("name") != OURS[:-1]]
    if ours:
        extensions.append({"name": OURS[:-1], "version": "1.0.0", "optional": True})
    if extensions:
        known["core:extensions"] = extensions
    document = plain({"global": known, **listed}, "the metadata:")
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
