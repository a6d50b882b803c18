"""datacrunch's file unchanged, and what can be said besides; everything that is wrong in one message."""

from __future__ import annotations

import logging
import os
import pickle
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from reelarray.errors import SettingError
from reelarray.watching.reading import TABLES
from reelarray.watching.settings import load_settings
from reelarray.watching.template import example
from reelarray.watching.wanted import Wanted

DATACRUNCH = """
[paths]
folder_path = "{folder}/"
tracking_file_path = "{folder}/made/processed.toml"
output_path = "{folder}/out/"
www_path = ""

[settings]
num_threads = 10
lframes = 4096.0
nframes = 60
n_avg = 5
zoom_center = 244800000
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recordings").mkdir()
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text.replace("{folder}", str(folder)))
    return path


def tables(folder: Path, **more: Any) -> dict[str, Any]:
    return {"paths": {"folder_path": str(folder / "recordings"), "output_path": "out"}, **more}


def problems(*args: Any, **kwargs: Any) -> list[str]:
    with pytest.raises(SettingError) as caught:
        load_settings(*args, **kwargs)
    return [line.removeprefix("- ") for line in str(caught.value).splitlines()[1:]]


# ---- datacrunch's file -----------------------------------------------------------------------------------------------


def test_its_nine_keys_work_unchanged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        made = load_settings(write(folder, DATACRUNCH))
    wanted = made.wanted
    assert (wanted.lframes, wanted.nframes, wanted.n_avg, wanted.zoom_center) == (4096, 60, 5, 244800000)
    assert made.options.folders == (str(folder),)
    assert made.output == str(folder / "out")
    assert made.www is None
    assert made.page_folder == made.options.page_folder == made.output
    assert made.options.tracking == str(folder / "made" / "processed.toml")
    assert made.options.state_folder == str(folder / "out" / ".reelarray-watch")
    assert made.options.suffixes == (".tiq",)
    assert made.options.in_flight == 10  # of which threads of this process take as many as there are cores
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


def test_without_nframes_it_means_94_and_without_it_everything(folder: Path) -> None:
    text = DATACRUNCH.replace("nframes = 60\n", "").replace("n_avg = 5\n", "")
    made = load_settings(write(folder, text))
    assert (made.wanted.nframes, made.wanted.n_avg) == (94, 1)
    paths = {"folder_path": "recordings", "output_path": "out"}
    assert load_settings(overrides=paths).wanted.nframes is None
    assert load_settings({"outputs": {}}, paths).wanted.nframes is None
    assert load_settings(tables(folder, settings={"nframes": "all"})).wanted.nframes is None


def test_unknown_keys_are_warned_of_and_are_errors_where_that_is_asked_for(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = DATACRUNCH + "n_avgs = 3\nwhatever = true\n[extra]\nx = 1\n"
    made = load_settings(write(folder, text))
    assert made.wanted.n_avg == 5
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 3
    assert any("'n_avgs'; did you mean 'n_avg'?" in each for each in told)
    for strict in ("strict = true\n" + text, text + "[watch]\nstrict = true\n"):
        assert len(problems(write(folder, strict))) == 3


def test_everything_that_is_wrong_is_in_one_message(folder: Path) -> None:
    text = """
[paths]
folder_path = "nowhere"
www_path = 3
[settings]
num_threads = 0
lframes = 1
nframes = 94.5
n_avg = "ten"
zoom_center = nan
[outputs]
limits = [99, 5]
layout = "deep"
zoom_span = -1.0
[cluster]
knd = "slurm"
[watch]
mode = "guess"
attempts = 0
poll_seconds = -1
[analysers]
"recordings" = "a/b"
[analyser.left]
n_avg = 0
"""
    told = problems(write(folder, text))
    for part in (
        "folder_path", "output_path is missing", "www_path = 3", "num_threads=0", "lframes=1", "nframes = 94.5",
        "n_avg = 'ten'", "zoom_center=nan", "limits=[99.0, 5.0]", "layout = 'deep'", "zoom_span=-1.0", "[cluster]",
        "mode = 'guess'", "attempts=0", "poll_seconds=-1", "a/b", "[analyser.left] n_avg=0",
    ):  # fmt: skip
        assert any(part in each for each in told), (part, told)


def test_what_is_missing_is_named_as_key_and_as_flag() -> None:
    folder, output = problems({})
    assert "folder_path is missing" in folder
    assert "FOLDER on the command line" in folder
    assert "[paths] output_path is missing" in output
    assert "--output-path on the command line" in output


def test_files_that_are_none(folder: Path) -> None:
    with pytest.raises(SettingError, match="no TOML"):
        load_settings(write(folder, "[paths\n"))
    with pytest.raises(SettingError, match="is a folder"):
        load_settings(folder)
    with pytest.raises(FileNotFoundError, match="--example-config"):
        load_settings(folder / "nothing.toml")
    assert problems({"paths": 3, **{k: v for k, v in tables(folder).items() if k != "paths"}})


# ---- beyond ----------------------------------------------------------------------------------------------------------


def test_what_is_said_on_the_command_line_wins_and_is_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        made = load_settings(write(folder, DATACRUNCH), {"n_avg": 7, "scale": "linear", "mode": "poll"})
    assert (made.wanted.n_avg, made.wanted.scale, made.options.mode) == (7, "linear", "poll")
    told = [record.getMessage() for record in caplog.records if "command line" in record.getMessage()]
    assert len(told) == 1
    assert "n_avg = 7" in told[0]
    assert problems(write(folder, DATACRUNCH), {"n_avg": "x"}) == ["n_avg = 'x' was given; a whole number was expected"]
    assert problems(write(folder, DATACRUNCH), {"n_average": 3}) == ["n_average was given, which is no setting"]


def test_all_that_can_be_said_arrives(folder: Path) -> None:
    made = load_settings(
        tables(
            folder,
            settings={"num_threads": 3, "n_avg": 2},
            watch={"suffixes": [".tdms", ".TIQ"], "recursive": True, "backoff": [1, 2], "min_free_bytes": 5e8},
            outputs={
                "layout": "by_analyser",
                "limits": [1, 99],
                "levels": [-120, -60],
                "table": "t.csv",
                "zarr": "all",
            },
            cluster={"kind": "slurm", "jobs": 4},
            open={"channel": 0},
            analysers={"recordings": "left"},
            analyser={"left": {"n_avg": 9, "zoom_nfft": 128}},
        )
    )
    assert made.options.suffixes == (".tdms", ".TIQ")
    assert made.options.recursive
    assert made.options.backoff == (1, 2)
    assert made.options.in_flight == 3
    assert made.options.analysers == {str(folder / "recordings"): "left"}
    assert made.wanted.levels == (-120.0, -60.0)
    assert made.table == str(folder / "t.csv")
    assert made.cluster.plain() == {"kind": "slurm", "jobs": 4}
    assert made.opening.plain() == {"channel": 0}
    assert (made.of_analyser["left"].n_avg, made.of_analyser["left"].layout) == (9, "by_analyser")
    assert pickle.loads(pickle.dumps(made.process)) == made.process
    assert made.process.wanted_of("left").zoom_nfft == 128
    assert made.process.wanted_of("right") == made.wanted


def test_several_folders_and_pages(folder: Path) -> None:
    (folder / "more").mkdir()
    content = tables(folder)
    content["paths"] |= {"folder_path": ["recordings", "more"], "www_path": "www"}
    made = load_settings(content)
    assert made.options.folders == (str(folder / "recordings"), str(folder / "more"))
    assert made.page_folder == made.options.page_folder == str(folder / "www")


def test_folders_in_folders_need_a_layout_that_keeps_them_apart(folder: Path) -> None:
    told = problems(tables(folder, watch={"recursive": True}))
    assert len(told) == 1
    assert 'layout = "by_analyser"' in told[0]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(folder: Path) -> None:
    (folder / "recordings").chmod(0)
    try:
        assert "cannot be read" in problems(tables(folder))[0]
    finally:
        (folder / "recordings").chmod(0o755)


def test_the_example_is_valid_as_it_is_and_says_every_key(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = load_settings(write(folder, example()))
    assert made.wanted.zarr == "all"
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    lines = [line for line in example().splitlines() if " = " in line or line.startswith(("[", "# ["))]
    content = tomllib.loads("\n".join(line.removeprefix("# ") for line in lines))
    for table, known in TABLES.items():
        not_told = known.keys() - content[table].keys()
        assert not not_told, (table, not_told)
    content["analysers"] = {"recordings": "left"}
    assert load_settings({**content, "strict": True}).of_analyser["left"].zoom_center == 50e3


# ---- fingerprints ----------------------------------------------------------------------------------------------------


def test_a_fingerprint_changes_with_what_changes_results_alone(folder: Path) -> None:
    def of(**more: Any) -> str:
        return load_settings(tables(folder, **more)).process.fingerprint

    same = of()
    content = tables(folder)
    content["paths"] |= {"www_path": "www", "output_path": "elsewhere"}
    assert load_settings(content).process.fingerprint == same
    assert of(watch={"attempts": 9}, cluster={"kind": "local"}) == same
    others = [of(settings={"lframes": 1024}), of(outputs={"scale": "linear"}), of(analyser={"a": {"n_avg": 2}})]
    others += [of(open={"channel": 1}), of(outputs={"partial": "drop"})]
    assert len({same, *others}) == 6


def test_what_is_wanted_is_checked_where_it_is_made() -> None:
    assert {each.name for each in fields(Wanted)} >= {"lframes", "nframes", "zoom_center"}
    with pytest.raises(SettingError, match="lframes=1") as caught:
        Wanted(lframes=1, n_avg=0, scale="log")  # type: ignore[arg-type]
    assert "n_avg=0" in str(caught.value)
    assert "scale='log'" in str(caught.value)


def test_a_colour_map_that_is_none_is_told_before_anything_is_begun(folder: Path) -> None:
    with pytest.raises(SettingError, match=r"color_map='virids'.*did you mean '\w+'"):
        load_settings(write(folder, DATACRUNCH + '[outputs]\ncolor_map = "virids"\n'))
