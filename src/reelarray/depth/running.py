"""One recording, from its file to its results: opened, its scene found, its stages made, one file written of them."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xarray as xr

from .. import driving
from ..errors import RecordingError, ReelError, Unwritable
from ..formats.depth.archive import is_archive
from ..formats.depth.session import METADATA, default_metadata, folder_name
from ..opening import open_recording
from ..sinks.atomic import writing
from ..sinks.files import refusals
from ..sinks.journal import Journal, OutputHeld
from .converting import convert_raw_to_avi
from .extract import Steps, trimmed
from .finishing import write_file
from .options import Options, resolve_config
from .optiontable import SCENE
from .scene import scene, write_scene
from .stages import Stages
from .status import begin_status, complete_status, fail_status, is_done, recording_facts

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Extracted:
    """What came of one recording.

    Parameters
    ----------
    recording : its file
    folder : of its results
    results : results_NN.h5
    frames : how many were extracted
    flagged : numbers of frames by what is odd in them
    seconds : that this call took; `steps` by step
    complete : False where it was told to stop
    note : why nothing was to be done, or what a user should know
    """

    recording: Path
    folder: Path
    results: Path
    frames: int = 0
    flagged: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    steps: Mapping[str, float] = field(default_factory=dict)
    complete: bool = True
    note: str = ""


def extract_recording(
    path: str | os.PathLike[str],
    config: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *,
    output_dir: str | os.PathLike[str] | None = None,
    force: bool = False,
    workers: driving.Workers = driving.in_use,
    stop: driving.Stop | None = None,
    beat: Callable[[int, int], None] = lambda done, total: None,
    **options: Any,
) -> Extracted:
    """Extract one recording into its folder: results_NN.h5, .yaml and .mp4, and the pictures of the scene.

    Frames are seen once. Blocks that are done stay done: a call that was killed is gone on with by the same call, and
    gives the same file. Results that are complete, of the same options and input, are left as they are.

    Parameters
    ----------
    path : .dat, .avi, .mkv or an archive of a session
    config, **options : as for `ra.depth.extract`, and those of the scene and of outputs
    output_dir : for `output_dir` of the options: a folder beside the recording, or an absolute one
    force : extract again what is complete
    workers : who works, as of a cluster; the scheduler in use unless given
    stop : asked now and then whether to end
    beat : called with blocks done and in all

    Raises
    ------
    RecordingError, FormatError, ClockError, RecipeError : what cannot be extracted; results_NN.yaml notes it too
    OutputHeld : another process extracts it

    >>> import tempfile
    >>> from reelarray.demo.depth import make_session
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = make_session(folder, frames=30, shape=(212, 256))
    ...     how = {"camera_type": "kinect", "intrinsics": {"fx": 180, "fy": 180}, "write_movie": False}
    ...     found = extract_recording(f"{folder}/depth.dat", how)
    ...     again = extract_recording(f"{folder}/depth.dat", how)
    ...     found.frames, found.results.name, again.note
    (30, 'results_00.h5', 'complete already')
    """
    if output_dir is not None:
        options["output_dir"] = os.fspath(output_dir)
    chosen = resolve_config(config, **options)
    source = Path(path).absolute()
    if not source.is_file():
        raise FileNotFoundError(f"there is no recording {source}; a .dat, .avi, .mkv or .tar.gz file was expected")
    folder = results_folder(source, chosen["output_dir"])
    if folder.exists() and not folder.is_dir():
        raise Unwritable(f"{folder} is a file, a folder for results was expected: move it, or pass another output_dir=")
    if chosen["write_default_metadata"]:
        _write_default_metadata(source)
    begun = time.monotonic()
    why = ""
    for index in _indices(chosen):  # the first that there is
        status = folder / f"results_{index:02d}.yaml"
        done = is_done(status, chosen, input=recording_facts(source))
        if done and not (force or chosen["force"]):
            results = folder / f"results_{index:02d}.h5"
            _sweep(_parts_of(folder, index), results)
            return Extracted(source, folder, results, note="complete already")
        if done.reason and status.is_file() and not why:
            why = f"extracted again: {done.reason}"
    with refusals(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if why:
        log.info("%s is %s", source, why)
    made = _Run(source, folder, chosen, begun)(workers, stop, beat)
    return dataclasses.replace(made, note="; ".join(filter(None, (made.note, why))))


def results_folder(source: Path, output_dir: str | None) -> Path:
    """Where the results of a recording go: beside it, or for an archive below a folder of its name."""
    if is_archive(str(source)):
        name = source.name.lower()
        stem = source.name[: -len(".tar.gz")] if name.endswith(".tar.gz") else source.stem
        return source.parent / stem / (output_dir or "proc")
    return source.parent / (output_dir or "proc")


def scene_options(options: Options) -> dict[str, Any]:
    """Of all options those of the scene, as `scene` takes them."""
    return {name: options[name] for name in (*(each.name for each in SCENE), "camera_type", "intrinsics", "compat")}


def opened(source: Path, options: Options) -> xr.DataArray:
    """A recording as the options say that it is read."""
    given: dict[str, Any] = {"on_mismatch": options["on_mismatch"]}
    if options["frame_size"] is not None:
        given |= {"width": options["frame_size"][0], "height": options["frame_size"][1]}
    if source.suffix.lower() != ".dat" and options["mapping"] != "DEPTH":
        given["stream"] = options["mapping"]
    if options["fps"] != 30.0:
        given["fps"] = options["fps"]
    if options["on_mismatch"] != "error":  # also a film that was never finished has fewer frames than times
        given["on_bad"] = "use"
    try:
        return open_recording(source, format="depth", cache=False, chunks=options["chunk_size"], **given)
    except RecordingError as error:
        if "on_bad='use'" not in str(error):
            raise
        raise RecordingError(str(error).replace("on_bad='use'", "on_mismatch='trim'")) from None  # as it is called here


def _write_default_metadata(source: Path) -> None:
    path = source.with_name(METADATA)
    if not (path.exists() or is_archive(source.name)):
        with writing(path) as temporary:
            temporary.write_text(json.dumps(default_metadata(folder_name(str(source))), indent=1))


def _indices(options: Options) -> Sequence[int]:
    index = options["bg_roi_index"]
    return [index] if isinstance(index, int) else list(index)


class _Run:
    """One call: its facts, and its steps in order."""

    def __init__(self, source: Path, folder: Path, options: Options, begun: float) -> None:
        self.source, self.folder, self.options, self.begun = source, folder, options, begun
        self.input = recording_facts(source)
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def __call__(self, workers: driving.Workers, stop: driving.Stop | None, beat: Callable[[int, int], None]) -> Any:
        index = self._index()
        parts = _parts_of(self.folder, index)
        with refusals(self.folder):
            parts.mkdir(exist_ok=True)
        journal = Journal.hold(parts, self.folder / f"results_{index:02d}.h5")
        try:
            _tidy(self.folder)
            made = self._extract(journal, parts, index, workers, stop, beat)
        finally:
            journal.close()
        if made.complete:
            shutil.rmtree(parts, ignore_errors=True)
            made = self._compressed(made)
        return made

    def _index(self) -> int:
        """The number of the results: of several candidates that may be the arena, the first that there is."""
        asked = _indices(self.options)
        if len(asked) > 1:
            with suppress(ReelError):  # what is wrong is said, and noted, when the run meets it
                rec = self._opened(self.folder / f"results_{asked[0]:02d}.yaml")
                return int(self._scene(trimmed(rec, self.options)).attrs["bg_roi_index"])
        return asked[0]

    def _extract(
        self,
        journal: Journal,
        parts: Path,
        index: int,
        workers: driving.Workers,
        stop: driving.Stop | None,
        beat: Callable[[int, int], None],
    ) -> Extracted:
        path = self.folder / f"results_{index:02d}.yaml"
        rec = self._opened(path)
        metadata = rec.attrs.get("metadata", {})
        status = begin_status(path, self.options, input=self.input, metadata=metadata)
        try:
            with naming(self.source):
                rec = trimmed(rec, self.options)
                steps = Steps.of(rec, self._scene(rec), self.options)
            self._lap("scene")
            stages = Stages(steps, journal, parts, self.input)
            if not stages.make(workers, stop, beat):
                note = "stopped; the same call goes on"
                return Extracted(self.source, self.folder, path.with_suffix(".h5"), complete=False, note=note)
            self._lap("blocks")
            flagged = write_file(stages, path, status.uuid, metadata, self._lap)
            true_depth = float(steps.scene.attrs["true_depth"])
            profile = self.seconds if self.options["profile"] else None
            complete_status(path, status, true_depth=true_depth, flagged=flagged, profile=profile)
        except OutputHeld:  # the status is another's now
            raise
        except Exception as error:  # who interrupts can go on: that is no failure of the recording
            with suppress(OSError):
                fail_status(path, status, error)
            raise
        spent = time.monotonic() - self.begun
        frames = len(steps.rec)
        told = _told(self.source, flagged, frames)
        return Extracted(
            self.source, self.folder, path.with_suffix(".h5"), frames, flagged, spent, dict(self.seconds), note=told
        )

    def _opened(self, path: Path) -> xr.DataArray:
        try:
            return opened(self.source, self.options)
        except Exception as error:
            fail_status(path, begin_status(path, self.options, input=self.input), error)
            raise

    def _scene(self, rec: xr.DataArray) -> xr.Dataset:
        found = scene(rec, folder=self.folder, **scene_options(self.options))
        write_scene(found, self.folder)
        return found

    def _compressed(self, made: Extracted) -> Extracted:
        """The raw recording as a film; results stand where none can be made of it."""
        o = self.options
        if not (o["compress"] and self.source.suffix.lower() == ".dat"):
            return made
        how = {"chunk_size": o["compress_chunk_size"], "threads": o["compress_threads"], "fps": o["fps"]}
        try:
            convert_raw_to_avi(self.source, delete=o["delete"], **how)
        except (ReelError, OSError) as error:
            log.warning("the results are complete, and the recording is not compressed: %s", error)
            return dataclasses.replace(made, note="; ".join(filter(None, (made.note, f"not compressed: {error}"))))
        return made

    def _lap(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now


def _parts_of(folder: Path, index: int) -> Path:
    return folder / f".results_{index:02d}.parts"


def _sweep(parts: Path, results: Path) -> None:
    """Remove the blocks of a run that was killed when its results were complete."""
    if parts.is_dir():
        with suppress(ReelError, OSError):  # somebody makes them again, or nothing may be written here
            Journal.hold(parts, results).close()
            shutil.rmtree(parts)


def _tidy(folder: Path) -> None:
    """Remove what killed runs left half written, where no run of another arena is at work."""
    left = list(folder.glob(".*.part"))
    if len(list(folder.glob(".results_*.parts"))) == 1:
        for path in left:
            path.unlink(missing_ok=True)


@contextmanager
def naming(source: Path) -> Iterator[None]:
    """Errors about what is in a recording have its name."""
    try:
        yield
    except RecordingError as error:
        raise RecordingError(f"{source}: {error}") from error


def _told(source: Path, flagged: Mapping[str, int], frames: int) -> str:
    """What a user should know of an extraction that went well."""
    if flagged.get("missing", 0) > frames / 2:
        log.warning(
            "%s: no animal in %d of %d frames; look at its scene (reel depth roi), and whether frame_size, "
            "bg_roi_index, min_height and max_height are right",
            source,
            flagged["missing"],
            frames,
        )
    return ", ".join(f"{name} in {count} of {frames} frames" for name, count in flagged.items())
