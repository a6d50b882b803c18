"""WAV containers, one fact each: what is in the header, and the samples to the bit."""

from __future__ import annotations

import os
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import riffs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reelarray import formats
from reelarray.errors import FormatError, TruncatedFile
from reelarray.source import Header

COUNTS = np.array([0, 1, -1, 127, -128, 5, -6], np.int64)
GIB = 1 << 30


def write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def read(header: Header) -> np.ndarray:
    return formats.source(header).read(0, header.frames)


def plain(body: bytes = b"\1\0\2\0", *more: bytes, size: int | None = None, **facts: Any) -> bytes:
    return riffs.riff(riffs.chunk(b"fmt ", riffs.fmt(**facts)), riffs.chunk(b"data", body, size=size), *more)


@pytest.mark.parametrize("width", range(1, 9))
@pytest.mark.parametrize("magic", [b"RIFF", b"RIFX"])
def test_integers_of_any_width_keep_their_value_and_full_scale_is_one(tmp_path: Path, width: int, magic: bytes) -> None:
    order = ">" if magic == b"RIFX" else "<"
    full = 1 << (8 * width - 1)
    counts = np.concatenate([COUNTS, [full - 1, -full]]).astype(np.int64)
    chunks = [
        riffs.chunk(b"fmt ", riffs.fmt(bits=8 * width, order=order), order=order),
        riffs.chunk(b"data", riffs.pcm(counts, width, order), order=order),
    ]
    header = formats.probe(write(tmp_path / "x.wav", riffs.riff(*chunks, magic=magic)))
    found = read(header)
    np.testing.assert_array_equal(found, counts)
    assert found.dtype.isnative
    assert found[-1] * header.scale == -1.0
    assert (header.frames, header.rate, header.flags) == (9, Fraction(48000), ())


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [32, 64])
def test_floats_come_as_they_are(tmp_path: Path, order: str, bits: int) -> None:
    values = np.array([[0.5, -2.0], [np.pi, np.nan]], f"{order}f{bits // 8}")
    chunks = [
        riffs.chunk(b"fmt ", riffs.fmt(tag=3, bits=bits, channels=2, order=order), order=order),
        riffs.chunk(b"data", values.tobytes(), order=order),
    ]
    header = formats.probe(write(tmp_path / "x.wav", riffs.riff(*chunks, magic=b"RIFX" if order == ">" else b"RIFF")))
    np.testing.assert_array_equal(read(header), values)
    assert (header.shape, header.scale, header.subtype) == ((2, 2), 1.0, "FLOAT" if bits == 32 else "DOUBLE")


def test_extensible_means_the_tag_in_its_guid(tmp_path: Path) -> None:
    body = riffs.pcm(COUNTS * 256, 3)
    header = formats.probe(write(tmp_path / "x.wav", plain(body, bits=24, extensible=True, valid_bits=16, tag=1)))
    np.testing.assert_array_equal(read(header), COUNTS * 256)
    assert header.metadata["valid_bits"] == 16


def test_plain_tag_in_a_long_fmt_chunk_is_plain(tmp_path: Path) -> None:
    long = riffs.chunk(b"fmt ", riffs.fmt() + b"\0" * 24)
    path = write(tmp_path / "x.wav", riffs.riff(long, riffs.chunk(b"data", b"\1\0\2\0")))
    np.testing.assert_array_equal(read(formats.probe(path)), [1, 2])


def test_fmt_may_follow_data(tmp_path: Path) -> None:
    content = riffs.riff(riffs.chunk(b"data", b"\1\0" * 5000), riffs.chunk(b"fmt ", riffs.fmt()))
    header = formats.probe(write(tmp_path / "x.wav", content))
    assert (header.frames, header.flags, header.layout[1]) == (5000, (), 20)


def test_a_forgotten_pad_byte_does_not_hide_the_next_chunk(tmp_path: Path) -> None:
    odd = riffs.chunk(b"bext", b"x" * 603, pad=False)
    path = write(tmp_path / "x.wav", riffs.riff(odd, riffs.chunk(b"fmt ", riffs.fmt()), riffs.chunk(b"data", b"\1\0")))
    assert formats.probe(path).frames == 1


@pytest.mark.parametrize("riff_size", [0, 8, 30, 1 << 31])
def test_the_riff_size_does_not_matter(tmp_path: Path, riff_size: int) -> None:
    content = riffs.riff(riffs.chunk(b"fmt ", riffs.fmt()), riffs.chunk(b"data", b"\1\0\2\0"), size=riff_size)
    header = formats.probe(write(tmp_path / "x.wav", content))
    assert (header.frames, header.flags) == (2, ())


@pytest.mark.parametrize(
    ("content", "frames", "flags"),
    [
        (plain(b"\1\0" * 10, size=40), 10, ("truncated",)),
        (plain(b"\1\0" * 11, size=40)[:-1], 10, ("truncated",)),
        (plain(b"\1\0" * 10, size=0), 10, ("unfinished",)),
        (plain(b"\1\0" * 10, size=0xFFFFFFFF), 10, ("unfinished",)),
        (plain(b""), 0, ()),
        (plain(b"", riffs.chunk(b"LIST", riffs.info({"ISFT": "editor"}))), 0, ()),
        (plain(b"\1\0\2\0\3"), 2, ("partial_frame",)),
        (plain(b"\1\0" * 6, channels=3, align=4), 2, ("block_align",)),
        (plain(b"\1\0", riffs.chunk(b"data", b"\2\0")), 1, ("extra_data",)),
        (plain(b"\1\0\2\0") + b"\0" * 4000, 2, ()),
        (plain(b"\1\0\2\0") + b"\0" * 5000, 2, ("trailing_bytes",)),
        (plain(b"\1\0\2\0") + b"\xff\xfe" * 500, 2, ("trailing_bytes",)),
        (plain(b"\1\0\2\0") + b"text that is no chunk", 2, ("trailing_bytes",)),
        (plain(b"\1\0\2\0", riffs.chunk(b"mine", b"text")), 2, ()),
        (plain(b"\1\0\2\0", riffs.chunk(b"LIST", b"cut", size=900)), 2, ()),
        (plain(b"\1\0\2\0") + b"odd", 2, ()),
    ],
)
def test_sizes_that_lie(tmp_path: Path, content: bytes, frames: int, flags: tuple[str, ...]) -> None:
    header = formats.probe(write(tmp_path / "x.wav", content))
    assert (header.frames, header.flags) == (frames, flags)
    assert len(read(header)) == frames


def test_zero_tail_is_looked_for_on_request_only(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", plain(b"\1\0" * 700 + b"\0\0" * 150_000, rate=8000))
    assert formats.probe(path).flags == ()
    header = formats.probe(path, zero_tail=True)
    assert (header.flags, header.metadata["zero_tail_frames"]) == (("zero_tail",), 150_000)
    path = write(tmp_path / "y.wav", plain(b"\1\0" * 700 + b"\0\0" * 1000, rate=8000))
    assert formats.probe(path, zero_tail=True).flags == ()


@pytest.mark.parametrize("magic", [b"RF64", b"BW64"])
def test_rf64_takes_its_sizes_from_ds64(tmp_path: Path, magic: bytes) -> None:
    content = riffs.riff(
        riffs.ds64(data=4, frames=2, table={b"JUNK": 6}),
        riffs.chunk(b"JUNK", b"\0" * 6, size=0xFFFFFFFF),
        riffs.chunk(b"fmt ", riffs.fmt()),
        riffs.chunk(b"data", b"\1\0\2\0", size=0xFFFFFFFF),
        riffs.chunk(b"LIST", riffs.info({"ICMT": "after the samples"})),
        magic=magic,
        size=0xFFFFFFFF,
    )
    header = formats.probe(write(tmp_path / "x.wav", content))
    np.testing.assert_array_equal(read(header), [1, 2])
    assert (header.flags, header.metadata["info"]) == ((), {"ICMT": "after the samples"})


def test_rf64_without_a_ds64_uses_all_that_is_there(tmp_path: Path) -> None:
    chunks = riffs.chunk(b"fmt ", riffs.fmt()), riffs.chunk(b"data", b"\1\0\2\0", size=0xFFFFFFFF)
    header = formats.probe(write(tmp_path / "x.wav", riffs.riff(*chunks, magic=b"RF64", size=0xFFFFFFFF)))
    assert (header.frames, header.flags) == (2, ("unfinished",))


def test_wave64(tmp_path: Path) -> None:
    content = riffs.w64((b"junk", b"12345"), (b"fmt ", riffs.fmt(bits=24)), (b"data", riffs.pcm(COUNTS, 3)))
    header = formats.probe(write(tmp_path / "x.w64", content))
    np.testing.assert_array_equal(read(header), COUNTS)
    assert header.flags == ()


def sparse(path: Path, head: bytes, frames: int) -> str:
    """A file of `frames` 16-bit samples that are zero but the last, which is -7; no blocks on disk between."""
    with open(path, "wb") as file:
        file.write(head)
        file.truncate(len(head) + 2 * frames)
        file.seek(-2, os.SEEK_END)
        file.write(struct.pack("<h", -7))
    return str(path)


@pytest.mark.parametrize("kind", ["wrapped", "unfinished", "rf64"])
def test_five_gigabytes_give_their_last_sample(tmp_path: Path, kind: str) -> None:
    frames = 5 * GIB // 2
    size = {"wrapped": 5 * GIB % (1 << 32), "unfinished": 0, "rf64": 0xFFFFFFFF}[kind]
    first = [riffs.ds64(data=5 * GIB, frames=frames)] if kind == "rf64" else []
    head = riffs.riff(
        *first,
        riffs.chunk(b"fmt ", riffs.fmt()),
        riffs.chunk(b"data", b"", size=size),
        magic=b"RF64" if kind == "rf64" else b"RIFF",
    )
    header = formats.probe(sparse(tmp_path / "x.wav", head, frames))
    assert header.frames == frames
    assert header.flags == {"wrapped": ("wrapped_size",), "unfinished": ("unfinished",), "rf64": ()}[kind]
    np.testing.assert_array_equal(formats.source(header).read(frames - 2, frames), [0, -7])


def test_metadata_after_the_samples_and_in_lower_case_lists(tmp_path: Path) -> None:
    comment = (
        "Recorded at 19:20:21.250 05/06/2021 (UTC+10:30) by AudioMoth 0123456789ABCDEF at medium gain while battery "
    )
    comment += "was greater than 4.9V and temperature was -3.5C."
    content = plain(
        b"\1\0" * 9000,
        riffs.chunk(b"list", riffs.info({"ICMT": comment, "IART": "AudioMoth 0123456789ABCDEF"})),
        riffs.chunk(b"bext", riffs.bext(description="a reef", date="1999-01-02", time="03:04:05", reference=17)),
        riffs.chunk(b"iXML", b"<BWFXML/>"),
    )
    header = formats.probe(write(tmp_path / "x.wav", content))
    assert header.start_ns == np.datetime64("2021-06-05T08:50:21.250", "ns").astype(int)
    assert header.metadata["start_source"] == "audiomoth"
    assert "naive_start" not in header.metadata
    assert header.metadata["ixml"] == "<BWFXML/>"
    assert header.metadata["bext"]["time_reference"] == 17
    moth = header.metadata["audiomoth"]
    assert (moth["device"], moth["gain"], moth["battery_volts"]) == ("0123456789ABCDEF", "medium gain", 4.9)
    assert (moth["battery_bound"], moth["temperature_celsius"]) == ("greater", -3.5)


def test_compressed_samples_go_to_libsndfile(tmp_path: Path) -> None:
    content = plain(bytes([0xFF, 0x8B, 0x03]), tag=7, bits=8)
    header = formats.probe(write(tmp_path / "x.wav", content))
    assert (header.format, header.subtype, header.frames) == ("libsndfile", "ULAW", 3)
    assert len(read(header)) == 3


EXTRA = st.tuples(
    st.sampled_from([b"JUNK", b"junk", b"fact", b"LIST", b"list", b"PAD ", b"xyz9", b"cue ", b"bext", b"iXML"]),
    st.binary(max_size=80),
)


@given(
    data=st.data(),
    width=st.integers(1, 8),
    channels=st.integers(1, 4),
    frames=st.integers(0, 40),
    magic=st.sampled_from([b"RIFF", b"RIFX", b"RF64"]),
    before=st.lists(EXTRA, max_size=4),
    between=st.lists(EXTRA, max_size=3),
    after=st.lists(EXTRA, max_size=4),
    last_pad=st.booleans(),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_chunks_gives_the_same_samples(
    tmp_path: Path,
    data: st.DataObject,
    width: int,
    channels: int,
    frames: int,
    magic: bytes,
    before: list[tuple[bytes, bytes]],
    between: list[tuple[bytes, bytes]],
    after: list[tuple[bytes, bytes]],
    last_pad: bool,
) -> None:
    order = ">" if magic == b"RIFX" else "<"
    full = 1 << (8 * width - 1)
    values = st.lists(st.integers(-full, full - 1), min_size=frames * channels, max_size=frames * channels)
    counts = np.array(data.draw(values), np.int64).reshape(frames, channels)
    body = riffs.pcm(counts, width, order)
    samples = (b"data", body)
    layout = riffs.fmt(bits=8 * width, channels=channels, order=order)
    chunks = [*before, (b"fmt ", layout), *between, samples, *after]
    written = [
        riffs.chunk(name, content, order=order, pad=last_pad or index < len(chunks) - 1)
        for index, (name, content) in enumerate(chunks)
    ]
    if magic == b"RF64":
        written = [riffs.ds64(len(body), frames), *written]
    header = formats.probe(write(tmp_path / "x.wav", riffs.riff(*written, magic=magic)))
    assert header.frames == frames
    np.testing.assert_array_equal(read(header).reshape(frames, channels), counts)
    start, stop = sorted((data.draw(st.integers(0, frames)), data.draw(st.integers(0, frames))))
    piece = formats.source(header).read(start, stop)
    np.testing.assert_array_equal(piece.reshape(stop - start, channels), counts[start:stop])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "0 bytes"),
        (b"a plain text, not a sound at all\n", "b'a plain text, no"),
        (plain()[:11], "starts with b'RIFF"),
        (plain()[:13], "no chunk at all"),
        (plain()[:30], "'data' are needed"),
        (riffs.riff(riffs.chunk(b"fmt ", b"\1\0\1\0"), riffs.chunk(b"data", b"")), "has 4 bytes, 16 are needed"),
        (plain()[:36], "'data' are needed"),
        (riffs.riff(riffs.chunk(b"data", b"\1\0")), "the chunks 'data'"),
        (riffs.riff(riffs.chunk(b"fmt ", riffs.fmt())), "the chunks 'fmt '"),
        (plain(channels=0), "0 channels"),
        (plain(rate=0), "at 0 Hz"),
        (plain(bits=0), "0 bits"),
        (plain(bits=72), "72 bits"),
        (plain(tag=3, bits=16), "16 bits"),
        (plain(channels=2, align=2, byte_rate=1), "contradicts itself"),
    ],
)
def test_what_is_no_wav_is_refused_by_name(tmp_path: Path, content: bytes, text: str) -> None:
    path = write(tmp_path / "x.wav", content)
    with pytest.raises(FormatError) as caught:
        formats.probe(path)
    assert path in str(caught.value)
    assert text in str(caught.value)
    assert "skip" in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "x.wav").mkdir()
    with pytest.raises(FormatError, match=r"is a folder.*pattern"):
        formats.probe(tmp_path / "x.wav")


def test_a_vanished_file_is_told_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", plain())
    source = formats.source(formats.probe(path))
    os.remove(path)
    for look in (lambda: formats.probe(path), lambda: source.read(0, 1)):
        with pytest.raises(FileNotFoundError, match=r"scan again.*x\.wav"):
            look()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_is_told_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", plain())
    os.chmod(path, 0)
    with pytest.raises(PermissionError, match=r"right to read.*x\.wav"):
        formats.probe(path)


def test_a_file_that_changed_after_the_scan_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.wav", plain(b"\1\0" * 100))
    source = formats.source(formats.probe(path))
    os.utime(path, ns=(1, 1))
    with pytest.raises(FormatError, match=r"x\.wav changed since it was scanned"):
        source.read(0, 1)
    with open(path, "ab") as file:
        file.write(b"more")
    with pytest.raises(FormatError, match=r"244 bytes, modified.*were expected, 248 bytes"):
        source.read(0, 1)
    os.truncate(path, 44 + 20)
    with pytest.raises(TruncatedFile) as caught:
        source.read(5, 50)
    assert (caught.value.wanted, caught.value.found) == (45, 5)


def test_one_open_a_probe_and_one_a_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tail = riffs.chunk(b"LIST", riffs.info({"ICMT": "a second look at the tail"}))
    path = write(tmp_path / "x.wav", plain(b"\1\0" * 50_000, tail))
    formats.probe(path)  # imports are done
    opened: list[str] = []
    os_open, builtin_open = os.open, open
    monkeypatch.setattr(os, "open", lambda *args: opened.append("os") or os_open(*args))
    monkeypatch.setattr("builtins.open", lambda *args, **more: opened.append("open") or builtin_open(*args, **more))
    header = formats.probe(path)
    assert opened == ["os"]
    formats.source(header).read(10, 20)
    assert opened == ["os", "open"]
    assert header.metadata["info"]["ICMT"].startswith("a second look")


@pytest.mark.parametrize(("behind", "flags"), [(b"\xff\xfe" * 500, ("trailing_bytes",)), (bytes(64), ())])
def test_what_follows_the_samples_of_a_wave64(tmp_path: Path, behind: bytes, flags: tuple[str, ...]) -> None:
    content = riffs.w64((b"fmt ", riffs.fmt()), (b"data", b"\1\0" * 8))
    header = formats.probe(write(tmp_path / "x.w64", content + behind))
    assert (header.frames, header.flags) == (8, flags)
    assert header.metadata.get("trailing_bytes") == (len(behind) if flags else None)
    more = formats.probe(
        write(tmp_path / "y.w64", riffs.w64((b"fmt ", riffs.fmt()), (b"data", b"\1\0" * 7), (b"mine", b"text")))
    )
    assert (more.frames, more.flags) == (7, ())
