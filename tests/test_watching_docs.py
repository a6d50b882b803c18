"""docs/watching.md: settings load, the recipe and loops run, commands are taken, keys and files are as it says."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent / "unit" / "formats"))

import analyser_files as analysers

import reelarray as ra
from reelarray.cli import parser
from reelarray.recipe import Recipe
from reelarray.watching.options import Options
from reelarray.watching.reading import EACH, FREE, TABLES
from reelarray.watching.settings import Settings, load_settings

DOCS = Path(__file__).parent.parent / "docs"
TEXT = (DOCS / "watching.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    found = re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)
    assert found, f"no block of {kind}"
    return found


SETTINGS = [text for text in blocks("toml") if "[paths]" in text]
DATACRUNCH = """
[paths]
folder_path = "recordings/rsa51"
tracking_file_path = "processed.toml"
output_path = "spectrograms/"
www_path = "www"

[settings]
num_threads = 10
lframes = 1024
nframes = 94
n_avg = 10
zoom_center = 0
"""
RECIPES = [text for text in blocks("toml") if "[[step]]" in text]


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the recordings that the document speaks of."""
    (tmp_path / "recordings/rsa51").mkdir(parents=True)
    for name in ("run7.tiq", "run8.tiq"):
        analysers.write_tiq(tmp_path / "recordings/rsa51" / name, 2**17)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(there: Path, text: str, caplog: pytest.LogCaptureFixture) -> Settings:
    (there / "config.toml").write_text(text)
    made = load_settings("config.toml")
    assert not [each for each in caplog.records if each.levelname == "WARNING"]  # of keys that are not known
    return made


def test_settings_load(there: Path, caplog: pytest.LogCaptureFixture) -> None:
    (settings,) = (load(there, text, caplog) for text in SETTINGS)
    assert settings.wanted.nframes == 94
    assert settings.options.analysers == {str(there / "recordings/rsa51"): "ring"}
    assert settings.of_analyser["ring"].zoom_nfft == 256
    assert settings.table == str(there / "spectrograms/peaks.csv")


def test_commands_are_taken() -> None:
    commands = [
        line.partition("#")[0].partition(">")[0].strip() for block in blocks("sh") for line in block.splitlines()
    ]
    commands += re.findall(r"ExecStart=\S*/(reel .*)", TEXT)
    commands += re.findall(r"`(reel watch [^`]*)`", TEXT)
    assert len(commands) > 10
    for command in commands:
        program, *words = shlex.split(command)
        assert program == "reel"
        parser().parse_args(words)  # exits where it does not know a word


def test_options_and_keys_are_there() -> None:
    helped = next(a for a in parser()._actions if a.dest == "command" or a.choices).choices["watch"].format_help()
    for flag in set(re.findall(r"`[^`\n]*?(--[a-z][a-z-]+)", TEXT)):
        assert re.search(rf"{flag}\b", helped), flag
    known = {name for table in TABLES.values() for name in table} | {"strict", *FREE}
    written = set(re.findall(r"`([a-z_]+) = ", TEXT)) - {"processed"}
    assert written > {"layout", "zarr"}
    assert written <= known
    defaults = {name: default.default for name, default in Options.__dataclass_fields__.items()}
    for name, value in re.findall(r"`([a-z]+_[a-z]+)` \((\d[\de]*)\)", TEXT):
        assert defaults[name] == float(value), name
    assert {"settle_seconds", "stall_seconds", "min_free_bytes"} <= defaults.keys()
    assert not {"num_threads", "table"} & EACH.keys()  # which an analyser cannot have for itself


def test_files_are_those_of_the_tables(there: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("matplotlib")
    settings = load(there, DATACRUNCH, caplog)
    made = ra.process_recording("recordings/rsa51/run7.tiq", settings, zarr="all", table="made/peaks.csv")
    named = set(re.findall(r"^\| `(run7\.tiq[^`]*)`", TEXT, re.MULTILINE))
    assert {Path(each).name for each in made.outputs} == named
    pictures = {Path(each).name for each in re.findall(r"`<www>/([^`]*)`", TEXT)}
    assert {each.name for each in (there / "www").glob("*.png")} == pictures

    archive = np.load("spectrograms/run7.tiq.npz", allow_pickle=False)
    rows = re.findall(r"^\| (`arr_\d`) \| \((.*?)\) (\w+) \|", TEXT, re.MULTILINE)
    sizes = {"1": 1, "rows": 94, "bins": 1024}
    assert len(rows) == 3
    for name, shape, kind in rows:
        array = archive[name.strip("`")]
        assert (array.shape, array.dtype) == (tuple(sizes[each.strip()] for each in shape.split(",")), np.dtype(kind))
    assert {"fs", "center", "units", "start_time", "params"} <= set(archive.files)
    assert str(archive["units"]) == "V2"
    assert float(archive["arr_0"][0, 512]) == float(archive["center"]) == analysers.CENTER
    averaged = np.load("spectrograms/run7.tiq_averaged.npz", allow_pickle=False)
    assert float(averaged["arr_1"][0, 0]) == pytest.approx(4.5 * 1024 / analysers.RATE)
    assert ra.read_npz("spectrograms/run7.tiq.npz").attrs["units"] == "V2"
    assert ra.open_zarr("spectrograms/run7.tiq.zarr").attrs["units"] == "W"


def test_recipe_makes_a_file_of_each(there: Path) -> None:
    (there / "recipe.toml").write_text(RECIPES[0])
    assert Recipe.from_dict(tomllib.loads(RECIPES[0])).each
    counts = ra.watch("recordings/rsa51", "recipe.toml", once=True, settle_seconds=0, min_free_bytes=0)
    assert (counts.made, counts.failed) == (2, 0)
    power = ra.read_npz("spectra/run7.npz")
    assert power.dims == ("time", "frequency")
    assert power.attrs["units"] == "W"


def test_loops_run(there: Path) -> None:
    pytest.importorskip("matplotlib")
    made: dict[str, Any] = {}
    for block in blocks("python"):
        exec(compile(block, "watching.md", "exec"), made)  # in order: each goes on from those before
    assert len((there / "made/peaks.csv").read_text().splitlines()) == 3
    assert len(made["made"].outputs) == 5


def test_links_lead_somewhere() -> None:
    for name, anchor in re.findall(r"\]\(([\w-]+\.md)(?:#([\w-]+))?\)", TEXT):
        target = (DOCS / name).read_text(encoding="utf-8")
        titles = re.findall(r"^#+ (.*)", target, re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
        assert not anchor or anchor in anchors, f"{name}#{anchor}"
