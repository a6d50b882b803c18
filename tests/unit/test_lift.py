"""Doors from kernels to graphs: what kernels see, what is read for them, and what graphs are made of."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.io import wavfile

import reelarray as ra
from reelarray import table
from reelarray.errors import RecordingError

RATE = 1000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lift")
    samples = np.random.default_rng(0).integers(-20_000, 20_000, 60_000).astype(np.int16)
    wavfile.write(folder / "20240101_000000.wav", RATE, samples)
    return folder


def clip(frames):
    np.clip(frames, -0.05, 0.05, out=frames)


def energies(batch, out):
    out[...] = (batch * batch).sum(axis=-1)


def test_what_prepares_frames_sees_values_also_of_files(folder):
    lazy = ra.open_recordings(folder, cache=False)
    how = {"dtype": "float32", "taper": np.ones(64, np.float32), "prepare": clip, "name": "energies"}
    of_files = ra.lift_windows(energies, lazy, ra.Windows(64, 64), **how)
    of_memory = ra.lift_windows(energies, lazy.compute(), ra.Windows(64, 64), **how)
    assert of_files.values.tobytes() == of_memory.values.tobytes()
    assert of_files.values.max() <= 64 * 0.05**2 * 1.001


@pytest.mark.parametrize("engine", ["scipy", "numba"])
def test_windows_far_apart_read_little_at_once(folder, engine, monkeypatch):
    read, found = table.SourceTable.read, []

    def noted(self, start=0, stop=None):
        found.append((self.size if stop is None else stop) - start)
        return read(self, start, stop)

    monkeypatch.setattr(table.SourceTable, "read", noted)
    monkeypatch.setattr("reelarray.work.PORTION", 4096)
    x = ra.open_recordings(folder, cache=False)
    ra.power_spectrum(x, nfft=16, hop=1000, engine=engine).compute(scheduler="sync")
    assert max(found) <= 4096


def test_lazy_results_pickle(folder):
    x = ra.open_recordings(folder, cache=False)
    s = ra.spectrogram(x, nfft=64)
    for lazy in (s, ra.average(s, "1s"), ra.average(ra.average(s, "1s"), "5s"), ra.level_quantiles(s, every="9s")):
        assert pickle.loads(pickle.dumps(lazy)).values.tobytes() == lazy.values.tobytes()


@pytest.mark.parametrize("block", [0, -1, 1.5, "auto", True])
def test_blocks_that_are_none_are_told(folder, block):
    x = ra.open_recordings(folder, cache=False)
    for function in (ra.spectrogram, ra.power_spectrum):
        with pytest.raises(RecordingError, match=f"block={block!r} was given; a whole number of rows"):
            function(x, nfft=64, block=block)


def test_means_are_floats(folder):
    with pytest.raises(RecordingError, match="dtype='int16' was given; means are floats"):
        ra.average(ra.open_recordings(folder, cache=False), "1s", dtype="int16")


def test_an_average_of_a_slice_of_a_spectrogram_is_one_task_a_block(folder):
    x = ra.open_recordings(folder, cache=False)
    means = ra.average(ra.spectrogram(x, nfft=64)[100:-100], "1s", block=7)
    assert len(dict(means.data.__dask_graph__())) == means.data.numblocks[0]
    changed = ra.average(ra.spectrogram(x, nfft=64) * 2, "1s")
    assert np.allclose(changed.values, 2 * ra.average(ra.spectrogram(x, nfft=64), "1s").values)
