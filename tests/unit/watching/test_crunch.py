"""One recording to its outputs: numbers by closed forms, whole files or none, the same bytes however they are made."""

from __future__ import annotations

import csv
import json
import math
import os
import pickle
import sys
import threading
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reelarray as ra
from reelarray.errors import RecordingError, SettingError, TruncatedFile
from reelarray.watching import crunch as module
from reelarray.watching.crunch import Crunch, process_recording
from reelarray.watching.frames import Frames, Peak, first_frames, zoom_band
from reelarray.watching.origin import Origin, picture_text, printable
from reelarray.watching.table import COLUMNS, add_row
from reelarray.watching.unit import Found, Process
from reelarray.watching.wanted import Wanted

sys.path.insert(0, str(Path(__file__).parent.parent / "formats"))

from analyser_files import CENTER, RATE, SCALING, START_NS, write_tiq

pytest.importorskip("matplotlib")

L = 256
SMALL = {"lframes": L, "nframes": 10, "n_avg": 3}
FULL = 2.0**28  # counts of the tone, at RATE / 8


def record(path: Path, frames: float = 12, **how: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tiq(path, int(frames * L), **how)
    return path


def found(path: Path, *, analyser: str = "left", **changes: Any) -> Found:
    status = path.stat()
    return Found(
        str(path), str(path.parent), path.name, analyser, status.st_size, status.st_mtime_ns, **changes
    )  # fmt: skip


def crunch(tmp_path: Path, *, www: bool = False, table: bool = False, **wanted: Any) -> Crunch:
    return Crunch(
        str(tmp_path / "out"),
        www=str(tmp_path / "www") if www else None,
        table=str(tmp_path / "table.csv") if table else None,
        wanted=Wanted(**{**SMALL, **wanted}),
    )


def names(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and not p.name.endswith(".lock")}


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names(folder)}


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


# ---- outputs ---------------------------------------------------------------------------------------------------------


def test_the_outputs_of_datacrunch(tmp_path: Path) -> None:
    path = record(tmp_path / "in" / "run7.tiq")
    counts = np.fromfile(path, "<i4", offset=path.stat().st_size - 12 * L * 8).reshape(-1, 2)
    process = crunch(tmp_path, www=True)
    assert isinstance(process, Process)
    made = process(found(path))
    assert names(tmp_path / "out") == {
        "run7.tiq.png", "run7.tiq_zoom.png", "run7.tiq.npz", "run7.tiq_averaged.npz"
    }  # fmt: skip
    assert set(made.outputs) == {str(tmp_path / "out" / name) for name in names(tmp_path / "out")}
    assert made.outputs == process.targets(found(path))
    assert (made.samples, made.seconds, made.partial) == (12 * L, 12 * L / RATE, False)
    assert names(tmp_path / "www") == {"left.png", "zoom_left.png"}
    assert (tmp_path / "www" / "left.png").read_bytes() == (tmp_path / "out" / "run7.tiq.png").read_bytes()
    assert (tmp_path / "www" / "zoom_left.png").read_bytes() == (tmp_path / "out" / "run7.tiq_zoom.png").read_bytes()
    assert made.notes["picture"] == str(tmp_path / "www" / "left.png")
    assert made.notes["start"] == "2014-08-01T08:33:15.9782727Z"
    assert json.loads(json.dumps(made.notes)) == made.notes
    volts = (counts[:, 0] + 1j * counts[:, 1]) * SCALING
    by_hand = np.abs(np.fft.fftshift(np.fft.fft(volts[: 10 * L].reshape(10, L)), axes=-1)) ** 2
    with np.load(tmp_path / "out" / "run7.tiq.npz", allow_pickle=False) as archive:
        assert (archive["arr_0"].shape, archive["arr_1"].shape) == ((1, L), (10, 1))
        assert archive["arr_0"].dtype == archive["arr_1"].dtype == np.float64
        assert archive["arr_2"].dtype == np.float32
        np.testing.assert_array_equal(archive["arr_0"][0], CENTER + (np.arange(L) - L // 2) * (RATE / L))
        np.testing.assert_array_equal(archive["arr_1"][:, 0], np.arange(10) * L / RATE)
        np.testing.assert_allclose(archive["arr_2"], by_hand, rtol=1e-4, atol=1e-6 * by_hand.max())
        assert (float(archive["fs"]), float(archive["center"])) == (RATE, CENTER)
        assert (str(archive["units"]), str(archive["start_time"])) == ("V2", "2014-08-01T08:33:15.9782727Z")
        assert json.loads(str(archive["params"]))["source"] == "run7.tiq"
    with np.load(tmp_path / "out" / "run7.tiq_averaged.npz", allow_pickle=False) as archive:
        groups = [by_hand[a:b].mean(axis=0) for a, b in ((0, 3), (3, 6), (6, 9), (9, 10))]
        np.testing.assert_allclose(archive["arr_2"], groups, rtol=1e-4, atol=1e-6 * by_hand.max())
        np.testing.assert_allclose(archive["arr_1"][:, 0] * RATE / L, [1, 4, 7, 9], rtol=1e-12)
    assert made.notes["peak_frequency"] == pytest.approx(CENTER + RATE / 8, abs=RATE / L / 50)
    assert made.notes["peak_power"] == pytest.approx((FULL * SCALING) ** 2 / 100, rel=0.01)


def test_a_store_of_the_whole_recording(tmp_path: Path) -> None:
    path = record(tmp_path / "in" / "run7.tiq", 40)
    for kind, seconds in (("all", 40), ("preview", 10)):
        made = crunch(tmp_path / kind, zarr=kind, png=False, npz=False)(found(path))
        assert [os.path.basename(each) for each in made.outputs] == ["run7.tiq.zarr"]
        assert [p.name for p in (tmp_path / kind / "out").iterdir() if not p.name.endswith(".lock")] == [
            "run7.tiq.zarr"
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            power = ra.open_zarr(made.outputs[0])
        assert power.shape == (math.ceil(seconds / 3), L)
        assert power.attrs["units"] == "W"
        assert power.attrs["complete"] is True
        assert power.dtype == np.float32
        assert float(power.max()) == pytest.approx((FULL * SCALING) ** 2 / 100, rel=0.02)
        crunch(tmp_path / kind, zarr=kind, png=False, npz=False)(found(path))  # takes the place of the one before
        crunch(tmp_path / kind, zarr=kind, png=False, npz=False, n_avg=1)(found(path))
        assert ra.open_zarr(made.outputs[0]).shape == (seconds, L)


def test_the_same_bytes_however_often_wherever_and_with_whom(tmp_path: Path) -> None:
    paths = [record(tmp_path / "in" / f"run{k}.tiq", 8 + k, rate=RATE + k) for k in range(8)]
    settings: dict[str, Any] = {"zoom_nfft": 64, "zoom_span": 60e3, "copy_raw": True}
    for path in paths:
        crunch(tmp_path / "one", **settings)(found(path))
    alone = content(tmp_path / "one")
    assert len(alone) == 8 * 5
    ready = threading.Barrier(8)

    def together(path: Path) -> None:
        ready.wait(60)
        pickle.loads(pickle.dumps(crunch(tmp_path / "many", **settings)))(found(path))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(together, paths))
    assert content(tmp_path / "many") == alone


def test_results_do_not_depend_on_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reelarray.watching import frames

    path = record(tmp_path / "in" / "run7.tiq", 30)
    settings: dict[str, Any] = {"nframes": None, "zoom_nfft": 64, "zoom_span": 60e3}
    crunch(tmp_path / "memory", **settings)(found(path))
    monkeypatch.setattr(frames, "HELD", 0)
    monkeypatch.setattr(frames, "BLOCK", 4 * L)
    crunch(tmp_path / "blocks", **settings)(found(path))
    memory, blocks = content(tmp_path / "memory"), content(tmp_path / "blocks")
    assert memory.keys() == blocks.keys()
    for name in memory:
        assert memory[name] == blocks[name], name


@pytest.mark.parametrize("nframes", [94, None])
def test_memory_does_not_grow_with_the_recording(tmp_path: Path, nframes: int | None) -> None:
    path = tmp_path / "long.tiq"
    header = record(tmp_path / "short.tiq", 1, number_samples="12000000").read_bytes()[: -8 * L]
    with open(path, "wb") as file:
        file.write(header)
        for k in range(12):
            file.write(np.random.default_rng(k).integers(-(2**28), 2**28, (1_000_000, 2), "<i4").tobytes())
    process = Crunch(str(tmp_path / "out"), wanted=Wanted(lframes=4096, nframes=nframes, n_avg=10, zarr="all"))
    process(found(record(tmp_path / "warm.tiq", 100)))  # what is imported and compiled is no part of it
    tracemalloc.start()
    try:
        made = process(found(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert made.samples == 12_000_000  # 96 MB in the file, as complex64, and 48 MB of spectra
    with np.load(tmp_path / "out" / "long.tiq.npz") as archive:
        assert archive["arr_2"].shape == (nframes or 12_000_000 // 4096, 4096)
    assert peak < 70e6  # 44 MB: a block of samples, and sums of the pixels of a picture


def test_nothing_large_is_imported_that_is_not_needed(tmp_path: Path) -> None:
    import subprocess

    path = record(tmp_path / "in" / "run7.tiq")
    code = f"""if True:
        import sys
        from reelarray import process_recording
        from reelarray.driving import synchronous
        with synchronous():
            process_recording({str(path)!r}, lframes=256)
        print(sorted({{"distributed", "scipy.signal", "matplotlib.pyplot"}} & sys.modules.keys()))
    """
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert run.stdout.strip() == "[]"


# ---- short and odd recordings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "n_avg", "expected"), [(1.5, 1, 1), (1.5, 94, 1), (3, 3, 3), (5, 94, 5), (99, 2, 10)]
)
def test_whole_frames_are_used_as_many_as_there_are(tmp_path: Path, frames: float, n_avg: int, expected: int) -> None:
    made = crunch(tmp_path, n_avg=n_avg)(found(record(tmp_path / "in" / "run7.tiq", frames)))
    with np.load(tmp_path / "out" / "run7.tiq.npz") as archive:
        assert archive["arr_2"].shape == (expected, L)
    assert len(made.outputs) == (3 if n_avg == 1 else 4)
    assert all(os.path.getsize(each) > 500 for each in made.outputs)


def test_the_last_group_may_be_dropped(tmp_path: Path) -> None:
    path = record(tmp_path / "in" / "run7.tiq")
    for partial, groups in (("keep", 4), ("drop", 3)):
        crunch(tmp_path / partial, partial=partial)(found(path))
        with np.load(tmp_path / partial / "out" / "run7.tiq_averaged.npz") as archive:
            assert archive["arr_2"].shape == (groups, L)


def test_dropping_all_there_is_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="keep"):
        crunch(tmp_path, n_avg=94, partial="drop")(found(record(tmp_path / "in" / "run7.tiq")))


def test_too_short_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"too short: 255 samples .* a frame takes 256"):
        crunch(tmp_path, table=True, www=True)(found(record(tmp_path / "in" / "run7.tiq", 255 / 256)))
    assert names(tmp_path) == {"in/run7.tiq"}


def test_a_file_that_was_cut_short_is_taken_as_it_is_where_that_is_said(tmp_path: Path) -> None:
    path = record(tmp_path / "in" / "run7.tiq", keep=0.5)
    with pytest.raises((TruncatedFile, RecordingError), match=r"run7\.tiq"):
        crunch(tmp_path)(found(path))
    made = crunch(tmp_path, table=True)(found(path, partial=True))
    assert (made.partial, made.samples) == (True, 6 * L)
    assert rows(tmp_path / "table.csv")[0]["partial"] == "True"


def test_frames_never_span_a_gap(tmp_path: Path) -> None:
    path = record(tmp_path / "in" / "run7.tiq", 12, datasets=2, gaps=[1.0])
    for nframes, last in ((None, [5 * L / RATE, 1 + 6 * L / RATE]), (7, [5 * L / RATE, 1 + 6 * L / RATE])):
        crunch(tmp_path, nframes=nframes)(found(path))
        with np.load(tmp_path / "out" / "run7.tiq.npz") as archive:
            assert len(archive["arr_1"]) == (nframes or 12)
            np.testing.assert_allclose(archive["arr_1"][5:7, 0], last, rtol=1e-9)


def test_samples_of_the_first_frames_alone_are_taken() -> None:
    x = ra.join(
        [ra.recording(np.zeros(n, "c8"), rate=10, start=f"2022-01-01T00:00:{s}") for s, n in (("00", 35), ("20", 25))]
    )
    assert [first_frames(x, 10, most).sizes["time"] for most in (1, 3, 4, 5, 9, None)] == [10, 30, 45, 60, 60, 60]


def test_sound_is_processed_too(tmp_path: Path) -> None:
    seconds = np.arange(48_000) / 8000
    x = ra.recording(np.sin(2 * np.pi * 1000 * seconds).astype("f4"), rate=8000, start="2022", units="V")
    ra.write_npz(x, tmp_path / "sine.npz")
    made = crunch(tmp_path, table=True)(found(tmp_path / "sine.npz"))
    assert made.notes["peak_frequency"] == pytest.approx(1000, abs=1)


def test_several_channels_are_refused_with_the_way_out(tmp_path: Path) -> None:
    x = ra.recording(np.zeros((4000, 2), "f4"), rate=8000, start="2022", units="V")
    ra.write_npz(x, tmp_path / "two.npz")
    with pytest.raises(RecordingError, match=r"channel = 0 in the table \[open\]"):
        crunch(tmp_path)(found(tmp_path / "two.npz"))
    process = replace(crunch(tmp_path), opening=module.Keywords({"channel": 1}))
    assert process(found(tmp_path / "two.npz")).samples == 4000


# ---- zoom ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "span", "expected", "wrong"),
    [
        (0, 1e6, (CENTER, RATE / 2), ""),
        (0, 50e3, (CENTER, 25e3), ""),
        (50e3, 20e3, (CENTER + 50e3, 10e3), ""),
        (-50e3, 1e6, (CENTER - 50e3, RATE / 2 - 50e3), ""),
        (CENTER + 50e3, 20e3, (CENTER + 50e3, 10e3), ""),
        (1e9, 20e3, (CENTER, 10e3), "outside the recorded band, 244583587.5 to 244974212.5 Hz"),
        (RATE / 2, 20e3, (CENTER, 10e3), "less than 4 bins of 381.5 Hz from an edge"),
        (RATE / 2 - 1500, 20e3, (CENTER, 10e3), "less than 4 bins"),
        (RATE / 2 - 1600, 20e3, (CENTER + RATE / 2 - 1600, 1600), ""),
    ],
)
def test_the_zoomed_band(given: float, span: float, expected: Any, wrong: str) -> None:
    x = ra.recording(np.zeros(2048, "c8"), rate=RATE).assign_coords(center_frequency=CENTER)
    made = zoom_band(x, Wanted(lframes=1024, zoom_center=given, zoom_span=span))
    assert (made.center, made.half) == pytest.approx(expected, abs=1e-6)
    assert wrong in made.wrong
    assert bool(wrong) == bool(made.wrong)


def test_the_few_bins_of_very_short_frames_are_no_reason_to_warn_of_the_middle() -> None:
    x = ra.recording(np.zeros(2048, "c8"), rate=RATE).assign_coords(center_frequency=CENTER)
    assert zoom_band(x, Wanted(lframes=4)).wrong == ""
    assert "lframes" in zoom_band(x, Wanted(lframes=4, zoom_center=CENTER)).wrong


def test_a_center_that_cannot_be_is_told_once_for_each_analyser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module.pictures, "_told", set())
    for k, analyser in enumerate(("left", "left", "right", "left")):
        path = record(tmp_path / "in" / f"run{k}.tiq")
        crunch(tmp_path, npz=False, zoom_center=1e9)(found(path, analyser=analyser))
    told = [each.getMessage() for each in caplog.records if "zoom_center" in each.getMessage()]
    assert [each.split(":")[0] for each in told] == ["left", "right"]


@pytest.mark.parametrize("zoom_nfft", [None, 128])
def test_the_zoomed_spectrogram_is_centred_and_averaged(zoom_nfft: int | None) -> None:
    n = np.arange(200 * L)
    z = np.exp(2j * np.pi * 40e3 * n / RATE).astype(np.complex64)
    x = ra.recording(z, rate=RATE, start="2022", units="V").assign_coords(center_frequency=CENTER)
    wanted = Wanted(lframes=L, n_avg=4, zoom_center=42e3, zoom_span=20e3, zoom_nfft=zoom_nfft)
    power, band = Frames.of(x, wanted).held().zoomed()
    center = band.center
    assert (center, band.half) == (CENTER + 42e3, 10e3)
    assert power.attrs["window"] == "hann"
    frequency = power["frequency"].values
    step = frequency[1] - frequency[0]
    assert abs(frequency.mean() - center) <= step
    assert frequency[-1] - frequency[0] <= 20e3 + step
    assert step < RATE / L / 7 if zoom_nfft else step == pytest.approx(RATE / L)
    peak = Peak.of(power.mean("time").compute())
    assert peak.frequency == pytest.approx(CENTER + 40e3, abs=step / 2)
    assert power.sizes["time"] == (50 if zoom_nfft is None else math.ceil(int(200 * L / 15 / 128) / 4))


# ---- where outputs go ------------------------------------------------------------------------------------------------


def test_an_error_while_writing_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = record(tmp_path / "in" / "run7.tiq")
    process = crunch(tmp_path)
    process(found(path))
    before = content(tmp_path / "out")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.pictures, "draw_zoomed", full)
    with pytest.raises(OSError, match="No space"):
        crunch(tmp_path, n_avg=2)(found(path))
    assert content(tmp_path / "out") == before


def test_a_name_of_another_recording_is_never_overwritten(tmp_path: Path) -> None:
    left = record(tmp_path / "a" / "run7.tiq")
    right = record(tmp_path / "b" / "run7.tiq", date_time="2015-01-01T00:00:00.0000000+00:00")
    for wanted in ({"zarr": "preview"}, {"png": False}, {"npz": False}, {"png": False, "npz": False, "zarr": "all"}):
        folder = tmp_path / "-".join(wanted)
        crunch(folder, **wanted)(found(left, analyser="left"))
        before = content(folder)
        with pytest.raises(RecordingError, match=r'^collision: .*layout = "by_analyser"'):
            crunch(folder, **wanted)(found(right, analyser="right"))
        assert content(folder) == before
        crunch(folder, **wanted, n_avg=2)(found(left, analyser="left"))
        crunch(folder, **wanted)(found(left, analyser="renamed"))
        assert content(folder) != before
    made = crunch(tmp_path, layout="by_analyser")
    made(found(left, analyser="left"))
    made(found(right, analyser="right"))
    assert {name.split("/")[0] for name in names(tmp_path / "out")} == {"left", "right"}


def test_collisions_are_seen_when_both_are_made_at_once(tmp_path: Path) -> None:
    paths = [record(tmp_path / k / "run7.tiq", date_time=f"201{k}-01-01T00:00:00+00:00") for k in "23456"]
    ready = threading.Barrier(5)

    def together(path: Path) -> str | None:
        ready.wait(60)
        try:
            crunch(tmp_path)(found(path, analyser=path.parent.name))
        except RecordingError as error:
            return str(error)
        return path.parent.name

    with ThreadPoolExecutor(5) as pool:
        told = list(pool.map(together, paths))
    (winner,) = (each for each in told if len(each or "") == 1)
    assert sum("collision" in (each or "") for each in told) == 4
    origins = {Origin.of_file(tmp_path / "out" / name) for name in names(tmp_path / "out")}
    assert {each.analyser for each in origins if each} == {winner}
    assert len(origins) == 1


def test_outputs_of_datacrunch_itself_are_replaced(tmp_path: Path) -> None:
    path = record(tmp_path / "in" / "run7.tiq")
    (tmp_path / "out").mkdir()
    for name in ("run7.tiq.png", "run7.tiq.npz"):
        (tmp_path / "out" / name).write_bytes(b"theirs")
    crunch(tmp_path)(found(path))
    assert Origin.of_file(tmp_path / "out" / "run7.tiq.png") == Origin("run7.tiq", "left", START_NS)
    assert Origin.of_file(tmp_path / "out" / "run7.tiq.npz") == Origin("run7.tiq", "left", START_NS)


def test_latest_pictures_only_move_forward_after_a_restart_too(tmp_path: Path) -> None:
    times = ("2015-01-01T00:00:02", "2015-01-01T00:00:01", "2015-01-01T00:00:03")
    shown = []
    for k, time in enumerate(times):
        path = record(tmp_path / "in" / f"run{k}.tiq", 10 + k, date_time=f"{time}.0000000+00:00")
        crunch(tmp_path, www=True)(found(path))  # nothing is remembered but the pictures
        shown.append([picture_text(tmp_path / "www" / name)["Source"] for name in ("left.png", "zoom_left.png")])
    assert shown == [["run0.tiq"] * 2, ["run0.tiq"] * 2, ["run2.tiq"] * 2]


def test_without_a_date_the_latest_is_told_by_the_time_of_change(tmp_path: Path) -> None:
    for k, seconds in enumerate((2000, 1000, 3000)):
        ra.write_npz(ra.recording(np.ones(3000, "c8"), rate=1000), tmp_path / f"run{k}.npz")
        os.utime(tmp_path / f"run{k}.npz", (seconds, seconds))
        crunch(tmp_path, www=True)(found(tmp_path / f"run{k}.npz"))
        text = picture_text(tmp_path / "www" / "left.png")
        assert text["Source"] == ("run0.npz", "run0.npz", "run2.npz")[k]


def test_analysers_whose_pictures_would_have_one_name_are_told_apart(tmp_path: Path) -> None:
    path = record(tmp_path / "in" / "run7.tiq")
    crunch(tmp_path, www=True, layout="by_analyser")(found(path, analyser="a"))
    with pytest.raises(RecordingError, match=r"collision: .*another name"):
        crunch(tmp_path, www=True, layout="by_analyser")(found(path, analyser="zoom_a"))


def test_names_that_cannot_be_printed(tmp_path: Path) -> None:
    name = 'a$b,\n"c"<img src=x>\x07\u4e00.tiq'
    path = record(tmp_path / "in" / name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the font has no such sign
        made = crunch(tmp_path, table=True, www=True)(found(path, analyser="l\u00e9ft"))
    assert all(os.path.exists(each) for each in made.outputs)
    assert picture_text(Path(made.outputs[0]))["Source"] == printable(name)
    (row,) = rows(tmp_path / "table.csv")
    assert row["recording"] == printable(name)


# ---- table -----------------------------------------------------------------------------------------------------------


def test_a_line_for_each_recording(tmp_path: Path) -> None:
    paths = [record(tmp_path / "in" / f"run{k}.tiq") for k in range(3)]
    for path in paths:
        crunch(tmp_path, table=True, png=False)(found(path))
    first = (tmp_path / "table.csv").read_text()
    crunch(tmp_path, table=True, png=False, nframes=5)(found(paths[1]))  # done again: its line is replaced
    table = rows(tmp_path / "table.csv")
    assert [row["recording"] for row in table] == ["run0.tiq", "run1.tiq", "run2.tiq"]
    assert [float(row["recorded_s"]) for row in table] == pytest.approx([10 * L / RATE, 5 * L / RATE, 10 * L / RATE])
    assert [row["duration_s"] for row in table] == [f"{float(row['recorded_s']):.9g}" for row in table]
    row = table[0]
    assert tuple(row) == COLUMNS
    assert (row["analyser"], row["start"]) == ("left", "2014-08-01T08:33:15.9782727Z")
    assert float(row["peak_frequency_Hz"]) == pytest.approx(CENTER + RATE / 8, abs=RATE / L / 50)
    assert float(row["peak_power_dBm"]) == pytest.approx(10 * math.log10((FULL * SCALING) ** 2 / 100 * 1e3), abs=0.05)
    assert float(row["width_3dB_Hz"]) == pytest.approx(4 / 3 * RATE / L, rel=0.05)
    assert float(row["bin_width_Hz"]) == pytest.approx(RATE / L)
    crunch(tmp_path, table=True, png=False)(found(paths[1]))
    assert (tmp_path / "table.csv").read_text() == first


def line(k: int, **more: Any) -> dict[str, Any]:
    return {"analyser": f"a{k % 3}", "recording": f"run,{k}.tiq", "duration_s": float(k), **more}


def test_lines_of_many_threads_are_all_there_once(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: add_row(path, line(k % 40, peak_power_W=math.nan)), range(160)))
    table = rows(path)
    assert len(table) == 40
    assert {row["recording"] for row in table} == {f"run,{k}.tiq" for k in range(40)}
    assert {row["peak_power_W"] for row in table} == {""}


def test_lines_of_many_processes_are_all_there_once(tmp_path: Path) -> None:
    import subprocess

    code = (
        "import sys; from pathlib import Path; from reelarray.watching.table import add_row\n"
        "for k in range(25): add_row(Path(sys.argv[1]), "
        "{'analyser': 'a', 'recording': f'{(k * int(sys.argv[2])) % 25}.tiq'})"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "t.csv"), str(k)]) for k in (1, 2, 3)]
    assert [run.wait(120) for run in runs] == [0, 0, 0]
    assert sorted(row["recording"] for row in rows(tmp_path / "t.csv")) == sorted(f"{k}.tiq" for k in range(25))


def test_a_torn_line_goes_and_another_table_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for k in range(2):
        add_row(path, line(k))
    whole = path.read_text()
    path.write_text(whole + "a2,run")
    add_row(path, line(2))
    assert [row["duration_s"] for row in rows(path)] == ["0.0", "1.0", "2.0"]
    assert path.read_text().startswith(whole)
    path.write_text("x,y\n1,2\n")
    with pytest.raises(SettingError, match="another table"):
        add_row(path, line(3))
    assert path.read_text() == "x,y\n1,2\n"


@pytest.mark.parametrize(
    ("power", "expected"),
    [
        ([1, 8, 1, 0, 0], (1.0, 8.0, 2 * 4 / 7)),
        ([1, 8, 8, 1, 0], (1.5, 8 * 2 ** (3 / 8), None)),
        ([1, 1e-6, 8, 7.9, 1], (2.5, 8 * 10**0.15, None)),
        ([0, 0, 0, 0], (0.0, 0.0, math.nan)),
        ([4, 4, 4], (0.0, 4.0, math.nan)),
        ([math.nan, 2, 8, 4, 0], (2 + 1 / 6, 8 * 2 ** (1 / 24), None)),
        ([math.nan, math.nan], (math.nan,) * 3),
    ],
)
def test_peaks(power: list[float], expected: tuple[float, float, float | None]) -> None:
    import xarray as xr

    x = xr.DataArray(np.array(power, float), dims="frequency", coords={"frequency": np.arange(float(len(power)))})
    made = Peak.of(x)
    assert made.power == pytest.approx(expected[1], nan_ok=True)
    assert made.frequency == pytest.approx(expected[0], abs=0.01, nan_ok=True)
    if expected[2] is not None:
        assert made.width == pytest.approx(expected[2], nan_ok=True)


@pytest.mark.parametrize("between", [0.0, 0.25, 0.5, 0.7])
def test_a_tone_reads_its_power_and_frequency_wherever_it_lies_between_bins(between: float) -> None:
    tone = np.exp(2j * np.pi * (40 + between) * np.arange(20 * L) / L).astype("c8")
    x = ra.recording(tone, rate=L, start="2022", units="V")
    peak = Peak.of(Frames.of(x, Wanted(lframes=L)).mean())
    assert peak.frequency == pytest.approx(40 + between, abs=0.02)
    assert 10 * math.log10(peak.power * 100) == pytest.approx(0, abs=0.3)  # 1 V, 50 ohm: 10 mW
    assert 1.3 < peak.width < 1.65
    scalloped = Peak.of(Frames.of(x, Wanted(lframes=L, window="boxcar")).mean())
    assert (peak.power - scalloped.power > 0.1 * peak.power) == (between > 0)


def test_pictures_show_a_tone_without_its_skirts_and_archives_hold_what_they_held() -> None:
    x = ra.recording(np.exp(2j * np.pi * 40.5 * np.arange(20 * L) / L).astype("c8"), rate=L, start="2022", units="V")
    made = {window: Frames.of(x, Wanted(lframes=L, window=window)) for window in ("hann", "boxcar")}  # type: ignore[arg-type]
    far = {window: float(each.mean().sel(frequency=-60).item()) for window, each in made.items()}
    assert far["hann"] < 1e-5 * far["boxcar"]
    raw = Frames.of(made["hann"].samples, made["hann"].wanted, "boxcar")
    assert (raw.rows.attrs["scaling"], raw.rows.attrs["window"]) == ("raw", "boxcar")
    np.testing.assert_array_equal(raw.rows.values, made["boxcar"].rows.values)
    np.testing.assert_array_equal(
        raw.rows.values, ra.spectrogram(x, nfft=L, hop=L, window="boxcar", scaling="raw").values
    )


# ---- in a loop -------------------------------------------------------------------------------------------------------


def test_process_recording_takes_settings_a_file_or_keywords(tmp_path: Path) -> None:
    path = record(tmp_path / "in" / "run7.tiq", 100)
    made = process_recording(path, lframes=L, png=False)  # without settings the whole recording, beside it
    with np.load(tmp_path / "in" / "run7.tiq.npz") as archive:
        assert archive["arr_2"].shape == (100, L)
    assert [os.path.dirname(each) for each in made.outputs] == [str(tmp_path / "in")]
    config = tmp_path / "config.toml"
    config.write_text(
        f'[paths]\nfolder_path = "{tmp_path}/in"\noutput_path = "{tmp_path}/out"\n[settings]\nlframes = 8\n'
    )
    process_recording(path, config, png=False)
    with np.load(tmp_path / "out" / "run7.tiq.npz") as archive:
        assert archive["arr_2"].shape == (94, 8)
    table = tmp_path / "t.csv"
    made = process_recording(
        path, ra_settings(config), output=tmp_path / "other", table=table, analyser="x", nframes=3, npz=False
    )
    assert {os.path.dirname(each) for each in made.outputs} == {str(tmp_path / "other")}
    assert [(row["analyser"], row["recording"]) for row in rows(table)] == [("x", "run7.tiq")]
    for wrong, right in (("lframe", "lframes"), ("nfft", "lframes"), ("average", "n_avg"), ("cmap", "color_map")):
        with pytest.raises(SettingError, match=f"unknown '{wrong}'; did you mean '{right}'"):
            process_recording(path, **{wrong: 3})
    with pytest.raises(SettingError, match=r"unknown 'xyzzy'; known are .*'lframes'"):
        process_recording(path, xyzzy=3)
    with pytest.raises(SettingError, match=r"window='kaiser': one of hann, boxcar"):
        process_recording(path, window="kaiser")
    with pytest.raises(SettingError, match="n_avg=0"):
        process_recording(path, n_avg=0)
    with pytest.raises(FileNotFoundError):
        process_recording(tmp_path / "nothing.tiq")


def ra_settings(path: Path) -> Any:
    from reelarray.watching.settings import load_settings

    return load_settings(path)


def test_settings_name_the_analyser_of_a_loop_as_they_do_in_a_watch(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "rsa51"
    folder.mkdir(parents=True)
    write_tiq(folder / "run.tiq", 4096)
    settings = {
        "paths": {"folder_path": str(tmp_path / "in"), "output_path": str(tmp_path / "out")},
        "settings": {"lframes": 256},
        "watch": {"recursive": True},
        "outputs": {"layout": "by_analyser", "png": False},
        "analysers": {str(folder): "left"},
        "analyser": {"left": {"npz": False, "zarr": "all"}},
    }
    made = process_recording(folder / "run.tiq", settings)
    assert made.outputs == (str(tmp_path / "out" / "left" / "run.tiq.zarr"),)


def test_a_start_in_the_future_does_not_freeze_the_latest_picture(tmp_path: Path) -> None:
    options = {"lframes": 256, "npz": False, "output": tmp_path / "out"}
    settings = {
        "paths": {"folder_path": str(tmp_path), "output_path": "out", "www_path": str(tmp_path / "www")},
    }
    for k, year in enumerate(("2030", "2014")):
        path = tmp_path / f"run{k}.tiq"
        write_tiq(path, 4096, date_time=f"{year}-08-01T10:33:15+02:00")
        process_recording(path, settings, analyser="rsa", **options)
    shown = Origin.of_file(tmp_path / "www" / "rsa.png")
    assert shown is not None
    assert shown.source == "run0.tiq", "written last year by its clock, and today by that of the disk"
    write_tiq(tmp_path / "run2.tiq", 4096, date_time=None)
    process_recording(tmp_path / "run2.tiq", settings, analyser="rsa", **options)
    shown = Origin.of_file(tmp_path / "www" / "rsa.png")
    assert shown is not None
    assert shown.source == "run2.tiq"
