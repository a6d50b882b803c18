"""Long instrument recordings as lazy, gap-aware xarray arrays on Dask: open, transform, write."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "catalog": ("scan",),
    "opening": ("open_recording", "open_recordings"),
    "formats": ("is_complete",),
    "recordings": ("check_recording", "forget_clock", "join", "rate", "recording", "segments", "time_bounds"),
    "gaps": ("fill_gaps",),
    "lift": ("lift_frames", "lift_reduce", "lift_scan", "lift_windows"),
    "windows": ("Windows",),
    "clock": ("SampleClock",),
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
    "sinks.zarr": ("open_zarr", "write_zarr"),
    "sinks.npz": ("write_npz",),
    "sinks.npzread": ("read_npz",),
    "sinks.audio": ("write_audio",),
    "sinks.sigmf": ("write_sigmf",),
    "sinks.sigmfsidecar": ("write_sigmf_sidecar",),
    "sinks.spectrumcsv": ("write_spectrum_csv",),
    "plot": ("plot_spectrogram", "plot_spectrum", "save_spectrogram", "save_spectrum"),
    "recipe": ("Recipe", "Report", "load_recipe", "run_recipe"),
    "watching.crunch": ("process_recording",),
    "watching.settings": ("load_settings",),
    "watching.start": ("watch",),
    "clusters.start": ("cluster",),
    "clusters.runs": ("Run", "open_run", "runs"),
    "clusters.submitting": ("submit",),
    "errors": (
        "CalibrationError",
        "ChunkError",
        "ClockError",
        "ClusterError",
        "FormatError",
        "GaveUp",
        "MissingPackage",
        "RecipeError",
        "RecordingError",
        "ReelError",
        "SettingError",
        "TruncatedFile",
        "WorkerJobsDied",
        "Unwritable",
    ),
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}
_MODULES = ("calibration", "catalog", "depth", "formats", "sinks", "testing")  # reached as ra.catalog, ra.testing, ...
__all__ = ["__version__", *sorted(_MODULE_OF)]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES})


if Path(sys.argv[0] if sys.argv else "").stem != "reel":  # the command answers --help without waiting for xarray
    from . import accessor  # noqa: F401
