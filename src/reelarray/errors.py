"""The error family: each error is also the standard exception that a caller would catch anyway."""

from __future__ import annotations

__all__ = [
    "CalibrationError",
    "ChunkError",
    "ClockError",
    "ClusterError",
    "FormatError",
    "GaveUp",
    "MissingPackage",
    "RecipeError",
    "RecordingError",
    "ReelError",
    "SettingError",
    "TruncatedFile",
    "Unwritable",
]


class ReelError(Exception):
    """Base of every error that reelarray raises on purpose; its text says what was given, expected, and what to do."""


class FormatError(ReelError, ValueError):
    """A file is not what its name or its caller says it is."""


class ClockError(ReelError, ValueError):
    """Sample times that contradict each other, or a request that would compute too many of them."""


class RecordingError(ReelError, ValueError):
    """An array that does not keep the convention of a recording, or arguments that do not fit it."""


class ChunkError(ReelError, ValueError):
    """Chunks that the requested operation cannot use; the message names the sizes that it can."""


class RecipeError(ReelError, ValueError):
    """A description of a run that cannot be carried out."""


class CalibrationError(ReelError, ValueError):
    """Calibration facts that are missing, contradictory or impossible."""


class Unwritable(ReelError, OSError):
    """An output cannot be written: no space, no permission, a disk that is gone. No fault of what is written."""


class GaveUp(ReelError, RuntimeError):
    """A run that would fail to the end was ended before: what is broken is common to all of it."""


class SettingError(ReelError, ValueError):
    """A setting of a cluster that is unknown, or cannot be what it is said to be."""


class ClusterError(ReelError, RuntimeError):
    """A batch queue refused, or a cluster cannot go on; the message has the queue's own words."""


class WorkerJobsDied(ClusterError):
    """Worker jobs end before a worker connects; the message has their states and the end of the newest log.

    Parameters
    ----------
    message : what happened
    states : of the jobs, by id
    """

    def __init__(self, message: str, states: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.states = states or {}

    def __reduce__(self) -> tuple[type[WorkerJobsDied], tuple[str, dict[str, str]]]:
        return type(self), (str(self), self.states)


class MissingPackage(ReelError, ImportError):
    """An optional package is needed; the message names the extra that brings it."""


class TruncatedFile(ReelError, OSError):
    """A file holds fewer frames than were asked for.

    Parameters
    ----------
    path : the file
    wanted, found : numbers of frames
    """

    def __init__(self, path: str, wanted: int, found: int) -> None:
        super().__init__(
            f"{path}: {wanted} frames were expected, {found} are there; the file was cut short or changed since it was "
            "scanned: scan again, and leave such files out with exclude= or on_bad='skip', or pass on_bad='use' for "
            "the samples that are there"
        )
        self.path, self.wanted, self.found = path, wanted, found

    def __reduce__(self) -> tuple[type[TruncatedFile], tuple[str, int, int]]:
        return type(self), (self.path, self.wanted, self.found)
