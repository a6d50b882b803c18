"""`reel`: the command line. Each subcommand is a few lines around public functions, in `commands/`."""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Iterable, Sequence

from .. import __version__
from ..errors import ClusterError, ReelError, SettingError
from ..progress import say
from . import clusters, depth, files, jobs, runs, watching
from .codes import EXIT_CODES, OK, STOPPED, exit_code

# These end with the code of their report, whoever reads what they print.
RUNS = ("run", "spectrogram", "watch", "depth")
WORKING = (*RUNS, "demo", "scan")  # these do more than print: a pipe that broke is not the reader's who has seen enough


def main(argv: Sequence[str] | None = None) -> int:
    """Run `reel` with arguments; returns the exit code."""
    arguments = parser().parse_args(argv)
    if arguments.debug:
        import logging

        logging.basicConfig(level=logging.INFO)
    try:
        module, name = arguments.run.split(":")
        code = int(getattr(importlib.import_module(module), name)(arguments))
        if sys.stdout is not None and arguments.command not in RUNS:
            sys.stdout.flush()  # what was asked for is what is printed: a full disk is an error
        return code
    except KeyboardInterrupt:
        if arguments.debug:
            raise
        say("reel: stopped; run the same command again to go on\n", sys.stderr)
        return STOPPED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and arguments.command not in WORKING:
            return OK  # the reader of our output has seen enough
        if arguments.debug:
            raise
        # What a queue or a log says keeps its lines, and so does a list of all that is wrong.
        text = str(error) if isinstance(error, ClusterError | SettingError) else " ".join(str(error).split())
        text = text or type(error).__name__
        if isinstance(error, ReelError):
            text = in_options(text, vars(arguments))
        if "recipe" in arguments:  # which step it was
            text = "; ".join([text, *getattr(error, "__notes__", ())])
        say(f"reel: {text}\n", sys.stderr)
        return exit_code(error)


def in_options(text: str, names: Iterable[str]) -> str:
    """A message of a function, with the keywords that are options here said as options.

    >>> in_options("every='60' has no unit; pass overwrite=True, or another hop=", ["average", "overwrite", "hop"])
    '--average 60 has no unit; pass --overwrite, or another --hop'
    """
    options = {name: f"--{name.replace('_', '-')}" for name in names}
    if "average" in options:
        options["every"] = "--average"

    def said(found: re.Match[str]) -> str:
        value = (found[2] or "").strip("'")
        return options[found[1]] + ("" if value in ("", "True") else f" {value}")

    return re.sub(rf"\b({'|'.join(map(re.escape, options))})=('[^']*'|[\w.-]*\w)?", said, text)


def parser() -> argparse.ArgumentParser:
    """The parser of `reel`, with all subcommands."""
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        prog="reel",
        description="Long instrument recordings as one lazy array: scan folders, make spectra, draw them.",
        epilog=EXIT_CODES,
        formatter_class=raw,
    )
    top.add_argument("--version", action="version", version=f"reelarray {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the log, and the traceback of an error")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (files, runs, watching, depth, jobs, clusters):
        module.add(commands, parents=[common], epilog=EXIT_CODES, formatter_class=raw)
    return top
