"""Recordings below a folder: which ones are still to be extracted, and why the others are not."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ..catalog import NoFiles, scan
from ..errors import FormatError
from ..formats.depth import archive, what_else
from ..formats.depth.session import METADATA
from .status import is_done

log = logging.getLogger(__name__)

_SESSION = re.compile(r"session_\d+", re.ASCII)


@dataclass(frozen=True)
class Found:
    """What was found, in order of the paths: `recordings[k]` is described by `metadata[k]`, its results by `status[k]`.

    `metadata` has the path of a metadata.json, or of the archive itself where it is in there, and "" where there is
    none. `rejected` has the reason for each other file that looks like a recording, by its path.
    """

    recordings: tuple[str, ...]
    metadata: tuple[str, ...]
    status: tuple[str, ...]
    rejected: Mapping[str, str] = field(default_factory=dict)


def find_recordings(
    root: str | os.PathLike[str],
    extensions: str | Sequence[str] = (".dat",),
    *,
    skip_checks: bool = False,
    complete: bool = False,
    bg_roi_index: int = 0,
    output_dir: str = "proc",
    unpacked: str | os.PathLike[str] | None = None,
) -> Found:
    """Recordings below a folder that have metadata and no complete results yet; no frame is read.

    Files with one of the `extensions` count, except those of other cameras (ir*, rgb*, nidaq*), and archives with names
    such as session_20240102.tar.gz or .tgz. To learn whether metadata.json is in an archive may take inflating it,
    where no .json of its name lies beside it.

    Parameters
    ----------
    root : where to look, and in all folders below that are no links
    extensions : ends of names, in capitals or not
    skip_checks : also take those without metadata, those with complete results, and all of those whose results would
        be the same file
    complete : also take those with complete results, which may be of other options
    bg_roi_index : whose results count: those in results_NN.yaml
    output_dir : folder of results, in that of the recording (of an archive: in the folder of its name)
    unpacked : where archives may have been unpacked, as for opening them

    Raises
    ------
    NotADirectoryError, FileNotFoundError : `root` is no folder

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("a/depth.dat", "a/metadata.json", "a/nidaq.dat", "b/depth.dat"):
    ...         Path(folder, name).parent.mkdir(exist_ok=True)
    ...         Path(folder, name).touch()
    ...     found = find_recordings(folder)
    >>> [Path(path).parent.name for path in found.recordings], sorted(Path(path).name for path in found.rejected)
    (['a'], ['depth.dat', 'nidaq.dat'])
    """
    root = os.path.abspath(root)
    ends = [each.lower() for each in ([extensions] if isinstance(extensions, str) else extensions)]
    ends = [each if each.startswith(".") else f".{each}" for each in ends]
    rejected: dict[str, str] = {}
    taken: dict[str, _Candidate] = {}
    for path in _files(root, rejected):
        candidate = _candidate(path, ends, output_dir, bg_roi_index)
        if candidate is None:
            continue
        reason = candidate.reason or ("" if skip_checks else _check(candidate, unpacked, complete))
        if reason:
            rejected[path] = reason
        else:
            taken[path] = candidate
    if not skip_checks:
        rejected |= _same_results(taken)
    kept = sorted(taken.keys() - rejected.keys())
    for path in sorted(rejected):
        log.info("%s is left out: %s", path, rejected[path])
    return Found(
        tuple(kept),
        tuple(taken[path].described() for path in kept),
        tuple(taken[path].status for path in kept),
        {path: rejected[path] for path in sorted(rejected)},
    )


def scan_recordings(found: Found, **options: Any) -> pd.DataFrame:
    """The rows of `ra.scan` of what was found, in its order: frames, rate, start, and what is odd about each.

    Recordings of several cameras, which begin as they like, are no deployment: each is scanned by itself, so that none
    is called odd for being unlike the others. A row that cannot be used has the reason in `anomaly`. To open one:
    ``ra.open_recordings(table.iloc[[k]])``.

    `options` are those of `ra.scan`. Archives are unpacked by this.

    Raises `NoFiles` where nothing was found; the message says why.
    """
    if not found.recordings:
        reasons = [f"{path}: {reason}" for path, reason in found.rejected.items()]
        told = "; ".join(reasons[:10]) + (f"; and {len(reasons) - 10} more" if len(reasons) > 10 else "")
        raise NoFiles(f"no recording of a depth camera is left to be scanned ({told or 'there are no such files'})")
    tables = [scan([path], format="depth", **{"cache": False, **options}) for path in found.recordings]
    return pd.concat(tables, ignore_index=True)


# ---- inside ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Candidate:
    """A file by its name: `rank` orders those with the same results, `reason` is why its name rules it out."""

    path: str
    metadata: str
    status: str
    rank: tuple[int, bool, str] = (0, False, "")
    reason: str = ""

    def described(self) -> str:
        if os.path.isfile(self.metadata):
            return self.metadata
        return self.path if archive.is_archive(self.path) else ""


def _files(root: str, rejected: dict[str, str]) -> Iterator[str]:
    def tell(error: OSError) -> None:
        if error.filename == root:
            raise error
        rejected[str(error.filename)] = f"the folder cannot be listed ({error.strerror}); ask for the right to read it"

    for folder, _, names in os.walk(root, onerror=tell):
        yield from (os.path.join(folder, name) for name in sorted(names) if not name.startswith("."))


def _candidate(path: str, ends: Sequence[str], output_dir: str, bg_roi_index: int) -> _Candidate | None:
    folder, name = os.path.split(path)
    results = os.path.join(output_dir, f"results_{bg_roi_index:02d}.yaml")
    if archive.is_archive(name):
        stem = archive.stem(name)
        own = os.path.join(folder, stem)
        reason = "" if _SESSION.fullmatch(stem) else "archives of recordings are called session_<digits>: rename it"
        return _Candidate(path, f"{own}.json", os.path.join(own, results), reason=reason)
    end = next((k for k, each in enumerate(ends) if name.lower().endswith(each)), None)
    if end is None:
        return None
    other = what_else(name)
    return _Candidate(
        path,
        os.path.join(folder, METADATA),
        os.path.join(folder, results),
        (end, not name.lower().startswith("depth"), path),
        f"by its name it holds {other}, not depth" if other else "",
    )


def _check(candidate: _Candidate, unpacked: str | os.PathLike[str] | None, complete: bool) -> str:
    """Why a recording is not to be extracted, "" if it is."""
    done = is_done(candidate.status)
    if done and complete:
        return ""  # it had what it needs
    if done:
        return f"its results are complete: {candidate.status}"
    if os.path.isfile(candidate.status):
        log.warning("%s counts as not complete: %s", candidate.status, done.reason)
    if os.path.isfile(candidate.metadata):
        return ""
    if not archive.is_archive(candidate.path):
        return f"there is no {candidate.metadata}; pass skip_checks=True to take it with defaults"
    try:
        if archive.has_metadata(candidate.path, None if unpacked is None else os.fspath(unpacked)):
            return ""
    except (FormatError, OSError) as error:
        return str(error)
    return f"there is no {METADATA} in it, and no {candidate.metadata}; pass skip_checks=True to take it with defaults"


def _same_results(taken: Mapping[str, _Candidate]) -> dict[str, str]:
    """Of recordings whose results would overwrite each other all but the first are left out."""
    first: dict[str, _Candidate] = {}
    out = {}
    for each in sorted(taken.values(), key=lambda candidate: candidate.rank):
        if each.status in first:
            name = os.path.basename(first[each.status].path)
            out[each.path] = f"its results would be those of {name} beside it; move it to a folder of its own"
        first.setdefault(each.status, each)
    return out
