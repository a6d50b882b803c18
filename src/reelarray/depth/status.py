"""results_NN.yaml: whether an extraction is complete, of what and with what, and why it is to be done again."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from ..errors import FormatError
from ..formats.depth.archive import is_archive, stem
from ..formats.depth.session import METADATA
from ..formats.depth.stamps import FILES
from .options import Options
from .optiontable import TABLE
from .records import Seen
from .resultsread import read_uuid
from .yamlfiles import read_yaml, write_yaml

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Status:
    """What a status file says.

    Parameters
    ----------
    complete : whether results are there
    skip : whether later steps leave the recording out; edited by users
    uuid : of the extraction
    metadata : what metadata.json says
    parameters : every option, and true_depth (mm) once it is known
    parameters_hash : `Options.hash`
    input : name, size (bytes) and mtime (ns since 1970) of the recording, digest of times and metadata beside it
    error : why it failed, None if it did not
    flagged : numbers of frames by what is odd in them
    more : other keys, which are kept, such as sample and feedback_timestamps
    """

    complete: bool = False
    skip: bool = False
    uuid: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    parameters_hash: str = ""
    input: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    flagged: Mapping[str, int] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the file: what is not known is left out, what others added comes last."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "more"}
        optional = ("error", "flagged", "parameters_hash", "input")
        return {k: v for k, v in values.items() if v or k not in optional} | dict(self.more)


@dataclass(frozen=True)
class Done:
    """Whether nothing is left to do, and why not; it is true or false as `done` is."""

    done: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.done


def read_status(path: str | os.PathLike[str]) -> Status:
    """Read results_NN.yaml, also those of moseq2-extract.

    Raises
    ------
    FileNotFoundError : no such file
    FormatError : empty or broken; the message has the line

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "results_00.yaml").write_text("complete: true\\nuuid: a1\\nsample: 3\\n")
    ...     status = read_status(f"{folder}/results_00.yaml")
    >>> status.complete, status.skip, status.uuid, status.more
    (True, False, 'a1', {'sample': 3})
    """
    found = read_yaml(path)
    if not found:
        raise FormatError(f"{path} is empty, as a run leaves that died: extract the recording again")
    own = {each.name for each in fields(Status)} - {"more"}
    known = {key: value for key, value in found.items() if key in own and value is not None}
    for name in ("metadata", "parameters", "input", "flagged"):
        if not isinstance(known.get(name, {}), dict):
            raise FormatError(f"{path}: {name} is {known[name]!r}; names with values were expected: mend the file")
    for name in ("complete", "skip"):
        if not isinstance(known.get(name, False), bool):
            raise FormatError(f"{path}: {name} is {known[name]!r}; true or false was expected: mend the file")
    known["uuid"] = str(known.get("uuid", ""))
    return Status(**known, more={key: value for key, value in found.items() if key not in own})


def begin_status(
    path: str | os.PathLike[str],
    options: Options,
    *,
    input: Mapping[str, Any],
    metadata: Mapping[str, Any] | None = None,
) -> Status:
    """Write that an extraction begins: `complete` is false. What users wrote is kept, and the uuid for an equal hash.

    A broken file is moved aside, to the same name and .broken.

    >>> import tempfile
    >>> from reelarray.depth.options import resolve_config
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/results_00.yaml"
    ...     first = begin_status(path, resolve_config(), input={"size": 1, "mtime": 2})
    ...     again = begin_status(path, resolve_config(), input={"size": 1, "mtime": 2})
    ...     other = begin_status(path, resolve_config(min_height=20), input={"size": 1, "mtime": 2})
    >>> first.uuid == again.uuid, first.uuid == other.uuid
    (True, False)
    """
    before = _before(Path(path), aside=True) or Status()
    same = before.uuid and before.parameters_hash == options.hash
    now = Status(
        skip=before.skip,
        uuid=before.uuid if same else str(uuid4()),
        metadata=dict(metadata or {}),
        parameters=options.to_dict(),
        parameters_hash=options.hash,
        input=dict(input),
        more=before.more,
    )
    write_yaml(path, now.to_dict())
    return now


def complete_status(
    path: str | os.PathLike[str],
    status: Status,
    *,
    true_depth: float,
    flagged: Mapping[str, int] | None = None,
    profile: Mapping[str, float] | None = None,
) -> Status:
    """Write that results are there: the last write of an extraction. What users wrote meanwhile is kept.

    `profile` has the seconds of each step, where they are to be noted.

    >>> import tempfile
    >>> from reelarray.depth.options import resolve_config
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/results_00.yaml"
    ...     status = begin_status(path, resolve_config(), input={"size": 1, "mtime": 2})
    ...     _ = complete_status(path, status, true_depth=673.5, flagged={"missing": 3})
    ...     found = read_status(path)
    >>> found.complete, found.parameters["true_depth"], found.flagged
    (True, 673.5, {'missing': 3})
    """
    parameters = {**status.parameters, "true_depth": float(true_depth)}
    flagged = {name: int(count) for name, count in (flagged or {}).items()}
    status = replace(status, complete=True, error=None, parameters=parameters, flagged=flagged)
    return _end(path, status, {name: round(float(seconds), 3) for name, seconds in (profile or {}).items()})


def fail_status(path: str | os.PathLike[str], status: Status, error: BaseException | str) -> Status:
    """Write that an extraction failed, and why.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fail_status(f"{folder}/results_00.yaml", Status(), ValueError("no plane")).error
    'ValueError: no plane'
    """
    told = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    return _end(path, replace(status, complete=False, error=told or "unknown"))


def is_done(
    path: str | os.PathLike[str], options: Options | None = None, *, input: Mapping[str, Any] | None = None
) -> Done:
    """Whether results are complete, and of these options and this input; `reason` says why not.

    Parameters
    ----------
    path : results_NN.yaml; results_NN.h5 is looked for beside it
    options : None takes results of any
    input : of `recording_facts`; None takes results of any

    >>> is_done("nowhere/results_00.yaml")
    Done(done=False, reason='there is no results_00.yaml')
    """
    path = Path(path)
    try:
        status = read_status(path)
    except FileNotFoundError:
        return Done(False, f"there is no {path.name}")
    except (FormatError, OSError) as error:
        return Done(False, str(error))
    if not status.complete:
        return Done(False, f"it failed: {status.error}" if status.error else "it is not complete")
    if options is not None and status.parameters_hash != options.hash:
        return Done(False, _changed(status, options))
    if input is not None and dict(input) != dict(status.input):
        was = ", ".join(f"{name} {status.input.get(name)} became {value}" for name, value in input.items())
        return Done(False, f"the recording is another: {was}" if status.input else "its input was not noted")
    results = path.with_suffix(".h5")
    try:
        uuid = read_uuid(results)
    except (FileNotFoundError, FormatError) as error:
        return Done(False, str(error))
    if status.uuid and uuid != status.uuid:
        return Done(False, f"{results.name} has the uuid {uuid or 'nothing'}, {path.name} has {status.uuid}")
    return Done(True)


def check_completion_status(status_filename: str | os.PathLike[str]) -> bool:
    """Whether results_NN.yaml says complete; a missing, empty or broken one does not, and is logged.

    >>> check_completion_status("nowhere/results_00.yaml")
    False
    """
    status = _before(Path(status_filename))
    return status is not None and status.complete


def input_facts(path: str | os.PathLike[str]) -> dict[str, int]:
    """Size (bytes) and time of the last change (ns since 1970) of a file.

    >>> sorted(input_facts(__file__))
    ['mtime', 'size']
    """
    found = os.stat(path)
    return {"size": found.st_size, "mtime": found.st_mtime_ns}


def recording_facts(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Name and `input_facts` of a recording, and a digest of times and metadata beside it, which go into results.

    >>> recording_facts(__file__)["beside"]
    ''
    """
    path = Path(path)
    names = (f"{stem(path.name)}.json",) if is_archive(path.name) else (METADATA, *FILES)
    found = [path.with_name(name) for name in names]
    said = sha256()
    there = [each for each in found if each.is_file()]
    for each in there:
        data = each.read_bytes()
        said.update(f"{each.name} {len(data)} ".encode())
        said.update(data)
    name = path.name.encode("utf-8", "backslashreplace").decode()  # YAML holds text only
    return {"file": name, **input_facts(path), "beside": said.hexdigest()[:16] if there else ""}


def count_flags(flags: np.ndarray) -> dict[str, int]:
    """Numbers of frames by what is odd in them, of bits of `records.Seen`: (time) -> name, count; 0 is left out.

    >>> count_flags(np.array([0, Seen.MISSING, Seen.MISSING | Seen.EDGE]))
    {'missing': 2, 'edge': 1}
    """
    counts = {seen.name.lower(): int(np.count_nonzero(flags & seen.value)) for seen in Seen if seen.name}
    return {name: count for name, count in counts.items() if count}


# ---- inside ----------------------------------------------------------------------------------------------------------


def _before(path: Path, *, aside: bool = False) -> Status | None:
    try:
        return read_status(path)
    except FileNotFoundError:
        return None
    except FormatError as error:
        log.warning("%s; it counts as not complete", error)
        if aside:
            os.replace(path, path.with_name(f"{path.name}.broken"))
        return None


def _end(path: str | os.PathLike[str], status: Status, profile: Mapping[str, float] | None = None) -> Status:
    now = _before(Path(path))
    if now is not None:
        status = replace(status, skip=now.skip, more=now.more)
    more = {name: value for name, value in status.more.items() if name != "profile"}  # of this run, or none
    status = replace(status, more=more | ({"profile": dict(profile)} if profile else {}))
    write_yaml(path, status.to_dict())
    return status


def _changed(status: Status, options: Options) -> str:
    if not status.parameters_hash:
        return "its options were not noted: another program made it"
    now = options.to_dict()
    then = status.parameters
    names = [name for name in now if TABLE[name].changes and name in then and then[name] != now[name]]
    told = ", ".join(f"{name} {then[name]!r} became {now[name]!r}" for name in names)
    return f"options changed: {told}" if told else "options changed, or how they are used"
