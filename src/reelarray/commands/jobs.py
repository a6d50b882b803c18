"""What the subcommands on submitted runs do: submit, status, logs, cancel."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..cli.codes import OK
from ..cli.jobs import LINES, SETTINGS
from ..clusters.runs import Run, open_run, runs, statuses
from ..clusters.status import Status
from ..clusters.submitting import submit
from ..clusters.values import assignments
from ..progress import span


def submit_run(arguments: argparse.Namespace) -> int:
    """`reel submit`: a recipe or a command into a queue."""
    if arguments.recipe is not None:
        from ..recipe import load_recipe

        load_recipe(arguments.recipe)  # what is wrong with it is said here, not in the log of a job
    settings = _settings(arguments)
    name = settings.pop("name", None)  # --set name=
    run = submit(
        arguments.words or arguments.recipe,
        kind=arguments.cluster,
        preset=arguments.preset,
        name=arguments.name or name,
        after=arguments.after,
        chain=arguments.chain,
        jobs=arguments.jobs,
        dry_run=arguments.dry_run,
        **settings,
    )
    if arguments.dry_run:
        print(run.script, end="")
        return OK
    print(f"run       {run.name}")
    print(f"queue     {run.kind}, job{'s'[: len(run.links) > 1]} {', '.join(run.links)}")
    print(f"folder    {run.folder}")
    print(f"next      reel status {run.name}; reel logs {run.name} --errors; reel cancel {run.name}")
    return OK


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    named = {name: getattr(arguments, name) for name in (*SETTINGS, *LINES)}
    return {name: value for name, value in named.items() if value is not None} | assignments(arguments.set)


def show_status(arguments: argparse.Namespace) -> int:
    """`reel status`: one run with its jobs, or a line for each."""
    which = runs() if arguments.which is None else [open_run(arguments.which)]
    found = list(zip(which, statuses(which), strict=True))
    if arguments.json:
        rows = [_as_json(run, status) for run, status in found]
        print(json.dumps(rows if arguments.which is None else rows[0], indent=1))
    elif arguments.which is None:
        width = max((len(run.name) for run in which), default=0)
        for run, status in found:
            said = _progress(status.progress)
            print(f"{run.name:{width}}  {run.kind:5}  {status.state}{f'  {said}' if said else ''}")
        if not found:
            print("no runs were submitted", file=sys.stderr)
    else:
        for run, status in found:
            print(f"run       {run.name} ({run.kind}), {run.folder}")
            print(f"state     {status}")
            if status.progress:
                print(f"progress  {_progress(status.progress)}")
            if status.state in ("failed", "killed", "stopped") and (last := _last_line(run)):
                print(f"said      {last}")
    return OK


def show_logs(arguments: argparse.Namespace) -> int:
    """`reel logs`: what a run has written."""
    run = open_run(arguments.which)
    text = run.log("err" if arguments.errors else "out", job=arguments.job, tail=arguments.tail)
    sys.stdout.write(text)
    if not text:
        other = "without --errors" if arguments.errors else "with --errors"
        print(f"reel: {run.name} has written nothing here; look {other}, or in {run.folder / 'logs'}", file=sys.stderr)
    return OK


def cancel_run(arguments: argparse.Namespace) -> int:
    """`reel cancel`: end a run."""
    run = open_run(arguments.which)
    status = run.status()
    if status.over and status.state != "unknown":
        if status.state in ("killed", "cancelled"):
            run.cancel_workers()
        print(f"{run.name} has ended already: {status.state}")
        return OK
    run.cancel()
    left = [link.job for link in status.links if link.state in ("RUNNING", "PENDING", "UNKNOWN")]
    print(f"{run.name}: cancelled ({run.kind}, job{'s'[: len(left) > 1]} {', '.join(left)})")
    return OK


def _as_json(run: Run, status: Status) -> dict[str, Any]:
    about = {"name": run.name, "folder": str(run.folder), "kind": run.kind, "command": list(run.command)}
    return about | {"after": [str(parent) for parent in run.after]} | status.to_dict()


def _progress(said: Mapping[str, Any] | None) -> str:
    """How far a run has come, in a few words.

    >>> _progress({"done": 30, "total": 120, "failed": 1, "skipped": 0, "rate": 2.5, "seconds_left": 36})
    '30 of 120 done, 1 failed, 2.5 a second, 36 s left'
    """
    if not said or "done" not in said:
        return ""
    words = [f"{said['done']:,} of {said['total']:,} done" if said.get("total") else f"{said['done']:,} done"]
    words += [f"{said[name]:,} {name}" for name in ("skipped", "failed") if said.get(name)]
    if said.get("rate"):
        words.append(f"{said['rate']:.3g} a second")
    if said.get("seconds_left"):
        words.append(f"{span(said['seconds_left'])} left")
    return ", ".join(words)


def _last_line(run: Run) -> str:
    links = [link for link in run.status().links if link.exit_code not in (None, 4) and link.begun is not None]
    job = links[0].job if links else None  # those after it said that there was nothing left to do
    lines: Sequence[str] = [line for line in run.log("err", job=job, tail=20).splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
