"""Stores that this process holds: the one that is there, or a new one that is there all at once or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from . import faults
from .files import sync_folder
from .journal import FOLDER, NAME, Journal, OutputExists, OutputHeld, hold
from .provenance import changed_inputs, differences, fingerprint, is_known
from .skeleton import INPUTS, Skeleton, build


class Store:
    """A store on a local disk that this process holds: its journal, and the folder of its run's temporary files."""

    def __init__(self, path: Path, journal: Journal) -> None:
        self.path, self.journal = path, journal
        self.temporary = path / FOLDER / f"run-{uuid4().hex}"

    def begin(self) -> None:
        """Remove what a killed run left behind, and make a place for this run's temporary files."""
        _remove_runs(self.path / FOLDER)
        self.temporary.mkdir()

    def close(self) -> None:
        """Take away the temporary files, and with them every straggler's way to write, and let go."""
        try:
            _remove_runs(self.path / FOLDER)
        finally:
            self.journal.close()


def _remove_runs(folder: Path) -> None:
    for run in folder.glob("run-*"):
        dead = run.with_name(f"dead-{run.name[4:]}")
        run.rename(dead)  # who still knows the old name finds nothing there
    for dead in folder.glob("dead-*"):
        faults.checkpoint("before removing temporary files")
        shutil.rmtree(dead)


def open_or_create(path: Path, skeleton: Skeleton, *, overwrite: bool) -> Store:
    """The store of an array, held: the one that is there if it is this array's, else a new one.

    Raises
    ------
    OutputHeld : another process is writing it
    OutputExists : something else is there, or a store of another array, and `overwrite` is not set; or, whether set or
        not, a folder that is no Zarr store
    """
    while True:
        if _is_free(path) and _trash(path).exists():
            os.rename(_trash(path), path)  # a killed attempt got no further than taking the old store away
        replace = not _is_free(path)
        old = _open(path, skeleton, overwrite) if replace else None
        same = old is not None and old.journal.header.get("fingerprint") == fingerprint(skeleton.identity)
        if old is not None and same and (is_known(skeleton.identity) or not overwrite):
            _tidy(path)
            return old
        try:
            return _create(path, skeleton, replace)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise  # else somebody else made it first: look at theirs
        finally:
            if old is not None:
                old.journal.close()


def _is_free(path: Path) -> bool:
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def _open(path: Path, skeleton: Skeleton, overwrite: bool) -> Store | None:
    """What is at a path, held; None where it has no journal but may be replaced."""
    if not (path / FOLDER / NAME).is_file():
        if overwrite and path.is_dir() and any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray")):
            return None
        kind = "a folder" if path.is_dir() else "a file"
        also = "" if not path.is_dir() else ", or overwrite=True if it is a Zarr store to be replaced"
        raise OutputExists(f"{path} is {kind} that write_zarr did not make; choose another path, remove it{also}")
    try:
        journal = Journal.open(path / FOLDER / NAME)
    except OutputExists:
        if not overwrite:
            raise
        return None
    store = Store(path, journal)
    if not overwrite and journal.header.get("fingerprint") != fingerprint(skeleton.identity):
        journal.close()
        raise OutputExists(_what_differs(path, journal.header, skeleton))
    return store


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
        with suppress(OutputHeld), hold(partial / FOLDER / NAME):
            shutil.rmtree(partial)


def _create(path: Path, skeleton: Skeleton, replace: bool) -> Store:
    """Build beside the path, under a lock, and rename into place."""
    partial, trash = _partial(path), _trash(path)
    (partial / FOLDER).mkdir(parents=True, exist_ok=True)
    file = hold(partial / FOLDER / NAME, path)
    try:
        for leftover in (*partial.iterdir(), *(partial / FOLDER).iterdir()):
            if leftover not in (partial / FOLDER, partial / FOLDER / NAME):
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        if trash.exists():
            shutil.rmtree(trash)
        header = {
            "fingerprint": fingerprint(skeleton.identity),
            "identity": skeleton.identity,
            "grid": skeleton.layout.grid,
        }
        store = Store(path, Journal.create(file, header))
        temporary = partial / FOLDER / store.temporary.name
        temporary.mkdir()
        build(partial, temporary, skeleton)
        shutil.rmtree(temporary)
        for folder in (partial, *(f for f in partial.rglob("*") if f.is_dir())):
            sync_folder(folder)
        faults.checkpoint("before renaming the store")
        if replace:
            os.rename(path, trash)
            faults.checkpoint("between the old store and the new")
        os.rename(partial, path)  # onto an empty folder at most
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
        file.close()
        raise
    return store
