"""qsub, qdel and qstat: each takes its arguments and returns its exit code."""

from __future__ import annotations

import getopt
import json
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import jobs, options
from .options import Refused

REFUSED = 188
# What a login on the host of the job brings; the rest of the submitting shell's variables needs -V or -v.
OF_A_LOGIN = {"HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER"}


def main(command: Callable[[list[str]], int]) -> int:
    try:
        return command(sys.argv[1:])
    except Refused as error:
        print(error, file=sys.stderr)
        return error.code


# ---- qsub ------------------------------------------------------------------------------------------------------------


def qsub(arguments: list[str]) -> int:
    """Submit the script that the last argument names, or that stdin holds; print the job's id."""
    if os.environ.get("PBS_SHIM_REFUSE"):
        raise Refused(f"qsub: {os.environ['PBS_SHIM_REFUSE']}", REFUSED)
    name, script = script_of(arguments)
    told = options.options(arguments, script)
    depend = options.dependencies(told.attributes.get("depend"))
    waits = tuple((kind, tuple(existing(each) for each in ids)) for kind, ids in depend)
    number = jobs.new_folder()
    job = submitted(number, told, waits, default_name=name)
    job.folder.joinpath("script").write_text(script)  # the file that was submitted may go at once
    jobs.save(job)
    jobs.set_state(job, jobs.State(jobs.HELD if waits else jobs.QUEUED))
    supervisor = [sys.executable, "-c", f"from pbs_shim import supervisor; supervisor.run({number})"]
    where = {**os.environ, "PBS_SHIM_HOME": str(jobs.home()), "PYTHONPATH": str(Path(__file__).parents[1])}
    nothing = subprocess.DEVNULL
    subprocess.Popen(supervisor, env=where, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
    if "z" not in told.values:
        print(job.id)
    return 0


def script_of(arguments: list[str]) -> tuple[str, str]:
    """Name and text of the script: getopt finds where options end, whatever they are."""
    try:
        rest = getopt.getopt(arguments, options.LETTERS)[1]
    except getopt.GetoptError as error:
        raise Refused(f"qsub: {error}\nusage: qsub [-A account] ... [-z] [script]") from None
    if not rest or rest[0] == "-":
        return "STDIN", sys.stdin.read()
    try:
        return Path(rest[0]).name, Path(rest[0]).read_text()
    except OSError as error:
        raise Refused(f"qsub: script file: {error}", 1) from None


def existing(text: str) -> int:
    number = jobs.number_of(text)
    if number is None or jobs.state(number) is None:
        raise Refused(f"qsub: Unknown Job Id {text}", jobs.UNKNOWN_JOB)
    return number


def submitted(number: int, told: options.Options, waits: tuple, default_name: str) -> jobs.Job:
    values, here = told.values, os.getcwd()
    name = values.get("N", default_name)
    walltime = told.resources.get("walltime")
    return jobs.Job(
        number=number,
        name=name,
        submitted_from=here,
        output=target(values.get("o"), here, f"{number}.shim.OU", f"{name}.o{number}"),
        error=target(values.get("e"), here, f"{number}.shim.ER", f"{name}.e{number}"),
        joined=values.get("j", "n"),
        direct="d" in values.get("k", ""),
        queue=values.get("q", "workq"),
        account=values.get("A"),
        shell=values.get("S", "/bin/bash").partition("@")[0],
        umask=int(told.attributes.get("umask", "077"), 8),
        walltime=options.seconds(walltime) if walltime else None,
        resources=told.resources,
        dependencies=waits,
        variables=variables(values),
        delay=float(os.environ.get("PBS_SHIM_DELAY") or 0),
    )


def target(given: str | None, here: str, name_in_folder: str, default: str) -> str:
    """Where output goes: a path, or a folder, in which it gets the job's id; `host:` before it means nothing here."""
    if given is None:
        return os.path.join(here, default)
    path = os.path.join(here, given.rpartition(":")[2])
    return os.path.join(path, name_in_folder) if path.endswith("/") or os.path.isdir(path) else path


def variables(values: dict[str, str]) -> dict[str, str]:
    """The job's environment, as far as submission decides it."""
    environment = dict(os.environ)
    out = {name: value for name, value in environment.items() if "V" in values or name in OF_A_LOGIN}
    out |= {name: value for name, value in environment.items() if name.startswith("PBS_SHIM_")}
    for item in values.get("v", "").split(",") if values.get("v") else ():
        name, equals, value = item.partition("=")
        out[name] = value if equals else environment.get(name, "")
    copied = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TZ")
    out |= {f"PBS_O_{name}": environment[name] for name in copied if name in environment}
    return out | {"PBS_O_WORKDIR": os.getcwd(), "PBS_O_QUEUE": values.get("q", "workq")}


# ---- qdel ------------------------------------------------------------------------------------------------------------


def qdel(arguments: list[str]) -> int:
    """Have jobs ended; as PBS does, without waiting for the end."""
    code = 0
    for text in parsed("qdel", arguments, "W:x")[1]:
        found, problem = look_up("qdel", text, finished_too=False)
        if found is None:
            code = problem
        else:
            jobs.request_end(found)
    return code


# ---- qstat -----------------------------------------------------------------------------------------------------------


def qstat(arguments: list[str]) -> int:
    """List jobs: a line each, or with -f everything, as JSON with -F json; -x shows those that have ended as well."""
    told, ids = parsed("qstat", arguments, "fxF:")
    code, shown = 0, []
    for text in ids:
        found, problem = look_up("qstat", text, finished_too="x" in told)
        if found is None:
            code = problem
        else:
            shown.append(found)
    if not ids:
        shown = [each for each in jobs.every() if "x" in told or jobs.state(each).letter != jobs.FINISHED]
    if told.get("F") == "json" and "f" in told:
        described = {jobs.load(each).id: described_job(each) for each in shown}
        about = {"timestamp": int(time.time()), "pbs_version": "simulation", "pbs_server": "shim"}
        print(json.dumps(about | ({"Jobs": described} if shown else {}), indent=4))
    elif "f" in told:
        for each in shown:
            print(f"Job Id: {jobs.load(each).id}")
            for key, value in described_job(each).items():
                inner = value.items() if isinstance(value, dict) else [("", value)]
                for name, text in inner:
                    print(f"    {key}{'.' if name else ''}{name} = {text}")
            print()
    elif shown:
        print(f"{'Job id':17} {'Name':16} {'User':17} {'Time Use':8} S Queue")
        print(f"{'-' * 16:17} {'-' * 16} {'-' * 16:17} {'-' * 8} - -----")
        for each in shown:
            job, state = jobs.load(each), jobs.state(each)
            print(f"{job.id:17} {job.name[:16]:16} {user():17} {'00:00:00':8} {state.letter} {job.queue}")
    return code


def parsed(command: str, arguments: list[str], letters: str) -> tuple[dict[str, str], list[str]]:
    try:
        pairs, rest = getopt.gnu_getopt(arguments, letters)
    except getopt.GetoptError as error:
        raise Refused(f"{command}: {error}") from None
    return {option[1]: value for option, value in pairs}, rest


def look_up(command: str, text: str, finished_too: bool) -> tuple[int | None, int]:
    """The number of a job that may be asked for; of another one the exit code, and a line on stderr."""
    number = jobs.number_of(text)
    state = jobs.state(number) if number is not None else None
    if state is None:
        print(f"{command}: Unknown Job Id {text}", file=sys.stderr)
        return None, jobs.UNKNOWN_JOB
    if state.letter == jobs.FINISHED and not finished_too:
        hint = ", use -x or -H to obtain historical job information" if command == "qstat" else ""
        print(f"{command}: {text} Job has finished{hint}", file=sys.stderr)
        return None, jobs.FINISHED_JOB
    return number, 0


def described_job(number: int) -> dict[str, Any]:
    job, state = jobs.load(number), jobs.state(number)
    out: dict[str, Any] = {
        "Job_Name": job.name,
        "Job_Owner": f"{user()}@shim",
        "job_state": state.letter,
        "queue": job.queue,
        "server": "shim",
        "Error_Path": f"shim:{job.error}",
        "Join_Path": job.joined,
        "Output_Path": f"shim:{job.output}",
        "Resource_List": job.resources,
        "umask": f"{job.umask:o}",
    }
    if job.account:
        out["Account_Name"] = job.account
    if job.dependencies:
        waits = (f"{kind}:{':'.join(f'{each}.shim' for each in numbers)}" for kind, numbers in job.dependencies)
        out["depend"] = ",".join(waits)
    if state.comment:
        out["comment"] = state.comment
    if state.exit_status is not None:
        out["Exit_status"] = state.exit_status
    return out


def user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name
