"""All recordings as one array: into one store, block by block, or into one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..driving import Failure
from ..errors import ClusterError, FormatError, GaveUp, Unwritable
from ..plot import save_spectrogram
from ..recordings import clock
from ..sinks.access import give_access
from ..sinks.running import Output, Written
from ..sinks.zarr import open_zarr, output_of
from ..timeindex import ClockIndex
from . import naming, outputs
from .inputs import Deployment
from .paths import absolute
from .recipe import Recipe
from .report import Report, drivers_of, recording_table, unit_table
from .terms import Terms


@dataclass(frozen=True)
class WholePlan:
    """What a recipe without a placeholder in its output will do."""

    recipe: Recipe
    deployment: Deployment
    x: xr.DataArray
    result: xr.DataArray
    store: Output | None

    @classmethod
    def of(cls, recipe: Recipe, deployment: Deployment) -> WholePlan:
        """The lazy result, and where it goes, checked."""
        x = deployment.open()
        result = recipe.apply(x)
        path = absolute(naming.literal(recipe.output["path"]), recipe.folder)
        if outputs.suffix(path) == ".png":
            outputs.check_picture(result, path, recipe.output.get("channel"))
            return cls(recipe, deployment, x, result, None)
        if recipe.picture:
            outputs.check_picture(result, picture_path(recipe), recipe.picture.get("channel"))
        return cls(recipe, deployment, x, result, output_of(result, path, **outputs.options(recipe.output)))

    @property
    def path(self) -> str:
        """The path of the output."""
        return absolute(naming.literal(self.recipe.output["path"]), self.recipe.folder)

    def check(self) -> None:
        """Raise `OutputExists` where `run` would without `overwrite`."""
        if self.store is not None:
            self.store.check()

    def look(self) -> Written | None:
        """What is in place."""
        return None if self.store is None else self.store.look()

    def run(self, terms: Terms) -> Report:
        """Make what is missing, then the picture."""
        if self.store is None:
            with terms.workers():
                failure = self._draw(self.result, self.path, outputs.options(self.recipe.output))
            return self._report(_of_picture(Path(self.path), failure), "failures" if failure else "complete", "")

        def told(state: Written) -> None:
            if terms.progress is not None:
                failed = len(state.failures) + len(state.failed_before)
                terms.progress(state.skipped + state.done, state.total, failed)

        gave_up = ""
        try:
            written = self.store.write(
                terms.policy,
                overwrite=terms.overwrite,
                anew=terms.overwrite and any(step.is_own for step in self.recipe.steps),  # whose code may have changed
                retry_failed=terms.retry_failed,
                verify=terms.verify,
                wait=terms.wait,
                stop=terms.stop,
                workers=terms.workers,
                beat=told,
            )
        except (GaveUp, ClusterError) as error:
            gave_up, written = str(error), self.store.look()
        self._give_access(self.path)
        if gave_up or written.left:
            return self._report(written, "gave up" if gave_up else "stopped", gave_up or terms.stop.asked or "")
        failure = None
        if self.recipe.picture and not _failures(written):  # what failed would look like a gap
            settings = {name: value for name, value in self.recipe.picture.plain().items() if name != "path"}
            failure = self._draw(open_zarr(self.path), picture_path(self.recipe), settings)
        return self._report(written, "failures" if _failures(written) or failure else "complete", "", failure)

    def _draw(self, spectra: xr.DataArray, path: str, settings: Mapping[str, Any]) -> Failure | None:
        """Draw; what an input has to say against it is a failure, what the folder of the picture has, an error."""
        try:
            with outputs.refusals(Path(path)):
                save_spectrogram(spectra, path, **settings)
                self._give_access(path)
        except Unwritable:
            raise
        except (FormatError, OSError) as error:
            return Failure.of(Path(path).name, error)
        return None

    def _give_access(self, path: str) -> None:
        give_access(path, group=self.recipe.output.get("group"), mode=self.recipe.output.get("mode"))

    def _report(self, written: Written, ending: str, why: str, failure: Failure | None = None) -> Report:
        records = _failures(written)
        units = [
            {
                "unit": _unit(record),
                "state": "failed",
                "error": record["type"],
                "message": record["message"],
                "seconds": record.get("seconds") or float("nan"),
                "attempts": record["attempts"],
            }
            for record in records
        ]
        if failure is not None:
            units.append(
                {
                    "unit": failure.unit,
                    "state": "failed",
                    "error": failure.type,
                    "message": failure.message,
                    "seconds": float("nan"),
                    "attempts": failure.attempts,
                }
            )
        return Report(
            output=self.path,
            ending=ending,  # type: ignore[arg-type]
            done=written.done,
            skipped=written.skipped,
            failed=len(records) + (failure is not None),
            left=written.left,
            recordings=self.recordings(records, written),
            units=unit_table(units),
            drivers=drivers_of(written.drivers),
            why=why,
        )

    def recordings(self, failures: Sequence[Mapping[str, Any]], written: Written) -> pd.DataFrame:
        """What became of each file: one that an error names, else those whose time a failed block has, failed."""
        chosen = self.deployment.chosen
        paths = [str(path) for path in chosen["path"]]
        state = "left" if written.left else "done" if written.done or not written.skipped else "skipped"
        wrong: dict[str, str] = {}
        for record in failures:
            told = f"{record['type']}: {record['message']}"
            named = str(record.get("path"))
            for path in [named] if named in set(paths) else self._within(record.get("rows")):
                wrong.setdefault(path, told)
        rows = [{"path": p, "state": "failed" if p in wrong else state, "error": wrong.get(p, "")} for p in paths]
        for row in self.deployment.left_out.itertuples(index=False):
            rows.append({"path": str(row.path), "state": "left out", "error": row.reason})
        return recording_table(rows)

    def _within(self, rows: Sequence[int] | None) -> list[str]:
        """Files that overlap the time of some rows of the result."""
        chosen = self.deployment.chosen
        if rows is None or not isinstance(self.result.xindexes.get("time"), ClockIndex) or chosen["start"].isna().any():
            return []
        begin, end = clock(self.result).labels(np.array([rows[0], rows[1] - 1], np.int64)).tolist()
        found = (chosen["stop"] >= pd.Timestamp(begin)) & (chosen["start"] <= pd.Timestamp(end))
        return [str(path) for path in chosen["path"][found]]


def picture_path(recipe: Recipe) -> str:
    """Where the picture goes."""
    return absolute(naming.literal(recipe.picture["path"]), recipe.folder)


def _failures(written: Written) -> tuple[Any, ...]:
    return (*written.failures, *written.failed_before)


def _unit(record: Mapping[str, Any]) -> str:
    rows = record.get("rows")
    return f"rows {rows[0]} to {rows[1] - 1}" if rows else str(record["failed"])


def _of_picture(path: Path, failure: Failure | None) -> Written:
    if failure is None:
        return Written(path, 1, 0, 1, 0)
    record = {"failed": failure.unit, "type": failure.type, "message": failure.message, "attempts": 1}
    return Written(path, 1, 0, 0, 0, failures=(record | {"path": failure.path},))
