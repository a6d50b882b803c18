"""What `reel cluster` does."""

from __future__ import annotations

import argparse
from typing import Any

from ..cli.codes import OK
from ..clusters.settings import origins, settings
from ..clusters.systems import worker_script
from ..clusters.template import write_template
from ..clusters.values import assignments, walltime_text


def init(arguments: argparse.Namespace) -> int:
    """`reel cluster init`: a file of settings to begin with."""
    path = write_template(arguments.kind, arguments.path, force=arguments.force)
    print(f"written   {path}")
    if arguments.path is not None:
        print(f"          Dask reads it from its folder of configuration, or with DASK_CONFIG={path}")
    return OK


def show(arguments: argparse.Namespace) -> int:
    """`reel cluster show`: settings, where they come from, and the job script that they make."""
    options = {"jobs": arguments.jobs, **assignments(arguments.set)}
    chosen = settings(arguments.kind, arguments.preset, **options)
    found = origins(arguments.kind, arguments.preset, **options)
    print(f"{'kind':<20}{chosen.kind}")
    for name, (value, origin) in found.items():
        if value is not None and value != ():
            print(f"{name:<20}{_shown(name, value):<44}{origin}")
    if chosen.kind != "local":
        print(f"\nworkers retire after {walltime_text(chosen.lifetime)} +- {chosen.stagger} s; the job script:\n")
        print(worker_script(chosen))
    return OK


def _shown(name: str, value: Any) -> str:
    if name == "walltime":
        return walltime_text(value)
    if name in ("memory", "job_memory"):
        return f"{value / 2**30:.4g}GiB"
    if name == "umask":
        return f"{value:04o}"
    if name in ("death_timeout", "watch_interval", "patience"):
        return f"{value:g} s"
    return "; ".join(value) if isinstance(value, tuple) else str(value)
