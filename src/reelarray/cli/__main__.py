"""`reel`, and `python -m reelarray.cli`: `reel` of this interpreter."""

from __future__ import annotations

import os
import sys
import threading
from typing import NoReturn

from ..progress import silence
from . import main

UNITS = "reel-unit"  # threads of units, as `driving.local` names them


def entry() -> NoReturn:
    """Run `reel` and end this process with its exit code, also where a unit that was given up still computes."""
    code = main()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):  # else the interpreter says so, and ends with a code of its own
            silence(stream)
    units = [thread for thread in threading.enumerate() if thread.name.startswith(UNITS)]
    for thread in units:  # those without work end at once
        thread.join(0.5 / len(units))
    if any(thread.is_alive() for thread in units):
        os._exit(code)  # the interpreter would wait for them
    sys.exit(code)


if __name__ == "__main__":
    entry()
