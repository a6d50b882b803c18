"""Which recording an output belongs to; and whether a recording may be processed at all."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence

from ..errors import FormatError, RecordingError
from .analysers import Units
from .options import Options
from .state import State
from .unit import Found, Process

log = logging.getLogger(__name__)


def check_whole(found: Found, options: Options) -> None:
    """Raise `FormatError` for a folder, and for a recording that will not become whole, unless that is to be used."""
    if os.path.isdir(found.path):
        raise FormatError(f"{found.path} is a folder with the name of a recording: give it another name, or ignore= it")
    if not found.partial or options.stalled == "use":
        return
    short = f"truncated: its header declares more than the {found.bytes:,} bytes that are there"
    raise FormatError(
        f"{found.path}: {short if found.bytes else 'it is empty'}, and that has not changed for "
        f"{options.stall_seconds:g} s; copy it again, and it is looked at again, or have what is there used: "
        'stalled = "use"'
    )


class Owners:
    """Outputs and the recordings that they were made of: no two recordings share one.

    Parameters
    ----------
    process : tells the outputs of a recording
    state : tells of which recording an output was made
    units : names of recordings, and their paths
    """

    def __init__(self, process: Process, state: State, units: Units) -> None:
        self.process, self.state, self.units = process, state, units

    def check(
        self,
        unit: str,
        found: Found,
        targets: Sequence[str],
        find: Callable[[str], tuple[str, Found] | None],
    ) -> list[str]:
        """Units that were renamed since, and leave an output to this one: they are to be looked at again.

        Raises
        ------
        RecordingError : an output of another recording, or the recording itself, would be replaced
        """
        left = []
        for target in targets:
            owner = self.state.owner(target)
            if owner is not None and owner != unit:
                known = find(self.units.path(owner))
                if known is None and self.state.was(owner, found):  # by the name that it had below other folders
                    self.state.forget(owner)
                    continue
                if known is None or target in self.targets(known[1]):
                    raise RecordingError(
                        f"collision: {target} is made of {owner}, and would be of {unit}; give recordings different "
                        'names, or each analyser a folder of its own: layout = "by_analyser" (of a recipe: {folder} in '
                        "the name)"
                    )
                log.info("%s gets outputs under its own name: another recording has that of %s", owner, target)
                self.state.forget(owner)
                left.append(owner)
            if os.path.realpath(target) == os.path.realpath(found.path):
                raise RecordingError(f"{target} would replace the recording: write to another folder")
        return left

    def targets(self, found: Found) -> tuple[str, ...]:
        """The outputs of a recording; none where its name is impossible."""
        try:
            return tuple(self.process.targets(found))
        except Exception:
            return ()
