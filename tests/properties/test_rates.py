"""Zoom, baseband and resampling: any chunks, gaps, cuts into files and blocks give the same bits and labels."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy.io import wavfile

import reelarray as ra
from reelarray import formats, graph
from reelarray.clock import SampleClock
from reelarray.recordings import label
from reelarray.signal import rates
from reelarray.signal.resample import resample
from reelarray.signal.zoom import baseband, zoom
from reelarray.table import SourceTable


def of(rate: Fraction, *ratio: int) -> Fraction:
    return rate * Fraction(*ratio)


TRANSFORMS = {
    "resample, 2/3": lambda x: resample(x, rate=of(ra.rate(x), 2, 3), passband=0.6, attenuation=30),
    "resample, 5/4": lambda x: resample(x, rate=of(ra.rate(x), 5, 4), passband=0.5, attenuation=21),
    "resample, 1/2": lambda x: resample(x, rate=of(ra.rate(x), 1, 2), passband=0.5, attenuation=40),
    "resample, 3": lambda x: resample(x, rate=of(ra.rate(x), 3), passband=0.4, attenuation=50),
    "resample, 8/37, which is thinned": lambda x: resample(x, rate=of(ra.rate(x), 8, 37), passband=0.1, attenuation=21),
    "zoom by 3": lambda x: zoom(
        x + 0j, center=0.123 * float(ra.rate(x)), span=0.25 * float(ra.rate(x)), attenuation=30
    ),
    "zoom by 1": lambda x: zoom(x + 0j, center=-0.0377 * float(ra.rate(x)), span=0.7 * float(ra.rate(x))),
    "zoom, clipped": lambda x: zoom(
        x + 0j, center=0.45 * float(ra.rate(x)), span=0.3 * float(ra.rate(x)), clip=True, attenuation=21
    ),
    "baseband": lambda x: baseband(
        x.real, intermediate_frequency=0.27 * float(ra.rate(x)), bandwidth=0.15 * float(ra.rate(x)), attenuation=25
    ),
    "spectrogram of a zoom": lambda x: ra.spectrogram(
        zoom(x + 0j, center=0.1 * float(ra.rate(x)), span=0.3 * float(ra.rate(x)), attenuation=21), nfft=8
    ),
    "resample twice": lambda x: resample(
        resample(x, rate=of(ra.rate(x), 3, 2), passband=0.5, attenuation=21),
        rate=of(ra.rate(x), 2, 1), passband=0.5, attenuation=21
    ),
}  # fmt: skip
SETTINGS = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@pytest.fixture(scope="module", autouse=True, params=[64, 300])
def short_windows(request):
    """FFTs short enough that few samples take many of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rates, "SHORTEST", request.param)
        yield request.param


@st.composite
def deployments(draw, real=False):
    """(values, clock) of one to five segments with joins, drift and gaps."""
    rate = draw(st.sampled_from([1000, 1024, 44100]))
    lengths = draw(st.lists(st.integers(1, 900), min_size=1, max_size=5))
    lengths[0] = max(lengths[0], 200)
    joined = [False, *draw(st.lists(st.booleans(), min_size=len(lengths) - 1, max_size=len(lengths) - 1))]
    start, starts = 1_600_000_000_123_456_789, []
    for k, length in enumerate(lengths):
        start += 0 if not k or joined[k] else draw(st.integers(10**6, 2 * 10**8))
        starts.append(start)
        start += length * 10**9 // rate + draw(st.integers(0, 1000))
    clock = SampleClock.of_segments(starts, lengths, rate, joined=joined)
    shape = (clock.size, draw(st.sampled_from([0, 0, 1, 2])))
    noise = np.random.default_rng(draw(st.integers(0, 2**31))).normal(size=shape if shape[1] else shape[:1])
    dtype = draw(st.sampled_from(["float32", "float64", "int16"] + ["complex64", "complex128"] * (not real)))
    values = (noise * 1000).astype(dtype) if dtype == "int16" else noise.astype(dtype)
    if draw(st.booleans()) and dtype != "int16":
        values[draw(st.integers(0, clock.size - 1))] = np.nan
    return values, clock


def labelled(data, clock) -> xr.DataArray:
    return label(data, clock, dims=("channel",) * (data.ndim - 1), attrs={"units": "V"})


def identical(a: xr.DataArray, b: xr.DataArray) -> None:
    assert a.dtype == b.dtype
    assert a.values.tobytes() == b.values.tobytes()
    assert set(a.coords) == set(b.coords)
    for name in a.coords:
        assert a[name].values.tobytes() == b[name].values.tobytes(), name
    assert a.attrs == b.attrs


@pytest.mark.parametrize("transform", TRANSFORMS)
@SETTINGS
@given(deployment=deployments(), sizes=st.lists(st.integers(1, 400), min_size=1, max_size=4))
def test_eager_equals_lazy_to_the_bit(transform, deployment, sizes):
    values, clock = deployment
    edges, k = [0], 0
    while edges[-1] < clock.size:
        edges.append(min(edges[-1] + sizes[k % len(sizes)], clock.size))
        k += 1
    data = da.from_array(values, chunks=(tuple(np.diff(edges).tolist()), *values.shape[1:]))
    eager = TRANSFORMS[transform](labelled(values, clock))
    lazy = TRANSFORMS[transform](labelled(data, clock))
    assert lazy.chunks is not None
    identical(lazy.compute(scheduler="sync"), eager)


@pytest.mark.parametrize("transform", TRANSFORMS)
@SETTINGS
@given(deployment=deployments())
def test_each_stretch_alone_gives_its_rows(transform, deployment):
    values, clock = deployment
    x = labelled(values, clock)
    whole, parts = TRANSFORMS[transform](x), []
    for a, b in zip(clock.first, clock.stops, strict=True):
        with suppress(ra.RecordingError):  # too short for the filter: the first is not
            parts.append(TRANSFORMS[transform](x[a:b]))
    assert whole.values.tobytes() == np.concatenate([part.values for part in parts]).tobytes()
    assert whole.time.values.tobytes() == np.concatenate([part.time.values for part in parts]).tobytes()


@st.composite
def cut(draw):
    """(counts, edges of files, edges of blocks of reading)."""
    size = draw(st.integers(400, 3000))
    inner = draw(st.lists(st.integers(1, size - 1), max_size=4, unique=True).map(sorted))
    return size, [0, *inner, size], draw(st.integers(50, 1000)), draw(st.sampled_from([None, 1, 64, 500]))


FILES = {
    "resample": lambda x, block: resample(x, rate=of(ra.rate(x), 3, 7), passband=0.7, attenuation=40, block=block),
    "resample, up": lambda x, block: resample(x, rate=of(ra.rate(x), 3, 2), passband=0.7, attenuation=40, block=block),
    "baseband": lambda x, block: baseband(
        x, intermediate_frequency=210.5, bandwidth=90, radio_frequency=1e6, attenuation=30, block=block
    ),
}


@pytest.mark.parametrize("transform", FILES)
@SETTINGS
@given(cut=cut(), data=st.data())
def test_no_cut_into_files_or_blocks_changes_a_bit(transform, tmp_path_factory, cut, data):
    size, edges, chunk, block = cut
    assume(block != 1 or size < 1000)  # a task a row
    counts = np.random.default_rng(size).integers(-30_000, 30_000, size).astype(np.int16)
    folder: Path = tmp_path_factory.mktemp("cut")
    paths = [str(folder / f"{k}.wav") for k in range(len(edges) - 1)]
    for path, (a, b) in zip(paths, pairwise(edges), strict=True):
        wavfile.write(path, 1000, counts[a:b])
    table = SourceTable.of_headers([formats.probe(path) for path in paths])
    clock = SampleClock.of_segments(
        np.array(edges[:-1]) * 10**6, np.diff(edges), 1000, joined=np.arange(len(paths)) > 0
    )
    x = labelled(graph.read_array(table, chunk), clock)
    low, high = sorted(data.draw(st.tuples(st.integers(0, size // 4), st.integers(3 * size // 4, size))))
    lazy = FILES[transform](x[low:high], block)
    assert len(dict(lazy.data.__dask_graph__())) == lazy.data.numblocks[0]
    eager = FILES[transform](x[low:high].compute(), None)
    with dask.config.set(scheduler="sync"):
        identical(lazy.compute(), eager)
    samples = ra.recording(counts[low:high] / np.float32(32768), rate=1000)
    assert FILES[transform](samples, None).values.tobytes() == eager.values.tobytes()
