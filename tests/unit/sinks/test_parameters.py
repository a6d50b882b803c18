"""Every parameter that changes values changes what an array is, also where an encoding hides its dtype."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

import numpy as np
import pytest
import xarray as xr
from stores import files, recorded

import reelarray as ra
from reelarray.sinks.provenance import fingerprint, identity

WINDOW = np.hanning(64)
SPECTRA: dict[str, Any] = {
    "nfft": 128,
    "hop": 16,
    "window": WINDOW,
    "window_length": 32,
    "scaling": "spectrum",
    "detrend": "constant",
    "dtype": "float64",
}
FILTER: dict[str, Any] = {"transition": 41.0, "attenuation": 60.0}
PARTS: dict[str, Any] = {"gain_db": 20.0001, "peak_voltage": 1.25}

# transform: (what it takes, arguments that it needs, other values of its keywords, in turn)
CASES: dict[Callable[..., Any], tuple[str, dict[str, Any], dict[str, Any]]] = {
    ra.spectrogram: ("samples", {"nfft": 64}, SPECTRA),
    ra.stft: ("samples", {"nfft": 64}, {**SPECTRA, "scaling": "density"}),
    ra.power_spectrum: (
        "samples",
        {"nfft": 64, "every": "3s"},
        {**SPECTRA, "every": "1s", "average": "median", "min_fraction": 0.9},
    ),
    ra.average: ("samples", {"every": "3s"}, {"every": "1s", "min_fraction": 0.9, "dtype": "float64", "kind": "max"}),
    ra.multitaper_spectrogram: (
        "samples",
        {"nfft": 64},
        {
            **{name: SPECTRA[name] for name in ("nfft", "hop", "scaling", "detrend", "dtype")},
            "half_bandwidth": 3.0,
            "tapers": 5,
        },
    ),
    ra.resample: ("samples", {"rate": 900}, {"rate": 901, "passband": 0.9, "attenuation": 90.0}),
    ra.analytic: ("samples", {}, FILTER),
    ra.zoom: ("iq", {"center": 100.0, "span": 80.0}, {"center": 100.001, "span": 81.0, "attenuation": 80.0}),
    ra.baseband: (
        "samples",
        {"intermediate_frequency": 200.0, "bandwidth": 80.0},
        {"intermediate_frequency": 200.001, "bandwidth": 81.0, "attenuation": 80.0},
    ),
    ra.to_decibel: ("samples", {}, {"reference": 2e-5, "floor": 150.0, "quantity": "power"}),
    ra.high_pass: ("samples", {"cutoff": 100.0}, {**FILTER, "cutoff": 100.0000001}),
    ra.low_pass: ("samples", {"cutoff": 100.0}, {**FILTER, "cutoff": 100.0000001}),
    ra.band_pass: ("samples", {"low": 100.0, "high": 200.0}, {**FILTER, "low": 100.0000001, "high": 200.0000001}),
    ra.calibrate: ("full scale", {"gain_db": 20.0}, {"sensitivity": -170.0, **PARTS, "units": "uPa"}),
    ra.normalize: ("samples", {"scope": "8s"}, {"method": "dc", "scope": "recording", "min_periods": 2}),
    ra.remove_mean: ("samples", {"scope": "8s"}, {"scope": "recording", "min_periods": 2}),
    ra.repair_overflow: ("samples", {}, {}),
}
NO_VALUES = {"block"}  # which rows are made in one task
SPECTRAL = (ra.spectrogram, ra.stft, ra.power_spectrum)
ELSEWHERE = {(ra.calibrate, "end_to_end"), *((f, "engine") for f in SPECTRAL)}  # in place of the others, below
ELSEWHERE |= {(f, "remainder") for f in (ra.average, ra.power_spectrum)}  # of numbers of rows, below
ELSEWHERE |= {(ra.zoom, "offset"), (ra.zoom, "clip"), (ra.baseband, "radio_frequency")}  # labels, or no error


@pytest.fixture
def sources(tmp_path) -> dict[str, xr.DataArray]:
    x = recorded(files(tmp_path / "input"))
    return {"samples": x, "full scale": x.assign_attrs(units="1"), "iq": ra.analytic(x)}


def told(x: xr.DataArray) -> str:
    return fingerprint(identity(x, "x", np.int16, "db16")[0])  # the same dtype in the store, whatever that of x


def same(a: xr.DataArray, b: xr.DataArray) -> bool:
    return (a.dtype, a.shape) == (b.dtype, b.shape) and a.values.tobytes() == b.values.tobytes()


@pytest.mark.parametrize(("transform", "name"), [(f, name) for f, (_, _, other) in CASES.items() for name in other])
def test_what_changes_values_changes_what_an_array_is(transform, name, sources):
    takes, needs, others = CASES[transform]
    x = sources[takes]
    one, other = transform(x, **needs), transform(x, **{**needs, name: others[name]})
    assert not same(one, other)
    assert told(one) != told(other)
    assert told(one) == told(transform(x, **needs))


@pytest.mark.parametrize("transform", CASES)
def test_every_keyword_is_tried(transform):
    keywords = {p.name for p in list(signature(transform).parameters.values())[1:] if p.kind != Parameter.VAR_KEYWORD}
    assert keywords - NO_VALUES - {name for f, name in ELSEWHERE if f is transform} == set(CASES[transform][2])


def test_what_becomes_of_rows_that_are_left_over_is_told(sources):
    kept, dropped = (ra.average(sources["samples"], every=1001, remainder=r) for r in ("keep", "drop"))
    assert kept.sizes["time"] > dropped.sizes["time"]
    assert told(kept) != told(dropped)


def test_two_windows_without_a_name_are_two(sources):
    x = sources["samples"]
    made = [ra.spectrogram(x, nfft=64, window=w) for w in (WINDOW, WINDOW**2, 8.0, 9.0, ("general_cosine", [1, 0.5]))]
    assert len({told(y) for y in made}) == 5
    assert made[0].attrs["window"].startswith("given sha256:")
    assert len(made[0].attrs["window"]) == len("given sha256:") + 12


def test_every_step_of_a_kind_is_told(sources):
    x = sources["samples"]
    once = ra.normalize(x, method="peak")
    twice = ra.normalize(ra.normalize(x), method="peak")
    assert twice.attrs["normalization"] == "zscore by segment; peak by segment"
    assert not same(once, twice)
    assert told(once) != told(twice)
    ends = [ra.calibrate(sources["full scale"], end_to_end=level) for level in (170.0, 170.0000001)]
    assert told(ends[0]) != told(ends[1])


@pytest.mark.parametrize("transform", SPECTRAL)
def test_engines_are_told(transform, sources):
    """Their values agree within rounding, which may be to the bit in a short recording."""
    pytest.importorskip("numba")
    x = sources["samples"]
    made = {engine: transform(x, nfft=64, engine=engine) for engine in ("scipy", "numba")}
    assert told(made["scipy"]) != told(made["numba"])
    assert made["numba"].attrs["engine"] == "numba"
