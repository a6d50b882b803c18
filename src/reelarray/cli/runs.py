"""Subcommands on recipes: run, recipe."""

from __future__ import annotations

import argparse
import math
from typing import Any


def add(commands: argparse._SubParsersAction, **options: Any) -> None:
    """Add them; `options` are those of every subcommand."""
    _run(commands, **options)
    _recipe(commands, **options)


def _run(commands: argparse._SubParsersAction, **options: Any) -> None:
    text = "carry a recipe out; run again to go on after a stop, whatever stopped it"
    p = commands.add_parser("run", help=text, description=text, **options)
    p.set_defaults(run="reelarray.commands.runs:run")
    p.add_argument("recipe", metavar="RECIPE", help="TOML file; `reel recipe init` writes one")
    p.add_argument("--dry-run", action="store_true", help="open and look only: what is there, what is to be done")
    p.add_argument("--retry-failed", action="store_true", help="try again what failed before")
    p.add_argument("--verify", action="store_true", help="read what is in place; make again what is not as written")
    p.add_argument("--overwrite", action="store_true", help="replace an output of other parameters")
    p.add_argument(
        "--wait",
        nargs="?",
        type=float,
        default=0.0,
        const=math.inf,
        metavar="S",
        help="wait for another process that writes the output, at most S seconds (for ever)",
    )
    p.add_argument("--jsonreport", metavar="FILE", help="write the report as JSON")
    group = p.add_argument_group("workers (default: the [cluster] of the recipe, else threads of this process)")
    group.add_argument("--cluster", metavar="KIND", help="local, slurm, pbs, ...: start a cluster for this run")
    group.add_argument("--preset", help="of the cluster: low, medium, high, or one of the site's own")
    group.add_argument("--jobs", type=int, metavar="N", help="number of worker jobs")
    group.add_argument(
        "--set", action="append", metavar="NAME=VALUE", default=[], help="another setting of the cluster; repeatable"
    )


def _recipe(commands: argparse._SubParsersAction, **options: Any) -> None:
    text = "begin or check a recipe"
    p = commands.add_parser("recipe", help=text, description=text, **options)
    verbs = p.add_subparsers(dest="verb", required=True, metavar="VERB")
    text = "write a commented recipe to begin with"
    init = verbs.add_parser("init", help=text, description=text, **options)
    init.set_defaults(run="reelarray.commands.recipes:init")
    init.add_argument("path", nargs="?", default="recipe.toml", metavar="PATH", help="default recipe.toml")
    init.add_argument("--each", action="store_true", help="one output a recording, instead of one store")
    init.add_argument("--force", action="store_true", help="replace a file of this name")
    text = "check a recipe without looking at recordings"
    check = verbs.add_parser("check", help=text, description=text, **options)
    check.set_defaults(run="reelarray.commands.recipes:check")
    check.add_argument("path", metavar="PATH")
