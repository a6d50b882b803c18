"""One output a recording: the same as the functions make, whatever was in the way, and nothing else is touched."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace

import dask
import numpy as np
import pytest
from waves import RATE, files_below, record

import reelarray as ra
from reelarray.driving import Stop
from reelarray.recipe import Recipe, run_recipe
from reelarray.recipe.outputs import refusals
from reelarray.recipe.run import plan_of
from reelarray.recipe.terms import Terms
from reelarray.sinks.journal import Journal, OutputExists, OutputHeld

STEP = {"use": "power_spectrum", "every": "1s", "nfft": 256}


def recipe(tmp_path, path="spectra/{stem}.npz", steps=(STEP,), **more):
    content = {"input": {"paths": "recordings", "on_bad": "skip"} | more.pop("input", {}), "step": list(steps)}
    return Recipe.from_dict(content | {"output": {"path": path} | more.pop("output", {})} | more, folder=tmp_path)


def counts(report):
    return report.ending, report.done, report.skipped, report.failed, report.left


def spectrum(path):
    return ra.power_spectrum(ra.open_recording(path), every="1s", nfft=256)


@pytest.mark.parametrize("suffix", [".npz", ".zarr", ".png", ".wav", ".flac"])
def test_each_recording_becomes_what_the_functions_make_of_it(folder, tmp_path, suffix):
    sound = suffix in (".wav", ".flac")
    output = {"dtype": "int16", "scale": 1.0} if sound else {}
    made = recipe(tmp_path, f"out/{{start:%H}}/{{stem}}{suffix}", steps=() if sound else (STEP,), output=output)
    report = run_recipe(made)
    assert counts(report) == ("complete", 4, 0, 0, 0)
    assert report.exit_code == 0
    assert sorted(p.name for p in (tmp_path / "out" / "00").iterdir()) == [
        f"{p.stem}{suffix}" for p in sorted(folder.iterdir())
    ]
    for path in folder.iterdir():
        out = tmp_path / "out" / "00" / f"{path.stem}{suffix}"
        if sound:
            np.testing.assert_array_equal(ra.open_recording(out).values, ra.open_recording(path).values)
        elif suffix == ".png":
            ra.save_spectrogram(spectrum(path), tmp_path / "expected.png")
            assert out.read_bytes() == (tmp_path / "expected.png").read_bytes()
        else:
            got = ra.read_npz(out) if suffix == ".npz" else ra.open_zarr(out)
            assert got.identical(spectrum(path).compute())
    before = files_below(tmp_path / "out")
    assert counts(run_recipe(made)) == ("complete", 0, 4, 0, 0)
    assert files_below(tmp_path / "out") == before


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_outputs_do_not_depend_on_who_makes_them(folder, tmp_path, scheduler):
    run_recipe(recipe(tmp_path, "a/{stem}.npz"))
    with dask.config.set(scheduler=scheduler, num_workers=3):
        run_recipe(recipe(tmp_path, "b/{stem}.npz"))
    assert files_below(tmp_path / "a") == files_below(tmp_path / "b")


def test_recordings_may_differ_and_need_no_time(folder, tmp_path):
    record(folder / "stereo.wav", rate=2 * RATE, channels=2)
    report = run_recipe(recipe(tmp_path, steps=[{"use": "spectrogram", "nfft": 256}]))
    assert counts(report) == ("complete", 5, 0, 0, 0)
    got = ra.read_npz(tmp_path / "spectra" / "stereo.npz")
    assert (got.sizes["channel"], got.sizes["frequency"], got.time.dtype.kind) == (2, 129, "m")


def test_what_is_missing_is_made_and_nothing_else(folder, tmp_path):
    made = recipe(tmp_path)
    run_recipe(made)
    undisturbed = files_below(tmp_path / "spectra")
    (tmp_path / "spectra" / "X_20220301_000001.npz").unlink()
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "spectra").glob("*.npz")}
    record(folder / "X_20220301_000020.wav", seed=20)
    report = run_recipe(made)
    assert counts(report) == ("complete", 2, 3, 0, 0)
    assert report.resumes == 1
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    assert undisturbed.items() <= files_below(tmp_path / "spectra").items()


def test_a_changed_recording_is_made_again_alone(folder, tmp_path):
    made = recipe(tmp_path)
    run_recipe(made)
    record(folder / "X_20220301_000001.wav", seed=77)
    os.utime(folder / "X_20220301_000001.wav", ns=(1, 1))
    report = run_recipe(made)
    assert counts(report) == ("complete", 1, 3, 0, 0)
    assert report.units.set_index("unit").loc["X_20220301_000001.npz", "state"] == "done"
    got = ra.read_npz(tmp_path / "spectra" / "X_20220301_000001.npz")
    assert got.identical(spectrum(folder / "X_20220301_000001.wav").compute())


def test_changed_parameters_are_never_mixed_in(folder, tmp_path):
    run_recipe(recipe(tmp_path))
    before = files_below(tmp_path / "spectra")
    other = recipe(tmp_path, steps=[STEP | {"nfft": 512}])
    with pytest.raises(OutputExists, match="step 1 nfft: 256 there, 512 now"):
        run_recipe(other)
    assert files_below(tmp_path / "spectra") == before
    assert counts(run_recipe(other, overwrite=True)) == ("complete", 4, 0, 0, 0)
    assert counts(run_recipe(other)) == ("complete", 0, 4, 0, 0)
    with pytest.raises(OutputExists):
        run_recipe(recipe(tmp_path))


@pytest.mark.parametrize(
    "more", [{"run": {"retries": 3}}, {"cluster": {"kind": "local"}}, {"input": {"chunks": 1000}}], ids=str
)
def test_what_changes_no_result_changes_no_parameters(folder, tmp_path, more):
    run_recipe(recipe(tmp_path, steps=[STEP | {"block": 3}]))
    assert counts(run_recipe(recipe(tmp_path, **more))) == ("complete", 0, 4, 0, 0)


def test_outputs_of_two_recipes_lie_side_by_side(folder, tmp_path):
    run_recipe(recipe(tmp_path))
    assert counts(run_recipe(recipe(tmp_path, "spectra/{stem}.zarr", steps=[STEP | {"nfft": 512}]))).count(4) == 1
    assert counts(run_recipe(recipe(tmp_path))) == ("complete", 0, 4, 0, 0)


def test_files_of_others_are_left_alone(folder, tmp_path):
    (tmp_path / "spectra").mkdir()
    thesis = tmp_path / "spectra" / "X_20220301_000001.npz"
    thesis.write_text("mine")
    with pytest.raises(OutputExists, match="X_20220301_000001"):
        run_recipe(recipe(tmp_path))
    assert thesis.read_text() == "mine"
    assert list(files_below(tmp_path / "spectra")) == [thesis.name]
    assert counts(run_recipe(recipe(tmp_path), overwrite=True)) == ("complete", 4, 0, 0, 0)
    assert ra.read_npz(thesis).identical(spectrum(folder / "X_20220301_000001.wav").compute())


def test_names_that_meet_are_an_error_before_anything_is_written(folder, tmp_path):
    record(folder / "again" / "X_20220301_000001.wav", seed=5)
    with pytest.raises(ra.RecipeError, match=r"would both become .*000001\.npz"):
        run_recipe(recipe(tmp_path, input={"overlap": "first"}))
    assert not (tmp_path / "spectra").exists()
    assert counts(run_recipe(recipe(tmp_path, "spectra/{folder}_{stem}.npz"))) == ("complete", 5, 0, 0, 0)
    folder.joinpath("again", "X_20220301_000001.wav").rename(folder / "timeless.wav")
    with pytest.raises(ra.RecipeError, match=r"timeless\.wav: its start is not known"):
        run_recipe(recipe(tmp_path, "b/{start}.npz"))


def test_outputs_among_the_recordings_are_no_input(folder, tmp_path):
    made = recipe(tmp_path, "recordings/{stem}_low.wav", steps=[{"use": "low_pass", "cutoff": 1000.0}])
    assert counts(run_recipe(made)) == ("complete", 4, 0, 0, 0)
    assert counts(run_recipe(made)) == ("complete", 0, 4, 0, 0)
    assert len(list(folder.glob("*.wav"))) == 8


def test_begin_and_end_choose_recordings_and_cut_them(folder, tmp_path):
    bounds = {"begin": "2022-03-01T00:00:01.5", "end": "2022-03-01T00:00:03"}
    report = run_recipe(recipe(tmp_path, steps=[{"use": "spectrogram", "nfft": 256}], input=bounds))
    assert counts(report) == ("complete", 2, 0, 0, 0)
    assert report.exit_code == 0, "nobody wanted the others"
    got = ra.read_npz(tmp_path / "spectra" / "X_20220301_000001.npz")
    whole = ra.spectrogram(ra.open_recording(folder / "X_20220301_000001.wav", begin=bounds["begin"]), nfft=256)
    assert got.identical(whole.compute())
    with pytest.raises(ra.RecordingError, match="no recording lies in"):
        run_recipe(recipe(tmp_path, "b/{stem}.npz", input={"begin": "2023-01-01"}))


# ---- failures ------------------------------------------------------------------------------------------------------


def poison(path):
    """A recording whose header is fine and whose samples are not."""
    shutil.copy(path, path.with_suffix(".bak"))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    os.utime(path, ns=(2, 2))


def test_a_poisoned_recording_fails_alone_and_is_tried_again_when_it_has_changed(folder, tmp_path, monkeypatch):
    bad = folder / "X_20220301_000001.wav"
    ra.catalog.save(ra.scan(folder), tmp_path / "catalog.json")
    from_catalog = recipe(tmp_path, input={"paths": "catalog.json"})
    aside = tmp_path / "aside.wav"
    bad.rename(aside)
    report = run_recipe(from_catalog)
    assert counts(report) == ("failures", 3, 0, 1, 0)
    assert report.exit_code == 3
    wrong = report.recordings[report.recordings["state"] == "failed"]
    assert wrong["path"].tolist() == [str(bad)]
    assert "FileNotFoundError" in wrong["error"].iloc[0]
    assert "X_20220301_000001.wav" in str(report)
    assert "X_20220301_000001.wav" in report._repr_html_()
    assert not list((tmp_path / "spectra" / ".reelarray").rglob("run-*"))
    aside.rename(bad)
    again = run_recipe(from_catalog)
    assert counts(again) == ("failures", 0, 3, 1, 0), "not tried again with the same fingerprint"
    assert again.units["error"].tolist().count("FileNotFoundError") == 1
    assert counts(run_recipe(from_catalog, retry_failed=True)) == ("complete", 1, 3, 0, 0)
    assert counts(run_recipe(from_catalog)) == ("complete", 0, 4, 0, 0)


def test_a_truncated_recording_is_left_out_and_listed(folder, tmp_path):
    poison(folder / "X_20220301_000001.wav")
    report = run_recipe(recipe(tmp_path))
    assert counts(report) == ("complete", 3, 0, 0, 0)
    assert report.exit_code == 3
    assert report.left_out["path"].tolist() == [str(folder / "X_20220301_000001.wav")]
    assert "truncated" in report.left_out["error"].iloc[0]


def test_a_run_in_which_everything_fails_ends_soon(folder, tmp_path):
    for second in range(20, 50):
        record(folder / f"X_20220301_0000{second}.wav", seconds=0.1)
    (tmp_path / "broken_step.py").write_text("def fail(x):\n    raise RuntimeError('no licence')\n")
    made = recipe(tmp_path, steps=[{"use": "broken_step.fail"}], run={"most_failures": 4})
    with dask.config.set(scheduler="synchronous"):
        report = run_recipe(made)
    assert (report.ending, report.exit_code) == ("gave up", 5)
    assert "no licence" in report.why
    assert report.failed == 4
    assert report.left == report.total - 4


def test_a_run_that_is_asked_to_stop_goes_on_later(folder, tmp_path):
    made = recipe(tmp_path)
    stop = Stop(environ={})

    def ask(done, *_):
        if done == 1:
            stop.ask("SIGTERM")

    with dask.config.set(scheduler="synchronous"):
        report = run_recipe(made, stop=stop, progress=ask)
    assert counts(report) == ("stopped", 1, 0, 0, 3)
    assert (report.why, report.exit_code) == ("SIGTERM", 4)
    assert counts(run_recipe(made)) == ("complete", 3, 1, 0, 0)
    run_recipe(recipe(tmp_path, "undisturbed/{stem}.npz"))
    assert files_below(tmp_path / "spectra") == files_below(tmp_path / "undisturbed")


@pytest.mark.parametrize("when", ["before marking", "after marking", "before renaming"])
def test_a_driver_that_is_killed_anywhere_loses_nothing_and_leaves_nothing(folder, tmp_path, when):
    run_recipe(recipe(tmp_path, "undisturbed/{stem}.npz"))
    program = f"""
        import os, dask
        from reelarray.recipe import Recipe, run_recipe, outputs
        from reelarray.sinks import faults
        seen = []
        def checkpoint(where):
            seen.append(where)
            if seen.count({when!r}) == 3: os._exit(9)
        faults.checkpoint = checkpoint
        sync = outputs.sync_folder
        rename = os.replace
        def replace(a, b):
            if "run-" in str(a): checkpoint("before renaming")
            rename(a, b)
        os.replace = replace
        dask.config.set(scheduler="synchronous")
        made = Recipe.from_dict(
            {recipe(tmp_path).to_dict()!r}, folder={str(tmp_path)!r})
        run_recipe(made)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert killed.returncode == 9
    report = run_recipe(recipe(tmp_path))
    assert report.ending == "complete"
    assert report.done <= 4 - 1
    assert report.resumes == 1
    assert files_below(tmp_path / "spectra") == files_below(tmp_path / "undisturbed")
    left = [p for p in tmp_path.rglob("*") if "part" in p.name or p.name.startswith(("run-", "dead-"))]
    assert not left


def test_a_second_driver_is_told_who_is_first(folder, tmp_path):
    made = recipe(tmp_path)
    run_recipe(made)
    journal = next((tmp_path / "spectra" / ".reelarray").iterdir())
    holder = Journal.hold(journal, tmp_path / "spectra")
    try:
        with pytest.raises(OutputHeld, match=f"process {os.getpid()}"):
            run_recipe(made)
    finally:
        holder.close()


def test_a_full_disk_is_nobody_s_fault(folder, tmp_path, monkeypatch):
    made = recipe(tmp_path)

    def full(path, members, compress):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("reelarray.sinks.npz._save", full)
        with pytest.raises(ra.Unwritable, match="No space left"):
            run_recipe(made)
    assert not files_below(tmp_path / "spectra")
    assert counts(run_recipe(made)) == ("complete", 4, 0, 0, 0)


@pytest.mark.parametrize("place", ["recordings", "recordings/deeper"])
def test_a_file_that_a_step_misses_is_the_recording_s_fault(folder, tmp_path, place):
    """Though it would lie beside the output: the run goes on, and keeps in mind what failed."""
    (tmp_path / "sidecar_step.py").write_text(
        textwrap.dedent("""
        import os
        import dask.array as da

        def scaled(x, *, folder: str):
            name = str(x.time.values[0])[17:19] + ".txt"

            def scale(block):  # read when samples are
                return block * float(open(os.path.join(folder, name)).read()) if block.size else block

            return x.copy(data=da.map_blocks(scale, x.data, dtype=x.dtype, meta=x.data._meta))
        """)
    )
    (tmp_path / place).mkdir(exist_ok=True)
    for second in ("00", "01", "10"):
        (tmp_path / place / f"{second}.txt").write_text("2.0")
    step = {"use": "sidecar_step.scaled", "folder": str(tmp_path / place)}
    made = recipe(tmp_path, "recordings/{stem}.npz", steps=[step], input={"pattern": "*.wav"})
    report = run_recipe(made)
    assert counts(report) == ("failures", 3, 0, 1, 0)
    assert report.units.query("state == 'failed'")["error"].tolist() == ["FileNotFoundError"]
    assert counts(run_recipe(made)) == ("failures", 0, 3, 1, 0)
    (tmp_path / place / "02.txt").write_text("2.0")
    assert counts(run_recipe(made, retry_failed=True)) == ("complete", 1, 3, 0, 0)


def test_what_the_disk_says_of_the_output_and_what_it_says_of_other_files(tmp_path):
    out, temporary = tmp_path / "out" / "a.npz", tmp_path / "out" / ".reelarray" / "run-1"
    ours = [out, out.parent, temporary, temporary / "x" / "a.npz", out.parent / ".a.npz.12ab.part"]
    for named in ours:
        for number in (errno.EACCES, errno.ENOENT, errno.ENOSPC):
            with pytest.raises(ra.Unwritable), refusals(out, temporary):
                raise OSError(number, "refused", str(named))
    for named in (out.parent / "a.txt", out.parent / ".b.npz.12ab.part", temporary.parent / "other", 3):
        for number in (errno.EACCES, errno.ENOENT, errno.ENOSPC):
            with pytest.raises(OSError, match="refused") as caught, refusals(out, temporary):
                raise OSError(number, "refused", named)
            assert not isinstance(caught.value, ra.Unwritable)
    with pytest.raises(ra.Unwritable), refusals(out, temporary):
        raise OSError(errno.EDQUOT, "refused")
    with pytest.raises(FileNotFoundError), refusals(out, temporary):
        raise FileNotFoundError(errno.ENOENT, "refused")


def test_workers_compute_with_the_engine_of_the_driver(folder, tmp_path, monkeypatch):
    """They choose for themselves elsewhere: two engines would mix in one output."""
    monkeypatch.setenv("REELARRAY_ENGINE", "scipy")
    plan = plan_of(recipe(tmp_path, "out/{stem}.zarr", steps=[{"use": "spectrogram", "nfft": 256}]))
    sent = []

    def send(units, todo, **how):
        sent.append(units.work)
        return True

    monkeypatch.setattr("reelarray.recipe.each.drive", send)
    plan.run(Terms())
    (unit,) = (unit for unit in plan.units.values() if "000000" in unit.name)

    def engine_of(work):
        (tmp_path / "scratch").mkdir(exist_ok=True)
        replace(work, temporary=tmp_path / "scratch")(unit.row, str(tmp_path / "out" / unit.name))
        return ra.open_zarr(tmp_path / "out" / unit.name).attrs["engine"]

    monkeypatch.setenv("REELARRAY_ENGINE", "numba")  # as a worker has it
    assert engine_of(sent[0]) == "scipy"
    monkeypatch.delenv("REELARRAY_ENGINE")
    monkeypatch.setattr("reelarray.signal.engines.installed", lambda: False)
    with pytest.raises(ra.MissingPackage, match=f"'numba' of its driver, on {platform.node()}"):
        engine_of(replace(sent[0], engine="numba"))


def test_a_plan_touches_nothing(folder, tmp_path):
    made = recipe(tmp_path)
    before = sorted(p for p in tmp_path.rglob("*") if "cache" not in p.parts)
    report = run_recipe(made, dry_run=True)
    assert sorted(p for p in tmp_path.rglob("*") if "cache" not in p.parts) == before
    assert counts(report) == ("planned", 0, 0, 0, 4)
    told = "\n".join(report.plan)
    assert "4 recordings, 4.0 s at 8,000 Hz" in told
    assert "step 1    power_spectrum(every='1s', nfft=256): 1 time x 129 frequency [Hz-1], float32" in told
    assert "0 in place, 4 to do, 0 failed earlier" in told
    run_recipe(made)
    assert "4 in place, 0 to do" in run_recipe(made, dry_run=True).plan[-1]


# ---- workers -------------------------------------------------------------------------------------------------------


def test_workers_know_steps_beside_the_recipe_and_one_that_kills_them_fails_alone(folder, tmp_path):
    from distributed import Client, LocalCluster

    (tmp_path / "beside_for_workers.py").write_text(
        "import os\n"
        "def perhaps(x):\n"
        "    if str(x.time.values[0]).endswith(':01.000000000'):\n"
        "        os._exit(11)\n"
        "    return x\n"
    )
    made = recipe(tmp_path, steps=[{"use": "beside_for_workers.perhaps"}, STEP])
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0) as cluster,
        Client(cluster) as client,
    ):
        report = run_recipe(made, client=client)
        assert counts(report) == ("failures", 3, 0, 1, 0)
        assert report.units[report.units["state"] == "failed"]["unit"].tolist() == ["X_20220301_000001.npz"]
        assert counts(run_recipe(made, cluster=cluster)) == ("failures", 0, 3, 1, 0)
    folder.joinpath("X_20220301_000001.wav").unlink()
    run_recipe(recipe(tmp_path, "plain/{stem}.npz"))
    got = ra.read_npz(tmp_path / "spectra" / "X_20220301_000002.npz")
    assert got.attrs.pop("own_steps") == [{"use": "beside_for_workers.perhaps"}]
    assert got.identical(ra.read_npz(tmp_path / "plain" / "X_20220301_000002.npz"))


def test_a_time_limit_needs_workers(folder, tmp_path):
    with pytest.raises(ra.RecipeError, match="run on workers"):
        run_recipe(recipe(tmp_path, run={"time_limit": 60}))
