"""Running recipes: open, plan, find workers, make what is missing, report."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from ..driving import Policy, Stop
from ..errors import RecipeError
from ..opening import open_recordings
from ..sinks.access import umask
from ..sinks.journal import StoppedWaiting
from . import describe, inputs
from .each import EachPlan, made_before
from .recipe import Recipe, load_recipe
from .report import Report, recording_table
from .terms import Terms
from .whole import WholePlan
from .workers import Crew, check_workers

log = logging.getLogger(__name__)

Plan = EachPlan | WholePlan
Given = Recipe | str | os.PathLike[str] | Mapping[str, Any]


def run_recipe(
    recipe: Given,
    *,
    cluster: Any = None,
    preset: str | None = None,
    client: Any = None,
    retry_failed: bool = False,
    verify: bool = False,
    overwrite: bool = False,
    wait: float = 0.0,
    dry_run: bool = False,
    progress: Callable[[int, int, int], None] | None = None,
    stop: Stop | None = None,
) -> Report:
    """Carry a recipe out: make what is missing of its output, and say what became of each recording.

    It may be ended in any way and called again: what is in place stays, and the end is the same to the bit. A unit that
    fails is noted and the run goes on; it is not tried again as long as it is of the same input and parameters.

    Parameters
    ----------
    recipe : a `Recipe`, the path of one, or a dict of its tables
    cluster : "local", "slurm", "pbs", ... to start one for this run; or a cluster that is there (`ra.cluster`). Unless
        given the `[cluster]` of the recipe, else the scheduler in use: threads, or the active `distributed.Client`
    preset : of the cluster
    client : a `distributed.Client` to run on, instead
    retry_failed : try again what failed before
    verify : read what is in place, and make again what is not as it was written
    overwrite : replace an output of other parameters
    wait : seconds to wait for another process that writes the output
    dry_run : open and look only; `report.plan` has the lines
    progress : called with (units in place, units in all, units that failed)
    stop : to end the run from elsewhere: `stop.ask("why")`; also knows the deadline of a job

    Raises
    ------
    RecipeError, RecordingError, ... : the recipe, or its input, cannot be used; nothing was written
    OutputExists : the output is there, of other parameters or not of a recipe
    OutputHeld : another process writes it
    Unwritable : it cannot be written; no unit is blamed
    ClusterError : no workers

    >>> import tempfile, wave
    >>> folder = tempfile.mkdtemp()
    >>> for second in (0, 1):
    ...     with wave.open(f"{folder}/20220301_12000{second}.wav", "wb") as file:
    ...         file.setparams((1, 2, 8000, 0, "NONE", "")); file.writeframes(bytes(16000))
    >>> recipe = {
    ...     "input": {"paths": folder, "cache": False},
    ...     "step": [{"use": "power_spectrum", "every": "1s"}],
    ...     "output": {"path": folder + "/spectra/{stem}.npz"},
    ... }
    >>> run_recipe(recipe).done, run_recipe(recipe).skipped
    (2, 2)
    """
    made = recipe_of(recipe)
    check_workers(made, cluster, preset)
    planned = plan_of(made)
    if dry_run:
        return look(planned, overwrite=overwrite)
    return carry_out(
        planned,
        cluster=cluster,
        preset=preset,
        client=client,
        retry_failed=retry_failed,
        verify=verify,
        overwrite=overwrite,
        wait=wait,
        progress=progress,
        stop=stop,
    )


def recipe_of(given: Given) -> Recipe:
    """A recipe, whichever way it is given."""
    if isinstance(given, Recipe):
        return given
    return Recipe.from_dict(given) if isinstance(given, Mapping) else load_recipe(given)


def plan_of(recipe: Recipe) -> Plan:
    """Find the files and see what is to be done with them; headers are read, nothing is written."""
    with _told_by_the_report():
        made = made_before(recipe) if recipe.each else ()
        deployment = inputs.find(recipe.input, recipe.folder, together=not recipe.each, made=made)
        return EachPlan.of(recipe, deployment) if recipe.each else WholePlan.of(recipe, deployment)


def look(plan: Plan, *, overwrite: bool = False) -> Report:
    """What is there and what is to be done, without touching anything; raises `OutputExists` where a run would."""
    if not overwrite:
        plan.check()
    if isinstance(plan, EachPlan):
        in_place, failed = plan.look()
        counts = {
            "skipped": len(in_place),
            "failed": len(failed),
            "left": len(plan.units) - len(in_place) - len(failed),
        }
        path, left_out = plan.path, plan.left_out
    else:
        state = plan.look()
        counts = {"left": 1} if state is None else _counts(state)
        path, left_out = plan.path, plan.deployment.left_out
    rows = [{"path": str(r.path), "state": "left out", "error": r.reason} for r in left_out.itertuples(index=False)]
    told = (*describe.input_lines(plan), *describe.step_lines(plan), *describe.output_lines(path, counts))
    return Report(path, "planned", recordings=recording_table(rows), plan=told, **counts)  # type: ignore[arg-type]


def _counts(state: Any) -> dict[str, int]:
    return {"skipped": state.skipped, "failed": len(state.failed_before), "left": state.left}


def carry_out(
    plan: Plan,
    *,
    cluster: Any = None,
    preset: str | None = None,
    client: Any = None,
    settings: Mapping[str, Any] | None = None,
    retry_failed: bool = False,
    verify: bool = False,
    overwrite: bool = False,
    wait: float = 0.0,
    progress: Callable[[int, int, int], None] | None = None,
    stop: Stop | None = None,
    tell: Callable[[str], None] = log.info,
) -> Report:
    """Make what is missing, on workers that are there or started for this run.

    Arguments are those of `run_recipe`; `settings` are of the cluster to be started, and `tell` gets lines about it.
    """
    policy = Policy(**plan.recipe.run.plain())
    stop = Stop() if stop is None else stop
    beside = getattr(progress, "say_beside", lambda words: None)
    told: dict[str, Any] = {"settings": settings or {}, "tell": tell, "beside": beside}
    crew = Crew(plan.recipe, stop, cluster=cluster, preset=preset, client=client, **told)
    if policy.time_limit is not None and not crew.has_processes:
        raise RecipeError(
            f"[run] time_limit={policy.time_limit}: units run in threads of this process, which nothing can end; "
            "run on workers: --cluster local, or cluster='local'"
        )
    with umask(plan.recipe.output.get("umask")), suppress(StoppedWaiting):
        return plan.run(Terms(policy, stop, crew, retry_failed, verify, overwrite, wait, progress))
    counts = look(plan, overwrite=True)
    return replace(counts, ending="stopped", why=f"{stop.asked}, while another process wrote the output", plan=())


@contextmanager
def _told_by_the_report() -> Iterator[None]:
    """What opening logs of files left out is not shown: the report lists them."""
    logger = logging.getLogger(open_recordings.__module__)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
