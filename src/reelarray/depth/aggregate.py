"""All complete results below a folder, gathered in one folder with an index."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import h5py
import numpy as np

from ..errors import FormatError
from .copying import SOURCE, copy_manifest_results
from .index import find_results, generate_index_from_agg_res
from .manifest import NAME, build_manifest
from .resultsread import load_extraction_meta_from_h5s
from .status import Status, read_status

log = logging.getLogger(__name__)

_CROPS = 1000  # looked at to tell whether there is an animal


def aggregate_extract_results(
    input_dir: str | os.PathLike[str],
    format: str = NAME,
    output_dir: str | os.PathLike[str] | None = None,
    mouse_threshold: float = 0.0,
    *,
    snake_case: bool = True,
) -> str:
    """Copy all good results below a folder to one folder, and write the index of them; its path is returned.

    Results are good that are complete, not skipped, no sample, and whose crops have a mean height above the threshold.
    What is left out is logged with its reason. No recording replaces another.

    Parameters
    ----------
    input_dir : folder of recordings
    format : of names: text with names of metadata in braces
    output_dir : by default aggregate_results in the folder; the index is written to the folder above it
    mouse_threshold : lowest mean height of crops, mm, zeros included
    snake_case : whether names in braces are in snake_case

    Raises
    ------
    FileNotFoundError : no such folder
    RecipeError : an impossible format
    Unwritable : a copy is not as long as its source

    >>> import tempfile
    >>> from reelarray.depth.yamlfiles import read_yaml, write_yaml
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/results_00.h5", "w") as file:
    ...         file["frames"], file["metadata/acquisition/SubjectName"] = np.ones((2, 3, 3), "u1"), "mouse"
    ...     _ = write_yaml(f"{folder}/results_00.yaml", {"complete": True, "uuid": "a1"})
    ...     index = aggregate_extract_results(folder, "{subject_name}")
    ...     [os.path.basename(path) for path in read_yaml(index)["files"][0]["path"]]
    ['mouse_results_00.h5', 'mouse_results_00.yaml']
    """
    output = os.path.abspath(output_dir if output_dir is not None else os.path.join(input_dir, "aggregate_results"))
    kept, left_out = choose_results(input_dir, mouse_threshold, leave_out=output)
    for path, reason in left_out.items():
        log.warning("%s is left out: %s", path, reason)
    loaded = load_extraction_meta_from_h5s([(status.to_dict(), path) for path, status in kept.items()], snake_case)
    copy_manifest_results(build_manifest(loaded, format, snake_case), output)
    return generate_index_from_agg_res(output)


def choose_results(
    input_dir: str | os.PathLike[str],
    mouse_threshold: float = 0.0,
    *,
    leave_out: str | os.PathLike[str] | None = None,
) -> tuple[dict[str, Status], dict[str, str]]:
    """Results below a folder that are good, with their status, and others with what is wrong with them.

    Parameters
    ----------
    input_dir : folder
    mouse_threshold : lowest mean height of crops, mm
    leave_out : a folder in it that is not looked at

    >>> import tempfile
    >>> from reelarray.depth.yamlfiles import read_yaml, write_yaml
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/results_00.h5", "w") as file:
    ...         file["frames"], file["metadata/acquisition/SubjectName"] = np.ones((2, 3, 3), "u1"), "mouse"
    ...     _ = write_yaml(f"{folder}/results_00.yaml", {"complete": False, "uuid": "a1"})
    ...     kept, left_out = choose_results(folder)
    >>> kept, list(left_out.values())
    ({}, ['it is not complete'])
    """
    kept: dict[str, Status] = {}
    left_out: dict[str, str] = {}
    found = find_results(input_dir)
    sources = {h5 for h5, _ in found}
    for h5, yaml in found:
        if leave_out is not None and _is_within(h5, leave_out):
            continue
        try:
            status = read_status(yaml)
            source = status.more.get(SOURCE)
            at = source.get("path") if isinstance(source, dict) else None
            reason = f"it is a copy of {at}" if at in sources else _why_not(h5, status, mouse_threshold)
        except (FormatError, OSError) as error:
            left_out[h5] = str(error)
            continue
        if reason:
            left_out[h5] = reason
        else:
            kept[h5] = status
    return kept, left_out


def mean_height(path: str | os.PathLike[str]) -> float:
    """Mean of up to 1000 crops of results_NN.h5, evenly spread, zeros included, mm.

    Raises
    ------
    FormatError : no such results

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/results_00.h5", "w") as file:
    ...         file["frames"] = np.array([0, 30], "u1")[:, None, None]
    ...     mean_height(f"{folder}/results_00.h5")
    15.0
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            frames = file["frames"]
            some = np.unique(np.linspace(0, len(frames) - 1, min(_CROPS, len(frames))).round().astype(int))
            means = [float(frames[k].mean()) for k in some.tolist()]
    except (OSError, KeyError) as error:
        told = " ".join(str(error).split())
        raise FormatError(f"{path} holds no frames that can be read ({told}): extract it again") from None
    return float(np.mean(means)) if means else 0.0


def _why_not(h5: str, status: Status, threshold: float) -> str:
    if not status.complete:
        return f"it failed: {status.error}" if status.error else "it is not complete"
    if status.skip:
        return "it is marked with skip"
    if "sample" in status.more:
        return "it is a sample"
    mean = mean_height(h5)
    return "" if mean > threshold else f"its mean height, {mean:.3g} mm, is not above {threshold:g}"


def _is_within(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
