"""Files that libsndfile decodes: lengths that can be trusted, cuts that do not show, ends that are missed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from reelarray import formats
from reelarray.catalog import scan
from reelarray.errors import FormatError, TruncatedFile
from reelarray.testing import check_format

RANDOM = np.random.default_rng(7)
NOISE = (RANDOM.normal(size=(60_000, 2)) * 3000).astype(np.int16)


def flac_without_length(path: Path) -> str:
    """A FLAC as a stream writes it: the 36 bits of its length, at the end of byte 21, are zero."""
    soundfile.write(path, NOISE, 48000, format="FLAC")
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize(
    ("subtype", "scale", "shift"), [("PCM_S8", 2.0**-15, 8), ("PCM_16", 2.0**-15, 0), ("PCM_24", 2.0**-31, 8)]
)
def test_flac_equals_the_wav_of_the_same_samples(tmp_path: Path, subtype: str, scale: float, shift: int) -> None:
    counts = NOISE.astype(np.int32) << 8 if subtype == "PCM_24" else NOISE
    wav_type = {"PCM_S8": "PCM_U8"}.get(subtype, subtype)
    samples = counts if subtype != "PCM_24" else counts << 8
    soundfile.write(tmp_path / "x.flac", samples, 48000, subtype=subtype)
    soundfile.write(tmp_path / "x.wav", samples, 48000, subtype=wav_type)
    ours, theirs = formats.probe(tmp_path / "x.wav"), formats.probe(tmp_path / "x.flac")
    assert (theirs.scale, theirs.subtype, theirs.frames) == (scale, subtype, ours.frames)
    found, expected = (formats.source(header).read(0, len(NOISE)) for header in (theirs, ours))
    np.testing.assert_array_equal(found, expected.astype(found.dtype) << shift)
    np.testing.assert_array_equal(found * theirs.scale, expected * ours.scale)


def test_flac_without_a_length_is_counted_and_read_to_its_end(tmp_path: Path) -> None:
    path = flac_without_length(tmp_path / "x.flac")
    header = formats.probe(path)
    assert (header.frames, header.flags) == (60_000, ("counted",))
    check_format(path, expected=NOISE)


def test_a_flac_that_lost_its_end_raises_at_the_read_that_misses_it(tmp_path: Path) -> None:
    path = str(tmp_path / "x.flac")
    soundfile.write(path, NOISE, 48000)
    source = formats.source(formats.probe(path))
    np.testing.assert_array_equal(source.read(0, 10_000), NOISE[:10_000])
    os.truncate(path, os.path.getsize(path) // 2)
    with pytest.raises(TruncatedFile) as caught:
        source.read(20_000, 50_000)
    assert caught.value.wanted == 30_000
    assert 0 < caught.value.found < 15_000
    assert "exclude=" in str(caught.value)


@pytest.mark.parametrize("cut", [1, 5_000, 100_000])
def test_a_flac_that_was_cut_is_flagged_and_what_is_there_is_read(tmp_path: Path, cut: int) -> None:
    path = str(tmp_path / "20220301_000000.flac")
    soundfile.write(path, NOISE, 48000)
    os.truncate(path, os.path.getsize(path) - cut)
    header = formats.probe(path)
    assert header.flags == ("truncated",)
    assert header.metadata["declared_frames"] == 60_000
    assert 20_000 < header.frames < 60_000
    source = formats.source(header)
    for start, stop in ((0, header.frames), (header.frames - 1, header.frames), (header.frames // 2, header.frames)):
        np.testing.assert_array_equal(source.read(start, stop), NOISE[start:stop])
    table = scan(tmp_path, cache=False)
    assert not table["use"][0]
    assert table["anomaly"][0].startswith(f"truncated: {header.frames:,} of 60,000 frames are there")


def test_what_decodes_in_pieces_but_not_at_once_is_an_error_of_ours(tmp_path: Path, monkeypatch) -> None:
    path = str(tmp_path / "x.flac")
    soundfile.write(path, NOISE, 48000)
    source = formats.source(formats.probe(path))
    monkeypatch.setattr(type(source), "_decode", lambda *_: None)
    with pytest.raises(FormatError, match="in small pieces but not at once"):
        source.read(0, 100)


@pytest.mark.parametrize(("name", "subtype"), [("x.ogg", "VORBIS"), ("x.opus", "OPUS")])
def test_ogg_near_its_end_is_the_same_from_any_start(tmp_path: Path, name: str, subtype: str) -> None:
    path = str(tmp_path / name)
    soundfile.write(path, NOISE, 48000, format="OGG", subtype=subtype)
    source = formats.source(formats.probe(path))
    whole = source.read(0, 60_000)
    for start in RANDOM.integers(40_000, 60_000, 40).tolist():
        np.testing.assert_array_equal(source.read(start, 60_000), whole[start:])


def test_ogg_without_its_last_page_is_flagged(tmp_path: Path) -> None:
    path = str(tmp_path / "x.ogg")
    soundfile.write(path, NOISE, 48000, format="OGG")
    assert formats.probe(path).flags == ()
    os.truncate(path, os.path.getsize(path) - 1)
    assert formats.probe(path).flags == ("truncated",)


def test_mp3_is_counted_and_the_same_from_any_start(tmp_path: Path) -> None:
    path = str(tmp_path / "x.mp3")
    soundfile.write(path, NOISE[:, 0], 22050)
    source = formats.source(formats.probe(path))
    whole = source.read(0, 60_000)
    for start in RANDOM.integers(1, 59_000, 10).tolist():
        np.testing.assert_array_equal(source.read(start, start + 900), whole[start : start + 900])
    os.truncate(path, os.path.getsize(path) // 2)
    cut = formats.probe(path)
    assert (cut.flags, 25_000 < cut.frames < 35_000) == (("truncated",), True)
    assert len(formats.source(cut).read(0, cut.frames)) == cut.frames


def test_texts_and_what_an_audiomoth_says_in_a_comment(tmp_path: Path) -> None:
    path = tmp_path / "x.flac"
    with soundfile.SoundFile(path, "w", 8000, 1) as file:
        file.artist = "a reef"
        file.comment = "Recorded at 10:25:00 04/04/2020 (UTC) by AudioMoth 24526B065D325963 at gain setting 2"
        file.write(NOISE[:100, 0])
    header = formats.probe(path)
    assert header.metadata["strings"]["artist"] == "a reef"
    assert header.metadata["audiomoth"]["device"] == "24526B065D325963"
    assert header.start_ns == np.datetime64("2020-04-04T10:25", "ns").astype(int)


@pytest.mark.parametrize("content", [b"", b"a plain text, not a sound at all", b"fLaC and no more"])
def test_what_it_does_not_decode_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.flac"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"x\.flac \(\d+ bytes\) starts with b.*libsndfile.*skip it"):
        formats.probe(path)


def test_remote_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"x\.flac needs libsndfile.*download it"):
        formats.probe("memory://x.flac")
    (tmp_path / "x.flac").mkdir()
    with pytest.raises(FormatError, match="is a folder"):
        formats.probe(tmp_path / "x.flac")


def test_a_file_that_changed_after_the_scan_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "x.flac")
    soundfile.write(path, NOISE, 48000)
    source = formats.source(formats.probe(path))
    os.utime(path, ns=(1, 1))
    with pytest.raises(FormatError, match="changed since it was scanned"):
        source.read(0, 1)
    os.remove(path)
    with pytest.raises(FileNotFoundError, match="scan again"):
        source.read(0, 1)
