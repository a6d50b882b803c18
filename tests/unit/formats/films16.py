"""Films of 16-bit gray for tests: written with PyAV, or element by element."""

from __future__ import annotations

import struct
from fractions import Fraction

import numpy as np
import pytest

av = pytest.importorskip("av")


def scenes(frames, height=48, width=64, seed=0):
    """(frames, y, x) uint16, no two frames alike, the number of each frame in its first pixel."""
    random = np.random.default_rng(seed)
    film = random.integers(640, 700, (frames, height, width)).astype(np.uint16)
    film[:, 0, 0] = np.arange(frames)
    return film


def write_avi(path, film, *, gop=1, rate=30, options=None, ticks=None):
    """FFV1 as ffmpeg writes it; `ticks` are the times of the frames, where they are not 0, 1, 2 ..."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.height, stream.width, stream.pix_fmt = *film.shape[1:], "gray16le"
        stream.options = {"slicecrc": "1", "level": "3", **(options or {})}
        stream.gop_size = gop
        for k, frame in enumerate(film):
            picture = av.VideoFrame.from_ndarray(frame, format="gray16le")
            picture.pts, picture.time_base = k if ticks is None else int(ticks[k]), Fraction(1, rate)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def write_colour(path, frames=3):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode())
    return path


def write_mkv(path, film, times, *, titles=("COLOR", "DEPTH", "IR")):
    """A film beside one of colour and one of infrared, as recorders of several cameras write them; times in ms."""
    with av.open(str(path), "w") as container:
        streams = []
        for title in titles:
            depth = title != "COLOR"
            stream = container.add_stream("ffv1" if depth else "mpeg4", rate=30)
            stream.height, stream.width = film.shape[1:]
            stream.pix_fmt = "gray16le" if depth else "yuv420p"
            stream.metadata["title"] = title
            stream.options = {"slicecrc": "1", "level": "3"} if depth else {}
            stream.gop_size = 1
            stream.time_base = Fraction(1, 1000)
            streams.append((title, stream))
        for frame, ms in zip(film, times, strict=True):
            for title, stream in streams:
                shown = frame if title == "DEPTH" else 65535 - frame
                picture = av.VideoFrame.from_ndarray(shown, format="gray16le")
                if title == "COLOR":
                    picture = av.VideoFrame(film.shape[2], film.shape[1], "yuv420p")
                picture.pts, picture.time_base = round(ms), Fraction(1, 1000)
                container.mux(stream.encode(picture))
        for _, stream in streams:
            container.mux(stream.encode())
    return path


def element(name, contents, *, unknown=False):
    """One element of EBML; `unknown` leaves its length open, as live recorders do."""
    head = name.to_bytes((name.bit_length() + 7) // 8, "big")
    size = b"\x01" + b"\xff" * 7 if unknown else struct.pack(">Q", len(contents) | 1 << 56)
    return head + size + contents


def number(name, value):
    return element(name, value.to_bytes(8, "big"))


def azure_bytes(film, ticks, *, scale=100_000, groups=False, unknown=False, lacing=0, cluster=4, encodings=b""):
    """A film as the Azure recorder writes it, element by element: gray, big endian, raw; ticks of `scale` ns."""
    height, width = film.shape[1:]
    bitmap = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 16, b"b16g", 2 * height * width, 0, 0, 0, 0)

    def track(number_, title):
        video = element(0xE0, number(0xB0, width) + number(0xBA, height))
        return element(
            0xAE,
            number(0xD7, number_)
            + number(0x73C5, number_)
            + number(0x83, 1)
            + element(0x86, b"V_MS/VFW/FOURCC")
            + element(0x63A2, bitmap)
            + element(0x536E, title)
            + video
            + encodings,
        )

    clusters = b""
    for first in range(0, len(film), cluster):
        begin = int(ticks[first])
        blocks = b""
        for k in range(first, min(first + cluster, len(film))):
            for track_, shown in ((1, 65535 - film[k]), (2, film[k])):
                head = bytes([0x80 | track_]) + struct.pack(">h", int(ticks[k]) - begin)
                body = shown.astype(">u2").tobytes()
                if groups:
                    blocks += element(0xA0, element(0xA1, head + bytes([lacing]) + body) + number(0x9B, 33))
                else:
                    blocks += element(0xA3, head + bytes([0x80 | lacing]) + body)
        clusters += element(0x1F43B675, number(0xE7, begin) + blocks, unknown=unknown)
    body = (
        element(0x1549A966, number(0x2AD7B1, scale))
        + element(0x1654AE6B, track(1, b"IR") + track(2, b"DEPTH"))
        + clusters
    )
    top = element(0x1A45DFA3, element(0x4282, b"matroska") + number(0x4287, 4) + number(0x4285, 2))
    return top + element(0x18538067, body, unknown=unknown)
