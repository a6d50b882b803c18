"""`reel submit`, `status`, `logs`, `cancel`: runs in a batch queue."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

COMMANDS = "reelarray.commands.jobs"
# Options of `reel submit` that are settings of a cluster, by the name of the setting.
SETTINGS = {
    "queue": ("--queue", "Q", "queue or partition"),
    "account": ("--account", "A", "account that is charged"),
    "walltime": ("--walltime", "HH:MM:SS", "of the job, also D-HH:MM:SS"),
    "cores": ("--cores", "N", "CPUs of the job"),
    "memory": ("--memory", "SIZE", "of the job, such as 16GiB"),
    "environment": ("--env-name", "NAME", "environment that {env} in the lines of --env-script names"),
    "interface": ("--interface", "NAME", "network interface of workers and scheduler, such as ib0"),
    "log_directory": ("--log-directory", "FOLDER", "for logs of worker jobs (default: in the folder of the run)"),
    "run_directory": ("--run-directory", "FOLDER", "in which the folder of the run is made"),
    "umask": ("--umask", "OCTAL", "permissions that new files do not get, such as 002"),
}
LINES = {
    "prologue": ("--env-script", "LINE", "shell line before the command, such as 'source env.sh {env}'; repeatable"),
    "extra_directives": ("--directive", "TEXT", "for the queue, such as --directive=--qos=long; repeatable"),
}


def add(commands: argparse._SubParsersAction, **options: Any) -> None:
    """Add these subcommands."""
    _submit(commands, **options)
    _status(commands, **options)
    _logs(commands, **options)
    _cancel(commands, **options)


def _submit(commands: argparse._SubParsersAction, **options: Any) -> None:
    text = "run a recipe, or any command, in a batch queue; returns at once, and goes on without this terminal"
    p = commands.add_parser(
        "submit", help=text, description=text, usage="%(prog)s [options] (RECIPE | -- COMMAND [ARG ...])", **options
    )
    p.add_argument("recipe", nargs="?", metavar="RECIPE", help="TOML file that says what to run")
    p.add_argument("--cluster", metavar="KIND", help="slurm, pbs, or local (default: the recipe's, or as configured)")
    p.add_argument("--preset", metavar="NAME", help="of the worker jobs of a recipe; of the job of a command")
    p.add_argument("--name", help="of the run and its jobs")
    p.add_argument("--jobs", "--nodes", type=int, metavar="N", help="worker jobs of a recipe; nodes of a command")
    p.add_argument("--after", action="append", default=[], metavar="RUN", help="run that has to end well before")
    p.add_argument("--chain", type=int, default=1, metavar="N", help="jobs, each of which goes on where one was ended")
    p.add_argument("--dry-run", action="store_true", help="print the job file, and submit nothing")
    group = p.add_argument_group("the job (with a recipe: that of its driver, a small one)")
    for name, (option, metavar, what) in SETTINGS.items():
        group.add_argument(option, dest=name, metavar=metavar, help=what)
    for name, (option, metavar, what) in LINES.items():
        group.add_argument(option, dest=name, metavar=metavar, help=what, action="append")
    group.add_argument(
        "--set", action="append", metavar="NAME=VALUE", default=[], help="another setting of the cluster; repeatable"
    )
    p.set_defaults(run=f"{COMMANDS}:submit_run")
    whole = p.parse_known_args

    def split(args: Sequence[str], namespace: argparse.Namespace | None = None):  # type: ignore[no-untyped-def]
        """What follows `--` is the command, which argparse would take for a recipe."""
        words = list(args)
        at = words.index("--") if "--" in words else len(words)
        found, rest = whole(words[:at], namespace)
        found.words = words[at + 1 :]
        if bool(found.words) == (found.recipe is not None):
            p.error("one of RECIPE and -- COMMAND was expected")
        return found, rest

    p.parse_known_args = split  # type: ignore[method-assign]


def _status(commands: argparse._SubParsersAction, **options: Any) -> None:
    text = "how a submitted run stands, or all of them"
    p = commands.add_parser("status", help=text, description=text, **options)
    p.add_argument("which", nargs="?", metavar="RUN", help="name or folder of a run (default: a line for each)")
    p.add_argument("--json", action="store_true", help="print JSON")
    p.set_defaults(run=f"{COMMANDS}:show_status")


def _logs(commands: argparse._SubParsersAction, **options: Any) -> None:
    text = "what a submitted run has written"
    p = commands.add_parser("logs", help=text, description=text, **options)
    p.add_argument("which", metavar="RUN", help="name or folder of a run")
    p.add_argument("--errors", action="store_true", help="errors and messages instead of the output")
    p.add_argument("--job", metavar="ID", help="only of this job: a link of the run, or one of its worker jobs")
    p.add_argument("--tail", type=int, metavar="N", help="only the last lines")
    p.set_defaults(run=f"{COMMANDS}:show_logs")


def _cancel(commands: argparse._SubParsersAction, **options: Any) -> None:
    text = "end a submitted run, with all that is left of its chain"
    p = commands.add_parser("cancel", help=text, description=text, **options)
    p.add_argument("which", metavar="RUN", help="name or folder of a run")
    p.set_defaults(run=f"{COMMANDS}:cancel_run")
