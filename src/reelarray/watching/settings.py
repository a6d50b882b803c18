"""The settings of a watch: datacrunch's configuration as it is, and what this one can say besides."""

from __future__ import annotations

import logging
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RecipeError, SettingError
from ..recipe.keywords import Keywords
from ..recipe.tables import check_cluster
from .options import IN_FLIGHT, STATE, Options
from .reading import EACH, Reading
from .wanted import PREVIEW, Wanted

if TYPE_CHECKING:
    from .crunch import Crunch

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What is watched, and what is made of it.

    Parameters
    ----------
    options : how folders are watched
    output : folder of the outputs
    www : folder of the latest pictures, or None
    wanted : what is made of each recording
    of_analyser : what is made of those of some analysers, by their names
    table : a CSV file with a line for each recording, or None
    opening : keywords of `ra.open_recording`
    cluster : where the work is done, as in recipes
    """

    options: Options
    output: str
    www: str | None = None
    wanted: Wanted = field(default_factory=Wanted)
    of_analyser: Mapping[str, Wanted] = field(default_factory=dict)
    table: str | None = None
    opening: Keywords = field(default_factory=Keywords)
    cluster: Keywords = field(default_factory=Keywords)

    @property
    def page_folder(self) -> str:
        """Where the page is: beside the latest pictures, else beside all outputs."""
        return self.www or self.output

    @property
    def process(self) -> Crunch:
        """What is done to each recording: frozen, and can be sent to a worker."""
        from .crunch import Crunch

        return Crunch(
            output=self.output,
            www=self.www,
            wanted=self.wanted,
            of_analyser=tuple(sorted(self.of_analyser.items())),
            table=self.table,
            opening=self.opening,
        )


def load_settings(
    path: str | os.PathLike[str] | Mapping[str, Any] | None = None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """The settings in a TOML file, checked: datacrunch's ``config.toml`` unchanged, or one with further tables.

    Without a file the overrides say all; the whole of each recording is then used, where a file of datacrunch that does
    not set `nframes` means 94 frames. Relative paths count from the current folder, as they did for datacrunch. A key
    that is not known gets a warning with the nearest name that is, and is an error with ``strict = true``.

    Parameters
    ----------
    path : the file, or a mapping of tables as TOML is read
    overrides : keys, without their tables, that stand in place of those of the file

    Raises
    ------
    SettingError : all that is wrong, in one message
    FileNotFoundError : there is no such file

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> made = load_settings({"paths": {"folder_path": folder, "output_path": "out"}, "settings": {"n_avg": 10.0}})
    >>> made.wanted.nframes, made.wanted.n_avg, made.wanted.lframes
    (94, 10, 65536)
    >>> load_settings(overrides={"folder_path": folder, "output_path": "out"}).wanted.nframes is None
    True
    """
    content, where = (path, "settings") if isinstance(path, Mapping) else _read(path)
    reading = _Reading(where)
    given = reading.tables(content)
    reading.override(given, dict(overrides or {}))
    made = reading.settings(given, datacrunch=bool({"paths", "settings"} & content.keys()))
    if reading.wrong or made is None:
        told = "\n".join(f"- {each}" for each in reading.wrong)
        raise SettingError(f"{where}: {len(reading.wrong)} to be mended:\n{told}")
    return made


def _read(path: str | os.PathLike[str] | None) -> tuple[Mapping[str, Any], str]:
    if path is None:
        return {}, "settings"
    where = os.fspath(path)
    try:
        return tomllib.loads(Path(where).read_text(encoding="utf-8")), where
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{where} does not exist (looked for from {os.getcwd()}); reel watch --example-config prints one to begin "
            "with"
        ) from None
    except IsADirectoryError:
        raise SettingError(f"{where} is a folder; the name of a TOML file was expected") from None
    except ValueError as error:
        raise SettingError(f"{where} is no TOML: {error}") from None


class _Reading(Reading):
    """The settings that tables say."""

    def settings(self, given: dict[str, dict[str, Any]], *, datacrunch: bool) -> Settings | None:
        paths, settings = given["paths"], given["settings"]
        folders = self.folders(paths.get("folder_path"))
        output = self.path(paths, "output_path", "for what is made")
        www, tracking, table = (
            _absolute(text) if text else None
            for text in (paths.get("www_path"), paths.get("tracking_file_path"), given["outputs"].get("table"))
        )
        wanted = self.wanted(Wanted(nframes=PREVIEW if datacrunch else None), {**settings, **given["outputs"]}, "")
        of_analyser = {}
        for name, content in given["analyser"].items():
            if not isinstance(content, Mapping):
                self.wrong.append(f"analyser.{name}: a table, [analyser.{name}], was expected")
                continue
            where = f"[analyser.{name}]"
            of_analyser[name] = self.wanted(wanted, self.values(where, content, EACH), f"{where} ")
        recursive = given["watch"].get("recursive", False)
        if recursive and any(each.layout == "flat" for each in (wanted, *of_analyser.values())):
            self.wrong.append('[watch] recursive = true needs [outputs] layout = "by_analyser": names may repeat')
        cluster = self.cluster(given["cluster"])
        options = self.options(given, folders, output, www, tracking, cluster)
        if options is None or output is None:
            return None
        return Settings(
            options, output, www, wanted, of_analyser, table, self.keywords("[open]", given["open"]), cluster
        )

    def folders(self, named: Any) -> tuple[str, ...]:
        if not named:
            self.wrong.append(
                '[paths] folder_path is missing: the folder to be watched, folder_path = "recordings"; FOLDER on the '
                "command line"
            )
            return ()
        folders = tuple(map(_absolute, (named,) if isinstance(named, str) else named))
        for folder in folders:
            if not os.path.isdir(folder):
                self.wrong.append(f"[paths] folder_path {folder} is no folder that is there")
            elif not os.access(folder, os.R_OK | os.X_OK):
                self.wrong.append(f"[paths] folder_path {folder} cannot be read by this user")
        return folders

    def path(self, paths: Mapping[str, Any], name: str, what: str) -> str | None:
        if not paths.get(name):
            self.wrong.append(
                f"[paths] {name} is missing: a folder {what}; --{name.replace('_', '-')} on the command line"
            )
            return None
        found = _absolute(paths[name])
        if os.path.exists(found) and not os.path.isdir(found):
            self.wrong.append(f"[paths] {name} {found} is a file; a folder was expected")
        return found

    def wanted(self, base: Wanted, given: Mapping[str, Any], where: str) -> Wanted:
        names = {each.name for each in fields(Wanted)}
        changes = {name: value for name, value in given.items() if name in names}
        if changes.get("nframes") == "all":
            changes["nframes"] = None
        for name in ("limits", "levels"):
            if changes.get(name) is not None:
                changes[name] = tuple(map(float, changes[name]))
        try:
            return replace(base, **changes)
        except SettingError as error:
            self.wrong += [f"{where}{each}" for each in str(error).split("; ")]
            return base

    def keywords(self, where: str, given: Mapping[str, Any]) -> Keywords:
        try:
            return Keywords(given)
        except RecipeError as error:
            self.wrong.append(f"{where} {error}")
            return Keywords()

    def cluster(self, given: Mapping[str, Any]) -> Keywords:
        made = self.keywords("[cluster]", given)
        try:
            check_cluster(made)
        except RecipeError as error:
            self.wrong.append(str(error))
        return made

    def options(
        self,
        given: Mapping[str, Mapping[str, Any]],
        folders: tuple[str, ...],
        output: str | None,
        www: str | None,
        tracking: str | None,
        cluster: Keywords,
    ) -> Options | None:
        most = given["settings"].get("num_threads", IN_FLIGHT)
        if most < 1:
            self.wrong.append(f"num_threads={most}: a whole number, 1 or more, was expected")
        analysers = {}
        for folder, name in given["analysers"].items():
            if not isinstance(name, str) or not name or "/" in name or "\\" in name or name.startswith("."):
                self.wrong.append(f"[analysers] {folder} = {name!r}: a name without slashes was expected")
            analysers[_absolute(folder)] = name
        watch = dict(given["watch"])
        state = watch.pop("state_folder", None)
        try:
            return Options(
                folders or (".",),
                in_flight=max(1, most),
                analysers=analysers,
                tracking=tracking,
                state_folder=_absolute(state) if state else os.path.join(output or ".", STATE),
                page_folder=www or output,
                **watch,
            )
        except SettingError as error:
            self.wrong.append(f"[watch] {error}")
            return None


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))
