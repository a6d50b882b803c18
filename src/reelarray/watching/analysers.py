"""Names: of what recorded a file, by the folder that it lies in, and of the file itself in the journal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from ..errors import SettingError


def shortest(paths: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """The ends of paths that tell them apart, joined with "-".

    >>> shortest(["/data/a/rsa", "/data/b/rsa", "/data/c"])
    {'/data/a/rsa': 'a-rsa', '/data/b/rsa': 'b-rsa', '/data/c': 'c'}
    >>> shortest(["/data/c"], taken=["c"])
    {'/data/c': 'data-c'}
    """
    parts = {path: [part for part in path.split(os.sep) if part] or ["root"] for path in paths}
    used, found = set(taken), {}
    for length in range(1, max(map(len, parts.values()), default=0) + 1):
        names = {path: "-".join(each[-length:]) for path, each in parts.items() if path not in found}
        several = list(names.values())
        for path, name in names.items():
            whole = len(parts[path]) <= length
            if several.count(name) == 1 and name not in used:
                found[path] = name
            elif whole:  # nothing more to tell it by
                number = next(n for n in range(2, 10**9) if f"{name}-{n}" not in used)
                found[path] = f"{name}-{number}"
                used.add(found[path])
        used |= {found[path] for path in names if path in found}
    return {path: found[path] for path in parts}


class Analysers:
    """Names of folders with recordings; one that has a name keeps it.

    >>> analysers = Analysers(["/data/first", "/data/other"], {"/data/other": "RSA 5100"})
    >>> analysers.name("/data/first"), analysers.name("/data/other"), analysers.name("/data/other/2014/first")
    ('first', 'RSA 5100', '2014-first')
    """

    def __init__(self, folders: Sequence[str], given: Mapping[str, str] = {}) -> None:
        self._given = {os.path.abspath(os.path.expanduser(folder)): name for folder, name in given.items()}
        if wrong := [name for name in self._given.values() if not name or set(name) & set("/\\\0") or name[0] == "."]:
            raise SettingError(f"analysers: {wrong[0]!r} was given; a name without '/' was expected")
        if len(set(self._given.values())) < len(self._given):
            raise SettingError(f"analysers: two folders have one name: {dict(given)}; give each its own")
        self._names = dict(self._given)
        self._folders = [os.path.abspath(folder) for folder in folders]
        self.add(self._folders)

    def know(self, names: Mapping[str, str]) -> None:
        """Names that were in use before; those that are given count more."""
        taken = set(self._given.values())
        for folder, name in names.items():
            if folder not in self._given and name not in taken:
                self._names[folder] = name

    def add(self, folders: Iterable[str]) -> None:
        """Names for folders that have none, as different as they must be."""
        new = [folder for folder in dict.fromkeys(folders) if folder not in self._names]
        self._names |= shortest(new, self._names.values())

    def name(self, folder: str) -> str:
        """Of the recordings that lie in a folder."""
        if folder not in self._names:
            self.add([folder])
        return self._names[folder]

    @property
    def names(self) -> Mapping[str, str]:
        """By folder."""
        return self._names


class Units:
    """The names of recordings in the journal: their paths in the folder that is watched.

    Of several folders, all but the first put their own name before it, so that a journal of one stays good for more.

    >>> units = Units(["/data/a", "/data/b"])
    >>> units.of("/data/a", "x/1.tiq"), units.of("/data/b", "1.tiq"), units.path("b:1.tiq")
    ('x/1.tiq', 'b:1.tiq', '/data/b/1.tiq')
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self._first, *others = [os.path.abspath(folder) for folder in folders]
        self._prefix = {folder: f"{name}:" for folder, name in shortest(others).items()} | {self._first: ""}

    def of(self, folder: str, relative: str) -> str:
        """The name of a recording."""
        return self._prefix[folder] + relative

    def path(self, unit: str) -> str:
        """Where it is."""
        folder, relative = self.place(unit)
        return os.path.join(folder, *relative.split("/"))

    def place(self, unit: str) -> tuple[str, str]:
        """(the watched folder, the path in it)."""
        for folder, prefix in self._prefix.items():
            if prefix and unit.startswith(prefix):
                return folder, unit[len(prefix) :]
        return self._first, unit
