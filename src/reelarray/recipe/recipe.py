"""Recipe: a run as a value, read from TOML or made from a dict."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import xarray as xr

from ..errors import RecipeError
from . import inputs, naming, tables, toml
from .keywords import Keywords
from .paths import moved
from .steps import Step, apply_steps


@dataclass(frozen=True)
class Recipe:
    """What a run does: files that become recordings, steps, and an output. Equal by value, checked when it is made.

    Parameters
    ----------
    input : `paths`, `calibration`, and keywords of `ra.open_recordings`, `ra.scan` and the format
    steps : functions by name, with keywords; none of them converts
    output : `path`, and keywords of what writes files of its suffix. With a placeholder in the path, such as {stem},
        each recording becomes an output of its own
    picture : `path` of a PNG to draw of the output, and keywords of `ra.save_spectrogram`
    cluster : where it runs unless the caller says otherwise: `kind`, `preset` and settings of `ra.cluster`
    run : how failures are treated: `retries`, `time_limit` (s), `most_failures`
    folder : what relative paths count from

    Raises
    ------
    RecipeError : unknown keys or functions, values of the wrong kind; the message names the nearest that is known

    >>> recipe = Recipe.from_dict({
    ...     "input": {"paths": "deployment"},
    ...     "step": [{"use": "power_spectrum", "every": "60s"}],
    ...     "output": {"path": "minutes.zarr"},
    ... })
    >>> recipe.steps[0].keywords["every"], recipe.each
    ('60s', False)
    >>> Recipe.from_dict({"input": {"path": "deployment"}, "output": {"path": "a.zarr"}})
    Traceback (most recent call last):
    reelarray.errors.RecipeError: [input]: unknown key 'path'; did you mean 'paths'? It takes ...
    """

    input: Keywords
    steps: tuple[Step, ...]
    output: Keywords
    picture: Keywords = field(default_factory=Keywords)
    cluster: Keywords = field(default_factory=Keywords)
    run: Keywords = field(default_factory=Keywords)
    folder: str = field(default_factory=os.getcwd)

    def __post_init__(self) -> None:
        tables.check_input(self.input)
        for number, step in enumerate(self.steps, 1):
            tables.check_step(number, step, self.folder)
        tables.check_output(self.output)
        tables.check_picture(self.picture, self.output)
        tables.check_run(self.run)
        if self.cluster:
            tables.check_cluster(self.cluster)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], *, folder: str | os.PathLike[str] | None = None) -> Recipe:
        """The recipe that a mapping of tables describes, as TOML is read; relative paths count from `folder`.

        Raises
        ------
        RecipeError : see `Recipe`
        """
        if not isinstance(content, Mapping):
            raise RecipeError(
                f"a {type(content).__name__} was given; a mapping with the tables of a recipe was expected"
            )
        tables.check_names("a recipe", content, tables.TABLES)
        for name in ("input", "output"):
            if name not in content:
                raise RecipeError(
                    f"there is no table [{name}]; a recipe has [input] and [output], and a [[step]] for each step"
                )
        for name in tables.TABLES:
            wanted: Any = list | tuple if name == "step" else Mapping
            if name in content and not isinstance(content[name], wanted):
                head = "[[step]] before each step" if name == "step" else f"a table, [{name}], with keys below it,"
                raise RecipeError(f"{name!r} is a {type(content[name]).__name__}; {head} was expected")
        made = {name: Keywords(content.get(name, {})) for name in tables.TABLES if name != "step"}
        steps = tuple(_step(number, step) for number, step in enumerate(content.get("step", ()), 1))
        return cls(steps=steps, folder=os.path.abspath(os.getcwd() if folder is None else folder), **made)

    @property
    def each(self) -> bool:
        """Whether each recording becomes an output of its own."""
        return naming.has_placeholder(self.output["path"])

    def open(self) -> xr.DataArray:
        """The input as one lazy recording, of which headers are read: (time[, channel]) [1, or Pa where calibrated]."""
        return inputs.find(self.input, self.folder, together=True).open()

    def apply(self, x: xr.DataArray) -> xr.DataArray:
        """The lazy result of all steps on a recording."""
        return apply_steps(x, self.steps, self.folder)

    def to_dict(self) -> dict[str, Any]:
        """The tables as `from_dict` takes them; empty ones are left out."""
        content: dict[str, Any] = {"input": self.input.plain()}
        if self.steps:
            content["step"] = [{"use": step.use, **step.keywords.plain()} for step in self.steps]
        for name in ("output", "picture", "cluster", "run"):
            if table := getattr(self, name):
                content[name] = table.plain()
        return content

    def to_toml(self) -> str:
        """The text that `load_recipe` reads as an equal recipe, from a file in `folder`."""
        parts = []
        for name, content in self.to_dict().items():
            if name == "step":
                parts += [toml.table("[[step]]", step) for step in content]
            else:
                parts.append(toml.table(f"[{name}]", content))
        return "\n\n".join(parts) + "\n"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the recipe as TOML; relative paths in it are changed so that they mean the same from there.

        The file appears whole, and replaces one of that name.
        """
        from ..sinks.atomic import writing

        with writing(path) as temporary:
            temporary.write_text(self.moved(Path(path).resolve().parent).to_toml(), encoding="utf-8")

    def moved(self, folder: str | os.PathLike[str]) -> Recipe:
        """The same recipe with paths that count from another folder."""
        now = os.path.abspath(folder)

        def of(table: Keywords, *names: str) -> Keywords:
            changed: dict[str, Any] = {}
            for name in names:
                value = table.get(name)
                if isinstance(value, str):
                    changed[name] = moved(value, self.folder, now)
                elif isinstance(value, tuple) and name == "paths":
                    changed[name] = [moved(each, self.folder, now) for each in value]
            return Keywords({**table.plain(), **changed})

        return replace(
            self,
            input=of(self.input, "paths", *inputs.PATHS),
            output=of(self.output, "path"),
            picture=of(self.picture, "path"),
            folder=now,
        )


def _step(number: int, content: Any) -> Step:
    if not isinstance(content, Mapping):
        raise RecipeError(f"[[step]] {number} is a {type(content).__name__}; a table with use = ... was expected")
    use = content.get("use")
    if not isinstance(use, str) or not use:
        raise RecipeError(
            f'[[step]] {number} does not say what to use; use = "power_spectrum", or the dotted name of a function of '
            f"your own, was expected (it has {', '.join(map(str, content)) or 'nothing'})"
        )
    return Step(use, Keywords({name: value for name, value in content.items() if name != "use"}))


def load_recipe(path: str | os.PathLike[str]) -> Recipe:
    """The recipe in a TOML file, checked; relative paths in it count from the folder of the file.

    Functions of your own that it names are imported (from beside the recipe, or installed); no recording is touched.

    Raises
    ------
    RecipeError : not TOML, or what `Recipe` refuses; the message names the file
    FileNotFoundError : nothing there

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> Path(folder, "minutes.toml").write_text('''
    ... [input]
    ... paths = "deployment"
    ... [[step]]
    ... use = "power_spectrum"
    ... every = "60s"
    ... [output]
    ... path = "minutes.zarr"
    ... ''') > 0
    True
    >>> load_recipe(f"{folder}/minutes.toml").steps[0].use
    'power_spectrum'
    """
    where = os.fspath(path)
    try:
        content = tomllib.loads(Path(where).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{where} does not exist (looked for from {os.getcwd()}); reel recipe init {where} writes one to begin with"
        ) from None
    except IsADirectoryError:
        raise RecipeError(f"{where} is a folder; the name of a recipe, a TOML file, was expected") from None
    except ValueError as error:
        raise RecipeError(f"{where} is no TOML: {error}") from None
    try:
        return Recipe.from_dict(content, folder=Path(where).resolve().parent)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from error.__cause__
