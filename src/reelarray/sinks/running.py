"""One array into one store: what is done, what is left, and the way there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
import zarr

from .. import driving, graph
from . import layout
from .blocks import Blocks
from .encode import Encoding
from .files import refusals
from .journal import FOLDER, Record, Wait, read_header, read_records
from .layout import Layout, Sizes, Unit
from .provenance import fingerprint, identity
from .skeleton import Skeleton
from .store import Store, check_free, failed_before, in_place, open_or_create
from .units import WRITTEN, BlockWriter, is_sound, keys_of

SYNC_EVERY = 5.0  # s of lines that may be lost to a power failure: their units would be made again
LOOKED_AT = 1024  # blocks of which the graph is made at once, to see what they read
VERIFYING = 8  # threads


@dataclass(frozen=True)
class Written:
    """What `write_zarr` did: `total` blocks, of which `skipped` were there and `done` were written, `bytes` in all.

    `failures` are the units that failed now, `failed_before` those that did earlier and were not tried again: records
    of the journal, with the rows, the error and its traceback. `drivers` are the processes that worked on the
    store before: host, pid, job, and when each began.
    """

    path: Path
    total: int
    skipped: int
    done: int
    bytes: int
    failures: tuple[Record, ...] = ()
    failed_before: tuple[Record, ...] = ()
    drivers: tuple[Record, ...] = ()

    @property
    def left(self) -> int:
        """Blocks that were not tried."""
        return self.total - self.skipped - self.done - len(self.failures) - len(self.failed_before)


class Output:
    """An array and the store that it goes to."""

    def __init__(
        self,
        x: xr.DataArray,
        path: Path,
        name: str,
        encoding: Encoding,
        *,
        chunk: Sizes = None,
        shard: Sizes = None,
        compression: str | None = None,
    ) -> None:
        self.x, self.path, self.name, self.encoding = x, path, name, encoding
        known, inputs = identity(x, name, encoding.dtype, encoding.told)
        self.data, self.blocks, laid = _lay_out(x, encoding.dtype, chunk, shard)
        self.skeleton = Skeleton(x, name, encoding, laid, compression, known, inputs)
        self.region = layout.region_of(self.data.chunks)

    @property
    def total(self) -> int:
        """Blocks that hold something."""
        return math.prod(sum(n > 0 for n in sizes) for sizes in self.data.chunks)

    def check(self) -> None:
        """Raise `OutputExists` where `write` would without `overwrite`; nothing is touched."""
        check_free(self.path, self.skeleton)

    def look(self) -> Written:
        """What is done, without touching anything; nothing where the store is not there or is another array's."""
        header = read_header(self.path / FOLDER)
        if header.get("fingerprint") != fingerprint(self.skeleton.identity):
            return Written(self.path, self.total, 0, 0, 0)
        return self._state(header, read_records(self.path / FOLDER), self._laid())[0]

    def write(
        self,
        policy: driving.Policy,
        *,
        overwrite: bool = False,
        anew: bool = False,
        retry_failed: bool = False,
        verify: bool = False,
        wait: float = 0.0,
        stop: driving.Stop | None = None,
        workers: driving.Workers = driving.in_use,
        beat: Callable[[Written], None] = lambda state: None,
    ) -> Written:
        """Write what is missing, or with `anew` all of it; `beat` is called with the state at first, and now and then.

        `workers` are asked for once the store is held, and only if there is something to do.

        Raises what `driving.drive` and `open_or_create` raise.
        """
        asked = (lambda: False) if stop is None else (lambda: stop.look(stop.unit_seconds))
        with refusals(self.path):
            store = open_or_create(
                self.path, self.skeleton, overwrite=overwrite, anew=anew, wait=Wait(wait, asked), touched=self._touched
            )
        try:
            return self._complete(store, policy, retry_failed, verify, stop, workers, beat)
        finally:
            store.journal.close()

    def _complete(
        self,
        store: Store,
        policy: driving.Policy,
        retry_failed: bool,
        verify: bool,
        stop: driving.Stop | None,
        workers: driving.Workers,
        beat: Callable[[Written], None],
    ) -> Written:
        laid = self._laid()
        layout.check_fits(laid, self.blocks, self.x.dims)
        journal, mark = store.journal, store.mark
        unsound = self._unsound(journal.records) if verify else []
        begun, todo = self._state(journal.header, journal.records, laid, unsound, retry_failed)
        done, size, synced = 0, 0, time.monotonic()
        failures: list[Record] = []

        def state() -> Written:
            return Written(
                self.path, begun.total, begun.skipped, done, size, tuple(failures), begun.failed_before, begun.drivers
            )

        def note(units: Sequence[driving.Done]) -> None:
            nonlocal done, size, synced
            records = []
            for unit in units:
                written = np.asarray(unit.value).reshape(-1)[0]
                record = {"done": laid.unit(self.region(unit.unit)), "of": mark, "bytes": int(written["bytes"])}
                records.append(record | {"crc": int(written["crc"]), "t": round(time.time(), 3)})
                size += int(written["bytes"])
            with refusals(self.path):
                journal.note(records)
                if time.monotonic() - synced > SYNC_EVERY:
                    journal.sync()
                    synced = time.monotonic()
            done += len(units)
            beat(state())

        def failed(failure: driving.Failure) -> None:
            region = self.region(failure.unit)
            record = failure_record(failure, list(laid.unit(region)), mark) | {
                "rows": [region[0].start, region[0].stop]
            }
            with refusals(self.path):
                journal.note([record])
                journal.sync()
            failures.append(record)
            beat(state())

        beat(state())
        with journal.scratch() as temporary:
            if not todo:
                return state()
            writer = BlockWriter(self.path, self.name, temporary, laid, self.encoding.encode)
            blocks = Blocks(self.data, writer, dtype=WRITTEN, name="write-zarr")
            with workers() as (client, watch):

                def look() -> None:
                    journal.lease.check()
                    watch()
                    beat(state())

                how: dict[str, Any] = {"policy": policy, "stop": stop, "client": client, "beat": look}
                try:
                    driving.drive(blocks, todo, done=note, failed=failed, **how)
                finally:
                    with refusals(self.path):
                        journal.sync()
        return state()

    def _state(
        self,
        header: dict[str, Any],
        records: Sequence[Record],
        laid: Layout,
        unsound: Sequence[Unit] = (),
        retry_failed: bool = False,
    ) -> tuple[Written, list[tuple[int, ...]]]:
        """(what was done before, the blocks that are left to do)."""
        found = in_place(header, records, laid)
        for unit in unsound:
            found[tuple(slice(a, b) for a, b in zip(unit[::2], unit[1::2], strict=True))] = False
        missing = laid.missing(self.data.chunks, found)
        skipped, failed = self.total - len(missing), failed_before(header, records)
        left = {index: tuple(laid.unit(self.region(index))) for index in missing} if failed and not retry_failed else {}
        again = [index for index in missing if left.get(index) not in failed]
        before = tuple(failed[unit] for unit in left.values() if unit in failed)
        drivers = tuple(record for record in records if "driver" in record)
        return Written(self.path, self.total, skipped, 0, 0, (), before, drivers), again

    def _laid(self) -> Layout:
        """How the array lies in the store that is there."""
        array = self._array()
        return Layout(array.shape, array.chunks, array.shards)

    def _array(self) -> Any:
        return zarr.open_array(str(self.path), path=self.name, mode="r")

    def _unsound(self, records: Sequence[Record]) -> list[Unit]:
        """Units that do not hold what was written, going by the last line of each."""
        array = self._array()
        last = {tuple(r["done"]): r for r in records if "done" in r}

        def check(unit: tuple[int, ...]) -> bool:
            return is_sound(self.path, keys_of(array, self.name, unit), last[unit]["bytes"], last[unit]["crc"])

        with ThreadPoolExecutor(VERIFYING) as pool:
            return [unit for unit, sound in zip(last, pool.map(check, last), strict=True) if not sound]

    def _touched(self, paths: set[str]) -> list[Unit]:
        """Units of the blocks that read from some files."""
        found: list[Unit] = []
        laid = self._laid()
        every = laid.missing(self.data.chunks, np.zeros(laid.grid, bool))
        for k in range(0, len(every), LOOKED_AT):
            blocks = every[k : k + LOOKED_AT]
            keys = [(self.data.name, *index) for index in blocks]
            made = self.data.__dask_optimize__(self.data.dask, keys)
            for key, index in zip(keys, blocks, strict=True):
                read = graph.paths(made, key)
                if not read or read & paths:  # one of which nothing is known may read any
                    found.append(laid.unit(self.region(index)))
        return found


def failure_record(failure: driving.Failure, unit: Any, mark: str) -> Record:
    """The line of a unit that failed for good."""
    return {
        "failed": unit,
        "of": mark,
        "kind": failure.kind,
        "type": failure.type,
        "message": failure.message,
        "traceback": failure.traceback,
        "worker": failure.worker,
        "attempts": failure.attempts,
        "path": failure.path,
        "t": round(time.time(), 3),
    }


def _lay_out(x: xr.DataArray, dtype: np.dtype, chunk: Sizes, shard: Sizes) -> tuple[da.Array, tuple[int, ...], Layout]:
    """(dask array, its block sizes, where they lie): what is in memory gets blocks here."""
    if isinstance(x.data, da.Array):
        blocks = layout.even(x.data.chunks, x.dims)
        return x.data, blocks, layout.plan(x.shape, x.dims, blocks, dtype.itemsize, chunk, shard)
    values = np.asarray(x.data)
    rows = layout.rows_in_memory(x.shape, x.dims, dtype.itemsize, chunk, shard)
    blocks = (rows, *x.shape[1:])
    laid = layout.plan(x.shape, x.dims, blocks, dtype.itemsize, chunk, shard)
    return da.from_array(values, chunks=blocks, name=False), blocks, laid
