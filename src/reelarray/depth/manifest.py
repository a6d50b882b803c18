"""Results of many recordings, gathered in one folder under names that say what they are of."""

from __future__ import annotations

import logging
import os
import re
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import RecipeError
from .resultsread import snake_cased
from .sidefiles import read_side_files

log = logging.getLogger(__name__)

NAME = "{start_time}_{session_name}_{subject_name}"
_LONGEST = 180  # bytes of a name: file systems take 255, and the stem of the source follows


def build_manifest(
    loaded: Sequence[tuple[Mapping[str, Any], str, Mapping[str, Any]]],
    format: str = NAME,
    snake_case: bool = True,
) -> dict[str, dict[str, Any]]:
    """Where each file of results is copied to: path of results_NN.h5 -> copy_path, yaml_dict, additional_metadata.

    `copy_path` is a name without suffix: the format with the recording's metadata, and the stem of the source. A
    recording without a field of the format becomes session_000, session_001, ..., and a warning says so. Two may have
    one name: `copy_manifest_results` tells them apart. `additional_metadata` has the side files of the recording.

    Parameters
    ----------
    loaded : what `load_extraction_meta_from_h5s` returns
    format : text with names of metadata in braces
    snake_case : whether the names in braces are in snake_case

    Raises
    ------
    RecipeError : a format that is none, or has a path separator

    >>> said = {"SessionName": "open field: a", "SubjectName": "m/1", "StartTime": "2024-05-01T10:20:30.1234567+01:00"}
    >>> manifest = build_manifest([({"uuid": "1"}, "/data/a/proc/results_00.h5", said)])
    >>> manifest["/data/a/proc/results_00.h5"]["copy_path"]
    '2024-05-01_10-20-30_open-field-a_m-1_results_00'
    """
    wanted = _fields(format)
    manifest: dict[str, dict[str, Any]] = {}
    unnamed = 0
    for status, path, metadata in loaded:
        known = snake_cased(metadata) if snake_case else metadata
        values = {key: _cleaned(key, value) for key, value in known.items() if value is not None}
        missing = [name for name in wanted if name not in values]
        if missing:
            name = f"session_{unnamed:03d}"
            unnamed += 1
            log.warning("%s has no %s: it is copied as %s", path, ", ".join(missing), name)
        else:
            name = format.format_map(values).lstrip(".")  # such files are hidden
            name = name.encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore")
        manifest[path] = {
            "copy_path": f"{name}_{Path(path).stem}",
            "yaml_dict": dict(status),
            "additional_metadata": read_side_files(Path(os.path.abspath(path)).parent.parent),
        }
    return manifest


def _fields(format: str) -> list[str]:
    try:
        parts = list(string.Formatter().parse(format))
    except ValueError as error:
        raise RecipeError(f"the format {format!r} is none ({error}); such as {NAME!r} was expected") from None
    names = [name for _, name, _, _ in parts if name is not None]
    odd = [name for name in names if not name.isidentifier()]
    literal = "".join(text for text, _, _, _ in parts)
    if odd or any(specification or conversion for _, _, specification, conversion in parts):
        raise RecipeError(f"the format {format!r} has more than names in braces; such as {NAME!r} was expected")
    if re.search(r"[/\\\0]", literal):
        raise RecipeError(
            f"the format {format!r} has a path separator; the copies lie in one folder: take another sign"
        )
    return names


def _cleaned(key: str, value: Any) -> str:
    """Part of a file name that all systems take."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    text = "-".join(map(str, text)) if isinstance(text, list | tuple) else str(text)
    if key.lower().replace("_", "") == "starttime":
        text = text.partition(".")[0].replace(":", "-").replace("T", "_")
    text = re.sub(r"""[ <>:"/\\|?*'\x00-\x1f]""", "-", text)
    return re.sub("-{2,}", "-", text)
