"""What each table of a recipe may say: checked before any recording is looked at."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Literal

from ..driving import Policy
from ..errors import RecipeError, RecordingError, SettingError
from ..formats import format_names
from . import inputs, naming, outputs
from .keywords import Keywords
from .steps import Step, find_function
from .values import expected, fits, keywords_of, required, takes_any

TABLES = ("input", "step", "output", "picture", "cluster", "run")


def check_input(given: Keywords) -> None:
    """Raise `RecipeError` for what `[input]` cannot say."""
    format = given.get("format")
    if isinstance(format, str) and format not in format_names():
        raise RecipeError(f"[input] format={format!r}: {_hint(format, format_names())}")
    known = inputs.known(format)
    check_names("[input]", given, known, open=inputs.takes_more(format))
    check_values("[input]", given, known)
    if not given.get("paths"):
        raise RecipeError('[input] names no files: paths = "folder", or a list of folders, files, patterns and URLs')
    paths = given["paths"]
    if any(inputs.is_catalog(path) for path in ((paths,) if isinstance(paths, str) else paths)):
        if not isinstance(paths, str):
            raise RecipeError("[input] paths: a saved catalog was given among others; give one of those alone, as text")
        of_scan = [name for name in given if name in inputs.OF_SCAN]
        if of_scan:
            raise RecipeError(
                f"[input] {', '.join(f'{name}=' for name in of_scan)}: {paths} is a saved catalog; these belong to the "
                "scan that made it"
            )


def check_step(number: int, step: Step, folder: str) -> None:
    """Raise `RecipeError` for a step that names no function, or keywords that the function does not take."""
    where = f"[[step]] {number}"
    try:
        function = find_function(step.use, folder)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from error
    where = f"{where}, {step.use}"
    known = keywords_of(function)
    check_names(where, step.keywords, known, open=takes_any(function))
    check_values(where, step.keywords, known)
    if missing := [name for name in required(function) if name not in step.keywords]:
        raise RecipeError(f"{where}: {', '.join(missing)} is missing; the step cannot do without")


def check_output(given: Keywords) -> None:
    """Raise `RecipeError` for an output that cannot be made."""
    path = given.get("path")
    if not isinstance(path, str) or not path:
        raise RecipeError(
            '[output] has no path: path = "spectra.zarr" makes one store, "spectra/{stem}.npz" one file a recording'
        )
    naming.check(path)
    known = outputs.known(path)
    check_names(f"[output] of {outputs.suffix(path)}", given, known)
    check_values("[output]", given, known)
    outputs.check_options(given)


def check_picture(given: Keywords, output: Keywords) -> None:
    """Raise `RecipeError` for a picture that cannot be drawn of the output."""
    if not given:
        return
    path = given.get("path")
    if not isinstance(path, str) or not path.lower().endswith(".png"):
        raise RecipeError(f"[picture] path={path!r}: a name that ends in .png was expected")
    naming.check(path)
    if naming.has_placeholder(output["path"]) or naming.has_placeholder(path):
        raise RecipeError(
            '[picture] is drawn of one array; for a picture of each recording: [output] path = "{stem}.png"'
        )
    known = {"path": str} | outputs.of_picture()
    check_names("[picture]", given, known)
    check_values("[picture]", given, known)
    try:
        outputs.check_limits(given)
    except RecordingError as error:
        raise RecipeError(f"[picture] {error}") from error


def check_run(given: Keywords) -> None:
    """Raise `RecipeError` for what `[run]` cannot say."""
    hints = typing.get_type_hints(Policy)
    known = {name: hints[name] for name in ("retries", "time_limit", "most_failures")}
    check_names("[run]", given, known)
    check_values("[run]", given, known)
    for name, least in (("retries", 0), ("most_failures", 1)):
        if given.get(name, least) < least:
            raise RecipeError(f"[run] {name}={given[name]}: {least} or more was expected")
    if not given.get("time_limit", 1) > 0:
        raise RecipeError(f"[run] time_limit={given['time_limit']}: seconds, above 0, were expected")


def check_cluster(given: Keywords) -> None:
    """Raise `RecipeError` for keys that no cluster has, and values that none can use; presets are looked up later."""
    from ..clusters.settings import KINDS, NAMES, READ, SAME, SPECIAL

    known = ["kind", "preset", *NAMES, *SAME, *(name for names in SPECIAL.values() for name in names)]
    check_names("[cluster]", given, known)
    check_values("[cluster]", given, {"kind": Literal[*KINDS], "preset": str})
    for name, value in given.items():
        if (read := READ.get(SAME.get(name, name))) is not None:
            try:
                read(value, name)
            except SettingError as error:
                raise RecipeError(f"[cluster] {error}") from error


def check_names(where: str, given: Iterable[str], known: Iterable[str], *, open: bool = False) -> None:
    """Raise `RecipeError` for the first name that is not known, with the nearest that is, unless any goes."""
    names = sorted(known)
    for name in given:
        if name not in names and not open:
            raise RecipeError(f"{where}: unknown key {name!r}; {_hint(name, names)}")


def check_values(where: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Raise `RecipeError` for the first value that its annotation does not allow."""
    for name, value in given.items():
        if name in known and not fits(value, known[name]):
            shown = value.plain() if isinstance(value, Keywords) else list(value) if isinstance(value, tuple) else value
            raise RecipeError(f"{where}: {name}={shown!r} was given; {expected(known[name])} was expected")


def _hint(name: str, names: Iterable[str]) -> str:
    names = sorted(names)
    near = get_close_matches(name, names, 1)
    listed = f"{', '.join(names)}" if names else "nothing"
    return (f"did you mean {near[0]!r}? It takes " if near else "it takes ") + listed
