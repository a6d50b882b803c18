"""The command line: what it prints, writes and answers, by running it on small folders."""

from __future__ import annotations

import errno
import json
import os
import stat
import wave

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import reelarray as ra
from reelarray.cli import main
from reelarray.commands import runs
from reelarray.recipe import inputs
from reelarray.sinks.journal import Journal

RATE = 8000


def record(path, seconds=2.0, rate=RATE, seed=0):
    samples = np.random.default_rng(seed).integers(-8000, 8000, round(seconds * rate)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return samples


@pytest.fixture
def folder(tmp_path):
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    for second in (0, 2, 10):
        record(recordings / f"X_20220301_0000{second:02d}.wav", seed=second)
    return recordings


@pytest.fixture
def troubled(folder):
    record(folder / "X_20220301_000020.wav")
    with open(folder / "X_20220301_000020.wav", "r+b") as file:
        file.truncate(8000)
    (folder / "X_20220301_000030.wav").write_text("this is no recording at all")
    return folder


def test_spectrogram_writes_what_the_functions_compute(folder, tmp_path, capsys):
    out, png = tmp_path / "out.zarr", tmp_path / "out.png"
    code = main(["spectrogram", str(folder), "-o", str(out), "--png", str(png), "--nfft", "256", "--no-cache"])
    printed = capsys.readouterr()
    assert code == 0, printed
    expected = ra.spectrogram(ra.open_recordings(folder, cache=False), nfft=256).compute()
    assert ra.open_zarr(out).values.tobytes() == expected.values.tobytes()
    assert xr.open_zarr(out).sizes["time"] == expected.sizes["time"]
    assert png.stat().st_size > 5000
    assert "3 files" in printed.out
    assert "1 gap," in printed.out
    assert str(png) in printed.out


def test_average_calibration_and_selection(folder, tmp_path):
    calibration = tmp_path / "hydrophone.toml"
    calibration.write_text("sensitivity = -170\ngain_db = 14\npeak_voltage = 2.5\n")
    out = tmp_path / "out.zarr"
    options = ["--average", "1s", "--calibration", str(calibration), "--end", "2022-03-01T00:00:03", "--no-cache"]
    assert main(["spectrogram", str(folder), "-o", str(out), *options]) == 0
    x = ra.open_recordings(
        folder, end="2022-03-01T00:00:03", sensitivity=-170, gain_db=14, peak_voltage=2.5, cache=False
    )
    got = ra.open_zarr(out)
    assert got.values.tobytes() == ra.power_spectrum(x, every="1s").values.tobytes()
    assert got.attrs["units"] == "Pa2 Hz-1"
    assert got["effort"].values.tolist() == [1.0, 1.0, pytest.approx(1.0, abs=0.2)]


def test_an_option_wins_over_the_calibration_file(folder, tmp_path):
    calibration = tmp_path / "c.json"
    calibration.write_text('{"sensitivity": -170}')
    a, b = tmp_path / "a.zarr", tmp_path / "b.zarr"
    options = ["--average", "1s", "--no-cache"]
    loud = ["--calibration", str(calibration), "--sensitivity", "-180"]
    assert main(["spectrogram", str(folder), "-o", str(a), *loud, *options]) == 0
    assert main(["spectrogram", str(folder), "-o", str(b), "--sensitivity", "-180", *options]) == 0
    assert ra.open_zarr(a).values.tobytes() == ra.open_zarr(b).values.tobytes()


def test_broken_files_are_left_out_named_and_told_by_the_exit_code(troubled, tmp_path, capsys):
    out = tmp_path / "out.zarr"
    assert main(["spectrogram", str(troubled), "-o", str(out), "--no-cache"]) == 3
    printed = capsys.readouterr().out
    assert "left out  X_20220301_000020.wav: truncated" in printed
    assert "left out  X_20220301_000030.wav: unreadable" in printed
    assert ra.open_zarr(out).time.values[-1] < np.datetime64("2022-03-01T00:00:13")


@pytest.mark.parametrize("on_bad", ["skip", "use"])
def test_the_store_says_how_many_files_were_left_out(troubled, tmp_path, on_bad):
    out = tmp_path / "out.zarr"
    assert main(["spectrogram", str(troubled), "-o", str(out), "--no-cache", "--on-bad", on_bad]) == 3
    x = ra.open_recordings(troubled, cache=False, on_bad=on_bad)
    assert x.attrs["files_left_out"] == (2 if on_bad == "skip" else 1)
    assert ra.open_zarr(out).attrs["files_left_out"] == x.attrs["files_left_out"]
    assert ra.open_zarr(out).identical(ra.spectrogram(x, nfft=1024).compute())


def test_a_position_goes_into_the_attributes(folder, tmp_path, capsys):
    command = ["spectrogram", str(folder), "-o", str(tmp_path / "out.zarr"), "--no-cache", "--position"]
    assert main([*command, "48.4", "-4.5"]) == 0
    attrs = ra.open_zarr(tmp_path / "out.zarr").attrs
    assert (attrs["latitude"], attrs["longitude"]) == (48.4, -4.5)
    assert main([*command, "148.4", "-4.5"]) == 2
    assert "148.4" in capsys.readouterr().err


def test_times_from_a_table_and_from_characters(folder, tmp_path):
    stamps = tmp_path / "stamps.csv"
    names = sorted(path.name for path in folder.iterdir())
    rows = [f"{name},2023-05-0{day}T00:00:00Z" for day, name in enumerate(names, 1)]
    stamps.write_text("\n".join(["filename,timestamp", *rows]) + "\n")
    command = ["spectrogram", str(folder), "--no-cache", "--average", "1s", "-o"]
    assert main([*command, str(tmp_path / "a.zarr"), "--timestamps-csv", str(stamps)]) == 0
    days = ra.open_zarr(tmp_path / "a.zarr").time.values.astype("M8[D]")
    assert sorted(set(days.astype(str).tolist())) == ["2023-05-01", "2023-05-02", "2023-05-03"]
    offsets = ["--offsets", "2", "16", "--timestamp", "%Y%m%d_%H%M%S"]
    assert main([*command, str(tmp_path / "b.zarr"), *offsets]) == 0
    plain = ra.power_spectrum(ra.open_recordings(folder, cache=False), every="1s")
    assert ra.open_zarr(tmp_path / "b.zarr").time.values.tolist() == plain.time.values.tolist()


def test_on_bad_raise_writes_nothing(troubled, tmp_path, capsys):
    out = tmp_path / "out.zarr"
    assert main(["spectrogram", str(troubled), "-o", str(out), "--on-bad", "raise", "--no-cache"]) == 2
    assert "000020.wav" in capsys.readouterr().err
    assert not out.exists()


def test_mixed_rates_are_an_error_that_says_how_to_choose(folder, tmp_path, capsys):
    record(folder / "X_20220301_000040.wav", rate=16000)
    command = ["spectrogram", str(folder), "-o", str(tmp_path / "out.zarr"), "--no-cache"]
    assert main(command) == 2
    assert "--rate 8000" in capsys.readouterr().err
    assert main([*command, "--rate", "8000"]) == 0
    assert "16000 Hz, 8000 was asked for" in capsys.readouterr().out


def test_running_again_makes_nothing_twice(folder, tmp_path, capsys):
    command = ["spectrogram", str(folder), "-o", str(tmp_path / "out.zarr"), "--no-cache"]
    assert main(command) == 0
    capsys.readouterr()
    assert main(command) == 0
    assert "0 were made" in capsys.readouterr().out
    assert main([*command, "--nfft", "512"]) == 2, "other parameters are never mixed in"
    assert "nfft" in capsys.readouterr().err
    assert main([*command, "--nfft", "512", "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["spectrogram", "nowhere", "-o", "x.zarr"], "nowhere"),
        (["spectrogram", "{folder}"], "-o OUT.zarr"),
        (["spectrogram", "{folder}", "-o", "x.zarr", "--hop", "0"], "--hop 0"),
        (["spectrogram", "{folder}", "-o", "x.zarr", "--nfft", "100000"], "fits no stretch"),
        (["spectrogram", "{folder}", "-o", "x.zarr", "--window", "hunn"], "hunn"),
        (["spectrogram", "{folder}", "-o", "x.zarr", "--median"], "--average"),
        (["spectrogram", "{folder}", "-o", "x.zarr", "--average", "often"], "often"),
        (["spectrogram", "{folder}", "-o", "x.zarr", "--begin", "2023-01-01"], "no sample lies in"),
        (["spectrogram", "{folder}", "-o", "x.zarr", "--timestamp", "%Y-%m"], "%Y-%m"),
        (["spectrogram", "{folder}", "-o", "x.zarr", "--calibration", "none.toml"], "none.toml"),
        (["spectrogram", "{folder}", "-o", "x.zarr", "--mode", "rw"], "octal"),
        (["info", "nowhere.wav"], "nowhere.wav"),
        (["scan", "{folder}", "--timezone", "Mars"], "Mars"),
        (["scan", "{folder}", "--offsets", "5", "2"], "5"),
        (["scan", "{folder}", "--recorder", "abacus"], "abacus"),
        (["scan", "{folder}", "--start", "noon"], "noon"),
        (["scan", "{folder}", "--format", "paper"], "paper"),
        (["scan", "{folder}", "--tolerance", "-1"], "-1"),
        (["scan", "{folder}", "--timestamps-csv", "none.csv"], "none.csv"),
        (["scan", "{folder}", "--csv", "no/folder.csv"], "no"),
        (["spectrogram", "{folder}", "-o", "x.zarr", "--begin", "noon"], "noon"),
        (["spectrogram", "{folder}", "-o", "x.zarr", "--channel", "7"], "7"),
        (["spectrogram", "{folder}", "-o", "x.zarr", "--rate", "-7"], "-7"),
        (["spectrogram", "{folder}", "-o", "x.zarr", "--nfft", "0"], "nfft"),
        (["spectrogram", "{folder}", "-o", "x.zarr", "--window-length", "0"], "--window-length 0"),
        (["spectrogram", "{folder}", "-o", "x.zarr", "--group", "no-such-group"], "no-such-group"),
        (["spectrogram", "{folder}", "--png", "x.png", "--vmin", "5", "--vmax", "1"], "vmin"),
    ],
)
def test_errors_are_one_line_that_says_what_to_do(folder, tmp_path, monkeypatch, capsys, arguments, told):
    monkeypatch.chdir(tmp_path)
    more = ["--no-cache"] if arguments[0] != "info" else []
    assert main([a.format(folder=folder) for a in arguments] + more) == 2
    printed = capsys.readouterr()
    assert told in printed.err
    assert printed.err.startswith("reel: ")
    assert len(printed.err.strip().splitlines()) == 1
    assert not (tmp_path / "x.zarr").exists()


OPTIONS = ["--nfft", "256", "--no-cache"]
SMALL = 16 * 129 * 4  # bytes of a block: 16 spectra


@pytest.fixture
def many_blocks(monkeypatch):
    monkeypatch.setattr("reelarray.plan.LARGEST_BLOCK", SMALL)
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.mark.parametrize("trouble", ["gone", "cut", "changed"])
def test_an_input_that_goes_while_running_fails_alone_and_is_made_later(
    folder, tmp_path, monkeypatch, capsys, many_blocks, trouble
):
    command = ["spectrogram", str(folder), *OPTIONS, "-o"]
    assert main([*command, str(tmp_path / "undisturbed.zarr")]) == 0
    last, aside = folder / "X_20220301_000010.wav", tmp_path / "aside.wav"
    made = []

    def lose(self, done, total, *_):
        made.append((done, total))
        if done == 3 and last.exists() and not aside.exists():
            last.rename(aside)
            if trouble != "gone":
                last.write_bytes(aside.read_bytes()[: 3000 if trouble == "cut" else None])

    monkeypatch.setattr(runs.Progress, "__call__", lose)
    out = tmp_path / "out.zarr"
    capsys.readouterr()
    assert main([*command, str(out)]) == 3
    printed = capsys.readouterr()
    failed = [line for line in printed.out.splitlines() if line.startswith("failed ")]
    assert failed
    assert all(str(last) in line for line in failed)
    assert "--retry-failed" in printed.out
    done, total = made[-1]
    assert done + len(failed) == total, "all others were made"
    monkeypatch.undo()
    monkeypatch.setattr("reelarray.plan.LARGEST_BLOCK", SMALL)
    aside.replace(last)
    assert main([*command, str(out)]) == 3, "what failed with the same input is not tried again"
    assert "0 were made" in capsys.readouterr().out
    assert main([*command, str(out), "--retry-failed"]) == 0
    assert f"{done} blocks were there, {total - done} were made" in capsys.readouterr().out
    assert ra.open_zarr(out).identical(ra.open_zarr(tmp_path / "undisturbed.zarr"))


def test_an_input_that_cannot_be_read_is_no_fault_of_the_output(folder, tmp_path, monkeypatch, capsys):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(inputs.catalog, "scan", refuse)
    assert main(["spectrogram", str(folder), "-o", str(tmp_path / "out.zarr")]) == 2
    assert "Permission denied" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["ENOSPC", "EACCES", "EROFS", "EDQUOT"])
def test_an_output_that_cannot_be_written(folder, tmp_path, monkeypatch, capsys, number):
    out = tmp_path / "out.zarr"

    def fail(*_):
        code = getattr(errno, number)
        raise OSError(code, os.strerror(code), str(out / "values" / "c"))

    monkeypatch.setattr("reelarray.sinks.faults.checkpoint", fail)
    assert main(["spectrogram", str(folder), "-o", str(out), *OPTIONS]) == 7
    assert f"{out} cannot be written" in capsys.readouterr().err


def test_an_output_that_another_process_holds(folder, tmp_path, capsys):
    out = tmp_path / "out.zarr"
    command = ["spectrogram", str(folder), "-o", str(out), *OPTIONS]
    assert main(command) == 0
    holder = Journal.hold(out / ".reelarray", out)
    try:
        assert main(command) == 6
    finally:
        holder.close()
    assert str(out) in capsys.readouterr().err


@pytest.mark.parametrize("kind", [KeyError, TypeError, ValueError, AssertionError, IndexError])
def test_errors_of_our_own_are_called_that(folder, monkeypatch, kind):
    def fail(*_, **__):
        raise kind("oh")

    monkeypatch.setattr(inputs, "open_recordings", fail)
    assert main(["spectrogram", str(folder), "-o", "x.zarr", "--no-cache"]) == 1


def test_debug_shows_the_traceback(capsys):
    with pytest.raises(FileNotFoundError):
        main(["scan", "nowhere", "--debug"])


def test_unknown_subcommands_and_help():
    with pytest.raises(SystemExit) as bad:
        main(["spectrum"])
    assert bad.value.code == 2
    with pytest.raises(SystemExit) as good:
        main(["--version"])
    assert good.value.code == 0


def test_scan_reports_and_writes_tables(troubled, tmp_path, capsys):
    stamps, files, table = tmp_path / "timestamp.csv", tmp_path / "file_metadata.csv", tmp_path / "table.csv"
    options = ["--write-timestamps", str(stamps), "--write-file-metadata", str(files), "--csv", str(table)]
    assert main(["scan", str(troubled), "--files", "--no-cache", "--exclude-abnormal", *options]) == 0
    printed = capsys.readouterr().out
    assert "truncated (level 1): 1 files: X_20220301_000020.wav" in printed
    assert "X_20220301_000002.wav" in printed
    assert len(pd.read_csv(table)) == 3
    assert len(stamps.read_text().splitlines()) in (3, 4)
    assert len(list(troubled.iterdir())) == 5, "nothing is moved unless told"


def test_a_table_is_written_whole_or_not_at_all(folder, tmp_path, monkeypatch):
    table, packed = tmp_path / "table.csv", tmp_path / "table.csv.gz"
    command = ["scan", str(folder), "--no-cache", "--csv"]
    assert main([*command, str(table)]) == 0
    assert main([*command, str(packed)]) == 0
    assert pd.read_csv(packed).equals(pd.read_csv(table))
    before = table.read_bytes()

    def full(self, path, **_):
        with open(path, "w") as file:
            file.write("half a")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    assert main([*command, str(table)]) == 7
    assert table.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["recordings", "table.csv", "table.csv.gz"]


def test_scan_json_and_quarantine(troubled, tmp_path, capsys):
    assert main(["scan", str(troubled), "--json", "--no-cache"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["files"] == 5
    assert set(summary["anomalies"]) >= {"truncated", "unreadable"}
    aside = tmp_path / "aside"
    assert main(["scan", str(troubled), "--no-cache", "--quarantine", str(aside)]) == 0
    assert "moved     2 files" in capsys.readouterr().out
    assert sorted(p.name for p in aside.iterdir()) == ["X_20220301_000020.wav", "X_20220301_000030.wav"]
    assert len(list(troubled.iterdir())) == 3


def test_info(folder, capsys):
    path = folder / "X_20220301_000002.wav"
    assert main(["info", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "2022-03-01T00:00:02" in printed
    assert "16,000" in printed
    assert main(["info", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 16000


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
def test_mode_and_umask_apply_to_outputs_only(folder, tmp_path):
    out = tmp_path / "out.zarr"
    before = {p: p.stat().st_mode for p in folder.iterdir()}
    assert main(["spectrogram", str(folder), "-o", str(out), "--mode", "640", "--umask", "027", "--no-cache"]) == 0
    assert {p: p.stat().st_mode for p in folder.iterdir()} == before
    for each in out.rglob("*"):
        assert stat.S_IMODE(each.stat().st_mode) == (0o750 if each.is_dir() else 0o640)


def test_what_cannot_be_drawn_is_told_before_anything_is_written(folder, tmp_path, capsys):
    stereo = tmp_path / "stereo"
    stereo.mkdir()
    with wave.open(str(stereo / "X_20220301_000000.wav"), "wb") as file:
        file.setparams((2, 2, RATE, 0, "NONE", ""))
        file.writeframes(bytes(4 * RATE))
    out = tmp_path / "out.zarr"
    for recordings, picture, told in (
        (stereo, tmp_path / "a.png", "pass --channel, one of 0, 1"),
        (folder, tmp_path / "a.jpg", "ends in .png"),
        (folder, tmp_path / "nowhere" / "a.png", "folder does not exist"),
    ):
        assert main(["spectrogram", str(recordings), "-o", str(out), "--png", str(picture), "--no-cache"]) == 2
        assert told in capsys.readouterr().err
        assert not out.exists()
    command = ["spectrogram", str(stereo), "-o", str(out), "--png", str(tmp_path / "a.png"), "--channel", "1"]
    assert main([*command, "--no-cache"]) == 0


def test_a_saved_catalog_is_opened_without_a_scan(folder, tmp_path, capsys, monkeypatch):
    kept, out, again = tmp_path / "catalog.json", tmp_path / "out.zarr", tmp_path / "again.zarr"
    assert main(["scan", str(folder), "--save", str(kept), "--no-cache"]) == 0
    assert main(["spectrogram", str(folder), "-o", str(out), "--nfft", "256", "--no-cache"]) == 0
    monkeypatch.setattr(inputs.catalog, "scan", None)
    capsys.readouterr()
    assert main(["spectrogram", str(kept), "-o", str(again), "--nfft", "256"]) == 0
    assert ra.open_zarr(again).identical(ra.open_zarr(out))
    assert main(["spectrogram", str(kept), "-o", str(again), "--timestamp", "%Y"]) == 2
    assert "--timestamp: " in (told := capsys.readouterr().err)
    assert "is a saved catalog" in told


def test_the_engine_is_chosen(folder, tmp_path):
    for engine in ("scipy", "numba"):
        out = tmp_path / f"{engine}.zarr"
        assert main(["spectrogram", str(folder), "-o", str(out), "--nfft", "256", "--engine", engine]) == 0
        assert ra.open_zarr(out).attrs["engine"] == engine
