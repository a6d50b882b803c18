"""Jobs on disk: a folder each, with what was asked (`job.json`), how it stands (`state.json`), script and output."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

UNKNOWN_JOB, FINISHED_JOB = 153, 35  # exit codes of PBS Professional's commands
KILLED = 256 + 15  # a signal that ends a job is told as 256 more
QUEUED, HELD, RUNNING, FINISHED = "Q", "H", "R", "F"


def home() -> Path:
    folder = os.environ.get("PBS_SHIM_HOME") or f"{tempfile.gettempdir()}/pbs-shim-{os.getuid()}"
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)


@dataclass(frozen=True)
class Job:
    """What was submitted; it never changes."""

    number: int
    name: str
    submitted_from: str
    output: str
    error: str
    joined: str = "n"
    direct: bool = False  # output goes to its place while the job runs
    queue: str = "workq"
    account: str | None = None
    shell: str = "/bin/bash"
    umask: int = 0o077  # PBS's own default
    walltime: float | None = None
    resources: dict[str, str] = field(default_factory=dict)
    dependencies: tuple[tuple[str, tuple[int, ...]], ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0

    @property
    def id(self) -> str:
        return f"{self.number}.shim"

    @property
    def folder(self) -> Path:
        return home() / str(self.number)


@dataclass(frozen=True)
class State:
    """How a job stands: a letter of qstat, and of a job that has ended its exit status."""

    letter: str
    exit_status: int | None = None
    comment: str = ""
    group: int | None = None  # process group of the script
    started: float | None = None


def new_folder() -> int:
    """The number of a job whose folder was just made: creating it is what makes numbers unique."""
    number = 1 + max((int(folder.name) for folder in home().iterdir() if folder.name.isdigit()), default=0)
    while True:
        try:
            (home() / str(number)).mkdir()
            return number
        except FileExistsError:
            number += 1


def save(job: Job) -> None:
    write(job.folder / "job.json", asdict(job))


def load(number: int) -> Job:
    read = json.loads((home() / str(number) / "job.json").read_text())
    read["dependencies"] = tuple((kind, tuple(numbers)) for kind, numbers in read["dependencies"])
    return Job(**read)


def set_state(job: Job, state: State) -> None:
    write(job.folder / "state.json", asdict(state))


def state(number: int) -> State | None:
    """How a job stands; None of one that was never submitted."""
    try:
        return State(**json.loads((home() / str(number) / "state.json").read_text()))
    except FileNotFoundError:
        return None


def write(path: Path, value: dict[str, Any]) -> None:
    """Whole or not at all: other commands read while this one writes."""
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(value))
    part.replace(path)


def request_end(number: int) -> None:
    """Tell the job's supervisor to end it."""
    (home() / str(number) / "delete").touch()


def end_requested(number: int) -> bool:
    return (home() / str(number) / "delete").exists()


def number_of(text: str) -> int | None:
    """12 of "12" and "12.shim"; None of anything else."""
    digits, _, server = text.partition(".")
    return int(digits) if digits.isdigit() and server in ("", "shim") else None


def every() -> list[int]:
    """Numbers of all jobs, in the order of their submission."""
    numbers = (int(folder.name) for folder in home().iterdir() if folder.name.isdigit())
    return sorted(number for number in numbers if state(number))
