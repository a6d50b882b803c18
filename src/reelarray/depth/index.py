"""moseq2-index.yaml: the list of results that later steps work on, with the group of each."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import FormatError
from .status import read_status
from .yamlfiles import read_yaml, write_yaml

log = logging.getLogger(__name__)

INDEX = "moseq2-index.yaml"
DEFAULT_GROUP = "default"


def find_results(folder: str | os.PathLike[str], *, recursive: bool = True) -> list[tuple[str, str]]:
    """HDF5 files below a folder that have a YAML file of the same name beside them: pairs of both, sorted.

    Raises
    ------
    FileNotFoundError : no such folder

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("results_00.h5", "results_00.yaml", "other.h5"):
    ...         Path(folder, name).touch()
    ...     [[os.path.basename(path) for path in pair] for pair in find_results(folder)]
    [['results_00.h5', 'results_00.yaml']]
    """
    root = os.path.abspath(folder)
    if not os.path.isdir(root):
        raise FileNotFoundError(f"there is no folder {root}")
    found = []
    for where, folders, names in os.walk(root):
        folders[:] = sorted(folders) if recursive else []
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix == ".h5" and not name.startswith(".") and f"{stem}.yaml" in names:
                found.append((os.path.join(where, name), os.path.join(where, f"{stem}.yaml")))
    return sorted(found)


def build_index_dict(
    files: Iterable[tuple[str | os.PathLike[str], str | os.PathLike[str], Mapping[str, Any]]],
    *,
    groups: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The index of results: HDF5 file, YAML file and what that says, of each -> files, pca_path.

    Files are sorted by path. Of files with one uuid the first is taken; a warning names both.

    Parameters
    ----------
    files : triples of results_NN.h5, results_NN.yaml and its values
    groups : group of a recording by uuid, or by the path of its HDF5 file; others are in "default"

    >>> index = build_index_dict([("/b/r.h5", "/b/r.yaml", {"uuid": "2", "metadata": {"SubjectName": "m"}})])
    >>> index["files"][0]["path"], index["files"][0]["metadata"]
    (['/b/r.h5', '/b/r.yaml'], {'SessionName': 'default_0', 'SubjectName': 'm'})
    """
    entries: dict[str, dict[str, Any]] = {}
    known = {key: group for key, group in (groups or {}).items() if key}
    for h5, yaml, status in sorted(((os.path.abspath(h), os.path.abspath(y), s) for h, y, s in files), key=_place):
        uuid = str(status.get("uuid") or "")
        if uuid and uuid in entries:
            log.warning("%s has the uuid %s of %s and is left out of the index", h5, uuid, entries[uuid]["path"][0])
            continue
        said = status.get("metadata")
        named = {key: f"default_{len(entries)}" for key in ("SessionName", "SubjectName")}
        entries[uuid or h5] = {
            "path": [h5, yaml],
            "uuid": uuid,
            "group": known.get(uuid) or known.get(h5) or DEFAULT_GROUP,
            "metadata": named | {k: v for k, v in (said or {}).items() if v is not None or k not in named},
        }
    return {"files": list(entries.values()), "pca_path": ""}


def generate_index(
    input_dir: str | os.PathLike[str],
    output_file: str | os.PathLike[str] | None = None,
    *,
    relative: bool = False,
) -> str:
    """Write the index of all complete results below a folder; the path of the index is returned.

    Groups, pca_path and further keys of an index that is there are kept. Results that are not complete, or are to be
    skipped, are left out and logged.

    Parameters
    ----------
    input_dir : folder
    output_file : of the index; by default moseq2-index.yaml in the folder
    relative : write paths relative to the index

    Raises
    ------
    FileNotFoundError : no such folder
    FormatError : an index is there that cannot be read

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "results_00.h5").touch()
    ...     _ = write_yaml(f"{folder}/results_00.yaml", {"complete": True, "uuid": "a1"})
    ...     read_yaml(generate_index(folder, relative=True))["files"][0]["path"]
    ['results_00.h5', 'results_00.yaml']
    """
    output = Path(output_file) if output_file is not None else Path(input_dir, INDEX)
    return _write(find_results(input_dir), output, relative)


def generate_index_from_agg_res(
    input_dir: str | os.PathLike[str],
    output_file: str | os.PathLike[str] | None = None,
    *,
    relative: bool = False,
) -> str:
    """Write the index of a folder of aggregated results, by default into the folder above; else as `generate_index`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "aggregate_results").mkdir()
    ...     os.path.relpath(generate_index_from_agg_res(f"{folder}/aggregate_results"), folder)
    'moseq2-index.yaml'
    """
    output = Path(output_file) if output_file is not None else Path(os.path.abspath(input_dir)).parent / INDEX
    return _write(find_results(input_dir, recursive=False), output, relative)


# ---- inside ----------------------------------------------------------------------------------------------------------


def _place(entry: tuple[str, str, Mapping[str, Any]]) -> tuple[str, str]:
    return entry[0], entry[1]


def _at(entry: Mapping[str, Any], output: Path) -> str:
    """The HDF5 file of an entry of an index."""
    paths = entry.get("path")
    return os.path.abspath(output.parent / str(paths[0])) if isinstance(paths, list) and paths else ""


def _write(pairs: list[tuple[str, str]], output: Path, relative: bool) -> str:
    before = read_yaml(output) if output.exists() else {}
    old = before.get("files") or []
    if not isinstance(old, list) or not all(isinstance(entry, Mapping) for entry in old):
        raise FormatError(f"{output}: files is no list of files with their groups: mend it, or write to another file")
    grouped = [entry for entry in old if entry.get("group") is not None]
    groups = {_at(entry, output): str(entry["group"]) for entry in grouped}  # of a recording that was extracted again
    groups |= {str(entry.get("uuid") or ""): str(entry["group"]) for entry in grouped}
    files = []
    for h5, yaml in pairs:
        try:
            status = read_status(yaml)
        except FormatError as error:
            log.warning("%s is left out of the index: %s", h5, error)
            continue
        if not status.complete or status.skip:
            log.warning("%s is left out of the index: it is %s", h5, "skipped" if status.skip else "not complete")
            continue
        files.append((h5, yaml, status.to_dict()))
    index = build_index_dict(files, groups=groups)
    there = {key for entry in index["files"] for key in (entry["uuid"], entry["path"][0])}
    gone = [_at(entry, output) for entry in old if not {str(entry.get("uuid")), _at(entry, output)} & there]
    if gone:
        log.warning("%s: of the index before are not there any more: %s", output, ", ".join(gone))
    if relative:
        for entry in index["files"]:
            entry["path"] = [os.path.relpath(path, os.path.abspath(output.parent)) for path in entry["path"]]
    kept = {key: value for key, value in before.items() if key != "files"}
    write_yaml(output, {**index, **kept})
    return os.path.abspath(output)
