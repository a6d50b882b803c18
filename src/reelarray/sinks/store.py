"""Stores that this process holds: the one that is there, or a new one that is there all at once or not at all."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from . import faults
from .files import sync_folder
from .journal import FOLDER, HEADER, Journal, OutputExists, OutputHeld, Record, Wait, read_header
from .layout import Layout, Unit
from .lease import AT_ONCE, Lease
from .lease import NAME as LEASE
from .provenance import changed_inputs, differences, fingerprint, is_known, replaced_files
from .skeleton import INPUTS, Skeleton, build, write_inputs

log = logging.getLogger(__name__)


class Store:
    """A store on a local disk that this process holds."""

    def __init__(self, path: Path, journal: Journal) -> None:
        self.path, self.journal = path, journal

    @property
    def mark(self) -> str:
        """What lines of the journal say that they are of."""
        return mark_of(self.journal.header)


def mark_of(header: Mapping[str, Any]) -> str:
    """What stands in each line: the fingerprint, shortened, and how often inputs had been replaced.

    An input that is put back makes an older fingerprint of the store, but not its older lines, true again.
    """
    return f"{header.get('fingerprint', '')[:16]}-{header.get('generation', 0)}"


def in_place(header: Mapping[str, Any], records: Sequence[Record], layout: Layout) -> np.ndarray:
    """Which pieces of a store are done: (grid) bool.

    What was done before an input was replaced counts where it does not touch that input (`accepts` in the header).
    """
    accepted: dict[str, list[Unit]] = {mark_of(header): [], **header.get("accepts", {})}
    units: dict[str, list[Unit]] = {mark: [] for mark in accepted}
    for record in records:
        if "done" in record and record.get("of") in units:
            units[record["of"]].append(record["done"])
    found = np.zeros(layout.grid, bool)
    for mark, touched in accepted.items():
        if units[mark]:
            found |= layout.done(units[mark]) & ~layout.done(touched) if touched else layout.done(units[mark])
    return found


def failed_before(header: Mapping[str, Any], records: Sequence[Record]) -> dict[tuple[int, ...], Record]:
    """The units that failed for good, with inputs and parameters as they are now."""
    accepted: dict[str, list[Unit]] = {mark_of(header): [], **header.get("accepts", {})}
    found = {}
    for record in records:
        unit = tuple(record.get("failed", ()))
        if unit and record.get("of") in accepted and not any(_meet(unit, t) for t in accepted[record["of"]]):
            found[unit] = record
    return found


def _meet(one: Unit, other: Unit) -> bool:
    return all(max(a, c) < min(b, d) for a, b, c, d in zip(one[::2], one[1::2], other[::2], other[1::2], strict=True))


def open_or_create(
    path: Path,
    skeleton: Skeleton,
    *,
    overwrite: bool,
    anew: bool = False,
    wait: Wait = AT_ONCE,
    touched: Callable[[set[str]], list[Unit]] = lambda paths: [],
) -> Store:
    """The store of an array, held: the one that is there if it is this array's, else a new one.

    Where the array is the same but for inputs that were replaced, each by one with as many samples, the store is kept
    and only the units that `touched` names for their paths are to be made again. With `anew`, a store of the same array
    is replaced, too.

    Raises
    ------
    OutputHeld : another process is writing it, and did so for as long as `wait` says
    OutputExists : something else is there, or a store of another array, and `overwrite` is not set; or, whether set or
        not, a folder that is no Zarr store
    """
    while True:
        if _is_free(path) and _trash(path).exists():
            os.rename(_trash(path), path)  # a killed attempt got no further than taking the old store away
        replace = not _is_free(path)
        old = _open(path, skeleton, overwrite, wait, touched) if replace else None
        same = old is not None and old.journal.header.get("fingerprint") == fingerprint(skeleton.identity)
        if old is not None and same and not anew and (is_known(skeleton.identity) or not overwrite):
            _tidy(path)
            return old
        try:
            return _create(path, skeleton, replace, old, wait)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise  # else somebody else made it first: look at theirs
        finally:
            if old is not None:
                old.journal.close()


def _is_free(path: Path) -> bool:
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def _open(
    path: Path, skeleton: Skeleton, overwrite: bool, wait: Wait, touched: Callable[[set[str]], list[Unit]]
) -> Store | None:
    """What is at a path, held; None where it has no journal but may be replaced."""
    if not (path / FOLDER / HEADER).is_file():
        if overwrite and path.is_dir() and any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray")):
            return None
        _check_ours(path)
    try:
        journal = Journal.hold(path / FOLDER, path, wait=wait)
    except OutputExists:
        if not overwrite:
            raise
        return None
    store = Store(path, journal)
    try:
        same = journal.header.get("fingerprint") == fingerprint(skeleton.identity)
        if not same and not _adopt(store, skeleton, touched) and not overwrite:
            raise OutputExists(_what_differs(path, journal.header, skeleton))
    except BaseException:
        journal.close()
        raise
    return Store(path, journal)


def check_free(path: Path, skeleton: Skeleton) -> None:
    """Raise `OutputExists` where `open_or_create` would without `overwrite`; touches nothing."""
    if _is_free(path):
        return
    _check_ours(path)
    header = read_header(path / FOLDER)
    same = header.get("fingerprint") == fingerprint(skeleton.identity)
    if not same and _replaced(path, header, skeleton) is None:
        raise OutputExists(_what_differs(path, header, skeleton))


def _check_ours(path: Path) -> None:
    if not (path / FOLDER / HEADER).is_file():
        kind = "a folder" if path.is_dir() else "a file"
        also = "" if not path.is_dir() else ", or overwrite=True if it is a Zarr store to be replaced"
        raise OutputExists(f"{path} is {kind} that write_zarr did not make; choose another path, remove it{also}")


def _replaced(path: Path, header: Mapping[str, Any], skeleton: Skeleton) -> set[str] | None:
    """The inputs that were replaced since a store was made; None where it is of another array."""
    before = {k: v for k, v in header.get("identity", {}).items() if k != "inputs"}
    if before != {k: v for k, v in skeleton.identity.items() if k != "inputs"}:
        return None
    try:
        lines = (path / FOLDER / INPUTS).read_bytes().splitlines()
        return replaced_files(skeleton.x, [json.loads(line) for line in lines])
    except (OSError, ValueError):
        return None


def _adopt(store: Store, skeleton: Skeleton, touched: Callable[[set[str]], list[Unit]]) -> bool:
    """Take over a store of the same array with some inputs replaced; what touches them is not done any more."""
    header = store.journal.header
    files = _replaced(store.path, header, skeleton)
    if files is None:
        return False
    units = [list(unit) for unit in touched(files)] if files else []
    log.warning("%s: %d inputs were replaced since; %d blocks are made again", store.path, len(files), len(units))
    accepts = {mark: [*touch, *units] for mark, touch in header.get("accepts", {}).items()}
    new = {**header, "fingerprint": fingerprint(skeleton.identity), "identity": skeleton.identity}
    new["generation"] = header.get("generation", 0) + 1
    store.journal.begin(new | {"accepts": {**accepts, mark_of(header): units}})  # from here on the blocks are not done
    with store.journal.scratch() as temporary:
        write_inputs(store.path, skeleton, temporary / INPUTS)
    return True


def _what_differs(path: Path, header: Mapping[str, Any], skeleton: Skeleton) -> str:
    found = differences(header.get("identity", {}), skeleton.identity)
    with suppress(OSError, ValueError):
        before = [json.loads(line) for line in (path / FOLDER / INPUTS).read_text("utf-8").splitlines()]
        changed = changed_inputs(before, skeleton.inputs)
        found = [f for f in found if f != "inputs differ"] + ([f"input {changed}"] if changed else [])
    again = ""
    if len(found) == 1 and found[0].startswith("engine: ") and (own := found[0].split("'")[1]) in ("scipy", "numba"):
        again = f"to go on with it, make the spectra with engine='{own}' (or set REELARRAY_ENGINE={own}); else "
    return (
        f"{path} holds another array ({'; '.join(found) or 'of unknown origin'}); {again}pass overwrite=True to "
        "replace it, or choose another path"
    )


# ---- making one ------------------------------------------------------------------------------------------------------


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.reelarray-partial")


def _trash(path: Path) -> Path:
    return path.with_name(f".{path.name}.reelarray-replaced")


def _tidy(path: Path) -> None:
    """Remove what a killed attempt to replace the store left beside it."""
    if _trash(path).exists():
        shutil.rmtree(_trash(path))
    partial = _partial(path)
    if partial.exists():
        (partial / FOLDER).mkdir(exist_ok=True)
        with suppress(OutputHeld, OutputExists):
            journal = Journal.hold(partial / FOLDER, path)
            shutil.rmtree(partial)
            journal.close()


def _create(path: Path, skeleton: Skeleton, replace: bool, old: Store | None, wait: Wait) -> Store:
    """Build beside the path, under a lease, and rename into place."""
    partial, trash = _partial(path), _trash(path)
    (partial / FOLDER).mkdir(parents=True, exist_ok=True)
    try:
        lease = Lease.acquire(partial / FOLDER / LEASE, path, wait=wait)
    except FileNotFoundError:  # renamed into place just now
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
    journal = Journal(partial / FOLDER, lease, {}, [])
    try:
        for leftover in (*partial.iterdir(), *(partial / FOLDER).iterdir()):
            if leftover not in (partial / FOLDER, partial / FOLDER / LEASE):
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        if trash.exists():
            shutil.rmtree(trash)
        with journal.scratch() as temporary:
            build(partial, temporary, skeleton)
        journal.begin(
            {
                "fingerprint": fingerprint(skeleton.identity),
                "identity": skeleton.identity,
                "grid": skeleton.layout.grid,
            }
        )
        for folder in (partial, *(f for f in partial.rglob("*") if f.is_dir())):
            sync_folder(folder)
        faults.checkpoint("before renaming the store")
        if replace:
            os.rename(path, trash)
            if old is not None:
                old.journal.moved(trash / FOLDER)
            faults.checkpoint("between the old store and the new")
        os.rename(partial, path)  # onto an empty folder at most
        journal.moved(path / FOLDER)
        sync_folder(path.parent)
        faults.checkpoint("after renaming the store")
        if trash.exists():
            shutil.rmtree(trash)
    except BaseException:
        with suppress(OSError):
            if replace and _is_free(path):
                os.rename(trash, path)
        with suppress(OSError):
            shutil.rmtree(partial)
        journal.close()
        raise
    return Store(path, journal)
