"""What `reel watch` does: folders watched, until it is told to stop."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Timer
from typing import Any

from ..cli.codes import OK
from ..driving import Stop
from ..errors import SettingError
from ..progress import say
from ..recipe import naming
from ..watching.options import Options
from ..watching.recipes import RecipeProcess
from ..watching.start import options_of, serve
from ..watching.status import NAME, lines, read_status
from ..watching.tally import Counts
from ..watching.unit import Process

FAILED = 1
_OPTIONS = (
    *("recursive", "ignore", "mode", "order", "poll_seconds", "rescan_seconds", "settle_seconds", "stall_seconds"),
    *("stalled", "grace_seconds", "attempts", "min_free_bytes", "state_folder"),
)
_CRUNCH = (
    *("folder_path", "tracking_file_path", "output_path", "www_path", "num_threads", "lframes", "nframes", "n_avg"),
    *("zoom_center", "layout", "table"),
)
_NOT_WITH_RECIPE = tuple(name for name in _CRUNCH if name not in ("folder_path", "num_threads", "tracking_file_path"))


@dataclass(frozen=True)
class _Asked:
    """What is watched, what is done, and where."""

    options: Options
    process: Process
    cluster: Mapping[str, Any] = field(default_factory=dict)
    page: str | None = None
    www: str | None = None


def run(arguments: argparse.Namespace) -> int:
    """`reel watch [FOLDER ...]`."""
    if arguments.example_config:
        from ..watching.template import example

        say(example(), sys.stdout)
        return OK
    if arguments.status:
        status = read_status(_asked(arguments).options.state)
        say("".join(f"{line}\n" for line in lines(status)), sys.stdout)
        return OK
    with _told(arguments.debug):
        asked = _asked(arguments)
        with ExitStack() as stack:
            _page(asked, arguments.serve, stack)
            stop = Stop()
            if arguments.seconds is not None:
                if not arguments.seconds > 0:
                    raise SettingError(f"--seconds {arguments.seconds}: a number above 0 was expected")
                over = Timer(arguments.seconds, stop.ask, ("--seconds",), {"grace": asked.options.grace_seconds})
                over.daemon = True
                over.start()
                stack.callback(over.cancel)
            counts, how = serve(
                asked.options,
                asked.process,
                once=arguments.once,
                **_cluster(asked, arguments),
                retry_failed=arguments.retry_failed,
                verify=arguments.verify,
                redo=arguments.redo,
                stop=stop,
            )
    for line in _summary(counts, asked.options):
        say(f"{line}\n", sys.stdout)
    if how.exit_code:
        return how.exit_code
    return FAILED if arguments.once and counts.failed and not counts.stopped else OK


def _asked(arguments: argparse.Namespace) -> _Asked:
    if arguments.recipe and arguments.config:
        raise SettingError("--recipe and --config were given: each says what is done with a recording; give one")
    folders = [*arguments.folders, *([arguments.folder_path] if arguments.folder_path else [])]
    given = {name: value for name in _OPTIONS if (value := getattr(arguments, name)) is not None}
    if arguments.suffix:
        given["suffixes"] = "all" if "all" in arguments.suffix else tuple(arguments.suffix)
    return _of_recipe(arguments, folders, given) if arguments.recipe else _of_config(arguments, folders, given)


def _of_recipe(arguments: argparse.Namespace, folders: list[str], given: dict[str, Any]) -> _Asked:
    if wrong := [name for name in _NOT_WITH_RECIPE if getattr(arguments, name) is not None]:
        raise SettingError(f"--{wrong[0]} was given, and with --recipe the recipe says what is made: leave it out")
    process = RecipeProcess.of(arguments.recipe)
    recipe = process.recipe
    if not folders:
        paths = recipe.input["paths"]
        folders = [os.path.join(recipe.folder, each) for each in ([paths] if isinstance(paths, str) else paths)]
        if wrong := [folder for folder in folders if not os.path.isdir(folder)]:
            raise SettingError(
                f"[input] paths of {arguments.recipe}: {wrong[0]} is no folder; name those to be watched"
            )
    if arguments.num_threads is not None:
        given["in_flight"] = arguments.num_threads
    if arguments.tracking_file_path:
        given["tracking"] = os.path.abspath(arguments.tracking_file_path)
    given["ignore"] = tuple(given.get("ignore", ()))
    given["page_folder"] = naming.root(process.pattern)
    return _Asked(options_of(folders, process, given), process, recipe.cluster.plain(), given["page_folder"])


def _of_config(arguments: argparse.Namespace, folders: list[str], given: dict[str, Any]) -> _Asked:
    from ..watching.settings import load_settings

    if not arguments.config and not folders:
        raise SettingError(
            "nothing says what is watched: give folders with --recipe, or with --output-path, or a --config; "
            "reel watch --example-config prints one to begin with"
        )
    given |= {name: value for name in _CRUNCH if (value := getattr(arguments, name)) is not None}
    if isinstance(given.get("nframes"), str) and given["nframes"] != "all":
        try:
            given["nframes"] = int(given["nframes"])
        except ValueError:
            raise SettingError(f'--nframes {given["nframes"]}: a whole number, or "all", was expected') from None
    several = len(folders) > 1 or bool(given.get("recursive"))
    if several and not arguments.config:
        given.setdefault("layout", "by_analyser")  # or outputs of the same name would meet
    if folders:
        given["folder_path"] = folders[0] if len(folders) == 1 else tuple(folders)
    settings = load_settings(arguments.config, given)
    options = replace(settings.options, page_folder=settings.options.page_folder or settings.page_folder)
    return _Asked(options, settings.process, settings.cluster.plain(), settings.page_folder, settings.www)


def _cluster(asked: _Asked, arguments: argparse.Namespace) -> dict[str, Any]:
    """Where it runs: what the command says, else the settings."""
    own = dict(asked.cluster)
    kind, preset = own.pop("kind", None), own.pop("preset", None)
    if arguments.cluster is not None and kind is not None and arguments.cluster != kind:
        own, preset = {}, None
    for text in arguments.set:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise SettingError(f"--set {text}: NAME=VALUE was expected, such as --set walltime=02:00:00")
        own[name.replace("-", "_")] = value
    found = {"cluster": arguments.cluster or kind, "preset": arguments.preset or preset, "settings": own}
    if found["cluster"] is not None or found["preset"] is not None or own:
        from ..clusters.settings import settings

        settings(found["cluster"], found["preset"], **own)  # before anything is begun
    return found


def _page(asked: _Asked, address: str | None, stack: ExitStack) -> None:
    """The page with the newest pictures, where it is asked for."""
    from ..watching.page import PageServer, write_page

    if asked.www is not None:
        write_page(asked.www)
    if address is not None:
        folder = asked.page or asked.options.state
        server = stack.enter_context(PageServer(folder, address, status=Path(asked.options.state, NAME)))
        say(f"page      {server.url}\n", sys.stdout)


def _summary(counts: Counts, options: Options) -> Iterator[str]:
    yield f"made      {counts.made:,} recordings; in all {counts.done:,} done, {counts.failed:,} failed"
    if counts.pending:
        yield f"pending   {counts.pending:,}; the same command goes on"
    if counts.failed:
        for each in read_status(options.state)["failures"][-10:]:
            yield f"failed    {each['recording']}: {each['error']}"


@contextmanager
def _told(debug: bool) -> Iterator[None]:
    """The log of the service goes to the standard error, a line for each recording."""
    ours, service = logging.getLogger("reelarray"), logging.getLogger("reelarray.watching")
    before = service.level
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    if not debug:  # which shows all logs
        ours.addHandler(handler)
        service.setLevel(logging.INFO)
    try:
        yield
    finally:
        ours.removeHandler(handler)
        service.setLevel(before)


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.levelno < logging.WARNING:
            return text
        time, _, rest = text.partition(record.message)
        return f"{time}{record.levelname.lower()}: {record.message}{rest}"
