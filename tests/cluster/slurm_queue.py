"""A real Slurm as tests see it: its jobs, its nodes, and what a test has left behind."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}
USABLE = {"idle", "mixed", "allocated", "completing"}  # of nodes; with * they do not answer
PATIENCE = 60.0  # seconds: jobs may be slow to start on a busy machine


class SlurmQueue:
    """The queue; jobs of a test are those that were submitted from below its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def submit(self, *arguments: str, command: str = "true") -> int:
        """sbatch; the number of the job."""
        return int(run("sbatch", "--parsable", "--output=%j.out", *arguments, f"--wrap={command}"))

    # ---- jobs --------------------------------------------------------------------------------------------------------

    def states(self) -> dict[int, str]:
        """State of each job of this test, also of those that have ended: Slurm forgets them after MinJobAge."""
        lines = run("squeue", "--noheader", "--states=all", "--format=%A|%T|%Z").splitlines()
        rows = [line.split("|", 2) for line in lines]
        return {int(number): state for number, state, where in rows if Path(where).is_relative_to(self.folder)}

    def alive(self) -> list[int]:
        """Jobs of this test that wait or run."""
        return sorted(number for number, state in self.states().items() if state not in ENDED | {"COMPLETING"})

    def state(self, number: int) -> str:
        return self.states().get(number, "FORGOTTEN")

    def wait(self, number: int, states: str | Iterable[str] = ENDED, seconds: float = PATIENCE) -> str:
        """Wait until the job is in one of these states; which one it is."""
        wanted = {states} if isinstance(states, str) else set(states)
        wait_until(lambda: self.state(number) in wanted, seconds, lambda: f"job {number} is {self.state(number)}")
        return self.state(number)

    def wait_empty(self, seconds: float = PATIENCE) -> None:
        """Wait until no job of this test waits or runs."""
        wait_until(lambda: not self.alive(), seconds, lambda: f"jobs {self.alive()} are still there")

    def cancel(self, *numbers: int) -> None:
        run("scancel", *map(str, numbers))

    def named(self, name: str) -> list[int]:
        """Jobs of this test by that name that wait or run."""
        lines = run("squeue", "--noheader", f"--name={name}", "--format=%A").split()
        return sorted(set(map(int, lines)) & set(self.alive()))

    # ---- nodes -------------------------------------------------------------------------------------------------------

    def nodes(self) -> dict[str, str]:
        """State of each node: idle, mixed, allocated, drained, down..."""
        return dict(line.split() for line in run("sinfo", "--noheader", "--Node", "--format=%N %T").splitlines())

    def set_node(self, name: str, state: str) -> None:
        """drain, down or resume."""
        run("scontrol", "update", f"nodename={name}", f"state={state}", "reason=test")

    def node_of(self, number: int) -> str:
        return run("squeue", "--noheader", f"--jobs={number}", "--format=%N").strip()

    def resume_all(self) -> None:
        """Take back what tests did to nodes, and wait until all of them accept jobs."""

        def usable() -> bool:
            states = self.nodes()
            for name, state in states.items():
                if state.startswith(("down", "drain")):
                    # A node that is coming back by itself refuses to be resumed.
                    subprocess.run(["scontrol", "update", f"nodename={name}", "state=resume"], capture_output=True)
            return set(states.values()) <= USABLE

        wait_until(usable, PATIENCE, lambda: f"nodes do not come back: {self.nodes()}")

    # ---- afterwards --------------------------------------------------------------------------------------------------

    def clean(self, grace: float = 15) -> list[int]:
        """Cancel what this test left; jobs that are just ending are not counted. Which ones were left."""
        end = time.monotonic() + grace
        while (left := self.alive()) and time.monotonic() < end:
            time.sleep(0.2)
        if left:
            self.cancel(*left)
        self.resume_all()
        return left


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def wait_until(condition: Callable[[], bool], seconds: float, problem: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{problem()} after {seconds:.0f} s")
        time.sleep(0.2)
