"""docs/radio.md: its code runs as it stands, and gives what its comments say."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent / "unit" / "formats"))

import analyser_files as analysers
import receiver_files as receivers

import reelarray as ra
from reelarray import formats

TEXT = (Path(__file__).parent.parent / "docs" / "radio.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
LINE = analysers.CENTER + 48e3  # Hz, of a tone at half the peak of the converter


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the blocks have made of files such as they speak of."""
    pytest.importorskip("matplotlib").use("Agg")
    folder = tmp_path_factory.mktemp("radio")
    (folder / "analyser").mkdir()
    (folder / "captures").mkdir()
    counts = analysers.tone(4 * 2**16, frequency=48e3)
    analysers.write_tiq(folder / "analyser/run7.tiq", counts, datasets=4, gaps=[0.4, 0.05, 0.1])
    receivers.write_r3f(folder / "captures/receiver.r3f")
    np.ones(1000, "<c8").tofile(folder / "captures/long.cf32")
    np.full(1000, 200, "u1").tofile(folder / "captures/g1_433.92M_250k.cu8")
    made: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in BLOCKS:
            exec(compile(block, "radio.md", "exec"), made)  # in order: each goes on from those before
    return made | {"folder": folder}


def test_comments_tell_what_is(names: dict[str, Any]) -> None:
    x, s, fine = names["x"], names["s"], names["fine"]
    assert x.center_frequency == 244_778_900.0
    assert ra.rate(x) == 390_625
    assert s.frequency[512] == 244_778_900.0
    assert s.attrs["units"] == "V2 Hz-1"
    assert [round(float(each.frequency[1] - each.frequency[0])) for each in (names["cut"], fine)] == [381, 10]
    assert ra.rate(names["v"]) == 2 * ra.rate(ra.baseband(names["v"])) == 112_000_000
    assert names["dbm"].attrs["units"] == "dB re 1 mW Hz-1"
    assert names["y"].sizes["time"] == 1000


def test_numbers_are_those_of_the_tone(names: dict[str, Any]) -> None:
    watts = (2.0**28 * analysers.SCALING) ** 2 / 2 / 50
    assert float(names["tone"].max()) == pytest.approx(watts, rel=0.02)  # there is noise
    table = names["table"].compute()
    assert abs(table["frequency"] - LINE).max() < 20
    np.testing.assert_allclose(table["power"], watts, rtol=0.02)
    assert abs(names["frequency"] - LINE).max() < 5
    assert names["made"].notes["peak_frequency"] == pytest.approx(LINE, abs=100)


def test_files_are_there(names: dict[str, Any]) -> None:
    folder = names["folder"]
    for name in ("run7.png", "line.png", "tone.csv", "line.csv", "run7.zarr", "small.sigmf", "made/peaks.csv"):
        assert (folder / name).exists()
    beside = ra.open_recording(folder / "analyser/run7.sigmf-meta", cache=False)
    np.testing.assert_array_equal(beside, names["x"])
    assert names["burst"].sizes["time"] == 50_000


def test_formats_and_suffixes_of_the_table_are_there() -> None:
    rows = [line.split("|")[2:4] for line in TEXT.splitlines() if line.startswith("| ") and "`." in line.split("|")[2]]
    assert len(rows) == 10
    known = [formats.get_format(name) for name in formats.format_names()]
    for suffixes, options in rows:
        for suffix in re.findall(r"`(\.[^`]*)`", suffixes):
            takes = [each for each in known if suffix in each.suffixes]
            assert takes, suffix
            for keyword in re.findall(r"`(\w+)=", options):
                assert keyword == "timezone" or any(keyword in each.probe.__kwdefaults__ for each in takes), keyword
