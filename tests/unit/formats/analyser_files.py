"""Writes .tiq files byte by byte, whole and broken ones; see `receiver_files` for .iqt, .xdat and .r3f."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

RATE = 390_625.0
CENTER = 244_778_900.0
SCALING = 5.2372117103283264e-12  # volts a count, of a real RSA5103A
DATE_TIME = "2014-08-01T10:33:15.9782727+02:00"
# The same instant in UTC, in ns.
START_NS = 1_406_881_995_978_272_700
# What a real RSA5103A writes before the first sample.
REAL_HEADER_BYTES = 96_648
# Two to the thirtieth copies of "ha", if anybody expands them.
LAUGHS = (
    "<!DOCTYPE laughs [<!ENTITY a0 'ha'>"
    + "".join(f"<!ENTITY a{k} '&a{k - 1};&a{k - 1};'>" for k in range(1, 31))
    + "]><laughs>&a30;</laughs>"
)


def probe_in_bounded_memory(format: str, path: str) -> str:
    """What probing raises in a process that may not take 128 MB more than it has at its start; skips off Linux."""
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("memory is measured by way of /proc")
    code = f"""
        import resource
        from reelarray.errors import FormatError
        from reelarray.formats import {format}
        size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + (128 << 20),) * 2)
        try:
            {format}.probe({path!r})
        except FormatError as error:
            print(error)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def tone(frames: int, *, rate: float = RATE, frequency: float = RATE / 8, full: float = 2.0**28) -> np.ndarray:
    """(frames, 2) int32 pairs I, Q: one tone at `frequency` from the centre, over seeded noise 20 dB below it."""
    t = np.arange(frames) / rate
    noise = np.random.default_rng(frames).standard_normal((frames, 2)) * full / 10
    turn = 2 * np.pi * frequency * t
    return np.rint(np.stack([np.cos(turn), np.sin(turn)], axis=-1) * full + noise).astype("<i4")


def write_tiq(
    path: str | os.PathLike[str],
    samples: int | np.ndarray = 4096,
    *,
    datasets: int = 1,
    gaps: Sequence[float] = (),
    offsets: Sequence[float | str] | None = None,
    rate: float = RATE,
    center_frequency: float | str = CENTER,
    scaling: float | str = SCALING,
    date_time: str | None = DATE_TIME,
    number_samples: str | None = None,
    padded: bool = False,
    header_bytes: int | None = None,
    keep: float = 1.0,
    extra: bytes = b"",
    **changes: Any,
) -> np.ndarray:
    """Write a Tektronix .tiq file; returns its counts, (frames, 2) int32: all that a whole copy would have.

    Parameters
    ----------
    samples : frames in all the file, of `tone`, or the (frames, 2) counts
    datasets : number of DataSets, of equal length: it has to divide the frames
    gaps : seconds without samples after each DataSet but the last; none by default
    offsets : TimestampOffset of each DataSet instead, as text or in seconds
    number_samples : text of NumberSamples instead of frames / datasets
    padded : NumberSamples with leading zeros
    header_bytes : fill the header up to so many bytes (REAL_HEADER_BYTES: as a real one)
    keep : share of the payload that is written, at whole bytes: a copy that was cut short
    extra : bytes behind the payload
    changes : for `tiq_header`
    """
    counts = tone(samples, rate=rate, frequency=rate / 8) if isinstance(samples, int) else np.asarray(samples, "<i4")
    each, rest = divmod(len(counts), datasets)
    assert rest == 0, f"{len(counts)} samples in {datasets} DataSets of equal length"
    if offsets is None:
        ends = [*gaps, *[0.0] * (datasets - 1 - len(gaps))]
        offsets = [k * each / rate + sum(ends[:k]) for k in range(datasets)]
    header = tiq_header(
        number_samples or (f"{each:07d}" if padded else str(each)),
        offsets=offsets,
        rate=rate,
        center_frequency=center_frequency,
        scaling=scaling,
        date_time=date_time,
        header_bytes=header_bytes,
        **changes,
    )
    payload = counts.tobytes()
    Path(path).write_bytes(header + payload[: int(len(payload) * keep)] + extra)
    return counts


def damage(body: bytes, seed: int, spots: Sequence[int] | None = None) -> bytes:
    """A few bytes changed, lost or added, among `spots` (all): the same ones for the same seed."""
    random, damaged = np.random.default_rng(seed), bytearray(body)
    for _ in range(random.integers(1, 9)):
        at = min(int(random.choice(spots if spots is not None else len(body))), len(damaged) - 1)
        kind, length = random.integers(3), int(random.integers(1, 7))
        new = bytes(random.choice(list(b'0123456789eE.-+<>&;"=/\0\xff NaninfkMG'), length).tolist())
        if kind == 0:
            damaged[at] = new[0]
        elif kind == 1:
            del damaged[at : at + length]
        else:
            damaged[at:at] = new
    return bytes(damaged)


def tiq_header(
    number_samples: str,
    *,
    offsets: Sequence[float | str] = (0.0,),
    rate: float = RATE,
    rate_text: str | None = None,
    center_frequency: float | str = CENTER,
    scaling: float | str = SCALING,
    date_time: str | None = DATE_TIME,
    bandwidth: float | None = None,
    span: float | None = 200e3,
    rbw: float | None = 3e3,
    header_bytes: int | None = None,
    offset: int | None = None,
    samples_type: str = "IQ",
    number_format: str = "Int32",
    endian: str = "Little",
    count: int | None = None,
    errors: Sequence[tuple[str, str]] = (),
    leave_out: Sequence[str] = (),
    before: str = "",
) -> bytes:
    """The header of a .tiq file, as an RSA5103A writes it but shorter.

    `offset` is a wrong number of bytes; `leave_out` names elements that are missing; `before` is markup between the
    first tag and the data; the last DataSet has the `errors` (identifier, message).
    """

    def leaf(name: str, value: Any, units: str | None = None) -> str:
        if value is None or name in leave_out:
            return ""
        text = format(value, ".17g") if isinstance(value, float) else str(value)
        attribute = f' units="{units}"' if units else ""
        return f"<{name}{attribute}>{text}</{name}>\r\n"

    def parameter(pid: str, name: str, value: float | None) -> str:
        if value is None:
            return ""
        return f'<NumericParameter pid="{pid}" name="{name}">\r\n{leaf("Value", value)}</NumericParameter>\r\n'

    many = len(offsets) > 1
    sets = []
    for k, seconds in enumerate(offsets):
        found = "".join(
            f"<Error>\r\n{leaf('ID', identifier)}{leaf('Message', message)}</Error>\r\n"
            for identifier, message in errors
            if k == len(offsets) - 1
        )
        sets.append(
            "<DataSet>\r\n"
            + leaf("TriggerPosition", 5.0, "Seconds")
            + leaf("TimestampOffset", seconds if isinstance(seconds, str) else f"{seconds:.12f}", "Seconds")
            + leaf("FastFrameID", 1 if many else -1)
            + leaf("IDInFastFrame", k)
            + leaf("TotalInFastFrame", len(offsets) if many else 0)
            + (f"<Errors>\r\n{found}</Errors>\r\n" if found else "<Errors />\r\n")
            + "</DataSet>\r\n"
        )
    namespace = 'xmlns="http://www.tektronix.com"'
    body = (
        f"{before}<DataSetsCollection {namespace}>\r\n"
        f'<DataSets version="1" count="{len(offsets) if count is None else count}" {namespace}>\r\n'
        "<DataDescription>\r\n"
        + leaf("SamplingFrequency", rate_text or rate, "Hz")
        + leaf("NumberSamples", number_samples)
        + leaf("SamplesType", samples_type)
        + leaf("NumberFormat", number_format)
        + leaf("Endian", endian)
        + leaf("Scaling", scaling)
        + leaf("DateTime", date_time)
        + "</DataDescription>\r\n"
        + "".join(sets)
        + '<ProductSpecific name="RSA5103A">\r\n'
        + leaf("SerialNumber", "0000000")
        + leaf("FirmwareVersion", "2.6.0118")
        + leaf("OptionKey", "SECRETOPTIONKEY")
        + leaf("Frequency", center_frequency, "Hz")
        + leaf("AcquisitionBandwidth", rate / 1.25 if bandwidth is None else bandwidth, "Hz")
        + leaf("RFAttenuation", 10, "dB")
        + leaf("DitherOn", "true")
        + leaf("Preamp", "false")
        + leaf("ReferenceLevel", -35, "dBm")
        + "</ProductSpecific>\r\n</DataSets>\r\n</DataSetsCollection>\r\n<Setup>\r\n"
        # Other windows of the instrument have a span, a resolution bandwidth and a centre too: these are not ours.
        + parameter("dpxrange", "Span", 123.0)
        + parameter("globalrange", "Span", span)
        + parameter("rbw", "Resolution Bandwidth", 2000.0)
        + parameter("fmtRBW", "Resolution Bandwidth", rbw)
        + leaf("Frequency", 1.0)
        + "%s</Setup>\r\n</DataFile>"
    )
    first = '<DataFile offset="%09d" version="0.3">\r\n'
    size = len((first % 0 + body % "").encode())
    filling = max((header_bytes or 0) - size, 0)
    fill = f"<!--{'x' * (filling - 7)}-->" if filling >= 7 else " " * filling
    return (first % (size + filling if offset is None else offset) + body % fill).encode()
