"""Engines: who makes spectra of samples, SciPy frame by frame in NumPy's steps, or one compiled kernel."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from ..errors import MissingPackage, RecordingError
from ..work import Work, as_parts

Engine = Literal["scipy", "numba"]
VARIABLE = "REELARRAY_ENGINE"
_default: ContextVar[Engine | None] = ContextVar("engine", default=None)  # each thread has its own
_DETREND = {False: 0, None: 0, "constant": 1, "linear": 2}


def choose(engine: str | None) -> Engine:
    """The engine to use: the given one, else that of `using`, of the environment, "numba" where it is installed.

    Raises
    ------
    RecordingError : an engine that is none
    MissingPackage : "numba" without numba and rocket-fft
    """
    default = _default.get()
    wanted = engine or default or os.environ.get(VARIABLE)
    asked = f"engine={engine!r}" if engine else f"{VARIABLE}={wanted} in the environment"
    if default and not engine:
        asked = f"the run, by the engine {default!r} of its driver, on {platform.node()}"
    if not wanted:
        return "numba" if installed() else "scipy"
    if wanted == "numba":
        if not installed():
            raise MissingPackage(
                f"{asked} asks for numba, which is not installed with rocket-fft; install both with: pip install "
                "'reelarray[fast]', or pass engine='scipy'"
            )
        return "numba"
    if wanted != "scipy":
        raise RecordingError(f"{asked} was given; 'scipy' or 'numba' was expected")
    return "scipy"


@contextmanager
def using(engine: Engine) -> Iterator[None]:
    """The engine of this thread for the time of a block, where none is given: one process chooses for many.

    >>> with using("scipy"):
    ...     choose(None), choose("scipy")
    ('scipy', 'scipy')
    """
    token = _default.set(engine)
    try:
        yield
    finally:
        _default.reset(token)


@lru_cache(maxsize=1)
def installed() -> bool:
    """Whether the packages of the compiled engine are there; they are not imported."""
    return find_spec("numba") is not None and find_spec("rocket_fft") is not None


@dataclass(frozen=True)
class CompiledSpectra:
    """Spectra by a compiled kernel: `power` or complex, two-sided ones of complex samples. A `StraightKernel`."""

    nfft: int
    power: bool
    two_sided: bool
    detrend: Any = False

    def straight(self, work: Work, channels: int, windows: int) -> Callable[[np.ndarray, int, np.ndarray], None]:
        """Samples (channels, n), from window number `first` on -> out (windows, ..., frequency)."""
        from .. import compiled

        name = f"{'powers' if self.power else 'amplitudes'}{'_two_sided' if self.two_sided else ''}"
        kernel, detrend, width = getattr(compiled, name), _DETREND[self.detrend], 2 if self.two_sided else 1
        hop = work.windows.hop * width
        rows = work.batch((), windows * channels)
        if self.two_sided:
            rows = -(-rows // compiled.GROUP) * compiled.GROUP
        frames = np.zeros((rows, self.nfft), work.frames)
        bins = work.shape[-1] if self.power or self.two_sided else 0  # one-sided spectra are made in their place
        spectra = np.empty((len(frames), bins), np.result_type(work.frames, np.complex64))
        parts, real = as_parts(frames), frames.real.dtype
        factors = np.array(work.factors, real)
        taper = work.tapering()
        taper = np.ones(work.windows.length, real) if taper is None else taper.astype(real)  # one that may be written
        taper = np.repeat(taper, width)

        def make(samples: np.ndarray, first: int, out: np.ndarray) -> None:
            if not out.size:
                return
            if not samples.dtype.isnative or samples.dtype.char in "egG":  # Numba has no half and no long double
                samples = samples.astype(work.frames)
            made = out.reshape(len(out), channels, -1)
            kernel(as_parts(samples), first, hop, factors, detrend, taper, made, frames, parts, spectra)

        return make
