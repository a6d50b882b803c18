"""FLAC, where decoding is most of the work: nothing twice but what windows share, in parallel, and no detours."""

from __future__ import annotations

import threading

import dask
import numpy as np
import pytest
import soundfile

import reelarray as ra
from reelarray import work
from reelarray.formats.libsndfile import SndfileSource

RATE, FRAMES, FILES = 8000, 50_000, 3
NFFT, HOP = 512, 256


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three files without a gap."""
    folder = tmp_path_factory.mktemp("flac")
    random = np.random.default_rng(0)
    for k in range(FILES):
        samples = random.integers(-20_000, 20_000, FRAMES).astype(np.int16)
        seconds, rest = divmod(k * FRAMES * 1000 // RATE, 1000)
        soundfile.write(folder / f"20240101_0000{seconds:02d}_{rest:03d}.flac", samples, RATE)
    return folder


@pytest.fixture
def decoded(monkeypatch) -> list[tuple[str, int, int]]:
    """(path, start, stop) of all that is decoded."""
    found: list[tuple[str, int, int]] = []
    decode = SndfileSource._decode

    def noted(self, start, stop):
        found.append((self.path, start, stop))
        return decode(self, start, stop)

    monkeypatch.setattr(SndfileSource, "_decode", noted)
    return found


def opened(folder, **options):
    return ra.open_recordings(folder, cache=False, timestamp="%Y%m%d_%H%M%S_%f", **options)


@pytest.mark.parametrize("portion", [2**20, 20_000])
def test_only_what_windows_share_is_decoded_twice(folder, decoded, portion, monkeypatch):
    monkeypatch.setattr(work, "PORTION", portion)
    x = opened(folder)
    decoded.clear()
    s = ra.spectrogram(x, nfft=NFFT, hop=HOP, block=100)
    s.compute(scheduler="sync")
    portions = s.data.numblocks[0] * -(-100 * HOP // portion)
    counted = sum(stop - start for _, start, stop in decoded)
    assert counted <= FILES * FRAMES + portions * (NFFT - HOP)
    assert len(decoded) <= portions + FILES  # one range a portion, and one more where a portion spans two files
    assert len({(path, start) for path, start, _ in decoded}) == len(decoded)


def test_averages_decode_each_sample_once(folder, decoded):
    x = opened(folder)
    decoded.clear()
    ra.power_spectrum(x, every="1s", nfft=NFFT, hop=HOP, block=30).compute(scheduler="sync")
    counted = sum(stop - start for _, start, stop in decoded)
    assert counted <= FILES * FRAMES + (NFFT - HOP)


def test_a_slice_decodes_no_more_than_its_windows(folder, decoded):
    x = opened(folder)
    decoded.clear()
    part = ra.spectrogram(x.isel(time=slice(60_000, 70_000)), nfft=NFFT, hop=HOP)
    part.compute(scheduler="sync")
    assert sum(stop - start for _, start, stop in decoded) <= 10_000
    assert {path for path, *_ in decoded} == {str(sorted(folder.glob("*.flac"))[1])}


def test_two_threads_decode_at_once(folder, monkeypatch):
    """No lock of ours stands between them: each waits inside for the other."""
    together, decode = threading.Barrier(2, timeout=30), SndfileSource._decode
    s = ra.spectrogram(opened(folder), nfft=NFFT, hop=HOP, block=-(-FILES * FRAMES // HOP // 4))
    assert s.data.numblocks[0] == 4
    begun: set[int] = set()

    def waiting(self, start, stop):
        if threading.get_ident() not in begun:
            begun.add(threading.get_ident())
            together.wait()
        return decode(self, start, stop)

    monkeypatch.setattr(SndfileSource, "_decode", waiting)
    with dask.config.set(scheduler="threads", num_workers=2):
        s.compute()
    assert len(begun) == 2
    assert not together.broken


def test_a_late_range_is_reached_by_a_seek(folder, monkeypatch):
    """Decoding from the start would make a pass over a long file quadratic."""
    x = opened(folder)
    frames = []
    read = soundfile.SoundFile.read

    def counted(self, count=-1, *args, **options):
        frames.append(count)
        return read(self, count, *args, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", counted)
    assert len(ra.spectrogram(x[FRAMES - NFFT : FRAMES], nfft=NFFT).values) == 1
    assert frames == [NFFT]
