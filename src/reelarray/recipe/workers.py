"""Who carries a recipe out: a client that is there, a cluster started for the run, or the threads of this process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dask.base import get_scheduler

from ..driving import Stop
from ..errors import RecipeError
from .recipe import Recipe

LIFETIME_PART = 10  # units that take a larger part of the lifetime of workers are often begun in vain


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


class Crew:
    """Who works for a run: threads, a client that is there, or a cluster that is started once there is work.

    Called, it gives what `driving.Workers` promises. `tell` gets lines about what becomes of worker jobs, `beside` a
    few words of how many there are, now and then.
    """

    def __init__(
        self,
        recipe: Recipe,
        stop: Stop,
        *,
        cluster: Any = None,
        preset: str | None = None,
        client: Any = None,
        settings: Mapping[str, Any] = {},
        tell: Callable[[str], None] = lambda line: None,
        beside: Callable[[str], None] = lambda words: None,
    ) -> None:
        if client is not None and cluster is not None:
            raise RecipeError("cluster= and client= were given; one of them says where to run")
        self.recipe, self.stop, self.cluster, self.client = recipe, stop, cluster, client
        self.preset, self.settings, self.tell, self.beside = preset, settings, tell, beside

    @property
    def starts(self) -> bool:
        """Whether a cluster is started for the run."""
        if self.client is not None or (self.cluster is not None and not isinstance(self.cluster, str)):
            return False
        return bool(self.cluster is not None or self.preset is not None or self.settings or self.recipe.cluster)

    @property
    def has_processes(self) -> bool:
        """Whether units run in processes that can be ended."""
        if self.client is not None or self.cluster is not None or self.starts:
            return True
        distributed = sys.modules.get("distributed")
        get = get_scheduler()
        return distributed is not None and isinstance(getattr(get, "__self__", None), distributed.Client)

    @contextmanager
    def __call__(self) -> Iterator[tuple[Any, Callable[[], None]]]:
        if self.client is not None:
            _prepare(self.client, self.recipe)
            yield self.client, lambda: None
        elif self.starts:
            from ..clusters.start import cluster as start

            kind, preset, settings = _asked_for(self.recipe, self.cluster, self.preset, self.settings)
            with start(kind, preset, **settings) as started, started.get_client() as found:
                asked_for = started.settings
                what = "worker" if asked_for.kind == "local" else "worker job"
                number = asked_for.processes if asked_for.kind == "local" else asked_for.jobs
                what += "s" * (number != 1)
                self.tell(f"cluster   {asked_for.kind}, {number:,} {what}; dashboard {found.dashboard_link}")
                _prepare(found, self.recipe)
                yield found, Beat(self, started)
        elif self.cluster is not None:
            with self.cluster.get_client() as found:
                _prepare(found, self.recipe)
                yield found, Beat(self, self.cluster)
        else:
            yield None, lambda: None


class Beat:
    """Tells what became of worker jobs, and raises where there will be no more."""

    def __init__(self, crew: Crew, cluster: Any) -> None:
        self.crew, self.watch = crew, getattr(cluster, "watch", None)
        self.lifetime = getattr(getattr(cluster, "settings", None), "lifetime", None)
        self.warned = False

    def __call__(self) -> None:
        if self.watch is None:
            return
        for line in self.watch.messages():
            self.crew.tell(f"cluster   {line}")
        self.watch.check()
        self.crew.beside(", ".join(f"{n} {what.lower()}" for what, n in self.watch.counts().items() if n))
        seconds = self.crew.stop.unit_seconds
        if self.lifetime and not self.warned and seconds > self.lifetime / LIFETIME_PART:
            self.warned = True
            self.crew.tell(
                f"cluster   a unit takes {seconds:,.0f} s, a worker lives {self.lifetime:,.0f} s: many are begun in "
                "vain; make units smaller, or the walltime longer"
            )


def _prepare(client: Any, recipe: Recipe) -> None:
    """Let workers import what lies beside the recipe."""
    if any(step.is_own for step in recipe.steps):
        from .beside import BesideRecipe

        client.register_plugin(BesideRecipe(recipe.folder), name=f"beside {recipe.folder}")
