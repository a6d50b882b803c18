"""X-COM recordings (.xdat with an XML file beside it): pairs I, Q of 16-bit integers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

from ..errors import FormatError
from ..source import Format, Header
from .pairs import source
from .pcm import encoding
from .ranges import HeaderBytes
from .stated import any_number, date_time, exact_number, stated_rate, whole_number
from .xmltext import read_elements

LARGEST_HEADER = 16 << 20
_STEP = 1 << 16
_STORED = encoding("<i2")
_PAIR = 4
_BESIDE = (".xml", ".xhdr")
_WANTED = frozenset(("recording", "capture", "data"))
# What the element `data` may say besides the number of samples; samples of another kind are refused.
_READABLE = {"data_encoding": "int16", "little_endian": "true", "iq_interleave": "true", "signed_type": "true"}
_TEXTS = ("creation_time", "start_capture")


class _Facts(NamedTuple):
    """The XML file, the attributes of its first `recording` or `capture`, and of its first `data`."""

    side: str
    kind: str
    recording: dict[str, str]
    data: dict[str, str]


def probe(path: str, *, header: str | None = None, scale: float | None = None) -> Header:
    """Describe an .xdat file by the XML beside it: frames of (time, iq) int16 counts, volts = count * scale.

    An `.xml` has an element `recording`, whose acq_scale_factor is volts a count. An `.xhdr`, of later software, has a
    `capture` instead, and what its acq_scale_factor multiplies is not documented: readers in use apply 1 / 65536 and
    65536. So full scale is 1 there, and units are "1", unless `scale=` is given; the factor is in the metadata. The
    date of a `capture` (`start_capture`) counts days of the year from 0 or from 1, and is kept as text only.

    Parameters
    ----------
    header : the XML file, where it is not beside the samples as `x.xml`, `x.xhdr`, `x.xdat.xml` or `x.xdat.xhdr`
    scale : volts of one count, instead of acq_scale_factor

    Flags: "truncated" (fewer samples than declared), "extra_bytes" (bytes behind them, not read).

    Raises `FormatError` where the XML is missing, damaged, or lacks rate, scale or centre frequency; `OSError` of the
    usual kinds for what cannot be opened.
    """
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise FormatError(f"{path}: scale={scale} was given, volts of one count above 0 are possible")
    with closing(HeaderBytes(path)) as file:
        size, modified_ns = file.size, file.modified_ns
    facts = _read_facts(path, header)
    side, told = facts.side, facts.recording
    declared = whole_number(side, facts.data, "samples")
    frames = min(size // _PAIR, declared)
    start_ns, zone = date_time(told.get("creation_time"))
    metadata = _metadata(told) | zone
    flags: tuple[str, ...] = ()
    if frames < declared:
        flags = ("truncated",)
        metadata["declared_frames"] = declared
    elif extra := size - declared * _PAIR:
        flags = ("extra_bytes",)
        metadata["extra_bytes"] = extra
    volts = scale
    if volts is None and facts.kind == "recording":
        volts = float(exact_number(side, told, "acq_scale_factor", positive=True))
    return Header(
        path=path,
        format="xdat",
        frames=frames,
        rate=stated_rate(side, exact_number(side, told, "sample_rate", positive=True)),
        shape=(frames, 2),
        dtype=_STORED.type,
        subtype=_STORED.subtype,
        layout=(_STORED.code, 0, 2),
        bytes=size,
        modified_ns=modified_ns,
        scale=_STORED.scale if volts is None else volts,
        units="1" if volts is None else "V",
        start_ns=start_ns,
        flags=flags,
        metadata=metadata,
        iq=True,
        center_frequency=float(exact_number(side, told, "center_frequency")),
    )


def complete(path: str) -> bool | None:
    """Are all samples there that the XML declares? Not as long as it is missing, or has no end yet."""
    with closing(HeaderBytes(path)) as file:
        size = file.size
    side = _beside(path)
    if side is None:
        return False
    with closing(HeaderBytes(side)) as file:
        if not file.get(max(file.size - 512, 0), 512).rstrip().endswith(b">"):
            return False
    return size >= whole_number(side, _read_facts(path, side).data, "samples") * _PAIR


def _beside(path: str) -> str | None:
    """The XML file that belongs to the samples, if it is there."""
    stem = path[: -len(".xdat")] if path.lower().endswith(".xdat") else path
    suffixes = [suffix.upper() if path.endswith(".XDAT") else suffix for suffix in _BESIDE]
    for candidate in [stem + suffix for suffix in suffixes] + [path + suffix for suffix in suffixes]:
        try:
            HeaderBytes(candidate).close()
        except FileNotFoundError:
            continue
        return candidate
    return None


def _read_facts(path: str, header: str | None) -> _Facts:
    side = header or _beside(path)
    if side is None:
        raise FormatError(
            f"{path} has samples only, and no XML file with their rate is beside it ({', '.join(_BESIDE)}); put it "
            "there, give it as header=, or open the samples with format='raw', dtype='ci16_le' and rate="
        )
    recording: dict[str, str] | None = None
    data: dict[str, str] | None = None
    kind = ""
    with closing(HeaderBytes(side)) as file:
        if file.size > LARGEST_HEADER:
            raise FormatError(
                f"{side} has {file.size:,} bytes, the XML of a recording has at most {LARGEST_HEADER:,}; give the "
                "right file as header="
            )
        for element in read_elements(side, _pieces(file), _WANTED):
            if element.name == "data":
                data = element.attributes if data is None else data
            elif recording is None:
                kind, recording = element.name, element.attributes
    if recording is None or data is None:
        raise FormatError(
            f"{side} has no element {'data' if recording else 'recording'}, which the samples of {path} need; give the "
            "right file as header="
        )
    for name, known in _READABLE.items():
        if (stated := data.get(name, known)) != known:
            raise FormatError(
                f"{side}: its data have {name}={stated[:40]!r}, {known!r} is what is read; open the samples of {path} "
                "with format='raw', dtype= and rate="
            )
    return _Facts(side, kind, recording, data)


def _pieces(file: HeaderBytes) -> Iterator[bytes]:
    return (file.get(start, _STEP) for start in range(0, file.size, _STEP))


def _metadata(told: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    names = {"span": "span", "acquisition_bandwidth": "bandwidth", "acq_scale_factor": "acq_scale_factor"}
    found.update({key: number for name, key in names.items() if (number := any_number(told.get(name))) is not None})
    found.update({name: told[name][:200] for name in _TEXTS if name in told})
    return found


FORMAT = Format(
    name="xdat",
    suffixes=(".xdat",),
    recognises=None,  # nothing but samples
    probe=probe,
    source=source,
    complete=complete,
    alone=False,
)
