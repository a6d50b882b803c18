"""Extractions that are killed, refused, or met by another: what was done stays done, and the results are the same."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import h5py
import numpy as np
import pytest

from reelarray.demo.depth import make_session
from reelarray.depth import running, stages
from reelarray.depth.parts import PartWriter
from reelarray.depth.running import extract_recording
from reelarray.depth.status import read_status
from reelarray.driving import Stop
from reelarray.errors import Unwritable
from reelarray.sinks import faults
from reelarray.sinks.journal import OutputHeld, read_records

FRAMES, CHUNK = 60, 6
BLOCKS = FRAMES // CHUNK
KILLED = 9
QUIET = {"camera_type": "kinect", "write_movie": False, "chunk_size": CHUNK}
# Blocks of one stage; of two, as crops wait for angles; of four, as a tracker goes before, and a classifier between.
OPTIONS: dict[str, dict[str, Any]] = {
    "one": {},
    "two": {"angle_hampel_span": 5, "flip": "motion"},
    "four": {"use_tracking_model": True, "angle_hampel_span": 5, "flip": "shape"},
}
STAGES = {"one": 1, "two": 2, "four": 4}

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are killed in forked processes"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


class Counted(PartWriter):
    """Leaves a line in a file for each block that is made."""

    log = ""

    def __call__(self, block: np.ndarray, region: tuple[slice, ...]) -> np.ndarray:
        made = super().__call__(block, region)
        handle = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{self.stage} {self.numbers[region[0].start]}\n".encode())
        os.close(handle)
        return made


@pytest.fixture(autouse=True)
def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counted, "log", str(tmp_path / "made"))
    monkeypatch.setattr(stages, "PartWriter", Counted)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("session")
    make_session(folder, frames=FRAMES, seed=2, absent=[(30, 34)])
    return folder


@pytest.fixture
def folder(session: Path, tmp_path: Path) -> Path:
    return copied(session, tmp_path / "own")


def copied(session: Path, to: Path) -> Path:
    """With the times of its files: input is told apart by them."""
    return Path(shutil.copytree(session, to))


def run(folder: Path, **options: Any) -> Any:
    with dask.config.set(scheduler="sync"):
        return extract_recording(folder / "depth.dat", QUIET, **options)


def made(folder: Path) -> Counter[str]:
    """How often each block was made by all runs."""
    log = Path(Counted.log)
    return Counter(log.read_text().splitlines()) if log.exists() else Counter()


def noted(folder: Path) -> set[str]:
    """Blocks that the journal says are done."""
    parts = folder / "proc/.results_00.parts"
    return {" ".join(map(str, each["done"])) for each in read_records(parts) if "done" in each}


def content(folder: Path) -> bytes:
    """Every byte of the results but the uuid, which another folder does not share."""
    path = folder / "proc/results_00.h5"
    with h5py.File(path) as file:
        uuid = file["metadata/uuid"][()]
    status = read_status(path.with_suffix(".yaml"))
    assert status.complete
    assert status.uuid == uuid.decode()
    return path.read_bytes().replace(uuid, b"uuid")


def killed(do: Callable[[], Any], at: int | None = None, after: float | None = None) -> bool:
    """Do it in a child until its `at`-th checkpoint or for `after` seconds; whether it was killed then."""
    child = os.fork()
    if not child:
        code = 1
        try:
            calls = [0]

            def checkpoint(name: str) -> None:
                calls[0] += 1
                if calls[0] == at:
                    os._exit(KILLED)

            faults.checkpoint = checkpoint
            do()
            code = 0
        finally:
            os._exit(code)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED, -signal.SIGKILL)
    return code != 0


@pytest.fixture(scope="module")
def undisturbed(session: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes, int, float]]:
    """By options: content of the results, checkpoints passed, seconds taken."""
    found = {}
    for name, options in OPTIONS.items():
        folder = copied(session, tmp_path_factory.mktemp("undisturbed") / "own")
        passed: list[str] = []
        before, faults.checkpoint = faults.checkpoint, passed.append
        begun = time.monotonic()
        try:
            run(folder, **options)
        finally:
            faults.checkpoint = before
        found[name] = content(folder), len(passed), time.monotonic() - begun
        assert len(passed) > 3 * BLOCKS * STAGES[name]
    return found


def finish(folder: Path, name: str, undisturbed: Any) -> None:
    """Call again: only what is not noted is made, and nothing tells that anything happened."""
    path = folder / "proc/results_00.yaml"
    over = path.exists() and read_status(path).complete
    was = read_status(path).uuid if path.exists() else ""
    there, before = noted(folder), made(folder)
    assert sum(before.values()) - len(there) in (0, 1) or over  # at most the one that was in the making
    run(folder, **OPTIONS[name])
    again = made(folder) - before
    assert len(there & set(again)) == 0
    if not over:
        assert len(there) + sum(again.values()) == BLOCKS * STAGES[name]
    assert content(folder) == undisturbed[name][0]
    assert not was or read_status(path).uuid == was
    left = {"bground.tiff", "first_frame.tiff", "roi_00.tiff", "results_00.h5", "results_00.yaml"}
    assert set(os.listdir(folder / "proc")) == left


@pytest.mark.parametrize(("name", "every"), [("one", 3), ("two", 11), ("four", 17)])
def test_killed_before_and_after_writes_renames_and_markers(
    session: Path, tmp_path: Path, undisturbed: Any, name: str, every: int
) -> None:
    random.seed(0)
    for at in range(1 + random.randrange(every), undisturbed[name][1] + 1, every):
        folder = copied(session, tmp_path / str(at))
        Counted.log = str(folder / "made")
        assert killed(lambda folder=folder: run(folder, **OPTIONS[name]), at)
        if (folder / "proc/results_00.yaml").exists():
            complete = read_status(folder / "proc/results_00.yaml").complete
            assert not complete or (folder / "proc/results_00.h5").exists()
        finish(folder, name, undisturbed)


@pytest.mark.parametrize("seed", range(8))
def test_killed_by_the_system_at_any_moment(folder: Path, undisturbed: Any, seed: int) -> None:
    random.seed(seed)
    name = random.choice(list(OPTIONS))
    killed(lambda: run(folder, **OPTIONS[name]), after=random.uniform(0, undisturbed[name][2]))
    finish(folder, name, undisturbed)


def test_killed_again_and_again(folder: Path, undisturbed: Any) -> None:
    random.seed(1)
    kills = 0
    while killed(lambda: run(folder), random.randint(1, undisturbed["one"][1] // 2)):
        kills += 1
        status = folder / "proc/results_00.yaml"
        assert not status.exists() or not read_status(status).complete or noted(folder)
    assert kills > 1
    assert sum(made(folder).values()) <= BLOCKS + kills
    assert content(folder) == undisturbed["one"][0]


def test_killed_when_all_was_done(folder: Path, undisturbed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks that were left go, though nothing else is to be done."""
    with monkeypatch.context() as patched:
        patched.setattr(running.shutil, "rmtree", lambda *args, **how: os._exit(KILLED))
        assert killed(lambda: run(folder))
    assert (folder / "proc/.results_00.parts").is_dir()
    finish(folder, "one", undisturbed)


# ---- asked to stop ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIONS)
def test_stopped_and_gone_on_with(folder: Path, undisturbed: Any, name: str) -> None:
    for _ in range(3):
        stop, told = Stop(environ={}), []

        def beat(done: int, total: int, stop: Stop = stop, told: list[int] = told) -> None:
            told.append(done)
            if len(told) > 4:
                stop.ask("test")

        found = run(folder, stop=stop, beat=beat, **OPTIONS[name])
        if name != "one":
            assert not found.complete
        if not found.complete:
            assert not found.results.exists()
            status = read_status(folder / "proc/results_00.yaml")
            assert (status.complete, status.error) == (False, None)
    run(folder, **OPTIONS[name])
    assert max(made(folder).values()) == 1
    assert sum(made(folder).values()) == BLOCKS * STAGES[name]
    assert content(folder) == undisturbed[name][0]


def test_who_interrupts_can_go_on(folder: Path, undisturbed: Any) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folder, beat=interrupt)
    status = read_status(folder / "proc/results_00.yaml")
    assert (status.complete, status.error) == (False, None)
    run(folder)
    assert max(made(folder).values()) == 1
    assert content(folder) == undisturbed["one"][0]


# ---- others ----------------------------------------------------------------------------------------------------------


def test_two_at_once(folder: Path, undisturbed: Any) -> None:
    """The second is refused, and disturbs nothing: not the status either."""
    refused = []

    def meanwhile(done: int, total: int) -> None:
        if done == 3 and not refused:
            before = (folder / "proc/results_00.yaml").read_bytes()
            child = os.fork()
            if not child:
                code = 1
                try:
                    run(folder)
                except OutputHeld as error:
                    code = KILLED if str(folder / "proc/results_00.h5") in str(error) else 2
                finally:
                    os._exit(code)
            refused.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            assert (folder / "proc/results_00.yaml").read_bytes() == before

    run(folder, beat=meanwhile)
    assert refused == [KILLED]
    assert max(made(folder).values()) == 1
    assert content(folder) == undisturbed["one"][0]


# ---- disks -----------------------------------------------------------------------------------------------------------


def test_a_full_disk(folder: Path, undisturbed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [4]

    def full(name: str) -> None:
        left[0] -= name.startswith("before renaming seen-")
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(faults, "checkpoint", full)
        with pytest.raises(Unwritable, match="No space left on device"):
            run(folder)
    status = read_status(folder / "proc/results_00.yaml")
    assert not status.complete
    assert "No space left" in str(status.error)
    assert len(noted(folder)) == 4
    finish(folder, "one", undisturbed)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(folder: Path) -> None:
    os.chmod(folder, 0o500)
    try:
        with pytest.raises(Unwritable, match=str(folder)):
            run(folder)
    finally:
        os.chmod(folder, 0o700)


def test_a_file_where_the_folder_should_be(folder: Path) -> None:
    (folder / "proc").write_text("")
    with pytest.raises(OSError, match="proc"):
        run(folder)


# ---- what changed between two runs -----------------------------------------------------------------------------------


def interrupted(folder: Path, **options: Any) -> None:
    """A run that ended after six blocks."""
    assert killed(lambda: run(folder, beat=lambda done, total: os._exit(KILLED) if done == 6 else None, **options))
    assert len(noted(folder)) == 6


@pytest.mark.parametrize("damage", ["shorter", "flipped", "gone", "empty"])
def test_a_damaged_block_is_made_anew(folder: Path, undisturbed: Any, damage: str) -> None:
    interrupted(folder)
    path = min(folder.glob("proc/.results_00.parts/seen-*.part"))
    data = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes({"shorter": data[:-5], "flipped": data, "empty": b""}[damage])
    run(folder)
    assert sorted(made(folder).values())[-2:] == [1, 2]
    assert made(folder)[f"seen {int(path.stem[-6:])}"] == 2
    assert sum(made(folder).values()) == BLOCKS + 1
    assert content(folder) == undisturbed["one"][0]


def test_other_options_make_all_blocks_anew(folder: Path, session: Path, tmp_path: Path) -> None:
    interrupted(folder)
    before = made(folder)
    run(folder, min_height=20)
    assert sum((made(folder) - before).values()) == BLOCKS
    other = copied(session, tmp_path / "other")
    run(other, min_height=20)
    assert content(folder) == content(other)


def test_options_that_change_nothing_keep_blocks(folder: Path) -> None:
    interrupted(folder)
    run(folder, ncpus=2, preview_every=3)
    assert max(made(folder).values()) == 1


def test_another_recording_makes_all_blocks_anew(folder: Path, tmp_path: Path) -> None:
    interrupted(folder)
    before = made(folder)
    make_session(folder, frames=FRAMES, seed=4)
    run(folder)
    assert sum((made(folder) - before).values()) == BLOCKS
    make_session(tmp_path / "other", frames=FRAMES, seed=4)
    other = tmp_path / "other"
    run(other)
    assert content(folder) == content(other)


def test_there_and_back(folder: Path, undisturbed: Any) -> None:
    """Blocks of other options that came between are not taken for those of the first."""
    interrupted(folder)
    killed(lambda: run(folder, min_height=20, beat=lambda done, total: os._exit(KILLED) if done == 3 else None))
    run(folder)
    assert content(folder) == undisturbed["one"][0]
