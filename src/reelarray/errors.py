"""The error family: each error is also the standard exception that a caller would catch anyway."""

from __future__ import annotations

__all__ = [
    "CalibrationError",
    "ChunkError",
    "ClockError",
    "FormatError",
    "GaveUp",
    "MissingPackage",
    "RecipeError",
    "RecordingError",
    "ReelError",
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
