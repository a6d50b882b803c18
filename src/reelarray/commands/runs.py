"""What `reel run` does: a recipe carried out, with a summary."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..cli import in_options
from ..cli.codes import OK
from ..driving import Stop
from ..errors import RecipeError
from ..progress import Progress, say
from ..recipe import Report, load_recipe
from ..recipe.describe import input_lines
from ..recipe.report import MOST_SHOWN
from ..recipe.run import Plan, carry_out, look, plan_of
from ..recipe.whole import WholePlan
from ..recipe.workers import check_workers
from ..sinks.atomic import check_folder, writing
from ..sinks.zarr import open_zarr

OPTIONS = ("retry_failed", "overwrite", "wait", "cluster", "preset")  # that texts of a run speak of


def run(arguments: argparse.Namespace) -> int:
    """`reel run RECIPE`."""
    recipe = load_recipe(arguments.recipe)
    if arguments.jsonreport is not None:
        check_folder(Path(arguments.jsonreport))
    options: dict[str, Any] = {
        "cluster": arguments.cluster,
        "preset": arguments.preset,
        "settings": _settings(arguments),
        "retry_failed": arguments.retry_failed,
        "verify": arguments.verify,
        "overwrite": arguments.overwrite,
        "wait": arguments.wait,
    }
    check_workers(recipe, arguments.cluster, arguments.preset, options["settings"])
    with stopping() as stop:
        plan = plan_of(recipe)
        if arguments.dry_run:
            report = look(plan, overwrite=arguments.overwrite)
            say("\n".join(report.plan) + "\n", sys.stdout)
        else:
            report = run_and_tell(plan, stop, options)
    if arguments.jsonreport is not None:
        write_report(report, Path(arguments.jsonreport))
    return OK if arguments.dry_run else report.exit_code


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in arguments.set:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise RecipeError(f"--set {text}: NAME=VALUE was expected, such as --set walltime=02:00:00")
        found[name.replace("-", "_")] = value
    return found | ({} if arguments.jobs is None else {"jobs": arguments.jobs})


def run_and_tell(plan: Plan, stop: Stop, options: Mapping[str, Any]) -> Report:
    """Carry a plan out; print what is read, what was made, and what was not."""
    begun = time.monotonic()
    say("".join(f"{line}\n" for line in input_lines(plan) if not line.startswith("left out")), sys.stdout)
    folder = os.environ.get("REELARRAY_RUN")  # of the job that this is the driver of
    record = Path(folder, "progress.json") if folder and os.path.isdir(folder) else None
    progress = Progress("blocks" if isinstance(plan, WholePlan) else "recordings", record=record)

    def tell(line: str) -> None:
        progress.close()
        say(f"{line}\n", sys.stderr)

    try:
        report = carry_out(plan, stop=stop, progress=progress, tell=tell, **options)
    finally:
        progress.close()
    for line in (*result_lines(plan, report), f"time      {time.monotonic() - begun:.1f} s", *trouble_lines(report)):
        say(f"{line}\n", sys.stdout)
    if record is not None:
        try:
            write_report(report, record.with_name("report.json"))
        except OSError as error:  # the next job of a chain goes by the exit code: what was made, was made
            say(f"reel: the report of the run could not be written: {error}\n", sys.stderr)
    return report


def result_lines(plan: Plan, report: Report) -> list[str]:
    """What is there now, and how much of it was there before."""
    path, what = plan.recipe.output["path"], "blocks" if isinstance(plan, WholePlan) else "outputs"
    lines = []
    if not isinstance(plan, WholePlan):
        lines.append(f"output    {path}: {report.done + report.skipped:,} of {report.total:,} outputs")
    elif plan.store is None:
        lines += [] if report.failed else [f"picture   {path}"]
    else:
        lines.append(f"output    {path}: {_store(plan.path)}")
    if report.skipped:
        lines.append(f"resumed   {report.skipped:,} {what} were there, {report.done:,} were made")
        for driver in report.drivers[-MOST_SHOWN:]:
            job = f"job {driver['job']}, " if driver["job"] else ""
            lines.append(f"earlier   {driver['began']}: {job}process {driver['pid']} on {driver['host']}")
    if plan.recipe.picture and report.ending in ("complete", "failures"):
        lines.append(f"picture   {plan.recipe.picture['path']}")
    return lines


def _store(path: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is missing is told below
        x = open_zarr(path)
    shape = " x ".join(f"{n:,} {d}" for d, n in x.sizes.items())
    size = sum(f.stat().st_size for f in Path(path).rglob("*") if f.is_file())
    return f"{shape} ({x.attrs.get('units', '?')}), {size / 1e6:,.1f} MB"


def trouble_lines(report: Report) -> list[str]:
    """What is not there, and why; and what to do."""
    lines = []
    left_out = report.recordings[report.recordings["state"] == "left out"]
    for row in left_out.itertuples(index=False):
        lines.append(f"left out  {os.path.basename(str(row.path))}: {row.error}")
    failed = report.units[report.units["state"] == "failed"]
    for row in failed.head(MOST_SHOWN).itertuples(index=False):
        lines.append(f"failed    {row.unit}: {row.error}: {row.message}")
    if len(failed) > MOST_SHOWN:
        lines.append(f"failed    and {len(failed) - MOST_SHOWN:,} more")
    if report.ending in ("stopped", "gave up"):
        why = "by Ctrl-C" if report.why == "SIGINT" else in_options(report.why, OPTIONS)
        again = "; the same command goes on" if report.ending == "stopped" else ""
        lines.append(f"{report.ending:<9} {why}: {report.left:,} are left{again}")
    elif len(failed):
        lines.append("          the same command tries those again whose file has changed; --retry-failed tries all")
    return lines


def write_report(report: Report, path: Path) -> None:
    """The report as JSON."""
    with writing(path) as temporary:
        temporary.write_text(json.dumps(report.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def stopping() -> Iterator[Stop]:
    """SIGINT, SIGTERM and SIGUSR1 ask the run to stop while this lasts; a second SIGINT ends it at once."""
    stop = Stop()
    before: dict[int, Any] = {}

    def ask(number: int, frame: object) -> None:
        stop.ask(signal.Signals(number).name)
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)
            say("\nreel: stopping, units at work may end; interrupt again to end at once\n", sys.stderr)

    try:
        for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
            if (number := getattr(signal, name, None)) is not None:
                before[number] = signal.signal(number, ask)
    except ValueError:
        pass  # signals reach the main thread only: who runs us elsewhere asks in another way
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
