"""Real recordings: what is known about each, and samples equal to libsndfile's wherever it reads them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from reelarray import formats
from reelarray.errors import FormatError
from reelarray.testing import check_format

# file: frames, channels, rate, byte at which the samples begin, flags
KNOWN = {
    "wav_chunks/A101_1_1.WAV": (240239, 1, 48000, 10886, ()),
    "wav_chunks/A101_3.WAV": (48044, 2, 48000, 6144, ()),
    "wav_chunks/STE-000.wav": (242624, 2, 48000, 910, ()),
    "wav_chunks/Sr001-2C-01_01.WAV": (336000, 1, 48000, 910, ()),
    "wav_chunks/alarm_citizen_loop1.wav": (99510, 1, 22050, 44, ()),
    "wav_chunks/izotoperx_cues_test.wav": (48000, 1, 48000, 44, ()),
    "wav_chunks/new_camera_bumb_1.wav": (45859, 1, 48000, 82, ()),
    "wav_chunks/umid.wav": (44100, 1, 44100, 16384, ()),
    "broken/test-44100Hz-2ch-32bit-float-be.wav": (441, 2, 44100, 58, ()),
    "broken/test-44100Hz-2ch-32bit-float-le.wav": (441, 2, 44100, 58, ()),
    "broken/test-44100Hz-be-1ch-4bytes.wav": (4410, 1, 44100, 80, ()),
    "broken/test-44100Hz-le-1ch-4bytes.wav": (4410, 1, 44100, 80, ()),
    "broken/test-44100Hz-le-1ch-4bytes-early-eof.wav": (236, 1, 44100, 80, ("truncated",)),
    "broken/test-48000Hz-2ch-64bit-float-le-wavex.wav": (480, 2, 48000, 112, ()),
    "broken/test-8000Hz-be-3ch-5S-24bit.wav": (5, 3, 8000, 44, ()),
    "broken/test-8000Hz-le-1ch-10S-20bit-extra.wav": (10, 1, 1234, 44, ()),
    "broken/test-8000Hz-le-1ch-1byte-ulaw.wav": (9, 1, 8000, None, ()),
    "broken/test-8000Hz-le-2ch-1byteu.wav": (800, 2, 8000, 44, ()),
    "broken/test-8000Hz-le-3ch-5S-24bit-inconsistent.wav": (5, 3, 8000, 44, ("block_align",)),
    "broken/test-8000Hz-le-3ch-5S-24bit.wav": (5, 3, 8000, 44, ()),
    "broken/test-8000Hz-le-3ch-5S-36bit.wav": (5, 3, 8000, 44, ()),
    "broken/test-8000Hz-le-3ch-5S-45bit.wav": (5, 3, 8000, 44, ()),
    "broken/test-8000Hz-le-3ch-5S-53bit.wav": (5, 3, 8000, 44, ()),
    "broken/test-8000Hz-le-3ch-5S-64bit.wav": (5, 3, 8000, 44, ()),
    "broken/test-8000Hz-le-4ch-9S-12bit.wav": (9, 4, 8000, 44, ()),
    "broken/test-8000Hz-le-5ch-9S-5bit.wav": (9, 5, 8000, 44, ()),
    "recorders/aru_1.wav": (96000, 1, 32000, 44, ()),
    "recorders/metadata.wav": (479022, 1, 32000, 44, ()),
    "recorders/silence_10s.mp3": (441000, 1, 44100, None, ()),
    "recorders/stereo.wav": (5, 2, 44100, 58, ()),
    "multichannel/multichannel_220925_223450.wav": (480000, 3, 48000, 44, ()),
}
REFUSED = {
    "broken/test-44100Hz-le-1ch-4bytes-early-eof-no-data.wav": "has the chunks 'fmt ', 'fact'",
    "broken/test-44100Hz-le-1ch-4bytes-incomplete-chunk.wav": "no chunk at all",
    "recorders/empty_2c.wav": "contradicts itself",
}
# More than 32 bits are beyond libsndfile.
OURS_ONLY = ("36bit", "45bit", "53bit", "64bit")


def test_every_file_is_known(shared: Path) -> None:
    folder = shared / "data" / "audio"
    names = ("wav_chunks", "broken", "recorders", "multichannel")
    assert {str(path.relative_to(folder)) for name in names for path in (folder / name).iterdir()} == {*KNOWN, *REFUSED}


@pytest.mark.parametrize("name", KNOWN)
def test_header_and_samples(shared: Path, name: str) -> None:
    path = shared / "data" / "audio" / name
    frames, channels, rate, offset, flags = KNOWN[name]
    header = formats.probe(path)
    assert (header.frames, header.rate, header.flags) == (frames, Fraction(rate), flags)
    assert header.shape == ((frames,) if channels == 1 else (frames, channels))
    if offset is not None:
        assert (header.format, header.layout[1], header.layout[2]) == ("wav", offset, channels)
    samples = formats.source(header).read(0, frames)
    assert samples.shape == header.shape
    if not any(bits in name for bits in OURS_ONLY):
        np.testing.assert_array_equal(samples * header.scale, soundfile.read(path, dtype="float64")[0])


@pytest.mark.parametrize("bits", [24, 36, 45, 53, 64])
def test_wide_integers_are_exact_up_to_full_scale(shared: Path, bits: int) -> None:
    header = formats.probe(shared / "data" / "audio" / f"broken/test-8000Hz-le-3ch-5S-{bits}bit.wav")
    samples = formats.source(header).read(0, 5)
    spare = 8 * ((bits + 7) // 8) - bits
    assert not (samples & ((1 << spare) - 1)).any()
    full, half = 1 << (bits - 1), 1 << (bits - 2)
    ramps = [-full, -half, 0, half, full - 1], [1 - full, 1 - half, 0, half - 1, full - 1], [-2, -1, 0, 1, 2]
    assert (samples.T >> spare).tolist() == [*ramps]


@pytest.mark.parametrize("name", REFUSED)
def test_refused(shared: Path, name: str) -> None:
    path = shared / "data" / "audio" / name
    with pytest.raises(FormatError) as caught:
        formats.probe(path)
    assert str(path) in str(caught.value)
    assert REFUSED[name] in str(caught.value)


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("wav_chunks/A101_3.WAV", "2018-12-31T12:40:06"),
        ("wav_chunks/STE-000.wav", "2023-11-05T17:54:35"),
        ("wav_chunks/Sr001-2C-01_01.WAV", "2019-01-01T13:37:40"),
        ("wav_chunks/umid.wav", "2020-01-05T07:56:18"),
    ],
)
def test_naive_starts_of_bext(shared: Path, name: str, start: str) -> None:
    header = formats.probe(shared / "data" / "audio" / name)
    assert (header.start_ns, header.metadata["naive_start"], header.metadata["start_source"]) == (None, start, "bext")


def test_an_audiomoth_starts_in_utc(shared: Path) -> None:
    header = formats.probe(shared / "data" / "audio" / "recorders/metadata.wav")
    assert header.start_ns == np.datetime64("2020-04-04T10:25:00", "ns").astype(int)
    assert header.metadata["audiomoth"]["device"] == "24526B065D325963"


def test_the_contract_holds_for_a_real_file(shared: Path) -> None:
    check_format(shared / "data" / "audio" / "wav_chunks/A101_3.WAV")
    check_format(shared / "data" / "audio" / "recorders/aru_1.wav")
