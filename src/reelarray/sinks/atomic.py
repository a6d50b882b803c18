"""Files that are written whole: they appear under their name complete, or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .files import sync_folder


def check_folder(path: Path) -> None:
    """Raise what `writing` would for a file whose folder is not there, before anything is computed."""
    if not path.parent.is_dir():
        what = "there is no such folder for the file to be written: make it first, or write to another"
        raise FileNotFoundError(errno.ENOENT, what, str(path.parent))


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary name in the folder of `path`; what was written there becomes `path` at the end, by one rename.

    The bytes are on the disk before the name is. After an error nothing is left, and a file that was there before is as
    it was.

    Raises
    ------
    FileNotFoundError : the folder is not there

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with writing(f"{folder}/whole.txt") as temporary:
    ...         _ = temporary.write_text("all of it")
    ...     os.listdir(folder)
    ['whole.txt']
    """
    with writing_all([Path(path)]) as (temporary,):
        yield temporary


@contextmanager
def writing_all(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """As `writing`, for files that belong together: they get their names when all of them are written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with writing_all([Path(folder, "a"), Path(folder, "b")]) as temporaries:
    ...         for temporary in temporaries:
    ...             _ = temporary.write_text("all of it")
    ...     sorted(os.listdir(folder))
    ['a', 'b']
    """
    for path in paths:
        check_folder(path)
    temporaries = [path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}.part") for path in paths]
    try:
        yield temporaries
        for temporary in temporaries:
            _to_disk(temporary)
        for temporary, path in zip(temporaries, paths, strict=True):
            os.replace(temporary, path)
    except BaseException:
        for temporary in temporaries:
            with suppress(FileNotFoundError):
                temporary.unlink()
        raise
    for folder in {path.parent for path in paths}:
        sync_folder(folder)


def _to_disk(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
