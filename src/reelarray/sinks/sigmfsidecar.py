"""SigMF metadata for files of other formats, whose samples stay where they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from .. import formats
from ..errors import FormatError, RecordingError
from ..formats.pairs import PairSource, pair_encoding
from ..formats.pcm import PcmSource, encoding
from ..formats.sigmf.document import Datatype
from ..formats.sigmf.files import DATA, META
from ..formats.sigmf.samples import SigmfSource
from ..source import Header, Source
from .atomic import check_folder, writing
from .journal import OutputExists
from .sigmfmeta import captures_of, global_of, write_document

_CHECKED = 256  # frames at both ends that are compared with the bytes of the file


def write_sigmf_sidecar(
    path: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str] | None = None,
    description: str | None = None,
    author: str | None = None,
    format: str | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Path:
    """Write the SigMF metadata of a recording of another format, and return their path. No sample is copied.

    For files whose samples lie one after the other behind a header: .tiq (each DataSet a capture, with its time), WAV
    of 8, 16 or 32 bits, raw and headerless files. Tools that know SigMF's non-conforming datasets then read them in
    place: `core:dataset` names the file, `core:header_bytes` the bytes before the first sample. What makes volts of the
    counts is noted under our own keys; `ra.open_recording` of the metadata gives what it gives of the file. (A search
    of the folder finds both, so that `ra.open_recordings` of it needs pattern="*.tiq".)

    Parameters
    ----------
    path : the recording, a local file
    output : name.sigmf-meta in the same folder, where SigMF wants it; that of the recording unless given
    description, author : texts
    format, options : as for `ra.open_recording`, where the file needs them
    overwrite : replace metadata that are there

    Raises
    ------
    RecordingError : samples that do not lie like that, or of a type that SigMF has not; another folder; a .sigmf-data
        of this name, which the metadata would be taken for
    OutputExists : the metadata are there
    FormatError, OSError : as for opening the recording

    >>> import tempfile, numpy, json
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     numpy.arange(8, dtype="<i2").tofile(f"{folder}/x.cs16")
    ...     options = {"format": "raw", "rate": 5, "dtype": "ci16_le"}
    ...     meta = write_sigmf_sidecar(f"{folder}/x.cs16", **options)
    ...     json.loads(meta.read_text())["global"]["core:dataset"]
    'x.cs16'
    """
    path = Path(path)
    target = path.with_suffix(META) if output is None else Path(output)
    if target.parent.resolve() != path.parent.resolve() or not target.name.lower().endswith(META):
        raise RecordingError(
            f"output={str(output)!r} was given; a name that ends in {META}, in the folder of {path}, was expected: "
            "SigMF names datasets without a folder"
        )
    if (samples := target.with_name(target.name[: -len(META)] + DATA)).exists():
        raise RecordingError(
            f"{samples} is there already, which {target.name} would be taken for: pass another output="
        )
    check_folder(target)
    if target.exists() and not overwrite:
        raise OutputExists(f"{target} is there already; pass overwrite=True to replace it, or another output=")
    header = formats.probe(path, format, **options)
    stored, offset, channels = _placed(header, formats.source(header))
    block = stored.width * channels * (2 if stored.pairs else 1)
    full = 2.0 ** (1 - 8 * stored.width) if stored.integer else 1.0
    about = global_of(
        stored.name,
        header.rate,
        channels=channels,
        scale=None if header.scale == full else header.scale,
        units=header.units,
        stated=header.metadata,
        hardware=header.metadata.get("instrument"),
        author=author,
        description=description,
    )
    about["core:dataset"] = path.name
    if rest := header.bytes - offset - header.frames * block:
        about["core:trailing_bytes"] = rest
    with writing(target) as temporary:
        write_document(temporary, about, _captures(header, offset), header.metadata.get("annotations", []))
    return target


def _captures(header: Header, offset: int) -> list[dict[str, Any]]:
    """A capture for each jump of time, and for each part that the file itself speaks of."""
    anchors = [(0, 0), *header.breaks]
    parts = [int(each["sample_start"]) for each in header.metadata.get("segments", []) if "sample_start" in each]
    starts = sorted({frame for frame in [0, *parts, *(frame for frame, _ in anchors)] if frame < max(1, header.frames)})
    since = []
    for start in starts:
        frame, ns = max(anchor for anchor in anchors if anchor[0] <= start)
        since.append(ns + int((start - frame) * 10**9 / header.rate))
    return captures_of(
        starts,
        since,
        header.rate,
        start_ns=header.start_ns,
        frequency=header.center_frequency,
        header_bytes=offset,
        joined=set(starts) - {frame for frame, _ in anchors},
    )


def _placed(header: Header, source: Source) -> tuple[Datatype, int, int]:
    """(datatype, byte of the first frame, channels) of samples that lie one after the other, else an error."""
    path, channels = header.path, 0
    if isinstance(source, PairSource) and not source.swapped:
        name, offset, channels = pair_encoding(source.type).name, source.offset, source.channels
    elif isinstance(source, PcmSource):
        code = encoding(source.code)
        order = "" if code.width == 1 else "_le" if code.order == "<" else "_be"
        name = f"{'c' if header.iq else 'r'}{code.kind}{8 * code.width}{order}"
        offset, channels = source.offset, source.channels // (2 if header.iq else 1)
    if not channels or header.offset:
        raise RecordingError(
            f"{path}: samples of format {header.format!r} do not lie one after the other in this file as they are, "
            "which SigMF needs to describe them: write them anew, ra.write_sigmf(ra.open_recording(...), ...)"
        )
    try:
        stored = Datatype.of(name, path)
    except FormatError:
        raise RecordingError(
            f"{path}: SigMF has no datatype for its samples ({header.subtype}): write them anew, "
            "ra.write_sigmf(ra.open_recording(...), ..., datatype=...)"
        ) from None
    _check_bytes(header, source, stored, offset, channels)
    return stored, offset, channels


def _check_bytes(header: Header, source: Source, stored: Datatype, offset: int, channels: int) -> None:
    """Read both ends of the file in SigMF's way as well: what is described must be what is there."""
    about = (header.path, header.frames, stored.code, stored.pairs, channels, None, header.bytes, header.modified_ns)
    described = SigmfSource(*about, f"0 {offset}", header.bytes, header.modified_ns)
    count = min(_CHECKED, header.frames)
    for start, stop in ((0, count), (header.frames - count, header.frames)):
        if described.read(start, stop).tobytes() != np.ascontiguousarray(source.read(start, stop)).tobytes():
            raise RecordingError(
                f"{header.path}: its samples, as format {header.format!r} reads them, are not those that SigMF finds "
                f"from byte {offset} on as {stored.name}: write them anew, ra.write_sigmf(ra.open_recording(...), ...)"
            )
