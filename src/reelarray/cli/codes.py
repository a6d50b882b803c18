"""Exit codes of `reel`, and the errors that end with them."""

from __future__ import annotations

from ..errors import ReelError

EXIT_CODES = """\
exit codes:
  0  done
  1  an error inside reelarray (run again with --debug and report it)
  2  bad arguments, or input that cannot be used or read; nothing was written
  3  done, but files were left out; the summary lists them
  4  stopped by the user; the same command goes on where it stopped
  5  stopped by an input while running (gone, cut or changed); what was made is
     kept: run the same command again after mending it
  6  the output is held by another process that writes it
  7  the output cannot be written (no space, no permission)
"""
OK, INTERNAL, BAD_INPUT, LEFT_OUT, STOPPED, INPUT_LOST, HELD, UNWRITABLE = range(8)


class InputLost(ReelError):
    """An input that was there when the run began cannot be read any more."""


class Unwritable(ReelError, OSError):
    """The output cannot be written."""


def exit_code(error: Exception) -> int:
    """The code that an error ends the command with."""
    from ..sinks.journal import OutputHeld

    for kind, code in ((InputLost, INPUT_LOST), (OutputHeld, HELD), (Unwritable, UNWRITABLE)):
        if isinstance(error, kind):
            return code
    return BAD_INPUT if isinstance(error, ReelError | OSError) else INTERNAL
