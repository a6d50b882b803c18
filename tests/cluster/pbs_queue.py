"""The simulated PBS as tests see it: jobs by number, and everything ended when a test has."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from pbs_shim import jobs


class PbsQueue:
    """Jobs of one folder of the shim, which PBS_SHIM_HOME names."""

    commands = Path(jobs.__file__).parent / "bin"

    def submit(self, *arguments: str, script: str = "") -> int:
        """qsub; the number of the job."""
        path = Path("submitted.sh")
        path.write_text(f"#!/bin/bash\n{script}\n")
        done = subprocess.run(["qsub", *arguments, str(path)], capture_output=True, text=True, check=True)
        return int(done.stdout.partition(".")[0])

    def states(self) -> dict[int, str]:
        """The letter of each job: Q, H, R or F."""
        return {number: jobs.state(number).letter for number in jobs.every()}

    def state(self, number: int) -> jobs.State:
        found = jobs.state(number)
        assert found is not None, f"no job {number}"
        return found

    def wait(self, number: int, letters: str = "F", seconds: float = 30) -> jobs.State:
        """Wait until the job is in one of these states."""
        end = time.monotonic() + seconds
        while (state := self.state(number)).letter not in letters:
            assert time.monotonic() < end, f"job {number} is {state} after {seconds} s; {letters} was expected"
            time.sleep(0.02)
        return state

    def alive(self) -> list[int]:
        return [number for number, letter in self.states().items() if letter != jobs.FINISHED]

    def end_all(self, seconds: float = 10) -> None:
        """End every job, and every process that one of them left behind."""
        for number in self.alive():
            jobs.request_end(number)
            if group := self.state(number).group:
                with suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)
        end = time.monotonic() + seconds
        while (left := self.alive()) and time.monotonic() < end:
            time.sleep(0.02)
        for process in processes_of_jobs(jobs.home()):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        assert not left, f"jobs {left} did not end; their supervisors died?"


def processes_of_jobs(home: Path) -> list[int]:
    """Processes on this host that belong to jobs of that folder, known by their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                environment = (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            names = {item.partition(b"=")[0] for item in environment}
            if b"PBS_JOBID" in names and f"PBS_SHIM_HOME={home}".encode() in environment:
                found.append(int(folder.name))
    return found
