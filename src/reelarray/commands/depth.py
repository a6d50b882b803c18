"""What `reel depth` does."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from ..cli import in_options
from ..cli.codes import GAVE_UP, INCOMPLETE, OK, STOPPED
from ..clusters.values import assignments
from ..depth.aggregate import aggregate_extract_results
from ..depth.batch import FLAGS, carry_out
from ..depth.batchplan import BatchPlan, plan_recordings
from ..depth.batchscript import write_script
from ..depth.converting import convert_avi_to_raw, convert_raw_to_avi, copy_slice
from ..depth.crew import asked_for
from ..depth.index import generate_index
from ..depth.metadata import copy_h5_metadata_to_yaml
from ..depth.options import resolve_config
from ..depth.optiontable import TABLE
from ..depth.yamlfiles import read_yaml, write_yaml
from ..errors import MissingPackage, RecipeError
from ..progress import Progress, say
from ..sinks.atomic import check_folder, writing
from ..sinks.journal import OutputExists
from .runs import stopping

OPTIONS = (
    "skip_checks",
    "skip_extracted",
    "force",
    "retry_failed",
    "output_dir",
    "state_folder",
)  # texts speak of them
MOST_SHOWN = 20  # rows of a kind
WORDS = {"True": True, "False": False, "None": None, "": None}  # as Python and YAML write them
CLUSTER = ("partition", "ncpus", "memory", "wall_time", "prefix")


# ---- one recording ---------------------------------------------------------------------------------------------------


def roi(arguments: argparse.Namespace) -> int:
    """`reel depth roi`: the scene of one recording, as files to be looked at."""
    from ..depth.roi import get_roi

    with _told():
        found, written = get_roi(arguments.path, arguments.config, **_options(arguments))
    box, area = found.attrs["box"], int(found["roi"].values.sum())
    print(f"recording {arguments.path}")
    a, b, c = (float(value) for value in found["plane"].values[:3])
    tilt = f", tilt {-a / c:+.4f} mm a column, {-b / c:+.4f} mm a row" if c == c and c else ""
    print(f"floor     {found.attrs['true_depth']:.1f} mm{tilt}")
    print(
        f"arena     number {found.attrs['bg_roi_index']} of {found.attrs['candidates']}: {area:,} px, "
        f"rows {box[0]} to {box[1]}, columns {box[2]} to {box[3]}"
    )
    for path in written:
        print(f"written   {path}")
    if not arguments.no_picture:
        from ..depth.scenepictures import save_scene

        try:
            print(f"written   {save_scene(found, Path(written[-1]).with_suffix('.png'))}")
        except MissingPackage as error:
            print(f"left out  the picture: {error}")
    print("next      look at the arena; --bg-roi-index takes another; then reel depth extract")
    return OK


def convert(arguments: argparse.Namespace) -> int:
    """`reel depth convert`: raw frames to a film, or back."""
    if arguments.output is not None and len(arguments.paths) > 1:
        raise RecipeError(f"--output {arguments.output} is one name, {len(arguments.paths)} inputs were given")
    how: dict[str, Any] = {n: getattr(arguments, n) for n in ("chunk_size", "delete", "mapping", "overwrite")}
    how["mapping"] = _stream(arguments.mapping)
    failed = 0
    for path in arguments.paths:
        film = Path(path).suffix.lower() in (".avi", ".mkv")
        raw = Path(arguments.output).suffix.lower() == ".dat" if arguments.output else film
        try:
            if raw:
                made = convert_avi_to_raw(path, arguments.output, **how)
            else:
                made = convert_raw_to_avi(path, arguments.output, fps=arguments.fps, threads=arguments.threads, **how)
        except Exception as error:
            if len(arguments.paths) == 1:
                raise
            failed += 1
            say(f"failed    {path}: {error}\n", sys.stdout)
            continue
        gone = "; the input was removed" if arguments.delete else ""
        say(f"written   {made}: {made.stat().st_size / 1e6:,.1f} MB, every frame compared{gone}\n", sys.stdout)
    return INCOMPLETE if failed else OK


def cut(arguments: argparse.Namespace) -> int:
    """`reel depth slice`: a part of a recording as a recording."""
    how: dict[str, Any] = {
        n: getattr(arguments, n) for n in ("chunk_size", "fps", "delete", "threads", "mapping", "overwrite")
    }
    how["mapping"] = _stream(arguments.mapping)
    span = arguments.start, arguments.stop
    with _folder_of(Path(arguments.output)):  # a recording has a folder of its own
        made = copy_slice(arguments.path, arguments.output, span, **how)
    number = arguments.stop - arguments.start
    gone = "; the input was removed" if arguments.delete else ""
    print(f"written   {made}: {number:,} frames [{span[0]}, {span[1]}) of {arguments.path}, each compared{gone}")
    return OK


@contextmanager
def _folder_of(path: Path) -> Iterator[None]:
    """The folder of a file, made where it is not there; taken away again if nothing came of it."""
    there = path.parent.exists()
    if not there:
        path.parent.mkdir()
    try:
        yield
    except BaseException:
        if not there:
            with suppress(OSError):
                path.parent.rmdir()
        raise


# ---- many recordings -------------------------------------------------------------------------------------------------


def extract(arguments: argparse.Namespace) -> int:
    """`reel depth extract`: recordings into their results."""
    begun = time.monotonic()
    if arguments.csv is not None:
        check_folder(Path(arguments.csv))
    if arguments.config is None:
        say("config    none was given: all options have their defaults, but those of this command\n", sys.stdout)
    with _told():
        plan = plan_recordings(arguments.paths or None, arguments.config, options=_options(arguments))
    for note in plan.notes:
        say(f"note      {note}\n", sys.stdout)
    how: dict[str, Any] = {
        "skip_extracted": True if arguments.skip_extracted else None,
        "force": arguments.force,
        "retry_failed": arguments.retry_failed,
        "cluster": arguments.cluster,
        "preset": arguments.preset,
        "settings": assignments(arguments.cluster_set) | ({} if arguments.jobs is None else {"jobs": arguments.jobs}),
        "state_folder": arguments.state_folder,
    }
    if not plan.units:
        _print(_trouble(plan, carry_out(plan, dry_run=True, **how)))
        say(f"nothing   no recording was found in {', '.join(map(str, arguments.paths)) or 'input_dir'}\n", sys.stdout)
        return INCOMPLETE if plan.left_out else OK
    if arguments.dry_run or arguments.write_script is not None:
        return _look(arguments, plan, how)
    progress = Progress("recordings")

    def tell(line: str) -> None:
        progress.close()
        say(f"{line}\n", sys.stderr)

    try:
        with stopping() as stop, _told(tell):
            table = carry_out(plan, stop=stop, progress=progress, tell=tell, **how)
    finally:
        progress.close()
    _print((*_summary(table), f"time      {time.monotonic() - begun:.1f} s", *_trouble(plan, table)))
    _write_table(table, arguments.csv)
    ending = table.attrs["ending"]
    if ending in ("stopped", "gave up"):
        return STOPPED if ending == "stopped" else GAVE_UP
    return INCOMPLETE if table["status"].isin(("failed", "left out")).any() else OK


def _look(arguments: argparse.Namespace, plan: BatchPlan, how: Mapping[str, Any]) -> int:
    """What would be done, or a script that does it."""
    table = carry_out(plan, dry_run=True, **how)
    left = table[table["status"] == "left"]
    _print((f"to do     {len(left):,} of {len(plan.units):,} recordings", *_listed(left, "to do", "options of all")))
    _print((*_listed(table[table["status"] == "skipped"], "skipped"), *_trouble(plan, table)))
    if arguments.write_script is not None:
        chosen = [unit for unit in plan.units.values() if str(unit.path) in set(left["recording"])]
        path = write_script(arguments.write_script, plan, chosen, words=_words(arguments))
        say(f"script    {path}: {len(chosen):,} jobs; look at it, then: bash {path}\n", sys.stdout)
    else:
        start = asked_for(arguments.cluster, arguments.preset, plan.said, how["settings"], len(left))
        if start is not None and start[0] != "local":
            from ..clusters.settings import settings
            from ..clusters.systems import worker_script

            asked = settings(start[0], start[1], **start[2])
            jobs = f"{asked.jobs:,} worker job{'s'[: asked.jobs > 1]}"
            say(f"cluster   {asked.kind}, {jobs}, each of this script:\n\n{worker_script(asked)}\n", sys.stdout)
    _write_table(table, arguments.csv)
    return OK


def aggregate(arguments: argparse.Namespace) -> int:
    """`reel depth aggregate`: good results into one folder."""
    with _told():
        path = aggregate_extract_results(
            arguments.folder, arguments.format, arguments.output, arguments.mouse_threshold
        )
    print(
        f"copied    {_number(path):,} recordings to {arguments.output or Path(arguments.folder, 'aggregate_results')}"
    )
    print(f"index     {path}")
    return OK


def index(arguments: argparse.Namespace) -> int:
    """`reel depth index`: the index of results."""
    with _told():
        path = generate_index(arguments.folder, arguments.output, relative=arguments.relative)
    print(f"index     {path}: {_number(path):,} recordings")
    return OK


def metadata(arguments: argparse.Namespace) -> int:
    """`reel depth metadata`: from HDF5 to YAML."""
    with _told():
        written = copy_h5_metadata_to_yaml(arguments.folder, arguments.h5_path)
    for path in written:
        print(f"written   {path}")
    print(f"in all    {len(written):,} files have what {arguments.h5_path} says")
    return OK


def config(arguments: argparse.Namespace) -> int:
    """`reel depth config`: all options, to begin with."""
    path = Path(arguments.path)
    if path.exists() and not arguments.force:
        raise OutputExists(f"{path} is there already; pass --force to replace it, or another name")
    check_folder(path.absolute())
    used = {
        name: value
        for name, value in resolve_config(compat=arguments.compat).to_dict().items()
        if TABLE[name].status == "used" and name != "config_file"
    }
    write_yaml(path, used)
    print(f"written   {path}: {len(used)} options with their defaults")
    print(f"next      reel depth extract FOLDER --config {path}")
    return OK


# ---- what is said ----------------------------------------------------------------------------------------------------


def _print(lines: Any) -> None:
    say("".join(f"{line}\n" for line in lines), sys.stdout)


def _summary(table: pd.DataFrame) -> Iterator[str]:
    """What is there now."""
    done = table[table["status"] == "done"]
    for row in done.head(MOST_SHOWN).to_dict("records"):
        odd = "; ".join(f"{name} in {row[name]:,}" for name in FLAGS if row[name])
        said = f"{row['frames']:,} frames in {row['seconds']:.1f} s -> {row['results']}"
        yield f"done      {row['recording']}: {said}{f' (of these {odd})' if odd else ''}"
    if len(done) > MOST_SHOWN:
        yield f"done      and {len(done) - MOST_SHOWN:,} more"
    yield from _listed(table[table["status"] == "skipped"], "skipped")
    frames = f", {int(done['frames'].sum()):,} frames" if len(done) else ""
    yield f"extracted {len(done):,} of {int((table['status'] != 'left out').sum()):,} recordings{frames}"


def _listed(rows: pd.DataFrame, word: str, without: str = "") -> Iterator[str]:
    for row in rows.head(MOST_SHOWN).itertuples(index=False):
        yield f"{word:<9} {row.recording}{f': {in_options(row.error, OPTIONS)}' if row.error else ''}"
    if len(rows) > MOST_SHOWN:
        yield f"{word:<9} and {len(rows) - MOST_SHOWN:,} more; --csv FILE writes all"


def _trouble(plan: BatchPlan, table: pd.DataFrame) -> Iterator[str]:
    """What is not there, and why; and what to do."""
    yield from _listed(table[table["status"] == "left out"], "left out")
    failed = table[table["status"] == "failed"]
    yield from _listed(failed, "failed")
    ending, left = table.attrs["ending"], int((table["status"] == "left").sum())
    if ending in ("stopped", "gave up"):
        why = "by Ctrl-C" if table.attrs["why"] == "SIGINT" else in_options(table.attrs["why"], OPTIONS)
        yield f"{ending:<9} {why}: {left:,} recordings are left; the same command goes on"
    elif len(failed) and plan.root is not None:
        yield "          the same command tries those again whose file or options changed; --retry-failed tries all"


def _write_table(table: pd.DataFrame, path: str | None) -> None:
    if path is None:
        return
    with writing(Path(path)) as temporary:
        table.to_csv(temporary, index=False)
    say(f"table     {path}\n", sys.stdout)


def _number(index: str) -> int:
    return len(read_yaml(index)["files"])


@contextmanager
def _told(tell: Any = None) -> Iterator[None]:
    """What the library logs and warns of, as lines for a user: what was left out, and why."""
    tell = tell or (lambda line: say(f"{line}\n", sys.stderr))
    handler = _Lines(tell)
    ours = logging.getLogger("reelarray.depth")
    ours.addHandler(handler)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of options: the notes of the plan have them
        try:
            yield
        finally:
            ours.removeHandler(handler)


class _Lines(logging.Handler):
    def __init__(self, tell: Any) -> None:
        super().__init__(logging.WARNING)
        self.tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.endswith(".finding"):  # what is not complete is done again, and told of then
            return
        self.tell(f"note      {record.getMessage()}")


# ---- what was given --------------------------------------------------------------------------------------------------


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Options of an extraction that the command line says."""
    found: dict[str, Any] = {}
    for text in arguments.set:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise RecipeError(f"--set {text}: NAME=VALUE was expected, such as --set min_height=15")
        found[name.strip().replace("-", "_")] = _value(value.strip())
    names = ("output_dir", "bg_roi_index", "num_frames", "flip", *CLUSTER)
    found |= {name: value for name in names if (value := getattr(arguments, name, None)) is not None}
    if getattr(arguments, "compat", False):
        found["compat"] = True
    if getattr(arguments, "no_movie", False):
        found["write_movie"] = False
    if getattr(arguments, "skip_checks", False):
        found["skip_checks"] = True
    if (ends := getattr(arguments, "recordings_ending", None)) is not None:
        found["extensions"] = [end.strip() for end in ends.split(",") if end.strip()]
    if (sessions := getattr(arguments, "session_config", None)) is not None:
        if not Path(sessions).is_file():
            raise FileNotFoundError(f"--session-config {sessions}: there is no such file")
        found["session_config_path"] = sessions
    return found


def _value(text: str) -> Any:
    """What a word of the command line means.

    >>> _value("15"), _value("[80, 80]"), _value("80,80"), _value("motion"), _value("True")
    (15, [80, 80], [80, 80], 'motion', True)
    """
    if text in WORDS:
        return WORDS[text]
    for written in (text, f"[{text}]") if "," in text else (text,):
        with suppress(ValueError):
            return json.loads(written)
    return text


def _stream(text: str) -> str | int:
    return int(text) if text.isdecimal() else text


def _words(arguments: argparse.Namespace) -> list[str]:
    """The words of this command that each job of a script gets; paths do not depend on where it runs."""
    words: list[str] = []
    for option in ("config", "session_config"):
        if (path := getattr(arguments, option)) is not None:
            words += [f"--{option.replace('_', '-')}", str(Path(path).absolute())]
    for text in arguments.set:
        words += ["--set", text]
    for option in ("output_dir", "bg_roi_index", "num_frames", "flip"):
        if (value := getattr(arguments, option)) is not None:
            words += [f"--{option.replace('_', '-')}", str(value)]
    for option in ("compat", "no_movie", "skip_extracted", "force"):
        if getattr(arguments, option):
            words.append(f"--{option.replace('_', '-')}")
    return words
