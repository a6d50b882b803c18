"""The stages of an extraction as blocks of records on disk, each noted in a journal when it is there."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .. import driving
from ..recordings import clock, label
from ..sinks.blocks import Blocks
from ..sinks.files import refusals
from ..sinks.journal import Journal
from .extract import Steps
from .parts import VALUE, WRITTEN, PartWriter, read_part

# Stages of blocks: what is seen in frames, and crops where these have to wait for what frames around a frame say of it;
# before, where a tracker follows the animal, its Gaussians; between, how sure it is, and what is said of crops.
SEEN, CUT, FOLLOWED, SURE, ASKED = "seen", "cut", "followed", "sure", "asked"
STRETCH = 64  # blocks of a tracker that are made of one graph: to go on, a chain has to begin at the first of them


class Stopped(Exception):
    """Asked to stop."""


class Stages:
    """The blocks of one recording, as files of records, each noted when it is there."""

    def __init__(self, steps: Steps, journal: Journal, folder: Path, input: Mapping[str, Any]) -> None:
        self.steps, self.journal, self.folder = steps, journal, folder
        self.mark = _mark(steps, input)
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
        with self.journal.scratch() as temporary, workers() as (client, watch), suppress(Stopped):
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
        """The blocks of a stage that are not there; raises `Stopped`."""
        how = self._how
        if not hasattr(made.data, "numblocks"):
            made = made.chunk({"time": self.steps.options["chunk_size"]})
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
            raise Stopped

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


def _mark(steps: Steps, input: Mapping[str, Any]) -> str:
    """What blocks depend on, as a hash; where it differs they are made anew."""
    found = hashlib.sha256()
    how: list[Any] = [steps.options.hash, input, steps.options["chunk_size"], steps.arena.box]
    how += [steps.scene.attrs["true_depth"], steps.borders.tolist()]
    found.update(json.dumps(how, sort_keys=True).encode())
    walls = () if steps.arena.wall is None else (steps.arena.wall,)
    for array in (steps.arena.floor, steps.arena.inside, *walls):
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:32]
