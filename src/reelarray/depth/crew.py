"""Who extracts many recordings: this process, or workers of a cluster, each of which takes whole recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..clusters.settings import Settings, origins, settings
from ..clusters.values import memory
from ..driving import Stop
from ..errors import RecipeError
from ..recipe.workers import Beat

MOST_JOBS = 20  # worker jobs that are asked for where nobody says how many
# Options of a config.yaml that say what a job is, and what `ra.cluster` calls them.
SAME = {"partition": "queue", "ncpus": "cores", "memory": "memory", "wall_time": "walltime", "prefix": "prologue"}


def cluster_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of `ra.cluster` of the options that were given; of others the site's own settings hold.

    `memory` is what a job asks the queue for, as there; its workers get what the interpreter leaves of it.

    >>> cluster_settings({"partition": "short", "ncpus": 2, "memory": "5GB", "prefix": "module load conda;"})
    {'queue': 'short', 'cores': 2, 'processes': 2, 'memory': 4545454545, 'job_memory': 5000000000,
     'prologue': ['module load conda']}
    """
    found: dict[str, Any] = {}
    for name, ours in SAME.items():
        value = given.get(name)
        if value in (None, ""):
            continue
        if name == "memory":
            job = memory(value)
            found |= {"memory": max(min(int(job / 1.1), job - 256 * 2**20), 1), "job_memory": job}
        elif name == "prefix":
            found[ours] = prologue(str(value))
        else:
            found[ours] = value
        if name == "ncpus":  # recordings go well beside each other in processes: one writes while another is read
            found["processes"] = value
    return found


def prologue(prefix: str) -> list[str]:
    """Lines of a shell, without what ends them.

    >>> prologue("module load conda; conda activate moseq2-app;")
    ['module load conda; conda activate moseq2-app']
    """
    return [line for line in (line.strip().rstrip("; ") for line in prefix.splitlines()) if line]


def asked_for(
    cluster: Any, preset: str | None, options: Mapping[str, Any], more: Mapping[str, Any], recordings: int
) -> tuple[str, str | None, dict[str, Any]] | None:
    """(kind, preset, keywords) of the cluster to be started; None where this process, or a given cluster, works.

    Parameters
    ----------
    cluster, preset : as given; a kind that is not given is the `cluster_type` of the options, unless that is local
    options : of a config.yaml, only those that were given
    more : keywords of `ra.cluster`, which win
    recordings : that are to be done; no more worker jobs are asked for

    Raises
    ------
    SettingError : settings that cannot be
    """
    kind = cluster if isinstance(cluster, str) else None
    if cluster is not None and kind is None:
        return None
    if kind is None and options.get("cluster_type") in ("slurm", "pbs"):
        kind = str(options["cluster_type"])
    if kind is None and preset is None and not more:
        return None
    told = cluster_settings(options) if kind not in (None, "local") else {}
    told |= {name: value for name, value in more.items() if value is not None}
    if kind != "local" and origins(kind, preset, **told)["jobs"][1] == "shipped":
        told["jobs"] = max(1, min(MOST_JOBS, recordings))
    chosen = settings(kind, preset, **told)  # before anything is begun
    return chosen.kind, preset, told


@dataclass
class Crew:
    """Who works for a run; called, it gives what `driving.Workers` promises."""

    stop: Stop
    cluster: Any = None
    client: Any = None
    start: tuple[str, str | None, dict[str, Any]] | None = None
    tell: Callable[[str], None] = lambda line: None
    beside: Callable[[str], None] = lambda words: None

    def __post_init__(self) -> None:
        if self.client is not None and self.cluster is not None:
            raise RecipeError("cluster= and client= were given; one of them says where to run")

    @property
    def outside(self) -> bool:
        """Whether recordings go to other processes."""
        return self.start is not None or self.client is not None or self.cluster is not None

    @contextmanager
    def __call__(self) -> Iterator[tuple[Any, Callable[[], None]]]:
        if self.client is not None:
            yield self.client, lambda: None
        elif self.start is not None:
            from ..clusters.start import cluster

            kind, preset, told = self.start
            with cluster(kind, preset, **told) as started, started.get_client() as found:
                self.tell(_described(started.settings, found.dashboard_link))
                yield found, Beat(self, started)  # type: ignore[arg-type]
        elif self.cluster is not None:
            with self.cluster.get_client() as found:
                yield found, Beat(self, self.cluster)  # type: ignore[arg-type]
        else:
            yield None, lambda: None


def _described(chosen: Settings, link: str) -> str:
    local = chosen.kind == "local"
    number = chosen.processes if local else chosen.jobs
    what = f"{'worker' if local else 'worker job'}{'s' * (number != 1)}"
    return f"cluster   {chosen.kind}, {number:,} {what}; dashboard {link}"
