"""Copies of results under other names: whole or not at all, made anew where their source changed."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import h5py

from ..errors import FormatError, Unwritable
from ..sinks.atomic import writing
from .resultsread import read_uuid
from .status import input_facts
from .yamlfiles import read_yaml, write_yaml

log = logging.getLogger(__name__)

SOURCE = "copied_from"  # in the YAML of a copy: path, size and mtime of its source, and a digest of each side file


def copy_manifest_results(
    manifest: Mapping[str, Mapping[str, Any]], output_dir: str | os.PathLike[str]
) -> dict[str, str]:
    """Copy results to one folder: HDF5, with side files as metadata/misc, movie, and YAML; source -> copy.

    Two sources of one name get the suffixes _2, _3, ... in order of uuid; a recording keeps the name that it has in the
    folder. A copy is made anew where its source changed, and only there. Every copy is a whole file of the same size as
    its source before side files are added.

    Parameters
    ----------
    manifest : what `build_manifest` returns
    output_dir : is made if it is not there

    Raises
    ------
    Unwritable : a copy is not as long as its source
    FormatError : a source that is no results

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/results_00.h5", "w") as file:
    ...         file["frames"] = [[[1]]]
    ...     entry = {"copy_path": "mouse_results_00", "yaml_dict": {"uuid": "a1"}, "additional_metadata": {}}
    ...     _ = copy_manifest_results({f"{folder}/results_00.h5": entry}, f"{folder}/all")
    ...     sorted(os.listdir(f"{folder}/all"))
    ['mouse_results_00.h5', 'mouse_results_00.yaml']
    """
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    copies = {}
    for source, name in _names(manifest, folder).items():
        target = folder / f"{name}.h5"
        _copy(Path(source), target, manifest[source])
        copies[source] = str(target)
    return copies


def copy_file(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Copy a file, whole or not at all; its size is checked.

    Raises
    ------
    Unwritable : the copy is not as long as its source

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a").write_text("all of it")
    ...     copy_file(f"{folder}/a", f"{folder}/b")
    ...     Path(folder, "b").read_text()
    'all of it'
    """
    with writing(target) as temporary:
        _copy_checked(source, temporary, target)


# ---- inside ----------------------------------------------------------------------------------------------------------


def _copy_checked(source: Any, temporary: Path, target: Any) -> None:
    shutil.copyfile(source, temporary)
    wanted, found = os.path.getsize(source), os.path.getsize(temporary)
    if wanted != found:
        raise Unwritable(f"{target}: {found} bytes of {wanted} of {source} were copied: is the disk full?")


def _names(manifest: Mapping[str, Mapping[str, Any]], folder: Path) -> dict[str, str]:
    """A name for each source: the one that its recording, or its file, has in the folder, else a free one."""
    uuids = {source: _uuid(source, entry) for source, entry in manifest.items()}
    wanted = {source: str(entry["copy_path"]) for source, entry in manifest.items()}
    there = _copies(folder)
    order = sorted(manifest, key=lambda source: (uuids[source], source))
    names: dict[str, str] = {}
    for same in (_same_file, _same_uuid):  # a recording that was extracted anew may have another uuid
        for source in order:
            known = [copy.name for copy in there if same(copy, source, uuids[source])]
            free = [n for n in known if wanted[source] in (n, _stem(n)) and n not in names.values()]
            if source not in names and free:
                names[source] = free[0]
    taken = {name.casefold() for name in (*(copy.name for copy in there), *names.values())}
    for source in order:
        if source in names:
            continue
        name, number = wanted[source], 1
        while name.casefold() in taken:
            number += 1
            name = f"{wanted[source]}_{number}"
        if number > 1:
            log.warning("another recording is copied as %s: %s becomes %s", wanted[source], source, name)
        names[source] = name
        taken.add(name.casefold())
    return {source: names[source] for source in manifest}


class _Copy(NamedTuple):
    """A copy that lies in the folder."""

    name: str
    uuid: str
    source: str


def _same_file(copy: _Copy, source: str, uuid: str) -> bool:
    return copy.source == os.path.abspath(source)


def _same_uuid(copy: _Copy, source: str, uuid: str) -> bool:
    return uuid != "" and copy.uuid == uuid


def _stem(name: str) -> str:
    """A name without the number that told it from another."""
    stem, _, number = name.rpartition("_")
    return stem if stem and number.isdigit() and not number.startswith(("0", "1")) else name


def _uuid(source: str, entry: Mapping[str, Any]) -> str:
    return str(entry["yaml_dict"].get("uuid") or read_uuid(source))


def _copies(folder: Path) -> list[_Copy]:
    found = []
    for path in sorted(folder.glob("*.h5")):
        try:
            said = read_yaml(path.with_suffix(".yaml"))
        except (FormatError, FileNotFoundError):  # a run died between the copy and its YAML
            said = {}
        source = said.get(SOURCE)
        uuid = said.get("uuid")
        if uuid is None:
            with suppress(FormatError):
                uuid = read_uuid(path)
        found.append(_Copy(path.stem, str(uuid or ""), str(source.get("path", "")) if isinstance(source, dict) else ""))
    return found


def _copy(source: Path, target: Path, entry: Mapping[str, Any]) -> None:
    side = entry.get("additional_metadata") or {}
    facts = {"path": os.path.abspath(source), **input_facts(source), "side_files": _digests(side)}
    movie, yaml = source.with_suffix(".mp4"), target.with_suffix(".yaml")
    try:
        before = read_yaml(yaml) if target.exists() else {}
    except (FormatError, FileNotFoundError):
        before = {}
    if before.get(SOURCE) != facts:
        with writing(target) as temporary:
            _copy_checked(source, temporary, target)
            if side:
                _add(temporary, side)
            read_uuid(temporary)  # raises for what is no whole HDF5 file
    if movie.exists():
        there = target.with_suffix(".mp4")
        if not there.exists() or there.stat().st_size != movie.stat().st_size or before.get(SOURCE) != facts:
            copy_file(movie, there)
    kept = {key: value for key, value in entry["yaml_dict"].items() if key != "extraction_metadata"}
    write_yaml(yaml, {**kept, SOURCE: facts})


def _digests(side: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {name: sha256(values["timestamps"].tobytes() + values["data"].tobytes()).hexdigest()[:16]
            for name, values in side.items()}  # fmt: skip


def _add(path: Path, side: Mapping[str, Mapping[str, Any]]) -> None:
    with h5py.File(path, "r+", locking=False) as file:
        misc = file.require_group("metadata/misc")
        for name, values in side.items():
            if name in misc:
                del misc[name]
            for key in ("data", "timestamps"):
                misc.create_dataset(f"{name}/{key}", data=values[key], track_times=False)
