"""What the subcommands on files do: scan, info, demo."""

from __future__ import annotations

import argparse
import errno
import json
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import catalog as catalogs
from ..cli.codes import OK
from ..errors import RecordingError, ReelError, Unwritable
from ..progress import silence
from ..sinks.access import check_access, give_access, umask
from ..sinks.atomic import writing

DEMOS = {
    "deployment": "reelarray.demo.deployment",
    "iq": "reelarray.demo.analysers",
    "depth": "reelarray.demo.arena",
}
# What a disk or its owner says to a writer; other errors come from names that cannot be.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
_REFUSED = (errno.EPERM, errno.EACCES, errno.EIO)


@contextmanager
def output(path: str | os.PathLike[str]) -> Iterator[None]:
    """What a disk, or its owner, refuses while an output is written becomes `Unwritable`."""
    try:
        yield
    except ReelError:
        raise
    except OSError as error:
        if error.errno in _FULL or (error.errno in _REFUSED and error.filename is not None):
            raise Unwritable(f"{path} cannot be written: {error}") from error
        raise


def scan_files(arguments: argparse.Namespace, **options: Any) -> pd.DataFrame:
    """The catalog that the options of a subcommand describe: scanned, or as it was saved."""
    kept = [path for path in arguments.paths if path.lower().endswith(".json")]
    if kept and len(arguments.paths) > 1:
        raise RecordingError(f"{kept[0]} is a saved catalog; give one of those alone, or folders and files")
    if kept:
        of_scan = ("pattern", "exclude", "format", "timestamp", "offsets", "recorder", "timestamps_csv", "start")
        if given := [f"--{name.replace('_', '-')}" for name in of_scan if getattr(arguments, name) is not None]:
            raise RecordingError(f"{', '.join(given)}: {arguments.paths[0]} is a saved catalog; give it when scanning")
        return catalogs.load(arguments.paths[0])
    return catalogs.scan(
        arguments.paths,
        pattern=arguments.pattern,
        recursive=not arguments.no_recursive,
        exclude=arguments.exclude,
        format=arguments.format,
        timestamp=arguments.timestamp,
        offsets=None if arguments.offsets is None else tuple(arguments.offsets),
        recorder=arguments.recorder,
        timezone=arguments.timezone,
        ambiguous=arguments.ambiguous,
        timestamps_csv=arguments.timestamps_csv,
        start=arguments.start,
        tolerance=arguments.tolerance,
        cache=False if arguments.no_cache else arguments.cache,
        **options,
    )


def scan(arguments: argparse.Namespace) -> int:
    """`reel scan`: a report, and only what is asked for beyond it."""
    check_access(group=arguments.group, mode=arguments.mode)
    table = scan_files(arguments, quick=not arguments.full)
    summary = catalogs.summarise(table)
    if arguments.json:
        _say(json.dumps(summary.to_dict(), indent=1))
    else:
        if arguments.files:
            for row in table.itertuples(index=False):
                start = "no time" if pd.isna(row.start) else row.start.isoformat()
                facts = f"{row.samples:>12,} x {row.channels} at {row.rate:,.10g} Hz"
                _say(f"{start:<30} {facts}  {row.path}" + (f"  [{row.anomaly}]" if row.anomaly else ""))
        _say(summary)
    written = catalogs.drop_abnormal(table) if arguments.exclude_abnormal else table
    with umask(arguments.umask):
        for path, write in (
            (arguments.save, lambda path: catalogs.save(written, path)),
            (arguments.csv, lambda path: _write_csv(written.drop(columns=["metadata", "layout"]), path)),
            (arguments.write_timestamps, lambda path: catalogs.write_timestamps(written, path)),
            (arguments.write_metadata, lambda path: catalogs.write_metadata(_metadata(written, arguments), path)),
            (arguments.write_file_metadata, lambda path: catalogs.write_file_metadata(written, path)),
        ):
            if path is not None:
                with output(path):
                    write(path)
                    give_access(path, group=arguments.group, mode=arguments.mode)
                _say(f"written   {path}")
    if arguments.quarantine is not None:
        with output(arguments.quarantine):
            moved = catalogs.quarantine(table, arguments.quarantine)
        for row in moved.itertuples(index=False):
            _say(f"moved     {row.path} -> {row.moved_to} ({row.anomaly})")
        _say(f"moved     {len(moved)} files to {arguments.quarantine}")
    return OK


def _say(text: object) -> None:
    """Print a line; files are written and moved, too, when nobody reads on."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        silence(sys.stdout)


def _write_csv(table: pd.DataFrame, path: str) -> None:
    if os.path.exists(path) and not os.path.isfile(path):  # /dev/stdout
        table.to_csv(path, index=False)
        return
    kind: Any = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zip": "zip"}.get(Path(path).suffix)
    with writing(path) as temporary:
        table.to_csv(temporary, index=False, compression=kind)


def _metadata(table: pd.DataFrame, arguments: argparse.Namespace) -> Any:
    position = None if arguments.position is None else tuple(arguments.position)
    return catalogs.describe_metadata(table, position=position)


def info(arguments: argparse.Namespace) -> int:
    """`reel info FILE`: the header of one file."""
    from ..formats import is_complete, probe

    header = probe(arguments.file, arguments.format)
    frame = header.shape[1:-1] if header.iq else header.shape[1:]
    seconds = float(header.frames / header.rate)
    table = catalogs.scan([arguments.file], format=arguments.format, cache=False)
    start = None if pd.isna(table["start"].iloc[0]) else table["start"].iloc[0].isoformat() + "Z"
    facts: dict[str, Any] = {
        "path": header.path,
        "format": header.format,
        "samples": header.frames,
        "rate_hz": float(header.rate),
        "seconds": seconds,
        "channels": math.prod(frame) if len(frame) < 2 else None,
        "frame": " x ".join(map(str, frame)) if len(frame) > 1 else None,  # rows and columns of a picture
        "center_frequency_hz": header.center_frequency,
        "iq": header.iq or np.dtype(header.dtype).kind == "c" or None,
        "gaps_inside": len(header.breaks) or None,
        "subtype": header.subtype,
        "bytes": header.bytes,
        "finished": is_complete(arguments.file, header.format),
        "start": start,
        "start_from": table["start_source"].iloc[0] or None,
        "anomaly": table["anomaly"].iloc[0] or None,
        "metadata": dict(header.metadata),
    }
    if arguments.json:
        print(json.dumps(facts, indent=1))
        return OK
    for name, value in facts.items():
        if name == "metadata":
            for key, text in value.items():
                shown = text if isinstance(text, str) else json.dumps(text)
                print(f"{key:<20} {shown if len(shown) <= 300 else shown[:297] + '...'}")
        elif value is not None:
            count = isinstance(value, int | float) and not isinstance(value, bool)
            print(f"{name:<20} {value:,}" if count else f"{name:<20} {value}")
    return OK


def demo(arguments: argparse.Namespace) -> int:
    """`reel demo`: a small deployment, a control room with two analysers, or a depth recording, made and worked on."""
    from importlib import import_module

    kind, *rest = arguments.what or ["deployment"]
    if kind not in DEMOS:
        kind, rest = "deployment", [kind, *rest]
    if len(rest) > 1:
        kinds = " or ".join([*DEMOS][1:])
        raise RecordingError(f"{' '.join(arguments.what)}: at most {kinds} and a folder were expected")
    folder = Path(*rest or [f"reel-demo{'' if kind == 'deployment' else f'-{kind}'}"])
    with output(str(folder)):
        return int(import_module(DEMOS[kind]).run(folder))
