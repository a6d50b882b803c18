"""One recording to its pictures, archives, store and line of the table: what datacrunch did, as a process."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..driving import synchronous
from ..opening import open_recording
from ..recipe.keywords import Keywords
from ..recordings import clock, describe
from ..signal.engines import Engine, choose, using
from ..sinks.atomic import writing_all
from ..sinks.locked import locked
from ..sinks.npz import write_npz
from ..sinks.provenance import RESULT_VERSION
from ..sinks.zarr import write_zarr
from . import pictures
from .frames import Frames, Peak, whole
from .memory import give_back_large_blocks
from .origin import Origin, printable
from .settings import Settings, load_settings
from .table import add_row, decibel_milliwatts
from .unit import Found, Made
from .wanted import Wanted, check_known

log = logging.getLogger(__name__)

DAY = 86_400 * 10**9  # ns: clocks of instruments are wrong by hours, but those of file servers are not by years
VERSION = 2  # raised when outputs come to be others for the same settings


@dataclass(frozen=True)
class Crunch:
    """What is done to each recording: pictures, NumPy archives, a Zarr store, a line in a table; each whole or not.

    Parameters
    ----------
    output : folder of the outputs, made if it is not there
    www : folder of the latest pictures of each analyser, or None
    wanted : what is made
    of_analyser : (name, what is made) of analysers of which something else is wanted
    table : CSV file with a line for each recording, or None
    opening : keywords of `ra.open_recording`
    engine : of spectra, that of the process that made this, on every worker
    """

    output: str
    www: str | None = None
    wanted: Wanted = field(default_factory=Wanted)
    of_analyser: tuple[tuple[str, Wanted], ...] = ()
    table: str | None = None
    opening: Keywords = field(default_factory=Keywords)
    engine: Engine = field(default_factory=lambda: choose(None))

    @property
    def fingerprint(self) -> str:
        """A hash of what outputs depend on; where they go to is no part of it."""
        each = {name: asdict(wanted) for name, wanted in self.of_analyser}
        known = [asdict(self.wanted), each, self.opening.plain(), self.engine, VERSION, RESULT_VERSION]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:24]

    def wanted_of(self, analyser: str) -> Wanted:
        """What is made of the recordings of an analyser."""
        return dict(self.of_analyser).get(analyser, self.wanted)

    def targets(self, found: Found) -> tuple[str, ...]:
        """The outputs that belong to a recording; pictures of the latest belong to the analyser."""
        return tuple(map(str, self._targets(found).values()))

    def _targets(self, found: Found) -> dict[str, Path]:
        wanted = self.wanted_of(found.analyser)
        folder = Path(self.output, found.analyser) if wanted.layout == "by_analyser" else Path(self.output)
        name = os.path.basename(found.relative)
        names = {
            "png": ("", ".png", wanted.png),
            "zoom": ("_zoom", ".png", wanted.png),
            "npz": ("", ".npz", wanted.npz),
            "averaged": ("_averaged", ".npz", wanted.npz and wanted.averaged and wanted.n_avg > 1),
            "zarr": ("", ".zarr", wanted.zarr != "off"),
            "raw": ("", "", wanted.copy_raw),
        }
        return {key: folder / f"{name}{more}{kind}" for key, (more, kind, made) in names.items() if made}

    def __call__(self, found: Found) -> Made:
        """Make the outputs of a recording.

        Raises
        ------
        RecordingError : too short, several channels, a collision of names, or what `ra.open_recording` refuses
        FormatError, TruncatedFile : a file that cannot be read
        OSError : an output that cannot be written
        """
        give_back_large_blocks()
        with synchronous(), using(self.engine):
            return self.make(found)

    def make(self, found: Found) -> Made:
        """The same with Dask's scheduler in use, for a process that does other things besides."""
        wanted, targets = self.wanted_of(found.analyser), self._targets(found)
        options = {"cache": False, "on_bad": "use" if found.partial else "raise", **self.opening}
        x = open_recording(found.path, **options)
        own = clock(x)
        recorded = int(own.labels(0)) if own.absolute and own.size else found.modified_ns
        if recorded > found.modified_ns + DAY:
            log.warning(
                "%s says that it starts at %s, after it was written: its time of modification says how new it is",
                printable(found.relative), own.text(recorded),
            )  # fmt: skip
            recorded = found.modified_ns
        origin = Origin(printable(found.relative, 1000), found.analyser, recorded)
        for path in targets.values():
            path.parent.mkdir(parents=True, exist_ok=True)
            origin.check_free(path)
        frames = Frames.of(x, wanted)
        peak = self._write(frames, origin, found, targets)
        if "zarr" in targets:
            _store(x, frames, origin, targets["zarr"])
        shown = self._publish(targets, origin)
        if self.table is not None:
            Path(self.table).parent.mkdir(parents=True, exist_ok=True)
            add_row(Path(self.table), _row(frames, found, peak))
        seconds = float(own.size / own.row_rate)
        notes = {**shown, **_notes(x, peak)}
        return Made(tuple(map(str, targets.values())), own.size, seconds, found.partial, notes)

    def _write(self, frames: Frames, origin: Origin, found: Found, targets: Mapping[str, Path]) -> Peak:
        """All files of a recording: they get their names together, once all are there."""
        with _together(targets, origin) as made:
            peak = _show(frames.held(), origin, made)  # what is held of one window goes before that of the other comes
            if "npz" in made:
                _keep(Frames.of(frames.samples, frames.wanted, "boxcar").held(), origin, made)
            if "raw" in made:
                shutil.copyfile(found.path, made["raw"])
        return peak

    def _publish(self, targets: Mapping[str, Path], origin: Origin) -> dict[str, str]:
        """Where the pictures are to be seen: those of the recording, or the latest of the analyser."""
        if "png" not in targets:
            return {}
        shown = {"picture": targets["png"], "zoom": targets["zoom"]}
        if self.www is not None:
            os.makedirs(self.www, exist_ok=True)
            full, zoomed = pictures.latest_of(self.www, origin.analyser)
            pictures.publish(targets["png"], full, origin)
            pictures.publish(targets["zoom"], zoomed, origin)
            shown = {"picture": full, "zoom": zoomed}
        return {name: str(path) for name, path in shown.items()}


@contextmanager
def _together(targets: Mapping[str, Path], origin: Origin) -> Iterator[dict[str, Path]]:
    """Temporary names of files, by what they are."""
    paths = {key: path for key, path in targets.items() if key != "zarr"}
    if not paths:
        yield {}
        return
    with ExitStack() as turn, writing_all(list(paths.values())) as temporaries:
        named = dict(zip(paths, temporaries, strict=True))
        made = {key: each.with_name(f"{each.name}{paths[key].suffix}") for key, each in named.items()}
        try:
            yield made  # writers ask for their suffix
            for key, temporary in named.items():
                os.replace(made[key], temporary)
        finally:
            for each in made.values():
                each.unlink(missing_ok=True)
        turn.enter_context(locked(next(iter(paths.values())).parent / pictures.LOCK))
        for path in paths.values():  # another recording of this name may have come first
            origin.check_free(path)


def _show(frames: Frames, origin: Origin, made: Mapping[str, Path]) -> Peak:
    """The pictures, and the peak of what they show."""
    if "png" in made:
        pictures.draw(frames, made["png"], origin)
        pictures.draw_zoomed(frames, made["zoom"], origin)
    return Peak.of(frames.mean())


def _keep(frames: Frames, origin: Origin, made: Mapping[str, Path]) -> None:
    """The archives: datacrunch's numbers, whatever the pictures show."""
    for key, rows in (("npz", frames.rows), ("averaged", frames.averaged)):
        if key in made:
            write_npz(describe(rows, **origin.attrs), made[key], layout="datacrunch", overwrite=True)


def _store(x: xr.DataArray, frames: Frames, origin: Origin, path: Path) -> None:
    """Averaged power as a Zarr store, written beside and then given its name; what was written of it goes on."""
    power = whole(x, frames.wanted) if frames.wanted.zarr == "all" else frames.power(frames.averaged)
    beside, before = (path.with_name(f".{path.name}.{word}.part") for word in ("writing", "before"))
    power = describe(power.rename("power"), **origin.attrs, complete=True)
    write_zarr(power, beside, name="power", overwrite=True)
    with locked(path.parent / pictures.LOCK):
        origin.check_free(path)
        shutil.rmtree(before, ignore_errors=True)
        if path.exists():
            os.rename(path, before)
        os.rename(beside, path)
        shutil.rmtree(before, ignore_errors=True)


def _notes(x: xr.DataArray, peak: Peak) -> dict[str, Any]:
    """What is worth telling of a recording, as JSON values."""
    own = clock(x)
    said: dict[str, Any] = {"start": f"{own.text(own.labels(0))}Z"} if own.absolute and own.size else {}
    said |= {"peak_frequency": peak.frequency, "peak_power": peak.power, "width": peak.width}
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value for name, value in said.items()
    }


def _row(frames: Frames, found: Found, peak: Peak) -> dict[str, Any]:
    rows, own = frames.rows, clock(frames.rows)
    first, last = np.array([0]), np.array([own.size - 1])
    stretch, position = own.positions(last)
    begin, end = int(own.begins(first)[0]), int(own.times(stretch, position - own.lead + own.span)[0])
    frequency = rows["frequency"].values
    watts = frames.power(rows.isel(time=slice(0, 1))).attrs.get("units") == "W"
    return {
        "analyser": found.analyser,
        "recording": printable(found.relative, 1000),
        "start": f"{own.text(begin)}Z" if own.absolute else None,
        "stop": f"{own.text(end)}Z" if own.absolute else None,
        "duration_s": (end - begin) / 1e9,
        "recorded_s": own.size * frames.wanted.lframes / float(clock(frames.samples).row_rate),
        "center_frequency_Hz": float(rows.coords["center_frequency"]) if "center_frequency" in rows.coords else None,
        "bin_width_Hz": float(frequency[-1] - frequency[0]) / max(1, len(frequency) - 1),
        "peak_frequency_Hz": peak.frequency,
        "peak_power_W": peak.power if watts else None,
        "peak_power_dBm": decibel_milliwatts(peak.power) if watts else None,
        "width_3dB_Hz": peak.width,
        "partial": found.partial,
    }


def process_recording(
    path: str | os.PathLike[str],
    settings: Settings | str | os.PathLike[str] | Mapping[str, Any] | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    analyser: str | None = None,
    table: str | os.PathLike[str] | None = None,
    partial: bool = False,
    **wanted: Any,
) -> Made:
    """Make the pictures, archives and line of a table of one recording, as `reel watch` does, for use in a loop.

    Of ``run7.tiq`` become ``run7.tiq.png``, the whole band of the first `nframes` frames; ``run7.tiq_zoom.png``, the
    averaged frames around `zoom_center`; ``run7.tiq.npz`` and ``run7.tiq_averaged.npz`` (layout "datacrunch" of
    `ra.write_npz`: frequencies, starts of the frames, |X|^2 [V2], without a window); with `zarr` a store of averaged
    power [W]. Pictures, store and table are made through a Hann window, or the `window` that is wanted. Each appears
    whole, or not at all, and the same recording gives the same bytes. Memory does not grow with the recording.

    Parameters
    ----------
    path : of the recording
    settings : from `load_settings`, or what that takes; without them the whole recording is used
    output : folder of the outputs, in place of that of the settings; that of the recording where neither says
    analyser : a name, by which outputs are told apart; the name of the folder of the recording unless given
    table : CSV file to which a line is added, of the frames that were used: peak frequency [Hz], power [W, dBm], -3 dB
        width [Hz], start and stop, `duration_s` between these, and `recorded_s` of it without the gaps. A line of the
        same recording is replaced
    partial : take what is there of a file that is shorter than it says
    wanted : lframes, nframes, n_avg, zoom_center, zoom_span, zoom_nfft, png, npz, averaged, zarr, window, scale,
        color_map, limits, ... (`reel watch --example-config` tells them), in place of those of the settings

    Raises
    ------
    SettingError : settings that cannot be
    RecordingError : a recording that is too short for a frame, several channels, or a name that another has
    FormatError, TruncatedFile : a file that cannot be read

    >>> import tempfile
    >>> from reelarray import recording, write_npz
    >>> folder = tempfile.mkdtemp()
    >>> x = recording(np.exp(0.5j * np.pi * np.arange(4096)), rate=1000, start="2022-03-01", units="V")
    >>> made = process_recording(write_npz(x, f"{folder}/tone.npz"), lframes=256, png=False, output=f"{folder}/made")
    >>> [os.path.basename(each) for each in made.outputs], round(made.notes["peak_frequency"])
    (['tone.npz.npz'], 250)
    """
    where = os.path.abspath(os.fspath(path))
    folder = os.path.dirname(where)
    if not isinstance(settings, Settings):
        needed = {"folder_path": folder, "output_path": os.fspath(output or folder)}
        if settings is None:
            settings = load_settings(overrides=needed)
        else:
            settings = load_settings(settings, {} if output is None else {"output_path": needed["output_path"]})
    process = settings.process
    check_known(wanted)
    analyser = analyser or settings.options.analysers.get(folder) or os.path.basename(folder) or "recordings"
    inside = [each for each in map(os.path.abspath, settings.options.folders) if where.startswith(each + os.sep)]
    root = max(inside, key=len, default=folder)
    chosen = replace(process.wanted_of(analyser), **wanted)
    changes: dict[str, Any] = {"wanted": chosen, "of_analyser": ()}
    if output is not None:
        changes["output"] = os.path.abspath(os.fspath(output))
    if table is not None:
        changes["table"] = os.path.abspath(os.fspath(table))
    process = replace(process, **changes)
    status = os.stat(where)
    found = Found(
        path=where,
        folder=root,
        relative=os.path.relpath(where, root).replace(os.sep, "/"),
        analyser=analyser,
        bytes=status.st_size,
        modified_ns=status.st_mtime_ns,
        partial=partial,
    )
    with using(process.engine):
        return process.make(found)
