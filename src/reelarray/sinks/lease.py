"""Who writes an output: a small file that its holder renews, and that others watch by clocks of their own."""

from __future__ import annotations

import errno
import json
import logging
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import dask

from ..errors import ReelError, Unwritable
from . import faults

log = logging.getLogger(__name__)

NAME = "lease"
RENEW, STALE = 30.0, 150.0  # s; in Dask's configuration: reelarray.lease.renew, reelarray.lease.stale
LOOK_EVERY = 0.5  # s
# File systems without hard links (SMB, some FUSE) say one of these.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES)


class OutputHeld(ReelError, BlockingIOError):
    """Another process is writing the output."""


class StoppedWaiting(OutputHeld):
    """Another process is writing the output, and this one was asked to stop before it ended."""


class Wait(NamedTuple):
    """How long to wait for a holder that lives: so many seconds, and until it is `asked` to stop."""

    seconds: float = 0.0
    asked: Callable[[], bool] = lambda: False


AT_ONCE = Wait()


class Lease:
    """The right to write an output, held from `acquire` to `release`, or to the end of the process.

    The file says who holds it and counts renewals. Whoever finds it takes it for a dead driver's where that is sure
    (a process of this machine that is gone), or where nothing was renewed for `stale` seconds by the finder's own
    clock; clocks of two machines are never compared.
    """

    def __init__(self, path: Path, what: Path, file: Any, known: dict[str, Any]) -> None:
        self.path, self.what, self._file, self._known = path, what, file, known
        self._lock, self._lost, self._end = threading.Lock(), "", threading.Event()
        self._every, self._renewed = _setting("renew", RENEW), time.monotonic()
        self._thread = threading.Thread(target=self._keep, name="reel-lease", daemon=True)
        self._thread.start()

    @property
    def token(self) -> str:
        """A random name of this tenure."""
        return str(self._known["token"])

    @property
    def holder(self) -> dict[str, Any]:
        """The process that holds it: host, pid, and job of a queue."""
        return {name: self._known[name] for name in ("host", "pid", "job")}

    @classmethod
    def acquire(cls, path: Path, what: Path, *, wait: Wait = AT_ONCE) -> Lease:
        """Take the lease at a path for writing `what`.

        Parameters
        ----------
        wait : for a holder that lives. One of another machine is watched, whatever `wait` is, until it
            renews its lease or is stale

        Raises
        ------
        OutputHeld : somebody lives who holds it; the message says who and where
        StoppedWaiting : asked to stop before that
        OSError : the folder cannot be written
        """
        token = secrets.token_hex(8)
        known = {
            "token": token,
            "host": platform.node(),
            "place": _place(),
            "pid": os.getpid(),
            "born": _born(os.getpid()),
            "job": os.environ.get("SLURM_JOB_ID") or os.environ.get("PBS_JOBID"),
            "stale": _setting("stale", STALE),
            "count": 0,
        }
        begun, told = time.monotonic(), ""
        watched: bytes | None = None
        since = begun
        while True:
            file = _create(path, known)
            if file is not None:
                _tidy(path, token)
                return cls(path, what, file, known)
            found = _read(path)
            if found is None:
                continue  # let go just now
            holder, now = _parse(found), time.monotonic()
            if found != watched:
                renewed = watched is not None and _parse(watched).get("token") == holder.get("token")
                watched, since = found, now
            else:
                renewed = False
            alive = _lives(holder)
            stale = float(holder.get("stale", STALE))
            if alive is False or (alive is None and now - since > stale):
                _take_away(path, holder.get("token"))
                log.warning("%s: the lease of %s was left behind; taken over", what, _who(holder))
                continue
            if (alive or renewed) and now - begun >= wait.seconds:
                raise OutputHeld(
                    f"{what} is being written by another process ({_who(holder)}): wait for it or end it, then call "
                    "again; what it has finished is kept"
                )
            if told != holder.get("token") and now - begun > 2 * LOOK_EVERY:
                told = str(holder.get("token"))
                log.warning("%s is held by %s; looking whether it lives (at most %.0f s)", what, _who(holder), stale)
            if wait.asked():
                raise StoppedWaiting(f"{what} is being written by another process ({_who(holder)})")
            time.sleep(LOOK_EVERY)

    def check(self) -> None:
        """Raise `OutputHeld` where somebody else took the lease over: this process must write nothing more."""
        if time.monotonic() - self._renewed > 1.5 * self._every:  # this process, or its machine, was asleep
            self.renew()
        if self._lost:
            raise OutputHeld(f"{self.what}: this run was taken for dead and {self._lost}; it stops here")

    def moved(self, path: Path) -> None:
        """The folder of the lease has a new name."""
        self.path = path

    def release(self) -> None:
        """Let go."""
        self._end.set()
        self._thread.join()
        with self._lock:
            self._file.close()
            if not self._lost:
                with suppress(OSError):
                    _take_away(self.path, self.token)

    def _keep(self) -> None:
        while not self._end.wait(self._every):
            self.renew()

    def renew(self) -> None:
        """Say that the holder lives, and see whether somebody believed otherwise."""
        with suppress(OSError), self._lock:  # a file server may be away for a while
            self._renew()

    def _renew(self) -> None:
        found = _read(self.path)
        holder = {} if found is None else _parse(found)
        if found is None or (holder.get("token") not in (self.token, None)):
            if not self.path.parent.exists() and self.what.exists():
                return  # being renamed
            self._lost = f"its lease was taken over by {_who(holder)}" if holder else "its lease was taken away"
            return
        self._known["count"] += 1
        data = _line(self._known)
        os.pwrite(self._file.fileno(), data, 0)  # in place: never over the lease of somebody else
        os.fsync(self._file.fileno())
        self._renewed = time.monotonic()


def _setting(name: str, default: float) -> float:
    return float(dask.config.get(f"reelarray.lease.{name}", default))


def _line(known: dict[str, Any]) -> bytes:
    """Always of one length, so that no older text shows behind it."""
    text = json.dumps({**known, "count": 0})
    return (json.dumps(known).ljust(len(text) + 12) + "\n").encode()


def _create(path: Path, known: dict[str, Any]) -> Any:
    """The lease file, made by us; None where there is one."""
    temporary = path.with_name(f".{path.name}-{known['token']}")
    try:
        file = open(temporary, "xb", buffering=0)  # noqa: SIM115
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unwritable(f"{path.parent.parent} cannot be written: {error}") from error
    try:
        file.write(_line(known))
        os.fsync(file.fileno())
        faults.checkpoint("before taking the lease")
        try:
            os.link(temporary, path)
        except (FileExistsError, FileNotFoundError):  # a holder that tidies up takes the temporary file
            file.close()
            return None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            file.close()
            try:
                file = open(path, "xb", buffering=0)  # noqa: SIM115
            except FileExistsError:
                return None
            file.write(_line(known))
            os.fsync(file.fileno())
        return file
    except BaseException:
        file.close()
        raise
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _tidy(path: Path, token: str) -> None:
    """Remove what contenders left behind that were killed."""
    for leftover in path.parent.glob(f".{path.name}-*"):
        if token not in leftover.name:
            leftover.unlink(missing_ok=True)


def _take_away(path: Path, token: Any) -> None:
    """Remove the lease of a holder, and no other's: only one of many can rename it."""
    aside = path.with_name(f".{path.name}-{token}-{secrets.token_hex(4)}")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return  # somebody was faster
    if _parse(_read(aside) or b"").get("token") not in (token, None):
        with suppress(OSError):  # somebody was faster, and holds it already: give it back
            os.link(aside, path)
    aside.unlink(missing_ok=True)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _parse(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
        return found if isinstance(found, dict) else {}
    except ValueError:
        return {}  # being written


def _who(holder: dict[str, Any]) -> str:
    job = f", job {holder['job']}" if holder.get("job") else ""
    return f"process {holder.get('pid', '?')} on {holder.get('host', '?')}{job}"


def is_held(path: Path) -> bool:
    """Whether there is a lease whose holder lives, as far as that can be known from here."""
    found = _read(path)
    return found is not None and _lives(_parse(found)) is not False


# ---- is it alive? ----------------------------------------------------------------------------------------------------


@cache
def _place() -> str:
    """What processes must share for their numbers to mean the same: a machine since its start, and a namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        import psutil

        return f"{platform.node()} {psutil.boot_time():.0f}"


def _born(pid: int) -> str | None:
    """When a process began, in ticks since its machine did; None where there is no such process."""
    if os.path.isdir("/proc/self"):
        try:
            state, *numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return None if state in "ZX" else numbers[18]  # dead, though nobody has asked how it ended
        except (OSError, IndexError):
            return None
    import psutil

    try:
        return f"{psutil.Process(pid).create_time():.0f}"
    except psutil.Error:
        return None


def _lives(holder: dict[str, Any]) -> bool | None:
    """Whether a holder lives, where that can be known from here."""
    place, pid = holder.get("place"), holder.get("pid")
    if place != _place() or not isinstance(pid, int):
        return None
    born = _born(pid)
    return born is not None and born == holder.get("born")
