"""SigMF: metadata in JSON beside samples of any kind, as two files, an archive, or a description of another file."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from ...errors import FormatError
from ...exact import exact_rate
from ...source import STATED, Format, Header
from .archive import is_tar, is_unfinished
from .captures import LATEST, Capture, Laid, Part, annotations_of, choose_part, lay_captures
from .document import Datatype, Fields
from .files import ARCHIVE, COLLECTION, DATA, META, Found, MissingPart, about_of, check_hash, find, streams_of
from .samples import source, value_type

OURS = "reelarray:"  # the namespace of what SigMF has no key for: units, volts a count, and those of `STATED`
SCALE, UNITS = f"{OURS}scale", f"{OURS}units"


def probe(
    path: str,
    *,
    capture: int | None = None,
    stream: str | None = None,
    center_frequency: float | None = None,
    sample_rate: float | Fraction | None = None,
    scale: float | None = None,
    verify: bool = False,
) -> Header:
    """Read the metadata of a SigMF recording: `.sigmf-meta` or `.sigmf-data`, `.sigmf` or `.sigmf-collection`.

    Samples of integers are relative to full scale (units "1"), unless the file states more in our own keys
    `reelarray:scale` and `reelarray:units`, as `ra.write_sigmf` writes them. Captures that follow each other in time
    are one stretch; where `core:global_index`, or else `core:datetime`, says that more time went by, a gap.

    Unlike the Python package sigmf (up to 1.14), bytes of the headers of *all* captures are skipped in datasets that
    have several.

    Parameters
    ----------
    path : of any of the four; metadata may also describe another file of the folder (`core:dataset`)
    capture : number of the one to open, from 0; without it all are one recording
    stream : name of the recording to open, where a collection or an archive has several
    center_frequency : [Hz], for all captures, whatever they state
    sample_rate : [Hz], where the file states none, or a wrong one
    scale : volts a count (of 1.0 for floats), which makes volts of the samples
    verify : compare the samples with `core:sha512`; reads all of them

    Flags: "truncated" where captures start beyond the end of the samples, or an archive is cut short; "partial_frame";
    "time_order" where their times overlap, so that none of them counts but the first.

    `metadata`: "annotations" (sample numbers are those of the recording as it was opened), "segments" (one a stretch,
    where there are several), "instrument" (`core:hw`), and all else of the file, as it is, under its own names.

    Raises
    ------
    FormatError : metadata that are no such, are larger than 64 MiB, lack a required key or have one of a wrong type;
        samples that are not there; captures of different centre frequencies, unless one is chosen
    """
    found = find(path, stream, verify=verify)
    if verify:
        check_hash(found)
    if center_frequency is not None and not np.isfinite(center_frequency):
        raise FormatError(f"{path}: center_frequency={center_frequency!r} was given; a number of Hz was expected")
    document, about = _required(found)
    stored, channels, block = _stored(about)
    rate, factor, units = _rate(about, sample_rate), *_scaling(about, stored, scale)
    part = _part(found, document, about, block, rate, capture)
    frequency = _center(part.captures, path) if center_frequency is None else float(center_frequency)
    frames, placed = part.stop - part.first, part.placed
    annotations = annotations_of(document, part, about.integer("core:offset") or 0, cut=capture is not None)
    pairs = stored.pairs and stored.integer
    return Header(
        path=path,
        format="sigmf",
        frames=frames,
        rate=rate,
        shape=(frames, *((channels,) if channels > 1 else ()), *((2,) if pairs else ())),
        dtype=value_type(stored.code, stored.pairs).str,
        subtype=stored.name,
        layout=(
            stored.code,
            stored.pairs,
            channels,
            found.samples.name,
            found.samples.bytes,
            found.samples.modified_ns,
            _positions(part, block),
        ),
        bytes=found.bytes,
        modified_ns=found.modified_ns,
        scale=factor,
        units=units,
        start_ns=placed.start_ns,
        flags=part.flags if found.samples.whole else ("truncated", *("time_order",) * ("time_order" in part.flags)),
        metadata=_metadata(found.document, annotations, part),
        iq=pairs,
        center_frequency=frequency,
        breaks=placed.anchors[1:],
    )


def _required(found: Found) -> tuple[Fields, Fields]:
    """The whole metadata, and `global`, with all that SigMF requires of them."""
    document, about = Fields.of(found.document, "the file", found.path), about_of(found.document, found.path)
    document.required("captures")
    for key in ("core:datatype", "core:version"):
        about.required(key)
        if about.text(key) is None:
            about.wrong(key, "text")
    return document, about


def _stored(about: Fields) -> tuple[Datatype, int, int]:
    """How components are stored, channels, and bytes a frame."""
    stored = Datatype.of(about.text("core:datatype") or "", about.path)
    channels = about.integer("core:num_channels", least=1) or 1
    return stored, channels, stored.width * channels * (2 if stored.pairs else 1)


def _rate(about: Fields, given: float | Fraction | None) -> Fraction:
    value = about.number("core:sample_rate") if given is None else given
    if value is None:
        raise FormatError(
            f"{about.path} states no 'core:sample_rate', which SigMF does not require, but times do: pass sample_rate= "
            "in Hz"
        )
    if not value > 0:
        about.wrong("core:sample_rate", "a number of samples a second above 0")
    return exact_rate(value)


def _lay(found: Found, document: Fields, about: Fields, block: int) -> Laid:
    end = found.samples.end - (about.integer("core:trailing_bytes") or 0)
    offset = about.integer("core:offset") or 0
    return lay_captures(document.objects("captures"), offset, block, found.samples.begin, end, found.path)


def _part(found: Found, document: Fields, about: Fields, block: int, rate: Fraction, capture: int | None) -> Part:
    if capture is not None:
        count = max(1, len(document.objects("captures")))
        if isinstance(capture, bool) or not isinstance(capture, int) or not 0 <= capture < count:
            raise FormatError(f"{found.path}: capture={capture!r} was given; it has captures 0 to {count - 1}")
    part = choose_part(_lay(found, document, about, block), rate, capture)
    if part is None:
        raise FormatError(f"{found.path}: capture {capture} has no samples in the file; open another one")
    if max(part.placed.ns(part.stop), abs(part.placed.start_ns or 0)) > LATEST:
        raise FormatError(
            f"{found.path}: by its sample rate and its captures, its samples end more than a century from now; "
            "correct 'core:sample_rate', 'core:global_index' or 'core:datetime' in the file"
        )
    return part


def _center(captures: tuple[Capture, ...], path: str) -> float | None:
    """The frequency on which all captures agree; keys of one do not carry over to the next."""
    stated = {each.frequency: each.number for each in reversed(captures)}
    if len(stated) > 1:
        shown_first = ", ".join(
            f"capture {number}: {'none' if frequency is None else f'{frequency:.12g} Hz'}"
            for frequency, number in sorted(stated.items(), key=lambda item: item[1])[:10]
        )
        raise FormatError(
            f"{path}: its captures state {len(stated)} centre frequencies ({shown_first}), which cannot be one "
            f"recording: open one with capture=i, or each apart: [ra.open_recording({path!r}, capture=i) for i in "
            f"{[each.number for each in captures] if len(captures) < 10 else f'range({captures[-1].number + 1})'}]; "
            "center_frequency= in Hz stands in for what they state"
        )
    return next(iter(stated), None)


def _scaling(about: Fields, stored: Datatype, scale: float | None) -> tuple[float, str]:
    """What makes values of counts, and their units."""
    if scale is not None:
        if not (np.isfinite(scale) and scale > 0):
            raise FormatError(f"{about.path}: scale={scale!r} was given; volts a count, above 0, were expected")
        return float(scale), "V"
    own = about.number(SCALE)
    if own is not None and not own > 0:
        about.wrong(SCALE, "a number above 0")
    full = 2.0 ** (1 - 8 * stored.width) if stored.integer else 1.0
    return full if own is None else own, about.text(UNITS) or "1"


def _positions(part: Part, block: int) -> str:
    """As `SigmfSource.positions`; captures without header bytes of their own go on where the one before ended."""
    found: list[int] = []
    for each in part.captures:
        low = max(each.start, part.first)
        byte = each.byte + (low - each.start) * block
        if not found or byte != found[-1] + (low - part.first - found[-2]) * block:
            found += [low - part.first, byte]
    return " ".join(map(str, found))


def _metadata(document: dict[str, Any], annotations: list[dict[str, Any]], part: Part) -> dict[str, Any]:
    """The file as it is; what all formats have a name for, under that; and `segments`, one a stretch."""
    about = document["global"]
    found: dict[str, Any] = {
        f"sigmf:{key}" if key in STATED else key: value for key, value in document.items() if key != "annotations"
    }
    for key in STATED:
        if f"{OURS}{key}" in about and key not in ("annotations", "segments"):
            found[key] = about[f"{OURS}{key}"]
    if isinstance(about.get("core:hw"), str):
        found["instrument"] = about["core:hw"]
    if annotations:
        found["annotations"] = annotations
    zone = next((each.time.offset for each in part.captures if each.time is not None), None)
    if zone is not None:
        found["utc_offset"] = zone
    anchors, frames = part.placed.anchors, part.stop - part.first
    if len(anchors) == 1 and not annotations:
        return found
    stops = [frame for frame, _ in anchors[1:]] + [frames]
    found["segments"] = [
        {"sample_start": frame, "samples": stop - frame, "nanoseconds": ns}
        for (frame, ns), stop in zip(anchors, stops, strict=True)
    ]
    if part.placed.start_ns is not None:
        found["segments"][0]["start"] = f"{np.datetime64(part.placed.start_ns, 'ns')}Z"
    return found


def complete(path: str) -> bool | None:
    """Is it finished? False where metadata or samples are missing or shorter than captures say, else None.

    SigMF declares no size: samples of which more is to come look like all of them. Archives do, and can be True.
    """
    if is_unfinished(path):
        return False
    found = [_is_whole(path, stream) for stream in streams_of(path)]
    return False if False in found else True if all(found) else None


def _is_whole(path: str, stream: str | None) -> bool | None:
    try:
        found = find(path, stream)
    except MissingPart:
        return False
    document, about = _required(found)
    if "truncated" in _lay(found, document, about, _stored(about)[2]).flags:
        return False
    return True if found.archive else None


def recognises(head: bytes) -> bool:
    """Metadata, or an archive whose first member is of SigMF (or a folder); samples alone could be anything."""
    if is_tar(head):
        name = head[:100].rstrip(b"\0")
        return b".sigmf-" in name or name.endswith(b"/") or head[156:157] in (b"x", b"g", b"L", b"K")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return text[:1] == b"{" and any(word in text for word in (b'"core:', b'"global"', b'"captures"', b'"collection"'))


FORMAT = Format(
    name="sigmf",
    suffixes=(META, DATA, ARCHIVE, COLLECTION),
    recognises=recognises,
    probe=probe,
    source=source,
    complete=complete,
    listed=(META, ARCHIVE),
    alone=False,
)
