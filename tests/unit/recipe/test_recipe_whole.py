"""All recordings as one array in one store: the same as write_zarr makes; failures, stops, pictures, reports."""

from __future__ import annotations

import json

import dask
import pandas as pd
import pytest
from waves import files_below, record

import reelarray as ra
from reelarray.driving import Stop
from reelarray.recipe import Recipe, Report, run_recipe
from reelarray.recipe.report import recording_table
from reelarray.sinks.journal import OutputExists

STEP = {"use": "spectrogram", "nfft": 256}


def recipe(tmp_path, path="out.zarr", steps=(STEP,), **more):
    content = {"input": {"paths": "recordings", "on_bad": "skip"} | more.pop("input", {}), "step": list(steps)}
    return Recipe.from_dict(content | {"output": {"path": path} | more.pop("output", {})} | more, folder=tmp_path)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr("reelarray.plan.LARGEST_BLOCK", 16 * 129 * 4)
    with dask.config.set(scheduler="synchronous"):
        yield


def test_the_store_is_that_of_write_zarr(folder, tmp_path):
    report = run_recipe(recipe(tmp_path, output={"encoding": "db16", "compression": "zstd"}))
    assert (report.ending, report.exit_code, report.failed, report.left) == ("complete", 0, 0, 0)
    assert report.recordings["state"].tolist() == ["done"] * 4
    x = ra.spectrogram(ra.open_recordings(folder), nfft=256)
    ra.write_zarr(x, tmp_path / "expected.zarr", encoding="db16", compression="zstd")
    assert files_below(tmp_path / "out.zarr") == files_below(tmp_path / "expected.zarr")
    again = run_recipe(recipe(tmp_path, output={"encoding": "db16", "compression": "zstd"}))
    assert (again.done, again.skipped, again.resumes) == (0, report.done, 1)
    assert again.recordings["state"].tolist() == ["skipped"] * 4


def test_a_store_of_other_parameters_is_refused(folder, tmp_path):
    run_recipe(recipe(tmp_path))
    with pytest.raises(OutputExists, match="nfft"):
        run_recipe(recipe(tmp_path, steps=[STEP | {"nfft": 512}]))
    assert run_recipe(recipe(tmp_path, steps=[STEP | {"nfft": 512}]), overwrite=True).ending == "complete"


def test_constants_of_own_steps_are_parameters_too(folder, tmp_path):
    (tmp_path / "gain_step.py").write_text(
        "def gain(x, *, factor: float):\n    return (x * factor).assign_attrs(x.attrs)\n"
    )
    run_recipe(recipe(tmp_path, steps=[{"use": "gain_step.gain", "factor": 2.0}]))
    with pytest.raises(OutputExists, match="own_steps"):
        run_recipe(recipe(tmp_path, steps=[{"use": "gain_step.gain", "factor": 3.0}]))


def test_a_recording_that_goes_fails_alone_and_is_named(folder, tmp_path, small_blocks):
    run_recipe(recipe(tmp_path, "undisturbed.zarr"))
    ra.catalog.save(ra.scan(folder), tmp_path / "catalog.json")
    made = recipe(tmp_path, input={"paths": "catalog.json"})
    gone = folder / "X_20220301_000010.wav"
    gone.rename(tmp_path / "aside.wav")
    report = run_recipe(made)
    assert (report.ending, report.exit_code, report.left) == ("failures", 3, 0)
    assert report.failed >= 1
    assert report.done == report.total - report.failed
    assert report.recordings.set_index("path")["state"].to_dict() == {
        str(p): "done" for p in sorted(folder.iterdir())
    } | {str(gone): "failed"}
    assert set(report.units["error"]) == {"FileNotFoundError"}
    (tmp_path / "aside.wav").rename(gone)
    earlier = run_recipe(made)
    assert (earlier.done, earlier.failed) == (0, report.failed)
    assert earlier.recordings["state"].tolist().count("failed") == 1
    whole = run_recipe(made, retry_failed=True)
    assert (whole.ending, whole.done) == ("complete", report.failed)
    assert ra.open_zarr(tmp_path / "out.zarr").identical(ra.open_zarr(tmp_path / "undisturbed.zarr"))


def test_a_stop_leaves_the_rest_for_later(folder, tmp_path, small_blocks):
    made = recipe(tmp_path)
    run_recipe(recipe(tmp_path, "undisturbed.zarr"))
    stop = Stop(environ={})

    def ask(done, *_):
        if done == 3:
            stop.ask("deadline")

    report = run_recipe(made, stop=stop, progress=ask)
    assert (report.ending, report.why, report.exit_code) == ("stopped", "deadline", 4)
    assert report.done >= 3
    assert report.left == report.total - report.done > 0
    assert set(report.recordings["state"]) == {"left"}
    rest = run_recipe(made)
    assert (rest.ending, rest.skipped, rest.done, rest.resumes) == ("complete", report.done, report.left, 1)
    assert files_below(tmp_path / "out.zarr") == files_below(tmp_path / "undisturbed.zarr")


def test_a_picture_is_drawn_of_the_complete_store(folder, tmp_path):
    made = recipe(tmp_path, picture={"path": "out.png", "vmin": -60, "vmax": 0, "width_px": 800})
    run_recipe(made)
    ra.save_spectrogram(ra.open_zarr(tmp_path / "out.zarr"), tmp_path / "e.png", vmin=-60, vmax=0, width_px=800)
    assert (tmp_path / "out.png").read_bytes() == (tmp_path / "e.png").read_bytes()
    (tmp_path / "out.png").unlink()
    assert run_recipe(made).done == 0
    assert (tmp_path / "out.png").is_file()
    report = run_recipe(recipe(tmp_path, "alone.png", output={"vmin": -60, "vmax": 0, "width_px": 800}))
    assert (report.ending, report.done) == ("complete", 1)
    assert (tmp_path / "alone.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("picture", "steps", "told"),
    [
        ({"path": "none/a.png"}, (STEP,), "folder does not exist"),
        ({"path": "a.png"}, (), "shows \\(time, frequency\\)"),
    ],
)
def test_what_cannot_be_drawn_is_told_before_anything_is_written(folder, tmp_path, picture, steps, told):
    with pytest.raises(ra.RecordingError, match=told):
        run_recipe(recipe(tmp_path, steps=steps, picture=picture))
    assert not (tmp_path / "out.zarr").exists()


def test_files_without_a_step_are_converted(folder, tmp_path):
    run_recipe(recipe(tmp_path, steps=()))
    assert ra.open_zarr(tmp_path / "out.zarr").identical(ra.open_recordings(folder).compute())


def test_a_plan_touches_nothing_and_says_what_is_there(folder, tmp_path):
    record(folder / "X_20220301_000030.wav", rate=4000)
    made = recipe(tmp_path, input={"rate": 8000})
    report = run_recipe(made, dry_run=True)
    assert not (tmp_path / "out.zarr").exists()
    told = "\n".join(report.plan)
    assert "4 files, 4.0 s at 8,000 Hz, 1 gap," in told
    assert "left out  X_20220301_000030.wav: rate 4000 Hz" in told
    assert "step 1    spectrogram(nfft=256): 247 time x 129 frequency [Hz-1], float32" in told
    assert (report.ending, report.exit_code, report.done) == ("planned", 0, 0)
    assert report.left == report.total > 0
    run_recipe(made)
    assert run_recipe(made, dry_run=True).left == 0


def test_paths_may_have_braces(folder, tmp_path):
    run_recipe(recipe(tmp_path, "a{{1}}.zarr"))
    assert (tmp_path / "a{1}.zarr").is_dir()


@pytest.mark.parametrize(
    ("ending", "failed", "left_out", "code"),
    [
        ("complete", 0, None, 0),
        ("complete", 0, "rate 4000 Hz, 8000 was asked for", 0),
        ("complete", 0, "truncated: 3 of 4", 3),
        ("failures", 2, None, 3),
        ("stopped", 2, None, 4),
        ("gave up", 2, "truncated: 3 of 4", 5),
    ],
)
def test_exit_codes(ending, failed, left_out, code):
    rows = [] if left_out is None else [{"path": "a.wav", "state": "left out", "error": left_out}]
    report = Report("out.zarr", ending, done=1, failed=failed, recordings=recording_table(rows))
    assert report.exit_code == code
    assert json.loads(json.dumps(report.to_dict()))["exit_code"] == code
    assert ending in str(report)
    assert (left_out is None) or "a.wav" in str(report)


def test_long_tables_are_cut_in_text():
    rows = [{"path": f"{k}.wav", "state": "failed", "error": "<Oh>"} for k in range(50)]
    report = Report("out.zarr", "failures", failed=50, recordings=recording_table(rows))
    assert str(report).count(".wav") == 20
    assert "30 more" in str(report)
    assert "<Oh>" not in report._repr_html_()
    assert isinstance(report.recordings, pd.DataFrame)
