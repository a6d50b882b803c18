"""What `reel spectrogram` does: its options as a recipe, carried out."""

from __future__ import annotations

import argparse
import os
import re
from typing import Any

from ..errors import RecipeError, RecordingError
from ..recipe import Recipe
from ..recipe.run import plan_of
from .runs import run_and_tell, stopping

# Options that are keywords of the tables, by their names, where they are given.
_INPUT = (
    "pattern", "exclude", "format", "timestamp", "offsets", "recorder", "ambiguous", "timestamps_csv", "start", "cache",
    "tolerance", "begin", "end", "channel", "rate", "channels", "on_bad", "position", "calibration", "sensitivity",
    "gain_db", "peak_voltage", "end_to_end",
)  # fmt: skip
_STEP = ("nfft", "hop", "window", "window_length", "scaling", "detrend", "dtype", "engine")
_STORE = ("encoding", "step", "keep_bits", "compression")
_ACCESS = ("group", "mode", "umask")
_PICTURE = ("vmin", "vmax")


def spectrogram(arguments: argparse.Namespace) -> int:
    """`reel spectrogram FOLDER -o OUT.zarr --png OUT.png`: the main job."""
    if arguments.output is None and arguments.png is None:
        raise RecordingError("nothing to make: pass -o OUT.zarr, --png OUT.png, or both")
    recipe = recipe_of(arguments)
    if arguments.save_recipe is not None:
        recipe.save(arguments.save_recipe)
    options = {"overwrite": arguments.overwrite, "retry_failed": arguments.retry_failed}
    with stopping() as stop:
        report = run_and_tell(plan_of(recipe), stop, options)
    return report.exit_code


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    """The recipe that the options describe."""
    content: dict[str, Any] = {"input": _input(arguments), "step": [_step(arguments)]}
    picture = _given(arguments, _PICTURE) | ({"log_frequency": True} if arguments.log_frequency else {})
    if arguments.output is not None:
        content["output"] = {"path": _literal(arguments.output), **_given(arguments, _STORE)}
        if arguments.png is not None:
            content["picture"] = {"path": _literal(arguments.png), **picture}
    else:
        content["output"] = {"path": _literal(arguments.png), **picture}
    content["output"] |= _given(arguments, _ACCESS)
    try:
        return Recipe.from_dict(content)
    except RecipeError as error:  # who gave options knows no tables
        raise RecipeError(re.sub(r"^\[+\w+\]+( \d+, \w+)?:? ", "", str(error))) from error


def _literal(path: str) -> str:
    """A path in which braces are no placeholders."""
    return os.fspath(path).replace("{", "{{").replace("}", "}}")


def _given(arguments: argparse.Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


def _input(arguments: argparse.Namespace) -> dict[str, Any]:
    """Table [input]: one path stands alone, as a saved catalog has to."""
    paths = arguments.paths[0] if len(arguments.paths) == 1 else arguments.paths
    found = {"paths": paths, **_given(arguments, _INPUT)}
    if arguments.timezone != "UTC":
        found["timezone"] = arguments.timezone
    if arguments.overlap != "error":
        found["overlap"] = arguments.overlap
    if arguments.no_recursive:
        found["recursive"] = False
    if arguments.no_cache:
        found["cache"] = False
    return found


def _step(arguments: argparse.Namespace) -> dict[str, Any]:
    options = _given(arguments, _STEP)
    if arguments.average is None:
        if arguments.median or arguments.min_fraction:
            raise RecordingError("--median and --min-fraction belong to --average SPAN, such as --average 60s")
        return {"use": "spectrogram", **options}
    averaged: dict[str, Any] = {"use": "power_spectrum", "every": arguments.average, **options}
    if arguments.median:
        averaged["average"] = "median"
    if arguments.min_fraction:
        averaged["min_fraction"] = arguments.min_fraction
    return averaged
