"""Audio files of a recording: cut at its gaps, named by its clock, written block after block."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from ..cells import parse_every
from ..clock import SampleClock
from ..errors import RecordingError
from ..exact import NANOSECONDS
from ..recordings import check_recording
from ..recordings import clock as clock_of
from .atomic import writing_all
from .audiofiles import DTYPES, FILES, Facts
from .audiosamples import BeyondFullScale, Encoder, Stream, why_not
from .journal import OutputExists
from .provenance import plain

NAMES = "%Y_%m_%d_%H_%M_%S_%f"


def write_audio(
    x: xr.DataArray,
    folder: str | os.PathLike[str],
    *,
    duration: Any = None,
    format: Literal["wav", "flac", "npz"] = "wav",
    dtype: str | None = None,
    scale: float | None = None,
    names: str = NAMES,
    overwrite: bool = False,
) -> list[Path]:
    """Write samples, (time[, channel]) [u], to audio files, and return their paths, in order of time.

    No file spans a gap: each stretch begins a file, and another one every `duration` from its start; what is left over
    at its end is a shorter file, so that nothing is lost. The files appear under their names when all are whole: a call
    that fails leaves what was there before it. Samples pass through in portions of 4 Mi, or whole chunks; a recording
    of any length needs no more memory than that.

    Each file states its start to the nanosecond, its units and its scale, and `ra.open_recordings` gives the values
    back in these units: WAV (RF64 where it is larger than 4 GiB) in a GUANO and an INFO chunk, npz in `start` and
    `attrs` beside `data` and `samplerate`, FLAC in its comment, where the other attributes are left out. Other software
    reads values relative to full scale.

    Parameters
    ----------
    x : a recording of real samples
    folder : made if it is not there
    duration : such as "10min"; without it a file for each stretch
    format : "wav", "flac" or "npz"
    dtype : "float32", "float64", "int16", "int24" or "int32"; that of x unless given. FLAC takes the 16 and 24 bits
    scale : units per full scale. Samples that are not integers need it to become integers: written are
        round(x / scale * 2^(bits - 1)), so `scale=1` gives files that were read relative to full scale back to the bit.
        Integers stay the counts that they are without it, which WAV and FLAC relate to full scale where their units are
        "1", as recorders do: `open_recordings(calibrated=False)` gives them back. Floats are divided by it
    names : strftime template of the UTC start, without suffix; `%f` is 6 digits, or 9 where the start is not a whole
        microsecond, and as a template for reading takes both
    overwrite : replace files of these names

    Raises
    ------
    RecordingError : complex samples, an unknown start, no scale, a rate that the format cannot tell, names that are not
        unique; samples that are NaN or beyond full scale, counted
    OutputExists : files of these names are there

    >>> import tempfile
    >>> from reelarray import recording
    >>> x = recording([0.0, 0.5, -1.0, 0.25], rate=2, start="2022-03-01T12:00", units="Pa")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [p.name for p in write_audio(x, folder, duration="1s", dtype="int16", scale=2.0)]
    ['2022_03_01_12_00_00_000000.wav', '2022_03_01_12_00_01_000000.wav']
    """
    x, clock = _check(x, format)
    kind = _dtype(x, dtype, format)
    encode = Encoder.of(x, kind, scale)
    relative = scale is None and x.attrs.get("units", "1") == "1" and format != "npz"
    full_scale = 1.0 if relative else encode.scale
    pieces = plan_files(clock, duration)
    paths = _paths(Path(folder), clock, pieces, names, format, overwrite)
    stream = Stream(x)
    with writing_all(paths) as temporaries:
        for (start, stop), path, temporary in zip(pieces, paths, temporaries, strict=True):
            with FILES[format](temporary, _facts(x, clock, start, stop, kind, full_scale)) as file:
                for first, samples in stream.blocks(start, stop):
                    try:
                        encoded = encode(samples)
                    except BeyondFullScale:
                        found = why_not(encode, stream, clock, (first, stop), samples)
                        raise RecordingError(f"{path.name}: {found}; no file of this call was kept") from None
                    file.write(encoded)
    return paths


# ---- checks ----------------------------------------------------------------------------------------------------------


def _check(x: xr.DataArray, format: str) -> tuple[xr.DataArray, SampleClock]:
    if format not in FILES:
        raise RecordingError(f"format={format!r} was given; one of {', '.join(map(repr, FILES))} was expected")
    if isinstance(x, xr.DataArray) and x.dtype.kind == "c":
        raise RecordingError("complex samples were given; audio is real: write x.real and x.imag, or ra.write_zarr(x)")
    x = check_recording(x)
    if x.ndim > 2 or "frequency" in x.dims:
        raise RecordingError(f"dimensions {x.dims} were given; samples (time) or (time, channel) were expected")
    clock = clock_of(x)
    if not clock.absolute:
        raise RecordingError(
            "files are named by their start, and that of this recording is unknown: give it one with "
            "ra.recording(x.data, rate=ra.rate(x), start=..., units=...)"
        )
    if not clock.size:
        raise RecordingError("a recording without a sample was given: there is nothing to write")
    if format != "npz" and clock.row_rate.denominator != 1:
        raise RecordingError(
            f"{clock.row_rate} samples a second were given; {format} tells whole numbers only: use format='npz', or "
            "bring the samples to another rate first"
        )
    return x, clock


def _dtype(x: xr.DataArray, dtype: Any, format: str) -> str:
    allowed = DTYPES[format]
    if dtype is not None:
        name = "int24" if str(dtype) == "int24" else str(np.dtype(dtype))
        if name not in allowed:
            raise RecordingError(f"dtype={dtype!r} was given; {format} holds {', '.join(allowed)}")
        return name
    own = x.dtype.name
    if own in allowed:
        return own
    if x.dtype.kind in "iu":
        return next((k for k in allowed if k.startswith("int") and int(k[3:]) >= 8 * x.dtype.itemsize), allowed[-1])
    if "float32" in allowed:
        return "float32"
    raise RecordingError(f"{own} samples were given, {format} holds {', '.join(allowed)}: pass dtype= and scale=")


# ---- which samples go into which file --------------------------------------------------------------------------------


def plan_files(clock: SampleClock, duration: Any) -> list[tuple[int, int]]:
    """Rows [start, stop) of each file: a stretch, or every `duration` of it from its start, rounded to samples."""
    stretches = list(zip(clock.first.tolist(), clock.stops.tolist(), strict=True))
    if duration is None:
        return stretches
    every = clock.row_rate * parse_every(duration) / NANOSECONDS
    if every < 1:
        raise RecordingError(f"duration={duration!r} is shorter than a sample; 1 / {clock.row_rate} s or more expected")
    pieces = []
    for first, stop in stretches:
        count = int((stop - first) / every) + 1
        edges = [first + round(k * every) for k in range(count + 1)]
        edges = [edge for edge in edges if edge < stop] + [stop]
        pieces += list(pairwise(edges))
    return pieces


def file_name(start: int, names: str) -> str:
    """The name of a file that begins at `start` ns: %f with 6 digits, or 9 where they are needed.

    >>> file_name(1_500_000_000, NAMES), file_name(1, NAMES)
    ('1970_01_01_00_00_01_500000', '1970_01_01_00_00_00_000000001')
    """
    below = start % NANOSECONDS
    digits = f"{below // 1000:06d}" if below % 1000 == 0 else f"{below:09d}"
    return pd.Timestamp(start - below, unit="ns").strftime(names.replace("%f", digits))


def _paths(
    folder: Path, clock: SampleClock, pieces: list[tuple[int, int]], names: str, format: str, overwrite: bool
) -> list[Path]:
    starts = clock.labels(np.array([start for start, _ in pieces], np.int64)).tolist()
    paths = [folder / f"{file_name(start, names)}.{format}" for start in starts]
    for before, after in pairwise(sorted(paths)):
        if before == after:
            raise RecordingError(f"names={names!r} gives {before.name} to two files; add %f, or parts of the time")
    there = [path for path in paths if path.exists()]
    if there and not overwrite:
        raise OutputExists(
            f"{len(there)} of {len(paths)} files are there already, the first is {there[0]}; pass overwrite=True to "
            "replace them, or another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return paths


def _facts(x: xr.DataArray, clock: SampleClock, start: int, stop: int, kind: str, scale: float) -> Facts:
    attrs = plain({k: v for k, v in x.attrs.items() if k not in ("units", "metadata")})
    part = clock.slice(start, stop)
    if part.source is not None:
        attrs["inputs"] = [os.path.basename(name) for name in part.source if name is not None][:100]
    text = str(np.datetime64(int(clock.labels(start)), "ns"))
    units = str(x.attrs.get("units", "1"))
    channels = 0 if x.ndim == 1 else x.shape[1]
    return Facts(stop - start, channels, clock.row_rate, kind, f"{text}Z", units, scale, attrs)
