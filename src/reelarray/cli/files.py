"""Subcommands on files: scan, info, spectrogram, demo."""

from __future__ import annotations

import argparse
from typing import Any

from .options import finding, outputs


def add(commands: argparse._SubParsersAction, *, parents: list[argparse.ArgumentParser], **options: Any) -> None:
    """Add them; `options` are those of every subcommand."""
    shared = [*parents, finding(), outputs()]
    _scan(commands, parents=shared, **options)
    _info(commands, parents=parents, **options)
    _spectrogram(commands, parents=shared, **options)
    _demo(commands, parents=parents, **options)


def _scan(commands: argparse._SubParsersAction, **options: Any) -> None:
    text = "what is in a folder of recordings: times, rates, gaps, anomalies; nothing is changed unless told"
    p = commands.add_parser("scan", help=text, description=text, **options)
    p.set_defaults(run="reelarray.commands.files:scan")
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


def _info(commands: argparse._SubParsersAction, **options: Any) -> None:
    text = "what one file says about itself"
    p = commands.add_parser("info", help=text, description=text, **options)
    p.set_defaults(run="reelarray.commands.files:info")
    p.add_argument("file", metavar="FILE", help="path or URL")
    p.add_argument("--format", help="name of the format")
    p.add_argument("--json", action="store_true", help="print JSON")


def _spectrogram(commands: argparse._SubParsersAction, **options: Any) -> None:
    text = "power spectra of a folder of recordings, into a Zarr store and a picture; run again to go on after a stop"
    p = commands.add_parser("spectrogram", help=text, description=text, **options)
    p.set_defaults(run="reelarray.commands.spectrogram:spectrogram")
    p.add_argument("-o", "--output", metavar="ZARR", help="store to write")
    p.add_argument("--png", metavar="PNG", help="picture to draw")
    p.add_argument("--overwrite", action="store_true", help="replace a store made with other parameters or input")
    p.add_argument("--retry-failed", action="store_true", help="try again what failed before")
    p.add_argument("--save-recipe", metavar="TOML", help="also write what this does as a recipe, for `reel run`")
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
    group.add_argument("--window", help="window of scipy.signal.get_window (default hann)")
    group.add_argument("--window-length", type=int, metavar="N", help="samples of the window (default nfft)")
    group.add_argument("--scaling", choices=("density", "spectrum"), help="u2 Hz-1 (density, default) or u2")
    group.add_argument("--detrend", choices=("constant", "linear"), help="subtract from each window")
    group.add_argument("--average", metavar="SPAN", help="one spectrum for each wall-clock span, such as 60s")
    group.add_argument("--median", action="store_true", help="with --average: the median instead of the mean")
    group.add_argument("--min-fraction", type=float, default=0.0, metavar="F", help="least part of a span recorded")
    group.add_argument("--dtype", choices=("float32", "float64"), help="of the result (default float32)")
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


def _demo(commands: argparse._SubParsersAction, **options: Any) -> None:
    text = (
        "make a small deployment with gaps and broken files, run the main job on it, and draw the result; "
        "`reel demo iq`: watch two analysers for ten seconds; `reel demo depth`: extract a recording of a depth camera"
    )
    p = commands.add_parser("demo", help=text, description=text, **options)
    p.set_defaults(run="reelarray.commands.files:demo")
    p.add_argument(
        "what",
        nargs="*",
        metavar="iq | depth | FOLDER",
        help="iq for the analysers, depth for the camera, and where to put it (default reel-demo, reel-demo-iq, ...)",
    )
