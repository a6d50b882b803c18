"""docs/depth.md: its code runs as it stands, and gives what its comments and tables say."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reelarray as ra
from reelarray.cli import parser
from reelarray.demo.depth import make_session
from reelarray.depth.scalarnames import EXTRA_SCALARS, SCALARS
from reelarray.formats import depth as depth_format

TEXT = (Path(__file__).parent.parent / "docs" / "depth.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the blocks have made of a recording such as they speak of."""
    pytest.importorskip("matplotlib").use("Agg")
    pytest.importorskip("av")
    pytest.importorskip("tifffile")
    folder = tmp_path_factory.mktemp("depth")
    truth = make_session(folder / "session", frames=300, absent=[(200, 210)])
    made: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with pytest.warns(UserWarning, match="chunk_overlap has no effect"):
            _run(made)
    return made | {"folder": folder, "truth": truth}


def _run(made: dict[str, Any]) -> None:
    for block in BLOCKS:  # in order: each goes on from those before
        if "compat=True)" in block:
            pytest.importorskip("cv2")
        exec(compile(block, "depth.md", "exec"), made)


def test_comments_tell_what_is(names: dict[str, Any]) -> None:
    rec, scene, made = names["rec"], names["scene"], names["made"]
    assert rec.sizes["time"] == 300
    assert ra.rate(rec) == 30
    assert rec.attrs["metadata"]["SubjectName"] == "animal 0"
    assert len(ra.segments(rec)) == 4
    assert scene.attrs["true_depth"] == pytest.approx(675, abs=2)
    assert made.folder.parts[-2:] == ("session", "proc")
    assert made.flagged == {"missing": 10}
    assert names["lost"].sum() == 10
    assert names["table"]["status"].tolist() == ["done"]
    assert names["table"].attrs["ending"] == "complete"
    assert names["options"]["max_height"] == 100
    assert names["tracked"]["frames_mask"].dtype == np.float32
    assert names["again"].attrs["fingerprint"] == scene.attrs["fingerprint"]
    np.testing.assert_array_equal(names["masked"]["roi"], scene["roi"])
    assert [Path(path).parts[-2:] for path in names["found"].recordings] == [("session", "depth.dat")]


def test_numbers_are_near_the_truth(names: dict[str, Any]) -> None:
    truth, x = names["truth"], names["x"]
    x0, y0 = x.attrs["roi_origin"]
    off = np.hypot(x["centroid_x_px"] + x0 - truth["xy"][:, 0], x["centroid_y_px"] + y0 - truth["xy"][:, 1])
    assert np.nanmedian(off) < 5  # the middle of the body, not of head and body
    walking = truth["speed"] > 0.8
    ahead = np.cos(-x["angle"].values - truth["heading"])[walking]
    assert (ahead[np.isfinite(ahead)] > 0).mean() > 0.98
    before = float((names["old"]["length_mm"] / x["length_mm"]).mean())
    assert before == pytest.approx(0.92, abs=0.01)


def test_masks_of_the_tracker_are_as_large_as_the_text_says(names: dict[str, Any]) -> None:
    """Of what is the animal without it: 64 % at -16, 96 % at -30, roughly."""
    rec, scene = names["rec"][:100], names["scene"]
    whole = ra.depth.extract(rec, scene)["frames_mask"].sum().values
    areas = {}
    for threshold in (-16, -30):
        options = {"use_tracking_model": True, "tracking_model_mask_threshold": threshold}
        areas[threshold] = float((ra.depth.extract(rec, scene, **options)["frames_mask"] > threshold).sum() / whole)
    assert areas[-16] == pytest.approx(0.64, abs=0.08)
    assert areas[-30] == pytest.approx(0.96, abs=0.06)


def test_files_are_there(names: dict[str, Any]) -> None:
    folder = names["folder"]
    for name in (
        "scene.png",
        "crops.png",
        "heading.png",
        "trajectory.png",
        "scalars.png",
        "to_label.npz",
        "crops.zarr",
    ):
        assert (folder / name).exists(), name
    for name in re.findall(
        r"^\| (`[\w.]+\.\w+`(?:, `[\w.]+`)*) \|", TEXT.partition("## What is left")[2], re.MULTILINE
    ):
        for each in re.findall(r"`([^`]+)`", name):
            assert (folder / "session/proc" / each).exists(), each
    assert len(list((folder / "aggregate_results").glob("*.h5"))) == 1
    assert (folder / "moseq2-index.yaml").exists()
    assert (folder / "film/depth.dat").read_bytes() == (folder / "session/depth.dat").read_bytes()
    assert (folder / "minute/depth_ts.txt").read_text().count("\n") == 120


def test_options_in_the_text_are_options() -> None:
    known = {*ra.depth.OPTIONS, *depth_format.FORMAT.probe.__kwdefaults__}
    takers = ("scene", "extract_recordings", "extract_recording", "export_crops", "write_trees")
    for name in (*takers, "aggregate_extract_results"):
        known |= set(inspect.signature(getattr(ra.depth, name)).parameters)
    asked = set(re.findall(r"\b([a-z_]+)=(?!=)", "\n".join(re.findall(r"`([^`\n]+)`", TEXT))))
    assert len(asked) > 25
    assert asked <= known, asked - known
    table = TEXT.partition("Those that matter most:")[2].partition("\n\n`detected")[0]
    named = [
        name
        for row in table.splitlines()
        for name in re.findall(r"`([a-z_]+)`", row.split("|")[1] if "|" in row else "")
    ]
    assert len(named) > 12
    assert set(named) <= set(ra.depth.OPTIONS)


def test_defaults_in_the_text_are_those_of_the_table() -> None:
    options = ra.depth.OPTIONS
    assert (options["min_height"].default, options["max_height"].default) == (10, 120)
    assert options["tracking_model_mask_threshold"].default == -16
    assert options["flip_classifier_smoothing"].default == 51
    assert options["max_gap"].default == 5
    assert (options["cable_filter_iters"].default, tuple(options["cable_filter_size"].default)) == (0, (5, 5))


def test_scalars_and_flags_of_the_text_are_all_there_are() -> None:
    said = TEXT.partition("Scalars: ")[2].partition("```")[0]
    for name in (*SCALARS, *EXTRA_SCALARS):
        in_px = name.replace("_mm", "_px")
        assert f"`{name}`" in said or (f"`{in_px}`" in said and "`..._mm`" in said), name
    flags = TEXT.partition("### What is odd is said")[2].partition("## ")[0]
    assert re.findall(r"^\| `([A-Z]+)`", flags, re.MULTILINE) == [flag.name for flag in ra.depth.Seen]


def test_names_in_guide_and_readme_are_there() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"ra\.depth\.(\w+)", TEXT + readme))
    rows = [row for row in readme.splitlines() if re.match(r"\| (?:extract|carry on with) depth video", row)]
    for row in rows:
        named |= {name.removeprefix("ra.depth.") for name in re.findall(r"`([\w.]+)`", row.partition(";")[0])}
    assert len(rows) == 2
    assert len(named) > 25
    assert named <= set(ra.depth.__all__), named - set(ra.depth.__all__)


def test_commands_in_guide_and_readme_are_there() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    said = [
        line.partition("  #")[0]
        for line in (TEXT + readme).splitlines()
        if re.match(r"reel (depth|demo depth|info|scan .*depth)", line)
    ]
    assert len(said) > 10
    for line in said:
        arguments = parser().parse_args(shlex.split(line)[1:])  # ends with an error where it cannot be
        assert arguments.run.startswith("reelarray.commands.")


@pytest.mark.parametrize("option", ["flip", "flip_classifier"])
def test_a_pickle_is_refused_with_what_to_do_instead(option: str) -> None:
    with pytest.raises(ra.RecipeError, match=r"a pickled classifier is never loaded.*motion.*ONNX.*export_crops"):
        ra.depth.resolve_config({option: "flip_classifier_k2_c57_10to13weeks.pkl"})
