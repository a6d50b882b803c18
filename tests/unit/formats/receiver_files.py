"""Writes .iqt, .xdat with its XML, .r3f and .r3a with .r3h, byte by byte, whole and broken ones."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from analyser_files import DATE_TIME, tone


def write_iqt(
    path: str | os.PathLike[str],
    blocks: int | np.ndarray = 4,
    *,
    block: int = 1024,
    ticks: Sequence[int] | None = None,
    overloaded: Sequence[int] = (),
    keep: float = 1.0,
    extra: bytes = b"",
    header_length: int | None = None,
    **changes: str | None,
) -> np.ndarray:
    """Write an RSA3000 .iqt file; returns its counts, (blocks * block, 2) int16 pairs I, Q.

    A tick is 80 us, a block of 1024 samples lasts 3.2 ms = 40 of them. `ticks` are the times of the blocks, without
    pauses by default; `overloaded` numbers blocks; `changes` are keys of the header with other values, None for none;
    `header_length` is a wrong one.
    """
    if isinstance(blocks, int):
        blocks = (tone(blocks * block, rate=320e3, frequency=40e3) >> 16).astype("<i2")
    counts = np.asarray(blocks, "<i2")
    number = len(counts) // block
    lines: dict[str, str | None] = {
        "Type": "RSA3408AIQT", "FrameReverse": "Off", "FramePadding": "Before", "Band": "RF3", "MemoryMode": "Zoom",
        "FFTPoints": str(block), "Bins": "801", "MaxInputLevel": "-20", "LevelOffset": "0",
        "CenterFrequency": "244.7789M", "FrequencyOffset": "0", "Span": "200k", "BlockSize": str(number),
        "ValidFrames": str(number), "FramePeriod": "3.2m", "UnitPeriod": "80u", "FrameLength": "3.2m",
        "DateTime": "2014/08/01@10:33:15", "GainOffset": "-60.5", "MultiFrames": "1", "MultiAddr": "0",
        "IOffset": "-0.0475921630859375", "QOffset": "0",
    }  # fmt: skip
    text = "".join(f"{key}={value}\n" for key, value in (lines | changes).items() if value is not None).encode()
    length = str(len(text) if header_length is None else header_length)
    frames = np.zeros(number, [("head", "<i2", 10), ("ticks", "<i4"), ("pairs", "<i2", (block, 2))])
    frames["head"][:, 1:5] = -1
    frames["head"][:, 5] = 801
    frames["head"][list(overloaded), 8] = 1
    frames["ticks"] = [40 * k for k in range(number)] if ticks is None else ticks
    frames["pairs"] = counts.reshape(number, block, 2)[:, :, ::-1]
    payload = frames.tobytes()
    Path(path).write_bytes(f"{len(length)}{length}".encode() + text + payload[: math.ceil(len(payload) * keep)] + extra)
    return counts


def write_xdat(
    path: str | os.PathLike[str],
    samples: int | np.ndarray = 4096,
    *,
    side: str = ".xml",
    keep: float = 1.0,
    extra: bytes = b"",
    before: str = "",
    recording: dict[str, str | None] | None = None,
    data: dict[str, str | None] | None = None,
) -> np.ndarray:
    """Write an X-COM .xdat file and its XML beside it; returns its counts, (frames, 2) int16 pairs I, Q.

    `side` is the XML's suffix: ".xhdr" is written as later software does. `recording` and `data` change attributes.
    """
    if isinstance(samples, int):
        samples = (tone(samples) >> 16).astype("<i2")
    counts = np.asarray(samples, "<i2")
    told: dict[str, str | None] = {
        "center_frequency": "244778900", "acq_scale_factor": "2.5E-07", "sample_rate": "390625",
    }  # fmt: skip
    if side.endswith(".xhdr"):
        told |= {"span": "312500", "start_capture": "2014:212:08:33:15.978273"}
        opening, name, closing = '<xcom_header header_version="1.0"><captures>', "capture", "</captures></xcom_header>"
    else:
        told |= {"acquisition_bandwidth": "312500", "creation_time": DATE_TIME}
        opening, name, closing = '<x xmlns="http://example.org">', "recording", "</x>"
    stored: dict[str, str | None] = {"samples": str(len(counts)), "data_encoding": "int16", "little_endian": "true"}

    def element(name: str, given: dict[str, str | None]) -> str:
        attributes = "".join(f' {key}="{value}"' for key, value in given.items() if value is not None)
        return f"<{name}{attributes} />"

    xml = opening + element(name, told | (recording or {})) + element("data", stored | (data or {})) + closing
    path = Path(path)
    Path(f"{path.with_suffix('')}{side}").write_text('<?xml version="1.0" encoding="utf-8"?>\n' + before + xml)
    payload = counts.tobytes()
    path.write_bytes(payload[: math.ceil(len(payload) * keep)] + extra)
    return counts


def write_r3f(
    path: str | os.PathLike[str],
    blocks: int | np.ndarray = 3,
    *,
    block: int = 8178,
    footer: int = 28,
    first_frame: int = 16_384,
    ticks: Sequence[int] | None = None,
    utc: Sequence[int] | None = (2014, 8, 1, 8, 33, 15, 978_272_700),
    local: Sequence[int] = (2014, 8, 1, 10, 33, 15, 978_272_700),
    keep: float = 1.0,
    rate: float = 112e6,
    intermediate_frequency: float = 28e6,
    split: bool = False,
    changes: Sequence[tuple[str, int, Any]] = (),
) -> np.ndarray:
    """Write an RSA300 .r3f file, or with `split` an .r3a and its .r3h; returns its counts, (blocks * block) int16.

    The header's reference time was at tick 1000; `ticks` are the times of the blocks, from tick 1000 on and without
    gaps by default. `changes` are (struct format, offset, value) of the header.
    """
    if isinstance(blocks, int):
        blocks = (tone(blocks * block, rate=rate, frequency=intermediate_frequency + 1e6)[:, 0] >> 16).astype("<i2")
    counts = np.asarray(blocks, "<i2")
    number = len(counts) // block
    header = bytearray(first_frame)
    header[:26] = b"Tektronix RSA300 Data File"
    header[532:539] = b"B010203"
    struct.pack_into("<I", header, 512, 0x12345678)
    struct.pack_into("<2d", header, 1024, -10.0, 244_778_900.0)
    frame = 2 * block + footer
    struct.pack_into("<7I", header, 2048, 161, first_frame, frame, 0, block, 2 * block, footer)
    struct.pack_into("<3d", header, 2076, intermediate_frequency, rate, 40e6)
    struct.pack_into("<7i", header, 2108, *local)
    struct.pack_into("<2Q", header, 2136, 1000, round(rate))
    struct.pack_into("<7i", header, 2152, *(utc or (0,) * 7))
    struct.pack_into("<d", header, 3072, 1.5e-5)
    for kind, offset, value in changes:
        struct.pack_into(kind, header, offset, value)
    path = Path(path)
    if split:
        path.with_suffix(".r3h").write_bytes(header)
        payload, header = counts.tobytes(), bytearray()
    else:
        frames = np.zeros(number, [("samples", "<i2", block), ("footer", "u1", footer)])
        frames["samples"] = counts.reshape(number, block)
        # rubbish where no sample is, so that reading it would show
        frames["footer"] = 0x7F
        stamps = [1000 + block * k for k in range(number)] if ticks is None else ticks
        for k in range(number if footer >= 28 else 0):
            frames["footer"][k, 20:28] = np.frombuffer(struct.pack("<Q", stamps[k]), np.uint8)
        payload = frames.tobytes()
    path.write_bytes(bytes(header) + payload[: math.ceil(len(payload) * keep)])
    return counts
