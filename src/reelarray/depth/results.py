"""results_NN.h5: crops, masks, scalars and what they were made with, in the layout that tools of the field read."""

from __future__ import annotations

import os
import re
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from .. import __version__
from ..errors import RecordingError
from ..sinks.atomic import writing
from ..sinks.files import refusals
from .h5values import TEXT, free_name, write_value, write_values
from .optiontable import TABLE
from .scalarnames import EXTRA_SCALARS, SCALARS
from .yamlfiles import plain

CHUNK = 64  # frames of one chunk: whole frames, about half a megabyte of bytes
# Measured on crops, ms a frame and bytes a frame of crops and masks together: level 1 0.041 and 1381, 3 0.048 and 1320,
# 4 0.072 and 1270, 6 0.097 and 1229, 9 0.47 and 1209.
LEVEL = 3
_ROWS = 4096  # values of one chunk of a scalar


@dataclass(frozen=True, eq=False)
class Extraction:
    """What one extraction found of the scene: metadata/extraction of the file.

    Parameters
    ----------
    background : (y, x) [mm]
    roi : (y, x) bool, the arena
    first_frame : (y, x) [mm] uint16
    first, last : frames [first, last) of the recording
    true_depth : mm
    origin : column and row of the full frame where the crop of the arena begins
    more : further values by name, such as the plane
    """

    background: np.ndarray
    roi: np.ndarray
    first_frame: np.ndarray
    first: int
    last: int
    true_depth: float
    origin: tuple[int, int] = (0, 0)
    more: Mapping[str, Any] = field(default_factory=dict)


def compressed(block: np.ndarray) -> bytes:
    """One chunk of the file, up to 64 frames (frame, y, x), as its bytes in the file; may run in any thread or process.

    >>> len(zlib.decompress(compressed(np.ones((2, 3, 4), "u1")))) == 64 * 3 * 4
    True
    """
    if len(block) > CHUNK:
        raise RecordingError(f"{len(block)} frames were given for one chunk; up to {CHUNK} were expected")
    if len(block) < CHUNK:  # a chunk is stored whole
        block = np.concatenate([block, np.zeros((CHUNK - len(block), *block.shape[1:]), block.dtype)])
    return zlib.compress(np.ascontiguousarray(block).data, LEVEL)


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """What HDF5 says of a disk in words of its own, also when it closes, as `sinks.files.refusals` says it."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        said = re.search(r"errno = (\d+)", str(error))
        if said is None:
            raise
        with refusals(path):
            raise OSError(int(said[1]), os.strerror(int(said[1]))) from error


class ResultsFile:
    """Writes results_NN.h5 block by block, in order; it gets its name when it is complete, or not at all.

    Equal content is equal bytes, however it is cut into blocks.

    Parameters
    ----------
    path : of the file, in a folder that is there
    frames : how many there will be
    crop_size : rows and columns
    frame_dtype : uint8 or uint16
    mask_dtype : bool, or float32 for log-likelihoods
    uuid : of the extraction, as in its status file
    acquisition : what metadata.json says
    extraction : what was found of the scene
    parameters : every option with its value
    timestamps : (time) [ms] of the camera, or None
    flips : whether a flip method ran
    flags : whether what is odd in each frame is stored (metadata/extraction/flags, bits of `records.Seen`)
    threads : that compress; 0 compresses in the caller's

    Raises
    ------
    RecordingError : impossible sizes or types, blocks out of order, missing scalars, fewer frames than promised

    >>> import tempfile
    >>> scene = Extraction(np.zeros((4, 5)), np.ones((4, 5), bool), np.zeros((4, 5), "u2"), 0, 3, 673.0)
    >>> scalars = {name: np.zeros(3) for name in SCALARS}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with ResultsFile(f"{folder}/results_00.h5", frames=3, crop_size=(2, 2), uuid="1", extraction=scene) as file:
    ...         file.write(0, np.ones((3, 2, 2), "u1"), np.ones((3, 2, 2), bool), scalars)
    ...     with h5py.File(f"{folder}/results_00.h5") as file:
    ...         file["frames"].shape, file["scalars/angle"].dtype
    ((3, 2, 2), dtype('<f4'))
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        frames: int,
        crop_size: tuple[int, int],
        uuid: str,
        extraction: Extraction,
        frame_dtype: Any = "uint8",
        mask_dtype: Any = "bool",
        acquisition: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        timestamps: np.ndarray | None = None,
        flips: bool = False,
        flags: bool = False,
        threads: int = 1,
    ) -> None:
        self.path, self.frames, self.crop_size = Path(path), int(frames), (int(crop_size[0]), int(crop_size[1]))
        self.frame_dtype, self.mask_dtype = np.dtype(frame_dtype), np.dtype(mask_dtype)
        if self.frames < 1 or min(self.crop_size) < 1:
            raise RecordingError(
                f"{path}: {frames} frames of {crop_size} were given; at least one of each was expected"
            )
        if timestamps is not None and len(timestamps) != self.frames:
            raise RecordingError(
                f"{path}: {len(timestamps)} timestamps for {self.frames} frames; give one for each, or None"
            )
        self.uuid, self.extraction = uuid, extraction
        self.acquisition, self.parameters = acquisition or {}, parameters or {}
        self.timestamps = None if timestamps is None else np.asarray(timestamps, np.float64)
        self.threads = threads
        self._flips = np.zeros(self.frames, bool) if flips else None
        self._flags = np.zeros(self.frames, np.uint8) if flags else None
        self._scalars: dict[str, np.ndarray] = {}
        self._written = 0  # frames taken
        self._chunks = 0  # chunks handed to compression
        self._rest: list[tuple[np.ndarray, np.ndarray]] = []  # frames of the chunk that is not whole
        self._queue: deque[tuple[Future[bytes] | bytes, Future[bytes] | bytes]] = deque()
        self._stack = ExitStack()

    def __enter__(self) -> ResultsFile:
        with _refusals(self.path), ExitStack() as stack:
            temporary = stack.enter_context(writing(self.path))
            self._file = stack.enter_context(h5py.File(temporary, "w", locking=False))
            self._pool = stack.enter_context(ThreadPoolExecutor(self.threads)) if self.threads else None
            self._begin()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _refusals(self.path):
            if kind is not None:
                self._queue.clear()
                self._stack.__exit__(kind, error, trace)
                return
            with self._stack:
                self._finish()

    def write(
        self,
        start: int,
        frames: np.ndarray,
        mask: np.ndarray,
        scalars: Mapping[str, np.ndarray],
        *,
        flips: np.ndarray | None = None,
        flags: np.ndarray | None = None,
    ) -> None:
        """The next block, of any size, from frame `start` on: (frame, y, x) twice, and one value a frame."""
        count = len(frames)
        for name, block, dtype in (("frames", frames, self.frame_dtype), ("masks", mask, self.mask_dtype)):
            if block.shape != (count, *self.crop_size) or block.dtype != dtype:
                told = f"{name} of shape {block.shape}, {block.dtype} were given"
                raise RecordingError(f"{self.path}: {told}; ({count}, {self.crop_size}), {dtype} were expected")
        self._note(start, count, scalars, flips, flags)
        at = 0
        while at < count:
            held = sum(len(block) for block, _ in self._rest)
            take = min(CHUNK - held, count - at)
            self._rest.append((frames[at : at + take], mask[at : at + take]))
            at += take
            if held + take == CHUNK:
                self._compress()
        # the caller may fill its arrays anew
        self._rest = [(some.copy(), others.copy()) for some, others in self._rest]

    def write_compressed(
        self,
        start: int,
        frames: bytes,
        mask: bytes,
        scalars: Mapping[str, np.ndarray],
        *,
        flips: np.ndarray | None = None,
        flags: np.ndarray | None = None,
    ) -> None:
        """The next chunk, `compressed` already: 64 frames from a multiple of 64 on, or the rest at the end."""
        if start % CHUNK or self._rest:
            raise RecordingError(
                f"{self.path}: a chunk at frame {start} was given; chunks begin at multiples of {CHUNK}"
            )
        self._note(start, min(CHUNK, self.frames - start), scalars, flips, flags)
        self._queue.append((frames, mask))
        self._drain(2 * self.threads)

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _note(self, start: int, count: int, scalars: Mapping[str, np.ndarray], flips: Any, flags: Any) -> None:
        if start != self._written or start + count > self.frames:
            told = f"frames {start} to {start + count} were given"
            raise RecordingError(f"{self.path}: {told}; {self._written} to at most {self.frames} were expected next")
        if not self._scalars:
            missing = SCALARS.keys() - scalars.keys()
            if missing:
                raise RecordingError(f"{self.path}: no scalars {', '.join(sorted(missing))}; all of them are expected")
            self._scalars = {name: np.full(self.frames, np.nan, np.float32) for name in scalars}
        if scalars.keys() != self._scalars.keys():
            odd = ", ".join(sorted(scalars.keys() ^ self._scalars.keys()))
            raise RecordingError(f"{self.path}: the scalars {odd} are in some blocks only; give the same in each")
        rows = slice(start, start + count)
        for name, values in scalars.items():
            self._scalars[name][rows] = values
        for name, store, values in (("flips", self._flips, flips), ("flags", self._flags, flags)):
            if (store is None) != (values is None):
                raise RecordingError(f"{self.path}: {name} are to be given with each block, or with none")
            if store is not None:
                store[rows] = values
        self._written += count

    def _compress(self) -> None:
        frames = np.concatenate([block for block, _ in self._rest])  # a copy, which a thread may read later
        mask = np.concatenate([block for _, block in self._rest])
        self._rest = []
        if self._pool is None:
            self._queue.append((compressed(frames), compressed(mask)))
        else:
            self._queue.append((self._pool.submit(compressed, frames), self._pool.submit(compressed, mask)))
        self._drain(2 * self.threads)

    def _drain(self, left: int) -> None:
        """Store chunks in their order until `left` wait."""
        while len(self._queue) > left:
            for name, data in zip(("frames", "frames_mask"), self._queue.popleft(), strict=True):
                whole = data.result() if isinstance(data, Future) else data
                with _refusals(self.path):
                    self._file[name].id.write_direct_chunk((self._chunks * CHUNK, 0, 0), whole)
            self._chunks += 1

    def _begin(self) -> None:
        file = self._file
        shape = (self.frames, *self.crop_size)
        for name, dtype, about in (
            ("frames", self.frame_dtype, "heights of the aligned crops, mm above the floor (frame, y, x)"),
            ("frames_mask", self.mask_dtype, "the animal in the crops, or its log-likelihood where it was tracked"),
        ):
            # one chunk is stored whole, also where the recording is shorter
            stored = file.create_dataset(
                name, shape, dtype, maxshape=(None, *self.crop_size), chunks=(CHUNK, *self.crop_size),
                compression="gzip", compression_opts=LEVEL, track_times=False,
            )  # fmt: skip
            stored.attrs["description"] = about
        if self.timestamps is not None:
            self._rows("timestamps", self.timestamps, "time of each frame, ms, as the camera said")
        file.create_dataset("metadata/uuid", data=str(self.uuid), dtype=TEXT)
        write_values(file.create_group("metadata/acquisition"), self.acquisition)
        found = self.extraction
        group = file.create_group("metadata/extraction")
        for name, image, dtype in (
            ("background", found.background, np.float64),
            ("roi", found.roi, bool),
            ("first_frame", found.first_frame, np.uint16),
        ):
            group.create_dataset(name, data=np.asarray(image, dtype), compression="gzip", compression_opts=LEVEL)
        group.create_dataset("first_frame_idx", data=np.array([found.first], np.int64))
        group.create_dataset("last_frame_idx", data=np.array([found.last], np.int64))
        group.create_dataset("true_depth", data=np.float64(found.true_depth))
        group.create_dataset("extract_version", data=np.bytes_(f"reelarray {__version__}"))
        group.create_dataset("roi_origin", data=np.array(found.origin, np.int64))
        write_values(group, found.more)
        self._parameters(group.create_group("parameters"))

    def _parameters(self, group: h5py.Group) -> None:
        values = self.parameters.to_dict() if hasattr(self.parameters, "to_dict") else plain(self.parameters)
        for key, value in sorted(values.items()):
            stored = write_value(group, free_name(group, key), "" if value is None else value)
            stored.attrs["description"] = TABLE[key].meaning if key in TABLE else key

    def _rows(self, name: str, values: np.ndarray, about: str) -> None:
        chunks = (min(_ROWS, self.frames),)
        stored = self._file.create_dataset(
            name, data=values, chunks=chunks, compression="gzip", compression_opts=LEVEL, track_times=False
        )
        stored.attrs["description"] = about

    def _finish(self) -> None:
        if self._written != self.frames:
            raise RecordingError(f"{self.path}: {self._written} frames were written; {self.frames} were promised")
        if self._rest:
            self._compress()
        self._drain(0)
        for name in sorted(self._scalars):
            about = SCALARS.get(name) or EXTRA_SCALARS.get(name) or name.replace("_", " ")
            self._rows(f"scalars/{name}", self._scalars[name], about)
        if self._flips is not None:
            self._rows("metadata/extraction/flips", self._flips, "whether the crop was turned by half a turn")
        if self._flags is not None:
            self._rows("metadata/extraction/flags", self._flags, "what is odd in a frame, as bits")
