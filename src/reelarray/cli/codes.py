"""Exit codes of `reel`: what each means, also to the next job in a chain."""

from __future__ import annotations

EXIT_CODES = """\
exit codes:
  0  done
  1  an error inside reelarray (run again with --debug and report it)
  2  bad arguments or settings, or input that cannot be used; nothing was written
  3  done, but not of everything: recordings failed or were left out; the summary
     lists them
  4  stopped on purpose, or by a deadline; the same command goes on where it stopped
  5  gave up: too many failures in a row, or no workers; what was made is kept: run
     the same command again after mending what is broken
  6  the output is held by another process that writes it
  7  the output cannot be written (no space, no permission)
"""
OK, INTERNAL, BAD_INPUT, INCOMPLETE, STOPPED, GAVE_UP, HELD, UNWRITABLE = range(8)


def exit_code(error: Exception) -> int:
    """The code that an error ends the command with."""
    from ..errors import ClusterError, GaveUp, ReelError, Unwritable
    from ..sinks.lease import OutputHeld

    kinds = ((OutputHeld, HELD), (Unwritable, UNWRITABLE), (GaveUp, GAVE_UP), (ClusterError, GAVE_UP))
    for kind, code in kinds:
        if isinstance(error, kind):
            return code
    return BAD_INPUT if isinstance(error, ReelError | OSError) else INTERNAL
