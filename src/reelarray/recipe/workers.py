"""Who carries a recipe out: a client that is there, a cluster started for the run, or the threads of this process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dask.base import get_scheduler

from ..errors import RecipeError
from .recipe import Recipe

NOBODY = (None, lambda: None)  # but the scheduler in use


def check_workers(recipe: Recipe, cluster: Any, preset: str | None, settings: Mapping[str, Any] = {}) -> None:
    """Raise what starting a cluster would of its settings, before files are looked for."""
    if isinstance(cluster, str) or preset is not None or settings or (recipe.cluster and cluster is None):
        from ..clusters.settings import settings as complete

        kind, preset, more = _asked_for(recipe, cluster, preset, settings)
        complete(kind, preset, **more)


def _asked_for(
    recipe: Recipe, cluster: str | None, preset: str | None, settings: Mapping[str, Any]
) -> tuple[str | None, str | None, dict[str, Any]]:
    """(kind, preset, settings) of a cluster: those of the recipe, where no other kind is asked for."""
    own = recipe.cluster.plain()
    kind, own_preset = own.pop("kind", None), own.pop("preset", None)
    if cluster is not None and kind is not None and cluster != kind:
        own, own_preset = {}, None
    return cluster or kind, preset or own_preset, own | dict(settings)


@contextmanager
def workers(
    recipe: Recipe, cluster: Any, preset: str | None, client: Any, more: Mapping[str, Any], tell: Callable[[str], None]
) -> Iterator[tuple[Any, Callable[[], None]]]:
    """(client or None, what to call now and then) for a run, on workers that are there or started for it."""
    if client is not None:
        if cluster is not None:
            raise RecipeError("cluster= and client= were given; one of them says where to run")
        _prepare(client, recipe)
        yield client, lambda: None
        return
    if cluster is None and preset is None and not more and not recipe.cluster:
        yield NOBODY
        return
    if cluster is not None and not isinstance(cluster, str):
        with cluster.get_client() as found:
            _prepare(found, recipe)
            yield found, _watch(cluster, tell)
        return
    from ..clusters.start import cluster as start

    kind, preset, settings = _asked_for(recipe, cluster, preset, more)
    with start(kind, preset, **settings) as started, started.get_client() as found:
        asked_for = started.settings
        what = "workers" if asked_for.kind == "local" else "worker jobs"
        number = asked_for.processes if asked_for.kind == "local" else asked_for.jobs
        tell(f"cluster   {asked_for.kind}, {number:,} {what}; dashboard {found.dashboard_link}")
        _prepare(found, recipe)
        yield found, _watch(started, tell)


def _watch(cluster: Any, tell: Callable[[str], None]) -> Callable[[], None]:
    """Tells what became of worker jobs, and raises where there will be no more."""
    watch = getattr(cluster, "watch", None)

    def beat() -> None:
        if watch is not None:
            for line in watch.messages():
                tell(f"cluster   {line}")
            watch.check()

    return beat


def _prepare(client: Any, recipe: Recipe) -> None:
    """Let workers import what lies beside the recipe."""
    if any(step.is_own for step in recipe.steps):
        from .beside import BesideRecipe

        client.register_plugin(BesideRecipe(recipe.folder), name=f"beside {recipe.folder}")


def has_processes(client: Any) -> bool:
    """Whether units run in processes that can be ended: on a given client, or the one in use."""
    if client is not None:
        return True
    distributed = sys.modules.get("distributed")
    get = get_scheduler()
    return distributed is not None and isinstance(getattr(get, "__self__", None), distributed.Client)
