"""Who may read and change what was written: group, mode and umask of outputs, never of recordings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import RecordingError


def octal(text: str, name: str) -> int:
    """'664' -> 0o664.

    >>> octal("0664", "mode") == 0o664
    True
    """
    try:
        value = int(str(text), 8)
    except ValueError:
        value = -1
    if not 0 <= value <= 0o7777:
        raise RecordingError(f"{name}={text!r} was given; octal permissions such as 664 or 002 were expected")
    return value


def check_access(*, group: str | None = None, mode: str | None = None) -> None:
    """Raise what `give_access` would, before anything is written."""
    if mode is not None:
        octal(mode, "mode")
    if group is not None and not group.isdigit():
        import grp

        try:
            grp.getgrnam(group)
        except KeyError:
            raise RecordingError(f"group={group!r}: there is no such group on this machine") from None


@contextmanager
def umask(text: str | None) -> Iterator[None]:
    """New files do not get the permissions of `text`, octal, while this lasts."""
    if text is None:
        yield
        return
    before = os.umask(octal(text, "umask"))
    try:
        yield
    finally:
        os.umask(before)


def give_access(path: str | os.PathLike[str], *, group: str | None = None, mode: str | None = None) -> None:
    """Set the group, and the permissions of files, of an output and all in it; folders may be entered where read."""
    if group is None and mode is None:
        return
    check_access(group=group, mode=mode)
    bits = None if mode is None else octal(mode, "mode")
    top = Path(path)
    for each in (top, *(top.rglob("*") if top.is_dir() else ())):
        if group is not None:
            shutil.chown(each, group=int(group) if group.isdigit() else group)
        if bits is not None:
            each.chmod(bits | ((bits & 0o444) >> 2) if each.is_dir() else bits)
