"""`x.reel`: the public functions as methods of any xarray.DataArray. No logic lives here."""

from __future__ import annotations

import importlib
from typing import Any

import xarray as xr

_METHODS = {
    "recordings": ("forget_clock", "rate", "segments", "time_bounds"),
    "gaps": ("fill_gaps",),
    "signal.spectra": ("power_spectrum", "spectrogram", "stft"),
    "signal.multitaper": ("multitaper_spectrogram",),
    "signal.reduce": ("average",),
    "signal.bands": ("channel_power", "select_band"),
    "signal.peaks": ("occupied_bandwidth", "peak_frequency", "width"),
    "signal.powers": ("to_watts",),
    "signal.levels": ("to_decibel",),
    "signal.distribution": ("level_distribution", "level_quantiles", "probability_density"),
    "signal.filters": ("band_pass", "high_pass", "low_pass"),
    "signal.zoom": ("baseband", "zoom"),
    "signal.resample": ("resample",),
    "signal.instantaneous": ("analytic", "instantaneous_frequency", "instantaneous_power"),
    "annotated": ("annotation_band", "select_annotation"),
    "signal.calibrate": ("calibrate",),
    "signal.normalize": ("normalize", "remove_mean", "repair_overflow"),
    "sinks.zarr": ("write_zarr",),
    "sinks.npz": ("write_npz",),
    "sinks.audio": ("write_audio",),
    "sinks.sigmf": ("write_sigmf",),
    "sinks.spectrumcsv": ("write_spectrum_csv",),
    "plot": ("plot_spectrogram", "plot_spectrum"),
}
_MODULE_OF = {name: module for module, names in _METHODS.items() for name in names}


class _Method:
    """A function of a recording as a method: found when it is first asked for, with its own signature and docstring."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, accessor: Any, owner: Any = None) -> Any:
        function = getattr(importlib.import_module(f"{__package__}.{_MODULE_OF[self.name]}"), self.name)
        return function if accessor is None else function.__get__(accessor._x)


@xr.register_dataarray_accessor("reel")
class Reel:
    """Everything that reelarray does to a recording: `x.reel.spectrogram(nfft=1024)` is `spectrogram(x, nfft=1024)`."""

    def __init__(self, x: xr.DataArray) -> None:
        self._x = x


for _name in _MODULE_OF:
    setattr(Reel, _name, _Method(_name))
