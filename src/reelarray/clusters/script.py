"""The text of driver jobs: what the queue is asked for, and the shell lines around the command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from .settings import Settings
from .values import mebibytes, walltime_text

# Seconds before the walltime at which Slurm says so, a minute early at worst; drivers go by their own clock, and jobs
# too short for such a warning get none.
WARNING, SHORTEST_WARNED = 60, 600
AGAIN = 4  # exit code of a command that stopped with work left; as after a kill, the next link goes on
KILLED = 128  # exit codes of a shell above this one tell a signal
PARENT_FAILED, PARENT = 5, "parent"  # exit code of a link that does not begin because of a run before it; its note
SLURM_NEEDS = ("SLURM_JOB_ID", "SLURM_CONF")
# PBS's commands over Slurm leave jobs with Slurm's variables alone.
_JOB = {"slurm": "$SLURM_JOB_ID", "pbs": "${PBS_JOBID:-$SLURM_JOB_ID}", "local": "$REELARRAY_JOB"}

_BODY = """\
set -u
{umask}# What this job was given must not bind the jobs that it submits.
for variable in ${{!SLURM_@}} ${{!SBATCH_@}} ${{!SRUN_@}}; do
  case $variable in {needs}) ;; *) unset "$variable" ;; esac
done
run={run}
job={job}
job=${{job%%.*}}
begin=$(date +%s)
{logs}export REELARRAY_RUN="$run" REELARRAY_LINK="$job"
{exports}
# A file appears whole, or not at all.
note() {{ printf '%s\\n' "$2" >"$run/links/$job.new" && mv -f "$run/links/$job.new" "$run/links/$job.$1"; }}
end() {{ note end "$1 $(date +%s) ${{2-}}"; exit "$1"; }}
# The exit code by which a run has ended; {again} and signals leave it to the next link.
outcome() {{
  local file code
  for file in "$1"/links/*.end; do
    [ -e "$file" ] && read -r code _ <"$file" || continue
    [ "$code" -eq {again} ] || [ "$code" -gt {killed} ] || {{ echo "$code"; return; }}
  done
}}
{guards}
cd {directory} || end 2 directory
{prologue}
# The command has a shell of its own which notes its exit code: one that a signal calls from its waiting may lose it.
pid="$run/links/$job.pid" left="$run/links/$job.code"
asked='' shell=''
forward() {{
  asked=$1
  [ -n "$shell" ] || return
  until [ -s "$pid" ] || ! kill -0 "$shell" 2>/dev/null; do sleep 0.05; done
  kill -s "$1" "$(cat "$pid")" 2>/dev/null
}}
trap 'forward TERM' TERM
trap 'forward USR1' USR1
note begin "$begin $HOSTNAME"
(
  trap : TERM USR1
  bash -c 'echo $$ >"$0" && exec "$@"' "$pid" {command}
  echo $? >"$left"
) &
shell=$!
[ -z "$asked" ] || forward "$asked"
while kill -0 "$shell" 2>/dev/null; do wait "$shell"; done
read -r code <"$left" || code={lost}
rm -f "$pid" "$left"
end "$code"
"""

# Lines of a site may use variables that are not set; one that fails is a matter of configuration, but one during which
# the job is killed says nothing of it: no end is noted, and the next link goes on.
_BEFORE_PROLOGUE = f"""\
trap 'end 2 prologue' EXIT
trap 'trap - EXIT; exit {KILLED + 15}' TERM USR1 HUP INT
set +u -e
"""
_AFTER_PROLOGUE = """\
set -u +e
trap - EXIT TERM USR1 HUP INT
"""
_LATER_LINK = """\
code=$(outcome "$run")
if [ -n "$code" ]; then
  echo "the run has ended with exit code $code; nothing is left to do for job $job" >&2
  end "$code" passed
elif [ -e "$run/cancelled" ]; then
  echo "the run was cancelled; job $job ends" >&2
  end {again} passed
fi
"""
_PARENT = """\
code=$(outcome {folder})
if [ "$code" != 0 ]; then
  echo {name} "did not end well (exit code ${{code:-none: stopped, or cancelled}}), and this run needs it" >&2
  end {failed} {note}
fi
"""


def driver_script(
    settings: Settings,
    command: Sequence[str],
    *,
    folder: Path,
    directory: Path,
    nodes: int = 1,
    walltime: int | None = None,
    warn: bool = False,
    parents: Sequence[Path] = (),
    exports: Mapping[str, str] | None = None,
) -> str:
    """The job file of a run: every link of a chain is this one.

    Parameters
    ----------
    settings : of the job, for the kind of queue
    command : what it runs; SIGTERM and SIGUSR1 are handed on to it
    folder : of the run, where logs and the ends of links go
    directory : in which the command runs
    nodes : that the job gets
    walltime : seconds after which the job ends, told to the command as REELARRAY_DEADLINE; None tells none
    warn : ask for SIGUSR1 before the walltime
    parents : folders of runs that must have ended well
    exports : further variables of the environment
    """
    told = dict(exports or {})
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in told.items()]
    if walltime is not None:
        lines += [f"export REELARRAY_WALLTIME={walltime} REELARRAY_DEADLINE=$((begin + {walltime}))\n"]
    guards = _LATER_LINK.format(again=AGAIN) + "".join(
        _PARENT.format(
            folder=shlex.quote(str(parent)), name=shlex.quote(parent.name), failed=PARENT_FAILED, note=PARENT
        )
        for parent in parents
    )
    prologue = "".join([_BEFORE_PROLOGUE, *(f"{line}\n" for line in settings.prologue), _AFTER_PROLOGUE])
    own_logs = 'exec >>"$run/logs/$job.out" 2>>"$run/logs/$job.err"\n'  # PBS shows its own when the job has ended
    body = _BODY.format(
        umask="" if settings.umask is None else f"umask {settings.umask:04o}\n",
        needs=" | ".join(SLURM_NEEDS),
        run=shlex.quote(str(folder)),
        job=_JOB[settings.kind],
        logs="" if settings.kind == "slurm" else own_logs,
        exports="".join(lines),
        directory=shlex.quote(str(directory)),
        again=AGAIN,
        killed=KILLED,
        lost=KILLED + 9,
        guards=guards,
        prologue=prologue if settings.prologue else "",
        command=shlex.join(command),
    )
    return "\n".join(["#!/bin/bash", *directives(settings, folder=folder, nodes=nodes, warn=warn), body])


def directives(settings: Settings, *, folder: Path, nodes: int = 1, warn: bool = False) -> list[str]:
    """What the queue is asked for, one line each; lines that hold a text of ``skip_directives`` are left out.

    >>> from .settings import settings as of
    >>> directives(of("pbs", "low", name="minutes"), folder=Path("/runs/minutes"))[-1]
    '#PBS -e /runs/minutes/logs/'
    """
    if settings.kind == "slurm":
        mark, asked = "#SBATCH", _slurm(settings, folder, nodes, warn)
    elif settings.kind == "pbs":
        mark, asked = "#PBS", _pbs(settings, folder, nodes)
    else:
        return []
    asked += settings.extra_directives
    return [f"{mark} {line}" for line in asked if not any(skipped in line for skipped in settings.skip_directives)]


def _slurm(settings: Settings, folder: Path, nodes: int, warn: bool) -> list[str]:
    logs = str(folder / "logs").replace("%", "%%")
    asked = {
        "job-name": settings.name,
        "output": f"{logs}/%j.out",
        "error": f"{logs}/%j.err",
        "open-mode": "append",
        "nodes": nodes,
        "ntasks-per-node": 1,
        "cpus-per-task": settings.cores,
        "mem": f"{mebibytes(settings.job_memory)}M",
        "time": walltime_text(settings.walltime),
        "partition": settings.queue,
        "account": settings.account,
        # To the shell alone, which hands it on.
        "signal": f"B:USR1@{WARNING}" if warn and settings.walltime >= SHORTEST_WARNED else None,
    }
    # A link that lost its node is continued by the next one: were it queued again, both would run.
    return ["--no-requeue", *(f"--{name}={quoted(str(value))}" for name, value in asked.items() if value is not None)]


def _pbs(settings: Settings, folder: Path, nodes: int) -> list[str]:
    own = dict(settings.special).get("resource_spec")
    asked = [
        ("N", settings.name if settings.name[:1].isalpha() else f"r{settings.name}"),
        ("S", "/bin/bash"),  # PBS starts scripts by the user's shell, whatever their first line says
        ("r", "n"),
        ("l", own or f"select={nodes}:ncpus={settings.cores}:mem={mebibytes(settings.job_memory)}MB"),
        ("l", f"walltime={walltime_text(settings.walltime)}"),
        ("q", settings.queue),
        ("A", settings.account),
        ("W", None if settings.umask is None else f"umask={settings.umask:04o}"),
        ("o", quoted(f"{folder}/logs/")),
        ("e", quoted(f"{folder}/logs/")),
    ]
    return [f"-{letter} {value}" for letter, value in asked if value is not None]


def quoted(value: str) -> str:
    """For a line of directives, which sbatch and qsub read word by word.

    >>> quoted("/a b/%j.out")
    '"/a b/%j.out"'
    """
    return value if re.fullmatch(r"[\w@%+=:,./-]*", value) else f'"{value}"'
