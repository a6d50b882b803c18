"""Which recordings a batch extracts, with which options each, and which are left as they are."""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import RecipeError
from ..formats.depth import what_else
from ..formats.depth.archive import is_archive
from ..formats.depth.session import folder_name
from ..sinks.journal import FOLDER
from .finding import Found, find_recordings
from .options import Options, resolve_config, session_config
from .optiontable import TABLE
from .running import results_folder
from .status import is_done, recording_facts
from .yamlfiles import read_yaml

Recordings = Found | str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None


@dataclass(frozen=True)
class Unit:
    """One recording: its name in the batch, its file, its options, and what results depend on as a hash."""

    name: str
    path: Path
    options: Options
    fingerprint: str

    @property
    def statuses(self) -> list[Path]:
        """results_NN.yaml of each arena that may be chosen, the first of them first."""
        index = self.options["bg_roi_index"]
        folder = results_folder(self.path, self.options["output_dir"])
        return [folder / f"results_{k:02d}.yaml" for k in ([index] if isinstance(index, int) else index)]

    def complete(self, *, of_any: bool = False) -> Path | None:
        """The status of complete results: of these options and this file, or `of_any`."""
        try:
            facts = None if of_any else recording_facts(self.path)
        except OSError:
            return None
        options = None if of_any else self.options
        return next((path for path in self.statuses if is_done(path, options, input=facts)), None)

    def outdated(self) -> str:
        """Why results that are complete are of something else, "" where they are not."""
        if (found := self.complete(of_any=True)) is None:
            return ""
        try:
            return is_done(found, self.options, input=recording_facts(self.path)).reason
        except OSError:
            return ""


@dataclass(frozen=True)
class BatchPlan:
    """What a batch will do.

    Parameters
    ----------
    options : of all recordings
    given : names of those that somebody gave, in the file or the call
    units : recordings by name
    left_out : reasons by path, of what looks like a recording and is not extracted
    others : reasons by path, of files that are by their names of no depth camera
    root : folder that the recordings are below; None for one recording that was named itself
    notes : what a user should know
    """

    options: Options
    given: tuple[str, ...]
    units: Mapping[str, Unit]
    left_out: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    root: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def said(self) -> dict[str, Any]:
        """Options that somebody gave."""
        return {name: self.options[name] for name in self.given if name in self.options}

    def journal(self, state_folder: str | os.PathLike[str] | None = None) -> Path | None:
        """Where the journal is."""
        if self.root is None:
            return None
        name = re.sub(r"[^\w.-]+", "_", self.options["output_dir"] or "proc")
        return Path(state_folder or self.root / FOLDER, f"depth-{name}")


def plan_recordings(
    recordings: Recordings,
    config: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *,
    options: Mapping[str, Any] = {},
) -> BatchPlan:
    """Find the recordings and the options of each; no frame is read, and nothing is written.

    Raises
    ------
    RecipeError : options that cannot be, also those of one recording; one absolute folder for several results
    FileNotFoundError : no such folder or file, where it was named
    """
    raw = dict(read_yaml(config)) if isinstance(config, str | os.PathLike) else dict(config or {})
    common = resolve_config(config, **options)
    raw = {name: value for name, value in raw.items() if name in TABLE}  # others were named, or refused
    if recordings is None:
        recordings = common["input_dir"]
    if recordings is None:
        raise RecipeError("nothing says what is extracted: name recordings or a folder, or give input_dir")
    sources, rejected, root = _sources(recordings, common)
    sessions, where = _sessions(common, config)
    units: dict[str, Unit] = {}
    left_out = {path: reason for path, reason in rejected.items() if not what_else(path)}
    taken: dict[Path, str] = {}
    for source in sources:
        own = _options(common, raw, sessions, where, source, options)
        unit = Unit(_name(source, root), source, own, _fingerprint(source, own))
        status = unit.statuses[0]
        if status in taken:
            if own["output_dir"] and os.path.isabs(own["output_dir"]):
                raise RecipeError(
                    f"output_dir={own['output_dir']!r} would take the results of {taken[status]} and {source} under "
                    "one name: give a name without a folder, which is made beside each recording"
                )
            left_out[str(source)] = (
                f"its results would be those of {taken[status]} beside it; move it to a folder of its own, or leave "
                "the other out"
            )
            continue
        taken[status], units[unit.name] = str(source), unit
    strange = sorted(sessions.keys() - {_session(source) for source in sources})
    notes = [f"{where}: {', '.join(strange)} {'is' if len(strange) == 1 else 'are'} no folder of these recordings"]
    return BatchPlan(
        common,
        tuple({**raw, **options}),
        units,
        left_out,
        {path: reason for path, reason in rejected.items() if path not in left_out},
        root,
        (*common.notes, *(notes if strange else ())),
    )


# ---- inside ----------------------------------------------------------------------------------------------------------


def _sources(given: Recordings, common: Options) -> tuple[list[Path], dict[str, str], Path | None]:
    """(recordings, those that are left out, the folder that they are below)."""
    if isinstance(given, Found):
        paths = [Path(path) for path in given.recordings]
        return paths, dict(given.rejected), _above(paths)
    if isinstance(given, str | os.PathLike):
        given = [given]
    found: dict[Path, None] = {}
    rejected: dict[str, str] = {}
    folders, named = [], list(given or ())
    for each in named:
        path = Path(each).absolute()
        if path.is_dir():
            below = _below(path, common)
            folders.append(path)
            found |= dict.fromkeys(Path(recording) for recording in below.recordings)
            rejected |= below.rejected
        elif path.exists() or len(named) > 1:  # of several, one that is gone fails by itself
            found[path] = None
        else:
            raise FileNotFoundError(
                f"there is no {path}; a recording (.dat, .avi, .mkv, .tar.gz) or a folder of them was expected"
            )
    paths = list(found)
    if not folders and len(paths) == 1:
        return paths, rejected, None
    root = folders[0] if len(folders) == len(named) == 1 else _above(paths + folders)
    return paths, {path: why for path, why in rejected.items() if Path(path) not in found}, root


def _below(folder: Path, common: Options) -> Found:
    index, output = common["bg_roi_index"], common["output_dir"] or "proc"
    return find_recordings(
        folder,
        common["extensions"],
        skip_checks=common["skip_checks"],
        complete=True,  # of which options is looked at here
        bg_roi_index=index if isinstance(index, int) else index[0],
        output_dir="proc" if os.path.isabs(output) else output,  # what then meets is found here
    )


def _above(paths: Iterable[Path]) -> Path | None:
    folders = [str(path if path.is_dir() else path.parent) for path in paths]
    return Path(os.path.commonpath(folders)) if folders else None


def _name(source: Path, root: Path | None) -> str:
    return os.path.relpath(source, root) if root is not None else source.name


def _session(source: Path) -> str:
    """What the options of one recording go by: its folder, or the name of an archive."""
    if is_archive(str(source)):
        return results_folder(source, None).parent.name
    return folder_name(str(source))


def _sessions(common: Options, config: Any) -> tuple[dict[str, Any], str]:
    """(options by name of a recording's folder, the file that says them)."""
    path = common["session_config_path"]
    if not path:
        return {}, ""
    beside = Path(config).parent / path if isinstance(config, str | os.PathLike) else Path(path)
    found = Path(path) if Path(path).exists() or not beside.exists() else beside
    return read_yaml(found), str(found)


def _options(
    common: Options,
    raw: Mapping[str, Any],
    sessions: Mapping[str, Any],
    where: str,
    source: Path,
    options: Mapping[str, Any],
) -> Options:
    """The options of one recording: those of the file, its own, and those of the call, of which later ones win."""
    name = _session(source)
    if sessions.get(name) is None:
        return common
    try:
        with warnings.catch_warnings():  # said of all of them already
            warnings.simplefilter("ignore")
            own = session_config({**raw, "compat": common["compat"]}, sessions, name)
            return resolve_config({**own, **options})
    except RecipeError as error:
        raise RecipeError(f"{where}, {name}: {error}") from error


def _fingerprint(source: Path, options: Options) -> str:
    """What results depend on; another one is another task, which earlier failures say nothing of."""
    try:
        facts: Any = recording_facts(source)
    except OSError:
        facts = None
    said = json.dumps([options.hash, facts, os.fspath(source)], sort_keys=True)
    return hashlib.sha256(said.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def results_in_place(
    units: Mapping[str, Unit], *, skip_extracted: bool, force: bool
) -> Iterator[tuple[str, Path, str]]:
    """(name, status, why) of each recording with results that are left as they are."""
    for name, unit in units.items():
        if force or unit.options["force"]:
            continue
        if (found := unit.complete()) is not None:
            yield name, found, "complete already"
        elif skip_extracted and (found := unit.complete(of_any=True)) is not None:
            yield name, found, "complete, of other options or another input; skip_extracted leaves them"
