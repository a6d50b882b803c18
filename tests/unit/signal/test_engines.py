"""The compiled engine gives what SciPy's gives, within float32 rounding; and says so where it cannot run."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import reelarray as ra
from reelarray.errors import MissingPackage, RecordingError
from reelarray.signal import engines

RANDOM = np.random.default_rng(0)


def samples(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    noise = RANDOM.standard_normal(shape)
    if dtype.startswith("complex"):
        return (noise + 1j * RANDOM.standard_normal(shape)).astype(dtype)
    return (noise * (1000 if dtype.startswith(("i", "u")) else 1) + (128 if dtype == "uint8" else 0)).astype(dtype)


def of(dtype: str = "float32", shape: tuple[int, ...] = (5000,)):
    return ra.recording(samples(dtype, shape), rate=1000, start="2024-01-01", units="V")


FUNCTIONS = {
    "spectrogram": ra.spectrogram,
    "stft": ra.stft,
    "power_spectrum": lambda x, **settings: ra.power_spectrum(x, every="2s", **settings),
    "median": lambda x, **settings: ra.power_spectrum(x, every="2s", average="median", **settings),
}


def agree(function, x, **settings) -> None:
    """Within some units of the last place of the largest bin of each spectrum, as sums of an FFT are."""
    scipy, numba = (FUNCTIONS[function](x, engine=engine, **settings) for engine in ("scipy", "numba"))
    assert scipy.dtype == numba.dtype
    assert scipy.attrs == {**numba.attrs, "engine": "scipy"}
    assert numba.attrs["engine"] == "numba"
    largest = np.abs(scipy.values).max(axis=-1, keepdims=True)
    bound = 4e-6 if scipy.dtype in (np.float32, np.complex64) else 1e-13
    assert np.all(np.abs(scipy.values - numba.values) <= bound * largest)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["int16", "uint8", "int32", "float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_engines_agree_on_samples_of_any_kind(function, dtype, precision):
    agree(function, of(dtype), nfft=64, hop=17, dtype=precision)


@pytest.mark.parametrize("dtype", ["int16", "complex64"])
@pytest.mark.parametrize(
    "settings",
    [
        {"nfft": 1},
        {"nfft": 2, "hop": 1},
        {"nfft": 7, "hop": 3},
        {"nfft": 31, "window": "boxcar"},
        {"nfft": 1000},
        {"nfft": 1021},
        {"nfft": 4096, "hop": 64},
        {"nfft": 100, "window_length": 37, "hop": 100},
        {"nfft": 64, "window": ("kaiser", 14.0), "hop": 200},
        {"nfft": 64, "scaling": "spectrum"},
        {"nfft": 64, "detrend": "constant"},
        {"nfft": 65, "detrend": "linear", "window_length": 50},
    ],
    ids=str,
)
@pytest.mark.parametrize("function", ["spectrogram", "stft"])
def test_engines_agree_for_any_setting(function, dtype, settings):
    agree(function, of(dtype), **settings)


@pytest.mark.parametrize("shape", [(3000, 1), (3000, 3), (3000, 2, 2)])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_engines_agree_on_channels(function, shape):
    values = samples("int16", shape)
    x = ra.recording(values.reshape(len(values), -1), rate=1000, start="2024-01-01", units="V")
    agree(function, x, nfft=50)


@pytest.mark.parametrize("nfft", [65_536, 65_537, 2**20])
def test_engines_agree_on_long_windows(nfft):
    agree("spectrogram", of("int16", (nfft * 2 + 100,)), nfft=nfft, hop=nfft // 3)


def test_samples_that_are_no_numbers_stay_so_in_both():
    values = samples("float32", (1000,))
    values[[100, 700]] = np.nan, np.inf
    x = ra.recording(values, rate=1000, units="V")
    scipy, numba = (ra.spectrogram(x, nfft=50, window="hamming", engine=e).values for e in ("scipy", "numba"))
    assert np.isnan(scipy).any()
    np.testing.assert_array_equal(np.isfinite(scipy), np.isfinite(numba))


def test_the_compiled_engine_is_used_where_it_is_installed(monkeypatch):
    x = of()
    monkeypatch.delenv(engines.VARIABLE, raising=False)
    assert ra.spectrogram(x, nfft=64).attrs["engine"] == "numba"
    monkeypatch.setenv(engines.VARIABLE, "scipy")
    assert ra.spectrogram(x, nfft=64).attrs["engine"] == "scipy"
    assert ra.spectrogram(x, nfft=64, engine="numba").attrs["engine"] == "numba"
    monkeypatch.delenv(engines.VARIABLE)
    monkeypatch.setattr(engines, "installed", lambda: False)
    assert ra.spectrogram(x, nfft=64).attrs["engine"] == "scipy"
    with pytest.raises(MissingPackage, match=r"engine='numba'.*pip install 'reelarray\[fast\]'.*engine='scipy'"):
        ra.spectrogram(x, nfft=64, engine="numba")


def test_engines_that_are_none_are_told(monkeypatch):
    with pytest.raises(RecordingError, match=r"engine='cuda'.*'scipy' or 'numba' was expected"):
        ra.spectrogram(of(), nfft=64, engine="cuda")
    monkeypatch.setenv(engines.VARIABLE, "fftw")
    with pytest.raises(RecordingError, match="REELARRAY_ENGINE=fftw in the environment was given"):
        ra.spectrogram(of(), nfft=64)


def test_a_worker_without_numba_says_what_to_install():
    """The graph was made elsewhere: the task fails with words."""
    code = """
import sys
sys.modules["numba"] = None
import numpy as np
from reelarray.errors import MissingPackage
from reelarray.signal.engines import CompiledSpectra
from reelarray.windows import Windows
from reelarray.work import Work
work = Work(CompiledSpectra(8, True, False), Windows(8, 4), (5,), "float32", "float32")
try:
    work.kernel.straight(work, 1, 3)
except MissingPackage as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "needs numba and rocket-fft" in done.stdout
    assert "on every worker" in done.stdout


def test_spectra_of_another_engine_do_not_complete_a_store(tmp_path):
    x = of()
    ra.write_zarr(ra.spectrogram(x, nfft=64, engine="scipy"), tmp_path / "s.zarr")
    with pytest.raises(OSError, match=r"engine: 'scipy' there, 'numba' now.*with engine='scipy'.*ENGINE=scipy"):
        ra.write_zarr(ra.spectrogram(x, nfft=64, engine="numba"), tmp_path / "s.zarr")


@pytest.mark.parametrize("engine", ["scipy", "numba"])
@pytest.mark.parametrize("dtype", ["int16", "complex64", "complex128"])
@pytest.mark.parametrize("nfft", [320, 512, 1024, 4096])
@pytest.mark.parametrize("function", ["spectrogram", "stft"])
def test_any_number_of_frames_at_once_gives_the_same_bits(function, nfft, dtype, engine):
    """FFT libraries may treat frames that fill no vector otherwise: at lengths that other tests do not reach."""
    x = of(dtype, (20 * nfft,))
    whole = FUNCTIONS[function](x, nfft=nfft, engine=engine).values
    for chunk in (nfft // 2 + 1, 777, 5 * nfft):
        cut = FUNCTIONS[function](x.chunk(time=chunk), nfft=nfft, engine=engine)
        assert cut.values.tobytes() == whole.tobytes()
    one = np.concatenate(
        [FUNCTIONS[function](x[a : a + nfft], nfft=nfft, engine=engine).values for a in (0, nfft // 2)]
    )
    assert one.tobytes() == whole[:2].tobytes()


def test_samples_without_channels_and_of_odd_precision():
    none = ra.recording(samples("int16", (1000, 0)), rate=1000, units="V")
    assert ra.spectrogram(none, nfft=64, engine="numba").shape == ra.spectrogram(none, nfft=64, engine="scipy").shape
    for dtype in ("float16", "longdouble"):
        agree("spectrogram", of(dtype, (1000,)), nfft=64)
