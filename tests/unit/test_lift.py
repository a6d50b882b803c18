"""Doors from kernels to graphs: what kernels see, what is read for them, and what graphs are made of."""

from __future__ import annotations

import os
import pickle
import platform
import subprocess
import sys

import numpy as np
import pytest
from scipy.io import wavfile

import reelarray as ra
from reelarray import table
from reelarray.errors import RecordingError
from reelarray.signal.engines import CompiledSpectra
from reelarray.work import Work

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


FOREIGN = {
    "spectrogram": lambda x: ra.spectrogram(x, nfft=64),
    "a window longer than chunks": lambda x: ra.spectrogram(x, nfft=4096, hop=1000),
    "average of a spectrogram": lambda x: ra.average(ra.spectrogram(x, nfft=64), "1s"),
    "average of averages": lambda x: ra.average(ra.average(x, "1s"), "7s"),
    "level_quantiles": lambda x: ra.level_quantiles(ra.spectrogram(x, nfft=64), every="3s"),
    "high_pass": lambda x: ra.high_pass(x, cutoff=200, attenuation=30),
}


@pytest.mark.parametrize("transform", FOREIGN)
def test_no_array_is_rechunked_behind_the_back(folder, transform):
    x = ra.open_recordings(folder, cache=False).compute().chunk(time=777)
    layers = FOREIGN[transform](x).data.dask.layers
    assert not [name for name in layers if "rechunk" in name or "concatenate" in name]


@pytest.mark.parametrize("kernel", [energies, CompiledSpectra(1024, True, False)], ids=["NumPy", "compiled"])
def test_ffts_run_across_as_many_frames_as_the_cache_holds(kernel):
    """By eights, and none left over: those would be transformed one by one."""

    def batch(nfft, trailing=(), windows=10**6):
        return Work(kernel, ra.Windows(nfft, nfft), (), "float32", "float32").batch(trailing, windows)

    assert all(batch(nfft) % 8 == 0 for nfft in (256, 1000, 1021, 1024, 4096, 10_000, 48_000, 2**16, 2**17))
    assert (batch(2**19), batch(2**20)) == (4, 1)
    assert batch(1024, windows=3) == 3
    assert batch(2**16, trailing=(16,)) == 1  # sixteen channels are sixteen FFTs


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep memory by rules of their own")
def test_tasks_use_the_memory_of_those_before(folder):
    """Pages that are given back come back cleared, one fault each: thousands a task where nothing is kept."""
    code = f"""
import resource
import reelarray as ra
x = ra.open_recordings({str(folder)!r}, cache=False)
whole = ra.power_spectrum(x, every="1s", nfft=1024, hop=4, engine="scipy", block=2)
whole[:4].compute(scheduler="sync")
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
whole.compute(scheduler="sync")
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / whole.data.numblocks[0])
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert float(done.stdout) < 300


def test_a_transform_of_what_it_made_itself_is_refused():
    x = ra.recording(np.zeros(4096, "f4"), rate=8, units="V")
    with pytest.raises(ra.RecordingError, match=r"\('time', 'frequency'\) was given.*makes 'frequency' itself"):
        ra.spectrogram(ra.spectrogram(x, nfft=64), nfft=8)
