"""Submit a command or a recipe: the driver itself runs in batch jobs, one after another until it is done."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import ClusterError, SettingError
from . import folders
from .queues import Queue, get_queue
from .runs import KINDS, Run, open_run
from .script import driver_script
from .settings import Settings, settings
from .values import walltime_text

# Of a recipe: what its driver job is asked for; what driver and workers share; all else is the workers'.
OF_DRIVER = ("cores", "memory", "job_memory", "walltime", "run_directory")
SHARED = (
    *("queue", "account", "interface", "prologue", "environment", "umask", "python"),
    *("skip_directives", "extra_directives"),
)
# s that a link waits for the lease of an output: a node that the queue takes for lost may be at work for a while yet.
PREDECESSOR = 300
# Variables that the command gets as they are here: PBS hands on none by itself.
_CARRIED = re.compile(r"DASK_\w+|REELARRAY_(ENGINE|CACHE)\w*")


def submit(
    what: str | os.PathLike[str] | Sequence[str],
    *,
    kind: str | None = None,
    preset: str | None = None,
    name: str | None = None,
    after: Run | str | os.PathLike[str] | Iterable[Run | str | os.PathLike[str]] = (),
    chain: int = 1,
    jobs: int | None = None,
    dry_run: bool = False,
    **options: Any,
) -> Run:
    """Submit a recipe (a path) or any command (a list of words) to a batch queue; returns at once.

    The driver of a recipe is a small job of the preset "driver", which starts worker jobs of ``preset``; of the options
    ``cores``, ``memory`` and ``walltime`` are the driver's, ``queue``, ``account``, ``prologue`` and the like are for
    both, others for the workers. A command is one job of ``preset`` and ``options``. All that is known of a run is in
    its folder.

    Parameters
    ----------
    kind : "slurm", "pbs", or "local" for a detached process of this machine; by default the recipe's, or the configured
    preset : see `settings`
    name : of the jobs and, with the time, of the run (default: the recipe's or command's)
    after : runs that have to end well before this one begins; if one does not, this one ends without having begun
    chain : links: while the command is killed or stops with work left (exit code 4), the next one goes on
    jobs : worker jobs of a recipe; nodes of a command
    dry_run : submit nothing, write nothing; the run that would be, with its `script`
    **options : fields of `Settings`

    Raises
    ------
    ClusterError : the queue refused, in its words; nothing is left behind
    SettingError : settings that cannot be; a run to follow that has ended otherwise than well
    FileNotFoundError : no such recipe

    >>> print(submit(["make", "all"], kind="slurm", queue="long", dry_run=True).script)
    #!/bin/bash
    #SBATCH --no-requeue
    #SBATCH --job-name=make
    ...
    """
    if chain < 1:
        raise SettingError(f"chain={chain} was given; the number of links was expected, 1 or more")
    if isinstance(what, str | os.PathLike):
        recipe = Path(what).absolute()
        table = _cluster_of(recipe)
        if kind not in (None, table.get("kind", kind)):  # what is said of one kind holds for no other
            table = {}
        kind = kind or table.get("kind")
    kind = kind or settings().kind
    if kind not in KINDS:
        raise SettingError(f"kind={kind!r}: runs can be submitted to {', '.join(KINDS)}")
    if isinstance(what, str | os.PathLike):
        title = name or _title(recipe.stem)
        job, command = _of_recipe(recipe, table, kind, preset, title, jobs, options)
        nodes = 1
    else:
        command, nodes = _words(what), jobs or 1
        title = name or _title(Path(command[0]).name)
        job = settings(kind, preset, name=title, **options)
    queue = get_queue(kind)
    parents = _parents(after, kind)
    carried = {key: value for key, value in os.environ.items() if _CARRIED.fullmatch(key)}
    folder = Path(job.run_directory) / title
    directory = Path.cwd()
    run = Run(folder, kind, tuple(command), after=tuple(parent.folder for parent in parents))

    def script(folder: Path) -> str:
        return driver_script(
            job,
            command,
            folder=folder,
            directory=directory,
            nodes=nodes,
            # Processes of this machine run as long as they like, unless told.
            walltime=job.walltime if kind != "local" or "walltime" in options else None,
            warn=isinstance(what, str | os.PathLike),
            parents=run.after,
            exports=carried,
        )

    if dry_run:
        return replace(run, script=script(folder))
    run = replace(run, folder=folders.new_folder(Path(job.run_directory), title))
    run = replace(run, script=script(run.folder))
    try:
        return _submitted(run, queue, parents, chain, directory)
    except ClusterError as error:
        shutil.rmtree(run.folder, ignore_errors=True)
        asked = f"{walltime_text(job.walltime)}, {job.cores} cores, {job.job_memory // 2**20:,} MiB"
        raise ClusterError(f"{error}\nThe job asked for {asked}: say walltime=, cores=, memory=, queue=") from error
    except BaseException:
        shutil.rmtree(run.folder, ignore_errors=True)
        raise


def _submitted(run: Run, queue: Queue, parents: Sequence[Run], chain: int, directory: Path) -> Run:
    """Write the folder and submit the links; if one is refused, those before it are taken back."""
    record = {
        "kind": run.kind,
        "command": list(run.command),
        "directory": str(directory),
        "after": [str(parent) for parent in run.after],
        "chain": chain,
        "submitted": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path = run.folder / folders.SCRIPT
    folders.write(path, run.script)
    path.chmod(0o755)
    links: list[str] = []
    try:
        folders.write_record(run.folder, record | {"links": links})
        for _ in range(chain):
            waits = _following(run.kind, links[-1]) if links else _waiting(run.kind, parents)
            links.append(queue.submit(path, **waits))
            folders.write_record(run.folder, record | {"links": links})
    except BaseException as error:
        if isinstance(error, ClusterError) and folders.outcome(run.folder) is not None:
            return replace(run, links=tuple(links))  # the first links have done it all, and PBS forgets jobs that ended
        try:
            queue.cancel(reversed(links))
        except ClusterError as left:
            if isinstance(error, ClusterError):
                raise ClusterError(f"{error}\nLinks may be left in the queue: {left}") from error
            raise error from None
        raise
    return replace(run, links=tuple(links))


def _following(kind: str, job: str) -> dict[str, list[str]]:
    """When a later link may start; what it does then, its script decides by how those before it ended.

    Slurm removes links that have nothing to do. PBS would too, and with them whatever waits for the last of them: it
    never starts jobs after one that was removed before it ran. There, such links start, and end at once.
    """
    return {"after_any" if kind == "pbs" else "after_not_ok": [job]}


def _waiting(kind: str, parents: Iterable[Run]) -> dict[str, list[str]]:
    """When the first link may start: after the last link of each run that it follows; the script reads how they ended.

    A chain has ended well when any of its links has, which no condition of PBS can say, and none of Slurm for two
    chains; its last link leaves the queue last. What PBS does with a job whose condition can never hold differs: some
    keep it for ever. So a condition of success is asked for only where it is exact and removes the job.
    """
    conditions: dict[str, list[str]] = {}
    for parent in parents:
        exact = len(parent.links) == 1 and kind != "pbs"
        conditions.setdefault("after_ok" if exact else "after_any", []).append(parent.links[-1])
    return conditions


def _parents(after: Any, kind: str) -> list[Run]:
    """Runs to wait for: those that have ended well need no waiting."""
    given = [after] if isinstance(after, Run | str | os.PathLike) else list(after)
    waited = []
    for parent in map(open_run, given):
        status = parent.status()
        if status.state == "done":
            continue
        if status.over:
            raise SettingError(
                f"after={parent.name}: that run is {status.state} ({status.reason}), and nothing would ever follow it; "
                "submit it again first, or leave after= out"
            )
        if parent.kind != kind:
            raise SettingError(
                f"after={parent.name}: that run is in the queue of {parent.kind}, this one would be in that of {kind}; "
                "submit it there, or when the other is done"
            )
        waited.append(parent)
    return waited


def _of_recipe(
    recipe: Path,
    table: Mapping[str, Any],
    kind: str,
    preset: str | None,
    title: str,
    jobs: int | None,
    options: Mapping[str, Any],
) -> tuple[Settings, list[str]]:
    """The driver's settings, and its command, which tells it what its workers are asked for."""
    preset = preset or table.get("preset")
    of_workers = {key: value for key, value in options.items() if key not in OF_DRIVER and value is not None}
    if "name" not in table:  # jobs of a run are known by one name
        of_workers = {"name": title} | of_workers
    workers = {key: value for key, value in table.items() if key not in ("kind", "preset")} | of_workers
    if jobs is not None:
        workers["jobs"] = jobs
    settings(kind, preset, **workers)  # refused here, not in the job
    own = {key: value for key, value in table.items() if key in SHARED}
    own |= {key: value for key, value in options.items() if key in (*OF_DRIVER, *SHARED)}
    driver = settings(kind, "driver", name=title, **own)
    command = [driver.python or sys.executable, "-m", "reelarray.cli", "run", str(recipe), "--cluster", kind]
    command += ["--wait", str(PREDECESSOR)]
    if preset is not None:
        command += ["--preset", preset]
    if jobs is not None:
        command += ["--jobs", str(jobs)]
    for key, value in of_workers.items():
        command += ["--set", f"{key}={_text(key, value)}"]
    return driver, command


def _text(name: str, value: Any) -> str:
    """A setting as it is written on a command line: lists as lines, permissions in octal.

    >>> _text("umask", 0o022), _text("cores", 4)
    ('022', '4')
    """
    if isinstance(value, list | tuple):
        return "\n".join(value)
    return f"0{value:o}" if name == "umask" and isinstance(value, int) else str(value)


def _cluster_of(recipe: Path) -> dict[str, Any]:
    """The table [cluster] of a recipe; what else it says is checked where it is run."""
    try:
        table = tomllib.loads(recipe.read_text(encoding="utf-8")).get("cluster", {})
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{recipe} does not exist; a recipe was expected, or a command as a list of words: ['python', 'mine.py']"
        ) from None
    except (ValueError, IsADirectoryError) as error:
        raise SettingError(f"{recipe} is no recipe: {error}") from None
    return dict(table) if isinstance(table, dict) else {}


def _words(what: Sequence[str]) -> list[str]:
    words = [os.fspath(word) for word in what]
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words):
        raise SettingError(f"{what!r} was given; a command as a list of words was expected, or the path of a recipe")
    return words


def _title(text: str) -> str:
    """A name that queues take.

    >>> _title("my run, 2.toml")
    'my-run-2.toml'
    """
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-.") or "run"
