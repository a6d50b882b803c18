"""A journal made smaller: at every moment the old lines, the new ones, or both are there."""

from __future__ import annotations

import os

import pytest

from reelarray.sinks import faults
from reelarray.sinks.journal import Journal, read_records


def hold(folder):
    return Journal.hold(folder, folder.parent)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()
    for k in range(3):
        journal = hold(folder)
        journal.begin({})
        journal.note([{"done": "a", "of": str(k)}, {"done": "b", "of": str(k)}])
        journal.close()
    return folder


def last(folder) -> dict:
    return {record["done"]: record["of"] for record in read_records(folder) if "done" in record}


def test_what_counts_is_kept_and_more_can_be_noted(folder):
    journal = hold(folder)
    journal.compact([{"done": "a", "of": "2"}, {"done": "b", "of": "2"}])
    assert [r for r in read_records(folder) if "done" in r] == [{"done": "a", "of": "2"}, {"done": "b", "of": "2"}]
    journal.note([{"done": "b", "of": "3"}])
    with pytest.raises(RuntimeError, match="before the first note"):
        journal.compact([])
    journal.close()
    assert last(folder) == {"a": "2", "b": "3"}
    assert len(os.listdir(folder / "done")) == 2


def test_ended_at_every_moment_the_last_line_of_each_unit_is_the_same(folder, monkeypatch):
    class Killed(BaseException):
        pass

    passed = []
    for at in range(1, 20):
        calls = [0]

        def checkpoint(name, at=at, calls=calls):
            calls[0] += 1
            passed.append(name)
            if calls[0] == at:
                raise Killed

        journal = hold(folder)
        monkeypatch.setattr(faults, "checkpoint", checkpoint)
        try:
            journal.compact([{"done": unit, "of": of} for unit, of in last(folder).items()])
        except Killed:
            pass
        else:
            monkeypatch.undo()
            journal.close()
            break
        finally:
            monkeypatch.undo()
            assert last(folder) == {"a": "2", "b": "2"}
        journal.close()
    assert at > 3
    assert "before removing compacted lines" in passed
    assert not [name for name in os.listdir(folder / "done") if name.startswith(".")]
