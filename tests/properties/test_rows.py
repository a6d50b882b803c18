"""Kernels of whole rows, chains and single tasks: the same bits from memory, from any chunks, and from files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import reelarray as ra
from reelarray import rowblocks
from reelarray.demo.depth import make_session
from reelarray.depth.extract import Steps, extract
from reelarray.depth.options import resolve_config
from reelarray.depth.scene import scene
from reelarray.errors import RecordingError
from reelarray.lift import lift_frames, lift_scan, lift_whole

ROWS, SHAPE = 23, (3, 4)
PAIR = np.dtype([("sum", "f8"), ("count", "i8")])


def around(rows: np.ndarray, *beside: np.ndarray, lead: int, trail: int) -> np.ndarray:
    """Sum of each row and of those up to 3 before and after it, times the numbers beside, and how many they are."""
    n = len(rows) - lead - trail
    assert all(len(each) == n for each in beside)
    assert n >= 0 <= min(lead, trail)
    out = np.empty(n, PAIR)
    for k in range(n):
        part = rows[max(0, lead + k - 3) : lead + k + 4]
        out[k] = part.astype("f8").sum() * np.prod([each[k] for each in beside]), len(part)
    return out


def alone(rows: np.ndarray, *beside: np.ndarray, lead: int, trail: int) -> np.ndarray:
    assert (lead, trail) == (0, 0)
    out = np.ones(len(rows), PAIR)
    out["sum"] = [row.astype("f8").sum() * np.prod(each) for row, *each in zip(rows, *beside, strict=True)]
    return out


def flipped(rows: np.ndarray, *, lead: int, trail: int) -> np.ndarray:
    return np.ascontiguousarray(rows[lead : len(rows) - trail, ::-1, :2])


def falling(rows: np.ndarray, gains: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
    """A recursion whose rounding depends on all that was before."""
    out = np.empty(len(rows))
    state = float(np.asarray(state).reshape(-1)[0])
    for k, (row, gain) in enumerate(zip(rows, gains, strict=True)):
        state = out[k] = 0.7 * state + np.sqrt(1.0 + row.sum()) * gain
    return out, state


def rising(rows: np.ndarray, gains: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
    made, state = falling(rows[::-1], gains[::-1], state)
    return made[::-1], state


def ranks(rows: np.ndarray, gains: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(rows * gains, kind="stable")).astype("i8")


def brute_force(rows: np.ndarray, borders: list[int], *beside: np.ndarray) -> np.ndarray:
    out = np.empty(len(rows), PAIR)
    for k in range(len(rows)):
        low = max([0, k - 3, *(b for b in borders if b <= k)])
        high = min([len(rows), k + 4, *(b for b in borders if b > k)])
        out[k] = rows[low:high].astype("f8").sum() * np.prod([each[k] for each in beside]), high - low
    return out


@pytest.fixture(autouse=True, params=[2**23, 80], ids=["whole", "portions"])
def portion(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are read at once: of these frames all, or three."""
    monkeypatch.setattr(rowblocks, "PORTION", request.param)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, Path]:
    folder = tmp_path_factory.mktemp("film")
    frames = np.random.default_rng(0).integers(0, 4000, (ROWS, *SHAPE)).astype("<u2")
    (folder / "depth.dat").write_bytes(frames.tobytes())
    (folder / "metadata.json").write_text(f'{{"DepthResolution": [{SHAPE[1]}, {SHAPE[0]}]}}')
    (folder / "depth_ts.txt").write_text("".join(f"{33.3 * k + 200 * (k > 11):.4f} 0\n" for k in range(ROWS)))
    return frames, folder / "depth.dat"


def cut(draw: Callable[..., Any], rows: int) -> tuple[int, ...]:
    """Sizes of blocks, empty ones too."""
    edges = sorted(draw(st.lists(st.integers(0, rows), max_size=8)))
    return tuple(np.diff([0, *edges, rows]).tolist())


@st.composite
def cuttings(draw: Callable[..., Any]) -> dict[str, Any]:
    start = draw(st.integers(0, ROWS - 1))
    stop = draw(st.integers(start + 1, ROWS))
    n = stop - start
    return {
        "part": slice(start, stop),
        "chunks": cut(draw, n),
        "others": cut(draw, n),
        "block": draw(st.integers(1, ROWS + 3)),
        "borders": sorted(draw(st.lists(st.integers(0, n), max_size=4))),
        "halo": draw(st.integers(3, 9)),
    }


def sources(film: tuple[np.ndarray, Path], case: dict[str, Any]) -> dict[str, xr.DataArray]:
    frames, path = film
    rec = ra.open_recording(path, cache=False, chunks=case["block"])
    memory = ra.recording(frames[case["part"]], rate=30, units="mm")
    lazy = memory.copy(data=da.from_array(memory.values, chunks=(case["chunks"], 2, 3)))
    return {"memory": memory, "lazy": lazy, "files": rec.isel(time=case["part"])}


def same(made: xr.DataArray, expected: np.ndarray) -> None:
    assert made.dtype == expected.dtype
    assert made.shape == expected.shape
    with dask.config.set(scheduler="sync"):
        assert made.values.tobytes() == np.ascontiguousarray(expected).tobytes()


common = settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck), print_blob=False)


@common
@given(case=cuttings())
def test_rows_and_those_around_them(film: tuple[np.ndarray, Path], case: dict[str, Any]) -> None:
    rows = film[0][case["part"]]
    gains = np.random.default_rng(1).normal(size=len(rows))
    turns = np.arange(len(rows)) % 3 + 1
    lazy = da.from_array(turns, chunks=(case["others"],))
    expected = brute_force(rows, case["borders"], gains, turns)
    # A kernel may get more around a row than it looks at.
    how = {"dtype": PAIR, "halo": case["halo"], "borders": case["borders"], "block": case["block"], "name": "around"}
    for name, x in sources(film, case).items():
        beside = x.isel(y=0, x=0, drop=True).copy(data=lazy)
        for other in turns, lazy, beside:
            if name == "memory" and other is not turns:
                continue
            same(lift_frames(around, x, gains, other, **how), expected)


@common
@given(case=cuttings())
def test_rows_by_themselves(film: tuple[np.ndarray, Path], case: dict[str, Any]) -> None:
    rows = film[0][case["part"]]
    gains = np.random.default_rng(1).normal(size=len(rows))
    expected = np.array([(row.astype("f8").sum() * gain, 1) for row, gain in zip(rows, gains, strict=True)], PAIR)
    lazy = da.from_array(gains, chunks=(case["others"],))
    for name, x in sources(film, case).items():
        for other in (gains,) if name == "memory" else (gains, lazy):
            same(lift_frames(alone, x, other, dtype=PAIR, block=case["block"], name="alone"), expected)
        new = {"row": [2, 1, 0], "column": np.arange(2)}
        made = lift_frames(flipped, x, dtype="u2", new_dims=new, block=case["block"], name="flipped")
        assert made.dims == ("time", "row", "column")
        assert made["row"].values.tolist() == [2, 1, 0]
        same(made, rows[:, ::-1, :2])


@common
@given(case=cuttings())
def test_chains_and_single_tasks(film: tuple[np.ndarray, Path], case: dict[str, Any]) -> None:
    rows = film[0][case["part"]]
    gains = np.random.default_rng(1).normal(size=len(rows))
    totals = rows.sum(axis=(1, 2)).astype("f8")
    down, up = falling(rows, gains, 5.0)[0], rising(rows, gains, 5.0)[0]
    for name, x in sources(film, case).items():
        beside = x.isel(y=0, x=0, drop=True)
        beside = beside.copy(data=gains if name == "memory" else da.from_array(gains, chunks=(case["others"],)))
        begun = lift_whole(partial(np.full_like, fill_value=5.0), beside.isel(time=slice(0, 1)), dtype="f8", name="s")
        for state in 5.0, begun:
            same(lift_scan(falling, x, beside, state=state, dtype="f8", name="down"), down)
        same(lift_scan(rising, x, beside, state=5.0, dtype="f8", name="up", backward=True), up)
        numbers = beside.copy(data=totals if name == "memory" else da.from_array(totals, chunks=(case["chunks"],)))
        same(lift_whole(ranks, numbers, gains, dtype="i8", name="ranks"), ranks(totals, gains))
        same(lift_whole(ranks, numbers, beside, dtype="i8", name="ranks"), ranks(totals, gains))


@common
@given(case=cuttings())
def test_one_after_the_other(film: tuple[np.ndarray, Path], case: dict[str, Any]) -> None:
    """What was made from files is cut further, and looked around in again."""
    rows = film[0][case["part"]]
    first = brute_force(rows, [])
    second = brute_force(first["sum"], case["borders"])
    for x in sources(film, case).values():
        made = lift_frames(around, x, dtype=PAIR, halo=3, block=case["block"], name="first")
        sums = lift_frames(lambda rows, lead, trail: rows["sum"].copy(), made, dtype="f8", name="field")
        same(lift_frames(around, sums, dtype=PAIR, halo=5, borders=case["borders"], name="second"), second)
        assert made.indexes["time"].equals(x.indexes["time"])


def test_what_stands_beside_has_as_many_rows(film: tuple[np.ndarray, Path]) -> None:
    x = ra.recording(film[0], rate=30, units="mm")
    with pytest.raises(RecordingError, match=r"22 rows stand beside 23"):
        lift_frames(around, x, np.ones(22), dtype=PAIR, name="around")
    with pytest.raises(RecordingError, match=r"block=0 was given"):
        lift_frames(around, x, dtype=PAIR, block=0, name="around")


@pytest.mark.parametrize("halo", [0, 3])
def test_no_rows_at_all(film: tuple[np.ndarray, Path], halo: int) -> None:
    memory = ra.recording(film[0][:0], rate=30, units="mm")
    files = ra.open_recording(film[1], cache=False).isel(time=slice(4, 4))
    for x in memory, memory.chunk(), files:
        same(lift_frames(around, x, dtype=PAIR, halo=halo, name="none"), np.empty(0, PAIR))
        same(lift_scan(falling, x, x.isel(y=0, x=0, drop=True), state=0.0, dtype="f8", name="none"), np.empty(0))


def test_names_tell_what_is_made(film: tuple[np.ndarray, Path]) -> None:
    """The same asked twice has the same name; another kernel, border or number beside has another."""
    x = ra.open_recording(film[1], cache=False)
    ones = np.ones(ROWS)

    def name(**how: Any) -> str:
        beside = how.pop("beside", (ones,))
        return lift_frames(how.pop("kernel", around), x, *beside, dtype=PAIR, name="a", **how).data.name

    assert name() == name()
    others = {
        name(),
        name(halo=3),
        name(halo=3, borders=[2]),
        name(block=5),
        name(beside=(2 * ones,)),
        name(beside=()),
        name(kernel=alone),
    }
    assert len(others) == 7


# ---- the graph of an extraction --------------------------------------------------------------------------------------

OPTIONS = {
    "default": {},
    "tracker": {"use_tracking_model": True},
    "hampel": {"centroid_hampel_span": 5, "angle_hampel_span": 5},
    "temporal median": {"temporal_filter_size": 3},
    "motion": {"flip": "motion"},
    "shape": {"flip": "shape"},
}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("session")
    make_session(folder, frames=60, shape=(212, 256))
    return folder / "depth.dat"


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_graph_computes_nothing_and_reads_no_frame(session: Path, options: dict[str, Any]) -> None:
    rec = ra.open_recording(session, cache=False)
    found = scene(rec, camera_type="kinect", intrinsics={"fx": 180, "fy": 180})

    def refuse(*args: Any, **keywords: Any) -> Any:
        raise AssertionError("computed while the graph was built")

    from reelarray.formats.depth.dat import DatSource

    with dask.config.set(scheduler=refuse), mock.patch.object(DatSource, "read", refuse):
        extract(rec, found, options)


def tasks_a_block(session: Path, options: dict[str, Any], wanted: str) -> float:
    """Tasks that a block more takes, once what can be fused is."""
    counts = []
    for chunk in 5, 10:
        rec = ra.open_recording(session, cache=False)
        given = scene(rec, camera_type="kinect", intrinsics={"fx": 180, "fy": 180})
        if wanted == "whole":
            steps = Steps.of(rec, given, resolve_config(options, chunk_size=chunk))
            made = xr.Dataset({"records": steps.whole()})
        else:
            made = extract(rec, given, options, chunk_size=chunk)[[wanted]]
        (optimised,) = dask.optimize(made)
        counts.append(len(dict(optimised.__dask_graph__())))
    return (counts[0] - counts[1]) / 6


@pytest.mark.parametrize(
    ("options", "wanted", "most"),
    [
        ("default", "whole", 1),  # what a run makes: a block is looked at by one task
        ("temporal median", "whole", 1),
        ("default", "angle", 6),
        ("default", "frames", 4),
        ("motion", "frames", 5),
        ("hampel", "frames", 6),
        ("temporal median", "frames", 4),
    ],
)
def test_few_tasks_a_block(session: Path, options: str, wanted: str, most: int) -> None:
    assert 1 <= tasks_a_block(session, OPTIONS[options], wanted) <= most
