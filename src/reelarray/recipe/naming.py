"""Names of outputs that are made of one recording each: placeholders in a path."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from string import Formatter
from typing import Any

import pandas as pd

from ..errors import RecipeError

START = "%Y%m%dT%H%M%SZ"
PLACEHOLDERS = {
    "stem": "name of the recording without its suffix",
    "name": "name of the recording",
    "folder": "name of the folder that it lies in",
    "start": "its first sample's time in UTC, by a strftime template: {start:%Y/%m/%d_%H%M%S}",
}


def has_placeholder(path: str) -> bool:
    """Whether a path names an output for each recording."""
    return any(name is not None for _, name, _, _ in _parts(path))


def literal(path: str) -> str:
    """The name of an output that is the only one: {{ and }} stand for braces.

    >>> literal("a{{1}}.zarr")
    'a{1}.zarr'
    """
    return "".join(text for text, *_ in _parts(path))


def check(path: str) -> None:
    """Raise `RecipeError` for placeholders that there are not."""
    for _, name, template, conversion in _parts(path):
        if name is None:
            continue
        if name not in PLACEHOLDERS:
            near = get_close_matches(name, PLACEHOLDERS, 1)
            hint = f"did you mean {{{near[0]}}}? " if near else ""
            known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
            raise RecipeError(f"[output] path={path!r}: unknown placeholder {{{name}}}; {hint}There are {known}")
        if conversion or (template and name != "start"):
            raise RecipeError(f"[output] path={path!r}: {{{name}}} takes no format; only {{start:...}} does")
        if template and "%" not in template:
            raise RecipeError(
                f"[output] path={path!r}: {{start:{template}}} is no strftime template, such as {{start:%Y%m%d_%H%M%S}}"
            )


def root(path: str) -> str:
    """The folder above the first placeholder.

    >>> root("/data/spectra/{start:%Y}/{stem}.npz")
    '/data/spectra'
    """
    before = next(text for text, name, _, _ in _parts(path) if name is not None)
    return os.path.dirname(before) or "."


def fill(path: str, row: Mapping[str, Any]) -> str:
    """The path of the output of one recording, by its row in the catalog.

    >>> fill("{stem}/{start:%H%M}.npz", {"path": "a/b.wav", "start": pd.Timestamp("2022-03-01T12:30")})
    'b/1230.npz'
    """
    whole = str(row["path"]).replace("\\", "/").rstrip("/")
    if "://" in whole:
        whole = whole.partition("?")[0].partition("#")[0]
    folder, _, name = whole.rpartition("/")
    values = {"stem": os.path.splitext(name)[0], "name": name, "folder": folder.rpartition("/")[2]}
    made = []
    for text, key, template, _ in _parts(path):
        made.append(text)
        if key == "start":
            if pd.isna(row["start"]):
                raise RecipeError(
                    f"{whole}: its start is not known, which {{start}} in the name of its output needs; say when files "
                    "start (timestamp=, timezone=, start=), or name outputs by {stem}"
                )
            made.append(pd.Timestamp(row["start"]).strftime(template or START))
        elif key is not None:
            made.append(values[key])
    return "".join(made)


def fill_all(path: str, rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The paths of the outputs of all recordings.

    Raises
    ------
    RecipeError : two recordings would get one name
    """
    made: dict[str, str] = {}
    for row in rows:
        name = fill(path, row)
        if name in made:
            raise RecipeError(
                f"[output] path={path!r}: {made[name]} and {row['path']} would both become {name}; add {{folder}} or "
                "{start:%Y%m%d_%H%M%S}, or leave one out"
            )
        made[name] = str(row["path"])
    return list(made)


@lru_cache(maxsize=8)  # asked for each recording
def _parts(path: str) -> tuple[tuple[str, str | None, str, str | None], ...]:
    try:
        return tuple(
            (text, name, template or "", conversion) for text, name, template, conversion in Formatter().parse(path)
        )
    except ValueError as error:
        raise RecipeError(f"[output] path={path!r}: {error}; {{{{ and }}}} stand for braces") from None
