"""`reel`: the command line. Each subcommand is a few lines around public functions, in `commands.py`."""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Iterable, Sequence

from . import __version__
from .errors import ReelError

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


def main(argv: Sequence[str] | None = None) -> int:
    """Run `reel` with arguments; returns the exit code."""
    arguments = parser().parse_args(argv)
    if arguments.debug:
        import logging

        logging.basicConfig(level=logging.INFO)
    try:
        run = getattr(importlib.import_module("reelarray.commands"), arguments.command)
        return int(run(arguments))
    except KeyboardInterrupt:
        if arguments.debug:
            raise
        print("reel: stopped; run the same command again to go on", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        return OK  # the reader of our output has seen enough
    except Exception as error:
        if arguments.debug:
            raise
        text = " ".join(str(error).split()) or type(error).__name__
        print(f"reel: {in_options(text, vars(arguments)) if isinstance(error, ReelError) else text}", file=sys.stderr)
        return exit_code(error)


def in_options(text: str, names: Iterable[str]) -> str:
    """A message of a function, with the keywords that are options here said as options.

    >>> in_options("every='60' has no unit; pass overwrite=True, or another tolerance=", ["overwrite", "tolerance"])
    '--average 60 has no unit; pass --overwrite, or another --tolerance'
    """
    options = {name: f"--{name.replace('_', '-')}" for name in names} | {"every": "--average"}

    def said(found: re.Match[str]) -> str:
        value = (found[2] or "").strip("'")
        return options[found[1]] + ("" if value in ("", "True") else f" {value}")

    return re.sub(rf"\b({'|'.join(map(re.escape, options))})=('[^']*'|[\w.-]*\w)?", said, text)


def exit_code(error: Exception) -> int:
    """The code that an error ends the command with."""
    from .sinks.journal import OutputHeld

    for kind, code in ((InputLost, INPUT_LOST), (OutputHeld, HELD), (Unwritable, UNWRITABLE)):
        if isinstance(error, kind):
            return code
    return BAD_INPUT if isinstance(error, ReelError | OSError) else INTERNAL


def parser() -> argparse.ArgumentParser:
    """The parser of `reel`, with all subcommands."""
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        prog="reel",
        description="Long instrument recordings as one lazy array: scan folders, make spectra, draw them.",
        epilog=EXIT_CODES,
        formatter_class=raw,
    )
    top.add_argument("--version", action="version", version=f"reelarray {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the log, and the traceback of an error")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    finding, outputs = _finding(), _outputs()
    for add, parents in (
        (_scan, [common, finding, outputs]),
        (_info, [common]),
        (_spectrogram, [common, finding, outputs]),
        (_demo, [common]),
    ):
        add(commands, parents=parents, epilog=EXIT_CODES, formatter_class=raw)
    return top


def _finding() -> argparse.ArgumentParser:
    """Options that say which files, and when they start."""
    options = argparse.ArgumentParser(add_help=False)
    group = options.add_argument_group("which files, and when they start")
    group.add_argument(
        "paths", nargs="+", metavar="FOLDER", help="folders, files, patterns, URLs, or one saved catalog"
    )
    group.add_argument("--pattern", help="names to take from folders, such as '*.wav'")
    group.add_argument("--no-recursive", action="store_true", help="do not look in folders within folders")
    group.add_argument(
        "--exclude", action="append", metavar="PATTERN", help="names or patterns to leave out; repeatable"
    )
    group.add_argument("--format", help="name of the format, instead of finding it from suffix and content")
    group.add_argument(
        "--timestamp",
        action="append",
        metavar="TEMPLATE",
        help="strftime template of the start time in the file names, such as %%Y%%m%%d_%%H%%M%%S; repeatable",
    )
    group.add_argument(
        "--offsets", nargs=2, type=int, metavar=("FIRST", "LAST"), help="characters of the time in the name, from 0"
    )
    group.add_argument("--recorder", help="only the name patterns of this recorder, such as audiomoth")
    group.add_argument("--timezone", default="UTC", help="zone of times that name none (default UTC)")
    group.add_argument("--ambiguous", choices=("earlier", "later"), help="local times that occur twice or never")
    group.add_argument("--timestamps-csv", metavar="CSV", help="file with the start times (filename,timestamp)")
    group.add_argument("--start", help="time of the first file; the others follow back to back")
    group.add_argument("--tolerance", type=float, metavar="S", help="seconds by which files may miss or overlap")
    group.add_argument("--cache", metavar="PATH", help="folder or file of the header cache")
    group.add_argument("--no-cache", action="store_true", help="read all headers, keep none")
    return options


def _outputs() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    group = options.add_argument_group("access to what is written (never to recordings)")
    group.add_argument("--group", help="group that owns the output")
    group.add_argument("--mode", help="permissions of files in the output, octal, such as 664")
    group.add_argument("--umask", help="permissions that new files do not get, octal, such as 002")
    return options


def _scan(commands: argparse._SubParsersAction, **options: object) -> None:
    text = "what is in a folder of recordings: times, rates, gaps, anomalies; nothing is changed unless told"
    p = commands.add_parser("scan", help=text, description=text, **options)  # type: ignore[arg-type]
    p.add_argument("--full", action="store_true", help="also read samples of ten files: NaN, clipping, zeros, beyond 1")
    p.add_argument("--files", action="store_true", help="print one line a file")
    p.add_argument("--json", action="store_true", help="print the summary as JSON")
    p.add_argument("--exclude-abnormal", action="store_true", help="leave files with anomalies out of what is written")
    p.add_argument("--save", metavar="JSON", help="keep the catalog: `reel spectrogram JSON` opens it without a scan")
    p.add_argument("--csv", metavar="CSV", help="write the table")
    p.add_argument("--write-timestamps", metavar="CSV", help="write a timestamp.csv")
    p.add_argument("--write-metadata", metavar="CSV", help="write a metadata.csv")
    p.add_argument("--write-file-metadata", metavar="CSV", help="write a file_metadata.csv")
    p.add_argument("--position", nargs=2, type=float, metavar=("LAT", "LON"), help="goes into metadata.csv")
    p.add_argument("--quarantine", metavar="FOLDER", help="move the files with anomalies into this folder")


def _info(commands: argparse._SubParsersAction, **options: object) -> None:
    text = "what one file says about itself"
    p = commands.add_parser("info", help=text, description=text, **options)  # type: ignore[arg-type]
    p.add_argument("file", metavar="FILE", help="path or URL")
    p.add_argument("--format", help="name of the format")
    p.add_argument("--json", action="store_true", help="print JSON")


def _spectrogram(commands: argparse._SubParsersAction, **options: object) -> None:
    text = "power spectra of a folder of recordings, into a Zarr store and a picture; run again to go on after a stop"
    p = commands.add_parser("spectrogram", help=text, description=text, **options)  # type: ignore[arg-type]
    p.add_argument("-o", "--output", metavar="ZARR", help="store to write")
    p.add_argument("--png", metavar="PNG", help="picture to draw")
    p.add_argument("--overwrite", action="store_true", help="replace a store made with other parameters or input")
    group = p.add_argument_group("which samples")
    group.add_argument("--begin", help="UTC time of the first sample")
    group.add_argument("--end", help="UTC time before which the last sample lies")
    group.add_argument("--channel", type=int, help="channel of the files, from 0")
    group.add_argument("--rate", type=float, help="rate in Hz of the files to take, where rates differ")
    group.add_argument("--channels", type=int, help="number of channels of the files to take, where they differ")
    group.add_argument("--overlap", choices=("error", "first", "last"), default="error", help="where files overlap")
    group.add_argument(
        "--on-bad", choices=("raise", "skip", "use"), default="skip", help="bad files: stop, leave out (default), use"
    )
    group.add_argument(
        "--position", nargs=2, type=float, metavar=("LAT", "LON"), help="in degrees; goes into the attributes"
    )
    group = p.add_argument_group("calibration to pascal")
    group.add_argument("--calibration", metavar="FILE", help="TOML or JSON with the values below")
    group.add_argument("--sensitivity", type=float, metavar="DB", help="of the hydrophone, dB re 1 V/uPa")
    group.add_argument("--gain-db", type=float, metavar="DB", help="of the recorder, dB")
    group.add_argument("--peak-voltage", type=float, metavar="V", help="volts at full scale")
    group.add_argument("--end-to-end", type=float, metavar="DB", help="full scale, dB re 1 uPa")
    group = p.add_argument_group("spectra")
    group.add_argument("--nfft", type=int, default=1024, help="FFT length in samples (default 1024)")
    group.add_argument("--hop", type=int, help="samples from window to window (default half a window)")
    group.add_argument("--window", default="hann", help="window of scipy.signal.get_window (default hann)")
    group.add_argument("--window-length", type=int, metavar="N", help="samples of the window (default nfft)")
    group.add_argument("--scaling", choices=("density", "spectrum"), default="density")
    group.add_argument("--detrend", choices=("constant", "linear"), help="subtract from each window")
    group.add_argument("--average", metavar="SPAN", help="one spectrum for each wall-clock span, such as 60s")
    group.add_argument("--median", action="store_true", help="with --average: the median instead of the mean")
    group.add_argument("--min-fraction", type=float, default=0.0, metavar="F", help="least part of a span recorded")
    group.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    group.add_argument("--engine", choices=("scipy", "numba"), help="what computes (default: numba where installed)")
    group = p.add_argument_group("store")
    group.add_argument("--encoding", choices=("float32", "db16"), help="how values are stored (default as computed)")
    group.add_argument("--step", type=float, metavar="DB", help="with --encoding db16: step of levels (default 0.01)")
    group.add_argument("--keep-bits", type=int, metavar="N", help="round floats to so many bits of mantissa")
    group.add_argument("--compression", choices=("lz4", "zstd", "none"), help="of chunks (default lz4)")
    group = p.add_argument_group("picture")
    group.add_argument("--log-frequency", action="store_true")
    group.add_argument("--vmin", type=float, metavar="DB")
    group.add_argument("--vmax", type=float, metavar="DB")


def _demo(commands: argparse._SubParsersAction, **options: object) -> None:
    text = "make a small deployment with gaps and broken files, run the main job on it, and draw the result"
    p = commands.add_parser("demo", help=text, description=text, **options)  # type: ignore[arg-type]
    p.add_argument("folder", nargs="?", default="reel-demo", help="where to put it (default reel-demo)")


if __name__ == "__main__":
    sys.exit(main())
