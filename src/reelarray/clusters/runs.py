"""Runs in a batch queue: found by name or folder, asked, read and cancelled from any process that sees the folder."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..errors import ClusterError, SettingError
from . import folders
from .queues import State, get_queue
from .settings import settings
from .status import Status, judge

KINDS = ("slurm", "pbs", "local")  # that a driver can be submitted to


@dataclass(frozen=True)
class Run:
    """A command in a batch queue, over as many jobs (links) as it takes. What it knows is in its folder.

    Parameters
    ----------
    folder : of the run; its last part is the run's name
    kind : of the queue
    command : what it runs
    links : ids of its jobs, first to last
    after : folders of the runs that it waits for
    script : text of the job file
    """

    folder: Path
    kind: str
    command: tuple[str, ...]
    links: tuple[str, ...] = ()
    after: tuple[Path, ...] = ()
    script: str = field(default="", repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.folder.name

    def status(self) -> Status:
        """How the run stands, by one question to the queue."""
        return statuses([self])[0]

    def log(self, which: Literal["out", "err"] = "out", job: str | None = None, tail: int | None = None) -> str:
        """What the run wrote: of all links in their order, each below a line that names it where there are several.

        Parameters
        ----------
        which : "out", or "err" for errors and messages
        job : only of this one: a link, or a worker job of the run
        tail : only so many last lines

        Raises
        ------
        SettingError : no such job has written anything
        """
        if which not in ("out", "err"):
            raise SettingError(f"which={which!r} was given; 'out' or 'err' was expected")
        parts = [(link, folders.logs(self.folder, which, link)) for link in self.links if job in (None, link)]
        if job is not None and not parts:
            parts = [(job, _of_worker(self.folder, job))]
            if not parts[0][1]:
                raise SettingError(
                    f"there is no log of job {job} in {self.folder / 'logs'}; the links of this run are "
                    f"{', '.join(self.links) or 'none'}"
                )
        texts = [(link, "".join(path.read_text(errors="replace") for path in paths)) for link, paths in parts if paths]
        heads = [f"==> job {link} <==\n" if len(texts) > 1 else "" for link, _ in texts]
        text = "".join(head + text for head, (_, text) in zip(heads, texts, strict=True))
        return text if tail is None else "".join(text.splitlines(keepends=True)[-tail:] if tail > 0 else ())

    def cancel(self) -> None:
        """End all links, the last first, so that none of them takes the end of another for its turn; then its workers.

        Raises
        ------
        ClusterError : the queue does not answer, or refuses
        """
        (self.folder / folders.CANCELLED).touch()  # a link that starts nevertheless ends at once
        get_queue(self.kind).cancel(reversed(self.links))
        self.cancel_workers()

    def cancel_workers(self) -> None:
        """End worker jobs that a driver has left in the queue because it was killed.

        Raises
        ------
        ClusterError : the queue does not answer, or refuses
        """
        for kind, jobs in folders.worker_jobs(self.folder).items():
            get_queue(kind).cancel(jobs)


def _of_worker(folder: Path, job: str) -> list[Path]:
    """Logs of a worker job, which dask-jobqueue names after its id."""
    number = folders.number(job)
    return [path for path in sorted((folder / "logs" / "workers").glob(f"*{number}*")) if number in path.name]


def open_run(run: Run | str | os.PathLike[str]) -> Run:
    """A run by its folder, its name, or the name that was given to it (the newest of that name).

    Raises
    ------
    SettingError : there is none
    """
    if isinstance(run, Run):
        run = run.folder
    text = os.fspath(run)
    for folder in (Path(text), *(directory / text for directory in run_directories())):
        if (found := _read(folder.absolute())) is not None:
            return found
    known = runs()
    if named := [run for run in known if re.fullmatch(rf"{re.escape(text)}-\d{{8}}-\d{{6}}(-\d+)?", run.name)]:
        return named[0]
    near = difflib.get_close_matches(text, [run.name for run in known], 1)
    hint = f"did you mean {near[0]}? " if near else ""
    places = ", ".join(map(str, run_directories()))
    raise SettingError(f"there is no run {text!r} in {places}; {hint}`reel status` lists those that are there")


def runs(directory: str | os.PathLike[str] | None = None) -> list[Run]:
    """All runs whose folders are there, the newest first.

    Parameters
    ----------
    directory : that holds folders of runs (default: those of the configuration, `run_directory`)

    >>> import tempfile
    >>> runs(tempfile.mkdtemp())
    []
    """
    where = run_directories() if directory is None else [Path(directory).absolute()]
    found: list[tuple[float, Run]] = []
    for place in where:
        for folder in place.iterdir() if place.is_dir() else ():
            if (run := _read(folder)) is not None:
                found.append(((folder / folders.SCRIPT).stat().st_mtime, run))
    return [run for _, run in sorted(found, key=lambda pair: (pair[0], pair[1].name), reverse=True)]


def statuses(which: Sequence[Run]) -> list[Status]:
    """How runs stand, by one question to each queue; those that have ended and told so need none."""
    states: dict[str, dict[str, State]] = {}
    problems: dict[str, str] = {}
    for kind in {run.kind for run in which}:
        asked = [job for run in which if run.kind == kind and _open(run, len(which)) for job in run.links]
        try:
            states[kind] = get_queue(kind).states(asked)
        except ClusterError as error:
            states[kind], problems[kind] = {}, str(error)
    return [judge(run.folder, run.command, run.links, states[run.kind], problems.get(run.kind, "")) for run in which]


def _open(run: Run, count: int) -> bool:
    """Whether the queue has to be asked; of one run alone all is told."""
    return count == 1 or folders.outcome(run.folder) is None


def run_directories() -> list[Path]:
    """Folders that hold folders of runs, of all kinds of queues in the configuration."""
    return list(dict.fromkeys(Path(settings(kind).run_directory) for kind in KINDS))


def _read(folder: Path) -> Run | None:
    record = folders.read_record(folder)
    if record is None:
        return None
    return Run(
        folder,
        record["kind"],
        tuple(record["command"]),
        tuple(record["links"]),
        tuple(map(Path, record["after"])),
        (folder / folders.SCRIPT).read_text(),
    )
