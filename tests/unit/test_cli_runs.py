"""`reel run` and `reel recipe`: what they print, write and answer, and how signals stop them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import wave

import numpy as np
import pytest

import reelarray as ra
from reelarray.cli import main
from reelarray.commands.runs import stopping

RATE = 8000


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with three recordings, where the command runs."""
    (tmp_path / "recordings").mkdir()
    for second in (0, 1, 10):
        samples = np.random.default_rng(second).integers(-8000, 8000, RATE).astype("<i2")
        with wave.open(str(tmp_path / "recordings" / f"X_20220301_0000{second:02d}.wav"), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def write(path, **tables):
    content = {"input": {"paths": "recordings"}, "output": {"path": "out.zarr"}} | tables
    ra.Recipe.from_dict(content).save(path)
    return str(path)


def test_a_recipe_from_its_beginning_to_its_end(place, capsys):
    assert main(["recipe", "init"]) == 0
    assert main(["recipe", "init"]) == 2, "a file that is there is not replaced"
    assert "--force" in capsys.readouterr().err
    assert main(["recipe", "check", "recipe.toml"]) == 0
    assert "power_spectrum -> minutes.zarr" in capsys.readouterr().out
    assert main(["run", "recipe.toml", "--dry-run"]) == 0
    assert "to do" in capsys.readouterr().out
    assert not (place / "minutes.zarr").exists()
    assert main(["run", "recipe.toml"]) == 0
    printed = capsys.readouterr().out
    assert "3 files, 3.0 s" in printed
    assert "output    minutes.zarr: 1 time x 513 frequency (Hz-1)" in printed
    assert main(["run", "recipe.toml"]) == 0
    assert "1 blocks were there, 0 were made" in capsys.readouterr().out


def test_one_output_a_recording(place, capsys):
    assert main(["recipe", "init", "each.toml", "--each"]) == 0
    assert main(["run", "each.toml", "--jsonreport", "report.json"]) == 0
    assert "3 of 3 outputs" in capsys.readouterr().out
    report = json.loads((place / "report.json").read_text())
    assert (report["ending"], report["done"], report["exit_code"]) == ("complete", 3, 0)
    assert sorted(p.name for p in (place / "spectra").glob("*.npz")) == [
        f"X_20220301_0000{s:02d}.npz" for s in (0, 1, 10)
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none.toml"], "reel recipe init none.toml"),
        (["bad.toml"], "bad.toml: [input]: unknown key 'path'"),
        (["good.toml", "--set", "walltime"], "NAME=VALUE"),
        (["good.toml", "--cluster", "slrum"], "did you mean 'slurm'"),
        (["good.toml", "--cluster", "local", "--preset", "hgih"], "did you mean 'high'"),
        (["good.toml", "--jsonreport", "none/report.json"], "none"),
        (["step.toml"], "in step 1 of the recipe: spectrogram(nfft=0)"),
        (["limit.toml"], "--cluster local"),
    ],
)
def test_errors_are_one_line_that_says_what_to_do(place, capsys, arguments, told):
    (place / "bad.toml").write_text('[input]\npath = "recordings"\n[output]\npath = "out.zarr"\n')
    write(place / "good.toml")
    write(place / "step.toml", step=[{"use": "spectrogram", "nfft": 0}])
    write(place / "limit.toml", run={"time_limit": 10})
    assert main(["run", *arguments]) == 2
    printed = capsys.readouterr().err
    assert told in printed
    assert printed.startswith("reel: ")
    assert len(printed.strip().splitlines()) == 1
    assert not (place / "out.zarr").exists()


def test_other_parameters_are_told_in_options(place, capsys):
    assert main(["run", write(place / "a.toml", step=[{"use": "spectrogram", "nfft": 256}])]) == 0
    other = write(place / "b.toml", step=[{"use": "spectrogram", "nfft": 512}])
    assert main(["run", other]) == 2
    assert "pass --overwrite" in capsys.readouterr().err
    assert main(["run", other, "--overwrite"]) == 0


def test_what_failed_is_listed_and_tried_again_when_told(place, capsys):
    ra.catalog.save(ra.scan("recordings"), "catalog.json")
    made = write(place / "each.toml", input={"paths": "catalog.json"}, output={"path": "out/{stem}.wav"})
    gone = place / "recordings" / "X_20220301_000001.wav"
    gone.rename(place / "aside.wav")
    assert main(["run", made]) == 3
    printed = capsys.readouterr().out
    assert "failed    X_20220301_000001.wav: FileNotFoundError" in printed
    assert "--retry-failed" in printed
    (place / "aside.wav").rename(gone)
    assert main(["run", made]) == 3
    assert main(["run", made, "--retry-failed"]) == 0


def test_spectrogram_saves_what_it_does_as_a_recipe(place, capsys):
    command = ["spectrogram", "recordings", "-o", "a{1}.zarr", "--average", "1s", "--nfft", "256", "--median"]
    more = ["--begin", "2022-03-01T00:00:01", "--offsets", "2", "16", "--position", "48", "-4", "--no-recursive"]
    (place / "recipes").mkdir()
    assert main([*command, *more, "--png", "a.png", "--vmin", "-50", "--save-recipe", "recipes/r.toml"]) == 0
    recipe = ra.load_recipe("recipes/r.toml")
    assert recipe.steps[0].keywords.plain() == {"every": "1s", "nfft": 256, "average": "median"}
    assert recipe.picture.plain() == {"path": os.path.join("..", "a.png"), "vmin": -50.0}
    first = ra.open_zarr("a{1}.zarr").compute()
    capsys.readouterr()
    assert main(["run", "recipes/r.toml"]) == 0
    assert "were there, 0 were made" in capsys.readouterr().out
    assert ra.open_zarr("a{1}.zarr").identical(first)


def test_signals_ask_and_are_given_back():
    before = signal.getsignal(signal.SIGTERM)
    with stopping() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
        assert stop.asked == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(KeyboardInterrupt), stopping() as stop:  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        assert stop.asked == "SIGINT"
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)


@pytest.mark.skipif(os.name != "posix", reason="pipes are POSIX")
@pytest.mark.parametrize("closed", ["stdout", "stderr", "both"])
def test_a_reader_who_has_seen_enough_does_not_end_a_run(place, closed):
    (place / "X.py").write_text("def same(x):\n    return x\n")
    made = write(place / "r.toml", step=[{"use": "X.same"}], output={"path": "out/{stem}.wav"})
    (place / "recordings" / "X_20220301_000020.wav").write_text("no recording")  # exit code 3
    reader, pipe = os.pipe()
    os.close(reader)
    streams = {name: pipe if closed in (name, "both") else subprocess.PIPE for name in ("stdout", "stderr")}
    ended = subprocess.run([sys.executable, "-m", "reelarray.cli", "run", made], text=True, **streams)
    os.close(pipe)
    assert ended.returncode == 3
    assert len(list((place / "out").glob("*.wav"))) == 3
    assert not ended.stderr


@pytest.mark.skipif(os.name != "posix", reason="pipes are POSIX")
@pytest.mark.parametrize("command", ["info", "scan"])
def test_what_is_only_printed_ends_well_with_its_reader(place, command):
    reader, pipe = os.pipe()
    os.close(reader)
    arguments = {"info": ["recordings/X_20220301_000000.wav"], "scan": ["recordings", "--files", "--save", "c.json"]}
    run = [sys.executable, "-m", "reelarray.cli", command, *arguments[command]]
    ended = subprocess.run(run, stdout=pipe, stderr=subprocess.PIPE, text=True)
    os.close(pipe)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert command == "info" or (place / "c.json").exists()
    if os.path.exists("/dev/full"):
        with open("/dev/full", "w") as full:
            assert subprocess.run(run, stdout=full, stderr=subprocess.PIPE).returncode == 2


@pytest.mark.parametrize(("broken", "code"), [(False, 0), (True, 3)])
def test_a_report_that_cannot_be_kept_changes_no_exit_code(place, capsys, monkeypatch, broken, code):
    """The next job of a chain goes by it."""
    if broken:
        (place / "recordings" / "X_20220301_000020.wav").write_text("no recording")
    (place / "run").mkdir()
    monkeypatch.setenv("REELARRAY_RUN", str(place / "run"))

    def full(report, path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("reelarray.commands.runs.write_report", full)
    assert main(["run", write(place / "r.toml", output={"path": "out/{stem}.wav"})]) == code
    printed = capsys.readouterr()
    assert "the report of the run could not be written: [Errno 28]" in printed.err
    assert "3 of 3 outputs" in printed.out


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_a_unit_that_does_not_end_does_not_hold_up_the_end(place):
    (place / "endless.py").write_text(
        "import threading\nforever = threading.Event()\n"
        "def wait(x):\n    open('begun', 'w').close()\n    forever.wait()\n    return x\n"
    )
    made = write(place / "r.toml", step=[{"use": "endless.wait"}], output={"path": "out/{stem}.wav"})
    code = (
        "import sys, reelarray.driving.stop as stop\n"
        "stop.Stop.ask.__kwdefaults__['grace'] = 0.0\n"
        "from reelarray.cli.__main__ import entry\n"
        f"sys.argv = ['reel', 'run', {made!r}]\n"
        "entry()\n"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    while not (place / "begun").exists():
        assert running.poll() is None, running.stdout.read()
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    try:
        printed, _ = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 4, printed
    assert "stopped   SIGTERM: 3 are left" in printed


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_a_signal_stops_the_command_cleanly(place, name):
    (place / "slow_step.py").write_text(
        "import time\ndef wait(x):\n    open('begun', 'w').close()\n    time.sleep(0.3)\n    return x\n"
    )
    for second in range(20, 50):
        (place / "recordings" / f"X_20220301_0000{second}.wav").write_bytes(
            (place / "recordings" / "X_20220301_000000.wav").read_bytes()
        )
    made = write(place / "r.toml", step=[{"use": "slow_step.wait"}], output={"path": "out/{stem}.wav"})
    running = subprocess.Popen(
        [sys.executable, "-m", "reelarray.cli", "run", made],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while not (place / "begun").exists():
        assert running.poll() is None, running.stdout.read()
        time.sleep(0.05)
    running.send_signal(getattr(signal, name))
    printed, _ = running.communicate(timeout=60)
    assert running.returncode == 4, printed
    assert f"stopped   {'by Ctrl-C' if name == 'SIGINT' else name}" in printed
    assert not list((place / "out").rglob("run-*"))
    (place / "slow_step.py").write_text("def wait(x):\n    return x\n")
    again = subprocess.run([sys.executable, "-m", "reelarray.cli", "run", made], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "33 of 33 outputs" in again.stdout
