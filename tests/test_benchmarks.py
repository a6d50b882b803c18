"""The benchmarks run: each once, at a tiny size. How fast they are is nobody's test."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import reelarray as ra

sys.path.insert(0, str(Path(__file__).parents[1]))  # the benchmarks are no part of the installed package
from benchmarks import __main__ as command
from benchmarks import (
    averages,
    budgets,
    depth,
    environments,
    fibre,
    graph,
    iq,
    jobs,
    measure,
    monitoring,
    rates,
    recordings,
    report,
    scaling,
    spectrogram,
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> measure.Settings:
    return measure.Settings("tiny", tmp_path_factory.mktemp("benchmarks"), 1)


def here(target, python=None, **arguments) -> measure.Alone:
    """`measure.alone` without the process of its own, which takes seconds to import everything anew."""
    assert python is None
    return measure.Alone(cpu=1.0, wall=1.0, peak=1.0, result=target(**json.loads(json.dumps(arguments)))())


@pytest.mark.parametrize("name", command.FAMILIES)
def test_each_benchmark_runs(name, settings, monkeypatch):
    for module in (
        spectrogram,
        averages,
        monitoring,
        fibre,
        iq,
        rates,
        scaling,
        depth,
    ):  # "opening" does start processes
        monkeypatch.setattr(module, "alone", here)
    tables = command.run(name, settings)
    assert tables
    check_budgets(tables)
    for table in tables:
        assert table.rows
        numbers = [value for row in table.rows for value in row if isinstance(value, float)]
        assert all(value > 0 or name == "cluster" for value in numbers)  # where workers may send nothing
        assert any(numbers)
        lines = table.markdown().splitlines()
        assert {line.count("|") for line in lines[: 2 + len(table.rows)]} == {len(table.columns) + 1}


def check_budgets(tables):
    """What budgets ask of these tables is there; sizes and other people's programs differ from run to run."""
    columns = {table.name: table.columns for table in tables}
    rows = {(table.name, row[0]) for table in tables for row in table.rows}
    for budget in budgets.BUDGETS:
        for cell in filter(None, (budget.cell, budget.over)):
            if cell.table in columns and "compiled" not in f"{cell.row} {cell.column}":  # not installed everywhere
                assert cell.column in columns[cell.table]
                if isinstance(cell.row, str) and cell.row.startswith(("reelarray", "ra.", "scipy")):
                    assert (cell.table, cell.row) in rows


def test_budgets_are_of_families_that_run():
    family = {"headers": "opening", "catalog": "opening", "length": "scaling", "reductions": "kernel", "resume": "runs"}
    family["tiq"] = "iq"
    cells = [cell for budget in budgets.BUDGETS for cell in (budget.cell, budget.over) if cell]
    asked = {cell.table.split()[0] for cell in cells}  # "monitoring 1024" is of "monitoring"
    assert {family.get(name, name) for name in asked} <= set(command.FAMILIES)


def test_budgets_say_what_is_met_what_is_not_and_what_was_not_measured(monkeypatch):
    table = measure.Table("kernel", "Kernel", ("nfft", "a", "b"), [(256, 9.0, 9.0), (1024, 0.6, 0.3)])
    a, b = (budgets.Cell("kernel", 1024, name) for name in "ab")
    asked = (
        budgets.Budget("met", a, least=0.6),
        budgets.Budget("not met", a, most=0.5),
        budgets.Budget("ratio", a, b, least=1.9),
        budgets.Budget("no column", budgets.Cell("kernel", 1024, "c"), least=1),
        budgets.Budget("no row", budgets.Cell("kernel", 512, "a"), least=1),
        budgets.Budget("no table", a, budgets.Cell("other", 1024, "a"), least=1),
    )
    monkeypatch.setattr(budgets, "BUDGETS", asked)
    rows = budgets.compared([table]).rows
    assert rows == [
        ("met", "at least 0.6", 0.6, "yes"),
        ("not met", "at most 0.5", 0.6, "**no**"),
        ("ratio", "at least 1.9", 2.0, "yes"),
        *((name, "at least 1", None, "not measured") for name in ("no column", "no row", "no table")),
    ]


def test_jobs_are_ours_beside_every_other_way():
    table = measure.Table("job", "A job", measure.JOB)
    times = measure.Times({"reelarray": [1.0, 2.0], "theirs": [4.0, 8.0], jobs.FFT: [0.5, 1.0]}, {})
    jobs.add_ways(table, times, 3_000_000, "theirs", jobs.FFT, {"reelarray": 10.0, "theirs": 30.0})
    jobs.add_reported(table, "reported", 1.0, "theirs")
    assert [row[0] for row in table.rows] == [jobs.FFT, "reelarray", "theirs", "reported"]
    other = measure.Table("other", "No job", ("what", "count"), [("reelarray", 1)])
    assert jobs.summary([other, table]).rows == [
        ("job", "reelarray", 2.0, "theirs", 0.5, 4.0, 0.5, 10.0, 30.0),
        ("job", "reelarray", 2.0, "reported", 1.0, 2.0, 0.5, 10.0, None),
    ]


def test_an_environment_is_there_once_it_is_whole(tmp_path, monkeypatch):
    assert environments.python("pbp", tmp_path) is None
    commands = []
    monkeypatch.setattr(environments.subprocess, "run", lambda command, check: commands.append(command))
    with pytest.raises(FileNotFoundError):  # nothing was made, so that it is not called whole
        environments.make("pbp", tmp_path)
    assert environments.python("pbp", tmp_path) is None
    (tmp_path / "pbp").mkdir()
    made = environments.make("pbp", tmp_path, "python3.11")
    assert environments.python("pbp", tmp_path) == made
    assert commands[-2][0] == "python3.11"
    assert commands[-1][-1] == environments.ENVIRONMENTS["pbp"]
    count = len(commands)
    assert environments.make("pbp", tmp_path) == made
    assert len(commands) == count
    assert environments.versions(tmp_path) == {"lifewatch-pypam": None, "mbari-pbp": "1.9.0"}
    with pytest.raises(SystemExit):
        environments.main(["none"])


def test_a_process_of_another_environment_does_not_see_this_one():
    assert measure.alone(fill, megabytes=1).result == 2**17
    with pytest.raises(RuntimeError, match="No module named 'test_benchmarks'"):  # which only this process has found
        measure.alone(fill, python=sys.executable, megabytes=1)


def test_the_same_work_is_checked():
    monitoring.check_same_work({"ours": [10, 1.0], "theirs": [10, 1.0005]})
    for other in ([9, 1.0], [10, 1.002]):
        with pytest.raises(RuntimeError, match="theirs"):
            monitoring.check_same_work({"ours": [10, 1.0], "theirs": other})
    with pytest.raises(RuntimeError, match="samples"):
        fibre.check_same({"a": 1, "b": 2})


def test_hours_are_links_to_one_hour_under_names_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "RATE", 100)
    folder = Path(recordings.repeated(tmp_path, 3))
    names = sorted(path.name for path in folder.glob("*.wav"))
    assert len(names) == 36
    assert names[0] == "20220301_000000.wav"
    assert names[-1] == "20220301_025500.wav"
    assert {path.stat().st_nlink for path in folder.glob("*.wav")} == {4}  # of one file on the disk
    assert recordings.repeated(tmp_path, 3) == str(folder)
    x = ra.open_recordings(folder, cache=False)
    assert len(x) == 3 * 3600 * 100
    assert ra.segments(x)["joined"].sum() == 35


def test_a_block_from_files_is_one_task(settings):
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
