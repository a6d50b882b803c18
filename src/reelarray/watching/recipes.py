"""A recipe as a process: each recording that is finished becomes an output of its own."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import RecipeError, RecordingError
from ..recipe import Recipe, inputs, naming, outputs
from ..recipe.each import journal_folder
from ..recipe.keywords import Keywords
from ..recipe.paths import absolute
from ..recipe.run import Given, recipe_of
from ..recipe.steps import apply_steps
from ..recipe.units import digest
from ..recordings import clock
from ..signal.engines import Engine, choose, using
from ..sinks.provenance import RESULT_VERSION
from .unit import Found, Made


@dataclass(frozen=True)
class RecipeProcess:
    """What a recipe does to one recording.

    Parameters
    ----------
    recipe : with a placeholder in its output, such as {stem}

    Raises
    ------
    RecipeError : it makes one output of all recordings

    >>> content = {"input": {"paths": "."}, "output": {"path": "/tmp/made/{stem}.npz"}}
    >>> process = RecipeProcess(Recipe.from_dict(content))
    >>> process.targets(Found("/data/a.wav", "/data", "a.wav", "data", 44, 0))
    ('/tmp/made/a.npz',)
    """

    recipe: Recipe
    engine: Engine = field(default_factory=lambda: choose(None))

    def __post_init__(self) -> None:
        if not self.recipe.each:
            raise RecipeError(
                f"[output] path={self.recipe.output['path']!r}: watching makes one output of each recording; put a "
                "placeholder into the name, such as {stem}"
            )

    @classmethod
    def of(cls, given: Given) -> RecipeProcess:
        """A process, whichever way the recipe is given."""
        return cls(recipe_of(given))

    @property
    def pattern(self) -> str:
        """The path of the outputs, placeholders and all."""
        return absolute(self.recipe.output["path"], self.recipe.folder)

    @property
    def state_folder(self) -> str:
        """Where the journal of a service with this recipe is: beside that of its runs."""
        folder = journal_folder(self.recipe)
        return str(folder.with_name(f"watch-{folder.name}"))

    @property
    def fingerprint(self) -> str:
        """A hash of what results depend on, besides the recordings."""
        recipe = self.recipe
        given = {name: value for name, value in recipe.input.plain().items() if name != "paths"}
        steps = [step.parameters() for step in recipe.steps]
        calibration = recipe.input.get("calibration")
        if isinstance(calibration, str):
            given["calibration"] = digest(Path(absolute(calibration, recipe.folder)).read_text(encoding="utf-8"))
        name = os.path.basename(recipe.output["path"])
        return digest([given, steps, name, outputs.parameters(recipe.output), RESULT_VERSION, self.engine])

    def targets(self, found: Found) -> tuple[str, ...]:
        """The path of its output; nothing where that has the start of the recording, which takes a look at it."""
        try:
            return (naming.fill(self.pattern, {"path": found.path, "start": pd.NaT}),)
        except RecipeError:
            return ()

    def __call__(self, found: Found) -> Made:
        """Make the output of a recording.

        Raises
        ------
        RecordingError : the recording cannot be used; the reason is that of `ra.open_recordings`
        """
        row, opening = self._row(found)
        path = Path(naming.fill(self.pattern, row))
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}.part")
        temporary.mkdir()
        try:
            with using(self.engine):
                recording = inputs.open_recording_of(row, opening)
                x = apply_steps(recording, self.recipe.steps, self.recipe.folder)
                with outputs.refusals(path, temporary):
                    outputs.write_whole(x, path, self.recipe.output, temporary)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        own = clock(recording)
        notes: dict[str, Any] = {}
        if not pd.isna(row["start"]):
            notes["start"] = pd.Timestamp(row["start"]).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if path.suffix.lower() == ".png":
            notes["picture"] = str(path)
        return Made((str(path),), own.size, float(own.size / own.row_rate), found.partial, notes)

    def prepare(self, client: Any) -> None:
        """Let workers import what lies beside the recipe."""
        if any(step.is_own for step in self.recipe.steps):
            from ..recipe.beside import BesideRecipe

            client.register_plugin(BesideRecipe(self.recipe.folder), name=f"beside {self.recipe.folder}")

    def _row(self, found: Found) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """(the row of a recording in a catalog, keywords of its opening)."""
        given = {**self.recipe.input.plain(), "paths": [found.path], "cache": False}
        if found.partial:
            given["on_bad"] = "use"
        deployment = inputs.find(Keywords(given), self.recipe.folder, together=False)
        if deployment.chosen.empty:
            why = "; ".join(str(reason) for reason in deployment.left_out["reason"]) or "no recording was found in it"
            raise RecordingError(f"{found.path}: {why}")
        return {str(k): v for k, v in deployment.chosen.to_dict("records")[0].items()}, deployment.opening
