"""Options that several subcommands share."""

from __future__ import annotations

import argparse


def finding() -> argparse.ArgumentParser:
    """Options that say which files, and when they start."""
    options = argparse.ArgumentParser(add_help=False)
    group = options.add_argument_group("which files, and when they start")
    group.add_argument(
        "paths", nargs="+", metavar="FOLDER", help="folders, files, patterns, URLs, or one saved catalog"
    )
    group.add_argument("--pattern", help="names to take from folders, such as '*.wav'")
    group.add_argument("--no-recursive", action="store_true", help="do not look in folders within folders")
    group.add_argument(
        "--exclude", action="append", metavar="PATTERN", help="names or patterns to leave out; repeatable"
    )
    group.add_argument("--format", help="name of the format, instead of finding it from suffix and content")
    group.add_argument(
        "--timestamp",
        action="append",
        metavar="TEMPLATE",
        help="strftime template of the start time in the file names, such as %%Y%%m%%d_%%H%%M%%S; repeatable",
    )
    group.add_argument(
        "--offsets", nargs=2, type=int, metavar=("FIRST", "LAST"), help="characters of the time in the name, from 0"
    )
    group.add_argument("--recorder", help="only the name patterns of this recorder, such as audiomoth")
    group.add_argument("--timezone", default="UTC", help="zone of times that name none (default UTC)")
    group.add_argument("--ambiguous", choices=("earlier", "later"), help="local times that occur twice or never")
    group.add_argument("--timestamps-csv", metavar="CSV", help="file with the start times (filename,timestamp)")
    group.add_argument("--start", help="time of the first file; the others follow back to back")
    group.add_argument("--tolerance", type=float, metavar="S", help="seconds by which files may miss or overlap")
    group.add_argument("--cache", metavar="PATH", help="folder or file of the header cache")
    group.add_argument("--no-cache", action="store_true", help="read all headers, keep none")
    return options


def outputs() -> argparse.ArgumentParser:
    """Options that say who may read and write what is written."""
    options = argparse.ArgumentParser(add_help=False)
    group = options.add_argument_group("access to what is written (never to recordings)")
    group.add_argument("--group", help="group that owns the output")
    group.add_argument("--mode", help="permissions of files in the output, octal, such as 664")
    group.add_argument("--umask", help="permissions that new files do not get, octal, such as 002")
    return options
