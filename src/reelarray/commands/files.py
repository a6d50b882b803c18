"""What the subcommands on files do: scan, info, spectrogram, demo."""

from __future__ import annotations

import argparse
import errno
import importlib.util
import json
import logging
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from .. import catalog as catalogs
from ..choosing import choose_files
from ..cli.codes import LEFT_OUT, OK, InputLost, Unwritable
from ..errors import FormatError, MissingPackage, RecordingError, TruncatedFile
from ..opening import open_recordings
from ..progress import Progress
from ..recordings import clock
from ..sinks.access import check_access, give_access, umask
from ..sinks.atomic import writing
from ..sinks.journal import OutputExists, OutputHeld

# What a disk or its owner says to a writer; other errors come from names that cannot be.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
_REFUSED = (errno.EPERM, errno.EACCES, errno.EIO)


@contextmanager
def output(path: str | os.PathLike[str], inputs: Collection[str] = ()) -> Iterator[None]:
    """Errors while an output is written: by what is read for it (`InputLost`), or by itself (`Unwritable`)."""
    try:
        yield
    except (OutputExists, OutputHeld):
        raise
    except (FormatError, TruncatedFile) as error:
        raise _lost(error) from error
    except OSError as error:
        if error.filename in inputs:
            raise _lost(error) from error
        if error.errno in _FULL or (error.errno in _REFUSED and error.filename is not None):
            raise Unwritable(f"{path} cannot be written: {error}") from error
        if inputs and error.filename is None:  # a remote file names itself in the text
            raise _lost(error) from error
        raise


def _lost(error: Exception) -> InputLost:
    return InputLost(f"stopped by an input, run the same command again after mending it: {error}")


def scan_files(arguments: argparse.Namespace, **options: Any) -> pd.DataFrame:
    """The catalog that the options of a subcommand describe: scanned, or as it was saved."""
    kept = [path for path in arguments.paths if path.lower().endswith(".json")]
    if kept and len(arguments.paths) > 1:
        raise RecordingError(f"{kept[0]} is a saved catalog; give one of those alone, or folders and files")
    if kept:
        of_scan = ("pattern", "exclude", "format", "timestamp", "offsets", "recorder", "timestamps_csv", "start")
        if given := [f"--{name.replace('_', '-')}" for name in of_scan if getattr(arguments, name) is not None]:
            raise RecordingError(f"{', '.join(given)}: {arguments.paths[0]} is a saved catalog; give it when scanning")
        return catalogs.load(arguments.paths[0])
    return catalogs.scan(
        arguments.paths,
        pattern=arguments.pattern,
        recursive=not arguments.no_recursive,
        exclude=arguments.exclude,
        format=arguments.format,
        timestamp=arguments.timestamp,
        offsets=None if arguments.offsets is None else tuple(arguments.offsets),
        recorder=arguments.recorder,
        timezone=arguments.timezone,
        ambiguous=arguments.ambiguous,
        timestamps_csv=arguments.timestamps_csv,
        start=arguments.start,
        tolerance=arguments.tolerance,
        cache=False if arguments.no_cache else arguments.cache,
        **options,
    )


def scan(arguments: argparse.Namespace) -> int:
    """`reel scan`: a report, and only what is asked for beyond it."""
    check_access(group=arguments.group, mode=arguments.mode)
    table = scan_files(arguments, quick=not arguments.full)
    summary = catalogs.summarise(table)
    if arguments.json:
        print(json.dumps(summary.to_dict(), indent=1))
    else:
        if arguments.files:
            for row in table.itertuples(index=False):
                start = "no time" if pd.isna(row.start) else row.start.isoformat()
                facts = f"{row.samples:>12,} x {row.channels} at {row.rate:,.10g} Hz"
                print(f"{start:<30} {facts}  {row.path}" + (f"  [{row.anomaly}]" if row.anomaly else ""))
        print(summary)
    written = catalogs.drop_abnormal(table) if arguments.exclude_abnormal else table
    with umask(arguments.umask):
        for path, write in (
            (arguments.save, lambda path: catalogs.save(written, path)),
            (arguments.csv, lambda path: _write_csv(written.drop(columns=["metadata", "layout"]), path)),
            (arguments.write_timestamps, lambda path: catalogs.write_timestamps(written, path)),
            (arguments.write_metadata, lambda path: catalogs.write_metadata(_metadata(written, arguments), path)),
            (arguments.write_file_metadata, lambda path: catalogs.write_file_metadata(written, path)),
        ):
            if path is not None:
                with output(path):
                    write(path)
                    give_access(path, group=arguments.group, mode=arguments.mode)
                print(f"written   {path}")
    if arguments.quarantine is not None:
        with output(arguments.quarantine):
            moved = catalogs.quarantine(table, arguments.quarantine)
        for row in moved.itertuples(index=False):
            print(f"moved     {row.path} -> {row.moved_to} ({row.anomaly})")
        print(f"moved     {len(moved)} files to {arguments.quarantine}")
    return OK


def _write_csv(table: pd.DataFrame, path: str) -> None:
    if os.path.exists(path) and not os.path.isfile(path):  # /dev/stdout
        table.to_csv(path, index=False)
        return
    kind: Any = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zip": "zip"}.get(Path(path).suffix)
    with writing(path) as temporary:
        table.to_csv(temporary, index=False, compression=kind)


def _metadata(table: pd.DataFrame, arguments: argparse.Namespace) -> Any:
    position = None if arguments.position is None else tuple(arguments.position)
    return catalogs.describe_metadata(table, position=position)


def info(arguments: argparse.Namespace) -> int:
    """`reel info FILE`: the header of one file."""
    from ..formats import probe

    header = probe(arguments.file, arguments.format)
    seconds = float(header.frames / header.rate)
    table = catalogs.scan([arguments.file], format=arguments.format, cache=False)
    start = None if pd.isna(table["start"].iloc[0]) else table["start"].iloc[0].isoformat() + "Z"
    facts: dict[str, Any] = {
        "path": header.path,
        "format": header.format,
        "samples": header.frames,
        "rate_hz": float(header.rate),
        "seconds": seconds,
        "channels": 1 if len(header.shape) == 1 else header.shape[1],
        "subtype": header.subtype,
        "bytes": header.bytes,
        "start": start,
        "start_from": table["start_source"].iloc[0] or None,
        "anomaly": table["anomaly"].iloc[0] or None,
        "metadata": dict(header.metadata),
    }
    if arguments.json:
        print(json.dumps(facts, indent=1))
        return OK
    for name, value in facts.items():
        if name == "metadata":
            for key, text in value.items():
                shown = text if isinstance(text, str) else json.dumps(text)
                print(f"{key:<12} {shown if len(shown) <= 300 else shown[:297] + '...'}")
        elif value is not None:
            print(f"{name:<12} {value:,}" if isinstance(value, int | float) else f"{name:<12} {value}")
    return OK


def spectrogram(arguments: argparse.Namespace) -> int:
    """`reel spectrogram FOLDER -o OUT.zarr --png OUT.png`: the main job."""
    if arguments.output is None and arguments.png is None:
        raise RecordingError("nothing to make: pass -o OUT.zarr, --png OUT.png, or both")
    check_access(group=arguments.group, mode=arguments.mode)
    begun = time.monotonic()
    table = scan_files(arguments)
    chosen, left_out = choose_files(table, rate=arguments.rate, channels=arguments.channels, on_bad=arguments.on_bad)
    with _told_by_the_summary():
        x = open_recordings(
            table,
            begin=arguments.begin,
            end=arguments.end,
            channel=arguments.channel,
            rate=arguments.rate,
            channels=arguments.channels,
            tolerance=arguments.tolerance,
            overlap=arguments.overlap,
            on_bad=arguments.on_bad,
            position=None if arguments.position is None else tuple(arguments.position),
            **_calibration(arguments),
        )
    spectra = _spectra(x, arguments)
    if arguments.png is not None:
        _check_picture(spectra, arguments.png)  # before hours of writing, not after
    inputs = set(chosen["path"])
    print(_describe_input(x, len(chosen)))
    with umask(arguments.umask):
        if arguments.output is not None:
            with output(arguments.output, inputs):
                spectra = _write(spectra, arguments)
        if arguments.png is not None:
            from ..plot import save_spectrogram

            limits = {"vmin": arguments.vmin, "vmax": arguments.vmax}
            with output(arguments.png, inputs):
                save_spectrogram(spectra, arguments.png, log_frequency=arguments.log_frequency, **limits)
                give_access(arguments.png, group=arguments.group, mode=arguments.mode)
            print(f"picture   {arguments.png}")
    print(f"time      {time.monotonic() - begun:.1f} s")
    for row in left_out.itertuples(index=False):
        print(f"left out  {os.path.basename(str(row.path))}: {row.reason}")
    asked = left_out["reason"].str.contains("was asked for") if len(left_out) else pd.Series([], dtype=bool)
    return OK if asked.all() else LEFT_OUT


def _check_picture(spectra: xr.DataArray, path: str) -> None:
    """Raise what drawing would, before anything is written."""
    if "channel" in spectra.dims:
        last = spectra.sizes["channel"] - 1
        raise RecordingError(
            f"--png draws one channel, the files have {last + 1}: pass --channel 0 to {last}, or no --png"
        )
    if Path(path).suffix.lower() != ".png":
        raise RecordingError(f"--png {path}: a name that ends in .png was expected")
    if not Path(path).absolute().parent.is_dir():
        raise RecordingError(f"--png {path}: the folder does not exist; make it first")
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingPackage('--png needs matplotlib, which is not installed: pip install "reelarray[plot]"')


@contextmanager
def _told_by_the_summary() -> Iterator[None]:
    """What opening logs of files left out is not shown: the summary lists them."""
    logger = logging.getLogger(open_recordings.__module__)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _calibration(arguments: argparse.Namespace) -> dict[str, Any]:
    """Calibration of a file, with what the options say instead."""
    found: dict[str, Any] = {}
    if arguments.calibration is not None:
        from ..calibration import read_calibration

        found = read_calibration(arguments.calibration).settings()
    for name in ("sensitivity", "gain_db", "peak_voltage", "end_to_end"):
        if getattr(arguments, name) is not None:
            found[name] = getattr(arguments, name)
    return found


def _spectra(x: xr.DataArray, arguments: argparse.Namespace) -> xr.DataArray:
    from ..signal import spectra

    names = ("nfft", "hop", "window", "window_length", "scaling", "dtype", "engine")
    options = {name: getattr(arguments, name) for name in names}
    options["detrend"] = arguments.detrend or False
    if arguments.average is None:
        if arguments.median or arguments.min_fraction:
            raise RecordingError("--median and --min-fraction belong to --average SPAN, such as --average 60s")
        return spectra.spectrogram(x, **options)
    options["average"] = "median" if arguments.median else "mean"
    return spectra.power_spectrum(x, every=arguments.average, min_fraction=arguments.min_fraction, **options)


def _describe_input(x: xr.DataArray, files: int) -> str:
    own = clock(x)
    seconds = float(own.size / own.row_rate)
    ends = f"{own.text(own.labels(0))} to {own.text(own.labels(own.size - 1))}"
    return (
        f"input     {files:,} files, {seconds:,.1f} s at {float(own.row_rate):,.10g} Hz, {own.gaps:,} gaps, {ends}, "
        f"{x.attrs['units'] if x.attrs['units'] != '1' else 'full scale'}"
    )


def _write(spectra: xr.DataArray, arguments: argparse.Namespace) -> xr.DataArray:
    """Write the store; what the picture is drawn from then."""
    from ..sinks.zarr import open_zarr, write_zarr

    progress = Progress("blocks")
    try:
        how = {name: getattr(arguments, name) for name in ("encoding", "step", "keep_bits", "compression", "overwrite")}
        report = write_zarr(spectra, arguments.output, progress=progress, **how)
    finally:
        progress.close()
    give_access(arguments.output, group=arguments.group, mode=arguments.mode)
    shape = " x ".join(f"{n:,} {d}" for d, n in spectra.sizes.items())
    size = sum(f.stat().st_size for f in Path(arguments.output).rglob("*") if f.is_file())
    print(f"output    {arguments.output}: {shape} ({spectra.attrs['units']}), {size / 1e6:,.1f} MB")
    if report.skipped:
        print(f"resumed   {report.skipped:,} blocks were there, {report.done:,} were made")
    return open_zarr(arguments.output)


def demo(arguments: argparse.Namespace) -> int:
    """`reel demo`: a small deployment made and worked on."""
    from ..demo import run

    with output(arguments.folder):
        return run(Path(arguments.folder))
