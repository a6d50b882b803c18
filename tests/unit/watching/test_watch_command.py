"""`reel watch` and `ra.watch` with recipes: what they make, print and answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest

import reelarray as ra
from reelarray.cli import main
from reelarray.driving import Stop
from reelarray.watching.start import watch

RATE = 8000
QUICK = ("--settle-seconds", "0.05", "--min-free-bytes", "0")


def wav(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).integers(-8000, 8000, RATE).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with three recordings and a recipe."""
    for second in (0, 1, 10):
        wav(tmp_path / "in" / f"X_20220301_0000{second:02d}.wav", second)
    recipe(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def recipe(folder: Path, **tables) -> ra.Recipe:
    content = {
        "input": {"paths": "in", "cache": False},
        "step": [{"use": "power_spectrum", "every": "1s"}],
        "output": {"path": "made/{stem}.npz"},
    }
    made = ra.Recipe.from_dict(content | tables, folder=folder)
    made.save(folder / "recipe.toml")
    return made


def test_a_recipe_of_each_recording_makes_what_its_run_makes(place, capsys):
    assert main(["watch", "--recipe", "recipe.toml", "--once", *QUICK]) == 0
    printed = capsys.readouterr()
    assert "made      3 recordings; in all 3 done, 0 failed" in printed.out
    assert printed.err.count("8,000 samples in") == 3
    watched = {path.name: path.read_bytes() for path in (place / "made").glob("*.npz")}
    assert len(watched) == 3
    recipe(place, output={"path": "run/{stem}.npz"})
    assert main(["run", "recipe.toml"]) == 0
    assert {path.name: path.read_bytes() for path in (place / "run").glob("*.npz")} == watched

    recipe(place)
    assert main(["watch", "--recipe", "recipe.toml", "--once", *QUICK]) == 0
    assert "made      0 recordings; in all 3 done" in capsys.readouterr().out
    recipe(place, step=[{"use": "power_spectrum", "every": "0.5s"}])
    assert main(["watch", "--recipe", "recipe.toml", "--once", *QUICK]) == 0
    assert "made      3 recordings; in all 3 done" in capsys.readouterr().out
    assert not list((place / "made").glob(".*.part"))


def test_names_by_start_and_a_broken_recording(place, capsys):
    recipe(place, output={"path": "made/{start:%H%M%S}.npz"})
    (place / "in" / "bad_20220301_000020.wav").write_bytes(b"RIFF\x10\0\0\0WAVEjunk\0\0\0\0abcdefghijklm")
    assert main(["watch", "in", "--recipe", "recipe.toml", "--once", *QUICK]) == 1
    printed = capsys.readouterr().out
    assert "failed    bad_20220301_000020.wav: " in printed
    assert sorted(path.name for path in (place / "made").glob("*.npz")) == ["000000.npz", "000001.npz", "000010.npz"]
    assert main(["watch", "in", "--recipe", "recipe.toml", "--status"]) == 0
    told = capsys.readouterr().out
    assert "service   stopped" in told
    assert "0 pending, 0 running, 3 done, 1 failed" in told
    assert "last error: bad_20220301_000020.wav" in told


def test_a_list_of_what_is_done_and_the_newest_first(place):
    options = ("--tracking_file_path", "done.toml", "--num_threads", "1", "--order", "newest")
    for age, name in enumerate(("X_20220301_000010.wav", "X_20220301_000000.wav", "X_20220301_000001.wav")):
        os.utime(place / "in" / name, (10**9 - age, 10**9 - age))
    assert main(["watch", "--recipe", "recipe.toml", "--once", *QUICK, *options]) == 0
    import tomllib

    listed = tomllib.loads((place / "done.toml").read_text())["processed"]
    assert [Path(path).name[-6:-4] for path in listed] == ["10", "00", "01"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "nothing says what is watched"),
        (["none", "--recipe", "recipe.toml"], "no such folder to be watched"),
        (["in", "--recipe", "none.toml"], "reel recipe init none.toml"),
        (["in", "--recipe", "whole.toml"], "put a placeholder into the name"),
        (["in", "--recipe", "recipe.toml", "--config", "c.toml"], "--recipe and --config were given"),
        (["in", "--recipe", "recipe.toml", "--n_avg", "3"], "--n_avg was given"),
        (["in", "--recipe", "recipe.toml", "--attempts", "0", "--suffix", "wav"], "--attempts 0"),
        (["in", "--recipe", "recipe.toml", "--cluster", "slrum"], "did you mean 'slurm'"),
        (["in", "--recipe", "recipe.toml", "--set", "x"], "NAME=VALUE"),
        (["in", "--recipe", "recipe.toml", "--serve", "x"], "[HOST:]PORT was expected"),
        (["in", "--recipe", "recipe.toml", "--status"], "no service has its journal"),
        (["in", "--output-path", "out", "--nframes", "x"], "--nframes x"),
        (["in", "--config", "none.toml"], "none.toml does not exist"),
        (["--config", "bad.toml"], "is no TOML"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_begun(place, capsys, arguments, told):
    ra.Recipe.from_dict({"input": {"paths": "in"}, "output": {"path": "x.zarr"}}).save("whole.toml")
    (place / "bad.toml").write_text("[paths")
    before = sorted(place.rglob("*"))
    assert main(["watch", *arguments, "--once"]) == 2
    assert told in capsys.readouterr().err
    assert sorted(place.rglob("*")) == before


def test_a_service_is_asked_after_refuses_another_and_stops(place, capsys):
    command = [sys.executable, "-m", "reelarray.cli", "watch", "in", "--recipe", "recipe.toml", *QUICK]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 60
        while len(list((place / "made").glob("*.npz"))) < 3 and time.monotonic() < until:
            time.sleep(0.05)
        wav(place / "in" / ".X_20220301_000020.part", 20)
        (place / "in" / ".X_20220301_000020.part").rename(place / "in" / "X_20220301_000020.wav")
        while not (place / "made" / "X_20220301_000020.npz").exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert main(["watch", "in", "--recipe", "recipe.toml", "--status"]) == 0
        assert f"service   running, process {process.pid}, since" in capsys.readouterr().out
        assert main(["watch", "in", "--recipe", "recipe.toml", "--once"]) == 6
        assert f"process {process.pid}" in capsys.readouterr().err
        process.send_signal(signal.SIGINT)
        printed, told = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, told
    assert "made      4 recordings; in all 4 done, 0 failed" in printed
    assert "stopping (SIGINT)" in told
    assert "Traceback" not in told


def test_watch_returns_counts_and_can_be_stopped_from_elsewhere(place):
    import threading

    stop, got = Stop(environ={}), []
    options = {"settle_seconds": 0.05, "min_free_bytes": 0, "stop": stop}
    thread = threading.Thread(target=lambda: got.append(watch("in", "recipe.toml", **options)))
    thread.start()
    until = time.monotonic() + 60
    while len(list((place / "made").glob("*.npz"))) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    stop.ask("enough")
    thread.join(30)
    assert not thread.is_alive()
    assert (got[0].done, got[0].made, got[0].failed, got[0].stopped) == (3, 3, 0, "enough")
    with pytest.raises(ValueError, match="unknown option settle="):
        watch("in", "recipe.toml", settle=1)


def test_on_workers_of_a_cluster(place):
    from distributed import Client, LocalCluster

    (place / "louder_steps.py").write_text(
        "def louder(x, *, by: float = 2.0):\n    return (x * by).assign_attrs(x.attrs)\n"
    )
    recipe(place, step=[{"use": "louder_steps.louder"}, {"use": "power_spectrum", "every": "1s"}])
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        counts = watch("in", "recipe.toml", once=True, client=client, settle_seconds=0.05, min_free_bytes=0)
        assert (counts.done, counts.failed) == (3, 0)
        assert not list((place / "made").glob(".*"))[1:], "nothing but the journal"
        status = json.loads(next((place / "made").rglob("status.json")).read_text())
        assert status["counts"]["done"] == 3
        with pytest.raises(ra.SettingError, match="cluster= and client="):
            watch("in", "recipe.toml", once=True, client=client, cluster=cluster)
