"""What a worker job asks for and how it starts: shipped presets, the site's configuration and the call, merged."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import dask

from ..errors import SettingError
from . import values

SECTION = "reelarray.cluster"
KINDS = ("local", "slurm", "pbs", "sge", "lsf", "moab", "oar", "htcondor")
# Jobs of a driver and of three sizes; no queue is named, since each site has its own.
SHIPPED: dict[str, dict[str, Any]] = {
    "low": {"cores": 1, "processes": 1, "memory": "4GiB", "walltime": "01:00:00"},
    "medium": {"cores": 6, "processes": 3, "memory": "40GiB", "walltime": "12:00:00"},
    "high": {"cores": 28, "processes": 7, "memory": "120GiB", "walltime": "12:00:00"},
    "driver": {"cores": 1, "processes": 1, "memory": "4GiB", "walltime": "24:00:00"},
}
LOCAL_SHARES = {"low": 0.25, "medium": 0.5, "high": 1.0, "driver": 0.0}  # of this machine's cores and memory
# Keywords of one system's class in dask-jobqueue that have no name of ours.
SPECIAL: dict[str, tuple[str, ...]] = {
    "pbs": ("resource_spec",),
    "moab": ("resource_spec",),
    "sge": ("resource_spec",),
    "oar": ("resource_spec", "memory_per_core_property_name"),
    "lsf": ("ncpus", "lsf_units", "use_stdin"),
    "htcondor": ("disk", "submit_command_extra", "cancel_command_extra"),
}
# Names of dask-jobqueue for the same, so that lines of its documentation and of existing files can be kept.
SAME = {
    "job_script_prologue": "prologue",
    "job_directives_skip": "skip_directives",
    "job_extra_directives": "extra_directives",
    "job_mem": "job_memory",
}
DEFAULTS: dict[str, Any] = {
    "name": "reelarray",
    "jobs": 1,
    "local_directory": "${TMPDIR:-/tmp}",  # of the node, where the job's own shell fills it in
    "prologue": (),
    "skip_directives": (),
    "extra_directives": (),
    "death_timeout": 120.0,
    "security": False,
    "watch_interval": 30.0,
    "patience": 1800.0,
}
READ: dict[str, Any] = {
    **dict.fromkeys(("jobs", "cores", "processes"), values.count),
    "memory": values.memory,
    "job_memory": values.memory,
    "walltime": lambda value, name: values.walltime(value),
    **dict.fromkeys(("death_timeout", "watch_interval", "patience"), values.seconds),
    **dict.fromkeys(("prologue", "skip_directives", "extra_directives"), values.lines),
    "umask": lambda value, name: values.umask(value),
    "security": values.flag,
}


@dataclass(frozen=True)
class Settings:
    """Settings of a cluster, complete and checked; made by `settings()`.

    Parameters
    ----------
    kind : one of `KINDS`
    name : of the jobs, in the queue
    jobs : number of worker jobs
    cores : of one job
    processes : Dask workers of one job, each with cores / processes threads
    memory : limit of all workers of one job, bytes
    job_memory : what one job asks the queue for, bytes; more than `memory`, for the interpreter and its buffers
    walltime : of one job, seconds
    queue, account : of the site; None asks for none
    interface : network interface of workers and scheduler, such as "ib0"; None leaves it to the default route
    scheduler_interface : of the scheduler, where its machine has another; None is `interface`
    log_directory : folder of the logs of worker jobs, on a file system that all nodes share
    local_directory : folder for what workers spill, on storage of the node; its variables are those of the node
    prologue : shell lines of the job before its worker starts
    umask : permissions that new files do not get; None leaves it as it is
    skip_directives : directives with one of these texts in them are left out of the job script
    extra_directives : directives added to the job script
    death_timeout : after which a worker without a scheduler ends, seconds
    security : encrypt what scheduler, workers and client say, with credentials made for this cluster
    watch_interval : between two questions to the queue, seconds
    patience : how long jobs may wait in the queue for the first worker, seconds
    run_directory : where folders of submitted runs live
    python : interpreter of the workers; None is the running one
    special : further keywords of this system in dask-jobqueue
    """

    kind: str
    name: str
    jobs: int
    cores: int
    processes: int
    memory: int
    job_memory: int
    walltime: int
    queue: str | None
    account: str | None
    interface: str | None
    scheduler_interface: str | None
    log_directory: str
    local_directory: str
    prologue: tuple[str, ...]
    umask: int | None
    skip_directives: tuple[str, ...]
    extra_directives: tuple[str, ...]
    death_timeout: float
    security: bool
    watch_interval: float
    patience: float
    run_directory: str
    python: str | None
    special: tuple[tuple[str, Any], ...] = ()

    @property
    def threads(self) -> int:
        """Threads of one worker process."""
        return self.cores // self.processes

    @property
    def margin(self) -> int:
        """Seconds between the latest end of a worker's lifetime and the walltime; starting up comes out of it too."""
        return min(max(self.walltime // 10, min(60, self.walltime // 4)), 300)

    @property
    def stagger(self) -> int:
        """Seconds by which lifetimes differ up or down, so that workers do not retire together."""
        return self.margin // 2

    @property
    def lifetime(self) -> int:
        """Seconds after which a worker retires, before `stagger`: the queue never has to kill it at its walltime."""
        return self.walltime - self.margin - self.stagger


NAMES = (*(field.name for field in fields(Settings) if field.name not in ("kind", "special")), "environment")


def settings(kind: str | None = None, preset: str | None = None, **options: Any) -> Settings:
    """Settings of a kind of cluster: shipped < base < preset < options.

    ``base`` and ``presets`` are those of the kind in the section ``reelarray.cluster`` of Dask's configuration
    (`reel cluster init` writes a file to start from). A layer that says ``cores`` without ``processes``, or ``memory``
    without ``job_memory``, has these derived again.

    Parameters
    ----------
    kind : one of `KINDS`; by default the ``default`` of the configuration, else "local"
    preset : "low" (default; on this machine "high", all of it), "medium", "high", "driver", or one of the site's own
    **options : fields of `Settings`; ``environment`` fills ``{env}`` in the lines of ``prologue``, as ``name`` does
        ``{name}``, there and in ``log_directory``; keywords of one system are those of `SPECIAL`. None is not given.

    Raises
    ------
    SettingError : unknown kinds, presets and names, with the near match; values that cannot be

    >>> settings("slurm", "medium", walltime="2-00:00:00").lifetime / 3600
    47.875
    """
    kind, found = _merged(kind, preset, options)
    return _complete(kind, {name: value for name, (value, _) in found.items()})


def origins(kind: str | None = None, preset: str | None = None, **options: Any) -> dict[str, tuple[Any, str]]:
    """What `settings` gives, with where each comes from: "call", "preset NAME", "base", "shipped", or "derived".

    >>> origins("slurm", cores=4)["cores"]
    (4, 'call')
    """
    kind, found = _merged(kind, preset, options)
    made = _complete(kind, {name: value for name, (value, _) in found.items()})
    shown = {field.name: getattr(made, field.name) for field in fields(made) if field.name not in ("kind", "special")}
    return {name: (value, found[name][1] if name in found else "derived") for name, value in shown.items()} | {
        name: (value, found[name][1]) for name, value in made.special
    }


def configured(kind: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What the configuration says of a kind: (base, presets), with all names checked."""
    section = _table(dask.config.get(SECTION, default={}), SECTION)
    _known(section, ("default", *KINDS), SECTION)
    own = _table(section.get(kind), f"{SECTION}.{kind}")
    _known(own, ("base", "presets"), f"{SECTION}.{kind}", hint=f"settings of all presets belong into {kind}.base")
    base = _names(own.get("base"), kind, f"{SECTION}.{kind}.base")
    presets = _table(own.get("presets"), f"{SECTION}.{kind}.presets")
    return base, {name: _names(one, kind, f"{SECTION}.{kind}.presets.{name}") for name, one in presets.items()}


def _merged(kind: str | None, preset: str | None, options: Mapping[str, Any]) -> tuple[str, dict[str, tuple[Any, str]]]:
    """The kind, and what each layer says: later ones win."""
    if kind is None:
        kind = _table(dask.config.get(SECTION, default={}), SECTION).get("default") or "local"
    if kind not in KINDS:
        raise SettingError(f"kind={kind!r} is none of {', '.join(KINDS)}{_near(kind, KINDS)}")
    base, presets = configured(kind)
    if preset is None:
        preset = "high" if kind == "local" else "low"
    if preset not in presets and preset not in SHIPPED:
        known = list(dict.fromkeys((*SHIPPED, *presets)))
        raise SettingError(f"preset={preset!r} is none of {', '.join(known)}{_near(preset, known)}")
    shipped = SHIPPED.get(preset, SHIPPED["low"]) if kind != "local" else _of_this_machine(preset)
    found: dict[str, tuple[Any, str]] = {}
    for origin, layer in (
        ("shipped", DEFAULTS | shipped),
        ("base", base),
        (f"preset {preset}", presets.get(preset, {})),
        ("call", _names(options, kind, "the call")),
    ):
        for whole, part in (("cores", "processes"), ("memory", "job_memory")):
            if whole in layer and part not in layer:
                found.pop(part, None)
        found |= {name: (value, origin) for name, value in layer.items()}
    return kind, found


def _of_this_machine(preset: str) -> dict[str, Any]:
    """A share of this machine's cores and memory, as far as this process may use them."""
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    share = LOCAL_SHARES.get(preset, 1.0)
    cores = max(1, int(CPU_COUNT * share))
    return {"cores": cores, "memory": int(MEMORY_LIMIT * max(share, 1 / CPU_COUNT)), "walltime": "24:00:00"}


def _complete(kind: str, found: Mapping[str, Any]) -> Settings:
    """Read and check what was found, and derive the rest."""
    said: dict[str, Any] = dict.fromkeys(NAMES)
    said |= {name: READ.get(name, values.text)(value, name) for name, value in found.items() if name in NAMES}
    special = tuple((name, found[name]) for name in SPECIAL.get(kind, ()) if name in found)
    name, cores, environment = said["name"], said["cores"], said.pop("environment")
    if not re.fullmatch(r"[A-Za-z0-9_][\w.-]*", name, re.ASCII):
        raise SettingError(
            f"name={name!r} was given; letters, digits, '_', '-' and '.' were expected, as in file names"
        )
    if said["processes"] is None:  # at most four threads, so that no worker waits long for Python's lock
        said["processes"] = next(n for n in range(1, cores + 1) if cores % n == 0 and cores // n <= 4)
    if cores % said["processes"]:
        fit = ", ".join(str(n) for n in range(1, cores + 1) if cores % n == 0)
        raise SettingError(f"processes={said['processes']} does not divide cores={cores}; {fit} would")
    least = said["memory"] + max(said["memory"] // 10, 256 * 2**20)
    if said["job_memory"] is None:
        said["job_memory"] = least
    elif said["job_memory"] < said["memory"]:
        raise SettingError(
            f"job_memory={said['job_memory']} is less than memory={said['memory']} (bytes), so that the queue would "
            f"end workers within their own limit: ask for {values.mebibytes(least)}MiB, or leave it out"
        )
    fill = partial(_filled, name=name, environment=environment)
    said["prologue"] = tuple(fill(line, where="prologue") for line in said["prologue"])
    state = _state_folder()
    logs = said["log_directory"] or os.path.join(os.environ.get("REELARRAY_RUN") or state, "logs", "workers")
    said["log_directory"] = _expanded(fill(logs, where="log_directory"))
    said["run_directory"] = _expanded(said["run_directory"] or os.path.join(state, "runs"))
    for where in ("log_directory", "run_directory"):
        if kind != "local" and (found_there := re.search(r'["\\]', said[where])):
            raise SettingError(
                f"{where}={said[where]!r} has {found_there[0]!r} in it, which no queue takes in the name of a log; "
                "name a folder without it"
            )
    return Settings(kind=kind, special=special, **said)


def _state_folder() -> str:
    import platformdirs

    return str(platformdirs.user_state_path("reelarray"))


def _expanded(path: str) -> str:
    return str(Path(os.path.expandvars(path)).expanduser().absolute())


def _filled(line: str, *, name: str, environment: str | None, where: str) -> str:
    """`{name}` and `{env}` filled in; `${name}` is the shell's."""
    if re.search(r"(?<!\$)\{env\}", line) and environment is None:
        raise SettingError(f"{where}: {line!r} needs an environment; give environment=, such as 'reel'")
    line = re.sub(r"(?<!\$)\{env\}", lambda _: str(environment), line)
    return re.sub(r"(?<!\$)\{name\}", lambda _: name, line)


def _names(table: Any, kind: str, where: str) -> dict[str, Any]:
    """A table of settings with `-` as `_` and known names only; what is None is not given."""
    read = {key.replace("-", "_"): value for key, value in _table(table, where).items()}
    read = {SAME.get(key, key): value for key, value in read.items() if value is not None}
    special = SPECIAL.get(kind, ())
    _known(read, (*NAMES, *special), where)
    return read


def _table(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return dict(value)
    raise SettingError(f"{where} is {value!r}; a table of names and values was expected")


def _known(table: Iterable[str], names: Iterable[str], where: str, hint: str = "") -> None:
    known = list(names)
    for key in table:
        if key not in known:
            more = f" ({hint})" if hint else ""
            raise SettingError(
                f"{where} has {key!r}, which is none of {', '.join(sorted(known))}{_near(key, known)}{more}"
            )


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(name).replace("-", "_"), list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""
