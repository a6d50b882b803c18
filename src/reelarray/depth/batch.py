"""Many recordings: each extracted once, what fails noted, and the rest gone on with."""

from __future__ import annotations

import errno
import logging
import math
import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from ..driving import Calls, Done, Failure, Policy, Stop, drive, whole_worker
from ..driving.judge import Judge
from ..errors import ClusterError, FormatError, GaveUp, RecordingError, Unwritable
from ..sinks.files import refusals
from ..sinks.journal import Journal, Record, failures, read_records
from ..sinks.running import failure_record
from .batchplan import BatchPlan, Recordings, Unit, plan_recordings, results_in_place
from .crew import Crew, asked_for
from .options import Options
from .records import Seen
from .running import Extracted, extract_recording
from .status import Status, fail_status, read_status

log = logging.getLogger(__name__)

FLAGS = tuple(str(seen.name).lower() for seen in Seen)
COLUMNS = ("recording", "status", "frames", *FLAGS, "seconds", "results", "error")
FULL = errno.ENOSPC, errno.EDQUOT  # refuses all recordings alike
PASSING = ("OutputHeld",)  # failures that say nothing of the next call


def extract_recordings(
    recordings: Recordings,
    config: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *,
    skip_extracted: bool | None = None,
    force: bool = False,
    retry_failed: bool = False,
    cluster: Any = None,
    preset: str | None = None,
    client: Any = None,
    settings: Mapping[str, Any] | None = None,
    dry_run: bool = False,
    state_folder: str | os.PathLike[str] | None = None,
    stop: Stop | None = None,
    progress: Callable[[int, int, int], None] | None = None,
    tell: Callable[[str], None] = log.info,
    **options: Any,
) -> pd.DataFrame:
    """Extract many recordings, and say what became of each: one row a recording.

    A recording that fails is noted, in the table, in its results_NN.yaml and in a journal, and the others are gone on
    with; it is not tried again while it and its options are the same, unless `retry_failed`. A call that was ended, in
    whatever way, is gone on with by the same call. Without a cluster recordings come one after the other, blocks of
    each on the scheduler in use; workers of a cluster take a whole recording each.

    Parameters
    ----------
    recordings : what `find_recordings` found, a folder, a file, or a list of folders and files; None is `input_dir` of
        the options
    config, **options : as for `extract_recording`, for all recordings. With `session_config_path`, a YAML file of
        options by name of a recording's folder, those of the file win over the ones of `config` (with `compat` they
        take their place), and those of the call over both
    skip_extracted : leave complete results alone, whatever options they are of; unless given, the option of that name.
        Those of the same options and input are left alone always
    force : extract again what is complete
    retry_failed : try again what failed before
    cluster : "local", "slurm", "pbs", ... to start a cluster for this call, or one that is there. Unless given, slurm
        or pbs where `cluster_type` says so, else this process. Of the options that were given, `partition`, `ncpus`,
        `memory` (of a job), `wall_time` and `prefix` (lines of a shell) are the `queue`, `cores`, `job_memory`,
        `walltime` and `prologue` of `ra.cluster`; others are as the site has configured them
    preset, settings : of that cluster, further keywords of `ra.cluster`; `settings` win. Without `jobs` there is a
        worker job for each recording, at most 20
    client : a `distributed.Client` to run on, instead
    dry_run : look only: "left" is what would be done
    state_folder : for the journal, in place of .reelarray in the folder that all recordings are below
    stop : to end from elsewhere: `stop.ask("why")`
    progress : called with (recordings in place, in all, failed)
    tell : gets lines about the cluster

    Returns
    -------
    DataFrame : recording (path), status ("done", "skipped", "failed", "left out", "left"), frames, numbers of frames
        by what is odd in them (empty, missing, edge, several, high, held), seconds, results (path), error (or the
        reason). `table.attrs` has `ending` ("complete", "failures", "stopped", "gave up", "planned") and `why`

    Raises
    ------
    RecipeError, FileNotFoundError : options or paths that cannot be; nothing was begun
    OutputHeld : another process works on the same recordings
    Unwritable : the disk is full
    ClusterError, SettingError : no cluster can be started

    >>> import tempfile
    >>> from reelarray.demo.depth import make_session
    >>> how = {"camera_type": "kinect", "intrinsics": {"fx": 180, "fy": 180}, "write_movie": False}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for k in (0, 1):
    ...         _ = make_session(f"{folder}/mouse {k}", frames=30, shape=(212, 256), seed=k)
    ...     first = extract_recordings(folder, how)
    ...     again = extract_recordings(folder, how)
    >>> first["status"].tolist(), first["frames"].tolist(), again["status"].tolist()
    (['done', 'done'], [30, 30], ['skipped', 'skipped'])
    """
    plan = plan_recordings(recordings, config, options=options)
    return carry_out(
        plan,
        skip_extracted=skip_extracted,
        force=force,
        retry_failed=retry_failed,
        cluster=cluster,
        preset=preset,
        client=client,
        settings=settings,
        dry_run=dry_run,
        state_folder=state_folder,
        stop=stop,
        progress=progress,
        tell=tell,
    )


def carry_out(
    plan: BatchPlan,
    *,
    skip_extracted: bool | None = None,
    force: bool = False,
    retry_failed: bool = False,
    cluster: Any = None,
    preset: str | None = None,
    client: Any = None,
    settings: Mapping[str, Any] | None = None,
    dry_run: bool = False,
    state_folder: str | os.PathLike[str] | None = None,
    stop: Stop | None = None,
    progress: Callable[[int, int, int], None] | None = None,
    tell: Callable[[str], None] = log.info,
) -> pd.DataFrame:
    """Do what a plan says; arguments are those of `extract_recordings`."""
    stop = Stop() if stop is None else stop
    if skip_extracted is None:
        skip_extracted = plan.options["skip_extracted"] or plan.options["skip_completed"]
    folder = plan.journal(state_folder)
    there = {
        n: (path, why) for n, path, why in results_in_place(plan.units, skip_extracted=skip_extracted, force=force)
    }
    notes = _Notes(plan, there, progress)
    beside = getattr(progress, "say_beside", lambda words: None)
    if dry_run:
        asked_for(cluster, preset, plan.said, settings or {}, len(plan.units)) if client is None else None
        notes.before(read_records(folder) if folder is not None and folder.is_dir() else (), retry_failed)
        return notes.table("planned")
    with ExitStack() as stack:
        if folder is not None and plan.units:
            with refusals(folder):
                folder.mkdir(parents=True, exist_ok=True)
            notes.journal = Journal.hold(folder, plan.root or folder)
            stack.callback(notes.journal.close)
            notes.before(notes.journal.records, retry_failed)
        todo = notes.left()
        start = None if client is not None else asked_for(cluster, preset, plan.said, settings or {}, len(todo))
        for unit in todo:
            if reason := notes.again.get(unit.name):
                tell(f"again     {unit.path}: {reason}")
        crew = Crew(stop, None if isinstance(cluster, str) else cluster, client, start, tell, beside)
        notes.tell()
        why, ending = "", ""
        try:
            if todo:
                run = _on_workers if crew.outside else _one_by_one
                if not run(todo, notes, crew, stop, force):
                    ending, why = "stopped", stop.asked or ""
        except (GaveUp, ClusterError) as error:
            if isinstance(error, ClusterError) and not notes.tried:
                raise
            ending, why = "gave up", str(error)
        return notes.table(ending, why)


# ---- who works -------------------------------------------------------------------------------------------------------


def _one_by_one(todo: Sequence[Unit], notes: _Notes, crew: Crew, stop: Stop, force: bool) -> bool:
    """In this process; False when stopped. Those that may yet go well are tried once more, at the end."""
    judge = Judge(Policy(), notes.done, notes.failed)
    left = deque(todo)
    while left:
        notes.look()
        if stop.look(math.nan):
            return False
        unit = left.popleft()

        def beat(done: int, total: int, name: str = unit.name) -> None:
            notes.look()
            crew.beside(f"{name}: block {done} of {total}")
            notes.tell()

        try:
            made = _extract(unit.path, unit.options, force, stop=stop, beat=beat)
        except Exception as error:
            if judge.again(unit.name, error):
                left.append(unit)
            continue
        if not made.complete:
            return False
        judge.done([Done(unit.name, made, made.seconds)])
    return True


def _on_workers(todo: Sequence[Unit], notes: _Notes, crew: Crew, stop: Stop, force: bool) -> bool:
    """On a cluster, a recording a task; False when stopped."""
    arguments: dict[Any, tuple[Any, ...]] = {unit.name: (unit.path, unit.options, force) for unit in todo}
    calls = Calls(_extract_on_worker, arguments, name="extract-recording")
    with crew() as (client, watch):

        def look() -> None:
            notes.look()
            watch()
            notes.tell()

        how: dict[str, Any] = {"policy": Policy(), "stop": stop, "client": client, "beat": look}
        return drive(calls, [unit.name for unit in todo], done=notes.done, failed=notes.failed, **how)


def _extract_on_worker(path: Path, options: Options, force: bool) -> Extracted:
    with whole_worker():
        return _extract(path, options, force)


def _extract(path: Path, options: Options, force: bool, **how: Any) -> Extracted:
    """Extract one; that its folder cannot be written is its own failure, unless the disk is full."""
    try:
        return extract_recording(path, options, force=force, **how)
    except Unwritable as error:
        if error.errno in FULL:
            raise
        raise RecordingError(str(error)) from error


# ---- what became of it -----------------------------------------------------------------------------------------------


class _Notes:
    """What is known of each recording, as it becomes known."""

    def __init__(
        self,
        plan: BatchPlan,
        in_place: Mapping[str, tuple[Path, str]],
        progress: Callable[[int, int, int], None] | None,
    ) -> None:
        self.plan, self.in_place, self.progress = plan, in_place, progress
        self.journal: Journal | None = None
        self.again = {unit.name: why for unit in plan.units.values() if (why := unit.outdated())}
        self.made: dict[str, Extracted] = {}
        self.wrong: dict[str, Record] = {}

    @property
    def tried(self) -> int:
        """How many recordings were tried in this call."""
        return len(self.made) + sum("now" in record for record in self.wrong.values())

    def before(self, records: Sequence[Record], retry_failed: bool) -> None:
        """What failed in earlier calls, and is not to be tried again."""
        known = {} if retry_failed else failures(records)
        for name, unit in self.plan.units.items():
            if name not in self.in_place and (name, unit.fingerprint) in known:
                self.wrong[name] = known[name, unit.fingerprint]

    def left(self) -> list[Unit]:
        """What is to be done."""
        found = (n for n in self.plan.units if n not in self.in_place and n not in self.wrong and n not in self.made)
        return [self.plan.units[name] for name in found]

    def look(self) -> None:
        """Raise where somebody else took the journal over."""
        if self.journal is not None:
            self.journal.lease.check()

    def tell(self) -> None:
        """Progress."""
        if self.progress is not None:
            self.progress(len(self.in_place) + len(self.made), len(self.plan.units), len(self.wrong))

    def done(self, units: Sequence[Done]) -> None:
        """Note recordings that were extracted."""
        records = []
        for each in units:
            self.made[each.unit] = each.value
            record = {"done": each.unit, "of": self.plan.units[each.unit].fingerprint, "frames": each.value.frames}
            records.append(record | {"seconds": round(each.value.seconds, 3), "t": round(time.time(), 3)})
        self._write(records)
        self.tell()

    def failed(self, failure: Failure) -> None:
        """Note a recording that failed for good, also where its worker died and could not say so."""
        unit = self.plan.units[failure.unit]
        record = failure_record(failure, failure.unit, unit.fingerprint)
        self.wrong[failure.unit] = record | {"now": True, "seconds": failure.seconds}
        if failure.type not in PASSING:
            self._write([record])
        if failure.kind != "raised":
            status = unit.statuses[0]
            with suppress(FormatError, OSError):
                found = read_status(status)
                if not found.complete:
                    fail_status(status, found, f"{failure.type}: {failure.message}")
        self.tell()

    def _write(self, records: Sequence[Record]) -> None:
        if self.journal is not None:
            with refusals(self.journal.folder):
                self.journal.note(records)
                self.journal.sync()

    def table(self, ending: str = "", why: str = "") -> pd.DataFrame:
        """One row a recording, those that are left out last."""
        rows = [self._row(unit) for unit in self.plan.units.values()]
        for path, reason in self.plan.left_out.items():
            rows.append({"recording": path, "status": "left out", "results": "", "error": reason})
        made = pd.DataFrame(rows, columns=pd.Index(COLUMNS))
        made = made.astype(dict.fromkeys(("frames", *FLAGS), "Int64") | {"seconds": "float64"})
        made.attrs = {"ending": ending or ("failures" if self.wrong else "complete"), "why": why}
        return made

    def _row(self, unit: Unit) -> dict[str, Any]:
        row: dict[str, Any] = {"recording": str(unit.path), "status": "left", "results": "", "error": ""}
        if unit.name in self.made:
            made = self.made[unit.name]
            row |= {"status": "done", "frames": made.frames, "seconds": made.seconds, "results": str(made.results)}
            return row | _counts(made.flagged)
        if unit.name in self.in_place:
            path, why = self.in_place[unit.name]
            row |= {"status": "skipped", "results": str(path.with_suffix(".h5")), "error": why}
            return row | _counts(_status(path).flagged)
        if unit.name in self.wrong:
            wrong = self.wrong[unit.name]
            row |= {"status": "failed", "error": f"{wrong['type']}: {wrong['message']}"}
            return row | {"seconds": wrong.get("seconds", math.nan)}
        return row | {"error": self.again.get(unit.name, "")}


def _counts(flagged: Mapping[str, int]) -> dict[str, int]:
    return {name: int(flagged.get(name, 0)) for name in FLAGS}


def _status(path: Path) -> Status:
    try:
        return read_status(path)
    except (FormatError, OSError):
        return Status()
