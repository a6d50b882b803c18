"""Subcommands on depth video: depth roi, extract, convert, slice, aggregate, index, metadata, config."""

from __future__ import annotations

import argparse
from typing import Any

COMMANDS = "reelarray.commands.depth"


def add(commands: argparse._SubParsersAction, **options: Any) -> None:
    """Add them; `options` are those of every subcommand."""
    text = "depth video of one animal seen from above: from a camera's frames to aligned crops and scalars"
    p = commands.add_parser("depth", help=text, description=text, **options)
    verbs = p.add_subparsers(dest="verb", required=True, metavar="VERB")
    for make in (_roi, _extract, _convert, _slice, _aggregate, _index, _metadata, _config):
        make(verbs, **options)


def _said(p: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Options of an extraction, in all the ways they can be given."""
    group = p.add_argument_group("options of the extraction (explicit ones win over --config)")
    group.add_argument("--config", metavar="YAML", help="file of options; moseq2-extract's are taken as they are")
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any option, such as --set min_height=15 or --set crop_size=[80,80]; repeatable. reel depth config "
        "writes all of them",
    )
    group.add_argument("--output-dir", metavar="NAME", help="folder of results, beside each recording (proc)")
    group.add_argument("--bg-roi-index", type=int, metavar="N", help="which candidate is the arena, 0 is the best")
    return group


def _roi(verbs: argparse._SubParsersAction, **options: Any) -> None:
    text = "find background, floor and arena of a recording, and write them to be looked at"
    p = verbs.add_parser("roi", help=text, description=text, **options)
    p.set_defaults(run=f"{COMMANDS}:roi")
    p.add_argument("path", metavar="PATH", help="a recording: .dat, .avi, .mkv or an archive of a session")
    _said(p)
    p.add_argument("--no-picture", action="store_true", help="write the TIFF files only")


def _extract(verbs: argparse._SubParsersAction, **options: Any) -> None:
    text = "extract recordings: crops, masks and scalars of each frame"
    more = (
        "; run again to go on after a stop, whatever stopped it. A recording that fails is noted and the others are "
        "gone on with. Results that are complete, of the same options and the same file, are left as they are."
    )
    p = verbs.add_parser("extract", help=text, description=text + more, **options)
    p.set_defaults(run=f"{COMMANDS}:extract")
    p.add_argument(
        "paths", nargs="*", metavar="PATH", help="recordings, and folders of them (default: input_dir of --config)"
    )
    group = _said(p)
    group.add_argument("--num-frames", type=int, metavar="N", help="frames that are extracted (all)")
    group.add_argument("--flip", metavar="HOW", help="which way animals face: motion, shape, an .onnx or .npz file")
    group.add_argument("--compat", action="store_true", help="numbers as moseq2-extract makes them, defects included")
    group.add_argument("--no-movie", action="store_true", help="make no preview")
    group = p.add_argument_group("which recordings")
    group.add_argument(
        "--recordings-ending", metavar=".DAT,.AVI", help="names of recordings in folders end so (.dat, and archives)"
    )
    group.add_argument("--skip-checks", action="store_true", help="also recordings without metadata")
    group.add_argument("--skip-extracted", action="store_true", help="leave complete results, whatever their options")
    group.add_argument("--force", action="store_true", help="extract again what is complete")
    group.add_argument("--retry-failed", action="store_true", help="try again what failed before")
    group.add_argument("--session-config", metavar="YAML", help="options by name of a recording's folder")
    group = p.add_argument_group("what is done, and where")
    group.add_argument("--dry-run", action="store_true", help="look only: what would be done, and the job script")
    group.add_argument(
        "--write-script", metavar="FILE", help="write a script of one Slurm job a recording, run nothing"
    )
    group.add_argument("--csv", metavar="FILE", help="write the table of what became of each recording")
    group.add_argument("--state-folder", metavar="FOLDER", help="for the journal (.reelarray beside the recordings)")
    group = p.add_argument_group("workers (default: cluster_type of --config, else this process)")
    group.add_argument("--cluster", metavar="KIND", help="local, slurm, pbs, ...: workers take a whole recording each")
    group.add_argument("--preset", help="of the cluster: low, medium, high, or one of the site's own")
    group.add_argument("--jobs", type=int, metavar="N", help="worker jobs (one a recording, at most 20)")
    group.add_argument("--partition", metavar="NAME", help="queue of the jobs")
    group.add_argument("--ncpus", type=int, metavar="N", help="cores of a job, each with a recording of its own")
    group.add_argument("--memory", metavar="SIZE", help="of a job, such as 5GB")
    group.add_argument("--wall-time", metavar="HH:MM:SS", help="longest time of a job")
    group.add_argument("--prefix", metavar="LINES", help="of the shell, before what a job does")
    group.add_argument(
        "--cluster-set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another setting of the cluster, such as account=lab; repeatable",
    )


def _copying(p: argparse.ArgumentParser) -> None:
    p.add_argument("--fps", type=float, default=30.0, metavar="HZ", help="that a film declares (30)")
    p.add_argument("--threads", type=int, default=8, metavar="N", help="of the encoder (8)")
    p.add_argument("--chunk-size", type=int, default=3000, metavar="N", help="frames that are held at once (3000)")
    p.add_argument("--mapping", default="DEPTH", metavar="STREAM", help="title, or number, of a film's stream (DEPTH)")
    p.add_argument("--delete", action="store_true", help="remove the input when every frame of the copy is proven")
    p.add_argument("--overwrite", action="store_true", help="replace an output of this name")


def _convert(verbs: argparse._SubParsersAction, **options: Any) -> None:
    text = "write a recording as a lossless film, or a film as raw frames; every frame is read back and compared"
    p = verbs.add_parser("convert", help=text, description=text, **options)
    p.set_defaults(run=f"{COMMANDS}:convert")
    p.add_argument("paths", nargs="+", metavar="PATH", help="recordings: .dat and archives become .avi, films .dat")
    p.add_argument("-o", "--output", metavar="FILE", help="of one input; its suffix says what it becomes")
    _copying(p)


def _slice(verbs: argparse._SubParsersAction, **options: Any) -> None:
    text = "write frames START to STOP (not included) as a recording of their own, with their times and metadata"
    p = verbs.add_parser("slice", help=text, description=text, **options)
    p.set_defaults(run=f"{COMMANDS}:cut")
    p.add_argument("path", metavar="PATH", help="a recording")
    p.add_argument("output", metavar="OUT", help=".dat, .avi or .mkv, in a folder of its own")
    p.add_argument("start", type=int, metavar="START", help="first frame, from 0")
    p.add_argument("stop", type=int, metavar="STOP", help="frame after the last")
    _copying(p)


def _aggregate(verbs: argparse._SubParsersAction, **options: Any) -> None:
    text = "copy all good results below a folder into one folder, and write their index"
    p = verbs.add_parser("aggregate", help=text, description=text, **options)
    p.set_defaults(run=f"{COMMANDS}:aggregate")
    p.add_argument("folder", metavar="FOLDER", help="of recordings with their results")
    p.add_argument("output", nargs="?", metavar="OUT", help="folder of the copies (FOLDER/aggregate_results)")
    p.add_argument(
        "--format",
        default="{start_time}_{session_name}_{subject_name}",
        metavar="TEXT",
        help="of names, with names of metadata in braces ({start_time}_{session_name}_{subject_name})",
    )
    p.add_argument(
        "--mouse-threshold", type=float, default=0.0, metavar="MM", help="lowest mean height of crops, zeros too (0)"
    )


def _index(verbs: argparse._SubParsersAction, **options: Any) -> None:
    text = "write moseq2-index.yaml of all complete results below a folder"
    p = verbs.add_parser("index", help=text, description=text, **options)
    p.set_defaults(run=f"{COMMANDS}:index")
    p.add_argument("folder", metavar="FOLDER", help="of results")
    p.add_argument("-o", "--output", metavar="FILE", help="the index (FOLDER/moseq2-index.yaml)")
    p.add_argument("--relative", action="store_true", help="paths that move with the folder")


def _metadata(verbs: argparse._SubParsersAction, **options: Any) -> None:
    text = "copy what results_NN.h5 say of their recordings into results_NN.yaml"
    p = verbs.add_parser("metadata", help=text, description=text, **options)
    p.set_defaults(run=f"{COMMANDS}:metadata")
    p.add_argument("folder", metavar="FOLDER", help="of recordings with their results")
    p.add_argument("--h5-path", default="metadata/acquisition", metavar="GROUP", help="(metadata/acquisition)")


def _config(verbs: argparse._SubParsersAction, **options: Any) -> None:
    text = "write a file of all options with their defaults, to begin with"
    p = verbs.add_parser("config", help=text, description=text, **options)
    p.set_defaults(run=f"{COMMANDS}:config")
    p.add_argument("path", nargs="?", default="config.yaml", metavar="FILE", help="(config.yaml)")
    p.add_argument("--compat", action="store_true", help="with numbers as moseq2-extract makes them")
    p.add_argument("--force", action="store_true", help="replace a file of this name")
