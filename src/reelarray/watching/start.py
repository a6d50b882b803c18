"""`watch()`: folders are watched, and each recording in them that is finished is processed, once."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..driving import Stop
from ..errors import SettingError
from ..recipe.run import Given
from ..sinks.journal import StoppedWaiting, Wait
from .clock import Clock
from .crew import crew
from .finding import Names
from .options import Options
from .recipes import RecipeProcess
from .service import Service
from .settings import Settings
from .state import State
from .stopping import Asked, signals
from .tally import Counts
from .unit import Found, Process

log = logging.getLogger(__name__)


def watch(
    folders: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Options | Settings,
    process: Process | Given | None = None,
    *,
    once: bool = False,
    cluster: Any = None,
    preset: str | None = None,
    client: Any = None,
    retry_failed: bool = False,
    verify: bool = False,
    redo: Collection[str] = (),
    stop: Stop | None = None,
    **options: Any,
) -> Counts:
    """Process each recording that is in folders, or comes into them, as soon as it is finished; until asked to stop.

    What is done, and what failed, is kept in a journal: the same call goes on where it stopped, whatever stopped it.
    A recording is done once for its name, size, time of last change, and the settings. Outputs that are gone are made
    again. SIGINT and SIGTERM ask to stop, as `stop.ask("why")` does; recordings in process then get some time.

    Parameters
    ----------
    folders : one or several, or all of the `Options`; or the settings of `ra.load_settings`, which say all the rest
    process : a recipe with a placeholder in its output (a `Recipe`, the path of one, or a dict of its tables), or an
        object as `reelarray.watching.unit.Process` describes
    once : come to an end when what is there is processed
    cluster, preset, client : where recordings are processed, as in `run_recipe`; by default threads of this process
    retry_failed : try at once what failed before, though it was to be tried later
    verify : read outputs that are there, and make those again that are not as they were written
    redo : patterns of recordings that are made again, such as "2014/*.tiq"
    stop : to ask for the end from elsewhere
    **options : see `reelarray.watching.options.Options`: suffixes, recursive, settle_seconds, in_flight, ...

    Returns
    -------
    Counts : how many recordings are pending, done and failed, and how many were made by this call

    Raises
    ------
    SettingError, RecipeError : the options, or the recipe, cannot be used
    OutputHeld : another service does this; the message says which
    FileNotFoundError : a folder is not there
    ClusterError, GaveUp : no workers

    >>> import tempfile, wave
    >>> folder = tempfile.mkdtemp()
    >>> with wave.open(f"{folder}/20220301_120000.wav", "wb") as file:
    ...     file.setparams((1, 2, 8000, 0, "NONE", "")); file.writeframes(bytes(16000))
    >>> recipe = {
    ...     "input": {"paths": folder},
    ...     "step": [{"use": "power_spectrum", "every": "1s"}],
    ...     "output": {"path": folder + "/spectra/{stem}.npz"},
    ... }
    >>> made = watch(folder, recipe, once=True, settle_seconds=0.1, min_free_bytes=0)
    >>> made.done, made.failed, made.pending
    (1, 0, 0)
    """
    how: dict[str, Any] = {"retry_failed": retry_failed, "verify": verify, "redo": redo}
    if isinstance(folders, Settings):
        own = folders.cluster.plain()
        if cluster is None and client is None and own:
            cluster, preset = own.pop("kind", None), preset or own.pop("preset", None)
            how["settings"] = own
        process = folders.process if process is None else process
        folders = folders.options
    if process is None:
        raise SettingError(
            "folders were given without what is done with a recording: pass a recipe, or in place of the folders what "
            "ra.load_settings gives"
        )
    made = as_process(process)
    told = options_of(folders, made, options)
    stop = Stop() if stop is None else stop
    counts, _ = serve(told, made, once=once, cluster=cluster, preset=preset, client=client, stop=stop, **how)
    return counts


def as_process(given: Process | Given) -> Process:
    """A process, whichever way it is given."""
    return given if isinstance(given, Process) else RecipeProcess.of(given)


def options_of(
    folders: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Options,
    process: Process,
    given: Mapping[str, Any],
) -> Options:
    """All options; of a recipe recordings of every format are taken, and its journal is beside its outputs."""
    if isinstance(folders, Options):
        return replace(folders, **given) if given else folders
    listed = [folders] if isinstance(folders, str | os.PathLike) else list(folders)
    more: dict[str, Any] = {}
    if isinstance(process, RecipeProcess):
        more = {"suffixes": "all", "state_folder": process.state_folder}
    known = set(Options.__dataclass_fields__)
    if wrong := sorted(set(given) - known):
        raise SettingError(f"unknown option {wrong[0]}=; there are {', '.join(sorted(known - {'folders'}))}")
    return Options(tuple(os.path.abspath(os.path.expanduser(each)) for each in listed), **(more | dict(given)))


def serve(
    options: Options,
    process: Process,
    *,
    once: bool = False,
    cluster: Any = None,
    preset: str | None = None,
    settings: Mapping[str, Any] = {},
    client: Any = None,
    retry_failed: bool = False,
    verify: bool = False,
    redo: Collection[str] = (),
    stop: Stop | None = None,
) -> tuple[Counts, Asked]:
    """`watch`, with everything made ready; also tells how it was asked to stop."""
    for folder in options.folders:
        if not os.path.isdir(folder):  # before anything is begun
            what = "there is no such folder to be watched: make it first, or give another"
            raise FileNotFoundError(errno.ENOENT, what, folder)
        os.scandir(folder).close()
    stop, clock = Stop() if stop is None else stop, Clock()
    with signals(stop, options.grace_seconds, clock.bell.ring) as asked:
        wait = Wait(asked=lambda: stop.asked is not None)
        try:
            state = State(Path(options.state), process.fingerprint, clock.time(), wait=wait)
        except StoppedWaiting:  # for the lease of another machine to get stale
            return Counts(stopped=str(stop.asked)), asked
        try:
            log.info("watching %s; journal in %s", ", ".join(options.folders), options.state)
            with crew(
                options.in_flight,
                clock.bell.ring,
                cluster=cluster,
                preset=preset,
                settings=settings,
                client=client,
                process=process,
                check=lambda: (options.folders, _some_targets(options, process)),
            ) as flow:
                how: dict[str, Any] = {"verify": verify, "retry_failed": retry_failed, "redo": redo}
                service = Service(options, process, flow, state, clock=clock, once=once, **how)
                counts = service.run(stop)
        finally:
            state.close()
    log.info("%d done, %d failed, %d pending", counts.done, counts.failed, counts.pending)
    return counts, asked


def _some_targets(options: Options, process: Process) -> tuple[str, ...]:
    """Outputs of a recording that could be, whose folders are made."""
    folder = os.path.abspath(options.folders[0])
    name = f"recording{Names(options).suffixes[0]}"
    found = Found(os.path.join(folder, name), folder, name, os.path.basename(folder), 0, 0)
    targets = process.targets(found)
    for target in targets:
        os.makedirs(os.path.dirname(target), exist_ok=True)
    return targets
