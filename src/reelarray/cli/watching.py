"""Subcommand of folders that are watched: watch."""

from __future__ import annotations

import argparse
from typing import Any

_CODES = """\
exit codes:
  0    stopped when asked to, or with --once: all that was there is done
  1    with --once: recordings failed; the summary lists them. Or an error inside
       reelarray (run again with --debug and report it)
  2    bad arguments or settings; nothing was begun
  5    gave up: no workers; run the same command again after mending what is broken
  6    another process watches with this journal
  7    the journal cannot be written (no space, no permission)
  130  ended by a second Ctrl-C, 143 by a second SIGTERM
"""


def add(commands: argparse._SubParsersAction, **options: Any) -> None:
    """Add it; `options` are those of every subcommand."""
    text = "process each recording that comes into folders, once, as soon as it is finished"
    more = (
        "; what is done is kept note of, and the same command goes on. Stop it with Ctrl-C. Without --recipe each "
        "recording becomes pictures and an .npz archive, by the settings of datacrunch."
    )
    p = commands.add_parser("watch", help=text, description=text + more, **(options | {"epilog": _CODES}))
    p.set_defaults(run="reelarray.commands.watching:run")
    p.add_argument("folders", nargs="*", metavar="FOLDER", help="folders to be watched")
    p.add_argument("--recipe", help="TOML file with what is done: one output a recording, such as {stem}.npz")
    p.add_argument("--config", help="TOML file of settings; datacrunch's are taken as they are")
    p.add_argument("--once", action="store_true", help="come to an end when what is there is done")
    p.add_argument("--seconds", type=float, metavar="S", help="stop by itself after so long, as if asked to")
    p.add_argument("--retry-failed", action="store_true", help="try at once what failed before")
    p.add_argument("--verify", action="store_true", help="read what was made; make again what is not as it was written")
    p.add_argument(
        "--redo", action="append", metavar="GLOB", default=[], help="recordings to be done again; repeatable"
    )
    p.add_argument("--status", action="store_true", help="print how the service does that watches these folders")
    p.add_argument("--serve", metavar="[HOST:]PORT", help="serve a page with the newest pictures")
    p.add_argument("--example-config", action="store_true", help="print settings to begin with")
    _watching(p.add_argument_group("how folders are watched (explicit options win over --config)"))
    _datacrunch(p.add_argument_group("what is made, without --recipe (datacrunch's spelling is taken, too)"))
    group = p.add_argument_group("workers (default: the [cluster] of the settings, else threads of this process)")
    group.add_argument("--cluster", metavar="KIND", help="local, slurm, pbs, ...: start a cluster for the service")
    group.add_argument("--preset", help="of the cluster: low, medium, high, or one of the site's own")
    group.add_argument(
        "--set", action="append", metavar="NAME=VALUE", default=[], help="another setting of the cluster; repeatable"
    )


def _watching(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--suffix", action="append", metavar=".TIQ", help="of recordings, or all; repeatable (default .tiq; recipe all)"
    )
    group.add_argument("--recursive", action="store_const", const=True, help="also folders within folders")
    group.add_argument("--ignore", action="append", metavar="GLOB", help="names that are no recordings; repeatable")
    group.add_argument("--mode", choices=("auto", "events", "poll"), help="events of the system, or looks (auto)")
    group.add_argument("--order", choices=("oldest", "newest"), help="which recordings come first (oldest)")
    for name, default, text in (
        ("poll", 5, "between looks where there are no events"),
        ("rescan", 60, "between looks where there are"),
        ("settle", 2, "a recording that did not change for so long may be finished"),
        ("stall", 600, "one that is shorter than it says will then not become whole"),
        ("grace", 30, "for recordings in process when asked to stop"),
    ):
        group.add_argument(f"--{name}-seconds", type=float, metavar="S", help=f"{text} ({default})")
    group.add_argument("--stalled", choices=("fail", "use"), help="such a one fails, or what is there is used (fail)")
    group.add_argument("--attempts", type=int, metavar="N", help="tries after errors that may pass (3)")
    group.add_argument("--min-free-bytes", type=float, metavar="N", help="of the disk, else nothing is begun (2e9)")
    group.add_argument("--state-folder", metavar="FOLDER", help="for the journal (beside the outputs)")


def _datacrunch(group: argparse._ArgumentGroup) -> None:
    for name, kind, text in (
        ("folder_path", str, "folder to be watched, as FOLDER"),
        ("tracking_file_path", str, "TOML list of what is done, kept up to date"),
        ("output_path", str, "folder of what is made"),
        ("www_path", str, "folder of the newest pictures"),
        ("num_threads", int, "recordings in process at one time (also with --recipe)"),
        ("lframes", int, "samples a frame"),
        ("nframes", str, "frames from the first sample (all; 94 with a --config that does not say)"),
        ("n_avg", int, "frames that are averaged"),
        ("zoom_center", float, "centre of the zoom, Hz: from the centre of the band, or absolute"),
        ("table", str, "CSV file to which each recording adds a line: peak, width, times"),
    ):
        spellings = dict.fromkeys((f"--{name.replace('_', '-')}", f"--{name}"))
        metavar = {int: "N", float: "HZ"}.get(kind, "N" if name == "nframes" else "PATH")
        group.add_argument(*spellings, type=kind, metavar=metavar, help=text)
    group.add_argument(
        "--layout", choices=("flat", "by_analyser"), help="outputs in one folder (flat), or in one for each analyser"
    )
