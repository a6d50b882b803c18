"""One recording, from its file to its results: blocks of records on disk, noted in a journal, and one file of them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .. import driving, graph
from ..errors import RecordingError, ReelError, Unwritable
from ..formats.depth.archive import is_archive
from ..formats.depth.session import METADATA, default_metadata, folder_name
from ..opening import open_recording
from ..recordings import clock, label
from ..sinks.atomic import writing
from ..sinks.blocks import Blocks
from ..sinks.files import refusals
from ..sinks.journal import Journal, OutputHeld
from . import kernels
from .converting import convert_raw_to_avi
from .extract import Steps, trimmed
from .heights import heights
from .movies import Preview
from .options import Options, resolve_config
from .optiontable import SCENE
from .parts import VALUE, WRITTEN, PartWriter, read_part
from .results import Extraction, ResultsFile
from .scene import camera_of, scene, write_scene
from .status import begin_status, complete_status, count_flags, fail_status, is_done, recording_facts

log = logging.getLogger(__name__)

# Stages of blocks: what is seen in frames, and crops where these have to wait for what frames around a frame say of it;
# before, where a tracker follows the animal, its Gaussians; between, how sure it is, and what is said of crops.
SEEN, CUT, FOLLOWED, SURE, ASKED = "seen", "cut", "followed", "sure", "asked"
_SHOWN = 20  # frames that a preview reads at once: new memory of a whole block costs more than reading it
STRETCH = 64  # blocks of a tracker that are made of one graph: to go on, a chain has to begin at the first of them
_SCENE = {option.name for option in SCENE} | {"camera_type", "intrinsics", "compat"}


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
            blocks = _Parts(self, steps, journal, parts)
            if not blocks.make(workers, stop, beat):
                note = "stopped; the same call goes on"
                return Extracted(self.source, self.folder, path.with_suffix(".h5"), complete=False, note=note)
            self._lap("blocks")
            flagged = self._write(blocks, steps, path, status.uuid, metadata)
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
        told = _told(flagged, frames)
        return Extracted(
            self.source, self.folder, path.with_suffix(".h5"), frames, flagged, spent, dict(self.seconds), note=told
        )

    def _opened(self, path: Path) -> xr.DataArray:
        o = self.options
        given: dict[str, Any] = {"on_mismatch": o["on_mismatch"]}
        if o["frame_size"] is not None:
            given |= {"width": o["frame_size"][0], "height": o["frame_size"][1]}
        if self.source.suffix.lower() != ".dat" and o["mapping"] != "DEPTH":
            given["stream"] = o["mapping"]
        if o["fps"] != 30.0:
            given["fps"] = o["fps"]
        if o["on_mismatch"] != "error":  # also a film that was never finished has fewer frames than times
            given["on_bad"] = "use"
        try:
            return open_recording(self.source, format="depth", cache=False, chunks=o["chunk_size"], **given)
        except Exception as error:
            said = str(error)
            if isinstance(error, RecordingError) and "on_bad='use'" in said:  # which is called so here
                error = RecordingError(said.replace("on_bad='use'", "on_mismatch='trim'"))
            fail_status(path, begin_status(path, o, input=self.input), error)
            raise error from None

    def _scene(self, rec: xr.DataArray) -> xr.Dataset:
        given = {name: self.options[name] for name in _SCENE if name not in ("recompute_bg", "overlap_roi")}
        given |= {"overlap_roi": self.options["overlap_roi"], "recompute_bg": self.options["recompute_bg"]}
        found = scene(rec, folder=self.folder, **given)
        write_scene(found, self.folder)
        return found

    def _write(
        self, blocks: _Parts, steps: Steps, path: Path, uuid: str, metadata: Mapping[str, Any]
    ) -> dict[str, int]:
        """The one file, block by block, and the preview beside it."""
        pose, flips = blocks.pose()
        numbers = steps.scalars(blocks.vectors(CUT if steps.in_two else SEEN), pose).values
        self._lap("vectors")
        flags = pose.values["flags"]
        look, o = steps.look, self.options
        found = steps.scene
        first = o["frame_trim"][0]
        facts = Extraction(
            found["background"].values,
            found["roi"].values,
            found["first_frame"].values,
            first,
            first + len(flags),
            float(found.attrs["true_depth"]),
            (steps.arena.box[2], steps.arena.box[0]),
            {"plane": found["plane"].values, "camera": json.dumps(dataclasses.asdict(camera_of(found)))},
        )
        with ExitStack() as stack:
            movie = self._preview(stack, steps, path.with_suffix(".mp4"))
            file = stack.enter_context(
                ResultsFile(
                    path.with_suffix(".h5"),
                    frames=len(flags),
                    crop_size=look.crop_size,
                    frame_dtype=look.dtype,
                    mask_dtype="f4" if steps.tracking else "?",
                    uuid=uuid,
                    acquisition=metadata,
                    extraction=facts,
                    parameters=o,
                    timestamps=steps.times,
                    flips=flips is not None,
                    flags=True,
                )
            )
            turn = kernels.Turn(look.compat)
            for start, records in blocks.images():
                rows = slice(start, start + len(records))
                crops, mask = (turn.one(records[name], pose.values[rows]) for name in ("frames", "mask"))
                file.write(
                    start,
                    crops,
                    mask,
                    {name: numbers[name][rows] for name in numbers.dtype.names or ()},
                    flips=None if flips is None else flips.values[rows],
                    flags=flags[rows],
                )
                if movie is not None:
                    _show(movie, steps, crops, rows, o["preview_every"])
        self._lap("file")
        return count_flags(flags)

    def _preview(self, stack: ExitStack, steps: Steps, path: Path) -> Preview | None:
        if not self.options["write_movie"]:
            return None
        look = steps.look
        every = self.options["preview_every"]
        size = steps.arena.inside.shape
        how = {"minimum": look.minimum, "maximum": look.maximum, "every": every}
        return stack.enter_context(Preview(path, (size[0], size[1]), look.crop_size, steps.rate, **how))

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


def _told(flagged: Mapping[str, int], frames: int) -> str:
    return ", ".join(f"{name} in {count} of {frames} frames" for name, count in flagged.items())


def _show(movie: Preview, steps: Steps, crops: np.ndarray, rows: slice, every: int) -> None:
    """The frames of a block that are shown, a few at a time; of others nothing is read."""
    shown = np.arange(rows.start, rows.stop)
    shown = shown[shown % every == 0]
    arena, look, table = steps.arena, steps.look, graph.rows(steps.rec.data)
    assert table is not None  # it was opened from a file
    raw = np.zeros((len(crops), *arena.inside.shape), look.dtype)
    limits: dict[str, Any] = {"minimum": look.minimum, "maximum": look.maximum, "dtype": look.dtype}
    floor, together = np.floor(arena.floor), max(1, _SHOWN // every)
    for some in (shown[k : k + together] for k in range(0, len(shown), together)):
        frames = table.read(int(some[0]), int(some[-1]) + 1)[::every]
        raw[some - rows.start] = heights(arena.within(frames), floor, arena.inside, arena.box, **limits)
    movie.write(crops, raw)


class _Stopped(Exception):
    """Asked to stop."""


class _Parts:
    """The blocks of one recording, as files of records, each noted when it is there."""

    def __init__(self, run: _Run, steps: Steps, journal: Journal, folder: Path) -> None:
        self.run, self.steps, self.journal, self.folder = run, steps, journal, folder
        self.mark = _mark(run, steps)
        if journal.header.get("fingerprint") != self.mark:
            for old in folder.glob("*.part"):
                old.unlink()
            journal.begin({"fingerprint": self.mark})
        self._pose: tuple[xr.DataArray, xr.DataArray | None] | None = None
        self._found = {tuple(r["done"]): r for r in journal.records if "done" in r and r.get("of") == self.mark}
        self._made: dict[str, int] = {}
        self._how: dict[str, Any] = {}

    def make(self, workers: driving.Workers, stop: driving.Stop | None, beat: Callable[[int, int], None]) -> bool:
        """All blocks of all stages; False when stopped."""
        with self.journal.scratch() as temporary, workers() as (client, watch), suppress(_Stopped):
            self._how = {"client": client, "watch": watch, "stop": stop, "beat": beat, "temporary": temporary}
            if self.steps.tracking and self.steps.options["tracker_warmup"] is None:
                self._follow()
            if not self.steps.in_two:
                self._drive(SEEN, self.steps.whole())
            else:
                self._drive(SEEN, self.steps.seen())
                self._drive(CUT, self.steps.whole(self.pose()[0]))
            return True
        return False

    def _follow(self) -> None:
        """Gaussians of all frames, stretch by stretch: a chain is not begun anew for each of the blocks behind it."""
        cleaned = self.steps.cleaned()
        edges = np.append(0, np.cumsum(cleaned.data.chunks[0]))
        state: Any = self.steps.begun(cleaned)
        found: list[np.ndarray] = []
        for k in range(0, len(edges) - 1, STRETCH):
            stage = f"{FOLLOWED}-{k // STRETCH:04d}"
            part = cleaned.isel(time=slice(edges[k], edges[min(k + STRETCH, len(edges) - 1)]))
            self._drive(stage, self.steps.follow(part, state))
            found += self.parts(stage)
            state = found[-1][-1:]
        self.steps = dataclasses.replace(self.steps, followed=self._labelled(np.concatenate(found)))

    def _numbers(self, stage: str, made: xr.DataArray) -> xr.DataArray:
        """A few numbers of each frame, by way of blocks on disk."""
        self._drive(stage, made)
        found = np.concatenate(list(self.parts(stage)))
        return self._labelled(found if made.dtype.names else found[VALUE])

    def _drive(self, stage: str, made: xr.DataArray) -> None:
        """The blocks of a stage that are not there; raises `_Stopped`."""
        how = self._how
        if not hasattr(made.data, "numblocks"):
            made = made.chunk({"time": self.run.options["chunk_size"]})
        sizes = made.data.chunks[0]
        self._made[stage] = len(sizes)
        todo = [(k,) for k in range(len(sizes)) if not self._is_there(stage, k)]
        starts = {start: k for k, start in enumerate(np.cumsum([0, *sizes[:-1]]).tolist())}
        done = len(sizes) - len(todo)
        how["beat"](done, len(sizes))

        def note(units: Sequence[driving.Done]) -> None:
            nonlocal done
            records = []
            for unit in units:
                size, check = np.asarray(unit.value).reshape(-1)[0].tolist()
                records.append({"done": [stage, *unit.unit], "of": self.mark, "bytes": size, "crc": check})
            self.journal.note(records)
            done += len(units)
            how["beat"](done, len(sizes))

        def look() -> None:
            self.journal.lease.check()
            how["watch"]()

        if not todo:
            return
        writer = PartWriter(self.folder, how["temporary"], stage, starts)
        blocks = Blocks(made.data, writer, dtype=WRITTEN, name="write-depth")
        policy = driving.Policy(on_error="raise")
        options = {"policy": policy, "stop": how["stop"], "client": how["client"], "beat": look}
        with refusals(self.folder):
            whole = driving.drive(blocks, todo, done=note, failed=lambda failure: None, **options)
            self.journal.sync()
        if not whole:
            raise _Stopped

    def _is_there(self, stage: str, k: int) -> bool:
        record = self._found.get((stage, k))
        path = self.folder / f"{stage}-{k:06d}.part"
        if record is None or not path.is_file() or path.stat().st_size != record["bytes"]:
            return False
        return bool(zlib.crc32(path.read_bytes()) == record["crc"])

    def parts(self, stage: str, *, images: bool = True) -> Iterator[np.ndarray]:
        for k in range(self._made[stage]):
            yield read_part(self.folder / f"{stage}-{k:06d}.part", images=images)

    def images(self) -> Iterator[tuple[int, np.ndarray]]:
        """(number of the first frame, records with images) of each block."""
        start = 0
        for records in self.parts(CUT if self.steps.in_two else SEEN):
            yield start, records
            start += len(records)

    def vectors(self, stage: str) -> xr.DataArray:
        """Records of all frames without their images."""
        return self._labelled(np.concatenate(list(self.parts(stage, images=False))))

    def _labelled(self, rows: np.ndarray) -> xr.DataArray:
        return label(rows, clock(self.steps.rec))

    def pose(self) -> tuple[xr.DataArray, xr.DataArray | None]:
        """Where the animal is in all frames, flips included, and the flips."""
        if self._pose is None:
            steps, seen = self.steps, self.vectors(SEEN)
            pose = steps.pose(seen, self._numbers(SURE, steps.sure()) if steps.smooths else None)

            def asked(kernel: Any) -> xr.DataArray:
                if steps.in_two:  # crops are not there yet
                    return self._numbers(ASKED, steps.ask(kernel, pose))
                said, rows = [], pose.values
                for start, records in self.images():
                    said.append(kernel(records, rows[start : start + len(records)]))
                return self._labelled(np.concatenate(said))

            flips = steps.flips(seen, pose, asked)
            self._pose = steps.faced(pose, flips), flips
        return self._pose


def _mark(run: _Run, steps: Steps) -> str:
    """What blocks depend on, as a hash; where it differs they are made anew."""
    found = hashlib.sha256()
    how: list[Any] = [run.options.hash, run.input, run.options["chunk_size"], steps.arena.box]
    how += [steps.scene.attrs["true_depth"], steps.borders.tolist()]
    found.update(json.dumps(how, sort_keys=True).encode())
    walls = () if steps.arena.wall is None else (steps.arena.wall,)
    for array in (steps.arena.floor, steps.arena.inside, *walls):
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:32]
