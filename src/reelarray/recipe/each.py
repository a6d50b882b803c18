"""One output a recording: each is made whole by one task, and a journal tells which are there."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..driving import drive
from ..errors import ClusterError, GaveUp, RecipeError, RecordingError
from ..recordings import nanoseconds
from ..signal.engines import choose
from ..sinks.files import refusals
from ..sinks.journal import FOLDER, Journal, OutputExists, Record, Wait, failures, read_header, read_records
from ..sinks.provenance import RESULT_VERSION
from . import naming, outputs
from .inputs import Deployment
from .noting import Notes
from .paths import absolute
from .recipe import Recipe
from .report import ASKED, Report
from .terms import Terms
from .units import Recordings, Unit, Work, digest, facts


@dataclass(frozen=True)
class EachPlan:
    """What a recipe with a placeholder in its output will do."""

    recipe: Recipe
    deployment: Deployment
    left_out: pd.DataFrame
    root: str
    units: Mapping[str, Unit]
    parameters: Mapping[str, Any]

    @classmethod
    def of(cls, recipe: Recipe, deployment: Deployment) -> EachPlan:
        """Names and fingerprints of all outputs.

        Raises
        ------
        RecipeError : two recordings would get one name, or one has no start that its name needs
        """
        chosen, left_out = _within(deployment)
        pattern = _pattern(recipe)
        rows = [{str(k): v for k, v in row.items()} for row in chosen.to_dict("records")]
        root = naming.root(pattern)
        paths = naming.fill_all(pattern, rows)
        parameters = _parameters(recipe, deployment)
        _check_apart(paths, rows)
        base = digest([parameters, RESULT_VERSION, choose(None)])
        units = {}
        for path, row in zip(paths, rows, strict=True):
            name = os.path.relpath(path, root)
            units[name] = Unit(name, row, digest([base, *map(str, facts(row))]))
        return cls(recipe, deployment, left_out, root, units, parameters)

    @property
    def path(self) -> str:
        """The path of the outputs, placeholders and all."""
        return _pattern(self.recipe)

    @property
    def folder(self) -> Path:
        """Where the journal is."""
        return journal_folder(self.recipe)

    def check(self) -> None:
        """Raise `OutputExists` where `run` would without `overwrite`."""
        records = read_records(self.folder) if self.folder.is_dir() else []
        self._check_parameters(read_header(self.folder), records)
        in_place, _ = self._state(records)
        self._check_free([u for u in self.units if u not in in_place], records, False)

    def _check_parameters(self, header: Mapping[str, Any], records: Sequence[Record]) -> None:
        made = any("done" in record for record in records)
        if made and header.get("parameters") != self.parameters:
            raise OutputExists(_differ(self.root, header.get("parameters", {}), self.parameters))

    def look(self) -> tuple[set[str], dict[str, dict[str, Any]]]:
        """(units that are in place, failures of units by name), as a journal that is there tells."""
        return self._state(read_records(self.folder)) if self.folder.is_dir() else (set(), {})

    def _state(self, records: Sequence[Record]) -> tuple[set[str], dict[str, dict[str, Any]]]:
        """(units in place: made of what they should be, and still there; failures of others with what they are of)."""
        last: dict[str, Any] = {}
        for record in records:
            if "done" in record:
                last[record["done"]] = record.get("of")
            elif "planned" in record:  # from then on it may be another's
                last.pop(record["planned"], None)
        there = _files(self.root, {os.path.dirname(name) for name in last})
        in_place = {n for n, unit in self.units.items() if last.get(n) == unit.fingerprint and n in there}
        wrong, failed = failures(records), {}
        for name, unit in self.units.items():
            if name not in in_place and (name, unit.fingerprint) in wrong:
                failed[name] = wrong[name, unit.fingerprint]
        return in_place, failed

    def _sound(self, records: Sequence[Record]) -> set[str]:
        """Units whose outputs hold what was written, going by the last line of each."""
        found = set()
        for record in {record["done"]: record for record in records if record.get("done") in self.units}.values():
            with suppress(OSError):
                if outputs.content(Path(self.root, record["done"])) == (record["bytes"], record.get("crc")):
                    found.add(record["done"])
        return found

    def run(self, terms: Terms) -> Report:
        """Make what is missing."""
        stop = terms.stop
        with refusals(Path(self.root)):
            self.folder.mkdir(parents=True, exist_ok=True)
            wait = Wait(terms.wait, lambda: stop.look(math.nan))
            journal = Journal.hold(self.folder, Path(self.root), wait=wait)
        try:
            header = read_header(self.folder)
            if not terms.overwrite:
                self._check_parameters(header, journal.records)
            in_place, failed = self._state(journal.records)
            if terms.verify:
                in_place &= self._sound(journal.records)
            if terms.overwrite and any(step.is_own for step in self.recipe.steps):  # whose code may have changed
                in_place, failed = set(), {}
            todo = [u for u in self.units if u not in in_place and (terms.retry_failed or u not in failed)]
            self._check_free(todo, journal.records, terms.overwrite)
            if header.get("parameters") != self.parameters:
                with refusals(Path(self.root)):
                    journal.begin({"parameters": self.parameters})
            again = set(todo)
            kept = {unit: failure for unit, failure in failed.items() if unit not in again}
            run = Notes(self.units, journal, in_place, kept, terms.progress)
            why, ending = "", ""
            try:
                run.plan(todo)
                whole = self._make(todo, run, journal, terms)
                ending, why = ("", "") if whole else ("stopped", stop.asked or "")
            except (GaveUp, ClusterError) as error:
                ending, why = "gave up", str(error)
            finally:
                with refusals(self.folder):
                    journal.sync()
            return run.report(self.path, ending, why, self.left_out)
        finally:
            journal.close()

    def _make(self, todo: Sequence[str], run: Notes, journal: Journal, terms: Terms) -> bool:
        """Make what is to be made; False when stopped before the end."""
        with journal.scratch() as temporary:
            if not todo:
                return True
            deployment, recipe = self.deployment, self.recipe
            work = Work(deployment.opening, recipe.steps, recipe.folder, recipe.output, temporary, choose(None))
            units = Recordings(self.units, work, self.root)
            with terms.workers() as (client, watch):

                def look() -> None:
                    journal.lease.check()
                    watch()

                how: dict[str, Any] = {"policy": terms.policy, "stop": terms.stop, "client": client, "beat": look}
                return drive(units, todo, done=run.done, failed=run.failed, **how)

    def _check_free(self, todo: Sequence[str], records: Sequence[Record], overwrite: bool) -> None:
        """Raise `OutputExists` for a file that is in the way of an output and that no run of this recipe made."""
        ours = {record[key] for record in records for key in ("planned", "done", "failed") if key in record}
        foreign = [unit for unit in todo if unit not in ours and os.path.lexists(os.path.join(self.root, unit))]
        if foreign and not overwrite:
            raise OutputExists(
                f"{len(foreign)} outputs are there and are not of this recipe, the first is "
                f"{os.path.join(self.root, foreign[0])}; pass overwrite=True to replace them, or choose another path"
            )


def _check_apart(paths: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Raise `RecipeError` where an output would take the place of a recording."""
    inputs = {os.path.realpath(str(row["path"])) for row in rows}
    if taken := [path for path in paths if os.path.realpath(path) in inputs]:
        raise RecipeError(
            f"{len(taken)} outputs would replace recordings, the first {taken[0]}: choose another folder or name in "
            "[output] path"
        )


def _pattern(recipe: Recipe) -> str:
    return absolute(recipe.output["path"], recipe.folder)


def journal_folder(recipe: Recipe) -> Path:
    """Where the journal of outputs of this name is: those of several names may lie in one folder."""
    pattern = _pattern(recipe)
    root = naming.root(pattern)
    name = os.path.relpath(pattern, root).replace("{", "").replace("}", "")
    return Path(root, FOLDER, re.sub(r"[^\w.-]+", "_", name).strip("_"))


def made_before(recipe: Recipe) -> set[str]:
    """Paths that earlier runs made, or began to make: outputs are no input, though they may lie among it."""
    folder = journal_folder(recipe)
    if not folder.is_dir():
        return set()
    root = naming.root(_pattern(recipe))
    return {os.path.abspath(os.path.join(root, r["planned"])) for r in read_records(folder) if "planned" in r}


def _within(deployment: Deployment) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(files with samples in [begin, end), all others with their reasons)."""
    chosen, left_out = deployment.chosen, deployment.left_out
    dated = chosen["start"].notna()
    outside = pd.Series(False, chosen.index)
    for name, column, before in (("begin", "stop", True), ("end", "start", False)):
        bound = deployment.opening.get(name)
        if bound is not None and dated.any():
            edge = pd.Timestamp(nanoseconds(bound))
            outside |= dated & ((chosen[column] <= edge) if before else (chosen[column] >= edge))
    if not outside.any():
        return chosen, left_out
    if outside.all():
        raise RecordingError(
            f"no recording lies in [{deployment.opening.get('begin')}, {deployment.opening.get('end')}): they run from "
            f"{chosen['start'].min()} to {chosen['stop'].max()}"
        )
    others = chosen[outside].assign(reason=f"outside of the time that {ASKED}")
    return chosen[~outside], others if left_out.empty else pd.concat([left_out, others])


def _parameters(recipe: Recipe, deployment: Deployment) -> dict[str, Any]:
    """What outputs depend on besides the recordings, as JSON values by readable names."""
    found: dict[str, Any] = {"path": os.path.basename(recipe.output["path"])}
    found |= {f"input {k}": v for k, v in deployment.opening.items() if k not in ("chunks", "on_bad", "overlap")}
    for number, step in enumerate(recipe.steps, 1):
        found |= {f"step {number} {k}": v for k, v in step.parameters().items()}
    found |= {f"output {k}": v for k, v in outputs.parameters(recipe.output).items()}
    return dict(json.loads(json.dumps(found, sort_keys=True)))  # as it comes back from the journal


def _files(root: str, folders: Iterable[str]) -> set[str]:
    """Names below a root of what is in some folders: one look a folder, not one a file."""
    found: set[str] = set()
    for folder in folders:
        with suppress(OSError):
            found |= {os.path.join(folder, name) for name in os.listdir(os.path.join(root, folder))}
    return found


def _differ(root: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    keys = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    found = "; ".join(f"{key}: {before.get(key)!r} there, {now.get(key)!r} now" for key in keys)
    return (
        f"{root} holds outputs of another recipe ({found}); pass overwrite=True to replace them, or choose another path"
    )
