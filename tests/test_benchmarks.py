"""The benchmarks run: each once, at a tiny size. How fast they are is nobody's test."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # the benchmarks are no part of the installed package
from benchmarks import __main__ as command
from benchmarks import averages, graph, measure, recordings, report, spectrogram


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> measure.Settings:
    return measure.Settings("tiny", tmp_path_factory.mktemp("benchmarks"), 1)


def here(target, **arguments) -> measure.Alone:
    """`measure.alone` without the process of its own, which takes seconds to import everything anew."""
    return measure.Alone(cpu=1.0, wall=1.0, peak=1.0, result=target(**json.loads(json.dumps(arguments)))())


@pytest.mark.parametrize("name", command.FAMILIES)
def test_each_benchmark_runs(name, settings, monkeypatch):
    for module in (spectrogram, averages):  # "memory" and "opening" do start processes
        monkeypatch.setattr(module, "alone", here)
    tables = command.run(name, settings)
    assert tables
    for table in tables:
        assert table.rows
        assert all(value > 0 for row in table.rows for value in row if isinstance(value, float))
        lines = table.markdown().splitlines()
        assert {line.count("|") for line in lines[: 2 + len(table.rows)]} == {len(table.columns) + 1}


def test_a_block_from_files_is_one_task(settings):
    import reelarray as ra

    x = ra.open_recordings(recordings.folder(settings.data, 20.5), cache=False)
    blocks = {"spectrogram": ra.spectrogram(x, block=100), "averages": ra.power_spectrum(x, every="5s", block=1)}
    for name, result in blocks.items():
        done = graph.optimized(result.data)
        assert done.npartitions > 3, name
        assert graph.tasks(done) == done.npartitions, name


def test_all_spectrograms_are_of_the_same_windows(settings):
    folder = recordings.folder(settings.data, 20.5)
    x = recordings.read_all(folder)
    windows = (len(x) - spectrogram.NFFT) // spectrogram.HOP + 1
    assert spectrogram.reelarray_files(folder)() == windows
    assert spectrogram.scipy_files(folder)() == windows
    assert spectrogram.scipy_memory(x) == windows


def test_recordings_are_what_they_say_and_do_not_repeat(tmp_path):
    folder = recordings.folder(tmp_path, 3.25)
    counts = recordings.read_all(folder, "int16")
    assert len(counts) == 3.25 * recordings.RATE
    seconds = counts[: 3 * recordings.RATE].reshape(3, -1)
    assert not np.array_equal(seconds[0], seconds[1])
    assert recordings.folder(tmp_path, 3.25) == folder


def fill(megabytes: int):
    """For a process of its own: touches so much memory."""
    return lambda: len(np.ones(megabytes * 2**17))


def test_peak_memory_is_that_of_the_work_alone():
    held = np.ones(60 * 2**17)  # of this process, which the fresh one must not count
    assert 19 < measure.alone(fill, megabytes=20).peak < 40
    assert len(held)


def test_a_variant_that_fails_alone_says_why():
    with pytest.raises(RuntimeError, match="unexpected keyword"):
        measure.alone(fill, wrong=1)


def test_variants_take_turns():
    calls = []
    times = measure.race({"a": lambda: calls.append("a"), "b": lambda: calls.append("b") or 2.0}, 3)
    assert calls == ["a", "b"] * 4
    assert times.median("b") == 2.0
    assert measure.Times({"a": [1.0, 2.0, 3.0], "b": [2.0, 8.0, 6.0]}, {}).speed("a", "b") == 2.0


def test_json_and_readme_hold_the_tables(tmp_path):
    table = measure.Table("name", "A title", ("what", "ratio"), notes=["A note."])
    table.add("one", 0.51234)
    table.add("two", None)
    about = measure.machine()
    settings = measure.Settings("tiny", tmp_path, 1)
    found = json.loads(report.as_json([table], about, settings, "command"))
    assert found["tables"][0]["rows"] == [["one", 0.51234], ["two", None]]
    assert found["machine"]["versions"]["numpy"] == np.__version__
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    for _ in range(2):
        report.write_readme(report.as_markdown([table], about, "command"), readme)
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{report.END}\nafter\n")
    assert "old" not in text
    assert "| one  | 0.512 |" in text
    with pytest.raises(ValueError, match="columns"):
        table.add("one value")


def test_the_readme_has_a_place_for_results():
    text = report.README.read_text()
    assert text.index(report.BEGIN) < text.index(report.END)


def test_the_command_runs_what_it_is_told(tmp_path, monkeypatch, capsys):
    def run(name, settings):
        assert settings.size == "quick"
        assert settings.repeats == 3
        return [measure.Table(name, name.title(), ("what",), [("row",)])]

    monkeypatch.setattr(command, "run", run)
    command.main(["graph", "--quick", "--json", str(tmp_path / "out.json"), "--data", str(tmp_path / "data")])
    assert "Graph" in capsys.readouterr().out
    assert json.loads((tmp_path / "out.json").read_text())["command"] == "python -m benchmarks graph --quick"
    for wrong in (["none"], ["graph", "--write-readme"]):
        with pytest.raises(SystemExit):
            command.main(wrong)
