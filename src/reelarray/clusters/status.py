"""What has become of a run: what the queue says of its jobs, and what they left in the folder, read together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from . import folders
from .queues import State, Word
from .script import AGAIN, KILLED, PARENT, PARENT_FAILED

RunWord = Literal[
    "pending", "running", "done", "finished with failures", "stopped", "failed", "killed", "cancelled", "unknown"
]
WITH_FAILURES = 3
_PARENT_FAILED = "a run that it was to follow did not end well"
MEANINGS = {
    1: "an error inside the command",
    2: "bad arguments or configuration",
    WITH_FAILURES: "done, but for what the log lists as failed",
    AGAIN: "stopped with work left; submit it again to go on",
    PARENT_FAILED: "gave up; the log says why",
    6: "the output is held by another process that writes it",
    7: "the output cannot be written",
}


@dataclass(frozen=True)
class Link:
    """One job of a run.

    Parameters
    ----------
    job : its id
    state : what the queue says (see `State`), or what the run folder tells of jobs that the queue has forgotten
    reason : in the queue's words
    exit_code : None of jobs that were killed or have not ended
    begun, ended : UTC
    host : where it ran
    """

    job: str
    state: Word
    reason: str = ""
    exit_code: int | None = None
    begun: datetime | None = None
    ended: datetime | None = None
    host: str | None = None


@dataclass(frozen=True)
class Status:
    """How a run stands.

    Parameters
    ----------
    state : "pending", "running", "done", "finished with failures" (all tried, some failed), "stopped" (work left, no
        link to go on), "failed", "killed", "cancelled", or "unknown": the queue has forgotten it and it left no trace
    reason : why
    links : its jobs, first to last
    progress : what the command last said of itself (done, total, failed, ...), if it did
    """

    state: RunWord
    reason: str
    links: tuple[Link, ...]
    progress: dict[str, Any] | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state not in ("pending", "running")

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        found = asdict(self)
        for link in found["links"]:
            link |= {name: link[name].isoformat() if link[name] else None for name in ("begun", "ended")}
        return found

    def __str__(self) -> str:
        rows = [f"{self.state}: {self.reason}" if self.reason else self.state]
        for link in self.links:
            code = "" if link.exit_code is None else f"exit code {link.exit_code}"
            words = (f"job {link.job}", f"{link.state:9}", code, _span(link), link.reason)
            rows.append("  " + "  ".join(word for word in words if word))
        return "\n".join(rows)


def judge(
    folder: Path, command: Sequence[str], jobs: Sequence[str], states: Mapping[str, State], problem: str = ""
) -> Status:
    """The status of a run whose jobs the queue says these states of; `problem` is why it says nothing."""
    traces = [folders.trace(folder, job) for job in jobs]
    links = tuple(_link(job, states.get(job, State("UNKNOWN")), trace) for job, trace in zip(jobs, traces, strict=True))
    code = folders.outcome(folder)
    # Exit codes other than 0 and 4 mean something of `reel` only.
    reel = "reelarray.cli" in command or Path(command[0]).name == "reel"
    state, reason = _words(links, code, reel=reel, cancelled=(folder / folders.CANCELLED).exists())
    if state == "unknown" and problem:
        reason = problem
    elif code == PARENT_FAILED and any(trace.note == PARENT for trace in traces):
        reason = f"{_PARENT_FAILED}; the log says which"
    return Status(state, reason, links, folders.progress(folder))


def _link(job: str, said: State, left: folders.Trace) -> Link:
    word = said.state
    if word in ("UNKNOWN", "ENDED") and left.exit_code is not None:
        word = "COMPLETED" if left.exit_code == 0 else "FAILED"
    code = left.exit_code if left.exit_code is not None else said.exit_code
    begun, ended = (None if s is None else datetime.fromtimestamp(s, UTC) for s in (left.begun, left.ended))
    reason = said.reason if word == said.state else ""
    return Link(job, word, reason, code, begun, ended, left.host)


def _words(links: Sequence[Link], code: int | None, *, reel: bool, cancelled: bool) -> tuple[RunWord, str]:
    if code == 0:
        return "done", ""
    if code == WITH_FAILURES and reel:
        return "finished with failures", MEANINGS[code]
    if code is not None and not cancelled:  # a command may end badly because it was cancelled
        meaning = MEANINGS.get(code, "") if reel else ""
        return "failed", f"exit code {code}" + (f", {meaning}" if meaning else "; the log says more")
    if not links:
        return "unknown", "it has no jobs: submitting it was broken off"
    for word, name in (("RUNNING", "running"), ("PENDING", "pending")):
        if now := [link for link in links if link.state == word]:
            return name, f"job {now[0].job}" + (f" ({now[0].reason})" if now[0].reason else "")  # type: ignore[return-value]
    if cancelled:
        return "cancelled", "by reel cancel"
    if links[-1].state == "UNKNOWN":
        return "unknown", f"the queue has forgotten job {links[-1].job}, and it left no exit code"
    last = next((link for link in reversed(links) if link.begun is not None), links[-1])
    if last.exit_code == AGAIN:
        return "stopped", MEANINGS[AGAIN]
    if last.state == "CANCELLED" or (last.state == "ENDED" and last.begun is None):
        never = last.begun is None and "dependency" in last.reason.lower()
        return "cancelled", _PARENT_FAILED if never else last.reason or "by the queue or its user"
    if last.exit_code is not None and last.exit_code <= KILLED:
        return "failed", f"the job script itself ended with exit code {last.exit_code}; the log says more"
    how = last.reason or last.state if last.exit_code is None else f"signal {last.exit_code - KILLED}"
    return "killed", f"job {last.job} was ended before it could finish ({how}); submit it again to go on"


def _span(link: Link) -> str:
    if link.begun is None:
        return ""
    end = f"{link.ended:%H:%M:%S}" if link.ended else ""
    return f"{link.begun:%Y-%m-%d %H:%M:%S} to {end} UTC" if end else f"since {link.begun:%Y-%m-%d %H:%M:%S} UTC"
