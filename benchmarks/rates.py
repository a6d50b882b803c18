"""Other rates: a band of IQ samples zoomed into, and sound at another rate, beside SciPy and soxr, in memory."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from importlib.util import find_spec

import numpy as np

from . import iq, recordings
from .jobs import add_ways
from .measure import JOB, LIMIT, Settings, Table, alone, race

FFT = f"{LIMIT}FFT forth"  # of frames in the cache: no FFT filter does with less
FACTOR = 31  # a span of 10 kHz of 390,625 Hz
IQ_RATE, SHIFT, SPAN = 390_625, 50e3, 10e3
RATES = ((48_000, 44_100), (48_000, 16_000), (44_100, 16_000))


def zoom_by_reelarray(x: np.ndarray) -> int:
    import reelarray as ra

    recording = ra.recording(x, rate=IQ_RATE, units="V", start="2022-03-01")
    return len(ra.zoom(recording, center=SHIFT, span=SPAN).values)


def zoom_by_scipy(x: np.ndarray) -> int:
    """Mixed and filtered as a textbook does it, by a filter as steep."""
    from scipy.signal import firwin, upfirdn

    turn = np.exp(-2j * np.pi * SHIFT / IQ_RATE * np.arange(len(x))).astype(np.complex64)
    edge, stop = SPAN / 2, IQ_RATE / FACTOR - SPAN / 2
    taps = firwin(1 | round(92 / 14.4 * IQ_RATE / (stop - edge)), (edge + stop) / 2, window=("kaiser", 9.0), fs=IQ_RATE)
    return len(upfirdn(taps.astype(np.float32), x * turn, 1, FACTOR))


def resample_by_reelarray(x: np.ndarray, rate: int, to: int) -> int:
    import reelarray as ra

    return len(ra.resample(ra.recording(x, rate=rate, units="Pa", start="2022-03-01"), rate=to).values)


def resample_by_scipy(x: np.ndarray, rate: int, to: int) -> int:
    """Its own filter: 60 dB, and half of what lies near the Nyquist frequency passes."""
    from scipy.signal import resample_poly

    ratio = Fraction(to, rate)
    return len(resample_poly(x, ratio.numerator, ratio.denominator))


def resample_by_soxr(x: np.ndarray, rate: int, to: int) -> int:
    import soxr

    return len(soxr.resample(x, rate, to, quality="HQ"))


def sound(count: int) -> np.ndarray:
    return recordings.samples(count, seed=5).astype(np.float32) / 32768


def in_memory(way: str, count: int, **arguments: int) -> Callable[[], int]:
    x = (iq.samples if way.startswith("zoom") else sound)(count)
    work = partial(globals()[way], **arguments)
    work(x[: 2**16])
    return partial(work, x)


def transform(x: np.ndarray) -> float:
    """Seconds of an FFT of all samples, in frames that stay in the cache."""
    import time

    from scipy import fft

    frames = x[: len(x) // 8192 * 8192].reshape(-1, 8192)
    before = time.thread_time()
    for k in range(0, len(frames), 8):
        (fft.fft if x.dtype.kind == "c" else fft.rfft)(frames[k : k + 8], axis=-1)
    return time.thread_time() - before


def table(settings: Settings, name: str, title: str, x: np.ndarray, ways: dict[str, str], **arguments: int) -> Table:
    made = {label: partial(globals()[way], x, **arguments) for label, way in ways.items()}
    times = race({**made, FFT: partial(transform, x)}, settings.repeats)
    out = Table(name, title, JOB)
    peaks = {label: alone(in_memory, way=way, count=len(x), **arguments).peak for label, way in ways.items()}
    add_ways(out, times, len(x), next(label for label in ways if "SciPy" in label), FFT, peaks)
    return out


def run(settings: Settings) -> list[Table]:
    count = settings.pick(tiny=2**17, quick=2**22, full=2**24)
    ways = {"reelarray, zoom": "zoom_by_reelarray", "mix and upfirdn of SciPy": "zoom_by_scipy"}
    title = f"A band of {SPAN / 1e3:g} kHz out of {count / 1e6:.1f} million IQ samples at {IQ_RATE:,} Hz, one core"
    tables = [table(settings, "zoom", title, iq.samples(count), ways)]
    x = sound(count)
    ways = {
        "reelarray, resample": "resample_by_reelarray",
        "resample_poly of SciPy": "resample_by_scipy",
    }
    if find_spec("soxr"):
        ways["soxr, HQ"] = "resample_by_soxr"
    for rate, to in RATES:
        title = f"{count / 1e6:.1f} million samples of sound, {rate:,} to {to:,} Hz, one core"
        made = table(settings, f"resample {rate} to {to}", title, x, ways, rate=rate, to=to)
        made.notes.append("resample_poly filters to 60 dB, soxr HQ to 120 dB, ours to 100 dB.")
        tables.append(made)
    return tables
