"""One recording, from its file to its results: blocks of records on disk, noted in a journal, and one file of them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .. import driving
from ..errors import RecordingError
from ..formats.depth.archive import is_archive
from ..opening import open_recording
from ..recordings import clock, label
from ..sinks.blocks import Blocks
from ..sinks.files import refusals
from ..sinks.journal import Journal
from . import kernels
from .converting import convert_raw_to_avi
from .extract import Steps, small, trimmed
from .heights import heights
from .movies import Preview
from .options import Options, resolve_config
from .optiontable import SCENE
from .parts import WRITTEN, PartWriter, read_part
from .results import Extraction, ResultsFile
from .scene import camera_of, scene, write_scene
from .status import begin_status, complete_status, count_flags, fail_status, input_facts, is_done

log = logging.getLogger(__name__)

SEEN, CUT = "seen", "cut"  # stages of blocks: before and after what frames around a frame say of it is known
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
    begun = time.monotonic()
    for index in _indices(chosen):  # the first that there is
        done = is_done(folder / f"results_{index:02d}.yaml", chosen, input=input_facts(source))
        if done and not (force or chosen["force"]):
            return Extracted(source, folder, folder / f"results_{index:02d}.h5", note="complete already")
    with refusals(folder):
        folder.mkdir(parents=True, exist_ok=True)
    run = _Run(source, folder, chosen, begun)
    return run(workers, stop, beat)


def results_folder(source: Path, output_dir: str | None) -> Path:
    """Where the results of a recording go: beside it, or for an archive below a folder of its name."""
    if is_archive(str(source)):
        name = source.name.lower()
        stem = source.name[: -len(".tar.gz")] if name.endswith(".tar.gz") else source.stem
        return source.parent / stem / (output_dir or "proc")
    return source.parent / (output_dir or "proc")


def _indices(options: Options) -> Sequence[int]:
    index = options["bg_roi_index"]
    return [index] if isinstance(index, int) else list(index)


class _Run:
    """One call: its facts, and its steps in order."""

    def __init__(self, source: Path, folder: Path, options: Options, begun: float) -> None:
        self.source, self.folder, self.options, self.begun = source, folder, options, begun
        self.input = input_facts(source)
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def __call__(self, workers: driving.Workers, stop: driving.Stop | None, beat: Callable[[int, int], None]) -> Any:
        index = _indices(self.options)[0]
        parts = self.folder / f".results_{index:02d}.parts"
        with refusals(self.folder):
            parts.mkdir(exist_ok=True)
        journal = Journal.hold(parts, self.folder / f"results_{index:02d}.h5")
        try:
            made = self._extract(journal, parts, index, workers, stop, beat)
        finally:
            journal.close()
        if made.complete:
            shutil.rmtree(parts, ignore_errors=True)
            self._compress()
        return made

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
            complete_status(path, status, true_depth=true_depth, flagged=flagged)
        except BaseException as error:
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
        try:
            return open_recording(self.source, format="depth", cache=False, chunks=o["chunk_size"], **given)
        except Exception as error:
            fail_status(path, begin_status(path, o, input=self.input), error)
            raise

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
                turned = turn(records, pose.values[rows], lead=0, trail=0)
                file.write(
                    start,
                    np.ascontiguousarray(turned["frames"]),
                    np.ascontiguousarray(turned["mask"]),
                    {name: numbers[name][rows] for name in numbers.dtype.names or ()},
                    flips=None if flips is None else flips.values[rows],
                    flags=flags[rows],
                )
                if movie is not None:
                    _show(movie, steps, turned["frames"], rows, o["preview_every"])
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

    def _compress(self) -> None:
        o = self.options
        if o["compress"] and self.source.suffix.lower() == ".dat":
            how = {"chunk_size": o["compress_chunk_size"], "threads": o["compress_threads"], "fps": o["fps"]}
            convert_raw_to_avi(self.source, delete=o["delete"], **how)

    def _lap(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now


def _told(flagged: Mapping[str, int], frames: int) -> str:
    return ", ".join(f"{name} in {count} of {frames} frames" for name, count in flagged.items())


def _show(movie: Preview, steps: Steps, crops: np.ndarray, rows: slice, every: int) -> None:
    """The frames of a block that are shown; of others nothing is read."""
    numbers = np.arange(rows.start, rows.stop)
    shown = numbers[numbers % every == 0]
    raw = np.zeros((len(numbers), *steps.arena.inside.shape), steps.look.dtype)
    if len(shown):
        arena, look = steps.arena, steps.look
        picked = steps.rec.isel(time=slice(int(shown[0]), int(shown[-1]) + 1))
        with driving.synchronous():
            frames = picked.values[:: every if len(shown) > 1 else 1]
        limits: dict[str, Any] = {"minimum": look.minimum, "maximum": look.maximum, "dtype": look.dtype}
        floor = np.floor(arena.floor)
        raw[shown - rows.start] = heights(arena.within(frames), floor, arena.inside, arena.box, **limits)
    movie.write(np.ascontiguousarray(crops), raw)


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

    def make(self, workers: driving.Workers, stop: driving.Stop | None, beat: Callable[[int, int], None]) -> bool:
        """All blocks of both stages; False when stopped."""
        with self.journal.scratch() as temporary, workers() as (client, watch):
            how = {"client": client, "watch": watch, "stop": stop, "beat": beat, "temporary": temporary}
            first = self.steps.seen() if self.steps.in_two else self.steps.whole()
            if not self._drive(SEEN, first, **how):
                return False
            if not self.steps.in_two:
                return True
            return self._drive(CUT, self.steps.whole(self.pose()[0]), **how)

    def _drive(self, stage: str, made: xr.DataArray, **how: Any) -> bool:
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
            return True
        writer = PartWriter(self.folder, how["temporary"], stage, starts)
        blocks = Blocks(made.data, writer, dtype=WRITTEN, name="write-depth")
        policy = driving.Policy(on_error="raise")
        options = {"policy": policy, "stop": how["stop"], "client": how["client"], "beat": look}
        with refusals(self.folder):
            whole = driving.drive(blocks, todo, done=note, failed=lambda failure: None, **options)
            self.journal.sync()
        return whole

    def _is_there(self, stage: str, k: int) -> bool:
        record = self._found.get((stage, k))
        path = self.folder / f"{stage}-{k:06d}.part"
        return record is not None and path.exists() and path.stat().st_size == record["bytes"]

    def parts(self, stage: str) -> Iterator[np.ndarray]:
        for k in range(self._made[stage]):
            yield read_part(self.folder / f"{stage}-{k:06d}.part")

    def images(self) -> Iterator[tuple[int, np.ndarray]]:
        """(number of the first frame, records with images) of each block."""
        start = 0
        for records in self.parts(CUT if self.steps.in_two else SEEN):
            yield start, records
            start += len(records)

    def vectors(self, stage: str) -> xr.DataArray:
        """Records of all frames without their images."""
        found = []
        for records in self.parts(stage):
            out = np.empty(len(records), small(records.dtype))
            for name in out.dtype.names or ():
                out[name] = records[name]
            found.append(out)
        return self._labelled(np.concatenate(found))

    def _labelled(self, rows: np.ndarray) -> xr.DataArray:
        return label(rows, clock(self.steps.rec))

    def pose(self) -> tuple[xr.DataArray, xr.DataArray | None]:
        """Where the animal is in all frames, flips included, and the flips."""
        if self._pose is None:
            steps, seen = self.steps, self.vectors(SEEN)
            pose = steps.pose(seen)

            def asked(kernel: Any) -> xr.DataArray:
                if steps.in_two:
                    raise RecordingError(
                        "flip= with a classifier or 'shape' needs crops, and compat, Hampel filters or smoothing need "
                        "to know flips before: use flip='motion', or leave these out"
                    )
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
    how = [run.options.hash, run.input, run.options["chunk_size"], steps.scene.attrs["true_depth"], steps.arena.box]
    found.update(json.dumps(how, sort_keys=True).encode())
    walls = () if steps.arena.wall is None else (steps.arena.wall,)
    for array in (steps.arena.floor, steps.arena.inside, *walls):
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:32]
