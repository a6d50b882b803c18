"""Subcommands on clusters: settings to begin with, and what follows from them."""

from __future__ import annotations

import argparse
from typing import Any


def add(commands: argparse._SubParsersAction, **options: Any) -> None:
    """Add them; `options` are those of every subcommand."""
    text = "begin a file of settings for clusters, or show what follows from it"
    p = commands.add_parser("cluster", help=text, description=text, **options)
    verbs = p.add_subparsers(dest="verb", required=True, metavar="VERB")
    _init(verbs, **options)
    _show(verbs, **options)


def _init(verbs: argparse._SubParsersAction, **options: Any) -> None:
    text = "write a commented file of settings into Dask's folder of configuration"
    p = verbs.add_parser("init", help=text, description=text, **options)
    p.set_defaults(run="reelarray.commands.clusters:init")
    p.add_argument("path", nargs="?", metavar="PATH", help="file to write (default: reelarray.yaml in Dask's folder)")
    p.add_argument("--kind", help="slurm, pbs, sge, lsf, moab, oar, htcondor, local (default: what is found here)")
    p.add_argument("--force", action="store_true", help="replace a file of this name")


def _show(verbs: argparse._SubParsersAction, **options: Any) -> None:
    text = "print the job script of a worker job, and where each setting comes from; nothing is submitted"
    p = verbs.add_parser("show", help=text, description=text, **options)
    p.set_defaults(run="reelarray.commands.clusters:show")
    p.add_argument("kind", nargs="?", metavar="KIND", help="slurm, pbs, ... (default: that of the configuration)")
    p.add_argument("--preset", help="low, medium, high, driver, or one of the site's own")
    p.add_argument("--jobs", type=int, metavar="N", help="number of worker jobs")
    p.add_argument(
        "--set", action="append", metavar="NAME=VALUE", default=[], help="another setting of the cluster; repeatable"
    )
