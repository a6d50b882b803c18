"""Recipes: what they may say, checked before anything is opened; what they mean, the same as the functions."""

from __future__ import annotations

import dataclasses
import os
import sys

import numpy as np
import pytest
import xarray as xr
from waves import RATE

import reelarray as ra
from reelarray.recipe import Recipe, load_recipe
from reelarray.recipe.template import template

INPUT = {"paths": "recordings"}
OUTPUT = {"path": "out.zarr"}


def made(**tables):
    content = {"input": INPUT, "output": OUTPUT} | tables
    return {name: table for name, table in content.items() if table is not None}


BAD = [
    ({"inptu": {}}, ["'inptu'", "did you mean 'input'?"]),
    ({"steps": []}, ["'steps'", "did you mean 'step'?"]),
    ({"input": None}, ["no table [input]"]),
    ({"output": None}, ["no table [output]"]),
    ({"input": "recordings"}, ["'input' is a str", "[input]"]),
    ({"step": {"use": "average"}}, ["[[step]]"]),
    ({"step": ["average"]}, ["[[step]] 1 is a str"]),
    ({"step": [{"nfft": 512}]}, ["[[step]] 1", "use = ", "nfft"]),
    ({"step": [{"use": "average", "every": "1s"}, {"use": "averge"}]}, ["[[step]] 2", "did you mean 'average'?"]),
    ({"step": [{"use": "write_zarr"}]}, ["no transform 'write_zarr'"]),
    ({"step": [{"use": "open_recordings"}]}, ["no transform"]),
    ({"step": [{"use": "power_spectrum", "nff": 512}]}, ["[[step]] 1, power_spectrum", "did you mean 'nfft'?"]),
    ({"step": [{"use": "power_spectrum", "nfft": "512"}]}, ["nfft='512'", "a whole number"]),
    ({"step": [{"use": "power_spectrum", "nfft": True}]}, ["nfft=True", "a whole number"]),
    ({"step": [{"use": "power_spectrum", "scaling": "dense"}]}, ["scaling='dense'", "'density' or 'spectrum'"]),
    ({"step": [{"use": "power_spectrum", "x": 1}]}, ["unknown key 'x'"]),
    ({"step": [{"use": "average"}]}, ["every is missing"]),
    ({"step": [{"use": "no_such_module.despike"}]}, ["no module 'no_such_module'", "beside the recipe"]),
    ({"step": [{"use": "os.path.joinn"}]}, ["has no 'joinn'", "'join'"]),
    ({"step": [{"use": "os:sep"}]}, ["is a str", "function"]),
    ({"step": [{"use": "os.getpid"}]}, ["takes no array"]),
    ({"step": [{"use": "my steps.despike"}]}, ["no name of a function"]),
    ({"input": {}}, ["[input] names no files"]),
    ({"input": {"paths": []}}, ["[input] names no files"]),
    ({"input": {"path": "recordings"}}, ["unknown key 'path'", "did you mean 'paths'?"]),
    ({"input": INPUT | {"on_bad": "ignore"}}, ["on_bad='ignore'", "'skip'"]),
    ({"input": INPUT | {"channel": "left"}}, ["channel='left'"]),
    ({"input": INPUT | {"format": "wave"}}, ["format='wave'", "did you mean 'wav'?"]),
    ({"input": INPUT | {"format": "wav", "dtypes": "<i2"}}, ["unknown key 'dtypes'", "'dtype'"]),
    ({"input": {"paths": ["a.json", "recordings"]}}, ["saved catalog", "alone"]),
    ({"input": {"paths": "a.json", "pattern": "*.wav"}}, ["pattern", "saved catalog"]),
    ({"output": {}}, ["[output] has no path"]),
    ({"output": {"path": "spectra"}}, ["'spectra'", ".zarr"]),
    ({"output": {"path": "spectra.npz"}}, ["placeholder"]),
    ({"output": {"path": "sound.wav"}}, ["placeholder", "{stem}.wav"]),
    ({"output": {"path": "{stm}.npz"}}, ["{stm}", "did you mean {stem}?"]),
    ({"output": {"path": "{}.npz"}}, ["{}"]),
    ({"output": {"path": "{stem:3}.npz"}}, ["{stem}", "no format"]),
    ({"output": {"path": "{start:3}.npz"}}, ["strftime"]),
    ({"output": {"path": "{stem.npz"}}, ["{{"]),
    ({"output": {"path": "{stem}.npz", "encoding": "db16"}}, ["[output] of .npz", "unknown key 'encoding'"]),
    ({"output": {"path": "{stem}.npz", "layout": "osmosis"}}, ["layout='osmosis'", "'osmose'"]),
    ({"output": OUTPUT | {"overwrite": True}}, ["unknown key 'overwrite'"]),
    ({"output": OUTPUT | {"compression": "gzip"}}, ["compression='gzip'", "'zstd'"]),
    ({"output": OUTPUT | {"mode": "rw"}}, ["mode='rw'", "octal"]),
    ({"output": {"path": "{stem}.png", "vmin": 3.0, "vmax": 1}}, ["vmin=3"]),
    ({"picture": {"path": "a.jpg"}}, ["a.jpg", ".png"]),
    ({"picture": {"path": "a.png", "vmni": 3}}, ["unknown key 'vmni'", "'vmin'"]),
    ({"picture": {"path": "a.png"}, "output": {"path": "{stem}.zarr"}}, ["[picture]", "{stem}.png"]),
    ({"run": {"retry": 1}}, ["[run]", "did you mean 'retries'?"]),
    ({"run": {"retries": -1}}, ["retries=-1"]),
    ({"run": {"time_limit": 0}}, ["time_limit=0"]),
    ({"run": {"on_error": "raise"}}, ["unknown key 'on_error'"]),
    ({"cluster": {"knd": "slurm"}}, ["[cluster]", "did you mean 'kind'?"]),
    ({"cluster": {"kind": "slrum"}}, ["kind='slrum'", "'slurm'"]),
    ({"cluster": {"kind": "slurm", "cores": 0}}, ["[cluster]", "cores=0"]),
]


@pytest.mark.parametrize(("tables", "told"), BAD, ids=[" ".join(told) for _, told in BAD])
def test_what_cannot_be_is_refused_with_what_can(tables, told, tmp_path, monkeypatch):
    monkeypatch.setattr("reelarray.catalog.scan", None)
    monkeypatch.setattr("reelarray.recipe.inputs.open_recordings", None)
    with pytest.raises(ra.RecipeError) as raised:
        Recipe.from_dict(made(**tables), folder=tmp_path)
    for words in told:
        assert words in str(raised.value)
    assert "\n" not in str(raised.value)


GOOD = [
    {},
    {"step": []},
    {"step": [{"use": "power_spectrum", "every": "60s", "detrend": False}, {"use": "to_decibel", "floor": -20}]},
    {"step": [{"use": "level_quantiles", "quantile": [0.5, 0.9]}]},
    {"step": [{"use": "xarray.DataArray.isel", "channel": 0}]},
    {"step": [{"use": "numpy:abs"}]},
    {"input": {"paths": ["a", "b/*.wav", "s3://bucket/c"], "timestamp": ["%Y", "%y"], "offsets": [0, 3]}},
    {"input": INPUT | {"format": "raw", "rate": 48000, "dtype": "<i2", "channels": 2}},
    {"input": INPUT | {"zero_tail": True, "position": [48.4, -4.5], "cache": False}},
    {"input": {"paths": "a.json", "tolerance": 0.5}},
    {"output": {"path": "{start:%Y/%m}/{folder}_{stem}.flac", "dtype": "int16", "scale": 1.0}},
    {"output": OUTPUT | {"chunk": {"time": 60, "frequency": 513}, "keep_bits": 10, "group": "0", "umask": "002"}},
    {"output": {"path": "a{{1}}.zarr"}},
    {"picture": {"path": "a.png", "vmin": 20, "log_frequency": True, "width_px": 800}},
    {"run": {"retries": 0, "time_limit": 60, "most_failures": 5}},
    {"cluster": {"kind": "slurm", "preset": "ours", "jobs": 3, "walltime": "12:00:00", "prologue": ["module load x"]}},
]


@pytest.mark.parametrize("tables", GOOD, ids=lambda tables: str(tables)[:60])
def test_recipes_are_written_and_read_as_equal_ones(tables, tmp_path):
    recipe = Recipe.from_dict(made(**tables), folder=tmp_path)
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.to_toml())
    again = load_recipe(path)
    assert again == recipe
    assert hash(again) == hash(recipe)
    assert Recipe.from_dict(recipe.to_dict(), folder=tmp_path) == recipe
    recipe.save(path)
    assert load_recipe(path) == recipe


def test_a_recipe_is_frozen_and_differs_by_what_it_says(tmp_path):
    recipe = Recipe.from_dict(made(), folder=tmp_path)
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.output = recipe.input
    others = [made(output={"path": "b.zarr"}), made(run={"retries": 2}), made(step=[{"use": "to_decibel"}])]
    assert all(Recipe.from_dict(other, folder=tmp_path) != recipe for other in others)
    assert Recipe.from_dict(made(), folder=tmp_path / "elsewhere") != recipe


def test_errors_of_a_file_name_it(tmp_path):
    path = tmp_path / "bad.toml"
    for text, told in (("[input", "no TOML"), ("[input]\npaths=1\n[input]\n", "no TOML"), ("[input]", "[output]")):
        path.write_text(text)
        with pytest.raises(ra.RecipeError) as raised:
            load_recipe(path)
        assert str(path) in str(raised.value)
        assert told in str(raised.value)
    with pytest.raises(FileNotFoundError, match="reel recipe init"):
        load_recipe(tmp_path / "none.toml")
    with pytest.raises(ra.RecipeError, match="is a folder"):
        load_recipe(tmp_path)


@pytest.mark.parametrize("each", [False, True])
def test_the_recipe_to_begin_with_is_valid_also_with_its_comments_taken_off(tmp_path, each):
    path = tmp_path / "recipe.toml"
    path.write_text(template(each=each))
    assert load_recipe(path).each is each
    said = []
    for line in template(each=each).splitlines():
        bare = line.removeprefix("# ")
        setting = bare.startswith("[") or (" = " in bare.partition("#")[0] and bare.split(" = ")[0].isidentifier())
        said.append(bare if setting else line)
    path.write_text("\n".join(said))
    if each:
        assert load_recipe(path).output["compress"] is True
    else:
        whole = load_recipe(path)
        assert len(whole.steps) == 2
        assert (whole.cluster["kind"], whole.run["most_failures"], bool(whole.picture)) == ("slurm", 20, True)


def test_input_and_steps_mean_what_the_functions_do(folder, tmp_path):
    (tmp_path / "hydrophone.toml").write_text("sensitivity = -170\ngain_db = 14\n")
    recipe = Recipe.from_dict(
        made(
            input=INPUT | {"calibration": "hydrophone.toml", "gain_db": 20, "begin": "2022-03-01T00:00:01"},
            step=[{"use": "power_spectrum", "every": "1s", "nfft": 256}, {"use": "to_decibel", "floor": 10}],
        ),
        folder=tmp_path,
    )
    x = ra.open_recordings(folder, sensitivity=-170, gain_db=20, begin="2022-03-01T00:00:01")
    assert recipe.open().identical(x)
    expected = ra.to_decibel(ra.power_spectrum(x, every="1s", nfft=256), floor=10)
    assert recipe.apply(recipe.open()).identical(expected)


def test_a_saved_catalog_is_opened_without_a_look_at_the_files(folder, tmp_path, monkeypatch):
    ra.catalog.save(ra.scan(folder), tmp_path / "catalog.json")
    monkeypatch.setattr("reelarray.catalog.scan", None)
    recipe = Recipe.from_dict(made(input={"paths": "catalog.json"}), folder=tmp_path)
    assert recipe.open().sizes["time"] == 4 * RATE


def test_keywords_of_the_format_come_before_those_of_opening(tmp_path):
    samples = np.arange(2 * RATE, dtype="<i2")
    (tmp_path / "20220301_000000.bin").write_bytes(samples.tobytes())
    table = {"paths": "20220301_000000.bin", "format": "raw", "rate": RATE, "dtype": "<i2", "calibrated": False}
    x = Recipe.from_dict(made(input=table), folder=tmp_path).open()
    assert ra.rate(x) == RATE
    assert x.values.tolist() == samples.tolist()


def test_relative_paths_count_from_the_recipe_and_may_move_with_it(folder, tmp_path, monkeypatch):
    table = {"paths": ["recordings", "/data/x", "s3://bucket/y"], "timestamps_csv": "times.csv"}
    recipe = Recipe.from_dict(made(input=table, picture={"path": "a.png"}), folder=tmp_path)
    (tmp_path / "recipes").mkdir()
    recipe.save(tmp_path / "recipes" / "r.toml")
    moved = load_recipe(tmp_path / "recipes" / "r.toml")
    assert moved.input.plain() == {
        "paths": [os.path.join("..", "recordings"), "/data/x", "s3://bucket/y"],
        "timestamps_csv": os.path.join("..", "times.csv"),
    }
    assert moved.output["path"] == os.path.join("..", "out.zarr")
    assert moved.moved(tmp_path) == recipe
    monkeypatch.chdir(tmp_path)
    assert Recipe.from_dict(made()).open().identical(ra.open_recordings(folder))


def test_own_functions_come_from_beside_the_recipe_and_are_told_by_the_result(folder, tmp_path):
    (tmp_path / "steps_beside.py").write_text(
        "def louder(x, *, factor: float):\n    return (x * factor).assign_attrs(x.attrs)\n"
        "def wrong(x):\n    return x.values.sum()\n"
    )
    steps = [{"use": "steps_beside.louder", "factor": 2.0}, {"use": "spectrogram", "nfft": 256}]
    recipe = Recipe.from_dict(made(step=steps), folder=tmp_path)
    got = recipe.apply(recipe.open())
    x = ra.open_recordings(folder)
    np.testing.assert_array_equal(got.values, ra.spectrogram(x * np.float32(2), nfft=256).values)
    assert got.attrs["own_steps"] == [{"use": "steps_beside.louder", "factor": 2.0}]
    with pytest.raises(ra.RecipeError, match=r"\[\[step\]\] 1, steps_beside:louder: factor='2'"):
        Recipe.from_dict(made(step=[{"use": "steps_beside:louder", "factor": "2"}]), folder=tmp_path)
    with pytest.raises(ra.RecordingError, match=r"step 1, steps_beside\.wrong.*made a float"):
        Recipe.from_dict(made(step=[{"use": "steps_beside.wrong"}]), folder=tmp_path).apply(x.isel(time=slice(8)))
    assert str(tmp_path) in sys.path


def test_an_error_of_a_step_says_which(folder, tmp_path):
    recipe = Recipe.from_dict(made(step=[{"use": "remove_mean"}, {"use": "spectrogram", "nfft": 0}]), folder=tmp_path)
    with pytest.raises(ra.RecordingError) as raised:
        recipe.apply(recipe.open())
    assert raised.value.__notes__ == ["in step 2 of the recipe: spectrogram(nfft=0)"]


def test_every_transform_can_be_a_step():
    from reelarray.recipe.steps import transforms

    for name in transforms():
        function = getattr(ra, name)
        assert function.__annotations__["return"] in ("xr.DataArray", xr.DataArray), name
